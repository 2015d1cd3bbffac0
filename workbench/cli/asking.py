"""What commands share: how they are declared, and the progress bar."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
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


def bound_arguments(parser: argparse.ArgumentParser) -> None:
    """--case, --purpose and --reason, for commands that may show plates and persons."""
    parser.add_argument("--case", metavar="NUMBER", help="case number; needed for tables about plates and persons")
    parser.add_argument("--purpose", help="purpose, e.g. investigation")
    parser.add_argument("--reason", help="why, in a few words")


def bound(args: argparse.Namespace) -> Any:
    """The workbench of -w, bound to --case, --purpose and --reason."""
    from workbench.session import open_workbench

    return open_workbench(args.workspace, case=args.case, purpose=args.purpose, reason=args.reason)


def bar() -> Callable[[str, float], None] | None:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    held: list[Any] = []

    def show(phase: str, fraction: float) -> None:
        if not held:
            held.append(tqdm(total=100, bar_format="{desc:32} {bar} {n:3.0f} %", leave=False, file=sys.stderr))
        held[0].set_description_str(phase[:32], refresh=False)
        held[0].n = min(100, round(100 * fraction))
        held[0].refresh()
        if fraction >= 1:
            held.pop().close()

    return show
