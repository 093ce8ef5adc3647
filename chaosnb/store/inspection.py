"""Inspection: what is in a recording, whether it is whole, and a copy of what is whole."""

from __future__ import annotations

import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from chaosnb.errors import RecordingDamagedError, RecordingError
from chaosnb.ingest.intake import Hole, Simulated, TopicsSet
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.store.journal import (
    RECORD_START,
    JournalReader,
    Opened,
    Record,
    SegmentHead,
    decode_frames,
    decode_note,
    encode_note,
    encode_record,
    read_head,
    read_record,
    seed_of,
)
from chaosnb.store.segments import (
    compress,
    expanded_bytes,
    folder_bytes,
    new_recording,
    open_segment,
    segment_path,
    segments,
)
from chaosnb.text import printable

__all__ = ["Mended", "Summary", "inspect", "mend"]

_CHUNK: Final = 2**20
_ASKED: Final = 200
_TABLE: Final = [zlib.crc32(bytes([byte]), 0xFFFFFFFF) ^ 0xFFFFFFFF for byte in range(256)]


class Summary(Struct, frozen=True, kw_only=True):
    """What is in a recording.

    Attributes
    ----------
    opened : Opened
        Of what it is, as of its beginning.
    runs : int
        How often a recorder began, or went on.
    simulated : bool
        Whether the node is.
    topics : tuple of str
        What was subscribed in the end.
    segments, size_bytes : int
        Its files, and their size.
    records, frames : int
        Records, and the messages in them.
    first_ns, last_ns : int or None
        Arrival of the first and the last message, in nanoseconds since the epoch.
    frames_lost : int
        Messages that came and could not be recorded.
    torn_bytes : int
        What ends it that is no whole record: it is being written, or its writer was killed.
    damage : RecordingDamagedError or None
        The first place where it is damaged; all other figures are of what comes before.
    """

    opened: Opened
    runs: int
    simulated: bool
    topics: tuple[str, ...]
    segments: int
    size_bytes: int
    records: int
    frames: int
    first_ns: int | None
    last_ns: int | None
    frames_lost: int
    torn_bytes: int
    damage: RecordingDamagedError | None

    def text(self) -> str:
        """Return it as a few lines to read."""
        simulated = " (simulated)" if self.simulated else ""
        size = f"{self.size_bytes:,} bytes in {self.segments:,} segment{'s' if self.segments != 1 else ''}"
        lines = [
            f"{self.opened.source}{simulated}, topics {', '.join(self.topics)}",
            f"{self.frames:,} messages in {self.records:,} records, {size}",
        ]
        if self.first_ns is not None and self.last_ns is not None:
            span = f"from {_time(self.first_ns)} to {_time(self.last_ns)}"
            lines.append(f"{span}, in {self.runs:,} run{'s' if self.runs != 1 else ''}")
        if self.frames_lost:
            lines.append(f"{self.frames_lost:,} messages came and could not be recorded")
        if self.torn_bytes:
            lines.append(
                f"{self.torn_bytes:,} bytes at the end are no whole record: it is being written, or "
                "its writer was killed"
            )
        if self.damage is not None:
            lines.append(str(self.damage))
        return "\n".join(map(printable, lines))


class Mended(Struct, frozen=True):
    """How many records a copy has, how many are lost, and where, by file and byte."""

    kept: int
    lost: int
    places: list[str]


def inspect(folder: Path, *, advance: Callable[[int], object] = lambda size: None) -> Summary:
    """Read all of a recording; `advance` is told the length of each segment that has been read.

    Raises
    ------
    RecordingError
        If there is none.
    """
    reader = JournalReader(folder, advance=advance)
    counts: Counter[str] = Counter()
    opened: Opened | None = None
    topics: tuple[str, ...] = ()
    first_ns = last_ns = damage = None
    try:
        for record in reader.read():
            counts["records"] += 1
            if record.kind == "f":
                frames = decode_frames(record)
                counts["frames"] += len(frames)
                first_ns = record.at_ns if first_ns is None else first_ns
                last_ns = frames[-1].received_at_ns
                continue
            match note := decode_note(record):
                case Opened():
                    opened = opened or note
                    topics = note.topics
                    counts["runs"] += 1
                    counts["simulated"] += note.simulated
                case Simulated():
                    counts["simulated"] += 1
                case TopicsSet():
                    topics = note.topics
                case Hole():
                    counts["lost"] += note.frames
    except RecordingDamagedError as error:
        damage = error
    if reader.head is not None:
        counts["simulated"] += reader.head.opened.simulated
        opened = opened or reader.head.opened
        # Of one without its beginning, they stand in its head alone.
        topics = topics or reader.head.opened.topics
    if opened is None:
        raise damage or RecordingError(str(folder), "nothing has been recorded there yet")
    return Summary(
        opened=opened,
        runs=max(1, counts["runs"]),
        simulated=bool(counts["simulated"] or opened.simulated),
        topics=topics,
        segments=len(segments(folder)),
        size_bytes=folder_bytes(folder),
        records=counts["records"],
        frames=counts["frames"],
        first_ns=first_ns,
        last_ns=last_ns,
        frames_lost=counts["lost"],
        torn_bytes=reader.torn_bytes,
        damage=damage,
    )


def mend(folder: Path, target: Path, *, advance: Callable[[int], object] = lambda size: None) -> Mended:
    """Copy all records that are whole into a new recording; what is missing between them becomes a `Hole`.

    The recording itself is not changed. How many messages a lost record held, nothing can tell: the hole
    counts it as one. `advance` is told the length of each segment that has been copied.

    Raises
    ------
    RecordingError
        If nothing is whole, or the copy cannot be written.
    """
    with new_recording(target) as part:
        return _copy(folder, part, advance)


def _copy(folder: Path, target: Path, advance: Callable[[int], object]) -> Mended:
    recording = uuid.uuid4().hex
    seed = seed_of(recording)
    opened = _any_opened(folder)
    places: list[str] = []
    lost = number = 0
    last: Record | None = None
    paths = []
    for segment, path in enumerate(segments(folder).values(), 1):
        paths.append(segment_path(target, segment))
        with paths[-1].open("wb") as file:

            def put(kind: str, at_ns: int, raw: bytes, file=file) -> None:  # type: ignore[no-untyped-def]
                nonlocal number
                number += 1
                file.write(encode_record(Record(number, at_ns, kind, raw), seed))

            head = SegmentHead(recording=recording, segment=segment, opened=opened)
            put("m", opened.at_ns if last is None else last.at_ns, msgspec.json.encode(head))
            for record in _whole(path, places, 0 if last is None else last.number):
                missing = record.number - (0 if last is None else last.number) - 1
                if missing and last is not None:
                    put(*_hole(missing, last.at_ns, record.at_ns))
                lost += missing if last is not None or segment == 1 else 0
                last = record
                if record.kind == "m":
                    # What changed meanwhile may be lost.
                    now = msgspec.json.decode(record.raw, type=SegmentHead).opened
                    if now.topics != opened.topics:
                        kind, raw = encode_note(TopicsSet(now.topics))
                        put(kind, record.at_ns, raw)
                    if now.simulated and not opened.simulated:
                        kind, raw = encode_note(Simulated())
                        put(kind, record.at_ns, raw)
                    opened = now
                    continue
                note = None if record.kind == "f" else decode_note(record)
                opened = note if isinstance(note, Opened) else opened
                if isinstance(note, TopicsSet):
                    opened = msgspec.structs.replace(opened, topics=note.topics)
                if isinstance(note, Simulated):
                    opened = msgspec.structs.replace(opened, simulated=True)
                put(record.kind, record.at_ns, record.raw)
        if segment > 1:
            # One after the other, so that they never lie there expanded together.
            compress(paths[-2])
        advance(expanded_bytes(path))
    return Mended(number, lost, places)


def _hole(records: int, first_ns: int, last_ns: int) -> tuple[str, int, bytes]:
    kind, raw = encode_note(Hole(records, first_ns, last_ns))
    return kind, last_ns, raw


def _any_opened(folder: Path) -> Opened:
    """Return the first thing that says of what it is a recording."""
    for path in segments(folder).values():
        for record in _whole(path, [], 0):
            if record.kind == "m":
                return msgspec.json.decode(record.raw, type=SegmentHead).opened
            if record.kind == "o" and isinstance(note := decode_note(record), Opened):
                return note
    raise RecordingError(str(folder), "nothing in it is whole, so that nothing can be kept")


def _whole(path: Path, places: list[str], number: int) -> Iterator[Record]:
    """Give the whole records of a segment that come after a number; add to `places` where others are."""
    data = _all_bytes(path, places)
    head = read_head(data)
    seed = None if head is None else seed_of(head.recording)
    if seed is None or read_record(data, 0, seed) is None:
        seed = _solve_seed(data)
    place = 0
    while seed is not None and place < len(data):
        found = read_record(data, place, seed)
        if found is None:
            places.append(f"byte {place:,} of {path.name}")
            for match in RECORD_START.finditer(data, place + 1):
                found = read_record(data, match.start(), seed)
                if found is not None and found[0].number > number:
                    break
                found = None
        if found is None:
            return
        record, place = found
        number = record.number
        yield record


def _all_bytes(path: Path, places: list[str]) -> bytes:
    chunks: list[bytes] = []
    try:
        with closing(open_segment(path, 0)) as source:
            while chunk := source.read(_CHUNK):
                chunks.append(chunk)
    except OSError:
        places.append(f"{path.name}, which cannot be expanded beyond byte {sum(map(len, chunks)):,}")
    return b"".join(chunks)


def _solve_seed(data: bytes) -> int | None:
    """Return what the checksums of a segment began with, whose head is damaged: what its records agree on."""
    votes: Counter[int] = Counter()
    for _, match in zip(range(_ASKED), RECORD_START.finditer(data), strict=False):
        start = match.start()
        parts = data[start : start + 96].split(b" ", 5)
        length = sum(map(len, parts[:5])) + 5 + int(parts[1]) + 1
        rest = data[start + 9 : start + length]
        votes[_crc_before(rest, int(parts[0], 16))] += 1
    seed, count = max(votes.items(), key=lambda item: item[1], default=(0, 0))
    return seed if count > 1 else None


def _time(epoch_ns: int) -> str:
    return format_timestamp(epoch_ns // 1_000)


def _crc_before(data: bytes, crc: int) -> int:
    """Return the CRC-32 that becomes `crc` by this data."""
    by_top = {entry >> 24: place for place, entry in enumerate(_TABLE)}
    state = crc ^ 0xFFFFFFFF
    for byte in reversed(data):
        place = by_top[state >> 24]
        state = ((state ^ _TABLE[place]) << 8 | (place ^ byte)) & 0xFFFFFFFF
    return state ^ 0xFFFFFFFF
