"""The order of a feed: what its present is, in event time, and which events come too late for it.

Events may come somewhat out of order; the tables put each in its place whenever it comes. What is counted
here is how often one came later than a feed should be.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["EventClock"]

_RECENT: Final = 101
_PRESENT: Final = 0.9
_HORIZON_US: Final = 3_600_000_000
_NEVER_US: Final = -(2**62)


class EventClock:
    """The present of a feed in event time; a few events from clocks that are wrong do not move it.

    Parameters
    ----------
    lateness_us : int
        How far behind the newest event one may be without being late, in microseconds.

    Attributes
    ----------
    newest_us : int or None
        The newest event time that is believed: not one that is over an hour ahead of the median of the last
        101. None before the first event.
    present_us : int or None
        What nine in ten of the last 101 event times that are believed do not exceed.

    Examples
    --------
    >>> clock = EventClock(lateness_us=2_000_000)
    >>> clock.feed(np.array([10_000_000, 9_000_000, 7_000_000]))
    1
    >>> clock.present_us, clock.newest_us
    (9000000, 10000000)
    """

    def __init__(self, lateness_us: int) -> None:
        self._lateness_us = lateness_us
        self._recent = np.empty(0, dtype=np.int64)
        self.present_us: int | None = None
        self.newest_us: int | None = None

    def feed(self, timestamp_us: npt.NDArray[np.int64]) -> int:
        """Take event times in order of arrival; return how many of them are late."""
        if not len(timestamp_us):
            return 0
        known = np.concatenate([self._recent, timestamp_us])
        believed = timestamp_us
        if int(timestamp_us.max()) - int(known.min()) > _HORIZON_US:
            ahead = timestamp_us - _medians(known)[-len(timestamp_us) :] > _HORIZON_US
            believed = np.where(ahead, _NEVER_US, timestamp_us)
        newest = _NEVER_US if self.newest_us is None else self.newest_us
        latest = np.maximum.accumulate(np.concatenate([[newest], believed]))
        late = int(np.count_nonzero(timestamp_us < latest[:-1] - self._lateness_us))
        self.newest_us = int(latest[-1])
        self._recent = known[-_RECENT:]
        limit = _median(self._recent) + _HORIZON_US
        recent = np.sort(self._recent[self._recent <= limit])
        self.present_us = int(recent[int(_PRESENT * (len(recent) - 1))])
        if self.newest_us > limit:  # the first event was from a wrong clock
            self.newest_us = int(recent[-1])
        return late


def _median(values: npt.NDArray[np.int64]) -> int:
    middle = (len(values) - 1) // 2
    return int(np.partition(values, middle)[middle])


def _medians(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return for each value the median of it and up to 100 before it."""
    first = [_median(values[: end + 1]) for end in range(min(len(values), _RECENT - 1))]
    if len(values) < _RECENT:
        return np.array(first, dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(values, _RECENT)
    return np.concatenate([first, np.partition(windows, _RECENT // 2, axis=1)[:, _RECENT // 2]])
