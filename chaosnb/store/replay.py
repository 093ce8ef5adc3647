"""The replay: a recording in the place of a connection.

It feeds the frames of a journal to an intake, in the batches they came in or several at once where nothing
tells them apart, and tells it what happened between them. So a stream over a recording holds what the live
one held, bit for bit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from chaosnb.errors import DebugError, RecordingError
from chaosnb.ingest.clocks import Clock
from chaosnb.ingest.intake import ClockSet, Hole, Incident, Intake, Note, Simulated, State, TopicsSet
from chaosnb.ingest.link import Link
from chaosnb.ingest.session import Batch, Session
from chaosnb.protocol.events import Frame
from chaosnb.protocol.lines import FrameLines
from chaosnb.protocol.signing import Identity
from chaosnb.store.journal import JournalReader, Opened, Record, decode_note, frame_lines
from chaosnb.store.places import Place, Start, is_simulated, start_of
from chaosnb.store.playhead import Playhead
from chaosnb.store.segments import expanded_bytes, segments

__all__ = ["Replay"]

_TURN_S: Final = 0.02
_POLL_S: Final = 0.1
# For few events a batch costs as much as for hundreds.
_GATHERED: Final = 2_000


class Replay(Link):
    """Reads a recording; a `Link` and an `Origin`.

    Parameters
    ----------
    folder : Path
        The recording.
    speed : float, optional
        How many times as fast as it came. None: as fast as it can be read.
    start : Start, optional
        Where it begins. None: at the recording's beginning.
    end : Place, optional
        Where it ends. None: at the recording's end.
    until : Place, optional
        Where it hurries at first, to be held there. None: nowhere.
    following : bool
        Whether to go on as more is recorded.
    is_due : callable
        Told how many messages and bytes come next, and the last one's arrival: whether the batch that ends
        there has to be given alone, else with others, which is quicker and which only retention can tell.
        By default each is.
    clock : Clock, optional
        Paces it; the default is this machine's.
    on_incident : callable
        Called with each `Incident`.

    Attributes
    ----------
    session : Session
    playhead : Playhead
        How it moves on.
    place : Place
        Behind what was read last.
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
        start: Start | None = None,
        end: Place | None = None,
        until: Place | None = None,
        following: bool = False,
        is_due: Callable[[int, int, int], bool] = lambda frames, size, at_ns: True,
        clock: Clock | None = None,
        on_incident: Callable[[Incident], None] = lambda incident: None,
    ) -> None:
        self._folder = folder
        self._start = start or start_of(folder)
        self._end = end
        self._clock = clock or Clock()
        self._reader = JournalReader(folder, first=self._start.segment)
        opened = self._start.opened
        # Nothing is ever sent, so that this key signs nothing.
        self.session: Final = _session(folder, opened)
        super().__init__(Intake(self.session, on_incident))
        self.session.simulated = opened.simulated
        self._simulated = opened.simulated or is_simulated(folder)
        self._intake.state = self._start.state
        self._is_due = is_due
        self._gathered = FrameLines()
        self._gathered_bytes = 0
        self._sizes: list[int] = []
        self._begun = False
        self._now_ns = opened.at_ns
        self._ended: State | None = None
        self._loaded = asyncio.Event()
        self.playhead: Final = Playhead(speed=speed, clock=self._clock, until=until)
        self.place = self._start.place
        self.following: Final = following
        self.failure: RecordingError | None = None

    @property
    def state(self) -> State:
        """The state that the connection was in; ``paused`` where it is held, and ``ended`` at its end."""
        return self._ended or ("paused" if self.playhead.held else self._intake.state)

    @property
    def ended(self) -> bool:
        """Whether all of it was read."""
        return self._ended == "ended"

    @property
    def shown_url(self) -> str:
        """The node's address."""
        return self._start.opened.source

    @property
    def simulated(self) -> bool:
        """Whether the node is, which holds for a moment at which it had not said so yet, too."""
        return self._simulated

    @property
    def recording(self) -> str:
        """The recording's name."""
        return self._folder.name

    @property
    def segment(self) -> int:
        """The segment that is read."""
        return self._reader.segment

    @property
    def progress(self) -> float:
        """How much of it has been read, from 0 to 1; about."""
        if self.ended:
            return 1.0
        lengths = {number: expanded_bytes(path) for number, path in segments(self._folder).items()}
        done = sum(length for number, length in lengths.items() if number < self._reader.segment)
        now = min(lengths.get(self._reader.segment, 0), self._reader.offset)
        return (done + now) / max(1, sum(lengths.values()))

    def now_ns(self) -> int:
        """Return the recorder's clock, at what was read last."""
        return self._now_ns

    def let_pass(self, at_ns: int | None) -> None:
        """Take note that it is held at this moment, before which all was read; None: wherever it is."""
        if at_ns is not None and self.playhead.held and self._ended is None:
            at_ns = min(at_ns, self._clock.wall_ns())
            self._now_ns = max(self._now_ns, at_ns)
            self.playhead.set_moment(at_ns)

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

    async def load(self) -> None:
        """Wait until all that was recorded so far has been read, or it cannot be."""
        await self._loaded.wait()

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
                    if record.number < self._start.place.record:
                        continue
                    self.place = max(self.place, Place(record.number))
                    frames = frame_lines(record) if record.kind == "f" else FrameLines()
                    waits = self._gather(record, frames)
                    if self._gathered and (not waits or len(self._gathered) >= _GATHERED):
                        yield self._feed_gathered()
                    while self.place.record == record.number:
                        at_ns = frames[self.place.frame].received_at_ns if frames else record.at_ns
                        await self.playhead.wait(self.place, at_ns)
                        if self._end is not None and self.place >= self._end:
                            self._ended = "ended"
                            return
                        if (batch := self._take(record, frames)) is not None:
                            yield batch
                    if time.monotonic() > turn_ends_s:
                        # Others have their turn in this loop.
                        await asyncio.sleep(0)
                        turn_ends_s = time.monotonic() + _TURN_S
                if self._gathered:
                    yield self._feed_gathered()
                self._loaded.set()
                if not self.following:
                    break
                await self._clock.sleep(_POLL_S)
            if torn := self._reader.torn_bytes:
                detail = (
                    f"the recording ends with {torn:,} bytes that are no whole record: it was cut off there"
                )
                self._intake.note(Incident(self._now_ns, self._intake.state, detail))
            self._ended = "ended"
        except RecordingError as error:
            if self._gathered:
                yield self._feed_gathered()
            self.failure, self._ended = error, "failed"
            raise
        finally:
            self._ended = self._ended or "closed"
            self._loaded.set()
            self.playhead.finish()

    def _gather(self, record: Record, frames: FrameLines) -> bool:
        """Put off a whole batch to be fed with the next ones, if all of it is to come by now."""
        behind = Place(self.place.record + 1)
        if not frames or self.place.frame or not self.playhead.is_past(behind):
            return False
        if self._end is not None and behind > self._end:
            return False
        # The text of a record is a little more than its messages, which is on the safe side.
        count, size = len(self._gathered) + len(frames), self._gathered_bytes + len(record.raw)
        if self._is_due(count, size, frames[-1].received_at_ns):
            return False
        self.place = behind
        self._gathered.extend(frames)
        self._gathered_bytes = size
        self._sizes.append(len(frames))
        return True

    def _feed_gathered(self) -> Batch:
        frames, sizes, self._gathered, self._sizes = self._gathered, self._sizes, FrameLines(), []
        self._gathered_bytes = 0
        return self._feed(frames, sizes)

    def _feed(self, frames: Sequence[Frame], sizes: list[int]) -> Batch:
        self._begun = True
        self._now_ns = frames[-1].received_at_ns
        self._intake.state = "live"
        return self._intake.feed(frames, sizes)

    def _take(self, record: Record, frames: FrameLines) -> Batch | None:
        """Take in a record, or so much of its frames as is due, from the present place on."""
        self._now_ns = max(self._now_ns, record.at_ns)
        if not frames:
            self.place = Place(record.number + 1)
            self._note(decode_note(record))
            return None
        count = self.playhead.limit(record.number, len(frames))
        if self._end is not None and self._end.record == record.number:
            count = min(count, self._end.frame)
        due = frames[self.place.frame : count]
        self.place = Place(record.number, count) if count < len(frames) else Place(record.number + 1)
        return self._feed(due, [len(due)])

    def _note(self, note: Note | Opened | None) -> None:
        if isinstance(note, Opened):
            if self._begun:
                self._intake.note(Hole(0, self._intake.last_frame_ns, note.at_ns))
            self._intake.note(TopicsSet(note.topics))
            if note.simulated:
                self._intake.note(Simulated())
        elif note is not None:
            self._intake.note(note)
        if isinstance(note, Opened | ClockSet):
            self.playhead.restart()

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
