"""Alerts of the Common Alerting Protocol (CAP 1.2, OASIS 2010): weather, missing children, hazards."""

import hashlib

from workbench.geo.geometry import AREAS
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, Stepped, column, quoted, text
from workbench.loaders.kit.geometry import Geometry
from workbench.loaders.kit.moments import any_time

_FLAT = f"cap_alert({column('info')}, {column('area')}, {column('references')})"
_AREA = Geometry(f"json_extract_string({_FLAT}, '$.geometry')", AREAS)
_LON, _LAT = _AREA.middle()
_OWN = text(column("identifier"))
_MESSAGE, _STATUS = f"lower({text(column('msgType'))})", f"lower({text(column('status'))})"
_STEP = ("~alert " + hashlib.md5(_FLAT.encode(), usedforsecurity=False).hexdigest()[:10], _FLAT)


def _of(name: str) -> Stepped:
    """A member of the flat alert."""
    return Stepped(f"json_extract_string({_FLAT}, {quoted('$.' + name)})", (_STEP,), f"json_extract_string({column(_STEP[0])}, {quoted('$.' + name)})")


_ALERT = f"(case when {_MESSAGE} in ('update', 'cancel') then coalesce({_of('first')}, {_OWN}) else {_OWN} end)"
_NUMBER = text(column("area number"))


def _first_time(*exprs: str) -> Reading:
    return any_time(f"coalesce({', '.join(exprs)})")


SOURCE = Source(
    name="cap_alerts",
    title="alerts of the Common Alerting Protocol (CAP XML)",
    formats=("xml",),
    records="alert/info[language:en-US={language}]/area",
    columns=("identifier", "sent", "status", "msgType"),
    optional=("sender", "scope", "references", "info", "area", "area number", "not taken"),
    takes={"language": "the language of the blocks that are taken, e.g. en or es-US (default: that of the first block)"},
    parts=(
        Part("events", {
            "event_id": f"({_ALERT} || case when {_NUMBER} <> '1' then '/' || {_NUMBER} else '' end)",
            "alert_id": _ALERT,
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
            "address": _of("place"),
            "lon": _LON,
            "lat": _LAT,
            "revised_at": any_time(column("sent")),
        }, reject=(
            (f"{_MESSAGE} in ('ack', 'error')", "an acknowledgement or error message, no alert"),
            (f"{text(column('not taken'))} is not null", "an info block in another language, not taken"),
        )),
    ),
    notes=(
        "One area of one info block is one event, named by its alert and, from the second on, its number (a-1, a-1/2); alert_id keeps them together.",
        "Of blocks in several languages those in the language of the first are taken, or in the one said (language); each other one is counted as rejected.",
        "An update or cancellation is a new edition of the alert it refers to (the one sent first), area by area; one that names fewer areas does not touch "
        "the others, which its later revised_at under the same alert_id shows.",
        "Exercises, tests and drafts keep that as their status; an alert with none of it is active, or cancelled.",
        "Polygons and circles become GeoJSON; an area that is given only in words or codes has words and no place.",
    ),
)
