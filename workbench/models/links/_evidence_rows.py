"""Every statement that a table makes about two things, one row a statement: who with whom, how, by which row, when, how strong."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from workbench.errors import BadInput
from workbench.models.links._facts import Facts, tidy

#: One statement a row. ``until``: last known to hold; ``source_record``, ``target_record``: the records it names, where those were merged; ``note``: what
#: the sentence adds behind the two names.
ROWS = pl.Schema(
    {
        "source": pl.String(),
        "target": pl.String(),
        "kind": pl.String(),
        "table": pl.String(),
        "key": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "until": pl.Date(),
        "strength": pl.Float64(),
        "polarity": pl.String(),
        "note": pl.String(),
    }
)
#: How strong one row of a kind is that the two belong together, 0 to 1: a setting of the workbench, not a probability. A conviction would be 1; a
#: record an officer checked .9; what a witness or victim said .6 to .8; a contact .4; passing by .15.
STRENGTH: dict[str, dict[str, float]] = {
    "involvements": {
        "arrestee": 0.9,
        "suspect": 0.7,
        "victim": 0.9,
        "witness": 0.8,
        "reporting party": 0.8,
        "used": 0.8,
        "stolen": 0.9,
        "scene": 0.9,
        "contact": 0.4,
        "co-offending": 0.7,
        "": 0.5,
    },
    "associations": {"owner": 0.9, "driver": 0.8, "subscriber": 0.9, "resident": 0.8, "relative": 0.9, "associate": 0.5, "": 0.5},
    "arrests": {"arrested for": 0.9},
    "interviews": {"stopped with": 0.7, "stopped in": 0.8},
    "incidents": {"same report": 0.9, "happened at": 0.6},
    "calls": {"call at": 0.6, "reported as": 0.9},
    "phone_calls": {"called": 0.6},
    "reads": {"read near": 0.15, "travelled with": 0.5},
}
#: Roles in which two people on one incident may have offended together.
OFFENDERS = ("suspect", "arrestee")
#: Where more people than this have such a role in one incident (a raid, a riot), pairs of them are not made; the incident ties them.
CROWD = 12


def strength(table: str, kind: pl.Expr) -> pl.Expr:
    """The strength of a kind of statement of a table."""
    known = STRENGTH[table]
    if len(known) == 1 or set(known) == {""}:
        return pl.lit(next(iter(known.values())))
    return kind.replace_strict({k: v for k, v in known.items() if k}, default=known.get("", 0.5), return_dtype=pl.Float64())


def _rows(frame: pl.DataFrame, table: str, key: str, **said: pl.Expr) -> pl.DataFrame:
    none = {"at": pl.lit(None, dtype=ROWS["at"]), "until": pl.lit(None, dtype=pl.Date()), "note": pl.lit(None, dtype=pl.String())}
    kind = said["kind"]
    made = {**none, **said, "table": pl.lit(table), "key": pl.col(key).cast(pl.String), "strength": strength(table, kind), "polarity": pl.lit("for")}
    rows = frame.select(made[c].cast(t).alias(c) for c, t in ROWS.items())
    two = (pl.col("source") != pl.col("target")).fill_null(False)
    return rows if rows.select(two.all()).item() else rows.filter(two)


def involved(facts: Facts) -> pl.DataFrame:
    """Person, vehicle, phone or address -> incident. An incident that is not among the incidents given makes no row."""
    began = facts.incidents.select("incident_id", "started_at").unique("incident_id", keep="first")
    return _rows(
        facts.involvements.join(began, on="incident_id", how="inner"),
        "involvements",
        "involvement_id",
        source=pl.format("{}:{}", "entity_kind", "entity_id"),
        target=pl.lit("incident:") + pl.col("incident_id"),
        kind=pl.col("role"),
        at=pl.col("started_at"),
    )


def offended(facts: Facts) -> tuple[pl.DataFrame, int]:
    """Two people with a part as suspect or arrestee in one incident: two rows a pair, each one's own involvement; and how many incidents were too crowded."""
    took = facts.involvements.filter((pl.col("entity_kind") == "person") & pl.col("role").is_in(OFFENDERS))
    took = took.select("incident_id", "involvement_id", "role", who=pl.lit("person:") + pl.col("entity_id")).sort("incident_id", "who", "involvement_id")
    many = took.group_by("incident_id").agg(n=pl.col("who").n_unique()).filter(pl.col("n") > 1)
    crowded = int((many["n"] > CROWD).sum())
    few = took.join(many.filter(pl.col("n") <= CROWD).select("incident_id"), on="incident_id", how="semi")
    began = facts.incidents.select("incident_id", "started_at", what=pl.coalesce("report_number", "incident_id")).unique("incident_id", keep="first")
    pairs = few.join(few, on="incident_id", suffix="_b").filter(pl.col("who") < pl.col("who_b")).join(began, on="incident_id", how="inner")
    halves = []
    for key, role, whose in (("involvement_id", "role", "the first"), ("involvement_id_b", "role_b", "the second")):
        halves.append(
            _rows(
                pairs,
                "involvements",
                key,
                source=pl.col("who"),
                target=pl.col("who_b"),
                kind=pl.lit("co-offending"),
                at=pl.col("started_at"),
                note=pl.format(" in {} (" + whose + " is {})", "what", role),
            )
        )
    return pl.concat(halves).unique(["source", "target", "key"], keep="first", maintain_order=True), crowded


def tied(facts: Facts) -> pl.DataFrame:
    """Person -> vehicle, phone, address or person, as recorded."""
    since = pl.format(" since {}", pl.col("since").cast(pl.String)).fill_null("")
    until = pl.format(" until {}", pl.col("until").cast(pl.String)).fill_null("")
    return _rows(
        facts.associations,
        "associations",
        "association_id",
        source=pl.lit("person:") + pl.col("person_id"),
        target=pl.format("{}:{}", "entity_kind", "entity_id"),
        kind=pl.col("relation"),
        until=pl.col("until"),
        note=since + until,
        at=pl.col("since").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    )


def reports(facts: Facts) -> pl.DataFrame:
    """Incidents on one report: each with the first of it."""
    on = facts.incidents.select("incident_id", "report_number", "started_at").unique("incident_id", keep="first")
    on = on.filter(pl.col("report_number").is_not_null() & (pl.len().over("report_number") > 1)).sort("report_number", "incident_id")
    return _rows(
        on.with_columns(_first=pl.col("incident_id").first().over("report_number")),
        "incidents",
        "incident_id",
        source=pl.lit("incident:") + pl.col("incident_id"),
        target=pl.lit("incident:") + pl.col("_first"),
        kind=pl.lit("same report"),
        at=pl.col("started_at"),
    )


def arrested(facts: Facts) -> pl.DataFrame:
    """Person -> the incident they were arrested for, named itself or by its report (then the first incident of it)."""
    known = facts.incidents.select("incident_id", "report_number").unique("incident_id", keep="first")
    first = known.drop_nulls("report_number").group_by("report_number").agg(_by=pl.col("incident_id").min())
    held = facts.arrests.filter(pl.col("person_id").is_not_null())
    named = held.join(known.select("incident_id", _is="incident_id"), on="incident_id", how="left").join(first, on="report_number", how="left")
    return _rows(
        named,
        "arrests",
        "arrest_id",
        source=pl.lit("person:") + pl.col("person_id"),
        target=pl.lit("incident:") + pl.coalesce("_is", "_by"),
        kind=pl.lit("arrested for"),
        at=pl.col("arrested_at"),
        note=pl.format(" ({})", "charge").fill_null(""),
    )


def interviewed(facts: Facts) -> pl.DataFrame:
    """Person -> the vehicle they were stopped in, and -> each person they were with."""
    cards = facts.interviews.filter(pl.col("person_id").is_not_null())
    why = pl.format(" ({})", "reason").fill_null("")
    who = pl.lit("person:") + pl.col("person_id")
    car = _rows(
        cards,
        "interviews",
        "interview_id",
        source=who,
        target=pl.lit("vehicle:") + pl.col("plate"),
        kind=pl.lit("stopped in"),
        at=pl.col("interviewed_at"),
        note=why,
    )
    together = cards.select("interview_id", "person_id", "with_people", "interviewed_at", "reason").explode("with_people", empty_as_null=True)
    people = _rows(
        together,
        "interviews",
        "interview_id",
        source=who,
        target=pl.lit("person:") + pl.col("with_people"),
        kind=pl.lit("stopped with"),
        at=pl.col("interviewed_at"),
        note=why,
    )
    return pl.concat([car, people])


def placed(facts: Facts) -> pl.DataFrame:
    """Incident -> address, call -> address (where the text is that of an address on record), call -> the incident that was written from it."""
    same = facts.addresses.select(_text=tidy("address"), _at=pl.lit("address:") + pl.col("address_id")).drop_nulls()
    same = same.group_by("_text").agg(pl.col("_at").min())
    happened = facts.incidents.select("incident_id", "started_at", _text=tidy("address")).join(same, on="_text", how="inner")
    called = facts.calls.select("call_id", "received_at", "call_type", "report_number", _text=tidy("address"))
    first = facts.incidents.select("incident_id", "report_number").drop_nulls().group_by("report_number").agg(_first=pl.col("incident_id").min())
    note, call = pl.format(" ({})", "call_type").fill_null(""), pl.lit("call:") + pl.col("call_id")
    return pl.concat(
        [
            _rows(
                happened,
                "incidents",
                "incident_id",
                source=pl.lit("incident:") + pl.col("incident_id"),
                target=pl.col("_at"),
                kind=pl.lit("happened at"),
                at=pl.col("started_at"),
            ),
            _rows(
                called.join(same, on="_text", how="inner"),
                "calls",
                "call_id",
                source=call,
                target=pl.col("_at"),
                kind=pl.lit("call at"),
                at=pl.col("received_at"),
                note=note,
            ),
            _rows(
                called.join(first, on="report_number", how="inner"),
                "calls",
                "call_id",
                source=call,
                target=pl.lit("incident:") + pl.col("_first"),
                kind=pl.lit("reported as"),
                at=pl.col("received_at"),
                note=note,
            ),
        ]
    )


def telephoned(facts: Facts) -> pl.DataFrame:
    """Phone -> phone, one row a call-detail record; a number that is on record is that phone."""
    if facts.phone_calls.is_empty():
        return pl.DataFrame(schema=ROWS)
    known = facts.phones.select(_n=digits("number"), _id=pl.lit("phone:") + pl.col("phone_id")).group_by("_n").agg(pl.col("_id").min())
    calls = facts.phone_calls.with_columns(_a=digits("caller"), _b=digits("called"))
    calls = calls.join(known, left_on="_a", right_on="_n", how="left").join(known, left_on="_b", right_on="_n", how="left", suffix="_b")
    return _rows(
        calls,
        "phone_calls",
        facts.call_key,
        source=pl.coalesce("_id", pl.lit("phone:") + pl.col("_a")),
        target=pl.coalesce("_id_b", pl.lit("phone:") + pl.col("_b")),
        kind=pl.lit("called"),
        at=pl.col("started_at"),
        note=pl.format(" for {} s", pl.col("seconds").cast(pl.Int64)).fill_null(""),
    )


def digits(column: str) -> pl.Expr:
    """A telephone number for comparing: digits alone; null where there are none (a withheld number is nobody's)."""
    bare = pl.col(column).str.replace_all(r"\D", "")
    return pl.when(bare != "").then(bare)


def travelled(facts: Facts, convoys: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Vehicle -> vehicle by the reads at which they passed together, and how many pairs no read bears out (those make no link).

    Raises:
        BadInput: a column is missing.
    """
    gone = [c for c in ("plate", "other", "together", "expected", "p") if c not in convoys.columns]
    if gone:
        raise BadInput(f"The frame of convoys has no column {gone[0]!r}; it needs plate, other, together, expected and p (as models.plates.convoy gives).")
    pairs = convoys.with_row_index("_pair").filter(pl.col("plate") != pl.col("other"))
    reads = facts.reads.select("read_id", "plate", "reader", "read_at").unique("read_id", keep="first")
    if isinstance(convoys.schema.get("evidence"), pl.List):
        seen = pairs.explode("evidence", empty_as_null=True).join(reads.select("read_id", "reader", "read_at"), left_on="evidence", right_on="read_id")
        seen = seen.with_columns(read_id=pl.col("evidence"))
    else:  # passed one reader within five minutes
        mine = pairs.join(reads.select("plate", "reader", _at="read_at", _read="read_id"), on="plate")
        both = mine.join(reads.rename({"plate": "other"}), on=["other", "reader"])
        both = both.filter((pl.col("read_at") - pl.col("_at")).dt.total_seconds().abs() <= 300)
        seen = pl.concat(
            [
                both.drop("_at", "_read"),
                both.drop("read_at", "read_id").rename({"_at": "read_at", "_read": "read_id"}).select(both.drop("_at", "_read").columns),
            ]
        ).unique(["_pair", "read_id"])
    told = pl.format(
        " past {} ({} times together, {} expected by chance, p = {})",
        "reader",
        "together",
        pl.col("expected").cast(pl.Float64).round_sig_figs(2),
        pl.col("p").cast(pl.Float64).round_sig_figs(2),
    )
    made = _rows(
        seen,
        "reads",
        "read_id",
        source=pl.lit("vehicle:") + pl.col("plate"),
        target=pl.lit("vehicle:") + pl.col("other"),
        kind=pl.lit("travelled with"),
        at=pl.col("read_at"),
        note=told,
    )
    return made, pairs.join(seen.select("_pair"), on="_pair", how="anti").height


def stack(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all tables, each once."""
    return pl.concat([pl.DataFrame(schema=ROWS), *parts])
