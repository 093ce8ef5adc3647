"""How much comes, and how late, kept up while it comes: what `chaosnb.analysis.activity` says of the tables.

Nothing is kept before somebody asks; `chaosnb.tables.aggregates` then begins with what the tables hold.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.ingest.session import Batch, Rows
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.buckets import NEVER, BucketSums, Columns, bucket_times, whole_grid

__all__ = ["ACTIVITY", "Delays", "EventRates", "batch_of_frame"]

_SECOND_US: Final = 1_000_000
_MOST_DELAYS: Final = 4_000_000
_MOST_SECONDS: Final = 100_000
_PARTS: Final = {"median": 0.5, "low": 0.05, "high": 0.95}

Integers = npt.NDArray[np.int64]


class EventRates:
    """Events a second, by table.

    Examples
    --------
    >>> list(EventRates().value(0, 1))
    ['time']
    """

    def __init__(self) -> None:
        self._sums = BucketSums(len(TABLES))
        self._places = dict(zip(TABLES, range(len(TABLES)), strict=True))
        self._came: set[str] = set()

    def update(self, batch: Batch) -> None:
        """Count the events of a batch."""
        for name, rows in batch.rows.items():
            if len(rows.timestamp_us):
                self._came.add(name)
                codes = np.full(len(rows.timestamp_us), self._places[name], dtype=np.int64)
                self._sums.count(rows.timestamp_us, codes)

    def value(self, start: int, width: int, stop: int = NEVER) -> Columns:
        """Return columns time, and 1/s for each table of which anything came."""
        seconds, sums = self._sums.value(start, width, stop)
        grid, rates = whole_grid(seconds, sums / width, width)
        if len(grid):
            # A bucket that is not over yet, or was not watched from its start, would show a false drop.
            rates[-1] = np.nan
            if grid[0] == (self._sums.first or 0) // width * width:
                rates[0] = np.nan
        came = {name: rates[:, place].copy() for name, place in self._places.items() if name in self._came}
        return {"time": bucket_times(grid), **came}


class Delays:
    """How long events take from their own time to their arrival, exactly.

    Of more than four million events, or a hundred thousand seconds with any, the oldest quarter of the
    seconds is forgotten. That takes 32 MB.

    Examples
    --------
    >>> list(Delays().value(0, 1))
    ['time', 'median', 'low', 'high']
    """

    def __init__(self) -> None:
        self._seconds: list[int] = []
        self._delays_us: dict[int, list[Integers]] = {}
        self._size = 0
        # What was found of buckets that are over, by their width.
        self._known: dict[int, dict[int, tuple[float, ...]]] = {}

    def update(self, batch: Batch) -> None:
        """Add the events of a batch; errors, which carry no time of their own, are left out."""
        for name, rows in batch.rows.items():
            if name != "error" and len(rows.timestamp_us):
                delays_us = rows.received_at_ns // 1_000 - rows.timestamp_us
                for second, part in _by_second(rows.timestamp_us, delays_us):
                    self._add(second, part)
        while self._size > _MOST_DELAYS or len(self._seconds) > _MOST_SECONDS:
            self._forget(len(self._seconds) // 4 or 1)

    def value(self, start: int, width: int, stop: int = NEVER) -> Columns:
        """Return columns time, median, low and high (5 % and 95 %) in seconds, per bucket that has any."""
        low = bisect_left(self._seconds, start // width * width)
        high = bisect_right(self._seconds, stop)
        buckets = np.unique(np.array(self._seconds[low:high], dtype=np.int64) // width * width)
        if width not in self._known and len(self._known) > len(_PARTS):
            self._known.clear()
        known = self._known.setdefault(width, {})
        found = []
        for bucket in buckets.tolist():
            if bucket + width > stop:  # is not over yet
                found.append(self._quantiles(bucket, stop + 1))
            else:
                if bucket not in known:
                    known[bucket] = self._quantiles(bucket, bucket + width)
                found.append(known[bucket])
        columns = np.array(found, dtype=np.float64).reshape(-1, len(_PARTS)).T.copy()
        return {"time": bucket_times(buckets), **dict(zip(_PARTS, columns, strict=True))}

    def _add(self, second: int, delays_us: Integers) -> None:
        parts = self._delays_us.get(second)
        if parts is None:
            parts = self._delays_us[second] = []
            if not self._seconds or second > self._seconds[-1]:
                self._seconds.append(second)
            else:
                insort(self._seconds, second)
        # As one from time to time: many small arrays take more memory than what is in them.
        parts.append(delays_us)
        if len(parts) > 64:
            parts[:] = [np.concatenate(parts)]
        self._size += len(delays_us)
        for width, known in self._known.items():
            known.pop(second // width * width, None)

    def _quantiles(self, start: int, stop: int) -> tuple[float, ...]:
        low, high = bisect_left(self._seconds, start), bisect_left(self._seconds, stop)
        parts = [part for second in self._seconds[low:high] for part in self._delays_us[second]]
        values = np.quantile(np.concatenate(parts) / _SECOND_US, [*_PARTS.values()])
        return tuple(values.tolist())

    def _forget(self, oldest: int) -> None:
        for second in self._seconds[:oldest]:
            self._size -= sum(map(len, self._delays_us.pop(second)))
        del self._seconds[:oldest]
        self._known.clear()


ACTIVITY: Final[dict[str, Callable[[], EventRates | Delays]]] = {"event_rate": EventRates, "lag": Delays}
"""What keeps each of these up to date, by name."""


def batch_of_frame(name: str, frame: pd.DataFrame) -> Batch:
    """Return when the rows of a table came, without their events, as a batch."""
    timestamp_us = frame["timestamp"].to_numpy("datetime64[us]").astype(np.int64)
    received_ns = frame["received_at"].to_numpy("datetime64[us]").astype(np.int64) * 1_000
    return Batch(rows={name: Rows([], timestamp_us, received_ns, frame["seq"].to_numpy(np.int64))})


def _by_second(timestamp_us: Integers, values: Integers) -> Iterator[tuple[int, Integers]]:
    seconds = timestamp_us // _SECOND_US
    if seconds[0] == seconds[-1] and (seconds == seconds[0]).all():  # as is usual
        yield int(seconds[0]), values
        return
    order = np.argsort(seconds, kind="stable")
    ordered = seconds[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    for second, part in zip(ordered[starts].tolist(), np.split(values[order], starts[1:]), strict=True):
        # Of its own, so that one second's values do not keep those of all others.
        yield second, part.copy()
