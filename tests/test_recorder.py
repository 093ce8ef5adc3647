"""The recorder: crash-safe, alone in its folder, and honest about what it could not write."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import chaosnb
from chaosnb.errors import RecordingDamagedError, RecordingError
from chaosnb.ingest.intake import Hole, Incident, Simulated, TopicsSet
from chaosnb.protocol.events import Frame
from chaosnb.store.inspection import inspect
from chaosnb.store.journal import JournalReader, Opened, Record, decode_frames, decode_note
from chaosnb.store.recorder import Recorder
from chaosnb.store.segments import compress, segment_path, segments


def recorder(folder: Path, **options: object) -> Recorder:
    arguments: dict[str, object] = {
        "source": "ws://node.example/ws/v1",
        "simulated": False,
        "topics": ("blocks",),
        "lateness_s": 2.0,
        "version": "1",
    }
    return Recorder(folder, **(arguments | options))  # type: ignore[arg-type]


def read(folder: Path) -> list[Record]:
    return list(JournalReader(folder).read())


def frames_of(folder: Path) -> list[Frame]:
    return [frame for item in read(folder) if item.kind == "f" for frame in decode_frames(item)]


def notes_of(folder: Path) -> list[object]:
    return [decode_note(item) for item in read(folder) if item.kind not in "fm"]


def frame(number: int) -> Frame:
    return Frame(b"frame %d" % number, number)


class Disk:
    """Writes as `os.write` does, as long as there is room."""

    def __init__(self) -> None:
        self.room: int | None = None

    def write(self, file: int, data: bytes) -> int:
        if self.room is None:
            return os.write(file, data)
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(file, data[: self.room])
        self.room -= written
        return written


def test_what_is_written_is_there_without_closing(tmp_path: Path) -> None:
    """Once `frames` returns, another process can read them."""
    writer = recorder(tmp_path / "run.chaos")
    for number in range(3):
        writer.frames([frame(number)])
        assert frames_of(tmp_path / "run.chaos")[-1] == frame(number)
    writer.close()
    writer.close()


def test_a_recording_goes_on_where_it_was(tmp_path: Path) -> None:
    """Three runs are one recording, which says when each began."""
    folder = tmp_path / "run.chaos"
    for run in range(3):
        writer = recorder(folder)
        writer.frames([frame(run)])
        writer.close()
    assert frames_of(folder) == [frame(0), frame(1), frame(2)]
    assert sum(isinstance(note, Opened) for note in notes_of(folder)) == 3
    assert [item.number for item in read(folder)] == list(range(1, 8))


def test_one_writer_at_a_time_and_of_one_node(tmp_path: Path) -> None:
    """A second recorder, another node's recording and a folder of other things are refused."""
    folder = tmp_path / "run.chaos"
    writer = recorder(folder)
    with pytest.raises(RecordingError, match="being recorded already"):
        recorder(folder)
    writer.close()
    with pytest.raises(RecordingError, match=r"recording of ws://node.example/ws/v1"):
        recorder(folder, source="ws://other.example/ws/v1")
    recorder(folder).close()
    with pytest.raises(RecordingError, match="remove it, since no message came, or choose"):
        recorder(folder, source="ws://other.example/ws/v1")
    writer = recorder(folder)
    writer.frames([frame(1)])
    writer.close()
    with pytest.raises(RecordingError, match=r"not of ws://other.example/ws/v1; choose another name"):
        recorder(folder, source="ws://other.example/ws/v1")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(RecordingError, match="something else"):
        recorder(tmp_path / "mine")
    with pytest.raises(RecordingError, match="there is a file of that name"):
        recorder(tmp_path / "mine" / "thesis.tex")


def test_a_damaged_recording_is_not_gone_on_with(tmp_path: Path) -> None:
    """What is damaged before its end is reported, not cut."""
    folder = tmp_path / "run.chaos"
    writer = recorder(folder)
    for number in range(5):
        writer.frames([frame(number)])
    writer.close()
    path = segment_path(folder, 1)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"frame 2", b"frame 7"))
    with pytest.raises(RecordingDamagedError):
        recorder(folder)
    assert len(path.read_bytes()) == len(data)


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_full_disk_is_said_and_the_hole_is_in_the_recording(tmp_path: Path, room: int) -> None:
    """What was lost is counted and noted in its place, and what happened meanwhile comes after it."""
    folder, disk, now_s = tmp_path / "run.chaos", Disk(), [0.0]
    writer = recorder(folder, write=disk.write, monotonic=lambda: now_s[0])
    writer.frames([frame(0)])
    disk.room = room
    writer.frames([frame(1), frame(2)])
    assert "No space left" in str(writer.trouble)
    assert "recording is tried again" in str(writer.news())
    assert writer.news() is None
    writer.note(TopicsSet(("blocks", "memes")))
    writer.note(Incident(5, "live", "meanwhile"))
    writer.frames([frame(3)])
    disk.room = None
    writer.frames([frame(4)])
    assert writer.trouble is not None, "it tries once a second, not each time"
    now_s[0] += 2
    writer.frames([frame(5)])
    assert writer.trouble is None
    assert "goes on; 4 frames" in str(writer.news())
    writer.close()
    assert frames_of(folder) == [frame(0), frame(5)]
    assert notes_of(folder)[1:] == [
        Hole(2, 1, 2),
        TopicsSet(("blocks", "memes")),
        Incident(5, "live", "meanwhile"),
        Hole(2, 3, 4),
    ]
    assert (writer.frames_written, writer.frames_lost) == (2, 4)


def test_what_could_not_be_cut_is_cut_before_anything_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails in the midst of a record, and then to take its beginning back, leaves no damage."""
    folder, disk, now_s = tmp_path / "run.chaos", Disk(), [0.0]
    writer = recorder(folder, write=disk.write, monotonic=lambda: now_s[0])
    writer.frames([frame(0)])

    def fail(_file: int, _size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "ftruncate", fail)
        disk.room = 20
        writer.frames([frame(1)])
    disk.room, now_s[0] = None, 5.0
    writer.frames([frame(2)])
    writer.close()
    assert frames_of(folder) == [frame(0), frame(2)]
    assert notes_of(folder)[1:] == [Hole(1, 1, 1)]


def test_a_recording_stays_where_it_is_when_the_working_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a notebook's does with `%cd`: the recorder, who follows, and who looks back."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    writer = recorder(Path("run.chaos"), segment_bytes=100)
    writer.frames([frame(0)])
    follower, again = chaosnb.follow("run.chaos"), chaosnb.replay("run.chaos")
    monkeypatch.chdir(tmp_path / "elsewhere")
    writer.frames([frame(1)])
    writer.close()
    assert writer.frames_lost == 0
    assert frames_of(tmp_path / "run.chaos") == [frame(0), frame(1)]
    with follower:
        follower.wait(until=lambda s: s.status.rejects == 2, timeout=10)
    with again:
        assert again.at("2030-01-01").counts.rejected == 2
    assert list(Path.cwd().iterdir()) == []


def test_the_home_folder_has_its_usual_sign_and_names_cannot_steer_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell has it, which no shell does for a notebook; a name may be anybody's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with chaosnb.stream("network", url="devnet", record="~/\x1b[31m.chaos") as s:
        s.wait(events=3, timeout=30)
    with chaosnb.replay("~/\x1b[31m.chaos") as r:
        package = chaosnb.load(r.export("~/\x1b[32m"))
        shown = [repr(data) for data in (r, r.at("2030-01-01"), package)]
    assert all(text.isprintable() for text in shown), shown
    assert {path.name for path in tmp_path.iterdir()} == {"\x1b[31m.chaos", "\x1b[32m"}


def test_a_recording_that_somebody_removes_is_said_to_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system takes what is written to its file all the same, and so nothing else would tell."""
    monkeypatch.setattr("chaosnb.store.recorder._SYNC_S", 0.01)
    writer = recorder(tmp_path / "run.chaos")
    writer.frames([frame(0)])
    assert writer.trouble is None
    shutil.rmtree(tmp_path / "run.chaos")
    deadline = time.monotonic() + 10
    while writer.trouble is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert "its file was removed" in str(writer.news())
    assert writer.news() is None
    writer.close()


def test_a_recording_removed_while_a_segment_is_compressed_is_said_to_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that brings it to disk goes on."""
    folder = tmp_path / "run.chaos"

    def compress(_path: Path) -> None:
        shutil.rmtree(folder)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr("chaosnb.store.recorder._SYNC_S", 0.01)
    monkeypatch.setattr("chaosnb.store.recorder.compress", compress)
    writer = recorder(folder, segment_bytes=500)
    for number in range(30):
        writer.frames([frame(number)])
    deadline = time.monotonic() + 10
    while "its file was removed" not in str(writer.news()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    writer.close()


def test_a_hole_is_written_at_the_end_too(tmp_path: Path) -> None:
    """A recorder that is closed while it waits to try again tries at once."""
    disk = Disk()
    writer = recorder(tmp_path / "run.chaos", write=disk.write)
    disk.room = 0
    writer.frames([frame(1)])
    disk.room = None
    writer.close()
    assert notes_of(tmp_path / "run.chaos")[1:] == [Hole(1, 1, 1)]


def test_no_room_for_a_new_segment_is_a_hole_as_well(tmp_path: Path) -> None:
    """A full disk may be met while a segment begins; nothing of it is left."""
    folder, disk, now_s = tmp_path / "run.chaos", Disk(), [0.0]
    writer = recorder(folder, write=disk.write, monotonic=lambda: now_s[0], segment_bytes=500)
    number = 0
    while writer.trouble is None:
        disk.room = None if segment_path(folder, 1).stat().st_size < 500 else 10
        writer.frames([frame(number)])
        number += 1
    assert list(segments(folder)) == [1]
    disk.room, now_s[0] = None, 5.0
    writer.frames([frame(number)])
    writer.close()
    assert list(segments(folder)) == [1, 2]
    assert frames_of(folder) == [*map(frame, range(number - 1)), frame(number)]


def test_complete_segments_are_compressed_and_old_ones_removed(tmp_path: Path) -> None:
    """All but the newest segment are compressed; with a limit, the oldest go."""
    folder = tmp_path / "run.chaos"
    writer = recorder(folder, segment_bytes=1_000)
    for number in range(100):
        writer.frames([frame(number)])
    writer.close()
    found = segments(folder)
    assert len(found) > 3
    assert [path.suffix == ".zst" for path in found.values()] == [True] * (len(found) - 1) + [False]
    assert frames_of(folder) == list(map(frame, range(100)))
    limit = writer.size_bytes
    writer = recorder(folder, segment_bytes=1_000, max_bytes=limit)
    for number in range(100, 200):
        writer.frames([frame(number)])
    writer.close()
    kept = frames_of(folder)
    assert writer.size_bytes <= limit + 1_500
    assert kept == list(map(frame, range(200)))[-len(kept) :]
    assert 40 < len(kept) < 200


def test_limits_hold_where_little_comes_and_where_they_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too old goes without a new segment, and no segment is larger than the limit."""
    monkeypatch.setattr("chaosnb.store.recorder._SYNC_S", 0.01)
    folder = tmp_path / "run.chaos"
    writer = recorder(folder, segment_bytes=1_000)
    for number in range(50):
        writer.frames([frame(number)])
    writer.close()
    first, *_, last = segments(folder)
    os.utime(segments(folder)[first], (0, 0))
    writer = recorder(folder, max_age_s=3_600)
    deadline = time.monotonic() + 10
    while first in segments(folder):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert list(segments(folder)) == list(range(first + 1, last + 1))
    writer.close()
    writer = recorder(tmp_path / "small.chaos", max_bytes=2**20)
    for number in range(60):
        writer.frames([Frame(os.urandom(2**16), number)])
    deadline = time.monotonic() + 10
    while writer.size_bytes > 2**20 + 2**17:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    writer.close()
    assert frames_of(tmp_path / "small.chaos")[-1].received_at_ns == 59


def opened_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("fail", [lambda folder: recorder(folder / "a" / ".." / "file"), recorder])
def test_it_lets_go_of_its_files(tmp_path: Path, fail: Callable[[Path], object]) -> None:
    """A recorder that could not begin leaves no file open."""
    (tmp_path / "file").write_text("")
    before = opened_files()
    with pytest.raises(RecordingError):
        fail(tmp_path)
    assert opened_files() == before


def test_a_recording_that_cannot_begin_leaves_nothing_that_was_not_there(tmp_path: Path) -> None:
    """A full disk, met at any byte of the beginning: no folder, no segment, and one that is there stays."""
    home = tmp_path / "there"
    kept, disk = home / "kept.chaos", Disk()
    writer = recorder(kept)
    least = segment_path(kept, 1).stat().st_size
    writer.close()
    compress(segment_path(kept, 1))
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    for room in (*range(0, least - 9, 40), least - 9):
        for folder in (home / "a" / "b.chaos", kept):
            disk.room = room
            with pytest.raises(RecordingError, match="No space left"):
                recorder(folder, write=disk.write)
            assert list(home.iterdir()) == [kept]
            assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    with pytest.raises(RecordingError, match="nothing can be recorded"):
        recorder(home / "a" / ("b" * 300))
    assert list(home.iterdir()) == [kept]
    disk.room = None
    recorder(kept, write=disk.write).close()


def test_a_stream_records_all_that_comes_and_nothing_that_goes(tmp_path: Path) -> None:
    """Every frame is in the recording; keys, signatures and identities of this side are not."""
    identity = chaosnb.Identity.generate()
    folder = tmp_path / "run.chaos"
    with (
        chaosnb.Devnet(seed=7, rate=400) as node,
        chaosnb.stream("network", url=node.url, identity=identity, record=folder) as s,
    ):
        s.wait(events=30, timeout=30)
        s.subscribe("blocks")
        s.wait(until=lambda s: len(s.block_validation) > 10, timeout=30)
        s.unsubscribe("network")
        assert s.status.error is None
        assert s.status.recording == str(folder)
        assert repr(s).endswith(f" events, recorded in {folder}>")
    assert s.status.recording is None
    assert "recorded in" not in repr(s)
    frames = frames_of(folder)
    assert len(frames) >= s.status.events + s.status.filtered
    notes = notes_of(folder)
    assert [note.topics for note in notes if isinstance(note, TopicsSet)] == [
        ("network", "blocks"),
        ("blocks",),
    ]
    states = [note.state for note in notes if isinstance(note, Incident)]
    assert states == ["connecting", "authenticating", "live", "closed"]
    assert s.incidents["state"].tolist() == states
    written = b"".join(path.read_bytes() for path in folder.iterdir())
    assert identity.public_key_hex.encode() not in written
    assert b"signature" not in written


def test_a_stream_that_cannot_be_recorded_is_not_opened(tmp_path: Path) -> None:
    """A folder that cannot be written is refused at once, and no node is left running."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="there is a file of that name"):
        chaosnb.stream("network", url="devnet", record=tmp_path / "file")
    for way in (lambda path: chaosnb.stream("network", url="devnet", record=path), chaosnb.replay):
        with pytest.raises(RecordingError, match=r"a\\x00b: .*null"):
            way("a\0b")


def test_simulated_data_is_called_so_even_where_the_beginning_is_gone(tmp_path: Path) -> None:
    """The node says so once; a recording that has forgotten that message still knows."""
    folder = tmp_path / "run.chaos"
    with chaosnb.Devnet(seed=7, rate=400) as node:
        with chaosnb.stream("network", url=node.url, record=folder) as s:
            s.wait(events=10, timeout=30)
        assert inspect(folder).simulated
        writer = recorder(folder, source=node.url, topics=("network",), segment_bytes=100)
        writer.note(Simulated())
        writer.frames([frame(1)])
        writer.close()
    found = segments(folder)
    for number in sorted(found)[:-1]:
        found[number].unlink()
    assert len(found) > 1
    assert inspect(folder).simulated
    assert "(simulated)" in chaosnb.replay(folder).source


OUT_OF_ROOM = """
import resource, sys, chaosnb
folder = sys.argv[1]
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
with chaosnb.Devnet(seed=7, rate=400) as node, chaosnb.stream("network", url=node.url, record=folder) as s:
    s.wait(events=10, timeout=30)
    # No file may grow beyond 8 kB, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, most))
    s.wait(until=lambda s: s.status.error is not None, timeout=30)
    print(s.status.error)
    before = len(s.network_metrics)
    s.wait(events=50, timeout=30)
    assert len(s.network_metrics) > before
    assert s.status.state == "live"
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    s.wait(until=lambda s: s.status.error is None, timeout=30)
    s.wait(events=10, timeout=30)
print(s.incidents["detail"].str.contains("recording").sum())
again = chaosnb.replay(folder, quiet=True)
print(again.gaps["cause"].tolist(), again.gaps["certainty"].tolist())
print(0 < len(again.network_metrics) < len(s.network_metrics))
"""


def test_a_stream_outlives_a_full_disk_and_says_so(tmp_path: Path) -> None:
    """Tables go on, the status says what is wrong, and the replay knows what it lacks."""
    command = [sys.executable, "-c", OUT_OF_ROOM, str(tmp_path / "run.chaos")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "nothing is recorded in run.chaos: File too large",
        "2",
        "['unrecorded'] ['certain']",
        "True",
    ]
