"""The connection: greeting, reconnecting with jitter, gaps, incidents and refusals, on a virtual clock."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable

import pytest

from chaosnb.errors import CredentialsError, TransportError
from chaosnb.ingest.connection import Connection, Incident
from chaosnb.ingest.session import Session
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import NetworkMetrics
from chaosnb.protocol.signing import Identity
from tests.memory_network import MemoryNetwork, VirtualTime

METRICS = encode(NetworkMetrics(5, 1.5, 4, 2, 7, "2026-11-23T00:36:12.345Z"))
LOST = TransportError("going away", code=1001)


class Run:
    """A connection that runs over a scripted network until something has happened."""

    def __init__(self, network: Callable[[MemoryNetwork], object], seed: int = 1) -> None:
        self.time = VirtualTime()
        self.network = MemoryNetwork(self.time)
        network(self.network)
        self.incidents: list[Incident] = []
        self.events = 0
        self.connection = Connection(
            url="ws://node.example/ws/v1",
            session=Session(["network"], Identity.generate()),
            connect=self.network,
            clock=self.time.clock,
            rng=random.Random(seed),
            on_incident=self.incidents.append,
        )

    def until(self, happened: Callable[[Run], bool]) -> Run:
        asyncio.run(asyncio.wait_for(self._until(happened), 20))
        return self

    async def _until(self, happened: Callable[[Run], bool]) -> None:
        async def pump() -> None:
            async for batch in self.connection.batches():
                self.events += batch.events

        task = asyncio.create_task(pump())
        while not happened(self) and not task.done():
            await asyncio.sleep(0)
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @property
    def states(self) -> list[str]:
        return [incident.state for incident in self.incidents]


def test_it_greets_and_goes_live_with_the_first_frame() -> None:
    """No acknowledgement is waited for, since the protocol defines none."""
    run = Run(lambda net: net.link([METRICS])).until(lambda run: run.events == 1)
    assert [json.loads(text)["type"] for text in run.network.links[0].sent] == ["auth", "subscribe"]
    assert run.states == ["connecting", "authenticating", "live", "closed"]
    assert run.network.links[0].closed


def test_after_a_loss_it_connects_greets_anew_and_the_gap_is_in_the_ledger() -> None:
    """The gap lasts from the last event before the loss to the first of the next link, by their own time."""
    later = METRICS.replace(b"00:36:12.345Z", b"00:36:19.345Z")
    run = Run(lambda net: net.link([METRICS], end=LOST).refuse(2).link([later])).until(
        lambda run: run.events == 2
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
    run = Run(lambda net: net.refuse(3).link([METRICS])).until(lambda run: run.events == 1)
    assert run.connection.ledger.gaps == []


def test_a_refused_connection_is_an_incident_with_the_next_try() -> None:
    """The reader learns what happened and when it goes on."""
    run = Run(lambda net: net.refuse().link([METRICS])).until(lambda run: run.events == 1)
    refused = run.incidents[1]
    assert (refused.state, refused.detail) == ("reconnecting", "connection refused")
    assert refused.delay_s == run.time.sleeps[0]


def test_a_close_code_is_kept() -> None:
    """1013 means something else than 1001."""
    run = Run(lambda net: net.link([METRICS], end=LOST).link([METRICS])).until(lambda run: run.events == 2)
    (lost,) = [incident for incident in run.incidents if incident.delay_s is not None]
    assert (lost.code, lost.detail) == ("1001", "the link was lost: going away")


def test_delays_follow_full_jitter() -> None:
    """Each delay is uniform between 0 and 0.5 s doubled at each try, up to 30 s."""
    delays = [
        Run(lambda net: net.refuse(12), seed).until(lambda run: run.network.connects == 13)
        for seed in range(200)
    ]
    for attempt in range(12):
        longest = min(30.0, 0.5 * 2**attempt)
        drawn = [run.time.sleeps[attempt] / longest for run in delays]
        assert 0 <= min(drawn) < 0.1
        assert 0.9 < max(drawn) <= 1
        assert sum(drawn) / len(drawn) == pytest.approx(0.5, abs=0.1)


def test_a_minute_of_stability_starts_the_delays_anew() -> None:
    """A link that held is not held responsible for earlier failures."""
    stable = Run(lambda net: net.refuse(10).link([METRICS], end=LOST, lasts_s=61).refuse(1)).until(
        lambda run: run.network.connects == 12
    )
    assert stable.time.sleeps[10] <= 0.5
    unstable = Run(lambda net: net.refuse(10).link([METRICS], end=LOST, lasts_s=1).refuse(1)).until(
        lambda run: run.network.connects == 12
    )
    assert unstable.time.sleeps[10] > 0.5


@pytest.mark.parametrize("code", ["INVALID_SIGNATURE", "INVALID_AGENT"])
def test_refused_credentials_end_it_with_an_error_that_says_what_to_do(code: str) -> None:
    """The same credentials would fail again, so there is no second try; the error stays an event."""
    refusal = b'{"type":"error","error":{"code":"%s","message":"no"}}' % code.encode()
    run = Run(lambda net: net.link([refusal]))
    with pytest.raises(CredentialsError, match="clock") as caught:
        run.until(lambda run: False)
    assert (caught.value.code, caught.value.message) == (code, "no")
    assert (run.network.connects, run.events, run.states[-1]) == (1, 1, "failed")
    assert run.network.links[0].closed


def test_other_errors_do_not_end_it() -> None:
    """RATE_LIMITED and the like are events, and the stream goes on."""
    limited = b'{"type":"error","error":{"code":"RATE_LIMITED","message":"slow down"}}'
    run = Run(lambda net: net.link([limited], [METRICS])).until(lambda run: run.events == 2)
    assert run.network.connects == 1


def test_a_large_turn_is_given_in_batches() -> None:
    """A backlog does not hold up the loop for long."""
    sizes = []
    run = Run(lambda net: net.link([METRICS] * 1_200))

    async def read() -> None:
        batches = run.connection.batches()
        async for batch in batches:
            sizes.append(batch.frames)
            if sum(sizes) == 1_200:
                break
        await batches.aclose()

    asyncio.run(read())
    assert sizes == [500, 500, 200]


def test_frames_are_logged_cut_and_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """Terminal escapes and line breaks from a node do not reach a terminal."""
    hostile = b"\x1b[31m\n" + b"x" * 5_000
    with caplog.at_level(logging.DEBUG, logger="chaosnb.frames"):
        Run(lambda net: net.link([hostile], [METRICS])).until(lambda run: run.events == 1)
    first = caplog.records[0].getMessage()
    assert first.startswith(r"\x1b[31m\n")
    assert len(first) < 2_100
    assert first.isprintable()
