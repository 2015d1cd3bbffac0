"""The line from a notebook kernel to the server that owns the files: token, questions out, Arrow frames and sentences back."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from workbench import errors
from workbench.errors import BadInput, SignInRefused, WorkbenchError
from workbench.session import wire
from workbench.session.address import Address

if TYPE_CHECKING:
    import pyarrow.flight as fl

#: Where a token and the certificate of the server's authority are read from when they are not given.
TOKEN_ENV, CA_ENV = "WORKBENCH_TOKEN", "WORKBENCH_CA"
FOLDER = Path("~/.config/workbench")
#: The key of a stream's metadata under which its origin is written.
ORIGIN = b"workbench.origin"
_ERRORS = {c.__name__: c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, WorkbenchError)}


class Line:
    """A connection to one server under one token. Several workbenches (``bind``) may share it; safe from several threads.

    Args:
        address: where the server is.
        token: what names the person; only its hash is known to the server.
        patience: seconds a question may take, its rows included.
    """

    def __init__(self, address: Address, token: str, *, patience: float = 3600.0) -> None:
        import pyarrow.flight as fl

        self.address, self._patience = address, patience
        self._headers = [(b"authorization", b"Bearer " + token.encode())]
        more = {"tls_root_certs": roots()} if address.kind == "grpc+tls" and roots() else {}
        self._client = fl.FlightClient(str(address), **more)

    def frame(self, question: dict[str, Any]) -> tuple[pl.DataFrame, dict[str, Any] | None]:
        """The frame that answers a question, its Arrow buffers taken over as they came, and the origin the server noted for it."""
        import pyarrow.flight as fl

        ticket = fl.Ticket(wire.pack(question))
        with self._translated():
            table = self._client.do_get(ticket, self._options(self._patience)).read_all()
        noted = (table.schema.metadata or {}).get(ORIGIN)
        frame = pl.from_arrow(table.replace_schema_metadata(None), rechunk=False)
        if not isinstance(frame, pl.DataFrame):
            raise WorkbenchError(f"The server at {self.address} sent no table.")
        return frame, None if noted is None else wire.unpack(noted)

    def act(self, kind: str, body: dict[str, Any], *, patience: float | None = None) -> list[bytes]:
        """What the server answers to an action, part by part."""
        import pyarrow.flight as fl

        action = fl.Action(kind, wire.pack(body))
        with self._translated():
            return [part.body.to_pybytes() for part in self._client.do_action(action, self._options(patience or self._patience))]

    def hang_up(self, session: str) -> None:
        """End a session; a server that is gone already is no fault."""
        if not sys.is_finalizing():
            with contextlib.suppress(WorkbenchError):
                self.act("close", {"session": session}, patience=2.0)

    def _options(self, patience: float) -> fl.FlightCallOptions:
        import pyarrow.flight as fl

        return fl.FlightCallOptions(timeout=patience, headers=self._headers)

    @contextlib.contextmanager
    def _translated(self) -> Any:
        import pyarrow as pa
        import pyarrow.flight as fl

        try:
            yield
        except fl.FlightUnavailableError as e:
            raise told(e) or WorkbenchError(f"The server at {self.address} does not answer; is it running, and is this its address? It is started with: "
                                            f"workbench serve --frames {self.address}") from None
        except fl.FlightTimedOutError:
            raise WorkbenchError(f"The server at {self.address} did not answer within {self._patience:,.0f} s; ask for less at a time.") from None
        except (fl.FlightError, pa.ArrowException) as e:
            first = str(e).splitlines()[0].split(". Detail:")[0]
            raise told(e) or WorkbenchError(f"The line to the server at {self.address} broke: {first}.") from None


def told(error: BaseException) -> WorkbenchError | None:
    """The error of the workbench that came with an error of the line: same class, same sentence; None when it carries none."""
    with contextlib.suppress(BadInput, ValueError):
        said = wire.unpack(getattr(error, "extra_info", b"") or b"")
        if isinstance(said, list) and len(said) == 2 and all(isinstance(s, str) for s in said):
            return _ERRORS.get(said[0], WorkbenchError)(said[1])
    return None


def token(given: str | None = None) -> str:
    """The token: the one given, else $WORKBENCH_TOKEN, else the file ~/.config/workbench/token.

    Raises:
        SignInRefused: there is none, or the file can be read by others.
    """
    if given or os.environ.get(TOKEN_ENV):
        return _clean(str(given or os.environ[TOKEN_ENV]))
    file = (FOLDER / "token").expanduser()
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SignInRefused(f"A server asks for a token. Get one from whoever runs it (workbench serve token NAME), then set {TOKEN_ENV}, or keep it in "
                            f"{FOLDER / 'token'} (chmod 600), or give token=...") from None
    if stat.S_IMODE(mode) & 0o077:
        raise SignInRefused(f"{FOLDER / 'token'} can be read by others, so it is not used; mend it with: chmod 600 {FOLDER / 'token'}")
    return _clean(text)


def _clean(text: str) -> str:
    text = text.strip()
    if not text or len(text) > 4096 or not text.isascii() or not text.isprintable() or " " in text:
        raise SignInRefused("The token is not one: it is a single word of letters, digits, - and _, as printed by: workbench serve token NAME")
    return text


def roots() -> bytes | None:
    """The certificate of the authority that signed the server's: $WORKBENCH_CA or ~/.config/workbench/ca.pem; None = those of the system.

    Raises:
        BadInput: the file named cannot be read.
    """
    named = os.environ.get(CA_ENV)
    file = Path(named or FOLDER / "ca.pem").expanduser()
    try:
        return file.read_bytes()
    except OSError as e:
        if named:
            raise BadInput(f"{CA_ENV} names {named}, which cannot be read ({e.strerror}).") from None
        return None
