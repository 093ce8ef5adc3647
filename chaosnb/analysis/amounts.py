"""Amounts that a caller gives, such as seconds, shares and how many."""

from __future__ import annotations

import math
from numbers import Real

__all__ = ["amount"]


def amount(value: object) -> float:
    """Return a number to compare with what is possible; NaN, which no range holds, where it is none.

    Examples
    --------
    >>> 0 < amount(0.95) < 1, 0 < amount("95 %") < 1, amount(None) > 0
    (True, False, False)
    """
    return float(value) if isinstance(value, Real) else math.nan
