"""The beat of the node: runs the model by the clock, or as fast as clients take its events."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from chaosnb.devnet.audience import Audience
from chaosnb.devnet.emitter import Emitter
from chaosnb.devnet.model import Model
from chaosnb.devnet.sent import Recorder

__all__ = ["Broadcast"]

_TICK_S: Final = 0.025
_SLICE_EVENTS: Final = 256


class Broadcast:
    """Drives a model and offers its events to the clients.

    Parameters
    ----------
    model : Model
    emitter : Emitter
        Gives the model's events as messages.
    recorder : Recorder
        Writes down what was emitted.
    rate : float
        Mean events per second of event time.
    speed : float or None
        Seconds of event time per second; None: as fast as clients take it.
    duration_us : int or None
        End of the events, in microseconds of event time.
    audience : Audience
        The clients.
    """

    def __init__(
        self,
        model: Model,
        *,
        emitter: Emitter,
        recorder: Recorder,
        rate: float,
        speed: float | None,
        duration_us: int | None,
        audience: Audience,
    ) -> None:
        self._model = model
        self._emitter = emitter
        self._recorder = recorder
        self._speed = speed
        self._duration_us = duration_us
        self._audience = audience
        # The loop must come round often, so that a slice holds a few hundred events at most.
        self._slice_us = max(1, int(_SLICE_EVENTS / rate * 1e6))
        self._began_ns: int | None = None

    async def run(self) -> None:
        """Run to the end of the events; returns once every client has what it is due."""
        self._audience.begin()
        await (self._run_freely() if self._speed is None else self._run_by_clock(self._speed))
        await self._audience.finish()

    async def _run_by_clock(self, speed: float) -> None:
        if self._began_ns is None:
            self._began_ns = time.monotonic_ns()
        while not self._is_over():
            due_us = int((time.monotonic_ns() - self._began_ns) / 1000 * speed)
            while self._model.time_us < due_us and not self._is_over():
                self._advance(min(due_us, self._model.time_us + self._slice_us))
                await asyncio.sleep(0)
            await asyncio.sleep(_TICK_S)

    async def _run_freely(self) -> None:
        while not self._is_over():
            await self._audience.subscribed()
            self._advance(self._model.time_us + self._slice_us)
            await asyncio.sleep(0)
            await self._audience.ready()

    def _is_over(self) -> bool:
        return self._duration_us is not None and self._model.time_us >= self._duration_us

    def _advance(self, until_us: int) -> None:
        if self._duration_us is not None:
            until_us = min(until_us, self._duration_us)
        messages = self._emitter.step(until_us, self._audience.wanted)
        self._recorder.emit(messages)
        self._audience.offer(messages)
