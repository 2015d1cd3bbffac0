"""``workbench nij``: cells to flag under the rules of the NIJ challenge, from one file; no workspace is opened."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from workbench.errors import BadInput, NotFound


def commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare the command."""
    sub = add("nij", _nij, "forecast and score a file of dated events under the rules of the NIJ challenge of 2017", workspace=False)
    sub.add_argument("file", type=Path, help="CSV or Parquet: one row an event")
    sub.add_argument("--asof", required=True, help="first day forecast, e.g. 2017-03-01; later events are only scored")
    sub.add_argument("--x", default="", help="column of the easting or longitude")
    sub.add_argument("--y", default="", help="column of the northing or latitude")
    sub.add_argument("--date", default="", help="column of the date or time")
    sub.add_argument("--category", default="", help="column of the category")
    sub.add_argument("--crs", help="of the coordinates, e.g. EPSG:3435; left out = degrees")
    sub.add_argument("--area", type=Path, help="GeoJSON of the study area in degrees; left out = the convex hull of the events")
    sub.add_argument("--cells", type=Path, help="write the cells here: .geojson or .csv")


def _nij(args: argparse.Namespace) -> None:
    import polars as pl

    from workbench.models.hotspots import nij

    for path in (args.file, *([args.area] if args.area else [])):
        if not path.is_file():
            raise NotFound(f"There is no file {path}.")
    if args.cells and args.cells.suffix.lower() not in (".csv", ".geojson", ".json"):
        raise BadInput(f"The cells cannot be written as {args.cells.name!r}; name a file that ends in .geojson or .csv.")
    try:
        parquet = args.file.suffix.lower() == ".parquet"
        events = pl.read_parquet(args.file) if parquet else pl.read_csv(args.file, infer_schema_length=10_000, null_values=["", "NA"])
        area = json.loads(args.area.read_text(encoding="utf-8")) if args.area else None
    except (pl.exceptions.PolarsError, UnicodeDecodeError, ValueError) as error:
        raise BadInput(f"The file cannot be read: {str(error).splitlines()[0]}") from None
    made = nij.forecast(events, args.asof, area=area, x=args.x, y=args.y, time=args.date, category=args.category, crs=args.crs)
    if args.cells:
        (made.to_csv if args.cells.suffix.lower() == ".csv" else made.to_geojson)(args.cells)
    found = nij.score(made, events)
    shown = ["category", "horizon", "aim", "cell", "area_sq_mi", "n", "N", "pai", "pei", "pei_star", "counts_pai", "kde_pai"]
    print(made.headline)
    print(found.table.select(shown).write_csv(float_precision=4).rstrip())
    print(found.headline)
    for note in made.basis.notes:
        print(f"Note: {note}")
