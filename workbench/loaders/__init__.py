"""How a source's raw records become rows of the canonical tables: one module of this folder, one ``SOURCE``.

A ``Source`` says which raw columns it reads and, for each table it fills, one DuckDB expression a canonical column. Raw columns
reach the expressions as text (VARCHAR, null where the file has nothing), whatever the file's form; see ``loaders.expressions``
for the ready-made ones. An agency's own sources are modules of the same shape in ``plugins/loaders`` of its workspace.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType

from workbench import schema
from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.loaders.expressions import Reading
from workbench.plugins import files, load

#: Modules of this folder that are not sources.
_NOT_SOURCES = frozenset({"expressions"})
FORMATS: dict[str, tuple[str, ...]] = {
    "csv": (".csv", ".csv.gz", ".csv.zip", ".txt", ".txt.gz", ".tsv", ".tsv.gz", ".tab", ".tab.gz"),
    "parquet": (".parquet",),
    "ndjson": (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz"),
}


@dataclass(frozen=True)
class Part:
    """Rows of one table out of a source's records.

    Args:
        table: the canonical table.
        columns: canonical column -> DuckDB expression over the raw columns; a column left out is null.
        where: which records this part takes; each record goes to the first part that takes it, one that none takes is rejected.
        reject: (condition, reason) pairs on top of the automatic ones, which are: a required column is null ("no started_at"), and
            something was given but cannot be read ("started_at not readable", for columns made with ``loaders.expressions``).
    """

    table: str
    columns: dict[str, str]
    where: str = "true"
    reject: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        wanted = schema.table(self.table).columns
        for name in self.columns:
            if name not in wanted:
                raise BadInput(f"Table {self.table!r} has no column {name!r}.{did_you_mean(name, wanted)}")
        lacking = [n for n, c in wanted.items() if c.required and n not in self.columns]
        if lacking:
            raise BadInput(f"A source that fills {self.table!r} must give {', '.join(lacking)}.")


@dataclass(frozen=True)
class Source:
    """One kind of file and how it is read.

    Args:
        name: as in ``workbench load NAME FILE``; the module's name.
        title: what it is, in a few words.
        parts: the tables it fills.
        columns: raw columns the expressions use; a file that lacks one is not of this source and is refused.
        optional: raw columns that a file may lack; they are null then.
        zone: time zone of its wall-clock times (IANA name).
        formats: forms it comes in, out of "csv", "parquet", "ndjson"; the file's suffix tells which.
        delimiter: of the CSV form.
        encoding: of the text forms; a record with bytes that are not in it is rejected.
        notes: quirks that are handled, one sentence each.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()
    zone: str = "UTC"
    formats: tuple[str, ...] = ("csv",)
    delimiter: str = ","
    encoding: str = "utf-8"
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        tables = [part.table for part in self.parts]
        if not tables or len(set(tables)) != len(tables):
            raise BadInput(f"Source {self.name!r} must fill one table or more, each by one part; it has {tables}.")
        for form in self.formats:
            if form not in FORMATS:
                raise BadInput(f"Source {self.name!r} has the form {form!r}.{did_you_mean(form, FORMATS)}")

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables it fills."""
        return tuple(part.table for part in self.parts)

    def mapping_version(self, zone: str | None = None) -> str:
        """12 hex digits that change when the mapping, the zone or a table's columns change; the ledger keeps it with each batch."""
        said = asdict(self)
        said.pop("notes"), said.pop("title")
        given = [[e.given for e in part.columns.values() if isinstance(e, Reading)] for part in self.parts]
        shapes = {t: {n: c.type for n, c in schema.table(t).columns.items()} for t in self.tables}
        return hashlib.sha256(json.dumps([said, given, shapes, zone or self.zone], sort_keys=True).encode()).hexdigest()[:12]

    def form(self, file: Path) -> str:
        """Which of the source's forms a file has, told by its suffix.

        Raises:
            BadInput: none of them.
        """
        name = file.name.lower()
        for form in self.formats:
            if name.endswith(FORMATS[form]):
                return form
        shown = ", ".join(s for form in self.formats for s in FORMATS[form])
        raise BadInput(f"{file.name} is not of a form that {self.name} reads; its files end in {shown}.")


def names(plugins: Path | None = None) -> list[str]:
    """The sources there are, sorted; with ``plugins`` also those of an agency's own folder. Nothing is imported."""
    own = {m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_SOURCES and not m.name.startswith("_")}
    return sorted(own | set(files(plugins)))


def find(name: str, plugins: Path | None = None) -> Source:
    """The source of that name; an agency's own one comes before a built-in one of the same name.

    Raises:
        NotFound: there is none; the message names the nearest.
        BadInput: its module cannot be used; the message says why.
    """
    plugged = files(plugins)
    if name in plugged:
        return _source(load("source", name, plugged[name]), str(plugged[name]))
    if name not in names():
        raise NotFound(f"There is no source {name!r}.{did_you_mean(name, names(plugins))}")
    return _source(importlib.import_module(f"{__name__}.{name}"), name)


def _source(module: ModuleType, where: str) -> Source:
    found = getattr(module, "SOURCE", None)
    if not isinstance(found, Source):
        raise BadInput(f"{where} must set SOURCE to a workbench.loaders.Source; it has {type(found).__name__}.")
    return found
