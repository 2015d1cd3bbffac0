"""From expected counts by street to a Ranking: interval, sentence, table and what is drawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench import layers
from workbench.geo import Floats, Ints
from workbench.geo.network import Placed, StreetNetwork
from workbench.geo.segments import Segments
from workbench.models import chance, forecast
from workbench.models.window import Past
from workbench.models.wording import local, said, several
from workbench.results import Basis, Ranking, origin_of

_DRAWN = 10_000  # streets drawn at most; the others have the lowest expectation


def ranked(before: Past, incidents: pl.DataFrame, network: StreetNetwork, placed: Placed, expected: Floats, metres: Floats, *, by: str, horizon: timedelta,
    most: int,
           zone: str, source: str, name: str, method: str, parameters: dict[str, Any]) -> Ranking:
    """Streets by expectation; ``metres``: what each counts as by km. The intervals are those of ``forecast.surface_of``, with streets for cells."""
    on = placed.segment >= 0
    near, seconds = int(on.sum()), before.length.total_seconds()
    used = replace(before, rows=before.rows[on], x=before.x[on], y=before.y[on], cell=placed.segment[on], age=before.age[on], known=before.known[on])
    moves = forecast.swing(used, expected, horizon)
    ratio, total = horizon.total_seconds() / seconds, float(expected.sum())
    lower, upper = chance.interval(expected, moves.cells + np.divide(ratio, expected, out=np.zeros_like(expected), where=expected > 0))
    low, high = chance.interval(total, moves.whole * (1 + 1 / max(moves.periods, 1)) + ratio / max(total, 1e-12))
    per_km = expected / metres * 1000
    order = np.argsort(-(expected if by == "expected" else per_km), kind="stable")
    shown = order[: max(1, min(most, len(order)))]
    far = len(before) - near
    notes = (*before.notes, *((f"{far} of {len(before)} incidents lie farther than {placed.limit:g} m from any street and are left out.",) if far else ()),
             *((f"{several(network.left_out, 'row')} of the streets frame {'holds' if network.left_out == 1 else 'hold'} no usable line.",)
               if network.left_out else ()),
             *((f"The window holds only {moves.periods} periods of {said(horizon)}, so intervals assume pure chance (Poisson) and may be too narrow.",)
               if moves.periods < 4 else ()))
    long = float(network.length[shown].sum())
    headline = (
        f"Expect about {total:,.0f} incidents on the streets in the {said(horizon)} from {local(before.asof, zone)} (90 % interval {low[0]:,.0f} to "
        f"{high[0]:,.0f}); "
        f"the {several(len(shown), 'street segment')} where most are expected{'' if by == 'expected' else ' a km'} ({long / 1000:.2g} of "
        f"{network.length_km:,.0f} km) should hold about "
        f"{100 * float(expected[shown].sum()) / max(total, 1e-300):.0f} % of them."
    )
    basis = replace(
        Basis.of(incidents, method=method, source=source, used=near, asof=before.asof, notes=notes, parameters={
            **parameters, "by": by, "horizon": said(horizon), "window": said(before.window), "periods compared": moves.periods,
            "dispersion of totals": round(moves.whole, 4), "dispersion of streets": round(moves.cells, 4)}),
        span=(used.frame["started_at"][0], used.frame["started_at"][-1]))
    counted = np.bincount(placed.segment[on], minlength=len(network))
    return Ranking(headline=headline, table=_table(network, shown, expected, lower, upper, counted, per_km),
                   layers=_layers(network, order, shown, expected, lower, upper, per_km, horizon, name), basis=basis, base=origin_of(incidents).base)


def _table(network: StreetNetwork, shown: Ints, expected: Floats, lower: Floats, upper: Floats, counted: Ints, per_km: Floats) -> pl.DataFrame:
    lon, lat = network.plane.to_degrees(*network.spots(shown, np.full(len(shown), 0.5)))
    return pl.DataFrame({
        "rank": np.arange(1, len(shown) + 1), "street_id": [network.ids[s] for s in shown], "name": [network.names[s] for s in shown], "lon": lon, "lat": lat,
        "length_m": network.length[shown], "expected": expected[shown], "lower": lower[shown], "upper": upper[shown], "counted": counted[shown],
        "per_km": per_km[shown], "share_so_far": np.cumsum(expected[shown]) / max(float(expected.sum()), 1e-300)})


def _layers(network: StreetNetwork, order: Ints, shown: Ints, expected: Floats, lower: Floats, upper: Floats, per_km: Floats,
            horizon: timedelta, name: str) -> tuple[layers.Layer, ...]:
    floor = 1e-3 * float(per_km.max())
    drawn = np.sort(order[:_DRAWN])
    drawn = drawn[per_km[drawn] > floor]
    tips = {int(s): f"{network.names[s] or 'street ' + network.ids[s]}: {expected[s]:.2g} expected in {said(horizon)} (90 % interval {lower[s]:.0f} to "
        f"{upper[s]:.0f})"
            for s in np.union1d(drawn, shown)}
    tiles = layers.tiles(name, Segments(network), per_km, shown=drawn, unit=f"expected incidents in {said(horizon)} a km", tips=tuple(tips[int(s)]
        for s in drawn))
    lines = layers.Lines(f"First {len(shown)} streets", tuple(network.paths(shown)), ids=tuple(f"street:{network.ids[s]}" for s in shown),
                         tips=tuple(f"{k}. {tips[int(s)]}" for k, s in enumerate(shown, 1)), role="marked")
    return tiles, lines
