"""The thread that keeps something on the screen up to date, and does not keep it alive."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Writer"]

T = TypeVar("T")


class Writer:
    """Calls a step again and again in a daemon thread, until it is done or its owner is gone.

    Parameters
    ----------
    owner : object
        What is kept up to date; held weakly.
    step : callable
        Given the owner, does the work and says whether to go on. It must not raise, nor refer to the owner.
    interval_s : float
        The time from the end of one step to the start of the next, in seconds.

    Examples
    --------
    >>> class Counter:
    ...     value = 0
    ...
    ...     def up(self):
    ...         self.value += 1
    ...         return self.value < 3
    >>> counter = Counter()
    >>> writer = Writer(counter, Counter.up, 0.001)
    >>> writer.start()
    >>> writer.join(10.0)
    >>> counter.value
    3
    """

    def __init__(self, owner: T, step: Callable[[T], bool], interval_s: float) -> None:
        self._owner = weakref.ref(owner)
        self._step: Callable[[Any], bool] = step
        self._interval_s = interval_s
        self._gate = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._sooner_s = interval_s
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, unless it runs or was stopped."""
        with self._gate:
            if not self._stopped and not self.alive:
                self._thread = threading.Thread(target=self._run, name="chaosnb-writer", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Have the next step now; one more if the thread has come to its end."""
        self._wake.set()
        self.start()

    def hurry(self, in_s: float) -> None:
        """Have the step after this one in so many seconds, if that is sooner; called within a step."""
        self._sooner_s = min(in_s, self._interval_s)

    def stop(self) -> None:
        """Let the thread end after the step that it is in; it cannot be started again."""
        with self._gate:
            self._stopped = True
        self._wake.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end, unless this is the thread.

        Parameters
        ----------
        timeout_s : float
            How long to wait at most, in seconds.
        """
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopped:
            owner = self._owner()
            # Nothing of the owner may stay in this frame while it waits.
            go_on = owner is not None and self._step(owner)
            del owner
            if not go_on:
                return
            wait_s, self._sooner_s = self._sooner_s, self._interval_s
            self._wake.wait(wait_s)
            self._wake.clear()
