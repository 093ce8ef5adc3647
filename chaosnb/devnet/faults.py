"""What may go wrong between the simulated node and its clients, as a declaration."""

from __future__ import annotations

import math
from typing import Any, Final, Literal, Self

from msgspec import Struct

__all__ = ["Cut", "Fault", "Faults", "Flood", "Garbage", "How", "Refuse", "Stall", "check_how"]

How = Literal["reset", "half-open"] | int
"""How a link is cut; a number is the close code."""

_SHARES: Final = ("drop", "duplicate", "reorder", "delay", "garbage", "refuse")
_AMOUNTS: Final = ("max_delay_s", "cut", "stall", "stall_s", "flood", "replay_s")
_FINITE: Final = ("skew_s", "drift")


class Cut(Struct, frozen=True):
    """The link is cut.

    ``"reset"``: the TCP connection is reset, and what was written last may be lost. ``"half-open"``: the link
    stays open, but nothing is sent, read or answered any more, not even a ping. A number is a close code,
    allowed there or not, which is sent behind what waits. A cut comes in its turn, after what is sent before.
    """

    how: How = "reset"

    def __post_init__(self) -> None:
        check_how(self.how)


class Stall(Struct, frozen=True):
    """Nothing is sent for so many seconds of event time, then all that waits, in order."""

    seconds: float

    def __post_init__(self) -> None:
        _check_amount("seconds", self.seconds)


class Flood(Struct, frozen=True):
    """So many additional events come at once, each different, of a type that the client has asked for."""

    events: int

    def __post_init__(self) -> None:
        _check_amount("events", self.events)


class Garbage(Struct, frozen=True):
    """A message is sent as it is here, as text (whether it is UTF-8 or not) or as a binary message."""

    data: bytes
    binary: bool = False


class Refuse(Struct, frozen=True):
    """Links are refused from the next attempt on, for so many seconds of real time.

    `status` is the HTTP status of the answer; None: the TCP connection is reset instead.
    """

    seconds: float
    status: int | None = 503

    def __post_init__(self) -> None:
        _check_amount("seconds", self.seconds)
        if self.status is not None and not 400 <= self.status <= 599:
            raise ValueError(f"status is {self.status!r}; it must be from 400 to 599, or None for a reset")


Fault = Cut | Stall | Flood | Garbage | Refuse


class Faults(Struct, frozen=True, kw_only=True):
    """What goes wrong on the links of a simulated node, drawn from a seed.

    Shares lie from 0 to 1 and are drawn for each event and client. Rates are a second of event time and link,
    with exponentially distributed times between. The same seed gives the same faults to the byte on the n-th
    link of a node, if that link begins at the same event time. All delays are in seconds of event time, so
    that with ``speed=1`` they are seconds.

    Parameters
    ----------
    seed : int
        Of all draws. The network's events do not depend on it.
    drop : float
        Share of events that are never sent.
    duplicate : float
        Share that is sent again, after up to `max_delay_s`.
    reorder : float
        Share that is overtaken by the next one to three events, or is `max_delay_s` late if that is sooner.
    delay : float
        Share that comes late, by up to `max_delay_s`.
    garbage : float
        Share of events before which a message comes that no client can read.
    max_delay_s : float
        Longest delay, in seconds of event time.
    cut : float
        Links cut a second.
    cuts : tuple of {"reset", "half-open"} or int
        How, each as likely; see `Cut`.
    stall, stall_s : float
        Stalls a second, and the seconds that each takes.
    flood : float
        Floods a second.
    flood_events : int
        Events in a flood.
    refuse : float
        Share of attempts to connect that are refused with HTTP status 503.
    replay_s : float
        A client that comes back (one with the same public key) is sent the events of so many last seconds
        again, whether it had them or not.
    skew_s, drift : float
        What the node's clock, which stamps the events, is ahead: in seconds, and in seconds a second.
    script : tuple of (float, Fault)
        Faults at given seconds of event time after the network's beginning, on every link of that moment.

    Raises
    ------
    ValueError
        If a figure is out of bounds; the message names it.

    Examples
    --------
    >>> from chaosnb.devnet import Cut, Devnet, Faults, Stall
    >>> faults = Faults(seed=1, drop=0.01, duplicate=0.02, script=((2.0, Stall(0.5)), (4.0, Cut(1012))))
    >>> with Devnet(rate=200, faults=faults) as node:
    ...     node.sent.total()
    0
    """

    seed: int = 0
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    garbage: float = 0.0
    max_delay_s: float = 1.0
    cut: float = 0.0
    cuts: tuple[How, ...] = ("reset",)
    stall: float = 0.0
    stall_s: float = 1.0
    flood: float = 0.0
    flood_events: int = 1_000
    refuse: float = 0.0
    replay_s: float = 0.0
    skew_s: float = 0.0
    drift: float = 0.0
    script: tuple[tuple[float, Fault], ...] = ()

    def __post_init__(self) -> None:
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must lie from 0 to 1")
        for name in (*_AMOUNTS, "flood_events"):
            _check_amount(name, getattr(self, name))
        for name in _FINITE:
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be a finite number")
        if self.drift <= -1:
            raise ValueError(f"drift is {self.drift!r}; below -1 the node's clock would run backwards")
        if not self.cuts:
            raise ValueError("cuts is empty; name at least one of 'reset', 'half-open' or a close code")
        for how in self.cuts:
            check_how(how)
        for at_s, fault in self.script:
            _check_amount("a time in script", at_s)
            if not isinstance(fault, Fault):
                raise TypeError(f"script has {fault!r}; faults are Cut, Stall, Flood, Garbage and Refuse")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read faults from text, as the command line has it; several `cuts` are joined by ``+``.

        Raises
        ------
        ValueError
            If the text is not a list of ``name=value``, names something else, or a value is out of bounds.

        Examples
        --------
        >>> Faults.parse("drop=0.01, cut=0.1, cuts=reset+1012") == Faults(
        ...     drop=0.01, cut=0.1, cuts=("reset", 1012)
        ... )
        True
        """
        known = [name for name in cls.__struct_fields__ if name != "script"]
        values: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in known or not equals:
                raise ValueError(f"{part!r} is not one of {', '.join(f'{name}=' for name in known)}")
            try:
                values[name] = _read(name, value)
            except ValueError:
                raise ValueError(f"{name}={value!r} is not a number") from None
        return cls(**values)

    @property
    def refusals(self) -> tuple[tuple[float, Refuse], ...]:
        """The part of the script that concerns the node, not its links."""
        return tuple((at_s, fault) for at_s, fault in self.script if isinstance(fault, Refuse))

    def shift_us(self, elapsed_us: int) -> int:
        """Return how far the node's clock is ahead after so much event time, in microseconds."""
        return int(self.skew_s * 1e6 + self.drift * elapsed_us)


def check_how(how: object) -> None:
    """Check how a link is to be cut.

    Raises
    ------
    ValueError
        If it is neither ``"reset"``, ``"half-open"`` nor a close code.
    """
    is_code = isinstance(how, int) and not isinstance(how, bool) and 1000 <= how <= 4999
    if how not in ("reset", "half-open") and not is_code:
        raise ValueError(f"{how!r} is no way to cut; use 'reset', 'half-open' or a close code, 1000 to 4999")


def _check_amount(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {value!r}; it must be a finite number, not below 0")


def _read(name: str, value: str) -> Any:
    if name == "cuts":
        return tuple(int(how) if how.isdigit() else how for how in value.split("+"))
    return int(value) if name in ("seed", "flood_events") else float(value)
