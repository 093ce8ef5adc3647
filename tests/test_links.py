"""Streams over real sockets: many at once, hundreds of broken links, silent ones, and unsafe ones."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

import chaosnb
from chaosnb.ingest.connection import Clock, Connection
from chaosnb.ingest.http_api import read_debug
from chaosnb.ingest.session import Session
from chaosnb.ingest.transport import Limits, TransportName, choose_transport
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import NetworkMetrics
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.runtime import LoopThread
from chaosnb.tables.capture import Capture
from tests.websocket_server import CLOSE, accept, frame, raw_node

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Behaviour = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
START_US = 1_780_000_000_000_000


def event(height: int) -> bytes:
    """A frame with an event that can be told from any other."""
    stamp = format_timestamp(START_US + height * 1_000)
    return frame(encode(NetworkMetrics(height, 2.5, 3, 4, 5, stamp)))


@contextmanager
def served(behave: Behaviour) -> Iterator[str]:
    """A raw node in a thread of its own; gives its URL."""
    thread, ready, done = LoopThread("test-node"), threading.Event(), threading.Event()
    urls: list[str] = []

    async def serve() -> None:
        async with raw_node(behave) as url:
            urls.append(url)
            ready.set()
            while not done.is_set():
                await asyncio.sleep(0.01)

    serving = thread.submit(serve())
    assert ready.wait(10)
    try:
        yield urls[0]
    finally:
        done.set()
        serving.result(10)
        thread.stop()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))  # noqa: PTH112, PTH208


def own_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("chaosnb")}


def test_twenty_streams_at_once_end_with_nothing_left() -> None:
    """Each has its own thread, link and numbering; closing them leaves no thread and no socket."""
    gc.collect()
    threads, files = threading.active_count(), open_files()
    with chaosnb.Devnet(seed=7, rate=200) as node:
        streams = [chaosnb.stream("network", url=node.url) for _ in range(20)]
        for s in streams:
            s.wait(events=3, timeout=60)
        assert len({s.status.connection_id for s in streams}) == 20
        for s in streams:
            s.close()
            assert s.status.state == "closed"
    gc.collect()
    assert threading.active_count() <= threads
    assert open_files() <= files
    assert not own_threads()


@pytest.mark.parametrize("kind", ["dropped", "closed", "replay", "paced replay"])
def test_what_nobody_holds_any_more_is_gone_at_once(kind: str, tmp_path: Path) -> None:
    """A stream's tables do not wait for the garbage collector, which comes late where much is held."""

    def captures() -> int:
        return sum(type(held) is Capture for held in gc.get_objects())

    folder = tmp_path / "run.chaos"
    with chaosnb.Devnet(seed=7, rate=200) as node:
        s = chaosnb.stream("network", url=node.url, record=folder)
        s.wait(events=3, timeout=60)
        if kind != "dropped":
            s.close()
        if "replay" in kind:
            s = chaosnb.replay(folder, speed=1.0 if kind == "paced replay" else None)
        gc.collect()
        gc.disable()
        try:
            before = captures()
            del s
            deadline = time.monotonic() + 10
            while captures() == before:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            gc.enable()


@pytest.mark.parametrize("name", ["websockets", "picows"])
def test_hundreds_of_broken_links_leave_no_socket_and_no_task(name: TransportName) -> None:
    """Refused, reset, cut amid a frame, closed in good order: three hundred times."""
    count = 0

    async def break_off(head: bytes, reader: Reader, writer: Writer) -> None:
        nonlocal count
        count += 1
        if count % 5 == 0:
            writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
            return
        writer.write(accept(head) + event(count))
        if count % 5 == 1:
            writer.transport.abort()
        elif count % 5 == 2:
            writer.write(event(0)[:9])
        elif count % 5 == 3:
            writer.write(frame(b"\x03\xe9bye", CLOSE))
            await reader.read()

    async def at_once(delay_s: float) -> None:
        await asyncio.sleep(0 if delay_s < 0.5 else 0.001)

    async def test() -> None:
        async with raw_node(break_off) as url:
            files = 0
            session = Session(["network"], chaosnb.Identity.generate())
            connection = Connection(
                url=url,
                session=session,
                connect=choose_transport(name, limits=Limits(close_timeout_s=0.05)),
                clock=Clock(sleep=at_once, monotonic=quick_monotonic()),
            )
            async with aclosing(connection.batches()) as batches:
                async for _ in batches:
                    if not files and count >= 50:
                        files, tasks = open_files(), len(asyncio.all_tasks())
                    if count >= 300:
                        break
            gc.collect()
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert open_files() <= files
            assert len(asyncio.all_tasks()) <= tasks

    asyncio.run(asyncio.wait_for(test(), 60))


def quick_monotonic() -> Callable[[], float]:
    """A clock on which two seconds pass at each look, so that no pace holds anything up."""
    now_s = 0.0

    def monotonic() -> float:
        nonlocal now_s
        now_s += 2.0
        return now_s

    return monotonic


@pytest.mark.parametrize("name", ["websockets", "picows"])
def test_a_link_that_fell_silent_is_replaced(name: TransportName) -> None:
    """It still answers pings, so only its silence tells; the hole is on record."""
    links = 0

    async def fall_silent(head: bytes, reader: Reader, writer: Writer) -> None:
        nonlocal links
        links += 1
        writer.write(accept(head) + event(links))
        if links > 1:
            for height in range(2, 10_000):
                writer.write(event(height))
                await asyncio.sleep(0.01)
        while await reader.read(2**16):
            pass

    with (
        served(fall_silent) as url,
        chaosnb.stream("network", url=url, transport=name, stale_after=0.2) as s,
    ):
        s.wait(until=lambda s: len(s.network_metrics) > 3, timeout=30)
        assert s.status.state == "live"
        states = s.incidents["state"].tolist()
        assert states[2:6] == ["live", "stale", "reconnecting", "authenticating"]
        assert s.gaps["cause"].tolist() == ["stale"]
        assert s.status.skew_s is not None


@pytest.mark.parametrize("name", ["websockets", "picows"])
def test_while_a_link_is_silent_the_status_says_so(name: TransportName) -> None:
    """In words, too."""

    async def fall_silent(head: bytes, reader: Reader, writer: Writer) -> None:
        writer.write(accept(head) + event(1))
        while await reader.read(2**16):
            pass

    with (
        served(fall_silent) as url,
        chaosnb.stream("network", url=url, transport=name, stale_after=2) as s,
    ):
        s.wait(until=lambda s: s.status.state == "stale", timeout=30)
        assert "no frame for" in (s.status.error or "")
        assert "no frame for" in str(s)


# -- what must not go out


def test_nothing_is_sent_unencrypted_to_another_machine() -> None:
    """It is said at the call, before a thread or a link is there; the caller can allow it."""
    before = own_threads()
    connects: list[str] = []

    async def connect(url: str) -> object:
        connects.append(url)
        raise chaosnb.TransportError("no")

    async def use() -> None:
        async with chaosnb.connect("network", url="ws://node.example"):
            pass

    with pytest.raises(chaosnb.InsecureConnectionError, match="allow_insecure=True"):
        chaosnb.stream("network", url="ws://node.example", transport=connect)  # type: ignore[arg-type]
    with pytest.raises(chaosnb.InsecureConnectionError, match=r"wss://"):
        asyncio.run(use())
    assert (own_threads(), connects) == (before, [])
    with chaosnb.stream(
        "network",
        url="ws://node.example",
        transport=connect,  # type: ignore[arg-type]
        allow_insecure=True,
    ) as s:
        s.wait(until=lambda s: bool(connects), timeout=10)


def test_the_environment_cannot_allow_it_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address from there is held to the same rule."""
    monkeypatch.setenv("CHAOSNB_URL", "ws://node.example")
    with pytest.raises(chaosnb.InsecureConnectionError):
        chaosnb.stream("network")


@pytest.mark.parametrize("answer", [b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b""])
def test_a_debug_endpoint_that_speaks_no_http_is_one_clear_error(answer: bytes) -> None:
    """Another server's greeting, an answer that is cut off, or none."""

    async def speak(head: bytes, reader: Reader, writer: Writer) -> None:
        writer.write(answer)

    with served(speak) as url, pytest.raises(chaosnb.DebugError, match="/api/v1/debug/ws/c1"):
        read_debug(url, "c1", chaosnb.Identity.generate(), 0)


def test_the_debug_endpoint_is_not_asked_unencrypted_either() -> None:
    """Its request is signed as well."""
    with pytest.raises(chaosnb.InsecureConnectionError):
        read_debug("ws://node.example/ws/v1", "c1", chaosnb.Identity.generate(), 0)


@pytest.mark.parametrize("wrong", [0, -1.5, "soon"])
def test_a_wrong_bound_for_silence_is_said_at_the_call(wrong: object) -> None:
    """Not later in a thread."""
    with pytest.raises(ValueError, match="stale_after must be a positive number of seconds, or None"):
        chaosnb.stream("network", url="devnet", stale_after=wrong)  # type: ignore[arg-type]
