"""Who entered a network, who left, which ties formed and which lasted, period by period?

Ties are sliced by time, or by a column that names phases. Beside the ties that two periods share stands what chance would give if everything had as many
ties in the later one, but to anybody: C. Morselli, *Inside Criminal Networks*, 2009, ch. 3 and 7 (the eleven phases of Caviar); T. A. B. Snijders, G. G. van
de Bunt and C. E. G. Steglich, Social Networks 32, 2010, 44-60, doi:10.1016/j.socnet.2009.02.004 (Jaccard's share of stable ties).
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.models.links import _measures
from workbench.models.links._network import Network
from workbench.models.wording import local, several
from workbench.results import Basis, Ranking, origin_of, recorded

_SOURCE = "Morselli 2009; Snijders, van de Bunt and Steglich 2010, doi:10.1016/j.socnet.2009.02.004"


@recorded
def periods(edges: pl.DataFrame | Network, *, every: str = "1mo", by: str | None = None, zone: str = "UTC") -> Ranking:
    """Measures of the network of each period.

    Args:
        edges: statements, see ``links.paths.prepare``; with a column at (UTC), or the column ``by``.
        every: length of a period of the wall clock in ``zone``, e.g. "1w", "1mo", "1q", "1y".
        by: a column that names the phase of each statement, in place of the time; phases go in order of their values.

    Returns: Ranking in order of time, one row a period: period, things, ties, entered (never there before), returned, left (there in the period before),
    formed, kept, ended (ties against the period before), shared (Jaccard's share of the ties of both periods), kept_by_chance, components, largest (things
    in the largest component), density, most_tied, its degree, share_of_ties.

    Raises:
        BadInput: a column is missing, or a period is not readable. CannotTell: no statement lies in any period.

    Cost: O(statements).
    """
    net, parts, names = _parts(edges, every, by, zone)
    rows: list[dict[str, Any]] = []
    before: Any = np.zeros(0, dtype=np.int64)
    there: Any = np.zeros(0, dtype=np.int64)
    ever: Any = there
    for name, used in zip(names, parts, strict=True):
        low, high = (e[used] for e in net.ends)
        degree = np.bincount(low, minlength=len(net)) + np.bincount(high, minlength=len(net))
        now = np.flatnonzero(degree)
        made = Network(pl.DataFrame(), net.ids, low.astype(np.int32), high.astype(np.int32))
        sizes = np.bincount(_measures.components(made.first, made.others)[now])
        kept, union = len(np.intersect1d(used, before)), len(np.union1d(used, before))
        x, y = (e[before] for e in net.ends)
        chance = float(np.minimum(1.0, degree[x] * degree[y] / (2.0 * len(used))).sum()) if len(before) else None
        top, start = int(np.argmax(degree)), not rows
        rows.append({"period": name, "things": len(now), "ties": len(used), "entered": len(np.setdiff1d(now, ever)),
                     "returned": len(np.setdiff1d(np.intersect1d(now, ever), there)), "left": None if start else len(np.setdiff1d(there, now)),
                     "formed": len(used) - kept, "kept": None if start else kept, "ended": None if start else len(before) - kept,
                     "shared": None if start else kept / union, "kept_by_chance": chance, "components": int(np.count_nonzero(sizes)),
                     "largest": int(sizes.max()), "density": 2 * len(used) / (len(now) * (len(now) - 1)), "most_tied": str(net.ids[top]),
                     "degree": int(degree[top]), "share_of_ties": float(degree[top] / len(used))})
        before, there, ever = used, now, np.union1d(ever, now)
    kinds: dict[str, Any] = dict.fromkeys(("left", "kept", "ended"), pl.Int64) | dict.fromkeys(("shared", "kept_by_chance"), pl.Float64)
    table = pl.DataFrame(rows, schema_overrides=kinds)
    basis = _basis(net, every, by, zone, "ties and things by period", parts)
    return Ranking(headline=_told(table), table=table, layers=(), basis=basis, base=origin_of(net).base)


@recorded
def members(edges: pl.DataFrame | Network, *, every: str = "1mo", by: str | None = None, zone: str = "UTC") -> Ranking:
    """When each thing was in the network: id, first, last (periods), present (how many), gaps (periods between in which it was missing), ties (different
    others), kept (its ties that were there in the period before, summed over periods), kept_by_chance (how many of these if in each period everything had as
    many ties, but to anybody), most ties first. Arguments as for ``periods``.

    Raises:
        BadInput: a column is missing, or a period is not readable. CannotTell: no statement lies in any period.
    """
    net, parts, names = _parts(edges, every, by, zone)
    degree = np.zeros((len(parts), len(net)), dtype=np.int64)
    for k, used in enumerate(parts):
        for ends in net.ends:
            degree[k] += np.bincount(ends[used], minlength=len(net))
    on = degree > 0
    seen = np.flatnonzero(on.any(axis=0))
    first, last = on.argmax(axis=0)[seen], len(parts) - 1 - on[::-1].argmax(axis=0)[seen]
    present = on.sum(axis=0)[seen]
    every_tie = np.unique(np.concatenate(parts))
    others = sum(np.bincount(e[every_tie], minlength=len(net)) for e in net.ends)
    others = np.asarray(others)[seen]
    kept, chance = np.zeros(len(net)), np.zeros(len(net))
    for k in range(1, len(parts)):
        x, y = (e[parts[k - 1]] for e in net.ends)
        again = np.isin(parts[k - 1], parts[k], assume_unique=True)
        likely = np.minimum(1.0, degree[k][x] * degree[k][y] / (2.0 * len(parts[k])))
        for ends in (x, y):
            kept += np.bincount(ends[again], minlength=len(net))
            chance += np.bincount(ends, weights=likely, minlength=len(net))
    table = pl.DataFrame({"id": net.ids.gather(seen.astype(np.uint32)).cast(pl.String), "first": [names[i] for i in first], "last": [names[i] for i in last],
                          "present": present.astype(np.int64), "gaps": (last - first + 1 - present).astype(np.int64), "ties": others.astype(np.int64),
                          "kept": kept[seen].astype(np.int64), "kept_by_chance": chance[seen]}).sort(["ties", "present", "id"], descending=[True, True, False])
    stayed = table.filter(pl.col("present") == len(parts))
    headline = f"{several(len(stayed), 'thing')} of {len(table):,} {'was' if len(stayed) == 1 else 'were'} there in every one of " \
               f"{several(len(parts), 'period')}"
    named = f": {', '.join(stayed['id'].head(8).to_list())}" if len(stayed) else ""
    once = int((table["present"] == 1).sum())
    headline += f"{named}{' and others' if len(stayed) > 8 else ''}; {once:,} {'was' if once == 1 else 'were'} there in one only."
    basis = _basis(net, every, by, zone, "presence of things by period", parts)
    return Ranking(headline=headline, table=table, layers=(), basis=basis, base=origin_of(net).base)


def _parts(edges: pl.DataFrame | Network, every: str, by: str | None, zone: str) -> tuple[Network, list[Any], list[str]]:
    """The network, the numbers of the edges of each period, and what the periods are called; periods without a tie between two others are empty ones."""
    net = Network.of(edges)
    column = by if by is not None else "at"
    schema.require(net.frame, column, what="The edges frame")
    edge = np.full(net.frame.height, -1, dtype=np.int64)
    edge[net.rows] = np.repeat(np.arange(net.edges), np.diff(net.stated))
    if by is None:
        local(datetime(2000, 1, 1, tzinfo=UTC), zone)
        wall = schema.utc(net.frame.select("at"), ["at"])["at"].dt.cast_time_unit("us").dt.convert_time_zone(zone).dt.replace_time_zone(None)
        try:
            value = wall.dt.truncate(every)
        except pl.exceptions.PolarsError:
            raise BadInput(f"every={every!r} is no length of a period; write e.g. '1w', '1mo' or '1q'.") from None
        held = value.drop_nulls().unique().sort()
        if len(held):
            held = pl.select(pl.datetime_range(held[0], held[-1], every, time_unit="us")).to_series()
        names = [f"{t:%Y-%m-%d}" + (f" {t:%H:%M}" if (t.hour, t.minute) != (0, 0) else "") for t in held.to_list()]
    else:
        value = net.frame[by]
        held = value.drop_nulls().unique().sort()
        names = [str(v) for v in held.to_list()]
    if len(held) > 2_000:
        raise BadInput(f"{len(held):,} periods are more than anybody reads; give a longer every, e.g. '1mo'.")
    parts = [np.unique(edge[(value == v).fill_null(False).to_numpy() & (edge >= 0)]) for v in held.to_list()]
    filled = [k for k, p in enumerate(parts) if len(p)]
    if not filled:
        raise CannotTell(f"I cannot tell: no statement that ties two things has a value in the column {column!r}. Give statements with times, or name a "
                         "column of phases with by.")
    parts, names = parts[filled[0]:filled[-1] + 1], names[filled[0]:filled[-1] + 1]
    kept = [k for k, p in enumerate(parts) if len(p)]
    return net, [parts[k] for k in kept], [names[k] for k in kept]


def _told(table: pl.DataFrame) -> str:
    if len(table) == 1:
        only = table.row(0, named=True)
        return f"There is one period only ({only['period']}: {several(only['things'], 'thing')}, {several(only['ties'], 'tie')}), so nothing entered or left."
    rows = table.rows(named=True)
    largest = max(rows, key=lambda r: r["things"])
    turn = max(rows[1:], key=lambda r: (r["entered"] + r["left"]) / max(1, r["things"]))
    kept, chance = sum(r["kept"] for r in rows[1:]), sum(r["kept_by_chance"] for r in rows[1:])
    leaders = [(a, b) for a, b in pairwise(rows) if a["most_tied"] != b["most_tied"]]
    lead = f"{rows[0]['most_tied']} had most ties throughout" if not leaders else f"who had most ties changed {several(len(leaders), 'time')}, " \
           f"last in {leaders[-1][1]['period']} from {leaders[-1][0]['most_tied']} to {leaders[-1][1]['most_tied']}"
    return (f"Over {several(len(rows), 'period')} the network was largest in {largest['period']} ({several(largest['things'], 'thing')}, "
            f"{several(largest['ties'], 'tie')}); most came and went in {turn['period']} ({turn['entered']} entered, {turn['left']} left). "
            f"{several(kept, 'tie')} lasted into the next period, {chance:.0f} by chance; {lead}.")


def _basis(net: Network, every: str, by: str | None, zone: str, method: str, parts: list[Any]) -> Basis:
    column = by if by is not None else "at"
    without = net.frame[column].null_count()
    notes = [f"{several(without, 'statement')} without a value in {column!r} lie in no period."] if without else []
    notes.append("A period without a statement is left out: nothing recorded is not the same as nothing happened.")
    return Basis.of(net, method=method, source=_SOURCE, used=net.frame.height - without, time="at" if "at" in net.frame.columns else "", notes=tuple(notes),
                    parameters={"every": every if by is None else None, "by": by, "zone": zone, "periods": len(parts)})
