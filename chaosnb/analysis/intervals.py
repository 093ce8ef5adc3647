"""Confidence intervals of shares, and of the difference between two of them."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, TypeVar

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt

from chaosnb.amounts import amount

__all__ = ["difference_interval", "quantile", "wilson_bounds", "wilson_interval"]

Floats = npt.NDArray[np.float64]
Counts = TypeVar("Counts", nw.Expr, npt.NDArray[Any])


def wilson_interval(
    successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Return Wilson's score interval of a share, such as that of votes that approve.

    With p = successes / n, n = trials and z the quantile of the normal distribution, its ends are
    (p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n) [1]_. It holds for few trials and for shares near 0
    or 1, too, and lies within 0 and 1. It takes the trials for independent; votes of agents that heed each
    other are not, and what is not known of them is more than it says.

    Parameters
    ----------
    successes : array_like of numbers
        How many trials succeeded, 0 to `trials`.
    trials : array_like of numbers
        How many there were.
    confidence : float
        How sure to be that the share lies within, between 0 and 1.

    Returns
    -------
    low, high : numpy.ndarray
        The ends of the interval, 0 to 1; NaN where there were no trials.

    Raises
    ------
    ValueError
        If there are more successes than trials, or less than none, or the confidence is not possible.

    References
    ----------
    .. [1] E. B. Wilson (1927). Probable inference, the law of succession, and statistical inference. Journal
       of the American Statistical Association 22 (158), 209–212. doi:10.1080/01621459.1927.10502953

    Examples
    --------
    >>> low, high = wilson_interval([3, 0], [4, 0])
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.301, nan], [0.954, nan])
    """
    z = quantile(confidence)
    hits, n = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    if np.any((hits < 0) | (hits > n)):
        raise ValueError("successes must be between 0 and trials; count both over the same rows")
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / n
        middle = share + z**2 / (2 * n)
        reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        scale = 1 + z**2 / n
        # Rounding must not put an end past the share itself, as it would at 0 and 1.
        low, high = np.minimum((middle - reach) / scale, share), np.maximum((middle + reach) / scale, share)
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def wilson_bounds(successes: str, trials: str, confidence: float = 0.95) -> tuple[nw.Expr, nw.Expr]:
    """Return the ends of `wilson_interval` for two columns of counts, as expressions for any engine.

    Parameters
    ----------
    successes, trials : str
        The columns.
    confidence : float
        As in `wilson_interval`.

    Returns
    -------
    low, high : narwhals.Expr
        Null where there were no trials.

    Raises
    ------
    ValueError
        If the confidence is not possible.

    Examples
    --------
    >>> import pandas as pd
    >>> counts = nw.from_native(pd.DataFrame({"yes": [3], "all": [4]}))
    >>> counts.select(low=wilson_bounds("yes", "all")[0])["low"].round(3).to_list()
    [0.301]
    """
    z = quantile(confidence)
    hits, n = nw.col(successes).cast(nw.Float64()), nw.col(trials).cast(nw.Float64())
    share = hits / n
    middle = share + z**2 / (2 * n)
    reach = (share * (1 - share) / n + z**2 / (4 * n * n)).sqrt() * z
    scale = 1 + z**2 / n
    known = nw.col(trials) > 0
    low = nw.when(known & (nw.col(successes) > 0)).then((middle - reach) / scale)
    high = nw.when(known & (nw.col(successes) < nw.col(trials))).then((middle + reach) / scale)
    # At 0 and 1 rounding would put an end past the share itself.
    zero, one = nw.lit(0.0), nw.lit(1.0)
    return (
        low.otherwise(nw.when(known).then(zero)),
        high.otherwise(nw.when(known).then(one)),
    )


def difference_interval(
    more: Counts, less: Counts, trials: Counts, confidence: float = 0.95
) -> tuple[Counts, Counts]:
    """Return the interval of Bonett and Price of a difference between two shares of the same trials.

    With n = trials + 2, p = (more + 1) / n, q = (less + 1) / n and z the quantile of the normal distribution,
    its ends are p − q ± z √((p + q − (p − q)²) / n), within −1 and 1 [1]_.

    Parameters
    ----------
    more, less, trials : numpy.ndarray or narwhals.Expr
        Counts, all of one kind; no trial is in both `more` and `less`.
    confidence : float
        As in `wilson_interval`.

    Returns
    -------
    low, high : numpy.ndarray or narwhals.Expr
        Of no meaning where there were no trials.

    Raises
    ------
    ValueError
        If the confidence is not possible.

    References
    ----------
    .. [1] D. G. Bonett, R. M. Price (2012). Adjusted Wald confidence interval for a difference of binomial
       proportions based on paired data. Journal of Educational and Behavioral Statistics 37 (4), 479–488.
       doi:10.3102/1076998611411915

    Examples
    --------
    >>> low, high = difference_interval(np.array([3]), np.array([1]), np.array([8]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([-0.264], [0.664])
    """
    z = quantile(confidence)
    n = trials + 2
    p, q = (more + 1) / n, (less + 1) / n
    reach = ((p + q - (p - q) * (p - q)) / n) ** 0.5 * z
    return (p - q - reach).clip(-1.0, 1.0), (p - q + reach).clip(-1.0, 1.0)


def quantile(confidence: float) -> float:
    """Return how many standard errors an interval of this confidence reaches to each side.

    Raises
    ------
    ValueError
        If the confidence is not between 0 and 1.

    Examples
    --------
    >>> round(quantile(0.95), 2)
    1.96
    """
    if not 0 < amount(confidence) < 1:
        raise ValueError(f"confidence={confidence!r} is not possible: choose more than 0 and less than 1")
    return NormalDist().inv_cdf((1 + confidence) / 2)
