"""A description against records: the planted doer is among the first ten, shuffled records teach nothing, chances hold, and no name stands alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.errors import AccessRefused, BadInput, CannotTell
from workbench.geo import Plane
from workbench.models.links import _descri_solved as solved
from workbench.models.links import _descri_traits as traits
from workbench.models.links import description
from workbench.models.links.description import Facts, search

AT = (-90.9, 41.6, "2026-06-20T12:00:00-05:00")
EYES, HAIR = ("BROWN", "BLUE", "GREEN", "HAZEL"), ("BROWN", "BLACK", "BLOND", "GREY", "RED")


@pytest.fixture(scope="module")
def facts(city_path: Any) -> Facts:
    import workbench as wb

    made: Facts = wb.open_workbench(city_path, case="2026-0142", purpose="investigation", reason="who was near the scenes").facts()
    return made


def small(n: int = 40, *, solved_incidents: int = 80, seed: int = 3) -> Facts:
    """Offenders who live about the city and offend near home; the first has a blue-eyed, red-haired record."""
    rng = np.random.default_rng(seed)
    plane, start = Plane.local(41.6, -90.9), datetime(2026, 1, 1, tzinfo=UTC)
    homes = rng.uniform(-6000, 6000, (n, 2))
    who = rng.integers(0, n, solved_incidents)
    lon, lat = plane.to_degrees(*(homes[who] + rng.normal(0, 300, (solved_incidents, 2))).T)
    hlon, hlat = plane.to_degrees(*homes.T)
    people = {"person_id": [f"P{i}" for i in range(n)], "surname": [f"Name{i}" for i in range(n)], "given_name": "A",
              "born_on": [date(1990, 1, 1) + timedelta(days=int(d)) for d in rng.integers(-9000, 5000, n)], "height_cm": rng.normal(178, 8, n),
              "hair": ["RED", *rng.choice(HAIR[:4], n - 1).tolist()], "eyes": ["BLU", *rng.choice(EYES, n - 1).tolist()], "sex": ["M"] * n,
              "marks": ["TATTOO ANCHOR NECK", *[None] * (n - 1)]}
    return Facts(
        people=pl.DataFrame(people),
        incidents=pl.DataFrame({"incident_id": [f"I{k}" for k in range(solved_incidents)],
                                "started_at": [start + timedelta(days=k) for k in range(solved_incidents)],
                                "lon": lon, "lat": lat, "mo": "WINDOW PRIED"}),
        involvements=pl.DataFrame({"involvement_id": [f"L{k}" for k in range(solved_incidents)], "incident_id": [f"I{k}" for k in range(solved_incidents)],
                                   "entity_kind": "person", "entity_id": [f"P{i}" for i in who], "role": "arrestee"}),
        addresses=pl.DataFrame({"address_id": [f"A{i}" for i in range(n)], "address": [f"{i} Main" for i in range(n)], "lon": hlon, "lat": hlat}),
        associations=pl.DataFrame({"association_id": [f"S{i}" for i in range(n)], "person_id": [f"P{i}" for i in range(n)], "entity_kind": "address",
                                   "entity_id": [f"A{i}" for i in range(n)], "relation": "resident"}),
    )


def seen(row: dict[str, Any], at: datetime, rng: np.random.Generator) -> dict[str, Any]:
    """What a witness says of a record: ages and heights by guess, colours often wrong, a mark half the time, one in ten things not noticed."""
    age = (at.date() - row["born_on"]).days / 365.25 + rng.normal(0, 5)
    weight = max(26.0, row["weight_kg"] + rng.normal(0, 9))
    words = {"BRO": "BROWN", "BLK": "BLACK", "BLN": "BLOND", "GRY": "GREY", "BLU": "BLUE", "GRN": "GREEN", "HAZ": "HAZEL"}
    said = {"age": (max(3.0, min(99.0, age - 5)), max(13.0, min(109.0, age + 5))), "height_cm": row["height_cm"] + rng.normal(0, 6),
            "weight_kg": (weight - 5, weight + 5),
            "hair": words.get(row["hair"], row["hair"]) if rng.random() < 0.7 else str(rng.choice(HAIR)),
            "eyes": words.get(row["eyes"], row["eyes"]) if rng.random() < 0.6 else str(rng.choice(EYES)), "sex": row["sex"],
            "marks": row["marks"] if row["marks"] and rng.random() < 0.5 else None}
    return {k: v for k, v in said.items() if v is not None and rng.random() > 0.1}


def ranks(facts: Facts, n: int, *, told_by: pl.DataFrame | None = None, describe: bool = True, seed: int = 5) -> np.ndarray[Any, Any]:
    """The place of who was arrested, in n of the latest incidents, among those known before; ``told_by``: the people whom the witnesses saw."""
    rng = np.random.default_rng(seed)
    when = datetime(2026, 7, 1, tzinfo=UTC)
    p = solved.past(facts, "person", when, Plane.local(41.6, -90.9))
    every = traits.people(facts.people, p.ids, {})
    rows = {r["person_id"]: r for r in (facts.people if told_by is None else told_by).iter_rows(named=True)}
    out: list[float] = []
    for case in p.solved[-n:]:
        doer, at = case[5][0], datetime.fromtimestamp(case[1] * 86_400, tz=UTC)
        here = solved.scene(p, case[1], case[2], case[3])
        if doer not in here.rows:
            continue
        said = seen(rows[p.ids[doer]], at, rng)
        score = sum(traits.factors(traits.checked(said), every.take(here.rows), at).values(), np.zeros(len(here.rows))) if describe and said else 0.0
        chance = solved.chances(here.prior, score + np.zeros(len(here.rows)), 0.9, 1.0)[:-1]
        out.append(1 + float((chance > chance[here.rows == doer]).sum()))
    return np.array(out)


def test_the_planted_doer_is_among_the_first_ten_in_four_of_five_cases(facts: Facts) -> None:
    found = ranks(facts, 150)
    assert len(found) > 120 and (found <= 10).mean() >= 0.8 and np.median(found) <= 3


def test_records_dealt_out_anew_give_no_lift(facts: Facts) -> None:
    """The witnesses saw the true people, the records tell of others: no better than knowing only who is often arrested."""
    columns = ["born_on", "height_cm", "weight_kg", "hair", "eyes", "marks", "sex"]
    known = facts.people.filter(pl.col("hair").is_not_null())
    dealt = known.with_columns(known.select(columns).sample(fraction=1.0, shuffle=True, seed=4))
    shuffled, bare = ranks(replace(facts, people=dealt), 150, told_by=facts.people), ranks(facts, 150, describe=False)
    assert (shuffled <= 10).mean() <= (bare <= 10).mean() + 0.05 < 0.6


@pytest.fixture(scope="module")
def answer(facts: Facts) -> description.Described:
    said = {"age": (25, 35), "height_cm": (175, 185), "weight_kg": (70, 90), "hair": "brown", "eyes": "blue", "marks": "anchor tattoo", "sex": "male"}
    return search(facts, said, at=AT)


def test_chances_hold_on_solved_incidents_left_out(answer: description.Described) -> None:
    told = answer.reliability
    assert told.filter(pl.col("leads") > 0).height >= 6 and told["leads"].sum() > 10_000
    for row in told.filter((pl.col("leads") >= 30) & (pl.col("from") >= 0.02)).iter_rows(named=True):
        assert row["low"] - 0.03 <= row["said"] <= row["high"] + 0.03, row
    assert answer.first_ten is not None and answer.first_ten >= 0.8
    assert answer.none is not None and 0 < answer.none < 1
    assert abs(float(answer.table["chance"].sum()) + answer.none - 1) < 1e-9


def test_every_row_says_why_and_the_sentence_gives_the_base_rate(answer: description.Described) -> None:
    assert answer.table.height == 20 and (answer.table["as_high"] >= 1).all()
    assert answer.table["reasons"].str.contains(r"\(x[0-9.e+-]+\)").all()
    assert "the chance that it is none of these is" in answer.headline and "fit the description as well as the first" in answer.headline
    assert "match" not in (answer.headline + json.dumps(answer.basis.lines())).lower()
    assert answer.basis.parameters["protected attributes used"] == ["sex"] and "cannot" not in answer.basis.run


def test_who_is_asked_for_and_by_what_is_in_the_audit(city: Any) -> None:
    search(city.facts(), {"age": 30, "race": "W"}, at=AT)
    asked = [e for e in city.audit.entries().iter_rows(named=True) if "description" in str(e)]
    assert any("race" in str(e) and "protected" in str(e) for e in asked)


def test_without_a_case_nobody_is_searched_for(city_path: Any, facts: Facts) -> None:
    import workbench as wb

    with pytest.raises(AccessRefused):
        wb.open_workbench(city_path).facts()


def test_race_and_sex_change_nothing_unless_they_are_described() -> None:
    given = small()
    other = replace(given, people=given.people.with_columns(sex=pl.lit("F"), race=pl.lit("B")))
    one, two = (search(f, {"hair": "red", "age": 30}, at=(-90.9, 41.6, "2026-03-25T00:00:00Z")) for f in (given, other))
    assert one.table.equals(two.table)
    assert one.basis.parameters["protected attributes used"] == "none" and "No protected attribute" in str(one.basis.notes)


def test_a_rare_description_puts_its_record_first_but_never_alone() -> None:
    found = search(small(), {"hair": "red", "eyes": "blue", "marks": "anchor on the neck"}, at=(-90.9, 41.6, "2026-03-25T00:00:00Z"), most=1, fillers=6)
    assert found.table["entity"][0] == "person:P0" and found.table.height == 7
    assert found.table["as_high"][0] == 1 and "anchor" in found.table["reasons"][0]
    assert "not recorded: marks" in found.table["reasons"][1]


def test_near_homes_count_where_solved_incidents_show_it() -> None:
    given = small(solved_incidents=85)
    p = solved.past(given, "person", datetime(2026, 12, 1, tzinfo=UTC), Plane.local(41.6, -90.9))
    taught = solved.learn(p, p.solved, [solved.scene(p, c[1], c[2], c[3]) for c in p.solved])
    assert taught.near[0] > 1.0 > taught.near[-2]


def test_nothing_at_or_after_the_moment_is_looked_at() -> None:
    given, at = small(), (-90.9, 41.6, "2026-02-20T00:00:00Z")
    cut = replace(given, incidents=given.incidents.filter(pl.col("started_at") < datetime(2026, 2, 20, tzinfo=UTC)))
    assert search(given, {"hair": "red"}, at=at).table.equals(search(cut, {"hair": "red"}, at=at).table)


def test_an_arrest_made_later_is_not_known_yet_neither_now_nor_on_the_solved_incidents() -> None:
    given, start = small(), datetime(2026, 1, 1, tzinfo=UTC)
    doers = dict(given.involvements.select("incident_id", "entity_id").iter_rows())
    days = {"I10": 30, "I60": 75, "I70": 200, "I79": 200}  # days after the start on which the doers of these were arrested
    arrests = pl.DataFrame({"arrest_id": list(days), "incident_id": list(days), "person_id": [doers[i] for i in days],
                            "arrested_at": [start + timedelta(days=d) for d in days.values()]})
    late = replace(given, arrests=arrests)
    p = solved.past(late, "person", start + timedelta(days=80), Plane.local(41.6, -90.9))
    assert [c[0] for c in p.solved] == [f"I{k}" for k in range(80) if k not in (70, 79)] and not {"I70", "I79"} & set(p.key)
    row = p.ids.index(doers["I10"])
    times = [dict(zip(s.rows.tolist(), s.times.tolist(), strict=True)).get(row, 0) for d in (29.5, 30.5) for s in [solved.scene(p, p.day[0] + d, 0.0, 0.0)]]
    others = sum(doers[f"I{k}"] == doers["I10"] for k in range(30) if k != 10)
    assert times == [others, others + (doers["I30"] == doers["I10"]) + 1]
    cut = replace(late, involvements=late.involvements.filter(~pl.col("incident_id").is_in(["I70", "I79"])))
    at = (-90.9, 41.6, "2026-03-22T00:00:00Z")
    found, without = (search(f, {"hair": "red"}, at=at) for f in (late, cut))
    assert found.table.equals(without.table) and "76 of 78 parts as arrestee have no row among the arrests" in found.basis.notes[-1]


def test_no_solved_incident_is_tested_on_what_its_own_narrative_says_of_clothing() -> None:
    given = small()
    given = replace(given, incidents=given.incidents.with_columns(narrative=pl.format("wore a coat of the kind W{}", pl.col("incident_id"))))
    p = solved.past(given, "person", datetime(2026, 4, 1, tzinfo=UTC), Plane.local(41.6, -90.9))
    worn = description._worn(given, p)
    for case in p.solved:
        before = worn(case[1])
        assert not any(f"W{case[0]}" in (text or ()) for text in before)
        earlier = {f"W{p.key[i]}" for i in np.flatnonzero(p.day < case[1]) if p.who[i] == case[5][0]}
        assert {w for w in before[case[5][0]] or () if w.startswith("WI")} == earlier
    found = search(given, {"clothing": "coat of the kind WI3"}, at=(-90.9, 41.6, "2026-04-01T00:00:00Z"))  # told by one narrative: its own, had it leaked
    assert found.first_ten is not None and found.table["entity"].is_in([f"person:{p.ids[p.solved[3][5][0]]}"]).any()


def test_more_words_in_common_never_count_as_less_and_factors_stay_odds(facts: Facts) -> None:
    p = solved.past(facts, "person", datetime(2026, 7, 1, tzinfo=UTC), Plane.local(41.6, -90.9))
    scenes = [solved.scene(p, *c[1:5]) for c in p.solved]
    worded = np.exp(solved.learn(p, p.solved, scenes).worded)
    assert (np.diff(worded) >= 0).all() and worded[0] <= 1 <= worded[-1]
    rng = np.random.default_rng(2)
    for _ in range(200):
        factor, share = rng.gamma(2, 0.5, 4), rng.dirichlet(np.ones(4))
        made = solved._rising(factor, share)
        assert (np.diff(made) >= 0).all() and made @ share == pytest.approx(factor @ share)
    assert solved._rising(np.array([1.2, 0.82, 1.5]), np.array([0.5, 0.25, 0.25])).tolist() == pytest.approx([1.0733, 1.0733, 1.5], abs=1e-4)
    assert solved._rising(np.array([0.5, 1.0, 3.0]), np.full(3, 1 / 3)).tolist() == [0.5, 1.0, 3.0]


def test_rows_in_another_order_give_the_same_list() -> None:
    given, at = small(), (-90.9, 41.6, "2026-03-25T00:00:00Z")
    other = replace(given, people=given.people.reverse(), incidents=given.incidents.reverse(), involvements=given.involvements.reverse())
    assert search(given, {"hair": "red", "age": 30}, at=at).table.equals(search(other, {"hair": "red", "age": 30}, at=at).table)


def test_a_vehicle_is_found_by_part_of_its_plate_and_so_is_its_owner(facts: Facts) -> None:
    used = facts.involvements.filter((pl.col("entity_kind") == "vehicle") & (pl.col("role") == "used"))["entity_id"]
    car = facts.vehicles.filter(pl.col("vehicle_id").is_in(used.implode())).sort("vehicle_id").row(5, named=True)
    said = {"plate": f"{car['plate'][:3]}*", "make": car["make"].lower()}
    found = search(facts, said, at=(-90.9, 41.6, "2026-06-30T00:00:00Z"))
    assert found.table["entity"][0] == f"vehicle:{car['vehicle_id']}" and found.table.height == 20
    owners = facts.associations.filter(pl.col("entity_id") == car["vehicle_id"])["person_id"].to_list()
    people = search(facts, {**said, "height_cm": 178}, at=(-90.9, 41.6, "2026-06-30T00:00:00Z"))
    assert set(people.table["entity"].head(6)) & {f"person:{o}" for o in owners}


@pytest.mark.parametrize(("said", "message"), [
    ({}, "Nothing is described"), ({"hight_cm": 180}, "no 'hight_cm'. Did you mean 'height_cm'"), ({"age": (40, 30)}, "between 3 and 110"),
    ({"age": "about thirty"}, "give a number or"), ({"height_cm": 18}, "between 90 and 230"), ({"build": "sporty"}, "'thin', 'medium' or 'heavy'"),
    ({"plate": "**"}, "no letter or digit"), ({"hair": "unknown"}, "Nothing is described"),
])
def test_a_description_that_cannot_be_is_refused_with_a_sentence(said: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        search(small(), said, at=AT)


def test_what_is_missing_is_said() -> None:
    with pytest.raises(BadInput, match="no place on earth"):
        search(small(), {"hair": "red"}, at=(41.6, -190.0, "2026-06-01T00:00:00Z"))
    with pytest.raises(BadInput, match="give .longitude, latitude, time."):
        search(small(), {"hair": "red"}, at=("here", 1, 2))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="never shown alone"):
        search(small(), {"hair": "red"}, at=AT, fillers=0)
    with pytest.raises(CannotTell, match="Only 0 records"):
        search(small(), {"hair": "red"}, at=(-90.9, 41.6, "2020-01-01T00:00:00Z"))
    with pytest.raises(CannotTell, match="Only 0 records"):
        search(Facts(), {"hair": "red"}, at=AT)
    with pytest.raises(CannotTell, match="other attributes"):
        search(small(), {"weight_kg": 80}, at=AT)
    few = search(small(solved_incidents=20), {"age": 30}, at=AT)
    assert few.table["chance"].null_count() == few.table.height and "cannot be told" in few.headline and few.reliability["leads"].sum() == 0


def test_too_few_near_by_widens_and_says_so() -> None:
    found = search(small(), {"hair": "red"}, at=(-80.0, 45.0, "2026-03-25T00:00:00Z"), radius=1000.0)
    assert found.table.height >= 7 and any("it was widened to" in n for n in found.basis.notes)


def test_records_without_places_are_still_looked_at() -> None:
    given = small()
    bare = replace(given, incidents=given.incidents.with_columns(lon=pl.lit(None, dtype=pl.Float64), lat=pl.lit(None, dtype=pl.Float64)),
                   addresses=given.addresses.clear())
    found = search(bare, {"hair": "red", "eyes": "blue"}, at=(-90.9, 41.6, "2026-03-25T00:00:00Z"))
    assert found.table["entity"][0] == "person:P0" and found.table["metres"].null_count() == found.table.height
