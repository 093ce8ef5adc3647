"""Transactions that wait for a block; they arrive in calm times and in bursts."""

from __future__ import annotations

import math
from collections import deque
from itertools import islice
from random import Random
from typing import Final

from chaosnb.devnet.phrases import TRANSACTION_TYPES
from chaosnb.protocol.events import Transaction

__all__ = ["Mempool"]

_BLOCK_LIMIT: Final = 80
_POOL_LIMIT: Final = 5_000


class Mempool:
    """The waiting transactions, oldest first.

    Every transaction that arrives is in an accepted block once, or still waits.

    Parameters
    ----------
    rng : random.Random
    calm_mean, burst_mean : float
        Mean number of arrivals in one turn.
    burst_begin, burst_end : float
        Probability that a burst begins, and ends, in one turn.
    """

    def __init__(
        self, rng: Random, *, calm_mean: float, burst_mean: float, burst_begin: float, burst_end: float
    ) -> None:
        self._rng = rng
        self._means = {False: calm_mean, True: burst_mean}
        self._switch = {False: burst_begin, True: burst_end}
        self._waiting: deque[Transaction] = deque()
        self.in_burst = False

    def __len__(self) -> int:
        return len(self._waiting)

    def arrive(self) -> int:
        """Let one turn's transactions arrive and return their number."""
        if self._rng.random() < self._switch[self.in_burst]:
            self.in_burst = not self.in_burst
        count = min(_poisson(self._rng, self._means[self.in_burst]), _POOL_LIMIT - len(self._waiting))
        for _ in range(count):
            digest = f"{self._rng.getrandbits(256):064x}"
            self._waiting.append(Transaction(digest, self._rng.choice(TRANSACTION_TYPES)))
        return count

    def select(self) -> list[Transaction]:
        """Return the transactions for a block, which go on waiting until it is accepted."""
        return list(islice(self._waiting, _BLOCK_LIMIT))

    def include(self, count: int) -> None:
        """Take out the `count` oldest transactions, as an accepted block holds them."""
        for _ in range(count):
            self._waiting.popleft()


def _poisson(rng: Random, mean: float) -> int:
    # Multiplying uniforms underflows for large means; a sum of independent parts is exact.
    total = 0
    while mean > 30.0:
        total += _poisson(rng, 30.0)
        mean -= 30.0
    limit, product = math.exp(-mean), rng.random()
    while product > limit:
        total += 1
        product *= rng.random()
    return total
