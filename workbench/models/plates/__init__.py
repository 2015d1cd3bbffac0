"""Models of plates: where they were read, with whom, near what, and whether that is more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from workbench.models.plates._passages import Passages


def prepare(reads: pl.DataFrame, *, zone: str = "UTC", spot: float = 150.0) -> Passages:
    """Reads made ready to be asked many times; every model of plates takes them in place of the reads themselves.

    Args:
        reads: the reads table.
        zone: zone of the local day and hour of the day.
        spot: metres within which reads of moving readers count as one place (a moving reader has no place of its own).

    Raises:
        BadInput: columns are missing, or the zone is unknown.

    Cost: O(n log n); 10 M reads take about a second.
    """
    from workbench.models.plates._passages import Passages

    return Passages(reads, zone=zone, spot=spot)
