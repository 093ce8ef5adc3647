"""Clocks: jumps of ours, and how far the node's is ahead."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.ingest.clocks import ClockSkew, ClockWatch
from chaosnb.ingest.session import Batch, Rows

NOW_US = 1_780_000_000_000_000


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 1e5), st.just(0) | st.floats(1.1, 1e6) | st.floats(-1e6, -1.1))),
    st.floats(0, 1e9),
)
def test_every_jump_is_found_once_and_its_size_told(steps: list[tuple[float, float]], start_s: float) -> None:
    """Forward and back, however long the clock was not looked at."""
    wall_ns, now_s = NOW_US * 1_000, start_s
    watch = ClockWatch(wall_ns, now_s)
    for pause_s, jump_s in steps:
        now_s += pause_s
        wall_ns += round((pause_s + jump_s) * 1e9)
        assert watch.jump_s(wall_ns, now_s) == pytest.approx(jump_s, abs=1e-3)


def test_slewing_is_no_jump() -> None:
    """A clock that is brought right little by little does not make a row each second."""
    watch = ClockWatch(0, 0.0)
    assert [watch.jump_s(round(second * 1.0005e9), float(second)) for second in range(1, 3_600)] == [
        0.0
    ] * 3_599


def arrivals(ahead_s: float, delays_s: list[float]) -> Batch:
    """A batch whose events were stamped by a clock that is ahead, and took so long."""
    times = [np.array([NOW_US + round(1e6 * (ahead_s - delay_s))]) for delay_s in delays_s]
    received = np.array([NOW_US * 1_000])
    return Batch(
        rows={str(place): Rows([None], time, received, received) for place, time in enumerate(times)}
    )


@pytest.mark.parametrize("ahead_s", [-7_200.0, -1.0, 0.0, 0.3, 90.0])
def test_the_skew_is_told_by_the_quickest_deliveries(ahead_s: float) -> None:
    """Despite jitter, old events in between, and a few from the future."""
    rng, skew = random.Random(3), ClockSkew()
    assert skew.skew_s is None
    for number in range(600):
        delays_s = [0.01 + rng.expovariate(5)]
        delays_s += [rng.uniform(100, 1e4)] * (number % 3 == 0) + [-1e5] * (number % 40 == 0)
        skew.feed(arrivals(ahead_s, delays_s))
    assert skew.skew_s == pytest.approx(ahead_s - 0.01, abs=0.1)
    skew.reset()
    assert skew.skew_s is None


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1),
        min_size=1,
        max_size=400,
    )
)
@settings(deadline=None)
def test_batches_that_are_fed_together_tell_the_same_skew(batches: list[list[tuple[str, int, int]]]) -> None:
    """The newest of each type in each of them counts, in their order."""
    apart, together = ClockSkew(), ClockSkew()
    ends, seq = [], 0
    for events in batches:
        apart.feed(batch_of(events, seq))
        seq += len(events)
        ends.append(seq)
    together.feed(batch_of([event for events in batches for event in events], 0), ends)
    assert together.skew_s == apart.skew_s


def batch_of(events: list[tuple[str, int, int]], after: int) -> Batch:
    """A batch of events, each with its type, its time in microseconds and its arrival in nanoseconds."""
    rows = {}
    for name in "abc":
        found = [(place, *times) for place, (kind, *times) in enumerate(events, after + 1) if kind == name]
        if found:
            seq, timestamp_us, received_at_ns = np.array(found, dtype=np.int64).T
            rows[name] = Rows([None] * len(found), timestamp_us, received_at_ns, seq)
    return Batch(rows=rows)
