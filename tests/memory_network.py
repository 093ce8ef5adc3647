"""A network in memory for tests: links that play a script, in a time that jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from chaosnb.errors import TransportError
from chaosnb.ingest.connection import Clock
from chaosnb.protocol.events import Frame

__all__ = ["START_NS", "MemoryLink", "MemoryNetwork", "VirtualTime"]

T = TypeVar("T")

START_NS = 1_780_000_000_000_000_000


class VirtualTime:
    """Time that passes only where everything waits: then it jumps to the next timer.

    Sleeps, time-outs and timers of asyncio take no real time within `run`. `jump_s` sets the wall clock.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.jump_s = 0.0

    @property
    def clock(self) -> Clock:
        """The clock to hand to the code under test."""
        return Clock(wall_ns=self.wall_ns, monotonic=lambda: self.now_s, sleep=asyncio.sleep)

    def wall_ns(self) -> int:
        """Return the time of the wall clock."""
        return START_NS + int((self.now_s + self.jump_s) * 1e9)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in this time."""
        with asyncio.Runner(loop_factory=lambda: _VirtualLoop(self)) as runner:
            return runner.run(coroutine)


class _VirtualLoop(asyncio.SelectorEventLoop):
    """A loop by whose clock all waiting is over at once."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__(_JumpingSelector(time))
        self._virtual = time

    def time(self) -> float:
        return self._virtual.now_s


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found and timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        if not found:
            self._time.now_s += timeout or 0.0
        return found


class MemoryLink:
    """A link that plays its parts, messages and pauses in seconds, then ends by an error or stays silent."""

    def __init__(
        self,
        parts: Iterable[list[bytes] | float],
        end: TransportError | None,
        time: VirtualTime,
        lasts_s: float,
    ) -> None:
        self.sent: list[str] = []
        self.sent_at_s: list[float] = []
        self.closed = False
        self.mute = False
        self._parts = list(parts)
        self._end = end
        self._time = time
        self._lasts_s = lasts_s

    async def receive(self) -> list[Frame]:
        """Give the next messages."""
        await asyncio.sleep(0)
        while self._parts:
            part = self._parts.pop(0)
            if isinstance(part, list):
                return [Frame(data, self._time.wall_ns()) for data in part]
            await asyncio.sleep(part)
        if self._end is None:
            await asyncio.Event().wait()
        await asyncio.sleep(self._lasts_s)
        # An error that is raised again keeps the frames of each time.
        raise (self._end or TransportError("never")).with_traceback(None)

    async def send(self, text: str) -> None:
        """Keep what is sent, or fail to where it is mute."""
        if self.mute:
            raise TransportError("the connection is closing")
        self.sent.append(text)
        self.sent_at_s.append(self._time.now_s)

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class MemoryNetwork:
    """Gives one scripted link after the other; an error in the script refuses the connection."""

    def __init__(self, time: VirtualTime) -> None:
        self.links: list[MemoryLink] = []
        self.connects = 0
        self._time = time
        self.script: list[MemoryLink | TransportError] = []
        self._endless: Callable[[], MemoryLink | TransportError] | None = None

    def link(
        self, *parts: list[bytes] | float, end: TransportError | None = None, lasts_s: float = 0.0
    ) -> MemoryNetwork:
        """Add a link to the script; without `end` it stays silent after its last part."""
        self.script.append(MemoryLink(parts, end, self._time, lasts_s))
        return self

    def refuse(self, times: int = 1, error: TransportError | None = None) -> MemoryNetwork:
        """Add refused connections to the script."""
        self.script += [error or TransportError("connection refused")] * times
        return self

    def forever(self, part: Callable[[], MemoryLink | TransportError]) -> MemoryNetwork:
        """Have what this gives follow the script, again and again."""
        self._endless = part
        return self

    async def __call__(self, url: str) -> MemoryLink:
        """Connect: play the next part of the script; after its end, silence."""
        self.connects += 1
        await asyncio.sleep(0)
        part = self.script.pop(0) if self.script else self._endless() if self._endless else None
        if isinstance(part, TransportError):
            raise part.with_traceback(None)
        link = part or MemoryLink([], None, self._time, 0.0)
        self.links.append(link)
        return link
