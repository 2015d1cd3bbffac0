"""What is known while a proposal is made: the matches, the columns so far, the doubts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workbench import schema
from workbench.intake.propose_match import Match
from workbench.intake.propose_units import Unit
from workbench.intake.sniff import Profile


@dataclass(frozen=True)
class Proposed:
    """One canonical column as proposed.

    Args:
        column: canonical column, or ``place`` for lon and lat.
        expression: as the mapping file has it.
        raw: the raw columns in it.
        confidence: sure, likely or doubtful.
        reason: why, in words.
        runner_up: the raw column that came second; "" = none.
    """

    column: str
    expression: str
    raw: tuple[str, ...]
    confidence: str
    reason: str
    runner_up: str = ""

    def comment(self) -> str:
        """What the mapping file says above its line."""
        mark = self.confidence if self.confidence != "doubtful" else "DOUBTFUL"
        return f"{mark}: {self.reason}" + (f"; or {self.runner_up}?" if self.runner_up and self.confidence != "sure" else "")


@dataclass
class Settled:
    """The columns in the table's order, doubts, tables of codes, and what is asked for with a load."""

    columns: tuple[Proposed, ...]
    doubts: list[str]
    lookups: dict[str, dict[str, str]] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)


class State:
    """One proposal in the making."""

    def __init__(self, table: schema.Table, matches: dict[str, Match], units: Sequence[Unit], found: Mapping[str, Profile], zone: str, name: str) -> None:
        self.table, self.matches, self.units, self.found, self.zone, self.name = table, matches, units, found, zone, name
        self.columns: dict[str, Proposed] = {}
        self.doubts: list[str] = []
        self.lookups: dict[str, dict[str, str]] = {}
        self.asks: dict[str, str] = {}

    @property
    def used(self) -> set[str]:
        """The raw columns that are taken so far."""
        return {r for c in self.columns.values() for r in c.raw}

    def add(self, column: str, expression: str, raw: Sequence[str], confidence: str, reason: str, runner_up: str = "") -> None:
        """Put down one canonical column, in place of what was there."""
        self.columns[column] = Proposed(column, expression, tuple(raw), confidence, reason, runner_up)
