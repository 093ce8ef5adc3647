"""A node that never fails and is never the bottleneck: it sends ready-made events, stamped anew."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed

from chaosnb.devnet.model import Model
from chaosnb.devnet.outgoing import outgoing
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import event_type
from chaosnb.protocol.iso8601 import format_timestamp
from soak.processes import Orders

__all__ = ["serve"]

_POOL = 20_000
_TICK_S = 0.02
_MOST_BEHIND_S = 0.2
_ANSWERS = (
    b'{"type":"auth_success","connection_id":"soak","simulated":true}',
    b'{"type":"subscribed","topics":[]}',
)


def serve(orders: Orders, rate: float, seed: int) -> None:
    """Run the node; any question is answered by how many events were sent so far."""
    node = _Node(rate, seed)
    threading.Thread(target=lambda: asyncio.run(node.run(orders)), daemon=True).start()
    try:
        while orders.recv():
            orders.send(node.sent)
    except EOFError:
        return


class _Node:
    def __init__(self, rate: float, seed: int) -> None:
        self.sent = 0
        self._rate = rate
        self._pool = list(_frames(rate, seed))

    async def run(self, orders: Orders) -> None:
        async with listen(self._handle, "127.0.0.1", 0, compression=None) as server:
            orders.send(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/v1")
            await asyncio.Event().wait()

    async def _handle(self, connection: ServerConnection) -> None:
        try:
            for answer in _ANSWERS:
                await connection.recv()
                await connection.send(answer.decode())
            reading = asyncio.ensure_future(connection.wait_closed())
            pool = itertools.cycle(self._pool)
            due_s = time.monotonic()
            while not reading.done():
                # Lost time is not made up for: a client that is behind would only be further behind.
                due_s = max(due_s, time.monotonic() - _MOST_BEHIND_S)
                due = int((time.monotonic() - due_s) * self._rate)
                due_s += due / self._rate
                stamp = format_timestamp(time.time_ns() // 1_000).encode()
                # A new stamp makes it a new event; the same again would be taken for a duplicate.
                chosen = itertools.islice(pool, due)
                connection.transport.write(b"".join([head + stamp + tail for head, tail in chosen]))
                self.sent += due
                await connection.drain()
                await asyncio.sleep(_TICK_S)
        except ConnectionClosed:
            return


def _frames(rate: float, seed: int) -> list[tuple[bytes, bytes]]:
    """Return frames of different events, each as what stands before its time stamp and after it."""
    model = Model(seed=seed, rate=rate)
    frames: list[tuple[bytes, bytes]] = []
    for until_us in itertools.count(100_000, 100_000):
        for event in model.step(until_us):
            wire = outgoing(event_type(event), encode(event)).wire
            head, _, tail = wire.rpartition(b'"timestamp":"')
            frames.append((head + b'"timestamp":"', tail[tail.index(b'"') :]))
            if len(frames) == _POOL:
                return frames
    raise AssertionError
