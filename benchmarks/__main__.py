"""Run the benchmarks and write their tables into RESULTS.md: ``python -m benchmarks [NAME...]``, or ``make bench`` (``ARGS="lake live"`` picks some)."""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import benchmarks

PEERS = ("workbench", "duckdb", "polars", "deltalake", "numpy", "scipy", "networkx", "rapidfuzz", "splink", "scikit-learn", "pandas", "pyarrow")
NOT_BENCHMARKS = ("process", "accuracy", "simulated_reads")  # accuracy writes its own page
FILE = Path(__file__).with_name("RESULTS.md")


def machine() -> str:
    """One line: processor, cores, memory, system, Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def middle(value: Any) -> float | None:
    """The median of a list of repetitions, or the number itself."""
    if value is None:
        return None
    return float(median(value)) if isinstance(value, (list, tuple)) else float(value)


def figure(seconds: float) -> str:
    """Seconds with three places, of what is under a tenth with three figures."""
    return f"{seconds:.3f}" if seconds >= 0.1 or not seconds else f"{seconds:.3g}"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown lines: one table a task, in the order given."""
    out: list[str] = []
    for task in dict.fromkeys(row["task"] for row in rows):
        mine = [row for row in rows if row["task"] == task]
        first = middle(mine[0]["seconds"]) or 0.0
        out += ["", f"### {task}", "", "| method | median s | to workbench | CPU s | peak MB | runs | note |", "|---|---:|---:|---:|---:|---:|---|"]
        for row in mine:
            seconds, cpu, peak = middle(row["seconds"]) or 0.0, middle(row.get("cpu_seconds")), row.get("memory_mb")
            runs = len(row["seconds"]) if isinstance(row["seconds"], (list, tuple)) else 1
            ratio = "1" if row is mine[0] else f"{seconds / first:.2f}" if first else ""
            used = f"{'' if cpu is None else figure(cpu)} | {'' if peak is None else f'{peak:,.0f}'}"
            out.append(f"| {row['method']} | {figure(seconds)} | {ratio} | {used} | {runs} | {row.get('note', '')} |")
    return out


def sections(text: str) -> dict[str, list[str]]:
    """The sections of a table written before, by title."""
    found: dict[str, list[str]] = {}
    for part in text.split("\n## ")[1:]:
        title, *lines = part.rstrip().split("\n")
        found[title] = lines
    return found


def main(wanted: list[str]) -> int:
    """Run the benchmarks named (all by default); each puts its section into RESULTS.md as soon as it is done."""
    names = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name not in NOT_BENCHMARKS and not m.name.startswith("_"))
    unknown = [n for n in wanted if n not in names]
    if unknown:
        print(f"There is no benchmark {unknown[0]!r}. Known: {', '.join(names)}.", file=sys.stderr)
        return 2
    titles = [importlib.import_module(f"benchmarks.{name}").TITLE for name in names]
    for name in wanted or names:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"[{name}] {module.TITLE} ...", file=sys.stderr, flush=True)
        rows = module.run()
        peers = ", ".join(f"{p} {version(p)}" for p in PEERS)
        made = table(rows) if rows else ["", "Not run: its data was not there."]
        print("\n".join(made), flush=True)
        held = sections(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
        held[module.TITLE] = ["", f"{date.today():%Y-%m-%d}. Machine: {machine()}. Versions: {peers}.", *made]
        head = ["# Benchmarks", "", "Made by `make bench`: all methods of a section in one run on one machine, each row the median of its runs; "
                "a ratio above 1 is slower than the workbench."]
        lines = [line for title in titles if title in held for line in ("", f"## {title}", *held[title])]
        FILE.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    print(f"written: {FILE.relative_to(Path.cwd()) if FILE.is_relative_to(Path.cwd()) else FILE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
