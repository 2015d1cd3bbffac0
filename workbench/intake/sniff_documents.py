"""Where do the records of a document lie: the list in JSON, the repeated tag in XML, the sheet of a book; and a file's bytes, unpacked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from workbench.errors import BadInput
from workbench.lake import forms
from workbench.loaders import FORMATS, PACKED

#: How deep a list of records may lie.
_DEPTH = 4


@contextmanager
def stream(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked.

    Raises:
        BadInput: it is packed and damaged, protected, or holds several files.
    """
    if path.suffix.lower() not in PACKED[1:]:
        with path.open("rb") as plain:
            yield plain
        return
    suffixes = [end for ends in FORMATS.values() for end in ends if path.name.lower().endswith(end + path.suffix.lower())]
    with forms.opened(path, suffixes) as unpacked:
        yield cast(IO[bytes], unpacked)


def where(path: Path, form: str) -> tuple[str, list[str]]:
    """Where the records of a document lie, and what is to be said of it."""
    if form == "json":
        with stream(path) as opened:
            try:
                document = json.loads(opened.read())
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{path.name} is not JSON: {error}.") from None
        found = sorted(_record_lists(document, ""), key=lambda f: -f[1])
        if not found:
            raise BadInput(f"{path.name} holds no list of JSON objects.")
        others = [f"{n} ({c:,})" for n, c in found[1:4]]
        return found[0][0], [f"Records are taken from {found[0][0] or 'the document itself'}; there are lists at {', '.join(others)} too."] if others else []
    if form == "xml":
        return _repeated(path)
    if form == "excel":
        return _sheet(path)
    return "", []


def _record_lists(value: Any, way: str, depth: int = 0) -> Iterator[tuple[str, int]]:
    if isinstance(value, list):
        if value and sum(isinstance(v, dict) for v in value) > 0.5 * len(value):
            yield way, len(value)
    elif isinstance(value, dict) and depth < _DEPTH:
        for key, inner in value.items():
            yield from _record_lists(inner, f"{way}.{key}" if way else key, depth + 1)


def _repeated(path: Path) -> tuple[str, list[str]]:
    """The tag that is repeated with elements inside it, the outermost of those."""
    from defusedxml import ElementTree

    seen: Counter[tuple[int, str]] = Counter()
    depth = 0
    with stream(path) as opened:
        try:
            for event, element in ElementTree.iterparse(opened, events=("start", "end")):
                if event == "start":
                    depth += 1
                    continue
                depth -= 1
                if len(element) or element.attrib:
                    seen[depth, str(element.tag).rsplit("}", 1)[-1]] += 1
                if depth == 1:
                    element.clear()
                if sum(seen.values()) > 5000:
                    break
        except Exception as error:
            raise BadInput(f"{path.name} is not XML that can be read: {error}.") from None
    inner = {k: n for k, n in seen.items() if k[0] >= 1}
    if not inner:
        raise BadInput(f"{path.name} has no element that holds others, so no records.")
    many = {k: n for k, n in inner.items() if n > 1} or inner
    level = min(k[0] for k in many)
    return max(((n, k[1]) for k, n in many.items() if k[0] == level))[1], []


def _sheet(path: Path) -> tuple[str, list[str]]:
    import fastexcel

    from workbench.lake.forms.books import measured

    with forms.opened(path, FORMATS["excel"]) as opened:
        data = opened.read()
    measured(path.name, data)
    try:
        book = fastexcel.read_excel(data)
        sizes = {n: book.load_sheet(n).height for n in book.sheet_names}
    except Exception as error:
        raise BadInput(f"{path.name} is not an Excel book that can be read ({str(error).splitlines()[0]}).") from None
    if not sizes:
        raise BadInput(f"{path.name} has no sheet.")
    first = next(iter(sizes))
    if len(sizes) == 1:
        return "", []
    return first, [
        f"The book has {len(sizes)} sheets ({', '.join(f'{n}: {c:,} rows' for n, c in sizes.items())}); {first} is taken. "
        "Write another into records, and map the others by themselves."
    ]
