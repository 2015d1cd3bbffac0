"""Counts of people, bicycles or vehicles by one counter in one span of time (CSV)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, number, place, said, stable_id, text, whole
from workbench.loaders.kit.moments import any_time, stamp

_START = stamp(column("start"), column("date"))
_FROM, _TO = any_time(_START), any_time(column("end"))
_MINUTES = number(f"coalesce({text(column('minutes'))}, {said('minutes')})", 0, 44_640)
_KIND = f"coalesce(lower({text(column('kind'))}), {said('kind')}, 'people')"

SOURCE = Source(
    name="people_counts_csv",
    title="counts of people or vehicles (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=("counter", "count"),
    optional=("id", "start", "date", "end", "minutes", "kind", "low", "high", "lat", "lon", "location"),
    also={
        "id": ("count id", "row id", "count_id"),
        "counter": ("counter id", "counter_id", "sensor", "sensor id", "device", "site", "station", "counter name"),
        "start": ("from", "started_at", "start time", "begin", "timestamp", "datetime", "date time", "interval start", "time", "hour", "time of day"),
        "date": ("day", "count date"),
        "end": ("to", "ended_at", "end time", "interval end", "until"),
        "minutes": ("interval", "duration", "interval minutes", "span minutes"),
        "count": ("people", "value", "total", "volume", "n", "persons", "pedestrians", "visitors"),
        "kind": ("type", "mode", "class"), "low": ("lower", "min", "lower bound"), "high": ("upper", "max", "upper bound"),
        "lat": ("latitude", "y"), "lon": ("longitude", "lng", "long", "x"), "location": ("address", "place", "street"),
    },
    takes={"minutes": "length of each span, if the file does not say", "kind": "what is counted: people, bicycles or vehicles"},
    parts=(
        Part("people_counts", {
            "count_id": f"coalesce({text(column('id'))}, {stable_id(text(column('counter')), _START, _KIND)})",
            "counter": text(column("counter")),
            "started_at": _FROM,
            "ended_at": Reading.of(f"coalesce({_TO}, {_FROM} + to_seconds({_MINUTES} * 60))", f"coalesce({_TO.given}, {_MINUTES.given})"),
            "kind": _KIND,
            "count": whole(column("count")),
            "low": number(column("low")),
            "high": number(column("high")),
            "address": text(column("location")),
            **place(column("lon"), column("lat")),
        }, reject=(('"@count" < 0', "the count is below nothing"), ('"@ended_at" <= "@started_at"', "the span ends before it begins"))),
    ),
    notes=(
        "A span is its begin and end, or its begin and a length in minutes (a column, or said with the load); one without either is rejected.",
        "A time without an offset is wall time of the zone given with the load.",
        "A negative count, or a span that ends before it begins, is rejected.",
    ),
)
