"""One client of the node: what it may do, what it has asked for, and what goes wrong on its link."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from chaosnb.devnet.admission import Admission, Refusal
from chaosnb.devnet.faults import Fault, Faults
from chaosnb.devnet.feed import Feed
from chaosnb.devnet.injector import FaultInjector
from chaosnb.devnet.outbox import Outbox, Policy
from chaosnb.devnet.outgoing import Outgoing
from chaosnb.devnet.sent import Recorder
from chaosnb.protocol.events import check_topics, events_of
from chaosnb.protocol.iso8601 import format_timestamp

__all__ = ["Client"]

_WINDOW_S: Final = 60.0
_MESSAGES_PER_WINDOW: Final = 100
_WARNINGS: Final = 20
_NORMAL: Final = 1000
_POLICY_VIOLATION: Final = 1008


class Client:
    """A connected client.

    Parameters
    ----------
    connection : websockets.asyncio.server.ServerConnection
    admission : Admission
    policy : Policy
    recorder : Recorder
        Writes down what was sent.
    feed : Feed
        Tells the node's time, and repeats what a client that comes back is due.
    faults : Faults or None
        What goes wrong on the link; None: nothing.
    clock_us : callable
        Returns the time in microseconds since the epoch.
    on_change : callable
        Called when the client subscribes, has taken frames, or is gone.
    """

    def __init__(
        self,
        connection: ServerConnection,
        *,
        admission: Admission,
        policy: Policy,
        recorder: Recorder,
        feed: Feed,
        faults: Faults | None,
        clock_us: Callable[[], int],
        on_change: Callable[[], None],
    ) -> None:
        self.connection_id: Final = uuid.uuid4().hex
        self._connection = connection
        self._admission = admission
        self._recorder = recorder
        self._feed = feed
        self._link = link = recorder.open()
        self._outbox = Outbox(connection, policy=policy, recorder=recorder, link=link, on_change=on_change)
        self._injector = None if faults is None else self._make_injector(faults)
        self._clock_us = clock_us
        self._on_change = on_change
        self._public_key: str | None = None
        self._topics: tuple[str, ...] = ()
        self._wanted: frozenset[str] = frozenset()
        self._admitted_s: deque[float] = deque(maxlen=_MESSAGES_PER_WINDOW)
        self._warnings = 0
        self._connected_us = self._active_us = clock_us()
        self._messages_received = self._answers_sent = self._answer_bytes = 0

    @property
    def wanted(self) -> frozenset[str]:
        """The event types that the client's topics cover; none after it was cut off."""
        return frozenset() if self._outbox.is_cut else self._wanted

    @property
    def backlog(self) -> int:
        """Number of frames that wait."""
        return len(self._outbox)

    @property
    def record(self) -> dict[str, Any]:
        """What the debug endpoint tells of the connection."""
        is_open = self._connection.state is State.OPEN
        phase = "subscribed" if self._topics else "authenticated" if self._public_key else "connected"
        return {
            "connection_id": self.connection_id,
            "state": phase if is_open else "closed",
            "close_code": self._connection.close_code,
            "public_key": self._public_key,
            "subscriptions": list(self._topics),
            "messages_received": self._messages_received,
            "frames_sent": self._answers_sent + self._outbox.frames_sent,
            "bytes_sent": self._answer_bytes + self._outbox.bytes_sent,
            "queued_frames": len(self._outbox),
            "connected_at": format_timestamp(self._connected_us),
            "last_activity": format_timestamp(self._active_us),
        }

    def offer(self, messages: Sequence[Outgoing]) -> None:
        """Queue the messages that the client wants, or what faults make of them."""
        if self._injector is not None:
            self._outbox.obey(self._injector.inject(self._feed.now_us, messages))
        elif wanted := self.wanted:
            self._outbox.put([message for message in messages if message.event_type in wanted])

    def strike(self, fault: Fault) -> None:
        """Let a fault happen on this link, now."""
        if self._injector is None:
            self._injector = self._make_injector(Faults())
            self._injector.wanted = self._wanted
        self._outbox.obey(self._injector.strike(self._feed.now_us, fault))

    def release(self) -> None:
        """Queue all that faults hold back."""
        if self._injector is not None:
            self._outbox.obey(self._injector.release())

    async def serve(self) -> None:
        """Serve the client until it is gone."""
        sender = asyncio.create_task(self._outbox.run())
        try:
            async for message in self._connection:
                await self._receive(message)
        except ConnectionClosed:
            pass
        finally:
            if self._injector is not None:
                self._recorder.withhold(self._link, self._injector.end())
            self._outbox.cut(_NORMAL)
            await sender
            await self._outbox.farewell()

    def _make_injector(self, faults: Faults) -> FaultInjector:
        return FaultInjector(
            faults,
            connection=self._link.number,
            since_us=self._feed.now_us,
            origin_us=self._feed.origin_us,
        )

    # -- what comes in

    async def _receive(self, message: str | bytes) -> None:
        if self._outbox.is_cut:
            return  # read on nevertheless, or the answer to the close frame would never come
        self._messages_received += 1
        self._active_us = self._clock_us()
        try:
            self._limit_rate()
            await self._obey(_parse(message))
        except Refusal as refusal:
            error = {"code": refusal.code, "message": refusal.message, "details": refusal.details}
            await self._answer({"type": "error", "error": error})
            if refusal.code in ("INVALID_SIGNATURE", "INVALID_AGENT") or self._warnings > _WARNINGS:
                self._outbox.cut(_POLICY_VIOLATION, refusal.code)

    def _limit_rate(self) -> None:
        now_s = asyncio.get_running_loop().time()
        full = len(self._admitted_s) == _MESSAGES_PER_WINDOW
        if full and (free_in_s := self._admitted_s[0] + _WINDOW_S - now_s) > 0:
            self._warnings += 1
            raise Refusal(
                "RATE_LIMITED",
                f"more than {_MESSAGES_PER_WINDOW} messages a minute",
                retry_after_s=round(free_in_s, 3),
            )
        self._warnings = 0
        self._admitted_s.append(now_s)

    async def _obey(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "auth":
                if self._public_key is not None:
                    raise Refusal("INVALID_REQUEST", "this connection is authenticated already")
                self._public_key = self._admission.check(message)
                announcement = {"connection_id": self.connection_id, **self._feed.announcement}
                await self._answer({"type": "auth_success", **announcement})
            case "subscribe":
                await self._subscribe(message.get("topics"))
            case other:
                raise Refusal("INVALID_REQUEST", f"unknown message type {str(other)[:64]!r}")

    async def _subscribe(self, topics: object) -> None:
        if self._public_key is None:
            raise Refusal("INVALID_REQUEST", "authenticate before subscribing")
        if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
            raise Refusal("INVALID_REQUEST", "topics must be a list of text")
        try:
            wanted = check_topics([*self._topics, *(topic[:64] for topic in topics)])
        except ValueError as error:
            raise Refusal("INVALID_REQUEST", str(error)) from None
        await self._answer({"type": "subscribed", "topics": list(wanted)})
        self._topics, self._wanted = wanted, events_of(wanted)
        is_back = self._recorder.subscribe(self._link, self._public_key, self._wanted)
        if self._injector is not None:
            self._injector.wanted = self._wanted
        if is_back:
            self._outbox.put(self._feed.replay(self._wanted))
        self._on_change()

    async def _answer(self, message: dict[str, Any]) -> None:
        text = json.dumps(message)
        await self._connection.send(text)
        self._answers_sent += 1
        self._answer_bytes += len(text)


def _parse(message: str | bytes) -> dict[str, Any]:
    if not isinstance(message, str):
        raise Refusal("INVALID_REQUEST", "messages are JSON text, not binary")
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        raise Refusal("INVALID_REQUEST", "the message is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal("INVALID_REQUEST", "the message is not a JSON object")
    return value
