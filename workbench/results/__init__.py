"""A few frozen shapes of answer, and Basis: what an answer rests on.

Every result can say itself in one sentence (``headline``), in a table, in layers, and on what it rests. ``.map()`` draws the
layers with ipyleaflet; ``_repr_html_`` is headline, table, drawing, basis, in this order.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import importlib.metadata
import json
import weakref
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from workbench.errors import AccessRefused, BadInput
from workbench.geo import Grid
from workbench.layers import Layer
from workbench.results.recording import Call, Prepared, digested, recorded

if TYPE_CHECKING:  # only the link chart needs networkx: half a second of import otherwise paid by every page
    import networkx as nx

__all__ = ["Base", "Basis", "Call", "Links", "Matrix", "Origin", "Plan", "Prepared", "Ranking", "Result", "Surface", "Track", "code_version", "fingerprint",
           "noted", "origin_of", "permitted", "plain", "read", "recorded", "remember", "table_of"]
#: Under which a notebook's outputs keep the basis of a result.
MIME = "application/vnd.workbench.basis+json"
Base = Callable[[], tuple[Layer, ...]]
#: Keeps versions readable for a saved answer (why) and says what else of the workspace it rests on.
Keep = Callable[[Mapping[str, int], str], dict[str, str]]
#: Asks the gate whether a question that is asked of few only may be asked of a frame, and writes down that it was: what is done, and figures of it.
Permit = Callable[[str, dict[str, Any]], None]
#: The key under which pinned versions carry the moment of knowledge, in microseconds since 1970.
_KNOWN = "known"


def code_version() -> str:
    """The installed version of the workbench."""
    try:
        return importlib.metadata.version("workbench")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True)
class Origin:
    """Where a frame came from: the workspace, the pinned table versions, its base map (streets, beats), ``notes`` on what limits it, and the call
    that gave exactly this frame (none for rows picked out of it). ``keep`` pins the versions for what is saved, ``permit`` see ``permitted``."""

    workspace: str = ""
    versions: dict[str, int] = field(default_factory=dict)
    base: Base | None = field(default=None, repr=False, compare=False)
    notes: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    keep: Keep | None = field(default=None, repr=False, compare=False)
    permit: Permit | None = field(default=None, repr=False, compare=False)
    user: str = field(default="", compare=False)


_by_frame: dict[int, tuple[weakref.ref[pl.DataFrame], Origin]] = {}
_by_batch: dict[str, Origin] = {}
#: Batches whose rows this process gave to several users: rows picked out of them do not tell whose they are.
_several: set[str] = set()


def remember(frame: pl.DataFrame, origin: Origin, *, rows: bool = True) -> pl.DataFrame:
    """Note a frame's origin so that any result made from it, or from rows picked out of it, can name its versions.

    The frame stays a plain frame: the note is kept beside it and goes when the frame goes. Rows keep their ``batch_id``, and
    through it a filtered copy is still traced to the latest origin noted for that batch, but for its call. O(distinct batches); without
    ``rows`` the frame alone is noted, O(1).
    """
    key = id(frame)
    _by_frame[key] = (weakref.ref(frame, lambda _: _by_frame.pop(key, None)), origin)
    if rows and "batch_id" in frame.columns:
        picked = replace(origin, calls=())
        for batch in frame["batch_id"].unique().to_list():
            if _by_batch.get(batch, picked).user not in ("", picked.user):
                _several.add(batch)
            _by_batch[batch] = picked
    return frame


def noted(frame: pl.DataFrame) -> Origin | None:
    """The origin of exactly this frame; None for any other, also for rows picked out of one that has an origin."""
    found = _by_frame.get(id(frame))
    return found[1] if found and found[0]() is frame else None


def origin_of(*given: pl.DataFrame | Prepared) -> Origin:
    """The origin noted for the first frame that has one; an empty Origin for frames made by hand."""
    frames = [f.frame if isinstance(f, Prepared) else f for f in given]
    for frame in frames:
        found = noted(frame)
        if found is not None:
            return found
    for frame in frames:
        if isinstance(frame, pl.DataFrame) and "batch_id" in frame.columns and len(frame):
            for batch in frame["batch_id"].unique(maintain_order=True).to_list():
                if batch in _by_batch:
                    return _by_batch[batch]
    return Origin()


def permitted(*frames: pl.DataFrame | Prepared, deed: str, **detail: Any) -> None:
    """Go on only where whoever opened the workspace that the frames came from may ask this of them; that it was asked is written to its audit.

    For questions that are asked of few only, or that must leave a trace: "all pairs" (convoys among all plates), "pattern of life", "description".
    Frames made by hand come from no workspace and are let through. ``detail`` goes into the audit.

    Raises:
        AccessRefused: the role may not, or no case is bound.
    """
    for frame in [f.frame if isinstance(f, Prepared) else f for f in frames]:
        own = noted(frame) if isinstance(frame, pl.DataFrame) else Origin()  # what is no frame, the model refuses
        if own is None and "batch_id" in frame.columns and not _several.isdisjoint(frame["batch_id"].unique().to_list()):
            raise AccessRefused("These rows were picked out of what several people were given here, so it cannot be told whose question this is; "
                                "give the frame as the workbench gave it, e.g. city.reads(...).")
        permit = (own or origin_of(frame)).permit
        if permit is not None:
            return permit(deed, detail)
    return None


def fingerprint(*frames: pl.DataFrame | Prepared) -> str:
    """16 hex digits that change when any value of any frame changes; the order of rows does not matter. O(cells); once for what is prepared."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(frame.digest if isinstance(frame, Prepared) else digested(frame))
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Basis:
    """What an answer rests on; enough to judge it and to run it again.

    Args:
        method: the method in words, e.g. "kernel density (quartic, bandwidth 400 m)".
        source: paper or page the method is from.
        parameters: every parameter with its value, JSON-able.
        rows: rows looked at; ``used`` of them could be used (had a position, lay in time).
        span: earliest and latest time among the rows used.
        asof: nothing later was looked at.
        versions: table -> Delta version, pinned when the workbench was opened; with "known" when nothing recorded later was looked at.
        data: fingerprint of the frames.
        notes: what limits the answer, one sentence each.
        run: the function and its arguments, each frame by the call that made it (see ``results.recording``); empty where that was not recorded.
    """

    method: str
    source: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    used: int = 0
    span: tuple[datetime, datetime] | None = None
    asof: datetime | None = None
    versions: dict[str, int] = field(default_factory=dict)
    workspace: str = ""
    data: str = ""
    code: str = ""
    notes: tuple[str, ...] = ()
    run: dict[str, Any] = field(default_factory=dict)
    keep: Keep | None = field(default=None, repr=False, compare=False)

    @property
    def known(self) -> datetime | None:
        """The moment after which nothing recorded was looked at, UTC; None: all that was recorded."""
        at = self.versions.get(_KNOWN)
        return None if at is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)

    @classmethod
    def of(cls, *given: pl.DataFrame | Prepared, method: str, used: int | None = None, time: str = "", **rest: Any) -> Basis:
        """Fill in what the frames themselves tell: rows, span of column ``time``, versions, notes on them, fingerprint, code version."""
        origin, frames = origin_of(*given), [f.frame if isinstance(f, Prepared) else f for f in given]
        rest["notes"] = tuple(dict.fromkeys((*rest.get("notes", ()), *origin.notes)))
        rows = sum(f.height for f in frames)
        span = None
        if time and frames and frames[0].height and time in frames[0].columns:
            low, high = frames[0][time].min(), frames[0][time].max()
            span = (low, high) if isinstance(low, datetime) and isinstance(high, datetime) else None
        return cls(method=method, rows=rows, used=rows if used is None else used, span=span, versions=dict(origin.versions),
                   workspace=origin.workspace, data=fingerprint(*given), code=code_version(), keep=origin.keep, **rest)

    def lines(self) -> list[tuple[str, str]]:
        """(label, text) pairs for people, in a fixed order; empty ones are left out."""
        show = {k: v for k, v in self.parameters.items() if v is not None}
        out = [
            ("Method", self.method),
            ("Source", self.source),
            ("Parameters", ", ".join(f"{k} = {plain(v)}" for k, v in show.items())),
            ("Rows", f"{self.used:,} of {self.rows:,} usable" if self.rows else ""),
            ("Span", f"{self.span[0]:%Y-%m-%d %H:%M} to {self.span[1]:%Y-%m-%d %H:%M} UTC" if self.span else ""),
            ("As of", f"{self.asof:%Y-%m-%d %H:%M} UTC" if self.asof else ""),
            ("Known at", f"{self.known:%Y-%m-%d %H:%M:%S} UTC" if self.known else ""),
            ("Table versions", ", ".join(f"{k} {v}" for k, v in sorted(self.versions.items()) if k != _KNOWN)),
            ("Data fingerprint", self.data),
            ("Code", f"workbench {self.code}" if self.code else ""),
            *(("Note", note) for note in self.notes),
        ]
        return [(label, text) for label, text in out if text]

    def to_json(self) -> str:
        """The basis as one JSON object with sorted keys."""
        return json.dumps({k: plain(v) for k, v in self.__dict__.items() if k != "keep"}, sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str) -> Basis:
        """The basis that ``to_json`` wrote; written again it gives the same text.

        Raises:
            BadInput: it is not one.
        """
        try:
            said = json.loads(text)
            span, asof = said.pop("span"), said.pop("asof")
            made = cls(**{**said, "notes": tuple(said["notes"]), "span": None if span is None else tuple(datetime.fromisoformat(t) for t in span),
                          "asof": None if asof is None else datetime.fromisoformat(asof)})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"This is not the basis of a result: {type(error).__name__}: {error}.") from None
        return made


def plain(value: Any) -> Any:
    """A value as JSON can hold it: times ISO, spans in seconds, arrays as lists."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.days} d" if value.seconds == 0 else f"{value.total_seconds():g} s"
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """What every answer has. Subclasses add the numbers themselves.

    Args:
        headline: one sentence a commander can read aloud, with its uncertainty; or the sentence that says "I cannot tell" and why.
        table: the rows behind the sentence, a plain frame.
        layers: what can be drawn.
        basis: what it rests on.
        base: gives the base map layers of the workspace it came from.
    """

    headline: str
    table: pl.DataFrame
    layers: tuple[Layer, ...]
    basis: Basis
    base: Base | None = field(default=None, repr=False)

    def map(self, **options: Any) -> Any:
        """An ipyleaflet map of the layers over the workspace's streets and beats; makes no request off the machine."""
        from workbench.views import leaflet

        return leaflet.draw(self.layers, base=self.base() if self.base else (), **options)

    def drawing(self, **options: Any) -> str:
        """The same layers as an SVG text, for paper."""
        from workbench.views import paper

        return paper.svg(self.layers, base=self.base() if self.base else (), **options)

    def save(self, path: str | Path) -> Path:
        """Write the answer with its basis as one JSON file that ``workbench basis verify`` can check; the versions it rests on are pinned.

        Raises:
            BadInput: the folder is not there.
        """
        from workbench.results import saving

        return saving.save(self, Path(path))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """What a notebook keeps beside the HTML: the basis, from which the answer can be run again."""
        return {"text/plain": self.headline, "text/html": self._repr_html_(), MIME: json.loads(self.basis.to_json())}

    def _repr_html_(self) -> str:
        from workbench.views import tables

        zone = self._zone()
        parts = [f"<p class='wb-headline'><strong>{html.escape(self.headline)}</strong></p>", tables.html(self.table, zone=zone)]
        if any(isinstance(kind, pl.Datetime) and kind.time_zone for kind in self.table.schema.values()):
            parts.append(f"<p style='opacity:.7;font-size:12px;margin:0 0 10px'>Times: {html.escape(zone)}</p>")
        if self.layers:
            parts.append(f"<div class='wb-drawing'>{self.drawing(width=560)}</div>")
        parts.append(tables.basis_html(self.basis.lines()))
        return "".join(parts)

    def _zone(self) -> str:
        """The zone in which the question was asked, so that the table's times are those of the sentence; UTC where none was given."""
        for asked in (self.basis.run.get("arguments"), self.basis.parameters):
            zone = asked.get("zone") if isinstance(asked, dict) else None
            if isinstance(zone, str):
                with contextlib.suppress(ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
                    return zoneinfo.ZoneInfo(zone).key
        return "UTC"


@dataclass(frozen=True, eq=False, kw_only=True)
class Surface(Result):
    """Expected incidents by cell. ``expected``, ``lower`` and ``upper`` have shape (len(grid),); ``horizon`` is how far ahead they reach."""

    grid: Grid
    expected: np.ndarray[Any, np.dtype[np.float64]]
    asof: datetime
    horizon: timedelta
    lower: np.ndarray[Any, np.dtype[np.float64]] | None = None
    upper: np.ndarray[Any, np.dtype[np.float64]] | None = None

    def top(self, share: float) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Cells inside the study area with the highest expectation, covering at most ``share`` of its area (at least one cell).

        Ties are broken by cell number, so the answer never depends on chance. O(n log n).
        """
        inside = np.flatnonzero(self.grid.inside)
        k = max(1, int(np.floor(share * len(inside) + 1e-9)))
        order = np.lexsort((inside, -self.expected[inside]))
        return inside[order[:k]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Ranking(Result):
    """Leads in order: each row of ``table`` is something to check, with its reasons and base rate."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Links(Result):
    """An entity graph. Nodes carry ``kind`` and ``label``; edges carry ``kind``, ``label``, ``weight`` and ``evidence`` (list of {table, key, text}).

    ``table`` lists the edges; ``evidence`` has one row an edge and evidence row: source, target, kind, table, key, at, text.
    """

    graph: nx.Graph
    evidence: pl.DataFrame
    centre: str

    def chart(self, **options: Any) -> Any:
        """The link chart as a Jupyter widget."""
        from workbench.views import linkchart

        return linkchart.chart(self.graph, **options)


@dataclass(frozen=True, eq=False, kw_only=True)
class Track(Result):
    """Where one thing was seen, in order of time; ``table`` has one row a sighting."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Matrix(Result):
    """Scores by model and fold: ``scores`` is the long frame (model, origin, share, measure, value); ``table`` is its summary."""

    scores: pl.DataFrame


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan(Result):
    """What could be done: each row of ``table`` is a place, a post or a visit.

    ``gap`` is by how much the best possible plan could be better at most, as a share of this one (0 = none is better, None = not known). ``prices`` has one
    row a condition put on the plan: constraint, expected_lost (incidents), pai, pai_without.
    """

    gap: float | None = None
    prices: pl.DataFrame | None = None


def table_of(given: pl.DataFrame | Result) -> pl.DataFrame:
    """The frame itself; of a result its table, which is known to rest on what the result rests on."""
    if not isinstance(given, Result):
        return given
    table, basis = given.table.clone(), given.basis
    return remember(table, Origin(basis.workspace, dict(basis.versions), given.base, basis.notes, keep=basis.keep), rows=False)


def read(path: str | Path) -> Result:
    """A saved result: headline, table and basis; what it draws and what else its shape holds is made by running it again.

    Raises:
        NotFound: there is no such file. BadInput: it is no saved result, or was changed after it was saved.
    """
    from workbench.results import saving

    return saving.result(saving.read(Path(path)))
