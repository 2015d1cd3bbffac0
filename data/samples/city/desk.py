"""The files of what a crime centre watches and gathers, one after the other, with their counts and their truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import evidence, gunfire, phones, units, watch
from .town import Town

FILES = ("sample_gunshots.csv", "sample_arrivals.csv", "sample_casings.csv", "sample_cameras.csv", "sample_units.csv.gz", "sample_call_events.csv",
         "sample_counts.csv", "sample_arrests.csv", "sample_interviews.csv", "sample_warrants.csv", "sample_recoveries.csv", "sample_posts.ndjson",
         "sample_phone_calls.csv.gz")


def write(out: Path, town: Town) -> tuple[dict[str, dict[str, int]], dict[str, Any]]:
    """Write them all; gives the counts of each file and what was planted in them."""
    alerts, heard = gunfire.alerts(town)
    counts = {FILES[0]: gunfire.write_alerts(out / FILES[0], town, alerts)}
    truth: dict[str, Any] = {"gunshots": heard}
    for file, name, made in (
        (FILES[1], "arrivals", lambda path: gunfire.write_arrivals(path, alerts)),
        (FILES[2], "casings", lambda path: gunfire.write_casings(path, town)),
        (FILES[3], "cameras", lambda path: watch.write_cameras(path, town)),
        (FILES[4], "units", lambda path: units.write_tracks(path, town)),
        (FILES[5], "call_events", lambda path: units.write_events(path, town)),
        (FILES[6], "people_counts", watch.write_counts),
        (FILES[7], "arrests", lambda path: evidence.write_arrests(path, town)),
        (FILES[8], "interviews", lambda path: evidence.write_interviews(path, town)),
        (FILES[9], "warrants", lambda path: evidence.write_warrants(path, town)),
        (FILES[10], "recoveries", lambda path: evidence.write_recoveries(path, town)),
        (FILES[11], "posts", lambda path: evidence.write_posts(path, town)),
        (FILES[12], "phone_calls", lambda path: phones.write(path, town)),
    ):
        counts[file], truth[name] = made(out / file)
    return {file: count.as_dict() for file, count in counts.items()}, truth
