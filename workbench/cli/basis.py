"""``workbench basis``: what does a result, notebook or briefing rest on, and does it come out again?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from workbench.cli.asking import Add, bar, bound, bound_arguments


def commands(add: Add) -> None:
    """Declare it."""
    basis = add("basis", _basis, "show what a result, notebook or briefing rests on, or verify that it comes out again (exit 0 equal, 1 differs, 3 cannot)")
    basis.add_argument("action", choices=("verify", "show"), help="verify: run it again from its basis and compare; show: say what it rests on")
    basis.add_argument("file", metavar="FILE", type=Path, help="a saved result (.json), an executed notebook or briefing (.ipynb), a briefing's .html or .pdf")
    basis.add_argument("--trust", action="store_true", help="run the code of a notebook that is no template or notebook of the workspace")
    bound_arguments(basis)


def _basis(args: argparse.Namespace) -> int:
    from workbench import reproduce

    if args.action == "show":
        for label, text in reproduce.show(args.file):
            print(f"{label + ':':18} {text}")
        return 0
    from workbench.errors import WorkbenchError

    try:
        verdict = reproduce.verify(args.file, bound(args), trust=args.trust, progress=bar())
    except WorkbenchError as error:  # neither equal nor different: nothing was compared
        print(f"workbench: {error}", file=sys.stderr)
        return 3
    print("\n".join(verdict.lines()))
    return verdict.code
