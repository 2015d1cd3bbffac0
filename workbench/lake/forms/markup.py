"""XML documents taken apart: the elements of one tag, one record each.

Read by expat as a stream, so that only the record under way is held. A document type declaration is refused, and with it every entity that could
swell ("billion laughs") or reach for a file; nothing outside the document is ever read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from workbench.errors import BadInput, did_you_mean
from workbench.lake.forms.documents import CHUNK, Readable

#: Elements may lie this deep in one another, and one record may hold this many characters.
DEPTH, LONGEST = 200, 1 << 26
_NIL = ("nil", "true")


class Markup:
    """An XML document that is read from front to end.

    Args:
        stream: its bytes, unpacked.
        name: of the file, for messages.
    """

    def __init__(self, stream: Readable, name: str) -> None:
        self._stream, self._name = stream, name
        self._tag, self._count, self._depth, self._held = "", 0, 0, 0
        self._take: Callable[[str], object] = lambda record: None
        self._open: list[tuple[str, dict[str, Any], list[str]]] = []
        self._seen: dict[str, None] = {}

    def each(self, tag: str, take: Callable[[str], object]) -> int:
        """Give every element of a tag to ``take`` as one line of JSON; returns how many. One pass.

        Child elements become members, attributes members "@name", the text of an element that has either "#text"; an element of text alone is
        that text, an empty one null, one that is repeated a list. Namespaces are left out. An element of the tag inside another is part of it.

        Args:
            tag: name of the element, e.g. "incident"; "" = every child of the outermost element.
            take: is given one record.

        Raises:
            BadInput: the document is damaged, cut off, declares a document type, or has no such element.
        """
        self._tag, self._take = tag.split(":")[-1], take
        parser = expat.ParserCreate(namespace_separator="\n")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = self._start, self._end, self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        try:
            while block := self._stream.read(CHUNK):
                parser.Parse(block, False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            said = expat.errors.messages.get(error.code, str(error))
            raise BadInput(f"{self._name} is cut off or is no XML that can be read: {said} on line {error.lineno}; nothing was loaded.") from error
        except (LookupError, UnicodeDecodeError, ValueError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{self._name} is in an encoding that cannot be read ({error}); save it as UTF-8. Nothing was loaded.") from error
        if tag and not self._count:
            raise BadInput(f"{self._name} has no element {tag!r}.{did_you_mean(tag, self._seen)} Nothing was loaded.")
        return self._count

    def _doctype(self, name: str, system: str | None, public: str | None, internal: bool) -> None:
        raise BadInput(f"{self._name} declares a document type (<!DOCTYPE {name}>), with which a file can swell without end or reach for others; nothing was "
                       "loaded. Take that declaration out, or export without it.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH:
            raise BadInput(f"{self._name} has elements more than {DEPTH} deep in one another; nothing was loaded.")
        local = _local(name)
        if not self._open:
            if len(self._seen) < 1000:
                self._seen[local] = None
            if not (local == self._tag if self._tag else self._depth == 2):
                return
            self._held = 0
        values: dict[str, Any] = {f"@{_local(n)}": v for n, v in attributes.items()}
        self._weigh(sum(map(len, attributes.values())) + len(local))
        self._open.append((local, values, []))

    def _text(self, text: str) -> None:
        if self._open:
            self._weigh(len(text))
            self._open[-1][2].append(text)

    def _weigh(self, more: int) -> None:
        self._held += more
        if self._held > LONGEST:
            raise BadInput(f"{self._name} has a record of more than {LONGEST:,} characters; nothing was loaded. Is {self._tag!r} the right element?")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if not self._open:
            return
        local, values, texts = self._open.pop()
        text = "".join(texts).strip()
        if not self._open:
            if text:
                values["#text"] = text
            self._take(json.dumps(values, ensure_ascii=False))
            self._count += 1
            return
        value: Any = values
        if not values or tuple(values.items()) == (("@" + _NIL[0], _NIL[1]),):
            value = text or None
        elif text:
            values["#text"] = text
        above = self._open[-1][1]
        if local not in above:
            above[local] = value
        elif isinstance(above[local], _Several):
            above[local].append(value)
        else:
            above[local] = _Several([above[local], value])


class _Several(list[Any]):
    """The values of an element that is repeated."""


def _local(name: str) -> str:
    return name.rsplit("\n", 1)[-1]
