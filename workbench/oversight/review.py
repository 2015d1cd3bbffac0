"""The review queue: flags and random samples of people's accesses, decided by somebody else; what is undecided stays.

Items lie in a table of the audit's own file; decisions are entries of the audit, so they are chained and signed like everything else.
Samples are drawn for finished UTC days, by user, from the hash of that day's last entry: nobody can foretell them, and anybody can draw them again.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from workbench.casebook import place
from workbench.errors import AccessRefused, BadInput, NotFound, did_you_mean
from workbench.oversight import entries, settings, store, watch

if TYPE_CHECKING:
    from workbench.agency import Agency
    from workbench.oversight.audit import Audit, Person

DECISIONS = ("justified", "not justified", "follow up")
_ITEMS = ("create table if not exists review_items(item text primary key, kind text not null, user text not null, what text not null, count integer not null, "
          "first_seq integer not null, last_seq integer not null, made_at text not null, sentence text not null) strict")
_BEHIND = "create table if not exists review_entries(item text not null, seq integer not null, primary key (item, seq)) strict"
COLUMNS = {"item": pl.String, "kind": pl.String, "user": pl.String, "what": pl.String, "count": pl.Int64, "first_seq": pl.Int64, "last_seq": pl.Int64,
           "made_at": pl.String, "sentence": pl.String, "since": pl.String, "status": pl.String, "decided_by": pl.String, "decided_at": pl.String,
           "note": pl.String}


@dataclass(frozen=True)
class Filled:
    """What a filling of the queue added."""

    flags: int
    samples: int


def cases(folder: Path) -> dict[str, tuple[str, str]] | None:
    """The cases of a workspace as the watch takes them: number -> (status, who opened it); None where there is no casebook."""
    if not place.there(folder):
        return None
    return {r["case_number"]: (r["status"], r["opened_by"]) for r in place.of(folder).cases().iter_rows(named=True)}


def flags_of(audit: Audit, agency: Agency, cases: Mapping[str, tuple[str, str]] | None = None, *, now: datetime | None = None) -> pl.DataFrame:
    """What stands out among the accesses of a workspace in the last ``watch.DAYS`` days (``watch.flags`` with the agency's own settings).

    Break-glass accesses are looked at however old they are. O(entries of those days).
    """
    said = settings.of(agency.settings.get("audit", {}), agency.folder)
    since = ((now or datetime.now(UTC)) - timedelta(days=watch.DAYS)).isoformat(timespec="microseconds")
    looked = "phase in ('intent', 'note', 'refused')"
    with audit.opened() as db:
        recent = entries.frame(db, f"at >= ? and ({looked} or action like '%export%') order by seq", (since,), watch.FIELDS)
        earlier = entries.frame(db, f"at < ? and emergency = '1' and {looked} order by seq", (since,), watch.FIELDS)
    return watch.flags(recent, zone=agency.zone, shifts=[(s.name, s.start, s.end) for s in agency.shifts], own=said.own, cases=cases,
                       repeats=said.repeats, is_vague=lambda reason, purpose: watch.vague(reason, purpose, said.vague), earlier=earlier)


def fill(audit: Audit, agency: Agency, cases: Mapping[str, tuple[str, str]] | None = None, *, today: date | None = None) -> Filled:
    """Bring flags and due samples into the queue; running it twice adds nothing twice. Break-glass accesses always come in.

    Looks at the last ``watch.DAYS`` days for flags, and for samples at the days since the last draw. O(entries of those days).
    An item that was decided comes back as a new one when more of the same was done after it. ``today`` (UTC) is the first day that is not finished.
    """
    share = settings.of(agency.settings.get("audit", {}), agency.folder).sample
    today = today or datetime.now(UTC).date()
    found = flags_of(audit, agency, cases).filter(~((pl.col("kind") == "off hours") & (pl.col("count") == 0)))
    flagged = sampled = 0
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with audit.opened() as db:
        store.begin(db)
        db.execute(_ITEMS)
        db.execute(_BEHIND)
        db.execute("commit")
        drawn, decided = samples(_since_last_draw(db), share=share, today=today), _decisions(db)
        store.begin(db)
        for f in found.iter_rows(named=True):
            flagged += _flag(db, f, decided, now)
        known = {seq for (seq,) in db.execute("select first_seq from review_items where kind = 'sample'")}
        for seq, user, what in drawn:
            if seq not in known:
                said = f"Drawn at random: entry {seq} of {user}, {what}."
                item = os.urandom(4).hex()
                db.execute("insert into review_items values (?, 'sample', ?, ?, 1, ?, ?, ?, ?)", (item, user, what, seq, seq, now, said))
                db.execute("insert into review_entries values (?, ?)", (item, seq))
                sampled += 1
        db.execute("commit")
    return Filled(flagged, sampled)


def _since_last_draw(db: sqlite3.Connection) -> pl.DataFrame:
    """What ``samples`` needs of the entries since the week before the last sample was drawn, from a Monday on: the same weeks whole as ever."""
    drawn = db.execute("select max(e.at) from review_items i join entries e on e.seq = i.first_seq where i.kind = 'sample'").fetchone()[0]
    since = date.fromisoformat(drawn[:10]) if drawn else date.min
    monday = (since - timedelta(days=since.weekday() + 7)).isoformat() if drawn else ""
    rows = db.execute("select seq, at, phase, user, action, object, lower(hex(hash)) from entries where at >= ? order by seq", (monday,)).fetchall()
    return pl.DataFrame(rows, schema={"seq": pl.Int64} | dict.fromkeys(("at", "phase", "user", "action", "object", "hash"), pl.String), orient="row")


def _flag(db: sqlite3.Connection, f: Mapping[str, Any], decided: Mapping[str, Any], now: str) -> int:
    held = db.execute("select item, last_seq from review_items where kind = ? and user = ? and what = ? order by last_seq", (f["kind"], f["user"],
        f["what"])).fetchall()
    open_items = [item for item, _ in held if decided.get(item, {}).get("decision") in (None, "follow up")]
    if open_items:
        db.execute("update review_items set count = ?, first_seq = min(first_seq, ?), last_seq = ?, sentence = ? where item = ?",
                   (f["count"], f["first_seq"], f["last_seq"], f["sentence"], open_items[-1]))
        _behind(db, open_items[-1], f["seqs"])
        return 0
    if held and held[-1][1] >= f["last_seq"]:
        return 0
    item = os.urandom(4).hex()
    db.execute("insert into review_items values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
               (item, f["kind"], f["user"], f["what"], f["count"], f["first_seq"], f["last_seq"], now, f["sentence"]))
    _behind(db, item, f["seqs"])
    return 1


def _behind(db: sqlite3.Connection, item: str, seqs: list[int]) -> None:
    db.executemany("insert or ignore into review_entries values (?, ?)", [(item, s) for s in seqs])


def samples(asked_for: pl.DataFrame, *, share: float, today: date) -> list[tuple[int, str, str]]:
    """The accesses drawn for review: (number, user, action and object), from all finished UTC days before ``today``.

    By user and day a share of the accesses, and from each finished week (Monday to Sunday) at least one of each user. The same entries give the same draw.
    ``asked_for``: seq, at, phase, user, action, object and hash of the entries, from a Monday on.
    """
    asked: dict[date, dict[str, list[tuple[int, str]]]] = {}
    last: dict[date, str] = {}
    for seq, at, phase, user, action, what, own in asked_for.select("seq", "at", "phase", "user", "action", "object", "hash").iter_rows():
        day = date.fromisoformat(at[:10])
        last[day] = own
        if phase in ("intent", "note") and watch.is_asking(action):
            asked.setdefault(day, {}).setdefault(user, []).append((seq, f"{action} {what}"))
    out: list[tuple[int, str, str]] = []
    weeks: dict[tuple[date, str], list[tuple[int, str]]] = {}
    had: set[tuple[date, str]] = set()
    ends: dict[date, str] = {}
    for day in sorted(asked):
        if day >= today:
            continue
        monday = day - timedelta(days=day.weekday())
        ends[monday] = last[day]
        for user, accesses in sorted(asked[day].items()):
            rng = random.Random(f"{last[day]} {day} {user}")
            exact = share * len(accesses)
            number = int(exact) + (rng.random() < exact - int(exact))
            out += [(seq, user, what) for seq, what in sorted(rng.sample(accesses, number))]
            weeks.setdefault((monday, user), []).extend(accesses)
            if number:
                had.add((monday, user))
    for (monday, user), accesses in sorted(weeks.items()):
        if (monday, user) not in had and monday + timedelta(days=7) <= today:
            seq, what = random.Random(f"{ends[monday]} {monday} {user}").choice(accesses)
            out.append((seq, user, what))
    return sorted(out)


def queue(audit: Audit, *, every: bool = False) -> pl.DataFrame:
    """What waits for a decision (or ``every`` item with what was decided), oldest first; columns as ``COLUMNS`` (``since``: the time
    of the first entry behind it). Items to follow up are still in it."""
    with audit.opened() as db:
        there = db.execute("select 1 from sqlite_master where name = 'review_items'").fetchone()
        rows = db.execute("select i.*, e.at from review_items i left join entries e on e.seq = i.first_seq order by i.last_seq, i.item").fetchall() \
            if there else []
        decided = _decisions(db) if there else {}
    out = []
    for row in rows:
        d = decided.get(row[0], {})
        out.append((*row, d.get("decision", "undecided"), d.get("by"), d.get("at"), d.get("note")))
    frame = pl.DataFrame(out, schema=COLUMNS, orient="row")
    return frame if every else frame.filter(pl.col("status").is_in(["undecided", "follow up"]))


def _decisions(db: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """Item -> its latest decision, read from the chained entries."""
    out: dict[str, dict[str, Any]] = {}
    for item, user, at, detail in db.execute("select object, user, at, detail from entries where action = 'review' and phase = 'done' order by seq"):
        try:
            out[item] = {**json.loads(detail), "by": user, "at": at}
        except ValueError:
            continue
    return out


def behind(audit: Audit, item: str) -> pl.DataFrame:
    """The entries behind an item, in order, with how each ended; columns as ``entries.of``.

    Items of a queue that was filled before the entries were kept with it have only their first and last one.

    Raises:
        NotFound: no such item.
    """
    with audit.opened() as db:
        there = {n for (n,) in db.execute("select name from sqlite_master where name in ('review_items', 'review_entries')")}
        held = db.execute("select first_seq, last_seq from review_items where item = ?", (item,)).fetchone() if "review_items" in there else None
        if held is None:
            raise NotFound(f"There is no item {item!r} in the review queue.")
        seqs = [s for (s,) in db.execute("select seq from review_entries where item = ?", (item,))] if "review_entries" in there else []
    return entries.of(audit, seqs or held)


def about(user: str, person: Person) -> bool:
    """Whether an item about a user is about the person who would decide it; names of users differ by more than capitals."""
    return user.strip().casefold() == person.user.strip().casefold()


def decide(audit: Audit, item: str, person: Person, decision: str, note: str) -> None:
    """Write a decision about an item into the audit.

    Raises:
        NotFound: no such item. BadInput: another decision than ``DECISIONS``, or no note. AccessRefused: the reviewer is the person reviewed;
        the attempt is written down.
    """
    every = queue(audit, every=True)
    found = every.filter(pl.col("item") == item).to_dicts()
    if not found:
        raise NotFound(f"There is no item {item!r} in the review queue.{did_you_mean(item, every['item'].to_list())}")
    if decision not in DECISIONS:
        raise BadInput(f"{decision!r} is no decision.{did_you_mean(decision, DECISIONS)}")
    if len(note.strip()) < 5:
        raise BadInput("A decision needs a note that says why, e.g. --note \"call 2026-118 named the plate; supervisor asked\"")
    if about(found[0]["user"], person):
        audit.write(person, "review", item, phase="refused", decision=decision)
        raise AccessRefused(f"Item {item} is about {person.user}; somebody else has to review it.")
    audit.write(person, "review", item, phase="done", decision=decision, note=note.strip(), about=found[0]["user"], kind=found[0]["kind"],
                entries=[found[0]["first_seq"], found[0]["last_seq"]])
