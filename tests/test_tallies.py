"""Votes, scores and words tallied while they come: the same as the analysis of the whole tables."""

from __future__ import annotations

import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.analysis import (
    approval_rate,
    block_outcomes,
    consensus_time,
    reputation_movers,
    sentiment_index,
)
from chaosnb.protocol import events as ev
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.schema import TABLES as TABLES_OF
from chaosnb.tables.aggregates import Aggregates
from chaosnb.tables.capture import Capture
from chaosnb.tables.selection import Selection
from chaosnb.tables.table import Table
from chaosnb.tables.tallies import TALLIES, Tallies
from tests.engines import as_pandas
from tests.event_strategies import START_US, batch_of, new_session

when = st.integers(0, 20).map(lambda second: format_timestamp(START_US + second * 1_000_000))
agents = st.sampled_from([ev.Agent(name, name[0]) for name in ("a1", "a2", "b1", "b2", "c1")])
decisions = st.sampled_from(["approve", "approve", "reject", "maybe"])
hashes = st.sampled_from("ghi")
votes = st.builds(ev.BlockValidation, hashes, agents, decisions, st.just("why"), when)
producers = st.sampled_from([ev.Producer("a1", "00"), ev.Producer("b1", "00")])
meme = ev.MemeContent("text", "gm")
blocks = st.builds(
    ev.BlockProposal,
    hashes,
    st.just(""),
    st.integers(1, 3),
    producers,
    st.just(()),
    st.just(meme),
    when,
)
# Halves, whose sums are exact in whatever order they are added.
scores = st.integers(0, 8).map(lambda halves: halves / 2)
reasons = st.sampled_from(["posted meme-17", "posted meme-18", "a fine block", ""])
moods = st.sampled_from(["positive", "positive", "neutral", "negative", "bored"])
words = st.builds(ev.ConsensusDiscussion, hashes, agents, st.just("hm"), moods, st.just(()), when)
updates = st.builds(ev.ReputationUpdate, st.sampled_from(["a1", "b1", "c1"]), scores, scores, reasons, when)
anything = votes | blocks | updates | words
STAMP = format_timestamp(START_US)
INTERVAL = ["low", "high"]
TABLES = ("block_validation", "block_proposal", "reputation_update", "consensus_discussion")


def batch_values(capture: Capture) -> dict[str, pd.DataFrame]:
    """What the analysis makes of the tables."""
    cast, made, moved, said = (capture.tables[name].snapshot() for name in TABLES)
    return {
        "approval": approval_rate(cast).drop(columns=INTERVAL),
        "outcomes": block_outcomes(cast),
        "consensus": consensus_time(cast, made),
        "movers": reputation_movers(moved),
        "sentiment_by": sentiment_index(said).drop(columns=INTERVAL),
    }


def tallied(capture: Capture, name: str, selection: Selection | None = None) -> pd.DataFrame:
    known = {"a1": "a", "a2": "a", "b1": "b", "b2": "b", "c1": "c"}
    return capture.tallies.value(
        name, lambda table: capture.tables[table].snapshot(), selection or Selection(), known
    )


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(anything, max_size=12), max_size=5), st.integers(0, 4))
def test_what_is_tallied_is_what_the_analysis_finds(parts: list[list[Any]], asked_after: int) -> None:
    """In any order and with repeated votes, asked for at any time and again after each batch."""
    capture, session = Capture(), new_session()
    for number, part in enumerate(parts):
        capture.accept(batch_of(part, session, START_US + number))
        if number >= asked_after:
            tallied(capture, TALLIES[number % len(TALLIES)])
    for name, wanted in batch_values(capture).items():
        pd.testing.assert_frame_equal(as_pandas(tallied(capture, name)), as_pandas(wanted), check_dtype=False)


@settings(deadline=None, max_examples=12)
@given(
    st.lists(anything, min_size=15, max_size=40),
    st.sampled_from([(), ("a1",), ("b1", "c1")]),
    st.sampled_from([(), ("a",), ("b", "c")]),
)
def test_of_some_agents_it_is_what_the_analysis_finds_of_theirs(
    found: list[Any], agents: tuple[str, ...], kinds: tuple[str, ...]
) -> None:
    """Their votes, scores and words alone, and the blocks that they made, by everybody's votes."""
    capture = Capture()
    capture.accept(batch_of(found))
    selection = Selection(agents, kinds)
    every = batch_values(capture)
    cast, made, moved, said = (capture.tables[name].snapshot() for name in TABLES)

    def among(ids: pd.Series) -> pd.Series:
        chosen = (not agents) | ids.isin(agents)
        return chosen & ((not kinds) | ids.astype("str").str[0].isin(kinds))

    own = made.sort_values(["timestamp", "seq"]).drop_duplicates("block_hash")
    hashes = own.loc[among(own["producer_id"]), "block_hash"]
    # A second vote does not count, whoever is looked at.
    wanted = {
        "approval": approval_rate(cast[among(cast["validator_id"])]).drop(columns=INTERVAL),
        "outcomes": every["outcomes"][every["outcomes"]["block_hash"].isin(hashes)],
        "consensus": every["consensus"][every["consensus"]["block_hash"].isin(hashes)],
        "movers": reputation_movers(moved[among(moved["agent_id"])]),
        "sentiment_by": sentiment_index(said[among(said["agent_id"])]).drop(columns=INTERVAL),
    }
    for name in TALLIES:
        shown = as_pandas(wanted[name] if selection else every[name]).reset_index(drop=True)
        live = as_pandas(tallied(capture, name, selection))
        pd.testing.assert_frame_equal(live, shown, check_dtype=False)


def test_movers_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither agents nor kinds of reasons that a node makes up fill the memory."""
    monkeypatch.setattr("chaosnb.tables.movers._MOST_AGENTS", 3)
    monkeypatch.setattr("chaosnb.tables.movers._MOST_KINDS", 2)
    capture, session = Capture(), new_session()
    stamp = format_timestamp(START_US)
    first = [ev.ReputationUpdate(f"a{n}", 0.0, n, "", stamp) for n in range(9)]
    capture.accept(batch_of(first, session))
    assert tallied(capture, "movers")["agent_id"].tolist() == ["a2", "a1", "a0"]
    later = [ev.ReputationUpdate("a2", 2.0, 3.0, reason, stamp) for reason in ("x", "y", "z")]
    capture.accept(batch_of(later, session))
    told = tallied(capture, "movers").query("agent_id == 'a2'")
    assert dict(zip(told["reason"], told["updates"], strict=True)) == {"": 1, "x": 1, "…": 2}


@pytest.mark.parametrize("asked_first", [True, False])
def test_a_clock_that_is_far_off_moves_no_consensus(asked_first: bool) -> None:
    """Neither a block nor a vote of another year makes what is still open older than the feed."""
    capture, session = Capture(), new_session()
    if asked_first:
        tallied(capture, "consensus")
    stamps = [format_timestamp(START_US + second * 1_000_000) for second in (0, 1, 9, 10**9, 10**9)]
    made = [
        ev.BlockProposal(name, "", 1, ev.Producer("a1", "00"), (), meme, stamp)
        for name, stamp in zip("ghif", stamps, strict=False)
    ]
    capture.accept(
        batch_of([*made, ev.BlockValidation("z", ev.Agent("a1", "a"), "other", "", stamps[4])], session)
    )
    found = tallied(capture, "consensus")
    assert dict(zip(found["block_hash"], found["consensus_time_s"], strict=True)) == {"g": 9, "h": 8, "i": 0}
    wanted = consensus_time(*(capture.tables[name].snapshot() for name in TABLES[:2]))
    assert wanted["block_hash"].tolist() == ["g", "h", "i", "f"]
    pd.testing.assert_frame_equal(as_pandas(found), as_pandas(wanted)[:3], check_dtype=False)


def test_who_asks_while_another_begins_has_all_as_well() -> None:
    """Such as a cell while a dashboard reads what the tables hold."""
    capture, session = Capture(), new_session()
    stamp = format_timestamp(START_US)
    capture.accept(batch_of([ev.BlockValidation("g", ev.Agent("a1", "a"), "approve", "", stamp)], session))
    reading, go_on = threading.Event(), threading.Event()

    def table(name: str) -> pd.DataFrame:
        reading.set()
        assert go_on.wait(10)
        return capture.tables[name].snapshot()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(capture.tallies.value, "approval", table)
        assert reading.wait(10)
        second = threads.submit(capture.tallies.value, "approval", table)
        time.sleep(0.02)
        go_on.set()
        assert [found.result()["approve"].tolist() for found in (first, second)] == [[1], [1]]


def test_votes_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of agents that a node makes up, and those on old blocks, whose count stays."""
    monkeypatch.setattr("chaosnb.tables.tallies._MOST_AGENTS", 3)
    monkeypatch.setattr("chaosnb.tables.tallies._MOST_VOTES", 4)
    capture, session = Capture(), new_session()
    stamp = format_timestamp(START_US)
    votes = [
        ev.BlockValidation(block, ev.Agent(f"a{n}", "lawful"), "approve", "", stamp)
        for block in ("f", "g", "h")
        for n in range(9)
    ]
    capture.accept(batch_of(votes, session))
    assert tallied(capture, "approval")["approve"].tolist() == [9]
    assert tallied(capture, "outcomes")["block_hash"].tolist() == ["h"]
    assert tallied(capture, "outcomes")["approve"].tolist() == [3]


def test_words_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of agents that a node makes up; of the first ones all are."""
    monkeypatch.setattr("chaosnb.tables.sentiments._MOST_AGENTS", 3)
    capture, stamp = Capture(), format_timestamp(START_US)
    said = [
        ev.ConsensusDiscussion("g", ev.Agent(f"a{n}", "lawful"), word, "positive", (), stamp)
        for n, word in (*((n, "hm") for n in range(9)), (0, "yes"))
    ]
    capture.accept(batch_of(said))
    assert tallied(capture, "sentiment_by")["positive"].tolist() == [4]


def test_names_without_end_are_not_kept() -> None:
    """A hostile node's hashes, agents and decisions of 100 kB each: what all tallies keep stays small."""
    tallies, aggregates, session = Tallies(), Aggregates(), new_session()
    empty = {name: Table(schema).snapshot() for name, schema in TABLES_OF.items()}
    for name in TALLIES:
        tallies.value(name, empty.__getitem__)

    def hostile(number: int) -> list[ev.Event]:
        text, agent = f"{number}" * 100_000, ev.Agent("a", "lawful")
        long, maker = ev.Agent(text, text), ev.Producer(text, "00")
        return [
            ev.BlockValidation(text, agent, "approve", "", STAMP),
            *(ev.BlockValidation("g", who, f"no {text}", "", STAMP) for who in (agent, long)),
            *(ev.ConsensusDiscussion("g", who, "hm", text, (), STAMP) for who in (agent, long)),
            *(ev.BlockProposal(text, "", 1, who, (), meme, STAMP) for who in (ev.Producer("p", "00"), maker)),
            *(ev.ReputationUpdate(who, 0.0, 1.0, text, STAMP) for who in ("a", text)),
        ]

    def taken(number: int) -> None:
        batch = batch_of(hostile(number), session)
        tallies.update(batch)
        aggregates.update(batch)
        aggregates.flush()

    taken(0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, 10):
            taken(number)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept - before < 300_000
    assert tallies.value("approval", empty.__getitem__)["other"].tolist() == [1]
    assert aggregates.personalities == {"a": "lawful"}


@pytest.mark.parametrize(
    ("name", "event", "column"),
    [
        ("movers", ev.ReputationUpdate("a", 0.0, 1.0, "", STAMP), "updates"),
        (
            "sentiment_by",
            ev.ConsensusDiscussion("g", ev.Agent("a", "b"), "hm", "neutral", (), STAMP),
            "neutral",
        ),
    ],
)
def test_what_is_on_its_way_when_a_tally_begins_counts_once(name: str, event: ev.Event, column: str) -> None:
    """It is in the table before it is here."""
    capture, session = Capture(), new_session()
    batch = batch_of([event], session)
    for table, rows in batch.rows.items():
        capture.tables[table].append(rows)
    tallied(capture, name)
    capture.tallies.update(batch)
    assert tallied(capture, name)[column].tolist() == [1]


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
    kind = s.block_validation["validator_personality"].iloc[0]
    assert s.tally("approval", personalities=kind)["personality"].tolist() == [kind]
    with pytest.raises(ValueError, match="'approval', 'outcomes', 'consensus', 'movers'"):
        s.tally("moon")
    with pytest.raises(ValueError, match=r"no tally 'outcome' \(did you mean 'outcomes'\?\)"):
        s.tally("outcome")


def test_nothing_is_kept_before_somebody_asks() -> None:
    """So that who asks for nothing pays nothing."""
    tallies = Tallies()
    vote = ev.BlockValidation("g", ev.Agent("a1", "a"), "approve", "", format_timestamp(START_US))
    tallies.update(batch_of([vote]))
    nothing = pd.DataFrame()
    assert tallies.value("approval", lambda table: nothing).empty
    tallies.update(batch_of([vote]))
    assert tallies.value("approval", lambda table: nothing)["approve"].tolist() == [1]
