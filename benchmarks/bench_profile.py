"""Where chaosnb's time goes from the socket to the tables: a sampling profile of the client, by stage.

py-spy samples the chaosnb client of `bench_stream` 500 times a second while it works; each sample counts for
the innermost function of chaosnb on its stack that belongs to a stage.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path

from blaster import Blaster
from report import arguments, markdown, publish
from workload import HERE, messages_file

_STAGES = (
    ("aggregates", r"\(chaosnb/tables/aggregates\.py"),
    ("snapshots for the reader", r"\b(snapshot|frames|__getitem__|show|_with_source) \(chaosnb/"),
    ("tables: append", r"\(chaosnb/tables/(?!capture)"),
    ("decode", r"\(chaosnb/protocol/codec\.py"),
    ("time stamps", r"\(chaosnb/protocol/iso8601\.py"),
    ("grouping into batches", r"\(chaosnb/ingest/session\.py"),
    ("the capture's own counts", r"\(chaosnb/tables/capture\.py"),
    ("frame parsing", r"\((websockets|picows|chaosnb/ingest/transport)"),
    ("connection", r"\(chaosnb/ingest/connection\.py"),
    ("socket and event loop", r"\(asyncio/|\(selectors\.py"),
    ("waiting reader", r"\(chaosnb/(runtime|live)\.py|\(threading\.py"),
)
_SAMPLES_PER_S = 500
_HOT = 8


def stacks(transport: str, events: int) -> Counter[str]:
    """Return how often each stack of the chaosnb client was seen, outermost function first."""
    with tempfile.TemporaryDirectory() as folder, Blaster(messages_file(events)) as blaster:
        raw = Path(folder) / "stacks.txt"
        client = [str(HERE / "stream_clients.py"), f"chaosnb-{transport}", str(blaster.port), str(events)]
        spy = [_py_spy(), "record", "--rate", str(_SAMPLES_PER_S), "--format", "raw", "--output", str(raw)]
        command = [*spy, "--", sys.executable, *client]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line == "ready\n":
                    blaster.fire()
        if "ready\n" not in lines or not raw.exists():
            raise SystemExit("py-spy or the client failed (py-spy needs the right to trace a child process)")
        result = next((json.loads(line) for line in lines if line.startswith("{")), {"rows": 0})
        if result["rows"] != events:
            raise SystemExit("the client has not all events")
        seen: Counter[str] = Counter()
        for line in raw.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            if ("<module> (" not in stack or "_chaosnb (" in stack) and "<frozen importlib" not in stack:
                seen[stack] += int(count)
        return seen


def stage_of(stack: str) -> str:
    """Return the stage of the innermost frame that has one."""
    for frame in reversed(stack.split(";")):
        for stage, pattern in _STAGES:
            if re.search(pattern, frame):
                return stage
    return "other"


def _py_spy() -> str:
    found = shutil.which("py-spy", path=sysconfig.get_path("scripts")) or shutil.which("py-spy")
    if found is None:
        raise SystemExit("py-spy is not installed; it comes with the extra: pip install 'chaosnb[bench]'")
    return found


def _main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--transport", choices=["websockets", "picows"], default="websockets")
    options = parser.parse_args()
    seen = stacks(options.transport, 20_000 if options.quick else options.events)
    total = seen.total()
    by_stage: Counter[str] = Counter()
    by_function: Counter[str] = Counter()
    for stack, count in seen.items():
        by_stage[stage_of(stack)] += count
        by_function[re.sub(r"^(.*?) \((.*?)(:\d+)?\)$", r"`\1`, \2", stack.split(";")[-1])] += count
    stages = [[stage, f"{count / total:.0%}"] for stage, count in by_stage.most_common()]
    functions = [[name, f"{count / total:.0%}"] for name, count in by_function.most_common(_HOT)]
    text = (
        f"{total:,} samples, transport {options.transport}.\n\n{markdown(['stage', 'share'], stages)}\n\n"
        f"{markdown(['function, by its own time', 'share'], functions)}"
    )
    publish("bench_profile", text, options)


if __name__ == "__main__":
    _main()
