"""The audit for who reads it without seeing facts: searched plates, names and numbers keep their first and last character.

What somebody searched for is data about a person, and an auditor's role reads the log, not the data. So every word in an object or a detail is covered
unless it is one of the workbench's own words (tables, columns, sources, apps, templates, SQL) or stands under a key that never holds what was searched
for. In reasons and sentences, which have to be judged as texts, words that were covered elsewhere in the same entry are covered, and whatever
looks like a plate or a telephone number. A name that stands in a reason only is not recognised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import polars as pl

from workbench.oversight import policy, watch
from workbench.oversight.access import Policy
from workbench.oversight.audit import Person
from workbench.schema import TABLES

#: Keys of a detail that never hold what was searched for.
PLAIN_KEYS = frozenset({
    "role", "versions", "rows", "error", "beat", "district", "offence", "steps", "flags", "samples", "entries",
    "left_out", "decision", "kind", "about", "emergency", "review", "sees_as", "filter", "digest", "root", "fit", "sources", "position", "table", "to",
    "said", "residue", "fields", "certificate", "sha256", "pin", "via", "peer", "address", "told_by", "dry_run", "exact", "sample", "phase", "item", "question",
    "used", "protected"})
#: Keys under which a time stands; under another key even a date is covered, since it may be somebody's birthday.
TIMES = frozenset({"start", "end", "since", "until", "known", "asof", "from", "at"})
#: Actions whose object is never what was searched for: a workspace, a page, a user, a number of an entry, a certificate.
PLAIN_OBJECTS = frozenset({
    "open", "refresh", "close", "connect", "emergency", "init", "view", "root", "forget", "review", "audit", "retention", "purge", "serve", "stop",
    "watch", "sign-in", "sign-out", "session", "people", "account", "brief", "export", "lake", "carried", "make", "withdraw", "hold", "release",
    "fold", "ask", *policy.DEEDS})
_SQL = frozenset((
    "select", "from", "where", "and", "or", "not", "in", "is", "null", "like", "between", "order", "by", "group", "having", "limit", "as", "on",
    "join", "left", "right", "inner", "outer", "full", "cross", "using", "with", "distinct", "count", "sum", "min", "max", "avg", "case", "when",
    "then", "else", "end", "cast", "interval", "timestamp", "timestamptz", "date", "true", "false", "asc", "desc", "union", "all", "exists", "lower",
    "upper", "over", "partition"))
_OWN = frozenset((
    "all", "and", "attached", "audit", "beats", "briefing", "case", "cases", "entities", "extent", "facts", "from", "history", "incident",
    "incidents", "intent", "lake", "of", "open", "or", "order", "page", "person", "phone", "plate", "place", "query", "rejects", "row", "rows",
    "search", "table", "the", "to", "until", "vehicle", "what", "workspace", "address", "call", "read", "unit", "camera", "gunshot", "text", "key",
    "scenes", "unverified", "confirmed", "rejected"))
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|\w+")
_PLATE = re.compile(r"(?=\w*\d)(?=\w*[^\W\d_])\w{4,}|\d(?:[\s().-]?\d){6,}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")
_CASE = re.compile(r"(?<!\d)(?:19|20)\d\d-\d{2,6}(?!\d)")
_QUOTED = re.compile(r"(['\"“])([^'\"”]+)(['\"”])")
DOTS = "•••"


def needed(held: Policy, person: Person) -> bool:
    """Whether a person reads the audit covered: their role does not see every table about plates and persons whole."""
    role = held.acting(person)
    personal = [t for t in TABLES if TABLES[t].personal]
    return bool(role.masked()) or any(not role.sees(t) or role.hidden.get(t) for t in personal)


def word(text: str) -> str:
    """A word with its first and last character; of three characters and fewer nothing is left."""
    return f"{text[0]}{DOTS}{text[-1]}" if len(text) > 3 else DOTS


@cache
def _words() -> frozenset[str]:
    """The words of the workbench itself, in small letters."""
    from workbench import loaders

    named = [*TABLES, *(c for t in TABLES.values() for c in t.columns), *loaders.names(), *watch.ASKING, *policy.DEEDS]
    return frozenset(w for n in named for w in (n.lower(), *_WORD.findall(n.lower()))) | _SQL | _OWN


def words(text: str, hidden: set[str], keep: Iterable[str] = ()) -> str:
    """A text in which every word that is not the workbench's own is covered; what was covered is added to ``hidden``, in small letters."""
    kept = {k.lower() for k in keep}

    def one(found: re.Match[str]) -> str:
        said = found[0]
        low = said.lower()
        if low in _words() or low in kept or (said.isdigit() and len(said) < 4) or all(p in _words() for p in low.split("_")):
            return said
        hidden.add(low)
        return word(said)

    return _WORD.sub(one, text)


def sentence(text: str, hidden: Iterable[str] = (), keep: Iterable[str] = ()) -> str:
    """A reason or another text to be judged: covered are the words in ``hidden`` and what looks like a plate or a telephone number; times stay."""
    kept = [k for k in keep if k]
    low = frozenset(h for h in hidden if len(h) > 2)
    spare = [m.span() for pattern in (_MOMENT, _CASE) for m in pattern.finditer(text)] + [m.span() for k in kept for m in re.finditer(re.escape(k), text, re.I)]

    def outside(do: Callable[[str], str]) -> Callable[[re.Match[str]], str]:
        return lambda m: m[0] if any(a <= m.start() and m.end() <= b for a, b in spare) else do(m[0])

    if not low and not _PLATE.search(text):
        return text
    parts = re.compile("|".join([_PLATE.pattern, *(rf"(?<!\w){re.escape(h)}(?!\w)" for h in sorted(low, key=len, reverse=True))]), re.I)
    return parts.sub(outside(word), text)


def entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """An entry (a row of ``Audit.entries``) with object, reason and detail covered."""
    hidden: set[str] = set()
    out = dict(row)
    case = str(row["case_number"] or "")
    action = str(row["action"]).split(" ")[0]
    try:
        said = json.loads(str(row["detail"]))
    except ValueError:
        said = str(row["detail"])
    detail = _value(said, hidden, case, "")
    if action not in PLAIN_OBJECTS or (action == "ask" and row["object"] not in policy.ASKED):
        out["object"] = words(str(row["object"]), hidden, (case,))
    if isinstance(detail, dict):
        for key in ("note", "said", "because", "why"):
            if isinstance(detail.get(key), str):
                quoted = _QUOTED.sub(lambda m: m[1] + words(m[2], hidden, (case,)) + m[3], detail[key]) if key == "said" else detail[key]
                detail[key] = sentence(quoted, hidden, (case,))
    out["detail"] = json.dumps(detail, ensure_ascii=False, sort_keys=True)
    if row["reason"]:
        out["reason"] = sentence(str(row["reason"]), hidden, (case,))
    return out


def frame(found: pl.DataFrame) -> pl.DataFrame:
    """The same for a frame of entries. O(rows)."""
    rows = [entry(r) for r in found.iter_rows(named=True)]
    return pl.DataFrame(rows, schema=found.schema) if rows else found


def item(row: Mapping[str, Any]) -> dict[str, Any]:
    """An item of the review queue with what it is about covered in ``what``, ``sentence`` and ``note``."""
    hidden: set[str] = set()
    out, kind, what = dict(row), row["kind"], str(row["what"])
    if kind in ("same target", "own"):
        out["what"] = word(what)
    elif kind in ("vague reason", "break-glass"):
        out["what"] = sentence(what)
    elif kind not in ("other's case", "off hours", "export"):
        out["what"] = words(what, hidden)
    said = str(row["sentence"]).replace(what, out["what"]) if out["what"] != what else str(row["sentence"])
    keep = (str(row["user"]), *([what] if kind == "other's case" else []))
    out["sentence"] = sentence(said, hidden, keep)
    out["note"] = sentence(str(row["note"]), {what.lower()} if kind in ("same target", "own") else hidden, keep) if row["note"] else row["note"]
    return out


def _value(value: Any, hidden: set[str], case: str, key: str, plain: bool = False) -> Any:
    if isinstance(value, dict):
        return {k: _value(v, hidden, case, k, plain or k in PLAIN_KEYS or k in ("note", "because", "why")) for k, v in value.items()}
    if isinstance(value, list):
        return [_value(v, hidden, case, key, plain) for v in value]
    if plain or value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if abs(value) < 100_000 else word(str(value))
    return value if key in TIMES and _MOMENT.fullmatch(str(value)) else words(str(value), hidden, (case,))
