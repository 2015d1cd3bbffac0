"""How models say numbers, lengths of time and times."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workbench.errors import BadInput


def several(n: int, one: str, many: str = "") -> str:
    """ "1 scene", "3 scenes", "1,204 scenes"; ``many`` for words that do not just take an s."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def said(length: timedelta) -> str:
    """A length of time in words: "7 days", "1 day", "36 hours", "30 minutes"."""
    seconds = length.total_seconds()
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size and seconds % size == 0:
            return several(int(seconds // size), word)
    return f"{seconds / 86400:.1f} days" if seconds >= 86400 else f"{seconds / 60:.1f} minutes"


def rounded(p: float) -> str:
    """A p-value behind the letter p: "= 0.012", "under 0.001"."""
    return f"= {p:.3f}" if p >= 0.001 else "under 0.001"


def local(at: datetime, zone: str) -> str:
    """A time in a zone's wall clock, the hour left out at midnight.

    Raises:
        BadInput: unknown zone.
    """
    try:
        there = at.astimezone(ZoneInfo(zone))
    except OverflowError:  # the first or last day of all
        there = at
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise BadInput(f"Time zone {str(zone)[:60]!r} is not known; write e.g. 'America/Chicago' or 'UTC'.") from None
    return f"{there:%Y-%m-%d}" if (there.hour, there.minute) == (0, 0) else f"{there:%Y-%m-%d %H:%M}"
