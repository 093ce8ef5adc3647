"""The simulated network as a pure state machine in virtual time: no clock, no I/O, one seeded generator.

`Timeline` holds what happens next; `Consensus` and what recurs here put it there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from random import Random
from typing import Final

from chaosnb.devnet.agents import Parameters, Truth, VoteTally
from chaosnb.devnet.alliances import Alliances
from chaosnb.devnet.consensus import Consensus
from chaosnb.devnet.memes import Memes
from chaosnb.devnet.mempool import Mempool
from chaosnb.devnet.pace import Pace
from chaosnb.devnet.population import Population, Producer, Validator
from chaosnb.devnet.timeline import Timeline
from chaosnb.protocol import events

__all__ = ["Model", "NetworkState"]

_DEFAULT_START_US: Final = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
_EFFECTS: Final = (
    "quality_effect",
    "sentiment_effect",
    "sentiment_lean",
    "meme_effect",
    "alliance_loyalty",
    "reputation_vote_gain",
    "reputation_meme_gain",
)


@dataclass(frozen=True)
class NetworkState:
    """Figures of the network at one moment; `network_tps` is the last one reported, in 1/s."""

    block_height: int
    active_validators: int
    active_producers: int
    pending_transactions: int
    network_tps: float


class Model:
    """A seeded network of agents.

    The same arguments give the same events to the byte, however the calls of `step` cut up the time.

    Parameters
    ----------
    seed : int
    agents : int
        Number of validators, from 4 to 100.
    rate : float
        Mean number of events per second of event time; scales the pace of everything. Up to 100,000.
    start_us : int
        Virtual time zero, in microseconds since the epoch.
    parameters : Parameters, optional
        What drives the agents.

    Attributes
    ----------
    start_us : int
        Virtual time zero, in microseconds since the epoch.
    truth : Truth
        What is true of the network.

    Examples
    --------
    >>> model = Model(seed=7)
    >>> first = model.step(until_us=10_000_000)
    >>> len({events.event_type(event) for event in first})
    8
    """

    def __init__(
        self,
        seed: int,
        agents: int = 24,
        rate: float = 20.0,
        start_us: int = _DEFAULT_START_US,
        parameters: Parameters | None = None,
    ) -> None:
        self._parameters = parameters = parameters or Parameters()
        self._rng = rng = Random(seed)
        self._timeline = timeline = Timeline(rng, start_us)
        self._population = population = Population(rng, agents, parameters)
        self._pace = pace = Pace(rate, population, parameters)
        turns = pace.block_us / pace.metrics_us  # of the mempool, in a block interval
        self._mempool = Mempool(
            rng,
            calm_mean=parameters.calm_transactions / turns,
            burst_mean=parameters.burst_transactions / turns,
            burst_begin=min(1.0, 1 / turns / parameters.calm_intervals),
            burst_end=min(1.0, 1 / turns / parameters.burst_intervals),
        )
        self._alliances = Alliances(rng, [validator.id for validator in population.validators])
        self._memes = Memes(rng, population.validators, parameters, pace.fresh_us)
        self._consensus = Consensus(
            rng,
            timeline,
            parameters=parameters,
            pace=pace,
            population=population,
            alliances=self._alliances,
            mempool=self._mempool,
            memes=self._memes,
        )
        self._tps = 0.0
        self.start_us: Final = start_us
        self.truth: Final = self._make_truth(seed, rate)
        self._begin()

    @property
    def time_us(self) -> int:
        """Virtual time that has been reached, in microseconds."""
        return self._timeline.now_us

    @property
    def state(self) -> NetworkState:
        """The network's figures now."""
        people = self._population
        return NetworkState(
            self._consensus.height,
            people.active_validators,
            people.active_producers,
            len(self._mempool),
            self._tps,
        )

    @property
    def validators(self) -> tuple[Validator, ...]:
        """The validators as they are now; not to be changed."""
        return tuple(self._population.validators)

    @property
    def producers(self) -> tuple[Producer, ...]:
        """The producers as they are now; not to be changed."""
        return tuple(self._population.producers)

    @property
    def tally(self) -> dict[str, VoteTally]:
        """Votes so far by personality, with the probabilities that were really used."""
        return self._consensus.tally

    def in_alliance(self, validator: Validator) -> bool:
        """Return whether a validator belongs to an alliance now."""
        return self._alliances.of(validator.index, self._timeline.now_us) is not None

    def step(self, until_us: int) -> list[events.Event]:
        """Go on to a moment of virtual time, and return what happened, in order.

        Parameters
        ----------
        until_us : int
            Microseconds since virtual time zero, included. A moment in the past gives nothing.
        """
        return self._timeline.run(until_us)

    # -- setting up

    def _make_truth(self, seed: int, rate: float) -> Truth:
        parameters, pace = self._parameters, self._pace
        everything = asdict(parameters)
        return Truth(
            seed=seed,
            rate=float(rate),
            parameters=parameters,
            agents=self._population.truths,
            approval_probability=self._population.approval_probability(),
            effects={name: everything[name] for name in _EFFECTS},
            block_interval_s=pace.block_us / 1e6,
            consensus_window_s=pace.window_us / 1e6,
            meme_freshness_s=pace.fresh_us / 1e6,
            metrics_interval_s=pace.metrics_us / 1e6,
            tps={
                "calm": parameters.calm_transactions * 1e6 / pace.block_us,
                "burst": parameters.burst_transactions * 1e6 / pace.block_us,
            },
        )

    def _begin(self) -> None:
        pace = self._pace
        for number, producer in enumerate(self._population.producers):
            self._timeline.at(number * pace.metrics_us // 4, self._announce_producer, producer)
        self._timeline.at(0, self._report_metrics)
        self._timeline.at(pace.block_us // 20, self._consensus.propose)
        self._timeline.at(pace.block_us // 10, self._ally)
        self._timeline.at(pace.block_us // 5, self._post_meme)
        self._timeline.at(pace.block_us, self._leave)

    # -- what recurs

    def _post_meme(self, _: None) -> None:
        pace, timeline = self._pace, self._timeline
        timeline.after(pace.meme_us, self._post_meme)
        posted = self._memes.post(
            timeline.now_us, self._consensus.height + 1, len(self._mempool), timeline.stamp()
        )
        if posted is None:
            return
        creator, event = posted
        timeline.emit(event)
        if self._rng.random() < pace.reputations_per_meme:
            change = (creator, self._parameters.reputation_meme_gain, f"posted {event.meme_id}")
            timeline.after(pace.meme_us // 2, self._consensus.update_reputation, change)

    def _report_metrics(self, _: None) -> None:
        self._timeline.at(self._timeline.now_us + self._pace.metrics_us, self._report_metrics)
        self._tps = round(self._mempool.arrive() * 1e6 / self._pace.metrics_us, 3)
        state = self.state
        self._timeline.emit(
            events.NetworkMetrics(
                state.block_height,
                self._tps,
                state.active_validators,
                state.active_producers,
                state.pending_transactions,
                self._timeline.stamp(),
            )
        )

    def _ally(self, _: None) -> None:
        self._timeline.after(self._pace.alliance_us, self._ally)
        self._timeline.emit(self._alliances.update(self._timeline.now_us, self._timeline.stamp()))

    def _announce_producer(self, producer: Producer) -> None:
        self._timeline.emit(
            events.AgentStatus(producer.id, "active", "ready to make blocks", "PT0S", self._timeline.stamp())
        )

    def _leave(self, _: None) -> None:
        self._timeline.after(self._pace.leave_us, self._leave)
        length_us = max(1, int(self._pace.block_us * self._rng.uniform(1.0, 4.0)))
        if (left := self._population.leave(length_us, self._timeline.stamp())) is not None:
            agent, event = left
            self._timeline.emit(event)
            self._timeline.at(self._timeline.now_us + length_us, self._return, agent)

    def _return(self, agent: Validator | Producer) -> None:
        self._timeline.emit(self._population.come_back(agent, self._timeline.stamp()))
