"""Sums per second of event time, in order, which the aggregates are made of."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["NEVER", "BucketSums", "Columns", "bucket_times"]

NEVER: Final = 2**62
"""A second that does not come."""

_SECOND_US: Final = 1_000_000
_FIRST_CAPACITY: Final = 1024
_MOST_BUCKETS: Final = 2**20
_SPAN_S: Final = 4_000

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

    def add(self, timestamp_us: npt.NDArray[np.int64], values: npt.NDArray[np.floating]) -> None:
        """Add values, shape (n, series), at these times, shape (n,)."""
        buckets, place = np.unique(timestamp_us // _SECOND_US, return_inverse=True)
        sums = [np.bincount(place, column, len(buckets)) for column in values.T]
        self._add_buckets(buckets, np.column_stack(sums).astype(np.float64))

    def count(self, timestamp_us: npt.NDArray[np.int64], codes: npt.NDArray[np.int64]) -> None:
        """Add 1 to the series `codes`, shape (n,), at these times, shape (n,)."""
        seconds = timestamp_us // _SECOND_US
        first, series = int(seconds.min()), self._sums.shape[1]
        span = int(seconds.max()) - first + 1
        if span > _SPAN_S:
            buckets, place = np.unique(seconds, return_inverse=True)
        else:  # which saves the sorting
            buckets, place = np.arange(first, first + span), seconds - first
        counts = np.bincount(place * series + codes, minlength=len(buckets) * series).reshape(-1, series)
        came = counts.any(axis=1)
        self._add_buckets(buckets[came], counts[came].astype(np.float64))

    def merge(self, other: BucketSums) -> None:
        """Add all that another one holds."""
        self._add_buckets(other._bucket[: other._size], other._sums[: other._size])

    @property
    def first(self) -> int | None:
        """The oldest second that has a value, since the epoch."""
        return int(self._bucket[0]) if self._size else None

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

    def _add_buckets(self, buckets: npt.NDArray[np.int64], sums: npt.NDArray[np.float64]) -> None:
        place = np.searchsorted(self._bucket[: self._size], buckets)
        known = place < self._size
        known[known] = self._bucket[place[known]] == buckets[known]
        self._sums[place[known]] += sums[known]
        if known.all():
            return
        new_buckets, new_sums, new_place = buckets[~known], sums[~known], place[~known]
        size = self._size + len(new_buckets)
        if size > len(self._bucket):
            self._bucket = np.concatenate([self._bucket, np.zeros(size, dtype=np.int64)])
            self._sums = np.concatenate([self._sums, np.zeros((size, self._sums.shape[1]))])
        if new_place[0] < self._size:
            self._bucket[:size] = np.insert(self._bucket[: self._size], new_place, new_buckets)
            self._sums[:size] = np.insert(self._sums[: self._size], new_place, new_sums, axis=0)
        else:
            self._bucket[self._size : size] = new_buckets
            self._sums[self._size : size] = new_sums
        self._size = size
        if size > _MOST_BUCKETS:
            old = size - _MOST_BUCKETS * 3 // 4
            self._bucket, self._sums = self._bucket[old:size].copy(), self._sums[old:size].copy()
            self._size = size - old


def bucket_times(seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.datetime64]:
    """Return seconds since the epoch as times."""
    return (seconds * _SECOND_US).astype("datetime64[us]")
