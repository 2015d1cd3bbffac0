"""Who is meant where a record gives a name and no id: the same name and day of birth make the same key in every source."""

from __future__ import annotations

from workbench.loaders.kit.expressions import Stepped, column, stable_id, text
from workbench.loaders.kit.moments import day, held

#: Raw columns by which records name a person, with their other names.
PERSON: dict[str, tuple[str, ...]] = {
    "person_id": ("person id", "subject id", "mni", "master name id", "name id", "offender id", "sid", "party id"),
    "surname": ("last name", "last", "lname", "family name", "nachname"),
    "given_name": ("first name", "first", "fname", "given names", "forename", "vorname"),
    "name": ("full name", "subject", "subject name", "person", "defendant", "arrestee", "person name", "nam"),
    "born_on": ("dob", "date of birth", "birth date", "birthdate", "born", "geburtsdatum"),
}


def surname() -> Stepped:
    """The family name: its own column, or what stands before the comma of a full name, else its last word."""
    name = text(column("name"))
    whole = f"(case when contains({name}, ',') then trim(split_part({name}, ',', 1)) else regexp_extract({name}, '\\S+$') end)"
    return held(f"coalesce({text(column('surname'))}, {whole})")


def given_name() -> Stepped:
    """The given names: their own column, or the rest of a full name."""
    name = text(column("name"))
    whole = f"(case when contains({name}, ',') then trim(split_part({name}, ',', 2)) else trim(regexp_replace({name}, '\\S+$', '')) end)"
    return held(f"coalesce({text(column('given_name'))}, nullif({whole}, ''))")


def person() -> Stepped:
    """The person's id as given, else 32 hex digits made of family name, given names and day of birth; null where no family name is given.

    ``people_csv`` makes the same key, so a file of warrants and the people in it can be loaded from one and the same export.
    """
    last, first, born = surname(), given_name(), day(column("born_on"))
    made = stable_id(f"upper({last})", f"upper({first})", f"cast({born} as varchar)")
    sql = f"coalesce({text(column('person_id'))}, case when {last} is not null then {made} end)"
    return Stepped(sql, (*last.steps, *first.steps, *held(sql).steps))
