"""What an agency says about signing in: the section [accounts] of agency.toml, checked key by key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workbench.agency import FILE, Agency
from workbench.errors import BadInput, did_you_mean
from workbench.oversight.access import Policy

#: Roles that a workspace has whose agency.toml names none.
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Oidc:
    """An OpenID Connect provider that people sign in with, in place of a password here.

    ``roles`` maps a value of the claim ``role_claim`` to a role of the workbench; who has none of them is refused.
    """

    issuer: str
    client_id: str
    client_secret_env: str = ""
    client_secret_file: str = ""
    role_claim: str = "roles"
    user_claim: str = "preferred_username"
    name: str = "your agency's sign-in"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    roles: Mapping[str, str] = field(default_factory=dict)
    folder: Path = field(default=Path(), repr=False)

    def secret(self) -> str:
        """The client's secret out of the environment or a file; "" for a public client.

        Raises:
            BadInput: the variable or the file named is not there. The message never holds the secret.
        """
        if self.client_secret_env:
            if not (found := os.environ.get(self.client_secret_env, "")):
                raise BadInput(f"{FILE} [accounts] oidc takes its secret from the environment variable {self.client_secret_env}, which is not set.")
            return found
        if self.client_secret_file:
            try:
                return (self.folder / self.client_secret_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                raise BadInput(f"{FILE} [accounts] oidc takes its secret from {self.client_secret_file}, which cannot be read.") from None
        return ""


@dataclass(frozen=True)
class SignIn:
    """How people sign in here.

    ``idle_minutes`` without a person's action lock a page, ``session_hours`` end a session whatever is done; after ``tries`` wrong passwords a
    name is closed for ``lock_minutes``, twice as long with each further one. ``https`` says that a proxy which speaks TLS stands before the server.
    """

    idle_minutes: float = 30.0
    session_hours: float = 12.0
    tries: int = 5
    lock_minutes: float = 5.0
    min_length: int = 12
    https: bool = False
    oidc: Oidc | None = None

    @classmethod
    def of(cls, agency: Agency) -> SignIn:
        """The settings of an agency.

        Raises:
            BadInput: an unknown key, or a value that makes no sense.
        """
        said = dict(agency.settings.get("accounts", {}))
        _known(said, [f.name for f in fields(cls)], "[accounts]")
        oidc = said.pop("oidc", None)
        return cls(
            _number(said, "idle_minutes", 30.0, 0.01, 1440), _number(said, "session_hours", 12.0, 0.001, 168), int(_number(said, "tries", 5, 1, 100)),
            _number(said, "lock_minutes", 5.0, 0.01, 1440), int(_number(said, "min_length", 12, 8, 128)), _flag(said, "https"),
            None if oidc is None else _oidc(oidc, agency))


def role_known(agency: Agency, role: str) -> str:
    """The role as it is spelled here.

    Raises:
        BadInput: there is no such role.
    """
    known = list(Policy.of(agency).roles)
    if role not in known:
        raise BadInput(f"There is no role {role!r}.{did_you_mean(role, known)} Roles are set in {FILE} [roles].")
    return role


def _known(said: Mapping[str, Any], names: list[str], where: str) -> None:
    for key in said:
        if key not in names:
            raise BadInput(f"{FILE} {where} has an unknown key {key!r}.{did_you_mean(key, names)}")


def _number(said: Mapping[str, Any], key: str, default: float, low: float, high: float) -> float:
    value = said.get(key, default)
    whole = isinstance(default, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
        raise BadInput(f"{FILE} [accounts] {key} = {value!r}; write a {'whole ' if whole else ''}number from {low:g} to {high:g}, e.g. {key} = {default:g}.")
    return value


def _flag(said: Mapping[str, Any], key: str) -> bool:
    value = said.get(key, False)
    if not isinstance(value, bool):
        raise BadInput(f"{FILE} [accounts] {key} = {value!r}; write true or false.")
    return value


def _oidc(value: Any, agency: Agency) -> Oidc:
    example = 'oidc = { issuer = "https://id.example.gov", client_id = "workbench", role_claim = "groups", roles = { "rtcc-detectives" = "detective" } }'
    if not isinstance(value, dict):
        raise BadInput(f"{FILE} [accounts] oidc = {value!r}; write {example}")
    _known(value, [f.name for f in fields(Oidc) if f.name != "folder"], "[accounts] oidc")
    for key in ("issuer", "client_id"):
        if not isinstance(value.get(key), str) or not value[key]:
            raise BadInput(f"{FILE} [accounts] oidc needs {key} as a text: {example}")
    for key in set(value) - {"roles", "scopes"}:
        if not isinstance(value[key], str):
            raise BadInput(f"{FILE} [accounts] oidc {key} = {value[key]!r} must be a text.")
    safe_address(value["issuer"], "issuer")
    if value.get("client_secret_env") and value.get("client_secret_file"):
        raise BadInput(f"{FILE} [accounts] oidc names both client_secret_env and client_secret_file; give one.")
    roles = value.get("roles", {})
    if not isinstance(roles, dict) or not roles or not all(isinstance(r, str) for r in roles.values()):
        raise BadInput(f"{FILE} [accounts] oidc needs roles, which say who gets which role: {example}")
    for role in roles.values():
        role_known(agency, role)
    scopes = value.get("scopes", list(Oidc.scopes))
    if not isinstance(scopes, list) or "openid" not in scopes or not all(isinstance(s, str) for s in scopes):
        raise BadInput(f'{FILE} [accounts] oidc scopes = {scopes!r}; write a list that holds "openid".')
    texts = {k: v for k, v in value.items() if k not in ("roles", "scopes")}
    return Oidc(**texts, roles=dict(roles), scopes=tuple(scopes), folder=agency.folder)


def safe_address(url: str, what: str) -> str:
    """An address of the provider: https, or this machine's own.

    Raises:
        BadInput: it is neither.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK) or parts.username or parts.fragment:
        raise BadInput(f"The {what} {url!r} of [accounts] oidc must be an https address.")
    return url
