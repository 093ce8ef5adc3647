"""Let a stream run for long against a node that fails, or that is fast: ``python -m soak``, or ``make soak``.

With faults, one a second, the tables are compared with what the node sent, span after span. Without, the
node sends as many events as it is told to. Both ways the client's resident memory has to stay flat.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import chaosnb
from chaosnb.ingest.connection import Clock
from soak import failing, replaying
from soak.comparison import Comparison
from soak.memory import Memory
from soak.processes import Remote

TOPICS = ["blocks", "consensus", "network", "social"]
SHOWN_EVERY_S = 5.0
FLAT = 1.05
JUDGED_FROM_S = 600.0
BOUNDED = 1.5


async def impatient(delay_s: float) -> None:
    """Come back soon, since a run that is away for minutes tries nothing."""
    await asyncio.sleep(min(delay_s, 1.0))


def soak_failing(seconds: float, rate: float, retain: str, seed: int) -> list[str]:
    """Run against a node with a fault a second; return what is wrong."""
    memory = Memory(warm_up_s=seconds / 2, limit=FLAT)
    clock = Clock(sleep=impatient)
    with (
        Remote(failing.serve, rate, seed) as node,
        chaosnb.stream(TOPICS, url=node.url, retain=retain, stale_after=3, clock=clock) as s,
    ):
        # What happened before it had subscribed may have come, by a replay, or not.
        s.wait(events=1, timeout=30)
        comparison = Comparison(s, node, time.time_ns() // 1_000)
        started = time.monotonic()
        while (now_s := time.monotonic() - started) < seconds:
            s.wait(seconds=min(SHOWN_EVERY_S, seconds / 8))
            comparison.step()
            memory.note(now_s)
            print(f"{now_s:>6.0f} s: {_status(s)}, {comparison}, {memory}", flush=True)
        s.wait(seconds=failing.SETTLED_S)
        comparison.step()
        print(f"   end: {_status(s)}, {comparison}, {memory}", flush=True)
    wrong = [] if comparison.compared else ["nothing was compared"]
    if comparison.unexplained:
        wrong.append(f"{comparison.unexplained:,} rows differ from what was sent")
    # A short run ends before all that is kept for a while has filled up: 20,000 blocks take eight minutes.
    return wrong + (memory.wrong() if seconds >= JUDGED_FROM_S else [])


def soak_fast(seconds: float, rate: float, retain: str, seed: int) -> list[str]:
    """Run against a node that is fast; return what is wrong."""
    memory = Memory(warm_up_s=min(60.0, seconds / 2), limit=BOUNDED)
    with (
        Remote(replaying.serve, rate, seed) as node,
        chaosnb.stream(TOPICS, url=node.url, retain=retain) as s,
    ):
        started = time.monotonic()
        while (now_s := time.monotonic() - started) < seconds:
            s.wait(seconds=min(SHOWN_EVERY_S, seconds / 8))
            memory.note(now_s)
            sent = node.ask("sent")
            print(f"{now_s:>6.0f} s: {_status(s)}, {sent:,} sent, {memory}", flush=True)
        events, gaps = s.status.events, s.gaps["cause"].ne("evicted").sum()
    wrong = memory.wrong()
    if gaps:
        wrong.append(f"{gaps:,} gaps, though nothing was to fail")
    if events < 0.9 * rate * (seconds - 5):
        wrong.append(f"only {events:,} events came in {seconds:.0f} s")
    return wrong


def _status(s: chaosnb.Stream) -> str:
    at = s.status
    return (
        f"{at.state}, {at.events:,} events ({at.events_per_s:,.0f}/s), {at.duplicates:,} duplicates, "
        f"{at.rejects:,} rejects, {at.gaps:,} gaps ({at.certain_gaps:,} certain), "
        f"{at.memory_bytes / 1e6:.0f} MB in tables"
    )


def main() -> None:
    """Read the arguments and run; ends with 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second")
    parser.add_argument("--no-faults", action="store_true", help="a fast node instead of one that fails")
    parser.add_argument("--retain", default=None, help="default: 16MB; 256MB without faults")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    options = parser.parse_args()
    seed = time.time_ns() % 2**32 if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    run, retain = (soak_fast, "256MB") if options.no_faults else (soak_failing, "16MB")
    wrong = run(options.seconds, options.rate, options.retain or retain, seed)
    for what in wrong:
        print(f"WRONG: {what}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print("no row unexplained, memory within bounds")


if __name__ == "__main__":
    main()
