"""Signing in with the agency's own provider: OpenID Connect, authorisation code with PKCE, state and nonce (RFC 6749, 7636; OpenID Connect Core 1.0).

What comes back is believed only if this browser asked for it, just now, once; and if the id_token bears a signature of a key that the issuer
publishes, names this issuer, this client and this nonce, and has not run out. Signatures without a public key (none, HS*) are never taken.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import jwt

from workbench.errors import SignInRefused, WorkbenchError
from workbench.oversight.accounts import Account, Accounts
from workbench.oversight.audit import Person
from workbench.oversight.people_store import digest
from workbench.oversight.sign_in_settings import Oidc, safe_address

#: Signatures that need the issuer's private key.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
#: Seconds that a person has at the provider, and that clocks may differ.
PATIENCE, LEEWAY = 600.0, 60
_KEPT = 600.0
_LARGEST = 1 << 20


class Unbelieved(Exception):
    """An answer of the provider that is not believed; its text goes to the audit, not to the browser."""


@dataclass(frozen=True)
class Begun:
    """A sign-in that was begun: where the browser goes, and the value of the cookie that ties it to this browser."""

    url: str
    browser: str


class Provider:
    """One provider as seen from one workspace.

    Args:
        accounts: where sign-ins under way are kept and people are admitted.
        settings: the provider.
        back: the address here that the provider sends the browser back to.
        fetch: asks the provider: (address, form or None, client and secret or None) -> JSON object.
    """

    def __init__(self, accounts: Accounts, settings: Oidc, back: str, *,
                 fetch: Callable[[str, Mapping[str, str] | None, tuple[str, str] | None], dict[str, Any]] | None = None) -> None:
        self.accounts, self.settings, self.back = accounts, settings, back
        self._fetch = fetch or ask
        self._lock = threading.Lock()
        self._found: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, dict[str, Any]] | None = None

    def begin(self, next: str, *, again: bool = False) -> Begun:
        """Begin a sign-in; ``again`` asks the provider to make sure of the person anew.

        Raises:
            WorkbenchError: the provider does not answer as one.
        """
        state, nonce, verifier, browser = (secrets.token_urlsafe(32) for _ in range(4))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        said = {"response_type": "code", "client_id": self.settings.client_id, "redirect_uri": self.back, "scope": " ".join(self.settings.scopes),
                "state": state, "nonce": nonce, "code_challenge": challenge, "code_challenge_method": "S256"}
        if again:
            said |= {"prompt": "login", "max_age": "0"}
        to = safe_address(self._found_at()["authorization_endpoint"], "authorisation address")
        now = self.accounts.clock()
        with self.accounts.store.change() as db:
            db.execute("delete from pending where at < ?", (now - PATIENCE,))
            db.execute("insert into pending values (?, ?, ?, ?, ?, ?)", (digest(state), digest(browser), nonce, verifier, next, now))
        return Begun(f"{to}{'&' if '?' in to else '?'}{urlencode(said)}", browser)

    def finish(self, state: str, code: str, browser: str, *, error: str = "", address: str = "") -> tuple[Account, str]:
        """What the provider sent back becomes an account and the page wanted.

        Raises:
            SignInRefused: it is not believed, or gives no role here. The audit holds why.
            WorkbenchError: the provider does not answer.
        """
        try:
            next, nonce, verifier = self._taken(state, browser)
            if error or not code:
                raise Unbelieved(f"the provider refused: {error[:80] or 'no code'}")
            claims = self.claims(self._exchange(code, verifier), nonce)
            user, role = self._user(claims), self._role(claims)
        except Unbelieved as e:
            self.accounts.audit.write(Person("not signed in"), "sign-in", "oidc", phase="refused", why=str(e), address=address, via="oidc")
            raise SignInRefused(_SENTENCES.get(str(e), _NOT_FINISHED)) from None
        return self.accounts.admit(f"{self.settings.issuer} {claims['sub']}", user, role, address=address), next

    def _taken(self, state: str, browser: str) -> tuple[str, str, str]:
        """Take the sign-in under way out, so that it serves once."""
        now = self.accounts.clock()
        with self.accounts.store.change() as db:
            row = db.execute("delete from pending where state = ? returning browser, next, nonce, verifier, at", (digest(state),)).fetchone()
        if row is None:
            raise Unbelieved("unknown or used state")
        if not hmac.compare_digest(row[0], digest(browser)):
            raise Unbelieved("state of another browser")
        if not 0 <= now - row[4] + LEEWAY <= PATIENCE + LEEWAY:
            raise Unbelieved("state too old")
        return row[1], row[2], row[3]

    def _exchange(self, code: str, verifier: str) -> str:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.back, "code_verifier": verifier, "client_id": self.settings.client_id}
        secret = self.settings.secret()
        answer = self._fetch(safe_address(self._found_at()["token_endpoint"], "token address"), form, (self.settings.client_id, secret) if secret else None)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Unbelieved("no id_token")
        return token

    def claims(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an id_token, once everything about it was checked.

        Raises:
            Unbelieved: something about it is wrong.
        """
        try:
            head = jwt.get_unverified_header(token)
            if head.get("alg") not in ALGORITHMS:
                raise Unbelieved(f"signature {str(head.get('alg'))[:20]} not taken")
            key = self._key(head.get("kid"))
            claims: dict[str, Any] = jwt.decode(token, key=key, algorithms=[head["alg"]], audience=self.settings.client_id, issuer=self.settings.issuer,
                                                leeway=LEEWAY, options={"require": ["exp", "iat", "iss", "aud", "sub"]})
        except (jwt.PyJWTError, ValueError, TypeError) as e:
            raise Unbelieved(f"id_token: {type(e).__name__}") from None
        if not isinstance(claims.get("nonce"), str) or not hmac.compare_digest(claims["nonce"].encode(), nonce.encode()):
            raise Unbelieved("id_token: nonce of another sign-in")
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self.settings.client_id:
            raise Unbelieved("id_token: made out to several clients")
        return claims

    def _key(self, kid: object) -> Any:
        keys = self._published()
        if kid is not None and kid not in keys and time.monotonic() - (self._keys or (0.0, {}))[0] > 10:
            keys = self._published(anew=True)
        if kid is None and len(keys) == 1:
            return next(iter(keys.values()))
        if kid not in keys:
            raise Unbelieved("id_token: signed with a key that the issuer does not publish")
        return keys[kid]

    def _published(self, *, anew: bool = False) -> dict[Any, Any]:
        with self._lock:
            kept = self._keys
        if kept is None or anew or time.monotonic() - kept[0] > _KEPT:
            said = self._fetch(safe_address(self._found_at()["jwks_uri"], "address of the keys"), None, None)
            usable: dict[Any, Any] = {}
            for one in said.get("keys", ()):
                if isinstance(one, dict) and one.get("use", "sig") == "sig" and one.get("kty") in ("RSA", "EC", "OKP"):
                    try:
                        usable[one.get("kid")] = jwt.PyJWK(one).key
                    except (jwt.PyJWTError, ValueError):
                        continue
            kept = (time.monotonic(), usable)
            with self._lock:
                self._keys = kept
        return kept[1]

    def _found_at(self) -> dict[str, Any]:
        with self._lock:
            kept = self._found
        if kept is None or time.monotonic() - kept[0] > _KEPT:
            said = self._fetch(safe_address(self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration", "issuer"), None, None)
            wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if said.get("issuer") != self.settings.issuer or not all(isinstance(said.get(k), str) for k in wanted):
                raise WorkbenchError("The agency's sign-in does not describe itself as the issuer named in agency.toml; nobody is signed in through it.")
            kept = (time.monotonic(), said)
            with self._lock:
                self._found = kept
        return kept[1]

    def _user(self, claims: Mapping[str, Any]) -> str:
        user = claims.get(self.settings.user_claim)
        if not isinstance(user, str) or not user.strip():
            raise Unbelieved("no user name")
        return user

    def _role(self, claims: Mapping[str, Any]) -> str:
        told = claims.get(self.settings.role_claim)
        held = {told} if isinstance(told, str) else {t for t in told if isinstance(t, str)} if isinstance(told, list) else set()
        for value, role in self.settings.roles.items():
            if value in held:
                return role
        raise Unbelieved("no role")


_NOT_FINISHED = "The sign-in did not come to its end. Begin again from the sign-in page; what was wrong is in the audit."
_SENTENCES = {
    "no role": "You are known to the agency's sign-in, but none of your groups has a role here. Ask whoever looks after the accounts.",
    "no user name": "The agency's sign-in did not say a name for you. Ask whoever looks after it.",
    "state too old": "That took too long, so it was given up. Begin again from the sign-in page.",
}


def ask(url: str, form: Mapping[str, str] | None = None, client: tuple[str, str] | None = None) -> dict[str, Any]:
    """A JSON object from the provider: GET, or POST of a form. No redirect is followed, at most 1 MB is read, certificates are checked.

    Raises:
        WorkbenchError: no answer, or none that is a JSON object. The message holds neither code nor token.
    """
    import urllib3

    headers = {"Accept": "application/json"}
    if client is not None:
        headers |= urllib3.make_headers(basic_auth=":".join(urlencode({"": part})[1:] for part in client))
    try:
        with urllib3.PoolManager(timeout=urllib3.Timeout(10.0), retries=False) as pool:
            body = urlencode(form) if form is not None else None
            headers |= {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
            answer = pool.request("POST" if form is not None else "GET", url, headers=headers, body=body, preload_content=False, redirect=False)
            said, status = json.loads(answer.read(_LARGEST, decode_content=True)), answer.status
    except (urllib3.exceptions.HTTPError, ValueError) as e:
        raise WorkbenchError(f"The agency's sign-in does not answer ({type(e).__name__}). Try again in a moment.") from None
    if form is not None and status in (400, 401, 403):
        raise Unbelieved(f"the provider did not take the code: {str(said.get('error') if isinstance(said, dict) else '')[:60]}")
    if status != 200 or not isinstance(said, dict):
        raise WorkbenchError(f"The agency's sign-in answered with status {status}. Try again in a moment.")
    return said
