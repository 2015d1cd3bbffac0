"""Run a briefing: check its parameters, execute it with papermill, write the notebook, the HTML page and the PDF together.

The three files are made in a hidden folder inside the target folder and renamed when all of them are whole, so that a run killed
midway leaves nothing half-written; what a dead run left is swept by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from workbench import bundle
from workbench.briefings import declared, html, notebook, pdf, resting, unverified
from workbench.errors import AccessRefused, BadInput, NotFound, WorkbenchError, did_you_mean
from workbench.session import Workbench
from workbench.session.asked import resting as resting_on

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class BriefingFiles:
    """What a run wrote."""

    ipynb: Path
    html: Path
    pdf: Path
    run_id: str


def folders(workspace: Path | None = None) -> list[Path]:
    """Where templates are looked for: the workspace's templates, its plugins, then those of the package."""
    own = [workspace / "templates", workspace / "plugins" / "templates"] if workspace else []
    return [*own, bundle.folder("templates")]


def names(workspace: Path | None = None) -> list[str]:
    """The briefings there are, sorted: every ``.ipynb`` of :func:`folders`."""
    return sorted({file.stem for folder in folders(workspace) for file in folder.glob("*.ipynb") if not file.name.startswith(".")})


def find(name: str, workspace: Path | None = None) -> Path:
    """The notebook of a briefing.

    Raises:
        NotFound: there is none of that name; the message names the nearest.
    """
    known = names(workspace)
    if name not in known:
        raise NotFound(f"There is no briefing {name!r}.{did_you_mean(name, known)}")
    return next(file for folder in folders(workspace) if (file := folder / f"{name}.ipynb").is_file())


def run(workbench: Workbench, template: str, given: Mapping[str, Any] | None = None, out: str | Path | None = None, *,
        progress: Progress | None = None) -> BriefingFiles:
    """Run a briefing for an opened workbench.

    Args:
        workbench: whose workspace, table versions, case, purpose and reason the briefing gets, where its parameters take them.
        template: name of the briefing.
        given: parameters; text is read as a command line would give it.
        out: folder for the files; the workspace's ``out`` by default.
        progress: told the step and the share done.

    Returns:
        The paths of the executed notebook, the HTML page and the PDF, named ``<template>_<asof>``.

    Raises:
        NotFound: no such briefing. BadInput: an unknown or ill-typed parameter, said before anything runs.
        WorkbenchError: a cell failed; the message says which and why, and the partial notebook is kept as ``<name>.failed.ipynb``.
        Unverified: it would show a hit of the hotlist that no person has confirmed; nothing is written.

    Cost: the template's own time, about 3 s for the kernel and 0.5 s for the pages.
    """
    source = find(template, workbench.path)
    known = declared.read(source)
    values = declared.check(known, given or {}, f"The briefing {template!r}")
    made_at = datetime.now(UTC).replace(microsecond=0)
    with workbench.deed("brief", template, **{k: str(v) for k, v in values.items() if k != "reason"}) as outcome:
        _allowed(workbench, values)
        values = _fill(workbench, {p.name: p for p in known}, values, made_at)
        stem = f"{template}_{_stamp(values.get('asof'), made_at)}"
        folder = Path(out).expanduser().resolve() if out is not None else workbench.path / "out"
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"{folder} is a file; name a folder for the briefing.")
        folder.mkdir(parents=True, exist_ok=True)
        with _staging(folder, template) as scratch:
            executed = _execute(source, scratch, declared.plain(values), workbench.path, progress, folder / f"{stem}.failed.ipynb")
            blocks = _blocks(executed, stem)
            unverified.refuse(executed, blocks, workbench._casebook)
            about = resting.about(template, json.loads(source.read_text(encoding="utf-8")), values, blocks, versions=workbench.versions,
                                  workspace=resting_on(workbench.path), run_id=str(values["run_id"]), made_at=made_at)
            parts = pages(executed, blocks, about, scratch / "pdf", source.parent)
            if about["versions"]:  # what it rests on stays readable, whatever is cleared away later
                workbench.lake.pin(about["versions"], f"briefing {stem}.pdf", workbench.user)
            files = _write(parts, scratch, folder, stem, str(values["run_id"]))
        outcome.update(run_id=files.run_id, file=files.pdf.name, sha256={kind: hashlib.sha256(data).hexdigest() for kind, data in parts.items()})
    if progress:
        progress(template, 1.0)
    return files


def _allowed(workbench: Workbench, values: Mapping[str, Any]) -> None:
    """Refuse before anything runs what the briefing's own opening of the workspace would be refused for."""
    workbench.require("brief")
    if workbench.person.emergency:
        raise AccessRefused("A briefing is not run on an emergency access: its pages would outlast it. Open the workbench under a case.")
    if values.get("case") not in (None, workbench.case):
        workbench.bind(case=values["case"], purpose=values.get("purpose") or "", reason=values.get("reason"))


def _fill(workbench: Workbench, known: Mapping[str, declared.Parameter], values: dict[str, Any], made_at: datetime) -> dict[str, Any]:
    """Every parameter with its value: those given, those the workbench knows, else the default."""
    here = str(workbench.path)
    if Path(values.get("workspace") or here).expanduser().resolve() != workbench.path:
        raise BadInput(f"Parameter 'workspace' is {values['workspace']!r}, but the workbench is opened on {here}; leave it out, or open that workspace.")
    # A case given for this briefing brings its own purpose and reason; the workbench's belong to the workbench's case.
    bound = {} if values.get("case") not in (None, workbench.case) else {"case": workbench.case, "purpose": workbench.purpose, "reason": workbench.reason}
    run_id = f"{made_at:%Y%m%d%H%M%S}-{os.urandom(3).hex()}"
    local = workbench.asof.astimezone(workbench.agency.tz)
    whole = local.date() if local.time() == datetime.min.time() else local
    offered = {**bound, "versions": dict(workbench.versions), "user": workbench.user, "role": workbench.role, "run_id": run_id, "asof": whole}
    out = {}
    for name, parameter in known.items():
        value = values.get(name)
        if value is None and offered.get(name) is not None:
            value = declared.value(parameter, offered[name]) if name != "asof" or parameter.kind != "date" else local.date()
        out[name] = parameter.default if value is None else value
    if "workspace" in known:
        out["workspace"] = here
    out.setdefault("run_id", run_id)
    return out


def _stamp(asof: Any, made_at: datetime) -> str:
    if isinstance(asof, datetime):
        return f"{asof:%Y-%m-%d}" if asof.time() == datetime.min.time() else f"{asof:%Y-%m-%dT%H%M}"
    return asof.isoformat() if isinstance(asof, date) else f"{made_at:%Y-%m-%dT%H%M%S}"


@contextlib.contextmanager
def _staging(folder: Path, template: str) -> Iterator[Path]:
    """A hidden folder beside the target, held by a lock while its run lives; folders of dead runs are swept first."""
    for left in folder.glob(".briefing-*"):
        with contextlib.suppress(OSError), open(left / "lock", "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=f".new-{template}-", dir=folder))
    with open(new / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        scratch = new.rename(folder / new.name.replace(".new-", ".briefing-", 1))  # only now can it be swept, and now it is held
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _execute(source: Path, scratch: Path, values: dict[str, Any], home: Path, progress: Progress | None, failed: Path) -> dict[str, Any]:
    """Execute in a process of its own, whose Jupyter folders are all inside ``scratch``; returns the executed notebook."""
    shutil.copyfile(source, scratch / "template.ipynb")
    spec = scratch / "jupyter" / "kernels" / "workbench-briefing"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "workbench", "language": "python"}), encoding="utf-8")
    places = {f"JUPYTER_{n}": str(scratch / "jupyter" / n.lower()) for n in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")}
    package = str(Path(__file__).resolve().parents[2])
    outer = {k: v for k, v in os.environ.items() if not k.startswith("JPY_")}  # a kernel that asks for a briefing is not the new kernel's parent
    env = {**outer, **places, "JUPYTER_PATH": str(scratch / "jupyter"), "IPYTHONDIR": str(scratch / "jupyter" / "ipython"),
           "PYTHONPATH": os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH", "")) if p)}
    order = {"parameters": values, "kernel": spec.name, "home": str(home)}
    with subprocess.Popen([sys.executable, "-m", "workbench.briefings.execute"], cwd=scratch, env=env, text=True, encoding="utf-8",
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(scratch / "stderr", "w")) as child:
        try:
            print(json.dumps(order), file=child.stdin, flush=True)
            for line in child.stdout or ():
                cell, _, cells = line.partition("/")
                if progress and cell.strip().isdigit() and cells.strip().isdigit():
                    progress(source.stem, 0.95 * int(cell) / max(1, int(cells)))
            code = child.wait()
        finally:
            child.kill()
    try:
        executed: dict[str, Any] = json.loads((scratch / "executed.ipynb").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        said = (scratch / "stderr").read_text(encoding="utf-8").strip().splitlines()
        raise WorkbenchError(f"The briefing {source.stem!r} could not be started: {said[-1] if said else f'exit code {code}'}.") from None
    wrong = notebook.failure(executed)
    if wrong or code:
        os.replace(scratch / "executed.ipynb", failed)
        raise WorkbenchError(f"The briefing {source.stem!r} stopped {wrong or 'before its end'} The notebook as far as it came is {failed}.")
    return executed


def again(workbench: Workbench, source: Mapping[str, Any], values: Mapping[str, Any], *, progress: Progress | None = None) -> dict[str, Any]:
    """Execute a notebook once more in a scratch folder inside ``out`` and give it executed; nothing of it stays.

    Raises:
        WorkbenchError: a cell failed; the message says which and why.
    """
    folder = workbench.path / "out"
    folder.mkdir(parents=True, exist_ok=True)
    with _staging(folder, "verify") as scratch:
        copy = scratch / "again.ipynb"
        copy.write_text(json.dumps(source), encoding="utf-8")
        return _execute(copy, scratch, dict(values), workbench.path, progress, scratch / "failed.ipynb")


def _blocks(executed: dict[str, Any], stem: str) -> list[dict[str, Any]]:
    blocks = notebook.blocks(executed)
    if not blocks:
        raise WorkbenchError(f"The briefing {stem!r} shows nothing that could be printed; end its cells with blocks (workbench.briefings.blocks).")
    return blocks


def pages(executed: dict[str, Any], blocks: list[dict[str, Any]], about: dict[str, Any], scratch: Path, design: Path) -> dict[str, bytes]:
    """The three files as bytes, each carrying ``about``; the same run gives the same bytes.

    Args:
        executed: the executed notebook; its metadata get ``about``.
        blocks: to be printed.
        about: as ``resting.about`` made it.
        scratch: an empty or new folder to set the page in.
        design: where the template lies, which may have a page design of its own beside it.
    """
    title, run_id = notebook.title(blocks, about["template"]), about["run_id"]
    packaged = bundle.folder("templates")
    screen = design if all((design / f"briefing.{k}").is_file() for k in ("html", "css")) else packaged
    paper = design if (design / "briefing.typ").is_file() else packaged
    scratch.mkdir(exist_ok=True)
    executed.setdefault("metadata", {})["workbench"] = about
    made_at = datetime.fromisoformat(about["made_at"])
    return {
        "ipynb": json.dumps(executed, indent=1, ensure_ascii=False).encode() + b"\n",
        "html": html.page(blocks, title=title, run=run_id, folder=screen, head=resting.meta(about)).encode(),
        "pdf": pdf.typeset(blocks, scratch, title=title, run=run_id, made_at=made_at, folder=paper, about=about),
    }


def _write(parts: Mapping[str, bytes], scratch: Path, folder: Path, stem: str, run_id: str) -> BriefingFiles:
    for kind, data in parts.items():
        with open(scratch / f"final.{kind}", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    done = {kind: folder / f"{stem}.{kind}" for kind in parts}
    for kind, target in done.items():
        os.replace(scratch / f"final.{kind}", target)
    return BriefingFiles(done["ipynb"], done["html"], done["pdf"], run_id)
