"""The capture: all that one stream has received, as tables, aggregates and ledgers.

One thread adds to it (`accept`, `note`); any other may look.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import numpy as np
import pandas as pd

from chaosnb.ingest.intake import Incident, State
from chaosnb.ingest.session import Batch
from chaosnb.protocol.events import Reject
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.aggregates import Aggregates
from chaosnb.tables.arrivals import Arrivals
from chaosnb.tables.retention import Retention
from chaosnb.tables.table import Table
from chaosnb.tables.tallies import Tallies
from chaosnb.text import printable

__all__ = ["Capture", "drift_frame"]

_KEPT_REJECTS: Final = 10_000
_KEPT_INCIDENTS: Final = 10_000
_KEPT_REJECT_BYTES: Final = 65_536
_KEPT_REJECTS_BYTES: Final = 2**24
_RATE_SPAN_S: Final = 5.0
_STATES: Final = list(get_args(State))
# Rows that wait to become columns hold their messages' whole text.
_MOST_WAITING_BYTES: Final = 2**24


class Capture:
    """What a stream has received.

    Parameters
    ----------
    monotonic : callable
        Seconds, for the rate of events.
    wall_ns : callable
        Nanoseconds since the epoch, for the lag.
    retention : Retention
        What is kept; the default keeps everything.

    Examples
    --------
    >>> Capture().tables["network_metrics"].rows
    0
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        retention: Retention | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        tables = {name: Table(schema) for name, schema in TABLES.items()}
        self.tables: Mapping[str, Table] = tables
        # Of the tables alone: what refers to itself stays in memory for longer.
        self.aggregates = Aggregates(lambda name: tables[name].snapshot())
        self.tallies = Tallies()
        self.arrivals = Arrivals(monotonic)
        self.changed = threading.Event()
        self.events = 0
        self.frames = 0
        self.rejected = 0
        self.filtered = 0
        self.duplicates = 0
        self.late = 0
        self.lag_s: float | None = None
        self._monotonic = monotonic
        self._wall_ns = wall_ns
        self._retention = retention or Retention()
        self._rows_since_look = 0
        self._bytes_since_look = 0
        self._looked_ns = 0
        self._bytes_waiting = 0
        self._rejects: deque[Reject] = deque()
        self._rejects_bytes = 0
        self._incidents: deque[Incident] = deque(maxlen=_KEPT_INCIDENTS)
        self._recent: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def accept(self, batch: Batch) -> None:
        """Add a batch to the tables and aggregates."""
        for name, rows in batch.rows.items():
            self.tables[name].append(rows)
        self.aggregates.update(batch)
        self.tallies.update(batch)
        self._bytes_waiting += batch.size
        if self._bytes_waiting > _MOST_WAITING_BYTES:
            self._bytes_waiting = 0
            self.aggregates.flush()
            for table in self.tables.values():
                table.flush()
        self.arrivals.add({name: len(rows.events) for name, rows in batch.rows.items()})
        events = batch.events
        newest_ns = max((int(rows.received_at_ns[-1]) for rows in batch.rows.values()), default=None)
        self._retain(batch, events, newest_ns)
        now = self._monotonic()
        with self._lock:
            self.events += events
            self.frames += batch.frames
            self.filtered += batch.filtered
            self.duplicates += batch.duplicates
            self.late += batch.late
            self.rejected += len(batch.rejects)
            self._keep(batch.rejects)
            self._recent.append((now, events))
            self._forget(now)
        if newest_ns is not None:
            self.lag_s = max(0, self._wall_ns() - newest_ns) / 1e9
        self.changed.set()

    def is_due(self, frames: int, size: int, at_ns: int) -> bool:
        """Say whether retention may look at the tables once so many more messages, and bytes, have come.

        `at_ns` is the arrival of the last of them. Until it does, batches may be given together as well.
        """
        rows, size = self._rows_since_look + frames, self._bytes_since_look + size
        # A clock that was set back must not put it off.
        return self._retention.is_due(rows, abs(at_ns - self._looked_ns) / 1e9, size)

    def note(self, incident: Incident) -> None:
        """Add a step of the connection."""
        with self._lock:
            self._incidents.append(incident)
        self.changed.set()

    @property
    def last_detail(self) -> str | None:
        """What the newest incident says happened."""
        with self._lock:
            return printable(self._incidents[-1].detail) if self._incidents else None

    @property
    def events_per_s(self) -> float:
        """Events a second, over the last five seconds."""
        now = self._monotonic()
        with self._lock:
            self._forget(now)
            return sum(events for _, events in self._recent) / _RATE_SPAN_S

    @property
    def memory_bytes(self) -> int:
        """Bytes of all tables."""
        return sum(table.nbytes for table in self.tables.values())

    @property
    def forgotten_us(self) -> dict[str, int]:
        """Up to which event time, in microseconds, rows are forgotten, by table."""
        times = {name: table.forgotten_us for name, table in self.tables.items()}
        return {name: at_us for name, at_us in times.items() if at_us is not None}

    def memory(self) -> pd.DataFrame:
        """Return rows, rows evicted and bytes of each table."""
        return pd.DataFrame(
            {
                "rows": [table.rows for table in self.tables.values()],
                "evicted": [table.evicted for table in self.tables.values()],
                "bytes": [table.nbytes for table in self.tables.values()],
            },
            index=pd.Index(list(self.tables), name="table"),
            dtype="int64",
        )

    def rejects(self) -> pd.DataFrame:
        """Return the newest messages that could not be read: received_at, reason, raw.

        At most 10,000 of them and 16 MiB, each cut to 64 KiB; what cannot be printed is escaped.
        """
        with self._lock:
            rejects = list(self._rejects)
        return pd.DataFrame(
            {
                "received_at": _times([reject.received_at_ns for reject in rejects]),
                "reason": _texts([printable(reject.reason) for reject in rejects]),
                "raw": _texts([_shown(reject.raw) for reject in rejects]),
            }
        )

    def incidents(self) -> pd.DataFrame:
        """Return the steps of the connection: timestamp, state, detail, code, delay_s."""
        with self._lock:
            incidents = list(self._incidents)
        return pd.DataFrame(
            {
                "timestamp": _times([incident.at_ns for incident in incidents]),
                "state": pd.Categorical([incident.state for incident in incidents], categories=_STATES),
                "detail": _texts([printable(incident.detail) for incident in incidents]),
                "code": _texts([incident.code for incident in incidents]),
                "delay_s": np.array([incident.delay_s for incident in incidents], dtype=float),
            }
        )

    def _retain(self, batch: Batch, events: int, at_ns: int | None) -> None:
        present_us = batch.present_us
        if present_us is not None and at_ns is not None and self.is_due(events, batch.size, at_ns):
            self._rows_since_look, self._bytes_since_look, self._looked_ns = 0, 0, at_ns
            self._retention.apply(self.tables.values(), present_us)
        else:  # a batch without a row counts as well, as it does where it is gathered with others
            self._rows_since_look += events
            self._bytes_since_look += batch.size

    def _keep(self, rejects: list[Reject]) -> None:
        for reject in map(_kept, rejects[-_KEPT_REJECTS:]):
            self._rejects.append(reject)
            self._rejects_bytes += len(reject.raw)
        while len(self._rejects) > _KEPT_REJECTS or self._rejects_bytes > _KEPT_REJECTS_BYTES:
            self._rejects_bytes -= len(self._rejects.popleft().raw)

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - _RATE_SPAN_S:
            self._recent.popleft()


def drift_frame(drift: Counter[str]) -> pd.DataFrame:
    """Return how often the node sent what the protocol does not name: drift, count."""
    # At once, since the stream goes on counting, and without a new object for each, at which others may run.
    counts = dict(drift)
    return pd.DataFrame(
        {
            "drift": _texts([printable(name) for name in counts]),
            "count": np.array(list(counts.values()), dtype="int64"),
        }
    )


def _times(epoch_ns: list[int] | list[int | None]) -> pd.Series[Any]:
    return pd.Series(
        [pd.NaT if ns is None else pd.Timestamp(ns // 1_000, unit="us", tz="UTC") for ns in epoch_ns],
        dtype="datetime64[us, UTC]",
    )


def _texts(values: list[str] | list[str | None]) -> pd.Series[Any]:
    return pd.Series(values, dtype="str")


def _kept(reject: Reject) -> Reject:
    if len(reject.raw) <= _KEPT_REJECT_BYTES:
        return reject
    return Reject(reject.raw[:_KEPT_REJECT_BYTES], reject.reason, reject.received_at_ns)


def _shown(raw: bytes) -> str:
    return printable(raw.decode("utf-8", "backslashreplace"))
