"""A real PostgreSQL server of the tests' own: a private cluster in a temporary folder on 127.0.0.1, thrown away afterwards.

The fixture ``postgres`` is session-wide (a worker has one server, started in about two seconds); each test asks it for a database of its own.
Where no PostgreSQL is installed and we are root, apt-get installs Debian's; otherwise the tests are skipped with the reason.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

USER, PASSWORD = "keeper", "a made-up password"


class Postgres:
    """A running server. ``password`` is its user's; ``database()`` makes an empty database and gives its name; ``url()`` and ``connect()`` lead to it."""

    password = PASSWORD

    def __init__(self, programs: Path, home: Path) -> None:
        self._programs, self._home, self._made = programs, home, 0
        self._as = _owner()
        if self._as:
            os.chown(home, self._as["user"], self._as["group"])
        word = home / "password"
        word.write_text(PASSWORD, encoding="utf-8")
        word.chmod(0o644)
        self._run("initdb", "-D", str(home / "data"), "-U", USER, f"--pwfile={word}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([str(self._programs / program), *arguments], capture_output=True, text=True, timeout=120, cwd=self._home, check=False, **self._as)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr[-800:]}")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=40"]
        with (self._home / "log").open("a") as log:
            self._server = subprocess.Popen([str(self._programs / "postgres"), "-D", str(self._home / "data"), "-p", str(self.port), *options],
                                            stdout=log, stderr=log, cwd=self._home, **self._as)
        for _ in range(300):
            try:
                psycopg.connect(**self.arguments("postgres")).close()
                return
            except psycopg.OperationalError:
                if self._server.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError(f"PostgreSQL did not start: {(self._home / 'log').read_text(errors='replace')[-800:]}")

    def stop(self) -> None:
        """Stop it, whoever is connected."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait(timeout=30)

    def arguments(self, database: str) -> dict[str, Any]:
        """What psycopg.connect takes."""
        return {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD, "dbname": database}

    def database(self) -> str:
        """A new empty database."""
        self._made += 1
        name = f"test_{self._made}"
        with psycopg.connect(**self.arguments("postgres"), autocommit=True) as con:
            con.execute(f"create database {name}".encode())
        return name

    def url(self, database: str, *, password: bool = True) -> str:
        """SQLAlchemy URL, with or without the password."""
        word = f":{PASSWORD.replace(' ', '%20')}" if password else ""
        return f"postgresql+psycopg://{USER}{word}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A connection to one of its databases."""
        return psycopg.connect(**self.arguments(database))


def _owner() -> dict[str, Any]:
    """initdb refuses root: who runs it instead."""
    if os.getuid() != 0:
        return {}
    for user in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(user)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to run as root and there is neither a user postgres nor nobody")


def _programs() -> Path | None:
    """The folder of initdb and postgres, newest version first."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]) if p.parts[-3].isdigit() else 0)
    if installed:
        return installed[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found and (Path(found).resolve().parent / "postgres").exists() else None


def _installed() -> Path:
    with open(Path(tempfile.gettempdir()) / f"workbench-postgres-{os.getuid()}.flock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _programs()
        if found is None and os.getuid() == 0 and shutil.which("apt-get"):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "postgresql"]):
                subprocess.run(["apt-get", *command], capture_output=True, stdin=subprocess.DEVNULL, timeout=600, env=environment, check=False)
            found = _programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian, Ubuntu: sudo apt-get install postgresql)")
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server of this worker's own."""
    programs = _installed()
    home = Path(tempfile.mkdtemp(prefix="workbench-postgres-"))
    try:
        server = Postgres(programs, home)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
