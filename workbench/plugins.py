"""An agency's own files in its workspace's ``plugins`` folder: one Python file, one source, model or app."""

from __future__ import annotations

import importlib.util
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
        BadInput: it cannot be imported; the message says why.
    """
    spec = importlib.util.spec_from_file_location(f"workbench_plugin_{kind}_{name}", path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} cannot be read as a Python module.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadInput(f"The {kind} {name!r} in {path} cannot be used: {type(error).__name__}: {error}") from error
    return module
