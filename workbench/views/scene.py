"""What travels to a widget: a scene (geometry, sent once) and values (sent for every new colouring), both as bytes.

A packet is ``WBS1``, the length of its head (uint32, little endian), the head (JSON, padded to 8 bytes) and the arrays it names, each
padded to 8 bytes. The head says for every array ``[type, offset, length]``; nothing else is needed to read it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.layers import KINDS, Areas, Cells, Layer, Lines, Points, Wedges, bounds
from workbench.views import figures, theme
from workbench.views.scales import scale_of

Array = np.ndarray[Any, Any]
_TYPES = {"float64": "f8", "float32": "f4", "int32": "i4", "uint8": "u1", "uint32": "u4"}


class Packet:
    """Arrays gathered behind a JSON head."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def add(self, array: Array) -> list[Any]:
        """Take an array in; what comes back stands for it in the head."""
        raw = np.ascontiguousarray(array)
        body = raw.tobytes()
        ref = [_TYPES[raw.dtype.name], self._at, int(raw.size)]
        padded = body + b"\0" * (-len(body) % 8)
        self._parts.append(padded)
        self._at += len(padded)
        return ref

    def to_bytes(self, head: dict[str, Any]) -> bytes:
        """The whole packet."""
        text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 8)
        return b"".join([b"WBS1", struct.pack("<I", len(text)), text, *self._parts])


def read(packet: bytes) -> tuple[dict[str, Any], bytes]:
    """Head and body of a packet (the other way round, for tests and tools)."""
    (length,) = struct.unpack("<I", packet[4:8])
    return json.loads(packet[8 : 8 + length]), packet[8 + length :]


def check(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers as a tuple.

    Raises:
        BadInput: something is not a layer, or two layers share a name (a click could not tell them apart).
    """
    if isinstance(layers, (Cells, Points, Lines, Areas, Wedges)):
        layers = (layers,)
    out = tuple(layers)
    seen: set[str] = set()
    for layer in out:
        if not isinstance(layer, (Cells, Points, Lines, Areas, Wedges)):
            raise BadInput(f"{type(layer).__name__} cannot be drawn; a view draws Cells, Points, Lines, Areas and Wedges (a result's .layers).")
        if layer.name in seen:
            raise BadInput(f"Two layers are called {layer.name!r}; give each its own name, so that a click tells which was meant.")
        seen.add(layer.name)
    return out


def scene(layers: Sequence[Layer], base: Sequence[Layer] = (), *, edition: int = 0) -> bytes:
    """Everything a map widget draws, as one packet. O(vertices); 5,000 cells with streets take some milliseconds."""
    drawn, under = check(layers), check(base)
    packet = Packet()
    described = [{**_describe(layer, packet), "base": True} for layer in under] + [{**_describe(layer, packet), "base": False} for layer in drawn]
    kinds = {k for layer in described for k in layer.get("kinds", ())}
    around = bounds(drawn) or bounds(under)
    return packet.to_bytes({"edition": edition, "theme": theme.for_script(kinds), "bounds": list(around) if around else None, "layers": described})


def values(layers: Sequence[Layer], new: dict[str, tuple[Array, tuple[str, ...]]], *, edition: int = 0) -> bytes:
    """New values (and tips) of some layers, by name; only numbers travel, no geometry.

    Raises:
        NotFound: there is no such layer.
        BadInput: it has no values, or their number differs from its features.
    """
    by_name = {layer.name: layer for layer in layers}
    packet = Packet()
    out = []
    for name, (numbers, tips) in new.items():
        layer = by_name.get(name)
        if layer is None:
            raise NotFound(f"There is no layer called {name!r} to recolour.{did_you_mean(name, by_name)}")
        if not isinstance(layer, (Cells, Areas)):
            raise BadInput(f"Layer {name!r} is {type(layer).__name__}, which has no values to recolour; Cells and Areas have.")
        wanted = len(layer.cells) if isinstance(layer, Cells) else len(layer.polygons)
        if len(numbers) != wanted or (tips and len(tips) != wanted):
            got = len(numbers) if len(numbers) != wanted else len(tips)
            raise BadInput(
                f"{got:,} {'values' if len(numbers) != wanted else 'tips'} for the {wanted:,} features of layer {name!r}; give one each, in its order."
            )
        scale = scale_of(numbers, layer.palette, layer.unit)
        out.append({"name": name, "scale": scale.to_json(), "values": packet.add(np.asarray(numbers, dtype=np.float32)), "tips": list(tips)})
    return packet.to_bytes({"edition": edition, "layers": out})


def _describe(layer: Layer, packet: Packet) -> dict[str, Any]:
    if isinstance(layer, Cells):
        return _cells(layer, packet)
    if isinstance(layer, Points):
        if len(layer.lon) > figures.COUNT_ABOVE:
            cells, note = figures.counted(layer)
            return {**_cells(cells, packet), "note": note, "still": True}
        return _points(layer, packet)
    if isinstance(layer, Lines):
        return {
            **_paths(layer.paths, packet),
            "type": "lines",
            "name": layer.name,
            "ids": list(layer.ids),
            "tips": list(layer.tips),
            "role": layer.role,
            "arrows": layer.arrows,
            "weights": packet.add(np.asarray(layer.weights, dtype=np.float32)),
        }
    if isinstance(layer, Areas):
        return _areas(layer, packet)
    return {**_paths(figures.sectors(layer), packet), "type": "wedges", "name": layer.name, "ids": list(layer.ids), "tips": list(layer.tips)}


def _cells(layer: Cells, packet: Packet) -> dict[str, Any]:
    grid, many = layer.grid, len(layer.cells) > figures.IMAGE_ABOVE
    whole = len(layer.cells) == len(grid) and bool(np.all(np.asarray(layer.cells) == np.arange(len(grid))))
    scale = scale_of(layer.values, layer.palette, layer.unit)
    return {
        "type": "cells",
        "name": layer.name,
        "nx": grid.nx,
        "ny": grid.ny,
        "image": many,
        "scale": scale.to_json(),
        "lattice": packet.add(figures.lattice(grid).astype(np.float64)),
        "cells": None if whole else packet.add(np.asarray(layer.cells, dtype=np.int32)),
        "values": packet.add(np.asarray(layer.values, dtype=np.float32)),
        "tips": [] if many else list(layer.tips),
        "marked": _paths(figures.outline(grid, layer.marked), packet),
        "n_marked": len(layer.marked),
    }


def _points(layer: Points, packet: Packet) -> dict[str, Any]:
    lon, lat = np.asarray(layer.lon, dtype=np.float64), np.asarray(layer.lat, dtype=np.float64)
    keep = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
    each = list(layer.kinds) or [layer.kind] * len(lon)
    kinds = sorted(set(each), key=lambda k: (KINDS.index(k) if k in KINDS else len(KINDS), k))
    code = {k: i for i, k in enumerate(kinds)}
    weights = np.ones(len(lon)) if layer.weights is None else np.nan_to_num(np.asarray(layer.weights, dtype=float), nan=0.0)
    top = float(weights[keep].max()) if len(keep) else 1.0
    size = np.ones(len(lon)) if layer.weights is None or top <= 0 else 0.75 + 1.35 * np.sqrt(np.clip(weights / top, 0, 1))
    return {
        "type": "points",
        "name": layer.name,
        "kinds": kinds,
        "lon": packet.add(lon[keep]),
        "lat": packet.add(lat[keep]),
        "kind": packet.add(np.array([code[each[i]] for i in keep], dtype=np.uint8)),
        "size": packet.add(size[keep].astype(np.float32)),
        "numbers": packet.add(np.array([layer.numbers[i] for i in keep] if layer.numbers else [], dtype=np.int32)),
        "ids": [layer.ids[i] for i in keep],
        "tips": [layer.tips[i] for i in keep] if layer.tips else [],
        "missing": len(lon) - len(keep),
    }


def _areas(layer: Areas, packet: Packet) -> dict[str, Any]:
    rings = [ring for polygon in layer.polygons for ring in polygon.rings]
    parts = np.cumsum([0, *(len(p.rings) for p in layer.polygons)])
    scale = scale_of(layer.values, layer.palette, layer.unit).to_json() if layer.values else None
    return {
        **_paths(rings, packet),
        "type": "areas",
        "name": layer.name,
        "role": layer.role,
        "parts": packet.add(parts.astype(np.uint32)),
        "labels": [p.name for p in layer.polygons],
        "ids": list(layer.ids),
        "tips": list(layer.tips),
        "scale": scale,
        "values": packet.add(np.asarray(layer.values, dtype=np.float32)),
    }


def _paths(paths: Sequence[Array], packet: Packet) -> dict[str, Any]:
    starts = np.cumsum([0, *(len(p) for p in paths)]).astype(np.uint32)
    every = np.concatenate([np.asarray(p, dtype=np.float64)[:, :2] for p in paths]) if len(paths) else np.empty((0, 2))
    return {"lon": packet.add(every[:, 0]), "lat": packet.add(every[:, 1]), "starts": packet.add(starts)}
