"""Copies for outsiders, proofs of single entries, forgetting, and what never gets into the audit."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import string
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from workbench.errors import BadInput, NotFound
from workbench.oversight import redacted, roots, store, verify_copy
from workbench.oversight.audit import Audit, Person
from workbench.oversight.forgetting import FORGETTABLE

ANN = Person("ann", "2026-0142", "investigation", "grey van seen near the scenes", role="detective")


def filled(folder: Path, n: int = 30) -> Audit:
    audit = Audit(folder / "audit.db")
    for i in range(n):
        audit.write(ANN, "query", "reads", plate=f"PLT{i:04d}")
    roots.make(audit, ANN, upto=n)
    return audit


def outsider(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the script beside a copy as somebody without the project: isolated, nothing in the environment."""
    return subprocess.run([sys.executable, "-I", "-S", "verify_copy.py", *map(str, arguments)], cwd=folder, env={}, capture_output=True, text=True, check=False)


def test_an_outsider_checks_a_redacted_copy_offline_without_the_workbench(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    away = tmp_path / "away"
    away.mkdir()
    assert redacted.copy(audit, away / "copy.ndjson", leave_out=["object", "reason", "detail", "user"]) == 31
    text = (away / "copy.ndjson").read_text()
    assert "PLT0003" not in text and "grey van" not in text and '"ann"' not in text and "2026-0142" in text
    key = roots.fingerprint(roots.held_roots(audit)[0]["key"])
    done = outsider(away, "copy.ndjson", "--key", key)
    assert done.returncode == 0 and "All fits. 31 entries, 1 to 31; signed up to entry 30" in done.stdout, done.stdout + done.stderr
    assert outsider(away, "copy.ndjson", "--key", "0000 1111").returncode == 1
    with pytest.raises(BadInput, match="there already"):
        redacted.copy(audit, away / "copy.ndjson")
    with pytest.raises(BadInput, match="Did you mean 'reason'"):
        redacted.copy(audit, away / "b.ndjson", leave_out=["reasn"])
    with pytest.raises(NotFound, match="No entry"):
        redacted.copy(audit, away / "b.ndjson", end="2001-01-01")


@pytest.mark.parametrize("seed", range(10))
def test_any_touch_of_a_copy_is_found_by_the_outsider(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    redacted.copy(filled(tmp_path), tmp_path / "copy.ndjson", leave_out=["detail"])
    lines = (tmp_path / "copy.ndjson").read_text().splitlines()
    at = rng.randrange(1, 30)
    one = json.loads(lines[at])
    match seed % 5:
        case 0:
            one["shown"][rng.choice(["user", "object", "reason", "at"])][0] += "x"
        case 1:
            one["left_out"]["detail"] = "00" * 32
        case 2:
            one = None
        case 3:
            lines[at + 1], one = lines[at], json.loads(lines[at + 1])
        case 4:
            one["shown"]["case_number"][0] = None
    lines[at:at + 1] = [] if one is None else [json.dumps(one)]
    (tmp_path / "copy.ndjson").write_text("\n".join(lines) + "\n")
    done = outsider(tmp_path, "copy.ndjson")
    assert done.returncode == 1 and f"ntry {at}" in done.stdout + f" {at + 1}", done.stdout


def test_a_forged_root_or_one_that_differs_from_the_noted_one_is_found_by_the_outsider(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    redacted.copy(audit, tmp_path / "copy.ndjson")
    redacted.roots_file(audit, tmp_path / "noted.ndjson")
    assert outsider(tmp_path, "copy.ndjson", "--roots", "noted.ndjson").returncode == 0
    lines = (tmp_path / "copy.ndjson").read_text().splitlines()
    head = json.loads(lines[0])
    head["roots"][0]["made_at"] = "2020-01-01"
    (tmp_path / "forged.ndjson").write_text("\n".join([json.dumps(head), *lines[1:]]))
    done = outsider(tmp_path, "forged.ndjson", "--roots", "noted.ndjson")
    assert done.returncode == 1 and "signature" in done.stdout and "noted elsewhere" in done.stdout
    assert outsider(tmp_path, "nothing.ndjson").returncode == 2


def test_the_proof_of_one_entry_stands_by_itself(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    for seq in (1, 17, 30):
        redacted.proof(audit, seq, tmp_path / f"{seq}.json", leave_out=["detail"])
        done = outsider(tmp_path, f"{seq}.json")
        assert done.returncode == 0 and f"Entry {seq} is one of the 30 entries that root 1" in done.stdout
    said = json.loads((tmp_path / "17.json").read_text())
    said["entry"]["shown"]["user"][0] = "bob"
    (tmp_path / "bad.json").write_text(json.dumps(said))
    assert outsider(tmp_path, "bad.json").returncode == 1
    with pytest.raises(NotFound, match="No root covers entry 31"):
        redacted.proof(audit, 31, tmp_path / "x.json")


def test_signatures_checked_without_any_package_agree_with_those_of_cryptography() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    rng = random.Random(5)
    for n in range(12):
        private = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        key, message = private.public_key().public_bytes_raw(), rng.randbytes(n * 7)
        signature = private.sign(message)
        assert verify_copy.signed(key, message, signature)
        bad = bytearray(signature)
        bad[rng.randrange(64)] ^= 1 << rng.randrange(8)
        assert not verify_copy.signed(key, message, bytes(bad)) and not verify_copy.signed(key, message + b"x", signature)


# --- forgetting -------------------------------------------------------------------------------------------------------------------


def in_bytes(folder: Path, values: list[str]) -> list[str]:
    raw = b"".join(p.read_bytes() for p in folder.glob("audit.db*")).upper()
    return [v for v in values if v.upper().encode() in raw]


def test_no_byte_of_the_store_holds_a_forgotten_value_and_the_chain_still_holds(tmp_path: Path) -> None:
    rng = random.Random(3)
    plates = ["".join(rng.choices(string.ascii_uppercase + string.digits, k=7)) for _ in range(300)]
    audit = Audit(tmp_path / "audit.db")
    for i, plate in enumerate(plates):
        audit.write(ANN, "sql", f"select * from reads where plate = '{plate}'", query={"plates": [plate, "KEEP123"], "deep": {plate.lower(): i}})
        audit.write(Person("ann", "2026-0142", "investigation", f"owner of {plate} was seen"), "query", plate)
    roots.make(audit, ANN, upto=200)
    gone, kept = plates[:150], plates[150:]
    assert len(in_bytes(tmp_path, plates)) == 300
    assert audit.forget(gone, why="retention of reads, 60 days", certificate="C-2026-7") == 4 * 150
    assert in_bytes(tmp_path, gone) == [] and len(in_bytes(tmp_path, kept)) == 150
    assert audit.check(deep=True)[0] == [] and "KEEP123" in audit.entries()["detail"][0]
    last = audit.entries(1).row(0, named=True)
    said = json.loads(last["detail"])
    assert last["action"] == "forget" and (said["fields"], said["entries"], said["certificate"]) == (600, 300, "C-2026-7")
    rows = audit.entries().filter(pl.col("forgotten").is_not_null())
    assert rows.height == 300 and rows["object"].str.contains(last["deed"]).sum() == 300
    assert audit.forget(gone, why="again") == 0 and audit.verify()[0]
    assert audit.forget(kept, why="more") == 600 and audit.check(deep=True)[0] == [] and in_bytes(tmp_path, plates) == []


def test_what_is_left_of_an_entry_after_forgetting_cannot_be_changed_unseen(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    audit.forget(["PLT0004"], why="order of the court")
    store.close_all()
    for n, statement in enumerate((
            "update entries set detail = '{\"plate\": \"another\"}' where seq = 5", "update entries set user = 'eve' where seq = 5",
            "update entries set opened = replace(opened, 'detail', 'detail ') where seq = 5", "delete from forgotten",
                "update entries set opened = null where seq = 5",
            "update forgotten set residue = zeroblob(32)")):
        folder = Path(shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}_{n}"))
        with sqlite3.connect(folder / "audit.db") as db:
            db.execute(statement)
        good, sentence = Audit(folder / "audit.db").verify()
        assert not good and "ntry " in sentence, statement


def test_a_forgotten_field_stands_in_a_copy_as_its_commitment_without_a_salt(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    audit.forget(["PLT0004"], why="order of the court")
    redacted.copy(audit, tmp_path / "copy.ndjson")
    assert outsider(tmp_path, "copy.ndjson").returncode == 0
    one = json.loads((tmp_path / "copy.ndjson").read_text().splitlines()[5])
    assert "detail" in one["left_out"] and "detail" in one["forgotten"] and "user" in one["shown"]
    with sqlite3.connect(audit.file) as db:
        opened = json.loads(db.execute("select opened from entries where seq = 5").fetchone()[0])
    assert "detail" not in opened["salts"], "with the salt a plate could be found by trying all"
    assert set(opened["salts"]) >= set(FORGETTABLE) - {"detail"}


def test_a_reason_for_forgetting_that_holds_the_value_is_refused(tmp_path: Path) -> None:
    audit = filled(tmp_path, 3)
    with pytest.raises(BadInput, match="say it without"):
        audit.forget(["PLT0001"], why="order about plt0001")
    assert audit.entries().height == 4 and audit.forget([], why="x") == 0 and audit.forget(["", "  "]) == 0


@pytest.mark.parametrize("value", ["Müller \"Ann\"", "O'Brien\n\\x", "12345678", "a.*b(", "AB"])
def test_hard_values_are_forgotten_wherever_they_stand(tmp_path: Path, value: str) -> None:
    audit = Audit(tmp_path / "audit.db")
    audit.write(ANN, "search", f"name {value} x", names=[value, {"n": 12345678, value: 1}], told=json.dumps({"inner": value}))
    assert audit.forget([value], why="expunged") >= 2
    row = audit.entries().row(0, named=True)
    assert value not in row["object"] and json.dumps(value, ensure_ascii=False)[1:-1] not in row["detail"] and json.loads(row["detail"])
    assert audit.check(deep=True)[0] == []


def test_a_value_that_happens_to_be_some_digits_of_a_digest_leaves_the_digest_whole(tmp_path: Path) -> None:
    audit = filled(tmp_path)
    audit.forget(["PLT0004"], why="order of the court")
    digest = json.loads(audit.entries(1)["detail"][0])["residue"]
    audit.write(ANN, "search", f"near {digest[10:15]}", digest=digest, near=[digest[10:15], digest])
    assert audit.forget([digest[10:15]], why="expunged") == 2, "the object and the detail of one entry"
    assert audit.verify()[0] and audit.check(deep=True)[0] == []
    left = json.loads(audit.entries().filter(pl.col("action") == "search")["detail"][0])
    assert left["digest"] == left["near"][1] == digest and digest[10:15] not in left["near"][0]
    assert audit.forget([digest], why="expunged") >= 2 and digest not in "".join(audit.entries()["detail"])


# --- secrets ----------------------------------------------------------------------------------------------------------------------


def test_no_password_token_or_key_gets_into_the_audit(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.db")
    person = Person("ann", reason="with password=hunter2 in it")
    with audit.deed(person, "fetch", "postgresql://ann:hunter2@db.example/records", password="hunter2", api_key="hunter2", settings={
            "headers": {"Authorization": "Bearer hunter2hunter2", "X-Auth-Token": "hunter2"}, "url": "https://u:hunter2@host/x?token=hunter2&page=2"},
            said=["psql 'host=db password=hunter2'", Path("mysql://u:hunter2@h/db")]) as outcome:
        outcome["secret"], outcome["key"] = "hunter2", ["D-1", "2026"]
    store.close_all()
    assert b"hunter2" not in b"".join(p.read_bytes() for p in tmp_path.glob("audit.db*"))
    first, last = (json.loads(d) for d in audit.entries()["detail"])
    assert first["password"] == "(left out)" and "page=2" in first["settings"]["url"] and last["key"] == ["D-1", "2026"], "the key of a record is no secret"
    assert audit.entries()["object"][0] == "postgresql://ann:(left out)@db.example/records"
