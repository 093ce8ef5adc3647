"""Places in a recording: where a moment, a block or the next message comes in it.

A moment is one of arrival, by the recorder's clock: what comes before it had arrived then. A clock that was
set back shows a moment twice; the first time counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from chaosnb.errors import RecordingError
from chaosnb.ingest.intake import Incident, Simulated, State, TopicsSet
from chaosnb.protocol.codec import decode
from chaosnb.protocol.events import BlockProposal, Frame
from chaosnb.store.journal import JournalReader, Opened, Record, decode_frames, decode_note
from chaosnb.store.segments import segments

__all__ = [
    "Place",
    "Start",
    "is_simulated",
    "place_after_batches",
    "place_after_blocks",
    "place_of_height",
    "place_of_time",
    "start_of",
]

# Of each message of a block: a letter of its type may be written as an escape.
_PROPOSAL: Final = b"block_proposal"
_ESCAPE: Final = b"\\u"


class Place(NamedTuple):
    """A place in a recording: all records of a lower number lie before it, and so many frames of this one."""

    record: int
    frame: int = 0


class Start(NamedTuple):
    """Where something begins in a recording, and how things stood there.

    `segment` is the one with which to begin to read, whose first record was written at `first_ns`; `opened`
    has the topics of then. `last_ns` is the last arrival where it is behind everything, else None.
    """

    segment: int
    first_ns: int
    place: Place
    opened: Opened
    state: State = "connecting"
    last_ns: int | None = None


def start_of(folder: Path, *, at_ns: int | None = None, record: int | None = None) -> Start:
    """Return where a moment of arrival, in nanoseconds since the epoch, or a record begins.

    None of them: the recording's own beginning.

    Raises
    ------
    RecordingError
        If there is no recording, or nothing in it yet.
    RecordingDamagedError
        If it is damaged there.
    """
    segment, first, opened = _segment(folder, at_ns, record)
    state: State = "connecting"
    if at_ns is None and record is None:
        return Start(segment, first.at_ns, Place(first.number), opened)
    place, last_ns = Place(first.number), opened.at_ns
    for each in JournalReader(folder, first=segment).read():
        note = None if each.kind == "f" else decode_note(each)
        reached = Place(each.number) if record is not None and each.number >= record else None
        if at_ns is not None and note is not None:
            reached = Place(each.number) if each.at_ns >= at_ns else None
        elif at_ns is not None and each.kind == "f":
            frames = decode_frames(each)
            reached = _within(each, frames, at_ns)
            last_ns = frames[-1].received_at_ns
        if reached is not None:
            if record is not None and isinstance(note, Opened):
                opened = note
            return Start(segment, first.at_ns, reached, opened, state)
        place = Place(each.number + 1)
        match note:
            case Opened():
                opened = note
            case TopicsSet():
                opened = msgspec.structs.replace(opened, topics=note.topics)
            case Simulated():
                opened = msgspec.structs.replace(opened, simulated=True)
            case Incident():
                state = note.state
    return Start(segment, first.at_ns, place, opened, state, last_ns)


def is_simulated(folder: Path) -> bool:
    """Return whether a recording's first link was to a node that says that it is simulated.

    So it can be told of a moment at which no message had come yet.
    """
    for record in JournalReader(folder).read():
        note = None if record.kind == "f" else decode_note(record)
        match note:
            case Opened(simulated=True) | Simulated():
                return True
            case Incident(state="live"):
                # By then the node has answered, and said so if it is.
                return False
    return False


def place_of_time(folder: Path, at_ns: int) -> Place:
    """Return the place before which all lies that had arrived before a moment, in ns since the epoch.

    It is behind everything where that moment has not come.
    """
    return start_of(folder, at_ns=at_ns).place


def place_of_height(folder: Path, height: int, start: Start) -> Place | None:
    """Return the place behind the first block of a height after the start; None if there is none."""
    for place, found in _blocks(folder, start.segment, start.place):
        if found == height:
            return place
    return None


def place_after_blocks(folder: Path, segment: int, since: Place, blocks: int) -> Place:
    """Return the place behind so many more blocks, or behind everything if there are fewer."""
    place = since
    for place, _ in _blocks(folder, segment, since):
        blocks -= 1
        if not blocks:
            return place
    return _END


def place_after_batches(folder: Path, segment: int, since: Place, batches: int) -> Place:
    """Return the place behind so many more batches, or behind everything if there are fewer."""
    for record, _ in _from(folder, segment, since):
        if record.kind == "f":
            batches -= 1
            if not batches:
                return Place(record.number + 1)
    return _END


_END: Final = Place(2**62)


def _segment(folder: Path, at_ns: int | None, record: int | None) -> tuple[int, Record, Opened]:
    """Return the last segment that begins before a moment, or a record; its first record and its head."""
    found: tuple[int, Record, Opened] | None = None
    for number in segments(folder):
        reader = JournalReader(folder, first=number)
        first: Record | None = next(reader.read(), None)
        if first is None or reader.head is None:
            break
        later = record is not None and first.number > record
        # What came at that very moment may be in the segment before: clocks are coarse.
        later = later or (at_ns is not None and first.at_ns >= at_ns) or (at_ns is None and record is None)
        if found is not None and later:
            break
        found = number, first, reader.head.opened
    if found is None:
        JournalReader(folder)
        raise RecordingError(str(folder), "nothing has been recorded there yet")
    return found


def _from(folder: Path, segment: int, since: Place) -> Iterator[tuple[Record, int]]:
    """Give each record behind a place, and how many of its frames lie before it."""
    for record in JournalReader(folder, first=segment).read():
        if record.number >= since.record:
            yield record, since.frame if record.number == since.record else 0


def _blocks(folder: Path, segment: int, since: Place) -> Iterator[tuple[Place, int]]:
    """Give the place behind each block, and its height."""
    for record, skipped in _from(folder, segment, since):
        if record.kind != "f" or not (_PROPOSAL in record.raw or _ESCAPE in record.raw):
            continue
        for number, frame in enumerate(decode_frames(record)):
            if number >= skipped and (_PROPOSAL in frame.data or _ESCAPE in frame.data):
                event = decode(frame)
                if isinstance(event, BlockProposal):
                    yield Place(record.number, number + 1), event.height


def _within(record: Record, frames: Sequence[Frame], at_ns: int) -> Place | None:
    """Return the place of a moment within a record; None if it comes later."""
    for number, frame in enumerate(frames):
        if frame.received_at_ns >= at_ns:
            return Place(record.number, number)
    return None
