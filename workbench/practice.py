"""A made-up strange export to practise on: what another agency may send, with foreign headers, decimal commas and broken lines."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from workbench import agency as agencies
from workbench.errors import CannotTell
from workbench.geo import Plane

#: Column names as a records system set to Spanish writes them.
HEADER = ("Nº de parte", "Fecha y hora", "Tipo de delito", "Dirección", "X", "Y", "Situación", "Relato")
_ROWS, _DAYS, _END, _SEED = 420, 90, datetime(2026, 6, 30), 7
#: Expected by hour of the day, from midnight: quiet before dawn, busy in the evening.
_HOURS = (20, 15, 10, 7, 4, 4, 6, 10, 16, 20, 22, 24, 28, 28, 28, 30, 34, 38, 42, 42, 38, 34, 30, 26)
#: Offence, how often, and what the reports tell of it.
_KINDS = (
    ("Hurto de bicicleta", 34, ("Bicicleta de montaña sustraída, candado cortado", "Bicicleta eléctrica sustraída del portal", "Candado cortado con cizalla")),
    ("Hurto en vehículo", 22, ("Puerta corredera de la furgoneta forzada", "Ventanilla rota, falta una mochila", "Coche abierto en el callejón")),
    ("Daños", 22, ("Espejos de coches rotos en el callejón", "Pintada en la fachada", "Escaparate roto con una piedra")),
    ("Hurto en comercio", 14, ("Oculta dos botellas en la mochila", "Sale sin pagar, huye en bicicleta")),
    ("Incidencia varia", 8, ("Objeto hallado y entregado", "Molestias por ruido")),
)
#: So many reports have no place of their own: the sender's geocoder put them on its own office.
_AT_THE_OFFICE = 28


def strange_export(workspace: Path) -> Path:
    """Write ``exports/partes_2026_2.csv`` into a workspace and return it; the same bytes whenever it is called.

    Semicolons, Windows-1252, day first, wall clocks of the agency, metres with a decimal comma (UTM, NAD83), on streets of the agency's own map.
    Planted: 2 lines cut short, 2 impossible days, 1 line without a number, 2 lines twice, 3 without a position, 28 on one point.

    Raises:
        CannotTell: the agency has no map of streets with names.
    """
    agency = agencies.read(workspace)
    streets = [(str(f["properties"]["name"]), np.asarray(f["geometry"]["coordinates"], dtype=float)[:, :2])
               for f in agency.features("streets") if (f.get("properties") or {}).get("name") and f["geometry"]["type"] == "LineString"]
    if not streets:
        raise CannotTell("This agency has no map of named streets, so there is nowhere to put made-up reports; try it in the made-up city.")
    lines = _lines(streets)
    target = workspace / "exports" / "partes_2026_2.csv"
    target.parent.mkdir(exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.write_bytes("".join(f"{line}\r\n" for line in (";".join(HEADER), *lines)).encode("cp1252"))
    os.replace(part, target)
    return target


def _lines(streets: list[tuple[str, np.ndarray]]) -> list[str]:
    """The records as text, the broken ones among them."""
    rng = np.random.default_rng(_SEED)
    west = float(streets[0][1][0, 0])
    plane = Plane(f"EPSG:269{int((west + 180) // 6) + 1:02}")
    share = np.array([weight for _, weight, _ in _KINDS], dtype=float)
    hours = np.array(_HOURS, dtype=float)
    at = sorted(_END - timedelta(days=float(d), hours=-int(h), minutes=-int(m)) for d, h, m in zip(
        rng.integers(1, _DAYS, _ROWS), rng.choice(24, _ROWS, p=hours / hours.sum()), rng.integers(0, 60, _ROWS), strict=True))
    office = set(rng.choice(np.arange(20, _ROWS), _AT_THE_OFFICE, replace=False).tolist())
    nowhere = {41, 160, 288}
    rows: list[list[str]] = []
    for i, moment in enumerate(at):
        kind, _, tales = _KINDS[int(rng.choice(len(_KINDS), p=share / share.sum()))]
        street, path = streets[int(rng.integers(len(streets)))]
        k, along, house = int(rng.integers(len(path) - 1)), float(rng.random()), int(rng.integers(1, 60)) * 10
        spot = path[k] + along * (path[k + 1] - path[k])
        if i in office:
            spot = streets[0][1][len(streets[0][1]) // 2]
        x, y = (float(v) for v in plane.to_metres(*spot))
        where = ["", ""] if i in nowhere else [f"{x:.1f}".replace(".", ","), f"{y:.1f}".replace(".", ",")]
        tale, state = tales[int(rng.integers(len(tales)))], ("Abierto", "Archivado", "Abierto")[int(rng.integers(3))]
        rows.append([f"26/{10001 + i}", f"{moment:%d/%m/%Y %H:%M}", kind, f"{house} {street}", *where, state, tale])
    rows[77][1], rows[301][1] = "31/06/2026 12:30", "00/05/2026 08:15"
    rows[205][0] = ""
    rows[120], rows[333] = rows[120][:4], rows[333][:3]
    return [";".join(row) for row in (*rows[:250], rows[90], *rows[250:], rows[400])]
