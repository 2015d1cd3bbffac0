"""In which CRS are these survey coordinates? In the one that puts them into the study area."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

Box = tuple[float, float, float, float]
Floats = np.ndarray


def inside(lon: Floats, lat: Floats, area: Box | None) -> float:
    """Share of the points that lie in the study area, widened by half its size; 0 without points."""
    ok = np.isfinite(lon) & np.isfinite(lat)
    if area is None or not ok.any():
        return 0.0
    w, s, e, n = area
    dx, dy = max(0.02, (e - w) / 2), max(0.02, (n - s) / 2)
    return float(np.mean((lon[ok] >= w - dx) & (lon[ok] <= e + dx) & (lat[ok] >= s - dy) & (lat[ok] <= n + dy)))


def guess_crs(x: Floats, y: Floats, area: Box) -> list[tuple[str, float, str]]:
    """(code, share inside the study area, name) of the projected CRS that fit, best first; of those that give the same place (within 60 m) only
    the most usual one is named. Usual ones (state plane and UTM of NAD83 or ETRS89, national grids, web Mercator) are tried first, old and rare
    ones only where none of those fits. Cost: about a second for a study area's first time, then milliseconds."""
    middle = (round((area[0] + area[2]) / 2, 2), round((area[1] + area[3]) / 2, 2))
    for usual in (True, False):
        found = []
        for rank, code, label, transformer in _candidates(middle, usual):
            lon, lat = transformer.transform(x, y)
            share = inside(np.asarray(lon), np.asarray(lat), area)
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
