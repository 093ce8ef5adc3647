"""A node for `bench_browser`: the last minutes at once, and from then on events as time goes by.

Run as a program, with events per second and the minutes to begin with, it prints the port that it serves.
"""

from __future__ import annotations

import sys
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from workload import SEED

from chaosnb.devnet.model import Model
from chaosnb.protocol.codec import encode

_TICK_S = 0.02


def _main() -> None:
    rate, past_s = float(sys.argv[1]), float(sys.argv[2])

    def handle(link: ServerConnection) -> None:
        link.recv()  # auth
        link.recv()  # subscribe
        start_us = int((time.time() - past_s) * 1e6)
        model = Model(seed=SEED, rate=rate, start_us=start_us)
        try:
            while True:
                for event in model.step(int(time.time() * 1e6) - start_us):
                    link.send(encode(event).decode())
                time.sleep(_TICK_S)
        except ConnectionClosed:
            pass

    with serve(handle, "127.0.0.1", 0, compression=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    _main()
