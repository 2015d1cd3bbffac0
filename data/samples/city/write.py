"""The files: exports as a vendor would word them, maps as GeoJSON, and planted.json with the truth."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from . import dirt
from .dirt import Count, Soiler
from .ground import BEATS, DISTRICTS, Ground
from .incidents import BY_CODE
from .places import PLACES
from .plane import Floats, degrees, simplify
from .records import Books
from .streets import Street
from .wall import clock, later

INCIDENT_TIME, CALL_TIME = "%m/%d/%Y %H:%M", "%Y-%m-%d %H:%M:%S"


def packed(path: Path, pieces: Iterable[str], level: int = 9) -> None:
    """A gzip file without name or time in it, so that the same text gives the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=level, mtime=0) as file:
        for piece in pieces:
            file.write(piece.encode())


def lines(frame: pl.DataFrame) -> list[str]:
    """A frame as CSV lines without header."""
    return frame.write_csv(include_header=False).splitlines()


def incidents(path: Path, frame: pl.DataFrame) -> Count:
    """The incident export: some rows twice, some torn, some with a date or place that cannot be, some revised later."""
    kinds = [BY_CODE[c] for c in frame["code"].to_list()]
    first, told = clock(frame["first"]), clock(frame["told"])
    out = frame.select(
        pl.col("incident_id").alias("Incident ID"),
        pl.col("report_number").alias("Report Number"),
        first.dt.strftime(INCIDENT_TIME).alias("Occurred From"),
        clock(frame["last"]).dt.strftime(INCIDENT_TIME).alias("Occurred To"),
        told.dt.strftime(INCIDENT_TIME).alias("Reported"),
        pl.col("code").alias("UCR"),
        pl.Series("Offense", [k.offence for k in kinds]),
        pl.Series("Offense Description", [k.detail.replace(",", " -") for k in kinds]),
        pl.col("mo").str.replace_all(",", "").replace("", None).alias("MO"),
        pl.col("premise").alias("Premise"),
        pl.col("block").alias("Address"),
        pl.col("beat").alias("Beat"),
        pl.col("district").alias("District"),
        pl.col("lon").alias("Longitude"),
        pl.col("lat").alias("Latitude"),
        pl.when("arrest").then(pl.lit("Y")).otherwise(pl.lit("N")).alias("Arrest"),
        pl.when("domestic").then(pl.lit("Y")).otherwise(pl.lit("N")).alias("Domestic"),
        (told + pl.duration(hours=30)).dt.strftime(INCIDENT_TIME).alias("Last Modified"),
    )
    soiler = Soiler(out.columns, [])
    soiler.spoils = [
        (3100, dirt.same, "duplicate"),
        (4300, soiler.put("Occurred From", "13/45/2025 25:61", "Incident ID"), "rejected"),
        (5200, dirt.torn, "rejected"),
        (6100, soiler.put("Occurred From", "", "Incident ID"), "rejected"),
    ]
    body = _nowhere(lines(out), out.columns, ("Longitude", "Latitude"), (901, 5333, 9017, 13501), soiler.count)
    soiler.count.without_place += int(frame["lon"].null_count())
    text = [*soiler.rows(body), *_revised(body, out.columns, soiler.count)]
    packed(path, ["\n".join([",".join(out.columns), *text]) + "\n"])
    return soiler.count


def _nowhere(body: list[str], header: list[str], columns: tuple[str, str], rows: Iterable[int], count: Count) -> list[str]:
    """Some rows get the position 0,0 (those that had one)."""
    body = list(body)
    a, b = (header.index(c) for c in columns)
    for row in rows:
        cells = body[row].split(",")
        if cells[a]:
            cells[a], cells[b] = "0.0", "0.0"
            count.without_place += 1
        body[row] = ",".join(cells)
    return body


def _revised(body: list[str], header: list[str], count: Count) -> Iterator[str]:
    """Later editions of a dozen rows at the end of the file (an arrest was made), and two editions that are older than the row itself."""
    arrest, modified = header.index("Arrest"), header.index("Last Modified")
    for row in range(len(body) - 5000, len(body) - 5000 + 12 * 311, 311):
        cells = body[row].split(",")
        cells[arrest], cells[modified] = "N" if cells[arrest] == "Y" else "Y", "07/01/2026 06:00"
        count.updated += 1
        yield ",".join(cells)
    for row in (len(body) - 777, len(body) - 333):
        cells = body[row].split(",")
        cells[modified] = "01/01/2024 00:00"
        count.rejected += 1
        yield ",".join(cells)


def calls(path: Path, frame: pl.DataFrame) -> Count:
    """The call export."""
    received = clock(frame["minute"] + frame["second"] / 60)
    moments = {n: later(received, frame[n]).dt.strftime(CALL_TIME).alias(n.replace("_", " ").title()) for n in ("dispatched", "en_route", "arrived", "cleared")}
    out = frame.select(
        pl.col("call_number").alias("Call Number"),
        pl.col("call_type").str.replace(", ", " - ").alias("Problem"),
        pl.col("category").alias("Category"),
        pl.col("priority").alias("Priority"),
        pl.when("own").then(pl.lit("OFFICER")).when(pl.col("priority") == "1").then(pl.lit("911")).otherwise(pl.lit("PHONE")).alias("Origin"),
        received.dt.strftime(CALL_TIME).alias("Received"),
        *moments.values(),
        pl.col("units").alias("Units"),
        pl.col("disposition").alias("Disposition"),
        pl.col("report_number").alias("Report Number"),
        pl.col("block").alias("Address"),
        pl.col("beat").alias("Beat"),
        pl.col("district").alias("District"),
        pl.col("lat").alias("Latitude"),
        pl.col("lon").alias("Longitude"),
    )
    soiler = Soiler(out.columns, [])
    soiler.spoils = [
        (5200, dirt.same, "duplicate"),
        (7000, soiler.put("Received", "2025-02-30 10:00:00", "Call Number"), "rejected"),
        (12500, dirt.torn, "rejected"),
    ]
    body = _nowhere(lines(out), out.columns, ("Longitude", "Latitude"), range(700, 25000, 4700), soiler.count)
    soiler.count.without_place += int(frame["lon"].null_count())
    packed(path, ["\n".join([",".join(out.columns), *soiler.rows(body)]) + "\n"])
    return soiler.count


def reads(path: Path, days: Iterable[pl.DataFrame], level: int) -> tuple[Count, list[list[str]]]:
    """The read export, a day at a time; gives also (read id, true plate) of the misreads."""
    header = ["Read ID", "Plate", "State", "Camera", "Location", "Read Time", "Confidence", "Heading", "Make", "Color", "Latitude", "Longitude"]
    soiler, misread = Soiler(header, []), []
    soiler.spoils = [
        (5000, dirt.same, "duplicate"),
        (12000, soiler.put("Read Time", "2026-06-31T25:00:00-05:00", "Read ID"), "rejected"),
        (10500, soiler.put("Plate", "", "Read ID"), "rejected"),
        (26000, dirt.torn, "rejected"),
    ]

    def pieces() -> Iterator[str]:
        yield ",".join(header) + "\n"
        for frame in days:
            misread.extend([list(r) for r in frame.filter(pl.col("plate") != pl.col("truth")).select("read_id", "truth").iter_rows()])
            out = frame.select(
                "read_id", "plate", "region", "reader", "place", pl.col("read_at") + "-05:00", "confidence", "heading", "make", "colour", "lat", "lon"
            )
            body = _nowhere(lines(out), header, ("Longitude", "Latitude"), range(1000, len(out), 40000), soiler.count)
            yield "\n".join(soiler.rows(body)) + "\n"

    packed(path, pieces(), level)
    return soiler.count, misread


def hotlist(path: Path, entries: list[dict[str, Any]]) -> Count:
    """The wanted plates, with one repeat, one bad date and one entry without plate."""
    frame = pl.DataFrame(entries, infer_schema_length=None).with_columns(pl.col(pl.String).replace("", None))
    header = frame.columns
    soiler = Soiler(header, [])
    soiler.spoils = [
        (36, dirt.same, "duplicate"),
        (30, soiler.put("Entered", "00/00/0000", "Entry"), "rejected"),
        (22, soiler.put("Plate", "", "Entry"), "rejected"),
    ]
    path.write_text("\n".join([",".join(header), *soiler.rows(lines(frame))]) + "\n", encoding="utf-8")
    return soiler.count


def people(path: Path, books: Books) -> tuple[Count, dict[str, int]]:
    """All records, kind by kind, one JSON object a line."""
    text = [json.dumps(row, separators=(",", ":")) for rows in books.rows.values() for row in rows]
    text, count = dirt.people(text)
    packed(path, ["\n".join(text) + "\n"])
    return count, {kind: len(rows) for kind, rows in books.rows.items()}


def _feature(form: str, xy: Floats, **properties: Any) -> dict[str, Any]:
    ll = [[float(x), float(y)] for x, y in degrees(xy)]
    shape: Any = ll if form == "LineString" else [ll] if form == "Polygon" else ll[0]
    return {"type": "Feature", "properties": properties, "geometry": {"type": form, "coordinates": shape}}


def _geojson(path: Path, features: list[dict[str, Any]]) -> None:
    """One feature a line, so that a change shows as the lines changed."""
    body = ",\n".join(json.dumps(f, separators=(",", ":")) for f in features)
    path.write_text('{"type":"FeatureCollection","features":[\n' + body + "\n]}\n", encoding="utf-8")


def maps(folder: Path, ground: Ground, streets: list[Street]) -> None:
    """streets, beats, water and places."""
    ways = []
    for s in streets:
        more: dict[str, Any] = {"bridge": True} if s.bridge else {}
        if s.kind == "motorway":
            more["oneway"] = False
        ways.append(_feature("LineString", s.line, name=s.name, **{"class": s.kind}, **more))
    _geojson(folder / "streets.geojson", ways)
    rings = [(beat, simplify(ring[:-1], 1.5)) for beat, ring in ground.beats.items()]
    beats = [_feature("Polygon", np.vstack([r, r[:1]]), beat=b, district=b[0], district_name=DISTRICTS[b[0]], faces=len(BEATS[b])) for b, r in rings]
    _geojson(folder / "beats.geojson", beats)
    river = simplify(ground.river_ring[:-1], 1.5)
    _geojson(
        folder / "water.geojson",
        [_feature("Polygon", np.vstack([river, river[:1]]), name="Sorrel River", kind="river"), _feature("Polygon", ground.lake, name="Lakeside", kind="lake")],
    )
    spots = [_feature("Point", np.array([[p.x, p.y]]), name=p.name, kind=p.kind) for p in PLACES]
    _geojson(folder / "places.geojson", [*[_feature("Polygon", ring, name=name, kind="park") for name, ring in ground.parks.items()], *spots])


def say(path: Path, value: Any) -> None:
    """A JSON file for people to read: two levels indented, the rest in one line each."""

    def text(v: Any, depth: int) -> str:
        if isinstance(v, dict) and v and depth < 3:
            inner = ",\n".join("  " * (depth + 1) + json.dumps(k) + ": " + text(x, depth + 1) for k, x in v.items())
            return "{\n" + inner + "\n" + "  " * depth + "}"
        if isinstance(v, list) and v and isinstance(v[0], dict) and depth < 3:
            return "[\n" + ",\n".join("  " * (depth + 1) + text(x, depth + 3) for x in v) + "\n" + "  " * depth + "]"
        return json.dumps(v, ensure_ascii=False, default=str)

    path.write_text(text(value, 0) + "\n", encoding="utf-8")
