"""The evidence graph itself: statements, the things they are about, and the network of them; no tie without a row that can be looked up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench import plates, schema
from workbench.errors import BadInput, NotFound
from workbench.models.codes import Codes, lacking, numbered
from workbench.models.links._evidence_near import Reach
from workbench.models.links._evidence_rows import ROWS
from workbench.models.links._facts import Facts, resolve
from workbench.models.links._network import Flags, Network
from workbench.results import Origin, Prepared, origin_of, remember
from workbench.results.recording import written

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
#: What a statement's sentence says between the two names, by table and kind; {k} is the kind.
_SAYS = {
    "involvements": "is {k} in",
    "associations": "is {k} of",
    "arrests": "was {k}",
    "interviews": "was {k}",
    "incidents": "{k}",
    "calls": "{k}",
    "phone_calls": "{k}",
    "reads": "{k}",
}
_WORDS = {
    "co-offending": "has a part in an incident with",
    "same report": "is on one report with",
    "call at": "came from",
    "reported as": "was reported as",
    "read near": "was read near",
}
_ORDER = ("source", "target", "table", "at", "key", "kind", "source_record", "target_record", "note")
_KINDS = ("person", "vehicle", "phone", "address", "incident", "call", "other")


class Evidence(Prepared):
    """Statements about things, ready to be asked; made by ``workbench.models.links.evidence.build``.

    Attributes (s statements, n things):
        frame: the statements, shape (s,): source, target ("kind:key"), kind, table, key, at, until, strength (0 to 1), polarity, note, source_record,
            target_record (the records the row names, where those were merged into one thing).
        nodes: the things, in order of id, shape (n,): id, kind, label, detail, lon, lat.
        records: what each record is called and which thing it belongs to, in order: record, id, kind, label, detail.
        network: the compact arrays; edge e rests on the rows ``network.statements([e])`` of ``frame``.
        steps, judgements: how records were merged and what people decided, as given.
        notes: what was left out, one sentence each.
    """

    maker = "workbench.models.links.evidence:build"

    def __init__(
        self,
        facts: Facts,
        statements: pl.DataFrame,
        nodes: pl.DataFrame,
        records: pl.DataFrame,
        *,
        reach: Reach,
        notes: Sequence[str] = (),
        steps: pl.DataFrame | None = None,
        judgements: pl.DataFrame | None = None,
        made: dict[str, Any] | None = None,
    ) -> None:
        """Raises BadInput where a statement names no row, or a row that is not in its table: no tie exists without evidence."""
        schema.require(statements, *ROWS, what="The statements frame")
        _borne_out(facts, statements)
        self.facts, self.nodes, self.records, self.reach, self.notes, self.made = facts, nodes, records, reach, tuple(notes), made or {}
        self.steps = pl.DataFrame() if steps is None else steps
        self.judgements = pl.DataFrame() if judgements is None else judgements
        self.frame = remember(statements, _origin(facts, self.notes), rows=False)
        source, target = numbered(nodes["id"], statements["source"], statements["target"])
        if len(source) and min(int(source.min()), int(target.min())) < 0:
            row = int(np.flatnonzero((source < 0) | (target < 0))[0])
            raise BadInput(f"A statement is about {statements['source'][row]!r} and {statements['target'][row]!r}, of which one is not among the things given.")
        self.network = Network(self.frame, nodes["id"], source, target)

    @cached_property
    def said(self) -> dict[str, Any]:
        """How a recorded run writes it: ``build`` with what it was given."""
        return {"$": "result", "of": self.maker, "v": {k: written(v) for k, v in self.made.items()}}

    def __len__(self) -> int:
        return self.frame.height

    def find(self, name: str) -> list[int]:
        """The numbers of the things that a text names: "kind:key", or what ``links.case`` takes. O(log n) for "kind:key".

        Raises:
            NotFound: nothing is called so. BadInput: more than one thing is.
        """
        text = str(name).strip()
        for frame, column in ((self.nodes, "id"), (self.records, "record")):
            i = int(frame[column].search_sorted(text)) if frame.height else 0
            if i < frame.height and frame[column][i] == text:
                return [self.network.code(frame["id"][i])]
        plate = f"vehicle:{plates.normal(text.removeprefix('vehicle:'))}"
        i = int(self.nodes["id"].search_sorted(plate)) if self.nodes.height else 0
        if i < self.nodes.height and self.nodes["id"][i] == plate:
            return [i]
        try:
            return sorted({self.network.code(f) for f in resolve(text, self.facts, self.records)})
        except NotFound:
            raise NotFound(
                f"Nothing is called {name!r} in the {self.nodes.height:,} things of this graph; give 'kind:key', a report number, a plate, a name, "
                "a telephone number or an address."
            ) from None

    def held(self, table: str, column: str, keys: Iterable[str]) -> pl.DataFrame:
        """The rows of a table with one of these values in a column of texts; O(rows) at the first asking of a column, then O(rows found)."""
        frame: pl.DataFrame = getattr(self.facts, table)
        return frame[self.places(table, column, keys)]

    def places(self, table: str, column: str, keys: Iterable[str]) -> Ints:
        """Row numbers of ``held``, in order of key and row."""
        kept = self.__dict__.setdefault("_held", {})
        if (table, column) not in kept:
            texts = getattr(self.facts, table)[column]
            names = texts.unique().drop_nulls()
            (code,) = numbered(names, texts)
            order = np.argsort(code, kind="stable")
            kept[table, column] = dict(zip(names.to_list(), range(len(names)), strict=True)), order, np.searchsorted(code[order], np.arange(len(names) + 1))
        names, order, first = kept[table, column]
        found = [order[first[names[k]] : first[names[k] + 1]] for k in sorted(set(keys)) if k in names]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    @cached_property
    def track(self) -> tuple[Ints, Floats, Floats]:
        """Of the reads: seconds since 1970, lon and lat (nan where there is none)."""
        reads = self.facts.reads
        lon, lat = (reads[c].cast(pl.Float64).fill_null(float("nan")).to_numpy() for c in ("lon", "lat"))
        return reads["read_at"].dt.epoch("s").to_numpy(), lon, lat

    @cached_property
    def reading(self) -> tuple[datetime, datetime] | None:
        """From when to when there are reads."""
        low, high = self.facts.reads["read_at"].min(), self.facts.reads["read_at"].max()
        return (low, high) if isinstance(low, datetime) and isinstance(high, datetime) else None

    def members(self, code: int) -> pl.DataFrame:
        """The records that one thing was merged from."""
        return self.records[self._members[1][self._members[0][code] : self._members[0][code + 1]]]

    @cached_property
    def _members(self) -> tuple[Ints, Ints]:
        (owner,) = numbered(self.nodes["id"], self.records["id"])
        order = np.argsort(owner, kind="stable")
        return np.searchsorted(owner[order], np.arange(self.nodes.height + 1)), order

    def statements(self, rows: Any) -> pl.DataFrame:
        """Statements by row number, with their sentence ``text``, in an order that does not depend on that of the tables. A few milliseconds."""
        some = self.frame[np.asarray(rows, dtype=np.int64)].sort(*_ORDER)
        names = pl.concat([some["source_record"], some["target_record"]]).unique()
        labels = pl.DataFrame({"record": names, "label": self.called(names)})
        both = some.join(labels, left_on="source_record", right_on="record", how="left", maintain_order="left")
        both = both.join(labels, left_on="target_record", right_on="record", how="left", suffix="_b", maintain_order="left")
        says = pl.coalesce(
            pl.col("kind").replace_strict(_WORDS, default=None, return_dtype=pl.String()),
            pl.col("table").replace_strict(_SAYS, default="{k}", return_dtype=pl.String()),
        )
        says = pl.concat_str(
            [
                says.str.split("{k}").list.first(),
                pl.when(says.str.contains("{k}", literal=True)).then("kind").otherwise(pl.lit("")),
                says.str.split("{k}").list.get(1, null_on_oob=True).fill_null(""),
            ]
        )
        shown = [
            pl.col(label) + pl.when(pl.col(record) == pl.col(thing)).then(pl.lit("")).otherwise(pl.format(" [{}]", record))
            for label, record, thing in (("label", "source_record", "source"), ("label_b", "target_record", "target"))
        ]
        return both.with_columns(text=pl.concat_str([shown[0], says, shown[1]], separator=" ") + pl.col("note").fill_null("")).select(*some.columns, "text")

    def called(self, names: pl.Series) -> pl.Series:
        """What records or things are called; those that no record describes by their own key."""
        out: list[str | None] = [None] * len(names)
        for frame, column in ((self.records, "record"), (self.nodes, "id")):
            if frame.height and len(names):
                at = np.minimum(np.atleast_1d(frame[column].search_sorted(names)), frame.height - 1).astype(np.uint32)
                found = frame.select(column, "label")[at]
                same = (found[column] == names).to_list()
                out = [o or (n if s else None) for o, n, s in zip(out, found["label"].to_list(), same, strict=True)]
        return pl.Series("label", [o or str(n).partition(":")[2] for o, n in zip(out, names.to_list(), strict=True)], dtype=pl.String)

    @cached_property
    def kinds(self) -> tuple[tuple[str, ...], Codes]:
        """The kinds of things, and the number of each thing's kind, shape (n,)."""
        place = pl.col("kind").replace_strict({k: i for i, k in enumerate(_KINDS)}, default=len(_KINDS) - 1, return_dtype=pl.Int32())
        return _KINDS, np.ascontiguousarray(self.nodes.select(place).to_series().to_numpy())

    def before(self, asof: datetime | None) -> Flags:
        """1 for each edge with a statement before a moment or without a time; empty: all edges may be used. 15 ms for 5 M, once for a moment."""
        if asof is None:
            return np.zeros(0, dtype=np.uint8)
        if asof not in self._flags:
            okay = self.frame.select((pl.col("at").is_null() | (pl.col("at") < asof)).cast(pl.UInt8)).to_series().to_numpy()
            net = self.network
            self._flags.clear()
            self._flags[asof] = np.maximum.reduceat(okay[net.rows], net.stated[:-1]) if net.edges else np.zeros(0, dtype=np.uint8)
        return self._flags[asof]

    @cached_property
    def _flags(self) -> dict[datetime, Flags]:
        return {}


def _origin(facts: Facts, notes: Sequence[str]) -> Origin:
    found = origin_of(*(getattr(facts, f.name) for f in fields(facts)))
    return replace(found, calls=(), notes=tuple(dict.fromkeys((*found.notes, *notes))))


def _borne_out(facts: Facts, statements: pl.DataFrame) -> None:
    """Refuse statements without a row of evidence."""
    for column in ("source", "target", "kind", "table", "key"):
        if statements[column].null_count():
            raise BadInput(f"{statements[column].null_count()} statements have no {column}: a link cannot exist without the row that says it.")
    if (statements["source"] == statements["target"]).any():
        raise BadInput("A statement ties a thing to itself.")
    if len(statements) and not statements.select(pl.col("strength").is_between(0, 1).fill_null(False).all()).item():
        raise BadInput("Strengths must be 0 to 1, and every statement needs one.")
    for table in statements["table"].unique().sort().to_list():
        key = facts.key(table)
        held = getattr(facts, table)[key].cast(pl.String)
        named = statements.filter(pl.col("table") == table)["key"]
        lost = lacking(held, named)
        if lost >= 0:
            raise BadInput(f"A statement rests on the row {named[lost]!r}, which is not in {table}: a link cannot exist without the row that says it.")
