"""Rows in which a label is missing, such as after a join: they count for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chaosnb import analysis
from tests.engines import devnet, same_everywhere

VOTES, SAID, MEMES, ALLIES = ("block_validation", "consensus_discussion", "meme_posted", "alliance_update")
OF_VOTES: dict[str, tuple[Callable[..., Any], tuple[str, ...], dict[str, Any]]] = {
    "alliance_cohesion": (analysis.alliance_cohesion, (VOTES, ALLIES), {}),
    "consensus_time": (analysis.consensus_time, (VOTES, "block_proposal"), {"validators": 24}),
    "participation_by_status": (analysis.participation_by_status, (VOTES, "agent_status"), {}),
    "vote_agreement": (analysis.vote_agreement, (VOTES,), {"minimum_overlap": 3}),
    "vote_drivers": (analysis.vote_drivers, (VOTES, SAID, MEMES, ALLIES), {"fresh_s": 0.35}),
}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """The tables of a simulated network."""
    return devnet(seconds=45)[1]


@pytest.mark.parametrize("name", OF_VOTES)
def test_a_vote_on_no_block_counts_for_none(name: str, tables: dict[str, pd.DataFrame]) -> None:
    """Not for whichever came last: the result is that without it, on every engine."""
    run, names, options = OF_VOTES[name]
    votes, others = tables[VOTES], [tables[one] for one in names[1:]]
    gone = np.arange(len(votes)) % 9 == 4
    some = votes.assign(block_hash=votes["block_hash"].where(~gone))
    found = same_everywhere(run, some, *others, **options)
    pd.testing.assert_frame_equal(found, run(votes[~gone].reset_index(drop=True), *others, **options))


@pytest.mark.parametrize("name", [name for name in OF_VOTES if name != "consensus_time"])
def test_a_vote_of_no_validator_counts_for_none(name: str, tables: dict[str, pd.DataFrame]) -> None:
    """As one on no block."""
    run, names, options = OF_VOTES[name]
    votes, others = tables[VOTES], [tables[one] for one in names[1:]]
    gone = np.arange(len(votes)) % 9 == 4
    some = votes.assign(validator_id=votes["validator_id"].where(~gone))
    found = same_everywhere(run, some, *others, **options)
    pd.testing.assert_frame_equal(found, run(votes[~gone].reset_index(drop=True), *others, **options))


def test_the_effect_of_memes_holds_no_producer_constant_for_votes_on_no_block(
    tables: dict[str, pd.DataFrame],
) -> None:
    """They count in the plain difference alone."""
    votes, others = tables[VOTES], (tables[MEMES], tables["block_proposal"])
    gone = np.arange(len(votes)) % 9 == 4
    some = votes.assign(block_hash=votes["block_hash"].where(~gone))
    found = same_everywhere(analysis.meme_effect, some, *others, fresh_s=0.35)
    without = analysis.meme_effect(votes[~gone], *others, fresh_s=0.35)
    pd.testing.assert_series_equal(found["adjusted"], without["adjusted"])


def test_an_alliance_without_a_duration_never_ends(tables: dict[str, pd.DataFrame]) -> None:
    """Rather than after that of another one."""
    updates = tables[ALLIES].assign(duration=None)
    found = same_everywhere(analysis.alliance_spells, updates, until="2100-01-01")
    assert {*found["ended"]} <= {"left", "open"}
    named = tables[ALLIES].assign(alliance_id=pd.Series([None] * len(updates), dtype="str"))
    assert {*same_everywhere(analysis.alliance_spells, named)["alliance_id"]} == {""}


def test_scores_of_nobody_are_not_those_of_another_agent() -> None:
    """Nor is a change without a reason one for another's reason."""
    of = {"timestamp": pd.to_datetime([0, 1, 2], unit="s", utc=True), "agent_id": ["a", "b", None]}
    updates = pd.DataFrame({**of, "old_score": 0.5, "new_score": [0.2, 0.6, 0.9], "reason": ["x", "y", None]})
    assert same_everywhere(analysis.reputation_inequality, updates)["agents"].tolist() == [3]
    told = same_everywhere(analysis.reputation_movers, updates).set_index("agent_id")["reason"]
    assert told.to_dict() == {"a": "x", "b": "y", "": ""}


def test_statuses_of_nobody_follow_each_other() -> None:
    """As those of any agent do."""
    of = {
        "timestamp": pd.to_datetime([0, 60, 80], unit="s", utc=True),
        "agent_id": pd.Series([None] * 3, dtype="str"),
    }
    statuses = pd.DataFrame({**of, "status": ["active", "maintenance", None]})
    found = same_everywhere(analysis.agent_uptime, statuses, until="1970-01-01T00:01:40Z")
    assert found[["active_s", "maintenance_s", "other_s"]].to_numpy().tolist() == [[60.0, 20.0, 20.0]]


def test_a_report_without_a_number_does_not_count_as_none(tables: dict[str, pd.DataFrame]) -> None:
    """The mean is that of the others."""
    metrics, blocks = tables["network_metrics"], tables["block_proposal"]
    gone = np.arange(len(metrics)) % 3 == 1
    found = same_everywhere(
        analysis.throughput, metrics.assign(tps=metrics["tps"].where(~gone)), blocks, every_s=10
    )
    without = analysis.throughput(metrics[~gone], blocks, every_s=10)
    pd.testing.assert_series_equal(found["reported"], without["reported"])


@pytest.mark.parametrize("every_s", [0.0, -1.0, float("nan"), float("inf"), 1e-9])
def test_a_width_that_is_none_is_the_same_error_everywhere(
    every_s: float, tables: dict[str, pd.DataFrame]
) -> None:
    """And no overflow."""
    for run, table in (
        (analysis.sentiment_index, SAID),
        (analysis.meme_spread, SAID),
        (analysis.alliance_churn, ALLIES),
        (analysis.reputation_trajectories, "reputation_update"),
        (analysis.reputation_inequality, "reputation_update"),
    ):
        options: dict[str, Any] = {"by": "time"} if run is analysis.sentiment_index else {}
        with pytest.raises(ValueError, match="more than 0 seconds"):
            run(tables[table], every_s=every_s, **options)  # type: ignore[operator]


def test_buckets_begin_at_multiples_of_a_width_that_is_no_binary_number(
    tables: dict[str, pd.DataFrame],
) -> None:
    """4.1 s are 4,100,000 µs, and not one less; so buckets of all analyses are the same."""
    said, scores = tables[SAID], tables["reputation_update"]
    for found in (
        analysis.sentiment_index(said, "time", every_s=4.1),
        analysis.meme_spread(said, every_s=4.1),
        analysis.reputation_trajectories(scores, every_s=4.1),
        analysis.reputation_inequality(scores, every_s=4.1),
        analysis.alliance_churn(tables[ALLIES], every_s=4.1),
    ):
        assert len(found)
        assert (found["time"].dt.as_unit("us").astype("int64") % 4_100_000 == 0).all()
