"""The link by the websockets library, with a short way for the frames that make up nearly all of a stream.

The library does handshakes, TLS, proxies, compression, keepalive, control frames, fragments and errors. Whole
uncompressed text frames are cut out of the bytes before it sees them; all other bytes reach it unchanged and
in order, so that it never notices.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.frames import Opcode
from websockets.protocol import State

from chaosnb.errors import TransportError
from chaosnb.ingest.address import check_redirect, is_loopback, shown_url
from chaosnb.ingest.transport import UNREAD, Inbox, Limits, describe, refusal
from chaosnb.protocol.events import Frame

__all__ = ["FrameConnection", "WebsocketsTransport", "connect_websockets"]

_WHOLE_TEXT: Final = 0x81
_FIN: Final = 0x80
_MASKED: Final = 0x80
_FIRST_CONTROL: Final = 0x8
_HEAD_END: Final = b"\r\n\r\n"
_ABNORMAL: Final = 1006

# At DEBUG the library logs the handshake, with whatever secret the URL carries.
_log: Final = logging.getLogger("chaosnb.websocket")
_log.setLevel(logging.INFO)


async def connect_websockets(
    url: str,
    *,
    wall_ns: Callable[[], int] = time.time_ns,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
) -> WebsocketsTransport:
    """Connect to a node with websockets; the parameters are those of `transport.connect_websocket`.

    Raises
    ------
    TransportError
        If the connection or its handshake fails.
    """
    limits = limits or Limits()
    loopback = is_loopback(url)
    secure: dict[str, Any] = {} if tls is None else {"ssl": tls}

    def create(*args: Any, **kwargs: Any) -> FrameConnection:
        return FrameConnection(*args, wall_ns=wall_ns, limits=limits, **kwargs)

    try:
        connection = await _Connect(
            url,
            create_connection=create,  # type: ignore[arg-type]
            compression=None if loopback else "deflate",
            proxy=None if loopback else True,
            max_size=limits.message_bytes,
            logger=_log,
            open_timeout=limits.open_timeout_s,
            close_timeout=limits.close_timeout_s,
            ping_interval=limits.ping_interval_s,
            ping_timeout=limits.ping_timeout_s,
            **secure,
        )
    except TimeoutError as error:
        raise TransportError(f"no answer within {limits.open_timeout_s:g} s") from error
    except InvalidStatus as error:
        answer = error.response
        raise refusal(answer.status_code, _first(answer.headers, "Retry-After"), wall_ns()) from error
    except InvalidHandshake as error:
        raise TransportError(f"the WebSocket handshake failed: {error}") from error
    except InvalidURI as error:  # its text holds the whole address, with all that is secret
        raise TransportError(f"{shown_url(error.uri)} is no node's address: {error.msg}") from None
    except InvalidProxy:
        raise TransportError(
            "the address of the proxy in this machine's settings is not valid; a valid one is "
            "'http://host:port', or 'http://user:password@host:port'"
        ) from None
    except (
        OSError,
        WebSocketException,
        EOFError,
        ValueError,
    ) as error:  # the last by a redirect to no address
        raise TransportError(describe(error)) from error
    return WebsocketsTransport(connection)  # type: ignore[arg-type]


class _Connect(connect):
    """The library's way to connect, but for redirects, which it would follow to any host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return where to go instead, or what is wrong with that."""
        if isinstance(exc, InvalidStatus) and (location := _first(exc.response.headers, "Location")):
            try:
                check_redirect(self.uri, location)
            except TransportError as error:
                return error
        return super().process_redirect(exc)


def _first(headers: Headers, name: str) -> str | None:
    return next(iter(headers.get_all(name)), None)


class WebsocketsTransport:
    """A `transport.Transport` over a `FrameConnection`."""

    def __init__(self, connection: FrameConnection) -> None:
        self._connection = connection

    async def receive(self) -> list[Frame]:
        """Wait for frames and return all that are there; raise `TransportError` once the link is down."""
        return await self._connection.inbox.receive()

    async def send(self, text: str) -> None:
        """Send one text message; raise `TransportError` if the link is down."""
        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise (self._connection.inbox.loss or TransportError(describe(error))) from error

    async def close(self) -> None:
        """Close the link; calling it again does nothing."""
        self._connection.drop_frames()
        await self._connection.close()


class FrameConnection(ClientConnection):
    """A websockets connection that puts whole messages into an `Inbox` instead of into its own queue."""

    def __init__(self, *args: Any, wall_ns: Callable[[], int], limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.inbox = Inbox(
            limits=limits,
            pause=lambda: self.transport.pause_reading(),
            resume=lambda: self.transport.resume_reading(),
        )
        self._wall_ns = wall_ns
        self._now_ns = 0
        self._limits = limits
        self._longest = limits.message_bytes
        self._dropping = False
        # The end of the HTTP head is looked for across chunks: its last bytes so far.
        self._head = b""
        # The start of a frame that is still to be cut out, and how long it must be to go on.
        self._rest = bytearray()
        self._wanted = 0
        # Bytes to come of a frame that the library is reading; within a fragmented message, it reads all.
        self._owed = 0
        self._fragmented = False
        self._fragments: list[bytes] = []

    def drop_frames(self) -> None:
        """Keep no more messages, and read on so that the closing handshake gets through."""
        self._dropping = True
        self.inbox.take()

    def data_received(self, data: bytes) -> None:
        """Stamp all within these bytes with one time of arrival, and split it up."""
        self._now_ns = self._wall_ns()
        size = len(data)
        if self.protocol.state is State.CONNECTING:
            data = self._pass_head(data)
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        if data:
            self._split(data)
        self.inbox.note(size)
        if self.transport.get_write_buffer_size() > self._limits.unsent_bytes:
            self.inbox.lose(UNREAD, _ABNORMAL)
            self.transport.abort()
        if self.protocol.state is State.CLOSING:
            self._note_loss("")

    async def drain(self) -> None:
        """Wait until the node has read enough; the library would wait for ever, also to ping or to close."""
        limits, is_open = self._limits, self.protocol.state is State.OPEN
        try:
            async with asyncio.timeout(limits.ping_timeout_s if is_open else limits.close_timeout_s):
                await super().drain()
        except TimeoutError:
            self.inbox.lose(UNREAD, _ABNORMAL)
            raise

    def process_event(self, event: Any) -> None:
        """Keep the messages that the library has read; leave the handshake and control frames to it."""
        opcode = getattr(event, "opcode", None)
        if opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            super().process_event(event)
        elif not self._dropping:
            if event.data:  # without content, a node could send them for ever
                self._fragments.append(bytes(event.data))
            if event.fin:
                data = b"".join(self._fragments)
                self._fragments.clear()
                self.inbox.frames.append(Frame(data, self._now_ns))
                self.inbox.note(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """Say to whoever waits for frames why there will be no more."""
        super().connection_lost(exc)
        self._note_loss(describe(exc) if exc else "the connection broke off")

    def _note_loss(self, otherwise: str) -> None:
        received, sent = self.protocol.close_rcvd, self.protocol.close_sent
        # What was sent first is the cause: ours, if the node broke a limit or did not answer pings.
        cause = received if sent is None or self.protocol.close_rcvd_then_sent else sent
        if cause is None:
            self.inbox.lose(otherwise, _ABNORMAL)
        else:
            self.inbox.lose(cause.reason, int(cause.code))

    def _pass_head(self, data: bytes) -> bytes:
        """Give the HTTP response to the library, and return what follows it."""
        seen = self._head + data
        at = seen.find(_HEAD_END)
        cut = len(data) if at < 0 else at + len(_HEAD_END) - len(self._head)
        self._head = seen[-len(_HEAD_END) + 1 :] if at < 0 else b""
        super().data_received(data[:cut])
        return data[cut:]

    def _split(self, data: bytes) -> None:
        """Cut out the texts, give the library all else, and keep the start of an unfinished text."""
        at, size = 0, len(data)
        if self._owed:
            at = min(self._owed, size)
            self._owed -= at
            super().data_received(data[:at])
        while at < size:
            if self.protocol.state is not State.OPEN or self._dropping:
                super().data_received(data[at:])
                return
            if not self._fragmented:
                at = self._cut_texts(data, at)
            end = self._end_of_others(data, at)
            if end == at:
                self._rest += data[at:]
                return
            super().data_received(data[at:end])
            at = end

    def _cut_texts(self, data: bytes, at: int) -> int:
        """Keep the whole text frames from here on; return where the first other frame starts."""
        append, now_ns, longest, size = self.inbox.frames.append, self._now_ns, self._longest, len(data)
        try:
            while data[at] == _WHOLE_TEXT:
                length = data[at + 1]
                start = at + 2
                if length > 125:
                    if length == 126:
                        length = data[at + 2] << 8 | data[at + 3]
                        start = at + 4
                    elif length == 127:
                        length = int.from_bytes(data[at + 2 : at + 10])
                        start = at + 10
                    else:
                        break
                end = start + length
                if end > size or length > longest:
                    break
                append(Frame(data[start:end], now_ns))
                at = end
        except IndexError:  # the data ends with a frame, or within a header
            pass
        return at

    def _end_of_others(self, data: bytes, at: int) -> int:
        """Return where the frames that are the library's, which start here, end or where the data does."""
        size = len(data)
        while at < size:
            if size < at + 2:
                self._wanted = 2
                break
            first, second = data[at], data[at + 1]
            short = second & ~_MASKED
            start = at + {126: 4, 127: 10}.get(short, 2)
            if size < start:
                self._wanted = start - at
                break
            length = short if short < 126 else int.from_bytes(data[at + 2 : start])
            if (
                first == _WHOLE_TEXT
                and not second & _MASKED
                and length <= self._longest
                and not self._fragmented
            ):
                self._wanted = start + length - at
                break
            if first & 0xF < _FIRST_CONTROL:
                self._fragmented = not first & _FIN
            end = start + length
            at = min(end, size)
            self._owed = end - at
        return at
