"""A replay of a recording equals the live stream that it is of, whatever went wrong then."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.devnet.faults import Faults
from chaosnb.ingest.connection import Connection, Incident
from chaosnb.ingest.session import Session
from chaosnb.notebook.progress import wait_with_progress
from chaosnb.protocol.schema import TABLES
from chaosnb.protocol.signing import Identity
from chaosnb.store.places import place_of_time, start_of
from chaosnb.store.recorder import Recorder
from chaosnb.store.replay import Replay
from chaosnb.store.segments import segments
from chaosnb.tables.capture import Capture
from chaosnb.tables.retention import parse_retention
from tests.faulty_network import FaultyNetwork, run_virtually
from tests.memory_network import MemoryNetwork, VirtualTime
from tests.recorded_run import FAULTS, TOPICS, URL, Seen, listen, pump

MESSAGE = (
    '{"type": "agent_status", "data": {"agent_id": "a", "status": "active", "reason": "one", '
    '"expected_duration": "PT0S", "timestamp": "2026-11-23T00:36:12.345Z"}}'
)


class Follower:
    """Follows a recording from so many seconds after its beginning on."""

    def __init__(self, after_s: float) -> None:
        self.seen: Seen | None = None
        self.task: asyncio.Task[None] | None = None
        self._after_s = after_s
        self._capture = Capture()

    def begin(self, folder: Path, network: FaultyNetwork, retain: str | int | None) -> None:
        """Begin, in the running loop."""
        self.task = asyncio.create_task(self.run(folder, network, retain))

    async def run(self, folder: Path, network: FaultyNetwork, retain: str | int | None) -> None:
        await asyncio.sleep(self._after_s)
        incidents: list[Incident] = []
        replay = Replay(folder, following=True, clock=network.clock, on_incident=incidents.append)
        self._capture = Capture(network.clock.monotonic, parse_retention(retain), replay.now_ns)
        take = pump(self._capture, replay)
        try:
            async with aclosing(replay.batches()) as batches:
                async for batch in batches:
                    take(batch)
        finally:
            for incident in incidents:
                self._capture.note(incident)
            self.seen = Seen(self._capture, replay.session, replay)

    async def stop(self, frames: int) -> None:
        """Wait until it has all, and what came after the last frame; then end it."""
        assert self.task is not None
        while self._capture.frames < frames:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def replayed(
    folder: Path, *, retain: str | int | None = None, batches: list[int] | None = None, **options: object
) -> Seen:
    """Return what a stream over the recording holds; how large its batches were goes into `batches`."""
    incidents: list[Incident] = []
    batches = [] if batches is None else batches

    async def run() -> Seen:
        capture = Capture(retention=parse_retention(retain), wall_ns=lambda: replay.now_ns())
        replay = Replay(folder, on_incident=incidents.append, is_due=capture.is_due, **options)  # type: ignore[arg-type]
        take = pump(capture, replay)
        async for batch in replay.batches():
            batches.append(batch.frames)
            take(batch)
        for incident in incidents:
            capture.note(incident)
        assert replay.progress == 1
        assert replay.state == "ended"
        return Seen(capture, replay.session, replay)

    return asyncio.run(run())


@given(
    seed=st.integers(0, 2**32),
    tick_s=st.sampled_from([0.02, 0.3, 2.0]),
    retain=st.sampled_from([None, 60, "8s", 2_000, "10min", "100kB"]),
    segment_bytes=st.sampled_from([2**20, 20_000]),
    after_s=st.sampled_from([0.0, 13.0]),
)
# A hole that opened and closed within what a replay reads together.
@example(seed=20039, tick_s=0.02, retain=None, segment_bytes=2**20, after_s=0.0)
# Bytes that depended on how many rows came at once, and batches without a row.
@example(seed=0, tick_s=0.02, retain="100kB", segment_bytes=2**20, after_s=0.0)
@settings(deadline=None, max_examples=int(os.environ.get("CHAOSNB_REPLAY_RUNS", "12")))
def test_replay_and_follow_equal_live_whatever_went_wrong(
    seed: int, tick_s: float, retain: str | int | None, segment_bytes: int, after_s: float
) -> None:
    """Tables, gaps, rejects, incidents, drift, counts and aggregates, however the batches fell."""
    rng = random.Random(seed)
    faults = FAULTS if seed % 4 else Faults()
    network = FaultyNetwork(
        faults=faults, seed=rng.randrange(1000), rate=rng.choice([10, 40]), duration_s=35, tick_s=tick_s
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.chaos"
        follower = Follower(after_s)
        live = run_virtually(
            listen(path, network, retain=retain, follower=follower, segment_bytes=segment_bytes)
        )
        assert live.counts["events"] > 50
        replayed(path, retain=retain).assert_equal(live)
        assert follower.seen is not None
        follower.seen.assert_equal(live)


@pytest.mark.parametrize("retain", [None, 10_000, "1h", "10MB"])
def test_batches_are_read_together_where_retention_allows_it(
    tmp_path: Path, retain: str | int | None
) -> None:
    """It has not to look at the tables after each of them, and the replay is several times as fast."""
    network = FaultyNetwork(rate=40, duration_s=20, tick_s=0.02)
    live = run_virtually(listen(tmp_path / "run.chaos", network, retain=retain))
    batches: list[int] = []
    replayed(tmp_path / "run.chaos", retain=retain, batches=batches).assert_equal(live)
    assert max(batches) > 50


def test_the_faults_of_these_tests_show(tmp_path: Path) -> None:
    """What is compared above is not empty: every kind of trouble is in it."""
    network = FaultyNetwork(faults=FAULTS, rate=40, duration_s=60)
    live = run_virtually(listen(tmp_path / "run.chaos", network))
    assert min(live.counts[name] for name in ("rejected", "duplicates", "late")) > 0
    causes = set(live.frames["gaps"]["cause"])
    assert {"disconnected", "stale", "height_jump"} <= causes
    states = set(live.frames["incidents"]["state"])
    assert states == {"connecting", "authenticating", "live", "stale", "reconnecting", "closed"}
    assert {name for name in TABLES if live.frames[name].empty} <= {"error", "alliance_update"}


def test_what_the_disk_had_no_room_for_is_a_certain_gap_of_the_replay(tmp_path: Path) -> None:
    """The live stream goes on and says so; the replay lacks the events, and says where."""
    network = FaultyNetwork(rate=40, duration_s=30)

    def write(file: int, data: bytes) -> int:
        if 10 < network.clock.monotonic() < 14:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(file, data)

    live = run_virtually(listen(tmp_path / "run.chaos", network, write=write))
    told = live.frames["incidents"]["detail"]
    assert told.str.contains("No space left on device; the stream goes on").sum() == 1
    assert told.str.contains("the recording goes on").sum() == 1
    assert live.frames["gaps"].empty
    again = replayed(tmp_path / "run.chaos")
    gap = again.frames["gaps"].query("cause == 'unrecorded'").iloc[0]
    assert gap["certainty"] == "certain"
    lost = live.counts["events"] - again.counts["events"]
    votes, kept = live.frames["block_validation"], again.frames["block_validation"]
    missing = votes[~votes["timestamp"].isin(kept["timestamp"])]
    assert 0 < len(missing) < lost
    assert missing["timestamp"].between(gap["start"], gap["end"]).all()
    pd.testing.assert_frame_equal(live.frames["incidents"], again.frames["incidents"])


def test_two_runs_in_a_recording_are_one_replay_with_a_gap_between(tmp_path: Path) -> None:
    """Events that the node sends again are one row, and the time without a recorder is a possible gap."""
    folder = tmp_path / "run.chaos"
    runs = [run_virtually(listen(folder, FaultyNetwork(rate=40, duration_s=30))) for _ in range(2)]
    again = replayed(folder)
    assert again.counts["events"] <= runs[0].counts["events"] + runs[1].counts["events"]
    # The same network twice: what the first run had comes again.
    assert again.counts["duplicates"] > runs[0].counts["events"] * 0.5
    assert Counter(again.frames["gaps"]["cause"])["unrecorded"] == 1
    assert again.known[0] == runs[1].known[0]


@pytest.mark.parametrize("segment_bytes", [20_000, 2**26])
def test_a_part_of_a_recording_can_be_replayed(tmp_path: Path, segment_bytes: int) -> None:
    """From and up to a time of arrival, with the topics that were subscribed then."""
    folder = tmp_path / "run.chaos"
    live = run_virtually(listen(folder, FaultyNetwork(rate=40, duration_s=30), segment_bytes=segment_bytes))
    assert live.counts["filtered"]
    votes = live.frames["block_validation"]
    start = votes["received_at"].iloc[0] + pd.Timedelta(seconds=16)
    end = start + pd.Timedelta(seconds=4)
    part = replayed_part(folder, start.value, end.value)
    wanted = votes[(votes["received_at"] >= start) & (votes["received_at"] < end)]
    assert len(wanted) > 20
    assert part["timestamp"].tolist() == wanted["timestamp"].tolist()


def replayed_part(folder: Path, start_ns: int, end_ns: int) -> pd.DataFrame:
    async def run() -> pd.DataFrame:
        replay = Replay(folder, start=start_of(folder, at_ns=start_ns), end=place_of_time(folder, end_ns))
        assert replay.session.topics == ("blocks", "consensus")
        capture = Capture()
        async for batch in replay.batches():
            capture.accept(batch)
        return capture.tables["block_validation"].snapshot()

    return asyncio.run(run())


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_it_goes_at_the_pace_asked_for(tmp_path: Path, speed: float) -> None:
    """A recording of 30 seconds takes 30 or 3 seconds of the clock, with each frame at its time."""
    folder = tmp_path / "run.chaos"
    run_virtually(listen(folder, FaultyNetwork(rate=10, duration_s=30)))

    async def run() -> list[tuple[float, float]]:
        network = FaultyNetwork()
        replay = Replay(folder, speed=speed, clock=network.clock)
        times = []
        async for batch in replay.batches():
            for rows in batch.timed:
                times.append((network.clock.monotonic(), rows.received_at_ns[0] / 1e9))
        return times

    times = run_virtually(run())
    offsets = [taken_s - (at_s - times[0][1]) / speed for taken_s, at_s in times]
    assert times[-1][0] == pytest.approx(30 / speed, rel=0.05)
    assert max(offsets) - min(offsets) < 1e-3


def test_a_recorded_stream_is_replayed_as_the_same_stream(tmp_path: Path) -> None:
    """Over a real socket: tables, status and source of a replay are those of the live stream."""
    folder = tmp_path / "run.chaos"
    with (
        chaosnb.Devnet(seed=7, rate=400, faults="garbage=0.05,duplicate=0.05") as node,
        chaosnb.stream(TOPICS, url=node.url, record=folder) as live,
    ):
        live.wait(events=300, timeout=30)
    again = chaosnb.replay(folder)
    for name, frame in live.frames().items():
        pd.testing.assert_frame_equal(frame, again[name])
    for ledger in ("gaps", "rejects", "incidents", "drift"):
        pd.testing.assert_frame_equal(getattr(live, ledger), getattr(again, ledger))
    same = ("url", "simulated", "topics", "events", "rejects", "duplicates", "drift", "late", "skew_s")
    assert {name: getattr(again.status, name) for name in same} == {
        name: getattr(live.status, name) for name in same
    }
    assert again.status.state == "ended"
    assert again.source == f"{node.url} (simulated), from run.chaos"
    assert again.block_validation.attrs["source"] == again.source
    assert "run.chaos" in repr(again)
    with pytest.raises(chaosnb.StreamClosedError, match="at its end"):
        again.subscribe("memes")
    again.export(tmp_path / "export")


def test_a_replay_at_its_pace_is_a_stream_that_runs(tmp_path: Path) -> None:
    """It can be waited for and closed; its topics are those of the recording, and no node can be asked."""
    folder = tmp_path / "run.chaos"
    run_virtually(listen(folder, FaultyNetwork(rate=40, duration_s=60)))
    with chaosnb.replay(folder, speed=5) as s:
        s.wait(events=20, timeout=30)
        assert s.status.state == "live"
        assert not s.closed
        assert s.status.lag_s == 0
        with pytest.raises(chaosnb.RecordingError, match="a recording has what was recorded: blocks"):
            s.subscribe("memes")
        with pytest.raises(chaosnb.RecordingError, match="a recording has"):
            s.unsubscribe("blocks")
        with pytest.raises(chaosnb.DebugError, match="no node can be asked"):
            s.debug()
    assert s.closed
    assert 20 <= s.status.events < 500


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": 0},
        {"speed": "1"},
        {"start": "x"},
        {"start": 2},
        {"start": "2026-11-24", "end": "2026-11-23"},
    ],
)
def test_a_replay_refuses_what_makes_no_sense(tmp_path: Path, wrong: dict[str, object]) -> None:
    """Each argument is checked before anything is read."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        chaosnb.replay(tmp_path, **wrong)  # type: ignore[arg-type]


def test_a_damaged_recording_is_not_loaded_and_the_place_is_named(tmp_path: Path) -> None:
    """At once where it is loaded at once; where it is met, at a pace or while it is followed."""
    folder = tmp_path / "run.chaos"
    run_virtually(listen(folder, FaultyNetwork(rate=40, duration_s=30)))
    path = next(iter(segments(folder).values()))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    threads = threading.active_count()
    for way in (chaosnb.replay, chaosnb.follow):
        with pytest.raises(chaosnb.RecordingDamagedError, match=r"00000001\.journal"):
            way(folder)
    assert threading.active_count() == threads
    with chaosnb.replay(folder, speed=1e6) as s:
        while not s.closed:
            time.sleep(0.005)
        assert s.status.state == "failed"
        with pytest.raises(chaosnb.RecordingDamagedError):
            _ = s.block_validation
        assert len(s.block_validation)
    with chaosnb.replay(folder, speed=1) as hasty:
        hasty.speed = None
        while not hasty.closed:
            time.sleep(0.005)
        assert hasty.status.events == s.status.events > 100


def test_what_follows_a_recording_has_what_was_and_what_comes(tmp_path: Path) -> None:
    """Two followers beside the recorder, one from the beginning, one later; both end up with all."""
    folder = tmp_path / "run.chaos"
    with chaosnb.Devnet(seed=7, rate=400) as node:
        with chaosnb.stream(TOPICS, url=node.url, record=folder) as live:
            live.wait(events=50, timeout=30)
            early = chaosnb.follow(folder)
            assert early.status.events >= 50
            live.wait(events=100, timeout=30)
            late = chaosnb.follow(folder)
        with chaosnb.stream(TOPICS, url=node.url, record=folder) as again:
            again.wait(events=50, timeout=30)
        total = live.status.events + again.status.events + again.status.duplicates
        with early, late:
            for s in (early, late):
                s.wait(until=lambda s: s.status.events + s.status.duplicates >= total, timeout=30)
            assert early.gaps["cause"].tolist() == ["unrecorded"]
            for name, frame in early.frames().items():
                pd.testing.assert_frame_equal(frame, late[name])
                assert len(frame) >= len(live[name])


@pytest.mark.parametrize(("with_tqdm", "in_terminal"), [(True, True), (False, True), (True, False)])
def test_long_loading_shows_how_far_it_is(
    with_tqdm: bool, in_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a while, as a bar where tqdm is installed, but in plain lines in a log file."""
    shown: list[object] = []

    class Bar:
        n = 0

        def __init__(self, **options: object) -> None:
            shown.append(options["desc"])

        def refresh(self) -> None:
            shown.append(self.n)

        def close(self) -> None:
            shown.append("closed")

    monkeypatch.setitem(sys.modules, "tqdm.auto", SimpleNamespace(tqdm=Bar) if with_tqdm else None)
    monkeypatch.setattr("chaosnb.notebook.progress._SHOWN_AFTER_S", 0.01)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: in_terminal)
    steps = iter([False] * 4 + [True] * 9)
    wait_with_progress(lambda: next(steps), threading.Event(), lambda: 0.25, "loading run.chaos")
    if with_tqdm and in_terminal:
        assert shown[0] == "loading run.chaos"
        assert {25, 100, "closed"} <= set(shown)
    else:
        assert capsys.readouterr().err.splitlines() == [
            "chaosnb: loading run.chaos: 25 %",
            "chaosnb: loading run.chaos: 100 %",
        ]


def test_a_clock_that_was_set_is_replayed_as_well(tmp_path: Path) -> None:
    """What was known of the node's clock is void then, live and replayed."""
    time_, folder = VirtualTime(), tmp_path / "run.chaos"
    part = MESSAGE.encode()
    network = MemoryNetwork(time_).link([part], 5.0, [part.replace(b"one", b"two")], 5.0)
    tap = Recorder(
        folder,
        source=URL,
        simulated=False,
        topics=TOPICS,
        lateness_s=2.0,
        version="1",
        wall_ns=time_.wall_ns,
        monotonic=time_.clock.monotonic,
    )
    session = Session(TOPICS, Identity.generate(), lateness_s=2.0)
    connection = Connection(url=URL, session=session, connect=network, clock=time_.clock, tap=tap)
    skews = []

    async def run() -> None:
        async with aclosing(connection.batches()) as batches:
            async for _ in batches:
                time_.jump_s += 100
                skews.append(connection.skew_s)
                if len(skews) == 2:
                    return

    time_.run(run())
    tap.close()
    assert skews[0] is not None
    assert skews[1] is not None
    assert skews[0] - skews[1] == pytest.approx(105, abs=0.01)

    async def again() -> list[float | None]:
        replay = Replay(folder)
        return [replay.skew_s async for _ in replay.batches()]

    assert asyncio.run(again()) == skews
