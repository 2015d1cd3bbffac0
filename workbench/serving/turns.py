"""Questions in turn: so many run at once, one person never has more than half of the places, whoever waits too long is told."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Self

from workbench.errors import WorkbenchError


class Turns:
    """The places of a server.

    Args:
        places: questions that run at once.
        patience: seconds a question waits for a place.
    """

    def __init__(self, places: int, patience: float) -> None:
        self.places, self.each, self.patience = places, max(1, places // 2), patience
        self.taken: Counter[str] = Counter()
        self._free = threading.Condition()

    def take(self, user: str) -> Slot:
        """A place for a person; give it back with ``release`` or by leaving a with-block.

        Raises:
            WorkbenchError: none came free in time.
        """
        with self._free:
            if not self._free.wait_for(lambda: self.taken.total() < self.places and self.taken[user] < self.each, self.patience):
                mine = self.taken[user] >= self.each
                raise WorkbenchError(f"The server was busy for {self.patience:g} s: " + (
                    f"{self.taken[user]} questions of yours are still running or being read; end one of them." if mine
                    else f"{self.taken.total()} questions are running; try again in a moment."))
            self.taken[user] += 1
        return Slot(self, user)

    def _give_back(self, user: str) -> None:
        with self._free:
            self.taken[user] -= 1
            if not self.taken[user]:
                del self.taken[user]
            self._free.notify_all()


class Slot:
    """One place taken; giving it back twice is no fault."""

    def __init__(self, turns: Turns, user: str) -> None:
        self._turns, self._user, self._held = turns, user, threading.Lock()

    def release(self) -> None:
        """Give the place back."""
        if self._held.acquire(blocking=False):
            self._turns._give_back(self._user)

    def __del__(self) -> None:
        """A stream that was dropped before its first piece was asked for gives its place back too."""
        self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
