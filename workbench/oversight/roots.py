"""Signed roots: at the first entry of a new UTC day, what the audit held until then is summed up and signed (Ed25519).

A root holds the numbers and times it covers, the last hash, the Merkle root over the entries' hashes, some hashes in between (``marks``,
which tell where a chain was computed anew), the digest of the root before and the public key. Who keeps a copy of the roots, or notes the
key's fingerprint and the last root, can later tell whether anything before it was touched, even by somebody who can write the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.oversight import chain, settings, store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from workbench.oversight.audit import Audit, Person

_MARKS = 32


def canonical(root: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: the root without its signature, sorted keys, no blanks."""
    return json.dumps({k: v for k, v in root.items() if k != "signature"}, sort_keys=True, separators=(",", ":")).encode()


def digest(root: Mapping[str, Any]) -> str:
    """SHA-256 over a root with its signature, as hex."""
    return hashlib.sha256(json.dumps(dict(root), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fingerprint(public: str) -> str:
    """The fingerprint of a public key (hex of its 32 bytes), in groups of four, to be noted elsewhere."""
    long = hashlib.sha256(bytes.fromhex(public)).hexdigest()[:32]
    return " ".join(long[i:i + 4] for i in range(0, 32, 4))


def sentence(root: Mapping[str, Any]) -> str:
    """One line about a root, to be noted elsewhere."""
    return (f"Root {root['root']}: {root['count']:,} entries, {root['first_seq']} to {root['last_seq']}, until {root['to'][:19]} UTC; "
            f"last hash {root['last_hash'][:16]}; key {fingerprint(root['key'])}.")


def of_finished_days(audit: Audit, *, upto: int) -> None:
    """The root over what lies before the first entry of a new day. Never stops an access: what goes wrong is written to the audit."""
    from workbench.oversight.audit import Person, current_user

    person = Person(current_user())
    try:
        make(audit, person, upto=upto)
    except (WorkbenchError, OSError, ValueError, ImportError) as e:
        audit.write(person, "root", f"until entry {upto}", phase="failed", error=type(e).__name__, said=str(e))


def make(audit: Audit, person: Person, *, upto: int | None = None) -> dict[str, Any] | None:
    """Make and sign the root over all entries that no root covers yet (up to a number); None where there are none.

    It is kept in the audit, told of by an entry, and appended to ``roots_copy`` where agency.toml names one. O(entries covered).

    Raises:
        BadInput: the key cannot be used, or the copy cannot be written (the root itself is kept then).
    """
    from workbench.oversight.audit import entry

    said = settings.read(audit.file.parent)
    private = _private(said)
    with audit.opened() as db:
        before = _last(db)
        root = _over(db, before, upto)
        if root is not None:
            root |= {"key": _public(private)}
            root["signature"] = private.sign(canonical(root)).hex()
            store.begin(db)
            if (held := _last(db)) is not None and held["root"] != root["root"] - 1:
                db.execute("rollback")
                return held
            detail = {"root": root["root"], "digest": digest(root), "key": fingerprint(root["key"])}
            seq, _ = store.append(db, entry(person, "root", f"entries {root['first_seq']} to {root['last_seq']}", "done", None, detail))
            db.execute("insert into roots values (?, ?, ?, ?)", (root["root"], root["last_seq"], seq, json.dumps(root, sort_keys=True)))
            db.execute("commit")
    if said.roots_copy is not None:
        copy_out(held_roots(audit), said.roots_copy)
    return root


def _over(db: sqlite3.Connection, before: Mapping[str, Any] | None, upto: int | None) -> dict[str, Any] | None:
    """The unsigned root over the entries from the last root on."""
    first = before["last_seq"] + 1 if before else 1
    rows = db.execute("select seq, hash, at, action from entries where seq between ? and ? order by seq", (first, 2**62 if upto is None else upto)).fetchall()
    if all(r[3] == "root" for r in rows):
        return None
    step = max(1, len(rows) // _MARKS)
    return {"root": before["root"] + 1 if before else 1, "first_seq": first, "last_seq": rows[-1][0], "count": len(rows), "from": rows[0][2],
            "to": rows[-1][2], "last_hash": rows[-1][1].hex(), "merkle": chain.tree(r[1] for r in rows).hex(),
            "marks": [[r[0], r[1].hex()[:16]] for r in rows[step - 1::step]], "before": digest(before) if before else "0" * 64,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds")}


def _last(db: sqlite3.Connection) -> dict[str, Any] | None:
    found = db.execute("select body from roots order by root desc limit 1").fetchone()
    return None if found is None else dict(json.loads(found[0]))


def held_roots(audit: Audit) -> list[dict[str, Any]]:
    """The roots in the audit itself, first to last."""
    with audit.opened() as db:
        return [json.loads(b) for (b,) in db.execute("select body from roots order by root")]


def read(file: Path) -> list[dict[str, Any]]:
    """Roots noted elsewhere: a file with one root as JSON a line.

    Raises:
        NotFound: no such file. BadInput: a line that is no root.
    """
    if not file.is_file():
        raise NotFound(f"There is no file {file}; name the copy of the roots that [audit] roots_copy makes, or the output of workbench audit root --json.")
    out = []
    for n, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                root = json.loads(line)
                canonical(root), int(root["root"]), int(root["last_seq"]), bytes.fromhex(root["last_hash"]), bytes.fromhex(root["key"])
            except (ValueError, KeyError, TypeError, AttributeError):
                raise BadInput(f"Line {n} of {file} is no root.") from None
            out.append(root)
    return out


def copy_out(roots: list[dict[str, Any]], file: Path) -> int:
    """Append the roots that a copy lacks; gives how many. Lines that are there are never touched.

    Raises:
        BadInput: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        there = set()
        if file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    there.add(digest(json.loads(line)))
        lines = [json.dumps(r, sort_keys=True) for r in roots if digest(r) not in there]
        if lines:
            with file.open("a", encoding="utf-8") as out:
                out.write(("\n" if file.stat().st_size and not file.read_bytes().endswith(b"\n") else "") + "\n".join(lines) + "\n")
                out.flush()
                os.fsync(out.fileno())
        return len(lines)
    except OSError as e:
        raise BadInput(f"The roots cannot be copied to {file}: {e}. They are kept in the audit; "
                       "workbench audit root copies them once it can be written.") from None


def genuine(root: Mapping[str, Any]) -> bool:
    """Whether the signature of a root is by the key it names."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(root["key"])).verify(bytes.fromhex(root["signature"]), canonical(root))
    except (InvalidSignature, ValueError, KeyError, TypeError):
        return False
    return True


def public_key(folder: Path) -> str | None:
    """The public key as its file has it (hex), or None where there is none yet."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    file = settings.read(folder).public
    if not file.is_file():
        return None
    try:
        key = serialization.load_pem_public_key(file.read_bytes())
    except ValueError:
        return ""
    return key.public_bytes_raw().hex() if isinstance(key, Ed25519PublicKey) else ""


def _public(private: Ed25519PrivateKey) -> str:
    return private.public_key().public_bytes_raw().hex()


def _private(said: settings.Settings) -> Ed25519PrivateKey:
    """The signing key; made (mode 0600) where it is to lie in a file that is not there yet."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if said.key.startswith("env:"):
        text, where = os.environ.get(said.key[4:], "").encode(), f"The variable {said.key[4:]}"
        if not text:
            raise BadInput(f"{where}, which [audit] key names, is not set; it must hold the Ed25519 private key as PEM.")
    else:
        file = Path(said.key)
        if not file.exists():
            _make_key(file)
        if file.stat().st_mode & 0o077:
            raise BadInput(f"The key {file} may be read by others; set its mode: chmod 600 {file}")
        text, where = file.read_bytes(), f"The file {file}"
    try:
        key = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError) as e:
        raise BadInput(f"{where} is no private key in PEM without a password: {e}.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{where} is a key of another kind; an Ed25519 key is needed.")
    if not said.public.exists():
        said.public.parent.mkdir(parents=True, exist_ok=True)
        _whole(said.public, key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo), 0o644)
    return key


def _make_key(file: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Ed25519PrivateKey.generate()
    _whole(file, made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()), 0o600)


def _whole(file: Path, text: bytes, mode: int) -> None:
    """Write a file whole or not at all; one that is there stays (another process was first)."""
    part = file.with_name(f".{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(handle, text)
        os.fsync(handle)
    finally:
        os.close(handle)
    with contextlib.suppress(FileExistsError):
        os.link(part, file)
    os.unlink(part)
