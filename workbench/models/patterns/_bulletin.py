"""Sentence, table and map of a series bulletin."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import polars as pl

from workbench.geo import Plane, Polygon, positions
from workbench.layers import Areas, Layer, Points
from workbench.models.wording import local, several

_SMALL = {"and", "the", "off", "out", "via", "was", "were", "with", "from", "for", "into", "not", "by"}
_SHOWN = ("report_number", "address", "premise", "offence", "mo", "weapon")


def sentence(rows: pl.DataFrame, name: str, zone: str) -> str:
    """Who, what, when in one breath."""
    first, last = rows["started_at"][0], rows["started_at"][-1]
    gaps = np.diff(rows["started_at"].dt.epoch("s").to_numpy()) / 86400
    what = f"{name}: " if name else ""
    text = f"{what}{several(rows.height, 'incident')} from {local(first, zone)} to {local(last, zone)}"
    if len(gaps) > 1:
        text += f", {np.median(gaps):.1f} days apart in the middle (from {gaps.min():.1f} to {gaps.max():.1f})"
    words = shared(rows)
    return text + (f"; most share: {', '.join(words)}" if words else "; no word of how they were done is shared by most") + "."


def shared(rows: pl.DataFrame) -> list[str]:
    """Words of ``mo`` that at least two in three incidents share, in the order in which they are first said."""
    if "mo" not in rows.columns:
        return []
    counts = Counter(w for t in rows["mo"].to_list() for w in set(re.findall(r"[^\W_]{3,}", (t or "").lower())))
    often = {w for w, n in counts.items() if n >= 2 * rows.height / 3} - _SMALL
    said = re.findall(r"[^\W_]{3,}", " ".join(t or "" for t in rows["mo"].to_list()).lower())
    return [w for w in dict.fromkeys(said) if w in often][:8]


def table(rows: pl.DataFrame, zone: str) -> pl.DataFrame:
    """One row an incident."""
    def wall(column: str) -> pl.Expr:
        return pl.col(column).dt.convert_time_zone(zone).dt.strftime("%Y-%m-%d %H:%M")

    until = wall("ended_at") if "ended_at" in rows.columns else pl.lit(None, dtype=pl.String)
    shown = [c for c in _SHOWN if c in rows.columns]
    return rows.select(number=pl.int_range(1, pl.len() + 1), incident_id="incident_id", **{"from": wall("started_at")}, until=until,
                       days_since=(pl.col("started_at").diff().dt.total_seconds() / 86400).round(1), **{c: pl.col(c) for c in shown})


def layers(rows: pl.DataFrame, zone: str) -> tuple[Layer, ...]:
    """The incidents, numbered; the ellipse that holds 68 % of a bivariate normal scatter of them."""
    lon, lat = positions(rows)
    ok = np.isfinite(lon) & np.isfinite(lat)
    placed = rows.filter(pl.Series(ok, dtype=pl.Boolean))
    number = tuple(int(k) for k in np.flatnonzero(ok) + 1)
    tips = tuple(f"{k}: {i} of {local(s, zone)}" for k, i, s in zip(number, placed["incident_id"].to_list(), placed["started_at"].to_list(), strict=True))
    points = Points("The series", lon[ok], lat[ok], ids=tuple(f"incident:{i}" for i in placed["incident_id"].to_list()), tips=tips, numbers=number)
    if ok.sum() < 3:
        return (points,)
    plane = Plane.local(round(float(lat[ok].mean()), 3), round(float(lon[ok].mean()), 3))
    x, y = plane.to_metres(lon[ok], lat[ok])
    values, vectors = np.linalg.eigh(np.cov(x, y))
    turn = np.linspace(0, 2 * math.pi, 73)
    round_ = math.sqrt(-2 * math.log(1 - 0.6827)) * (vectors @ (np.sqrt(np.maximum(values, 0.0))[:, None] * np.stack([np.cos(turn), np.sin(turn)])))
    ring = np.stack(plane.to_degrees(round_[0] + x.mean(), round_[1] + y.mean()), axis=1)
    return (Areas("68 % ellipse", (Polygon((ring,), "68 % ellipse"),), tips=("holds 68 % of a normal scatter of these incidents",)), points)
