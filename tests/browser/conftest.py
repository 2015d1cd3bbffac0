"""A real Chromium, a recorder that fails a test on any request off the machine, and two ways to serve: the whole product, or one Panel app here."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
AT_HOME = ("127.0.0.1", "localhost")


@dataclass
class Recorder:
    """What a browser context asked for and what went wrong in it."""

    requests: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def attach(self, page: Any) -> None:
        """Listen to a page, its web sockets and its errors."""
        page.on("request", lambda r: self.requests.append(r.url))
        page.on("websocket", lambda s: self.requests.append(s.url))
        page.on("response", lambda r: self.failures.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.on("console", lambda m: self.console.append(f"{m.type}: {m.text}") if m.type == "error" else None)

    def away(self) -> list[str]:
        """Requests that left, or would have left, the machine."""
        return [u for u in self.requests if not u.startswith(("data:", "blob:", "about:")) and urlsplit(u).hostname not in AT_HOME]

    def check(self) -> None:
        """Fail on a request off the machine, a file that is missing, or an error in the page."""
        assert not self.away(), f"requests left the machine: {sorted(set(self.away()))[:5]}"
        assert not self.failures, f"the server answered with errors: {self.failures[:5]}"
        assert not self.errors, f"errors in the page: {self.errors[:5]}"


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """Chromium, headless."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        instance = play.chromium.launch(executable_path=chromium, args=ARGS)
        yield instance
        instance.close()


@pytest.fixture(scope="session")
def context(browser: Any) -> Iterator[Any]:
    """One browser context for all pages, so that scripts are fetched once."""
    made = browser.new_context()
    yield made
    made.close()


@pytest.fixture
def open_page(context: Any) -> Iterator[Callable[..., Any]]:
    """``open_page(url="", width=1440, height=900)`` gives a fresh page; at the end every page's recorder is checked (``page.recorder``)."""
    pages: list[Any] = []

    def opened(url: str = "", *, width: int = 1440, height: int = 900) -> Any:
        page = context.new_page()
        page.recorder = Recorder()
        page.recorder.attach(page)
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.set_default_timeout(30_000)
        if url:
            page.goto(url, wait_until="load")
        return page

    yield opened
    for page in pages:
        page.close()
    for page in pages:
        page.recorder.check()


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    """One fresh page, 1440 x 900."""
    return open_page()


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture
def serve_here() -> Iterator[Callable[[Callable[[], Any]], str]]:
    """``serve_here(app)`` serves a function that returns a Panel object from a thread of this process and gives its address.

    What the function makes can be kept by the test, so that "it reached Python" is a look at a parameter.
    """
    import panel as pn

    servers: list[Any] = []

    def started(app: Callable[[], Any]) -> str:
        port = free_port()
        thread = pn.serve({"/": app}, port=port, address="127.0.0.1", websocket_origin=[f"127.0.0.1:{port}"], show=False, threaded=True, admin=False,
                          verbose=False)
        servers.append(thread)
        url = f"http://127.0.0.1:{port}/"
        wait_for(url)
        return url

    yield started
    for thread in servers:
        with contextlib.suppress(Exception):
            thread.stop()


def wait_for(url: str, seconds: float = 60, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until an address answers."""
    end = time.monotonic() + seconds
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            break
        with contextlib.suppress(OSError), opener.open(url, timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")


@pytest.fixture
def until() -> Callable[..., Any]:
    """``until(function, seconds=15, what="it")`` waits until a function gives something true, and gives that back."""

    def waited(true: Callable[[], Any], seconds: float = 15, what: str = "it") -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if got := true():
                return got
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come about in {seconds:g} s")

    return waited


@dataclass
class Server:
    """The product as a person starts it: a process of its own that serves one workspace."""

    url: str
    workspace: Path
    process: subprocess.Popen[str]
    lines: list[str]


def workbench_command(*arguments: str) -> list[str]:
    """The command line that runs the workbench of this checkout."""
    return [sys.executable, "-m", "workbench.cli", *arguments]


def surroundings() -> dict[str, str]:
    """The environment in which that command finds this checkout."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep), "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def serving(workspace: Path) -> Iterator[Server]:
    """Run ``workbench serve`` on a free port and wait until it answers."""
    port = free_port()
    process = subprocess.Popen(
        workbench_command("serve", "--workspace", str(workspace), "--port", str(port)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=surroundings(), cwd=workspace,
    )
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True).start()  # type: ignore[union-attr]
    url = f"http://127.0.0.1:{port}/"
    try:
        try:
            wait_for(url, process=process)
        except AssertionError as gone:
            raise AssertionError(f"{gone}; the server said: {''.join(lines)[-2000:]}") from None
        yield Server(url, workspace, process, lines)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="session")
def served_city(untouched_city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the made-up city's workspace that the server may write its audit to; not of the one that is open, whose locks a copy would undo."""
    return Path(shutil.copytree(untouched_city, tmp_path_factory.mktemp("served") / "city", symlinks=True))


@pytest.fixture(scope="session")
def server(served_city: Path) -> Iterator[Server]:
    """The product serving the made-up city, as a person starts it."""
    with serving(served_city) as running:
        yield running
