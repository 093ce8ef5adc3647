"""A simulated node in memory for tests: its faults, its ground truth, and a loop whose time is virtual.

`run_virtually` runs a coroutine in a loop where waiting takes no time: as soon as nothing is ready, its clock
jumps to what is due next, so that `asyncio.sleep`, `asyncio.timeout` and `loop.call_later` work as they
are. `FaultyNetwork` is a `Connect` in such a loop. It plays the devnet's model by the loop's clock and puts
its faults on the links:

    network = FaultyNetwork(faults=Faults(drop=0.1, cut=0.2), duration_s=60)

    async def listen():
        connection = Connection(url=URL, session=session, connect=network, clock=network.clock)
        async for batch in connection.batches(): ...

    run_virtually(listen())
    network.sent.missed()

In `network.sent` "handed to the socket" means exact here: `receive` has returned it. What a reset, or the
client's own `close`, leaves unread is ``lost``. A cut by close code is read to its end first.
"""

from __future__ import annotations

import asyncio
import json
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from chaosnb.devnet.emitter import Emitter
from chaosnb.devnet.faults import Cut, Fault, Faults, How, Refuse
from chaosnb.devnet.injector import Action, FaultInjector
from chaosnb.devnet.model import Model
from chaosnb.devnet.outgoing import UNSENT, Outgoing
from chaosnb.devnet.refusals import Refusals
from chaosnb.devnet.sent import Recorder, Sent
from chaosnb.errors import TransportError
from chaosnb.ingest.connection import Clock
from chaosnb.protocol.events import Frame, events_of

__all__ = ["FaultyLink", "FaultyNetwork", "run_virtually"]

T = TypeVar("T")
DEADLOCK_S = 5.0


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: the time that it would wait has passed at once."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            # Nothing is due, so that only another thread can go on.
            if not (ready := super().select(DEADLOCK_S)):
                raise RuntimeError("everything waits for something that nobody will do")
            return ready
        ready = super().select(0)
        if not ready:
            self.now_s += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at zero and jumps."""

    def __init__(self) -> None:
        self._selector_of_time = _JumpingSelector()
        super().__init__(self._selector_of_time)

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._selector_of_time.now_s


def run_virtually(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time and return its result."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


class FaultyLink:
    """One connection to the network."""

    def __init__(self, network: FaultyNetwork, recorder: Recorder, emitter: Emitter, faults: Faults) -> None:
        self.sent: list[str] = []
        self.closed = False
        self.record = recorder.open()
        self.injector = FaultInjector(
            faults,
            connection=self.record.number,
            since_us=emitter.now_us,
            origin_us=emitter.origin_us,
        )
        self._network = network
        self._recorder = recorder
        self._emitter = emitter
        self._client = ""
        self._waiting: list[bytes | Outgoing] = []
        self._end: TransportError | None = None
        self._has_news = asyncio.Event()

    @property
    def is_live(self) -> bool:
        """Whether the node still serves it."""
        return self.record.ended is None

    @property
    def unread(self) -> int:
        """Number of messages that wait for `receive`."""
        return len(self._waiting)

    async def receive(self) -> list[Frame]:
        """Wait for messages and return all that are there; raise once the link is down."""
        while True:
            if self._waiting:
                waiting, self._waiting = self._waiting, []
                self._recorder.hand(self.record, [item for item in waiting if isinstance(item, Outgoing)])
                at_ns = self._network.clock.wall_ns()
                return [Frame(item if isinstance(item, bytes) else item.data, at_ns) for item in waiting]
            if self._end is not None:
                raise self._end
            self._has_news.clear()
            await self._has_news.wait()

    async def send(self, text: str) -> None:
        """Answer as the node does, which believes every signature."""
        await asyncio.sleep(0)
        if self._end is not None:
            raise self._end
        self.sent.append(text)
        message = json.loads(text)
        if self.is_live and message["type"] == "auth":
            self._client = message["public_key"]
            self._answer({"type": "auth_success", "connection_id": "memory", "simulated": True})
        elif self.is_live and message["type"] == "subscribe":
            self.injector.wanted |= events_of(message["topics"])
            self._answer({"type": "subscribed", "topics": message["topics"]})
            if self._recorder.subscribe(self.record, self._client, self.injector.wanted):
                self._put(self._emitter.replay(self.injector.wanted))

    async def close(self) -> None:
        """Close the link from the client's side."""
        self.closed = True
        self._end = self._end or TransportError("closed by the client")
        self.finish("client")

    def obey(self, actions: list[Action]) -> None:
        """Do what the faults say."""
        for action in actions:
            if isinstance(action, Cut):
                self._cut(action.how)
            elif action.fate in UNSENT:
                self._recorder.withhold(self.record, [action])
            else:
                self._put([action])

    def finish(self, ended: How | str) -> None:
        """Offer nothing more; what was not read by a client that is gone is lost."""
        self._recorder.withhold(self.record, self.injector.end())
        self._recorder.end(self.record, ended)
        if ended in ("reset", "client"):
            unread = [item for item in self._waiting if isinstance(item, Outgoing)]
            self._recorder.withhold(self.record, [item._replace(fate="lost") for item in unread])
            self._waiting.clear()
        self._has_news.set()

    def _cut(self, how: How) -> None:
        if how == "reset":
            self._end = TransportError("connection reset by peer", code=1006)
        elif how != "half-open":
            self._end = TransportError("cut on purpose", code=int(how))
        elif self._network.ping_timeout_s is not None:
            asyncio.get_running_loop().call_later(self._network.ping_timeout_s, self._miss_pong)
        self.finish(how)

    def _miss_pong(self) -> None:
        self._end = self._end or TransportError("the node does not answer pings", code=1006)
        self._has_news.set()

    def _put(self, messages: list[Outgoing]) -> None:
        self._waiting += messages
        self._has_news.set()

    def _answer(self, message: dict[str, Any]) -> None:
        self._waiting.append(json.dumps(message).encode())
        self._has_news.set()


class FaultyNetwork:
    """A network that goes on by the running loop's clock, whether anybody is connected or not.

    Parameters
    ----------
    faults : Faults
    seed, rate, agents
        Of the model.
    duration_s : float
        Event time after which nothing more happens; what was held back is then released.
    tick_s : float
        How often the network hands over what has happened.
    ping_timeout_s : float or None
        After how long a link that is half-open fails, as one does whose pings are not answered; None: never.
    """

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        seed: int = 7,
        rate: float = 20.0,
        agents: int = 24,
        duration_s: float = 60.0,
        tick_s: float = 0.05,
        ping_timeout_s: float | None = 40.0,
    ) -> None:
        self.ping_timeout_s = ping_timeout_s
        self.connects = 0
        self.links: list[FaultyLink] = []
        self.finished = asyncio.Event()
        self._faults = faults or Faults()
        self._model = Model(seed, agents, rate)
        self._emitter = Emitter(self._model, self._faults, traced=True)
        self._refusals = Refusals(self._faults)
        self._recorder = Recorder(keeps=True)
        self._duration_us = int(duration_s * 1e6)
        self._tick_s = tick_s
        self._is_running = False

    @property
    def clock(self) -> Clock:
        """The loop's clock; on the wall it is the beginning of the network at zero."""

        def now_s() -> float:
            return asyncio.get_running_loop().time()

        return Clock(
            wall_ns=lambda: self._model.start_us * 1_000 + int(now_s() * 1e9),
            monotonic=now_s,
            sleep=asyncio.sleep,
        )

    @property
    def sent(self) -> Sent:
        """The ground truth."""
        return self._recorder.sent()

    async def __call__(self, url: str) -> FaultyLink:
        """Connect."""
        await asyncio.sleep(0)
        self._start()
        self.connects += 1
        refuse = self._refusals.check(asyncio.get_running_loop().time(), self._model.time_us)
        if refuse is not None:
            how = "connection reset" if refuse.status is None else f"HTTP {refuse.status}"
            raise TransportError(f"the node refused the connection: {how}")
        link = FaultyLink(self, self._recorder, self._emitter, self._faults)
        self.links.append(link)
        return link

    def strike(self, fault: Fault) -> None:
        """Let a fault happen on every link, now."""
        if isinstance(fault, Refuse):
            self._refusals.begin(asyncio.get_running_loop().time(), fault)
            return
        for link in self._live():
            link.obey(link.injector.strike(self._emitter.now_us, fault))

    async def settle(self) -> None:
        """Wait until the network has finished and every link that can be read is read."""
        await self.finished.wait()
        while any(link.unread for link in self.links if not link.closed and link.record.client):
            await asyncio.sleep(self._tick_s)

    def _start(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._beat()

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        until_us = min(int(loop.time() * 1e6), self._duration_us)
        messages = self._emitter.step(until_us, frozenset())
        self._recorder.emit(messages)
        for link in self._live():
            link.obey(link.injector.inject(self._emitter.now_us, messages))
        if until_us < self._duration_us:
            loop.call_later(self._tick_s, self._beat)
            return
        for link in self._live():
            link.obey(link.injector.release())
        self.finished.set()

    def _live(self) -> list[FaultyLink]:
        return [link for link in self.links if link.is_live]
