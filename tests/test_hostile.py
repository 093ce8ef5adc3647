"""A stream against a node that means harm: over either transport it neither ends, hangs nor bloats."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from websockets.frames import Opcode

import chaosnb
from chaosnb.ingest.connection import Clock
from chaosnb.ingest.transport import Limits, connect_websocket
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import Agent, Frame, MemePosted, NetworkMetrics, PostContent
from chaosnb.runtime import LoopThread
from tests.websocket_server import accept, frame, raw_node

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Play = Callable[[int, bytes, Reader, Writer], Awaitable[None]]

STAMP = "2026-11-23T00:36:12.345Z"
MIB = 2**20
LIMITS = Limits(open_timeout_s=0.3, close_timeout_s=0.05)

METRICS = '{"type":"network_metrics","data":{"block_height":%s,"tps":%s,"active_validators":3,'
METRICS += '"active_producers":4,"pending_transactions":5,"timestamp":"%s"}}'
MEME = '{"type":"meme_posted","data":{"meme_id":"m","creator":{"id":"a","personality":"lawful"},'
MEME += '"content":{"type":"text","url":"u","caption":"%s"},"tags":[],"timestamp":"2026-11-23T00:36:12Z"}}'

UNREADABLE = {
    "nothing": b"",
    "broken": b"{oops",
    "cut": (METRICS % (1, 2, STAMP))[:-9].encode(),
    "trailing": (METRICS % (1, 2, STAMP)).encode() + b"}",
    "null": b"null",
    "a number": b"3",
    "a text": b'"x"',
    "a list": b"[]",
    "no type": b"{}",
    "a wrong type": b'{"type":["network_metrics"]}',
    "an unknown type": b'{"type":"%s"}' % (b"x" * 500_000),
    "no data": b'{"type":"network_metrics"}',
    "wrong data": b'{"type":"network_metrics","data":7}',
    "text for a number": (METRICS % ('"1"', 2, STAMP)).encode(),
    "1e400": (METRICS % (1, "1e400", STAMP)).encode(),
    "1e400 for an integer": (METRICS % ("1e400", 2, STAMP)).encode(),
    "NaN": (METRICS % (1, "NaN", STAMP)).encode(),
    "a huge integer": (METRICS % ("9" * 100_000, 2, STAMP)).encode(),
    "a huge integer as a number": (METRICS % (1, "9" * 100_000, STAMP)).encode(),
    "beyond 64 bits": (METRICS % (2**63, 2, STAMP)).encode(),
    "no time": (METRICS % (1, 2, "yesterday")).encode(),
    "an endless time": (METRICS % (1, 2, STAMP + "0" * 500_000)).encode(),
    "a lone surrogate": (MEME % r"\ud800").encode(),
    "half a surrogate in bytes": (MEME % "x").encode().replace(b'"x"', b'"\xed\xa0\x80"'),
    "a bare NUL": (MEME % "\0").encode(),
    "no UTF-8": (MEME % "x").encode().replace(b'"x"', b'"\xff\xfe"'),
    "UTF-16": (METRICS % (1, 2, STAMP)).encode("utf-16"),
    "a byte order mark": (METRICS % (1, 2, STAMP)).encode("utf-8-sig"),
    "deep lists": b"[" * 500_000,
    "deep objects": b'{"a":' * 150_000,
    "deep lists, closed": b"[" * 400_000 + b"]" * 400_000,
    "deep details": b'{"type":"error","error":{"code":"c","message":"m","details":%s%s}}'
    % (b"[" * 300_000, b"]" * 300_000),
    "deep within a known field": (MEME % "x").encode().replace(b'"tags":[]', b'"tags":' + b"[" * 300_000),
}

ESCAPED = ("UTF-16", "a byte order mark", "binary")


def good(height: int) -> bytes:
    """A frame with an event that can be told from any other."""
    return frame(encode(NetworkMetrics(height, 2.5, 3, 4, 5, STAMP)))


async def quick_sleep(delay_s: float) -> None:
    await asyncio.sleep(min(delay_s, 0.01))


QUICK = Clock(sleep=quick_sleep)


@pytest.fixture(params=["websockets", "picows"])
def name(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return request.param


@contextmanager
def node(play: Play) -> Iterator[str]:
    """A server in a thread of its own that plays each connection, numbered from 1; gives its URL."""
    count = 0

    async def behave(head: bytes, reader: Reader, writer: Writer) -> None:
        nonlocal count
        count += 1
        await play(count, head, reader, writer)

    async def serve() -> None:
        async with raw_node(behave) as url:
            urls.append(url)
            await ended.wait()

    urls: list[str] = []
    ended = asyncio.Event()
    thread = LoopThread("test-node")
    serving = thread.submit(serve())
    try:
        until(lambda: urls)
        yield urls[0]
    finally:
        thread.submit(_set(ended)).result(5)
        serving.result(5)
        thread.stop()


async def _set(event: asyncio.Event) -> None:
    event.set()


def until(happened: Callable[[], object], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def heights(s: chaosnb.Stream) -> list[int]:
    return s.network_metrics["block_height"].tolist()


def after_a_bad_link(
    bad: Callable[[bytes, Reader, Writer], Awaitable[None]],
) -> Play:
    """The first connection gets the bad one, the next a good event."""

    async def play(number: int, head: bytes, reader: Reader, writer: Writer) -> None:
        if number == 1:
            await bad(head, reader, writer)
        else:
            writer.write(accept(head) + good(2))
            await reader.read()

    return play


def opened_by(name: str, limits: Limits = LIMITS) -> Callable[[str], Awaitable[object]]:
    return partial(connect_websocket, name=name, limits=limits)  # type: ignore[arg-type]


def test_what_cannot_be_read_is_a_reject_and_all_else_arrives(name: str) -> None:
    """Each bad message is one row with a reason, in order, between good events; the link holds."""

    async def play(number: int, head: bytes, reader: Reader, writer: Writer) -> None:
        writer.write(accept(head))
        for place, data in enumerate(UNREADABLE.values()):
            writer.write(good(place) + frame(data))
            await writer.drain()
        writer.write(frame(b"\x00\xff\x80", Opcode.BINARY) + good(len(UNREADABLE)))
        await reader.read()

    started = time.monotonic()
    with node(play) as url, chaosnb.stream(["network", "memes"], url=url, transport=name) as s:  # type: ignore[arg-type]
        s.wait(until=lambda s: len(heights(s)) == len(UNREADABLE) + 1, timeout=20)
        rejects = s.rejects
        status = s.status
        assert s.incidents["state"].tolist() == ["connecting", "authenticating", "live"]
    assert time.monotonic() - started < 15
    assert heights(s) == list(range(len(UNREADABLE) + 1))
    assert status.rejects == len(rejects) == len(UNREADABLE) + 1
    assert s.meme_posted.empty
    for bad, data, raw, reason in zip(
        [*UNREADABLE, "binary"], [*UNREADABLE.values(), b""], rejects["raw"], rejects["reason"], strict=True
    ):
        assert 3 < len(reason) < 300, bad
        assert len(raw) <= 65_536 * 6, bad
        assert raw[:9] == data[:9].decode("utf-8", "backslashreplace")[:9] or bad in ESCAPED, bad


def test_what_is_only_strange_is_an_event(name: str) -> None:
    """NULs that are escaped, all of Unicode, and a text of nearly 1 MiB are legal, so they are rows."""
    captions = ["a\0b", "\U0010ffff\ufffe", "x" * (MIB - 500), "\N{RIGHT-TO-LEFT OVERRIDE}"]

    async def play(number: int, head: bytes, reader: Reader, writer: Writer) -> None:
        writer.write(accept(head))
        for caption in captions:
            text = caption.replace("\0", r"\u0000")
            writer.write(frame((MEME % text).encode()))
        await reader.read()

    with node(play) as url, chaosnb.stream("memes", url=url, transport=name) as s:  # type: ignore[arg-type]
        s.wait(until=lambda s: len(s.meme_posted) == len(captions), timeout=20)
        assert s.meme_posted["content_caption"].tolist() == captions
        assert s.rejects.empty


def test_a_message_beyond_the_limit_is_an_incident_and_the_stream_goes_on(name: str) -> None:
    """A text of 5 MB: the incident says how to raise the limit, and the events before and after are there."""

    async def bomb(head: bytes, reader: Reader, writer: Writer) -> None:
        writer.write(accept(head) + good(1))
        await writer.drain()
        await reader.read(2**16)  # auth and subscribe: the stream is at the good event
        writer.write(frame(b"x" * 5_000_000))
        await reader.read()

    with (
        node(after_a_bad_link(bomb)) as url,
        chaosnb.stream("network", url=url, transport=name, clock=QUICK) as s,  # type: ignore[arg-type]
    ):
        s.wait(until=lambda s: heights(s) == [1, 2], timeout=20)
        lost = s.incidents.query("state == 'reconnecting'")
    assert lost["code"].tolist() == ["1009"]
    assert "1,048,576 bytes" in lost["detail"].iloc[0]
    assert "max_message_bytes=" in lost["detail"].iloc[0]
    assert len(s.gaps) == 1


def test_the_limit_can_be_raised(name: str) -> None:
    """Then the same text of 5 MB is a row."""
    meme = MemePosted(
        "m",
        creator=Agent("a", "lawful"),
        content=PostContent("text", "u", "x" * 5_000_000),
        tags=[],
        timestamp=STAMP,
    )

    async def play(number: int, head: bytes, reader: Reader, writer: Writer) -> None:
        writer.write(accept(head) + frame(encode(meme)))
        await reader.read()

    with (
        node(play) as url,
        chaosnb.stream("memes", url=url, transport=name, max_message_bytes=8 * MIB) as s,  # type: ignore[arg-type]
    ):
        s.wait(until=lambda s: len(s.meme_posted), timeout=20)
        assert s.meme_posted["content_caption"].str.len().tolist() == [5_000_000]


# -- links that are no good: the next one is


async def slow_head(head: bytes, reader: Reader, writer: Writer) -> None:
    for byte in accept(head):
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def endless_head(head: bytes, reader: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    for number in range(40_000):
        writer.write(b"X-%d: " % number + b"x" * 1_000 + b"\r\n")
        await writer.drain()
    raise AssertionError("40 MB of head were read")


async def endless_line(head: bytes, reader: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 101 ")
    for _ in range(40_000):
        writer.write(b"x" * 1_000)
        await writer.drain()
    raise AssertionError("40 MB of head were read")


async def endless_body(head: bytes, reader: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(40_000):
        writer.write(b"3e8\r\n" + b"x" * 1_000 + b"\r\n")
        await writer.drain()
    raise AssertionError("40 MB of a body were read")


async def endless_fragments(head: bytes, reader: Reader, writer: Writer) -> None:
    writer.write(accept(head) + frame(b"x" * 1_000, fin=False))
    for _ in range(40_000):
        writer.write(frame(b"x" * 1_000, Opcode.CONT, fin=False))
        await writer.drain()
    raise AssertionError("40 MB of fragments were read")


async def redirects(head: bytes, reader: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n")


async def lies_about_the_key(head: bytes, reader: Reader, writer: Writer) -> None:
    writer.write(accept(head.replace(b"Key: ", b"Key: AAAA")).replace(b"Switching", b"\x1b[31m"))


async def steers_a_terminal(head: bytes, reader: Reader, writer: Writer) -> None:
    writer.write(accept(head) + frame(b"\x03\xf0\x1b]0;owned\x07\x1b[2J\xe2\x80\xae", Opcode.CLOSE))
    await reader.read()


async def compressed(head: bytes, reader: Reader, writer: Writer) -> None:
    writer.write(accept(head) + bytes([0xC1, 3]) + b"abc")
    await reader.read()


async def many_pings(head: bytes, reader: Reader, writer: Writer) -> None:
    writer.write(accept(head))
    for _ in range(2_000):
        writer.write(frame(b"x" * 125, Opcode.PING) * 10)
        await writer.drain()
    writer.write(frame(b"\x03\xe9over", Opcode.CLOSE))
    await reader.read()


@pytest.mark.parametrize(
    "bad",
    [
        slow_head,
        endless_head,
        endless_line,
        endless_body,
        endless_fragments,
        redirects,
        lies_about_the_key,
        steers_a_terminal,
        compressed,
        many_pings,
    ],
)
def test_a_hostile_link_is_given_up_with_a_reason_and_the_next_one_serves(
    name: str, bad: Callable[..., Awaitable[None]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Soon, without reading on and on, and what the server says of it reaches no terminal as it is."""
    started = time.monotonic()
    with (
        node(after_a_bad_link(bad)) as url,
        chaosnb.stream("network", url=url, transport=opened_by(name), clock=QUICK) as s,  # type: ignore[arg-type]
    ):
        s.wait(until=lambda s: heights(s) == [2], timeout=20)
        shown = [str(s), s._repr_mimebundle_()["text/html"], s.incidents.to_string()]
    assert time.monotonic() - started < 8
    lost = s.incidents.query("state == 'reconnecting'")
    assert len(lost) == 1
    assert len(lost["detail"].iloc[0]) > 3
    for text in [*shown, *capsys.readouterr()]:
        assert text.replace("\n", "").isprintable()


def test_fragments_without_content_do_no_harm(name: str) -> None:
    """Many of them, and then the message that they belong to."""
    count = 100_000

    async def play(number: int, head: bytes, reader: Reader, writer: Writer) -> None:
        data = encode(NetworkMetrics(1, 2.5, 3, 4, 5, STAMP))
        writer.write(accept(head) + frame(data[:9], fin=False))
        for _ in range(count // 1_000):
            writer.write(frame(b"", Opcode.CONT, fin=False) * 1_000)
            await writer.drain()
        writer.write(frame(data[9:], Opcode.CONT))
        await reader.read()

    with node(play) as url, chaosnb.stream("network", url=url, transport=name) as s:  # type: ignore[arg-type]
        s.wait(until=heights, timeout=30)
        assert heights(s) == [1]


def test_a_compression_bomb_is_not_blown_up() -> None:
    """A hundred megabytes in a hundred kilobytes end the link; off loopback links are compressed."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeeze.compress(b"0" * 100_000_000) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 200_000
    agreed = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"

    async def burst(head: bytes, reader: Reader, writer: Writer) -> None:
        assert b"permessage-deflate" in head
        writer.write(accept(head)[:-2] + agreed + good(1))
        await reader.read(2**16)
        whole = frame(bomb.removesuffix(b"\0\0\xff\xff"))
        writer.write(bytes([whole[0] | 0x40]) + whole[1:])
        await reader.read()

    with node(after_a_bad_link(burst)) as url:
        # Another name of this machine, which nobody takes for a loopback address.
        elsewhere = url.replace("127.0.0.1", "0.0.0.0")
        with chaosnb.stream("network", url=elsewhere, allow_insecure=True, clock=QUICK) as s:
            s.wait(until=lambda s: heights(s) == [1, 2], timeout=20)
    assert s.incidents.query("state == 'reconnecting'")["code"].tolist() == ["1009"]


# -- failures on this side


class Link:
    """A link in memory that gives one event, and then does what it is told."""

    def __init__(self, then: BaseException | None) -> None:
        self._then = then
        self._first = True

    async def receive(self) -> list[Frame]:
        """Give the event, then fail or stay silent."""
        if self._first:
            self._first = False
            return [Frame(encode(NetworkMetrics(1, 2.5, 3, 4, 5, STAMP)), 0)]
        if self._then is not None:
            raise self._then
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, text: str) -> None:
        """Take what is sent."""

    async def close(self) -> None:
        """Do nothing."""


def test_a_condition_that_fails_raises_its_own_error_and_the_stream_lives_on() -> None:
    """The error is the caller's, with its own traceback; the next call works."""

    async def connect(url: str) -> Link:
        return Link(None)

    def wrong(s: chaosnb.Stream) -> bool:
        return s.network_metrics["hieght"].sum() > 3

    with chaosnb.stream("network", url="wss://node.example", transport=connect) as s:
        with pytest.raises(KeyError, match="hieght"):
            s.wait(until=wrong, timeout=10)
        s.wait(until=heights, timeout=10)
        assert s.status.state == "live"


@pytest.mark.parametrize("failure", [RuntimeError("out of order"), MemoryError(), SystemExit(3)])
def test_a_thread_that_dies_is_one_clear_error_and_what_came_can_be_read(failure: BaseException) -> None:
    """It names the failure and what to do, ends every wait, and the tables stay."""

    async def connect(url: str) -> Link:
        return Link(failure)

    with chaosnb.stream("network", url="wss://node.example", transport=connect) as s:
        with pytest.raises(chaosnb.ChaosnbError) as caught:
            s.wait(until=lambda s: False, timeout=10)
        assert not isinstance(caught.value, chaosnb.WaitTimeoutError)
        for words in (type(failure).__name__, str(failure), "can still be read", "open a new stream"):
            assert words in str(caught.value)
        assert heights(s) == [1]
        assert s.closed
        assert type(failure).__name__ in str(s.status.error)
