"""The stream: what a notebook holds, whether its events come from a node or from a recording.

`chaosnb.opening` makes streams.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from chaosnb.amounts import check_amounts
from chaosnb.errors import (
    ChaosnbError,
    CredentialsError,
    DebugError,
    RecordingError,
    StreamClosedError,
    WaitTimeoutError,
)
from chaosnb.ingest.clocks import Clock
from chaosnb.ingest.status import Status
from chaosnb.protocol.events import check_topics
from chaosnb.pump import Pump
from chaosnb.runtime import wait_until
from chaosnb.store.dataset import Dataset
from chaosnb.store.history import History, Moment
from chaosnb.store.moments import Time, microseconds
from chaosnb.tables.capture import Capture
from chaosnb.tables.selection import Selection
from chaosnb.text import printable

if TYPE_CHECKING:
    from chaosnb.notebook.dashboard import Dashboard
    from chaosnb.notebook.live_plot import LivePlot

__all__ = ["Stream"]

_FIRST_TRY_S: Final = 1.0
_CONTROLS: Final = ("pause", "resume", "step", "seek", "speed", "progress")
_CLOSED: Final = "the stream is closed; its tables can still be read. Open a new one with chaosnb.stream"


class Stream(Dataset):
    """A node's events as DataFrames; `chaosnb.stream` makes a live one, `chaosnb.replay` one of a recording.

    Each event type is a DataFrame by attribute (``s.block_validation``) and by item
    (``s["block_validation"]``), always up to date, and free for you to change. Their columns stand in
    `chaosnb.protocol.schema`.
    """

    _capture: Capture

    def __init__(self, pump: Pump, *, clock: Clock, history: History | None = None) -> None:
        self._clock = clock
        self._history = history
        self._closed = False
        self._use(pump)
        if pump.origin.recording is None:
            self._say_if_unreachable()

    # -- what the stream says of itself

    @property
    def status(self) -> Status:
        """How the stream stands now."""
        capture = self._capture
        failure = self._pump.failure
        error = None if failure is None else _describe(failure)
        if error is None and self._pump.link.state in ("reconnecting", "stale"):
            error = capture.last_detail
        if error is None and self._pump.recorder is not None:
            error = self._pump.recorder.trouble
        gaps = self._pump.link.ledger.gaps
        return Status(
            state=self._pump.link.state,
            url=self._pump.origin.shown_url,
            simulated=self.simulated,
            topics=self.topics,
            events=capture.events,
            events_per_s=0.0 if self.closed else capture.events_per_s,
            lag_s=capture.lag_s,
            skew_s=self._pump.link.skew_s,
            gaps=len(gaps),
            certain_gaps=sum(gap.certainty == "certain" for gap in gaps),
            rejects=capture.rejected,
            drift=self._pump.session.drift.total(),
            filtered=capture.filtered,
            duplicates=capture.duplicates,
            late=capture.late,
            evicted=sum(table.evicted for table in capture.tables.values()),
            memory_bytes=capture.memory_bytes,
            connection_id=self._pump.session.connection_id,
            recording=self._recorded_in(),
            error=error,
        )

    @property
    def source(self) -> str:
        """Where the data comes from; simulated data is called so."""
        url, recording = self._pump.origin.shown_url, self._pump.origin.recording
        return f"{url}{' (simulated)' if self.simulated else ''}{f', from {recording}' if recording else ''}"

    @property
    def simulated(self) -> bool:
        """Whether the node is a devnet."""
        return self._pump.origin.simulated or self._pump.session.simulated

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics subscribed to."""
        return self._pump.session.topics

    def debug(self) -> dict[str, Any]:
        """Return what the node knows of this connection.

        Raises
        ------
        DebugError
            If the node gave no connection id, or its debug endpoint does not answer.
        """
        self._check_running()
        connection_id = self._pump.session.connection_id
        if connection_id is None:
            raise DebugError(
                self._pump.origin.shown_url, "the node has not (yet) given this connection an id"
            )
        return self._pump.origin.debug(connection_id, self._clock.wall_ns())

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
        TypeError, ValueError
            Unless exactly one of `events`, `seconds` and `until` is given, and no number is negative.
        WaitTimeoutError
            If `timeout` seconds passed first.
        CredentialsError, StreamClosedError
            If the stream ended first.
        """
        if sum(given is not None for given in (events, seconds, until)) != 1:
            raise ValueError("wait() takes one of events=, seconds= and until=")
        check_amounts(events=events, seconds=seconds, timeout=timeout)
        if until is not None and not callable(until):
            raise TypeError("until= of wait() is a function of the stream, such as lambda s: s.status.gaps")
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
                f"wait({call})", timeout or 0.0, self._capture.events - first, self._pump.link.state
            )

    def at(self, time: Time | None = None, *, height: int | None = None, quiet: bool = False) -> Moment:
        """Return all tables as they stood at a moment, or when a block had arrived, from the recording.

        What retention had removed by then is not there. The stream itself stays where it is. It takes as long
        as replaying the recording up to there.

        Parameters
        ----------
        time : str, datetime or pandas.Timestamp, optional
            A time of arrival, by the clock of the machine that recorded; without a zone it is UTC. What is
            there is what had arrived before it, whatever the events' own time.
        height : int, optional
            Of a block: what had arrived up to its proposal, that included. Of two blocks of this height, the
            one that came first.
        quiet : bool
            Whether to show no progress.

        Raises
        ------
        ValueError
            Unless one of `time` and `height` is given, and has come.
        RecordingError
            If the stream is not recorded, or the recording cannot be read.

        Examples
        --------
        >>> import chaosnb, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with chaosnb.stream("blocks", url="devnet", record=f"{folder}/run.chaos") as s:
        ...         s.wait(until=lambda s: len(s.block_proposal) >= 2, timeout=30)
        ...         first = s.at(height=s.block_proposal["height"].iloc[0])
        >>> len(first.block_proposal)
        1
        """
        if self._history is None:
            raise RecordingError(
                self._pump.origin.shown_url,
                "this stream is not recorded, so that nothing is known of how it stood; open one with "
                'chaosnb.stream(..., record="run.chaos")',
            )
        ahead = time is not None and microseconds("time", time) * 1_000 > self._clock.wall_ns()
        if ahead and self._pump.recorder is not None:
            raise ValueError(f"time={time!r} has not come yet")
        take = self._history.open(until=self._history.find(time, height))
        pump = Pump.over(take)
        try:
            title = f"reading {take.source.recording}"
            reading = take.source.playhead.arrival()
            pump.wait(reading, progress=lambda: take.source.progress, title=title, quiet=quiet)
        finally:
            pump.end()
        return Moment(take)

    def subscribe(self, topics: str | Iterable[str]) -> None:
        """Add topics to the subscription."""
        wanted = check_topics(topics)
        self._check_running()
        self._pump.submit(self._pump.link.subscribe(wanted)).result(timeout=10)

    def unsubscribe(self, topics: str | Iterable[str]) -> None:
        """Drop topics: their events are left out from now on, and not asked for at the next connection."""
        unwanted = check_topics(topics)
        self._check_running()
        self._pump.submit(self._pump.link.unsubscribe(unwanted)).result(timeout=10)

    def dashboard(self, plots: str | Iterable[str] | None = None) -> Dashboard:
        """Return the live dashboard with these plots; None: TPS, decisions, sentiment and reputation.

        Its controls offer the others, too; the names are those that `plot` knows.
        """
        from chaosnb.notebook.dashboard import Dashboard

        self._before_reading()
        return Dashboard(self, plots=plots)

    def plot(self, name: str) -> LivePlot:
        """Return one live plot.

        There are ``tps``, ``decisions``, ``sentiment``, ``reputation``, ``event_rate``, ``lag``, and of all
        since the beginning ``approval``, ``outcomes``, ``consensus``, ``movers`` and ``sentiment_by``.
        """
        from chaosnb.notebook.single import plot

        self._before_reading()
        return plot(self, name)

    def tally(
        self, name: str, *, agents: str | Iterable[str] = (), personalities: str | Iterable[str] = ()
    ) -> pd.DataFrame:
        """Return ``approval``, ``outcomes``, ``consensus``, ``movers`` or ``sentiment_by`` so far.

        Of all or of these agents, as `chaosnb.tables.tallies.Tallies.value`, which says where clocks make it
        differ from `chaosnb.analysis`. It begins with what the tables hold when it is first asked.
        """
        self._before_reading()
        tables, chosen = self._capture.tables, Selection.of(agents, personalities)
        known = self.personalities if chosen.personalities else {}
        found = self._capture.tallies.value(name, lambda table: tables[table].snapshot(), chosen, known)
        return self._with_source(found)

    @property
    def closed(self) -> bool:
        """Whether the stream has ended."""
        return self._closed or self._pump.done

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

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> None:
            if name in _CONTROLS:
                raise AttributeError(self._no_control(name))
            return super().__getattr__(name)

        def __setattr__(self, name: str, value: object) -> None:
            if name in _CONTROLS and not hasattr(type(self), name):
                raise AttributeError(self._no_control(name))
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        recorded = self._recorded_in()
        where = "" if recorded is None else f", recorded in {printable(recorded)}"
        state, events = self._pump.link.state, self._capture.events
        return f"<Stream {printable(self.source)} {state}: {events:,} events{where}>"

    def __str__(self) -> str:
        from chaosnb.notebook.display import stream_text

        return stream_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from chaosnb.notebook.display import stream_html, stream_text

        return {"text/plain": stream_text(self), "text/html": stream_html(self)}

    def _recorded_in(self) -> str | None:
        recorder = self._pump.recorder
        return None if recorder is None or self.closed else str(recorder.folder)

    def _no_control(self, name: str) -> str:
        folder = self._recorded_in() or self._pump.origin.recording
        how = (
            'open it with record="run.chaos", and chaosnb.replay("run.chaos")'
            if folder is None
            else f"s.at() tells how its tables stood before, and chaosnb.replay({folder!r})"
        )
        return f"this stream shows what comes now, and has no {name!r}: {how} gives a stream that has"

    def _use(self, pump: Pump) -> None:
        """Show what this pump moves, from now on."""
        super().__init__(pump.capture, pump.link.ledger, pump.session.drift)
        self._pump = pump
        self._told = False
        self._end = weakref.finalize(self, pump.end)

    def _say_if_unreachable(self) -> None:
        # Said here, by the caller's thread: what another thread prints lands in the wrong cell or nowhere.
        wait_until(lambda: self._pump.link.state != "connecting", self._capture.changed, _FIRST_TRY_S)
        if self._pump.link.state == "reconnecting":
            print(
                f"chaosnb: {self._pump.origin.shown_url}: {self._capture.last_detail}. The stream keeps "
                'trying. Is the node running, and is this its address? url="devnet" gives a simulated one.',
                file=sys.stderr,
            )

    def _before_reading(self) -> None:
        """Raise once why the stream failed; after that, what it received can be read."""
        failure = self._pump.failure
        if failure is not None and not self._told:
            self._raise(failure)

    def _check_running(self) -> None:
        failure = self._pump.failure
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


def _describe(failure: BaseException) -> str:
    return str(failure) if isinstance(failure, ChaosnbError) else f"{type(failure).__name__}: {failure}"
