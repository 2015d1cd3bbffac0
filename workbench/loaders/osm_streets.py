"""Streets out of an OpenStreetMap extract (.osm.pbf): the ways that one may drive, cut at every corner."""

from workbench.geo.geometry import LINES
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, json_list, text, whole
from workbench.loaders.kit.geometry import Geometry
from workbench.loaders.kit.where import speed

_LINE = Geometry(column("geometry"), LINES[:1])
_NUMBERS = ("left_from", "left_to", "right_from", "right_to")

SOURCE = Source(
    name="osm_streets",
    title="OpenStreetMap extract: streets one may drive",
    formats=("osm",),
    records="drive",
    columns=("id", "geometry"),
    optional=("name", "aliases", "class", "one_way", "maxspeed", "lanes", "from_node", "to_node", *_NUMBERS),
    parts=(
        Part("streets", {
            "street_id": text(column("id")),
            "name": text(column("name")),
            "aliases": json_list(column("aliases")),
            "class": text(column("class")),
            "one_way": text(column("one_way")),
            "speed_limit": speed(column("maxspeed")),
            "lanes": f"try_cast({column('lanes')} as bigint)",
            "from_node": text(column("from_node")),
            "to_node": text(column("to_node")),
            "length_m": _LINE.measure(),
            **{n: whole(column(n)) for n in _NUMBERS},
            "geometry": _LINE.shape(),
        }),
    ),
    notes=(
        "Footways, cycleways, tracks and what is closed to cars are left out; osm_ways takes them too.",
        "A way is cut at every node that two ways share; its pieces are named by the way and the place in it.",
        "alt_name, old_name, ref and the like become aliases; maxspeed without a unit is km/h, one that is no speed is left empty.",
        "House numbers on nodes and buildings become ranges of the two sides of the nearest piece of the street they name.",
        "(c) OpenStreetMap contributors, Open Database License: say so wherever a map made of them is shown.",
    ),
)
