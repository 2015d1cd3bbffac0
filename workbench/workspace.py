"""Making a workspace: the folder that holds everything the tool writes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from workbench import agency as agencies
from workbench import bundle
from workbench.errors import BadInput
from workbench.lake import Lake, LoadReport
from workbench.loaders import Source, find
from workbench.oversight.access import Policy, require
from workbench.oversight.audit import Audit, Person, current_user

FOLDERS = ("lake", "notebooks", "templates", "plugins/loaders", "plugins/models", "plugins/apps", "out", "map")
_SAMPLE_MAPS = ("streets", "beats", "water", "places")


@dataclass(frozen=True)
class Made:
    """A workspace and whether it was new."""

    path: Path
    new: bool


def create(folder: str | Path, *, sample: bool = False, name: str | None = None, zone: str | None = None,
           bounds: tuple[float, float, float, float] | None = None, beats: Path | None = None) -> Made:
    """Make a workspace, or complete one that is there; nothing that exists is overwritten.

    Args:
        folder: where; must be empty, absent, or a workspace already.
        sample: with the made-up city's agency.toml, maps, demo cases and its data files ready to load.
        name, zone: of the agency (not with sample); defaults "My agency", "UTC".
        bounds: study area as west, south, east, north.
        beats: a GeoJSON file copied to map/beats.geojson.

    Raises:
        BadInput: the folder holds other things, or an argument makes no sense.
    """
    path = Path(folder).expanduser().resolve()
    if path.is_file():
        raise BadInput(f"{folder} is a file; a workspace is a folder.")
    new = not (path / agencies.FILE).exists()
    if new and path.is_dir() and any(p.name not in FOLDERS and not p.name.startswith(".") for p in path.iterdir()):
        raise BadInput(f"{folder} is not empty and is no workspace; choose a new folder, e.g. workbench init {path.parent / 'city'}")
    if sample and (name or zone or bounds or beats):
        raise BadInput("--sample brings its own agency; leave out name, zone, bounds and beats.")
    if not new and agencies.read(path).settings.get("access"):  # without it nobody could be given the right to complete it
        with Audit(path / "audit.db").deed(Person(current_user()), "init", path.name, sample=sample):
            may(path, Person(current_user()), "settings")
    for part in FOLDERS:
        (path / part).mkdir(parents=True, exist_ok=True)
    for kind in ("notebooks", "templates"):
        for file in sorted(bundle.folder(kind).iterdir()):
            if file.is_file():
                _copy(file, path / kind / file.name)
    if sample:
        _sample(path)
    elif new:
        if beats is not None:
            if not beats.is_file():
                raise BadInput(f"There is no file {beats}.")
            _copy(beats, path / "map" / "beats.geojson")
        text = agencies.template(name or "My agency", zone or "UTC", bounds=bounds, beats="map/beats.geojson" if beats else None,
                                 user=current_user())
        _write(path / agencies.FILE, text)
    from workbench.casebook import place  # a load needs none, and SQLAlchemy takes a third of a second

    agencies.read(path)
    place.of(path)
    Audit(path / "audit.db").write(Person(current_user()), "init", path.name, sample=sample, new=new)
    return Made(path, new)


def _sample(path: Path) -> None:
    from workbench.casebook import place

    samples = bundle.folder("samples")
    for kind in _SAMPLE_MAPS:
        if (samples / f"{kind}.geojson").is_file():
            _copy(samples / f"{kind}.geojson", path / "map" / f"{kind}.geojson")
    _copy(samples / agencies.FILE, path / agencies.FILE)
    place.of(path).fill(samples / "cases.json", user=current_user())


def may(folder: Path, person: Person, deed: str) -> Person:
    """Ask whether a person may do something in a workspace; gives the person in the role in which they do it.

    That is the role asked for (``person.role``), or the first of theirs that may.

    Raises:
        AccessRefused: they may not.
    """
    agency = agencies.read(folder)
    policy = Policy.of(agency)
    fit = [r for r in policy.held(person.user) if policy.role(r).does(deed)]
    acting = replace(person, role=policy.chosen(person.user, person.role or (fit[0] if fit else "")))
    require(agency, acting, deed)
    return acting


def source(folder: Path, name: str) -> Source:
    """A source by name as this workspace has it: its own (plugins/loaders/NAME.py or NAME.toml) before a built-in one.

    Raises:
        NotFound: there is none. BadInput: its file cannot be used.
    """
    return find(name, plugins=folder / "plugins" / "loaders")


def load(folder: Path, source: Source, file: Path, *, user: str | None = None, progress: Callable[[str, float], None] | None = None,
         zone: str | None = None, said: Mapping[str, str] | None = None, role: str | None = None) -> LoadReport:
    """Load one file into a workspace's lake, written down in its audit; ``zone`` and ``said`` as for ``Lake.load``, ``role`` as for ``open_workbench``.

    Raises:
        BadInput: the file is missing, empty, or not one of this source. AccessRefused: the role may not load.
    """
    person = Person(user or current_user(), role=role or "")
    with Audit(folder / "audit.db").deed(person, "load", source.name, file=file.name) as outcome:
        may(folder, person, "load")
        report = Lake(folder / "lake").load(source, file, user=person.user, progress=progress, zone=zone, said=said)
        outcome.update(batch_id=report.batch_id, **{k: v for k, v in report.to_json().items() if k not in ("source", "file", "seconds")})
    return report


#: Samples that are loaded first, in this order; the others follow by name.
_FIRST = ("sample_incidents", "sample_calls", "sample_people", "sample_hotlist", "sample_reads")


def sample_files() -> list[tuple[str, Path]]:
    """The made-up city's data files with the source that reads each, in loading order."""
    files = {p.name.split(".")[0]: p for p in sorted(bundle.folder("samples").glob("sample_*"))}
    return [(name, files[name]) for name in sorted(files, key=lambda n: (_FIRST.index(n) if n in _FIRST else len(_FIRST), n))]


def load_sample(folder: Path, *, progress: Callable[[str, float], None] | None = None) -> list[LoadReport]:
    """Load all of the made-up city; what is there already adds nothing."""
    return [load(folder, find(name), file, progress=progress) for name, file in sample_files()]


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        shutil.copyfile(source, part)
        os.replace(part, target)


def _write(target: Path, text: str) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, target)
