"""Minutes and seconds of the sample as wall-clock texts of America/Chicago."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from .incidents import START

ZONE = "America/Chicago"
#: Hours that the clocks skip; what would fall there is an hour later.
SKIPPED = (datetime(2025, 3, 9, 2), datetime(2026, 3, 8, 2))


def clock(minutes: pl.Series) -> pl.Series:
    """Minutes since the start of the sample as wall time; NaN as null."""
    naive = (pl.lit(START).cast(pl.Datetime("us")) + pl.duration(seconds=(pl.col("m").fill_nan(None) * 60).cast(pl.Int64))).alias("at")
    at = pl.DataFrame({"m": minutes}).select(naive)
    for hour in SKIPPED:
        gone = (pl.col("at") >= hour) & (pl.col("at") < hour.replace(hour=3))
        at = at.with_columns(at=pl.when(gone).then(pl.col("at") + pl.duration(hours=1)).otherwise("at"))
    return at["at"]


def later(received: pl.Series, seconds: pl.Series) -> pl.Series:
    """Wall time some seconds after a wall time, over clock changes; null where either is."""
    real = pl.col("r").dt.replace_time_zone(ZONE, ambiguous="earliest")
    then = (real + pl.duration(seconds=pl.col("s").fill_nan(None).cast(pl.Int64))).dt.replace_time_zone(None).alias("at")
    return pl.DataFrame({"r": received, "s": seconds}).select(then)["at"]
