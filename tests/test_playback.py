"""A replay can be held, moved and sent to any moment, where it shows what the live stream showed then."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb.devnet.faults import Faults
from chaosnb.ingest.clocks import Clock
from chaosnb.notebook import Dashboard
from chaosnb.protocol.events import Frame
from chaosnb.store.recorder import Recorder
from chaosnb.store.replay import Replay
from chaosnb.store.segments import segments
from tests.faulty_network import FaultyNetwork, run_virtually
from tests.recorded_run import FAULTS, TOPICS, URL, Seen, frames_of, listen

RUNS = int(os.environ.get("CHAOSNB_REPLAY_RUNS", "5"))


def record(
    folder: Path, *, looks: dict[float, tuple[int, Seen] | None] | None = None, seed: int = 3, **how: object
) -> Seen:
    """Record half a minute of a network, with what goes wrong in it for some seeds."""
    rng = random.Random(seed)
    network = FaultyNetwork(
        faults=FAULTS if seed % 4 else Faults(),
        seed=rng.randrange(1000),
        rate=40,
        duration_s=35,
        tick_s=rng.choice([0.02, 0.3, 2.0]),
    )
    return run_virtually(listen(folder, network, looks=looks, **how))  # type: ignore[arg-type]


def frame(number: int, at_ns: int) -> Frame:
    text = (
        '{"type": "agent_status", "data": {"agent_id": "a", "status": "active", "reason": "%d", '
        '"expected_duration": "PT0S", "timestamp": "2026-11-23T00:36:12.345Z"}}'
    )
    return Frame((text % number).encode(), at_ns)


def record_frames(folder: Path, *batches: list[Frame]) -> None:
    writer = Recorder(
        folder,
        source=URL,
        simulated=False,
        topics=TOPICS,
        lateness_s=2.0,
        version="1",
        wall_ns=lambda: batches[0][0].received_at_ns,
    )
    for frames in batches:
        writer.frames(frames)
    writer.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A recording of a network without faults, in several segments."""
    with tempfile.TemporaryDirectory() as parent:
        record(Path(parent) / "run.chaos", seed=4, segment_bytes=30_000)
        yield Path(parent) / "run.chaos"


@pytest.fixture
def replay(folder: Path) -> Iterator[chaosnb.ReplayStream]:
    """A replay that has been loaded."""
    with chaosnb.replay(folder) as r:
        yield r


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    assert found.keys() == expected.keys()
    for name, frame in found.items():
        pd.testing.assert_frame_equal(frame, expected[name], check_exact=True, obj=name)


def firsts(blocks: pd.DataFrame) -> pd.DataFrame:
    """The block of each height that came first: there are forks."""
    return blocks.sort_values("seq").drop_duplicates("height")


def moment(at_ns: int) -> pd.Timestamp:
    return pd.Timestamp(at_ns, tz="UTC")


def wait_for(happened: Callable[[], object], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@given(
    seed=st.integers(0, 2**32),
    # Never at the very moment of a batch, of which could not be said whether it had come.
    after_s=st.lists(
        st.integers(500, 34_000).map(lambda ms: ms / 1_000 + 0.000_37), min_size=2, max_size=2, unique=True
    ),
    retain=st.sampled_from([None, 60, "8s"]),
)
@settings(deadline=None, max_examples=RUNS)
def test_a_moment_is_what_the_live_stream_held_then(
    seed: int, after_s: list[float], retain: str | int | None
) -> None:
    """All frames and ledgers, by `at`, by `seek` and by `end`, whatever went wrong before."""
    with tempfile.TemporaryDirectory() as parent:
        path = Path(parent) / "run.chaos"
        looks: dict[float, tuple[int, Seen] | None] = dict.fromkeys(after_s)
        record(path, looks=looks, seed=seed, retain=retain, segment_bytes=20_000)
        with chaosnb.replay(path, retain=retain) as r:
            for looked in looks.values():
                assert looked is not None
                at_ns, seen = looked
                then = r.at(moment(at_ns))
                assert_same(frames_of(then), seen.frames)
                assert then.topics == seen.known[0]
                r.seek(moment(at_ns))
                assert_same(frames_of(r), seen.frames)
                with chaosnb.replay(path, retain=retain, end=moment(at_ns)) as part:
                    assert_same(frames_of(part), seen.frames)


@given(
    seed=st.integers(0, 2**32),
    moves=st.lists(
        st.one_of(
            st.tuples(st.just("height"), st.floats(0, 1)),
            st.tuples(st.just("time"), st.floats(-0.1, 1)),
            st.tuples(st.sampled_from(["blocks", "batches"]), st.integers(1, 9)),
            st.tuples(st.just("seconds"), st.floats(0.1, 5)),
        ),
        max_size=6,
    ),
)
@settings(deadline=None, max_examples=RUNS)
def test_however_it_was_moved_about_a_replay_ends_as_if_it_had_not(
    seed: int, moves: list[tuple[str, float]]
) -> None:
    """A batch that was cut where it was held gives the same as a whole one."""
    with tempfile.TemporaryDirectory() as parent:
        path = Path(parent) / "run.chaos"
        live = record(path, seed=seed)
        with chaosnb.replay(path) as r:
            heights = r.block_proposal["height"]
            first, last = r.incidents["timestamp"].iloc[[0, -1]]
            for name, value in moves:
                if name == "height":
                    r.seek(height=heights.iloc[int(value * (len(heights) - 1))])
                elif name == "time":
                    r.seek(first + value * (last - first))
                elif not r.ended:
                    r.step(**{name: value})  # type: ignore[arg-type]
            if r.paused:
                r.resume()
            wait_for(lambda: r.ended)
            assert_same(frames_of(r), live.frames)


def test_a_height_is_the_moment_when_that_block_had_arrived(replay: chaosnb.ReplayStream) -> None:
    """Each table has the rows that came up to its proposal, even from within a batch."""
    whole = replay.frames()
    block = firsts(whole["block_proposal"]).iloc[4]
    then = replay.at(height=block["height"])
    replay.seek(height=block["height"])
    for name, frame in whole.items():
        arrived = frame[frame["seq"] <= block["seq"]].reset_index(drop=True)
        for found in (then[name], replay[name]):
            assert found["seq"].tolist() == arrived["seq"].tolist()
            assert found["timestamp"].tolist() == arrived["timestamp"].tolist()
    assert len(then.block_proposal) > 3
    assert repr(then).startswith(f"<Moment {URL} (simulated), from run.chaos as of 20")
    assert then.block_validation.attrs["source"] == then.source


def test_a_moment_within_a_batch_parts_it(tmp_path: Path) -> None:
    """What had arrived before it is there, what came at it or later is not."""
    begun_ns = time.time_ns() // 1_000 * 1_000
    record_frames(tmp_path / "run.chaos", [frame(n, begun_ns + n * 1_000_000) for n in range(10)])
    with chaosnb.replay(tmp_path / "run.chaos") as r:
        middle = moment(begun_ns + 4_000_000)
        assert r.at(middle).agent_status["reason"].tolist() == ["0", "1", "2", "3"]
        r.seek(middle)
        assert len(r.agent_status) == 4
        assert r.time == middle
        part = chaosnb.replay(tmp_path / "run.chaos", start=middle, end=middle + pd.Timedelta("3ms"))
        assert part.agent_status["reason"].tolist() == ["4", "5", "6"]
        r.resume()
        wait_for(lambda: r.ended)
        assert r.agent_status["reason"].tolist() == [str(n) for n in range(10)]


@pytest.mark.parametrize("speed", [None, 10])
def test_a_span_outside_of_the_recording_is_an_error_that_says_where_it_lies(
    tmp_path: Path, speed: float | None
) -> None:
    """Not a replay of nothing, whatever the speed; where it reaches beyond the recording, that is cut off."""
    folder, begun_ns = tmp_path / "run.chaos", pd.Timestamp("2026-11-23T00:36:12.5Z").value
    record_frames(folder, [frame(n, begun_ns + n * 1_000_000_000) for n in range(3)])
    last = moment(begun_ns + 2_000_000_000)
    with pytest.raises(ValueError, match=r"run.chaos: the last message came at 2026-11-23T00:36:14\.5"):
        chaosnb.replay(folder, start=last + pd.Timedelta("1us"), end="2100-01-01", speed=speed)
    with pytest.raises(ValueError, match=r"run.chaos, which begins at 2026-11-23T00:36:12\.5"):
        chaosnb.replay(folder, start="2020-01-01", end="2020-01-02", speed=speed)
    with chaosnb.replay(folder, start="2020-01-01", end="2100-01-01") as r:
        assert len(r.agent_status) == 3
    with chaosnb.replay(folder, start=last - pd.Timedelta("0.9s"), end=last - pd.Timedelta("0.1s")) as r:
        assert len(r.agent_status) == 0


def test_a_step_is_a_block_or_what_is_asked_for(replay: chaosnb.ReplayStream) -> None:
    """It is held after each; at its end there is none left."""
    heights = replay.block_proposal.sort_values("seq")["height"].tolist()
    events = replay.status.events
    replay.seek(height=heights[0])
    assert replay.paused
    assert replay.status.state == "paused"
    replay.step()
    assert len(replay.block_proposal) == 2
    replay.step(3)
    assert replay.block_proposal.sort_values("seq")["height"].tolist() == heights[:5]
    before = replay.status.events
    replay.step(batches=1)
    assert replay.status.events > before
    since = replay.time
    replay.step(seconds=2.5)
    assert replay.time - since == pd.Timedelta(seconds=2.5)
    assert replay.progress < 1
    replay.step(len(heights))
    assert replay.ended
    assert replay.status.state == "ended"
    assert replay.status.events == events
    assert replay.progress == 1
    for over in (replay.step, replay.resume, lambda: replay.wait(events=1)):
        with pytest.raises(chaosnb.StreamClosedError, match="at its end"):
            over()
    replay.pause()
    assert not replay.paused


def test_its_pace_is_kept_over_pauses_and_changes(folder: Path) -> None:
    """A pause takes as long as it takes, and a new speed holds within a tenth of a second."""

    async def run() -> list[tuple[float, float]]:
        clock = FaultyNetwork().clock
        replay = Replay(folder, speed=1, clock=clock)
        times: list[tuple[float, float]] = []

        async def control() -> None:
            await asyncio.sleep(5)
            await replay.playhead.hold()
            await replay.playhead.hold()
            await asyncio.sleep(100)
            await replay.playhead.go_on()
            await asyncio.sleep(5)
            replay.playhead.set_speed(10)

        controlling = asyncio.create_task(control())
        async for batch in replay.batches():
            for rows in batch.timed:
                times.append((clock.monotonic(), rows.received_at_ns[0] / 1e9))
        await controlling
        return times

    times = run_virtually(run())
    start_s = times[0][1] - times[0][0]
    for taken_s, at_s in times:
        since_s = at_s - start_s
        expected_s = since_s if since_s < 5 else since_s + 100 if since_s < 10 else 110 + (since_s - 10) / 10
        assert taken_s == pytest.approx(expected_s, abs=0.11)
    assert times[-1][0] > 112


@pytest.mark.parametrize("speed", [1e6, 1e300])
def test_a_speed_that_cannot_be_kept_leaves_no_debt(folder: Path, speed: float) -> None:
    """Once it is slow again, it goes on from where it really is, also after a pause."""

    async def run() -> list[tuple[float, float]]:
        clock = FaultyNetwork().clock
        replay = Replay(folder, speed=speed, clock=clock)
        times: list[tuple[float, float]] = []
        async for batch in replay.batches():
            for rows in batch.timed:
                times.append((clock.monotonic(), rows.received_at_ns[0] / 1e9))
            if len(times) < 5:
                await asyncio.sleep(1)
            elif replay.playhead.speed != 1:
                await replay.playhead.hold()
                replay.playhead.set_speed(1)
                await replay.playhead.go_on()
        return times

    times = run_virtually(run())
    (first_s, first_at_s), (last_s, last_at_s) = times[6], times[-1]
    assert last_at_s - first_at_s > 20
    assert last_s - first_s == pytest.approx(last_at_s - first_at_s, abs=0.3)


def test_a_moment_that_no_recording_reaches_is_its_end(folder: Path) -> None:
    """The time stays that of what came last, however far the step or the seek."""
    end = chaosnb.replay(folder, quiet=True).time
    for go in (
        lambda r: r.step(seconds=1e300),
        lambda r: r.step(seconds=float("inf")),
        lambda r: r.seek("2262-12-31"),
        lambda r: r.seek("9999-12-31"),
    ):
        with chaosnb.replay(folder, speed=1) as r:
            r.pause()
            go(r)
            assert r.ended
            assert r.time == end
            repr(r)


def test_it_plays_on_after_a_seek_unless_it_was_paused(folder: Path) -> None:
    """Forward and back, at the speed that is set."""
    with chaosnb.replay(folder, speed=2) as r:
        whole = chaosnb.replay(folder).block_proposal
        first, later = whole["height"].iloc[[0, len(whole) // 2]]
        assert r.speed == 2
        r.seek(height=later)
        assert not r.paused
        r.wait(events=1, timeout=10)
        assert r.status.events > whole["seq"].max() / 3
        r.seek(height=first)
        r.wait(events=1, timeout=10)
        assert r.status.events < whole["seq"].max() / 3
        r.pause()
        with pytest.raises(chaosnb.ChaosnbError, match="paused, so that nothing comes"):
            r.wait(events=1)
        events = r.status.events
        r.speed = 1e6
        time.sleep(0.05)
        assert r.status.events == events
        r.seek(height=later)
        assert r.paused
        r.resume()
        wait_for(lambda: r.ended)
    with pytest.raises(chaosnb.StreamClosedError, match="closed"):
        r.seek(height=first)


def test_a_dashboard_works_on_while_it_is_paused_and_after_a_seek(replay: chaosnb.ReplayStream) -> None:
    """It shows what the replay shows, also where that goes back."""
    board = Dashboard(replay, fps=10.0)

    def newest() -> float:
        return max(max(trace["x"], default=0.0) for trace in board.plots["decisions"].static()["data"])

    try:
        wait_for(lambda: "ended" in board.controls.status.value)
        last = newest()
        replay.seek(height=replay.block_proposal["height"].iloc[3])
        wait_for(lambda: "paused" in board.controls.status.value)
        wait_for(lambda: newest() < last)
        before = newest()
        replay.step(5)
        wait_for(lambda: newest() > before)
        replay.resume()
        wait_for(lambda: newest() == last)
    finally:
        board.close()


def test_a_replay_that_cannot_be_read_anew_stays_as_it_is(tmp_path: Path) -> None:
    """Where it is, and with what it holds."""
    folder = tmp_path / "run.chaos"
    record(folder, seed=4)
    with chaosnb.replay(folder) as r:
        whole, height = frames_of(r), r.block_proposal["height"].iloc[0]
        path = next(iter(segments(folder).values()))
        data = bytearray(path.read_bytes())
        data[300] ^= 1
        path.write_bytes(data)
        with pytest.raises(chaosnb.RecordingDamagedError):
            r.seek(height=height)
        assert r.ended
        assert_same(frames_of(r), whole)


def test_an_interrupt_ends_a_seek_and_nothing_else(tmp_path: Path) -> None:
    """Back, all is as it was; forward, it is held where it has come to. Both can be tried again."""
    count, begun_ns = 60_000, time.time_ns() // 1_000 * 1_000
    frames = [frame(n, begun_ns + n * 1_000) for n in range(count)]
    record_frames(tmp_path / "run.chaos", *(frames[n : n + 500] for n in range(0, count, 500)))
    last = moment(frames[-1].received_at_ns)

    def interrupt(when: Callable[[], object]) -> threading.Thread:
        def wait() -> None:
            wait_for(when)
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    # Where tests run in the background of a shell, Python is told to ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with chaosnb.replay(tmp_path / "run.chaos", quiet=True) as r:
            threads = threading.active_count()
            waiting = interrupt(lambda: "chaosnb-stream" in [t.name for t in threading.enumerate()])
            with pytest.raises(KeyboardInterrupt):
                r.seek(last)
            waiting.join()
            assert r.ended
            assert len(r.agent_status) == count
            assert threading.active_count() == threads
            r.seek(moment(begun_ns))
            waiting = interrupt(lambda: r.status.events > 0)
            with pytest.raises(KeyboardInterrupt):
                r.seek(last)
            waiting.join()
            assert r.paused
            assert 0 < r.status.events < count - 1
            r.seek(last)
            assert r.status.events == count - 1
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "give one of time= "),
        ({"time": "2026-11-23", "height": 1}, "give one of time= "),
        ({"time": "soon"}, "is not a time"),
        ({"time": "10am"}, "is not a time"),
        ({"height": 10**9}, "no block of this height has arrived in run.chaos"),
        ({"time": 1_795_000_000}, "is not a time"),
        ({"height": 1.5}, "height is a whole number"),
    ],
)
def test_a_seek_says_what_it_cannot_find(
    replay: chaosnb.ReplayStream, wrong: dict[str, object], words: str
) -> None:
    """And leaves the replay where it is."""
    for go in (replay.seek, replay.at):
        with pytest.raises((ValueError, TypeError), match=words):
            go(**wrong)
    assert replay.ended


def test_wrong_steps_and_speeds_are_refused(replay: chaosnb.ReplayStream) -> None:
    """With what would be right."""
    replay.seek("2020-01-01")
    assert replay.status.events == 0
    for wrong in (
        {"blocks": 0},
        {"seconds": -1.0},
        {"seconds": "3"},
        {"seconds": float("nan")},
        {"blocks": 1, "batches": 1},
    ):
        with pytest.raises(ValueError, match="one of blocks=, batches= and seconds="):
            replay.step(**wrong)  # type: ignore[arg-type]
    for wrong in ({"blocks": 1.5}, {"batches": "2"}):
        with pytest.raises(TypeError, match=r"of step\(\) are whole numbers"):
            replay.step(**wrong)  # type: ignore[arg-type]
    for nothing in (0, True, "10", 10**400):
        with pytest.raises(ValueError, match="speed is a positive number"):
            replay.speed = nothing  # type: ignore[assignment]
    replay.speed = np.int64(10)  # type: ignore[assignment]
    assert replay.speed == 10


def test_a_moment_before_all_messages_is_simulated_as_well(tmp_path: Path) -> None:
    """Though the node says it but with its first answer, and was started by somebody else."""
    folder = tmp_path / "run.chaos"
    with (
        chaosnb.Devnet(seed=7, rate=400) as node,
        chaosnb.stream("network", url=node.url, record=folder) as s,
    ):
        s.wait(events=5, timeout=30)
        assert s.at("2020-01-01").simulated
    with chaosnb.replay(folder) as r:
        assert "(simulated)" in r.at("2020-01-01").source
        r.seek("2020-01-01")
        assert (r.status.events, r.simulated) == (0, True)
        real = tmp_path / "real.chaos"
        record_frames(real, [frame(1, 10**18)])
        with chaosnb.replay(real) as other:
            assert not other.at("2020-01-01").simulated


def test_a_live_stream_knows_its_past_and_has_no_seek(tmp_path: Path) -> None:
    """Of this run alone, where the recording has an earlier one; the error says what to do instead."""
    folder = tmp_path / "run.chaos"
    with chaosnb.Devnet(seed=7, rate=400) as node:
        with chaosnb.stream(TOPICS, url=node.url, record=folder, lateness=7) as before:
            before.wait(events=50, timeout=30)
        with chaosnb.stream(TOPICS, url=node.url, record=folder, retain="1h") as s:
            s.wait(until=lambda s: s.block_proposal["height"].nunique() > 3, timeout=30)
            block = firsts(s.block_proposal).iloc[2]
            then = s.at(height=block["height"])
            votes = s.block_validation
            assert then.block_proposal["seq"].max() == block["seq"]
            arrived = votes.query("seq <= @block.seq")
            assert then.block_validation["seq"].tolist() == arrived["seq"].tolist()
            assert then.simulated
            with chaosnb.follow(folder) as follower:
                assert len(follower.at(block["received_at"]).block_proposal) > 2
            with pytest.raises(ValueError, match="has not come yet"):
                s.at("2100-01-01")
            with pytest.raises(AttributeError, match=r"has no 'seek': s.at\(\) tells") as refused:
                s.seek(height=1)  # type: ignore[attr-defined]
            assert f"chaosnb.replay({str(folder)!r})" in str(refused.value)
            with pytest.raises(AttributeError, match="has no 'speed'"):
                s.speed = 10
            assert not hasattr(s, "pause")
        with chaosnb.stream("network", url=node.url) as s:
            with pytest.raises(chaosnb.RecordingError, match="this stream is not recorded"):
                s.at(height=1)
            with pytest.raises(AttributeError, match="has no 'step': open it with record="):
                s.step()  # type: ignore[attr-defined]


def test_a_clock_of_ones_own_paces_a_replay(folder: Path) -> None:
    """What it says is believed: half a minute is over at once."""
    now_s = [0.0]

    async def sleep(seconds: float) -> None:
        now_s[0] += seconds
        await asyncio.sleep(0)

    clock = Clock(monotonic=lambda: now_s[0], sleep=sleep)
    with chaosnb.replay(folder, speed=1, clock=clock) as r:
        wait_for(lambda: r.ended)
    assert now_s[0] == pytest.approx(35, abs=3)
