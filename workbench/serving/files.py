"""Can anybody but the service account read the workspace's files? Then the gate stops nobody on this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def exposed(path: Path) -> list[str]:
    """What is wrong with who may read a workspace, one sentence each with the command that mends it; empty when nothing is. O(1)."""
    found: list[str] = []
    folder = path.stat()
    mode = stat.S_IMODE(folder.st_mode)
    if mode & 0o077:
        found.append(f"Other users of this machine can reach the files of {path.name} (mode {mode:03o}), past the gate and unseen by the audit. "
                     f"Mend it with: chmod -R go-rwx {path}")
    if folder.st_uid != os.geteuid():
        found.append(f"The folder {path.name} belongs to user {folder.st_uid}, who can read and change its files. Give it to the account that serves it: "
                     f"chown -R {os.geteuid()} {path}")
    if os.geteuid() == 0:
        found.append("The server runs as root. Give the workspace to a service account that nobody logs in as, and run it as that.")
    return found
