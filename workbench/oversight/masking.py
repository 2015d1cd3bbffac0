"""Which values of victims, juveniles and sexual offences are masked, as SQL that every query sees in place of the table.

The mask is part of the relation, so a filter, a search, a count or an export sees only masked values. Masked are, by kind:

* victims: names, date of birth and marks of whoever is a victim in an incident, their phones and addresses, calls of those phones, field interviews
  with them;
* juveniles: the same of whoever is under 18 now or was in an incident, arrest or interview of theirs; place and person of their arrests;
* sexual offences: address, position, narrative and MO of the incident, of its calls, arrests, gunshots and casings, the positions of units on those
  calls, the addresses tied to it, and the persons who are victims in it.

A position becomes the middle of a cell of some 2 km that does not depend on the point within it; ``place_basis`` says "masked".
Free text of other incidents may still tell a name: it is not read for names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from workbench.engines.duckdb import literal, name
from workbench.schema import TABLES

#: NIBRS: rape, sodomy, assault with an object, fondling, incest, statutory rape, human trafficking for sexual acts.
SEXUAL = ("11A", "11B", "11C", "11D", "36A", "36B", "64A")
#: Wordings that are taken for such where no NIBRS code is known, and of calls.
WORDING = r"\b(RAPE\w*|SEX|SEXUAL\w*|SODOMY|INCEST|MOLEST\w*|FONDL\w*|INDECENT|HUMAN TRAFFICK\w*|VIOLACION|ABUSO SEXUAL)\b"
ADULT = 18
LABELS = {"victims": "(masked: victim)", "juveniles": "(masked: juvenile)", "sexual offences": "(masked: sexual offence)"}
#: Width and height of the cells to whose middle a position is moved, degrees, and how far off that may be, metres.
CELL, ERROR_M = (0.025, 0.02), 1600.0
#: Gives the SQL of a table as it stands (with True: every edition), in brackets.
Raw = Callable[[str, bool], str]


@dataclass(frozen=True)
class _Mask:
    """What is masked in one table for one kind: where ``test`` holds, texts get the label, ``empty`` columns nothing, positions a cell."""

    test: Callable[[_Sets], str]
    texts: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    place: bool = False
    needs: tuple[str, ...] = ()


class _Sets:
    """The keys that masks are about, as SQL that gives one column."""

    def __init__(self, raw: Raw, now: datetime, history: bool) -> None:
        self._raw, self._now, self.history = raw, f"{literal(now.date().isoformat())}::date", history

    def table(self, table: str, *, editions: bool = False) -> str:
        """A table as it stands."""
        return self._raw(table, editions and self.history)

    def sexual(self, column: str = "incident_id") -> str:
        """Numbers of sexual offences; looking at editions, of those that any edition calls one."""
        return f"select {column} from {self.table('incidents', editions=True)} where {column} is not null and ({SEXUAL_SQL})"

    def calls(self) -> str:
        """Calls about sexual offences."""
        return f"select call_id from {self.table('calls', editions=True)} where {self.call()}"

    def call(self) -> str:
        """Whether a call is about one."""
        worded = f"regexp_matches(upper(concat_ws(' ', call_type, initial_type, category)), {literal(WORDING)})"
        return f"({worded} or report_number in ({self.sexual('report_number')}))"

    def people(self, kind: str) -> str:
        """Persons of a kind."""
        part = f"select entity_id from {self.table('involvements')} where entity_kind = 'person' and lower(role) = 'victim'"
        if kind == "victims":
            return part
        if kind == "sexual offences":
            return f"{part} and incident_id in ({self.sexual()})"
        people, young = self.table("people", editions=True), f"interval {ADULT} year"
        return " union ".join((
            f"select person_id from {people} where born_on > {self._now} - {young}",
            f"select p.person_id from {people} p join {self.table('involvements')} i on i.entity_kind = 'person' and i.entity_id = p.person_id "
            f"join {self.table('incidents')} n on n.incident_id = i.incident_id where p.born_on > n.started_at::date - {young}",
            f"select a.person_id from {self.table('arrests')} a left join {people} p on p.person_id = a.person_id where a.person_id is not null "
            f"and (a.age < {ADULT} or p.born_on > a.arrested_at::date - {young})",
            f"select v.person_id from {self.table('interviews')} v join {people} p on p.person_id = v.person_id "
            f"where p.born_on > v.interviewed_at::date - {young}"))

    def tied(self, entity: str, kind: str) -> str:
        """Phones or addresses of persons of a kind, and addresses of sexual offences."""
        of = f"select entity_id from {self.table('associations')} where entity_kind = {literal(entity)} and person_id in ({self.people(kind)})"
        scene = f"select entity_id from {self.table('involvements')} where entity_kind = 'address' and incident_id in ({self.sexual()})"
        return f"{of} union {scene}" if entity == "address" and kind == "sexual offences" else of


SEXUAL_SQL = (f"nibrs in ({', '.join(map(literal, SEXUAL))}) or (coalesce(nibrs, 'UNKNOWN') = 'UNKNOWN' "
              f"and regexp_matches(upper(concat_ws(' ', offence, offence_detail)), {literal(WORDING)}))")
_YOUTH = ("people", "involvements", "incidents", "arrests", "interviews")
_PERSONS = {"victims": ("involvements",), "juveniles": _YOUTH, "sexual offences": ("involvements", "incidents")}


def _reported(sets: _Sets) -> str:
    return f"report_number in ({sets.sexual('report_number')})"


def _person(kind: str) -> Callable[[_Sets], str]:
    return lambda sets: f"person_id in ({sets.people(kind)})"


def _thing(entity: str, kind: str) -> Callable[[_Sets], str]:
    return lambda sets: f"{entity}_id in ({sets.tied(entity, kind)})"


def _dialled(kind: str) -> Callable[[_Sets], str]:
    def test(sets: _Sets) -> str:
        numbers = f"select number from {sets.table('phones')} where number is not null and phone_id in ({sets.tied('phone', kind)})"
        return f"(caller in ({numbers}) or called in ({numbers}))"

    return test


_NAMES = ("surname", "given_name", "marks")
_CALLS = ("calls", "incidents")
_MASKS: dict[tuple[str, str], _Mask] = {
    ("incidents", "sexual offences"): _Mask(lambda s: f"({SEXUAL_SQL})" + (f" or incident_id in ({s.sexual()})" if s.history else ""),
                                            ("address", "narrative", "mo"), place=True),
    ("calls", "sexual offences"): _Mask(lambda s: s.call() + (f" or call_id in ({s.calls()})" if s.history else ""), ("address", "narrative"), place=True,
                                        needs=_CALLS),
    ("call_events", "sexual offences"): _Mask(lambda s: f"call_id in ({s.calls()})", ("detail",), needs=_CALLS),
    ("units", "sexual offences"): _Mask(lambda s: f"call_id in ({s.calls()})", place=True, needs=_CALLS),
    ("gunshots", "sexual offences"): _Mask(lambda s: f"{_reported(s)} or call_id in ({s.calls()})", ("address",), place=True, needs=_CALLS),
    ("casings", "sexual offences"): _Mask(_reported, ("address",), place=True, needs=("incidents",)),
    ("recoveries", "sexual offences"): _Mask(_reported, ("address",), place=True, needs=("incidents",)),
    ("arrests", "sexual offences"): _Mask(
        lambda s: f"nibrs in ({', '.join(map(literal, SEXUAL))}) or incident_id in ({s.sexual()}) or {_reported(s)} "
        f"or regexp_matches(upper(coalesce(charge, '')), {literal(WORDING)})", ("address",), place=True, needs=("incidents",)),
    ("arrests", "juveniles"): _Mask(lambda s: f"age < {ADULT} or {_person('juveniles')(s)}", ("address",), ("person_id", "age"), place=True, needs=_YOUTH),
    ("warrants", "juveniles"): _Mask(_person("juveniles"), ("caution",), needs=_YOUTH),
}
for _kind, _needs in _PERSONS.items():
    _MASKS["people", _kind] = _Mask(_person(_kind), _NAMES, ("born_on",), needs=_needs)
    _MASKS["interviews", _kind] = _Mask(_person(_kind), ("narrative", "reason", "plate", "address"), place=True, needs=_needs)
    for _thing_table, _entity, _column in (("phones", "phone", "number"), ("addresses", "address", "address")):
        _MASKS[_thing_table, _kind] = _Mask(_thing(_entity, _kind), (_column,), place=_entity == "address", needs=("associations", *_needs))
    _MASKS["phone_calls", _kind] = _Mask(_dialled(_kind), ("caller", "called", "address"), place=True, needs=("phones", "associations", *_needs))


def touches(table: str, kind: str) -> bool:
    """Whether anything of a table is masked for a kind."""
    return (table, kind) in _MASKS


def needs(table: str, kinds: Iterable[str]) -> tuple[str, ...]:
    """The tables that must be read to know what of a table is masked."""
    return tuple(dict.fromkeys(t for k in kinds if (table, k) in _MASKS for t in _MASKS[table, k].needs))


def relation(table: str, raw: Raw, *, kinds: Iterable[str] = (), hidden: Iterable[str] = (), oldest: datetime | None = None, now: datetime,
             history: bool = False) -> str:
    """SQL of a table's rows as they may be seen, in brackets, for use behind FROM.

    Args:
        raw: gives the SQL of a table as it stands.
        kinds: of KINDS, that are masked.
        hidden: columns that are empty.
        oldest: rows from this moment on.
        now: by which it is told who is a juvenile.
        history: every edition; an incident is then masked in all of them when one calls it a sexual offence.

    Cost: nothing where nothing is masked; else what it takes to read the keys of the tables in ``needs``.
    """
    about, sets = TABLES[table], _Sets(raw, now, history)
    masks = [(LABELS[k], _MASKS[table, k]) for k in kinds if (table, k) in _MASKS]
    tests = [f"coalesce({m.test(sets)}, false)" for _, m in masks]
    flags = ", ".join(f"({t}) as \"#masked {i}\"" for i, t in enumerate(tests))
    columns = {c: f"cast(null as {about.columns[c].type})" for c in hidden}
    for column, shape in about.columns.items():
        whens = "".join(f" when \"#masked {i}\" then {value}" for i, (label, mask) in enumerate(masks)
                        if (value := _value(column, shape.type, label, mask)) is not None)
        if whens and column not in columns:
            columns[column] = f"case{whens} else {name(column)} end"
    inner = raw(table, history)
    if oldest is not None:
        inner = f"(select * from {inner} where {name(about.time)} >= {literal(oldest.isoformat())}::timestamptz)"
    if masks:
        inner = f"(select *, {flags} from {inner})"
    if not columns:
        return inner
    replaced = ", ".join(f"{sql} as {name(c)}" for c, sql in columns.items())
    without = f" exclude ({', '.join(name(f'#masked {i}') for i in range(len(masks)))})" if masks else ""
    return f"(select *{without} replace ({replaced}) from {inner})"


def _value(column: str, kind: str, label: str, mask: _Mask) -> str | None:
    """What stands for a masked value; None = it is not masked."""
    if column in mask.texts:
        return f"if({name(column)} is null, null, {literal(label)})"
    if column in mask.empty:
        return f"cast(null as {kind})"
    if not mask.place:
        return None
    if column in ("lon", "lat"):
        size = CELL[column == "lat"]
        return f"round(floor({column} / {size}) * {size} + {size / 2}, 6)"
    return {"place_basis": "if(lon is null, null, 'masked')", "place_error_m": f"if(lon is null, null, {ERROR_M})"}.get(column)
