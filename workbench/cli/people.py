"""Who may sign in: accounts, roles, passwords and tokens. A password is read from the terminal or from standard input, never an argument."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from workbench.cli.asking import Add, required
from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.oversight.accounts import Accounts

_ACTIONS = ("list", "add", "role", "password", "lock", "unlock", "remove", "token", "revoke")


def commands(add: Add) -> None:
    """Declare them."""
    people = add("people", _people, "who may sign in: list, add, role, password, lock, unlock, remove, token, revoke")
    people.add_argument("action", nargs="?", choices=_ACTIONS, default="list", help="default: list")
    people.add_argument("who", nargs="?", metavar="NAME", help="user name; the number of the token for revoke")
    people.add_argument("--role", help="role, for add and role, e.g. detective")
    people.add_argument("--password-stdin", action="store_true", help="take the password from the first line of standard input, for scripts")
    people.add_argument("--must-change", action="store_true", help="the person has to take another password at the next sign-in")
    people.add_argument("--days", type=float, default=30, metavar="N", help="how long a token holds (default 30)")
    people.add_argument("--name", default="", help="what a token is for, e.g. 'notebook on desk 4'")
    people.add_argument("--list", action="store_true", help="with token: show the tokens instead of making one")


def _people(args: argparse.Namespace) -> None:
    from workbench.oversight.accounts import FILE, Accounts
    from workbench.session import find_workspace

    folder = find_workspace(args.workspace)
    required(argparse.Namespace(workspace=args.workspace), "people", args.action)
    accounts = Accounts(folder / FILE)
    if args.action == "list":
        return _list(accounts)
    if args.action == "token" and args.list:
        return _tokens(accounts, args.who)
    if not args.who:
        what = "number of a token" if args.action == "revoke" else "user name"
        raise BadInput(f"Say which {what}: workbench people {args.action} {'3' if args.action == 'revoke' else 'anna'}")
    _ACTION[args.action](accounts, args)
    return None


def _list(accounts: Accounts) -> None:
    found = accounts.list()
    if found.is_empty():
        print("There are no accounts: the apps on this machine work without signing in, under the name of the operating system's user. "
              "The first one: workbench people add NAME --role ROLE")
    for row in found.iter_rows(named=True):
        notes = [f"last signed in {row['signed_in_at']:%Y-%m-%d %H:%M} UTC" if row["signed_in_at"] else "never signed in",
                 *(["agency's sign-in"] if row["via"] == "oidc" else []), *(["has to change the password"] if row["must_change"] else []),
                 *(["locked"] if row["closed"] else []),
                 *([f"closed after wrong tries until {row['locked_until']:%H:%M} UTC"] if row["locked_until"] else [])]
        print(f"{row['user']:24} {row['role']:14} {', '.join(notes)}")


def _tokens(accounts: Accounts, who: str | None) -> None:
    for row in accounts.tokens(who).iter_rows(named=True):
        state = "taken back" if row["revoked_at"] else f"holds until {row['expires_at']:%Y-%m-%d %H:%M} UTC"
        used = f"last used {row['used_at']:%Y-%m-%d %H:%M} UTC" if row["used_at"] else "never used"
        print(f"{row['token_id']:4}  {row['user']:24} {state}, {used}  {row['name']}")


def _add(accounts: Accounts, args: argparse.Namespace) -> None:
    if not args.role:
        raise BadInput(f"Say which role: workbench people add {args.who} --role detective")
    first = not accounts.any()
    made = accounts.add(args.who, args.role, _password(args), must_change=args.must_change)
    print(f"{made.user} has an account now, as {made.role}.")
    if first:
        print("It is the first one: from now on every page of the apps needs a sign-in.")


def _role(accounts: Accounts, args: argparse.Namespace) -> None:
    if not args.role:
        raise BadInput(f"Say which role: workbench people role {args.who} --role supervisor")
    accounts.set_role(args.who, args.role)
    print(f"{args.who} is {args.role} now; open pages ask for a sign-in.")


def _change(accounts: Accounts, args: argparse.Namespace) -> None:
    accounts.get(args.who)
    accounts.set_password(args.who, _password(args), must_change=args.must_change)
    print(f"{args.who} has another password now; open pages ask for a sign-in. Tokens still hold: workbench people token {args.who} --list")


def _lock(accounts: Accounts, args: argparse.Namespace) -> None:
    accounts.lock(args.who)
    print(f"{args.who} is locked: open pages are closed, tokens are refused.")


def _unlock(accounts: Accounts, args: argparse.Namespace) -> None:
    accounts.unlock(args.who)
    print(f"{args.who} may sign in again.")


def _remove(accounts: Accounts, args: argparse.Namespace) -> None:
    accounts.remove(args.who)
    print(f"{args.who} has no account any more; what was done under the name stays in the audit.")
    if not accounts.any() and accounts.settings.oidc is None:
        print("It was the last one: once the server is started anew, its pages on this machine need no sign-in.")


def _token(accounts: Accounts, args: argparse.Namespace) -> None:
    made = accounts.token(args.who, args.days, name=args.name)
    print(f"A token for {args.who}, good for {args.days:g} days. It is shown this once and kept nowhere:", file=sys.stderr)
    print(made)


def _revoke(accounts: Accounts, args: argparse.Namespace) -> None:
    if not args.who.isdecimal():
        raise BadInput(f"{args.who!r} is not the number of a token; workbench people token --list shows them.")
    accounts.revoke(int(args.who))
    print(f"Token {args.who} is taken back.")


def _password(args: argparse.Namespace) -> str:
    """A new password: from standard input, or asked twice on the terminal."""
    if args.password_stdin:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise BadInput("There is no password on standard input; its first line is taken.")
        return line
    if not sys.stdin.isatty():
        raise BadInput("A password is asked on a terminal; in a script give it on standard input with --password-stdin.")
    from getpass import getpass

    first, second = getpass("New password: "), getpass("Once more: ")
    if first != second:
        raise BadInput("The two are not the same; nothing was changed.")
    return first


_ACTION = {"add": _add, "role": _role, "password": _change, "lock": _lock, "unlock": _unlock, "remove": _remove, "token": _token, "revoke": _revoke}
