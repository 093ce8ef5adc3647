"""The laws of the simulated network, seen through its events alone."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosnb.devnet import Model, Parameters
from chaosnb.protocol import events
from chaosnb.protocol.codec import decode, encode
from chaosnb.protocol.events import EVENT_TYPES, PERSONALITIES, Frame, event_type
from chaosnb.protocol.iso8601 import duration_seconds, parse_timestamps

SECOND_US = 1_000_000
START_US = 1_750_000_000_000_000
LAWS = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 2**31)


def run(seed: int = 7, seconds: float = 120.0, **options: object) -> list[events.Event]:
    """Return a run's events."""
    return Model(seed, start_us=START_US, **options).step(int(seconds * SECOND_US))  # type: ignore[arg-type]


def of_type(log: list[events.Event], kind: type) -> list:
    """Return the events of one type."""
    return [event for event in log if type(event) is kind]


@LAWS
@given(SEEDS)
def test_same_seed_same_bytes(seed: int) -> None:
    """The same arguments give the same events to the byte."""
    assert [encode(event) for event in run(seed, 30)] == [encode(event) for event in run(seed, 30)]


def test_another_seed_gives_other_events() -> None:
    """Seeds differ in what they bring."""
    assert [encode(event) for event in run(1, 10)] != [encode(event) for event in run(2, 10)]


@LAWS
@given(SEEDS, st.lists(st.integers(0, 30 * SECOND_US), max_size=40))
def test_slices_do_not_matter(seed: int, cuts: list[int]) -> None:
    """However the time is cut up, the events are the same."""
    model = Model(seed, start_us=START_US)
    sliced = [event for until_us in [*sorted(cuts), 30 * SECOND_US] for event in model.step(until_us)]
    assert sliced == run(seed, 30)


def test_a_step_back_gives_nothing() -> None:
    """A moment in the past brings no events and does not turn back time."""
    model = Model(7)
    model.step(5 * SECOND_US)
    assert model.step(SECOND_US) == []
    assert model.time_us == 5 * SECOND_US


@LAWS
@given(SEEDS, st.sampled_from([4, 9, 24, 100]), st.sampled_from([0.5, 20.0, 5_000.0]))
def test_order_and_span(seed: int, agents: int, rate: float) -> None:
    """Time stamps never go back, begin at the start and end by the end."""
    log = run(seed, 2_000 / rate, agents=agents, rate=rate)
    times = parse_timestamps([event.timestamp for event in log])
    assert (times[1:] >= times[:-1]).all()
    assert times[0] >= START_US
    assert times[-1] <= START_US + 2_000 / rate * SECOND_US


@LAWS
@given(SEEDS)
def test_every_type_early(seed: int) -> None:
    """All eight types of event turn up within ten seconds at the default rate."""
    assert {event_type(event) for event in run(seed, 10)} == set(EVENT_TYPES)


@pytest.mark.parametrize("agents", [4, 9, 24, 100])
def test_rate(agents: int) -> None:
    """The mean number of events a second is the rate asked for."""
    assert len(run(seconds=3_000, agents=agents)) / 3_000 == pytest.approx(20.0, rel=0.05)


def test_mix() -> None:
    """Votes are the most frequent, then discussions; alliances are the rarest but one or none."""
    counts = Counter(event_type(event) for event in run(seconds=2_000))
    ranked = [name for name, _ in counts.most_common()]
    assert ranked[:2] == ["block_validation", "consensus_discussion"]
    assert set(ranked[-3:]) == {"alliance_update", "agent_status", "block_proposal"}


@LAWS
@given(SEEDS)
def test_events_survive_the_wire(seed: int) -> None:
    """Every event decodes strictly to itself, with the values that the protocol lists."""
    drift: Counter[str] = Counter()
    for event in run(seed, 60):
        assert decode(Frame(encode(event), 0), drift) == event
    assert not drift


@LAWS
@given(SEEDS, st.sampled_from([4, 24]))
def test_scores_are_chained(seed: int, agents: int) -> None:
    """Every old score is the agent's last new score, and scores lie from 0 to 1."""
    scores: dict[str, float] = {}
    for event in of_type(run(seed, agents=agents), events.ReputationUpdate):
        assert event.old_score == scores.get(event.agent_id, 0.5)
        assert 0 <= event.new_score <= 1
        scores[event.agent_id] = event.new_score


@LAWS
@given(SEEDS)
def test_one_vote_per_block(seed: int) -> None:
    """A validator votes on a block once at most."""
    votes = [(vote.block_hash, vote.validator.id) for vote in of_type(run(seed), events.BlockValidation)]
    assert len(votes) == len(set(votes))


@LAWS
@given(SEEDS, st.sampled_from([4, 24, 100]))
def test_the_away_are_silent(seed: int, agents: int) -> None:
    """Who is away neither votes, nor speaks, nor posts, nor proposes."""
    away: set[str] = set()
    for event in run(seed, 300, agents=agents):
        match event:
            case events.AgentStatus(agent_id, status):
                (away.discard if status == "active" else away.add)(agent_id)
            case events.BlockValidation():
                assert event.validator.id not in away
            case events.ConsensusDiscussion():
                assert event.agent.id not in away
            case events.MemePosted():
                assert event.creator.id not in away
            case events.BlockProposal():
                assert event.producer.id not in away


def outcomes(log: list[events.Event], agents: int) -> dict[str, bool]:
    """Return which blocks the protocol's rule accepts, by hash, from the votes alone."""
    votes: dict[str, list[events.BlockValidation]] = defaultdict(list)
    for vote in of_type(log, events.BlockValidation):
        votes[vote.block_hash].append(vote)
    accepted = {}
    for block in of_type(log, events.BlockProposal):
        cast = votes[block.block_hash]
        groups: dict[str, set[str]] = defaultdict(set)
        for vote in cast:
            groups[vote.validator.personality].add(vote.decision)
        approvals = sum(vote.decision == "approve" for vote in cast)
        accepted[block.block_hash] = (
            len(cast) >= agents / 2
            and approvals > len(cast) / 2
            and all("approve" in decisions for decisions in groups.values())
        )
    return accepted


@LAWS
@given(SEEDS, st.sampled_from([4, 9, 24]))
def test_the_chain_follows_accepted_blocks(seed: int, agents: int) -> None:
    """A block's parent is the accepted block before it, and the head moves whenever one is accepted."""
    log = run(seed, 240, agents=agents)
    accepted = outcomes(log, agents)
    height, heads = 0, set[str]()
    candidates: dict[str, events.BlockProposal] = {}
    for block in of_type(log, events.BlockProposal):
        if candidates and block.timestamp != next(iter(candidates.values())).timestamp:
            winners = {name for name in candidates if accepted[name]}
            heads, height = (winners, height + 1) if winners else (heads, height)
            candidates = {}
        assert block.height == height + 1
        assert not heads or block.parent_hash in heads
        candidates[block.block_hash] = block
    assert height > 0 or agents == 9  # nine groups of one must all approve


def test_forks_occur() -> None:
    """Now and then two producers propose at the same height upon the same parent."""
    blocks = of_type(run(seconds=1_000), events.BlockProposal)
    pairs = Counter((block.height, block.parent_hash, block.timestamp) for block in blocks)
    share = sum(count == 2 for count in pairs.values()) / len(pairs)
    assert 0.01 < share < 0.08


@LAWS
@given(SEEDS)
def test_transactions_are_conserved(seed: int) -> None:
    """What the metrics count has arrived once, and is in an accepted block or pending."""
    model = Model(seed, start_us=START_US)
    log = model.step(200 * SECOND_US)
    interval_s = model.truth.metrics_interval_s
    arrived, included = 0, set[str]()
    blocks = {block.block_hash: block for block in of_type(log, events.BlockProposal)}
    parents = {block.parent_hash for block in blocks.values()}
    done = [0]
    for event in log:
        if type(event) is events.BlockProposal and event.parent_hash in blocks:
            included |= {transaction.hash for transaction in blocks[event.parent_hash].transactions}
        if type(event) is events.NetworkMetrics:
            arrived += round(event.tps * interval_s)
            done.append(arrived - event.pending_transactions)
    assert parents
    assert done == sorted(done)
    assert len(included) in done


def test_metrics_are_regular_and_bursty() -> None:
    """Metrics come at their interval, and bursts stand out from calm times."""
    model = Model(7, start_us=START_US)
    metrics = of_type(model.step(1_000 * SECOND_US), events.NetworkMetrics)
    times = parse_timestamps([event.timestamp for event in metrics])
    assert (abs((times[1:] - times[:-1]) / SECOND_US - model.truth.metrics_interval_s) < 0.002).all()
    middle = (model.truth.tps["calm"] + model.truth.tps["burst"]) / 2
    share = sum(event.tps > middle for event in metrics) / len(metrics)
    expected = 3.0 / (8.0 + 3.0)
    assert abs(share - expected) < 0.12


def test_approval_fits_the_probabilities_used() -> None:
    """Approvals by personality are as many as the probabilities with which they were drawn."""
    model = Model(11, rate=1_000.0)
    log = model.step(150 * SECOND_US)
    counted = Counter(
        (vote.validator.personality, vote.decision) for vote in of_type(log, events.BlockValidation)
    )
    for name, tally in model.tally.items():
        assert counted[name, "approve"] == tally.approvals
        assert counted[name, "approve"] + counted[name, "reject"] == tally.votes > 5_000
        assert abs(tally.approvals - tally.expected_approvals) < 4 * math.sqrt(tally.variance)


def test_null_network_has_the_baseline() -> None:
    """Without effects the approval rate of every personality is its published baseline."""
    model = Model(3, rate=1_000.0, parameters=Parameters.null(0.8))
    model.step(100 * SECOND_US)
    for name, tally in model.tally.items():
        baseline = model.truth.approval_probability[name]
        assert baseline == pytest.approx(1 / (1 + math.exp(-0.8)))
        error = math.sqrt(baseline * (1 - baseline) / tally.votes)
        assert abs(tally.approvals / tally.votes - baseline) < 4 * error


def test_without_interaction_the_baseline_holds() -> None:
    """With own inclinations only, the approval rates are the published baselines, offsets and all."""
    parameters = Parameters(quality_effect=0.0, sentiment_effect=0.0, meme_effect=0.0, alliance_loyalty=0.0)
    model = Model(5, rate=1_000.0, parameters=parameters)
    model.step(150 * SECOND_US)
    for name, tally in model.tally.items():
        # Agents of a personality do not vote equally often, which shifts the mean a little.
        assert tally.approvals / tally.votes == pytest.approx(
            model.truth.approval_probability[name], abs=0.025
        )


@pytest.mark.parametrize("loyalty", [0.0, 1.0])
def test_loyalty(loyalty: float) -> None:
    """Members with full loyalty always vote as their leader did; without it they do not."""
    log = run(seconds=600, parameters=Parameters(alliance_loyalty=loyalty))
    leader_of: dict[str, tuple[str, float]] = {}
    decisions: dict[tuple[str, str], str] = {}
    same = copied = 0
    for event in log:
        match event:
            case events.AllianceUpdate():
                gone = {m for m, (leader, _) in leader_of.items() if leader == event.members[0].id}
                for member in gone:
                    del leader_of[member]
                until_s = parse_timestamps([event.timestamp])[0] / 1e6
                length_s = duration_seconds(event.duration)
                until_s += 30 * 86_400 if math.isnan(length_s) else length_s
                for member in event.members[1:]:
                    leader_of[member.id] = event.members[0].id, until_s
            case events.BlockValidation():
                decisions[event.block_hash, event.validator.id] = event.decision
                leader, until_s = leader_of.get(event.validator.id, ("", 0.0))
                example = decisions.get((event.block_hash, leader))
                if example is not None and parse_timestamps([event.timestamp])[0] / 1e6 < until_s - 0.001:
                    copied += 1
                    same += event.decision == example
    assert copied > 200
    assert (same == copied) if loyalty == 1.0 else (same < 0.9 * copied)


def test_alliances_are_sound() -> None:
    """An alliance has one leader, no member twice, a purpose, and an ISO 8601 duration."""
    updates = of_type(run(seconds=3_000), events.AllianceUpdate)
    assert {"PT10M", "PT1H", "P1D", "P1M"} <= {update.duration for update in updates}
    for update in updates:
        assert [member.role for member in update.members].count("leader") == 1
        assert len({member.id for member in update.members}) == len(update.members) >= 2
        assert update.purpose


def test_memes_and_references() -> None:
    """Memes lie at memes.example, and what is referred to was posted before."""
    known: set[str] = set()
    kinds: set[str] = set()
    referred = 0
    for event in run(seconds=600):
        if type(event) is events.MemePosted:
            assert event.content.url.startswith(f"https://memes.example/{event.meme_id}.")
            assert event.tags
            assert event.content.caption
            known.add(event.meme_id)
            kinds.add(event.content.type)
        elif type(event) is events.ConsensusDiscussion:
            assert set(event.meme_references) <= known
            referred += bool(event.meme_references)
    assert kinds == {"image", "gif", "text"}
    assert referred


@pytest.mark.parametrize("agents", [9, 10, 24, 100])
def test_all_personalities(agents: int) -> None:
    """With nine agents or more, every personality occurs, and the truth names every voter."""
    model = Model(7, agents=agents)
    assert {agent.personality for agent in model.truth.agents} == set(PERSONALITIES)
    voters = {vote.validator.id for vote in of_type(model.step(200 * SECOND_US), events.BlockValidation)}
    assert voters == {agent.id for agent in model.truth.agents}
    assert {validator.id for validator in model.validators} == voters


def test_state_is_what_the_metrics_say() -> None:
    """The state tells the same as the metrics that were sent last."""
    model = Model(7)
    last = of_type(model.step(10 * model.truth.metrics_interval_s * SECOND_US), events.NetworkMetrics)[-1]
    assert model.state.network_tps == last.tps
    assert 0 < model.state.active_validators <= 24
    assert 0 < model.state.active_producers <= len(model.producers)


@pytest.mark.parametrize("agents", [0, 3, 101, -1])
def test_number_of_agents(agents: int) -> None:
    """A network has 4 to 100 validators, and says so."""
    with pytest.raises(ValueError, match="4 to 100"):
        Model(7, agents=agents)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf, 1e6])
def test_rate_must_make_sense(rate: float) -> None:
    """A rate of nothing, of no number, or beyond all bounds is refused."""
    with pytest.raises(ValueError, match="rate"):
        Model(7, rate=rate)


@pytest.mark.parametrize(
    "wrong", [{"alliance_loyalty": 1.5}, {"quorum": -0.1}, {"approval_logit": {}}, {"calm_intervals": 0.0}]
)
def test_parameters_are_checked(wrong: dict[str, object]) -> None:
    """Parameters that make no sense are refused when they are made."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Parameters(**wrong)  # type: ignore[arg-type]


def test_the_window_is_a_minute_at_most() -> None:
    """At a slow pace a block is decided within the protocol's sixty seconds."""
    truth = Model(7, rate=0.05).truth
    assert truth.consensus_window_s == timedelta(minutes=1).total_seconds()
    assert truth.block_interval_s > 60
