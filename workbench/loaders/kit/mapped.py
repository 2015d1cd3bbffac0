"""A source as a mapping file: ``plugins/loaders/NAME.toml`` of a workspace, small enough to be read and edited by the analyst whose export it is.

The head says how the file is read, ``[columns]`` what each canonical column is made of (``loaders.kit.grammar``), ``[lookup.NAME]`` holds
tables of codes. ``place`` stands for ``lon`` and ``lat`` together. Nothing but the functions of the grammar can be written there.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from workbench import schema
from workbench.errors import BadInput, WorkbenchError, did_you_mean
from workbench.loaders import FORMATS, Part, Source
from workbench.loaders.kit import confined
from workbench.loaders.kit.grammar import EXAMPLES, FILLS, Reader, checked
from workbench.loaders.kit.pieces import Place, Raw, Value
from workbench.loaders.kit.times import chain_doubts

LARGEST = 4 << 20
NAME = re.compile(r"[a-z][a-z0-9_]*")
_MOMENTS = ("received", "dispatched", "en_route", "arrived", "cleared", "closed")
#: The key that stands for ``lon`` and ``lat``.
PLACE = "place"
_HEAD = {
    "title": str,
    "table": str,
    "zone": str,
    "formats": list,
    "delimiter": str,
    "encoding": str,
    "records": str,
    "optional": list,
    "where": str,
    "columns": dict,
    "lookup": dict,
    "also": dict,
    "asks": dict,
    "notes": list,
}


@dataclass(frozen=True)
class Written:
    """What a mapping file says, before it is made a source.

    Args:
        name: the source's name.
        table: the canonical table.
        columns: canonical column (or ``place``) -> expression.
        lookups: tables the expressions name.
        comments: canonical column -> what is said of it, written above it.
        head: lines of comment at the top of the file.
        unused: raw columns that are not taken, said at the end.
    """

    name: str
    table: str
    columns: Mapping[str, str]
    title: str = ""
    zone: str = "UTC"
    formats: tuple[str, ...] = ("csv",)
    delimiter: str = ""
    encoding: str = ""
    records: str = ""
    optional: tuple[str, ...] = ()
    where: str = ""
    lookups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asks: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    comments: Mapping[str, str] = field(default_factory=dict)
    head: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def source(self) -> Source:
        """The source that it describes.

        Raises:
            BadInput: an expression, table, zone or form is not one; the message names the column and what would be right.
        """
        table = _table(self.table)
        reader = Reader(self.lookups)
        columns: dict[str, str] = {}
        for column, written in self.columns.items():
            for name, sql in _read(reader, table, column, written).items():
                if name in columns:
                    raise BadInput(f"{name} is given twice, by {column} too.")
                columns[name] = sql
        if self.table == "calls" and "doubts" not in columns:
            columns["doubts"] = chain_doubts(**{m: columns[f"{m}_at"] for m in _MOMENTS if f"{m}_at" in columns})
        where = _where(reader, self.where) if self.where else "true"
        for name, sql in (*columns.items(), ("where", where)):
            _confined(name, sql, reader)
        given = {n: sql for n, sql in columns.items() if sql != "null"}
        lacking = [n for n, c in table.columns.items() if c.required and n not in given]
        if lacking:
            raise BadInput(f"{self.table} needs {', '.join(lacking)}; write e.g. {lacking[0]} = '{EXAMPLES[table.columns[lacking[0]].type]}'.")
        for name in reader.used.asked:
            if name not in self.asks:
                raise BadInput(f'said("{name}") must be asked for under [asks]: {name} = "what it is".')
        used = tuple(reader.used.columns)
        for name in self.optional:
            if name not in used:
                raise BadInput(f"optional names the column {name!r}, which no expression uses.{did_you_mean(name, used)}")
        _zone(self.zone)
        return Source(
            name=self.name,
            title=self.title or f"{self.table} of {self.name}",
            parts=(Part(self.table, given, where),),
            columns=tuple(c for c in used if c not in self.optional),
            optional=self.optional,
            zone=self.zone,
            formats=self.formats,
            delimiter=self.delimiter,
            encoding=self.encoding,
            records=self.records,
            also={k: v for k, v in self.also.items() if k in used},
            asks=dict(self.asks),
            notes=self.notes,
        )


def read(file: Path) -> Source:
    """The source of a mapping file; its name is the file's.

    Raises:
        BadInput: the file is not a mapping; the message names the line, what is wrong and what would be right.
    """
    if file.stat().st_size > LARGEST:
        raise BadInput(f"{file} is too large for a mapping file ({file.stat().st_size:,} bytes).")
    try:
        written = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8 text: {error}.") from None
    return parsed(written, file.stem, str(file)).source()


def parsed(written: str, name: str, where: str = "the mapping") -> Written:
    """The mapping in a text, its expressions read once so that a mistake is told with its line.

    Raises:
        BadInput: see ``read``.
    """
    try:
        data = tomllib.loads(written)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"{where} cannot be read as TOML: {error}. An expression stands in single quotes: offence = 'text(\"Offense\")'.") from None
    _check(data, written, where)
    lookups = {str(n): _texts(t, f"{where}: [lookup.{n}]") for n, t in data.get("lookup", {}).items()}
    found = Written(
        name=name,
        table=data["table"],
        columns=data["columns"],
        title=data.get("title", ""),
        zone=data.get("zone", "UTC"),
        formats=tuple(data.get("formats", ("csv",))),
        delimiter=data.get("delimiter", ""),
        encoding=data.get("encoding", ""),
        records=data.get("records", ""),
        optional=tuple(data.get("optional", ())),
        where=data.get("where", ""),
        lookups=lookups,
        also={k: (v,) if isinstance(v, str) else tuple(v) for k, v in data.get("also", {}).items()},
        asks=_texts(data.get("asks", {}), f"{where}: [asks]"),
        notes=tuple(data.get("notes", ())),
    )
    try:
        table = _table(found.table)
    except WorkbenchError as error:
        raise BadInput(f"{where}, line {_line(written, 'table')}: {error}") from None
    for column, text in found.columns.items():
        try:
            _read(Reader(lookups), table, column, text)
        except WorkbenchError as error:
            raise BadInput(f"{where}, line {_line(written, column, '[columns]')}: {column}: {error}") from None
    try:
        found.source()
    except WorkbenchError as error:
        raise BadInput(f"{where}: {error}") from None
    return found


def write(mapping: Written) -> str:
    """The text of a mapping file, commented; ``parsed`` reads the same mapping out of it."""
    q = _toml
    lines = [f"# {line}".rstrip() for line in mapping.head] + ([""] if mapping.head else [])
    lines += [f"title = {q(mapping.title)}", f"table = {q(mapping.table)}", f"zone = {q(mapping.zone)}", f"formats = [{', '.join(map(q, mapping.formats))}]"]
    if "csv" in mapping.formats:
        lines.append(f"delimiter = {q(mapping.delimiter)}" + ("" if mapping.delimiter else "   # told from the header"))
        lines.append(f"encoding = {q(mapping.encoding)}" + ("" if mapping.encoding else "    # UTF-8 where the whole file is that, else Windows-1252"))
    if mapping.records:
        lines.append(f"records = {q(mapping.records)}")
    if mapping.optional:
        lines.append(f"optional = [{', '.join(map(q, mapping.optional))}]   # columns that a file may lack")
    if mapping.where:
        lines.append(f"where = {_expression(mapping.where)}")
    if mapping.notes:
        lines.append(f"notes = [{', '.join(map(q, mapping.notes))}]")
    lines += ["", "[columns]"]
    for column, written in mapping.columns.items():
        if column in mapping.comments:
            lines.append(f"# {_one_line(mapping.comments[column])}")
        lines.append(f"{column} = {_expression(written)}")
    if mapping.unused:
        lines += ["", "# Columns of the export that are not taken:", *(f"#   {_one_line(n)}" for n in mapping.unused)]
    for name, table in (("also", {k: list(v) for k, v in mapping.also.items()}), ("asks", dict(mapping.asks))):
        if table:
            lines += ["", f"[{name}]", *(f"{q(k)} = {q(v) if isinstance(v, str) else '[' + ', '.join(map(q, v)) + ']'}" for k, v in table.items())]
    for name, codes in mapping.lookups.items():
        lines += ["", f"[lookup.{name}]", *(f"{q(k)} = {q(v)}" for k, v in codes.items())]
    return "\n".join(lines) + "\n"


def _read(reader: Reader, table: schema.Table, column: str, written: str) -> dict[str, str]:
    """The canonical columns that one line of [columns] fills."""
    if column == PLACE:
        if "lon" not in table.columns:
            raise BadInput(f"the table {table.name} has no place.")
    elif column not in table.columns:
        raise BadInput(f"the table {table.name} has no column {column!r}.{did_you_mean(column, [*table.columns, PLACE])}")
    found = reader.read(written)
    if isinstance(found, Raw):
        raise BadInput(f"{written} is a text on its way; what the column holds is read with text({written}) or another function.")
    if isinstance(found, Place):
        if column != PLACE:
            raise BadInput(f"a place fills lon and lat at once; write {PLACE} = '{written}'.")
        return dict(found.columns)
    if column == PLACE:
        if found.kind == "nothing":
            return {}
        raise BadInput(f'place is written degrees("Longitude", "Latitude") or planar("X", "Y", "EPSG:2264"); {written} gives a {found.kind}.')
    return {column: _fitting(found, column, table.columns[column].type, written)}


def _fitting(value: Value, column: str, type_: str, written: str) -> str:
    if type_ not in FILLS[value.kind]:
        raise BadInput(f"{column} is of type {type_}; {written} gives a {value.kind}. Write e.g. {EXAMPLES[type_]}.")
    return value.sql


def _confined(name: str, sql: str, reader: Reader) -> None:
    """Have every SQL that the engine will run for a column looked at, whatever text it was made of."""
    steps = dict(getattr(sql, "steps", ()))
    made = dict.fromkeys((str(sql), *steps.values(), *(getattr(sql, form, "") for form in ("quick", "given", "probe"))))
    try:
        for one in filter(None, made):
            confined.check(one, (*reader.used.columns, *steps))
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None


def _where(reader: Reader, written: str) -> str:
    try:
        found = reader.read(written)
    except WorkbenchError as error:
        raise BadInput(f"where: {error}") from None
    if not isinstance(found, Value) or found.kind != "truth":
        raise BadInput(f'where needs a yes or no, e.g. one_of("Record", "CALL"); it is {written}.')
    return found.sql


def _table(name: str) -> schema.Table:
    return schema.table(name)


def _check(data: dict[str, Any], written: str, where: str) -> None:
    for key, value in data.items():
        if key not in _HEAD:
            raise BadInput(f"{where}, line {_line(written, key)}: there is no key {key!r}.{did_you_mean(key, _HEAD)}")
        if not isinstance(value, _HEAD[key]):
            raise BadInput(f"{where}, line {_line(written, key)}: {key} must be {_kind(_HEAD[key])}; it is {value!r}.")
    for key in ("table", "columns"):
        if key not in data:
            raise BadInput(f"{where} must say {'[columns]' if key == 'columns' else 'its table, e.g. table = ' + chr(34) + 'calls' + chr(34)}.")
    for key in ("formats", "optional", "notes"):
        if not all(isinstance(v, str) for v in data.get(key, ())):
            raise BadInput(f"{where}, line {_line(written, key)}: {key} must be a list of texts.")
    for form in data.get("formats", ()):
        if form not in FORMATS:
            raise BadInput(f"{where}, line {_line(written, 'formats')}: there is no form {form!r}.{did_you_mean(form, FORMATS)}")
    for column, text in data["columns"].items():
        if not isinstance(text, str):
            hint = f"{column} = 'text(\"Column\")'"
            raise BadInput(f"{where}, line {_line(written, column, '[columns]')}: {column} must be an expression in quotes, e.g. {hint}; it is {text!r}.")
    for column, names in data.get("also", {}).items():
        if not (isinstance(names, str) or (isinstance(names, list) and all(isinstance(n, str) for n in names))):
            raise BadInput(f"{where}: [also] {column!r} must be a list of other names of that column.")
    delimiter = data.get("delimiter", "")
    if len(delimiter) > 1 or delimiter in ('"', "\n", "\r") or not delimiter.isascii():
        raise BadInput(f"{where}, line {_line(written, 'delimiter')}: delimiter {delimiter!r} is not one character such as , ; | or \\t.")
    try:
        "".encode(data.get("encoding") or "utf-8")
    except (LookupError, ValueError):
        raise BadInput(f"{where}, line {_line(written, 'encoding')}: there is no encoding {data['encoding']!r}; write e.g. utf-8 or cp1252.") from None
    for text in (data.get("records", ""), data.get("title", ""), *data.get("optional", ())):
        checked(text)


def _texts(table: Any, where: str) -> dict[str, str]:
    if not isinstance(table, dict):
        raise BadInput(f"{where} must be a table of texts.")
    for key, value in table.items():
        if not isinstance(value, str):
            raise BadInput(f"{where} {key!r} must be a text in quotes; it is {value!r}.")
        checked(key), checked(value)
    return dict(table)


def _zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise BadInput(f"there is no time zone {zone!r}; use an IANA name such as 'America/Chicago'.") from None


def _line(written: str, key: str, section: str = "") -> int:
    lines = written.splitlines()
    start = next((i for i, line in enumerate(lines) if line.strip() == section), 0) if section else 0
    wanted = re.compile(rf"""\s*\[?\s*["']?{re.escape(key)}["']?\s*[=\].]""")
    return next((i + 1 for i in range(start, len(lines)) if wanted.match(lines[i])), start + 1)


def _kind(type_: type) -> str:
    return "a text in quotes" if type_ is str else "a list" if type_ is list else "a table"


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _expression(written: str) -> str:
    plain = "'" not in written and all(c.isprintable() for c in written)
    return f"'{written}'" if plain else _toml(written)


def _one_line(text: str | Sequence[str]) -> str:
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029\x85]+", " ", str(text)).encode("utf-8", "replace").decode("utf-8")


def check_column(table: str, column: str, written: str, lookups: Mapping[str, Mapping[str, str]]) -> None:
    """See whether an expression can fill a canonical column.

    Raises:
        BadInput: it cannot; the message says why and what could.
    """
    _read(Reader(lookups), _table(table), column, written)
