"""What was known when: the moment of knowledge among pinned versions, and what it leaves of a table.

Versions may carry the key "known" (microseconds since 1970, UTC) beside the tables and the journal's position. Whoever reads with such versions sees
of each key the latest edition that was recorded at that moment or before, by the lake's own rule (``revised_at``, ``recorded_at``, line), and nothing
recorded later: rows, rejects, what became of rejects, and the ledger. Every edition is kept whatever is loaded, folded or compacted, so the answer
does not rest on old Delta versions. A batch that came in live stands in the ledger from the moment it was folded; its rows count from when each came in.

Cost: a window over every edition of the table, where the ordinary view reads lists of superseded rows instead. Without the key nothing is
done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from workbench import schema
from workbench.engines.duckdb import name
from workbench.errors import BadInput

#: The key of the moment among pinned versions.
KEY = "known"
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def moment(versions: Mapping[str, int]) -> datetime | None:
    """The moment that versions carry, UTC; None where they show what is known now."""
    found = versions.get(KEY)
    return None if found is None else _FIRST + timedelta(microseconds=found)


def at(versions: Mapping[str, int], when: datetime) -> dict[str, int]:
    """The same versions as they were known at an aware time."""
    return {**versions, KEY: (when - _FIRST) // timedelta(microseconds=1)}


def check(value: Any) -> None:
    """Raise BadInput where a moment is no whole number of microseconds, or lies in the future."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise BadInput(f"The versions say known = {value!r}, which is no moment; it is microseconds since 1970, as city.known(...) makes it.")
    when = _FIRST + timedelta(microseconds=value)
    if when > datetime.now(UTC):
        raise BadInput(f"Known at {when:%Y-%m-%d %H:%M:%S} UTC lies in the future: what will be known then cannot be told. Give a moment that has passed.")


def current(table: str, editions: str, versions: Mapping[str, int], *, history: bool) -> str:
    """SQL of what was known of a table, out of SQL of its every edition; with ``history`` every edition that had been recorded by then."""
    told = f"select * from ({editions}) where recorded_at <= make_timestamp({int(versions[KEY])}) at time zone 'UTC'"
    if history or table not in schema.TABLES:
        return told
    about = schema.table(table)
    revised = ["revised_at desc nulls last"] if "revised_at" in about.columns else []
    order = ", ".join([*revised, "recorded_at desc", "line desc"])
    return f"{told} qualify row_number() over (partition by {', '.join(name(k) for k in about.key)} order by {order}) = 1"
