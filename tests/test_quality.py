"""The quality report: what is planted in rows is found with its rows, and clean rows give no finding."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import workbench as wb
from workbench import schema
from workbench.errors import NotFound
from workbench.geo import Polygon
from workbench.intake import quality

#: Share of a day's incidents by local hour, as in most towns: fewest before dawn.
HOURS = np.array([4, 3, 2.6, 2.1, 1.6, 1.5, 2, 3, 4, 4.2, 4.4, 4.6, 5.2, 4.8, 5, 5.4, 5.6, 5.8, 5.8, 5.5, 5.2, 5, 4.8, 4.5])


def town(rows: int = 6000, seed: int = 1, **changed: Any) -> pl.DataFrame:
    """Incidents of half a year without a fault, local zone America/Chicago."""
    rng = np.random.default_rng(seed)
    local = [datetime(2026, 2, 1) + timedelta(days=int(d), hours=int(h), minutes=int(m)) for d, h, m in zip(
        rng.integers(0, 28, rows), rng.choice(24, rows, p=HOURS / HOURS.sum()), rng.integers(0, 60, rows), strict=True)]
    lon, lat = rng.uniform(-90.95, -90.85, rows), rng.uniform(41.55, 41.65, rows)
    frame = pl.DataFrame({
        "incident_id": [f"i{n}" for n in range(rows)],
        "started_at": pl.Series(local).dt.replace_time_zone("America/Chicago", ambiguous="earliest").dt.convert_time_zone("UTC").dt.cast_time_unit("us"),
        "offence": rng.choice(["BURGLARY", "THEFT", "ASSAULT"], rows), "nibrs": rng.choice(["220", "23H", "13A"], rows),
        "address": [f"{n} OAK ST" for n in rng.integers(100, 99_999, rows)], "lon": lon, "lat": lat, "beat": rng.choice(["1", "2", "3", "4"], rows),
        "time_precision": [None] * rows, "source": ["town"] * rows, "batch_id": ["b1"] * rows,
        "recorded_at": [datetime(2026, 8, 1, tzinfo=UTC)] * rows,
    }, schema_overrides={"time_precision": pl.String, "recorded_at": pl.Datetime("us", "UTC")})
    return frame.with_columns(**changed)


def level(found: quality.Quality, check: str) -> str:
    return str(found.table.filter(pl.col("check") == check)["level"].item())


def look(frame: pl.DataFrame, **options: Any) -> quality.Quality:
    return quality.check(frame, "incidents", zone="America/Chicago", **options)


def test_rows_without_a_fault_give_no_finding() -> None:
    for seed in range(5):
        found = look(town(seed=seed))
        assert set(found.table["level"]) == {"fine"}, found.table.filter(pl.col("level") != "fine")
        assert "nothing stands out" in found.headline


def test_heaps_at_midnight_noon_and_new_year_are_found_with_their_rows() -> None:
    frame = town()
    day = pl.col("started_at").dt.convert_time_zone("America/Chicago").dt.truncate("1d")
    midnight = frame.with_columns(started_at=pl.when(pl.int_range(pl.len()) < 300).then(day.dt.convert_time_zone("UTC")).otherwise("started_at"))
    found = look(midnight)
    assert level(found, "midnight") == "bad" and level(found, "noon") == "fine"
    behind = found.behind("midnight")
    assert set(f"i{n}" for n in range(300)) <= set(behind["incident_id"])
    at_noon = (day + pl.duration(hours=12)).dt.convert_time_zone("UTC")
    noon = frame.with_columns(started_at=pl.when(pl.int_range(pl.len()) < 100).then(at_noon).otherwise("started_at"))
    assert level(look(noon), "noon") == "doubt"
    first = datetime(2026, 1, 1, 15, 30, tzinfo=UTC)
    january = pl.concat([frame.with_columns(started_at=pl.col("started_at") - pl.duration(days=45)),
                         frame.head(250).with_columns(started_at=pl.lit(first).cast(pl.Datetime("us", "UTC")), incident_id=pl.format("n{}", "incident_id"))])
    assert level(look(january), "1 January") == "bad"


def test_a_clock_in_the_wrong_zone_is_suspected_and_too_few_rows_cannot_tell() -> None:
    for hours in (-6, 6, 9):
        found = look(town(started_at=pl.col("started_at") + pl.duration(hours=hours)))
        assert level(found, "clock of town") == "bad"
        assert f"{abs(hours)} hours {'late' if hours > 0 else 'early'}" in found.headline or any(
            word in found.headline for word in (f"{abs(hours) - 1} hours", f"{abs(hours) + 1} hours")), found.headline
    few = look(town(rows=200))
    assert "I cannot tell" in few.table.filter(pl.col("check") == "clock of town")["says"].item()


def test_a_default_position_is_told_from_a_busy_one_and_the_map_effect_is_counted() -> None:
    first = pl.int_range(pl.len()) < 150
    default = town(lon=pl.when(first).then(-90.9).otherwise("lon"), lat=pl.when(first).then(41.6).otherwise("lat"))
    found = look(default)
    assert level(found, "default position") == "bad" and level(found, "crowded position") == "fine"
    row = found.table.filter(pl.col("check") == "default position").row(0, named=True)
    assert row["rows"] == 150 and "because of them" in row["map"]
    busy = default.with_columns(address=pl.when(first).then(pl.lit("1 MALL DR")).otherwise("address"))
    found = look(busy)
    assert level(found, "default position") == "fine" and level(found, "crowded position") == "doubt"
    assert len(found.layers) == 1 and "<svg" in found._repr_html_()


def test_missing_places_say_which_beat_looks_quieter_than_it_is() -> None:
    gone = pl.col("beat") == "3"
    found = look(town(lon=pl.when(gone).then(None).otherwise("lon"), lat=pl.when(gone).then(None).otherwise("lat")))
    row = found.table.filter(pl.col("check") == "no place").row(0, named=True)
    assert row["level"] == "bad" and "beat that loses most, 3, loses 100.0 %" in row["map"]


def test_rows_outside_the_study_area_or_far_off_are_found() -> None:
    far = town(lon=pl.when(pl.int_range(pl.len()) < 12).then(-80.0).otherwise("lon"))
    assert look(far).behind("outside the area").height == 12
    assert look(far, area=Polygon.box(-90.96, 41.54, -90.84, 41.66)).behind("outside the area").height == 12
    assert level(look(far), "outside the area") == "doubt"


def test_repeats_impossible_times_and_unknown_offences_are_found() -> None:
    frame = town()
    twice = pl.concat([frame, frame.head(40).with_columns(incident_id=pl.format("again{}", "incident_id"))])
    assert look(twice).behind("alike in all but the key").height == 40
    late = town(started_at=pl.when(pl.int_range(pl.len()) < 7).then(pl.col("recorded_at") + pl.duration(days=1)).otherwise("started_at"))
    row = look(late).table.filter(pl.col("check") == "impossible times").row(0, named=True)
    assert row["rows"] == 7 and "7 in the future" in row["says"]
    strange = town(nibrs=pl.when(pl.int_range(pl.len()) < 3000).then(pl.lit("UNKNOWN")).otherwise("nibrs"))
    assert level(look(strange), "unknown offence") == "bad"


def test_a_newer_export_that_differs_from_the_one_before_is_told() -> None:
    first, second = town(seed=1), town(seed=2).with_columns(
        incident_id=pl.format("n{}", "incident_id"), batch_id=pl.lit("b2"), recorded_at=pl.lit(datetime(2026, 9, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")))
    assert level(look(pl.concat([first, second])), "drift of town") == "fine"
    without = pl.when(pl.int_range(pl.len()) < 900).then(None).otherwise("beat")
    renamed = second.with_columns(offence=pl.col("offence").replace("THEFT", "LARCENY"), beat=without)
    row = look(pl.concat([first, renamed])).table.filter(pl.col("check") == "drift of town").row(0, named=True)
    assert row["level"] == "doubt" and "'LARCENY'" in row["says"] and "beat is missing in 15.0 %, was none" in row["says"]


def test_an_empty_table_and_an_unknown_finding_are_said() -> None:
    assert "is empty" in quality.check(schema.table("calls").empty(), "calls").headline
    with pytest.raises(NotFound, match="Did you mean 'midnight'"):
        look(town()).behind("midnigt")


def test_the_command_and_the_notebook_say_the_same(city_path: Path) -> None:
    city = wb.open_workbench(city_path)
    found = city.quality("incidents")
    done = subprocess.run([sys.executable, "-m", "workbench.cli", "quality", "incidents", "-w", str(city_path)], capture_output=True, text=True, check=True)
    assert found.headline in done.stdout
    for check in found.table["check"]:
        assert check in done.stdout
    rows = subprocess.run([sys.executable, "-m", "workbench.cli", "quality", "incidents", "--behind", "no place", "-w", str(city_path)],
                          capture_output=True, text=True, check=True).stdout
    assert len(rows.splitlines()) - 1 == found.behind("no place").height
