"""The wheel carries all it needs: installed in an empty environment, `workbench demo` runs from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_carries_notebooks_templates_samples_code_tables_and_built_javascript(wheel: Path, root: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in (("notebooks", "notebooks"), ("templates", "templates"), ("data/samples", "samples"), ("workbench/views/static", None),
                           ("workbench/loaders/kit/codes", None)):
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
                name = path.relative_to(root / folder).as_posix()
                assert (f"workbench/_bundled/{inside}/{name}" if inside else f"{folder}/{name}") in held
    assert "workbench/py.typed" in held
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in held} == {"workbench"}
    assert not [name for name in held if "__pycache__" in name or name.endswith(".pyc") or "/tests/" in name or ".ipynb_checkpoints" in name]


def clean(environment: Path) -> dict[str, str]:
    """The variables of a process that knows nothing of this checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV", "WORKBENCH", "COV"))}
    return {**kept, "VIRTUAL_ENV": str(environment), "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def install(wheel: Path, lock: Path, environment: Path) -> None:
    """Make an empty environment and install the wheel with the locked versions, by uv if it can, else by pip."""
    venv.create(environment, with_pip=False)
    python, constraints = environment / "bin" / "python", environment / "constraints.txt"
    constraints.write_text("\n".join(line.split(" \\")[0] for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line) + "\n", encoding="utf-8")
    uv = Path(sys.executable).with_name("uv")
    by_uv = [uv, "pip", "install", "-q", "--python", python, "-c", constraints, wheel]
    by_pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "-c", constraints, wheel]
    if not (uv.exists() and subprocess.run(by_uv, capture_output=True, check=False).returncode == 0):
        subprocess.run(by_pip, check=True)


@pytest.mark.slow
def test_the_wheel_in_an_empty_environment_runs_the_demo_from_an_empty_folder(wheel: Path, root: Path, tmp_path: Path) -> None:
    environment, folder = tmp_path / "env", tmp_path / "an empty folder"
    folder.mkdir()
    install(wheel, root / "requirements.lock", environment)
    done = subprocess.run([environment / "bin" / "workbench", "demo", "--no-serve"], cwd=folder, env=clean(environment), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = dict(line.split(None, 1) for line in done.stdout.splitlines()[-3:])
    assert list(told) == ["workspace", "html", "pdf"], done.stdout
    assert Path(told["pdf"]).read_bytes()[:5] == b"%PDF-"
    assert "<svg" in Path(told["html"]).read_text(encoding="utf-8")
    assert all(Path(path).is_relative_to(folder.resolve()) for path in told.values())
    assert [p.name for p in folder.iterdir()] == [Path(told["workspace"]).name], "everything written lies in the workspace"
    status = subprocess.run([environment / "bin" / "workbench", "status"], cwd=told["workspace"], env=clean(environment), capture_output=True, text=True,
                            check=False)
    assert status.returncode == 0 and "incidents" in status.stdout, status.stderr
