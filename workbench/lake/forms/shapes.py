"""Maps as records: the features of a GeoJSON file or a shapefile, each with its properties, its ``id`` and its ``geometry`` in WGS84 lon/lat.

A GeoJSON file is WGS84 degrees by its standard (RFC 7946), unless it carries the ``crs`` member of the older one (2008); a shapefile says what it is in
the .prj beside it. What says nothing must be told, or its numbers must be degrees: feet are never taken for them.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from workbench.errors import BadInput
from workbench.lake.forms import packed
from workbench.lake.forms.packed import opened
from workbench.loaders import FORMATS

Take = Callable[[str], object]
Parts = dict[str, bytes]
#: Decimals kept of a reprojected position: about 1 cm.
_DECIMALS = 7
#: The parts of a shapefile may hold this many bytes together.
_LARGEST = 4 << 30
#: Pages of the .dbf's own language byte (dBASE), used where there is no .cpg and the text is no UTF-8.
_PAGES = {0x01: "cp437", 0x02: "cp850", 0x64: "cp852", 0x65: "cp866", 0xC8: "cp1250", 0xC9: "cp1251"}


def each_feature(file: Path, crs: str, take: Take) -> int:
    """Give every feature of a GeoJSON file to ``take`` as one line of JSON; returns how many.

    Takes a FeatureCollection, one Feature, a list of features, or one feature a line.

    Args:
        file: the file, plain or packed.
        crs: what its numbers are, where the file does not say it or is wrong, e.g. "ESRI:102696"; "" = as it says, else degrees.
        take: is given one record.

    Raises:
        BadInput: it is damaged, is no GeoJSON, or its numbers are no degrees and nothing says what they are.
    """
    with opened(file, FORMATS["geojson"]) as stream:
        data = stream.read()
    document = _document(file.name, data)
    features = document
    if isinstance(document, dict):
        features = document.get("features") if document.get("type") != "Feature" else [document]
    if not isinstance(features, list):
        raise BadInput(f"{file.name} is no GeoJSON: it has no list of features. Nothing was loaded.")
    plane = _Plane(crs or _said_crs(document, file.name), file.name)
    plane.check(f.get("geometry") for f in features if isinstance(f, dict))
    for feature in features:
        take(_feature(feature, plane))
    return len(features)


def each_shape(file: Path, crs: str, take: Take) -> int:
    """Give every shape of a shapefile to ``take`` as one line of JSON; returns how many. Records marked as deleted are none.

    Args:
        file: the .shp with its .dbf, .prj and .cpg beside it, or a .zip that holds them.
        crs: what its numbers are, where there is no .prj or it is wrong; "" = as the .prj says, else degrees.
        take: is given one record.

    Raises:
        BadInput: a part is missing or damaged, or its numbers are no degrees and nothing says what they are.
    """
    import shapefile

    parts = _zipped(file) if zipfile.is_zipfile(file) else _beside(file)
    if "dbf" not in parts:
        raise BadInput(f"{file.name} has no .dbf beside it, so its shapes have no names; copy all parts of the shapefile together. Nothing was loaded.")
    plane = _Plane(crs or parts.get("prj", b"").decode("utf-8", "replace").strip("\ufeff\0 \r\n\t"), file.name)
    try:
        said = 2 * int.from_bytes(parts["shp"][24:28], "big")
        if said > len(parts["shp"]):
            raise EOFError(f"it says that it has {said:,} bytes, there are {len(parts['shp']):,}")
        shp, shx, dbf = (BytesIO(parts[k][: said if k == "shp" else None]) if k in parts else None for k in ("shp", "shx", "dbf"))
        reader = shapefile.Reader(shp=shp, shx=shx, dbf=dbf, encoding=_encoding(parts), encodingErrors="backslashreplace")
        shapes, rows = [_geometry(s) for s in reader.iterShapes()], list(reader.iterRecords(deleted_as_None=True))
        names = [str(f[0]) for f in reader.fields if f[0] != "DeletionFlag"]
    except (shapefile.ShapefileException, struct.error, ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError, EOFError, OSError) as error:
        raise BadInput(f"{file.name} is cut off, damaged or no shapefile ({error or type(error).__name__}); nothing was loaded.") from error
    if len(shapes) != len(rows):
        raise BadInput(f"{file.name} has {len(shapes)} shapes but {len(rows)} records in its .dbf; copy both from one export. Nothing was loaded.")
    plane.check(shapes)
    count = 0
    for shape, row in zip(shapes, rows, strict=True):
        if row is not None:
            properties = {n: _plain(v) for n, v in zip(names, row, strict=True)}
            take(_feature({"properties": properties, "geometry": shape}, plane))
            count += 1
    return count


class _Plane:
    """What the numbers of a file are, and the way from there to WGS84."""

    def __init__(self, crs: str, file: str) -> None:
        from pyproj import CRS, Transformer, network
        from pyproj.exceptions import CRSError

        self._file, self._move = file, None
        if not crs:
            return
        network.set_network_enabled(False)
        try:
            given = CRS.from_user_input(crs)
        except CRSError as error:
            raise BadInput(f"{file} is in the coordinate system {crs[:80]!r}, which is not known; say it by its code, e.g. --set crs=EPSG:2263. "
                           "Nothing was loaded.") from error
        if not given.is_geographic or given.prime_meridian is None or given.prime_meridian.longitude or "WGS 84" not in given.name:
            self._move = Transformer.from_crs(given, 4326, always_xy=True)

    def check(self, geometries: Any) -> None:
        """Refuse numbers that are no degrees, where nothing says what they are."""
        if self._move is not None:
            return
        far, some, example = 0, 0, ""
        for geometry in geometries:
            for x, y in _positions(geometry.get("coordinates") if isinstance(geometry, dict) else None):
                some += 1
                if abs(x) > 180.5 or abs(y) > 90.5:
                    far, example = far + 1, example or f"{x:.0f}, {y:.0f}"
                break
        if 2 * far > some:
            raise BadInput(f"{self._file} does not say its coordinate system, and positions such as {example} are no degrees; say which it is, "
                           "e.g. --set crs=EPSG:2263 or crs=ESRI:102696. Nothing was loaded.")

    def moved(self, geometry: Any) -> Any:
        """A geometry in WGS84 lon/lat without heights; one that is malformed as it stands, for the mapping to refuse."""
        if not isinstance(geometry, dict):
            return geometry
        if geometry.get("type") == "GeometryCollection" and isinstance(geometry.get("geometries"), list):
            return {"type": "GeometryCollection", "geometries": [self.moved(g) for g in geometry["geometries"]]}
        try:
            flat = np.array(list(_positions(geometry["coordinates"], strict=True)), dtype=float).reshape(-1, 2)
        except (KeyError, TypeError, ValueError, RecursionError):
            return geometry
        if self._move is not None and len(flat):
            flat = np.round(np.column_stack(self._move.transform(flat[:, 0], flat[:, 1])), _DECIMALS)
        places = iter(flat.tolist())
        return {"type": geometry.get("type"), "coordinates": _again(geometry["coordinates"], places)}


def _positions(coordinates: Any, *, strict: bool = False) -> Iterator[tuple[float, float]]:
    """The (x, y) of a geometry's coordinates, in order; with ``strict`` anything else in them is a TypeError."""
    if isinstance(coordinates, (list, tuple)):
        if coordinates and isinstance(coordinates[0], (int, float)):
            if len(coordinates) < 2 or not all(isinstance(v, (int, float)) for v in coordinates):
                if strict:
                    raise TypeError
                return
            yield float(coordinates[0]), float(coordinates[1])
        else:
            for inner in coordinates:
                yield from _positions(inner, strict=strict)
    elif strict:
        raise TypeError


def _again(coordinates: Any, places: Iterator[list[float]]) -> Any:
    """The same nesting with the next places in it."""
    if coordinates and isinstance(coordinates[0], (int, float)):
        return [v if v == v and abs(v) != float("inf") else None for v in next(places)]
    return [_again(inner, places) for inner in coordinates]


def _feature(feature: Any, plane: _Plane) -> str:
    """One line of JSON; what is no feature stands as it is and is rejected later, alone."""
    if not isinstance(feature, dict):
        return json.dumps(feature, ensure_ascii=False)
    properties = feature.get("properties")
    record = dict(properties) if isinstance(properties, dict) else {}
    if feature.get("id") is not None:
        record["id"] = feature["id"]
    record["geometry"] = plane.moved(feature.get("geometry"))
    return json.dumps(record, ensure_ascii=False)


def _document(name: str, data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig" if data[:3] == b"\xef\xbb\xbf" else json.detect_encoding(data[:4]), "surrogateescape")
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            lines = [line.strip("\x1e \r\t") for line in text.split("\n")]
            if sum(map(bool, lines)) < 2 or not lines[0].endswith("}"):
                raise
            return [json.loads(line) for line in lines if line]
    except RecursionError as error:
        raise BadInput(f"{name} is nested too deep; nothing was loaded.") from error
    except ValueError as error:
        raise BadInput(f"{name} is cut off or is no GeoJSON: {error}; nothing was loaded.") from error


def _said_crs(document: Any, file: str) -> str:
    """The ``crs`` member of the older standard, as pyproj takes it; "" where there is none."""
    crs = document.get("crs") if isinstance(document, dict) else None
    if crs is None:
        return ""
    kind, about = (crs.get("type"), crs.get("properties")) if isinstance(crs, dict) else (None, None)
    if isinstance(about, dict) and kind == "name" and isinstance(about.get("name"), str):
        return str(about["name"])
    if isinstance(about, dict) and kind == "EPSG" and isinstance(about.get("code"), (int, str)):
        return f"EPSG:{about['code']}"
    raise BadInput(f"{file} says its coordinate system in a way that cannot be read ({json.dumps(crs)[:80]}); say it: --set crs=EPSG:2263. Nothing was loaded.")


def _beside(file: Path) -> Parts:
    """The parts of a shapefile that lie beside its .shp, whatever the case of their names."""
    stem = file.name[: -len(file.suffix)].casefold()
    wanted = ("shx", "dbf", "prj", "cpg")
    found = {p.suffix[1:].lower(): p for p in file.parent.iterdir() if p.name[: -len(p.suffix) or None].casefold() == stem and p.suffix[1:].lower() in wanted}
    size = sum(p.stat().st_size for p in (file, *found.values()))
    if size > _LARGEST:
        raise BadInput(f"{file.name} has {size / 1e9:,.1f} GB; cut it to the area you need. Nothing was loaded.")
    return {"shp": file.read_bytes(), **{kind: path.read_bytes() for kind, path in sorted(found.items())}}


def _zipped(file: Path) -> Parts:
    """The parts of the one shapefile in an archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [m for m in archive.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
            shps = [m for m in members if m.filename.lower().endswith(".shp")]
            if len(shps) != 1:
                raise BadInput(f"{file.name} holds {len(shps)} shapefiles{': ' if shps else ''}{', '.join(m.filename for m in shps[:6])}; "
                               "unpack it and load the right .shp. Nothing was loaded.")
            most = min(_LARGEST, max(packed.SWELL_BYTES, packed.SWELL_TIMES * file.stat().st_size))
            if sum(m.file_size for m in members) > most:
                raise BadInput(f"{file.name} swells to more than {most / 1e6:,.0f} MB when it is unpacked; nothing was loaded.")
            stem = PurePosixPath(shps[0].filename).with_suffix("").as_posix().casefold()
            wanted = {f"{stem}.{kind}": kind for kind in ("shp", "shx", "dbf", "prj", "cpg")}
            return {wanted[m.filename.casefold()]: archive.read(m) for m in members if m.filename.casefold() in wanted}
    except BadInput:
        raise
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, struct.error) as error:
        raise BadInput(f"{file.name} is cut off, damaged or protected ({error}); nothing was loaded.") from error


def _encoding(parts: Parts) -> str:
    """What the .dbf's texts are written in: as the .cpg says, else UTF-8 where they are that, else the page of its language byte, else cp1252."""
    import codecs

    said = parts.get("cpg", b"").decode("ascii", "ignore").strip().lower().removeprefix("ansi").strip()
    for name in (said, f"cp{said}", said.replace("iso 88591", "iso8859-1"), said.replace("iso 8859", "iso8859")):
        try:
            return codecs.lookup(name).name
        except (LookupError, ValueError):
            continue
    table = parts["dbf"]
    begin = int.from_bytes(table[8:10], "little")
    try:
        table[begin:].decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        return _PAGES.get(table[29], "cp1252")


def _geometry(shape: Any) -> dict[str, Any] | None:
    if shape.shapeType == 0:
        return None
    found: dict[str, Any] = shape.__geo_interface__
    return found if found.get("coordinates") else None


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return None if value == "" else value
