"""Plates and links at their edges: whatever is given, the answer is a result or a sentence, and it can be asked again."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.test_evidence_graph import rich
from workbench import reproduce
from workbench.errors import BadInput, CannotTell, WorkbenchError
from workbench.geo import Plane, positions
from workbench.models import plates
from workbench.models.links import description, evidence, interchange
from workbench.models.plates import cloned, contradict, convoy, corridor, hotlist, life, search, stakeout
from workbench.models.pursuit import roads
from workbench.models.window import moment, span
from workbench.models.wording import local
from workbench.results import recording

START = datetime(2026, 6, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
NAN, INF = float("nan"), float("inf")
CASE = {"case_number": "2026-0142"}


def reads(n: int = 240) -> pl.DataFrame:
    """30 plates at six readers over twelve days."""
    rng = np.random.default_rng(2)
    reader = rng.integers(0, 6, n)
    at = np.sort(rng.integers(0, 12 * 86_400, n))
    lon, lat = PLANE.to_degrees(reader % 3 * 1500.0, reader // 3 * 1500.0)
    return pl.DataFrame({"read_id": [f"r{k}" for k in range(n)], "plate": [f"AB{c:03d}C" for c in rng.integers(0, 30, n)], "reader": [f"R{r}" for r in reader],
                         "read_at": [START + timedelta(seconds=int(s)) for s in at], "lon": lon, "lat": lat, "moving": [False] * n})


def streets() -> pl.DataFrame:
    lines = [[(x, y), (x + 1500, y)] for x in (0, 1500) for y in (0, 1500)] + [[(x, 0), (x, 1500)] for x in (0, 1500, 3000)]
    told = [np.stack(PLANE.to_degrees(*np.array(line, dtype=float).T), axis=1).tolist() for line in lines]
    return pl.DataFrame({"street_id": [str(k) for k in range(len(lines))], "geometry": [json.dumps({"type": "LineString", "coordinates": c}) for c in told],
                         "speed_limit": [15.0] * len(lines)})


READS, STREETS = reads(), streets()
SCENES = READS[[3, 70, 140, 200]].select(pl.Series("incident_id", ["i1", "i2", "i3", "i4"]), "lon", "lat", started_at="read_at", ended_at="read_at")
LIST = pl.DataFrame({"entry_id": ["e1"], "plate": ["AB001C"], "region": [None], "list_name": ["stolen"], "reason": ["x"], "valid_from": [START],
                     "valid_to": [None], "listed_at": [START]}, schema_overrides={"valid_to": pl.Datetime("us", "UTC"), "region": pl.String})
LON, LAT = READS["lon"][0], READS["lat"][0]

#: Every model asked of reads, the quick ones.
ASKED: dict[str, Callable[[Any], Any]] = {
    "stakeout": lambda r: stakeout.stakeout(r, SCENES, draws=20),
    "pattern": lambda r: life.pattern(r, "AB001C", **CASE),
    "first time": lambda r: life.first_time(r, "AB001C", reader="R1", **CASE),
    "absence": lambda r: life.absence(r, "AB001C", **CASE),
    "loitering": lambda r: life.loitering(r, lon=LON, lat=LAT, **CASE),
    "against scenes": lambda r: contradict.against(r, "AB001C", SCENES),
    "against companion": lambda r: contradict.against(r, "AB001C", companion="AB002C"),
    "against anchor": lambda r: contradict.against(r, "AB001C", lon=LON, lat=LAT, **CASE),
    "impossible": lambda r: cloned.impossible(r, STREETS),
    "corridor": lambda r: corridor.scan(r, None, STREETS, (LON, LAT), READS["read_at"][100] - timedelta(minutes=3), days=2),
    "search": lambda r: search.search(r, "AB0?1*", edits=1),
    "hotlist": lambda r: hotlist.match(r, LIST, "2026-07-01"),
}


def cell(frame: pl.DataFrame, column: str, value: Any, row: int = 0) -> pl.DataFrame:
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column]))


def every(column: str, value: Any, frame: pl.DataFrame = READS) -> pl.DataFrame:
    return frame.with_columns(pl.lit(value).alias(column))


SPOILT: dict[str, Any] = {
    "nothing at all": None, "no rows": READS.head(0), "no columns": pl.DataFrame(), "one row": READS.head(1), "all nulls": READS.head(3).clear(3),
    "untyped nulls": pl.DataFrame({c: [None] * 3 for c in READS.columns}), "twice": pl.concat([READS, READS]), "backwards": READS.reverse(),
    **{f"no {c}": READS.drop(c) for c in ("plate", "reader", "read_at", "lon", "read_id")},
    **{f"first {c} null": cell(READS, c, None) for c in READS.columns},
    **{f"last {c} null": cell(READS, c, None, -1) for c in READS.columns},
    "naive times": READS.with_columns(pl.col("read_at").dt.replace_time_zone(None)), "days": READS.with_columns(pl.col("read_at").dt.date()),
    **{f"first read of {y}": cell(READS, "read_at", datetime(y, 1, 1, tzinfo=UTC)) for y in (1, 1900, 9999)},
    **{f"all of {y}": every("read_at", datetime(y, 1, 1, tzinfo=UTC)) for y in (1, 1969, 9999)},
    **{f"first {c} {v}": cell(READS, c, v) for c in ("lon", "lat") for v in (NAN, INF, -INF, 1e308, 400.0)},
    **{f"all {c} {v}": every(c, v) for c in ("lon", "lat") for v in (NAN, INF, 1e308)},
    "positions as text": READS.with_columns(pl.col("lon").cast(pl.String)), "far away": every("lon", 10.0), "one reader": every("reader", "R1"),
    "one plate": every("plate", "AB001C"), "other alphabets": cell(READS, "plate", "ΑΒΓ漢字"), "a script": every("reader", "<script>alert(1)</script>"),
    "lists of plates": READS.with_columns(pl.concat_list("plate")), "moving as text": every("moving", "yes"), "all moving": every("moving", value=True),
}


def told(ask: Callable[[], Any]) -> str:
    """The sentence of an answer or of its refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("default", DeprecationWarning)
        try:
            said = str(ask().headline)
        except WorkbenchError as error:
            said = str(error)
    assert len(said) > 20, said
    return said


@pytest.mark.parametrize("model", ASKED)
def test_spoilt_reads_get_a_result_or_a_sentence(model: str) -> None:
    for how, frame in SPOILT.items():
        said = told(lambda frame=frame: ASKED[model](frame))  # type: ignore[misc]
        assert not re.search(r"\bnan\b|\binf\b", said), (how, said)


@pytest.mark.parametrize("asof", ["0001-01-01", datetime(1, 1, 1), "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "1900-01-01", "nonsense", 5, NAN])
def test_any_asof_gets_a_result_or_a_sentence(asof: Any) -> None:
    for zone in ("UTC", "America/Chicago"):
        made = plates.prepare(READS, zone=zone)
        told(lambda made=made: stakeout.stakeout(made, SCENES, draws=20, asof=asof))  # type: ignore[misc]
        told(lambda made=made: life.pattern(made, "AB001C", asof=asof, **CASE))  # type: ignore[misc]
        told(lambda made=made: life.loitering(made, reader="R1", asof=asof, **CASE))  # type: ignore[misc]
        told(lambda made=made: contradict.against(made, "AB001C", SCENES, asof=asof))  # type: ignore[misc]
        told(lambda made=made: convoy.companions(made, "AB001C", asof=asof if asof != "9999-12-31T23:59-14:00" else "1950-01-01"))  # type: ignore[misc]
    told(lambda: hotlist.match(READS, LIST, asof))


@pytest.mark.parametrize("value", [-1, NAN, INF, True, "x", None, [], 1e300, 10**30])
def test_options_that_are_no_numbers_are_refused(value: Any) -> None:
    made = plates.prepare(READS)
    asked: list[Callable[[], Any]] = [
        lambda: search.search(READS, "AB?", look_alikes=value if value is not True else 1), lambda: search.search(READS, "AB?", most=value),
        lambda: plates.prepare(READS, spot=value),
        lambda: stakeout.stakeout(made, SCENES, metres=value), lambda: stakeout.stakeout(made, SCENES, minutes=value),
        lambda: stakeout.stakeout(made, SCENES, draws=value), lambda: stakeout.stakeout(made, SCENES, most=value),
        lambda: life.pattern(made, "AB001C", metres=value, **CASE), lambda: life.loitering(made, reader="R1", most=value, **CASE),
        lambda: life.first_time(made, "AB001C", lon=value, lat=LAT, **CASE), lambda: life.first_time(made, "AB001C", lon=LON, lat=LAT, metres=value, **CASE),
        lambda: contradict.against(made, "AB001C", SCENES, metres=value), lambda: contradict.against(made, "AB001C", SCENES, fastest=value),
        lambda: hotlist.Matcher(LIST, least=value), lambda: hotlist.Matcher(LIST, prior=value),
        lambda: evidence.build(evidence.Facts(), metres=value), lambda: evidence.build(evidence.Facts(), minutes=value),
    ]
    for ask in asked:
        if value == 10**30 or value is True:  # some of these are whole numbers that do
            told(lambda ask=ask: _result(ask()))  # type: ignore[misc]
        else:
            with pytest.raises(BadInput):
                ask()


def _result(value: Any) -> Any:
    return value if hasattr(value, "headline") else pytest.fail("it was taken")


@pytest.mark.parametrize("plate", [None, 5, b"AB001C", "", "--", ["AB001C"]])
def test_what_is_no_plate_is_refused(plate: Any) -> None:
    for ask in (lambda: life.pattern(READS, plate, **CASE), lambda: contradict.against(READS, plate, SCENES), lambda: convoy.companions(READS, plate)):
        with pytest.raises(BadInput):
            ask()


@pytest.mark.parametrize("zone", ["Mars/Phobos", "", None, 5, "x" * 500, "America", "\x00", "../etc"])
def test_what_is_no_zone_is_refused(zone: Any) -> None:
    with pytest.raises(BadInput, match="Time zone"):
        plates.prepare(READS, zone=zone)


def test_times_beyond_the_calendar_are_refused_or_said() -> None:
    assert local(datetime(1, 1, 1, tzinfo=UTC), "America/Chicago") == f"{datetime(1, 1, 1):%Y-%m-%d}"
    with pytest.raises(BadInput, match="before the year 1"):
        moment("0001-01-01T00:00+14:00")
    with pytest.raises(BadInput, match="longer than time is counted"):
        span("99999999999999d")


def test_reads_of_a_broken_clock_are_left_out_and_counted() -> None:
    spoilt = cell(cell(READS, "read_at", datetime(1969, 12, 31, tzinfo=UTC)), "read_at", datetime(9999, 1, 1, tzinfo=UTC), -1)
    made = plates.prepare(spoilt, zone="America/Chicago")
    assert made.placeless == 2 and len(made) == len(READS) - 2
    clean = plates.prepare(READS[1:-1], zone="America/Chicago")
    assert life.loitering(made, reader="R1", **CASE).table.equals(life.loitering(clean, reader="R1", **CASE).table)


def test_a_position_that_is_none_on_earth_is_a_missing_one() -> None:
    lon, lat = positions(pl.DataFrame({"lon": [-90.9, INF, 400.0, None, NAN], "lat": [41.6, 41.6, 1e308, 90.0, -91.0]}))
    assert np.isfinite(lon).tolist() == [True, False, False, False, False] and np.isfinite(lat).tolist() == [True, True, False, True, False]


def test_scenes_without_a_name_place_or_time_are_said_and_not_counted() -> None:
    nameless, nowhere = SCENES.with_columns(incident_id=pl.lit(None, dtype=pl.String)), cell(SCENES, "lat", INF).head(1).with_columns(incident_id=pl.lit("i9"))
    odd = pl.concat([SCENES, nameless, nowhere])
    for ask in (lambda: stakeout.stakeout(READS, odd, draws=20), lambda: contradict.against(READS, "AB001C", odd)):
        assert told(ask)
    for bad in (SCENES.with_columns(pl.concat_list("incident_id")), SCENES.drop("lon"), SCENES.with_columns(pl.col("started_at").dt.replace_time_zone(None))):
        with pytest.raises(BadInput):
            stakeout.stakeout(READS, bad, draws=20)
    with pytest.raises(CannotTell):
        stakeout.stakeout(READS, SCENES.head(0), draws=20)


def test_what_are_no_streets_and_no_readers_is_refused() -> None:
    at, left = (LON, LAT), READS["read_at"][100]
    for given in ((None, {"a": 1}, STREETS), (READS, None, None), (None, READS.with_columns(pl.concat_list("reader")), STREETS)):
        with pytest.raises(BadInput):
            corridor.scan(*given, at, left)  # type: ignore[arg-type]
    nameless = READS.head(2).select("lon", "lat", name=pl.lit(None, dtype=pl.String))
    assert "None" not in roads.times(nameless, nameless, STREETS).headline


def test_facts_with_columns_of_another_kind_are_refused_and_records_without_an_id_do_no_harm() -> None:
    with pytest.raises(BadInput, match="not a time"):
        evidence.Facts(reads=READS.with_columns(pl.col("read_at").cast(pl.String)))
    with pytest.raises(BadInput, match="must be"):
        evidence.Facts(reads=READS.with_columns(pl.concat_list("plate")))
    known = rich()
    spoilt = replace(known, vehicles=known.vehicles.with_columns(vehicle_id=pl.lit(None, dtype=pl.String)))
    assert told(lambda: evidence.why(evidence.build(spoilt), "incident:I1", "person:P1"))
    assert told(lambda: evidence.why(evidence.build(spoilt), "incident:I1", "vehicle:VAN001"))


def test_verified_hits_and_lists_of_another_kind_are_refused() -> None:
    told_ = pl.DataFrame({"reader": ["R1", "R2"], "state": ["confirmed", "rejected"], "plate_right": [True, False], "state_right": [True, True]})
    assert told(lambda: hotlist.false_hits(told_)) and told(lambda: hotlist.false_hits(told_.with_columns(plate_right=None)))
    for bad in (told_.with_columns(state=pl.Series([1, 2])), told_.with_columns(plate_right=pl.lit("yes")), told_.with_columns(pl.concat_list("reader"))):
        with pytest.raises(BadInput):
            hotlist.false_hits(bad)
    with pytest.raises(BadInput):
        hotlist.stale(LIST.with_columns(pl.concat_list("list_name")), "2026-07-01")
    assert hotlist.Matcher(LIST).hits(READS.with_columns(region=None)).height


@pytest.mark.parametrize("value", [NAN, "x", None, [], True, 0, -1])
def test_a_description_takes_no_odd_numbers_and_a_file_no_odd_texts(value: Any) -> None:
    at = (LON, LAT, "2026-07-01")
    for option in ("fillers", "most", "radius"):
        with pytest.raises(BadInput):
            description.search(rich(), {"sex": "M"}, at=at, **{option: value})
    with pytest.raises(BadInput):
        description.search(rich(), value, at=at)
    edges = pl.DataFrame({"source": ["person:1"], "target": ["person:2"]})
    for option in ("case", "caveat", "title", "format"):
        for text in ("\ud800", *(() if isinstance(value, str) else (value,))):
            with pytest.raises(BadInput):
                interchange.write(edges, **({"format": "graphml"} | {option: text}))
    with pytest.raises(BadInput, match="must be"):
        interchange.write(edges.with_columns(pl.concat_list("source")), "graphml")


def test_of_a_plate_that_was_not_read_twice_nothing_is_told_of_impossible_drives() -> None:
    with pytest.raises(CannotTell, match="was read 0 times"):
        cloned.impossible(READS, plate="ZZZ999")
    with pytest.raises(CannotTell, match="was read 1 time"):
        cloned.impossible(cell(READS, "plate", "ZZZ999"), plate="ZZZ999")


def test_answers_on_the_citys_own_frames_can_be_asked_again_and_verify(city: Any, tmp_path: Path) -> None:
    seen = city.reads("2026-06-20", "2026-07-01")
    made = plates.prepare(seen)
    plate = seen["plate"].value_counts(sort=True).sort("count", "plate")["plate"][-40]
    scenes = city.incidents("2026-06-24", "2026-07-01", offence="burglary")
    facts = city.facts(reads_since="2026-06-28")
    answers = {
        "convoy": convoy.companions(made, plate),
        "stakeout": stakeout.stakeout(made, scenes, draws=20),
        "search": search.search(search.index(seen), "AB?1*"),
        "why": evidence.why(evidence.build(facts), "person:P003170", "person:P003171"),
    }
    for name, answer in answers.items():
        assert "cannot" not in answer.basis.run and all("call" in said for _, said in recording.calls_of(answer.basis.run)), name
        verdict = reproduce.verify(answer.save(tmp_path / f"{name}.json"), city)
        assert (verdict.outcome, verdict.differences) == (reproduce.EQUAL, ()), (name, verdict.lines())
