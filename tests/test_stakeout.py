"""Plates near several scenes: planted ones found, none on shuffled days, chance counted right."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, CannotTell
from workbench.geo import Plane
from workbench.models import chance, plates
from workbench.models.plates import _habits
from workbench.models.plates.stakeout import stakeout

START = datetime(2026, 6, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
WIDE, DEEP, APART = 12, 8, 700.0


def frame(plate: Any, reader: Any, seconds: Any, shift: float = 0.0) -> pl.DataFrame:
    reader = np.asarray(reader, dtype=np.int64)
    lon, lat = PLANE.to_degrees(reader % WIDE * APART + shift, reader // WIDE * APART)
    return pl.DataFrame(
        {
            "read_id": [f"r{i}" for i in range(len(reader))],
            "plate": [f"P{int(p):05d}" for p in plate],
            "reader": [f"R{r:03d}" for r in reader.tolist()],
            "read_at": pl.Series([START + timedelta(seconds=int(s)) for s in seconds], dtype=pl.Datetime("us", "UTC")),
            "lon": lon,
            "lat": lat,
        }
    )


def city(seed: int, vehicles: int = 1500, days: int = 28, planted: int = 6) -> tuple[pl.DataFrame, pl.DataFrame, set[str]]:
    """Commuters with fixed ways and hours, others with ways of all kinds; ``planted`` little-read plates are at 4 of 6 scenes."""
    rng = np.random.default_rng(seed)
    reader, plate, at = [], [], []
    home, work = rng.integers(0, WIDE * DEEP, vehicles), rng.integers(0, WIDE * DEEP, vehicles)
    leaves, often = rng.normal(8, 1.0, vehicles), rng.pareto(1.3, vehicles) + 0.3
    for v in range(vehicles):
        trips = [(home[v], work[v], d, leaves[v] + rng.normal(0, 0.1)) for d in range(days) if d % 7 < 5 and rng.random() < 0.8] if v % 4 == 0 else []
        trips += [
            (home[v], rng.integers(0, WIDE * DEEP), rng.integers(0, days), np.clip(rng.normal(14, 4), 0, 23)) for _ in range(rng.poisson(2 * min(often[v], 12)))
        ]
        for a, b, d, hour in trips:
            x, y = np.array([a % WIDE, b % WIDE]), np.array([a // WIDE, b // WIDE])
            way = [(i, y[0]) for i in range(x[0], x[1], int(np.sign(x[1] - x[0])) or 1)] + [
                (x[1], j) for j in range(y[0], y[1], int(np.sign(y[1] - y[0])) or 1)
            ]
            for k, (i, j) in enumerate(way):
                if rng.random() < 0.6:
                    reader.append(j * WIDE + i), plate.append(v), at.append(d * 86400 + hour * 3600 + k * 80 + rng.normal(0, 3))
    sites, day, hour = (
        rng.choice([j * WIDE + i for j in range(2, 6) for i in range(3, 9)], 6, replace=False),
        rng.choice(days, 6, replace=False),
        rng.uniform(8, 18, 6),
    )
    when = (day * 86400 + hour * 3600).astype(int)
    quiet = np.flatnonzero(np.bincount(plate, minlength=vehicles) > 5)[:200]
    chosen = rng.choice(quiet, planted, replace=False) if planted else []
    for v in chosen:
        for s in rng.choice(6, 4, replace=False):
            reader.append(sites[s]), plate.append(v), at.append(when[s] + rng.integers(-1500, 1500))
    lon, lat = PLANE.to_degrees(sites % WIDE * APART, sites // WIDE * APART)
    scenes = pl.DataFrame(
        {
            "incident_id": [f"S{i}" for i in range(6)],
            "lon": lon,
            "lat": lat,
            "started_at": pl.Series([START + timedelta(seconds=int(w)) for w in when], dtype=pl.Datetime("us", "UTC")),
        }
    )
    return frame(plate, reader, at), scenes, {f"P{int(v):05d}" for v in chosen}


@pytest.fixture(scope="module")
def planted() -> tuple[pl.DataFrame, pl.DataFrame, set[str]]:
    return city(1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_first_plates_are_those_planted_at_four_of_six_scenes(seed: int) -> None:
    reads, scenes, truth = city(seed)
    found = stakeout(reads, scenes)
    assert set(found.table["plate"][: len(truth)]) == truth
    assert (found.table["q"][: len(truth)] <= 0.05).all()
    assert "stand out at q = 0.05" in found.headline and found.table["near"][0] == 4
    assert found.table["p"].is_sorted() and (found.table["by_chance"] >= found.table["p"]).all()


@pytest.mark.parametrize("seed", range(4))
def test_on_days_shuffled_by_plate_nothing_stands_out(seed: int) -> None:
    reads, scenes, _ = city(20 + seed, planted=4 if seed % 2 else 0)
    rng = np.random.default_rng(seed)
    second = reads["read_at"].dt.epoch("s").to_numpy() - int(START.timestamp())
    code = reads["plate"].rank("dense").to_numpy().astype(int) - 1
    turn = np.array([rng.permutation(29) for _ in range(code.max() + 1)])
    day = np.clip(second // 86400, 0, 28)
    shuffled = frame(code, [int(r[1:]) for r in reads["reader"]], turn[code, day] * 86400 + second % 86400)
    found = stakeout(shuffled, scenes)
    assert (found.table["q"] > 0.05).all(), found.headline
    assert found.headline.startswith(("No plate stands out", "None of the"))


def test_the_planted_stakeout_of_the_made_up_city_stands_out_before_all_others(city: Any, samples: Path) -> None:
    series = json.loads((samples / "planted.json").read_text())["series"][1]
    reads = city.reads("2026-06-01", "2026-07-02")
    incidents = city.incidents("2026-06-01", "2026-07-02").filter(pl.col("incident_id").is_in(series["incident_ids"]))
    found = stakeout(reads, incidents, zone="America/Chicago")
    assert found.table["plate"][0] == series["stakeout"]["plate"] and found.table["by_chance"][0] < 0.01
    assert found.table.filter(pl.col("by_chance") <= 0.05).height == 1 and found.table.filter(pl.col("q") <= 0.05).height <= 2
    assert found.table["near"][0] == series["stakeout"]["read_near"] and len(found.table["evidence"][0]) >= 7
    assert len(found.basis.versions) and found.basis.run["function"].endswith("stakeout:stakeout")


def test_the_van_and_the_scout_of_the_burglary_crew_stand_out_at_the_scenes_of_its_case(city: Any, samples: Path) -> None:
    crew = json.loads((samples / "planted.json").read_text())["series"][0]
    wanted = [e.partition(":")[2] for e in city.casebook.subjects("2026-0142")["entity"].to_list() if e.startswith("incident:")]
    found = stakeout(city.reads(), city.incidents().filter(pl.col("incident_id").is_in(wanted)), zone="America/Chicago")
    named = {crew["crew"]["van_plate"], crew["crew"]["scout_plate"]}
    assert set(found.table.filter(pl.col("q") <= 0.05)["plate"].to_list()) == named
    assert found.table["usual"].max() == 1.0, "buses stand there every day; that is no surprise"


def test_order_of_rows_and_place_of_the_city_change_nothing(planted: Any) -> None:
    reads, scenes, _ = planted
    first = stakeout(reads, scenes)
    again = stakeout(reads.sample(fraction=1.0, shuffle=True, seed=3), scenes.reverse())
    assert again.table.equals(first.table)
    moved = stakeout(reads.with_columns(pl.col("lon") + 0.3), scenes.with_columns(pl.col("lon") + 0.3))
    assert moved.table.equals(first.table)


def test_who_is_near_agrees_with_a_plain_join(planted: Any) -> None:
    reads, scenes, _ = planted
    found = stakeout(reads, scenes, metres=800, minutes=30, most=10_000)
    x, y = PLANE.to_metres(reads["lon"].to_numpy(), reads["lat"].to_numpy())
    near: dict[str, set[str]] = {}
    evidence: dict[str, set[str]] = {}
    for name, lon, lat, at in scenes.iter_rows():
        sx, sy = PLANE.to_metres(np.array([lon]), np.array([lat]))
        hit = (np.hypot(x - sx, y - sy) <= 800) & (abs((reads["read_at"] - at).dt.total_seconds().to_numpy()) <= 1800)
        for plate, read in reads.filter(pl.Series(hit)).select("plate", "read_id").iter_rows():
            near.setdefault(plate, set()).add(name)
            evidence.setdefault(plate, set()).add(read)
    assert {p: set(s) for p, s in found.table.select("plate", "scenes").iter_rows()} == {p: s for p, s in near.items() if len(s) >= 2}
    assert all(set(e) == evidence[p] for p, e in found.table.select("plate", "evidence").iter_rows())
    assert found.table["as_often"].to_list() == [sum(len(s) >= n for s in near.values()) for n in found.table["near"].to_list()]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 1.0), st.booleans()), min_size=1, max_size=9))
def test_where_every_moment_is_known_the_surprise_is_the_poisson_binomial_tail(cells: list[tuple[float, bool]]) -> None:
    p, hit = np.array([[c for c, _ in cells]]), np.array([[h for _, h in cells]])
    n = len(cells)
    spread = np.zeros((n, 5, 2))
    spread[:, :, 1] = 1.0
    none = np.zeros((1, n), dtype=np.int64)
    found = _habits.Habits(none[0], hit * 1.0, hit.astype(np.int64), none, p, none[0], p[0], spread, none[0], none[0], none[0], none[0], none[0], none[0])
    assert _habits.surprise(found, np.array([0]), p)[0] == pytest.approx(chance.at_least(int(hit.sum()), p)[0], abs=1e-12)


def test_a_read_in_a_long_span_counts_with_the_share_of_the_span_it_covers() -> None:
    reads, scenes, _ = city(5, vehicles=400, planted=0)
    scenes = scenes.with_columns(ended_at=pl.col("started_at") + pl.duration(hours=4))
    extra = frame([99999] * 2, [0, 0], [0, 0])
    spot = reads.filter(pl.col("lon") == scenes["lon"][0]).row(0, named=True) if (reads["lon"] == scenes["lon"][0]).any() else None
    places = [scenes.row(i, named=True) for i in (0, 1)]
    extra = extra.with_columns(
        read_id=pl.Series(["x0", "x1"]),
        reader=pl.Series(["X0", "X1"]),
        lon=pl.Series([p["lon"] for p in places]),
        lat=pl.Series([p["lat"] for p in places]),
        read_at=pl.Series([places[0]["started_at"] + timedelta(hours=2), places[1]["started_at"]], dtype=pl.Datetime("us", "UTC")),
    )
    found = stakeout(pl.concat([reads, extra]), scenes, most=5000).table.filter(pl.col("plate") == "P99999")
    # one hour of four about the first, half an hour of four at the beginning of the second
    assert found["present"][0] == pytest.approx(0.25 + 0.125) and found["near"][0] == 2
    assert spot is None or spot["reader"]


def test_a_plate_that_is_there_every_day_is_no_surprise_and_one_that_never_is_one(planted: Any) -> None:
    reads, scenes, _ = planted
    rows = []
    for name, lon, lat, at in scenes.iter_rows():
        for day in range(28):
            then = (START + timedelta(days=day)).replace(hour=at.hour, minute=at.minute)
            rows.append({"read_id": f"b{name}{day}", "plate": "BUS1", "reader": "B" + name, "read_at": then, "lon": lon, "lat": lat})
    bus = pl.DataFrame(rows, schema=reads.schema)
    table = stakeout(pl.concat([reads, bus]), scenes, most=5000).table
    row = table.filter(pl.col("plate") == "BUS1").row(0, named=True)
    assert row["near"] == 6 and row["expected"] > 4.5 and row["q"] > 0.5 and row["usual"] > 0.9


def test_prepared_reads_give_the_same_answer_and_nothing_after_asof_is_looked_at(planted: Any) -> None:
    reads, scenes, _ = planted
    cut = START + timedelta(days=20)
    ready = plates.prepare(reads)
    assert stakeout(ready, scenes).table.equals(stakeout(reads, scenes).table)
    earlier = scenes.filter(pl.col("started_at") < cut - timedelta(hours=1))
    assert stakeout(ready, earlier, asof=cut).table.equals(stakeout(reads.filter(pl.col("read_at") < cut), earlier).table)


def test_what_cannot_be_told_or_does_not_do_is_said_in_a_sentence(planted: Any) -> None:
    reads, scenes, _ = planted
    with pytest.raises(CannotTell, match="There are no reads before 2020-01-01"):
        stakeout(reads, scenes, asof="2020-01-01")
    with pytest.raises(CannotTell, match="There are no reads, so"):
        stakeout(reads.clear(), scenes)
    with pytest.raises(CannotTell, match="Only 1 scene can be compared with reads, 2 are needed"):
        stakeout(reads, scenes.head(1))
    with pytest.raises(CannotTell, match="5 of 6 scenes have no position or no time"):
        stakeout(reads, scenes.with_columns(lon=pl.when(pl.col("incident_id") == "S0").then("lon")))
    with pytest.raises(CannotTell, match="No standing reader is within 800 m of 6 of 6 scenes"):
        stakeout(reads, scenes.with_columns(pl.col("lon") + 3))
    with pytest.raises(CannotTell, match="are needed to say what is usual; load more days"):
        day = scenes["started_at"][0].date()
        one = reads.filter(pl.col("read_at").dt.date() == day)
        stakeout(one, pl.concat([scenes.head(1), scenes.head(1).with_columns(incident_id=pl.lit("T"))]))
    with pytest.raises(CannotTell, match="time span over 24 hours"):
        stakeout(reads, scenes.with_columns(ended_at=pl.col("started_at") + pl.duration(days=3)))
    with pytest.raises(BadInput, match="no column 'incident_id'"):
        stakeout(reads, scenes.drop("incident_id"))
    with pytest.raises(BadInput, match="metres=0 does not do"):
        stakeout(reads, scenes, metres=0)
    with pytest.raises(BadInput, match="least=0 does not do"):
        stakeout(reads, scenes, least=0)
    none = stakeout(reads, scenes, least=6)
    assert none.table.is_empty() and "None of the" in none.headline


def test_all_scenes_at_one_address_and_reads_without_place_or_time_are_answered(planted: Any) -> None:
    reads, scenes, _ = planted
    same = scenes.with_columns(lon=pl.lit(scenes["lon"][0]), lat=pl.lit(scenes["lat"][0]))
    assert stakeout(reads, same).basis.parameters["scenes compared"] == 6
    holes = reads.with_columns(
        lon=pl.when(pl.int_range(pl.len()) % 50 == 0).then(None).otherwise("lon"),
        read_at=pl.when(pl.int_range(pl.len()) % 70 == 1).then(None).otherwise("read_at"),
    )
    assert len(stakeout(holes, scenes).table) > 0
