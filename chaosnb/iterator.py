"""The way into asyncio: `connect`, an iterator of events without tables or a thread."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from operator import itemgetter

from chaosnb.endpoint import Endpoint
from chaosnb.ingest.connection import Connection
from chaosnb.ingest.intake import Incident
from chaosnb.ingest.pace import Silence
from chaosnb.ingest.session import Batch, Session
from chaosnb.ingest.transport import Limits, choose_transport
from chaosnb.protocol.events import Event, check_topics
from chaosnb.protocol.signing import Identity
from chaosnb.text import printable

__all__ = ["connect"]


@asynccontextmanager
async def connect(
    topics: str | Iterable[str],
    *,
    url: str | None = None,
    identity: Identity | None = None,
    stale_after: float | None = None,
    allow_insecure: bool = False,
    max_message_bytes: int = 2**20,
) -> AsyncIterator[AsyncIterator[Event]]:
    """Subscribe within asyncio: an iterator of events, one after the other, over all reconnections.

    The parameters are those of `stream`. What cannot be read is left out; what comes again comes once. Where
    the node cannot be reached at first, that is said, once, and it is tried on.

    Examples
    --------
    >>> import asyncio
    >>> async def first_event():
    ...     async with connect(["network"], url="devnet") as events:
    ...         async for event in events:
    ...             return event
    >>> type(asyncio.run(first_event())).__name__ in ("NetworkMetrics", "AgentStatus")
    True
    """
    wanted = check_topics(topics)
    connect_node = choose_transport(None, limits=Limits(message_bytes=max_message_bytes))
    silence = Silence(stale_after)
    endpoint = Endpoint(url, identity, allow_insecure=allow_insecure)
    session = Session(wanted, endpoint.identity)
    connection = Connection(
        url=endpoint.url,
        session=session,
        connect=connect_node,
        silence=silence,
        on_incident=_Teller(endpoint.shown_url),
    )
    batches = connection.batches()
    events = _events(batches)
    try:
        yield events
    finally:
        await events.aclose()
        await batches.aclose()
        endpoint.close()


class _Teller:
    """Says that the first try to reach a node failed, which else looks like one that sends nothing."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._first = True

    def __call__(self, incident: Incident) -> None:
        if self._first and incident.state == "reconnecting":
            print(
                f"chaosnb: {self._url}: {printable(incident.detail)}. connect() keeps trying. Is the node "
                "running, and is this its address?",
                file=sys.stderr,
            )
        self._first = self._first and incident.state == "connecting"


async def _events(batches: AsyncGenerator[Batch]) -> AsyncGenerator[Event]:
    async for batch in batches:
        arrived = [pair for rows in batch.rows.values() for pair in zip(rows.seq, rows.events, strict=True)]
        for _, event in sorted(arrived, key=itemgetter(0)):
            yield event
