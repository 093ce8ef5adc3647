"""The connection: greeting, reconnecting with jitter, gaps, incidents and refusals, on a virtual clock."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import math
import pickle
import random
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.errors import CredentialsError, TransportError
from chaosnb.ingest.connection import Connection, Incident
from chaosnb.ingest.pace import Silence
from chaosnb.ingest.session import Session
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import ErrorEvent, NetworkMetrics
from chaosnb.protocol.signing import Identity
from tests.memory_network import START_NS, MemoryLink, MemoryNetwork, VirtualTime

METRICS = encode(NetworkMetrics(5, 1.5, 4, 2, 7, "2026-11-23T00:36:12.345Z"))
LATER = METRICS.replace(b"00:36:12.345Z", b"00:36:19.345Z")
LOST = TransportError("going away", code=1001)
IDENTITY = Identity.generate()


class Run:
    """A connection that runs over a scripted network until something has happened."""

    def __init__(
        self, network: Callable[[MemoryNetwork], object], seed: int = 1, silence: Silence | None = None
    ) -> None:
        self.time = VirtualTime()
        self.network = MemoryNetwork(self.time)
        network(self.network)
        self.incidents: list[Incident] = []
        self.frames = 0
        self.came_at_s: list[float] = []
        self._changed = asyncio.Event()
        self.session = Session(["network"], IDENTITY)
        self.connection = Connection(
            url="ws://node.example/ws/v1",
            session=self.session,
            connect=self.network,
            silence=silence,
            clock=self.time.clock,
            rng=random.Random(seed),
            on_incident=self._note,
        )

    def until(
        self, happened: Callable[[Run], bool], meanwhile: Callable[[Run], Awaitable[None]] | None = None
    ) -> Run:
        """Run until something has happened, within a day."""
        self.time.run(asyncio.wait_for(self._until(happened, meanwhile), 86_400))
        return self

    async def _until(
        self, happened: Callable[[Run], bool], meanwhile: Callable[[Run], Awaitable[None]] | None
    ) -> None:
        async def pump() -> None:
            async for batch in self.connection.batches():
                self.frames += batch.frames
                self.came_at_s.append(self.time.now_s)
                self._changed.set()

        task = asyncio.ensure_future(pump())
        task.add_done_callback(lambda task: self._changed.set())
        other = None if meanwhile is None else asyncio.ensure_future(meanwhile(self))
        while not happened(self) and not task.done():
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 5)
        if other is not None:
            await other
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def _note(self, incident: Incident) -> None:
        self.incidents.append(incident)
        self._changed.set()

    @property
    def states(self) -> list[str]:
        return [incident.state for incident in self.incidents]

    @property
    def delays_s(self) -> list[float]:
        return [incident.delay_s for incident in self.incidents if incident.delay_s is not None]

    def at_s(self, incident: Incident) -> float:
        """When it was, in seconds since the start."""
        return (incident.at_ns - START_NS) / 1e9


def test_what_comes_at_once_is_read_in_one_batch_and_after_a_silence_at_once() -> None:
    """Two milliseconds lie between two batches, so that there are not too many; a late one is not held up."""
    run = Run(lambda net: net.link([METRICS], [METRICS], [METRICS], 1.0, [METRICS]))
    first, *later = run.until(lambda run: run.frames == 4).came_at_s
    assert [round(at_s - first, 6) for at_s in later] == [0.002, 0.004, 1.006]


def test_it_greets_and_goes_live_with_the_first_frame() -> None:
    """No acknowledgement is waited for, since the protocol defines none."""
    run = Run(lambda net: net.link([METRICS])).until(lambda run: run.frames == 1)
    assert [json.loads(text)["type"] for text in run.network.links[0].sent] == ["auth", "subscribe"]
    assert run.states == ["connecting", "authenticating", "live", "closed"]
    assert run.network.links[0].closed


def test_what_came_before_a_loss_amid_the_greeting_is_kept() -> None:
    """A node may speak and hang up before `auth` is out."""
    run = Run(lambda net: net.link([METRICS], end=LOST).link())
    (link,) = [part for part in run.network.script if isinstance(part, MemoryLink)][:1]
    link.mute = True
    run.until(lambda run: run.network.connects == 2)
    assert run.frames == 1
    assert "live" in run.states


def test_after_a_loss_it_connects_greets_anew_and_the_gap_is_in_the_ledger() -> None:
    """The gap lasts from the last event before the loss to the first of the next link, by their own time."""
    run = Run(lambda net: net.link([METRICS], end=LOST).refuse(2).link([LATER])).until(
        lambda run: run.frames == 2
    )
    (gap,) = run.connection.ledger.gaps
    assert gap.end_us is not None
    assert gap.end_us - gap.start_us == 7_000_000
    assert gap.topics == ("network",)
    assert len(run.network.links) == 2
    assert [json.loads(text)["type"] for text in run.network.links[1].sent] == ["auth", "subscribe"]
    assert run.states.count("reconnecting") == 3


def test_a_gap_stays_open_while_the_node_is_away() -> None:
    """What is not over has no end."""
    run = Run(lambda net: net.link([METRICS], end=LOST).refuse(5)).until(
        lambda run: run.network.connects == 4
    )
    assert [gap.end_us for gap in run.connection.ledger.gaps] == [None]


def test_before_the_first_frame_there_is_no_gap() -> None:
    """What was never live cannot have a hole."""
    run = Run(lambda net: net.refuse(3).link([METRICS])).until(lambda run: run.frames == 1)
    assert run.connection.ledger.gaps == []


def test_a_refused_connection_is_an_incident_with_the_next_try() -> None:
    """The reader learns what happened and when it goes on."""
    run = Run(lambda net: net.refuse().link([METRICS])).until(lambda run: run.frames == 1)
    refused = run.incidents[1]
    assert (refused.state, refused.detail) == ("reconnecting", "connection refused")
    assert refused.delay_s is not None
    assert 0 <= refused.delay_s <= 0.5


def test_a_close_code_is_kept() -> None:
    """1013 means something else than 1001."""
    run = Run(lambda net: net.link([METRICS], end=LOST).link([METRICS])).until(lambda run: run.frames == 2)
    (lost,) = [incident for incident in run.incidents if incident.delay_s is not None]
    assert (lost.code, lost.detail) == ("1001", "the link was lost: going away")


def test_delays_follow_full_jitter() -> None:
    """Each delay is uniform between 0 and 0.5 s doubled at each try, up to 30 s (Kolmogorov-Smirnov)."""
    runs = [
        Run(lambda net: net.refuse(9), seed).until(lambda run: len(run.delays_s) == 9) for seed in range(100)
    ]
    drawn = []
    for attempt in range(9):
        longest_s = min(30.0, 0.5 * 2**attempt)
        scaled = [run.delays_s[attempt] / longest_s for run in runs]
        assert 0.9 < max(scaled) <= 1
        assert distance_from_uniform(scaled) < 1.95 / math.sqrt(len(scaled))
        drawn += scaled
    # At this distance one in a thousand samples of a uniform distribution would fail; the seeds are fixed.
    assert distance_from_uniform(drawn) < 1.95 / math.sqrt(len(drawn))


def distance_from_uniform(sample: list[float]) -> float:
    """The largest distance between the sample's distribution function and that of [0, 1]."""
    ordered, count = sorted(sample), len(sample)
    return max(max((rank + 1) / count - x, x - rank / count) for rank, x in enumerate(ordered))


def test_a_minute_of_stability_starts_the_delays_anew() -> None:
    """A link that held is not held responsible for earlier failures."""
    stable = Run(lambda net: net.refuse(10).link([METRICS], end=LOST, lasts_s=61).refuse(1)).until(
        lambda run: run.network.connects == 12
    )
    assert stable.delays_s[10] <= 0.5
    unstable = Run(lambda net: net.refuse(10).link([METRICS], end=LOST, lasts_s=1).refuse(1)).until(
        lambda run: run.network.connects == 12
    )
    assert unstable.delays_s[10] > 0.5


@pytest.mark.parametrize("code", ["INVALID_SIGNATURE", "INVALID_AGENT"])
def test_refused_credentials_end_it_with_an_error_that_says_what_to_do(code: str) -> None:
    """The same credentials would fail again, so there is no second try; the error stays an event."""
    refusal = b'{"type":"error","error":{"code":"%s","message":"no"}}' % code.encode()
    run = Run(lambda net: net.link([refusal]))
    with pytest.raises(CredentialsError, match="clock") as caught:
        run.until(lambda run: False)
    assert (caught.value.code, caught.value.message) == (code, "no")
    assert (run.network.connects, run.frames, run.states[-1]) == (1, 1, "failed")
    assert run.network.links[0].closed


def test_other_errors_do_not_end_it() -> None:
    """RATE_LIMITED and the like are events, and the stream goes on."""
    limited = b'{"type":"error","error":{"code":"RATE_LIMITED","message":"slow down"}}'
    run = Run(lambda net: net.link([limited], [METRICS])).until(lambda run: run.frames == 2)
    assert run.network.connects == 1


def test_a_large_turn_is_given_in_batches() -> None:
    """A backlog does not hold up the loop for long."""
    sizes = []
    run = Run(lambda net: net.link([METRICS] * 2_200))

    async def read() -> None:
        batches = run.connection.batches()
        async for batch in batches:
            sizes.append(batch.frames)
            if sum(sizes) == 2_200:
                break
        await batches.aclose()

    run.time.run(read())
    assert sizes == [1_000, 1_000, 200]


def test_frames_are_logged_cut_and_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """Terminal escapes and line breaks from a node do not reach a terminal."""
    hostile = b"\x1b[31m\n" + b"x" * 5_000
    with caplog.at_level(logging.DEBUG, logger="chaosnb.frames"):
        Run(lambda net: net.link([hostile], [METRICS])).until(lambda run: run.frames == 1)
    first = caplog.records[0].getMessage()
    assert first.startswith(r"\x1b[31m\n")
    assert len(first) < 2_100
    assert first.isprintable()


# -- silence


def test_a_silent_link_goes_stale_and_comes_back_to_life() -> None:
    """The hole begins with the last frame, and ends with the next; the link stays."""
    run = Run(lambda net: net.link([METRICS], 14.0, [LATER]), silence=Silence(10)).until(
        lambda run: run.frames == 2
    )
    assert run.states == ["connecting", "authenticating", "live", "stale", "live", "closed"]
    (gap,) = run.connection.ledger.gaps
    assert gap.end_us is not None
    assert (gap.cause, gap.end_us - gap.start_us) == ("stale", 7_000_000)
    assert run.network.connects == 1
    assert 10 <= run.at_s(run.incidents[3]) <= 11


def test_a_link_that_stays_silent_is_given_up_for_a_new_one() -> None:
    """It is one hole, from the last frame to the first of the next link."""
    run = Run(lambda net: net.link([METRICS]).link([LATER]), silence=Silence(10)).until(
        lambda run: run.frames == 2
    )
    assert run.states[2:-1] == ["live", "stale", "reconnecting", "authenticating", "live"]
    assert run.network.links[0].closed
    (gap,) = run.connection.ledger.gaps
    assert gap.end_us is not None
    assert (gap.cause, gap.end_us - gap.start_us) == ("stale", 7_000_000)
    assert "no frame for 20." in run.incidents[4].detail


def test_a_new_link_that_says_nothing_is_given_up_too() -> None:
    """A node that takes connections and pings, but has lost its feed, is tried again and again."""
    run = Run(lambda net: net.link([METRICS]), silence=Silence(10)).until(
        lambda run: run.network.connects == 4
    )
    assert run.states.count("reconnecting") == 3
    assert len(run.connection.ledger.gaps) == 1


def test_before_the_first_frame_no_silence_is_suspicious() -> None:
    """The protocol acknowledges nothing, and a quiet network is a network."""
    run = Run(lambda net: net.link(3_500.0, [METRICS])).until(lambda run: run.frames == 1)
    assert run.states == ["connecting", "authenticating", "live", "closed"]


def test_a_first_link_that_never_says_anything_is_made_anew_after_long() -> None:
    """Again after as long, since how long the first frame takes says nothing of the pace."""
    run = Run(lambda net: net).until(lambda run: run.network.connects == 4)
    assert run.states[:7] == ["connecting", *["authenticating", "reconnecting"] * 3]
    lost = [run.at_s(incident) for incident in run.incidents if incident.state == "reconnecting"]
    assert all(3_600 <= later - at_s < 3_640 for at_s, later in itertools.pairwise([0.0, *lost]))
    assert all(link.closed for link in run.network.links[:3])
    assert run.connection.ledger.gaps == []


def test_a_send_that_never_ends_does_not_keep_a_silent_link() -> None:
    """Nor does it hold up what is sent over the next one."""
    run = Run(lambda net: net.link([METRICS]).link([METRICS], [METRICS]), silence=Silence(10))
    stuck = asyncio.Event()

    async def hold_up(text: str) -> None:
        stuck.set()
        await asyncio.Event().wait()

    async def subscribe(run: Run) -> None:
        await asyncio.sleep(1)
        run.network.links[0].send = hold_up  # type: ignore[method-assign]
        run.session.subscribe("blocks")
        await stuck.wait()

    run.until(lambda run: run.frames == 3, subscribe)
    assert run.states[2:-1] == ["live", "stale", "reconnecting", "authenticating", "live"]
    greeting = run.network.links[1].sent
    assert json.loads(greeting[1])["topics"] == ["network", "blocks"]


def test_a_slow_but_regular_feed_does_not_flap() -> None:
    """An event a minute, for two hours, is live all the time."""
    run = Run(lambda net: net.link(*[part for _ in range(120) for part in (60.0, [METRICS])])).until(
        lambda run: run.frames == 120
    )
    assert run.states == ["connecting", "authenticating", "live", "closed"]
    assert run.connection.ledger.gaps == []


def test_whoever_takes_long_over_a_batch_does_not_make_the_feed_stale() -> None:
    """The node is not to blame for a reader that computes for an hour."""
    run = Run(lambda net: net.link([METRICS], [METRICS], 1.0, [METRICS]), silence=Silence(10))

    async def read() -> None:
        batches = run.connection.batches()
        for _ in range(3):
            await anext(batches)
            await asyncio.sleep(3_600)
        await batches.aclose()

    run.time.run(read())
    assert run.states == ["connecting", "authenticating", "live", "closed"]


def test_a_loop_that_was_held_up_does_not_make_the_feed_stale() -> None:
    """After the machine's sleep, or an hour without its turn, it first looks whether something has come."""
    run = Run(lambda net: net.link([METRICS], 12.0, [METRICS]), silence=Silence(10))

    async def sleep(run: Run) -> None:
        await asyncio.sleep(8)
        run.time.now_s += 3_600

    run.until(lambda run: run.frames == 2, sleep)
    assert run.states == ["connecting", "authenticating", "live", "closed"]


def test_cancelling_amid_a_silence_ends_it() -> None:
    """The way in which a link is given up does not swallow the caller's own cancellation."""
    run = Run(lambda net: net.link([METRICS]), silence=Silence(10))

    async def read() -> None:
        async def pump() -> None:
            async for _ in run.connection.batches():
                pass

        for moment_s in (5.0, 10.0, 10.5, 20.0, 20.01, 21.0):
            task = asyncio.ensure_future(pump())
            await asyncio.sleep(moment_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()

    run.time.run(read())
    assert run.states[-1] == "closed"


# -- how a link ends


@pytest.mark.parametrize(
    ("code", "longest_s"), [(1001, 0.5), (1006, 0.5), (1012, 0.5), (1008, 10), (1013, 10)]
)
def test_the_close_code_says_how_long_to_wait(code: int, longest_s: float) -> None:
    """A node that restarts is tried at once; one that is overloaded is left in peace."""
    lost = TransportError("no", code=code)
    delays_s = [
        Run(lambda net: net.link([METRICS], end=lost), seed).until(lambda run: bool(run.delays_s)).delays_s[0]
        for seed in range(40)
    ]
    assert longest_s / 2 < max(delays_s) <= longest_s


def test_an_overloaded_node_is_the_cause_in_the_ledger() -> None:
    """Whether it says so in its close code or before."""
    limited = b'{"type":"error","error":{"code":"RATE_LIMITED","message":"slow down"}}'
    for net in (
        lambda net: net.link([METRICS], end=TransportError("later", code=1013)).link([METRICS]),
        lambda net: net.link([METRICS, limited], end=TransportError("", code=1008)).link([METRICS]),
    ):
        run = Run(net).until(lambda run: len(run.network.links) == 2 and run.states[-1] == "live")
        assert [gap.cause for gap in run.connection.ledger.gaps] == ["server_overload"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_handshake_is_given_up(status: int) -> None:
    """The same credentials would be refused again."""
    refused = TransportError(f"the server answered with HTTP status {status}", status=status)
    run = Run(lambda net: net.refuse(error=refused))
    with pytest.raises(CredentialsError, match=f"HTTP {status}"):
        run.until(lambda run: False)
    assert (run.network.connects, run.states[-1]) == (1, "failed")


def test_a_server_that_names_a_time_is_not_asked_before() -> None:
    """Retry-After is honoured, with jitter on top so that not all clients come at once."""
    busy = TransportError("the server answered with HTTP status 503", status=503, retry_after_s=100.0)
    run = Run(lambda net: net.refuse(3, busy).link([METRICS])).until(lambda run: run.frames == 1)
    assert all(delay_s >= 100 for delay_s in run.delays_s)
    assert len(set(run.delays_s)) == 3
    assert {incident.code for incident in run.incidents if incident.delay_s} == {"503"}


def test_a_path_without_a_stream_is_said_and_tried_slowly() -> None:
    """It is most often a wrong address."""
    missing = TransportError("the server answered with HTTP status 404", status=404)
    run = Run(lambda net: net.refuse(8, missing)).until(lambda run: run.network.connects == 8)
    assert "is the address right" in run.incidents[1].detail
    assert sum(run.delays_s) > 30


# -- what goes out


def sent_types(run: Run) -> list[str]:
    return [json.loads(text)["type"] for link in run.network.links for text in link.sent]


def test_after_too_many_messages_it_waits_as_long_as_asked_and_asks_again() -> None:
    """Nothing is sent meanwhile; what was refused is sent again, once."""
    limited = encode(ErrorEvent("RATE_LIMITED", "slow down", {"retry_after_s": 40}))
    run = Run(lambda net: net.link([METRICS], 5.0, [limited], *[5.0, [METRICS]] * 20))

    async def subscribe(run: Run) -> None:
        await asyncio.sleep(10)
        await run.connection.subscribe("blocks")

    run.until(lambda run: run.frames == 22, subscribe)
    (link,) = run.network.links
    assert sent_types(run) == ["auth", "subscribe", "subscribe"]
    assert json.loads(link.sent[2])["topics"] == ["network", "blocks"]
    assert 45 <= link.sent_at_s[2] <= 47
    assert any("nothing is sent for 40.0 s" in incident.detail for incident in run.incidents)


def test_a_refused_greeting_is_sent_again_whole() -> None:
    """While nothing shows that the node knows us, `auth` goes out again, too; the waits grow."""
    limited = b'{"type":"error","error":{"code":"RATE_LIMITED","message":"slow down"}}'
    run = Run(lambda net: net.link([limited], 10.0, [limited], 10.0, [limited], 30.0, [METRICS])).until(
        lambda run: run.frames == 4
    )
    assert sent_types(run) == ["auth", "subscribe"] * 4
    waits_s = [float(w) for i in run.incidents for w in re.findall(r"sent for (\S+) s", i.detail)]
    assert waits_s == [1.0]  # the same error is told once a minute
    stamps = {json.loads(text)["timestamp"] for text in run.network.links[0].sent[::2]}
    assert len(stamps) == 4


def test_errors_are_incidents_but_not_one_each() -> None:
    """A node that repeats itself does not push out everything else; each stays in the table of errors."""
    error = b'{"type":"error","error":{"code":"NETWORK_ERROR","message":"hm"}}'
    run = Run(lambda net: net.link(*[part for _ in range(100) for part in ([error] * 10, 1.0)])).until(
        lambda run: run.frames == 1_000
    )
    told = [incident for incident in run.incidents if incident.code == "NETWORK_ERROR"]
    assert [incident.state for incident in told] == ["live", "live"]
    assert run.network.connects == 1


def test_a_node_that_invents_errors_does_not_flood_the_incidents() -> None:
    """Ten kinds a minute are told."""
    errors = [encode(ErrorEvent(f"E{number}", "hm")) for number in range(500)]
    run = Run(lambda net: net.link(errors, 1.0, errors, 70.0, errors)).until(lambda run: run.frames == 1_500)
    assert len([incident for incident in run.incidents if incident.code]) == 20


def test_topics_added_at_once_are_asked_for_in_one_message_later() -> None:
    """Each message asks for all topics, so what waits is said in one."""
    run = Run(lambda net: net.link([METRICS], 5.0, [METRICS]))

    async def subscribe(run: Run) -> None:
        await asyncio.sleep(1)
        for topic in ("blocks", "social", "blocks", "memes"):
            await run.connection.subscribe(topic)
        await run.connection.unsubscribe("social")
        await run.connection.subscribe("social")

    run.until(lambda run: run.frames == 2, subscribe)
    assert sent_types(run) == ["auth"] + ["subscribe"] * 4
    assert json.loads(run.network.links[0].sent[-1])["topics"] == ["network", "blocks", "social", "memes"]


@settings(deadline=None, max_examples=10)
@given(
    st.lists(
        st.sampled_from(
            [
                [[METRICS]],
                [[METRICS], 0.01],
                [
                    [
                        b'{"type":"error","error":{"code":"RATE_LIMITED","message":"no","details":{"retry_after":7}}}'
                    ],
                    9.0,
                ],
                [],
                [30.0],
            ]
        ),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.floats(0, 2), min_size=1, max_size=30),
    st.integers(0, 2**32),
)
def test_no_minute_ever_holds_more_than_a_hundred_messages(
    ways: list[list[Any]], pauses_s: list[float], seed: int
) -> None:
    """Over all links, however often they break and however often topics are added and dropped."""
    run = Run(lambda net: net, seed)
    turn = itertools.cycle(ways)
    run.network.forever(lambda: MemoryLink(next(turn), TransportError("", code=1006), run.time, 0.0))

    async def storm(run: Run) -> None:
        for pause_s, topic in zip(
            itertools.cycle(pauses_s), ["blocks", "social", "memes"] * 200, strict=False
        ):
            await run.connection.subscribe(topic)
            await asyncio.sleep(pause_s / 10)
            await run.connection.unsubscribe(topic)

    run.until(lambda run: run.network.connects >= 70, storm)
    sent_at_s = sorted(at_s for link in run.network.links for at_s in link.sent_at_s)
    assert len(sent_at_s) > 100
    assert all(late - early > 60 for early, late in itertools.pairwise(sent_at_s[::100]))
    assert all(late - early > 60 for early, late in zip(sent_at_s, sent_at_s[100:], strict=False))


# -- clocks


@pytest.mark.parametrize("jump_s", [3_600.0, -3_600.0])
def test_a_jump_of_the_clock_is_an_incident_and_nothing_else(jump_s: float) -> None:
    """All waiting is by the clock that cannot be set; `auth` is stamped by the new time."""
    run = Run(lambda net: net.link([METRICS], 5.0, [METRICS], 5.0, end=LOST).link([METRICS]))

    async def jump(run: Run) -> None:
        await asyncio.sleep(3)
        run.time.jump_s = jump_s

    run.until(lambda run: run.frames == 3, jump)
    assert run.states[2:-1] == ["live", "live", "reconnecting", "authenticating", "live"]
    assert f"jumped by {jump_s:+.1f} s" in run.incidents[3].detail
    early, late = (json.loads(link.sent[0])["timestamp"] for link in run.network.links)
    moved_s = (datetime.fromisoformat(late) - datetime.fromisoformat(early)).total_seconds()
    assert moved_s == pytest.approx(jump_s + 10, abs=1.5)


# -- what is left


@pytest.mark.parametrize("what", ["identity", "session", "connection"])
def test_nothing_that_holds_the_key_can_be_pickled_or_shows_it(what: str) -> None:
    """A pickle would carry the key to wherever it is unpickled."""
    key = "5a" * 32
    identity = Identity(key)
    session = Session(["network"], identity)
    holders = {
        "identity": identity,
        "session": session,
        "connection": Connection(url="ws://node.example/ws/v1", session=session),
    }
    with pytest.raises(TypeError) as refused:
        pickle.dumps(holders[what])
    assert key not in str(refused.value) + repr(holders[what])


class Impatient(random.Random):
    """Draws no delay at all."""

    def uniform(self, a: float, b: float) -> float:
        return 0.0


def test_ten_thousand_links_leave_nothing_behind() -> None:
    """No task, and no memory but the ledger's and the incidents'."""
    time, links = VirtualTime(), 0

    async def connect(url: str) -> MemoryLink:
        nonlocal links
        links += 1
        if links % 3 == 0:
            raise TransportError("connection refused")
        return MemoryLink([[b'{"type":"welcome"}']], LOST, time, 0.0)

    connection = Connection(
        url="ws://node.example/ws/v1",
        session=Session(["network"], IDENTITY),
        connect=connect,
        clock=time.clock,
        rng=Impatient(),
    )

    async def cycle() -> list[int]:
        sizes = []
        async with aclosing(connection.batches()) as batches:
            async for _ in batches:
                if links in (2_000, 6_001, 10_000):
                    gc.collect()
                    sizes.append(sys.getallocatedblocks())
                    assert len(asyncio.all_tasks()) == 2
                if links >= 10_000:
                    break
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return sizes

    first, *later = time.run(cycle())
    assert all(size - first < 500 for size in later)
