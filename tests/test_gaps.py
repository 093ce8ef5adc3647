"""The ledger of gaps: lost links in event time, holes in the chain, evictions, and what is provably whole."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.devnet.faults import Faults
from chaosnb.devnet.outgoing import Outgoing
from chaosnb.ingest.connection import Connection
from chaosnb.ingest.gaps import Gap, GapLedger
from chaosnb.ingest.session import Session
from chaosnb.ingest.unread import UnreadSpans
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import (
    Agent,
    BlockProposal,
    Event,
    Frame,
    MemeContent,
    MemePosted,
    NetworkMetrics,
    PostContent,
    Producer,
    ReputationUpdate,
)
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.signing import Identity
from tests.event_strategies import START_US
from tests.faulty_network import FaultyNetwork, run_virtually

SECOND = 1_000_000
ARRIVAL_US = START_US + 500_000_000  # a clock that is far from the node's


def stamp(at_s: float) -> str:
    return format_timestamp(START_US + round(at_s * SECOND))


def metrics(at_s: float) -> NetworkMetrics:
    return NetworkMetrics(5, 1.0, 4, 2, 7, stamp(at_s))


def block(height: int, at_s: float, parent: str | None = None) -> BlockProposal:
    above = f"b{height - 1}" if parent is None else parent
    return BlockProposal(
        f"b{height}", above, height, Producer("p", "k"), [], MemeContent("text", "gm"), stamp(at_s)
    )


class Feed:
    """A session and its ledger, and the seconds since START_US in which their times are told."""

    def __init__(self, *topics: str, lateness_s: float = 2.0) -> None:
        self.session = Session(topics or ("network", "blocks"), Identity.generate())
        self.ledger = GapLedger(lateness_s=lateness_s)
        self.arrived = 0

    def give(self, *events: Event | bytes, close: bool = False) -> None:
        """Feed events, and bytes as they are, as one batch."""
        frames = []
        for event in events:
            self.arrived += 1
            data = event if isinstance(event, bytes) else encode(event)
            frames.append(Frame(data, (ARRIVAL_US + self.arrived) * 1_000))
        batch = self.session.feed(frames)
        if close:
            self.ledger.close(frames[0].received_at_ns)
        self.ledger.watch(self.session.topics)
        self.ledger.feed(batch)

    def lose(self, cause: str = "disconnected") -> None:
        """Open a gap now."""
        self.ledger.open(cause, ARRIVAL_US * 1_000, self.session.topics)  # type: ignore[arg-type]

    @property
    def spans(self) -> list[tuple[str, float, float]]:
        """Cause, start and end of each gap; an open one ends at infinity."""
        return [(gap.cause, _seconds(gap.start_us), _seconds(gap.end_us)) for gap in self.ledger.gaps]

    def complete(self, start_s: float, end_s: float, *topics: str) -> bool:
        return self.ledger.complete(
            START_US + round(start_s * SECOND), START_US + round(end_s * SECOND), topics or None
        )


def _seconds(at_us: int | None) -> float:
    return math.inf if at_us is None else (at_us - START_US) / SECOND


def each(times: Iterable[float]) -> list[NetworkMetrics]:
    return [metrics(at_s) for at_s in times]


@pytest.mark.parametrize("close_first", [True, False])
def test_a_lost_link_spans_from_the_newest_event_before_to_the_oldest_after(close_first: bool) -> None:
    """By the node's clock, whichever the ledger hears of first, the frame or the link."""
    feed = Feed()
    feed.give(*each(range(10)))
    feed.lose()
    (open_gap,) = feed.ledger.gaps
    assert (open_gap.start_us, open_gap.end_us) == (START_US + 9 * SECOND, None)
    feed.give(*each([20, 21]), close=close_first)
    feed.ledger.close(ARRIVAL_US * 1_000)
    feed.give(*each([22, 23]))
    expected = Gap(
        START_US + 9 * SECOND, START_US + 20 * SECOND, "disconnected", ("network", "blocks"), "possible"
    )
    assert feed.ledger.gaps == [expected]


def test_until_an_event_comes_the_time_of_arrival_ends_the_gap() -> None:
    """Frames that hold no event tell that the link is there, and not what was missed."""
    feed = Feed()
    feed.lose("stale")
    feed.ledger.close((ARRIVAL_US + SECOND) * 1_000)
    assert feed.spans == [("stale", 498.0, 501.0)]
    feed.give(*each([7]))
    (gap,) = feed.ledger.gaps
    assert _seconds(gap.start_us) == pytest.approx(5.0, abs=1e-5)
    assert _seconds(gap.end_us) == 7.0


@pytest.mark.parametrize("ahead_s", [-4_000, 4_000])
def test_a_time_of_arrival_is_told_by_the_clock_of_the_node(ahead_s: int) -> None:
    """Else a node whose clock is wrong would have its gaps where nothing is missing."""
    ledger = GapLedger()

    def give(at_s: float) -> None:
        start_us = START_US + ahead_s * SECOND
        stamp = format_timestamp(start_us + round(at_s * SECOND))
        frame = Frame(encode(NetworkMetrics(1, 1.0, 1, 1, 1, stamp)), START_US * 1_000 + round(at_s * 1e9))
        ledger.feed(session.feed([frame]))

    session = Session(["network"], Identity.generate())
    ledger.open("disconnected", START_US * 1_000, ("network",))
    ledger.close((START_US + 5 * SECOND) * 1_000)
    give(9.0)
    ledger.open("disconnected", START_US * 1_000 + 10 * 10**9, ("network",))
    ledger.close((START_US + 30 * SECOND) * 1_000)
    spans = [(_seconds(gap.start_us) - ahead_s, _seconds(gap.end_us) - ahead_s) for gap in ledger.gaps]
    assert spans == [(-2.0, 9.0), (9.0, 30.0)]


def test_opening_an_open_gap_or_closing_none_does_nothing() -> None:
    """A link that is silent and then lost is one gap."""
    feed = Feed()
    feed.ledger.close(1)
    feed.give(*each(range(3)))
    feed.lose("stale")
    feed.lose("disconnected")
    assert [gap.cause for gap in feed.ledger.gaps] == ["stale"]
    feed.ledger.close(ARRIVAL_US * 1_000)
    feed.lose()
    assert [gap.end_us for gap in feed.ledger.gaps] == [None]


def test_a_replay_of_what_came_before_does_not_end_the_gap() -> None:
    """Events as old as the loss prove nothing about what was missed; the first newer one does."""
    feed = Feed()
    feed.give(*each(range(10)))
    feed.lose()
    feed.give(*each([5, 6, 7, 8, 9]), close=True)
    feed.give(*each([20]))
    ((_, start_s, end_s),) = feed.spans
    assert start_s <= 9
    assert 20 <= end_s < math.inf


def test_the_span_is_widened_by_the_disorder_that_the_feed_has_shown() -> None:
    """An event that was under way out of order may be lost on either side; at most by the lateness."""
    feed = Feed()
    feed.give(*each([0, 1, 2, 1.5, 3, 4]))
    feed.lose()
    feed.give(*each([20]), close=True)
    assert feed.spans == [("disconnected", 3.5, 20.5)]
    feed.give(*each([*range(21, 60), 30.5]))
    assert feed.spans == [("disconnected", 2.0, 22.0)]


def test_a_stamp_of_the_year_9999_moves_no_gap() -> None:
    """The newest time is that of the feed, not that of one event."""
    feed = Feed()
    forged = NetworkMetrics(5, 1.0, 4, 2, 7, "9999-12-31T23:59:59.999Z")
    feed.give(*each(range(200)), forged, *each([200, 201]))
    feed.lose()
    feed.give(*each([300]), close=True)
    assert feed.spans == [("disconnected", 201.0, 300.0)]
    assert feed.complete(10, 190)


def test_a_jump_over_a_lost_link_is_a_certain_row_of_its_own() -> None:
    """Nothing proves what else was missed, but that blocks were, the chain does."""
    feed = Feed()
    feed.give(block(1, 0), block(2, 1))
    feed.lose()
    feed.give(block(6, 5), block(7, 6), block(8, 8), close=True)
    first, second = feed.ledger.gaps
    assert (first.cause, first.certainty, first.heights) == ("disconnected", "possible", range(0))
    assert (second.cause, second.certainty, second.heights) == ("height_jump", "certain", range(3, 6))
    assert (second.start_us, second.end_us) == (START_US + SECOND, START_US + 5 * SECOND)
    assert second.topics == ("blocks",)


def test_a_block_that_comes_late_closes_its_hole() -> None:
    """It is listed no more, and counted."""
    feed = Feed()
    feed.give(block(1, 0), block(2, 1), block(4, 3), *each([4, 5, 6]))
    assert [gap.cause for gap in feed.ledger.gaps] == ["height_jump"]
    feed.give(block(3, 2))
    assert (feed.ledger.gaps, feed.ledger.closed) == ([], 1)


def test_blocks_that_were_not_subscribed_to_are_not_missing() -> None:
    """Neither before the topic is added, nor between dropping and adding it again."""
    feed = Feed("network", "blocks")
    feed.give(block(1, 0), block(2, 1))
    feed.session.unsubscribe("blocks")
    feed.give(block(3, 2), metrics(3))
    feed.session.subscribe("blocks")
    feed.give(block(10, 10), block(11, 11), block(13, 13), *each([14, 15, 16]))
    assert [gap.heights for gap in feed.ledger.gaps] == [range(12, 13)]


def test_evictions_are_one_row_a_table_that_grows() -> None:
    """From the first event to the newest that was forgotten, for the topics of the table."""
    feed = Feed("social", "memes")
    meme = MemePosted("m", Agent("a", "memetic"), PostContent("text", "", "gm"), [], stamp(1))
    feed.give(meme)
    for before_s in (5, 9, 7):
        feed.ledger.evict("meme_posted", START_US + before_s * SECOND)
    feed.ledger.evict("reputation_update", START_US + 3 * SECOND)
    assert feed.spans == [("evicted", 1.0, 9.0), ("evicted", 1.0, 3.0)]
    assert [gap.topics for gap in feed.ledger.gaps] == [("social", "memes"), ("social",)]
    assert {gap.certainty for gap in feed.ledger.gaps} == {"certain"}
    assert "meme_posted" in feed.ledger.gaps[0].detail


def test_the_ledger_stays_bounded_and_spans_all_that_was_lost() -> None:
    """A link that flaps for a week leaves 10,000 rows, the first of which stands for the oldest."""
    feed = Feed("network")
    for number in range(10_010):
        feed.give(*each([number * 10, number * 10 + 1]), close=True)
        feed.lose()
    gaps = feed.ledger.gaps
    assert len(gaps) == 10_000
    assert gaps[0].detail.startswith("11 ")
    assert _seconds(gaps[0].start_us) == 1.0
    assert all(low.end_us is not None and low.end_us <= high.start_us for low, high in pairwise(gaps))


def test_the_list_is_the_same_until_something_changes() -> None:
    """What draws it four times a second need not make it anew."""
    feed = Feed()
    feed.give(*each(range(3)))
    feed.lose()
    before = feed.ledger.gaps
    assert feed.ledger.gaps is before
    feed.give(*each([9]), close=True)
    assert feed.ledger.gaps is not before


# -- what is provably whole


def whole() -> Feed:
    """A feed from second 0 to 100 without a fault."""
    feed = Feed()
    for second in range(101):
        feed.give(metrics(second), block(second, second))
    return feed


def test_a_span_within_a_feed_without_faults_is_complete() -> None:
    """From the first event to the lateness before the newest."""
    feed = whole()
    assert feed.complete(0, 98)
    assert feed.complete(50, 50)
    assert not feed.complete(0, 98.1)
    assert not feed.complete(-0.1, 50)


def test_before_any_event_nothing_is_complete() -> None:
    """A stream that has just begun has proved nothing."""
    assert not Feed().complete(0, 1)


@pytest.mark.parametrize("start_s", [0, 10, 100, 105, 110, 120])
def test_no_span_that_touches_a_lost_link_is_complete(start_s: float) -> None:
    """Open or over; only what lies wholly before or after is whole."""
    feed = whole()
    feed.lose()
    assert feed.complete(0, 90)
    assert not feed.complete(start_s, 130)
    feed.give(*each(range(110, 200)), close=True)
    assert feed.complete(0, 99.9)
    assert feed.complete(110.1, 190)
    assert feed.complete(start_s, 130) == (start_s > 110)
    assert not feed.complete(90, 105)


def test_a_missing_block_makes_its_span_incomplete_for_blocks_only() -> None:
    """Another topic is not concerned, and a doubt counts before it is a hole."""
    feed = whole()
    feed.give(block(103, 103), *each([104, 104.5]))
    assert feed.ledger.gaps == []
    assert not feed.complete(90, 101)
    assert feed.complete(90, 101, "network")
    feed.give(*each([106]))
    assert not feed.complete(99, 101, "blocks")
    assert feed.complete(99, 101, "network")
    feed.give(*each([110]))
    assert feed.complete(104, 108)


def test_what_retention_forgot_is_not_complete() -> None:
    """It was received, but is in no table any more."""
    feed = whole()
    feed.ledger.evict("network_metrics", START_US + 50 * SECOND)
    assert not feed.complete(50, 60)
    assert feed.complete(51, 60)
    assert feed.complete(20, 60, "blocks")


UNREADABLE = b"{oops"
UNTIMED = b'{"type":"subscribed","topics":["blocks"]}'


def test_no_span_around_what_could_not_be_read_is_complete() -> None:
    """From the newest event before to the next one after, however many came between; it is no gap."""
    feed = whole()
    feed.give(UNREADABLE)
    feed.give(UNREADABLE, UNREADABLE)
    assert feed.complete(0, 98)
    feed.give(*each([99.5]))
    feed.give(*each([105]))
    feed.give(*each([110, 120]))
    assert feed.complete(1, 98)
    assert feed.complete(106, 118)
    assert not feed.complete(1, 100)
    assert not feed.complete(104, 118)
    assert not feed.complete(102, 103, "network")
    assert feed.ledger.gaps == []


def test_what_could_not_be_read_amid_a_batch_is_of_any_time_within_it() -> None:
    """Up to the next event after, and up to the disorder of the feed beyond."""
    feed = whole()
    feed.give(metrics(101), UNREADABLE, metrics(103))
    feed.give(*each([104, 103.5, 110, 120]))
    assert not feed.complete(103.2, 103.3)
    assert not feed.complete(99.6, 99.8)
    assert feed.complete(98, 99.4)
    early = Feed()
    early.give(UNREADABLE)
    early.give(metrics(0), block(0, 0))
    early.give(*each(range(1, 10)))
    assert not early.complete(0, 5)
    assert early.complete(1, 5)


def test_what_tells_no_time_ends_no_span_around_what_could_not_be_read() -> None:
    """A message that steers the link may come at once; the next event ends the span."""
    feed = whole()
    feed.give(UNREADABLE, metrics(101))
    feed.give(UNTIMED)
    feed.give(*each([105, 110, 120]))
    assert not feed.complete(103, 104)


def test_spans_around_what_could_not_be_read_are_bounded() -> None:
    """The oldest are joined to one that spans them."""
    unread = UnreadSpans(kept=10)
    for number in range(100):
        unread.note(10 * number)
        unread.advance(10 * number + 5)
    assert len(unread.spans()) == 10

    def unread_at(start: int, end: int) -> bool:
        return any(first <= end and (last or 0) >= start for first, last in unread.spans())

    assert unread_at(6, 9)
    assert unread_at(846, 849)
    assert not unread_at(936, 939)
    assert unread_at(934, 939)
    assert not unread_at(996, 2_000)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.booleans(), min_size=120, max_size=120),
    st.floats(0, 1.9),
    st.lists(st.integers(1, 9), min_size=1, max_size=120),
    st.randoms(use_true_random=False),
)
def test_no_complete_span_lacks_what_could_not_be_read(
    readable: list[bool], disorder_s: float, sizes: list[int], rng: random.Random
) -> None:
    """However the feed is cut into batches, and however much out of order it comes."""
    feed = Feed("network")
    feed.give(*each(range(-20, 0)), metrics(-9.9 - disorder_s))
    sent = sorted((at_s + rng.uniform(0, disorder_s), at_s) for at_s in range(len(readable)))
    events = [metrics(at_s) if readable[at_s] else UNREADABLE for _, at_s in sent]
    while events:
        size = sizes[len(events) % len(sizes)]
        feed.give(*events[:size])
        del events[:size]
    unreadable = [at_s for at_s, is_readable in enumerate(readable) if not is_readable]
    for _ in range(20):
        start_s, end_s = sorted(rng.uniform(-20, 120) for _ in range(2))
        if feed.complete(start_s, end_s):
            assert not any(start_s <= at_s <= end_s for at_s in unreadable)


def test_a_topic_is_complete_from_its_first_event_on() -> None:
    """Only an event of its own proves that the node has taken the subscription in."""
    feed = Feed("network")
    feed.give(*each(range(10)))
    feed.session.subscribe("social")
    feed.give(*each(range(10, 20)))
    feed.give(metrics(20), ReputationUpdate("a", 0.1, 0.2, "r", stamp(21)), *each(range(22, 40)))
    assert feed.complete(5, 30, "network")
    assert not feed.complete(15, 30, "social")
    assert not feed.complete(15, 30)
    assert feed.complete(21, 30)
    assert not feed.complete(21, 30, "memes")
    feed.session.unsubscribe("social")
    feed.give(*each([41]))
    assert not feed.complete(21, 30, "social")
    assert feed.complete(5, 30)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), max_size=4),
    st.floats(0, 1.9),
    st.randoms(use_true_random=False),
)
def test_no_event_is_lost_outside_of_a_gap_and_no_complete_span_lacks_one(
    cuts: list[tuple[float, float]], disorder_s: float, rng: random.Random
) -> None:
    """Cuts of any length in a feed that comes out of order within the lateness it is known to have."""
    feed = Feed("network", lateness_s=2.0)
    down = [(start_s, start_s + length_s) for start_s, length_s in cuts]
    # First a stretch that shows how much out of order the feed comes.
    sent = [(float(at_s), float(at_s)) for at_s in range(-20, 0)] + [(-9.9, -10.0 - disorder_s)]
    times = sorted(rng.uniform(0, 120) for _ in range(150))
    sent += [(at_s + rng.uniform(0, disorder_s), at_s) for at_s in times]
    lost: list[float] = []
    is_down = False
    for emitted_s, at_s in sorted(sent):
        now_down = any(low <= emitted_s < high for low, high in down)
        if now_down:
            lost.append(at_s)
            if not is_down:
                feed.lose()
        else:
            feed.give(metrics(at_s), close=is_down)
        is_down = now_down
    # Stamps are cut to milliseconds.
    for at_s in lost:
        assert any(start_s - 0.002 <= at_s <= end_s + 0.002 for _, start_s, end_s in feed.spans)
    for _ in range(20):
        start_s, end_s = sorted(rng.uniform(-20, 120) for _ in range(2))
        if feed.complete(start_s, end_s):
            assert not any(start_s <= at_s <= end_s for at_s in lost)


def test_a_stream_says_what_is_complete_of_whatever_pandas_takes_for_a_time() -> None:
    """Text, datetimes and time stamps, with a zone or in UTC without; nonsense is an error in words."""
    with chaosnb.stream(["blocks", "network"], url="devnet") as s:
        s.wait(until=lambda s: _span_s(s) > 4, timeout=60)
        first, last = s.network_metrics["timestamp"].iloc[[0, -1]]
        low, high = first + pd.Timedelta("0.5s"), last - pd.Timedelta("2.5s")
        assert s.gaps.empty
        assert s.complete(low, high)
        assert s.complete(low.isoformat(), high.tz_convert("Asia/Tokyo").to_pydatetime())
        assert s.complete(low.tz_localize(None), str(high.tz_localize(None)), topics="blocks")
        assert not s.complete("2020-01-01", high)
        assert not s.complete(low, last)
        assert not s.complete(low, high, topics=["network", "social"])
        with pytest.raises(ValueError, match="is after end="):
            s.complete(high, low)
        with pytest.raises(ValueError, match="start='soon' is not a time"):
            s.complete("soon", high)
        with pytest.raises(ValueError, match="end=NaT is not a time"):
            s.complete(low, pd.NaT)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="the topics are"):
            s.complete(low, high, topics="bloks")


def _span_s(stream: chaosnb.Stream) -> float:
    times = stream.network_metrics["timestamp"]
    return 0.0 if times.empty else (times.iloc[-1] - times.iloc[0]).total_seconds()


# -- against the truth of a node that fails


class Scenario:
    """What a ledger says of a minute in which a simulated node fails, and what the node did."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        faults = Faults(
            seed=seed,
            drop=rng.choice([0.0, 0.02, 0.1]),
            duplicate=0.05,
            reorder=rng.choice([0.0, 0.2]),
            delay=rng.choice([0.0, 0.05]),
            max_delay_s=1.5,
            cut=rng.choice([0.05, 0.3]),
            cuts=("reset", 1011),
            stall=0.05,
            stall_s=1.0,
            replay_s=rng.choice([0.0, 5.0]),
        )
        self.network = FaultyNetwork(faults=faults, seed=seed, rate=60, duration_s=40)
        self.connection = Connection(
            url="ws://node.example/ws/v1",
            session=Session(["blocks", "consensus", "network", "social"], Identity.generate()),
            connect=self.network,
            clock=self.network.clock,
            rng=rng,
        )
        run_virtually(self._listen())
        self.ledger = self.connection.ledger

    async def _listen(self) -> None:
        async def pump() -> None:
            async for _ in self.connection.batches():
                pass

        task = asyncio.create_task(pump())
        await self.network.settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @property
    def provable(self) -> list[int]:
        """The heights of the blocks that are missing and that a child delivered long enough ago names."""
        sent = self.network.sent
        delivered = [
            (_block(message.data), message.time_us) for message in sent.delivered() if _is_block(message)
        ]
        heights = {block["block_hash"]: block["height"] for block in _blocks(sent.emitted)}
        lowest = min(block["height"] for block, _ in delivered)
        newest_us = max(message.time_us for message in sent.delivered())
        named_us: dict[str, int] = {}
        for block, at_us in delivered:
            named_us[block["parent_hash"]] = min(at_us, named_us.get(block["parent_hash"], at_us))
        return sorted(
            heights[name]
            for name in sent.unknown_parents()
            if heights[name] > lowest and named_us[name] + 2 * SECOND <= newest_us
        )

    @property
    def lost_us(self) -> list[int]:
        """The times of the events that were lost with the link, or while it was down."""
        return [message.time_us for message, fate in self.network.sent.fates() if fate in ("away", "lost")]


def _is_block(message: Outgoing) -> bool:
    return message.event_type == "block_proposal"


def _block(data: bytes) -> dict[str, Any]:
    block: dict[str, Any] = json.loads(data)["data"]
    return block


def _blocks(messages: Iterable[Outgoing]) -> list[dict[str, Any]]:
    return [_block(message.data) for message in messages if _is_block(message)]


_MESSAGES = st.sampled_from((UNREADABLE, UNTIMED)) | st.floats(0, 60)
_TURNS = st.lists(st.lists(_MESSAGES, min_size=1, max_size=5), min_size=1, max_size=30)


@given(_TURNS, st.integers(2, 30), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_batches_read_together_leave_the_same_ledger(
    turns: list[list[float | bytes]], together: int, rng: random.Random
) -> None:
    """Where what could not be read lies, what is whole and which blocks are missing, as one by one."""
    batches = []
    for turn in turns:
        events = [
            told if isinstance(told, bytes) else encode(rng.choice((metrics(told), block(round(told), told))))
            for told in turn
        ]
        batches.append([Frame(data, ARRIVAL_US * 1_000) for data in events])
    found = []
    for size in (1, together):
        feed = Feed()
        feed.ledger.watch(feed.session.topics)
        for place in range(0, len(batches), size):
            parts = batches[place : place + size]
            frames = [frame for part in parts for frame in part]
            feed.ledger.feed(feed.session.feed(frames, list(map(len, parts))))
        found.append((feed.ledger.complete_spans, feed.ledger.gaps))
    assert found[0] == found[1]


def test_recall_and_precision_are_one_against_a_node_that_fails() -> None:
    """Every lost event lies in a gap, every provable hole is a row, no certain one is none."""
    holes = lost = whole_spans = 0
    for seed in range(8):
        found = Scenario(seed)
        gaps = found.ledger.gaps
        certain = sorted(gap.heights[-1] for gap in gaps if gap.certainty == "certain")
        assert certain == found.provable, f"seed {seed}"
        missing = found.lost_us
        spans = [(gap.start_us, gap.end_us or 2**62) for gap in gaps if gap.certainty == "possible"]
        outside = [at_us for at_us in missing if not any(low <= at_us <= high for low, high in spans)]
        assert outside == [], f"seed {seed}"
        rng = random.Random(seed)
        first_us = found.network.sent.emitted[0].time_us
        for _ in range(50):
            start_us = first_us + round(rng.uniform(0, 40) * SECOND)
            end_us = start_us + round(rng.uniform(0, 8) * SECOND)
            if found.ledger.complete(start_us, end_us):
                whole_spans += 1
                assert not any(start_us <= at_us <= end_us for at_us in missing), f"seed {seed}"
        holes, lost = holes + len(certain), lost + len(missing)
    assert holes > 10
    assert lost > 1_000
    assert whole_spans > 20


def test_what_a_stream_forgets_is_in_its_gaps() -> None:
    """A row for each table, up to the newest row that is in it no more."""
    with chaosnb.stream(["network", "social"], url="devnet", retain=5) as s:
        s.wait(until=lambda s: s.status.evicted > 10 and s.memory.evicted["network_metrics"] > 1, timeout=60)
    gaps = s.gaps.set_index("detail")
    forgotten = gaps.loc["rows of network_metrics that retention forgot"]
    assert (forgotten["cause"], forgotten["certainty"]) == ("evicted", "certain")
    assert forgotten["topics"] == ["network"]
    assert forgotten["end"] <= s.network_metrics["timestamp"].iloc[0]
    assert not s.complete(forgotten["end"], forgotten["end"], topics="network")
