"""The connection: keeps a session linked to its node, and gives its batches one after the other.

It connects, authenticates, subscribes, and after a loss waits with full jitter before it does so again:
``uniform(0, min(30 s, 0.5 s * 2**attempt))``, after M. Brooker, "Exponential Backoff and Jitter" (AWS
Architecture Blog, 2015). Clock, sleep and randomness are arguments.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final, Literal

from msgspec import Struct

from chaosnb.errors import CredentialsError, TransportError
from chaosnb.ingest.address import shown_url
from chaosnb.ingest.gaps import GapLedger
from chaosnb.ingest.session import Batch, Session
from chaosnb.ingest.transport import Connect, Transport, connect_websocket
from chaosnb.protocol.events import Frame

__all__ = ["Clock", "Connection", "Incident", "State"]

State = Literal["connecting", "authenticating", "live", "reconnecting", "closed", "failed"]

_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 30.0
_STABLE_AFTER_S: Final = 60.0
_BATCH_FRAMES: Final = 1_000
_LOGGED_BYTES: Final = 2_000
_FATAL_CODES: Final = frozenset({"INVALID_SIGNATURE", "INVALID_AGENT"})

_frame_log: Final = logging.getLogger("chaosnb.frames")


class Incident(Struct, frozen=True):
    """A step of the connection.

    `at_ns` is when (nanoseconds since the epoch), `state` the state entered, `detail` what happened, `code`
    the close code or error code, `delay_s` the seconds until the next try.
    """

    at_ns: int
    state: State
    detail: str
    code: str | None = None
    delay_s: float | None = None


class Clock(Struct, frozen=True):
    """Where time comes from: wall clock in ns since the epoch, monotonic seconds, and a way to sleep."""

    wall_ns: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Connection:
    """Keeps `session` linked to the node at `url`.

    Parameters
    ----------
    url : str
    session : Session
    connect : Connect
        Opens a transport.
    clock : Clock
    rng : random.Random
        Draws the jitter.
    on_incident : callable
        Called with each `Incident`.
    """

    def __init__(
        self,
        *,
        url: str,
        session: Session,
        connect: Connect = connect_websocket,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        on_incident: Callable[[Incident], None] = lambda incident: None,
    ) -> None:
        self._url = url
        self._session = session
        self._connect = connect
        self._clock = clock or Clock()
        self._random = rng or random.Random()
        self._on_incident = on_incident
        self._transport: Transport | None = None
        self._attempt = 0
        self.state: State = "connecting"
        self.ledger = GapLedger()

    async def batches(self) -> AsyncGenerator[Batch]:
        """Connect, stay connected, and give every batch; ends only by an error or by cancellation.

        Raises
        ------
        CredentialsError
            If the node refuses the identity.
        """
        self._enter("connecting", f"connecting to {shown_url(self._url)}")
        try:
            while True:
                started = self._clock.monotonic()
                try:
                    self._transport = await self._connect(self._url)
                    self._enter("authenticating", "connected; auth and subscribe go out")
                    await self._send(self._session.greet(self._clock.wall_ns()))
                    while True:
                        frames = await self._transport.receive()
                        for start in range(0, len(frames), _BATCH_FRAMES):
                            batch = self._feed(frames[start : start + _BATCH_FRAMES])
                            yield batch
                            _raise_refusal(batch)
                except TransportError as error:
                    await self._lose(error, started)
        except CredentialsError as error:
            self._enter("failed", str(error), code=error.code)
            raise
        except Exception as error:
            self._enter("failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            await self._close_transport()
            if self.state != "failed":
                self._enter("closed", "closed by the caller")

    async def subscribe(self, topics: str | Iterable[str]) -> None:
        """Add topics, now and at every later connection."""
        messages = self._session.subscribe(topics)
        if self._transport is not None and self.state in ("authenticating", "live"):
            with suppress(TransportError):  # the loop in `batches` sees the loss and subscribes anew
                await self._send(messages)

    def _feed(self, frames: list[Frame]) -> Batch:
        if _frame_log.isEnabledFor(logging.DEBUG):
            for frame in frames:
                _frame_log.debug("%s", ascii(frame.data[:_LOGGED_BYTES])[2:-1])
        batch = self._session.feed(frames)
        if self.state != "live":
            self._enter("live", "the node answers")
            self.ledger.close(frames[0].received_at_ns)
        self.ledger.watch(self._session.topics)
        self.ledger.feed(batch)
        return batch

    async def _send(self, messages: list[str]) -> None:
        if self._transport is not None:
            for message in messages:
                await self._transport.send(message)

    async def _lose(self, error: TransportError, started: float) -> None:
        now_ns = self._clock.wall_ns()
        if self._clock.monotonic() - started >= _STABLE_AFTER_S:
            self._attempt = 0
        delay_s = self._random.uniform(0, min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2**self._attempt))
        self._attempt = min(self._attempt + 1, 16)
        if self.state == "live":
            self.ledger.open("disconnected", now_ns, self._session.topics)
        detail = error.reason if error.code is None else f"the link was lost: {error.reason}"
        code = None if error.code is None else str(error.code)
        self._enter("reconnecting", detail, code=code, delay_s=delay_s)
        await self._close_transport()
        await self._clock.sleep(delay_s)

    async def _close_transport(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            with suppress(TransportError):
                await transport.close()

    def _enter(
        self, state: State, detail: str, *, code: str | None = None, delay_s: float | None = None
    ) -> None:
        self.state = state
        self._on_incident(Incident(self._clock.wall_ns(), state, detail, code, delay_s))


def _raise_refusal(batch: Batch) -> None:
    for error in batch.errors:
        if error.code in _FATAL_CODES:
            raise CredentialsError(error.code, error.message)
