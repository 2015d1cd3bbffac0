"""Pages of an answer as records: taken apart, compared with those before, and what comes next.

A page is CSV or JSON; its records become one JSON object a line, JSON ones exactly as they were written, CSV ones with their fields as text
(an empty one is null).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from workbench.errors import BadInput, did_you_mean
from workbench.intake.web import Answer, Broken
from workbench.lake.forms.documents import Document

csv.field_size_limit(1 << 26)
#: What servers call the parameters of paging; ``--name limit=per_page`` says another.
NAMES: dict[str, dict[str, str]] = {"socrata": {"limit": "$limit", "offset": "$offset"}, "offset": {}, "page": {}, "cursor": {}, "next": {}, "none": {}}
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')


@dataclass
class Row:
    """One record: its line of JSON and its members."""

    line: str
    members: dict[str, Any]

    def known_by(self, key: Sequence[str]) -> str:
        """A digest of the members of a key, of the whole record where it lacks one of them or there is no key."""
        about = json.dumps([self.members[k] for k in key], sort_keys=True) if key and all(self.members.get(k) is not None for k in key) else self.line
        return hashlib.sha256(about.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass
class Page:
    """The records of one answer.

    Args:
        rows: they.
        columns: what the answer itself declares, empty where it does not.
        types: column -> type, where Socrata declares them.
        document: its JSON.
    """

    rows: list[Row]
    columns: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    document: Any = None


def told(answer: Answer, records: str) -> Page:
    """An answer taken apart.

    Raises:
        Broken: it is cut off, or is a web page.
        BadInput: it is whole but has no records at that path.
    """
    kind, start = answer.headers.get("content-type", "").lower(), answer.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if "html" in kind or start == b"<":
        raise Broken("the server answered with a web page")
    path = urlsplit(answer.url).path.lower()
    as_csv = "csv" in kind or path.endswith(".csv") and "json" not in kind
    return _csv_page(answer) if as_csv and start not in (b"[", b"{") else _json_page(answer, records)


def _json_page(answer: Answer, records: str) -> Page:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Broken(f"the answer is cut off or is no JSON ({error})") from error
    if not records and isinstance(document, dict):
        lists = [k for k, v in document.items() if isinstance(v, list)]
        hint = f" Its lists are {', '.join(map(repr, lists))}: say --records {lists[0]}" if lists else f" It says: {json.dumps(document)[:200]}"
        raise BadInput(f"The answer is an object, not a list of records.{hint}")
    lines: list[str] = []
    Document(io.BytesIO(answer.body), "The answer").each(records, lines.append)
    rows = [Row(line, value if isinstance(value, dict) else {}) for line, value in ((x, json.loads(x)) for x in lines)]
    types = _declared(answer)
    return Page(rows, list(types), types, document)


def _declared(answer: Answer) -> dict[str, str]:
    """Columns and their types as Socrata's headers say them."""
    try:
        columns, types = (json.loads(answer.headers.get(f"x-soda2-{n}", "[]")) for n in ("fields", "types"))
        return dict(zip(map(str, columns), [*map(str, types), *[""] * len(columns)], strict=False))
    except (ValueError, TypeError):
        return {}


def unsure(answer: Answer) -> bool:
    """Whether an answer may be cut off without a sign of it: CSV that does not end with a line end, of a server that does not say how long it is."""
    return not answer.framed and bool(answer.body) and answer.body.lstrip()[:1] not in (b"[", b"{") and not answer.body.endswith((b"\n", b"\r"))


def _csv_page(answer: Answer) -> Page:
    try:
        text = answer.body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Broken(f"the answer is cut off or is no UTF-8 text ({error.reason})") from error
    try:
        table = [r for r in csv.reader(io.StringIO(text, newline=""), strict=True) if r]
    except csv.Error as error:
        raise Broken(f"the answer is cut off or is no CSV ({error})") from error
    if not table:
        return Page([])
    header = [c.strip() for c in table[0]]
    if any(len(r) != len(header) for r in table):
        raise Broken("the answer is cut off: a record has fewer or more fields than the header")
    members = [dict(zip(header, (v or None for v in r), strict=True)) for r in table[1:]]
    return Page([Row(json.dumps(m, ensure_ascii=False), m) for m in members], header, _declared(answer))


@dataclass
class Seen:
    """What the pages so far were like, kept between runs.

    Args:
        columns: declared columns.
        always: members that every record has had.
        kinds: member -> what its values have been: a value, a list, an object.
        last: the last page's records, each as its digest by key and as a whole.
    """

    columns: list[str] = field(default_factory=list)
    always: list[str] = field(default_factory=list)
    kinds: dict[str, list[str]] = field(default_factory=dict)
    last: list[list[str]] = field(default_factory=list)

    def check(self, page: Page, number: int) -> None:
        """Refuse a page that is not like those before it, and remember what it is like.

        Raises:
            BadInput: its columns are others, a member was renamed, or has become a list or an object.
        """
        if self.columns and page.columns and page.columns != self.columns:
            gone, new = sorted(set(self.columns) - set(page.columns)), sorted(set(page.columns) - set(self.columns))
            raise _changed(number, _differing(gone, new) or "its columns stand in another order")
        self.columns = self.columns or page.columns
        objects = [r.members for r in page.rows if r.members]
        if not objects:
            return
        here: dict[str, set[str]] = {}
        for members in objects:
            for name, value in members.items():
                here.setdefault(name, set()).update([_kind(value)] if value is not None else [])
        gone, new = sorted(set(self.always) - set(here)), sorted(set(here) - set(self.kinds))
        if self.kinds and gone and new:
            raise _changed(number, _differing(gone, new))
        for name, kinds in here.items():
            before = self.kinds.get(name, [])
            if before and kinds - set(before):
                raise _changed(number, f"{name!r} is {min(kinds - set(before))}, before it was {' or '.join(before)}")
            self.kinds[name] = sorted(kinds | set(before))
        common = set(objects[0]).intersection(*objects)
        self.always = sorted(common & set(self.always)) if self.always else sorted(common)

    def fresh(self, page: Page, key: Sequence[str], overlap: int) -> list[Row] | None:
        """The rows of a page that the last one did not have; None where pages overlap on purpose and this one does not join on.

        With a key, a row of the last page is left out unless it has changed meanwhile. Without one, rows that are alike may be different
        ones: then only what lies in the overlap is left out, or a page that is the last one whole.
        """
        here = [[r.known_by(key), r.known_by(())] for r in page.rows]
        known, whole = {d[0] for d in self.last}, {d[1] for d in self.last}
        if overlap and self.last:
            first = self._joint(here, known, bool(key))
            return None if first is None else [r for i, r in enumerate(page.rows) if i >= first or key and here[i][1] not in whole]
        if key:
            return [r for r, d in zip(page.rows, here, strict=True) if d[1] not in whole]
        return [] if here == self.last else page.rows

    def _joint(self, here: list[list[str]], known: set[str], keyed: bool) -> int | None:
        """Where in an overlapping page its own rows begin; None when it has none of the last page's rows."""
        mine, last = [d[0] for d in here], [d[0] for d in self.last]
        if keyed:
            return next((i + 1 for i in range(len(mine) - 1, -1, -1) if mine[i] in known), None)
        for n in range(1, min(len(mine), len(last)) + 1):
            if mine[:n] == last[-n:]:
                return n
        return next((i for i, d in enumerate(mine) if d not in known), len(mine)) or None

    def remember(self, page: Page, key: Sequence[str]) -> None:
        """Keep what the next page is compared with."""
        if page.rows:
            self.last = [[r.known_by(key), r.known_by(())] for r in page.rows]


def _changed(number: int, what: str) -> BadInput:
    return BadInput(f"Page {number} is not like those before it: {what}. Nothing was loaded; look at the feed, then begin anew with --again.")


def _differing(gone: list[str], new: list[str]) -> str:
    lacks, has = (", ".join(map(repr, names[:6])) for names in (gone, new))
    return f"it lacks {lacks}, it has {has}" if gone and new else f"it lacks {lacks}" if gone else f"it has {has}" if new else ""


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "a value"


def following(answer: Answer, page: Page, path: str) -> str:
    """The next link or cursor: the member at a path of the answer's JSON, without a path the Link header; "" at the end.

    Raises:
        BadInput: there is no such member.
    """
    if not path:
        found = _NEXT.search(answer.headers.get("link", ""))
        return found[1] if found else ""
    value = page.document
    for step in path.split("."):
        if not isinstance(value, dict):
            return ""
        if step not in value and value is page.document:
            if not page.rows:
                return ""
            raise BadInput(f"The answer has no member {step!r}, so no next page at {path!r}.{did_you_mean(step, value)}")
        value = value.get(step)
    return "" if value in (None, False, "") else str(value)


def with_query(url: str, **values: str | int) -> str:
    """An address with some parameters set; those of the same name that it had are replaced."""
    parts = urlsplit(url)
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in values]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode([*kept, *((k, str(v)) for k, v in values.items())], safe="$:"), ""))


def query(url: str, name: str) -> str:
    """The value of a parameter, "" when the address has none of that name."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).get(name, "")
