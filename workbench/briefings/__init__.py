"""Briefings: a template is run through papermill and set as a notebook, an HTML page and a PDF.

``names`` lists them, ``parameters`` says what one can be told, ``run`` makes the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.briefings.declared import Parameter
    from workbench.briefings.runner import BriefingFiles, Progress
    from workbench.session import Workbench

__all__ = ["names", "parameters", "run"]


def names(workspace: Path | None = None) -> list[str]:
    """The briefings there are: the workspace's own, its plugins', the package's."""
    from workbench.briefings import runner

    return runner.names(workspace)


def parameters(name: str, workspace: Path | None = None) -> list[Parameter]:
    """What a briefing can be told, in the order of its template.

    Raises:
        NotFound: no such briefing. BadInput: its parameters cell breaks the form.
    """
    from workbench.briefings import declared, runner

    return list(declared.read(runner.find(name, workspace)))


def run(workbench: Workbench, template: str, given: Mapping[str, Any] | None = None, out: str | Path | None = None, *,
        progress: Progress | None = None) -> BriefingFiles:
    """Run a briefing; see :func:`workbench.briefings.runner.run`."""
    from workbench.briefings import runner

    return runner.run(workbench, template, given, out, progress=progress)
