"""Counts by cell on yes-or-no layers: Poisson and negative binomial regression, elastic net, and stepwise choice by BIC.

Cells that agree in every layer of a model have the same mean, so a model is fitted to groups of cells, exactly: the likelihood needs only each group's cells
and incidents, and for the negative binomial how many cells hold more than k. Sources: J. Friedman, T. Hastie, R. Tibshirani, "Regularization paths for
generalized linear models via coordinate descent", Journal of Statistical Software 33, 2010; A. C. Cameron, P. K. Trivedi, *Regression Analysis of Count Data*,
2nd ed. 2013, section 3.3 (NB2); G. Schwarz, "Estimating the dimension of a model", Annals of Statistics 6, 1978, 461-464.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.geo import Floats, Ints
from workbench.models.hotspots._products import cross, gram, product, sums, times


@dataclass(frozen=True, eq=False)
class Table:
    """Cells put together where all layers agree.

    Args:
        x: layers, 0 or 1, shape (rows, layers).
        y, m: incidents and cells of each row (or weights of them), shape (rows,).
        more: cells that hold more than k incidents, k = 0, 1, ...; for the negative binomial.
        constant: sum of log(count!) over the cells.
    """

    x: Floats
    y: Floats
    m: Floats
    more: Floats
    constant: float


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model: ``columns`` of the table in it, coefficients (constant first) with their covariance, and dispersion (0 = Poisson)."""

    columns: tuple[int, ...]
    beta: Floats
    covariance: Floats
    loglik: float
    bic: float
    alpha: float
    ok: bool


def collapse(x: Floats) -> tuple[Floats, Ints]:
    """Distinct rows of 0 and 1, and which of them each row is. O(n log n x layers / 64)."""
    packed = np.packbits(x.astype(bool), axis=1)
    wide = np.zeros((len(x), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    wide[:, : packed.shape[1]] = packed
    words = wide.view(np.uint64)
    keys = np.ascontiguousarray(words).view([("", np.uint64)] * words.shape[1]).ravel() if words.shape[1] > 1 else words.ravel()
    _, first, at = np.unique(keys, return_index=True, return_inverse=True)
    return x[first], at.astype(np.int64)


def table(x: Floats, at: Ints, counts: Floats, times_: Floats | None = None) -> Table:
    """The table of cells ``at`` rows of ``x`` with their counts, each cell taken ``times_`` over. O(n)."""
    taken = np.ones(len(counts)) if times_ is None else times_
    y, m = (np.bincount(at, weights=w, minlength=len(x)).astype(float) for w in (counts * taken, taken))
    held = np.bincount(counts.astype(np.int64), weights=taken)
    more = held[::-1].cumsum()[::-1][1:].astype(float)
    return Table(x, y, m, more, float(held @ np.array([math.lgamma(k + 1) for k in range(len(held))])))


def _groups(t: Table, columns: Sequence[int]) -> Ints:
    """A number for each row, equal where the columns agree."""
    group = np.zeros(len(t.y), dtype=np.int64)
    for j in columns:
        group = 2 * group + (t.x[:, j] > 0)
        if len(columns) > 12 and int(group.max()) >= 4096:
            group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    return group


def _likelihood(eta: Floats, y: Floats, m: Floats, alpha: float) -> float:
    """The part of the log-likelihood that depends on the mean."""
    if alpha <= 0:
        return float(y @ eta - m @ np.exp(eta))
    return float(y @ eta - (y + m / alpha) @ np.log1p(alpha * np.exp(eta)))


def _newton(design: Floats, y: Floats, m: Floats, alpha: float, beta: Floats) -> tuple[Floats, Floats, float, bool]:
    """Coefficients, expected information, log-likelihood part and whether it converged. Fisher scoring with halved steps."""
    ridge = 1e-10 * np.eye(design.shape[1])
    value, done = _likelihood(design @ beta, y, m, alpha), False
    information = ridge
    for _ in range(60):
        mu = np.exp(design @ beta)
        shrink = 1 / (1 + alpha * mu)
        slope = design.T @ ((y - m * mu) * shrink)
        information = (design * (m * mu * shrink)[:, None]).T @ design
        try:
            move = np.linalg.solve(information + ridge * max(1.0, float(np.trace(information))), slope)
        except np.linalg.LinAlgError:
            break
        size = min(1.0, 4.0 / max(float(np.abs(move).max()), 1e-12))
        while (then := _likelihood(design @ (beta + size * move), y, m, alpha)) < value - 1e-12 * abs(value) and size > 1e-8:
            size /= 2
        beta = beta + size * move
        done = abs(then - value) <= 1e-11 * (1 + abs(then)) and float(np.abs(size * move).max()) < 1e-6 or float(slope @ move) < 1e-13 * (1 + abs(then))
        value = then
        if done or not math.isfinite(value):
            break
    return beta, information, value, done and math.isfinite(value) and bool(np.isfinite(beta).all())


def _dispersion(mu: Floats, y: Floats, m: Floats, more: Floats, start: float) -> float:
    """The dispersion that is likeliest at these means, between 1e-6 and 1e4: Newton on its logarithm, golden section where that leaves the road."""
    k = np.arange(len(more))

    def value(log: float) -> float:
        a = math.exp(log)
        return float(more @ np.log1p(k * a)) - float((y + m / a) @ np.log1p(a * mu)) + float(y @ np.log(mu))

    low, high = math.log(1e-6), math.log(1e4)
    middle = min(max(math.log(max(start, 1e-6)), low + 1e-9), high - 1e-9)
    step = 1.0
    left, right = max(low, middle - step), min(high, middle + step)
    while value(left) > value(middle) and left > low:
        left = max(low, left - (step := 2 * step))
    step = 1.0
    while value(right) > value(middle) and right < high:
        right = min(high, right + (step := 2 * step))
    golden = (math.sqrt(5) - 1) / 2
    a, b = left, right
    c, d = b - golden * (b - a), a + golden * (b - a)
    at_c, at_d = value(c), value(d)
    while b - a > 1e-8:
        if at_c >= at_d:
            b, d, at_d = d, c, at_c
            c = b - golden * (b - a)
            at_c = value(c)
        else:
            a, c, at_c = c, d, at_d
            d = a + golden * (b - a)
            at_d = value(d)
    return math.exp((a + b) / 2)


def fit(t: Table, columns: Sequence[int], *, negative: bool = False, alpha: float = 0.0, group: Ints | None = None, start: Floats | None = None) -> Fit:
    """Poisson (default), or negative binomial: with its dispersion estimated (``negative``) or given (``alpha`` > 0).

    ``ok`` is False where Newton's method did not converge or a value is not finite. O(rows + groups x columns^2).
    """
    chosen = tuple(columns)
    group = _groups(t, chosen) if group is None else group
    y, m = (np.bincount(group, weights=w).astype(float) for w in (t.y, t.m))
    first = np.zeros(len(y), dtype=np.int64)
    first[group[::-1]] = np.arange(len(group))[::-1]
    full = m > 0
    design = np.column_stack([np.ones(len(y)), t.x[first][:, list(chosen)]])[full]
    y, m = y[full], m[full]
    beta = np.zeros(len(chosen) + 1) if start is None else start
    if start is None:
        beta[0] = math.log(max(float(y.sum()), 0.5) / float(m.sum()))
    beta, information, value, ok = _newton(design, y, m, alpha, beta)
    if negative:
        poisson = value
        mu = np.exp(design @ beta)
        squares = float((2 * np.arange(len(t.more)) + 1) @ t.more)  # sum of the squared counts
        alpha = max((squares - 2 * float(y @ mu) + float(m @ mu**2) - float(m @ mu)) / float(m @ mu**2), 1e-4)
        for _ in range(25):
            before = value
            alpha = _dispersion(np.exp(design @ beta), y, m, t.more, alpha)
            beta, information, value, ok = _newton(design, y, m, alpha, beta)
            value += float(t.more @ np.log1p(alpha * np.arange(len(t.more))))
            if abs(value - before) < 1e-9 * (1 + abs(value)):
                break
        ok = ok and math.isfinite(value) and value >= poisson - 1e-6 * (1 + abs(poisson))
    elif alpha > 0:
        value += float(t.more @ np.log1p(alpha * np.arange(len(t.more))))
    free = len(beta) + (alpha > 0)
    loglik = value - t.constant
    covariance: Floats
    try:
        covariance = np.linalg.inv(information).astype(float)
    except np.linalg.LinAlgError:
        covariance, ok = np.full((len(beta), len(beta)), np.nan), False
    return Fit(chosen, beta, covariance, loglik, free * math.log(float(t.m.sum())) - 2 * loglik, alpha, ok)


# --- elastic net --------------------------------------------------------------------------------------------------------------------


def elastic_net(x: Floats, y: Floats, m: Floats, penalties: Floats, *, mix: float = 0.5, positive: bool = False, exact: float = 1e-8) -> Floats:
    """Coefficients (constant first) of a Poisson elastic net for each penalty, falling: shape (penalties, layers + 1).

    Minimises ``(m @ exp(eta) - y @ eta) / sum(m) + penalty * sum(mix * |b_j| s_j + (1 - mix) / 2 * (b_j s_j)**2)`` with s_j the layer's standard deviation over
    the cells, so that rare and common layers are asked the same. Newton steps by coordinate descent on the layers that are not 0, until no other layer
    would leave 0; ``exact`` is the last step's largest change of a coefficient. O(penalties x steps x rows x layers).
    """
    n, layers = float(m.sum()), x.shape[1]
    share = sums(x, m) / n
    s = np.sqrt(np.maximum(share * (1 - share), 1e-12))
    beta = np.zeros(layers + 1)
    beta[0] = math.log(max(float(y.sum()), 0.5) / n)
    out = np.empty((len(penalties), layers + 1))
    active: list[int] = []
    residual = y - m * math.exp(beta[0])
    for k, penalty in enumerate(penalties):
        for turn in range(layers + 2):
            slope = sums(x, residual) / n
            pull = slope if positive else np.abs(slope)
            asks = np.flatnonzero((beta[1:] == 0) & (pull > penalty * mix * s * (1 + 1e-7)))
            fresh = [int(j) for j in asks if int(j) not in active]
            if turn and not fresh:
                break
            active = sorted({*(j for j in active if beta[j + 1] != 0), *fresh})
            beta, residual = _on_active(x, y, m, beta, active, penalty * n, mix, s, positive, exact)
        out[k] = beta
    return out


def _on_active(x: Floats, y: Floats, m: Floats, beta: Floats, active: list[int], cost: float, mix: float, s: Floats, positive: bool,
               exact: float) -> tuple[Floats, Floats]:
    design = np.column_stack([np.ones(len(y)), x[:, active]])
    b, scale = beta[[0, *(j + 1 for j in active)]].copy(), np.r_[0.0, s[active]]

    def loss(v: Floats, eta: Floats, mean: Floats) -> float:
        return float((mean - y * eta).sum()) + cost * float((mix * np.abs(v) * scale + (1 - mix) / 2 * (v * scale) ** 2).sum())

    eta = times(design, b)
    mean = m * np.exp(eta)
    now = loss(b, eta, mean)
    for _ in range(50):
        move = _descend(gram(design, mean), sums(design, y - mean), b, cost * mix * scale, cost * (1 - mix) * scale**2, positive) - b
        along, size = times(design, move), 1.0
        while True:
            tried = eta + size * along
            mean = m * np.exp(tried)
            then = loss(b + size * move, tried, mean)
            if then <= now + 1e-13 * abs(now) or size < 1e-6:
                break
            size /= 2
        b, eta, now = b + size * move, tried, then
        if float(np.abs(size * move).max()) < exact:
            break
    out = np.zeros(len(beta))
    out[[0, *(j + 1 for j in active)]] = b
    return out, y - mean


def _descend(curve: Floats, slope: Floats, b: Floats, bend: Floats, ridge: Floats, positive: bool) -> Floats:
    """The minimum of the quadratic about ``b`` with the penalties, by coordinate descent."""
    v, at = b.copy(), slope + curve @ b  # at - curve @ v is the slope at v
    size = np.diag(curve)
    for _ in range(500):
        largest = 0.0
        for j in range(len(v)):
            free = float(at[j] - curve[j] @ v + size[j] * v[j])
            new = math.copysign(max(abs(free) - bend[j], 0.0), free) / (size[j] + ridge[j] + 1e-300)
            if positive and j and new < 0:
                new = 0.0
            largest = max(largest, abs(new - v[j]))
            v[j] = new
        if largest < 1e-9:
            break
    return v


def penalties(x: Floats, y: Floats, m: Floats, *, mix: float = 0.5, count: int = 25, least: float = 0.01) -> Floats:
    """From the least penalty at which no layer is in, down to ``least`` of it. O(rows x layers)."""
    n = float(m.sum())
    share = sums(x, m) / n
    s = np.sqrt(np.maximum(share * (1 - share), 1e-12))
    top = float(np.max(np.abs(sums(x, y - m * float(y.sum()) / n)) / n / s / mix))
    return np.geomspace(top, top * least, count)


def culled(x: Floats, y: Floats, m: Floats, fold_y: Floats, fold_m: Floats, *, mix: float, positive: bool) -> tuple[list[int], float]:
    """Layers that the elastic net keeps at the penalty with the least deviance in left-out folds (shape (folds, rows)), and that penalty."""
    road = penalties(x, y, m, mix=mix)
    deviance = np.zeros(len(road))
    for left_y, left_m in zip(fold_y, fold_m, strict=True):
        betas = elastic_net(x, y - left_y, m - left_m, road, mix=mix, positive=positive, exact=1e-4)
        use = left_m > 0
        eta = product(x[use], np.ascontiguousarray(betas[:, 1:].T)) + betas[:, 0]
        deviance += sums(np.exp(eta), left_m[use]) - sums(eta, left_y[use])
    best = int(np.argmin(deviance))
    beta = elastic_net(x, y, m, road[: best + 1], mix=mix, positive=positive)[-1]
    return [int(j) for j in np.flatnonzero(beta[1:])], float(road[best])


# --- stepwise -----------------------------------------------------------------------------------------------------------------------


def score(t: Table, now: Fit) -> Floats:
    """The score statistic of every layer were it put in, shape (layers,). O(rows x layers x columns)."""
    design = np.column_stack([np.ones(len(t.y)), t.x[:, list(now.columns)]])
    mu = np.exp(times(design, now.beta))
    shrink = 1 / (1 + now.alpha * mu)
    slope, weight = sums(t.x, (t.y - t.m * mu) * shrink), t.m * mu * shrink
    shared = cross(t.x, design * weight[:, None])
    own = sums(t.x, weight) - np.einsum("ij,jk,ik->i", shared, now.covariance, shared)
    return np.where(own > 1e-9, np.sign(slope) * slope**2 / np.maximum(own, 1e-9), 0.0)


def stepwise(t: Table, factor: Ints, candidates: Sequence[int], *, negative: bool, positive: bool, deep: int | None = None, alpha: float = 0.0) -> Fit:
    """Add the layer that lowers BIC most, drop and exchange layers while that lowers it, until nothing does; at most one layer of a factor.

    Args:
        factor: which factor each layer is of, shape (layers,).
        candidates: layers that may be put in.
        negative: negative binomial, its dispersion refitted at every step; within a step it stays.
        positive: only layers that raise risk.
        deep: so many of the candidates with the largest score statistics are fitted at a step; None = all.
        alpha: dispersion kept throughout instead (for resamples).

    Returns: the last fit. ``ok`` is False where even the constant alone could not be fitted.
    """
    now = fit(t, (), negative=negative, alpha=alpha)
    for _ in range(60):
        if not now.ok:
            return now
        then = _better(t, now, factor, candidates, positive, deep)
        if then is None:
            return now
        final = fit(t, then.columns, negative=negative, alpha=alpha, start=then.beta) if negative else then
        if not final.ok or final.bic >= now.bic - 1e-7:
            return now
        now = final
    return now


def _better(t: Table, now: Fit, factor: Ints, candidates: Sequence[int], positive: bool, deep: int | None) -> Fit | None:
    best: Fit | None = None
    taken = {int(factor[j]): j for j in now.columns}
    gains = score(t, now)
    open_ = [j for j in candidates if int(factor[j]) not in taken and (gains[j] > 0 or not positive)]
    if deep is not None:
        open_ = sorted(open_, key=lambda j: -abs(gains[j]))[:deep]
    group = _groups(t, now.columns)
    for j in open_:
        best = _least(best, _try(t, (*now.columns, j), now.alpha, 2 * group + t.x[:, j].astype(np.int64), np.append(now.beta, 0.0)), positive)
    for i, j in enumerate(now.columns):
        rest = (*now.columns[:i], *now.columns[i + 1 :])
        beta = np.delete(now.beta, i + 1)
        without = _groups(t, rest)
        best = _least(best, _try(t, rest, now.alpha, without, beta), positive)
        for other in candidates if deep is None else ():
            if other != j and factor[other] == factor[j]:
                split = 2 * without + t.x[:, other].astype(np.int64)
                best = _least(best, _try(t, (*rest, other), now.alpha, split, np.append(beta, now.beta[i + 1])), positive)
    return best if best is not None and best.bic < now.bic - 1e-7 else None


def _try(t: Table, columns: tuple[int, ...], alpha: float, group: Ints, start: Floats) -> Fit:
    present, at = np.unique(group, return_inverse=True) if int(group.max()) >= 4096 else (None, group)
    return fit(t, columns, alpha=alpha, group=at if present is not None else group, start=start)


def _least(best: Fit | None, made: Fit, positive: bool) -> Fit | None:
    if not made.ok or (positive and len(made.columns) and float(made.beta[1:].min()) <= 0):
        return best
    return made if best is None or made.bic < best.bic else best
