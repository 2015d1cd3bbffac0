"""The table of benchmarks is made as it says, and the committed one is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.process import measure


def test_a_row_shows_the_median_and_its_ratio_to_the_workbench() -> None:
    lines = bench.table([
        {"task": "load", "method": "workbench", "seconds": [2.0, 9.0, 1.0], "cpu_seconds": [2.0, 3.0, 1.0], "memory_mb": 1500.4},
        {"task": "load", "method": "pandas", "seconds": 5.0, "note": "no checks"},
        {"task": "other", "method": "workbench", "seconds": 1},
    ])
    assert "| workbench | 2.000 | 1 | 2.000 | 1,500 | 3 |  |" in lines
    assert "| pandas | 5.000 | 2.50 |  |  | 1 | no checks |" in lines
    assert [line for line in lines if line.startswith("###")] == ["### load", "### other"]


def test_a_process_is_measured_from_start_to_end_and_its_failure_is_told() -> None:
    row = measure("wait", "sleep", "import sys, time; time.sleep(float(sys.argv[1])); x = bytearray(80_000_000)", "0.2", repeats=2)
    assert len(row["seconds"]) == 2 and min(row["seconds"]) > 0.2
    assert row["memory_mb"] > 75
    with pytest.raises(RuntimeError, match="m failed:(.|\n)*ValueError: no data"):
        measure("t", "m", "raise ValueError('no data')", repeats=1)


def test_an_unknown_benchmark_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["nothing"]) == 2
    assert "no benchmark 'nothing'. Known:" in capsys.readouterr().err


def test_the_committed_table_has_machine_versions_and_every_benchmark(root: Path) -> None:
    page = (root / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    assert "Machine: " in page and "Versions: workbench " in page and "cores" in page
    for peer in ("duckdb", "polars", "pandas", "scipy", "scikit-learn"):
        assert peer in page.lower(), peer
    assert "Not run" not in page
