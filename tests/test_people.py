"""Accounts, tokens and sessions: what gets in, how often it may be tried, what is kept, and what the audit holds of it."""

from __future__ import annotations

import io
import json
import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import agency as agencies
from workbench import cli
from workbench.errors import BadInput, NotFound, SignInRefused, WorkbenchError
from workbench.oversight import passwords
from workbench.oversight.accounts import FILE, REFUSED, Accounts
from workbench.oversight.audit import Audit
from workbench.oversight.people_store import Store, digest
from workbench.oversight.sign_in_settings import SignIn
from workbench.oversight.signed_in import Sessions
from workbench.oversight.tries import LONGEST, PER_ADDRESS, PER_NAME, Tries

GOOD, OTHER = "violet kettle orbit plum", "harbour nickel stamp fog"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path, clock: Clock) -> Accounts:
    made = Accounts(tmp_path / FILE, settings=SignIn(), hasher=QUICK, clock=clock)
    made.add("anna", "detective", GOOD)
    return made


def told(accounts: Accounts) -> list[tuple[str, str, str, str]]:
    return list(accounts.audit.entries().select("user", "action", "object", "phase").iter_rows())


# --- in or not --------------------------------------------------------------------------------------------------------------------


def test_asking_whether_there_is_an_account_makes_no_file(tmp_path: Path) -> None:
    assert not Accounts(tmp_path / FILE).any()
    assert list(tmp_path.iterdir()) == []


def test_name_and_password_let_in_whatever_the_case_of_the_name_and_the_form_of_the_letters(accounts: Accounts) -> None:
    assert accounts.check(" ANNA ", GOOD).user == "anna"
    accounts.add("jose", "analyst", "caf\u00e9 lantern orbit plum")
    assert accounts.check("jose", "cafe\u0301 lantern orbit plum").role == "analyst"


@pytest.mark.parametrize(("user", "password"), [
    ("anna", GOOD + " "), ("anna", GOOD.upper()), ("anna", ""), ("anna", "x" * 100_000), ("nobody", GOOD), ("", GOOD), ("anna' or 1=1 --", GOOD),
    ("anna\x00", GOOD), ("\ud800", "\udfff")])
def test_every_refusal_is_the_same_sentence(accounts: Accounts, user: str, password: str) -> None:
    with pytest.raises(SignInRefused) as refused:
        accounts.check(user, password)
    assert str(refused.value) == REFUSED


def test_a_closed_account_is_refused_with_the_same_sentence_and_opens_again(accounts: Accounts) -> None:
    accounts.lock("anna")
    with pytest.raises(SignInRefused, match="tried too often"):
        accounts.check("anna", GOOD)
    assert accounts.get("anna").locked
    accounts.unlock("anna")
    assert accounts.check("anna", GOOD).user == "anna"


def test_an_unknown_name_costs_the_same_work_as_a_wrong_password(tmp_path: Path) -> None:
    class Counting(PasswordHasher):
        seen: list[str] = []

        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
            self.seen.append(str(hash).rsplit("$", 2)[0])
            return super().verify(hash, password)

    made = Accounts(tmp_path / FILE, settings=SignIn(tries=100), hasher=Counting(time_cost=2, memory_cost=4096, parallelism=1))
    made.add("anna", "detective", GOOD)
    for user in ("anna", "nobody", "anna", "nobody"):
        Counting.seen.clear()
        with pytest.raises(SignInRefused):
            made.check(user, "wrong wrong wrong", address=user)
        assert Counting.seen == ["$argon2id$v=19$m=4096,t=2,p=1"]


def test_a_hash_made_with_other_parameters_is_made_anew_at_the_sign_in(accounts: Accounts) -> None:
    stronger = Accounts(accounts.store.file, settings=SignIn(), hasher=PasswordHasher(time_cost=2, memory_cost=16, parallelism=1), clock=accounts.clock)
    before = accounts.store.read("select hash from accounts")[0][0]
    stronger.check("anna", GOOD)
    after = accounts.store.read("select hash from accounts")[0][0]
    assert before.startswith("$argon2id$") and "t=1" in before and "t=2" in after
    assert stronger.check("anna", GOOD).user == "anna"


@pytest.mark.parametrize("weak", [
    "short one", "passwordpassword", "Summer2026Police!", "P@ssw0rd2024!!", "aaaaaaaaaaaaaaa", "123456789012", "abababababab", "anna.anna.2026",
    "FairwaterPolice99", "qwertyuiop1234", "SheriffDeputy2025", "x" * 2000])
def test_a_password_that_is_easily_guessed_is_refused_and_not_repeated(weak: str) -> None:
    with pytest.raises(BadInput) as refused:
        passwords.check(weak, least=12, own=["anna", "Fairwater Police Department"])
    assert weak not in str(refused.value)


@pytest.mark.parametrize("good", [
    GOOD, "correct horse battery staple", "kX9#mQ2$vLp7", "58201947362018", "日本語の長い合言葉です今日も", "            v8 plum kettle"])
def test_no_kind_of_character_is_asked_for(good: str) -> None:
    assert passwords.check(good, least=12, own=["anna"])


def test_changing_password_role_or_account_ends_the_sessions(accounts: Accounts) -> None:
    sessions = Sessions(accounts)
    changes: list[Callable[[], None]] = [
        lambda: accounts.set_password("anna", OTHER), lambda: accounts.set_role("anna", "supervisor"), lambda: accounts.lock("anna"),
        lambda: (accounts.unlock("anna"), accounts.remove("anna"))[0]]
    for change in changes:
        key = sessions.begin(accounts.get("anna"))
        accounts.store.read("select 1")
        change()
        assert sessions.state(key) is None
    with pytest.raises(NotFound):
        accounts.get("anna")


def test_a_name_a_role_and_a_password_are_checked_when_an_account_is_made(tmp_path: Path) -> None:
    (tmp_path / "agency.toml").write_text('[agency]\nname = "Fairwater"\nzone = "America/Chicago"\n[roles]\ndetective = { tables = ["reads"] }\n')
    made = Accounts(tmp_path / FILE, hasher=QUICK)
    for user, role, password, said in [("an na", "detective", GOOD, "user name"), ("anna", "detektive", GOOD, "Did you mean 'detective'"),
                                       ("anna", "detective", "short", "at least 12")]:
        with pytest.raises(BadInput, match=said):
            made.add(user, role, password)
    assert not made.any()
    made.add("anna", "detective", GOOD)
    with pytest.raises(BadInput, match="already"):
        made.add("ANNA", "detective", OTHER)
    with pytest.raises(NotFound, match="Did you mean 'anna'"):
        made.get("ana")
    with pytest.raises(BadInput, match="as it was"):
        made.set_password("anna", GOOD)


# --- how often --------------------------------------------------------------------------------------------------------------------


def test_after_five_wrong_ones_the_right_one_waits_and_longer_each_time(accounts: Accounts, clock: Clock) -> None:
    waits = []
    for _ in range(4):
        while accounts.get("anna").locked_until is None:
            with pytest.raises(SignInRefused):
                accounts.check("anna", "wrong wrong wrong", address=str(clock.now))
            clock.now += 10
        until = accounts.get("anna").locked_until
        assert until is not None
        waits.append(until.timestamp() - clock.now + 10)
        with pytest.raises(SignInRefused):
            accounts.check("anna", GOOD)
        clock.now = until.timestamp() + 1
    assert waits == [300, 600, 1200, 2400]
    assert accounts.check("anna", GOOD).locked_until is None
    assert accounts.store.read("select * from tries") == []


def test_a_name_without_account_is_closed_just_the_same(accounts: Accounts, clock: Clock) -> None:
    for user in ("anna", "nobody"):
        for _ in range(7):
            with pytest.raises(SignInRefused):
                accounts.check(user, "wrong wrong wrong", address=user)
    kinds = [(e["object"] == "anna", e["action"], json.loads(e["detail"]).get("why")) for e in accounts.audit.entries().iter_rows(named=True)
             if e["user"] == "not signed in"]
    assert [k[1:] for k in kinds if k[0]] == [k[1:] for k in kinds if not k[0]]
    assert "nobody" not in str(accounts.audit.entries()["object"].to_list())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1500), st.sampled_from(["anna", "ghost"]), st.sampled_from(["a", "b"]), st.integers(1, 12)), min_size=1, max_size=20),
       st.integers(1, 8), st.sampled_from([1.0, 5.0, 30.0]))
def test_no_sequence_of_tries_lets_more_than_the_limit_through(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, str, str, int]], most: int,
                                                               minutes: float) -> None:
    store = Store(tmp_path_factory.mktemp("tries") / FILE)
    now, through = 1000.0, []
    failures: dict[str, int] = {}
    for wait, name, address, times in steps:
        now += wait
        tries = Tries(store, SignIn(tries=most, lock_minutes=minutes))  # a new one each time: a restart changes nothing
        for _ in range(times):
            if tries.take(name, address, now).through:
                through.append((now, name, address))
    for which, rate in ((2, PER_ADDRESS), (1, PER_NAME)):
        for key in {t[which] for t in through}:
            at = [t[0] for t in through if t[which] == key]
            for i in range(len(at)):
                for j in range(i, len(at)):
                    assert j - i + 1 <= rate.burst + (at[j] - at[i]) / rate.each + 1e-6
    last: dict[str, float] = {}
    for at_, name, _ in through:
        failures[name] = 1 if name in last and at_ - last[name] > LONGEST else failures.get(name, 0) + 1
        over = failures[name] - 1 - most
        if over >= 0:
            assert at_ - last[name] >= min(LONGEST, minutes * 60 * 2**over) - 1e-6, "nothing gets through while the name is closed"
        last[name] = at_


_TRY = """
import sys
from pathlib import Path
from workbench.oversight.people_store import Store
from workbench.oversight.sign_in_settings import SignIn
from workbench.oversight.tries import Tries
tries = Tries(Store(Path(sys.argv[1])), SignIn())
sys.stdin.readline()
print(sum(tries.take("anna", f"address {i} {sys.argv[2]}", 5000.0).through for i in range(20)))
"""


def test_several_processes_together_let_no_more_through_than_one(tmp_path: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([sys.executable, "-c", _TRY, str(tmp_path / FILE), str(n)], **pipes) for n in range(5)]  # type: ignore[call-overload]
    for process in started:
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    answers = [process.communicate(timeout=60) for process in started]
    assert all(not error for _, error in answers), answers
    assert sum(int(out) for out, _ in answers) == 5


# --- sessions ---------------------------------------------------------------------------------------------------------------------


def test_a_session_locks_without_an_action_and_looking_is_none(accounts: Accounts, clock: Clock) -> None:
    sessions = Sessions(accounts)
    key = sessions.begin(accounts.get("anna"))
    for _ in range(5):
        clock.now += 29 * 60
        assert sessions.act(key).open  # type: ignore[union-attr]
    for _ in range(29):
        clock.now += 60
        assert sessions.state(key).open  # type: ignore[union-attr]
    clock.now += 60
    assert sessions.state(key).state == "locked" and not sessions.alive(digest(key))  # type: ignore[union-attr]
    assert sessions.act(key).state == "locked", "an action does not open it again"  # type: ignore[union-attr]
    assert [t[1] for t in told(accounts)].count("session locked") == 1


def test_a_session_ends_after_its_hours_and_a_clock_set_back_ends_it_too(accounts: Accounts, clock: Clock) -> None:
    sessions = Sessions(accounts)
    key = sessions.begin(accounts.get("anna"))
    while clock.now < 1_800_000_000 + 12 * 3600:
        assert sessions.act(key)
        clock.now += 1200
    clock.now += 1
    assert sessions.act(key) is None
    key = sessions.begin(accounts.get("anna"))
    clock.now -= 3600
    assert sessions.state(key) is None


def test_signing_in_again_ends_the_session_it_stands_in_the_place_of(accounts: Accounts) -> None:
    sessions = Sessions(accounts)
    first = sessions.begin(accounts.get("anna"))
    second = sessions.begin(accounts.get("anna"), instead=first)
    assert sessions.state(first) is None and sessions.state(second).open  # type: ignore[union-attr]
    sessions.end(second)
    assert sessions.state(second) is None and sessions.state("") is None and sessions.state("x" * 10_000) is None


# --- tokens -----------------------------------------------------------------------------------------------------------------------


def test_a_token_stands_for_its_person_until_it_runs_out_or_is_taken_back(accounts: Accounts, clock: Clock) -> None:
    token, second = accounts.token("anna", 30, name="desk 4"), accounts.token("anna", 1)
    assert token != second and len(token) > 40 and accounts.who(token).user == "anna"
    clock.now += 86401
    with pytest.raises(SignInRefused):
        accounts.who(second)
    accounts.revoke(1)
    with pytest.raises(SignInRefused):
        accounts.who(token)
    with pytest.raises(NotFound):
        accounts.revoke(1)
    third = accounts.token("anna")
    accounts.lock("anna")
    with pytest.raises(SignInRefused):
        accounts.who(third)
    accounts.unlock("anna")
    assert accounts.who(third).role == "detective"
    accounts.remove("anna")
    for lost in (third, "", "wb_", token + "x", "\ud800"):
        with pytest.raises(SignInRefused):
            accounts.who(lost)
    with pytest.raises(BadInput):
        accounts.token("anna", 4000)


# --- what is kept and told --------------------------------------------------------------------------------------------------------


def test_everything_that_happens_to_an_account_is_in_the_audit(accounts: Accounts) -> None:
    sessions = Sessions(accounts)
    accounts.check("anna", GOOD)
    with pytest.raises(SignInRefused):
        accounts.check("anna", "wrong wrong wrong")
    sessions.end(sessions.begin(accounts.get("anna")))
    accounts.token("anna")
    accounts.revoke(1)
    accounts.lock("anna")
    accounts.unlock("anna")
    accounts.set_role("anna", "auditor")
    accounts.set_password("anna", OTHER)
    accounts.remove("anna")
    done = [(action, phase) for _, action, _, phase in told(accounts) if phase != "intent"]
    assert done == [("account added", "done"), ("sign-in", "note"), ("sign-in", "refused"), ("sign-out", "note"), ("token made", "done"),
                    ("token revoked", "done"), ("account locked", "done"), ("account unlocked", "done"), ("role changed", "done"), ("password changed", "done"),
                    ("account removed", "done")]
    assert accounts.audit.verify()[0]


def test_no_password_and_no_token_is_in_any_file_log_line_or_error(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = accounts.token("anna")
    key = Sessions(accounts).begin(accounts.check("anna", GOOD))
    errors = []
    for user, password in [("anna", "wrong secret wrong"), ("my password in the name", "x"), ("anna", "another wrong one")]:
        with pytest.raises(SignInRefused) as refused:
            accounts.check(user, password)
        errors.append(str(refused.value))
    for bad in ("weak weak weak", "passwordpassword"):
        with pytest.raises(BadInput) as weak:
            accounts.set_password("anna", bad)
        errors.append(str(weak.value))
    with pytest.raises(SignInRefused) as unknown:
        accounts.who(token + "tail")
    errors.append(str(unknown.value))
    accounts.set_password("anna", OTHER)
    kept = b"".join(p.read_bytes() for p in accounts.store.file.parent.iterdir()) + caplog.text.encode() + "".join(errors).encode()
    for secret in (GOOD, OTHER, token, key, "wrong secret wrong", "my password in the name", "another wrong one", "weak weak weak", "passwordpassword"):
        assert secret.encode() not in kept
    assert digest(token).encode() in kept


def test_the_file_is_for_its_owner_only_even_if_somebody_opened_it_up(accounts: Accounts) -> None:
    assert {p.stat().st_mode & 0o777 for p in accounts.store.file.parent.glob("accounts.db*")} == {0o600}
    accounts.store.file.chmod(0o644)
    assert Accounts(accounts.store.file, settings=SignIn()).any()
    assert accounts.store.file.stat().st_mode & 0o777 == 0o600


def test_without_an_audit_nobody_gets_in_and_nothing_changes(accounts: Accounts) -> None:
    for file in accounts.store.file.parent.glob("audit.db*"):
        file.unlink()
    accounts.audit.file.mkdir()
    before = accounts.store.read("select * from accounts")
    for deed in (lambda: accounts.check("anna", GOOD), lambda: accounts.set_role("anna", "auditor"), lambda: accounts.token("anna")):
        with pytest.raises(WorkbenchError):
            deed()
    assert accounts.store.read("select * from accounts") == before and accounts.tokens().is_empty()


def test_accounts_that_cannot_be_read_let_nobody_in(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database at all, it is text" * 40)
    with pytest.raises(WorkbenchError, match="nobody can sign in"):
        Accounts(tmp_path / FILE, settings=SignIn()).any()


# --- settings and commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("line", "said"), [
    ("idle_minuets = 5", "Did you mean 'idle_minutes'"), ("idle_minutes = 0", "from 0.01"), ('tries = "5"', "whole number"), ("min_length = 4", "from 8"),
    ("tries = 2.5", "whole"), ("https = 1", "true or false"), ("oidc = 3", "write oidc"),
    ('oidc = { issuer = "http://id.example.gov", client_id = "w", roles = { a = "auditor" } }', "https"),
    ('oidc = { issuer = "https://id.example.gov", client_id = "w" }', "needs roles"),
    ('oidc = { issuer = "https://id.example.gov", client_id = "w", roles = { a = "king" } }', "no role 'king'"),
    ('oidc = { isuer = "https://id.example.gov", client_id = "w" }', "Did you mean 'issuer'")])
def test_a_setting_that_makes_no_sense_is_said_at_once(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "agency.toml").write_text(f'[agency]\nname = "Fairwater"\nzone = "America/Chicago"\n[accounts]\n{line}\n')
    with pytest.raises(BadInput, match=said):
        SignIn.of(agencies.read(tmp_path))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str, str]]]:
    (tmp_path / "agency.toml").write_text('[agency]\nname = "Fairwater"\nzone = "America/Chicago"\n[access]\ndefault_role = "administrator"\n')

    def ran(*arguments: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = cli.main(["people", *arguments, "-w", str(tmp_path)])
        return code, *capsys.readouterr()

    yield ran


def test_the_command_line_keeps_accounts_in_plain_sentences(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    assert "no accounts" in run()[1]
    code, out, _ = run("add", "anna", "--role", "detective", "--password-stdin", typed=GOOD + "\n")
    assert code == 0 and "first one" in out
    assert run("role", "anna", "--role", "supervisor")[0] == 0
    assert "supervisor" in run("list")[1] and "never signed in" in run("list")[1]
    assert run("password", "anna", "--password-stdin", "--must-change", typed=OTHER)[0] == 0
    assert "has to change" in run("list")[1]
    assert run("lock", "anna")[0] == 0 and "locked" in run("list")[1] and run("unlock", "anna")[0] == 0
    code, token, note = run("token", "anna", "--name", "desk 4")
    assert code == 0 and "kept nowhere" in note and Accounts(tmp_path / FILE).who(token.strip()).user == "anna"
    listed = run("token", "anna", "--list")[1]
    assert "desk 4" in listed and token.strip() not in listed
    assert run("revoke", "1")[0] == 0 and "taken back" in run("token", "--list")[1]
    assert "last one" in run("remove", "anna")[1]
    for arguments, said in [(("add", "anna"), "which role"), (("lock", "anna"), "no account"), (("revoke", "anna"), "not the number"), (("lock",), "Say which"),
                            (("add", "bo", "--role", "auditor"), "--password-stdin"), (("add", "bo", "--role", "auditor", "--password-stdin"), "no password")]:
        code, _, error = run(*arguments)
        assert code == 1 and said in error
    assert Audit(tmp_path / "audit.db").verify()[0]


def test_a_password_can_be_no_argument(run: Callable[..., tuple[int, str, str]]) -> None:
    with pytest.raises(SystemExit):
        run("add", "anna", "--role", "detective", "--password", GOOD)


def test_killed_at_any_moment_an_account_is_whole_or_not_there(tmp_path: Path) -> None:
    code = ("import sys; from pathlib import Path; from argon2 import PasswordHasher; from workbench.oversight.accounts import *\n"
            "a = Accounts(Path(sys.argv[1]), hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))\n"
            "print('go', flush=True)\n"
            "for i in range(10000): a.add(f'user{i}', 'analyst', 'violet kettle orbit plum'); a.set_role(f'user{i}', 'auditor'); a.remove(f'user{i}')\n")
    for pause in (0.05, 0.12, 0.2):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / FILE)], stdout=subprocess.PIPE)
        process.stdout.readline()  # type: ignore[union-attr]
        time.sleep(pause)
        process.kill()
        process.wait()
        with sqlite3.connect(tmp_path / FILE) as db:
            assert db.execute("pragma integrity_check").fetchone()[0] == "ok"
        left = Accounts(tmp_path / FILE, hasher=QUICK)
        for user in left.list()["user"]:
            assert left.get(user).role in ("analyst", "auditor")
            left.remove(user)
        assert left.audit.verify()[0]
