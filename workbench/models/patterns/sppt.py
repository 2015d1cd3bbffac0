"""Do two sets of incidents - two offences, or two years - lie in the same areas?

Andresen's spatial point pattern test: a share of the second set is drawn again and again, and an area is similar where the first set's percentage lies in the
interval of the drawn ones; S is the share of similar areas (M. A. Andresen, "Testing for similarity in area-based spatial patterns: A nonparametric Monte
Carlo approach", *Applied Geography* 29, 2009, 333-345, doi:10.1016/j.apgeog.2008.12.004; the robust S leaves out areas where neither set has an incident).
The variant that allows for chance in both sets compares the two proportions of every area by Fisher's exact test, at a false discovery rate (A. P. Wheeler,
W. Steenbeek and M. A. Andresen, "Testing for similarity in area-based spatial patterns: Alternative methods to Andresen's spatial point pattern test",
*Transactions in GIS* 22, 2018, 760-774, doi:10.1111/tgis.12341).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid, Ints, Polygon, locate, positions
from workbench.layers import Areas, Cells, Layer
from workbench.models.patterns.expected import adjusted
from workbench.models.window import Moment, known_before, moment
from workbench.models.wording import several
from workbench.results import Basis, Result, origin_of, recorded

TITLE = "Spatial point pattern test"
_LEAST = 20
#: Incidents in the middle area under which few areas could be shown to differ.
_FEW = 10


@recorded
def similarity(incidents: pl.DataFrame, others: pl.DataFrame, places: Grid | Mapping[str, Polygon], asof: Moment, *, method: str = "proportions",
               draws: int = 200, share: float = 0.85, level: float = 0.95, rate: float = 0.05, seed: int = 0) -> Result:
    """The S index of two sets of incidents, and the areas in which they differ.

    Args:
        incidents, others: the base and the test set; started_at, lon, lat. Each frame is taken whole, up to asof.
        places: a Grid, or areas by name (``geo.boundaries.on_day``).
        asof: nothing known at or after it is used.
        method: "proportions" (Fisher's exact test of each area, false discovery rate ``rate``) or "bootstrap" (Andresen: ``draws`` samples of ``share`` of
            the test set without replacement, the middle ``level`` of their percentages).
        seed: of the draws.

    Returns: a Result; its table has a row an area: cell or area, base, test (counts), base_percent, test_percent, low, high (bootstrap), p, q (proportions),
    and differs: -1 the test set's share is lower, 1 higher, 0 similar.

    Raises:
        CannotTell: under 20 incidents of a set in the areas, or under 2 areas. BadInput: options out of range, missing columns.

    Cost: O(incidents + areas x draws), or O(areas x most incidents of an area).
    """
    for frame, what in ((incidents, "The incidents frame"), (others, "The others frame")):
        schema.require(frame, "started_at", "lon", "lat", what=what)
    if method not in ("proportions", "bootstrap"):
        raise BadInput(f"method={method!r} is not known; choose 'proportions' or 'bootstrap'.")
    if not 0 < share < 1 or not 0 < level < 1 or not 0 < rate < 1 or isinstance(draws, bool) or not isinstance(draws, int) or draws < 2 / (1 - level):
        raise BadInput(f"draws={draws!r}, share={share!r}, level={level!r}, rate={rate!r} do not do: the last three lie between 0 and 1, and {level:g} needs "
                       f"at least {math.ceil(2 / (1 - min(level, 0.999)))} draws.")
    at = moment(asof)
    names: Any = np.flatnonzero(places.inside) if isinstance(places, Grid) else list(places)
    if len(names) < 2:
        raise CannotTell(f"There {'is one area' if len(names) else 'are no areas'}; at least two are needed to compare where incidents lie.")
    base, test = (_counted(frame, places, at, what) for frame, what in ((incidents, "first"), (others, "second")))
    columns: dict[str, Any] = {("cell" if isinstance(places, Grid) else "area"): names, "base": base, "test": test, "base_percent": 100 * base / base.sum(),
                               "test_percent": 100 * test / test.sum()}
    apart = np.sign(columns["test_percent"] - columns["base_percent"]).astype(np.int64)
    if method == "bootstrap":
        low, high = _interval(test, share, level, draws, np.random.default_rng(seed))
        columns |= {"low": low, "high": high}
        differs = np.where((columns["base_percent"] < low - 1e-12) | (columns["base_percent"] > high + 1e-12), apart, 0)
    else:
        held, p = base + test > 0, np.ones(len(base))
        p[held] = fisher(base[held], int(base.sum()), test[held], int(test.sum()))
        q = np.ones(len(base))
        q[held] = adjusted(p[held])
        columns |= {"p": p, "q": q}
        differs = np.where(held & (q <= rate), apart, 0)
    table = pl.DataFrame(columns | {"differs": differs})
    robust = table.filter(pl.col("base") + pl.col("test") > 0)
    s, sr = float((table["differs"] == 0).mean() or 0), float((robust["differs"] == 0).mean() or 0)  # type: ignore[arg-type]
    basis = Basis.of(incidents, others, method=f"spatial point pattern test, {method}", source="Andresen 2009; Wheeler, Steenbeek and Andresen 2018",
                     time="started_at", used=int(base.sum() + test.sum()), asof=at,
                     notes=("Areas with few incidents can hardly be told apart: similar means not shown to differ.",),
                     parameters={"method": method, "draws": draws, "share": share, "level": level, "rate": rate, "seed": seed, "areas": len(table), "s": s,
                                 "robust s": sr})
    order = table.sort(pl.col("differs") == 0, -(pl.col("base") + pl.col("test")), maintain_order=True)
    return Result(headline=_headline(table, robust, s, sr, method, level, rate), table=order,
                  layers=_layers(table, places), basis=basis, base=origin_of(incidents, others).base)


def _counted(frame: pl.DataFrame, places: Grid | Mapping[str, Polygon], asof: Any, what: str) -> Ints:
    known = known_before(frame, asof)
    if known.is_empty():
        raise CannotTell(f"Nothing of the {what} set was known before {asof:%Y-%m-%d %H:%M} UTC; choose a later asof or load incidents.")
    if isinstance(places, Grid):
        counts = places.count(known)[places.inside]
    else:
        found = locate(list(places.values()), *positions(known))
        counts = np.bincount(found[found >= 0], minlength=len(places)).astype(np.int64)
    if counts.sum() < _LEAST:
        raise CannotTell(f"{int(counts.sum())} of {len(known):,} incidents of the {what} set have a position in the areas; at least {_LEAST} are needed: use a "
                         "longer period or a wider offence group.")
    return counts


def _interval(test: Ints, share: float, level: float, draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The middle ``level`` of the percentages of samples without replacement; so many draws are cut off at each end."""
    size = max(1, int(round(share * int(test.sum()))))
    drawn = np.sort(rng.multivariate_hypergeometric(test, size, draws, method="marginals"), axis=0) * (100.0 / size)
    cut = int((1 - level) / 2 * draws + 1e-9)
    return drawn[cut], drawn[draws - 1 - cut]


def fisher(one: Ints, of_one: int, other: Ints, of_other: int) -> Floats:
    """Two-sided p of Fisher's exact test: ``one`` of ``of_one`` against ``other`` of ``of_other``, arrays of shape (n,).

    The sum of the chances of all tables that are no likelier than the one seen. O(sum of counts).
    """
    total = of_one + of_other
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])

    def choose(n: Any, k: Any) -> Any:
        return logs[n] - logs[k] - logs[n - k]

    out, kinds = np.empty(len(one)), {}
    for i, (a, b) in enumerate(zip(one.tolist(), other.tolist(), strict=True)):
        if (a, b) not in kinds:
            both = a + b
            k = np.arange(max(0, both - of_other), min(both, of_one) + 1)
            law = np.exp(choose(of_one, k) + choose(of_other, both - k) - choose(total, both))
            kinds[a, b] = min(1.0, float(law[law <= law[a - k[0]] * (1 + 1e-7)].sum()))
        out[i] = kinds[a, b]
    return out


def _headline(table: pl.DataFrame, robust: pl.DataFrame, s: float, sr: float, method: str, level: float, rate: float) -> str:
    more, less = int((table["differs"] > 0).sum()), int((table["differs"] < 0).sum())
    how = f"{100 * level:g} % of the draws" if method == "bootstrap" else f"Fisher's test at {100 * rate:g} % false discovery rate"
    where = (f"the second set has a larger share in {several(more, 'area')} and a smaller one in {several(less, 'area')}" if more + less
             else "no area is shown to differ")
    middle = float((robust["base"] + robust["test"]).median() or 0)  # type: ignore[arg-type]
    few = f" Half of these areas hold at most {middle:g} incidents, too few to show a difference; larger areas say more." if middle < _FEW else ""
    return (f"The two sets are similar in {100 * s:.0f} % of {len(table):,} areas (S = {s:.3f}; {100 * sr:.0f} % of the {len(robust):,} with any incident, "
            f"{how}); {where}.{few}")


def _layers(table: pl.DataFrame, places: Grid | Mapping[str, Polygon]) -> tuple[Layer, ...]:
    shown = table.with_row_index("at").filter(pl.col("differs") != 0)
    if shown.is_empty():
        return ()
    values = (shown["test_percent"] - shown["base_percent"]).to_numpy()
    tips = tuple(f"{a:.2g} % of the first set, {b:.2g} % of the second" for a, b in shown.select("base_percent", "test_percent").iter_rows())
    unit = "percentage points more in the second set"
    if isinstance(places, Grid):
        return (Cells("Where the two sets differ", places, shown["cell"].to_numpy(), values, unit=unit, tips=tips, palette="change"),)
    polygons = list(places.values())
    return (Areas("Where the two sets differ", tuple(polygons[i] for i in shown["at"]), ids=tuple(f"area:{n}" for n in shown["area"]), tips=tips,
                  values=tuple(values.tolist()), unit=unit, palette="change"),)
