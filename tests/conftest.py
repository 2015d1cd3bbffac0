"""What the tests share: the made-up city loaded once, the real data beside the project, a browser.

With pytest-xdist every worker would make its own copy of whatever a session fixture makes; ``made_once`` makes it in the first worker that asks
and hands the same folder to all. What it gives is read only by convention: a test that writes takes ``own_city``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["tests.postgres"]
ROOT = Path(__file__).resolve().parent.parent
CASE = {"case": "2026-0142", "purpose": "investigation", "reason": "who was near the scenes"}


#: The files that take longest, longest first. They are begun first, so that at the end no worker waits for another's long file.
LONGEST = (
    "test_apps.py", "test_reproduce.py", "test_sign_in.py", "test_faults.py", "test_house.py", "test_briefings.py", "test_mapper.py", "test_live.py",
    "test_notebooks.py", "test_forecasts.py", "test_every_file.py", "test_purge.py", "test_hostile_sql.py", "test_access_masks.py", "test_rejects.py",
    "test_widgets.py", "test_packaging.py", "test_hostile_files.py", "test_identities.py", "test_keep.py", "test_records.py", "test_fetch.py",
    "test_incident_sources.py", "test_known.py", "test_serving_users.py", "test_loaders.py", "test_evidence_graph.py", "test_edges_plates_links.py",
    "test_together.py", "test_risk_terrain.py", "test_plate_search.py", "test_hits.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist hand out files in the order of ``pytest_collection_modifyitems``; of itself it begins with those of the most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and mark what rests on real data, so that `-m "not real"` leaves it out."""
    place = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
    for item in items:
        if {"real_data", "chicago_path", "st_louis_path"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)


@pytest.fixture(autouse=True)
def _whose_rows() -> Iterator[None]:
    """Each test is a process of its own as far as users go: rows that several of them were given are told apart no more (``results.permitted``)."""
    yield
    if "workbench.results" in sys.modules:
        sys.modules["workbench.results"]._several.clear()


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of the made-up city's files."""
    return ROOT / "data" / "samples"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real public data: $WORKBENCH_REAL_DATA, or shared/data beside the checkout; the test is skipped where there is none."""
    named = os.environ.get("WORKBENCH_REAL_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"there is no real data at {folder}; name its folder with WORKBENCH_REAL_DATA")
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], Any]], Path]:
    """A function (name, make) -> folder: ``make(folder)`` runs in one worker only, the others wait for it and get the same folder."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def made(name: str, make: Callable[[Path], Any]) -> Path:
        folder, done = base / f"once-{name}", base / f"once-{name}.done"
        with open(base / f"once-{name}.flock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def untouched_city(made_once: Callable[[str, Callable[[Path], Any]], Path]) -> Path:
    """The workspace of the made-up city with every sample loaded, never opened, so that it can be copied while other tests run."""
    from workbench import cli

    def make(folder: Path) -> None:
        assert cli.main(["init", str(folder), "--sample"]) in (0, None)

    return made_once("untouched", make)


@pytest.fixture(scope="session")
def city_path(made_once: Callable[[str, Callable[[Path], Any]], Path], untouched_city: Path) -> Path:
    """The workspace of the made-up city with every sample loaded; tests open it, and change nothing but its audit."""
    return made_once("city", lambda folder: shutil.copytree(untouched_city, folder))


@pytest.fixture
def city(city_path: Path) -> Any:
    """The made-up city opened on its demo case."""
    import workbench as wb

    return wb.open_workbench(city_path, **CASE)


@pytest.fixture
def own_city(untouched_city: Path, tmp_path: Path) -> Path:
    """A copy of the made-up city's workspace that the test may change."""
    return Path(shutil.copytree(untouched_city, tmp_path / "city"))


@pytest.fixture(scope="session")
def chicago_path(real_data: Path, made_once: Callable[[str, Callable[[Path], Any]], Path]) -> Path:
    """A workspace with Chicago's incidents of 2013 to 2017 (1,382,764 records) and its beats; not to be written to."""
    from workbench import loaders, workspace

    folder = real_data / "chicago"

    def make(path: Path) -> None:
        workspace.create(path, name="Chicago", zone="America/Chicago", beats=folder / "police_beats_dec2012.geojson")
        for file in [*sorted(folder.glob("chicago_crimes_*.parquet")), folder / "Crimes_-_2017.csv.gz"]:
            workspace.load(path, loaders.find("chicago_crimes"), file)

    return made_once("chicago", make)


@pytest.fixture(scope="session")
def st_louis_path(real_data: Path, made_once: Callable[[str, Callable[[Path], Any]], Path]) -> Path:
    """A lake with the 48 monthly files of St. Louis; not to be written to."""
    from workbench import loaders
    from workbench.lake import Lake

    def make(path: Path) -> None:
        for file in sorted((real_data / "stlouis" / "raw").glob("*/*.csv*")):
            Lake(path).load(loaders.find("st_louis_incidents"), file)

    return made_once("st_louis", make)


@pytest.fixture(scope="session")
def chromium() -> str:
    """A Chromium that runs: $CHROMIUM, or one on the PATH. `make test` installs it where it is missing."""
    for name in (os.environ.get("CHROMIUM"), "chromium", "google-chrome", "google-chrome-stable", "chromium-browser"):
        path = shutil.which(name) if name else None
        if path and "hrom" in subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout:
            return path
    pytest.fail("No Chromium that runs is on the PATH; `make test` installs one, or name it with CHROMIUM=/path/to/chrome.")
