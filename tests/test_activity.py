"""Rates and lag kept up while events come: the same as the analysis of the whole tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.analysis import activity
from chaosnb.protocol import events as ev
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.tables.activity import Delays
from chaosnb.tables.aggregates import Aggregates
from chaosnb.tables.capture import Capture
from tests.event_strategies import START_US, batch_of, events, new_session

SECOND_US = 1_000_000
KINDS = ("block_validation", "meme_posted", "agent_status", "network_metrics")


def lists_within(span_s: int) -> st.SearchStrategy[list[list[ev.Event]]]:
    when = st.integers(START_US, START_US + span_s * SECOND_US).map(format_timestamp)
    return st.lists(st.lists(st.one_of([events(name, when) for name in KINDS]), max_size=9), max_size=5)


batches = st.sampled_from([9, 3_000]).flatmap(lists_within)


def wanted(capture: Capture, name: str, window_s: float | None) -> pd.DataFrame:
    frames = {table: capture.tables[table].snapshot() for table in capture.tables}
    return getattr(activity, name)(frames, window_s=window_s)


def vote(second: float, block: str = "g") -> ev.BlockValidation:
    when = format_timestamp(START_US // SECOND_US * SECOND_US + round(second * SECOND_US))
    return ev.BlockValidation(block, ev.Agent("a", "b"), "approve", "", when)


@settings(deadline=None, max_examples=30)
@given(batches, st.integers(0, 4), st.sampled_from([None, 5, 600]))
def test_what_is_kept_up_is_what_the_analysis_finds(
    parts: list[list[ev.Event]], asked_after: int, window_s: float | None
) -> None:
    """In any order, asked for at any time and again after each batch."""
    capture, session = Capture(), new_session()
    for number, part in enumerate(parts):
        capture.accept(batch_of(part, session, START_US + number * SECOND_US))
        if number >= asked_after:
            for name in ("event_rate", "lag"):
                capture.aggregates.value(name, window_s=(None, 5, 600)[number % 3])
    for name in ("event_rate", "lag"):
        live, found = capture.aggregates.value(name, window_s=window_s), wanted(capture, name, window_s)
        pd.testing.assert_frame_equal(live[found.columns], found, check_dtype=False, rtol=1e-9)
        assert {*live.columns} == {*found.columns}


def test_a_batch_on_its_way_when_they_begin_counts_once() -> None:
    """It is in the tables before it is here; what comes after it counts, too."""
    capture, session = Capture(), new_session()
    capture.accept(batch_of([vote(0), vote(1), vote(2)], session))
    first, second = batch_of([vote(1, "h")], session), batch_of([vote(1, "i"), vote(3)], session)
    capture.tables["block_validation"].append(first.rows["block_validation"])
    capture.aggregates.value("event_rate")
    capture.aggregates.update(first)
    capture.accept(second)
    rate = capture.aggregates.value("event_rate")["block_validation"]
    assert rate.tolist()[1:3] == [3.0, 1.0]


def test_without_tables_they_begin_with_what_comes_next() -> None:
    """What had come before is not made up."""
    aggregates, session = Aggregates(), new_session()
    aggregates.update(batch_of([vote(0), vote(1)], session))
    assert aggregates.value("lag").empty
    aggregates.update(batch_of([vote(1, "h"), vote(2)], session))
    assert len(aggregates.value("lag")) == 2


def test_of_delays_without_end_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether they are many in few seconds, or few in many: memory has an end."""
    monkeypatch.setattr("chaosnb.tables.activity._MOST_DELAYS", 100)
    delays, session = Delays(), new_session()
    for second in range(40):
        delays.update(batch_of([vote(second, str(n)) for n in range(5)], session))
    times = delays.value(0, 1)["time"]
    assert 10 <= len(times) <= 20
    assert math.isclose((times[-1] - times[0]) / np.timedelta64(1, "s"), len(times) - 1)
    monkeypatch.setattr("chaosnb.tables.activity._MOST_SECONDS", 8)
    delays.update(batch_of([vote(50)], session))
    assert len(delays.value(0, 1)["time"]) <= 8


def test_a_stream_and_its_export_tell_them(tmp_path: Any) -> None:
    """By the names that the plots have; whose events they are makes no difference."""
    with chaosnb.Devnet(seed=3, speed=None, duration=20.0) as node:
        s = chaosnb.stream(["blocks", "network"], url=node.url)
        s.wait(until=lambda s: len(s.network_metrics) == 21, timeout=30)
        s.close()
    package = chaosnb.load(s.export(tmp_path / "out", quiet=True))
    for name in ("event_rate", "lag"):
        frame = s.aggregate(name)
        assert len(frame) > 10
        pd.testing.assert_frame_equal(frame, s.aggregate(name, personalities="chaotic"))
        pd.testing.assert_frame_equal(frame, package.aggregate(name))
