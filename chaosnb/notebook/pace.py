"""How fast a page draws, and whether it has to be asked.

An answer of the page costs the kernel more than all else of a frame: 2.9 of 3.9 ms for an empty frame,
measured with ipykernel 7.4, which takes it through three threads and says to the page when it is busy, and
when it is not. So a page that keeps pace is asked once a second.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Pace"]

_EVERY_S: Final = 1.0
# Slower, and a page has more than a few frames before it says that it cannot keep pace.
_SLOWEST_S: Final = 0.2
_ROOM: Final = 1.2


class Pace:
    """What is known of a page's drawing, from its last answer; not safe to use in several threads at once.

    Examples
    --------
    >>> pace = Pace()
    >>> pace.is_kept(10.0)
    False
    >>> pace.heard(10.0, 0.1)
    >>> pace.is_kept(10.5), round(pace.s, 3)
    (True, 0.12)
    >>> pace.is_kept(11.1)
    False
    """

    def __init__(self) -> None:
        self._took_s: float | None = None
        self._heard_at = -float("inf")

    @property
    def s(self) -> float:
        """The seconds that a frame takes, with some room; 0 if that is not known, or not to be relied on."""
        return 0.0 if self._took_s is None else self._took_s * _ROOM

    def is_kept(self, now: float) -> bool:
        """Tell whether the page will have drawn a frame in time without being asked."""
        return self._took_s is not None and now - self._heard_at < _EVERY_S

    def heard(self, now: float, took_s: float | None) -> None:
        """Note the page's answer, and how many seconds the frame took it; None if it did not say."""
        self._heard_at = now
        self._took_s = took_s if took_s is not None and 0 <= took_s <= _SLOWEST_S else None

    def lose(self) -> None:
        """Note that the page did not answer in time."""
        self._took_s = None
