"""How long after a sender posts an event does another process see it, at 50 events a second through the watcher's webhook?"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

TITLE = "Live: event posted to visible in another process, 50 events a second"
RATE = 50

# Asks the newest state for what it has not seen, again and again, and says when it first saw each event (CLOCK_MONOTONIC is one clock for all).
READER = """
import sys, time
from pathlib import Path
from workbench.lake import Lake
lake, seen, newest = Lake(Path(sys.argv[1])), set(), 0
print("UP", flush=True)
wanted, position = int(sys.argv[2]), None
deadline = time.monotonic() + float(sys.argv[3])
while len(seen) < wanted and time.monotonic() < deadline:
    versions = lake.versions()
    if versions.get("journal") == position:
        time.sleep(0.005)
        continue
    position = versions.get("journal")
    fresh = lake.frame("reads", versions, where="line > ?", params=[newest])
    now = time.monotonic()
    newest = max(newest, fresh["line"].max() or 0)
    for one in set(fresh["read_id"]) - seen:
        seen.add(one)
        print(one, now, flush=True)
"""


def workspace(home: Path, config: str = "") -> tuple[Path, int]:
    """A workspace with a webhook for the made-up city's reads; gives its folder and port."""
    from workbench import workspace as workspaces

    folder = home / "city"
    workspaces.create(folder, name="Bench", zone="America/Chicago")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    (folder / "watch.toml").write_text(f"[server]\nport = {port}\n{config}\n[[webhook]]\nsource = \"sample_reads\"\n", encoding="utf-8")
    return folder, port


def event(number: int) -> dict[str, str]:
    """A read of an invented plate."""
    return {"Read ID": f"E{number:08d}", "Plate": f"ZZ{number % 10_000:04d}", "State": "IA", "Camera": f"FW-{number % 20}", "Location": "MAIN ST",
            "Read Time": f"2026-07-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}-05:00", "Confidence": "0.91", "Heading": "90",
            "Make": "NORVELL", "Color": "WHITE", "Latitude": "41.57", "Longitude": "-90.91"}


def measured(seconds: float, *, rate: int = RATE, config: str = "") -> dict[str, Any]:
    """Send at a rate for some seconds; gives latencies in seconds from the POST sent to visible in another process, and to the answer."""
    total = int(seconds * rate)
    sent: list[float] = [0.0] * total
    answered: list[float] = [0.0] * total
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with tempfile.TemporaryDirectory() as home:
        folder, port = workspace(Path(home), config)
        with (Path(home) / "watch.log").open("w") as log:
            watcher = subprocess.Popen([sys.executable, "-m", "workbench.cli", "watch", "-w", str(folder)], stdout=log, stderr=log, env=environment)
        wait_for(port, watcher)
        token = (folder / "watch.token").read_text().strip()
        reader = subprocess.Popen([sys.executable, "-c", READER, str(folder / "lake"), str(total), str(seconds + 60)], stdout=subprocess.PIPE, text=True,
                                  env=environment)
        assert reader.stdout is not None and reader.stdout.readline() == "UP\n"
        begun = time.monotonic() + 0.2

        def send(which: int, senders: int) -> None:
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            for number in range(which, total, senders):
                time.sleep(max(0.0, begun + number / rate - time.monotonic()))
                body = json.dumps(event(number))
                sent[number] = time.monotonic()
                connection.request("POST", "/in/sample_reads", body, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                answered[number] = time.monotonic()
                if answer.status != 200:
                    raise RuntimeError(f"the watcher answered {answer.status}")

        senders = [threading.Thread(target=send, args=(which, 8)) for which in range(8)]
        for sender in senders:
            sender.start()
        seen = {line.split()[0]: float(line.split()[1]) for line in reader.stdout}
        for sender in senders:
            sender.join()
        reader.wait(timeout=60)
        used = _cpu(watcher.pid)
        watcher.send_signal(signal.SIGTERM)
        watcher.wait(timeout=60)
        said = (Path(home) / "watch.log").read_text()
    visible = [seen[f"E{n:08d}"] - sent[n] for n in range(total) if f"E{n:08d}" in seen]
    return {"total": total, "missing": total - len(visible), "visible": sorted(visible), "answered": sorted(a - s for a, s in zip(answered, sent, strict=True)),
            "cpu": used, "folds": said.count(" folded in "), "code": watcher.returncode}


def wait_for(port: int, watcher: subprocess.Popen[bytes]) -> None:
    """Until the webhook answers."""
    for _ in range(400):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
            return
        except OSError:
            if watcher.poll() is not None:
                raise RuntimeError("the watcher did not start") from None
            time.sleep(0.05)
    raise RuntimeError("the watcher did not answer")


def share(values: list[float], part: float) -> float:
    """A quantile of sorted values."""
    return values[min(len(values) - 1, int(part * len(values)))]


def run(seconds: float | None = None) -> list[dict[str, Any]]:
    """One row a figure; $WORKBENCH_LIVE_SECONDS (default 60) is how long."""
    found = measured(seconds or float(os.environ.get("WORKBENCH_LIVE_SECONDS", "60")))
    if found["missing"]:
        raise RuntimeError(f"{found['missing']} events were never seen")
    note = f"{found['total']:,} events, {found['folds']} folds meanwhile, watcher used {found['cpu']:.1f} s of CPU"
    rows = [("visible, median", share(found["visible"], 0.5)), ("visible, p99", share(found["visible"], 0.99)), ("visible, slowest", found["visible"][-1]),
            ("answered 200, median", share(found["answered"], 0.5)), ("answered 200, p99", share(found["answered"], 0.99))]
    return [{"task": "50 events a second, one POST each", "method": f"workbench watch: {what}", "seconds": [value], "cpu_seconds": None, "memory_mb": None,
             "note": note if n == 0 else ""} for n, (what, value) in enumerate(rows)]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    for row in run():
        print(f"{row['method']:45} {row['seconds'][0] * 1000:7.0f} ms  {row['note']}")
