"""Every way into the workbench, found by looking, not by a list: with a role that may not, and without a purpose, it is refused and written down."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import workbench as wb
from tests.test_access import BOUND, edited
from workbench import apps, briefings, cli
from workbench.errors import AccessRefused
from workbench.oversight.audit import Audit
from workbench.schema import TABLES

ROLES = 'nothing = { tables = [], may = [] }\nlooker = { tables = ["*"], unmasked = ["*"], may = [] }'
#: What asks nothing of the lake or the casebook, and so is not refused: what the workbench itself is, and the gate's own questions.
GATE = {"user", "case", "purpose", "reason", "role", "refresh", "deed", "decide", "may", "require", "enter", "may_see", "again", "base", "bind", "emergency",
        "offences", "areas", "known", "known_at", "cut", "gaps"}
#: Counts and newest times: nothing of tables that the role does not see.
EMPTY: dict[str, Callable[[Any], Any]] = {"holdings": lambda c: c.holdings(), "batches": lambda c: c.batches(), "warnings": lambda c: c.warnings()}
#: No facts either way: now, where the role sees no incident.
NOW = {"asof"}
FACTS: dict[str, Callable[[Any], Any]] = {
    "incidents": lambda c: c.incidents(beat="101"), "calls": lambda c: c.calls(), "reads": lambda c: c.reads(plate="ABC1234", reader="R-1"),
    "rows": lambda c: c.rows("gunshots"), "table": lambda c: c.table("people"), "facts": lambda c: c.facts(), "sql": lambda c: c.sql("select 1 from incidents"),
    "rejects": lambda c: c.rejects(), "history": lambda c: c.history("incidents", "515639"), "quality": lambda c: c.quality("incidents"),
    "search": lambda c: c.search("door"), "find": lambda c: c.find("2026-0142"), "casebook": lambda c: c.casebook,
    "grid": lambda c: c.grid() if c.agency.study_area is None else c.incidents(), "beats": lambda c: c.beats() if not c.agency.beats else c.incidents(),
    "changes": lambda c: c.changes("incidents", "2026-01-01"), "keep": lambda c: c.keep(c.versions, "a saved result"),
    "attach": lambda c: c.attach("reads", "R-1", why="the car at the scene"), "evidence": lambda c: c.evidence(),
    "permit": lambda c: c.permit("all pairs", {}),
    "area_of": lambda c: c.area_of(pl.DataFrame({"lon": [0.0], "lat": [0.0]})), "map_file": lambda c: c.map_file(c.path / "agency.toml"),
}
PERSONAL: dict[str, Callable[[Any], Any]] = {
    "reads": lambda c: c.reads(), "rows": lambda c: c.rows("arrests"), "table": lambda c: c.table("people"), "facts": lambda c: c.facts(),
    "sql": lambda c: c.sql("select 1 from posts"), "history": lambda c: c.history("people", "P000001"), "quality": lambda c: c.quality("reads"),
    "search": lambda c: c.search("van", "posts"), "changes": lambda c: c.changes("people", "2026-01-01"),
    "attach": lambda c: c.attach("reads", "R-1", why="the car at the scene"), "evidence": lambda c: c.evidence(),
}
#: Command -> arguments; None = it shows and changes nothing of a workspace that is there (said why).
COMMANDS: dict[str, list[str] | None] = {
    "init": ["{city}", "--sample"], "load": ["sample_calls", "{calls}"], "status": ["--role", "detective"], "case": [], "brief": ["daily_briefing"],
    "serve": ["--port", "0"], "lab": [], "search": ["door"], "quality": ["incidents"], "rejects": [], "geocode": ["--dry-run"],
    "fetch": ["http://127.0.0.1:9/x.json", "--to", "sample_calls"], "map": ["{calls}", "--to", "calls"], "lake": ["compact"], "watch": ["--status"],
    "nij": None,  # works on a file, no workspace
    "sources": None, "demo": None, "access": None,  # the loaders there are; makes a folder of its own; the policy itself
    "audit": [], "retention": ["preview"], "expunge": ["P-1", "--court", "County", "--number", "1", "--date", "2026-05-01"], "people": [],
    "intelligence": ["list"], "hits": ["list"],
    "evidence": ["--case", "2026-0142", "--purpose", "investigation", "--reason", "who was near the scenes"],
    "identities": ["queue", "--case", "2026-0142", "--purpose", "investigation", "--reason", "who was near the scenes"],
    "export-links": ["csv", "--case", "2026-0142", "--purpose", "investigation", "--reason", "who was near the scenes"],
    "basis": None,  # what it runs again passes the same questions; its own tests refuse it
}


@pytest.fixture
def shut(own_city: Path) -> Path:
    """The made-up city where nobody may anything."""
    return edited(own_city, ROLES, 'default_role = "nothing"\npeople = { looker = "looker" }')


def refused(city: Path, after: int) -> bool:
    entries = Audit(city / "audit.db").entries().filter(pl.col("seq") > after)
    return "refused" in entries["phase"].to_list()


def last(city: Path) -> int:
    return int(Audit(city / "audit.db").entries(1)["seq"][0])


def test_every_public_name_of_a_workbench_is_one_that_this_walk_knows() -> None:
    public = {n for n, _ in inspect.getmembers(wb.Workbench) if not n.startswith("_")}
    assert public == GATE | set(FACTS) | set(EMPTY) | NOW, "say of a new way in what a role that may not is to get"


@pytest.mark.parametrize("name", sorted(FACTS))
def test_a_role_that_may_not_is_refused_and_it_is_written_down(shut: Path, name: str) -> None:
    city = wb.open_workbench(shut, **BOUND)
    before = last(shut)
    with pytest.raises(AccessRefused):
        FACTS[name](city)
    assert refused(shut, before)


def test_a_role_that_sees_nothing_gets_no_counts_and_no_closed_relation(shut: Path) -> None:
    city = wb.open_workbench(shut, **BOUND)
    for name, ask in EMPTY.items():
        assert len(ask(city)) == 0, name
    assert city.asof.year >= 2026
    for table in TABLES:
        for ask in (lambda t=table: city.lake.frame(t, city.versions), lambda t=table: city.lake.query(f"from {t}", versions=city.versions),
                    lambda t=table: city.lake.history(t, ["x"] * len(TABLES[t].key))):
            with pytest.raises(AccessRefused):
                ask()
    with pytest.raises(AccessRefused):
        city.lake.vacuum(0)


@pytest.mark.parametrize("name", sorted(PERSONAL))
def test_without_case_purpose_and_reason_plates_and_persons_are_refused_and_it_is_written_down(city_path: Path, name: str) -> None:
    city = wb.open_workbench(city_path, user="walker")
    before = last(city_path)
    with pytest.raises(AccessRefused, match="a case and a purpose are needed"):
        PERSONAL[name](city)
    assert refused(city_path, before)


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The commands there are."""
    found = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def test_every_command_is_one_that_this_walk_knows() -> None:
    assert set(parsers()) == set(COMMANDS), "say of a new command what a role that may not is to get"
    for name in ("search", "quality", "rejects", "status", "brief"):
        options = {o for a in parsers()[name]._actions for o in a.option_strings}
        assert {"--case", "--purpose", "--reason", "--role", "--emergency"} <= options, name


def test_every_command_refuses_a_role_that_may_not_and_it_is_written_down(shut: Path, samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, given in COMMANDS.items():
        if given is None:
            continue
        before = last(shut)
        arguments = [a.format(city=shut, calls=samples / "sample_calls.csv.gz") for a in given]
        code = cli.main([name, *arguments, *([] if name == "init" else ["-w", str(shut)])])
        said = capsys.readouterr()
        assert code == 1 and "role" in said.err, (name, said)
        assert refused(shut, before), name


def test_every_app_refuses_a_role_that_may_not_and_it_is_written_down(shut: Path) -> None:
    city = wb.open_workbench(shut, **BOUND)
    for entry in apps.listed(shut / "plugins"):
        before = last(shut)
        with pytest.raises(AccessRefused, match="The role nothing does not see"):
            entry.page(city)
        assert refused(shut, before), entry.name


def test_every_briefing_refuses_a_role_that_may_not_and_a_vague_reason_before_anything_runs(shut: Path, city_path: Path, tmp_path: Path) -> None:
    for template in briefings.names(shut):
        for user in (None, "looker"):
            before = last(shut)
            with pytest.raises(AccessRefused, match="may not do this .brief"):
                briefings.run(wb.open_workbench(shut, **BOUND, user=user), template, {}, tmp_path / "out")
            assert refused(shut, before)
        before = last(city_path)
        with pytest.raises(AccessRefused, match="would fit any search"):
            briefings.run(wb.open_workbench(city_path), template, {**BOUND, "reason": "police business"}, tmp_path / "out")
        assert refused(city_path, before)
    assert not (tmp_path / "out").exists()


def test_every_briefing_takes_case_purpose_reason_and_role() -> None:
    for template in briefings.names():
        assert {"case", "purpose", "reason", "role", "user"} <= {p.name for p in briefings.parameters(template)}


def test_a_briefing_is_not_run_on_an_emergency_access(own_city: Path, tmp_path: Path) -> None:
    city = wb.open_workbench(own_city, emergency=True, reason="armed man fled toward the school")
    with pytest.raises(AccessRefused, match="emergency access"):
        briefings.run(city, "daily_briefing", {}, tmp_path / "out")


def test_who_may_see_what_is_printed_for_everybody_and_for_one(own_city: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(own_city, "", 'default_role = "analyst"\npeople = { ann = "supervisor" }')
    assert cli.main(["access", "-w", str(own_city)]) == 0
    said = capsys.readouterr().out
    assert all(t in said for t in TABLES) and "Everybody else is analyst; ann supervisor." in said
    assert cli.main(["access", "--user", "carl", "-w", str(own_city), "--json"]) == 0
    rows = {r["table"]: r for r in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["people"]["allowed"] is False and "does not see people; detective" in rows["people"]["says"]
    assert rows["incidents"]["masked"] == ["sexual offences"]
