"""How long does it take to load a year of real incidents, mapped and checked, beside tools that only read the text?"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.process import measure

TITLE = "Loading: Chicago 2017, 267,792 records, gzipped CSV"
REPEATS = 5

_LOAD = """
import sys, tempfile
from pathlib import Path
from workbench import loaders
from workbench.lake import Lake
with tempfile.TemporaryDirectory() as home:
    report = Lake(Path(home) / "lake").load(loaders.find("chicago_crimes"), Path(sys.argv[1]))
assert (report.read, report.added) == (267792, 267792), report
"""
_PREPARE = """
import sys
from pathlib import Path
from workbench import loaders
from workbench.lake import Lake
Lake(Path(sys.argv[2])).load(loaders.find("chicago_crimes"), Path(sys.argv[1]))
"""
_FRAME = """
import sys
from pathlib import Path
from workbench.lake import Lake
frame = Lake(Path(sys.argv[1])).frame("incidents")
assert frame.height == 267792, frame.shape
"""
_DUCKDB = """
import sys, duckdb
con = duckdb.connect()
con.execute(f"create table t as select * from read_csv('{sys.argv[1]}')")
assert con.execute("select count(*) from t").fetchone() == (267792,)
"""
_POLARS = """
import sys, polars
assert polars.read_csv(sys.argv[1]).height == 267792
"""
_PANDAS = """
import sys, pandas
assert len(pandas.read_csv(sys.argv[1])) == 267792
"""


def data() -> Path | None:
    """The real file, in $WORKBENCH_REAL_DATA or in shared/data beside the checkout; None where it is not."""
    named = os.environ.get("WORKBENCH_REAL_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    file = folder / "chicago" / "Crimes_-_2017.csv.gz"
    return file if file.is_file() else None


def run() -> list[dict[str, Any]]:
    """One row a tool: whole processes, start and imports included. No rows where the file is not there."""
    file = data()
    if file is None:
        return []
    into, outof = "from the file", "from what was loaded"
    with tempfile.TemporaryDirectory() as home:
        subprocess.run([sys.executable, "-c", _PREPARE, str(file), str(Path(home) / "lake")], check=True)
        return [
            measure(into, "workbench load", _LOAD, str(file), repeats=REPEATS,
                    note="every record checked, mapped, times to UTC, compared, written as Parquet, committed"),
            measure(into, "duckdb read_csv", _DUCKDB, str(file), repeats=REPEATS, note="raw columns into memory; types guessed, times left without zone"),
            measure(into, "polars.read_csv", _POLARS, str(file), repeats=REPEATS, note="raw columns into memory; times left as text"),
            measure(into, "pandas.read_csv", _PANDAS, str(file), repeats=REPEATS, note="raw columns into memory; times left as text"),
            measure(outof, "workbench frame", _FRAME, str(Path(home) / "lake"), repeats=REPEATS, note="canonical columns as a Polars frame"),
            measure(outof, "polars.read_csv", _POLARS, str(file), repeats=REPEATS, note="reads the text again"),
            measure(outof, "pandas.read_csv", _PANDAS, str(file), repeats=REPEATS, note="reads the text again"),
        ]
