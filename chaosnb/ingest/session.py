"""The session: frames in, batches of events out. Pure: no clock, no I/O, no threads.

It holds what outlives a connection: the subscription, the arrival number, and the count of schema drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from chaosnb.protocol.codec import decode
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
_KINDS: Final[tuple[tuple[str, type[Event]], ...]] = (*EVENT_TYPES.items(), ("error", ErrorEvent))
_FURTHER_NAMES: Final = "(further names)"


class Rows(Struct):
    """Events of one type in order of arrival, column by column with what the client adds to them."""

    events: list[Any]
    timestamp_us: npt.NDArray[np.int64]
    received_at_ns: list[int]
    seq: list[int]


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
        arrived: dict[type, list[tuple[Any, int, int]]] = {}
        for frame in frames:
            self._seq += 1
            event = decode(frame, self.drift)
            kind = type(event)
            if kind is Reject:
                batch.rejects.append(event)  # type: ignore[arg-type]
            elif kind is Control:
                self._control(event, batch)  # type: ignore[arg-type]
            else:
                arrived.setdefault(kind, []).append((event, frame.received_at_ns, self._seq))
        for name, cls in _KINDS:
            found = arrived.get(cls)
            if not found:
                continue
            if name not in self._wanted:
                batch.filtered += len(found)
                continue
            events, received, seq = (list(column) for column in zip(*found, strict=True))
            rows = self._stamp(name, Rows(events, np.empty(0, np.int64), received, seq), frames, batch)
            if rows.events:
                self._count_unknown_values(name, rows.events)
                batch.rows[name] = rows
        self._bound_drift()
        return batch

    def _set_topics(self, topics: tuple[str, ...]) -> None:
        self._topics = topics
        self._wanted = events_of(topics)

    def _control(self, control: Control, batch: Batch) -> None:
        batch.controls.append(control)
        self.connection_id = control.connection_id or self.connection_id
        self.simulated = self.simulated or control.simulated

    def _stamp(self, name: str, rows: Rows, frames: Sequence[Frame], batch: Batch) -> Rows:
        """Fill in event times; rows whose time cannot be read go to the rejects."""
        if name == "error":
            rows.timestamp_us = np.array(rows.received_at_ns, dtype=np.int64) // 1_000
            return rows
        texts = [event.timestamp for event in rows.events]
        rows.timestamp_us = parse_timestamps(texts)
        valid = rows.timestamp_us != INVALID_TIMESTAMP
        if valid.all():
            return rows
        first_seq = self._seq - len(frames) + 1
        for index in np.flatnonzero(~valid).tolist():
            frame = frames[rows.seq[index] - first_seq]
            reason = f"not an ISO 8601 time stamp: {texts[index][:64]!r} - at `$.data.timestamp`"
            batch.rejects.append(Reject(frame.data, reason, frame.received_at_ns))
        keep = np.flatnonzero(valid).tolist()
        return Rows(
            [rows.events[i] for i in keep],
            rows.timestamp_us[valid],
            [rows.received_at_ns[i] for i in keep],
            [rows.seq[i] for i in keep],
        )

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
