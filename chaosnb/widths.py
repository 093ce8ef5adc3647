"""Widths of buckets of time: round numbers of seconds, the same live and in what is computed later."""

from __future__ import annotations

from typing import Final

__all__ = ["round_width"]

_WIDTHS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
_DAY_S: Final = 86_400


def round_width(span_s: int, buckets: int) -> int:
    """Return the least round number of seconds of which so many make up a span; beyond a day, whole days.

    Parameters
    ----------
    span_s : int
        How long all of it is, in seconds.
    buckets : int
        About so many at most; less than 1 counts as 1.

    Examples
    --------
    >>> round_width(600, 300), round_width(3_601, 300), round_width(1_000_000, 3)
    (2, 15, 345600)
    """
    least = span_s / max(buckets, 1)
    return next((width for width in _WIDTHS_S if width >= least), int(least // _DAY_S + 1) * _DAY_S)
