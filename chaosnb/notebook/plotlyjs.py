"""The plotly.js of the installed plotly package, as it is sent to a page."""

from __future__ import annotations

import gzip
import threading
import time
from functools import cache
from typing import Final

__all__ = ["OFFER", "Offer", "library"]


@cache
def library() -> bytes:
    """Return the installed plotly.js, gzip-compressed (once a process).

    Returns
    -------
    bytes

    Examples
    --------
    >>> library()[:2] == bytes([0x1F, 0x8B])
    True
    """
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return gzip.compress(source.encode(), 6, mtime=0)


class Offer:
    """Lets one caller through, once a minute at most: plotly.js is large, and pages share one.

    Parameters
    ----------
    every_s : float
        The least time between two, in seconds.

    Examples
    --------
    >>> offer = Offer()
    >>> offer.taken, offer.take(), offer.take(), offer.taken
    (False, True, False, True)
    """

    def __init__(self, every_s: float = 60.0) -> None:
        self._every_s = every_s
        self._gate = threading.Lock()
        self._taken_at = -float("inf")

    @property
    def taken(self) -> bool:
        """Whether any caller was let through so far."""
        with self._gate:
            return self._taken_at > -float("inf")

    def take(self) -> bool:
        """Tell whether this caller may."""
        with self._gate:
            now = time.monotonic()
            if now - self._taken_at < self._every_s:
                return False
            self._taken_at = now
            return True


OFFER: Final = Offer()
"""The process's one."""
