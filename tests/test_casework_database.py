"""A casebook in PostgreSQL, as ``[casebook] url`` of agency.toml names it, is reached by purge, order and preview as a file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.test_casework_kept import OLD, watched
from tests.test_expunge import ORDER, city
from tests.test_purge import NOW, bytes_of, workspace
from workbench.casebook import Casebook, place
from workbench.casebook.hits import Hits
from workbench.casebook.identities import Judgements
from workbench.errors import BadInput
from workbench.oversight import evidence, expunge, holds, purge


@pytest.fixture
def name(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database whose password is in the environment."""
    monkeypatch.setenv(place.PASSWORD, postgres.password)
    return str(postgres.database())


def moved(path: Path, postgres: Any, name: str) -> Path:
    """The workspace with its casebook in the database."""
    (path / "casebook.db").unlink(missing_ok=True)
    toml = path / "agency.toml"
    toml.write_text(f'{toml.read_text()}[casebook]\nurl = "{postgres.url(name, password=False)}"\n', encoding="utf-8")
    place.of(path).open_case("C1", "a case", user="anna")
    return path


def said(postgres: Any, name: str) -> str:
    """Every row of the database, and the files of its tables."""
    with postgres.connect(name) as con:
        tables = [t for (t,) in con.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()]
        rows = [str(r[0]) for t in tables for r in con.execute(f'select t::text from "{t}" t').fetchall()]
        con.execute("checkpoint")
        files = [con.execute("select pg_read_binary_file(pg_relation_filepath(%s))", (t,)).fetchone()[0].decode("latin-1") for t in tables]
    return "\n".join([*rows, *files])


def test_hits_in_a_database_go_with_their_reads_also_when_the_purge_was_killed(
    tmp_path: Path, postgres: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, book = watched(tmp_path, lambda p: moved(p, postgres, name))
    assert not (path / "casebook.db").exists() and book.frame().height == 7
    evidence.attach(path, "C1", "reads", "READ-OLD-1", "the car of the robbery", "anna")
    place.of(path).add_subject("C1", "vehicle:QXJZ0004", "QXJZ0004 stood there", user="anna")
    with monkeypatch.context() as broken:
        broken.setattr(purge.clearing, "casebook", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            purge.run(path, NOW, user="anna", reason="daily purge")
    with purge.locked(path):
        made = purge.finish(path)[0]
    assert any(line.endswith("the reads they came from are kept no longer: 4") for line in made.body["work"])
    assert made.body["verification"]["found"] == 0 and sorted(book.frame()["read_id"]) == ["READ-LIVE-7", "READ-NEW-1", "READ-OLD-1"]
    left = said(postgres, name)
    assert "QXJZ0001" in left and not any(v in left for r, p, _ in OLD[1:] for v in (r, p)) and bytes_of(path, ["QXJZ0002", "QXJZ0004"]) == {}
    assert place.of(path).subjects("C1")["why"].to_list() == ["(purged) stood there"]


def test_an_order_takes_judgements_in_a_database(tmp_path: Path, postgres: Any, name: str) -> None:
    path = moved(city(tmp_path), postgres, name)
    book = Judgements(place.of(path))
    book.judge("person", "PERS-000017", "PERS-000018", "same", "Ambrosius Quillfeather has the same scar", user="anna")
    book.judge("person", "PERS-000018", "PERS-000021", "different", "not Ambrosius Quillfeather either", user="anna")
    book.take(pl.DataFrame({"kind": ["person"], "left": ["PERS-000017"], "right": ["PERS-000022"]}), user="anna")
    made = expunge.run(path, ORDER, user="anna")
    assert book.history("person").select("left", "right", "why").rows() == [("PERS-000018", "PERS-000021", "not (purged) either")]
    assert book.held("person").is_empty() and made.body["verification"]["found"] == 0
    assert not any(v in said(postgres, name) for v in ("PERS-000017", "Ambrosius Quillfeather"))


def test_the_search_behind_a_purge_reads_the_database_too(tmp_path: Path, postgres: Any, name: str) -> None:
    path = moved(workspace(tmp_path / "city"), postgres, name)
    place.of(path).open_case("C2", "about QXJZ0002", user="anna")
    assert purge.verification(path, [purge.Search(["QXJZ0002"])], 0)["where"] == ["table cases of the casebook's database"]
    assert holds.listed(path).is_empty() and place.there(path)


@pytest.mark.parametrize(("line", "message"), [
    ('url = "postgresql://a:b@h/d"', "carries a password"), ('url = "sqlite:///x.db"', "no address of a PostgreSQL"), ('urk = "x"', "Did you mean"),
    ('url = "postgresql://a@h/d"', "still holds a casebook.db with rows"),
])
def test_a_setting_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, line: str, message: str) -> None:
    path = workspace(tmp_path / "city")
    (path / "agency.toml").write_text(f"{(path / 'agency.toml').read_text()}[casebook]\n{line}\n", encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        place.of(path)


def test_without_the_setting_the_casebook_is_the_file(tmp_path: Path) -> None:
    assert not place.there(tmp_path) and place.of(tmp_path).cases().is_empty() and place.there(tmp_path)
    assert Hits(Casebook(tmp_path / "casebook.db")).frame().is_empty() and list(place.rows(tmp_path)) == []
