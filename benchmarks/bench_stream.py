"""Frame to queryable tables, refreshed each second: chaosnb and its peers against a client that only counts.

A server in its own process sends the same frames as fast as they are taken; every client runs in a fresh
process. The figure is events per CPU second, of all the client's threads, as a share of the counting client's
in the same round.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
from typing import Any

from blaster import Blaster
from report import arguments, markdown, publish, verdict
from stream_clients import CONTENDERS, REFRESH_S, STREAMZ_EVENTS
from workload import HERE, messages_file

_TARGETS = {"chaosnb-websockets": 0.8, "chaosnb-picows": 1.4}
_NAMES = {
    "sink": "(socket read, nothing parsed: the server's limit)",
    "counting": "websockets, frames only counted",
    "counting-picows": "picows, frames only counted",
    "chaosnb-websockets": "chaosnb, websockets",
    "chaosnb-picows": "chaosnb, picows",
    "naive": "json.loads + list + pd.concat",
    "perspective": "perspective-python",
    "streamz": f"streamz, refreshed every {STREAMZ_EVENTS:,} events instead",
}
_TIMEOUT_S = 600


def run_client(blaster: Blaster, name: str, events: int, *more: str) -> dict[str, Any] | None:
    """Run one contender in a fresh process; None if what it needs is not installed."""
    command = [sys.executable, str(HERE / "stream_clients.py"), name, str(blaster.port), str(events), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(_TIMEOUT_S, process.kill)
        guard.start()
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                return None
            blaster.fire()
            result: dict[str, Any] = json.loads(process.stdout.readline())
        finally:
            guard.cancel()
            process.kill()
    if result["rows"] != events:
        raise SystemExit(f"{name} has {result['rows']:,} of {events:,} events")
    return result


def _main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="a multiple of 1,000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    options = parser.parse_args()
    events, rounds = (5_000, 1) if options.quick else (options.events, options.rounds)
    names = [name for name in CONTENDERS if name == "counting" or name in options.only]
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    shares: dict[str, list[float]] = {name: [] for name in names}
    with Blaster(messages_file(events)) as blaster:
        for number in range(rounds):
            counted = 0.0
            for name in sorted(names, key=lambda name: name != "counting"):
                if name == "streamz" and number:
                    continue  # it takes longer than all others together
                result = run_client(blaster, name, events)
                if result is None:
                    continue
                counted = result["cpu_s"] if name == "counting" else counted
                results[name].append(result)
                shares[name].append(counted / result["cpu_s"])
    rows = []
    for name in names:
        if not results[name]:
            rows.append([_NAMES[name], "not installed", "", "", "", ""])
            continue
        share = statistics.median(shares[name])
        cpu_us = statistics.median(result["cpu_s"] for result in results[name]) / events * 1e6
        wall = events / statistics.median(result["wall_s"] for result in results[name])
        rows.append(
            [
                _NAMES[name],
                f"{cpu_us:.2f}",
                "" if name == "sink" else f"{share:.2f} ({min(shares[name]):.2f} to {max(shares[name]):.2f})",
                verdict(share, _TARGETS[name]) if name in _TARGETS else "",
                f"{wall:,.0f}",
                str(round(statistics.median(result["refreshes"] for result in results[name]))),
            ]
        )
    columns = [
        "client",
        "CPU µs/event",
        "share of counting (range)",
        "target",
        "events/s of wall time",
        "refreshes",
    ]
    text = (
        f"{events:,} events, {rounds} interleaved rounds (streamz: one), medians; DataFrames of all tables "
        f"every {REFRESH_S:g} s and at the end.\n\n{markdown(columns, rows)}"
    )
    publish("bench_stream", text, options)


if __name__ == "__main__":
    _main()
