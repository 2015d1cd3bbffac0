"""What the gate adds to a query: the same question with and without it, in one process, for a role that sees all, one with a limit of age, one with masks."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from workbench import agency as agencies
from workbench import gate, workspace
from workbench.session import open_workbench

TITLE = "The gate: what policy, masks and audit add to a query of the made-up city"
RUNS = 15
_ROLES = """[roles]
all = { tables = ["*"], unmasked = ["*"] }
aged = { tables = ["*"], unmasked = ["*"], days = { incidents = 3650 } }
masked = { tables = ["*"] }
[access]
default_role = "all"
people = { aged = "aged", masked = "masked" }
"""
_QUERY = "select beat, count(*) n from incidents group by beat"


def _times(ask: Callable[[], Any]) -> list[float]:
    ask()
    out = []
    for _ in range(RUNS):
        start = time.perf_counter()
        ask()
        out.append(time.perf_counter() - start)
    return out


def run() -> list[dict[str, Any]]:
    """The rows of the table."""
    folder = Path(tempfile.mkdtemp(prefix="gate-")) / "city"
    try:
        workspace.create(folder, sample=True)
        workspace.load_sample(folder)
        text = (folder / agencies.FILE).read_text(encoding="utf-8")
        (folder / agencies.FILE).write_text(text[: text.index("[roles]")] + _ROLES, encoding="utf-8")
        cities = {role: open_workbench(folder, user=role) for role in ("all", "aged", "masked")}
        whole = cities["all"]
        rows = []
        for task, bare, ask in (
            ("one SELECT over incidents", lambda c: c._counted.query(_QUERY, versions=c.versions), lambda c: c.sql(_QUERY)),
            ("policy and relation alone", lambda c: c._counted.relation_sql("incidents", c.versions), lambda c: c.lake.relation_sql("incidents", c.versions)),
        ):
            for role, city in cities.items():
                rows.append({"task": task, "method": f"workbench, role {role}", "seconds": _times(partial(ask, city))})
            rows.append({"task": task, "method": "the lake without a gate", "seconds": _times(partial(bare, whole))})
        rows.append({"task": "reading the query: which tables it names", "method": "workbench", "seconds": _times(partial(gate.tables_in, _QUERY))})
        audit = _times(lambda: whole.audit.write(whole.person, "query", "incidents"))
        rows.append({"task": "one entry of the audit", "method": "workbench", "seconds": audit, "note": "a query writes two"})
        return rows
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)
