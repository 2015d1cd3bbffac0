"""``workbench map FILE``: how would a file that no source knows be read? Propose, show, and write the mapping down."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.asking import Add, required, role_argument
from workbench.errors import NotFound, WorkbenchError

if TYPE_CHECKING:
    import polars as pl

    from workbench.intake.propose import Preview, Proposal

_MARK = {"sure": "  ", "likely": "~ ", "doubtful": "? "}


def commands(add: Add) -> None:
    """Declare it."""
    map_ = add("map", _map, "propose how a strange export is read, and write it down as a mapping file to edit and load by name")
    map_.add_argument("file", metavar="FILE", type=Path, help="the export, of any form that can be loaded")
    map_.add_argument("--to", metavar="TABLE", help="the table it fills, e.g. incidents; proposed with its reason where it is left out")
    map_.add_argument("--name", metavar="NAME", help="name of the source to be (default: made of the file's name)")
    map_.add_argument("--zone", help="time zone of the file's wall clocks, where it is not the agency's")
    map_.add_argument("--records", metavar="WHERE", help="where the records lie in a JSON, XML or Excel file (default: told)")
    map_.add_argument("--rows", type=int, default=5, metavar="N", help="how many rows to show as they would load (default 5)")
    map_.add_argument("--force", action="store_true", help="write over a mapping of that name")
    map_.add_argument("--dry-run", action="store_true", help="show the proposal and write nothing")
    map_.add_argument("--json", action="store_true", help="print one JSON object")
    role_argument(map_)


def _map(args: argparse.Namespace) -> int:
    from workbench import agency
    from workbench.intake.propose import propose
    from workbench.session import find_workspace

    folder: Path | None = None
    try:
        folder = find_workspace(args.workspace)
    except NotFound:
        if args.workspace or not args.dry_run:
            raise
    if folder is not None:
        required(args, "load", f"map {args.file.name}")
    home = agency.read(folder) if folder else None
    proposal = propose(args.file, args.to, agency=home, zone=args.zone, name=args.name, records=args.records)
    preview, problem = _preview(proposal, args.rows)
    saved = None if args.dry_run or folder is None else proposal.save(folder, force=args.force)
    if args.json:
        print(json.dumps(_json(proposal, preview, problem, saved), ensure_ascii=False, default=str))
        return 0
    _show(proposal, preview, problem)
    if saved is not None:
        where = f" -w {args.workspace}" if args.workspace else ""
        print(f"\nWrote {saved}\nEdit it if need be, then: workbench load {proposal.name} {args.file}{where}")
    return 0


def _preview(proposal: Proposal, rows: int) -> tuple[Preview | None, str]:
    try:
        return proposal.preview(rows), ""
    except WorkbenchError as error:
        return None, str(error)


def _show(proposal: Proposal, preview: Preview | None, problem: str) -> None:
    sample = proposal.sample
    all_ = "all" if sample.whole else "a sample of"
    print(
        f"{proposal.file.name}: {sample.form}"
        + (f" parted by {_named(sample.delimiter)}, {sample.encoding}" if sample.form == "csv" else "")
        + f", {len(sample.columns)} columns, {all_} {sample.rows:,} rows looked at."
    )
    print(f"Table: {proposal.table}" + (f" - {proposal.table_reason}" if proposal.table_reason else "") + f"\nTime zone of its wall clocks: {proposal.zone}\n")
    wide = max(40, shutil.get_terminal_size((150, 40)).columns)
    left = max(len(c.column) for c in proposal.columns)
    for c in proposal.columns:
        print(_cut(f"{_MARK[c.confidence]}{c.column:{left}}  <- {' + '.join(c.raw) or '(all rows alike)'}", wide))
        print(_cut(f"  {'':{left}}     {c.expression}", wide))
        if c.confidence != "sure":
            print(_cut(f"  {'':{left}}     {c.confidence}: {c.reason}" + (f"; or {c.runner_up}?" if c.runner_up else ""), wide))
    print("\n~ likely   ? doubtful")
    if proposal.unused:
        print(_cut(f"Not taken: {', '.join(proposal.unused)}", 3 * wide))
    if preview is not None:
        print(f"\nThe first rows as they would load (of {preview.read:,} tried, {sum(preview.rejected.values()):,} rejected), times in {proposal.zone}:")
        _rows(preview.rows, proposal.zone, wide)
        for reason, count in preview.rejected.items():
            print(f"  rejected: {reason} ({count:,})")
            for row in preview.rejects.filter(preview.rejects["reason"] == reason).head(1).iter_rows(named=True):
                print(_cut(f"    e.g. {row['raw']}", wide))
    else:
        print(f"\nIt cannot be loaded yet: {problem}")
    print("\nDoubts:" if proposal.doubts else "\nNo doubts.")
    for number, doubt in enumerate(proposal.doubts, 1):
        print(f"  {number}. {doubt}")


def _rows(frame: pl.DataFrame, zone: str, wide: int) -> None:
    """Rows, one under another: a column a line is read more easily than thirty beside each other."""
    from workbench.views.tables import text

    filled = [c for c in frame.columns if c != "line" and frame[c].null_count() < frame.height]
    if not filled:
        print("  none")
        return
    left = max(map(len, filled))
    shown = frame.head(3) if frame.height > 3 and len(filled) > 6 else frame
    cell = max(12, (wide - left - 4) // max(1, shown.height) - 2)
    for column in filled:
        values = (f"{v:.6f}" if column in ("lon", "lat") and v is not None else text(v, zone) for v in shown[column].to_list())
        print(f"  {column:{left}}  " + "  ".join(f"{_cut(v, cell):{cell}}" for v in values).rstrip())


def _cut(text: str, wide: int) -> str:
    line = " ".join(text.split("\n"))
    return line if len(line) <= wide else line[: wide - 3] + "..."


def _named(delimiter: str) -> str:
    return {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}.get(delimiter, repr(delimiter))


def _json(proposal: Proposal, preview: Preview | None, problem: str, saved: Path | None) -> dict[str, Any]:
    return {
        "name": proposal.name,
        "file": str(proposal.file),
        "table": proposal.table,
        "table_reason": proposal.table_reason,
        "zone": proposal.zone,
        "form": proposal.sample.form,
        "delimiter": proposal.sample.delimiter,
        "encoding": proposal.sample.encoding,
        "rows_looked_at": proposal.sample.rows,
        "columns": [
            {"column": c.column, "expression": c.expression, "raw": list(c.raw), "confidence": c.confidence, "reason": c.reason, "runner_up": c.runner_up}
            for c in proposal.columns
        ],
        "doubts": list(proposal.doubts),
        "not_taken": list(proposal.unused),
        "problem": problem,
        "written": str(saved) if saved else None,
        "preview": None if preview is None else {"read": preview.read, "rejected": preview.rejected, "rows": preview.rows.to_dicts()},
    }
