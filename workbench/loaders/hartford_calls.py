"""Calls for service of the Hartford, Connecticut, police, as the city's data portal exports them."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, joined, text
from workbench.loaders.kit.times import on_clock

_WHO = text(column("call_initiated_by"))

SOURCE = Source(
    name="hartford_calls",
    title="Hartford police calls (city data portal)",
    zone="America/New_York",
    columns=("apno", "date", "time_24hr", "description_1", "description_2", "address", "neighborhood", "call_initiated_by", "priority"),
    parts=(
        Part("calls", {
            "call_id": text(column("apno")),
            "call_type": joined(": ", text(column("description_1")), text(column("description_2"))),
            "category": text(column("description_1")),
            "priority": text(column("priority")),
            "self_initiated": f"(case when upper({_WHO}) = 'OFFICER' then true when upper({_WHO}) = 'CITIZEN' then false end)",
            "call_source": f"lower({_WHO})",
            "received_at": on_clock(column("date"), column("time_24hr")),
            "address": text(column("address")),
            "district": text(column("neighborhood")),
        }),
    ),
    notes=(
        "CALL_INITIATED_BY tells what officers discovered (OFFICER) from what citizens reported (CITIZEN); the former stand outside response figures.",
        "Day and time stand in two columns; the time is four digits that may have lost their leading zeros.",
        "Priority is a letter, A the most urgent. There are no coordinates; the neighborhood is the district.",
    ),
)
