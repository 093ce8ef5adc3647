"""The clients that are connected, and a memory of those that were lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

from chaosnb.devnet.admission import Admission
from chaosnb.devnet.connections import Client
from chaosnb.devnet.faults import Faults
from chaosnb.devnet.feed import Feed
from chaosnb.devnet.outbox import Policy
from chaosnb.devnet.sent import Recorder

__all__ = ["Registry"]

_CLOSED_REMEMBERED: Final = 100


class Registry:
    """Serves connections as clients, and tells of them.

    Parameters
    ----------
    admission : Admission
    policy : Policy
    recorder : Recorder
    feed : Feed
    faults : Faults or None
        What goes wrong on every link.
    clock_us : callable
        Returns the time in microseconds since the epoch.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        policy: Policy,
        recorder: Recorder,
        feed: Feed,
        faults: Faults | None,
        clock_us: Callable[[], int],
    ) -> None:
        self._admission = admission
        self._policy = policy
        self._recorder = recorder
        self._feed = feed
        self._faults = faults
        self._clock_us = clock_us
        self._clients: dict[str, Client] = {}
        self._closed: OrderedDict[str, dict[str, Any]] = OrderedDict()

    @property
    def clients(self) -> Collection[Client]:
        """The clients that are connected now."""
        return self._clients.values()

    def record(self, connection_id: str) -> dict[str, Any] | None:
        """Return what the debug endpoint tells of a connection; None if it is unknown or long gone."""
        client = self._clients.get(connection_id)
        return client.record if client is not None else self._closed.get(connection_id)

    async def serve(self, connection: ServerConnection, on_change: Callable[[], None]) -> None:
        """Serve a connection until it is gone; `on_change` is called as `Client` says."""
        client = Client(
            connection,
            admission=self._admission,
            policy=self._policy,
            recorder=self._recorder,
            feed=self._feed,
            faults=self._faults,
            clock_us=self._clock_us,
            on_change=on_change,
        )
        self._clients[client.connection_id] = client
        try:
            await client.serve()
        finally:
            del self._clients[client.connection_id]
            self._closed[client.connection_id] = client.record | {"state": "closed"}
            while len(self._closed) > _CLOSED_REMEMBERED:
                self._closed.popitem(last=False)
            on_change()
