"""Faults on one link as a pure state machine: events in, what goes on the wire out; no clock, no I/O."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from random import Random
from typing import Final

from chaosnb.devnet.faults import Cut, Fault, Faults, Flood, Garbage, Refuse, Stall
from chaosnb.devnet.noise import garbage, spam
from chaosnb.devnet.outgoing import Outgoing, outgoing
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import event_type
from chaosnb.protocol.iso8601 import format_timestamp

__all__ = ["Action", "FaultInjector"]

Action = Outgoing | Cut
"""What is to be done for a client: a message is sent, unless its fate says otherwise, or the link is cut."""

_MOST_OVERTAKERS: Final = 3
_STAMP_US: Final = 1_000  # time stamps on the wire are cut to it


class _Held:
    """A message that comes later: at a moment, or after so many others, if that is sooner."""

    __slots__ = ("is_out", "message", "overtakers")

    def __init__(self, message: Outgoing, overtakers: int = 0) -> None:
        self.message = message
        self.overtakers = overtakers
        self.is_out = False


class _Random:
    """A fault that comes again and again at random, as named in `Faults`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class FaultInjector:
    """Decides what becomes of the events for one client.

    However the calls of `inject` cut up the time, the same events bring the same actions. All times are
    microseconds since the epoch by the node's clock.

    Parameters
    ----------
    faults : Faults
    connection : int
        Number of the link, from which its draws are seeded.
    since_us : int
        When the link began.
    origin_us : int, optional
        When the network began, from which the script counts. None: `since_us`.

    Attributes
    ----------
    wanted : frozenset of str
        The event types that the client has asked for; none at first.
    is_cut : bool
        Whether the link is cut; then nothing more comes.

    Examples
    --------
    >>> injector = FaultInjector(Faults(duplicate=1.0))
    >>> injector.wanted = frozenset({"meme_posted"})
    >>> event = outgoing("meme_posted", b"{}", time_us=1_000)
    >>> [(action.fate, action.data) for action in injector.inject(5_000_000, [event])]
    [('sent', b'{}'), ('duplicate', b'{}')]
    """

    def __init__(
        self, faults: Faults, *, connection: int = 1, since_us: int = 0, origin_us: int | None = None
    ) -> None:
        self.wanted: frozenset[str] = frozenset()
        self.is_cut = False
        self._faults = faults
        self._connection = connection
        self._dice: dict[str, Random] = {}
        self._agenda: list[tuple[int, int, _Held | _Random | Fault | None]] = []
        self._order = 0
        self._overtaken: list[_Held] = []
        self._stalled_until_us: int | None = None
        self._stalled: list[Outgoing] = []
        self._floods = 0
        origin_us = since_us if origin_us is None else origin_us
        for at_s, fault in faults.script:
            if (at_us := origin_us + int(at_s * 1e6)) >= since_us and not isinstance(fault, Refuse):
                self._plan(at_us, fault)
        for name in ("cut", "stall", "flood"):
            self._plan_next(name, since_us)

    def inject(self, now_us: int, events: Sequence[Outgoing]) -> list[Action]:
        """Take the events up to a moment, and return what is to be done until then, in order.

        Parameters
        ----------
        now_us : int
            The moment; never before that of an earlier call.
        events : sequence of Outgoing
            All events since the last call, in order of time; those not wanted are left out.
        """
        actions: list[Action] = []
        for event in events:
            self._advance(event.time_us, actions)
            if event.event_type in self.wanted and not self.is_cut:
                self._treat(event, actions)
        # An event of this very moment may bear a stamp that was cut to the millisecond.
        self._advance(now_us // _STAMP_US * _STAMP_US - 1, actions)
        return actions

    def strike(self, now_us: int, fault: Fault) -> list[Action]:
        """Let a fault happen now, and return what is to be done."""
        actions = self.inject(now_us, ())
        if not self.is_cut:
            self._strike(fault, now_us, actions)
        return actions

    def release(self) -> list[Action]:
        """Return all that is held back, in order, as if its time had come."""
        actions: list[Action] = []
        while (self._agenda or self._stalled) and not self.is_cut:
            held = [entry for entry in self._agenda if not isinstance(entry[2], _Random | Fault)]
            if not held:
                break
            at_us, _, item = entry = min(held)
            self._agenda.remove(entry)
            self._happen(at_us, item, actions)
        return actions

    def end(self) -> list[Outgoing]:
        """End the link, and return all that was held back, with the fate ``lost``."""
        self.is_cut = True
        agenda = [item for _, _, item in sorted(self._agenda, key=_moment)]
        held = [item.message for item in agenda if isinstance(item, _Held) and not item.is_out]
        lost = [message._replace(fate="lost") for message in (*self._stalled, *held)]
        self._agenda.clear()
        self._overtaken.clear()
        self._stalled.clear()
        return lost

    # -- what happens in time

    def _plan(self, at_us: int, item: _Held | _Random | Fault | None) -> None:
        self._order += 1
        heapq.heappush(self._agenda, (at_us, self._order, item))

    def _plan_next(self, name: str, after_us: int) -> None:
        if rate := getattr(self._faults, name):
            self._plan(after_us + max(1, int(self._die(name).expovariate(rate) * 1e6)), _Random(name))

    def _advance(self, until_us: int, actions: list[Action]) -> None:
        while self._agenda and self._agenda[0][0] <= until_us:
            at_us, _, item = heapq.heappop(self._agenda)
            self._happen(at_us, item, actions)

    def _happen(self, at_us: int, item: _Held | _Random | Fault | None, actions: list[Action]) -> None:
        if item is None:
            self._resume(at_us, actions)
        elif isinstance(item, _Held):
            self._let_go(item, actions)
        elif isinstance(item, _Random):
            self._plan_next(item.name, at_us)
            self._strike(self._draw(item.name), at_us, actions)
        else:
            self._strike(item, at_us, actions)

    def _strike(self, fault: Fault, at_us: int, actions: list[Action]) -> None:
        if isinstance(fault, Cut):
            actions.append(fault)
            actions += self.end()
        elif isinstance(fault, Stall):
            self._stalled_until_us = max(self._stalled_until_us or 0, at_us + int(fault.seconds * 1e6))
            self._plan(self._stalled_until_us, None)
        elif isinstance(fault, Flood):
            self._flood(fault.events, at_us, actions)
        elif isinstance(fault, Garbage):
            self._send(outgoing("garbage", fault.data, at_us, -1, "garbage", binary=fault.binary), actions)

    def _draw(self, name: str) -> Fault:
        if name == "cut":
            return Cut(self._die("how").choice(self._faults.cuts))
        return Stall(self._faults.stall_s) if name == "stall" else Flood(self._faults.flood_events)

    def _flood(self, events: int, at_us: int, actions: list[Action]) -> None:
        at_us = at_us // _STAMP_US * _STAMP_US
        stamp = format_timestamp(at_us)
        for _ in range(events):
            self._floods += 1
            event = spam(self.wanted, f"flood {self._connection}.{self._floods}", stamp)
            if event is not None:
                self._send(outgoing(event_type(event), encode(event), at_us, -1, "flood"), actions)

    def _resume(self, at_us: int, actions: list[Action]) -> None:
        if self._stalled_until_us is not None and at_us >= self._stalled_until_us:
            self._stalled_until_us = None
            actions += self._stalled
            self._stalled.clear()

    # -- what happens to an event

    def _treat(self, event: Outgoing, actions: list[Action]) -> None:
        faults, before = self._faults, self._overtaken.copy()
        if self._falls("garbage", faults.garbage):
            bad = garbage(self._die("garbage"), event.data)
            self._strike(bad, event.time_us, actions)
        if self._falls("drop", faults.drop):
            actions.append(event._replace(fate="dropped"))
            return
        if self._falls("duplicate", faults.duplicate):
            self._hold(event._replace(fate="duplicate"), self._delay_us("duplicate"))
        if self._falls("delay", faults.delay):
            self._hold(event._replace(fate="delayed"), self._delay_us("delay"))
        elif self._falls("reorder", faults.reorder):
            overtakers = self._die("reorder").randint(1, _MOST_OVERTAKERS)
            message = event._replace(fate="reordered")
            self._overtaken.append(self._hold(message, int(faults.max_delay_s * 1e6), overtakers))
        else:
            self._send(event, actions)
        for held in before:
            held.overtakers -= 1
            if held.overtakers <= 0:
                self._let_go(held, actions)

    def _hold(self, message: Outgoing, delay_us: int, overtakers: int = 0) -> _Held:
        held = _Held(message, overtakers)
        self._plan(message.time_us + delay_us, held)
        return held

    def _let_go(self, held: _Held, actions: list[Action]) -> None:
        if held in self._overtaken:
            self._overtaken.remove(held)
        if not held.is_out:
            held.is_out = True
            self._send(held.message, actions)

    def _send(self, message: Outgoing, actions: list[Action]) -> None:
        if self._stalled_until_us is None:
            actions.append(message)
        else:
            self._stalled.append(message)

    # -- chance

    def _die(self, name: str) -> Random:
        # One generator for each kind, so that switching one fault on leaves the others as they were.
        if name not in self._dice:
            self._dice[name] = Random(f"{self._faults.seed}/{self._connection}/{name}")
        return self._dice[name]

    def _falls(self, name: str, share: float) -> bool:
        return share > 0 and self._die(name).random() < share

    def _delay_us(self, name: str) -> int:
        return 1 + int(self._die(name).random() * self._faults.max_delay_s * 1e6)


def _moment(entry: tuple[int, int, object]) -> tuple[int, int]:
    return entry[:2]
