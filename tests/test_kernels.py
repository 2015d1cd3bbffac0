"""Compiled loops: the same answer as in Python, fetched without numba, safe in threads, and never from a broken file."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workbench.engines.kernels import each, kernel, part
from workbench.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent

_MODULE = '''
import math
import sys
import numpy as np
from workbench.engines.kernels import each, kernel, part
SCALE = {scale}

@part
def square(a):
    return a * a

@part
def bell(a):
    return math.exp(-square(a) / 2) * SCALE

@kernel("f8[:], f8[:]")
def bells(x, out):
    for i in range(len(x)):
        out[i] = bell(x[i])

x = np.linspace(-1, 1, 5)
out = np.empty(5)
bells(x, out)
expected = [math.exp(-v * v / 2) * SCALE for v in x]
print(max(abs(out - expected)) < 1e-14, "numba" in sys.modules)
'''


@part
def _mixed(a, b):  # type: ignore[no-untyped-def]
    return math.sqrt(abs(a)) + b**2


@kernel("f8[:,:], i2[:], b1[:], i8, f8, f8[:] -> f8")
def _sums(table, marks, use, shift, scale, out):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(table.shape[0]):
        out[i] = 0.0
        for j in range(table.shape[1]):
            if use[j]:
                out[i] += _mixed(table[i, j], scale) + marks[j] + shift
        total += out[i]
    return total


def run(path: Path, **more: str) -> str:
    done = subprocess.run([sys.executable, str(path)], env={**os.environ, "PYTHONPATH": str(ROOT), **more}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@given(arrays.arrays(np.float64, st.tuples(st.integers(0, 7), st.integers(0, 5)), elements=st.floats(-1e6, 1e6)), st.integers(-9, 9), st.floats(-50, 50),
       st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_kernel_gives_what_its_python_gives(table: np.ndarray, shift: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    marks, use = rng.integers(-30, 30, table.shape[1]).astype(np.int16), rng.random(table.shape[1]) < 0.5
    got, expected = np.empty(len(table)), np.empty(len(table))
    total = _sums(table, marks, use, shift, scale, got)
    assert total == pytest.approx(_sums.function(table, marks, use, shift, scale, expected), rel=1e-12, abs=1e-9)
    assert np.allclose(got, expected, rtol=1e-12, atol=1e-9)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module whose kernel was compiled and kept."""
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "shapes.py").write_text(_MODULE.format(scale="2.0"))
    assert run(folder / "shapes.py", WORKBENCH_KERNELS=str(folder / "kept")) == "True True"
    return folder


@pytest.fixture
def module(once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(once / "kept", tmp_path / "__pycache__")
    return Path(shutil.copy(once / "shapes.py", tmp_path))


def test_a_second_process_does_not_import_numba(module: Path) -> None:
    assert run(module) == "True False"


def test_a_constant_that_changed_is_compiled_anew(module: Path) -> None:
    module.write_text(_MODULE.format(scale="3.0"))
    assert run(module) == "True True"


@pytest.mark.parametrize("harm", ["cut", "flipped"])
def test_a_broken_file_is_never_run(module: Path, harm: str) -> None:
    kept, = (module.parent / "__pycache__").glob("*.kernel")
    held = kept.read_bytes()
    kept.write_bytes({"cut": held[:-100], "flipped": held[:500] + bytes([held[500] ^ 1]) + held[501:]}[harm])
    assert run(module) == "True True"
    assert run(module) == "True False"


def test_where_nothing_can_be_kept_it_is_compiled_each_time(module: Path) -> None:
    (module.parent / "file").write_text("no folder")
    assert run(module, WORKBENCH_KERNELS=str(module.parent / "file")) == "True True"


def test_processes_that_compile_at_the_same_time_do_not_disturb_each_other(once: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "WORKBENCH_KERNELS": str(tmp_path / "kept")}
    started = [subprocess.Popen([sys.executable, str(once / "shapes.py")], env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [p.communicate()[0].strip() for p in started] == ["True True"] * 2
    assert [p.suffix for p in (tmp_path / "kept").iterdir()] == [".kernel"]


@kernel("f8[:], i8 -> i8")
def _sorted_by_numba(values, n):  # type: ignore[no-untyped-def]
    best = 0
    for i in range(n):
        if round(values[i], 2) > round(values[best], 2):
            best = i
    return best


def test_what_needs_numbas_own_runtime_is_run_by_numba() -> None:
    assert _sorted_by_numba(np.array([1.0, 3.001, 3.004, 2.0]), 4) == 1
    assert _sorted_by_numba(np.empty(0), 0) == 0


@pytest.mark.parametrize("wrong", [np.zeros((2, 2), np.float32), np.zeros(4), np.zeros((4, 4))[:, ::2], [[0.0]]])
def test_an_array_of_another_kind_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"takes f8\[:,:\] in C order"):
        _sums(wrong, np.zeros(2, np.int16), np.ones(2, bool), 0, 1.0, np.empty(2))
    with pytest.raises(TypeError, match="takes 6 arguments"):
        _sums(wrong)


def test_parts_come_back_in_their_order_whatever_the_threads() -> None:
    def call(k: int) -> float:
        out = np.empty(3)
        return float(_sums(np.full((3, 2), float(k)), np.zeros(2, np.int16), np.ones(2, bool), k, 0.5, out))

    one = each(call, range(50), threads=1)
    assert one == each(call, range(50), threads=7) == each(call, range(50)) == [call(k) for k in range(50)]
    with pytest.raises(BadInput, match="at least 1"):
        each(call, range(3), threads=0)
