"""The contenders of `bench_stream`: each gets all frames and refreshes DataFrames once a second of wall time.

Run as a program with a contender's name, a port and the number of events, it prints ``ready`` once
connected, and in the end one line of JSON: CPU and wall time from then to the last refresh. Imports and
the connection's set-up are not counted.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from blaster import framed
from workload import flat_row, messages

import chaosnb
from chaosnb.errors import WaitTimeoutError
from chaosnb.protocol.schema import TABLES

REFRESH_S = 1.0
STREAMZ_EVENTS = 1_000

_TOPICS = ("blocks", "consensus", "network", "social", "memes")
_HANDSHAKE = (
    b"GET /ws/v1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Stopwatch:
    """CPU and wall time since `ready` was said."""

    def __init__(self) -> None:
        print("ready", flush=True)
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def done(self, *, rows: int, refreshes: int) -> None:
        """Print the result."""
        cpu_s, wall_s = time.process_time() - self._cpu, time.perf_counter() - self._wall
        print(
            json.dumps({"cpu_s": cpu_s, "wall_s": wall_s, "rows": rows, "refreshes": refreshes}), flush=True
        )


def sink(port: int, events: int) -> None:
    """Read the socket and look at nothing: how fast the server can be."""
    expected = sum(len(framed(message)) for message in messages(events))
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(_HANDSHAKE)
        link.recv(4_096)
        watch = Stopwatch()
        buffer, size = bytearray(1 << 18), 0
        while size < expected and (count := link.recv_into(buffer)):
            size += count
        watch.done(rows=events if size >= expected else 0, refreshes=0)


def counting(port: int, events: int) -> None:
    """Count frames with websockets, as the baseline."""

    async def run() -> None:
        import websockets.asyncio.client

        async with _connected(websockets.asyncio.client, port) as link:
            await link.recv()
            watch = Stopwatch()
            count = 0
            async for _ in link:
                count += 1
                if count == events:
                    break
            watch.done(rows=count, refreshes=0)

    asyncio.run(run())


def counting_picows(port: int, events: int) -> None:
    """Count frames with picows: the least that a client over it can cost."""
    import picows

    class Counter(picows.WSListener):
        count = 0
        watch: Stopwatch

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            frame.get_payload_as_utf8_text()  # as websockets does
            if self.count == 0:
                self.watch = Stopwatch()  # the first one only says hello
            self.count += 1
            if self.count == events + 1:
                self.watch.done(rows=events, refreshes=0)
                transport.disconnect()

    async def run() -> None:
        transport, _ = await picows.ws_connect(Counter, f"ws://127.0.0.1:{port}/ws/v1")
        await transport.wait_disconnected()

    asyncio.run(run())


def chaosnb_websockets(port: int, events: int) -> None:
    """Stream with chaosnb over websockets; a reader takes all tables once a second."""
    _chaosnb(port, events, "websockets")


def chaosnb_picows(port: int, events: int) -> None:
    """Stream with chaosnb over picows; a reader takes all tables once a second."""
    _chaosnb(port, events, "picows")


def naive(port: int, events: int) -> None:
    """Do it by hand: json.loads, lists of rows, and pd.concat once a second."""
    import pandas as pd

    frames: dict[str, pd.DataFrame] = {}

    def refresh(waiting: dict[str, list[dict[str, Any]]]) -> int:
        for name, rows in waiting.items():
            new = _typed(pd.DataFrame(rows))
            frames[name] = pd.concat([frames[name], new], ignore_index=True) if name in frames else new
        return sum(map(len, frames.values()))

    asyncio.run(_collected(port, events, flat_row, refresh))


def perspective(port: int, events: int) -> None:
    """Collect rows, and give them to Perspective's tables and take DataFrames out once a second."""
    from perspective import Server

    client = Server().new_local_client()
    types = {"time": "datetime", "integer": "integer", "number": "float"}
    tables = {
        schema.name: client.table(
            {
                column.name: types.get(column.kind, "string")
                for column in schema.columns
                if column.name not in ("received_at", "seq") and column.kind != "duration"
            }
        )
        for schema in TABLES.values()
    }
    views = {name: table.view() for name, table in tables.items()}

    def row(message: dict[str, Any]) -> dict[str, Any]:
        return {
            name: json.dumps(value) if isinstance(value, list) else value
            for name, value in flat_row(message).items()
        }

    def refresh(waiting: dict[str, list[dict[str, Any]]]) -> int:
        for name, rows in waiting.items():
            tables[name].update(rows)
        return sum(len(view.to_dataframe()) for view in views.values())

    asyncio.run(_collected(port, events, row, refresh))


def streamz(port: int, events: int) -> None:
    """Accumulate DataFrames with streamz, refreshed every thousand events."""
    import pandas as pd
    from streamz import Stream

    def to_frames(messages: tuple[dict[str, Any], ...]) -> dict[str, pd.DataFrame]:
        rows: dict[str, list[dict[str, Any]]] = {}
        for message in messages:
            rows.setdefault(message["type"], []).append(flat_row(message))
        return {name: _typed(pd.DataFrame(found)) for name, found in rows.items()}

    def merge(state: dict[str, pd.DataFrame], new: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        joined = {
            name: pd.concat([state[name], frame], ignore_index=True) if name in state else frame
            for name, frame in new.items()
        }
        return state | joined

    refreshed: list[int] = []
    source = Stream()
    frames = source.map(json.loads).partition(STREAMZ_EVENTS).map(to_frames).accumulate(merge, start={})
    frames.sink(lambda state: refreshed.append(sum(map(len, state.values()))))

    async def run() -> None:
        import websockets.asyncio.client

        async with _connected(websockets.asyncio.client, port) as link:
            await link.recv()
            watch = Stopwatch()
            async for message in link:
                source.emit(message)
                if refreshed and refreshed[-1] >= events:
                    break
            watch.done(rows=refreshed[-1], refreshes=len(refreshed))

    asyncio.run(run())


def chaosnb_recorded(port: int, events: int, folder: str) -> None:
    """Stream as `chaosnb_websockets` does, and record."""
    _chaosnb(port, events, "websockets", folder)


def replay(folder: str, events: int) -> None:
    """Load a recording into tables, as fast as that goes."""
    watch = Stopwatch()
    rows = sum(map(len, chaosnb.replay(folder, quiet=True).frames().values()))
    watch.done(rows=rows, refreshes=1)


CONTENDERS: dict[str, Callable[[int, int], None]] = {
    "sink": sink,
    "counting": counting,
    "counting-picows": counting_picows,
    "chaosnb-websockets": chaosnb_websockets,
    "chaosnb-picows": chaosnb_picows,
    "naive": naive,
    "perspective": perspective,
    "streamz": streamz,
}


def _chaosnb(port: int, events: int, transport: str, folder: str | None = None) -> None:
    url = f"ws://127.0.0.1:{port}/ws/v1"
    with chaosnb.stream(_TOPICS, url=url, transport=transport, record=folder) as stream:
        stream.wait(until=lambda s: s.status.state == "live", timeout=30)
        watch = Stopwatch()
        rows = refreshes = 0
        while rows < events:
            with suppress(WaitTimeoutError):  # a second has passed
                stream.wait(events=events - rows, timeout=REFRESH_S)
            rows = sum(map(len, stream.frames().values()))
            refreshes += 1
    # A recording is compressed and on disk only now.
    watch.done(rows=rows, refreshes=refreshes)


async def _collected(
    port: int,
    events: int,
    row: Callable[[dict[str, Any]], dict[str, Any]],
    refresh: Callable[[dict[str, list[dict[str, Any]]]], int],
) -> None:
    """Read messages into rows by type, and call `refresh` with those that are new once a second."""
    import websockets.asyncio.client

    async with _connected(websockets.asyncio.client, port) as link:
        await link.recv()
        watch = Stopwatch()
        waiting: dict[str, list[dict[str, Any]]] = {}
        count = rows = refreshes = 0
        due = time.monotonic() + REFRESH_S
        async for text in link:
            message = json.loads(text)
            waiting.setdefault(message["type"], []).append(row(message))
            count += 1
            if count == events or time.monotonic() >= due:
                rows = refresh(waiting)
                refreshes += 1
                waiting = {}
                due = time.monotonic() + REFRESH_S
                if count == events:
                    break
        watch.done(rows=rows, refreshes=refreshes)


def _connected(client: Any, port: int) -> Any:
    # As chaosnb connects on loopback; a client that computes for seconds must not lose its link to a ping.
    url = f"ws://127.0.0.1:{port}/ws/v1"
    return client.connect(url, compression=None, proxy=None, ping_interval=None, close_timeout=1)


def _typed(frame: Any) -> Any:
    import pandas as pd

    frame["timestamp"] = pd.to_datetime(frame["timestamp"], format="ISO8601", utc=True)
    return frame


if __name__ == "__main__":
    if sys.argv[1] == "replay":
        replay(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "chaosnb-recorded":
        chaosnb_recorded(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        CONTENDERS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
