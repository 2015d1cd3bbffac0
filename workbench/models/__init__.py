"""Models: each takes frames and gives a result. One file is one question; a folder is a subject.

``window``, ``chance`` and ``forecast`` beside the folders are what the models share; they are not models themselves.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from workbench.errors import NotFound, did_you_mean
from workbench.plugins import files, load


def names(plugins: Path | None = None) -> list[str]:
    """Every model as "subject.question", e.g. "hotspots.kde", sorted; found in the folders, nothing is imported.

    Args:
        plugins: a workspace's folder ``plugins/models``; its files come behind, by their own name.
    """
    here = Path(__file__).parent
    subjects = [m.name for m in pkgutil.iter_modules([str(here)]) if m.ispkg]
    own = sorted(f"{s}.{m.name}" for s in subjects for m in pkgutil.iter_modules([str(here / s)]) if not m.ispkg and not m.name.startswith("_"))
    return own + sorted(files(plugins))


def find(name: str, plugins: Path | None = None) -> ModuleType:
    """The module of that name, imported now.

    Raises:
        NotFound: there is none; the message names the nearest.
        BadInput: a file of ``plugins`` cannot be imported; the message says why.
    """
    plugged = files(plugins)
    if name in plugged:
        return load("model", name, plugged[name])
    known = names(plugins)
    if name not in known:
        raise NotFound(f"There is no model {name!r}.{did_you_mean(name, known)}")
    return importlib.import_module(f"{__name__}.{name}")


def surfaces() -> dict[str, str]:
    """The models that forecast from incidents alone (a function ``surface(incidents, grid, asof, ...)`` whose other arguments have defaults) and the question
    each opens with; read, not imported."""
    found = {}
    for name in names():
        tree = ast.parse((Path(__file__).parent / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "surface" and _of_incidents(node.args) for node in tree.body):
            found[name] = (ast.get_docstring(tree) or name).splitlines()[0]
    return found


def _of_incidents(given: ast.arguments) -> bool:
    return [a.arg for a in given.args] == ["incidents", "grid", "asof"] and all(d is not None for d in given.kw_defaults)
