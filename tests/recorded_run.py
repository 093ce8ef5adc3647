"""A run of a faulty network that is recorded in virtual time, and what its live stream held."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

import pandas as pd

from chaosnb.devnet.faults import Cut, Faults, Flood, Garbage, Refuse, Stall
from chaosnb.ingest.connection import Connection
from chaosnb.ingest.link import Link
from chaosnb.ingest.pace import Silence
from chaosnb.ingest.session import Batch, Session
from chaosnb.protocol.signing import Identity
from chaosnb.store.dataset import Dataset
from chaosnb.store.recorder import Recorder
from chaosnb.tables.activity import ACTIVITY
from chaosnb.tables.aggregates import AGGREGATES
from chaosnb.tables.capture import Capture, drift_frame
from chaosnb.tables.ledgers import gap_frame
from chaosnb.tables.retention import parse_retention
from chaosnb.tables.tallies import TALLIES
from tests.faulty_network import FaultyNetwork

__all__ = ["FAULTS", "TOPICS", "URL", "Seen", "frames_of", "listen", "pump", "recorder_of"]

URL = "ws://node.example/ws/v1"
TOPICS = ("blocks", "consensus", "network", "social")
FAULTS = Faults(
    seed=3,
    drop=0.02,
    duplicate=0.03,
    reorder=0.05,
    delay=0.05,
    garbage=0.02,
    max_delay_s=4.0,
    cut=0.05,
    cuts=("reset", "half-open", 1001, 1013),
    stall=0.03,
    stall_s=4.0,
    refuse=0.2,
    replay_s=2.0,
    script=((9.0, Flood(40)), (12.0, Stall(6)), (20.0, Cut()), (20.1, Refuse(3.0)), (25.0, Garbage(b"\n{"))),
)


class Seen:
    """What a stream holds in the end, to be compared."""

    def __init__(self, capture: Capture, session: Session, link: Link) -> None:
        self.frames = {name: table.snapshot() for name, table in capture.tables.items()}
        self.frames |= {name: capture.aggregates.value(name, window_s=None) for name in AGGREGATES}
        self.frames["gaps"] = gap_frame(link.ledger.gaps)
        self.frames["rejects"] = capture.rejects()
        self.frames["incidents"] = capture.incidents()
        self.frames["drift"] = drift_frame(session.drift)
        self.frames["memory"] = capture.memory()[["rows", "evicted"]]
        self.counts = {
            "events": capture.events,
            "frames": capture.frames,
            "rejected": capture.rejected,
            "filtered": capture.filtered,
            "duplicates": capture.duplicates,
            "late": capture.late,
            "closed holes": link.ledger.closed,
        }
        self.known = (session.topics, session.simulated, link.skew_s, link.ledger.complete_spans)
        self.plotted = _plotted(capture)

    def assert_equal(self, other: Seen) -> None:
        assert self.counts == other.counts
        assert self.known == other.known
        for one, another in ((self.frames, other.frames), (self.plotted, other.plotted)):
            for name, frame in one.items():
                pd.testing.assert_frame_equal(frame, another[name], check_exact=True, obj=name)


class Companion(Protocol):
    """What reads a recording along."""

    def begin(self, folder: Path, network: FaultyNetwork, retain: str | int | None) -> None:
        """Begin, in the running loop."""

    async def stop(self, frames: int) -> None:
        """End, once it has so many frames."""


def frames_of(data: Dataset) -> dict[str, pd.DataFrame]:
    """Return what a stream, or a moment of one, shows, by the names of `Seen.frames`."""
    frames = data.frames() | {name: data.aggregate(name, window_s=None) for name in AGGREGATES}
    ledgers = {name: getattr(data, name) for name in ("gaps", "rejects", "incidents", "drift")}
    return frames | ledgers | {"memory": data.memory[["rows", "evicted"]]}


def pump(capture: Capture, link: Link) -> Callable[[Batch], None]:
    _plotted(capture)  # from the beginning, since they are kept up once somebody has asked

    def take(batch: Batch) -> None:
        capture.accept(batch)
        for name, forgotten_us in capture.forgotten_us.items():
            link.ledger.evict(name, forgotten_us)

    return take


def _plotted(capture: Capture) -> dict[str, pd.DataFrame]:
    tables = capture.tables
    found = {name: capture.tallies.value(name, lambda table: tables[table].snapshot()) for name in TALLIES}
    return found | {name: capture.aggregates.value(name, window_s=None) for name in ACTIVITY}


def recorder_of(folder: Path, network: FaultyNetwork, **options: object) -> Recorder:
    return Recorder(
        folder,
        source=URL,
        simulated=False,
        topics=TOPICS,
        lateness_s=1.5,
        version="1",
        wall_ns=network.clock.wall_ns,
        monotonic=network.clock.monotonic,
        **options,  # type: ignore[arg-type]
    )


async def listen(
    folder: Path,
    network: FaultyNetwork,
    *,
    retain: str | int | None = None,
    follower: Companion | None = None,
    looks: dict[float, tuple[int, Seen] | None] | None = None,
    **options: object,
) -> Seen:
    """Record a network that fails, from its beginning to its end, and return what the live stream held.

    A follower reads along from some time on. What is held after so many seconds goes
    into `looks`, with the time of arrival of then in nanoseconds since the epoch.
    """
    tap = recorder_of(folder, network, **options)
    session = Session(TOPICS, Identity.generate(), lateness_s=1.5)
    capture = Capture(network.clock.monotonic, parse_retention(retain), network.clock.wall_ns)
    connection = Connection(
        url=URL,
        session=session,
        connect=network,
        silence=Silence(3.0),
        clock=network.clock,
        rng=random.Random(5),
        on_incident=capture.note,
        tap=tap,
    )
    take = pump(capture, connection)

    async def run() -> None:
        async with aclosing(connection.batches()) as batches:
            async for batch in batches:
                take(batch)

    async def change_topics() -> None:
        await asyncio.sleep(15)
        await connection.unsubscribe(["social", "network"])
        await asyncio.sleep(8)
        await connection.subscribe("memes")
        await connection.subscribe("network")

    async def look(after_s: float) -> None:
        await asyncio.sleep(after_s)
        assert looks is not None
        looks[after_s] = network.clock.wall_ns(), Seen(capture, session, connection)

    tasks = [asyncio.create_task(run()), asyncio.create_task(change_topics())]
    tasks += [asyncio.create_task(look(after_s)) for after_s in looks or ()]
    if follower is not None:
        follower.begin(folder, network, retain)
    await network.settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tap.close()
    if follower is not None:
        await follower.stop(capture.frames)
    return Seen(capture, session, connection)
