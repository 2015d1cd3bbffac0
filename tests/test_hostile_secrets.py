"""Passwords and tokens leave no byte in a workspace, in what is said, or in a log; the database's own is tried in test_database.py."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from workbench import serving, workspace
from workbench.apps.server import background
from workbench.errors import WorkbenchError
from workbench.oversight.accounts import FILE, Accounts
from workbench.serving import tokens
from workbench.session import open_workbench

PASSWORD, WRONG = "canary violet kettle orbit", "canary harbour nickel stamp"


def searched(folder: Path, *secrets: str) -> list[tuple[str, str]]:
    """Files of a folder that hold a secret."""
    return [(file.name, secret) for file in folder.rglob("*") if file.is_file() for secret in secrets if secret.encode() in file.read_bytes()]


def test_passwords_and_tokens_are_in_no_byte_of_the_workspace_and_in_no_log(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    city = workspace.create(tmp_path / "city", name="Fairwater", zone="America/Chicago").path
    with caplog.at_level(logging.DEBUG):
        accounts = Accounts(city / FILE, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        accounts.add("anna", "detective", PASSWORD)
        assert accounts.check("anna", PASSWORD).user == "anna"
        for name, password in (("anna", WRONG), (PASSWORD, "anna"), (WRONG, WRONG)):  # typed in the wrong field, too
            with contextlib.suppress(WorkbenchError):
                accounts.check(name, password)
        token = accounts.token("anna", 3)
        assert accounts.who(token).user == "anna"
        with contextlib.suppress(WorkbenchError):
            accounts.who(token[:-4] + "zzzz")
        served = background(open_workbench(city))
        served.stop()
        with contextlib.suppress(WorkbenchError):
            open_workbench(city, case="2026-0142", purpose="investigation", reason=f"who was there, token={token}")
    said = "".join(capsys.readouterr())
    secrets = (PASSWORD, WRONG, token)
    assert not searched(city, *secrets)
    assert not [s for s in (PASSWORD, WRONG) if s in said] and not [s for s in secrets if s in caplog.text]


def test_a_token_for_frames_is_kept_as_its_hash_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    city = workspace.create(tmp_path / "city", name="Fairwater", zone="America/Chicago").path
    with caplog.at_level(logging.DEBUG):
        held = tokens.Tokens(city)
        token = held.make("anna")
        server = serving.listen(city, "grpc://127.0.0.1:0")
        try:
            assert open_workbench(server.url, token=token).user == "anna"
            with contextlib.suppress(WorkbenchError):
                open_workbench(server.url, token=token + "x")
        finally:
            server.stop()
    assert not searched(city, token) and token not in caplog.text
