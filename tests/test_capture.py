"""The capture: what a stream has received, its counts, rates and ledgers."""

import itertools
import threading
import time
import tracemalloc
from collections import Counter

import pandas as pd
import pytest

from chaosnb.ingest.connection import Incident
from chaosnb.ingest.session import Batch
from chaosnb.protocol import events as ev
from chaosnb.protocol.codec import encode
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.capture import Capture, drift_frame
from tests.event_strategies import START_US, batch_of, new_session

MOMENT = pd.Timestamp(START_US, unit="us", tz="UTC")
STAMP = format_timestamp(START_US)
METRICS = ev.NetworkMetrics(1, 2.5, 3, 4, 5, STAMP)


def metrics(number: int) -> ev.NetworkMetrics:
    """Return one of many different events."""
    return ev.NetworkMetrics(number, 2.5, 3, 4, 5, STAMP)


UTC_US = "datetime64[us, UTC]"


class Clock:
    """Seconds that go on only when they are told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def frames(*raws: bytes) -> list[ev.Frame]:
    """Return frames with these bytes, a millisecond apart."""
    return [ev.Frame(raw, (START_US + place * 1_000) * 1_000) for place, raw in enumerate(raws)]


def test_a_new_capture_is_empty() -> None:
    """Before anything came there is every table, without rows, and nothing is counted."""
    capture = Capture()
    assert list(capture.tables) == list(TABLES)
    assert [table.rows for table in capture.tables.values()] == [0] * len(TABLES)
    assert (capture.events, capture.frames, capture.rejected, capture.filtered) == (0, 0, 0, 0)
    assert (capture.lag_s, capture.events_per_s, capture.memory_bytes) == (None, 0.0, 0)
    assert not capture.changed.is_set()


def test_a_batch_is_counted_and_lands_in_its_tables() -> None:
    """Events, rejects, filtered events and frames are counted, and each event is in its table."""
    session = new_session()
    session.unsubscribe("blocks")
    vote = ev.BlockValidation("0x1", ev.Agent("v", "lawful"), "approve", "", STAMP)
    error = ev.ErrorEvent("RATE_LIMITED", "slow down")
    raws = [
        encode(METRICS),
        b"{oops",
        encode(vote),
        encode(error),
        b'{"type":"connected"}',
        encode(metrics(2)),
    ]
    capture = Capture()
    for _ in range(2):
        capture.accept(session.feed(frames(*raws)))
    assert (capture.frames, capture.events, capture.rejected, capture.filtered) == (12, 4, 2, 2)
    assert capture.duplicates == 2
    rows = {name: table.rows for name, table in capture.tables.items() if table.rows}
    assert rows == {"network_metrics": 2, "error": 2}
    assert capture.tables["network_metrics"].snapshot()["seq"].tolist() == [1, 6]
    assert capture.aggregates.value("tps")["reported"].tolist() == [2.5]


def test_a_change_is_announced() -> None:
    """Whoever waits for changes learns of batches and of steps of the connection."""
    capture = Capture()
    for change in (
        lambda: capture.accept(batch_of([METRICS])),
        lambda: capture.note(Incident(0, "connecting", "first try")),
    ):
        capture.changed.clear()
        change()
        assert capture.changed.is_set()


def test_rejects_say_when_why_and_what() -> None:
    """A reject is shown with its arrival, its reason and its text, whose foreign bytes are escaped."""
    capture = Capture()
    late = encode(METRICS).replace(STAMP.encode(), b"yesterday")
    capture.accept(new_session().feed(frames(b"{oops", b'{"type":"\xff"}', late)))
    rejects = capture.rejects()
    assert {name: str(dtype) for name, dtype in rejects.dtypes.items()} == {
        "received_at": UTC_US,
        "reason": "str",
        "raw": "str",
    }
    assert rejects["raw"].tolist() == ["{oops", '{"type":"\\xff"}', late.decode()]
    assert rejects["received_at"].tolist() == [MOMENT + pd.Timedelta(place, "ms") for place in range(3)]
    for reason, part in zip(rejects["reason"], ["malformed", "UTF-8", "'yesterday'"], strict=True):
        assert part in reason
    assert capture.rejected == 3


def test_without_rejects_their_frame_has_its_columns() -> None:
    """An empty list of rejects has the columns and dtypes of a full one."""
    rejects = Capture().rejects()
    assert len(rejects) == 0
    assert [str(dtype) for dtype in rejects.dtypes] == [UTC_US, "str", "str"]


def test_rejects_are_counted_without_end_and_kept_within_bounds() -> None:
    """Of any number of rejects the newest ten thousand are kept, and all are counted."""
    capture, session = Capture(), new_session()
    for number in range(12):
        capture.accept(session.feed(frames(*(b"[%d" % (number * 1_000 + place) for place in range(1_000)))))
    assert capture.rejected == 12_000
    assert capture.rejects()["raw"].tolist() == [f"[{number}" for number in range(2_000, 12_000)]


def test_long_rejects_are_cut() -> None:
    """A node that sends long rubbish fills neither the memory nor the screen."""
    capture, session = Capture(), new_session()
    tracemalloc.start()
    for _ in range(50):
        capture.accept(session.feed(frames(b"[" + b"x" * 2**20)))
    assert tracemalloc.get_traced_memory()[0] < 8 * 2**20
    tracemalloc.stop()
    assert capture.rejects()["raw"].str.len().tolist() == [65_536] * 50


def test_rejects_are_bounded_in_bytes_too() -> None:
    """Ten thousand long ones would take 640 MB; the newest 16 MiB stay, and all are counted."""
    capture = Capture()
    for number in range(400):
        capture.accept(Batch(rejects=[ev.Reject(b"%05d" % number + b"x" * 65_531, "?", 0)], frames=1))
    raw = capture.rejects()["raw"]
    assert capture.rejected == 400
    assert int(raw.str.len().sum()) == 2**24
    assert raw.str[:5].astype(int).tolist() == list(range(400 - 256, 400))


def test_rejects_are_shown_soon_whatever_is_in_them() -> None:
    """Also 16 MiB in which every character has to be escaped; four times as long as it was, at most."""
    capture = Capture()
    capture.accept(Batch(rejects=[ev.Reject(b"\x1b" * 65_536, "?", 0)] * 300, frames=300))
    start = time.process_time()
    raw = capture.rejects()["raw"]
    assert time.process_time() - start < 8
    assert int(raw.str.len().sum()) == 4 * 2**24


def test_rejects_and_incidents_cannot_steer_a_terminal() -> None:
    """Controls and direction marks are shown as their escapes, in reason, raw message and detail."""
    capture = Capture()
    capture.accept(Batch(rejects=[ev.Reject("\x1b[2J\0\u202e<b>🦊".encode(), "\x1b]0;x\x07", 0)], frames=1))
    capture.note(Incident(0, "reconnecting", "bye\r\n\x9b31m\u2066"))
    assert capture.rejects()[["reason", "raw"]].iloc[0].tolist() == [
        r"\x1b]0;x\x07",
        r"\x1b[2J\x00\u202e<b>🦊",
    ]
    assert capture.incidents()["detail"].tolist() == [r"bye\r\n\x9b31m\u2066"]
    assert capture.last_detail == r"bye\r\n\x9b31m\u2066"


def test_events_per_second_are_those_of_the_last_five() -> None:
    """The rate is the number of events of the last five seconds, a fifth of it, and falls to zero."""
    clock = Clock()
    capture = Capture(clock)
    rates = []
    for _ in range(4):
        capture.accept(batch_of([metrics(number) for number in range(10)]))
        rates.append(capture.events_per_s)
        clock.now += 2
    assert rates == [2.0, 4.0, 6.0, 6.0]
    rates = []
    for _ in range(4):
        rates.append(capture.events_per_s)
        clock.now += 2
    assert rates == [4.0, 2.0, 0.0, 0.0]
    assert capture.events == 40


def test_the_lag_is_the_time_from_arrival_to_the_table() -> None:
    """It tells how far decoding is behind; a clock that was set back makes no lag below zero."""
    now_us = START_US
    capture = Capture(wall_ns=lambda: now_us * 1_000)
    assert capture.lag_s is None
    now_us = START_US + 1_750_000
    capture.accept(batch_of([METRICS], at_us=START_US + 1_500_000))
    assert capture.lag_s == pytest.approx(0.25)
    capture.accept(batch_of([ev.ErrorEvent("A", "b")], at_us=START_US + 1_000_000))
    assert capture.lag_s == pytest.approx(0.75)
    now_us = START_US
    capture.accept(batch_of([METRICS], at_us=START_US + 250_000))
    assert capture.lag_s == 0


def test_memory_is_told_by_table() -> None:
    """The memory of each table is listed with its rows, and adds up to the whole."""
    capture = Capture()
    capture.accept(batch_of([metrics(number) for number in range(1_000)]))
    memory = capture.memory()
    assert memory.index.tolist() == list(TABLES)
    assert memory.index.name == "table"
    assert memory.columns.tolist() == ["rows", "evicted", "bytes"]
    assert [str(dtype) for dtype in memory.dtypes] == ["int64"] * 3
    assert memory.loc["network_metrics"].tolist() == [1_000, 0, 1_000 * 8 * 8]
    assert memory["bytes"].sum() == capture.memory_bytes == 64_000


def test_incidents_are_listed() -> None:
    """The steps of the connection are shown in order, with what is known of each."""
    capture = Capture()
    empty = capture.incidents()
    capture.note(Incident(START_US * 1_000, "connecting", "first try"))
    capture.note(Incident(START_US * 1_000 + 10**9, "reconnecting", "link lost", "1006", 2.5))
    incidents = capture.incidents()
    assert (
        list(empty.columns) == list(incidents.columns) == ["timestamp", "state", "detail", "code", "delay_s"]
    )
    assert str(empty["timestamp"].dtype) == str(incidents["timestamp"].dtype) == UTC_US
    assert incidents["timestamp"].tolist() == [MOMENT, MOMENT + pd.Timedelta("1s")]
    assert incidents["state"].tolist() == ["connecting", "reconnecting"]
    assert incidents["detail"].tolist() == ["first try", "link lost"]
    assert incidents["code"].isna().tolist() == [True, False]
    assert incidents["code"].iloc[1] == "1006"
    assert incidents["delay_s"].isna().tolist() == [True, False]
    assert incidents["delay_s"].iloc[1] == 2.5


def test_incidents_are_bounded() -> None:
    """A link that flaps for days leaves the newest ten thousand steps."""
    capture = Capture()
    for number in range(10_005):
        capture.note(Incident(number * 1_000, "reconnecting", str(number)))
    details = capture.incidents()["detail"]
    assert (len(details), details.iloc[0], details.iloc[-1]) == (10_000, "5", "10004")


def test_drift_is_listed_with_its_counts() -> None:
    """What the protocol does not name is listed by place, with how often it came."""
    session = new_session()
    raw = encode(METRICS).replace(b'"tps"', b'"zeal":1,"tps"')
    session.feed(frames(raw, raw))
    frame = drift_frame(session.drift)
    assert frame.to_dict("list") == {"drift": ["network_metrics.data.zeal"], "count": [2]}
    assert [str(dtype) for dtype in drift_frame(new_session().drift).dtypes] == ["str", "int64"]


def test_drift_can_be_read_while_it_is_counted() -> None:
    """Names that come up meanwhile break nothing."""
    drift: Counter[str] = Counter()
    done = threading.Event()

    def count() -> None:
        for number in itertools.count():
            drift[f"name {number % 5_000}"] += 1
            if number % 5_000 == 0:
                drift.clear()
            if done.is_set():
                return

    counting = threading.Thread(target=count)
    counting.start()
    try:
        for _ in range(100):
            assert drift_frame(drift)["count"].ge(1).all()
    finally:
        done.set()
        counting.join()
