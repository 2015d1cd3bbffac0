"""Where are these coordinates? Degrees or a survey grid, which way round, and in which CRS: the one that puts the points into the study area."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from workbench.intake import sniff, synonyms
from workbench.intake.sniff import Profile

Box = tuple[float, float, float, float]
Floats = np.ndarray
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
    first, second = _inside(a, b, area), _inside(b, a, area)
    lon_first = kind == "point" if area is None else first >= second if kind == "point" else first > second
    name = "point" if kind == "point" and lon_first else "lon_lat" if lon_first else "lat_lon"
    inside = 1.0 if area is None else max(first, second)
    order = "longitude" if lon_first else "latitude"
    confidence = "sure" if area is not None and inside > INSIDE else "likely"
    return Spot((p.name,), f"{name}({p.written})", inside, confidence, f"a text that holds a position, {order} first", 0.7, p.filled)


def _inside(lon: Floats, lat: Floats, area: Box | None) -> float:
    """Share of the points that lie in the study area, widened by half its size; 0 without points."""
    ok = np.isfinite(lon) & np.isfinite(lat)
    if area is None or not ok.any():
        return 0.0
    w, s, e, n = area
    dx, dy = max(0.02, (e - w) / 2), max(0.02, (n - s) / 2)
    return float(np.mean((lon[ok] >= w - dx) & (lon[ok] <= e + dx) & (lat[ok] >= s - dy) & (lat[ok] <= n + dy)))


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
        if _within(sx, 180.0) and _within(sy, 90.0) and area is not None and _inside(sx, sy, area) > INSIDE:
            factor = f"1e-0{power}"
            return Spot(
                (x.name, y.name),
                f"degrees(scaled({one}, {factor}), scaled({two}, {factor}))",
                _inside(sx, sy, area),
                "likely",
                f"degrees times {10**power:,}",
                named,
                filled,
            )
    return _planar(x, y, one, two, xs, ys, area, named, filled)


def _within(values: Floats, limit: float) -> bool:
    return float(np.mean(np.abs(values) <= limit)) > 0.97


def _degrees(x: Profile, y: Profile, one: str, two: str, xs: Floats, ys: Floats, area: Box | None, named: float, filled: float) -> Spot | None:
    raw = (x.name, y.name)
    if area is None:
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
    shares = [_inside(u, v, area) for u, v, *_ in tries]
    best = int(np.argmax(np.array(shares) - np.array([0.0, 0.02, 0.0001, 0.03])))
    if best == 2 and shares[0] > 0.9:
        best = 0 if not np.any((xs > 0) & (np.sign(area[0]) < 0)) else 2
    _, _, written, columns, reason, doubt = tries[best]
    inside = shares[best]
    if inside < INSIDE:
        say = f"Only {inside:.0%} of the positions in {x.name}, {y.name} lie in the study area."
        if np.mean(np.abs(ys) <= 90) <= 0.97:
            return None
        return Spot(raw, f"degrees({one}, {two})", inside, "doubtful", "degrees, but not where the study area is", named, filled, (say,))
    nowhere, said = _nowhere(tries[best][0], tries[best][1], area)
    written = written[:-1] + f", nowhere={nowhere})" if nowhere else written
    return Spot(columns, written, inside, "sure" if best == 0 and named > 0.6 else "likely", reason, named, filled, tuple(d for d in (doubt, said) if d))


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
            if np.nanmax(np.abs(a), initial=0) <= 180 and np.nanmax(np.abs(b), initial=0) <= 90 and (share := _inside(a, b, area)) > 0.9:
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


def guess_crs(x: Floats, y: Floats, area: Box) -> list[tuple[str, float, str]]:
    """(code, share inside the study area, name) of the projected CRS that fit, best first; of those that give the same place (within 60 m) only
    the most usual one is named. Usual ones (state plane and UTM of NAD83 or ETRS89, national grids, web Mercator) are tried first, old and rare
    ones only where none of those fits. Cost: about a second for a study area's first time, then milliseconds."""
    middle = (round((area[0] + area[2]) / 2, 2), round((area[1] + area[3]) / 2, 2))
    for usual in (True, False):
        found = []
        for rank, code, label, transformer in _candidates(middle, usual):
            lon, lat = transformer.transform(x, y)
            share = _inside(np.asarray(lon), np.asarray(lat), area)
            if share >= 0.5:
                found.append((share, -rank, code, label, float(np.median(lon)), float(np.median(lat))))
        found.sort(key=lambda f: (round(f[0], 1), f[1]), reverse=True)
        kept: list[tuple[float, int, str, str, float, float]] = []
        for one in found:
            scale = np.cos(np.radians(one[5]))
            if not any(np.hypot((one[4] - k[4]) * scale, one[5] - k[5]) * 111_000 < 60 for k in kept):
                kept.append(one)
        if kept:
            return [(code, share, label) for share, _, code, label, _, _ in kept]
    return []


@lru_cache(maxsize=8)
def _candidates(middle: tuple[float, float], usual: bool) -> list[tuple[int, str, str, Any]]:
    """(rank, code, name, transformer) of the projected CRS whose area of use holds a point; usual ones have a low rank."""
    from pyproj import CRS, Transformer
    from pyproj.aoi import AreaOfInterest
    from pyproj.database import query_crs_info
    from pyproj.enums import PJType
    from pyproj.exceptions import CRSError, ProjError

    out: list[tuple[int, str, str, Any]] = []
    for info in query_crs_info(pj_types=[PJType.PROJECTED_CRS], area_of_interest=AreaOfInterest(*middle, *middle), contains=True):
        if info.deprecated or info.auth_name not in ("EPSG", "ESRI"):
            continue
        rank = _rank(info.name, info.auth_name)
        if rank is None or (rank <= _USUAL) != usual:
            continue
        code = f"{info.auth_name}:{info.code}"
        try:
            out.append((rank, code, info.name, Transformer.from_crs(CRS.from_user_input(code), 4326, always_xy=True)))
        except (CRSError, ProjError):
            continue
    return out


_NEVER = ("lcc europe", "laea", "equal area", "world", "arctic", "polar", "oblique", "ease-grid", "equidistant", "sphere", "contiguous", "lower 48", "conus")
_NATIONAL = (
    "british national grid",
    "rgf93 v1 / lambert-93",
    "amersfoort / rd new",
    "wgs 84 / pseudo-mercator",
    "irish transverse mercator",
    "belgian lambert",
    "eov",
    "lv95",
    "mgi / austria",
    "sweref99 tm",
    "etrs89 / poland cs92",
    "nztm",
    "mga zone",
)
_USUAL = 5


def _rank(name: str, authority: str) -> int | None:
    """How usual a CRS is, 0 = most; None = nobody exports in it."""
    low = name.lower()
    if any(w in low for w in _NEVER) or ("mercator" in low and "pseudo" not in low and "transverse" not in low):
        return None
    modern = low.startswith(("nad83 /", "nad_1983_stateplane", "nad_1983_utm", "etrs89 / utm", "wgs 84 / utm", "rdn2008 / utm", "sirgas 2000 / utm"))
    gauss = ("dhdn" in low or "mgi" in low) and "gauss-kruger" in low
    rank = 0 if any(w in low for w in _NATIONAL) else 1 if modern else 2 if gauss else 6
    if any(w in low for w in ("harn", "2011", "nsrs", "cors96", "2007", "csrs", "(n-e)", "zen", "+ ", "feet_intl")):
        rank = max(rank, 2) if "(n-e)" in low or "zen" in low else 5
    return min(2 * rank + (authority == "ESRI"), 2 * _USUAL + 2) if rank > 2 else rank * 2 + (authority == "ESRI")


def box(points: Sequence[tuple[float, float]]) -> Box:
    """West, south, east, north of some points."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
