"""Lists and objects inside one record, as DuckDB expressions: candidate plates, approaches of a camera, the n-th of equal records.

Like ``loaders.kit.expressions`` every function takes SQL over raw text columns and returns SQL.
"""

from __future__ import annotations

from workbench import plates
from workbench.loaders.kit.expressions import Reading, Stepped, _ref, _step, column, quoted, text


def candidates(expr: str, plate: str, *, scale: float = 0.01, plate_key: str = "plate", confidence_key: str = "confidence") -> dict[str, str]:
    """Columns ``alternatives`` and ``alternative_confidences`` out of a JSON list of objects.

    Args:
        expr: the raw column, e.g. [{"plate": "ABC123", "confidence": 93.1}, ...].
        plate: SQL of the plate that was chosen, in normal form; it is left out, and so is what is no plate or stands twice.
        scale: what a confidence is multiplied with to lie between 0 and 1.
    """
    shape = f'[{{"{plate_key}":"VARCHAR","{confidence_key}":"VARCHAR"}}]'
    listed = f"from_json(try_cast({expr} as json), {quoted(shape)})"
    one = f"{{'p': {plates.normal_sql(f'x.{plate_key}')}, 'c': try_cast(x.{confidence_key} as double) * {scale}}}"
    return _ranked(expr, f"list_transform({listed}, lambda x: {one})", plate)


def split_candidates(expr: str, confidences: str, plate: str) -> dict[str, str]:
    """The same out of two texts, "ABC123;A8C123" and "0.62;0.41"; parted by ; | or a blank, confidences in 0 to 1 or in percent."""
    names = _parted(expr)
    sure = f"coalesce({_parted(confidences)}, [])"
    one = f"{{'p': {plates.normal_sql('x')}, 'c': {_share(f'try_cast({sure}[i] as double)')}}}"
    return _ranked(expr, f"list_transform({names}, lambda x, i: {one})", plate)


def percent(expr: str) -> Reading:
    """A percentage as 0 to 1."""
    value = f"try_cast({expr} as double)"
    return Reading.of(f"(case when {value} between 0 and 100 then {value} / 100 end)", text(expr))


def share(expr: str) -> Reading:
    """A confidence as 0 to 1, given so or in percent: what is above 1 is percent."""
    value = f"try_cast(rtrim({expr}, '% ') as double)"
    return Reading.of(_share(value), text(expr))


def gathered(*exprs: str) -> str:
    """A list of those texts that are there; null where none is."""
    listed = f"list_filter([{', '.join(exprs)}], lambda x: x is not null)"
    return f"(case when len({listed}) > 0 then {listed} end)"


def parted(expr: str) -> str:
    """A list out of a text whose parts stand between ; , or |, with blanks trimmed; null where nothing is given."""
    listed = f"list_filter(list_transform(regexp_split_to_array({text(expr)}, '[;,|]'), lambda x: trim(x)), lambda x: x <> '')"
    return f"(case when len({listed}) > 0 then {listed} end)"


def nth(*exprs: str) -> str:
    """Which of several records with the same values a record is, as text: "1" for the first in its file, "2" for the next.

    For files whose records have no id and may truly repeat: with it in a ``stable_id`` each of them is kept, and the same file loaded
    again still adds nothing. Files up to 16 MB: a larger one is mapped in pieces, in each of which counting starts anew.
    """
    return f'cast(row_number() over (partition by {", ".join(exprs)} order by {column("#record")}) as varchar)'


def _ranked(given: str, pairs: str, plate: str) -> dict[str, str]:
    """Likeliest first, without the chosen plate and without repeats; one step that both columns share."""
    others = f"list_filter({pairs}, lambda x: x.p is not null and x.p is distinct from {plate})"
    order = "lambda x, i: {'c': -x.c, 'i': i, 'p': x.p}"
    likeliest = f"list_sort(list_transform({others}, {order}))"
    once = (f"list_transform([{likeliest}], lambda had: list_filter(had, lambda x, i: "
            "i = 1 or list_position(list_transform(had, lambda y: y.p), x.p) = i))[1]")
    once = f"(case when {given} is not null then {once} end)"
    step = (_step(once), once)
    held = _ref(step[0])

    def picked(value: str, member: str) -> str:
        return f"(case when len({value}) > 0 then list_transform({value}, lambda x: {member}) end)"

    return {name: Stepped(picked(once, m), (step,), picked(held, m)) for name, m in (("alternatives", "x.p"), ("alternative_confidences", "-x.c"))}


def _parted(expr: str) -> str:
    return f"regexp_split_to_array({text(expr)}, '\\s*[;| ]\\s*')"


def _share(value: str) -> str:
    return f"(case when {value} between 0 and 1 then {value} when {value} > 1 and {value} <= 100 then {value} / 100 end)"
