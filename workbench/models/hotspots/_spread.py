"""Points shared out over nodes, and nodes gathered into cells along one axis: the loops of ``kde``, compiled."""

from __future__ import annotations

from workbench.engines.kernels import kernel


@kernel("f8[:,:], f8[:], i8, i8, f8[:,:]")
def gather(values, weights, per, reach, out):  # type: ignore[no-untyped-def]
    """Along the first axis: ``out[i] = sum_k weights[k] values[i per + k - reach]``, rows outside being nothing."""
    wide = values.shape[1]
    for i in range(out.shape[0]):
        for c in range(wide):
            out[i, c] = 0.0
        begin = i * per - reach
        for k in range(max(0, -begin), min(len(weights), values.shape[0] - begin)):
            w = weights[k]
            row = begin + k
            for c in range(wide):
                out[i, c] += w * values[row, c]


@kernel("f8[:,:], f8[:], i8, i8, f8[:,:]")
def gather_back(cells, weights, per, reach, out):  # type: ignore[no-untyped-def]
    """The transpose: ``out[k] = sum_i weights[k + reach - i per] cells[i]``; ``out`` begins as nothing."""
    wide = cells.shape[1]
    for i in range(cells.shape[0]):
        begin = i * per - reach
        for k in range(max(0, -begin), min(len(weights), out.shape[0] - begin)):
            w = weights[k]
            row = begin + k
            for c in range(wide):
                out[row, c] += w * cells[i, c]


@kernel("f8[:], f8[:], f8[:], i8, f8[:,:]")
def share_out(u, v, weights, same, out):  # type: ignore[no-untyped-def]
    """Each point's weight (``same`` = 1: 1 for all) on the four nodes about (u, v) in proportion to nearness; ``out`` begins as nothing."""
    high, wide = out.shape
    for p in range(len(u)):
        i, j = min(int(u[p]), wide - 2), min(int(v[p]), high - 2)
        s, t = u[p] - i, v[p] - j
        w = 1.0 if same == 1 else weights[p]
        both = s * t * w
        out[j, i] += w - s * w - t * w + both
        out[j, i + 1] += s * w - both
        out[j + 1, i] += t * w - both
        out[j + 1, i + 1] += both
