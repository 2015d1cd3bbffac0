"""Which files does no version need any more? Pins name the versions that are kept; vacuum deletes what none of them reads.

Kept are: the newest version of every table, every version that was the newest at some time in the last days, and pinned ones. A pin is a
small file in ``_pins``, written when a basis, notebook or briefing names versions that are to be run again. Sidecars go with the last
data file of their owner.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import polars as pl

from workbench.errors import NotFound, did_you_mean
from workbench.lake import keys, layout, tables
from workbench.lake.sweep import sweep
from workbench.lake.view import View

PINS = "_pins"
#: Days for which every version stays readable without a pin.
DAYS = 30.0
#: Seconds after which a file that no version names is taken for left over.
_FORGOTTEN = 3600.0
_LAST = "vacuumed"


@dataclass(frozen=True)
class Vacuumed:
    """What was deleted: data files, and bytes with their sidecars."""

    files: int
    bytes: int


def pin(root: Path, versions: Mapping[str, int], why: str, user: str) -> str:
    """Keep versions from being vacuumed; gives the pin's name, the same for the same versions and reason."""
    said = {"versions": dict(sorted(versions.items())), "why": why, "user": user}
    name = hashlib.sha256(json.dumps([said["versions"], why]).encode()).hexdigest()[:16]
    home = root / PINS
    home.mkdir(parents=True, exist_ok=True)
    if not (home / f"{name}.json").exists():
        part = home / f"{name}.{os.getpid()}.part"
        with part.open("w", encoding="utf-8") as stream:
            json.dump({**said, "pinned_at": datetime.now(UTC).isoformat()}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(home / f"{name}.json")
    return name


def pins(root: Path) -> pl.DataFrame:
    """The pins: name, why, user, pinned_at, versions (table and version as one text), oldest first."""
    rows = []
    for name, said in _pins(root).items():
        versions = ", ".join(f"{t} {v}" for t, v in said["versions"].items())
        rows.append((name, said["why"], said["user"], datetime.fromisoformat(said["pinned_at"]), versions))
    shape: dict[str, pl.DataType | type[pl.DataType]] = {
        "name": pl.String, "why": pl.String, "user": pl.String, "pinned_at": pl.Datetime("us", "UTC"), "versions": pl.String}
    return pl.DataFrame(rows, schema=shape, orient="row").sort("pinned_at", "name")


def unpin(root: Path, name: str) -> None:
    """Take a pin away.

    Raises:
        NotFound: there is no such pin.
    """
    held = _pins(root)
    if name not in held:
        raise NotFound(f"There is no pin {name!r}.{did_you_mean(name, held)}")
    (root / PINS / f"{name}.json").unlink(missing_ok=True)


class Pin(TypedDict):
    """What a pin's file says."""

    versions: dict[str, int]
    why: str
    user: str
    pinned_at: str


def _pins(root: Path) -> dict[str, Pin]:
    home = root / PINS
    return {f.stem: json.loads(f.read_text(encoding="utf-8")) for f in sorted(home.glob("*.json"))} if home.is_dir() else {}


@dataclass(frozen=True)
class Life:
    """When a table's files came and went: file -> (first version with it, first without it or None); and when each version was made (seconds)."""

    files: dict[str, tuple[int, int | None]]
    made: dict[int, float]

    def needed(self, versions: set[int]) -> set[str]:
        """The files that some versions read."""
        ranked = sorted(versions)
        return {f for f, (first, end) in self.files.items() if any(first <= v and (end is None or v < end) for v in ranked)}


def life(root: Path, table: str) -> Life:
    """Read a table's log. About 0.1 ms a version."""
    files: dict[str, tuple[int, int | None]] = {}
    made: dict[int, float] = {}
    logs = sorted(f for f in (root / table / "_delta_log").glob("*.json") if len(f.name) == 25)
    first = int(logs[0].name[:20]) if logs else 0
    if first > 0:
        files = {f: (first, None) for f in tables.listing(root, table, first)[0]}
    for log in logs:
        version = int(log.name[:20])
        made[version] = log.stat().st_mtime
        for line in log.read_bytes().splitlines():
            action = json.loads(line)
            if "add" in action:
                files.setdefault(action["add"]["path"], (version, None))
            elif "remove" in action and action["remove"]["path"] in files:
                files[action["remove"]["path"]] = (files[action["remove"]["path"]][0], version)
            elif "commitInfo" in action and "timestamp" in action["commitInfo"]:
                made[version] = action["commitInfo"]["timestamp"] / 1000
    return Life(files, made)


def kept(root: Path, table: str, lived: Life, days: float) -> set[int]:
    """The versions of a table that stay readable."""
    since = time.time() - days * 86400
    ranked = sorted(lived.made)
    versions = {v for v, after in zip(ranked, ranked[1:], strict=False) if lived.made[after] >= since} | set(ranked[-1:])
    return versions | {int(said["versions"][table]) for said in _pins(root).values() if table in said["versions"]}


def vacuum(root: Path, view: View, *, days: float = DAYS) -> Vacuumed:
    """Delete the files that no kept version reads; the locks of the tables are held in turn. About 0.1 ms a version and file."""
    sweep(root, view)
    (root / PINS).mkdir(parents=True, exist_ok=True)
    (root / PINS / _LAST).touch()
    files = total = 0
    for table in tables.SHAPES:
        if tables.latest(root, table) is None:
            continue
        with tables.locked(root, table):
            lived = life(root, table)
            needed = lived.needed(kept(root, table, lived, days))
            for path in sorted((root / table).glob("*.parquet")):
                unnamed = path.name not in lived.files and time.time() - path.stat().st_mtime < _FORGOTTEN
                if path.name not in needed and not unnamed:
                    total += path.stat().st_size
                    files += 1
                    path.unlink()
            total += tidy(root, table)
    return Vacuumed(files, total)


def due(root: Path) -> bool:
    """Whether the last vacuum was a day ago or more."""
    last = root / PINS / _LAST
    return not last.exists() or time.time() - last.stat().st_mtime > 86400


def tidy(root: Path, table: str) -> int:
    """Delete the sidecars whose data files are gone; gives their bytes."""
    there = {tables.batch_of(f.name) for f in (root / table).glob("*.parquet")}
    total = layout.tidy(root, table)
    home = keys.folder(root, table)
    for owner in {f.stem for f in home.glob("*.*") if f.suffix in (".keys", ".gone")} - there if home.is_dir() else ():
        total += sum(f.stat().st_size for f in home.glob(f"{owner}.*"))
        keys.forget(root, table, owner)
    return total
