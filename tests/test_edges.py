"""What models say of rows that are not as they should be: no place, no time, no end, no such zone, the year 1; a sentence, and never a wrong answer."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane
from workbench.models.hotspots import streets
from workbench.models.patrol import displacement, workload
from workbench.models.patterns import aoristic, changes, clock, early, expected, journey, linkage, next_event, response, series

START = datetime(2025, 1, 6, tzinfo=UTC)
ASOF = START + timedelta(days=400)
PLANE = Plane.local(41.6, -90.9)
TIME = pl.Datetime("us", "UTC")
SERIES = [f"i{k}" for k in range(0, 60, 10)]
FIRST_YEAR = datetime(1, 1, 1, tzinfo=UTC)


def incidents(n: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    lon, lat = PLANE.to_degrees(rng.uniform(0, 2000, n), rng.uniform(0, 2000, n))
    at = [START + timedelta(days=float(d)) for d in np.sort(rng.uniform(0, 399, n))]
    return pl.DataFrame({"incident_id": [f"i{k}" for k in range(n)], "started_at": at, "ended_at": [a + timedelta(hours=2) for a in at],
                         "reported_at": [a + timedelta(hours=3) for a in at], "lon": lon, "lat": lat, "nibrs": "220", "offence": "BURGLARY",
                         "beat": rng.choice(["A", "B", "C"], n), "address": rng.choice(["1 A ST", "2 B ST"], n)},
                        schema_overrides={c: TIME for c in ("started_at", "ended_at", "reported_at")})


def solved() -> pl.DataFrame:
    return pl.DataFrame({"incident_id": [f"i{k}" for k in range(300)], "series": [f"p{k // 4}" for k in range(300)]})


def at_rows(column: str, value: Any, rows: list[int], frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.when(pl.int_range(pl.len()).is_in(rows)).then(pl.lit(value, dtype=frame.schema[column])).otherwise(column).alias(column))


def calls(n: int = 400) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    received = [START + timedelta(minutes=float(m)) for m in np.sort(rng.uniform(0, 60 * 24 * 80, n))]
    after = {c: [t + timedelta(minutes=m) for t in received] for c, m in (("dispatched_at", 2.0), ("arrived_at", 9.0), ("cleared_at", 30.0))}
    return pl.DataFrame({"received_at": received, **after, "units": [["u"]] * n, "self_initiated": False, "doubts": [[]] * n, "priority": "1"},
                        schema_overrides={"received_at": TIME, **{c: TIME for c in after}, "doubts": pl.List(pl.String)})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), None])
def test_an_incident_without_a_finite_place_changes_no_profile_and_no_next_area(value: float | None) -> None:
    frame = incidents()
    spoilt, without = at_rows("lon", value, [0], frame), SERIES[1:]
    grid = Grid.around(frame, cell=200.0)
    one, other = (journey.profile(f, s, grid, ASOF) for f, s in ((spoilt, SERIES), (frame, without)))
    assert one.layers[0].values.tolist() == other.layers[0].values.tolist()  # type: ignore[attr-defined]
    assert one.layers[0].marked == other.layers[0].marked  # type: ignore[attr-defined]
    one, other = (next_event.area(f, s, ASOF) for f, s in ((spoilt, SERIES), (frame, without)))
    assert one.table.equals(other.table)


def test_solved_series_with_places_that_are_no_numbers_are_left_out_and_not_learnt_from() -> None:
    frame = incidents()
    grid = Grid.around(frame, cell=200.0)
    lon, lat = (float(v) for v in grid.centres()[0][:1]), (float(v) for v in grid.centres()[1][:1])
    base = {"base_lon": next(lon), "base_lat": next(lat)}
    known = frame.head(60).select("lon", "lat", series=pl.int_range(pl.len()) // 5).with_columns(**{k: pl.lit(v) for k, v in base.items()})
    bad = known.head(5).with_columns(lon=pl.lit(float("nan")), series=pl.lit(99, dtype=pl.Int64))
    one, other = (journey.profile(frame, SERIES, grid, ASOF, solved=s) for s in (known, pl.concat([known, bad])))
    assert one.table.equals(other.table) and one.table["tested"].max() == 12
    past = pl.DataFrame({"series": ["a"] * 5, "started_at": [START] * 5, "lon": [float("inf")] * 5, "lat": [41.6] * 5}, schema_overrides={"started_at": TIME})
    assert next_event.area(frame, SERIES, ASOF, solved=past).table.equals(next_event.area(frame, SERIES, ASOF).table)


def test_the_next_event_needs_times_and_says_nothing_of_when_after_ten_years_of_quiet() -> None:
    with pytest.raises(CannotTell, match="a position and a time"):
        next_event.area(incidents().with_columns(started_at=pl.lit(None, dtype=TIME)), SERIES, ASOF)
    late = next_event.area(incidents(), SERIES, ASOF + timedelta(days=4000))
    assert late.table["from"].null_count() == late.table.height and "comes between" not in late.headline


def test_series_models_refuse_missing_columns_and_times_with_a_sentence() -> None:
    frame = incidents()
    learnt = linkage.fit(frame, solved(), ASOF, sample=2000)
    for column in ("incident_id", "lon"):
        with pytest.raises(BadInput, match=column):
            series.found(frame.drop(column), learnt, ASOF)
        with pytest.raises(BadInput, match=column):
            series.bulletin(frame.drop(column), SERIES, ASOF)
    with pytest.raises(BadInput, match=re.escape("1 incident of the series has no time")):
        series.bulletin(at_rows("started_at", None, [0], frame), SERIES, ASOF)
    with pytest.raises(CannotTell, match="0 solved series"):
        linkage.fit(frame.with_columns(incident_id=pl.lit(None, dtype=pl.String)), solved(), ASOF)
    with pytest.raises(BadInput, match="There is no incident"):
        series.like(frame, learnt, "i0", FIRST_YEAR)


def test_what_is_learnt_of_series_and_the_leads_do_not_depend_on_the_order_of_the_rows() -> None:
    frame = incidents()
    mixed = frame.sample(fraction=1, shuffle=True, seed=3)
    one, other = (linkage.fit(f, solved(), ASOF, sample=2000) for f in (frame, mixed))
    assert one.table.equals(other.table) and one.null.tolist() == other.null.tolist() and one.slope == other.slope
    assert series.like(frame, one, SERIES, ASOF).table.equals(series.like(mixed, one, SERIES, ASOF).table)


def test_sets_found_have_places_when_some_incidents_have_none() -> None:
    frame = at_rows("lon", float("nan"), list(range(0, 300, 5)), incidents())
    found = series.found(frame, linkage.fit(frame, solved(), ASOF, sample=2000), ASOF, draws=2)
    assert found.table.height and found.table["lon"].is_finite().all()


def test_counts_leave_out_incidents_without_a_time_and_refuse_unknown_zones() -> None:
    frame = incidents()
    with pytest.raises(CannotTell, match="No incident was known"):
        expected.counts(frame.with_columns(started_at=pl.lit(None, dtype=TIME)), ASOF)
    some = at_rows("started_at", None, [0, 1], frame)
    assert expected.counts(some, ASOF).table.equals(expected.counts(frame.slice(2), ASOF).table)
    with pytest.raises(BadInput, match="Nowhere/X"):
        expected.counts(frame, ASOF, zone="Nowhere/X")
    named = frame.with_columns(pl.col("nibrs", "offence").cast(pl.Categorical))
    assert expected.counts(named, ASOF, groups={"burglary": ["220"]}).table.equals(expected.counts(frame, ASOF, groups={"burglary": ["220"]}).table)


def test_an_asof_in_the_first_year_of_the_calendar_is_told_that_nothing_was_known() -> None:
    for ask in (lambda: aoristic.hours(incidents(), FIRST_YEAR), lambda: clock.week(incidents(), FIRST_YEAR), lambda: response.survival(calls(), FIRST_YEAR),
                lambda: response.by_group(calls(), FIRST_YEAR)):
        with pytest.raises(CannotTell):
            ask()


def test_a_call_reached_without_a_dispatch_is_not_counted_as_still_waiting() -> None:
    frame = at_rows("dispatched_at", None, list(range(0, 400, 4)), calls())
    row = response.survival(frame, START + timedelta(days=81), window="81d").table.row(0, named=True)
    assert (row["calls"], row["reached"], row["censored"], row["left_out"]) == (300, 300, 0, 100)


def test_workload_and_response_refuse_unknown_zones() -> None:
    for ask in (lambda: workload.week(calls(), ASOF, zone="Nowhere/X"), lambda: response.survival(calls(), ASOF, by="hour", zone="Nowhere/X")):
        with pytest.raises(BadInput, match="Nowhere/X"):
            ask()


def test_a_displacement_test_is_refused_where_the_records_hold_under_half_of_the_time_before() -> None:
    frame, areas = incidents(), {"treated": ["A"], "control": ["B"]}
    with pytest.raises(CannotTell, match="hold less than half"):
        displacement.change(frame, START + timedelta(days=390), start=START + timedelta(days=90), **areas)  # type: ignore[arg-type]
    with pytest.raises(CannotTell, match="hold less than half"):
        displacement.change(frame, datetime(9999, 12, 31, tzinfo=UTC), start=START + timedelta(days=200), **areas)  # type: ignore[arg-type]
    whole = displacement.change(frame, ASOF, start=START + timedelta(days=200), **areas)  # type: ignore[arg-type]
    assert not any("quieter" in n for n in whole.basis.notes)
    ended = displacement.change(frame, ASOF + timedelta(days=100), start=START + timedelta(days=200), before="150d", **areas)  # type: ignore[arg-type]
    assert any("time after looks quieter" in n for n in ended.basis.notes)


def test_a_baseline_refuses_missing_periods_which_would_take_another_hour_for_the_same() -> None:
    hours = [START + timedelta(hours=k) for k in range(40)]
    whole = pl.DataFrame({"at": hours, "count": [k % 4 for k in range(40)]})
    assert (early.baseline(whole, cycle=4, cycles=3)["expected"] - early.baseline(whole, cycle=4, cycles=3)["count"]).abs().max() < 0.2
    for frame in (whole.filter(pl.col("count") > 0), pl.concat([whole, whole])):
        with pytest.raises(BadInput, match="period|Period"):
            early.baseline(frame, cycle=4, cycles=3)
    for cycle in (1.5, "x", True):
        with pytest.raises(BadInput, match="whole numbers"):
            early.baseline(whole, cycle=cycle, cycles=3)  # type: ignore[arg-type]


def test_detectors_and_changepoints_refuse_options_and_periods_that_do_not_do() -> None:
    weeks = pl.DataFrame({"week": [date(2024, 1, 1) + timedelta(weeks=k) for k in range(60)], "count": [2] * 30 + [40] * 30, "expected": [8.0] * 60})
    with pytest.raises(BadInput, match="same time"):
        early.watch(pl.concat([weeks, weeks]))
    for options in ({"run_length": "x"}, {"run_length": None}, {"dispersion": "a"}):
        with pytest.raises(BadInput):
            early.watch(weeks, **options)  # type: ignore[arg-type]
    for options in ({"level": 2.0}, {"level": "x"}, {"runs": 0}, {"runs": -1}, {"penalty": None}):
        with pytest.raises(BadInput):
            changes.changepoints(weeks, **options)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no date or time"):
        changes.changepoints(weeks.with_columns(pl.col("week").cast(pl.String)))


def test_addresses_without_a_position_have_none_in_the_table_of_repeats() -> None:
    table = streets.repeats(incidents().with_columns(lon=pl.lit(None, dtype=pl.Float64))).table
    assert table["lon"].null_count() == table.height


def test_options_out_of_range_are_refused_where_they_gave_a_wrong_or_empty_answer() -> None:
    frame = incidents()
    learnt = linkage.fit(frame, solved(), ASOF, sample=2000)
    asked: list[Any] = [
        *(lambda o=o: expected.counts(frame, ASOF, **o) for o in ({"windows": ()}, {"rate": 5}, {"weeks": 0})),
        *(lambda o=o: changes.weekly(frame, ASOF, **o) for o in ({"level": 2.0}, {"weeks": 0}, {"before": 0}, {"years": 0})),
        *(lambda o=o: clock.week(frame, ASOF, window="400d", **o) for o in ({"block": 30}, {"block": 0}, {"runs": 0})),
        *(lambda o=o: displacement.wdd([1, 2], [2, 3], **o) for o in ({"dispersion": float("nan")}, {"harm": -1.0})),
        *(lambda o=o: linkage.fit(frame, solved(), ASOF, **o) for o in ({"folds": 0}, {"folds": 1}, {"sample": 0}, {"zone": "Nowhere/X"})),
        lambda: series.like(frame, learnt, "i0", ASOF, most=0),
        lambda: displacement.wdd([None, 2], [2, 3]),  # type: ignore[list-item]
    ]
    for ask in asked:
        with pytest.raises(BadInput):
            ask()
