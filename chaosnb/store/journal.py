r"""The journal: what a recording is on disk, and how it is read.

A recording is a folder of segments, ``00000001.journal`` and so on, of which all but the newest may be
compressed (``.journal.zst``, readable by ``zstdcat``). A segment is a sequence of records::

    crc32 length number at_ns kind raw\n

``length`` is that of ``raw`` in bytes, ``number`` counts the records of the recording, ``at_ns`` is in
nanoseconds since the epoch, and ``crc32`` is that of the recording's id and of what follows it up to the
line's end. So no record is taken for right that is not, nor one that an event's text pretends to be. Kinds:

``f``
    The frames of one batch: ``[[lengths], [delays]]`` as JSON, a line end, and the frames, a line each. A
    delay is the nanoseconds since the frame before; that of the first is 0 and left out.
``i g t c s h``
    What happened between two batches, as JSON: `Incident`, `LinkLost`, `TopicsSet`, `ClockSet`,
    `Simulated`, `Hole`.
``o``
    `Opened`: the recording begins, or goes on after an interruption.
``m``
    `SegmentHead`, at the beginning of each segment.

**A batch is one record**, so that it is there whole or not at all, and a replay feeds the very batches that
the live stream was fed. What was written is never changed, only the torn end that a killed process left is
cut.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from chaosnb.errors import RecordingDamagedError, RecordingError
from chaosnb.ingest.intake import ClockSet, Hole, Incident, LinkLost, Note, Simulated, TopicsSet
from chaosnb.protocol.events import Frame, check_topics
from chaosnb.protocol.lines import FrameLines, Piece
from chaosnb.store.segments import SegmentBytes, expanded_bytes, open_segment, segments

__all__ = [
    "FORMAT",
    "RECORD_START",
    "JournalReader",
    "Opened",
    "Record",
    "SegmentHead",
    "decode_frames",
    "decode_note",
    "encode_frames",
    "encode_note",
    "encode_record",
    "frame_lines",
    "read_head",
    "read_record",
    "seed_of",
]

FORMAT: Final = "chaosnb-journal-1"
"""What a segment's head says of its own form."""
# Not only after a line end, since that may be what is damaged.
RECORD_START: Final = re.compile(rb"(?=[0-9a-f]{8} \d{1,12} \d{1,20} \d{1,20} [a-z] )")
"""What a record begins with."""
_LONGEST_START: Final = 96
# Small enough that it is still in the processor's cache when it is cut up.
_CHUNK: Final = 2**20
# Longer than any batch; what a forged file expands to need not fit into memory.
_LONGEST: Final = 2**30
_NEWER: Final = "it was written by a newer chaosnb; install that one to read it"


class Opened(Struct, frozen=True, kw_only=True):
    """Of what something is a recording, since when.

    `source` is the node's address without anything secret, `cut_bytes` how long the torn end was that a
    process left which was killed.
    """

    source: str
    simulated: bool
    topics: tuple[str, ...]
    lateness_s: float
    versions: dict[str, str]
    at_ns: int
    cut_bytes: int = 0


class SegmentHead(Struct, frozen=True, kw_only=True):
    """What a segment says of itself; `opened` is of whoever began it, as of then."""

    recording: str
    segment: int
    opened: Opened
    format: str = FORMAT


class Record(NamedTuple):
    """A record as it stands in a segment."""

    number: int
    at_ns: int
    kind: str
    raw: bytes


_NOTES: Final[dict[str, Any]] = {
    "i": Incident,
    "g": LinkLost,
    "t": TopicsSet,
    "c": ClockSet,
    "s": Simulated,
    "h": Hole,
    "o": Opened,
}
_KINDS: Final = {kind: letter for letter, kind in _NOTES.items()}
_DECODERS: Final = {letter: msgspec.json.Decoder(kind) for letter, kind in _NOTES.items()}
_decode_head: Final = msgspec.json.Decoder(SegmentHead).decode
_decode_table: Final = msgspec.json.Decoder(tuple[list[int], list[int]]).decode
_encode: Final = msgspec.json.Encoder().encode


def seed_of(recording: str) -> int:
    """Return what the checksums of a recording begin with.

    Examples
    --------
    >>> seed_of("") == 0
    True
    """
    return zlib.crc32(recording.encode())


def encode_record(record: Record, seed: int) -> bytes:
    r"""Return a record's bytes.

    Examples
    --------
    >>> encode_record(Record(1, 5, "c", b"{}"), seed_of("some id"))
    b'81a62aad 2 1 5 c {}\n'
    """
    number, at_ns, kind, raw = record
    rest = b"%d %d %d %b %b\n" % (len(raw), number, at_ns, kind.encode(), raw)
    return b"%08x %b" % (zlib.crc32(rest, seed), rest)


def encode_frames(frames: Sequence[Frame]) -> bytes:
    r"""Return the frames of one batch, at least one, as a record's ``raw``.

    Examples
    --------
    >>> encode_frames([Frame(b"{}", 5), Frame(b"[ ]", 7)])
    b'[[2,3],[2]]\n{}\n[ ]'
    """
    data = [frame.data for frame in frames]
    delays = [after.received_at_ns - before.received_at_ns for before, after in pairwise(frames)]
    return b"%b\n%b" % (_encode([list(map(len, data)), delays]), b"\n".join(data))


def decode_frames(record: Record) -> list[Frame]:
    """Return the frames that are in a record.

    Raises
    ------
    RecordingError
        If it was not this package that wrote it.
    """
    return list(frame_lines(record))


def frame_lines(record: Record) -> FrameLines:
    """Return the frames that are in a record in one piece.

    Raises
    ------
    RecordingError
        If it was not this package that wrote it.
    """
    table, _, data = record.raw.partition(b"\n")
    try:
        lengths, delays = _decode_table(table)
    except (ValueError, msgspec.MsgspecError) as error:
        raise _strange(record) from error
    arrivals = list(accumulate(delays, initial=record.at_ns))
    fits = len(lengths) == len(arrivals) and sum(lengths) + len(lengths) == len(data) + 1
    if not fits or min(lengths) < 0:
        raise _strange(record)
    return FrameLines([Piece(data, lengths)], arrivals)


def encode_note(note: Note | Opened) -> tuple[str, bytes]:
    """Return the kind and the ``raw`` of what is not frames."""
    return _KINDS[type(note)], _encode(note)


def decode_note(record: Record) -> Note | Opened | None:
    """Return what a record tells that holds no frames; None for the beginning of a segment.

    Raises
    ------
    RecordingError
        If it was not this package that wrote it.
    """
    try:
        note: Note | Opened | None = None if record.kind == "m" else _DECODERS[record.kind].decode(record.raw)
        if isinstance(note, Opened | TopicsSet):
            check_topics(note.topics)
    except (ValueError, msgspec.MsgspecError) as error:
        raise _strange(record) from error
    return note


class JournalReader:
    """Reads a recording from front to end, and goes on where it stopped as more is written.

    Parameters
    ----------
    folder : Path
    first : int, optional
        The segment to begin with. None: the oldest.
    advance : callable
        Told the length of each segment that has been read, about.

    Attributes
    ----------
    head : SegmentHead or None
        Of the segment that is read; None before the first.
    number : int
        Of the last record that was read.
    segment : int
        The segment that is read.
    offset : int
        Where the next record begins in it, in bytes.
    torn_bytes : int
        What follows that is no whole record: it is being written, or was when its writer was killed.

    Raises
    ------
    RecordingError
        If there is no recording.
    """

    def __init__(
        self,
        folder: Path,
        *,
        first: int | None = None,
        advance: Callable[[int], object] = lambda size: None,
    ) -> None:
        self._folder = folder
        self._advance = advance
        found = segments(folder)
        if not found:
            is_export = (folder / "datapackage.json").exists()
            none = "no recording; give the name that it was recorded as"
            what = "an export, which chaosnb.load() reads" if is_export else none
            raise RecordingError(str(folder), f"this folder holds {what}")
        self.segment = min(found) if first is None else first
        self.head: SegmentHead | None = None
        self.number = 0
        self.offset = 0
        self.torn_bytes = 0
        self._seed = 0

    def read(self) -> Iterator[Record]:
        """Give the records up to the present end; call it again for what was written since.

        Raises
        ------
        RecordingDamagedError
            At the first place that is damaged. What ends a recording and is no whole record is no damage.
        """
        while True:
            following = min((n for n in segments(self._folder) if n > self.segment), default=None)
            # A segment that has a successor is complete, so that it is to be read after one was seen.
            yield from self._read_segment(final=following is not None)
            if (path := segments(self._folder).get(self.segment)) is not None:
                self._advance(expanded_bytes(path))
            if following is None:
                return
            self.segment, self.offset = following, 0

    def _read_segment(self, *, final: bool) -> Iterator[Record]:
        rest = b""
        self.torn_bytes = 0
        # Opened anew each time: what was no whole record may have been cut, and other bytes written there.
        with closing(self._open()) as source:
            while chunk := self._next(source):
                data = rest + chunk if rest else chunk
                place = 0
                while (found := self._record_at(data, place)) is not None:
                    record, end = found
                    self.offset += end - place
                    self.number, place = record.number, end
                    yield record
                rest = data[place:]
                if len(rest) > _LONGEST:
                    self._fail("no whole record begins here")
        if rest or self.offset == 0:
            if final or self._goes_on(rest):
                self._fail("no whole record begins here")
            self.torn_bytes = len(rest)

    def _open(self) -> SegmentBytes:
        path = segments(self._folder).get(self.segment)
        if path is None:
            raise RecordingError(
                str(self._folder),
                f"segment {self.segment} is gone, as under --max-size or --max-age the oldest are; open the "
                "recording anew for what is left",
            )
        try:
            return open_segment(path, self.offset)
        except FileNotFoundError:
            # It has just been compressed.
            return self._open()
        except OSError as error:
            raise RecordingError(str(path), f"cannot be read: {error.strerror or error}") from error

    def _next(self, source: SegmentBytes) -> bytes:
        try:
            return source.read(_CHUNK)
        except OSError as error:
            self._fail(f"cannot be read on ({error})")
            return b""

    def _record_at(self, data: bytes, place: int) -> tuple[Record, int] | None:
        """Return the record that begins at this place and where it ends, if it is whole and right."""
        if self.offset == 0 and not self._begins(data):
            return None
        found = read_record(data, place, self._seed)
        if found is not None and self.number and found[0].number != self.number + 1:
            missing = f"{self.number + 1:,} to {found[0].number - 1:,}"
            self._fail(f"records {missing} are missing before it")
        if found is not None and found[0].kind not in "fm" and found[0].kind not in _NOTES:
            raise RecordingError(str(self._folder), _NEWER)
        return found

    def _begins(self, data: bytes) -> bool:
        """Say whether a segment's head stands here, and take it in."""
        head = read_head(data)
        if head is None or read_record(data, 0, seed := seed_of(head.recording)) is None:
            return False
        if self.head is not None and head.recording != self.head.recording:
            self._fail("it belongs to another recording")
        if head.format != FORMAT:
            raise RecordingError(str(self._folder), _NEWER)
        self.head, self._seed = head, seed
        return True

    def _goes_on(self, rest: bytes) -> bool:
        """Say whether there is a record in what cannot be read, so that it is no torn end."""
        if self.offset == 0:
            return b"\n" in rest
        for match in RECORD_START.finditer(rest):
            found = read_record(rest, match.start(), self._seed)
            if found is not None and found[0].number > self.number:
                return True
        return False

    def _fail(self, what: str) -> None:
        path = segments(self._folder).get(self.segment)
        name = f"segment {self.segment}" if path is None else path.name
        raise RecordingDamagedError(str(self._folder), name, self.offset, what)


def _strange(record: Record) -> RecordingError:
    return RecordingError(f"record {record.number:,}", "its content is not what chaosnb writes")


def read_head(data: bytes) -> SegmentHead | None:
    """Return what a segment says of itself at its beginning, unchecked; None if that cannot be read."""
    parts = data[: 2**16].split(b" ", 5)
    try:
        head = _decode_head(parts[5][: int(parts[1])])
    except (IndexError, ValueError, msgspec.MsgspecError):
        return None
    return head


def read_record(data: bytes, place: int, seed: int) -> tuple[Record, int] | None:
    """Return the record at a place and where it ends; None unless a whole and right one begins there."""
    parts = data[place : place + _LONGEST_START].split(b" ", 5)
    if len(parts) < 6 or not parts[1].isdigit():
        return None
    crc, length, number, at_ns, kind, _ = parts
    start = place + len(crc) + len(length) + len(number) + len(at_ns) + len(kind) + 5
    end = start + int(length) + 1
    if end > len(data) or b"%08x" % zlib.crc32(data[place + 9 : end], seed) != crc:
        return None
    return Record(int(number), int(at_ns), kind.decode(), data[start : end - 1]), end
