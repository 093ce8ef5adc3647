"""Sums per second of event time, in order, which the aggregates are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["NEVER", "BucketSums", "Columns", "bucket_times", "whole_grid"]

NEVER: Final = 2**62
"""A second that does not come."""

_SECOND_US: Final = 1_000_000
_FIRST_CAPACITY: Final = 1024
_MOST_BUCKETS: Final = 2**20
_SPAN_S: Final = 4_000
# Numbers of a node's own making may be too large for their sum, which is infinite then, and no news.
_SILENT: Final = np.errstate(over="ignore", invalid="ignore")

Columns = dict[str, npt.NDArray[Any]]
"""What holds the values of an aggregate by name."""


class BucketSums:
    """Sums of several series per second of event time, kept in order of time.

    Of more than a million seconds with a value, which a feed takes 12 days for, the oldest quarter is
    forgotten.

    Parameters
    ----------
    series : int
        How many series.
    """

    def __init__(self, series: int) -> None:
        self._bucket = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._sums = np.zeros((_FIRST_CAPACITY, series))
        self._size = 0

    def add(
        self, timestamp_us: npt.NDArray[np.int64], columns: Mapping[int, npt.NDArray[np.floating]]
    ) -> None:
        """Add values, each shape (n,), to some of the series at these times, shape (n,)."""
        buckets, place = _buckets_of(timestamp_us)
        came = np.bincount(place, minlength=len(buckets)).astype(np.bool_)
        sums = np.zeros((len(buckets), self._sums.shape[1]))
        for series, values in columns.items():
            sums[:, series] = np.bincount(place, values, len(buckets))
        self._add_buckets(buckets[came], sums[came])

    def count(self, timestamp_us: npt.NDArray[np.int64], codes: npt.NDArray[np.integer]) -> None:
        """Add 1 to the series `codes`, shape (n,), at these times, shape (n,)."""
        series = self._sums.shape[1]
        first, last = int(timestamp_us.min()) // _SECOND_US, int(timestamp_us.max()) // _SECOND_US
        if first == last:  # as is usual for a batch, and quicker
            self._add_buckets(np.array([first]), np.bincount(codes, minlength=series)[np.newaxis])
            return
        buckets, place = _buckets_of(timestamp_us)
        counts = np.bincount(place * series + codes, minlength=len(buckets) * series).reshape(-1, series)
        came = counts.any(axis=1)
        self._add_buckets(buckets[came], counts[came])

    def merge(self, other: BucketSums) -> None:
        """Add all that another one holds."""
        self._add_buckets(other._bucket[: other._size], other._sums[: other._size])

    @property
    def first(self) -> int | None:
        """The oldest second that has a value, since the epoch."""
        return int(self._bucket[0]) if self._size else None

    @_SILENT
    def value(
        self, start: int, width: int, stop: int = NEVER
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the buckets of `width` seconds from `start` to `stop` that have a value, and their sums."""
        low = int(np.searchsorted(self._bucket[: self._size], start // width * width))
        high = int(np.searchsorted(self._bucket[: self._size], stop, side="right"))
        coarse = self._bucket[low:high] // width * width
        if not len(coarse):
            return coarse, self._sums[:0].copy()
        starts = np.flatnonzero(np.concatenate([[True], coarse[1:] != coarse[:-1]]))
        return coarse[starts], np.add.reduceat(self._sums[low:high], starts, axis=0)

    @_SILENT
    def _add_buckets(self, buckets: npt.NDArray[np.int64], sums: npt.NDArray[Any]) -> None:
        if not len(buckets):
            return
        last = self._size - 1
        # Nearly all that comes belongs to the last bucket, or after it.
        if self._size and buckets[0] == self._bucket[last]:
            self._sums[last] += sums[0]
            buckets, sums = buckets[1:], sums[1:]
        elif self._size and buckets[0] < self._bucket[last]:
            buckets, sums = self._add_to_known(buckets, sums)
        self._insert(buckets, sums)

    def _add_to_known(
        self, buckets: npt.NDArray[np.int64], sums: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Add to the buckets that there are; return the others."""
        place = np.searchsorted(self._bucket[: self._size], buckets)
        known = place < self._size
        known[known] = self._bucket[place[known]] == buckets[known]
        self._sums[place[known]] += sums[known]
        return buckets[~known], sums[~known]

    def _insert(self, buckets: npt.NDArray[np.int64], sums: npt.NDArray[Any]) -> None:
        """Add buckets that there are not yet, in order of time."""
        if not len(buckets):
            return
        size = self._size + len(buckets)
        if size > len(self._bucket):
            self._bucket = np.concatenate([self._bucket, np.zeros(size, dtype=np.int64)])
            self._sums = np.concatenate([self._sums, np.zeros((size, self._sums.shape[1]))])
        if self._size and buckets[0] < self._bucket[self._size - 1]:
            place = np.searchsorted(self._bucket[: self._size], buckets)
            self._bucket[:size] = np.insert(self._bucket[: self._size], place, buckets)
            self._sums[:size] = np.insert(self._sums[: self._size], place, sums, axis=0)
        else:
            self._bucket[self._size : size] = buckets
            self._sums[self._size : size] = sums
        self._size = size
        if size > _MOST_BUCKETS:
            old = size - _MOST_BUCKETS * 3 // 4
            self._bucket, self._sums = self._bucket[old:size].copy(), self._sums[old:size].copy()
            self._size = size - old


def _buckets_of(
    timestamp_us: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return seconds in order, among them all that these times are of, and the place of each time's."""
    seconds = timestamp_us // _SECOND_US
    first = int(seconds.min())
    span = int(seconds.max()) - first + 1
    if span > _SPAN_S:
        return np.unique(seconds, return_inverse=True)
    return np.arange(first, first + span), seconds - first  # which saves the sorting


def whole_grid(
    seconds: npt.NDArray[np.int64], sums: npt.NDArray[np.float64], width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return all buckets from the first to the last, and their sums: 0 where there were none."""
    grid = np.arange(seconds[0], seconds[-1] + width, width) if len(seconds) else seconds
    on_grid = np.zeros((len(grid), sums.shape[1]))
    on_grid[np.searchsorted(grid, seconds)] = sums
    return grid, on_grid


def bucket_times(seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.datetime64]:
    """Return seconds since the epoch as times."""
    return (seconds * _SECOND_US).astype("datetime64[us]")
