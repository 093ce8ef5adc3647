"""The clients of a node, all together, as whoever sends to them sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

from chaosnb.devnet.connections import Client
from chaosnb.devnet.outgoing import Outgoing

__all__ = ["Audience"]

_LOW_WATER_FRAMES: Final = 256


class Audience:
    """Those who are connected.

    Parameters
    ----------
    clients : callable
        Returns the present clients.
    """

    def __init__(self, clients: Callable[[], Collection[Client]]) -> None:
        self._clients = clients
        self._changed = asyncio.Event()

    @property
    def wanted(self) -> frozenset[str]:
        """The event types that anybody has asked for."""
        return frozenset[str]().union(*(client.wanted for client in self._clients()))

    def begin(self) -> None:
        """Begin, in the loop that runs now."""
        self._changed = asyncio.Event()

    def notice(self) -> None:
        """Take note that a client has subscribed, has taken frames, or is gone."""
        self._changed.set()

    def offer(self, messages: Sequence[Outgoing]) -> None:
        """Offer messages to everyone."""
        for client in list(self._clients()):
            client.offer(messages)

    async def subscribed(self) -> None:
        """Wait until somebody has asked for events."""
        await self._until(lambda: any(client.wanted for client in self._clients()))

    async def ready(self) -> None:
        """Wait until nobody has much left to take."""
        await self._until(lambda: all(client.backlog <= _LOW_WATER_FRAMES for client in self._clients()))

    async def finish(self) -> None:
        """Release what faults hold back, and wait until everyone has taken all."""
        for client in list(self._clients()):
            client.release()
        await self._until(lambda: all(not client.backlog for client in self._clients()))

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()
