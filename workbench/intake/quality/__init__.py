"""How far can the rows of a table be trusted, and what would their faults do to a hotspot map?

Every check is a finding: how many rows, what share, how bad, what it does to a map, and the rows behind it. Nothing is repaired
here: a row that looks wrong is evidence, and the agency decides. Checks: completeness, times that fall on midnight, noon, the full
hour or 1 January more often than the hours and days beside them, impossible and future times, a suspected shift of the clock,
positions that hold too many rows, positions outside the study area, rows that are alike in all but their key, and drift against
the export before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from workbench import schema
from workbench.errors import NotFound, did_you_mean
from workbench.geo import Grid, Polygon
from workbench.intake.quality import drift, places, rows, times
from workbench.intake.quality.finding import LEVELS, Finding, Looked
from workbench.layers import Layer, Points
from workbench.results import Basis, Ranking, origin_of, recorded

__all__ = ["Finding", "Quality", "check"]

#: Rows shown behind a finding.
MOST = 10_000
_SHAPE = {"check": pl.String, "level": pl.String, "rows": pl.Int64, "share": pl.Float64, "says": pl.String, "map": pl.String}


@dataclass(frozen=True, eq=False, kw_only=True)
class Quality(Ranking):
    """Findings, worst first; ``behind(check)`` gives the rows of one."""

    findings: tuple[Finding, ...] = field(repr=False)
    looked: Looked = field(repr=False)

    def behind(self, check: str) -> pl.DataFrame:
        """The rows behind one finding (at most 10,000), with every column that was looked at.

        Raises:
            NotFound: there is no such finding; the message names the nearest.
        """
        for finding in self.findings:
            if finding.check == check:
                return self.looked.frame[finding.rows[:MOST].tolist()]
        raise NotFound(f"There is no finding {check!r}.{did_you_mean(check, [f.check for f in self.findings])}")


@recorded
def check(frame: pl.DataFrame, name: str, *, zone: str = "UTC", area: Polygon | None = None, grid: Grid | None = None,
          asof: datetime | None = None) -> Quality:
    """Look a table's rows through.

    Args:
        frame: current rows of the table, with its columns and provenance (columns that are not there are not looked at).
        name: the table.
        zone: time zone of the agency; hours and days are local.
        area: study area; None = what lies far from all other rows is outside.
        grid: cells for what a fault would do to a map; None = 250 m cells around the rows.
        asof: a time later than this is in the future; None = when each row was recorded.

    Returns:
        A Quality: its table has one row a finding (check, level "bad", "doubt" or "fine", rows, share, says, map).

    Raises:
        NotFound: there is no such table.

    Cost: O(rows log rows); 1 M rows of 15 columns take about 2 s.
    """
    about = schema.table(name)
    looked = Looked(frame, about, zone, area, grid, asof)
    findings = tuple(sorted(_findings(looked), key=lambda f: (LEVELS.index(f.level), -len(f.rows), f.check)))
    origin = origin_of(frame)
    basis = Basis.of(frame, method="checks of completeness, times, places, repeats and drift, one by one", time=about.time,
                     parameters={"table": name, "zone": zone, "area": area.name if area else None, "asof": asof},
                     notes=("A finding is a reason to look, not proof of an error.",))
    told = [{"check": f.check, "level": f.level, "rows": len(f.rows), "share": len(f.rows) / max(frame.height, 1), "says": f.says, "map": f.effect}
            for f in findings]
    return Quality(headline=_headline(name, frame.height, findings), table=pl.DataFrame(told, schema=_SHAPE), layers=_layers(looked, findings),
                   basis=basis, base=origin.base, findings=findings, looked=looked)


def _findings(looked: Looked) -> Iterator[Finding]:
    if looked.frame.is_empty():
        return
    yield from rows.missing(looked)
    yield from rows.alike(looked)
    yield from times.impossible(looked)
    yield from times.heaped(looked)
    yield from times.shifted(looked)
    yield from places.crowded(looked)
    yield from places.outside(looked)
    yield from drift.drifted(looked)


def _headline(name: str, count: int, findings: tuple[Finding, ...]) -> str:
    if not count:
        return f"The table {name} is empty: there is nothing to look through."
    bad, doubt = ([f for f in findings if f.level == level] for level in ("bad", "doubt"))
    if not bad and not doubt:
        return f"{count:,} rows of {name}: nothing stands out in {len(findings)} checks."
    worst = (bad or doubt)[0]
    told = f"{len(bad)} serious finding{'' if len(bad) == 1 else 's'} and {len(doubt)} doubt{'' if len(doubt) == 1 else 's'}"
    return f"{count:,} rows of {name}: {told}. {worst.says}"


def _layers(looked: Looked, findings: tuple[Finding, ...]) -> tuple[Layer, ...]:
    """The places of the findings that have places."""
    out: list[Layer] = []
    key = looked.about.key[0]
    for finding in findings:
        if finding.placed and len(finding.rows):
            shown: Any = looked.frame[finding.rows[:500].tolist()].filter(pl.col("lon").is_not_null() & pl.col("lat").is_not_null())
            if shown.height:
                out.append(Points.of(finding.check, shown, key=key, kind="place"))
    return tuple(out)
