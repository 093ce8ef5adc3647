"""The transports over real sockets: one suite for both, against a decent server and against indecent ones."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import socket
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from itertools import accumulate, pairwise
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

import chaosnb
from chaosnb.errors import MissingExtraError, TransportError
from chaosnb.ingest import transport_websockets
from chaosnb.ingest.transport import Limits, Transport, choose_transport, connect_websocket
from chaosnb.ingest.transport_picows import PicowsTransport
from chaosnb.ingest.transport_websockets import FrameConnection, WebsocketsTransport
from tests.websocket_server import CLOSE, PING, accept, frame, idle, raw_node

NAMES = ("websockets", "picows")
SHORT = Limits(close_timeout_s=0.05)
IMPATIENT = Limits(open_timeout_s=0.1)
PROXIES = ("http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "all_proxy", "no_proxy")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return request.param


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No proxy of the machine's, and what was left open is found at once."""
    for variable in PROXIES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    yield
    gc.collect(1)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test within ten seconds, and see that it leaves no task behind."""

    async def alone() -> None:
        await asyncio.wait_for(test, 10)
        for _ in range(5):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(alone())


@asynccontextmanager
async def node(handler: Callable[[ServerConnection], Any], **options: Any) -> AsyncIterator[str]:
    """A decent server; gives its URL."""
    options = {"compression": None, "max_size": None, "close_timeout": 0.2, **options}
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'wss' if options.get('ssl') else 'ws'}://127.0.0.1:{port}/ws/v1"


@asynccontextmanager
async def opened(url: str, name: str, **options: Any) -> AsyncIterator[Transport]:
    """A transport that is closed at the end."""
    link = await connect_websocket(url, name=name, **options)  # type: ignore[arg-type]
    try:
        yield link
    finally:
        await link.close()


async def receive(link: Transport, count: int) -> list[bytes]:
    """So many messages."""
    messages: list[bytes] = []
    while len(messages) < count:
        messages += [one.data for one in await link.receive()]
    return messages


async def drain(link: Transport) -> tuple[list[bytes], TransportError]:
    """All messages until the link is lost, and why it was."""
    messages: list[bytes] = []
    while True:
        try:
            messages += [one.data for one in await link.receive()]
        except TransportError as error:
            return messages, error


# -- messages


def test_messages_arrive_as_they_were_sent_and_in_order(name: str) -> None:
    """Text, binary and fragments, of every form of length."""
    sent: list[Any] = []
    for size in (0, 1, 125, 126, 127, 340, 65_535, 65_536, 2**20):
        sent += ["x" * size, b"\x00\xff" * (size // 2), ["ab" * (size // 4), "", "é" * (size // 8)]]

    async def say(ws: ServerConnection) -> None:
        for message in sent:
            await ws.send(message)
        await ws.wait_closed()

    def flat(message: Any) -> bytes:
        return b"".join(flat(part) for part in message) if isinstance(message, list) else as_bytes(message)

    def as_bytes(part: str | bytes) -> bytes:
        return part.encode() if isinstance(part, str) else part

    async def test() -> None:
        async with node(say) as url, opened(url, name) as link:
            assert await receive(link, len(sent)) == [flat(message) for message in sent]

    run(test())


def test_a_long_stream_keeps_its_order_and_loses_nothing(name: str) -> None:
    """Twenty thousand frames of changing size, with pings between them."""
    sent = [b"%d %s" % (number, b"y" * (number * 7 % 400)) for number in range(20_000)]
    ping = frame(b"?", PING)
    flood_bytes = b"".join(frame(data) + ping * (number % 100 == 0) for number, data in enumerate(sent))

    async def flood(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(head) + flood_bytes)
        await writer.drain()
        while await reader.read(2**16):
            pass

    async def test() -> None:
        async with raw_node(flood) as url, opened(url, name, limits=SHORT) as link:
            assert await receive(link, len(sent)) == sent

    run(test())


def test_frames_right_behind_the_handshake_are_not_lost(name: str) -> None:
    """The answer to the handshake and the first frames can come in one packet, cut anywhere."""
    tail = frame(b"first") + frame(b"second")

    async def test(cut: int) -> None:
        async def eager(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = accept(head) + tail
            writer.write(data[: len(data) - len(tail) + cut])
            await asyncio.sleep(0.002)
            writer.write(data[len(data) - len(tail) + cut :])
            await reader.read()

        async with raw_node(eager) as url, opened(url, name, limits=SHORT) as link:
            assert await receive(link, 2) == [b"first", b"second"]

    for cut in (-30, -3, -1, 0, 1, 2, 5, len(tail) - 1, len(tail)):
        run(test(cut))


def test_receive_gives_all_that_is_there_with_the_clocks_time(name: str) -> None:
    """A list a turn, not a message a turn; what came with one read has one time."""

    async def burst(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(head))
        await reader.read(2**16)
        writer.write(b"".join(frame(b"%d" % number) for number in range(100)))
        await reader.read()

    async def test() -> None:
        now_ns = iter(range(1_000, 10**6, 1_000))
        async with (
            raw_node(burst) as url,
            opened(url, name, limits=SHORT, wall_ns=lambda: next(now_ns)) as link,
        ):
            await link.send("go")
            await asyncio.sleep(0.02)
            frames = await link.receive()
            assert [one.data for one in frames] == [b"%d" % number for number in range(100)]
            assert len({one.received_at_ns for one in frames}) == 1
            assert frames[0].received_at_ns % 1_000 == 0

    run(test())


def test_what_is_sent_arrives(name: str) -> None:
    """Text goes out as one text message."""
    got: list[Any] = []

    async def listen(ws: ServerConnection) -> None:
        got.extend([await ws.recv(), await ws.recv()])
        await ws.send("done")

    async def test() -> None:
        async with node(listen) as url, opened(url, name) as link:
            await link.send("hällo")
            await link.send("x" * 100_000)
            assert await receive(link, 1) == [b"done"]

    run(test())
    assert got == ["hällo", "x" * 100_000]


@pytest.mark.parametrize("host", [False, True])
def test_compressed_messages_are_read_where_compression_is_on(
    host: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off on this machine, on elsewhere; websockets alone can."""
    monkeypatch.setattr(transport_websockets, "is_loopback", lambda url: host)
    sent = [f"{number} " * number for number in range(200)]
    extensions: list[str] = []

    async def say(ws: ServerConnection) -> None:
        extensions.extend(extension.name for extension in ws.protocol.extensions)
        for message in sent:
            await ws.send(message)
        await ws.wait_closed()

    async def test() -> None:
        async with node(say, compression="deflate") as url, opened(url, "websockets") as link:
            assert await receive(link, len(sent)) == [message.encode() for message in sent]

    run(test())
    assert extensions == ([] if host else ["permessage-deflate"])


# -- the same as the plain library, whatever the bytes

SIZES = st.sampled_from([0, 1, 2, 20, 125, 126, 127, 340, 65_535, 65_536])
LONGEST = 70_000
PARTS = st.one_of(
    st.tuples(st.just("text"), SIZES, st.booleans()),
    st.tuples(st.just("text"), SIZES, st.just(False)),
    st.tuples(st.just("binary"), SIZES, st.booleans()),
    st.tuples(st.just("ping"), st.integers(0, 125), st.just(False)),
    st.tuples(st.just("pong"), st.integers(0, 125), st.just(False)),
    st.tuples(st.just("fragments"), st.lists(st.sampled_from([0, 1, 126, 5_000]), min_size=2), st.booleans()),
)
ENDS = st.sampled_from(
    [[]] * 4
    + [
        [frame(b"\x03\xe8bye", CLOSE)],
        [frame(b"x" * (LONGEST + 1))],
        [b"\xc1\x05hello"],
        [b"\xa1\x05hello"],
        [b"\x81\x85\x00\x00\x00\x00hello"],
        [b"\x83\x01x"],
        [frame(b"lost", Opcode.CONT)],
        [frame(b"open", fin=False), frame(b"text within")],
        [frame(b"x" * 60_000, fin=False), frame(b"x" * 60_000, Opcode.CONT)],
        [b"\x89\x7e\x00\x7e" + b"p" * 126],
    ]
)
TAILS = st.sampled_from([[], [frame(b"after")], [frame(b"x" * 300)[:200]], [b"\x81\x7f\x00\x00"]])


class SilentTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


def client() -> ClientProtocol:
    return ClientProtocol(
        parse_uri("ws://node.example/"), extensions=[ClientPerMessageDeflateFactory()], max_size=LONGEST
    )


def server_frames(request: Request, parts: list[Any]) -> list[bytes]:
    """What a server sends: its answer to the handshake and these messages, a frame each."""
    server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()])
    server.send_response(server.accept(request))
    sent = server.data_to_send()

    def put(data: bytes, opcode: Opcode, fin: bool, compressed: bool) -> None:
        if compressed and opcode is Opcode.CONT:
            server.send_continuation(data, fin)
        elif compressed:
            (server.send_text if opcode is Opcode.TEXT else server.send_binary)(data, fin)
        else:
            sent.append(frame(data, opcode, fin=fin))
        sent.extend(server.data_to_send())

    for number, (kind, size, compressed) in enumerate(parts):
        letter = b"%d" % (number % 10)
        if kind == "fragments":
            for place, one in enumerate(size):
                opcode = Opcode.CONT if place else Opcode.TEXT
                put(letter * one, opcode, place == len(size) - 1, compressed)
                if place == 0:
                    put(b"amid", PING, True, False)
        else:
            put(letter * size, Opcode[kind.upper()], True, compressed)
    return sent


def messages(frames: list[Any]) -> list[bytes]:
    """The messages that the library's frames make up."""
    whole: list[bytes] = []
    part = b""
    for one in frames:
        if one.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            part += bytes(one.data)
            if one.fin:
                whole.append(part)
                part = b""
    return whole


def answers(written: bytes) -> list[tuple[Opcode, bytes]]:
    """The frames that a client has written."""
    server = ServerProtocol(state=State.OPEN, max_size=None)
    server.receive_data(written)
    return [(one.opcode, bytes(one.data)) for one in server.events_received() if isinstance(one, WireFrame)]


def test_any_bytes_in_any_pieces_give_what_the_plain_library_gives() -> None:
    """The same messages, the same pongs and the same end, wherever the stream of bytes is cut."""

    async def compare(parts: list[Any], end: list[bytes], cuts: list[int], step: int) -> None:
        plain, protocol = client(), client()
        plain.key = protocol.key
        connection = FrameConnection(
            protocol, wall_ns=lambda: 1, limits=Limits(message_bytes=LONGEST), ping_interval=None
        )
        wire = SilentTransport()
        connection.connection_made(wire)
        request = protocol.connect()
        sent = server_frames(request, parts) + end
        data = b"".join(sent)
        for one in (plain, protocol):
            one.send_request(request)
            one.data_to_send()

        plain.receive_data(data)
        response, *frames = plain.events_received()
        assert isinstance(response, Response)
        if step == 0:
            cuts += accumulate(map(len, sent))
        elif len(data) < 4_000:
            cuts = list(range(0, len(data), step))
        for start, stop in pairwise(sorted({0, len(data), *(cut % len(data) for cut in cuts)})):
            connection.data_received(data[start:stop])

        assert [one.data for one in connection.inbox.take()] == messages(frames)
        assert answers(wire.written) == answers(b"".join(plain.data_to_send()))
        assert protocol.state is plain.state
        assert (protocol.close_rcvd, protocol.close_sent) == (plain.close_rcvd, plain.close_sent)
        connection.connection_lost(None)

    with asyncio.Runner() as runner:

        @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(PARTS, max_size=12), ENDS, TAILS, st.lists(st.integers(0, 2**20)), st.integers(0, 5))
        def check(parts: list[Any], end: list[bytes], tail: list[bytes], cuts: list[int], step: int) -> None:
            runner.run(compare(parts, end + tail, cuts, step))

        check()


# -- limits


def test_a_message_of_the_greatest_length_passes_and_a_longer_one_ends_the_link(name: str) -> None:
    """Close code 1009, on both sides; what came before is there, what comes behind is not."""
    seen: list[int | None] = []

    async def say(ws: ServerConnection) -> None:
        await ws.send("x" * 5_000)
        await ws.recv()
        await ws.send("x" * 5_001)
        await ws.send("behind")
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        seen.append(ws.close_code)

    async def test() -> None:
        async with (
            node(say) as url,
            opened(url, name, limits=Limits(message_bytes=5_000, close_timeout_s=0.2)) as link,
        ):
            assert await receive(link, 1) == [b"x" * 5_000]
            await link.send("more")
            got, error = await drain(link)
            assert (got, error.code) == ([], 1009)
            assert "5001" in error.reason

    run(test())
    assert seen == [1009]


def test_fragments_that_are_too_much_together_end_the_link(name: str) -> None:
    """The limit is one for messages."""

    async def say(ws: ServerConnection) -> None:
        await ws.send(["x" * 3_000, "x" * 3_000])
        await ws.wait_closed()

    async def test() -> None:
        limits = Limits(message_bytes=5_000, close_timeout_s=0.2)
        async with node(say) as url, opened(url, name, limits=limits) as link:
            got, error = await drain(link)
            assert (got, error.code) == ([], 1009)

    run(test())


def test_a_frame_that_claims_to_be_endless_is_not_waited_for(name: str) -> None:
    """Its header is enough, and a server that does not hang up is hung up on."""

    async def boast(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(head) + frame(b"ok"))
        await reader.read(2**16)
        writer.write(b"\x81\x7f\x00\x00\x00\xff\x00\x00\x00\x00" + b"x" * 1_000)
        await asyncio.sleep(5)

    async def test() -> None:
        async with raw_node(boast) as url, opened(url, name, limits=SHORT) as link:
            assert await receive(link, 1) == [b"ok"]
            await link.send("go on")
            got, error = await drain(link)
            assert (got, error.code) == ([], 1009)

    run(test())


@pytest.mark.parametrize(
    ("limits", "size", "count"),
    [
        (Limits(waiting_frames=500, close_timeout_s=0.05), 1_000, 40_000),
        (Limits(waiting_bytes=300_000, close_timeout_s=0.05), 100_000, 400),
    ],
)
def test_a_node_waits_for_a_reader_that_does_not_read(
    name: str, limits: Limits, size: int, count: int
) -> None:
    """Little piles up on this side, and all comes through once it is read."""
    one = frame(b"x" * size)
    sent = 0

    async def pour(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(accept(head))
        for _ in range(count):
            writer.write(one)
            await writer.drain()
            sent += 1
        await reader.read()

    async def test() -> None:
        async with raw_node(pour) as url, opened(url, name, limits=limits) as link:
            before = -1
            while before < sent or not sent:
                before = sent
                await asyncio.sleep(0.05)
            assert sent < count
            first = await link.receive()
            # No more than the limit and what one read can bring on top of it.
            assert sum(len(item.data) for item in first) < max(500 * 1_000, 300_000) + 600_000
            assert len(await receive(link, count - len(first))) + len(first) == count

    run(test())


# -- pings


def test_pings_are_answered_amid_a_stream(name: str) -> None:
    """With their own payload, between the frames."""

    async def ask(ws: ServerConnection) -> None:
        for number in range(5):
            await ws.send(f"{number}")
            await (await ws.ping(b"payload %d" % number))
        await ws.send("answered")
        await ws.wait_closed()

    async def test() -> None:
        async with node(ask) as url, opened(url, name) as link:
            assert (await receive(link, 6))[-1] == b"answered"

    run(test())


def test_a_node_that_does_not_answer_pings_is_taken_for_dead(name: str) -> None:
    """Its socket stays open, and still the link is lost."""
    limits = Limits(ping_interval_s=0.03, ping_timeout_s=0.02, close_timeout_s=0.02)

    async def test() -> None:
        async with raw_node(idle) as url, opened(url, name, limits=limits) as link:
            got, error = await drain(link)
            assert got == []
            assert "ping" in error.reason
            assert error.code in (1001, 1011)

    run(test())


def test_a_quiet_node_that_answers_pings_is_kept(name: str) -> None:
    """Many intervals pass, then it speaks."""
    limits = Limits(ping_interval_s=0.02, ping_timeout_s=0.02)

    async def say(ws: ServerConnection) -> None:
        await asyncio.sleep(0.15)
        await ws.send("still here")
        await ws.wait_closed()

    async def test() -> None:
        async with node(say) as url, opened(url, name, limits=limits) as link:
            assert await receive(link, 1) == [b"still here"]

    run(test())


# -- a node that does not read


async def _deaf(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the handshake, and read nothing more."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(accept(head))


def test_a_node_that_pings_and_never_reads_is_hung_up_on(name: str) -> None:
    """Else the answers to its pings would pile up without bound."""
    pings = frame(b"p" * 125, PING) * 500
    poured = 0

    async def pour(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        await _deaf(head, reader, writer)
        while poured < 50_000_000:
            writer.write(pings)
            await writer.drain()
            poured += len(pings)
        await asyncio.sleep(10)

    async def test() -> None:
        limits = Limits(unsent_bytes=100_000, close_timeout_s=0.05)
        async with raw_node(pour) as url, opened(url, name, limits=limits) as link:
            got, error = await drain(link)
            assert (got, error.code) == ([], 1006)
            assert "does not read" in error.reason
        assert poured < 50_000_000

    run(test())


def test_a_node_that_does_not_read_holds_up_nobody_for_long(name: str) -> None:
    """Who sends to it is told in time, and so is who waits for frames."""

    async def ignore(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _deaf(head, reader, writer)
        await asyncio.sleep(10)

    async def test() -> None:
        limits = Limits(ping_timeout_s=0.05, close_timeout_s=0.05)
        async with raw_node(ignore) as url, opened(url, name, limits=limits) as link:
            with pytest.raises(TransportError, match="does not read"):
                while True:
                    await link.send("x" * 2_000_000)
            _, error = await drain(link)
            assert "does not read" in error.reason

    run(test())


def test_closing_does_not_wait_for_a_node_that_does_not_read(name: str) -> None:
    """Not even while something is held up that was to be sent."""

    async def ignore(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _deaf(head, reader, writer)
        await asyncio.sleep(10)

    async def send(link: Transport) -> None:
        while True:
            await link.send("x" * 2_000_000)

    async def test() -> None:
        async with raw_node(ignore) as url, opened(url, name, limits=SHORT) as link:
            sending = asyncio.ensure_future(send(link))
            await asyncio.sleep(0.1)
            await asyncio.wait_for(link.close(), 2)
            with pytest.raises(TransportError):
                await sending

    run(test())


# -- how a link ends


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, ""),
        (1000, "done"),
        (1001, "going away"),
        (1008, "bad topic"),
        (1013, "again later"),
        (4321, "é"),
    ],
)
def test_the_nodes_close_code_and_reason_are_told_after_its_last_messages(
    name: str, code: int, reason: str
) -> None:
    """Nothing that came before the end is lost, and the node gets its answer."""
    answered: list[int | None] = []

    async def leave(ws: ServerConnection) -> None:
        await ws.send("last words")
        await ws.close(code, reason)
        answered.append(ws.close_code)

    async def test() -> None:
        async with node(leave) as url, opened(url, name) as link:
            got, error = await drain(link)
            assert got == [b"last words"]
            assert error.code == code
            assert error.reason == (reason or "the connection was closed")
            with pytest.raises(TransportError) as again:
                await link.receive()
            assert again.value.code == code
            with pytest.raises(TransportError):
                await link.send("anybody there?")

    run(test())
    assert answered == [code]


def test_a_close_without_a_code_and_a_broken_line_have_codes_too(name: str) -> None:
    """1005 and 1006, as the protocol says."""

    async def shut(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(head) + frame(b"a") + frame(b"", CLOSE))
        await reader.read()

    async def end(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(head) + frame(b"a") + frame(b"half")[:3])

    async def reset(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(head) + frame(b"a"))
        await asyncio.sleep(0.01)
        writer.transport.abort()

    async def test(behave: Any, code: int) -> None:
        async with raw_node(behave) as url, opened(url, name, limits=SHORT) as link:
            got, error = await drain(link)
            assert (got, error.code) == ([b"a"], code)

    run(test(shut, 1005))
    run(test(end, 1006))
    run(test(reset, 1006))


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"\xc1\x05hello", id="compressed without leave"),
        pytest.param(b"\x91\x05hello", id="reserved bit"),
        pytest.param(b"\x89\x7e\x00\x7e" + b"p" * 126, id="long ping"),
        pytest.param(b"\x81\x85\x00\x00\x00\x00hello", id="masked"),
        pytest.param(b"\x83\x01x", id="unknown opcode"),
        pytest.param(frame(b"lost", Opcode.CONT), id="lost fragment"),
        pytest.param(frame(b"open", fin=False) + frame(b"within"), id="text within fragments"),
    ],
)
def test_a_breach_of_the_protocol_ends_the_link(name: str, broken: bytes) -> None:
    """1002; nothing of what follows is believed, and the node hears of it."""
    heard: list[bytes] = []

    async def misbehave(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(head) + frame(b"fine"))
        await reader.readexactly(len("go on") + 6)
        writer.write(broken + frame(b"behind"))
        heard.append(await reader.read(2))
        await reader.read()

    async def test() -> None:
        async with raw_node(misbehave) as url, opened(url, name, limits=SHORT) as link:
            assert await receive(link, 1) == [b"fine"]
            await link.send("go on")
            got, error = await drain(link)
            assert (got, error.code) == ([], 1002)

    run(test())
    assert heard[0][:1] == b"\x88"


def test_closing_says_goodbye_once(name: str) -> None:
    """The node gets code 1000; a second close and a waiting receive end quietly; nothing can be sent."""
    codes: list[int | None] = []

    async def wait(ws: ServerConnection) -> None:
        await ws.wait_closed()
        codes.append(ws.close_code)

    async def test() -> None:
        async with node(wait) as url:
            link = await connect_websocket(url, name=name)  # type: ignore[arg-type]
            waiting = asyncio.ensure_future(link.receive())
            await asyncio.sleep(0)
            await link.close()
            await link.close()
            with pytest.raises(TransportError) as ended:
                await waiting
            assert ended.value.code == 1000
            with pytest.raises(TransportError):
                await link.receive()
            with pytest.raises(TransportError):
                await link.send("too late")

    run(test())
    assert codes == [1000]


def test_closing_does_not_wait_long_for_a_node_that_does_not_answer(name: str) -> None:
    """Neither for a silent one nor for one that goes on sending, even if nobody has read for long."""

    async def babble(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(head))
        while True:
            writer.write(frame(b"x" * 1_000) * 100)
            await writer.drain()
            await asyncio.sleep(0)

    async def test(behave: Any, pause_s: float) -> None:
        async with raw_node(behave) as url:
            limits = Limits(close_timeout_s=0.05, waiting_frames=100)
            link = await connect_websocket(url, name=name, limits=limits)  # type: ignore[arg-type]
            await asyncio.sleep(pause_s)
            start = time.monotonic()
            await link.close()
            assert time.monotonic() - start < 1
            with pytest.raises(TransportError):
                for _ in range(3):
                    await link.receive()

    run(test(idle, 0))
    run(test(babble, 0.02))


def test_a_closed_link_is_not_kept_alive(name: str) -> None:
    """Nothing holds it: a stream that reconnects for days does not grow."""
    links: list[weakref.ref[Any]] = []

    async def test() -> None:
        async with node(lambda ws: ws.wait_closed()) as url, opened(url, name) as link:
            links.append(weakref.ref(link))

    run(test())
    gc.collect()
    assert [link() for link in links] == [None]


# -- connecting


def test_a_refused_connection_says_so(name: str) -> None:
    """Nobody listens at the port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        async def test() -> None:
            for host in ("127.0.0.1", "localhost"):
                with pytest.raises(TransportError) as refused:
                    await connect_websocket(f"ws://{host}:{bound.getsockname()[1]}/", name=name)  # type: ignore[arg-type]
                assert (refused.value.reason, refused.value.code) == ("connection refused", None)

        run(test())


@pytest.mark.parametrize("status", [403, 404, 429, 503])
def test_an_http_answer_is_told_by_its_status(name: str, status: int) -> None:
    """It is no WebSocket, but the number says why, and a header may say for how long."""

    def refuse(connection: ServerConnection, request: Request) -> Response:
        answer = connection.respond(status, "no\n")  # type: ignore[arg-type]
        if status > 403:
            answer.headers["Retry-After"] = "7" if status == 429 else "soon"
        return answer

    async def test() -> None:
        async with node(lambda ws: ws.wait_closed(), process_request=refuse) as url:
            with pytest.raises(TransportError, match=f"HTTP status {status}$") as refused:
                await connect_websocket(url, name=name)  # type: ignore[arg-type]
            assert (refused.value.code, refused.value.status) == (None, status)
            assert refused.value.retry_after_s == (7.0 if status == 429 else None)

    run(test())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x00\xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching",
        b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_what_is_no_websocket_server_is_refused(name: str, answer: bytes) -> None:
    """Whatever it says, and if it hangs up at once."""

    async def other(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async def test() -> None:
        async with raw_node(other) as url:
            with pytest.raises(TransportError) as refused:
                await connect_websocket(url, name=name)  # type: ignore[arg-type]
            assert refused.value.reason
            assert refused.value.code is None

    run(test())


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_server_that_never_answers_is_given_up(name: str, scheme: str) -> None:
    """The limit covers the whole way, TLS included."""

    async def mute(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def test() -> None:
        async with raw_node(mute) as url:
            with pytest.raises(TransportError, match=r"no answer within 0\.1 s"):
                await connect_websocket(url.replace("ws", scheme, 1), name=name, limits=IMPATIENT)  # type: ignore[arg-type]

    run(test())


def test_a_connection_that_is_given_up_amid_the_handshake_leaves_nothing(name: str) -> None:
    """Closing a stream while it connects leaves no socket, no task and no warning."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def mute(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        gone.set()

    async def test() -> None:
        async with raw_node(mute) as url:
            connecting = asyncio.ensure_future(connect_websocket(url, name=name))  # type: ignore[arg-type]
            await asked.wait()
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            await gone.wait()

    run(test())


def test_a_redirect_is_followed(name: str) -> None:
    """To where the node says it is."""

    def send_on(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/new":
            return None
        answer = connection.respond(307, "")  # type: ignore[arg-type]
        answer.headers["Location"] = "/new"
        return answer

    async def say(ws: ServerConnection) -> None:
        await ws.send("here")
        await ws.wait_closed()

    async def test() -> None:
        async with node(say, process_request=send_on) as url, opened(url, name) as link:
            assert await receive(link, 1) == [b"here"]

    run(test())


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("ws://localhost:{port}/", "another host or port"),
        ("ws://127.0.0.1:{other}/", "another host or port"),
        ("http://127.0.0.1:{port}/", "no node's address"),
        ("http://[", "no node's address"),
    ],
)
def test_a_redirect_elsewhere_is_not_followed(name: str, location: str, reason: str) -> None:
    """Nothing is sent to where it leads; the error says where that is."""
    asked: list[str] = []

    async def test() -> None:
        async with node(
            lambda ws: ws.wait_closed(), process_request=lambda ws, _: asked.append("x")
        ) as other:

            def send_on(connection: ServerConnection, request: Request) -> Response:
                answer = connection.respond(307, "")  # type: ignore[arg-type]
                ports = {"port": url.split(":")[2].split("/")[0], "other": other.split(":")[2].split("/")[0]}
                answer.headers["Location"] = location.format(**ports)
                return answer

            async with node(lambda ws: ws.wait_closed(), process_request=send_on) as url:
                with pytest.raises(TransportError, match=reason) as refused:
                    await connect_websocket(url, name=name)  # type: ignore[arg-type]
                assert refused.value.code is None

    run(test())
    assert asked == []


def test_redirects_without_end_are_given_up(name: str) -> None:
    """A node that sends in circles is an error like any other."""

    def send_on(connection: ServerConnection, request: Request) -> Response:
        answer = connection.respond(307, "")  # type: ignore[arg-type]
        answer.headers["Location"] = request.path + "x"
        return answer

    async def test() -> None:
        async with node(lambda ws: ws.wait_closed(), process_request=send_on) as url:
            with pytest.raises(TransportError, match="redirect"):
                await connect_websocket(url, name=name)  # type: ignore[arg-type]

    run(test())


# -- TLS


def tls(authority: trustme.CA, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts for a server of that name and for a client that trusts the authority."""
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(host).configure_cert(server)
    authority.configure_trust(trusting)
    return server, trusting


def test_certificates_are_verified(name: str) -> None:
    """An unknown authority is refused by default, and so is another host's certificate of a trusted one."""
    authority = trustme.CA()
    right, trusting = tls(authority, "127.0.0.1")
    wrong, _ = tls(authority, "other.example")

    async def say(ws: ServerConnection) -> None:
        await ws.send("hello")
        await ws.wait_closed()

    async def test() -> None:
        async with node(say, ssl=right) as url:
            with pytest.raises(TransportError, match=r"(?i)certificate verify failed"):
                await connect_websocket(url, name=name)  # type: ignore[arg-type]
            async with opened(url, name, tls=trusting) as link:
                assert await receive(link, 1) == [b"hello"]
        async with node(say, ssl=wrong) as url:
            with pytest.raises(TransportError, match=r"(?i)certificate verify failed.*not valid for"):
                await connect_websocket(url, name=name, tls=trusting)  # type: ignore[arg-type]
        async with node(say) as url:
            with pytest.raises(TransportError):
                await connect_websocket(url.replace("ws:", "wss:"), name=name)  # type: ignore[arg-type]

    run(test())


def test_a_redirect_to_no_encryption_is_not_followed(name: str) -> None:
    """Nor is it on the same host and port."""
    server, trusting = tls(trustme.CA(), "127.0.0.1")

    def send_on(connection: ServerConnection, request: Request) -> Response:
        answer = connection.respond(307, "")  # type: ignore[arg-type]
        answer.headers["Location"] = url.replace("wss:", "ws:")
        return answer

    url = ""

    async def test() -> None:
        nonlocal url
        async with node(lambda ws: ws.wait_closed(), process_request=send_on, ssl=server) as url:
            with pytest.raises(TransportError, match="not encrypted"):
                await connect_websocket(url, name=name, tls=trusting)  # type: ignore[arg-type]

    run(test())


def test_a_stream_over_tls_is_whole(name: str) -> None:
    """Records of TLS are cut anywhere in a frame."""
    server, trusting = tls(trustme.CA(), "127.0.0.1")
    sent = [b"%d" % number + b"z" * (number * 31 % 3_000) for number in range(3_000)]

    async def pour(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accept(head) + b"".join(map(frame, sent)) + frame(b"\x03\xe8", CLOSE))
        await writer.drain()
        await reader.read(2**16)

    async def test() -> None:
        async with raw_node(pour, tls=server) as url, opened(url, name, tls=trusting, limits=SHORT) as link:
            got, error = await drain(link)
            assert got == sent
            assert error.code == 1000

    run(test())


# -- the choice


def test_a_transport_is_chosen_by_name() -> None:
    """Automatic is websockets; a callable is taken as it is."""

    async def kind(chosen: Any) -> type:
        async with node(lambda ws: ws.wait_closed()) as url:
            link = await choose_transport(chosen)(url)
            await link.close()
            return type(link)

    assert asyncio.run(kind(None)) is WebsocketsTransport
    assert asyncio.run(kind("websockets")) is WebsocketsTransport
    assert asyncio.run(kind("picows")) is PicowsTransport
    assert choose_transport(connect_websocket) is connect_websocket


def test_a_wrong_name_is_refused_with_the_choices() -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match="unknown transport 'http'; use 'websockets', 'picows', None or a"):
        chaosnb.stream("network", url="devnet", transport="http")  # type: ignore[arg-type]


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command can be copied; the automatic choice does without."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as missing:
        chaosnb.stream("network", url="devnet", transport="picows")
    assert missing.value.extra == "fast"
    assert missing.value.command == 'pip install "chaosnb[fast]"'
    assert missing.value.command in str(missing.value)
    choose_transport(None)


def test_a_stream_runs_over_either(name: str) -> None:
    """From the simulated node into a table."""
    with (
        chaosnb.Devnet(seed=7, rate=400) as devnet,
        chaosnb.stream("network", url=devnet.url, transport=name) as s,  # type: ignore[arg-type]
    ):
        s.wait(events=50, timeout=30)
        assert len(s.network_metrics) + len(s.agent_status) >= 50
        assert s.rejects.empty


def test_a_proxy_is_used_where_one_is_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then picows leaves the link to websockets."""
    asked: list[bytes] = []

    async def proxy(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(head.split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def test() -> None:
        async with raw_node(proxy) as url:
            monkeypatch.setenv("http_proxy", url.replace("ws:", "http:").removesuffix("/ws/v1"))
            with pytest.raises(TransportError):
                await connect_websocket("ws://node.example:8080/", name=name)  # type: ignore[arg-type]
            monkeypatch.setenv("no_proxy", "127.0.0.2")
            with pytest.raises(TransportError):
                await connect_websocket("ws://127.0.0.2:1/", name=name, limits=IMPATIENT)  # type: ignore[arg-type]

    run(test())
    assert asked == [b"CONNECT node.example:8080 HTTP/1.1"]


def test_credentials_in_the_address_are_sent(name: str) -> None:
    """As basic authentication, and not within the host's name."""
    seen: list[Any] = []

    def look(connection: ServerConnection, request: Request) -> None:
        seen.append((request.headers["Authorization"], request.headers["Host"]))

    async def test() -> None:
        async with node(lambda ws: ws.wait_closed(), process_request=look) as url:
            async with opened(url.replace("://", "://me:secret@"), name):
                pass
            assert seen == [("Basic bWU6c2VjcmV0", url.split("/")[2])]

    run(test())
