"""Spans of time and what is left of them: pure arithmetic on integers."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Span", "cut_out", "holds"]

Span = tuple[int, int]
"""From when to when, both included."""


def cut_out(span: Span, holes: Iterable[tuple[int, int | None]]) -> list[Span]:
    """Return what is left of a span outside of the holes, in order; a hole that ends with None never does.

    Examples
    --------
    >>> cut_out((0, 20), [(-5, 2), (10, 12), (11, 14), (18, None)])
    [(3, 9), (15, 17)]
    """
    start, end = span
    left = []
    for hole_start, hole_end in sorted(holes, key=lambda hole: hole[0]):
        if hole_end is not None and hole_end < start:
            continue
        if hole_start > end:
            break
        if hole_start > start:
            left.append((start, hole_start - 1))
        if hole_end is None:
            return left
        start = hole_end + 1
    return [*left, (start, end)] if start <= end else left


def holds(spans: Iterable[Span], start: int, end: int) -> bool:
    """Return whether one of the spans holds all from `start` to `end`.

    Examples
    --------
    >>> holds([(3, 9), (15, 17)], 4, 9), holds([(3, 9), (15, 17)], 9, 15)
    (True, False)
    """
    return any(first <= start and end <= last for first, last in spans)
