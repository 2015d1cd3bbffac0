"""Which records are of one person, vehicle or address?

Records that agree on some key are compared field by field; a Fellegi-Sunter model, trained by Splink on the records themselves, says what each agreement
and each difference is worth, and groups are made of what speaks for one another (Fellegi and Sunter 1969, doi:10.1080/01621459.1969.10501049; Linacre et al.
2022, doi:10.23889/ijpds.v7i3.1794). What a person judged (same, different, unsure) outranks every score and can be undone. Ids stay when records come in.
Race and sex are never compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from workbench import schema
from workbench.errors import BadInput
from workbench.models.links import _identity_fields as fields_of
from workbench.models.links import _identity_told as told
from workbench.models.links._identity_state import State, again, first, judged, named_as
from workbench.results import Basis, Origin, Ranking, origin_of, recorded

__all__ = ["Identities", "resolve"]
_SOURCE = (
    "Fellegi and Sunter 1969, doi:10.1080/01621459.1969.10501049; Splink (Linacre et al. 2022, doi:10.23889/ijpds.v7i3.1794); groups: Keuper et al. 2015, "
    "doi:10.1109/ICCV.2015.204"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Identities(Ranking):
    """Who is who. ``table`` has one row an entity of two records or more, those with the weakest link first.

    Attributes:
        kind: person, vehicle or address.
        identities: kind, record_id, entity_id; one row a record, entities of one record too.
        review: pairs for people to judge, the most informative first: kind, left, right, probability, reason, entity_left, entity_right, at_stake, apart
            (why the score alone does not decide).
        expected: precision, recall (of the pairs looked at), by_chance (pairs of different ones that would be joined), threshold.
        model: what was learnt, as JSON; no value of a record is in it.
    """

    kind: str
    identities: pl.DataFrame
    review: pl.DataFrame
    expected: dict[str, float]
    model: str
    state: State = field(repr=False)

    @cached_property
    def steps(self) -> pl.DataFrame:
        """How each entity of two records or more came about: kind, entity_id, left, right, probability, reason, by ("model" or who judged), at."""
        return told.steps(self.state, self.identities["entity_id"])


@recorded
def resolve(
    records: pl.DataFrame,
    *,
    kind: str = "person",
    columns: Mapping[str, str] | None = None,
    judgements: pl.DataFrame | None = None,
    known: Identities | None = None,
    ids: pl.DataFrame | None = None,
    at_least: float | None = None,
    across: str | None = None,
    one_to_one: bool = False,
    relatives_apart: bool = True,
    withdrawn: Sequence[str] = (),
    seed: int = 0,
) -> Identities:
    """Find which records are of one person, vehicle or address.

    Args:
        records: one row a record. With ``known`` the new and changed ones do; unchanged ones are passed over.
        kind: "person", "vehicle" or "address".
        columns: role -> column, e.g. {"record_id": "rec_id", "born_on": "date_of_birth", "number": "soc_sec_id"}; None = our tables' names and usual others.
        judgements: left, right (record ids), verdict ("same", "different", "unsure"), by, at; the last on a pair counts.
        known: an earlier answer: its model, scores and ids are kept, only what is new is compared.
        ids: without ``known``: which id each record bore in an earlier run (record_id, entity_id, since); groups keep theirs, all is compared anew.
        at_least: probability from which a pair speaks for one entity; None = where the model itself expects at most 1 in 200 joined pairs to be wrong.
        across: column that names the file; only records of different files are compared.
        one_to_one: with ``across``: an entity holds one record of a file at most.
        relatives_apart: persons whose given names differ although surname and birth date agree are not joined by the model, unless an identity number agrees:
            they may be twins. They go to the review. False = the score decides.
        withdrawn: ids of records that are no longer held, with ``known``.
        seed: of the samples the model is trained on.

    Returns:
        An Identities; the order of the rows changes nothing.

    Raises:
        BadInput: columns are missing, ids repeated, a verdict unknown, or ``at_least`` outside (0.5, 1).

    Cost: training about 3 s of CPU, then about 5 s for a million pairs that share a key; with ``known`` only pairs of the new records.
    """
    if at_least is not None and not 0.5 <= at_least < 1:
        raise BadInput(f"at_least={at_least!r} is not a probability from 0.5 up to under 1; write e.g. 0.95.")
    if one_to_one and across is None and known is None:
        raise BadInput("one_to_one=True needs across=, the column that names the file of each record.")
    verdicts = judged(judgements)
    if known is None:
        if withdrawn:
            raise BadInput("withdrawn= goes with known=; without an earlier answer just leave the records out.")
        made = fields_of.fields(records, kind, columns, across)
        state = first(records, made, verdicts, at_least, one_to_one, relatives_apart, seed)
        if ids is not None:
            schema.require(ids, "record_id", "entity_id", "since", what="The frame of earlier ids")
            state = named_as(state, ids)
    else:
        if ids is not None:
            raise BadInput("ids= goes without known=; an earlier answer holds its ids.")
        if known.kind != kind:
            raise BadInput(f"The earlier answer is of kind {known.kind!r}, asked was {kind!r}.")
        state = again(records, known.state, verdicts, withdrawn)
    return _answer(records, state, judgements)


def _answer(records: pl.DataFrame, state: State, judgements: pl.DataFrame | None) -> Identities:
    identities = pl.DataFrame(
        {"kind": pl.Series([state.fields.kind]).new_from_index(0, len(state.frame)), "record_id": state.frame["record_id"], "entity_id": state.entity}
    )
    expected = told.expected(state)
    frames = [records] if judgements is None else [records, judgements]
    origin: Origin = origin_of(*frames)
    parameters = {
        "kind": state.fields.kind,
        "columns": state.fields.columns,
        "at_least": round(state.threshold, 6),
        "across": state.fields.across,
        "one_to_one": state.one_to_one,
        "relatives_apart": state.relatives_apart,
        "seed": state.seed,
        "judgements": len(state.verdicts),
        "rules": [" + ".join(r) for r in state.fields.rules()],
    }
    basis = Basis.of(
        *frames,
        method="record linkage (Fellegi-Sunter, trained by Splink; groups by greedy additive edge contraction)",
        source=_SOURCE,
        used=len(records),
        parameters=parameters,
        notes=told.notes(state),
    )
    return Identities(
        headline=told.headline(state, expected),
        table=told.table(state),
        layers=(),
        basis=basis,
        base=origin.base,
        kind=state.fields.kind,
        identities=identities,
        review=told.review(state),
        expected=expected,
        model=state.model.to_json(),
        state=state,
    )
