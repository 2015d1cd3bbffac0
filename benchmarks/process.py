"""A piece of Python timed as a whole process: wall, CPU and peak memory, start and imports included.

The peak is what the process itself says at its end: the kernel's figure for a child begins with what its parent held.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

_PEAK = """import atexit as _atexit, os as _os
_atexit.register(lambda: open(_os.environ["BENCHMARK_PEAK"], "w").write(next(l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM"))))
"""


def measure(task: str, method: str, code: str, *arguments: str, repeats: int = 3, note: str = "", python: str = sys.executable) -> dict[str, Any]:
    """Run ``python -c code arguments...`` a few times, one process after the other, and give a row of the results.

    Args:
        task, method: name the row.
        code: Python source; ``sys.argv[1:]`` are the arguments.
        python: which Python runs it.
        repeats: how often; every repetition is kept, the table shows the median.

    Raises:
        RuntimeError: the code failed; its last lines are given.
    """
    wall, cpu, peak = [], [], 0.0
    for _ in range(repeats):
        with tempfile.NamedTemporaryFile("r", suffix=".peak") as noted:
            environment = {**os.environ, "PYTHONPATH": os.getcwd(), "BENCHMARK_PEAK": noted.name}
            start = time.perf_counter()
            child = subprocess.Popen([python, "-c", _PEAK + code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
            said = child.stderr.read().decode(errors="replace") if child.stderr else ""
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise RuntimeError(f"{method} failed:\n" + "\n".join(said.splitlines()[-8:]))
            wall.append(time.perf_counter() - start)
            cpu.append(used.ru_utime + used.ru_stime)
            peak = max(peak, int(noted.read() or 0) / 1024)
    return {"task": task, "method": method, "seconds": wall, "cpu_seconds": cpu, "memory_mb": peak, "note": note}


def in_turn(rounds: int, *measured: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of several methods, each run once in every round, so that a machine that is faster at one time than at another is so for all."""
    rows = [call() for call in measured]
    for _ in range(rounds - 1):
        for row, call in zip(rows, measured, strict=True):
            again = call()
            row["seconds"] += again["seconds"]
            row["cpu_seconds"] += again["cpu_seconds"]
            row["memory_mb"] = max(row["memory_mb"], again["memory_mb"])
    return rows
