"""CSV: nodes.csv, edges.csv (one row an evidence row) and about.csv; no cell is run as a formula by a spreadsheet, and reading takes the guard off again."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import polars as pl

from workbench.errors import BadInput, did_you_mean
from workbench.models.links._inter_form import EDGES, NODES, Bundle, Reader
from workbench.views import sheets

#: Headers of other tools for the columns of the contract.
_ALSO = {"from": "source", "to": "target", "source id": "source", "target id": "target", "relation": "kind", "relationship": "kind", "type": "kind",
         "name": "label", "longitude": "lon", "latitude": "lat", "time": "at", "date": "at", "weight": "strength"}


def write(given: Bundle) -> dict[str, bytes]:
    """The three files."""
    rows = [{"source": link["source"], "target": link["target"], "kind": link["kind"], **e} for link in given.links for e in link["evidence"]]
    return {"nodes.csv": _sheet(given.nodes, list(NODES)), "edges.csv": _sheet(rows, list(EDGES)),
            "about.csv": _sheet([{"name": k, "value": v} for k, v in given.about.items()], ["name", "value"])}


def _sheet(rows: list[dict[str, Any]], first: list[str]) -> bytes:
    columns = list(dict.fromkeys((*first, *(k for row in rows for k in row))))
    frame = pl.DataFrame({c: pl.Series([_cell(row.get(c)) for row in rows], dtype=pl.String) for c in columns})
    return frame.rename({c: sheets.cell(c) for c in columns}).write_csv().encode()


def _cell(value: Any) -> str | None:
    """A value as text; a text that a spreadsheet would run, or that looks like one already guarded, gets one more ``'``."""
    if value is None:
        return None
    if not isinstance(value, str):
        return repr(value) if isinstance(value, float) else str(value)
    bare = value.lstrip("'")
    return sheets.cell(value) if bare == value else f"'{value}" if sheets.cell(bare) != bare else value


def _open(text: str | None) -> str | None:
    """The text before ``_cell``."""
    bare = None if text is None else text.lstrip("'")
    return text[1:] if text and bare is not None and bare != text and sheets.cell(bare) != bare else text


def read(files: Mapping[str, bytes], reader: Reader) -> None:
    """Nodes and edges; other tools' headers are known by their usual names.

    Raises:
        BadInput: no edges, or a column of theirs is missing.
    """
    if "edges.csv" not in files:
        raise BadInput(f"There is no 'edges.csv' among {sorted(files)}; give {{'edges.csv': ..., 'nodes.csv': ...}}, or the bytes of the edges alone.")
    for row in _rows(files["nodes.csv"], "nodes.csv", "id") if "nodes.csv" in files else ():
        reader.thing(str(row["id"]), {k: v for k, v in row.items() if k != "id"})
    for row in _rows(files["edges.csv"], "edges.csv", "source", "target"):
        ends = str(row.pop("source")), str(row.pop("target"))
        kind = row.pop("kind", None)
        reader.link(*ends, {"kind": kind, "evidence": [row]} if row.get("table") else {"kind": kind, **row}, str(row.get("id") or ""))
    if "about.csv" in files:
        reader.about |= {str(r["name"]): str(r["value"] or "") for r in _rows(files["about.csv"], "about.csv", "name", "value")}


def _rows(data: bytes, what: str, *needed: str) -> list[dict[str, Any]]:
    try:
        frame = pl.read_csv(io.BytesIO(data.removeprefix(b"\xef\xbb\xbf")), infer_schema=False)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise BadInput(f"{what} is no CSV file that can be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}.") from None
    names = {c: _open(c) or c for c in frame.columns}
    lower = {c: n.strip().lower() for c, n in names.items()}
    known = {c: low if low in needed else _ALSO.get(low, low) if _ALSO.get(low, low) in (*NODES, *EDGES) else names[c] for c, low in lower.items()}
    taken: set[str] = set()
    for column, name in list(known.items()):
        known[column] = name if name not in taken else names[column]
        taken.add(known[column])
    for name in needed:
        if name not in known.values():
            raise BadInput(f"{what} has no column {name!r}.{did_you_mean(name, known.values())}")
    out = []
    for row in frame.rename(known).iter_rows(named=True):
        opened = {k: _open(v) for k, v in row.items()}
        if any(opened[n] is None for n in needed if n in ("id", "source", "target")):
            raise BadInput(f"{what} has a row without {' and '.join(n for n in needed if opened[n] is None)}; every row needs it.")
        out.append(opened)
    return out
