"""How an audit entry is committed and chained, and how a range of entries is checked; standard library only, so that it runs alone.

A field f of an entry is committed as ``c = SHA-256(salt || name || 0x00 || value)``, where ``value`` is ``1`` and the text as UTF-8, or ``0`` for
nothing; ``salt = SHA-256(key || name)`` and ``key`` is 32 random bytes of the entry's own. Then

    sealed = SHA-256(key || record)         record: the fields with 0x1F between; those that may be nothing as ``=TEXT`` or ``-``
    fields = SHA-256(c of all fields, one after the other)
    hash   = SHA-256("entry" || hash before || seq, 8 bytes || sealed || fields)

``sealed`` makes a full check cheap (two hashes an entry); ``fields`` lets any field be left out or forgotten and the rest still be proven.
Source of the tree of hashes: RFC 6962, section 2.1.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

#: The fields of an entry beside its number, in the order in which they are committed.
FIELDS = ("at", "deed", "phase", "user", "host", "role", "emergency", "action", "object", "case_number", "purpose", "reason", "detail")
START = bytes(32)
TAG = b"entry"
#: Findings named one by one; beyond that they are counted.
NAMED = 2000
#: Those that may be nothing.
NULLABLE = ("case_number", "purpose", "reason")
SEPARATOR = b"\x1f"
_COLUMNS = ", ".join(f"ifnull('='||{f},'-')" if f in NULLABLE else f for f in FIELDS)
ROWS = f"select seq, previous, hash, sealed, fields, key, opened is not null, {_COLUMNS} from entries"
_INSIDE = len(FIELDS) - 1
#: Actions by which the audit tells of itself; a scan notes where they are.
OWN = frozenset({b"root", b"forget", b"carried over"})
_ACTION = 7 + FIELDS.index("action")


@dataclass(frozen=True)
class Finding:
    """Something that does not fit: entries ``first`` to ``last``, what kind of thing, and a sentence for people."""

    first: int
    last: int
    kind: str
    sentence: str


def record(values: Sequence[str | None]) -> bytes:
    """The fields of an entry as one text, as ``sealed`` is made over it; unambiguous, since no field may hold the separator."""
    return SEPARATOR.join((b"-" if v is None else b"=" + v.encode()) if f in NULLABLE else (v or "").encode() for f, v in zip(FIELDS, values, strict=True))


def salts(key: bytes) -> list[bytes]:
    """One salt a field, from the entry's key. Knowing one tells nothing of the key or of another."""
    return [sha256(key + f.encode()).digest() for f in FIELDS]


def commitment(salt: bytes, name: str, value: str | None) -> bytes:
    """The commitment of one field; nobody without the salt can try values against it."""
    return sha256(salt + name.encode() + (b"\x000" if value is None else b"\x001" + value.encode())).digest()


def sealed(key: bytes, values: Sequence[str | None]) -> bytes:
    """The hash over the whole record under the entry's key."""
    return sha256(key + record(values)).digest()


def together(commitments: Iterable[bytes]) -> bytes:
    """The hash over all commitments of an entry."""
    return sha256(b"".join(commitments)).digest()


def link(previous: bytes, seq: int, seal: bytes, fields: bytes) -> bytes:
    """The hash of an entry, over that of the entry before it."""
    return sha256(TAG + previous + seq.to_bytes(8, "big") + seal + fields).digest()


def commit(key: bytes, values: Sequence[str | None]) -> tuple[bytes, bytes]:
    """``sealed`` and ``fields`` of a new entry."""
    return sealed(key, values), together(commitment(s, f, v) for s, f, v in zip(salts(key), FIELDS, values, strict=True))


# --- the tree of a root -----------------------------------------------------------------------------------------------------------


def tree(hashes: Iterable[bytes]) -> bytes:
    """The Merkle root (RFC 6962) over entry hashes; 32 zero bytes over none. O(n)."""
    level = [sha256(b"\x00" + h).digest() for h in hashes]
    while len(level) > 1:
        level = _up(level)
    return level[0] if level else START


def path(hashes: Sequence[bytes], at: int) -> list[tuple[str, bytes]]:
    """The hashes that lead from entry ``at`` (0 is the first) to the root: ("left" or "right", hash) from the leaf upwards."""
    level, out = [sha256(b"\x00" + h).digest() for h in hashes], []
    while len(level) > 1:
        beside = at ^ 1
        if beside < len(level):
            out.append(("left" if beside < at else "right", level[beside]))
        level, at = _up(level), at // 2
    return out


def _up(level: list[bytes]) -> list[bytes]:
    pairs = [sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs


# --- checking ---------------------------------------------------------------------------------------------------------------------


def scan(db: sqlite3.Connection, first: int, last: int) -> dict[str, Any]:
    """Look at the entries numbered ``first`` to ``last``: what fits with itself and with the one before.

    Returns a dict (plain values, so that it passes between processes): ``rows``, ``begin`` and ``end`` (number, and the hash before the
    first, or of the last, as hex), ``odd`` (number, kinds) for each that does not fit, ``opened`` (numbers with forgotten fields), ``told``
    (numbers of entries by which the audit tells of itself).
    """
    odd: list[tuple[int, str]] = []
    opened: list[int] = []
    told: list[int] = []
    rows, begin = 0, None
    before: Any = None
    expected = 0
    db.text_factory = bytes
    for row in db.execute(f"{ROWS} where seq between ? and ? order by seq", (first, last)):
        seq, previous, own, seal, fields, key, forgotten = row[:7]
        kinds = ""
        try:
            text = SEPARATOR.join(row[7:])
            if row[_ACTION] in OWN:
                told.append(seq)
            if forgotten:
                opened.append(seq)
            elif sha256(key + text).digest() != seal or text.count(SEPARATOR) != _INSIDE:
                kinds += "t"
            if sha256(TAG + previous + seq.to_bytes(8, "big") + seal + fields).digest() != own:
                kinds += "h"
        except (TypeError, OverflowError, AttributeError):
            kinds += "h"
        if rows:
            if seq != expected:
                kinds += "g"
            elif previous != before:
                kinds += "j"
        else:
            begin = (seq, previous.hex() if isinstance(previous, bytes) else "")
        if kinds:
            odd.append((seq, kinds))
        before, expected, rows = own, seq + 1, rows + 1
    db.text_factory = str
    end = (expected - 1, before.hex() if isinstance(before, bytes) else "") if rows else None
    return {"rows": rows, "begin": begin, "end": end, "odd": odd, "opened": opened, "told": told}


def read_scan(said: bytes) -> dict[str, Any]:
    """A scan as another process wrote it."""
    return dict(json.loads(said))


def join(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The scans of neighbouring ranges as one, the joints between them looked at too."""
    odd: dict[int, str] = {}
    opened: list[int] = []
    told: list[int] = []
    rows, last = 0, (0, START.hex())
    for part in parts:
        odd.update({s: k for s, k in part["odd"]})
        opened += part["opened"]
        told += part["told"]
        if part["rows"]:
            seq, previous = part["begin"]
            more = "g" if seq != last[0] + 1 else "j" if previous != last[1] else ""
            if more:
                odd[seq] = odd.get(seq, "") + more
            last = tuple(part["end"])
            rows += part["rows"]
    return {"rows": rows, "end": last, "odd": sorted(odd.items()), "opened": opened, "told": told}


def findings(db: sqlite3.Connection, seen: dict[str, Any]) -> list[Finding]:
    """What a joined scan means, each finding named by the numbers of its entries; the first ``NAMED`` and a count of the rest."""
    out: list[Finding] = []
    suspects = {s for s, k in seen["odd"] if "h" in k}
    shift = 0
    for seq, kinds in seen["odd"][:NAMED]:
        if "g" in kinds:
            out.append(_gap(db, seq))
        if "h" in kinds:
            true, shift = _moved(db, seq, shift, suspects)
            when = _when(db, seq)
            out.append(Finding(seq, seq, "moved",
                f"Entry {seq}{when} was moved here: it was written as entry {true}; entries were reordered, removed or added.")
                       if true else Finding(seq, seq, "changed", f"Entry {seq}{when} was changed after it was written, or added."))
        elif "t" in kinds:
            out.append(Finding(seq, seq, "changed", f"Entry {seq}{_when(db, seq)} was changed after it was written."))
        if "j" in kinds and "h" not in kinds and seq - 1 not in suspects:
            out.append(Finding(seq - 1, seq, "joint", f"Entry {seq}{_when(db, seq)} does not follow entry {seq - 1}: that one was written anew, "
                               "or an entry was removed, added or reordered here.") if seq > 1 else
                       Finding(1, 1, "joint", f"Entry 1{_when(db, 1)} does not begin the chain: entries before it were removed, or it was written anew."))
    more = len(seen["odd"]) - NAMED
    if more > 0:
        out.append(Finding(seen["odd"][NAMED][0], seen["odd"][-1][0], "more", f"{more:,} further entries do not fit, the last is entry {seen['odd'][-1][0]}."))
    return out


def _gap(db: sqlite3.Connection, seq: int) -> Finding:
    before = db.execute("select max(seq) from entries where seq < ? and seq > 0", (seq,)).fetchone()[0] or 0
    if seq < 1:
        return Finding(seq, seq, "added", f"Entry {seq} has a number that no entry is given; it was added or moved.")
    which = f"Entry {seq - 1} is" if seq - before == 2 else f"Entries {before + 1} to {seq - 1} are"
    return Finding(before + 1, seq - 1, "missing", f"{which} missing: the next one there is entry {seq}{_when(db, seq)}.")


def _when(db: sqlite3.Connection, seq: int) -> str:
    found = db.execute("select at from entries where seq = ?", (seq,)).fetchone()
    return f" of {str(found[0])[:19]}" if found else ""


def _moved(db: sqlite3.Connection, seq: int, shift: int, suspects: set[int]) -> tuple[int | None, int]:
    """The number an entry was written under, if it is whole but for its number; and how far it was moved."""
    row = db.execute("select previous, hash, sealed, fields from entries where seq = ?", (seq,)).fetchone()
    near = [seq + shift, *(seq + d for n in range(1, 40) for d in (n, -n)), *(sorted(suspects) if len(suspects) < 500 else ())]
    for candidate in near:
        if candidate > 0 and candidate != seq and all(isinstance(v, bytes) for v in row) and link(row[0], candidate, row[2], row[3]) == row[1]:
            return candidate, candidate - seq
    return None, shift


def read_only(file: Path | str) -> sqlite3.Connection:
    """A connection that can change nothing."""
    db = sqlite3.connect(f"{Path(file).resolve().as_uri()}?mode=ro", uri=True, timeout=30, isolation_level=None)
    db.execute("pragma query_only=on")
    db.execute("pragma mmap_size=2000000000")
    return db


if __name__ == "__main__":
    with read_only(sys.argv[1]) as _db:
        sys.stdout.write(json.dumps(scan(_db, int(sys.argv[2]), int(sys.argv[3]))))
