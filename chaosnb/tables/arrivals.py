"""How many events of each table came in each of the last sixty seconds, for the sparklines."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["SPAN_S", "Arrivals"]

SPAN_S: Final = 60
"""How many seconds it looks back."""


class Arrivals:
    """Counts of the last minute; safe to add to in one thread and to read in others.

    Parameters
    ----------
    monotonic : callable
        Seconds.

    Examples
    --------
    >>> arrivals = Arrivals(lambda: 100.0)
    >>> arrivals.add({"meme_posted": 3})
    >>> arrivals.counts("meme_posted")[-2:]
    [0, 3]
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seconds: dict[str, deque[tuple[int, int]]] = {}

    def add(self, events: Mapping[str, int]) -> None:
        """Count events of these tables, now."""
        second = int(self._monotonic())
        with self._lock:
            for name, count in events.items():
                seconds = self._seconds.setdefault(name, deque(maxlen=SPAN_S))
                if seconds and seconds[-1][0] == second:
                    count += seconds.pop()[1]
                seconds.append((second, count))

    def counts(self, name: str) -> list[int]:
        """Return the events of each second, the oldest first; the last second is not over yet."""
        first = int(self._monotonic()) - SPAN_S + 1
        counts = [0] * SPAN_S
        with self._lock:
            for second, count in self._seconds.get(name, ()):
                if second >= first:
                    counts[second - first] = count
        return counts
