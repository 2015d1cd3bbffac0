"""Readers that move: their own fleet is read by all of them, and parked neighbours are read side by side; neither is a convoy."""

from __future__ import annotations

import numpy as np
import polars as pl

from workbench.geo import Plane, positions
from workbench.models.plates._convoy import Habits, Rules

_READERS = 4  # moving readers, and half of all, that have read a plate of their own fleet
_TIMES = 20.0  # and so many times the mean of all plates


def fleet(habits: Habits) -> dict[str, str]:
    """Plates that are read by most moving readers and far oftener than others, with the sentence; likely of the readers' own fleet. One pass over the reads."""
    kept = habits.passages.kept
    if "fleet" not in kept:
        frame = habits.passages.frame
        moving = frame.filter(pl.col("moving").fill_null(value=False) & pl.col("plate").is_not_null()) if "moving" in frame.columns else frame.clear()
        readers = moving["reader"].n_unique()
        per = moving.group_by(pl.col("plate").cast(pl.String)).agg(reads=pl.len(), readers=pl.col("reader").n_unique())
        mean = len(moving) / max(1, len(per))
        own = per.filter((pl.col("readers") >= max(_READERS, readers / 2)) & (pl.col("reads") >= _TIMES * mean))
        kept["fleet"] = {p: f"{p} was read {n} times by {k} of the {readers} moving readers, so it is likely of their own fleet" for p, n, k in own.iter_rows()}
    found: dict[str, str] = kept["fleet"]
    return found


def settled(habits: Habits, made: pl.DataFrame, rows: list[np.ndarray], rules: Rules, reach: float) -> pl.DataFrame:
    """The table with fleet vehicles and parked neighbours among the habitual.

    Args:
        rows: rows of the frame behind each pair.
        reach: metres within which places of moving readers are one.
    """
    own, kept = fleet(habits), habits.passages.kept
    if "moving" not in kept:
        kept["moving"] = (*positions(habits.passages.frame), habits.passages.frame["moving"].cast(pl.Boolean).fill_null(value=False).to_numpy())
    lon, lat, moving = kept["moving"]
    reasons = []
    for (plate, other, reason), which in zip(made.select("plate", "other", "reason").iter_rows(), rows, strict=True):
        said = reason or own.get(plate) or own.get(other) or ""
        if not said and moving[which].any():
            places = _places(lon[which], lat[which], reach)
            if places < rules.spots:
                said = f"read side by side at {places} place{'' if places == 1 else 's'} only, as parked neighbours are"
        reasons.append(said)
    out = made.with_columns(reason=pl.Series(reasons, dtype=pl.String)).with_columns(habitual=pl.col("reason") != "")
    return out.sort("habitual", maintain_order=True)


def _places(lon: np.ndarray, lat: np.ndarray, reach: float) -> int:
    """How many places lie further apart than ``reach`` metres, taken in the order given."""
    x, y = Plane.local(float(np.median(lat)), float(np.median(lon))).to_metres(lon, lat)
    chosen: list[tuple[float, float]] = []
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if all((a - c) ** 2 + (b - d) ** 2 > reach * reach for c, d in chosen):
            chosen.append((a, b))
    return len(chosen)
