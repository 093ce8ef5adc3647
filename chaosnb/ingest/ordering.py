"""The order of a feed: what its present is, in event time, and which events come too late for it.

Events may come somewhat out of order; the tables put each in its place whenever it comes. What is counted
here is how often one came later than a feed should be.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from chaosnb.amounts import amount

__all__ = ["EventClock", "check_lateness"]

_LONGEST_S: Final = 1e9
_RECENT: Final = 101
_PRESENT: Final = 0.9
_HORIZON_US: Final = 3_600_000_000
_NEVER_US: Final = -(2**62)


def check_lateness(lateness_s: float) -> float:
    """Return the lateness in seconds as a plain number, which can be recorded.

    Raises
    ------
    ValueError
        If it is not, or negative.
    """
    if not 0 <= amount(lateness_s) < _LONGEST_S:
        raise ValueError(
            f"lateness is a number of seconds such as 2.0, not negative and below 1e9, not {lateness_s!r}"
        )
    return amount(lateness_s)


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
        101 at the end of its batch. None before the first event.
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

    def feed(self, timestamp_us: npt.NDArray[np.int64], ends: npt.NDArray[np.int64] | None = None) -> int:
        """Take event times in order of arrival; return how many of them are late.

        Parameters
        ----------
        timestamp_us : numpy.ndarray of int64, shape (n,)
        ends : numpy.ndarray of int64, optional
            Where the batches end that these are made of. None: it is one.
        """
        if not len(timestamp_us):
            return 0
        known = np.concatenate([self._recent, timestamp_us])
        if ends is not None and self._is_beyond_horizon(known):
            return sum(map(self.feed, np.split(timestamp_us, ends)))
        self._recent = known[-_RECENT:]
        middle = (len(self._recent) - 1) // 2
        limit = int(np.partition(self._recent, middle)[middle]) + _HORIZON_US
        newest = _NEVER_US if self.newest_us is None else self.newest_us
        if newest > limit:  # what came first was from a wrong clock
            newest = _NEVER_US
        believed = np.where(timestamp_us <= limit, timestamp_us, _NEVER_US)
        latest = np.maximum.accumulate(np.concatenate([[newest], believed]))
        recent = np.sort(self._recent[self._recent <= limit])
        self.newest_us = max(int(latest[-1]), int(recent[-1]))
        self.present_us = int(recent[int(_PRESENT * (len(recent) - 1))])
        return int(np.count_nonzero(timestamp_us < latest[:-1] - self._lateness_us))

    def _is_beyond_horizon(self, known_us: npt.NDArray[np.int64]) -> bool:
        """Say whether not all of these times need be believed, so that it matters when which came."""
        newest_us = known_us.max() if self.newest_us is None else max(known_us.max(), self.newest_us)
        return bool(newest_us - known_us.min() > _HORIZON_US)
