"""Analyses of several tables, when one of them is empty: such as that of a topic that is not subscribed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from chaosnb import analysis
from tests.engines import devnet, empty, same_everywhere

VOTES, SAID, MEMES, ALLIES = ("block_validation", "consensus_discussion", "meme_posted", "alliance_update")
TABLES_OF: dict[str, tuple[Callable[..., Any], tuple[str, ...], dict[str, Any]]] = {
    "alliance_cohesion": (analysis.alliance_cohesion, (VOTES, ALLIES), {}),
    "discussion_volume": (analysis.discussion_volume, (SAID, "block_proposal"), {}),
    "meme_effect": (analysis.meme_effect, (VOTES, MEMES, "block_proposal"), {"fresh_s": 0.35}),
    "meme_influence": (analysis.meme_influence, (SAID, MEMES), {}),
    "meme_references": (analysis.meme_references, (SAID, MEMES), {}),
    "meme_tags": (analysis.meme_tags, (SAID, MEMES), {}),
    "participation_by_status": (analysis.participation_by_status, (VOTES, "agent_status"), {}),
    "sentiment_lead": (analysis.sentiment_lead, (VOTES, SAID), {}),
    "vote_drivers": (analysis.vote_drivers, (VOTES, SAID, MEMES, ALLIES), {"fresh_s": 0.35}),
}
CASES = [(name, gone) for name, (_, tables, _) in TABLES_OF.items() for gone in tables]


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """The tables of a simulated network."""
    _, found = devnet(seconds=60)
    return found


@pytest.mark.parametrize(("name", "gone"), CASES)
def test_one_empty_table_is_no_error(name: str, gone: str, tables: dict[str, pd.DataFrame]) -> None:
    """The columns are those of a whole result, with the same dtypes, on every engine."""
    run, names, options = TABLES_OF[name]
    whole = run(*(tables[one] for one in names), **options)
    part = same_everywhere(run, *(empty(one) if one == gone else tables[one] for one in names), **options)
    assert part.dtypes.to_dict() == whole.dtypes.to_dict()
