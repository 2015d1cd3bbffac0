"""The worked examples run in a workspace without a warning, teach in few words, and each ends in an interactive map."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import workbench as wb

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel of this very interpreter, with every Jupyter folder inside the test's own; returns its name."""
    home = tmp_path / "jupyter"
    (home / "kernels" / "here").mkdir(parents=True)
    argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
    (home / "kernels" / "here" / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "here", "language": "python"}))
    places = {"JUPYTER_PATH": home, "JUPYTER_CONFIG_DIR": home / "config", "JUPYTER_DATA_DIR": home / "data", "JUPYTER_RUNTIME_DIR": home / "run",
              "IPYTHONDIR": home / "ipython"}
    for name, place in places.items():
        monkeypatch.setenv(name, str(place))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return "here"


def run(path: Path, kernel: str, folder: Path) -> Any:
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=180, kernel_name=kernel, resources={"metadata": {"path": str(folder)}}).execute()
    return book


@pytest.fixture(scope="module")
def workplace(untouched_city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the made-up city's workspace: a notebook may load into it."""
    return Path(shutil.copytree(untouched_city, tmp_path_factory.mktemp("notebooks") / "city"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs_in_the_workspace_without_a_warning_and_ends_in_a_map(path: Path, kernels: str, workplace: Path) -> None:
    book = run(workplace / "notebooks" / path.name, kernels, workplace / "notebooks")
    outputs = [o for cell in book.cells for o in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type in ("stream", "error")]
    last = [c for c in book.cells if c.cell_type == "code"][-1]
    shown = [o.data[WIDGET]["model_id"] for o in last.outputs if WIDGET in o.get("data", {})]
    state = book.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    assert shown and shown[0] in state
    kinds = {m["model_name"] for m in state.values()}
    assert "LeafletMapModel" in kinds and "LeafletTileLayerModel" not in kinds, "the map is drawn from the city's own streets, no tile is fetched"


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] not in ("lake", "out")}


def test_the_export_is_loaded_once_however_often_its_notebook_runs_and_leaves_what_it_says(kernels: str, own_city: Path) -> None:
    before = files(own_city)
    path = own_city / "notebooks" / "04_your_own_data.ipynb"
    run(path, kernels, path.parent)
    mapping = (own_city / "plugins" / "loaders" / "partes.toml").read_text()
    first = wb.open_workbench(own_city)
    again = run(path, kernels, path.parent)
    made = {n for n in files(own_city) - before if not n.startswith(("audit.db", "casebook.db"))}
    assert made == {"exports/partes_2026_2.csv", "plugins/loaders/partes.toml"}
    assert (own_city / "plugins" / "loaders" / "partes.toml").read_text() == mapping and "DOUBTS" in mapping
    assert wb.open_workbench(own_city).versions["incidents"] == first.versions["incidents"]
    counts = first.incidents()["source"].value_counts()
    assert dict(counts.iter_rows()) == {"sample_incidents": counts["count"].max(), "partes": 415}
    told = [str(o.data) for c in again.cells if c.cell_type == "code" for o in c.outputs]
    assert any("nothing to add" in t for t in told) and any("385 of 415 reports have a place of their own" in t for t in told)
    basis = next(t for t in told if "What this rests on" in t and "385 of 415" in t)
    assert "Table versions" in basis and "is not known" in basis


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_teaches_in_few_words(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    words = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    assert words[0].startswith("# ") and len(words) >= 4
    assert max(len(w.split()) for w in words) <= 70
    assert all(len("".join(c["source"]).splitlines()) <= 12 for c in cells if c["cell_type"] == "code")


def test_the_workspace_carries_every_notebook(city_path: Path) -> None:
    assert {p.name for p in NOTEBOOKS} <= {p.name for p in (city_path / "notebooks").iterdir()} and len(NOTEBOOKS) >= 3
