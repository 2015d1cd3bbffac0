"""Working folders of loads under way, and the clearing away of what killed loads left behind.

Compactions and resolutions work in such a folder too. They commit one table once, so what is named in its log was whole, and stays.

A load holds a lock on its working folder for as long as its process lives; the system lets go of it however the process ends.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.lake import keys, tables
from workbench.lake.view import View

_WORK = "_work"


def folder(root: Path, batch_id: str) -> Path:
    """Where a load works, on the lake's own disk."""
    return root / _WORK / batch_id


@contextmanager
def working(root: Path, view: View, batch_id: str) -> Iterator[Path]:
    """The folder of one load, held alive; gone afterwards. What a load that failed has moved in already is taken out again."""
    home = folder(root, batch_id)
    with tables.locked(root, _WORK):
        home.mkdir(parents=True)
        alive = (home / "alive").open("a")
        fcntl.flock(alive, fcntl.LOCK_EX)
    with alive:
        try:
            yield home
        except BaseException:
            _clear(root, view, home)
            raise
        shutil.rmtree(home, ignore_errors=True)


def sweep(root: Path, view: View) -> list[str]:
    """Clear away every dead load: its files leave the tables and the disk, unless its batch had become visible. Gives their batches."""
    if not (root / _WORK).is_dir() or not any((root / _WORK).iterdir()):
        return []
    with tables.locked(root, _WORK):
        dead = [home for home in sorted((root / _WORK).iterdir()) if _dead(home)]
        for home in dead:
            _clear(root, view, home)
    return [home.name for home in dead]


def _dead(home: Path) -> bool:
    alive = home / "alive"
    if not alive.exists():
        return True
    with alive.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _clear(root: Path, view: View, home: Path) -> None:
    """Take a batch out of the tables unless it is visible; its folder, which tells of it, goes last."""
    if home.name not in view.visible(view.versions()):
        _remove(root, home.name)
    shutil.rmtree(home, ignore_errors=True)


def _remove(root: Path, batch: str) -> None:
    for table in tables.SHAPES:
        files = list((root / table).glob(f"{batch}-*.parquet"))
        sidecars = keys.gone_file(root, table, batch).exists() or keys.keys_file(root, table, batch).exists()
        if not files and not sidecars or tables.stands(batch) and tables.committed(root, table, batch):
            continue
        with tables.locked(root, table):
            version = tables.latest(root, table)
            listed = tables.listing(root, table, version)[0] if version is not None else []
            committed = [f for f in listed if tables.batch_of(f) == batch]
            if committed:
                tables.append(root, table, [], remove=committed)
            for file in files:
                file.unlink(missing_ok=True)
            keys.forget(root, table, batch)
            shutil.rmtree(root / "_layout" / table / batch, ignore_errors=True)
