"""What of a record is compared, and how: roles of columns, how values are made alike, levels of agreement, and the keys that bring two records together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from workbench import schema
from workbench.errors import BadInput, did_you_mean

#: role -> how it is compared. A role that no column fills is left out.
ROLES: dict[str, dict[str, str]] = {
    "person": {
        "given_name": "given",
        "surname": "surname",
        "born_on": "date",
        "number": "number",
        "phone": "number",
        "house": "house",
        "street": "text",
        "place": "text",
        "postcode": "postcode",
        "occupation": "text",
        "height": "measure",
    },
    "vehicle": {"vin": "number", "plate": "number", "region": "same", "make": "text", "model": "text", "body": "text", "colour": "same", "year": "same"},
    "address": {"house": "house", "street": "text", "unit": "same", "place": "text", "postcode": "postcode", "position": "position"},
}
#: Where a role is looked for when the caller names no columns: our own tables, then names that exports use.
_USUAL: dict[str, tuple[str, ...]] = {
    "given_name": ("given_name", "first_name"),
    "surname": ("surname", "last_name"),
    "born_on": ("born_on", "date_of_birth", "dob"),
    "number": ("soc_sec_id", "licence_number", "id_number", "number"),
    "phone": ("phone",),
    "house": ("house", "street_number"),
    "street": ("street", "address_1", "address"),
    "unit": ("unit",),
    "place": ("place", "suburb", "city", "birth_place"),
    "postcode": ("postcode", "zip", "postcode_fake"),
    "occupation": ("occupation",),
    "height": ("height_cm",),
}
_ID = {
    "person": ("person_id", "record_id", "rec_id", "unique_id"),
    "vehicle": ("vehicle_id", "record_id", "unique_id"),
    "address": ("address_id", "record_id", "unique_id"),
}
#: Keys of candidate pairs, by kind: a pair is looked at when all parts of one rule agree; "given_name:3" is its first three characters.
_RULES: dict[str, tuple[tuple[str, ...], ...]] = {
    "person": (
        ("number",),
        ("phone",),
        ("surname", "born_on"),
        ("given_name", "born_on"),
        ("given_name", "surname"),
        ("house", "street"),
        ("born_on", "postcode"),
        ("given_name", "postcode"),
        ("surname", "postcode"),
        ("house", "postcode"),
        ("street", "postcode"),
        ("born_on", "place"),
        ("given_name:3", "surname:4"),
        ("surname", "born_on:4"),
        ("given_name", "born_on:6"),
        ("given_name:2", "surname:2", "born_on:4"),
    ),
    "vehicle": (("vin",), ("plate",), ("plate:4", "make"), ("plate:-4", "make"), ("plate:2", "plate:-3"), ("vin:8", "model"), ("vin:-6",)),
    "address": (("house", "street"), ("house", "street:4"), ("street", "position:0"), ("position:0", "house"), ("position:1", "house"), ("house", "postcode")),
}
#: Rules over which the model is trained, in this order, as far as their columns are there.
_TRAINED: dict[str, tuple[tuple[str, ...], ...]] = {
    "person": (("number",), ("phone",), ("given_name", "surname"), ("surname", "born_on"), ("given_name", "born_on")),
    "vehicle": (("vin",), ("plate",), ("make", "model", "colour")),
    "address": (("house", "street"), ("position:0", "house"), ("street", "position:0")),
}
#: Short forms of given names; each row is one name.
_SHORT = (
    "alexander alex sandy",
    "andrew andy drew",
    "anthony tony",
    "barbara barb babs",
    "benjamin ben",
    "catherine katherine kate cathy kathy katie",
    "charles charlie chuck",
    "christopher chris kit",
    "daniel dan danny",
    "david dave",
    "deborah deb debbie",
    "donald don",
    "edward ed eddie ned ted",
    "elizabeth beth betty liz lizzie eliza",
    "francis frank",
    "frederick fred freddie",
    "george georgie",
    "gerald gerry jerry",
    "gregory greg",
    "guillermo memo",
    "harold hal",
    "henry harry hank",
    "james jim jimmy jamie",
    "jennifer jen jenny",
    "jessica jess",
    "john jack johnny",
    "jonathan jon",
    "jose pepe",
    "joseph joe joey",
    "joshua josh",
    "kenneth ken",
    "lawrence larry",
    "leonard len lenny",
    "margaret maggie meg peggy",
    "matthew matt",
    "michael mike mick",
    "nicholas nick",
    "pamela pam",
    "patricia pat patty tricia",
    "patrick paddy",
    "peter pete",
    "philip phil",
    "raymond ray",
    "rebecca becky",
    "richard dick rick rich",
    "robert bob rob bobby",
    "ronald ron",
    "samuel sam",
    "stephen steven steve",
    "susan sue",
    "thomas tom tommy",
    "timothy tim",
    "victoria vicky",
    "walter walt",
    "william bill will billy",
    "francisco paco",
    "eleanor nell nellie",
    "albert bert al",
    "arthur art",
    "abraham abe",
    "augustus gus",
    "mary molly polly",
    "martha patty",
    "sarah sally",
)
_ROOT = {short: words[0] for words in (row.split() for row in _SHORT) for short in words[1:]}
_DAY = "%Y%m%d"
#: What a role is called in reasons, where that is not its name.
WORDS = {"born_on": "birth date"}


@dataclass(frozen=True)
class Fields:
    """Which column of the records fills which role, for one kind; ``record`` names each row, ``across`` its file."""

    kind: str
    record: str
    columns: dict[str, str]
    across: str | None = None

    @property
    def roles(self) -> list[str]:
        """The roles that are compared, in a fixed order."""
        return [role for role in ROLES[self.kind] if role in self.columns]

    def rules(self, *, trained: bool = False) -> list[tuple[str, ...]]:
        """The rules whose roles are there."""
        rules = (_TRAINED if trained else _RULES)[self.kind]
        return [rule for rule in rules if all(part.split(":")[0] in self.columns for part in rule)]


def fields(records: pl.DataFrame, kind: str, columns: Mapping[str, str] | None, across: str | None) -> Fields:
    """Find which columns fill the roles of a kind.

    Raises:
        BadInput: unknown kind or role, a column that is not there, or too few that can be compared.
    """
    if kind not in ROLES:
        raise BadInput(f"Identities of kind {kind!r} are not resolved.{did_you_mean(kind, ROLES)}")
    wanted = {"record_id", *ROLES[kind]}
    for role, column in (columns or {}).items():
        if role not in wanted:
            raise BadInput(f"{role!r} is no role of a {kind}; roles are {', '.join(sorted(wanted))}.{did_you_mean(role, wanted)}")
        if role != "position":
            schema.require(records, column, what="The records frame")
    if across is not None:
        schema.require(records, across, what="The records frame")
    given = dict(columns or {})
    record = given.pop("record_id", None) or next((c for c in _ID[kind] if c in records.columns), None)
    if record is None:
        raise BadInput(f"The records frame has no column that names each record; it should be {_ID[kind][0]!r}, or say columns={{'record_id': ...}}.")
    if not given:
        for role in ROLES[kind]:
            found = next((c for c in _USUAL.get(role, (role,)) if c in records.columns and c != record), None)
            if found is not None:
                given[role] = found
        if kind == "address" and {"lon", "lat"} <= set(records.columns):
            given["position"] = "lon"
    if kind == "address" and "street" in given:
        given.setdefault("house", given["street"])  # one column for both: the house number is what it begins with
    if len(given) < 2:
        raise BadInput(
            f"Of the columns that tell one {kind} from another only {sorted(given) or 'none'} is there; two or more are needed of: "
            f"{', '.join(ROLES[kind])}. Other names are given by columns={{role: column}}."
        )
    made = Fields(kind, record, given, across)
    if not made.rules():
        raise BadInput(
            f"With {', '.join(made.roles)} alone no two records of a {kind} can be brought together; one of these is needed: "
            + "; ".join(" with ".join(p.split(":")[0] for p in rule) for rule in _RULES[kind][:4])
            + "."
        )
    return made


def _plain(column: pl.Expr) -> pl.Expr:
    """Lower case, no accents, one blank between words, null when nothing is left."""
    text = column.cast(pl.String).str.to_lowercase().str.normalize("NFKD").str.replace_all(r"\p{M}+", "")
    text = text.str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars(" ")
    return pl.when(text != "").then(text)


def _letters(column: pl.Expr) -> pl.Expr:
    text = column.cast(pl.String).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", "")
    return pl.when(text != "").then(text)


def _date(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, (pl.Date, pl.Datetime)):
        return column.dt.strftime(_DAY)
    digits = column.cast(pl.String).str.replace_all(r"[^0-9]", "")
    return pl.when(digits.str.len_chars() >= 4).then(digits)


def prepared(records: pl.DataFrame, made: Fields) -> pl.DataFrame:
    """``record_id``, ``file`` and one text column a role, made alike; in order of record_id, so that the order of the rows changes nothing.

    Raises:
        BadInput: a record without id, or two with the same.
    """
    parts = [pl.col(made.record).cast(pl.String).alias("record_id")]
    if made.across is not None:
        parts.append(pl.col(made.across).cast(pl.String).alias("file"))
    how, columns = ROLES[made.kind], dict(made.columns)
    splits = made.kind == "address" and "street" in columns and columns.get("house") == columns["street"]
    for role in made.roles:
        column = pl.col(columns[role])
        if how[role] == "date":
            value = _date(column, records.schema[columns[role]])
        elif how[role] in ("number", "postcode"):
            value = _letters(column)
        elif how[role] == "measure":
            value = column.cast(pl.Float64, strict=False).round(0).cast(pl.Int64).cast(pl.String)
        elif how[role] == "position":
            value = _position()
        else:
            value = _plain(column)
        parts.append(value.alias(role))
    frame = records.select(parts)
    if splits:
        frame = frame.with_columns(house=pl.col("street").str.extract(r"^(\d+\w?)\b"), street=pl.col("street").str.replace(r"^\d+\w?\s+(block\s+)?", ""))
    if "given_name" in made.columns:
        frame = frame.with_columns(root=pl.col("given_name").replace(_ROOT))
    if frame["record_id"].null_count():
        raise BadInput(f"{frame['record_id'].null_count():,} of the records have no {made.record!r}; every record needs one.")
    frame = frame.sort("record_id")
    if frame.height > 1 and (frame["record_id"] == frame["record_id"].shift(1)).any():
        twice = frame.filter(pl.col("record_id") == pl.col("record_id").shift(1))["record_id"][0]
        raise BadInput(f"Record {twice!r} is there twice; give one row a record (the lake's own frames do).")
    return frame


def _position() -> pl.Expr:
    """Two squares of about 200 m, half a square apart, "x1 y1|x2 y2", and the place itself to about a metre."""
    lon, lat = pl.col("lon").cast(pl.Float64), pl.col("lat").cast(pl.Float64)
    ok = lon.is_finite() & lat.is_finite()

    def square(shift: float) -> pl.Expr:
        return pl.concat_str([((lon / 0.0024) + shift).floor().cast(pl.Int64), ((lat / 0.0018) + shift).floor().cast(pl.Int64)], separator=" ")

    here = pl.concat_str([lon.round(5), lat.round(5)], separator=" ")
    return pl.when(ok).then(pl.concat_str([square(0.0), square(0.5), here], separator="|"))


def key(rule: Iterable[str]) -> pl.Expr:
    """The key of a rule as a u64, null where a part is missing."""
    parts = []
    for part in rule:
        role, _, cut = part.partition(":")
        column = pl.col(role)
        if role == "position":
            column = column.str.split("|").list.get(int(cut or 2))
        elif cut.startswith("-"):
            column = column.str.tail(int(cut[1:]))
        elif cut:
            column = column.str.head(int(cut))
        parts.append(column)
    whole = pl.all_horizontal([p.is_not_null() for p in parts])
    return pl.when(whole).then(pl.struct([p.alias(str(i)) for i, p in enumerate(parts)]).hash(seed=7))


def comparison(role: str, how: str, roles: Iterable[str]) -> list[tuple[str, str]]:
    """(words, condition in DuckDB) of the levels of agreement of a role, the strongest first; nulls and "differ" are left out.

    The first level is equality; it alone is weighed by how common the value is.
    """
    left, right = f"{role}_l", f"{role}_r"
    named, near = WORDS.get(role, role.replace("_", " ")), "jaro_winkler_similarity(" + left + ", " + right + ") >= "
    typo = f"damerau_levenshtein({left}, {right}) <= "
    levels = [(f"same {named}", f"{left} = {right}")]
    if how == "given":
        shorter = f"(starts_with({left}, {right}) or starts_with({right}, {left}))"
        levels += [
            (f"short form of the {named}", f"root_l = root_r or {shorter}"),
            (f"{named} spelt alike", near + "0.88"),
            (f"{named} somewhat alike", near + "0.78"),
        ]
    if how == "surname":
        levels += [(f"{named} spelt alike", near + "0.92")]
    if how in ("given", "surname") and {"given_name", "surname"} <= set(roles):
        levels += [
            (
                "names swapped",
                "given_name_l = surname_copy_r and surname_copy_l = given_name_r"
                if how == "given"
                else "surname_l = given_copy_r and given_copy_l = surname_r",
            )
        ]
    if how == "surname":
        levels += [(f"{named} somewhat alike", near + "0.8")]
    if how == "date":
        turned = f"substr({left}, 5, 2) = substr({right}, 7, 2) and substr({left}, 7, 2) = substr({right}, 5, 2) and length({left}) = 8"
        levels += [
            (f"{named} one character off", typo + "1"),
            (f"{named} with day and month turned", f"{turned} and substr({left}, 1, 4) = substr({right}, 1, 4)"),
            (f"{named} two characters off", typo + "2"),
            ("same birth year", f"substr({left}, 1, 4) = substr({right}, 1, 4)"),
        ]
    if how == "number":
        levels += [(f"{named} one character off", typo + "1"), (f"{named} two characters off", typo + "2")]
    if how == "house":
        levels += [(f"{named} one character off", f"length({left}) > 1 and length({right}) > 1 and {typo}1")]
    if how == "postcode":
        levels += [(f"{named} one character off", typo + "1"), (f"same start of the {named}", f"substr({left}, 1, 3) = substr({right}, 1, 3)")]
    if how == "text":
        levels += [(f"{named} spelt alike", near + "0.9"), (f"{named} somewhat alike", near + "0.75")]
    if how == "measure":
        levels += [(f"{named} within 3", f"abs({left}::int - {right}::int) <= 3"), (f"{named} within 6", f"abs({left}::int - {right}::int) <= 6")]
    if how == "position":
        part = "split_part(split_part({}, '|', 3), ' ', {})::double"
        apart = "sqrt(pow(({0} - {1}) * 111320 * cos(radians({2})), 2) + pow(({2} - {3}) * 111320, 2))".format(
            part.format(left, 1), part.format(right, 1), part.format(left, 2), part.format(right, 2)
        )
        levels += [("within 30 m", f"{apart} <= 30"), ("within 150 m", f"{apart} <= 150")]
    return levels
