"""Alerts of the Common Alerting Protocol (CAP 1.2, OASIS 2010): weather, missing children, hazards."""

import hashlib

from workbench.geo.geometry import AREAS
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, Stepped, column, quoted, text
from workbench.loaders.kit.geometry import Geometry
from workbench.loaders.kit.moments import any_time

_FLAT = f"cap_alert({column('info')}, {column('references')})"
_AREA = Geometry(f"json_extract_string({_FLAT}, '$.geometry')", AREAS)
_LON, _LAT = _AREA.middle()
_OWN = text(column("identifier"))
_MESSAGE, _STATUS = f"lower({text(column('msgType'))})", f"lower({text(column('status'))})"
_STEP = ("~alert " + hashlib.md5(_FLAT.encode(), usedforsecurity=False).hexdigest()[:10], _FLAT)


def _of(name: str) -> Stepped:
    """A member of the flat alert."""
    return Stepped(f"json_extract_string({_FLAT}, {quoted('$.' + name)})", (_STEP,), f"json_extract_string({column(_STEP[0])}, {quoted('$.' + name)})")


def _first_time(*exprs: str) -> Reading:
    return any_time(f"coalesce({', '.join(exprs)})")


SOURCE = Source(
    name="cap_alerts",
    title="alerts of the Common Alerting Protocol (CAP XML)",
    formats=("xml",),
    records="alert",
    columns=("identifier", "sent", "status", "msgType"),
    optional=("sender", "scope", "references", "info"),
    parts=(
        Part("events", {
            "event_id": f"(case when {_MESSAGE} in ('update', 'cancel') then coalesce({_of('first')}, {_OWN}) else {_OWN} end)",
            "happened_at": _first_time(_of("onset"), _of("effective"), column("sent")),
            "ended_at": any_time(_of("expires")),
            "kind": f"coalesce({_of('event')}, {_of('category')}, case when {_MESSAGE} = 'cancel' then 'cancelled alert' end)",
            "title": _of("headline"),
            "narrative": f"nullif(concat_ws(chr(10), {_of('description')}, {_of('instruction')}), '')",
            "severity": _of("severity"),
            "urgency": _of("urgency"),
            "certainty": _of("certainty"),
            "status": f"(case when {_STATUS} <> 'actual' then {_STATUS} when {_MESSAGE} = 'cancel' then 'cancelled' else 'active' end)",
            "geometry": _AREA.shape(),
            "address": _of("areas"),
            "lon": _LON,
            "lat": _LAT,
            "revised_at": any_time(column("sent")),
        }, reject=(
            (f"{_MESSAGE} in ('ack', 'error')", "an acknowledgement or error message, no alert"),
        )),
    ),
    notes=(
        "One alert is one event. Areas of all its blocks are put together; of several languages the English texts are taken, of several severities the worst.",
        "An update or cancellation is a new edition of the alert it refers to (the one sent first); the latest edition sent counts.",
        "Exercises, tests and drafts keep that as their status; an alert with none of it is active, or cancelled.",
        "Polygons and circles become GeoJSON; an alert that names its area only in words or codes has words and no place.",
    ),
)
