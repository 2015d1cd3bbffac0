"""The Flight server itself: tokens at the door, questions in turn, frames in pieces, and one sentence for whatever goes wrong."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as fl

from workbench import agency as agencies
from workbench.errors import BadInput, SignInRefused, WorkbenchError
from workbench.oversight.audit import Audit, Person, current_user
from workbench.serving import answers, tokens
from workbench.serving.sessions import Session, Sessions
from workbench.serving.settings import Settings
from workbench.serving.turns import Turns
from workbench.session import wire
from workbench.session.address import Address

log = logging.getLogger("workbench.serving")

#: Wrong tokens of one machine written to the audit in a minute; the rest are only counted.
WRONG = 20
_SENTENCE = 2500
_UNSERVED = "This server answers the questions of a workbench and nothing else; open it with wb.open_workbench."


class _Carried(fl.ServerMiddleware):
    def __init__(self, token: str) -> None:
        self.token = token


class _Tokens(fl.ServerMiddlewareFactory):
    """Takes the bearer token off a call's headers; whether it is good is asked by each call."""

    def start_call(self, info: Any, headers: Any) -> _Carried:
        found = next((v for k, values in headers.items() if k.lower() == "authorization" for v in values), "")
        return _Carried(found.removeprefix("Bearer ") if isinstance(found, str) and found.startswith("Bearer ") and len(found) < 5000 else "")


class Frames(fl.FlightServerBase):
    """A running server of frames; it listens from the moment it is made. See :func:`listen`."""

    def __init__(self, path: Path, settings: Settings, address: Address, who: Callable[[str], Person]) -> None:
        self.settings, self.address, self._who, self._path = settings, address, who, path
        self.sessions, self.turns = Sessions(path, settings), Turns(settings.queries, settings.wait_seconds)
        self._audit, self._us = Audit(path / "audit.db"), Person(current_user())
        self._stopping = threading.Event()
        self._wrong: dict[str, deque[float]] = {}
        more = {"tls_certificates": settings.pair()} if address.kind == "grpc+tls" else {}
        super().__init__(str(address), middleware={"token": _Tokens()}, **more)
        threading.Thread(target=self._sweep, name="workbench-frames-sweep", daemon=True).start()

    @property
    def url(self) -> str:
        """The address for ``open_workbench``, with the port that was really taken."""
        return str(self.address) if self.address.path else str(Address(self.address.kind, self.address.host, self.port))

    # ------------------------------------------------------------------ what Flight calls

    def do_get(self, context: Any, ticket: Any) -> Any:
        """A question that is answered with a frame."""
        with self._guarded(context):
            asked = wire.unpack(ticket.ticket, most=wire.REQUEST)
            with self._session(context, asked) as session:
                slot = self.turns.take(session.city.user)
                try:
                    frame, noted = answers.frame(session, asked)
                    if frame.height > self.settings.rows:
                        raise BadInput(f"The answer has {frame.height:,} rows; this server sends at most {self.settings.rows:,}. Ask for a shorter period.")
                    schema = answers.schema(frame, noted)
                    if "dictionary<" in str(schema):  # Flight sends dictionaries only with a table that is there as a whole
                        slot.release()
                        return fl.RecordBatchStream(answers.whole(frame, schema))
                    return fl.GeneratorStream(schema, self._stream(answers.pieces(frame), slot, session))
                except BaseException:
                    slot.release()
                    raise

    def do_action(self, context: Any, action: Any) -> Any:
        """Open or close a session, a question that is answered with a value, or a deed for the audit."""
        with self._guarded(context):
            asked = wire.unpack(action.body.to_pybytes(), most=wire.REQUEST)
            return iter([fl.Result(part) for part in self._acted(context, action.type, asked)])

    def _acted(self, context: Any, kind: str, asked: Any) -> list[bytes]:
        person, holder, peer = self._person(context)
        if kind == "open":
            return answers.opened(self.sessions.open(person, holder, peer, asked))
        if kind == "close":
            self.sessions.close(asked.get("session") if isinstance(asked, dict) else None, holder)
            return [wire.pack(None)]
        with self._session(context, asked) as session:
            if kind == "call":
                with self.turns.take(session.city.user):
                    return [answers.value(session, asked)]
            if kind == "deed" and set(asked) == {"session", "phase", "deed", "action", "object", "detail"}:
                return [wire.pack(session.deed(**{k: v for k, v in asked.items() if k != "session"}))]
        raise BadInput(_UNSERVED)

    def list_flights(self, context: Any, criteria: Any) -> Any:
        """Nothing is listed."""
        return self._unserved(context)

    def get_flight_info(self, context: Any, descriptor: Any) -> Any:
        """Nothing is described."""
        return self._unserved(context)

    def get_schema(self, context: Any, descriptor: Any) -> Any:
        """Nothing is described: an empty schema, for whoever asks."""
        return fl.SchemaResult(pa.schema([]))

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> Any:
        """Nothing is taken."""
        return self._unserved(context)

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> Any:
        """Nothing is exchanged."""
        return self._unserved(context)

    def list_actions(self, context: Any) -> Any:
        """Nothing is listed."""
        return self._unserved(context)

    def _unserved(self, context: Any) -> Any:
        with self._guarded(context):
            self._person(context)
            raise BadInput(_UNSERVED)

    # ------------------------------------------------------------------ the door

    def _person(self, context: Any) -> tuple[Person, str, str]:
        """Who asks, the hash of the token, and the machine asked from.

        Raises:
            SignInRefused: the token is missing or not good; it is written to the audit.
        """
        token, peer = context.get_middleware("token").token, _machine(context.peer())
        try:
            if not token:
                raise SignInRefused("The server asks for a token; set WORKBENCH_TOKEN, or give token=...")
            return self._who(token), tokens.hashed(token), peer
        except SignInRefused as refused:
            self._note_wrong(peer)
            raise refused

    def _note_wrong(self, peer: str) -> None:
        now, tries = time.monotonic(), self._wrong.setdefault(peer if len(self._wrong) < 1000 else "", deque())
        while tries and tries[0] < now - 60:
            tries.popleft()
        tries.append(now)
        if len(tries) <= WRONG:
            self._audit.write(Person("unknown"), "sign in", self._path.name, phase="refused", peer=peer, last=len(tries) == WRONG)
        else:
            tries.pop()
            time.sleep(0.5)

    @contextlib.contextmanager
    def _session(self, context: Any, asked: Any) -> Iterator[Session]:
        _, holder, _ = self._person(context)
        with self.sessions.of(asked.get("session") if isinstance(asked, dict) else None, holder) as session:
            yield session

    @contextlib.contextmanager
    def _guarded(self, context: Any) -> Iterator[None]:
        """Whatever goes wrong reaches the client as one sentence; what was not foreseen is in the server's log under a number."""
        try:
            if self._stopping.is_set():
                raise WorkbenchError("The server is stopping; try again when it is up.")
            yield
        except WorkbenchError as e:
            raise _sent(type(e).__name__, str(e)) from None
        except fl.FlightError:
            raise
        except Exception:
            number = secrets.token_hex(4)
            log.exception("fault %s", number)
            raise _sent("WorkbenchError", f"The server could not answer; its log says why under {number}.") from None

    def _stream(self, batches: Iterator[Any], slot: Any, session: Session) -> Iterator[Any]:
        """The pieces; the slot is free again when all are sent, or when the client is gone and the stream is dropped."""
        try:
            for batch in batches:
                if self._stopping.is_set():
                    raise _sent("WorkbenchError", "The server was stopped while it sent the rows; ask again when it is up.")
                yield batch
                session.asked_at = time.monotonic()
        finally:
            slot.release()

    def _sweep(self) -> None:
        while not self._stopping.wait(min(30.0, self.settings.idle_minutes * 20)):
            with contextlib.suppress(WorkbenchError):
                self.sessions.sweep()

    # ------------------------------------------------------------------ the end

    def stop(self, grace: float = 10.0) -> bool:
        """Refuse what is new, let what runs come to its end, end every session in the audit. Returns whether all came to an end in time."""
        self._stopping.set()
        ending = threading.Thread(target=self.shutdown, name="workbench-frames-stop", daemon=True)
        ending.start()
        ending.join(grace)
        self.sessions.end_all("the server was stopped")
        self._audit.write(self._us, "stop serving", self._path.name, address=self.url, clean=not ending.is_alive())
        if self.address.path:
            Path(self.address.path).unlink(missing_ok=True)
        return not ending.is_alive()


def listen(path: Path, address: str | None = None, *, settings: Settings | None = None, who: Callable[[str], Person] | None = None) -> Frames:
    """Begin to serve a workspace's frames, in the background.

    Args:
        path: the workspace.
        address: where; None = what ``[server]`` of agency.toml says, else grpc://127.0.0.1:8815.
        settings: None = those of agency.toml.
        who: tells who holds a token; None = the workspace's accounts, else its ``tokens.json``.

    Raises:
        BadInput: the address cannot be listened on, or the settings cannot be.
    """
    settings = settings or Settings.of(agencies.read(path))
    where = settings.listening(address)
    audit = Audit(path / "audit.db")
    if where.path:
        _make_room(Path(where.path))
    before = os.umask(0o177) if where.path else None
    try:
        made = Frames(path, settings, where, who or tokens.who(path))
    except (fl.FlightError, OSError, ValueError) as e:
        raise BadInput(f"The server cannot listen on {where}: the address is taken or not of this machine ({str(e).splitlines()[0]}).") from None
    except Exception as e:
        if "server did not start" not in str(e).lower():
            raise
        raise BadInput(f"The server cannot listen on {where}: the address is taken, or not one of this machine.") from None
    finally:
        if before is not None:
            os.umask(before)
    try:
        if where.path:
            settings.admit(Path(where.path))
        audit.write(Person(current_user()), "serve", path.name, address=made.url)
    except BaseException:
        made.stop(1.0)
        raise
    return made


def _make_room(file: Path) -> None:
    """Take away the socket of a server that is gone; refuse when one answers there, or when it is something else."""
    if not file.parent.is_dir():
        raise BadInput(f"There is no folder {file.parent} for the socket; make it, owned by the service account (systemd: RuntimeDirectory=workbench).")
    if not file.exists() and not file.is_symlink():
        return
    if not stat.S_ISSOCK(file.lstat().st_mode):
        raise BadInput(f"{file} is there and is no socket; choose another path.")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(file))
        except ConnectionRefusedError:
            file.unlink(missing_ok=True)
            return
        except OSError as e:
            raise BadInput(f"The socket {file} is there and cannot be looked at ({e.strerror}); remove it or choose another path.") from None
    raise BadInput(f"Another server answers at {file}; stop it first or choose another path.")


def _machine(peer: str) -> str:
    """The machine of a gRPC peer: "ipv4:10.0.0.5:4711" -> "10.0.0.5", "unix:" -> "local socket"."""
    kind, _, rest = peer.partition(":")
    return "local socket" if kind == "unix" else rest.rpartition(":")[0].strip("[]").replace("%5B", "").replace("%5D", "") or peer


def _sent(kind: str, sentence: str) -> fl.FlightServerError:
    """An error of the workbench as Flight carries it; headers are short, so a very long sentence is cut."""
    raw = sentence.encode("utf-8", "replace")
    if len(raw) > _SENTENCE:
        sentence = raw[:_SENTENCE].decode("utf-8", "ignore") + " ..."
    short = "".join(c if c.isprintable() else " " for c in sentence[:200]).encode("ascii", "replace").decode()
    made = fl.FlightUnauthenticatedError if kind == "SignInRefused" else fl.FlightServerError
    return made(short, wire.pack([kind, sentence]))
