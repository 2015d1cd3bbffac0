"""Places that people know: stations, hospitals, schools, the mall, depots; and what kind of ground lies around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .plane import Floats


@dataclass(frozen=True)
class Place:
    """A named place; ``x``, ``y`` in metres."""

    name: str
    kind: str
    x: float
    y: float

    @property
    def xy(self) -> Floats:
        """Position as an array of shape (2,)."""
        return np.array([self.x, self.y])


PLACES = (
    Place("Fairwater Police Headquarters", "police station", 330, 700),
    Place("South Station", "police station", -620, -1750),
    Place("City Hall", "city hall", 470, 930),
    Place("County Courthouse", "courthouse", 330, 1170),
    Place("Mercy River Hospital", "hospital", -1500, 1560),
    Place("Larkspur Medical Center", "hospital", 3560, 430),
    Place("Prairie Gate Mall", "mall", 3050, 2560),
    Place("Ferry Landing Shops", "mall", -2500, -960),
    Place("Founders High School", "school", -1550, 2500),
    Place("Southbank School", "school", -260, -1450),
    Place("Linden School", "school", 1250, 1750),
    Place("Orchard School", "school", -3700, 2350),
    Place("Stonemill School", "school", 2800, -820),
    Place("Quarry Road School", "school", -3950, -420),
    Place("Fairwater Technical College", "college", -1250, 3560),
    Place("Memorial Stadium", "stadium", 2050, 560),
    Place("Union Street Station", "rail station", 1220, 240),
    Place("City Bus Depot", "bus depot", 1650, -1480),
    Place("Central Transfer", "bus station", 150, 420),
    Place("River Cold Storage", "warehouse", 1250, -1780),
    Place("Parcel Hub", "warehouse", 2850, -2280),
    Place("Northfield Fire Station", "fire station", 260, 3150),
    Place("Bypass Fuel Stop", "fuel station", -2290, -2700),
    Place("Public Library", "library", -200, 980),
    Place("Fairwater Airfield", "airfield", -5200, 3050),
)


def near(kind: str, xy: Floats, reach: float) -> Floats:
    """How strongly each point feels the places of a kind: 1 at one, falling with distance over ``reach`` metres."""
    spots = np.array([p.xy for p in PLACES if p.kind == kind])
    away = np.hypot(*np.moveaxis(xy[:, None, :] - spots, 2, 0)).min(axis=1)
    return np.asarray(np.exp(-((away / reach) ** 2)))
