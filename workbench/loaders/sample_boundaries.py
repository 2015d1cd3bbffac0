"""Beats and districts of Fairwater, the made-up city, in two editions of the map."""

from workbench.geo.geometry import AREAS
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, date, text
from workbench.loaders.kit.geometry import Geometry

_AREA = Geometry(column("geometry"), AREAS)

SOURCE = Source(
    name="sample_boundaries",
    title="Fairwater (made-up city): beats and districts",
    zone="America/Chicago",
    formats=("geojson",),
    columns=("kind", "name", "valid_from", "geometry"),
    optional=("district", "valid_to"),
    parts=(
        Part("boundaries", {
            "kind": text(column("kind")),
            "name": text(column("name")),
            "valid_from": date(column("valid_from")),
            "valid_to": date(column("valid_to")),
            "parent": text(column("district")),
            "area_km2": _AREA.measure(),
            "geometry": _AREA.shape(),
        }),
    ),
    notes=("The beats were redrawn on 1 April 2026: beat 405 gave its eastern half to the new beat 413. Both maps are kept, each with its days.",),
)
