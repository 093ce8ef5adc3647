"""The promise as a whole: whatever goes wrong, the tables are the truth less what the ledger says is missing.

What cannot be promised is left out of it: of an event that the node dropped amid a good link nothing can
tell, unless it is a block that a later one names as its parent.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from operator import ne
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.devnet import Cut, Devnet, Faults, Flood, Refuse, Sent, Stall
from chaosnb.devnet.outgoing import Outgoing
from chaosnb.devnet.sent import Link
from chaosnb.ingest.connection import Clock, Connection
from chaosnb.ingest.gaps import Gap
from chaosnb.ingest.session import Session
from chaosnb.ingest.transport import TransportName
from chaosnb.protocol.events import Frame
from chaosnb.protocol.signing import Identity
from chaosnb.tables.capture import Capture
from soak.rows import EVENT_TABLES, kept_rows, sent_rows
from tests.faulty_network import FaultyLink, FaultyNetwork, run_virtually

TOPICS = ["blocks", "consensus", "network", "social"]
SECOND_US = 1_000_000
LATENESS_US = 2 * SECOND_US
# Longer than a link that is half-open takes to fail, so that every loss is known in the end.
AFTERMATH_S = 90.0


class Chopped:
    """A link whose messages come in pieces of other sizes, without a moment between them."""

    def __init__(self, link: FaultyLink, rng: random.Random) -> None:
        self.send, self.close = link.send, link.close
        self._link, self._rng = link, rng
        self._waiting: list[Frame] = []

    async def receive(self) -> list[Frame]:
        self._waiting = self._waiting or await self._link.receive()
        size = self._rng.choice([1, 2, 7, 100])
        piece, self._waiting = self._waiting[:size], self._waiting[size:]
        return piece


class Run:
    """A client's whole pipeline on a network in memory, and what became of it."""

    def __init__(
        self,
        faults: Faults,
        *,
        rate: float = 40.0,
        duration_s: float = 20.0,
        chop: bool = False,
        between_s: float = 0.002,
    ) -> None:
        self.network = network = FaultyNetwork(
            faults=faults, seed=faults.seed, rate=rate, duration_s=duration_s
        )
        pieces = random.Random(1)

        async def connect_chopped(url: str) -> Chopped:
            return Chopped(await network(url), pieces)

        self.capture = Capture(network.clock.monotonic, wall_ns=network.clock.wall_ns)
        self.connection = Connection(
            url="ws://node.example/ws/v1",
            session=Session(TOPICS, Identity.generate()),
            connect=connect_chopped if chop else network,
            clock=network.clock,
            rng=random.Random(faults.seed),
            between_s=between_s,
        )
        run_virtually(self._listen())
        self.sent = network.sent
        self.gaps = self.connection.ledger.gaps
        self.frames = {name: self.capture.tables[name].snapshot() for name in EVENT_TABLES}

    @property
    def counts(self) -> tuple[int, ...]:
        """What the status counts."""
        capture = self.capture
        return (capture.events, capture.frames, capture.rejected, capture.duplicates, capture.late)

    async def _listen(self) -> None:
        async def pump() -> None:
            async with aclosing(self.connection.batches()) as batches:
                async for batch in batches:
                    self.capture.accept(batch)

        pumping = asyncio.create_task(pump())
        await self.network.settle()
        await asyncio.sleep(AFTERMATH_S)
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)


class Blocks:
    """What the truth says of blocks: which are missing, and which of those the client can prove missing."""

    def __init__(self, sent: Sent) -> None:
        delivered = [(_block(m), m.time_us) for m in sent.delivered() if m.event_type == "block_proposal"]
        heights = {b["block_hash"]: b["height"] for b in map(_block, _proposals(sent.emitted))}
        named_us: dict[str, int] = {}
        for block, at_us in delivered:
            named_us[block["parent_hash"]] = min(at_us, named_us.get(block["parent_hash"], at_us))
        lowest = min((block["height"] for block, _ in delivered), default=0)
        newest_us = max((m.time_us for m in sent.delivered() if m.fate != "garbage"), default=0)
        self.provable = sorted(
            heights[name]
            for name in sent.unknown_parents()
            if heights[name] > lowest and named_us[name] + LATENESS_US <= newest_us
        )
        missed = {_block(m)["height"] for m in _proposals(sent.missed())}
        self.missed = missed
        top = max(self.provable, default=0)
        self.provably_empty = {h for h in sent.missed_blocks() if lowest < h <= top}


def _proposals(messages: Sequence[Outgoing]) -> list[Outgoing]:
    return [message for message in messages if message.event_type == "block_proposal"]


def _block(message: Outgoing) -> dict[str, Any]:
    block: dict[str, Any] = json.loads(message.data)["data"]
    return block


def check_tables(run: Run) -> None:
    """What was handed over is in the tables, once, in order; nothing else is; all else is counted."""
    check_content(run.frames, run.sent)
    for name, frame in run.frames.items():
        order = np.lexsort((frame["seq"], frame["timestamp"].astype("int64")))
        assert (np.diff(order) == 1).all(), f"{name} is out of order"
    capture, sent = run.capture, run.sent
    assert capture.rejected == sent["garbage"]
    assert capture.duplicates == sent.copies()
    assert capture.filtered == 0
    assert capture.events == len(sent.rows())


def check_content(frames: dict[str, pd.DataFrame], sent: Sent) -> None:
    expected, kept = sent_rows(sent.rows()), kept_rows(frames)
    for name in EVENT_TABLES:
        assert kept[name] == expected[name], f"{name} is not what was sent"


def check_ledger(gaps: Sequence[Gap], sent: Sent) -> None:
    """Every hole that can be proved is a certain row, no such row is no hole; lost links are rows, too."""
    blocks = Blocks(sent)
    certain = [gap for gap in gaps if gap.certainty == "certain"]
    assert sorted(gap.heights[-1] for gap in certain) == blocks.provable
    listed = {height for gap in certain for height in gap.heights}
    assert listed <= blocks.missed
    assert listed >= blocks.provably_empty
    if all(message.fate == "garbage" for message in sent.delivered()):
        return  # no event has told what the node's clock is
    unexplained = [m for m in outside(gaps, sent) if not _was_overtaken(m, sent)]
    assert unexplained == [], "lost with a link, and in no gap"


def lost(sent: Sent) -> list[Outgoing]:
    """Return what was missed because a link was down, or went down."""
    return [message for message, fate in sent.fates() if fate in ("away", "lost")]


def _was_overtaken(message: Outgoing, sent: Sent) -> bool:
    """Say whether it was held back longer than any event that came, so that its link's end tells nothing."""
    came: dict[bytes, int] = {}  # in order of their first arrival: copies tell nothing of the disorder
    for m in sent.delivered():
        if m.fate != "garbage":
            came.setdefault(m.wire, m.time_us)
    times = np.array(list(came.values()))
    disorder_us = min(LATENESS_US, int((np.maximum.accumulate(times) - times).max()))
    newest_us = 0
    for link in sent.links():
        newest_us = max([newest_us, *(m.time_us for m in link.handed if m.fate != "garbage")])
        if any(m.number == message.number for m in link.messages):
            return newest_us - message.time_us > disorder_us
    return False


def outside(gaps: Sequence[Gap], sent: Sent) -> list[Outgoing]:
    """Return what was lost with a link and lies in no gap."""
    return [message for message in lost(sent) if not _lies_in(message.time_us, gaps)]


def _lies_in(at_us: int, gaps: Sequence[Gap]) -> bool:
    return any(
        gap.start_us <= at_us <= (2**62 if gap.end_us is None else gap.end_us)
        for gap in gaps
        if gap.certainty == "possible"
    )


def check_aggregates(capture: Capture, frames: dict[str, pd.DataFrame]) -> None:
    """What the plots show is what the tables hold."""

    def value(name: str) -> pd.DataFrame:
        return capture.aggregates.value(name, window_s=None, points=10_000).set_index("time")

    for name, table, column, labels in [
        ("decisions", "block_validation", "decision", ["approve", "reject"]),
        ("sentiment", "consensus_discussion", "sentiment", ["positive", "neutral", "negative"]),
    ]:
        frame = frames[table]
        counted = Counter(zip(frame["timestamp"].dt.floor("s"), frame[column], strict=True))
        shown = {(at, label): n for label in labels for at, n in value(name)[label].items() if n}
        assert shown == counted
    scores = frames["reputation_update"]
    last = scores.assign(time=scores["timestamp"].dt.floor("s")).groupby(["agent_id", "time"], observed=True)
    shown = value("reputation").set_index("agent_id", append=True)["score"].to_dict()
    assert shown == {(at, agent): score for (agent, at), score in last["new_score"].last().items()}
    proposals, metrics, tps = frames["block_proposal"], frames["network_metrics"], value("tps")
    reported = metrics.groupby(metrics["timestamp"].dt.floor("s"))["tps"].mean()
    assert tps["reported"].dropna().to_dict() == pytest.approx(reported.to_dict())
    carried = proposals["transactions"].map(len).groupby(proposals["timestamp"].dt.floor("s")).sum()
    # The first and the last second were not watched as a whole, so nothing is shown of them.
    inside = carried[[at for at in carried.index if tps.index[0] < at < tps.index[-1]]]
    assert tps["observed"].loc[tps["observed"] > 0].to_dict() == inside[inside > 0].to_dict()


HOWS = [("reset",), ("reset", "half-open"), (1001, 1011), ("reset", 1012, 1013), (1006, 4001)]


def drawn(seed: int) -> Faults:
    """Return the faults of a scenario: up to all kinds at once."""
    rng = random.Random(seed)

    def at_times(*values: float) -> float:
        return rng.choice([0.0, *values])

    return Faults(
        seed=seed,
        drop=at_times(0.02, 0.2),
        duplicate=at_times(0.05, 0.5),
        reorder=at_times(0.05, 0.5),
        delay=at_times(0.05, 0.3),
        garbage=at_times(0.02, 0.1),
        max_delay_s=rng.choice([0.2, 1.5, 4.0]),
        cut=at_times(0.05, 0.3, 1.0),
        cuts=rng.choice(HOWS),
        stall=at_times(0.1, 0.3),
        stall_s=rng.choice([0.3, 3.0]),
        flood=at_times(0.1),
        flood_events=rng.choice([3, 50]),
        refuse=at_times(0.3),
        replay_s=at_times(2.0, 30.0),
        skew_s=at_times(-100.0, 5_000.0),
        drift=at_times(0.01),
    )


FAULTS = st.builds(
    Faults,
    seed=st.integers(0, 1_000),
    drop=st.sampled_from([0.0, 0.05, 0.3]),
    duplicate=st.sampled_from([0.0, 0.1, 1.0]),
    reorder=st.sampled_from([0.0, 0.1, 1.0]),
    delay=st.sampled_from([0.0, 0.2, 1.0]),
    garbage=st.sampled_from([0.0, 0.1]),
    max_delay_s=st.sampled_from([0.1, 1.5, 6.0]),
    cut=st.sampled_from([0.0, 0.1, 0.5]),
    cuts=st.lists(
        st.sampled_from(["reset", "half-open", 1000, 1006, 1008, 1013, 4999]), min_size=1, max_size=3
    ).map(tuple),
    stall=st.sampled_from([0.0, 0.2]),
    stall_s=st.floats(0, 5),
    flood=st.sampled_from([0.0, 0.2]),
    flood_events=st.integers(0, 30),
    refuse=st.sampled_from([0.0, 0.5]),
    replay_s=st.sampled_from([0.0, 3.0, 60.0]),
    skew_s=st.floats(-1e6, 1e6),
    drift=st.sampled_from([0.0, -0.02, 0.02]),
    script=st.lists(
        st.tuples(
            st.floats(0, 12),
            st.sampled_from([Cut("reset"), Cut("half-open"), Cut(1011), Stall(2.0), Flood(20), Refuse(3.0)]),
        ),
        max_size=4,
    ).map(tuple),
)


OVERTAKEN_BY_COPIES = Faults(
    seed=0,
    duplicate=1.0,
    delay=0.2,
    max_delay_s=1.5,
    cut=0.1,
    cuts=("half-open",),
    script=((0.0, Cut(how="reset")),),
)


@settings(deadline=None, max_examples=30)
@given(FAULTS, st.sampled_from([5.0, 40.0]))
@example(OVERTAKEN_BY_COPIES, 5.0)
def test_the_tables_are_the_truth_less_what_the_ledger_says_is_missing(faults: Faults, rate: float) -> None:
    """Every row that was received is there once, in order; every hole that can be proved is on record.

    What was lost with a link lies in a possible gap, unless the node held it back for longer than anything
    that did come, or than `lateness`; where no event ever came, gaps are by our clock, not the node's. An
    event dropped amid a good link may lie nowhere: nothing tells of it.
    """
    run = Run(faults, rate=rate, duration_s=12.0)
    check_tables(run)
    check_ledger(run.gaps, run.sent)
    check_aggregates(run.capture, run.frames)


@settings(deadline=None, max_examples=10)
@given(FAULTS)
def test_the_size_of_the_batches_changes_nothing(faults: Faults) -> None:
    """The same messages, one by one or many at once: the same tables, gaps and counts.

    Without the pause between batches, which would give more and smaller ones later times of arrival.
    """
    one, other = (Run(faults, rate=20.0, duration_s=8.0, chop=chop, between_s=0.0) for chop in (False, True))
    assert one.sent.delivered() == other.sent.delivered()
    for name, frame in one.frames.items():
        pd.testing.assert_frame_equal(frame, other.frames[name])
    assert one.gaps == other.gaps
    assert one.counts == other.counts


def test_two_hundred_scenarios_lose_nothing_and_hide_nothing() -> None:
    """Rows lost, rows doubled, rows out of order, holes unproved or untrue: none, in all of them."""
    wrong: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for seed in range(200):
        run = Run(drawn(seed), rate=30.0)
        expected, kept = sent_rows(run.sent.rows()), kept_rows(run.frames)
        for name in EVENT_TABLES:
            want, have = Counter(expected[name]), Counter(kept[name])
            wrong["rows lost"] += (want - have).total()
            wrong["rows doubled or made up"] += (have - want).total()
            wrong["rows out of order"] += sum(map(ne, kept[name], expected[name]))
        named = Counter(gap.heights[-1] for gap in run.gaps if gap.certainty == "certain")
        provable = Counter(Blocks(run.sent).provable)
        wrong["certain holes not in the ledger"] += (provable - named).total()
        wrong["certain holes that are none"] += (named - provable).total()
        away = outside(run.gaps, run.sent)
        wrong["lost with a link, and in no gap"] += sum(not _was_overtaken(each, run.sent) for each in away)
        assert not wrong.total(), f"seed {seed}: {wrong}"
        seen["rows"] += len(run.sent.rows())
        seen["copies"] += run.sent.copies()
        seen["garbage"] += run.sent["garbage"]
        seen["links"] += len(run.sent.links())
        seen["holes"] += provable.total()
        seen["lost with a link"] += len(lost(run.sent))
        seen["held back too long"] += len(away)
    # Else nothing was put to the test.
    least = {"rows": 50_000, "copies": 20_000, "garbage": 1_000, "links": 400, "holes": 40}
    assert all(seen[what] > number for what, number in least.items()), seen
    assert seen["held back too long"] < seen["lost with a link"] / 500, seen


@pytest.mark.parametrize("transport", ["websockets", "picows"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_over_a_real_socket(seed: int, transport: TransportName) -> None:
    """Seed 2 resets links, too: what was on its way then may be lost, but nothing before it."""
    faults = Faults(
        seed=seed,
        drop=0.02,
        duplicate=0.1,
        reorder=0.1,
        delay=0.1,
        garbage=0.02,
        cut=0.5,
        cuts=(1001, 1011) if seed == 1 else ("reset", 1001),
        stall=0.1,
        stall_s=0.5,
        replay_s=1.0,
    )

    async def impatient(delay_s: float) -> None:
        await asyncio.sleep(min(delay_s, 0.2))

    with (
        Devnet(seed=seed, rate=200, speed=3, duration=9, faults=faults) as node,
        chaosnb.stream(TOPICS, url=node.url, transport=transport, clock=Clock(sleep=impatient)) as s,
    ):
        assert node.wait_finished(60)
        s.wait(until=lambda s: s.status.state == "live" and _is_settled(s, node.sent), timeout=30)
        sent, frames = node.sent, {name: s[name] for name in EVENT_TABLES}
        gaps = s.gaps[s.gaps["certainty"] == "certain"]
        kept = {name: set(rows) for name, rows in kept_rows(frames).items()}
        if seed == 1:
            check_content(frames, sent)
            assert (s.status.rejects, s.status.duplicates) == (sent["garbage"], sent.copies())
            assert [each[-1] for each in gaps["heights_missing"]] == Blocks(sent).provable
        assert sum(map(len, frames.values())) == sum(map(len, kept.values())) == s.status.events
        came = [m for m in sent.delivered() if m.fate != "garbage" and in_tables(m, kept)]
        assert s.status.events == len({message.wire for message in came})
        assert all(is_a_beginning(link, sent, kept) for link in sent.links())
    assert len(sent.links()) > 2


def _is_settled(s: chaosnb.Stream, sent: Sent) -> bool:
    """Say whether all that was handed over has come, but for what a reset may have lost."""
    status = s.status
    links = sent.links()
    least = sum(len(link.handed) for link in links if link.is_whole)
    return status.events + status.duplicates + status.rejects >= least and links[-1].ended is None


def in_tables(message: Outgoing, kept: dict[str, set[tuple[int, str]]]) -> bool:
    ((row,),) = [rows for rows in sent_rows([message]).values() if rows]
    return row in kept[message.event_type]


def is_a_beginning(link: Link, sent: Sent, kept: dict[str, set[tuple[int, str]]]) -> bool:
    """Say whether what is missing of a link is its end, which only a reset may lose."""
    messages = [message for message in link.handed if message.fate != "garbage"]
    came = [in_tables(message, kept) for message in messages]
    if all(came) or link.is_whole:
        return all(came)
    others = {m.wire for other in sent.links() if other is not link for m in other.handed}
    first = came.index(False)
    return all(m.wire in others for m, here in zip(messages[first:], came[first:], strict=True) if here)
