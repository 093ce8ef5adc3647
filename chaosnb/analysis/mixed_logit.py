"""Logistic regression with a hidden cause for each group, such as the quality of a block that nobody sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Fit", "Observations", "fit"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_NODES: Final = 11
_PRIOR_SD: Final = 3.0
_FIRST_LOADING: Final = 0.5
_MOST_STEPS: Final = 100
_LONGEST_STEP: Final = 0.5
_CLOSE: Final = 1e-8


@dataclass(frozen=True)
class Observations:
    """Yes-or-no outcomes in groups, n of them, in order of their groups.

    Attributes
    ----------
    outcome : numpy.ndarray
        1 or 0.
    group : numpy.ndarray
        0, 1, 2, … without a hole.
    level : numpy.ndarray
        Whose outcome it is, 0, 1, 2, …: each has an intercept of its own.
    kind : numpy.ndarray
        0, 1, …: on each kind the hidden cause has an influence of its own.
    covariates : numpy.ndarray
        Shape (n, p).
    """

    outcome: Floats
    group: Integers
    level: Integers
    kind: Integers
    covariates: Floats


@dataclass(frozen=True)
class Fit:
    """What `fit` found; all in logits.

    Attributes
    ----------
    intercepts : numpy.ndarray
        Of each level.
    coefficients : numpy.ndarray
        Of each covariate.
    loadings : numpy.ndarray
        What one standard deviation of the hidden cause does to each kind.
    covariance : numpy.ndarray
        Of intercepts, coefficients and loadings, in this order.
    nodes : numpy.ndarray
        Values of the hidden cause, in standard deviations.
    posterior : numpy.ndarray
        How likely each of them is for each group, shape (groups, nodes).
    converged : bool
    """

    intercepts: Floats
    coefficients: Floats
    loadings: Floats
    covariance: Floats
    nodes: Floats
    posterior: Floats
    converged: bool

    @property
    def errors(self) -> Floats:
        """The standard errors of the coefficients."""
        first = len(self.intercepts)
        variance = np.diag(self.covariance)[first : first + len(self.coefficients)]
        return np.sqrt(np.maximum(variance, 0.0))


def fit(seen: Observations, near: Fit | None = None) -> Fit:
    r"""Fit P(outcome = 1) = logistic(intercept of its level + covariates · coefficients + loading × hidden).

    The hidden cause is one standard normal number for each group, which is integrated out by Gauss–Hermite
    quadrature with 11 nodes; the likelihood is maximised by Newton's method [1]_. Several kinds of outcomes
    that share the hidden cause (what is said of a block, and how it is voted on) are modelled jointly, as by
    [2]_; the hidden cause is taken to push all kinds in the same direction, which settles which of two
    solutions is meant. The likelihood is multiplied by the loadings, which keeps them above 0, about one
    standard error away from it in few groups, and does nothing in many [3]_: without it, in few groups the
    fit often has no hidden cause at all, and covariates that go with it get what is its own. Intercepts have
    a weak prior (normal around 0, standard deviation 3 logits), so that who always says yes has one.

    Parameters
    ----------
    seen : Observations
    near : Fit, optional
        A fit to much the same, with no fewer levels and the same covariates, which saves steps.

    References
    ----------
    .. [1] C. E. McCulloch, S. R. Searle, J. M. Neuhaus (2008). Generalized, Linear, and Mixed Models. Wiley.
    .. [2] C. E. McCulloch (2008). Joint modelling of mixed outcome types using latent variables. Statistical
       Methods in Medical Research 17 (1), 53–73. doi:10.1177/0962280207081240
    .. [3] Y. Chung, S. Rabe-Hesketh, V. Dorie, A. Gelman, J. Liu (2013). A nondegenerate penalized likelihood
       estimator for variance parameters in multilevel models. Psychometrika 78 (4), 685–709.
       doi:10.1007/s11336-013-9328-2

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> group, treated = np.repeat(np.arange(400), 10), random.integers(0, 2, 4000)
    >>> chance = 1 / (1 + np.exp(-treated - random.normal(size=400)[group]))
    >>> no = np.zeros(4000, np.int64)
    >>> seen = Observations(random.uniform(size=4000) < chance, group, no, no, treated[:, None] * 1.0)
    >>> found = fit(seen)
    >>> bool(abs(found.coefficients[0] - 1) < 2 * found.errors[0]), found.loadings.round(1).tolist()
    (True, [1.0])
    """
    model = _Model(seen, levels=0 if near is None else len(near.intercepts))
    start = np.concatenate([np.zeros(model.levels + model.covariates), np.full(model.kinds, _FIRST_LOADING)])
    if near is not None:
        start[: model.levels + model.covariates] = np.concatenate([near.intercepts, near.coefficients])
        start[-model.kinds :] = near.loadings[: model.kinds]
    found, converged = model.climb(start)
    return model.told(found, converged)


class _Model:
    """The likelihood of observations, by levels, covariates and loadings; with its slope and curvature."""

    def __init__(self, seen: Observations, *, levels: int) -> None:
        self._seen = seen
        self._sign = 2.0 * seen.outcome - 1.0
        self._first = np.flatnonzero(np.diff(seen.group, prepend=-1))
        self.levels = max(levels, int(seen.level.max(initial=-1)) + 1)
        self.kinds = int(seen.kind.max(initial=-1)) + 1
        self.covariates = seen.covariates.shape[1]
        self._groups = len(self._first)
        self._size = self.levels + self.covariates + self.kinds
        # Where and by what factor each observation counts in the slope: its level, covariates, and kind.
        every, (rows, columns) = np.arange(len(seen.group)), np.nonzero(seen.covariates)
        self._row = np.concatenate([every, rows, every])
        place = [seen.level, self.levels + columns, self.levels + self.covariates + seen.kind]
        self._cell = seen.group[self._row] * self._size + np.concatenate(place)
        ones = np.ones(len(every))
        self._factor = np.concatenate([ones, seen.covariates[rows, columns], ones])
        self.nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        self._log_weights = np.log(weights / weights.sum())
        self._precision = np.zeros(self._size)
        self._precision[: self.levels] = 1 / _PRIOR_SD**2
        # A level that nobody has keeps its prior; a covariate that never varies would have no maximum.
        used = np.concatenate(
            [np.ones(self.levels, bool), np.any(seen.covariates != 0, axis=0), np.ones(self.kinds, bool)]
        )
        self._precision[~used] = 1.0

    def climb(self, start: Floats) -> tuple[Floats, bool]:
        """Return where the likelihood is highest, and whether that was reached."""
        at = start
        value, slope, curvature, _ = self.look(at)
        for _ in range(_MOST_STEPS):
            step = _step(slope, curvature)
            # Not far at once where it bends another way, and no loading down to 0.
            length = min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), 1e-9))
            while np.any((at + length * step)[-self.kinds :] <= 0):
                length /= 2
            ahead = self.look(at + length * step)
            while ahead[0] < value - 1e-9 and length > 1e-4:
                length /= 2
                ahead = self.look(at + length * step)
            if ahead[0] < value - 1e-9:
                return at, False
            at = at + length * step
            gain = float(slope @ step)
            value, slope, curvature, _ = ahead
            if gain < _CLOSE:
                return at, True
        return at, False

    def told(self, at: Floats, converged: bool) -> Fit:
        """Return parameters with their names, and what goes with them."""
        _, _, curvature, posterior = self.look(at)
        first_kind = self.levels + self.covariates
        return Fit(
            intercepts=at[: self.levels],
            coefficients=at[self.levels : first_kind],
            loadings=at[first_kind:],
            covariance=np.asarray(np.linalg.pinv(-curvature), np.float64),
            nodes=self.nodes,
            posterior=posterior,
            converged=converged,
        )

    def look(self, at: Floats) -> tuple[float, Floats, Floats, Floats]:
        """Return the value, its slope, its curvature, and the posterior of the nodes."""
        seen, nodes = self._seen, self.nodes
        log_odds = self._log_odds(at)
        whole, joint = self._by_node(log_odds)
        posterior = np.exp(joint - whole[:, None])
        value = float(whole.sum()) + self._prior(at)
        chance = _logistic(log_odds)
        rest = seen.outcome[:, None] - chance
        weight = chance * (1 - chance) * posterior[seen.group]
        curvature = -self._information(weight) - np.diag(self._precision)
        root = np.sqrt(posterior)
        parts = np.empty((_NODES, self._groups, self._size))
        for place in range(_NODES):
            score = self._scores(rest[:, place], float(nodes[place]))
            np.multiply(score, root[:, place : place + 1], out=parts[place])
        scores = np.einsum("gq,qgs->gs", root, parts)
        # One product of much instead of many of little, over which threads would wait for each other.
        flat = parts.reshape(-1, self._size)
        curvature += flat.T @ flat
        curvature -= scores.T @ scores
        loadings = at[-self.kinds :]
        slope = scores.sum(axis=0) - self._precision * at
        slope[-self.kinds :] += 1 / loadings
        curvature[-self.kinds :, -self.kinds :] -= np.diag(1 / loadings**2)
        return value, slope, curvature, posterior

    def _prior(self, at: Floats) -> float:
        return float(np.log(at[-self.kinds :]).sum() - 0.5 * (self._precision * at**2).sum())

    def _log_odds(self, at: Floats) -> Floats:
        seen, levels, covariates = self._seen, self.levels, self.covariates
        fixed = at[seen.level] + seen.covariates @ at[levels : levels + covariates]
        loading = at[levels + covariates + seen.kind]
        return np.asarray(fixed[:, None] + loading[:, None] * self.nodes)

    def _by_node(self, log_odds: Floats) -> tuple[Floats, Floats]:
        of_outcome = self._sign[:, None] * log_odds
        likely = np.minimum(of_outcome, 0.0) - np.log1p(np.exp(-np.abs(of_outcome)))
        joint = np.add.reduceat(likely, self._first, axis=0) + self._log_weights
        top = joint.max(axis=1, keepdims=True)
        return top[:, 0] + np.log(np.exp(joint - top).sum(axis=1)), joint

    def _scores(self, rest: Floats, node: float) -> Floats:
        """Return the slope of each group's likelihood at one node."""
        weight = self._factor * rest[self._row]
        weight[-len(rest) :] *= node
        flat = np.bincount(self._cell, weight, self._groups * self._size)
        return np.asarray(flat, np.float64).reshape(self._groups, self._size)

    def _information(self, weight: Floats) -> Floats:
        """Return the sum of the outer products of the observations' slopes, each with its weight."""
        seen, levels, covariates, kinds = self._seen, self.levels, self.covariates, self.kinds
        plain, once, twice = (weight @ self.nodes**power for power in (0, 1, 2))
        found = np.zeros((self._size, self._size))
        a, b = slice(0, levels), slice(levels, levels + covariates)
        c = slice(levels + covariates, None)
        np.fill_diagonal(found[a, a], np.bincount(seen.level, plain, levels))
        cell = seen.level * kinds + seen.kind
        found[a, c] = np.bincount(cell, once, levels * kinds).reshape(levels, kinds)
        np.fill_diagonal(found[c, c], np.bincount(seen.kind, twice, kinds))
        for place in range(covariates):
            column = seen.covariates[:, place]
            found[a, levels + place] = np.bincount(seen.level, plain * column, levels)
            found[levels + place, c] = np.bincount(seen.kind, once * column, kinds)
        found[b, b] = seen.covariates.T @ (seen.covariates * plain[:, None])
        lower = np.tril_indices(self._size, -1)
        found[lower] = found.T[lower]
        return found


def _step(slope: Floats, curvature: Floats) -> Floats:
    try:
        np.linalg.cholesky(-curvature)
        return np.asarray(np.linalg.solve(-curvature, slope), np.float64)
    except np.linalg.LinAlgError:
        # Far from the top it may bend upwards in some direction: a short step up the slope.
        return np.asarray(slope / (np.abs(np.diag(curvature)) + 1.0))


def _logistic(log_odds: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)))
