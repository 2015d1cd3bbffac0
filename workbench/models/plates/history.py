"""Where and when was this plate read, is that unusual, and can it all be one vehicle?

Sightings in order of time, with the speed that the straight line between consecutive readers would need. A straight line is the shortest
way there is, so a speed above ``fastest`` cannot have been driven: the plate is cloned, misread, or a clock or position is wrong.
Comparison with all other plates tells whether being read so often, or by these readers at these hours, sets the plate apart.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from workbench import plates, schema
from workbench.errors import BadInput, CannotTell, did_you_mean
from workbench.geo import Plane, positions
from workbench.layers import Layer, Lines, Points
from workbench.models.window import Moment, moment
from workbench.models.wording import local, said, several
from workbench.results import Basis, Track, origin_of, recorded

_SAME_PLACE = 100.0  # metres within which two reads say nothing about speed


@recorded
def history(reads: pl.DataFrame, plate: str, *, asof: Moment | None = None, zone: str = "UTC", fastest: float = 160.0) -> Track:
    """Every read of a plate in order of time, against what the readers saw of all plates.

    Args:
        reads: the reads table, all plates of the time and place asked about (the others are the base rate).
        plate: registration in any spelling.
        asof: only reads strictly before.
        zone: zone for hours of the day and times in the sentence.
        fastest: km/h above which the straight line between two reads cannot have been driven.

    Returns: a Track. ``table``: number, read_at, local_at, reader, address, lon, lat, gap_hours, metres, kmh, impossible, confidence. When the plate was
    never read the table is empty and the sentence says between when, and on how many days, readers were up and what looks alike.

    Raises:
        CannotTell: there are no reads at all (before asof).
        BadInput: nothing of the plate is left in normal form, columns are missing, or the zone is unknown.

    Cost: one pass over the reads.
    """
    wanted = plates.normal(plate)
    if not wanted:
        raise BadInput(f"{plate!r} holds no letter or digit, so it is not a plate; write e.g. 'ABC 1234'.")
    if fastest <= 0:
        raise BadInput(f"fastest={fastest!r} km/h does not do; give the speed above which a drive is impossible, e.g. 160.")
    schema.require(reads, "read_id", "plate", "reader", "read_at", "lon", "lat", what="The reads frame")
    frame = schema.utc(reads, ["read_at"])
    until = None if asof is None else moment(asof)
    frame = frame if until is None else frame.filter(pl.col("read_at") < until)
    if frame.is_empty():
        when = "" if until is None else f" before {local(until, zone)}"
        raise CannotTell(f"There are no reads{when}, so nothing can be told of {wanted}; load reads, or ask with a later asof.")
    local(frame["read_at"][0], zone)
    own = frame.filter(pl.col("plate") == wanted).sort("read_at", "read_id")
    alike = _alike(frame, wanted)
    table = _table(own, zone, fastest)
    notes = (
        "Distances are straight lines between readers: true ways are longer, so true speeds were higher.",
        *_alike_note(alike, wanted),
        "A read is what a reader took the plate to be; look at the picture before acting on it.",
    )
    base, base_rate = _base_rate(frame, own, zone) if len(own) else ("", {})
    headline = _headline(own, table, wanted, base, zone, fastest) if len(own) else _never(frame, wanted, alike, zone)
    basis = Basis.of(
        frame,
        method="reads in order of time, compared with all plates",
        time="read_at",
        used=len(own),
        asof=until,
        parameters={"plate": wanted, "zone": zone, "fastest": f"{fastest:g} km/h", **base_rate},
        notes=notes,
    )
    return Track(headline=headline, table=table, layers=_layers(own, table), basis=basis, base=origin_of(reads, frame).base)


def _table(own: pl.DataFrame, zone: str, fastest: float) -> pl.DataFrame:
    lon, lat = positions(own)
    ok = np.isfinite(lon) & np.isfinite(lat)
    metres = np.full(len(own), np.nan)
    if ok.any():
        x, y = Plane.local(float(np.median(lat[ok])), float(np.median(lon[ok]))).to_metres(lon, lat)
        metres[1:] = np.hypot(np.diff(x), np.diff(y))
    extra = {c: own[c] if c in own.columns else pl.Series(c, [None] * len(own), dtype=t) for c, t in (("address", pl.String), ("confidence", pl.Float64))}
    hours = pl.col("read_at").diff().dt.total_microseconds() / 3.6e9
    speed = (
        pl.when(pl.col("metres") <= _SAME_PLACE)
        .then(None)
        .when(pl.col("gap_hours") <= 0)
        .then(float("inf"))
        .otherwise(pl.col("metres") / 1000 / pl.col("gap_hours"))
    )
    return (
        own.select("read_id", "read_at", "reader", "lon", "lat")
        .with_columns(
            pl.Series("metres", metres, dtype=pl.Float64).fill_nan(None),
            extra["address"],
            extra["confidence"],
            local_at=pl.col("read_at").dt.convert_time_zone(zone),
            gap_hours=hours,
        )
        .with_columns(kmh=speed)
        .with_columns(impossible=(pl.col("kmh") > fastest).fill_null(False))
        .with_row_index("number", offset=1)
        .select("number", "read_at", "local_at", "reader", "address", "lon", "lat", "gap_hours", "metres", "kmh", "impossible", "confidence", "read_id")
    )


def _alike(frame: pl.DataFrame, wanted: str) -> pl.DataFrame:
    """Plates that look like this one (confused characters), with how often they were read."""
    form = plates.pattern(wanted, look_alikes=True)
    return (
        frame.filter((pl.col("plate") != wanted) & (pl.col("plate").str.len_chars() == len(wanted)) & pl.col("plate").str.contains(form))
        .group_by("plate")
        .agg(reads=pl.len().cast(pl.Int64))
        .sort("reads", "plate", descending=[True, False])
    )


def _alike_note(alike: pl.DataFrame, wanted: str) -> tuple[str, ...]:
    if alike.is_empty():
        return ()
    shown = ", ".join(f"{p} ({several(n, 'read')})" for p, n in alike.head(6).iter_rows())
    return (f"Look-alikes of {wanted} that were read: {shown}; each may be this plate misread, or another vehicle.",)


def _base_rate(frame: pl.DataFrame, own: pl.DataFrame, zone: str) -> tuple[str, dict[str, int]]:
    """How many plates were read at least as often, and how many passed at least half of this one's usual reader-hours."""
    per = frame.group_by("plate").agg(n=pl.len())
    total, often = len(per), int((per["n"] >= len(own)).sum()) - 1
    hour = pl.col("read_at").dt.convert_time_zone(zone).dt.hour()
    haunts = own.select("reader", hour=hour).unique()
    share = (
        frame.filter(pl.col("reader").is_in(haunts["reader"].unique().to_list()))
        .select("plate", "reader", hour=hour)
        .join(haunts, on=["reader", "hour"], how="semi")
        .unique()
    )
    alike = share.group_by("plate").len().filter((pl.col("len") >= max(1, (len(haunts) + 1) // 2)) & (pl.col("plate") != own["plate"][0]))
    text = f"{often:,} of the {total - 1:,} other plates were read at least as often; {len(alike):,} passed at least half of its {len(haunts)} reader-hours"
    return text, {"other plates": total - 1, "read as often": often, "reader-hours": len(haunts), "share half its reader-hours": len(alike)}


def _headline(own: pl.DataFrame, table: pl.DataFrame, wanted: str, base: str, zone: str, fastest: float) -> str:
    days = own["read_at"].dt.convert_time_zone(zone).dt.date()
    readers = own.group_by("reader").len().sort("len", "reader", descending=[True, False])
    first, last = local(own["read_at"][0], zone), local(own["read_at"][-1], zone)
    when = f"on {first}" if len(own) == 1 else f"from {first} to {last}"
    usual = _usual(own, zone)
    impossible = table.filter(pl.col("impossible"))
    flag = ""
    if len(impossible):
        worst = impossible.sort("kmh", "number", descending=[True, False]).row(0, named=True)
        speed = "at the same moment" if worst["kmh"] == float("inf") else f"at least {worst['kmh']:,.0f} km/h"
        flag = (
            f" {several(len(impossible), 'time')} it cannot be one vehicle: {worst['metres'] / 1000:.1f} km apart {speed} "
            f"({local(worst['read_at'], zone)}; limit {fastest:g})."
        )
    return (
        f"{wanted} was read {several(len(own), 'time')} on {several(days.n_unique(), 'day')} by {several(len(readers), 'reader')}, {when}{usual}; {base}.{flag}"
    )


def _usual(own: pl.DataFrame, zone: str) -> str:
    """The shortest run of hours of the day that holds four of five reads, when there are at least five."""
    if len(own) < 5:
        return ""
    hours = np.bincount(own["read_at"].dt.convert_time_zone(zone).dt.hour().to_numpy(), minlength=24)
    need = 0.8 * hours.sum()
    twice = np.concatenate([[0], np.cumsum(np.concatenate([hours, hours]))])
    for length in range(1, 25):
        held = twice[length : length + 24] - twice[:24]
        if held.max() >= need:
            start = int(held.argmax())
            return (
                f", {100 * held.max() / hours.sum():.0f} % of them between {start:02d}:00 and {(start + length) % 24:02d}:00"
                if length <= 12
                else ", at all hours"
            )
    return ""


def _never(frame: pl.DataFrame, wanted: str, alike: pl.DataFrame, zone: str) -> str:
    low, high = (cast(datetime, each) for each in (frame["read_at"].min(), frame["read_at"].max()))
    up = frame["read_at"].dt.convert_time_zone(zone).dt.date().n_unique()
    there = ZoneInfo(zone)
    days = (high.astimezone(there).date() - low.astimezone(there).date()).days + 1
    near = f" Look-alikes read: {', '.join(alike['plate'].head(4).to_list())}." if len(alike) else ""
    if not near:
        hint = did_you_mean(wanted, frame.filter(pl.col("plate").str.starts_with(wanted[:2]))["plate"].unique().sort().head(2000).to_list())
        near = hint if "Did you" in hint else ""
    return (
        f"{wanted} was not read between {local(low, zone)} and {local(high, zone)}; {several(frame['reader'].n_unique(), 'reader was up', 'readers were up')}, "
        f"on {up} of {several(max(days, up), 'day')} ({several(len(frame), 'read')} of {several(frame['plate'].n_unique(), 'plate')}). "
        f"That it was not read does not mean it was not there.{near}"
    )


def _layers(own: pl.DataFrame, table: pl.DataFrame) -> tuple[Layer, ...]:
    placed = table.filter(pl.col("lon").is_not_null() & pl.col("lat").is_not_null())
    if placed.is_empty():
        return ()
    lon, lat = placed["lon"].to_numpy(), placed["lat"].to_numpy()
    tips = tuple(f"{n}: {t:%Y-%m-%d %H:%M} {r}" for n, t, r in placed.select("number", "local_at", "reader").iter_rows())
    points = Points("Reads", lon, lat, tuple(f"read:{i}" for i in placed["read_id"].to_list()), tips, kind="read", numbers=tuple(placed["number"].to_list()))
    paths, flagged = [], []
    times, bad = placed["read_at"].to_list(), placed["impossible"].to_list()
    for i in range(1, len(placed)):
        leg = np.array([[lon[i - 1], lat[i - 1]], [lon[i], lat[i]]])
        if bad[i]:
            flagged.append((leg, f"impossible leg to read {placed['number'][i]}"))
        elif times[i] - times[i - 1] <= timedelta(hours=3) and (leg[0] != leg[1]).any():
            paths.append((leg, f"to read {placed['number'][i]}, {said(times[i] - times[i - 1])} later"))
    lines = [
        Lines(name, tuple(p for p, _ in some), tuple(f"leg:{k}" for k in range(len(some))), tuple(t for _, t in some), role="track", arrows=True)
        for name, some in (("Legs within three hours", paths), ("Impossible legs", flagged))
        if some
    ]
    return (*lines, points)
