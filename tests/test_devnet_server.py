"""The simulated node as a client meets it: over a real socket on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
import tracemalloc
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chaosnb.devnet import Devnet, Parameters
from chaosnb.errors import DevnetError
from chaosnb.protocol.events import PERSONALITIES, TOPICS
from chaosnb.protocol.iso8601 import format_timestamp, parse_timestamps
from chaosnb.protocol.signing import Identity, auth_message, auth_text

BOUND_S = 15.0
START = datetime(2026, 11, 23, tzinfo=UTC)
ALL = ("blocks", "consensus", "network", "social")
ME = Identity.generate()


def stamp(shift_s: float = 0.0) -> str:
    """Return the time now, shifted."""
    return format_timestamp(int((time.time() + shift_s) * 1e6))


@asynccontextmanager
async def dial(node: Devnet, **options: Any) -> AsyncIterator[ClientConnection]:
    """Connect without saying anything."""
    # Without a bound of its own queue, a client that leaves early need not wait for what it has not read.
    options = {"compression": None, "max_queue": None, "close_timeout": 1} | options
    async with asyncio.timeout(BOUND_S), connect(node.url, **options) as link:
        yield link


@asynccontextmanager
async def subscribed(node: Devnet, topics: tuple[str, ...] = ALL, **options: Any) -> AsyncIterator[Any]:
    """Connect, authenticate and subscribe."""
    async with dial(node, **options) as link:
        await link.send(auth_message(Identity.generate(), stamp()))
        assert (await answer(link))["type"] == "auth_success"
        await link.send(json.dumps({"type": "subscribe", "topics": topics}))
        assert await answer(link) == {"type": "subscribed", "topics": list(topics)}
        yield link


async def answer(link: ClientConnection) -> dict[str, Any]:
    """Return the next message."""
    message: dict[str, Any] = json.loads(await link.recv())
    return message


async def refusal(node: Devnet, *messages: str | bytes) -> tuple[str, int | None]:
    """Send messages and return the first error's code, and the close code if the node closed then."""
    async with dial(node) as link:
        for message in messages:
            await link.send(message)
        while (reply := await answer(link))["type"] != "error":
            pass
        assert set(reply["error"]) == {"code", "message", "details"}
        if reply["error"]["code"] in ("INVALID_SIGNATURE", "INVALID_AGENT"):
            with pytest.raises(ConnectionClosed):
                await link.recv()
        return reply["error"]["code"], link.close_code


async def take_all(node: Devnet, topics: tuple[str, ...] = ALL, pause_s: float = 0.0) -> list[bytes]:
    """Return all event frames of a node whose duration ends, after a pause."""
    frames: list[bytes] = []
    async with subscribed(node, topics, max_queue=16 if pause_s else None) as link:
        await asyncio.sleep(pause_s)
        while not (node.wait_finished(0) and len(frames) >= sum(node.sent.values())):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    frames.append(await link.recv(decode=False))
    return frames


async def until_closed(link: ClientConnection) -> list[dict[str, Any]]:
    """Return all that comes until the node closes the connection."""
    return [json.loads(message) async for message in ever(link)]


async def ever(link: ClientConnection) -> AsyncIterator[str | bytes]:
    """Yield messages until the connection is closed, with whatever code."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield await link.recv()


def get(node: Devnet, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
    """Return status and content of an HTTP answer."""
    request = urllib.request.Request(node.http_url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=BOUND_S) as response:
            assert response.headers["Content-Type"] == "application/json"
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def node() -> Iterator[Devnet]:
    """Return a node that runs by the clock."""
    with Devnet(rate=400, refuse=frozenset({ME.public_key_hex})) as running:
        yield running


def kinds(frames: list[bytes]) -> Counter[str]:
    """Count frames by their type."""
    return Counter(json.loads(frame)["type"] for frame in frames)


# -- coming in


def test_a_good_signature_is_let_in(node: Devnet) -> None:
    """A signed client is acknowledged with its connection id, and then gets events."""

    async def talk() -> None:
        async with dial(node) as link:
            await link.send(auth_message(Identity.generate(), stamp()))
            await link.send(json.dumps({"type": "subscribe", "topics": ["network"]}))
            first, second, third = [await answer(link) for _ in range(3)]
        assert first["type"] == "auth_success"
        assert first["connection_id"]
        assert second == {"type": "subscribed", "topics": ["network"]}
        assert set(third) == {"type", "data"}

    asyncio.run(talk())


@pytest.mark.parametrize("shift_s", [-301.0, 301.0, -86_400.0])
def test_a_stale_or_future_signature_is_refused(node: Devnet, shift_s: float) -> None:
    """A signature further than five minutes from now is refused, and the connection closed."""
    message = auth_message(Identity.generate(), stamp(shift_s))
    assert asyncio.run(refusal(node, message)) == ("INVALID_SIGNATURE", 1008)


@pytest.mark.parametrize("shift_s", [-290.0, 290.0])
def test_clocks_may_differ(node: Devnet, shift_s: float) -> None:
    """Within five minutes, either way, a signature is good."""

    async def talk() -> str:
        async with dial(node) as link:
            await link.send(auth_message(Identity.generate(), stamp(shift_s)))
            return str((await answer(link))["type"])

    assert asyncio.run(talk()) == "auth_success"


def test_a_replayed_signature_is_refused(node: Devnet) -> None:
    """A signature is good once."""

    async def talk() -> tuple[str, int | None]:
        message = auth_message(Identity.generate(), stamp())
        async with dial(node) as link:
            await link.send(message)
            assert (await answer(link))["type"] == "auth_success"
        return await refusal(node, message)

    assert asyncio.run(talk()) == ("INVALID_SIGNATURE", 1008)


def forged(**changes: object) -> str:
    """Return an auth message of which something is changed or (None) left out."""
    identity, timestamp = Identity.generate(), stamp()
    message: dict[str, object] = {
        "type": "auth",
        "public_key": identity.public_key_hex,
        "timestamp": timestamp,
        "signature": identity.sign(auth_text(identity.public_key_hex, timestamp)),
    } | changes
    return json.dumps({name: value for name, value in message.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"signature": "00" * 64}, "INVALID_SIGNATURE"),
        ({"signature": "xyz"}, "INVALID_SIGNATURE"),
        ({"timestamp": "2026-11-23"}, "INVALID_SIGNATURE"),
        ({"timestamp": "\ud800"}, "INVALID_SIGNATURE"),
        ({"public_key": "00"}, "INVALID_AGENT"),
        ({"public_key": "g" * 64}, "INVALID_AGENT"),
        ({"public_key": "\u0660" * 64}, "INVALID_AGENT"),
        ({"public_key": "00" * 32}, "INVALID_SIGNATURE"),
        ({"public_key": Identity.generate().public_key_hex}, "INVALID_SIGNATURE"),
    ],
)
def test_bad_credentials_are_refused(node: Devnet, changes: dict[str, object], code: str) -> None:
    """Bad credentials bring their error, and the connection is closed with 1008."""
    assert asyncio.run(refusal(node, forged(**changes))) == (code, 1008)


def test_an_unwelcome_agent_is_refused(node: Devnet) -> None:
    """Public keys in `refuse` are turned away."""
    assert asyncio.run(refusal(node, auth_message(ME, stamp()))) == ("INVALID_AGENT", 1008)


@pytest.mark.parametrize(
    "message",
    [
        "{oops",
        "[]",
        "7",
        "[" * 30_000,
        "{}",
        b"\x00\x01",
        json.dumps({"type": "dance"}),
        json.dumps({"type": ["auth"]}),
        json.dumps({"type": "auth"}),
        forged(public_key=5),
        json.dumps({"type": "subscribe", "topics": ["blocks"]}),
    ],
)
def test_malformed_messages(node: Devnet, message: str | bytes) -> None:
    """What is malformed or comes before authentication is INVALID_REQUEST, and the connection stays open."""
    assert asyncio.run(refusal(node, message)) == ("INVALID_REQUEST", None)


@pytest.mark.parametrize("topics", [["blocks", "gossip"], [], "blocks", [1], None, {"blocks": 1}])
def test_unknown_topics(node: Devnet, topics: object) -> None:
    """Topics that the protocol does not have are INVALID_REQUEST."""
    subscribe = json.dumps({"type": "subscribe", "topics": topics})
    assert asyncio.run(refusal(node, forged(), subscribe)) == ("INVALID_REQUEST", None)


def test_authenticating_twice(node: Devnet) -> None:
    """A second authentication on a connection is INVALID_REQUEST."""
    assert asyncio.run(refusal(node, forged(), forged())) == ("INVALID_REQUEST", None)


def test_oversized_message(node: Devnet) -> None:
    """A message of more than 64 KiB closes the connection with 1009; one of 64 KiB does not."""

    async def talk() -> int | None:
        async with dial(node) as link:
            await link.send(" " * 65_536)
            assert (await answer(link))["error"]["code"] == "INVALID_REQUEST"
            await link.send(" " * 65_537)
            with pytest.raises(ConnectionClosed):
                await link.recv()
            return link.close_code

    assert asyncio.run(talk()) == 1009


def test_rate_limit(node: Devnet) -> None:
    """More than 100 messages a minute bring RATE_LIMITED, and going on brings close code 1008."""

    async def talk() -> tuple[list[str], int | None]:
        async with dial(node) as link:
            for _ in range(130):
                await link.send("{}")
            return [message["error"]["code"] for message in await until_closed(link)], link.close_code

    codes, close_code = asyncio.run(talk())
    assert codes[:101] == ["INVALID_REQUEST"] * 100 + ["RATE_LIMITED"]
    assert set(codes[100:]) == {"RATE_LIMITED"}
    assert close_code == 1008


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
def test_foreign_origin(node: Devnet, origin: str) -> None:
    """Pages from elsewhere may neither open a WebSocket nor read over HTTP."""

    async def talk() -> int:
        with pytest.raises(InvalidStatus) as caught:
            async with dial(node, origin=origin):
                pass
        return caught.value.response.status_code

    assert asyncio.run(talk()) == 403
    assert get(node, "/api/v1/network/state", Origin=origin)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_own_origin(node: Devnet, host: str) -> None:
    """Pages from the node itself are welcome."""

    async def talk() -> None:
        async with dial(node, origin=f"http://{host}:{node.port}") as link:
            await link.ping()

    asyncio.run(talk())


# -- events


@pytest.mark.parametrize("topic", TOPICS)
def test_topics(topic: str) -> None:
    """A topic brings its events, all of them, and no others."""
    with Devnet(speed=None, duration=30, start=START) as node:
        assert set(kinds(asyncio.run(take_all(node, (topic,))))) == set(TOPICS[topic])


def test_topics_add_up(node: Devnet) -> None:
    """Subscribing again adds topics."""

    async def talk() -> list[str]:
        async with subscribed(node, ("memes",)) as link:
            await link.send(json.dumps({"type": "subscribe", "topics": ["network", "memes"]}))
            while (reply := await answer(link))["type"] != "subscribed":
                pass
            return list(reply["topics"])

    assert asyncio.run(talk()) == ["memes", "network"]


def test_an_event_comes_once() -> None:
    """A meme comes once to who subscribed to social and memes."""
    with Devnet(speed=None, duration=60) as node:
        frames = asyncio.run(take_all(node, ("social", "memes")))
    memes = [json.loads(frame)["data"]["meme_id"] for frame in frames if b'"meme_posted"' in frame]
    assert memes
    assert len(memes) == len(set(memes))


def test_full_speed_loses_nothing() -> None:
    """At full speed a client gets as many events of each type as the node counts, in order."""
    with Devnet(speed=None, duration=500) as node:
        frames = asyncio.run(take_all(node))
        assert node.wait_finished(BOUND_S)
        assert kinds(frames) == node.sent
    assert len(frames) == pytest.approx(10_000, rel=0.1)
    times = parse_timestamps([json.loads(frame)["data"]["timestamp"] for frame in frames])
    assert (times[1:] >= times[:-1]).all()


def test_two_clients_share_the_events() -> None:
    """Two clients of a node by the clock get the same frames, and both are counted."""

    async def listen(node: Devnet) -> tuple[list[bytes], list[bytes]]:
        async with subscribed(node) as one, subscribed(node) as two:
            first = [await one.recv(decode=False) for _ in range(400)]
            second = [await two.recv(decode=False) for _ in range(200)]
        return first, second

    with Devnet(rate=2_000) as node:
        first, second = asyncio.run(listen(node))
        assert sum(node.sent.values()) >= 600
    begin = first.index(second[0])
    assert first[begin : begin + 100] == second[:100]


def test_fixed_start_gives_the_same_frames() -> None:
    """With a fixed start, two nodes send the same bytes."""
    runs = []
    for _ in range(2):
        with Devnet(seed=3, speed=None, start=START, duration=60) as node:
            runs.append(asyncio.run(take_all(node)))
    assert runs[0] == runs[1]
    assert b'"2026-11-23T00:00:' in runs[0][0]


def test_pace() -> None:
    """By the clock, events come at the rate times the speed, and bear the time that it is."""

    async def listen(node: Devnet) -> tuple[float, list[bytes]]:
        async with subscribed(node) as link:
            await link.recv()
            begin_s = time.monotonic()
            frames = [await link.recv(decode=False) for _ in range(1_000)]
            return time.monotonic() - begin_s, frames

    with Devnet(rate=100, speed=10) as node:
        taken_s, frames = asyncio.run(listen(node))
    assert 0.6 < taken_s < 2.5
    (begin_us, end_us) = parse_timestamps(
        [json.loads(frame)["data"]["timestamp"] for frame in (frames[0], frames[-1])]
    )
    assert (end_us - begin_us) / 1e6 == pytest.approx(10 * taken_s, rel=0.3)


def test_duration_by_the_clock() -> None:
    """After its duration the node sends nothing more, but stays up."""
    with Devnet(duration=0.2) as node:
        assert node.wait_finished(BOUND_S)
        before = node.sent
        assert get(node, "/api/v1/network/state")[0] == 200
        assert node.sent == before


def test_an_endless_node_is_not_finished(node: Devnet) -> None:
    """Waiting for the end of an endless node runs out of time."""
    assert not node.wait_finished(0.01)


# -- slow clients


async def stall(node: Devnet) -> int | None:
    """Subscribe, read nothing until the node gives up, then read on to the close code."""
    async with dial(node, max_queue=1) as link:
        await link.send(auth_message(Identity.generate(), stamp()))
        name = (await answer(link))["connection_id"]
        await link.send(json.dumps({"type": "subscribe", "topics": ALL}))
        while (await asyncio.to_thread(get, node, f"/api/v1/debug/ws/{name}"))[1]["data"][
            "state"
        ] != "closed":
            await asyncio.sleep(0.005)
        await until_closed(link)
        return link.close_code


def test_slow_reader_by_the_clock() -> None:
    """Who reads too slowly is cut off with 1013, and what waits for it takes bounded memory."""
    with Devnet(rate=20_000, queue_frames=500) as node:
        tracemalloc.start()
        try:
            code = asyncio.run(stall(node))
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert code == 1013
    assert peak_bytes < 30 * 2**20


def test_slow_reader_at_full_speed() -> None:
    """At full speed a client that takes nothing for longer than the patience is cut off with 1013."""
    with Devnet(speed=None, patience_s=0.6) as node:
        assert asyncio.run(stall(node)) == 1013


def test_a_pause_within_the_patience_loses_nothing() -> None:
    """At full speed a client may pause, and loses nothing by it."""
    with Devnet(speed=None, duration=900) as node:
        frames = asyncio.run(take_all(node, pause_s=0.3))
        assert kinds(frames) == node.sent


# -- HTTP


def test_debug_endpoint(node: Devnet) -> None:
    """The debug endpoint tells of a connection while it lasts, and afterwards that it is closed."""

    async def talk() -> tuple[str, dict[str, Any]]:
        async with dial(node) as link:
            await link.send(auth_message(Identity.generate(), stamp()))
            name = (await answer(link))["connection_id"]
            await link.send(json.dumps({"type": "subscribe", "topics": ["blocks"]}))
            await answer(link)
            await link.recv()
            _, content = await asyncio.to_thread(get, node, f"/api/v1/debug/ws/{name}")
            return name, content

    name, content = asyncio.run(talk())
    data = content["data"]
    assert (content["success"], content["error"]) == (True, None)
    assert (data["connection_id"], data["state"], data["subscriptions"]) == (name, "subscribed", ["blocks"])
    assert data["messages_received"] == 2
    assert data["frames_sent"] >= 3
    assert data["bytes_sent"] > 100
    times = parse_timestamps([data["connected_at"], data["last_activity"]])
    assert times[0] <= times[1]
    limit_s = time.monotonic() + BOUND_S
    while (state := get(node, f"/api/v1/debug/ws/{name}")[1]["data"]["state"]) != "closed":
        assert time.monotonic() < limit_s, state


@pytest.mark.parametrize(
    "path",
    ["/", "/ws", "/ws/v2", "/api/v1", "/api/v1/", "/api/v1/network", "/api/v1/debug/ws/nobody",
     "/api/v1/debug/ws/..%2f..", "/api/v1/debug/ws/", "/api/v1/social/reputation/%3Cscript%3E",
     "/api/v1/social/reputation/agent-999"],
)  # fmt: skip
def test_unknown_paths(node: Devnet, path: str) -> None:
    """What does not exist is 404 in the envelope, without an echo of what was asked."""
    status, content = get(node, path)
    assert status == 404
    assert (content["success"], content["data"]) == (False, None)
    assert "script" not in json.dumps(content)


def test_other_websocket_paths(node: Devnet) -> None:
    """A WebSocket on another path is 404."""

    async def talk() -> int:
        with pytest.raises(InvalidStatus) as caught:
            async with connect(node.url.replace("v1", "v2")):
                pass
        return caught.value.response.status_code

    assert asyncio.run(talk()) == 404


def test_network_state(node: Devnet) -> None:
    """The network's state has the figures of the protocol."""
    data = get(node, "/api/v1/network/state?pretty=1")[1]["data"]
    assert set(data) == {
        "block_height", "active_validators", "active_producers", "pending_transactions", "network_tps"
    }  # fmt: skip
    assert 0 < data["active_validators"] <= 24


def test_agents_and_reputation(node: Devnet) -> None:
    """Validators, producers and reputations are told, and the validators are those of the truth."""
    data = get(node, "/api/v1/network/agents")[1]["data"]
    told = [(agent["id"], agent["public_key"], agent["personality"]) for agent in data["validators"]]
    assert told == [(agent.id, agent.public_key, agent.personality) for agent in node.truth.agents]
    assert {agent["personality"] for agent in data["validators"]} == set(PERSONALITIES)
    assert {agent["status"] for agent in data["validators"]} <= {"active", "inactive", "maintenance"}
    assert set(data["producers"][0]) == {"id", "public_key", "blocks_produced", "status"}
    reputation = get(node, f"/api/v1/social/reputation/{told[0][0]}")[1]["data"]
    assert set(reputation) == {
        "overall_score", "meme_quality", "decision_consistency", "peer_ratings", "alliance_strength"
    }  # fmt: skip
    assert all(0 <= value <= 1 for value in reputation.values())


# -- life


def test_close_and_restart_on_the_same_port() -> None:
    """After a close the node starts again on its port, clients are told 1001, and the network goes on."""

    async def listen(node: Devnet) -> tuple[int | None, str]:
        async with subscribed(node) as link:
            received = [await answer(link)]
            await asyncio.to_thread(node.close)
            received += await until_closed(link)
            return link.close_code, received[-1]["data"]["timestamp"]

    async def first(node: Devnet) -> str:
        async with subscribed(node) as link:
            return str((await answer(link))["data"]["timestamp"])

    node = Devnet(rate=400)
    with node:
        port = node.port
        code, last = asyncio.run(listen(node))
        assert code == 1001
        node.start()
        assert node.port == port
        assert asyncio.run(first(node)) > last
    with pytest.raises(urllib.error.URLError):
        get(node, "/api/v1/network/state")


def test_close_is_quick_and_idempotent() -> None:
    """Closing takes no more than two seconds, even with a client that never says a word."""
    before = threading.active_count()
    node = Devnet().start()
    with socket.create_connection(("127.0.0.1", node.port)), dial_silently(node):
        begin_s = time.monotonic()
        node.close()
        assert time.monotonic() - begin_s < 2.0
    node.close()
    assert before == threading.active_count()
    assert "simulated, closed" in repr(node)


def dial_silently(node: Devnet) -> socket.socket:
    """Return a socket that opened a WebSocket and never answers a closing handshake."""
    link = socket.create_connection(("127.0.0.1", node.port), timeout=BOUND_S)
    link.sendall(
        f"GET /ws/v1 HTTP/1.1\r\nHost: 127.0.0.1:{node.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b" 101 " in link.recv(4_096)
    return link


def test_port_in_use() -> None:
    """A port that is in use is named, with what to do; the node can start elsewhere."""
    with Devnet() as first:
        second = Devnet(port=first.port)
        with pytest.raises(DevnetError, match=f"port {first.port} .* in use; .*port=0"):
            second.start()
        second.close()


def test_port_that_does_not_exist() -> None:
    """What the system refuses is a DevnetError as well."""
    with pytest.raises(
        DevnetError, match=r"^the node cannot listen on .*:70000: ports go up to 65535; .*port=0"
    ):
        Devnet(port=70_000).start()


def test_unstarted() -> None:
    """Before its start a node has no address, and its repr says that it is simulated."""
    node = Devnet()
    assert "simulated" in repr(node)
    with pytest.raises(DevnetError, match="start"):
        _ = node.url


def test_repr(node: Devnet) -> None:
    """The repr shows the address, and that the node is simulated."""
    assert repr(node) == f"<Devnet {node.url} (simulated, running)>"
    assert node.start() is node


@pytest.mark.parametrize(
    "wrong",
    [{"speed": 0.0}, {"speed": float("inf")}, {"duration": -1.0}, {"patience_s": 0.0}, {"agents": 3},
     {"start": datetime(2026, 1, 1)}, {"rate": 0.0}, {"rate": "fast"}, {"duration": "1h"}, {"faults": 0.1}],
)  # fmt: skip
def test_arguments_are_checked(wrong: dict[str, Any]) -> None:
    """Arguments that make no sense are an error which names them."""
    with pytest.raises((TypeError, ValueError), match=rf"^{next(iter(wrong))} (is|has)|^a network has"):
        Devnet(**wrong)


def test_a_host_is_an_address_of_this_machine() -> None:
    """Nothing else is served."""
    for wrong in ("0.0.0.0", None):
        with pytest.raises(ValueError, match="is not loopback; this node serves this machine"):
            Devnet(host=wrong)  # type: ignore[arg-type]


def test_parameters_reach_the_agents() -> None:
    """The parameters given are those of the truth."""
    parameters = Parameters.null()
    assert Devnet(parameters=parameters).truth.parameters == parameters
