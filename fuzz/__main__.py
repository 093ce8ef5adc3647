"""Fuzz what reads messages, from `decode` to the plots: ``python -m fuzz``, or ``make fuzz``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from fuzz.laws import Client, check_decode
from fuzz.mutations import Mutator

BATCH = 50
SHOWN_EVERY = 20_000
START_NS = 1_780_000_000_000_000_000


def fuzz(inputs: int, seed: int, folder: Path) -> None:
    """Check all laws on so many inputs; the first that breaks one is printed as it goes into a test."""
    mutator = Mutator(seed)
    started, at, seen = time.monotonic(), 0, [0, 0, 0, 0]
    while at < inputs:
        # Anew each time: what one input breaks must not depend on a million others.
        client = Client()
        end = min(at + SHOWN_EVERY, inputs)
        while at < end:
            messages = [mutator.next() for _ in range(min(BATCH, end - at))]
            for message in messages:
                try:
                    check_decode(message)
                except BaseException:
                    print(f"\nseed {seed}, input {at}: {message!r}", file=sys.stderr)
                    raise
                at += 1
            try:
                client.check_feed(messages, START_NS + at)
            except BaseException:
                print(f"\nseed {seed}, inputs up to {at}: {messages!r}", file=sys.stderr)
                raise
        try:
            client.check_shown(folder)
        except BaseException:
            print(f"\nseed {seed}, inputs {at - SHOWN_EVERY} to {at}", file=sys.stderr)
            raise
        capture = client.capture
        counts = capture.events, capture.duplicates, capture.rejected, capture.filtered
        seen = [sum(pair) for pair in zip(seen, counts, strict=True)]
        speed = at / (time.monotonic() - started)
        print(
            f"{at:>12,} inputs, {speed:,.0f}/s: {seen[0]:,} events, {seen[1]:,} duplicates, "
            f"{seen[2]:,} rejects, {seen[3]:,} filtered; no law broken",
            flush=True,
        )


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    options = parser.parse_args()
    seed = time.time_ns() % 2**32 if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        fuzz(options.inputs, seed, Path(folder))


if __name__ == "__main__":
    main()
