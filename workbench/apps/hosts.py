"""Which requests are answered at all: those that name this server, by a path that is one.

A page of another machine can have its own name lead to 127.0.0.1 (DNS rebinding) and would then be of one origin with the workbench as the browser sees it;
its requests carry that name as ``Host``, and are refused here before any page is made. A path with a null, a backslash or a step upwards, plain or coded, is
none of this server's either.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import unquote_to_bytes

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import Application, RequestHandler

from workbench.agency import FILE, Agency
from workbench.errors import BadInput

_NAME = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?(:\d{1,5})?")
#: The names of one's own machine.
OWN = ("127.0.0.1", "localhost")
_USUAL = (":80", ":443")


def named(agency: Agency) -> tuple[str, ...]:
    """The further names under which a proxy leads here: ``[server] hosts`` of agency.toml, in lower case.

    Raises:
        BadInput: it is no list of host names.
    """
    said = agency.settings.get("server", {}).get("hosts", [])
    if not isinstance(said, list) or not all(isinstance(h, str) and _NAME.fullmatch(h.lower()) for h in said):
        raise BadInput(f'{FILE} [server] hosts = {said!r}; write the names under which browsers come, without http:// and path, e.g. '
                       'hosts = ["workbench.example.gov"].')
    return tuple(h.lower() for h in said)


def answered(address: str, port: int, more: Collection[str] = ()) -> frozenset[str]:
    """What ``Host`` may say, in lower case: the address listened on and the names of one's own machine with the port, and the further names as they stand.

    A server that listens on every address (0.0.0.0, ::) answers to no other machine's name unless ``more`` says it.
    """
    own = {address.lower(), *OWN}
    return frozenset({f"{h}:{port}" for h in own} | ({*own} if f":{port}" in _USUAL else set()) | {*more})


def origins(hosts: Collection[str]) -> list[str]:
    """The same as the origins of web sockets that Bokeh takes: with a port."""
    return sorted(h if ":" in h else f"{h}:80" for h in hosts)


class _Else(Matcher):
    """Matches what is not to be answered."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self.hosts = hosts

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """The sentence of the refusal, or None for a request that goes on."""
        asked = request.headers.get_list("Host")
        if len(asked) != 1 or asked[0].strip().lower() not in self.hosts:
            return {"target_kwargs": {"status": 421, "sentence": "This server does not answer to that name."}}
        path = unquote_to_bytes(request.path)
        if re.search(rb"[\x00-\x1f\x7f\\]|(^|/)\.\.(/|$)", path) or b"%" in path:
            return {"target_kwargs": {"status": 400, "sentence": "That is no address of this server."}}
        return None


class _Refused(RequestHandler):
    """Says no, whatever the method."""

    def initialize(self, status: int, sentence: str) -> None:
        """What to say."""
        self.said = status, sentence

    def check_xsrf_cookie(self) -> None:
        """Nothing to check: nothing is done."""

    def prepare(self) -> None:
        """The answer itself."""
        self.set_status(self.said[0])
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self.said[1] + "\n")


def install(application: Application, hosts: frozenset[str]) -> None:
    """Put the refusal before every page, file and web socket of a server."""
    application.default_router.rules.insert(0, Rule(_Else(hosts), _Refused))
