"""The raw text of a rejected record without the names that its source only keeps as hashes.

A source that hashes a raw column (``expressions.keyed_hash``: the author of a post) must not leave its values in the rejects. So the raw text of
its rejects is written with each such value as ``hash:`` and the hash that a row would have got, which ``keyed_hash`` takes for what it is when the
record is mended and comes back. Columns that the source does not take are left out, since they may hold the name once more, and a record
that cannot be taken apart is not kept at all. Free text stays as it is, as it does in the rows.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.lake.filling import Filling
from workbench.loaders import Source
from workbench.loaders.kit.expressions import BLANKS, HASHED, SALT, column, quoted

#: What the text that stands for a record that cannot be taken apart begins with; its hash follows, so that two of them can be told apart.
NOT_KEPT = "(not kept, since it may hold a name that is only kept as a hash; see this line of the file; "
#: Words of the expressions' own SQL, which are columns only in quotation marks.
_WORDS = frozenset(("and", "case", "else", "end", "in", "is", "not", "null", "or", "then", "when"))
_OPEN = re.compile(re.escape(HASHED) + "[0-9a-f]{32}")


class Mask:
    """What hides the names in the raw text of one source's records.

    Args:
        source: whose.
        fill: the load's own values, which know the lake's secret.
    """

    def __init__(self, source: Source, fill: Filling) -> None:
        hashed = [sql for part in source.parts for sql in part.columns.values() if SALT in sql]
        taken = (*source.columns, *source.optional)
        self.hidden = frozenset(c for c in taken if any(_names(c, sql) for sql in hashed))
        self._names = {_folded(n): c for c in reversed(taken) for n in (c, *source.also.get(c, ()))}
        self._salt = fill(SALT) if self.hidden else ""

    def __bool__(self) -> bool:
        return bool(self.hidden)

    def record(self, raw: str) -> str:
        """A JSON record."""
        try:
            value = json.loads(raw, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return self.lost(raw)
        if not isinstance(value, dict):
            return self.lost(raw)
        kept = {n: self._names[_folded(n)] for n in value if _folded(n) in self._names}
        shown = json.loads(raw)
        return json.dumps({n: self._leaves(value[n]) if c in self.hidden else shown[n] for n, c in kept.items()}, ensure_ascii=False)

    def row(self, raw: str, header: Sequence[str], delimiter: str) -> str:
        """A CSV record under its header."""
        try:
            rows = list(csv.reader(io.StringIO(raw, newline=""), delimiter=delimiter))
        except csv.Error:
            return self.lost(raw)
        if len(rows) != 1 or len(rows[0]) != len(header):
            return self.lost(raw)
        out = io.StringIO()
        known = [self._names.get(_folded(n)) for n in header]
        csv.writer(out, delimiter=delimiter, lineterminator="").writerow(
            "" if c is None else self._cell(v) if c in self.hidden else v for c, v in zip(known, rows[0], strict=True))
        return out.getvalue()

    def lost(self, raw: str) -> str:
        """What stands for a record that cannot be taken apart."""
        return f"{NOT_KEPT}{self._hash(raw)})"

    def lost_sql(self) -> str:
        """The same of a column ``raw``, as SQL."""
        return f"{quoted(NOT_KEPT + HASHED)} || left(sha256({quoted(self._salt)} || chr(31) || raw), 32) || ')'"

    def text(self, raw: str) -> str:
        """A text that is all a name."""
        trimmed = raw.strip(" ")
        return raw if trimmed in BLANKS or _OPEN.fullmatch(trimmed) else self._hash(trimmed)

    def _hash(self, text: str) -> str:
        return HASHED + hashlib.sha256(f"{self._salt}\x1f{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _cell(self, value: str) -> str:
        """A field, which may hold JSON as a whole."""
        if value.lstrip()[:1] in ("{", "["):
            try:
                return json.dumps(self._leaves(json.loads(value, parse_int=str, parse_float=str)), ensure_ascii=False)
            except (ValueError, RecursionError):
                return self.text(value)
        return self.text(value)

    def _leaves(self, value: Any) -> Any:
        """A JSON value with every text and number in it hidden."""
        if isinstance(value, Mapping):
            return {n: self._leaves(v) for n, v in value.items()}
        if isinstance(value, list):
            return [self._leaves(v) for v in value]
        return self.text(value) if isinstance(value, str) else value


def _names(raw: str, sql: str) -> bool:
    """Whether an expression looks at a raw column, written in quotation marks or, where SQL lets it, without."""
    bare = rf'|(?<![\w"\']){re.escape(raw)}(?![\w"\'(])' if raw.isidentifier() and raw.lower() not in _WORDS else ""
    return re.search(re.escape(column(raw)) + bare, sql) is not None


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold()) or name
