"""What commands share: how they are declared, who asks and for what, and the progress bar."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import BadInput


class Add(Protocol):
    """Declares one command; gives its parser for further arguments."""

    def __call__(self, name: str, run: Callable[[argparse.Namespace], Any], help: str, *, workspace: bool = True) -> argparse.ArgumentParser:
        """``run(args)`` gives the exit code, None = 0; with ``workspace`` it takes -w."""


def pair(text: str, option: str, example: str) -> tuple[str, str]:
    """NAME=VALUE taken apart.

    Raises:
        BadInput: there is no "=" in it.
    """
    name, eq, value = text.partition("=")
    if not eq:
        raise BadInput(f"{option} {text!r} is not NAME=VALUE, e.g. {option} {example}")
    return name.strip(), value


def role_argument(parser: argparse.ArgumentParser) -> None:
    """--role, for commands that do something and show no facts."""
    parser.add_argument("--role", help="in which of your roles; see: workbench access (default: one of yours that may)")


def bound_arguments(parser: argparse.ArgumentParser) -> None:
    """--case, --purpose, --reason, --role and --emergency, for commands that show facts."""
    asked = parser.add_argument_group("who asks, and for what")
    asked.add_argument("--case", metavar="NUMBER", help="an open case; needed for tables about plates and persons")
    asked.add_argument("--purpose", help="one of the agency's purposes, e.g. investigation")
    asked.add_argument("--reason", help="what is to be learnt, in words that mean something")
    asked.add_argument("--role", help="in which of your roles, or a lower one (default: your first); see: workbench access")
    asked.add_argument("--emergency", action="store_true", help="break the glass: no case, but a reason; reviewed afterwards")


def bound(args: argparse.Namespace) -> Any:
    """The workbench of -w in --role, bound to --case, --purpose and --reason, or opened in an emergency."""
    from workbench.session import open_workbench

    return open_workbench(args.workspace, case=args.case, purpose=args.purpose, reason=args.reason, role=args.role, emergency=args.emergency)


def required(args: argparse.Namespace, deed: str, object: str = "") -> tuple[Path, Any]:
    """The workspace of -w and the person in the role in which they may do a deed; a refusal is written to the audit.

    Raises:
        AccessRefused: they may not.
    """
    from workbench import workspace
    from workbench.errors import AccessRefused
    from workbench.oversight.audit import Audit, Person, current_user
    from workbench.session import find_workspace

    folder = find_workspace(args.workspace)
    person = Person(current_user(), role=getattr(args, "role", None) or "")
    try:
        return folder, workspace.may(folder, person, deed)
    except AccessRefused as error:
        Audit(folder / "audit.db").write(person, deed, object or folder.name, phase="refused", error=type(error).__name__, said=str(error))
        raise


def bar() -> Callable[[str, float], None] | None:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    held: list[Any] = []

    def show(phase: str, fraction: float) -> None:
        if not held:
            held.append(tqdm(total=100, bar_format="{desc:32} {bar} {n:3.0f} %", leave=False, file=getattr(sys.stderr, "bare", sys.stderr)))
        held[0].set_description_str(phase[:32], refresh=False)
        held[0].n = min(100, round(100 * fraction))
        held[0].refresh()
        if fraction >= 1:
            held.pop().close()

    return show
