"""How blocks are proposed, talked about, voted on and decided."""

from __future__ import annotations

from random import Random
from typing import Final

from chaosnb.devnet.agents import Parameters, VoteTally, logistic
from chaosnb.devnet.alliances import Alliances
from chaosnb.devnet.ballots import Ballot, is_accepted
from chaosnb.devnet.memes import Memes
from chaosnb.devnet.mempool import Mempool
from chaosnb.devnet.pace import Pace
from chaosnb.devnet.phrases import message, reason
from chaosnb.devnet.population import Population, Producer, Validator
from chaosnb.devnet.timeline import Timeline
from chaosnb.protocol import events

__all__ = ["Consensus"]

_SENTIMENTS: Final = {"positive": 1, "neutral": 0, "negative": -1}


class Consensus:
    """The chain and the votes that make it grow.

    One height is decided before the next is proposed. A validator votes on every block once, and says
    something about it once at most.
    """

    def __init__(
        self,
        rng: Random,
        timeline: Timeline,
        *,
        parameters: Parameters,
        pace: Pace,
        population: Population,
        alliances: Alliances,
        mempool: Mempool,
        memes: Memes,
    ) -> None:
        self._rng = rng
        self._timeline = timeline
        self._parameters = parameters
        self._pace = pace
        self._population = population
        self._validators = population.validators
        self._alliances = alliances
        self._mempool = mempool
        self._memes = memes
        self._head = f"{rng.getrandbits(256):064x}"
        self._tallies = {name: [0, 0, 0.0, 0.0] for name in population.approval_probability()}
        self.height = 0

    @property
    def tally(self) -> dict[str, VoteTally]:
        """Votes so far by personality, with the probabilities that were really used."""
        return {
            name: VoteTally(int(votes), int(approvals), expected, variance)
            for name, (votes, approvals, expected, variance) in self._tallies.items()
        }

    def propose(self, _: None = None) -> None:
        """Propose a block, or two, and all the blocks to come."""
        rng, pace, now_us = self._rng, self._pace, self._timeline.now_us
        producers = self._population.working_producers()
        fork = rng.random() < self._parameters.fork_probability
        chosen = rng.sample(producers, min(len(producers), 2 if fork else 1))
        ballots = [self._announce_block(producer) for producer in chosen]
        self._timeline.at(now_us + pace.window_us, self._decide, ballots)
        self._timeline.at(now_us + int(pace.block_us * rng.uniform(0.9, 1.1)), self.propose)

    def _announce_block(self, producer: Producer) -> Ballot:
        rng, window_us, now_us = self._rng, self._pace.window_us, self._timeline.now_us
        digest = f"{rng.getrandbits(256):064x}"
        quality = rng.gauss(0.0, 1.0)
        ballot = Ballot(digest, self.height + 1, producer, self._mempool.select(), quality)
        self._timeline.emit(
            events.BlockProposal(
                digest,
                self._head,
                ballot.height,
                producer.reference,
                tuple(ballot.transactions),
                self._memes.for_block(),
                self._timeline.stamp(),
            )
        )
        # The window is shared out as 15 : 10 : 20 : 15 among proposal, evaluation, discussion and voting.
        for validator in self._validators:
            if rng.random() < validator.talkativeness:
                self._timeline.at(
                    now_us + int(window_us * (25 + 20 * rng.random()) / 60), self._speak, (validator, ballot)
                )
            if rng.random() < self._parameters.participation:
                leads = self._alliances.leads(validator.index, now_us)
                share = 0.2 * rng.random() if leads else 0.2 + 0.79 * rng.random()
                self._timeline.at(
                    now_us + int(window_us * (45 + 15 * share) / 60), self._vote, (validator, ballot)
                )
        return ballot

    def _speak(self, who: tuple[Validator, Ballot]) -> None:
        validator, ballot = who
        if validator.status != "active":
            return
        rng, parameters = self._rng, self._parameters
        if rng.random() < parameters.sentiment_lean:
            would_approve = logistic(validator.logit + parameters.quality_effect * ballot.quality)
            sentiment = "positive" if rng.random() < would_approve else "negative"
        else:
            sentiment = rng.choice(("positive", "neutral", "negative"))
        ballot.sentiment_sum += _SENTIMENTS[sentiment]
        ballot.sentiment_count += 1
        text = message(
            rng,
            validator.reference.personality,
            sentiment,
            ballot.block_hash[:8],
            ballot.producer.id,
            ballot.height,
            len(ballot.transactions),
        )
        self._timeline.emit(
            events.ConsensusDiscussion(
                ballot.block_hash,
                validator.reference,
                text,
                sentiment,
                tuple(self._memes.references()),
                self._timeline.stamp(),
            )
        )

    def _vote(self, who: tuple[Validator, Ballot]) -> None:
        validator, ballot = who
        if validator.status != "active":
            return
        rng, parameters, personality = self._rng, self._parameters, validator.reference.personality
        logit = (
            validator.logit
            + parameters.quality_effect * ballot.quality
            + parameters.sentiment_effect * ballot.mean_sentiment
        )
        if personality == "memetic" and self._memes.is_fresh(self._timeline.now_us):
            logit += parameters.meme_effect
        probability = logistic(logit)
        alliance = self._alliances.of(validator.index, self._timeline.now_us)
        leader = alliance.members[0] if alliance is not None else validator.index
        copied = None
        # A leader is not among the voters before its own vote, so that it never copies itself.
        if leader in ballot.votes:
            loyalty, example = parameters.alliance_loyalty, ballot.votes[leader]
            copied = leader if rng.random() < loyalty else None
            approve = example if copied is not None else rng.random() < probability
            probability = loyalty * example + (1 - loyalty) * probability
        else:
            approve = rng.random() < probability
        ballot.votes[validator.index] = approve
        tally = self._tallies[personality]
        tally[0] += 1
        tally[1] += approve
        tally[2] += probability
        tally[3] += probability * (1 - probability)
        why = reason(rng, approve, self._validators[copied].id if copied is not None else None)
        self._timeline.emit(
            events.BlockValidation(
                ballot.block_hash,
                validator.reference,
                "approve" if approve else "reject",
                why,
                self._timeline.stamp(),
            )
        )

    def _decide(self, ballots: list[Ballot]) -> None:
        validators, rng = self._validators, self._rng
        outcomes = [
            is_accepted(
                ((validators[i].reference.personality, vote) for i, vote in ballot.votes.items()),
                len(validators),
                self._parameters.quorum,
            )
            for ballot in ballots
        ]
        accepted = [ballot for ballot, outcome in zip(ballots, outcomes, strict=True) if outcome]
        if accepted:
            head = max(accepted, key=lambda ballot: ballot.approvals)
            self._head, self.height = head.block_hash, head.height
            head.producer.blocks_produced += 1
            self._mempool.include(len(head.transactions))
        ballot, outcome = ballots[0], outcomes[0]
        for index, vote in ballot.votes.items():
            validators[index].decided_votes += 1
            validators[index].with_outcome += vote == outcome
        voters = sorted(ballot.votes)
        gain = self._parameters.reputation_vote_gain
        for index in rng.sample(voters, min(len(voters), self._pace.reputations_per_block)):
            agreed = ballot.votes[index] == outcome
            why = f"voted {'with' if agreed else 'against'} the outcome of {ballot.block_hash[:8]}"
            change = (validators[index], gain if agreed else -gain, why)
            self._timeline.after(self._pace.block_us // 10, self.update_reputation, change)

    def update_reputation(self, change: tuple[Validator, float, str]) -> None:
        """Change a validator's reputation by a gain, for a reason, as (validator, gain, reason)."""
        validator, gain, why = change
        parameters, old = self._parameters, validator.reputation
        new = old + parameters.reputation_reversion * (parameters.reputation_mean - old) + gain
        new += self._rng.gauss(0.0, 1.0) * parameters.reputation_noise_sd
        validator.reputation = new = round(min(1.0, max(0.0, new)), 4)
        self._timeline.emit(events.ReputationUpdate(validator.id, old, new, why, self._timeline.stamp()))
