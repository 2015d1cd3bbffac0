"""Several processes on one workspace at once: two loaders, a served app and a notebook kernel. No error, no lost row."""

from __future__ import annotations

import csv
import gzip
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from workbench import workspace

pytestmark = pytest.mark.browser


def _split(file: Path, folder: Path, parts: int) -> list[Path]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        head, *records = list(csv.reader(text))
    out = []
    for k in range(parts):
        out.append(folder / f"{file.name.split('.')[0]}-{k}.csv")
        with open(out[-1], "w", encoding="utf-8", newline="") as target:
            csv.writer(target).writerows([head, *records[k::parts]])
    return out


def _start(*args: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "workbench.cli", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


KERNEL = """
import workbench as wb
city = wb.open_workbench({path!r}, case="2026-0142", purpose="investigation", reason="who was near the scenes")
seen = []
for _ in range(8):
    city.refresh()
    seen.append((city.incidents().height, city.calls().height, city.sql("select count(*) n from incidents")["n"][0]))
assert all(a[0] == a[2] for a in seen), seen
assert seen == sorted(seen), seen
print("KERNEL OK", seen[-1])
"""


def _kernel(path: Path, connection: Path) -> Any:
    from jupyter_client.manager import KernelManager

    manager = KernelManager(connection_file=str(connection))
    manager._kernel_spec = __import__("jupyter_client.kernelspec", fromlist=["KernelSpec"]).KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python", display_name="test")
    manager.start_kernel()
    return manager


def test_two_loaders_an_app_and_a_kernel_work_on_one_workspace_at_once(tmp_path: Path, city_path: Path, open_page: Any,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    path = workspace.create(tmp_path / "city", sample=True).path
    whole = dict(workspace.sample_files())
    for name in ("sample_people", "sample_hotlist"):
        workspace.load(path, workspace.find(name), whole[name])
    first_incidents, *incidents = _split(whole["sample_incidents"], tmp_path, 6)
    workspace.load(path, workspace.find("sample_incidents"), first_incidents)
    calls = _split(whole["sample_calls"], tmp_path, 6)

    server = _start("serve", "-w", path, "--port", "0")
    manager = _kernel(path, tmp_path / "kernel.json")
    try:
        url = _address(server)
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        loaders = [_start("load", "sample_incidents", *incidents, "-w", path), _start("load", "sample_calls", *calls, "-w", path)]
        asked = client.execute(KERNEL.format(path=str(path)))
        page, visits = open_page(), 0
        while any(p.poll() is None for p in loaders) or visits < 2:
            page.goto(f"{url}/hotspots", wait_until="load")
            page.get_by_text("Expect about").first.wait_for(timeout=90_000)
            visits += 1
            assert visits < 60
        for p in loaders:
            said = p.communicate(timeout=120)[0]
            assert p.returncode == 0 and "Traceback" not in said, said
        reply = client.get_shell_msg(timeout=120)
        while reply["parent_header"].get("msg_id") != asked:
            reply = client.get_shell_msg(timeout=120)
        assert reply["content"]["status"] == "ok", reply["content"].get("traceback")
        client.stop_channels()
        assert server.poll() is None, "the server is still up"
    finally:
        manager.shutdown_kernel(now=True)
        server.terminate()
        said = server.communicate(timeout=30)[0]
    broken = [t for t in said.split("Traceback")[1:] if "WebSocketClosedError" not in t]  # that one only says that the browser went on to the next page
    assert not broken, broken[0]

    together, alone = wb.open_workbench(path), wb.open_workbench(city_path)
    for table in ("incidents", "calls"):
        key = "incident_id" if table == "incidents" else "call_id"
        assert set(together.table(table)[key]) == set(alone.table(table)[key])
    assert together.audit.verify()[0]


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    end = time.monotonic() + 90
    lines = []
    while time.monotonic() < end:
        line = server.stdout.readline()
        lines.append(line)
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found.group()
        if server.poll() is not None:
            break
    raise AssertionError(f"the server did not start: {''.join(lines)}")
