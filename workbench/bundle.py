"""Where the files that travel with the package lie: notebooks, templates and samples, in a checkout or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import NotFound

_IN_CHECKOUT = {"notebooks": "notebooks", "templates": "templates", "samples": "data/samples"}


def folder(kind: str) -> Path:
    """The folder of "notebooks", "templates" or "samples".

    Raises:
        NotFound: the installation lacks it.
    """
    here = Path(__file__).resolve().parent
    for path in (here / "_bundled" / kind, here.parent / _IN_CHECKOUT[kind]):
        if path.is_dir():
            return path
    raise NotFound(f"This installation carries no {kind}; install the wheel again, or work from a checkout.")
