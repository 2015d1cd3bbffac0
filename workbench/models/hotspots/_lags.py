"""What earlier incidents say of a cell: counts that fade at several speeds, in the cell itself and spread over its neighbourhood.

Every feature is an expected count of one horizon, were it alone: the faded count over the time that it stands for, spread by a Gaussian that gives
back to the study area what would fall outside it (M. C. Jones, Statistics and Computing 3, 1993, 135-146). So a feature's total over the area is
the faded count's, whatever the bandwidth.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from workbench.errors import BadInput
from workbench.geo import Floats, Grid, Ints
from workbench.models.hotspots._products import ALONE
from workbench.models.window import Past, Span, span

DAY = 86400.0
_REACH = 4.0  # bandwidths after which the kernel is cut; what is left is scaled to a sum of 1
_BLOCK = 32
_YEAR = 365.25 * DAY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABOUT = 28 * DAY  # days about the same time of earlier years that make the season


@dataclass(frozen=True)
class Lags:
    """Which features there are.

    Args:
        half_lives: seconds after which an incident counts half, rising; inf = all alike.
        bandwidths: standard deviations in metres, rising; 0 = the cell alone.
        season: whether the counts about the same time of earlier years are one of them.
    """

    half_lives: tuple[float, ...]
    bandwidths: tuple[float, ...]
    season: bool

    @property
    def names(self) -> tuple[str, ...]:
        """What each feature is, in the order of the columns."""
        where = ["own cell" if b == 0 else f"within some {b:.0f} m" for b in self.bandwidths]
        when = ["all alike" if math.isinf(h) else f"half-life {h / DAY:.3g} d" for h in self.half_lives]
        return (*(f"{t}, {w}" for t in when for w in where), *((f"same season, {where[-1]}",) if self.season else ()), "even over the area")

    def __len__(self) -> int:
        return len(self.half_lives) * len(self.bandwidths) + self.season + 1


def half_lives(given: Sequence[Span | None], horizon: timedelta) -> tuple[float, ...]:
    """Half-lives in seconds, with the horizon's own length among them unless one is near it.

    Raises:
        BadInput: none given, or one is no length of time.
    """
    if isinstance(given, str) or not len(given):
        raise BadInput(f"half_lives={given!r} does not do; give several lengths of time, e.g. ('7d', '90d', None); None = all alike.")
    found = {math.inf if h is None else span(h, "half_lives").total_seconds() for h in given}
    ahead = horizon.total_seconds()
    if all(not 0.6 < h / ahead < 1.7 for h in found) and ahead < 400 * DAY:
        found.add(ahead)
    return tuple(sorted(found))


def bandwidths(given: Sequence[float], grid: Grid) -> tuple[float, ...]:
    """Bandwidths with 0 before them; those under two fifths of a cell or over half the area's longer side are left out.

    Raises:
        BadInput: one is no positive number.
    """
    wrong = [b for b in given if isinstance(b, (str, bool)) or not (math.isfinite(b) and b >= 0)] if not isinstance(given, str) else [given]
    if wrong:
        raise BadInput(f"A bandwidth of {wrong[0]!r} does not do; give metres, e.g. bandwidths=(150, 300, 600, 1200).")
    longest = max(grid.nx, grid.ny) * grid.cell / 2
    return (0.0, *sorted({float(b) for b in given if 0.4 * grid.cell <= b <= longest}))


class Spreading:
    """Gaussian spreading of values by cell over the cells of one grid, in two passes of banded products."""

    def __init__(self, grid: Grid, bandwidth: float) -> None:
        self.shape = (grid.ny, grid.nx)
        self.kernel = _kernel(grid.cell, bandwidth)
        self.reach = len(self.kernel) // 2
        self.band = np.zeros((_BLOCK, _BLOCK + 2 * self.reach))
        for i in range(_BLOCK):
            self.band[i, i : i + len(self.kernel)] = self.kernel
        self.tile = max(8, min(128, ALONE // self.band.size // 8 * 8))
        self.inside = grid.inside.reshape(self.shape)
        mass = self._blur(self.inside.astype(float)[None])[0]
        self.share = np.where(self.inside, 1.0 / np.maximum(mass, 1e-9), 0.0)

    def __call__(self, values: Floats) -> Floats:
        """Values of shape (m, cells) spread over the cells inside; each row keeps its sum over the cells inside. O(m x cells x reach)."""
        out: Floats = self._blur(values.reshape(-1, *self.shape) * self.share)
        out *= self.inside
        return out.reshape(len(values), -1)

    def _blur(self, values: Floats) -> Floats:
        down = self._along(values)
        out: Floats = self._along(down.transpose(0, 2, 1)).transpose(0, 2, 1)
        return out

    def _along(self, values: Floats) -> Floats:
        """Spread along the middle axis of (m, rows, columns), in products small enough for one thread (see ``_products``)."""
        (m, n, width), r, tile = values.shape, self.reach, self.tile
        wide = -(-width // tile) * tile
        padded = np.zeros((m, n + 2 * r, wide))
        padded[:, r : r + n, :width] = values
        out = np.empty((m, n, wide))
        given, made = (a.reshape(m, -1, wide // tile, tile).transpose(0, 2, 1, 3) for a in (padded, out))
        for a in range(0, n, _BLOCK):
            b = min(n, a + _BLOCK)
            np.matmul(self.band[: b - a, : b - a + 2 * r], given[:, :, a : b + 2 * r], out=made[:, :, a:b])
        return out[:, :, :width]


@lru_cache(maxsize=16)
def spreading(grid: Grid, bandwidth: float) -> Spreading:
    """The same, kept because a back-test asks for the same grid again and again."""
    return Spreading(grid, bandwidth)


def _kernel(cell: float, h: float) -> Floats:
    reach = max(1, math.ceil(_REACH * h / cell))
    edges = np.array([math.erf((k - 0.5) * cell / h / math.sqrt(2)) for k in range(-reach, reach + 2)])
    kernel: Floats = np.diff(edges) / (edges[-1] - edges[0])
    return kernel


def standing(half_life: float, length: float) -> float:
    """The time in seconds that faded counts of ``length`` seconds stand for."""
    if math.isinf(half_life):
        return length
    fade = math.log(2) / half_life
    return -math.expm1(-fade * length) / fade


def faded(cell: Ints, age: Floats, length: float, lags: Lags, cells: int, horizon: float) -> Floats:
    """Counts by cell for each half-life, as expected counts of one horizon: shape (half-lives, cells). O(half-lives x (n + cells))."""
    out = np.empty((len(lags.half_lives), cells))
    for k, h in enumerate(lags.half_lives):
        weights = None if math.isinf(h) else np.exp(-math.log(2) / h * age)
        out[k] = np.bincount(cell, weights=weights, minlength=cells)
        out[k] *= horizon / standing(h, length)
    return out


def season(cell: Ints, age: Floats, length: float, cells: int, horizon: float) -> Floats | None:
    """Counts by cell about the same time of earlier years, as expected counts of one horizon, shape (cells,); None when under a year is known."""
    use, time = np.zeros(len(age), dtype=bool), 0.0
    for years in range(1, 1 + int((length - _ABOUT) / _YEAR)):
        low, high = years * _YEAR - horizon - _ABOUT, years * _YEAR + _ABOUT
        use |= (age >= low) & (age < high)
        time += high - low
    if not time:
        return None
    found: Floats = np.bincount(cell[use], minlength=cells).astype(float) * (horizon / time)
    return found


def at_cells(cell: Ints, age: Floats, length: float, lags: Lags, grid: Grid, horizon: float, cells: Ints) -> tuple[Floats, Floats]:
    """The features of some cells, shape (len(cells), len(lags)), and the total of each over the area, shape (len(lags),).

    O(half-lives x bandwidths x cells of the grid x reach).
    """
    counts = faded(cell, age, length, lags, len(grid), horizon)
    columns: list[Any] = [[None] * len(lags.bandwidths) for _ in lags.half_lives]
    for j, b in enumerate(lags.bandwidths):
        values = (counts if b == 0 else spreading(grid, b)(counts))[:, cells]
        for k in range(len(lags.half_lives)):
            columns[k][j] = values[k]
    totals = np.repeat(counts.sum(axis=1), len(lags.bandwidths)).tolist()
    found = [c for row in columns for c in row]
    if lags.season:
        about = season(cell, age, length, len(grid), horizon)
        about = np.zeros(len(grid)) if about is None else about
        found.append((about if lags.bandwidths[-1] == 0 else spreading(grid, lags.bandwidths[-1])(about[None])[0])[cells])
        totals.append(float(about.sum()))
    total = len(cell) * horizon / length
    found.append(np.full(len(cells), total / grid.n_inside))
    return np.column_stack(found), np.array([*totals, total])


def mixed(cell: Ints, age: Floats, length: float, lags: Lags, grid: Grid, horizon: float, weights: Floats) -> Floats:
    """The weighted sum of the features in every cell, shape (len(grid),). O(bandwidths x cells x reach)."""
    counts = faded(cell, age, length, lags, len(grid), horizon)
    of = weights[: len(lags.half_lives) * len(lags.bandwidths)].reshape(len(lags.half_lives), len(lags.bandwidths))
    expected = np.where(grid.inside, weights[-1] * len(cell) * horizon / length / grid.n_inside, 0.0)
    last = np.asarray(of.T @ counts, dtype=np.float64)
    if lags.season and weights[-2] > 0:
        about = season(cell, age, length, len(grid), horizon)
        last[-1] += 0.0 if about is None else weights[-2] * about
    for j, b in enumerate(lags.bandwidths):
        expected += last[j] if b == 0 else spreading(grid, b)(last[[j]])[0]
    return expected


def settled(before: Past) -> Past:
    """The same past as known at the last of fixed moments four weeks apart (a week for windows under 280 days; under 70 days as it is), counted from 1970.

    What is learned there is the same for every asof until the next such moment: the window is shorter by that step, so that it begins after asof's.
    """
    step = next((timedelta(days=d) for d in (28, 7) if before.window >= timedelta(days=10 * d)), None)
    return before if step is None else before.back(before.asof - (before.asof - _EPOCH) % step, before.window - step)


def mark(known: Past, grid: Grid, *more: object) -> tuple[bytes, Floats, Floats]:
    """A key that is the same for the same past on the same grid with the same ``more``; and age and known in seconds, rounded to milliseconds."""
    age, since = (np.rint(a * 1e3).astype(np.int64) for a in (known.age, known.known))
    key = hashlib.blake2b(digest_size=16)
    told = (grid.x0, grid.y0, grid.nx, grid.ny, grid.cell, grid.plane.crs, round(known.length.total_seconds(), 3), *more)
    for piece in (repr(told).encode(), grid.inside.tobytes(), known.cell.tobytes(), age.tobytes(), since.tobytes()):
        key.update(piece)
    return key.digest(), age / 1e3, since / 1e3
