"""A plate's pattern of life and what speaks against a hypothesis: planted habits found, base rates counted, refused without a case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import AccessRefused, BadInput, CannotTell
from workbench.geo import Plane
from workbench.models import plates
from workbench.models.plates import _against, _days
from workbench.models.plates.contradict import against
from workbench.models.plates.life import absence, first_time, loitering, pattern
from workbench.results import Origin, origin_of, remember

START = datetime(2026, 6, 1, tzinfo=UTC)  # a Monday
PLANE = Plane.local(41.6, -90.9)
SIDE, APART, DAYS = 7, 1500.0, 28
CASE = {"case_number": "2026-0142"}
CASING = {f"CASE{k}": 8 + 3 * k for k in range(5)}


def frame(rows: list[tuple[str, int, float]]) -> pl.DataFrame:
    """(plate, reader, hours after the start) rows as a reads table; readers on a square grid."""
    reader = np.array([r for _, r, _ in rows], dtype=np.int64)
    lon, lat = PLANE.to_degrees(reader % SIDE * APART, reader // SIDE * APART)
    return pl.DataFrame(
        {
            "read_id": [f"r{i}" for i in range(len(rows))],
            "plate": [p for p, _, _ in rows],
            "reader": [f"R{r:02d}" for r in reader.tolist()],
            "read_at": pl.Series([START + timedelta(seconds=round(h * 3600)) for _, _, h in rows], dtype=pl.Datetime("us", "UTC")),
            "lon": lon,
            "lat": lat,
        }
    )


def place(reader: int) -> tuple[float, float]:
    lon, lat = PLANE.to_degrees(np.array([reader % SIDE * APART]), np.array([reader // SIDE * APART]))
    return float(lon[0]), float(lat[0])


def town(seed: int = 1) -> list[tuple[str, int, float]]:
    """Commuters, casual drivers, delivery vans that circle all day, one bus line; and five plates that case one reader on three days."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, int, float]] = []
    n = SIDE * SIDE
    for v in range(160):
        home, work = rng.choice(n, 2, replace=False)
        for d in range(DAYS):
            if d % 7 < 5 and rng.random() < 0.9:
                for hour, a, b in ((7.6, home, work), (17.2, work, home)):
                    at = d * 24 + hour + rng.normal(0, 0.3)
                    rows += [(f"COM{v:03d}", int(a), at), (f"COM{v:03d}", int(b), at + 0.3)]
    for v in range(300):
        for _ in range(rng.poisson(6)):
            at, a = rng.uniform(0, DAYS * 24), rng.integers(0, n)
            rows += [(f"CAS{v:03d}", int(a), at), (f"CAS{v:03d}", int(rng.integers(0, n)), at + 0.3)]
            if rng.random() < 0.15:
                rows.append((f"CAS{v:03d}", int(a), at + rng.uniform(0.4, 1.2)))
    for v in range(12):
        x, y = rng.integers(1, SIDE - 1, 2)
        for d in range(DAYS):
            for k in range(24 if d % 7 < 6 else 0):
                at = int(np.clip(x + rng.integers(-1, 2), 0, SIDE - 1) + SIDE * np.clip(y + rng.integers(-1, 2), 0, SIDE - 1))
                rows.append((f"VAN{v:02d}", at, d * 24 + 8 + k * 0.4 + rng.normal(0, 0.05)))
    for d in range(DAYS):
        rows += [("BUS01", 21 + k % SIDE, d * 24 + 6 + k * 0.15) for k in range(100)]
    for name, target in CASING.items():
        for d in rng.choice(DAYS, 3, replace=False):
            at = d * 24 + rng.uniform(1, 21)
            rows += [(name, target, at + k * rng.uniform(0.2, 0.35)) for k in range(5)]
        rows += [(name, int(rng.integers(0, n)), float(rng.uniform(0, DAYS * 24))) for _ in range(12)]
    return rows


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, int, float]]:
    return town()


@pytest.fixture(scope="module")
def ready(rows: Any) -> Any:
    return plates.prepare(frame(rows))


def test_the_anchor_is_the_place_where_days_begin_and_end_and_says_how_common_that_is(rows: Any) -> None:
    mine = (
        [("HOME1", 24, d * 24 + 7.1) for d in range(20)] + [("HOME1", 26, d * 24 + 8.0) for d in range(20)] + [("HOME1", 26, d * 24 + 17.0) for d in range(20)]
    )
    mine += [("HOME1", 24, d * 24 + 18.0) for d in range(20)]
    found = pattern(frame(rows + mine), "home-1", **CASE)
    anchor = found.table.filter(pl.col("kind") == "anchor")
    ends, stays = anchor.filter(pl.col("finding").str.starts_with("first or last")), anchor.filter(pl.col("finding").str.starts_with("at least 3 hours"))
    assert ends["readers"][0].to_list() == ["R24"] and (ends["count"][0], ends["of"][0]) == (20, 20) and 0.8 < ends["low"][0] < 1.0
    assert stays["readers"][0].to_list() == ["R26"] and "from about 08:00 to 17:00" in stays["finding"][0]
    assert ends["expected"][0] == pytest.approx(0.75) and ends["others"][0] > 100 and ends["p"][0] < 0.01
    hour = found.table.filter(pl.col("kind") == "hour")
    assert set(hour["finding"].str.slice(4, 2)) <= {"07", "08", "17", "18"} and (hour["share"] >= hour["low"]).all() and (hour["as_many"] >= 0).all()
    assert "first or last was near R24 (chance: 75 %)" in found.headline and "other plates" in found.headline


def test_a_plate_without_habits_has_no_anchor_that_chance_would_not_give(rows: Any) -> None:
    rng = np.random.default_rng(9)
    low = 0
    for k in range(20):
        mine = [(f"RND{k:02d}", int(rng.integers(0, 49)), float(rng.uniform(0, DAYS * 24))) for _ in range(60)]
        table = pattern(frame(rows[:4000] + mine), f"RND{k:02d}", **CASE).table
        low += int((table.filter(pl.col("kind") == "anchor")["p"].fill_null(1.0) < 0.01).any())
        assert (table.filter(pl.col("kind") == "hour")["p"] > 1e-6).all()
    assert low <= 2


def test_order_of_rows_and_place_of_the_town_change_nothing(rows: Any) -> None:
    reads = frame(rows)
    mixed, moved = reads.sample(fraction=1.0, shuffle=True, seed=2), reads.with_columns(pl.col("lon") + 0.5)
    first = pattern(reads, "COM003", **CASE).table
    assert pattern(mixed, "COM003", **CASE).table.equals(first)
    assert pattern(moved, "COM003", **CASE).table.drop("lon", "finding").equals(first.drop("lon", "finding"))
    assert loitering(mixed, reader="R08", **CASE).table.equals(loitering(reads, reader="R08", **CASE).table)


def test_those_who_case_a_place_are_found_and_vans_and_buses_are_not(ready: Any) -> None:
    flagged: dict[str, set[str]] = {}
    for reader in ready.spots["reader"].to_list():
        table = loitering(ready, reader=reader, **CASE).table
        flagged[reader] = set(table.filter((pl.col("q") <= 0.05) & ~pl.col("fleet"))["plate"])
    assert all(name in flagged[f"R{target:02d}"] for name, target in CASING.items())
    others = [p for reader, some in flagged.items() for p in some if CASING.get(p) != int(reader[1:])]
    assert len(others) <= 2, others
    fleet = loitering(ready, reader="R24", **CASE).table.filter(pl.col("fleet"))["plate"].to_list()
    assert "BUS01" in fleet and all(p.startswith(("VAN", "BUS")) for p in fleet)


def test_repeats_are_those_that_a_plain_count_gives(ready: Any, rows: Any) -> None:
    seen: dict[str, list[int]] = {}
    for plate, reader, hour in rows:
        if reader == 8:
            seen.setdefault(plate, []).append(round(hour * 3600))
    wanted = {}
    for plate, times in seen.items():
        gaps = np.diff(sorted(times))
        wanted[plate] = int(((gaps > 180) & (gaps <= 5400)).sum())
    table = loitering(ready, reader="R08", most=5000, **CASE).table
    assert dict(table.select("plate", "repeats").iter_rows()) == {p: k for p, k in wanted.items() if k >= 2}
    assert (table["by_chance"] / table["p"]).to_list() == pytest.approx([len(seen)] * len(table))


def test_new_here_is_held_against_how_often_others_are_new_here(rows: Any) -> None:
    reads = frame([*rows, ("NEW11", 21, 20 * 24 + 12.0), ("OLD11", 21, 10 * 24 + 12.0), ("OLD11", 21, 20 * 24 + 12.0)])
    new, old = (first_time(reads, p, reader="R21", history="14d", **CASE) for p in ("NEW11", "OLD11"))
    assert new.table["new"][0] and not old.table["new"][0] and old.table["days_before"][0] == 10
    at, visits = {}, []
    for p, r, h in [*rows, ("OLD11", 21, 10 * 24 + 12.0), ("OLD11", 21, 20 * 24 + 12.0)]:
        if r == 21:
            at.setdefault(p, set()).add(int((round(h * 3600) - 4 * 3600) // 86400))
    start = min(min(d) for d in at.values())
    for days in at.values():
        ordered = sorted(days)
        visits += [not any(d - 14 <= e < d for e in ordered) for d in ordered if d >= start + 14]
    assert new.basis.parameters["visits of others"] == len(visits) and new.basis.parameters["new visits of others"] == sum(visits)
    assert "was new (nothing of it in 14 days" in new.headline and "by plates as new" in new.headline
    near = first_time(reads, "NEW11", lon=place(21)[0], lat=place(21)[1], metres=200, history="14d", **CASE)
    assert near.table.equals(new.table)
    with pytest.raises(CannotTell, match="was not read reader R48"):
        first_time(reads, "NEW11", reader="R48", **CASE)
    with pytest.raises(BadInput, match="No reader is called 'R4X'"):
        first_time(reads, "NEW11", reader="R4X", **CASE)


def test_a_regular_plate_that_stops_is_told_and_days_with_its_readers_down_do_not_count(rows: Any) -> None:
    mine = [("GONE1", 24, d * 24 + h) for d in range(18) for h in (8.0, 18.0)]
    told = absence(frame(rows + mine), "GONE1", **CASE)
    assert "read on 18 of 18 days" in told.headline and "not on the 10 such days since" in told.headline
    work = told.table.filter(pl.col("kind") == "working days").row(0, named=True)
    # 14 of 14 working days, then 6 without: beta-binomial with half a day of prior on each side
    assert (work["seen"], work["days"], work["gap_days"]) == (14, 14, 6)
    assert work["chance"] == pytest.approx(np.prod([(j + 0.5) / (14 + 1 + j) for j in range(6)]))
    assert told.basis.parameters["chance"] < 1e-5
    down = [r for r in rows + mine if not (r[1] == 24 and r[2] >= 22 * 24)]
    short = absence(frame(down), "GONE1", **CASE)
    assert "not on the 4 such days since" in short.headline and short.basis.parameters["chance"] > 3 * told.basis.parameters["chance"]
    with pytest.raises(CannotTell, match="no day with its readers up comes after"):
        absence(frame([r for r in rows + mine if r[2] < 18 * 24]), "GONE1", **CASE)


@pytest.mark.parametrize(
    "ask",
    [
        lambda r, **k: pattern(r, "COM003", **k),
        lambda r, **k: first_time(r, "COM003", reader="R08", **k),
        lambda r, **k: absence(r, "COM003", **k),
        lambda r, **k: loitering(r, reader="R08", **k),
        lambda r, **k: against(r, "COM003", lon=-90.9, lat=41.6, **k),
    ],
)
def test_without_a_case_number_or_reads_nothing_is_told(ask: Any, ready: Any) -> None:
    with pytest.raises(BadInput, match="names no case"):
        ask(ready, case_number=" ")
    with pytest.raises(CannotTell, match="There are no reads before 2020-01-01"):
        ask(ready, asof="2020-01-01", **CASE)
    with pytest.raises(CannotTell, match="There are no reads, so"):
        ask(ready.frame.clear(), **CASE)
    with pytest.raises(BadInput, match="no column"):
        ask(ready.frame.drop("reader"), **CASE)


def test_too_few_reads_and_no_plate_are_said(ready: Any) -> None:
    with pytest.raises(CannotTell, match="NEVER1 was read 0 times on 0 days; a pattern needs at least 10 reads on 5 days"):
        pattern(ready, "never-1", **CASE)
    with pytest.raises(BadInput, match="holds no letter or digit"):
        pattern(ready, " - ", **CASE)
    with pytest.raises(CannotTell, match="at least 20 are needed to say what is usual there"):
        loitering(frame([("A1", 0, 1.0), ("A1", 0, 1.5)]), reader="R00", **CASE)


def test_nothing_after_asof_is_looked_at_and_prepared_reads_give_the_same(ready: Any) -> None:
    cut = START + timedelta(days=20)
    before = ready.frame.filter(pl.col("read_at") < cut)
    assert pattern(ready, "COM003", asof=cut, **CASE).table.equals(pattern(before, "COM003", **CASE).table)
    assert loitering(ready, reader="R08", asof=cut, **CASE).table.equals(loitering(before, reader="R08", **CASE).table)


def test_the_workspace_refuses_a_pattern_of_life_to_who_has_no_case_and_writes_down_who_asked(city: Any, city_path: Any) -> None:
    reads = city.reads("2026-06-01", "2026-07-02")
    found = pattern(reads, "CLY2440", zone=city.agency.zone, **CASE)
    assert found.basis.parameters["case_number"] == "2026-0142" and found.basis.run["function"].endswith("life:pattern")
    assert any("CLY2440" in text for text in city.audit.entries(12)["detail"].to_list())
    public = wb.open_workbench(city_path).incidents("2026-06-01", "2026-06-03")
    hand = remember(frame(town()[:3000]), Origin(permit=origin_of(public).permit))
    for ask in (pattern, absence, lambda r, p, **k: first_time(r, p, reader="R08", **k), lambda r, p, **k: loitering(r, reader="R08", **k)):
        with pytest.raises(AccessRefused, match="only for a case"):
            ask(hand, "COM003", **CASE)
    with pytest.raises(AccessRefused, match="only for a case"):
        against(hand, "COM003", lon=-90.9, lat=41.6, **CASE)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4000), st.floats(0, 20_000)), max_size=6), st.integers(500, 2500), st.integers(0, 1500))
def test_the_share_ruled_out_is_that_of_a_count_of_seconds(reads: list[tuple[int, float]], low: int, length: int) -> None:
    reads = sorted(reads)
    t, far = np.array([r[0] for r in reads], dtype=float), np.array([r[1] for r in reads])
    share, tell = _against.ruled_out(t, far, low, low + length, 800.0, 33.0)
    moments = np.arange(low, low + length) + 0.5 if length else np.array([float(low)])
    half = np.maximum(far - 800.0, 0) / 33.0
    out = (abs(moments[:, None] - t[None, :]) < half[None, :]).any(axis=1) if len(t) else np.zeros(len(moments), dtype=bool)
    assert share == pytest.approx(out.mean(), abs=(2 * len(reads) + 1) / max(length, 1) if length else 0)
    assert bool(len(tell)) >= (share > 0)


def scenes(*given_: tuple[str, int, float]) -> pl.DataFrame:
    at = [place(r) for _, r, _ in given_]
    return pl.DataFrame(
        {
            "incident_id": [i for i, _, _ in given_],
            "lon": [p[0] for p in at],
            "lat": [p[1] for p in at],
            "started_at": pl.Series([START + timedelta(hours=h) for _, _, h in given_], dtype=pl.Datetime("us", "UTC")),
        }
    )


def test_a_read_far_off_minutes_before_rules_a_scene_out_and_its_absence_at_two_readers_has_a_weight(rows: Any) -> None:
    mine = [("SUSP1", 0, 100.0), ("SUSP1", 24, 200.0)]
    pairs = [(f"PAIR{k}", r, 300.0 + k / 10) for k in range(40) for r in (10, 11)]
    reads = frame(rows + mine + pairs)
    told = against(reads, "SUSP1", scenes(("far", 48, 100.05), ("there", 24, 200.1), ("two", 10, 303.0)), metres=1600)
    out = told.table.filter(pl.col("about") == "far").row(0, named=True)
    assert out["what"] == "ruled out" and out["weight"] == 1.0 and out["kmh"] > 120 and out["evidence"] and "read by R00" in out["text"]
    assert told.table.filter(pl.col("about") == "there").is_empty()
    two = told.table.filter(pl.col("about") == "two").row(0, named=True)
    assert two["what"] == "not read" and 0 < two["weight"] < 1
    assert "at 1 it cannot have been (read elsewhere), at 1 it was not read" in told.headline and "at 1 nothing speaks against it" in told.headline
    plates, hit = reads["plate"].n_unique(), 0
    for about, spot, hour in (("far", 48, 100.05), ("there", 24, 200.1), ("two", 10, 303.0)):  # by hand: who was read too far away to be there at that moment
        away = [(p, np.hypot((r % SIDE - spot % SIDE) * APART, (r // SIDE - spot // SIDE) * APART), abs(h - hour)) for p, r, h in rows + mine + pairs]
        out = {p for p, metres, hours in away if (metres - 1600) / (120_000 / 3600) > hours * 3600}
        hit += len(out)
        assert ("SUSP1" in out) == (about == "far")
    assert f"A plate taken at random from the {plates} read is ruled out by a read elsewhere, wholly or for a part of the time, at " in told.headline
    said = float(told.headline.partition("of the time, at ")[2].partition(" %")[0])
    assert said == pytest.approx(100 * hit / 3 / plates, abs=0.051) and told.headline.endswith("of these scenes; SUSP1 is at 1 of 3.")


def test_readers_that_were_down_cannot_tell(rows: Any) -> None:
    reads = frame([r for r in rows if not (r[1] == 48 and 90 < r[2] < 110)] + [("SUSP1", 0, 400.0)])
    told = against(reads, "SUSP1", scenes(("down", 48, 100.0)))
    assert told.table["what"].to_list() == ["cannot tell"] and told.table["weight"].to_list() == [None] and "they were down" in told.table["text"][0]
    with pytest.raises(CannotTell, match="No scene has a position and a time"):
        against(reads, "SUSP1", scenes(("x", 1, 1.0)).with_columns(lon=pl.lit(None, dtype=pl.Float64)))


def test_a_companion_read_across_town_at_the_same_time_cannot_have_been_with_it(rows: Any) -> None:
    both = [(p, r, h) for h in (10.0, 34.0, 58.0) for p, r in (("ONE11", 5), ("TWO22", 5))]
    told = against(frame(rows + both + [("ONE11", 0, 82.0), ("TWO22", 48, 82.05), ("ONE11", 3, 120.0)]), "ONE11", companion="two-22", minutes=5)
    assert "at 1 of 5 reads the other cannot have been with it, at 1 it was read alone, at 3 both were read" in told.headline
    assert told.table["what"].to_list() == ["apart", "alone"] and told.table["weight"][0] == 1.0 and len(told.table["evidence"][0]) == 2


def test_nights_spent_elsewhere_speak_against_an_anchor(rows: Any) -> None:
    mine = [("NITE1", 48, d * 24 + h) for d in range(6) for h in (23.9, 25.5, 27.0, 28.9)]
    lon, lat = place(0)
    told = against(frame(rows + mine), "NITE1", lon=lon, lat=lat, **CASE)
    out = told.table.filter(pl.col("what") == "ruled out")
    assert len(out) >= 5 and (out["weight"] > 0.1).all() and "No read of the plate was there at all" in told.basis.notes[0]
    here = against(frame(rows + mine), "NITE1", lon=place(48)[0], lat=place(48)[1], **CASE)
    assert here.table.filter(pl.col("what") == "ruled out").is_empty()


def test_a_hypothesis_must_be_one_and_the_plate_must_have_been_read(ready: Any) -> None:
    with pytest.raises(BadInput, match="Give one hypothesis: scenes, companion, or lon and lat; given: none"):
        against(ready, "COM003")
    with pytest.raises(BadInput, match="given: scenes, companion"):
        against(ready, "COM003", scenes(("x", 1, 1.0)), companion="COM004")
    with pytest.raises(BadInput, match="is the plate itself"):
        against(ready, "COM003", companion="COM003")
    with pytest.raises(CannotTell, match="NEVER1 was never read"):
        against(ready, "NEVER1", companion="COM003")


def test_the_beta_binomial_tail_is_the_binomial_without_correlation_and_sums_to_one() -> None:
    from scipy import stats

    x, k, p = np.arange(0, 8), np.full(8, 7), np.full(8, 0.3)
    assert _days.beta_binomial_tail(x, k, p, 0.0) == pytest.approx(stats.binom.sf(x - 1, 7, 0.3))
    a, b = 0.3 * (1 / 0.1 - 1), 0.7 * (1 / 0.1 - 1)
    assert _days.beta_binomial_tail(x, k, p, 0.1) == pytest.approx(stats.betabinom.sf(x - 1, 7, a, b))
