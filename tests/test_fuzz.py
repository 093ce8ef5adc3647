"""A short run of the fuzzer, and what its long runs found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chaosnb.figures.gaps import mark_gaps
from chaosnb.figures.specs import tps
from chaosnb.ingest.gaps import Gap, GapLedger
from chaosnb.ingest.session import Session
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import Frame, NetworkMetrics
from chaosnb.protocol.iso8601 import parse_timestamps
from chaosnb.protocol.signing import Identity
from chaosnb.tables.ledgers import gap_frame
from fuzz.__main__ import fuzz
from fuzz.laws import check_decode
from fuzz.mutations import CORPUS, Mutator


def test_a_short_run_breaks_no_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`make fuzz` does the same with a million inputs, and another seed each time."""
    fuzz(2_000, 7, tmp_path)
    assert "2,000 inputs" in capsys.readouterr().out


def test_the_same_seed_makes_the_same_messages() -> None:
    """What a run reports can be had again by its seed, and hardly two messages are the same."""
    first, again, other = Mutator(3), Mutator(3), Mutator(4)
    made = [first.next() for _ in range(500)]
    assert made == [again.next() for _ in range(500)]
    assert made != [other.next() for _ in range(500)]
    assert len({*made}) > 350
    assert {*made} & {*CORPUS}


@pytest.mark.parametrize("message", CORPUS)
def test_what_the_fuzzer_starts_from_is_fine(message: bytes) -> None:
    """No law is broken by a message as a node sends it."""
    check_decode(message)


@pytest.mark.parametrize(
    ("stamp", "span"),
    [
        ("0001-01-01T00:00:00Z", "23:59:58 to 00:00:02 UTC"),
        ("9999-12-31T23:59:59Z", "23:59:57 to 00:00:01 UTC"),
    ],
)
def test_a_gap_in_a_year_that_no_calendar_has_is_drawn(stamp: str, span: str) -> None:
    """Found as an error of the plot: strftime knows no year 0 and no year 10000."""
    (at_us,) = parse_timestamps([stamp]).tolist()
    time = pd.Series([at_us - 9_000_000, at_us + 9_000_000], dtype="datetime64[us, UTC]")
    spec = tps(pd.DataFrame({"time": time, "reported": [1.0, 2.0], "observed": [1.0, 2.0]}))
    gaps = gap_frame([Gap(at_us - 2_000_000, at_us + 2_000_000, "disconnected", ("blocks",), "possible")])
    assert span in str(mark_gaps(spec, gaps)["layout"])


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_a_gap_ends_within_the_calendar(stamp: str) -> None:
    """Found as an export that could not be loaded: no text of ISO 8601 has a year 0 or 10000."""
    (at_us,) = parse_timestamps([stamp]).tolist()
    session, ledger = Session(["network"], Identity.generate()), GapLedger()
    second_us = 1_000_000 if at_us < 0 else -1_000_000
    times = [at_us + second_us, at_us, at_us + second_us, at_us]
    for number, time_us in enumerate(times):
        stamp = f"{np.datetime64(time_us, 'us')}Z"
        event = NetworkMetrics(number, 1.0, 1, 1, 1, stamp)
        ledger.open("disconnected", 0, session.topics)
        ledger.watch(session.topics)
        ledger.feed(session.feed([Frame(encode(event), 0)]))
        ledger.close(1)
    gaps = gap_frame(ledger.gaps)
    first, last = pd.Timestamp("0001-01-01", tz="UTC"), pd.Timestamp("9999-12-31 23:59:59.999999", tz="UTC")
    assert len(gaps)
    assert gaps["start"].min() >= first
    assert gaps["end"].max() <= last
    assert (gaps["start"].min() == first) or (gaps["end"].max() == last)
