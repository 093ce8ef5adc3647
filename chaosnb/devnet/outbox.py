"""What waits for one client, and how it gets onto the socket: in batches, within bounds, until it is cut."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from chaosnb.devnet.faults import Cut, How
from chaosnb.devnet.injector import Action
from chaosnb.devnet.outgoing import UNSENT, Outgoing
from chaosnb.devnet.sent import Link, Recorder
from chaosnb.devnet.severing import deafen, part, reset

__all__ = ["Outbox", "Policy"]

_BATCH_BYTES: Final = 64 * 1024
_TRY_AGAIN_LATER: Final = 1013
_TOO_SLOW: Final = "the client reads too slowly"


class Policy(NamedTuple):
    """Limits that hold for every client.

    `patience_s` is how long one may take nothing before it is cut off, in seconds; None: for ever.
    """

    queue_frames: int
    queue_bytes: int
    patience_s: float | None


class Outbox:
    """The messages that wait for a client.

    Parameters
    ----------
    connection : websockets.asyncio.server.ServerConnection
    policy : Policy
    recorder : Recorder
    link : Link
        The record of this connection.
    on_change : callable
        Called when frames were taken, or the client is cut off.

    Attributes
    ----------
    is_cut : bool
        Whether nothing more is sent.
    frames_sent, bytes_sent : int
        What was handed to the socket.
    """

    def __init__(
        self,
        connection: ServerConnection,
        *,
        policy: Policy,
        recorder: Recorder,
        link: Link,
        on_change: Callable[[], None],
    ) -> None:
        self.is_cut = False
        self.frames_sent = self.bytes_sent = 0
        self._connection = connection
        self._policy = policy
        self._recorder = recorder
        self._link = link
        self._on_change = on_change
        self._queue: deque[Outgoing | Cut] = deque()
        self._queue_bytes = 0
        self._has_frames = asyncio.Event()
        self._parting: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, messages: Sequence[Outgoing]) -> None:
        """Queue messages; a client that leaves too many lying is cut off."""
        if self.is_cut:
            return
        queue, size = self._queue, 0
        for message in messages:
            queue.append(message)
            size += len(message.wire)
        self._queue_bytes += size
        if len(queue) > self._policy.queue_frames or self._queue_bytes > self._policy.queue_bytes:
            self.cut(_TRY_AGAIN_LATER, _TOO_SLOW)
        if queue:
            self._has_frames.set()

    def obey(self, actions: Sequence[Action]) -> None:
        """Queue what is to be sent, and note what is not; a cut comes in its turn."""
        messages = [action for action in actions if isinstance(action, Outgoing)]
        self._recorder.withhold(self._link, [message for message in messages if message.fate in UNSENT])
        self.put([message for message in messages if message.fate not in UNSENT])
        for action in actions:
            if isinstance(action, Cut) and not self.is_cut:
                self._queue.append(action)
                self._has_frames.set()

    def cut(self, how: How, reason: str = "") -> None:
        """Send nothing more, not even what waits, and cut the connection if it is open."""
        if self.is_cut:
            return
        self.is_cut = True
        waiting = [item._replace(fate="lost") for item in self._queue if isinstance(item, Outgoing)]
        self._recorder.withhold(self._link, waiting)
        self._recorder.end(self._link, how if self._connection.state is State.OPEN else self._ending)
        self._queue.clear()
        self._queue_bytes = 0
        self._has_frames.set()
        self._on_change()
        if self._connection.state is not State.OPEN:
            return
        if how == "reset":
            reset(self._connection)
        elif how == "half-open":
            deafen(self._connection)
        else:
            self._parting = asyncio.create_task(part(self._connection, int(how), reason))

    async def run(self) -> None:
        """Hand messages to the socket until the client is cut off."""
        connection, transport = self._connection, self._connection.transport
        while not self.is_cut:
            await self._has_frames.wait()
            self._has_frames.clear()
            while self._queue and connection.state is State.OPEN:
                batch, size, cut = self._take()
                if batch:
                    self._recorder.hand(self._link, batch)
                    # One write a batch, since most of the cost of a small frame is the system call.
                    transport.write(b"".join([message.wire for message in batch]))
                    self._queue_bytes -= size
                    self.frames_sent += len(batch)
                    self.bytes_sent += size
                    self._on_change()
                if cut is not None:
                    self.cut(cut.how, "cut on purpose")
                elif not await self._drained():
                    self.cut(_TRY_AGAIN_LATER, _TOO_SLOW)

    async def farewell(self) -> None:
        """Wait until a connection that was closed with a code is gone."""
        if self._parting is not None:
            await self._parting

    @property
    def _ending(self) -> int | str:
        closing = self._connection.protocol
        if closing.close_sent is not None and not closing.close_rcvd_then_sent:
            return closing.close_sent.code
        return "client"

    def _take(self) -> tuple[list[Outgoing], int, Cut | None]:
        batch: list[Outgoing] = []
        size = 0
        while self._queue and size < _BATCH_BYTES:
            item = self._queue.popleft()
            if isinstance(item, Cut):
                return batch, size, item
            batch.append(item)
            size += len(item.wire)
        return batch, size, None

    async def _drained(self) -> bool:
        """Wait until the client has taken most of what was written; False if it takes nothing at all."""
        transport = self._connection.transport
        while True:
            unsent = transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self._policy.patience_s):
                    await self._connection.drain()
            except TimeoutError:
                if transport.get_write_buffer_size() >= unsent:
                    return False
            except OSError:
                return False
            else:
                return True
