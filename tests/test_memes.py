"""Memes: references, spread, tags, influence, and votes after a fresh one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chaosnb import analysis
from tests.engines import devnet, holds_to_the_rules, same_everywhere


def at(*seconds: float) -> pd.DatetimeIndex:
    """Moments, in seconds since the year began."""
    start = pd.Timestamp("2026-01-01", tz="UTC")
    return pd.DatetimeIndex([start + pd.Timedelta(s, "s") for s in seconds]).astype("datetime64[us, UTC]")


MEMES = pd.DataFrame(
    {
        "timestamp": at(0, 10, 20),
        "meme_id": ["m", "n", "o"],
        "creator_id": ["a", "b", "a"],
        "creator_personality": ["greedy", "lawful", "greedy"],
        "tags": [["gm", "fork"], ["gm"], []],
    }
)
SAID = pd.DataFrame(
    {
        "timestamp": at(5, 12, 13, 30, 31),
        "block_hash": ["1", "1", "2", "2", "2"],
        "agent_id": ["b", "a", "c", "c", "b"],
        "meme_references": [["m"], ["m", "n"], ["m"], ["ghost"], []],
    }
)


def test_references_are_counted_and_timed() -> None:
    """Memes that nobody refers to have a row, and so has one whose posting nobody saw."""
    found = same_everywhere(analysis.meme_references, SAID, MEMES).set_index("meme_id")
    assert [*found.index] == ["m", "ghost", "n", "o"]
    assert found["references"].tolist() == [3, 1, 1, 0]
    assert found.loc["m", ["speakers", "blocks", "first_s", "median_s", "last_s"]].tolist() == [
        3,
        2,
        5,
        12,
        13,
    ]
    assert found["creator_id"].tolist() == ["a", "", "b", "a"]
    assert found["posted"].isna().tolist() == [False, True, False, False]
    assert found["first_s"].isna().tolist() == [False, True, False, True]


def test_a_meme_spreads_to_ever_more_agents() -> None:
    """Cumulative, by bucket, those with most references first; an agent is reached once."""
    found = same_everywhere(analysis.meme_spread, SAID, every_s=10)
    rows = found[["meme_id", "references", "total", "reached"]].to_numpy().tolist()
    assert rows == [["m", 1, 1, 1], ["m", 2, 3, 3], ["ghost", 1, 1, 1], ["n", 1, 1, 1]]
    assert found["time"].dt.second.tolist() == [0, 10, 30, 10]
    assert analysis.meme_spread(SAID, top=1)["meme_id"].unique().tolist() == ["m"]
    with pytest.raises(ValueError, match="more than 0 seconds"):
        analysis.meme_spread(SAID, every_s=-1)


def test_tags_and_creators_are_ranked() -> None:
    """What agents say of their own memes makes nobody influential."""
    tags = same_everywhere(analysis.meme_tags, SAID, MEMES)
    assert tags[["tag", "memes", "references"]].to_numpy().tolist() == [["gm", 2, 4], ["fork", 1, 3]]
    assert tags["low"].isna().tolist() == [False, True]
    found = same_everywhere(analysis.meme_influence, SAID, MEMES)
    columns = ["agent", "memes", "references", "references_per_meme", "reached", "h_index"]
    assert found[columns].to_numpy().tolist() == [["a", 2, 2, 1.0, 2, 1], ["b", 1, 1, 1.0, 1, 1]]
    kinds = same_everywhere(analysis.meme_influence, SAID, MEMES, by="personality")
    assert kinds["personality"].tolist() == ["greedy", "lawful"]
    with pytest.raises(ValueError, match="'agent' or 'personality'"):
        analysis.meme_influence(SAID, MEMES, "tag")  # type: ignore[arg-type]


def votes(seed: int, effect: float, bad: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Votes, memes and blocks: a fresh meme adds `effect` to a chance of 0.5.

    The other producer's blocks lose `bad`, and have a fresh meme three times as seldom.
    """
    random = np.random.default_rng(seed)
    other = random.uniform(size=300) < 0.5
    fresh = random.uniform(size=300) < np.where(other, 0.2, 0.6)
    start = np.arange(300) * 10.0
    chance = 0.5 + effect * fresh - bad * other
    yes = random.uniform(size=(300, 4)) < chance[:, None]
    ballots = pd.DataFrame(
        {
            "timestamp": at(*np.repeat(start + 5, 4)),
            "block_hash": np.repeat([f"b{n}" for n in range(300)], 4),
            "validator_id": ["v", "w", "x", "y"] * 300,
            "validator_personality": ["memetic", "memetic", "lawful", "lawful"] * 300,
            "decision": np.where(yes.ravel(), "approve", "reject"),
        }
    )
    memes = pd.DataFrame({"timestamp": at(*(start + np.where(fresh, 4, 6)))})
    blocks = pd.DataFrame(
        {
            "timestamp": at(*start),
            "block_hash": [f"b{n}" for n in range(300)],
            "producer_id": np.where(other, "bad", "good"),
        }
    )
    return ballots, memes, blocks


def test_the_difference_is_that_of_the_shares() -> None:
    """By hand, for one run; memes after a vote, or too long before it, do not count."""
    ballots, memes, blocks = votes(1, 0.2)
    found = same_everywhere(analysis.meme_effect, ballots, memes, fresh_s=1.5)
    time = memes["timestamp"].repeat(4).reset_index(drop=True)
    fresh = time < ballots["timestamp"]
    for row in found.itertuples():
        mine = ballots["validator_personality"] == row.personality
        yes = ballots["decision"] == "approve"
        assert row.fresh == (mine & fresh).sum()
        assert row.difference == pytest.approx(yes[mine & fresh].mean() - yes[mine & ~fresh].mean())
        assert row.low < row.difference < row.high
    assert len(same_everywhere(analysis.meme_effect, ballots, memes, blocks, fresh_s=1.5).columns) == 11
    assert (analysis.meme_effect(ballots, memes, fresh_s=0.5)["fresh"] == 0).all()
    with pytest.raises(ValueError, match="more than 0 seconds"):
        analysis.meme_effect(ballots, memes, fresh_s=0)


def test_a_producer_that_is_bad_for_both_is_not_the_memes_doing() -> None:
    """Over 40 runs the adjusted intervals cover no effect at their rate, and the plain ones do not."""
    plain = adjusted = 0
    for seed in range(40):
        ballots, memes, blocks = votes(seed, 0.0, bad=0.35)
        found = analysis.meme_effect(ballots, memes, blocks, fresh_s=1.5)
        plain += int(((found["low"] <= 0) & (found["high"] >= 0)).sum())
        adjusted += int(((found["adjusted_low"] <= 0) & (found["adjusted_high"] >= 0)).sum())
    assert plain < 40
    assert adjusted >= 72


@pytest.mark.parametrize("stale", [1, 3, 12])
def test_few_votes_without_a_meme_show_no_effect_of_memes(stale: int) -> None:
    """Though all of them approve: of one producer the adjusted interval is the plain one.

    One of standard errors alone would leave 0 out from a single vote on.
    """
    fresh = 60
    time = pd.to_datetime([1.0] * fresh + [50.0] * stale, unit="s", utc=True)
    of = {"timestamp": time, "block_hash": [f"b{place}" for place in range(fresh + stale)]}
    said = ["reject", *["approve"] * 5] * (fresh // 6) + ["approve"] * stale
    ballots = pd.DataFrame({**of, "validator_id": "v", "validator_personality": "greedy", "decision": said})
    memes = pd.DataFrame({"timestamp": time[:1], "meme_id": "m"})
    blocks = pd.DataFrame({**of, "producer_id": "p"})
    found = analysis.meme_effect(ballots, memes, blocks, fresh_s=5).iloc[0]
    assert found["adjusted_low"] < 0 < found["adjusted_high"]
    for part, other in (("adjusted", "difference"), ("adjusted_low", "low"), ("adjusted_high", "high")):
        assert found[part] == pytest.approx(found[other])


def test_intervals_of_a_real_effect_cover_it() -> None:
    """Of 0.2, over 40 runs, with and without the producer held constant."""
    covered = np.zeros(2)
    for seed in range(40):
        found = analysis.meme_effect(*votes(seed, 0.2), fresh_s=1.5)
        for place, (low, high) in enumerate((("low", "high"), ("adjusted_low", "adjusted_high"))):
            covered[place] += ((found[low] <= 0.2) & (found[high] >= 0.2)).sum()
    assert (covered >= 72).all(), covered


def test_the_tables_of_a_devnet_give_the_same_on_every_engine() -> None:
    """Memetic agents' memes lead, since they post most; references add up."""
    _, tables = devnet(seconds=200)
    said, posts = tables["consensus_discussion"], tables["meme_posted"]
    found = same_everywhere(analysis.meme_references, said, posts)
    assert found["references"].sum() == said["meme_references"].list.len().sum()
    assert same_everywhere(analysis.meme_spread, said, every_s=30)["total"].max() == found["references"].max()
    assert (
        same_everywhere(analysis.meme_influence, said, posts, by="personality")["personality"][0] == "memetic"
    )
    same_everywhere(analysis.meme_tags, said, posts)
    ballots, blocks = tables["block_validation"], tables["block_proposal"]
    assert len(same_everywhere(analysis.meme_effect, ballots, posts, blocks, fresh_s=0.35)) == 9


def test_empty_tables_and_wrong_ones() -> None:
    """Empty ones give the columns; wrong ones an error that names the table."""
    for one in (analysis.meme_references, analysis.meme_tags, analysis.meme_influence):
        holds_to_the_rules(one, "consensus_discussion", "meme_posted")
    holds_to_the_rules(analysis.meme_spread, "consensus_discussion")
    holds_to_the_rules(analysis.meme_effect, "block_validation", "meme_posted", fresh_s=1.0)
    holds_to_the_rules(analysis.meme_effect, "block_validation", "meme_posted", "block_proposal", fresh_s=1.0)


def test_of_two_postings_at_the_same_instant_the_one_with_the_lower_number_counts() -> None:
    """For whose meme it is; and of two proposals of a block, for who made it, and how high it stands."""
    again = MEMES[:1].assign(creator_id="z", creator_personality="lawful")
    memes = pd.concat([MEMES, again], ignore_index=True).assign(seq=[3, 1, 2, 0])
    found = same_everywhere(analysis.meme_references, SAID, memes).set_index("meme_id")
    assert found["creator_id"]["m"] == "z"
    ranked = same_everywhere(analysis.meme_influence, SAID, memes).set_index("agent")
    assert ranked["memes"].to_dict() == {"z": 1, "b": 1, "a": 1}
    of = {"timestamp": at(0, 0, 0), "block_hash": ["h", "h", "i"], "height": [7, 8, 9], "seq": [2, 1, 3]}
    blocks = pd.DataFrame({**of, "producer_id": ["p", "q", "q"]})
    assert same_everywhere(analysis.block_intervals, blocks)["height"].tolist() == [8, 9]
    cast = {"timestamp": at(1, 21, 22, 100), "block_hash": ["h", "i", "i", "h"], "validator_id": list("vwxy")}
    votes = pd.DataFrame(cast).assign(
        validator_personality="lawful", decision=["approve", "reject", "approve", "reject"]
    )
    effect = same_everywhere(analysis.meme_effect, votes, memes, blocks, fresh_s=5.0)
    same = analysis.meme_effect(votes, memes, blocks.assign(producer_id="q"), fresh_s=5.0)
    assert effect["adjusted"].tolist() == same["adjusted"].tolist()
    parted = analysis.meme_effect(votes, memes, blocks.assign(producer_id=["p", "p", "q"]), fresh_s=5.0)
    assert effect["adjusted"].tolist() != parted["adjusted"].tolist()
