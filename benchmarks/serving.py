"""What does it cost to ask a server instead of the files: a small query, and a long frame of reads?

Server and client are two processes on one machine; a local workbench in the client's process is the peer. Frames a second is one over the
seconds of the small query.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import workbench as wb
from benchmarks.lake import SOURCE, generate
from workbench import workspace
from workbench.lake import Lake
from workbench.serving.tokens import Tokens

TITLE = "A server of frames against the files themselves: a small query, and a million reads"
ROWS, REPEATS = 1_000_000, 15
_WHY: dict[str, Any] = {"case": "2026-0142", "purpose": "investigation", "reason": "how fast frames of reads come from the server"}


def _timed(task: str, method: str, call: Callable[[], Any], note: Callable[[Any, float], str], repeats: int = REPEATS) -> dict[str, Any]:
    """A row of the results: the call run warm a few times."""
    found, seconds, cpu = call(), [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        found = call()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return {"task": task, "method": method, "seconds": seconds, "cpu_seconds": cpu, "memory_mb": None, "note": note(found, sorted(seconds)[len(seconds) // 2])}


def _rate(frame: Any, seconds: float) -> str:
    return f"{frame.estimated_size() / 1e6:,.0f} MB, {frame.estimated_size() / 1e6 / seconds:,.0f} MB/s, {frame.height / seconds:,.0f} rows/s"


def _small(frame: Any, seconds: float) -> str:
    return f"{1 / seconds:,.1f} frames/s"


def run() -> list[dict[str, Any]]:
    """Run it."""
    with tempfile.TemporaryDirectory() as home:
        folder, out = Path(home) / "city", []
        workspace.create(folder, name="Bench", zone="America/Chicago")
        generate(Path(home) / "reads.parquet", ROWS)
        Lake(folder / "lake").load(SOURCE, Path(home) / "reads.parquet")
        token = Tokens(folder).make("bench")
        for url in (f"grpc+unix://{home}/w.sock", "grpc://127.0.0.1:0"):
            command = [sys.executable, "-m", "workbench.cli", "serve", "-w", str(folder), "--frames-only", url]
            environment = os.environ | {"PYTHONPATH": os.getcwd()}
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
            try:
                said = server.stdout.readline() if server.stdout else ""
                if not said.startswith("Frames are at "):
                    raise RuntimeError("The server did not start.")
                far = wb.open_workbench(said.split()[3], token=token, **_WHY)
                here = wb.open_workbench(folder, **_WHY)
                kind = "local socket" if "unix" in url else "loopback TCP"
                for method, city in (("workbench, local files", here), (f"workbench, {kind}", far)):
                    out.append(_timed(f"a small query: the reads of one reader in one hour, counted ({kind})", method, lambda c=city: c.sql(  # type: ignore[misc]
                        "select count(*) n from reads where reader = 'R007' and read_at between '2026-02-15 10:00Z' and '2026-02-15 11:00Z'"), _small))
                for method, city in (("workbench, local files", here), (f"workbench, {kind}", far)):
                    out.append(_timed(f"{ROWS:,} reads as one frame ({kind})", method, lambda c=city: c.sql("select * from reads"), _rate, 5))  # type: ignore[misc]
                far.close()  # type: ignore[attr-defined]
            finally:
                server.terminate()
                server.wait(40)
        return out
