"""Buckets of time: which there are, and what falls into each.

Their widths and edges are those of `chaosnb.tables.aggregates`, so that what is computed from tables later
equals what was shown live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.amounts import amount
from chaosnb.widths import round_width

__all__ = ["SECOND_US", "Floats", "Integers", "frame_of", "grid_of", "hide_edges", "span", "sums"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SECOND_US: Final = 1_000_000
_POINTS: Final = 300
_MOST_BUCKETS: Final = 1_000_000


def span(parts: Sequence[Integers], window_s: float | None, resolution_s: float | None) -> tuple[int, int]:
    """Return the second at which to begin, and how many seconds a bucket takes."""
    if resolution_s is not None and not (amount(resolution_s) >= 1 and amount(resolution_s).is_integer()):
        raise ValueError(
            f"resolution_s={resolution_s!r} is not possible: choose a whole number of seconds, at least 1"
        )
    if window_s is not None and not amount(window_s) > 0:
        raise ValueError(
            f"window_s={window_s!r} is not possible: choose more than 0 seconds, or None for all"
        )
    filled = [seconds for seconds in parts if len(seconds)]
    first = min((int(seconds.min()) for seconds in filled), default=0)
    last = max((int(seconds.max()) for seconds in filled), default=0)
    start = first if window_s is None else max(first, last - int(window_s))
    return start, int(resolution_s or round_width(last - start, _POINTS))


def grid_of(
    parts: Sequence[Integers], start: int, width: int
) -> tuple[Integers, list[npt.NDArray[np.bool_]]]:
    """Return all buckets from the first to the last second, and which seconds are not before them."""
    inside = [seconds >= start // width * width for seconds in parts]
    seen = [seconds[chosen] for seconds, chosen in zip(parts, inside, strict=True) if chosen.any()]
    if not seen:
        return np.zeros(0, np.int64), inside
    first, last = min(int(s.min()) for s in seen) // width * width, max(int(s.max()) for s in seen)
    if (last - first) // width >= _MOST_BUCKETS:
        raise ValueError(
            f"the times span {last - first:,} s, too many buckets of {width} s: choose a longer resolution_s"
        )
    return np.arange(first, last // width * width + width, width), inside


def sums(seconds: Integers, values: Floats | None, grid: Integers, width: int) -> Floats:
    """Return the sum of values, or the number of seconds, in each bucket of a grid."""
    if not len(grid):
        return np.zeros(0)
    return np.bincount((seconds - grid[0]) // width, values, len(grid)).astype(np.float64)


def hide_edges(rate: Floats, grid: Integers, parts: Sequence[Integers], width: int) -> Floats:
    """Make the buckets that were watched in part unknown."""
    if not len(grid):
        return rate
    # A bucket that is not over yet, or was not watched from its start, would show a false drop.
    rate[-1] = np.nan
    if grid[0] == min(int(seconds.min()) for seconds in parts if len(seconds)) // width * width:
        rate[0] = np.nan
    return rate


def frame_of(seconds: Integers, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a frame whose `time` is the buckets' start."""
    time = pd.Series(np.asarray(seconds, np.int64) * SECOND_US).astype("datetime64[us]").dt.tz_localize("UTC")
    return pd.DataFrame({"time": time, **columns})
