"""Containers that are no plain rows (JSON, XML, Excel, GeoJSON, shapefiles, street maps) unfolded into one JSON object a line, and packed files opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from workbench.errors import BadInput
from workbench.lake.forms.packed import Unpacked, opened
from workbench.loaders import FORMATS

__all__ = ["UNFOLDED", "Unpacked", "opened", "unfold"]

#: The forms that are unfolded before they are loaded.
UNFOLDED = ("json", "xml", "excel", "geojson", "shapefile", "osm")


def unfold(file: Path, form: str, records: str, to: Path, *, crs: str = "") -> None:
    """Write a container's records as NDJSON: one JSON object a line, in their order, UTF-8.

    Args:
        file: the container, plain or packed (.gz, .zip, .zst).
        form: one of ``UNFOLDED``.
        records: where the records lie: member path of a JSON document ("data.results", "" = the list or object that it is), tag of an XML element
            ("" = the children of the outermost; "alert/info/area" = one record for each inner one, see ``forms.nested``),
            sheet of an Excel book ("" = the first), of a street map what ``forms.osm`` says.
        to: the file to write; part of it may be there after an error.
        crs: of geojson and shapefile, where the file itself does not say it, e.g. "ESRI:102696"; "" = it must be WGS84 degrees.

    Texts stay texts; numbers of JSON stay as written. A geojson or shapefile record is its properties, ``id`` and ``geometry`` (GeoJSON,
    WGS84 lon/lat).

    Raises:
        BadInput: the file cannot be read as this form; the sentence ends in "nothing was loaded".

    Cost: one pass; json and xml in bounded memory, excel and shapes in some ten times the file's size.
    """
    suffixes = FORMATS.get(form, ())
    with to.open("w", encoding="utf-8", errors="surrogateescape", newline="\n", buffering=1 << 20) as out:

        def take(record: str) -> None:
            out.write(record)
            out.write("\n")

        _into(file, form, records, to, take, suffixes, crs)


def _into(file: Path, form: str, records: str, to: Path, take: Callable[[str], None], suffixes: Iterable[str], crs: str) -> None:
    if form == "json":
        from workbench.lake.forms.documents import Document

        with opened(file, suffixes) as stream:
            Document(stream, file.name).each(records, take)
    elif form == "xml":
        from workbench.lake.forms.markup import Markup
        from workbench.lake.forms.nested import path, splitting

        tag, steps = path(records)
        with opened(file, suffixes) as stream:
            Markup(stream, file.name).each(tag, splitting(steps, take))
    elif form == "excel":
        from workbench.lake.forms.books import each_row

        each_row(file, records, take)
    elif form in ("geojson", "shapefile"):
        from workbench.lake.forms import shapes

        (shapes.each_feature if form == "geojson" else shapes.each_shape)(file, crs, take)
    elif form == "osm":
        from workbench.lake.forms.osm import unfold as unfold_streets

        unfold_streets(file, records, to)
    else:
        raise BadInput(f"{file.name}: {form!r} is no form that is unfolded; those are {', '.join(UNFOLDED)}.")
