"""The thread in which the node runs: it begins, does what it is asked to do, and ends within bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from chaosnb.errors import DevnetError

__all__ = ["Host"]

_START_TIMEOUT_S: Final = 10.0
_JOIN_S: Final = 2.0


class Host:
    """Runs a service in an asyncio loop of its own, in a daemon thread; it may be started again.

    Parameters
    ----------
    begin, end : callable
        Coroutine functions that begin and end the service.
    name : str
        Of the thread.
    logger : logging.Logger
        Told of errors at the end.
    """

    def __init__(
        self,
        *,
        begin: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
        name: str,
        logger: logging.Logger,
    ) -> None:
        self._begin = begin
        self._end = end
        self._name = name
        self._logger = logger
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._thread is not None

    def start(self) -> None:
        """Start, and return once the service has begun; does nothing if it runs.

        Raises
        ------
        DevnetError
            If it takes too long; else whatever the beginning raised.
        """
        with self._lock:
            if self._thread is not None:
                return
            begun = threading.Event()
            failure: list[BaseException] = []
            thread = threading.Thread(target=self._run, args=(begun, failure), name=self._name, daemon=True)
            thread.start()
            if not begun.wait(_START_TIMEOUT_S):
                raise DevnetError(f"the node did not start within {_START_TIMEOUT_S:g} s")
            if failure:
                thread.join(_JOIN_S)
                raise failure[0]
            self._thread = thread

    def call(self, action: Callable[[], None]) -> None:
        """Have something done in the loop, and wait until it is.

        Raises
        ------
        DevnetError
            If the service does not run.
        """
        # Within the lock nobody stops the loop, so that the answer comes.
        with self._lock:
            if self._thread is None or self._loop is None:
                raise DevnetError("the node is closed; call start() first")

            async def act() -> None:
                action()

            asyncio.run_coroutine_threadsafe(act(), self._loop).result()

    def stop(self) -> None:
        """End the service; does nothing if it does not run. Takes two seconds at most."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None or self._loop is None or self._stop is None:
                return
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(_JOIN_S)

    def _run(self, begun: threading.Event, failure: list[BaseException]) -> None:
        try:
            asyncio.run(self._serve(begun))
        except BaseException as error:
            failure.append(error)
            if begun.is_set():
                self._logger.exception("the node failed")
        finally:
            begun.set()

    async def _serve(self, begun: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._begin()
        begun.set()
        await self._stop.wait()
        await self._end()
