"""Files that are dropped into a folder: each is loaded once it is complete, then moved to ``done/`` or ``failed/``.

A file is complete when its size and time have not changed for a while; names that begin with a dot or end in .part, .tmp and the like
are left alone. A file that was loaded and not yet moved when the watcher was killed is loaded again, which adds nothing (its bytes are
known), and then moved.
"""

from __future__ import annotations

import fnmatch
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.intake.watch_config import Folder
from workbench.lake.report import LoadReport

UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".swp", "~")
#: Seconds between two looks.
LOOK = 0.5
#: Tries of a load that fails for another reason than the file, e.g. a full disk, and seconds between them.
TRIES, PAUSE = 5, 10.0


class Drops:
    """Watches the folders of a workspace.

    Args:
        workspace: its folder; paths are relative to it.
        folders: what is watched.
        load: loads one file.
        told: says what was done.
    """

    def __init__(self, workspace: Path, folders: tuple[Folder, ...], load: Callable[[Folder, Path], LoadReport], told: Callable[[str], None]) -> None:
        self._folders = [(folder, workspace / folder.path) for folder in folders]
        self._load, self._told = load, told
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}
        self._failed: dict[Path, tuple[int, float]] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="folders", daemon=True)

    def start(self) -> None:
        """Begin; the folders are made."""
        for _, path in self._folders:
            for inside in (path, path / "done", path / "failed"):
                inside.mkdir(parents=True, exist_ok=True)
        if self._folders:
            self._thread.start()

    def stop(self) -> None:
        """End after the file that is being loaded."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(LOOK):
            try:
                self.look()
            except OSError as error:
                self._told(f"folder: {error}")

    def look(self) -> None:
        """One look: load what is complete."""
        taken: set[Path] = set()
        here: set[Path] = set()
        for folder, home in self._folders:
            for entry in sorted(os.scandir(home), key=lambda e: e.name):
                path = Path(entry.path)
                if not entry.is_file(follow_symlinks=False) or _unfinished(entry.name) or path in taken or not fnmatch.fnmatch(entry.name, folder.pattern):
                    continue
                taken.add(path)
                here.add(path)
                if self._complete(path, folder.stable_seconds) and not self._ending.is_set():
                    self._take(folder, path)
        self._seen = {path: seen for path, seen in self._seen.items() if path in here}

    def _complete(self, path: Path, stable: float) -> bool:
        try:
            about = path.stat()
        except FileNotFoundError:
            return False
        form, now = (about.st_size, about.st_mtime_ns), time.monotonic()
        if self._seen.get(path, ((-1, -1), 0.0))[0] != form:
            self._seen[path] = form, now
        if path in self._failed and now < self._failed[path][1]:
            return False
        return now - self._seen[path][1] >= stable

    def _take(self, folder: Folder, path: Path) -> None:
        try:
            report = self._load(folder, path)
        except WorkbenchError as error:
            if "changed while it was read" in str(error):
                self._seen.pop(path, None)
                return
            self._move(path, "failed", str(error))
            self._told(f"folder {folder.path}: {path.name} failed: {error}")
        except Exception as error:
            tries = self._failed.get(path, (0, 0.0))[0] + 1
            self._failed[path] = tries, time.monotonic() + PAUSE
            self._told(f"folder {folder.path}: {path.name} could not be loaded (try {tries} of {TRIES}): {type(error).__name__}: {error}")
            if tries >= TRIES:
                self._move(path, "failed", f"{type(error).__name__}: {error}")
        else:
            self._move(path, "done")
            self._told(f"folder {folder.path}: {report.sentence()}")

    def _move(self, path: Path, where: str, reason: str = "") -> None:
        """Out of the way, under a name that is free there; the reason first, so that a moved file is never without."""
        home, self._failed = path.parent / where, {p: f for p, f in self._failed.items() if p != path}
        home.mkdir(exist_ok=True)
        target, number = home / path.name, 1
        while target.exists():
            target, number = home / f"{path.name}.{number}", number + 1
        if reason:
            target.with_name(target.name + ".reason.txt").write_text(reason + "\n", encoding="utf-8")
        os.rename(path, target)


def _unfinished(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower().endswith(UNFINISHED)
