"""Feeds fetched from a real server on this machine that misbehaves in every way that servers do."""

from __future__ import annotations

import csv
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench import cli, workspace
from workbench.errors import AccessRefused, BadInput, NotFound, WorkbenchError
from workbench.intake import highwater, web
from workbench.intake.fetch import Fetch, Fetched, Wanted
from workbench.intake.pages import Page, Row, Seen

TOKEN = "a-made-up-token"


class Feed:
    """A server with ``rows``; ``spoil(number, path, query)`` may answer a request otherwise: (status, headers, body), or None."""

    def __init__(self, rows: int = 25) -> None:
        self.rows: list[dict[str, Any]] = [row(i) for i in range(rows)]
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        self.spoil: Callable[[int, str, dict[str, str]], Any] = lambda number, path, query: None
        feed = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                feed.asked.append((parts.path, query))
                feed.headers.append({k.lower(): v for k, v in self.headers.items()})
                answer = feed.spoil(len(feed.asked), parts.path, query) or feed.answer(parts.path, query, feed.headers[-1])
                if callable(answer):
                    answer(self)
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    if value is not None:
                        self.send_header(name, value)
                if headers.get("Content-Length", "") is None:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                self.wfile.write(body)
                if int(headers.get("Content-Length") or len(body)) > len(body):
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: Any) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        rows = self.rows
        if path.startswith("/resource/"):
            where = query.get("$where", "")
            if ">=" in where:
                name, _, value = where.partition(" >= ")
                rows = [r for r in rows if str(r[name]) >= value.strip("'")]
            start = int(query.get("$offset", 0))
            rows = rows[start:start + int(query.get("$limit", 1000))]
            if path.endswith(".csv"):
                out = io.StringIO()
                writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
                writer.writerow(self.rows[0])
                writer.writerows([["" if v is None else v for v in r.values()] for r in rows])
                return 200, {"Content-Type": "text/csv; charset=utf-8"}, out.getvalue().encode()
            return as_json(rows)
        if path == "/numbered":
            size, number = int(query.get("per_page", 10)), int(query.get("page", 1))
            return as_json({"results": rows[size * (number - 1):size * number]})
        if path == "/cursor":
            at = int(query.get("after", 0) or 0)
            return as_json({"data": {"items": rows[at:at + 10]}, "meta": {"cursor": at + 10 if at + 10 < len(rows) else None}})
        if path == "/links":
            at = int(query.get("from", 0))
            return as_json({"items": rows[at:at + 10], "next": f"/links?from={at + 10}" if at + 10 < len(rows) else None})
        if path == "/header-links":
            at = int(query.get("from", 0))
            status, said, body = as_json(rows[at:at + 10])
            return status, said | ({"Link": f'<{self.base}/header-links?from={at + 10}>; rel="next"'} if at + 10 < len(rows) else {}), body
        if path == "/counted":
            start = int(query.get("skip", 0))
            return as_json(rows[start:start + int(query.get("take", 10))])
        return 404, {"Content-Type": "text/plain"}, b"no such thing"


def as_json(value: Any, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()


def row(i: int) -> dict[str, Any]:
    when = f"2026-05-{1 + i // 100 % 28:02} {i // 60 % 24:02}:{i % 60:02}"
    return {"id": f"E{i:05}", "when": when, "what": 'A, "B"\nC' if i % 7 == 0 else "THEFT", "x": i + 0.5}


@pytest.fixture
def feed() -> Iterator[Feed]:
    made = Feed()
    yield made
    made.server.shutdown()
    made.server.server_close()


def fetch(feed: Feed, folder: Path, path: str = "/resource/abcd-1234.json", *, again: bool = False, tries: int = 4, headers: dict[str, str] | None = None,
          pauses: list[float] | None = None, **wanted: Any) -> Fetched:
    waited: list[float] = [] if pauses is None else pauses
    reader = web.Web(feed.base + path, headers or {}, tries=tries, timeout=0.5, pause=0.01, wait=waited.append)
    return Fetch(Wanted(feed.base + path, **{"page": 10, **wanted}), folder / "in", reader).run(again=again)


def ids(fetched: Fetched) -> list[str]:
    return [json.loads(line)["id"] for line in fetched.file.read_text(encoding="utf-8").splitlines()]


def all_ids(feed: Feed) -> list[str]:
    return [r["id"] for r in feed.rows]


# --- ways of paging ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "wanted"), [
    ("/resource/abcd-1234.json", {}), ("/resource/abcd-1234.csv", {}), ("/numbered", {"paging": "page", "records": "results", "names": {"limit": "per_page"}}),
    ("/cursor", {"next": "meta.cursor", "records": "data.items", "names": {"cursor": "after"}}), ("/links", {"next": "next", "records": "items"}),
    ("/header-links", {"paging": "next"}), ("/counted", {"paging": "offset", "names": {"limit": "take", "offset": "skip"}})])
@pytest.mark.parametrize("rows", [0, 1, 9, 10, 19, 25])
def test_every_way_of_paging_brings_every_row_once_and_in_order(feed: Feed, tmp_path: Path, path: str, wanted: dict[str, Any], rows: int) -> None:
    feed.rows = feed.rows[:rows] if rows or not path.endswith(".csv") else feed.rows[:1]
    got = fetch(feed, tmp_path, path, **wanted)
    assert ids(got) == all_ids(feed) and got.rows == len(feed.rows) and got.again == 0
    assert not list((tmp_path / "in").glob("*.part*")), "nothing is left beside the file"
    first = [json.loads(line) for line in got.file.read_text().splitlines()][:1]
    assert not first or first[0]["what"] == 'A, "B"\nC' and float(first[0]["x"]) == 0.5


def test_a_server_that_gives_fewer_rows_a_page_than_asked_for_is_read_to_its_end(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: as_json(feed.rows[int(query.get("$offset", 0)):][:4])
    assert ids(fetch(feed, tmp_path)) == all_ids(feed)


def test_the_rows_of_json_stay_as_they_were_written(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: (200, {"Content-Type": "application/json"}, b'[{"id": "1", "n": 1.10, "big": 123456789012345678901234567890}]')
    assert fetch(feed, tmp_path).file.read_text() == '{"id": "1", "n": 1.10, "big": 123456789012345678901234567890}\n'


def test_one_document_is_kept_as_it_is_with_its_suffix(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: (200, {"Content-Type": "text/csv"}, b"id,when\n1,2\n")
    got = fetch(feed, tmp_path, "/export/calls.csv")
    assert got.file.suffix == ".csv" and got.file.read_bytes() == b"id,when\n1,2\n" and got.pages == 0
    assert fetch(feed, tmp_path, "/export/calls").file.suffix == ".csv", "told by what the server says it is"


# --- servers that misbehave -------------------------------------------------------------------------------------------------------


def _drop(handler: Any) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def _silent(handler: Any) -> None:
    time.sleep(0.8)


def _chunked_and_cut(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b'5\r\n[{"id\r\n')
    handler.close_connection = True


BODY = json.dumps([row(i) for i in range(9, 19)]).encode()
TROUBLE: dict[str, Any] = {
    "500": (500, {}, b"oops"), "503": (503, {}, b""), "429": (429, {"Retry-After": "3"}, b"slow down"), "reset": _drop, "silence": _silent,
    "cut with a length": (200, {"Content-Type": "application/json", "Content-Length": str(len(BODY))}, BODY[:300]),
    "cut without a length": (200, {"Content-Type": "application/json", "Content-Length": None}, BODY[:300]),
    "cut in chunks": _chunked_and_cut, "a web page": (200, {"Content-Type": "text/html"}, b"<html>Maintenance</html>"),
    "a web page that says it is JSON": (200, {"Content-Type": "application/json"}, b"<!doctype html><p>Sign in</p>"), "nothing": (200, {}, b""),
    "bad gzip": (200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, b"\x1f\x8bno"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_page_that_goes_wrong_is_asked_for_again_and_nothing_is_lost(feed: Feed, tmp_path: Path, trouble: str) -> None:
    feed.spoil = lambda number, path, query: TROUBLE[trouble] if number in (2, 3, 5) else None
    pauses: list[float] = []
    got = fetch(feed, tmp_path, pauses=pauses)
    assert ids(got) == all_ids(feed) and got.retried == 3 and len(pauses) == 3
    assert (pauses[0] >= 3) == (trouble == "429"), "a server that says how long to wait is waited for"


def test_a_csv_page_that_is_cut_off_is_noticed_whatever_the_server_says_of_its_length(feed: Feed, tmp_path: Path) -> None:
    whole = feed.answer("/resource/a.csv", {"$limit": "10"}, {})[2]
    for cut in (len(whole) - 1, len(whole) - 2, len(whole) // 2, 30):
        feed.asked.clear()
        feed.spoil = lambda number, path, query, cut=cut: (200, {"Content-Type": "text/csv", "Content-Length": None}, whole[:cut]) if number == 1 else None
        assert ids(fetch(feed, tmp_path / str(cut), "/resource/a.csv")) == all_ids(feed)


def test_a_csv_feed_that_never_ends_its_last_line_is_believed_the_second_time(feed: Feed, tmp_path: Path) -> None:
    def without_end(number: int, path: str, query: dict[str, str]) -> Any:
        status, headers, body = feed.answer(path, query, {})
        return status, headers | {"Content-Length": None}, body.rstrip(b"\n")

    feed.spoil = without_end
    assert ids(fetch(feed, tmp_path, "/resource/a.csv")) == all_ids(feed)


def test_pauses_grow_and_a_server_that_never_recovers_is_given_up_and_resumed_later(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: (503, {}, b"") if number > 2 else None
    pauses: list[float] = []
    with pytest.raises(WorkbenchError, match=r"could not be fetched in 6 tries: it answered 503\. Run the same command again, it goes on where it stopped"):
        fetch(feed, tmp_path, tries=6, pauses=pauses)
    assert len(pauses) == 5 and all(0.005 * 2**i <= p <= 0.01 * 2**i for i, p in enumerate(pauses))
    feed.asked.clear()
    feed.spoil = lambda number, path, query: None
    got = fetch(feed, tmp_path)
    assert ids(got) == all_ids(feed) and got.resumed and feed.asked[0][1]["$offset"] == "18", "the first two pages were not asked for again"


def test_a_server_that_asks_for_hours_is_not_waited_for(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: (429, {"Retry-After": "7200"}, b"")
    with pytest.raises(WorkbenchError, match="asks to wait 120 minutes"):
        fetch(feed, tmp_path)
    assert len(feed.asked) == 1


@pytest.mark.parametrize(("answer", "error", "said"), [
    ((404, {}, b"<p>no such dataset</p>"), NotFound, "answered 404: no such dataset"), ((403, {}, b""), AccessRefused, "needs a token"),
    ((400, {}, b'{"message": "bad column"}'), BadInput, "bad column"), (as_json({"error": True, "message": "quota"}), BadInput, "It says: .*quota"),
    (as_json({"results": []}), BadInput, "say --records results"), ((302, {"Location": "http://elsewhere.example/x"}, b""), BadInput, "sends to another place"),
    ((302, {"Location": "/resource/loop"}, b""), BadInput, "without end"), ((302, {"Location": "file:///etc/passwd"}, b""), BadInput, "no address")])
def test_what_no_new_try_can_mend_is_said_at_once(feed: Feed, tmp_path: Path, answer: Any, error: type[Exception], said: str) -> None:
    feed.spoil = lambda number, path, query: answer
    with pytest.raises(error, match=said):
        fetch(feed, tmp_path)
    assert len(feed.asked) == (6 if "loop" in str(answer) else 1)


def test_a_redirect_on_the_same_host_is_followed_and_a_next_link_to_another_is_not(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: (307, {"Location": f"/resource/b.json?{urlencode(query)}"}, b"") if "abcd" in path else None
    assert ids(fetch(feed, tmp_path)) == all_ids(feed)
    feed.spoil = lambda number, path, query: as_json({"items": [row(1)], "next": "http://127.0.0.1:1/steal"})
    with pytest.raises(BadInput, match="sends to another place"):
        fetch(feed, tmp_path, "/links", next="next", records="items", headers={"X-App-Token": TOKEN})


def test_a_feed_that_names_the_same_page_again_is_stopped(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: as_json({"items": [row(number)], "meta": {"cursor": "same"}})
    with pytest.raises(BadInput, match="without end"):
        fetch(feed, tmp_path, "/cursor", next="meta.cursor", records="items")
    feed.spoil = lambda number, path, query: as_json({"results": feed.rows[:10]})
    assert ids(fetch(feed, tmp_path, "/numbered", paging="page", records="results")) == all_ids(feed)[:10], "a server that gives its last page for ever"


def test_a_certificate_that_nobody_signed_is_refused(feed: Feed, tmp_path: Path) -> None:
    import ssl

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
                           "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("openssl is not here to make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    feed.server.socket = context.wrap_socket(feed.server.socket, server_side=True)
    feed.base = feed.base.replace("http://127.0.0.1", "https://localhost")
    with pytest.raises(BadInput, match="certificate of localhost is not to be trusted"):
        fetch(feed, tmp_path)


# --- feeds that change --------------------------------------------------------------------------------------------------------------


def renamed(r: dict[str, Any]) -> dict[str, Any]:
    return {"ID": r["id"], **{k: v for k, v in r.items() if k != "id"}}


@pytest.mark.parametrize(("path", "change", "said"), [
    ("/resource/a.json", lambda rows: [renamed(r) for r in rows], r"Page 3 is not like those before it: it lacks 'id', it has 'ID'"),
    ("/resource/a.csv", lambda rows: [renamed(r) for r in rows], "it lacks 'id', it has 'ID'"),
    ("/resource/a.csv", lambda rows: [r | {"new": 1} for r in rows], "it has 'new'"),
    ("/resource/a.json", lambda rows: [r | {"what": {"code": 1}} for r in rows], "'what' is an object, before it was a value")])
def test_a_feed_whose_columns_change_on_the_way_is_refused_in_a_sentence(feed: Feed, tmp_path: Path, path: str, change: Any, said: str) -> None:
    original = feed.rows

    def spoil(number: int, path: str, query: dict[str, str]) -> Any:
        feed.rows = change(original) if number >= 3 else original

    feed.spoil = spoil
    with pytest.raises(BadInput, match=said):
        fetch(feed, tmp_path, path)


def test_members_that_some_rows_lack_are_no_change(feed: Feed, tmp_path: Path) -> None:
    feed.rows = [{k: v for k, v in r.items() if k == "id" or (i // 10 + ord(k[0])) % 3} for i, r in enumerate(feed.rows)]
    assert ids(fetch(feed, tmp_path)) == all_ids(feed)


@pytest.mark.parametrize("key", [(), ("id",)])
@pytest.mark.parametrize("at", [2, 3, 4])
def test_rows_that_are_put_in_or_taken_out_on_the_way_neither_double_nor_lose_others(feed: Feed, tmp_path: Path, key: tuple[str, ...], at: int) -> None:
    stay = all_ids(feed)
    new = [row(i) | {"id": f"A{i}"} for i in range(3)]

    def spoil(number: int, path: str, query: dict[str, str]) -> Any:
        if number == at:
            feed.rows = new + feed.rows

    feed.spoil = spoil
    got = ids(fetch(feed, tmp_path / "in front", key=key))
    assert [i for i in got if i in stay] == stay
    feed.rows, gone = feed.rows[3:], set(stay[1:4])

    def remove(number: int, path: str, query: dict[str, str]) -> Any:
        if number == len(feed.asked) == at:
            feed.rows = [r for r in feed.rows if r["id"] not in gone]

    feed.asked.clear()
    feed.spoil = remove
    got = ids(fetch(feed, tmp_path / "away", key=key))
    assert [i for i in got if i not in gone] == [i for i in stay if i not in gone] and len(got) == len(set(got))


def test_rows_that_come_again_at_a_pages_border_are_kept_once_by_their_key(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: as_json({"results": feed.rows[max(0, 10 * int(query["page"]) - 12):10 * int(query["page"])]})
    got = fetch(feed, tmp_path, "/numbered", paging="page", records="results", key=("id",))
    assert ids(got) == all_ids(feed) and got.again == 4 + 0, got.again
    with pytest.raises(BadInput, match=r"have no member 'ide' to know them by\. Did you mean 'id'\?"):
        fetch(feed, tmp_path, "/numbered", paging="page", records="results", key=("ide",))


def test_a_row_that_was_changed_between_two_pages_is_kept_in_both_editions(feed: Feed, tmp_path: Path) -> None:
    first, second = feed.rows[:10], [feed.rows[9] | {"what": "REVISED"}, *feed.rows[10:19]]
    feed.spoil = lambda number, path, query: as_json({"results": {1: first, 2: second}.get(int(query["page"]), [])})
    got = fetch(feed, tmp_path, "/numbered", paging="page", records="results", key=("id",))
    assert ids(got) == [*(r["id"] for r in first), *(r["id"] for r in second)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(2, 7))
def test_rows_that_are_alike_are_never_taken_for_one_another_where_pages_only_overlap(values: list[int], size: int) -> None:
    rows = [Row(json.dumps({"v": v}), {"v": v}) for v in values]
    seen, got, at = Seen(), [], 0
    while True:
        overlap = min(1, at)
        page = Page(rows[at - overlap:][:size])
        fresh = seen.fresh(page, (), overlap)
        assert fresh is not None
        if not fresh and len(page.rows) <= overlap:
            break
        seen.remember(page, ())
        got += fresh
        at += len(page.rows) - overlap
    assert [r.line for r in got] == [r.line for r in rows]


# --- stopping and going on --------------------------------------------------------------------------------------------------------


def test_a_fetch_killed_at_any_moment_goes_on_and_ends_with_every_row_once(tmp_path: Path, root: Path) -> None:
    feed = Feed(400)
    feed.spoil = lambda number, path, query: time.sleep(0.02)
    code = ("import sys; from pathlib import Path; from workbench.intake.fetch import Fetch, Wanted; from workbench.intake.web import Web; "
            "u = sys.argv[1]; print(Fetch(Wanted(u, page=10), Path(sys.argv[2]), Web(u)).run().sentence())")
    command = [sys.executable, "-c", code, f"{feed.base}/resource/abcd-1234.json", str(tmp_path / "in")]
    try:
        for kill in range(2):
            before = len(feed.asked)
            running = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 60
            while len(feed.asked) < before + 4 + 3 * kill and running.poll() is None and time.monotonic() < deadline:
                time.sleep(0.003)
            running.send_signal(signal.SIGKILL)
            running.wait()
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=120)
    finally:
        feed.server.shutdown()
    assert "going on where it had stopped" in done.stdout
    files = list((tmp_path / "in").glob("*.ndjson"))
    assert len(files) == 1 and [json.loads(x)["id"] for x in files[0].read_text().splitlines()] == all_ids(feed)
    assert len(feed.asked) <= 400 / 9 + 2 + 2 * 2, "a kill costs the page under way, not the others"


def test_what_a_killed_process_wrote_beyond_its_note_is_cut_off(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: (503, {}, b"") if number > 2 else None
    with pytest.raises(WorkbenchError):
        fetch(feed, tmp_path, tries=1)
    part = next((tmp_path / "in").glob("*.part"))
    with part.open("ab") as out:
        out.write(b'{"id": "half a r')
    feed.spoil = lambda number, path, query: None
    assert ids(fetch(feed, tmp_path)) == all_ids(feed)


def test_another_command_or_again_begins_anew(feed: Feed, tmp_path: Path) -> None:
    feed.spoil = lambda number, path, query: (503, {}, b"") if number > 2 else None
    with pytest.raises(WorkbenchError):
        fetch(feed, tmp_path, tries=1)
    feed.spoil = lambda number, path, query: None
    feed.asked.clear()
    assert ids(fetch(feed, tmp_path, where="x > 0")) == all_ids(feed) and "$offset" not in feed.asked[0][1]
    feed.asked.clear()
    assert ids(fetch(feed, tmp_path, again=True)) == all_ids(feed) and "$offset" not in feed.asked[0][1]


@pytest.mark.parametrize("etag", ['"v1"', ""])
def test_a_document_that_breaks_off_is_asked_for_from_there_only_if_it_is_still_the_same(feed: Feed, tmp_path: Path, etag: str) -> None:
    whole = b"id,when\n" + b"1,2026-01-01\n" * 5000

    def spoil(number: int, path: str, query: dict[str, str]) -> Any:
        asked = feed.headers[-1]
        said = {"Content-Type": "text/csv", **({"ETag": etag} if etag else {})}
        if "range" in asked and asked["if-range"] == etag:
            start = int(asked["range"][6:-1])
            return 206, said | {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"}, whole[start:]
        return 200, said | {"Content-Length": str(len(whole))}, whole[:30_000 if number == 1 else None]

    feed.spoil = spoil
    got = fetch(feed, tmp_path, "/export.csv")
    assert got.file.read_bytes() == whole
    assert ("range" in feed.headers[1]) == bool(etag)


def test_the_same_fetch_twice_at_once_is_refused(feed: Feed, tmp_path: Path) -> None:
    held = threading.Event()

    def spoil(number: int, path: str, query: dict[str, str]) -> Any:
        held.set()
        time.sleep(0.3)

    feed.spoil = spoil
    other = threading.Thread(target=fetch, args=(feed, tmp_path))
    other.start()
    held.wait(10)
    with pytest.raises(BadInput, match="by another process"):
        fetch(feed, tmp_path)
    other.join()


def test_a_cap_on_rows_stops_and_one_on_bytes_refuses(feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got = fetch(feed, tmp_path, most=12, since="when")
    assert got.rows == 12 and got.mark is None, "a mark is not moved by a feed that was not read to its end"
    monkeypatch.setattr("workbench.intake.fetch.MOST_BYTES", 1000)
    with pytest.raises(BadInput, match="narrow it"):
        fetch(feed, tmp_path)
    monkeypatch.setattr(web, "DOCUMENT", 1000)
    feed.spoil = lambda number, path, query: (200, {"Content-Type": "text/csv"}, b"x" * 2000)
    with pytest.raises(BadInput, match="fetch it in parts"):
        fetch(feed, tmp_path, "/export.csv")


# --- secrets and marks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("url", "said"), [
    ("ftp://x.example/a", "must begin with https"), ("file:///etc/passwd", "must begin with https"), ("https://u:p@x.example/", "carries a user or password"),
    ("https://", "no address"), ("http://[::1", "no address")])
def test_an_address_of_another_kind_or_with_a_password_is_refused(url: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        web.Web(url)
    assert "u:p" not in str(caught.value)


def test_a_token_goes_over_https_only_and_is_never_shown() -> None:
    with pytest.raises(BadInput, match="over http"):
        web.Web("http://feeds.example/x", {"X-App-Token": TOKEN})
    assert TOKEN not in repr(web.Web("https://feeds.example/x", {"X-App-Token": TOKEN}))
    assert web.shown("https://u:pw@x.example/a?$$app_token=s3&api_key=s4&a=1") == "https://x.example/a?$$app_token=...&api_key=...&a=1"


@pytest.mark.parametrize(("mark", "by", "then"), [
    ("2026-05-01T00:30:00.000", None, "2026-04-30T23:30:00.000"), ("2026-05-01 00:30:00+00:00", timedelta(minutes=30), "2026-05-01 00:00:00+00:00"),
    ("2026-05-01", None, "2026-04-30"), (5000, None, 4000), ("5000", 10, "4990"), (7.5, 2, 5.5), ("row-abc", None, "row-abc"), (True, None, True)])
def test_the_next_reading_begins_somewhat_before_the_mark(mark: Any, by: Any, then: Any) -> None:
    assert highwater.before(mark, by) == then


def test_a_mark_is_moved_forward_only_and_a_span_is_read(tmp_path: Path) -> None:
    for value in ("2026-05-01", "2026-04-01"):
        highwater.move(tmp_path, "f", value)
    highwater.move(tmp_path, "n", 9)
    highwater.move(tmp_path, "n", 10)
    assert (highwater.mark(tmp_path, "f"), highwater.mark(tmp_path, "n"), highwater.mark(tmp_path, "x")) == ("2026-05-01", 10, None)
    assert highwater.overlap("2h") == timedelta(hours=2) and highwater.overlap("50") == 50 and highwater.overlap("") is None
    with pytest.raises(BadInput, match="no overlap"):
        highwater.overlap("soon")


# --- the command --------------------------------------------------------------------------------------------------------------------

PLUGIN = """
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, text
SOURCE = Source(name='toy', title='a toy', columns=('id', 'when'), optional=('what',), parts=(Part('incidents', {
    'incident_id': text('id'), 'started_at': local_time(column('when'), '%Y-%m-%d %H:%M'), 'offence': text('what'), 'nibrs': "'220'"}),))
"""


@pytest.fixture
def toy_city(tmp_path: Path) -> Path:
    folder = workspace.create(tmp_path / "city", name="Test", zone="UTC").path
    (folder / "plugins" / "loaders" / "toy.py").write_text(PLUGIN)
    return folder


def test_a_feed_is_fetched_loaded_and_the_next_time_only_what_is_new(
        feed: Feed, toy_city: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_APP_TOKEN", TOKEN)
    command = ["fetch", f"{feed.base}/resource/abcd-1234.csv", "--to", "toy", "--since", "when", "--overlap", "5m", "-w", str(toy_city)]
    assert cli.main(command) == 0
    assert "25 records read" in capsys.readouterr().out and feed.headers[0]["x-app-token"] == TOKEN and feed.asked[0][1]["$order"] == ":id"
    feed.rows += [row(i) for i in range(25, 30)]
    feed.asked.clear()
    assert cli.main(command) == 0
    assert feed.asked[0][1]["$where"] == "when >= '2026-05-01 00:19'"
    assert "11 records read" in (said := capsys.readouterr().out) and "5 new, 0 updated, 6 held already" in said
    newest = max((toy_city / "in").glob("*.ndjson"))
    assert cli.main(["load", "toy", str(newest), "-w", str(toy_city)]) == 0 and "nothing to add" in capsys.readouterr().out, "the file can be loaded by hand"
    city = wb.open_workbench(toy_city)
    assert city.incidents().height == 30
    entries = city.audit.entries()
    assert "fetch" in entries["action"].to_list()
    for file in [*(toy_city / "in").rglob("*"), toy_city / "audit.db"]:
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes()


def test_nothing_new_is_said_so_and_a_bad_command_is_explained(feed: Feed, toy_city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed.rows = []
    assert cli.main(["fetch", f"{feed.base}/resource/a.json", "--to", "toy", "-w", str(toy_city)]) == 0
    assert "There is nothing new." in capsys.readouterr().out
    assert not list((toy_city / "in").glob("*.ndjson"))
    for args, said in (("--paging pages", "Did you mean 'page'"), ("--header A=NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE is not set"),
                       ("--table t", "of a database"), ("--since when", "--name since="), ("--page 0", "--page 0"), ("--overlap soon", "no overlap")):
        assert cli.main(["fetch", f"{feed.base}/x", *args.split(), "-w", str(toy_city)]) == 1
        assert said in capsys.readouterr().err
    assert cli.main(["fetch", "calls.csv", "-w", str(toy_city)]) == 1
    assert "workbench load SOURCE FILE" in capsys.readouterr().err
