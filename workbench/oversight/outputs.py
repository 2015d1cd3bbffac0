"""Which files of ``out/`` go with the next purge because of their age?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from workbench import agency as agencies
from workbench.oversight import retention


def due(path: str | Path, now: datetime | None = None, *, days: float = 0.0) -> list[tuple[str, str]]:
    """Files of ``out/`` beyond the limit of outputs when the purge runs ``days`` after ``now``, each with the limit that says so. Files that hold values
    of rows that go are found by the purge itself, which reads them."""
    folder = Path(path)
    limit = retention.policy(agencies.read(folder)).limits.get("outputs")
    if limit is None:
        return []
    before = ((now or datetime.now(UTC)) + timedelta(days=days) - limit.span).timestamp()
    files = sorted(f for f in (folder / "out").rglob("*") if f.is_file() and f.stat().st_mtime < before)
    return [(str(f.relative_to(folder)), f"beyond {retention.spoken(limit.span)} ({limit.source})") for f in files]
