"""One client of the node: what it may do, what it has asked for, and the frames that wait for it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from chaosnb.devnet.admission import Admission, Refusal
from chaosnb.protocol.events import check_topics, events_of
from chaosnb.protocol.iso8601 import format_timestamp

__all__ = ["Client", "Outgoing", "Policy", "outgoing"]

_BATCH_BYTES: Final = 64 * 1024
_WINDOW_S: Final = 60.0
_MESSAGES_PER_WINDOW: Final = 100
_WARNINGS: Final = 20
_PARTING_S: Final = 5.0
_NORMAL: Final = 1000
_POLICY_VIOLATION: Final = 1008
_TRY_AGAIN_LATER: Final = 1013
_TOO_SLOW: Final = "the client reads too slowly"


class Outgoing(NamedTuple):
    """An event ready for the socket: its type, and its whole WebSocket frame."""

    event_type: str
    wire: bytes


class Policy(NamedTuple):
    """Limits that hold for every client.

    `patience_s` is how long one may take nothing before it is cut off, in seconds; None: for ever.
    """

    queue_frames: int
    queue_bytes: int
    patience_s: float | None


def outgoing(event_type: str, text: bytes) -> Outgoing:
    r"""Frame an encoded event once for all clients.

    Examples
    --------
    >>> outgoing("meme_posted", b"{}").wire
    b'\x81\x02{}'
    """
    return Outgoing(event_type, Frame(Opcode.TEXT, text).serialize(mask=False))


class Client:
    """A connected client.

    Parameters
    ----------
    connection : websockets.asyncio.server.ServerConnection
    admission : Admission
    policy : Policy
    sent : collections.Counter
        Event frames handed to sockets are counted here by type.
    clock_us : callable
        Returns the time in microseconds since the epoch.
    on_change : callable
        Called when the client subscribes, has taken frames, or is gone.
    """

    def __init__(
        self,
        connection: ServerConnection,
        *,
        admission: Admission,
        policy: Policy,
        sent: Counter[str],
        clock_us: Callable[[], int],
        on_change: Callable[[], None],
    ) -> None:
        self.connection_id: Final = uuid.uuid4().hex
        self._connection = connection
        self._admission = admission
        self._policy = policy
        self._sent = sent
        self._clock_us = clock_us
        self._on_change = on_change
        self._public_key: str | None = None
        self._topics: tuple[str, ...] = ()
        self._wanted: frozenset[str] = frozenset()
        self._queue: deque[Outgoing] = deque()
        self._queue_bytes = 0
        self._has_frames = asyncio.Event()
        self._is_cut = False
        self._parting: asyncio.Task[None] | None = None
        self._admitted_s: deque[float] = deque(maxlen=_MESSAGES_PER_WINDOW)
        self._warnings = 0
        self._connected_us = self._active_us = clock_us()
        self._messages_received = self._frames_sent = self._bytes_sent = 0

    @property
    def wanted(self) -> frozenset[str]:
        """The event types that the client's topics cover; none after it was cut off."""
        return frozenset() if self._is_cut else self._wanted

    @property
    def backlog(self) -> int:
        """Number of frames that wait."""
        return len(self._queue)

    @property
    def record(self) -> dict[str, Any]:
        """What the debug endpoint tells of the connection."""
        is_open = self._connection.state is State.OPEN
        phase = "subscribed" if self._topics else "authenticated" if self._public_key else "connected"
        return {
            "connection_id": self.connection_id,
            "state": phase if is_open else "closed",
            "close_code": self._connection.close_code,
            "public_key": self._public_key,
            "subscriptions": list(self._topics),
            "messages_received": self._messages_received,
            "frames_sent": self._frames_sent,
            "bytes_sent": self._bytes_sent,
            "queued_frames": len(self._queue),
            "connected_at": format_timestamp(self._connected_us),
            "last_activity": format_timestamp(self._active_us),
        }

    def offer(self, frames: Sequence[Outgoing]) -> None:
        """Queue the frames that the client wants; a client that leaves too many lying is cut off."""
        wanted = self.wanted
        if not wanted:
            return
        for frame in frames:
            if frame.event_type in wanted:
                self._queue.append(frame)
                self._queue_bytes += len(frame.wire)
        if len(self._queue) > self._policy.queue_frames or self._queue_bytes > self._policy.queue_bytes:
            self._cut(_TRY_AGAIN_LATER, _TOO_SLOW)
        if self._queue:
            self._has_frames.set()

    async def serve(self) -> None:
        """Serve the client until it is gone."""
        sender = asyncio.create_task(self._send_frames())
        try:
            async for message in self._connection:
                await self._receive(message)
        except ConnectionClosed:
            pass
        finally:
            self._cut(_NORMAL, "")
            await sender
            if self._parting is not None:
                await self._parting

    # -- what comes in

    async def _receive(self, message: str | bytes) -> None:
        if self._is_cut:
            return  # read on nevertheless, or the answer to the close frame would never come
        self._messages_received += 1
        self._active_us = self._clock_us()
        try:
            self._limit_rate()
            await self._obey(_parse(message))
        except Refusal as refusal:
            error = {"code": refusal.code, "message": refusal.message, "details": refusal.details}
            await self._answer({"type": "error", "error": error})
            if refusal.code in ("INVALID_SIGNATURE", "INVALID_AGENT") or self._warnings > _WARNINGS:
                self._cut(_POLICY_VIOLATION, refusal.code)

    def _limit_rate(self) -> None:
        now_s = asyncio.get_running_loop().time()
        full = len(self._admitted_s) == _MESSAGES_PER_WINDOW
        if full and (free_in_s := self._admitted_s[0] + _WINDOW_S - now_s) > 0:
            self._warnings += 1
            raise Refusal(
                "RATE_LIMITED",
                f"more than {_MESSAGES_PER_WINDOW} messages a minute",
                retry_after_s=round(free_in_s, 3),
            )
        self._warnings = 0
        self._admitted_s.append(now_s)

    async def _obey(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "auth":
                if self._public_key is not None:
                    raise Refusal("INVALID_REQUEST", "this connection is authenticated already")
                self._public_key = self._admission.check(message)
                # Simulated data must never pass for real, so the node says what it is.
                await self._answer(
                    {"type": "auth_success", "connection_id": self.connection_id, "simulated": True}
                )
            case "subscribe":
                await self._subscribe(message.get("topics"))
            case other:
                raise Refusal("INVALID_REQUEST", f"unknown message type {str(other)[:64]!r}")

    async def _subscribe(self, topics: object) -> None:
        if self._public_key is None:
            raise Refusal("INVALID_REQUEST", "authenticate before subscribing")
        if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
            raise Refusal("INVALID_REQUEST", "topics must be a list of text")
        try:
            wanted = check_topics([*self._topics, *(topic[:64] for topic in topics)])
        except ValueError as error:
            raise Refusal("INVALID_REQUEST", str(error)) from None
        await self._answer({"type": "subscribed", "topics": list(wanted)})
        self._topics, self._wanted = wanted, events_of(wanted)
        self._on_change()

    async def _answer(self, message: dict[str, Any]) -> None:
        text = json.dumps(message)
        await self._connection.send(text)
        self._frames_sent += 1
        self._bytes_sent += len(text)

    # -- what goes out

    async def _send_frames(self) -> None:
        connection, transport = self._connection, self._connection.transport
        while not self._is_cut:
            await self._has_frames.wait()
            self._has_frames.clear()
            while self._queue and connection.state is State.OPEN:
                batch, size = [], 0
                while self._queue and size < _BATCH_BYTES:
                    frame = self._queue.popleft()
                    batch.append(frame)
                    size += len(frame.wire)
                # One write a batch, since most of the cost of a small frame is the system call.
                transport.write(b"".join([frame.wire for frame in batch]))
                self._queue_bytes -= size
                self._sent.update([frame.event_type for frame in batch])
                self._frames_sent += len(batch)
                self._bytes_sent += size
                self._on_change()
                if not await self._drained():
                    self._cut(_TRY_AGAIN_LATER, _TOO_SLOW)

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

    def _cut(self, code: int, reason: str) -> None:
        """Send nothing more, and close the connection if it is open."""
        if self._is_cut:
            return
        self._is_cut = True
        self._queue.clear()
        self._queue_bytes = 0
        self._has_frames.set()
        self._on_change()
        if self._connection.state is State.OPEN:
            self._parting = asyncio.create_task(self._part(code, reason))

    async def _part(self, code: int, reason: str) -> None:
        # The close frame waits behind what was written before, which a client that reads nothing never takes.
        try:
            async with asyncio.timeout(_PARTING_S):
                await self._connection.close(code, reason)
        except TimeoutError:
            self._connection.transport.abort()


def _parse(message: str | bytes) -> dict[str, Any]:
    if not isinstance(message, str):
        raise Refusal("INVALID_REQUEST", "messages are JSON text, not binary")
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        raise Refusal("INVALID_REQUEST", "the message is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal("INVALID_REQUEST", "the message is not a JSON object")
    return value
