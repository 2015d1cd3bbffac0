"""Closed roads of Fairwater, the made-up city."""

from dataclasses import replace

from workbench.loaders import closures

SOURCE = replace(
    closures.SOURCE,
    name="sample_closures",
    title="Fairwater (made-up city): closed roads",
    zone="America/Chicago",
    formats=("csv",),
    delimiter=",",
    encoding="utf-8",
    takes={},
    notes=("Times are wall time of America/Chicago. A closure that ends before it begins is rejected.",),
)
