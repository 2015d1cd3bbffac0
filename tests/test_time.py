"""At which hour: aoristic weights against the minute-by-minute sum and the published package's rules, where clocks change, by area and in a surface."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import models
from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid
from workbench.models import chance
from workbench.models.hotspots import kde
from workbench.models.patterns import aoristic, clock
from workbench.models.window import past

ZONE = "America/Chicago"
ASOF = "2026-06-01"
WHEN = st.datetimes(datetime(2025, 10, 20), datetime(2026, 4, 20))


def frame(spans: list[tuple[datetime, datetime | None]], **more: object) -> pl.DataFrame:
    kind = pl.Datetime("us", "UTC")
    times = {"started_at": [a for a, _ in spans], "ended_at": [b for _, b in spans]}
    return pl.DataFrame(times | more, schema_overrides={"started_at": kind, "ended_at": kind})


def made(seed: int, n: int, longest: float = 40.0) -> pl.DataFrame:
    """Incidents from January to May 2026, two in three with a span of hours, about a city's middle."""
    r = np.random.default_rng(seed)
    start = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=int(m)) for m in r.integers(0, 140 * 1440, n)]
    end = [a + timedelta(hours=float(h)) if k else None for a, h, k in zip(start, r.uniform(0, longest, n), r.integers(0, 3, n), strict=True)]
    return frame(list(zip(start, end, strict=True)), beat=[f"B{i}" for i in r.integers(0, 4, n)], lon=(-87.6 + r.normal(0, 0.02, n)).tolist(),
                 lat=(41.8 + r.normal(0, 0.02, n)).tolist())


def by_minute(start: datetime, end: datetime | None, zone: str) -> np.ndarray:
    """The plain sum: every minute of the span on the hour that the clock showed."""
    out = np.zeros(168)
    minutes = max(1, round((end - start).total_seconds() / 60)) if end else 1
    for k in range(minutes):
        there = (start + timedelta(minutes=k)).astimezone(ZoneInfo(zone))
        out[24 * there.weekday() + there.hour] += 1 / minutes
    return out


def dense(incidents: pl.DataFrame, **options: object) -> np.ndarray:
    long = aoristic.weights(incidents, **options)
    out = np.zeros((incidents.height, 168 if options.get("fold", "week") == "week" else 24))
    out[long["row"].to_numpy(), long["hour"].to_numpy()] = long["weight"].to_numpy()
    return out


@settings(max_examples=60, deadline=None)
@given(WHEN, st.integers(0, 6 * 1440), st.sampled_from([ZONE, "UTC", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"]))
def test_weights_equal_the_sum_minute_by_minute_also_where_clocks_change(start: datetime, minutes: int, zone: str) -> None:
    begin = start.replace(second=0, microsecond=0, tzinfo=UTC)
    end = begin + timedelta(minutes=minutes) if minutes else None
    one = frame([(begin, end)])
    assert np.allclose(dense(one, zone=zone)[0], by_minute(begin, end, zone), atol=1e-9)
    assert np.allclose(dense(one, zone=zone, fold="day")[0], by_minute(begin, end, zone).reshape(7, 24).sum(axis=0), atol=1e-9)


def test_an_hour_that_comes_twice_counts_twice_and_one_that_does_not_exist_gets_nothing() -> None:
    back = frame([(datetime(2025, 11, 2, 5, tzinfo=UTC), datetime(2025, 11, 2, 9, tzinfo=UTC))])  # midnight to 03:00, four hours long
    assert dense(back, zone=ZONE)[0, 144:148] == pytest.approx([0.25, 0.5, 0.25, 0.0])
    forth = frame([(datetime(2026, 3, 8, 6, tzinfo=UTC), datetime(2026, 3, 8, 9, tzinfo=UTC))])  # midnight to 04:00, three hours long
    assert dense(forth, zone=ZONE)[0, 144:149] == pytest.approx([1 / 3, 1 / 3, 0.0, 1 / 3, 0.0])


def package(start: datetime, end: datetime | None) -> np.ndarray:
    """One row of aoristic.df of the R package `aoristic` 1.1 (its rules: minutes; a missing or earlier end is the start's hour; from a week on evenly)."""
    minutes = None if end is None else (end - start) // timedelta(minutes=1)
    out = np.zeros(168)
    if minutes is not None and minutes >= 10080:
        return out + 1 / 168
    if minutes is None or minutes <= 1:
        out[24 * start.weekday() + start.hour] = 1.0
        return out
    return by_minute(start, start + timedelta(minutes=minutes), "UTC")


@pytest.mark.parametrize("name", ["dc/aoristic_dcburglaries.csv", "incident_samples/aoristic_NYburg.csv"])
def test_the_burglaries_of_the_published_package_give_its_weights(real_data: Path, name: str) -> None:
    raw = pl.read_csv(real_data / name)
    if "StartDateTime" in raw.columns:
        at = raw.select(pl.col("StartDateTime", "EndDateTime").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False))
    else:
        at = raw.select(*(pl.col(f"CMPLNT_{k}_DT").str.to_datetime("%Y-%m-%d") + pl.duration(minutes=(pl.col(f"CMPLNT_{k}_TM") * 1440).round())
                          for k in ("FR", "TO")))
    at.columns = ["started_at", "ended_at"]
    rows = at.with_columns(pl.all().dt.truncate("1m").dt.cast_time_unit("us").dt.replace_time_zone("UTC")).drop_nulls("started_at")
    theirs = np.array([package(a, b) for a, b in rows.rows()])
    ours = dense(rows, zone="UTC", longer="even")
    assert np.allclose(ours, theirs, atol=1e-9) and ours.sum() == pytest.approx(rows.height)
    answer = aoristic.hours(rows, "2030-01-01", window="9999d", fold="week", longer="even")
    assert np.allclose(answer.table["incidents"].to_numpy(), theirs.sum(axis=0), atol=1e-7)


def test_sums_and_intervals_are_those_of_the_weights() -> None:
    rows = made(1, 900, 60.0)
    for fold, period in (("day", 24), ("week", 168)):
        p = dense(rows, zone=ZONE, fold=fold)
        table = aoristic.hours(rows, ASOF, zone=ZONE, window="200d", fold=fold).table
        assert np.allclose(table["incidents"].to_numpy(), p.sum(axis=0), atol=1e-8)
        assert (table["exact"].to_numpy() == (p >= 1 - 1e-12).sum(axis=0)).all()
        for hour in range(0, period, 5):
            law = 1 - np.append(chance.tails(p[None, p[:, hour] > 0, hour])[0][1:], 0)  # P(at most k)
            low, high = np.searchsorted(law, 0.025 - 1e-12), np.searchsorted(law, 0.975 - 1e-12)
            assert abs(table["lower"][hour] - low) <= 1 and abs(table["upper"][hour] - high) <= 1
            assert table["low"][hour] <= table["lower"][hour] <= table["incidents"][hour] <= table["upper"][hour] <= table["high"][hour]


def test_the_interval_of_an_hour_holds_what_really_fell_there() -> None:
    held = []
    for seed in range(60):
        r = np.random.default_rng(seed)
        true = [datetime(2026, 3, 10, tzinfo=UTC) + timedelta(minutes=float(m)) for m in r.uniform(0, 60 * 1440, 150)]
        length = r.uniform(0, 20, 150) * (r.random(150) < 0.7)
        before = r.uniform(0, 1, 150) * length
        spans = [(t - timedelta(hours=float(b)), t + timedelta(hours=float(n - b)) if n else None) for t, b, n in zip(true, before, length, strict=True)]
        table = aoristic.hours(frame(spans), ASOF, window="200d").table
        real = np.bincount([t.hour for t in true], minlength=24)
        held += ((table["lower"].to_numpy() <= real) & (real <= table["upper"].to_numpy())).tolist()
    assert 0.94 <= np.mean(held) <= 0.995


def test_areas_sum_to_the_whole_and_the_order_of_rows_does_not_matter() -> None:
    rows = made(2, 600)
    whole = aoristic.hours(rows, ASOF, zone=ZONE, window="200d", fold="week").table["incidents"].to_numpy()
    beats = aoristic.hours(rows.sample(fraction=1.0, shuffle=True, seed=3), ASOF, zone=ZONE, window="200d", fold="week", by="beat").table
    assert np.allclose(beats["incidents"].to_numpy().reshape(-1, 168).sum(axis=0), whole, atol=1e-9) and beats.height == 4 * 168
    grid = Grid.around(rows, cell=1000)
    cells = aoristic.hours(rows, ASOF, zone=ZONE, window="200d", grid=grid)
    assert cells.table["incidents"].sum() == pytest.approx(600) and np.isclose(cells.layers[0].values.sum(), 600)


def test_draws_lie_in_their_spans_evenly_and_a_known_moment_stays() -> None:
    rows = made(4, 300)
    drawn = aoristic.draws(rows, 400, seed=5)
    start, end = (rows[c].to_physical() for c in ("started_at", "ended_at"))
    assert drawn.shape == (400, 300) and drawn.dtype == np.int64
    assert (drawn >= start.to_numpy()).all() and (drawn[:, end.is_null().to_numpy()] == start.filter(end.is_null()).to_numpy()).all()
    open_ = end.is_not_null().to_numpy()
    share = (drawn[:, open_] - start.to_numpy()[open_]) / (end.to_numpy()[open_] - start.to_numpy()[open_])
    assert share.max() < 1 and abs(share.mean() - 0.5) < 0.01 and abs(share.std() - 12**-0.5) < 0.01
    assert (aoristic.draws(rows, 2, seed=5) == drawn[:2]).all() and (aoristic.draws(rows, 2, seed=6) != drawn[:2]).any()
    with pytest.raises(BadInput, match="1 row of 2 have no started_at"):
        aoristic.draws(frame([(None, None), (datetime(2026, 1, 1, tzinfo=UTC), None)]), 1)
    with pytest.raises(BadInput, match="n=0"):
        aoristic.draws(rows, 0)


def test_the_chance_of_a_shift_is_the_sum_of_its_hours_and_the_nights_belong_to_the_day_they_begin() -> None:
    rows = made(6, 400, 300.0)
    p = dense(rows.filter(pl.col("ended_at").is_null() | (pl.col("ended_at") - pl.col("started_at") <= timedelta(days=7))), zone=ZONE)
    short = rows.filter(pl.col("ended_at").is_null() | (pl.col("ended_at") - pl.col("started_at") <= timedelta(days=7)))
    hours = [24 * 4 + h for h in range(20, 28)]  # Friday 20:00 to Saturday 04:00
    assert np.allclose(aoristic.chances(short, "20-04", days=["Fri"], zone=ZONE), p[:, hours].sum(axis=1), atol=1e-9)
    assert np.allclose(aoristic.chances(short, range(24), zone=ZONE), 1.0)
    shifts = [aoristic.chances(rows, s, zone=ZONE) for s in ("06-14", "14-22", "22-06")]
    assert np.allclose(sum(shifts), 1.0)


def test_the_surface_of_a_shift_is_the_density_of_what_falls_into_it() -> None:
    rows = made(7, 500)
    grid = Grid.around(rows, cell=500, margin=500)
    parts = [aoristic.shift(rows, grid, ASOF, hours=s, bandwidth=800, zone=ZONE, window="200d") for s in ("06-14", "14-22", "22-06")]
    whole = kde.surface(rows, grid, ASOF, bandwidth=800, window="200d")
    assert np.allclose(sum(s.expected for s in parts), whole.expected, atol=1e-9)
    before = past(rows, grid, ASOF, "200d", least=10)
    one = kde.spread(before.x, before.y, grid, 800, weights=aoristic.chances(before.frame, "22-06", zone=ZONE))
    assert np.allclose(parts[2].expected, one * (timedelta(days=7) / before.length))
    with pytest.raises(CannotTell, match="choose more hours"):
        nights = frame([(datetime(2026, 5, 1, 3, k, tzinfo=UTC), None) for k in range(20)], lon=rows["lon"].head(20), lat=rows["lat"].head(20))
        aoristic.shift(nights, grid, ASOF, hours="12-14")


def test_a_planted_hour_is_found_through_long_spans() -> None:
    r = np.random.default_rng(8)
    spans = []
    for k in range(300):
        true = datetime(2026, 4, 1, tzinfo=UTC) + timedelta(days=k % 50, hours=21, minutes=float(r.uniform(0, 60)))
        spans.append((true - timedelta(hours=float(r.uniform(0, 6))), true + timedelta(hours=float(r.uniform(0, 6)))))
    answer = aoristic.hours(frame(spans), ASOF, window="200d")
    assert answer.table.sort("incidents")["hour"][-1] in (20, 21, 22) and "The fullest hour is 2" in answer.headline
    assert clock.week(frame(spans), ASOF, window="200d").table["incidents"].sum() == pytest.approx(300)


def test_what_cannot_be_used_is_counted_or_refused_with_a_sentence() -> None:
    start = datetime(2026, 5, 1, 12, tzinfo=UTC)
    rows = frame([(start, start - timedelta(hours=2)), (start, start + timedelta(days=9)), (start, None)], beat=["A", "A", None])
    answer = aoristic.hours(rows, ASOF, window="200d")
    assert answer.table["incidents"].sum() == pytest.approx(2) and any("1 end before they begin" in n for n in answer.basis.notes)
    assert any("1 that may have happened over more than 7 days are left out" in n for n in answer.basis.notes)
    assert any("1 have no beat" in n for n in aoristic.hours(rows, ASOF, window="200d", by="beat").basis.notes)
    assert aoristic.hours(rows, ASOF, window="200d", longer="even").table["incidents"].sum() == pytest.approx(3)
    for wrong, match in (({"fold": "month"}, "'day' or 'week'"), ({"longest": "9d"}, "over a week"), ({"longer": "all"}, "'out' or 'even'"),
                         ({"zone": "Chicago"}, "Time zone 'Chicago'"), ({"level": 2.0}, "between 0 and 1"), ({"by": "bet"}, "beat")):
        with pytest.raises(BadInput, match=match):
            aoristic.hours(rows, ASOF, **{"window": "200d", **wrong})
    for hours in ("20", "4-4", "20-99", [24], []):
        with pytest.raises(BadInput, match="hours="):
            aoristic.chances(rows, hours)
    with pytest.raises(BadInput, match="Did you mean 'Fri'"):
        aoristic.chances(rows, "20-04", days=["fri"])
    with pytest.raises(CannotTell, match="choose a longer window"):
        aoristic.hours(rows, "2020-01-01")
    with pytest.raises(BadInput, match="started_at"):
        aoristic.weights(pl.DataFrame({"x": [1]}))
    with pytest.raises(BadInput, match="no time zone"):
        aoristic.weights(rows.with_columns(pl.col("started_at").dt.replace_time_zone(None)))
    assert aoristic.weights(rows.head(0)).height == 0 and len(aoristic.chances(rows.head(0), "20-04")) == 0


def test_the_models_of_time_are_listed_and_import_nothing_heavy() -> None:
    assert {"patterns.aoristic", "patterns.exceptions", "patterns.changes", "patterns.early"} <= set(models.names())
    code = ("import sys; from workbench.models.patterns import aoristic, changes, clock, early, exceptions; "
            "print(sorted({'scipy', 'statsmodels', 'pandas', 'numba'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
