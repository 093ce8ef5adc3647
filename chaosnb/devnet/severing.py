"""How a link of the node is cut, beyond what a well-behaved server does."""

from __future__ import annotations

import asyncio
import socket
import struct

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State

__all__ = ["deafen", "part", "reset"]

_PARTING_S = 5.0


def reset(connection: ServerConnection) -> None:
    """Reset the TCP connection; what the client's system has not yet taken is lost."""
    link = connection.transport.get_extra_info("socket")
    if link is not None:
        # Closing without lingering sends RST in the place of FIN.
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()


def deafen(connection: ServerConnection) -> None:
    """Leave the connection open, but read, answer and send nothing more, until the client closes it."""
    if connection.keepalive_task is not None:
        connection.keepalive_task.cancel()
    connection.transport.set_protocol(_Deaf(connection))


async def part(connection: ServerConnection, code: int, reason: str) -> None:
    """Close with a code, which may be one that must not be sent; abort if the client does not answer."""
    # The close frame waits behind what was written before, which a client that reads nothing never takes.
    try:
        async with asyncio.timeout(_PARTING_S):
            if _is_valid(code, reason):
                await connection.close(code, reason)
            elif connection.state is State.OPEN:
                data = struct.pack("!H", code) + reason.encode()
                connection.transport.write(Frame(Opcode.CLOSE, data).serialize(mask=False))
                await connection.wait_closed()
    except TimeoutError:
        connection.transport.abort()


class _Deaf(asyncio.Protocol):
    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    def eof_received(self) -> None:
        self._connection.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._connection.connection_lost(error)


def _is_valid(code: int, reason: str) -> bool:
    try:
        Close(code, reason).check()
    except ProtocolError:
        return False
    return True
