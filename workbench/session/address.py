"""Where a server of frames is: a local socket, this machine's own address, or TLS; anything else would show the token to the network."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from workbench.errors import BadInput

EXAMPLES = "grpc://127.0.0.1:8815, grpc+unix:///run/workbench/workbench.sock or grpc+tls://server.example:8815"
#: What ``workbench serve --frames`` takes without an address.
DEFAULT = "grpc://127.0.0.1:8815"
_LONGEST = 100


@dataclass(frozen=True)
class Address:
    """One address: ``kind`` is "grpc", "grpc+tls" or "grpc+unix"; host and port, or the path of a socket."""

    kind: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"grpc+unix://{self.path}"
        return f"{self.kind}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether nothing leaves the machine."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(text: str) -> Address:
    """An address as it is written.

    Raises:
        BadInput: it is not one, or it is neither local nor TLS.
    """
    kind, mark, rest = text.strip().partition("://")
    if kind not in ("grpc", "grpc+tcp", "grpc+tls", "grpc+unix") or not mark:
        raise BadInput(f"{text!r} is not an address of frames; write {EXAMPLES}.")
    if kind == "grpc+unix":
        if not rest.startswith("/") or "\0" in rest or len(rest.encode()) > _LONGEST:
            raise BadInput(f"{text!r}: a local socket needs a full path of at most {_LONGEST} bytes, e.g. grpc+unix:///run/workbench/workbench.sock.")
        return Address(kind, path=rest)
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})/?", rest)
    if not found or int(found[2]) > 65535:
        raise BadInput(f"{text!r} has no host and port; write {EXAMPLES}.")
    address = Address("grpc+tls" if kind == "grpc+tls" else "grpc", host=found[1].strip("[]"), port=int(found[2]))
    if address.kind == "grpc" and not address.loopback:
        raise BadInput(f"{text!r} would send tokens and rows over the network unencrypted; use grpc+tls://{rest.rstrip('/')} with a certificate, "
                       "or an address of this machine (grpc://127.0.0.1:8815, grpc+unix://...).")
    return address
