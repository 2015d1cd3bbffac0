"""Burglary-like crimes with a window of time and three marks of MO (made up by the authors of the R package crimelinkage)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, said, text
from workbench.loaders.kit.times import on_clock

_MARKS = ("MO1", "MO2", "MO3")
_X, _Y = f"try_cast({column('X')} as double)", f"try_cast({column('Y')} as double)"
_POINT = f"(case when {said('crs')} is not null and isfinite({_X}) and isfinite({_Y}) then planar_degrees({said('crs')}, {_X}, {_Y}) end)"
_MO = ", ".join(f"'{m}=' || {text(column(m))}" for m in _MARKS)

SOURCE = Source(
    name="crimelinkage_burglaries",
    title="Linked burglaries of the R package crimelinkage (made up)",
    zone="UTC",
    columns=("crimeID", "X", "Y", "DATE_FROM", "TIME_FROM", "DATE_TO", "TIME_TO", *_MARKS),
    takes={"crs": "the projected CRS that X and Y are in, e.g. EPSG:26985; without it the crimes have no place"},
    parts=(
        Part("incidents", {
            "incident_id": text(column("crimeID")),
            "report_number": text(column("crimeID")),
            "started_at": on_clock(column("DATE_FROM"), column("TIME_FROM"), "%Y-%m-%d"),
            "ended_at": on_clock(column("DATE_TO"), column("TIME_TO"), "%Y-%m-%d"),
            "offence": "'BURGLARY'",
            "nibrs": "'220'",
            "mo": f"nullif(concat_ws(' ', {_MO}), '')",
            "lon": Reading.of(f"{_POINT}[1]", text(column("X")), probe=_X),
            "lat": Reading.of(f"{_POINT}[2]", text(column("Y")), probe=_Y),
        }),
    ),
    notes=(
        "The crimes are fictitious: no city, no time zone (taken as UTC), coordinates in metres of no named CRS; with --set crs=... they get a place.",
        "From and to are a window: a day and four digits each. MO marks are kept as MO1=6 MO2=a MO3=J.",
    ),
)
