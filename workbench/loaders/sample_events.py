"""Events of Fairwater, the made-up city: games, gatherings, alarms."""

from dataclasses import replace

from workbench.loaders import event_feed

SOURCE = replace(
    event_feed.SOURCE,
    name="sample_events",
    title="Fairwater (made-up city): events",
    zone="America/Chicago",
    formats=("csv",),
    delimiter=",",
    encoding="utf-8",
    takes={},
    notes=("Times are wall time of America/Chicago. An event without a kind is rejected.",),
)
