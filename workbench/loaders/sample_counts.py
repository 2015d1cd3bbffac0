"""People an hour at three places of Fairwater, the made-up city, in June."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, local_time, number, place, stable_id, text, whole

_START = local_time(f"concat_ws(' ', {column('Date')}, {column('Hour')})", "%Y-%m-%d %H:%M")
_MINUTES = number(column("Minutes"), 1, 1440)

SOURCE = Source(
    name="sample_counts",
    title="Fairwater (made-up city): people counts",
    zone="America/Chicago",
    columns=("Counter", "Date", "Hour", "Minutes", "People", "Low", "High", "Latitude", "Longitude"),
    parts=(
        Part("people_counts", {
            "count_id": stable_id(text(column("Counter")), text(column("Date")), text(column("Hour"))),
            "counter": text(column("Counter")),
            "started_at": _START,
            "ended_at": Reading.of(f"({_START} + to_seconds({_MINUTES} * 60))", _MINUTES.given),
            "kind": "'people'",
            "count": whole(column("People")),
            "low": number(column("Low")),
            "high": number(column("High")),
            **place(column("Longitude"), column("Latitude")),
        }, reject=(('"@count" < 0', "the count is below nothing"),)),
    ),
    notes=("Date and hour are wall time of America/Chicago; the span is given in minutes.", "A negative count is rejected."),
)
