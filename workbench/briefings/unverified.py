"""No hit of the hotlist enters a briefing or bulletin before a person has confirmed it: what a run is about to write is looked through for hits.

A hit is known by its id: tables made from frames of hits carry it (``blocks.table``), and it is looked for in every text. It is also known by
what it says: a line or row that names the listed plate and the reader of a hit that is not confirmed. And an answer of the matcher itself, which is
unverified by its nature, is not shown in any cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from workbench.casebook import Casebook
from workbench.casebook.hits import Hits, Unverified
from workbench.results import MIME

_MATCHER = "workbench.models.plates.hotlist:match"


def refuse(executed: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]], casebook: Casebook) -> None:
    """Let pass what shows no hit, or confirmed ones only.

    Raises:
        Unverified: a hit is shown that is not confirmed; the message names it and says what to do.
    """
    book = Hits(casebook)
    book.require_confirmed(_named(blocks))
    for number, cell in enumerate(executed.get("cells", ()), 1):
        for output in cell.get("outputs", ()):
            basis = output.get("data", {}).get(MIME)
            if isinstance(basis, dict) and (basis.get("run") or {}).get("function") == _MATCHER:
                raise Unverified(f"Cell {number} shows what the matcher found, which nobody has verified. Keep the hits (Hits(city.casebook).add), have a "
                                 "person confirm them (workbench hits verify), and show Hits(city.casebook).frame('confirmed').")
    held = book.frame()
    if held.is_empty():
        return
    sure = held.filter(pl.col("state") == "confirmed")
    open_ = held.filter(pl.col("state") != "confirmed").join(sure, on=["plate", "reader"], how="anti")
    ids = held.filter(pl.col("state") != "confirmed")["hit_id"].to_list()
    by_plate: dict[str, list[tuple[str, str]]] = {}
    for hit, plate, reader in open_.select("hit_id", "plate", "reader").iter_rows():
        by_plate.setdefault(plate, []).append((reader, hit))
    for text in [*_texts(list(blocks)), *_shown(executed)]:
        book.require_confirmed(i for i in ids if i in text)
        for word in set(re.findall(r"\w+", text)) & by_plate.keys():
            book.require_confirmed(hit for reader, hit in by_plate[word] if re.search(rf"(?<!\w){re.escape(reader)}(?!\w)", text))


def _named(value: Any) -> Iterator[str]:
    """The ids of hits that blocks carry, however deep."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "hits" and isinstance(inner, list):
                yield from (str(i) for i in inner)
            else:
                yield from _named(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _named(inner)


def _texts(value: Any) -> Iterator[str]:
    """Every text of the blocks; a row of texts as one line."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        if value and all(isinstance(v, str) for v in value):
            yield " ".join(value)
        else:
            for inner in value:
                yield from _texts(inner)


def _shown(executed: Mapping[str, Any]) -> Iterator[str]:
    """What cells print or show as text, a line each."""
    for cell in executed.get("cells", ()):
        for output in cell.get("outputs", ()):
            plain = [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
            for text in plain:
                yield from ("".join(text) if isinstance(text, list) else str(text)).splitlines()
