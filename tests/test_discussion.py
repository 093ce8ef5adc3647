"""What is said about blocks: its index, its volume, and whether votes follow it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb import analysis
from tests.engines import devnet, holds_to_the_rules, same_everywhere


def said(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Messages as (block, agent, sentiment), a second apart; personalities are the first letters."""
    block, agent, sentiment = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-01-01", periods=len(rows), freq="s", tz="UTC"),
            "block_hash": block,
            "agent_id": agent,
            "agent_personality": [name[:1] for name in agent],
            "sentiment": sentiment,
        }
    )


SAID = said(
    ("1", "a1", "positive"),
    ("1", "b1", "negative"),
    ("1", "a1", "positive"),
    ("2", "a2", "neutral"),
    ("2", "b1", "angry"),
)


def test_the_index_is_positive_minus_negative_over_all_that_counts() -> None:
    """Words that the protocol does not name count for nothing; what is most positive stands first."""
    found = same_everywhere(analysis.sentiment_index, SAID)
    assert found["personality"].tolist() == ["a", "b"]
    counts = found[["positive", "neutral", "negative", "other"]].to_numpy().tolist()
    assert counts == [[2, 1, 0, 0], [0, 0, 1, 1]]
    np.testing.assert_allclose(found["sentiment_index"], [2 / 3, -1])
    # Bonett and Price by hand: p = 3/5, q = 1/5.
    reach = 1.959964 * np.sqrt((0.8 - 0.4**2) / 5)
    np.testing.assert_allclose(found[["low", "high"]].iloc[0], [0.4 - reach, 1.0], rtol=1e-6)


def test_the_index_goes_by_agent_block_and_time() -> None:
    """Or by several of them; by time it is in order of time."""
    by_time = same_everywhere(analysis.sentiment_index, SAID, by=["time", "block"], every_s=2)
    assert by_time["time"].dt.second.tolist() == [0, 2, 2, 4]
    assert by_time["block"].tolist() == ["1", "1", "2", "2"]
    assert by_time["sentiment_index"].isna().tolist() == [False, False, False, True]
    assert analysis.sentiment_index(SAID, "agent")["agent"].tolist() == ["a1", "a2", "b1"]
    with pytest.raises(ValueError, match="choose from 'personality', 'agent', 'block', 'time'"):
        analysis.sentiment_index(SAID, "mood")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="more than 0 seconds"):
        analysis.sentiment_index(SAID, "time", every_s=0)


def test_the_volume_counts_messages_and_speakers() -> None:
    """With the proposals, blocks that nobody spoke of have a row, too."""
    found = same_everywhere(analysis.discussion_volume, SAID)
    columns = ["block_hash", "messages", "speakers", "positive", "span_s"]
    assert found[columns].to_numpy().tolist() == [["1", 3, 2, 2, 2.0], ["2", 2, 2, 0, 1.0]]
    blocks = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(["2025-12-31T23:59:59Z", "2026-01-01T01:00:00Z"]),
            "block_hash": ["1", "3"],
            "height": [7, 8],
        }
    )
    found = same_everywhere(analysis.discussion_volume, SAID, blocks)
    assert found[["block_hash", "height", "messages"]].to_numpy().tolist() == [["1", 7, 3], ["3", 8, 0]]
    assert found["first_s"].tolist()[0] == 1.0
    assert found["span_s"].isna().tolist() == [False, True]


@pytest.mark.parametrize("follows", [0, 2])
def test_sentiment_that_leads_shows_at_its_lag(follows: int) -> None:
    """Votes that do what was said two blocks before correlate there, and nowhere else."""
    random = np.random.default_rng(3)
    mood = random.integers(0, 2, 300)
    blocks = [f"b{number:03}" for number in range(300)]
    votes = pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-01-01", periods=300, freq="s", tz="UTC"),
            "block_hash": blocks,
            "validator_id": "v",
            "decision": np.where(np.roll(mood, follows) == 1, "approve", "reject"),
        }
    )
    messages = said(
        *[(block, "a", ["negative", "positive"][up]) for block, up in zip(blocks, mood, strict=True)]
    )
    found = same_everywhere(analysis.sentiment_lead, votes, messages, lags=3).set_index("lag")
    assert found["correlation"].idxmax() == follows
    assert found.loc[follows, "correlation"] > 0.95
    others = found.drop(follows)
    assert (others["low"] < 0).all()
    assert (others["high"] > 0).all()
    assert found["blocks"].tolist() == [297, 298, 299, 300, 299, 298, 297]


def test_intervals_of_unrelated_series_cover_nothing_as_often_as_they_say() -> None:
    """Also where each goes on as it went: without Bartlett's formula a third would miss."""
    random = np.random.default_rng(5)
    missed = total = 0
    blocks = [f"b{number:03}" for number in range(200)]
    for _ in range(15):
        waves = [np.convolve(random.normal(size=220), np.ones(20), "valid")[:200] for _ in range(2)]
        chance = [1 / (1 + np.exp(-wave)) for wave in waves]
        up = [random.uniform(size=(3, 200)) < one for one in chance]
        votes = pd.DataFrame(
            {
                "timestamp": np.tile(pd.date_range("2026-01-01", periods=200, freq="s", tz="UTC"), 3),
                "block_hash": blocks * 3,
                "validator_id": np.repeat(["u", "v", "w"], 200),
                "decision": np.where(up[0].ravel(), "approve", "reject"),
            }
        )
        words = votes[["timestamp", "block_hash"]].assign(
            sentiment=np.where(up[1].ravel(), "positive", "negative")
        )
        found = analysis.sentiment_lead(votes, words, lags=20)
        missed += int(((found["low"] > 0) | (found["high"] < 0)).sum())
        total += len(found)
    assert missed / total < 0.08


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(["positive", "neutral", "negative"]), min_size=1, max_size=30))
def test_an_interval_holds_its_index_or_lies_nearer_to_nothing(moods: list[str]) -> None:
    """The index of the adjusted counts is in its middle, and shrunk towards 0."""
    found = analysis.sentiment_index(said(*[("1", "a", mood) for mood in moods])).iloc[0]
    middle = (found["low"] + found["high"]) / 2
    assert abs(middle) <= abs(found["sentiment_index"]) + 1e-12
    assert found["low"] <= middle <= found["high"]


def test_the_tables_of_a_devnet_give_the_same_on_every_engine() -> None:
    """Real columns: categories, arrival numbers, times in microseconds."""
    _, tables = devnet(seconds=60)
    messages, votes = tables["consensus_discussion"], tables["block_validation"]
    assert (
        same_everywhere(analysis.sentiment_index, messages, by=["time", "personality"])["positive"].sum() > 50
    )
    volume = same_everywhere(analysis.discussion_volume, messages, tables["block_proposal"])
    assert volume["messages"].sum() == len(messages)
    assert len(same_everywhere(analysis.sentiment_lead, votes, messages)) == 11


def test_empty_tables_and_wrong_ones() -> None:
    """Empty ones give the columns; wrong ones an error that names the table."""
    holds_to_the_rules(analysis.sentiment_index, "consensus_discussion")
    holds_to_the_rules(analysis.discussion_volume, "consensus_discussion")
    holds_to_the_rules(analysis.discussion_volume, "consensus_discussion", "block_proposal")
    holds_to_the_rules(analysis.sentiment_lead, "block_validation", "consensus_discussion")


def test_the_ends_of_an_index_stay_within_its_range() -> None:
    """Also where few messages all say the same."""
    said = pd.DataFrame({"timestamp": pd.Timestamp("2026-01-01"), "agent_personality": ["a"] * 3 + ["b"]})
    for mood, end in (("positive", 1.0), ("negative", -1.0)):
        found = same_everywhere(analysis.sentiment_index, said.assign(sentiment=mood))
        assert found[["low", "high"]].abs().to_numpy().max() == 1.0
        assert (found["high" if end > 0 else "low"] == end).any()
