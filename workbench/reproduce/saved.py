"""A saved result run again: each frame by the call that made it, then the model with the same arguments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from workbench import models
from workbench.errors import BadInput, CannotTell, WorkbenchError
from workbench.reproduce import compare
from workbench.reproduce.verdict import Certificates, Verdict, cannot, judged, lost, opened, purged_since, surroundings
from workbench.results import Basis, Result, fingerprint, recording, saving
from workbench.session import Workbench
from workbench.session.asked import AGAIN


def verify(path: Path, workbench: Workbench, certificates: Certificates | None) -> Verdict:
    """See ``reproduce.verify``."""
    said = saving.read(path)
    tampered = [f"the file was changed after it was saved: {part}" for part in saving.changed(said)]
    try:
        basis = Basis.from_json(json.dumps(said["basis"]))
        notes = surroundings(_texts(said["environment"]), _texts(said["workspace"]), workbench)
        why = unrepeatable(basis)
        since = said["saved_at"] if isinstance(said["saved_at"], str) else None
    except (BadInput, TypeError, AttributeError) as error:
        return judged("", [*tampered, f"its basis cannot be read: {error}"], ())
    if why:
        return judged("", tampered, notes) if tampered else cannot(why, notes)
    maker = Again(workbench)
    try:
        result = maker.result(basis)
    except CannotTell as untold:
        return judged("", [*tampered, *maker.differences, f"the model cannot tell any more: {untold}"], notes)
    except WorkbenchError as error:
        verdict = lost(error, workbench, tables(basis), since, certificates)
        return Verdict(verdict.outcome, verdict.sentence, tuple(tampered), tuple(notes))
    except (TypeError, ValueError, ArithmeticError, LookupError, pl.exceptions.PolarsError) as error:
        return cannot(f"its arguments no longer fit the model ({type(error).__name__}: {error}).", notes, tampered)
    found = [*tampered, *maker.differences, *differences(said, saving.document(result))]
    purge = purged_since(workbench, tables(basis), since, certificates) if found and not tampered else ""
    if purge:
        return cannot(f"purged rows prevent it: {purge}", notes, found)
    return judged(f"{path.name} ({said['headline']!r})", found, notes)


def unrepeatable(basis: Basis) -> str:
    """Why a basis alone cannot be run again; "" when it can."""
    run = basis.run
    if not isinstance(run, dict) or not run.get("function"):
        return "its basis names no function of a model, so it was not made by one that is recorded (workbench.results.recorded)."
    if run.get("cannot"):
        return f"{run['cannot']}. The notebook that made it can be run again."
    for name, frame in recording.calls_of(run):
        if "hand" in frame:
            return f"the frame {name!r} ({frame.get('rows')} rows): {frame['hand']}. The notebook that made it can be run again."
    return ""


def tables(basis: Basis) -> list[str]:
    """The tables that the frames of a basis were asked of; all of them where SQL or a search was."""
    found = set()
    for _, frame in recording.calls_of(basis.run):
        call = frame.get("call") or {}
        method, given = call.get("method"), call.get("arguments") or {}
        if method in ("incidents", "calls", "reads"):
            found.add(method)
        elif method in ("rows", "table", "history", "changes"):
            found.add(given.get("name"))
        elif call:
            found |= set(basis.versions)
    return sorted(str(t) for t in found)


class Again:
    """Makes frames and results again for one person; ``differences`` are frames that are not what they were."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        self.differences: list[str] = []
        self._opened: dict[str, Workbench] = {}

    def result(self, basis: Basis) -> Result:
        """The model's answer to the same arguments.

        Raises:
            WorkbenchError: versions are gone, the gate refuses, or the model cannot tell.
        """
        function = recording.referred(basis.run["function"], self._plugin)
        given = {name: recording.read(value, self._named(name), self._plugin) for name, value in basis.run["arguments"].items()}
        made = function(**given)
        if not isinstance(made, Result):
            raise BadInput(f"{basis.run['function']} gave no result.")
        return made

    def _plugin(self, name: str) -> Any:
        return models.find(name, self.workbench.path / "plugins" / "models")

    def _named(self, argument: str) -> Any:
        return lambda said: self._frame(argument, said)

    def _frame(self, argument: str, said: dict[str, Any]) -> pl.DataFrame:
        if "empty" in said:
            return saving.frame({"columns": said["empty"], "rows": []})
        call = recording.Call(**said["call"])
        if call.method not in AGAIN:
            raise BadInput(f"{call.method!r} is no question that is asked out of a file.")
        city = self._at(call.versions)
        given = {k: recording.read(v, self._named(argument)) for k, v in call.arguments.items()}
        key = given.pop("key", ()) if call.method == "history" else ()
        frame: pl.DataFrame = getattr(city, call.method)(given.pop("name"), *key) if key else getattr(city, call.method)(**given)
        if fingerprint(frame) != said["fingerprint"]:
            self.differences.append(f"the data: {call.said()} for {argument!r} gives {frame.height:,} rows with fingerprint {fingerprint(frame)}; "
                                    f"the model was given {said['rows']:,} with {said['fingerprint']} (or they were changed by hand in between)")
        return frame

    def _at(self, versions: dict[str, int]) -> Workbench:
        key = json.dumps(versions, sort_keys=True)
        if key not in self._opened:
            self._opened[key] = opened(self.workbench, versions)
        return self._opened[key]


def differences(said: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """Where a saved document differs from one made again: headline, table, arrays, and what its basis says of the data."""
    out = compare.texts(str(said["headline"]), made["headline"], "the headline")
    out += compare.frames(said["table"], made["table"], "the table")
    old, new = said["further"] if isinstance(said["further"], dict) else {}, made["further"]
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            out.append(f"{name} is {'lacking' if name not in old else 'not made any more'}")
        else:
            out += compare.frames(old[name], new[name], name)
    for name in ("method", "parameters", "rows", "used", "span", "asof", "data"):
        if not compare.same(said["basis"].get(name), made["basis"].get(name)):
            label = {"data": "the fingerprint of the data", "asof": "as of"}.get(name, name)
            out.append(f"basis, {label}: {said['basis'].get(name)!r} was saved; {made['basis'].get(name)!r} comes out")
    return out


def show(path: Path) -> list[tuple[str, str]]:
    """What a saved result says and rests on."""
    said = saving.read(path)
    basis = Basis.from_json(json.dumps(said["basis"]))
    run = [("Run", str(basis.run.get("function", "")))] if basis.run else []
    frames = [("Frame", f"{name} = {recording.Call(**f['call']).said() if 'call' in f else f.get('hand', 'empty')}")
              for name, f in recording.calls_of(basis.run)]
    broken = saving.changed(said)
    state = f"changed after it was saved: {', '.join(broken)}" if broken else f"as it was saved (SHA-256 {said['sha256'][:16]})"
    return [("Result", str(said["headline"])), *basis.lines(), *run, *frames, *(("Made with", f"{k} {v}") for k, v in _texts(said["environment"]).items()),
            ("Saved", str(said["saved_at"])), ("File", state)]


def _texts(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}
