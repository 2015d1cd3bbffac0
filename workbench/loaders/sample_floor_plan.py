"""The floor plan of a school of Fairwater, the made-up city."""

from dataclasses import replace

from workbench.loaders import floor_plan

SOURCE = replace(
    floor_plan.SOURCE,
    name="sample_floor_plan",
    title="Fairwater (made-up city): floor plan of a school",
    formats=("geojson",),
    takes={},
    notes=("Two floors with rooms, corridors, doors, stairs, a lift and exits; doors and stairs say what they lead to.",),
)
