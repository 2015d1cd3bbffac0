"""Who travels with whom: planted convoys are found, chance is not, and the figures are those of the plain definition."""

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

from benchmarks.simulated_reads import Town, found, precision, shuffled, simulate
from workbench.errors import BadInput, CannotTell
from workbench.models.plates import _convoy, convoy, prepare
from workbench.models.plates._convoy import Habits, Rules
from workbench.results import Origin, remember

START = datetime(2026, 6, 1, tzinfo=UTC)
ZONE = "America/Chicago"


def random_reads(seed: int, n: int = 3000, plates: int = 30, readers: int = 8, days: int = 12) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    at = rng.integers(0, days, n) * 86400 + rng.integers(6 * 3600, 9 * 3600, n)
    return pl.DataFrame({
        "read_id": [f"r{i}" for i in range(n)], "plate": [f"P{k:03d}" for k in rng.integers(0, plates, n)],
        "reader": [f"R{k}" for k in rng.integers(0, readers, n)], "read_at": [START + timedelta(seconds=int(t)) for t in at],
        "lon": rng.uniform(-90, -89.9, n), "lat": rng.uniform(41, 41.1, n)},
        schema_overrides={"read_at": pl.Datetime("us", "UTC")})


def plain_counts(reads: pl.DataFrame, within: int) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    both = reads.join(reads, on="reader", suffix="_b").filter(
        (pl.col("plate") < pl.col("plate_b")) & ((pl.col("read_at") - pl.col("read_at_b")).dt.total_seconds().abs() <= within))
    day = pl.min_horizontal("read_at", "read_at_b").dt.date()
    per = both.group_by("plate", "plate_b").agg(pl.struct("reader", day=day).n_unique(), pl.col("reader").n_unique().alias("spots"),
                                                day.n_unique().alias("days"), pl.len())
    return {(a, b): (n, s, d, k) for a, b, n, s, d, k in per.iter_rows()}


@pytest.mark.parametrize("seed", [1, 2])
def test_counts_are_those_of_a_plain_join(seed: int) -> None:
    reads = random_reads(seed)
    habits = Habits(prepare(reads), None)
    made = habits.candidates(Rules(60, 900, 1, 1, 1))
    names = habits.passages.plates.to_list()
    ours = {(names[a], names[b]): tuple(c) for a, b, c in zip(made.low, made.high, made.counts.tolist(), strict=True)}
    assert ours == plain_counts(reads, 60)
    assert made.events == sum(v[3] for v in ours.values())


def test_what_habits_give_is_the_plain_sum_over_other_days_of_the_same_kind() -> None:
    reads = random_reads(3, n=1200, plates=12, days=15)
    habits = Habits(prepare(reads), None)
    made = habits.candidates(Rules(60, 900, 1, 1, 1))
    expected = habits.expected(made.low, made.high, Rules(60, 900, 1, 1, 1))
    t = reads["read_at"].dt.epoch("s")
    frame = reads.select("plate", "reader", day=t // 86400, tod=t % 86400).with_columns(kind=(pl.col("day") + 3) % 7 >= 5)
    both = frame.join(frame, on=["reader", "kind"], suffix="_b").filter(
        (pl.col("plate") < pl.col("plate_b")) & (pl.col("day") != pl.col("day_b")) & ((pl.col("tod") - pl.col("tod_b")).abs() <= 900))
    days = frame.group_by("kind").agg(pl.col("day").n_unique() - 1)
    assert days["day"].min() >= 3  # type: ignore[operator]
    sums = both.join(days.rename({"day": "others"}), on="kind").group_by("plate", "plate_b").agg((1 / pl.col("others")).sum() * 60 / 900)
    plain = {(a, b): e for a, b, e in sums.iter_rows()}
    names = habits.passages.plates.to_list()
    for a, b, e in zip(made.low, made.high, expected, strict=True):
        assert e == pytest.approx(plain.get((names[a], names[b]), 0.0))


def test_two_cars_that_travel_together_are_found_in_an_easy_and_in_a_hard_town() -> None:
    for hard, least in ((False, 0.99), (True, 0.85)):
        reads, planted = simulate(Town(reads=300_000, pairs=80, hard=hard), seed=5)
        made = convoy.pairs(reads).table
        many, right = found(made, planted)
        assert precision(made["plate"], made["other"], planted) >= least
        assert right >= 0.8 * len(planted) and many - right <= 0.2 * many
        raw = made.sort("co_reads", descending=True)
        assert not hard or precision(raw["plate"], raw["other"], planted) < 0.5


def test_where_days_were_dealt_out_anew_almost_nothing_is_found_and_p_is_no_smaller_than_chance() -> None:
    false, shares = 0, []
    for seed in range(6):
        reads, _ = simulate(Town(reads=150_000, pairs=40, hard=True), seed=seed)
        habits = Habits(prepare(shuffled(reads, seed)), None)
        rules = Rules(60, 900, 3, 3, 2)
        made = habits.candidates(rules)
        p = habits.null(rules, 1).p(habits.score(made, habits.expected(made.low, made.high, rules), habits.base(made.events)))
        shares += [(float(np.mean(p <= level)), level, len(p)) for level in (0.05, 0.2, 0.5)]
        false += int((_convoy.discoveries(p) <= 0.1).sum() > 0)
    assert false <= 2
    for level in (0.05, 0.2, 0.5):
        mine = [s for s, at, _ in shares if at == level]
        assert 0.5 * level <= float(np.mean(mine)) <= 1.1 * level  # p is the upper end of what was counted, so it errs to the careful side


def test_the_planted_convoys_of_the_made_up_city_are_found_and_the_first_is_one(city: Any, samples: Path) -> None:
    planted = json.loads((samples / "planted.json").read_text())
    reads = prepare(city.reads("2026-06-01", "2026-07-01"), zone=ZONE)
    made = convoy.pairs(reads)
    convoys = {frozenset((a, b)): c["name"] for c in planted["convoys"] for a in c["plates"] for b in c["plates"] if a != b}
    first = made.table.row(0, named=True)
    assert frozenset((first["plate"], first["other"])) in convoys and first["q"] < 0.01
    rows = [(frozenset((r["plate"], r["other"])), r["habitual"]) for r in made.table.filter(pl.col("q") <= 0.1).iter_rows(named=True)]
    listed = {convoys[k]: habitual for k, habitual in rows if k in convoys}
    assert {"night run", "three in the afternoon", "rush hour", "crew van and scout"} <= set(listed)
    assert listed["rush hour"] and not listed["night run"]
    chance = frozenset(planted["chance_companions"]["plates"])
    assert chance not in {frozenset(x) for x in made.table.filter((pl.col("q") <= 0.1) & ~pl.col("habitual")).select("plate", "other").iter_rows()}
    tail = next(c for c in planted["convoys"] if c["name"] == "loose tail")["plates"]
    assert convoy.companions(reads, tail[0], within="5m").table["other"][0] == tail[1]
    for c in planted["convoys"][:2]:
        assert convoy.companions(reads, c["plates"][0]).table["other"][0] in c["plates"]
    row = made.table.row(0, named=True)
    of = reads.frame.filter(pl.col("read_id").is_in(row["evidence"]))
    assert set(of["plate"]) == {row["plate"], row["other"]} and len(of) >= 2 * row["together"]


def test_nothing_is_found_in_the_made_up_city_with_its_days_shuffled(city: Any) -> None:
    reads = city.reads("2026-06-01", "2026-07-01")
    made = convoy.pairs(prepare(shuffled(reads.select("read_id", "plate", "reader", "read_at", "lon", "lat"), 4), zone=ZONE))
    assert made.table.filter((pl.col("q") <= 0.05) & ~pl.col("habitual")).is_empty()


def test_companions_around_scenes_are_those_of_the_plates_read_there(city: Any, samples: Path) -> None:
    reads = prepare(city.reads("2026-06-01", "2026-07-01"), zone=ZONE)
    plate = json.loads((samples / "planted.json").read_text())["convoys"][1]["plates"][0]
    place = reads.frame.filter(pl.col("plate") == plate).sort("read_at").row(3, named=True)
    scenes = pl.DataFrame({"incident_id": ["1"], "lon": [place["lon"]], "lat": [place["lat"]], "started_at": [place["read_at"]], "ended_at": [None]},
                          schema_overrides={"ended_at": pl.Datetime("us", "UTC"), "started_at": pl.Datetime("us", "UTC")})
    made = convoy.around(reads, scenes, near=50, before="5m", after="5m")
    own = convoy.companions(reads, plate).table.sort("other")
    rows = made.table.filter((pl.col("plate") == plate) | (pl.col("other") == plate))
    assert set(own["other"]) <= set(rows["plate"]) | set(rows["other"]) and made.table["scenes"].to_list()[0] == ["1"]
    with pytest.raises(CannotTell, match="No plate was read within 50 m of 1 scene"):
        convoy.around(reads, scenes.with_columns(lon=0.0, lat=0.0), near=50)
    with pytest.raises(CannotTell, match="has a place and a time"):
        convoy.around(reads, scenes.with_columns(lon=pl.lit(None, dtype=pl.Float64)))


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_order_of_rows_place_and_number_of_threads_change_nothing(seed: int) -> None:
    reads = random_reads(seed, n=2500, plates=20)
    rules = Rules(60, 900, 2, 2, 2)
    one = Habits(prepare(reads), None)
    a = one.candidates(rules, threads=1)
    b = one.candidates(rules, threads=3)
    assert np.array_equal(a.counts, b.counts) and np.array_equal(a.low, b.low)
    assert np.array_equal(one.expected(a.low, a.high, rules, threads=1), one.expected(a.low, a.high, rules, threads=2))
    first = convoy.pairs(reads, least=2, spots=2).table
    moved = reads.sample(fraction=1.0, shuffle=True, seed=seed).with_columns(pl.col("lon") + 20)
    again = convoy.pairs(moved, least=2, spots=2).table
    assert first.drop("evidence").equals(again.drop("evidence"))
    assert [sorted(x) for x in first["evidence"].to_list()] == [sorted(x) for x in again["evidence"].to_list()]


def test_parts_of_the_search_give_what_one_part_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    habits = Habits(prepare(random_reads(9)), None)
    rules = Rules(60, 900, 2, 2, 2)
    whole = habits.candidates(rules)
    monkeypatch.setattr(_convoy, "_parts", lambda low, most, wide, cut=_convoy._parts: cut(low, 50, 4))
    parts = habits.candidates(rules)
    assert np.array_equal(whole.counts, parts.counts) and np.array_equal(whole.low, parts.low) and np.array_equal(whole.high, parts.high)


def test_one_plate_and_all_pairs_agree_and_asof_hides_what_came_later() -> None:
    reads, planted = simulate(Town(reads=100_000, pairs=30), seed=2)
    prepared = prepare(reads)
    made = convoy.pairs(prepared, most=10_000).table
    plate = made["plate"][0]
    mine = convoy.companions(prepared, plate, most=1000).table.select("other", "together", "expected", "days", "spots").sort("other")
    theirs = made.filter((pl.col("plate") == plate) | (pl.col("other") == plate)).with_columns(
        other=pl.when(pl.col("plate") == plate).then("other").otherwise("plate")).select("other", "together", "expected", "days", "spots").sort("other")
    assert mine.equals(theirs)
    until = datetime(2025, 6, 20, tzinfo=UTC)
    columns = ["plate", "other", "together", "expected", "days", "spots", "habitual", "co_reads"]
    cut = convoy.pairs(prepared, asof=until).table.select(columns).sort("plate", "other")
    assert cut.equals(convoy.pairs(reads.filter(pl.col("read_at") < until)).table.select(columns).sort("plate", "other"))
    with pytest.raises(CannotTell, match="There are no reads before 2020-01-01"):
        convoy.pairs(prepared, asof="2020-01-01")


def test_parked_neighbours_and_the_readers_own_fleet_are_no_convoys(real_data: Path) -> None:
    file = real_data / "seattle_lpr" / "spd_alpr_2021-10-01_to_05.csv.gz"
    raw = pl.read_csv(file, separator="|", null_values="NA", infer_schema=False)
    at = pl.col("dt").str.to_datetime("%m/%d/%Y - %H:%M:%S").dt.replace_time_zone("America/Los_Angeles").dt.convert_time_zone("UTC")
    reads = raw.select(pl.col("lon", "lat").cast(pl.Float64), plate=pl.col("plate_hash").str.to_uppercase(), reader="device", read_at=at,
                       moving=pl.lit(value=True))
    made = convoy.pairs(prepare(reads, zone="America/Los_Angeles"))
    assert made.table.filter(~pl.col("habitual")).is_empty() and "No pair of plates" in made.headline
    assert "likely of their own fleet" in made.table["reason"][0]


def test_cars_parked_side_by_side_on_a_corner_of_squares_are_habitual() -> None:
    rng = np.random.default_rng(4)
    shift = rng.normal(0, 3e-4, (12, 2))  # about thirty metres: what a receiver errs
    rows = [(f"CAR{k}", "PATROL", START + timedelta(days=d, hours=8 + 0.5 * (d * 7 % 11), seconds=5 * k), -90.0 + shift[d, 0], 41.5 + shift[d, 1], True)
            for d in range(12) for k in range(2)]
    rows += [(f"X{k}", "PATROL", START + timedelta(days=int(rng.integers(0, 12)), hours=float(rng.uniform(0, 24))), -90.0 + sign * step,
              41.5 + sign * step, True)
             for k, step in enumerate(np.linspace(0.005, 0.05, 100)) for sign in (-1, 1)]
    reads = pl.DataFrame(rows, schema=["plate", "reader", "read_at", "lon", "lat", "moving"], orient="row")
    reads = reads.with_columns(pl.col("read_at").cast(pl.Datetime("us", "UTC")))
    made = convoy.companions(prepare(reads), "CAR0").table
    assert made["other"].to_list() == ["CAR1"] and made["habitual"][0]


def test_all_pairs_ask_the_gate() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []
    reads = remember(random_reads(1), Origin(workspace="w", permit=lambda deed, detail: asked.append((deed, detail))))
    convoy.pairs(reads)
    assert [deed for deed, _ in asked] == ["all pairs"]
    convoy.companions(reads, "P001")
    assert len(asked) == 1


def test_what_cannot_be_told_says_why() -> None:
    reads = random_reads(1)
    with pytest.raises(CannotTell, match="There are no reads"):
        convoy.pairs(reads.clear())
    with pytest.raises(CannotTell, match="Only one plate was read"):
        convoy.pairs(reads.filter(pl.col("plate") == "P001"))
    with pytest.raises(CannotTell, match="NEVER1 was not read"):
        convoy.companions(reads, "never 1")
    with pytest.raises(CannotTell, match="at least 3 are needed"):
        convoy.pairs(reads.filter(pl.col("read_at") < START + timedelta(days=2)))
    with pytest.raises(BadInput, match="holds no letter or digit"):
        convoy.companions(reads, "--")
    with pytest.raises(BadInput, match="no column 'reader'"):
        convoy.pairs(reads.drop("reader"))
    for bad in ({"within": "0s"}, {"within": "2h"}, {"habit": "1m"}, {"least": 0}, {"most": 0}, {"zone": "Mars/Base"}):
        with pytest.raises(BadInput):
            convoy.pairs(reads, **bad)
    none = reads.with_columns(read_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))
    with pytest.raises(CannotTell, match="There are no reads with plate, reader and time"):
        convoy.pairs(none)
    alone = convoy.companions(reads.filter(pl.col("read_at").dt.hour() < 7), "P001", least=500)
    assert alone.table.is_empty() and "no other plate passed" in alone.headline


def test_reads_without_a_plate_time_or_reader_are_left_out_and_told() -> None:
    reads = random_reads(2)
    broken = reads.with_columns(plate=pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise("plate"))
    made = convoy.pairs(broken, least=2, spots=2)
    assert any("300 reads without plate" in note for note in made.basis.notes)
    assert made.table.drop("evidence").equals(convoy.pairs(broken.drop_nulls("plate"), least=2, spots=2).table.drop("evidence"))


def test_passages_are_in_order_of_spot_second_and_plate_and_numbers_stand_for_their_text() -> None:
    reads = random_reads(5, n=5000, plates=15, readers=3, days=1)
    made = prepare(reads)
    assert np.array_equal(np.lexsort((made.row, made.plate, made.at, made.spot)), np.arange(len(made)))
    assert made.plates.gather(made.plate).to_list() == reads["plate"].gather(made.row).to_list()
    assert made.spots["reader"].gather(made.spot).to_list() == reads["reader"].gather(made.row).to_list()
    for clock in ("1m", "1h", "100d"):  # clocks that stand: hundreds of reads at one spot in one second, or all
        still = reads.with_columns(pl.col("read_at").dt.truncate(clock))
        stood = prepare(still)
        assert np.array_equal(np.lexsort((stood.row, stood.plate, stood.at, stood.spot)), np.arange(len(stood))), clock
        assert stood.plates.gather(stood.plate).to_list() == still["plate"].gather(stood.row).to_list()
        assert stood.at.tolist() == still["read_at"].dt.epoch("s").gather(stood.row).to_list()
    first, order = made.by_plate
    assert np.all(np.diff(made.at[order[first[3] : first[4]]]) >= 0) and set(made.plate[order[first[3] : first[4]]]) == {3}
    numbers = reads.with_columns(pl.col("plate").str.slice(1).cast(pl.UInt32), pl.col("reader").str.slice(1).cast(pl.UInt16))
    coded = prepare(numbers)
    assert coded.plates.to_list() == sorted({str(int(p[1:])) for p in reads["plate"]}) and coded.code("7") is not None
    assert coded.plates.gather(coded.plate).to_list() == numbers["plate"].gather(coded.row).cast(pl.String).to_list()
