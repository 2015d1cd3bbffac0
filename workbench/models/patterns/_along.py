"""Distances along streets, as a source of close pairs."""

from __future__ import annotations

import numpy as np
import polars as pl

from workbench.geo import Floats, Ints
from workbench.geo.network import StreetNetwork


class Along:
    """(lon, lat, radius) -> pairs of rows within that distance along the streets; ``far`` then counts the rows farther than ``limit`` metres from any."""

    def __init__(self, streets: pl.DataFrame, limit: float = 100.0) -> None:
        self.network, self.limit, self.far = StreetNetwork.of(streets), limit, 0

    def __call__(self, lon: Floats, lat: Floats, radius: float) -> tuple[Ints, Ints, Floats]:
        placed = self.network.place(pl.DataFrame({"lon": lon, "lat": lat}), limit=self.limit)
        self.far = placed.unplaced - int((~np.isfinite(lon)).sum())
        return self.network.pairs(placed, radius)
