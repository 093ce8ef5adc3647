"""How far a feed is in event time, and how much out of order it comes. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Progress"]

_RECENT: Final = 101
_TAKEN_AT_ONCE: Final = 500
_FAR: Final = 4


class Progress:
    """Keeps the newest event time of a feed and its greatest disorder.

    A stamp that lies far ahead of the last hundred, both in itself and in its distance to the time of
    arrival, is left out, so that one event of the year 9999 does not set the feed's clock.

    Parameters
    ----------
    lateness_us : int
        The greatest disorder to reckon with, in microseconds.
    """

    def __init__(self, *, lateness_us: int) -> None:
        self._lateness_us = lateness_us
        self._fresh: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
        self._fresh_rows = 0
        self._times = np.empty(0, dtype=np.int64)
        self._arrivals = np.empty(0, dtype=np.int64)
        self._newest_us: int | None = None
        self._disorder_us = 0
        self._ahead_us = 0

    def feed(self, times_us: npt.NDArray[np.int64], arrivals_ns: npt.NDArray[np.int64]) -> None:
        """Add events, their own times and those of their arrival, in order of arrival."""
        if len(times_us):
            self._fresh.append((times_us, arrivals_ns))
        self._fresh_rows += len(times_us)
        if self._fresh_rows >= _TAKEN_AT_ONCE:
            self._take_in()

    @property
    def newest_us(self) -> int | None:
        """The newest event time, in microseconds since the epoch; None before the first event."""
        self._take_in()
        return self._newest_us

    @property
    def disorder_us(self) -> int:
        """By how much an event was older than one that came before it, at most; at most the lateness."""
        self._take_in()
        return self._disorder_us

    @property
    def ahead_us(self) -> int:
        """How far the sender's clock is ahead of ours by the latest events; 0 before the first."""
        self._take_in()
        return self._ahead_us

    def _take_in(self) -> None:
        # Some hundred events at once, since that costs hardly more than one.
        if not self._fresh:
            return
        fresh_us, fresh_at_ns = map(np.concatenate, zip(*self._fresh, strict=True))
        old = len(self._times)
        times = np.concatenate([self._times, fresh_us])
        arrivals = np.concatenate([self._arrivals, fresh_at_ns // 1_000])
        plausible = self._plausible(times, arrivals)
        peaks = np.maximum.accumulate(np.where(plausible, times, times[plausible].min()))
        behind = (peaks - times)[old:][plausible[old:]]
        greatest = int(behind.max()) if behind.size else 0
        self._disorder_us = max(self._disorder_us, min(greatest, self._lateness_us))
        self._newest_us = int(peaks[-1])
        # What comes late, or again, says less than what came at once.
        self._ahead_us = int((times - arrivals)[plausible][-_RECENT:].max())
        self._times, self._arrivals = times[-_RECENT:], arrivals[-_RECENT:]
        self._fresh, self._fresh_rows = [], 0

    def _plausible(
        self, times: npt.NDArray[np.int64], arrivals: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        ahead = times - arrivals
        places = [len(times) // 4, len(times) // 2, 3 * len(times) // 4]
        low, _, high = np.partition(times, places)[places].tolist()
        latest = high + _FAR * (high - low) + self._lateness_us
        usual = int(np.partition(ahead, places[1])[places[1]])
        plausible: npt.NDArray[np.bool_] = (times <= latest) | (ahead <= usual + self._lateness_us)
        return plausible
