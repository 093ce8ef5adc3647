"""The replay: a recording in the place of a connection.

It feeds the frames of a journal to an intake, in the batches they came in, and tells it what happened between
them. So a stream over a recording holds what the live one held, bit for bit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any, Final, NoReturn

from chaosnb.errors import DebugError, RecordingError
from chaosnb.ingest.clocks import Clock
from chaosnb.ingest.gaps import GapLedger
from chaosnb.ingest.intake import ClockSet, Hole, Incident, Intake, Simulated, State, TopicsSet
from chaosnb.ingest.session import Batch, Session
from chaosnb.protocol.signing import Identity
from chaosnb.store.journal import JournalReader, Opened, Record, decode_frames, decode_note
from chaosnb.store.segments import segments

__all__ = ["Replay"]

_TURN_S: Final = 0.02
_POLL_S: Final = 0.1


class Replay:
    """Reads a recording; has the interface of a `Connection`, and of an `Endpoint`.

    Parameters
    ----------
    folder : Path
        The recording.
    speed : float, optional
        How many times as fast as it came. None: as fast as it can be read.
    start_ns, end_ns : int, optional
        The arrival, in nanoseconds since the epoch, from which on and up to which it is read, the end
        excluded. None: from its beginning, to its end.
    following : bool
        Whether to go on as more is recorded.
    clock : Clock, optional
        Paces it; the default is this machine's.
    on_incident : callable
        Called with each `Incident`.

    Attributes
    ----------
    session : Session
    caught_up : bool
        Whether all that was recorded so far has been read.
    failure : RecordingError or None
        Why it could not be read on.

    Raises
    ------
    RecordingError
        If there is no recording, or nothing in it yet.
    RecordingDamagedError
        If its beginning is damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        speed: float | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        following: bool = False,
        clock: Clock | None = None,
        on_incident: Callable[[Incident], None] = lambda incident: None,
    ) -> None:
        self._folder = folder
        self._speed = speed
        self._start_ns = start_ns
        self._end_ns = end_ns
        self._clock = clock or Clock()
        self._opened, first = _first(folder, start_ns)
        self._reader = JournalReader(folder, first=first)
        # Nothing is ever sent, so that this key signs nothing.
        self.session: Final = _session(folder, self._opened)
        self._intake = Intake(self.session, on_incident)
        self._pace: tuple[int, float] | None = None
        self._begun = False
        self._now_ns = self._opened.at_ns
        self._ended: State | None = None
        self.following: Final = following
        self.caught_up = False
        self.failure: RecordingError | None = None

    @property
    def state(self) -> State:
        """The state that the connection was in; ``closed`` after the end."""
        return self._ended or self._intake.state

    @property
    def ledger(self) -> GapLedger:
        """The gaps."""
        return self._intake.ledger

    @property
    def skew_s(self) -> float | None:
        """Seconds that the node's clock was ahead of the recorder's; None while unknown."""
        return self._intake.skew_s

    @property
    def shown_url(self) -> str:
        """The node's address."""
        return self._opened.source

    @property
    def simulated(self) -> bool:
        """Whether it was known of the node, when the recording began, that it is simulated."""
        return self._opened.simulated

    @property
    def recording(self) -> str:
        """The recording's name."""
        return self._folder.name

    @property
    def progress(self) -> float:
        """How much of it has been read, from 0 to 1; about."""
        found = segments(self._folder)
        sizes = {number: path.stat().st_size for number, path in found.items() if path.exists()}
        done = sum(size for number, size in sizes.items() if number < self._reader.segment)
        now = min(self._reader.offset, sizes.get(self._reader.segment, 0))
        return (done + now) / max(1, sum(sizes.values()))

    def now_ns(self) -> int:
        """Return the recorder's clock, at what was read last."""
        return self._now_ns

    def debug(self, connection_id: str, now_ns: int) -> NoReturn:
        """Raise, since there is no node to ask.

        Raises
        ------
        DebugError
        """
        raise DebugError(self.shown_url, f"this is the recording {self.recording}, so no node can be asked")

    def close(self) -> None:
        """Nothing is to be closed."""

    async def subscribe(self, topics: str | Iterable[str]) -> None:
        """Raise, since a recording has what was recorded.

        Raises
        ------
        RecordingError
        """
        self._refuse()

    async def unsubscribe(self, topics: str | Iterable[str]) -> None:
        """Raise, since a recording has what was recorded.

        Raises
        ------
        RecordingError
        """
        self._refuse()

    async def batches(self) -> AsyncGenerator[Batch]:
        """Give every batch, at its time or as fast as they are taken.

        Raises
        ------
        RecordingDamagedError
            Where it is damaged.
        """
        try:
            while True:
                turn_ends_s = time.monotonic() + _TURN_S
                for record in self._reader.read():
                    if self._end_ns is not None and record.at_ns >= self._end_ns and record.kind == "f":
                        return
                    if (batch := await self._take(record)) is not None:
                        yield batch
                    if time.monotonic() > turn_ends_s:
                        # Others have their turn in this loop.
                        await asyncio.sleep(0)
                        turn_ends_s = time.monotonic() + _TURN_S
                self.caught_up = True
                if not self.following:
                    break
                await self._clock.sleep(_POLL_S)
            if torn := self._reader.torn_bytes:
                detail = (
                    f"the recording ends with {torn:,} bytes that are no whole record: it was cut off there"
                )
                self._intake.note(Incident(self._now_ns, self._intake.state, detail))
        except RecordingError as error:
            self.failure, self._ended = error, "failed"
            raise
        finally:
            self._ended = self._ended or "closed"

    async def _take(self, record: Record) -> Batch | None:
        if self._start_ns is not None and record.at_ns < self._start_ns:
            self._skip(record)
            return None
        await self._wait(record)
        self._now_ns = max(self._now_ns, record.at_ns)
        if record.kind == "f":
            self._begun = True
            frames = decode_frames(record)
            self._now_ns = frames[-1].received_at_ns
            self._intake.state = "live"
            return self._intake.feed(frames)
        note = decode_note(record)
        if isinstance(note, Opened):
            if self._begun:
                self._intake.note(Hole(0, self._intake.last_frame_ns, note.at_ns))
            self._intake.note(TopicsSet(note.topics))
            if note.simulated:
                self._intake.note(Simulated())
        elif note is not None:
            self._intake.note(note)
        if isinstance(note, Opened | ClockSet):
            self._pace = None
        return None

    def _skip(self, record: Record) -> None:
        """Pass over what came before the start, but for what is still so then."""
        if record.kind == "f":
            return
        match note := decode_note(record):
            case Opened() | TopicsSet():
                self.session.choose(note.topics)
            case Simulated():
                self.session.simulated = True
            case Incident():
                self._intake.state = note.state

    async def _wait(self, record: Record) -> None:
        if self._speed is None:
            return
        now_s = self._clock.monotonic()
        if self._pace is None:
            self._pace = record.at_ns, now_s
        since_ns, since_s = self._pace
        if (wait_s := since_s + (record.at_ns - since_ns) / 1e9 / self._speed - now_s) > 0:
            await self._clock.sleep(wait_s)

    def _refuse(self) -> NoReturn:
        raise RecordingError(
            str(self._folder),
            f"a recording has what was recorded: {', '.join(self.session.topics)}; other topics need a live "
            "stream, and what is not wanted can be left out of its DataFrames",
        )


def _session(folder: Path, opened: Opened) -> Session:
    try:
        return Session(opened.topics, Identity.generate(), lateness_s=opened.lateness_s)
    except ValueError as error:
        raise RecordingError(str(folder), f"its beginning is not what chaosnb writes: {error}") from error


def _first(folder: Path, start_ns: int | None) -> tuple[Opened, int]:
    """Return how things stood at the start of a replay, and with which segment to begin."""
    first: tuple[Opened, int] | None = None
    for number in segments(folder):
        reader = JournalReader(folder, first=number)
        record: Any = next(reader.read(), None)
        if record is None or reader.head is None:
            break
        if first is not None and (start_ns is None or record.at_ns > start_ns):
            break
        first = reader.head.opened, number
    if first is None:
        JournalReader(folder)
        raise RecordingError(str(folder), "nothing has been recorded there yet")
    return first
