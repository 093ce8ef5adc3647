"""A node: a WebSocket and HTTP server on a loopback port, in a thread of its own, whatever its feed."""

from __future__ import annotations

import asyncio
import atexit
import errno
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from chaosnb.devnet.host import Host
from chaosnb.devnet.http_api import WS_PATH, answer
from chaosnb.devnet.listener import Listener
from chaosnb.devnet.model import Model
from chaosnb.devnet.registry import Registry
from chaosnb.errors import DevnetError

__all__ = ["Node"]


class Node:
    """Serves clients for as long as it is started.

    Parameters
    ----------
    host : str
        Address to listen on, which is loopback.
    port : int
        0: a free one is taken, and kept for later starts.
    registry : Registry
        Serves the connections.
    beat : callable
        Coroutine function that offers the clients what is due, to the end of it.
    notice : callable
        Called when a client subscribes, has taken frames, or is gone.
    logger : logging.Logger
    model : Model, optional
        The network that HTTP tells of. None: it tells of connections alone.
    turn_away : callable, optional
        Answers a link that is not to be made; None for one that is.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        registry: Registry,
        beat: Callable[[], Awaitable[None]],
        notice: Callable[[], None],
        logger: logging.Logger,
        model: Model | None = None,
        turn_away: Callable[[ServerConnection], Response | None] = lambda connection: None,
    ) -> None:
        if host not in ("localhost", "::1") and not str(host).startswith("127."):
            raise ValueError(f"host={host!r} is not loopback; this node serves this machine: 127.0.0.1")
        self._host = host
        self._port = port
        self._registry = registry
        self._beat = beat
        self._notice = notice
        self._logger = logger
        self._model = model
        self._turn_away = turn_away
        self._runner = Host(begin=self._begin, end=self._end, name="chaosnb-devnet", logger=logger)
        self._listener = Listener(self._handle, self._answer, logger)
        self._beating: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not closed since."""
        return self._runner.is_running

    @property
    def port(self) -> int:
        """The port; known after the first start."""
        if not self._port:
            raise DevnetError("the node has no port yet; call start() first")
        return self._port

    @property
    def url(self) -> str:
        """The WebSocket address."""
        return f"ws://{self._authority}{WS_PATH}"

    @property
    def http_url(self) -> str:
        """The HTTP address, without a path."""
        return f"http://{self._authority}"

    @property
    def where(self) -> str:
        """The WebSocket address, or that there is none yet."""
        return self.url if self._port else f"{self._host}, no port yet"

    def start(self) -> None:
        """Start it; does nothing if it runs.

        Raises
        ------
        DevnetError
            If the port is in use, or the address cannot be listened on.
        """
        try:
            self._runner.start()
        except DevnetError:
            raise
        except Exception as error:
            raise self._start_error(error) from error
        _running.add(self)

    def close(self) -> None:
        """Close it and its connections; does nothing if it is closed. Takes two seconds at most."""
        self._runner.stop()
        _running.discard(self)

    def call(self, action: Callable[[], None]) -> None:
        """Have something done in its thread, and wait until it is.

        Raises
        ------
        DevnetError
            If it does not run.
        """
        self._runner.call(action)

    @property
    def _authority(self) -> str:
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    # -- in the thread

    async def _begin(self) -> None:
        self._port = await self._listener.open(self._host, self._port)
        self._beating = asyncio.create_task(self._run())

    async def _end(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        await self._listener.close()

    async def _run(self) -> None:
        try:
            await self._beat()
        except Exception:
            self._logger.exception("the node sends nothing more")

    async def _handle(self, connection: ServerConnection) -> None:
        await self._registry.serve(connection, self._notice)

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        hosts = {"127.0.0.1", "localhost", self._host}
        origins = frozenset(f"http://{host}:{self._port}" for host in hosts)
        answered = answer(request, model=self._model, connection=self._registry.record, origins=origins)
        return self._turn_away(connection) if answered is None else answered

    def _start_error(self, error: Exception) -> DevnetError:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return DevnetError(
                f"port {self._port} on {self._host} is in use; close what listens there, or take another "
                "port (port=0 finds a free one)"
            )
        # The event loop's own words for it name none of its users' arguments.
        reason = "ports go up to 65535" if isinstance(error, OverflowError) else error
        return DevnetError(
            f"the node cannot listen on {self._host}:{self._port}: {reason}; take another port (port=0 finds "
            "a free one)"
        )


_running: Final[weakref.WeakSet[Node]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for node in list(_running):
        node.close()
