"""Emergency calls of Montgomery County, Pennsylvania (EMS, fire and traffic), as gathered from the county's feed."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, place, stable_id, text
from workbench.loaders.kit.times import instead, wall_time

_SAID, _TITLE = text(column("desc")), text(column("title"))
_CALLED = f"nullif(regexp_extract({_SAID}, '([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}} @ [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}})', 1), '')"
_STATION = f"nullif(regexp_extract({_SAID}, 'Station[: ]+([A-Za-z0-9]+)', 1), '')"
_AT = wall_time(f"try_strptime({_CALLED}, '%Y-%m-%d @ %H:%M:%S')", _CALLED)
_SENT = local_time(column("timeStamp"), "iso")
_LON, _LAT = f"try_cast({column('lng')} as double)", f"try_cast({column('lat')} as double)"
_NEAR = f"(({_LON} between -76.3 and -74.5 and {_LAT} between 39.5 and 40.8) or {_LON} is null or {_LAT} is null)"

SOURCE = Source(
    name="montgomery_pa_calls",
    title="Montgomery County, Pennsylvania, 911 calls (county feed)",
    zone="America/New_York",
    columns=("lat", "lng", "desc", "title", "timeStamp", "twp", "addr"),
    parts=(
        Part("calls", {
            "call_id": f"(case when {_TITLE} is not null then {stable_id(_SAID, _TITLE)} end)",
            "call_type": f"regexp_replace(regexp_replace({_TITLE}, '^[A-Za-z]+: *', ''), ' *-$', '')",
            "category": f"coalesce(nullif(regexp_extract({_TITLE}, '^([A-Za-z]+):', 1), ''), {_TITLE})",
            "call_source": "'911'",
            "received_at": instead(_AT, _SENT),
            "units": f"(case when {_STATION} is not null then ['Station ' || {_STATION}] end)",
            "address": text(column("addr")),
            **place(f"(case when {_NEAR} then {column('lng')} end)", f"(case when {_NEAR} then {column('lat')} end)"),
            "district": text(column("twp")),
            "narrative": _SAID,
            "revised_at": _SENT,
        }),
    ),
    notes=(
        "The call's own time stands in desc (\"2015-12-10 @ 17:10:52\"); timeStamp is when the feed sent it, and stands for the time only where desc has none.",
        "The station stands in desc too, in two spellings; it is the unit. The kind in front of the title (EMS, Fire, Traffic) is the category.",
        "There is no id: desc and title make one, so the same call sent twice is a new edition of one call.",
        "A position more than half a degree outside the county is a wrong find of the geocoder: the call is kept without a place.",
        "zip and e are not taken.",
    ),
)
