"""Where are these coordinates? Degrees or a survey grid, which way round, and in which CRS: the one that puts the points into the study area."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from workbench.intake import sniff, synonyms
from workbench.intake.sniff import Profile
from workbench.intake.sniff_crs import Box, Floats, guess_crs, inside

#: Share of the points that must lie in the study area before a reading counts as right.
INSIDE = 0.8


@dataclass(frozen=True)
class Spot:
    """One way to read positions out of a file.

    Args:
        raw: the raw columns, east or longitude first.
        expression: how it is written.
        inside: share of its points in the study area (1.0 where there is no study area).
        confidence: sure, likely or doubtful; with the reason and the doubts in words.
    """

    raw: tuple[str, ...]
    expression: str
    inside: float
    confidence: str
    reason: str
    named: float
    filled: float
    doubts: tuple[str, ...] = field(default=())

    @property
    def rank(self) -> tuple[float, ...]:
        """Best first when sorted the other way: where the points lie, then what the columns are called, then how many rows have one."""
        sure = {"sure": 2, "likely": 1, "doubtful": 0}[self.confidence]
        return (round(self.inside, 1), sure, not self.expression.startswith("planar"), round(self.named, 1), self.filled)


def spots(found: Mapping[str, Profile], area: Box | None) -> list[Spot]:
    """Every way to read positions, the best first."""
    out = [s for p in found.values() if (s := _text(p, area)) is not None]
    numeric = {n: p for n, p in found.items() if (p.number or p.place_text == "dms") and p.times is None or not p.given}
    east = {n: synonyms.score(n, "common", "lon") for n in numeric}
    north = {n: synonyms.score(n, "common", "lat") for n in numeric}
    order, pairs = list(found), []
    for x in numeric:
        if east[x] < 0.4:
            continue
        ys = sorted((y for y in numeric if y != x and north[y] >= 0.4), key=lambda y: (_twins(x, y), -abs(order.index(y) - order.index(x))), reverse=True)
        if ys and _twins(x, ys[0]) >= 0.3:
            pairs.append((x, ys[0]))
    surveyed = [p for p in pairs if _survey(numeric[p[0]], numeric[p[1]])]
    for x, y in [p for p in pairs if p not in surveyed] + surveyed:
        if (x, y) in surveyed and any(s.inside >= INSIDE for s in out):
            continue
        spot = _numbers(numeric[x], numeric[y], area, min(east[x], north[y]))
        out += [spot] if spot is not None else []
    if not any(s.inside >= INSIDE for s in out) and area is not None:
        out += _unnamed(numeric, area)
    return sorted(out, key=lambda s: s.rank, reverse=True)


def _survey(x: Profile, y: Profile) -> bool:
    """Whether two columns hold numbers too large for degrees."""
    return max(abs(x.low), abs(x.high)) > 180 or max(abs(y.low), abs(y.high)) > 180


def _twins(one: str, other: str) -> float:
    """How alike two columns' names are but for x and y, longitude and latitude."""
    mine, its = (tuple(w for w in synonyms.split(n) if w not in _AXIS) for n in (one, other))
    if not mine and not its:
        plain = [set(synonyms.split(n)) & {"x", "y"} for n in (one, other)]
        return 1.0 if bool(plain[0]) == bool(plain[1]) else 0.5
    return len(set(mine) & set(its)) / max(1, len(set(mine) | set(its)))


_AXIS = frozenset(
    synonyms.tokens(
        "x y lon lat longitude latitude long lng easting northing east north laenge breite laengengrad breitengrad longitud latitud longitudine latitudine "
        "rechtswert hochwert ostwert nordwert geox geoy mapx mapy xcoord ycoord lengtegraad breedtegraad xrough yrough"
    )
) | {"geogr"}


def _text(p: Profile, area: Box | None) -> Spot | None:
    kind = p.place_text
    if kind not in ("point", "pair", "geometry"):
        return None
    if kind == "geometry":
        return Spot((p.name,), f"geometry({p.written})", 1.0, "sure", "a GeoJSON point", 1.0, p.filled)
    texts = list(p.solid)[:2000]
    points = [q for t in texts if (q := (sniff.point(t) if kind == "point" else sniff.pair(t))) is not None]
    a, b = np.array(points).T
    first, second = inside(a, b, area), inside(b, a, area)
    lon_first = kind == "point" if area is None else first >= second if kind == "point" else first > second
    name = "point" if kind == "point" and lon_first else "lon_lat" if lon_first else "lat_lon"
    share = 1.0 if area is None else max(first, second)
    order = "longitude" if lon_first else "latitude"
    confidence = "sure" if area is not None and share > INSIDE else "likely"
    return Spot((p.name,), f"{name}({p.written})", share, confidence, f"a text that holds a position, {order} first", 0.7, p.filled)


def _floats(p: Profile) -> Floats:
    if p.place_text == "dms":
        return np.array([np.nan if v is None or (d := sniff.dms(v)) is None else d for v in p.values], dtype=float)
    return np.array([np.nan if v is None else v for v in p.numbers], dtype=float)


def _written(p: Profile) -> str:
    name = p.written if not p.nothings else f"empty({p.written}, {', '.join(json.dumps(w, ensure_ascii=False) for w in p.nothings[:12])})"
    if p.place_text == "dms":
        return f"dms({name})"
    return f"{p.number}({name})" if p.number in ("comma", "thousands") else name


def _numbers(x: Profile, y: Profile, area: Box | None, named: float) -> Spot | None:
    """Two columns of numbers: degrees as they stand, the other way round, without a sign, scaled; else a survey grid."""
    if not x.given or not y.given:
        return Spot(
            (x.name, y.name),
            f"degrees({x.written}, {y.written})",
            0.0,
            "doubtful",
            "called so, but blank in the rows looked at",
            named,
            0.0,
            (f"{x.name} and {y.name} are blank in the rows looked at; whether they hold degrees is not known.",),
        )
    a, b = _floats(x), _floats(y)
    real = np.isfinite(a) & np.isfinite(b) & ~((np.abs(a) < 0.001) & (np.abs(b) < 0.001))
    if real.sum() < 0.5 * max(1, np.isfinite(a).sum()) and real.sum() < 3:
        return None
    xs, ys, filled = a[real], b[real], float(real.mean())
    one, two = _written(x), _written(y)
    if _within(xs, 180.0) and _within(ys, 180.0):
        return _degrees(x, y, one, two, xs, ys, area, named, filled)
    for power in (6, 5, 7):
        sx, sy = xs / 10**power, ys / 10**power
        if _within(sx, 180.0) and _within(sy, 90.0) and area is not None and inside(sx, sy, area) > INSIDE:
            factor = f"1e-0{power}"
            return Spot(
                (x.name, y.name),
                f"degrees(scaled({one}, {factor}), scaled({two}, {factor}))",
                inside(sx, sy, area),
                "likely",
                f"degrees times {10**power:,}",
                named,
                filled,
            )
    return _planar(x, y, one, two, xs, ys, area, named, filled)


def _within(values: Floats, limit: float) -> bool:
    return float(np.mean(np.abs(values) <= limit)) > 0.97


def _unchecked(x: Profile, y: Profile, one: str, two: str, xs: Floats, ys: Floats, named: float, filled: float) -> Spot:
    """Degrees that no study area can be held against."""
    raw = (x.name, y.name)
    if np.mean(np.abs(ys) <= 90) < 0.97 and np.mean(np.abs(xs) <= 90) > 0.97:
        return Spot(
            raw[::-1],
            f"degrees({two}, {one})",
            0.9,
            "doubtful",
            "degrees, but the other way round than the names say",
            named,
            filled,
            (f"{x.name} holds latitudes and {y.name} longitudes.",),
        )
    return Spot(
        raw,
        f"degrees({one}, {two})",
        1.0,
        "likely",
        "degrees; the workspace has no study area to hold them against",
        named,
        filled,
        ("The workspace has no study area, so the positions could not be checked.",),
    )


def _degrees(x: Profile, y: Profile, one: str, two: str, xs: Floats, ys: Floats, area: Box | None, named: float, filled: float) -> Spot | None:
    raw = (x.name, y.name)
    if area is None:
        return _unchecked(x, y, one, two, xs, ys, named, filled)
    tries = [
        (xs, ys, f"degrees({one}, {two})", raw, "degrees in the study area", ""),
        (
            ys,
            xs,
            f"degrees({two}, {one})",
            raw[::-1],
            "degrees in the study area, the other way round than the names say",
            f"{x.name} holds latitudes and {y.name} longitudes: they are taken the other way round.",
        ),
        (
            -np.abs(xs),
            ys,
            f"degrees(minus({one}), {two})",
            raw,
            "degrees in the study area once the missing minus sign is put back",
            f"{x.name} has lost its minus sign ({int((xs > 0).sum()):,} of {len(xs):,} values).",
        ),
        (
            -np.abs(ys),
            xs,
            f"degrees(minus({two}), {one})",
            raw[::-1],
            "degrees in the study area, the other way round and without the minus sign",
            f"{x.name} holds latitudes, {y.name} longitudes without their minus sign.",
        ),
    ]
    shares = [inside(u, v, area) for u, v, *_ in tries]
    best = int(np.argmax(np.array(shares) - np.array([0.0, 0.02, 0.0001, 0.03])))
    if best == 2 and shares[0] > 0.9:
        best = 0 if not np.any((xs > 0) & (np.sign(area[0]) < 0)) else 2
    _, _, written, columns, reason, doubt = tries[best]
    share = shares[best]
    if share < INSIDE:
        say = f"Only {share:.0%} of the positions in {x.name}, {y.name} lie in the study area."
        if np.mean(np.abs(ys) <= 90) <= 0.97:
            return None
        return Spot(raw, f"degrees({one}, {two})", share, "doubtful", "degrees, but not where the study area is", named, filled, (say,))
    nowhere, said = _nowhere(tries[best][0], tries[best][1], area)
    written = written[:-1] + f", nowhere={nowhere})" if nowhere else written
    return Spot(columns, written, share, "sure" if best == 0 and named > 0.6 else "likely", reason, named, filled, tuple(d for d in (doubt, said) if d))


def _nowhere(lon: Floats, lat: Floats, area: Box) -> tuple[str, str]:
    """Points outside that stand for "not found": one exact point, again and again."""
    w, s, e, n = area
    far = (lon < w - 1) | (lon > e + 1) | (lat < s - 1) | (lat > n + 1)
    seen = Counter(zip(lon[far].tolist(), lat[far].tolist(), strict=True))
    often = [(p, c) for p, c in seen.most_common(3) if c >= 3]
    if not often:
        return "", ""
    shown = ", ".join(f"{p[1]:g}, {p[0]:g} ({c:,} times)" for p, c in often)
    return "[" + ", ".join(
        f"[{p[0]!r}, {p[1]!r}]" for p, _ in often
    ) + "]", f"One point far outside stands again and again and is taken for no position: {shown}."


def _unnamed(numeric: Mapping[str, Profile], area: Box) -> list[Spot]:
    """Positions under names that say nothing: two columns beside each other whose values lie in the study area."""
    names = [n for n, p in numeric.items() if p.given and p.known and not p.whole]
    out = []
    for one, other in zip(names, names[1:], strict=False):
        for x, y in ((one, other), (other, one)):
            a, b = _floats(numeric[x]), _floats(numeric[y])
            if np.nanmax(np.abs(a), initial=0) <= 180 and np.nanmax(np.abs(b), initial=0) <= 90 and (share := inside(a, b, area)) > 0.9:
                out.append(
                    Spot(
                        (x, y),
                        f"degrees({_written(numeric[x])}, {_written(numeric[y])})",
                        share,
                        "likely",
                        "told from the values alone: they lie in the study area",
                        0.3,
                        numeric[x].filled,
                    )
                )
    return out


def _planar(x: Profile, y: Profile, one: str, two: str, xs: Floats, ys: Floats, area: Box | None, named: float, filled: float) -> Spot | None:
    raw = (x.name, y.name)
    real = (xs != 0) & (ys != 0)
    xs, ys = xs[real], ys[real]
    if len(xs) == 0:
        return None
    if area is None:
        return Spot(
            (),
            "nothing",
            0.0,
            "doubtful",
            "survey coordinates, but the workspace has no study area to tell their CRS by",
            named,
            filled,
            (
                f"{x.name} and {y.name} are survey coordinates; their CRS can only be told with a study area in agency.toml, or written by hand: "
                f'place = planar({one}, {two}, "EPSG:...").',
            ),
        )
    pick = np.linspace(0, len(xs) - 1, min(300, len(xs))).astype(int)
    ranked = guess_crs(xs[pick], ys[pick], area)
    swapped = guess_crs(ys[pick], xs[pick], area) if not ranked or ranked[0][1] < INSIDE else []
    turned = bool(swapped) and (not ranked or swapped[0][1] > ranked[0][1])
    ranked = swapped if turned else ranked
    if not ranked or ranked[0][1] < INSIDE:
        return Spot(
            (),
            "nothing",
            0.0,
            "doubtful",
            "numbers of no CRS that lies in the study area",
            named,
            filled,
            (f"{x.name} and {y.name} look like survey coordinates, but no known CRS puts them into the study area.",),
        )
    code, inside, label = ranked[0]
    rivals = [r for r in ranked[1:] if r[1] > inside - 0.1]
    doubts = []
    if rivals:
        doubts.append(
            f"{code} ({label}) and {', '.join(f'{r[0]} ({r[2]})' for r in rivals[:3])} put the points into the study area equally well, "
            "some way apart from each other; check a known address."
        )
    if turned:
        doubts.append(f"{x.name} holds the northing and {y.name} the easting: they are taken the other way round.")
        raw, one, two = raw[::-1], two, one
    return Spot(
        raw,
        f'planar({one}, {two}, "{code}")',
        inside,
        "doubtful" if rivals else "likely" if turned else "sure",
        f"{label}: {inside:.0%} of the points then lie in the study area",
        named,
        filled,
        tuple(doubts),
    )
