"""Messages that vendors post: JSON over HTTP, answered 200 once they are durable and visible.

``POST /in/<source>`` with ``Authorization: Bearer <token>`` takes one JSON object, a list of them, a document with its list under the
source's ``records``, or one object a line. ``GET /health`` says whether the watcher lives. The server speaks plain HTTP and listens on
127.0.0.1: other machines come in through a proxy that does TLS.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler, stream_request_body

from workbench.errors import did_you_mean
from workbench.intake.ingest import Behind, Delivery, Feed, Ingest

#: Seconds a sender waits for its records to become durable before it is told to come again.
PATIENCE = 30.0
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Door:
    """One source that may be posted to; with a ``secret`` the body's HMAC-SHA256 is asked for too."""

    feed: Feed
    secret: str = ""


@dataclass(frozen=True)
class Body:
    """What was in a message.

    Args:
        records: each one JSON value, as it stood.
        broken: (raw text, reason) of lines that are no JSON.
        ignored: signs of life, which are no event.
        whole: False when nothing of it was JSON.
    """

    records: list[bytes]
    broken: list[tuple[str, str]]
    ignored: int = 0
    whole: bool = True


def taken_apart(body: bytes, records: str = "") -> Body:
    """The records of a message: O(bytes).

    Args:
        body: as it came.
        records: member path of the list in which the source's documents hold their records, "" = none.
    """
    body = body.removeprefix(_BOM).strip()
    if not body:
        return Body([], [("", "the message is empty")], whole=False)
    try:
        text = body.decode()
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return _by_lines(body)
    if text[end:].strip():
        return _by_lines(body)
    if isinstance(value, list):
        return Body(_elements(text), [])
    inside = _member(value, records)
    if inside is not None:
        return Body([json.dumps(one, ensure_ascii=False).encode(errors="surrogatepass") for one in inside], [])
    if isinstance(value, dict) and str(value.get("data_type", "")).lower() == "heartbeat":
        return Body([], [], ignored=1)
    return Body([_flat(body)], [])


def _by_lines(body: bytes) -> Body:
    """One JSON value a line; a line that is none is kept as it is."""
    records: list[bytes] = []
    broken: list[tuple[str, str]] = []
    lines = [line.strip() for line in body.split(b"\n") if line.strip()]
    for line in lines:
        try:
            json.loads(line.decode())
            records.append(line)
        except (ValueError, RecursionError):
            broken.append((line.decode(errors="backslashreplace"), "not readable as JSON"))
    if not records:
        return Body([], [(body.decode(errors="backslashreplace"), "not readable as JSON")], whole=False)
    return Body(records, broken)


def _elements(text: str) -> list[bytes]:
    """The elements of a JSON list as they stand in it, numbers as they were written."""
    decoder, found, at = json.JSONDecoder(), list[bytes](), 1
    while True:
        while text[at] in " \t\n\r,":
            at += 1
        if text[at] == "]":
            return found
        end = decoder.raw_decode(text, at)[1]
        found.append(_flat(text[at:end].encode()))
        at = end


def _member(value: Any, path: str) -> list[Any] | None:
    for part in path.split(".") if path else ():
        value = value.get(part) if isinstance(value, dict) else None
    return value if path and isinstance(value, list) else None


def _flat(value: bytes) -> bytes:
    """On one line: outside of texts JSON may have line ends, inside of them it has none."""
    return value.replace(b"\r", b" ").replace(b"\n", b" ")


@stream_request_body
class _In(RequestHandler):
    """POST /in/<source>."""

    def initialize(self, doors: Mapping[str, Door], ingest: Ingest, token: str, most: int) -> None:
        self.doors, self.ingest, self.token, self.most = doors, ingest, token.encode(), most
        self.body = bytearray()

    def prepare(self) -> None:
        if self.request.method != "POST":
            return self._say(405, "Only POST is taken here.")
        given = self.request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(errors="replace"), b"Bearer " + self.token):
            self.set_header("WWW-Authenticate", "Bearer")
            return self._say(401, "The header must be Authorization: Bearer <token>, with the token of this workspace.")
        if int(self.request.headers.get("Content-Length", 0) or 0) > self.most:
            return self._large()
        return None

    def data_received(self, chunk: bytes) -> None:
        if not self._finished:
            self.body += chunk
            if len(self.body) > self.most:
                self._large()

    async def post(self, name: str) -> None:
        if self._finished:
            return
        door = self.doors.get(name)
        if door is None:
            return self._say(404, f"There is no webhook for {name!r} here.{did_you_mean(name, self.doors)}")
        body = bytes(self.body)
        if door.secret:
            sign = "sha256=" + hmac.new(door.secret.encode(), body, hashlib.sha256).hexdigest()
            if not hmac.compare_digest(self.request.headers.get("X-Signature", "").encode(errors="replace"), sign.encode()):
                return self._say(401, "X-Signature must be sha256=<HMAC-SHA256 of the body with the shared secret, in hex>.")
        apart = await asyncio.to_thread(taken_apart, body, door.feed.mapper.source.records) if len(body) > 50_000 else taken_apart(
            body, door.feed.mapper.source.records)
        if not apart.records and not apart.broken:
            return self._say(200, "", received=0, accepted=0, duplicate=0, rejected=0, ignored=apart.ignored)
        try:
            done = self.ingest.put(Delivery(door.feed, apart.records, apart.broken))
            counts = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), PATIENCE)
        except (Behind, TimeoutError) as error:
            self.set_header("Retry-After", "1")
            return self._say(503, str(error) or "The journal is behind; send it again in a moment.")
        told = {"received": counts.received, "accepted": counts.accepted, "duplicate": counts.duplicate, "rejected": counts.rejected}
        if not apart.whole:
            return self._say(400, "The message is not JSON; it is kept among the rejects.", **told)
        return self._say(200, "", **told, position=counts.position)

    def _large(self) -> None:
        self.set_header("Connection", "close")
        self._say(413, f"A message may have {self.most:,} bytes; send fewer records at once.")

    def _say(self, status: int, sentence: str, **more: int) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({**({"error": sentence} if sentence else {}), **more}))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"error": "The message could not be taken; the watcher's log says why." if status_code >= 500 else self._reason}))

    def log_exception(self, *given: Any) -> None:
        """Without the request: its headers hold the token."""
        self.application.settings["told"](f"webhook: {type(given[1]).__name__}: {given[1]}")


class _Health(RequestHandler):
    """GET /health."""

    def initialize(self, ingest: Ingest, position: Callable[[], int]) -> None:
        self.ingest, self.position = ingest, position

    def get(self) -> None:
        self.finish({"ok": True, "position": self.position(), "waiting_bytes": self.ingest.behind})


def serve(doors: Mapping[str, Door], ingest: Ingest, *, token: str, most: int, position: Callable[[], int], told: Callable[[str], None]) -> HTTPServer:
    """An HTTP server that is not listening yet.

    Args:
        doors: source -> where its messages go.
        ingest: takes them.
        token: what senders must give.
        most: bytes of the largest message.
        position: of the journal, for /health.
        told: says what went wrong.
    """
    app = Application([
        (r"/in/([A-Za-z0-9_.-]+)", _In, {"doors": doors, "ingest": ingest, "token": token, "most": most}),
        (r"/health", _Health, {"ingest": ingest, "position": position}),
    ], log_function=lambda handler: None, told=told)
    return HTTPServer(app, max_body_size=1 << 30, idle_connection_timeout=120, body_timeout=60)
