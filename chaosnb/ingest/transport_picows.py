"""The link by picows, a WebSocket library in C, with the extra ``fast``.

It does not compress, and leaves proxies and credentials in the address to `transport_websockets`. Where a
node breaks the protocol, picows may lose the message just before the breach. The socket is opened here, so
that it can be closed at any moment, also amid a handshake.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from chaosnb.errors import TransportError
from chaosnb.ingest.address import check_redirect, shown_url
from chaosnb.ingest.transport import UNREAD, Inbox, Limits, describe, refusal
from chaosnb.protocol.events import Frame

if TYPE_CHECKING:
    from picows import WSUpgradeResponse
    from picows.url import WSParsedURL

__all__ = ["PicowsTransport", "connect_picows"]

_CONT: Final = 0x0
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA
_NO_STATUS: Final = 1005
_ABNORMAL: Final = 1006
_BREATHS: Final = 100
_REDIRECTS: Final = 6

# What it logs as an error is raised as a TransportError; what it logs as information holds addresses.
_log: Final = logging.getLogger("chaosnb.picows")
_log.setLevel(logging.CRITICAL)


async def connect_picows(
    url: str,
    *,
    wall_ns: Callable[[], int] = time.time_ns,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
) -> PicowsTransport:
    """Connect to a node with picows; the parameters are those of `transport.connect_websocket`.

    Raises
    ------
    TransportError
        If the connection or its handshake fails.
    """
    import picows

    limits = limits or Limits()
    sockets: list[socket.socket] = []

    async def open_socket(address: WSParsedURL) -> socket.socket:
        sockets.append(await _connected_socket(address.host, address.port))
        return sockets[-1]

    try:
        async with asyncio.timeout(limits.open_timeout_s):
            for _ in range(_REDIRECTS):
                try:
                    _, listener = await picows.ws_connect(
                        lambda request, response: _listener_class()(wall_ns=wall_ns, limits=limits),
                        url,
                        ssl_context=tls,
                        websocket_handshake_timeout=None,
                        logger_name=_log,
                        enable_auto_ping=True,
                        auto_ping_idle_timeout=limits.ping_interval_s,
                        auto_ping_reply_timeout=min(limits.ping_timeout_s, limits.ping_interval_s),
                        # Answered by the listener, which has to see the end of each read.
                        enable_auto_pong=False,
                        max_frame_size=limits.message_bytes,
                        # It would follow them to any host.
                        max_redirects=0,
                        socket_factory=open_socket,
                        # TLS by the standard library, as quick here, and it verifies as everything else does.
                        use_aiofastnet=False,
                    )
                except picows.WSInvalidStatusError as error:
                    if (location := _location(error.response)) is None:
                        raise
                    url = check_redirect(url, location)
                    await _close_sockets(sockets)
                else:
                    if listener is None:
                        raise TransportError("the server closed the connection within the handshake")
                    return PicowsTransport(cast(_Receiver, listener))
            raise TransportError(f"the node redirects more than {_REDIRECTS - 1} times")
    except BaseException as error:
        await _close_sockets(sockets)
        if isinstance(error, TimeoutError):
            raise TransportError(f"no answer within {limits.open_timeout_s:g} s") from error
        if isinstance(error, picows.WSInvalidStatusError) and error.response is not None:
            retry_after = error.response.headers.get("Retry-After")
            raise refusal(int(error.response.status), retry_after, wall_ns()) from error
        if isinstance(error, picows.WSHandshakeError):
            raise TransportError(f"the WebSocket handshake failed: {error}") from error
        if isinstance(error, picows.WSInvalidURL):  # its text holds all of the address
            raise TransportError(f"{shown_url(error.url)} is no node's address") from None
        # The ValueError comes of a redirect to what is no address.
        if isinstance(error, OSError | picows.WSError | ValueError):
            raise TransportError(describe(error)) from error
        raise


class PicowsTransport:
    """A `transport.Transport` over picows."""

    def __init__(self, listener: _Receiver) -> None:
        self._listener = listener

    async def receive(self) -> list[Frame]:
        """Wait for frames and return all that are there; raise `TransportError` once the link is down."""
        return await self._listener.inbox.receive()

    async def send(self, text: str) -> None:
        """Send one text message; raise `TransportError` if the link is down."""
        await self._listener.send(text)

    async def close(self) -> None:
        """Close the link; calling it again does nothing."""
        await self._listener.close()


class _Receiver:
    """What picows calls: puts whole messages into an `Inbox`, and answers pings and the node's close."""

    # picows declares plain enums where it gives and takes integers, hence Any for its frames and codes.
    transport: Any
    inbox: Inbox

    def __init__(self, *, wall_ns: Callable[[], int], limits: Limits) -> None:
        import picows

        self._wall_ns = wall_ns
        self._limits = limits
        self._text = picows.WSMsgType.TEXT
        # One time of arrival for all that one read brings; 0: not yet taken.
        self._now_ns = 0
        self._size = 0
        self._message: bytearray | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()

    def on_ws_connected(self, transport: Any) -> None:
        """Take hold of the connection."""
        self.transport = transport
        raw = transport.underlying_transport
        self.inbox = Inbox(limits=self._limits, pause=raw.pause_reading, resume=raw.resume_reading)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Keep a whole text frame; see to any other."""
        if not self._now_ns:
            self._now_ns = self._wall_ns()
        self._size += frame.payload_size
        if (
            frame.msg_type is self._text
            and frame.fin
            and self._message is None
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3 or transport.is_close_frame_sent)
        ):
            self.inbox.frames.append(Frame(frame.get_payload_as_bytes(), self._now_ns))
        else:
            self._read(transport, frame)
        if frame.last_in_buffer:
            self._end_read()

    def is_user_specific_pong(self, frame: Any) -> bool:
        """Tell picows whether this answers its ping; it does not give that one to `on_ws_frame`."""
        answers = bool(frame.msg_type == _PONG)
        if answers and frame.last_in_buffer:
            self._end_read()
        return answers

    def on_ws_disconnected(self, transport: Any) -> None:
        """Say to whoever waits for frames why there will be no more."""
        handshake = transport.close_handshake
        if handshake is None:
            self.inbox.lose("the connection broke off", _ABNORMAL)
        else:
            # What was sent first is the cause: ours, if the node broke a rule or did not answer pings.
            received_first = handshake.sent is None or handshake.recv_then_sent
            cause = handshake.recv if received_first else handshake.sent
            self.inbox.lose((cause and cause.reason) or "", int(cause.code if cause else 0) or _NO_STATUS)
        self._writable.set()
        self._gone.set()

    def pause_writing(self) -> None:
        """Hold back what is to be sent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Send again."""
        self._writable.set()

    async def send(self, text: str) -> None:
        """Send one text message."""
        try:
            async with asyncio.timeout(self._limits.ping_timeout_s):
                await self._writable.wait()
        except TimeoutError:
            self._hang_up()
        if self.transport.is_disconnected or self.transport.is_close_frame_sent:
            raise self.inbox.loss or TransportError("the connection is closing")
        self.transport.send(self._text, text.encode())

    async def close(self) -> None:
        """Say goodbye, and wait for the node's answer for as long as the limits allow."""
        try:
            if not self._gone.is_set():
                if not self.transport.is_close_frame_sent:
                    self.transport.send_close(1000)
                self.inbox.take()
                async with asyncio.timeout(self._limits.close_timeout_s):
                    await self._gone.wait()
        except TimeoutError:
            self.transport.disconnect(graceful=False)
            await self._gone.wait()
        except asyncio.CancelledError:
            self.transport.disconnect(graceful=False)
            raise
        # picows keeps its own error there, and asyncio complains if nobody looks at it.
        with suppress(Exception):
            await self.transport.wait_disconnected()

    def _hang_up(self) -> None:
        """End the link with a node that does not read."""
        self.inbox.lose(UNREAD, _ABNORMAL)
        self.transport.disconnect(graceful=False)

    def _end_read(self) -> None:
        self.inbox.note(self._size)
        self._size = self._now_ns = 0

    def _read(self, transport: Any, frame: Any) -> None:
        kind = frame.msg_type
        if kind == _CLOSE and transport.is_close_frame_sent:
            transport.disconnect()
        elif transport.is_close_frame_sent:
            pass  # nothing counts any more
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise _protocol_error(1002, "reserved bits must be 0")
        elif kind == _CLOSE:
            code = frame.get_payload_as_bytes()[:2]
            transport.send_close(int.from_bytes(code) or 1000)
            transport.disconnect()
        elif kind == _PING:
            transport.send_pong(frame.get_payload_as_bytes())
            if transport.underlying_transport.get_write_buffer_size() > self._limits.unsent_bytes:
                self._hang_up()
        elif kind != _PONG:
            self._join(frame)

    def _join(self, frame: Any) -> None:
        """Put a message together of its fragments; a binary message counts as one of text."""
        if (frame.msg_type == _CONT) is (self._message is None):
            raise _protocol_error(1002, "unexpected fragment")
        if self._message is None:
            self._message = bytearray()
        self._message += frame.get_payload_as_bytes()
        if len(self._message) > self._limits.message_bytes:
            raise _protocol_error(1009, f"message longer than {self._limits.message_bytes} bytes")
        if frame.fin:
            self.inbox.frames.append(Frame(bytes(self._message), self._now_ns))
            self._message = None


@functools.cache
def _listener_class() -> type[Any]:
    # picows is imported at first use, so that this module can be imported without it.
    import picows

    return type("PicowsReceiver", (_Receiver, picows.WSListener), {})


def _protocol_error(code: int, reason: str) -> Exception:
    """Return what makes picows close the link with this code."""
    import picows

    return picows.WSProtocolError(code, reason)


def _location(response: WSUpgradeResponse | None) -> str | None:
    if response is None or not 300 <= int(response.status) < 400:
        return None
    location: str | None = response.headers.get("Location")
    return location


async def _connected_socket(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        link = socket.socket(family, kind, protocol)
        link.setblocking(False)
        try:
            await loop.sock_connect(link, address)
        except OSError as error:
            link.close()
            failure = error
        except BaseException:
            link.close()
            raise
        else:
            return link
    raise failure


async def _close_sockets(sockets: list[socket.socket]) -> None:
    """Have their owner, a transport of asyncio that picows does not hand out, close them, and see it done."""
    for link in sockets:
        if link.fileno() >= 0:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
    for _ in range(_BREATHS):
        if all(link.fileno() < 0 for link in sockets):
            return
        await asyncio.sleep(0)
