"""Blocks to PDF with Typst: about 0.2 s a page, no browser, no network.

The blocks go to Typst as a JSON file that the page design reads as data. Nothing from a report is ever Typst source, so markup in it
is printed as it stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench import bundle
from workbench.briefings import resting
from workbench.errors import WorkbenchError
from workbench.views import theme

_FONTS = ("Inter", "Source Sans 3", "Liberation Sans", "Noto Sans", "DejaVu Sans", "Libertinus Serif")
#: Put behind the page design, so that an agency's own design carries what the briefing rests on too.
_ATTACH = f"""
#pdf.attach("{resting.ATTACHED}", bytes(read("about.json", encoding: none)), relationship: "data", mime-type: "application/json")
"""


def typeset(blocks: Sequence[dict[str, Any]], scratch: Path, *, title: str, run: str, made_at: datetime, folder: Path | None = None,
            about: Mapping[str, Any] | None = None) -> bytes:
    """The PDF as bytes.

    Args:
        blocks: as stored in the executed notebook, in order.
        scratch: an empty folder to set the page in; stays behind.
        title, run: document title, run id (in the footer of each page).
        made_at: written into the PDF as its date, so that the same run gives the same bytes.
        folder: where briefing.typ lies; the package's own by default.
        about: attached to it as a file (``resting.about``).

    Raises:
        WorkbenchError: Typst cannot set the page; its message is given.
    """
    import typst

    source = (folder or bundle.folder("templates")) / "briefing.typ"
    design = source.read_text(encoding="utf-8")
    if about is not None:
        (scratch / "about.json").write_text(json.dumps(about, sort_keys=True), encoding="utf-8")
        design += _ATTACH
    (scratch / "briefing.typ").write_text(design, encoding="utf-8")
    (scratch / "page.json").write_text(json.dumps(document(blocks, title=title, run=run), ensure_ascii=False), encoding="utf-8")
    try:
        made = typst.compile(str(scratch / "briefing.typ"), root=str(scratch), format="pdf", timestamp=int(made_at.timestamp()))
    except (RuntimeError, ValueError, typst.TypstError) as e:
        raise WorkbenchError(f"The PDF page could not be set from {source}: {str(e).strip()}") from None
    return bytes(made)


def document(blocks: Sequence[dict[str, Any]], *, title: str, run: str) -> dict[str, Any]:
    """What the page design reads: blocks with a drawing's size beside it, colours, fonts."""
    handling = next((b["handling"] for b in blocks if b["kind"] == "masthead"), "")
    agency = next((b["agency"] for b in blocks if b["kind"] == "masthead"), "")
    return {"title": title, "run": run, "handling": handling, "agency": agency, "blocks": list(blocks), "fonts": list(_FONTS),
            "colours": dict(theme.LIGHT), "risk": list(theme.RISK)}
