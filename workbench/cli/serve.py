"""The command that serves: the hub and the apps, the frames for other users' notebooks, and the tokens these sign in with."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.asking import Add, required, role_argument
from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.serving import Frames


def commands(add: Add) -> None:
    """Declare it."""
    serve = add("serve", _serve, "serve the hub and the apps on this machine, and frames to other users' notebooks")
    serve.add_argument("action", nargs="?", choices=("token", "tokens", "revoke"), help="make a token for NAME, list who holds tokens, or withdraw NAME's")
    serve.add_argument("name", nargs="?", metavar="NAME", help="a person, for token and revoke")
    serve.add_argument("--days", type=int, default=90, help="how long a new token is good (default 90)")
    serve.add_argument("--port", type=int, default=5006, help="port on 127.0.0.1 (default 5006; the next free one if taken)")
    serve.add_argument("--open", action="store_true", help="open a browser")
    role_argument(serve)
    serve.add_argument("--frames", nargs="?", const="", metavar="ADDRESS",
                       help="also frames, at grpc://127.0.0.1:8815, grpc+unix:///path or grpc+tls://host:port (default: [server] of agency.toml)")
    serve.add_argument("--frames-only", nargs="?", const="", metavar="ADDRESS", help="frames and no apps")


def _serve(args: argparse.Namespace) -> int:
    from workbench.session import find_workspace

    folder = find_workspace(args.workspace)
    if args.action:
        required(args, "people", "tokens")
        _tokens(folder, args.action, args.name, args.days)
        return 0
    if args.frames is not None and args.frames_only is not None:
        raise BadInput("Give --frames (with the apps) or --frames-only, not both.")
    required(args, "serve", "hub")
    os.umask(0o077)
    only = args.frames_only is not None
    where = args.frames_only if only else args.frames
    if where is None:
        _apps(args, folder)
        return 0
    return _frames(args, folder, where or None, only)


def _frames(args: argparse.Namespace, folder: Path, where: str | None, only: bool) -> int:
    from workbench import serving
    from workbench.serving.files import exposed

    for sentence in exposed(folder):
        print(f"workbench: {sentence}", file=sys.stderr, flush=True)
    server = serving.listen(folder, where)
    stopped = threading.Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: _stop(stopped, only))
    print(f"Frames are at {server.url}  (Ctrl-C stops it)", flush=True)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            if only:
                stopped.wait()
            else:
                _apps(args, folder)
    finally:
        signal.signal(signal.SIGTERM, previous)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end(server)
    return 0


def _stop(stopped: threading.Event, only: bool) -> None:
    stopped.set()
    if not only:
        raise KeyboardInterrupt


def _end(server: Frames) -> None:
    """Stop; a client that reads nothing and does not go cannot hold the process."""
    if not server.stop():
        print("workbench: a client did not take its rows in time and was left.", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(0)


def _apps(args: argparse.Namespace, folder: Path) -> None:
    from workbench import apps
    from workbench.session import open_workbench

    city = open_workbench(folder, role=args.role)
    apps.serve(city, port=args.port, show=args.open, started=lambda url: print(f"The hub is at {url}  (Ctrl-C stops it)", flush=True))


def _tokens(folder: Path, action: str, name: str | None, days: int) -> None:
    from workbench.oversight.audit import Audit, Person, current_user
    from workbench.serving.tokens import Tokens

    held = Tokens(folder)
    if action == "tokens":
        for row in held.listed().iter_rows(named=True):
            print(f"{row['user']:20} made {row['made_at'][:10]}  ends {row['ends_at'][:10]}  {row['hash']}")
        return
    if not name:
        raise BadInput(f"Say whose: workbench serve {action} anna")
    audit, us = Audit(folder / "audit.db"), Person(current_user())
    detail: dict[str, Any] = {"days": days} if action == "token" else {}
    with audit.deed(us, f"{'make' if action == 'token' else 'withdraw'} token", name, **detail) as outcome:
        if action == "token":
            token = held.make(name, days=days)
        else:
            outcome["tokens"] = held.withdraw(name)
    if action == "token":
        print(token)
        print(f"This is the token of {name} for {days} days. It is shown this once: put it into WORKBENCH_TOKEN or ~/.config/workbench/token (chmod 600).",
              file=sys.stderr)
    else:
        print(f"{name} holds no token any more.")
