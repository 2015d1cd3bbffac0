"""The agency's own street file with house numbers: TIGER, or a county's centrelines, as GeoJSON or shapefile."""

from workbench.geo.geometry import LINES
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, said, stable_id, text
from workbench.loaders.kit.geometry import Geometry
from workbench.loaders.kit.lists import parted
from workbench.loaders.kit.where import speed

_LINE = Geometry(column("geometry"), LINES[:1])
_FIRST, _LAST = _LINE.ends()
_PARTS = ("predir", "pretype", "street", "suftype", "sufdir")
#: Census feature class (MTFCC) -> class of street.
MTFCC = {"S1100": "motorway", "S1200": "primary", "S1400": "residential", "S1630": "motorway_link", "S1640": "service", "S1730": "service", "S1740": "service",
         "S1500": "track", "S1710": "footway", "S1720": "steps", "S1780": "service", "S1820": "cycleway", "S1830": "bridleway"}
_CLASSES = ", ".join(f"'{k}': '{v}'" for k, v in MTFCC.items())
_WAYS = {"ft": "forward", "f": "forward", "b": "", "tf": "backward", "t": "backward", "yes": "forward", "y": "forward", "1": "forward", "true": "forward",
         "forward": "forward", "-1": "backward", "backward": "backward", "reverse": "backward"}
_WAY = ", ".join(f"'{k}': '{v}'" for k, v in _WAYS.items())


def _number(name: str) -> Reading:
    """A house number; TIGER writes some with letters or a dash ("12-40"), of which the figures behind the dash count. 0 and blank are none."""
    given = text(column(name), ("", "0", "NA", "None", "null"))
    figures = f"regexp_extract({given}, '([0-9]+)(\\.0+)?\\s*[A-Za-z]?$', 1)"
    return Reading.of(f"nullif(try_cast({figures} as bigint), 0)", f"nullif({given}, '0')", probe=f"try_cast({figures} as bigint)")


def _end(name: str, end: str, quick: str, steps: tuple[tuple[str, str], ...]) -> Reading:
    own = text(column(name))
    return Reading.of(f"coalesce({own}, {end})", "null", steps, f"coalesce({own}, {quick})")


SOURCE = Source(
    name="streets_geojson",
    title="streets with house numbers: TIGER or centrelines (GeoJSON, shapefile)",
    formats=("geojson", "shapefile"),
    columns=("geometry",),
    optional=("id", "fullname", *_PARTS, "aliases", "class", "mtfcc", "one_way", "speed_limit", "lanes", "from_node", "to_node",
              "left_from", "left_to", "right_from", "right_to"),
    also={
        "id": ("street_id", "tlid", "linearid", "segment_id", "segid", "centerline_id", "cl_id", "objectid", "fid"),
        "fullname": ("full_name", "name", "st_name", "street_name", "streetname", "fullstname", "full_street_name", "roadname", "label"),
        "predir": ("prefix", "pre_dir", "st_predir", "dir_pre", "fedirp", "predirabrv", "prefixdir"), "pretype": ("pre_type", "st_pretyp", "fetypep"),
        "street": ("basename", "st_base", "fename", "root_name", "street_root"),
        "suftype": ("suffix", "st_type", "st_postyp", "fetype", "type", "sttype", "suftypabrv"),
        "sufdir": ("suf_dir", "st_posdir", "post_dir", "fedirs", "suffixdir", "sufdirabrv"),
        "aliases": ("alias", "alt_name", "altname", "altnames", "alias1"), "class": ("road_class", "roadclass", "func_class", "fclass", "highway", "st_class"),
        "one_way": ("oneway", "one_way_dir"), "lanes": ("num_lanes", "lane_cnt"),
        "speed_limit": ("speedlimit", "speed", "speed_lim", "posted_speed", "maxspeed"),
        "from_node": ("tnidf", "fnode", "f_node", "from_node_id", "fromnode"), "to_node": ("tnidt", "tnode", "t_node", "to_node_id", "tonode"),
        "left_from": ("lfromadd", "l_f_add", "fromaddr_l", "from_addr_l", "left_from_address", "l_add_from", "l_from", "fadd_l", "lfrom", "fraddl"),
        "left_to": ("ltoadd", "l_t_add", "toaddr_l", "to_addr_l", "left_to_address", "l_add_to", "l_to", "tadd_l", "lto", "toaddl"),
        "right_from": ("rfromadd", "r_f_add", "fromaddr_r", "from_addr_r", "right_from_address", "r_add_from", "r_from", "fadd_r", "rfrom", "fraddr"),
        "right_to": ("rtoadd", "r_t_add", "toaddr_r", "to_addr_r", "right_to_address", "r_add_to", "r_to", "tadd_r", "rto", "toaddr"),
    },
    takes={"speed_unit": "mph or km/h: the unit of speed limits that have none", "crs": "the coordinate system, where the file does not say it"},
    parts=(
        Part("streets", {
            "street_id": f"coalesce({text(column('id'))}, {stable_id(text(column('fullname')), column('geometry'))})",
            "name": f"coalesce({text(column('fullname'))}, nullif(concat_ws(' ', {', '.join(text(column(p)) for p in _PARTS)}), ''))",
            "aliases": f"coalesce(try_cast(try_cast({column('aliases')} as json) as varchar[]), {parted(column('aliases'))})",
            "class": f"coalesce(lower({text(column('class'))}), (map {{{_CLASSES}}})[{text(column('mtfcc'))}])",
            "one_way": f"nullif((map {{{_WAY}}})[lower({text(column('one_way'))})], '')",
            "speed_limit": f"(case when regexp_matches({column('speed_limit')}, '[A-Za-z]') then {speed(column('speed_limit'))} "
                           f"when {said('speed_unit')} = 'mph' then {speed(column('speed_limit'), 'mph')} "
                           f"when {said('speed_unit')} is not null then {speed(column('speed_limit'))} end)",
            "lanes": f"try_cast({column('lanes')} as bigint)",
            "from_node": _end("from_node", _FIRST, _FIRST.quick, _FIRST.steps),
            "to_node": _end("to_node", _LAST, _LAST.quick, _LAST.steps),
            "length_m": _LINE.measure(),
            **{n: _number(n) for n in ("left_from", "left_to", "right_from", "right_to")},
            "geometry": _LINE.shape(),
        }),
    ),
    notes=(
        "House numbers are read by the names of TIGER (LFROMADD, ...) and of the usual centreline files; 0 means none.",
        "Corners are the file's own node numbers, else the ends of the lines themselves.",
        "A speed limit without a unit is taken only where speed_unit was said.",
        "A line of several parts is joined where they meet; one whose parts do not meet is rejected.",
    ),
)
