"""What has to hold for any message, whatever is in it: for `decode`, for the session, for the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from chaosnb.ingest.session import Batch, Session
from chaosnb.notebook.display import problem_html
from chaosnb.protocol.codec import decode, decode_all, encode
from chaosnb.protocol.events import TOPICS, Control, Event, Frame, Reject
from chaosnb.protocol.signing import Identity
from chaosnb.store.export import FORMATS, export_frames
from chaosnb.tables.aggregates import AGGREGATES
from chaosnb.tables.capture import Capture, drift_frame

__all__ = ["check_decode", "check_session", "check_shown", "new_session"]

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


def new_session() -> Session:
    """Return a session that leaves some events out."""
    return Session([topic for topic in TOPICS if topic != "consensus"], Identity.generate())


def check_session(session: Session, capture: Capture, messages: Sequence[bytes], now_ns: int) -> Batch:
    """Every frame is counted once, and what became of it is in the capture."""
    before = capture.events, capture.frames, capture.rejected, capture.filtered
    batch = session.feed([Frame(data, now_ns + place) for place, data in enumerate(messages)])
    capture.accept(batch)
    assert batch.frames == len(messages)
    assert batch.frames == batch.events + len(batch.rejects) + len(batch.controls) + batch.filtered
    came = batch.events, batch.frames, len(batch.rejects), batch.filtered
    after = capture.events, capture.frames, capture.rejected, capture.filtered
    assert after == tuple(map(sum, zip(before, came, strict=True)))
    return batch


def check_shown(session: Session, capture: Capture, folder: Path) -> None:
    """Tables hold every event in order of time; all can be shown and kept, with ledgers and aggregates."""
    frames = {name: table.snapshot() for name, table in capture.tables.items()}
    assert sum(map(len, frames.values())) == capture.events
    for frame in frames.values():
        assert frame["timestamp"].is_monotonic_increasing
        assert frame["seq"].is_unique
    frames |= {"rejects": capture.rejects(), "drift": drift_frame(session.drift)}
    for frame in frames.values():
        frame.tail(20).to_html()
        frame.tail(20).to_string()
    assert all(map(str.isprintable, frames["rejects"]["reason"]))
    problem_html(" ".join(frames["rejects"]["raw"].tail(20)))
    for name in AGGREGATES:
        for window_s in (60, None):
            capture.aggregates.value(name, window_s=window_s)
    for format in FORMATS:
        export_frames(frames, folder, format=format, source={})
