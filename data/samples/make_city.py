"""Make the made-up city of Fairwater: every sample file of this folder, the same bytes for the same seed and versions.

    python make_city.py [--out DIR] [--scale K]

``--scale K`` makes about K times the plate reads (K = 74 gives some ten million, dirty rows included). Streets, incidents and calls stay as they
are; the plates of people and hotlist go with the larger fleet. The truth of the larger city is in the planted.json beside it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from city import blocks, calls, chart, desk, ground, incidents, reads, records, series, streets, truth, write
from city.town import Town


def make(out: Path, scale: int = 1) -> None:
    """Write all files into a folder. About 10 s and 500 MB for scale 1; reads are written a day at a time."""
    out.mkdir(parents=True, exist_ok=True)
    land = ground.make()
    ways = streets.make(land)
    addresses = blocks.make(land, ways)
    happened, placed, mos = series.add(incidents.happen(addresses), addresses)
    reported = incidents.reported(happened, addresses, mos)
    graph = streets.roads(ways)
    scene = reads.prepare(graph, ways, land, addresses, placed, scale)
    books = records.make(reported, addresses, scene.fleet, placed)
    entries = truth.hotlist(books, scene, reported)
    called = calls.make(reported, addresses)

    write.maps(out, land, ways)
    files = {
        "sample_incidents.csv.gz": write.incidents(out / "sample_incidents.csv.gz", reported).as_dict(),
        "sample_calls.csv.gz": write.calls(out / "sample_calls.csv.gz", called).as_dict(),
        "sample_hotlist.csv": write.hotlist(out / "sample_hotlist.csv", entries).as_dict(),
    }
    people, kinds = write.people(out / "sample_people.ndjson.gz", books)
    files["sample_people.ndjson.gz"] = {**people.as_dict(), **kinds}
    read, misread = write.reads(out / "sample_reads.csv.gz", reads.days(scene), 9 if scale == 1 else 4)
    files["sample_reads.csv.gz"] = read.as_dict()
    more, watched = desk.write(out, Town(reported, called, addresses, books, scene, placed, graph))
    files |= more | chart.write(out, ways, addresses)
    write.say(out / "cases.json", truth.cases(books, scene))
    write.say(out / "planted.json", truth.planted(reported, addresses, books, placed, scene, misread, files) | watched)


def main() -> None:
    """Parse the arguments and make the city."""
    parser = argparse.ArgumentParser(description="Make the made-up city of Fairwater.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder for the files (default: this one)")
    parser.add_argument("--scale", type=int, default=1, help="about how many times the plate reads")
    chosen = parser.parse_args()
    clock = time.perf_counter()
    make(chosen.out, chosen.scale)
    print(f"Fairwater is in {chosen.out} ({time.perf_counter() - clock:.0f} s).")


if __name__ == "__main__":
    main()
