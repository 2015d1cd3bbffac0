"""The server and the command line against requests and texts made to do harm."""

from __future__ import annotations

import http.client
import io
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import workbench as wb
from workbench import cli
from workbench.apps import server as serving
from workbench.errors import WorkbenchError

CASE = {"case": "2026-0142", "purpose": "investigation", "reason": "tests of hostile requests"}


@pytest.fixture(scope="module")
def served(city_path: Path) -> Iterator[Any]:
    running = serving.background(wb.open_workbench(city_path, **CASE))
    yield running
    running.stop()


def ask(served: Any, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request as it stands: no client that would tidy up its path."""
    parts = urlsplit(served.url)
    con = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    con.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        con.putheader(name.replace("_", "-"), value)
    con.endheaders()
    answer = con.getresponse()
    got = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    con.close()
    return got


@pytest.mark.parametrize("path", [
    "/static/../../../../../../etc/passwd", "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2f..%2f..%2fetc/passwd", "/static//etc/passwd",
    "/static/..%5c..%5cetc/passwd", "/static/extensions/panel/../../../../../../etc/passwd", "/components/..%2f..%2fetc/passwd", "/../agency.toml",
    "/%2e%2e/agency.toml", "/agency.toml", "/audit.db", "/lake/_secret", "/.env", "/static/%00/etc/passwd", "/file:///etc/passwd",
])  # fmt: skip
def test_no_path_leads_to_a_file_that_is_not_a_page(served: Any, path: str) -> None:
    status, _, body = ask(served, path)
    assert status >= 400, (status, body[:200])
    assert b"root:" not in body and b"[agency]" not in body


@pytest.mark.parametrize("path", ["//evil.example/", "//evil.example/%2e%2e", "/\\evil.example", "/?next=//evil.example", "/hotspots?url=https://evil.example",
                                  "/hotspots/", "//evil.example/hotspots/"])
def test_no_address_sends_to_another_machine(served: Any, path: str) -> None:
    status, headers, _ = ask(served, path)
    assert "evil" not in headers.get("location", "") or status < 300, (status, headers)


def test_a_web_socket_of_another_page_is_refused(served: Any) -> None:
    _, _, body = ask(served, "/")
    token = re.search(rb'"token":\s*"([^"]+)"', body)
    parts = urlsplit(served.url)
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{(parts.port or 0) + 1}", "http://127.0.0.1.evil.example"):
        status, _, _ = ask(served, "/ws", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="13", Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==",
                           Origin=origin, Sec_WebSocket_Protocol=f"bokeh, {token[1].decode() if token else 'x'}")
        assert status == 403, (origin, status)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_form_of_another_page_changes_nothing(served: Any, method: str, city_path: Path) -> None:
    status, _, _ = ask(served, "/hotspots", method=method, Origin="http://evil.example", Content_Length="0")
    assert status in (403, 405)


def test_a_request_that_is_no_http_does_not_end_the_server(served: Any) -> None:
    parts = urlsplit(served.url)
    for noise in (b"\x00" * 1000, b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as con:
            con.sendall(noise)
    assert ask(served, "/")[0] == 200


HOSTILE = [
    "'", "'; drop table incidents; --", "\" or 1=1 --", "' or '1'='1", "%' or 1=1 --", "\\", "../../etc/passwd", "//evil.example", "<script>alert(1)</script>",
    "{{7*7}}", "${7*7}", "\u202eabc", "\x1b[31mred", "=cmd|'/c calc'!A0", '#read("/etc/passwd")', "$x$", "a" * 20_000,
    "%00", "?", "$1", "*", "%", "_", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_argument_of_a_session_is_a_value_and_changes_nothing(city_path: Path, text: str) -> None:
    city = wb.open_workbench(city_path, **CASE)
    before = city.holdings().select("table", "rows").to_dicts()
    calls: list[Any] = [
        lambda: city.find(text), lambda: city.table(text),
        lambda: city.incidents(text), lambda: city.incidents(offence=text), lambda: city.incidents(area=text),
        lambda: city.history("calls", text), lambda: city.search(text), lambda: city.reads("2026-06-01", "2026-06-02", plate=text),
        lambda: city.grid(250, area=text),
        lambda: city.sql("select * from incidents where incident_id = ?", [text]),
        lambda: wb.open_workbench(city_path, case=text, purpose=text, reason=text),
    ]  # fmt: skip
    for call in calls:
        try:
            got = call()
        except (WorkbenchError, TypeError, AttributeError) as error:
            assert "root:" not in str(error)
            continue
        rows = got.to_dicts() if hasattr(got, "to_dicts") else []
        assert len(rows) < 500 and "root:" not in repr(rows)[:5000]
    assert city.holdings().select("table", "rows").to_dicts() == before


def test_control_characters_of_data_are_not_sent_to_the_terminal(own_city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nasty = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\x9b31m"
    assert cli.main(["case", "2026-9999", "--title", f"Burglaries {nasty}", "-w", str(own_city)]) in (0, 1)
    assert cli.main(["case", "-w", str(own_city)]) == 0
    assert cli.main(["load", nasty, "nothing.csv", "-w", str(own_city)]) == 1
    said = "".join(capsys.readouterr())
    assert "owned" in said
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said)


def test_the_stream_of_the_command_line_gives_texts_on_and_keeps_lines(capsys: pytest.CaptureFixture[str]) -> None:
    held = io.StringIO()
    print("a\tb\x1b[0m", file=cli.Plain(held))
    assert held.getvalue() == "a\tb\\x1b[0m\n" and cli.Plain.of(cli.Plain(held)).bare is held
