"""A node that fails every second, and knows what it sent."""

from __future__ import annotations

import random
import time
from typing import NamedTuple

from chaosnb.devnet import Devnet, Faults
from chaosnb.devnet.outgoing import Outgoing
from soak.processes import Orders
from soak.rows import sent_rows

__all__ = ["SETTLED_S", "Truth", "serve"]

SETTLED_S = 8.0
"""After so many seconds of event time nothing comes any more of what happened: no delay, stall or replay."""

_FAULTS = {
    "duplicate": 0.01,
    "reorder": 0.01,
    "delay": 0.01,
    "drop": 0.001,
    "garbage": 0.001,
    "max_delay_s": 1.0,
    "replay_s": 3.0,
}

Row = tuple[str, int, str]


class Truth(NamedTuple):
    """What was handed to sockets of the events of a span.

    `whole` arrives at a client that reads on; of each of `doubtful`, the rows of a link that was reset in
    their order, the last ones may be lost.
    """

    whole: set[Row]
    doubtful: list[list[Row]]
    faults: int


def serve(orders: Orders, rate: float, seed: int) -> None:
    """Run the node: ``(low_us, high_us)`` asks for the truth of a span, and to forget what was before."""
    rng, faults, due_s = random.Random(seed), 0, time.monotonic() + 1.0
    with Devnet(seed=seed, rate=rate, faults=Faults(seed=seed, **_FAULTS), queue_frames=200_000) as node:  # type: ignore[arg-type]
        orders.send(node.url)
        try:
            while True:
                if orders.poll(max(0.0, due_s - time.monotonic())):
                    low_us, high_us = orders.recv()
                    orders.send(_truth(node, low_us, high_us, faults))
                    node.forget(low_us)
                if time.monotonic() >= due_s:
                    due_s += 1.0
                    faults += 1
                    _strike(node, rng)
        except EOFError:
            return


def _strike(node: Devnet, rng: random.Random) -> None:
    kind = rng.choice(["stall", "stall", "flood", "flood", "garbage", "garbage", "garbage", "cut", "refuse"])
    if kind == "stall":
        node.stall(rng.uniform(0.1, 1.0))
    elif kind == "flood":
        node.flood(rng.randint(1, 2_000))
    elif kind == "garbage":
        node.garbage(rng.randbytes(rng.randint(1, 10_000)), binary=True)
    elif kind == "cut":
        node.cut(rng.choice(["reset", "reset", "half-open", 1001, 1011, 1012, 1013]))
    else:
        node.refuse_for(rng.uniform(0.1, 3.0))
        node.cut(1001)


def _truth(node: Devnet, low_us: int, high_us: int, faults: int) -> Truth:
    whole: set[Row] = set()
    doubtful: list[list[Row]] = []
    for link in node.sent.links():
        messages = [m for m in link.handed if m.fate != "garbage" and low_us <= m.time_us < high_us]
        rows = [row for message in messages for row in _rows(message)]
        if link.is_whole:
            whole.update(rows)
        elif rows:
            doubtful.append(rows)
    return Truth(whole, doubtful, faults)


def _rows(message: Outgoing) -> list[Row]:
    return [(name, *row) for name, rows in sent_rows([message]).items() for row in rows]
