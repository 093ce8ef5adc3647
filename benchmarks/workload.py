"""What all benchmarks measure on: the seeded simulated network's messages, and votes in ready-made rows.

The messages are made once and kept in a temporary folder, under a digest of the code that makes them.
"""

from __future__ import annotations

import gc
import getpass
import hashlib
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import chaosnb
from chaosnb.devnet.model import Model
from chaosnb.ingest.session import Rows
from chaosnb.protocol.codec import decode_all, encode
from chaosnb.protocol.events import BlockValidation, Frame

SEED = 7
RATE = 2_000.0
HERE = Path(__file__).parent

_POOL = 1 << 16
_START_US = 1_767_225_600_000_000


def messages_file(count: int) -> Path:
    """Return a file with `count` messages, a line each, in the model's mix and order."""
    package = Path(chaosnb.__file__).parent
    sources = sorted([*(package / "devnet").glob("*.py"), package / "protocol" / "events.py"])
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"chaosnb-benchmarks-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{digest}-{SEED}-{count}.jsonl"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(b"".join(encode(event) + b"\n" for event in _model_events(count)))
        part.replace(path)
    return path


def messages(count: int) -> list[bytes]:
    """Return `count` messages."""
    return messages_file(count).read_bytes().splitlines()


def votes(count: int = _POOL) -> list[BlockValidation]:
    """Return `count` different votes."""
    every = decode_all(Frame(message, 0) for message in messages(3 * count))
    return [event for event in every if isinstance(event, BlockValidation)][:count]


class VoteRows:
    """Rows of votes, one after the other in time; the events are used again and again.

    Parameters
    ----------
    per_second : float
        Votes per second of event time.
    """

    def __init__(self, per_second: float = 1_000.0) -> None:
        self._pool = votes()
        self._step_us = max(1, int(1e6 / per_second))
        self.made = 0

    def next(self, count: int) -> Rows:
        """Return the next rows."""
        start = self.made % len(self._pool)
        events = self._pool[start : start + count]
        while len(events) < count:
            events += self._pool[: count - len(events)]
        number = np.arange(self.made, self.made + count, dtype=np.int64)
        self.made += count
        timestamp_us = _START_US + number * self._step_us
        return Rows(events, timestamp_us, timestamp_us * 1_000 + 5_000_000, number + 1)

    def batches(self, total: int, size: int) -> Iterator[Rows]:
        """Return rows in batches of `size`, `total` rows in all."""
        for start in range(0, total, size):
            yield self.next(min(size, total - start))


def cpu_ms(work: Callable[[], object]) -> float:
    """Return the CPU milliseconds, of all threads, that `work` takes."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


def interleaved(
    works: dict[str, Callable[[], object]],
    rounds: int,
    before: Callable[[str], object] = lambda name: None,
) -> dict[str, float]:
    """Run every work in turn, `rounds` times over, and return the median CPU milliseconds of each.

    `before`, which is not timed, is called with the name of the work that is next.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            before(name)
            taken[name].append(cpu_ms(work))
    return {name: statistics.median(times) for name, times in taken.items()}


def resident_bytes() -> int:
    """Return this process's resident memory, garbage collected first."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def in_fresh_process(script: str, *arguments: object, timeout_s: float = 900) -> dict[str, Any]:
    """Run a script of this folder in a process of its own and return the JSON object that it prints last."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=timeout_s)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def flat_row(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message's data with inner objects flattened, named like the columns of chaosnb's tables."""
    row: dict[str, Any] = {}
    for name, value in message["data"].items():
        if isinstance(value, dict):
            row.update((f"{name}_{inner}", item) for inner, item in value.items())
        else:
            row[name] = value
    return row


def _model_events(count: int) -> Iterator[Any]:
    model = Model(seed=SEED, rate=RATE)
    seconds = itertools.count(1)
    events = itertools.chain.from_iterable(model.step(1_000_000 * second) for second in seconds)
    return itertools.islice(events, count)
