"""The link to a node: what a transport is, its limits, and which one carries a stream.

Frames go on in one list a turn, which saves a task switch a frame. There are two transports with the same
behaviour: `transport_websockets`, always there, and `transport_picows`, with the extra ``fast``.
Every foreign error leaves them as a `TransportError`.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from chaosnb.errors import MissingExtraError, TransportError
from chaosnb.ingest.address import is_loopback
from chaosnb.ingest.closing import parse_retry_after
from chaosnb.protocol.events import Frame

__all__ = [
    "UNREAD",
    "Connect",
    "Inbox",
    "Limits",
    "Transport",
    "TransportName",
    "choose_transport",
    "connect_websocket",
    "describe",
    "refusal",
]

TransportName = Literal["websockets", "picows"]

UNREAD: Final = "the node does not read what it is sent"

_TOO_LONG: Final = 1009


class Transport(Protocol):
    """A connected link to a node."""

    async def receive(self) -> list[Frame]:
        """Wait for frames and return all that are there; raise `TransportError` once the link is down."""

    async def send(self, text: str) -> None:
        """Send one text message; raise `TransportError` if the link is down, or if the node does not read."""

    async def close(self) -> None:
        """Close the link, which ends a `receive` that waits; calling it again does nothing."""


class Connect(Protocol):
    """What opens a transport; raises `TransportError` when it cannot."""

    async def __call__(self, url: str) -> Transport:
        """Connect to this URL."""


class Limits(Struct, frozen=True, kw_only=True):
    """How long a link waits and how much it takes in.

    Examples
    --------
    >>> Limits(message_bytes=2**24).open_timeout_s
    10.0

    Notes
    -----
    `open_timeout_s` is for connecting and all handshakes, `close_timeout_s` for the node's answer to a
    close, both in seconds. A node that does not answer a ping, sent after `ping_interval_s`, within
    `ping_timeout_s` (at most `ping_interval_s`) is taken for dead, and so is one that does not read: for
    whom more than `unsent_bytes` wait, such as answers to its pings, or who holds up what is sent for longer
    than `ping_timeout_s`. A message longer than `message_bytes` ends the link with close code 1009. The
    socket is not read while more than `waiting_frames` frames or about `waiting_bytes` bytes wait for
    `Transport.receive`: then the node has to wait, too.
    """

    open_timeout_s: float = 10.0
    close_timeout_s: float = 1.0
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 20.0
    message_bytes: int = 2**20
    waiting_frames: int = 20_000
    waiting_bytes: int = 2**24
    unsent_bytes: int = 2**20


class Inbox:
    """The frames of a link that wait for `receive`; has the socket paused when they become too many.

    Parameters
    ----------
    limits : Limits
    pause, resume : callable
        Stop and go on reading the socket.
    """

    def __init__(self, *, limits: Limits, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self.frames: Final[list[Frame]] = []
        self._limits = limits
        self._pause = pause
        self._resume = resume
        self._arrived = asyncio.Event()
        self._bytes = 0
        self._paused = False
        self._loss: tuple[str, int | None] | None = None

    @property
    def loss(self) -> TransportError | None:
        """Why the link is down, if it is."""
        if self._loss is None:
            return None
        reason, code = self._loss
        if code == _TOO_LONG:
            most = f"{self._limits.message_bytes:,}"
            reason += f"; this side takes at most {most} bytes a message (max_message_bytes= of the stream)"
        return TransportError(reason, code=code)

    def note(self, size: int) -> None:
        """Take note that so many bytes have arrived, and that there may be new frames."""
        self._bytes += size
        if self.frames:
            self._arrived.set()
            full = len(self.frames) > self._limits.waiting_frames or self._bytes > self._limits.waiting_bytes
            if full and not self._paused:
                self._paused = True
                self._pause()

    def lose(self, reason: str, code: int | None) -> None:
        """Take note that the link is down; the first reason stays."""
        if self._loss is None:
            self._loss = (reason or "the connection was closed", code)
        self._arrived.set()

    def take(self) -> list[Frame]:
        """Return the frames that are there, and have the socket read again."""
        frames = self.frames.copy()
        self.frames.clear()
        self._bytes = 0
        if self._loss is None:
            self._arrived.clear()
        if self._paused:
            self._paused = False
            self._resume()
        return frames

    async def receive(self) -> list[Frame]:
        """Wait for frames and return all that are there; raise `TransportError` once the link is down."""
        while True:
            if self.frames:
                return self.take()
            if (loss := self.loss) is not None:
                raise loss
            await self._arrived.wait()


async def connect_websocket(
    url: str,
    *,
    name: TransportName | None = None,
    wall_ns: Callable[[], int] = time.time_ns,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
) -> Transport:
    """Connect to a node by WebSocket.

    picows knows neither HTTP proxies' settings nor credentials in an address; where there are any,
    `websockets` carries the stream in its stead.

    Parameters
    ----------
    url : str
        ``ws://`` or ``wss://``.
    name : str, optional
        ``"picows"`` or ``"websockets"``. None: websockets, see `choose_transport`.
    wall_ns : callable
        The clock that stamps frames, in nanoseconds since the epoch.
    limits : Limits, optional
    tls : ssl.SSLContext, optional
        None: certificates are verified against the system's authorities.

    Raises
    ------
    TransportError
        If the connection or its handshake fails.
    """
    if name == "picows" and not _needs_websockets(url):
        from chaosnb.ingest.transport_picows import connect_picows

        return await connect_picows(url, wall_ns=wall_ns, limits=limits, tls=tls)
    from chaosnb.ingest.transport_websockets import connect_websockets

    return await connect_websockets(url, wall_ns=wall_ns, limits=limits, tls=tls)


def choose_transport(
    transport: TransportName | Connect | None,
    *,
    wall_ns: Callable[[], int] = time.time_ns,
    limits: Limits | None = None,
) -> Connect:
    """Return what opens the transport of this name.

    The automatic choice is websockets, also where picows is installed: since whole frames are cut out of its
    bytes, it takes half of picows' time a frame (which calls Python for each), and it can compress.

    Parameters
    ----------
    transport : str or callable, optional
        ``"websockets"``, ``"picows"``, or a callable, returned as it is. None: the automatic choice.
    wall_ns : callable
        The clock that stamps frames, in nanoseconds since the epoch.
    limits : Limits, optional
        Of no effect on a callable.

    Raises
    ------
    ValueError
        If there is no transport of that name.
    MissingExtraError
        If picows is not installed.
    """
    if callable(transport):
        return transport
    if transport not in (None, "websockets", "picows"):
        raise ValueError(f"unknown transport {transport!r}; use 'websockets', 'picows', None or a callable")
    if transport == "picows" and not _has_picows():
        raise MissingExtraError("transport='picows'", extra="fast")
    # Loaded here, in the caller's thread: within the loop it would hold up the link.
    importlib.import_module(f"chaosnb.ingest.transport_{transport or 'websockets'}")
    if transport == "picows":
        importlib.import_module("picows")
    return partial(connect_websocket, name=transport, wall_ns=wall_ns, limits=limits)


def refusal(status: int, retry_after: str | None, now_ns: int) -> TransportError:
    """Return the error for a handshake that was answered by this HTTP status and header Retry-After."""
    return TransportError(
        f"the server answered with HTTP status {status}",
        status=status,
        retry_after_s=parse_retry_after(retry_after, now_ns),
    )


def describe(error: BaseException) -> str:
    """Return in words why a connection failed."""
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "connection refused"
    return str(error) or type(error).__name__


def _has_picows() -> bool:
    return importlib.util.find_spec("picows") is not None


def _needs_websockets(url: str) -> bool:
    parts = urlsplit(url)
    if parts.username is not None:
        return True
    if is_loopback(url):
        return False
    from urllib.request import getproxies, proxy_bypass

    kinds = {"wss", "socks", "https"} if parts.scheme == "wss" else {"ws", "socks", "https", "http"}
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    return not kinds.isdisjoint(getproxies()) and not proxy_bypass(f"{parts.hostname}:{port}")
