"""Matrix products cut into pieces that the linear algebra library works through without waking its own threads.

Its threads wait by spinning, which costs more processor time than these products save. OpenBLAS stays alone up to 262,144 multiplications a product.
"""

from __future__ import annotations

import numpy as np

from workbench.geo import Floats

ALONE = 262_144


def gram(a: Floats, weights: Floats | None = None) -> Floats:
    """``a.T @ (weights[:, None] * a)``; a of shape (n, j), weights of shape (n,). O(n j^2)."""
    return cross(a, a if weights is None else a * weights[:, None])


def cross(a: Floats, b: Floats) -> Floats:
    """``a.T @ b``, both of shape (n, ...)."""
    n, j, k = len(a), a.shape[1], b.shape[1]
    rows = max(1, min(n, ALONE // max(1, j * k)))
    whole = n - n % rows
    total: Floats = np.zeros((j, k))
    step = rows * 64
    for start in range(0, whole, step):
        end = min(whole, start + step)
        total += np.matmul(a[start:end].reshape(-1, rows, j).transpose(0, 2, 1), b[start:end].reshape(-1, rows, k)).sum(axis=0)
    return total + a[whole:].T @ b[whole:] if whole < n else total


def times(a: Floats, v: Floats) -> Floats:
    """``a @ v``; a of shape (n, j), v of shape (j,). O(n j)."""
    out: Floats = np.einsum("ij,j->i", a, v)
    return out


def sums(a: Floats, v: Floats) -> Floats:
    """``v @ a``; a of shape (n, j), v of shape (n,). O(n j)."""
    out: Floats = np.einsum("ij,i->j", a, v)
    return out


def product(a: Floats, b: Floats) -> Floats:
    """``a @ b``; a of shape (n, j), b of shape (j, k). O(n j k)."""
    n, rows = len(a), max(1, ALONE // max(1, b.size))
    whole = n - n % rows
    out: Floats = np.empty((n, b.shape[1]))
    np.matmul(a[:whole].reshape(-1, rows, a.shape[1]), b, out=out[:whole].reshape(-1, rows, b.shape[1]))
    if whole < n:
        np.matmul(a[whole:], b, out=out[whole:])
    return out
