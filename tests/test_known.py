"""What was known when: the state of knowledge at any moment is what was shown then, whatever was loaded, folded, compacted or vacuumed since."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import workbench as wb
from benchmarks.live import event
from workbench import loaders, schema, workspace
from workbench.errors import AccessRefused, BadInput
from workbench.lake import Lake, journal_fold, known
from workbench.lake.journal_map import Mapper
from workbench.lake.journal_write import Line, Stream, Writer
from workbench.lake.view import View
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
from workbench.results import Basis
from workbench.session import asked

CASE = {"case": "2026-0142", "purpose": "investigation", "reason": "tests of the workbench"}
INCIDENTS = Source(
    name="toy", title="incidents with a revision time", columns=("id", "when", "what", "changed"),
    parts=(Part("incidents", {
        "incident_id": text("id"), "started_at": local_time(column("when"), "iso"), "offence": text("what"),
        "revised_at": local_time("changed", "%Y-%m-%d"), "nibrs": "'220'"}),),
)
FOUNDED = Source(
    name="toy_founded", title="incidents that may be withdrawn", columns=("id", "when", "what", "gone", "report", "takes"),
    parts=(Part("incidents", {
        "incident_id": text("id"), "started_at": local_time(column("when"), "iso"), "offence": text("what"), "nibrs": "'220'",
        "offence_code": "'T'", "unfounded": "\"gone\" = 'yes'", "report_number": text("report"), "withdraws": "\"takes\" = 'yes'"}),),
)
EDITION = st.tuples(st.integers(0, 9), st.sampled_from("XYZ"), st.sampled_from(["", "2026-01-01", "2026-01-02", "2026-01-03"]))
DEEDS = st.lists(st.one_of(st.lists(EDITION, min_size=1, max_size=6), st.sampled_from(["compact", "vacuum", "fold"]),
                           st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["NORVELL", "BRANNOCK"])), min_size=1, max_size=4).map(tuple)),
                 min_size=3, max_size=9)
QUICK = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True)


class Live:
    """A journal written in this process."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.view, self.writer = root, View(root), Writer(root)
        self.mapper = Mapper(loaders.find("sample_reads"), root, beside=root / "x")
        self.stream = Stream("sample_reads", self.mapper.mapping_version, self.mapper.source.tables, "tester")

    def put(self, records: Sequence[dict[str, Any]]) -> None:
        made = self.mapper.map([json.dumps(r).encode() for r in records])
        self.writer.append([Line(one.table or "rejects", self.stream, one.body or json.dumps({"file": "webhook", "reason": one.reason, "raw": "x"}))
                            for one in made])

    def fold(self) -> None:
        self.writer.rotate()
        for segment in journal_fold.due(self.root, self.view):
            journal_fold.fold(self.root, self.view, segment, self.writer)


def write(path: Path, header: str, rows: Sequence[Sequence[object]]) -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def shown(lake: Lake, table: str, versions: dict[str, int] | None = None) -> pl.DataFrame:
    return lake.frame(table, versions).sort(*schema.table(table).key)


def by_hand(lake: Lake, table: str, at: datetime) -> pl.DataFrame:
    """The latest edition of each key among those recorded by a moment, out of every edition, by the rule alone."""
    about = schema.table(table)
    con = lake.connect()
    every = con.sql(f"select * from {lake.relation_sql(table, lake.versions(), history=True)}").pl()
    con.close()
    order = [*(["revised_at"] if "revised_at" in about.columns else []), "recorded_at", "line"]
    latest = every.filter(pl.col("recorded_at") <= at).sort(order, nulls_last=False).unique(list(about.key), keep="last")
    return latest.select(lake.frame(table).columns).sort(*about.key)


@QUICK
@given(deeds=DEEDS)
def test_after_any_loads_folds_compactions_and_vacuums_every_moment_shows_what_was_shown_then(
        tmp_path_factory: pytest.TempPathFactory, deeds: list[Any]) -> None:
    home = tmp_path_factory.mktemp("known")
    lake, live, moments = Lake(home / "lake"), Live(home / "lake"), []
    for number, deed in enumerate(deeds):
        if isinstance(deed, list):
            lake.load(INCIDENTS, write(home / f"{number}.csv", "id,when,what,changed", [(k, "2026-05-01T10:00:00", what, day) for k, what, day in deed]))
        elif isinstance(deed, tuple):
            live.put([{**event(n), "Make": make} for n, make in deed])
        elif deed == "fold":
            live.fold()
        elif deed == "compact":
            lake.compact()
        else:
            lake.vacuum(0)
        moments.append((datetime.now(UTC), {t: shown(lake, t) for t in ("incidents", "reads")}))
        time.sleep(0.001)
    live.writer.close()
    again = Lake(home / "lake")
    for at, then in moments:
        versions = known.at(again.versions(), at)
        for table, frame in then.items():
            told = shown(again, table, versions)
            assert_frame_equal(told, by_hand(again, table, at))
            assert_frame_equal(told, frame)
            assert again.query(f"select count(*) n from {table}", versions=again.check(versions))["n"].item() == frame.height
            assert_frame_equal(told, again.connect().sql(f"from {again.relation_sql(table, again.versions(), at=at)}").pl()
                               .select(told.columns).sort(*schema.table(table).key))


def test_ledger_rejects_and_what_became_of_them_are_those_known_then(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    first = lake.load(INCIDENTS, write(tmp_path / "1.csv", "id,when,what,changed", [(1, "2026-05-01T10:00:00", "X", ""), (2, "never", "X", "")]))
    loaded = datetime.now(UTC)
    lake.resolve(first.batch_id, lake.rejects()["line"].to_list(), "dismissed", reason="no time on paper either")
    lake.load(INCIDENTS, write(tmp_path / "2.csv", "id,when,what,changed", [(3, "2026-05-01T10:00:00", "X", ""), (4, "never", "X", "")]))
    versions = known.at(lake.versions(), loaded)
    assert lake.batches(versions).height == 1 and lake.rejects(versions)["outcome"].to_list() == [None]
    assert lake.rejects()["outcome"].to_list() == ["dismissed", None]
    before = known.at(lake.versions(), loaded - timedelta(days=1))
    assert lake.batches(before).is_empty() and lake.frame("incidents", before).is_empty() and lake.rejects(before).is_empty()


def test_a_plate_looked_up_is_the_one_known_then(tmp_path: Path) -> None:
    live = Live(tmp_path / "lake")
    live.put([event(n) for n in range(20)])
    lake, at = Lake(live.root), datetime.now(UTC)
    live.put([{**event(3), "Make": "BRANNOCK"}])
    live.fold()
    lake.compact()
    live.writer.close()
    plate = lake.frame("reads", where="read_id = 'E00000003'")["plate"].item()
    assert lake.lookup("reads", "plate", [plate])["make"].to_list() == ["BRANNOCK"]
    assert lake.lookup("reads", "plate", [plate], known.at(lake.versions(), at))["make"].to_list() == ["NORVELL"]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    workspace.create(tmp_path / "small", name="Small", zone="America/Chicago")
    return tmp_path / "small"


def load(path: Path, number: int, rows: Sequence[Sequence[object]], source: Source = FOUNDED) -> datetime:
    workspace.load(path, source, write(path.parent / f"{number}.csv", ",".join(source.columns), rows))
    time.sleep(0.002)
    return datetime.now(UTC)


def test_a_workbench_of_an_earlier_moment_shows_frames_sql_search_and_asof_of_then(small: Path) -> None:
    one = load(small, 1, [("a", "2026-05-01T10:00:00", "theft", "no", "R1", "no"), ("b", "2026-05-02T10:00:00", "theft", "no", "R2", "no")])
    load(small, 2, [("b", "2026-05-02T10:00:00", "robbery", "no", "R2", "no"), ("c", "2026-06-20T10:00:00", "theft", "no", "R3", "no")])
    city = wb.open_workbench(small)
    local = one.astimezone(city.agency.tz).replace(tzinfo=None).isoformat(sep=" ")
    for then in (city.known(one), city.known(local), wb.open_workbench(small, known=local), wb.open_workbench(small, versions=city.known(one).versions)):
        assert then.known_at == one and "as known at" in repr(then)
        assert then.incidents()["incident_id"].to_list() == ["a", "b"] and set(then.incidents()["offence"]) == {"theft"}
        assert then.sql("select count(*) n from incidents where offence = 'robbery'")["n"].item() == 0
        assert then.history("incidents", "b").height == 1 and city.history("incidents", "b").height == 2
        assert then.find("R3").is_empty() and city.find("R3").height == 1
        assert then.asof == then.agency.moment("2026-05-03") and city.asof == then.agency.moment("2026-06-21")
        assert then.refresh().known_at == one and then.incidents().height == 2

    assert Basis.of(city.known(one).incidents(), method="m").known == one


def test_asof_is_never_later_than_what_was_known(small: Path) -> None:
    now = datetime.now(UTC)  # the source's wall clocks show UTC
    one = load(small, 1, [("a", (now - timedelta(seconds=2)).replace(tzinfo=None).isoformat(timespec="seconds"), "theft", "no", "R1", "no")])
    city = wb.open_workbench(small)
    assert city.known(one).asof == one < city.asof


def test_the_future_a_later_moment_and_nonsense_are_refused(small: Path) -> None:
    load(small, 1, [("a", "2026-05-01T10:00:00", "theft", "no", "R1", "no")])
    city = wb.open_workbench(small)
    with pytest.raises(BadInput, match="lies in the future"):
        city.known(datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(BadInput, match="lies in the future"):
        wb.open_workbench(small, known="2199-01-01")
    then = city.known("2026-01-01")
    with pytest.raises(BadInput, match="nothing later"):
        then.known("2026-01-02")
    with pytest.raises(BadInput, match="no moment"):
        wb.open_workbench(small, versions={**city.versions, known.KEY: -1})
    with pytest.raises(BadInput, match="must be the later one"):
        city.changes("incidents", "2026-02-01", "2026-01-01")


def test_persons_need_a_case_at_every_moment(city_path: Path) -> None:
    then = wb.open_workbench(city_path).known(datetime.now(UTC))
    for ask in (lambda: then.reads(), lambda: then.sql("select * from people"), lambda: then.changes("reads", "2026-01-01")):
        with pytest.raises(AccessRefused):
            ask()


def test_changes_tell_added_changed_and_withdrawn_with_old_and_new(small: Path) -> None:
    one = load(small, 1, [(k, "2026-05-01T10:00:00", "theft", "no", f"R{k}", "no") for k in "abcd"])
    two = load(small, 2, [("a", "2026-05-01T10:00:00", "robbery", "no", "Ra", "no"), ("b", "2026-05-01T10:00:00", "theft", "yes", "Rb", "no"),
                          ("e", "2026-05-03T10:00:00", "theft", "no", "Re", "no"), ("f", "2026-05-01T10:00:00", "theft", "no", "Rc", "yes")])
    load(small, 3, [("d", "2026-05-01T11:00:00", "theft", "no", "Rd", "no")])
    city = wb.open_workbench(small)
    told = city.changes("incidents", one, two)
    assert told.select("incident_id", "change", "column", "old", "new").rows() == [
        ("a", "changed", "offence", "theft", "robbery"),
        ("b", "changed", "unfounded", "False", "True"), ("b", "withdrawn", None, None, None),
        ("c", "withdrawn", None, None, None), ("e", "added", None, None, None), ("f", "added", None, None, None)]
    assert told.filter(pl.col("change") == "added")["recorded_at"].null_count() == 0
    late = city.changes("incidents", two)
    assert late.select("incident_id", "change", "column").rows() == [("d", "changed", "started_at")]
    assert late["new"][0] == "2026-05-01T11:00:00+00:00"
    assert city.known(two).changes("incidents", one).rows() == told.rows()


@QUICK
@given(seed=st.integers(0, 10_000))
def test_changes_between_any_two_moments_are_the_difference_of_the_two_states(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    chance, home = random.Random(seed), tmp_path_factory.mktemp("changes")
    workspace.create(home / "small", name="Small", zone="UTC")
    moments = [datetime.now(UTC)]
    for number in range(4):
        rows = [(chance.randrange(6), "2026-05-01T10:00:00", chance.choice("XY"), chance.choice(["", "2026-01-01", "2026-01-02"])) for _ in range(4)]
        moments.append(load(home / "small", number, rows, INCIDENTS))
    city = wb.open_workbench(home / "small")
    city.lake.compact()
    first, last = sorted(chance.sample(range(len(moments)), 2))
    then, now = (by_hand(city.lake, "incidents", moments[i]).select("incident_id", "offence", "revised_at").rows() for i in (first, last))
    old, new = {r[0]: r[1:] for r in then}, {r[0]: r[1:] for r in now}
    told = city.changes("incidents", moments[first], moments[last])
    assert set(told.filter(pl.col("change") == "added")["incident_id"]) == new.keys() - old.keys()
    changed = {k for k in old if new[k] != old[k]}
    assert set(told.filter(pl.col("change") == "changed")["incident_id"]) == changed
    offences = told.filter(pl.col("column") == "offence").select("incident_id", "old", "new").rows()
    assert {(k, a, b) for k, a, b in offences} == {(k, old[k][0], new[k][0]) for k in old if old[k][0] != new[k][0]}


def test_what_was_purged_since_is_said_and_what_was_gone_already_is_not(small: Path) -> None:
    at = datetime(2026, 5, 1, 18, tzinfo=UTC)
    purged = pl.DataFrame({"certificate_id": ["P-1", "P-2", "P-3"], "at": [at - timedelta(days=1), at + timedelta(days=1), at + timedelta(days=2)],
                           "table": ["reads", "reads", "reads"], "rows": [5, 7, 1]})
    told = asked.not_whole(purged, known.at({}, at))
    assert told == ("This is not all that was known at 2026-05-01 18:00 UTC: 8 rows of reads were purged since (certificate P-2, P-3).",)
    assert asked.not_whole(purged, {}) == () and asked.not_whole(None, known.at({}, at)) == ()


def test_without_a_moment_the_lake_is_asked_as_before(small: Path) -> None:
    load(small, 1, [("a", "2026-05-01T10:00:00", "theft", "no", "R1", "no")])
    lake = wb.open_workbench(small).lake
    assert "row_number" not in lake.relation_sql("incidents", lake.versions()) and "recorded_at <=" not in lake.relation_sql("incidents", lake.versions())
