"""What comes in live: visible at once in other processes, kept through kill -9 at any moment, folded exactly once, and nothing dropped silently."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import workbench as wb
from benchmarks.live import event, measured, share
from workbench import loaders, schema, workspace
from workbench.casebook import Casebook
from workbench.errors import BadInput
from workbench.intake import watch, watch_config
from workbench.intake.folder import Drops
from workbench.intake.ingest import Delivery, Feed, Ingest
from workbench.intake.sqltable import Poll, mark_name
from workbench.intake.watch_config import Folder, Table
from workbench.intake.webhook import taken_apart
from workbench.lake import Lake, journal, journal_fold
from workbench.lake.journal_map import Mapper
from workbench.lake.journal_write import Line, Stream, Writer
from workbench.lake.view import View

ROOT = Path(__file__).resolve().parent.parent
CASE = {"case": "2026-0142", "purpose": "investigation", "reason": "who was near the scenes"}

# Forks one watcher a job, so that a kill costs no new start of Python.
SERVER = """
import os, sys
from workbench import cli
import workbench.intake.watch, workbench.intake.webhook, workbench.workspace, workbench.session, polars, duckdb, deltalake, pyarrow
pyarrow.array([""])
print("UP", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        out = os.open(line.strip() + "/watch.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2)
        sys.stdin.close()
        os._exit(cli.main(["watch", "-w", line.strip()]))
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Watchers:
    """Starts watchers, one after the other."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TEST_HOOK_SECRET": "shared words"}
        self._server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._said() == "UP"
        self.pid = 0

    def _said(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()

    def start(self, city: City) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(f"{city.path}\n")
        self._server.stdin.flush()
        self.pid = int(self._said())
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{city.port}/health", timeout=2).close()
                return
            time.sleep(0.02)
        pytest.fail("the watcher did not answer: " + (city.path / "watch.log").read_text())

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it so; gives its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, how)
        self.pid = 0
        return int(self._said())

    def close(self) -> None:
        if self.pid:
            self.end(signal.SIGKILL)
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=30)


class City:
    """A workspace that is watched."""

    def __init__(self, path: Path, config: str = '[[webhook]]\nsource = "sample_reads"\n', fold: float = 60.0) -> None:
        self.path = path
        workspace.create(path, name="Live", zone="America/Chicago")
        Casebook(path / "casebook.db").open_case(CASE["case"], "Burglaries", user="tester")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        (path / "watch.toml").write_text(f"[server]\nport = {self.port}\nmost_bytes = 50000\n[journal]\nfold_seconds = {fold}\n{config}", encoding="utf-8")

    @property
    def lake(self) -> Lake:
        return Lake(self.path / "lake")

    def post(self, body: Any, source: str = "sample_reads", *, token: str | None = None, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        word = (self.path / "watch.token").read_text().strip() if token is None else token
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", f"/in/{source}", data, {"Authorization": f"Bearer {word}", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def ids(self) -> list[str]:
        return sorted(self.lake.frame("reads")["read_id"].to_list())


@pytest.fixture(scope="module")
def watchers() -> Iterator[Watchers]:
    made = Watchers()
    yield made
    made.close()


@pytest.fixture
def live(tmp_path: Path, watchers: Watchers) -> Iterator[City]:
    """A watched workspace with a webhook for reads; its watcher is killed afterwards when it still runs."""
    city = City(tmp_path / "city")
    watchers.start(city)
    yield city
    if watchers.pid:
        watchers.end(signal.SIGKILL)


class Bench:
    """A journal written in this process, without a watcher."""

    def __init__(self, root: Path, source: str = "sample_reads") -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.view, self.lake = root, View(root), Lake(root)
        self.writer = Writer(root)
        self.mapper = Mapper(loaders.find(source), root, beside=root / "x")
        self.stream = Stream(source, self.mapper.mapping_version, self.mapper.source.tables, "tester")

    def put(self, *records: dict[str, Any]) -> list[str]:
        lines = []
        for record, one in zip(records, self.mapper.map([json.dumps(r).encode() for r in records]), strict=True):
            letter = json.dumps({"file": "webhook", "reason": one.reason, "raw": json.dumps(record)})
            lines.append(Line(one.table, self.stream, one.body) if one.table else Line("rejects", self.stream, letter))
        return self.writer.append(lines)

    def fold(self) -> list[Any]:
        self.writer.rotate()
        due = journal_fold.due(self.root, self.view)
        return [done for segment in due for done in journal_fold.fold(self.root, self.view, segment, self.writer)]

    def reads(self, versions: dict[str, int] | None = None) -> pl.DataFrame:
        return Lake(self.root).frame("reads", versions).sort("line", "read_id")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "lake")
    yield made
    made.writer.close()


# --- visible at once ----------------------------------------------------------------------------------------------------------------


def test_an_event_that_is_posted_is_soon_visible_in_another_process() -> None:
    found = measured(3.0, rate=20, config="[journal]\nfold_seconds = 1.0\n")
    print(f"\nvisible after {share(found['visible'], 0.5):.3f} s, p99 {share(found['visible'], 0.99):.3f} s")
    assert found["missing"] == 0 and found["code"] == 0 and found["folds"] >= 2
    assert share(found["visible"], 0.5) < 2.0 and found["visible"][-1] < 8.0


@pytest.mark.soak
def test_ten_minutes_of_fifty_events_a_second_are_all_visible_within_half_a_second() -> None:
    found = measured(600.0)
    print(f"\np50 {share(found['visible'], 0.5):.3f} p99 {share(found['visible'], 0.99):.3f} slowest {found['visible'][-1]:.3f} s, CPU {found['cpu']:.0f} s")
    assert found["missing"] == 0 and found["folds"] >= 9
    assert share(found["visible"], 0.99) <= 0.5


def test_an_open_workbench_sees_live_rows_after_a_refresh_and_not_before(live: City) -> None:
    city = wb.open_workbench(live.path, **CASE)
    assert live.post(event(1)) == (200, {"received": 1, "accepted": 1, "duplicate": 0, "rejected": 0, "position": 1})
    assert city.versions.get("journal") == 0
    plate = "ZZ0001"
    assert city.refresh().reads(plate=plate)["plate"].to_list() == [plate]
    assert city.sql("select count(*) n from reads")["n"].to_list() == [1]
    pinned = city.versions
    live.post(event(2))
    assert wb.open_workbench(live.path, **CASE, versions=pinned).reads().height == 1
    assert city.refresh().reads().height == 2


def test_dead_letters_of_a_personal_source_hide_their_text_without_a_case(live: City) -> None:
    live.post([{"Plate": "ABC123"}, event(1)])
    live.post(b"{broken")
    assert wb.open_workbench(live.path).rejects()["raw"].null_count() == 2
    assert wb.open_workbench(live.path, **CASE).rejects()["raw"].to_list() == ['{"Plate": "ABC123"}', "{broken"]


# --- what is posted -----------------------------------------------------------------------------------------------------------------


def test_bad_messages_are_dead_letters_with_raw_text_and_reason_before_and_after_the_fold(live: City, watchers: Watchers) -> None:
    assert live.post(b"not json at all") == (400, {"error": "The message is not JSON; it is kept among the rejects.", "received": 1, "accepted": 0,
                                                   "duplicate": 0, "rejected": 1})
    lines = json.dumps(event(1)).encode() + b"\n{cut off\n" + json.dumps({**event(2), "Read Time": "yesterday"}).encode() + b"\n"
    assert live.post(lines)[1]["rejected"] == 2
    assert live.post([{"something": "else"}, 5])[1] == {"received": 2, "accepted": 0, "duplicate": 0, "rejected": 2, "position": 6}
    wanted = [("not json at all", "not readable as JSON"), ("{cut off", "not readable as JSON"), (json.dumps({**event(2), "Read Time": "yesterday"}),
              "read_at not readable"), ('{"something": "else"}', "has none of the columns of sample_reads"), ("5", "not a JSON object")]
    for _ in range(2):
        rejects = live.lake.rejects()
        assert sorted(rejects.select("raw", "reason").rows()) == sorted(wanted)
        assert set(rejects["file"]) == {"webhook"} and live.ids() == ["E00000001"]
        batch = live.lake.batches().row(0, named=True)
        assert (batch["file"], batch["read"], batch["added"], batch["rejected"]) == ("journal 1-6", 6, 1, 5)
        if watchers.pid:
            assert watchers.end() == 0
    assert "everything is folded" in (live.path / "watch.log").read_text()
    assert journal.rows(View(live.lake.path), "reads", live.lake.versions()).sql == ""


def test_a_repeated_delivery_is_a_duplicate_and_a_changed_one_an_edition(live: City, watchers: Watchers) -> None:
    first, changed = event(7), {**event(7), "Make": "BRANNOCK"}
    assert [live.post(body)[1]["duplicate"] for body in (first, [first, first], changed, changed, first)] == [0, 2, 0, 1, 0]
    for _ in range(2):
        assert live.lake.frame("reads")["make"].to_list() == ["NORVELL"]
        versions = live.lake.versions()
        con = live.lake.connect()
        assert con.sql(f"select count(*) from {live.lake.relation_sql('reads', versions, history=True)}").fetchall() == [(3,)]
        con.close()
        if watchers.pid:
            watchers.end()
    batch = live.lake.batches().row(0, named=True)
    assert [batch[k] for k in ("read", "added", "updated", "duplicate", "rejected")] == [6, 1, 2, 3, 0]


def test_who_has_no_token_is_refused_and_nothing_is_kept(live: City) -> None:
    for token in ("", "wrong", (live.path / "watch.token").read_text().strip() + "x"):
        status, answer = live.post(event(1), token=token)
        assert status == 401 and "Bearer" in answer["error"]
    assert live.post(event(1), "sample_raeds") == (404, {"error": "There is no webhook for 'sample_raeds' here. Did you mean 'sample_reads'?"})
    assert live.post(b"x" * 60_000)[0] == 413
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(f"http://127.0.0.1:{live.port}/in/sample_reads", timeout=5)
    assert live.lake.versions() == {"journal": 0}
    token = live.path / "watch.token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text().strip() not in (live.path / "watch.log").read_text()


def test_a_message_that_is_sent_in_chunks_is_measured_too(live: City) -> None:
    word = (live.path / "watch.token").read_text().strip()

    def chunks(count: int) -> Iterator[bytes]:
        yield b"["
        for n in range(count):
            yield (b"," if n else b"") + json.dumps(event(n)).encode()
        yield b"]"

    for count, status in ((20, 200), (1000, 413)):
        connection = HTTPConnection("127.0.0.1", live.port, timeout=10)
        try:
            connection.request("POST", "/in/sample_reads", chunks(count), {"Authorization": f"Bearer {word}"}, encode_chunked=True)
        except (BrokenPipeError, ConnectionResetError):
            assert status == 413
            continue
        with contextlib.suppress(ConnectionResetError):
            assert connection.getresponse().status == status
    assert len(live.ids()) == 20


def test_a_shared_secret_is_asked_for_where_it_is_set(tmp_path: Path, watchers: Watchers) -> None:
    city = City(tmp_path / "city", '[[webhook]]\nsource = "sample_reads"\nsecret_env = "TEST_HOOK_SECRET"\n')
    watchers.start(city)
    body = json.dumps(event(1)).encode()
    sign = hmac.new(b"shared words", body, hashlib.sha256).hexdigest()
    assert city.post(body)[0] == 401
    assert city.post(body, headers={"X-Signature": f"sha256={sign}"})[0] == 200
    assert city.post(body + b" ", headers={"X-Signature": f"sha256={sign}"})[0] == 401
    watchers.end(signal.SIGKILL)


def test_openalpr_groups_and_flock_documents_come_in_as_their_vendors_send_them(tmp_path: Path, watchers: Watchers) -> None:
    city = City(tmp_path / "city", '[[webhook]]\nsource = "openalpr_groups"\nset = { moving = "no" }\n[[webhook]]\nsource = "flock_reads"\n')
    watchers.start(city)
    group = {"data_type": "alpr_group", "epoch_start": 1_780_000_000_123, "camera_id": 17, "agent_uid": "AGENT", "best_plate_number": "ZZX 123",
             "best_confidence": 91.5, "best_uuid": "AGENT-17-1", "best_region": "us-ne",
             "candidates": [{"plate": "ZZX123", "confidence": 91.5}, {"plate": "ZZX1Z3", "confidence": 80.0}],
             "vehicle": {"color": [{"name": "white", "confidence": 80.0}]}}
    assert city.post(json.dumps(group, indent=1).encode(), "openalpr_groups")[1]["accepted"] == 1
    assert city.post({"data_type": "heartbeat", "agent_uid": "AGENT"}, "openalpr_groups")[1] == {
        "received": 0, "accepted": 0, "duplicate": 0, "rejected": 0, "ignored": 1}
    one = {"id": "F-1", "capturedAt": "2026-06-01T10:00:00Z", "device": {"id": "D-1"}, "plate": {"plate": "ZZY987", "confidence": 0.9}}
    assert city.post({"results": [one, {**one, "id": "F-2"}]}, "flock_reads")[1]["accepted"] == 2
    reads = city.lake.frame("reads").sort("read_id")
    assert reads["plate"].to_list() == ["ZZX123", "ZZY987", "ZZY987"] and reads["alternatives"].to_list()[0] == ["ZZX1Z3"]
    assert reads["region"].to_list()[0] == "NB" and sorted(set(reads["source"])) == ["flock_reads", "openalpr_groups"]
    assert watchers.end(signal.SIGINT) == 0
    assert_frame_equal(city.lake.frame("reads").sort("read_id"), reads)
    assert city.lake.batches().height == 2


@given(st.one_of(st.binary(max_size=200), st.lists(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=8), max_size=5).map(lambda v: json.dumps(v, indent=1).encode())))
@settings(max_examples=300, deadline=None)
def test_any_body_is_taken_apart_without_an_error_and_each_record_is_one_line(body: bytes) -> None:
    apart = taken_apart(body)
    assert all(b"\n" not in record for record in apart.records)
    with contextlib.suppress(ValueError):
        value = json.loads(body.decode())
        if isinstance(value, list):
            texts = [json.dumps(json.loads(record)) for record in apart.records]
            assert texts == [json.dumps(one) for one in value]


# --- killed at any moment -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kills", "seed"), [pytest.param(8, 11, id="eight"), pytest.param(100, 5, id="hundred", marks=pytest.mark.soak)])
def test_a_watcher_killed_at_random_moments_keeps_every_event_it_answered_exactly_once(tmp_path: Path, watchers: Watchers, kills: int, seed: int) -> None:
    city, chance = City(tmp_path / "city", fold=0.3), random.Random(seed)
    answered: set[int] = set()
    posted: set[int] = set()
    refused: set[str] = set()
    number, guard = [0], threading.Lock()
    for _ in range(kills):
        watchers.start(city)
        stop = threading.Event()

        def send(stop: threading.Event = stop) -> None:
            while not stop.is_set():
                with guard:
                    mine = list(range(number[0], number[0] + 3))
                    number[0] += 3
                posted.update(mine)
                bad = f"{{bad {mine[0]}"
                body = b"\n".join([*(json.dumps(event(n)).encode() for n in mine), bad.encode()])
                try:
                    status, answer = city.post(body)
                except (OSError, HTTPException, ValueError):
                    return
                if status == 200:
                    assert (answer["accepted"], answer["rejected"]) == (3, 1)
                    answered.update(mine)
                    refused.add(bad)

        senders = [threading.Thread(target=send) for _ in range(3)]
        for sender in senders:
            sender.start()
        time.sleep(chance.uniform(0.05, 1.2))
        watchers.end(signal.SIGKILL)
        stop.set()
        for sender in senders:
            sender.join()
        whole(city, answered, posted)
    watchers.start(city)
    assert watchers.end() == 0
    whole(city, answered, posted)
    letters = city.lake.rejects()["raw"].to_list()
    assert len(letters) == len(set(letters)) and refused <= set(letters)
    assert journal.rows(View(city.lake.path), "reads", city.lake.versions()).sql == ""
    ledger = city.lake.batches()
    assert (ledger["read"] == ledger["added"] + ledger["updated"] + ledger["duplicate"] + ledger["rejected"]).all()
    assert ledger["added"].sum() == city.lake.frame("reads").height
    print(f"\n{kills} kills, {len(answered):,} events answered, {ledger.height} batches")
    assert len(answered) > 5 * kills


def whole(city: City, answered: set[int], posted: set[int]) -> None:
    """Every event answered is there once; one that was not answered may be there, but then with all that it was posted with."""
    held = [int(i[1:]) for i in city.ids()]
    assert len(held) == len(set(held))
    assert answered <= set(held) <= posted
    assert all({n - n % 3, n - n % 3 + 1, n - n % 3 + 2} <= set(held) for n in held)


# A fold in a process of its own, which kills itself before (odd) or after (even) a step of its commit.
FOLD = """
import os, signal, sys
from pathlib import Path
from workbench.lake import compare, journal_fold, tables
from workbench.lake.journal_write import Writer
from workbench.lake.view import View
import json, pyarrow
pyarrow.array([""])

def run(root, die):
    count = [0]
    def dying(real):
        def act(*given, **named):
            count[0] += 1
            if 2 * count[0] - 1 == die: os.kill(os.getpid(), signal.SIGKILL)
            real(*given, **named)
            if 2 * count[0] == die: os.kill(os.getpid(), signal.SIGKILL)
        return act
    tables.os.replace = dying(os.replace)
    tables.DeltaTable.create_write_transaction = dying(tables.DeltaTable.create_write_transaction)
    view = View(root)
    writer = Writer(root)
    writer.rotate()
    for segment in journal_fold.due(root, view):
        journal_fold.fold(root, view, segment)
    return count[0]

for line in sys.stdin:
    job = json.loads(line)
    end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(end[1], str(run(Path(job["lake"]), job["die"])).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.write(end[1], b" ")
    print(os.read(end[0], 20).decode().strip() or "killed", flush=True)
    os.close(end[0]), os.close(end[1])
"""


def test_a_fold_killed_before_or_after_any_step_is_done_again_and_doubles_nothing(tmp_path: Path) -> None:
    base = Bench(tmp_path / "base")
    assert base.lake.load(loaders.find("sample_reads"), reads_file(tmp_path, 5, 15)).added == 10
    base.put(*(event(n) for n in range(8)), {**event(9), "Make": "BRANNOCK"}, {"Plate": "X"})
    base.writer.close()
    before = base.reads().sort("read_id")
    pinned, rejects = base.lake.versions(), base.lake.rejects()
    folder = subprocess.Popen([sys.executable, "-c", FOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert folder.stdin is not None and folder.stdout is not None
    die, killed = 0, 0
    while True:
        die += 1
        path = Path(shutil.copytree(tmp_path / "base", tmp_path / str(die)))
        folder.stdin.write(json.dumps({"lake": str(path), "die": die}) + "\n")
        folder.stdin.flush()
        said = folder.stdout.readline().strip()
        now = Lake(path)
        facts = ["read_id", "plate", "make"]
        assert_frame_equal(now.frame("reads").sort("read_id").select(facts), before.select(facts))
        again = Bench(path)
        again.fold()
        again.writer.close()
        assert_frame_equal(now.frame("reads").sort("read_id").select(facts), before.select(facts))
        ledger = now.batches().filter(pl.col("file").str.starts_with("journal"))
        assert ledger.select("read", "added", "updated", "duplicate", "rejected").rows() == [(10, 5, 1, 3, 1)]
        assert_frame_equal(now.frame("reads", pinned).sort("read_id"), before)
        assert_frame_equal(now.rejects(), rejects)
        assert not list((path / "_work").iterdir())
        shutil.rmtree(path)
        if said != "killed":
            break
        killed += 1
    folder.stdin.close()
    folder.wait(timeout=30)
    assert killed >= 12, "manifest, sidecars, fact file, its commit, rejects and theirs, the ledger row and its"


def reads_file(folder: Path, low: int, high: int, **changed: str) -> Path:
    """A file of the made-up city's reads."""
    path = folder / f"reads-{low}-{high}-{len(changed)}.csv"
    rows = [{**event(n), **changed} for n in range(low, high)]
    path.write_text("\n".join([",".join(rows[0]), *(",".join(r.values()) for r in rows)]) + "\n", encoding="utf-8")
    return path


def test_a_group_that_was_cut_off_at_any_byte_is_cut_away_at_the_next_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "lake")
    bench.put(event(1), event(2))
    whole_size = journal.segments(bench.root)[0].path.stat().st_size
    bench.put(event(3), {"Plate": "ÄÖ", "Make": "車"}, event(3))
    bench.writer.close()
    segment = journal.segments(bench.root)[0].path
    full, chance = segment.read_bytes(), random.Random(1)
    cuts = [whole_size, whole_size + 1, len(full) - 1, *chance.sample(range(whole_size, len(full)), 20)]
    for cut in cuts:
        segment.write_bytes(full[:cut])
        (bench.root / "_journal" / "head").write_bytes(b"%015d%015d\n" % (2, 2))
        assert bench.reads().height == 2
        writer = Writer(bench.root)
        assert writer.position == 2 and segment.stat().st_size == whole_size
        writer.close()
    segment.write_bytes(full)
    again = Bench(tmp_path / "lake")
    assert again.writer.position == 5 and again.reads().height == 3
    assert again.put(event(3), event(4)) == ["duplicate", "reads"]
    assert again.lake.rejects()["raw"].to_list() == [json.dumps({"Plate": "ÄÖ", "Make": "車"})]
    again.writer.close()


def test_a_disk_that_is_full_takes_nothing_and_later_all(bench: Bench) -> None:
    bench.put(event(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (journal.segments(bench.root)[0].path.stat().st_size + 300, hard))
        with pytest.raises(OSError, match="large"):
            bench.put(event(2), event(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, kept)
    assert bench.reads().height == 1 and bench.lake.versions()["journal"] == 1
    assert bench.put(event(2), event(3)) == ["reads", "reads"]
    assert bench.reads()["line"].to_list() == [1, 2, 3]


# --- folded without a trace ---------------------------------------------------------------------------------------------------------


def test_a_pinned_state_gives_the_same_rows_before_and_after_folds_and_after_the_segments_are_gone(bench: Bench) -> None:
    chance, pins = random.Random(3), []
    for step in range(9):
        numbers = [chance.randrange(40) for _ in range(6)]
        bench.put(*({**event(n), "Make": chance.choice(["NORVELL", "BRANNOCK"])} for n in numbers), {"Plate": f"bad {step}"})
        if step % 4 == 2:
            bench.fold()
        pins.append((bench.lake.versions(), bench.reads(), bench.lake.rejects().sort("line")))
    for end in range(3):
        if end == 1:
            bench.fold()
        if end == 2:
            assert journal_fold.clear(bench.root, bench.view, stays=0) == 3
            assert len(journal.segments(bench.root)) == 1
        facts = reads_of(pins[0][1], provenance=end < 2)
        for versions, reads, rejects in pins:
            lake = Lake(bench.root)
            lake.check(versions)
            assert_frame_equal(bench.reads(versions).sort("read_id").select(facts), reads.sort("read_id").select(facts))
            assert_frame_equal(lake.rejects(versions).sort("line"), rejects)
        assert lake.query("select count(*) n from reads", versions=versions)["n"].to_list() == [reads.height]


def reads_of(frame: pl.DataFrame, *, provenance: bool) -> list[str]:
    """Its columns; without provenance where a record that was delivered twice may be told by its first delivery."""
    return [c for c in frame.columns if provenance or c not in schema.PROVENANCE]


def test_a_file_that_holds_what_came_in_live_adds_nothing_and_one_with_newer_editions_wins(bench: Bench, tmp_path: Path) -> None:
    bench.put(*(event(n) for n in range(10)))
    source = loaders.find("sample_reads")
    report = bench.lake.load(source, reads_file(tmp_path, 5, 15))
    assert (report.added, report.updated, report.duplicate) == (5, 0, 5)
    assert bench.lake.load(source, reads_file(tmp_path, 0, 3, Make="BRANNOCK")).updated == 3
    assert bench.put(event(0), event(1)) == ["reads", "reads"], "news again, since a file brought other editions meanwhile"
    wanted = ["NORVELL", "NORVELL", "BRANNOCK"] + 12 * ["NORVELL"]
    for _ in range(2):
        assert bench.lake.frame("reads").sort("read_id")["make"].to_list() == wanted
        bench.fold()
    ledger = bench.lake.batches()
    assert ledger["added"].sum() == 15


def test_of_two_editions_the_one_that_the_agency_revised_later_counts_whatever_came_first(tmp_path: Path) -> None:
    source = loaders.find("chicago_crimes")
    bench = Bench(tmp_path / "lake", "chicago_crimes")
    record = {"ID": "1", "Case Number": "HZ1", "Date": "01/02/2018 10:00:00 PM", "Block": "001XX N STATE ST", "IUCR": "0820", "Primary Type": "THEFT",
              "Description": "X", "Location Description": "STREET", "Arrest": "false", "Domestic": "false", "Beat": "0412", "District": "018", "FBI Code": "06",
              "Updated On": "02/10/2018 03:50:01 PM", "Latitude": "41.8", "Longitude": "-87.6"}
    path = tmp_path / "one.csv"
    path.write_text(",".join(record) + "\n" + ",".join(record.values()) + "\n")
    bench.lake.load(source, path)
    older, newer = {**record, "Updated On": "01/10/2018 03:50:01 PM", "Beat": "0001"}, {**record, "Updated On": "03/10/2018 03:50:01 PM", "Beat": "0009"}
    assert bench.put(older) == ["incidents"] and bench.lake.frame("incidents")["beat"].to_list() == ["0412"]
    assert bench.put(newer, older) == ["incidents"] * 2 and bench.lake.frame("incidents")["beat"].to_list() == ["0009"]
    bench.fold()
    assert bench.lake.frame("incidents")["beat"].to_list() == ["0009"]
    assert bench.lake.batches().sort("recorded_at").row(-1, named=True)["rejected"] == 2
    assert set(bench.lake.rejects()["reason"]) == {"older edition than the one held (revised_at)"}
    bench.writer.close()


def test_a_source_whose_columns_are_spelt_otherwise_is_mapped_all_the_same(bench: Bench) -> None:
    spelt = {k.lower().replace(" ", "_"): v for k, v in event(1).items()}
    short = {k: v for k, v in event(2).items() if k not in ("Make", "Color")}
    assert bench.put(spelt, short, {**event(3), "Confidence": 0.91, "Latitude": 41.57}) == ["reads"] * 3
    assert bench.reads()["confidence"].to_list() == [0.91] * 3 and bench.reads()["make"].to_list() == ["NORVELL", None, "NORVELL"]


def test_what_is_live_is_mapped_as_what_is_loaded_from_a_file(bench: Bench, tmp_path: Path) -> None:
    records = [event(n) for n in range(20)]
    records[3]["Latitude"], records[4]["Confidence"], records[5]["Plate"], records[6]["State"] = "0", "", "ÄB 12", ""
    bench.put(*records)
    path = tmp_path / "same.csv"
    path.write_text("\n".join([",".join(records[0]), *(",".join(r.values()) for r in records)]) + "\n", encoding="utf-8")
    other = Lake(tmp_path / "other")
    other.load(loaders.find("sample_reads"), path)
    columns = list(other.frame("reads").columns[:-4])
    assert_frame_equal(bench.reads().sort("read_id").select(columns), other.frame("reads").sort("read_id").select(columns))


# --- tables of another database -----------------------------------------------------------------------------------------------------


class Taken:
    """Polls a table in this process."""

    def __init__(self, tmp_path: Path, table: Table, password: str = "") -> None:
        self.bench, self.table = Bench(tmp_path / "lake"), table
        self.folder = tmp_path
        (tmp_path / "word").write_text(password)
        self.ingest = Ingest(self.bench.writer, lambda delivery, counts: None)
        self.ingest.start()
        self.feed = Feed(f"table {table.called}", self.bench.mapper, self.bench.stream)
        self.said: list[str] = []
        self.poll = Poll(tmp_path, table, self.feed, self.ingest, self.bench.writer.marks.get(mark_name(table)), self.said.append)

    def end(self) -> None:
        self.ingest.stop()
        self.bench.writer.close()
        if self.poll._engine is not None:
            self.poll._engine.dispose()

    def ids(self) -> list[str]:
        return sorted(self.bench.lake.frame("reads")["read_id"])


def created(con: Any, kind: str) -> None:
    columns = ", ".join(f'"{c}" text' for c in event(1))
    con.execute(f"create table reads ({columns}, changed {kind})")


def inserted(con: Any, number: int, value: str, holder: str = "%s", **changed: str) -> None:
    row = {**event(number), **changed}
    con.execute(f"insert into reads values ({', '.join([holder] * len(row))}, {value})", list(row.values()))


def test_a_postgresql_table_is_polled_with_late_commits_changes_and_restarts_and_nothing_is_lost_or_doubled(postgres: Any, tmp_path: Path) -> None:
    base = postgres.database()
    table = Table(postgres.url(base, password=False), "sample_reads", "changed", table="public.reads", password_file="word", overlap_seconds=30.0)
    with postgres.connect(base) as con:
        created(con, "timestamptz")
        for n in range(5):
            inserted(con, n, "now() - interval '1 hour'")
    taken = Taken(tmp_path, table, postgres.password)
    assert taken.poll.poll() == 5 and taken.poll.poll() == 0
    slow = postgres.connect(base)
    inserted(slow, 100, "now()")
    with postgres.connect(base) as con:
        for n in range(5, 8):
            inserted(con, n, "clock_timestamp()")
        con.execute("""update reads set "Make" = 'BRANNOCK', changed = clock_timestamp() where "Read ID" = 'E00000001'""")
        inserted(con, 50, "clock_timestamp()", **{"Read Time": "never"})
        inserted(con, 51, "null")
        inserted(con, 52, "now() + interval '40 years'")
    assert taken.poll.poll() == 6
    slow.commit()
    slow.close()
    assert taken.poll.poll() == 1, "committed late, with a time before that of rows taken already"
    with postgres.connect(base) as con:
        inserted(con, 53, "clock_timestamp()")
    assert taken.poll.poll() == 1, "although one row lies in the future"
    taken.end()
    again = Taken(tmp_path, table, postgres.password)
    with postgres.connect(base) as con:
        inserted(con, 9, "clock_timestamp()")
    again.poll.poll()
    assert again.ids() == [f"E{n:08d}" for n in (*range(8), 9, 52, 53, 100)]
    assert again.bench.lake.frame("reads").filter(pl.col("make") == "BRANNOCK").height == 1
    assert again.bench.lake.rejects().select("file", "reason").rows() == [("table public.reads", "read_at not readable")]
    again.bench.fold()
    ledger = again.bench.lake.batches()
    assert ledger["added"].sum() == 12 and ledger["updated"].sum() == 1 and ledger["rejected"].sum() == 1
    again.end()


def test_a_database_that_goes_away_is_asked_again_and_the_password_is_never_said(postgres: Any, tmp_path: Path) -> None:
    base = postgres.database()
    with postgres.connect(base) as con:
        created(con, "bigserial")
        inserted(con, 1, "default")
    table = Table(postgres.url(base, password=False), "sample_reads", "changed", query='select * from reads where "Plate" <> \':x\'', password_file="word",
                  every_seconds=0.05)
    taken = Taken(tmp_path, table, postgres.password)
    taken.poll.start()
    until(lambda: taken.ids() == ["E00000001"])
    postgres.stop()
    until(lambda: any("trying again" in line for line in taken.said))
    postgres.start()
    with postgres.connect(base) as con:
        inserted(con, 2, "default")
    until(lambda: len(taken.ids()) == 2)
    taken.poll.stop()
    taken.end()
    assert "answers again" in taken.said[-1] and not any(postgres.password in line for line in taken.said)


def until(true: Any, seconds: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_a_watcher_killed_while_it_polls_goes_on_where_it_stood(tmp_path: Path, watchers: Watchers) -> None:
    file = tmp_path / "cad.db"
    con = sqlite3.connect(file, isolation_level=None)
    con.execute("pragma journal_mode = wal")
    created(con, "integer primary key")
    city = City(tmp_path / "city", f'[[table]]\nname = "cad"\nurl = "sqlite:///{file}"\ntable = "reads"\nsource = "sample_reads"\nhigh_water = "changed"\n'
                                   '[[webhook]]\nsource = "sample_reads"\n'.replace('"changed"\n', '"changed"\nevery_seconds = 0.05\n'), fold=0.4)
    chance, count = random.Random(2), 0
    for _ in range(4):
        watchers.start(city)
        for _ in range(30):
            inserted(con, count, "null", "?")
            count += 1
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.4))
        watchers.end(signal.SIGKILL)
    watchers.start(city)
    until(lambda: len(city.ids()) == count)
    assert watchers.end() == 0
    assert city.ids() == [f"E{n:08d}" for n in range(count)]
    assert city.lake.batches()["added"].sum() == count and city.lake.rejects().is_empty()
    assert watch.status(city.path).marks[mark_name(watch_config.read(city.path).table[0])]["top"] == ["int", str(count)]
    con.close()


def test_a_large_table_is_taken_in_chunks_and_not_read_whole_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.intake.sqltable.CHUNK", 100)
    con = sqlite3.connect(tmp_path / "big.db", isolation_level=None)
    created(con, "integer primary key")
    row = event(1)
    con.execute("begin")
    con.executemany(f"insert into reads values ({', '.join('?' * len(row))}, null)", [list({**row, "Read ID": f"E{n:08d}"}.values()) for n in range(2_500)])
    con.execute("commit")
    taken = Taken(tmp_path, Table(f"sqlite:///{tmp_path / 'big.db'}", "sample_reads", "changed", table="reads"))
    assert taken.poll.poll() == 2_500
    assert taken.poll._floor(time.monotonic()) > 1_000
    assert taken.poll.poll() == 0 and taken.bench.reads().height == 2_500
    taken.end()
    con.close()


def test_the_watcher_folds_small_files_of_the_lake_by_itself_and_the_ledger_keeps_its_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.lake.compact.MANY", 4)
    folder = workspace.create(tmp_path / "city", name="Live", zone="America/Chicago").path
    (folder / "watch.toml").write_text('[[webhook]]\nsource = "sample_reads"\nzone = "America/Denver"\n', encoding="utf-8")
    given = watch.Given(source=lambda name: workspace.source(folder, name), load=lambda drop, file: pytest.fail("no file was dropped"))
    watcher = watch.Watch(folder, watch_config.read(folder), given, user="tester", say=lambda line: None)
    feed = watcher.doors["sample_reads"].feed
    for n in range(10):
        one = feed.mapper.map([json.dumps(event(n)).encode()])[0]
        watcher.writer.append([Line(one.table, feed.stream, one.body)])
        watcher.fold()
    watcher.writer.append([Line(one.table, feed.stream, one.body.replace('"read_id":"', '"read_id":"x'))])
    lake = Lake(folder / "lake")
    reads = lake.status().filter(pl.col("table") == "reads").row(0, named=True)
    assert reads["files"] <= 5 and reads["rows"] == 10 and lake.frame("reads").height == 11
    assert lake.batches().select("zone", "said").unique().rows() == [("America/Denver", "{}")], "folded or not"
    watcher.writer.close()


# --- files dropped in a folder ------------------------------------------------------------------------------------------------------


def dropping(tmp_path: Path, load: Any = None, **more: Any) -> tuple[Drops, Path, Lake, list[str]]:
    said: list[str] = []
    lake = Lake(tmp_path / "lake")
    folder = Folder("drop", "sample_reads", pattern="*.csv", stable_seconds=more.get("stable", 0.0))
    drops = Drops(tmp_path, (folder,), load or (lambda f, p: lake.load(loaders.find(f.source), p)), said.append)
    drops._folders[0][1].mkdir()
    return drops, tmp_path / "drop", lake, said


def test_a_dropped_file_is_loaded_once_it_is_complete_and_moved(tmp_path: Path) -> None:
    drops, home, lake, said = dropping(tmp_path, stable=0.3)
    text = reads_file(tmp_path, 0, 50).read_bytes()
    for name in (".hidden.csv", "a.csv.part", "b.csv.tmp", "c.txt"):
        (home / name).write_bytes(text)
    with (home / "slow.csv").open("wb") as slow:
        for piece in range(6):
            slow.write(text[piece * len(text) // 6:(piece + 1) * len(text) // 6])
            slow.flush()
            drops.look()
            time.sleep(0.1)
            assert not lake.versions(), "half of a file was taken"
    until(lambda: drops.look() or (home / "done" / "slow.csv").exists())
    assert lake.frame("reads").height == 50 and "50 new" in said[0]
    (home / "bad.csv").write_text("Some,Other\n1,2\n")
    until(lambda: drops.look() or (home / "failed" / "bad.csv").exists())
    assert "has no column" in (home / "failed" / "bad.csv.reason.txt").read_text()
    (home / "slow.csv").write_bytes(text)
    until(lambda: drops.look() or (home / "done" / "slow.csv.1").exists())
    assert "nothing to add" in said[-1] and sorted(p.name for p in home.iterdir() if p.is_file()) == [".hidden.csv", "a.csv.part", "b.csv.tmp", "c.txt"]


def test_a_watcher_killed_between_load_and_move_does_not_double_the_file(tmp_path: Path) -> None:
    drops, home, lake, _ = dropping(tmp_path)
    shutil.copy(reads_file(tmp_path, 0, 20), home / "x.csv")
    lake.load(loaders.find("sample_reads"), home / "x.csv")
    drops.look()
    assert (home / "done" / "x.csv").exists() and lake.batches().height == 1 and lake.frame("reads").height == 20


def test_a_load_that_fails_for_another_reason_than_the_file_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.intake.folder.PAUSE", 0.0)
    calls: list[Path] = []

    def load(folder: Folder, file: Path) -> Any:
        calls.append(file)
        if len(calls) < 3:
            raise OSError(28, "No space left on device")
        return Lake(tmp_path / "lake").load(loaders.find(folder.source), file)

    drops, home, lake, said = dropping(tmp_path, load)
    shutil.copy(reads_file(tmp_path, 0, 3), home / "x.csv")
    for _ in range(3):
        drops.look()
    assert (home / "done" / "x.csv").exists() and lake.frame("reads").height == 3 and "try 2 of 5" in said[1]


# --- the command --------------------------------------------------------------------------------------------------------------------


def test_the_command_watches_says_where_it_stands_and_stops_cleanly(tmp_path: Path, watchers: Watchers, capsys: pytest.CaptureFixture[str]) -> None:
    from workbench import cli

    city = City(tmp_path / "city", '[[webhook]]\nsource = "sample_reads"\n[[folder]]\npath = "drop"\nsource = "sample_reads"\nstable_seconds = 0.2\n')
    assert cli.main(["watch", "-w", str(city.path), "--status"]) == 1
    watchers.start(city)
    city.post([event(1), event(2), {"Plate": "X"}])
    shutil.copy(reads_file(tmp_path, 10, 30), city.path / "drop" / "more.csv")
    until(lambda: len(city.ids()) == 22)
    assert cli.main(["watch", "-w", str(city.path)]) == 1
    assert cli.main(["watch", "-w", str(city.path), "--status"]) == 0
    said = capsys.readouterr()
    assert "Another watcher is running" in said.err and "Nothing has been watched here yet" in said.err
    assert "running; the journal stands at position 3." in said.out and "3 records wait to be folded, 1 of them dead letters" in said.out
    time.sleep(1.1)
    assert watchers.end() == 0
    log = (city.path / "watch.log").read_text()
    assert "sample_reads webhook: 3 records, 2 taken, 1 rejected; position 3" in log and "folder drop: more.csv: 20 records read" in log
    assert watch.status(city.path).to_json() == {"running": False, "position": 3, "waiting": 0, "dead_letters_waiting": 0, "dead_letters": 1, "marks": {}}
    entries = wb.open_workbench(city.path).audit.entries(40)
    assert {"watch", "watch ended", "fold", "load"} <= set(entries["action"])


def test_the_example_is_a_configuration_and_every_setting_of_it_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from workbench import cli

    assert cli.main(["watch", "--example"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "watch.toml").write_text(text)
    assert watch_config.read(tmp_path) == watch_config.Watching()
    (tmp_path / "watch.toml").write_text("\n".join(line.removeprefix("# ") if line.startswith("# ") and ("=" in line or line.startswith("# [[")) else line
                                                   for line in text.splitlines()[1:]))
    read = watch_config.read(tmp_path)
    assert read.table[0].called == "cad" and read.webhook[0].set == {"moving": "no"} and read.folder[0].pattern == "*.csv"
    for name in read.sources:
        assert loaders.find(name)


@pytest.mark.parametrize(("text", "said"), [
    ("[webhok]\n", r"no section 'webhok'. Did you mean 'webhook'"),
    ("[[webhook]]\nsuorce = 'x'\n", r"\[\[webhook\]\]: there is no 'suorce'. Did you mean 'source'"),
    ("[[webhook]]\nzone = 'UTC'\n", r"\[\[webhook\]\] lacks 'source'|missing"),
    ("[webhook]\nsource = 'x'\n", r"webhook is written as \[\[webhook\]\]"),
    ("[server]\nport = '80'\n", "port = '80' must be a whole number"),
    ("[server]\nport = 99999\n", "99999 is no port"),
    ("[[webhook]]\nsource = 'a'\n[[webhook]]\nsource = 'a'\n", "'a' is there twice"),
    ("[[table]]\nurl = 'sqlite://'\nsource = 'a'\nhigh_water = 'x'\n", "give either table or query"),
    ("[[table]]\nurl = 'postgresql://me:secret@host/db'\nsource = 'a'\nhigh_water = 'x'\ntable = 't'\n", "its url holds a password"),
    ("[[folder]]\npath = 'x'\n", "lacks 'source'"),
    ("port = 1\n", "no section 'port'"),
    ("[server\n", "is not TOML"),
])
def test_an_error_in_the_configuration_is_said_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "watch.toml").write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        watch_config.read(tmp_path)
    assert "secret" not in str(caught.value)


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    made = watch_config.token(tmp_path, watch_config.Server())
    assert len(made) >= 40 and watch_config.token(tmp_path, watch_config.Server()) == made
    (tmp_path / "watch.token").chmod(0o644)
    with pytest.raises(BadInput, match="may be read by others"):
        watch_config.token(tmp_path, watch_config.Server())


def test_senders_are_told_to_come_later_when_too_much_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.intake.ingest import Behind

    monkeypatch.setattr("workbench.intake.ingest.MOST_WAITING", 1000)
    ingest = Ingest(bench.writer, lambda delivery, counts: None)
    feed = Feed("webhook", bench.mapper, bench.stream)
    record = json.dumps(event(1)).encode()
    futures = [ingest.put(Delivery(feed, [record])) for _ in range(3)]
    with pytest.raises(Behind, match="send it again"):
        ingest.put(Delivery(feed, [record]))
    ingest.start()
    assert [future.result(timeout=10).duplicate for future in futures] == [0, 1, 1]
    ingest.stop()
