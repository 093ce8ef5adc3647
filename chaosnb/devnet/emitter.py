"""From the model's events to messages on the wire: encoded once, numbered, stamped by the node's clock."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec

from chaosnb.devnet.faults import Faults
from chaosnb.devnet.model import Model
from chaosnb.devnet.outgoing import Outgoing, outgoing
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import Event, event_type
from chaosnb.protocol.iso8601 import format_timestamp, parse_timestamps

__all__ = ["Emitter"]

_STAMP_US: Final = 1_000


class Emitter:
    """Runs a model and gives its events as messages.

    Parameters
    ----------
    model : Model
    faults : Faults
        What is wrong with the node's clock, and how much it repeats.
    traced : bool
        Whether every event is given, numbered and with its own time, or only what is wanted.

    Examples
    --------
    >>> emitter = Emitter(Model(seed=7), Faults(skew_s=3.0), traced=True)
    >>> [message.number for message in emitter.step(500_000, frozenset())][:3]
    [0, 1, 2]
    """

    def __init__(self, model: Model, faults: Faults, *, traced: bool) -> None:
        self._model = model
        self._faults = faults
        self._traced = traced
        self._is_shifted = bool(faults.skew_s or faults.drift)
        self._recent: deque[Outgoing] = deque()
        self._emitted = 0
        self.origin_us: Final = model.start_us + faults.shift_us(0)

    @property
    def announcement(self) -> dict[str, Any]:
        """What the node says of itself: simulated data must never pass for real."""
        return {"simulated": True}

    @property
    def now_us(self) -> int:
        """The time by the node's clock, in microseconds since the epoch."""
        elapsed_us = self._model.time_us
        return self._model.start_us + elapsed_us + self._faults.shift_us(elapsed_us)

    def step(self, until_us: int, wanted: frozenset[str]) -> list[Outgoing]:
        """Go on to a moment, in microseconds of event time, and return what happened, in order."""
        events = self._model.step(until_us)
        if self._traced:
            return self._trace(events)
        now_us = self.now_us
        messages: list[Outgoing] = []
        for event in events:
            if (name := event_type(event)) in wanted:
                messages.append(outgoing(name, encode(event), now_us))
        return messages

    def replay(self, wanted: frozenset[str]) -> list[Outgoing]:
        """Return what a client that comes back is sent again."""
        return [message._replace(fate="replayed") for message in self._recent if message.event_type in wanted]

    def _trace(self, events: list[Event]) -> list[Outgoing]:
        times_us = parse_timestamps([event.timestamp for event in events]).tolist()  # type: ignore[attr-defined]
        messages: list[Outgoing] = []
        for event, time_us in zip(events, times_us, strict=True):
            if self._is_shifted:
                time_us += self._faults.shift_us(time_us - self._model.start_us)
                time_us -= time_us % _STAMP_US
                event = msgspec.structs.replace(event, timestamp=format_timestamp(time_us))
            messages.append(outgoing(event_type(event), encode(event), time_us, self._emitted))
            self._emitted += 1
        if self._faults.replay_s:
            self._recent += messages
            since_us = self.now_us - int(self._faults.replay_s * 1e6)
            while self._recent and self._recent[0].time_us < since_us:
                self._recent.popleft()
        return messages
