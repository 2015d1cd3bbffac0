"""The sign-in as a person meets it: real Chromium, the real server, a workspace with accounts."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from tests.browser.conftest import Recorder, Server, serving
from workbench import workspace
from workbench.apps.server import background
from workbench.casebook import Casebook
from workbench.oversight.accounts import FILE, REFUSED, Accounts
from workbench.oversight.audit import Audit
from workbench.session import open_workbench

pytestmark = pytest.mark.browser

ANNA, BRUNO = "violet kettle orbit plum", "harbour nickel stamp fog"
CASE, TITLE = "2026-0142", "Glass door series at Orchard Lane"


def expect(thing: Any) -> Any:
    from playwright.sync_api import expect as expected

    expected.set_options(timeout=40_000)
    return expected(thing)


def made(folder: Path, settings: str = "") -> Path:
    """A workspace with two persons and one case."""
    workspace.create(folder, name="Fairwater Police Department", zone="America/Chicago", bounds=(-91.0, 41.5, -90.8, 41.7))
    (folder / "agency.toml").write_text((folder / "agency.toml").read_text() + f"\n[accounts]\n{settings}\n")
    Casebook(folder / "casebook.db").open_case(CASE, TITLE, user="test")
    accounts = Accounts(folder / FILE, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    accounts.add("anna", "detective", ANNA)
    accounts.add("bruno", "analyst", BRUNO)
    return folder


@pytest.fixture(scope="module")
def signed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(made(tmp_path_factory.mktemp("people") / "city")) as running:
        yield running


@dataclass
class Here:
    """A server in a thread of this process."""

    url: str
    workspace: Path


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Here]:
    served = background(open_workbench(folder))
    try:
        yield Here(served.url, folder)
    finally:
        served.stop()


@pytest.fixture
def person(browser: Any) -> Iterator[Callable[..., Any]]:
    """``person()`` gives a page in a browser of its own (its own cookies); no page may leave the machine or fail in its scripts."""
    contexts, pages = [], []

    def opened(width: int = 1440, height: int = 900, **more: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        page = context.new_page()
        page.recorder = Recorder()
        page.recorder.attach(page)
        page.set_default_timeout(40_000)
        contexts.append(context)
        pages.append(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    for page in pages:
        assert not page.recorder.away()
        assert not [c for c in page.recorder.console if "Content Security Policy" in c or "Content-Security-Policy" in c], page.recorder.console


def sign_in(page: Any, server: Server | Here, name: str = "anna", password: str = ANNA, path: str = "") -> None:
    page.goto(server.url + path)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")


def audit(server: Server | Here) -> list[dict[str, Any]]:
    return list(Audit(server.workspace / "audit.db").entries().iter_rows(named=True))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    cookies: dict[str, str]
    body: str


def ask(server: Server | Here, method: str, path: str, *, cookies: dict[str, str] | None = None, form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None) -> Answer:
    """One request without a browser; redirects are not followed."""
    parts = urllib.parse.urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    with contextlib.closing(connection):
        sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())} if cookies else {}
        body = urllib.parse.urlencode(form) if form is not None else None
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, sent | (headers or {}))
        answer = connection.getresponse()
        set_cookies = dict(c.split(";")[0].split("=", 1) for c in answer.headers.get_all("Set-Cookie") or [])
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, set_cookies, answer.read().decode("utf-8", "replace"))


def form_of(server: Server | Here) -> tuple[dict[str, str], str]:
    """The cookies and the token of a fresh sign-in form."""
    shown = ask(server, "GET", "/sign-in")
    return shown.cookies, re.search(r'name=_xsrf value="([^"]+)"', shown.body)[1]  # type: ignore[index]


# --- in and out -------------------------------------------------------------------------------------------------------------------


def test_nothing_is_shown_before_the_sign_in_and_the_page_wanted_after_it(person: Callable[..., Any], signed_server: Server) -> None:
    page = person()
    page.goto(f"{signed_server.url}hotspots")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert urllib.parse.urlsplit(page.url).path == "/sign-in" and TITLE not in page.content()
    expect(page.get_by_label("Name")).to_be_focused()
    assert page.get_by_label("Name").get_attribute("autocomplete") == "username"
    assert page.get_by_label("Password", exact=True).get_attribute("autocomplete") == "current-password"
    page.keyboard.type("Anna")
    page.keyboard.press("Tab")
    page.keyboard.type(ANNA)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{signed_server.url}hotspots")
    expect(page.get_by_role("link", name="Sign out")).to_be_visible()
    expect(page.get_by_text("anna, detective")).to_be_visible()
    page.goto(signed_server.url)
    expect(page.get_by_text(TITLE)).to_be_visible()
    cookies = {c["name"]: c for c in page.context.cookies()}
    session = next(c for n, c in cookies.items() if re.fullmatch(r"workbench_[0-9a-f]{8}", n))
    assert session["httpOnly"] and session["sameSite"] == "Strict" and session["expires"] == -1
    assert session["value"] not in page.content(), "the cookie stands nowhere on the page"
    page.recorder.check()


def test_a_wrong_password_is_said_calmly_and_the_name_stays(person: Callable[..., Any], signed_server: Server) -> None:
    page = person()
    sign_in(page, signed_server, "bruno", "not the password at all")
    expect(page.get_by_role("alert")).to_have_text(REFUSED)
    expect(page.get_by_label("Name")).to_have_value("bruno")
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    page.keyboard.type(BRUNO)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Sign out")).to_be_visible()


def test_signing_out_ends_every_window_of_the_session(person: Callable[..., Any], signed_server: Server) -> None:
    page = person()
    sign_in(page, signed_server)
    expect(page.get_by_text(TITLE)).to_be_visible()
    other = page.context.new_page()
    other.goto(signed_server.url)
    expect(other.get_by_text(TITLE)).to_be_visible()
    page.get_by_role("link", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    assert TITLE not in other.content()
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert [e["action"] for e in audit(signed_server)].count("sign-out") == 1


def test_two_persons_at_once_each_stand_in_the_audit_under_their_own_name(person: Callable[..., Any], signed_server: Server) -> None:
    anna, bruno = person(), person()
    sign_in(anna, signed_server)
    sign_in(bruno, signed_server, "bruno", BRUNO)
    for page in (anna, bruno):
        expect(page.get_by_role("link", name="Sign out")).to_be_visible()
    before = len(audit(signed_server))
    fields = []
    for page, word in ((anna, "orchard"), (bruno, "glassdoor")):
        page.goto(f"{signed_server.url}case_link")
        fields.append(page.get_by_placeholder(re.compile("plate", re.I)).first)
        fields[-1].fill(word)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for field in fields:
            field.press("Enter")
        entries = [e for e in audit(signed_server)[before:] if e["action"] == "search" and e["phase"] == "intent"]
        searched = {(e["user"], json.loads(e["detail"]).get("text")) for e in entries}
        if {("anna", "orchard"), ("bruno", "glassdoor")} <= searched:
            break
        time.sleep(1)
    assert searched == {("anna", "orchard"), ("bruno", "glassdoor")}


def test_somebody_whose_account_is_closed_is_out_at_once(person: Callable[..., Any], tmp_path: Path) -> None:
    with running(made(tmp_path / "city")) as server:
        page = person()
        sign_in(page, server)
        expect(page.get_by_text(TITLE)).to_be_visible()
        Accounts(server.workspace / FILE).lock("anna")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert TITLE not in page.content()
        sign_in(page, server)
        expect(page.get_by_role("alert")).to_have_text(REFUSED)


def test_after_five_wrong_passwords_the_right_one_is_refused_too_even_after_a_restart(person: Callable[..., Any], tmp_path: Path) -> None:
    folder = made(tmp_path / "city")
    with running(folder) as server:
        page = person()
        for _ in range(5):
            sign_in(page, server, password="wrong wrong wrong")
            expect(page.get_by_role("alert")).to_have_text(REFUSED)
    with running(folder) as server:
        page = person()
        sign_in(page, server)
        expect(page.get_by_role("alert")).to_have_text(REFUSED)
        assert "name closed" in [e["action"] for e in audit(server)]
        Accounts(folder / FILE).unlock("anna")
        sign_in(page, server)
        expect(page.get_by_text(TITLE)).to_be_visible()


def test_a_new_password_is_asked_for_where_it_must_be_changed(person: Callable[..., Any], tmp_path: Path) -> None:
    folder = made(tmp_path / "city")
    Accounts(folder / FILE).set_password("anna", "first given marble spoon", must_change=True)
    with running(folder) as server:
        page = person()
        sign_in(page, server, password="first given marble spoon")
        expect(page.get_by_role("heading", name="Change password")).to_be_visible()
        page.goto(server.url)
        expect(page.get_by_role("heading", name="Change password")).to_be_visible()
        for new, said in (("Police2026Police", "easy to guess"), ("first given marble spoon", "as it was"), (ANNA, "")):
            page.get_by_label("Password as it is").fill("first given marble spoon")
            page.get_by_label("New password").fill(new)
            page.get_by_label("The new one again").fill(new)
            page.keyboard.press("Enter")
            if said:
                expect(page.get_by_role("alert")).to_contain_text(said)
        expect(page.get_by_text(TITLE)).to_be_visible()


def test_the_first_account_closes_a_server_that_runs_and_the_last_one_gone_does_not_open_it(person: Callable[..., Any], tmp_path: Path) -> None:
    folder = made(tmp_path / "city")
    accounts = Accounts(folder / FILE, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    for user in ("anna", "bruno"):
        accounts.remove(user)
    with running(folder) as server:
        page = person()
        page.goto(server.url)
        expect(page.get_by_text(TITLE)).to_be_visible()
        assert ask(server, "GET", "/sign-in").headers["location"] == "/"
        assert "content-security-policy" in ask(server, "GET", "/").headers
        accounts.add("anna", "detective", ANNA)
        assert "sign-in" in ask(server, "GET", "/").headers["location"]
        sign_in(page, server)
        expect(page.get_by_role("link", name="Sign out")).to_be_visible()
        accounts.remove("anna")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert ask(server, "GET", "/").status == 302


# --- left alone -------------------------------------------------------------------------------------------------------------------


def test_a_page_left_alone_locks_and_nothing_of_it_stays(person: Callable[..., Any], tmp_path: Path) -> None:
    with running(made(tmp_path / "city", "idle_minutes = 0.2")) as server:
        page = person()
        sign_in(page, server, path="?case=2026-0142")
        began, shown = time.monotonic(), 0.0
        while not shown or time.monotonic() - shown < 14:  # longer at work than the twelve seconds that lock a page left alone
            page.mouse.move(200 + time.monotonic() % 7 * 20, 300)
            page.wait_for_timeout(300)
            shown = shown or (time.monotonic() if page.get_by_text(TITLE).is_visible() else 0.0)
            assert shown or time.monotonic() - began < 40
        expect(page.get_by_text(TITLE)).to_be_visible()
        still = time.monotonic()
        page.get_by_role("heading", name="Locked").wait_for(timeout=40_000)
        assert 8 < time.monotonic() - still < 30
        assert TITLE not in page.content() and CASE not in page.content() and CASE not in page.url
        expect(page.get_by_label("Name")).to_have_value("anna")
        page.goto(f"{server.url}hotspots")
        expect(page.get_by_role("heading", name="Locked")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("heading", name="Locked")).to_be_visible()
        page.get_by_label("Password", exact=True).fill("something else entirely")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text(REFUSED)
        page.get_by_label("Password", exact=True).fill(ANNA)
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="Sign out")).to_be_visible()
        assert "session locked" in [e["action"] for e in audit(server)]


def test_a_session_ends_after_its_hours_whatever_is_done(person: Callable[..., Any], tmp_path: Path) -> None:
    with running(made(tmp_path / "city", "session_hours = 0.004")) as server:
        page = person()
        sign_in(page, server)
        expect(page.get_by_text(TITLE)).to_be_visible()
        for step in range(150):
            page.mouse.move(300 + step, 300)
            page.wait_for_timeout(200)
            if urllib.parse.urlsplit(page.url).path == "/sign-in":
                break
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert TITLE not in page.content()


# --- attempts ---------------------------------------------------------------------------------------------------------------------


def test_a_form_without_its_token_or_with_a_foreign_one_signs_nobody_in(signed_server: Server) -> None:
    cookies, token = form_of(signed_server)
    given = {"name": "anna", "password": ANNA, "next": "/"}
    other, foreign = form_of(signed_server)
    attempts = [ask(signed_server, "POST", "/sign-in", form=given), ask(signed_server, "POST", "/sign-in", form=given, cookies=cookies),
                ask(signed_server, "POST", "/sign-in", form=given | {"_xsrf": "2|00|00|0"}, cookies=cookies),
                ask(signed_server, "POST", "/sign-in", form=given | {"_xsrf": foreign}, cookies=cookies),
                ask(signed_server, "POST", "/sign-out", form={}, cookies=cookies), ask(signed_server, "POST", "/session", form={}, cookies=cookies),
                ask(signed_server, "POST", "/password", form=given, cookies=cookies)]
    assert [a.status for a in attempts] == [403] * 7
    assert not any(re.fullmatch(r"workbench_[0-9a-f]{8}", c) for a in attempts for c in a.cookies)
    good = ask(signed_server, "POST", "/sign-in", form=given | {"_xsrf": token}, cookies=cookies)
    assert good.status == 303 and good.headers["location"] == "/" and other


ELSEWHERE = ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "/%2f%2fevil.example", "javascript:alert(1)", "/\t/evil.example",
             "http:evil.example", "/hotspots@evil.example", "/../sign-out", "///evil.example/hotspots", "", "/static/x", "/hotspots\r\nX: y", "//",
             "/hotspots/../x"]


def test_a_sign_in_leads_to_no_address_but_its_own_pages(signed_server: Server) -> None:
    for next in ELSEWHERE:
        shown = ask(signed_server, "GET", "/sign-in?" + urllib.parse.urlencode({"next": next}))
        assert 'name=next value="/"' in shown.body, next
    for next in ELSEWHERE[:2]:
        cookies, token = form_of(signed_server)
        done = ask(signed_server, "POST", "/sign-in", form={"name": "bruno", "password": BRUNO, "next": next, "_xsrf": token}, cookies=cookies)
        assert done.status == 303 and done.headers["location"] == "/"


def socket(server: Server | Here, path: str, headers: dict[str, str]) -> int:
    origin = server.url.rstrip("/")
    return ask(server, "GET", path, headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Origin": origin,
                                             "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} | headers).status


def test_a_web_socket_without_the_cookie_or_with_another_persons_page_is_refused(person: Callable[..., Any], signed_server: Server) -> None:
    page = person()
    sign_in(page, signed_server)
    expect(page.get_by_text(TITLE)).to_be_visible()
    bruno = person()
    sign_in(bruno, signed_server, "bruno", BRUNO)
    expect(bruno.get_by_text(TITLE)).to_be_visible()
    token = re.search(r'"token":"([^"]+)"', page.content())[1]  # type: ignore[index]
    jar = "; ".join(f"{c['name']}={c['value']}" for c in page.context.cookies())
    others = "; ".join(f"{c['name']}={c['value']}" for c in bruno.context.cookies())
    protocol = {"Sec-WebSocket-Protocol": f"bokeh, {token}"}
    assert socket(signed_server, "/ws", protocol) == 403
    assert socket(signed_server, "/hotspots/ws", protocol | {"Cookie": "workbench_00000000=x"}) == 403
    assert socket(signed_server, "/ws", protocol | {"Cookie": others}) == 403, "the page belongs to another session"
    assert socket(signed_server, "/ws", protocol | {"Cookie": jar, "Origin": "http://evil.example"}) == 403
    assert socket(signed_server, "/ws", protocol | {"Cookie": jar}) == 101


@pytest.mark.parametrize("path", ["/", "/hotspots", "/case_link", "/hotspots/autoload.js?bokeh-autoload-element=1", "/hotspots/metadata", "/case_link/"])
def test_every_address_of_a_page_leads_to_the_sign_in(signed_server: Server, path: str) -> None:
    answer = ask(signed_server, "GET", path)
    assert answer.status == 302 and "sign-in" in answer.headers["location"] and TITLE not in answer.body


def test_every_page_carries_the_security_headers(person: Callable[..., Any], signed_server: Server) -> None:
    page = person()
    page.goto(signed_server.url)
    pages = [ask(signed_server, "GET", "/sign-in").headers]
    sign_in(page, signed_server)
    expect(page.get_by_text(TITLE)).to_be_visible()
    pages += [page.goto(signed_server.url + path).headers for path in ("", "hotspots", "case_link", "password", "sign-out")]
    for headers in pages:
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy and "script-src 'self' 'unsafe-inline'" not in policy
        assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer" and headers["cache-control"] == "no-store" and "server" not in headers


def test_markup_that_got_into_a_page_could_run_no_script(person: Callable[..., Any], signed_server: Server) -> None:
    page = person()
    sign_in(page, signed_server)
    expect(page.get_by_text(TITLE)).to_be_visible()
    page.evaluate("""() => { const d = document.createElement('div'); d.innerHTML = '<img src="data:," onerror="window.ran = 1">'; document.body.append(d) }""")
    page.wait_for_timeout(500)
    assert page.evaluate("window.ran") is None
    page.recorder.console.clear()


def test_no_password_and_no_key_lies_in_any_file_or_line(person: Callable[..., Any], signed_server: Server) -> None:
    page = person()
    sign_in(page, signed_server)
    expect(page.get_by_text(TITLE)).to_be_visible()
    sign_in(person(), signed_server, "typed in the wrong field", "hunter2 hunter2")
    from tornado.web import decode_signed_value

    with sqlite3.connect(signed_server.workspace / FILE) as db:
        secret = db.execute("select value from secrets where name = 'cookie'").fetchone()[0]
    told = [(c["value"], decode_signed_value(secret, c["name"], c["value"].strip('"'))) for c in page.context.cookies() if c["httpOnly"]]
    key, raw = next((value, raw) for value, raw in told if raw is not None)
    everything = b"".join(p.read_bytes() for p in signed_server.workspace.rglob("*") if p.is_file()) + "".join(signed_server.lines).encode()
    for kept in (ANNA, BRUNO, "hunter2", "typed in the wrong field", key, raw.decode()):
        assert kept.encode() not in everything
    assert all(p.stat().st_mode & 0o077 == 0 for p in signed_server.workspace.glob("accounts.db*"))
