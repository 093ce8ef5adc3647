"""Amounts that a caller gives, such as seconds, shares and how many: what is no number is refused."""

from __future__ import annotations

import math
from contextlib import suppress
from numbers import Real

__all__ = ["amount", "check_amounts"]


def amount(value: object) -> float:
    """Return a plain number to compare with what is possible; NaN, which no range holds, where it is none.

    Examples
    --------
    >>> 0 < amount(0.95) < 1, 0 < amount("95 %") < 1, amount(None) > 0, amount(True) > 0
    (True, False, False, False)
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        with suppress(OverflowError):
            return float(value)
    return math.nan


def check_amounts(**given: float | None) -> None:
    """Raise unless each of these is None, or a number that is 0 or more.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_amounts(seconds=-1)
    Traceback (most recent call last):
    ValueError: seconds=-1 is not possible: choose a number that is 0 or more
    """
    for name, value in given.items():
        if value is not None and not amount(value) >= 0:
            raise ValueError(f"{name}={value!r} is not possible: choose a number that is 0 or more")
