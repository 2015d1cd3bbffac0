"""What a briefing rests on, carried inside its three files so that each of them alone can be run again and compared.

The notebook has it in its metadata, the page in a ``meta`` element (which no browser runs), the PDF as an attached file. It names the template with
the SHA-256 of its cells, the parameters (not who asked and why, nor any folder), table versions, versions of the code, and the SHA-256 of each block.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape, unescape
from typing import Any

from workbench.briefings import declared, notebook
from workbench.results import saving

KIND, META, ATTACHED = "workbench briefing", "workbench-basis", "basis.json"
#: Facts of the masthead that no two runs share; they are carried along and set again.
MADE = ("Produced", "By")
#: Parameters that are those of whoever runs it, or of this machine.
_OWN = frozenset({"workspace", "user", "purpose", "reason"})
#: Bytes of the largest record that is read.
_LARGEST = 1 << 24


def about(template: str, source: Mapping[str, Any], values: Mapping[str, Any], blocks: Sequence[dict[str, Any]], *, versions: Mapping[str, int],
          workspace: Mapping[str, str], run_id: str, made_at: datetime) -> dict[str, Any]:
    """The record of one run, with its own SHA-256."""
    said = {"kind": KIND, "format": 1, "template": template, "cells": cells(source), "run_id": run_id, "made_at": made_at.isoformat(),
            "parameters": declared.plain({k: v for k, v in values.items() if k not in _OWN}), "bound": bool(values.get("case") or values.get("purpose")),
            "versions": dict(values.get("versions") or versions), "made": facts(blocks), "environment": saving.environment(), "workspace": dict(workspace),
            "blocks": told(blocks)}
    return {**said, "sha256": saving.digest(said)}


def genuine(said: Mapping[str, Any]) -> bool:
    """Whether a record is as it was written, by its own hash."""
    return saving.digest({k: v for k, v in said.items() if k != "sha256"}) == said.get("sha256")


def cells(source: Mapping[str, Any]) -> list[str]:
    """SHA-256 of the text of each cell of a notebook; what papermill adds is left out."""
    own = [c for c in source.get("cells", []) if not notebook.ADDED & set(c.get("metadata", {}).get("tags", []))]
    return [hashlib.sha256((str(c.get("cell_type")) + "\0" + notebook.text(c.get("source", ""))).encode()).hexdigest() for c in own]


def facts(blocks: Sequence[dict[str, Any]]) -> dict[str, str]:
    """What the masthead says that no two runs share: when it was produced, and by whom."""
    return {k: v for b in blocks if b["kind"] == "masthead" for k, v in b["facts"] if k in MADE}


def made(blocks: Sequence[dict[str, Any]], said: Mapping[str, str]) -> list[dict[str, Any]]:
    """The blocks with those facts set to what another run said."""
    return [{**b, "facts": [[k, said.get(k, v) if k in MADE else v] for k, v in b["facts"]]} if b["kind"] == "masthead" else b for b in blocks]


def told(blocks: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Kind, name and SHA-256 of each block."""
    return [{"kind": b["kind"], "name": name(b), "sha256": saving.digest(b)} for b in blocks]


def name(block: Mapping[str, Any]) -> str:
    """What a block is called where it is spoken of: its caption, title or first words."""
    words = next((str(block[k]) for k in ("caption", "title", "text", "headline") if block.get(k)), "")
    return words if len(words) <= 60 else words[:57] + "..."


def meta(said: Mapping[str, Any]) -> str:
    """The element that carries the record in a page."""
    return f'<meta name="{META}" content="{escape(json.dumps(said, sort_keys=True))}">'


def in_page(text: str) -> dict[str, Any] | None:
    """The record in an HTML page; None where there is none."""
    found = re.search(rf'<meta name="{META}" content="([^"]*)">', text)
    return _read(unescape(found[1]).encode()) if found else None


def in_pdf(data: bytes) -> dict[str, Any] | None:
    """The record attached to a PDF; None where there is none."""
    for start in re.finditer(rb"(?<!end)stream\r?\n", data):
        try:
            part = zlib.decompressobj().decompress(data[start.end():], _LARGEST)
        except zlib.error:
            continue
        if part.lstrip()[:1] == b"{" and KIND.encode() in part:
            found = _read(part)
            if found is not None:
                return found
    return None


def in_notebook(executed: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record in an executed notebook; None where there is none."""
    said = executed.get("metadata", {}).get("workbench")
    return said if isinstance(said, dict) and said.get("kind") == KIND else None


def _read(text: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and said.get("kind") == KIND else None
