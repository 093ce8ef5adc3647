"""Retention: what is kept, what is evicted, and that snapshots do not notice."""

from __future__ import annotations

import re
from operator import itemgetter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

import chaosnb
from chaosnb.ingest.session import Session
from chaosnb.protocol import events as ev
from chaosnb.protocol.codec import encode
from chaosnb.protocol.iso8601 import format_timestamp, parse_timestamps
from chaosnb.protocol.schema import TABLES
from chaosnb.protocol.signing import Identity
from chaosnb.tables.capture import Capture
from chaosnb.tables.retention import Retention, parse_retention
from chaosnb.tables.table import Table
from tests.event_strategies import START_US, batch_of, new_session


def votes(count: int, first: int = 0, step_ms: int = 10) -> list[ev.BlockValidation]:
    return [
        ev.BlockValidation(
            f"0x{number:064x}",
            ev.Agent(f"agent-{number % 7}", "lawful"),
            "approve" if number % 3 else "reject",
            f"because {number}",
            format_timestamp(START_US + number * step_ms * 1_000),
        )
        for number in range(first, first + count)
    ]


def timestamp_us(stamp: str) -> int:
    return int(parse_timestamps([stamp])[0])


def capture_of(retention: Retention, batches: list[list[ev.BlockValidation]]) -> Capture:
    capture, session = Capture(retention=retention), Session(["blocks"], Identity.generate())
    for batch in batches:
        frames = [ev.Frame(encode(e), timestamp_us(e.timestamp) * 1_000) for e in batch]
        capture.accept(session.feed(frames))
    return capture


@pytest.mark.parametrize(
    ("retain", "expected"),
    [
        (None, Retention()),
        (1_000_000, Retention(rows=1_000_000)),
        ("90s", Retention(age_s=90)),
        ("10 min", Retention(age_s=600)),
        ("1.5h", Retention(age_s=5_400)),
        ("2d", Retention(age_s=172_800)),
        ("512MB", Retention(bytes=512_000_000)),
        (" 2GB ", Retention(bytes=2_000_000_000)),
    ],
)
def test_what_a_user_says_is_understood(retain: str | int | None, expected: Retention) -> None:
    """Rows as a number, ages and sizes with their unit."""
    assert parse_retention(retain) == expected


@pytest.mark.parametrize("retain", ["", "1", "1 week", "-1h", "0MB", 0, -5, True, 1.5, "MB", "1hh"])
def test_anything_else_is_refused_with_the_right_forms(retain: object) -> None:
    """The error shows one of each form."""
    with pytest.raises(ValueError, match=r"1_000_000.*'1h'.*'512MB'"):
        parse_retention(retain)  # type: ignore[arg-type]


def test_rows_keep_the_newest_of_each_table() -> None:
    """The index counts from 0 again, and what is gone is counted."""
    capture = capture_of(Retention(rows=100), [votes(70), votes(70, 70), votes(70, 140)])
    kept = capture.tables["block_validation"].snapshot()
    assert kept["reason"].tolist() == [f"because {number}" for number in range(110, 210)]
    assert kept.index.equals(pd.RangeIndex(100))
    assert capture.tables["block_validation"].evicted == 110
    assert capture.memory().loc["block_validation", "evicted"] == 110
    assert capture.events == 210


def test_age_counts_in_event_time_back_from_the_present() -> None:
    """What is older than that before the present, ten events before the newest, is gone."""
    capture = capture_of(Retention(age_s=0.5), [votes(70), votes(70, 70)])
    kept = capture.tables["block_validation"].snapshot()
    assert kept["reason"].tolist() == [f"because {number}" for number in range(79, 140)]


def test_bytes_bound_all_tables_together() -> None:
    """The size stays under the limit but for what comes between two looks."""
    batches = [votes(500, first) for first in range(0, 30_000, 500)]
    unbounded = capture_of(Retention(), batches).memory_bytes
    bounded = capture_of(Retention(bytes=1_000_000), batches)
    assert unbounded > 3_000_000
    assert bounded.memory_bytes < 1_500_000
    assert bounded.tables["block_validation"].rows > 3_000
    assert bounded.tables["block_validation"].snapshot()["reason"].iloc[-1] == "because 29999"


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 400), st.integers(0, 500), st.booleans(), st.booleans()), max_size=25
    )
)
def test_any_course_of_appends_evictions_and_looks_keeps_the_right_rows(
    steps: list[tuple[int, int, bool, bool]],
) -> None:
    """The table equals the list of its rows less those evicted, and earlier snapshots never change."""
    table, session = Table(TABLES["block_validation"]), new_session()
    expected: list[str] = []
    shown: list[tuple[pd.DataFrame, list[str]]] = []
    number = 0
    for count, evicted, late, look in steps:
        batch = votes(count, number)
        if late:
            batch = batch[::-1]
        table.append(batch_of(batch, session).rows["block_validation"])
        expected += [f"because {i}" for i in range(number, number + count)]
        number += count
        table.evict(evicted)
        expected = expected[evicted:]
        if look:
            shown.append((table.snapshot(), list(expected)))
    shown.append((table.snapshot(), expected))
    for frame, reasons in shown:
        assert frame["reason"].tolist() == reasons
        assert frame["block_hash"].tolist() == [f"0x{int(reason.split()[1]):064x}" for reason in reasons]
        assert frame["decision"].tolist() == [
            "approve" if int(reason.split()[1]) % 3 else "reject" for reason in reasons
        ]


def test_a_table_that_moves_while_it_grows_keeps_every_row() -> None:
    """Past the size at which columns move piece by piece, with evictions and late rows in between."""
    table, session = Table(TABLES["reputation_update"]), new_session()
    stamps = [format_timestamp(START_US + second * 1_000_000) for second in range(60)]
    expected: list[tuple[int, float]] = []
    shown = []
    for turn in range(60):
        second = turn - 2 if turn % 7 == 3 else turn
        scores = [float(score) for score in range(turn * 5_000, (turn + 1) * 5_000)]
        batch = [ev.ReputationUpdate("agent", 0.0, score, "", stamps[second]) for score in scores]
        table.append(batch_of(batch, session).rows["reputation_update"])
        expected = sorted([*expected, *((second, score) for score in scores)], key=itemgetter(0))
        if turn % 5 == 4:
            table.evict(3_000)
            expected = expected[3_000:]
        if turn % 9 == 0:
            shown.append((table.snapshot(), [score for _, score in expected]))
    shown.append((table.snapshot(), [score for _, score in expected]))
    for frame, scores in shown:
        assert frame["new_score"].tolist() == scores


def test_a_stream_shows_what_it_has_evicted() -> None:
    """`retain=` bounds the tables of a stream."""
    with chaosnb.Devnet(rate=400) as node, chaosnb.stream("blocks", url=node.url, retain=50) as s:
        s.wait(until=lambda s: s.status.evicted > 20, timeout=60)
        assert len(s.block_validation) <= 50
        assert ", evicted " in s._repr_mimebundle_()["text/plain"]
    with pytest.raises(ValueError, match="retain='soon'"):
        chaosnb.stream("blocks", url="devnet", retain="soon")


def test_bytes_bound_few_large_rows_as_well() -> None:
    """Messages of 100 kB are looked at long before there are thousands of them."""
    capture, session = Capture(retention=Retention(bytes=3_000_000)), Session(["blocks"], Identity.generate())
    for number in range(200):
        (vote,) = votes(1, number)
        capture.accept(batch_of([structs.replace(vote, reason=f"{number}" + "x" * 100_000)], session))
        assert capture.memory_bytes < 4_000_000
    assert 20 < capture.tables["block_validation"].rows < 40


@pytest.mark.parametrize(
    ("retain", "same"), [("1gb", "1GB"), ("5KB", "5kB"), ("2H", "2h"), ("10 MIN", "10min"), ("3Mb", "3MB")]
)
def test_the_case_of_a_unit_does_not_matter(retain: str, same: str) -> None:
    """No two units differ by it alone."""
    assert parse_retention(retain) == parse_retention(same)


@pytest.mark.parametrize(
    ("retain", "meant"),
    [("1m", "'1min' or '1MB'"), ("1M", "'1min' or '1MB'"), ("2g", "'2GB'"), ("3K", "'3kB'")],
)
def test_half_a_unit_is_refused_with_what_it_may_mean(retain: str, meant: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"did you mean {meant}?")):
        parse_retention(retain)
