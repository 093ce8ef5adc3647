"""The order of a feed: what is late, and that clocks which are wrong do not move its present."""

import threading
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.ingest.ordering import EventClock
from chaosnb.ingest.session import Session
from chaosnb.protocol import events as ev
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.signing import Identity
from chaosnb.tables.capture import Capture
from chaosnb.tables.retention import Retention
from tests.event_strategies import START_US, batch_of, new_session, slices

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US


def fed(times: list[int], cuts: list[int], lateness_us: int = 2 * SECOND_US) -> tuple[EventClock, int]:
    """Return a clock that took these times in batches, and how many it found late."""
    clock = EventClock(lateness_us)
    late = sum(clock.feed(np.array(part, dtype=np.int64)) for part in slices(times, cuts))
    return clock, late


@given(
    st.lists(st.integers(0, 20 * SECOND_US), max_size=150),
    st.lists(st.integers(0, 999), max_size=5),
    st.sampled_from([0, 1, SECOND_US, 5 * SECOND_US]),
)
@settings(max_examples=100, deadline=None)
def test_late_is_what_came_too_far_behind_the_newest(
    times: list[int], cuts: list[int], lateness_us: int
) -> None:
    """For any order and any batches, each event is compared with the newest before it."""
    clock, late = fed(times, cuts, lateness_us)
    highest = list(accumulate(times, max))
    assert late == sum(time < high - lateness_us for time, high in zip(times, highest, strict=True))
    assert clock.newest_us == (highest[-1] if times else None)


@given(
    st.lists(st.integers(0, 3).map(lambda hours: hours * HOUR_US), max_size=250),
    st.lists(st.integers(0, 999), max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_the_present_does_not_depend_on_the_batches(times: list[int], cuts: list[int]) -> None:
    """The present is that of the last 101 times, whatever the batches were."""
    clock, _ = fed(times, cuts)
    recent = sorted(times[-101:])
    believed = [time for time in recent if time <= recent[(len(recent) - 1) // 2] + HOUR_US]
    assert clock.present_us == (believed[int(0.9 * (len(believed) - 1))] if times else None)


@given(
    st.lists(st.integers(-90, 90).map(lambda minutes: minutes * 60 * SECOND_US), max_size=300),
    st.lists(st.integers(0, 999), max_size=9),
)
@settings(max_examples=60, deadline=None)
def test_batches_that_are_fed_together_give_what_they_give_one_by_one(
    minutes: list[int], cuts: list[int]
) -> None:
    """However clocks jump, as the end of its batch decides which times are believed."""
    times = [place * SECOND_US + jump for place, jump in enumerate(minutes)]
    clock, late = fed(times, cuts, 0)
    together = EventClock(0)
    ends = np.cumsum([len(part) for part in slices(times, cuts)])
    assert together.feed(np.array(times, dtype=np.int64), ends[:-1]) == late
    assert (together.newest_us, together.present_us) == (clock.newest_us, clock.present_us)


@pytest.mark.parametrize("wrong_us", [2 * HOUR_US, 10**14, -(10**14)])
def test_some_wrong_clocks_move_nothing(wrong_us: int) -> None:
    """Forty wrong ones among the last hundred events neither move the present nor make others late."""
    times = [second * SECOND_US for second in range(60)]
    mixed = [*times, *[times[-1] + wrong_us] * 40, *(60 * SECOND_US + time for time in times)]
    clock, late = fed(mixed, [70])
    assert clock.newest_us == 119 * SECOND_US
    assert clock.present_us is not None
    assert abs(clock.present_us - 113 * SECOND_US) < 7 * SECOND_US
    assert late == (40 if wrong_us < 0 else 0)


def test_a_first_event_from_a_wrong_clock_is_got_over() -> None:
    """If the very first event is dated far ahead, the feed's own time takes over."""
    clock, _ = fed([10**15, *(second * SECOND_US for second in range(20))], list(range(20)))
    assert clock.newest_us == 19 * SECOND_US


def test_a_first_event_from_a_wrong_clock_makes_no_other_late() -> None:
    """What comes after it in order is not late, whether in the same batch or in others."""
    times = [10**15, *(second * SECOND_US for second in range(300))]
    assert fed(times, [])[1] == 0
    assert fed(times, [1, 2, 3, 150])[1] == 0


def test_a_feed_that_jumps_is_followed() -> None:
    """When most events are hours further on, so is the feed."""
    clock, _ = fed([*range(200), *(5 * HOUR_US + i for i in range(200))], [190, 250])
    assert clock.newest_us == 5 * HOUR_US + 199
    assert clock.present_us == 5 * HOUR_US + 189


def vote(at_us: int, number: int) -> ev.BlockValidation:
    """Return a vote at this time."""
    return ev.BlockValidation(
        f"0x{number}", ev.Agent("v", "lawful"), "approve", "because", format_timestamp(at_us)
    )


def test_one_event_of_the_far_future_ages_nothing() -> None:
    """With `retain="1h"`, an event dated next year does not drive out everything else."""
    capture, session = Capture(retention=Retention(age_s=3_600)), new_session()
    found = [vote(START_US + second * SECOND_US, second) for second in range(300)]
    found.insert(100, vote(START_US + 10**13, -1))
    for part in slices(found, [50, 101, 200]):
        capture.accept(batch_of(part, session))
    assert capture.tables["block_validation"].rows == 301
    assert capture.tables["block_validation"].evicted == 0


def test_late_events_are_counted_and_in_their_place() -> None:
    """An event later than `lateness` is a row like any other, and is counted."""
    session, capture = Session("blocks", Identity.generate(), lateness_s=0.5), Capture()
    for second in (5.0, 4.6, 4.0, 6.0):
        capture.accept(batch_of([vote(START_US + int(second * SECOND_US), int(second * 10))], session))
    assert capture.late == 1
    assert capture.tables["block_validation"].snapshot()["block_hash"].tolist() == [
        "0x40",
        "0x46",
        "0x50",
        "0x60",
    ]


@pytest.mark.parametrize("lateness", [-1, float("nan"), float("inf"), "2", None, True])
def test_lateness_is_a_time(lateness: Any) -> None:
    """What is no span of time is refused before anything is started."""
    threads = threading.active_count()
    with pytest.raises(ValueError, match="lateness is a number of seconds"):
        chaosnb.stream("blocks", url="devnet", lateness=lateness)
    assert threading.active_count() == threads


@pytest.mark.parametrize("lateness", [np.int64(3), np.float64(3)])
def test_a_lateness_that_was_calculated_can_be_recorded(lateness: Any, tmp_path: Path) -> None:
    """A number of numpy's is a number."""
    with chaosnb.stream("network", url="devnet", lateness=lateness, record=tmp_path / "run.chaos") as s:
        s.wait(events=1, timeout=30)
    assert chaosnb.replay(tmp_path / "run.chaos", quiet=True).network_metrics.equals(s.network_metrics)
