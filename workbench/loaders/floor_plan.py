"""Floor plans: rooms, corridors, stairs and doors of a building as GeoJSON, plain or with the properties of IMDF."""

from workbench.geo.geometry import AREAS, LINES
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, member, said, stable_id, text
from workbench.loaders.kit.geometry import Geometry

#: The file's word for a piece (IMDF categories and the usual ones) -> what it is here. Any other word is a room when it has an area.
KINDS = {
    "corridor": "corridor", "walkway": "corridor", "hallway": "corridor", "hall": "corridor", "lobby": "corridor", "foyer": "corridor", "vestibule": "corridor",
    "stair": "stair", "stairs": "stair", "stairway": "stair", "staircase": "stair", "steps": "stair", "ramp": "stair", "escalator": "stair",
    "lift": "lift", "elevator": "lift",
    "door": "door", "opening": "door", "pedestrian": "door", "pedestrian.principal": "door", "automobile": "door", "service": "door", "doorway": "door",
    "exit": "exit", "emergencyexit": "exit", "emergency exit": "exit", "fire exit": "exit", "entrance": "exit", "main entrance": "exit",
    "window": "window",
}
_WORD = f"lower({text(column('kind'))})"
_SHAPE = Geometry(column("geometry"), (*AREAS, *LINES, "Point"))
_AREA = f"contains({column('geometry')}, 'Polygon')"
_PAIRS = ", ".join(f"'{k}': '{v}'" for k, v in KINDS.items())
_KIND = f"coalesce((map {{{_PAIRS}}})[{_WORD}], case when {_AREA} then 'room' when {_WORD} is null then null else {_WORD} end)"
_LIST = text(column("connects"))

SOURCE = Source(
    name="floor_plan",
    title="floor plan: rooms, corridors, stairs and doors (GeoJSON)",
    formats=("geojson", "shapefile"),
    columns=("geometry",),
    optional=("id", "kind", "name", "building", "floor", "connects"),
    also={
        "id": ("room_id", "unit_id", "feature_id"), "kind": ("category", "type", "feature_type", "use", "class"),
        "name": ("room", "label", "room_name", "alt_name", "number"), "building": ("building_id", "building_ids", "building_name", "facility"),
        "floor": ("level", "level_id", "storey", "ordinal", "floor_id", "story"), "connects": ("connects_to", "neighbours", "neighbors", "leads_to"),
    },
    takes={"building": "the building, where the file does not name it", "floor": "the floor, where the file is of one floor and does not name it",
           "crs": "the coordinate system, where the file does not say it"},
    parts=(
        Part("rooms", {
            "room_id": f"coalesce({text(column('id'))}, {stable_id(*(text(column(n)) for n in ('building', 'floor', 'name', 'geometry')))})",
            "building": f"coalesce({said('building')}, {member(column('building'), '$[0]')}, {text(column('building'))})",
            "floor": f"coalesce({text(column('floor'))}, {said('floor')})",
            "kind": _KIND,
            "name": f"coalesce({member(column('name'), '$.en')}, {text(column('name'))})",
            "connects": f"coalesce(try_cast(try_cast({_LIST} as json) as varchar[]), string_split_regex({_LIST}, '\\s*[;,]\\s*'))",
            "geometry": _SHAPE.shape(),
        }),
    ),
    notes=(
        "IMDF categories become room, corridor, stair, lift, door, exit, window; another word of a piece with an area is a room, any other is kept.",
        "A piece without an id gets one of its building, floor, name and outline.",
    ),
)
