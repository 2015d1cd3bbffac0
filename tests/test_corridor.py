"""The corridor scan: windows of readers against networkx, planted vehicles among 200,000 reads, alibis, base rates and nothing planted."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Plane
from workbench.models import plates as plate_models
from workbench.models.plates import corridor
from workbench.models.plates._described import Named, plate_fit, usual_characters
from workbench.models.pursuit import roads as drives
from workbench.models.pursuit._graph import Roads

PLANE = Plane.local(41.6, -90.9)
START = datetime(2026, 6, 1, tzinfo=UTC)
SIDE, STEP = 8, 1500.0
SPOTS = np.array([(STEP * i, STEP * j) for i in range(SIDE) for j in range(SIDE)])
MAKES, COLOURS = np.array(["HALDEN", "SABLEY", "ORIOLE", "WESTRY", "CALDERA"]), np.array(["BLACK", "WHITE", "SILVER", "RED", "BLUE"])
LETTERS = np.array(list("ABCDEFGHJKLMNPRSTUVWXYZ"))
ORIGIN = tuple(float(v) for v in np.array(PLANE.to_degrees(3 * STEP + 700.0, 3 * STEP)))
LEFT = START + timedelta(days=7, hours=14)


def streets() -> pl.DataFrame:
    lines = [[(x, y), (x, y + STEP)] for x, y in SPOTS if y < STEP * (SIDE - 1)] + [[(x, y), (x + STEP, y)] for x, y in SPOTS if x < STEP * (SIDE - 1)]
    texts = [json.dumps({"type": "LineString", "coordinates": np.stack(PLANE.to_degrees(*np.array(line).T), axis=1).tolist()}) for line in lines]
    return pl.DataFrame({"street_id": [str(k) for k in range(len(lines))], "geometry": texts, "speed_limit": [14.0] * len(lines)})


def traffic(seed: int, trips: int, days: int = 15, vehicles: int = 20_000) -> pl.DataFrame:
    """Trips of four readers in a line, each vehicle of one make and colour; some makes and colours not named, some plates misread."""
    rng = np.random.default_rng(seed)
    letters, figures = LETTERS[rng.integers(0, len(LETTERS), (vehicles, 3))], rng.integers(0, 10_000, vehicles)
    names = np.array([f"{''.join(a)}{b:04d}" for a, b in zip(letters, figures, strict=True)])
    who = rng.integers(0, vehicles, trips)
    x, y, way = rng.integers(0, SIDE, trips), rng.integers(0, SIDE, trips), rng.integers(0, 4, trips)
    dx, dy = np.array([1, -1, 0, 0])[way], np.array([0, 0, 1, -1])[way]
    start, speed = rng.uniform(0, days * 86_400, trips), rng.uniform(7, 16, trips)
    k = np.tile(np.arange(4), trips)
    trip = np.repeat(np.arange(trips), 4)
    px, py, at = x[trip] + k * dx[trip], y[trip] + k * dy[trip], start[trip] + k * STEP / speed[trip]
    ok = (px >= 0) & (px < SIDE) & (py >= 0) & (py < SIDE)
    return frame(names[who[trip]][ok], (px * SIDE + py)[ok], at[ok], MAKES[who[trip] % 5][ok], COLOURS[who[trip] // 5 % 5][ok])


def frame(plate: Any, reader: Any, at: Any, make: Any, colour: Any) -> pl.DataFrame:
    lon, lat = PLANE.to_degrees(*SPOTS[np.asarray(reader)].T)
    made = pl.DataFrame({"plate": list(plate), "reader": [f"R{r:02d}" for r in reader], "second": np.asarray(at).astype(np.int64), "lon": lon, "lat": lat,
                         "make": list(make), "colour": list(colour)})
    return made.select(read_id=pl.format("{}-{}-{}", "plate", "reader", "second"), plate="plate", reader="reader", lon="lon", lat="lat", make="make",
                       colour="colour", read_at=pl.lit(START) + pl.duration(seconds="second"))


def fleeing(plate: str, day: float = 0.0, make: str = "WESTRY", colour: str = "RED") -> pl.DataFrame:
    """Away from the place at ORIGIN to the east: readers at (4, 3), (5, 3), (6, 3)."""
    first = (LEFT - START).total_seconds() + day * 86_400 + 800 / 12
    return frame([plate] * 3, [4 * SIDE + 3, 5 * SIDE + 3, 6 * SIDE + 3], [first, first + 125, first + 250], [make] * 3, [colour] * 3)


GRAPH = drives.graph(streets())
CROWD = traffic(1, 8_000)
READERS = pl.DataFrame({"reader": [f"R{k:02d}" for k in range(len(SPOTS))], "lon": PLANE.to_degrees(*SPOTS.T)[0], "lat": PLANE.to_degrees(*SPOTS.T)[1]})


def seconds_by_networkx(roads: Roads) -> Any:
    """Free-flow seconds from the place to each reader."""
    made = nx.grid_2d_graph(SIDE, SIDE)
    nx.set_edge_attributes(made, STEP / 14, "weight")
    out = []
    for k in range(len(SPOTS)):
        spot = (k // SIDE, k % SIDE)
        out.append(min(700 / 14 + nx.dijkstra_path_length(made, (3, 3), spot, weight="weight"), 800 / 14 + nx.dijkstra_path_length(made, (4, 3), spot,
                                                                                                                            weight="weight")))
    return np.array(out)


def test_windows_are_those_of_networkx_and_no_reader_outside_its_window_is_listed() -> None:
    found = corridor.scan(None, READERS, GRAPH, ORIGIN, LEFT, horizon="5m", clock=0, position=0, fastest=1.5, slowest=0.5, delay="2m")
    free = seconds_by_networkx(GRAPH)
    inside = {f"R{k:02d}" for k in np.flatnonzero(free / 1.5 <= 300)}
    assert set(found.table["reader"]) == inside and 0 < len(inside) < len(READERS)
    for row in found.table.iter_rows(named=True):
        t = free[int(row["reader"][1:])]
        assert (row["earliest_at"] - LEFT).total_seconds() == pytest.approx(t / 1.5, rel=1e-3)
        assert (row["latest_at"] - LEFT).total_seconds() == pytest.approx(min(t * 2 + 120, 300), rel=1e-3)
    assert found.table["minutes"].is_sorted() and found.table.row(0, named=True)["reader"] == "R27" and found.table["next"][0]
    east = found.table.filter(reader="R51").row(0, named=True)
    assert east["direction"] == "east" and not east["next"] and set(east["passes_first"]) == {"R35", "R43"}
    assert "readers can be passed within 5 minutes" in found.headline


def test_a_read_outside_its_readers_window_is_never_a_candidate() -> None:
    early = frame(["ABC1234"], [7 * SIDE + 7], [(LEFT - START).total_seconds() + 60], ["WESTRY"], ["RED"])
    late = frame(["ABC1235"], [4 * SIDE + 3], [(LEFT - START).total_seconds() + 1700], ["WESTRY"], ["RED"])
    found = corridor.scan(pl.concat([CROWD, early, late]), None, GRAPH, ORIGIN, LEFT, plate="ABC1234", most=100_000)
    assert not {"ABC1234", "ABC1235"} & set(found.table["plate"])
    free = seconds_by_networkx(GRAPH)
    reads = plate_models.prepare(CROWD)
    every = corridor.scan(reads, None, GRAPH, ORIGIN, LEFT, most=100_000, clock=0, position=0)
    seen = CROWD.filter(pl.col("read_id").is_in(every.table["evidence"].explode().implode()))
    after = (seen["read_at"] - LEFT).dt.total_seconds().to_numpy()
    assert len(seen) and (after >= free[seen["reader"].str.slice(1).cast(pl.Int64).to_numpy()] / 1.6 - 1).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_vehicle_with_one_wrong_character_is_among_the_first_five_of_200000_reads(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = "".join(rng.choice(LETTERS, 3)) + f"{rng.integers(10_000):04d}"
    at = int(rng.integers(7))
    wrong = true[:at] + str(rng.choice([c for c in "ABCDEFGHJKLMNPRSTUVWXYZ0123456789" if c != true[at]])) + true[at + 1 :]
    crowd = traffic(10 + seed, 62_000)
    reads = plate_models.prepare(pl.concat([crowd, fleeing(wrong)]))
    assert len(reads) > 195_000
    for known in ({}, {"make": "WESTRY", "colour": "RED"}):
        found = corridor.scan(reads, None, GRAPH, ORIGIN, LEFT, plate=true, days=3, **known)
        row = found.table.filter(plate=wrong).row(0, named=True)
        assert row["rank"] <= 5 and row["reads"] == 3 and row["as_high"] <= 0.5
    partial = corridor.scan(reads, None, GRAPH, ORIGIN, LEFT, plate=wrong[:3] + "*", make="WESTRY", colour="RED", days=3)
    assert partial.table.filter(plate=wrong)["rank"][0] <= 5


def test_the_base_rate_counts_those_that_fit_as_well_at_the_same_hours_of_other_days() -> None:
    daily = [fleeing("ABC1234", day=d) for d in (-3, -2, -1, 0, 1, 2)]
    found = corridor.scan(pl.concat([CROWD, *daily]), None, GRAPH, ORIGIN, LEFT, plate="ABC1234", days=4, zone="America/Chicago")
    row = found.table.row(0, named=True)
    assert row["plate"] == "ABC1234" and row["as_high"] == pytest.approx(1.0) and "of 4 other days 1 vehicles a day fit as well" in found.headline
    alone = corridor.scan(pl.concat([CROWD, fleeing("ABC1234")]), None, GRAPH, ORIGIN, LEFT, plate="ABC1234", days=4)
    assert alone.table.row(0, named=True)["as_high"] == 0.0


def test_where_nothing_is_planted_the_best_is_matched_on_other_days_as_often_as_chance_says() -> None:
    reads = plate_models.prepare(CROWD)
    ranks = []
    for hour in range(12):
        found = corridor.scan(reads, None, GRAPH, ORIGIN, START + timedelta(days=7, hours=2 * hour), plate="QQX9981", make="WESTRY", days=9)
        ranks.append(found.table["as_high"][0])
    assert np.mean(np.array(ranks) == 0.0) <= 0.34 and 0.2 < np.mean(ranks) < 3.0  # the best of ten days is that of this day in a tenth of cases


def test_who_was_read_too_far_away_just_before_is_left_out_and_it_is_said() -> None:
    before = frame(["ABC1234"], [7 * SIDE + 7], [(LEFT - START).total_seconds() - 60], ["WESTRY"], ["RED"])
    reads = pl.concat([CROWD, fleeing("ABC1234"), before])
    found = corridor.scan(reads, None, GRAPH, ORIGIN, LEFT, plate="ABC1234", days=2)
    assert "ABC1234" not in found.table["plate"].to_list() and any("could not have come to the place in time" in n for n in found.basis.notes)


def test_look_alike_readings_of_one_vehicle_are_one_chain_and_the_order_of_rows_changes_nothing() -> None:
    first, second, third = (fleeing(p)[k : k + 1] for k, p in enumerate(("A8C1234", "ABC1234", "ABCI234")))
    reads = pl.concat([CROWD, first, second, third])
    found = corridor.scan(reads, None, GRAPH, ORIGIN, LEFT, plate="ABC1234", days=2)
    row = found.table.row(0, named=True)
    assert row["plate"] == "ABC1234" and row["reads"] == 3 and len(row["evidence"]) == 3
    other = corridor.scan(reads.sample(fraction=1.0, shuffle=True, seed=2), None, GRAPH, ORIGIN, LEFT, plate="ABC1234", days=2)
    assert other.table.equals(found.table)


def test_many_reads_of_a_common_make_say_little_more_than_one() -> None:
    frame_of = pl.DataFrame({"make": ["WESTRY"] * 20 + ["SABLEY"] * 80})
    named = Named("westry", "make", frame_of)
    one, five = named.fit(np.ones(1)), named.fit(np.ones(5))
    assert 0 < one < five <= -math.log(0.2) + 0.05 and named.fit(np.zeros(2)) < -1 and named.fit(np.array([math.nan])) == 0.0
    assert Named(None, "make", frame_of).fit(np.ones(3)) == 0.0


def test_the_fit_of_a_plate_falls_with_every_wrong_character_and_less_for_look_alikes() -> None:
    names = ["ABC1234", "A8C1234", "AXC1234", "AXC1239", "AC1234", "QQQ9999", "ABC12345"]
    fit = dict(zip(names, plate_fit("abc-1234", names, usual_characters(CROWD["plate"])), strict=True))
    assert fit["ABC1234"] > fit["A8C1234"] > fit["AXC1234"] > fit["AXC1239"] > 0 > fit["QQQ9999"]
    assert fit["ABC1234"] > fit["AC1234"] > 0 and fit["ABC1234"] > fit["ABC12345"] > 0
    some = plate_fit("AB*4", names, usual_characters(CROWD["plate"]))
    assert some[0] == max(some) and plate_fit("?B?", ["ABC"], np.full(128, 1 / 128))[0] > 0


@pytest.mark.parametrize(("change", "words"), [
    ({"reads": None, "readers": None}, "Neither reads nor readers"),
    ({"reads": None, "readers": READERS.drop("lon")}, "has no column 'lon'"),
    ({"reads": None, "readers": READERS.with_columns(lon=pl.lit(None, dtype=pl.Float64))}, "No reader that stands still has a position"),
    ({"reads": CROWD.head(0)}, "No reader that stands still has a position"),
    ({"reads": CROWD.drop("plate")}, "has no column 'plate'"),
    ({"left_at": START - timedelta(days=400)}, "read a plate in its window"),
    ({"origin": (0.0, 0.0)}, "more than 150 m from every street"),
    ({"origin": None}, "is no place"),
    ({"horizon": "1s", "delay": "1s", "clock": 0}, "can be reached within"),
    ({"plate": "--"}, "no letter or digit"),
    ({"slowest": 2.0}, "slowest=2.0 does not do"),
    ({"days": 1.5}, "days=1.5 does not do"),
    ({"zone": "Mars"}, "Time zone 'Mars' is not known"),
    ({"left_at": "yesterday"}, "is not a date or time"),
    ({"roads": streets().head(0)}, "no streets one may drive"),
])
def test_what_cannot_be_told_is_said(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"reads": CROWD, "readers": None, "roads": GRAPH, "origin": ORIGIN, "left_at": LEFT, "days": 2, **change}
    with pytest.raises((BadInput, CannotTell), match=words):
        corridor.scan(**given)


def test_missing_columns_places_and_days_are_borne_and_said() -> None:
    reads = pl.concat([CROWD, fleeing("ABC1234")]).drop("make", "colour", "read_id").with_columns(
        read_at=pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise("read_at"), moving=pl.col("reader") == "R63")
    found = corridor.scan(reads, None, GRAPH, ORIGIN, LEFT, plate="ABC1234", make="WESTRY", days=2)
    assert found.table["plate"][0] == "ABC1234" and found.table["make"][0] is None and "Reads of moving readers are not used." in found.basis.notes
    alone = corridor.scan(fleeing("ABC1234"), READERS, GRAPH, ORIGIN, LEFT)
    assert alone.table["as_high"][0] is None and "the reads cover no other day" in alone.headline
    assert any("Nothing is known of the vehicle" in n for n in alone.basis.notes)


def test_the_made_up_citys_vehicle_is_followed_from_a_partial_plate(city: Any) -> None:
    reads, graph = plate_models.prepare(city.table("reads"), zone="America/Chicago"), drives.graph(city.table("streets"))
    own = city.table("reads").filter(pl.col("plate") == "STV3578", pl.col("read_at") > datetime(2026, 6, 15, tzinfo=UTC)).sort("read_at").row(0, named=True)
    found = corridor.scan(reads, None, graph, (own["lon"], own["lat"]), own["read_at"], plate="ST?3518", make="WESTRY", days=7, zone="America/Chicago")
    row = found.table.row(0, named=True)
    assert row["plate"] == "STV3578" and row["reads"] >= 4 and row["as_high"] == 0.0 and found.basis.run["arguments"]["reads"]["$"] == "prepared"
