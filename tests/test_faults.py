"""Loads, updates, compactions and vacuums that are killed at any moment, and several loaders and readers at once: nothing half-visible, nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from workbench import loaders, schema
from workbench.lake import Lake

HEADER = ("ID,Case Number,Date,Block,IUCR,Primary Type,Description,Location Description,Arrest,Domestic,Beat,District,FBI Code,Updated On,Latitude,Longitude")
KINDS = ("THEFT", "BURGLARY", "ROBBERY", "ARSON")

# Forks one process a job, so that a killed load costs no new start of Python. "die" = kill yourself before (odd) or after (even) a step of the commit.
SERVER = """
import json, os, signal, sys
from pathlib import Path
from workbench import loaders
from workbench.lake import Lake, tables

def dying(step, real):
    def act(*given, **named):
        count[0] += 1
        if 2 * count[0] - 1 == step: os.kill(os.getpid(), signal.SIGKILL)
        real(*given, **named)
        if 2 * count[0] == step: os.kill(os.getpid(), signal.SIGKILL)
    return act

count = [0]
source = loaders.find("chicago_crimes")
print("UP", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        if job["die"]:
            tables.os.replace = dying(job["die"], os.replace)
            tables.DeltaTable.create_write_transaction = dying(job["die"], tables.DeltaTable.create_write_transaction)
            Path.unlink = dying(job["die"] if job["deed"] == "vacuum" else 0, Path.unlink)
        print("START", os.getpid(), flush=True)
        lake = Lake(Path(job["lake"]))
        if job["deed"] == "compact": lake.compact()
        elif job["deed"] == "vacuum": lake.vacuum(0)
        else: lake.load(source, Path(job["file"]))
        os.write(1, f"STEPS {count[0]}\\n".encode())  # at once: a kill must not cut it
        os._exit(0)
    os.waitpid(pid, 0)
    print("END", flush=True)
"""


def record(number: int, edition: int, chance: random.Random) -> str:
    day = f"{1 + number % 12:02d}/{1 + number % 28:02d}/2017 {1 + number % 12:02d}:{number % 60:02d}:00 {'AM' if number % 2 else 'PM'}"
    kind = KINDS[(number + edition) % 4]
    spot = f"{41.7 + chance.random() / 10:.6f},{-87.7 + chance.random() / 10:.6f}" if number % 9 else ","
    what = f'{number},HZ{number:06d},{day},0{number % 99:02d}XX N STATE ST,0820,{kind},"ANY, KIND",STREET'
    return f"{what},false,true,0412,018,06,0{1 + edition}/01/2018 10:00:00 PM,{spot}"


def two_exports(folder: Path, size: int) -> tuple[Path, Path]:
    """An export, and a later one that overlaps it with the same, newer, older, unreadable and broken records."""
    chance = random.Random(5)
    first = {n: record(n, 1, chance) for n in range(size)}
    later = []
    for n in range(size // 2, size + size // 2):
        if n % 500 == 0:
            later.append(f"{n},broken record")
        elif n % 301 == 0:
            later.append(record(n, 1, chance).replace("/2017 ", "/never "))
        elif n in first:
            later.append(first[n] if n % 3 else record(n, 2 if n % 6 else 0, chance))
        else:
            later.append(record(n, 1, chance))
    files = folder / "first.csv", folder / "later.csv"
    for file, records in zip(files, (list(first.values()), later), strict=True):
        file.write_text("\n".join([HEADER, *records]) + "\n", encoding="utf-8")
    return files


class Server:
    """The forking server: one load a job, killed when told."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._said() == ["UP"]

    def _said(self) -> list[str]:
        assert self._process.stdout is not None
        return self._process.stdout.readline().split()

    def load(self, lake: Path, file: Path, *, after: float | None = None, die: int = 0, deed: str = "load") -> tuple[float, int]:
        """Seconds it ran and commit steps it made; killed with SIGKILL ``after`` seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"lake": str(lake), "file": str(file), "die": die, "deed": deed}) + "\n")
        self._process.stdin.flush()
        start, pid = self._said()
        assert start == "START"
        began, steps = time.monotonic(), 0
        if after is not None:
            time.sleep(after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        while (said := self._said()) != ["END"]:
            assert said and said[0] == "STEPS", said
            steps = int(said[1])
        return time.monotonic() - began, steps

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def agree(lake: Lake) -> int:
    """Facts, rejects and ledger tell the same story at one pinned state; gives how many batches it shows."""
    versions = lake.versions()
    ledger = {row["batch_id"]: row for row in lake.batches(versions).iter_rows(named=True)}
    con = lake.connect()
    facts = dict(con.sql(f"select batch_id, count(*) from {lake.relation_sql('incidents', versions, history=True)} group by all").fetchall())
    now = con.sql(f"select count(*), count(distinct incident_id) from {lake.relation_sql('incidents', versions)}").fetchall()[0]
    refused = dict(con.sql(f"select batch_id, count(*) from {lake.relation_sql('rejects', versions)} group by all").fetchall())
    con.close()
    assert set(facts) | set(refused) <= set(ledger)
    for batch, row in ledger.items():
        assert row["read"] == row["added"] + row["updated"] + row["duplicate"] + row["rejected"]
        assert facts.get(batch, 0) == row["added"] + row["updated"]
        assert refused.get(batch, 0) == row["rejected"]
    assert now[0] == now[1] == sum(row["added"] for row in ledger.values())
    return len(ledger)


def content(lake: Lake, versions: dict[str, int] | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    about = schema.table("incidents")
    facts = lake.frame("incidents", versions).select(list(about.columns)).sort("incident_id")
    return facts, lake.rejects(versions).select("file", "line", "reason", "raw").sort("file", "line")


def swept(lake: Lake) -> None:
    """Nothing dead is left: every data file is of a visible batch or a compaction, every sidecar has its data file, and no load is under way."""
    visible = set(lake.batches()["batch_id"])
    for table in lake.versions():
        on_disk = {p.name for p in (lake.path / table).glob("*.parquet")}
        listed = {os.path.basename(uri) for uri in DeltaTable(lake.path / table).file_uris()}
        assert on_disk >= listed, table
        for owner in {name.rsplit("-", 2)[0] for name in on_disk}:
            assert owner in visible or owner.startswith("compaction"), owner
        sidecars = {p.stem for p in (lake.path / "_keys" / table).glob("*")}
        assert sidecars <= {name.rsplit("-", 2)[0] for name in on_disk}, table
    assert not list((lake.path / "_work").iterdir())


def reopened(path: Path, file: Path, base: int, whole: tuple[pl.DataFrame, pl.DataFrame]) -> bool:
    """After a kill: the batch is wholly there or not at all, and the next load completes it. Gives whether it was there."""
    lake = Lake(path)
    shown = agree(lake)
    assert shown in (base, base + 1)
    report = lake.load(loaders.find("chicago_crimes"), file)
    assert report.already == (shown == base + 1)
    assert agree(lake) == base + 1
    for ours, theirs in zip(content(lake), whole, strict=True):
        assert_frame_equal(ours, theirs)
    swept(lake)
    return shown == base + 1


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, server: Server) -> tuple[Path, Path, tuple[pl.DataFrame, pl.DataFrame], float, int]:
    """A lake with the first export, the later one, what both give without a kill, how long the later takes and its commit steps."""
    home = tmp_path_factory.mktemp("faults")
    first, later = two_exports(home, 6_000)
    source = loaders.find("chicago_crimes")
    assert Lake(home / "base").load(source, first).added == 6_000
    seconds, steps = 0.0, 0
    for n in range(2):
        shutil.copytree(home / "base", home / f"whole{n}")
        seconds, steps = server.load(home / f"whole{n}", later, die=999)
    whole = Lake(home / "whole0")
    counts = whole.batches().row(1, named=True)
    assert min(counts[k] for k in ("added", "updated", "duplicate", "rejected")) > 10
    swept(whole)
    return home / "base", later, content(whole), seconds, steps


@pytest.mark.parametrize(("kills", "seed"), [pytest.param(20, 20, id="twenty"), pytest.param(200, 7, id="two-hundred", marks=pytest.mark.soak)])
def test_a_load_killed_at_random_moments_is_never_half_visible_and_the_next_completes_it(
        scene: tuple[Path, Path, tuple[pl.DataFrame, pl.DataFrame], float, int], server: Server, tmp_path: Path, kills: int, seed: int) -> None:
    base, later, whole, seconds, _ = scene
    chance = random.Random(seed)
    near, moments, there = seconds, [], []  # ``near``: where the commit is believed to be; it follows a machine that turns quicker or slower
    for n in range(kills):
        moments.append(chance.uniform(0.0, near) if n % 2 else near * chance.uniform(0.8, 1.1))
        path = Path(shutil.copytree(base, tmp_path / str(n)))
        server.load(path, later, after=moments[-1])
        there.append(reopened(path, later, 1, whole))
        near = max(min(near, moments[-1]) * 0.95, 0.02) if there[-1] else max(near, moments[-1]) * 1.03
        shutil.rmtree(path)
    print(f"\nkilled at {', '.join(f'{m:.2f}' for m in sorted(moments))} of {seconds:.2f} s; whole {there.count(True)}, absent {there.count(False)}")
    assert there.count(False) >= 3, "the kills came too late to mean anything"


def test_a_load_killed_before_or_after_any_step_of_its_commit_is_whole_or_absent(
        scene: tuple[Path, Path, tuple[pl.DataFrame, pl.DataFrame], float, int], server: Server, tmp_path: Path) -> None:
    base, later, whole, _, steps = scene
    assert steps == 8, "two sidecars, the fact file and its commit, rejects and theirs, the ledger row and its"
    there = []
    for die in range(1, 2 * steps + 1):
        path = Path(shutil.copytree(base, tmp_path / str(die)))
        server.load(path, later, die=die)
        there.append(reopened(path, later, 1, whole))
        shutil.rmtree(path)
    assert there == [False] * (2 * steps - 1) + [True]


Piled = tuple[Path, dict[str, int], tuple[pl.DataFrame, pl.DataFrame], dict[str, tuple[float, int]]]


def several_exports(folder: Path, many: int) -> list[Path]:
    """Exports that overlap, with newer editions."""
    chance, files = random.Random(8), []
    for n in range(many):
        file = folder / f"part{n}.csv"
        file.write_text("\n".join([HEADER, *(record(i, n, chance) for i in range(40 * n, 40 * n + 120)), "9,broken"]) + "\n", encoding="utf-8")
        files.append(file)
    return files


@pytest.fixture(scope="module")
def piled(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Piled:
    """A lake of small overlapping batches, a pinned state of it, what it shows, and for each deed the seconds and steps it takes."""
    home = tmp_path_factory.mktemp("piled")
    lake, pinned = Lake(home / "base"), {}
    for n, file in enumerate(several_exports(home, 7)):
        lake.load(loaders.find("chicago_crimes"), file)
        if n == 3:
            pinned = lake.versions()
            lake.pin(pinned, "a briefing")
    shutil.copytree(home / "base", home / "whole")
    took = {"compact": server.load(home / "whole", home, die=999, deed="compact")}
    assert len(Lake(home / "whole").files("incidents", Lake(home / "whole").versions())) == 2
    shutil.copytree(home / "whole", home / "compacted")
    took["vacuum"] = server.load(home / "whole", home, die=999, deed="vacuum")
    return home, pinned, content(lake), took


def kept_up(path: Path, pinned: dict[str, int], whole: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path) -> None:
    """After a kill: all is shown as before; the next compaction, vacuum and load do their work."""
    lake = Lake(path)
    assert agree(lake) == 7
    then = content(lake, lake.check(pinned))
    for ours, theirs in zip(content(lake), whole, strict=True):
        assert_frame_equal(ours, theirs)
    lake.compact()
    lake.vacuum(0)
    assert agree(Lake(path)) == 7
    swept(lake)
    for before, after in ((whole, content(lake)), (then, content(Lake(path), lake.check(pinned)))):
        for ours, theirs in zip(after, before, strict=True):
            assert_frame_equal(ours, theirs)
    assert len(lake.files("incidents", lake.versions())) == 2
    report = lake.load(loaders.find("chicago_crimes"), several_exports(tmp_path, 8)[7])
    assert (report.added, report.updated, report.rejected) == (40, 80, 1) and agree(lake) == 8


@pytest.mark.parametrize(("kills", "seed"), [pytest.param(5, 10, id="five"), pytest.param(100, 11, id="hundred", marks=pytest.mark.soak)])
@pytest.mark.parametrize("deed", ["compact", "vacuum"])
def test_a_compaction_or_vacuum_killed_at_random_moments_loses_nothing_and_the_next_does_its_work(
        piled: Piled, server: Server, tmp_path: Path, deed: str, kills: int, seed: int) -> None:
    home, pinned, whole, took = piled
    chance = random.Random(seed)
    for n in range(kills):
        path = Path(shutil.copytree(home / ("base" if deed == "compact" else "compacted"), tmp_path / str(n)))
        server.load(path, home, after=chance.uniform(0.0, took[deed][0]), deed=deed)
        kept_up(path, pinned, whole, tmp_path)
        shutil.rmtree(path)


@pytest.mark.parametrize("deed", ["compact", "vacuum"])
def test_a_compaction_or_vacuum_killed_before_or_after_any_step_loses_nothing(
        piled: Piled, server: Server, tmp_path: Path, deed: str) -> None:
    home, pinned, whole, took = piled
    steps = took[deed][1]
    assert steps >= 5
    for die in range(1, 2 * steps + 1, 2 if steps < 10 else 5):
        path = Path(shutil.copytree(home / ("base" if deed == "compact" else "compacted"), tmp_path / str(die)))
        server.load(path, home, die=die, deed=deed)
        kept_up(path, pinned, whole, tmp_path)
        shutil.rmtree(path)


LOADER = """
import sys
from pathlib import Path
from workbench import loaders
from workbench.lake import Lake
for file in sys.argv[2:]:
    report = Lake(Path(sys.argv[1])).load(loaders.find("chicago_crimes"), Path(file))
    assert not report.already
"""
READER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_faults import agree
from workbench.lake import Lake
lake, seen, asked = Lake(Path(sys.argv[1])), 0, 0
while seen < int(sys.argv[3]):
    now = agree(lake)
    assert now >= seen, (now, seen)
    seen, asked = now, asked + 1
print(asked)
"""


def test_two_loaders_and_two_readers_at_once_meet_no_error_and_lose_no_row(tmp_path: Path) -> None:
    chance = random.Random(3)
    files: list[list[Path]] = [[], []]
    for who in (0, 1):
        for n in range(5):
            ids = range(1000 * n + 300 * who, 1000 * n + 300 * who + 1000)
            file = tmp_path / f"{who}-{n}.csv"
            file.write_text("\n".join([HEADER, *(record(i, 1 + (n + who) % 3, chance) for i in ids), "7,broken"]) + "\n", encoding="utf-8")
            files[who].append(file)
    (tmp_path / "lake").mkdir()
    start: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    loads = [subprocess.Popen([sys.executable, "-c", LOADER, str(tmp_path / "lake"), *map(str, own)], **start) for own in files]
    reads = [subprocess.Popen([sys.executable, "-c", READER, str(tmp_path / "lake"), str(Path(__file__).parent), "10"], **start) for _ in (0, 1)]
    for process in (*loads, *reads):
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said
    lake = Lake(tmp_path / "lake")
    assert agree(lake) == 10
    assert lake.batches()["read"].sum() == 10 * 1001 and lake.rejects().filter(pl.col("reason").str.contains("fields")).height == 10
    assert set(lake.frame("incidents")["incident_id"]) == {str(i) for i in range(5300)}
    swept(lake)


def test_the_same_file_by_two_loaders_at_once_is_one_batch(tmp_path: Path) -> None:
    file = two_exports(tmp_path, 4000)[0]
    script = LOADER.replace("    assert not report.already\n", "    print(report.added, report.duplicate, report.already)\n")
    loads = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "lake"), str(file)], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(load.communicate(timeout=60)[0].strip() for load in loads)
    assert said == ["0 4000 True", "4000 0 False"]
    assert agree(Lake(tmp_path / "lake")) == 1


@pytest.mark.parametrize("failing", ["incidents", "rejects", "batches"])
def test_a_load_that_fails_while_it_commits_takes_out_what_it_had_moved_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    from workbench.lake import tables

    first, later = two_exports(tmp_path, 1000)
    lake, source, append = Lake(tmp_path / "lake"), loaders.find("chicago_crimes"), tables.append
    lake.load(source, first)

    def full(root: Path, table: str, files: list[Any], remove: Any = ()) -> None:
        if table == failing and files:
            raise OSError(28, "No space left on device")
        append(root, table, files, remove)

    monkeypatch.setattr(tables, "append", full)
    with pytest.raises(OSError, match="No space left"):
        lake.load(source, later)
    assert agree(lake) == 1
    swept(lake)
    monkeypatch.undo()
    assert not lake.load(source, later).already and agree(lake) == 2


def test_many_small_batches_keep_the_ledger_in_few_files_and_old_pins_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.lake.load._FOLD", 4)
    lake, chance, pins = Lake(tmp_path / "lake"), random.Random(1), []
    for n in range(11):
        file = tmp_path / f"{n}.csv"
        file.write_text(f"{HEADER}\n{record(n, 1, chance)}\n", encoding="utf-8")
        lake.load(loaders.find("chicago_crimes"), file)
        pins.append(lake.versions())
    assert len(lake.files("batches", lake.versions())) <= 4
    for n, pinned in enumerate(pins):
        assert Lake(lake.path).batches(pinned).height == Lake(lake.path).frame("incidents", pinned).height == n + 1
    assert agree(lake) == 11
