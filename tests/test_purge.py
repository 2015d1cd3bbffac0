"""A purge leaves no byte of what it purged, finishes after a kill, and lets nothing come back."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.test_keep import READS, write
from workbench.casebook import Casebook
from workbench.errors import DataPurged
from workbench.lake import Lake
from workbench.lake.journal_write import Line, Stream, Writer
from workbench.oversight import certificate, evidence, holds, purge
from workbench.oversight.audit import Audit, Person

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TOML = '[agency]\nname = "Toy"\nzone = "UTC"\n[access]\ndefault_role = ["administrator", "supervisor", "auditor"]\n[retention]\nreads = 30\n'
HEADER = "id,plate,at,reader"
FACTS = "the plate stood at the corner of Main and 5th when the shop was robbed on 3 May"


def workspace(path: Path, toml: str = TOML) -> Path:
    path.mkdir()
    (path / "agency.toml").write_text(toml, encoding="utf-8")
    for part in ("lake", "out", "notebooks", "drop/done", "in"):
        (path / part).mkdir(parents=True)
    Casebook(path / "casebook.db").open_case("C1", "a case", user="anna")
    return path


def at(days: float) -> str:
    return (NOW - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S")


def planted(count: int, seed: int = 3) -> list[str]:
    chance = random.Random(seed)
    found: set[str] = set()
    while len(found) < count:
        found.add("".join(chance.choice("QXZJKVW") for _ in range(4)) + f"{chance.randrange(10000):04d}")
    return sorted(found)


def book(text: str) -> str:
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": [f"city.track('{text}')"],
            "outputs": [{"output_type": "stream", "name": "stdout", "text": [f"{text} seen twice"]}]}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def bytes_of(folder: Path, plates: list[str], *, without: tuple[str, ...] = ()) -> dict[str, set[str]]:
    """An own look at every byte, raw and unpacked, so that the purge's search is not its own judge: file -> the planted plates in it."""
    import pyarrow.parquet as pq
    from pypdf import PdfReader

    found: dict[str, set[str]] = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = [file.read_bytes()]
        if data[0][:4] == b"PAR1":
            data.append(str(pq.read_table(file).to_pydict()).encode())
        elif data[0][:2] == b"\x1f\x8b":
            data.append(gzip.decompress(data[0]))
        elif data[0][:2] == b"PK":
            data += [zipfile.ZipFile(file).read(n) for n in zipfile.ZipFile(file).namelist()]
        elif data[0][:4] == b"%PDF":
            data.append("".join(p.extract_text() for p in PdfReader(file).pages).encode())
        elif data[0][:6] == b"ARROW1":
            data.append(str(pl.read_ipc(file).to_dicts()).encode())
        elif data[0][:6] == b"SQLite":
            data.append("\n".join(sqlite3.connect(file).iterdump()).encode())
        text = b"\n".join(data).decode("latin-1")
        hits = set(pl.Series([text]).str.extract_many(plates)[0].to_list())
        if hits and file.name not in without:
            found[str(file.relative_to(folder))] = hits
    return found


def live(path: Path, rows: list[dict[str, Any]], table: str = "reads") -> None:
    writer = Writer(path / "lake")
    stream = Stream("toy_live", "1", (table,), "anna")
    writer.append([Line(table, stream, json.dumps(row)) for row in rows])
    writer.close()


def full_city(tmp_path: Path) -> tuple[Path, list[str]]:
    """A workspace with 1,000 plates beyond their limit wherever a plate can be."""
    path, gone = workspace(tmp_path / "city"), planted(1000)
    lake = Lake(path / "lake")
    old = [(f"r{i}", p, at(40 + i % 50), f"R{i % 7}") for i, p in enumerate(gone[:800])]
    fresh = [(f"f{i}", f"HELD{i:04d}", at(i % 20), "R1") for i in range(200)]
    file = write(path / "drop/done/first.csv", HEADER, [*old, *fresh])
    lake.load(READS, file)
    pinned = lake.versions()
    lake.pin(pinned, "a briefing")
    packed = path / "in/second.csv.gz"
    again = [(f"r{i}", f"{gone[800 + i]}", at(40 + i % 50), "R9") for i in range(100)]
    bad = [(f"x{i}", p, "never", "R1") for i, p in enumerate(gone[:50])]
    packed.write_bytes(gzip.compress(("\n".join([HEADER, *(",".join(r) for r in [*again, *bad])]) + "\n").encode()))
    lake.load(READS, packed)
    live(path, [{"read_id": f"l{i}", "plate": p, "reader": "R2", "read_at": at(60) + "Z"} for i, p in enumerate(gone[900:])])
    lake.compact()
    lake.lookup("reads", "plate", gone[:2])
    outputs(path, gone)
    assert set().union(*bytes_of(path, gone).values()) == set(gone)
    return path, gone


def outputs(path: Path, gone: list[str]) -> None:
    import typst

    (path / "out/brief.html").write_text(f"<p>{gone[0]} and {gone[801]}</p>", encoding="utf-8")
    (path / "out/page.typ").write_text(f"= Plates\n {gone[5]} was read, {gone[950]} too", encoding="utf-8")
    typst.compile(path / "out/page.typ", output=str(path / "out/page.pdf"))
    (path / "out/page.typ").unlink()
    (path / "out/clean.html").write_text("<p>nothing of it, HELD0001 only</p>", encoding="utf-8")
    pl.DataFrame({"plate": gone[:9]}).write_parquet(path / "out/export.parquet")
    (path / "out/brief.ipynb").write_text(book(gone[3]), encoding="utf-8")
    (path / "notebooks/mine.ipynb").write_text(book(gone[4]), encoding="utf-8")
    (path / "notebooks/.ipynb_checkpoints").mkdir()
    (path / "notebooks/.ipynb_checkpoints/mine-checkpoint.ipynb").write_text(book(gone[4]), encoding="utf-8")
    with zipfile.ZipFile(path / "out/set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("plates.csv", "\n".join(gone[10:20]))
    desk = Casebook(path / "casebook.db")
    desk.add_subject("C1", f"vehicle:{gone[1]}", "seen near", user="anna")
    lead = desk.add_lead("C1", f"vehicle:{gone[2]}", f"{gone[2]} was near three scenes", json.dumps({"parameters": {"plate": gone[2]}}), user="anna")
    desk.judge(lead, "unsure", f"{gone[2]} needs a look", user="anna")
    Audit(path / "audit.db").write(Person("anna"), "search", "reads", text=gone[6])
    orphan = path / "lake/_work/20260101T000000-deadbeef"
    orphan.mkdir(parents=True)
    (orphan / "refused.ndjson").write_text(gone[7], encoding="utf-8")


def test_no_byte_of_the_workspace_holds_one_of_a_thousand_purged_plates(tmp_path: Path) -> None:
    path, gone = full_city(tmp_path)
    pinned = Lake(path / "lake").pins()["versions"][0]
    made = purge.run(path, NOW, user="anna", reason="daily purge")
    spared = () if hasattr(Audit, "forget") else ("audit.db", "audit.db-wal")
    assert bytes_of(path, gone, without=spared) == {}
    assert Lake(path / "lake").frame("reads").height == 200 and (path / "out/clean.html").exists()
    assert made.rows == {"reads": 1000, "rejects": 50} and made.body["verification"]["found"] <= (1 if spared else 0)
    done = {o["file"]: o["done"] for o in made.body["outputs"]}
    assert {"out/brief.html", "out/page.pdf", "out/export.parquet", "out/set.zip", "drop/done/first.csv", "in/second.csv.gz"} <= set(done)
    assert done["notebooks/mine.ipynb"] == "outputs cleared" and (path / "notebooks/mine.ipynb").exists()
    assert certificate.verify(path, made.certificate_id)[0]
    versions = {t: int(n) for t, n in (part.split(" ") for part in pinned.split(", "))}
    with pytest.raises(DataPurged, match=made.certificate_id):
        Lake(path / "lake").check(versions)
    assert purge.certificates(path).filter(pl.col("table") == "reads")["rows"].to_list() == [1000]


def test_the_old_export_sent_again_brings_nothing_back_and_the_ledger_balances(tmp_path: Path) -> None:
    path = workspace(tmp_path / "city")
    rows = [(f"r{i}", p, at(40 if i < 50 else 3), "R1") for i, p in enumerate(planted(80))]
    lake = Lake(path / "lake")
    file = write(tmp_path / "a.csv", HEADER, rows)
    lake.load(READS, file)
    made = purge.run(path, NOW, user="anna", reason="daily purge")
    assert made.rows == {"reads": 50} and lake.load(READS, file).already
    report = lake.load(READS, write(tmp_path / "b.csv", HEADER, [*rows, ("n1", "NEWP1234", at(1), "R1")]))
    assert report.left_out == {"reads": 50} and report.duplicate == 30 and lake.frame("reads").height == 31
    balanced(lake)
    assert bytes_of(path, [p for _, p, *_ in rows[:50]]) == {}


def balanced(lake: Lake) -> None:
    ledger = {r["batch_id"]: r for r in lake.batches().iter_rows(named=True)}
    versions = lake.versions()
    lost = lake.frame("purges", versions) if "purges" in versions else pl.DataFrame(schema={"batch_id": pl.String, "table": pl.String, "rows": pl.Int64})
    held = dict(lake.editions("reads", versions, where="true").group_by("batch_id").len().iter_rows())
    refused = dict(lake.rejects().group_by("batch_id").len().iter_rows())
    for batch, row in ledger.items():
        gone = {t: lost.filter((pl.col("batch_id") == batch) & (pl.col("table") == t))["rows"].sum() for t in ("reads", "rejects")}
        assert held.get(batch, 0) == row["added"] + row["updated"] - gone["reads"]
        assert refused.get(batch, 0) == row["rejected"] - gone["rejects"]


# Forks a purge and kills it before (odd) or after (even) one of its steps.
KILLED = """
import json, os, signal, sys
from datetime import datetime
from pathlib import Path
from workbench.lake import tables
from workbench.oversight import purge

def dying(step, real):
    def act(*given, **named):
        count[0] += 1
        if 2 * count[0] - 1 == step: os.kill(os.getpid(), signal.SIGKILL)
        real(*given, **named)
        if 2 * count[0] == step: os.kill(os.getpid(), signal.SIGKILL)
    return act

real = os.replace, tables.DeltaTable.create_write_transaction, Path.unlink
print("UP", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        count = [0]
        os.replace = dying(job["die"], real[0])
        tables.DeltaTable.create_write_transaction = dying(job["die"], real[1])
        Path.unlink = dying(job["die"], real[2])
        purge.run(Path(job["path"]), datetime.fromisoformat(job["now"]), user="anna", reason="daily purge")
        os.write(1, f"STEPS {count[0]}\\n".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    print("END", flush=True)
"""


@pytest.mark.parametrize("stride", [pytest.param(13, id="some"), pytest.param(1, id="every", marks=pytest.mark.soak)])
def test_a_purge_killed_before_or_after_any_step_is_finished_by_the_next_and_leaves_no_byte(tmp_path: Path, stride: int) -> None:
    base, gone = workspace(tmp_path / "base"), planted(60)
    lake = Lake(base / "lake")
    lake.load(READS, write(tmp_path / "a.csv", HEADER, [*((f"r{i}", p, at(40), "R1") for i, p in enumerate(gone[:40])), *((f"f{i}", f"HELD{i:04d}", at(2), "R1")
                                                                                                                       for i in range(9))]))
    lake.load(READS, write(tmp_path / "b.csv", HEADER, [*((f"r{i}", gone[40 + i], at(41), "R1") for i in range(10)), ("x1", gone[1], "never", "R1")]))
    live(base, [{"read_id": f"l{i}", "plate": p, "reader": "R2", "read_at": at(60) + "Z"} for i, p in enumerate(gone[50:])])
    (base / "out/brief.html").write_text(gone[0], encoding="utf-8")
    server = subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None and server.stdout is not None and server.stdout.readline() == "UP\n"

    def killed(path: Path, die: int) -> int:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps({"path": str(path), "now": NOW.isoformat(), "die": die}) + "\n")
        server.stdin.flush()
        steps = 0
        while (said := server.stdout.readline().split()) != ["END"]:
            steps = int(said[1])
        return steps

    whole = Path(shutil.copytree(base, tmp_path / "whole"))
    steps = killed(whole, 0)
    assert steps > 15
    for die in range(1, 2 * steps + 1, stride):
        path = Path(shutil.copytree(base, tmp_path / str(die)))
        killed(path, die)
        there = Lake(path / "lake")
        assert there.frame("reads").filter(pl.col("plate").str.starts_with("HELD")).height == 9
        if die % 2:
            there.load(READS, write(tmp_path / "c.csv", HEADER, [("n1", "NEWP1234", at(1), "R1")]))
        purge.run(path, NOW, user="anna", reason="daily purge")
        assert bytes_of(path, gone) == {}, die
        assert set(Lake(path / "lake").frame("reads")["plate"].str.slice(0, 4)) <= {"HELD", "NEWP"}
        balanced(Lake(path / "lake"))
        told = purge.certificates(path).filter(pl.col("table") == "reads")
        assert told["rows"].sum() == 60 and all(certificate.verify(path, c)[0] for c in told["certificate_id"])
        assert not [p for p in (path / "certificates/_work").iterdir() if p.name != "lock"] and not list((path / "lake/_work").iterdir())
        shutil.rmtree(path)
    server.stdin.close()
    server.wait(timeout=30)


DEEDS = st.lists(st.one_of(
    st.tuples(st.just("load"), st.lists(st.tuples(st.integers(0, 15), st.integers(0, 5), st.integers(0, 60)), min_size=1, max_size=6)),
    st.tuples(st.just("hold"), st.integers(0, 5)), st.tuples(st.just("attach"), st.integers(0, 15)), st.tuples(st.just("release"), st.integers(1, 3)),
    st.tuples(st.just("compact"), st.just(0)), st.tuples(st.just("purge"), st.integers(0, 20))), min_size=3, max_size=9)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(deeds=DEEDS)
def test_after_any_deeds_and_a_purge_no_row_is_beyond_its_limit_but_held_ones_and_cases_keep_their_evidence(
        tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[str, Any]]) -> None:
    home = tmp_path_factory.mktemp("deeds")
    path, plates, now, attached = workspace(home / "city"), planted(6), NOW, dict[str, int]()
    lake = Lake(path / "lake")
    for number, (deed, what) in enumerate([*deeds, ("purge", 1)]):
        if deed == "load":
            lake.load(READS, write(home / f"{number}.csv", HEADER, [(f"row-{k}", plates[p], at(d), "R1") for k, p, d in what]))
        elif deed == "hold":
            holds.add(path, "C1", sworn_by="Sgt. Toy", facts=FACTS, citation="GS 20-183.32", select={"plates": [plates[what]]}, user="anna",
                      begins=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2026, 12, 31, tzinfo=UTC))
        elif deed == "release" and what in holds.listed(path).filter(pl.col("released_at").is_null())["hold_id"].to_list():
            holds.release(path, what, "charges were dropped", "anna")
        elif deed == "attach" and "reads" in lake.versions() and lake.frame("reads", where=f"read_id = 'row-{what}'").height:
            evidence.attach(path, "C1", "reads", f"row-{what}", "seen at the scene", "anna")
            attached[f"row-{what}"] = 1
        elif deed == "compact":
            lake.compact()
        elif deed == "purge":
            now += timedelta(days=what)
            purge.run(path, now, user="anna", reason="daily purge")
            kept = holds.listed(path, now).filter(pl.col("state") == "in force")["selector"].to_list()
            if "reads" in lake.versions():
                every = lake.editions("reads", lake.versions(), where="true")
                plates_held = [p for s in kept for p in json.loads(s)["plates"]]
                free = every.join(every.filter(pl.col("plate").is_in(plates_held)), on="read_id", how="anti")
                assert free.filter(pl.col("read_at") < now - timedelta(days=30)).is_empty()
                balanced(lake)
        checked = evidence.verify(path, "C1")
        assert checked["sound"].all() and set(attached) == {json.loads(k)[0] for k in checked["row_key"]}
