"""The audit: chained, found out when touched, safe from several processes, and no access without it."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
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
