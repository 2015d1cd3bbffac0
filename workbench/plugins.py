"""An agency's own files in its workspace's ``plugins`` folder: one Python file, one source, model or app.

Such a file is code of the agency itself and may do whatever the workbench may. ``plugins = "off"`` under ``[server]`` of ``agency.toml`` keeps every
one of them from being imported; mapping files (.toml) are no code and are read all the same.
"""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

from workbench.errors import BadInput


def files(folder: Path | None, suffix: str = ".py") -> dict[str, Path]:
    """Name -> file of what a plugin folder holds; nothing is imported. Empty for None, for a folder that is not there, and for names with "_" first."""
    return {p.stem: p for p in sorted(folder.glob(f"*{suffix}")) if not p.stem.startswith("_")} if folder is not None and folder.is_dir() else {}


def load(kind: str, name: str, path: Path) -> ModuleType:
    """Import one such file, afresh every time.

    Args:
        kind: what it is meant to be, for the message: "source", "model", "app".
        name: its name.
        path: the file.

    Raises:
        BadInput: it cannot be imported, or plug-ins are off; the message says why.
    """
    if not allowed(path):
        raise BadInput(f"The {kind} {name!r} is a plug-in, and agency.toml says [server] plugins = \"off\": {path.name} is not imported. "
                       "Who keeps this workspace can say \"on\".")
    spec = importlib.util.spec_from_file_location(f"workbench_plugin_{kind}_{name}", path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} cannot be read as a Python module.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadInput(f"The {kind} {name!r} in {path} cannot be used: {type(error).__name__}: {error}") from error
    return module


def allowed(path: Path) -> bool:
    """Whether the workspace that a plug-in lies in has its Python files imported (``[server] plugins``, "on" unless it says "off").

    Raises:
        BadInput: it says something else, or its ``agency.toml`` cannot be read: then it cannot be known, and nothing is imported.
    """
    home = next((p.parent for p in path.absolute().parents if p.name == "plugins" and (p.parent / "agency.toml").is_file()), None)
    if home is None:
        return True
    try:
        said = tomllib.loads((home / "agency.toml").read_text(encoding="utf-8-sig")).get("server", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"agency.toml of {home} cannot be read ({error}), so no plug-in is imported.") from None
    how = said.get("plugins", "on") if isinstance(said, dict) else None
    if how not in ("on", "off"):
        raise BadInput(f"agency.toml, [server]: plugins = {how!r} is neither \"on\" nor \"off\".")
    return bool(how == "on")
