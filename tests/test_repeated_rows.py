"""Rows that stand twice, as in tables put together from two captures: which results they change.

This is what the docstring of `chaosnb.analysis` says of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from chaosnb import analysis
from tests.engines import devnet

VOTES, BLOCKS, SAID, ALLIES = (
    "block_validation",
    "block_proposal",
    "consensus_discussion",
    "alliance_update",
)
STATES, METRICS, MEMES, SCORES = ("agent_status", "network_metrics", "meme_posted", "reputation_update")
# Each with the table that is doubled, the others that it takes, and the columns that change; None if all can.
RUNS: dict[str, tuple[tuple[str, ...], dict[str, Any], dict[str, set[str] | None]]] = {
    "absences": ((STATES,), {}, {STATES: None}),
    "agent_uptime": ((STATES,), {}, {STATES: {"absences"}}),
    "alliance_churn": ((ALLIES,), {"every_s": 10}, {}),
    "alliance_cohesion": ((VOTES, ALLIES), {}, {}),
    "alliance_edges": ((ALLIES,), {}, {}),
    "alliance_spells": ((ALLIES,), {}, {}),
    "approval_rate": ((VOTES,), {}, {}),
    "block_intervals": ((BLOCKS,), {}, {}),
    "block_outcomes": ((VOTES,), {}, {}),
    "consensus_time": ((VOTES, BLOCKS), {}, {}),
    "cusum": ((VOTES,), {}, {}),
    "discussion_volume": (
        (SAID, BLOCKS),
        {},
        {SAID: {"messages", "positive", "neutral", "negative"}},
    ),
    "double_votes": ((VOTES,), {}, {VOTES: None}),
    "drift": ((VOTES,), {}, {}),
    "finality_curve": ((VOTES, BLOCKS), {}, {}),
    "forks": ((BLOCKS,), {}, {}),
    "height_progress": ((BLOCKS, METRICS), {"every_s": 10}, {}),
    "main_chain": ((BLOCKS,), {}, {}),
    "meme_effect": ((VOTES, MEMES, BLOCKS), {"fresh_s": 0.35}, {}),
    "meme_influence": (
        (SAID, MEMES),
        {},
        {SAID: {"references", "references_per_meme", "low", "high", "h_index"}},
    ),
    "meme_references": ((SAID, MEMES), {}, {SAID: {"references"}}),
    "meme_spread": ((SAID,), {"top": None}, {SAID: {"references", "total"}}),
    "meme_tags": ((SAID, MEMES), {}, {SAID: {"references", "references_per_meme", "low", "high"}}),
    "orphans": ((BLOCKS,), {}, {}),
    "participation": ((VOTES,), {}, {}),
    "participation_by_status": ((VOTES, STATES), {}, {}),
    "reputation_breaks": ((SCORES,), {}, {SCORES: None}),
    "reputation_inequality": ((SCORES,), {"every_s": 10}, {}),
    "reputation_movers": ((SCORES,), {"top": 100, "reasons": 100}, {SCORES: {"updates", "moved"}}),
    "reputation_reversion": ((SCORES,), {}, {SCORES: None}),
    "reputation_summary": ((SCORES,), {}, {SCORES: {"updates", "volatility"}}),
    "reputation_trajectories": ((SCORES,), {"every_s": 10}, {SCORES: {"updates"}}),
    "sentiment_index": (
        (SAID,),
        {},
        {SAID: {"positive", "neutral", "negative", "low", "high"}},
    ),
    "stale_blocks": ((BLOCKS,), {}, {}),
    "throughput": ((METRICS, BLOCKS), {"every_s": 10}, {BLOCKS: {"observed", "difference"}}),
    "valid_votes": ((VOTES,), {}, {}),
    "vote_agreement": ((VOTES,), {"minimum_overlap": 3}, {}),
    "vote_distribution": ((VOTES,), {}, {}),
}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """The tables of a simulated network."""
    return devnet(seconds=70)[1]


@pytest.mark.parametrize("name", RUNS)
def test_a_row_that_stands_twice_changes_what_is_said_and_no_more(
    name: str, tables: dict[str, pd.DataFrame]
) -> None:
    """Every row of one table after the other; what is a count by rows does change."""
    run: Callable[..., pd.DataFrame] = getattr(analysis, name)
    names, options, changes = RUNS[name]
    once = run(*(tables[one] for one in names), **options)
    assert len(once) > 0 or name in ("double_votes", "reputation_breaks", "orphans")
    for doubled in names:
        rows = pd.concat([tables[doubled]] * 2).sort_values(["timestamp", "seq"], kind="stable")
        rows = rows.reset_index(drop=True)
        twice = run(*(rows if one == doubled else tables[one] for one in names), **options)
        changed = changes.get(doubled, set())
        if changed is None:
            assert not twice.equals(once)
            continue
        keys = [column for column in once.columns if column not in changed]
        order = [column for column in keys if once[column].dtype == "str" or column == "time"]
        if changed:
            # What is counted is also what some results are in order of.
            once_, twice_ = (
                frame.sort_values(order, kind="stable").reset_index(drop=True) for frame in (once, twice)
            )
            assert not twice_[[*changed]].equals(once_[[*changed]])
        else:
            once_, twice_ = once, twice
        pd.testing.assert_frame_equal(twice_[keys], once_[keys])


def test_of_an_absence_that_is_told_twice_the_first_ends_at_once(tables: dict[str, pd.DataFrame]) -> None:
    """So that the time away stays what it is."""
    states = tables[STATES]
    rows = pd.concat([states] * 2).sort_values(["timestamp", "seq"], kind="stable")
    once, twice = analysis.absences(states), analysis.absences(rows)
    assert twice["lasted_s"][::2].eq(0).all()
    assert twice["lasted_s"][1::2].tolist() == once["lasted_s"].tolist()
