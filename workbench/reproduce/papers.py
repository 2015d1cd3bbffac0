"""Notebooks and briefings run again: the same cells with the same parameters in a scratch folder, compared output by output, block by block.

Only code that this workspace has is run: a template or notebook with the same cells. The code of any other notebook is run when whoever asks says so.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench import bundle
from workbench.briefings import html, notebook, resting, runner
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.lake import known
from workbench.reproduce import outputs
from workbench.reproduce.verdict import Certificates, Verdict, cannot, judged, lost, opened, purged_since, surroundings
from workbench.session import Workbench

Progress = Callable[[str, float], None]
#: Parameters that are those of whoever verifies; the others stay as they were.
_OWN = ("purpose", "reason", "user")
_LARGEST = 1 << 29


def verify(path: Path, workbench: Workbench, *, trust: bool, certificates: Certificates | None, progress: Progress | None) -> Verdict:
    """See ``reproduce.verify``."""
    executed = _executed(path) if path.suffix == ".ipynb" else None
    about = record(path, executed)
    if about is None and executed is None:
        return cannot(f"{path.name} carries no record of what it rests on; it is no briefing of this workbench, or was made by an older one, or stripped.")
    tampered = [] if about is None or resting.genuine(about) else ["the record of what it rests on was changed after it was made"]
    injected = dict(about["parameters"]) if about else _injected(executed or {})
    versions = (about or {}).get("versions") or injected.get("versions") or outputs.versions(executed or {})
    notes = surroundings(about["environment"], about["workspace"], workbench) if about else []
    since = about["made_at"] if about else None
    try:
        _gate(injected, about, workbench)
        city = opened(workbench, versions) if versions else workbench
        source, more = _source(executed, about, workbench, trust)
    except WorkbenchError as error:
        return lost(error, workbench, versions or (), since, certificates)
    declared = _declares(source)
    if "versions" not in declared and (not versions or dict(versions) != workbench.versions):
        why = ("it says nowhere which table versions it saw" if not versions
               else "it opens the workspace at its newest versions, which are other ones now, and takes no parameter `versions`")
        return cannot(f"{why}. Give it a cell tagged `parameters` with `versions: dict[str, int] | None = None` and open the workbench with it.", notes)
    given = {k: v for k, v in injected.items() if k in declared or about is None}
    mine = {"workspace": str(workbench.path), "user": workbench.user, "purpose": workbench.purpose, "reason": workbench.reason}
    given |= {k: v for k, v in mine.items() if k in declared and (k not in _OWN or v is not None)}
    given |= {"versions": dict(versions)} if "versions" in declared and versions else {}
    try:
        again = runner.again(city, source, given, progress=progress)
    except WorkbenchError as error:
        found = [*tampered, *more, f"it does not run to its end any more: {error}"]
        purge = purged_since(workbench, versions or (), since, certificates)
        return cannot(f"purged rows prevent it: {purge}", notes, found) if purge else judged("", found, notes)
    found = [*tampered, *more, *_differences(path, executed, about, again, workbench)]
    purge = purged_since(workbench, versions or (), since, certificates) if found and not tampered and not more else ""
    return cannot(f"purged rows prevent it: {purge}", notes, found) if purge else judged(path.name, found, notes)


def record(path: Path, executed: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """What a briefing's file carries of what it rests on; None where it carries nothing that can be read."""
    if path.stat().st_size > _LARGEST:
        raise BadInput(f"{path.name} is larger than 512 MiB; that is no briefing.")
    if path.suffix == ".ipynb":
        said = resting.in_notebook(executed if executed is not None else _executed(path))
    elif path.suffix == ".html":
        said = resting.in_page(path.read_text(encoding="utf-8", errors="replace"))
    else:
        said = resting.in_pdf(path.read_bytes())
    shapes = {"template": str, "cells": list, "run_id": str, "made_at": str, "parameters": dict, "versions": dict, "made": dict, "environment": dict,
              "workspace": dict, "blocks": list}
    wrong = [k for k, kind in shapes.items() if said is not None and not isinstance(said.get(k), kind)]
    if wrong:
        raise BadInput(f"The record of what {path.name} rests on lacks {', '.join(wrong)}; it was changed after it was made.")
    return said


def _executed(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path.name} cannot be read as a notebook: {error}.") from None
    if not isinstance(found, dict) or not isinstance(found.get("cells"), list) or not all(isinstance(c, dict) for c in found["cells"]):
        raise BadInput(f"{path.name} is no notebook.")
    return found


def _injected(executed: Mapping[str, Any]) -> dict[str, Any]:
    said = executed.get("metadata", {}).get("papermill", {}).get("parameters", {})
    return dict(said) if isinstance(said, dict) else {}


def _gate(injected: Mapping[str, Any], about: Mapping[str, Any] | None, workbench: Workbench) -> None:
    """Who verifies what was made under a case has to be bound to that case."""
    from workbench.errors import AccessRefused

    case = injected.get("case")
    bound = (about or {}).get("bound") or injected.get("purpose")
    if case and case != workbench.case or bound and not (workbench.case and workbench.purpose):
        named = case or workbench.agency.demo_case or "NUMBER"
        raise AccessRefused(f"It was made {f'for case {case}' if case else 'under a case and purpose'}, so it is run again only under "
                            f"{'that one' if case else 'one'}: add --case {named} --purpose investigation --reason \"...\".")


def _source(executed: Mapping[str, Any] | None, about: Mapping[str, Any] | None, workbench: Workbench, trust: bool) -> tuple[dict[str, Any], list[str]]:
    """The notebook to run, without outputs, and what of the file's own cells is not as it was made.

    Raises:
        NotFound: the template is gone. BadInput: the code is not of this workspace and is not trusted.
    """
    own = resting.cells(executed) if executed is not None else None
    if about is not None:
        template = _executed(runner.find(about["template"], workbench.path))
        changed = [] if own is None or own == about["cells"] else [
            f"cell {n + 1} of the file is not the one that was run" for n, (a, b) in enumerate(zip(own, about["cells"], strict=False)) if a != b] or [
            f"the file has {len(own)} cells, {len(about['cells'])} were run"]
        if resting.cells(template) == about["cells"]:
            return _bare(template), changed
        if trust and executed is not None and not changed:
            return _bare(executed), []
        raise BadInput(f"the template {about['template']!r} was changed since. Put the earlier one back, or run the cells that the notebook of the same run "
                       "(.ipynb) holds: --trust.")
    for folder in (workbench.path / "notebooks", workbench.path / "templates", bundle.folder("notebooks"), bundle.folder("templates")):
        for file in sorted(folder.glob("*.ipynb")):
            held = _executed(file)
            if resting.cells(held) == own:
                return _bare(held), []
    if not trust:
        raise NotFound("its code is in no template or notebook of this workspace, and running a notebook is running its code. Read it; if you trust it, "
                       "add --trust.")
    return _bare(executed or {}), []


def _bare(source: Mapping[str, Any]) -> dict[str, Any]:
    """A notebook without outputs and without what papermill added."""
    cells = [c for c in source["cells"] if not notebook.ADDED & set(c.get("metadata", {}).get("tags", []))]
    clean = [{**c, "outputs": [], "execution_count": None} if c.get("cell_type") == "code" else c for c in cells]
    kept = {k: v for k, v in source.get("metadata", {}).items() if k in ("kernelspec", "language_info")}
    return {**source, "cells": [{**c, "metadata": {"tags": c.get("metadata", {}).get("tags", [])}} for c in clean], "metadata": kept}


def _declares(source: Mapping[str, Any]) -> set[str]:
    """The names of a notebook's parameters cell."""
    found = [notebook.text(c["source"]) for c in source["cells"] if "parameters" in c.get("metadata", {}).get("tags", [])]
    return set(re.findall(r"^([A-Za-z_]\w*)\s*[:=]", found[0], re.M)) if found else set()


def _differences(path: Path, executed: Mapping[str, Any] | None, about: Mapping[str, Any] | None, again: dict[str, Any], workbench: Workbench) -> list[str]:
    if executed is not None:
        found = outputs.differences(executed, again)
        printed = resting.made(notebook.blocks(again), resting.facts(notebook.blocks(dict(executed))))
        return found or (outputs.blocks(about["blocks"], resting.told(printed)) if about else [])
    if about is None:
        return []
    blocks = resting.made(notebook.blocks(again), about["made"])
    found = outputs.blocks(about["blocks"], resting.told(blocks))
    design = runner.find(about["template"], workbench.path).parent
    with tempfile.TemporaryDirectory(prefix=".verify-", dir=workbench.path / "out") as scratch:
        made = runner.pages(again, blocks, dict(about), Path(scratch) / "pdf", design)
    if path.suffix == ".html":
        text = path.read_text(encoding="utf-8", errors="replace")
        return found + (outputs.page(text, made["html"].decode(), [(outputs.called(n, b["kind"], resting.name(b)), html.render(b))
                                                                   for n, b in enumerate(blocks, start=1)]))
    if not found and path.read_bytes() != made["pdf"]:
        found.append("the pages of the PDF are not those that its own record gives, though every block comes out as recorded: "
                     "they were changed after they were made (or set by another version of Typst)")
    return found


def show(path: Path) -> list[tuple[str, str]]:
    """What a notebook or briefing rests on."""
    executed = _executed(path) if path.suffix == ".ipynb" else None
    about = record(path, executed)
    if about is None:
        versions = outputs.versions(executed or {})
        if executed is None or not (versions or _injected(executed)):
            raise BadInput(f"{path.name} says nothing of what it rests on.")
        parameters = _injected(executed)
        return [("Notebook", path.name), *(("Parameter", f"{k} = {v!r}") for k, v in parameters.items() if k != "versions"),
                ("Table versions", _versions(parameters.get("versions") or versions))]
    state = "as it was made" if resting.genuine(about) else "its record was changed after it was made"
    return [("Briefing", about["template"]), ("Run", about["run_id"]), ("Made", f"{datetime.fromisoformat(about['made_at']):%Y-%m-%d %H:%M} UTC"),
            *(("Parameter", f"{k} = {v!r}") for k, v in about["parameters"].items() if k not in ("versions", "run_id")),
            ("Table versions", _versions(about["versions"])), *(("Made with", f"{k} {v}") for k, v in about["environment"].items()), ("Record", state)]


def _versions(versions: Mapping[str, int]) -> str:
    at = known.moment(versions)
    text = ", ".join(f"{k} {v}" for k, v in sorted(versions.items()) if k != known.KEY)
    return text + (f", as known at {at:%Y-%m-%d %H:%M:%S} UTC" if at else "")
