"""Any sequence of edits to the audit's file is found and located; signed roots find what the chain alone cannot."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput
from workbench.oversight import chain, roots, store
from workbench.oversight.audit import Audit, Person

ANN = Person("ann", "2026-0142", "investigation", "who was near the scenes", role="detective")
N = 24
COLUMNS = ", ".join(chain.FIELDS)


def filled(folder: Path, n: int = N) -> Audit:
    folder.mkdir(parents=True, exist_ok=True)
    audit = Audit(folder / "audit.db")
    for i in range(n):
        audit.write(ANN if i % 3 else Person("bob"), "query", "reads", plate=f"P{i}")
    return audit


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    audit = filled(folder)
    roots.make(audit, ANN, upto=N // 2)
    store.close_all()
    return folder


def rechain(db: sqlite3.Connection, first: int, *, head: bool = True) -> None:
    """What somebody who knows the workbench would do: compute every hash anew from an entry on."""
    previous = (db.execute("select hash from entries where seq < ? order by seq desc limit 1", (first,)).fetchone() or (chain.START,))[0]
    own, seq, at = previous, 0, ""
    for seq, key, *values in db.execute(f"select seq, key, {COLUMNS} from entries where seq >= ? order by seq", (first,)).fetchall():
        seal, fields = chain.commit(key, values)
        own, at = chain.link(previous, seq, seal, fields), values[0]
        db.execute("update entries set sealed = ?, fields = ?, previous = ?, hash = ? where seq = ?", (seal, fields, previous, own, seq))
        previous = own
    if head and seq:
        db.execute("update head set seq = ?, hash = ?, at = ?", (seq, own, at))


def edit(db: sqlite3.Connection, kind: str, at: int, field: str, text: str) -> int | None:
    """One edit; gives the number of the first entry it touched, None where it changed nothing."""
    rows = [s for (s,) in db.execute("select seq from entries order by seq")]
    if not rows:
        return None
    at = rows[at % len(rows)]
    before = db.execute(f"select {field} from entries where seq = ?", (at,)).fetchone()[0]
    match kind:
        case "field":
            db.execute(f"update entries set {field} = ? where seq = ?", (text, at))
            return at if before != text else None
        case "nothing":
            db.execute("update entries set case_number = case when case_number is null then '' end where seq = ?", (at,))
        case "delete":
            db.execute("delete from entries where seq = ?", (at,))
        case "close up":
            db.execute("delete from entries where seq = ?", (at,))
            db.execute("update entries set seq = seq - 1 where seq > ?", (at,))
        case "insert":
            db.execute("update entries set seq = -seq where seq >= ?", (at,))
            db.execute("update entries set seq = 1 - seq where seq < 0")
            db.execute(f"insert into entries select ?, {COLUMNS}, key, sealed, fields, previous, hash, opened from entries where seq = ?", (at, at + 1))
        case "swap":
            other = rows[(rows.index(at) + 1) % len(rows)]
            low, high = sorted((at, other))
            db.execute("update entries set seq = -1 where seq = ?", (low,))
            db.execute("update entries set seq = ? where seq = ?", (low, high))
            db.execute("update entries set seq = ? where seq = -1", (high,))
            return low if low != high else None
        case "truncate":
            db.execute("delete from entries where seq >= ?", (at,))
        case "rehash":
            key, *values = db.execute(f"select key, {COLUMNS} from entries where seq = ?", (at,)).fetchone()
            values[chain.FIELDS.index(field)] = text
            seal, fields = chain.commit(key, values)
            previous = db.execute("select previous from entries where seq = ?", (at,)).fetchone()[0]
            own = chain.link(previous, max(at, 0), seal, fields)
            db.execute(f"update entries set {field} = ?, sealed = ?, fields = ?, hash = ? where seq = ?", (text, seal, fields, own, at))
            return at if before != text else None
        case "pretend forgotten":
            db.execute(f"update entries set {field} = ?, opened = '{{}}' where seq = ?", (text, at))
    return at


KINDS = ["field", "nothing", "delete", "close up", "insert", "swap", "truncate", "rehash", "pretend forgotten"]
TEXTS = st.one_of(st.text(st.characters(codec="utf-8"), max_size=12), st.sampled_from(["\x1f", "a\x00b", "-", "=", "query\x1freads", ""]))
EDITS = st.tuples(st.sampled_from(KINDS), st.integers(0, N), st.sampled_from([f for f in chain.FIELDS if f != "emergency"]), TEXTS)


def contents(db: sqlite3.Connection) -> list[object]:
    return db.execute("select * from entries order by seq").fetchall()


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(EDITS, min_size=1, max_size=5))
def test_any_sequence_of_edits_is_found_and_the_first_entry_touched_is_named(whole: Path, tmp_path: Path, edits: list[tuple[str, int, str, str]]) -> None:
    store.close_all()
    folder = tmp_path / "one"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    with sqlite3.connect(folder / "audit.db") as db:
        before = contents(db)
        touched = [t for e in edits if (t := edit(db, *e)) is not None]
        same = contents(db) == before
    db.close()
    audit = Audit(folder / "audit.db")
    found, _ = audit.check(processes=1)
    if same:
        assert not found
        return
    first = min(touched)
    changed = next((s for s, (a, b) in enumerate(zip(before, _read(folder), strict=False), 1) if a != b), N + 2)
    assert found and audit.verify()[0] is False
    named = [f for f in found if f.kind != "rewritten"] or found
    assert any(f.first <= max(first, changed) <= f.last + 1 for f in named), (first, changed, found)


def _read(folder: Path) -> list[object]:
    with sqlite3.connect(folder / "audit.db") as db:
        return contents(db)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [0, 7, N - 2])
def test_a_single_edit_is_named_exactly(whole: Path, tmp_path: Path, kind: str, at: int) -> None:
    shutil.copytree(whole, folder := tmp_path / "one")
    with sqlite3.connect(folder / "audit.db") as db:
        touched = edit(db, kind, at, "detail", "{}")
    good, sentence = Audit(folder / "audit.db").verify()
    assert not good and touched == at + 1
    assert f"ntry {touched}" in sentence or f"ntries {touched} to" in sentence, sentence


@pytest.mark.parametrize("first", [1, 3, 9, N // 2])
def test_a_chain_computed_anew_is_found_by_the_signed_root_and_narrowed_down(whole: Path, tmp_path: Path, first: int) -> None:
    shutil.copytree(whole, folder := tmp_path / "one")
    with sqlite3.connect(folder / "audit.db") as db:
        db.execute("update entries set user = 'nobody' where seq = ?", (first,))
        rechain(db, first)
    found, _ = Audit(folder / "audit.db").check()
    rewritten = [f for f in found if f.kind == "rewritten"]
    assert len(rewritten) == 1 and rewritten[0].first == rewritten[0].last == first, "with few entries a day, the marks name the entry itself"


def test_what_is_cut_off_after_the_last_root_with_the_count_put_right_is_not_seen_but_by_a_hash_noted_elsewhere(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, folder := tmp_path / "one")
    audit = Audit(folder / "audit.db")
    noted = audit.entries(1)["hash"][0]
    store.close_all()
    with sqlite3.connect(folder / "audit.db") as db:
        db.execute("delete from entries where seq = (select max(seq) from entries where action = 'query')")
        db.execute("delete from entries where seq > ?", (N,))
        db.execute("delete from roots")
        rechain(db, 1)
    good, sentence = audit.verify()
    assert good and noted[:16] not in sentence, "docs/audit.md says so: nothing in the file itself can tell"


def test_what_is_cut_off_before_the_last_root_is_seen_even_with_the_count_put_right(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, folder := tmp_path / "one")
    with sqlite3.connect(folder / "audit.db") as db:
        db.execute("delete from entries where seq >= 9")
        rechain(db, 8)
    found, _ = Audit(folder / "audit.db").check()
    assert any(f.kind == "missing" and f.first == 9 for f in found)


def test_what_was_cut_off_stays_missing_when_more_is_written(tmp_path: Path) -> None:
    audit = filled(tmp_path, 10)
    with sqlite3.connect(audit.file) as db:
        db.execute("delete from entries where seq > 7")
    audit.write(ANN, "query", "reads")
    good, sentence = audit.verify()
    assert not good and "Entries 8 to 10 are missing" in sentence


def test_a_trigger_or_another_table_form_is_named(tmp_path: Path) -> None:
    audit = filled(tmp_path, 3)
    with sqlite3.connect(audit.file) as db:
        db.execute("create trigger hide after insert on entries begin delete from entries where user = 'eve'; end")
    assert "hide" in audit.verify()[1]


def test_a_file_that_is_no_database_any_more_is_said_and_not_raised(tmp_path: Path) -> None:
    audit = filled(tmp_path, 5)
    store.close_all()
    raw = bytearray(audit.file.read_bytes())
    raw[: len(raw) // 2] = os.urandom(len(raw) // 2)
    audit.file.write_bytes(raw)
    good, sentence = audit.verify()
    assert not good and "cannot be read" in sentence


def test_parts_checked_by_several_processes_say_the_same_as_one(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, folder := tmp_path / "one")
    audit = Audit(folder / "audit.db")
    assert audit.check(processes=3) == audit.check(processes=1) and not audit.check(processes=3)[0]
    with sqlite3.connect(audit.file) as db:
        db.execute("update entries set object = 'x' where seq in (8, 9, 17)")
        db.execute("delete from entries where seq = 16")
    three, one = audit.check(processes=3)[0], audit.check(processes=1)[0]
    assert three == one and [f.first for f in one if f.kind in ("changed", "missing")] == [8, 9, 16, 17]


# --- roots ------------------------------------------------------------------------------------------------------------------------


def test_the_first_entry_of_a_new_day_signs_the_days_before_once(tmp_path: Path) -> None:
    audit = filled(tmp_path, 6)
    with sqlite3.connect(audit.file) as db:
        db.execute("update entries set at = '2026-01-0' || (1 + seq / 3) || 'T10:00:00.000000+00:00'")
        rechain(db, 1)
    audit.write(ANN, "query", "reads")
    audit.write(ANN, "query", "reads")
    made = roots.held_roots(audit)
    assert [(r["first_seq"], r["last_seq"], r["count"]) for r in made] == [(1, 6, 6)]
    assert roots.genuine(made[0]) and audit.entries()["action"].to_list()[-2:] == ["root", "query"]
    assert (tmp_path / "keys" / "audit.key").stat().st_mode & 0o777 == 0o600
    assert audit.check(deep=True)[0] == []


def test_roots_go_to_a_second_place_and_a_lost_or_forged_one_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "agency.toml").write_text('[audit]\nroots_copy = "elsewhere/roots.ndjson"\n')
    audit = filled(tmp_path, 6)
    roots.make(audit, ANN)
    audit.write(ANN, "query", "calls")
    second = roots.make(audit, ANN)
    copied = roots.read(tmp_path / "elsewhere" / "roots.ndjson")
    assert [r["root"] for r in copied] == [1, 2] and audit.check(copied=copied)[0] == []
    with sqlite3.connect(audit.file) as db:
        db.execute("delete from roots where root = 2")
        db.execute("delete from entries where seq >= 8")
        rechain(db, 7)
    assert audit.verify()[0], "the store alone no longer knows of the second root"
    found = audit.check(copied=copied)[0]
    assert any("Root 2 of the copy is not in the audit any more" in f.sentence for f in found) and any(f.kind == "missing" and f.first == 8 for f in found)
    assert second is not None
    with sqlite3.connect(audit.file) as db:
        body = json.loads(db.execute("select body from roots").fetchone()[0]) | {"count": 5}
        db.execute("update roots set body = ?", (json.dumps(body),))
    assert "does not carry the signature" in audit.verify()[1]


def test_a_changed_key_is_noticed_and_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    audit = filled(tmp_path, 4)
    roots.make(audit, ANN)
    for name in ("audit.key", "audit.pub"):
        (tmp_path / "keys" / name).unlink()
    audit.write(ANN, "query", "calls")
    roots.make(audit, ANN)
    assert "signed with another key" in audit.verify()[1]
    (tmp_path / "keys" / "audit.key").chmod(0o644)
    audit.write(ANN, "query", "calls")
    with pytest.raises(BadInput, match="chmod 600"):
        roots.make(audit, ANN)


def test_a_key_that_cannot_be_used_stops_no_access_and_is_written_down(tmp_path: Path) -> None:
    (tmp_path / "agency.toml").write_text('[audit]\nkey = "env:NO_SUCH_VARIABLE"\n')
    audit = filled(tmp_path, 3)
    with sqlite3.connect(audit.file) as db:
        db.execute("update entries set at = '2026-01-01T10:00:00.000000+00:00'")
        rechain(db, 1)
    audit.write(ANN, "query", "reads")
    last = audit.entries(1).row(0, named=True)
    assert (last["action"], last["phase"]) == ("root", "failed") and "NO_SUCH_VARIABLE" in last["detail"] and audit.verify()[0]


# --- stores of the first form -----------------------------------------------------------------------------------------------------


def first_form(file: Path, n: int = 12) -> str:
    """A store as the first form wrote it; gives its last hash."""
    import hashlib

    previous = "0" * 64
    with sqlite3.connect(file) as db:
        db.execute("create table entries(seq integer primary key, at text not null, deed text not null, phase text not null, user text not null, "
                   "host text not null, action text not null, object text not null, case_number text, purpose text, reason text, detail text not null, "
                   "previous text not null, hash text not null)")
        for seq in range(1, n + 1):
            values = (seq, f"2026-05-{seq:02}T10:00:00.000000+00:00", f"{seq:016x}", "note", "ann", "desk", "query", "reads", "2026-0142" if seq % 2 else None,
                      None, "wé", json.dumps({"plate": f"P{seq}"}))
            own = hashlib.sha256((previous + json.dumps(values, ensure_ascii=False)).encode()).hexdigest()
            db.execute("insert into entries values (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", (*values, previous, own))
            previous = own
    db.close()
    return previous


def test_a_store_of_the_first_form_is_checked_and_carried_over(tmp_path: Path) -> None:
    last = first_form(tmp_path / "audit.db")
    audit = Audit(tmp_path / "audit.db")
    rows = audit.entries()
    assert rows["seq"].to_list() == list(range(1, 14)) and rows["action"][-1] == "carried over"
    said = json.loads(rows["detail"][-1])
    assert said["last_hash"] == last and said["fit"] and said["entries"] == 12
    assert audit.verify()[0] and audit.check(deep=True)[0] == []
    with sqlite3.connect(audit.file) as db:
        db.execute("update entries set object = 'calls' where seq = 4")
        rechain(db, 1)
    assert audit.verify()[0] and any(f.kind == "carried" for f in audit.check(deep=True)[0]), "the old chain tells, where the entry noted elsewhere holds"


def test_that_a_store_did_not_fit_when_it_was_carried_over_is_said_for_ever(tmp_path: Path) -> None:
    first_form(tmp_path / "audit.db")
    with sqlite3.connect(tmp_path / "audit.db") as db:
        db.execute("update entries set user = 'eve' where seq = 5")
    audit = Audit(tmp_path / "audit.db")
    audit.write(ANN, "query", "reads")
    good, sentence = audit.verify()
    assert not good and "Entry 5 had been changed before the store was carried over" in sentence
