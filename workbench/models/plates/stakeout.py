"""Which plates were read near several of these scenes, in their time windows, more than each one's own habits would give?

For each scene a plate's chance to be near is taken from the same readers and hours of the other days; for one never seen there, from how many new plates
one day brings among plates read about as often. Over the scenes this gives a Poisson-binomial count, whose tail is the surprise; it is then held against
draws in which other days stand in for the days of the scenes (those of one night moved together), and q is taken over all plates that were read at all.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell, counts, finite
from workbench.geo import Floats, Ints
from workbench.layers import Layer, Points
from workbench.models.plates import _habits, prepare
from workbench.models.plates._passages import Passages
from workbench.models.window import Moment, Span, moment, span
from workbench.models.wording import local, several
from workbench.results import Basis, Ranking, origin_of, recorded

SOURCE = (
    "Hoeffding, Annals of Mathematical Statistics 27, 1956, 713-721 (Poisson-binomial); Good, Biometrika 40, 1953, 237-264; "
    "Benjamini and Hochberg, JRSS B 57, 1995, 289-300; Phipson and Smyth, SAGMB 9, 2010, doi:10.2202/1544-6115.1585; Ratcliffe, JQC 18, 2002, 27-43"
)
_NOTES = (
    "A read is of a plate, not of a driver; a scene without a read of a plate does not mean that it was not there.",
    "A habit that is kept on certain weekdays only, or began lately, is told badly by the other days.",
)


@recorded
def stakeout(
    reads: pl.DataFrame | Passages,
    scenes: pl.DataFrame,
    *,
    metres: float = 800,
    minutes: float = 30,
    least: int | None = None,
    window: Span = "60d",
    asof: Moment | None = None,
    zone: str = "UTC",
    most: int = 100,
    draws: int = 200,
    seed: int = 0,
) -> Ranking:
    """Plates near at least ``least`` of the scenes, the most surprising first.

    Args:
        reads: the reads table, or what ``plates.prepare`` made of it.
        scenes: incident_id, lon, lat, started_at and, where only a span is known, ended_at. It happened at one moment of the span, each as likely: a plate
            counts at the scene with the share of the span that lies within ``minutes`` of its reads there: the probability that it was there at that moment.
        metres, minutes: how far from a scene a reader, and from its time a read, may be.
        least: scenes a plate must have been near; None = 2.
        window: reads up to this long before and after a scene tell habits.
        asof: only reads strictly before.
        zone: zone of the hours of the day (of prepared reads: the one they were prepared with).
        most: rows shown at most. draws: draws of other days behind p. seed: of these draws.

    Returns: a Ranking; table: rank, plate, near (scenes), present (the same, weighed by when they may have happened), expected, p, by_chance (plates as
    surprising that chance gives), q (over all plates read), as_often (plates near as many scenes, itself included), usual (the largest share of other days on
    which it is at one of these scenes), scenes, evidence (read ids).

    Raises:
        CannotTell: no reads (before asof), fewer than ``least`` scenes have a standing reader near that read anything, or no other days to tell habits.
        BadInput: columns missing, times without zone, distances or counts that do not do.

    Cost: the reads near the scenes on the days looked at; about 20 ms for six scenes and 30 days of 10 M prepared reads.
    """
    wanted = _checked(metres, minutes, least, most, draws)
    counts(seed=seed)
    if seed < 0:
        raise BadInput(f"seed={seed!r} does not do; give a whole number of at least 0.")
    schema.require(scenes, "incident_id", "lon", "lat", "started_at", what="The scenes frame")
    timed = schema.utc(scenes, [c for c in ("started_at", "ended_at") if c in scenes.columns])
    timed = timed.with_columns(_habits.named(timed["incident_id"]))
    if not isinstance(reads, Passages):
        schema.require(reads, "read_id", what="The reads frame")
    passages = reads if isinstance(reads, Passages) else prepare(reads, zone=zone)
    schema.require(passages.frame, "read_id", what="The reads frame")
    reach, until = span(window), None if asof is None else int(moment(asof).timestamp())
    _some(passages, until, asof)
    ready = _habits.placed(passages, timed, metres)
    _comparable(ready, wanted)
    found = _habits.habits(passages, ready, minutes=minutes, window=reach, until=until)
    _known(ready, found, wanted)
    dark = found.readable == 0
    if dark.any():
        ready = ready.only(~dark, f"At {int(dark.sum())} of {len(ready)} scenes no reader near it read anything in its time: nobody can be found there.")
        found = _habits.habits(passages, ready, minutes=minutes, window=reach, until=until)
        _known(ready, found, wanted)
    every = int(np.count_nonzero(_habits.counts(passages, until)))
    table, tested = _ranked(passages, ready, found, wanted, every, draws, seed)
    shown = _with_evidence(passages, ready, table.head(most), minutes, until)
    asked = {"metres": metres, "minutes": minutes, "least": wanted, "window": reach, "zone": passages.zone, "draws": draws, "seed": seed,
             "plates compared": every, "scenes compared": len(ready)}
    basis = _basis(passages, timed, ready, found, every, tested, until, asked)
    return Ranking(
        headline=_headline(table, ready, found, every, wanted, metres, minutes),
        table=shown,
        layers=_layers(ready, passages, shown),
        basis=basis,
        base=origin_of(passages, timed).base,
    )


def _checked(metres: float, minutes: float, least: int | None, most: int, draws: int) -> int:
    finite(metres=metres, minutes=minutes)
    counts(most=most, draws=draws)
    if not 1 <= metres <= 20_000:
        raise BadInput(f"metres={metres!r} does not do; give 1 to 20,000 metres, e.g. 800.")
    if not 0 < minutes <= 720:
        raise BadInput(f"minutes={minutes!r} does not do; give more than 0 and at most 720, e.g. 30.")
    if least is not None and (isinstance(least, bool) or not isinstance(least, int) or least < 1):
        raise BadInput(f"least={least!r} does not do; give how many scenes a plate must have been near, e.g. 2.")
    if most < 1 or draws < 20:
        raise BadInput(f"most={most!r}, draws={draws!r} do not do; give at least 1 row and at least 20 draws.")
    return 2 if least is None else least


def _some(passages: Passages, until: int | None, asof: Moment | None) -> None:
    first = _habits.span_of(passages)[0] if len(passages) else None
    if first is None or (until is not None and first >= until):
        when = "" if asof is None else f" before {local(moment(asof), passages.zone)}"
        raise CannotTell(f"There are no reads{when}, so no plate can be near a scene; load reads, or ask with a later asof.")


def _comparable(ready: _habits.Scenes, wanted: int) -> None:
    if len(ready) < wanted:
        said = " ".join([*ready.notes, "Give more scenes, a larger distance, or a lower least."])
        raise CannotTell(f"Only {several(len(ready), 'scene')} can be compared with reads, {wanted} are needed. {said}")


def _known(ready: _habits.Scenes, found: _habits.Habits, wanted: int) -> None:
    readable, told = int((found.readable > 0).sum()), int((found.days >= _habits.FEWEST).sum())
    if readable < wanted:
        raise CannotTell(
            f"Near {readable} of {several(len(ready), 'scene')} anything was read in its time, {wanted} are needed; "
            "the readers were down, or the reads do not reach those days."
        )
    if told < wanted:
        raise CannotTell(
            f"For {told} of {several(len(ready), 'scene')} there are at least {_habits.FEWEST} other days with reads at the same hours, {wanted} are "
            "needed to say what is usual; load more days of reads, or give a longer window."
        )


def _ranked(passages: Passages, ready: _habits.Scenes, found: _habits.Habits, least: int, every: int, draws: int, seed: int) -> tuple[pl.DataFrame, int]:
    near = (found.seen > 0).sum(axis=1)
    rows = np.flatnonzero(near >= least)
    chance = _habits.chances(found, rows)
    seen = found.seen[rows]
    tail = _habits.surprise(found, rows, chance)
    usual = (found.own[rows] / np.maximum(found.days, 1)).max(axis=1) if len(rows) else np.zeros(0)
    null = _habits.replicates(found, _habits.groups(ready.low, ready.high), least, draws, seed)
    drawn = (np.searchsorted(null, tail * (1 + 1e-9), side="right") + 1) / (draws * every)
    p = np.maximum(tail, drawn).clip(0.0, 1.0)
    names = passages.plates.gather(found.plate[rows])
    often = np.bincount(near, minlength=len(ready) + 1)[::-1].cumsum()[::-1]
    order = np.lexsort((found.plate[rows], tail, p))
    q: Floats = np.empty(len(rows))
    q[order] = _habits.adjusted(p[order], every)
    table = pl.DataFrame(
        {
            "plate": names,
            "near": near[rows],
            "present": seen.sum(axis=1),
            "expected": chance.sum(axis=1),
            "p": p,
            "by_chance": p * every,
            "q": q,
            "as_often": often[near[rows]],
            "usual": usual,
            "_code": found.plate[rows],
        },
        schema_overrides={"near": pl.Int64, "as_often": pl.Int64, "plate": pl.String},
    )
    return table[order].with_row_index("rank", offset=1).with_columns(pl.col("rank").cast(pl.Int64)), len(null)


def _with_evidence(passages: Passages, ready: _habits.Scenes, table: pl.DataFrame, minutes: float, until: int | None) -> pl.DataFrame:
    """The rows with their scenes and read ids."""
    m = round(60 * minutes)
    wanted = np.zeros(len(passages.plates), dtype=bool)
    wanted[table["_code"].to_numpy()] = True
    at, scene = [], []
    for s, spot in zip(ready.scene.tolist(), ready.spot.tolist(), strict=True):
        a, b = passages.by_spot[spot], passages.by_spot[spot + 1]
        last = int(ready.high[s]) + m + 1 if until is None else min(int(ready.high[s]) + m + 1, until)
        low, high = a + np.searchsorted(passages.at[a:b], [int(ready.low[s]) - m, last])
        some = np.arange(low, high)[wanted[passages.plate[low:high]]]
        at.append(some)
        scene.append(np.full(len(some), s))
    where: Ints = np.concatenate(at) if at else np.zeros(0, dtype=np.int64)
    which: Ints = np.concatenate(scene) if scene else np.zeros(0, dtype=np.int64)
    rows = pl.DataFrame(
        {
            "plate": passages.plates.gather(passages.plate[where]),
            "scenes": ready.frame["incident_id"].gather(which),
            "evidence": passages.frame["read_id"].gather(passages.row[where]),
            "_s": which,
            "_t": passages.at[where],
        }
    )
    lists = (
        rows.sort("_s", "_t", "evidence").group_by("plate").agg(pl.col("scenes").unique(maintain_order=True), pl.col("evidence").unique(maintain_order=True))
    )
    return table.drop("_code").join(lists, on="plate", how="left", maintain_order="left")


def _headline(table: pl.DataFrame, ready: _habits.Scenes, found: _habits.Habits, every: int, least: int, metres: float, minutes: float) -> str:
    n = len(ready)
    about = f"within {metres:g} m and {minutes:g} minutes of at least {least} of {several(n, 'scene')}"
    if table.is_empty():
        return f"None of the {several(every, 'plate')} was read {about}. That a plate was not read does not mean that it was not there."
    clear = table.filter(pl.col("q") <= 0.05)
    first = table.row(0, named=True)
    top = (
        f"{first['plate']} was near {first['near']} (its own habits give {first['expected']:.2g}; {several(first['as_often'], 'plate')} near as many; by "
        f"chance {first['by_chance']:.2g} of {several(every, 'plate')} would be as surprising, q = {first['q']:.2g})"
    )
    if clear.is_empty():
        were = "was" if len(table) == 1 else "were"
        return (
            f"No plate stands out: {several(len(table), 'plate')} {were} read {about}, none clearly more surprising than chance gives among so many; "
            f"first {top}."
        )
    stands = "1 plate stands out" if len(clear) == 1 else f"{several(len(clear), 'plate')} stand out"
    return f"{stands} at q = 0.05, of {several(len(table), 'plate')} read {about}: {top}."


def _basis(
    passages: Passages,
    scenes: pl.DataFrame,
    ready: _habits.Scenes,
    found: _habits.Habits,
    every: int,
    tested: int,
    until: int | None,
    parameters: dict[str, Any],
) -> Basis:
    notes = [*ready.notes, *_NOTES]
    unknown = int((found.days < _habits.FEWEST).sum())
    if unknown:
        notes.append(f"For {unknown} of {len(ready)} scenes fewer than {_habits.FEWEST} other days tell what is usual; being there counts as no surprise.")
    if passages.spots["moving"].any():
        notes.append("Reads by moving readers are left out: where they do not come on other days, nothing tells what is usual.")
    notes.append(f"With other days in place of the scenes' days, {tested / parameters['draws']:.3g} plates in the mean came near as many scenes as asked.")
    first, last = _habits.span_of(passages)
    basis = Basis.of(
        passages,
        scenes,
        method="Poisson-binomial tail of scenes attended (weighed by when they may have happened), from each plate's own habits, "
        "held against draws of other days; "
        "false discovery rate over all plates read",
        source=SOURCE,
        used=len(passages),
        parameters=parameters,
        asof=None if until is None else datetime.fromtimestamp(until, UTC),
        notes=tuple(notes),
    )
    return replace(basis, span=(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)))


def _layers(ready: _habits.Scenes, passages: Passages, table: pl.DataFrame) -> tuple[Layer, ...]:
    layers: list[Layer] = [Points.of("Scenes", ready.frame, key="incident_id")]
    spots = passages.spots[np.unique(ready.spot)]
    tips = tuple(f"reader {r}" for r in spots["reader"])
    layers.append(
        Points("Readers near the scenes", spots["lon"].to_numpy(), spots["lat"].to_numpy(), tuple(f"reader:{r}" for r in spots["reader"]), tips, kind="read")
    )
    return tuple(layers)
