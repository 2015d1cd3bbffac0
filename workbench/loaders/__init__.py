"""How a source's raw records become rows of the canonical tables: one module of this folder, one ``SOURCE``.

A ``Source`` says which raw columns it reads and, for each table it fills, one DuckDB expression a canonical column. Raw columns
reach the expressions as text (VARCHAR, null where the file has nothing), whatever the file's form; see ``loaders.kit.expressions``
for the ready-made ones. An agency's own sources are modules of the same shape, or mapping files
(``loaders.kit.mapped``), in ``plugins/loaders`` of its workspace.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType

from workbench import schema
from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.loaders.kit.expressions import Reading
from workbench.plugins import files, load

#: What a packed file's name ends in, behind the suffix of its form.
PACKED = ("", ".gz", ".zip", ".zst")
FORMATS: dict[str, tuple[str, ...]] = {
    "csv": (".csv", ".txt", ".tsv", ".tab", ".psv"),
    "parquet": (".parquet", ".pq"),
    "ndjson": (".ndjson", ".jsonl"),
    "json": (".json",),
    "xml": (".xml",),
    "excel": (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"),
    "geojson": (".geojson", ".json"),
    "shapefile": (".shp", ".shp.zip"),
    "osm": (".osm.pbf",),
}


@dataclass(frozen=True)
class Part:
    """Rows of one table out of a source's records.

    Args:
        table: the canonical table.
        columns: canonical column -> DuckDB expression over the raw columns; a column left out is null.
        where: which records this part takes; each record goes to the first part that takes it, one that none takes is rejected.
        reject: (condition, reason) pairs on top of the automatic ones, which are: a required column is null ("no started_at"), and
            something was given but cannot be read ("started_at not readable", for columns made with ``loaders.kit.expressions``).
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
        columns: raw columns the expressions use; a file that lacks one is not of this source and is refused. A file's own spelling may
            differ in case, blanks and punctuation ("Case Number" is also case_number).
        optional: raw columns that a file may lack; they are null then.
        also: raw column -> other names that it has in some editions of the export; "{name_field}" = the name said with the load under name_field.
        zone: time zone of its wall-clock times (IANA name).
        formats: forms it comes in, keys of FORMATS; the file's suffix tells which. Each may be packed (gz, zip, zst).
        delimiter: of the CSV form; "" = told from the header.
        encoding: of the text forms; a record with bytes that are not in it is rejected. "" = UTF-8 where the whole file is that, else Windows-1252.
        records: where the records lie: member path of a JSON document ("data.results"; "" = the list it is), tag of an XML element
            (or a path, "alert/info[language:en-US={language}]/area", see ``lake.forms.nested``), sheet of an Excel book ("" = the first).
        asks: what must be said with a load and is not in the file: name -> what it is (``expressions.said``).
        takes: the same, but may be left out; null then.
        beside: code lists that lie beside the file: name -> file name pattern (``expressions.listed``); without the file codes stay without a wording.
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
    records: str = ""
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    asks: Mapping[str, str] = field(default_factory=dict, hash=False)
    takes: Mapping[str, str] = field(default_factory=dict, hash=False)
    beside: Mapping[str, str] = field(default_factory=dict, hash=False)
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

    def mapping_version(self, zone: str | None = None, said: Mapping[str, str] | None = None) -> str:
        """12 hex digits that change when the mapping, the zone, what was said or a table's columns change; the ledger keeps it with each batch."""
        about = asdict(self)
        about.pop("notes"), about.pop("title")
        given = [[e.given for e in part.columns.values() if isinstance(e, Reading)] for part in self.parts]
        shapes = {t: {n: c.type for n, c in schema.table(t).columns.items()} for t in self.tables}
        return hashlib.sha256(json.dumps([about, given, shapes, zone or self.zone, dict(said or {})], sort_keys=True).encode()).hexdigest()[:12]

    def form(self, file: Path) -> str:
        """Which of the source's forms a file has, told by its suffix.

        Raises:
            BadInput: none of them.
        """
        name = file.name.lower()
        for form in self.formats:
            if any(name.endswith(suffix + packed) for suffix in FORMATS[form] for packed in PACKED):
                return form
        shown = ", ".join(s for form in self.formats for s in FORMATS[form])
        raise BadInput(f"{file.name} is not of a form that {self.name} reads; its files end in {shown}, plain or packed (.gz, .zip, .zst).")

    def told(self, said: Mapping[str, str]) -> Source:
        """The same source where a name in ``also`` that stands in braces, "{name_field}", has become what was said under it; in ``records`` too."""
        also = {c: tuple(said.get(n[1:-1], "") if n[:1] + n[-1:] == "{}" else n for n in names) for c, names in self.also.items()}
        records = re.sub(r"\{(\w+)\}", lambda hole: re.sub(r"[\[\]]", "", said.get(hole[1], "")), self.records)
        return replace(self, records=records, also={c: tuple(n for n in names if n) for c, names in also.items()})

    def saying(self, said: Mapping[str, str]) -> dict[str, str]:
        """What was said with a load, checked.

        Raises:
            BadInput: something that must be said was not, or something said is not asked for.
        """
        for name in said:
            if name not in self.asks and name not in self.takes:
                raise BadInput(f"{self.name} does not ask for {name!r}.{did_you_mean(name, [*self.asks, *self.takes])}")
        for name, help in self.asks.items():
            if not said.get(name, "").strip():
                raise BadInput(f"{self.name} needs {name}: {help}. Say it with: --set {name}=...")
        return {n: v.strip() for n, v in said.items() if v.strip()}


def names(plugins: Path | None = None) -> list[str]:
    """The sources there are, sorted; with ``plugins`` also those of an agency's own folder. Nothing is imported."""
    own = {m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg}
    return sorted(own | set(files(plugins)) | set(files(plugins, ".toml")))


def find(name: str, plugins: Path | None = None) -> Source:
    """The source of that name; an agency's own one comes before a built-in one of the same name.

    Raises:
        NotFound: there is none; the message names the nearest.
        BadInput: its module cannot be used; the message says why.
    """
    plugged, written = files(plugins), files(plugins, ".toml")
    if name in plugged and name in written:
        raise BadInput(f"There are two sources {name!r}: {plugged[name].name} and {written[name].name}; rename or remove one of the two files.")
    if name in written:
        from workbench.loaders.kit import mapped

        return mapped.read(written[name])
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
