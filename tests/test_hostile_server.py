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
from workbench import agency as agencies
from workbench import cli
from workbench.apps import hosts
from workbench.apps import server as serving
from workbench.errors import BadInput
from workbench.serving.settings import Settings

CASE = {"case": "2026-0142", "purpose": "investigation", "reason": "who was near the scenes"}


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
    "/%2e%2e/agency.toml", "/agency.toml", "/audit.db", "/lake/_secret", "/.env", "/static/%00/etc/passwd", "/static/%00", "/%00", "/hotspots%00",
    "/components/..%2f..%2f", "/static/%252e%252e%252fetc/passwd", "/static/a%0d%0aX:1", "/file:///etc/passwd",
])  # fmt: skip
def test_no_path_leads_to_a_file_that_is_not_a_page(served: Any, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("ERROR"):
        status, _, body = ask(served, path)
    assert status in (400, 403, 404), (status, body[:200])
    assert b"root:" not in body and b"[agency]" not in body and b"Traceback" not in body
    assert not [r for r in caplog.records if r.exc_info or r.levelname == "ERROR"]


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


def test_a_name_that_is_not_this_servers_gets_no_page_and_no_web_socket(served: Any) -> None:
    """A page of another machine whose name leads to 127.0.0.1 (DNS rebinding) asks under that name."""
    port = urlsplit(served.url).port
    socket_asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    others = "evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", f"127.0.0.1.evil.example:{port}", f"localhost.:{port}"
    for host in (*others, f"[::1]:{port}", ""):
        for path in ("/", "/hotspots", "/static/js/bokeh.min.js", "/sign-in", "/nothing"):
            status, headers, body = ask(served, path, Host=host)
            assert status == 421 and len(body) < 100 and "set-cookie" not in headers, (host, path, status)
        assert ask(served, "/ws", Host=host, Origin=f"http://{host}", **socket_asked)[0] == 421
        assert ask(served, "/hotspots", method="POST", Host=host, Content_Length="0")[0] == 421
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
        assert ask(served, "/sign-in", Host=host)[0] in (200, 302), host
        got = ask(served, "/ws", Host=host, Origin=f"http://{host}", **socket_asked)[0]
        assert got != 421, host


def test_a_proxys_name_is_answered_where_agency_toml_says_it(own_city: Path) -> None:
    file = own_city / "agency.toml"
    kept = file.read_text(encoding="utf-8")
    file.write_text(kept + '\n[server]\nhosts = ["workbench.example.gov"]\nplugins = "off"\n', encoding="utf-8")
    assert Settings.of(agencies.read(own_city)).rows  # the server of frames takes the section too
    running = serving.background(wb.open_workbench(own_city, **CASE))
    try:
        assert ask(running, "/nothing", Host="workbench.example.gov")[0] == 404
        assert ask(running, "/nothing", Host="evil.example")[0] == 421
    finally:
        running.stop()
    for bad in ('"*"', '["*"]', '["http://a.example"]', '["a.example/x"]', "[1]", '""'):
        file.write_text(f"{kept}\n[server]\nhosts = {bad}\n", encoding="utf-8")
        with pytest.raises(BadInput, match="hosts = .*workbench.example.gov"):
            hosts.named(agencies.read(own_city))


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
