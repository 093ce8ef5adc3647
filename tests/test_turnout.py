"""Participation and the distribution of votes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from chaosnb.analysis import approval_rate, participation, vote_distribution
from tests.engines import ENGINES, as_pandas, devnet, holds_to_the_rules, on_engine, same_everywhere

VOTES = pd.DataFrame(
    {
        "timestamp": pd.date_range("2026-01-01", periods=6, freq="s", tz="UTC"),
        "block_hash": list("gghgii"),
        "validator_id": ["a1", "a2", "a1", "a1", "b1", "a1"],
        "validator_personality": list("aaaaba"),
        "decision": ["approve", "reject", "approve", "reject", "approve", "maybe"],
    }
)


def shares(**options: Any) -> dict[str, tuple[int, int]]:
    found = same_everywhere(participation, VOTES, **options)
    name = found.columns[0]
    return {row[name]: (row["voted"], row["possible"]) for row in found.to_dict("records")}


def test_participation_is_of_all_votes_that_could_be_cast() -> None:
    """One of each validator on each block; a second vote is none."""
    assert shares() == {"a2": (1, 3), "b1": (1, 3), "a1": (3, 3)}
    assert shares(by="personality") == {"b": (1, 3), "a": (4, 6)}
    assert shares(by="block") == {"h": (1, 3), "g": (2, 3), "i": (2, 3)}


def test_blocks_that_nobody_voted_on_count_if_they_are_known() -> None:
    """So does who voted on none of them; votes on blocks that are not among them do not."""
    blocks = pd.DataFrame({"block_hash": list("ghxyy")})
    found = same_everywhere(participation, VOTES, blocks=None)
    assert found["possible"].unique().tolist() == [3]
    for by, wanted in {
        "validator": [["b1", 0, 4], ["a2", 1, 4], ["a1", 2, 4]],
        "personality": [["b", 0, 4], ["a", 3, 8]],
        "block": [["x", 0, 3], ["y", 0, 3], ["h", 1, 3], ["g", 2, 3]],
    }.items():
        for engine in ENGINES:
            given = (on_engine(engine, frame) for frame in (VOTES, blocks))
            known = as_pandas(participation(next(given), by, blocks=next(given)))  # type: ignore[arg-type]
            assert known[[by, "voted", "possible"]].to_numpy().tolist() == wanted


def test_participation_of_a_network_is_its_parameter() -> None:
    """Of those who were not away meanwhile, over ten seeds; the intervals hold it at their rate."""
    held: list[bool] = []
    for seed in range(10):
        model, tables = devnet(seed, seconds=60)
        truth = model.truth.parameters.participation
        # On the newest blocks voting goes on.
        blocks = tables["block_proposal"].iloc[:-2]
        found = participation(tables["block_validation"], blocks=blocks)
        present = found[~found["validator"].isin({*tables["agent_status"]["agent_id"]})]
        held += ((present["low"] <= truth) & (truth <= present["high"])).tolist()
        assert found["participation"].is_monotonic_increasing
    assert len(held) > 100
    assert np.mean(held) >= 0.9


def test_shares_of_decisions_add_up_within_each_group() -> None:
    """Any decision counts, whatever it says; rates are those of `approval_rate`."""
    found = same_everywhere(vote_distribution, VOTES, by=["personality"])
    assert found[["personality", "decision", "votes"]].to_numpy().tolist() == [
        ["a", "approve", 2],
        ["a", "maybe", 1],
        ["a", "reject", 1],
        ["b", "approve", 1],
    ]
    np.testing.assert_allclose(found.groupby("personality")["share"].sum(), 1)
    _, tables = devnet(seconds=30)
    votes = tables["block_validation"]
    for by in ("validator", "time", ("block", "personality")):
        split = same_everywhere(vote_distribution, votes, by=by, every_s=5)
        names = [by] if isinstance(by, str) else [*by]
        yes = split[split["decision"] == "approve"].set_index(names)
        rate = approval_rate(votes, by, every_s=5).set_index(names)
        rate = rate[rate["approve"] > 0]
        np.testing.assert_allclose(yes["share"], rate["approval_rate"].loc[yes.index])
        np.testing.assert_allclose(yes["low"], rate["low"].loc[yes.index])
    assert same_everywhere(vote_distribution, votes)["votes"].sum() == len(votes)


def test_an_analysis_of_turnout_holds_to_the_rules() -> None:
    """Empty tables, missing columns, what is no frame, and options that are not possible."""
    for by in ("validator", "personality", "block"):
        holds_to_the_rules(participation, "block_validation", by=by)
    holds_to_the_rules(
        lambda votes, blocks: participation(votes, blocks=blocks), "block_validation", "block_proposal"
    )
    holds_to_the_rules(vote_distribution, "block_validation", by="personality")
    for function in (participation, vote_distribution):
        with pytest.raises(ValueError, match="by='moon' is not possible: choose from"):
            function(VOTES, by="moon")
    with pytest.raises(TypeError, match=r"not DataFrame: give blocks by theirs, as blocks=\.\.\."):
        participation(VOTES, pd.DataFrame({"block_hash": ["g"]}))
