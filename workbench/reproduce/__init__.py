"""Does an answer come out again? A saved result, notebook or briefing is run once more from its basis, at its pinned versions, and compared.

``verify`` says equal, what differs, or why it cannot be told; ``show`` says what a file rests on. The run passes the same gate as any other question
and is written to the audit as "verify".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, NotFound
from workbench.reproduce.verdict import CANNOT, DIFFERS, EQUAL, Verdict

if TYPE_CHECKING:
    import polars as pl

    from workbench.session import Workbench

__all__ = ["CANNOT", "DIFFERS", "EQUAL", "Verdict", "show", "verify"]
KINDS = (".json", ".ipynb", ".html", ".pdf")


def verify(file: str | Path, workbench: Workbench, *, trust: bool = False,
           certificates: Callable[[Path], pl.DataFrame | None] | None = None, progress: Callable[[str, float], None] | None = None) -> Verdict:
    """Run a file again from its basis and compare.

    Args:
        file: a saved result (.json), an executed notebook or briefing (.ipynb), a briefing's page (.html) or PDF.
        workbench: whose workspace, user, case, purpose and reason the run is made under.
        trust: run the code of a notebook even where it is no template or notebook of this workspace.
        certificates: of purges, by workspace; None = the workspace's own.
        progress: told the step and the share done.

    Raises:
        NotFound: there is no such file. BadInput: it is none of these.

    Cost: that of making it.
    """
    from workbench.reproduce import papers, saved

    path = _there(file)
    with workbench.deed("verify", path.name, sha256=_sha(path)) as outcome:
        if path.suffix == ".json":
            verdict = saved.verify(path, workbench, certificates)
        else:
            verdict = papers.verify(path, workbench, trust=trust, certificates=certificates, progress=progress)
        outcome.update(outcome=verdict.outcome, differences=len(verdict.differences))
    return verdict


def show(file: str | Path) -> list[tuple[str, str]]:
    """What a file rests on, as (label, text) pairs for people.

    Raises:
        NotFound: there is no such file. BadInput: it is none of the four kinds, or says nothing of what it rests on.
    """
    from workbench.reproduce import papers, saved

    path = _there(file)
    return saved.show(path) if path.suffix == ".json" else papers.show(path)


def _there(file: str | Path) -> Path:
    path = Path(file).expanduser()
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    if path.suffix not in KINDS:
        raise BadInput(f"{path.name} is none of what can be run again: a saved result (.json), notebook or briefing (.ipynb), or its page (.html) or PDF.")
    return path


def _sha(path: Path) -> Any:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
