"""How old are the hotlists, which reads are hits on them, and can a hit be relied on?

A plate stays on a copy of a list after it was cleared at the source, and one that was entered since is not on it. A list older than a
day is therefore called stale: every hit on it must be confirmed at the source first (and so must any other before somebody is stopped).

``match`` finds the reads of listed plates, ``Matcher`` does so batch by batch as they come in; how likely each is the listed plate follows by Bayes' rule from
the reader's confidence, the confusion of characters, the state, how many listed plates come by here at all, and how many other vehicles do. A hit stays
unverified until a person says otherwise (``workbench.casebook.hits``); ``false_hits`` says by reader how often they had to say no.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell, finite
from workbench.layers import Points
from workbench.models.plates import _match
from workbench.models.plates._search import Index
from workbench.models.plates.misreads import Confusion, known
from workbench.models.window import Moment, Span, moment, span
from workbench.models.wording import local, said, several
from workbench.results import Basis, Prepared, Ranking, origin_of, recorded

_FEWEST = 10  # verified hits of a reader under which nothing is told of it
_NO_NAME = "(list without a name)"


@recorded
def stale(hotlist: pl.DataFrame, asof: Moment, *, oldest: Span = "24h", zone: str = "UTC") -> Ranking:
    """The age of each list, the stalest first, with a sentence a list.

    Args:
        hotlist: the hotlist table.
        asof: now; lists drawn up later are not looked at.
        oldest: the age from which a list is stale.
        zone: zone of the times in the sentences.

    Returns: a Ranking. ``table``: list_name, source, listed_at (of its newest edition), hours (age), stale (null = the list does not say when it was drawn up),
    entries (in force), left (entries in force that the newest edition no longer has), sentence.

    Raises:
        CannotTell: the hotlist is empty, or no list says when it was drawn up.
        BadInput: columns are missing, or ``oldest`` is no length of time.

    Cost: one pass over the entries.
    """
    schema.require(hotlist, "plate", "list_name", "valid_from", "valid_to", "listed_at", what="The hotlist frame")
    if hotlist.schema["list_name"].is_nested():
        raise BadInput(f"Column 'list_name' of the hotlist is {hotlist.schema['list_name']}, not text.")
    at, limit = moment(asof), span(oldest, "oldest")
    frame = schema.utc(hotlist, ["valid_from", "valid_to", "listed_at"])
    frame = frame if "source" in frame.columns else frame.with_columns(source=pl.lit(""))
    frame = frame.filter((pl.col("valid_from") <= at) & (pl.col("listed_at").is_null() | (pl.col("listed_at") <= at)))
    if frame.is_empty():
        when = "" if hotlist.is_empty() else f" that was drawn up before {local(at, zone)}"
        raise CannotTell(f"There is no hotlist{when}, so nothing can be told of its age.")
    table = _table(frame, at, limit.total_seconds() / 3600, zone)
    known = table.filter(pl.col("stale").is_not_null())
    if known.is_empty():
        lists = "The hotlist does not say when it was drawn up" if len(table) == 1 else f"None of the {len(table):,} hotlists says when it was drawn up"
        raise CannotTell(f"{lists}, so whether {'it is' if len(table) == 1 else 'they are'} stale is not known. Confirm every hit at the source, and load "
                         "the list again with --set listed_at=... or with a column that gives the time.")
    basis = Basis.of(hotlist, method="age of each list's newest edition", time="listed_at", used=frame.height, asof=at,
                     parameters={"oldest": said(limit), "zone": zone},
                     notes=("A copy of a list says nothing of what happened at the source since: confirm a hit there before acting on it.",))
    return Ranking(headline=_headline(table, limit.total_seconds() / 3600), table=table, layers=(), basis=basis, base=origin_of(hotlist).base)


def _table(frame: pl.DataFrame, at: datetime, limit: float, zone: str) -> pl.DataFrame:
    force = pl.col("valid_to").is_null() | (pl.col("valid_to") > at)
    newest = pl.col("listed_at").max()
    rows = (
        frame.with_columns(pl.col("list_name").fill_null(_NO_NAME))
        .group_by("list_name", "source")
        .agg(listed_at=newest, entries=force.sum().cast(pl.Int64), left=(force & (pl.col("listed_at") < newest)).sum().cast(pl.Int64))
        .with_columns(hours=(pl.lit(at) - pl.col("listed_at")).dt.total_seconds() / 3600)
        .with_columns(stale=pl.col("hours") > limit)
        .sort("hours", "list_name", "source", descending=[True, False, False], nulls_last=False)
        .select("list_name", "source", "listed_at", "hours", "stale", "entries", "left")
    )
    return rows.with_columns(sentence=pl.Series([_sentence(row, limit, zone) for row in rows.iter_rows(named=True)], dtype=pl.String))


def _sentence(row: dict[str, Any], limit: float, zone: str) -> str:
    name, entries = f"Hotlist {row['list_name']!r}", several(row["entries"], "entry", "entries")
    if row["hours"] is None:
        return f"{name} ({entries} in force) does not say when it was drawn up, so whether it is stale is not known."
    drawn = f"was drawn up on {local(row['listed_at'], zone)}, {_age(row['hours'])} ago"
    left = f"; {several(row['left'], 'entry is', 'entries are')} no longer in its newest edition" if row["left"] else ""
    if row["stale"]:
        return f"{name} ({entries} in force) is stale: it {drawn} (the limit is {_age(limit)}){left}."
    return f"{name} ({entries} in force) {drawn}{left}."


def _headline(table: pl.DataFrame, limit: float) -> str:
    bad, unknown = int(table["stale"].sum()), table["stale"].null_count()
    untold = f" {several(unknown, 'list does', 'lists do')} not say when {'it was' if unknown == 1 else 'they were'} drawn up." if unknown else ""
    if not bad:
        return f"{several(len(table) - unknown, 'hotlist')}, none older than {_age(limit)}.{untold}"
    worst = table.filter(pl.col("stale")).row(0, named=True)
    return (f"{bad} of {several(len(table), 'hotlist')} {'is' if bad == 1 else 'are'} stale: {worst['list_name']!r} is {_age(worst['hours'])} old; "
            f"confirm every hit at the source.{untold}")


def _age(hours: float) -> str:
    return several(round(hours), "hour") if hours < 72 else several(round(hours / 24), "day")


class Matcher:
    """Reads against a hotlist as they come in, batch by batch; keeps which passes are going on, nothing else.

    Args:
        hotlist: the hotlist table; entries hold from ``valid_from`` until ``valid_to``.
        alternatives: also match the other plates that a reader thought possible.
        look_alikes: also match reads that differ from a listed plate in look-alike characters only.
        confusion: how characters are read (``plates.misreads.confusion``); None = the look-alikes known to the workbench.
        prior: share of the listed plates that come by these readers at all.
        dense: how many of all possible plates are those of vehicles that come by here; None = of each text by ``traffic`` (2 % without it).
        within: reads of one entry by one reader that follow each other within this are one hit.
        least: hits less likely than this are left out.
        traffic: plates of this traffic (``plates.search.index``), from which ``by_chance`` of each hit follows, and how crowded they are; None = not told.

    Raises:
        BadInput: columns are missing, or a number is out of range.
    """

    def __init__(self, hotlist: pl.DataFrame, *, alternatives: bool = True, look_alikes: bool = True, confusion: Confusion | None = None, prior: float = 0.1,
                 dense: float | None = None, within: Span = "60s", least: float = 0.01, traffic: Index | None = None) -> None:
        finite(prior=prior, dense=0.5 if dense is None else dense, least=least)
        for name, value in (("prior", prior), ("dense", dense)):
            if value is not None and not 0 < value <= 1:
                raise BadInput(f"{name}={value!r} does not do; give a share above 0 and at most 1.")
        if not 0 <= least < 1:
            raise BadInput(f"least={least!r} does not do; give a probability from 0 to under 1.")
        self.listed = _match.Entries(hotlist, confusion or known())
        self.prior, self.least, self.within = float(prior), float(least), span(within, "within")
        self.dense: float | Index = float(dense) if dense is not None else traffic if traffic is not None else 0.02
        self._how = {"alternatives": alternatives, "look_alikes": look_alikes}
        self._seen: dict[tuple[str, str], tuple[datetime, str, float, int, datetime]] = {}
        self._bound = 10_000
        self.left_out = 0
        exact, alike = self.listed.chances(traffic) if traffic is not None else (np.zeros(0), np.zeros(0))
        self._chances = pl.DataFrame({"entry_id": self.listed.frame["entry_id"], "exact": exact, "alike": alike}) if traffic is not None else None

    def hits(self, reads: pl.DataFrame, *, asof: datetime | None = None) -> pl.DataFrame:
        """The hits of a batch of reads, all of them unverified, the likeliest first; a pass that began in an earlier batch comes again, under the same
        ``hit_id``, only when a better read of it did. O(batch).

        Raises:
            BadInput: columns read_id, plate, reader or read_at are missing, or a time has no zone.
        """
        found = _match.matched(_match.asked(reads), self.listed, prior=self.prior, dense=self.dense, asof=asof, **self._how)
        likely = found.filter(pl.col("probability") >= self.least)
        self.left_out += found.height - likely.height
        if self._chances is None:
            likely = likely.with_columns(by_chance=pl.lit(None, dtype=pl.Float64))
        else:
            which = pl.when(pl.col("kind") == _match.KINDS[2]).then("alike").otherwise("exact")
            likely = likely.join(self._chances, on="entry_id", how="left", maintain_order="left").with_columns(by_chance=which)
        made = _match.bursts(likely, self._seen, self.within)
        if len(self._seen) > self._bound:
            newest = max(held[0] for held in self._seen.values())
            self._seen = {k: v for k, v in self._seen.items() if newest - v[0] <= 60 * self.within}
            self._bound = max(10_000, 2 * len(self._seen))
        return made.sort("probability", "read_at", "hit_id", descending=[True, False, False])


@recorded
def match(reads: pl.DataFrame | Prepared, hotlist: pl.DataFrame, asof: Moment, *, alternatives: bool = True, look_alikes: bool = True,
          confusion: Confusion | None = None, prior: float | None = None, dense: float | None = None, within: Span = "60s", least: float = 0.01,
          zone: str = "UTC") -> Ranking:
    """Reads of listed plates, the likeliest first; every one is unverified until a person has confirmed plate, state and that the entry is still active.

    Args:
        reads: the reads table (``confidence``, ``alternatives``, ``alternative_confidences`` and ``region`` are used where they are there).
        hotlist: the hotlist table.
        asof: now; later reads, and lists drawn up later, are not looked at.
        prior: share of the listed plates that come by here at all; None = (those read letter by letter + 1) / (entries in force + 2).
        dense: how many of all possible plates are in this traffic; None = of each text from the plates that were read
            (a format that no vehicle has is a misread; one that many have is likely to be somebody's).
        zone: zone of the times in the sentence. The others: see ``Matcher``.

    Returns: a Ranking. ``table``: hit_id, entry_id, plate, region, list_name, reason (of the entry), read_id, read_plate, read_region, reader, read_at (of
    the best read), kind ("exact", "alternative", "look-alike"), state_agrees (null = not known), probability (that it is the listed plate), by_chance (how many
    plates of this traffic would match the entry in this way were they drawn character by character), reads (of one pass), last_at, state ("unverified").

    Raises:
        CannotTell: no reads before ``asof``, or no entry was in force. BadInput: columns are missing, or a number is out of range.

    Cost: 5 M reads against 100,000 entries take a few seconds, most of it for what chance would give.
    """
    frame = _match.asked(reads.frame if isinstance(reads, Prepared) else reads)
    at = moment(asof)
    frame = frame.filter(pl.col("read_at") < at)
    if frame.is_empty():
        raise CannotTell(f"There are no reads before {local(at, zone)}, so there is nothing to match with the hotlist; load reads, or ask with a later asof.")
    traffic = Index(frame.select("plate"))
    held = Matcher(hotlist, alternatives=alternatives, look_alikes=look_alikes, confusion=confusion, prior=0.1 if prior is None else prior,
                   dense=dense, within=within, least=least, traffic=traffic)
    first = frame["read_at"].sort()[0]
    force = held.listed.frame.filter((pl.col("valid_from") <= at) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > pl.lit(first))))
    if force.is_empty():
        raise CannotTell(f"No entry of the hotlist was in force between {local(first, zone)} and {local(at, zone)}; load a newer list, or ask about another "
                         "time.")
    if prior is None:
        read = force.filter(pl.col("plate").is_in(frame["plate"].unique().implode()))["plate"].n_unique()
        held.prior = float(min(0.9, (read + 1) / (force["plate"].n_unique() + 2)))
    table = held.hits(frame, asof=at)
    chances = held.listed.chances(traffic)
    typical = _match.density(traffic) if dense is None else dense
    basis = Basis.of(reads, hotlist, method="reads matched with the hotlist: plate, alternatives, look-alikes, state; probability by Bayes' rule",
                     time="read_at", used=frame.height, asof=at,
                     parameters={"prior": round(held.prior, 4), "dense": float(f"{typical:.3g}"), "within": said(held.within), "least": least, "zone": zone,
                                 "entries in force": force.height, "less likely hits left out": held.left_out, "plates read": len(traffic),
                                 "exact by chance": float(f"{chances[0].sum():.3g}"), "look-alike by chance": float(f"{chances[1].sum():.3g}")},
                     notes=("A hit is unverified until a person has confirmed plate and state on the picture and the entry at its source.",
                            "The probability takes the reader's confidence at its word; see false_hits for how often each reader was wrong."))
    return Ranking(headline=_told(table, chances, len(traffic)), table=table, layers=_drawn(table, frame), basis=basis, base=origin_of(reads, hotlist).base)


def _told(table: pl.DataFrame, chances: Any, plates_read: int) -> str:
    base = (f"Were the {plates_read:,} plates read drawn character by character, {_number(chances[0].sum())} of them would be on the list and "
            f"{_number(chances[1].sum())} would look like one that is.")
    if table.is_empty():
        return f"No read is a likely hit on the hotlist. {base}"
    kinds = dict(table.group_by("kind").len().iter_rows())
    how = ("letter by letter", "by the reader's second choices", "by look-alike characters")
    parts = ", ".join(f"{kinds[k]:,} {text}" for k, text in zip(_match.KINDS, how, strict=True) if k in kinds)
    top = table.row(0, named=True)
    return (f"{several(table.height, 'unverified hit')} on {several(table['plate'].n_unique(), 'listed plate')} ({parts}), of which about "
            f"{table['probability'].sum():,.0f} are the listed plates; likeliest is {top['plate']} at {top['reader']} "
            f"({100 * top['probability']:.0f} %). {base}")


def _number(n: float) -> str:
    return f"about {n:,.0f}" if n >= 10 else f"about {n:.2g}" if n >= 0.01 else "fewer than 0.01"


def _drawn(table: pl.DataFrame, reads: pl.DataFrame) -> tuple[Points, ...]:
    if not {"lon", "lat"} <= set(reads.columns) or table.is_empty():
        return ()
    placed = table.join(reads.select("read_id", "lon", "lat").unique("read_id"), on="read_id", how="left", maintain_order="left")
    placed = placed.filter(pl.col("lon").is_finite() & pl.col("lat").is_finite()).head(2000)
    if placed.is_empty():
        return ()
    tips = tuple(f"{p} at {r}, {100 * q:.0f} %, unverified" for p, r, q in placed.select("plate", "reader", "probability").iter_rows())
    return (Points("Unverified hits", placed["lon"].to_numpy(), placed["lat"].to_numpy(), tuple(f"hit:{h}" for h in placed["hit_id"].to_list()), tips),)


@recorded
def false_hits(verified: pl.DataFrame, *, level: float = 0.95) -> Ranking:
    """How many of each reader's hits were false, by what persons said of them; the worst first.

    Args:
        verified: hits as the casebook holds them (``Hits(casebook).frame()``): reader, state ("confirmed", "rejected"; others are not counted). With
            ``plate_right`` and ``state_right`` those that were rejected only because the entry was no longer active are not held against the reader.
        level: of the intervals.

    Returns: a Ranking. ``table``: reader, hits (verified), false, share, low, high (Wilson interval), others (share of all other readers), worse (the
    interval lies above that; null = fewer than 10 verified hits, so it cannot be told), sentence.

    Raises:
        CannotTell: no hit was verified. BadInput: columns are missing, or ``level`` is no share.

    Cost: one pass. Source: E. B. Wilson, JASA 22, 1927, 209-212, doi:10.1080/01621459.1927.10502953.
    """
    schema.require(verified, "reader", "state", what="The frame of verified hits")
    finite(level=level)
    if not 0.5 <= level < 1:
        raise BadInput(f"level={level!r} does not do; give a share from 0.5 to under 1, e.g. 0.95.")
    for column, kind in (("reader", pl.String), ("state", pl.String), ("plate_right", pl.Boolean), ("state_right", pl.Boolean)):
        if verified.schema.get(column, kind) not in (kind, pl.Null, pl.Categorical, pl.Enum):
            raise BadInput(f"Column {column!r} of the verified hits is {verified.schema[column]}; it must be {kind}.")
    as_said: Any = {c: pl.Boolean if c.endswith("right") else pl.String for c in ("reader", "state", "plate_right", "state_right") if c in verified.columns}
    told = verified.cast(as_said).filter(pl.col("state").is_in(["confirmed", "rejected"]) & pl.col("reader").is_not_null())
    if told.is_empty():
        raise CannotTell("No hit has been confirmed or rejected by anybody, so nothing can be told of false hits; verify hits with workbench hits verify.")
    wrong = pl.col("state") == "rejected"
    if {"plate_right", "state_right"} <= set(told.columns):
        wrong &= ~(pl.col("plate_right") & pl.col("state_right")).fill_null(False)
    rows = told.group_by("reader").agg(hits=pl.len().cast(pl.Int64), false=wrong.sum().cast(pl.Int64)).sort("reader")
    n, k = rows["hits"].to_numpy().astype(float), rows["false"].to_numpy().astype(float)
    low, high = _wilson(k, n, level)
    rest = n.sum() - n
    others = np.where(rest > 0, (k.sum() - k) / np.maximum(rest, 1), np.nan)
    table = rows.with_columns(share=pl.Series(k / n), low=pl.Series(low), high=pl.Series(high), others=pl.Series(others).fill_nan(None)).with_columns(
        worse=pl.when((pl.col("hits") >= _FEWEST) & pl.col("others").is_not_null()).then(pl.col("low") > pl.col("others")))
    table = table.with_columns(sentence=pl.Series([_of_reader(r, level) for r in table.iter_rows(named=True)], dtype=pl.String))
    table = table.sort(pl.col("hits") >= _FEWEST, "share", "reader", descending=[True, True, False])
    basis = Basis.of(verified, method="share of verified hits that were false, by reader, with Wilson intervals", used=told.height,
                     source="Wilson 1927, doi:10.1080/01621459.1927.10502953", parameters={"level": level},
                     notes=("Only hits that somebody verified are counted; those are seldom a fair draw of all.",))
    return Ranking(headline=_false_headline(table, int(k.sum()), int(n.sum()), level), table=table, layers=(), basis=basis, base=origin_of(verified).base)


def _wilson(k: Any, n: Any, level: float) -> tuple[Any, Any]:
    from statistics import NormalDist

    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    middle, half = (k + z2 / 2) / (n + z2), np.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)


def _of_reader(row: dict[str, Any], level: float) -> str:
    span_ = f"{100 * row['low']:.0f} to {100 * row['high']:.0f} % at {100 * level:g} %"
    said_ = f"{row['reader']}: {row['false']:,} of {several(row['hits'], 'verified hit')} {'was' if row['false'] == 1 else 'were'} false ({span_})"
    if row["hits"] < _FEWEST:
        return f"{said_}; too few to tell (at least {_FEWEST} are needed)."
    return f"{said_}{'; more than elsewhere, look at the reader' if row['worse'] else ''}."


def _false_headline(table: pl.DataFrame, false: int, n: int, level: float) -> str:
    low, high = (float(v[0]) for v in _wilson(np.array([float(false)]), np.array([float(n)]), level))
    text = f"{false:,} of {several(n, 'verified hit')} {'was' if false == 1 else 'were'} false ({100 * false / n:.0f} %; {100 * low:.0f} to {100 * high:.0f} %)"
    enough = table.filter(pl.col("hits") >= _FEWEST)
    if enough.is_empty():
        return f"{text}; I cannot tell how readers differ: none has {_FEWEST} verified hits."
    worse = enough.filter(pl.col("worse"))["reader"].to_list()
    chance = len(enough) * (1 - level) / 2
    which = f"worse than the others: {', '.join(worse[:6])}" if worse else "no reader is clearly worse than the others"
    few = f"; of {several(len(table) - len(enough), 'reader')} it cannot be told" if len(table) > len(enough) else ""
    return f"{text}; {which} (by chance {_number(chance)} of {several(len(enough), 'reader')} would look so){few}."
