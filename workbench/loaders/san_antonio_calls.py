"""Calls for service of the San Antonio Police Department, as mirrored from its dashboard."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import ZONE, Reading, column, epoch_ms, place, quoted, text

#: The dashboard's point for "not found".
NOWHERE = (-0.00001, 0.00001)

_EPOCH = epoch_ms(column("ResponseDate"))
_DAY = f"try_strptime(trim({column('Date')}), '%m/%d/%y')"
#: Date and Time tell the moment only where Time still has its AM or PM, which it loses for hours of one digit.
_WALL = f"try_strptime(trim({column('Date')}) || ' ' || trim({column('Time')}), '%m/%d/%y %I:%M:%S %p')"
_RECEIVED = Reading.of(f"coalesce({_EPOCH}, timezone({quoted(ZONE)}, {_WALL}))", _EPOCH.given)
_LOCAL_DAY = f"cast(timezone({quoted(ZONE)}, {_EPOCH}) as date)"

SOURCE = Source(
    name="san_antonio_calls",
    title="San Antonio police calls for service (dashboard mirror)",
    zone="America/Chicago",
    columns=("Date", "Time", "Address", "Category", "ProblemType", "PatrolDistrict", "Substation", "IncidentNumber", "LAT", "LON", "ResponseDate"),
    parts=(
        Part("calls", {
            "call_id": text(column("IncidentNumber")),
            "call_type": text(column("ProblemType")),
            "category": text(column("Category")),
            "received_at": _RECEIVED,
            "address": text(column("Address")),
            **place(column("LON"), column("LAT"), nowhere=(NOWHERE,)),
            "beat": text(column("PatrolDistrict")),
            "district": text(column("Substation")),
        }, reject=(
            (f"abs(date_diff('day', {_LOCAL_DAY}, cast({_DAY} as date))) > 1", "ResponseDate is not of the day in Date"),
        )),
    ),
    notes=(
        "Time has lost its AM or PM for hours of one digit, so ResponseDate (milliseconds since 1970, UTC) tells when; Date is held against it.",
        "Where ResponseDate is missing, Date and Time are used only if Time still says AM or PM.",
        "A position of 0.00001, -0.00001 is none; the call is kept without a place.",
        "A repeated IncidentNumber is a new edition of the call if anything differs, else a duplicate.",
        "URL, Color, About, Year, Month and Zipcode are not taken.",
    ),
)
