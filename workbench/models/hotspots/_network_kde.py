"""The compiled loops of density on streets: heat flowing along the pieces, and the pulses of the equal-split kernels."""

from __future__ import annotations

from typing import Any

from workbench.engines.kernels import kernel


@kernel("i8[:], i8[:], f8[:], f8[:], f8, f8[:,:], f8[:,:], f8[:,:], i8[:], f8[:,:,:] -> i8")
def chebyshev(first: Any, to: Any, rate: Any, out_rate: Any, scale: Any, now: Any, before: Any, coefficients: Any, watched: Any, out: Any) -> Any:
    """``out[b, p, f] += sum_k coefficients[b, k] (T_k(scale A - 1) mass)[watched[p], f]``, A the flow of mass between pieces.

    ``rate`` is what comes in from ``to`` a unit of time and of mass there, ``out_rate`` what leaves. ``before`` holds the mass, shape (pieces, kinds of
    mass), and ``now`` is scratch of that shape; both are used up.
    """
    kinds = before.shape[1]
    for k in range(coefficients.shape[1]):
        if k > 0:
            twice = 1.0 if k == 1 else 2.0
            keep = 0.0 if k == 1 else 1.0
            for i in range(before.shape[0]):
                for f in range(kinds):
                    now[i, f] = twice * (scale * out_rate[i] - 1.0) * before[i, f] - keep * now[i, f]
                for e in range(first[i], first[i + 1]):
                    j = to[e]
                    r = twice * scale * rate[e]
                    for f in range(kinds):
                        now[i, f] -= r * before[j, f]
            for i in range(before.shape[0]):
                for f in range(kinds):
                    held = now[i, f]
                    now[i, f] = before[i, f]
                    before[i, f] = held
        for b in range(coefficients.shape[0]):
            c = coefficients[b, k]
            if c != 0.0:
                for p in range(len(watched)):
                    for f in range(kinds):
                        out[b, p, f] += c * before[watched[p], f]
    return 0


@kernel("i8[:], i8[:], i8[:], i8[:], i8[:], f8[:], f8[:], f8[:], i8, f8[:] -> i8")
def pulses(begin: Any, cells: Any, first: Any, leaving: Any, node: Any, held: Any, arriving: Any, laid: Any, continuous: Any, out: Any) -> Any:
    """All paths of the equal-split kernels at once: pulses that travel a cell a step, share themselves out at corners and lay down ``laid[step]`` as they go.

    Segment s has ``cells[s]`` cells from ``begin[s]`` on in ``out``; half-edge 2 s + b keeps what travels along it from ``2 begin[s] + b cells[s]`` on in
    ``held``, in its direction. ``node``: the corner each half-edge leaves. ``arriving`` is scratch, one a half-edge.
    """
    edges = len(node)
    for k in range(len(laid)):
        if k > 0:
            for v in range(len(first) - 1):
                n = first[v + 1] - first[v]
                total = 0.0
                for q in range(first[v], first[v + 1]):
                    h = leaving[q]
                    total += held[2 * begin[h >> 1] + (1 - (h & 1)) * cells[h >> 1] + cells[h >> 1] - 1]
                for q in range(first[v], first[v + 1]):
                    h = leaving[q]
                    back = held[2 * begin[h >> 1] + (1 - (h & 1)) * cells[h >> 1] + cells[h >> 1] - 1]
                    if n == 1:
                        arriving[h] = back
                    elif continuous != 0:
                        arriving[h] = 2.0 * total / n - back
                    else:
                        arriving[h] = (total - back) / (n - 1)
        mass = laid[k]
        for h in range(edges):
            s = h >> 1
            m = cells[s]
            low = 2 * begin[s] + (h & 1) * m
            if k > 0:
                for p in range(m - 1, 0, -1):
                    held[low + p] = held[low + p - 1]
                held[low] = arriving[h]
            if h & 1 == 0:
                for p in range(m):
                    out[begin[s] + p] += mass * held[low + p]
            else:
                for p in range(m):
                    out[begin[s] + m - 1 - p] += mass * held[low + p]
    return 0
