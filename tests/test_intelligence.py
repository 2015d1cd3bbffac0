"""Intelligence records: what 28 CFR Part 23 asks for is asked for, and what it wants gone is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import cli, schema
from workbench.cli.intelligence import TEMPLATE, read
from workbench.errors import AccessRefused, BadInput, NotFound
from workbench.oversight.audit import Audit
from workbench.oversight.intelligence import LONGEST, Intelligence, Submission

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
GOOD = Submission(
    subject="person:P-000017", activity="280 stolen property offenses",
    basis="watched handing over sealed tools on May 2 and 3; two arrested burglars named him apart from each other",
    obtained="surveillance of a public car park, two recorded interviews", reliability="usually reliable", validity="probable",
    text="Buys tools from garage burglaries behind the depot on Tuesdays. canary-4711", agency="Fairwater Police Department", control_official="Lt. Ramos",
    noncriminal={"vehicle:FAK1234": "owner of the van that is lent to him, not suspected"})

TO = {"to_person": "Det. Okafor", "to_agency": "County Sheriff", "need": "same goods in county case 26-881", "reason": "asked in writing on May 4"}


@pytest.fixture
def held(tmp_path: Path) -> Intelligence:
    return Intelligence(tmp_path / "intelligence.db")


def bytes_of(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_a_record_carries_its_basis_grades_dates_and_label(held: Intelligence) -> None:
    row = held.record(held.add(GOOD, user="ann", now=NOW))
    assert (row["review_by"], row["keep_until"]) == (date(2027, 5, 4), date(2026, 5, 4) + timedelta(days=1825))
    assert row["label"] == "RESTRICTED / source usually reliable, content probable / Fairwater Police Department / Lt. Ramos"
    assert row["noncriminal"] == {"vehicle:FAK1234": "owner of the van that is lent to him, not suspected"}
    assert held.file.stat().st_mode & 0o077 == 0
    with pytest.raises(NotFound, match="There is no intelligence record"):
        held.record("I260504-none")


@pytest.mark.parametrize(("lacking", "said"), [
    ({"basis": ""}, "basis of reasonable suspicion is lacking"),
    ({"basis": "bad guy"}, "says too little"),
    ({"obtained": " "}, "way the information was obtained is lacking"),
    ({"activity": ""}, "needs activity"),
    ({"control_official": ""}, "needs control_official"),
    ({"reliability": "realiable"}, "Did you mean 'reliable'"),
    ({"reliability": "unknown", "validity": "cannot be judged"}, "kind='tip'"),
    ({"keep_days": 1826}, "1 to 1825 days"),
    ({"kind": "tip", "keep_days": 366}, "1 to 365 days"),
    ({"review_by": date(2032, 1, 1)}, "not after"),
    ({"review_by": date(2026, 5, 4)}, "must lie after"),
    ({"noncriminal": {"person:P-1": "x"}}, "reason for naming person:P-1"),
    ({"text": "Goes to the mosque on Fridays."}, "protected view.*mosque"),
    ({"basis": "was at two protests and a union meeting this spring, says a colleague"}, "protected view"),
    ({"protected": "member of a party"}, "member of a party"),
])
def test_what_the_regulation_asks_for_is_asked_for(held: Intelligence, lacking: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        held.add(replace(GOOD, **lacking), user="ann", now=NOW)  # type: ignore[arg-type]
    assert held.records().is_empty()


def test_something_protected_is_kept_only_with_its_direct_relation_to_criminal_conduct(held: Intelligence) -> None:
    linked = replace(GOOD, text="Hands over goods in the cellar of the church.", protected="a congregation",
                     protected_link="the cellar of the building is where the goods are handed over, watched twice")
    assert held.record(held.add(linked, user="ann", now=NOW))["protected"] == "a congregation"
    assert held.add(replace(GOOD, text="Lives at 12 Church Street."), user="ann", now=NOW)


def test_nobody_reviews_what_they_submitted_and_a_validated_record_begins_its_time_anew(held: Intelligence) -> None:
    record = held.add(replace(GOOD, keep_days=400), user="ann", now=NOW)
    with pytest.raises(AccessRefused, match="somebody else"):
        held.review(record, "validated", "he was seen again in March with tools", user="ann", now=NOW)
    with pytest.raises(BadInput, match="facts of the review"):
        held.review(record, "validated", "ok", user="bob", now=NOW)
    later = NOW + timedelta(days=380)
    assert held.records(now=later)["state"].to_list() == ["review due"] and held.due(now=later).height == 1
    held.review(record, "validated", "he was seen again in March with tools", user="bob", now=later)
    assert held.record(record)["keep_until"] == later.date() + timedelta(days=1825)
    assert held.reviews(record)["reviewed_by"].to_list() == ["bob"]
    with pytest.raises(BadInput, match="can only be purged"):
        held.review(record, "validated", "he was seen again in March with tools", user="bob", now=later + timedelta(days=1826))


def test_a_record_is_given_only_to_who_may_have_it_and_each_time_is_written_down(held: Intelligence) -> None:
    record, tip = held.add(GOOD, user="ann", now=NOW), held.add(replace(GOOD, kind="tip", basis=""), user="ann", now=NOW)
    to = {**TO, "user": "ann"}
    with pytest.raises(AccessRefused, match="has not agreed"):
        held.share(record, **to, now=NOW)  # type: ignore[arg-type]
    with pytest.raises(AccessRefused, match="is a tip"):
        held.share(tip, **to, agrees=True, now=NOW)  # type: ignore[arg-type]
    with pytest.raises(AccessRefused, match="review it before"):
        held.share(record, **to, agrees=True, now=NOW + timedelta(days=366))  # type: ignore[arg-type]
    with pytest.raises(AccessRefused, match="ran out"):
        held.share(record, **to, imminent_danger=True, now=NOW + timedelta(days=1826))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="need"):
        held.share(record, **{**to, "need": "curious"}, agrees=True, now=NOW)  # type: ignore[arg-type]
    assert held.shares().is_empty()
    assert held.share(record, **to, agrees=True, now=NOW)["label"].startswith("RESTRICTED")  # type: ignore[arg-type]
    assert held.share(tip, **to, imminent_danger=True, now=NOW)["label"].startswith("TIP, NO REASONABLE SUSPICION")  # type: ignore[arg-type]
    assert held.shares().select("record_id", "to_person", "imminent_danger").rows() == [(record, "Det. Okafor", False), (tip, "Det. Okafor", True)]


@settings(max_examples=25, deadline=None)
@given(keeps=st.lists(st.tuples(st.sampled_from(list(LONGEST)), st.integers(1, 365)), min_size=1, max_size=6), after=st.integers(0, 400))
def test_after_a_purge_no_record_beyond_its_time_is_in_any_byte(tmp_path_factory: pytest.TempPathFactory, keeps: list[tuple[str, int]], after: int) -> None:
    folder = tmp_path_factory.mktemp("records")
    held = Intelligence(folder / "intelligence.db")
    texts = [replace(GOOD, kind=kind, keep_days=days, text=f"the words number {n:04} canary") for n, (kind, days) in enumerate(keeps)]
    made = [held.add(text, user="ann", now=NOW) for text in texts]
    gone = held.purge(now=NOW + timedelta(days=after))
    assert set(gone.records) == {m for m, (_, days) in zip(made, keeps, strict=True) if days < after}
    left = bytes_of(folder)
    for n, (record, (_, days)) in enumerate(zip(made, keeps, strict=True)):
        assert (f"number {n:04} canary".encode() in left) == (days >= after), record


def test_a_purge_names_who_must_be_told_and_keeps_the_log_without_what_the_record_said(held: Intelligence, tmp_path: Path) -> None:
    record = held.add(GOOD, user="ann", now=NOW)
    held.share(record, **TO, user="ann", agrees=True, now=NOW)
    held.review(record, "purge", "he was abroad on both days, passport seen", user="bob", now=NOW)
    gone = held.purge(now=NOW)
    assert gone.records == (record,) and gone.told == ((record, "Det. Okafor", "County Sheriff"),)
    assert held.shares()["record_id"].to_list() == [record]
    assert b"canary-4711" not in bytes_of(tmp_path) and b"P-000017" not in bytes_of(tmp_path)


def test_an_order_takes_a_person_out_of_subjects_and_of_those_only_named(held: Intelligence, tmp_path: Path) -> None:
    record = held.add(GOOD, user="ann", now=NOW)
    other = held.add(replace(GOOD, subject="person:P-2", noncriminal={"person:P-000017": "his neighbour, not suspected"}), user="ann", now=NOW)
    assert held.expunge(["person:P-000017"]).records == (record,)
    assert held.records()["record_id"].to_list() == [other] and b"P-000017" not in bytes_of(tmp_path)


def test_the_facts_know_nothing_of_the_records(city_path: Path) -> None:
    assert "intelligence" not in {c for t in schema.TABLES.values() for c in (t.name, *t.columns)}
    for file in (Path(cli.__file__).parents[1]).rglob("*.py"):
        if file.name != "intelligence.py" and file.parent.name not in ("oversight", "cli") and not file.stem.startswith("oversight_"):
            assert "intelligence.db" not in file.read_text(encoding="utf-8"), file


def test_the_command_line_keeps_shows_shares_reviews_and_purges_and_writes_each_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["-w", str(tmp_path / "w")]
    assert cli.main(["init", str(tmp_path / "w")]) == 0 and cli.main(["intelligence", *where, "template"]) == 0
    assert capsys.readouterr().out.endswith(TEMPLATE)
    filled = tmp_path / "record.toml"
    text = TEMPLATE.replace('"unknown"', '"reliable"')
    for key in ("basis", "obtained", "text", "agency", "control_official"):
        text = text.replace(f'{key} = ""', f'{key} = "{getattr(GOOD, key)}"')
    filled.write_text(text)
    assert read(filled).reliability == "reliable"
    assert cli.main(["intelligence", *where, "add", str(filled)]) == 0
    record = capsys.readouterr().out.split(":")[0]
    assert cli.main(["intelligence", *where, "list"]) == 0 and "canary" not in capsys.readouterr().out
    assert cli.main(["intelligence", *where, "show", record]) == 0 and "canary-4711" in capsys.readouterr().out
    give = [word for name, said in TO.items() for word in (f"--{name.removeprefix('to_')}", said)]
    assert cli.main(["intelligence", *where, "share", record, *give]) == 1 and "has not agreed" in capsys.readouterr().err
    assert cli.main(["intelligence", *where, "share", record, *give, "--agrees"]) == 0 and "Det. Okafor" in capsys.readouterr().out
    assert cli.main(["intelligence", *where, "review", record, "validated", "--facts", "he was seen again in March"]) == 1
    assert "somebody else" in capsys.readouterr().err
    assert cli.main(["intelligence", *where, "due", "--days", "400"]) == 0 and record in capsys.readouterr().out
    assert cli.main(["intelligence", *where, "purge"]) == 0 and "0 records" in capsys.readouterr().out
    log = Audit(tmp_path / "w" / "audit.db").entries().filter(pl.col("action").str.starts_with("intelligence"))
    assert {"intelligence add", "intelligence show", "intelligence share", "intelligence review", "intelligence purge"} <= set(log["action"])
    assert set(log.filter(pl.col("phase") == "refused")["action"]) == {"intelligence share", "intelligence review"} and "canary" not in str(log.rows())
