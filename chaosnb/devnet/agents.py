"""Who takes part in the simulated network, and the published parameters that drive them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["AgentTruth", "Parameters", "Truth", "VoteTally", "logistic"]

# Log-odds of approving an ordinary block (quality 0, silent discussion, no meme, no alliance).
_APPROVAL_LOGIT = {
    "lawful": 1.9,
    "chaotic": 0.3,
    "memetic": 0.9,
    "greedy": 1.4,
    "dramatic": 0.7,
    "neutral": 1.6,
    "rational": 2.1,
    "emotional": 0.8,
    "strategic": 1.3,
}
_TALKATIVENESS = {
    "lawful": 0.40,
    "chaotic": 0.75,
    "memetic": 0.65,
    "greedy": 0.40,
    "dramatic": 0.90,
    "neutral": 0.30,
    "rational": 0.45,
    "emotional": 0.80,
    "strategic": 0.45,
}
_MEME_WEIGHT = {
    "lawful": 0.3,
    "chaotic": 2.0,
    "memetic": 5.0,
    "greedy": 0.6,
    "dramatic": 1.5,
    "neutral": 0.4,
    "rational": 0.4,
    "emotional": 1.0,
    "strategic": 0.6,
}


def logistic(logit: float) -> float:
    """Return the probability that has these log-odds.

    Examples
    --------
    >>> logistic(0.0)
    0.5
    """
    if logit < 0:
        odds = math.exp(max(logit, -700.0))
        return odds / (1.0 + odds)
    return 1.0 / (1.0 + math.exp(-logit))


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Everything that drives the agents. Log-odds are natural logarithms of odds, called logits below.

    A validator that votes approves with the probability ``logistic(x)``, where x is ``approval_logit`` of its
    personality + its own offset + ``quality_effect`` × the block's quality + ``sentiment_effect`` × the mean
    sentiment said about the block so far + ``meme_effect`` if it is memetic and a meme is fresh. Before
    that, a member of an alliance copies its leader's vote with the probability ``alliance_loyalty``.

    Parameters
    ----------
    approval_logit : mapping of str to float
        Base of each personality, in logits. Its keys are the personalities, dealt out to agents in turn.
    agent_offset_sd : float
        Standard deviation of the agents' own offsets (normal, mean 0), in logits.
    quality_effect : float
        Logits for each unit of a block's quality, which is standard normal and hidden.
    sentiment_effect : float
        Logits for each unit of mean sentiment, which goes from -1 (all negative) to 1 (all positive).
    sentiment_lean : float
        Probability that what an agent says tells how it would vote; else the sentiment is drawn evenly.
    meme_effect : float
        Logits that a fresh meme adds to a vote of a memetic agent.
    meme_freshness_intervals : float
        How long a meme is fresh, in block intervals.
    meme_reference_probability : float
        Probability that something said refers to recent memes.
    alliance_loyalty : float
        Probability that a member copies the vote of its alliance's leader.
    talkativeness : mapping of str to float
        Probability that an agent speaks about a block, by personality (0.5 where not given).
    meme_weight : mapping of str to float
        Relative frequency of posting memes, by personality (1 where not given).
    participation : float
        Probability that an active validator votes on a block.
    quorum : float
        Share of all validators that must vote for a block to be accepted.
    fork_probability : float
        Probability that two producers propose at the same height.
    reputation_mean : float
        Score that reputations start at and return to; scores lie from 0 to 1.
    reputation_reversion : float
        Share of the distance to the mean that each update takes back.
    reputation_vote_gain : float
        Change for having voted with the outcome; the same is lost for having voted against it.
    reputation_meme_gain : float
        Change for having posted a meme.
    reputation_noise_sd : float
        Standard deviation of the noise (normal) in each update.
    calm_transactions, burst_transactions : float
        Mean number of transactions that arrive in a block interval in calm times and in bursts (Poisson).
    calm_intervals, burst_intervals : float
        Mean length of calm times and bursts, in block intervals.

    Examples
    --------
    >>> Parameters(quality_effect=0.0).quality_effect
    0.0
    """

    approval_logit: Mapping[str, float] = field(default_factory=lambda: dict(_APPROVAL_LOGIT))
    agent_offset_sd: float = 0.3
    quality_effect: float = 0.6
    sentiment_effect: float = 0.9
    sentiment_lean: float = 0.7
    meme_effect: float = 1.2
    meme_freshness_intervals: float = 0.15
    meme_reference_probability: float = 0.3
    alliance_loyalty: float = 0.6
    talkativeness: Mapping[str, float] = field(default_factory=lambda: dict(_TALKATIVENESS))
    meme_weight: Mapping[str, float] = field(default_factory=lambda: dict(_MEME_WEIGHT))
    participation: float = 0.92
    quorum: float = 0.5
    fork_probability: float = 0.04
    reputation_mean: float = 0.5
    reputation_reversion: float = 0.1
    reputation_vote_gain: float = 0.02
    reputation_meme_gain: float = 0.03
    reputation_noise_sd: float = 0.01
    calm_transactions: float = 12.0
    burst_transactions: float = 40.0
    calm_intervals: float = 8.0
    burst_intervals: float = 3.0

    def __post_init__(self) -> None:
        if not self.approval_logit:
            raise ValueError("approval_logit names no personality")
        shares = {
            name: getattr(self, name)
            for name in (
                "sentiment_lean",
                "meme_reference_probability",
                "alliance_loyalty",
                "participation",
                "quorum",
                "fork_probability",
                "reputation_mean",
                "reputation_reversion",
            )
        } | {f"talkativeness[{name!r}]": value for name, value in self.talkativeness.items()}
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value!r}; it must lie from 0 to 1")
        for name in ("calm_transactions", "burst_transactions"):
            if not 0 <= getattr(self, name) <= 500:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must lie from 0 to 500")
        for name in ("calm_intervals", "burst_intervals"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be above 0")
        for name in ("agent_offset_sd", "reputation_noise_sd", "meme_freshness_intervals"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must not be negative")
        if any(not weight >= 0 for weight in self.meme_weight.values()):
            raise ValueError("a weight in meme_weight is negative")

    @classmethod
    def null(cls, approval_logit: float = 1.0) -> Parameters:
        """Return parameters under which nothing has an effect: every vote has the same odds.

        Examples
        --------
        >>> Parameters.null().sentiment_effect
        0.0
        """
        return cls(
            approval_logit=dict.fromkeys(_APPROVAL_LOGIT, approval_logit),
            agent_offset_sd=0.0,
            quality_effect=0.0,
            sentiment_effect=0.0,
            sentiment_lean=0.0,
            meme_effect=0.0,
            alliance_loyalty=0.0,
            reputation_vote_gain=0.0,
            reputation_meme_gain=0.0,
            burst_transactions=12.0,
        )


@dataclass(frozen=True)
class AgentTruth:
    """A validator as it really is; `offset` is its own part of the log-odds, in logits."""

    id: str
    personality: str
    public_key: str
    offset: float


@dataclass(frozen=True)
class Truth:
    """What is true of a simulated network, to hold an analysis against.

    Attributes
    ----------
    seed : int
        Seed of the model.
    rate : float
        Mean events per second of event time.
    parameters : Parameters
        All effect sizes.
    agents : tuple of AgentTruth
        The validators.
    approval_probability : dict of str to float
        By personality, the **baseline** probability of approval: the mean over that personality's agents of
        ``logistic(approval_logit + offset)``, that is for a block of quality 0, with neutral discussion, no
        fresh meme and no alliance. The marginal rate differs from it by the effects; without effects
        (`Parameters.null`) it is the same. `Model.tally` keeps the probabilities that were really used.
    effects : dict of str to float
        The effect sizes alone, in the units of `Parameters`.
    block_interval_s, consensus_window_s, meme_freshness_s, metrics_interval_s : float
        Mean time from one proposal to the next, time from proposal to decision, time that a meme is fresh,
        time from one `network_metrics` to the next; in seconds of event time.
    tps : dict of str to float
        Mean transactions a second in ``calm`` times and in a ``burst``.
    """

    seed: int
    rate: float
    parameters: Parameters
    agents: tuple[AgentTruth, ...]
    approval_probability: dict[str, float]
    effects: dict[str, float]
    block_interval_s: float
    consensus_window_s: float
    meme_freshness_s: float
    metrics_interval_s: float
    tps: dict[str, float]


@dataclass(frozen=True)
class VoteTally:
    """Votes of one personality so far, and what the model expected of them.

    Attributes
    ----------
    votes, approvals : int
        Number of votes, and of approvals among them.
    expected_approvals : float
        Sum of the probabilities with which these votes were drawn, each given all that came before it.
    variance : float
        Sum of p (1 - p) of the same; ``approvals - expected_approvals`` has mean 0 and this variance.
    """

    votes: int
    approvals: int
    expected_approvals: float
    variance: float
