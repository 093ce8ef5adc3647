"""Splicing: a new recording of a span of one, or of several one after the other; frames stay as they are.

A part keeps the id of its recording and the numbers of its records, so that parts that follow each other are
known to when they are merged, and no hole is taken to be between them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec
from msgspec import Struct

from chaosnb.errors import RecordingError
from chaosnb.ingest.intake import Simulated, TopicsSet
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.store.journal import (
    JournalReader,
    Opened,
    Record,
    SegmentHead,
    decode_frames,
    decode_note,
    encode_frames,
    encode_note,
    encode_record,
    seed_of,
)
from chaosnb.store.places import Place, is_simulated, place_of_time, start_of
from chaosnb.store.segments import compress, new_recording, segment_path

__all__ = ["Spliced", "cut", "merge"]

_BEGINNING: Final = Place(0)


class Spliced(Struct, frozen=True):
    """What a new recording holds.

    Attributes
    ----------
    frames, frames_before : int
        Messages in it, and in what it was made of.
    first_ns, last_ns : int
        Arrival of the first and the last message, in nanoseconds since the epoch.
    torn_bytes : int
        What ended a recording and was no whole record; it is left out.
    holes : tuple of str
        When nothing was recorded, between two of several.
    """

    frames: int
    frames_before: int
    first_ns: int
    last_ns: int
    torn_bytes: int
    holes: tuple[str, ...] = ()

    def text(self) -> str:
        """Return it as a few lines to read."""
        of = "" if self.frames == self.frames_before else f" of {self.frames_before:,}"
        span = f"from {_time(self.first_ns)} to {_time(self.last_ns)}"
        lines = [f"{self.frames:,}{of} messages, {span}", *self.holes]
        if self.torn_bytes:
            lines.append(f"{self.torn_bytes:,} bytes were no whole record, and are left out")
        return "\n".join(lines)


class _Survey(NamedTuple):
    """What is in a recording, in short."""

    folder: Path
    head: SegmentHead
    first: int
    last: int
    frames: int
    first_ns: int
    last_ns: int
    torn_bytes: int


def cut(
    folder: Path,
    target: Path,
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    advance: Callable[[int], object] = lambda size: None,
) -> Spliced:
    """Copy what arrived in a span into a new recording, whose replay is that of this one in that span.

    Parameters
    ----------
    folder, target : Path
    start_ns, end_ns : int, optional
        Arrival, in nanoseconds since the epoch, the end excluded. None: from its beginning, to its end.
    advance : callable
        Told the length of each segment that has been read, which happens twice.

    Raises
    ------
    RecordingError
        If there is no recording, nothing in that span, or something of the target's name.
    RecordingDamagedError
        If it is damaged.
    """
    survey = _survey(folder, advance)
    start = start_of(folder, at_ns=start_ns)
    end = None if end_ns is None else place_of_time(folder, end_ns)
    with new_recording(target) as part, _Copy(part, survey.head.recording, start.opened) as copy:
        for record in _between(folder, advance, start.segment, start.place, end):
            copy.add(record)
        if copy.first_ns is None:
            raise RecordingError(
                str(folder),
                f"no message arrived in that span; those in it did from {_time(survey.first_ns)} to "
                f"{_time(survey.last_ns)}",
            )
    return Spliced(copy.frames, survey.frames, copy.first_ns, copy.last_ns, survey.torn_bytes)


def merge(
    folders: Sequence[Path], target: Path, *, advance: Callable[[int], object] = lambda size: None
) -> Spliced:
    """Copy recordings of one node into a new one, the earliest first.

    Where one does not go on where the one before ended, the replay has a gap (``unrecorded``) between them.
    `advance` is told the length of each segment that has been read, which happens twice.

    Raises
    ------
    ValueError
        If there is nothing to merge.
    RecordingError
        If there is no recording, they overlap, are of different nodes, or there is something of the
        target's name.
    RecordingDamagedError
        If one is damaged.
    """
    if not folders:
        raise ValueError("merge() takes one recording at least, such as [Path('monday.chaos')]")
    surveys = sorted(
        (_survey(folder, advance) for folder in folders), key=lambda survey: (survey.first_ns, survey.first)
    )
    holes = []
    for before, after in pairwise(surveys):
        _check_order(before, after)
        if not _goes_on(before, after):
            span = f"from {_time(before.last_ns)} to {_time(after.first_ns)}"
            holes.append(f"nothing was recorded {span}, after {before.folder}")
    with (
        new_recording(target) as part,
        _Copy(part, uuid.uuid4().hex, surveys[0].head.opened) as copy,
    ):
        for place, survey in enumerate(surveys):
            must_open = place > 0 and not _goes_on(surveys[place - 1], survey)
            for record in _between(survey.folder, advance):
                if must_open and record.kind not in "mo":
                    opened = msgspec.structs.replace(survey.head.opened, at_ns=record.at_ns, cut_bytes=0)
                    kind, raw = encode_note(opened)
                    copy.add(Record(0, record.at_ns, kind, raw))
                must_open = must_open and record.kind == "m"
                copy.add(record)
    return Spliced(
        copy.frames,
        sum(survey.frames for survey in surveys),
        surveys[0].first_ns,
        surveys[-1].last_ns,
        sum(survey.torn_bytes for survey in surveys),
        tuple(holes),
    )


def _survey(folder: Path, advance: Callable[[int], object]) -> _Survey:
    """Read all of a recording."""
    reader = JournalReader(folder, advance=advance)
    head: SegmentHead | None = None
    first = count = last_ns = 0
    first_ns: int | None = None
    for record in reader.read():
        head, first = head or reader.head, first or record.number
        if record.kind == "f":
            frames = decode_frames(record)
            first_ns = record.at_ns if first_ns is None else first_ns
            last_ns, count = frames[-1].received_at_ns, count + len(frames)
    if head is None or first_ns is None:
        raise RecordingError(str(folder), "no message has been recorded there yet")
    return _Survey(folder, head, first, reader.number, count, first_ns, last_ns, reader.torn_bytes)


def _between(
    folder: Path,
    advance: Callable[[int], object],
    segment: int | None = None,
    start: Place = _BEGINNING,
    end: Place | None = None,
) -> Iterator[Record]:
    """Give the records between two places; of a batch in which one lies, its part."""
    for record in JournalReader(folder, first=segment, advance=advance).read():
        if record.number < start.record:
            continue
        first = start.frame if record.number == start.record else 0
        last = end.frame if end is not None and record.number == end.record else None
        if last == 0 or (end is not None and record.number > end.record):
            return
        if first or last is not None:
            frames = decode_frames(record)[first:last]
            yield Record(record.number, frames[0].received_at_ns, "f", encode_frames(frames))
        else:
            yield record


def _check_order(before: _Survey, after: _Survey) -> None:
    one, other = before.head.opened, after.head.opened
    if one.source != other.source and not (_is_simulated(before) and _is_simulated(after)):
        raise RecordingError(
            str(after.folder), f"this is a recording of {other.source}, and {before.folder} of {one.source}"
        )
    if after.first_ns < before.last_ns:
        raise RecordingError(
            str(after.folder),
            f"it begins at {_time(after.first_ns)}, before {before.folder} ends at {_time(before.last_ns)}: "
            "cut one of them first",
        )


def _is_simulated(survey: _Survey) -> bool:
    # A node elsewhere says so only once it has answered.
    return survey.head.opened.simulated or is_simulated(survey.folder)


def _goes_on(before: _Survey, after: _Survey) -> bool:
    """Return whether one is a part of the same recording as the one before, and follows it.

    A part begins with the number before that of its first record, of which the beginning may be in the part
    before, if it is a batch.
    """
    return before.head.recording == after.head.recording and abs(after.first - before.last) <= 1


class _Copy:
    """Writes records into a new recording, in segments as they come."""

    def __init__(self, folder: Path, recording: str, opened: Opened) -> None:
        self._folder = folder
        self._recording = recording
        self._opened = opened
        self._seed = seed_of(recording)
        self._file: BinaryIO | None = None
        self._segment = self._number = 0
        self.frames = 0
        self.first_ns: int | None = None
        self.last_ns = 0

    def add(self, record: Record) -> None:
        """Add a record; the head of a segment begins a new one."""
        if self._file is None:
            self._number = record.number - (1 if record.kind == "m" else 2)
        if self._file is None or record.kind == "m":
            self._file = self._begun(record.at_ns)
        if record.kind == "m":
            return
        self._put(self._file, record.at_ns, record.kind, record.raw)
        if record.kind == "f":
            frames = decode_frames(record)
            self.first_ns = record.at_ns if self.first_ns is None else self.first_ns
            self.last_ns, self.frames = frames[-1].received_at_ns, self.frames + len(frames)
            return
        match note := decode_note(record):
            case Opened():
                self._opened = note
            case TopicsSet():
                self._opened = msgspec.structs.replace(self._opened, topics=note.topics)
            case Simulated():
                self._opened = msgspec.structs.replace(self._opened, simulated=True)

    def __enter__(self) -> _Copy:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def _end(self) -> None:
        """Close the segment."""
        if self._file is not None:
            self._file.close()
            compress(segment_path(self._folder, self._segment))
            self._file = None

    def _begun(self, at_ns: int) -> BinaryIO:
        self._end()
        self._segment += 1
        file = segment_path(self._folder, self._segment).open("wb")
        head = SegmentHead(recording=self._recording, segment=self._segment, opened=self._opened)
        self._put(file, at_ns, "m", msgspec.json.encode(head))
        return file

    def _put(self, file: BinaryIO, at_ns: int, kind: str, raw: bytes) -> None:
        self._number += 1
        file.write(encode_record(Record(self._number, at_ns, kind, raw), self._seed))


def _time(epoch_ns: int) -> str:
    return format_timestamp(epoch_ns // 1_000)
