"""One process that serves the hub and every app on this machine's own address, and forgets a session when it ends.

Where the workspace has accounts, or agency.toml names the agency's own sign-in, each page needs somebody signed in and opens the workspace as them.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import panel as pn
from panel.io.server import get_server
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from workbench import apps
from workbench import session as sessions
from workbench.apps import guard as guards
from workbench.apps import hosts, hub, login, page
from workbench.errors import BadInput, SignInRefused, WorkbenchError
from workbench.oversight.audit import Person
from workbench.oversight.oidc import Provider
from workbench.oversight.signed_in import Signed
from workbench.session import Workbench

log = logging.getLogger("workbench.apps")

#: Calculations that may run at once; each runs beside the event loop, so that one person's long question does not stall another's click.
THREADS = 4


@dataclass
class Served:
    """A running server: its address, and how to end it."""

    url: str
    port: int
    moved: bool = False
    _server: Any = field(default=None, repr=False)
    _loop: IOLoop | None = field(default=None, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    def stop(self) -> None:
        """End a server started in the background."""
        if self._loop is not None and self._thread is not None:
            self._loop.add_callback(self._end)
            self._thread.join(10)

    def _end(self) -> None:
        self._server.stop(wait=False)
        if self._loop is not None:
            self._loop.stop()

    def sessions(self) -> int:
        """How many sessions the server holds."""
        return len(self._server.get_sessions())


def serve(workbench: Workbench, *, port: int = 5006, address: str = "127.0.0.1", show: bool = False, started: Callable[[str], None] | None = None) -> None:
    """Serve the hub and every app until interrupted (Ctrl+C).

    Args:
        workbench: whose workspace is served; every page opened sees the newest state of its tables, under this workbench's case and purpose.
        port: where; 0 or a port that is taken gives an unused one, and the address printed says so.
        address: the address to listen on; pages answer only to a browser that came by it, by a name of one's own machine or of ``[server] hosts``.
        show: open the browser too.
        started: called with the address instead of printing it.

    Raises:
        BadInput: the address is not one of this machine, or ``[server] hosts`` holds no names.
    """
    loop = IOLoop(make_current=True)
    served = _listen(workbench, port, address, loop, keep_session=15.0)
    if served.moved and port:
        print(f"Port {port} is taken by another program, so {served.port} is used instead.", flush=True)
    if started is not None:
        started(served.url)
    else:
        print(f"The workbench of {workbench.agency.name} is at {served.url}  (Ctrl+C ends it)", flush=True)
    if show:
        webbrowser.open(served.url)
    with contextlib.suppress(KeyboardInterrupt):
        loop.start()
    served._server.stop(wait=False)


def background(workbench: Workbench, *, port: int = 0, address: str = "127.0.0.1", keep_session: float = 15.0) -> Served:
    """The same server in a thread of this process; ``keep_session`` is how many seconds a session is kept after its page is gone.

    Raises:
        BadInput: the address is not one of this machine.
    """
    ready: list[Served | BaseException] = []
    listening = threading.Event()

    def run() -> None:
        loop = IOLoop(make_current=True)
        try:
            ready.append(_listen(workbench, port, address, loop, keep_session))
        except BaseException as error:
            ready.append(error)
            listening.set()
            return
        listening.set()
        loop.start()
        loop.close()

    thread = threading.Thread(target=run, name="workbench-server", daemon=True)
    thread.start()
    listening.wait()
    served = ready[0]
    if isinstance(served, BaseException):
        raise served
    served._thread = thread
    return served


def _listen(workbench: Workbench, port: int, address: str, loop: IOLoop, keep_session: float) -> Served:
    chosen = _port(port, address)
    names = hosts.answered(address, chosen, hosts.named(workbench.agency))
    pn.extension("vega", nthreads=THREADS)
    for name in ("asyncio", "bokeh.server.views.ws"):
        logging.getLogger(name).addFilter(_is_news)  # the same function is added once only
    entries = apps.listed(workbench.path / "plugins")
    agency = page.bare(workbench.agency.name)
    titles = {"/": agency} | {f"/{e.name}": f"{page.bare(e.title)} · {agency}" for e in entries}
    guard = guards.Guard(workbench.path, list(titles))
    oidc = guard.settings.oidc
    provider = cache(lambda: Provider(guard.accounts, oidc, f"http://{address}:{chosen}/sign-in/oidc/back")) if oidc is not None else None
    guard.patterns = login.patterns(guard, workbench.agency.name, provider)
    server = get_server(
        _routes(workbench, entries, guard), title=titles, port=chosen, address=address, websocket_origin=hosts.origins(names), loop=loop, show=False,
        start=False, verbose=False, admin=False, auth_provider=guard, transforms=[guard.headers()], log_function=guards.quiet_log,
        xsrf_cookies=True, xsrf_cookie_name=guard.xsrf, xsrf_cookie_kwargs={"samesite": "Lax" if oidc else "Strict", "secure": guard.settings.https},
        sign_sessions=True, secret_key=secrets.token_bytes(32), exclude_cookies=[guard.cookie, guard.xsrf, f"{guard.cookie}_oidc"],
        exclude_headers=["Cookie", "Authorization"],
        unused_session_lifetime_milliseconds=int(keep_session * 1000), check_unused_sessions_milliseconds=int(max(0.2, keep_session / 3) * 1000),
    )
    guard.install(server._tornado)
    hosts.install(server._tornado, names)
    server.start()
    watch = PeriodicCallback(lambda: guard.watch(server._tornado), 1000 * guards.WATCH)
    loop.add_callback(watch.start)
    # Panel starts one task for the whole process within the first session that is busy, and that task would hold this session's document for ever.
    loop.add_callback(pn.state._schedule_busy_cleanup)
    return Served(f"http://{address}:{chosen}/", chosen, chosen != port, server, loop)


def _is_news(record: logging.LogRecord) -> bool:
    """A page left while its answer was under way is no fault; everything else is logged."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (WebSocketClosedError, StreamClosedError)) and "connection was closed" not in record.getMessage()


def _routes(workbench: Workbench, entries: list[apps.Entry], guard: guards.Guard) -> dict[str, Any]:
    """Address -> what makes the page."""
    routes: dict[str, Any] = {"/": _page(workbench, entries, None, guard)}
    return routes | {f"/{entry.name}": _page(workbench, entries, entry, guard) for entry in entries}


def _page(workbench: Workbench, entries: list[apps.Entry], entry: apps.Entry | None, guard: guards.Guard) -> Callable[[], Any]:
    def made() -> Any:
        here = entry.name if entry else ""
        bare = workbench
        try:
            if guard.needed():
                signed = guards.here()
                bare = copy.copy(workbench)
                bare.person = Person(signed.user, role=signed.role) if signed is not None else Person("not signed in")
                if signed is None:
                    raise SignInRefused("Nobody is signed in; open the page anew.")
                guard.own(signed)
                own = opened_for(workbench, signed)
            else:
                own = fresh(workbench)
            made = hub.home(own, entries) if entry is None else entry.page(own)
        except Exception as error:
            message = page.Message()
            message.show(*page.sentence_of(error))
            return page.shell(bare, entry.title if entry else "Workbench", [message.pane], here=here)
        return made if hasattr(made, "server_doc") and hasattr(made, "sidebar") else page.shell(own, entry.title if entry else "Home", [made], here=here)

    return made


def fresh(workbench: Workbench) -> Workbench:
    """The same workspace and person with the newest table versions: a session's own workbench."""
    return workbench.again()


def opened_for(workbench: Workbench, signed: Signed) -> Workbench:
    """The same workspace opened as the person signed in, in their role and without a case: they open one themselves, with purpose and reason."""
    return sessions.opened_for(workbench.path, Person(signed.user, role=signed.role))


def _port(port: int, address: str) -> int:
    """The port asked for when it is free, else an unused one.

    Raises:
        BadInput: the address cannot be listened on.
    """
    if ":" in address:  # Panel takes the port of Host for what stands behind its first colon
        raise BadInput(f"The pages cannot be served on {address!r}, an address of IPv6; use 127.0.0.1, this machine's own.")
    if not 0 <= port <= 65535:
        raise BadInput(f"Port {port} is not possible; give one from 1024 to 65535, or 0 for an unused one.")
    for wanted in dict.fromkeys((port, 0)):
        with socket.socket(socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, wanted))
            except OSError as error:
                if wanted == 0:
                    raise BadInput(f"The workbench cannot listen on {address!r} ({error.strerror}); use address 127.0.0.1, this machine's own.") from None
                continue
            return int(probe.getsockname()[1])
    raise WorkbenchError(f"No port is free on {address}.")
