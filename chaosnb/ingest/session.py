"""The session: frames in, batches of events out. Pure: no clock, no I/O, no threads.

It holds what outlives a connection: the subscription, the arrival number, what came of late, the feed's
present, and the count of schema drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from chaosnb.ingest.duplicates import RecentEvents, keys_of
from chaosnb.ingest.ordering import EventClock, check_lateness
from chaosnb.protocol.codec import FURTHER_NAMES, decode_all
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
from chaosnb.protocol.lines import arrivals_ns, total_bytes
from chaosnb.protocol.schema import field_reader
from chaosnb.protocol.signing import Identity, auth_message

__all__ = ["Batch", "Rows", "Session", "join_rows"]

_MAX_DRIFT_NAMES: Final = 1_000
_NAMES: Final = (*EVENT_TYPES, "error")
_ERROR: Final = _NAMES.index("error")
_CONTROL: Final = len(_NAMES)
_REJECT: Final = len(_NAMES) + 1
_DUPLICATE: Final = len(_NAMES) + 2
_FILTERED: Final = len(_NAMES) + 3
_KINDS: Final[tuple[type, ...]] = (*EVENT_TYPES.values(), ErrorEvent, Control, Reject)
_CODES: Final = {kind: code for code, kind in enumerate(_KINDS)}


class Rows(Struct):
    """Events of one type in order of arrival, column by column with what the client adds to them."""

    events: list[Any]
    timestamp_us: npt.NDArray[np.int64]
    received_at_ns: npt.NDArray[np.int64]
    seq: npt.NDArray[np.int64]


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several batches, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        [event for part in parts for event in part.events],
        np.concatenate([part.timestamp_us for part in parts]),
        np.concatenate([part.received_at_ns for part in parts]),
        np.concatenate([part.seq for part in parts]),
    )


def _nothing() -> npt.NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


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
    size : int
        Bytes of these frames.
    filtered : int
        Events of topics that are not subscribed.
    duplicates : int
        Events that had come before.
    late : int
        Events that came further behind the newest than the session allows; they are in `rows`.
    present_us, newest_us : int or None
        The feed's present, and its newest event, in microseconds of event time (see `EventClock`).
    times_us, arrivals_ns : numpy.ndarray of int64, shape (n,)
        Event time and time of arrival of all `timed` rows, in order of arrival.
    ends : list of int
        The arrival number of the last frame of each part that it is made of; empty where it is one.
    timed_ends : numpy.ndarray of int64
        How many of `times_us` lie before the end of each part.
    rejects_seq : numpy.ndarray of int64
        The arrival number of each reject.
    """

    rows: dict[str, Rows] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    frames: int = 0
    size: int = 0
    filtered: int = 0
    duplicates: int = 0
    late: int = 0
    present_us: int | None = None
    newest_us: int | None = None
    times_us: npt.NDArray[np.int64] = field(default_factory=_nothing)
    arrivals_ns: npt.NDArray[np.int64] = field(default_factory=_nothing)
    ends: list[int] = field(default_factory=list)
    timed_ends: npt.NDArray[np.int64] = field(default_factory=_nothing)
    rejects_seq: npt.NDArray[np.int64] = field(default_factory=_nothing)

    @property
    def events(self) -> int:
        """How many events it holds, over all tables."""
        return sum(len(rows.events) for rows in self.rows.values())

    @property
    def timed(self) -> list[Rows]:
        """The rows whose time is the sender's: all but errors, which take that of their arrival."""
        return [rows for name, rows in self.rows.items() if name != "error"]

    @property
    def errors(self) -> list[ErrorEvent]:
        """The errors that the node sent."""
        return self.rows["error"].events if "error" in self.rows else []

    def parts(self, table: str) -> list[tuple[int, int, int, int]]:
        """Cut it where the parts end that it is made of, leaving out those without `timed` rows and rejects.

        Parameters
        ----------
        table : str

        Returns
        -------
        list of (int, int, int, int)
            How many of `times_us`, how many rows of the table, and how many rejects lie before a part's end;
            and the newest of the part's times, which is below all others where it has none.
        """
        rows = self.rows.get(table)
        if not self.ends:
            newest = int(self.times_us.max(initial=INVALID_TIMESTAMP))
            return [(len(self.times_us), len(rows.events) if rows else 0, len(self.rejects), newest)]
        arrived = (rows.seq if rows else _nothing(), self.rejects_seq)
        row_ends, reject_ends = (np.searchsorted(seq, self.ends, side="right") for seq in arrived)
        starts = np.concatenate([[0], self.timed_ends[:-1]])
        some = self.timed_ends > starts
        newest_us = np.full(len(starts), INVALID_TIMESTAMP)
        newest_us[some] = np.maximum.reduceat(self.times_us, starts[some])
        some |= np.diff(reject_ends, prepend=0) > 0
        found = (values[some].tolist() for values in (self.timed_ends, row_ends, reject_ends, newest_us))
        return list(zip(*found, strict=True))


class Session:
    """The protocol's state machine for one stream.

    Parameters
    ----------
    topics : iterable of str
    identity : Identity
    lateness_s : float
        How many seconds of event time an event may come out of order without being counted as late.

    Examples
    --------
    >>> session = Session(["network"], Identity.generate())
    >>> batch = session.feed([Frame(b"{oops", 5)])
    >>> batch.events, batch.rejects[0].reason
    (0, 'malformed JSON: object keys must be strings (byte 1)')
    """

    def __init__(self, topics: Iterable[str], identity: Identity, *, lateness_s: float = 2.0) -> None:
        self._set_topics(check_topics(topics))
        self._identity = identity
        self._recent = RecentEvents()
        self.lateness_s: Final = check_lateness(lateness_s)
        self._clock = EventClock(round(self.lateness_s * 1_000_000))
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

    def ask(self) -> str:
        """Return the message that asks for all topics subscribed to."""
        return _subscribe_message(self._topics)

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

    def choose(self, topics: Iterable[str]) -> None:
        """Have exactly these topics subscribed."""
        self._set_topics(check_topics(topics))

    def feed(self, frames: Sequence[Frame], sizes: Sequence[int] = ()) -> Batch:
        """Read the frames of one batch, or of several of these sizes; return what came of them."""
        batch = Batch(frames=len(frames), size=total_bytes(frames))
        decoded = decode_all(frames, self.drift)
        # By way of bytes, which takes a fifth of the time.
        codes = np.frombuffer(bytearray([_CODES[type(item)] for item in decoded]), dtype=np.int8)
        received_at_ns = np.array(arrivals_ns(frames), dtype=np.int64)
        timestamp_us = _read_times(frames, decoded, codes, received_at_ns)
        codes = self._wanted_codes[codes]
        order, counts, found = _sorted(codes, decoded)
        events = order[: sum(counts[:_ERROR])]
        repeated = self._recent.repeated(_keys_of(found, counts), timestamp_us[events])
        if repeated.any():
            codes[events[repeated]] = _DUPLICATE
            order, counts, found = _sorted(codes, decoded)
        is_timed = codes < _ERROR
        batch.times_us, batch.arrivals_ns = timestamp_us[is_timed], received_at_ns[is_timed]
        if len(sizes) > 1:
            ends = np.cumsum(sizes)
            batch.ends = (ends + self._seq).tolist()
            batch.timed_ends = np.searchsorted(np.flatnonzero(is_timed), ends)
        batch.late = self._clock.feed(batch.times_us, batch.timed_ends if batch.ends else None)
        batch.present_us, batch.newest_us = self._clock.present_us, self._clock.newest_us
        batch.duplicates, batch.filtered = counts[_DUPLICATE], counts[_FILTERED]
        timestamp_us, received_at_ns, seq = (
            timestamp_us[order],
            received_at_ns[order],
            order + (self._seq + 1),
        )
        end = 0
        for code, count in enumerate(counts[:_DUPLICATE]):
            start, end = end, end + count
            if not count:
                continue
            if code == _REJECT:
                batch.rejects, batch.rejects_seq = found[start:end], seq[start:end]
            elif code == _CONTROL:
                for control in found[start:end]:
                    self._control(control, batch)
            else:
                rows = Rows(
                    found[start:end], timestamp_us[start:end], received_at_ns[start:end], seq[start:end]
                )
                self._count_unknown_values(_NAMES[code], rows.events)
                batch.rows[_NAMES[code]] = rows
        self._seq += len(frames)
        self._bound_drift()
        return batch

    def _set_topics(self, topics: tuple[str, ...]) -> None:
        self._topics = topics
        wanted = events_of(topics)
        codes = [code if name in wanted else _FILTERED for code, name in enumerate(_NAMES)]
        self._wanted_codes = np.array([*codes, _CONTROL, _REJECT], dtype=np.int8)

    def _control(self, control: Control, batch: Batch) -> None:
        batch.controls.append(control)
        self.connection_id = control.connection_id or self.connection_id
        self.simulated = self.simulated or control.simulated

    def _count_unknown_values(self, name: str, events: list[Event]) -> None:
        if name not in KNOWN_VALUES:
            return
        path, known = KNOWN_VALUES[name]
        values = field_reader(tuple(path.split(".")))(events)
        for value in sorted(set(values) - known):
            self.drift[f"{name}.data.{path} = {value[:64]!r}"] += values.count(value)

    def _bound_drift(self) -> None:
        if len(self.drift) > _MAX_DRIFT_NAMES:
            for name in list(self.drift)[_MAX_DRIFT_NAMES - 1 :]:
                if name != FURTHER_NAMES:
                    self.drift[FURTHER_NAMES] += self.drift.pop(name)


def _sorted(
    codes: npt.NDArray[np.int8], decoded: list[Any]
) -> tuple[npt.NDArray[np.int64], list[int], list[Any]]:
    """Return the places sorted by code, how many each code has, and what is decoded, in that order.

    Within each code, the order is that of arrival.
    """
    # Once for all kinds; each is a slice then, since one pass for each would cost far more.
    order = np.argsort(codes, kind="stable")
    counts: list[int] = np.bincount(codes, minlength=_FILTERED + 1).tolist()
    return order, counts, [decoded[place] for place in order.tolist()]


def _keys_of(found: list[Any], counts: list[int]) -> npt.NDArray[np.int64]:
    """Return the keys of the events, which are sorted by type, so many of each."""
    keys = np.empty(sum(counts[:_ERROR]), dtype=np.int64)
    end = 0
    for count in filter(None, counts[:_ERROR]):
        start, end = end, end + count
        keys[start:end] = keys_of(found[start:end])
    return keys


def _subscribe_message(topics: tuple[str, ...]) -> str:
    return msgspec.json.encode({"type": "subscribe", "topics": topics}).decode()


def _read_times(
    frames: Sequence[Frame],
    decoded: list[Any],
    codes: npt.NDArray[np.int8],
    received_at_ns: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return the time of each item, which for all but events is that of arrival.

    An event whose time cannot be read becomes a reject, in `decoded` and in `codes`.
    """
    is_event = codes < _ERROR
    if is_event.all():
        places = np.arange(len(codes))
        timestamp_us = times = parse_timestamps([event.timestamp for event in decoded])
    else:
        places = np.flatnonzero(is_event)
        times = parse_timestamps([decoded[place].timestamp for place in places.tolist()])
        timestamp_us = received_at_ns // 1_000
        timestamp_us[places] = times
    invalid = places[times == INVALID_TIMESTAMP].tolist()
    # A recording's frames are cut out anew each time that one is asked for.
    listed = list(frames) if invalid else []
    for place in invalid:
        reason = f"not an ISO 8601 time stamp: {decoded[place].timestamp[:64]!r} - at `$.data.timestamp`"
        decoded[place] = Reject(listed[place].data, reason, listed[place].received_at_ns)
        codes[place] = _REJECT
    return timestamp_us
