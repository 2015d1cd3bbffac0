"""People, vehicles, telephones and addresses as the records system holds them, with their parts in incidents and ties to one another.

One person may have several records under different spellings; which records are one person is kept as truth. The crew behind the series
"sliding doors" shares a telephone and an address, and its van is registered to somebody who was never arrested.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from . import names
from .blocks import Blocks
from .cast import ROLE
from .plane import stream
from .series import Placed
from .traffic import COLOURS, MAKES, REGIONS, Vehicles

PEOPLE, OFFENDERS, INVOLVED = 2900, 420, 4300
#: The crew: role in it, surname, given name, born on, sex.
CREW = (
    ("leader", "Haskvane", "Tavric", date(1991, 3, 14), "M"),
    ("lookout", "Delquist", "Oren", date(1996, 7, 9), "M"),
    ("driver", "Mardesi", "Casen", date(1994, 11, 2), "M"),
    ("van owner", "Wendstrom", "Lorika", date(1988, 5, 23), "F"),
)


@dataclass
class Books:
    """The records, one list of dicts a kind, and the truth kept on the side."""

    rng: np.random.Generator
    rows: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {k: [] for k in ("person", "vehicle", "phone", "address", "involvement", "association")}
    )
    truth: dict[str, Any] = field(default_factory=dict)

    def add(self, record: str, /, **values: Any) -> str:
        """Add a record and give its id."""
        letter = {"person": "P", "vehicle": "V", "phone": "T", "address": "A", "involvement": "N", "association": "S"}[record]
        key = f"{letter}{len(self.rows[record]) + 1:06d}"
        self.rows[record].append({"record": record, "id": key, **{k: v for k, v in values.items() if v is not None}})
        return key

    def tie(self, person: str, kind: str, entity: str, relation: str, since: date | None = None, until: date | None = None) -> str:
        """An association."""
        return self.add(
            "association",
            person=person,
            kind=kind,
            entity=entity,
            relation=relation,
            **{"from": since and since.isoformat(), "to": until and until.isoformat()},
        )

    def involve(self, incident: str, kind: str, entity: str, role: str) -> str:
        """An involvement."""
        return self.add("involvement", incident=incident, kind=kind, entity=entity, role=role)


@dataclass
class Person:
    """One real person of the sample: their records (one or more) and things."""

    records: list[str]
    phone: str = ""
    address: str = ""
    vehicle: str = ""


def make(incidents: pl.DataFrame, blocks: Blocks, fleet: Vehicles, placed: list[Placed]) -> Books:
    """All records."""
    books = Books(stream("records"))
    books.truth["duplicates"] = []
    people = _people(books, blocks, fleet)
    _part(books, people, incidents)
    _crew(books, blocks, fleet, incidents, placed, people)
    _stolen(books, fleet, incidents)
    _descriptions(books)
    return books


def _person(books: Books, surname: str, given: str, born: date, sex: str, height: int | None) -> str:
    return books.add("person", last=surname.upper(), first=given.upper(), dob=born.isoformat(), sex=sex, height_in=height)


def _address(books: Books, blocks: Blocks, at: int) -> str:
    row = blocks.table.row(at, named=True)
    return books.add("address", street=row["full"], lat=row["lat"], lon=row["lon"])


def _vehicle(books: Books, fleet: Vehicles, row: int) -> str:
    make, models = MAKES[fleet.make[row]]
    return books.add(
        "vehicle",
        tag=fleet.plate[row],
        state=REGIONS[fleet.region[row]],
        make=make,
        model=models[fleet.model[row]],
        color=COLOURS[fleet.colour[row]],
        year=int(fleet.year[row]),
    )


def _misspelt(name: str, rng: np.random.Generator) -> str:
    """A name as another clerk would write it."""
    swaps = (("ck", "k"), ("k", "c"), ("ll", "l"), ("l", "ll"), ("v", "w"), ("y", "i"), ("ei", "ie"), ("s", "z"), ("nd", "n"), ("a", "e"), ("e", "a"))
    fitting = [(a, b) for a, b in swaps if a in name[1:]]
    if fitting and rng.random() < 0.75:
        a, b = fitting[int(rng.integers(len(fitting)))]
        return name[0] + name[1:].replace(a, b, 1)
    k = int(rng.integers(1, len(name) - 1))
    return name[:k] + name[k + 1] + name[k] + name[k + 2 :]


def _again(books: Books, surname: str, given: str, born: date, sex: str, height: int) -> str:
    """Another record of the same person, with one or two things different."""
    rng, how = books.rng, int(books.rng.integers(5))
    if how == 0:
        surname = _misspelt(surname, rng)
    elif how == 1:
        given = _misspelt(given, rng)
    elif how == 2 and born.day <= 12 and born.day != born.month:
        born = date(born.year, born.day, born.month)
    elif how == 3:
        given = given[:3]
    else:
        surname, born = _misspelt(surname, rng), date(born.year, born.month, 1 + (born.day + 2) % 28)
    return _person(books, surname, given, born, sex, height + int(rng.integers(-1, 2)))


def _people(books: Books, blocks: Blocks, fleet: Vehicles) -> list[Person]:
    """The population: households share an address, often a telephone; half own a car of the fleet; one in fourteen has several records."""
    rng = books.rng
    known = names.people(PEOPLE, rng)
    homes = rng.permutation(np.flatnonzero(blocks.table["premise"].is_in(["RESIDENCE", "APARTMENT"]).to_numpy()))
    numbers = iter(names.phones(PEOPLE, rng))
    cars = iter(np.flatnonzero([k in ("commuter", "errands") for k in fleet.kind]))
    people: list[Person] = []
    surname = ""
    for k, (own_surname, given) in enumerate(known):
        joins = k > 0 and rng.random() < 0.28
        surname = surname if joins else own_surname
        born, sex = date(2008, 6, 1) - timedelta(days=int(rng.gamma(3.2, 4300))), "MF"[int(rng.random() < 0.5)]
        height = round(rng.normal(69.5 if sex == "M" else 64.5, 2.7))
        person = Person([_person(books, surname, given, born, sex, height)])
        while rng.random() < (0.07 if len(person.records) == 1 else 0.3) and len(person.records) < 4:
            person.records.append(_again(books, surname, given, born, sex, height))
        if len(person.records) > 1:
            books.truth["duplicates"].append(list(person.records))
        _things(books, person, people[-1] if joins else None, blocks, fleet, homes[k], numbers, cars)
        people.append(person)
    return people


def _things(books: Books, person: Person, household: Person | None, blocks: Blocks, fleet: Vehicles, home: int, numbers: Any, cars: Any) -> None:
    rng = books.rng
    since = date(2024, 7, 1) - timedelta(days=int(rng.integers(1, 4000)))
    me = person.records[0]
    person.address = household.address if household else _address(books, blocks, int(home))
    books.tie(person.records[-1], "address", person.address, "resident", since)
    if household and rng.random() < 0.4 and household.phone:
        person.phone = household.phone
    elif rng.random() < 0.9:
        person.phone = books.add("phone", no=next(numbers))
    if person.phone:
        books.tie(me, "phone", person.phone, "subscriber", since)
    if household:
        books.tie(me, "person", household.records[0], "relative")
    if rng.random() < 0.5:
        person.vehicle = _vehicle(books, fleet, int(next(cars)))
        books.tie(person.records[int(rng.integers(len(person.records)))], "vehicle", person.vehicle, "owner", since)


def _part(books: Books, people: list[Person], incidents: pl.DataFrame) -> None:
    """Victims, callers, witnesses, and offenders who come back and act together."""
    rng = books.rng
    cast = rng.permutation(len(people))
    offenders, others = cast[:OFFENDERS], cast[OFFENDERS:]
    busy = 1 / np.arange(3, OFFENDERS + 3) ** 0.8
    rows = incidents.filter(~pl.col("planted") & (pl.col("code") != "0211"))
    weight = np.where(rows["arrest"], 5.0, 1.0) * np.linspace(0.5, 1.6, len(rows))
    order = np.sort(np.argsort(-(weight * rng.random(len(rows)) ** 0.5), kind="stable")[:INVOLVED])
    for row in rows[order].select("incident_id", "code", "arrest", "domestic").iter_rows(named=True):
        incident, victimless = row["incident_id"], row["code"] in ("1510", "1810", "1820", "2110", "2410", "1310")
        if not victimless:
            victim = people[int(others[rng.integers(len(others))])]
            books.involve(incident, "person", _record(victim, rng), "victim")
            if rng.random() < 0.3 and victim.phone:
                books.involve(incident, "phone", victim.phone, "contact")
            if rng.random() < 0.25:
                books.involve(
                    incident, "person", _record(people[int(others[rng.integers(len(others))])], rng), "reporting party" if rng.random() < 0.5 else "witness"
                )
        if row["arrest"] or rng.random() < 0.05:
            first = int(names.pick(rng, busy, 1)[0])
            group = [first] if rng.random() < 0.72 else [first, first // 4 * 4 + int(rng.integers(4))]
            for member in sorted(set(group)):
                person = people[int(offenders[member])]
                books.involve(incident, "person", _record(person, rng), "arrestee" if row["arrest"] else "suspect")
            lead = people[int(offenders[first])]
            if lead.vehicle and rng.random() < 0.2:
                books.involve(incident, "vehicle", lead.vehicle, "used")


def _record(person: Person, rng: np.random.Generator) -> str:
    return person.records[int(rng.integers(len(person.records)))]


def _crew(books: Books, blocks: Blocks, fleet: Vehicles, incidents: pl.DataFrame, placed: list[Placed], people: list[Person]) -> None:
    """The four of the crew, what they share, and the few rows by which records can lead to them."""
    rng = books.rng
    ids = {role: _person(books, surname, given, born, sex, 70) for role, surname, given, born, sex in CREW}
    second = {"driver": _person(books, "Mardesy", "Kasen", CREW[2][3], "M", 71), "lookout": _person(books, "Dellquist", "Oren", date(1996, 9, 7), "M", 70)}
    books.truth["duplicates"] += [[ids["driver"], second["driver"]], [ids["lookout"], second["lookout"]]]
    flat = _address(books, blocks, int(np.flatnonzero((blocks.table["premise"] == "APARTMENT").to_numpy() & (blocks.table["beat"] == "403").to_numpy())[40]))
    shed = _address(books, blocks, int(np.flatnonzero((blocks.table["premise"] == "WAREHOUSE").to_numpy())[5]))
    burner, own = books.add("phone", no="(999) 555-0142"), books.add("phone", no="(999) 555-0187")
    van, scout = _vehicle(books, fleet, ROLE["crew van"]), _vehicle(books, fleet, ROLE["crew scout"])
    ties = [
        (ids["van owner"], "vehicle", van, "owner"),
        (ids["leader"], "vehicle", van, "driver"),
        (ids["driver"], "vehicle", scout, "owner"),
        (ids["leader"], "phone", burner, "subscriber"),
        (second["lookout"], "phone", burner, "subscriber"),
        (ids["van owner"], "phone", own, "subscriber"),
        (ids["lookout"], "address", flat, "resident"),
        (second["driver"], "address", flat, "resident"),
        (ids["van owner"], "address", shed, "resident"),
        (ids["leader"], "person", ids["van owner"], "associate"),
    ]
    for person, kind, entity, relation in ties:
        books.tie(person, kind, entity, relation, date(2025, 1 + int(rng.integers(9)), 5))
    scenes = dict(incidents.select("happened", "incident_id").iter_rows())
    of = [scenes[int(row)] for row in placed[0].rows]
    rows = {
        "van plate noted by a neighbour": books.involve(of[8], "vehicle", van, "used"),
        "victim was called from the shared telephone": books.involve(of[13], "phone", burner, "contact"),
        "witness": books.involve(of[8], "person", people[7].records[0], "witness"),
    }
    for k, row in enumerate(of):
        books.involve(row, "person", people[100 + 3 * k].records[0], "victim")
    old = incidents.filter(pl.col("code").is_in(["0510"]) & ~pl.col("planted") & pl.col("arrest"))["incident_id"].to_list()
    for incident, members in ((old[len(old) // 2], (ids["leader"], ids["lookout"])), (old[-9], (second["lookout"],))):
        for member in members:
            books.involve(incident, "person", member, "arrestee")
    theft = incidents.filter((pl.col("code") == "0640") & ~pl.col("arrest"))["incident_id"].to_list()[-700]
    books.involve(theft, "person", second["driver"], "suspect")
    books.involve(theft, "vehicle", scout, "used")
    books.truth["crew"] = {
        "people": ids,
        "second_records": second,
        "van": van,
        "scout": scout,
        "shared_phone": burner,
        "shared_address": flat,
        "clues": rows,
        "older_incidents": [old[len(old) // 2], old[-9], theft],
    }
    books.truth["series_incidents"] = {p.series.name: [scenes[int(row)] for row in p.rows] for p in placed}
    glass = _vehicle(books, fleet, ROLE["glass doors car"])
    books.tie(people[211].records[0], "vehicle", glass, "owner", date(2025, 8, 9))
    books.truth["glass doors"] = {"person": people[211].records[0], "vehicle": glass}


def _stolen(books: Books, fleet: Vehicles, incidents: pl.DataFrame) -> None:
    """Vehicles taken in vehicle thefts: six of them are read in June, twenty are not seen again."""
    thefts = incidents.filter(pl.col("code") == "0710")
    june = thefts.filter((pl.col("told") > 1440 * 703) & (pl.col("told") < 1440 * 711))["incident_id"].to_list()
    rows = [(incident, ROLE[f"stolen {k}"]) for k, incident in enumerate(june[:6], start=1)]
    books.truth["stolen"] = []
    for incident, row in rows:
        books.involve(incident, "vehicle", _vehicle(books, fleet, row), "stolen")
        books.truth["stolen"].append({"incident_id": incident, "plate": fleet.plate[row], "make": MAKES[fleet.make[row]][0], "read_in_june": True})
    for incident, plate in zip(thefts["incident_id"].to_list()[-80:-40:2], names.plates(20, books.rng, set(fleet.plate)), strict=True):
        make, models = MAKES[int(books.rng.integers(len(MAKES)))]
        entity = books.add("vehicle", tag=plate, state="IA", make=make, model=models[0], color=COLOURS[int(books.rng.integers(len(COLOURS)))], year=2015)
        books.involve(incident, "vehicle", entity, "stolen")
        books.truth["stolen"].append({"incident_id": incident, "plate": plate, "make": make, "read_in_june": False})


_HAIR, _EYES = {"BRO": 0.45, "BLK": 0.27, "BLN": 0.12, "GRY": 0.09, "RED": 0.04, "BALD": 0.03}, {"BRO": 0.5, "BLU": 0.25, "HAZ": 0.14, "GRN": 0.11}
_MARKS = tuple(f"{what} {where}" for what in ("TATTOO ANCHOR", "TATTOO ROSE", "TATTOO SKULL", "TATTOO LETTERS", "SCAR", "BURN", "MOLE")
               for where in ("LEFT FOREARM", "RIGHT HAND", "NECK", "CHEEK"))


def _descriptions(books: Books) -> None:
    """What the booking desk wrote of whoever was arrested or suspected: weight, hair, eyes, marks; records of one person tell nearly the same."""
    rng = stream("descriptions")
    booked = {r["entity"] for r in books.rows["involvement"] if r["kind"] == "person" and r["role"] in ("arrestee", "suspect")}
    one = {record: group[0] for group in books.truth["duplicates"] for record in group}
    told: dict[str, tuple[float, str, str, str | None]] = {}
    for row in books.rows["person"]:
        who = one.get(row["id"], row["id"])
        if who not in told:
            build = rng.normal(26.0 if row["sex"] == "M" else 25.0, 4.0)
            told[who] = (float(np.clip(build, 17, 42)) * (row["height_in"] * 0.0254) ** 2 / 0.45359237, str(rng.choice(list(_HAIR), p=list(_HAIR.values()))),
                         str(rng.choice(list(_EYES), p=list(_EYES.values()))), str(rng.choice(_MARKS)) if rng.random() < 0.3 else None)
        drawn = rng.random(4)
        if row["id"] not in booked:
            continue
        weight, hair, eyes, marks = told[who]
        row |= {"weight_lb": round(weight + 10 * (drawn[0] - 0.5)), "hair": hair if drawn[1] < 0.93 else "BRO", "eyes": eyes}
        if marks is not None and drawn[2] < 0.9:
            row["marks"] = marks
