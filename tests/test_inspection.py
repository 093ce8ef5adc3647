"""Inspecting and mending recordings: all that is whole is kept, and what is not is named."""

from __future__ import annotations

from pathlib import Path

import pytest

import chaosnb
from chaosnb.cli import main
from chaosnb.errors import RecordingError
from chaosnb.ingest.intake import Hole, TopicsSet
from chaosnb.protocol.events import Frame
from chaosnb.store.inspection import inspect, mend
from chaosnb.store.journal import JournalReader, Record, decode_frames, decode_note
from chaosnb.store.recorder import Recorder
from chaosnb.store.segments import expanded_bytes, segment_path, segments
from chaosnb.store.splicing import cut, merge

SECOND = 1_000_000_000


def record(folder: Path, count: int, *, segment_bytes: int = 2**20) -> None:
    """Record so many frames one by one, with a change of topics amid them."""
    recorder = Recorder(
        folder,
        source="ws://node.example/ws/v1",
        simulated=True,
        topics=("blocks",),
        lateness_s=2.0,
        version="1",
        segment_bytes=segment_bytes,
        wall_ns=lambda: 7,
    )
    for number in range(count):
        if number == count // 2:
            recorder.note(TopicsSet(("blocks", "memes")))
        recorder.frames([Frame(b"frame %d" % number, number * SECOND)])
    recorder.close()


def frames_of(folder: Path) -> list[bytes]:
    records: list[Record] = [item for item in JournalReader(folder).read() if item.kind == "f"]
    return [frame.data for item in records for frame in decode_frames(item)]


def test_a_summary_says_what_is_in_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Source, span, size and topics; by a function and on the command line."""
    folder = tmp_path / "run.chaos"
    record(folder, 100, segment_bytes=2_000)
    summary = inspect(folder)
    assert (summary.frames, summary.runs, summary.torn_bytes, summary.damage) == (100, 1, 0, None)
    assert (summary.first_ns, summary.last_ns) == (0, 99 * SECOND)
    assert summary.topics == ("blocks", "memes")
    main(["info", str(folder)])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "ws://node.example/ws/v1 (simulated), topics blocks, memes"
    assert said[1].startswith("100 messages in 1")
    assert said[2] == "from 1970-01-01T00:00:00.000Z to 1970-01-01T00:01:39.000Z, in 1 run"
    main(["verify", str(folder)])
    assert "is whole: 100 messages" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["info", "verify", "repair", "cut", "merge"])
def test_what_takes_long_shows_how_far_it_is_in_a_terminal(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Segment by segment, unless it is soon over, to be quiet, or nobody looks on."""
    record(tmp_path / "run.chaos", 100, segment_bytes=2_000)
    call = [command, str(tmp_path / "run.chaos")]

    def shown(*more: str) -> str:
        output = tmp_path / f"{len(list(tmp_path.iterdir()))}.chaos"
        main([*call, *more, *(() if command in ("info", "verify") else ("-o", str(output)))])
        said = capsys.readouterr()
        assert bool(said.out) == (command == "info" or "--quiet" not in more)
        return said.err

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert shown() == ""
    monkeypatch.setattr("chaosnb.notebook.progress._SHOWN_AFTER_S", 0.0)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    assert f"{command}: 100%" in shown()
    assert shown("--quiet") == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    assert shown() == ""


def test_progress_comes_to_the_whole_and_no_further(tmp_path: Path) -> None:
    """What each reader says that it has done adds up to what there is."""
    folder = tmp_path / "run.chaos"
    record(folder, 100, segment_bytes=2_000)
    whole = sum(map(expanded_bytes, segments(folder).values()))
    steps: list[int] = []
    for times, work in (
        (1, lambda: inspect(folder, advance=steps.append)),
        (1, lambda: mend(folder, tmp_path / "mended.chaos", advance=steps.append)),
        (2, lambda: cut(folder, tmp_path / "cut.chaos", advance=steps.append)),
        (2, lambda: merge([folder], tmp_path / "merged.chaos", advance=steps.append)),
    ):
        steps.clear()
        work()
        assert len(steps) == times * len(segments(folder)) > times
        assert sum(steps) == times * whole


def test_a_torn_end_is_told_and_is_no_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a killed recorder leaves it."""
    folder = tmp_path / "run.chaos"
    record(folder, 5)
    path = segment_path(folder, 1)
    path.write_bytes(path.read_bytes()[:-3])
    main(["verify", str(folder)])
    assert "bytes at its end are no whole record" in capsys.readouterr().out
    assert "its writer was killed" in inspect(folder).text()


def test_a_damaged_recording_is_told_by_the_exit_code_of_verify(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it is damaged, in its very beginning, too."""
    record(tmp_path / "run.chaos", 5)
    path = segment_path(tmp_path / "run.chaos", 1)
    data = path.read_bytes()
    for place in (5, len(data) // 2):
        path.write_bytes(data[:place] + b"?" + data[place + 1 :])
        with pytest.raises(SystemExit, match="damaged at byte"):
            main(["verify", str(tmp_path / "run.chaos")])
    with pytest.raises(SystemExit) as caught:
        main(["verify", str(tmp_path / "none.chaos")])
    assert caught.value.code == 2


def test_a_repair_within_the_recording_goes_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a dot is all that names it."""
    record(tmp_path / "run.chaos", 5)
    monkeypatch.chdir(tmp_path / "run.chaos")
    main(["repair", "."])
    assert frames_of(tmp_path / "run.mended.chaos") == frames_of(tmp_path / "run.chaos")


def test_wherever_a_byte_is_wrong_all_other_records_are_kept(tmp_path: Path) -> None:
    """One byte at each place, in the head too: the copy lacks at most the record that it is in."""
    folder = tmp_path / "run.chaos"
    record(folder, 8)
    path = segment_path(folder, 1)
    data = path.read_bytes()
    whole = frames_of(folder)
    for place in range(0, len(data), 3):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :])
        target = tmp_path / f"{place}.chaos"
        mended = mend(folder, target)
        kept = frames_of(target)
        missing = [frame for frame in whole if frame not in kept]
        assert kept == [frame for frame in whole if frame not in missing]
        assert len(missing) <= 1
        assert len(mended.places) == 1
        holes = [note for item in _notes(target) if isinstance(note := decode_note(item), Hole)]
        assert [hole.frames for hole in holes] == (
            [1] if missing and missing != whole[-1:] else holes_of(holes)
        )
        assert inspect(target).damage is None
        assert inspect(target).records == mended.kept


def holes_of(holes: list[Hole]) -> list[int]:
    """A note that is lost is a hole, too; a head or the last record leaves none."""
    assert len(holes) <= 1
    return [hole.frames for hole in holes]


def _notes(folder: Path) -> list[Record]:
    return [item for item in JournalReader(folder).read() if item.kind not in "fm"]


def test_damaged_and_missing_segments_leave_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A segment that is gone, and one that cannot be expanded, are holes; the rest replays."""
    folder = tmp_path / "run.chaos"
    record(folder, 200, segment_bytes=1_500)
    found = segments(folder)
    assert len(found) > 5
    whole = frames_of(folder)
    found[2].unlink()
    found[4].write_bytes(found[4].read_bytes()[:60])
    with pytest.raises(SystemExit, match=r"damaged at byte 0 of 00000003\.journal\.zst"):
        main(["verify", str(folder)])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    main(["repair", str(folder)])
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}, "the original is left alone"
    target = tmp_path / "run.mended.chaos"
    assert str(target) in capsys.readouterr().out
    kept = frames_of(target)
    assert kept == [frame for frame in whole if frame in set(kept)]
    assert 100 < len(kept) < 200
    main(["verify", str(target)])
    again = chaosnb.replay(target, quiet=True)
    assert again.status.rejects == len(kept)
    assert again.topics == ("blocks", "memes")


def test_what_cannot_be_mended_is_said(tmp_path: Path) -> None:
    """No recording, nothing whole in it, or something of the copy's name."""
    with pytest.raises(RecordingError, match="no such recording"):
        mend(tmp_path / "none", tmp_path / "new")
    record(tmp_path / "run.chaos", 3)
    with pytest.raises(RecordingError, match="of that name"):
        mend(tmp_path / "run.chaos", tmp_path)
    segment_path(tmp_path / "run.chaos", 1).write_bytes(b"something else\n" * 20)
    with pytest.raises(RecordingError, match="nothing in it is whole"):
        mend(tmp_path / "run.chaos", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.chaos"]
