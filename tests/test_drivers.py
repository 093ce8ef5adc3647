"""What drives votes, and how blocs vote: on every engine. `test_truth` holds the estimates to the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chaosnb import analysis
from chaosnb.devnet.agents import Parameters
from tests.engines import devnet, holds_to_the_rules, same_everywhere

NAMES = ("block_validation", "consensus_discussion", "meme_posted", "alliance_update")


def test_drivers_are_the_same_on_every_engine() -> None:
    """All at once, and with the sample that many votes would need."""
    _, tables = devnet(seconds=200)
    frames = [tables[name] for name in NAMES]
    whole = same_everywhere(analysis.vote_drivers, *frames, fresh_s=0.35)
    assert whole["driver"].tolist() == ["sentiment", *["fresh meme"] * 9, "leader"]
    known = whole.dropna(subset="estimate")
    assert len(known) >= 10
    assert (known["low"] < known["estimate"]).all()
    odds = whole[["odds_ratio", "odds_low", "odds_high"]]
    np.testing.assert_allclose(odds[:10], np.exp(whole[["estimate", "low", "high"]][:10]))
    assert odds.iloc[10].isna().all()
    assert whole["unit"].tolist() == ["log-odds"] * 10 + ["share"]
    few = same_everywhere(analysis.vote_drivers, *frames, fresh_s=0.35, most_votes=1000)
    assert few["votes"][0] < 1000 < whole["votes"][0]
    assert few["estimate"].notna()[0]


def test_what_is_not_given_is_left_out() -> None:
    """The rows say what was in the model; too few blocks give no estimate."""
    _, tables = devnet(seconds=100)
    votes, said, posts, allies = (tables[name] for name in NAMES)
    assert analysis.vote_drivers(votes).empty
    assert analysis.vote_drivers(votes, said)["driver"].tolist() == ["sentiment"]
    assert {*analysis.vote_drivers(votes, memes=posts, fresh_s=0.3)["driver"]} == {"fresh meme"}
    assert analysis.vote_drivers(votes, alliances=allies)["estimate"][0] == pytest.approx(0.6, abs=0.25)
    short = analysis.vote_drivers(votes.head(100), said, posts, allies, fresh_s=0.3)
    assert short["estimate"].isna().all()
    with pytest.raises(ValueError, match="for how many seconds one is fresh"):
        analysis.vote_drivers(votes, memes=posts)
    with pytest.raises(ValueError, match="at least 100"):
        analysis.vote_drivers(votes, most_votes=1)


def test_sentiment_counts_as_it_stood_before_the_vote() -> None:
    """What is said after all votes changes nothing."""
    _, tables = devnet(seconds=150)
    votes, said = tables["block_validation"], tables["consensus_discussion"]
    late = said.assign(
        timestamp=said["timestamp"] + pd.Timedelta(1, "h"), sentiment="negative", agent_id="late"
    )
    plain = analysis.vote_drivers(votes, said)
    both = analysis.vote_drivers(votes, pd.concat([said, late], ignore_index=True))
    assert both["votes"][0] == plain["votes"][0]
    assert both["estimate"][0] == pytest.approx(plain["estimate"][0], abs=0.15)


def test_blocs_vote_as_one_and_outsiders_do_not() -> None:
    """The lift is found where members copy, and not where they do not; overall and for each."""
    _, tables = devnet(3, seconds=700)
    found = same_everywhere(analysis.alliance_cohesion, tables["block_validation"], tables["alliance_update"])
    np.testing.assert_allclose(found["lift"], found["agreement"] - found["others"], atol=1e-12)
    assert found["lift"].is_monotonic_decreasing
    whole = analysis.alliance_cohesion(
        tables["block_validation"], tables["alliance_update"], overall=True
    ).iloc[0]
    assert whole["low"] > 0.05
    assert whole["cohesion"] > 0.6
    assert whole["alliance_id"] == ""
    _, tables = devnet(3, seconds=700, parameters=Parameters(alliance_loyalty=0.0))
    null = analysis.alliance_cohesion(
        tables["block_validation"], tables["alliance_update"], overall=True
    ).iloc[0]
    assert null["low"] < 0.02 < whole["low"]


def test_empty_tables_and_wrong_ones() -> None:
    """Empty ones give the columns; wrong ones an error that names the table."""
    holds_to_the_rules(analysis.vote_drivers, *NAMES, fresh_s=1.0)
    holds_to_the_rules(analysis.alliance_cohesion, "block_validation", "alliance_update")
