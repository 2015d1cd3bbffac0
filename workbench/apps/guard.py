"""What stands before every page and web socket: is somebody signed in, are they still, and what a browser may do with a page.

Bokeh asks the :class:`Guard` (its own ``AuthProvider``) before it makes a page or opens a web socket. Beyond that each message of an open web
socket is checked again, and once a second the pages of sessions that are locked, ended or closed lose theirs. Without any account in the
workspace everything passes, as on one's own machine; from the first account on nothing does without a sign-in, until the server is started anew.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import panel as pn
from panel.auth import AuthProvider
from panel.io.server import AutoloadJsHandler, WSHandler, get_session_id
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform, RequestHandler

from workbench.oversight.accounts import FILE, Accounts
from workbench.oversight.signed_in import Sessions, Signed

log = logging.getLogger("workbench.apps")

#: Seconds between looks at the pages that are open.
WATCH = 1.0
_SCRIPT = re.compile(rb"<script\b([^>]*>.*?</script\s*>)", re.S | re.I)
_POLICY = ("default-src 'none'; script-src 'self' 'unsafe-eval' blob: data: 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
           "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; manifest-src 'self'; media-src 'none'; object-src 'none'; "
           "base-uri 'none'; form-action 'self'; frame-ancestors 'none'")


def here() -> Signed | None:
    """Who the page being made or worked on is for; None where nobody needs to sign in."""
    document = pn.state.curdoc
    context = document.session_context if document is not None else None
    return getattr(getattr(context, "request", None), "signed_in", None)


class Guard(AuthProvider):
    """The guard of one served workspace.

    Args:
        workspace: its folder.
        paths: the addresses of its pages: the only ones that a sign-in leads to.
    """

    def __init__(self, workspace: Path, paths: Sequence[str]) -> None:
        self.accounts = Accounts(workspace / FILE)
        self.sessions = Sessions(self.accounts)
        self.settings = self.accounts.settings
        self.paths = frozenset(paths)
        self.patterns: list[tuple[str, type[RequestHandler], dict[str, Any]]] = []
        self._needed = self.settings.oidc is not None
        self._owners: dict[str, str] = {}
        mark = hashlib.sha256(str(workspace.resolve()).encode()).hexdigest()[:8]
        self.cookie, self.xsrf = f"workbench_{mark}", f"workbench_form_{mark}"  # cookies of one host are seen on all its ports
        super().__init__()

    # ------------------------------------------------------------------ what Bokeh asks for

    get_user_async = login_handler = login_url = logout_handler = logout_url = None

    @property
    def endpoints(self) -> list[Any]:
        """The pages of the sign-in itself."""
        return list(self.patterns)

    @property
    def get_user(self) -> Callable[[Any], Any]:
        """Asked before every page and web socket: a name, or None for nobody."""
        return self._user

    @property
    def get_login_url(self) -> Callable[[Any], str]:
        """Where somebody who may not see a page is sent."""
        return lambda handler: self.way_in(self.signed(handler), handler.request.uri or "/")

    # ------------------------------------------------------------------ who it is

    def needed(self) -> bool:
        """Whether a sign-in is needed; once it was it stays so."""
        self._needed = self._needed or self.accounts.any()
        return self._needed

    def key(self, handler: RequestHandler) -> str:
        """The session's key as the browser's signed cookie holds it, "" for none."""
        if not handler.settings.get("cookie_secret"):  # the first account was made while the server ran
            handler.settings["cookie_secret"] = self.accounts.store.secret("cookie")
        found = handler.get_signed_cookie(self.cookie, max_age_days=8)
        return found.decode("ascii", "replace") if found else ""

    def signed(self, handler: RequestHandler) -> Signed | None:
        """Who is signed in, open or locked."""
        return self.sessions.state(self.key(handler))

    def _user(self, handler: RequestHandler) -> str | None:
        if not self.needed():
            return "everybody on this machine"
        socket = isinstance(handler, WSHandler)
        signed = self.signed(handler) if socket else self.sessions.act(self.key(handler))
        if signed is None or not signed.open or self._of_another(handler, signed):
            return None
        handler.request.signed_in = signed  # type: ignore[attr-defined]
        return signed.user

    def _of_another(self, handler: RequestHandler, signed: Signed) -> bool:
        """Whether a page is asked for that was made for another session."""
        asked = [handler.get_query_argument("bokeh-session-id", ""), handler.request.headers.get("Bokeh-Session-Id", "")]
        tokens = [handler.get_query_argument("bokeh-token", ""), *handler.request.headers.get("Sec-WebSocket-Protocol", "").split(",")[1:2]]
        try:
            asked += [get_session_id(t.strip()) for t in tokens if t.strip()]
        except (ValueError, KeyError, TypeError):
            return True
        return any(self._owners.get(a, signed.key) != signed.key for a in asked if a)

    def own(self, signed: Signed) -> None:
        """The page being made belongs to a session, and to no other."""
        context = pn.state.curdoc.session_context if pn.state.curdoc is not None else None
        if context is not None:
            self._owners[context.id] = signed.key

    # ------------------------------------------------------------------ where to

    def path(self, wanted: str) -> str:
        """The page wanted if it is one of this server's own, else the first page: nobody is ever sent elsewhere."""
        if not wanted.startswith("/") or re.search(r"[\\\x00-\x20\x7f]", wanted):
            return "/"
        parts = urlsplit(wanted)
        return wanted if not parts.scheme and not parts.netloc and parts.path in self.paths and not wanted.startswith("//") else "/"

    def way_in(self, signed: Signed | None, wanted: str) -> str:
        """The page on which somebody goes on who may not see the one wanted. A locked page keeps no case in its address."""
        state = signed.state if signed is not None else ""
        place = {"locked": "/lock", "change": "/password"}.get(state, "/sign-in")
        wanted = self.path(wanted)
        return f"{place}?{urlencode({'next': wanted.partition('?')[0] if state == 'locked' else wanted})}"

    # ------------------------------------------------------------------ pages that are open

    def install(self, application: Any) -> None:
        """Put the guard into a Bokeh server: secrets, and a check of each message of a web socket."""
        application.settings["cookie_secret"] = self.accounts.store.secret("cookie") if self.needed() else None
        guard = self

        class GuardedSocket(WSHandler):
            """A web socket that asks for each message whether its person is still signed in."""

            async def on_message(self, fragment: str | bytes) -> None:
                if guard.needed():
                    signed = guard.signed(self)
                    if signed is None or not signed.open:
                        self.close(4401, "signed out")
                        return
                await super().on_message(fragment)

        for rule in application.wildcard_router.rules:
            if rule.target is WSHandler:
                rule.target = GuardedSocket
            elif isinstance(rule.target, type) and issubclass(rule.target, AutoloadJsHandler):
                rule.target = self._closed(rule.target)

    def _closed(self, handler: type[Any]) -> type[Any]:
        """A handler that sends to the sign-in who is not signed in, and goes no further; Panel's own would go on without a session."""
        guard = self

        class Closed(handler):
            async def get(self, *args: Any, **kwargs: Any) -> None:
                if guard.get_user(self) is None:
                    self.redirect(guard.get_login_url(self))
                    return
                await super().get(*args, **kwargs)

        return Closed

    def watch(self, application: Any) -> None:
        """Close the web sockets of sessions that are no longer open, and let their pages be forgotten. Called every second."""
        held: set[str] = set()
        gone = {key for key in set(self._owners.values()) if not self.sessions.alive(key)}
        if self.needed():
            for client in list(application._clients):
                owner = self._owners.get(client.session.id)
                if owner is None or owner in gone:
                    client._socket.close(4401, "signed out")
        for path in application.app_paths:
            for session in application.get_sessions(path):
                held.add(session.id)
                if self._owners.get(session.id) in gone:
                    session.request_expiration()
        self._owners = {i: k for i, k in self._owners.items() if i in held or k not in gone}

    # ------------------------------------------------------------------ what a browser may do with a page

    def headers(self) -> type[OutputTransform]:
        """What puts the security headers on every answer, and the watch on idleness into every page of somebody signed in."""
        guard = self

        class Headers(OutputTransform):
            def __init__(self, request: HTTPServerRequest) -> None:
                self.request = request

            def transform_first_chunk(self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool) -> tuple[int, HTTPHeaders, bytes]:
                return status_code, headers, guard._dressed(self.request, status_code, headers, chunk)

            def transform_chunk(self, chunk: bytes, finishing: bool) -> bytes:
                return chunk

        return Headers

    def _dressed(self, request: HTTPServerRequest, status: int, headers: HTTPHeaders, chunk: bytes) -> bytes:
        if status == 101:
            return chunk
        del headers["Server"]
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cross-Origin-Opener-Policy"] = headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if request.headers.get("Sec-Fetch-Dest") == "script" and headers.get("Content-Type") == "application/octet-stream":
            headers["Content-Type"] = "text/javascript"  # Panel's own copies have names such as vega@6.1.2
        if not request.path.startswith(("/static/", "/components/", "/favicon")):
            headers["Cache-Control"] = "no-store"
        if not headers.get("Content-Type", "").startswith("text/html"):
            return chunk
        signed = getattr(request, "signed_in", None)
        if signed is not None and status == 200 and chunk:
            watch = f'<script src="/session.js" data-idle="{self.sessions.idle:g}" data-form="{self.xsrf}"></script></head>'
            chunk = chunk.replace(b"</head>", watch.encode(), 1)
        if "Content-Security-Policy" not in headers:
            nonce = secrets.token_urlsafe(18)
            chunk = _SCRIPT.sub(rb'<script nonce="' + nonce.encode() + rb'"\1', chunk)
            headers["Content-Security-Policy"] = _POLICY.format(nonce=nonce)
        if "Content-Length" in headers and status != 304:
            headers["Content-Length"] = str(len(chunk))
        headers["X-Frame-Options"] = "DENY"
        headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"
        return chunk


def quiet_log(handler: RequestHandler) -> None:
    """The access log, without what stands behind ``?``: there are case numbers in it, and the codes of the agency's sign-in."""
    status, path = handler.get_status(), handler.request.path
    level = logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
    logging.getLogger("tornado.access").log(level, "%d %s %s %.0f ms", status, handler.request.method, path, 1000 * handler.request.request_time())
