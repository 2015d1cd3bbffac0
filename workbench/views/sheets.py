"""CSV for people: a table that a spreadsheet opens without running what stands in its cells.

A spreadsheet takes a cell that begins with = + - @ (or a tab, or a line end) for a formula, and a formula can start programs and send the sheet away. Such
texts are written with ``'`` before them, which a spreadsheet shows as text. What is to be loaded again must not be written so: the records that
``workbench rejects export`` writes stay as they came, byte for byte.
"""

from __future__ import annotations

import re

import polars as pl

_FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?")


def cell(text: str) -> str:
    """One text as a cell: with ``'`` before it where a spreadsheet would take it for a formula. Numbers with a sign stay."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def csv(frame: pl.DataFrame) -> str:
    """A frame as CSV with a header; texts and column names as ``cell`` gives them, numbers and times as they are. O(texts)."""
    texts = {c: [None if v is None else cell(v) for v in frame[c]] for c, kind in frame.schema.items() if kind == pl.String}
    inert = frame.with_columns(pl.Series(c, values, dtype=pl.String) for c, values in texts.items())
    return inert.rename({name: cell(name) for name in inert.columns}).write_csv()
