"""How many paths chance would give between two things, when ties are dealt out anew and every thing keeps how many it has to things of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.models.links._network import Codes, Flags, Network

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Dealt:
    """Ties by kind (n things, K kinds).

    Args:
        ties: i4, shape (n, K): how many things of each kind each thing is tied to.
        stubs: f8, shape (K, K): stubs[i, j] ends of ties of things of kind i to things of kind j.
        onward: f8, shape (K, K, K): having come from kind i to a thing of kind j, how many ties lead on to kind k, hubs not followed.
    """

    kind: Codes
    ties: Codes
    stubs: Floats
    onward: Floats

    def expected(self, a: int, b: int, hops: int) -> list[float]:
        """Expected number of paths of 1, 2, ... hops steps between two things. O(hops K^3).

        One step: d_a(kind of b) d_b(kind of a) / m. Each step more: the ties that lead on from a thing that was come to along a tie, so by its degree.
        """
        k = self.stubs.shape[0]
        ka, kb = int(self.kind[a]), int(self.kind[b])
        into = np.zeros((k, k))
        into[ka] = self.ties[a]  # into[i, j]: ways that are at a thing of kind j, come from kind i
        share = np.divide(self.ties[b].astype(float), self.stubs[kb], out=np.zeros(k), where=self.stubs[kb] > 0)
        found = []
        for _ in range(hops):
            found.append(float(into[:, kb] @ share))
            into = np.einsum("ij,ijk->jk", into, self.onward)
        return found


def dealt(net: Network, kind: Codes, kinds: int, okay: Flags, hub: int | None) -> Dealt:
    """Count the ties by kind. O(n K + edges); 0.2 s for 5 M, once for a graph."""
    low, high = net.ends
    if len(okay):
        used = okay.astype(bool)
        low, high = low[used], high[used]
    n = len(net)
    ties = np.bincount(low.astype(np.int64) * kinds + kind[high], minlength=n * kinds)
    ties += np.bincount(high.astype(np.int64) * kinds + kind[low], minlength=n * kinds)
    by = ties.reshape(n, kinds)
    follow = by if hub is None else by * (net.degree <= hub)[:, None]
    stubs, onward = np.zeros((kinds, kinds)), np.zeros((kinds, kinds, kinds))
    for j in range(kinds):
        here = np.flatnonzero(kind == j)
        stubs[j] = by[here].sum(axis=0)
        mine = follow[here].astype(float)
        pairs = mine.T @ mine - np.diag(mine.sum(axis=0))  # ways in from kind i and out to kind k by another tie
        onward[:, j, :] = np.divide(pairs, stubs[j][:, None], out=np.zeros((kinds, kinds)), where=stubs[j][:, None] > 0)
    return Dealt(kind, by.astype(np.int32), stubs, onward)
