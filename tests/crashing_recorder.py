"""Records in forks of one process, each until it is killed, for `tests/test_crash.py`.

``python crashing_recorder.py FOLDER ACK URL`` forks a recorder for each line on its standard input, and
prints its process id; when that has ended, it prints ``dead``. What the recorder has seen of the feed, it
writes into the file ACK, which is mapped into memory and so outlives it.
"""

import asyncio
import mmap
import os
import signal
import sys
from pathlib import Path

from chaosnb.ingest.connection import Connection
from chaosnb.ingest.session import Session
from chaosnb.protocol.signing import Identity
from chaosnb.store.recorder import Recorder


async def record(folder: Path, ack: mmap.mmap, url: str) -> None:
    """Record until killed."""
    session = Session(["network"], Identity.generate())
    recorder = Recorder(
        folder,
        source=url,
        simulated=True,
        topics=["network"],
        lateness_s=2.0,
        version="1",
        segment_bytes=60_000,
    )
    connection = Connection(url=url, session=session, tap=recorder)
    async for batch in connection.batches():
        if "agent_status" in batch.rows:
            seen = int(batch.rows["agent_status"].events[-1].reason)
            ack[:8] = seen.to_bytes(8, "little")


def main() -> None:
    """Fork a recorder for each line."""
    folder, ack_path, url = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    with ack_path.open("r+b") as file:
        ack = mmap.mmap(file.fileno(), 8)
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            asyncio.run(record(folder, ack, url))
            os._exit(1)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print("dead" if os.WIFSIGNALED(status) else f"ended by itself: {status}", flush=True)


if __name__ == "__main__":
    main()
