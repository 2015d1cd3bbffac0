"""What can be drawn keeps its features, ids and tips together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.errors import BadInput
from workbench.geo import Grid, Plane, Polygon
from workbench.layers import Areas, Cells, Lines, Points, Wedges, bounds

GRID = Grid(Plane.local(41.6, -90.9), 0, 0, 4, 3, 250)


def points(**more: object) -> Points:
    return Points("scenes", np.array([-90.9, -90.8]), np.array([41.6, 41.7]), ("a", "b"), **more)


def test_nothing_drawn_has_no_bounds() -> None:
    assert bounds(()) is None
    assert bounds((Points("none", np.array([math.nan]), np.array([math.nan]), ("a",)),)) is None


def test_bounds_hold_every_kind_of_layer() -> None:
    layers = (
        Cells("risk", GRID, np.array([0, 11]), np.array([1.0, 2.0])),
        points(),
        Lines("tracks", (np.array([[-91.0, 41.5], [-90.95, 41.55]]),)),
        Areas("beats", (Polygon.box(-90.7, 41.4, -90.6, 41.5),)),
        Wedges("cameras", np.array([-90.5]), np.array([41.9]), np.array([0.0]), np.array([60.0]), np.array([50.0])),
    )
    assert bounds(layers) == pytest.approx((-91.0, 41.4, -90.5, 41.9))
    west, south, east, north = bounds(layers[:1]) or (0, 0, 0, 0)
    assert (west, south) == pytest.approx((-90.9, 41.6)) and east > west and north > south


def test_a_missing_position_does_not_move_the_bounds() -> None:
    layer = Points("scenes", np.array([-90.9, math.nan]), np.array([41.6, 41.0]), ("a", "b"))
    assert bounds((layer,)) == (-90.9, 41.6, -90.9, 41.6)


@pytest.mark.parametrize("make", [
    lambda: points(tips=("only one",)),
    lambda: points(kinds=("person", "vehicle", "phone")),
    lambda: Points("x", np.zeros(2), np.zeros(3), ("a", "b")),
    lambda: Points("x", np.zeros(2), np.zeros(2), ("a",)),
    lambda: Cells("x", GRID, np.array([0, 1]), np.array([1.0])),
    lambda: Cells("x", GRID, np.array([0, 1]), np.array([1.0, 2.0]), tips=("a",)),
    lambda: Lines("x", (np.zeros((2, 2)),), ids=("a", "b")),
    lambda: Areas("x", (Polygon.box(0, 0, 1, 1),), values=(1.0, 2.0)),
    lambda: Wedges("x", np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1), ids=("a", "b")),
], ids=range(9))
def test_a_layer_whose_parts_differ_in_number_is_refused(make: object) -> None:
    with pytest.raises(BadInput, match=r"Layer '\w+': \d+ \w+ for \d+ features; give one each or none\."):
        make()
