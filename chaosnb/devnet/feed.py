"""What a node's clients are fed from: a simulated network, or a recording."""

from __future__ import annotations

from typing import Any, Protocol

from chaosnb.devnet.outgoing import Outgoing

__all__ = ["Feed"]


class Feed(Protocol):
    """The network behind a node, as its clients' links know it."""

    @property
    def announcement(self) -> dict[str, Any]:
        """What the node says of itself to who has authenticated."""

    @property
    def origin_us(self) -> int:
        """When the network began, in microseconds since the epoch."""

    @property
    def now_us(self) -> int:
        """The time by the node's clock, in microseconds since the epoch."""

    def replay(self, wanted: frozenset[str]) -> list[Outgoing]:
        """Return what a client that comes back is sent again."""
