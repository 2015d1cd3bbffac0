"""Did incidents fall where something was done, more than where nothing was, and did they only move next door?

The weighted displacement difference: the change in the treated areas less the change in areas like them, with the change in the areas about the treated
ones (where incidents could have moved to) less that about the comparison ones added. Under Poisson counts its variance is the sum of all counts, so it
needs nothing but the counts. Source: A. P. Wheeler, J. H. Ratcliffe, "A simple weighted displacement difference test to evaluate place based crime
interventions", Crime Science 7:11, 2018, doi:10.1186/s40163-018-0085-5.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.models.patterns._placed import since
from workbench.models.window import Moment, Span, known_before, moment, span
from workbench.models.wording import said
from workbench.results import Basis, Result, origin_of, recorded
from workbench.schema import require

SOURCE = "Wheeler and Ratcliffe, Crime Science 7:11 (2018), doi:10.1186/s40163-018-0085-5"
_Z90 = 1.6448536269514722
_FEWEST = 10


@dataclass(frozen=True)
class Difference:
    """A weighted displacement difference: incidents in the time after, ``estimate`` under zero = fewer. ``local`` leaves the areas about out."""

    estimate: float
    se: float
    z: float
    p: float
    lower: float
    upper: float
    local: float
    displaced: float

    def __iter__(self) -> Any:
        return iter((self.estimate, self.se, self.z))


def wdd(
    control: Sequence[float],
    treated: Sequence[float],
    *,
    control_about: Sequence[float] = (0, 0),
    treated_about: Sequence[float] = (0, 0),
    lengths: tuple[float, float] = (1.0, 1.0),
    harm: float | None = None,
    dispersion: float = 1.0,
) -> Difference:
    """The weighted displacement difference of counts (before, after).

    Args:
        control, treated: incidents before and after in the comparison and in the treated areas.
        control_about, treated_about: the same for the areas about them, into which incidents could have moved.
        lengths: how long before and after are, in any one unit; counts of before are scaled to the length of after.
        harm: what one incident counts, where counts were weighted by harm: the sum of squared weights over the sum of weights (1 = plain counts).
        dispersion: variance over mean of the counts where they swing more than chance (at least 1).

    Returns: a Difference; unpacked it is (estimate, se, z). 90 % interval, two-sided p by the normal.

    Raises:
        BadInput: not two counts each, negative ones, or a length not over 0. CannotTell: no incident anywhere.

    >>> tuple(round(v, 6) for v in wdd([20, 20], [20, 10]))
    (-10, 8.3666, -1.195229)
    """
    pairs = {"control": control, "treated": treated, "control_about": control_about, "treated_about": treated_about}
    for name, pair in pairs.items():
        if len(pair) != 2 or not all(v is not None and math.isfinite(v) and v >= 0 for v in pair):
            raise BadInput(f"{name} is {list(pair)!r}; give two counts of at least 0, (before, after).")
    if not all(math.isfinite(v) and v > 0 for v in lengths) or not 1 <= dispersion < math.inf:
        raise BadInput(f"lengths={lengths!r} and dispersion={dispersion!r} do not do; lengths are over 0, dispersion is at least 1.")
    if harm is not None and not 0 < harm < math.inf:
        raise BadInput(f"harm={harm!r} does not do; give the sum of squared weights over the sum of weights, above 0, or None for plain counts.")
    scale = lengths[1] / lengths[0]
    if lengths[1] == lengths[0]:
        scale = 1
    change = {name: pair[1] - scale * pair[0] for name, pair in pairs.items()}
    local, about = change["treated"] - change["control"], change["treated_about"] - change["control_about"]
    variance = sum(pair[1] + scale**2 * pair[0] for pair in pairs.values()) * (harm or 1.0) * dispersion
    if variance <= 0:
        raise CannotTell("No incident was counted in any area, before or after, so nothing can be said of a change; take larger areas or longer times.")
    estimate, se = local + about, math.sqrt(variance)
    z = estimate / se
    return Difference(estimate, se, z, math.erfc(abs(z) / math.sqrt(2)), estimate - _Z90 * se, estimate + _Z90 * se, local, about)


@recorded
def change(
    incidents: pl.DataFrame,
    asof: Moment,
    *,
    treated: Collection[str],
    control: Collection[str],
    start: Moment,
    treated_about: Collection[str] = (),
    control_about: Collection[str] = (),
    end: Moment | None = None,
    before: Span | None = None,
    by: str = "beat",
    periods: int = 12,
    zone: str = "UTC",
) -> Result:
    """Compare treated areas with others before and after something began.

    Args:
        incidents: canonical incidents with the column ``by``.
        asof: nothing known later is looked at.
        treated, control: areas where something was done, and areas like them where nothing was.
        treated_about, control_about: areas about each of them, for incidents that moved.
        start: when it began; ``end`` when it ended (None = asof).
        before: how long before is compared (None = the same length as after, of the same weeks just before).
        by: the column that names areas.
        periods: into so many spans the time before is cut to see whether counts swing more than chance; the variance is widened by it.
        zone: zone of the times in the sentence.

    Returns: a Result; its table has a row for each kind of area and one for the difference: area, before (scaled to the length of after), after, change,
    lower, upper (90 %), z, p.

    Raises:
        BadInput: an area is named twice, is not in the frame, or times do not lie in order. CannotTell: under 10 incidents in all, or records that hold less
            than half of the time before.

    Cost: O(rows). A difference is no proof of a cause: areas were not drawn by lot.
    """
    require(incidents, "started_at", by, what="incidents")
    at, first = moment(asof), moment(start, "start")
    last = min(at, moment(end, "end")) if end is not None else at
    if first >= last:
        raise BadInput(f"start {first:%Y-%m-%d %H:%M} is not before {last:%Y-%m-%d %H:%M}, so there is no time after; give an earlier start.")
    back = span(before, "before") if before is not None else last - first
    kinds = {"treated": treated, "control": control, "treated about": treated_about, "control about": control_about}
    _checked(kinds, incidents, by)
    known = known_before(incidents, at)
    notes = _reach(known, first, last, back)
    known = known.filter(pl.col("started_at") >= since(first, back), pl.col("started_at") < last)
    labels = {str(a): kind for kind, areas in kinds.items() for a in areas}
    rows = known.select("started_at", kind=pl.col(by).cast(pl.String).replace_strict(labels, default=None)).drop_nulls()
    counts = {k: (rows.filter(pl.col("kind") == k, pl.col("started_at") < first).height, rows.filter(pl.col("kind") == k, pl.col("started_at") >= first).height)
              for k in kinds}
    if sum(sum(c) for c in counts.values()) < _FEWEST:
        raise CannotTell(f"Only {rows.height} incidents lie in these areas from {since(first, back):%Y-%m-%d} to {last:%Y-%m-%d}; at least {_FEWEST} are "
                         "needed. Take longer times or a wider offence group.")
    swing = _swing(rows, first, back, periods)
    lengths = (back.total_seconds(), (last - first).total_seconds())
    found = wdd(counts["control"], counts["treated"], control_about=counts["control about"], treated_about=counts["treated about"], lengths=lengths,
                dispersion=swing)
    basis = Basis.of(
        incidents, method="weighted displacement difference (Poisson counts, widened where counts swing more)", source=SOURCE, used=rows.height,
        time="started_at", asof=at, notes=("Areas were not drawn by lot: what else changed in them in that time counts as if it were the treatment.",
                                           f"In the time before, counts varied {swing:.2f} times as much as chance alone.", *notes),
        parameters={**{k: sorted(str(a) for a in v) for k, v in kinds.items() if v}, "start": first, "end": last, "before": said(back), "by": by,
                    "periods": periods, "dispersion": round(swing, 3)})
    return Result(headline=_headline(found, counts, lengths, first, last), table=_table(counts, found, lengths, swing), layers=(), basis=basis,
                  base=origin_of(incidents).base)


def _checked(kinds: dict[str, Collection[str]], incidents: pl.DataFrame, by: str) -> None:
    known = set(incidents[by].cast(pl.String).drop_nulls().unique().to_list())
    seen: dict[str, str] = {}
    for kind, areas in kinds.items():
        if isinstance(areas, str):
            raise BadInput(f"{kind} is the text {areas!r}; give a list of areas, e.g. [{areas!r}].")
        if not areas and "about" not in kind:
            raise BadInput(f"No area is named as {kind}; name the {by}s, e.g. {kind}=['0412'].")
        for area in map(str, areas):
            if area in seen:
                raise BadInput(f"{by} {area!r} is named as {seen[area]} and as {kind}; it can be one only.")
            if area not in known:
                raise BadInput(f"There is no incident with {by} {area!r}.{did_you_mean(area, known)}")
            seen[area] = kind


def _reach(known: pl.DataFrame, first: datetime, last: datetime, back: timedelta) -> tuple[str, ...]:
    """What to say where the records do not hold the whole time before and after.

    Raises:
        CannotTell: they hold less than half of the time before.
    """
    oldest, newest = known["started_at"].min(), known["started_at"].max()
    if not isinstance(oldest, datetime) or not isinstance(newest, datetime):
        return ()
    missing = (oldest - first) / back + 1  # share of the time before that lies before the oldest record
    if missing > 0.5:
        raise CannotTell(f"The records begin on {oldest:%Y-%m-%d} and hold less than half of the {said(back)} before {first:%Y-%m-%d}, so that time would look "
                         "quieter than it was; give a shorter before=, or load earlier incidents.")
    notes = [f"The records begin on {oldest:%Y-%m-%d}, after the time before does: it may look quieter than it was."] if missing > 0.1 else []
    if (last - newest) / (last - first) > 0.1:
        notes.append(f"The newest incident is of {newest:%Y-%m-%d}; if the records end there, the time after looks quieter than it was.")
    return tuple(notes)


def _swing(rows: pl.DataFrame, first: datetime, back: timedelta, periods: int) -> float:
    """Variance over mean of the counts of the time before, pooled over kinds of area, at least 1."""
    if periods < 4:
        return 1.0
    past = rows.filter(pl.col("started_at") < first)
    each = ((pl.lit(first) - pl.col("started_at")).dt.total_microseconds() * periods // int(back / timedelta(microseconds=1) + 1)).clip(0, periods - 1)
    squares = means = 0.0
    for part in past.with_columns(period=each).partition_by("kind"):
        n = part.group_by("period").len()["len"].to_list()
        n += [0] * (periods - len(n))
        mean = sum(n) / periods
        squares += sum((v - mean) ** 2 for v in n) / (periods - 1)
        means += mean
    return max(1.0, squares / means) if means > 0 else 1.0


def _table(counts: dict[str, tuple[int, int]], found: Difference, lengths: tuple[float, float], swing: float) -> pl.DataFrame:
    scale = lengths[1] / lengths[0]
    rows: list[dict[str, Any]] = []
    for kind, (b, a) in counts.items():
        if b + a:
            se = math.sqrt((a + scale**2 * b) * swing)
            z = (a - scale * b) / se
            rows.append({"area": kind, "before": scale * b, "after": float(a), "change": a - scale * b, "lower": a - scale * b - _Z90 * se,
                         "upper": a - scale * b + _Z90 * se, "z": z, "p": math.erfc(abs(z) / math.sqrt(2))})
    rows.append({"area": "difference", "before": None, "after": None, "change": found.estimate, "lower": found.lower, "upper": found.upper, "z": found.z,
                 "p": found.p})
    return pl.DataFrame(rows, schema={"area": pl.String(), **{c: pl.Float64() for c in ("before", "after", "change", "lower", "upper", "z", "p")}})


def _headline(found: Difference, counts: dict[str, tuple[int, int]], lengths: tuple[float, float], first: datetime, last: datetime) -> str:
    scale, (b, a) = lengths[1] / lengths[0], counts["treated"]
    span_ = f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    size = f"{abs(found.estimate):.0f} {'fewer' if found.estimate < 0 else 'more'}"
    sure = f"90 % interval {found.lower:+.0f} to {found.upper:+.0f}"
    what = f"treated areas went from {scale * b:.0f} to {a} incidents {span_}"
    if found.lower <= 0 <= found.upper:
        return f"No change can be told from chance: {what}; beside the comparison areas that is {size} ({sure}, p = {found.p:.2f})."
    return f"Beside the comparison areas there were {size} incidents ({sure}, p = {found.p:.3f}): {what}."
