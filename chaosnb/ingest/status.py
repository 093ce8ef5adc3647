"""What a stream says of itself at one moment."""

from __future__ import annotations

from msgspec import Struct

from chaosnb.ingest.intake import State

__all__ = ["Status"]


class Status(Struct, frozen=True, kw_only=True):
    """How a stream stands.

    Attributes
    ----------
    state : str
        ``connecting``, ``authenticating``, ``live``, ``stale`` (linked, but silent for too long),
        ``reconnecting``, ``closed`` or ``failed``; of a replay that of the connection then, or ``paused``, or
        ``ended``.
    url : str
        The node, without anything secret.
    simulated : bool
        Whether the node is a devnet.
    topics : tuple of str
    events : int
        Events in the tables.
    events_per_s : float
        Over the last five seconds; 0 once the stream is closed.
    lag_s : float or None
        How far the tables are behind: seconds from the newest events' arrival until they could be read. It
        grows where more comes than can be decoded.
    skew_s : float or None
        How many seconds the node's clock is ahead of this machine's, as far as event times tell: they less
        their arrival, for the quickest deliveries, whose own time is part of it.
    gaps : int
        Spans in which events are missing or may be.
    certain_gaps : int
        Those of them in which events are missing for certain.
    rejects : int
        Messages that could not be read.
    drift : int
        How often something came that the protocol does not name.
    filtered : int
        Events of topics that are not subscribed (any more).
    duplicates : int
        Events that came again, and are in the tables once.
    late : int
        Events that came further behind the newest than `lateness`; they are in their place all the same.
    evicted : int
        Rows that retention has removed from the tables.
    memory_bytes : int
        Bytes of all tables.
    connection_id : str or None
        As the node gave it.
    recording : str or None
        The folder in which everything is being recorded; None where nothing is.
    error : str or None
        Why the stream failed, why it has to connect again, or how long nothing has come.
    """

    state: State
    url: str
    simulated: bool
    topics: tuple[str, ...]
    events: int
    events_per_s: float
    lag_s: float | None
    skew_s: float | None = None
    gaps: int
    rejects: int
    drift: int
    filtered: int
    duplicates: int = 0
    late: int
    evicted: int = 0
    certain_gaps: int = 0
    memory_bytes: int
    connection_id: str | None
    recording: str | None = None
    error: str | None
