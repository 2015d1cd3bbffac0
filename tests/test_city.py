"""The made-up city: its script gives the committed files again, what is planted is there, and nothing in it is anybody's."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from workbench import plates
from workbench.geo import Plane, Polygon
from workbench.lake import Lake
from workbench.loaders import find

#: The three that some tests ask for by their place come first, then every other sample, the maps and what is told of them.
FILES = (
    "sample_incidents.csv.gz",
    "sample_calls.csv.gz",
    "sample_reads.csv.gz",
    "sample_people.ndjson.gz",
    "sample_hotlist.csv",
    "sample_gunshots.csv",
    "sample_arrivals.csv",
    "sample_casings.csv",
    "sample_cameras.csv",
    "sample_units.csv.gz",
    "sample_call_events.csv",
    "sample_counts.csv",
    "sample_arrests.csv",
    "sample_interviews.csv",
    "sample_warrants.csv",
    "sample_recoveries.csv",
    "sample_posts.ndjson",
    "sample_phone_calls.csv.gz",
    "sample_boundaries.geojson",
    "sample_streets.geojson.gz",
    "sample_floor_plan.geojson",
    "sample_closures.csv",
    "sample_events.csv",
    "sample_alerts.xml",
    "streets.geojson",
    "beats.geojson",
    "water.geojson",
    "places.geojson",
    "planted.json",
    "cases.json",
)
PLANE = Plane.local(41.6, -90.9)
ZONE = ZoneInfo("America/Chicago")


def plain(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


@pytest.fixture(scope="module")
def planted(samples: Path) -> dict[str, Any]:
    return dict(json.loads((samples / "planted.json").read_text()))


@pytest.fixture(scope="session")
def lake(made_once: Callable[[str, Callable[[Path], Any]], Path], samples: Path) -> Lake:
    def load(folder: Path) -> None:
        said = {f: Lake(folder / "lake").load(find(f.split(".")[0]), samples / f).to_json() for f in FILES if f.startswith("sample_")}
        (folder / "said.json").write_text(json.dumps(said))

    return Lake(made_once("city-lake", load) / "lake")


@pytest.fixture(scope="session")
def incidents(lake: Lake) -> pl.DataFrame:
    return lake.frame("incidents")


@pytest.fixture(scope="session")
def reads(lake: Lake) -> pl.DataFrame:
    return lake.frame("reads").sort("read_at", "read_id")


def metres(frame: pl.DataFrame) -> np.ndarray[Any, Any]:
    return np.column_stack(PLANE.to_metres(frame["lon"].to_numpy(), frame["lat"].to_numpy()))


def features(samples: Path, name: str) -> list[dict[str, Any]]:
    return list(json.loads((samples / f"{name}.geojson").read_text())["features"])


# --- the files ---------------------------------------------------------------------------------------------------------------------------


def test_the_script_makes_the_committed_files_again_to_the_byte(samples: Path, tmp_path: Path) -> None:
    """Packed files are compared unpacked: another zlib packs the same text differently."""
    subprocess.run([sys.executable, "-B", str(samples / "make_city.py"), "--out", str(tmp_path)], check=True, capture_output=True, timeout=300)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(FILES)
    assert [f for f in FILES if plain(tmp_path / f) != plain(samples / f)] == []


def test_packed_files_carry_no_time_and_no_name(samples: Path) -> None:
    for file in samples.glob("*.gz"):
        head = file.read_bytes()[:10]
        assert head[3] == 0 and head[4:8] == b"\0\0\0\0", file.name


def test_all_samples_together_stay_under_eight_megabytes(samples: Path) -> None:
    assert sum(p.stat().st_size for p in samples.rglob("*") if p.is_file() and "__pycache__" not in p.parts) < 8_000_000


def test_every_file_loads_and_its_counts_are_exactly_those_planted(lake: Lake, planted: dict[str, Any]) -> None:
    said = json.loads((lake.path.parent / "said.json").read_text())
    for file, counts in planted["files"].items():
        wanted = {k: counts[k] for k in ("read", "added", "updated", "duplicate", "rejected")}
        assert {k: said[file][k] for k in wanted} == wanted, file
        assert wanted["read"] == sum(v for k, v in wanted.items() if k != "read")
    assert sum(c["rejected"] for c in planted["files"].values()) == lake.rejects().height


def test_rows_without_a_usable_position_are_kept_without_one(incidents: pl.DataFrame, reads: pl.DataFrame, lake: Lake, planted: dict[str, Any]) -> None:
    for frame, file in ((incidents, FILES[0]), (lake.frame("calls"), FILES[1]), (reads, FILES[2])):
        assert frame["lon"].null_count() == frame["lat"].null_count() == planted["files"][file]["without_place"], file


def test_times_lie_within_the_period_and_no_offence_code_is_unknown(incidents: pl.DataFrame, reads: pl.DataFrame, lake: Lake) -> None:
    assert 14_000 <= len(incidents) <= 18_000 and 120_000 <= len(reads) <= 180_000
    for frame, column, first, last in (
        (incidents, "reported_at", "2024-07-01", "2026-07-01"),
        (lake.frame("calls"), "received_at", "2024-07-01", "2026-07-01"),
        (reads, "read_at", "2026-06-01", "2026-07-01"),
    ):
        local = frame[column].dt.convert_time_zone("America/Chicago").dt.strftime("%Y-%m-%d %H:%M")
        assert local.min() >= first and local.max() < last, column  # type: ignore[operator]
    assert "UNKNOWN" not in incidents["nibrs"] and incidents["nibrs"].n_unique() > 20
    assert (incidents["reported_at"] >= incidents["started_at"]).all()
    assert incidents.filter(pl.col("ended_at") < pl.col("started_at")).is_empty()


# --- the map -----------------------------------------------------------------------------------------------------------------------------


def test_beats_lie_side_by_side_and_hold_what_is_recorded_in_them(samples: Path, incidents: pl.DataFrame) -> None:
    beats = {f["properties"]["beat"]: Polygon.from_geojson(f["geometry"]) for f in features(samples, "beats")}
    assert 28 <= len(beats) <= 36 and {b[0] for b in beats} == set("1234")
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-90.98, -90.82, 20_000), rng.uniform(41.555, 41.645, 20_000)
    inside = np.sum([p.contains(lon, lat) for p in beats.values()], axis=0)
    assert (inside > 1).mean() < 0.002 and (inside == 1).mean() > 0.6
    placed = incidents.drop_nulls("lon").sample(2000, seed=1)
    hit = np.array([beats[b].contains(np.array([x]), np.array([y]))[0] for b, x, y in placed.select("beat", "lon", "lat").iter_rows()])
    assert hit.mean() > 0.97


def test_four_bridges_and_nothing_else_cross_the_river(samples: Path) -> None:
    river = next(Polygon.from_geojson(f["geometry"]) for f in features(samples, "water") if f["properties"]["kind"] == "river")
    crossing = set()
    for f in features(samples, "streets"):
        xy = np.array(f["geometry"]["coordinates"])
        fine = np.concatenate([np.linspace(a, b, 12) for a, b in pairwise(xy)])
        if river.contains(fine[:, 0], fine[:, 1]).any():
            crossing.add((f["properties"]["name"], f["properties"].get("bridge", False)))
    assert crossing == {("Ferry Bridge", True), ("Kestrel Bridge", True), ("Stonemill Bridge", True), ("Bypass Bridge", True)}


def test_streets_that_meet_share_a_vertex_so_nearly_all_of_them_hang_together(samples: Path) -> None:
    parent: dict[Any, Any] = {}

    def root(v: Any) -> Any:
        while parent.setdefault(v, v) != v:
            parent[v] = v = parent[parent[v]]
        return v

    for f in features(samples, "streets"):
        for a, b in pairwise(tuple(c) for c in f["geometry"]["coordinates"]):
            parent[root(a)] = root(b)
    sizes = Counter(root(v) for v in list(parent))
    assert max(sizes.values()) / len(parent) > 0.97


# --- what was planted --------------------------------------------------------------------------------------------------------------------


def test_planted_hotspots_hold_several_times_what_lies_around_them(incidents: pl.DataFrame, planted: dict[str, Any]) -> None:
    """Against the ring from 1.3 to 3 radii, by the share of that offence among all incidents."""
    assert len(planted["hotspots"]) == 6
    for spot in planted["hotspots"]:
        rows = incidents.drop_nulls("lon")
        x, y = (float(v[0]) for v in PLANE.to_metres(np.array([spot["lon"]]), np.array([spot["lat"]])))
        away = pl.Series(np.hypot(*(metres(rows) - [x, y]).T))
        of = rows["offence_code"].is_in(spot["codes"]) & (rows["started_at"].dt.strftime("%Y-%m-%d") >= spot["since"])
        near, ring = away <= spot["radius_metres"], (away > 1.3 * spot["radius_metres"]) & (away <= 3 * spot["radius_metres"])
        share, around = (of & near).sum() / (~of & near).sum(), (of & ring).sum() / (~of & ring).sum()
        assert (of & near).sum() >= 20 and share > 2.2 * around, (spot["name"], share, around)


def test_burglaries_come_in_near_repeats_and_fraud_does_not(incidents: pl.DataFrame) -> None:
    """Pairs within 150 m and 7 days, against the same with times shuffled."""
    rng = np.random.default_rng(3)

    def excess(codes: list[str]) -> float:
        rows = incidents.drop_nulls("lon").filter(pl.col("offence_code").is_in(codes) & pl.col("mo").fill_null("").str.contains("SLIDING").not_())
        xy, day = metres(rows), rows["started_at"].dt.epoch("s").to_numpy() / 86400
        near = np.argwhere(np.triu(((xy[:, None] - xy[None]) ** 2).sum(axis=2) <= 150**2, 1))
        counts = [int((np.abs(d[near[:, 0]] - d[near[:, 1]]) <= 7).sum()) for d in (day, *(rng.permutation(day) for _ in range(20)))]
        return counts[0] / float(np.mean(counts[1:]))

    assert excess(["0510", "0511"]) > 2.0
    assert excess(["1110", "1120"]) < 1.5


def test_each_series_has_its_own_way_hours_and_drift(incidents: pl.DataFrame, planted: dict[str, Any]) -> None:
    for series in planted["series"]:
        rows = incidents.filter(pl.col("incident_id").is_in(series["incident_ids"])).sort("started_at")
        assert len(rows) == len(series["true_at"]) and rows["mo"].str.starts_with(series["mo"]).all()
        assert incidents["mo"].fill_null("").str.starts_with(series["mo"]).sum() == len(rows)
        order = dict(zip(series["incident_ids"], series["true_at"], strict=True))
        for incident, start, end in rows.select("incident_id", "started_at", "ended_at").iter_rows():
            true = datetime.fromisoformat(order[incident])
            local = [t.astimezone(ZONE).replace(tzinfo=None) for t in (start, end)]
            assert local[0] <= true <= local[1] and series["hours"][0] <= true.hour + true.minute / 60 <= series["hours"][1]
            assert local[1] - local[0] < timedelta(hours=8) and not (series["weekdays_only"] and true.weekday() > 4)
        xy = np.column_stack(PLANE.to_metres(*np.array(series["positions"]).T))
        step = np.polyfit(np.arange(len(xy)), xy, 1)[0]
        assert np.hypot(*(step - series["drift_metres_east_north"])) < 30


def test_convoys_share_readers_again_and_again_and_neighbours_do_not(reads: pl.DataFrame, planted: dict[str, Any]) -> None:
    def together(one: str, other: str, seconds: float) -> int:
        a, b = (reads.filter(pl.col("plate") == p).select("reader", "read_at") for p in (one, other))
        pairs = a.join(b, on="reader").filter((pl.col("read_at") - pl.col("read_at_right")).dt.total_seconds().abs() <= seconds)
        return pairs["read_at"].dt.date().n_unique()

    assert len(planted["convoys"]) == 5 and any("rush" in c["name"] for c in planted["convoys"])
    for convoy in planted["convoys"]:
        for one, other in pairwise(convoy["plates"]):
            assert together(one, other, convoy["seconds_apart"][1] + 30) >= 0.7 * len(convoy["days_of_june"]), convoy["name"]
    assert together(*planted["chance_companions"]["plates"], 60) <= 6


def test_the_cloned_plate_is_in_two_places_at_once_and_hardly_any_other_is(reads: pl.DataFrame, planted: dict[str, Any]) -> None:
    placed = reads.drop_nulls("lon")
    xy = metres(placed)
    rows = (
        placed.with_columns(x=pl.Series(xy[:, 0]), y=pl.Series(xy[:, 1]))
        .sort("plate", "read_at")
        .with_columns(
            metres=(pl.col("x").diff() ** 2 + pl.col("y").diff() ** 2).sqrt().over("plate"), seconds=pl.col("read_at").diff().dt.total_seconds().over("plate")
        )
    )
    fast = rows.filter((pl.col("metres") > 3000) & (pl.col("metres") > 36 * pl.col("seconds")))["plate"].to_list()
    counts = Counter(fast)
    assert counts.most_common(1)[0][0] == planted["clone"]["plate"] and counts[planted["clone"]["plate"]] >= len(planted["clone"]["pairs"])
    assert sum(n > 1 for n in counts.values()) == 1 and len(counts) < 10


def test_the_planted_cars_are_read_near_their_scenes_at_the_time(reads: pl.DataFrame, planted: dict[str, Any]) -> None:
    doors, glass = planted["series"]
    for series, plate, scenes in (
        (doors, doors["crew"]["van_plate"], doors["crew"]["june_scenes"]),
        (glass, glass["stakeout"]["plate"], glass["stakeout"]["june_scenes"]),
    ):
        own = reads.filter((pl.col("plate") == plate) & pl.col("lon").is_not_null())
        xy, at = metres(own), own["read_at"].dt.convert_time_zone("America/Chicago").dt.replace_time_zone(None).to_list()
        for scene in scenes:
            x, y = (v[0] for v in PLANE.to_metres(*np.array([series["positions"][scene["scene"]]]).T))
            when = datetime.fromisoformat(series["true_at"][scene["scene"]])
            near = [abs(t - when) <= timedelta(minutes=30) and np.hypot(px - x, py - y) <= 520 for t, (px, py) in zip(at, xy, strict=True)]
            assert any(near) or not scene["read"], (series["name"], scene)
        assert sum(s["read"] for s in scenes) >= 6


def test_misreads_look_alike_and_are_less_sure(reads: pl.DataFrame, planted: dict[str, Any]) -> None:
    told = pl.DataFrame(planted["misreads"]["read_id_and_true_plate"], schema=["read_id", "true"], orient="row")
    wrong = reads.join(told, on="read_id")
    assert len(wrong) == planted["misreads"]["count"] and 0.01 < len(wrong) / len(reads) < 0.02
    assert all(a != b and plates.look_alike(a, b) for a, b in wrong.select("plate", "true").iter_rows())
    assert float(wrong["confidence"].mean()) < 0.75 < 0.9 < float(reads["confidence"].mean())  # type: ignore[arg-type]


def test_calls_pass_through_their_chain_and_no_unit_is_at_two_calls_at_once(lake: Lake) -> None:
    calls = lake.frame("calls")
    ordered = calls.filter(pl.col("received_at").is_between(pl.datetime(2025, 3, 20, time_zone="UTC"), pl.datetime(2025, 10, 20, time_zone="UTC")))
    for before, after in (("received_at", "dispatched_at"), ("dispatched_at", "en_route_at"), ("en_route_at", "arrived_at"), ("arrived_at", "cleared_at")):
        assert ordered.filter(pl.col(after) < pl.col(before)).is_empty()
    early = calls.filter(pl.col("arrived_at") < pl.col("dispatched_at")).height
    assert 50 < early < 500 and calls.filter("self_initiated")["dispatched_at"].null_count() == calls["self_initiated"].sum()
    assert 200 < calls.filter(~pl.col("self_initiated"))["arrived_at"].null_count() < 1500
    assert (calls["units"].list.len() > 1).sum() > 3000 and calls["priority"].n_unique() == 5
    called = calls.filter(~pl.col("self_initiated"))
    urgent, slow = (
        float(called.filter(pl.col("priority") == p).select((pl.col("arrived_at") - pl.col("received_at")).dt.total_seconds().median()).item()) for p in "14"
    )
    assert urgent < 600 < slow
    busy = ordered.filter(~pl.col("self_initiated")).explode("units").with_columns(start=pl.coalesce("dispatched_at", "received_at")).sort("units", "start")
    overlap = busy.with_columns(until=pl.col("cleared_at").shift(1).over("units")).filter(pl.col("start") < pl.col("until") - pl.duration(seconds=5))
    assert overlap.height < 0.002 * busy.height


def test_about_half_of_the_incidents_began_with_a_call(incidents: pl.DataFrame, lake: Lake) -> None:
    with_call = incidents["report_number"].is_in(lake.frame("calls")["report_number"].drop_nulls().implode())
    assert 0.4 < float(with_call.mean()) < 0.65  # type: ignore[arg-type]


def test_the_crew_hangs_together_through_what_it_shares(lake: Lake, planted: dict[str, Any]) -> None:
    crew = planted["series"][0]["crew"]
    ties = lake.frame("associations")
    for shared, least in ((crew["shared_phone"], 2), (crew["shared_address"], 2), (crew["van"], 2)):
        assert ties.filter(pl.col("entity_id") == shared)["person_id"].n_unique() >= least
    seen = lake.frame("involvements").filter(pl.col("incident_id").is_in(planted["series"][0]["incident_ids"]))
    assert {crew["van"], crew["shared_phone"]} <= set(seen["entity_id"]) and not set(crew["people"].values()) & set(seen["entity_id"])
    assert lake.frame("vehicles").filter(pl.col("vehicle_id") == crew["van"])["plate"].to_list() == [crew["van_plate"]]


def test_records_of_one_person_differ_in_spelling_but_not_wholly(lake: Lake, planted: dict[str, Any]) -> None:
    people = {r["person_id"]: r for r in lake.frame("people").iter_rows(named=True)}
    assert len(planted["same_person"]) > 100
    alike = ("surname", "given_name", "born_on", "sex")
    for group in planted["same_person"]:
        for one, other in pairwise(group):
            same = sum(people[one][c] == people[other][c] for c in alike)
            assert same >= 1 and people[one] != people[other]
    several = {p for g in planted["same_person"] for p in g}
    names = Counter((r["surname"], r["given_name"]) for i, r in people.items() if i not in several)
    assert max(names.values()) <= 2


def test_involvements_and_ties_point_at_what_is_there(lake: Lake, incidents: pl.DataFrame) -> None:
    keys = {
        kind: set(lake.frame(table)[f"{kind}_id"])
        for kind, table in (("person", "people"), ("vehicle", "vehicles"), ("phone", "phones"), ("address", "addresses"))
    }
    for table in ("involvements", "associations"):
        for kind, rows in lake.frame(table).group_by("entity_kind"):
            assert set(rows["entity_id"]) <= keys[str(kind[0])], (table, kind)
    assert set(lake.frame("involvements")["incident_id"]) <= set(incidents["incident_id"])
    assert {"victim", "suspect", "arrestee", "witness", "reporting party", "used", "stolen", "contact"} <= set(lake.frame("involvements")["role"])


def test_demo_cases_name_things_that_are_there(samples: Path, lake: Lake, incidents: pl.DataFrame) -> None:
    cases = json.loads((samples / "cases.json").read_text())
    assert cases[0]["case_number"] == "2026-0142" and 3 <= len(cases) <= 4
    known = {"incident": set(incidents["incident_id"]), "vehicle": set(lake.frame("reads")["plate"])}
    for case in cases:
        for subject in case["subjects"]:
            kind, key = subject["entity"].split(":")
            assert key in known[kind] and subject["why"], subject


def test_the_hotlist_has_entries_in_force_and_entries_that_ran_out(lake: Lake, planted: dict[str, Any]) -> None:
    wanted = lake.frame("hotlist")
    june = pl.datetime(2026, 6, 1, 5, time_zone="UTC")
    assert wanted.height == planted["hotlist"]["entries"] and wanted["reason"].null_count() == 0
    assert sorted(wanted.filter(pl.col("valid_to") < june)["entry_id"]) == planted["hotlist"]["expired_before_june"]
    stolen = [s["plate"] for s in planted["stolen_vehicles"] if s["read_in_june"]]
    hits = lake.frame("reads").join(wanted, on="plate", suffix="_entry").filter(pl.col("read_at").is_between("valid_from", "valid_to"))
    assert set(stolen) <= set(hits["plate"]) and planted["series"][0]["crew"]["van_plate"] in set(wanted["plate"])


# --- nobody's data -----------------------------------------------------------------------------------------------------------------------


def test_every_telephone_number_is_of_the_block_kept_for_fiction(lake: Lake) -> None:
    assert lake.frame("phones")["number"].str.contains(r"^\+1\d{3}55501\d{2}$").all()


def test_nothing_in_the_files_has_the_shape_of_a_real_persons_number_or_address(samples: Path) -> None:
    for name in FILES:
        text = plain(samples / name).decode()
        assert not re.search(r"\b\d{3}-\d{2}-\d{4}\b|@\w+\.\w{2,}", text), name
        assert all(p.startswith("01") for p in re.findall(r"\(\d{3}\) 555-(\d{2})\d{2}", text)), name
        assert not re.search(r"\(\d{3}\) (?!555-)\d{3}-\d{4}", text), name


def test_plates_are_of_the_invented_pattern_of_three_letters_and_four_digits(lake: Lake, planted: dict[str, Any]) -> None:
    wrong = [r for r, _ in planted["misreads"]["read_id_and_true_plate"]]
    rows = lake.frame("reads").filter(~pl.col("read_id").is_in(wrong))
    assert rows["plate"].str.contains(r"^[A-Z]{3}\d{4}$").all() and lake.frame("vehicles")["plate"].str.contains(r"^[A-Z]{3}\d{4}$").all()
    assert set(rows["region"]) <= {"IA", "IL", "MO", "MN", "NB", "KS"}
