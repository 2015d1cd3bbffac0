"""Elements that lie in one another become one record each: an alert with blocks in several languages, each with several areas.

``records`` is then a path, "alert/info/area": of every alert one record for each area of each block. A record has the members of the outermost
element, and under their own names the element of each step without what lies further in ("info", "area"), and "area number", which counts the areas
of the alert from 1. An element without any of the next step is one record without it.

"info[language:en-US=fr]" takes only those whose member ``language`` (en-US where there is none) begins with fr; where none does or nothing
is asked for ("=]"), those that have the same as the first. Each of the others is one record with the member "not taken", so that the mapping can
count it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from workbench.errors import BadInput

#: The member of a record that was passed over.
PASSED = "not taken"
_STEP = re.compile(r"([^/\[\]]+)(?:\[([^:=\]]+):([^=\]]*)=([^\]]*)\])?(?:/|$)")


@dataclass(frozen=True)
class Step:
    """One step inwards: the elements ``name``, of which those are taken whose ``member`` (else ``default``) begins with ``asked``."""

    name: str
    member: str = ""
    default: str = ""
    asked: str = ""

    def parted(self, elements: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """(those that are taken, the others)."""
        if not self.member or not elements:
            return elements, []
        have = [str(e.get(self.member) or self.default).strip().lower() for e in elements]
        wanted = self.asked.strip().lower()
        hits = [bool(wanted) and h.startswith(wanted) for h in have]
        if not any(hits):
            hits = [h == have[0] for h in have]
        return [e for e, hit in zip(elements, hits, strict=True) if hit], [e for e, hit in zip(elements, hits, strict=True) if not hit]


def path(records: str) -> tuple[str, list[Step]]:
    """The outermost element of a path, and the steps from there inwards.

    Raises:
        BadInput: it is no path.
    """
    found = [m.groups("") for m in _STEP.finditer(records)]
    if "".join(m[0] for m in _STEP.finditer(records)) != records or (found and found[0][1]):
        raise BadInput(f"{records!r} is no path of elements; write e.g. alert/info[language:en-US=en]/area")
    return (found[0][0] if found else ""), [Step(*parts) for parts in found[1:]]


def splitting(steps: list[Step], take: Callable[[str], object]) -> Callable[[str], object]:
    """A function that is given each outermost element as a line of JSON, and gives ``take`` its records."""
    def split(line: str) -> None:
        for record in records(json.loads(line), steps):
            take(json.dumps(record, ensure_ascii=False))

    return split if steps else take


def records(outermost: dict[str, Any], steps: list[Step]) -> Iterator[dict[str, Any]]:
    """The records of one outermost element, in their order, those passed over last."""
    last, number = f"{steps[-1].name} number", 0
    passed: list[dict[str, Any]] = []
    for record in _inwards(dict(outermost), outermost, steps, passed):
        if steps[-1].name in record:
            number += 1
            record[last] = str(number)
        yield record
    yield from passed


def _inwards(record: dict[str, Any], within: dict[str, Any], steps: list[Step], passed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if not steps:
        yield record
        return
    step, held = steps[0], within.get(steps[0].name)
    elements = [e for e in (held if isinstance(held, list) else [held]) if isinstance(e, dict)]
    bare = {n: v for n, v in record.items() if n != step.name}
    taken, others = step.parted(elements)
    further = steps[1].name if len(steps) > 1 else ""
    passed += [{**bare, step.name: _without(e, further), PASSED: str(e.get(step.member) or step.default)} for e in others]
    if not taken:
        yield bare
    for element in taken:
        yield from _inwards({**bare, step.name: _without(element, further)}, element, steps[1:], passed)


def _without(element: dict[str, Any], name: str) -> dict[str, Any]:
    return {n: v for n, v in element.items() if n != name} if name else element
