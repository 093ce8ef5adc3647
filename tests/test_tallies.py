"""Votes tallied while they come: the same as the analysis of the whole tables."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.analysis import approval_rate, block_outcomes, consensus_time
from chaosnb.protocol import events as ev
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.tables.capture import Capture
from chaosnb.tables.tallies import TALLIES, Tallies
from tests.engines import as_pandas
from tests.event_strategies import START_US, batch_of, new_session

when = st.integers(0, 20).map(lambda second: format_timestamp(START_US + second * 1_000_000))
agents = st.sampled_from([ev.Agent(name, name[0]) for name in ("a1", "a2", "b1", "b2", "c1")])
decisions = st.sampled_from(["approve", "approve", "reject", "maybe"])
hashes = st.sampled_from("ghi")
votes = st.builds(ev.BlockValidation, hashes, agents, decisions, st.just("why"), when)
producer, meme = ev.Producer("p", "00"), ev.MemeContent("text", "gm")
blocks = st.builds(
    ev.BlockProposal,
    hashes,
    st.just(""),
    st.integers(1, 3),
    st.just(producer),
    st.just(()),
    st.just(meme),
    when,
)


def batch_values(capture: Capture) -> dict[str, pd.DataFrame]:
    """What the analysis makes of the tables."""
    cast, made = (capture.tables[name].snapshot() for name in ("block_validation", "block_proposal"))
    return {
        "approval": approval_rate(cast).drop(columns=["low", "high"]),
        "outcomes": block_outcomes(cast),
        "consensus": consensus_time(cast, made),
    }


def tallied(capture: Capture, name: str) -> pd.DataFrame:
    return capture.tallies.value(name, lambda table: capture.tables[table].snapshot())


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(votes | blocks, max_size=12), max_size=5), st.integers(0, 4))
def test_what_is_tallied_is_what_the_analysis_finds(parts: list[list[Any]], asked_after: int) -> None:
    """In any order and with repeated votes, asked for at any time and again after each batch."""
    capture, session = Capture(), new_session()
    for number, part in enumerate(parts):
        capture.accept(batch_of(part, session, START_US + number))
        if number >= asked_after:
            tallied(capture, TALLIES[number % 3])
    for name, wanted in batch_values(capture).items():
        pd.testing.assert_frame_equal(as_pandas(tallied(capture, name)), as_pandas(wanted), check_dtype=False)


def test_a_stream_tallies_what_its_tables_hold() -> None:
    """While it goes on, and after; simulated data is called so."""
    with chaosnb.Devnet(seed=3, speed=None, duration=40.0) as node:
        s = chaosnb.stream(["blocks", "network"], url=node.url)
        s.wait(until=lambda s: len(s.block_validation) > 50, timeout=30)
        assert s.tally("approval")["approve"].sum() > 0
        s.wait(until=lambda s: len(s.network_metrics) == 41, timeout=30)
        s.close()
    wanted = block_outcomes(s.block_validation)
    pd.testing.assert_frame_equal(as_pandas(s.tally("outcomes")), as_pandas(wanted))
    assert "(simulated)" in s.tally("outcomes").attrs["source"]
    with pytest.raises(ValueError, match="'approval', 'outcomes', 'consensus'"):
        s.tally("moon")


def test_nothing_is_kept_before_somebody_asks() -> None:
    """So that who asks for nothing pays nothing."""
    tallies = Tallies()
    vote = ev.BlockValidation("g", ev.Agent("a1", "a"), "approve", "", format_timestamp(START_US))
    tallies.update(batch_of([vote]))
    nothing = pd.DataFrame()
    assert tallies.value("approval", lambda table: nothing).empty
    tallies.update(batch_of([vote]))
    assert tallies.value("approval", lambda table: nothing)["approve"].tolist() == [1]
