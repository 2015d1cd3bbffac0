"""What a table needs beside matched columns: expressions, ids, offence codes, addresses in parts, and what must be said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench import schema
from workbench.intake import propose_express, propose_times, propose_words
from workbench.intake.propose_match import Match
from workbench.intake.propose_state import Proposed, Settled, State
from workbench.intake.propose_units import Unit
from workbench.intake.sniff import Profile
from workbench.intake.sniff_places import Spot
from workbench.loaders.kit.mapped import PLACE

#: Fixed values for what must be given and is not in the file: column -> (expression, what is said of it).
_FIXED = {
    ("reads", "reader"): ("const({name})", "Nothing names the reader; all reads are put down to one."),
    ("hotlist", "reason"): ('const("not given")', "Nothing says why a plate is wanted."),
    ("cameras", "kind"): ('const("street")', "Nothing says what kind of cameras these are; they are put down as street cameras."),
    ("warrants", "status"): ('const("active")', "Nothing says the state of the warrants; they are put down as active."),
    ("events", "kind"): ("const({name})", "Nothing says what kind of events these are."),
    ("posts", "platform"): ("const({name})", "Nothing says where it was posted."),
}
_ASKED = {
    ("posts", "case_number"): ("case_number", "the case for which the posts were collected"),
    ("posts", "legal_basis"): ("legal_basis", "what allowed collecting them"),
}


def settle(
    table: schema.Table, matches: Mapping[str, Match], units: Sequence[Unit], found: Mapping[str, Profile], spot: Spot | None, zone: str, name: str
) -> Settled:
    """Turn matches into columns, and add what the table must have beside them."""
    state = State(table, dict(matches), units, found, zone, name)
    propose_times.times_told(state)
    express(state)
    if spot is not None:
        place(state, spot)
    address(state)
    propose_times.stand_in(state)
    propose_times.precision(state)
    offences(state)
    approaches(state)
    propose_times.clockwork(state)
    propose_times.order(state)
    identity(state)
    required(state)
    propose_times.lost(state)
    order = {c: i for i, c in enumerate(table.columns)}
    columns = sorted(state.columns.values(), key=lambda c: order.get("lon" if c.column == PLACE else c.column, 999))
    told = list(state.doubts)
    told += [
        f"{c.column} from {' + '.join(c.raw) or 'nothing in the file'} is doubtful: {c.reason}."
        for c in columns
        if c.confidence == "doubtful" and not any(f"({c.column}" in d or d.startswith(" + ".join(c.raw) or "Nothing") for d in told)
    ]
    return Settled(tuple(columns), told, state.lookups, state.asks)


def express(state: State) -> None:
    """Each match as an expression."""
    for column, m in state.matches.items():
        if state.table.columns[column].type == "TIMESTAMPTZ" and not m.unit.profile.given:
            m = replace(m, unit=replace(m.unit, expression=propose_times.like_main(state, m.unit.profile.written)))
        made = propose_express.express(state.table, column, m)
        if made is None:
            continue
        expression, why, extra = made
        hard = [*m.doubts, *extra]
        confidence = "sure" if m.score >= 0.82 and m.runner_score < m.score - 0.05 else "likely" if m.score >= 0.55 else "doubtful"
        if not m.unit.profile.given:
            confidence, hard = "doubtful", [*hard, f"{m.unit.raw[0]} is blank in the rows looked at"]
        elif hard:
            confidence = "doubtful" if any(word in d for d in hard for word in ("tells", "lost", "cannot", "not known", "change places")) else "likely"
        reason = "; ".join([m.reason, *([why] if why else []), *(d.rstrip(".") for d in hard)])
        state.add(column, expression, m.unit.raw, confidence, reason, m.runner_up)
        state.doubts += [f"{' + '.join(m.unit.raw)}: {d}" for d in hard if "its Z" not in d]


def place(state: State, spot: Spot) -> None:
    """Where it happened."""
    state.doubts += spot.doubts
    if spot.expression != "nothing":
        state.add(PLACE, spot.expression, spot.raw, spot.confidence, spot.reason)


def address(state: State) -> None:
    """A street beside its house number, direction and kind, in columns of their own."""
    if "address" not in state.columns or "address" not in state.matches:
        return
    joined = propose_words.address(state.matches["address"].unit.profile, state.found, state.used - {state.columns["address"].raw[0]})
    if joined is not None:
        expression, raw = joined
        state.add("address", expression, raw, "likely", "the parts of the address stand in columns of their own")


def offences(state: State) -> None:
    """Wide and fine wording the right way round, and NIBRS codes by the wording."""
    if state.table.name not in ("incidents", "arrests"):
        return
    if state.table.name == "incidents":
        _wide_and_fine(state)
    if "nibrs" in state.columns:
        had = state.columns["nibrs"]
        state.columns["nibrs"] = replace(had, expression=f'first({had.expression}, const("UNKNOWN"))')
        return
    worded = [state.matches[c].unit.profile for c in ("offence", "offence_detail", "charge", "offence_code") if c in state.matches and c in state.columns]
    made = propose_words.nibrs(worded)
    if made is None:
        state.add("nibrs", 'const("UNKNOWN")', (), "doubtful", "no wording tells the offence")
        state.doubts.append(
            "Offences get no NIBRS code (UNKNOWN): no column has a wording that tells it. Codes of your own go into a table: "
            'nibrs = lookup("Code", nibrs, "UNKNOWN") and [lookup.nibrs].'
        )
        return
    profiles, known = made
    state.add(
        "nibrs",
        f"nibrs({', '.join(p.written for p in profiles)})",
        [p.name for p in profiles],
        "likely",
        f"by the wording: {known:.0%} of the rows looked at get a code",
    )
    if known < 0.9:
        state.doubts.append(f"{1 - known:.0%} of the rows looked at get no NIBRS code by their wording and load as UNKNOWN.")


def _wide_and_fine(state: State) -> None:
    wide, fine = state.columns.get("offence"), state.columns.get("offence_detail")
    if fine is not None and wide is None and len(fine.raw) == 1:
        del state.columns["offence_detail"]
        state.columns["offence"] = replace(fine, column="offence")
        state.matches["offence"] = replace(state.matches["offence_detail"], column="offence")
    elif fine is not None and wide is not None:
        a, b = state.matches["offence"].unit.profile, state.matches["offence_detail"].unit.profile
        told = min(state.matches["offence"].named, state.matches["offence_detail"].named) > 0.6
        if told and a.given > 30 and a.distinct > 1.5 * b.distinct and b.letters > 0.5:
            state.columns["offence"], state.columns["offence_detail"] = replace(fine, column="offence"), replace(wide, column="offence_detail")
            state.matches["offence"], state.matches["offence_detail"] = state.matches["offence_detail"], state.matches["offence"]


def approaches(state: State) -> None:
    """Several columns of approaches of one camera, or of units of one call."""
    for column in ("approaches", "units"):
        if column not in state.columns or len(state.columns[column].raw) != 1:
            continue
        first = state.columns[column].raw[0]
        more = propose_words.siblings(first, state.found, state.used)
        if more:
            written = ", ".join(state.found[n].written for n in (first, *more))
            state.add(column, f"several({written})", (first, *more), "likely", "several columns of one kind")


def identity(state: State) -> None:
    """The key: the agency's own id where one names a row, else one made of the row's values."""
    key = state.table.key[0]
    if len(state.table.key) > 1 or not key.endswith("_id"):
        return
    had = state.columns.get(key)
    if had is not None:
        _repeated(state, key, had)
        return
    raw = [n for n in state.found if n in state.used - set(state.columns["revised_at"].raw if "revised_at" in state.columns else ())]
    if not raw:
        return
    state.add(key, f"id({', '.join(state.found[n].written for n in raw)})", raw, "likely", "no column is an id, so the row's own values make one")
    state.doubts.append(
        f"No column is an id of the row; {key} is made of {', '.join(raw[:6])}{' ...' if len(raw) > 6 else ''}. Rows alike in all of them count as one, "
        "and a row that the agency changes later counts as a new one."
    )


def _repeated(state: State, key: str, had: Proposed) -> None:
    """An id that several different rows share: they are numbered; rows alike but for nothing count as one."""
    if len(had.raw) != 1:
        return
    profile = state.found[had.raw[0]]
    repeats = profile.given - profile.distinct
    if not repeats or profile.given < 8:
        return
    others = [n for n in state.found if n in state.used - {had.raw[0]} and n not in (state.columns["revised_at"].raw if "revised_at" in state.columns else ())]
    rows = {(v, *(state.found[n].values[i] for n in others)) for i, v in enumerate(profile.values) if v is not None}
    differing = len(rows) - profile.distinct
    said = f"{had.raw[0]} repeats in {repeats:,} of {profile.given:,} rows"
    if differing < 0.5 * repeats or (state.table.name != "incidents" and repeats < 0.02 * profile.given):
        state.doubts.append(f"{said}; a later row replaces an earlier one, and rows wholly alike count once.")
        return
    state.add(
        key,
        f"numbered({profile.written})",
        had.raw,
        "likely" if repeats < 0.2 * profile.given else "doubtful",
        f"{had.reason}; it repeats in rows that differ, so the second gets /2 behind it",
    )
    state.doubts.append(
        f"{said} that differ (several victims or offences?), so each row is kept: the second of an id gets /2 behind it. "
        f"If they are editions of one row, write text({profile.written})."
    )
    if "report_number" in state.table.columns and "report_number" not in state.columns:
        state.add("report_number", f"text({profile.written})", had.raw, "likely", "an id that several rows share")


def required(state: State) -> None:
    """What the table must have and no column gives."""
    if state.table.name == "reads" and "plate" in state.columns and "plate_raw" not in state.columns:
        raw = state.columns["plate"].raw
        state.add("plate_raw", f"text({state.found[raw[0]].written})", raw, state.columns["plate"].confidence, "the plate as the reader gave it")
    for column, about in state.table.columns.items():
        if not about.required or column in state.columns:
            continue
        if (state.table.name, column) in _FIXED:
            written, said = _FIXED[state.table.name, column]
            kind = propose_words.camera_kind(state.name) if column == "kind" and state.table.name == "cameras" else ""
            state.add(
                column,
                f'const("{kind}")' if kind else written.format(name=json.dumps(state.name)),
                (),
                "likely" if kind else "doubtful",
                "told from the file's name" if kind else said.rstrip("."),
            )
            state.doubts.append(said if not kind else f"Nothing says the kind of camera; the file's name says {kind}.")
        elif (state.table.name, column) in _ASKED:
            word, what = _ASKED[state.table.name, column]
            state.asks[word] = what
            state.add(column, f'text(said("{word}"))', (), "sure", f"asked for with each load: --set {word}=...")
        else:
            state.doubts.append(
                f"Nothing in the file says {about.help} ({column}), which {state.table.name} must have. It cannot be loaded until a line for it is written."
            )
