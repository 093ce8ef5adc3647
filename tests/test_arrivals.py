"""Arrivals of the last minute: each event in its own second, and none after a minute."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.tables.arrivals import SPAN_S, Arrivals


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=40), st.integers(0, 90))
@settings(deadline=None)
def test_it_counts_what_came_in_the_last_minute(steps: list[tuple[int, int]], later: int) -> None:
    """However long the pauses, and whenever somebody looks."""
    now = 1000
    arrivals = Arrivals(lambda: now + 0.5)
    came: dict[int, int] = {}
    for pause, count in steps:
        now += pause
        arrivals.add({"a": count})
        came[now] = came.get(now, 0) + count
    now += later
    assert arrivals.counts("a") == [came.get(second, 0) for second in range(now - SPAN_S + 1, now + 1)]
    assert arrivals.counts("b") == [0] * SPAN_S
