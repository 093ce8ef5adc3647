"""How often everything happens, so that the mean number of events a second is the rate asked for."""

from __future__ import annotations

import math
from typing import Final

from chaosnb.devnet.agents import Parameters
from chaosnb.devnet.population import Population

__all__ = ["Pace"]

_FASTEST_RATE: Final = 100_000.0
_LONGEST_WINDOW_US: Final = 60_000_000
_WINDOW_INTERVALS: Final = 0.8

# Shares of all events; what is left are proposals, discussions, votes and the reputation changes they bring.
_METRICS_SHARE: Final = 0.05
_MEME_SHARE: Final = 0.06
_ALLIANCE_SHARE: Final = 0.015
_STATUS_SHARE: Final = 0.02
_REPUTATIONS_PER_MEME: Final = 0.25
_AWAY_SHARE: Final = 0.05  # of the agents, as departures and their lengths give it


class Pace:
    """The intervals between events of each kind, in microseconds of event time.

    Examples
    --------
    >>> from random import Random
    >>> parameters = Parameters()
    >>> Pace(20.0, Population(Random(7), 24, parameters), parameters).block_us // 100_000
    23
    """

    def __init__(self, rate: float, population: Population, parameters: Parameters) -> None:
        if not (isinstance(rate, int | float) and math.isfinite(rate) and 0 < rate <= _FASTEST_RATE):
            raise ValueError(f"rate is {rate!r} events a second; it must be above 0 and at most 100,000")
        validators = population.validators
        self.reputations_per_block: Final = max(1, len(validators) // 5)
        self.reputations_per_meme: Final = _REPUTATIONS_PER_MEME
        proposals = 1.0 + parameters.fork_probability
        words = sum(validator.talkativeness for validator in validators)
        votes = parameters.participation * len(validators)
        per_block = proposals * (1.0 + (1.0 - _AWAY_SHARE) * (words + votes)) + self.reputations_per_block
        others = (
            _METRICS_SHARE + (1.0 + _REPUTATIONS_PER_MEME) * _MEME_SHARE + _ALLIANCE_SHARE + _STATUS_SHARE
        )
        self.block_us: Final = max(20, int(per_block / (rate * (1.0 - others)) * 1e6))
        self.window_us: Final = min(_LONGEST_WINDOW_US, int(_WINDOW_INTERVALS * self.block_us))
        self.metrics_us: Final = max(1, int(1e6 / (_METRICS_SHARE * rate)))
        # A meme's creator may be away, and then there is none.
        self.meme_us: Final = max(1, int(1e6 * (1.0 - _AWAY_SHARE) / (_MEME_SHARE * rate)))
        self.alliance_us: Final = max(1, int(1e6 / (_ALLIANCE_SHARE * rate)))
        self.leave_us: Final = max(1, int(2e6 / (_STATUS_SHARE * rate)))  # each brings a return
        self.fresh_us: Final = int(parameters.meme_freshness_intervals * self.block_us)
