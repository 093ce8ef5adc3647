"""Virtual time: what happens next, and the events it leaves behind."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from chaosnb.protocol.events import Event
from chaosnb.protocol.iso8601 import format_timestamp

__all__ = ["Timeline"]


class Timeline:
    """A heap of actions to come, in microseconds since virtual time zero.

    Parameters
    ----------
    rng : random.Random
    start_us : int
        Virtual time zero, in microseconds since the epoch.
    """

    def __init__(self, rng: Random, start_us: int) -> None:
        self._rng = rng
        self._start_us = start_us
        self._heap: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._order = 0
        self._events: list[Event] = []
        self._second, self._prefix = -1, ""
        self.now_us = 0

    def at(self, at_us: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Have `action(argument)` called at a moment; what is due at the same moment keeps its order."""
        self._order += 1
        heapq.heappush(self._heap, (at_us, self._order, action, argument))

    def after(self, mean_us: int, action: Callable[[Any], None], argument: Any = None) -> None:
        """Have `action(argument)` called after half to one and a half times `mean_us`."""
        self.at(self.now_us + max(1, int(mean_us * (0.5 + self._rng.random()))), action, argument)

    def emit(self, event: Event) -> None:
        """Add an event, which bears the present time."""
        self._events.append(event)

    def run(self, until_us: int) -> list[Event]:
        """Do all that is due up to a moment, included, and return the events."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until_us:
            self.now_us, _, action, argument = pop(heap)
            action(argument)
        self.now_us = max(self.now_us, until_us)
        emitted, self._events = self._events, []
        return emitted

    def stamp(self) -> str:
        """Return the present time as ISO 8601 text, cut to milliseconds."""
        # Formatting a time costs more than drawing an event, and most events share their second.
        second, rest_us = divmod(self._start_us + self.now_us, 1_000_000)
        if second != self._second:
            self._second, self._prefix = second, format_timestamp(second * 1_000_000)[:-4]
        return f"{self._prefix}{rest_us // 1000:03d}Z"
