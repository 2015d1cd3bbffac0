"""Who committed which of the linked burglaries (made up by the authors of the R package crimelinkage)."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, stable_id, text

_WHO, _WHAT = text(column("offenderID")), text(column("crimeID"))

SOURCE = Source(
    name="crimelinkage_offenders",
    title="Offenders of the linked burglaries of the R package crimelinkage (made up)",
    columns=("offenderID", "crimeID"),
    parts=(
        Part("involvements", {
            "involvement_id": f"(case when {_WHO} is not null and {_WHAT} is not null then {stable_id(_WHO, _WHAT)} end)",
            "incident_id": _WHAT,
            "entity_kind": "'person'",
            "entity_id": _WHO,
            "role": "'suspect'",
        }),
    ),
    notes=("The persons are fictitious. Two thirds of the pairs name crimes that are not in the file of crimes; they are kept.",),
)
