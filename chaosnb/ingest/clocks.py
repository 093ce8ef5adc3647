"""Clocks: where time comes from, whether the wall clock jumped, and how far the node's is from ours."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from chaosnb.ingest.session import Batch

__all__ = ["Clock", "ClockSkew", "ClockWatch"]

_JUMP_NS: Final = 1_000_000_000
_SAMPLES: Final = 500
_RANK: Final = 0.95


class Clock(Struct, frozen=True):
    """Where time comes from: wall clock in ns since the epoch, monotonic seconds, and a way to sleep."""

    wall_ns: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class ClockWatch:
    """Finds jumps of the wall clock: it was set, or the machine slept, which the monotonic clock leaves out.

    Parameters
    ----------
    wall_ns : int
        The wall clock now, in nanoseconds since the epoch.
    monotonic_s : float
        The monotonic clock now.

    Examples
    --------
    >>> watch = ClockWatch(0, 100.0)
    >>> watch.jump_s(1_000_000_000, 101.0)
    0.0
    >>> watch.jump_s(3_602_000_000_000, 102.0)
    3600.0
    """

    def __init__(self, wall_ns: int, monotonic_s: float) -> None:
        self._wall_ns = wall_ns
        self._monotonic_s = monotonic_s

    def jump_s(self, wall_ns: int, monotonic_s: float) -> float:
        """Return by how many seconds the wall clock has jumped since the last call; less than one is none."""
        jump_ns = wall_ns - self._wall_ns - round((monotonic_s - self._monotonic_s) * 1e9)
        self._wall_ns, self._monotonic_s = wall_ns, monotonic_s
        return jump_ns / 1e9 if abs(jump_ns) >= _JUMP_NS else 0.0


class ClockSkew:
    """Estimates how far the node's clock is ahead of ours, from event times and arrivals.

    Event time less arrival is the skew less the time on the way. Of the last 500, it takes the value that one
    in twenty exceeds: the quickest deliveries, but not the few events that claim to be from the future.
    """

    def __init__(self) -> None:
        self._ahead_ns: deque[int] = deque(maxlen=_SAMPLES)

    def feed(self, batch: Batch, ends: Sequence[int] = ()) -> None:
        """Look at the newest event of each type, in each part of the batch.

        Parameters
        ----------
        batch : Batch
        ends : sequence of int
            The arrival number of the last frame of each part; empty where it is one.
        """
        if len(ends) < 2:
            for rows in batch.timed:
                self._ahead_ns.append(int(rows.timestamp_us[-1]) * 1_000 - int(rows.received_at_ns[-1]))
            return
        parts, ahead_ns = [], []
        for rows in batch.timed:
            part = np.searchsorted(ends, rows.seq)
            newest = np.flatnonzero(np.diff(part, append=len(ends)))
            parts.append(part[newest])
            ahead_ns.append(rows.timestamp_us[newest] * 1_000 - rows.received_at_ns[newest])
        if parts:
            order = np.argsort(np.concatenate(parts), kind="stable")[-_SAMPLES:]
            self._ahead_ns += np.concatenate(ahead_ns)[order].tolist()

    def reset(self) -> None:
        """Forget everything, since our own clock was set."""
        self._ahead_ns.clear()

    @property
    def skew_s(self) -> float | None:
        """Seconds that the node's clock is ahead of ours, less the quickest delivery; None while unknown."""
        ahead_ns = sorted(self._ahead_ns)
        return ahead_ns[int(_RANK * (len(ahead_ns) - 1))] / 1e9 if ahead_ns else None
