"""Hits: found with the probability that they are the listed plate, unverified until a person says otherwise, never in a briefing before."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

import workbench as wb
from tests.conftest import CASE
from tests.test_briefings import HEAD, template
from workbench import briefings, cli
from workbench.briefings import blocks, unverified
from workbench.casebook import Casebook
from workbench.casebook.hits import Hits, Unverified
from workbench.errors import BadInput, CannotTell, NotFound
from workbench.models.plates import hotlist, misreads
from workbench.models.plates.hotlist import Matcher, false_hits, match

START = datetime(2026, 6, 1, tzinfo=UTC)
ASOF = START + timedelta(days=10)
UTC_US = pl.Datetime("us", "UTC")


def reads(*rows: tuple[str, str, float], **more: list[Any]) -> pl.DataFrame:
    """(plate, reader, seconds after the start) rows as a reads table."""
    return pl.DataFrame({"read_id": [f"r{i}" for i in range(len(rows))], "plate": [r[0] for r in rows], "reader": [r[1] for r in rows],
                         "read_at": pl.Series([START + timedelta(seconds=r[2]) for r in rows], dtype=UTC_US), **more},
                        schema_overrides={"plate": pl.String, "reader": pl.String, "read_id": pl.String})


def listed(*plates: str, **more: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"entry_id": [f"E{i}" for i in range(len(plates))], "plate": list(plates), "reason": ["stolen"] * len(plates),
                         "valid_from": pl.Series([START - timedelta(days=5)] * len(plates), dtype=UTC_US), **more})


def test_a_read_of_a_listed_plate_is_an_unverified_hit_with_its_entry() -> None:
    answer = match(reads(("ABC1234", "R1", 0), ("XYZ9999", "R1", 5)), listed("ABC1234"), ASOF)
    row = answer.table.row(0, named=True)
    assert answer.table.height == 1 and (row["entry_id"], row["read_id"], row["kind"], row["state"]) == ("E0", "r0", "exact", "unverified")
    assert "1 unverified hit on 1 listed plate (1 letter by letter)" in answer.headline and "drawn character by character" in answer.headline


def test_alternatives_and_look_alikes_are_hits_too_less_likely_ones() -> None:
    frame = reads(("ABC1234", "R1", 0), ("A8C1234", "R2", 0), ("XXX0000", "R3", 0), ("ABD1234", "R4", 0), confidence=[0.9] * 4,
                  alternatives=[[], [], ["QQQ1111", "ABC1234"], []], alternative_confidences=[[], [], [0.05, 0.3], []])
    table = match(frame, listed("ABC1234"), ASOF, least=0.0, prior=0.1, dense=0.02).table
    by_reader = {r["reader"]: r for r in table.iter_rows(named=True)}
    assert {r: by_reader[r]["kind"] for r in by_reader} == {"R1": "exact", "R2": "look-alike", "R3": "alternative"}
    assert by_reader["R1"]["probability"] > by_reader["R3"]["probability"] > by_reader["R2"]["probability"] > 0
    assert match(frame, listed("ABC1234"), ASOF, alternatives=False, look_alikes=False).table["reader"].to_list() == ["R1"]


def test_confidence_confusion_and_state_move_the_probability_the_right_way() -> None:
    frame = reads(*[("ABC1234", f"R{i}", 0) for i in range(4)], confidence=[0.95, 0.5, 0.95, 0.95], region=["IA", "IA", "IL", None])
    p = dict(match(frame, listed("ABC1234", region=["IA"]), ASOF, least=0, prior=0.1, dense=0.02).table.select("reader", "probability").iter_rows())
    assert p["R0"] > p["R1"] and p["R0"] > p["R3"] > p["R2"]
    learnt = misreads.confusion(pl.DataFrame({"read": ["A8C"] * 200, "true": ["ABC"] * 200}), checked=1000)
    misread = reads(("A8C1234", "R1", 0), confidence=[0.8])
    odds = [match(misread, listed("ABC1234"), ASOF, least=0, prior=0.1, dense=0.02, confusion=c).table["probability"][0] for c in (None, learnt)]
    assert odds[1] > odds[0]


def test_probabilities_are_about_as_often_right_as_they_say() -> None:
    """Planted truth: vehicles pass, readers misread by a known matrix and say how sure they are; some vehicles are listed."""
    rng = np.random.default_rng(4)
    letters, digits = list("BDOQUVXZ"), list("0123456789")
    fleet = sorted({"".join(rng.choice(letters, 3)) + "".join(rng.choice(digits, 3)) for _ in range(8000)})
    wanted = set(rng.choice(fleet, 400, replace=False)) | {"".join(rng.choice(letters, 3)) + "".join(rng.choice(digits, 3)) for _ in range(1200)}
    rows, truth, sure = [], [], []
    for i in range(40_000):
        true = fleet[rng.integers(len(fleet))]
        claimed = rng.uniform(0.7, 1.0)
        read = list(true)
        if rng.uniform() > claimed:
            at = rng.integers(6)
            mates = [m for g in ("0ODQ", "1IL", "2Z", "5S", "6G", "8B") if read[at] in g for m in g if m != read[at]] or ["X"]
            read[at] = str(rng.choice(mates))
        rows.append(("".join(read), f"R{i}", float(i)))
        truth.append(true)
        sure.append(claimed)
    table = match(reads(*rows, confidence=sure), listed(*sorted(wanted)), ASOF, least=0.0).table
    right = np.array([truth[int(r[1:])] == p for r, p in table.select("read_id", "plate").iter_rows()])
    p = table["probability"].to_numpy()
    high = p > 0.8
    assert high.sum() > 500 and right[high].mean() == pytest.approx(p[high].mean(), abs=0.08)
    assert p.sum() == pytest.approx(right.sum(), rel=0.05) and right[p < 0.3].mean() < 0.1 and (p < 0.3).sum() > 500
    alike = (table["kind"] == "look-alike").to_numpy()
    assert right[alike].sum() > 150 and p[alike].sum() <= 1.05 * right[alike].sum() <= 1.6 * p[alike].sum()  # they alone, too, and rather too little
    for low in (0.1, 0.3, 0.5, 0.7):
        some_ = alike & (p >= low) & (p < low + 0.2)
        assert right[some_].mean() > p[some_].mean() - 0.05, low


def test_a_text_no_vehicle_can_have_is_a_misread_and_one_that_many_have_is_somebody_s_own() -> None:
    rng = np.random.default_rng(3)
    fleet = ["".join(rng.choice(list("BDOXZ"), 3)) + "".join(rng.choice(list("0123456789"), 3)) for _ in range(3000)]
    rows = [*((f, "R0", float(i)) for i, f in enumerate(fleet)), ("8DX123", "R1", 5000.0), ("ODX123", "R2", 5000.0)]
    table = match(reads(*rows, confidence=[0.9] * len(rows)), listed("BDX123", "DDX123"), ASOF, least=0.0, prior=0.1).table
    p = {(r["reader"], r["plate"]): r["probability"] for r in table.iter_rows(named=True)}
    assert p["R1", "BDX123"] > 5 * p["R2", "DDX123"]


def test_an_entry_counts_only_while_it_is_in_force_and_its_list_was_drawn_up() -> None:
    ends = pl.Series([START + timedelta(seconds=50), None], dtype=UTC_US)
    frame = reads(("ABC1234", "R1", 10), ("ABC1234", "R1", 900), ("DEF1234", "R1", 10))
    begins = pl.Series([START - timedelta(days=1), START + timedelta(seconds=11)], dtype=UTC_US)
    table = match(frame, listed("ABC1234", "DEF1234").with_columns(valid_to=ends, valid_from=begins), ASOF).table
    assert table["read_id"].to_list() == ["r0"]
    later = listed("ABC1234", listed_at=[ASOF + timedelta(days=1)])
    assert match(frame, later, ASOF).table.is_empty()
    assert match(frame, listed("ABC1234"), START + timedelta(seconds=11)).table.height == 1


def test_reads_of_one_pass_are_one_hit_with_its_best_read() -> None:
    frame = reads(("A8C1234", "R1", 0), ("ABC1234", "R1", 20), ("ABC1234", "R1", 75), ("ABC1234", "R2", 75), ("ABC1234", "R1", 300))
    table = match(frame, listed("ABC1234"), ASOF, least=0.0).table.sort("reader", "read_at")
    assert table.select("hit_id", "read_id", "reads").rows() == [("E0/r0", "r1", 3), ("E0/r4", "r4", 1), ("E0/r3", "r3", 1)]
    assert match(frame, listed("ABC1234"), ASOF, least=0.0, within="10s").table.height == 5


@pytest.mark.parametrize("cut", [1, 3, 7, 50])
def test_batches_give_the_hits_of_all_reads_at_once(cut: int) -> None:
    rng = np.random.default_rng(cut)
    names = ["ABC1234", "A8C1234", "XYZ0001", "DEF5678", "LONGPLATE1", "ÄBC123"]
    rows = sorted(((names[rng.integers(6)], f"R{rng.integers(2)}", float(rng.integers(4000))) for _ in range(200)), key=lambda r: r[2])
    frame, wanted = reads(*rows), listed("ABC1234", "DEF5678", "LONGPLATE1", "ÄBC123", "ABC1234")
    whole = Matcher(wanted, least=0.0).hits(frame)
    live = Matcher(wanted, least=0.0)
    parts = pl.concat([live.hits(frame[i:i + cut]) for i in range(0, len(frame), cut)])
    best = parts.sort("probability", "read_at", "read_id", descending=[True, False, False]).unique("hit_id", keep="first")
    columns = ["hit_id", "entry_id", "read_id", "kind", "probability"]
    assert best.select(columns).sort("hit_id").equals(whole.select(columns).sort("hit_id")) and whole.height > 20
    assert {"LONGPLATE1", "ÄBC123"} <= set(whole["plate"])


def test_the_order_of_rows_changes_nothing_and_chance_finds_little() -> None:
    rng = np.random.default_rng(0)
    made = ["".join(rng.choice(list("ABCDEFGHJKLMNPRSTUVWXYZ"), 3)) + "".join(rng.choice(list("0123456789"), 4)) for _ in range(6000)]
    frame, wanted = reads(*[(p, f"R{i % 9}", float(i)) for i, p in enumerate(made[:5000])]), listed(*made[5000:])
    answer = match(frame, wanted, ASOF, least=0)
    assert answer.table.equals(match(frame.sample(fraction=1, shuffle=True, seed=2), wanted, ASOF, least=0).table)
    exact = answer.basis.parameters["exact by chance"]
    assert exact == pytest.approx(5000 * 1000 / (23 ** 3 * 1e4), rel=0.2)
    assert (answer.table["kind"] == "exact").sum() <= exact + 4


@pytest.mark.parametrize(("options", "said"), [
    ({"prior": 0.0}, "prior=0.0"), ({"dense": 2}, "dense=2"), ({"least": 1}, "least=1"), ({"within": "soon"}, "soon")])
def test_a_wrong_number_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        match(reads(("ABC1234", "R1", 0)), listed("ABC1234"), ASOF, **options)


def test_no_reads_no_entries_and_missing_columns_are_told() -> None:
    with pytest.raises(CannotTell, match="no reads before"):
        match(reads(("ABC1234", "R1", 0)), listed("ABC1234"), START - timedelta(days=1))
    with pytest.raises(CannotTell, match="No entry of the hotlist was in force"):
        match(reads(("ABC1234", "R1", 0)), listed("ABC1234").head(0), ASOF)
    with pytest.raises(BadInput, match="no column 'reader'"):
        match(reads(("ABC1234", "R1", 0)).drop("reader"), listed("ABC1234"), ASOF)
    with pytest.raises(BadInput, match="no column 'entry_id'"):
        match(reads(("ABC1234", "R1", 0)), listed("ABC1234").drop("entry_id"), ASOF)
    gaps = reads(("ABC1234", "R1", 0), (None, "R1", 0), ("ABC1234", None, 0))  # type: ignore[arg-type]
    assert match(gaps, listed("ABC1234"), ASOF).table.height == 1


def test_the_stolen_cars_of_the_made_up_city_are_hit(city: Any, samples: Path) -> None:
    import json

    planted = json.loads((samples / "planted.json").read_text(encoding="utf-8"))
    answer = match(city.reads(), city.table("hotlist"), city.asof, zone=city.agency.zone)
    wanted = {v["plate"] for v in planted["stolen_vehicles"] if v["read_in_june"]}
    assert wanted <= set(answer.table["plate"])
    assert not set(planted["hotlist"]["expired_before_june"]) & set(answer.table["entry_id"])
    truth = dict(planted["misreads"]["read_id_and_true_plate"])
    likely = answer.table.filter(pl.col("probability") > 0.9)
    true = [truth.get(r, p) == w for r, p, w in likely.select("read_id", "read_plate", "plate").iter_rows()]
    assert likely.height > 50 and np.mean(true) > 0.95
    assert answer.basis.run["function"] == "workbench.models.plates.hotlist:match" and "reads" in answer.basis.versions


# --- in the casebook --------------------------------------------------------------------------------------------------------------


def some(n: int = 3) -> pl.DataFrame:
    return match(reads(*[("ABC1234", f"R{i}", 0) for i in range(n)]), listed("ABC1234"), ASOF).table


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Casebook:
    if request.param == "sqlite":
        return Casebook(tmp_path / "casebook.db")
    server = request.getfixturevalue("postgres")
    return Casebook(server.url(server.database()))


def test_a_hit_is_unverified_until_all_three_are_answered_and_the_answers_decide(book: Casebook) -> None:
    held = Hits(book)
    assert held.add(some(), user="ann") == 3 and held.add(some(), user="bob") == 0
    assert held.frame()["state"].to_list() == ["unverified"] * 3
    with pytest.raises(BadInput, match="neither yes nor no"):
        held.verify("E0/r0", plate=True, state=True, active=None, user="ann")  # type: ignore[arg-type]
    assert held.verify("E0/r0", plate=True, state=True, active=True, user="ann", note="picture seen") == "confirmed"
    assert held.verify("E0/r1", plate=True, state=False, active=False, user="bob") == "rejected"
    row = held.hit("E0/r1")
    assert (row["why"], row["checked_by"]) == ("state wrong, no longer active", "bob") and row["checked_at"].tzinfo is not None
    assert held.frame("unverified")["hit_id"].to_list() == ["E0/r2"]
    with pytest.raises(BadInput, match="not known"):
        held.frame("confirmd")
    with pytest.raises(NotFound, match=r"Did you mean"):
        held.hit("E0/r9")


def test_what_was_said_is_never_changed_and_undoing_is_a_further_row(book: Casebook) -> None:
    held = Hits(book)
    held.add(some(1), user="ann")
    with pytest.raises(BadInput, match="nothing to undo"):
        held.undo("E0/r0", "slip", user="ann")
    held.verify("E0/r0", plate=False, state=True, active=True, user="ann")
    with pytest.raises(BadInput, match="was rejected .plate wrong. by ann .* already; nothing was written"):
        held.verify("E0/r0", plate=True, state=True, active=True, user="bob")
    with pytest.raises(BadInput, match="with a reason"):
        held.undo("E0/r0", " ", user="bob")
    held.undo("E0/r0", "wrong picture was open", user="bob")
    assert held.hit("E0/r0")["state"] == "unverified"
    held.verify("E0/r0", plate=True, state=True, active=True, user="bob")
    assert held.said("E0/r0").select("step", "verdict", "checked_by").rows() == [(1, "rejected", "ann"), (2, "undone", "bob"), (3, "confirmed", "bob")]


def test_of_two_persons_who_verify_one_hit_at_once_the_second_is_told(book: Casebook) -> None:
    Hits(book).add(some(1), user="ann")
    together, said = threading.Barrier(4), []

    def person(name: str) -> None:
        held = Hits(book)
        together.wait()
        try:
            said.append(held.verify("E0/r0", plate=name != "bob", state=True, active=True, user=name))
        except BadInput as error:
            said.append(str(error))

    people = [threading.Thread(target=person, args=(n,)) for n in ("ann", "bob", "cem", "dot")]
    for p in people:
        p.start()
    for p in people:
        p.join()
    assert sum(s in ("confirmed", "rejected") for s in said) == 1
    assert sum("already; nothing was written" in s for s in said) == 3
    assert Hits(book).said("E0/r0").height == 1


def test_two_who_have_both_looked_before_either_wrote_cannot_both_write(book: Casebook, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Hits(book)
    held.add(some(1), user="ann")
    before = held.hit("E0/r0")
    held.verify("E0/r0", plate=True, state=True, active=True, user="ann")
    with pytest.raises(BadInput, match="was confirmed by ann"):
        held._step("E0/r0", before["step"] + 1, "rejected", "bob", "", None, plate_right=False, state_right=True, entry_active=True)
    with book.engine.connect() as db:
        assert db.execute(sa.text("select count(*) from hit_checks")).scalar() == 1


def test_a_frame_that_is_no_frame_of_hits_is_refused(book: Casebook) -> None:
    with pytest.raises(BadInput, match="no column 'region'"):
        Hits(book).add(some().drop("region"), user="ann")
    with pytest.raises(BadInput, match="has no reader"):
        Hits(book).add(some().with_columns(reader=pl.lit(None, dtype=pl.String)), user="ann")


# --- never in a briefing before ---------------------------------------------------------------------------------------------------


def test_only_confirmed_hits_pass_by_id_by_text_and_by_what_a_row_says(tmp_path: Path) -> None:
    book = Casebook(tmp_path / "casebook.db")
    held = Hits(book)
    found = some(2)
    held.add(found, user="ann")
    pages = {"table": blocks.table(found, {"plate": "Plate"}), "note": blocks.note("Hit E0/r0 came in"),
             "line": blocks.bottom_line("ABC1234 passed R0 at night."),
             "row": blocks.table(found.select("plate", "reader"), {"plate": "Plate", "reader": "Reader"})}
    for name, page in pages.items():
        with pytest.raises(Unverified, match="cannot enter a bulletin or briefing: it is unverified"):
            unverified.refuse({}, [blocks.beside(page, []).to_dict()], book)
        assert name
    unverified.refuse({}, [blocks.note("ABC1234 is sought.").to_dict()], book)
    for hit in found["hit_id"]:
        held.verify(hit, plate=True, state=True, active=True, user="ann")
    for page in pages.values():
        unverified.refuse({}, [page.to_dict()], book)
    held.undo("E0/r0", "entry was cleared", user="ann")
    held.verify("E0/r0", plate=True, state=True, active=False, user="ann")
    with pytest.raises(Unverified, match=r"it is rejected \(no longer active, by ann\)"):
        unverified.refuse({}, [pages["table"].to_dict()], book)
    with pytest.raises(BadInput, match="without their hit_id"):
        blocks.table(found.drop("hit_id"), {"plate": "Plate"})
    with pytest.raises(Unverified, match="is not in the casebook"):
        unverified.refuse({}, [pages["table"].to_dict()], Casebook(tmp_path / "other.db"))


def test_a_briefing_that_shows_a_hit_is_written_only_once_it_is_confirmed(own_city: Path) -> None:
    city = wb.open_workbench(own_city, **CASE)
    found = match(city.reads(), city.table("hotlist"), city.asof).table.head(1)
    held = Hits(city.casebook)
    held.add(found, user="ann")
    bound = "case: str | None = None  # a\npurpose: str | None = None  # b\nreason: str | None = None  # c\nworkspace: str | None = None  # d"
    show = ("import workbench as wb\nfrom workbench.casebook.hits import Hits\ncity = wb.open_workbench(workspace, case=case, purpose=purpose, reason=reason)\n"
            "blocks.table(Hits(city.casebook).frame(), {'plate': 'Plate', 'state': 'State'})")
    template(own_city, "wanted", HEAD.format("a"), show, parameters=bound)
    with pytest.raises(Unverified, match="cannot enter a bulletin or briefing"):
        briefings.run(city, "wanted")
    assert not list((own_city / "out").glob("*"))
    held.verify(found["hit_id"][0], plate=True, state=True, active=True, user="ann")
    assert found["plate"][0] in briefings.run(city, "wanted").html.read_text()


def test_the_answer_of_the_matcher_itself_is_shown_in_no_cell_of_a_briefing(tmp_path: Path) -> None:
    answer = match(reads(("ABC1234", "R1", 0)), listed("ABC1234"), ASOF)
    cell = {"outputs": [{"output_type": "execute_result", "data": answer._repr_mimebundle_()}]}
    with pytest.raises(Unverified, match="Cell 1 shows what the matcher found, which nobody has verified"):
        unverified.refuse({"cells": [cell]}, [], Casebook(tmp_path / "casebook.db"))


def test_hits_are_found_listed_verified_and_undone_from_the_command_line(own_city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["-w", str(own_city), *(x for k, v in CASE.items() for x in (f"--{k}", v))]
    assert cli.main(["hits", "find", "--days", "2", *asked]) == 0
    assert "new and kept as unverified" in capsys.readouterr().out
    assert cli.main(["hits", *asked]) == 0
    hit = capsys.readouterr().out.split()[0]
    assert cli.main(["hits", "verify", hit, "--plate", "yes", "--state", "yes", *asked]) == 1
    assert "--active is missing" in capsys.readouterr().err
    assert cli.main(["hits", "verify", hit, "--plate", "no", "--state", "yes", "--active", "yes", *asked]) == 0
    assert f"{hit} is rejected." in capsys.readouterr().out
    assert cli.main(["hits", "undo", hit, "--note", "wrong picture", *asked]) == 0
    assert cli.main(["hits", "list", "--state-is", "rejected", *asked]) == 0
    assert "There are no such hits" in capsys.readouterr().out
    assert cli.main(["hits", "-w", str(own_city)]) == 1
    assert "for a case" in capsys.readouterr().err


# --- how often they are false -----------------------------------------------------------------------------------------------------


def verified(**readers: tuple[int, int]) -> pl.DataFrame:
    rows = [(name, "rejected" if i < false else "confirmed") for name, (false, n) in readers.items() for i in range(n)]
    return pl.DataFrame(rows, schema=["reader", "state"], orient="row")


def test_a_reader_that_errs_more_than_the_others_is_named_and_few_hits_tell_nothing() -> None:
    answer = false_hits(verified(A=(30, 60), B=(3, 100), C=(4, 100), D=(2, 3)))
    rows = {r["reader"]: r for r in answer.table.iter_rows(named=True)}
    assert rows["A"]["worse"] and not rows["B"]["worse"] and rows["D"]["worse"] is None and "too few to tell" in rows["D"]["sentence"]
    assert "worse than the others: A" in answer.headline and "of 1 reader it cannot be told" in answer.headline
    assert (rows["A"]["low"], rows["A"]["high"]) == pytest.approx((0.3773, 0.6227), abs=1e-3)  # Wilson 95 %, 30 of 60
    assert "I cannot tell how readers differ" in false_hits(verified(A=(1, 3))).headline


def test_equal_readers_are_called_worse_no_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(1)
    worse = [false_hits(verified(**{f"R{i}": (int(rng.binomial(80, 0.2)), 80) for i in range(20)})).table["worse"].sum() for _ in range(30)]
    assert np.mean(worse) <= 20 * 0.05


def test_entries_that_had_lapsed_are_not_held_against_the_reader_and_nothing_verified_is_told(tmp_path: Path) -> None:
    held = Hits(Casebook(tmp_path / "casebook.db"))
    held.add(some(3), user="ann")
    with pytest.raises(CannotTell, match="No hit has been confirmed or rejected"):
        hotlist.false_hits(held.frame())
    held.verify("E0/r0", plate=True, state=True, active=False, user="ann")
    held.verify("E0/r1", plate=False, state=True, active=True, user="ann")
    assert dict(false_hits(held.frame()).table.select("reader", "false").iter_rows()) == {"R0": 0, "R1": 1}
    with pytest.raises(BadInput, match="no column 'state'"):
        false_hits(pl.DataFrame({"reader": ["A"]}))
