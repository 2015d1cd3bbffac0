"""A custom hotlist as a Flock-style system gives it: objects of the list ``entries``, each with plate, reason, case and expiry."""

from workbench import plates
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, member, said, stable_id, text
from workbench.loaders.kit.moments import any_time, until
from workbench.loaders.kit.regions import region

_PLATE = plates.normal_sql(text(column("plate")))
_CASE = text(column("caseNumber"))

SOURCE = Source(
    name="flock_hotlist",
    title="Flock-style custom hotlist (entries JSON)",
    formats=("json", "ndjson"),
    records="entries",
    columns=("plate", "reason", "caseNumber"),
    optional=("id", "state", "expiry", "note"),
    asks={"listed_at": "when the list was drawn up, e.g. 2026-06-15T06:00"},
    takes={"list_name": "what the list is called"},
    parts=(
        Part("hotlist", {
            "entry_id": f"coalesce({text(column('id'))}, {stable_id(_PLATE, _CASE, text(column('reason')))})",
            "plate": _PLATE,
            "region": region(column("state")),
            "list_name": said("list_name"),
            "reason": f"concat_ws('; ', {text(column('reason'))}, {text(member(column('note'), '$.message'))})",
            "report_number": _CASE,
            "valid_from": any_time(said("listed_at")),
            "valid_to": until(column("expiry")),
            "listed_at": any_time(said("listed_at")),
        }, reject=((f"{text(column('reason'))} is null", "no reason"),)),
    ),
    notes=(
        "The list does not say when an entry was made, so it counts from when the list was drawn up, which must be said with the load.",
        "An expiry that is a day alone counts to the end of that day.",
        "A note stands behind the reason.",
    ),
)
