"""The composition root: `stream` wires the parts together.

A `Stream` is what a notebook holds; what runs in its thread knows only the connection and the capture, so
that a stream that nobody holds any more ends by itself.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from chaosnb.endpoint import Endpoint
from chaosnb.errors import ChaosnbError, CredentialsError, DebugError, StreamClosedError, WaitTimeoutError
from chaosnb.ingest.connection import Clock, Connection
from chaosnb.ingest.http_api import read_debug
from chaosnb.ingest.pace import Silence
from chaosnb.ingest.session import Session
from chaosnb.ingest.status import Status
from chaosnb.ingest.transport import Connect, Limits, TransportName, choose_transport
from chaosnb.protocol.events import check_topics
from chaosnb.protocol.signing import Identity
from chaosnb.runtime import LoopThread, wait_until
from chaosnb.store.dataset import Dataset
from chaosnb.tables.capture import Capture
from chaosnb.tables.retention import parse_retention

if TYPE_CHECKING:
    from chaosnb.notebook.dashboard import Dashboard
    from chaosnb.notebook.live_plot import LivePlot

__all__ = ["Stream", "stream"]

_FIRST_TRY_S: Final = 1.0


class Stream(Dataset):
    """A live subscription whose events are DataFrames; `chaosnb.stream` makes one.

    Each event type is a DataFrame by attribute (``s.block_validation``) and by item
    (``s["block_validation"]``), always up to date, and free for you to change. Their columns stand in
    `chaosnb.protocol.schema`.
    """

    def __init__(
        self, *, endpoint: Endpoint, session: Session, connection: Connection, capture: Capture, clock: Clock
    ) -> None:
        super().__init__(capture, connection.ledger, session.drift)
        self._endpoint = endpoint
        self._session = session
        self._connection = connection
        self._clock = clock
        self._closed = False
        self._told = False
        self._thread = LoopThread("chaosnb-stream")
        self._running = self._thread.submit(_pump(connection, capture))
        self._end = weakref.finalize(self, _end, self._thread, endpoint)
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
            error=error,
        )

    @property
    def source(self) -> str:
        """Where the data comes from; simulated data is called so."""
        return f"{self._endpoint.shown_url} (simulated)" if self.simulated else self._endpoint.shown_url

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
        at, now_ns = self._endpoint, self._clock.wall_ns()
        return read_debug(at.url, connection_id, at.identity, now_ns, allow_insecure=at.allow_insecure)

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
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Stream {self.source} {self._connection.state}: {self._capture.events:,} events>"

    def __str__(self) -> str:
        from chaosnb.notebook.display import stream_text

        return stream_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from chaosnb.notebook.display import stream_html, stream_text

        return {"text/plain": stream_text(self), "text/html": stream_html(self)}

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
            raise StreamClosedError(
                "the stream is closed; its tables can still be read. Open a new one with chaosnb.stream"
            )

    def _raise(self, failure: BaseException) -> None:
        self._told = True
        if isinstance(failure, CredentialsError):
            raise CredentialsError(failure.code, failure.message)
        raise ChaosnbError(
            f"the stream's thread failed with {_describe(failure)}. What it received until "
            "then can still be read; open a new stream to go on, and please report this"
        ) from failure


def stream(
    topics: str | Iterable[str],
    *,
    url: str | None = None,
    identity: Identity | None = None,
    retain: str | int | None = None,
    transport: TransportName | Connect | None = None,
    max_message_bytes: int = 2**20,
    lateness: float = 2.0,
    stale_after: float | None = None,
    allow_insecure: bool = False,
    clock: Clock | None = None,
) -> Stream:
    """Subscribe to topics of a node and return a `Stream`, whose DataFrames grow as events arrive.

    Parameters
    ----------
    topics : str or iterable of str
        Of ``blocks``, ``consensus``, ``network``, ``social``, ``memes``.
    url : str, optional
        The node's WebSocket address, or ``"devnet"`` for a simulated node in this process. None: what the
        environment variable CHAOSNB_URL says, else ``ws://localhost:3000/ws/v1``.
    identity : Identity, optional
        None: the key in the environment variable CHAOSNB_PRIVATE_KEY, else a new one for this session.
    retain : str or int, optional
        How much of the past to keep: rows of each table (``1_000_000``), an age in event time (``"1h"``; s,
        min, h, d), or the size of all tables (``"512MB"``; kB, MB, GB). The oldest rows go first, and are
        counted. None: everything.
    transport : str or callable, optional
        ``"websockets"``, the default; ``"picows"`` (``pip install "chaosnb[fast]"``), a library in C without
        compression; or a callable that opens the link.
    max_message_bytes : int
        The longest message taken, in bytes. A longer one ends the link, which is made anew: both are rows of
        `incidents`. The default is 1 MiB.
    lateness : float
        How many seconds of event time an event may come out of order. What comes later is put in its place
        all the same, and counted (`late`); a missing block is waited for so long.
    stale_after : float, optional
        Seconds without a message after which the feed counts as stale, which is on record as a gap; after
        twice as many the stream connects anew. None: learned from the feed's own pace, at least 30 s.
    allow_insecure : bool
        Whether your authentication may go over plain ``ws://`` to another machine.
    clock : Clock, optional
        Where time comes from; the default is this machine's.

    Raises
    ------
    ValueError, MissingExtraError
        If an argument is not valid, or names what is not installed.
    InsecureConnectionError
        If the URL is ``ws://`` to another machine, without `allow_insecure`.

    Examples
    --------
    >>> with stream(["blocks", "consensus", "network", "social"], url="devnet") as s:
    ...     s.wait(events=20, timeout=30)
    ...     votes = s.block_validation
    >>> votes.columns.tolist()[:4]
    ['timestamp', 'block_hash', 'validator_id', 'validator_personality']
    """
    from chaosnb.notebook.terminal import guard_terminal

    wanted = check_topics(topics)
    guard_terminal()
    clock = clock or Clock()
    capture = Capture(clock.monotonic, parse_retention(retain), clock.wall_ns)
    if not isinstance(max_message_bytes, int) or max_message_bytes < 1:
        raise ValueError(f"max_message_bytes is a number of bytes, at least 1, and not {max_message_bytes!r}")
    limits = Limits(message_bytes=max_message_bytes)
    connect_node = choose_transport(transport, wall_ns=clock.wall_ns, limits=limits)
    silence = Silence(stale_after)
    endpoint = Endpoint(url, identity, allow_insecure=allow_insecure)
    session = Session(wanted, endpoint.identity, lateness_s=lateness)
    connection = Connection(
        url=endpoint.url,
        session=session,
        connect=connect_node,
        silence=silence,
        clock=clock,
        on_incident=capture.note,
    )
    return Stream(endpoint=endpoint, session=session, connection=connection, capture=capture, clock=clock)


async def _pump(connection: Connection, capture: Capture) -> None:
    async with aclosing(connection.batches()) as batches:
        async for batch in batches:
            capture.accept(batch)
            for name, forgotten_us in capture.forgotten_us.items():
                connection.ledger.evict(name, forgotten_us)


def _describe(failure: BaseException) -> str:
    return str(failure) if isinstance(failure, ChaosnbError) else f"{type(failure).__name__}: {failure}"


def _end(thread: LoopThread, endpoint: Endpoint) -> None:
    thread.stop()
    endpoint.close()
