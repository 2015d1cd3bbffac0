"""Positions of units as heartbeats: JSON objects with externalId, latitude, longitude and updatedAt, as Flock-style geo interfaces take them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, member, number, place, text, utc_time

_MORE = column("additionalMetadata")


def _extra(name: str) -> str:
    """A member of the metadata, given as a value or as an object with a value in it."""
    plain = member(_MORE, f"$.{name}")
    return f"coalesce({text(member(_MORE, f'$.{name}.value'))}, case when not starts_with({plain}, '{{') then {text(plain)} end)"


_TIME = f"coalesce({text(column('updatedAt'))}, {text(column('createdAt'))})"
_SPEED = number(f"coalesce({_extra('speedMetersPerSecond')}, {_extra('speed_mps')})", 0, 150)
_TURN = number(f"coalesce({_extra('heading')}, {_extra('bearing')})", 0, 360)

SOURCE = Source(
    name="unit_positions",
    title="unit positions (heartbeat JSON)",
    formats=("ndjson", "json"),
    columns=("externalId", "latitude", "longitude"),
    optional=("updatedAt", "createdAt", "subjectType", "subjectSubtype", "nickname", "deviceStatus", "additionalMetadata"),
    parts=(
        Part("units", {
            "unit": f"coalesce({text(column('nickname'))}, {text(column('externalId'))})",
            "seen_at": utc_time(_TIME),
            **place(column("longitude"), column("latitude")),
            "speed": Reading.of(_SPEED, _SPEED.given),
            "direction": Reading.of(_TURN, _TURN.given),
            "status": f"lower(coalesce({_extra('status')}, {text(column('deviceStatus'))}))",
            "call_id": f"coalesce({_extra('callId')}, {_extra('eventId')})",
        }),
    ),
    notes=(
        "The unit is the nickname (its call sign) where there is one, else the external id.",
        "The time is updatedAt, else createdAt, RFC 3339 with its offset; a heartbeat without either is rejected, since nobody can tell when it was.",
        "Of the metadata heading, speed_mps, status and callId are taken, given plain or as {type, value}.",
        "Persons and drones send heartbeats too and are kept like vehicles.",
    ),
)
