"""The composition root: `stream` opens a stream of a node's events, `replay` and `follow` one of a recording.

They wire the parts together; the `Stream` that they return only uses them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from chaosnb.endpoint import Endpoint
from chaosnb.ingest.connection import Clock, Connection
from chaosnb.ingest.ordering import check_lateness
from chaosnb.ingest.pace import Silence
from chaosnb.ingest.session import Session
from chaosnb.ingest.transport import Connect, Limits, TransportName, choose_transport
from chaosnb.live import Stream
from chaosnb.playback import ReplayStream, check_speed
from chaosnb.protocol.events import check_topics
from chaosnb.protocol.signing import Identity
from chaosnb.pump import Pump
from chaosnb.store.history import History, Take
from chaosnb.store.moments import Time, microseconds
from chaosnb.store.paths import path_of
from chaosnb.store.recorder import Recorder
from chaosnb.tables.capture import Capture
from chaosnb.tables.retention import parse_retention

__all__ = ["follow", "open_recorder", "replay", "stream"]


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
    record: str | os.PathLike[str] | None = None,
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
    record : path, optional
        A folder such as ``"run.chaos"`` in which everything that is received is recorded before it is in the
        tables, safe from a crash; `replay` reads it. A recording of the same node that is there goes on.
        None: nothing is recorded.

    Raises
    ------
    ValueError, MissingExtraError
        If an argument is not valid, or names what is not installed.
    InsecureConnectionError
        If the URL is ``ws://`` to another machine, without `allow_insecure`.
    RecordingError
        If nothing can be recorded there.

    Examples
    --------
    >>> with stream(["blocks", "consensus", "network", "social"], url="devnet") as s:
    ...     s.wait(events=20, timeout=30)
    ...     votes = s.block_validation
    >>> votes.columns.tolist()[:4]
    ['timestamp', 'block_hash', 'validator_id', 'validator_personality']
    """
    from chaosnb.notebook.kernel import warm_up
    from chaosnb.notebook.terminal import guard_terminal

    wanted = check_topics(topics)
    guard_terminal()
    warm_up()
    clock = clock or Clock()
    retention = parse_retention(retain)
    capture = Capture(clock.monotonic, retention, clock.wall_ns)
    if not isinstance(max_message_bytes, int) or max_message_bytes < 1:
        raise ValueError(f"max_message_bytes is a number of bytes, at least 1, and not {max_message_bytes!r}")
    limits = Limits(message_bytes=max_message_bytes)
    connect_node = choose_transport(transport, wall_ns=clock.wall_ns, limits=limits)
    silence = Silence(stale_after)
    check_lateness(lateness)  # before a devnet is started in vain
    endpoint = Endpoint(url, identity, allow_insecure=allow_insecure)
    session = Session(wanted, endpoint.identity, lateness_s=lateness)
    recorder = None
    if record is not None:
        try:
            recorder = open_recorder(record, endpoint, session, clock)
        except BaseException:
            endpoint.close()
            raise
    connection = Connection(
        url=endpoint.url,
        session=session,
        connect=connect_node,
        silence=silence,
        clock=clock,
        on_incident=capture.note,
        tap=recorder,
    )
    history = None
    if recorder is not None:
        first = recorder.first_record
        history = History(recorder.folder, record=first, retention=retention, clock=clock)
    pump = Pump(origin=endpoint, session=session, link=connection, capture=capture, recorder=recorder)
    return Stream(pump, clock=clock, history=history)


def replay(
    recording: str | os.PathLike[str],
    *,
    speed: float | None = None,
    start: Time | None = None,
    end: Time | None = None,
    retain: str | int | None = None,
    quiet: bool = False,
    clock: Clock | None = None,
) -> ReplayStream:
    """Return a `Stream` over a recording: the same tables, gaps, rejects and incidents as the live one had.

    It can be paused, moved on in steps, and sent to any moment: see `ReplayStream`.

    Parameters
    ----------
    recording : path
        What `stream` was given as `record`, or ``python -m chaosnb record`` as ``-o``.
    speed : float, optional
        How many times as fast as it came the events come again, in the background; it can be changed. None:
        everything is loaded at once, as fast as it can be read, before this returns.
    start, end : str, datetime or pandas.Timestamp, optional
        From which time of arrival on, and up to which; without a zone it is UTC. What was before the start
        is unknown then, as to a stream that was opened at that moment. None: from its beginning, to its end.
    retain : str or int, optional
        As of `stream`.
    quiet : bool
        Whether to show no progress while it loads.
    clock : Clock, optional
        Paces the replay; the default is this machine's.

    Raises
    ------
    ValueError
        If an argument is not valid, or all that is recorded lies before the start or after the end.
    RecordingError
        If there is no recording.
    RecordingDamagedError
        If it is damaged, while it loads; with a `speed`, the stream raises it where the damage is met, unless
        that is where it has to look for `start` or `end`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with stream("network", url="devnet", record=f"{folder}/run.chaos") as live:
    ...         live.wait(events=5, timeout=30)
    ...     again = replay(f"{folder}/run.chaos")
    >>> again.network_metrics.equals(live.network_metrics)
    True
    """
    check_speed(speed)
    start_ns = None if start is None else microseconds("start", start) * 1_000
    end_ns = None if end is None else microseconds("end", end) * 1_000
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ValueError(f"start={start!r} is not before end={end!r}")
    clock = clock or Clock()
    history = History(
        path_of("recording", recording),
        start_ns=start_ns,
        end_ns=end_ns,
        retention=parse_retention(retain),
        clock=clock,
    )
    take = history.open(speed=speed)
    pump = Pump.over(take)
    if speed is None:
        _load(pump, take, quiet)
        pump.stop()
    return ReplayStream(pump, source=take.source, history=history, clock=clock)


def follow(
    recording: str | os.PathLike[str],
    *,
    retain: str | int | None = None,
    quiet: bool = False,
    clock: Clock | None = None,
) -> Stream:
    """Return a `Stream` over a recording that another process is writing: all that is there, and what comes.

    So a long capture is the business of ``python -m chaosnb record``, and any number of notebooks, restarted
    as often as need be, follow it without losing anything. The parameters are those of `replay`.

    Raises
    ------
    RecordingError, RecordingDamagedError
        If there is no recording, or it is damaged.
    """
    clock = clock or Clock()
    history = History(path_of("recording", recording), retention=parse_retention(retain), clock=clock)
    take = history.open(following=True)
    pump = Pump.over(take)
    _load(pump, take, quiet)
    return Stream(pump, clock=clock, history=history)


def open_recorder(
    folder: str | os.PathLike[str],
    endpoint: Endpoint,
    session: Session,
    clock: Clock,
    *,
    max_bytes: int | None = None,
    max_age_s: float | None = None,
) -> Recorder:
    """Begin, or go on with, a recording of what a session receives; the limits are those of `Recorder`."""
    from chaosnb import __version__

    return Recorder(
        folder,
        source=endpoint.shown_url,
        simulated=endpoint.simulated,
        topics=session.topics,
        lateness_s=session.lateness_s,
        version=__version__,
        max_bytes=max_bytes,
        max_age_s=max_age_s,
        wall_ns=clock.wall_ns,
        monotonic=clock.monotonic,
    )


def _load(pump: Pump, take: Take, quiet: bool) -> None:
    """Block until all that is recorded has been read; raise why it cannot be."""
    from chaosnb.notebook.kernel import warm_up
    from chaosnb.notebook.terminal import guard_terminal

    guard_terminal()
    warm_up()
    source = take.source
    try:
        title = f"loading {source.recording}"
        pump.wait(source.load(), progress=lambda: source.progress, title=title, quiet=quiet)
    except BaseException:
        pump.end()
        raise
