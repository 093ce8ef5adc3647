"""The stream: what a notebook holds, whether its events come from a node or from a recording.

What runs in its thread knows only the link and the capture, so that a stream that nobody holds any more ends
by itself. `chaosnb.opening` makes streams.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Protocol

from chaosnb.errors import (
    ChaosnbError,
    CredentialsError,
    DebugError,
    RecordingError,
    StreamClosedError,
    WaitTimeoutError,
)
from chaosnb.ingest.clocks import Clock
from chaosnb.ingest.gaps import GapLedger
from chaosnb.ingest.intake import State
from chaosnb.ingest.session import Batch, Session
from chaosnb.ingest.status import Status
from chaosnb.protocol.events import check_topics
from chaosnb.runtime import LoopThread, wait_until
from chaosnb.store.dataset import Dataset
from chaosnb.store.recorder import Recorder
from chaosnb.tables.capture import Capture
from chaosnb.text import printable

if TYPE_CHECKING:
    from chaosnb.notebook.dashboard import Dashboard
    from chaosnb.notebook.live_plot import LivePlot

__all__ = ["Link", "Origin", "Stream"]

_FIRST_TRY_S: Final = 1.0
_CLOSED: Final = "the stream is closed; its tables can still be read. Open a new one with chaosnb.stream"


class Link(Protocol):
    """What gives a stream its batches: a `Connection`, or a recording."""

    @property
    def state(self) -> State:
        """How it stands."""

    @property
    def ledger(self) -> GapLedger:
        """The gaps."""

    @property
    def skew_s(self) -> float | None:
        """Seconds that the node's clock is ahead of ours; None while unknown."""

    def batches(self) -> AsyncGenerator[Batch]:
        """Give every batch."""

    async def subscribe(self, topics: str | Iterable[str]) -> None:
        """Add topics."""

    async def unsubscribe(self, topics: str | Iterable[str]) -> None:
        """Drop topics."""


class Origin(Protocol):
    """Where the events come from: an `Endpoint`, or a recording."""

    @property
    def shown_url(self) -> str:
        """The node's address, without anything secret."""

    @property
    def simulated(self) -> bool:
        """Whether it is known beforehand that the node is simulated."""

    @property
    def recording(self) -> str | None:
        """The name of the recording that the events are read from; None where they are live."""

    def debug(self, connection_id: str, now_ns: int) -> dict[str, Any]:
        """Return what the node knows of a connection."""

    def close(self) -> None:
        """Let go of it."""


class Stream(Dataset):
    """A node's events as DataFrames; `chaosnb.stream` makes a live one, `chaosnb.replay` one of a recording.

    Each event type is a DataFrame by attribute (``s.block_validation``) and by item
    (``s["block_validation"]``), always up to date, and free for you to change. Their columns stand in
    `chaosnb.protocol.schema`.
    """

    def __init__(
        self,
        *,
        endpoint: Origin,
        session: Session,
        connection: Link,
        capture: Capture,
        clock: Clock,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__(capture, connection.ledger, session.drift)
        self._endpoint = endpoint
        self._session = session
        self._connection = connection
        self._clock = clock
        self._recorder = recorder
        self._closed = False
        self._told = False
        self._thread = LoopThread("chaosnb-stream")
        self._running = self._thread.submit(_pump(connection, capture))
        self._running.add_done_callback(lambda _: capture.changed.set())
        self._end = weakref.finalize(self, _end, self._thread, endpoint, recorder)
        if endpoint.recording is None:
            self._say_if_unreachable()

    # -- what the stream says of itself

    @property
    def status(self) -> Status:
        """How the stream stands now."""
        capture = self._capture
        failure = self._failure()
        error = None if failure is None else _describe(failure)
        if error is None and self._connection.state in ("reconnecting", "stale"):
            error = capture.last_detail
        if error is None and self._recorder is not None:
            error = self._recorder.trouble
        gaps = self._connection.ledger.gaps
        return Status(
            state=self._connection.state,
            url=self._endpoint.shown_url,
            simulated=self.simulated,
            topics=self.topics,
            events=capture.events,
            events_per_s=capture.events_per_s,
            lag_s=capture.lag_s,
            skew_s=self._connection.skew_s,
            gaps=len(gaps),
            certain_gaps=sum(gap.certainty == "certain" for gap in gaps),
            rejects=capture.rejected,
            drift=self._session.drift.total(),
            filtered=capture.filtered,
            duplicates=capture.duplicates,
            late=capture.late,
            evicted=sum(table.evicted for table in capture.tables.values()),
            memory_bytes=capture.memory_bytes,
            connection_id=self._session.connection_id,
            recording=self._recorded_in(),
            error=error,
        )

    @property
    def source(self) -> str:
        """Where the data comes from; simulated data is called so."""
        url, recording = self._endpoint.shown_url, self._endpoint.recording
        return f"{url}{' (simulated)' if self.simulated else ''}{f', from {recording}' if recording else ''}"

    @property
    def simulated(self) -> bool:
        """Whether the node is a devnet."""
        return self._endpoint.simulated or self._session.simulated

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics subscribed to."""
        return self._session.topics

    def debug(self) -> dict[str, Any]:
        """Return what the node knows of this connection.

        Raises
        ------
        DebugError
            If the node gave no connection id, or its debug endpoint does not answer.
        """
        self._check_running()
        connection_id = self._session.connection_id
        if connection_id is None:
            raise DebugError(self._endpoint.shown_url, "the node has not (yet) given this connection an id")
        return self._endpoint.debug(connection_id, self._clock.wall_ns())

    # -- doing things with it

    def wait(
        self,
        events: int | None = None,
        *,
        seconds: float | None = None,
        until: Callable[[Stream], bool] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Block until something has happened; plots go on moving, and an interrupt ends the wait alone.

        Parameters
        ----------
        events : int, optional
            Until so many more events have come.
        seconds : float, optional
            For so many seconds.
        until : callable, optional
            Until this function of the stream is true; it is asked about five times a second.
        timeout : float, optional
            Seconds after which to give up; None: never.

        Raises
        ------
        ValueError
            Unless exactly one of `events`, `seconds` and `until` is given, and none is negative.
        WaitTimeoutError
            If `timeout` seconds passed first.
        CredentialsError, StreamClosedError
            If the stream ended first.
        """
        if sum(given is not None for given in (events, seconds, until)) != 1:
            raise ValueError("wait() takes one of events=, seconds= and until=")
        if any(given is not None and given < 0 for given in (events, seconds, timeout)):
            raise ValueError("events=, seconds= and timeout= of wait() cannot be negative")
        self._check_running()
        first = self._capture.events
        start = self._clock.monotonic()

        def happened() -> bool:
            if events is not None and self._capture.events - first >= events:
                return True
            if seconds is not None and self._clock.monotonic() - start >= seconds:
                return True
            if until is not None and until(self):
                return True
            self._check_running()
            return False

        if not wait_until(happened, self._capture.changed, timeout):
            what = {"events": events, "seconds": seconds, "until": until}
            call = ", ".join(f"{name}={value}" for name, value in what.items() if value is not None)
            raise WaitTimeoutError(
                f"wait({call})", timeout or 0.0, self._capture.events - first, self._connection.state
            )

    def subscribe(self, topics: str | Iterable[str]) -> None:
        """Add topics to the subscription."""
        wanted = check_topics(topics)
        self._check_running()
        self._thread.submit(self._connection.subscribe(wanted)).result(timeout=10)

    def unsubscribe(self, topics: str | Iterable[str]) -> None:
        """Drop topics: their events are left out from now on, and not asked for at the next connection."""
        unwanted = check_topics(topics)
        self._check_running()
        self._thread.submit(self._connection.unsubscribe(unwanted)).result(timeout=10)

    def dashboard(self) -> Dashboard:
        """Return the live dashboard: TPS, decisions, sentiment and reputation, with controls."""
        from chaosnb.notebook.dashboard import Dashboard

        self._before_reading()
        return Dashboard(self)

    def plot(self, name: str) -> LivePlot:
        """Return one live plot: ``tps``, ``decisions``, ``sentiment`` or ``reputation``."""
        from chaosnb.notebook.dashboard import plot

        self._before_reading()
        return plot(self, name)

    @property
    def closed(self) -> bool:
        """Whether the stream has ended."""
        return self._closed or self._running.done()

    def close(self) -> None:
        """End the stream; its tables stay. Calling it again does nothing."""
        self._closed = True
        self._end()
        self._capture.changed.set()

    def __enter__(self) -> Stream:
        if self._closed:
            raise StreamClosedError(_CLOSED)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Stream:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        recorded = self._recorded_in()
        where = "" if recorded is None else f", recorded in {printable(recorded)}"
        return f"<Stream {self.source} {self._connection.state}: {self._capture.events:,} events{where}>"

    def __str__(self) -> str:
        from chaosnb.notebook.display import stream_text

        return stream_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from chaosnb.notebook.display import stream_html, stream_text

        return {"text/plain": stream_text(self), "text/html": stream_html(self)}

    def _recorded_in(self) -> str | None:
        return None if self._recorder is None or self.closed else str(self._recorder.folder)

    def _failure(self) -> BaseException | None:
        if not self._running.done() or self._running.cancelled():
            return None
        return self._running.exception()

    def _say_if_unreachable(self) -> None:
        # Said here, by the caller's thread: what another thread prints lands in the wrong cell or nowhere.
        wait_until(lambda: self._connection.state != "connecting", self._capture.changed, _FIRST_TRY_S)
        if self._connection.state == "reconnecting":
            print(
                f"chaosnb: {self._endpoint.shown_url}: {self._capture.last_detail}. The stream keeps "
                'trying. Is the node running, and is this its address? url="devnet" gives a simulated one.',
                file=sys.stderr,
            )

    def _before_reading(self) -> None:
        """Raise once why the stream failed; after that, what it received can be read."""
        failure = self._failure()
        if failure is not None and not self._told:
            self._raise(failure)

    def _check_running(self) -> None:
        failure = self._failure()
        if failure is not None:
            self._raise(failure)
        if self.closed:
            raise StreamClosedError(_CLOSED)

    def _raise(self, failure: BaseException) -> None:
        self._told = True
        if isinstance(failure, CredentialsError):
            raise CredentialsError(failure.code, failure.message)
        if isinstance(failure, RecordingError):
            raise failure.with_traceback(None)
        raise ChaosnbError(
            f"the stream's thread failed with {_describe(failure)}. What it received until "
            "then can still be read; open a new stream to go on, and please report this"
        ) from failure


async def _pump(connection: Link, capture: Capture) -> None:
    async with aclosing(connection.batches()) as batches:
        async for batch in batches:
            capture.accept(batch)
            for name, forgotten_us in capture.forgotten_us.items():
                connection.ledger.evict(name, forgotten_us)


def _describe(failure: BaseException) -> str:
    return str(failure) if isinstance(failure, ChaosnbError) else f"{type(failure).__name__}: {failure}"


def _end(thread: LoopThread, endpoint: Origin, recorder: Recorder | None) -> None:
    thread.stop()
    endpoint.close()
    if recorder is not None:
        recorder.close()
