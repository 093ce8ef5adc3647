"""What a caller chooses by name: one name or several, and an error that lists them for all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chaosnb import analysis
from tests.engines import empty

VOTES, SAID, MEMES = (empty(name) for name in ("block_validation", "consensus_discussion", "meme_posted"))
GROUPED: dict[str, Callable[[Any], Any]] = {
    "approval_rate": lambda by: analysis.approval_rate(VOTES, by),
    "vote_distribution": lambda by: analysis.vote_distribution(VOTES, by),
    "sentiment_index": lambda by: analysis.sentiment_index(SAID, by),
    "cusum": lambda by: analysis.cusum(VOTES, by),
    "drift": lambda by: analysis.drift(VOTES, by),
    "meme_influence": lambda by: analysis.meme_influence(SAID, MEMES, by),
}


@pytest.mark.parametrize("by", ["mood", 3, ["personality", "mood"], [["personality"]], {"mood"}, [None]])
@pytest.mark.parametrize("name", GROUPED)
def test_a_grouping_that_is_none_is_an_error_that_lists_them(name: str, by: Any) -> None:
    """Whatever it is made of."""
    with pytest.raises(ValueError, match=r"by=.* is not possible: choose .*'personality'"):
        GROUPED[name](by)


@pytest.mark.parametrize("name", ["approval_rate", "vote_distribution"])
def test_votes_may_be_grouped_by_nothing(name: str) -> None:
    """Such as with an empty tuple, but not with None, which may be a mistake."""
    assert "personality" not in GROUPED[name](())
    with pytest.raises(ValueError, match=r"or \(\) for none"):
        GROUPED[name](None)
