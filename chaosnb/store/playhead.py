"""The playhead: how a replay moves on, at its pace, held, or in haste to a place where it is held then."""

from __future__ import annotations

import asyncio
from typing import Final

from chaosnb.ingest.clocks import Clock
from chaosnb.store.places import Place

__all__ = ["Playhead"]

# So soon does it obey while it waits for what is due later.
_LOOK_S: Final = 0.1


class Playhead:
    """Says when what stands at a place is due; for one asyncio loop, but its attributes can be read anywhere.

    Parameters
    ----------
    speed : float, optional
        How many times as fast as it was recorded. None: as fast as it can be read.
    clock : Clock
    until : Place, optional
        Where it hurries at first.

    Attributes
    ----------
    held : bool
        Whether it stands still.
    """

    def __init__(self, *, speed: float | None, clock: Clock, until: Place | None = None) -> None:
        self.held = False
        self._speed = speed
        self._clock = clock
        self._until = until
        # Which moment of the recording was when.
        self._pace: tuple[int, float] | None = None
        self._next_ns = 0
        self._told = asyncio.Event()
        self._arrived = asyncio.Event()
        self._finished = False

    @property
    def speed(self) -> float | None:
        """How many times as fast as it was recorded; None: as fast as it can be read."""
        return self._speed

    async def wait(self, place: Place, at_ns: int) -> None:
        """Return once what stands at this place, and came at this time, is due."""
        self._next_ns = at_ns
        while not self._is_due(place):
            if self.held:
                self._told.clear()
                await self._told.wait()
            elif (wait_s := self._wait_s(at_ns)) > 0:
                await self._clock.sleep(min(wait_s, _LOOK_S))
            else:
                return

    def is_past(self, place: Place) -> bool:
        """Say whether all before this place is due by now."""
        if self._until is not None:
            return place <= self._until
        return self._speed is None and not self.held

    def limit(self, record: int, frames: int) -> int:
        """Return how many of a record's frames may be taken before it is asked again."""
        until = self._until
        return min(frames, until.frame) if until is not None and until.record == record else frames

    def restart(self) -> None:
        """Count the time anew from what comes next, since the recorder's clock was set, or stood still."""
        self._pace = None

    def finish(self) -> None:
        """Let those go who wait for a place, since nothing more comes."""
        self._finished = True
        self._until = None
        self._arrived.set()

    async def go_to(self, place: Place) -> None:
        """Hurry to a place ahead, and return once it is there, or at the end; it is held then."""
        if not self._finished:
            self._arrived.clear()
            self._until = place
            self.restart()
            self._told.set()
            await self._arrived.wait()

    async def arrival(self) -> None:
        """Wait until it is where it hurries to."""
        await self._arrived.wait()

    async def hold(self) -> None:
        """Stand still, wherever it is."""
        if not self.held:
            self._mark()
            self._stop()

    async def go_on(self) -> None:
        """Move on."""
        if self.held:
            self.held = False
            if self._pace is not None:
                self._pace = self._pace[0], self._clock.monotonic()
            self._told.set()

    def set_moment(self, at_ns: int) -> None:
        """Count the time from this moment of the recording, as soon as it moves on."""
        self._pace = at_ns, self._clock.monotonic()

    def set_speed(self, speed: float | None) -> None:
        """Move faster or slower from now on."""
        if not self.held:
            self._mark()
        self._speed = speed

    def _is_due(self, place: Place) -> bool:
        if self._until is not None:
            if place < self._until:
                return True
            self.restart()
            self._stop()
        return self._speed is None and not self.held

    def _stop(self) -> None:
        self.held = True
        self._until = None
        self._arrived.set()

    def _mark(self) -> None:
        """Note which moment of the recording is now."""
        if self._pace is not None and self._speed is not None:
            (since_ns, since_s), now_s = self._pace, self._clock.monotonic()
            passed_ns = (now_s - since_s) * self._speed * 1e9
            # What is next is not later than it is due, but where it cannot be read so fast.
            self._pace = since_ns + round(min(passed_ns, self._next_ns - since_ns)), now_s

    def _wait_s(self, at_ns: int) -> float:
        if self._speed is None:
            return 0.0
        now_s = self._clock.monotonic()
        if self._pace is None:
            self._pace = at_ns, now_s
        since_ns, since_s = self._pace
        return since_s + (at_ns - since_ns) / 1e9 / self._speed - now_s
