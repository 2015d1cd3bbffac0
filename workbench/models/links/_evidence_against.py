"""What speaks against a tie: rows of the same tables that contradict it, each with its key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.geo import Plane
from workbench.models.links._evidence_made import Evidence

AGAINST = pl.Schema(
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
_FASTEST = 45.0  # metres a second: who would have had to go faster between two places was not at both
_CUSTODY = 12.0  # hours after an arrest for something else in which somebody may still have been held
_OFFENDED = ("suspect", "arrestee", "arrested for")
_OTHER_PARTS = ("victim", "witness", "reporting party")
_APART = ("different", "ruled out", "not the same")


def against(evidence: Evidence, things: Sequence[str], rows: pl.DataFrame, asof: datetime | None) -> pl.DataFrame:
    """Rows that speak against statements on the paths between things, and against the merges of these. Cost: a few filters of the tables."""
    told: list[dict[str, Any]] = []
    members = {thing: evidence.members(evidence.network.code(thing)) for thing in things}
    for records in members.values():
        if len(records) > 1:
            told += differing(evidence, records["record"].to_list()).to_dicts()
    told += _other_parts(rows)
    told += _elsewhere(evidence, rows, members)
    told += _not_together(rows)
    told += _judged(evidence, members)
    frame = pl.DataFrame(told, schema=AGAINST) if told else pl.DataFrame(schema=AGAINST)
    if asof is not None:
        frame = frame.filter(pl.col("at").is_null() | (pl.col("at") < asof))
    return frame.unique().sort("source", "target", "kind", "table", "key", "text")


def _row(source: str, target: str, kind: str, table: str, key: str, at: Any, text: str) -> dict[str, Any]:
    return {"source": source, "target": target, "kind": kind, "table": table, "key": key, "at": at, "text": text}


def differing(evidence: Evidence, records: Sequence[str]) -> pl.DataFrame:
    """In what records that are held to be one thing contradict each other: date of birth and sex of people, VIN of vehicles."""
    told = []
    for kind, table, key, columns in (
        ("person", "people", "person_id", {"born_on": "date of birth", "sex": "sex"}),
        ("vehicle", "vehicles", "vehicle_id", {"vin": "VIN"}),
    ):
        keys = [r.partition(":")[2] for r in records if r.startswith(f"{kind}:")]
        if len(keys) < 2:
            continue
        held = evidence.held(table, key, keys).sort(key)
        for column, word in columns.items():
            by = held.drop_nulls(column).select(key, pl.col(column).cast(pl.String)).rows()
            other = next((r for r in by if r[1] != by[0][1]), None)
            if other:
                (one, said), (two, also) = by[0], other
                told.append(
                    _row(
                        f"{kind}:{one}",
                        f"{kind}:{two}",
                        f"different {word}",
                        table,
                        two,
                        None,
                        f"{kind} record {one} says {word} {said}, record {two} says {also}",
                    )
                )
    return pl.DataFrame(told, schema=AGAINST)


def _other_parts(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Somebody is in an incident, but as victim or witness."""
    other = rows.filter((pl.col("table") == "involvements") & pl.col("kind").is_in(_OTHER_PARTS) & pl.col("source").str.starts_with("person:"))
    return [
        _row(r["source"], r["target"], f"was {r['kind']}", r["table"], r["key"], r["at"], f"{r['text']}, not a suspect") for r in other.iter_rows(named=True)
    ]


def _elsewhere(evidence: Evidence, rows: pl.DataFrame, members: dict[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """People arrested or stopped, and vehicles read, where they could not have been and be at the incident."""
    to_incident = rows.filter(pl.col("target").str.starts_with("incident:"))
    offended = to_incident.filter(pl.col("source").str.starts_with("person:") & pl.col("kind").is_in(_OFFENDED))
    driven = to_incident.filter(pl.col("source").str.starts_with("vehicle:") & pl.col("kind").is_in(["used", "read near"]))
    pairs = list(
        dict.fromkeys(
            [*offended.select("source", "target").sort("source", "target").rows(), *driven.select("source", "target").sort("source", "target").rows()]
        )
    )
    if not pairs:
        return []
    wanted = sorted({t[9:] for _, t in pairs})
    scenes = {s["incident_id"]: s for s in evidence.held("incidents", "incident_id", wanted).iter_rows(named=True)}
    told: list[dict[str, Any]] = []
    names = sorted({thing for thing, _ in pairs})
    labels = dict(zip(names, evidence.called(pl.Series(names)).to_list(), strict=True))
    for thing, target in pairs:
        scene = scenes.get(target[9:])
        if scene is None:
            continue
        label = labels[thing]
        records = [r.partition(":")[2] for r in members[thing]["record"].drop_nulls().to_list()] if thing in members else []
        what = scene["report_number"] or scene["incident_id"]
        if thing.startswith("person:"):
            told += _held(evidence, thing, target, label, records or [thing[7:]], scene, what)
        else:
            plates = {thing[8:], *(members[thing]["label"].drop_nulls().to_list() if thing in members else [])}
            told += _seen(evidence, thing, target, label, plates, scene, what)
    return told


def _held(evidence: Evidence, thing: str, target: str, label: str, records: Iterable[str], scene: dict[str, Any], what: str) -> list[dict[str, Any]]:
    told = []
    for table, key, time, word in (("arrests", "arrest_id", "arrested_at", "arrested"), ("interviews", "interview_id", "interviewed_at", "stopped")):
        mine = evidence.held(table, "person_id", records).sort(time, key)
        for row in mine.iter_rows(named=True):
            far = _too_far(scene, row[time], row["lon"], row["lat"])
            if far is not None:
                told.append(
                    _row(
                        thing,
                        target,
                        f"{word} elsewhere",
                        table,
                        row[key],
                        row[time],
                        f"{label} was {word} {far:,.0f} m from {what} at {row[time]:%Y-%m-%d %H:%M} UTC, too far to have been at both",
                    )
                )
            elif (
                table == "arrests"
                and row["incident_id"] != scene["incident_id"]
                and (row["report_number"] is None or row["report_number"] != scene["report_number"])
            ):
                hours = (scene["started_at"] - row[time]).total_seconds() / 3600
                if 0 <= hours <= _CUSTODY:
                    told.append(
                        _row(
                            thing,
                            target,
                            "perhaps in custody",
                            table,
                            row[key],
                            row[time],
                            f"{label} was arrested {hours:.1f} hours before {what} for something else, and may still have been held",
                        )
                    )
    return told


def _seen(evidence: Evidence, thing: str, target: str, label: str, plates: set[str], scene: dict[str, Any], what: str) -> list[dict[str, Any]]:
    low, high = (scene["started_at"] - timedelta(hours=1)).timestamp(), ((scene["ended_at"] or scene["started_at"]) + timedelta(hours=1)).timestamp()
    own, at = evidence.places("reads", "plate", plates), evidence.track[0]
    own = own[(at[own] >= low) & (at[own] <= high)]
    told = []
    for row in evidence.facts.reads[own].sort("read_at", "read_id").iter_rows(named=True) if len(own) else ():
        far = _too_far(scene, row["read_at"], row["lon"], row["lat"])
        if far is not None:
            told.append(
                _row(
                    thing,
                    target,
                    "read elsewhere",
                    "reads",
                    row["read_id"],
                    row["read_at"],
                    f"{label} was read by {row['reader']} {far:,.0f} m from {what} at {row['read_at']:%Y-%m-%d %H:%M} UTC, too far to have been at both",
                )
            )
    return told


def _too_far(scene: dict[str, Any], at: datetime, lon: float | None, lat: float | None) -> float | None:
    """Metres to the scene, where no time that the incident can have happened leaves enough to get there; None where it does, or nothing can tell."""
    if None in (lon, lat, scene["lon"], scene["lat"], at, scene["started_at"]):
        return None
    plane = Plane.local(scene["lat"], scene["lon"])
    (x, sx), (y, sy) = plane.to_metres(np.array([lon, scene["lon"]]), np.array([lat, scene["lat"]]))
    metres = float(np.hypot(x - sx, y - sy))
    ends = (scene["started_at"], scene["ended_at"] or scene["started_at"])
    gap = max(abs((at - e).total_seconds()) for e in ends)
    return metres if metres > 1000 and metres > _FASTEST * (gap + 120) else None  # clocks differ by a minute or two


def _not_together(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Two people had one phone, address or vehicle, but at different times by the record."""
    held = rows.filter((pl.col("table") == "associations") & (pl.col("at").is_not_null() | pl.col("until").is_not_null())).sort("target", "at", "source", "key")
    told = []
    for _, group in held.group_by("target", maintain_order=True):
        mine = group.to_dicts()
        for early in mine:
            for late in mine:
                if early["source"] != late["source"] and early["until"] is not None and late["at"] is not None and early["until"] < late["at"].date():
                    told.append(
                        _row(
                            late["source"],
                            late["target"],
                            "not at the same time",
                            "associations",
                            late["key"],
                            late["at"],
                            f"{late['text']}; but {early['text']}",
                        )
                    )
    return told


def _judged(evidence: Evidence, members: dict[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """What people decided: two records, or two things, are not the same, or were ruled out."""
    if evidence.judgements.is_empty():
        return []
    every = {r: thing for thing, records in members.items() for r in [*records["record"].to_list(), thing]}
    names = {r.partition(":")[2]: r for r in every}
    told = []
    for i, row in enumerate(evidence.judgements.iter_rows(named=True)):
        ends = [str(row[c]) if str(row[c]) in every else names.get(str(row[c])) for c in ("left", "right")]
        if None in ends or str(row["verdict"]).lower() not in _APART:
            continue
        one, two = str(ends[0]), str(ends[1])
        at = row.get("at") if isinstance(row.get("at"), datetime) else None
        why = f" ({row['reason']})" if row.get("reason") else ""
        told.append(
            _row(
                one,
                two,
                f"judged {row['verdict']}",
                "judgements",
                str(row.get("judgement_id", i)),
                at,
                f"{row.get('by') or 'somebody'} judged {one} and {two} {row['verdict']}{why}",
            )
        )
    return told
