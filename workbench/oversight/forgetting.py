"""Forgetting: values taken out of every field of the audit they stand in, so that no byte of its files holds them and the chain still holds.

Of a field that held a value stays its commitment, whose salt is destroyed together with the entry's key: a plate has few possibilities, but
without the salt none of them can be tried. What is left of the field (a sentence with "(forgotten: DEED)" in it) is sealed anew, and the
entry of the deed itself holds the sum of those seals, so that it cannot be changed unseen either.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import polars as pl

from workbench.errors import BadInput, WorkbenchError, whole
from workbench.oversight import chain, examine, store

if TYPE_CHECKING:
    from workbench.oversight.audit import Audit, Person

#: Fields that may be forgotten; number, time, deed and phase are the bones of the chain.
FORGETTABLE = tuple(f for f in chain.FIELDS if f not in ("at", "deed", "phase", "emergency"))
_BATCH = 20_000
#: A value shorter than this is only taken where it stands as a word of its own.
_SHORT = 4
#: A SHA-256 as hex stands for itself: that four of its digits are those of a value is chance, and changing it would break what it proves.
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class _Values:
    """The values as patterns: as they are, and as JSON writes them; upper and lower case alike."""

    def __init__(self, values: Collection[str]) -> None:
        given = {store.fit(v) for v in values if v and v.strip()}
        forms = {w for v in given for w in (v, v.strip(), json.dumps(v, ensure_ascii=False)[1:-1], json.dumps(v)[1:-1])}
        self.forms = sorted((f for f in forms if f), key=lambda f: (-len(f), f))
        long = "|".join(re.escape(f) for f in self.forms if len(f) >= _SHORT)
        short = "|".join(rf"(?<!\w){re.escape(f)}(?!\w)" for f in self.forms if len(f) < _SHORT)
        self.pattern = re.compile("|".join(p for p in (long, short) if p), re.I) if self.forms else None

    def near(self, texts: pl.Series) -> pl.Series:
        """Which texts may hold one: a quick look before the exact one."""
        return texts.str.to_lowercase().str.contains_any([f.lower() for f in self.forms])

    def without(self, text: str, mark: str, *, json_text: bool = False) -> str:
        """A text without them."""
        if self.pattern is None or not self.pattern.search(text):
            return text
        if json_text:
            try:
                return self._json(text, mark)
            except ValueError:
                pass
        return self.pattern.sub(mark, text)

    def _json(self, text: str, mark: str) -> str:
        value = json.loads(text)
        out = json.dumps(self._inside(value, mark), sort_keys=True, ensure_ascii=False)
        if self.pattern and self.pattern.search(_DIGEST.sub("#", out)):
            return json.dumps({"forgotten": mark})
        return text if out == json.dumps(value, sort_keys=True, ensure_ascii=False) else out

    def _inside(self, value: Any, mark: str) -> Any:
        if isinstance(value, dict):
            return {self.without(str(k), mark): self._inside(v, mark) for k, v in value.items()}
        if isinstance(value, list):
            return [self._inside(v, mark) for v in value]
        if isinstance(value, str):
            return value if _DIGEST.fullmatch(value) and value not in self.forms else self.without(value, mark)
        if value is None or isinstance(value, bool):  # a person can be called Null, and the entry must still be read
            word = json.dumps(value)
            return value if self.without(word, mark) == word else "" if value is None else int(value)
        return mark if self.without(json.dumps(value), mark) == mark else value


def forget(audit: Audit, values: Collection[str], *, person: Person, why: str, certificate: str = "") -> int:
    """Take values out of every field of every entry, of reviews and notes too; gives how many fields were changed.

    Fields show ``(forgotten: DEED)`` where the value stood; the entry of that deed says how many, why and under which certificate. When this
    returns, no byte of the audit's files holds the values (as given, in upper or lower case, or as JSON writes them). Give every form a
    value was written in. Values shorter than four characters are taken only where they stand as words; a SHA-256 in a detail is left whole when
    some of its digits happen to be those of a value. O(entries), and the file is written anew.

    Raises:
        BadInput: the reason or certificate holds one of the values, or a value is a word of the marks themselves.
        WorkbenchError: another process reads without end, so the old bytes cannot be cleared; run it again.
    """
    whole([*values, why, certificate], "What is to be forgotten")
    wanted = _Values(values)
    if wanted.pattern is None:
        return 0
    deed = os.urandom(8).hex()
    mark = f"(forgotten: {deed})"
    while wanted.pattern.search(deed):
        deed = os.urandom(8).hex()
        mark = f"(forgotten: {deed})"
    said = (why, certificate, person.user, person.case_number or "", person.purpose or "", person.reason or "")
    if any(wanted.pattern.search(text) for text in (*said, mark, *chain.FIELDS)):
        raise BadInput("The reason, certificate or person given for forgetting holds one of the values to be forgotten; say it without them.")
    with audit.opened() as db:
        store.begin(db)
        fields = _forget(db, wanted, deed, mark, person, why, certificate)
        db.execute("commit")
        _clear(db)
    return fields


def _forget(db: sqlite3.Connection, wanted: _Values, deed: str, mark: str, person: Person, why: str, certificate: str) -> int:
    from workbench.oversight.audit import entry

    residues, count = [], 0
    total = sha256()
    for seq, key, opened, before in _holding(db, wanted):
        after = tuple(wanted.without(v, mark, json_text=f == "detail") if v is not None and f in FORGETTABLE else v
                      for f, v in zip(chain.FIELDS, before, strict=True))
        gone = [f for f, a, b in zip(chain.FIELDS, before, after, strict=True) if a != b]
        if not gone:
            continue
        said: dict[str, Any] = json.loads(opened) if opened else {"salts": {f: s.hex() for f, s in zip(chain.FIELDS, chain.salts(key), strict=True)},
            "gone": {}}
        for f in gone:
            if f in said["salts"]:
                value = before[chain.FIELDS.index(f)]
                said["gone"][f] = [chain.commitment(bytes.fromhex(said["salts"].pop(f)), f, value).hex(), deed]
        count += len(gone)
        fresh, kept = os.urandom(32), json.dumps(said, sort_keys=True)
        residue = examine.remains(fresh, kept, after)
        total.update(seq.to_bytes(8, "big") + residue)
        residues.append((seq, residue))
        db.execute(f"update entries set {', '.join(f'{f} = ?' for f in chain.FIELDS)}, key = ?, opened = ? where seq = ?", (*after, fresh, kept, seq))
    count += _beside(db, wanted, mark)
    detail: dict[str, Any] = {"fields": count, "entries": len(residues), "why": why, "certificate": certificate or None}
    if residues:
        detail["residue"] = total.hexdigest()
    number, _ = store.append(db, entry(person, "forget", "audit", "done", deed, detail))
    db.executemany("insert into forgotten values (?, ?, ?, ?)", [(number, deed, seq, residue) for seq, residue in residues])
    return count


def _holding(db: sqlite3.Connection, wanted: _Values) -> Iterator[tuple[int, bytes, str | None, tuple[str | None, ...]]]:
    """Entries that may hold a value: number, key, what was forgotten before, fields."""
    columns = ", ".join(chain.FIELDS)
    low, top = db.execute("select ifnull(min(seq), 0), ifnull(max(seq), -1) from entries").fetchone()
    while low <= top:
        rows = db.execute(f"select seq, key, opened, {columns} from entries where seq between ? and ? order by seq", (low, low + _BATCH - 1)).fetchall()
        low += _BATCH
        if rows:
            texts = pl.Series([" ".join(v for v in r[3:] if v) for r in rows], dtype=pl.String)
            for n in wanted.near(texts).arg_true().to_list():
                yield rows[n][0], rows[n][1], rows[n][2], rows[n][3:]


def _beside(db: sqlite3.Connection, wanted: _Values, mark: str) -> int:
    """The tables of reviews in the same file: their texts are replaced too."""
    count = 0
    tables = [t for (t,) in db.execute("select name from sqlite_master where type = 'table'") if t not in store.TABLES and not t.startswith("sqlite_")]
    for table in tables:
        columns = [name for _, name, kind, *_ in db.execute(f'pragma table_info("{table}")') if kind.lower() == "text"]
        for column in columns:
            for rowid, value in db.execute(f'select rowid, "{column}" from "{table}" where "{column}" is not null').fetchall():
                after = wanted.without(str(value), mark, json_text=column == "detail")
                if after != value:
                    db.execute(f'update "{table}" set "{column}" = ? where rowid = ?', (after, rowid))
                    count += 1
    return count


def _clear(db: sqlite3.Connection) -> None:
    """Write the file anew and empty the write-ahead log, so that nothing replaced is left in free pages or frames.

    Raises:
        WorkbenchError: readers do not let go within the writers' patience.
    """
    until = time.monotonic() + store.PATIENCE
    for statement in ("pragma wal_checkpoint(truncate)", "vacuum", "pragma wal_checkpoint(truncate)"):
        while True:
            try:
                row = db.execute(statement).fetchone()
                if row is None or row[0] == 0:
                    break
            except sqlite3.OperationalError as e:
                if "locked" not in str(e):
                    raise
            if time.monotonic() > until:
                raise WorkbenchError("The values are forgotten, but another process reads the audit without end, so their old bytes may still lie in its "
                                     "file; close it and run the same again.")
            time.sleep(0.01)
