"""The frames a case's links are drawn from, turned into one list of ties and one list of things."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import datetime

import polars as pl

from workbench import plates, schema
from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.models.codes import repeated
from workbench.results import noted, remember
from workbench.schema import TABLES

KINDS = ("incident", "person", "vehicle", "phone", "address")
_KEYS = {
    "incident": ("incidents", "incident_id"),
    "person": ("people", "person_id"),
    "vehicle": ("vehicles", "vehicle_id"),
    "phone": ("phones", "phone_id"),
    "address": ("addresses", "address_id"),
}
TIES = pl.Schema(
    {
        "source": pl.String(),
        "target": pl.String(),
        "kind": pl.String(),
        "table": pl.String(),
        "key": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "text": pl.String(),
    }
)


#: Call-detail records, where the schema has no table of them.
_PHONE_CALLS = pl.Schema(
    {"phone_call_id": pl.String(), "caller": pl.String(), "called": pl.String(), "started_at": pl.Datetime("us", "UTC"), "seconds": pl.Float64()}
)


def _blank(name: str) -> pl.DataFrame:
    return TABLES[name].empty() if name in TABLES else pl.DataFrame(schema=_PHONE_CALLS)


def _empty(name: str) -> pl.DataFrame:
    return field(default_factory=lambda: _blank(name))


def _columns(name: str) -> tuple[list[str], pl.Schema]:
    """The columns that a frame must have, and all it may have with their types."""
    types = _blank(name).schema
    if name not in TABLES:
        return ["phone_call_id", "caller", "called", "started_at"], types
    return [n for n, c in TABLES[name].columns.items() if c.required and n != "nibrs"], types


@dataclass(frozen=True, eq=False)
class Facts:
    """The canonical tables as plain frames; a table that is not given is empty."""

    incidents: pl.DataFrame = _empty("incidents")
    reads: pl.DataFrame = _empty("reads")
    people: pl.DataFrame = _empty("people")
    vehicles: pl.DataFrame = _empty("vehicles")
    phones: pl.DataFrame = _empty("phones")
    addresses: pl.DataFrame = _empty("addresses")
    involvements: pl.DataFrame = _empty("involvements")
    associations: pl.DataFrame = _empty("associations")
    arrests: pl.DataFrame = _empty("arrests")
    interviews: pl.DataFrame = _empty("interviews")
    calls: pl.DataFrame = _empty("calls")
    phone_calls: pl.DataFrame = _empty("phone_calls")

    def __post_init__(self) -> None:
        for each in fields(self):
            frame = getattr(self, each.name)
            required, types = _columns(each.name)
            schema.require(frame, *required, what=f"The {each.name} frame")
            full = frame.with_columns([pl.lit(None, dtype=t).alias(c) for c, t in types.items() if frame.schema.get(c, pl.Null()) == pl.Null()])
            for c, t in types.items():
                if full.schema[c].is_nested() != t.is_nested():
                    raise BadInput(f"Column {c!r} of the {each.name} frame is {full.schema[c]}; it must be {t}.")
            times = [c for c, t in full.schema.items() if isinstance(t, pl.Datetime) or isinstance(types.get(c), pl.Datetime)]
            if full is not frame or times:
                tidied = schema.utc(full, times)
                origin = noted(frame)
                object.__setattr__(self, each.name, tidied if origin is None else remember(tidied, origin, rows=False))

    def before(self, asof: datetime) -> Facts:
        """Only what had happened strictly before ``asof``: incidents begun, reads taken, arrests made, calls received, associations first known."""
        incidents = self.incidents.filter(pl.col("started_at") < asof)
        since = pl.col("since").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return replace(
            self,
            incidents=incidents,
            reads=self.reads.filter(pl.col("read_at") < asof),
            involvements=self.involvements.join(incidents.select("incident_id").unique(), on="incident_id", how="semi"),
            associations=self.associations.filter(pl.col("since").is_null() | (since < asof)),
            arrests=self.arrests.filter(pl.col("arrested_at") < asof),
            interviews=self.interviews.filter(pl.col("interviewed_at") < asof),
            calls=self.calls.filter(pl.col("received_at") < asof),
            phone_calls=self.phone_calls.filter(pl.col("started_at") < asof),
        )

    def once(self) -> Facts:
        """Every row once: of rows with one key (a lake holds none) the first in order of all columns that can be put in order."""
        again = {}
        for each in fields(self):
            frame, key = getattr(self, each.name), self.key(each.name)
            if repeated(frame[key]):
                columns = [c for c, t in frame.schema.items() if not t.is_nested()]
                again[each.name] = frame.sort(columns, maintain_order=True).unique(key, keep="first", maintain_order=True)
        return replace(self, **again) if again else self

    @property
    def call_key(self) -> str:
        """The column that names a row of ``phone_calls``."""
        return TABLES["phone_calls"].key[0] if "phone_calls" in TABLES else "phone_call_id"

    def key(self, table: str) -> str:
        """The column that names a row of a table.

        Raises:
            BadInput: it is no table of these.
        """
        if table not in {f.name for f in fields(self)}:
            raise BadInput(f"{table!r} is no table that evidence can come from.{did_you_mean(table, [f.name for f in fields(self)])}")
        return self.call_key if table == "phone_calls" else TABLES[table].key[0]


def tidy(column: str) -> pl.Expr:
    """A text for comparing: upper case, single blanks."""
    return pl.col(column).str.to_uppercase().str.replace_all(r"\s+", " ").str.strip_chars()


def things(facts: Facts) -> pl.DataFrame:
    """Every thing once a record: record (its key as "kind:key"), id (same for records of one plate, one number or one address), kind, label, detail, lon, lat.

    A vehicle with a plate is "vehicle:<plate>"; phones with the same number, and addresses with the same text, share the id of the first by key.
    """
    none = pl.lit(None, dtype=pl.Float64)
    incidents = facts.incidents.select(
        record=pl.format("incident:{}", "incident_id"),
        id=pl.format("incident:{}", "incident_id"),
        kind=pl.lit("incident"),
        label=pl.coalesce("report_number", "incident_id"),
        detail=pl.concat_str([pl.col("offence").fill_null("incident"), pl.col("started_at").dt.strftime("%Y-%m-%d %H:%M UTC")], separator=", "),
        lon=pl.col("lon").cast(pl.Float64),
        lat=pl.col("lat").cast(pl.Float64),
    )
    name = pl.concat_str([pl.col("given_name"), pl.col("surname")], separator=" ", ignore_nulls=True)
    people = facts.people.select(
        record=pl.format("person:{}", "person_id"),
        id=pl.format("person:{}", "person_id"),
        kind=pl.lit("person"),
        label=pl.when(name == "").then(pl.col("person_id")).otherwise(name),
        detail=pl.format("born {}", pl.col("born_on").cast(pl.String).fill_null("?")),
        lon=none,
        lat=none,
    )
    vehicles = facts.vehicles.select(
        record=pl.format("vehicle:{}", "vehicle_id"),
        id=pl.format("vehicle:{}", pl.coalesce("plate", "vehicle_id")),
        kind=pl.lit("vehicle"),
        label=pl.coalesce("plate", "vehicle_id"),
        detail=pl.concat_str(["colour", "make", "model"], separator=" ", ignore_nulls=True),
        lon=none,
        lat=none,
    )
    phones = facts.phones.select(
        record=pl.format("phone:{}", "phone_id"),
        id=pl.format("phone:{}", pl.col("phone_id").min().over("number")),
        kind=pl.lit("phone"),
        label=pl.col("number"),
        detail=pl.lit(""),
        lon=none,
        lat=none,
    )
    same = pl.coalesce(tidy("address"), "address_id")
    addresses = facts.addresses.with_columns(_same=same).select(
        record=pl.format("address:{}", "address_id"),
        id=pl.format("address:{}", pl.col("address_id").min().over("_same")),
        kind=pl.lit("address"),
        label=pl.coalesce("address", "address_id"),
        detail=pl.lit(""),
        lon=pl.col("lon").cast(pl.Float64),
        lat=pl.col("lat").cast(pl.Float64),
    )
    return pl.concat([incidents, people, vehicles, phones, addresses]).unique("record", keep="first", maintain_order=True)


def ties(facts: Facts, named: pl.DataFrame) -> pl.DataFrame:
    """Every recorded tie, one row an evidence row: source, target, kind, table, key, at, text. ``named`` comes from ``things``. O(rows)."""
    names = named.select("record", "id", "label")
    started = facts.incidents.select("incident_id", "started_at", "report_number", "offence").unique("incident_id", keep="first", maintain_order=True)
    involved = (
        facts.involvements.join(started, on="incident_id", how="inner")
        .with_columns(record=pl.format("{}:{}", "entity_kind", "entity_id"))
        .join(names, on="record", how="left")
    )
    what = pl.coalesce("report_number", "incident_id")
    first = involved.select(
        source=pl.format("incident:{}", "incident_id"),
        target=pl.coalesce("id", "record"),
        kind=pl.col("role"),
        table=pl.lit("involvements"),
        key=pl.col("involvement_id"),
        at=pl.col("started_at"),
        text=pl.format("{} is {} in {} ({})", pl.coalesce("label", "record"), "role", what, pl.col("offence").fill_null("incident")),
    )
    person = names.rename({"record": "source", "id": "_id", "label": "_who"}).drop("_id")
    tied = (
        facts.associations.with_columns(source=pl.format("person:{}", "person_id"), record=pl.format("{}:{}", "entity_kind", "entity_id"))
        .join(names, on="record", how="left")
        .join(person, on="source", how="left")
    )
    until = pl.when(pl.col("until").is_null()).then(pl.lit("")).otherwise(pl.format(" until {}", pl.col("until").cast(pl.String)))
    second = tied.select(
        source=pl.col("source"),
        target=pl.coalesce("id", "record"),
        kind=pl.col("relation"),
        table=pl.lit("associations"),
        key=pl.col("association_id"),
        at=pl.col("since").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        text=pl.format(
            "{} is {} of {}{}{}",
            pl.coalesce("_who", "source"),
            "relation",
            pl.coalesce("label", "record"),
            pl.format(" since {}", pl.col("since").cast(pl.String)).fill_null(""),
            until,
        ),
    )
    shared = started.filter(pl.col("report_number").is_not_null() & (pl.len().over("report_number") > 1)).sort("report_number", "incident_id")
    third = (
        shared.with_columns(_first=pl.col("incident_id").first().over("report_number"))
        .filter(pl.col("_first") != pl.col("incident_id"))
        .select(
            source=pl.format("incident:{}", "_first"),
            target=pl.format("incident:{}", "incident_id"),
            kind=pl.lit("same report"),
            table=pl.lit("incidents"),
            key=pl.col("incident_id"),
            at=pl.col("started_at"),
            text=pl.format("{} is on report {} too", "incident_id", "report_number"),
        )
    )
    every = pl.concat([f.cast(TIES) for f in (first, second, third)])
    return every.filter(pl.col("source") != pl.col("target"))


def resolve(centre: str, facts: Facts, named: pl.DataFrame) -> tuple[str, ...]:
    """The ids that a text names: "kind:key", an incident or report number, a plate, a person's key or name, a telephone number, an address.

    Raises:
        NotFound: nothing is called so.
        BadInput: more than one person (or thing of one kind) is; the message lists them.
    """
    text = str(centre).strip()
    kind, _, key = text.partition(":")
    if kind in KINDS and key:
        hit = named.filter((pl.col("record") == text) | (pl.col("id") == text))
        if len(hit):
            return (hit["id"][0],)
        if kind == "vehicle" and len(facts.reads.filter(pl.col("plate") == plates.normal(key)).head(1)):
            return (f"vehicle:{plates.normal(key)}",)
        text = key
    plate = plates.normal(text)
    digits = "".join(c for c in text if c.isdigit())
    upper = " ".join(text.upper().split())
    tries = [
        (pl.col("kind") == "incident") & (pl.col("record") == f"incident:{text}"),
        (pl.col("kind") == "incident") & (pl.col("label").str.to_uppercase() == upper),
        (pl.col("kind") == "vehicle") & ((pl.col("record") == f"vehicle:{text}") | (pl.col("label") == plate)),
        (pl.col("record") == f"person:{text}") | (pl.col("record") == f"phone:{text}") | (pl.col("record") == f"address:{text}"),
        (pl.col("kind") == "phone") & (pl.col("label").str.replace_all(r"\D", "") == digits) if len(digits) >= 7 else pl.lit(False),
        (pl.col("kind") == "address") & (tidy("label") == upper),
        (pl.col("kind") == "person") & (tidy("label") == upper),
    ]
    for test in tries:
        found = named.filter(test).unique("id", keep="first").sort("id")
        if len(found) == 0:
            continue
        if found["kind"][0] == "incident":
            return tuple(found["id"].to_list())
        if len(found) > 1:
            some = "; ".join(f"{i} {lab}, {d}" for i, lab, d in found.select("id", "label", "detail").head(8).iter_rows())
            raise BadInput(f"{len(found)} records are called {centre!r}: {some}. Give one of these ids.")
        return (found["id"][0],)
    if plate and len(facts.reads.filter(pl.col("plate") == plate).head(1)):
        return (f"vehicle:{plate}",)
    like = named.filter(tidy("label").str.starts_with(upper[:2])).head(2000)["label"].to_list() if upper else []
    raise NotFound(
        f"No incident, report, plate, person, phone or address is called {centre!r} in the tables given." + (did_you_mean(text, like) if like else "")
    )
