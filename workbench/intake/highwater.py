"""How far has each feed been read? The highest value of a column, kept for each source and place in ``in/state.json`` of the workspace.

The next reading begins somewhat before that mark, since a row may be written down late; rows that the lake holds already are then counted as such and
change nothing. A mark is only moved once the rows up to it are in the lake.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from workbench.errors import BadInput

FILE = "state.json"
#: How far before the mark the next reading begins: of times, and of whole numbers.
OVERLAP, OVERLAP_NUMBERS = timedelta(hours=1), 1000
_SPAN = re.compile(r"(\d+)\s*([smhd]?)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)(?:([T ])(\d\d:\d\d(?::\d\d)?)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?)?")


def mark(folder: Path, feed: str) -> Any:
    """The mark of a feed, None when it has not been read yet."""
    return _read(folder / FILE).get(feed, {}).get("mark")


def move(folder: Path, feed: str, value: Any) -> None:
    """Set a feed's mark, unless it stands higher already."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        state = _read(folder / FILE)
        held = state.get(feed, {}).get("mark")
        if held is None or later(value, held):
            state[feed] = {"mark": value, "at": datetime.now(UTC).isoformat(timespec="seconds")}
            write(folder / FILE, state)


def later(a: Any, b: Any) -> bool:
    """Whether a value lies behind another: numbers (also written as text) as numbers, anything else as text."""
    try:
        return float(a) > float(b)
    except (TypeError, ValueError):
        return str(a) > str(b)


def overlap(text: str) -> timedelta | int | None:
    """A span such as "90m", "2h", "3d", or a number of whole numbers; None for "" (the usual ones).

    Raises:
        BadInput: it is neither.
    """
    if not text:
        return None
    found = _SPAN.fullmatch(text.strip().lower())
    if not found:
        raise BadInput(f"{text!r} is no overlap; write a span such as 90m, 2h or 3d, or a whole number for a column of numbers.")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found[2] else int(found[1])


def before(value: Any, by: timedelta | int | None = None) -> Any:
    """Where the next reading begins: the mark less the overlap, written as the mark is. A text that is no time stays as it is."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) or isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        less = by if isinstance(by, int) else OVERLAP_NUMBERS if by is None else 0
        return type(value)(int(value) - less if not isinstance(value, float) else value - less)
    found = _ISO.fullmatch(value) if isinstance(value, str) else None
    span = by if isinstance(by, timedelta) else OVERLAP
    if found is None:
        return value
    if not found[2]:
        return (date.fromisoformat(found[1]) - max(span, timedelta(days=1))).isoformat()
    moment = datetime.fromisoformat(f"{found[1]}T{found[3]}") - span
    return f"{moment:%Y-%m-%d}{found[2]}{moment:{'%H:%M:%S' if len(found[3]) > 5 else '%H:%M'}}{found[4] or ''}{found[5] or ''}"


def ahead(value: Any) -> bool:
    """Whether a value is a time more than a day in the future, which is an error of writing and must not become the mark."""
    found = _ISO.fullmatch(value) if isinstance(value, str) else None
    return found is not None and found[1] > (datetime.now(UTC) + timedelta(days=1)).date().isoformat()


def write(file: Path, value: Any) -> None:
    """A JSON file written whole or not at all, for the user's eyes only; what it says is on the disk when this returns."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False)
        out.flush()
        os.fsync(out.fileno())
    os.replace(part, file)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadInput(f"{file} cannot be read ({error}); take it away to read every feed from its beginning.") from error
    return found if isinstance(found, dict) else {}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open(folder / f".{FILE}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
