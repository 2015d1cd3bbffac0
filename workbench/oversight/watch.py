"""Does anyone who works with this workbench ask in a way that somebody should look at? Over the entries of the audit.

A flag is a reason to look, never a finding of misconduct. Each says what, how often, how many other users score as high, and where there is
too little history, that it cannot tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from workbench.oversight import reasons
from workbench.schema import TABLES

#: Kinds of flags, with what they mean.
KINDS = {
    "same target": "one person asked for the same plate, name or address again and again",
    "own": "a target that the agency's settings name as the person's own or as a colleague's",
    "off hours": "asked at an hour of the week that is unusual for this person",
    "vague reason": "reasons that say nothing",
    "no case": "accesses to plates or persons without a case",
    "refused": "many refusals",
    "break-glass": "an emergency access; always reviewed",
    "export": "many or large exports",
    "other's case": "searches under a case that is closed, unknown or not opened by this person",
}
_TARGETS = frozenset(("plate", "plates", "person", "people", "name", "names", "address", "addresses", "phone", "phones", "person_id", "value", "text",
    "subject", "vin"))
_PERSONAL = frozenset(t for t in TABLES if TABLES[t].personal)
#: First words of the actions that look at facts.
ASKING = frozenset({"query", "sql", "search", "lookup", "history", "view", "export", "brief", "plates", "why", "links", "ask", "hits"})
#: A question of a model that is asked within a search of the page Plates is the same search, when it follows within this time.
_WITHIN = timedelta(minutes=1)
_ENTITY = re.compile(r"\b(?:person|vehicle|plate|phone|address):([^\s,]+)")
#: Days of asking, and accesses, before a person's own hours say anything.
ENOUGH_DAYS, ENOUGH_ACCESSES = 15, 60
ENOUGH_USERS = 5
#: How far back is looked, in days; a break-glass access is looked at however old it is.
DAYS = 90
#: What of an entry is looked at.
FIELDS = ("at", "phase", "user", "emergency", "action", "object", "case_number", "purpose", "reason", "detail")
_RATE = re.compile(r"(\d+ of \d+ other users score as high|I cannot tell how unusual that is: only \d+ other users? to compare with)\.$")
COLUMNS: dict[str, Any] = {"kind": pl.String, "user": pl.String, "what": pl.String, "count": pl.Int64, "base_rate": pl.String, "first_seq": pl.Int64,
           "last_seq": pl.Int64, "last_at": pl.String, "sentence": pl.String, "seqs": pl.List(pl.Int64)}


@dataclass(frozen=True)
class _Flag:
    kind: str
    user: str
    what: str
    count: int
    seqs: tuple[int, ...]
    said: str
    #: What all users score in this kind, for the base rate; None where it is no matter of degree.
    scores: Mapping[str, int] | None = None


def vague(reason: str | None, purpose: str | None = None, more: Collection[str] = ()) -> bool:
    """Whether a reason says nothing, as the gate sees it (``reasons``), or is one of ``more`` that the agency names."""
    return (reason or "").strip().lower() in {m.lower() for m in more} or reasons.vague(reason, purpose=purpose)


def flags(entries: pl.DataFrame, *, zone: str = "UTC", shifts: Iterable[tuple[str, time, time]] = (), own: Mapping[str, Collection[str]] | None = None,
          cases: Mapping[str, tuple[str, str]] | None = None, repeats: int = 5, large: int = 10_000,
          is_vague: Callable[[str | None, str | None], bool] = vague, earlier: pl.DataFrame | None = None) -> pl.DataFrame:
    """What stands out in the entries; one row a flag, columns as ``COLUMNS`` (``seqs``: the entries behind it). O(entries).

    Args:
        entries: seq and ``FIELDS``, as ``Audit.entries`` gives them.
        zone, shifts: the agency's time zone and watches (name, start, end in local time).
        own: user -> plates and names of their own or of people close to them.
        cases: case number -> (status, who opened it); without it "other's case" is not looked at.
        repeats: how often one target within 30 days is too often.
        large: rows from which one export is called large.
        is_vague: (reason, purpose) -> whether the reason says nothing.
        earlier: further break-glass entries, from before those in ``entries``.
    """
    asked = [_Access(r) for r in entries.iter_rows(named=True) if r["phase"] in ("intent", "note", "refused")]
    before = [] if earlier is None else [_Access(r) for r in earlier.iter_rows(named=True) if r["phase"] in ("intent", "note", "refused")]
    users = {a.user for a in asked}
    found = [*_same_target(asked, repeats), *_own(asked, own or {}), *_off_hours(asked, ZoneInfo(zone), tuple(shifts)), *_vague_reasons(asked, is_vague),
             *_no_case(asked), *_refused(asked), *_emergencies([*before, *asked]), *_exports(entries, large), *_cases(asked, cases)]
    at = {a.seq: a.text_at for a in before} | dict(zip(entries["seq"].to_list(), entries["at"].to_list(), strict=True))
    rows = [(f.kind, f.user, f.what, f.count, rate := _rate(f, users), min(f.seqs), max(f.seqs), at[max(f.seqs)], f"{f.said} {rate}".strip(), sorted(f.seqs))
            for f in found]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row").sort("last_seq", "kind", "user", descending=[True, False, False])


class _Access:
    """One entry, taken apart."""

    def __init__(self, row: Mapping[str, object]) -> None:
        self.seq, self.user, self.text_at = int(str(row["seq"])), str(row["user"]), str(row["at"])
        self.at = datetime.fromisoformat(self.text_at).astimezone(UTC)
        self.phase, self.action, self.object = str(row["phase"]), str(row["action"]), str(row["object"])
        self.case, self.purpose, self.reason = (None if row[c] is None else str(row[c]) for c in ("case_number", "purpose", "reason"))
        self.emergency = bool(row["emergency"])
        try:
            said = json.loads(str(row["detail"]))
        except ValueError:
            said = {}
        self.detail = said if isinstance(said, dict) else {}
        self.asking = is_asking(self.action)
        asked = self.detail.get("asked")
        told = self.detail | (asked if isinstance(asked, dict) else {})
        named = {t for k in told.keys() & _TARGETS for t in _texts(told[k]) if not t.startswith("(")}
        self.targets = tuple(sorted(named | _in_object(self.action, self.object)))


def _in_object(action: str, object: str) -> set[str]:
    """What the pages Plates and Case links were asked about, which stands in the object; a part of a plate is none."""
    if action == "plates":
        return set() if object == "scenes" or {"?", "*"} & set(object) else {t for t in [_normal(object)] if t}
    return {_normal(k) for k in _ENTITY.findall(object)} if action in ("why", "links") else set()


def is_asking(action: str) -> bool:
    """Whether an action looks at facts: a query, a search, a view, an export, a briefing, a question about plates, ties or hits."""
    return action.split(" ")[0] in ASKING


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        plain = value.strip()
        if plain.startswith("["):
            return [t for t in (_normal(t) for t in re.findall(r"'([^']*)'|\"([^\"]*)\"", plain) for t in t) if t]
        return [t for t in [_normal(plain)] if t]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _texts(v)]
    return []


def _normal(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).upper()


def rate_in(sentence: str) -> str:
    """The base rate at the end of a flag's sentence, "" where there is none."""
    found = _RATE.search(sentence)
    return found[0] if found else ""


def _rate(flag: _Flag, users: Collection[str]) -> str:
    others = len(users) - (flag.user in users)
    if flag.scores is None:
        return ""
    if others < ENOUGH_USERS - 1:
        return f"I cannot tell how unusual that is: only {others} other user{'' if others == 1 else 's'} to compare with."
    high = sum(1 for u, n in flag.scores.items() if u != flag.user and n >= flag.count)
    return f"{high} of {others} other users score as high."


def _by_user(accesses: Iterable[_Access]) -> dict[str, list[_Access]]:
    out: dict[str, list[_Access]] = {}
    for a in accesses:
        out.setdefault(a.user, []).append(a)
    return out


def _same_target(asked: list[_Access], repeats: int) -> list[_Flag]:
    times: dict[tuple[str, str], list[_Access]] = {}
    for a in asked:
        if a.asking and a.phase != "refused":
            for t in a.targets:
                before = times.setdefault((a.user, t), [])
                if not (a.action == "ask" and before and before[-1].action == "plates" and a.at - before[-1].at <= _WITHIN):
                    before.append(a)
    most: dict[str, int] = {}
    worst: dict[tuple[str, str], list[_Access]] = {}
    for (user, target), accesses in times.items():
        low, best = 0, accesses[:1]
        for high, a in enumerate(accesses):
            while a.at - accesses[low].at > timedelta(days=30):
                low += 1
            best = max(best, accesses[low:high + 1], key=len)
        worst[user, target] = best
        most[user] = max(most.get(user, 0), len(best))
    return [_Flag("same target", user, target, len(best), tuple(a.seq for a in best),
                  f"{user} asked for {target} {len(best)} times within 30 days, under {_cases_of(best)}.", most)
            for (user, target), best in worst.items() if len(best) >= repeats]


def _cases_of(accesses: Iterable[_Access]) -> str:
    names = sorted({a.case or "no case" for a in accesses})
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _own(asked: list[_Access], own: Mapping[str, Collection[str]]) -> list[_Flag]:
    whose = {_normal(t): user for user, targets in own.items() for t in targets if _normal(t)}
    out: dict[tuple[str, str], list[_Access]] = {}
    for a in asked:
        for t in a.targets:
            if t in whose:
                out.setdefault((a.user, t), []).append(a)
    return [_Flag("own", user, target, len(accesses), tuple(a.seq for a in accesses),
        f"{user} asked {len(accesses)} times for {target}, which the settings name as "
                  f"{'their own' if whose[target] == user else f'that of {whose[target]}'}.") for (user, target), accesses in out.items()]


def _off_hours(asked: list[_Access], zone: ZoneInfo, shifts: tuple[tuple[str, time, time], ...]) -> list[_Flag]:
    """By each person's own pattern: an access whose distance in hours from their middle hour lies more than 3.5 MAD off, or in a watch they never work."""
    out: list[_Flag] = []
    scores: dict[str, int] = {}
    for user, accesses in _by_user(a for a in asked if a.asking).items():
        local = [a.at.astimezone(zone) for a in accesses]
        newest = max(local).date()
        recent = [(a, t) for a, t in zip(accesses, local, strict=True) if newest - t.date() <= timedelta(days=7)]
        before = [t for t in local if newest - t.date() > timedelta(days=7)]
        if len({t.date() for t in before}) < ENOUGH_DAYS or len(before) < ENOUGH_ACCESSES:
            if len(accesses) >= ENOUGH_ACCESSES // 2:
                out.append(_Flag("off hours", user, "cannot tell", 0, (accesses[-1].seq,),
                    f"I cannot tell whether {user} asks at unusual hours: before the last 7 days there are "
                                 f"{len(before)} accesses on {len({t.date() for t in before})} days; {ENOUGH_ACCESSES} on {ENOUGH_DAYS} are needed."))
            continue
        middle = _middle_hour([t.hour + t.minute / 60 for t in before])
        away = [_apart(t.hour + t.minute / 60, middle) for t in before]
        centre = median(away)
        spread = max(1.4826 * median(abs(d - centre) for d in away), 0.5)
        weekdays, watches = {t.weekday() for t in before}, {_watch(t.time(), shifts) for t in before}
        odd = [(a, t) for a, t in recent if (_apart(t.hour + t.minute / 60, middle) - centre) / spread > 3.5
               or shifts and _watch(t.time(), shifts) not in watches or t.weekday() not in weekdays]
        scores[user] = len(odd)
        if odd:
            when = ", ".join(f"{t:%a %H:%M}" for _, t in odd[:3])
            out.append(_Flag("off hours", user, _watch(odd[-1][1].time(), shifts), len(odd), tuple(a.seq for a, _ in odd),
                             f"{user} asked {len(odd)} times in the last 7 days at hours unusual for them ({when}); mostly they ask around "
                             f"{int(middle) % 24:02}:00.", scores))
    return out


def _apart(a: float, b: float) -> float:
    return abs((a - b + 12) % 24 - 12)


def _middle_hour(hours: list[float]) -> float:
    """The hour of the day nearest to all others on the circle."""
    counts: dict[int, int] = {}
    for h in hours:
        counts[int(h)] = counts.get(int(h), 0) + 1
    return min((sum(_apart(h + 0.5, other + 0.5) * n for other, n in counts.items()), h + 0.5) for h in range(24))[1]


def _watch(at: time, shifts: tuple[tuple[str, time, time], ...]) -> str:
    for name, start, end in shifts:
        if start <= at < end if start < end else at >= start or at < end:
            return name
    return "no watch"


def _vague_reasons(asked: list[_Access], is_vague: Callable[[str | None, str | None], bool]) -> list[_Flag]:
    out: list[_Flag] = []
    scores: dict[str, int] = {}
    for user, accesses in _by_user(a for a in asked if a.asking and a.reason).items():
        bad = [a for a in accesses if is_vague(a.reason, a.purpose)]
        cases: dict[str, set[str]] = {}
        for a in accesses:
            cases.setdefault(str(a.reason).strip().lower(), set()).add(a.case or "")
        again = {r for r, c in cases.items() if len(c) >= 5}
        known = {a.seq for a in bad}
        bad += [a for a in accesses if str(a.reason).strip().lower() in again and a.seq not in known]
        scores[user] = len(bad)
        if bad:
            texts = sorted({str(a.reason) for a in bad})
            shown = ", ".join(repr(t) for t in texts[:3])
            out.append(_Flag("vague reason", user, texts[0], len(bad), tuple(sorted(a.seq for a in bad)),
                f"{user} gave a reason that says nothing, or the same one for five "
                             f"cases and more, {len(bad)} of {len(accesses)} times: {shown}.", scores))
    return out


def _no_case(asked: list[_Access]) -> list[_Flag]:
    mine = _by_user(a for a in asked if a.asking and not a.case and (a.object in _PERSONAL or a.targets))
    scores = {u: len(v) for u, v in mine.items()}
    return [_Flag("no case", u, v[-1].object, len(v), tuple(a.seq for a in v), f"{u} asked for plates or persons {len(v)} times without a case.", scores)
        for u, v in mine.items()]


def _refused(asked: list[_Access]) -> list[_Flag]:
    mine = _by_user(a for a in asked if a.phase == "refused")
    scores = {u: len(v) for u, v in mine.items()}
    return [_Flag("refused", u, v[-1].object, len(v), tuple(a.seq for a in v), f"{u} was refused {len(v)} times, last for {v[-1].object}.", scores)
            for u, v in mine.items() if len(v) >= 5]


def _emergencies(asked: list[_Access]) -> list[_Flag]:
    found: dict[tuple[str, str | None, str | None, str], list[_Access]] = {}
    for a in asked:
        if a.emergency:
            found.setdefault((a.user, a.case, a.reason, a.text_at[:10]), []).append(a)
    return [_Flag("break-glass", user, reason or "no reason given", len(v), tuple(a.seq for a in v), f"{user} used emergency access on {day} for "
                  f"{case or 'no case'} ({reason or 'no reason given'}): {len(v)} entries.") for (user, case, reason, day), v in found.items()]


def _exports(entries: pl.DataFrame, large: int) -> list[_Flag]:
    rows: dict[str, list[tuple[int, int]]] = {}
    for r in entries.iter_rows(named=True):
        if r["phase"] in ("done", "note") and "export" in r["action"]:
            found = re.search(r'"rows": (\d+)', r["detail"])
            rows.setdefault(r["user"], []).append((r["seq"], int(found[1]) if found else 0))
    scores = {u: sum(n for _, n in v) for u, v in rows.items()}
    return [_Flag("export", u, f"{scores[u]:,} rows", scores[u], tuple(s for s, _ in v), f"{u} exported {scores[u]:,} rows in {len(v)} exports.", scores)
            for u, v in rows.items() if scores[u] >= large or len(v) >= 20]


def _cases(asked: list[_Access], cases: Mapping[str, tuple[str, str]] | None) -> list[_Flag]:
    if cases is None:
        return []
    found: dict[tuple[str, str], list[_Access]] = {}
    for a in asked:
        if a.asking and a.case:
            found.setdefault((a.user, a.case), []).append(a)
    out: list[_Flag] = []
    scores: dict[str, int] = {}
    for (user, case), accesses in found.items():
        status, opener = cases.get(case, ("unknown", ""))
        why = "is not in the casebook" if status == "unknown" else "is closed" if status != "open" else "" if opener in ("",
            user) else f"was opened by {opener}"
        if why:
            scores[user] = max(scores.get(user, 0), len(accesses))
            out.append(_Flag("other's case", user, case, len(accesses), tuple(a.seq for a in accesses),
                f"{user} asked {len(accesses)} times under case {case}, which {why}.", scores))
    return out
