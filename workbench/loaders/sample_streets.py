"""Streets of Fairwater, the made-up city, with house numbers, as a county's street file."""

from dataclasses import replace

from workbench.loaders import streets_geojson

SOURCE = replace(
    streets_geojson.SOURCE,
    name="sample_streets",
    title="Fairwater (made-up city): streets with house numbers",
    formats=("geojson",),
    takes={},
    notes=("Numbers count from the city's middle, even on the left; N, S, E and W say on which side of it a street lies.",),
)
