"""What does not fit in an audit beyond the links of its chain: its form, its ends, forgotten fields, signed roots."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from workbench.oversight import chain, roots, store
from workbench.oversight.chain import Finding

_COLUMNS = ", ".join(chain.FIELDS)


def ordered(found: Iterable[Finding]) -> list[Finding]:
    """Findings by where they are, each once."""
    return sorted(dict.fromkeys(found), key=lambda f: (f.first, f.last))


def shape(db: sqlite3.Connection) -> list[Finding]:
    """Whether the tables are those the workbench makes, and nothing in the file acts by itself."""
    held = {name: (kind, sql) for kind, name, sql in db.execute("select type, name, sql from sqlite_master")}
    out = [Finding(0, 0, "form", f"The table {name!r} of the store is not as the workbench made it.") for name, sql in store.TABLES.items()
           if " ".join((held.get(name, ("", ""))[1] or "").lower().split()) != sql]
    acting = sorted(n for n, (kind, _) in held.items() if kind in ("trigger", "view"))
    return out + [Finding(0, 0, "form", f"The store holds {n!r}, which the workbench did not put there (a trigger or view).") for n in acting]


def ends(db: sqlite3.Connection, seen: Mapping[str, Any]) -> list[Finding]:
    """Whether the entries end where the store says they do."""
    head = db.execute("select seq, hash from head").fetchone()
    last, own = seen["end"]
    if head is None:
        return [Finding(last, last, "end", "The store no longer says where it ends; entries may be missing at the end.")] if seen["rows"] else []
    if head[0] > last:
        which = f"Entry {head[0]} is" if head[0] == last + 1 else f"Entries {last + 1} to {head[0]} are"
        return [Finding(last + 1, head[0], "missing", f"{which} missing at the end.")]
    if head[0] < last:
        return [Finding(head[0] + 1, last, "added", f"The store ends at entry {head[0]} by its own account, yet entry {last} is there: "
                        f"entries {head[0] + 1} to {last} were added.")]
    if head[1].hex() != own:
        return [Finding(last, last, "changed", f"Entry {last}, the last, was changed or written anew: it is not the one that the store ended with.")]
    return []


def _told(db: sqlite3.Connection, seen: Mapping[str, Any], action: str) -> list[tuple[int, str, dict[str, Any]]]:
    """The entries (number, deed, detail) that tell of a deed of the audit's own."""
    out = []
    one = "select deed, detail from entries where seq = ? and action = ? and phase in ('done', 'note')"
    for seq in seen["told"]:
        try:
            out += [(seq, deed, dict(json.loads(detail))) for deed, detail in db.execute(one, (seq, action))]
        except (ValueError, TypeError):
            continue
    return out


def forgotten(db: sqlite3.Connection, seen: Mapping[str, Any]) -> list[Finding]:
    """Whether entries with forgotten fields are as the deed left them that forgot: what is left of them, and the commitments of what is gone."""
    out: list[Finding] = []
    latest: dict[int, bytes] = {}
    sums: dict[int, Any] = {}
    for entry, seq, residue in db.execute("select entry, seq, residue from forgotten order by entry, seq"):
        latest[seq] = residue
        sums.setdefault(entry, sha256()).update(seq.to_bytes(8, "big") + residue)
    told = {seq: detail.get("residue") for seq, _, detail in _told(db, seen, "forget")}
    for entry in sorted(set(sums) | {s for s, v in told.items() if v}):
        if entry not in sums or told.get(entry) != sums[entry].hexdigest():
            out.append(Finding(entry, entry, "forgotten", f"What entry {entry} says was forgotten and what the store says do not agree."))
    for seq in sorted(set(seen["opened"]) | set(latest)):
        row = db.execute(f"select key, fields, opened, at, {_COLUMNS} from entries where seq = ?", (seq,)).fetchone()
        if row is None:
            continue
        if not _as_left(row[0], row[1], row[2], row[4:], latest.get(seq)):
            out.append(Finding(seq, seq, "changed", f"Entry {seq} of {row[3][:19]} was changed after fields of it were forgotten."))
    return out


def _as_left(key: Any, fields: Any, opened: Any, values: tuple[Any, ...], residue: bytes | None) -> bool:
    try:
        said = json.loads(opened)
        parts = [bytes.fromhex(said["gone"][f][0]) if f in said["gone"] else chain.commitment(bytes.fromhex(said["salts"][f]), f, v)
                 for f, v in zip(chain.FIELDS, values, strict=True)]
        return chain.together(parts) == fields and remains(key, opened, values) == residue
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return False


def remains(key: bytes, opened: str, values: Iterable[str | None]) -> bytes:
    """The hash over what is left of an entry with forgotten fields."""
    return sha256(key + opened.encode() + chain.SEPARATOR + chain.record(list(values))).digest()


def carried(db: sqlite3.Connection, seen: Mapping[str, Any]) -> list[Finding]:
    """What was found when a store of the first form was carried over; that it did not fit is said for ever."""
    return [Finding(1, int(d.get("entries") or 0) + 1, "carried", f"{d.get('found')} (said by entry {seq})") for seq, _, d in _told(db, seen, "carried over")
            if not d.get("fit")]


def signed(db: sqlite3.Connection, seen: Mapping[str, Any], copied: Collection[Mapping[str, Any]]) -> list[Finding]:
    """Whether the roots are genuine, follow each other, are those the entries tell of, agree with copies, and cover these very entries."""
    out: list[Finding] = []
    held: dict[int, dict[str, Any]] = {}
    announced: dict[int, int] = {}
    for number, entry, body in db.execute("select root, entry, body from roots order by root"):
        try:
            held[number], announced[number] = dict(json.loads(body)), entry
            out += _one(db, held[number], f"Root {number}")
        except (ValueError, KeyError, TypeError, AttributeError):
            out.append(Finding(0, 0, "root", f"Root {number} cannot be read; it was changed."))
    told = {int(d.get("root", 0)): (seq, d.get("digest")) for seq, _, d in _told(db, seen, "root")}
    for number in sorted(set(held) | set(told)):
        if number not in held:
            out.append(Finding(told[number][0], told[number][0], "root", f"Root {number}, which entry {told[number][0]} tells of, is missing."))
        elif told.get(number) != (announced[number], roots.digest(held[number])):
            out.append(Finding(announced[number], announced[number], "root", f"Root {number} is not the one that the entries tell of."))
    before: dict[str, Any] | None = None
    for number, root in held.items():
        if before is not None and (root.get("before") != roots.digest(before) or root.get("first_seq") != before.get("last_seq", 0) + 1):
            out.append(Finding(root.get("first_seq", 0), root.get("last_seq", 0), "root", f"Root {number} does not follow root {before['root']}."))
        if before is not None and root.get("key") != before.get("key"):
            out.append(_other_key(root, before))
        before = root
    for noted in copied:
        mine = held.get(noted["root"])
        if mine is None or roots.digest(mine) != roots.digest(noted):
            what = "is not in the audit any more" if mine is None else "is another than the one in the audit"
            out.append(Finding(noted["first_seq"], noted["last_seq"], "root", f"Root {noted['root']} of the copy {what}."))
            out += _one(db, noted, f"Root {noted['root']} of the copy")
    return out + _key_file(db, before)


def _other_key(root: Mapping[str, Any], before: Mapping[str, Any]) -> Finding:
    return Finding(root["first_seq"], root["last_seq"], "key", f"Root {root['root']} is signed with another key ({roots.fingerprint(root['key'])}) than root "
                   f"{before['root']} ({roots.fingerprint(before['key'])}).")


def _key_file(db: sqlite3.Connection, last: Mapping[str, Any] | None) -> list[Finding]:
    if last is None:
        return []
    file = Path(db.execute("select file from pragma_database_list where name = 'main'").fetchone()[0])
    key = roots.public_key(file.parent)
    if key is None or key == last.get("key"):
        return []
    return [Finding(last["first_seq"], last["last_seq"], "key",
        "The public key in the workspace is not the one that the last root was signed with; the key was changed.")]


def _one(db: sqlite3.Connection, root: Mapping[str, Any], name: str) -> list[Finding]:
    """Whether one root is genuine and covers the entries as they are."""
    first, last = root["first_seq"], root["last_seq"]
    if not roots.genuine(root):
        return [Finding(first, last, "root", f"{name} does not carry the signature of the key it names; it was changed or made by somebody else.")]
    top = db.execute("select max(seq) from entries").fetchone()[0] or 0
    if top < last:
        return [Finding(top + 1, last, "missing", f"{name} covers entries up to {last}; entries {top + 1} to {last} are missing at the end.")]
    own = db.execute("select hash from entries where seq = ?", (last,)).fetchone()
    if own and isinstance(own[0], bytes) and own[0].hex() == root["last_hash"]:
        return []
    low = first
    for seq, mark in [*root.get("marks", ()), (last, root["last_hash"][:16])]:
        found = db.execute("select hash from entries where seq = ?", (seq,)).fetchone()
        if not found or not isinstance(found[0], bytes) or found[0].hex()[:16] != mark:
            return [Finding(low, seq, "rewritten", f"The entries are not those that were signed: {name} ({root['to'][:10]}) fits up to entry {low - 1}; "
                            f"from one of the entries {low} to {seq} on they were written anew.")]
        low = seq + 1
    return []


def every_field(db: sqlite3.Connection, seen: Mapping[str, Any], known: Collection[int]) -> list[Finding]:
    """The slow part of a deep check: each field's commitment, each root's tree, and the chain of a store that was carried over."""
    out: list[Finding] = []
    for row in db.execute(f"select seq, key, fields, {_COLUMNS} from entries where opened is null order by seq"):
        if row[0] in known:
            continue
        if chain.together(chain.commitment(s, f, v) for s, f, v in zip(chain.salts(row[1]), chain.FIELDS, row[3:], strict=True)) != row[2]:
            out.append(Finding(row[0], row[0], "commitment",
                f"The commitments of entry {row[0]} are not those of its fields; it was not written by the workbench."))
    for (body,) in db.execute("select body from roots order by root"):
        root = json.loads(body)
        hashes = [h for (h,) in db.execute("select hash from entries where seq between ? and ? order by seq", (root["first_seq"], root["last_seq"]))]
        if chain.tree(hashes).hex() != root["merkle"] or len(hashes) != root["count"]:
            out.append(Finding(root["first_seq"], root["last_seq"], "root", f"The tree of root {root['root']} is not that of the entries {root['first_seq']} "
                               f"to {root['last_seq']}."))
    for seq, _, d in _told(db, seen, "carried over"):
        touched = db.execute("select 1 from entries where seq < ? and opened is not null limit 1", (seq,)).fetchone()
        if d.get("fit") and d.get("entries") and not d.get("respelt") and not touched:
            again = store.check_first_form(db, "entries", int(d["entries"]))
            if again[2] != d.get("last_hash"):
                out.append(Finding(1, int(d["entries"]), "carried", f"Entries 1 to {d['entries']} are not those whose chain was carried over (entry {seq})."))
    return out


def roots_sentence(db: sqlite3.Connection, seen: Mapping[str, Any]) -> str:
    """What the roots cover, as words behind the sentence of a check."""
    number, last = db.execute("select count(*), max(last_seq) from roots").fetchone()
    if not number:
        return ""
    key = json.loads(db.execute("select body from roots order by root desc limit 1").fetchone()[0]).get("key", "")
    return (f" {number:,} signed root{'s' if number > 1 else ''} cover{'' if number > 1 else 's'} entries 1 to {last}; "
            f"{seen['end'][0] - last:,} after; key {roots.fingerprint(key)}.")
