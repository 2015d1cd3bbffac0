"""The server of frames as its clients see it: the same answers, the same refusals, and every question in its audit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import numpy as np
import polars as pl
import pyarrow.flight as fl
import pytest

import workbench as wb
from workbench import agency as agencies
from workbench import serving
from workbench.casebook import Casebook
from workbench.errors import AccessRefused, BadInput, NotFound, SignInRefused, WorkbenchError
from workbench.geo import Polygon
from workbench.models.hotspots import kde
from workbench.models.links import case as links_case
from workbench.oversight.audit import Audit, Person
from workbench.session import Workbench, remote, wire

WHY = {"case": "2026-0142", "purpose": "investigation", "reason": "who was near the scenes of the burglaries"}
WHO = {"anna-token": Person("anna"), "berta-token": Person("berta")}


def who(token: str) -> Person:
    if token not in WHO:
        raise SignInRefused("The server does not take this token.")
    return WHO[token]


@pytest.fixture(scope="module")
def server(city_path: Path) -> Iterator[serving.Frames]:
    made = serving.listen(city_path, "grpc://127.0.0.1:0", who=who)
    yield made
    assert made.stop()


@pytest.fixture(scope="module")
def there(server: serving.Frames) -> Any:
    return wb.open_workbench(server.url, token="anna-token", **WHY)


@pytest.fixture(scope="module")
def here(city_path: Path) -> Workbench:
    return wb.open_workbench(city_path, **WHY)


def same(a: pl.DataFrame, b: pl.DataFrame) -> bool:
    return a.schema == b.schema and a.equals(b, null_equal=True)


# --- the same answers -------------------------------------------------------------------------------------------------------------


def test_every_table_comes_with_the_same_rows_and_kinds(here: Workbench, there: Any) -> None:
    for name in here.holdings()["table"]:
        assert same(here.table(name), there.table(name)), name


@pytest.mark.parametrize(("method", "args", "kwargs"), [
    ("incidents", ("2026-05-01", date(2026, 6, 1)), {"offence": "burglary"}),
    ("incidents", (), {"unfounded": True}),
    ("incidents", (datetime(2026, 5, 1, 12, tzinfo=UTC),), {"area": (-91.0, 41.5, -90.9, 41.6)}),
    ("incidents", (), {"area": Polygon(((np.array([[-91.0, 41.5], [-90.9, 41.5], [-90.95, 41.7], [-91.0, 41.5]])),), "a wedge")}),
    ("calls", ("2026-06-01", "2026-06-08"), {}),
    ("reads", ("2026-06-01", "2026-06-03"), {}),
    ("rows", ("units", "2026-06-01"), {}),
    ("rows", ("gunshots",), {}),
    ("sql", ("select beat, count(*) n, min(started_at) t, list(offence) w from incidents group by beat order by beat",), {}),
    ("sql", ("select * from incidents where beat = ? and started_at < ? order by incident_id", ["11", datetime(2026, 6, 1, tzinfo=UTC)]), {}),
    ("sql", ("select 1 where false",), {}),
    ("sql", ("select 1.50::decimal(9,2) a, true b, time '11:00' c, {'x': 1} d, 'a'::enum('a', 'b') e",), {}),
    ("search", ("sliding door",), {"most": 7}), ("find", ("2026-01",), {}),
    ("holdings", (), {}), ("batches", (), {}), ("rejects", (), {}),
])
def test_each_question_has_the_same_answer_and_origin_as_on_the_machine_itself(here: Workbench, there: Any, method: str, args: tuple[Any, ...],
                                                                              kwargs: dict[str, Any]) -> None:
    from workbench.results import origin_of

    a, b = getattr(here, method)(*args, **kwargs), getattr(there, method)(*args, **kwargs)
    if method == "search":
        a, b = a.sort("score", "key"), b.sort("score", "key")
    assert same(a, b)
    if method in remote.TRACED and a.height:
        assert origin_of(a) == origin_of(b)


def test_values_are_the_same(here: Workbench, there: Any) -> None:
    for name in ("asof", "user"):
        assert name == "user" or getattr(here, name) == getattr(there, name)
    for name in ("offences", "beats", "areas"):
        assert getattr(here, name)() == getattr(there, name)()
    assert [w.split(" (")[0] for w in here.warnings()] == [w.split(" (")[0] for w in there.warnings()]
    assert there.may_see("reads") and there.versions == here.versions and there.user == "anna" and there.case == WHY["case"]
    a, b = here.grid(300, area="all"), there.grid(300, area="all")
    assert (a.plane, a.x0, a.y0, a.nx, a.ny, a.cell) == (b.plane, b.x0, b.y0, b.nx, b.ny, b.cell) and (a.inside == b.inside).all()
    assert replace(here.agency, folder=Path(), settings={}, study_area_file=None) == replace(agencies.Agency(**{
        f: getattr(there.agency, f) for f in here.agency.__dataclass_fields__}), settings={})
    assert "Fairwater" in repr(there) and here.agency.week(here.asof) == there.agency.week(there.asof)


def test_a_model_on_frames_of_the_server_gives_the_same_result_and_the_same_basis(here: Workbench, there: Any) -> None:
    a, b = (kde.surface(c.incidents("2026-01-01", offence="burglary"), c.grid(), asof=c.asof) for c in (here, there))
    assert a.basis == b.basis and a.basis.versions and a.headline == b.headline and (a.expected == b.expected).all()
    assert same(a.table, b.table)
    a, b = (c.quality("incidents") for c in (here, there))
    assert same(a.table, b.table) and a.basis == b.basis
    when = here.incidents("2026-06-01")
    assert here.area_of(when, "beat").equals(there.area_of(there.incidents("2026-06-01"), "beat"))
    assert same(here.history("incidents", when["incident_id"][0]), there.history("incidents", when["incident_id"][0]))


def test_maps_and_link_charts_are_drawn_from_what_came_over_the_line(here: Workbench, there: Any) -> None:
    a, b = (kde.surface(c.incidents("2026-05-01"), c.grid(), asof=c.asof) for c in (here, there))
    assert a.drawing(width=300) == b.drawing(width=300), "the streets and beats under the map came with the session"
    assert len(b.map().layers) == len(a.map().layers) > 2
    subjects = there.casebook.subjects("2026-0142")
    assert same(subjects, here.casebook.subjects("2026-0142"))
    a, b = (links_case.around(c.facts(), subjects["entity"].to_list()) for c in (here, there))
    assert a.basis == b.basis and set(a.graph.nodes) == set(b.graph.nodes) and b.chart() is not None


# --- the same refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [
    lambda c: c.incidents(offence="burglry"), lambda c: c.incidents("2026-13-01"), lambda c: c.incidents("2026-02-01", "2026-01-01"),
    lambda c: c.table("incidnets"),
    lambda c: c.rows("people"), lambda c: c.sql("drop table incidents"), lambda c: c.sql("select * from nope"), lambda c: c.sql("select nope from incidents"),
    lambda c: c.reads(reader="FW-99999"), lambda c: c.search("   "), lambda c: c.find("a"), lambda c: c.casebook.case("2026-9999"), lambda c: c.grid(-1.0),
    lambda c: c.incidents(area="nowhere"), lambda c: c.history("calls"), lambda c: c.area_of(c.incidents("2026-06-30"), "parish"),
    lambda c: c.incidents(colour="red"), lambda c: c.table(),
])
def test_what_is_refused_is_refused_with_the_same_class_and_sentence(here: Workbench, there: Any, ask: Any) -> None:
    with pytest.raises((WorkbenchError, TypeError)) as local:
        ask(here)
    with pytest.raises((WorkbenchError, TypeError)) as far:
        ask(there)
    assert type(local.value) is type(far.value)
    assert str(local.value) == str(far.value) or isinstance(local.value, TypeError)


def test_plates_and_people_are_closed_without_case_and_purpose(server: serving.Frames, city_path: Path) -> None:
    bare, local = wb.open_workbench(server.url, token="anna-token"), wb.open_workbench(city_path)
    for ask in (lambda c: c.reads(), lambda c: c.table("people"), lambda c: c.sql("select * from reads"), lambda c: c.facts()):
        with pytest.raises(AccessRefused) as local_no:
            ask(local)
        with pytest.raises(AccessRefused) as far_no:
            ask(bare)
        assert str(local_no.value) == str(far_no.value)
    assert not bare.may_see("reads") and bare.incidents("2026-06-30").height
    with pytest.raises(AccessRefused, match="case and a purpose"):
        bare.casebook.subjects("2026-0142")
    bound = bare.bind(**WHY)
    assert bound.reads("2026-06-30").height and bound.versions == bare.versions and not bare.may_see("reads")


def test_what_lies_with_the_server_is_not_here_and_says_so(there: Any) -> None:
    for name in ("path", "lake", "audit"):
        with pytest.raises(AccessRefused, match=rf"city\.{name} is not here"):
            getattr(there, name)
    with pytest.raises(AccessRefused):
        there.map_file("x.csv")
    with pytest.raises(AccessRefused, match="lies with the server"):
        there.agency.path("map/streets.geojson")
    with pytest.raises(AccessRefused):
        there.casebook.fill(Path("x.json"), user="anna")
    assert there.agency.settings == {} and not hasattr(there, "_repr_html_")


def test_every_public_name_of_a_workbench_is_answered_or_refused_with_a_sentence(here: Workbench, there: Any) -> None:
    for name in [n for n in dir(here) if not n.startswith("_")]:
        try:
            assert getattr(there, name) is not None or name in ("known_at", "until")  # there is none
        except AccessRefused as no:
            assert "server" in str(no), name
    own = set(remote.FRAMES) | set(remote.VALUES)
    assert own <= set(dir(Workbench)) and set(remote.CASE_FRAMES) | set(remote.CASE_VALUES) <= set(dir(Casebook))


# --- who asks ---------------------------------------------------------------------------------------------------------------------


def test_nobody_is_let_in_without_a_good_token(server: serving.Frames, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WORKBENCH_TOKEN", raising=False)
    with pytest.raises(SignInRefused, match="workbench serve token NAME"):
        wb.open_workbench(server.url)
    for wrong in ("nobody-token", "x" * 4000):
        with pytest.raises(SignInRefused, match="does not take this token"):
            wb.open_workbench(server.url, token=wrong)
    for bad in ("two words", "é", "x" * 5000):
        with pytest.raises(SignInRefused, match="not one"):
            wb.open_workbench(server.url, token=bad)
    (tmp_path / ".config/workbench").mkdir(parents=True)
    file = tmp_path / ".config/workbench/token"
    file.write_text("berta-token\n")
    file.chmod(0o644)
    with pytest.raises(SignInRefused, match="chmod 600"):
        wb.open_workbench(server.url)
    file.chmod(0o600)
    assert wb.open_workbench(server.url).user == "berta"
    monkeypatch.setenv("WORKBENCH_TOKEN", "anna-token")
    assert wb.open_workbench(server.url).user == "anna"
    last = Audit(server._path / "audit.db").entries(60)
    assert last.filter((pl.col("action") == "sign in") & (pl.col("phase") == "refused")).height >= 2
    assert "nobody-token" not in str(last.rows())


def test_a_client_cannot_be_somebody_else(server: serving.Frames, there: Any) -> None:
    with pytest.raises(BadInput, match="by the token"):
        wb.open_workbench(server.url, token="anna-token", user="berta", **WHY)
    line = remote.lines.Line(there._line.address, "anna-token")
    for forged in ({"user": "berta"}, {"person": "berta"}, {"path": "/"}, {"case": 5}, {"reason": "x" * 3000}, {"versions": {"reads": "1"}},
            {"emergency": "yes"}):
        with pytest.raises(BadInput):
            line.act("open", forged)
    with pytest.raises(NotFound, match="There is no role 'chief'"):
        line.act("open", {"role": "chief"})
    thief = remote.lines.Line(there._line.address, "berta-token")
    for session in (there._session, "made-up", None, 5, {"a": 1}):
        for kind, body in (("call", {"method": "beats", "args": [], "kwargs": {}}), ("deed", {"phase": "intent", "deed": None, "action": "a",
                "object": "b", "detail": {}})):
            with pytest.raises(SignInRefused, match="ended or is not yours"):
                thief.act(kind, {"session": session, **body})
        with pytest.raises(SignInRefused, match="ended or is not yours"):
            thief.frame({"session": session, "method": "incidents", "args": [], "kwargs": {}})
        thief.act("close", {"session": session})
    assert there.beats(), "another's close does not end a session"
    with pytest.raises(AccessRefused, match="cannot write at a server"):
        there.casebook.judge(1, "confirmed", "because", user="berta")


@pytest.mark.parametrize("question", [
    {"method": "__init__", "args": [], "kwargs": {}}, {"method": "_frame", "args": ["reads", [], []], "kwargs": {}}, {"method": "lake.query",
    "args": ["select 1"], "kwargs": {}},
    {"method": "bind", "args": [], "kwargs": {}}, {"method": "casebook.fill", "args": ["x"], "kwargs": {}}, {"method": "casebook.engine", "args": [],
    "kwargs": {}},
    {"method": "beats", "args": [1, 2, 3], "kwargs": {}}, {"method": "grid", "args": [], "kwargs": {"self": 1}}, {"method": "grid", "args": [{"a": 1}],
    "kwargs": {}},
    {"method": None, "args": [], "kwargs": {}}, {"method": "beats", "args": {}, "kwargs": []}, {"method": "beats"}, {},
])
def test_nothing_outside_the_list_can_be_asked(there: Any, question: dict[str, Any]) -> None:
    for ask in (lambda: there._line.act("call", {"session": there._session, **question}), lambda: there._line.frame({"session": there._session, **question})):
        with pytest.raises(BadInput):
            ask()


def test_other_calls_of_flight_are_refused_with_a_sentence(server: serving.Frames) -> None:
    client = fl.connect(server.url)
    options = fl.FlightCallOptions(headers=[(b"authorization", b"Bearer anna-token")])
    descriptor = fl.FlightDescriptor.for_path("incidents")
    assert not client.get_schema(descriptor, options).schema.names
    for call in (lambda: list(client.list_flights(options=options)), lambda: client.get_flight_info(descriptor, options),
                 lambda: list(client.list_actions(options)), lambda: list(client.do_action(fl.Action("shell", wire.pack({})), options)),
                 lambda: client.do_exchange(descriptor, options)[1].read_all(), lambda: client.do_put(descriptor,
                 pl.DataFrame({"a": [1]}).to_arrow().schema, options)[0].close()):
        with pytest.raises((fl.FlightError, OSError, ValueError)) as no:
            call()
        assert "Traceback" not in str(no.value) and "answers the questions of a workbench" in str(no.value) or "session" in str(no.value)


# --- the audit --------------------------------------------------------------------------------------------------------------------


def test_every_question_is_in_the_servers_audit_under_the_persons_name_and_machine(server: serving.Frames, city_path: Path) -> None:
    before = Audit(city_path / "audit.db").entries(1)["seq"][0]
    city = wb.open_workbench(server.url, token="berta-token", **WHY)
    city.reads("2026-06-30")
    with city.deed("run model", "convoy", plate="ABC1234", phase="forged") as outcome:
        outcome["leads"] = 3
    with pytest.raises(ValueError), city.deed("export", "reads.csv"):
        raise ValueError
    city.close()
    written = Audit(city_path / "audit.db").entries().filter((pl.col("user") == "berta") & (pl.col("seq") > before))
    rows = written.filter(pl.col("case_number").is_not_null()).to_dicts()
    told = [(r["action"], r["object"], r["phase"]) for r in rows]
    for wanted in (("connect", "once-city", "note"), ("query", "reads", "intent"), ("query", "reads", "done"), ("run model", "convoy", "intent"),
                   ("run model", "convoy", "done"), ("export", "reads.csv", "failed"), ("close", "once-city", "note")):
        assert wanted in [(a, "once-city" if a in ("connect", "close") else o, p) for a, o, p in told], wanted
    assert all(r["case_number"] == WHY["case"] and r["reason"] == WHY["reason"] for r in rows)
    assert all("127.0.0.1" in r["detail"] for r in rows if r["phase"] in ("intent", "note") and r["action"] != "open")
    assert all('"told_by": "client"' in r["detail"] for r in rows if r["action"] in ("run model", "export"))


def test_a_deed_that_another_session_began_cannot_be_ended(server: serving.Frames, there: Any) -> None:
    other = wb.open_workbench(server.url, token="anna-token", **WHY)
    key = other._act("deed", phase="intent", deed=None, action="export", object="x", detail={})
    for city, action in ((there, "export"), (other, "import")):
        with pytest.raises(BadInput, match="did not begin"):
            city._act("deed", phase="done", deed=key, action=action, object="x", detail={})
    with pytest.raises(BadInput, match="longer than"):
        other._act("deed", phase="intent", deed=None, action="x" * 30_000, object="x", detail={})
    other.close()
    ended = Audit(server._path / "audit.db").entries(10).filter((pl.col("deed") == key) & (pl.col("phase") == "failed"))
    assert ended.height == 1 and "the client closed it" in ended["detail"][0]


# --- limits -----------------------------------------------------------------------------------------------------------------------


def test_an_idle_session_ends_and_a_person_holds_only_so_many(city_path: Path) -> None:
    settings = serving.Settings(idle_minutes=0.02, sessions=8)
    server = serving.listen(city_path, "grpc://127.0.0.1:0", settings=settings, who=who)
    try:
        city = wb.open_workbench(server.url, token="anna-token")
        time.sleep(1.8)
        with pytest.raises(SignInRefused, match="Open the workbench again"):
            city.beats()
        assert len(server.sessions) == 0
        held = [wb.open_workbench(server.url, token="anna-token") for _ in range(4)]
        assert len(server.sessions) == 2, "a quarter of eight"
        held[-1].beats()
    finally:
        assert server.stop()


def test_a_client_that_goes_in_the_middle_of_its_rows_frees_its_place_and_too_many_are_told(city_path: Path) -> None:
    server = serving.listen(city_path, "grpc://127.0.0.1:0", settings=serving.Settings(queries=2, wait_seconds=0.3), who=who)
    try:
        city = wb.open_workbench(server.url, token="anna-token")
        other = wb.open_workbench(server.url, token="berta-token")
        long = fl.Ticket(wire.pack(city._question("sql", ["select range i, hash(range) h from range(6_000_000)"], {})))
        reader = city._line._client.do_get(long, city._line._options(60))
        assert 0 < reader.read_chunk().data.num_rows < 6_000_000
        assert server.turns.taken["anna"] == 1, "the rest waits until it is read"
        with pytest.raises(WorkbenchError, match="1 questions of yours are still running"):
            city.beats()
        assert other.beats(), "one person cannot take every place"
        reader.cancel()
        del reader
        until = time.monotonic() + 10
        while server.turns.taken["anna"] and time.monotonic() < until:
            time.sleep(0.05)
        assert not server.turns.taken["anna"] and city.beats()
        limited = replace(server.settings, rows=100)
        server.settings = limited
        with pytest.raises(BadInput, match="at most 100"):
            city.incidents()
        assert city.beats()
    finally:
        assert server.stop()


def test_a_server_that_stops_refuses_ends_streams_and_writes_the_end_of_each_session(city_path: Path) -> None:
    server = serving.listen(city_path, "grpc://127.0.0.1:0", who=who)
    city = wb.open_workbench(server.url, token="anna-token", **WHY)
    key = city._act("deed", phase="intent", deed=None, action="export", object="x", detail={})
    ticket = fl.Ticket(wire.pack(city._question("sql", ["select range i, hash(range) h from range(8_000_000)"], {})))
    reader = city._line._client.do_get(ticket, city._line._options(60))
    reader.read_chunk()
    done: list[bool] = []
    stopping = threading.Thread(target=lambda: done.append(server.stop(5)))
    stopping.start()
    time.sleep(0.3)
    with pytest.raises((fl.FlightError, OSError)) as cut:
        reader.read_all()
    stopping.join(20)
    assert done and ("stopped" in str(cut.value) or "Cancel" in str(cut.value) or "unavailable" in str(cut.value).lower())
    rows = Audit(city_path / "audit.db").entries(20)
    assert rows.filter((pl.col("deed") == key) & (pl.col("phase") == "failed")).height == 1
    assert "stop serving" in rows["action"].to_list() and Audit(city_path / "audit.db").verify()[0]
    with pytest.raises(WorkbenchError, match="does not answer"):
        city.beats()


def test_several_kernels_at_once_get_their_own_answers(server: serving.Frames) -> None:
    wrong: list[Any] = []

    def kernel(token: str) -> None:
        try:
            city = wb.open_workbench(server.url, token=token, **WHY)
            for beat in city.beats()[:4]:
                found = city.incidents("2026-05-01", beat=beat)
                if not found["beat"].eq(beat).all():
                    wrong.append(beat)
            city.close()
        except Exception as e:
            wrong.append(e)

    threads = [threading.Thread(target=kernel, args=(t,)) for t in ("anna-token", "berta-token") * 3]
    [t.start() for t in threads]
    [t.join(60) for t in threads]
    assert not wrong


# --- notebooks --------------------------------------------------------------------------------------------------------------------


def test_a_notebook_in_a_kernel_of_its_own_asks_the_server(server: serving.Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("WORKBENCH_TOKEN", "anna-token")
    monkeypatch.setenv("PYTHONPATH", str(root))
    why = ", ".join(f"{k}={v!r}" for k, v in WHY.items())
    cells = ["import workbench as wb\nfrom workbench.models.hotspots import kde", f"city = wb.open_workbench({server.url!r}, {why})",
             "risk = kde.surface(city.incidents('2026-05-01', offence='burglary'), city.grid(), asof=city.asof)\nrisk",
             "risk.map()", "len(city.reads('2026-06-30'))"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = str(book.cells[2].outputs)
    assert "wb-headline" in shown and "Data fingerprint" in shown and int(book.cells[4].outputs[0]["data"]["text/plain"]) > 0
    assert "application/vnd.jupyter.widget-view+json" in str(book.cells[3].outputs)
    assert not list(tmp_path.iterdir()), "nothing is written beside the notebook"
