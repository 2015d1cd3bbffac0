"""Which NIBRS offence is an agency's own code or wording? Tables in ``loaders/kit/codes``, read as SQL for the mapping of a source.

Three kinds of table: a code or wording as it stands (``by_code``), the leading digits of a code, the longest that fits first
(``by_prefix``), and an ordered list of patterns in the agency's wording, the first that fits (``by_words``). What no table has is
UNKNOWN, never a guess; ``wordings.csv`` also names what is no offence at all (found property, a collision) as UNKNOWN. The codes are
the NIBRS offence codes of the FBI's Criminal Justice Information Services (``nibrs.csv``); what an agency's code becomes was set here
by its wording, and where it is coarser than NIBRS the general code of the group is taken (all larceny: 23H).
"""

from __future__ import annotations

import csv
import hashlib
import re
from functools import cache, lru_cache
from importlib import resources

from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.loaders.kit.expressions import joined, quoted

UNKNOWN = "UNKNOWN"


def by_code(expr: str, name: str) -> str:
    """The code that table ``name`` has for a text, trimmed and compared exactly; null where it has none."""
    pairs = ", ".join(f"{quoted(k)}: {quoted(v)}" for k, v in table(name))
    return f"(map {{{pairs}}})[trim({expr})]"


def by_prefix(expr: str, name: str) -> str:
    """The code that table ``name`` has for the longest beginning of a text; null where it has none."""
    pairs = ", ".join(f"{quoted(k)}: {quoted(v)}" for k, v in table(name))
    lengths = sorted({len(k) for k, _ in table(name)}, reverse=True)
    return f"coalesce({', '.join(f'(map {{{pairs}}})[left(trim({expr}), {n})]' for n in lengths)})"


def by_words(*exprs: str, name: str = "wordings") -> str:
    """The code of the first pattern of table ``name`` that occurs in the wording: the texts given, in capitals, with ": " between them.
    Null where none does. Each wording is looked up once. The table's own edition stands in the SQL, so that a changed table is a changed mapping."""
    edition = hashlib.sha256(repr(table(name)).encode()).hexdigest()[:8]
    return f"nibrs_by_words({quoted(f'{name}#{edition}')}, upper({joined(': ', *exprs)}))"


@lru_cache(maxsize=100_000)
def worded(name: str, wording: str) -> str | None:
    """The code of the first pattern of table ``name`` that occurs in a wording in capitals; None where none does."""
    return next((code for pattern, code in _patterns(name.partition("#")[0]) if pattern.search(wording)), None)


def first(*tries: str) -> str:
    """The first of several that is not null, else UNKNOWN."""
    return f"coalesce({', '.join(tries)}, {quoted(UNKNOWN)})"


@cache
def _patterns(name: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), code) for pattern, code in table(name))


@cache
def codes() -> dict[str, str]:
    """NIBRS offence code -> name."""
    return dict(_rows("nibrs"))


@cache
def table(name: str) -> tuple[tuple[str, str], ...]:
    """(code or pattern, NIBRS code) pairs of one table, in its order.

    Raises:
        NotFound: there is no such table.
        BadInput: it names a code that NIBRS has not.
    """
    rows = _rows(name)
    for key, code in rows:
        if code != UNKNOWN and code not in codes():
            raise BadInput(f"Code table {name} gives {key!r} the NIBRS code {code!r}, which is none.{did_you_mean(code, codes())}")
    return rows


def tables() -> list[str]:
    """The names of the tables there are, sorted."""
    return sorted(f.name.removesuffix(".csv") for f in (resources.files(__package__) / "codes").iterdir() if f.name.endswith(".csv") and f.name != "nibrs.csv")


def _rows(name: str) -> tuple[tuple[str, str], ...]:
    file = resources.files(__package__) / "codes" / f"{name}.csv"
    if not file.is_file():
        raise NotFound(f"There is no code table {name!r}.{did_you_mean(name, tables())}")
    rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    next(rows)
    return tuple((key, code) for key, code in rows)
