"""Series: linkage learnt from solved ones, series found, the next event, and where the base may be; each against something known."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Grid, Plane
from workbench.models.patterns import journey, linkage, next_event, series

START = datetime(2025, 1, 1, tzinfo=UTC)
ASOF = datetime(2026, 1, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
GRID = Grid(PLANE, -10_000.0, -10_000.0, 80, 80, 250.0)
ENTRY = ["REAR DOOR PRIED", "FRONT WINDOW BROKEN", "LOCK PICKED", "GARAGE FORCED", "UNLOCKED DOOR", "BASEMENT WINDOW", "SLIDING DOOR LIFTED", "ROOF HATCH CUT"]
TAKEN = ["JEWELRY", "CASH", "TOOLS", "TELEVISION", "BICYCLE", "GUNS", "MEDICATION", "NOTHING"]


def town(offenders: int, lone: int, seed: int, *, planted: bool = True) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Incidents, and solved series (with the base of whoever did them); not planted = series are dealt out at random."""
    rng = np.random.default_rng(seed)
    size = rng.integers(4, 9, offenders)
    who = np.r_[np.repeat(np.arange(offenders), size), np.full(lone, -1)]
    n, own = len(who), who >= 0
    base = rng.normal(0, 3500, (offenders, 2))
    xy = rng.uniform(-8000, 8000, (n, 2))
    turn, far = rng.uniform(0, 2 * math.pi, n), rng.gamma(3, 500, n)
    xy[own] = base[who[own]] + np.stack([far * np.cos(turn), far * np.sin(turn)], axis=1)[own]
    begin, hour = rng.uniform(0, 300, offenders), rng.uniform(0, 24, offenders)
    day = np.where(own, begin[who] + rng.uniform(0, 45, n), rng.uniform(0, 350, n))
    clock = np.where(own, hour[who] + rng.normal(0, 1.5, n), rng.uniform(0, 24, n)) % 24
    entry, taken = rng.integers(0, 8, offenders), rng.integers(0, 8, offenders)
    how = np.where(own & (rng.random(n) < 0.7), entry[who], rng.integers(0, 8, n))
    what = np.where(own & (rng.random(n) < 0.5), taken[who], rng.integers(0, 8, n))
    at = [START + timedelta(days=math.floor(d), hours=float(h)) for d, h in zip(day, clock, strict=True)]
    lon, lat = PLANE.to_degrees(xy[:, 0], xy[:, 1])
    frame = pl.DataFrame({"incident_id": [f"i{k}" for k in range(n)], "started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat,
                          "ended_at": pl.Series([a + timedelta(hours=1) for a in at], dtype=pl.Datetime("us", "UTC")),
                          "mo": [f"{ENTRY[h]}; {TAKEN[w]} TAKEN" for h, w in zip(how, what, strict=True)]})
    label = who[own] if planted else rng.permutation(who[own])
    blon, blat = PLANE.to_degrees(base[who[own], 0], base[who[own], 1])
    solved = frame.head(int(own.sum())).select("incident_id", "started_at", "lon", "lat").with_columns(
        series=pl.Series([f"o{k}" for k in label]), base_lon=pl.Series(blon), base_lat=pl.Series(blat))
    return frame, solved


@pytest.fixture(scope="module")
def planted() -> tuple[pl.DataFrame, pl.DataFrame, linkage.Linkage]:
    frame, solved = town(60, 700, 3)
    return frame, solved, linkage.fit(frame, solved.filter(pl.col("series").str.slice(1).cast(pl.Int64) < 40), ASOF)


# --- linkage ----------------------------------------------------------------------------------------------------------------------


def test_pairs_of_one_offender_are_told_from_others_on_series_held_out(planted: Any) -> None:
    frame, solved, made = planted
    assert made.auc >= 0.85 and made.low > 0.8
    rest = solved.filter(pl.col("series").str.slice(1).cast(pl.Int64) >= 40)
    one = [(a, b) for (_,), p in rest.group_by("series") for k, a in enumerate(p["incident_id"]) for b in p["incident_id"][k + 1:]]
    ids, whose = rest["incident_id"].to_list(), dict(rest.select("incident_id", "series").iter_rows())
    two = [(a, b) for k, a in enumerate(ids) for b in ids[k + 1:] if whose[a] != whose[b]]
    inside, outside = made.predict(frame, one), made.predict(frame, two)
    auc = (np.searchsorted(np.sort(outside), inside).mean()) / len(outside)
    assert auc >= 0.85 and auc == pytest.approx(made.auc, abs=0.07)
    calibrated = made.predict(frame, one + two)  # factors mean what they say: among pairs alike, the shares are as the factor says
    label = np.r_[np.ones(len(one)), np.zeros(len(two))]
    mid = (calibrated > 0.5) & (calibrated < 3)
    factor = (label[mid].sum() / len(one)) / ((1 - label[mid]).sum() / len(two))
    assert 0.3 < factor / math.exp(float(calibrated[mid].mean())) < 3


def test_series_dealt_out_at_random_teach_nothing_and_it_says_so() -> None:
    frame, solved = town(60, 300, 4, planted=False)
    made = linkage.fit(frame, solved, ASOF)
    assert abs(made.auc - 0.5) < 0.06
    if made.low <= 0.5:
        with pytest.raises(CannotTell, match="50 % is chance"):
            series.like(frame, made, "i0", ASOF)


def test_the_linkage_of_real_looking_burglaries_is_learnt(real_data: Path) -> None:
    folder = real_data / "crime_series"
    crimes = pl.read_csv(folder / "crimelinkage_crimes.csv", infer_schema_length=0)

    def at(day: str, hour: str) -> pl.Expr:
        return pl.concat_str([pl.col(day), pl.col(hour).str.zfill(4)], separator=" ").str.to_datetime("%Y-%m-%d %H%M", time_unit="us", time_zone="UTC",
                                                                                                   strict=False)

    lon, lat = Plane.local(39.3, -76.6).to_degrees(crimes["X"].cast(pl.Float64).to_numpy() * 0.3048, crimes["Y"].cast(pl.Float64).to_numpy() * 0.3048)
    frame = crimes.select(incident_id="crimeID", started_at=at("DATE_FROM", "TIME_FROM"), ended_at=at("DATE_TO", "TIME_TO"), MO1="MO1", MO2="MO2", MO3="MO3")
    frame = frame.with_columns(lon=pl.Series(lon), lat=pl.Series(lat)).filter(pl.col("started_at").is_not_null())
    offenders = pl.read_csv(folder / "crimelinkage_offenders.csv").select(incident_id="crimeID", series="offenderID")
    assert linkage.fit(frame, offenders, "2020-01-01", also=["MO1", "MO2", "MO3"]).auc >= 0.88


def test_order_and_place_of_the_town_change_nothing(planted: Any) -> None:
    frame, solved, made = planted
    part = solved.filter(pl.col("series").str.slice(1).cast(pl.Int64) < 40)
    moved = frame.with_columns(pl.col("lat") + 0.0005).sample(fraction=1, shuffle=True, seed=1)
    again = linkage.fit(moved, part.sample(fraction=1, shuffle=True, seed=2), ASOF)
    assert again.auc == pytest.approx(made.auc, abs=0.02)
    after = frame.head(50).with_columns(pl.col("incident_id") + "x", started_at=ASOF + pl.duration(days=1), ended_at=ASOF + pl.duration(days=2))
    later = pl.concat([frame, after])
    assert linkage.fit(later, part, ASOF).auc == made.auc


def test_too_few_solved_series_cannot_teach() -> None:
    frame, solved = town(6, 100, 1)
    with pytest.raises(CannotTell, match="6 solved series .* at least 8"):
        linkage.fit(frame, solved, ASOF)
    with pytest.raises(CannotTell, match="has a position"):
        linkage.fit(frame.with_columns(lon=pl.lit(None, dtype=pl.Float64)), solved, ASOF)
    with pytest.raises(BadInput, match="series"):
        linkage.fit(frame, solved.drop("series"), ASOF)


def test_solved_series_come_from_arrestees_and_suspects() -> None:
    rows = pl.DataFrame({"incident_id": ["a", "b", "c", "a"], "entity_kind": ["person"] * 4, "entity_id": ["p", "p", "q", "v"],
                         "role": ["arrestee", "suspect", "arrestee", "victim"]})
    assert linkage.solved_of(rows).rows() == [("a", "p"), ("b", "p")]


# --- series -----------------------------------------------------------------------------------------------------------------------


def test_the_rest_of_a_series_comes_first_with_a_base_rate(planted: Any) -> None:
    frame, solved, made = planted
    kept, by_distance = [], []
    for k in range(40, 60):
        ids = solved.filter(pl.col("series") == f"o{k}")["incident_id"].to_list()
        lead = series.like(frame, made, ids[:2], ASOF)
        kept.append(len(set(lead.table["incident_id"][:10]) & set(ids[2:])) / len(ids[2:]))
        x, y = PLANE.to_metres(frame["lon"].to_numpy(), frame["lat"].to_numpy())
        own = frame["incident_id"].is_in(ids[:2]).to_numpy()
        near = np.argsort(np.hypot(x - x[own].mean(), y - y[own].mean()) + 1e9 * own)[:10]
        by_distance.append(len(set(frame["incident_id"].gather(near)) & set(ids[2:])) / len(ids[2:]))
    assert np.mean(kept) > 0.4 and np.mean(kept) > 3 * np.mean(by_distance)
    assert (lead.table["as_high"] > 0).all() and "leads to check, not matches" in lead.headline and "m apart" in lead.table["reasons"][0]
    assert lead.table["times"].is_sorted(descending=True)


def test_unrelated_incidents_score_as_high_as_their_base_rate_says(planted: Any) -> None:
    frame, solved, made = planted
    lone = frame.filter(~pl.col("incident_id").is_in(solved["incident_id"].to_list()))
    firsts = np.array([series.like(lone, made, key, ASOF, most=1).table["as_high"][0] for key in lone["incident_id"].to_list()[:40]])
    assert np.mean(firsts < 0.05) <= 0.15 and 0.2 < np.mean(firsts < 0.5) < 0.6  # 1 - exp(-0.5) = 0.39: the best of many unrelated ones is no finding


def test_planted_series_are_found_and_shuffled_ones_are_not(planted: Any) -> None:
    frame, solved, made = planted
    late = frame.filter(pl.col("started_at") >= ASOF - timedelta(days=180))
    made_sets = series.found(frame, made, ASOF, draws=20)
    whose = dict(solved.select("incident_id", "series").iter_rows())
    best = made_sets.table.filter(pl.col("by_chance") < 0.05)
    assert best.height >= 5 and made_sets.basis.used == late.height
    of_one = [max(Counter(whose.get(k, k) for k in ids).values()) / len(ids) for ids in best["incidents"].to_list()]
    assert np.mean(of_one) > 0.6
    rng = np.random.default_rng(0)
    mixed = frame.with_columns(lon=frame["lon"].gather(rng.permutation(frame.height)), mo=frame["mo"].gather(rng.permutation(frame.height)))
    none = series.found(mixed.with_columns(lat=frame["lat"].gather(rng.permutation(frame.height))), made, ASOF, draws=20)
    assert none.table.filter(pl.col("by_chance") < 0.05).height <= 1


def test_a_bulletin_lists_the_incidents_in_order_and_what_they_share(city: Any, samples: Path) -> None:
    import json

    known = json.loads((samples / "planted.json").read_text())["series"][0]
    burglaries = city.incidents("2026-01-01", "2026-07-01", offence="burglary")
    made = series.bulletin(burglaries, known["incident_ids"], "2026-07-01", name="Sliding doors", zone=city.agency.zone)
    assert made.table["number"].to_list() == list(range(1, 21)) and made.headline.startswith("Sliding doors: 20 incidents from 2026-04-15")
    assert "sliding" in made.headline and [type(layer).__name__ for layer in made.layers] == ["Areas", "Points"]
    with pytest.raises(BadInput, match="at least two"):
        series.bulletin(burglaries, known["incident_ids"][:1], "2026-07-01")
    with pytest.raises(BadInput, match="no incident 'nix'"):
        series.bulletin(burglaries, ["nix", *known["incident_ids"]], "2026-07-01")


# --- next event -------------------------------------------------------------------------------------------------------------------


def one_series(xy: Any, days: Any) -> pl.DataFrame:
    lon, lat = PLANE.to_degrees(xy[:, 0], xy[:, 1])
    at = [START + timedelta(days=float(d)) for d in days]
    return pl.DataFrame({"incident_id": [f"s{k}" for k in range(len(xy))], "started_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "lon": lon, "lat": lat})


@pytest.mark.parametrize(("n", "drift"), [(5, False), (12, True)])
def test_the_area_holds_the_next_event_as_often_as_it_says(n: int, drift: bool) -> None:
    rng = np.random.default_rng(n)
    held = np.zeros(2)
    for _ in range(1500):
        xy = rng.multivariate_normal([0, 0], [[90_000, 30_000], [30_000, 40_000]], n + 1) + (np.arange(n + 1)[:, None] * [80.0, -50.0] if drift else 0)
        middle, spread, freedom = next_event._predicted(xy[:-1], drift)
        off = xy[-1] - middle
        held += [float(off @ np.linalg.solve(spread, off)) <= next_event._radius(freedom, c) for c in (0.5, 0.9)]
    assert np.abs(held / 1500 - [0.5, 0.9]).max() < 0.04


def test_where_scatter_is_not_normal_solved_series_make_the_coverage_true() -> None:
    rng = np.random.default_rng(9)

    def heavy(n: int) -> Any:
        return rng.standard_t(1.5, (n, 2)) * 200

    past = pl.concat([one_series(heavy(7), range(7)).with_columns(series=pl.lit(f"p{k}")) for k in range(200)])
    levels, how = next_event._levels(past, ASOF, (0.9,), False)
    held = []
    for _ in range(400):
        xy = heavy(7)
        middle, spread, freedom = next_event._predicted(xy[:-1], False)
        off = xy[-1] - middle
        held.append(float(off @ np.linalg.solve(spread, off)) <= next_event._radius(freedom, levels[0]))
    assert 0.84 < np.mean(held) < 0.96 and "200 solved series" in how


def test_the_planted_next_place_lies_in_the_area(city: Any, samples: Path) -> None:
    import json

    known = json.loads((samples / "planted.json").read_text())["series"][0]
    found = next_event.area(city.incidents("2026-01-01", "2026-07-01", offence="burglary"), known["incident_ids"], "2026-06-23", zone=city.agency.zone)
    row = found.table.row(-1, named=True)
    plane = Plane.local(row["lat"], row["lon"])
    x, y = plane.to_metres(known["next_centre"]["lon"], known["next_centre"]["lat"])
    turned = math.radians(row["turned"])
    along, across = x * math.cos(turned) + y * math.sin(turned), y * math.cos(turned) - x * math.sin(turned)
    assert (along / row["half_length"]) ** 2 + (across / row["half_width"]) ** 2 < 1 and found.basis.parameters["drift"] is True
    assert row["from"] < datetime(2026, 6, 26, 17, tzinfo=UTC) < row["until"] and "no solved series" in found.headline


def test_a_series_too_short_or_at_one_address_cannot_tell() -> None:
    frame = one_series(np.zeros((5, 2)), range(5))
    with pytest.raises(CannotTell, match="same address"):
        next_event.area(frame, frame["incident_id"].to_list(), ASOF)
    with pytest.raises(CannotTell, match="at least 4"):
        next_event.area(frame, ["s0", "s1"], ASOF)
    with pytest.raises(BadInput, match="coverage"):
        next_event.area(frame, ["s0", "s1", "s2", "s3"], ASOF, coverage=(1.0,))


# --- journey ----------------------------------------------------------------------------------------------------------------------


def test_rossmos_formula_is_as_published() -> None:
    x, y = np.array([0.0, 1000.0]), np.array([0.0, 0.0])
    got = journey.rossmo(x, y, np.array([600.0]), np.array([0.0]), f=1.2, g=1.5, buffer=500.0)[0]
    assert got == pytest.approx(600**-1.2 + 500 ** (1.5 - 1.2) / (1000 - 400) ** 1.5)
    assert journey._buffer(x, y) == 500.0


def test_the_base_is_found_early_where_offenders_set_out_from_one() -> None:
    frame, solved = town(40, 0, 11)
    learnt, late = solved.filter(pl.col("series") != "o0"), solved.filter(pl.col("series") == "o0")
    found = journey.profile(frame, late["incident_id"].to_list(), GRID, ASOF, solved=learnt, homes=frame)
    assert found.table["tested"].to_list() == [39] * 3 and found.table["hit_score"].min() < 0.08 and found.table["used"].sum() == 1
    used = found.table.filter(pl.col("used")).row(0, named=True)
    assert used["hit_score"] == found.table["hit_score"].min() and used["within"] > 0.5
    assert "recorded home" in found.headline and "points at nobody" in found.headline


def test_bases_dealt_out_at_random_are_not_found() -> None:
    frame, solved = town(40, 0, 12)
    bases = solved.group_by("series", maintain_order=True).agg(pl.col("base_lon", "base_lat").first())
    rng = np.random.default_rng(1)
    lon, lat = PLANE.to_degrees(rng.uniform(-9000, 9000, bases.height), rng.uniform(-9000, 9000, bases.height))
    random = solved.drop("base_lon", "base_lat").join(bases.select("series").with_columns(base_lon=pl.Series(lon), base_lat=pl.Series(lat)), on="series")
    found = journey.profile(frame, solved.filter(pl.col("series") == "o0")["incident_id"].to_list(), GRID, ASOF, solved=random)
    assert 0.3 < found.table.filter(pl.col("method") == "rossmo")["hit_score"][0] < 0.7


def test_without_solved_series_a_profile_says_that_it_was_not_tested() -> None:
    frame, solved = town(10, 0, 13)
    ids = solved.filter(pl.col("series") == "o1")["incident_id"].to_list()
    found = journey.profile(frame, ids, GRID, ASOF)
    assert "cannot be told" in found.headline and found.table["hit_score"].null_count() == 3
    with pytest.raises(BadInput, match="no method 'rosmo'.*rossmo"):
        journey.profile(frame, ids, GRID, ASOF, method="rosmo")
    with pytest.raises(BadInput, match="learns from solved"):
        journey.profile(frame, ids, GRID, ASOF, method="bayes")
    with pytest.raises(CannotTell, match="different places"):
        journey.profile(frame, ids[:2], GRID, ASOF)
