"""The WebSocket link: frames in as they come off the wire, text out. No other client module knows websockets.

Frames are taken where the library hands them over, before its message queue, and given on in one list a turn:
that saves a task switch a frame. Every foreign error leaves this module as a `TransportError`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.frames import Opcode

from chaosnb.errors import TransportError
from chaosnb.protocol.events import Frame

__all__ = ["LOOPBACK_HOSTS", "Connect", "Transport", "connect_websocket"]

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_FRAME_BYTES: Final = 2**20
_PAUSE_FRAMES: Final = 20_000

# At DEBUG the library logs the handshake, with whatever secret the URL carries.
_log: Final = logging.getLogger("chaosnb.websocket")
_log.setLevel(logging.INFO)


class Transport(Protocol):
    """A connected link to a node."""

    async def receive(self) -> list[Frame]:
        """Wait for frames and return all that are there; raise `TransportError` once the link is down."""

    async def send(self, text: str) -> None:
        """Send one text message."""

    async def close(self) -> None:
        """Close the link; calling it again does nothing."""


class Connect(Protocol):
    """What opens a transport; raises `TransportError` when it cannot."""

    async def __call__(self, url: str) -> Transport:
        """Connect to this URL."""


async def connect_websocket(url: str, *, wall_ns: Callable[[], int] = time.time_ns) -> Transport:
    """Connect to a node by WebSocket.

    Parameters
    ----------
    url : str
        ``ws://`` or ``wss://``; TLS certificates are verified.
    wall_ns : callable
        The clock that stamps frames, in nanoseconds since the epoch.

    Raises
    ------
    TransportError
        If the connection or its handshake fails.
    """
    loopback = urlsplit(url).hostname in LOOPBACK_HOSTS

    def create(*args: Any, **kwargs: Any) -> _FrameConnection:
        return _FrameConnection(*args, wall_ns=wall_ns, **kwargs)

    try:
        connection = await websockets.asyncio.client.connect(
            url,
            create_connection=create,  # type: ignore[arg-type]
            compression=None if loopback else "deflate",
            proxy=None if loopback else True,
            max_size=MAX_FRAME_BYTES,
            logger=_log,
            open_timeout=10,
            close_timeout=1,
        )
    except TimeoutError as error:
        raise TransportError("no answer within 10 s") from error
    except InvalidStatus as error:
        raise TransportError(f"the server answered with HTTP status {error.response.status_code}") from error
    except InvalidHandshake as error:
        raise TransportError(f"the WebSocket handshake failed: {error}") from error
    except (OSError, WebSocketException, EOFError) as error:
        raise TransportError(_describe(error)) from error
    return _WebSocketTransport(connection)  # type: ignore[arg-type]


class _FrameConnection(websockets.asyncio.client.ClientConnection):
    """A websockets connection that keeps whole frames in a list instead of in the message queue."""

    def __init__(self, *args: Any, wall_ns: Callable[[], int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.frames: list[Frame] = []
        self.arrived = asyncio.Event()
        self._wall_ns = wall_ns
        self._now_ns = 0
        self._fragments: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        """Stamp everything within these bytes with one time of arrival."""
        self._now_ns = self._wall_ns()
        super().data_received(data)
        if self.frames:
            self.arrived.set()
            if len(self.frames) > _PAUSE_FRAMES:
                self.transport.pause_reading()

    def process_event(self, event: Any) -> None:
        """Keep data frames; leave the handshake and control frames to the library."""
        opcode = getattr(event, "opcode", None)
        if opcode is Opcode.TEXT and event.fin:
            self.frames.append(Frame(bytes(event.data), self._now_ns))
        elif opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._fragments.append(bytes(event.data))
            if event.fin:
                self.frames.append(Frame(b"".join(self._fragments), self._now_ns))
                self._fragments.clear()
        else:
            super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for frames, so that the end is seen."""
        super().connection_lost(exc)
        self.arrived.set()

    def take(self) -> list[Frame]:
        """Return the frames that are there and let the socket be read again."""
        frames, self.frames = self.frames, []
        self.arrived.clear()
        if len(frames) > _PAUSE_FRAMES:
            self.transport.resume_reading()
        return frames


class _WebSocketTransport:
    def __init__(self, connection: _FrameConnection) -> None:
        self._connection = connection

    async def receive(self) -> list[Frame]:
        while True:
            if frames := self._connection.take():
                return frames
            if self._connection.close_code is not None:
                raise TransportError(
                    self._connection.close_reason or "the connection was closed",
                    code=self._connection.close_code,
                )
            await self._connection.arrived.wait()

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise TransportError(_describe(error), code=self._connection.close_code) from error

    async def close(self) -> None:
        await self._connection.close()


def _describe(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "connection refused"
    return str(error) or type(error).__name__
