"""Gunshot alerts of half a year, the raw arrival times behind a few of them, and the casings that were found."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from .dirt import Count
from .incidents import DAY, HOTSPOTS, moments, risk, within
from .names import pick
from .plane import Floats, degrees
from .town import CALL_TIME, Town, jump, lonlat, number, stream, written
from .wall import ZONE, clock, later

FIRST = "2026-01-01"
#: The planted cluster: name, centre (m), radius, alerts, since, hours.
CLUSTER = ("gunfire, Southbank", (-1150.0, -640.0), 170.0, 64, "2026-03-01", (21.5, 26.5))
#: Degrees Celsius of the night whose sounds were kept, and the speed of sound that goes with it (m/s).
CELSIUS = 18.0
SOUND = 331.3 + 0.606 * CELSIUS
SENSORS = 16


def alerts(town: Town) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Every alert in order of time, with ``x``, ``y``, wall time ``at`` and the truth of the cluster and of the calls behind them."""
    rng = stream("gunshots")
    first, last = number(FIRST) * DAY, 730 * DAY
    danger = risk(town.blocks)["violence"]
    minute = moments("night", "violence", 1500, rng)
    minute = minute[(minute >= first) & (minute < last - 60)][:230]
    spots = jump(town.blocks.xy[pick(rng, danger, len(minute))], 14, rng)
    parts = [_rows(minute, rng.integers(0, 60, len(minute)), spots, "", "")]
    name, centre, radius, n, since, hours = CLUSTER
    days = np.arange(number(since), 729)
    days = days[np.isin(days % 7, (4, 5))]  # day 0 is a Monday: Fridays and Saturdays
    when = rng.choice(days, n) * DAY + 60 * rng.uniform(*hours, n)
    turn, far = rng.uniform(0, 2 * np.pi, n), radius * np.sqrt(rng.random(n))
    parts.append(_rows(when, rng.integers(0, 60, n), np.array(centre) + np.column_stack([np.cos(turn), np.sin(turn)]) * far[:, None], "", ""))
    parts.append(_called(town, first, last, rng))
    fire = first + rng.uniform(0.5, 55, 36)
    parts.append(_rows(fire, rng.integers(0, 60, 36), jump(town.blocks.xy[pick(rng, np.ones(len(town.blocks)), 36)], 14, rng), "", ""))
    frame = pl.concat(parts).sort("minute", "second", "x").with_columns(gunshot_id=pl.format("G26-{}", pl.int_range(pl.len()) + 10_001))
    frame = _heard(frame, first, rng)
    inside = int((np.hypot(frame["x"].to_numpy() - centre[0], frame["y"].to_numpy() - centre[1]) <= radius).sum())
    lon, lat = lonlat(np.array(centre))
    truth = {"cluster": {"name": name, "lon": lon, "lat": lat, "radius_metres": radius, "since": since, "planted": n, "inside": inside, "of": frame.height},
             "with_call": frame.filter(pl.col("call") != "").select("gunshot_id", "call", "report").rows()}
    return frame, truth


def _rows(minute: Floats, second: Any, xy: Floats, call: Any, report: Any) -> pl.DataFrame:
    n = len(minute)
    texts = {k: [v] * n if isinstance(v, str) else v for k, v in (("call", call), ("report", report))}
    return pl.DataFrame({"minute": np.floor(minute), "second": np.asarray(second, dtype=float), "x": xy[:, 0], "y": xy[:, 1], **texts},
                        schema_overrides={"call": pl.String, "report": pl.String})


def _called(town: Town, first: float, last: float, rng: np.random.Generator) -> pl.DataFrame:
    """Alerts that the sensors gave half a minute to two minutes before somebody called: two thirds of the calls of shots that became a report."""
    shots = town.calls.filter((pl.col("call_type") == "SHOTS FIRED") & pl.col("report_number").is_not_null() & pl.col("lon").is_not_null()
                              & pl.col("minute").is_between(first + 5, last - 5)).select("call_number", "report_number", "minute", "second")
    place = town.incidents.unique("report_number", keep="first", maintain_order=True).select("report_number", "x", "y")
    shots = shots.join(place, on="report_number", how="left", maintain_order="left")
    shots = shots.filter(pl.Series(rng.random(len(shots)) < 0.66))
    at = shots["minute"].to_numpy() * 60 + shots["second"].to_numpy() - rng.uniform(30, 120, len(shots))
    spots = jump(shots.select("x", "y").to_numpy(), 18, rng)
    return _rows(np.floor(at / 60), np.floor(at % 60), spots, shots["call_number"].to_list(), shots["report_number"].to_list())


def _heard(frame: pl.DataFrame, first: float, rng: np.random.Generator) -> pl.DataFrame:
    """What the system says of each: kind, rounds, confidence, how far it may be off; around midnight of New Year it is fireworks."""
    n = frame.height
    night = frame["minute"].to_numpy() < first + 60
    rounds = np.where(night, rng.integers(6, 40, n), 1 + rng.poisson(2.6, n))
    kind = np.where(night, "FIREWORKS", np.where(rounds == 1, "SINGLE GUNSHOT", "MULTIPLE GUNSHOTS"))
    at = frame.with_columns(at=clock(frame["minute"])).select((pl.col("at") + pl.duration(seconds=pl.col("second").cast(pl.Int64))).alias("at"))["at"]
    return frame.with_columns(
        at,
        rounds=pl.Series(rounds),
        kind=pl.Series(kind.tolist()),
        sure=pl.Series(np.round(np.where(night, rng.beta(5, 4, n), rng.beta(14, 2, n)), 2)),
        feet=pl.Series(np.round(rng.uniform(30, 130, n)).astype(int)),
    )


def write_alerts(path: Path, town: Town, frame: pl.DataFrame) -> Count:
    """The console's export: some alerts were looked at again later and turned out to be fireworks."""
    ll = degrees(frame.select("x", "y").to_numpy())
    near = town.blocks.nearest(frame.select("x", "y").to_numpy())
    here = town.blocks.table[near].select("block", "beat", "district")
    lost = np.zeros(frame.height, dtype=bool)
    lost[[40, 200]] = True
    out = frame.select(
        pl.col("gunshot_id").alias("Alert"),
        pl.col("at").dt.strftime(CALL_TIME).alias("Fired"),
        pl.col("kind").alias("Classification"),
        pl.col("rounds").alias("Rounds"),
        pl.col("sure").alias("Confidence"),
        pl.col("feet").alias("Accuracy_ft"),
        pl.Series("Latitude", np.where(lost, 0.0, ll[:, 1])),
        pl.Series("Longitude", np.where(lost, 0.0, ll[:, 0])),
        here["block"].alias("Address"),
        here["beat"].alias("Beat"),
        here["district"].alias("District"),
        pl.col("call").replace("", None).alias("CAD Number"),
        pl.col("report").replace("", None).alias("Report Number"),
        pl.when(pl.col("report") != "").then(pl.lit("REPORT")).otherwise(pl.lit("NOTHING FOUND")).alias("Disposition"),
        (pl.col("at") + timedelta(minutes=4)).dt.strftime(CALL_TIME).alias("Revised"),
    )
    again = out[[60, 120, 180, 240]].with_columns(pl.lit("FIREWORKS").alias("Classification"), pl.lit("2026-07-01 05:00:00").alias("Revised"))
    spoils = [(150, "", "", "", "duplicate"), (130, "Fired", "2026-02-31 25:00:00", "Alert", "rejected"), (210, "torn", "", "", "rejected"),
              (170, "Fired", "", "Alert", "rejected")]
    return written(path, out, spoils, again.write_csv(include_header=False).splitlines(), int(lost.sum()))


def write_arrivals(path: Path, frame: pl.DataFrame) -> tuple[Count, dict[str, Any]]:
    """When the sounds of six June alerts reached the sensors about them; one arrival is an echo off a wall."""
    rng = stream("arrivals")
    _, centre, radius, *_ = CLUSTER
    grid = np.array([(centre[0] + 520 * (k % 4 - 1.5), centre[1] + 520 * (k // 4 - 1.5)) for k in range(SENSORS)])
    stand = jump(grid, 60, rng)
    height = np.round(rng.uniform(7, 13, SENSORS), 1)
    near = frame.filter(((pl.col("x") - centre[0]) ** 2 + (pl.col("y") - centre[1]) ** 2 < radius**2) & (pl.col("minute") >= number("2026-06-01") * DAY))
    rows: list[dict[str, Any]] = []
    truth: list[dict[str, Any]] = []
    ll = degrees(stand)
    for alert in near.head(6).iter_rows(named=True):
        source = np.array([alert["x"], alert["y"]]) + rng.normal(0, 6, 2)
        source = np.array([float(v) for v in source])
        fired = np.datetime64(_utc(alert["at"]), "us") + np.timedelta64(int(rng.integers(0, 1_000_000)), "us")
        away = np.hypot(*(stand - source).T)
        heard = np.sort(np.argsort(away, kind="stable")[: int(rng.integers(6, 10))])
        echo = int(heard[-1]) if len(truth) == 2 else -1
        for k in heard:
            seconds = away[k] / SOUND + rng.normal(0, 0.0015) + (0.42 if k == echo else 0.0)
            rows.append({
                "Arrival": f"Q{len(rows) + 1:05d}",
                "Alert": alert["gunshot_id"],
                "Sensor": f"S{k + 1:02d}",
                "Arrived": f"{np.datetime_as_string(fired + np.timedelta64(round(seconds * 1e6), 'us'))}Z",
                "Level dB": round(132 - 20 * np.log10(max(float(away[k]), 1.0)) + rng.normal(0, 2), 1),
                "Sensor Latitude": float(ll[k, 1]),
                "Sensor Longitude": float(ll[k, 0]),
                "Height m": float(height[k]),
            })
        lon, lat = lonlat(source)
        truth.append({"gunshot_id": alert["gunshot_id"], "lon": lon, "lat": lat, "fired_at": f"{np.datetime_as_string(fired)}Z", "sensors": len(heard),
                      "echo": f"S{echo + 1:02d}" if echo >= 0 else None})
    out = pl.DataFrame(rows)
    spoils = [(20, "", "", "", "duplicate"), (26, "Arrived", "2026-06-31T25:00:00Z", "Arrival", "rejected"), (34, "Sensor", "", "Arrival", "rejected")]
    count = written(path, out, spoils)
    return count, {"sound_metres_per_second": round(SOUND, 3), "celsius": CELSIUS, "jitter_seconds": 0.0015, "events": truth}


def _utc(wall: Any) -> Any:
    return pl.Series([wall]).dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC").dt.replace_time_zone(None)[0]


def write_casings(path: Path, town: Town) -> tuple[Count, dict[str, Any]]:
    """Casings of shootings in 2026; one weapon was used at three scenes, another at two, the others at one each."""
    rng = stream("casings")
    armed = town.incidents.filter(pl.col("code").is_in(["0110", "0410"]) & (pl.col("told") >= number(FIRST) * DAY) & pl.col("lon").is_not_null())
    spot = next(s for s in HOTSPOTS if "0410" in s.codes)
    inside = within(armed.select("x", "y").to_numpy(), spot)
    order = [*np.flatnonzero(inside), *np.flatnonzero(~inside)]
    first, second = [int(k) for k in order[:3]], [int(k) for k in order[3:5]]
    chosen = sorted({*first, *second, *(int(k) for k in rng.permutation(len(armed))[:34])})
    rows: list[dict[str, Any]] = []
    for k in chosen:
        row = armed.row(k, named=True)
        weapon = "L26-007" if k in first else "L26-012" if k in second else ""
        calibre = "9MM" if k in first else ".40 S&W" if k in second else str(rng.choice(["9MM", "9MM", ".40 S&W", ".45 AUTO", ".380 AUTO", "5.56MM"]))
        stamp = str(rng.choice(["LARKFIELD", "HX", "NORRIN", "STANTON"]))
        found = later(clock(pl.Series([row["told"]])), pl.Series([float(rng.integers(2400, 9000))])).dt.strftime(CALL_TIME)[0]
        spots = degrees(jump(np.array([[row["x"], row["y"]]] * int(rng.integers(1, 8))), 4, rng))
        for lon, lat in spots:
            rows.append({"Item": f"E26-{len(rows) + 401:05d}", "Report": row["report_number"], "Found": found, "Caliber": calibre, "Head Stamp": stamp,
                         "Group": weapon or None, "Grade": "LEAD" if weapon else None, "Address": row["block"], "Latitude": float(lat),
                         "Longitude": float(lon)})
    out = pl.DataFrame(rows, infer_schema_length=None)
    confirmed = out.filter(pl.col("Group") == "L26-007").head(3).with_columns(pl.lit("CONFIRMED").alias("Grade"))
    spoils = [(55, "", "", "", "duplicate"), (48, "Found", "31/31/2026", "Item", "rejected"), (70, "torn", "", "", "rejected")]
    count = written(path, out, spoils, confirmed.write_csv(include_header=False).splitlines())
    reports = {w: list(dict.fromkeys(out.filter(pl.col("Group") == w)["Report"].to_list())) for w in ("L26-007", "L26-012")}
    return count, {"weapons": reports, "confirmed": confirmed["Item"].to_list()}
