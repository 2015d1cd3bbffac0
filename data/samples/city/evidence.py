"""What the books gather besides: arrests, field interviews, warrants, recovered vehicles, and posts collected for a case."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .cast import ROLE
from .dirt import Count
from .incidents import BY_CODE, DAY
from .places import PLACES
from .plane import degrees
from .town import CALL_TIME, Town, jump, lonlat, number, stream, written
from .wall import clock, later

#: First day of the arrests, and of the interviews.
ARRESTS_FROM, INTERVIEWS_FROM = "2026-04-01", "2026-04-15"
_REASONS = ("SUSPICIOUS PERSON", "TRAFFIC STOP", "LOITERING", "MATCHED DESCRIPTION", "CITIZEN COMPLAINT")
_COURTS = ("FAIRWATER DISTRICT COURT", "SORREL COUNTY COURT", "FAIRWATER MUNICIPAL COURT")
_FINDS = ("DRIVABLE", "DRIVABLE", "STRIPPED", "DAMAGED", "BURNED")
#: Where a ring leaves stolen vehicles, and within how many metres.
DROP = ("River Cold Storage", 220.0)
_WORDS = ("Rain again on {s}", "Line is long at the {s} stop tonight", "Who else heard that bang near {s}?", "Great burger by {s}",
          "Power flickered on {s} just now", "Lost a grey cat around {s}", "Match night, whole bar is singing", "Sirens on {s} for ten minutes now")


def _wall(minute: float, seconds: float = 0.0) -> str:
    return str(later(clock(pl.Series([float(minute)])), pl.Series([float(seconds)])).dt.strftime(CALL_TIME)[0])


def write_arrests(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """One row an arrestee of an incident of the last three months."""
    rng = stream("arrests")
    rows = {r["incident_id"]: r for r in town.incidents.filter(pl.col("told") >= number(ARRESTS_FROM) * DAY).iter_rows(named=True)}
    people = {p["id"]: p for p in town.books.rows["person"]}
    out: list[dict[str, Any]] = []
    for part in town.books.rows["involvement"]:
        row = rows.get(part["incident"])
        if part["role"] != "arrestee" or row is None:
            continue
        person, kind = people[part["entity"]], BY_CODE[row["code"]]
        born = date.fromisoformat(person["dob"])
        minute = min(row["told"] + float(rng.integers(5, 600)), 730 * DAY - 30)
        day = date(2024, 7, 1) + timedelta(days=int(minute // DAY))
        at = np.array([row["x"], row["y"]]) + rng.normal(0, 60, 2)
        lon, lat = lonlat(at)
        out.append({
            "Arrest No": f"AR26-{len(out) + 1001:05d}", "Arrest Date": f"{day:%m/%d/%Y}", "Arrest Time": _wall(minute)[11:16], "Person": part["entity"],
            "Incident": row["incident_id"], "Report": row["report_number"], "Charge": f"{kind.offence} - {kind.detail.replace(',', '')}", "Code": row["code"],
            "NIBRS": kind.nibrs, "Age": day.year - born.year - ((day.month, day.day) < (born.month, born.day)), "Sex": person["sex"],
            "Race": str(rng.choice(["W", "B", "A", "U"], p=[0.6, 0.25, 0.08, 0.07])), "Address": row["block"], "Latitude": lat, "Longitude": lon,
            "District": row["district"],
        })
    frame = pl.DataFrame(out, infer_schema_length=None)
    spoils = [(300, "", "", "", "duplicate"), (280, "Arrest Date", "13/45/2026", "Arrest No", "rejected"), (400, "Age", "young", "Arrest No", "rejected"),
              (500, "torn", "", "", "rejected")]
    return written(path, frame, spoils), {"from": ARRESTS_FROM, "arrestees": frame["Person"].n_unique()}


def write_interviews(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """Cards of ordinary stops, and three on which two of the crew stand together, a few streets from a scene to come."""
    rng = stream("interviews")
    crew = town.books.truth["crew"]
    first = number(INTERVIEWS_FROM) * DAY
    ids = [p["id"] for p in town.books.rows["person"][:2500]]
    spots = np.flatnonzero((town.blocks.table["quarter"].is_in(["downtown", "old", "inner"])).to_numpy())
    cards: list[tuple[float, int, list[str], str, str, str]] = []
    for _ in range(130):
        who = [ids[int(k)] for k in rng.choice(len(ids), int(rng.choice([1, 1, 1, 2])), replace=False)]
        cards.append((first + float(rng.integers(0, 76 * DAY)), int(rng.choice(spots)), who, str(rng.choice(_REASONS)), "", "SPOKE TO OFFICER AND LEFT"))
    series = town.placed[0]
    pair = [crew["second_records"]["driver"], crew["people"]["lookout"]]
    planted = []
    for k in (9, 13, 17):
        minute = float(series.minutes[k]) - float(rng.integers(500, 1900))
        block = int(town.blocks.nearest((series.centres[k] + rng.normal(0, 260, 2))[None])[0])
        cards.append((minute, block, pair, "SUSPICIOUS PERSON", town.scene.fleet.plate[ROLE["crew scout"]], "TWO MALES IN A CAR LOOKING AT HOUSES"))
    cards.sort(key=lambda c: c[0])
    out = []
    for number_, (minute, block, who, reason, plate, told) in enumerate(cards):
        here = town.blocks.table.row(block, named=True)
        card = f"FI26-{number_ + 301:04d}"
        if who == pair:
            planted.append(card)
        unit = f"{here['district']}{'ABC'[int(((minute - 420) % 1440) // 480)]}{int(rng.integers(1, 5))}"
        for k, person in enumerate(who):
            others = [w for w in who if w != person]
            out.append({"Card": card, "Line": f"{card}-{k + 1}", "Contact Time": _wall(minute), "Person": person, "With": ";".join(others) or None,
                        "Plate": plate or None, "Reason": reason, "Unit": unit,
                        "Remarks": told, "Address": here["block"], "Latitude": here["lat"], "Longitude": here["lon"], "Beat": here["beat"]})
    frame = pl.DataFrame(out, infer_schema_length=None)
    spoils = [(60, "", "", "", "duplicate"), (50, "Contact Time", "yesterday", "Line", "rejected"), (80, "torn", "", "", "rejected")]
    return written(path, frame, spoils), {"crew_together": planted, "pair": pair}


def write_warrants(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """Warrants on people of the books; one on the crew's leader, issued when his older burglary came to court."""
    rng = stream("warrants")
    ids = [p["id"] for p in town.books.rows["person"][:2500]]
    leader = town.books.truth["crew"]["people"]["leader"]
    out = []
    for k, person in enumerate([*(ids[int(i)] for i in rng.choice(len(ids), 54, replace=False)), leader]):
        kind = BY_CODE[str(rng.choice(["0640", "0810", "1410", "1810", "2110", "1110"]))] if person != leader else BY_CODE["0510"]
        day = number("2026-03-11") if person == leader else int(rng.integers(number("2025-07-01"), 728))
        status = "ACTIVE" if person == leader else str(rng.choice(["ACTIVE", "SERVED", "RECALLED"], p=[0.55, 0.35, 0.1]))
        issued, ends = date(2024, 7, 1) + timedelta(days=day), date(2024, 7, 1) + timedelta(days=day + 365)
        out.append({"Warrant No": f"W26-{k + 5001}", "Issued": f"{issued:%m/%d/%Y}", "Expires": f"{ends:%m/%d/%Y}" if rng.random() < 0.7 else None,
                    "Person": person, "Offense": f"{kind.offence} - {kind.detail.replace(',', '')}", "Offense Code": kind.code,
                    "Court": str(rng.choice(_COURTS)), "Status": status,
                    "Caution": "MAY RUN" if rng.random() < 0.1 else None, "Extradition": str(rng.choice(["IN-STATE", "SURROUNDING STATES", "FULL"]))})
    frame = pl.DataFrame(out, infer_schema_length=None)
    served = frame.filter(pl.col("Status") == "ACTIVE").head(3).with_columns(pl.lit("SERVED").alias("Status"))
    spoils = [(30, "", "", "", "duplicate"), (22, "Issued", "06/31/2026", "Warrant No", "rejected"), (34, "Person", "", "Warrant No", "rejected")]
    count = written(path, frame, spoils, served.write_csv(include_header=False).splitlines())
    return count, {"leader": {"warrant": f"W26-{5001 + 54}", "person": leader}, "active": frame.filter(pl.col("Status") == "ACTIVE").height - 3}


def write_recoveries(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """Stolen vehicles that were found: seven of them within a few hundred metres of one place where a ring leaves them."""
    rng = stream("recoveries")
    vehicles = {v["tag"]: v["id"] for v in town.books.rows["vehicle"]}
    thefts = {r["incident_id"]: r for r in town.incidents.filter(pl.col("code") == "0710").iter_rows(named=True)}
    stolen = [s for s in town.books.truth["stolen"] if not s["read_in_june"]][:16]
    drop = next(p for p in PLACES if p.name == DROP[0])
    out, ring = [], []
    for k, theft in enumerate(stolen):
        row = thefts[theft["incident_id"]]
        left = k % 7 in (0, 3, 5)
        xy = drop.xy + rng.normal(0, DROP[1] / 2.5, 2) if left else jump(town.blocks.xy[int(rng.integers(len(town.blocks)))], 10, rng)
        at = town.blocks.table.row(int(town.blocks.nearest(xy[None])[0]), named=True)
        lon, lat = lonlat(xy)
        minute = row["told"] + float(rng.integers(600, 9000))
        out.append({"Recovery No": f"RV26-{k + 201:04d}", "Vehicle": vehicles[theft["plate"]], "Plate": theft["plate"], "State": "Iowa",
                    "Theft Report": row["report_number"], "Stolen": _wall(row["first"]), "Recovered": _wall(minute),
                    "Condition": str(rng.choice(_FINDS)), "Address": at["block"], "Latitude": lat,
                    "Longitude": lon})
        if left:
            ring.append(out[-1]["Recovery No"])
    frame = pl.DataFrame(out, infer_schema_length=None)
    spoils = [(12, "", "", "", "duplicate"), (10, "Recovered", "2020-01-01 00:00:00", "Recovery No", "rejected"),
              (14, "Recovered", "", "Recovery No", "rejected")]
    lon, lat = (float(v) for v in degrees(drop.xy[None])[0])
    return written(path, frame, spoils), {"drop": {"name": DROP[0], "lon": lon, "lat": lat, "radius_metres": DROP[1]}, "left_there": ring}


def write_posts(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """Posts collected for the glass-door case: one author posts from beside three scenes within the hour, the others from anywhere."""
    rng = stream("posts")
    series = town.placed[1]
    names = sorted(set(town.blocks.table["street_name"].to_list()))
    rows: list[dict[str, Any]] = []

    def post(user: str, minute: float, xy: Any, words: str, photo: bool) -> str:
        stamp = pl.Series([_wall(minute)]).str.to_datetime(CALL_TIME).dt.replace_time_zone("America/Chicago").dt.convert_time_zone("UTC")[0]
        lon, lat = lonlat(xy) if xy is not None else (None, None)
        rows.append({"id": f"T{len(rows) + 70001}", "user_id": user, "created_at": f"{stamp:%Y-%m-%dT%H:%M:%SZ}", "platform": "townsquare", "text": words,
                     "photo": photo, "lat": lat, "lon": lon, "case": "2026-0157", "basis": "court order 26-118"})
        return str(rows[-1]["id"])

    for _ in range(52):
        minute = number("2026-06-01") * DAY + float(rng.integers(0, 30 * DAY))
        at = town.blocks.xy[int(rng.integers(len(town.blocks)))] if rng.random() < 0.4 else None
        street = str(names[int(rng.integers(len(names)))]).title()
        post(f"u{1000 + int(rng.integers(0, 14))}", minute, at, str(rng.choice(_WORDS)).format(s=street), bool(rng.random() < 0.3))
    planted = [post("u2077", float(series.minutes[k]) + float(rng.integers(8, 50)), town.blocks.xy[int(series.blocks[k])] + rng.normal(0, 45, 2), words, True)
               for k, words in ((8, "night shift never ends"), (11, "easy money"), (13, "these doors are a joke"))]
    rows.sort(key=lambda r: (r["created_at"], r["id"]))
    text = [json.dumps({k: v for k, v in r.items() if v is not None}, separators=(",", ":")) for r in rows]
    count = Count(added=len(text), duplicate=2, rejected=3, without_place=sum(r["lat"] is None for r in rows))
    body = [*text, text[4], text[20], json.dumps({**rows[3], "id": "XT1", "created_at": "last night"}), json.dumps({**rows[5], "id": "XT2", "basis": ""}),
            text[9][: len(text[9]) // 2]]
    path.write_text("\n".join(body) + "\n", encoding="utf-8")
    return count, {"case": "2026-0157", "author": "u2077", "near_scenes": planted}
