"""A WebSocket server for tests that does by hand what a decent one would not do, and frames as bytes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from websockets.frames import Frame, Opcode

__all__ = ["CLOSE", "PING", "accept", "frame", "idle", "raw_node"]

Behaviour = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE = Opcode.CLOSE
PING = Opcode.PING


def frame(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """A frame as a server sends it."""
    return Frame(opcode, data, fin).serialize(mask=False)


def accept(head: bytes) -> bytes:
    """The answer that accepts the handshake with this head of a request."""
    lines = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
    lowered = lines[b"sec-websocket-key"]
    at = head.lower().index(lowered)
    digest = hashlib.sha1(head[at : at + len(lowered)] + _GUID).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


async def idle(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the handshake, read, and never say anything."""
    writer.write(accept(head))
    while await reader.read(2**16):
        pass


@asynccontextmanager
async def raw_node(behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve every connection with `behave`, which gets the head of the request; gives the URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        # However the client leaves, it is the client that is tested.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                await behave(await reader.readuntil(b"\r\n\r\n"), reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'ws' if tls is None else 'wss'}://127.0.0.1:{port}/ws/v1"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
