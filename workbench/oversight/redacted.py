"""A copy of the audit for an outsider, with fields left out, that can be checked offline and without the workbench; or the proof of one entry.

What is left out stands there as its commitment (salted, so that nothing can be guessed from it); what is shown comes with its salt.
``verify_copy.py``, laid beside the copy, recomputes everything with Python's standard library alone.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.oversight import chain, roots, verify_copy

if TYPE_CHECKING:
    import sqlite3

    from workbench.oversight.audit import Audit

#: Fields that may be left out; the time says which day's root an entry belongs to.
MAY_BE_LEFT_OUT = tuple(f for f in chain.FIELDS if f != "at")
_COLUMNS = f"seq, {', '.join(chain.FIELDS)}, key, sealed, previous, hash, opened"


def copy(audit: Audit, out: Path, *, leave_out: Collection[str] = (), start: str | None = None, end: str | None = None) -> int:
    """Write a copy as NDJSON, a head and one entry a line, and the script that checks it beside it; gives how many entries.

    Args:
        out: the file; it must not be there yet.
        leave_out: names of fields whose values are replaced by their commitments.
        start, end: UTC, "2026-05-01" or with a time; entries from ``start`` on and before ``end``. All between the first and the last
            of them are copied, so that the chain has no gap.

    Raises:
        BadInput: an unknown field, or the file is there. NotFound: no entry in that time.
    """
    left = _checked(leave_out)
    if out.exists():
        raise BadInput(f"{out} is there already; name a new file.")
    with audit.opened() as db:
        db.execute("begin")
        try:
            first, last = db.execute("select min(seq), max(seq) from entries where at >= ? and at < ?", (start or "", end or "9999")).fetchone()
            if first is None:
                raise NotFound("No entry lies in that time.")
            signed = [json.loads(b) for (b,) in db.execute("select body from roots order by root")]
            head = {"workbench_audit_copy": 1, "fields": list(chain.FIELDS), "left_out": sorted(left), "first_seq": first, "last_seq": last,
                    "previous": db.execute("select previous from entries where seq = ?", (first,)).fetchone()[0].hex(),
                    "roots": [r for r in signed if r["last_seq"] >= first and r["first_seq"] <= last]}
            part = out.with_name(f".{out.name}.{os.getpid()}.part")
            count = 0
            try:
                with part.open("w", encoding="utf-8") as file:
                    file.write(json.dumps(head, sort_keys=True) + "\n")
                    for row in db.execute(f"select {_COLUMNS} from entries where seq between ? and ? order by seq", (first, last)):
                        file.write(json.dumps(_entry(row, left), sort_keys=True, ensure_ascii=False) + "\n")
                        count += 1
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(out)
            finally:
                part.unlink(missing_ok=True)
        finally:
            db.execute("rollback")
    shutil.copyfile(verify_copy.__file__, out.with_name("verify_copy.py"))
    return count


def proof(audit: Audit, seq: int, out: Path, *, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """Write the proof that one entry is among those that a root was signed over: the entry, the path to the tree's top, the root. Gives the root.

    Raises:
        BadInput: an unknown field, or the file is there. NotFound: no such entry, or no root covers it yet.
    """
    left = _checked(leave_out)
    if out.exists():
        raise BadInput(f"{out} is there already; name a new file.")
    with audit.opened() as db:
        row = db.execute(f"select {_COLUMNS} from entries where seq = ?", (seq,)).fetchone()
        if row is None:
            raise NotFound(f"There is no entry {seq}.")
        root = _covering(db, seq)
        hashes = [h for (h,) in db.execute("select hash from entries where seq between ? and ? order by seq", (root["first_seq"], root["last_seq"]))]
    said = {"workbench_audit_proof": 1, "fields": list(chain.FIELDS), "entry": _entry(row, left), "roots": [root],
            "path": [[side, h.hex()] for side, h in chain.path(hashes, seq - root["first_seq"])]}
    out.write_text(json.dumps(said, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    shutil.copyfile(verify_copy.__file__, out.with_name("verify_copy.py"))
    return root


def _covering(db: sqlite3.Connection, seq: int) -> dict[str, Any]:
    found = db.execute("select body from roots where last_seq >= ? order by root limit 1", (seq,)).fetchone()
    if found is None:
        raise NotFound(f"No root covers entry {seq} yet; make one: workbench audit root")
    return dict(json.loads(found[0]))


def _checked(leave_out: Collection[str]) -> frozenset[str]:
    for name in leave_out:
        if name not in MAY_BE_LEFT_OUT:
            raise BadInput(f"{name!r} is no field that can be left out.{did_you_mean(name, MAY_BE_LEFT_OUT)}")
    return frozenset(leave_out)


def _entry(row: tuple[Any, ...], left: frozenset[str]) -> dict[str, Any]:
    """One entry as it stands in a copy: what is shown with its salt, what is left out or forgotten as its commitment."""
    values = dict(zip(chain.FIELDS, row[1:-5], strict=True))
    key, sealed, previous, own, opened = row[-5:]
    said: dict[str, Any] = json.loads(opened) if opened else {"salts": {f: s.hex() for f, s in zip(chain.FIELDS, chain.salts(key), strict=True)}, "gone": {}}
    gone = {f: c for f, (c, _) in said["gone"].items()}
    hidden = {f: chain.commitment(bytes.fromhex(said["salts"][f]), f, values[f]).hex() for f in left if f not in gone}
    out = {"seq": row[0], "previous": previous.hex(), "sealed": sealed.hex(), "hash": own.hex(), "left_out": hidden | gone,
           "shown": {f: [values[f], said["salts"][f]] for f in chain.FIELDS if f not in gone and f not in left}}
    if said["gone"]:
        out["forgotten"] = {f: deed for f, (_, deed) in said["gone"].items()}
    return out


def roots_file(audit: Audit, out: Path) -> int:
    """Append the audit's roots to a file of roots; gives how many were new to it."""
    return roots.copy_out(roots.held_roots(audit), out)
