"""One table: rows of one event type in, DataFrames out, ordered by ``(timestamp, seq)``.

Rows wait as they came until there are some hundreds of them or somebody looks, since turning many into
columns at once is far cheaper than one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.ingest.session import Rows, join_rows
from chaosnb.protocol.iso8601 import duration_seconds
from chaosnb.protocol.schema import Column, TableSchema, field_reader
from chaosnb.tables.columns import FixedColumn, GrowableColumn, list_array, make_column

__all__ = ["Table"]

# Few enough that their messages are still in the processor's cache.
_FLUSH_ROWS: Final = 512
_FEW: Final = 8


class Table:
    """Rows of one event type; safe to append to in one thread and to look at in others.

    Parameters
    ----------
    schema : TableSchema

    Examples
    --------
    >>> from chaosnb.protocol.schema import TABLES
    >>> table = Table(TABLES["network_metrics"])
    >>> table.snapshot().dtypes["tps"]
    dtype('float64')
    """

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self._columns: dict[str, GrowableColumn] = {
            column.name: make_column(column, place) for place, column in enumerate(schema.columns)
        }
        self._extract: dict[str, Callable[[Rows], Any]] = {c.name: _extractor(c) for c in schema.columns}
        self._timestamp = self._fixed("timestamp")
        self._seq = self._fixed("seq")
        self._pending: list[Rows] = []
        self._pending_rows = 0
        self._rows = 0
        self._last_us = -(2**63)
        self._evicted = 0
        self._forgotten_us: int | None = None
        self._frame: pd.DataFrame | None = None
        self._held_bytes: int | None = 0
        self._lock = threading.Lock()

    def append(self, rows: Rows) -> None:
        """Add rows that came after all that were added before."""
        with self._lock:
            self._pending.append(rows)
            self._pending_rows += len(rows.events)
            self._frame = None
            if self._pending_rows >= _FLUSH_ROWS:
                self._flush()

    def flush(self) -> None:
        """Turn the rows that wait into columns, which take less memory."""
        with self._lock:
            self._flush()

    def snapshot(self) -> pd.DataFrame:
        """Return the table as a DataFrame, which the caller may change at will.

        Returns
        -------
        pandas.DataFrame
            Ordered by ``timestamp``, rows of one time by ``seq``; the index counts from 0.
        """
        with self._lock:
            if self._frame is None:
                self._flush()
                series = {name: column.snapshot() for name, column in self._columns.items()}
                self._frame = pd.DataFrame(series, copy=False)
            return self._frame.copy(deep=False)

    def evict(self, rows: int) -> None:
        """Forget the oldest rows; nothing if `rows` is not positive."""
        if rows <= 0:
            return
        with self._lock:
            self._flush()
            rows = min(rows, self._rows)
            if rows > 0:
                newest_us = self._timestamp.at(rows - 1)
                self._forgotten_us = max(newest_us, self._forgotten_us or newest_us)
                for column in self._columns.values():
                    column.evict(rows)
                self._rows -= rows
                self._evicted += rows
                self._frame = self._held_bytes = None

    def rows_before(self, timestamp_us: int) -> int:
        """Return how many rows are older than this."""
        with self._lock:
            self._flush()
            return self._timestamp.position_of(timestamp_us - 1, self._rows)

    @property
    def evicted(self) -> int:
        """How many rows were forgotten."""
        with self._lock:
            return self._evicted

    @property
    def forgotten_us(self) -> int | None:
        """The newest time of a row that was forgotten, in microseconds; None if none was."""
        with self._lock:
            return self._forgotten_us

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        with self._lock:
            return self._rows + self._pending_rows

    @property
    def nbytes(self) -> int:
        """Bytes of the rows; a few that came last are taken to be like the others."""
        with self._lock:
            # This is asked each second, and to turn a few rows into columns costs as much as to turn many.
            if self._pending_rows * _FEW > self._rows:
                self._flush()
            if self._held_bytes is None:
                self._held_bytes = sum(column.nbytes for column in self._columns.values())
            return self._held_bytes + self._held_bytes * self._pending_rows // max(self._rows, 1)

    def _fixed(self, name: str) -> FixedColumn:
        column = self._columns[name]
        if not isinstance(column, FixedColumn):
            raise TypeError(f"column {name!r} of table {self.schema.name!r} must be of fixed width")
        return column

    def _flush(self) -> None:
        if not self._pending:
            return
        rows = join_rows(self._pending)
        start = self._rows
        values = {name: extract(rows) for name, extract in self._extract.items()}
        try:
            for name, column in self._columns.items():
                column.append(values[name])
        except BaseException:  # such as out of memory: what has waited waits on, and no column is ahead
            for column in self._columns.values():
                column.truncate(start)
            raise
        self._rows += len(rows.events)
        self._held_bytes = None
        self._pending, self._pending_rows = [], 0
        self._put_in_order(start, rows.timestamp_us)

    def _put_in_order(self, start: int, timestamp_us: npt.NDArray[np.int64]) -> None:
        latest = np.maximum.accumulate(np.concatenate([[self._last_us], timestamp_us]))
        if (timestamp_us < latest[:-1]).any():
            first = min(start, self._timestamp.position_of(int(timestamp_us.min()), start))
            order = np.lexsort((self._seq.values(first), self._timestamp.values(first)))
            for column in self._columns.values():
                column.reorder(first, order)
        self._last_us = int(latest[-1])


def _extractor(column: Column) -> Callable[[Rows], Any]:
    """Return what takes a column's values out of rows."""
    if column.name == "timestamp":
        return lambda rows: rows.timestamp_us
    if column.name == "received_at":
        return lambda rows: rows.received_at_ns // 1_000
    if column.name == "seq":
        return lambda rows: rows.seq
    read = field_reader(column.path)
    if column.kind == "duration":
        return lambda rows: list(map(duration_seconds, read(rows.events)))
    if column.kind == "records":
        return lambda rows: list_array(read(rows.events), column.fields)
    if column.kind == "texts":
        return lambda rows: list_array(read(rows.events))
    if column.kind == "json":
        return lambda rows: [msgspec.json.encode(value).decode() for value in read(rows.events)]
    return lambda rows: read(rows.events)
