"""The agency's own sign-in, tried against a real little OpenID provider on this machine: what is believed, and every way not to be."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
import urllib3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from workbench.apps.server import Served, background
from workbench.errors import SignInRefused, WorkbenchError
from workbench.oversight.accounts import FILE, Accounts
from workbench.oversight.audit import Audit
from workbench.oversight.oidc import Provider
from workbench.session import open_workbench

KEY, FOREIGN = (rsa.generate_private_key(65537, 2048) for _ in range(2))
HTTP = urllib3.PoolManager(retries=False)


@dataclass
class Issuer:
    """A provider that answers truly unless ``change`` says otherwise."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    make: Callable[[dict[str, Any]], str] | None = None
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    kid: str = "one"
    fetched: int = 0

    def token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": "workbench", "sub": "4711", "iat": now, "exp": now + 60, "nonce": nonce, "preferred_username": "Anna.Schmidt",
                  "groups": ["everybody", "rtcc-detectives"]} | self.claims
        claims = {k: v for k, v in claims.items() if v is not None}
        return self.make(claims) if self.make else jwt.encode(claims, KEY, "RS256", headers={"kid": self.kid})


class Handler(RequestHandler):
    def initialize(self, issuer: Issuer) -> None:
        self.issuer = issuer

    def get(self) -> None:
        here = self.issuer
        if self.request.path.endswith("openid-configuration"):
            self.finish({"issuer": here.url, "authorization_endpoint": f"{here.url}/authorize", "token_endpoint": f"{here.url}/token",
                         "jwks_uri": f"{here.url}/keys"})
        elif self.request.path == "/keys":
            here.fetched += 1
            self.finish({"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": here.kid, "use": "sig", "alg": "RS256"}]})
        else:
            asked = {k: self.get_query_argument(k) for k in self.request.query_arguments}
            code = f"code{len(here.codes)}"
            here.codes[code] = asked
            self.redirect(f"{asked['redirect_uri']}?{urllib.parse.urlencode({'code': code, 'state': asked['state']})}")

    def post(self) -> None:
        here = self.issuer
        asked = here.codes.pop(self.get_body_argument("code"), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.get_body_argument("code_verifier").encode()).digest()).rstrip(b"=").decode()
        basic = base64.b64encode(b"workbench:very-secret-indeed").decode()
        known = asked is not None and asked["code_challenge"] == challenge and asked["code_challenge_method"] == "S256"
        if asked is None or not known or self.request.headers.get("Authorization") != f"Basic {basic}":
            self.set_status(400)
            self.finish({"error": "invalid_grant"})
            return
        self.finish({"id_token": here.token(asked["nonce"]), "access_token": "unused", "token_type": "Bearer"})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made, ready, held = Issuer(), threading.Event(), []

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        sockets = bind_sockets(0, "127.0.0.1")
        made.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        server = HTTPServer(Application([(".*", Handler, {"issuer": made})], log_function=lambda _: None))
        server.add_sockets(sockets)
        held.append(IOLoop.current())
        ready.set()
        IOLoop.current().start()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield made
    held[0].add_callback(held[0].stop)
    thread.join(5)


@pytest.fixture
def city(tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_TEST_SECRET", "very-secret-indeed")
    (tmp_path / "agency.toml").write_text(
        f'[agency]\nname = "Fairwater"\nzone = "America/Chicago"\n[accounts]\noidc = {{ issuer = "{issuer.url}", client_id = "workbench", '
        'client_secret_env = "WORKBENCH_TEST_SECRET", role_claim = "groups", roles = { "rtcc-detectives" = "detective", "rtcc-leads" = "supervisor" } }\n')
    return tmp_path


@pytest.fixture
def provider(city: Path) -> Provider:
    accounts = Accounts(city / FILE)
    assert accounts.settings.oidc is not None
    return Provider(accounts, accounts.settings.oidc, "http://127.0.0.1:1/sign-in/oidc/back")


def come_back(url: str) -> dict[str, str]:
    """What the provider sends the browser back with."""
    answer = HTTP.request("GET", url, redirect=False)
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["Location"]).query))


def why(provider: Provider) -> list[str]:
    rows = Audit(provider.accounts.audit.file).entries().iter_rows(named=True)
    return [json.loads(r["detail"])["why"] for r in rows if r["action"] == "sign-in" and r["phase"] == "refused"]


def test_code_pkce_state_and_nonce_lead_to_an_account_with_the_role_of_the_claim(provider: Provider) -> None:
    begun = provider.begin("/hotspots")
    back = come_back(begun.url)
    account, wanted = provider.finish(back["state"], back["code"], begun.browser)
    assert (account.user, account.role, account.via, wanted) == ("anna.schmidt", "detective", "oidc", "/hotspots")
    assert provider.accounts.list()["user"].to_list() == ["anna.schmidt"]
    with pytest.raises(SignInRefused):
        provider.accounts.check("anna.schmidt", "")


def hmac_with_public_key(claims: dict[str, Any]) -> str:
    """The old trick: the public key taken as the secret of an HMAC."""
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    part = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in ({"alg": "HS256", "kid": "one"}, claims)]
    import hmac

    return b".".join([*part, base64.urlsafe_b64encode(hmac.new(public, b".".join(part), hashlib.sha256).digest()).rstrip(b"=")]).decode()


def tampered(claims: dict[str, Any]) -> str:
    head, _, tail = jwt.encode(claims, KEY, "RS256", headers={"kid": "one"}).split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims | {"groups": ["rtcc-leads"]}).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{tail}"


WRONG: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], str] | None, str]] = {
    "another key": ({}, lambda c: jwt.encode(c, FOREIGN, "RS256", headers={"kid": "one"}), "InvalidSignature"),
    "a key nobody published": ({}, lambda c: jwt.encode(c, FOREIGN, "RS256", headers={"kid": "two"}), "does not publish"),
    "no signature": ({}, lambda c: jwt.encode(c, None, "none", headers={"kid": "one"}), "none not taken"),
    "hmac": ({}, hmac_with_public_key, "HS256 not taken"),
    "changed afterwards": ({}, tampered, "InvalidSignature"),
    "no token at all": ({}, lambda c: "a.b.c", "DecodeError"),
    "audience": ({"aud": "another"}, None, "InvalidAudience"),
    "many audiences": ({"aud": ["workbench", "another"]}, None, "several clients"),
    "issuer": ({"iss": "https://evil.example"}, None, "InvalidIssuer"),
    "run out": ({"exp": int(time.time()) - 600}, None, "ExpiredSignature"),
    "no expiry": ({"exp": None}, None, "MissingRequiredClaim"),
    "no subject": ({"sub": None}, None, "MissingRequiredClaim"),
    "nonce": ({"nonce": "of another sign-in"}, None, "nonce"),
    "no nonce": ({"nonce": None}, None, "nonce"),
    "no role": ({"groups": ["everybody"]}, None, "no role"),
    "no groups": ({"groups": None}, None, "no role"),
    "no name": ({"preferred_username": ""}, None, "no user name"),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_an_id_token_that_is_wrong_in_any_way_is_refused_and_logged(provider: Provider, issuer: Issuer, case: str) -> None:
    issuer.claims, issuer.make, said = WRONG[case]
    begun = provider.begin("/")
    back = come_back(begun.url)
    with pytest.raises(SignInRefused) as refused:
        provider.finish(back["state"], back["code"], begun.browser)
    assert said in why(provider)[-1]
    if case == "no role":
        assert "none of your groups has a role" in str(refused.value)
    assert not provider.accounts.any()


def test_a_state_serves_once_for_its_own_browser_and_not_for_ever(provider: Provider) -> None:
    begun = provider.begin("/")
    back = come_back(begun.url)
    provider.finish(back["state"], back["code"], begun.browser)
    later, stolen, made_up = provider.begin("/"), provider.begin("/"), come_back(begun.url)
    tries = [(back["state"], back["code"], begun.browser), (come_back(stolen.url)["state"], "code", later.browser), ("made up", made_up["code"], begun.browser),
             ("", "", "")]
    for state, code, browser in tries:
        with pytest.raises(SignInRefused):
            provider.finish(state, code, browser)
    assert why(provider) == ["unknown or used state", "state of another browser", "unknown or used state", "unknown or used state"]
    old = provider.begin("/")
    sent = come_back(old.url)
    real = provider.accounts.clock
    provider.accounts.clock = lambda: real() + 700
    with pytest.raises(SignInRefused, match="too long"):
        provider.finish(sent["state"], sent["code"], old.browser)


def test_a_code_that_is_not_its_own_is_not_taken(provider: Provider) -> None:
    first, second = provider.begin("/"), provider.begin("/")
    one, two = come_back(first.url), come_back(second.url)
    with pytest.raises(SignInRefused):
        provider.finish(one["state"], two["code"], first.browser)
    assert "did not take the code" in why(provider)[-1]


def test_keys_that_the_issuer_changes_are_fetched_anew(provider: Provider, issuer: Issuer) -> None:
    for kid in ("one", "two"):
        issuer.kid = kid
        if provider._keys is not None:
            provider._keys = (provider._keys[0] - 60, provider._keys[1])
        begun = provider.begin("/")
        back = come_back(begun.url)
        assert provider.finish(back["state"], back["code"], begun.browser)[0].user == "anna.schmidt"
    assert issuer.fetched == 2


def test_a_name_that_changes_hands_and_a_local_name_are_not_taken_over(provider: Provider, issuer: Issuer) -> None:
    provider.accounts.add("bruno", "analyst", "harbour nickel stamp fog")
    for claims, wanted in (({"preferred_username": "bruno"}, "refused"), ({}, "in"), ({"sub": "4712"}, "refused"), ({"preferred_username": "anna2"}, "refused"),
                           ({"groups": ["rtcc-leads"]}, "in")):
        issuer.claims = claims
        begun = provider.begin("/")
        back = come_back(begun.url)
        if wanted == "in":
            provider.finish(back["state"], back["code"], begun.browser)
        else:
            with pytest.raises(SignInRefused):
                provider.finish(back["state"], back["code"], begun.browser)
    assert provider.accounts.get("anna.schmidt").role == "supervisor" and provider.accounts.get("bruno").role == "analyst"
    provider.accounts.lock("anna.schmidt")
    begun = provider.begin("/")
    back = come_back(begun.url)
    with pytest.raises(SignInRefused, match="closed"):
        provider.finish(back["state"], back["code"], begun.browser)


def test_a_provider_that_does_not_answer_or_is_another_is_said_in_a_sentence(city: Path) -> None:
    accounts = Accounts(city / FILE)
    assert accounts.settings.oidc is not None
    for fetch in (lambda *_: {"issuer": "https://evil.example"}, lambda *_: {}):
        with pytest.raises(WorkbenchError, match="does not describe itself"):
            Provider(accounts, accounts.settings.oidc, "http://127.0.0.1:1/", fetch=fetch).begin("/")
    (city / "agency.toml").write_text((city / "agency.toml").read_text().replace(accounts.settings.oidc.issuer, "http://127.0.0.1:9"))
    gone = Accounts(city / FILE)
    assert gone.settings.oidc is not None
    with pytest.raises(WorkbenchError, match="does not answer"):
        Provider(gone, gone.settings.oidc, "http://127.0.0.1:1/").begin("/")


# --- through the served pages -----------------------------------------------------------------------------------------------------


@pytest.fixture
def served(city: Path) -> Iterator[Served]:
    running = background(open_workbench(city))
    yield running
    running.stop()


def jar(answer: Any) -> dict[str, str]:
    return dict(c.split(";")[0].split("=", 1) for c in answer.headers.getlist("Set-Cookie"))


def get(url: str, cookies: dict[str, str]) -> Any:
    return HTTP.request("GET", url, redirect=False, headers={"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())})


def test_the_whole_way_through_the_served_pages_and_no_replay(served: Served, city: Path) -> None:
    shown = HTTP.request("GET", served.url, redirect=False)
    assert shown.status == 302 and "sign-in" in shown.headers["Location"]
    page = HTTP.request("GET", f"{served.url}sign-in?next=/hotspots").data.decode()
    assert "name=password" not in page and re.search(r'href="/sign-in/oidc\?next=%2Fhotspots"', page)
    begun = HTTP.request("GET", f"{served.url}sign-in/oidc?next=/hotspots", redirect=False)
    cookies = jar(begun)
    assert "httponly" in begun.headers["Set-Cookie"].lower() and "samesite=lax" in begun.headers["Set-Cookie"].lower()
    back = HTTP.request("GET", begun.headers["Location"], redirect=False).headers["Location"]
    assert get(back, {}).status == 403, "another browser with the same address gets nothing"
    begun = HTTP.request("GET", f"{served.url}sign-in/oidc?next=/hotspots", redirect=False)
    cookies = jar(begun)
    back = HTTP.request("GET", begun.headers["Location"], redirect=False).headers["Location"]
    done = get(back, cookies)
    assert done.status == 303 and done.headers["Location"] == "/hotspots"
    session = {k: v for k, v in jar(done).items() if re.fullmatch(r"workbench_[0-9a-f]{8}", k)}
    assert len(session) == 1 and get(f"{served.url}hotspots", session).status == 200
    assert get(back, cookies).status == 403, "the same answer again is not believed"
    assert Accounts(city / FILE).get("anna.schmidt").role == "detective"


def test_who_has_no_role_is_told_so_on_the_page(served: Served, issuer: Issuer) -> None:
    issuer.claims = {"groups": ["everybody"]}
    begun = HTTP.request("GET", f"{served.url}sign-in/oidc?next=https://evil.example", redirect=False)
    back = get(HTTP.request("GET", begun.headers["Location"], redirect=False).headers["Location"], jar(begun))
    assert back.status == 403 and "none of your groups has a role" in back.data.decode()
