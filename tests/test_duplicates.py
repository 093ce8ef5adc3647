"""Duplicates: the same event once, however it comes again, and nothing else left out."""

import json
import tracemalloc
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from chaosnb.ingest.duplicates import RecentEvents, keys_of
from chaosnb.ingest.session import Session
from chaosnb.protocol import events as ev
from chaosnb.protocol.codec import encode
from chaosnb.protocol.iso8601 import format_timestamp
from tests.event_strategies import START_US, any_events, batch_of, events, new_session, slices, unlike


def respelled(message: bytes) -> bytes:
    """Return the same message as another node would write it: other order, spaces and escapes."""

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(inner) for name, inner in reversed(value.items())}
        return list(map(turned, value)) if isinstance(value, list) else value

    return json.dumps(turned(json.loads(message)), indent=1).encode()


def rows_of(session: Session, messages: list[bytes], cuts: list[int]) -> tuple[dict[str, list[Any]], int]:
    """Return what a session makes of messages in batches: the events by table, and how many were left out."""
    found: dict[str, list[Any]] = {}
    duplicates = 0
    for part in slices(messages, cuts):
        batch = session.feed([ev.Frame(message, 0) for message in part])
        duplicates += batch.duplicates
        for name, rows in batch.rows.items():
            found.setdefault(name, []).extend(rows.events)
    return found, duplicates


@given(
    st.lists(any_events.filter(lambda event: not isinstance(event, ev.ErrorEvent)), max_size=12).map(unlike),
    st.lists(st.tuples(st.integers(0, 99), st.booleans()), max_size=12),
    st.lists(st.integers(0, 99), max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_any_duplication_gives_the_same_rows(
    found: list[ev.Event], again: list[tuple[int, bool]], cuts: list[int]
) -> None:
    """Events sent again, at any later place, in any batches and in other spelling, give no second row."""
    messages = [encode(event) for event in found]
    expected, none = rows_of(new_session(), messages, cuts)
    assert none == 0
    for place, other in again if found else []:
        source = encode(found[place % len(found)])
        messages.insert(messages.index(source) + 1 + place % 3, respelled(source) if other else source)
    rows, duplicates = rows_of(new_session(), messages, cuts)
    assert duplicates == len(messages) - len(found)
    assert {name: set(items) for name, items in rows.items()} == {
        name: set(items) for name, items in expected.items()
    }
    assert sum(map(len, rows.values())) == len(found)


NUMBERS = [(-1, -2), (0, 2**61 - 1), (1, 2**61), (2**63 - 1, -(2**63))]


@pytest.mark.parametrize(("one", "other"), NUMBERS)
def test_numbers_that_python_hashes_alike_are_told_apart(one: int, other: int) -> None:
    """-1 and -2 have the same hash in Python; events that differ only by them are two."""
    metrics = ev.NetworkMetrics(one, 1.0, 2, 3, 4, format_timestamp(START_US))
    score = ev.ReputationUpdate("a", float(one), 0.0, "", format_timestamp(START_US))
    found = [metrics, structs.replace(metrics, block_height=other)]
    found += [score, structs.replace(score, old_score=float(other))]  # type: ignore[list-item]
    assert batch_of(found).events == 4


@given(st.data(), st.sampled_from(list(ev.EVENT_TYPES)))
@settings(max_examples=150, deadline=None)
def test_other_content_is_another_event(data: st.DataObject, name: str) -> None:
    """Two events of a type that differ in any field are two rows."""
    one, other = data.draw(events(name)), data.draw(events(name))
    field = data.draw(st.sampled_from(one.__struct_fields__))
    changed = structs.replace(one, **{field: getattr(other, field)})
    rows = batch_of([one, changed])
    assert rows.events == (1 if encode(one) == encode(changed) else 2)
    assert rows.events + rows.duplicates == 2


def test_errors_come_as_often_as_the_node_sends_them() -> None:
    """An error has no time of its own, so the same one may well happen twice."""
    assert batch_of([ev.ErrorEvent("RATE_LIMITED", "slow down")] * 3).events == 3


def test_an_event_of_a_dropped_topic_is_not_remembered() -> None:
    """What was left out for its topic comes in once the topic is back."""
    session = Session(["blocks"], new_session()._identity)
    status = ev.AgentStatus("a", "active", "", "PT0S", format_timestamp(START_US))
    assert batch_of([status], session).filtered == 1
    session.subscribe("network")
    assert batch_of([status], session).events == 1


@given(st.integers(1, 300), st.lists(st.integers(1, 90), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_window_holds_what_it_says(window: int, sizes: list[int]) -> None:
    """The last `window` events are known, in whatever batches they came; none is taken for another."""
    recent, numbers = RecentEvents(window), count()
    sent: list[int] = []
    for size in sizes:
        keys = [hash(("event", next(numbers))) for _ in range(size)]
        assert not recent.repeated(np.array(keys), np.arange(len(sent), len(sent) + size)).any()
        sent += keys
    last = sent[-window:]
    times = np.arange(len(sent) - len(last), len(sent))
    assert recent.repeated(np.array(last), times).all()


def test_the_window_is_bounded() -> None:
    """A million events leave no more behind than the window takes."""
    recent = RecentEvents()
    rng = np.random.default_rng(7)
    tracemalloc.start()
    try:
        for start in range(0, 1_000_000, 10_000):
            recent.repeated(rng.integers(-(2**63), 2**63 - 1, 10_000), np.arange(start, start + 10_000))
        assert tracemalloc.get_traced_memory()[0] < 3_000_000
    finally:
        tracemalloc.stop()


def test_keys_of_nothing() -> None:
    """No events have no keys."""
    assert len(keys_of([])) == 0
