"""What came of a run: equal, differs, or cannot be told; and the words for what purges and vacuums took away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from workbench.errors import AccessRefused, DataPurged, NotFound, WorkbenchError
from workbench.results import saving
from workbench.session import Workbench, asked

EQUAL, DIFFERS, CANNOT = "equal", "differs", "cannot be told"
#: Exit codes of the command.
CODES = {EQUAL: 0, DIFFERS: 1, CANNOT: 3}
Certificates = Callable[[Path], pl.DataFrame | None]


@dataclass(frozen=True)
class Verdict:
    """``outcome`` is EQUAL, DIFFERS or CANNOT; ``sentence`` says it; ``differences`` and ``notes`` are one sentence each."""

    outcome: str
    sentence: str
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def code(self) -> int:
        """0 equal, 1 differs, 3 cannot be told."""
        return CODES[self.outcome]

    def lines(self) -> list[str]:
        """The verdict for people: the sentence, then what differs, then notes."""
        return [self.sentence, *(f"  - {d}" for d in self.differences), *(f"  note: {n}" for n in self.notes)]


def cannot(why: str, notes: Iterable[str] = (), differences: Iterable[str] = ()) -> Verdict:
    """A verdict that says why nothing can be told."""
    return Verdict(CANNOT, f"It cannot be run again: {why}", tuple(differences), tuple(notes))


def judged(what: str, differences: Iterable[str], notes: Iterable[str]) -> Verdict:
    """Equal where nothing differs."""
    found = tuple(differences)
    if not found:
        return Verdict(EQUAL, f"Equal: {what} came out the same when it was run again from its basis.", (), tuple(notes))
    return Verdict(DIFFERS, f"It differs in {len(found)} place{'' if len(found) == 1 else 's'} from what comes out when it is run again from its basis.",
                   found, tuple(notes))


def opened(workbench: Workbench, versions: Mapping[str, int]) -> Workbench:
    """The same workspace and person at some versions.

    Raises:
        NotFound: a version is not there, or was vacuumed. DataPurged: rows of it were purged.
    """
    return type(workbench)(workbench.path, workbench.person, dict(versions), until=workbench.until)


def purged_since(workbench: Workbench, tables: Iterable[str], since: str | datetime | None, certificates: Certificates | None) -> str:
    """The sentence that names the certificates of purges of some tables since a time; "" where there is none."""
    found = (certificates or asked.certificates)(workbench.path)
    if found is None or found.is_empty():
        return ""
    rows = found.filter(pl.col("table").is_in(sorted(set(tables))), pl.col("rows") > 0)
    if since is not None:
        start = datetime.fromisoformat(since) if isinstance(since, str) else since
        rows = rows.filter(asked.utc(rows, "at") >= start)
    if rows.is_empty():
        return ""
    names = ", ".join(map(str, rows["certificate_id"].unique(maintain_order=True).to_list()))
    held = ", ".join(f"{n:,} of {t}" for t, n in rows.group_by("table", maintain_order=True).agg(pl.col("rows").sum()).iter_rows())
    return f"rows that it rests on may have been purged since ({held}; certificate {names}), so that nothing can be said of equality."


def lost(error: WorkbenchError, workbench: Workbench, tables: Iterable[str], since: str | datetime | None, certificates: Certificates | None) -> Verdict:
    """Why a run could not be made, out of the error that stopped it."""
    if isinstance(error, DataPurged):
        return cannot(f"purged rows prevent it. {error}")
    if isinstance(error, NotFound) and "vacuumed" in str(error):
        purge = purged_since(workbench, tables, since, certificates)
        return cannot(f"purged rows prevent it: {purge}" if purge else f"its versions were vacuumed and no pin spared them. {error}")
    if isinstance(error, AccessRefused):
        return cannot(f"the gate refuses it. {error}")
    return cannot(str(error))


def surroundings(environment: Mapping[str, str], workspace: Mapping[str, str], workbench: Workbench) -> list[str]:
    """Notes on what is another one now: the code, its packages, the workspace's settings and maps."""
    notes = []
    now = saving.environment()
    for name in sorted({*now, *environment}):
        if environment.get(name) != now.get(name):
            notes.append(f"{name} was {environment.get(name, 'not there')}, is {now.get(name, 'not there')}")
    for name, digest in asked.resting(workbench.path).items():
        if workspace.get(name) not in (None, digest):
            notes.append(f"{name} of the workspace was changed since")
    return notes
