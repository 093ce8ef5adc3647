"""What recording costs on top of the stream, how large a recording is, and how fast it is replayed.

The stream is that of `bench_stream`, with and without ``record=``, in turn; each in a fresh process, whose
CPU time is counted until all is in DataFrames and the recording closed. Then each recording is replayed.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench_stream import run_client
from blaster import Blaster
from report import arguments, markdown, publish, verdict
from workload import HERE, messages_file

from chaosnb.store.journal import JournalReader, decode_frames
from chaosnb.store.segments import segments

_MOST_EXTRA = 0.25
_MOST_BYTES = 45
_LEAST_REPLAYED = 300_000


def _replay(folder: Path, events: int) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "stream_clients.py"), "replay", str(folder), str(events)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if result["rows"] != events:
        raise SystemExit(f"the replay has {result['rows']:,} of {events:,} events")
    return result


def _sizes(folder: Path) -> tuple[int, int]:
    """Return the bytes of all compressed segments, and the frames in them."""
    found = {number: path for number, path in segments(folder).items() if path.suffix == ".zst"}
    frames, reader = 0, JournalReader(folder)
    for record in reader.read():
        if record.kind == "f" and reader.segment in found:
            frames += len(decode_frames(record))
    return sum(path.stat().st_size for path in found.values()), frames


def _main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=250_000, help="a multiple of 1,000")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    events, rounds = (5_000, 1) if options.quick else (options.events, options.rounds)
    plain, recorded, replayed, extra = [], [], [], []
    compressed = frames = 0
    with Blaster(messages_file(events)) as blaster, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            path = Path(folder) / f"{number}.chaos"
            without = run_client(blaster, "chaosnb-websockets", events)
            with_it = run_client(blaster, "chaosnb-recorded", events, str(path))
            assert without is not None
            assert with_it is not None
            plain.append(without["cpu_s"])
            recorded.append(with_it["cpu_s"])
            extra.append(with_it["cpu_s"] / without["cpu_s"] - 1)
            replayed.append(_replay(path, events))
            compressed, frames = _sizes(path)
    share = statistics.median(extra)
    per_s = events / statistics.median(result["wall_s"] for result in replayed)
    replay_us = statistics.median(result["cpu_s"] for result in replayed) / events * 1e6
    size = compressed / frames if frames else float("nan")
    rows = [
        ["stream, CPU µs/event", f"{statistics.median(plain) / events * 1e6:.2f}", ""],
        ["stream that records, CPU µs/event", f"{statistics.median(recorded) / events * 1e6:.2f}", ""],
        [
            "recording on top of the stream (range)",
            f"{share:+.0%} ({min(extra):+.0%} to {max(extra):+.0%})",
            verdict(share, _MOST_EXTRA, at_most=True),
        ],
        ["compressed segments, bytes/event", f"{size:.1f}", verdict(size, _MOST_BYTES, at_most=True)],
        ["replay at full speed, CPU µs/event", f"{replay_us:.2f}", ""],
        ["replay at full speed, events/s of wall time", f"{per_s:,.0f}", verdict(per_s, _LEAST_REPLAYED)],
    ]
    table = markdown(["", "value", "target"], rows)
    publish(
        "bench_recording", f"{events:,} events, {rounds} interleaved rounds, medians.\n\n{table}", options
    )


if __name__ == "__main__":
    _main()
