"""Where the outputs of two runs of a notebook differ, but for what no two runs share: when and by whom, run ids, counts of execution, addresses in memory."""

from __future__ import annotations

import html as pages
import json
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from workbench.briefings import html, notebook, resting
from workbench.briefings.blocks import MIME as BLOCK
from workbench.reproduce import compare
from workbench.results import MIME as BASIS

#: Kinds of output that hold only numbers of this run's widgets.
_PASSING = frozenset({"application/vnd.jupyter.widget-view+json"})
_MEMORY = re.compile(r"\b0x[0-9a-fA-F]{6,}\b|\b(?:altair-viz|wb)-[0-9a-f]{8,}\b|id=\\?\"[A-Za-z-]*[0-9a-f]{32}\\?\"")


def differences(executed: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """One sentence for each output that is not the same, with its cell's number (what papermill added is not counted) and first words that differ."""
    out: list[str] = []
    old, new = _cells(executed), _cells(again)
    none: dict[str, Any] = {}
    for number, (one, other) in enumerate(zip_longest(old, new, fillvalue=none), start=1):
        if one.get("cell_type") != "code" and other.get("cell_type") != "code":
            continue
        was, now = (_shown(c) for c in (one, other))
        if len(was) != len(now):
            out.append(f"cell {number} shows {len(was)} outputs; {len(now)} come out")
        for a, b in zip(was, now, strict=False):
            out += _output(a, b, f"cell {number}")
    return out


def _cells(source: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [c for c in source.get("cells", []) if not notebook.ADDED & set(c.get("metadata", {}).get("tags", []))]


def _shown(cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The outputs of a cell; what went to standard error is left out, and one stream that came in pieces is one."""
    found: list[dict[str, Any]] = []
    for output in cell.get("outputs") or []:
        if output.get("output_type") == "stream":
            if output.get("name") == "stderr":
                continue
            if found and found[-1].get("output_type") == "stream":
                found[-1] = {**found[-1], "text": notebook.text(found[-1]["text"]) + notebook.text(output.get("text", ""))}
                continue
        found.append(output)
    return found


def _output(old: dict[str, Any], new: dict[str, Any], where: str) -> list[str]:
    if "data" not in old or "data" not in new:
        return compare.texts(_plain(old.get("text", old.get("evalue", ""))), _plain(new.get("text", new.get("evalue", ""))), f"{where}, text")
    was, now = dict(old["data"]), dict(new["data"])
    block, made = was.get(BLOCK), now.get(BLOCK)
    if isinstance(block, dict) and isinstance(made, dict) and made.get("kind") == "masthead" == block.get("kind"):
        [now[BLOCK]] = resting.made([made], resting.facts([block]))
        now["text/html"] = html.fragment(now[BLOCK])
    if isinstance(block, dict) and isinstance(made, dict):
        where = f"{where} ({block.get('kind')}{f', {resting.name(block)!r}' if resting.name(block) else ''})"
        told = _parts(block, now[BLOCK], where)
        if told:
            return told
    out: list[str] = []
    for kind in sorted({*was, *now} - _PASSING):
        if kind not in was or kind not in now:
            out.append(f"{where}: {kind} is {'lacking' if kind not in was else 'not made any more'}")
        elif kind == BASIS:
            out += _parts(_without(was[kind]), _without(now[kind]), f"{where}, basis")
        else:
            out += compare.texts(_plain(was[kind]), _plain(now[kind]), f"{where}, {kind}")
    return out


def _without(basis: Any) -> Any:
    return {k: v for k, v in basis.items() if k != "code"} if isinstance(basis, dict) else basis


def _parts(old: Any, new: Any, where: str) -> list[str]:
    """Where two JSON values differ, down to the value itself."""
    if isinstance(old, dict) and isinstance(new, dict):
        lacking = [f"{where}: {k!r} is {'lacking' if k not in old else 'not made any more'}" for k in sorted({*old} ^ {*new})]
        return lacking + [t for k in old if k in new for t in _parts(old[k], new[k], f"{where}, {k}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [t for n, (a, b) in enumerate(zip(old, new, strict=True), start=1) for t in _parts(a, b, f"{where} {n}")]
    return [] if compare.same(old, new) else compare.texts(_text(old), _text(new), where)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _plain(value: Any) -> str:
    text = notebook.text(value) if isinstance(value, (str, list)) and all(isinstance(v, str) for v in value) else json.dumps(value, sort_keys=True)
    return _MEMORY.sub("", text)


def blocks(recorded: Sequence[Any], made: Sequence[Mapping[str, str]]) -> list[str]:
    """Blocks whose recorded hash is not that of the block made again."""
    out = []
    for number, (old, new) in enumerate(zip_longest(recorded, made), start=1):
        if not isinstance(old, dict) or new is None:
            shown = new or old
            out.append(f"{called(number, str(shown.get('kind')), str(shown.get('name')))} is {'lacking' if new is not None else 'not made any more'}"
                       if isinstance(shown, dict) else f"block {number} cannot be read")
        elif old.get("sha256") != new["sha256"]:
            out.append(f"{called(number, new['kind'], new['name'])} comes out otherwise than recorded")
    return out


def called(number: int, kind: str, name: str) -> str:
    """Block 7 (table, 'Calls by beat')."""
    return f"block {number} ({kind.replace('_', ' ')}{f', {name!r}' if name else ''})"


def page(text: str, made: str, rendered: Sequence[tuple[str, str]]) -> list[str]:
    """Where a page differs from one made again: the blocks that do not stand in it as they come out, else the page around them."""
    if text == made:
        return []
    out, at = [], 0
    for n, (name, part) in enumerate(rendered):
        found = text.find(part, at)
        if found >= 0:
            at = found + len(part)
            continue
        follow = [p for p in (text.find(later, at) for _, later in rendered[n + 1:]) if p >= 0]
        out += compare.texts(_words(text[at:follow[0]] if follow else text[at:]), _words(part), name) or [f"{name} is set otherwise than it comes out"]
    return out or compare.texts(text, made, "the page outside its blocks")


def _words(part: str) -> str:
    return re.sub(r"\s+", " ", pages.unescape(re.sub(r"<[^>]*>", " ", part))).strip()


def versions(executed: Mapping[str, Any]) -> dict[str, int]:
    """The table versions that the results shown in a notebook name; empty where none does, or where they name different ones."""
    found = []
    for cell in executed.get("cells", []):
        for output in cell.get("outputs") or []:
            basis = output.get("data", {}).get(BASIS) if isinstance(output.get("data"), dict) else None
            if isinstance(basis, dict) and isinstance(basis.get("versions"), dict) and basis["versions"]:
                found.append(basis["versions"])
    return dict(found[0]) if found and all(f == found[0] for f in found) else {}
