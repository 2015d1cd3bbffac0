"""Do positions say where it happened, or where a geocoder gave up?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from workbench.geo import Plane, positions
from workbench.intake.quality.finding import Finding, Looked, percent

#: A point is crowded when it holds this share of the rows with a place, and at least so many.
SHARE, FEWEST = 0.005, 25
#: Addresses that share a default position; a real one has one or a few spellings.
ADDRESSES = 8
#: A place this many times as far from the middle as half of all places are lies far off.
FAR = 15.0


def crowded(looked: Looked) -> Iterator[Finding]:
    """Points that hold too many rows: default geocodes where many addresses share one point, else addresses that are busy indeed."""
    frame = looked.frame
    if not looked.placed.any() or looked.about.name in ("reads", "units", "people_counts", "cameras"):
        return
    address = pl.col("address") if "address" in frame.columns else pl.lit(None, dtype=pl.String)
    points = frame.with_row_index("row").filter(pl.Series(looked.placed)).select(
        "row", x=pl.col("lon").round(6), y=pl.col("lat").round(6), address=address.str.to_uppercase())
    by = points.group_by("x", "y").agg(pl.len(), pl.col("address").drop_nulls().n_unique().alias("addresses"), pl.col("row"))
    most = max(FEWEST, SHARE * points.height)
    many = (pl.col("addresses") >= ADDRESSES) & (pl.col("addresses") > 0.1 * pl.col("len"))
    default = by.filter(many & (pl.col("len") >= FEWEST)).sort("len", "x", "y", descending=[True, False, False])
    busy = by.filter(~many & (pl.col("len") >= most)).sort("len", "x", "y", descending=[True, False, False])
    for name, found, level, why in (
        ("default position", default, "bad", "with many different addresses: very likely where a geocoder puts what it does not find"),
        ("crowded position", busy, "doubt", "with one address or a few: a busy place, or a default"),
    ):
        rows = np.sort(found["row"].explode().drop_nulls().to_numpy().astype(np.int64)) if found.height else np.zeros(0, dtype=np.int64)
        if not len(rows):
            none = f"No point holds {FEWEST} rows of {ADDRESSES} addresses or more." if level == "bad" else f"No point holds {most:,.0f} rows or more."
            yield Finding(name, "fine", rows, none)
            continue
        top = found.row(0, named=True)
        hold = "1 point holds" if found.height == 1 else f"{found.height} points hold"
        says = (f"{hold} {len(rows):,} rows ({percent(len(rows), points.height)} of those with a place) {why}."
                f" The fullest, {top['y']:.5f}, {top['x']:.5f}, holds {top['len']:,} rows of {top['addresses']:,} addresses.")
        yield Finding(name, level, rows, says, looked.without(rows), placed=True)


def outside(looked: Looked) -> Iterator[Finding]:
    """Rows outside the study area; without one, rows far off from all others."""
    if not looked.placed.any():
        return
    lon, lat = positions(looked.frame)
    ok = looked.placed
    if looked.area is not None:
        away = ok & ~looked.area.contains(lon, lat)
        where = "outside the study area"
    else:
        plane = Plane.local(float(np.median(lat[ok])), float(np.median(lon[ok])))
        x, y = plane.to_metres(lon, lat)
        distance = np.hypot(x - np.median(x[ok]), y - np.median(y[ok]))
        away = ok & (distance > FAR * max(float(np.median(distance[ok])), 100.0))
        where = "far off from all others (no study area is set)"
    rows = np.flatnonzero(away)
    level = "bad" if len(rows) > 0.02 * ok.sum() else "doubt" if len(rows) else "fine"
    yield Finding("outside the area", level, rows, f"{len(rows):,} rows ({percent(len(rows), int(ok.sum()))} of those with a place) lie {where}.",
                  "They are on no map of the study area." if len(rows) else "", placed=True)
