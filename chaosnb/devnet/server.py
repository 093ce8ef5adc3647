"""The simulated node: a WebSocket and HTTP server on a loopback port, in a thread of its own."""

from __future__ import annotations

import logging
import math
import threading
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from chaosnb.devnet.admission import Admission
from chaosnb.devnet.agents import Parameters, Truth
from chaosnb.devnet.audience import Audience
from chaosnb.devnet.broadcast import Broadcast
from chaosnb.devnet.emitter import Emitter
from chaosnb.devnet.faults import Cut, Fault, Faults, Flood, Garbage, How, Refuse, Stall
from chaosnb.devnet.http_api import refusal
from chaosnb.devnet.model import Model
from chaosnb.devnet.node import Node
from chaosnb.devnet.outbox import Policy
from chaosnb.devnet.refusals import Refusals
from chaosnb.devnet.registry import Registry
from chaosnb.devnet.sent import Recorder, Sent
from chaosnb.devnet.severing import reset

__all__ = ["Devnet"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# A node must not print into a notebook; who wants to see its log attaches a handler.
_logger: Final = logging.getLogger("chaosnb.devnet")
_logger.addHandler(logging.NullHandler())


class Devnet:
    """A simulated ChaosChain node whose agents are seeded and whose truth is published.

    Use it as a context manager, or call `start` and `close`. The network goes on while the node is closed
    between two starts (not with ``speed=None``), so that clients miss what happened meanwhile.

    Parameters
    ----------
    seed : int
        The same seed and `start` give the same events to the byte.
    rate : float
        Mean events per second of event time.
    agents : int
        Number of validators, from 4 to 100.
    port : int
        0: a free one is taken, and kept for later starts.
    host : str
        Address to listen on.
    speed : float, optional
        Seconds of event time per second. None: as fast as clients take the events, none of which is dropped,
        and only while a client is subscribed.
    start : datetime.datetime, optional
        Event time of the beginning, with a time zone. None: now.
    parameters : Parameters, optional
        What drives the agents.
    duration : float, optional
        Seconds of event time after which nothing more is sent. None: endless.
    faults : Faults or str, optional
        What goes wrong on the links, by chance and by script; text as `Faults.parse` reads it. None: nothing,
        until `cut`, `stall`, `flood`, `garbage` or `refuse_for` is called.
    record : bool, optional
        Whether `sent` keeps every event and what became of it, which takes memory without bound. None: if
        `faults` are given.
    refuse : frozenset of str, optional
        Public keys that are turned away with ``INVALID_AGENT``.
    patience_s : float
        With ``speed=None``: how long a client may take nothing before it is cut off, in seconds.
    queue_frames, queue_bytes : int
        How much may wait for one client before it is cut off with close code 1013.

    Examples
    --------
    >>> with Devnet(seed=7, rate=200) as node:
    ...     node.url
    'ws://127.0.0.1:.../ws/v1'
    """

    def __init__(
        self,
        seed: int = 7,
        rate: float = 20.0,
        agents: int = 24,
        port: int = 0,
        host: str = "127.0.0.1",
        speed: float | None = 1.0,
        start: datetime | None = None,
        parameters: Parameters | None = None,
        duration: float | None = None,
        *,
        faults: Faults | str | None = None,
        record: bool | None = None,
        refuse: frozenset[str] | None = None,
        patience_s: float = 10.0,
        queue_frames: int = 20_000,
        queue_bytes: int = 16 * 2**20,
    ) -> None:
        for name, value in (("speed", speed), ("duration", duration), ("patience_s", patience_s)):
            if value is not None and not (
                isinstance(value, int | float) and math.isfinite(value) and value > 0
            ):
                raise ValueError(f"{name} is {value!r}; it must be a finite number above 0")
        if start is not None and start.tzinfo is None:
            raise ValueError("start has no time zone; give one, such as datetime.UTC")
        moment = start if start is not None else datetime.now(UTC)
        self._model = Model(seed, agents, rate, (moment - _EPOCH) // timedelta(microseconds=1), parameters)
        if isinstance(faults, str):
            faults = Faults.parse(faults)
        if not isinstance(faults, Faults | None):
            raise TypeError(f"faults is {faults!r}; it must be text such as 'drop=0.01,cut=0.1', or Faults")
        keeps = record if record is not None else faults is not None
        self._recorder = Recorder(keeps=keeps)
        emitter = Emitter(self._model, faults or Faults(), traced=keeps or faults is not None)
        self._refusals = Refusals(faults or Faults())
        self._registry = Registry(
            admission=Admission(_clock_us, refuse or frozenset()),
            # By the clock a client may pause, since the bounds of its queue hold; full speed waits for it.
            policy=Policy(queue_frames, queue_bytes, patience_s if speed is None else None),
            recorder=self._recorder,
            feed=emitter,
            faults=faults,
            clock_us=_clock_us,
        )
        audience = Audience(lambda: self._registry.clients)
        self._broadcast = Broadcast(
            self._model,
            emitter=emitter,
            recorder=self._recorder,
            rate=rate,
            speed=speed,
            duration_us=None if duration is None else int(duration * 1e6),
            audience=audience,
        )
        self._finished = threading.Event()
        self._node = Node(
            host=host,
            port=port,
            registry=self._registry,
            beat=self._beat,
            notice=audience.notice,
            logger=_logger,
            model=self._model,
            turn_away=self._turn_away,
        )

    # -- life

    def start(self) -> Self:
        """Start the node; does nothing if it runs.

        Raises
        ------
        DevnetError
            If the port is in use, or the address cannot be listened on.
        """
        self._node.start()
        return self

    def close(self) -> None:
        """Close the node and its connections; does nothing if it is closed. Takes two seconds at most."""
        self._node.close()

    def wait_finished(self, timeout: float | None = None) -> bool:
        """Wait until `duration` is over and all events of it are handed to the clients.

        Parameters
        ----------
        timeout : float, optional
            Seconds; None: as long as it takes.

        Returns
        -------
        bool
            False if the time ran out.
        """
        return self._finished.wait(timeout)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        running = "running" if self._node.is_running else "closed"
        return f"<Devnet {self._node.where} (simulated, {running})>"

    # -- what goes wrong when told to

    def cut(self, how: How = "reset") -> None:
        """Cut the links of all clients; see `Cut` for how.

        Parameters
        ----------
        how : {"reset", "half-open"} or int
            A number is the close code.
        """
        self._strike(Cut(how))

    def stall(self, seconds: float) -> None:
        """Send nothing for so many seconds of event time, then all that waits."""
        self._strike(Stall(seconds))

    def flood(self, events: int) -> None:
        """Send each client so many additional events at once, each different."""
        self._strike(Flood(events))

    def garbage(self, data: bytes, *, binary: bool = False) -> None:
        """Send all clients this very message, as text or as a binary one."""
        self._strike(Garbage(data, binary))

    def refuse_for(self, seconds: float, status: int | None = 503) -> None:
        """Refuse new links for so many seconds; those that are there stay.

        Parameters
        ----------
        seconds : float
            Real time.
        status : int or None
            HTTP status of the answer; None: the TCP connection is reset instead.
        """
        self._strike(Refuse(seconds, status))

    # -- what it tells

    @property
    def port(self) -> int:
        """The port; known after the first start."""
        return self._node.port

    @property
    def url(self) -> str:
        """The WebSocket address."""
        return self._node.url

    @property
    def http_url(self) -> str:
        """The HTTP address, without a path."""
        return self._node.http_url

    @property
    def truth(self) -> Truth:
        """What is true of the simulated agents."""
        return self._model.truth

    @property
    def sent(self) -> Sent:
        """What was handed to client sockets so far: counts by event type, and the record if one is kept."""
        return self._recorder.sent()

    def forget(self, before_us: int) -> None:
        """Drop from the record in `sent` all events before this event time; the counts stay.

        A long run can compare one span after the other in bounded memory.

        Parameters
        ----------
        before_us : int
            Microseconds since the epoch, by the node's clock.
        """
        if self._node.is_running:
            self._node.call(lambda: self._recorder.forget(before_us))
        else:
            self._recorder.forget(before_us)

    # -- in the thread

    async def _beat(self) -> None:
        await self._broadcast.run()
        self._finished.set()

    def _strike(self, fault: Fault) -> None:
        self._node.call(lambda: self._happen(fault))

    def _happen(self, fault: Fault) -> None:
        if isinstance(fault, Refuse):
            self._refusals.begin(time.monotonic(), fault)
            return
        for client in list(self._registry.clients):
            client.strike(fault)

    def _turn_away(self, connection: ServerConnection) -> Response | None:
        refuse = self._refusals.check(time.monotonic(), self._model.time_us)
        if refuse is None:
            return None
        if refuse.status is None:
            reset(connection)
        return refusal(HTTPStatus(refuse.status or HTTPStatus.SERVICE_UNAVAILABLE))


def _clock_us() -> int:
    return time.time_ns() // 1000
