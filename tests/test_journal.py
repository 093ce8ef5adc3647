"""The journal: what was written is read, whatever it holds; what is damaged is named and never read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.errors import RecordingDamagedError, RecordingError
from chaosnb.ingest.intake import ClockSet, Hole, Incident, LinkLost, Note, Simulated, TopicsSet
from chaosnb.protocol.events import Frame
from chaosnb.store.journal import (
    FORMAT,
    JournalReader,
    Record,
    decode_frames,
    decode_note,
    encode_frames,
    encode_note,
    encode_record,
    seed_of,
)
from chaosnb.store.recorder import Recorder
from chaosnb.store.segments import segment_path

FRAMES = st.lists(
    st.builds(
        Frame, st.binary(max_size=40) | st.sampled_from([b"", b"\n", b"{\n}"]), st.integers(0, 2**63 - 1)
    ),
    min_size=1,
    max_size=5,
)
NOTES: list[Note] = [
    Incident(5, "reconnecting", "näh\n\ud7ff", "1006", 0.1 + 0.2),
    LinkLost("stale"),
    TopicsSet(("blocks", "memes")),
    ClockSet(),
    Simulated(),
    Hole(3, 5, 9),
]


def record(folder: Path, batches: list[list[Frame]], **options: object) -> None:
    recorder = Recorder(
        folder,
        source="ws://node.example/ws/v1",
        simulated=False,
        topics=("blocks",),
        lateness_s=2.0,
        version="1",
        wall_ns=lambda: 7,
        **options,  # type: ignore[arg-type]
    )
    for batch in batches:
        recorder.frames(batch)
    recorder.close()


def read(folder: Path) -> list[Record]:
    return list(JournalReader(folder).read())


def frames_of(records: list[Record]) -> list[list[Frame]]:
    return [decode_frames(record) for record in records if record.kind == "f"]


@given(FRAMES)
@settings(deadline=None)
def test_frames_come_back_bit_for_bit(frames: list[Frame]) -> None:
    """Line ends, blanks and bytes that are no text are kept, and arrivals to the nanosecond."""
    record = Record(1, frames[0].received_at_ns, "f", encode_frames(frames))
    assert decode_frames(record) == frames


@pytest.mark.parametrize("note", NOTES, ids=lambda note: type(note).__name__)
def test_what_happens_between_batches_comes_back(note: Note) -> None:
    """Each kind of note is read as it was written."""
    kind, raw = encode_note(note)
    assert decode_note(Record(1, 0, kind, raw)) == note


def test_records_are_numbered_lines_that_any_tool_can_check(tmp_path: Path) -> None:
    """The form that the module's docstring tells, byte by byte."""
    record(tmp_path / "run.chaos", [[Frame(b'{"a":1}', 8), Frame(b"{}", 10)]])
    lines = segment_path(tmp_path / "run.chaos", 1).read_bytes().split(b"\n", 2)
    assert [line.split(b" ")[2:5] for line in lines[:2]] == [[b"1", b"7", b"m"], [b"2", b"7", b"o"]]
    assert FORMAT.encode() in lines[0]
    assert lines[2][9:] == b'22 3 8 f [[7,2],[2]]\n{"a":1}\n{}\n'


BATCHES = [[Frame(b"one", 10), Frame(b"tw\no", 11)], [Frame(b"three", 12)], [Frame(b"", 13)]]


def read_until_damage(reader: JournalReader) -> tuple[list[Record], RecordingDamagedError | None]:
    found = []
    try:
        for item in reader.read():
            found.append(item)
    except RecordingDamagedError as error:
        return found, error
    return found, None


def damaged(folder: Path, data: bytes) -> tuple[list[Record], RecordingDamagedError | None, int]:
    """Return what is read of these bytes, what stops it, and how much is taken for a torn end."""
    segment_path(folder, 1).write_bytes(data)
    reader = JournalReader(folder)
    found, error = read_until_damage(reader)
    return found, error, reader.torn_bytes


def test_wherever_it_is_cut_the_whole_records_are_there_and_the_rest_is_known(tmp_path: Path) -> None:
    """A recording cut at any byte reads as its whole records; the recorder cuts the rest and goes on."""
    folder = tmp_path / "run.chaos"
    record(folder, BATCHES)
    data = segment_path(folder, 1).read_bytes()
    whole = read(folder)
    ends = [place + len(encode_record(item, 0)) for place, item in _placed(whole)]
    for cut in range(len(data)):
        found, error, torn = damaged(folder, data[:cut])
        assert error is None
        complete = sum(end <= cut for end in ends)
        assert found == whole[:complete]
        assert torn == cut - ([0, *ends][complete])
        record(folder, [[Frame(b"again", 14)]])
        after = read(folder)
        assert after[:complete] == whole[:complete] or complete == 0
        assert frames_of(after) == [*frames_of(whole[:complete]), [Frame(b"again", 14)]]
        notes = [decode_note(item) for item in after if item.kind == "o"]
        assert getattr(notes[-1], "cut_bytes", None) == torn


def test_wherever_a_bit_flips_no_wrong_record_is_read_and_the_place_is_named(tmp_path: Path) -> None:
    """Each bit of each byte: what is read is what was written, up to the record that is damaged."""
    folder = tmp_path / "run.chaos"
    record(folder, BATCHES)
    data = segment_path(folder, 1).read_bytes()
    whole = read(folder)
    starts = [place for place, _ in _placed(whole)]
    for place in range(len(data)):
        bits = range(8) if place % 7 == 0 else (place % 8,)
        for bit in bits:
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            found, error, torn = damaged(folder, bytes(flipped))
            hit = sum(start <= place for start in starts) - 1
            assert found == whole[:hit]
            if error is None:
                # In the last record it is no other than a torn end.
                assert (hit, torn) == (len(whole) - 1, len(data) - starts[-1])
            else:
                assert (error.segment, error.offset) == ("00000001.journal", starts[hit])
                assert f"byte {starts[hit]:,}" in str(error)


def _placed(records: list[Record]) -> list[tuple[int, Record]]:
    placed, start = [], 0
    for item in records:
        placed.append((start, item))
        start += len(encode_record(item, 0))
    return placed


def test_an_event_that_holds_a_record_is_not_taken_for_one(tmp_path: Path) -> None:
    """A frame that looks like records of the journal changes nothing, also where its own record is torn."""
    folder = tmp_path / "run.chaos"
    forged = encode_record(Record(4, 9, "f", encode_frames([Frame(b"forged", 9)])), seed_of(""))
    frame = Frame(b"\n" + forged * 3, 8)
    record(folder, [[frame]])
    assert frames_of(read(folder)) == [[frame]]
    data = segment_path(folder, 1).read_bytes()
    found, error, torn = damaged(folder, data[:-5])
    assert (frames_of(found), error) == ([], None)
    assert torn > len(forged)


def test_damage_in_a_compressed_segment_is_named_and_no_wrong_record_read(tmp_path: Path) -> None:
    """Flips and cuts at any byte of a compressed segment."""
    folder = tmp_path / "run.chaos"
    record(folder, [[Frame(b"x%d" % number, 10)] for number in range(30)], segment_bytes=700)
    path = folder / "00000001.journal.zst"
    data = path.read_bytes()
    whole = read(folder)
    assert len(frames_of(whole)) == 30
    for place in range(len(data)):
        for changed in (data[:place], data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]):
            path.write_bytes(changed)
            found, error = read_until_damage(JournalReader(folder))
            # Not every bit of the compressed form has a meaning.
            assert len(found) == len(whole) if error is None else error.segment == path.name
            assert found == whole[: len(found)]


def test_a_segment_that_is_missing_is_damage(tmp_path: Path) -> None:
    """Records are numbered, so that a lost file cannot go unseen."""
    folder = tmp_path / "run.chaos"
    record(folder, [[Frame(b"x%d" % number, 10)] for number in range(30)], segment_bytes=700)
    (folder / "00000002.journal.zst").unlink()
    with pytest.raises(RecordingDamagedError, match=r"damaged at byte 0 of 00000003.journal.*are missing"):
        read(folder)


def test_a_reader_goes_on_as_more_is_written(tmp_path: Path) -> None:
    """One reader follows a recording over its segments, and over a torn end that is cut."""
    folder = tmp_path / "run.chaos"
    record(folder, BATCHES[:1])
    reader = JournalReader(folder)
    found = frames_of(list(reader.read()))
    with segment_path(folder, 1).open("ab") as file:
        file.write(b"12345678 9 9 9 f torn")
    assert list(reader.read()) == []
    assert reader.torn_bytes == 21
    for number in range(20):
        record(folder, [[Frame(b"more %d" % number, 20)]], segment_bytes=600)
        found += frames_of(list(reader.read()))
    assert found == [*BATCHES[:1], *([Frame(b"more %d" % number, 20)] for number in range(20))]


def test_what_is_no_recording_is_refused_with_advice(tmp_path: Path) -> None:
    """A folder that is not there, or holds none, or one by a newer version."""
    with pytest.raises(RecordingError, match="no such recording"):
        JournalReader(tmp_path / "none")
    with pytest.raises(RecordingError, match="holds no recording"):
        JournalReader(tmp_path)
    record(tmp_path / "run.chaos", BATCHES)
    path = segment_path(tmp_path / "run.chaos", 1)
    head = read(tmp_path / "run.chaos")[0]
    newer = head._replace(raw=head.raw.replace(FORMAT.encode(), b"chaosnb-journal-2"))
    recording = json.loads(head.raw)["recording"]
    path.write_bytes(encode_record(newer, seed_of(recording)))
    with pytest.raises(RecordingError, match="newer chaosnb"):
        read(tmp_path / "run.chaos")


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("f", b""),
        ("f", b"[[1],[]]"),
        ("f", b"[[1],[]]\n"),
        ("f", b"[[-5],[]]\nabc"),
        ("f", b"[[1,1],[]]\na\nb"),
        ("f", b'[["a"],[]]\na'),
        ("i", b"{}"),
        ("t", b'{"topics": ["bloks"]}'),
        ("o", b"\xff"),
    ],
)
def test_a_record_that_only_looks_right_is_one_clear_error(kind: str, raw: bytes) -> None:
    """A recording may come from anywhere, with checksums that fit."""
    record = Record(7, 0, kind, raw)
    with pytest.raises(RecordingError, match="record 7: its content is not what chaosnb writes"):
        decode_frames(record) if kind == "f" else decode_note(record)
