"""The bypass: the server under one account of the operating system, a kernel under another, and every way round that we could think of."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from workbench.oversight.audit import Audit
from workbench.serving.tokens import Tokens

SERVICE, KERNEL = 64531, 65534  # an account that nobody has, and nobody
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="two accounts of the operating system are needed, so the test must run as root")
_NEEDED = "import polars, pyarrow.flight, duckdb, deltalake, sqlalchemy, numpy; print('fine')"


@dataclass
class Place:
    """An interpreter that both accounts can run, the workspace of the service account, its socket and a token."""

    python: str
    env: dict[str, str]
    city: Path
    url: str
    token: str


def _link(source: str, target: str) -> None:
    """A hard link where that can be, for the files may be many; else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _run(python: str, env: dict[str, str], code: str, user: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-c", code, *arguments], user=user, group=user, extra_groups=[], env=env, cwd="/", capture_output=True, text=True,
                          timeout=120, check=False)


def _interpreter(home: Path, root: Path) -> tuple[str, dict[str, str]]:
    """An interpreter that other accounts can run: this one, or a copy of its base with this one's packages, where these can be read."""
    shutil.copytree(root / "workbench", home / "code" / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("data", "templates", "notebooks"):
        shutil.copytree(root / part, home / "code" / part)
    os.chmod(home / "code", 0o755)
    packages = sysconfig.get_path("purelib")
    env = {"PYTHONPATH": str(home / "code"), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        if all("fine" in _run(sys.executable, env, _NEEDED, user).stdout for user in (SERVICE, KERNEL)):
            return sys.executable, env
    base, version = Path(sys.base_prefix), f"python{sys.version_info.major}.{sys.version_info.minor}"
    try:
        (home / "python" / "bin").mkdir(parents=True)
        shutil.copy2(base / "bin" / version, home / "python" / "bin" / version)
        shutil.copytree(base / "lib" / version, home / "python" / "lib" / version, copy_function=_link, symlinks=True,
                        ignore=shutil.ignore_patterns("site-packages", "test", "__pycache__", "idlelib", "tkinter", "ensurepip"))
        for shared in (base / "lib").glob("libpython*"):
            shutil.copy2(shared, home / "python" / "lib" / shared.name, follow_symlinks=True)
    except (OSError, shutil.Error) as e:
        pytest.skip(f"no interpreter that another account can run could be made: {e}")
    env |= {"PYTHONHOME": str(home / "python"), "PYTHONPATH": f"{home / 'code'}:{packages}", "LD_LIBRARY_PATH": str(home / "python" / "lib")}
    python = str(home / "python" / "bin" / version)
    tried = _run(python, env, _NEEDED, KERNEL)
    if "fine" not in tried.stdout:
        pytest.skip(f"another account cannot read the packages of this environment: {tried.stderr.strip().splitlines()[-1:]}")
    return python, env


@pytest.fixture(scope="module")
def place(untouched_city: Path, root: Path) -> Iterator[Place]:
    home = Path(tempfile.mkdtemp(prefix="two-users-"))
    home.chmod(0o755)
    try:
        python, env = _interpreter(home, root)
        city = Path(shutil.copytree(untouched_city, home / "service" / "city"))
        token = Tokens(city).make("anna")
        for folder, _, files in os.walk(home / "service"):
            for one in [folder, *(os.path.join(folder, f) for f in files)]:
                os.chown(one, SERVICE, SERVICE)
        (home / "service").chmod(0o755)
        city.chmod(0o700)
        socket = home / "door" / "w.sock"
        socket.parent.mkdir(mode=0o755)
        os.chown(socket.parent, SERVICE, SERVICE)
        (city / "agency.toml").write_text((city / "agency.toml").read_text() + '\n[server]\nmode = "666"\n')
        server = subprocess.Popen([python, "-m", "workbench.cli", "serve", "-w", str(city), "--frames-only", f"grpc+unix://{socket}"], user=SERVICE,
                group=SERVICE,
                                  extra_groups=[], env=env, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None and server.stderr is not None
            line = server.stdout.readline()
            assert line.startswith("Frames are at"), server.stderr.read()
            yield Place(python, env, city, f"grpc+unix://{socket}", token)
            server.terminate()
            _, said = server.communicate(timeout=40)
            assert server.returncode == 0 and "Traceback" not in said, said
        finally:
            server.kill()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _asked(place: Place, code: str, *, token: str | None = None, user: int = KERNEL) -> Any:
    """What a kernel of another account prints as its last line, as JSON."""
    start = ("import json, sys, os\nimport workbench as wb\nurl, folder = sys.argv[1:]\nassert os.getuid() != 0\n"
             "def no(call):\n try: return ['got', str(call())[:300]]\n except BaseException as e: return [type(e).__name__, str(e)[:400]]\n"
             "WHY = dict(case='2026-0142', purpose='investigation', reason='who was near the scenes of the burglaries')\n")
    done = _run(place.python, place.env | {"WORKBENCH_TOKEN": token or place.token}, start + code, user, place.url, str(place.city))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_another_account_reads_no_file_of_the_workspace(place: Place) -> None:
    names = [str(p.relative_to(place.city)) for p in place.city.rglob("*") if p.is_file()]
    assert len(names) > 60 and {"audit.db", "casebook.db", "tokens.json", "agency.toml"} <= set(names)
    got = _asked(place, f"names = {names!r}\nprint(json.dumps([no(lambda: open(os.path.join(folder, n), 'rb').read(1))[0] for n in names]"
                        " + [no(lambda: os.listdir(folder))[0], no(lambda: open(os.path.join(folder, 'x'), 'w'))[0],"
                        " no(lambda: os.rename(folder, folder + '2'))[0]]))")
    assert set(got) == {"PermissionError"}
    assert _asked(place, "print(json.dumps(no(lambda: wb.open_workbench(folder, **WHY))))")[0] in ("PermissionError", "NotFound", "BadInput")


def test_another_account_gets_incidents_without_a_case_and_reads_only_with_one(place: Place) -> None:
    bare, reads, people, bound, who = _asked(place, """
city = wb.open_workbench(url)
case = wb.open_workbench(url, **WHY)
closed = [no(lambda: city.reads()), no(lambda: city.sql('select plate from reads'))]
print(json.dumps([city.incidents().height, *closed, case.reads('2026-06-30').height, case.user]))""")
    assert bare > 10_000 and bound > 100 and who == "anna"
    assert reads[0] == people[0] == "AccessRefused" and "case and a purpose are needed" in reads[1]
    rows = Audit(place.city / "audit.db").entries(40)
    mine = rows.filter((pl.col("user") == "anna") & (pl.col("object") == "reads"))
    assert {"done", "refused"} <= set(mine["phase"]) and rows.filter(pl.col("user") == "nobody").is_empty()


#: What DuckDB answers with nothing of anybody's: no secret is ever made.
HARMLESS = ("select * from duckdb_secrets()",)
QUERIES = [
    "select * from read_parquet('{folder}/lake/reads/*.parquet')", "select * from read_csv('/etc/passwd')", "select * from read_text('{folder}/agency.toml')",
    "select * from '{folder}/casebook.db'", "select * from glob('{folder}/*')", "copy (select 1) to '{folder}/out/x.csv'", "copy incidents to '/tmp/x.parquet'",
    "attach '{folder}/casebook.db' as c", "pragma database_list", "set enable_external_access = true", "install httpfs", "load sqlite",
    "create table x as select 1", "select 1; select 2", "select getenv('HOME')", "select * from duckdb_secrets()", "call pragma_version()",
    "export database '/tmp/x'",
    "select * from sqlite_scan('{folder}/audit.db', 'entries')", "with r as (select * from reads) select count(*) from r",
    "select (select max(plate) from reads)",
    "select * from query('select * from reads')", "select * from query_table('reads')", "from reads", "describe reads",
    "select * from delta_scan('{folder}/lake/reads')",
]


def test_no_turn_of_sql_goes_round_the_gate(place: Place) -> None:
    got = _asked(place, f"city = wb.open_workbench(url)\nprint(json.dumps([no(lambda: city.sql(q.replace('{{folder}}', folder))) for q in {QUERIES!r}]))")
    assert len(got) == len(QUERIES)
    for query, (kind, said) in zip(QUERIES, got, strict=True):
        assert kind in ("BadInput", "AccessRefused", "NotFound") or query in HARMLESS and kind == "got", (query, kind, said)
        assert "root:" not in said and "Fairwater" not in said, query
    assert not [p for p in (place.city / "out").glob("x.*")]


def test_another_account_cannot_be_somebody_else(place: Place) -> None:
    other = Tokens(place.city).make("berta")
    os.chown(place.city / "tokens.json", SERVICE, SERVICE)
    session = _asked(place, "city = wb.open_workbench(url, **WHY)\ncity.close.detach()\nprint(json.dumps(city._session))")
    got = _asked(place, f"""
from workbench.session import remote
from workbench.session.line import Line
from workbench.session.address import parse
line = Line(parse(url), os.environ['WORKBENCH_TOKEN'])
print(json.dumps([
  no(lambda: wb.open_workbench(url, user='anna', **WHY)),
  no(lambda: line.act('open', dict(user='anna'))),
  no(lambda: line.act('open', dict(role='chief'))),
  no(lambda: line.frame(dict(session={session!r}, method='reads', args=[], kwargs={{}}))),
  no(lambda: line.act('deed', dict(session={session!r}, phase='intent', deed=None, action='a', object='b', detail={{}}))),
  no(lambda: wb.open_workbench(url, token='made-up', **WHY)),
  no(lambda: wb.open_workbench(url, **WHY).casebook.open_case('2026-0999', 'x', user='anna')),
]))""", token=other)
    assert [g[0] for g in got] == ["BadInput", "BadInput", "NotFound", "SignInRefused", "SignInRefused", "SignInRefused", "AccessRefused"], got


def test_another_account_cannot_take_or_stop_the_server(place: Place) -> None:
    socket = place.url.removeprefix("grpc+unix://")
    got = _asked(place, f"import signal\nprint(json.dumps([no(lambda: os.unlink({socket!r}))[0], no(lambda: os.rename({socket!r}, '/tmp/w'))[0],"
                        f" no(lambda: os.chmod({socket!r}, 0o600))[0]]))")
    assert set(got) == {"PermissionError"}
    assert _asked(place, "print(json.dumps(wb.open_workbench(url).may_see('incidents')))") is True


def test_a_model_and_its_map_work_under_the_other_account_and_the_chain_stands(place: Place) -> None:
    got = _asked(place, """
from workbench.models.hotspots import kde
city = wb.open_workbench(url, **WHY)
risk = kde.surface(city.incidents('2026-05-01', offence='burglary'), city.grid(), asof=city.asof)
with city.deed('export', 'surface.csv') as outcome: outcome['rows'] = risk.table.height
print(json.dumps([risk.basis.workspace, len(risk.drawing(width=300)), city.casebook.cases().height]))""")
    assert got[0] == "city" and got[1] > 10_000 and got[2] >= 4
    audit = Audit(place.city / "audit.db")
    assert audit.verify()[0] and audit.entries(12).filter((pl.col("action") == "export") & (pl.col("phase") == "done") & (pl.col("user") == "anna")).height == 1
