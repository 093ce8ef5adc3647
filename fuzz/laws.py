"""What has to hold for any message, whatever is in it: for `decode`, the session, the ledger, the tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chaosnb.ingest.gaps import GapLedger
from chaosnb.ingest.session import Session
from chaosnb.notebook.delta import pack, unpack
from chaosnb.notebook.display import problem_html
from chaosnb.notebook.source import figure_of
from chaosnb.protocol.codec import decode, decode_all, encode
from chaosnb.protocol.events import TOPICS, Control, Event, Frame, Reject
from chaosnb.protocol.signing import Identity
from chaosnb.store.dataset import Dataset
from chaosnb.store.formats import FORMATS
from chaosnb.store.package import load
from chaosnb.tables.activity import ACTIVITY
from chaosnb.tables.aggregates import AGGREGATES
from chaosnb.tables.capture import Capture, drift_frame
from chaosnb.tables.ledgers import gap_frame
from chaosnb.tables.tallies import TALLIES

__all__ = ["Client", "check_decode"]

_LONGEST_REASON = 1_000


def check_decode(data: bytes) -> None:
    """A message is one event, control or reject; an event written again is read as the same, strictly."""
    frame = Frame(data, 5)
    found = decode(frame)
    if isinstance(found, Reject):
        assert found.raw == data
        assert found.received_at_ns == 5
        assert 0 < len(found.reason) < _LONGEST_REASON
    elif isinstance(found, Control):
        assert found.connection_id is None or len(found.connection_id) <= _LONGEST_REASON
    else:
        assert isinstance(found, Event)
        drift: Counter[str] = Counter()
        again = decode_all([Frame(encode(found), 5)], drift)
        assert again == [found]
        assert not drift


class Held(Dataset):
    """A capture, to be exported."""

    source = "the fuzzer (simulated)"
    simulated = True
    topics = ("blocks",)

    def _before_reading(self) -> None:
        """Nothing stands against reading."""


class Client:
    """What a stream is made of behind its link; it leaves some events out."""

    def __init__(self) -> None:
        topics = [topic for topic in TOPICS if topic != "consensus"]
        self.capture = Capture()
        self._session = Session(topics, Identity.generate())
        self._ledger = GapLedger()

    def check_feed(self, messages: Sequence[bytes], now_ns: int) -> None:
        """Every frame is counted once, and what became of it is in the capture; the link is lost at times."""
        capture, ledger, topics = self.capture, self._ledger, self._session.topics
        before = capture.events, capture.frames, capture.rejected, capture.filtered, capture.duplicates
        batch = self._session.feed([Frame(data, now_ns + place) for place, data in enumerate(messages)])
        if now_ns % 7 == 0:
            ledger.open("disconnected", now_ns, topics)
        if now_ns % 14 == 0:
            ledger.close(now_ns + 1)
        ledger.watch(topics)
        ledger.feed(batch)
        capture.accept(batch)
        assert batch.frames == len(messages)
        unseen = batch.filtered + batch.duplicates
        assert batch.frames == batch.events + len(batch.rejects) + len(batch.controls) + unseen
        came = batch.events, batch.frames, len(batch.rejects), batch.filtered, batch.duplicates
        after = capture.events, capture.frames, capture.rejected, capture.filtered, capture.duplicates
        assert after == tuple(map(sum, zip(before, came, strict=True)))

    def check_shown(self, folder: Path) -> None:
        """Tables hold every event in order of time; all can be shown, drawn and kept."""
        capture = self.capture
        frames = {name: table.snapshot() for name, table in capture.tables.items()}
        assert sum(map(len, frames.values())) == capture.events
        for frame in frames.values():
            assert frame["timestamp"].is_monotonic_increasing
            assert frame["seq"].is_unique
        gaps = gap_frame(self._ledger.gaps)
        assert gaps["start"].is_monotonic_increasing
        assert not (gaps["duration_s"] < 0).any()
        frames |= {"gaps": gaps, "rejects": capture.rejects(), "drift": drift_frame(self._session.drift)}
        for frame in frames.values():
            frame.tail(20).to_html()
            frame.tail(20).to_string()
        assert all(map(str.isprintable, frames["rejects"]["reason"]))
        problem_html(" ".join(frames["rejects"]["raw"].tail(20)))
        for name in (*AGGREGATES, *ACTIVITY):
            for window_s in (60, None):
                capture.aggregates.value(name, window_s=window_s)
                drawn = figure_of(name, capture.aggregates.arrays(name, window_s=window_s), gaps, ())
                json.dumps(unpack(pack(drawn)), allow_nan=False)
        for name in TALLIES:
            told = capture.tallies.value(name, lambda table: capture.tables[table].snapshot())
            json.dumps(unpack(pack(figure_of(name, told, gaps, ()))), allow_nan=False)
        held = Held(capture, self._ledger, self._session.drift)
        for format in FORMATS:
            back = load(held.export(folder / format, format=format, quiet=True), quiet=True)
            for name, frame in frames.items():
                pd.testing.assert_frame_equal(getattr(back, name), frame, check_exact=True)
