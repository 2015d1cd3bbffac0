"""The lake keeps up: updates by key index, superseded rows left out, look-ups, compaction, vacuum and pins; every edition and version stays exact."""

from __future__ import annotations

import gzip
import importlib
import random
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from workbench import schema
from workbench.errors import BadInput, NotFound
from workbench.lake import Lake, compact, compare, keys, layout, vacuum
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text

INCIDENTS = Source(
    name="toy", title="incidents with a revision time", columns=("id", "when", "what", "changed"),
    parts=(Part("incidents", {
        "incident_id": text("id"), "started_at": local_time(column("when"), "iso"), "offence": text("what"),
        "revised_at": local_time("changed", "%Y-%m-%d"), "nibrs": "'220'"}),),
)
CALLS = Source(
    name="toy_calls", title="calls without a revision time", columns=("id", "at", "status"),
    parts=(Part("calls", {"call_id": text("id"), "received_at": local_time(column("at"), "iso"), "call_type": text("status")}),),
)
READS = Source(
    name="toy_reads", title="reads", columns=("id", "plate", "at", "reader"),
    parts=(Part("reads", {"read_id": text("id"), "plate": text("plate"), "reader": text("reader"), "read_at": local_time(column("at"), "iso")}),),
)
UNITS = Source(
    name="toy_units", title="a key of two columns", columns=("unit", "at", "what"),
    parts=(Part("units", {"unit": text("unit"), "seen_at": local_time(column("at"), "iso"), "status": text("what")}),),
)


def write(path: Path, header: str, rows: Sequence[Sequence[object]]) -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def calls(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    return write(path, "id,at,status", rows)


def everything(lake: Lake, table: str, versions: dict[str, int] | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Current rows and all editions, each in a fixed order."""
    pinned = versions or lake.versions()
    order = [*schema.table(table).key, "recorded_at", "line"]
    con = lake.connect()
    history = con.sql(f"select * from {lake.relation_sql(table, pinned, history=True)}").pl()
    con.close()
    return lake.frame(table, pinned).sort(order), history.select(lake.frame(table, pinned).columns).sort(order)


def by_hand(history: pl.DataFrame, table: str) -> pl.DataFrame:
    """The latest edition of each key, by the rule and without any index."""
    about = schema.table(table)
    order = [*(["revised_at"] if "revised_at" in about.columns else []), "recorded_at", "line"]
    return history.sort(order, nulls_last=False).unique(list(about.key), keep="last").sort(*about.key, "recorded_at", "line")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


EDITION = st.tuples(st.integers(0, 12), st.sampled_from("XYZ"), st.sampled_from(["", "2026-01-01", "2026-01-02", "2026-01-03"]))
DEEDS = st.lists(st.one_of(st.lists(EDITION, min_size=1, max_size=8), st.sampled_from(["compact", "brief", "vacuum", "lose keys", "lose gone"])),
                 min_size=2, max_size=9)
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True)


@QUICK
@given(deeds=DEEDS)
def test_whatever_is_loaded_compacted_vacuumed_or_lost_the_view_is_the_latest_edition_of_each_key(
        tmp_path_factory: pytest.TempPathFactory, deeds: list[Any]) -> None:
    home = tmp_path_factory.mktemp("deeds")
    lake, editions, pins = Lake(home / "lake"), 0, []
    for number, deed in enumerate(deeds):
        if isinstance(deed, list):
            rows = [(key, "2026-05-01T10:00:00", what, changed) for key, what, changed in deed]
            report = lake.load(INCIDENTS, write(home / f"{number}.csv", "id,when,what,changed", rows))
            editions += report.added + report.updated
            pins.append((lake.versions(), *everything(lake, "incidents")))
            if number % 2:
                lake.pin(lake.versions(), "test")
        elif deed == "compact":
            lake.compact()
        elif deed == "brief":
            compact._step(lake.path, lake._view, "incidents", brief=True)
        elif deed == "vacuum":
            lake.vacuum(0)
        else:
            for file in (lake.path / keys.FOLDER).glob(f"*/*.{deed.split()[1]}"):
                file.unlink()
            lake = Lake(lake.path)
        current, history = everything(lake, "incidents")
        assert history.height == editions
        assert_frame_equal(current, by_hand(history, "incidents"))
    vacuumed = "vacuum" in deeds
    for pinned, current, history in pins:
        if vacuumed and all(pinned != dict(p) for p in _pinned(lake)):
            continue
        for ours, theirs in zip(everything(lake, "incidents", lake.check(pinned)), (current, history), strict=True):
            assert_frame_equal(ours, theirs)


def _pinned(lake: Lake) -> list[dict[str, int]]:
    return [{t: int(v) for t, v in (p.split(" ") for p in text.split(", "))} for text in lake.pins()["versions"]]


def test_an_update_reads_only_what_comes_in_and_drops_what_it_replaces(lake: Lake, tmp_path: Path) -> None:
    lake.load(CALLS, calls(tmp_path / "a.csv", [(i, "2026-01-01T00:00:00", "open") for i in range(5000)]))
    pinned = lake.versions()
    report = lake.load(CALLS, calls(tmp_path / "b.csv", [(i, "2026-01-01T00:00:00", "closed" if i % 2 else "open") for i in range(1000, 1500)]))
    assert (report.added, report.updated, report.duplicate) == (0, 250, 250)
    current, history = everything(lake, "calls")
    assert (current.height, history.height) == (5000, 5250) and (current["call_type"] == "closed").sum() == 250
    assert lake.frame("calls", pinned)["call_type"].unique().to_list() == ["open"]
    assert lake.status().filter(pl.col("table") == "calls").select("rows", "superseded").row(0) == (5250, 250)


def test_a_key_of_several_columns_is_one_key(lake: Lake, tmp_path: Path) -> None:
    rows = [("A1", "2026-01-01T00:00:00", "x"), ("A", "2026-01-01T00:00:00", "x"), ("A1", "2026-01-01T00:00:05", "x")]
    assert lake.load(UNITS, write(tmp_path / "a.csv", "unit,at,what", rows)).added == 3
    report = lake.load(UNITS, write(tmp_path / "b.csv", "unit,at,what", [("A", "2026-01-01T00:00:00", "y"), ("A1", "2026-01-01T00:00:05", "x")]))
    assert (report.updated, report.duplicate) == (1, 1) and lake.frame("units").height == 3


def test_every_edition_of_a_call_is_kept_with_the_time_it_was_learnt(lake: Lake, tmp_path: Path) -> None:
    for n, status in enumerate(("received", "dispatched", "on scene", "closed")):
        lake.load(CALLS, calls(tmp_path / f"{n}.csv", [("C1", "2026-01-01T00:00:00", status), (f"D{n}", "2026-01-01T00:00:00", "received")]))
    assert lake.history("calls", ["C1"])["call_type"].to_list() == ["received", "dispatched", "on scene", "closed"]
    lake.compact()
    told = lake.history("calls", ["C1"])
    assert told["call_type"].to_list() == ["received", "dispatched", "on scene", "closed"] and told["recorded_at"].is_sorted()
    assert told["batch_id"].n_unique() == 4
    with pytest.raises(BadInput, match="A key of units has 2 values"):
        lake.history("units", ["A1"])


def spoil_cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def spoil_empty(file: Path) -> None:
    file.write_bytes(b"")


def spoil_form(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"duckdb", b"duckfb", 1))


@pytest.mark.parametrize("spoil", [Path.unlink, spoil_cut, spoil_empty, spoil_form])
def test_a_key_index_that_is_missing_cut_or_foreign_is_made_again_and_gives_the_same_verdicts(
        lake: Lake, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    for n in range(3):
        lake.load(CALLS, calls(tmp_path / f"{n}.csv", [(i, "2026-01-01T00:00:00", n if i % 2 else "same") for i in range(50 * n, 50 * n + 100)]))
    files = sorted((lake.path / keys.FOLDER / "calls").glob("*.keys"))
    assert len(files) == 3
    for file in files:
        spoil(file)
    report = lake.load(CALLS, calls(tmp_path / "x.csv", [(i, "2026-01-01T00:00:00", 2 if i % 2 else "same") for i in range(250)]))
    assert (report.added, report.updated, report.duplicate) == (50, 50, 150)
    current, history = everything(lake, "calls")
    assert_frame_equal(current, by_hand(history, "calls"))
    assert len(list((lake.path / keys.FOLDER / "calls").glob("*.keys"))) == 4


def test_a_lake_without_sidecars_shows_the_same_and_gets_them_with_the_next_load(lake: Lake, tmp_path: Path) -> None:
    for n in range(4):
        lake.load(CALLS, calls(tmp_path / f"{n}.csv", [(i, "2026-01-01T00:00:00", n) for i in range(20 * n, 20 * n + 40)]))
    before = everything(lake, "calls")
    shutil.rmtree(lake.path / keys.FOLDER)
    lake = Lake(lake.path)
    for ours, theirs in zip(everything(lake, "calls"), before, strict=True):
        assert_frame_equal(ours, theirs)
    assert lake.load(CALLS, calls(tmp_path / "x.csv", [(0, "2026-01-01T00:00:00", 9), (1, "2026-01-01T00:00:00", 0)])).duplicate == 1
    assert len(list((lake.path / keys.FOLDER / "calls").glob("*.gone"))) == 5
    current, history = everything(lake, "calls")
    assert_frame_equal(current, by_hand(history, "calls"))


def test_rows_of_the_same_hash_but_another_key_are_not_taken_for_each_other(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = keys.hashed("calls")
    monkeypatch.setattr(keys, "hashed", lambda table: whole.replace("hash(\"call_id\") as first", "hash(\"call_id\") % 7 as first", 1))
    lake.load(CALLS, calls(tmp_path / "a.csv", [(i, "2026-01-01T00:00:00", "open") for i in range(300)]))
    report = lake.load(CALLS, calls(tmp_path / "b.csv", [(i, "2026-01-01T00:00:00", "shut") for i in range(200, 400)]))
    assert (report.added, report.updated) == (100, 100) and lake.frame("calls").height == 400


def reads(seed: int, start: int, count: int, plates: int = 40) -> list[tuple[object, ...]]:
    chance = random.Random(seed)
    return [(f"r{start + i}", f"P{chance.randrange(plates)}", f"2026-01-{1 + i * 27 // count:02d}T{i % 24:02d}:00:00", f"R{i % 5}") for i in range(count)]


def test_the_reads_of_a_plate_are_the_same_by_look_up_as_by_reading_everything(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_SLAB", 700)
    monkeypatch.setattr(layout, "_BLOCK", 16)
    states = []
    for n in range(4):
        rows = [(r[0], f"P{(int(str(r[1])[1:]) + n) % 40}", *r[2:]) for r in reads(1, 900 * n, 1800)]
        lake.load(READS, write(tmp_path / f"{n}.csv", "id,plate,at,reader", rows))
        if n == 1:
            lake.compact("reads")
        states.append(lake.versions())
    assert len(layout.lacking(lake._view, "reads", lake.versions())) == 2
    with lake._cursor() as con:
        assert layout.make(con, lake._view, "reads", lake.versions()) == 3600
    for pinned in (*states, lake.versions()):
        for plates in (["P3"], ["P0", "P39"], ["none"], []):
            ours = lake.lookup("reads", "plate", plates, pinned)
            theirs = lake.frame("reads", pinned).filter(pl.col("plate").is_in(plates))
            assert_frame_equal(ours.sort("read_id"), theirs.sort("read_id"))
    assert_frame_equal(lake.lookup("reads", "reader", ["R1"]).sort("read_id"), lake.frame("reads").filter(pl.col("reader") == "R1").sort("read_id"))


def test_the_second_question_about_a_plate_lays_much_out_and_the_first_does_not_wait(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.lake._MUCH", 1)
    lake.load(READS, write(tmp_path / "a.csv", "id,plate,at,reader", reads(2, 0, 500)))
    first = lake.lookup("reads", "plate", ["P7"])
    assert not (lake.path / layout.FOLDER).exists()
    assert_frame_equal(lake.lookup("reads", "plate", ["P7"]).sort("read_id"), first.sort("read_id"))
    assert list((lake.path / layout.FOLDER / "reads").iterdir())


def small_loads(lake: Lake, folder: Path, many: int) -> list[dict[str, int]]:
    states = []
    for n in range(many):
        lake.load(CALLS, calls(folder / f"s{n}.csv", [(i, f"2026-01-{1 + i % 28:02d}T00:00:00", n) for i in range(5 * n, 5 * n + 10)]))
        states.append(lake.versions())
    return states


def test_small_files_are_folded_by_themselves_and_every_older_state_stays_as_it_was(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "MANY", 6)
    states = small_loads(lake, tmp_path, 14)
    assert len(lake.files("calls", lake.versions())) <= 10 and lake.status()["spare"].sum() > 0
    for n, pinned in enumerate(states):
        current, history = everything(Lake(lake.path), "calls", pinned)
        assert (current.height, history.height) == (5 * n + 10, 10 * n + 10)
        assert_frame_equal(current, by_hand(history, "calls"))


def test_compaction_sorts_by_time_keeps_history_apart_and_other_readers_see_the_same_rows(lake: Lake, tmp_path: Path) -> None:
    small_loads(lake, tmp_path, 8)
    before = everything(lake, "calls")
    steps = lake.compact()
    assert steps[0].table == "calls" and (steps[0].before, steps[0].after, steps[0].rows) == (8, 2, 80)
    assert lake.compact() == []
    for ours, theirs in zip(everything(lake, "calls"), before, strict=True):
        assert_frame_equal(ours, theirs)
    current, old = (pl.read_parquet(f) for f in sorted(f for f in lake.files("calls", lake.versions()) if f.endswith(".parquet")))
    assert current["received_at"].is_sorted() and (current.height, old.height) == (45, 35)
    assert_frame_equal(pl.scan_delta(str(lake.path / "calls")).collect().select(old.columns), before[1].select(old.columns), check_row_order=False)
    assert lake.load(CALLS, calls(tmp_path / "n.csv", [(0, "2026-01-01T00:00:00", 0), (1, "2026-01-02T00:00:00", "new")])).updated == 1


def test_a_large_file_out_of_order_or_worn_is_written_again(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "LARGE", 1000)
    monkeypatch.setattr(compact, "GROUP", 2048)
    lake.load(CALLS, calls(tmp_path / "a.csv", [(i, f"2026-01-01T{i % 24:02d}:00:00", "open") for i in range(3000)]))
    assert lake.compact() == []
    lake.load(CALLS, calls(tmp_path / "b.csv", [(i, f"2026-01-01T{i % 24:02d}:00:00", "shut") for i in range(200)]))
    steps = lake.compact("calls")
    assert [(s.before, s.after, s.rows) for s in steps] == [(1, 2, 3000)]
    assert lake.frame("calls").height == 3000 and everything(lake, "calls")[1].height == 3200


def test_an_index_serves_on_when_another_compaction_has_taken_over_some_of_its_files(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "LARGE", 1000)
    monkeypatch.setattr(compact, "GROUP", 2048)
    lake.load(CALLS, calls(tmp_path / "a.csv", [(i, f"2026-01-01T{i % 24:02d}:00:00", "open") for i in range(3000)]))
    for n, count in enumerate((200, 300)):
        lake.load(CALLS, calls(tmp_path / f"{n}.csv", [(i, f"2026-01-01T{i % 24:02d}:00:00", f"turn {n}") for i in range(count)]))
        lake.compact("calls")
    home = lake.path / keys.FOLDER / "calls"
    left = {owner: {f.name for f in files} for owner, files in compare.owners(lake._view, "calls", lake.versions()).items()}
    shorter = [o for o in left if (index := keys.opened(lake.path, "calls", o, left[o])) is not None and index.moved]
    assert shorter, left
    written = {f: f.stat().st_mtime_ns for f in home.glob("*.keys")}
    report = lake.load(CALLS, calls(tmp_path / "x.csv", [(i, f"2026-01-01T{i % 24:02d}:00:00", "turn 1" if i < 300 else "last") for i in range(400)]))
    assert (report.added, report.updated, report.duplicate) == (0, 100, 300)
    assert {f: f.stat().st_mtime_ns for f in written} == written, "an index was made again"
    current, history = everything(lake, "calls")
    assert_frame_equal(current, by_hand(history, "calls"))


def test_a_batch_that_is_not_visible_is_never_folded_in(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.lake import load

    sweep = importlib.import_module("workbench.lake.sweep")

    small_loads(lake, tmp_path, 3)

    def stopped(*_: Any, **__: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(load.Load, "_make_visible", stopped)
    monkeypatch.setattr(sweep, "_clear", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        lake.load(CALLS, calls(tmp_path / "half.csv", [("half", "2026-01-01T00:00:00", "x"), (0, "2026-01-01T00:00:00", "half")]))
    monkeypatch.undo()
    assert compact._step(lake.path, lake._view, "calls", brief=False) is not None
    assert "half" not in lake.frame("calls")["call_id"].to_list() and everything(lake, "calls")[1].height == 30
    assert len(DeltaTable(lake.path / "calls").file_uris()) == 3
    assert len(lake.sweep()) == 1 and len(DeltaTable(lake.path / "calls").file_uris()) == 2
    assert lake.frame("calls").height == 20


def test_vacuum_deletes_what_no_kept_version_reads_and_spares_pins(lake: Lake, tmp_path: Path) -> None:
    states = small_loads(lake, tmp_path, 6)
    name = lake.pin(states[2], "briefing of the day", user="ann")
    assert lake.pin(states[2], "briefing of the day") == name and lake.pins()["why"].to_list() == ["briefing of the day"]
    pinned = everything(lake, "calls", states[2])
    lake.compact()
    assert lake.vacuum().files == 0, "all of it is younger than 30 days"
    gone = lake.vacuum(0)
    assert gone.files == 3 and gone.bytes > 0 and lake.vacuum(0).files == 0
    for ours, theirs in zip(everything(Lake(lake.path), "calls", Lake(lake.path).check(states[2])), pinned, strict=True):
        assert_frame_equal(ours, theirs)
    with pytest.raises(NotFound, match="Version .* of 'calls' was vacuumed"):
        lake.check(states[4])
    assert lake.frame("calls").height == 35
    lake.unpin(name)
    assert lake.vacuum(0).files == 3
    owners = {f.stem for f in (lake.path / keys.FOLDER / "calls").iterdir()}
    assert owners == set(compare.owners(lake._view, "calls", lake.versions())), "sidecars go with their files"
    with pytest.raises(NotFound, match="There is no pin"):
        lake.unpin(name)
    with pytest.raises(BadInput, match="below 0"):
        lake.vacuum(-1)


def test_versions_that_were_the_newest_in_the_last_days_stay(lake: Lake, tmp_path: Path) -> None:
    small_loads(lake, tmp_path, 3)
    lake.compact()
    lived = vacuum.life(lake.path, "calls")
    newest = max(lived.made)
    assert vacuum.kept(lake.path, "calls", lived, 1.0) == set(lived.made)
    assert vacuum.kept(lake.path, "calls", lived, 0.0) == {newest}
    ranked = sorted(lived.made)
    lived.made.update({v: time.time() - 86400 * (10 if v == newest else 20) for v in ranked})
    assert vacuum.kept(lake.path, "calls", lived, 9.0) == {newest} and vacuum.kept(lake.path, "calls", lived, 11.0) == {ranked[-2], newest}


def test_a_state_never_pairs_an_older_ledger_with_a_newer_compaction(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.lake import tables

    small_loads(lake, tmp_path, 2)
    latest = tables.latest
    met: list[bool] = []

    def slow(root: Path, table: str) -> int | None:
        if table == "calls" and not met:
            met.append(True)
            other = Lake(root)
            other.load(CALLS, calls(tmp_path / "late.csv", [("late", "2026-01-01T00:00:00", "x")]))
            other.compact()
        return latest(root, table)

    monkeypatch.setattr(tables, "latest", slow)
    versions = lake.versions()
    ledger = set(lake.batches(versions)["batch_id"])
    assert set(lake.frame("calls", versions)["batch_id"]) <= ledger and len(ledger) == 3


def test_rejects_are_mended_or_dismissed_and_the_open_ones_remain(lake: Lake, tmp_path: Path) -> None:
    report = lake.load(CALLS, calls(tmp_path / "a.csv", [(i, "never" if i else "2026-01-01T00:00:00", "x") for i in range(5)]))
    lines = lake.rejects()["line"].to_list()
    pinned = lake.versions()
    assert lake.resolve(report.batch_id, lines[:2], "dismissed", reason="test rows", user="ann") == 2
    assert lake.resolve(report.batch_id, lines[2:3], "mended", resolved_by="B2") == 1
    frame = lake.rejects()
    assert frame["outcome"].to_list() == ["dismissed", "dismissed", "mended", None] and frame["resolved_by"].to_list() == [None, None, "B2", None]
    assert lake.rejects(open_only=True)["line"].to_list() == lines[3:] and lake.rejects(pinned)["outcome"].null_count() == 4
    for wrong, given_, said in (([99], {"outcome": "dismissed", "reason": "x"}, "rejected no record on line 99"), (lines, {"outcome": "lost"}, "neither"),
                                (lines, {"outcome": "dismissed"}, "with a reason"), (lines, {"outcome": "mended"}, "names the batch")):
        with pytest.raises((BadInput, NotFound), match=said):
            lake.resolve(report.batch_id, wrong, **given_)


def test_hours_are_counted_by_column_and_a_wrong_question_leaves_the_lake_usable(lake: Lake, tmp_path: Path) -> None:
    import duckdb

    lake.load(READS, write(tmp_path / "a.csv", "id,plate,at,reader", reads(4, 0, 600)))
    start, end = datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 1, 9, 5, tzinfo=UTC)
    counted = lake.hourly("reads", "reader", start, end)
    inside = lake.frame("reads").filter(pl.col("read_at").is_between(start, end, closed="left"))
    by_hand_ = inside.group_by("reader", pl.col("read_at").dt.truncate("1h").alias("hour")).len("rows").sort("hour", "reader")
    assert_frame_equal(counted, by_hand_, check_dtypes=False)
    beats = {reader: f"beat {n % 2}" for n, reader in enumerate(sorted(inside["reader"].unique().to_list())[1:])}
    under = inside.with_columns(pl.col("reader").replace_strict(beats, default=None)).group_by("reader", pl.col("read_at").dt.truncate("1h").alias("hour"))
    by_beat = lake.hourly("reads", "reader", start, end, groups=beats)
    assert by_beat["reader"].null_count() > 0
    assert_frame_equal(by_beat, under.len("rows").sort("hour", "reader", nulls_last=True), check_dtypes=False)
    with pytest.raises(duckdb.Error):
        lake.frame("reads", where="nothing = 1")
    with pytest.raises(duckdb.Error):
        lake.frame("reads", where="cast(plate as int) = 1")
    assert lake.frame("reads").height == 600
    with pytest.raises(BadInput, match="no column 'raeder'.*reader"):
        lake.hourly("reads", "raeder", start, end)
    with pytest.raises(BadInput, match="streets has no time"):
        lake.hourly("streets", "name", start, end)


def test_the_commands_look_after_a_workspaces_lake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from workbench import cli, workspace

    folder = workspace.create(tmp_path / "city", name="Test", zone="America/Chicago").path
    small_loads(Lake(folder / "lake"), tmp_path, 3)

    def said(*words: str) -> str:
        assert cli.main(["lake", *words, "-w", str(folder)]) == 0
        return capsys.readouterr().out

    assert "30 rows, 10 superseded" in said() and "3 files" in said("status")
    name = said("pin", "--why", "report of June").split()[-1].rstrip(".")
    assert "report of June" in said("pins")
    assert "calls: 3 files became 2 (30 rows)" in said("compact") and "Nothing to fold" in said("compact")
    assert said("vacuum", "--days", "0").startswith("0 files deleted")
    assert "taken away" in said("unpin", name) and said("vacuum", "--days", "0").startswith("3 files deleted")
    assert cli.main(["lake", "pin", "-w", str(folder)]) == 1 and "A pin says why" in capsys.readouterr().err


def test_the_load_command_folds_small_files_by_itself(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench import cli, workspace

    monkeypatch.setattr(compact, "MANY", 4)
    folder = workspace.create(tmp_path / "city", name="Test", zone="America/Chicago").path
    head, *lines = gzip.decompress((samples / "sample_reads.csv.gz").read_bytes()).decode().splitlines()[:101]
    for n in range(10):
        (tmp_path / f"r{n}.csv").write_text("\n".join([head, *lines[10 * n:10 * n + 10]]) + "\n", encoding="utf-8")
    files = [str(tmp_path / f"r{n}.csv") for n in range(10)]
    assert cli.main(["load", "sample_reads", *files, "-w", str(folder), "--json"]) == 0
    lake = Lake(folder / "lake")
    status = lake.status().filter(pl.col("table") == "reads").row(0, named=True)
    assert status["files"] <= 5 and status["rows"] == lake.frame("reads").height == 100 and status["spare"] > 0
