"""The pages of the sign-in: name and password, the lock screen, another password, sign-out, and the way through the agency's own sign-in.

No script runs on them and nothing of a case stands on them. Every form carries a token that only this server's pages hold.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tornado.web import RequestHandler

from workbench.apps.guard import Guard
from workbench.apps.page import text
from workbench.errors import BadInput, WorkbenchError
from workbench.oversight.accounts import Account
from workbench.oversight.oidc import PATIENCE, Provider
from workbench.oversight.signed_in import Signed
from workbench.views import theme

_HERE = Path(__file__).parent
_CSS = (f"{theme.css(False)}@media (prefers-color-scheme: dark){{{theme.css(True)}}}:root{{--wb-bad:{theme.BAD};--wb-navy:{theme.INK}}}"
        + (_HERE / "login.css").read_text(encoding="utf-8"))
_ICON = (_HERE / "icon.svg").read_text(encoding="utf-8")
_POLICY = ("default-src 'none'; style-src 'sha256-" + base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode() +
           "'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
_ERRORS = {403: "This form has run out or did not come from this page. Please try again.", 404: "There is no such page.", 405: "There is no such page."}
#: Passwords are hashed beside the event loop, two at once: each takes 64 MB while it lasts.
_POOL = ThreadPoolExecutor(2, "workbench-sign-in")


def patterns(guard: Guard, agency: str, provider: Callable[[], Provider] | None) -> list[tuple[str, type[RequestHandler], dict[str, Any]]]:
    """Addresses of the sign-in and what answers there."""
    given = {"guard": guard, "agency": agency, "provider": provider}
    found = {r"/(?:[^/]+/)?sign-in": SignIn, r"/(?:[^/]+/)?lock": Lock, r"/(?:[^/]+/)?password": Password, "/sign-out": SignOut, "/session": State,
             "/session.js": Script}
    if provider is not None:
        found |= {"/sign-in/oidc": OidcBegin, "/sign-in/oidc/back": OidcBack}
    return [(path, handler, given) for path, handler in found.items()]


class Page(RequestHandler):
    """What the pages of the sign-in share."""

    def initialize(self, guard: Guard, agency: str, provider: Callable[[], Provider] | None) -> None:
        """Tornado's way to give a handler what it needs."""
        self.guard, self.agency, self.provider = guard, agency, provider

    @property
    def wanted(self) -> str:
        """The page to go on to."""
        return self.guard.path(self.get_argument("next", "/"))

    def show(self, title: str, body: str, *, message: str = "", status: int = 200) -> None:
        """Answer with a page."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", _POLICY)
        said = f'<p class=message role=alert id=said>{text(message)}</p>' if message else ""
        self.finish('<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">'
                    f'<title>{text(title)} · {text(self.agency)}</title><link rel=icon href="/favicon.ico"><style>{_CSS}</style></head>'
                    f"<body><main><header>{_ICON}<p>Workbench</p></header>"
                    f"<section><h1>{text(title)}</h1><p class=agency>{text(self.agency)}</p>{said}{body}</section>"
                    "<footer>Every sign-in and every look at the data is written to the audit.</footer></main></body></html>")

    def form(self, action: str, fields: str, button: str, *, wanted: str | None = None) -> str:
        """A form with its token and the page wanted."""
        next = text(self.wanted if wanted is None else wanted)
        return (f'<form method=post action="{action}"><input type=hidden name=_xsrf value="{text(self.xsrf_token.decode())}">'
                f'<input type=hidden name=next value="{next}">{fields}<button type=submit>{text(button)}</button></form>')

    def through(self, account: Account, wanted: str) -> None:
        """Begin the session and go on."""
        key = self.guard.sessions.begin(account, instead=self.guard.key(self))
        settings = self.guard.settings
        self.set_signed_cookie(self.guard.cookie, key, expires_days=None, path="/", httponly=True, samesite="Lax" if settings.oidc else "Strict",
                               secure=settings.https or self.request.protocol == "https")
        self.redirect(f"/password?next={quote(wanted, safe='')}" if account.must_change else wanted, status=303)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """An error as a calm page."""
        sentence = _ERRORS.get(status_code, "That did not work because of a fault in the workbench. The details are in the log of the server.")
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, WorkbenchError):
            sentence = str(error)
        self.show("Sign in", '<p class=more><a href="/sign-in">To the sign-in page</a></p>', message=sentence, status=status_code)

    async def beside(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Run something slow beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(_POOL, lambda: work(*given, **named))

    def agency_button(self, label: str, again: bool = False) -> str:
        """The way through the agency's own sign-in, where there is one."""
        if self.provider is None:
            return ""
        return f'<a class=other href="/sign-in/oidc?next={text(quote(self.wanted, safe=""))}{"&amp;again=1" if again else ""}">{text(label)}</a>'


class SignIn(Page):
    """Name and password."""

    def get(self) -> None:
        """The form; who is signed in already goes on."""
        signed = self.guard.signed(self) if self.guard.needed() else None
        if not self.guard.needed() or signed is not None and signed.open:
            self.redirect(self.wanted)
            return
        if signed is not None and signed.state == "locked":
            self.redirect(self.guard.way_in(signed, self.wanted))
            return
        self.ask()

    def ask(self, name: str = "", message: str = "", status: int = 200) -> None:
        """Show the form."""
        oidc, local = self.guard.settings.oidc, self.guard.settings.oidc is None or bool(self.guard.accounts.list()["via"].eq("password").any())
        wrong = ' aria-invalid=true aria-describedby=said' if message else ""
        first, second = (" autofocus", "") if not name else ("", " autofocus")
        fields = (f'<label for=name>Name</label><input id=name name=name value="{text(name)}" autocomplete=username autocapitalize=none spellcheck=false '
                  f"maxlength=200 required{wrong}{first}><label for=password>Password</label><input id=password name=password type=password "
                  f"autocomplete=current-password required{wrong}{second}>")
        body = self.form("/sign-in", fields, "Sign in") if local else ""
        if oidc is not None:
            body += ("<p class=or>or</p>" if local else "") + self.agency_button(f"Sign in with {oidc.name}")
        self.show("Sign in", body, message=message, status=status)

    async def post(self) -> None:
        """Check name and password."""
        name, password = self.get_body_argument("name", ""), self.get_body_argument("password", "", strip=False)
        locked = self.get_body_argument("locked", "")
        if not self.guard.needed():
            self.redirect("/", status=303)
            return
        try:
            account = await self.beside(self.guard.accounts.check, name, password, address=self.request.remote_ip or "")
        except WorkbenchError as refused:
            signed = self.guard.signed(self) if locked else None
            if signed is not None and signed.state == "locked":
                self.show("Locked", lock_form(self, signed), message=str(refused), status=401)
            else:
                self.ask(name[:200], str(refused), 401)
            return
        self.through(account, self.wanted)


class Lock(Page):
    """The lock screen: the password again, and nothing of what was open."""

    def get(self) -> None:
        """The screen; who is not locked goes where they belong."""
        signed = self.guard.signed(self) if self.guard.needed() else None
        if signed is None or signed.state != "locked":
            self.redirect(self.wanted if signed is not None and signed.open or not self.guard.needed() else self.guard.way_in(signed, self.wanted))
            return
        self.show("Locked", lock_form(self, signed))


def lock_form(page: Page, signed: Signed) -> str:
    """What stands on the lock screen."""
    minutes = page.guard.settings.idle_minutes
    said = f"{minutes:.0f} minutes" if minutes >= 2 else "a while"
    words = f"<p class=words>Nothing was done here for {said}, so the page was closed. Enter your password to go on; a case has to be opened again.</p>"
    wanted = page.wanted.partition("?")[0]
    if signed.via == "oidc":
        body = page.agency_button(f"Go on as {signed.user}", again=True)
    else:
        fields = (f'<input type=hidden name=locked value=1><label for=name>Name</label><input id=name name=name value="{text(signed.user)}" readonly '
                  "autocomplete=username><label for=password>Password</label><input id=password name=password type=password autocomplete=current-password "
                  "required autofocus>")
        body = page.form("/sign-in", fields, "Unlock", wanted=wanted)
    return words + body + '<p class=more><a href="/sign-out">Sign in as somebody else</a></p>'


class Password(Page):
    """Another password for oneself."""

    def get(self) -> None:
        """The form."""
        signed = self.guard.signed(self) if self.guard.needed() else None
        if signed is None or signed.state == "locked" or signed.via != "password":
            self.redirect(self.guard.way_in(signed, "/") if signed is None or signed.state == "locked" else "/")
            return
        self.ask(signed)

    def ask(self, signed: Signed, message: str = "", status: int = 200) -> None:
        """Show the form."""
        least = self.guard.settings.min_length
        must = "A new password is needed before you go on. " if signed.state == "change" else ""
        words = f"<p class=words>{must}At least {least} characters. Four or five words that do not belong together are good and easy to keep in mind.</p>"
        fields = (f'<input type=hidden name=name value="{text(signed.user)}" autocomplete=username>'
                  "<label for=old>Password as it is</label><input id=old name=old type=password autocomplete=current-password required autofocus>"
                  f"<label for=new>New password</label><input id=new name=new type=password autocomplete=new-password minlength={least} required>"
                  "<label for=again>The new one again</label><input id=again name=again type=password autocomplete=new-password required>")
        body = words + self.form("/password", fields, "Change password") + '<p class=more><a href="/sign-out">Sign out</a></p>'
        self.show("Change password", body, message=message, status=status)

    async def post(self) -> None:
        """Check the old one, take the new one; other sessions of the person end."""
        signed = self.guard.sessions.act(self.guard.key(self)) if self.guard.needed() else None
        if signed is None or signed.state == "locked" or signed.via != "password":
            self.redirect(self.guard.way_in(signed, "/"), status=303)
            return
        old, new, again = (self.get_body_argument(n, "", strip=False) for n in ("old", "new", "again"))
        try:
            if new != again:
                raise BadInput("The two new passwords are not the same; nothing was changed.")
            account = await self.beside(self._change, signed, old, new)
        except WorkbenchError as refused:
            self.ask(signed, str(refused), 401 if isinstance(refused, PermissionError) else 422)
            return
        self.through(account, self.wanted)

    def _change(self, signed: Signed, old: str, new: str) -> Account:
        accounts = self.guard.accounts
        accounts.check(signed.user, old, address=self.request.remote_ip or "")
        accounts.set_password(signed.user, new, by=_person(signed))
        return accounts.get(signed.user)


class SignOut(Page):
    """The end of a session. A link elsewhere cannot sign anybody out: it takes a form of this server."""

    def get(self) -> None:
        """Ask, for a browser without script."""
        if not self.guard.needed() or self.guard.signed(self) is None:
            self.redirect("/sign-in")
            return
        self.show("Sign out", self.form("/sign-out", "", "Sign out") + '<p class=more><a href="/">Stay</a></p>')

    def post(self) -> None:
        """Sign out."""
        if self.guard.needed():
            self.guard.sessions.end(self.guard.key(self))
        self.clear_cookie(self.guard.cookie, path="/")
        self.redirect("/sign-in", status=303)


class State(Page):
    """How long the session still lasts (GET: a look, no action), and that the person did something (POST)."""

    def get(self) -> None:
        """The state: open, locked, change or none, and the seconds left."""
        self._say(self.guard.signed(self) if self.guard.needed() else None)

    def post(self) -> None:
        """The person did something."""
        self._say(self.guard.sessions.act(self.guard.key(self)) if self.guard.needed() else None)

    def _say(self, signed: Signed | None) -> None:
        self.finish({"state": signed.state if signed else "none", "left": signed.left if signed else 0})


class Script(Page):
    """The script that watches for idleness."""

    def get(self) -> None:
        """The file."""
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.finish((_HERE / "session.js").read_bytes())


class OidcBegin(Page):
    """The way to the agency's own sign-in."""

    async def get(self) -> None:
        """Send the browser there, tied to it by a cookie."""
        accounts = self.guard.accounts
        if self.provider is None or not accounts.tries.allow(f"oidc {self.request.remote_ip}", accounts.clock()):
            self.show("Sign in", "", message="That was tried too often; wait a minute.", status=429)
            return
        begun = await self.beside(self.provider().begin, self.wanted, again=bool(self.get_argument("again", "")))
        self.set_signed_cookie(f"{self.guard.cookie}_oidc", begun.browser, expires_days=PATIENCE / 86400, path="/sign-in/oidc", httponly=True, samesite="Lax",
                               secure=self.guard.settings.https or self.request.protocol == "https")
        self.redirect(begun.url)


class OidcBack(Page):
    """The way back from it."""

    async def get(self) -> None:
        """Believe it or not."""
        cookie = self.get_signed_cookie(f"{self.guard.cookie}_oidc", max_age_days=1)
        self.clear_cookie(f"{self.guard.cookie}_oidc", path="/sign-in/oidc")
        if self.provider is None:
            self.redirect("/sign-in")
            return
        try:
            account, wanted = await self.beside(
                self.provider().finish, self.get_query_argument("state", ""), self.get_query_argument("code", ""), (cookie or b"").decode("ascii", "replace"),
                error=self.get_query_argument("error", ""), address=self.request.remote_ip or "")
        except WorkbenchError as refused:
            body = self.agency_button("Try again", again=True) + '<p class=more><a href="/sign-in">To the sign-in page</a></p>'
            self.show("Sign in", body, message=str(refused), status=403)
            return
        self.through(account, self.guard.path(wanted))


def _person(signed: Signed) -> Any:
    from workbench.oversight.audit import Person

    return Person(signed.user, role=signed.role)
