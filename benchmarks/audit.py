"""What does the audit cost a query, how many entries does it take a minute from eight processes, and how long does it take to verify a million?"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.process import in_turn, measure

TITLE = "Audit: a hash chain of every access, on the disk before the access"
ROWS = int(os.environ.get("WORKBENCH_AUDIT_ROWS", "1000000"))
EACH, WRITERS = 1000, 8

_WORKBENCH = """
from workbench.oversight.audit import Audit, Person
from pathlib import Path
audit, person = Audit(Path(sys.argv[1])), Person("ann", "2026-0142", "investigation", "van seen at the Oak Street burglary", role="detective")
def deed(i):
    with audit.deed(person, "query", "reads", plate=f"P{i}", start="2026-05-01", end="2026-06-01") as outcome:
        outcome["rows"] = i
"""
# The same two rows, durable as well, without any chain: what SQLite itself costs.
_PLAIN = """
import json, sqlite3
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute("pragma journal_mode=wal"); db.execute("pragma synchronous=full")
db.execute("create table if not exists entries(seq integer primary key, at text, deed text, phase text, user text, host text, action text, object text, "
           "detail text)")
def deed(i):
    for phase in ("intent", "done"):
        db.execute("insert into entries(at, deed, phase, user, host, action, object, detail) values (?, ?, ?, 'ann', 'host', 'query', 'reads', ?)",
                   (str(time.time()), str(i), phase, json.dumps({"plate": f"P{i}"})))
"""
# The store as it was before: a connection for every entry, one hash over clear text.
_BEFORE = """
import hashlib, json, sqlite3, socket, os
def write(i, phase):
    db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
    db.execute("pragma journal_mode=wal"); db.execute("pragma synchronous=full")
    db.execute("create table if not exists entries(seq integer primary key, at text, deed text, phase text, user text, host text, action text, object text, "
               "detail text, previous text, hash text)")
    db.execute("begin immediate")
    last = db.execute("select seq, hash from entries order by seq desc limit 1").fetchone() or (0, "0" * 64)
    row = (last[0] + 1, str(time.time()), str(i), phase, "ann", socket.gethostname(), "query", "reads", json.dumps({"plate": f"P{i}"}))
    db.execute("insert into entries values (?,?,?,?,?,?,?,?,?,?,?)", (*row, last[1], hashlib.sha256((last[1] + json.dumps(row)).encode()).hexdigest()))
    db.execute("commit"); db.close()
def deed(i):
    write(i, "intent"); write(i, "done")
"""
_TIMED = """
deed(0)
times = []
for i in range(1, int(sys.argv[2]) + 1):
    start = time.perf_counter(); deed(i); times.append(time.perf_counter() - start)
print(" ".join(map(str, times)))
"""
_METHODS = {"workbench Audit.deed": _WORKBENCH, "store as it was (no salts, a connection each)": _BEFORE, "sqlite3 insert, no chain": _PLAIN}


def deeds(code: str, writers: int, each: int) -> tuple[float, list[float]]:
    """Wall seconds for so many deeds from so many processes at once (start and imports left out), and every single time, sorted."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-c", "import sys, time\n" + code + _TIMED, str(Path(home) / "audit.db"), str(each)]
        environment = {**os.environ, "PYTHONPATH": os.getcwd()}
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) for _ in range(writers)]
        times: list[float] = []
        longest = 0.0
        for one in running:
            out, err = one.communicate(timeout=600)
            if one.returncode:
                raise RuntimeError(err[-600:])
            mine = [float(t) for t in out.split()]
            longest = max(longest, sum(mine))
            times += mine
    return longest, sorted(times)


def million(home: Path, rows: int) -> Path:
    """A store of so many entries, as the workbench writes them but in one transaction."""
    from workbench.oversight import chain, store
    from workbench.oversight.audit import Audit, Person, entry

    audit, person = Audit(home / "audit.db"), Person("ann", "2026-0142", "investigation", "van seen at the Oak Street burglary", role="detective")
    with audit.opened() as db:
        db.execute("begin immediate")
        previous, own = chain.START, chain.START
        for seq in range(1, rows + 1):
            values, key = entry(person, "query", "reads", "intent", None, {"plate": f"P{seq}", "start": "2026-05-01", "end": "2026-06-01"}), os.urandom(32)
            seal, fields = chain.commit(key, values)
            own = chain.link(previous, seq, seal, fields)
            db.execute(store.INSERT, (seq, *values, key, seal, fields, previous, own, None))
            previous = own
        db.execute("insert or replace into head values (1, ?, ?, ?)", (rows, own, values[0]))
        db.execute("commit")
    store.close_all()
    return audit.file


def run(rows: int = ROWS, each: int = EACH) -> list[dict[str, Any]]:
    """One row a figure."""
    out: list[dict[str, Any]] = []
    for method, code in _METHODS.items():
        _, times = deeds(code, 1, each)
        note = f"median; p99 {times[int(0.99 * len(times))] * 1000:.1f} ms, slowest {times[-1] * 1000:.1f} ms"
        out.append({"task": "intent and outcome of one query, both on the disk (in seconds)", "method": method, "seconds": [times[len(times) // 2]],
                    "cpu_seconds": None, "memory_mb": None, "note": note})
    for method, code in _METHODS.items():
        seconds, times = deeds(code, WRITERS, each // 4)
        minute = 2 * len(times) / seconds * 60
        out.append({"task": f"{2 * WRITERS * (each // 4):,} entries from {WRITERS} processes at once", "method": method, "seconds": [seconds],
            "cpu_seconds": None,
                    "memory_mb": None, "note": f"{minute:,.0f} entries a minute; one query waited p99 {times[int(0.99 * len(times))] * 1000:.0f} ms, "
                                               f"at most {times[-1] * 1000:.0f} ms"})
    with tempfile.TemporaryDirectory() as home:
        file = million(Path(home), rows)
        task = f"{rows:,} entries, a file of {file.stat().st_size / 1e6:,.0f} MB, a process of its own"
        check = ("import sys; from pathlib import Path; from workbench.oversight.audit import Audit; "
                 "found, said = Audit(Path(sys.argv[1])).check(processes={}); assert not found, found[:3]")
        both, one = (check.format(n) for n in ("None", "1"))
        read = ("import sqlite3, sys; db = sqlite3.connect(sys.argv[1])\nfor row in db.execute('select * from entries order by seq'): pass")
        out += in_turn(3, lambda: measure(task, "workbench Audit.verify", both, str(file), repeats=1, note="every entry and link recomputed"),
                       lambda: measure(task, "the same, one process", one, str(file), repeats=1),
                       lambda: measure(task, "sqlite3: reading the rows only", read, str(file), repeats=1, note="nothing checked"))
    return out


def main() -> None:
    """A quick look: time a verification of rows made once, in a folder named on the command line."""
    home = Path(sys.argv[1])
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    start = time.perf_counter()
    file = million(home, ROWS)
    print(f"made in {time.perf_counter() - start:.1f} s, {file.stat().st_size / 1e6:,.0f} MB; SQLite {sqlite3.sqlite_version}")


if __name__ == "__main__":
    main()
