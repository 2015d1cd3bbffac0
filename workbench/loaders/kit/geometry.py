"""Geometries in a mapping: GeoJSON text checked and measured, as DuckDB expressions and the function behind them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import duckdb

from workbench.geo import geometry as shapes
from workbench.loaders.kit.expressions import Reading, Stepped, column, quoted

#: What there is to know of a geometry; ``measure`` is km2 of an area and metres of a line, ``first`` and ``last`` are its ends as text.
_FACTS = {"geometry": "VARCHAR", "measure": "DOUBLE", "lon": "DOUBLE", "lat": "DOUBLE", "first": "VARCHAR", "last": "VARCHAR"}


def register(con: duckdb.DuckDBPyConnection) -> None:
    """Make ``geometry_facts(texts, kinds)`` known to a connection: several geometries as one, and what there is to know of it."""
    returned = f"STRUCT({', '.join(f'{n} {t}' for n, t in _FACTS.items())})"
    con.create_function("geometry_facts", _facts, ["VARCHAR[]", "VARCHAR"], returned, type="arrow", null_handling="special")  # type: ignore[call-overload]


class Geometry:
    """The expressions of one raw geometry column; each fact of it is computed once.

    Args:
        expr: SQL of the GeoJSON text.
        kinds: the types that are taken, e.g. ``geo.geometry.AREAS``; with ("LineString",) also parts that join into one line.
        together: SQL of what makes several records one: their geometries are put together, and each of those records has the whole.
    """

    def __init__(self, expr: str, kinds: tuple[str, ...], together: tuple[str, ...] = ()) -> None:
        self.given = expr
        texts = f"[{expr}]"
        if together:
            texts = (f"list({expr}) over (partition by {', '.join(together)} order by {column('#record')} "
                     "rows between unbounded preceding and unbounded following)")
        sql = f"geometry_facts({texts}, {quoted(','.join(kinds))})"
        self._step = ("~geometry " + hashlib.md5(sql.encode(), usedforsecurity=False).hexdigest()[:10], sql)

    def _fact(self, name: str) -> Stepped:
        return Stepped(f"({self._step[1]}).{name}", (self._step,), f"({column(self._step[0])}).{name}")

    def shape(self) -> Reading:
        """The geometry as GeoJSON text; one that cannot be used counts as not readable."""
        fact = self._fact("geometry")
        return Reading.of(fact, self.given, fact.steps, fact.quick)

    def measure(self) -> Stepped:
        """Square kilometres of an area, metres of a line."""
        return self._fact("measure")

    def ends(self) -> tuple[Stepped, Stepped]:
        """The first and last position of a line as text, to 6 decimals: the same text where two lines meet."""
        return self._fact("first"), self._fact("last")

    def middle(self) -> tuple[Stepped, Stepped]:
        """Longitude and latitude of a point that stands for it."""
        return self._fact("lon"), self._fact("lat")


def _facts(texts: Any, kinds: Any) -> Any:
    import pyarrow as pa

    wanted = tuple(kinds[0].as_py().split(",")) if len(kinds) else ()
    rows = [_about(parts or [], wanted) for parts in texts.to_pylist()]
    fields = [pa.field(n, pa.string() if t == "VARCHAR" else pa.float64()) for n, t in _FACTS.items()]
    return pa.array(rows, type=pa.struct(fields))


def _about(texts: list[str | None], kinds: tuple[str, ...]) -> dict[str, Any]:
    taken = (*kinds, "MultiLineString") if kinds == ("LineString",) else kinds
    parts = [shapes.usable(text, taken) for text in texts]
    found = [p for p in parts if p is not None]
    if not found or len(found) < len(parts):
        return dict.fromkeys(_FACTS)
    whole = _line(found[0]) if kinds == ("LineString",) else found[0] if len(found) == 1 else _joined(found)
    if whole is None:
        return dict.fromkeys(_FACTS)
    lon, lat = (None, None) if kinds == ("LineString",) else shapes.middle(whole)
    about = {"geometry": json.dumps(whole, separators=(",", ":")), "measure": None, "lon": lon, "lat": lat, "first": None, "last": None}
    if whole["type"] in shapes.AREAS:
        about["measure"] = shapes.area_km2(whole)
    elif whole["type"] in shapes.LINES:
        about["measure"] = shapes.length_m(whole)
        if whole["type"] == "LineString":
            about["first"], about["last"] = (f"{p[0]:.6f},{p[1]:.6f}" for p in (whole["coordinates"][0], whole["coordinates"][-1]))
    return about


def _line(geometry: dict[str, Any]) -> dict[str, Any] | None:
    """One line out of parts that join end to end; None where they do not."""
    if geometry["type"] == "LineString":
        return geometry
    whole = list(geometry["coordinates"][0])
    for part in geometry["coordinates"][1:]:
        if part[0] != whole[-1]:
            return None
        whole += part[1:]
    return {"type": "LineString", "coordinates": whole}


def _joined(geometries: list[dict[str, Any]]) -> dict[str, Any]:
    """Several areas as one MultiPolygon, or any geometries as a collection of the first one's kind."""
    parts: list[Any] = []
    for geometry in geometries:
        parts += geometry["coordinates"] if geometry["type"].startswith("Multi") else [geometry["coordinates"]]
    kind = geometries[0]["type"].removeprefix("Multi")
    return {"type": f"Multi{kind}", "coordinates": parts}
