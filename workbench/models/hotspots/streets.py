"""How concentrated are incidents on a few streets or addresses, and is that more than chance would give?

The share of places that holds a quarter, half and four fifths of the incidents, and the Gini coefficient, each beside what it is when the same number of
incidents falls anywhere with equal chance: with few incidents a small share of the streets always holds half of them. Sources: D. Weisburd, "The law of
crime concentration and the criminology of place", Criminology 53, 2015, 133-157, doi:10.1111/1745-9125.12070; where places outnumber incidents: W.
Bernasco and W. Steenbeek, "More places than crimes", Journal of Quantitative Criminology 33, 2017, 451-467, doi:10.1007/s10940-016-9324-7; counts beside
those of a Poisson: J. Hipp and Y.-A. Kim, "Measuring crime concentration across cities of varying sizes", same journal 33, 2017, 595-632,
doi:10.1007/s10940-016-9328-3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from workbench import layers
from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Floats, Grid, Hexagons, Ints
from workbench.geo.network import StreetNetwork
from workbench.geo.segments import Segments
from workbench.models.wording import several
from workbench.results import Basis, Matrix, Ranking, origin_of, recorded

TITLE = "Concentration on streets"
SOURCE = "Weisburd 2015; Bernasco and Steenbeek 2017; Hipp and Kim 2017"
_LEAST = 10


@recorded
def concentration(
    incidents: pl.DataFrame,
    streets: pl.DataFrame | StreetNetwork | None = None,
    *,
    tiling: Grid | Hexagons | None = None,
    column: str = "address",
    places: int | None = None,
    shares: tuple[float, ...] = (0.25, 0.5, 0.8),
    even: str = "place",
    limit: float = 100.0,
    draws: int = 199,
    seed: int = 0,
) -> Matrix:
    """Which share of the places holds a given share of the incidents, and what chance gives.

    Args:
        incidents: lon, lat for streets and tilings; ``column`` for addresses.
        streets: the table ``streets`` or a network: places are street segments, corner to corner. Without it, and without ``tiling``, places are the values
            of ``column``.
        tiling: squares or hexagons as places.
        column: where neither is given, the column that names the place (spaces and case do not matter).
        places: how many places of that kind there are, those without an incident included; None = only those that occur (the sentence says so).
        shares: shares of the incidents.
        even: what has the same chance under chance: "place" (each place), or for streets "length" (each metre, so that long ones hold more).
        limit: for streets, metres within which the nearest must lie.
        draws: how many times chance is played, and places are drawn anew for the intervals.
        seed: of both.

    Returns: a Matrix. ``table``: measure, observed, lower and upper (90 %, places drawn with replacement), chance, chance_lower, chance_upper (mean and middle
    90 % of the draws), p (share of draws at least as concentrated, both counted). ``scores``: the Lorenz curve (series, places, incidents), most first:
    observed, chance, and the most even there can be.

    Raises:
        CannotTell: under 10 incidents can be placed, or all lie on one place. BadInput: columns, shares or draws that cannot be used.

    Cost: O(draws x places log places).
    """
    if not shares or not all(isinstance(s, (int, float)) and 0 < s < 1 for s in shares):
        raise BadInput(f"shares={shares!r} do not do; give shares of the incidents between 0 and 1, e.g. (0.25, 0.5, 0.8).")
    if isinstance(draws, bool) or not isinstance(draws, int) or not 19 <= draws <= 100_000:
        raise BadInput(f"draws={draws!r} does not do; give a whole number from 19 to 100,000.")
    found = _Places.of(incidents, streets, tiling, column, limit)
    counts = found.with_all(places)
    weight = found.weights(even)
    n, many = int(counts.sum()), len(counts)
    if n < _LEAST:
        raise CannotTell(f"{n} of {len(incidents)} incidents can be placed on {found.words}{found.lost}. At least {_LEAST} are needed: use a longer period "
            "or a wider "
                         "offence group.")
    if int((counts > 0).sum()) < 2:
        raise CannotTell(f"All {n} incidents lie on one place ({found.label(int(np.argmax(counts)))}), so there is no spread to measure; check how they "
            "were given positions.")
    rng = np.random.default_rng(seed)
    observed = _measures(counts, shares)
    again, chance = _drawn(counts, shares, draws, rng, weight)
    names = [f"share of {found.words} with {100 * s:g} % of incidents" for s in shares] + ["Gini", "generalized Gini"]
    tail = [(1 + int((c <= o + 1e-12).sum() if k < len(shares) else (c >= o - 1e-12).sum())) / (draws + 1) for k, (o, c) in enumerate(zip(observed, chance.T,
        strict=True))]
    table = pl.DataFrame({
        "measure": names, "observed": observed, "lower": np.quantile(again, 0.05, axis=0), "upper": np.quantile(again, 0.95, axis=0),
        "chance": chance.mean(axis=0), "chance_lower": np.quantile(chance, 0.05, axis=0), "chance_upper": np.quantile(chance, 0.95, axis=0), "p": tail})
    middle = min(range(len(shares)), key=lambda k: abs(shares[k] - 0.5))
    row = table.row(middle, named=True)
    verdict = ("more than chance alone would put together" if row["p"] <= 0.05 else "which chance alone could put together as well")
    headline = (
        f"{100 * shares[middle]:g} % of the {n:,} incidents lie on {100 * row['observed']:.1f} % of the {many:,} {found.words}{found.known(places)} "
        f"(90 % interval {100 * row['lower']:.1f} to {100 * row['upper']:.1f} %), {verdict}: if every {'one' if weight is None else 'metre'} had the same "
        "chance, "
        f"they would lie on {100 * row['chance']:.1f} % (p = {row['p']:.3f}). Gini {observed[-2]:.2f}"
        + (f"; against the most even spread that {n:,} incidents allow {observed[-1]:.2f}." if n < many else ".")
    )
    notes = (*found.notes, *_spoken(counts, found.words))
    basis = Basis.of(incidents, method=f"Lorenz curve of incidents over {found.words}", source=SOURCE, used=n, time="started_at", notes=notes, parameters={
        "places": many, "with any": int((counts > 0).sum()), "shares": list(shares), "draws": draws, "seed": seed, "even": even, **found.parameters})
    return Matrix(headline=headline, table=table, layers=found.layers(), basis=basis, base=origin_of(incidents).base,
                  scores=_curves(counts, rng, weight))


@recorded
def repeats(incidents: pl.DataFrame, streets: pl.DataFrame | StreetNetwork | None = None, *, tiling: Grid | Hexagons | None = None, column: str = "address",
            places: int | None = None, least: int = 2, most: int = 50, limit: float = 100.0) -> Ranking:
    """The places where incidents came again, most first; arguments as for ``concentration``.

    Args:
        least: a place is shown from so many incidents on.
        most: rows of the table.

    Returns: a Ranking; ``table``: rank, place, label, lon, lat, incidents, first_at and last_at (where started_at is there), share_so_far, chance (Poisson
    chance that one place has as many, all having the same expectation), as_many (how many of all places have as many) and as_many_by_chance (how many would).

    Raises:
        CannotTell: no incident can be placed, or no place has ``least``. BadInput: columns or numbers that cannot be used.
    """
    for what, value in (("least", least), ("most", most)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BadInput(f"{what}={value!r} does not do; give a whole number of at least 1.")
    found = _Places.of(incidents, streets, tiling, column, limit)
    counts = found.with_all(places)
    n, many = int(counts.sum()), len(counts)
    order = np.argsort(-counts, kind="stable")
    again = int((counts >= least).sum())
    if not n or not again:
        raise CannotTell(f"None of the {many:,} {found.words} has {least} or more of the {n} incidents that can be placed{found.lost}; use a longer period "
            "or a wider offence group.")
    shown = order[: min(most, again)]
    tails = _at_least(int(counts.max()), n / many)
    held = int(counts[counts >= least].sum())
    by_chance = many * tails[least]
    table = pl.DataFrame({
        "rank": np.arange(1, len(shown) + 1), "place": shown, "label": [found.label(int(p)) for p in shown], **found.where(shown), "incidents": counts[shown],
        **found.when(incidents, shown), "share_so_far": np.cumsum(counts[shown]) / n, "chance": tails[counts[shown]],
        "as_many": [int((counts >= c).sum()) for c in counts[shown]], "as_many_by_chance": many * tails[counts[shown]]})
    headline = (
        f"{again:,} of {many:,} {found.words}{found.known(places)} have {least} or more of the {n:,} incidents and hold {100 * held / n:.0f} % of them; if "
        "every one had the "
        f"same chance, about {by_chance:,.0f} would. The most, {counts[order[0]]:,}, lie at {found.label(int(order[0]))}."
    )
    basis = Basis.of(incidents, method=f"incidents counted by place ({found.words})", source=SOURCE, used=n, time="started_at", notes=found.notes,
                     parameters={"places": many, "least": least, **found.parameters})
    return Ranking(headline=headline, table=table, layers=found.layers(shown), basis=basis, base=origin_of(incidents).base)


def lorenz(counts: Any) -> tuple[Floats, Floats]:
    """(share of places, share of incidents) from the fullest place on, each of shape (places + 1,), beginning with 0. O(n log n)."""
    falling = np.sort(np.asarray(counts, dtype=float))[::-1]
    return np.linspace(0.0, 1.0, len(falling) + 1), np.concatenate([[0.0], np.cumsum(falling)]) / max(float(falling.sum()), 1e-300)


def gini(counts: Any, *, generalized: bool = False) -> float:
    """The Gini coefficient: 0 all alike, near 1 all on one place.

    With ``generalized`` against the most even spread of n whole incidents over P places: ``max(P / n, 1) (G - 1) + 1`` (Bernasco and Steenbeek 2017), which is
    G itself where incidents outnumber places. O(n log n).
    """
    x = np.sort(np.asarray(counts, dtype=float))
    total, many = float(x.sum()), len(x)
    if total <= 0:
        return math.nan
    g = float(((2 * np.arange(1, many + 1) - many - 1) * x).sum()) / (many * total)
    return max(many / total, 1.0) * (g - 1) + 1 if generalized else g


def _measures(counts: Any, shares: tuple[float, ...]) -> list[float]:
    """Share of places for each share of incidents (between whole places straight), Gini, generalized Gini."""
    places, held = lorenz(counts)
    use = np.flatnonzero(np.diff(held, prepend=-1.0) > 0)
    return [*(float(np.interp(s, held[use], places[use])) for s in shares), gini(counts), gini(counts, generalized=True)]


def _thrown(n: int, many: int, rng: np.random.Generator, weight: Floats | None) -> Ints:
    """n incidents over the places, each with the same chance or in proportion to its weight."""
    at = rng.integers(0, many, n) if weight is None else np.searchsorted(np.cumsum(weight[:-1]) / weight.sum(), rng.random(n), side="right")
    return np.bincount(at, minlength=many).astype(np.int64)


def _drawn(counts: Ints, shares: tuple[float, ...], draws: int, rng: np.random.Generator, weight: Floats | None) -> tuple[Floats, Floats]:
    """The measures of places drawn with replacement, and of as many incidents that fell by chance; shape (draws, measures) each."""
    n, many = int(counts.sum()), len(counts)
    again, chance = [], []
    for _ in range(draws):
        some = counts[rng.integers(0, many, many)]
        again.append(_measures(some if some.sum() else counts, shares))
        chance.append(_measures(_thrown(n, many, rng, weight), shares))
    return np.array(again), np.array(chance)


def _curves(counts: Ints, rng: np.random.Generator, weight: Floats | None) -> pl.DataFrame:
    n, many = int(counts.sum()), len(counts)
    even = np.full(many, n // many)
    even[: n % many] += 1
    frames = []
    at = np.unique(np.linspace(0, many, min(many, 400) + 1).astype(int))
    for series, values in (("observed", counts), ("chance", _thrown(n, many, rng, weight)), ("most even", even)):
        places, held = lorenz(values)
        frames.append(pl.DataFrame({"series": [series] * len(at), "places": places[at], "incidents": held[at]}))
    return pl.concat(frames)


def _at_least(top: int, mean: float) -> Floats:
    """P(a Poisson count is at least k) for k = 0 .. top + 1."""
    p, out = math.exp(-mean), [1.0]
    log = -mean
    total = 0.0
    for k in range(top + 1):
        total += p
        out.append(max(0.0, 1.0 - total))
        log += math.log(mean) - math.log(k + 1)
        p = math.exp(log)
    for k in range(top + 1, 0, -1):  # far out, where 1 - total is rounding only: the tail as a series
        if out[k] < 1e-9:
            out[k] = _series(k, mean)
    return np.array(out)


def _series(k: int, mean: float) -> float:
    term = math.exp(k * math.log(mean) - mean - math.lgamma(k + 1))
    total, j = term, k + 1
    while term > total * 1e-15 and j < k + 1000:
        term *= mean / j
        total += term
        j += 1
    return total


def _spoken(counts: Ints, words: str) -> tuple[str, ...]:
    n, many = int(counts.sum()), len(counts)
    tails = _at_least(2, n / many)
    none, two = int((counts == 0).sum()), int((counts >= 2).sum())
    return (f"{none:,} {words} have none (a Poisson spread gives {many * (1 - tails[1]):,.0f}), {two:,} have two or more ({many * tails[2]:,.0f}).",)


class _Places:
    """What the places are: the place of each incident, and how to say and draw one."""

    def __init__(self, words: str, at: Ints, count: int, parameters: dict[str, Any], notes: tuple[str, ...], lost: str) -> None:
        self.words, self.at, self.parameters, self.notes, self.lost = words, at, parameters, notes, lost
        self.counts: Ints = np.bincount(at[at >= 0], minlength=count).astype(np.int64)
        self.names: list[str] = []
        self.tiling: Grid | Hexagons | Segments | None = None
        self.spots: tuple[Floats, Floats] | None = None

    @classmethod
    def of(cls, incidents: pl.DataFrame, streets: pl.DataFrame | StreetNetwork | None, tiling: Grid | Hexagons | None, column: str, limit: float) -> _Places:
        if streets is not None and tiling is not None:
            raise BadInput("streets and tiling were both given; places are one or the other.")
        if streets is not None:
            return cls._on_streets(incidents, streets, limit)
        if tiling is not None:
            at = tiling.locate(incidents)
            kept = np.flatnonzero(tiling.inside)
            number = np.full(len(tiling), -1, dtype=np.int64)
            number[kept] = np.arange(len(kept))
            at = np.where(at >= 0, number[at], -1)
            far = int((at < 0).sum())
            made = cls("squares" if isinstance(tiling, Grid) else "hexagons", at, len(kept), {}, _lost(far, len(incidents),
                "outside the area or without a position"),
                       f"; {far} lie outside the area or have no position" if far else "")
            made.tiling, made.kept = tiling, kept
            return made
        return cls._by_name(incidents, column)

    kept: Ints | None = None

    @classmethod
    def _on_streets(cls, incidents: pl.DataFrame, streets: pl.DataFrame | StreetNetwork, limit: float) -> _Places:
        network = streets if isinstance(streets, StreetNetwork) else StreetNetwork.of(streets)
        placed = network.place(incidents, limit=limit)
        far = placed.unplaced
        made = cls("street segments", placed.segment, len(network), {"limit": limit, "km of street": round(network.length_km, 1)},
                   _lost(far, len(incidents), f"without a position or farther than {limit:g} m from any street"),
                   f"; {far} have no position or lie farther than {limit:g} m from any street" if far else "")
        made.tiling = Segments(network)
        made.names = [f"{name or 'street'} ({key})" for name, key in zip(network.names, network.ids, strict=True)]
        return made

    @classmethod
    def _by_name(cls, incidents: pl.DataFrame, column: str) -> _Places:
        if column not in incidents.columns:
            raise BadInput(f"The frame has no column {column!r} to tell places apart.{did_you_mean(column, incidents.columns)} Give streets=, tiling= or "
                "column=.")
        name = incidents[column].cast(pl.String).str.strip_chars().str.replace_all(r"\s+", " ").str.to_uppercase()
        name = name.set(name == "", None)
        known = name.drop_nulls().unique().sort()
        at = pl.DataFrame({"n": name}).join(pl.DataFrame({"n": known, "k": np.arange(len(known))}), on="n", how="left", maintain_order="left")["k"]
        number = at.fill_null(-1).to_numpy().astype(np.int64)
        far = int((number < 0).sum())
        made = cls("addresses" if column == "address" else f"places ({column})", number, len(known), {"column": column},
                   _lost(far, len(incidents), f"without {column}"), f"; {far} have no {column}" if far else "")
        made.names = known.to_list()
        if {"lon", "lat"} <= set(incidents.columns) and len(known):
            ok = number >= 0
            where = incidents.select(pl.col("lon", "lat").cast(pl.Float64)).filter(pl.Series(ok, dtype=pl.Boolean)).with_columns(k=pl.Series(number[ok]))
            middle = pl.DataFrame({"k": np.arange(len(known))}).join(where.group_by("k").agg(pl.col("lon", "lat").median()), on="k", how="left",
                maintain_order="left")
            made.spots = tuple(middle[c].fill_null(math.nan).to_numpy() for c in ("lon", "lat"))  # type: ignore[assignment]
        return made

    def with_all(self, places: int | None) -> Ints:
        """Counts of all places; ``places`` adds those that never occur."""
        if places is None or self.tiling is not None:
            return self.counts
        if isinstance(places, bool) or not isinstance(places, int) or places < len(self.counts):
            raise BadInput(f"places={places!r} does not do: {len(self.counts)} {self.words} occur; give how many there are in all, or None.")
        return np.concatenate([self.counts, np.zeros(places - len(self.counts), dtype=np.int64)])

    def weights(self, even: str) -> Floats | None:
        """What chance goes by, one a place; None = all alike."""
        if even not in ("place", "length"):
            raise BadInput(f"even={even!r} is not known; choose 'place' or, for streets, 'length'.")
        if even == "place":
            return None
        if not isinstance(self.tiling, Segments):
            raise BadInput("even='length' needs streets=; squares, hexagons and addresses have no length.")
        return self.tiling.length

    def known(self, places: int | None) -> str:
        """What to add to the number of places in a sentence."""
        return " that occur in the data" if self.tiling is None and places is None else ""

    def label(self, place: int) -> str:
        """A place for people."""
        if place < len(self.names):
            return self.names[place]
        if self.tiling is None:
            return "a place without incidents"
        return f"{'square' if self.words == 'squares' else 'hexagon'} {self._tile(np.array([place]))[0]}"

    def _tile(self, places: Ints) -> Ints:
        return places if self.kept is None else self.kept[places]

    def where(self, places: Ints) -> dict[str, Any]:
        """Columns lon and lat of some places, where they are known."""
        spots = self.spots if self.tiling is None else self.tiling.centres()
        return {} if spots is None else dict(zip(("lon", "lat"), (pl.Series(v[self._tile(places)]).fill_nan(None) for v in spots), strict=True))

    def when(self, incidents: pl.DataFrame, places: Ints) -> dict[str, Any]:
        """Columns first_at and last_at of some places, where incidents have times."""
        if "started_at" not in incidents.columns:
            return {}
        by = pl.DataFrame({"k": self.at, "t": incidents["started_at"]}).group_by("k").agg(first_at=pl.col("t").min(), last_at=pl.col("t").max())
        rows = pl.DataFrame({"k": places.astype(np.int64)}).join(by, on="k", how="left", maintain_order="left")
        return {"first_at": rows["first_at"], "last_at": rows["last_at"]}

    def layers(self, places: Ints | None = None) -> tuple[layers.Layer, ...]:
        """The places that have any (or those given), coloured by their incidents."""
        shown = np.flatnonzero(self.counts) if places is None else np.sort(places[places < len(self.counts)])
        tips = tuple(f"{self.label(int(p))}: {several(int(self.counts[p]), 'incident')}" for p in shown)
        name = f"Incidents by {self.words.removesuffix('es') if self.words == 'addresses' else self.words.removesuffix('s')}"
        if self.tiling is not None:
            values = np.zeros(len(self.tiling))
            values[self._tile(np.arange(len(self.counts)))] = self.counts
            return (layers.tiles(name, self.tiling, values, shown=self._tile(shown), unit="incidents", tips=tips),)
        if self.spots is None:
            return ()
        lon, lat = (v[shown] for v in self.spots)
        return (layers.Points(name, lon, lat, ids=tuple(f"address:{self.names[int(p)]}" for p in shown), tips=tips, kind="address",
                              weights=self.counts[shown].astype(float)),)


def _lost(n: int, rows: int, why: str) -> tuple[str, ...]:
    return (f"{n} of {rows} incidents are {why}; they are not counted.",) if n else ()
