"""``watch.toml`` -> what the watcher takes in: folders, webhooks, tables. Every key is checked, so a typing error is said at once."""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, did_you_mean

FILE, TOKEN = "watch.toml", "watch.token"
EXAMPLE = """\
# What `workbench watch` takes in. Keep this file beside agency.toml; take out the # of what you need.

[server]                       # for webhooks
# host = "127.0.0.1"           # 0.0.0.0 = from other machines too: then put a TLS proxy in front
# port = 8765
# token_file = "watch.token"   # made at the first start, readable by you only; senders give it as  Authorization: Bearer <token>
# most_bytes = 1000000         # of one message

[journal]
# fold_seconds = 60            # how often live records are folded into the Delta tables

# [[webhook]]                  # POST http://127.0.0.1:8765/in/openalpr_groups
# source = "openalpr_groups"   # see: workbench sources
# zone = "America/Chicago"     # where its wall clocks are not the source's own
# set = { moving = "no" }      # what the source asks for
# secret_env = "HOOK_SECRET"   # also ask for X-Signature: sha256=<HMAC of the body>

# [[folder]]
# path = "drop"                # files dropped here are loaded, then moved to drop/done or drop/failed
# pattern = "*.csv"
# source = "chicago_crimes"
# stable_seconds = 2.0         # a file is taken when its size has not changed for so long

# [[table]]
# name = "cad"                 # what it is called in the journal's marks and in messages
# url = "postgresql+psycopg://reader@cad-server:5432/cad"
# password_env = "CAD_PASSWORD"    # or password_file = "cad.password"; never in this file
# table = "calls"              # or query = "select ..."
# source = "sample_calls"
# high_water = "updated_at"    # a column that only grows: a time of change or a number
# every_seconds = 5.0
# overlap_seconds = 120.0      # longer than the longest transaction that writes there
"""


@dataclass(frozen=True)
class Server:
    """Where webhooks are taken."""

    host: str = "127.0.0.1"
    port: int = 8765
    token_file: str = TOKEN
    most_bytes: int = 1_000_000


@dataclass(frozen=True)
class Journal:
    """How the journal is kept."""

    fold_seconds: float = 60.0


@dataclass(frozen=True)
class Webhook:
    """One source that senders post to ``/in/<source>``."""

    source: str
    zone: str = ""
    set: Mapping[str, str] = field(default_factory=dict)
    secret_env: str = ""


@dataclass(frozen=True)
class Folder:
    """Files that are dropped somewhere."""

    path: str
    source: str
    pattern: str = "*"
    zone: str = ""
    set: Mapping[str, str] = field(default_factory=dict)
    stable_seconds: float = 2.0


@dataclass(frozen=True)
class Table:
    """A table of another database that is asked again and again."""

    url: str
    source: str
    high_water: str
    name: str = ""
    table: str = ""
    query: str = ""
    zone: str = ""
    set: Mapping[str, str] = field(default_factory=dict)
    every_seconds: float = 5.0
    overlap_seconds: float = 120.0
    password_env: str = ""
    password_file: str = ""

    @property
    def called(self) -> str:
        """What it is called."""
        return self.name or self.table or self.source


@dataclass(frozen=True)
class Watching:
    """All of ``watch.toml``."""

    server: Server = Server()
    journal: Journal = Journal()
    webhook: tuple[Webhook, ...] = ()
    folder: tuple[Folder, ...] = ()
    table: tuple[Table, ...] = ()

    @property
    def sources(self) -> list[str]:
        """The sources that it names."""
        return sorted({w.source for w in self.webhook} | {f.source for f in self.folder} | {t.source for t in self.table})


_ONCE: dict[str, type[Any]] = {"server": Server, "journal": Journal}
_MANY: dict[str, type[Any]] = {"webhook": Webhook, "folder": Folder, "table": Table}


def read(workspace: Path) -> Watching:
    """What a workspace's ``watch.toml`` says.

    Raises:
        BadInput: there is none, or something in it is not as it must be; the message says what.
    """
    file = workspace / FILE
    if not file.is_file():
        raise BadInput(f"There is no {FILE} in {workspace}. Print one to begin with: workbench watch --example > {workspace / FILE}")
    try:
        text = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{FILE} is not TOML: {error}") from error
    found: dict[str, Any] = {}
    for section, value in text.items():
        if section in _ONCE and isinstance(value, dict):
            found[section] = _part(_ONCE[section], f"[{section}]", value)
        elif section in _MANY and isinstance(value, list) and all(isinstance(v, dict) for v in value):
            found[section] = tuple(_part(_MANY[section], f"[[{section}]]", v) for v in value)
        elif section in _ONCE or section in _MANY:
            raise BadInput(f"{FILE}: {section} is written as {'[[' + section + ']]' if section in _MANY else '[' + section + ']'}.")
        else:
            raise BadInput(f"{FILE} has no section {section!r}.{did_you_mean(section, [*_ONCE, *_MANY])}")
    watching = Watching(**found)
    _sound(watching)
    return watching


def _part(kind: type[Any], where: str, given: dict[str, Any]) -> Any:
    known = {f.name: f for f in fields(kind)}
    for key, value in given.items():
        if key not in known:
            raise BadInput(f"{FILE}, {where}: there is no {key!r}.{did_you_mean(key, known)}")
        wanted = str(known[key].type)
        if wanted == "float" and isinstance(value, int) and not isinstance(value, bool):
            given = {**given, key: float(value)}
        elif wanted.startswith("Mapping"):
            if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
                raise BadInput(f'{FILE}, {where}: {key} must be names and texts, e.g. {key} = {{ case_number = "2026-0142" }}.')
        elif type(value).__name__ != wanted:
            raise BadInput(f"{FILE}, {where}: {key} = {value!r} must be {dict(str='a text', int='a whole number', float='a number').get(wanted, wanted)}.")
    lacking = [n for n in ("path", "url", "source", "high_water") if n in known and n not in given]
    if lacking:
        raise BadInput(f"{FILE}, {where} lacks {lacking[0]!r}.")
    return kind(**given)


def _sound(watching: Watching) -> None:
    if not 0 < watching.server.port < 65536:
        raise BadInput(f"{FILE}: port = {watching.server.port} is no port; give 1 to 65535.")
    if watching.journal.fold_seconds < 0.1 or watching.server.most_bytes < 1000:
        raise BadInput(f"{FILE}: fold_seconds must be at least 0.1 and most_bytes at least 1000.")
    for part, kind in ((watching.webhook, "[[webhook]]"), (watching.table, "[[table]]")):
        names = [p.called if isinstance(p, Table) else p.source for p in part]
        twice = [n for n in names if names.count(n) > 1]
        if twice:
            raise BadInput(f"{FILE}, {kind}: {twice[0]!r} is there twice; give each its own {'name' if kind == '[[table]]' else 'source'}.")
    for table in watching.table:
        if bool(table.table) == bool(table.query):
            raise BadInput(f"{FILE}, [[table]] {table.called!r}: give either table or query.")
        if re.match(r"[a-z0-9+]+://[^/@]*:[^/@]*@", table.url, re.I):
            raise BadInput(f"{FILE}, [[table]] {table.called!r}: its url holds a password; leave it out and name where it is: "
                           'password_env = "CAD_PASSWORD" or password_file = "cad.password".')
        if table.every_seconds < 0.05 or table.overlap_seconds < 0:
            raise BadInput(f"{FILE}, [[table]] {table.called!r}: every_seconds must be at least 0.05 and overlap_seconds not below 0.")


def password(workspace: Path, table: Table) -> str | None:
    """A table's password from where ``watch.toml`` says it is; None when it names no place.

    Raises:
        BadInput: it is not there.
    """
    if table.password_env:
        if table.password_env not in os.environ:
            raise BadInput(f"{FILE}, [[table]] {table.called!r}: the environment has no {table.password_env}.")
        return os.environ[table.password_env]
    if table.password_file:
        path = workspace / table.password_file
        if not path.is_file():
            raise BadInput(f"{FILE}, [[table]] {table.called!r}: there is no file {table.password_file}.")
        return path.read_text(encoding="utf-8").strip()
    return None


def token(workspace: Path, server: Server) -> str:
    """The token that senders give; made, readable by the owner only, when there is none yet.

    Raises:
        BadInput: the file is empty, or others may read it.
    """
    path = workspace / server.token_file
    if not path.exists():
        part = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(32) + "\n")
        os.rename(part, path)
    if path.stat().st_mode & 0o077:
        raise BadInput(f"{path.name} may be read by others; take that from them: chmod 600 {path}")
    found = path.read_text(encoding="utf-8").strip()
    if len(found) < 16:
        raise BadInput(f"{path.name} holds no token of at least 16 characters; delete the file, and the next start makes one.")
    return found
