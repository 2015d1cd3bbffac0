"""What ``[server]`` of agency.toml says: where frames are served, under which certificate, to which group, and the limits."""

from __future__ import annotations

import grp
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.agency import FILE, Agency
from workbench.errors import BadInput, did_you_mean
from workbench.session import address as addresses
from workbench.session.address import Address

#: Keys of ``[server]`` that others read: whether Python plug-ins are imported (``plugins``), and by which names the pages answer (``apps.hosts``).
ELSEWHERE = ("plugins", "hosts")


@dataclass(frozen=True)
class Settings:
    """Checked settings of a server of frames.

    Args:
        address: where it listens.
        certificate, key: PEM files for grpc+tls, inside the workspace or with a full path.
        group: the group that may open a local socket; None = that of the service account.
        mode: file mode of a local socket.
        idle_minutes: a session without a question for so long ends.
        queries: questions that run at once; one person has at most half of them (at least one).
        sessions: sessions held at once; one person has at most a quarter of them.
        rows: longest frame that is sent.
        wait_seconds: how long a question waits for its turn before it is refused.
    """

    address: str = addresses.DEFAULT
    certificate: Path | None = None
    key: Path | None = None
    group: str | None = None
    mode: int = 0o660
    idle_minutes: float = 30.0
    queries: int = 4
    sessions: int = 128
    rows: int = 50_000_000
    wait_seconds: float = 30.0

    @classmethod
    def of(cls, agency: Agency) -> Settings:
        """The settings of an agency.

        Raises:
            BadInput: an unknown key, or a value that cannot be.
        """
        known = {"address": _text, "certificate": _file, "key": _file, "group": _text, "mode": _mode, "idle_minutes": _number, "queries": _whole,
                 "sessions": _whole, "rows": _whole, "wait_seconds": _number}
        found: dict[str, Any] = {}
        for name, value in agency.settings.get("server", {}).items():
            if name in ELSEWHERE:
                continue
            if name not in known:
                raise BadInput(f"{FILE} [server] has an unknown key {name!r}.{did_you_mean(name, [*known, *ELSEWHERE])}")
            found[name] = known[name](agency, name, value)
        made = cls(**found)
        addresses.parse(made.address)
        return made

    def listening(self, address: str | None = None) -> Address:
        """Where to listen: the address given, else that of the settings.

        Raises:
            BadInput: it is not an address, or it is TLS and there is no certificate.
        """
        found = addresses.parse(address or self.address)
        if found.kind == "grpc+tls" and not (self.certificate and self.key):
            raise BadInput(f'{found} needs a certificate: write certificate = "server.pem" and key = "server.key" under [server] in {FILE}.')
        return found

    def pair(self) -> list[tuple[bytes, bytes]]:
        """The certificate and its key.

        Raises:
            BadInput: a file cannot be read, or the key can be read by others.
        """
        if not (self.certificate and self.key):
            return []
        try:
            if stat.S_IMODE(self.key.stat().st_mode) & 0o077:
                raise BadInput(f"The key {self.key} can be read by others; mend it with: chmod 600 {self.key}")
            return [(self.certificate.read_bytes(), self.key.read_bytes())]
        except OSError as e:
            raise BadInput(f"The certificate or key of {FILE} [server] cannot be read: {e.filename} ({e.strerror}).") from None

    def admit(self, socket: Path) -> None:
        """Give a local socket its mode and group.

        Raises:
            BadInput: there is no such group, or the service account is not in it.
        """
        if self.group is not None:
            try:
                os.chown(socket, -1, grp.getgrnam(self.group).gr_gid)
            except KeyError:
                raise BadInput(f"{FILE} [server] names the group {self.group!r}, which this machine does not have.") from None
            except PermissionError:
                raise BadInput(f"The service account is not in the group {self.group!r}, so it cannot give it the socket: "
                               f"usermod -aG {self.group} ACCOUNT") from None
        socket.chmod(self.mode)


def _text(agency: Agency, name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{FILE} [server] {name} = {value!r}; write a text.")
    return value.strip()


def _file(agency: Agency, name: str, value: Any) -> Path:
    return agency.folder / _text(agency, name, value)


def _mode(agency: Agency, name: str, value: Any) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise BadInput(f'{FILE} [server] mode = {value!r}; write it as a text, e.g. mode = "660".')
    return int(value, 8)


def _number(agency: Agency, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
        raise BadInput(f"{FILE} [server] {name} = {value!r}; write a number above 0.")
    return float(value)


def _whole(agency: Agency, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(f"{FILE} [server] {name} = {value!r}; write a whole number from 1.")
    return value
