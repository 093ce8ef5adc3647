"""Taking widgets from a page that may still be making them: in a thread, so that the cell goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from chaosnb.notebook.kernel import has_kernel

__all__ = ["SEEN", "when_made"]

SEEN: Final = threading.Event()
"""Whether any page was heard of: where a notebook is run without one, nothing is to be waited for."""

_UNHEARD_S: Final = 30.0
_UNDRAWN_S: Final = 4.0
_MADE_S: Final = 2.0


def when_made(
    heard: Iterable[threading.Event], then: Callable[[], None], *, drawn: threading.Event | None = None
) -> None:
    """Call something once a page has made some plots, or at once if there is no page.

    A page complains of each model that ends while the page loads the model's module, and of each view that is
    taken from it while it makes that.

    Parameters
    ----------
    heard : iterable of threading.Event
        Each set when the page has made a plot's model; at most 30 seconds are waited for all of them.
    then : callable
        Called here if there is nothing to wait for, else in a daemon thread that ends with it.
    drawn : threading.Event, optional
        Set when the page has drawn the plots; awaited for at most 4 seconds. None: it shows none of them.

    Examples
    --------
    >>> when_made([threading.Event()], lambda: print("no page is there"))
    no page is there
    """
    awaited = [*heard] if has_kernel() and SEEN.is_set() else []
    if all(event.is_set() for event in [*awaited, *([drawn] if awaited and drawn else [])]):
        then()
        return

    def run() -> None:
        end = time.monotonic() + _UNHEARD_S
        if drawn is not None:
            drawn.wait(_UNDRAWN_S)
        for event in awaited:
            event.wait(max(end - time.monotonic(), 0.0))
        # Controls may come after the plots.
        time.sleep(_MADE_S)
        then()

    threading.Thread(target=run, name="chaosnb-closing", daemon=True).start()
