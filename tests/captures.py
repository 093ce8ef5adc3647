"""Datasets without a network: what a session makes of events, as a stream would hold it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from chaosnb.ingest.gaps import GapLedger
from chaosnb.ingest.intake import Incident
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import Event, Frame
from chaosnb.store.dataset import Dataset
from chaosnb.tables.capture import Capture
from tests.event_strategies import ALL_TOPICS, START_US, new_session

FORMATS = ("parquet", "feather", "csv", "jsonl", "xlsx", "duckdb")
LEDGERS = ("gaps", "rejects", "incidents", "drift")


class Held(Dataset):
    """What came of these events, in batches of some, and of what is no event."""

    source = "ws://node.example/ws/v1 (simulated)"
    simulated = True
    topics = ALL_TOPICS

    def __init__(
        self,
        events: Iterable[Event] = (),
        *,
        garbage: Iterable[bytes] = (),
        incidents: Iterable[Incident] = (),
        batch: int = 7,
    ) -> None:
        capture, ledger, session = Capture(), GapLedger(), new_session()
        super().__init__(capture, ledger, session.drift)
        data = [*map(encode, events), *garbage]
        frames = [Frame(text, (START_US + place) * 1_000) for place, text in enumerate(data)]
        ledger.watch(ALL_TOPICS)
        for start in range(0, len(frames), batch):
            taken = session.feed(frames[start : start + batch])
            ledger.feed(taken)
            capture.accept(taken)
            if start == batch:
                ledger.open("disconnected", START_US * 1_000, ALL_TOPICS)
        for incident in incidents:
            capture.note(incident)

    def _before_reading(self) -> None:
        """Nothing stands against reading."""


def assert_same(one: Dataset, other: Dataset) -> None:
    """Both hold the same tables and ledgers, to every value and dtype."""
    for name, frame in one.frames().items():
        pd.testing.assert_frame_equal(other[name], frame, check_exact=True, obj=name)
    for name in LEDGERS:
        pd.testing.assert_frame_equal(getattr(other, name), getattr(one, name), check_exact=True, obj=name)
    assert (other.source, other.simulated, other.topics) == (one.source, one.simulated, one.topics)


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
