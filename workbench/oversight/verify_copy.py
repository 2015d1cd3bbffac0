"""Check a redacted copy of an audit, or the proof of a single entry. Needs Python 3.9 or later and nothing else; run it offline:

    python verify_copy.py COPY.ndjson [--key "FINGERPRINT"] [--roots ROOTS.ndjson]

It recomputes the hash of every field that is shown, the hash of every entry, the chain from entry to entry, the tree and the Ed25519
signature of every root, and says what does not fit. Exit code 0: all fits; 1: something does not; 2: the file cannot be read.
--key: the fingerprint of the agency's key as it was noted when it was made; --roots: roots that were noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

Point = tuple[int, int, int, int]

START = bytes(32)
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def sha(*parts: bytes) -> bytes:
    """SHA-256 over parts."""
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(root: dict[str, Any]) -> bytes:
    """What is signed of a root."""
    return json.dumps({k: v for k, v in root.items() if k != "signature"}, sort_keys=True, separators=(",", ":")).encode()


def digest(root: dict[str, Any]) -> str:
    """The digest of a root with its signature."""
    return hashlib.sha256(json.dumps(root, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fingerprint(key: str) -> str:
    """The fingerprint of a public key."""
    return hashlib.sha256(bytes.fromhex(key)).hexdigest()[:32]


def entry_hash(entry: dict[str, Any], names: list[str]) -> bytes:
    """The hash of an entry from what is shown and the commitments of what is left out."""
    parts = []
    for name in names:
        if name in entry["shown"]:
            value, salt = entry["shown"][name]
            parts.append(sha(bytes.fromhex(salt), name.encode(), b"\x000" if value is None else b"\x001" + value.encode()))
        else:
            parts.append(bytes.fromhex(entry["left_out"][name]))
    fields = sha(*parts)
    return sha(b"entry", bytes.fromhex(entry["previous"]), int(entry["seq"]).to_bytes(8, "big"), bytes.fromhex(entry["sealed"]), fields)


def tree(hashes: list[bytes]) -> bytes:
    """The Merkle root (RFC 6962)."""
    level = [sha(b"\x00", h) for h in hashes]
    while len(level) > 1:
        pairs = [sha(b"\x01", level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = [*pairs, level[-1]] if len(level) % 2 else pairs
    return level[0] if level else START


def _add(a: Point, b: Point) -> Point:
    w, x, y, z = ((a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P, 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P)
    e, f, g, h = x - w, z - y, z + y, x + w
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(n: int, point: Point) -> Point:
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = _add(out, point)
        point, n = _add(point, point), n >> 1
    return out


def _point(raw: bytes) -> Point | None:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature (RFC 8032) fits."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r, s = _point(key), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left, right = _times(s, BASE), _add(r, _times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


#: The base point of RFC 8032.
_Y = 4 * pow(5, P - 2, P) % P
BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202, _Y,
        1, 15112221349535400772501151409588531511454012693041857206046113283949847762202 * _Y % P)


def check_roots(roots: list[dict[str, Any]], noted: list[dict[str, Any]], key: str) -> list[str]:
    """Complaints about the roots themselves."""
    out, before = [], None
    for root in roots:
        name = "Root {}".format(root["root"])
        if not signed(bytes.fromhex(root["key"]), canonical(root), bytes.fromhex(root["signature"])):
            out.append(f"{name} does not carry the signature of the key it names.")
        if before is not None and (root["before"] != digest(before) or root["first_seq"] != before["last_seq"] + 1):
            out.append("{} does not follow root {}.".format(name, before["root"]))
        if before is not None and root["key"] != before["key"]:
            out.append("{} is signed with another key than root {}.".format(name, before["root"]))
        if key and fingerprint(root["key"]) != key:
            out.append("{} is signed with the key {}, not with the one noted.".format(name, fingerprint(root["key"])))
        before = root
    held = {r["root"]: digest(r) for r in roots}
    for root in noted:
        if held.get(root["root"]) != digest(root):
            out.append("Root {} as noted elsewhere is not the one in the copy.".format(root["root"]))
    return out


def check_copy(head: dict[str, Any], entries: list[dict[str, Any]]) -> tuple[list[str], str]:
    """Complaints about a copy, and what it covers."""
    out, hashes, before = [], {}, bytes.fromhex(head["previous"])
    expected = head["first_seq"]
    if expected == 1 and before != START:
        out.append("Entry 1 does not begin the chain.")
    for e in entries:
        own = bytes.fromhex(e["hash"])
        if e["seq"] != expected:
            out.append("Entry {} is where entry {} should be: entries are missing, added or reordered.".format(e["seq"], expected))
        elif bytes.fromhex(e["previous"]) != before:
            out.append("Entry {} does not follow the one before it.".format(e["seq"]))
        if entry_hash(e, head["fields"]) != own:
            out.append("Entry {} was changed: its hash does not fit.".format(e["seq"]))
        hashes[e["seq"]], before, expected = own, own, e["seq"] + 1
    if expected - 1 != head["last_seq"]:
        out.append("The copy says it goes to entry {}, but ends with entry {}.".format(head["last_seq"], expected - 1))
    covered = 0
    for root in head["roots"]:
        first, last = root["first_seq"], root["last_seq"]
        if last in hashes:
            covered = max(covered, last)
            if hashes[last].hex() != root["last_hash"]:
                out.append("Entries {} to {} are not those that root {} was signed over.".format(first, last, root["root"]))
            elif first in hashes:
                mine = [hashes[n] for n in range(first, last + 1) if n in hashes]
                if len(mine) != root["count"] or tree(mine).hex() != root["merkle"]:
                    out.append("The tree of root {} is not that of its entries.".format(root["root"]))
        elif first <= head["last_seq"] and head["first_seq"] <= last < head["last_seq"]:
            out.append("Entry {}, the last of root {}, is missing.".format(last, root["root"]))
    said = f"signed up to entry {covered}, only chained after it" if covered else "no root ends in this stretch, so it is chained but not signed"
    return out, "{} entries, {} to {}; {}.".format(len(entries), head["first_seq"], head["last_seq"], said)


def check_proof(proof: dict[str, Any]) -> tuple[list[str], str]:
    """Complaints about the proof of one entry."""
    e, root = proof["entry"], proof["roots"][0]
    out = [] if entry_hash(e, proof["fields"]).hex() == e["hash"] else ["Entry {} was changed: its hash does not fit.".format(e["seq"])]
    level = sha(b"\x00", bytes.fromhex(e["hash"]))
    for side, other in proof["path"]:
        level = sha(b"\x01", bytes.fromhex(other), level) if side == "left" else sha(b"\x01", level, bytes.fromhex(other))
    if level.hex() != root["merkle"] or not root["first_seq"] <= e["seq"] <= root["last_seq"]:
        out.append("Entry {} is not one of those that root {} was signed over.".format(e["seq"], root["root"]))
    return out, "Entry {} is one of the {} entries that root {} was signed over.".format(e["seq"], root["count"], root["root"])


def main(arguments: list[str]) -> int:
    """Check a file; gives the exit code."""
    named = {}
    rest = list(arguments)
    for option in ("--key", "--roots"):
        if option in rest:
            at = rest.index(option)
            named[option] = rest[at + 1] if at + 1 < len(rest) else ""
            del rest[at:at + 2]
    if len(rest) != 1:
        print(__doc__)
        return 2
    try:
        with open(rest[0], encoding="utf-8") as file:
            head = json.loads(file.readline())
            lines = [json.loads(line) for line in file if line.strip()]
        noted: list[dict[str, Any]] = []
        if "--roots" in named:
            with open(named["--roots"], encoding="utf-8") as file:
                noted = [json.loads(line) for line in file if line.strip()]
        complaints, covers = check_proof(head) if "path" in head else check_copy(head, lines)
        here = {r["root"] for r in head["roots"]}
        reached = [n for n in noted if n["root"] in here or ("path" not in head and head["first_seq"] <= n["last_seq"] and n["first_seq"] <= head["last_seq"])]
        complaints += check_roots(head["roots"], reached, named.get("--key", "").replace(" ", "").lower())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as e:
        print(f"The file cannot be checked: {type(e).__name__}: {e}")
        return 2
    for complaint in complaints[:50]:
        print(complaint)
    if len(complaints) > 50:
        print("And %s further complaints." % (len(complaints) - 50))
    if not complaints:
        keys = sorted({fingerprint(r["key"]) for r in head["roots"]})
        print("All fits. " + covers)
        print("Key: {}{}".format(", ".join(keys) or "none", "" if named.get("--key") else "; compare it with the fingerprint that was noted elsewhere"))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
