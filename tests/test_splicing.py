"""Cutting and merging recordings: every message stays as it came, and so does its replay."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.cli import main
from chaosnb.errors import RecordingDamagedError, RecordingError
from chaosnb.protocol.events import Frame
from chaosnb.store.inspection import inspect
from chaosnb.store.journal import JournalReader, decode_frames
from chaosnb.store.recorder import Recorder
from chaosnb.store.segments import new_recording, segment_path
from chaosnb.store.splicing import cut, merge
from tests.faulty_network import FaultyNetwork, run_virtually
from tests.recorded_run import FAULTS, frames_of, listen

SECOND = 1_000_000_000


def messages(folder: Path) -> list[Frame]:
    """Every message of a recording, with its time of arrival."""
    records = JournalReader(folder).read()
    return [frame for record in records if record.kind == "f" for frame in decode_frames(record)]


def assert_same(one: chaosnb.Stream, other: chaosnb.Stream) -> None:
    """Both streams hold the same tables, ledgers and aggregates."""
    found = frames_of(other)
    for name, frame in frames_of(one).items():
        pd.testing.assert_frame_equal(found[name], frame, check_exact=True, obj=name)
    assert other.topics == one.topics
    assert other.status.duplicates == one.status.duplicates


def record(folder: Path, first: int, last: int, **options: object) -> Path:
    """Record a message a second, from one number to another, both included."""
    given = {"source": "ws://node.example/ws/v1", "simulated": False, "topics": ("blocks",), **options}
    recorder = Recorder(
        folder,
        lateness_s=2.0,
        version="1",
        wall_ns=lambda: first * SECOND,
        **given,  # type: ignore[arg-type]
    )
    for number in range(first, last + 1):
        recorder.frames([Frame(b"frame %d" % number, number * SECOND)])
    recorder.close()
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Recordings of a network that fails: in one segment, in many, and with batches that took a while."""
    folder = tmp_path_factory.mktemp("runs")
    paths = []
    for seed, (segment_bytes, tick_s) in enumerate([(2**20, 0.02), (20_000, 0.3)]):
        network = FaultyNetwork(faults=FAULTS, seed=seed, rate=30, duration_s=30, tick_s=tick_s)
        paths.append(folder / f"{seed}.chaos")
        run_virtually(listen(paths[-1], network, segment_bytes=segment_bytes))
    frames = messages(paths[0])
    recorder: Recorder | None = None
    recorder = Recorder(
        folder / "batches.chaos",
        source="ws://node.example/ws/v1",
        simulated=False,
        topics=("blocks", "consensus"),
        lateness_s=1.5,
        version="1",
        segment_bytes=20_000,
        wall_ns=lambda: frames[0 if recorder is None else recorder.frames_written].received_at_ns,
    )
    for start in range(0, len(frames), 9):
        recorder.frames(frames[start : start + 9])
    recorder.close()
    return [*paths, folder / "batches.chaos"]


@given(data=st.data())
@settings(deadline=None, max_examples=10)
def test_a_part_replays_as_that_span_of_the_whole(runs: list[Path], data: st.DataObject) -> None:
    """Cut anywhere, also within a batch: the very messages, tables, gaps, incidents and aggregates."""
    run = data.draw(st.sampled_from(runs))
    whole = messages(run)
    times = st.sampled_from([frame.received_at_ns // 1_000 for frame in whole]).map(lambda us: us * 1_000)
    start_ns, end_ns = data.draw(st.none() | times), data.draw(st.none() | times)
    low, high = whole[0].received_at_ns if start_ns is None else start_ns, end_ns or 2**63
    expected = [frame for frame in whole if low <= frame.received_at_ns < high]
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder, "part.chaos")
        if not expected:
            with pytest.raises(RecordingError, match="no message arrived in that span"):
                cut(run, part, start_ns=start_ns, end_ns=end_ns)
            assert not list(Path(folder).iterdir())
            return
        spliced = cut(run, part, start_ns=start_ns, end_ns=end_ns)
        assert messages(part) == expected
        assert (spliced.frames, spliced.frames_before) == (len(expected), len(whole))
        start, end = (ns and pd.Timestamp(ns, tz="UTC") for ns in (start_ns, end_ns))
        assert_same(chaosnb.replay(run, start=start, end=end, quiet=True), chaosnb.replay(part, quiet=True))
        summary = inspect(part)
        assert (summary.damage, summary.frames) == (None, len(expected))
        assert summary.topics


def test_simulated_nodes_are_merged_wherever_they_listened(tmp_path: Path) -> None:
    """Whether a recorder knew from the start that its node is one, or was told by it."""
    with (
        chaosnb.Devnet(seed=7, rate=400) as node,
        chaosnb.stream("network", url=node.url, record=tmp_path / "one.chaos") as s,
    ):
        s.wait(events=3, timeout=30)
    with chaosnb.stream("network", url="devnet", record=tmp_path / "two.chaos") as s:
        s.wait(events=3, timeout=30)
    merge([tmp_path / "one.chaos", tmp_path / "two.chaos"], tmp_path / "both.chaos")
    assert inspect(tmp_path / "both.chaos").simulated
    real = record(tmp_path / "real.chaos", 1, 2)
    with pytest.raises(RecordingError, match="this is a recording of ws://127"):
        merge([tmp_path / "one.chaos", real], tmp_path / "all.chaos")


def test_a_moment_at_which_a_segment_begins_has_what_came_then_in_the_one_before(tmp_path: Path) -> None:
    """A coarse clock tells the two not apart; nothing is lost or doubled between two parts."""
    recorder = Recorder(
        tmp_path / "run.chaos",
        source="ws://node.example/ws/v1",
        simulated=False,
        topics=("blocks",),
        lateness_s=1.5,
        version="1",
        segment_bytes=1,
        wall_ns=lambda: 7_000,
    )
    frames = [Frame(b"%d" % number, 7_000 + max(0, number - 3) * 1_000) for number in range(5)]
    for frame in frames:
        recorder.frames([frame])
    recorder.close()
    cut(tmp_path / "run.chaos", tmp_path / "all.chaos", start_ns=7_000)
    cut(tmp_path / "run.chaos", tmp_path / "late.chaos", start_ns=8_000)
    assert messages(tmp_path / "all.chaos") == frames
    assert messages(tmp_path / "late.chaos") == frames[4:]
    with pytest.raises(RecordingError, match="no message arrived"):
        cut(tmp_path / "run.chaos", tmp_path / "none.chaos", end_ns=7_000)


@given(data=st.data())
@settings(deadline=None, max_examples=6)
def test_parts_that_follow_each_other_make_the_whole_again(runs: list[Path], data: st.DataObject) -> None:
    """In whatever order they are given, and wherever they were cut."""
    run = data.draw(st.sampled_from(runs))
    whole = messages(run)
    times = sorted({frame.received_at_ns // 1_000 * 1_000 for frame in whole})[1:]
    cuts = sorted(data.draw(st.sets(st.sampled_from(times), min_size=1, max_size=3)))
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for start_ns, end_ns in pairwise([None, *cuts, None]):
            parts.append(Path(folder, f"{len(parts)}.chaos"))
            cut(run, parts[-1], start_ns=start_ns, end_ns=end_ns)
        target = Path(folder, "all.chaos")
        spliced = merge(data.draw(st.permutations(parts)), target)
        assert (messages(target), spliced.holes) == (whole, ())
        assert_same(chaosnb.replay(run, quiet=True), chaosnb.replay(target, quiet=True))
        start = pd.Timestamp(cuts[-1], tz="UTC")
        late = [chaosnb.replay(path, start=start, quiet=True) for path in (run, target)]
        assert_same(*late)


def test_recordings_with_time_between_them_have_a_gap_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of different recorders, and parts of one with a part missing; both are told."""
    early, late = record(tmp_path / "early.chaos", 10, 19), record(tmp_path / "late.chaos", 30, 39)
    cut(late, tmp_path / "first.chaos", end_ns=33 * SECOND)
    cut(late, tmp_path / "last.chaos", start_ns=36 * SECOND)
    parts = [str(tmp_path / name) for name in ("last.chaos", "early.chaos", "first.chaos")]
    main(["merge", *parts, "-o", str(tmp_path / "all.chaos")])
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"{tmp_path / 'all.chaos'} has 17 messages, "
        "from 1970-01-01T00:00:10.000Z to 1970-01-01T00:00:39.000Z",
        f"nothing was recorded from 1970-01-01T00:00:19.000Z to 1970-01-01T00:00:30.000Z, after {early}",
        "nothing was recorded from 1970-01-01T00:00:32.000Z to 1970-01-01T00:00:36.000Z, "
        f"after {tmp_path / 'first.chaos'}",
    ]
    numbers = [*range(10, 20), *range(30, 33), *range(36, 40)]
    assert [frame.data for frame in messages(tmp_path / "all.chaos")] == [b"frame %d" % n for n in numbers]
    assert inspect(tmp_path / "all.chaos").runs == 3
    again = chaosnb.replay(tmp_path / "all.chaos", quiet=True)
    assert "unrecorded" in set(again.gaps["cause"])
    assert again.status.rejects == len(numbers)


def test_what_belongs_to_different_nodes_or_overlaps_is_not_merged(tmp_path: Path) -> None:
    """The error says what, and nothing is left."""
    one = record(tmp_path / "one.chaos", 10, 19)
    overlapping = record(tmp_path / "overlapping.chaos", 15, 25)
    with pytest.raises(RecordingError, match=r"begins at 1970-01-01T00:00:15.000Z, before .*one\.chaos ends"):
        merge([overlapping, one], tmp_path / "all.chaos")
    other = record(tmp_path / "other.chaos", 30, 39, source="ws://other.example/ws/v1")
    with pytest.raises(RecordingError, match=r"a recording of ws://other\.example/ws/v1, and .*one\.chaos"):
        merge([one, other], tmp_path / "all.chaos")
    simulated = [
        record(
            tmp_path / f"{first}.chaos", first, first + 2, source=f"ws://127.0.0.1:{first}", simulated=True
        )
        for first in (50, 60)
    ]
    merge(simulated, tmp_path / "simulated.chaos")
    assert not (tmp_path / "all.chaos").exists()
    assert inspect(tmp_path / "simulated.chaos").simulated


def test_two_at_once_write_into_folders_of_their_own(tmp_path: Path) -> None:
    """One of them gets the name, the other says that it is taken; what a killed one left goes."""
    run, target = record(tmp_path / "run.chaos", 1, 9), tmp_path / "part.chaos"
    with pytest.raises(RecordingError, match="of that name"), new_recording(target) as part:
        (part / "mine").write_text("unfinished")
        cut(run, target)
        assert (part / "mine").exists()
    assert len(messages(target)) == 9
    (tmp_path / ".other.chaos.unfinished-00000000").mkdir()
    merge([run], tmp_path / "other.chaos")
    assert {path.name for path in tmp_path.iterdir()} == {"run.chaos", "part.chaos", "other.chaos"}


def test_nothing_is_overwritten_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    """A name that is taken, a damaged recording, a span the wrong way round, none at all."""
    run = record(tmp_path / "run.chaos", 1, 9)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.journal")}
    for make in (lambda: cut(run, run), lambda: merge([run], run)):
        with pytest.raises(RecordingError, match="of that name; choose another one"):
            make()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.journal")} == before
    with pytest.raises(RecordingError, match="no such recording"):
        cut(tmp_path / "none.chaos", tmp_path / "part.chaos")
    with pytest.raises(ValueError, match=r"merge\(\) takes one recording at least"):
        merge([], tmp_path / "part.chaos")
    empty = record(tmp_path / "empty.chaos", 1, 0)
    with pytest.raises(RecordingError, match="no message has been recorded"):
        merge([run, empty], tmp_path / "part.chaos")
    path = segment_path(run, 1)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"frame 5", b"frame X"))
    with pytest.raises(RecordingDamagedError, match="chaosnb repair"):
        cut(run, tmp_path / "part.chaos", end_ns=SECOND)
    path.write_bytes(data[:-3])
    assert cut(run, tmp_path / "torn.chaos").torn_bytes > 0
    assert len(messages(tmp_path / "torn.chaos")) == 8
    assert {path.name for path in tmp_path.iterdir()} == {"run.chaos", "empty.chaos", "torn.chaos"}


def test_a_part_is_cut_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it did; a recorder can go on with the part."""
    run, part = record(tmp_path / "run.chaos", 1, 9), tmp_path / "part.chaos"
    command = ["cut", str(run), "-o", str(part)]
    main([*command, "--start", "1970-01-01T00:00:03Z", "--end", "1970-01-01T00:00:06Z"])
    assert capsys.readouterr().out == (
        f"{part} has 3 of 9 messages, from 1970-01-01T00:00:03.000Z to 1970-01-01T00:00:05.000Z\n"
    )
    main(["verify", str(part)])
    assert "is whole: 3 messages" in capsys.readouterr().out
    record(part, 20, 21)
    assert [frame.data for frame in messages(part)] == [b"frame %d" % n for n in (3, 4, 5, 20, 21)]
    for wrong in (["--start", "soon"], ["--start", "1970-01-02", "--end", "1970-01-01"]):
        with pytest.raises(SystemExit):
            main([*command[:-1], str(tmp_path / "new"), *wrong])
    said = capsys.readouterr().err
    assert "--start 'soon' is not a time" in said
    assert "is not before --end '1970-01-01'" in said


def test_a_recording_is_exported_on_the_command_line(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same as an export of its replay; it says what it did, and how to cite it."""
    folder = tmp_path / "capture"
    main(["export", str(runs[0]), "-o", str(folder), "--format", "csv", "--author", "Ada"])
    said = capsys.readouterr().out
    package = chaosnb.load(folder)
    again = chaosnb.replay(runs[0], quiet=True)
    found = frames_of(package)
    for name, frame in frames_of(again).items():
        if name != "memory":
            pd.testing.assert_frame_equal(found[name], frame, check_exact=True, obj=name)
    assert said.startswith(f"{again.status.events:,} events of {again.source} ")
    assert f"are in {folder}; cite them as\n\nAda (" in said
    assert package.checksum in said
    with pytest.raises(SystemExit):
        main(["export", str(runs[0]), "-o", str(tmp_path / "none"), "--end", "1960-01-01"])
    assert "is before all that is recorded" in capsys.readouterr().err
    quiet = ["--start", "1970-01-01T00:00:03.2Z", "--end", "1970-01-01T00:00:03.8Z"]
    with pytest.raises(SystemExit):
        main(["export", str(record(tmp_path / "run.chaos", 1, 9)), "-o", str(tmp_path / "none"), *quiet])
    assert (
        "nothing arrived in that span; `python -m chaosnb info` says when it did" in capsys.readouterr().err
    )
    assert not (tmp_path / "none").exists()
    main(["export", str(runs[0]), "-o", str(folder), "--quiet"])
    assert capsys.readouterr() == ("", "")
    assert (folder / "block_proposal.parquet").exists()
    with pytest.raises(SystemExit):
        main(["export", str(runs[0]), "-o", str(folder), "--format", "pdf"])
    assert "unknown format 'pdf'; the formats are 'parquet'" in capsys.readouterr().err
