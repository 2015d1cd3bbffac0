"""Addresses: points along every street with a number, a beat and a kind of premise. Everything that happens, happens at one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from .ground import BEATS, QUARTER, Ground
from .places import near
from .plane import Floats, Ints, along, at, degrees, inside, normals, stream
from .streets import Street

_SHORT = {"Street": "ST", "Avenue": "AVE", "Road": "RD", "Drive": "DR", "Lane": "LN", "Court": "CT", "Place": "PL", "Way": "WAY", "Bypass": "BYP"}
#: Metres between address points by quarter; the fields are thinly built.
_STEP = {"downtown": 20.0, "old": 21.0, "inner": 24.0, "industrial": 60.0, "suburb": 34.0, "fields": 90.0}
_KINDS = ("RESIDENCE", "APARTMENT", "RETAIL STORE", "BAR/RESTAURANT", "OFFICE", "CONVENIENCE STORE", "WAREHOUSE", "SCHOOL", "HOSPITAL", "PARKING LOT")
#: Shares of the kinds on a quarter's own streets, and on its main roads.
_MIX = {
    "downtown": ([0.05, 0.30, 0.22, 0.15, 0.18, 0.02, 0.02, 0, 0, 0.06], [0.02, 0.15, 0.32, 0.2, 0.18, 0.05, 0, 0, 0, 0.08]),
    "old": ([0.58, 0.3, 0.04, 0.02, 0.03, 0.01, 0, 0, 0, 0.02], [0.22, 0.26, 0.22, 0.12, 0.08, 0.05, 0, 0, 0, 0.05]),
    "inner": ([0.82, 0.14, 0.01, 0, 0.01, 0.005, 0, 0, 0, 0.015], [0.42, 0.2, 0.17, 0.07, 0.05, 0.04, 0, 0, 0, 0.05]),
    "industrial": ([0.05, 0.04, 0.08, 0.02, 0.14, 0.02, 0.5, 0, 0, 0.15], [0.08, 0.06, 0.2, 0.08, 0.12, 0.08, 0.26, 0, 0, 0.12]),
    "suburb": ([0.93, 0.06, 0, 0, 0, 0, 0, 0, 0, 0.01], [0.62, 0.12, 0.12, 0.04, 0.03, 0.03, 0, 0, 0, 0.04]),
    "fields": ([0.96, 0, 0, 0, 0, 0, 0.04, 0, 0, 0], [0.8, 0, 0.06, 0.03, 0, 0.03, 0.05, 0, 0, 0.03]),
}


@dataclass(frozen=True)
class Blocks:
    """Every address point: position in metres and degrees, address text, beat, quarter and premise, all of one length."""

    xy: Floats
    table: pl.DataFrame

    def __len__(self) -> int:
        return len(self.xy)

    def nearest(self, xy: Floats, allowed: object = None) -> Ints:
        """Row of the nearest address point for each position, among ``allowed`` rows."""
        rows = np.arange(len(self)) if allowed is None else np.flatnonzero(np.asarray(allowed))
        spots = self.xy[rows]
        out = np.empty(len(xy), dtype=np.int64)
        for i, p in enumerate(xy):
            out[i] = rows[int(((spots - p) ** 2).sum(axis=1).argmin())]
        return out


def make(ground: Ground, streets: list[Street]) -> Blocks:
    """All address points, sorted by street and number."""
    rng = stream("blocks")
    beat_of = {face: beat for beat, faces in BEATS.items() for face in faces}
    spots, rows = [], []
    for k, street in enumerate(streets):
        if street.bridge or street.kind == "motorway":
            continue
        quarter = QUARTER.get(street.face, "suburb") if street.face else "inner"
        length = float(along(street.line)[-1])
        d = np.arange(14.0, length - 8, _STEP[quarter])
        if not len(d):
            continue
        points, side = at(street.line, d), np.where(np.arange(len(d)) % 2 == 0, 1.0, -1.0)
        around = np.column_stack([np.interp(d, along(street.line), n) for n in normals(street.line).T])
        spots.append(points + around * (side * (14.0 if street.face else 19.0))[:, None])
        rows.append(
            pl.DataFrame(
                {
                    "street": np.full(len(d), k),
                    "side": side,
                    "main": np.full(len(d), street.face is None),
                    "beat": [beat_of[street.face] if street.face else ""] * len(d),
                    "quarter": [quarter] * len(d),
                }
            )
        )
    xy, table = np.vstack(spots), pl.concat(rows)
    xy, table = _settle(ground, xy, table)
    return _addresses(streets, xy, table, rng)


def _settle(ground: Ground, xy: Floats, table: pl.DataFrame) -> tuple[Floats, pl.DataFrame]:
    """Beat and quarter of the points on main roads; what lies outside the city, in water or in a park goes."""
    beat, quarter = table["beat"].to_numpy().astype(object), table["quarter"].to_numpy().astype(object)
    main = np.flatnonzero(table["main"].to_numpy())
    beat_of = {face: b for b, faces in BEATS.items() for face in faces}
    for face, ring in ground.faces.items():
        here = main[inside(ring, xy[main])]
        beat[here], quarter[here] = beat_of[face], QUARTER.get(face, "suburb")
    keep = np.array([b != "" for b in beat])
    for ring in [ground.river_ring, ground.lake, *ground.parks.values()]:
        keep &= ~inside(ring, xy)
    thin = {"fields": 3, "suburb": 2, "industrial": 2}
    keep[main] &= np.array([i % thin.get(str(quarter[m]), 1) == 0 for i, m in enumerate(main)])
    return xy[keep], table.with_columns(beat=pl.Series(beat.tolist(), dtype=pl.String), quarter=pl.Series(quarter.tolist(), dtype=pl.String)).filter(
        pl.Series(keep)
    )


def _addresses(streets: list[Street], xy: Floats, table: pl.DataFrame, rng: np.random.Generator) -> Blocks:
    """House numbers count from the city's middle, even on one side; premises by quarter and by the places near."""
    span = np.array([np.abs(s.line[-1] - s.line[0]) for s in streets])[table["street"].to_numpy()]
    east_west = span[:, 0] >= span[:, 1]
    reach = np.where(east_west, xy[:, 0], xy[:, 1])
    number = 100 + 2 * (np.abs(reach) / 5.2).astype(int) + (table["side"].to_numpy() < 0)
    prefix = np.where(east_west, np.where(reach >= 0, "E", "W"), np.where(reach >= 0, "N", "S"))
    text = []
    for k in table["street"].to_list():
        words = streets[k].name.split()
        text.append(" ".join([w.upper() for w in words[:-1]] + [_SHORT.get(words[-1], words[-1].upper())]))
    main, quarter = table["main"].to_numpy(), table["quarter"].to_numpy()
    draw, premise = rng.random(len(xy)), np.zeros(len(xy), dtype=np.int64)
    for name, mixes in _MIX.items():
        for on_main, mix in enumerate(mixes):
            here = (quarter == name) & (main == bool(on_main))
            premise[here] = np.searchsorted(np.cumsum(mix) / sum(mix), draw[here], side="right")
    premise = np.minimum(premise, len(_KINDS) - 1)
    for kind, becomes, reach_m in (("mall", 2, 190.0), ("school", 7, 90.0), ("hospital", 8, 120.0), ("warehouse", 6, 120.0), ("stadium", 9, 150.0)):
        strong = near(kind, xy, reach_m) > np.where(rng.random(len(xy)) < 0.8, 0.37, 0.8)
        premise[strong] = becomes
    ll = degrees(xy)
    frame = (
        table.with_columns(
            x=pl.Series(np.round(xy[:, 0], 1)),
            y=pl.Series(np.round(xy[:, 1], 1)),
            lon=pl.Series(ll[:, 0]),
            lat=pl.Series(ll[:, 1]),
            number=pl.Series(number),
            street_name=pl.Series(text),
            prefix=pl.Series(prefix.tolist()),
            premise=pl.Series([_KINDS[p] for p in premise]),
            district=pl.col("beat").str.slice(0, 1),
        )
        .with_columns(
            full=pl.format("{} {} {}", "number", "prefix", "street_name"),
            block=pl.format("{} BLOCK {} {}", pl.col("number") // 100 * 100, "prefix", "street_name"),
        )
        .drop("side")
    )
    return Blocks(xy, frame)
