"""What goes wrong on the simulated node's links, as a client meets it over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidMessage, InvalidStatus

from chaosnb.devnet import Cut, Devnet, Faults, Refuse, Stall
from chaosnb.errors import DevnetError
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.signing import Identity, auth_message

BOUND_S = 15.0
START = datetime(2026, 11, 23, tzinfo=UTC)
ALL = ("blocks", "consensus", "network", "social")


@asynccontextmanager
async def dial(node: Devnet, identity: Identity | None = None) -> AsyncIterator[ClientConnection]:
    """Connect, authenticate, subscribe, and hear the node say so."""
    async with connect(
        node.url, compression=None, max_queue=None, close_timeout=1, ping_interval=None
    ) as link:
        stamp = format_timestamp(time.time_ns() // 1_000)
        await link.send(auth_message(identity or Identity.generate(), stamp))
        assert json.loads(await link.recv())["type"] == "auth_success"
        await link.send(json.dumps({"type": "subscribe", "topics": ALL}))
        assert json.loads(await link.recv())["type"] == "subscribed"
        yield link


def run(talk: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(BOUND_S):
            return await talk()

    return asyncio.run(bounded())


async def tell(switch: Callable[..., None], *arguments: Any, **options: Any) -> None:
    """Call a switch of the node, whose answer must not be waited for in the loop of the client."""
    await asyncio.to_thread(switch, *arguments, **options)


async def rest(link: ClientConnection, *, quiet_s: float = BOUND_S) -> list[bytes]:
    """Return what comes until the link ends, or is quiet for so long."""
    frames: list[bytes] = []
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        while True:
            async with asyncio.timeout(quiet_s):
                frames.append(await link.recv(decode=False))
    return frames


async def collect(node: Devnet, identity: Identity) -> list[list[bytes]]:
    """Return all frames of a node whose duration ends, link by link; connect again when one is cut."""
    links: list[list[bytes]] = []

    def is_over() -> bool:
        return node.wait_finished(0) and sum(map(len, links)) >= node.sent.total()

    while not is_over():
        with contextlib.suppress(ConnectionClosed, OSError, InvalidStatus, InvalidMessage):
            async with dial(node, identity) as link:
                links.append([])
                while not is_over():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            links[-1].append(await link.recv(decode=False))
    return links


# -- switches


def test_a_reset_ends_the_link_without_a_word() -> None:
    """What arrived before is a beginning of what was handed over."""

    async def talk() -> list[bytes]:
        async with dial(node) as link:
            frames = [await link.recv(decode=False)]
            await tell(node.cut)
            frames += await rest(link)
            with pytest.raises(ConnectionClosedError) as caught:
                await link.recv()
            assert (caught.value.rcvd, type(caught.value.__cause__)) == (None, ConnectionResetError)
            return frames

    with Devnet(rate=400, record=True) as node:
        frames = run(talk)
        (link,) = node.sent.links()
        assert (link.ended, link.is_whole) == ("reset", False)
        assert frames == [message.data for message in link.handed][: len(frames)]


def test_a_half_open_link_stays_and_is_mute() -> None:
    """Neither events nor pongs come any more, and the node learns when the client gives up."""

    async def talk() -> list[bytes]:
        async with dial(node) as link:
            frames = [await link.recv(decode=False)]
            await tell(node.cut, "half-open")
            pong = await link.ping()
            frames += await rest(link, quiet_s=0.3)
            assert not pong.done()
            assert link.state.name == "OPEN"
        return frames

    with Devnet(rate=400, record=True) as node:
        frames = run(talk)
        (link,) = node.sent.links()
        assert link.ended == "half-open"
        assert frames == [message.data for message in link.handed]
        begin_s = time.monotonic()
        node.close()
        assert time.monotonic() - begin_s < 0.7


@pytest.mark.parametrize("code", [*range(1000, 1016), 3000, 4999])
def test_each_close_code(code: int) -> None:
    """Those too that must not be on the wire are there."""
    with Devnet() as node, socket.create_connection(("127.0.0.1", node.port), timeout=BOUND_S) as link:
        link.sendall(
            f"GET /ws/v1 HTTP/1.1\r\nHost: 127.0.0.1:{node.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b" 101 " in link.recv(4_096)
        node.cut(code)
        head = link.recv(4)
        assert (head[0], struct.unpack("!H", head[2:])[0]) == (0x88, code)
        link.sendall(b"\x88\x82\x00\x00\x00\x00" + struct.pack("!H", 1000))


def test_a_close_code_comes_behind_what_was_sent_before() -> None:
    """Nothing that was handed over is missing."""

    async def talk() -> tuple[list[bytes], int | None]:
        async with dial(node) as link:
            frames = [await link.recv(decode=False)]
            await tell(node.cut, 1012)
            return frames + await rest(link), link.close_code

    with Devnet(rate=2_000, record=True) as node:
        frames, code = run(talk)
        (link,) = node.sent.links()
        assert (code, link.ended, link.is_whole) == (1012, 1012, True)
        assert frames == [message.data for message in link.handed]


def test_a_stall_is_silence_and_loses_nothing() -> None:
    """What came meanwhile comes at once afterwards; the link answers all the while."""

    async def talk() -> float:
        async with dial(node) as link:
            await link.recv()
            begin_s = time.monotonic()
            await tell(node.stall, 0.8)
            await rest(link, quiet_s=0.2)
            await asyncio.wait_for(await link.ping(), BOUND_S)
            await link.recv()
            return time.monotonic() - begin_s

    with Devnet(rate=400, record=True) as node:
        assert 0.6 < run(talk) < 5.0
        numbers = [message.number for message in node.sent.delivered()]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_flood_brings_events_at_once() -> None:
    """As many as were asked for, each another one."""

    async def talk() -> list[bytes]:
        async with dial(node) as link:
            await tell(node.flood, 5_000)
            return [await link.recv(decode=False) for _ in range(5_000)]

    with Devnet(rate=1) as node:
        frames = run(talk)
        assert len({frame for frame in frames if b"flood 1." in frame}) > 4_900


def test_garbage_is_sent_as_it_is() -> None:
    """As text or binary; what is no UTF-8 ends the link with 1007, as it must."""

    async def talk() -> tuple[list[str | bytes], int | None]:
        async with dial(node) as link:
            await tell(node.garbage, b'{"type":')
            await tell(node.garbage, b"\x00\xff", binary=True)
            got = [m for m in [await link.recv() for _ in range(30)] if m in ('{"type":', b"\x00\xff")]
            await tell(node.garbage, b"\xff\xfe")
            with pytest.raises(ConnectionClosed) as caught:
                while True:
                    await link.recv()
            assert caught.value.sent is not None
            return got, caught.value.sent.code

    with Devnet(rate=400) as node:
        assert run(talk) == (['{"type":', b"\x00\xff"], 1007)
        assert node.sent["garbage"] == 3


@pytest.mark.parametrize(("status", "error"), [(503, InvalidStatus), (None, (InvalidMessage, OSError))])
def test_new_links_are_refused_for_a_while(status: int | None, error: Any) -> None:
    """Those that are there stay."""

    async def talk() -> None:
        async with dial(node) as link:
            begin_s = time.monotonic()
            await tell(node.refuse_for, 1.0, status)
            refused = 0
            while True:
                try:
                    async with dial(node) as other:
                        await other.recv()
                    break
                except error:
                    refused += 1
                    await asyncio.sleep(0.1)
            assert refused > 0
            assert time.monotonic() - begin_s >= 1.0
            await link.recv()

    with Devnet(rate=400) as node:
        run(talk)


def test_a_closed_node_has_no_links_to_cut() -> None:
    """It says what to do."""
    with pytest.raises(DevnetError, match=r"call start\(\) first"):
        Devnet().cut()


def test_a_switch_needs_sense() -> None:
    """Nothing happens to the links by a wrong argument."""
    with Devnet() as node:
        with pytest.raises(ValueError, match="half-open"):
            node.cut("half")
        with pytest.raises(ValueError, match="seconds"):
            node.stall(-1)


# -- faults by chance and by script


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_truth_is_what_a_client_received(seed: int) -> None:
    """To the byte, link by link, where no link is reset."""
    faults = Faults(
        seed=seed, drop=0.05, duplicate=0.05, reorder=0.05, delay=0.05, garbage=0.02, stall=0.05, flood=0.02,
        flood_events=50, cut=0.03, cuts=(1001, 1012, 1013), refuse=0.3, replay_s=3.0, skew_s=5.0,
    )  # fmt: skip
    with Devnet(seed=seed, speed=None, duration=300, faults=faults) as node:
        links = run(lambda: collect(node, Identity.generate()))
        sent = node.sent
    assert links == [[message.data for message in link.handed] for link in sent.links()]
    assert len(links) > 3
    fates = {fate for _, fate in sent.fates()}
    assert {"sent", "dropped", "delayed", "reordered"} <= fates
    assert sent.copies() > 0 < sent["garbage"]
    assert len(sent.due()) == len(sent.missed()) + len({m.number for m in sent.rows()} - {-1}) - _before(sent)


def _before(sent: Any) -> int:
    """Rows from before the first subscription, which only a replay could bring."""
    since = sent.links()[0].subscriptions[0].since
    return sum(0 <= message.number < since for message in sent.rows())


def test_after_a_reset_what_arrived_is_a_beginning_of_what_was_handed_over() -> None:
    """The truth says of which links that holds."""
    faults = Faults(seed=1, cut=0.1, script=((1.0, Stall(1.0)), (60.0, Cut(1001))))

    async def collect_some() -> list[list[bytes]]:
        identity, links = Identity.generate(), []
        while not node.wait_finished(0):
            with contextlib.suppress(OSError, ConnectionClosed):
                async with dial(node, identity) as link:
                    links.append(await rest(link, quiet_s=0.3))
        return links

    with Devnet(speed=None, duration=100, faults=faults) as node:
        links = run(collect_some)
        truth = node.sent.links()
    assert len(links) == len(truth) > 3
    for frames, link in zip(links, truth, strict=True):
        handed = [message.data for message in link.handed]
        assert frames == (handed if link.is_whole else handed[: len(frames)])


def test_at_the_end_of_its_duration_a_node_releases_what_is_held_back() -> None:
    """Delays that reach beyond it lose nothing."""
    with Devnet(speed=None, duration=20, faults=Faults(delay=1.0, max_delay_s=500.0)) as node:
        (frames,) = run(lambda: collect(node, Identity.generate()))
        assert node.sent.missed() == []
        assert len(frames) == len(node.sent.due()) > 100


def test_a_client_that_comes_back_is_sent_the_last_seconds_again() -> None:
    """One that is new is not."""

    async def talk() -> None:
        me = Identity.generate()
        async with dial(node, me) as link:
            first = [await link.recv(decode=False) for _ in range(100)]
        async with dial(node, me) as link:
            again = [await link.recv(decode=False) for _ in range(200)]
            assert {*first} <= {*again}
        async with dial(node) as link:
            await link.recv()

    with Devnet(rate=400, faults=Faults(replay_s=60.0)) as node:
        run(talk)
        me, other = node.sent.clients
        assert node.sent.missed(me) == []
        assert node.sent.copies(me) >= 100
        assert {fate for _, fate in node.sent.fates(other)} <= {"sent", "lost"}


def test_refusals_by_script() -> None:
    """The first attempt after that moment is refused."""

    async def talk() -> None:
        with pytest.raises(InvalidStatus, match="500"):
            async with dial(node):
                pass

    with Devnet(faults=Faults(script=((0.0, Refuse(60.0, 500)),))) as node:
        run(talk)


# -- the record


@pytest.mark.parametrize("options", [{"record": True}, {"faults": "seed=9"}])
def test_neither_a_record_nor_idle_faults_change_the_bytes(options: dict[str, Any]) -> None:
    """The same seed and start give the same frames as a plain node."""

    def frames(**options: Any) -> list[bytes]:
        with Devnet(seed=3, speed=None, start=START, duration=60, **options) as node:
            (link,) = run(lambda: collect(node, Identity.generate()))
            return list(link)

    assert frames() == frames(**options)


def test_without_a_record_there_are_counts_only() -> None:
    """And the error says how to have more."""
    with Devnet() as node:
        assert (node.sent.total(), dict(node.sent)) == (0, {})
        with pytest.raises(DevnetError, match="record=True"):
            node.sent.missed()


def test_faults_without_a_record_keep_counts_only() -> None:
    """So that a long run takes no memory."""
    with Devnet(faults="drop=0.1", record=False) as node, pytest.raises(DevnetError, match="record=True"):
        _ = node.sent.emitted


def test_the_past_can_be_forgotten() -> None:
    """What is left is as if nothing had been before; the counts stay."""
    with Devnet(speed=None, duration=300, faults=Faults(seed=1, drop=0.1, cut=0.05, cuts=(1001,))) as node:
        run(lambda: collect(node, Identity.generate()))
        before, total = node.sent.fates(), node.sent.total()
        middle_us = before[len(before) // 2][0].time_us
        node.forget(middle_us)
        assert node.sent.fates() == [(m, fate) for m, fate in before if m.time_us >= middle_us]
        assert min(message.time_us for message in node.sent.delivered()) >= middle_us
        assert node.sent.total() == total
    node.forget(middle_us + 10**12)
    assert node.sent.fates() == node.sent.delivered() == []


def test_a_client_cut_off_for_its_slowness_has_lost_what_waited() -> None:
    """The truth knows the close code and the messages."""

    async def talk() -> None:
        async with dial(node) as link:
            await tell(node.flood, 2_000)
            await rest(link)
            assert link.close_code == 1013

    with Devnet(record=True, queue_frames=1_000) as node:
        run(talk)
        (link,) = node.sent.links()
        assert link.ended == 1013
        assert {message.fate for message in link.messages} >= {"lost"}


def test_a_node_that_is_closed_ended_its_links_itself() -> None:
    """And a client that left, left by itself."""

    async def talk() -> None:
        async with dial(node) as link:
            await link.recv()
        async with dial(node) as link:
            await link.recv()
            await asyncio.to_thread(node.close)
            await rest(link)

    with Devnet(rate=400, record=True) as node:
        run(talk)
        first, second = (node.sent.links(client)[0] for client in node.sent.clients)
    assert (first.ended, second.ended) == ("client", 1001)
