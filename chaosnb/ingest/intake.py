"""The intake: what becomes of all that a link brings, whether it is live or comes from a recording. Pure.

It holds the session, the ledger of gaps, the clock's skew and the state of the link. They change by nothing
but frames (`feed`) and notes (`note`), so that a recording of these, in their order, gives the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from chaosnb.ingest.clocks import ClockSkew
from chaosnb.ingest.gaps import Cause, GapLedger
from chaosnb.ingest.session import Batch, Session
from chaosnb.protocol.events import Frame

__all__ = [
    "ClockSet",
    "Hole",
    "Incident",
    "Intake",
    "LinkLost",
    "Note",
    "Simulated",
    "State",
    "Tap",
    "TopicsSet",
]

State = Literal[
    "connecting", "authenticating", "live", "stale", "reconnecting", "closed", "failed", "paused", "ended"
]


class Incident(Struct, frozen=True):
    """A step of the connection, or something of note amid one.

    `at_ns` is when (nanoseconds since the epoch), `state` the state entered or gone on with, `detail` what
    happened, `code` the close code, HTTP status or error code, `delay_s` the seconds until the next try.
    """

    at_ns: int
    state: State
    detail: str
    code: str | None = None
    delay_s: float | None = None


class LinkLost(Struct, frozen=True):
    """Events may be missing from now on, until frames come again."""

    cause: Cause


class TopicsSet(Struct, frozen=True):
    """What is subscribed from now on."""

    topics: tuple[str, ...]


class ClockSet(Struct, frozen=True):
    """The clock of this machine was set, so that what was known of the node's skew is void."""


class Simulated(Struct, frozen=True):
    """The node has said that its events are simulated."""


class Hole(Struct, frozen=True):
    """Frames that came and could not be recorded, between these times in nanoseconds since the epoch."""

    frames: int
    first_ns: int
    last_ns: int


Note = Incident | LinkLost | TopicsSet | ClockSet | Simulated | Hole


class Tap(Protocol):
    """What records an intake; it gets everything before anybody else does."""

    def frames(self, frames: Sequence[Frame]) -> None:
        """Take the frames of one batch."""

    def note(self, note: Note) -> None:
        """Take what happened between two batches."""

    def news(self) -> str | None:
        """Return what there is to say of the recording itself, once."""


class Intake:
    """Takes what comes, in its order.

    Parameters
    ----------
    session : Session
    on_incident : callable
        Called with each `Incident`.
    tap : Tap, optional
        Records everything. None: nothing is recorded.
    """

    def __init__(
        self, session: Session, on_incident: Callable[[Incident], None], tap: Tap | None = None
    ) -> None:
        self.session: Final = session
        self.ledger: Final = GapLedger(lateness_s=session.lateness_s)
        self.state: State = "connecting"
        # 0: nothing has come yet.
        self.last_frame_ns = 0
        self._on_incident = on_incident
        self._tap = tap
        self._skew = ClockSkew()

    @property
    def skew_s(self) -> float | None:
        """Seconds that the node's clock is ahead of ours; None while unknown."""
        return self._skew.skew_s

    def record(self, frames: Sequence[Frame]) -> str | None:
        """Record frames that are about to be fed; return what there is to say of the recording."""
        if self._tap is None:
            return None
        self._tap.frames(frames)
        return self._tap.news()

    def feed(self, frames: Sequence[Frame], sizes: Sequence[int] = ()) -> Batch:
        """Read the frames of one batch, or of several between which nothing happened, of these sizes."""
        was_simulated = self.session.simulated
        batch = self.session.feed(frames, sizes)
        if self.session.simulated and not was_simulated and self._tap is not None:
            # The message that says so may be gone from a recording before the events are.
            self._tap.note(Simulated())
        self._skew.feed(batch, batch.ends)
        self.ledger.close(frames[0].received_at_ns)
        self.ledger.watch(self.session.topics)
        self.ledger.feed(batch)
        self.last_frame_ns = frames[-1].received_at_ns
        return batch

    def note(self, note: Note) -> None:
        """Take what happened between two batches."""
        if self._tap is not None:
            self._tap.note(note)
        match note:
            case Incident():
                self.state = note.state
                self._on_incident(note)
            case LinkLost():
                self.ledger.open(note.cause, self.last_frame_ns, self.session.topics)
            case TopicsSet():
                self.session.choose(note.topics)
            case Simulated():
                self.session.simulated = True
            case ClockSet():
                self._skew.reset()
            case Hole():
                self.ledger.open("unrecorded", note.first_ns, self.session.topics, certain=note.frames > 0)
