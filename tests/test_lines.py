"""Frames in pieces: the same sequence as a list of them, and read into the same."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chaosnb.protocol.codec import decode_all, encode
from chaosnb.protocol.events import AgentStatus, ErrorEvent, Frame
from chaosnb.protocol.lines import FrameLines, Piece, arrivals_ns, total_bytes
from tests.event_strategies import any_events

STATUS = encode(AgentStatus("a", "active", "r", "PT0S", "2026-11-23T00:36:12.345Z"))
DEEP = b'{"type":"error","error":{"code":"c","message":"m","details":%b%b}}' % (b"[" * 200, b"]" * 200)
HALVES = STATUS.partition(b",")
VALUE = STATUS.index(b"{", 1)
# What lines do not tell apart, what is no event, and what only the lenient way reads.
ODD = [
    b"",
    b" ",
    b"\n",
    b"\r",
    b"{",
    b"{}",
    b"\xff",
    HALVES[0],
    HALVES[1] + HALVES[2],
    STATUS[:VALUE],
    STATUS[VALUE:] + STATUS,
    STATUS + b" ",
    STATUS + STATUS,
    STATUS + b"\n" + STATUS,
    STATUS.replace(b",", b",\n"),
    STATUS.replace(b'"reason"', b'"extra":1,"reason"'),
    STATUS.replace(b"active", b"\xff"),
    b'{"type":"connected","connection_id":"c"}',
    encode(ErrorEvent("RATE_LIMITED", "slow down")),
    DEEP,
]
MESSAGES = st.lists(
    st.lists(any_events.map(encode) | st.sampled_from([STATUS, *ODD]), min_size=1, max_size=6), max_size=4
)


def frames_of(batches: list[list[bytes]]) -> tuple[list[Frame], FrameLines]:
    """Return these messages as a list of frames, and each batch as a piece."""
    messages = [message for batch in batches for message in batch]
    frames = [Frame(message, 7 * number) for number, message in enumerate(messages)]
    pieces = [Piece(b"\n".join(batch), list(map(len, batch))) for batch in batches]
    return frames, FrameLines(pieces, arrivals_ns(frames))


@given(MESSAGES)
@settings(max_examples=200, deadline=None)
@example([[STATUS, STATUS, HALVES[0], HALVES[1] + HALVES[2]], [STATUS, STATUS, STATUS + b"\n" + STATUS, b""]])
@example([[STATUS, STATUS[:VALUE], STATUS[VALUE:] + STATUS, STATUS]])
@example([[STATUS, STATUS, STATUS + STATUS, b" "], [b"", STATUS, STATUS, STATUS + STATUS]])
def test_pieces_are_read_as_their_messages_are(batches: list[list[bytes]]) -> None:
    """Events, rejects and drift are the same, however the messages lie in lines."""
    frames, lines = frames_of(batches)
    drift: Counter[str] = Counter()
    other: Counter[str] = Counter()
    assert decode_all(lines, drift) == decode_all(frames, other)
    assert drift == other


@given(MESSAGES, st.slices(8))
@settings(deadline=None)
def test_pieces_are_a_sequence_of_frames(batches: list[list[bytes]], part: slice) -> None:
    """Each place, each slice and the whole are those of the list."""
    frames, lines = frames_of(batches)
    listed: Sequence[Frame] = list(lines)
    assert listed == frames
    assert [lines[place] for place in range(-len(frames), len(frames))] == frames + frames
    assert list(lines[part]) == frames[part]
    assert list(lines[:]) == frames
    assert (len(lines), total_bytes(lines), arrivals_ns(lines)) == (
        len(frames),
        total_bytes(frames),
        arrivals_ns(frames),
    )
    with pytest.raises(IndexError):
        lines[len(frames)]


def test_pieces_can_be_added() -> None:
    """What is added comes behind."""
    (frames, lines), (more, others) = frames_of([[STATUS, b""]]), frames_of([[b"{}"], [STATUS]])
    lines.extend(others)
    assert list(lines) == frames + more
