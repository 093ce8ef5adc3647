"""Confidence intervals of shares."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = ["wilson_interval"]

Floats = npt.NDArray[np.float64]


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
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} is not possible: choose more than 0 and less than 1")
    hits, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    if np.any((hits < 0) | (hits > n)):
        raise ValueError("successes must be between 0 and trials; count both over the same rows")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / n
        middle = share + z**2 / (2 * n)
        reach = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        scale = 1 + z**2 / n
        # Rounding must not put an end past the share itself, as it would at 0 and 1.
        low, high = np.minimum((middle - reach) / scale, share), np.maximum((middle + reach) / scale, share)
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
