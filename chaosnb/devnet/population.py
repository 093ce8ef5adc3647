"""The validators and producers of the simulated network, and which of them are away."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from chaosnb.devnet.agents import AgentTruth, Parameters, logistic
from chaosnb.devnet.phrases import AWAY_REASONS
from chaosnb.protocol import events

__all__ = ["Population", "Producer", "Validator", "duration_text"]

MOST_VALIDATORS: Final = 100
FEWEST_VALIDATORS: Final = 4


@dataclass(slots=True, eq=False)
class Validator:
    """A validator at one moment; `logit` is its personality's base and its own offset together."""

    index: int
    reference: events.Agent
    public_key: str
    logit: float
    talkativeness: float
    reputation: float
    status: str = "active"
    with_outcome: int = 0
    decided_votes: int = 0
    memes: int = 0
    meme_references: int = 0
    sentiment_sum: int = 0
    spoken: int = 0

    @property
    def id(self) -> str:
        """The identifier."""
        return self.reference.id


@dataclass(slots=True, eq=False)
class Producer:
    """A block producer at one moment."""

    reference: events.Producer
    status: str = "active"
    blocks_produced: int = 0

    @property
    def id(self) -> str:
        """The identifier."""
        return self.reference.id


class Population:
    """All validators and producers; at most a quarter and a half of them are away at a time."""

    def __init__(self, rng: Random, agents: int, parameters: Parameters) -> None:
        if isinstance(agents, bool) or not isinstance(agents, int):
            raise TypeError(f"agents is {agents!r}; it must be a whole number")
        if not FEWEST_VALIDATORS <= agents <= MOST_VALIDATORS:
            raise ValueError(
                f"agents is {agents}; a network has {FEWEST_VALIDATORS} to {MOST_VALIDATORS} validators"
            )
        self._rng = rng
        personalities = tuple(parameters.approval_logit)
        self.validators: list[Validator] = []
        truths: list[AgentTruth] = []
        for index in range(agents):
            personality = personalities[index % len(personalities)]
            offset = rng.gauss(0.0, 1.0) * parameters.agent_offset_sd
            name, key = f"agent-{index + 1:02d}", f"{rng.getrandbits(256):064x}"
            truths.append(AgentTruth(name, personality, key, offset))
            self.validators.append(
                Validator(
                    index,
                    events.Agent(name, personality),
                    key,
                    parameters.approval_logit[personality] + offset,
                    parameters.talkativeness.get(personality, 0.5),
                    parameters.reputation_mean,
                )
            )
        self.truths = tuple(truths)
        self.producers = [
            Producer(events.Producer(f"producer-{number + 1:02d}", f"{rng.getrandbits(256):064x}"))
            for number in range(max(2, agents // 6))
        ]
        self.active_validators = len(self.validators)
        self.active_producers = len(self.producers)

    def approval_probability(self) -> dict[str, float]:
        """Return the mean baseline probability of approval by personality."""
        by_personality: dict[str, list[float]] = {}
        for validator in self.validators:
            by_personality.setdefault(validator.reference.personality, []).append(logistic(validator.logit))
        return {name: sum(values) / len(values) for name, values in by_personality.items()}

    def working_producers(self) -> list[Producer]:
        """Return the producers that are active; there is always one."""
        return [producer for producer in self.producers if producer.status == "active"]

    def leave(self, length_us: int, timestamp: str) -> tuple[Validator | Producer, events.AgentStatus] | None:
        """Send an agent away and return it with the event; None if enough are away already."""
        candidates: list[Validator | Producer] = []
        if len(self.validators) - self.active_validators < max(1, len(self.validators) // 4):
            candidates += [validator for validator in self.validators if validator.status == "active"]
        if len(self.producers) - self.active_producers < len(self.producers) // 2:
            candidates += self.working_producers()
        if not candidates:
            return None
        agent = self._rng.choice(candidates)
        status = self._rng.choice(tuple(AWAY_REASONS))
        self._set(agent, status)
        why = self._rng.choice(AWAY_REASONS[status])
        return agent, events.AgentStatus(agent.id, status, why, duration_text(length_us), timestamp)

    def come_back(self, agent: Validator | Producer, timestamp: str) -> events.AgentStatus:
        """Make an agent active again and return the event."""
        self._set(agent, "active")
        return events.AgentStatus(agent.id, "active", "back at work", "PT0S", timestamp)

    def _set(self, agent: Validator | Producer, status: str) -> None:
        change = (status == "active") - (agent.status == "active")
        agent.status = status
        if isinstance(agent, Validator):
            self.active_validators += change
        else:
            self.active_producers += change


def duration_text(length_us: int) -> str:
    """Write a length in microseconds as an ISO 8601 duration, cut to milliseconds.

    Examples
    --------
    >>> duration_text(90_500_000), duration_text(7_200_000_000), duration_text(0)
    ('PT1M30.5S', 'PT2H', 'PT0S')
    """
    minutes, rest_us = divmod(length_us, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest_us // 1000 / 1000:g}"
    text = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    return f"PT{text}" + (f"{seconds}S" if seconds != "0" or not text else "")
