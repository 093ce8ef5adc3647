"""The history: a recording as the past of a stream, in which moments and blocks can be found and read to."""

from __future__ import annotations

import operator
import weakref
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, SupportsIndex

import pandas as pd

from chaosnb.ingest.clocks import Clock
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.store.dataset import Dataset
from chaosnb.store.moments import Time, microseconds
from chaosnb.store.places import Place, Start, place_of_height, place_of_time, start_of
from chaosnb.store.replay import Replay
from chaosnb.tables.capture import Capture
from chaosnb.tables.retention import Retention
from chaosnb.text import printable

__all__ = ["History", "Moment", "Take"]


class Take(NamedTuple):
    """A replay, and what its batches go into."""

    source: Replay
    capture: Capture


class History:
    """The recording of a stream.

    Parameters
    ----------
    folder : Path
    start_ns : int, optional
        The arrival, in nanoseconds since the epoch, from which on it is read. None: from its beginning, or
        from a record.
    record : int, optional
        The record with which the stream began to be recorded.
    end_ns : int, optional
        The arrival up to which it is read. None: to its end.
    retention : Retention
        What the stream keeps.
    clock : Clock
    """

    def __init__(
        self,
        folder: Path,
        *,
        start_ns: int | None = None,
        record: int | None = None,
        end_ns: int | None = None,
        retention: Retention,
        clock: Clock,
    ) -> None:
        # It stays where it is, whatever a notebook's cell changes to.
        self.folder: Final = folder.absolute()
        self._start_ns = start_ns
        self._record = record
        self._end_ns = end_ns
        self._retention = retention
        self._clock = clock

    def find(self, time: Time | None, height: int | None) -> Place:
        """Return the place behind all that had arrived before a moment, or behind a block.

        Raises
        ------
        TypeError, ValueError
            Unless one of the two is given, and is in the recording.
        """
        if (time is None) == (height is None):
            raise ValueError(
                "give one of time= (of arrival, such as '2026-11-23T00:36:12Z') and height= (of a block)"
            )
        if height is None:
            assert time is not None
            return self._within(place_of_time(self.folder, microseconds("time", time) * 1_000))
        if not isinstance(height, SupportsIndex):
            raise TypeError(f"height is a whole number, and not {height!r}")
        place = place_of_height(self.folder, operator.index(height), self._start)
        if place is None or self._within(place) != place:
            raise ValueError(
                f"height={height!r}: no block of this height has arrived in {self.folder.name}; "
                'those that have are in s.block_proposal["height"], and s.gaps says what is missing'
            )
        return place

    def open(
        self, *, speed: float | None = None, until: Place | None = None, following: bool = False
    ) -> Take:
        """Return a replay that begins anew, and hurries to a place at first.

        Raises
        ------
        ValueError
            If it would begin after, or end before all that is recorded.
        RecordingError
            If there is no recording, or nothing in it yet.
        RecordingDamagedError
            If it is damaged where it begins or ends.
        """
        # Weakly, since the source knows the capture: what refers to itself stays in memory for longer.
        capture = Capture(self._clock.monotonic, self._retention, lambda: weak.now_ns())
        source = Replay(
            self.folder,
            speed=speed,
            start=self._start,
            end=self._end,
            until=until,
            following=following,
            is_due=capture.is_due,
            clock=self._clock,
            on_incident=capture.note,
        )
        weak = weakref.proxy(source)
        return Take(source, capture)

    @cached_property
    def _start(self) -> Start:
        # Not before it is needed, since it reads a segment.
        start = start_of(self.folder, at_ns=self._start_ns, record=self._record)
        if self._start_ns is not None and start.last_ns is not None:
            raise ValueError(
                f"start={_text(self._start_ns)} is after all that is recorded in {self.folder.name}: "
                f"the last message came at {_text(start.last_ns)}"
            )
        return start

    @cached_property
    def _end(self) -> Place | None:
        if self._end_ns is None:
            return None
        end = start_of(self.folder, at_ns=self._end_ns)
        if self._end_ns <= end.first_ns:  # no segment began before it
            raise ValueError(
                f"end={_text(self._end_ns)} is before all that is recorded in {self.folder.name}, which "
                f"begins at {_text(end.first_ns)}"
            )
        return end.place

    def _within(self, place: Place) -> Place:
        return place if self._end is None else min(place, self._end)


def _text(at_ns: int) -> str:
    return format_timestamp(at_ns // 1_000)


class Moment(Dataset):
    """All that a stream held at a moment; `Stream.at` makes them.

    Each event type is a DataFrame by attribute (``m.block_validation``) and by item
    (``m["block_validation"]``), and yours to change.
    """

    def __init__(self, take: Take) -> None:
        super().__init__(take.capture, take.source.ledger, take.source.session.drift)
        self._replay = take.source

    @property
    def source(self) -> str:
        """Where the data comes from; simulated data is called so."""
        simulated = " (simulated)" if self.simulated else ""
        time = self.time.isoformat(timespec="milliseconds")
        return f"{self._replay.shown_url}{simulated}, from {self._replay.recording} as of {time}"

    @property
    def simulated(self) -> bool:
        """Whether the node is a devnet."""
        return self._replay.simulated or self._replay.session.simulated

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics subscribed to then."""
        return self._replay.session.topics

    @property
    def time(self) -> pd.Timestamp:
        """When the last that is in it arrived."""
        return pd.Timestamp(self._replay.now_ns(), tz="UTC")

    def __repr__(self) -> str:
        return f"<Moment {printable(self.source)}: {self._capture.events:,} events>"

    def _before_reading(self) -> None:
        """Nothing stands against it."""
