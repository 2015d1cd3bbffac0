"""What speaks against a plate having been somewhere: moments ruled out by straight line and top speed, and how often readers miss what is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from workbench.geo import Ints, positions
from workbench.models.plates import _days
from workbench.models.plates._habits import counts
from workbench.models.plates._passages import Passages
from workbench.models.wording import local


class Limits:
    """metres, seconds, metres a second, seconds of asof."""

    def __init__(self, metres: float, seconds: float, speed: float, until: int | None) -> None:
        self.metres, self.seconds, self.speed, self.until = metres, seconds, speed, until


def row(
    about: str,
    what: str,
    weight: float | None,
    text: str,
    at: int | None = None,
    reader: str | None = None,
    kmh: float | None = None,
    evidence: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "about": about,
        "what": what,
        "weight": weight,
        "text": text,
        "at": None if at is None else datetime.fromtimestamp(at, UTC),
        "reader": reader,
        "kmh": kmh,
        "evidence": evidence or [],
    }


def ruled_out(t: Any, far: Any, low: float, high: float, metres: float, speed: float) -> tuple[float, Ints]:
    """(share of the moments from low to high at which the plate cannot have been within ``metres`` of a place, the reads that say so).

    ``t`` seconds and ``far`` metres from the place of each read, in order of time: at t' it cannot have been there if |t' - t| < (far - metres) / speed. O(n).
    """
    half = np.maximum(far - metres, 0.0) / speed
    tell = np.flatnonzero((half > 0) & (t + half > low) & (t - half < high))
    if high <= low:
        return (1.0 if len(tell) else 0.0), tell
    total, reach = 0.0, low
    for i in tell[np.argsort((t - half)[tell], kind="stable")].tolist():
        start, stop = max(float(t[i] - half[i]), reach), min(float(t[i] + half[i]), high)
        if stop > start:
            total, reach = total + stop - start, stop
    return min(total / (high - low), 1.0), tell


def far_from(passages: Passages, rows: Ints, lon: float, lat: float) -> Any:
    """Metres of reads from a place; reads without a position count as there (they rule nothing out)."""
    px, py = (v[passages.spot[rows]] for v in positions(passages.spots))
    ok = np.isfinite(px) & np.isfinite(py)
    return np.where(ok, _days.apart(np.where(ok, px, lon), np.where(ok, py, lat), lon, lat), 0.0)


def ruled_out_too(passages: Passages, whole: pl.DataFrame, limits: Limits) -> list[tuple[int, int]]:
    """For each scene, in order: how many plates are ruled out in some moment of it or in all, and how many plates were read at all."""
    out, every = [], int(np.count_nonzero(counts(passages, limits.until)))
    px, py = positions(passages.spots)
    ok = np.isfinite(px) & np.isfinite(py)
    for lon, lat, start, end in whole.sort("started_at", "incident_id").select("lon", "lat", "started_at", "ended_at").iter_rows():
        begin, stop = start.timestamp(), max(end or start, start).timestamp()
        far = np.where(ok, _days.apart(np.where(ok, px, lon), np.where(ok, py, lat), lon, lat), 0.0)
        hit = np.zeros(len(passages.plates), dtype=bool)
        for s in np.flatnonzero(far > limits.metres).tolist():
            a, b, half = passages.by_spot[s], passages.by_spot[s + 1], (far[s] - limits.metres) / limits.speed
            last = stop + half if limits.until is None else min(stop + half, limits.until)
            low, high = a + np.searchsorted(passages.at[a:b], [begin - half, last])
            hit[passages.plate[low:high]] = True
        out.append((int(hit.sum()), every))
    return out


def seen_by_others(passages: Passages, rows: Ints, seconds: float) -> tuple[float | None, int]:
    """Of reads by one of several readers: the share that another of them read too within ``seconds``; None under 20 reads or for one reader."""
    if len(np.unique(passages.spot[rows])) < 2:
        return None, 0
    rows = rows[-200_000:] if len(rows) > 200_000 else rows
    order = rows[np.lexsort((passages.at[rows], passages.plate[rows]))]
    plate, spot, at = passages.plate[order], passages.spot[order], passages.at[order]
    new = np.concatenate([[True], (plate[1:] != plate[:-1]) | (at[1:] - at[:-1] > seconds)])
    visit = np.cumsum(new) - 1
    readers = np.bincount(np.unique(visit * 1_000_000 + spot) // 1_000_000)
    # a visit seen by k readers is known to be about from each of them; the others saw it if k > 1
    known = int(readers.sum())
    return (float(readers[readers > 1].sum() / known), known) if known >= 20 else (None, known)


def ids(passages: Passages, rows: Ints) -> list[str]:
    out: list[str] = passages.frame["read_id"].gather(passages.row[rows]).to_list()
    return out


def when(passages: Passages, row: Any) -> str:
    return local(datetime.fromtimestamp(int(passages.at[row]), UTC), passages.zone)
