"""Boundaries of beats, districts, neighbourhoods or any other areas: GeoJSON or a shapefile in any coordinate system."""

from workbench.geo.geometry import AREAS
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, said, text
from workbench.loaders.kit.geometry import Geometry
from workbench.loaders.kit.moments import day

#: Property that names an area, by kind of map: the first that is there is taken, most telling first.
NAMES = {
    "beat": ("beat_num", "beat_no", "beat_id", "beat_name", "beat"),
    "district": ("dist_num", "dist_no", "dist_id", "district_id", "district", "dist_name", "district_name"),
    "neighbourhood": ("neighborhood_name", "neighbourhood_name", "pri_neigh", "nhood", "nbhd_name", "neighborhood", "neighbourhood", "community"),
    "ward": ("ward", "ward_num", "ward_no"),
    "sector": ("sector", "sector_id"),
    "precinct": ("precinct", "precinct_id", "pct"),
    "zone": ("zone", "zone_id"),
    "psa": ("psa", "psa_num"),
}
_PLAIN = ("name", "label", "title")
_FALLS = ("valid_from", "valid_to")
_KIND = f"lower({said('kind')})"
_WORDS = {"neighborhood": "neighbourhood", "community area": "neighbourhood", "community": "neighbourhood"}
_SORT = f"(case {' '.join(f'when {_KIND} = {chr(39)}{k}{chr(39)} then {chr(39)}{v}{chr(39)}' for k, v in _WORDS.items())} else {_KIND} end)"
_EVERY = tuple(dict.fromkeys(n for names in NAMES.values() for n in names))


def _first(names: tuple[str, ...]) -> str:
    return f"coalesce({', '.join(text(column(n)) for n in names)})"


def _name() -> str:
    own = " ".join(f"when {_SORT} = '{kind}' then coalesce({_first(names)}, {_first(_PLAIN)})" for kind, names in NAMES.items())
    guess = f"case {own} else coalesce({_first(_PLAIN)}, {_first(_EVERY)}) end"
    return f"(case when {said('name')} is not null then {said('name')} when {said('name_field')} is not null then {text(column('said name'))} else {guess} end)"


def _day(name: str, otherwise: str) -> Reading:
    given, own = said(name), column(name)
    read = f"coalesce({day(given)}, {day(own)})"
    return Reading.of(f"coalesce({read}, {otherwise})", f"coalesce({given}, {text(own)})", probe=read)


_FROM = _day("valid_from", "date '0001-01-01'")
_AREA = Geometry(column("geometry"), AREAS, together=(_name(), _FROM))

SOURCE = Source(
    name="boundaries",
    title="boundaries: beats, districts, neighbourhoods (GeoJSON, shapefile)",
    formats=("geojson", "shapefile"),
    columns=("geometry",),
    optional=("said name", "said parent", *_PLAIN, *_EVERY, *_FALLS),
    also={
        "said name": ("{name_field}",), "said parent": ("{parent_field}",),
        "valid_from": ("effective_from", "start_date", "eff_date"), "valid_to": ("effective_to", "end_date", "retired"),
    },
    asks={"kind": "what the areas are: beat, district, neighbourhood, ward, ..."},
    takes={
        "valid_from": "first day of this map, e.g. 2026-01-01",
        "valid_to": "last day of this map",
        "name_field": "the property that names an area, where it is none of the usual ones",
        "parent_field": "the property that names the larger area it belongs to",
        "name": "the name itself, for a file of one area",
        "crs": "the coordinate system, where the file does not say it, e.g. EPSG:2263",
    },
    parts=(
        Part("boundaries", {
            "kind": _KIND,
            "name": _name(),
            "valid_from": _FROM,
            "valid_to": _day("valid_to", "null"),
            "parent": f"(case when {said('parent_field')} is not null then {text(column('said parent'))} "
                      f"when {_SORT} = 'beat' then {_first(NAMES['district'])} end)",
            "area_km2": _AREA.measure(),
            "geometry": _AREA.shape(),
        }),
    ),
    notes=(
        "The coordinate system is the file's own (.prj, crs member) and becomes WGS84; one that does not say it is refused unless its numbers are degrees.",
        "The name is looked for by kind (BEAT_NUM before BEAT), or told with name_field; leading zeros are kept as they stand.",
        "Several features of one name are one area of several parts; each counts as a record, all but one as duplicates.",
        "A later map of the same kind is loaded with another valid_from; both are kept, and each row is given the area of its own day.",
    ),
)
