"""The node's port: opens the server on it, and closes it within a bounded time."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

__all__ = ["Listener"]

_MESSAGE_BYTES: Final = 64 * 1024
_PING_TIMEOUT_S: Final = 60.0
_FAREWELL_S: Final = 0.8


class Listener:
    """A WebSocket server that answers plain HTTP requests as well.

    Parameters
    ----------
    handle : callable
        Serves a WebSocket connection until it is gone.
    answer : callable
        Answers an HTTP request on a connection; None lets it become a WebSocket.
    logger : logging.Logger
    """

    def __init__(
        self,
        handle: Callable[[ServerConnection], Awaitable[None]],
        answer: Callable[[ServerConnection, Request], Response | None],
        logger: logging.Logger,
    ) -> None:
        self._handle = handle
        self._answer = answer
        self._logger = logger
        self._opened: weakref.WeakSet[ServerConnection] = weakref.WeakSet()
        self._server: Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen, and return the port; 0 takes a free one."""
        self._server = await serve(
            self._handle,
            host,
            port,
            process_request=self._answer,
            create_connection=self._connect,  # type: ignore[arg-type]  # called, never used as a class
            compression=None,
            max_size=_MESSAGE_BYTES,
            ping_timeout=_PING_TIMEOUT_S,
            logger=self._logger,
        )
        taken: int = next(iter(self._server.sockets)).getsockname()[1]
        return taken

    async def close(self) -> None:
        """Close all connections with 1001, and those that do not answer without."""
        if self._server is None:
            return
        self._server.close()
        closed = asyncio.create_task(self._server.wait_closed())
        await asyncio.wait([closed], timeout=_FAREWELL_S)
        for connection in list(self._opened):
            connection.transport.abort()
        await asyncio.wait([closed], timeout=_FAREWELL_S)

    def _connect(self, *args: Any, **options: Any) -> ServerConnection:
        connection = ServerConnection(*args, **options)
        self._opened.add(connection)
        return connection
