"""The pump: moves the batches of a link into a capture, in a thread of its own.

What runs in its thread knows only the link and the capture, so that a stream that nobody holds any more ends
by itself.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final, TypeVar

from chaosnb.ingest.link import Link, Origin
from chaosnb.ingest.session import Session
from chaosnb.runtime import LoopThread
from chaosnb.store.history import Take
from chaosnb.store.recorder import Recorder
from chaosnb.tables.capture import Capture

__all__ = ["Pump"]

T = TypeVar("T")


class Pump:
    """Runs from its making until the link ends, or `end` is called.

    Parameters
    ----------
    origin : Origin
    session : Session
    link : Link
    capture : Capture
    recorder : Recorder, optional
        Closed at the end. None: nothing is recorded.
    """

    def __init__(
        self,
        *,
        origin: Origin,
        session: Session,
        link: Link,
        capture: Capture,
        recorder: Recorder | None = None,
    ) -> None:
        self.origin: Final = origin
        self.session: Final = session
        self.link: Final = link
        self.capture: Final = capture
        self.recorder: Final = recorder
        self._thread = LoopThread("chaosnb-stream")
        self._running = self._thread.submit(_pump(link, capture))
        self._running.add_done_callback(lambda _: capture.changed.set())

    @classmethod
    def over(cls, take: Take) -> Pump:
        """Return one over a recording."""
        source, capture = take
        return cls(origin=source, session=source.session, link=source, capture=capture)

    @property
    def done(self) -> bool:
        """Whether nothing moves any more."""
        return self._running.done()

    @property
    def failure(self) -> BaseException | None:
        """Why it ended, unless because the link did or it was to."""
        if not self._running.done() or self._running.cancelled():
            return None
        return self._running.exception()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine beside the pump, in its thread."""
        return self._thread.submit(coroutine)

    def wait(
        self,
        coroutine: Coroutine[Any, Any, object],
        *,
        progress: Callable[[], float],
        title: str,
        quiet: bool = False,
    ) -> None:
        """Run a coroutine beside the pump and block until it is done; where that is long, show how far it is.

        The calling thread can be interrupted meanwhile. Why the pump failed is raised.
        """
        from chaosnb.notebook.progress import wait_with_progress

        woken = threading.Event()
        future = self.submit(coroutine)
        future.add_done_callback(lambda _: woken.set())
        wait_with_progress(future.done, woken, progress, title, quiet=quiet)
        if self.failure is not None:
            raise self.failure
        future.result()

    def stop(self) -> None:
        """Move nothing more, and end the thread; calling it again does nothing."""
        self._thread.stop()

    def end(self) -> None:
        """Stop, and let go of the origin and the recorder; calling it again does nothing."""
        self._thread.stop()
        self.origin.close()
        if self.recorder is not None:
            self.recorder.close()


async def _pump(link: Link, capture: Capture) -> None:
    async with aclosing(link.batches()) as batches:
        async for batch in batches:
            capture.accept(batch)
            for name, forgotten_us in capture.forgotten_us.items():
                link.ledger.evict(name, forgotten_us)
