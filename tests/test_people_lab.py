"""JupyterLab, as `workbench lab` starts it: its own token, and this machine only."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import urllib3


def test_lab_asks_for_its_own_token_and_listens_on_this_machine_only(tmp_path: Path) -> None:
    (tmp_path / "agency.toml").write_text('[agency]\nname = "Fairwater"\nzone = "America/Chicago"\n')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "lab.log"
    root = ["--allow-root"] if os.getuid() == 0 else []
    quiet = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER")}
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", "workbench.cli", "lab", "-w", str(tmp_path), "--", "--no-browser", f"--port={port}", *root],
                                   stdout=out, stderr=subprocess.STDOUT, env=quiet)
    try:
        end = time.monotonic() + 90
        address = re.compile(rf"http://127\.0\.0\.1:{port}/lab\?token=(\w{{32,}})")
        while not (found := address.search(log.read_text())) and time.monotonic() < end and process.poll() is None:
            time.sleep(0.2)
        assert found, log.read_text()
        http = urllib3.PoolManager(retries=False)
        contents = f"http://127.0.0.1:{port}/api/contents"
        assert http.request("GET", contents).status == 403
        assert http.request("GET", contents, headers={"Authorization": "token guessed"}).status == 403
        assert http.request("GET", contents, headers={"Authorization": f"token {found[1]}"}).status == 200
        listening = [line.split()[1] for name in ("tcp", "tcp6") if (file := Path("/proc/net") / name).exists() for line in file.read_text().splitlines()[1:]
                     if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")]
        assert listening == [f"0100007F:{port:04X}"]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
