"""Everything one may move on out of an OpenStreetMap extract (.osm.pbf): streets, and also footways, cycleways, steps and tracks."""

from dataclasses import replace

from workbench.loaders import osm_streets

SOURCE = replace(
    osm_streets.SOURCE,
    name="osm_ways",
    title="OpenStreetMap extract: streets, footways, cycleways, tracks",
    records="all",
    notes=("All ways of the highway key but those that are planned, being built or gone.", *osm_streets.SOURCE.notes[1:]),
)
