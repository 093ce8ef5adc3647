"""What a stream is made of: a link that gives its batches, and the origin of what comes over it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Protocol

from chaosnb.ingest.gaps import GapLedger
from chaosnb.ingest.intake import Intake, State
from chaosnb.ingest.session import Batch

__all__ = ["Link", "Origin"]


class Link(ABC):
    """What gives a stream its batches, from a node or from a recording.

    Parameters
    ----------
    intake : Intake
        Takes in what comes.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    @property
    def state(self) -> State:
        """How the link stands."""
        return self._intake.state

    @property
    def ledger(self) -> GapLedger:
        """The gaps."""
        return self._intake.ledger

    @property
    def skew_s(self) -> float | None:
        """Seconds that the node's clock is ahead of that of who listens to it; None while unknown."""
        return self._intake.skew_s

    @abstractmethod
    def batches(self) -> AsyncGenerator[Batch]:
        """Give every batch."""

    @abstractmethod
    async def subscribe(self, topics: str | Iterable[str]) -> None:
        """Add topics."""

    @abstractmethod
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
