"""Which files does ``workbench load SOURCE FILE...`` mean, and what came of all of them?

A folder means every file in it, however deep, of a form that the source reads; a quoted glob ("in/*.csv", "in/**/*.csv.gz") what it
matches. Files go in natural order (2 before 10). One that cannot be loaded stops none of the others.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.errors import BadInput, WorkbenchError
from workbench.lake import LoadReport
from workbench.loaders import FORMATS, PACKED, Source

_MAGIC = re.compile(r"[*?\[]")


def chosen(source: Source, given: Iterable[str | Path]) -> list[Path]:
    """The files that are meant, each once, in the order given and in natural order inside a folder or glob.

    Raises:
        BadInput: a folder or glob holds nothing that the source could read.
    """
    found: dict[Path, Path] = {}
    for one in given:
        path = Path(one).expanduser()
        if path.is_dir():
            inside = sorted(_readable(source, _within(path)), key=natural)
            if not inside:
                suffixes = ", ".join(s for form in source.formats for s in FORMATS[form])
                raise BadInput(f"{path} holds no file that {source.name} reads; its files end in {suffixes}, plain or packed (.gz, .zip, .zst).")
        elif _MAGIC.search(str(path)) and not path.exists():
            inside = sorted((p for p in map(Path, glob.glob(str(path), recursive=True)) if p.is_file()), key=natural)
            if not inside:
                raise BadInput(f"No file matches {str(path)!r}.")
        else:
            inside = [path]
        for file in inside:
            found.setdefault(file.absolute(), file)
    return list(found.values())


def widened(source: Source) -> Source:
    """The same source that also reads NDJSON, the form in which feeds, tables and mended records come."""
    return source if "ndjson" in source.formats else replace(source, formats=(*source.formats, "ndjson"))


def fitting(source: Source, file: Path) -> Source:
    """The source as it reads a file: widened for NDJSON, as a feed or a table has left it in the workspace, else itself."""
    return widened(source) if file.name.lower().endswith(tuple(".ndjson" + p for p in PACKED)) else source


def natural(path: Path) -> list[tuple[int, int, str]]:
    """A key by which names sort as people count: file 2 before file 10, upper case beside lower."""
    return [(0, int(t), "") if t.isdecimal() else (1, 0, t) for t in re.split(r"(\d+)", str(path).casefold())]


@dataclass
class Tally:
    """What came of several loads."""

    reports: list[LoadReport] = field(default_factory=list)
    failed: list[tuple[Path, WorkbenchError]] = field(default_factory=list)

    def sentence(self) -> str:
        """One line: files, and records read, new, updated, held already, rejected."""
        n = len(self.reports) + len(self.failed)
        read, added, updated, held, rejected = (sum(getattr(r, k) for r in self.reports) for k in ("read", "added", "updated", "duplicate", "rejected"))
        bad = f", {len(self.failed)} of them could not be loaded" if self.failed else ""
        return (f"{n:,} file{'' if n == 1 else 's'}{bad}: {read:,} records read: {added:,} new, {updated:,} updated, {held:,} held already, "
                f"{rejected:,} rejected.")

    def complaints(self) -> list[str]:
        """One sentence for each file that could not be loaded."""
        return [str(error) if file.name in str(error) else f"{file.name}: {error}" for file, error in self.failed]


def load_each(files: Sequence[Path], load: Callable[[Path], LoadReport], told: Callable[[LoadReport], object]) -> Tally:
    """Load files one after the other; one that cannot be loaded is noted and the next one is tried.

    Args:
        files: which.
        load: loads one.
        told: is given each report as soon as it is there.

    Raises:
        WorkbenchError: there was only one file, and this is what is wrong with it.
    """
    tally = Tally()
    for file in files:
        try:
            report = load(file)
        except WorkbenchError as error:
            if len(files) == 1:
                raise
            tally.failed.append((file, error))
            continue
        tally.reports.append(report)
        told(report)
    return tally


def _within(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".") and f != "__MACOSX"]
        yield from (Path(where, n) for n in names if not n.startswith((".", "~$")))


def _readable(source: Source, files: Iterable[Path]) -> Iterator[Path]:
    """Those of a form that the source reads, without the code lists that only lie beside its files."""
    beside = [pattern.lower() for pattern in source.beside.values()]
    for file in files:
        if any(fnmatch.fnmatch(file.name.lower(), pattern) for pattern in beside):
            continue
        try:
            source.form(file)
        except BadInput:
            continue
        yield file
