"""What was planted, in the words of planted.json, and the hotlist and demo cases that rest on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from .blocks import Blocks
from .cast import CONVOYS, JUNE, ROLE
from .incidents import BY_CODE, DAY, HOTSPOTS, NEAR_REPEATS, START, within
from .places import PLACES
from .plane import SEED, degrees
from .reads import LOOK_ALIKES, Scene
from .records import Books
from .series import Placed
from .traffic import COLOURS, MAKES, REGIONS
from .wall import ZONE, clock


def _times(minutes: Any) -> list[str]:
    return [f"{t:%Y-%m-%d %H:%M}" for t in clock(pl.Series(np.asarray(minutes, dtype=float))).to_list()]


def _lonlat(x: float, y: float) -> dict[str, float]:
    lon, lat = degrees(np.array([[x, y]]))[0]
    return {"lon": float(lon), "lat": float(lat)}


def _places(incidents: pl.DataFrame) -> dict[str, Any]:
    """Hotspots with how many lie inside, and the near repeats with the true parents and children."""
    spots = []
    for s in HOTSPOTS:
        rows = incidents.filter(pl.col("code").is_in(list(s.codes)))
        when = _times([s.since * DAY])[0][:10]
        spots.append(
            {
                "name": s.name,
                "codes": list(s.codes),
                "nibrs": sorted({BY_CODE[c].nibrs for c in s.codes}),
                **_lonlat(s.x, s.y),
                "radius_metres": s.radius,
                "times": s.times,
                "since": when,
                "inside": int(within(rows.select("x", "y").to_numpy(), s).sum()),
                "of": len(rows),
            }
        )
    ids = dict(incidents.select("happened", "incident_id").iter_rows())
    pairs = [[ids[p], ids[h]] for h, p in incidents.select("happened", "parent").iter_rows() if p in ids]
    told = [{"codes": list(k), "children_per_offence": v[0], "mean_metres": v[1], "mean_days": v[2]} for k, v in NEAR_REPEATS.items()]
    attract = [
        {"name": p.name, **_lonlat(p.x, p.y), "codes": ["0620"], "note": "shops draw shoplifters: a concentration, but none that was planted"}
        for p in PLACES
        if p.kind == "mall"
    ]
    return {"hotspots": spots, "near_repeats": {"settings": told, "pairs": len(pairs), "parent_child": pairs}, "attractors": attract}


def _series(placed: list[Placed], blocks: Blocks, books: Books, scene: Scene) -> list[dict[str, Any]]:
    out = []
    for p in placed:
        s = p.series
        following = p.centres[-1] + np.array(s.drift)
        out.append(
            {
                "name": s.name,
                "case_number": s.case_number,
                "offence_code": s.code,
                "mo": s.mo,
                "incident_ids": books.truth["series_incidents"][s.name],
                "true_at": _times(p.minutes),
                "hours": list(s.hours),
                "weekdays_only": s.weekdays,
                "mean_days_between": s.days,
                "drift_metres_east_north": list(s.drift),
                "scatter_metres": s.scatter,
                "positions": [[float(v) for v in blocks.table.select("lon", "lat").row(int(b))] for b in p.blocks],
                "next_centre": _lonlat(*following),
            }
        )
    crew, glass = scene.near_scenes["crew van"], scene.near_scenes["glass doors car"]
    out[0]["crew"] = {
        **books.truth["crew"],
        "van_plate": scene.fleet.plate[ROLE["crew van"]],
        "scout_plate": scene.fleet.plate[ROLE["crew scout"]],
        "june_scenes": crew,
    }
    out[1]["stakeout"] = {
        "plate": scene.fleet.plate[ROLE["glass doors car"]],
        **books.truth["glass doors"],
        "june_scenes": glass,
        "read_near": sum(n["read"] for n in glass),
        "of": len(glass),
    }
    return out


def _traffic(scene: Scene, misread: list[list[str]]) -> dict[str, Any]:
    plate = {name: scene.fleet.plate[row] for name, row in ROLE.items()}
    convoys = [
        {
            "name": c.name,
            "plates": [plate[m] for m in c.members],
            "days_of_june": list(c.days),
            "leaves_about_hour": c.hour,
            "seconds_apart": list(c.gap),
            "note": c.note,
        }
        for c in CONVOYS
    ]
    van_days = sorted({int(p.second // 86400) + 1 for p in scene.passes if p.vehicle == ROLE["crew van"]})
    convoys.append(
        {
            "name": "crew van and scout",
            "plates": [plate["crew scout"], plate["crew van"]],
            "days_of_june": van_days,
            "leaves_about_hour": 11.5,
            "seconds_apart": [9, 30],
            "note": "the scout passes each reader just before the van on days of a burglary",
        }
    )
    clones = [p for p in scene.passes if p.why in ("the owner", "the copy")]
    pairs = [
        {
            "at": f"2026-06-{int(a.second // 86400) + 1:02d}",
            "readers": [scene.readers.name[a.reader], scene.readers.name[b.reader]],
            "seconds": round(b.second - a.second),
            "metres": round(float(np.hypot(*(scene.readers.xy[a.reader] - scene.readers.xy[b.reader])))),
        }
        for a, b in zip(clones[::2], clones[1::2], strict=True)
    ]
    return {
        "convoys": convoys,
        "chance_companions": {
            "plates": [plate["neighbour one"], plate["neighbour two"]],
            "note": "neighbours with one workplace who leave on their own: no convoy",
        },
        "clone": {
            "plate": plate["cloned plate"],
            "make": MAKES[scene.fleet.make[ROLE["cloned plate"]]][0],
            "copy_make": MAKES[scene.fleet.make[ROLE["clone"]]][0],
            "pairs": pairs,
        },
        "fleets": {kind: sorted(p for p, k in zip(scene.fleet.plate, scene.fleet.kind, strict=True) if k == kind) for kind in ("bus", "van")},
        "misreads": {"groups": list(LOOK_ALIKES), "count": len(misread), "read_id_and_true_plate": misread},
    }


def planted(
    incidents: pl.DataFrame, blocks: Blocks, books: Books, placed: list[Placed], scene: Scene, misread: list[list[str]], files: dict[str, Any]
) -> dict[str, Any]:
    """All of planted.json."""
    return {
        "about": "What was planted in Fairwater, a made-up city. Nothing and nobody in it exists.",
        "seed": SEED,
        "scale": scene.scale,
        "zone": ZONE,
        "from": f"{START:%Y-%m-%d}",
        "until": "2026-07-01",
        "reads_from": "2026-06-01",
        "files": files,
        **_places(incidents),
        "series": _series(placed, blocks, books, scene),
        **_traffic(scene, misread),
        "same_person": books.truth["duplicates"],
        "stolen_vehicles": books.truth["stolen"],
        "hotlist": books.truth["hotlist"],
    }


def hotlist(books: Books, scene: Scene, incidents: pl.DataFrame) -> list[dict[str, Any]]:
    """Stolen vehicles, the crew's van once its plate was known, wanted and missing people's cars, and entries that ran out before June."""
    rng = books.rng
    report = dict(incidents.select("incident_id", "report_number").iter_rows())
    told = dict(incidents.select("incident_id", "told").iter_rows())
    fleet = scene.fleet
    out: list[dict[str, Any]] = []

    def entry(plate: str, name: str, reason: str, since: float, days: int, case: str = "", row: int | None = None, make: str = "") -> None:
        a, b = _times([since])[0], _times([since + days * DAY])[0]
        out.append(
            {
                "Entry": f"H{len(out) + 1:04d}",
                "Plate": f"{plate[:3]}-{plate[3:]}" if len(out) % 3 else plate,
                "State": REGIONS[fleet.region[row]] if row is not None else "IA",
                "List": name,
                "Reason": reason,
                "Case": case,
                "Make": MAKES[fleet.make[row]][0] if row is not None else make,
                "Model": MAKES[fleet.make[row]][1][fleet.model[row]] if row is not None else "",
                "Color": COLOURS[fleet.colour[row]] if row is not None else "",
                "Entered": f"{a[5:7]}/{a[8:10]}/{a[:4]} {a[11:]}",
                "Expires": f"{b[5:7]}/{b[8:10]}/{b[:4]} {b[11:]}",
            }
        )

    for theft in books.truth["stolen"]:
        entry(theft["plate"], "stolen", "Stolen vehicle", told[theft["incident_id"]] + 40, 365, report[theft["incident_id"]], make=theft["make"])
    van = ROLE["crew van"]
    entry(fleet.plate[van], "felony vehicle", "Seen at burglaries, do not stop, report", (JUNE + 18) * DAY + 555, 60, "2026-0142", van)
    entry(fleet.plate[ROLE["cloned plate"]], "plate", "Plate may be copied, check vehicle", (JUNE + 25) * DAY + 600, 30, "2026-0171", ROLE["cloned plate"])
    errands = [k for k, kind in enumerate(fleet.kind) if kind in ("errands", "commuter")]
    for name, reason, n, since, days in (
        ("wanted person", "Owner wanted on warrant", 6, JUNE - 40, 180),
        ("missing person", "Missing person's car", 2, JUNE + 6, 30),
        ("plate", "Plate lost or taken", 4, JUNE - 90, 365),
        ("wanted person", "Owner wanted on warrant", 4, JUNE - 120, 90),
    ):
        for k in rng.choice(errands, n, replace=False):
            entry(fleet.plate[k], name, reason, (since + int(rng.integers(3))) * DAY + int(rng.integers(1440)), days, row=int(k))
    ended = [e["Entry"] for e in out if e["Expires"][6:10] + e["Expires"][:2] < "202606"]
    books.truth["hotlist"] = {"entries": len(out), "expired_before_june": ended}
    return out


def cases(books: Books, scene: Scene) -> list[dict[str, Any]]:
    """Four demo cases; the first is the burglary series with the crew behind it."""
    glass = books.truth["series_incidents"]["glass doors"]
    doors = books.truth["series_incidents"]["sliding doors"]
    plate = {name: scene.fleet.plate[row] for name, row in ROLE.items()}

    def case(number: str, title: str, opened: str, reason: str, subjects: list[tuple[str, str]]) -> dict[str, Any]:
        return {
            "case_number": number,
            "title": title,
            "purpose": "investigation",
            "reason": reason,
            "opened_at": opened,
            "subjects": [{"entity": e, "why": w} for e, w in subjects],
        }

    return [
        case(
            "2026-0142",
            "Sliding-door burglaries, east side",
            "2026-05-04T09:00:00-05:00",
            "series of burglaries on weekday mornings",
            [
                (
                    f"incident:{i}",
                    "neighbor noted a van's plate"
                    if k == 8
                    else "victim was called the evening before"
                    if k == 13
                    else "same entry: door lifted off its track",
                )
                for k, i in enumerate(doors)
                if k in (0, 8, 13, 14, 15, 17, 18, 19)
            ],
        ),
        case(
            "2026-0157",
            "Glass-door burglaries, Founders Avenue",
            "2026-05-28T08:30:00-05:00",
            "series of burglaries of small shops at night",
            [(f"incident:{i}", "same entry: rock through the glass door") for i in glass[-8:]],
        ),
        case(
            "2026-0163",
            "Night runs from the county line",
            "2026-06-10T14:00:00-05:00",
            "two cars reported together after midnight",
            [(f"vehicle:{plate['night lead']}", "named by a caller")],
        ),
        case(
            "2026-0171",
            "Copied plate",
            "2026-06-25T10:15:00-05:00",
            "owner says the toll is not theirs",
            [(f"vehicle:{plate['cloned plate']}", "owner's complaint")],
        ),
    ]
