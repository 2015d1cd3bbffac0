"""The audit: chained, found out when touched, safe from several processes, and no access without it."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from workbench.errors import AccessRefused, WorkbenchError
from workbench.oversight.audit import Audit, Person

ANN = Person("ann", "2026-0142", "investigation", "who was near the scenes")


def _filled(folder: Path, n: int = 30) -> Audit:
    audit = Audit(folder / "audit.db")
    for i in range(n):
        audit.write(ANN, "query", "reads", plate=f"P{i}")
    return audit


def test_an_untouched_chain_verifies_and_counts_its_entries(tmp_path: Path) -> None:
    good, sentence = _filled(tmp_path).verify()
    assert good and "30 entries" in sentence


def test_a_deed_is_written_as_intent_then_outcome_with_its_figures(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.db")
    with audit.deed(ANN, "query", "reads", plate="ABC1234") as outcome:
        assert audit.entries()["phase"].to_list() == ["intent"], "the intent is on disk before the deed"
        outcome["rows"] = 3
    rows = audit.entries()
    assert rows["phase"].to_list() == ["intent", "done"]
    assert rows["deed"].n_unique() == 1
    assert '"rows": 3' in rows["detail"][1]


def test_a_refused_deed_is_written_as_refused_and_a_broken_one_as_failed(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.db")
    with pytest.raises(AccessRefused), audit.deed(ANN, "query", "reads"):
        raise AccessRefused("no")
    with pytest.raises(ZeroDivisionError), audit.deed(ANN, "query", "reads"):
        1 / 0  # noqa: B018
    assert audit.entries()["phase"].to_list() == ["intent", "refused", "intent", "failed"]


@pytest.mark.parametrize("seed", range(12))
def test_any_edited_removed_or_reordered_entry_is_found_and_named(tmp_path: Path, seed: int) -> None:
    audit = _filled(tmp_path)
    rng = random.Random(seed)
    at = rng.randint(1, 29)
    with sqlite3.connect(audit.file) as db:
        match rng.choice(["edit", "remove", "swap"]):
            case "edit":
                column = rng.choice(["user", "action", "object", "case_number", "purpose", "reason", "detail", "at", "phase"])
                db.execute(f"update entries set {column} = {column} || 'x' where seq = ?", (at,))
            case "remove":
                db.execute("delete from entries where seq = ?", (at,))
            case "swap":
                db.execute("update entries set seq = -1 where seq = ?", (at,))
                db.execute("update entries set seq = ? where seq = ?", (at, at + 1))
                db.execute("update entries set seq = ? where seq = -1", (at + 1,))
    good, sentence = audit.verify()
    assert not good
    assert f"ntry {at}" in sentence


def test_eight_processes_write_at_once_and_the_chain_holds(tmp_path: Path) -> None:
    code = ("import sys; from pathlib import Path; from workbench.oversight.audit import Audit, Person\n"
            "a = Audit(Path(sys.argv[1]))\n"
            "for i in range(25): a.write(Person('p' + sys.argv[2]), 'query', 'calls', i=i)")
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "audit.db"), str(k)], stderr=subprocess.PIPE) for k in range(8)]
    for p in running:
        assert p.communicate(timeout=120)[1] == b""
    good, sentence = Audit(tmp_path / "audit.db").verify()
    assert good and "200 entries" in sentence


def test_without_a_writable_audit_there_is_no_access(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "missing" / "audit.db")
    reached = False
    with pytest.raises(WorkbenchError, match="nothing is shown"), audit.deed(ANN, "query", "reads"):
        reached = True
    assert not reached


def _child(file: str, said: object) -> None:
    audit = Audit(Path(file))
    for i in range(5):
        audit.write(Person("child"), "query", "calls", i=i)
    said.put(audit.verify()[0])  # type: ignore[attr-defined]


def forked(folder: Path) -> None:
    """Three forked children and four threads write beside their parent."""
    audit = _filled(folder, 5)
    fork = multiprocessing.get_context("fork")
    said = fork.Queue()
    children = [fork.Process(target=_child, args=(str(audit.file), said)) for _ in range(3)]
    threads = [threading.Thread(target=lambda: [audit.write(ANN, "query", "reads") for _ in range(10)]) for _ in range(4)]
    for one in [*children, *threads]:
        one.start()
    assert [said.get(timeout=60) for _ in children] == [True] * 3
    for one in [*children, *threads]:
        one.join(60)
    audit.write(ANN, "query", "reads")
    good, sentence = audit.verify()
    assert good and "All 61 entries" in sentence


def test_a_forked_child_and_several_threads_write_beside_their_parent(tmp_path: Path, root: Path) -> None:
    # in a process of its own: one that other tests left with engines and their threads is not to be forked
    code = f"from pathlib import Path; from tests.test_audit import forked; forked(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr


def test_a_store_put_in_the_place_of_another_or_taken_away_is_noticed(tmp_path: Path) -> None:
    audit = _filled(tmp_path, 3)
    for file in tmp_path.glob("audit.db*"):
        file.unlink()
    audit.write(ANN, "query", "reads")
    assert audit.entries().height == 1
    other = _filled(tmp_path / "other" if (tmp_path / "other").mkdir() is None else tmp_path, 7)
    for file in tmp_path.glob("audit.db*"):
        file.unlink()
    for file in other.file.parent.glob("audit.db*"):
        shutil.copy(file, tmp_path / file.name)
    assert audit.entries().height == 7 and audit.verify()[0]


def test_many_stores_in_one_process_do_not_keep_many_files_open(tmp_path: Path) -> None:
    for n in range(40):
        (tmp_path / str(n)).mkdir()
        _filled(tmp_path / str(n), 1)
    fds = [p for p in Path("/proc/self/fd").iterdir() if str(p.resolve()).startswith(str(tmp_path.resolve()))] if Path("/proc/self/fd").exists() else []
    assert len(fds) <= 13 * 3


def test_a_writer_that_holds_the_store_makes_the_others_wait_and_not_fail(tmp_path: Path) -> None:
    audit = _filled(tmp_path, 1)
    held = sqlite3.connect(audit.file, isolation_level=None, check_same_thread=False)
    held.execute("begin immediate")
    threading.Timer(0.4, lambda: held.execute("rollback")).start()
    start = time.perf_counter()
    audit.write(ANN, "query", "reads")
    assert time.perf_counter() - start > 0.3 and audit.verify()[0]
    held.close()


def test_an_entry_is_on_the_disk_when_the_writer_is_killed_right_after(tmp_path: Path) -> None:
    code = ("import os, signal, sys; from pathlib import Path; from workbench.oversight.audit import Audit, Person\n"
            "a = Audit(Path(sys.argv[1]))\n"
            "for i in range(20): a.write(Person('p'), 'query', 'calls', i=i)\n"
            "os.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "audit.db")], check=False).returncode == -9
    good, sentence = Audit(tmp_path / "audit.db").verify()
    assert good and "All 20 entries" in sentence


def test_role_and_break_glass_are_kept_and_odd_texts_too(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.db")
    audit.write(Person("ann", reason="\x1f \x00 \ud800 é", role="detective", emergency=True), "query", "reads")
    row = audit.entries().row(0, named=True)
    assert (row["role"], row["emergency"], row["case_number"]) == ("detective", True, None) and "é" in row["reason"] and audit.check(deep=True)[0] == []
