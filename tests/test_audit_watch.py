"""The watch over people's own accesses and the review queue: what was planted is found, quiet users are not named, nothing undecided is lost."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest

from workbench import agency as agencies
from workbench import cli
from workbench.errors import AccessRefused, BadInput, NotFound
from workbench.oversight import review, watch
from workbench.oversight.audit import Audit, Person

SHIFTS = (("day", time(7), time(15)), ("evening", time(15), time(23)), ("night", time(23), time(7)))
GOOD = "van seen at the Oak Street burglary"


def rows(*made: dict[str, object]) -> pl.DataFrame:
    """Entries with what is given and quiet values for the rest."""
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    out = []
    for n, m in enumerate(made):
        one = {"seq": n + 1, "at": (start + timedelta(minutes=n)).isoformat(), "phase": "intent", "user": "ann", "emergency": False, "action": "query",
            "object": "reads",
               "case_number": "2026-0142", "purpose": "investigation", "reason": GOOD, "detail": "{}", "hash": f"{n:064x}"} | m
        out.append(one)
    return pl.DataFrame(out).with_columns(pl.col("case_number").cast(pl.String), pl.col("reason").cast(pl.String))


def plate(text: str) -> str:
    return json.dumps({"plate": text})


def test_the_same_target_again_and_again_is_flagged_with_how_many_others_do_so() -> None:
    quiet = [{"user": f"u{u}", "detail": plate(f"Q{u}{k}")} for u in range(6) for k in range(8)]
    entries = rows(*quiet, *({"detail": plate("abc-1234" if k % 2 else "ABC1234")} for k in range(7)))
    found = watch.flags(entries)
    assert found.select("kind", "user", "what", "count").rows() == [("same target", "ann", "ABC1234", 7)]
    assert "0 of 6 other users score as high" in found["sentence"][0] and "2026-0142" in found["sentence"][0]


def test_with_few_users_the_base_rate_is_not_told() -> None:
    assert "I cannot tell" in watch.flags(rows(*({"detail": plate("ABC1234")} for _ in range(5))))["base_rate"][0]


def test_repeats_spread_over_months_are_not_flagged() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    entries = rows(*({"detail": plate("ABC1234"), "at": (start + timedelta(days=20 * k)).isoformat()} for k in range(8)))
    assert "same target" not in watch.flags(entries)["kind"].to_list()


def test_asking_for_ones_own_or_a_colleagues_plate_is_flagged() -> None:
    found = watch.flags(rows({"detail": plate("OWN 111")}, {"user": "bob", "detail": json.dumps({"name": "Doe, Ann"})}, {}), own={"ann": ["own-111",
        "Doe, Ann"]})
    assert found.select("kind", "user").rows() == [("own", "bob"), ("own", "ann")]
    assert "their own" in found["sentence"][1] and "that of ann" in found["sentence"][0]


def test_hours_unusual_for_the_person_are_flagged_and_too_little_history_says_so() -> None:
    day = datetime(2026, 3, 2, 9, tzinfo=UTC)
    steady = [{"at": (day + timedelta(days=d, minutes=17 * k)).isoformat(), "detail": plate(f"S{d}{k}")} for d in range(30) for k in range(5)]
    by_night = [{"at": (day + timedelta(days=31, hours=17, minutes=k)).isoformat(), "detail": plate(f"N{k}")} for k in range(3)]
    assert watch.flags(rows(*steady), shifts=SHIFTS).is_empty()
    found = watch.flags(rows(*steady, *by_night), shifts=SHIFTS)
    assert found.select("kind", "count", "what").rows() == [("off hours", 3, "night")]
    assert "I cannot tell whether ann" in watch.flags(rows(*steady[:40]))["sentence"][0]


@pytest.mark.parametrize(("reason", "bad"), [
    ("test", True), ("asdf", True), ("investigation", True), ("", True), ("aaaa aaaa", True), ("police check", True), ("Homicide follow-up", False),
    (GOOD, False), ("plate from witness, case 2026-0142", False)])
def test_reasons_that_say_nothing_are_known(reason: str, bad: bool) -> None:
    assert watch.vague(reason, "investigation") is bad


def test_vague_and_copied_reasons_refusals_no_case_exports_and_break_glass_are_flagged() -> None:
    entries = rows({"reason": "asdf"}, *({"case_number": f"C{k}", "user": "bob", "reason": "follow up of the tip"} for k in range(5)),
                   *({"user": "cid", "phase": "refused"} for _ in range(5)), {"user": "dan", "case_number": None, "reason": None},
                   {"user": "eve", "action": "export", "phase": "done", "detail": '{"rows": 50000}'}, {"user": "fay", "emergency": True,
                       "reason": "child missing, Oak Park"})
    found = {(r["kind"], r["user"]): r for r in watch.flags(entries).to_dicts()}
    assert set(found) == {("vague reason", "ann"), ("vague reason", "bob"), ("refused", "cid"), ("no case", "dan"), ("export", "eve"), ("break-glass", "fay")}
    assert found["vague reason", "bob"]["count"] == 5 and "50,000 rows" in found["export", "eve"]["sentence"]


def test_a_case_that_is_closed_unknown_or_anothers_is_flagged() -> None:
    cases = {"2026-0142": ("open", "ann"), "OLD": ("closed", "ann"), "BOBS": ("open", "bob")}
    found = watch.flags(rows({}, {"case_number": "OLD"}, {"case_number": "BOBS"}, {"case_number": "NONE"}), cases=cases)
    assert sorted(found["what"].to_list()) == ["BOBS", "NONE", "OLD"] and found["sentence"].str.contains("is closed").any()


def test_samples_are_drawn_the_same_each_time_with_at_least_one_a_user_a_week() -> None:
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    made = [{"user": u, "at": (start + timedelta(days=d, minutes=n)).isoformat()} for d in range(14) for u, many in (("ann", 20), ("bob", 1))
        for n in range(many)]
    entries = rows(*made)
    drawn = review.samples(entries, share=0.1, today=date(2026, 3, 16))
    assert drawn == review.samples(entries, share=0.1, today=date(2026, 3, 16))
    users = [u for _, u, _ in drawn]
    assert 24 <= users.count("ann") <= 32 and users.count("bob") >= 2
    assert {u for _, u, _ in review.samples(entries, share=0.0, today=date(2026, 3, 16))} == {"ann", "bob"}
    assert review.samples(entries, share=1.0, today=date(2026, 3, 2)) == [], "the day is not finished"
    other = review.samples(entries.with_columns(hash=pl.lit("ff")), share=0.1, today=date(2026, 3, 16))
    assert other != drawn, "who does not know the day's last hash cannot foretell what is drawn"


@pytest.fixture
def asked(tmp_path: Path) -> tuple[Audit, agencies.Agency]:
    (tmp_path / "agency.toml").write_text('[agency]\nname = "A"\nzone = "UTC"\n[access]\ndefault_role = ["auditor", "supervisor"]\n'
                                          '[audit]\nsample = 1.0\nrepeats = 3\n')
    audit = Audit(tmp_path / "audit.db")
    for _ in range(4):
        audit.write(Person("ann", "2026-0142", "investigation", GOOD), "query", "reads", phase="intent", plate="ABC1234")
    audit.write(Person("bob", "2026-0142", "emergency", "child missing, Oak Park", emergency=True), "query", "reads", phase="intent", plate="XYZ9876")
    return audit, agencies.read(tmp_path)


def test_flags_and_samples_come_once_into_the_queue_and_stay_until_decided(asked: tuple[Audit, agencies.Agency]) -> None:
    audit, agency = asked
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    first = review.fill(audit, agency, today=tomorrow)
    assert first == review.Filled(2, 5) and review.fill(audit, agency, today=tomorrow) == review.Filled(0, 0)
    waiting = review.queue(audit)
    assert set(waiting["kind"]) == {"same target", "break-glass", "sample"} and set(waiting["status"]) == {"undecided"}
    item = waiting.filter(pl.col("kind") == "same target")["item"][0]
    review.decide(audit, item, Person("sue"), "follow up", "asked ann for the reason")
    assert review.queue(audit).filter(pl.col("item") == item)["status"].to_list() == ["follow up"], "still waits"
    review.decide(audit, item, Person("sue"), "justified", "named in tip 118")
    assert item not in review.queue(audit)["item"].to_list()
    done = review.queue(audit, every=True).filter(pl.col("item") == item).row(0, named=True)
    assert (done["status"], done["decided_by"], done["note"]) == ("justified", "sue", "named in tip 118")
    assert review.fill(audit, agency, today=tomorrow).flags == 0
    audit.write(Person("ann", "2026-0142", "investigation", GOOD), "query", "reads", phase="intent", plate="ABC1234")
    assert review.fill(audit, agency, today=tomorrow).flags == 1, "more of the same comes back"
    assert audit.verify()[0] and audit.entries().filter(pl.col("action") == "review").height == 2


def test_nobody_reviews_themselves_and_a_decision_needs_a_note(asked: tuple[Audit, agencies.Agency]) -> None:
    audit, agency = asked
    review.fill(audit, agency)
    item = review.queue(audit).filter(pl.col("user") == "bob")["item"][0]
    with pytest.raises(AccessRefused, match="somebody else"):
        review.decide(audit, item, Person("bob"), "justified", "it was me")
    assert audit.entries(1)["phase"][0] == "refused"
    with pytest.raises(BadInput, match="Did you mean 'justified'"):
        review.decide(audit, item, Person("sue"), "justfied", "because of it")
    with pytest.raises(BadInput, match="needs a note"):
        review.decide(audit, item, Person("sue"), "justified", " ")
    with pytest.raises(NotFound):
        review.decide(audit, "nothing", Person("sue"), "justified", "because of it")
    assert item in review.queue(audit)["item"].to_list()


def test_a_forgotten_plate_is_gone_from_the_queue_too(asked: tuple[Audit, agencies.Agency]) -> None:
    audit, agency = asked
    review.fill(audit, agency)
    assert audit.forget(["ABC1234"], why="retention") >= 5
    assert b"ABC1234" not in b"".join(p.read_bytes() for p in audit.file.parent.glob("audit.db*")) and audit.verify()[0]
    assert review.queue(audit)["what"].str.contains("forgotten").any()


def test_the_command_line_goes_all_the_way(asked: tuple[Audit, agencies.Agency], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    audit, _ = asked

    def run(*arguments: str) -> tuple[int, str]:
        code = cli.main(["audit", *arguments, "-w", str(tmp_path)])
        out = capsys.readouterr()
        return code, out.out + out.err

    assert run("watch")[1].count("ABC1234") == 1
    code, said = run("review")
    assert code == 0 and "break-glass" in said and "same target" in said
    item = next(line.split()[0] for line in said.splitlines() if "break-glass" in line)
    assert run("review", item, "not-justified", "--note", "no child was missing")[0] == 0
    assert item not in run("review")[1] and "not justified by" in run("review", "--all")[1]
    code, said = run("root")
    assert code == 0 and "Root 1:" in said
    key = said.split("key ")[1].splitlines()[0].rstrip(".")
    (tmp_path / "noted.ndjson").write_text(run("root", "--json")[1])
    assert run("verify", "--deep", "--roots", str(tmp_path / "noted.ndjson"), "--key", key) == (0,
        run("verify")[1].rstrip("\n") + " The roots of noted.ndjson agree.\n")
    assert run("verify", "--key", "1234")[0] == 1
    assert run("copy", str(tmp_path / "c.ndjson"), "--leave-out", "object,reason,detail")[0] == 0 and (tmp_path / "verify_copy.py").exists()
    assert run("proof", "2", str(tmp_path / "p.json"))[0] == 0 and run("sample")[0] == 0
    for wrong, words in ((["copy"], "Name the new file"), (["proof", "x"], "Name the entry"), (["verify", "x"], "takes no 'x'"), (["review", "x"],
        "Name the item"),
                         (["verify", "--roots", "nothing"], "There is no file")):
        code, said = run(*wrong)
        assert code == 1 and words in said
    assert audit.verify()[0]
    assert "BREAK-GLASS" in run("show", "--last", "50")[1]
    (tmp_path / "agency.toml").write_text('[agency]\nname = "A"\nzone = "UTC"\n[access]\ndefault_role = "auditor"\n[audit]\nsampel = 1.0\n')
    assert "Did you mean 'sample'" in run("watch")[1]
