"""A recording as a node: sends what was recorded, as it came, to any client that speaks the protocol.

It stands beside the path of the data: `chaosnb.store` reads, `chaosnb.devnet` serves.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from chaosnb.devnet.admission import Admission
from chaosnb.devnet.audience import Audience
from chaosnb.devnet.node import Node
from chaosnb.devnet.outbox import Policy
from chaosnb.devnet.outgoing import Outgoing, outgoing
from chaosnb.devnet.registry import Registry
from chaosnb.devnet.sent import Recorder
from chaosnb.errors import RecordingError
from chaosnb.ingest.clocks import Clock
from chaosnb.ingest.intake import ClockSet
from chaosnb.protocol.codec import decode_all
from chaosnb.protocol.events import Control, Frame, Reject, event_type
from chaosnb.store.journal import JournalReader, Opened, Record, decode_frames, decode_note
from chaosnb.store.places import Place, start_of
from chaosnb.store.playhead import Playhead

__all__ = ["ServedRecording"]

_LAST: Final = 2**62
_PATIENCE_S: Final = 10.0
_QUEUE_FRAMES: Final = 100_000
_QUEUE_BYTES: Final = 2**28
# The types that everybody gets who has subscribed to anything.
_TO_ALL: Final = "error"

_logger: Final = logging.getLogger("chaosnb.serving")
_logger.addHandler(logging.NullHandler())


class ServedRecording:
    """Serves a recording once, from its beginning, to all clients alike; a context manager.

    It begins when the first client has subscribed; who comes later gets what comes then, as from any node.
    Each gets the events of its topics, and what could not be read, byte for byte; the answers that the node
    gave to whoever recorded are left out. At its end the links stay, and nothing comes any more.

    Parameters
    ----------
    folder : Path
        The recording.
    port : int
        0: a free one is taken.
    host : str
        Address to listen on.
    speed : float, optional
        How many times as fast as it came. None: as fast as clients take it.
    report : callable
        Told, in the node's thread, what happens.

    Attributes
    ----------
    ended : threading.Event
        Set once all of it is handed to the clients, or it failed.
    failure : RecordingError or None
        Why it could not be read on.
    messages : int
        How many messages were offered so far.

    Raises
    ------
    RecordingError
        If there is no recording, or it is damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        speed: float | None = 1.0,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.ended: Final = threading.Event()
        self.failure: RecordingError | None = None
        self.messages = 0
        self._folder = folder
        self._start = start_of(folder)
        self._speed = speed
        self._report = report
        self._playhead = Playhead(speed=speed, clock=Clock())
        # In its last segment it is known by all means.
        feed = _Feed(simulated=start_of(folder, record=_LAST).opened.simulated, recording=folder.name)
        registry = Registry(
            admission=Admission(lambda: time.time_ns() // 1_000, frozenset()),
            policy=Policy(_QUEUE_FRAMES, _QUEUE_BYTES, _PATIENCE_S if speed is None else None),
            recorder=Recorder(keeps=False),
            feed=feed,
            faults=None,
            clock_us=lambda: time.time_ns() // 1_000,
        )
        self._audience = Audience(lambda: registry.clients)
        self._node = Node(
            host=host,
            port=port,
            registry=registry,
            beat=self._beat,
            notice=self._audience.notice,
            logger=_logger,
        )

    @property
    def url(self) -> str:
        """The WebSocket address."""
        return self._node.url

    def __enter__(self) -> Self:
        self._node.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._node.close()

    async def _beat(self) -> None:
        self._audience.begin()
        try:
            await self._audience.subscribed()
            self._report(f"a client has subscribed, and {self._folder.name} begins")
            for record in JournalReader(self._folder, first=self._start.segment).read():
                await self._send(record)
            await self._audience.finish()
            self._report(f"{self._folder.name} is at its end; {self.messages:,} messages were sent")
        except RecordingError as error:
            self.failure = error
        finally:
            self.ended.set()

    async def _send(self, record: Record) -> None:
        if record.kind != "f":
            if isinstance(decode_note(record), Opened | ClockSet):
                self._playhead.restart()
            return
        await self._playhead.wait(Place(record.number), record.at_ns)
        messages = _messages(decode_frames(record))
        self.messages += len(messages)
        self._audience.offer(messages)
        if self._speed is None:
            await self._audience.ready()
            await self._audience.subscribed()
        else:
            # The clients' links live in the same loop.
            await asyncio.sleep(0)


class _Feed:
    """The recording, as the clients' links know it."""

    def __init__(self, *, simulated: bool, recording: str) -> None:
        # Neither simulated data nor what is long past must pass for what it is not.
        self.announcement: dict[str, Any] = {"simulated": simulated, "recording": recording}

    @property
    def origin_us(self) -> int:
        """When it began, for faults, of which there are none."""
        return 0

    @property
    def now_us(self) -> int:
        """The time, for the same."""
        return 0

    def replay(self, wanted: frozenset[str]) -> list[Outgoing]:
        """Nothing is sent again."""
        return []


def _messages(frames: list[Frame]) -> list[Outgoing]:
    messages: list[Outgoing] = []
    for frame, item in zip(frames, decode_all(frames), strict=True):
        if isinstance(item, Control):
            continue
        name = _TO_ALL if isinstance(item, Reject) else event_type(item)
        binary = not frame.data.isascii() and not _is_text(frame.data)
        messages.append(outgoing(name, frame.data, frame.received_at_ns // 1_000, binary=binary))
    return messages


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
