"""How fast it goes: how much may be sent to the node, and how long the node is usually silent.

Pure: monotonic seconds are arguments.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from chaosnb.amounts import amount

__all__ = ["SendPace", "Silence"]

_SLOT_S: Final = 10.0
_SLOTS: Final = 60
_KNOWN_SLOTS: Final = 6
_MARGIN: Final = 5.0
_AT_FIRST_S: Final = 180.0
_LEAST_S: Final = 30.0
_MOST_S: Final = 1800.0


class SendPace:
    """Counts what is sent, over all links of a stream, against the node's limit of 100 messages a minute.

    Parameters
    ----------
    messages : int
        How many messages may go out in `span_s`.
    span_s : float
        In seconds. The default is a second longer than the node's minute, since messages can be held up on
        their way and then come closer together.

    Examples
    --------
    >>> pace = SendPace(messages=2, span_s=60)
    >>> pace.note(0.0), pace.note(1.0)
    (None, None)
    >>> pace.wait_s(5.0), pace.wait_s(5.0, 2)
    (55.0, 56.0)
    """

    def __init__(self, messages: int = 100, span_s: float = 61.0) -> None:
        self._messages = messages
        self._span_s = span_s
        self._sent: deque[float] = deque(maxlen=messages)
        self._held_until_s = -math.inf

    def wait_s(self, now_s: float, count: int = 1) -> float:
        """Return the seconds until so many more messages may be sent."""
        wait_s = self._held_until_s - now_s
        too_many = len(self._sent) + count - self._messages
        if too_many > 0:
            wait_s = max(wait_s, self._sent[too_many - 1] + self._span_s - now_s)
        return max(0.0, wait_s)

    def note(self, now_s: float) -> None:
        """Take note that a message has gone out."""
        self._sent.append(now_s)

    def held(self, now_s: float) -> bool:
        """Return whether the node has asked for nothing to be sent now."""
        return now_s < self._held_until_s

    def hold(self, until_s: float) -> None:
        """Send nothing before then, as the node has asked."""
        self._held_until_s = max(self._held_until_s, until_s)


class Silence:
    """Learns how long a feed is usually silent, and says from when on a silence is suspicious.

    It looks at the longest silence of every ten seconds or more, of which it knows the last sixty. Five times
    what nine in ten of these stay under is suspicious, but not less than 30 s and not more than 30 min; while
    less than a minute is known, not less than 3 min. So a feed of bursts is not judged by the pace within a
    burst, nor a quick feed by one bad moment.

    Parameters
    ----------
    stale_after_s : float or None
        What is suspicious, in seconds, whatever the feed's pace; infinite: no silence is. None: learned.

    Raises
    ------
    ValueError
        If it is no positive number.

    Examples
    --------
    >>> silence = Silence(None)
    >>> for minute in range(10):
    ...     silence.note(60.0 * minute, 60.0)
    >>> silence.bound_s
    300.0
    """

    def __init__(self, stale_after_s: float | None = None) -> None:
        if stale_after_s is not None and not amount(stale_after_s) > 0:
            raise ValueError(
                "stale_after must be a positive number of seconds, or None to learn it from the feed, "
                f"not {stale_after_s!r}"
            )
        self._fixed_s = stale_after_s
        self._slots: deque[float] = deque(maxlen=_SLOTS)
        self._longest_s = 0.0
        self._slot_ends_s: float | None = None
        self._carried_s = 0.0

    @property
    def bound_s(self) -> float:
        """From how many seconds on a silence is suspicious."""
        if self._fixed_s is not None:
            return self._fixed_s
        if len(self._slots) < _KNOWN_SLOTS:
            usual_s, least_s = max(*self._slots, self._longest_s, 0.0), _AT_FIRST_S
        else:
            usual_s, least_s = sorted(self._slots)[9 * (len(self._slots) - 1) // 10], _LEAST_S
        return min(max(least_s, _MARGIN * usual_s, self._carried_s), _MOST_S)

    @property
    def drop_s(self) -> float:
        """From how many seconds on a silent link is not worth keeping."""
        return 2 * self.bound_s

    def note(self, now_s: float, silence_s: float) -> None:
        """Take note that frames have come now, after so long a silence of the node."""
        if self._slot_ends_s is None:
            # How long the first frame took says nothing of the pace.
            self._slot_ends_s = now_s + _SLOT_S
            return
        if self._carried_s:
            silence_s += self._carried_s
            self._carried_s = 0.0
        if silence_s > self._longest_s:
            self._longest_s = silence_s
        if now_s >= self._slot_ends_s:
            self._slots.append(self._longest_s)
            self._longest_s = 0.0
            self._slot_ends_s = now_s + _SLOT_S

    def lose(self, silence_s: float | None) -> None:
        """Take note that the link has ended: given up after so long a silence, or (None) for another reason.

        A silence goes on over links given up for it: so a feed slower than was thought is learned, too.
        """
        self._carried_s = 0.0 if silence_s is None else self._carried_s + silence_s
