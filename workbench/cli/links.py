"""``workbench export-links``: links of a case into a file for another tool."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from workbench.cli.asking import Add, bound, bound_arguments
from workbench.errors import AccessRefused, BadInput


def commands(add: Add) -> None:
    """Declare it."""
    export = add("export-links", _export, "the links around a case, or what ties two things, into a file for another tool (--case, --purpose, --reason)")
    export.add_argument("format", metavar="FORMAT", help="graphml, gexf, cytoscape, ftm, anx, kml, geojson or csv (three files)")
    export.add_argument("things", nargs="*", metavar="THING",
                        help="one: the links around it; two: what ties them, e.g. vehicle:YXK8164 person:P003171 (default: around the case's subjects)")
    export.add_argument("--to", type=Path, metavar="DIR", help="folder for the files (default: out/links-CASE in the workspace)")
    bound_arguments(export)


def _export(args: argparse.Namespace) -> None:
    from workbench.models.links import interchange

    if args.format not in interchange.FORMATS:
        raise BadInput(f"There is no format {args.format!r} here; write one of {', '.join(interchange.FORMATS)}.")
    if len(args.things) > 2:
        raise BadInput(f"{len(args.things)} things are named; give none (the case's subjects), one (the links around it) or two (what ties them).")
    city = bound(args)
    city.require("export")
    if not city.case:
        raise AccessRefused("Links are about persons and plates: they leave for a case only. Add e.g. --case 2026-0142 --purpose investigation "
                            '--reason "chart for the prosecutor"')
    folder = args.to or city.path / "out" / f"links-{city.case}"
    links = _asked(city, args.things)
    made = interchange.write(links, args.format, case=city.case, title=f"Links of case {city.case}")
    with city.deed("export links", ", ".join(args.things) or city.case, format=args.format, files=[str(folder / name) for name in made.files]) as outcome:
        outcome["rows"] = rows = links.evidence.height
        for name, data in made.files.items():
            _written(folder / name, data)
    print(links.headline)
    print(f"{rows:,} evidence rows of {links.graph.number_of_edges():,} links are in {', '.join(str(folder / name) for name in made.files)}")
    print(*[f"Left out: {note}" for note in made.notes], interchange.CAVEAT, sep="\n")


def _asked(city: Any, things: list[str]) -> Any:
    """The links around the case's subjects or one thing, or what ties two."""
    from workbench.models.links import case, evidence

    if len(things) == 2:
        return evidence.why(evidence.build(city.facts(), asof=city.asof), *things)
    subjects = things or city.casebook.subjects(city.case)["entity"].to_list()
    if not subjects:
        raise BadInput(f"Case {city.case} has no subjects; name a thing: workbench export-links graphml vehicle:ABC1234")
    return case.around(city.facts(), subjects, asof=city.asof)


def _written(file: Path, data: bytes) -> None:
    """A file for the user's eyes only, there whole or not at all."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{file.parent} cannot be made: {error.strerror or error}; name another folder with --to.") from None
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, file)
    except OSError as error:
        raise BadInput(f"{file} cannot be written: {error.strerror or error}; name another folder with --to.") from None
    finally:
        part.unlink(missing_ok=True)
