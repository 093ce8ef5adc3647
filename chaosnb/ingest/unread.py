"""The spans of event time in which messages came that could not be read. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

__all__ = ["UnreadSpans"]

_KEPT: Final = 10_000
_EVER_US: Final = -(2**62)


class _Span(Struct):
    """From the newest event before to a newer one after, which has not come while the end is None."""

    start_us: int
    end_us: int | None = None


class UnreadSpans:
    """Keeps between which event times messages came whose own times are unknown.

    Spans that touch are one, and of more than `kept` the two oldest are joined, so that memory is bounded.

    Examples
    --------
    >>> unread = UnreadSpans()
    >>> unread.note(10)
    >>> unread.advance(14)
    >>> unread.spans()
    [(10, 14)]
    """

    def __init__(self, *, kept: int = _KEPT) -> None:
        self._kept = kept
        self._spans: list[_Span] = []

    @property
    def is_open(self) -> bool:
        """Whether a span waits for a newer event."""
        return bool(self._spans) and self._spans[-1].end_us is None

    def note(self, newest_us: int | None) -> None:
        """Note that one came, after events up to this time; None: before any event."""
        start_us = _EVER_US if newest_us is None else newest_us
        last = self._spans[-1] if self._spans else None
        if last is not None and (last.end_us is None or last.end_us >= start_us):
            last.start_us, last.end_us = min(last.start_us, start_us), None
            return
        self._spans.append(_Span(start_us))
        if len(self._spans) > self._kept:
            old = self._spans.pop(0)
            self._spans[0].start_us = old.start_us

    def advance(self, newest_us: int | None) -> None:
        """End the span that is open, if the newest event is one that came after it."""
        if self.is_open and newest_us is not None and newest_us > self._spans[-1].start_us:
            self._spans[-1].end_us = newest_us

    def spans(self, disorder_us: int = 0) -> list[tuple[int, int | None]]:
        """Return from when to when they may lie in a feed that comes this much out of order; None: no end."""
        return [
            (span.start_us - disorder_us, None if span.end_us is None else span.end_us + disorder_us)
            for span in self._spans
        ]
