"""Where is this address? An offline geocoder over the streets that the workspace holds: house numbers, hundred blocks, corners.

Nothing is guessed silently: each answer says what it rests on (``basis``), how well the words fit (``score``), how far off it may be
(``error_m``), and what has no answer says why (``reason``). Where two places fit, none is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import polars as pl

from workbench.errors import CannotTell
from workbench.intake import addresses
from workbench.intake.addresses import Address, Name
from workbench.intake.atlas import Atlas, Spot
from workbench.schema import require

BASES = ("address", "hundred block", "intersection", "street")
#: Spots that all fit are one place when they lie no further apart than this, metres; the parts of one hundred block may.
_SAME, _SAME_BLOCK = 150.0, 350.0
#: Spelling: words this alike (0 to 100) are one name, if no other name comes within the margin.
_ALIKE, _MARGIN, _SHORTEST = 85.0, 4.0, 5


@dataclass(frozen=True)
class Match:
    """The answer for one address.

    ``basis`` is one of ``BASES``, None = no position; ``score`` 0 to 1 says how well the words fit; ``error_m`` is the distance within which
    the true place lies about nine times of ten; ``street`` is the name that was taken; ``reason`` says why there is no position, or what was bent.
    """

    lon: float | None = None
    lat: float | None = None
    basis: str | None = None
    score: float = 0.0
    error_m: float | None = None
    street: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Report:
    """What geocoding a frame came to; ``again`` positions were not looked up but taken from an earlier edition of the row."""

    rows: int
    placed_before: int
    by_basis: dict[str, int]
    by_reason: dict[str, int]
    bent: int
    error_m: dict[str, float] = field(default_factory=dict)
    again: int = 0

    @property
    def tried(self) -> int:
        """Rows that were looked up: they had no position, and none to be set again."""
        return self.rows - self.placed_before - self.again

    @property
    def placed(self) -> int:
        """Rows that got one."""
        return sum(self.by_basis.values())

    @property
    def match_rate(self) -> float:
        """Share of the rows tried that got a position; nan when none was tried."""
        return self.placed / self.tried if self.tried else float("nan")

    def sentence(self) -> str:
        """The counts in words."""
        if self.again:
            set_ = f"{self.again:,} position{'' if self.again == 1 else 's'} that an update had dropped {'was' if self.again == 1 else 'were'} set again."
            return f"{set_} {replace(self, rows=self.rows - self.again, again=0).sentence()}" if self.tried else set_
        if not self.tried:
            return f"All {self.rows:,} rows have a position already."
        how = ", ".join(f"{n:,} by {b} (within {self.error_m[b]:,.0f} m)" for b, n in self.by_basis.items() if n)
        why = "; ".join(f"{n:,} {r}" for r, n in sorted(self.by_reason.items(), key=lambda p: -p[1]))
        text = f"Of {self.tried:,} rows without a position {self.placed:,} ({100 * self.match_rate:.1f} %) were placed{': ' + how if how else ''}."
        return text + (f" In {self.bent:,} of them the spelling was bent." if self.bent else "") + (f" Not placed: {why}." if why else "")

    def table(self) -> pl.DataFrame:
        """Outcome (basis, or why not), rows, share of those tried, error_m (median, metres)."""
        rows = [(b, n, n / max(self.tried, 1), self.error_m.get(b)) for b, n in self.by_basis.items()]
        rows += [(r, n, n / max(self.tried, 1), None) for r, n in self.by_reason.items()]
        return pl.DataFrame(rows, schema={"outcome": pl.String, "rows": pl.Int64, "share": pl.Float64, "error_m": pl.Float64}, orient="row")


class Geocoder:
    """Answers addresses out of a table of streets.

    Args:
        streets: the table ``streets``; house numbers where there are any.
        aliases: other names of streets, as the agency writes them: {"MLK": "Martin Luther King Jr Dr"}.
        spelling: bend the spelling of names that are not found (never of numbered streets); what was bent is said.
        longest: a street that is named without a number or corner has a position only if it is no longer than this, metres.

    Raises:
        CannotTell: there is no street.

    Cost: some 2 s for 30,000 pieces of street; then 50 to 300 us for each address that was not asked before.
    """

    def __init__(self, streets: pl.DataFrame, *, aliases: Mapping[str, str] | None = None, spelling: bool = True, longest: float = 500.0) -> None:
        require(streets, "name", "geometry", what="The streets")
        if not streets["name"].drop_nulls().len():
            raise CannotTell("No streets with names are loaded, so no address can be looked up; load some with: workbench load osm_streets FILE.osm.pbf, "
                             "or your own street file with: workbench load streets_geojson FILE")
        self._atlas = Atlas(streets, aliases or {})
        self._spelling, self._longest = spelling, longest
        self._asked = lru_cache(maxsize=500_000)(self._answer)
        self._known = lru_cache(maxsize=50_000)(self._streets)

    def locate(self, address: str | None) -> Match:
        """One address."""
        return self._asked(" ".join((address or "").split()))

    def locate_all(self, addresses: Iterable[str | None]) -> pl.DataFrame:
        """Many addresses, in their order: columns lon, lat, basis, score, error_m, street, reason."""
        found = [self.locate(a) for a in addresses]
        kinds = {"lon": pl.Float64, "lat": pl.Float64, "basis": pl.String, "score": pl.Float64, "error_m": pl.Float64, "street": pl.String, "reason": pl.String}
        return pl.DataFrame({n: [getattr(m, n) for m in found] for n in kinds}, schema=kinds)

    # ------------------------------------------------------------------ one address

    def _answer(self, text: str) -> Match:
        said = addresses.read(text)
        if said.street is None:
            return Match(reason="no address" if not text else "not readable as an address")
        streets, bent = self._known(said.street)
        if not streets:
            return Match(reason=bent or "no street of that name")
        if said.kind == "intersection" and said.cross is not None:
            others, bent_too = self._known(said.cross)
            if not others:
                return Match(reason=bent_too or "no street of that name")
            return self._corner(streets, others, bent or bent_too)
        for score, group in streets:
            spots, basis = self._spots(said, group)
            if spots:
                return self._one(spots, basis, score, bent)
        if said.kind == "street":
            return self._middle(streets, bent)
        numbered = any(self._atlas.numbered(group) for _, group in streets)
        return Match(reason="number outside every range" if numbered else "the street has no house numbers")

    def _streets(self, name: Name) -> tuple[list[tuple[float, list[int]]], str]:
        """The pieces that fit a name, best first, and how its spelling was bent ("" = not); no piece: why, if there is more to say."""
        found = self._atlas.named(name)
        if found or not self._spelling or name.numbered or len(name.base) < _SHORTEST:
            return found, ""
        from rapidfuzz import fuzz, process

        near = process.extract(name.base, self._atlas.spellings, scorer=fuzz.ratio, score_cutoff=_ALIKE - _MARGIN, limit=8)
        close = [(base, score) for base, score, _ in near if score >= _ALIKE]
        fitting = [(base, score, self._atlas.named(name, base)) for base, score in close]
        fitting = [f for f in fitting if f[2]]
        if not fitting:
            return [], ""
        if len(fitting) > 1 and fitting[1][1] > fitting[0][1] - _MARGIN:
            return [], "the spelling fits two streets"
        base, score, found = fitting[0]
        return [(round(fit * score / 100, 3), pieces) for fit, pieces in found], f"{name.base} read as {base}"

    def _spots(self, said: Address, group: list[int]) -> tuple[list[Spot], str]:
        if said.kind == "address":
            spots = self._atlas.houses(group, said.low)
            if spots:
                return spots, "address"
            hundred = said.low // 100 * 100
            return self._atlas.blocks(group, hundred, hundred + 99), "hundred block"
        if said.kind == "hundred block":
            return self._atlas.blocks(group, said.low, said.high), "hundred block"
        return [], ""

    def _one(self, spots: list[Spot], basis: str, score: float, bent: str) -> Match:
        """One place out of the spots that fit, or none if they lie apart."""
        xy = np.array([(s.x, s.y) for s in spots])
        spread = float(np.hypot(*(xy.max(axis=0) - xy.min(axis=0))))
        one_street = len({s.street for s in spots}) == 1
        if spread > (_SAME_BLOCK if basis == "hundred block" and one_street else _SAME):
            return Match(reason="two places fit", score=score)
        best = min(spots, key=lambda s: s.error_m) if basis == "address" else None
        x, y = (best.x, best.y) if best else xy.mean(axis=0)
        lon, lat = self._atlas.degrees(float(x), float(y))
        error = (best.error_m if best else max(s.error_m for s in spots)) + spread / 2
        return Match(lon, lat, basis, round(score * (best.fit if best else 1.0), 3), round(error, 1), spots[0].street, bent or None)

    def _corner(self, streets: list[tuple[float, list[int]]], others: list[tuple[float, list[int]]], bent: str) -> Match:
        for score, group in streets:
            for other_score, other in others:
                spots = self._atlas.corners(group, other)
                if spots:
                    return self._one(spots, "intersection", min(score, other_score), bent)
        return Match(reason="the two streets do not meet")

    def _middle(self, streets: list[tuple[float, list[int]]], bent: str) -> Match:
        score, group = streets[0]
        spot, extent = self._atlas.middle(group)
        if extent > self._longest:
            return Match(reason="only a street, and a long one", score=score)
        lon, lat = self._atlas.degrees(spot.x, spot.y)
        return Match(lon, lat, "street", score, round(extent / 2 + 15, 1), spot.street, bent or None)


def geocode(frame: pl.DataFrame, geocoder: Geocoder, *, address: str = "address") -> tuple[pl.DataFrame, Report]:
    """Fill positions where there are none; a position that was recorded is never touched.

    Args:
        frame: rows with lon, lat and an address.
        geocoder: over the workspace's streets.
        address: the column with the address.

    Returns:
        The frame with lon, lat, place_basis and place_error_m filled where an address was found, and the report.

    Raises:
        BadInput: the frame lacks a column.
    """
    require(frame, address, "lon", "lat")
    lacking = {"place_basis": pl.String, "place_error_m": pl.Float64}
    frame = frame.with_columns(pl.lit(None, dtype=kind).alias(n) for n, kind in lacking.items() if n not in frame.columns)
    without = frame["lon"].is_null() | frame["lat"].is_null()
    rows = np.flatnonzero(without.to_numpy())
    texts = frame[address].gather(rows).to_list()
    found = geocoder.locate_all(texts)
    placed = found["basis"].is_not_null()
    at = pl.DataFrame({"#": rows, "#lon": found["lon"], "#lat": found["lat"], "#basis": found["basis"], "#error": found["error_m"]},
                      schema_overrides={"#": pl.UInt32}).filter(placed)
    filled = frame.with_row_index("#").join(at, on="#", how="left", maintain_order="left")
    new = pl.col("#basis").is_not_null()
    filled = filled.with_columns(
        pl.when(new).then(pl.col(value)).otherwise(pl.col(own)).alias(own)
        for own, value in (("lon", "#lon"), ("lat", "#lat"), ("place_basis", "#basis"), ("place_error_m", "#error"))).select(frame.columns)
    counts = Counter(found["basis"].drop_nulls().to_list())
    errors = {str(b): float(e) for b, e in found.filter(placed).group_by("basis").agg(pl.col("error_m").median()).iter_rows()}
    reasons = Counter(found.filter(~placed)["reason"].to_list())
    bent = int((placed & found["reason"].is_not_null()).sum())
    report = Report(frame.height, frame.height - len(rows), {b: counts.get(b, 0) for b in BASES}, dict(reasons), bent, errors)
    return filled, report
