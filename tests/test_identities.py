"""Who is who: records of one person, vehicle or address; judgements outrank scores, ids stay, twins are kept apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import CASE
from workbench.errors import BadInput
from workbench.models.links import _identity_groups as grouping
from workbench.models.links import identities
from workbench.models.links._identity_state import named_as
from workbench.models.links.identities import Identities, resolve

FEBRL = {
    "record_id": "rec_id",
    "given_name": "given_name",
    "surname": "surname",
    "born_on": "date_of_birth",
    "number": "soc_sec_id",
    "house": "street_number",
    "street": "address_1",
    "place": "suburb",
    "postcode": "postcode",
}


def f1(found: pl.DataFrame, truth: pl.DataFrame) -> float:
    """F1 over pairs of records of one entity."""
    both = found.join(truth, on="record_id")

    def pairs(*by: str) -> int:
        n = both.group_by(by).len()["len"].cast(pl.Int64)
        return int((n * (n - 1) // 2).sum())

    return 2 * pairs("entity_id", "cluster") / max(pairs("entity_id") + pairs("cluster"), 1)


@cache
def made_up(n: int = 400) -> pl.DataFrame:
    from benchmarks.identities import persons

    return persons(n, seed=5)


@cache
def answer() -> Identities:
    return resolve(made_up().drop("cluster"))


def state_of(found: Identities) -> tuple[list[Any], list[Any], list[Any]]:
    return found.identities.sort("record_id").rows(), found.review.rows(), found.steps.sort("entity_id", "left", "right").rows()


def test_records_of_one_person_are_found_and_the_answer_says_what_it_expects_of_itself() -> None:
    found = answer()
    assert f1(found.identities, made_up().select("record_id", "cluster")) > 0.95
    assert found.identities.columns == ["kind", "record_id", "entity_id"] and len(found.identities) == 400
    assert 0.98 < found.expected["precision"] <= 1 and 0 < found.expected["recall"] <= 1
    assert "the model expects" in found.headline and "by chance alone" in found.headline
    assert {"left", "right", "probability", "reason", "by", "at"} < set(found.steps.columns) and (found.steps["by"] == "model").all()
    assert len(found.steps) == 400 - found.identities["entity_id"].n_unique()
    assert json.loads(found.model)["sessions"] and "R00" not in found.model
    assert found.basis.run["arguments"] and "race" not in str(found.basis.parameters).lower()


def test_neither_the_order_of_the_rows_nor_asking_again_changes_anything() -> None:
    again = resolve(made_up().drop("cluster").sample(fraction=1, shuffle=True, seed=9))
    assert state_of(again) == state_of(answer()) and again.model == answer().model


def test_where_nothing_is_planted_next_to_nothing_is_joined() -> None:
    alone = made_up(800).unique("cluster", keep="first", maintain_order=True).drop("cluster")
    found = resolve(alone)
    assert len(alone) - found.identities["entity_id"].n_unique() <= 2


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_undoing_a_judgement_restores_exactly_what_was_before(data: st.DataObject) -> None:
    ids, known, said = answer().identities["record_id"].to_list()[:40], answer(), []
    verdict = st.tuples(st.integers(0, 39), st.integers(0, 39), st.sampled_from(["same", "different", "unsure"])).filter(lambda v: v[0] != v[1])
    trail = [(list(said), state_of(known))]
    for a, b, v in data.draw(st.lists(verdict, min_size=1, max_size=4)):
        said.append({"left": ids[a], "right": ids[b], "verdict": v, "by": "ana"})
        known = resolve(made_up().drop("cluster").clear(), known=known, judgements=pl.DataFrame(said))
        trail.append((list(said), state_of(known)))
    for before, state in reversed(trail[:-1]):
        stands = pl.DataFrame(before, schema={"left": pl.String, "right": pl.String, "verdict": pl.String, "by": pl.String})
        known = resolve(made_up().drop("cluster").clear(), known=known, judgements=stands)
        assert state_of(known) == state


def test_judgements_outrank_every_score() -> None:
    first = answer()
    pair = first.table.filter(pl.col("records") == 2)["record_ids"][0].to_list()
    alone = first.identities.filter(pl.len().over("entity_id") == 1)["record_id"].to_list()[:2]
    judged = pl.DataFrame({"left": [pair[0], alone[0]], "right": [pair[1], alone[1]], "verdict": ["different", "same"], "by": ["ana", "ben"]})
    for again in (resolve(made_up().drop("cluster"), judgements=judged), resolve(made_up().drop("cluster").clear(), known=first, judgements=judged)):
        found = dict(again.identities.select("record_id", "entity_id").iter_rows())
        assert found[pair[0]] != found[pair[1]] and found[alone[0]] == found[alone[1]]
        assert again.steps.filter(pl.col("by") == "ben")["reason"].to_list() == ["judged the same"]


def test_of_judgements_that_contradict_one_another_different_wins_and_it_is_said() -> None:
    a, b, c = answer().identities.filter(pl.len().over("entity_id") == 1)["record_id"].to_list()[:3]
    judged = pl.DataFrame({"left": [a, b, a], "right": [b, c, c], "verdict": ["same", "same", "different"]})
    found = resolve(made_up().drop("cluster").clear(), known=answer(), judgements=judged)
    ids = dict(found.identities.select("record_id", "entity_id").iter_rows())
    assert ids[a] != ids[c] and any("kept apart" in note for note in found.basis.notes)


def test_a_twin_is_not_merged_with_a_person_who_is_on_record_twice() -> None:
    base = made_up().drop("cluster")
    twin = {"surname": "vandermeer", "born_on": "1990-05-05", "street": "oak lane", "house": "12", "postcode": "70001", "phone": "5550001111"}
    rows = [
        {"record_id": "T1", "given_name": "rebecca", **twin},
        {"record_id": "T2", "given_name": "becky", **twin},
        {"record_id": "T3", "given_name": "thomas", **twin},
    ]
    new = pl.concat([base.clear(), pl.DataFrame(rows)], how="diagonal")
    found = resolve(new, known=answer())
    ids = dict(found.identities.select("record_id", "entity_id").iter_rows())
    assert ids["T1"] == ids["T2"] != ids["T3"]
    assert "twins" in found.review.filter(pl.col("right") == "T3")["apart"][0]


def test_new_records_join_or_start_entities_and_ids_stay() -> None:
    rows = made_up().drop("cluster")
    late = rows.filter(pl.col("record_id").hash(seed=3) % 10 == 0)
    early = resolve(rows.join(late, on="record_id", how="anti"))
    more = resolve(late, known=early)
    both = early.identities.join(more.identities, on="record_id")
    assert len(more.identities) == len(rows) and (both["entity_id"] == both["entity_id_right"]).mean() > 0.995
    assert f1(more.identities, made_up().select("record_id", "cluster")) > 0.95
    assert more.model == early.model
    joined = more.identities.join(late.select("record_id"), on="record_id", how="semi")
    assert joined["entity_id"].is_in(early.identities["entity_id"].implode()).any()
    same = resolve(rows, known=more)
    assert same.identities.equals(more.identities)
    back = resolve(rows.clear(), known=more, withdrawn=late["record_id"].to_list())
    assert back.identities.sort("record_id").rows() == early.identities.sort("record_id").rows()


def test_groups_keep_the_ids_that_their_records_bore_in_an_earlier_run() -> None:
    state, at = answer().state, datetime(2026, 6, 1, tzinfo=UTC)
    (one, other), (two, *_), three = answer().table.filter(pl.col("records") == 2)["record_ids"].to_list()[:3]

    def ids(**bore: str) -> pl.DataFrame:
        since = [at + timedelta(days=k) for k in range(len(bore))]
        return pl.DataFrame({"record_id": list(bore), "entity_id": list(bore.values()), "since": since}, schema_overrides={"since": pl.Datetime("us", "UTC")})

    def named(**bore: str) -> dict[str, str]:
        made = named_as(state, ids(**bore))
        assert len(set(zip(made.entity, made.group.tolist(), strict=True))) == made.entity.n_unique() == len(set(made.group.tolist()))
        return dict(zip(made.frame["record_id"], made.entity, strict=True))

    new = dict(answer().identities.select("record_id", "entity_id").iter_rows())
    assert named() == named(**{one: one, other: one}) == new
    assert named(**{one: other, other: other}) == new | {one: other, other: other}
    assert named(**{one: "GONE", other: other})[one] == "GONE"  # two that were: the older stays
    split = named(**{r: three[1] for r in (one, other, *three)})  # one that was falls apart: the id stays with one part
    assert sorted({split[one], split[three[0]]}) == sorted({three[1], three[0]} if split[three[0]] != three[1] else {three[1], one})
    assert named(**{two: one})[one] != one  # an id that is borne elsewhere is given to nobody else
    with pytest.raises(BadInput, match="goes without known="):
        resolve(made_up().drop("cluster"), known=answer(), ids=ids())


def test_a_changed_record_is_compared_anew() -> None:
    rows, first = made_up().drop("cluster"), answer()
    one, other = first.table.filter(pl.col("records") == 2)["record_ids"][0].to_list()
    gone = rows.filter(pl.col("record_id") == other).with_columns(
        given_name=pl.lit("zebulon"), surname=pl.lit("quist"), born_on=pl.lit("1911-11-11"), phone=None, number=None, street=pl.lit("elm"), house=pl.lit("1")
    )
    ids = dict(resolve(gone, known=first).identities.select("record_id", "entity_id").iter_rows())
    assert ids[one] != ids[other]
    back = resolve(rows.filter(pl.col("record_id") == other), known=resolve(gone, known=first))
    assert back.identities.sort("record_id").rows() == first.identities.sort("record_id").rows()


def test_one_weak_pair_does_not_chain_two_groups() -> None:
    left, right = [0, 0, 1, 3, 3, 4, 2, 0, 1], [1, 2, 2, 4, 5, 5, 3, 3, 4]
    gain = np.array([9.0, 9, 9, 9, 9, 9, 2, -6, -6])
    part = grouping.parts(6, np.array(left), np.array(right), gain, [])
    assert set(part.tolist()) == {0}
    assert grouping.groups(part, np.array(left), np.array(right), gain, [], [])[0].tolist() == [0, 0, 0, 3, 3, 3]


@pytest.fixture(scope="module")
def tables(city_path: Path) -> dict[str, pl.DataFrame]:
    """People, vehicles and addresses of the made-up city."""
    import workbench as wb

    city = wb.open_workbench(city_path, **CASE)
    return {kind: city.table(name) for kind, name in (("person", "people"), ("vehicle", "vehicles"), ("address", "addresses"))}


def doubled(frame: pl.DataFrame, key: str, spoil: dict[str, pl.Expr], *, every: int = 5) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The records and a further one of every fifth with slips: each column is spoilt in the third of them that its place says; and the truth."""
    again = frame.sort(key).gather_every(every).with_row_index("place_")
    again = again.with_columns(
        pl.when(pl.col("place_") % 3 == k % 3).then(how).otherwise(pl.col(c)).alias(c) for k, (c, how) in enumerate(spoil.items())
    ).drop("place_")
    both = pl.concat([frame, again.with_columns((pl.lit("again-") + pl.col(key)).alias(key))])
    return both, both.select(record_id=key, cluster=pl.col(key).str.strip_prefix("again-"))


def test_vehicles_noted_again_with_a_slip_are_found(tables: dict[str, pl.DataFrame]) -> None:
    plate = pl.col("plate").str.head(2) + pl.col("plate").str.slice(3, 1) + pl.col("plate").str.slice(2, 1) + pl.col("plate").str.slice(4)
    spoil = {"plate": plate, "colour": pl.lit(None, dtype=pl.String), "make": pl.col("make").str.head(4)}
    both, truth = doubled(tables["vehicle"], "vehicle_id", spoil)
    found = resolve(both, kind="vehicle")
    assert len(found.identities) == len(both) and found.identities["kind"].unique().to_list() == ["vehicle"]
    assert f1(found.identities, truth) > 0.9, found.headline


def test_addresses_written_another_way_are_found(tables: dict[str, pl.DataFrame]) -> None:
    near = pl.col("lon") + 0.0001
    both, truth = doubled(tables["address"], "address_id", {"address": pl.col("address").str.to_uppercase() + " ", "lon": near})
    found = resolve(both, kind="address")
    assert len(found.identities) == len(both) and found.identities["kind"].unique().to_list() == ["address"]
    assert f1(found.identities, truth) > 0.9, found.headline


def test_the_planted_records_of_one_person_are_found(tables: dict[str, pl.DataFrame], samples: Path) -> None:
    def planted(part: Any) -> Any:
        if isinstance(part, dict):
            return part.get("same_person") or next((f for v in part.values() if (f := planted(v))), None)
        return None

    same = {r: group[0] for group in planted(json.loads((samples / "planted.json").read_text())) for r in group}
    truth = tables["person"].select(record_id="person_id").with_columns(cluster=pl.col("record_id").replace(same))
    assert f1(resolve(tables["person"]).identities, truth) >= 0.95


def febrl(folder: Path, name: str) -> pl.DataFrame:
    frame = pl.read_csv(folder / "entity_resolution" / "febrl" / f"{name}.csv", infer_schema_length=0)
    frame = frame.rename({c: c.strip() for c in frame.columns}).with_columns(pl.all().str.strip_chars())
    return frame.with_columns(cluster=pl.col("rec_id").str.extract(r"rec-(\d+)"), file=pl.lit(name))


def test_febrl_3_and_4_as_their_makers_meant_them(real_data: Path) -> None:
    """FEBRL draws names at random: same surname, birth date and address with another given name is one person there, so relatives are not kept apart."""
    three = febrl(real_data, "dataset3")
    found = resolve(three.drop("cluster"), columns=FEBRL, relatives_apart=False)
    assert f1(found.identities, three.select("cluster", record_id="rec_id")) >= 0.999
    four = pl.concat([febrl(real_data, "dataset4a"), febrl(real_data, "dataset4b")])
    found = resolve(four.drop("cluster"), columns=FEBRL, across="file", one_to_one=True, relatives_apart=False)
    assert f1(found.identities, four.select("cluster", record_id="rec_id")) >= 0.9995


def test_what_cannot_be_resolved_is_said_in_a_sentence() -> None:
    rows = made_up().drop("cluster")
    with pytest.raises(BadInput, match="Did you mean 'person'"):
        resolve(rows, kind="persons")
    with pytest.raises(BadInput, match="two or more are needed"):
        resolve(rows.select("record_id", "surname"))
    with pytest.raises(BadInput, match="no column that names each record"):
        resolve(rows.drop("record_id"))
    with pytest.raises(BadInput, match="is there twice"):
        resolve(pl.concat([rows, rows.head(1)]))
    with pytest.raises(BadInput, match="no role of a person"):
        resolve(rows, columns={"race": "surname"})
    with pytest.raises(BadInput, match="is not a probability"):
        resolve(rows, at_least=95)
    with pytest.raises(BadInput, match="one_to_one=True needs across="):
        resolve(rows, one_to_one=True)
    with pytest.raises(BadInput, match="not two"):
        resolve(rows, judgements=pl.DataFrame({"left": ["a"], "right": ["a"], "verdict": ["same"]}))
    with pytest.raises(BadInput, match="Did you mean 'same'"):
        resolve(rows, judgements=pl.DataFrame({"left": ["a"], "right": ["b"], "verdict": ["sane"]}))
    for few in (rows.clear(), rows.head(1)):
        assert "I cannot tell" in resolve(few).headline
    blank = rows.head(5).with_columns(pl.lit(None, dtype=pl.String).alias(c) for c in rows.columns if c != "record_id")
    assert "I cannot tell" in resolve(blank).headline


def test_scores_are_those_of_splink_itself() -> None:
    """The same model given to Splink gives the same match weights."""
    from splink import DuckDBAPI, Linker

    found, state = answer(), answer().state
    model = json.loads(found.model)
    assert identities.__name__ and model["roles"] == [r for r in state.model.roles]
    terms = {"given_name", "surname", "house", "street", "place", "postcode", "occupation"}
    compared = [
        {
            "output_column_name": role,
            "comparison_levels": [
                {"sql_condition": f"{role}_l is null or {role}_r is null", "label_for_charts": "missing", "is_null_level": True},
                *(
                    {
                        "sql_condition": c,
                        "label_for_charts": str(i),
                        "m_probability": model["m"][role][i],
                        "u_probability": model["u"][role][i],
                        **({"tf_adjustment_column": role} if i == 0 and role in terms else {}),
                    }
                    for i, c in enumerate([*model["conditions"][role], "ELSE"])
                ),
            ],
        }
        for role in model["roles"]
    ]
    frame = state.frame.with_columns(given_copy="given_name", surname_copy="surname")
    settings_ = {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_id",
        "comparisons": compared,
        "blocking_rules_to_generate_predictions": ["l.number = r.number"],
        "probability_two_random_records_match": model["prior"],
        "retain_matching_columns": False,
    }
    linker = Linker(DuckDBAPI().register(frame.to_arrow()), settings_, log_level=None)
    theirs = pl.from_arrow(linker.inference.predict().as_pyarrow_table())
    assert isinstance(theirs, pl.DataFrame)
    names, pairs = state.frame["record_id"], state.pairs
    ours = pl.DataFrame({"record_id_l": names.gather(pairs.left), "record_id_r": names.gather(pairs.right), "bits": pairs.odds / np.log(2)})
    both = theirs.join(ours, on=["record_id_l", "record_id_r"])
    assert len(both) > 20
    assert np.abs((both["match_weight"] - both["bits"]).to_numpy()).max() < 1e-6
