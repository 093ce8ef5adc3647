"""The connection: keeps a session linked to its node, and gives its batches one after the other.

It connects, authenticates, subscribes, and after a loss waits with full jitter before it does so again:
``uniform(0, min(30 s, 0.5 s * 2**attempt))``, after M. Brooker, "Exponential Backoff and Jitter" (AWS
Architecture Blog, 2015); `closing` says when it waits longer and when it gives up. Beside that, one task
watches the clocks and the silence. Clock, sleep and randomness are arguments.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from typing import Final

from chaosnb.errors import CredentialsError, TransportError
from chaosnb.ingest.address import shown_url
from chaosnb.ingest.clocks import Clock, ClockWatch
from chaosnb.ingest.closing import judge, judge_loss
from chaosnb.ingest.gaps import Cause
from chaosnb.ingest.intake import ClockSet, Incident, Intake, LinkLost, State, Tap, TopicsSet
from chaosnb.ingest.link import Link
from chaosnb.ingest.outbox import Outbox
from chaosnb.ingest.pace import Silence
from chaosnb.ingest.session import Batch, Session
from chaosnb.ingest.transport import Connect, Transport, connect_websocket
from chaosnb.protocol.events import ErrorEvent, Frame
from chaosnb.text import printable

__all__ = ["Clock", "Connection", "Incident", "State"]

_FIRST_DELAY_S: Final = {"retry": 0.5, "back_off": 10.0}
_LONGEST_DELAY_S: Final = {"retry": 30.0, "back_off": 300.0}
_STABLE_AFTER_S: Final = 60.0
_LOOK_S: Final = 1.0
_SAME_ERROR_S: Final = 60.0
_ERRORS_TOLD: Final = 10
# Before the first frame of all: a quiet network is likelier than a link that is dead.
_PATIENCE: Final = 10
_BATCH_FRAMES: Final = 1_000
_LOGGED_BYTES: Final = 2_000
_SHOWN: Final = 200

_frame_log: Final = logging.getLogger("chaosnb.frames")


class Connection(Link):
    """Keeps `session` linked to the node at `url`.

    Parameters
    ----------
    url : str
    session : Session
    connect : Connect
        Opens a transport.
    silence : Silence
        Says after how long a silence the feed counts as stale, and when the link is given up for it.
    clock : Clock
    rng : random.Random
        Draws the jitter.
    on_incident : callable
        Called with each `Incident`.
    tap : Tap, optional
        Records everything that comes. None: nothing is recorded.
    between_s : float
        The shortest time from one batch to the next: a batch of one event costs as much as fifty in one of
        a thousand.
    """

    def __init__(
        self,
        *,
        url: str,
        session: Session,
        connect: Connect = connect_websocket,
        silence: Silence | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        on_incident: Callable[[Incident], None] = lambda incident: None,
        tap: Tap | None = None,
        between_s: float = 0.002,
    ) -> None:
        super().__init__(Intake(session, on_incident, tap))
        self._url = url
        self._session = session
        self._connect = connect
        self._clock = clock or Clock()
        self._random = rng or random.Random()
        self._silence = silence or Silence()
        self._outbox = Outbox(session=session, clock=self._clock)
        self._transport: Transport | None = None
        self._attempt = 0
        self._told_at_s: dict[str, float] = {}
        self._receiver: asyncio.Task[object] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._waits_since: float | None = None
        self._between_s = between_s
        self._next_s = 0.0
        self._given_up: TransportError | None = None

    async def batches(self) -> AsyncGenerator[Batch]:
        """Connect, stay connected, and give every batch; ends only by an error or by cancellation.

        Raises
        ------
        CredentialsError
            If the node refuses the identity.
        """
        self._enter("connecting", f"connecting to {shown_url(self._url)}")
        self._given_up = None
        watch = asyncio.ensure_future(self._watch())
        try:
            while True:
                started = self._clock.monotonic()
                try:
                    self._transport = await self._connect(self._url)
                    self._enter("authenticating", "connected; auth and subscribe go out")
                    await self._outbox.open(self._transport)
                    while True:
                        frames = await self._receive(self._transport)
                        for start in range(0, len(frames), _BATCH_FRAMES):
                            batch = self._feed(frames[start : start + _BATCH_FRAMES])
                            yield batch
                            if errors := batch.errors:
                                self._heed(errors)
                except TransportError as error:
                    await self._lose(error, started)
        except CredentialsError as error:
            self._enter("failed", str(error), code=error.code)
            raise
        except Exception as error:
            self._enter("failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await self._close_transport()
            if self.state != "failed":
                self._enter("closed", "closed by the caller")

    async def subscribe(self, topics: str | Iterable[str]) -> None:
        """Add topics, now and at every later connection."""
        self._session.subscribe(topics)
        self._intake.note(TopicsSet(self._session.topics))
        await self._outbox.ask()

    async def unsubscribe(self, topics: str | Iterable[str]) -> None:
        """Drop topics: their events are left out, and not asked for at the next connection."""
        self._session.unsubscribe(topics)
        self._intake.note(TopicsSet(self._session.topics))

    # -- what comes in

    async def _receive(self, transport: Transport) -> list[Frame]:
        self._receiver = asyncio.current_task()
        # Whoever takes long over a batch is not the node: only waiting for it is silence.
        self._waits_since = self._clock.monotonic()
        try:
            # A batch of some costs little more than one of a single event, and whoever computes in another
            # thread has the time. After a silence, nothing waits.
            if (wait_s := self._next_s - self._waits_since) > 0:
                await self._clock.sleep(wait_s)
            frames = await transport.receive()
            now_s = self._clock.monotonic()
            self._next_s = now_s + self._between_s
            self._silence.note(now_s, now_s - self._waits_since)
        except asyncio.CancelledError:
            if self._given_up is None or self._receiver is None or self._receiver.uncancel() > 0:
                raise
            raise self._given_up from None
        finally:
            self._waits_since = self._receiver = None
        return frames

    def _feed(self, frames: list[Frame]) -> Batch:
        if _frame_log.isEnabledFor(logging.DEBUG):
            for frame in frames:
                _frame_log.debug("%s", ascii(frame.data[:_LOGGED_BYTES])[2:-1])
        if (said := self._intake.record(frames)) is not None:
            self._enter(self.state, said)
        batch = self._intake.feed(frames)
        self._outbox.answered = self._outbox.answered or len(batch.times_us) > 0
        if self.state != "live":
            self._enter("live", "frames come again" if self.state == "stale" else "the node answers")
        return batch

    def _heed(self, errors: list[ErrorEvent]) -> None:
        for error in errors:
            verdict = judge(error.code)
            if verdict.action == "give_up":
                raise CredentialsError(error.code, error.message)
            if verdict.action == "retry":
                self._tell_error(error, "the stream goes on")
            elif (hold_s := self._outbox.hold(error.details)) is not None:
                self._tell_error(error, f"nothing is sent for {hold_s:.1f} s")

    def _tell_error(self, error: ErrorEvent, consequence: str) -> None:
        """Note an error, but no more than a few a minute; each is in the table of errors anyway."""
        code, now_s = printable(error.code, _SHOWN), self._clock.monotonic()
        self._told_at_s = {
            code: at_s for code, at_s in self._told_at_s.items() if now_s - at_s < _SAME_ERROR_S
        }
        if code not in self._told_at_s and len(self._told_at_s) < _ERRORS_TOLD:
            self._told_at_s[code] = now_s
            detail = f"the node reports {code}: {printable(error.message, _SHOWN)}; {consequence}"
            self._enter(self.state, detail, code=code)

    # -- how a link ends

    async def _watch(self) -> None:
        """Look after the clocks, the silence and what could not be sent at once, about once a second."""
        clock = self._clock
        watch = ClockWatch(clock.wall_ns(), clock.monotonic())
        while True:
            pause_s = min(_LOOK_S, self._silence.bound_s / 4)
            before_s = clock.monotonic()
            await clock.sleep(pause_s)
            now_s = clock.monotonic()
            if jump_s := watch.jump_s(clock.wall_ns(), now_s):
                self._intake.note(ClockSet())
                detail = f"this machine's clock jumped by {jump_s:+.1f} s: it was set, or the machine slept"
                self._enter(self.state, detail)
            if self._waits_since is not None:
                if now_s - before_s > 2 * pause_s + _LOOK_S:
                    # Held up, maybe by the machine's sleep: then it is we who have not looked.
                    self._waits_since = now_s
                self._judge_silence(now_s - self._waits_since)
            # In a task of its own, since a send may be held up for long by a node that does not read.
            if self._asking is None or self._asking.done():
                self._asking = asyncio.ensure_future(self._outbox.ask())

    def _judge_silence(self, silence_s: float) -> None:
        awaited = self.state in ("stale", "authenticating")
        at_first = self._intake.last_frame_ns == 0
        drop_s = self._silence.drop_s * (_PATIENCE if at_first else 1)
        if self.state == "live" and silence_s >= self._silence.bound_s:
            self._intake.note(LinkLost("stale"))
            self._enter("stale", f"no frame for {silence_s:.1f} s, though the link stands")
        elif awaited and silence_s >= drop_s and self._given_up is None:
            # How long the first frame takes says nothing of the pace.
            self._silence.lose(None if at_first else silence_s)
            self._given_up = TransportError(f"no frame for {silence_s:.1f} s, so a new link is made")
            if self._receiver is not None:
                self._receiver.cancel()

    async def _lose(self, error: TransportError, started: float) -> None:
        verdict = judge_loss(error)
        code = error.code if error.status is None else error.status
        if verdict.action == "give_up":
            raise CredentialsError(f"HTTP {error.status}", error.reason) from error
        if self._given_up is None:
            self._silence.lose(None)
        cause: Cause = "server_overload" if self._outbox.limited else verdict.cause
        if self.state in ("live", "stale"):
            self._intake.note(LinkLost(cause))
        delay_s = self._delay_s(verdict.action, error, self._clock.monotonic() - started)
        lost = error.reason if error.code is None else f"the link was lost: {error.reason}"
        detail = f"{lost}; {verdict.advice}" if verdict.advice else lost
        self._enter("reconnecting", detail, code=None if code is None else str(code), delay_s=delay_s)
        await self._close_transport()
        self._given_up = None
        await self._clock.sleep(delay_s)

    def _delay_s(self, action: str, error: TransportError, lasted_s: float) -> float:
        if lasted_s >= _STABLE_AFTER_S:
            self._attempt = 0
        longest_s = min(_LONGEST_DELAY_S[action], _FIRST_DELAY_S[action] * 2**self._attempt)
        self._attempt = min(self._attempt + 1, 16)
        delay_s = (error.retry_after_s or 0.0) + self._random.uniform(0, longest_s)
        return max(delay_s, self._outbox.wait_s)

    async def _close_transport(self) -> None:
        transport, self._transport = self._transport, None
        self._outbox.close()
        if self._asking is not None:
            self._asking.cancel()
        if transport is not None:
            with suppress(TransportError):
                await transport.close()
        if self._asking is not None:
            await asyncio.gather(self._asking, return_exceptions=True)

    def _enter(
        self, state: State, detail: str, *, code: str | None = None, delay_s: float | None = None
    ) -> None:
        self._intake.note(Incident(self._clock.wall_ns(), state, detail, code, delay_s))
