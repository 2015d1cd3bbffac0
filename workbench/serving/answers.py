"""What may be asked, and how it is answered: a list of methods, nothing outside it; frames in pieces, values as marked JSON."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from workbench.agency import SETTINGS, Agency
from workbench.casebook import Casebook
from workbench.errors import AccessRefused, BadInput, WorkbenchError, did_you_mean
from workbench.results import Origin, origin_of
from workbench.serving.sessions import Session
from workbench.session import Workbench, remote, wire

log = logging.getLogger("workbench.serving")

#: Bytes of a piece of a frame, about; a reader that is slow is sent no more than a few of them ahead.
PIECE = 2_000_000
_BOOK = "casebook."
_OPEN_BOOK = ("cases", "case", "open_case")
_FRAMES = frozenset((*remote.FRAMES, *(_BOOK + n for n in remote.CASE_FRAMES)))
_VALUES = frozenset((*remote.VALUES, *(_BOOK + n for n in remote.CASE_VALUES)))


def frame(session: Session, question: dict[str, Any]) -> tuple[pl.DataFrame, bytes | None]:
    """The frame a question asks for and its origin.

    Raises:
        BadInput: no such question. Whatever the method itself raises.
    """
    method, args, kwargs = _parts(question, _FRAMES)
    with session.lock:
        found = _asked(session.city, method, args, kwargs)
        if not isinstance(found, pl.DataFrame):
            raise WorkbenchError(f"{method} gave no table.")
        return found, wire.pack(_noted(session.city, found)) if method in remote.TRACED else None


def value(session: Session, question: dict[str, Any]) -> bytes:
    """The value a question asks for.

    Raises:
        BadInput: no such question. Whatever the method itself raises.
    """
    method, args, kwargs = _parts(question, _VALUES)
    with session.lock:
        if method == "asof":
            return wire.pack(session.city.asof)
        if method == "refresh":
            return wire.pack(dict(session.city.refresh().versions))
        return wire.pack(_asked(session.city, method, args, kwargs))


def _parts(question: Any, known: frozenset[str]) -> tuple[str, list[Any], dict[str, Any]]:
    if not isinstance(question, dict) or set(question) != {"session", "method", "args", "kwargs"}:
        raise BadInput("A question is a session, a method and its arguments.")
    method, args, kwargs = question["method"], question["args"], question["kwargs"]
    if not isinstance(method, str) or method not in known:
        raise BadInput(f"{str(method)[:60]!r} cannot be asked of a server.{did_you_mean(str(method)[:60], known)}")
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise BadInput("Arguments are a list and a dict.")
    return method, args, kwargs


def _asked(city: Workbench, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    try:
        if method.startswith(_BOOK):
            return _of_casebook(city, method.removeprefix(_BOOK), args, kwargs)
        _fitting(getattr(Workbench, method), city, args, kwargs)
        return getattr(city, method)(*args, **kwargs)
    except WorkbenchError:
        raise
    except (TypeError, ValueError, AttributeError, OverflowError) as e:
        log.warning("%s", method, exc_info=True)
        raise BadInput(f"{method} cannot be asked so ({type(e).__name__}); look at the kinds of its arguments: help(city.{method})") from None


def _of_casebook(city: Workbench, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Ask the casebook as the person of the session; what is about persons needs a case and a purpose."""
    bound = _fitting(getattr(Casebook, name), city, args, kwargs)
    if "user" in inspect.signature(getattr(Casebook, name)).parameters:
        if bound.setdefault("user", city.user) != city.user:
            raise AccessRefused(f"user={bound['user']!r} cannot write at a server: the token is that of {city.user!r}.")
        if bound.pop("at", None) is not None:
            raise AccessRefused("at= cannot be given at a server: what is written has the time at which it is written.")
    about = str(bound.get("case_number", bound.get("lead_id", "all")))
    with city.deed(f"casebook {name.replace('_', ' ')}", about):
        if name not in _OPEN_BOOK and not (city.case and city.purpose):
            raise AccessRefused("What is attached to a case is about plates or persons: a case and a purpose are needed. Open it so: "
                                "city.bind(case='2026-0142', purpose='investigation', reason='who was near the scenes')")
        return getattr(city.casebook, name)(**bound)


def _fitting(method: Callable[..., Any], city: Workbench, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name, as the method takes them.

    Raises:
        BadInput: it does not take them.
    """
    signature = inspect.signature(method)
    if "user" in signature.parameters:
        kwargs = {"user": city.user} | kwargs
    try:
        found = dict(signature.bind(city, *args, **kwargs).arguments)
    except TypeError as e:
        raise BadInput(f"{getattr(method, '__name__', 'The method')} does not take these arguments: {e}.") from None
    found.pop("self", None)
    return found


def _noted(city: Workbench, found: pl.DataFrame) -> dict[str, Any]:
    """The origin of a frame as it can be sent: the session's own workspace and versions, and what else was noted of it."""
    origin = dataclasses.replace(origin_of(found), workspace=city.path.name, versions=dict(city.versions))
    fields = {f.name: getattr(origin, f.name) for f in dataclasses.fields(Origin) if f.name not in ("base", "keep", "permit")}
    return {name: v for name, v in fields.items() if wire.carries(v)}


# ---------------------------------------------------------------------- frames in pieces


def pieces(frame: pl.DataFrame) -> Iterator[Any]:
    """Record batches of about PIECE bytes, each made when it is asked for, so that a long frame is not held twice."""
    rows = max(1, min(1_000_000, int(PIECE * max(1, frame.height) / max(1, frame.estimated_size()))))
    for start in range(0, frame.height, rows):
        yield from frame.slice(start, rows).to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()


def whole(frame: pl.DataFrame, schema: Any) -> Any:
    """The frame as one Arrow table, for columns of categories."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).replace_schema_metadata(schema.metadata)


def schema(frame: pl.DataFrame, noted: bytes | None) -> Any:
    """The Arrow schema of a frame's pieces, its origin in the metadata.

    Raises:
        BadInput: a column is of a kind that Arrow cannot carry unchanged.
    """
    empty = frame.clear().to_arrow(compat_level=pl.CompatLevel.oldest())
    back = pl.from_arrow(empty)
    changed = [c for c, t in frame.schema.items() if back.schema.get(c) != t] if isinstance(back, pl.DataFrame) else frame.columns
    if changed:
        raise BadInput(f"The column {changed[0]!r} ({frame.schema[changed[0]]}) cannot be sent as it is; cast it in the query, e.g. to double or varchar.")
    return empty.schema.with_metadata({remote.lines.ORIGIN: noted} if noted is not None else None)


# ---------------------------------------------------------------------- what a client must know


def opened(session: Session) -> list[bytes]:
    """What a client is told at open: who it is, the versions, the agency's places and words (no settings), and its maps."""
    city = session.city
    agency = city.agency
    told = {f.name: getattr(agency, f.name) for f in dataclasses.fields(Agency) if f.name not in ("folder", "settings", "study_area_file", *SETTINGS)}
    head = {"session": session.key, "workspace": city.path.name, "person": city.person, "versions": dict(city.versions),
            "agency": {name: v for name, v in told.items() if wire.carries(v)}, "study_area": agency.study_area}
    return [wire.pack(head), *(kind.encode() + b"\0" + json.dumps(agency.features(kind), separators=(",", ":")).encode() for kind in agency.maps)]
