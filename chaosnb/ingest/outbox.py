"""The outbox: the greeting of each link, and topics added later, sent no faster than the node allows."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from chaosnb.errors import TransportError
from chaosnb.ingest.clocks import Clock
from chaosnb.ingest.closing import asked_wait_s
from chaosnb.ingest.pace import SendPace
from chaosnb.ingest.session import Session
from chaosnb.ingest.transport import Transport

__all__ = ["Outbox"]

_GREETING: Final = 2
_FIRST_HOLD_S: Final = 1.0
_LONGEST_HOLD_S: Final = 60.0


class Outbox:
    """Sends what the session has to say, over one link after the other.

    Parameters
    ----------
    session : Session
    clock : Clock
    pace : SendPace
        Counts over all links.

    Attributes
    ----------
    answered : bool
        Whether events have come over this link, which proves that the greeting was heard.
    limited : bool
        Whether the node has said over this link that it was sent too much.
    """

    def __init__(self, *, session: Session, clock: Clock, pace: SendPace | None = None) -> None:
        self._session = session
        self._clock = clock
        self._pace = pace or SendPace()
        self._turn = asyncio.Lock()
        self._transport: Transport | None = None
        self._asked: tuple[str, ...] = ()
        self._holds = 0
        self._held_at_s = 0.0
        self.answered = False
        self.limited = False

    @property
    def wait_s(self) -> float:
        """Seconds until a link could be greeted."""
        return self._pace.wait_s(self._clock.monotonic(), _GREETING)

    async def open(self, transport: Transport) -> None:
        """Send over this link from now on, first of all the greeting."""
        self._transport = transport
        self.answered = self.limited = False
        with suppress(TransportError):  # `receive` says so as well, after what came before the loss
            await self._greet()

    def close(self) -> None:
        """Send nothing more over this link."""
        self._transport = None

    async def ask(self) -> None:
        """Ask for topics that this link was not asked for; without effect while it must wait.

        Many calls amount to one message, since each asks for all topics.
        """
        missing = not set(self._session.topics) <= set(self._asked)
        if not missing or self._transport is None or self._turn.locked() or self.wait_s:
            return
        with suppress(TransportError):  # the next link is greeted anew
            if self._session.connection_id is None and not self.answered:
                await self._greet()
            else:
                self._asked = self._session.topics
                await self._send(self._session.ask())

    def hold(self, details: object) -> float | None:
        """Send nothing for as long as a refusal's details ask, or else for a growing while.

        Then what may have been refused is sent again. Returns the seconds; None if it is waiting already.
        """
        now_s = self._clock.monotonic()
        self.limited = True
        asked_s = asked_wait_s(details)
        if held := self._pace.held(now_s):
            hold_s = asked_s or 0.0
        else:
            self._holds = 0 if now_s - self._held_at_s > 2 * _LONGEST_HOLD_S else self._holds
            growing_s = min(_LONGEST_HOLD_S, _FIRST_HOLD_S * 2**self._holds)
            self._holds = min(self._holds + 1, 16)
            hold_s = growing_s if asked_s is None else asked_s
        self._held_at_s = now_s
        self._pace.hold(now_s + hold_s)
        self._asked = ()
        return None if held else hold_s

    async def _greet(self) -> None:
        self._asked = self._session.topics
        for message in self._session.greet(self._clock.wall_ns()):
            await self._send(message)

    async def _send(self, message: str) -> None:
        # One after the other, and counted when it is out: so none is ever on its way uncounted.
        async with self._turn:
            while (wait_s := self._pace.wait_s(self._clock.monotonic())) > 0:
                await self._clock.sleep(wait_s)
            if self._transport is not None:
                try:
                    await self._transport.send(message)
                finally:
                    self._pace.note(self._clock.monotonic())
