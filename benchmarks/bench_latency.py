"""From the node's send to the row in a DataFrame: votes at a steady pace, and a reader that always looks.

The node runs in a process of its own and writes into each vote when it sends it, by the clock that both
processes share; the reader takes a snapshot each millisecond and sees what is new.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Literal

import numpy as np
import numpy.typing as npt
from report import arguments, markdown, publish, verdict
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

import chaosnb
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import Agent, BlockValidation
from chaosnb.protocol.iso8601 import format_timestamp

_WARM_UP_S = 2.0


def send_votes(pipe: Connection, rate: int, seconds: float) -> None:
    """Serve one client with votes at this rate, each with the time of its sending."""

    def handle(link: ServerConnection) -> None:
        link.recv()  # auth
        link.recv()  # subscribe
        start = time.monotonic_ns()
        try:
            for number in range(int(rate * seconds)):
                if (wait_s := (start + number * 1_000_000_000 // rate - time.monotonic_ns()) / 1e9) > 0:
                    time.sleep(wait_s)
                stamp = format_timestamp(time.time_ns() // 1_000)
                voter = Agent(f"agent-{number % 24}", "lawful")
                vote = BlockValidation(f"0x{number:064x}", voter, "approve", str(time.monotonic_ns()), stamp)
                link.send(encode(vote).decode())
            link.recv()
        except ConnectionClosed:
            pass

    with serve(handle, "127.0.0.1", 0, compression=None) as server:
        pipe.send(server.socket.getsockname()[1])
        server.serve_forever()


def latencies_ms(
    rate: int, seconds: float, transport: Literal["websockets", "picows"]
) -> npt.NDArray[np.float64]:
    """Return how long each vote took from the send until a snapshot showed it, in milliseconds."""
    here, there = multiprocessing.Pipe()
    node = multiprocessing.get_context("spawn").Process(
        target=send_votes, args=(there, rate, seconds), daemon=True
    )
    node.start()
    taken: list[npt.NDArray[np.float64]] = []
    try:
        url = f"ws://127.0.0.1:{here.recv()}/ws/v1"
        with chaosnb.stream("blocks", url=url, transport=transport) as stream:
            seen, total = 0, int(rate * seconds)
            deadline = time.monotonic() + seconds + 30
            while seen < total and time.monotonic() < deadline:
                votes = stream.block_validation
                now_ns = time.monotonic_ns()
                if len(votes) > seen:
                    sent_ns = votes["reason"].iloc[seen:].astype("int64").to_numpy()
                    taken.append((now_ns - sent_ns) / 1e6)
                    seen = len(votes)
                time.sleep(0.001)
    finally:
        node.kill()
    return np.concatenate(taken)[int(rate * min(_WARM_UP_S, seconds / 2)) :]


def _main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    seconds = 2.0 if options.quick else options.seconds
    rows = []
    transports: tuple[Literal["websockets", "picows"], ...] = ("websockets", "picows")
    for transport in transports:
        try:
            found = latencies_ms(options.rate, seconds, transport)
        except chaosnb.MissingExtraError:
            rows.append([transport, "not installed", "", "", "", ""])
            continue
        middle, late = np.percentile(found, [50, 99])
        rows.append(
            [
                transport,
                f"{middle:.2f}",
                verdict(middle, 5, at_most=True),
                f"{late:.2f}",
                verdict(late, 50, at_most=True),
                f"{found.max():.1f}",
            ]
        )
    columns = ["transport", "median, wall ms", "target", "99th percentile", "target", "longest"]
    left_out_s = min(_WARM_UP_S, seconds / 2)
    text = f"{options.rate:,} votes a second for {seconds:g} s, the first {left_out_s:g} s left out."
    publish("bench_latency", f"{text}\n\n{markdown(columns, rows)}", options)


if __name__ == "__main__":
    _main()
