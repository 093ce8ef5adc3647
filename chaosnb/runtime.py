"""Threads and waiting: an asyncio loop in a thread of its own, interruptible waits, coroutines from a cell.

A stream does not run on the kernel's loop, since there it stands still for as long as a cell computes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

__all__ = ["LoopThread", "run", "wait_until"]

T = TypeVar("T")

# Longer waits were seen not to end on an interrupt in a kernel.
_SLICE_S: Final = 0.2
_PAUSE_S: Final = 0.02


class LoopThread:
    """A daemon thread that runs an asyncio loop.

    Parameters
    ----------
    name : str
        The thread's name.

    Examples
    --------
    >>> async def answer():
    ...     return 42
    >>> thread = LoopThread("example")
    >>> thread.submit(answer()).result()
    42
    >>> thread.stop()
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the thread; the future gives its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self, timeout_s: float = 2.0) -> None:
        """Cancel what runs, end the loop and wait for the thread; calling it again does nothing."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            # These two end a loop at once; who waits for the coroutine that raised them is told below.
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()


def wait_until(happened: Callable[[], bool], wake: threading.Event, timeout_s: float | None) -> bool:
    """Block until `happened()` is true; the calling thread can be interrupted meanwhile.

    Parameters
    ----------
    happened : callable
        Asked again whenever `wake` is set, and at least five times a second.
    wake : threading.Event
        Set by others when something changed.
    timeout_s : float or None
        None: for ever.

    Returns
    -------
    bool
        False if the time ran out first.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        wake.clear()
        if happened():
            return True
        left = _SLICE_S if deadline is None else min(_SLICE_S, deadline - time.monotonic())
        if left <= 0:
            return False
        wake.wait(left)
        # A busy stream wakes for every batch; looking that often would cost it a tenth of its speed.
        time.sleep(min(_PAUSE_S, left))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result, in a script as well as in a notebook's cell.

    In a cell a loop is running already; only there is nest-asyncio applied, which lets the same loop be
    entered again. ``await coroutine`` does without it and is better wherever it can be written.

    Examples
    --------
    >>> async def answer():
    ...     return 42
    >>> run(answer())
    42
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    _nesting().apply(loop)
    return loop.run_until_complete(coroutine)


def _nesting() -> Any:
    # nest-asyncio 1.6 can lose queued cells in 'Run All'; its maintained successor does not.
    try:
        return importlib.import_module("nest_asyncio2")
    except ModuleNotFoundError:
        return importlib.import_module("nest_asyncio")
