"""Progress: a bar while something long goes on, after two seconds, with tqdm where it is installed.

In a log file, where no bar can be drawn over, it is a line every five seconds.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from chaosnb.notebook.kernel import has_kernel
from chaosnb.runtime import wait_until

__all__ = ["bar_in_terminal", "wait_with_progress"]

_SHOWN_AFTER_S: Final = 2.0
_PLAIN_EVERY_S: Final = 5.0
_FORM: Final = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"


def wait_with_progress(
    done: Callable[[], bool],
    wake: threading.Event,
    progress: Callable[[], float],
    title: str,
    *,
    quiet: bool = False,
) -> None:
    """Block until `done()`; where that takes over two seconds, show how far it is, from 0 to 1.

    `wake` is set by others when something changed.

    Examples
    --------
    >>> wait_with_progress(lambda: True, threading.Event(), lambda: 1.0, "loading")
    """
    if wait_until(done, wake, None if quiet else _SHOWN_AFTER_S):
        return
    bar = _Bar(title)
    try:
        while not wait_until(done, wake, 0.2):
            bar.show(progress())
        bar.show(1.0)
    finally:
        bar.close()


@contextmanager
def bar_in_terminal(title: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[int], object]]:
    """Give what counts how much of a total is done with, in a bar where that takes over two seconds.

    Where standard error is no terminal nothing is shown.

    Examples
    --------
    >>> with bar_in_terminal("verify", 2_000) as advance:
    ...     advance(1_500)
    """
    if quiet or not sys.stderr.isatty():
        yield lambda count: None
        return
    tqdm = importlib.import_module("tqdm.auto").tqdm
    with tqdm(total=total, desc=title, bar_format=_FORM, delay=_SHOWN_AFTER_S) as bar:
        # There may be more meanwhile.
        yield lambda count: bar.update(min(count, total - bar.n))
        bar.update(total - bar.n)


class _Bar:
    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None
        self._told_at_s = -_PLAIN_EVERY_S
        self._told = 0
        if not (has_kernel() or sys.stderr.isatty()):
            return
        with suppress(ImportError):
            tqdm = importlib.import_module("tqdm.auto").tqdm
            self._bar = tqdm(total=100, desc=title, bar_format=_FORM)

    def show(self, share: float) -> None:
        percent = round(100 * share)
        if self._bar is not None:
            self._bar.n = percent
            self._bar.refresh()
        elif time.monotonic() - self._told_at_s >= _PLAIN_EVERY_S or percent == 100 != self._told:
            self._told_at_s, self._told = time.monotonic(), percent
            print(f"chaosnb: {self._title}: {percent} %", file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
