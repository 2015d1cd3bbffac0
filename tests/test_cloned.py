"""Impossible drives: a planted clone, misreads, a reader whose clock or place is wrong; and nothing where nothing is planted."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Plane
from workbench.models import plates as plate_models
from workbench.models.plates import cloned
from workbench.models.plates._misreads import expected_plates, tail
from workbench.models.pursuit import roads as drives

PLANE = Plane.local(41.6, -90.9)
START = datetime(2026, 6, 1, tzinfo=UTC)
GRID = [(1500.0 * i, 1500.0 * j) for i in range(6) for j in range(6)]


def frame(rows: list[tuple[str, int, float, float, str]], shift: dict[int, tuple[float, float]] | None = None) -> pl.DataFrame:
    """(plate, number of the reader, seconds, confidence, make) rows as a reads table; ``shift`` gives readers another place."""
    spot = [(shift or {}).get(r, GRID[r]) for _, r, _, _, _ in rows]
    lon, lat = PLANE.to_degrees([x for x, _ in spot], [y for _, y in spot])
    return pl.DataFrame({
        "read_id": [f"x{k}" for k in range(len(rows))], "plate": [p for p, *_ in rows], "reader": [f"R{r:02d}" for _, r, *_ in rows],
        "read_at": pl.Series([START + timedelta(seconds=round(t)) for _, _, t, _, _ in rows], dtype=pl.Datetime("us", "UTC")),
        "confidence": [c for *_, c, _ in rows], "make": [m for *_, m in rows], "lon": lon, "lat": lat})


def traffic(seed: int, vehicles: int = 300, days: int = 10) -> list[tuple[str, int, float, float, str]]:
    """Vehicles that cross the city along the grid at 30 to 60 km/h on most days, there and back."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(vehicles):
        plate = "".join(rng.choice(list("ACEFHJKLMNPRTWXY"), 3)) + f"{rng.integers(10_000):04d}"
        make = str(rng.choice(["HALDEN", "SABLEY", "ORIOLE", "WESTRY"]))
        for day in range(days):
            a, b = rng.integers(0, 6, 2), rng.integers(0, 6, 2)
            path = [(x, int(a[1])) for x in range(int(a[0]), int(b[0]), 1 if b[0] >= a[0] else -1)]
            path += [(int(b[0]), y) for y in range(int(a[1]), int(b[1]) + (1 if b[1] >= a[1] else -1), 1 if b[1] >= a[1] else -1)]
            for way in (path, path[::-1]):
                t = day * 86_400 + rng.uniform(6, 20) * 3600
                for x, y in way:
                    t += 1500 / rng.uniform(8, 16)
                    if rng.random() < 0.8:
                        rows.append((plate, 6 * x + y, t, float(rng.beta(22, 1.4)), make))
    return rows


def streets() -> pl.DataFrame:
    """The grid's streets, with no way but round over the middle between its third and fourth column."""
    lines = [[(x, y), (x, y + 1500)] for x, y in GRID if y < 7500] + [[(x, y), (x + 1500, y)] for x, y in GRID if x < 7500 and (x != 3000 or y == 0)]
    texts = []
    for line in lines:
        lon, lat = PLANE.to_degrees(*np.array(line).T)
        texts.append(json.dumps({"type": "LineString", "coordinates": np.stack([lon, lat], axis=1).tolist()}))
    return pl.DataFrame({"street_id": [str(k) for k in range(len(lines))], "geometry": texts, "speed_limit": [15.0] * len(lines)})


def clean(rows: list[tuple[str, int, float, float, str]]) -> list[tuple[str, int, float, float, str]]:
    """Without the trips of one vehicle that happen to lie over each other."""
    out: list[tuple[str, int, float, float, str]] = []
    for row in sorted(rows, key=lambda r: (r[0], r[2])):
        if out and out[-1][0] == row[0]:
            (x, y), (u, v) = GRID[out[-1][1]], GRID[row[1]]
            if math.hypot(u - x, v - y) > 18 * (row[2] - out[-1][2]):
                continue
        out.append(row)
    return out


ORDINARY = clean(traffic(1))
CLONE = [row for day in (1, 3, 4, 8)
         for row in (("AAA1111", 0, day * 86_400 + 40_000.0, 0.97, "WESTRY"), ("AAA1111", 35, day * 86_400 + 40_060.0, 0.98, "ORIOLE"))]


def test_ordinary_traffic_holds_no_impossible_drive() -> None:
    for seed in (1, 2, 3):
        found = cloned.impossible(frame(clean(traffic(seed, vehicles=150))))
        assert found.table.is_empty() and found.headline.startswith("0 plates are probably on two vehicles; 0 more look like misreads")


def test_a_planted_clone_is_found_with_its_evidence_and_base_rate() -> None:
    found = cloned.impossible(frame(ORDINARY + CLONE), zone="America/Chicago")
    row = found.table.row(0, named=True)
    assert len(found.table) == 1 and (row["kind"], row["plate"], row["episodes"], row["unexplained"], row["days"]) == ("cloned plate", "AAA1111", 4, 4, 4)
    assert row["makes_differ"] == "4 of 4" and row["p"] < 1e-9 and row["expected"] < 1e-3 and len(row["evidence"]) == 8
    assert "1 of" in found.headline and "misreads alone would make about" in found.headline and "under 0.001" in found.headline
    asked = cloned.impossible(plate_models.prepare(frame(ORDINARY + CLONE)), plate="aaa-1111")
    assert asked.headline.startswith("AAA1111: cloned plate. Two vehicles: 4 times on 4 days") and len(asked.layers) == 2
    assert cloned.impossible(frame(ORDINARY + CLONE), plate=ORDINARY[0][0]).headline.startswith(f"{ORDINARY[0][0]} has no impossible leg")


def test_the_order_of_the_rows_changes_nothing() -> None:
    reads = frame(ORDINARY + CLONE)
    one, other = cloned.impossible(reads), cloned.impossible(reads.sample(fraction=1.0, shuffle=True, seed=1))
    assert one.table.equals(other.table) and one.headline == other.headline


def test_when_the_copies_reads_are_moved_to_other_days_nothing_is_left() -> None:
    rng = np.random.default_rng(4)
    moved = [(p, r, t if r == 0 else (t + 86_400 * int(rng.integers(1, 3)) + 9000), c, m) for p, r, t, c, m in CLONE]
    assert cloned.impossible(frame(ORDINARY + clean(moved))).table.is_empty()


def test_a_look_alike_that_was_near_or_an_unsure_reader_makes_it_a_misread() -> None:
    odd = [("ABC0088", 0, 40_000.0, 0.97, "WESTRY"), ("ABC0088", 35, 40_060.0, 0.97, "ORIOLE"), ("A8C0088", 34, 39_900.0, 0.95, "ORIOLE"),
           ("XYZ7777", 0, 240_000.0, 0.97, "WESTRY"), ("XYZ7777", 35, 240_060.0, 0.05, "WESTRY")]
    found = cloned.impossible(frame(ORDINARY + odd)).table
    assert dict(zip(found["plate"], found["kind"], strict=True)) == {"ABC0088": "misread", "XYZ7777": "misread"}
    assert found.filter(plate="ABC0088")["looks_like"][0] == "A8C0088" and "unsure" in found.filter(plate="XYZ7777")["why"][0]


def test_one_occasion_without_a_sign_of_a_misread_is_not_called_a_clone() -> None:
    found = cloned.impossible(frame(ORDINARY + CLONE[:2]))
    assert found.table["kind"].to_list() == ["cannot tell"] and "a second occasion would tell" in found.table["why"][0]


@pytest.mark.parametrize("offset", [-600.0, 420.0])
def test_a_clock_that_is_off_is_told_with_its_offset_and_makes_no_clone(offset: float) -> None:
    late = [(p, r, t + (offset if r == 14 else 0.0), c, m) for p, r, t, c, m in ORDINARY]
    found = cloned.impossible(frame(late + CLONE))
    reader = found.table.filter(pl.col("kind") == "reader's clock").row(0, named=True)
    assert reader["reader"] == "R14" and reader["offset_seconds"] == pytest.approx(offset, abs=45)
    assert found.table.filter(pl.col("plate").is_not_null())["plate"].to_list() == ["AAA1111"]


def test_a_reader_put_in_the_wrong_place_is_told_and_makes_no_clone() -> None:
    found = cloned.impossible(frame(ORDINARY, shift={14: (9000.0, 9000.0)}))
    assert found.table["reader"].drop_nulls().to_list() == ["R14"] and found.table["kind"][0] in ("reader", "reader's clock")
    assert found.table["plate"].drop_nulls().is_empty()


def test_a_detour_that_only_the_streets_know_shows_a_clone_that_the_straight_line_hides() -> None:
    rows = [row for day in (1, 3, 5) for row in (("AAA1111", 17, day * 86_400 + 40_000.0, 0.9, "A"), ("AAA1111", 23, day * 86_400 + 40_120.0, 0.9, "B"))]
    quiet = [(f"Q{k:04d}", 17, 3000.0 + 90_000 * (k % 9), 0.9, "A") for k in range(200)]
    assert cloned.impossible(frame(rows + quiet)).table.is_empty()
    graph = drives.graph(streets())
    assert cloned.impossible(frame(rows + quiet), graph).table["kind"].to_list() == ["cloned plate"]
    assert cloned.impossible(frame(rows + quiet), graph, fastest=9.0).table.is_empty()


def test_clock_and_position_errors_are_allowed_for() -> None:
    assert cloned.impossible(frame(CLONE), clock=600).table.is_empty()
    assert cloned.impossible(frame(CLONE), position=5000).table.is_empty()
    assert cloned.impossible(frame(CLONE + ORDINARY[:500]), clock=0, position=0).table["plate"].to_list() == ["AAA1111"]


def test_moving_readers_and_reads_without_place_or_time_do_no_harm() -> None:
    reads = frame(ORDINARY + CLONE).with_columns(moving=pl.col("reader") == "R35", lon=pl.when(pl.col("reader") == "R07").then(None).otherwise("lon"))
    reads = reads.with_columns(read_at=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("read_at"), make=pl.lit(None, dtype=pl.String))
    found = cloned.impossible(reads)
    assert found.table["plate"].to_list() == ["AAA1111"] and found.table["makes_differ"][0] is None


@pytest.mark.parametrize(("change", "options", "words"), [
    (lambda f: f.head(0), {}, "There are no reads"),
    (lambda f: f.filter(pl.col("reader") == "R00"), {}, "Fewer than two places"),
    (lambda f: f.with_columns(lon=pl.lit(None, dtype=pl.Float64)), {}, "Fewer than two places"),
    (lambda f: f.drop("reader"), {}, "has no column 'reader'"),
    (lambda f: f, {"plate": "--"}, "holds no letter or digit"),
    (lambda f: f, {"fastest": 0.5}, "fastest=0.5 does not do"),
    (lambda f: f, {"clock": -1}, "clock=-1 does not do"),
    (lambda f: f, {"zone": "Mars"}, "Time zone 'Mars' is not known"),
])
def test_what_cannot_be_told_is_said(change: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises((BadInput, CannotTell), match=words):
        cloned.impossible(change(frame(CLONE)), **options)


def test_one_plate_read_once_and_all_reads_at_one_moment_are_answered() -> None:
    assert cloned.impossible(frame(ORDINARY[:1] + [("B", 3, 100.0, 0.9, "A")])).table.is_empty()
    same = cloned.impossible(frame([("AAA1111", 0, 50.0, 0.9, "A"), ("AAA1111", 35, 50.0, 0.9, "A")]))
    assert same.table["kind"].to_list() == ["cannot tell"]


def test_chances_are_those_of_the_poisson_law() -> None:
    from scipy import stats

    for mean, k in ((0.001, 1), (0.3, 2), (5.0, 3), (5.0, 20), (1e-5, 6), (40.0, 41)):
        assert tail(mean, k) == pytest.approx(float(stats.poisson.sf(k - 1, mean)), rel=1e-9)
    assert expected_plates(np.array([10, 10, 20]), 0.01, 1) == pytest.approx(2 * tail(0.1, 1) + tail(0.2, 1))


def test_the_made_up_citys_clone_is_found_and_nothing_else_beyond_the_stated_rate(city: Any, samples: Path) -> None:
    planted = json.loads((samples / "planted.json").read_text())["clone"]
    reads = plate_models.prepare(city.table("reads"), zone="America/Chicago")
    graph = drives.graph(city.table("streets"))
    found = cloned.impossible(reads, graph, zone="America/Chicago")
    row = found.table.filter(pl.col("kind") == "cloned plate").row(0, named=True)
    assert row["plate"] == planted["plate"] and row["days"] == len(planted["pairs"]) and found.basis.run["arguments"]["roads"]["$"] == "prepared"
    assert int((found.table["kind"] == "cloned plate").sum()) == 1
    assert len(found.table) - 1 <= 3 * found.basis.parameters["expected by misreads"] + 3
    other = cloned.impossible(city.table("reads").filter(~((pl.col("plate") == planted["plate"]) & (pl.col("make") == planted["copy_make"]))), graph)
    assert other.table.filter(pl.col("kind") == "cloned plate").is_empty()
