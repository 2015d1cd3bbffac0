"""What goes over the line: only marked values, and no bytes that anybody sends bring the server down or get more than a sentence."""

from __future__ import annotations

import json
import math
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.flight as fl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench import agency as agencies
from workbench import cli, serving
from workbench.errors import BadInput, NotFound, SignInRefused, WorkbenchError
from workbench.geo import Grid, Polygon
from workbench.oversight.audit import Audit, Person
from workbench.serving import tokens
from workbench.serving.files import exposed
from workbench.session import address, wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-2**63, 2**64), st.floats(allow_nan=False), TEXT, st.binary(max_size=20), st.dates(), st.times(),
        st.timedeltas(),
                  st.datetimes(), st.datetimes(timezones=st.just(UTC)), st.decimals(allow_nan=False))
VALUES = st.recursive(PLAIN, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4), st.lists(inner,
        max_size=3).map(tuple)), max_leaves=12)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Frames]:
    folder = tmp_path_factory.mktemp("wire") / "city"
    assert cli.main(["init", str(folder), "--bounds", "-90.97", "41.50", "-90.85", "41.60"]) in (0, None)
    made = serving.listen(folder, "grpc://127.0.0.1:0", who=lambda token: Person("anna"))
    yield made
    assert made.stop()


# --- the form ---------------------------------------------------------------------------------------------------------------------


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_every_value_comes_back_as_it_was(value: Any) -> None:
    back = wire.unpack(wire.pack(value))
    assert back == value and type(back) is type(value)


def test_places_times_and_numbers_that_json_lacks_come_back_as_they_were() -> None:
    area = Polygon((np.array([[-91.0, 41.5], [-90.9, 41.5], [-90.9, 41.6], [-91.0, 41.5]]),), "a beat")
    back = wire.unpack(wire.pack(area))
    assert back.name == "a beat" and (back.rings[0] == area.rings[0]).all()
    grid = Grid.over(area, cell=333)
    laid = wire.unpack(wire.pack(grid))
    assert (laid.plane, laid.x0, laid.y0, laid.nx, laid.ny, laid.cell) == (grid.plane, grid.x0, grid.y0, grid.nx, grid.ny, grid.cell)
    assert (laid.inside == grid.inside).all() and 0 < grid.inside.sum() < len(grid)
    assert wire.unpack(wire.pack(np.int64(5))) == 5 and math.isnan(wire.unpack(wire.pack(math.nan))) and wire.unpack(wire.pack(-math.inf)) == -math.inf
    assert wire.unpack(wire.pack(Person("anna", "1", role="detective"))) == Person("anna", "1", role="detective")
    both = (date(2026, 5, 1), datetime(2026, 5, 1, 3, tzinfo=UTC), time(3, 1), timedelta(days=-1, microseconds=3), Decimal("1.50"))
    assert wire.unpack(wire.pack(both)) == both


def test_what_cannot_be_sent_or_is_too_deep_is_said() -> None:
    for value in (object(), {1, 2}, print, {5: 1}, np.array(["a"]), Path("/")):
        with pytest.raises(BadInput):
            wire.unpack(wire.pack(value))
    deep: list[Any] = []
    for _ in range(60):
        deep = [deep]
    with pytest.raises(BadInput, match="deep"):
        wire.pack(deep)


@given(st.one_of(st.binary(max_size=300), st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT), lambda v: st.one_of(
    st.lists(v, max_size=4), st.dictionaries(st.sampled_from(["$array", "$grid", "$polygon", "$dict", "$span", "$person", "$tuple", "$float", "$bytes",
            "$x", ""]), v, max_size=2),
), max_leaves=12).map(lambda v: json.dumps(v).encode())))
@example(b"[" * 100_000)
@example(b'{"$array": ["float64", [1000000000000], ""]}')
@example(b'{"$array": ["bool", [-8], "AA=="]}')
@example(b'{"$grid": ["", 0, 0, 1, 1, -1, {"$array": ["bool", [1], "gA=="]}]}')
@example(b'{"$decimal": "1e999999999"}')
@example(b"9" * 5000)
@settings(max_examples=300, deadline=None)
def test_no_bytes_are_read_as_anything_but_a_value_or_a_clear_refusal(data: bytes) -> None:
    try:
        wire.unpack(data)
    except BadInput as no:
        assert str(no)


# --- the server under garbage -----------------------------------------------------------------------------------------------------


def _clear(call: Any) -> None:
    try:
        call()
    except fl.FlightError as no:
        assert "Traceback" not in str(no) and "File \"" not in str(no)
        said = wire.unpack(no.extra_info)
        assert said[0] in ("BadInput", "SignInRefused", "AccessRefused", "NotFound") and said[1]


ODD = st.one_of(st.binary(max_size=400), VALUES.map(wire.pack), st.fixed_dictionaries(
    {"session": st.just("$"), "method": st.one_of(st.sampled_from(["sql", "incidents", "rows", "grid", "search", "find", "history", "casebook.case",
    "area_of"]), TEXT),
     "args": st.lists(VALUES, max_size=3), "kwargs": st.dictionaries(st.sampled_from(["area", "start", "end", "cell", "most", "name", "params", "self",
     "x"]), VALUES, max_size=2)}))


@given(ODD, st.sampled_from(["call", "open", "close", "deed", "", "x" * 300]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_garbage_gets_a_sentence_and_the_server_goes_on(server: serving.Frames, asked: Any, kind: str) -> None:
    city = _city(server)
    data = asked if isinstance(asked, bytes) else wire.pack(asked | {"session": city._session})
    client, options = city._line._client, city._line._options(30)
    _clear(lambda: client.do_get(fl.Ticket(data), options).read_all())
    _clear(lambda: list(client.do_action(fl.Action(kind, data), options)))
    assert _city(server).may_see("incidents") and server.turns.taken.total() == 0


def _city(server: serving.Frames) -> Any:
    return wb.open_workbench(server.url, token="t")


def test_an_oversized_request_and_a_very_long_sentence_are_refused_clearly(server: serving.Frames) -> None:
    city = _city(server)
    with pytest.raises(BadInput, match="at most 4,000,000"):
        city.sql("select '" + "x" * 5_000_000 + "'")
    with pytest.raises(NotFound) as no:
        city.incidents(offence="é\n" * 20_000)
    assert 1000 < len(str(no.value)) < 3000 and city.beats() == []


def test_bytes_that_are_no_grpc_do_no_harm(server: serving.Frames) -> None:
    for garbage in (b"\0" * 1000, os.urandom(2000), b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(garbage)
    assert _city(server).may_see("incidents")


def test_a_flood_of_wrong_tokens_does_not_fill_the_audit(server: serving.Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(token: str) -> Person:
        raise SignInRefused("no")

    monkeypatch.setattr(server, "_who", nobody)
    before = Audit(server._path / "audit.db").entries().height
    for _ in range(24):
        with pytest.raises(SignInRefused):
            wb.open_workbench(server.url, token="wrong")
    assert Audit(server._path / "audit.db").entries().height - before == 20


# --- addresses, settings, tokens, files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["grpc://10.0.0.5:8815", "grpc://0.0.0.0:8815", "grpc://city.example:8815", "grpc://[::]:1", "http://127.0.0.1:1",
        "grpc://127.0.0.1",
                                   "grpc://127.0.0.1:99999", "grpc+unix://relative.sock", "grpc+unix:///" + "x" * 120, "grpc://"])
def test_an_address_that_would_show_tokens_to_the_network_or_is_none_is_refused_on_both_sides(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        address.parse(wrong)
    if wrong.startswith("grpc"):
        with pytest.raises(BadInput):
            wb.open_workbench(wrong, token="t")


def test_addresses_are_read_as_they_are_written() -> None:
    for text in ("grpc://127.0.0.1:8815", "grpc://localhost:1", "grpc://[::1]:8815", "grpc+tls://city.example:443", "grpc+unix:///run/workbench/w.sock"):
        assert str(address.parse(text)) == text
    assert address.parse("grpc+tcp://127.0.0.1:1").kind == "grpc"


def _with_server(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "agency.toml").write_text('[agency]\nname = "A"\nzone = "UTC"\n[access]\ndefault_role = "administrator"\n[server]\n' + text)
    return folder


@pytest.mark.parametrize(("text", "says"), [
    ('adress = "grpc://127.0.0.1:1"', "Did you mean 'address'"), ("mode = 660", 'mode = "660"'), ('mode = "999"', "mode"), ("queries = 0", "whole number"),
    ("idle_minutes = -1", "above 0"), ("group = 5", "text"), ('address = "grpc://1.2.3.4:5"', "unencrypted"), ('rows = "many"', "whole number")])
def test_settings_that_cannot_be_are_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        serving.Settings.of(agencies.read(_with_server(tmp_path, text)))


def test_settings_are_read(tmp_path: Path) -> None:
    _with_server(tmp_path, 'address = "grpc+tls://10.0.0.1:8815"\ncertificate = "c.pem"\nkey = "k.pem"\ngroup = "rtcc"\n'
                 'mode = "600"\nidle_minutes = 5\nqueries = 2')
    found = serving.Settings.of(agencies.read(tmp_path))
    assert (found.mode, found.idle_minutes, found.queries, found.group, found.key) == (0o600, 5.0, 2, "rtcc", tmp_path / "k.pem")
    (tmp_path / "k.pem").write_text("x")
    (tmp_path / "k.pem").chmod(0o644)
    with pytest.raises(BadInput, match="chmod 600"):
        found.pair()
    (tmp_path / "k.pem").chmod(0o600)
    with pytest.raises(BadInput, match=r"c\.pem"):
        found.pair()
    with pytest.raises(BadInput, match="certificate ="):
        serving.Settings().listening("grpc+tls://10.0.0.1:1")


def test_a_token_is_kept_as_its_hash_only_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = tokens.Tokens(tmp_path)
    first, second, other = held.make("anna"), held.make("anna", days=1), held.make("berta")
    text = held.file.read_text()
    assert not any(t in text for t in (first, second, other)) and stat.S_IMODE(held.file.stat().st_mode) == 0o600
    asked = tokens.who(tmp_path)
    assert asked(first) == Person("anna") and asked(other) == Person("berta")
    for wrong in ("", first[:-1], first + "x", tokens.hashed(first)):
        with pytest.raises(SignInRefused, match="does not take this token"):
            asked(wrong)
    held.file.write_text(text.replace(json.loads(text)[tokens.hashed(second)]["ends_at"], "2020-01-01T00:00:00+00:00"))
    with pytest.raises(SignInRefused):
        asked(second)
    assert held.withdraw("anna") == 2 and held.listed()["user"].to_list() == ["berta"]
    with pytest.raises(SignInRefused):
        asked(first)
    with pytest.raises(NotFound, match="Did you mean 'berta'"):
        held.withdraw("bert")
    for bad in ("", " ", "a\nb"):
        with pytest.raises(BadInput):
            held.make(bad)
    held.file.write_text("{]")
    with pytest.raises(BadInput, match="nobody is let in"):
        asked(other)


def test_the_command_makes_lists_and_withdraws_tokens_and_the_audit_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _with_server(tmp_path, "")
    assert cli.main(["serve", "token", "anna", "-w", str(tmp_path)]) == 0
    token = capsys.readouterr().out.strip()
    assert tokens.who(tmp_path)(token).user == "anna"
    assert cli.main(["serve", "tokens", "-w", str(tmp_path)]) == 0 and "anna" in capsys.readouterr().out
    assert cli.main(["serve", "revoke", "anna", "-w", str(tmp_path)]) == 0
    assert cli.main(["serve", "token", "-w", str(tmp_path)]) == 1 and "workbench serve token anna" in capsys.readouterr().err
    rows = Audit(tmp_path / "audit.db").entries()
    assert {"make token", "withdraw token"} <= set(rows["action"]) and token not in str(rows.rows())


def test_files_that_others_can_read_are_warned_of_with_the_command_that_mends_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert any("chmod -R go-rwx" in s for s in exposed(tmp_path))
    tmp_path.chmod(0o700)
    assert not any("chmod" in s for s in exposed(tmp_path))


def test_a_local_socket_has_its_mode_and_is_taken_by_one_server_only(tmp_path: Path) -> None:
    city = _with_server(tmp_path / "city", "")
    file = tmp_path / "w.sock"
    url = f"grpc+unix://{file}"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(file))
    server = serving.listen(city, url, who=lambda token: Person("anna"))
    try:
        assert stat.S_IMODE(file.stat().st_mode) == 0o660 and stat.S_ISSOCK(file.stat().st_mode)
        opened = wb.open_workbench(url, token="t")
        assert not opened.may_see("incidents") and "local socket" in str(Audit(city / "audit.db").entries(3).rows())
        with pytest.raises(BadInput, match="Another server answers"):
            serving.listen(city, url)
    finally:
        assert server.stop()
    assert not file.exists()
    file.write_text("mine")
    for bad, says in ((url, "is no socket"), (f"grpc+unix://{tmp_path}/none/w.sock", "no folder")):
        with pytest.raises(BadInput, match=says):
            serving.listen(city, bad)
    assert file.read_text() == "mine"
    with pytest.raises(BadInput, match="group 'no-such-group'"):
        serving.listen(city, f"grpc+unix://{tmp_path}/x.sock", settings=serving.Settings(group="no-such-group"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BadInput, match="cannot listen"):
            serving.listen(city, f"grpc://127.0.0.1:{taken.getsockname()[1]}")


def test_tls_serves_who_trusts_its_certificate_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2100, 1, 1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False).add_extension(x509.BasicConstraints(True, None), True)
    city = _with_server(tmp_path / "city", 'certificate = "c.pem"\nkey = "k.pem"')
    (city / "c.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (city / "k.pem").touch(0o600)
    (city / "k.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    server = serving.listen(city, "grpc+tls://localhost:0", who=lambda token: Person("anna"))
    try:
        monkeypatch.setenv("WORKBENCH_CA", str(city / "c.pem"))
        assert wb.open_workbench(server.url, token="t").user == "anna"
        monkeypatch.setenv("WORKBENCH_CA", str(city / "none.pem"))
        with pytest.raises(BadInput, match="cannot be read"):
            wb.open_workbench(server.url, token="t")
        monkeypatch.delenv("WORKBENCH_CA")
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(WorkbenchError, match="does not answer"):
            wb.open_workbench(server.url, token="t")
        with pytest.raises(WorkbenchError):
            wb.open_workbench(f"grpc://localhost:{server.port}", token="t")
    finally:
        assert server.stop()


def test_the_command_serves_frames_and_ends_cleanly_when_told(tmp_path: Path, root: Path) -> None:
    city = _with_server(tmp_path / "city", "")
    city.chmod(0o755)
    token = tokens.Tokens(city).make("anna")
    child = subprocess.Popen([sys.executable, "-m", "workbench.cli", "serve", "-w", str(city), "--frames-only", f"grpc+unix://{tmp_path}/w.sock"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)})
    try:
        assert child.stdout is not None
        assert "Frames are at grpc+unix://" in child.stdout.readline()
        assert wb.open_workbench(f"grpc+unix://{tmp_path}/w.sock", token=token).user == "anna"
        child.terminate()
        _, said = child.communicate(timeout=30)
    finally:
        child.kill()
    assert child.returncode == 0 and "chmod -R go-rwx" in said and "Traceback" not in said and token not in said
    assert not (tmp_path / "w.sock").exists() and Audit(city / "audit.db").entries(1)["action"][0] == "stop serving"
