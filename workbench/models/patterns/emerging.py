"""Which places are becoming hot spots, stay hot, or cool down?

The period is cut into slices of equal length; in each slice every cell's Gi* is judged by its exact conditional permutation law (``hotspots.local``), and the
run of its Gi* over the slices by the Mann-Kendall trend test (H. B. Mann, *Econometrica* 13, 1945, 245-259, doi:10.2307/1907187; M. G. Kendall, *Rank
Correlation Methods*, 1975, with the variance for ties). A cell is then in one of the 17 categories that Esri documents for its tool "Emerging Hot Spot
Analysis" ("How Emerging Hot Spot Analysis works", ArcGIS Pro documentation, Space Time Pattern Mining toolbox); ``CATEGORIES`` says how each is decided.
Two things are done otherwise than there: a cell is compared with the other cells of its own slice, not of the whole cube, and significance is exact.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, CannotTell
from workbench.geo import Floats, Grid
from workbench.layers import Cells
from workbench.models.hotspots import _local
from workbench.models.patterns.expected import adjusted
from workbench.models.window import Moment, Past, Span, past, span
from workbench.models.wording import said
from workbench.results import Basis, Result, origin_of, recorded

TITLE = "Emerging hot spots"
#: What decides each hot category; cold ones are their mirror image. "90 %" is of all slices; the trend is of Gi* over all slices. The first that fits is taken.
CATEGORIES = {
    "new": "hot in the last slice, and in none before",
    "consecutive": "hot in an unbroken run of two or more slices up to the last, never before it, and in under 90 %",
    "intensifying": "hot in 90 % and in the last, and the trend rises significantly",
    "diminishing": "hot in 90 % and in the last, and the trend falls significantly",
    "persistent": "hot in 90 % and in the last, without a significant trend",
    "sporadic": "hot in the last, on and off before, in under 90 %, and never cold",
    "oscillating": "hot in the last, in under 90 %, and cold in some slice before",
    "historical": "hot in 90 %, but not in the last",
}
_LEAST, _SLICES = 30, 10


@recorded
def hot_spots(incidents: pl.DataFrame, grid: Grid, asof: Moment, *, slices: int = 12, length: Span = "28d", weights: str = "queen",
              distance: float | None = None, rate: float = 0.05, trend: float = 0.05, fdr: bool = True) -> Result:
    """Put every cell into one of the 17 categories.

    Args:
        incidents: started_at, lon, lat (and reported_at, ended_at where known).
        grid: cells; those outside its study area are left out.
        asof: the last slice ends here; nothing known later is used.
        slices, length: how many slices (at least 10) and how long each.
        weights, distance: neighbours, as for ``hotspots.local.getis``.
        rate: significance of a cell in a slice, two-sided; with ``fdr`` a false discovery rate over the cells of the slice.
        trend: two-sided significance of the Mann-Kendall trend.

    Returns: a Result; its table has a row a cell: cell, lon, lat, category ("new hot spot" ... "historical cold spot", "" = none), hot, cold (numbers of
    slices), last_z (Gi* in the last slice), trend_z, trend_p, counted.

    Raises:
        CannotTell: under 30 incidents, data that do not reach back over 10 slices, or as ``window.past``. BadInput: options out of range.

    Cost: O(slices x cells x neighbours).
    """
    schema.require(incidents, "started_at", "lon", "lat", what="The incidents frame")
    step = span(length, "length")
    if isinstance(slices, bool) or not isinstance(slices, int) or not _SLICES <= slices <= 500 or not 0 < rate < 1 or not 0 < trend < 1:
        raise BadInput(f"slices={slices!r}, rate={rate!r}, trend={trend!r} do not do: slices is a whole number from 10 to 500, the others lie between 0 and 1.")
    before = past(incidents, grid, asof, slices * step, least=_LEAST)
    if before.length < slices * step - step:
        raise CannotTell(f"The data reach back {said(timedelta(days=round(before.length / timedelta(days=1))))} before asof, which is less than "
                         f"{slices} slices of {said(step)}; use shorter slices or a later asof.")
    cells = np.flatnonzero(grid.inside)
    if len(cells) < 9:
        raise CannotTell(f"The area has {len(cells)} cells; at least 9 are needed to compare one with the others: use smaller cells.")
    z, state = _judged(before, grid, cells, slices, step, _local.offsets(weights, distance, grid.cell), rate, fdr)
    trend_z, trend_p = mann_kendall(z)
    category = categories(state, np.where(trend_p <= trend, np.sign(trend_z), 0.0))
    lon, lat = grid.centres()
    table = pl.DataFrame({
        "cell": cells, "lon": lon[cells], "lat": lat[cells], "category": category, "hot": (state > 0).sum(axis=0), "cold": (state < 0).sum(axis=0),
        "last_z": z[-1], "trend_z": trend_z, "trend_p": trend_p, "counted": np.bincount(before.cell, minlength=len(grid))[cells]})
    basis = Basis.of(
        incidents, method=f"Gi* in {slices} slices of {said(step)} (exact conditional permutation law), Mann-Kendall trend, Esri's categories",
        time="started_at", used=len(before), asof=before.asof, notes=before.notes,
        source="Ord and Getis 1995; Mann 1945; Kendall 1975; Esri, How Emerging Hot Spot Analysis works",
        parameters={"slices": slices, "length": said(step), "weights": weights, "distance": distance, "rate": rate, "fdr": fdr, "trend": trend,
                    "cell": f"{grid.cell:g} m"})
    shown = table.sort(pl.col("category") == "", pl.col("last_z").abs(), descending=[False, True], maintain_order=True)
    return Result(headline=_headline(table, slices, step, rate, fdr), table=shown, layers=_layers(table, grid), basis=basis, base=origin_of(incidents).base)


def _judged(before: Past, grid: Grid, cells: Any, slices: int, step: timedelta, steps: list[tuple[int, int]], rate: float, fdr: bool) -> tuple[Floats, Any]:
    """Gi* and state (1 hot, -1 cold, 0 neither) by slice and cell, oldest slice first; shape (slices, cells)."""
    back = np.ceil(before.age / step.total_seconds()).astype(np.int64) - 1
    z, state = np.zeros((slices, len(cells))), np.zeros((slices, len(cells)), dtype=np.int64)
    for k in range(slices):
        values = np.bincount(before.cell[back == slices - 1 - k], minlength=len(grid)).astype(float)
        sums, sizes = _local.over_grid(values, grid, steps)
        if np.ptp(values[cells]) == 0:
            continue
        judged = _local.judge(values[cells], sums[cells], sizes[cells], permutations=None, seed=0, threads=None)
        q = adjusted(judged.p) if fdr else judged.p
        z[k], state[k] = judged.star, np.where(q <= rate, np.where(judged.high < judged.low, 1, -1), 0)
    return z, state


def mann_kendall(values: Floats) -> tuple[Floats, Floats]:
    """(z, two-sided p) of the Mann-Kendall trend of each column, shape (n, columns); ties as in Kendall 1975, with continuity correction. O(n^2 columns)."""
    n, columns = values.shape
    s, ties = np.zeros(columns), np.zeros(columns)
    for i in range(n):
        s += np.sign(values[i + 1 :] - values[i]).sum(axis=0)
        same = (values == values[i]).sum(axis=0)
        ties += (same - 1) * (2 * same + 5)  # a group of t is met t times: t (t - 1) (2 t + 5) in all
    spread = np.sqrt(np.maximum(n * (n - 1) * (2 * n + 5) - ties, 0) / 18)
    z: Floats = np.divide(s - np.sign(s), spread, out=np.zeros(columns), where=spread > 0)
    return z, np.array([math.erfc(abs(v) / math.sqrt(2)) for v in z])


def categories(state: Any, direction: Any) -> list[str]:
    """The category of each column of states (1 hot, -1 cold, 0 neither; oldest slice first) with the sign of its significant trend, or 0; see CATEGORIES."""
    return [_category(state[:, k], direction[k]) for k in range(state.shape[1])]


def _category(state: Any, direction: float) -> str:
    for sign, word in ((1, "hot"), (-1, "cold")):
        if state[-1] == sign or (state[-1] == 0 and (state == sign).mean() >= 0.9):
            return f"{_kind(state * sign, direction * sign)} {word} spot"
    opposite = -int(state[-1])
    return f"historical {'hot' if opposite == 1 else 'cold'} spot" if opposite and (state == opposite).mean() >= 0.9 else ""


def _kind(state: Any, direction: float) -> str:
    hot = state == 1
    share, run = hot.mean(), len(hot) if hot.all() else int(np.argmin(hot[::-1]))
    if not hot[-1]:
        return "historical"
    if hot.sum() == 1:
        return "new"
    if share >= 0.9:
        return "intensifying" if direction > 0 else "diminishing" if direction < 0 else "persistent"
    if run >= 2 and hot.sum() == run:
        return "consecutive"
    return "oscillating" if (state == -1).any() else "sporadic"


def _headline(table: pl.DataFrame, slices: int, step: timedelta, rate: float, fdr: bool) -> str:
    found = table.filter(pl.col("category") != "").group_by("category").len().sort("len", "category", descending=[True, False])
    how = f"{slices} slices of {said(step)}, each judged at {100 * rate:g} % {'false discovery rate' if fdr else 'significance'}"
    if found.is_empty():
        return f"None of {len(table):,} cells shows a hot or cold spot pattern over {how}."
    return f"Of {len(table):,} cells, {', '.join(f'{n:,} {c}' for c, n in found.iter_rows())} over {how}."


def _layers(table: pl.DataFrame, grid: Grid) -> tuple[Cells, ...]:
    shown = table.filter(pl.col("category") != "").sort("cell")
    if shown.is_empty():
        return ()
    cells = shown["cell"].to_numpy()
    rows = zip(shown["category"], shown["hot"], shown["cold"], strict=True)
    return (Cells("Emerging hot spots", grid, cells, shown["last_z"].to_numpy(), unit="Gi* in the last slice", palette="change", marked=tuple(cells.tolist()),
                  tips=tuple(f"{c}: hot in {h}, cold in {k} slices" for c, h, k in rows)),)
