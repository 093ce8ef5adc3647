"""A network in memory for tests: links that play a script, and a clock that moves only in `sleep`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from chaosnb.errors import TransportError
from chaosnb.ingest.connection import Clock
from chaosnb.protocol.events import Frame

__all__ = ["MemoryLink", "MemoryNetwork", "VirtualTime"]

START_NS = 1_780_000_000_000_000_000


class VirtualTime:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sleeps: list[float] = []

    @property
    def clock(self) -> Clock:
        """The clock to hand to the code under test."""
        return Clock(
            wall_ns=lambda: START_NS + int(self.now_s * 1e9), monotonic=lambda: self.now_s, sleep=self.sleep
        )

    async def sleep(self, delay_s: float) -> None:
        """Let the time pass at once."""
        self.sleeps.append(delay_s)
        self.now_s += delay_s
        await asyncio.sleep(0)


class MemoryLink:
    """A link that gives its batches of messages, then ends by an error or stays silent."""

    def __init__(
        self, batches: Iterable[list[bytes]], end: TransportError | None, time: VirtualTime, lasts_s: float
    ) -> None:
        self.sent: list[str] = []
        self.closed = False
        self._batches = list(batches)
        self._end = end
        self._time = time
        self._lasts_s = lasts_s

    async def receive(self) -> list[Frame]:
        """Give the next batch."""
        await asyncio.sleep(0)
        if self._batches:
            return [Frame(data, self._time.clock.wall_ns()) for data in self._batches.pop(0)]
        if self._end is None:
            await asyncio.Event().wait()
        self._time.now_s += self._lasts_s
        raise self._end or TransportError("never")

    async def send(self, text: str) -> None:
        """Keep what is sent."""
        self.sent.append(text)

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class MemoryNetwork:
    """Gives one scripted link after the other; an error in the script refuses the connection."""

    def __init__(self, time: VirtualTime) -> None:
        self.links: list[MemoryLink] = []
        self.connects = 0
        self._time = time
        self._script: list[MemoryLink | TransportError] = []

    def link(
        self, *batches: list[bytes], end: TransportError | None = None, lasts_s: float = 0.0
    ) -> MemoryNetwork:
        """Add a link to the script; without `end` it stays silent after its last batch."""
        self._script.append(MemoryLink(batches, end, self._time, lasts_s))
        return self

    def refuse(self, times: int = 1) -> MemoryNetwork:
        """Add refused connections to the script."""
        self._script += [TransportError("connection refused")] * times
        return self

    async def __call__(self, url: str) -> MemoryLink:
        """Connect: play the next part of the script; after its end, silence."""
        self.connects += 1
        await asyncio.sleep(0)
        part = self._script.pop(0) if self._script else MemoryLink([], None, self._time, 0.0)
        if isinstance(part, TransportError):
            raise part
        self.links.append(part)
        return part
