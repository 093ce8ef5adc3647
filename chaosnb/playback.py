"""The stream of a replay: what `chaosnb.replay` returns, which can be held, moved and sent back.

Forward it plays on in haste; back it plays anew, beside what is shown, until it is there.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final, SupportsIndex

import pandas as pd

from chaosnb.amounts import amount
from chaosnb.errors import ChaosnbError, StreamClosedError
from chaosnb.ingest.clocks import Clock
from chaosnb.live import Stream
from chaosnb.pump import Pump
from chaosnb.store.history import History
from chaosnb.store.moments import Time, microseconds
from chaosnb.store.places import Place, place_after_batches, place_after_blocks, place_of_time
from chaosnb.store.replay import Replay

__all__ = ["ReplayStream", "check_speed"]

_CLOSED: Final = "this replay is closed; its tables can still be read. Open a new one with chaosnb.replay"
_ENDED: Final = "the replay is at its end: r.seek(time=...) or r.seek(height=...) goes back"
# No recording is longer.
_LONGEST_S: Final = 10**9
_PAUSED: Final = "the replay is paused, so that nothing comes: r.resume() lets it go on, r.step() a step"


def check_speed(speed: float | None) -> float | None:
    """Return a speed, or raise a `ValueError` if it is none."""
    if speed is None:
        return None
    if not 0 < amount(speed) < math.inf:
        raise ValueError(
            f"speed is a positive number such as 1 or 10, or None for as fast as can be, not {speed!r}"
        )
    return amount(speed)


class ReplayStream(Stream):
    """A `Stream` over a recording, which can be paused, moved on in steps, and sent to any moment of it.

    Times are those of arrival, by the clock of the machine that recorded. At its end it stays open, so that
    `seek` can go back.

    Examples
    --------
    >>> import chaosnb, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with chaosnb.stream("blocks", url="devnet", record=f"{folder.name}/run.chaos") as s:
    ...     s.wait(until=lambda s: len(s.block_proposal) >= 3, timeout=30)
    >>> r = chaosnb.replay(f"{folder.name}/run.chaos")
    >>> first = r.block_proposal["height"].iloc[0]
    >>> r.seek(height=first)
    >>> len(r.block_proposal)
    1
    >>> r.step()  # to the next block
    >>> len(r.block_proposal)
    2
    >>> r.close()
    >>> folder.cleanup()
    """

    def __init__(self, pump: Pump, *, source: Replay, history: History, clock: Clock) -> None:
        self._replay = source
        self._recording = history
        super().__init__(pump, clock=clock, history=history)

    @property
    def speed(self) -> float | None:
        """How many times as fast as it came; None: as fast as it can be read. Can be set, at any time."""
        return self._replay.playhead.speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        self._replay.playhead.set_speed(check_speed(speed))

    @property
    def paused(self) -> bool:
        """Whether it is held."""
        return self._replay.playhead.held and not self.ended

    @property
    def ended(self) -> bool:
        """Whether all of it has been read."""
        return self._replay.ended

    @property
    def progress(self) -> float:
        """How much of the recording has been read, from 0 to 1; about."""
        return self._replay.progress

    @property
    def time(self) -> pd.Timestamp:
        """When that arrived which was read last."""
        return pd.Timestamp(self._replay.now_ns(), tz="UTC")

    @property
    def closed(self) -> bool:
        """Whether it was closed, or has failed."""
        return self._closed or self._pump.failure is not None

    def pause(self) -> None:
        """Hold it where it is; the tables, plots and the dashboard stay at work."""
        self._check_open()
        if not self._pump.done:
            self._tell(self._replay.playhead.hold)

    def resume(self) -> None:
        """Let it go on at its speed.

        Raises
        ------
        StreamClosedError
            If it is closed, or at its end.
        """
        self._check_ahead()
        self._tell(self._replay.playhead.go_on)

    def step(
        self, blocks: int | None = None, *, batches: int | None = None, seconds: float | None = None
    ) -> None:
        """Go on until something more has come, and hold it there.

        Parameters
        ----------
        blocks : int, optional
            How many more blocks; 1 if nothing is given.
        batches : int, optional
            How many more batches of messages, as they came off the socket.
        seconds : float, optional
            How many more seconds of the recording.

        Raises
        ------
        TypeError, ValueError
            If more than one is given, or one is no number above 0, and for blocks and batches no whole one.
        StreamClosedError
            If it is closed, or at its end.
        """
        steps = [value for value in (blocks, batches, seconds) if value is not None]
        if not all(isinstance(v, SupportsIndex) for v in (blocks, batches) if v is not None):
            raise TypeError("blocks= and batches= of step() are whole numbers")
        if len(steps) > 1 or not all(amount(value) > 0 for value in steps):
            raise ValueError("step() takes one of blocks=, batches= and seconds=, a number above 0")
        self._check_ahead()
        self._tell(self._replay.playhead.hold)
        source, folder = self._replay, self._recording.folder
        at_ns = None
        if seconds is not None:
            at_ns = source.now_ns() + round(min(seconds, _LONGEST_S) * 1e9)
            place = place_of_time(folder, at_ns)
        elif batches is not None:
            place = place_after_batches(folder, source.segment, source.place, operator.index(batches))
        else:
            count = 1 if blocks is None else operator.index(blocks)
            place = place_after_blocks(folder, source.segment, source.place, count)
        self._hurry(place, at_ns, quiet=False)

    def seek(self, time: Time | None = None, *, height: int | None = None, quiet: bool = False) -> None:
        """Go to a moment, or to where a block had just arrived, forward or back.

        It goes on from there if it was going on, and is held where it was paused or at its end. Back means
        that it is read anew from its beginning, which takes as long as loading it up to there, some six
        seconds for a million events; until it is there, or if it cannot go there, all stays as it is.

        Parameters
        ----------
        time : str, datetime or pandas.Timestamp, optional
            A time of arrival; without a zone it is UTC. What had arrived before it will be there.
        height : int, optional
            Of a block: what had arrived up to its proposal will be there, that included.
        quiet : bool
            Whether to show no progress where it takes long.

        Raises
        ------
        ValueError
            Unless one of `time` and `height` is given, or no such block is in the recording.
        StreamClosedError
            If it is closed.
        """
        self._check_open()
        place = self._recording.find(time, height)
        at_ns = None if time is None else microseconds("time", time) * 1_000
        goes_on = not (self.paused or self._pump.done)
        if not self._pump.done:
            self._tell(self._replay.playhead.hold)
        if self._pump.done or place < self._replay.place:
            try:
                self._begin_anew(place, at_ns, quiet=quiet)
            except BaseException:
                if goes_on:
                    self._tell(self._replay.playhead.go_on)
                raise
        else:
            self._hurry(place, at_ns, quiet=quiet)
        if goes_on and not self._pump.done:
            self._tell(self._replay.playhead.go_on)

    def _hurry(self, place: Place, at_ns: int | None, *, quiet: bool) -> None:
        head = self._replay.playhead
        try:
            self._wait(self._pump, self._replay, head.go_to(place), quiet)
        except KeyboardInterrupt:
            self._tell(head.hold)
            raise
        self._replay.let_pass(at_ns)

    def _begin_anew(self, place: Place, at_ns: int | None, *, quiet: bool) -> None:
        take = self._recording.open(speed=self.speed, until=place)
        pump = Pump.over(take)
        try:
            self._wait(pump, take.source, take.source.playhead.arrival(), quiet)
        except BaseException:
            pump.end()
            raise
        take.source.let_pass(at_ns)
        before = self._end
        self._replay = take.source
        self._use(pump)
        before()

    def _wait(self, pump: Pump, source: Replay, arrival: Any, quiet: bool) -> None:
        title = f"seeking in {source.recording}"
        pump.wait(arrival, progress=lambda: source.progress, title=title, quiet=quiet)

    def _tell(self, what: Callable[[], Any]) -> None:
        self._pump.submit(what()).result(timeout=10)

    def _check_open(self) -> None:
        if self._closed:
            raise StreamClosedError(_CLOSED)

    def _check_ahead(self) -> None:
        self._check_open()
        if self._pump.failure is not None:
            self._raise(self._pump.failure)
        if self._pump.done:
            raise StreamClosedError(_ENDED)

    def _check_running(self) -> None:
        self._check_ahead()
        if self.paused:
            raise ChaosnbError(_PAUSED)
