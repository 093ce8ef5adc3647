"""A recorder that is killed at any moment: nothing that was received is lost, nothing is there twice.

Twenty rounds; ``CHAOSNB_CRASH_ROUNDS=200`` for more.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from websockets import ConnectionClosed
from websockets.asyncio.server import ServerConnection, serve

from chaosnb.store.journal import JournalReader, decode_frames

ROUNDS = int(os.environ.get("CHAOSNB_CRASH_ROUNDS", "20"))
RATE = 5_000
BURST = 50
MESSAGE = (
    '{{"type": "agent_status", "data": {{"agent_id": "a", "status": "active", "reason": "{}", '
    '"expected_duration": "PT0S", "timestamp": "2026-11-23T00:36:12.345Z"}}}}'
)


@contextmanager
def numbered_feed() -> Iterator[str]:
    """Serve numbered events, 5,000 a second, on each link from a higher number on; give the address."""
    loop = asyncio.new_event_loop()
    started: list[str] = []
    ready = threading.Event()
    stop = asyncio.Event()
    links = itertools.count(1)

    async def feed(link: ServerConnection) -> None:
        first = next(links) * 10_000_000
        with suppress(ConnectionClosed):
            await link.recv()
            for burst in itertools.count(first, BURST):
                for number in range(burst, burst + BURST):
                    await link.send(MESSAGE.format(number))
                await asyncio.sleep(BURST / RATE)

    async def run() -> None:
        async with serve(feed, "127.0.0.1", 0, compression=None) as server:
            started.append(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/v1")
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    ready.wait(10)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.mark.timeout(60 + 5 * ROUNDS)
def test_a_recorder_killed_at_any_moment_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Each run's frames are there without a hole, up to at least what was seen; and so after each kill."""
    folder, ack_path = tmp_path / "run.chaos", tmp_path / "ack"
    ack_path.write_bytes(bytes(8))
    rng = random.Random(7)
    seen = []
    with numbered_feed() as url:
        script = str(Path(__file__).with_name("crashing_recorder.py"))
        command = [sys.executable, script, str(folder), str(ack_path), url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forker:
            assert forker.stdin is not None
            assert forker.stdout is not None
            for _ in range(ROUNDS):
                forker.stdin.write("go\n")
                forker.stdin.flush()
                child = int(forker.stdout.readline())
                time.sleep(0.02 + 0.6 * rng.random() ** 2)
                os.kill(child, signal.SIGKILL)
                assert forker.stdout.readline() == "dead\n"
                seen.append(int.from_bytes(ack_path.read_bytes(), "little"))
            forker.stdin.close()
    runs: list[list[int]] = []
    for record in JournalReader(folder).read():
        if record.kind == "f":
            runs[-1] += [_number(frame.data) for frame in decode_frames(record)]
        elif record.kind == "o":
            runs.append([])
    numbers = [number for run in runs for number in run]
    assert numbers == sorted(set(numbers)), "twice, or out of order"
    for run in runs:
        assert run == list(range(run[0], run[0] + len(run))) if run else True
    assert len(numbers) > 10 * ROUNDS
    # Whatever anybody had seen before a kill is in the recording.
    assert set(seen) - {0} <= set(numbers)
    assert len(set(seen)) > ROUNDS / 4
    assert len(list(folder.glob("*.zst"))) >= 1


def _number(data: bytes) -> int:
    return int(msgspec.json.decode(data)["data"]["reason"])
