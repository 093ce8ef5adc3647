"""The numpy memory of a column: it grows without pauses, and snapshots of it are free and safe to write to.

Over the *whole* array, spare room included, the buffer holds one pandas Series, its owner; a snapshot is a
slice of it. As both share the array, pandas' copy-on-write sees a second owner and copies before any write by
the user, so neither the buffer nor another snapshot can change. That holds only while the buffer keeps the
owner, and only if no value that a snapshot shows is ever written again: what must be reordered below that
mark moves to a new array, unless every snapshot is gone. Whoever still sees the array, be it through a view
of a view, holds a reference to it; so the count of these tells.

When room runs short, the rows move to a larger array piece by piece, some with each append, so that no append
pauses for a copy of everything. Where the system gives memory only as it is written to, a large array
reserves room far ahead, so that moves, during which the rows are there twice, are rare.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["GrowableBuffer"]

# Pieces of this many rows take about a millisecond to copy, which no append is to exceed by much.
_HUGE_PAGE: Final = 2**21
_GROWTH: Final = 2
_GROWTH_RESERVED: Final = 16
_RESERVES: Final = hasattr(mmap, "MADV_NOHUGEPAGE")
_STEP_ROWS: Final = 2**13
# From three quarters full on, four rows copied for each that is added: done before the last quarter is full.
_MOVE_FROM: Final = 0.75
_STEP_RATIO: Final = 4


class GrowableBuffer:
    """A numpy array with spare room at its end, and the pandas Series that owns the whole of it.

    Rows are counted from the first that is kept.

    Parameters
    ----------
    dtype : str
        The numpy dtype.
    capacity : int
        Rows that there is room for at first, and always at least.
    """

    def __init__(self, dtype: str, capacity: int) -> None:
        self.values: npt.NDArray[Any] = _room(capacity, np.dtype(dtype))
        self._least = capacity
        self.owner: pd.Series[Any] | None = None
        self._start = 0
        self._end = 0
        self._shown = 0
        self._own_references = 0
        self._next: npt.NDArray[Any] | None = None
        self._next_start = 0
        self._copied = 0

    def __len__(self) -> int:
        return self._end - self._start

    def kept(self, start: int = 0) -> npt.NDArray[Any]:
        """Return a view of the rows from `start` on."""
        return self.values[self._start + start : self._end]

    def append(self, values: Sequence[Any] | npt.NDArray[Any]) -> None:
        """Add values at the end."""
        end = self._end + len(values)
        if end > len(self.values):
            self._finish_move(len(values))
            end = self._end + len(values)
        self.values[self._end : end] = values
        self._end = end
        full = end > _MOVE_FROM * len(self.values)
        # What is evicted takes memory until the rest has moved away from it.
        hollow = self._start > max(len(self) // 2, _STEP_ROWS)
        if (self._next is not None or full or hollow) and len(self.values) >= _STEP_ROWS:
            self._continue_move(max(_STEP_ROWS, _STEP_RATIO * len(values)))

    def evict(self, rows: int) -> None:
        """Forget the first rows; their room is used again when the rest moves to another array."""
        self._start += rows

    def truncate(self, rows: int) -> None:
        """Forget all but the first rows, which nobody has been shown."""
        self._end = self._start + rows
        self._copied = min(self._copied, self._end)

    def reorder(self, start: int, order: npt.NDArray[np.int64]) -> None:
        """Put the rows from `start` on into a new order, leaving snapshots as they are."""
        tail = self.kept(start)[order]
        if self._start + start < self._shown and self._is_seen():
            self.move()
        self._copied = min(self._copied, self._start + start)
        self.kept(start)[:] = tail

    def move(self, dtype: npt.DTypeLike | None = None) -> None:
        """Go on in another array: the old one is left to the snapshots that show it."""
        moved = _room(max(2 * len(self), self._least), np.dtype(dtype or self.values.dtype))
        moved[: len(self)] = self.kept()
        self._go_on_in(moved, self._start)

    def show(self, make_owner: Callable[[npt.NDArray[Any]], pd.Series[Any]]) -> pd.Series[Any]:
        """Return all rows as a slice of the owner; `make_owner` makes one of the whole array."""
        if self.owner is None:
            self.owner = make_owner(self.values)
            self._own_references = sys.getrefcount(self.values)
        self._shown = self._end
        shown = self.owner.iloc[self._start : self._end]
        if self._start:
            shown.index = pd.RangeIndex(len(self))
        return shown

    @property
    def nbytes(self) -> int:
        """Bytes of the rows that are kept."""
        return len(self) * self.values.itemsize

    def _is_seen(self) -> bool:
        """Say whether anybody has a view of the array that was handed out."""
        return self.owner is not None and sys.getrefcount(self.values) > self._own_references

    def _continue_move(self, rows: int) -> None:
        if self._next is None:
            self._begin_move(0)
        assert self._next is not None
        stop = min(self._copied + rows, self._end)
        self._next[self._copied - self._next_start : stop - self._next_start] = self.values[
            self._copied : stop
        ]
        self._copied = stop
        if stop == self._end:
            self._go_on_in(self._next, self._next_start)

    def _finish_move(self, room: int) -> None:
        if self._next is None or self._end - self._next_start + room > len(self._next):
            self._begin_move(room)
        self._continue_move(self._end)

    def _begin_move(self, room: int) -> None:
        self._next = None
        least = max(_GROWTH * (len(self) + room), self._least)
        large = self.nbytes >= _HUGE_PAGE // 2
        if _RESERVES and large and not self._start:
            with suppress(OSError):  # of a system that counts what is only reserved
                self._next = _room(max(least, len(self) * _GROWTH_RESERVED), self.values.dtype)
        if self._next is None:
            self._next = _room(least, self.values.dtype)
        self._next_start = self._copied = self._start

    def _go_on_in(self, values: npt.NDArray[Any], old_start: int) -> None:
        self.values, self.owner, self._shown, self._next = values, None, 0, None
        self._start, self._end = self._start - old_start, self._end - old_start


def _room(rows: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return an array of zeros whose memory is taken only as it is written to."""
    size = rows * dtype.itemsize
    if size < _HUGE_PAGE or not _RESERVES:
        return np.zeros(rows, dtype=dtype)
    # The first write to a huge page pauses until all its two megabytes are zeroed.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # of a kernel that has no huge pages at all
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype=dtype)
