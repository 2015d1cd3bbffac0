"""The apps: every module of this folder with ``def app(workbench)`` is one page, and so is every such file in a workspace's ``plugins/apps``."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from workbench import plugins as plugin_files
from workbench.errors import NotFound, did_you_mean

if TYPE_CHECKING:
    from workbench.session import Workbench

__all__ = ["Entry", "find", "listed", "names", "serve"]


@dataclass(frozen=True)
class Entry:
    """One app as its file describes it (TITLE, QUESTION, NEEDS: tables, DEEDS, ICON: SVG path data in a 24 x 24 box), known without importing it.

    ``deeds``: the page is for roles that may do one of these (words of ``workbench.oversight.policy.DEEDS``); none = for every role.
    """

    name: str
    file: Path
    title: str
    question: str
    needs: tuple[str, ...]
    icon: str = ""
    plugin: bool = False
    deeds: tuple[str, ...] = ()

    def load(self) -> Callable[[Workbench], Any]:
        """Import the module and give its ``app`` function."""
        return self._module().app

    def page(self, workbench: Workbench) -> Any:
        """The app's page for a workbench.

        Raises:
            AccessRefused: its role does not see a table that the app needs, or may do nothing that it is for; it is written to the audit.
        """
        workbench.enter(self.name, self.needs, self.deeds)
        return self.load()(workbench)

    def is_for(self, workbench: Workbench) -> bool:
        """Whether the page is for the role of a workbench, as far as deeds say."""
        return not self.deeds or bool(workbench.role) and any(workbench.may(d) for d in self.deeds)

    def _module(self) -> ModuleType:
        if not self.plugin:
            return importlib.import_module(f"{__name__}.{self.name}")
        return plugin_files.load("app", self.name, self.file)


def listed(plugins: Path | None = None) -> list[Entry]:
    """Every app found, the package's first, each by name. Reads the files without importing them.

    Args:
        plugins: the workspace's ``plugins`` folder; its ``apps/*.py`` come behind. One with a name the package has is left out.
    """
    own = [e for f in sorted(Path(__file__).parent.glob("*.py")) if (e := _read(f, plugin=False))]
    have = {e.name for e in own}
    more = sorted((plugins / "apps").glob("*.py")) if plugins else []
    return sorted(own, key=lambda e: e.title) + [e for f in more if f.stem not in have and (e := _read(f, plugin=True))]


def names(plugins: Path | None = None) -> list[str]:
    """Names of the apps found."""
    return [e.name for e in listed(plugins)]


def find(name: str, plugins: Path | None = None) -> Entry:
    """The app of that name.

    Raises:
        NotFound: there is none; the message names the nearest.
    """
    for entry in listed(plugins):
        if entry.name == name:
            return entry
    raise NotFound(f"There is no app {name!r}.{did_you_mean(name, names(plugins))}")


def serve(workbench: Workbench, *, port: int = 5006, address: str = "127.0.0.1", show: bool = False, started: Callable[[str], None] | None = None) -> None:
    """Serve the hub and every app until interrupted; see :func:`workbench.apps.server.serve`."""
    from workbench.apps.server import serve as run

    run(workbench, port=port, address=address, show=show, started=started)


def _read(file: Path, *, plugin: bool) -> Entry | None:
    """An entry for a file that defines ``app`` at its top; a file that is no Python is shown too, so that its owner learns of it."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return Entry(file.stem, file, file.stem, "This file cannot be read as Python.", (), plugin=plugin) if plugin else None
    if not any(isinstance(node, ast.FunctionDef) and node.name == "app" for node in tree.body):
        return None
    said: dict[str, Any] = {}
    for node in tree.body:
        names_given = [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.Assign) and {"TITLE", "QUESTION", "NEEDS", "DEEDS", "ICON"} & set(names_given):
            try:
                said[names_given[0]] = ast.literal_eval(node.value)
            except ValueError:
                continue
    title = str(said.get("TITLE") or file.stem.replace("_", " ").capitalize())
    question = str(said.get("QUESTION") or (ast.get_docstring(tree) or "").split("\n")[0])
    return Entry(file.stem, file, title, question, tuple(str(n) for n in said.get("NEEDS", ())), str(said.get("ICON", "")), plugin,
                 tuple(str(d) for d in said.get("DEEDS", ())))
