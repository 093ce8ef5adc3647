"""The session: frames in, batches of events out. Pure: no clock, no I/O, no threads.

It holds what outlives a connection: the subscription, the arrival number, and the count of schema drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from chaosnb.protocol.codec import decode_all
from chaosnb.protocol.events import (
    EVENT_TYPES,
    KNOWN_VALUES,
    Control,
    ErrorEvent,
    Event,
    Frame,
    Reject,
    check_topics,
    events_of,
)
from chaosnb.protocol.iso8601 import INVALID_TIMESTAMP, format_timestamp, parse_timestamps
from chaosnb.protocol.signing import Identity, auth_message

__all__ = ["Batch", "Rows", "Session"]

_MAX_DRIFT_NAMES: Final = 1_000
_NO_TIMES: Final = np.empty(0, dtype=np.int64)
_NAMES: Final = (*EVENT_TYPES, "error")
_CONTROL: Final = len(_NAMES)
_REJECT: Final = len(_NAMES) + 1
_KINDS: Final[tuple[type, ...]] = (*EVENT_TYPES.values(), ErrorEvent, Control, Reject)
_CODES: Final = {kind: code for code, kind in enumerate(_KINDS)}
_FURTHER_NAMES: Final = "(further names)"


class Rows(Struct):
    """Events of one type in order of arrival, column by column with what the client adds to them."""

    events: list[Any]
    timestamp_us: npt.NDArray[np.int64]
    received_at_ns: npt.NDArray[np.int64]
    seq: npt.NDArray[np.int64]

    def select(self, chosen: npt.NDArray[np.bool_]) -> Rows:
        """Return the rows where `chosen` is true."""
        events = [event for event, keep in zip(self.events, chosen.tolist(), strict=True) if keep]
        return Rows(events, self.timestamp_us[chosen], self.received_at_ns[chosen], self.seq[chosen])


class Batch(Struct):
    """What came of the frames of one turn.

    Attributes
    ----------
    rows : dict of str to Rows
        The events by table.
    rejects : list of Reject
        What could not be read.
    controls : list of Control
    frames : int
        How many frames it is made of.
    filtered : int
        Events of topics that are not subscribed.
    """

    rows: dict[str, Rows] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    frames: int = 0
    filtered: int = 0

    @property
    def events(self) -> int:
        """How many events it holds, over all tables."""
        return sum(len(rows.events) for rows in self.rows.values())

    @property
    def errors(self) -> list[ErrorEvent]:
        """The errors that the node sent."""
        return self.rows["error"].events if "error" in self.rows else []


class Session:
    """The protocol's state machine for one stream.

    Parameters
    ----------
    topics : iterable of str
    identity : Identity

    Examples
    --------
    >>> session = Session(["network"], Identity.generate())
    >>> batch = session.feed([Frame(b"{oops", 5)])
    >>> batch.events, batch.rejects[0].reason
    (0, 'malformed JSON: object keys must be strings (byte 1)')
    """

    def __init__(self, topics: Iterable[str], identity: Identity) -> None:
        self._topics = check_topics(topics)
        self._wanted = events_of(self._topics)
        self._identity = identity
        self._seq = 0
        self.connection_id: str | None = None
        self.simulated = False
        self.drift: Counter[str] = Counter()

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics subscribed to."""
        return self._topics

    def greet(self, now_ns: int) -> list[str]:
        """Return what to send on a new connection: `auth`, then `subscribe`."""
        self.connection_id = None
        stamp = format_timestamp(now_ns // 1_000)
        return [auth_message(self._identity, stamp), _subscribe_message(self._topics)]

    def subscribe(self, topics: str | Iterable[str]) -> list[str]:
        """Add topics; return what to send, which is nothing where all were there."""
        added = tuple(topic for topic in check_topics(topics) if topic not in self._topics)
        self._set_topics(self._topics + added)
        return [_subscribe_message(added)] if added else []

    def unsubscribe(self, topics: str | Iterable[str]) -> None:
        """Drop topics: what still comes of them is left out here, since the protocol knows no unsubscribe.

        Raises
        ------
        ValueError
            If no topic would be left.
        """
        dropped = check_topics(topics)
        left = tuple(topic for topic in self._topics if topic not in dropped)
        if not left:
            raise ValueError("a stream needs at least one topic; use close() to end it")
        self._set_topics(left)

    def feed(self, frames: Sequence[Frame]) -> Batch:
        """Read frames in order of arrival and return what came of them."""
        batch = Batch(frames=len(frames))
        decoded = decode_all(frames, self.drift)
        received_at_ns = np.array([frame.received_at_ns for frame in frames], dtype=np.int64)
        codes = np.array([_CODES[type(item)] for item in decoded], dtype=np.int8)
        rejects: list[tuple[int, Reject]] = []
        for code in np.unique(codes).tolist():
            places = np.flatnonzero(codes == code)
            found: list[Any] = [decoded[place] for place in places.tolist()]
            if code == _REJECT:
                rejects += zip(places.tolist(), found, strict=True)
            elif code == _CONTROL:
                for control in found:
                    self._control(control, batch)
            elif (name := _NAMES[code]) not in self._wanted:
                batch.filtered += len(found)
            else:
                seq = self._seq + 1 + places
                rows = Rows(found, _NO_TIMES, received_at_ns[places], seq)
                rejects += self._add(batch, name, rows, frames)
        batch.rejects = [reject for _, reject in sorted(rejects, key=itemgetter(0))]
        self._seq += len(frames)
        self._bound_drift()
        return batch

    def _set_topics(self, topics: tuple[str, ...]) -> None:
        self._topics = topics
        self._wanted = events_of(topics)

    def _control(self, control: Control, batch: Batch) -> None:
        batch.controls.append(control)
        self.connection_id = control.connection_id or self.connection_id
        self.simulated = self.simulated or control.simulated

    def _add(self, batch: Batch, name: str, rows: Rows, frames: Sequence[Frame]) -> list[tuple[int, Reject]]:
        """Add rows with their event times; return those whose time cannot be read, by place in `frames`."""
        rejects = []
        if name == "error":
            rows.timestamp_us = rows.received_at_ns // 1_000
        else:
            rows.timestamp_us = parse_timestamps([event.timestamp for event in rows.events])
            valid = rows.timestamp_us != INVALID_TIMESTAMP
            if not valid.all():
                for place in np.flatnonzero(~valid).tolist():
                    index = int(rows.seq[place]) - self._seq - 1
                    frame = frames[index]
                    text = rows.events[place].timestamp[:64]
                    reason = f"not an ISO 8601 time stamp: {text!r} - at `$.data.timestamp`"
                    rejects.append((index, Reject(frame.data, reason, frame.received_at_ns)))
                rows = rows.select(valid)
        if rows.events:
            self._count_unknown_values(name, rows.events)
            batch.rows[name] = rows
        return rejects

    def _count_unknown_values(self, name: str, events: list[Event]) -> None:
        if name not in KNOWN_VALUES:
            return
        path, known = KNOWN_VALUES[name]
        for value, count in Counter(map(attrgetter(path), events)).items():
            if value not in known:
                self.drift[f"{name}.data.{path} = {value[:64]!r}"] += count

    def _bound_drift(self) -> None:
        if len(self.drift) > _MAX_DRIFT_NAMES:
            for name in list(self.drift)[_MAX_DRIFT_NAMES - 1 :]:
                if name != _FURTHER_NAMES:
                    self.drift[_FURTHER_NAMES] += self.drift.pop(name)


def _subscribe_message(topics: tuple[str, ...]) -> str:
    return msgspec.json.encode({"type": "subscribe", "topics": topics}).decode()
