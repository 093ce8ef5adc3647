"""The vote on one proposed block, and the rule by which it is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from chaosnb.devnet.population import Producer
from chaosnb.protocol.events import Transaction

__all__ = ["Ballot", "is_accepted"]


@dataclass(slots=True, eq=False)
class Ballot:
    """A proposed block with what has been said about it and how validators voted, by index."""

    block_hash: str
    height: int
    producer: Producer
    transactions: list[Transaction]
    quality: float
    votes: dict[int, bool] = field(default_factory=dict)
    sentiment_sum: int = 0
    sentiment_count: int = 0

    @property
    def mean_sentiment(self) -> float:
        """Mean of all that was said, from -1 to 1; 0 if nothing was."""
        return self.sentiment_sum / self.sentiment_count if self.sentiment_count else 0.0

    @property
    def approvals(self) -> int:
        """Number of validators that approve."""
        return sum(self.votes.values())


def is_accepted(votes: Iterable[tuple[str, bool]], validators: int, quorum: float) -> bool:
    """Return whether a block is accepted.

    Parameters
    ----------
    votes : iterable of (str, bool)
        Each voter's personality, and whether it approves.
    validators : int
        Number of all validators, whether active or not.
    quorum : float
        Share of all validators that must have voted.

    Returns
    -------
    bool
        True if enough voted, more than half of the votes approve, and no personality with a vote rejects
        unanimously.

    Examples
    --------
    >>> is_accepted([("lawful", True), ("lawful", False), ("greedy", True)], 4, 0.5)
    True
    >>> is_accepted([("lawful", True), ("lawful", True), ("greedy", False)], 4, 0.5)
    False
    """
    approvals = total = 0
    voted: set[str] = set()
    approving: set[str] = set()
    for personality, approve in votes:
        total += 1
        voted.add(personality)
        if approve:
            approvals += 1
            approving.add(personality)
    return total >= quorum * validators and 2 * approvals > total and approving == voted
