"""The composition root: `stream` opens a stream of a node's events.

It wires the parts together; the `Stream` that it returns only uses them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from chaosnb.endpoint import Endpoint
from chaosnb.ingest.connection import Clock, Connection
from chaosnb.ingest.pace import Silence
from chaosnb.ingest.session import Session
from chaosnb.ingest.transport import Connect, Limits, TransportName, choose_transport
from chaosnb.live import Stream
from chaosnb.protocol.events import check_topics
from chaosnb.protocol.signing import Identity
from chaosnb.store.recorder import Recorder
from chaosnb.tables.capture import Capture
from chaosnb.tables.retention import parse_retention

__all__ = ["open_recorder", "stream"]


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
    return Stream(
        endpoint=endpoint,
        session=session,
        connection=connection,
        capture=capture,
        clock=clock,
        recorder=recorder,
    )


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
