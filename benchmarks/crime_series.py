"""Burglaries of one offender found among others: the series finder and distance alone on the crimes of the R package crimelinkage, offenders held out.

The crimes and offenders (fictitious) lie in the folder that WORKBENCH_REAL_DATA names (../shared/data without it); without them nothing is run.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

TITLE = "Series of burglaries: 490 crimes of the R package crimelinkage, five folds of offenders held out"
FOLDS, SEEDS, FIRST = 5, 4, 10


def crimes(folder: Path) -> tuple[Any, Any]:
    """The crimes as incidents (feet taken for the coordinates), and who did which: incident_id, series."""
    import polars as pl

    from workbench.geo import Plane

    given = pl.read_csv(folder / "crimelinkage_crimes.csv", infer_schema_length=0)

    def at(day: str, hour: str) -> pl.Expr:
        text = pl.concat_str([pl.col(day), pl.col(hour).str.zfill(4)], separator=" ")
        return text.str.to_datetime("%Y-%m-%d %H%M", time_unit="us", time_zone="UTC", strict=False)

    x, y = (given[c].cast(pl.Float64).to_numpy() * 0.3048 for c in ("X", "Y"))
    lon, lat = Plane.local(39.3, -76.6).to_degrees(x, y)
    frame = given.select(incident_id="crimeID", started_at=at("DATE_FROM", "TIME_FROM"), ended_at=at("DATE_TO", "TIME_TO"), MO1="MO1", MO2="MO2", MO3="MO3")
    frame = frame.with_columns(lon=pl.Series(lon), lat=pl.Series(lat)).filter(pl.col("started_at").is_not_null())
    offenders = pl.read_csv(folder / "crimelinkage_offenders.csv").select(incident_id="crimeID", series="offenderID")
    return frame, offenders.filter(pl.col("incident_id").is_in(frame["incident_id"].implode()))


def held_out(frame: Any, solved: Any, seed: int) -> dict[str, tuple[float, float, float]]:
    """Of each method: AUC over pairs with a crime held out, recall of the first ten, seconds. Offenders who did a crime together are in one fold."""
    import networkx as nx
    import polars as pl

    from workbench.models.patterns import linkage, series

    together = nx.Graph()
    for _, rows in solved.group_by("incident_id"):
        nx.add_path(together, rows["series"].to_list())
    groups = [sorted(g) for g in sorted(nx.connected_components(together), key=min)]
    fold = np.random.default_rng(seed).permutation(len(groups)) % FOLDS
    of = {o: int(f) for g, f in zip(groups, fold, strict=True) for o in g}
    mates: dict[str, set[str]] = {}
    for (_,), rows in solved.group_by("series"):
        for one in rows["incident_id"]:
            mates.setdefault(one, set()).update(set(rows["incident_id"]) - {one})
    t = linkage.traits(frame.sort("started_at", "incident_id"))
    place = {key: np.array([a, b]) for key, a, b in zip(t.ids, t.x, t.y, strict=True)}
    ids = [key for key in t.ids if np.isfinite(place[key]).all()]
    where = np.array([place[key] for key in ids])
    found: dict[str, list[Any]] = {"workbench series.like": [], "distance only": []}
    took = dict.fromkeys(found, 0.0)
    for k in range(FOLDS):
        known = solved.filter(pl.col("series").replace_strict(of, return_dtype=pl.Int64) != k)
        start = time.perf_counter()
        made = linkage.fit(frame, known, "2020-01-01", also=["MO1", "MO2", "MO3"])
        took["workbench series.like"] += time.perf_counter() - start
        for one in [key for key in ids if mates.get(key) and any(of[o] == k for o in solved.filter(incident_id=key)["series"])]:
            start = time.perf_counter()
            ranked = series.like(frame, made, one, "2020-01-01", window="20000d", most=len(ids)).table["incident_id"].to_list()
            took["workbench series.like"] += time.perf_counter() - start
            start = time.perf_counter()
            near = [ids[i] for i in np.argsort(np.hypot(*(where - place[one]).T), kind="stable") if ids[i] != one]
            took["distance only"] += time.perf_counter() - start
            for method, order in (("workbench series.like", ranked), ("distance only", near)):
                own = np.array([key in mates[one] for key in order])
                if own.any():
                    found[method].append((own[:FIRST].sum() / own.sum(), own))
    return {m: (_auc([o for _, o in rows]), float(np.mean([r for r, _ in rows])), took[m]) for m, rows in found.items()}


def _auc(orders: list[Any]) -> float:
    """The mean chance over the crimes asked about that one of the same offender stands before another."""
    each = []
    for own in orders:
        rank = np.flatnonzero(own) + 1
        n, m = len(rank), len(own) - len(rank)
        each.append(1 - (rank.sum() - n * (n + 1) / 2) / (n * m))
    return float(np.mean(each))


def run() -> list[dict[str, Any]]:
    """A row a method: seconds of one round of five folds, AUC and recall of the first ten in the note."""
    named = os.environ.get("WORKBENCH_REAL_DATA")
    folder = (Path(named) if named else Path(__file__).resolve().parent.parent.parent / "shared" / "data") / "crime_series"
    if not folder.is_dir():
        return []
    frame, solved = crimes(folder)
    rounds = [held_out(frame, solved, seed) for seed in range(SEEDS)]
    rows = []
    for method in rounds[0]:
        auc, recall = (np.array([r[method][k] for r in rounds]) for k in (0, 1))
        note = f"AUC {auc.mean():.3f} ({auc.min():.3f} to {auc.max():.3f}), recall {recall.mean():.3f} ({recall.min():.3f} to {recall.max():.3f})"
        rows.append({"task": f"the rest of a series from one of its crimes, recall of the first {FIRST}", "method": method,
                     "seconds": [r[method][2] for r in rounds], "note": f"{note} over {SEEDS} deals of the offenders"})
    return rows
