"""What an executed briefing notebook holds: its blocks in order, its title, and where it failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from workbench.briefings.blocks import KINDS, MIME

#: Cells with this tag are for the reader of the notebook and are not printed on the page.
ASIDE = "aside"
#: Tags of cells that papermill adds to the template's own.
ADDED = {"injected-parameters", "papermill-error-cell-tag"}


def blocks(executed: dict[str, Any]) -> list[dict[str, Any]]:
    """Every block of the outputs, and the words of the markdown cells between them, in order. O(size of the notebook)."""
    out: list[dict[str, Any]] = []
    for number, cell in enumerate(executed.get("cells", []), start=1):
        if ASIDE in cell.get("metadata", {}).get("tags", []):
            continue
        if cell.get("cell_type") == "markdown":
            out += words(text(cell.get("source", "")))
        elif cell.get("cell_type") == "code":
            for output in cell.get("outputs", []):
                out += _shown(output, number)
    return out


def _shown(output: dict[str, Any], number: int) -> list[dict[str, Any]]:
    data = output.get("data", {})
    if MIME in data and data[MIME].get("kind") in KINDS:
        return [data[MIME]]
    if "image/svg+xml" in data:
        return [{"kind": "drawing", "svg": text(data["image/svg+xml"]), "caption": ""}]
    if output.get("output_type") == "stream" and output.get("name") == "stdout":
        return [{"kind": "text", "text": line} for line in text(output.get("text", "")).splitlines() if line.strip()]
    if data:
        return [{"kind": "note", "tone": "plain", "text": f"What cell {number} shows is in the notebook only; give it as a block to print it."}]
    return []


def words(markdown: str) -> list[dict[str, Any]]:
    """Headings and paragraphs of a markdown cell as blocks of plain text; emphasis marks are dropped."""
    out: list[dict[str, Any]] = []
    for part in re.split(r"\n\s*\n|\n(?=#{1,4} )|(?<=\n)(?=[-*] )", markdown.strip()):
        head = re.match(r"(#{1,4}) +([^\n]+)\n?", part)
        if head:
            out.append({"kind": "heading", "level": len(head[1]), "text": _bare(head[2])})
            part = part[head.end():]
        if part.strip():
            out.append({"kind": "text", "text": re.sub(r"^[-*] ", "• ", _bare(part))})
    return out


def _bare(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"(\*\*|__|`)", "", text)).strip()


def title(found: Sequence[dict[str, Any]], otherwise: str) -> str:
    """"Daily briefing – Fairwater, 30 June 2026", out of the masthead."""
    head = next((b for b in found if b["kind"] == "masthead"), None)
    return f"{head['title']} – {head['agency']}, {head['period']}" if head else otherwise


def failure(executed: dict[str, Any]) -> str:
    """"in cell 5 (Where to look): NotFound: There is no ..." for the first error in the outputs, else ""."""
    heading = ""
    own = [c for c in executed.get("cells", []) if not ADDED & set(c.get("metadata", {}).get("tags", []))]
    for number, cell in enumerate(own, start=1):
        if cell.get("cell_type") == "markdown":
            heads = [b["text"] for b in words(text(cell.get("source", ""))) if b["kind"] == "heading"]
            heading = heads[-1] if heads else heading
        for output in cell.get("outputs", []):
            if output.get("output_type") == "error":
                where = f"in cell {number}" + (f" ({heading})" if heading else "")
                said = str(output.get("evalue", "")).strip() or "no message"
                return f"{where}: {output.get('ename', 'Error')}: {said}" + ("" if said.endswith((".", "!", "?")) else ".")
    return ""


def text(value: str | list[str]) -> str:
    """A text of a notebook, which may stand there as a list of lines."""
    return value if isinstance(value, str) else "".join(value)
