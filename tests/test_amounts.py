"""Numbers that a caller gives to an analysis: what is none is answered as one that is not possible."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from chaosnb import analysis
from tests.engines import devnet

AMOUNTS = (
    *("every_s", "confidence", "fresh_s", "validators", "quorum", "top", "reasons", "minimum_overlap"),
    "most_votes",
)
TABLES = {
    "votes": "block_validation",
    "blocks": "block_proposal",
    "messages": "consensus_discussion",
    "memes": "meme_posted",
    "alliances": "alliance_update",
    "statuses": "agent_status",
    "metrics": "network_metrics",
    "updates": "reputation_update",
}
NUMBERS = {"fresh_s": 30.0, "successes": 1, "trials": 2}
FUNCTIONS = {name: inspect.signature(getattr(analysis, name)).parameters for name in analysis.__all__}


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    return devnet(seconds=20)[1]


@pytest.mark.parametrize("wrong", ["1min", [60], float("nan")])
@pytest.mark.parametrize(
    ("name", "amount"),
    [(name, amount) for name, known in FUNCTIONS.items() for amount in AMOUNTS if amount in known],
)
def test_what_is_no_number_is_said_to_be_not_possible(
    tables: dict[str, Any], name: str, amount: str, wrong: object
) -> None:
    """A ValueError that names it and says what to choose, whatever was typed."""
    alliances = name.startswith("alliance")
    given = {
        argument: tables["alliance_update" if alliances and argument == "updates" else TABLES[argument]]
        for argument in FUNCTIONS[name]
        if argument in TABLES
    }
    given |= {argument: value for argument, value in NUMBERS.items() if argument in FUNCTIONS[name]}
    with pytest.raises(ValueError, match=rf"{amount}={re.escape(repr(wrong))}.* not possible"):
        getattr(analysis, name)(**given | {amount: wrong})
