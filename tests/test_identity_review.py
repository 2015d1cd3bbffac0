"""Judgements on who is who: appended, undone by a further row, outranking every score; a queue for two persons at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from tests.conftest import CASE
from workbench import cli
from workbench.casebook import Casebook
from workbench.casebook.identities import Ids, Judgements, ids
from workbench.errors import BadInput, NotFound

NOW = datetime(2026, 6, 1, 9, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: Any, tmp_path: Path) -> Callable[[], Judgements]:
    if request.param == "sqlite":
        where: Any = tmp_path / "casebook.db"
    else:
        server = request.getfixturevalue("postgres")
        where = server.url(server.database())
    return lambda: Judgements(Casebook(where))


def queue(n: int = 6) -> pl.DataFrame:
    return pl.DataFrame({"kind": ["person"] * n, "left": [f"A{i}" for i in range(n)], "right": [f"B{i}" for i in range(n)], "probability": [0.6] * n})


def test_an_undo_is_a_further_row_and_what_stood_before_stands_again(store: Callable[[], Judgements]) -> None:
    book = store()
    book.judge("person", "B", "A", "same", "same photograph", user="ana", at=NOW)
    before = book.frame("person")
    assert before.select("left", "right", "verdict", "by", "at").rows() == [("A", "B", "same", "ana", NOW)]
    second = book.judge("person", "A", "B", "different", "other fingerprints", user="ben", at=NOW)
    assert book.frame("person")["verdict"].to_list() == ["different"]
    book.undo(second, "the wrong card", user="ben", at=NOW)
    assert book.frame("person").equals(before)
    assert book.history("person")["undoes"].to_list() == [None, None, second]
    assert store().frame("person").equals(before)
    assert book.frame("vehicle").is_empty()


def test_what_cannot_be_judged_is_said_in_a_sentence(store: Callable[[], Judgements]) -> None:
    book = store()
    with pytest.raises(BadInput, match="Did you mean 'same'"):
        book.judge("person", "A", "B", "sam", "x", user="ana")
    with pytest.raises(BadInput, match="needs its reason"):
        book.judge("person", "A", "B", "same", " ", user="ana")
    with pytest.raises(BadInput, match="about two records"):
        book.judge("person", "A", "A", "same", "x", user="ana")
    with pytest.raises(BadInput, match="person"):
        book.frame("persona")
    with pytest.raises(NotFound, match="no judgement 99"):
        book.undo(99, "x", user="ana")
    first = book.judge("person", "A", "B", "same", "x", user="ana")
    undo = book.undo(first, "x", user="ana")
    with pytest.raises(BadInput, match="taken back already"):
        book.undo(first, "x", user="ana")
    with pytest.raises(BadInput, match="judge the pair anew"):
        book.undo(undo, "x", user="ana")


def test_two_persons_at_once_get_different_pairs_and_a_hold_runs_out(store: Callable[[], Judgements]) -> None:
    book = store()
    assert book.take(queue(), 2, user="ana", at=NOW)["left"].to_list() == ["A0", "A1"]
    assert book.take(queue(), 2, user="ben", at=NOW)["left"].to_list() == ["A2", "A3"]
    assert book.take(queue(), 2, user="ana", at=NOW)["left"].to_list() == ["A0", "A1"]
    assert book.held("person", at=NOW)["held_by"].to_list() == ["ana", "ana", "ben", "ben"]
    book.judge("person", "A0", "B0", "unsure", "no photograph", user="ana", at=NOW)
    assert book.give_back("person", "A1", "B1", user="ana") and not book.give_back("person", "A2", "B2", user="ana")
    later = NOW + timedelta(minutes=31)
    assert book.take(queue(), 9, user="cy", at=later)["left"].to_list() == ["A1", "A2", "A3", "A4", "A5"]


def test_many_who_ask_in_the_same_moment_share_the_queue_without_overlap(store: Callable[[], Judgements]) -> None:
    books, got = [store() for _ in range(4)], []
    start = threading.Barrier(4)

    def ask(k: int) -> None:
        start.wait()
        got.append(books[k].take(queue(8), 2, user=f"user {k}", at=NOW)["left"].to_list())

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    given = [pair for one in got for pair in one]
    assert len(got) == 4 and len(given) == len(set(given))
    with books[0].engine.connect() as db:
        assert db.execute(sa.text("select count(*) from identity_review")).scalar() == len(given)


def test_ids_are_kept_between_runs_and_one_who_sees_fewer_records_changes_nobody_elses(store: Callable[[], Judgements]) -> None:
    def kept() -> Ids:
        return Ids(Casebook(store().engine.url.render_as_string(hide_password=False)))

    def answer(**ids: str) -> pl.DataFrame:
        return pl.DataFrame({"record_id": list(ids), "entity_id": list(ids.values())})

    every = pl.Series(["A", "B", "C", "D", "E"])
    assert kept().keep("person", answer(A="B", B="B", C="C", D="C", E="E"), at=NOW) == 4  # who stands alone under the own id is not kept
    assert kept().frame("person", every).rows() == [("A", "B", NOW), ("B", "B", NOW), ("C", "C", NOW), ("D", "C", NOW)]
    assert kept().frame("person", pl.Series(["A", "C", "D"]))["record_id"].to_list() == ["C", "D"] and kept().frame("vehicle", every).is_empty()
    assert kept().keep("person", answer(A="A", D="A"), at=NOW + timedelta(days=1)) == 0  # neither B nor C is seen: what is named after them stays
    assert dict(kept().frame("person", every).select("record_id", "entity_id").iter_rows()) == {"A": "B", "B": "B", "C": "C", "D": "C"}
    assert kept().keep("person", answer(A="B", B="B", C="C", D="B", E="E"), at=NOW + timedelta(days=2)) == 2
    assert kept().frame("person", every).rows() == [("A", "B", NOW), ("B", "B", NOW), ("D", "B", NOW)]


def test_pairs_are_taken_judged_listed_and_undone_from_the_command_line(own_city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["-w", str(own_city), *(x for k, v in CASE.items() for x in (f"--{k}", v))]

    def said(*command: str, code: int = 0) -> str:
        assert cli.main(["identities", *command, *asked]) == code
        got = capsys.readouterr()
        return got.err if code else got.out

    first = said("resolve", "-n", "3")
    shown = first.splitlines()[1]
    one, *others = shown.partition(" % ")[2].replace(",", " ").split()
    assert "records are of" in first and shown.split()[0] == min(one, *others)
    book = Casebook(own_city / "casebook.db")
    with book.engine.begin() as db:  # as if the other record had founded the entity
        db.execute(ids.update().where(ids.c.entity_id == shown.split()[0]).values(entity_id=max(one, *others)))
    pairs = said("queue", "-n", "2").splitlines()
    left, right = pairs[0].split()[:2]
    assert set(Ids(book).every().filter(pl.col("record_id").is_in([one, *others]))["entity_id"]) == {max(one, *others)}  # the id it bore, not one made anew
    assert len(pairs) == 3 and "yours for half an hour" in pairs[2]
    assert "needs its reason" in said("judge", left, right, "different", code=1)
    assert "Did you mean 'different'" in said("judge", left, right, "diferent", "--why", "x", code=1)
    assert "There is no record 'nobody'" in said("judge", left, "nobody", "same", "--why", "x", code=1)
    assert "judge P1 P2 same" in said("judge", left, right, code=1)
    assert "not the number" in said("undo", "x", "--why", "x", code=1)
    assert "Judgement 1:" in said("judge", left, right, "different", "--why", "another photograph")
    assert "another photograph" in said("list")
    assert "no judgement 1 on records of kind vehicle" in said("undo", "1", "--kind", "vehicle", "--why", "x", code=1)
    assert "taken back" in said("undo", "1", "--why", "wrong pair")
    assert "Nothing was judged" in said("list")
    assert cli.main(["identities", "-w", str(own_city)]) == 1
    assert "for a case" in capsys.readouterr().err
