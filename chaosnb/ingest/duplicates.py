"""The same event once: what came of late is remembered by its content, so that what comes again is known.

Nodes send events anew after a reconnect, and messages carry no number. Two are the same event when their type
and all their fields are the same; what has the same key but other content is another event. Fields that the
protocol does not name are in no table, and do not count.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from chaosnb.protocol.events import EVENT_TYPES, Event
from chaosnb.protocol.schema import TABLES, field_reader

__all__ = ["RecentEvents", "keys_of"]

_SEGMENTS: Final = 64
_WINDOW: Final = 2**18
# Python gives unlike numbers the same hash, such as -1 and -2, so their bits are mixed in.
_NUMBERS: Final = {
    EVENT_TYPES[table.name]: [
        (".".join(column.path), column.dtype)
        for column in table.columns
        if column.kind in ("integer", "number") and column.path
    ]
    for table in TABLES.values()
    if table.name in EVENT_TYPES
}
_FACTORS: Final = [secrets.randbits(63) | 1 for _ in range(max(map(len, _NUMBERS.values())))]


class _Segment(Struct, frozen=True):
    """Keys of events, sorted, and the span of these events' times."""

    keys: npt.NDArray[np.int64]
    first_us: int
    last_us: int

    def holds(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Say which of these keys it has."""
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.equal(self.keys[places], keys)


class RecentEvents:
    """Remembers the newest events.

    It holds the last `window` different events, and up to a 64th or one batch more: over two minutes of
    2,000 events a second, hours of a quiet feed. Each takes 8 bytes, 2.1 MB in all.

    A key has 64 bits of a hash with a secret of this process; that any two of 262,144 events that differ
    share one has a chance of 2e-9.

    Parameters
    ----------
    window : int
        How many events.

    Examples
    --------
    >>> from chaosnb.protocol.events import AgentStatus
    >>> back = AgentStatus("agent-1", "active", "back", "PT0S", "2026-11-23T00:36:12.345Z")
    >>> RecentEvents().repeated(keys_of([back, back]), np.array([1, 1])).tolist()
    [False, True]
    """

    def __init__(self, window: int = _WINDOW) -> None:
        self._window = window
        self._most = max(1, window // _SEGMENTS)
        self._segments: deque[_Segment] = deque()
        self._events = 0

    def repeated(
        self, keys: npt.NDArray[np.int64], timestamp_us: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Say which of these events came before, and remember the others.

        Parameters
        ----------
        keys : numpy.ndarray of int64, shape (n,)
            As `keys_of` gives them, in order of arrival within each type.
        timestamp_us : numpy.ndarray of int64, shape (n,)
            The events' times: the same event has the same, so that nothing newer than all need be looked up.

        Returns
        -------
        numpy.ndarray of bool, shape (n,)
        """
        repeated = np.zeros(len(keys), dtype=np.bool_)
        if not len(keys):
            return repeated
        in_order = np.sort(keys)
        if (in_order[1:] == in_order[:-1]).any():
            repeated[:] = True
            repeated[np.unique(keys, return_index=True)[1]] = False
        first_us, last_us = int(timestamp_us.min()), int(timestamp_us.max())
        for segment in self._segments:
            if segment.first_us <= last_us and first_us <= segment.last_us:
                places = np.flatnonzero(timestamp_us <= segment.last_us)
                repeated[places] |= segment.holds(keys[places])
        if repeated.any():
            in_order = np.sort(keys[~repeated])
        if len(in_order):
            self._remember(_Segment(in_order, first_us, last_us))
        return repeated

    def _remember(self, new: _Segment) -> None:
        """Add a segment, and forget the oldest ones that the window is full without."""
        segments = self._segments
        self._events += len(new.keys)
        # Like sizes are merged, so that few segments are left of many small batches.
        while segments and len(segments[-1].keys) <= min(2 * len(new.keys), self._most - len(new.keys)):
            old = segments.pop()
            first_us, last_us = min(old.first_us, new.first_us), max(old.last_us, new.last_us)
            new = _Segment(np.sort(np.concatenate([old.keys, new.keys])), first_us, last_us)
        segments.append(new)
        while self._events - len(segments[0].keys) >= self._window:
            self._events -= len(segments.popleft().keys)


def keys_of(events: Sequence[Event]) -> npt.NDArray[np.int64]:
    """Return what tells events of one type apart by their content, within this process.

    Parameters
    ----------
    events : sequence of Event, length n
        All of the same type.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
    """
    keys = np.fromiter(map(hash, events), dtype=np.int64, count=len(events))
    for number, (path, dtype) in enumerate(_NUMBERS.get(type(events[0]), ()) if events else ()):
        bits = np.array(field_reader((path,))(events), dtype=dtype).view(np.int64)
        keys ^= bits * _FACTORS[number]
    return keys
