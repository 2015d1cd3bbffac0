"""Every frame that the workbench gives knows the call that made it, so that an answer can be asked again."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import polars as pl

from workbench.errors import whole
from workbench.lake import known
from workbench.results import Call, noted, recording, remember

if TYPE_CHECKING:
    from workbench.session.opened import Opened

P = ParamSpec("P")
S = TypeVar("S", bound="Opened")
#: Methods of the workbench that may be called again out of a file.
AGAIN = frozenset({"incidents", "calls", "reads", "rows", "table", "sql", "history", "changes", "search", "find", "batches", "rejects", "holdings"})


def noting(method: Callable[Concatenate[S, P], pl.DataFrame]) -> Callable[Concatenate[S, P], pl.DataFrame]:
    """Put over a method that gives a frame: the frame is remembered with the call, and texts that no store can hold are refused. A few microseconds."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def again(self: S, /, *args: P.args, **kwargs: P.kwargs) -> pl.DataFrame:
        whole([*args, *kwargs.values()], f"What {method.__name__} was given")
        frame = method(self, *args, **kwargs)
        try:
            bound = signature.bind(self, *args, **kwargs).arguments
            given = {k: recording.written(_plain(v)) for k, v in list(bound.items())[1:] if v is not None}
            if "key" in given and method.__name__ == "history":  # the key comes as further arguments without names
                given["key"] = recording.written(list(bound["key"]))
        except recording.Unrepeatable:
            return frame
        origin = noted(frame) or self._origin()
        call = Call(method.__name__, given, self.path.name, dict(self.versions))
        return remember(frame, recording.with_call(origin, call), rows=False)

    return again


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def resting(path: Path) -> dict[str, str]:
    """What else of a workspace an answer can rest on, as SHA-256: its settings and its maps."""
    digest = hashlib.sha256()
    for file in sorted(path.joinpath("map").glob("*.geojson")):
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return {"agency.toml": hashlib.sha256((path / "agency.toml").read_bytes()).hexdigest(), "map": digest.hexdigest()}


def certificates(path: Path) -> pl.DataFrame | None:
    """The purge certificates of a workspace (certificate_id, at, table, rows, ...); None where nothing purges."""
    if importlib.util.find_spec("workbench.oversight.purge") is None:
        return None
    from importlib import import_module

    found: pl.DataFrame = import_module("workbench.oversight.purge").certificates(path)
    return found


def not_whole(purged: pl.DataFrame | None, versions: Mapping[str, int]) -> tuple[str, ...]:
    """What cannot be told any more of what was known at a moment: rows purged since, one sentence a table; () where versions carry no moment."""
    at = known.moment(versions)
    if at is None or purged is None or purged.is_empty():
        return ()
    told = []
    later = purged.filter(utc(purged, "at") > at).sort("at")
    for (table,), rows in later.group_by(["table"], maintain_order=True):
        total, by = int(rows["rows"].sum()), ", ".join(map(str, rows["certificate_id"].unique(maintain_order=True).to_list()))
        if total:
            told.append(f"This is not all that was known at {at:%Y-%m-%d %H:%M} UTC: {total:,} row{'' if total == 1 else 's'} of {table} "
                        f"{'was' if total == 1 else 'were'} purged since (certificate {by}).")
    return tuple(told)


def utc(frame: pl.DataFrame, column: str) -> pl.Expr:
    """A column of times, as text, naive or aware, as UTC."""
    kind = frame.schema[column]
    if kind == pl.String:
        return pl.col(column).str.to_datetime(time_zone="UTC")
    if isinstance(kind, pl.Datetime) and kind.time_zone is None:
        return pl.col(column).dt.replace_time_zone("UTC")
    return pl.col(column)


def moment_said(versions: Mapping[str, int]) -> str:
    """", as known at 2026-05-01 18:00 UTC", or "" for what is known now."""
    at: datetime | None = known.moment(versions)
    return "" if at is None else f", as known at {at:%Y-%m-%d %H:%M} UTC"
