"""Growable columns whose snapshots cost nothing by the row and are safe to write to.

Numbers, time stamps and categories live in a `GrowableBuffer`, which explains why that is safe.
Text and lists live in Arrow arrays, which never change.

Copy-on-write does not cover pandas' own array within a column: whoever writes into ``df[c].array`` (for a
category that is ``df[c].values`` too) writes to the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from chaosnb.protocol.schema import Column, field_reader
from chaosnb.tables.buffer import GrowableBuffer

__all__ = [
    "TEXT_DTYPE",
    "ArrowColumn",
    "CategoryColumn",
    "FixedColumn",
    "GrowableColumn",
    "list_array",
    "look_up",
    "make_column",
]

T = TypeVar("T")

TEXT_DTYPE: Final[Any] = pd.StringDtype("pyarrow", na_value=np.nan)
"""What text is in a DataFrame."""

# Merging so many rows of text takes some milliseconds, which is what an append may pause for.
_MERGED_ROWS: Final = 2**13
_MERGED: Final = 4
_MERGED_BYTES: Final = 2**26
_FIRST_CAPACITY: Final = 1024
_FEW_CATEGORIES: Final = 1024
# What Python and pandas add to the letters of a label.
_LABEL_BYTES: Final = 120
# Arrow's own allocator keeps a tenth more than the tables hold.
_POOL: Final = pa.system_memory_pool()


class GrowableColumn(Protocol):
    """What a table needs of a column."""

    def append(self, values: Sequence[Any] | npt.NDArray[Any]) -> None:
        """Add values at the end."""

    def evict(self, rows: int) -> None:
        """Forget the first rows."""

    def truncate(self, rows: int) -> None:
        """Forget all but the first rows, which nobody has been shown."""

    def reorder(self, start: int, order: npt.NDArray[np.int64]) -> None:
        """Put the values from `start` on into a new order, leaving snapshots as they are."""

    def snapshot(self) -> pd.Series[Any]:
        """Return all values as a Series that later changes do not reach."""

    @property
    def nbytes(self) -> int:
        """Bytes in use."""


class FixedColumn:
    """A column of numbers or time stamps.

    Parameters
    ----------
    dtype : str
        The numpy dtype of the buffer.
    pandas_dtype : str
        What the buffer is shown as, such as ``datetime64[us, UTC]`` over int64.
    capacity : int
        Rows that there is room for at first.

    Examples
    --------
    >>> column = FixedColumn("int64", "int64")
    >>> column.append([1, 2, 3])
    >>> column.snapshot().tolist()
    [1, 2, 3]
    """

    def __init__(self, dtype: str, pandas_dtype: str, capacity: int = _FIRST_CAPACITY) -> None:
        self._buffer = GrowableBuffer(dtype, capacity)
        self._pandas_dtype = pandas_dtype

    def append(self, values: Sequence[Any] | npt.NDArray[Any]) -> None:
        """Add values at the end."""
        self._buffer.append(values)

    def evict(self, rows: int) -> None:
        """Forget the first rows."""
        self._buffer.evict(rows)

    def truncate(self, rows: int) -> None:
        """Forget all but the first rows, which nobody has been shown."""
        self._buffer.truncate(rows)

    def reorder(self, start: int, order: npt.NDArray[np.int64]) -> None:
        """Put the values from `start` on into a new order, leaving snapshots as they are."""
        self._buffer.reorder(start, order)

    def values(self, start: int = 0) -> npt.NDArray[Any]:
        """Return a copy of the values from `start` on."""
        return self._buffer.kept(start).copy()

    def at(self, place: int) -> int:
        """Return the value of one row."""
        return int(self._buffer.kept(place)[0])

    def position_of(self, value: int, stop: int) -> int:
        """Return where a value goes, after equal ones, among the first `stop` values, which are sorted."""
        return int(np.searchsorted(self._buffer.kept()[:stop], value, side="right"))

    def snapshot(self) -> pd.Series[Any]:
        """Return all values as a Series that later changes do not reach."""
        return self._buffer.show(lambda values: pd.Series(values, dtype=self._pandas_dtype, copy=False))

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return self._buffer.nbytes


class CategoryColumn:
    """A column of text with few distinct values, kept as codes; categories stand in order of first arrival.

    Parameters
    ----------
    capacity : int
        Rows that there is room for at first.

    Examples
    --------
    >>> column = CategoryColumn()
    >>> column.append(["approve", "reject", "approve"])
    >>> column.snapshot().cat.codes.tolist()
    [0, 1, 0]
    """

    def __init__(self, capacity: int = _FIRST_CAPACITY) -> None:
        self._capacity = capacity
        self._buffer = GrowableBuffer("int8", capacity)
        self._code_of: dict[str, int] = {}
        self._label_bytes = 0
        self._evicted = 0
        self._dtype = pd.CategoricalDtype(pd.Index([], dtype=TEXT_DTYPE))

    def append(self, values: Sequence[Any] | npt.NDArray[Any]) -> None:
        """Add values at the end."""
        code_of = self._code_of
        try:
            codes = look_up(code_of, values)
        except KeyError:
            for value in dict.fromkeys(values):
                if value not in code_of:
                    code_of[value] = len(code_of)
                    self._label_bytes += len(value) + _LABEL_BYTES
            codes = look_up(code_of, values)
        dtype = _code_dtype(len(code_of))
        if self._buffer.values.dtype != dtype:
            self._buffer.move(dtype)
        # By way of bytes, which takes a third of the time.
        few = dtype == "int8"
        self._buffer.append(np.frombuffer(bytes(codes), dtype) if few else np.array(codes, dtype=dtype))

    def evict(self, rows: int) -> None:
        """Forget the first rows, and in the end the categories that only they had."""
        self._buffer.evict(rows)
        self._evicted += rows
        if self._evicted > max(len(self._buffer), _FEW_CATEGORIES) and len(self._code_of) > _FEW_CATEGORIES:
            self._forget_unused()

    def truncate(self, rows: int) -> None:
        """Forget all but the first rows, which nobody has been shown."""
        self._buffer.truncate(rows)

    def reorder(self, start: int, order: npt.NDArray[np.int64]) -> None:
        """Put the values from `start` on into a new order, leaving snapshots as they are."""
        self._buffer.reorder(start, order)

    def snapshot(self) -> pd.Series[Any]:
        """Return all values as a categorical Series that later changes do not reach."""
        if len(self._dtype.categories) != len(self._code_of):
            # Snapshots of two dtypes have two owners, which do not know of each other: no buffer for both.
            self._buffer.move()
            self._dtype = pd.CategoricalDtype(pd.Index(list(self._code_of), dtype=TEXT_DTYPE))
        return self._buffer.show(self._owner)

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return self._buffer.nbytes + self._label_bytes

    def _forget_unused(self) -> None:
        """Give the labels that are left new codes, in the same order."""
        codes, labels = self._buffer.kept(), list(self._code_of)
        used, new_codes = np.unique(codes, return_inverse=True)
        self._code_of = {labels[code]: place for place, code in enumerate(used.tolist())}
        self._label_bytes = sum(len(label) + _LABEL_BYTES for label in self._code_of)
        self._buffer = GrowableBuffer(_code_dtype(len(used)), max(self._capacity, len(codes)))
        self._buffer.append(new_codes)
        self._dtype = pd.CategoricalDtype(pd.Index(list(self._code_of), dtype=TEXT_DTYPE))
        self._evicted = 0

    def _owner(self, codes: npt.NDArray[Any]) -> pd.Series[Any]:
        return pd.Series(pd.Categorical.from_codes(codes, dtype=self._dtype, validate=False), copy=False)


class ArrowColumn:
    """A column of text or lists in Arrow arrays, which are merged as they grow so that few are left.

    Parameters
    ----------
    arrow_type : pyarrow.DataType

    Examples
    --------
    >>> column = ArrowColumn(pa.large_string())
    >>> column.append(["0xab", "0xcd"])
    >>> column.snapshot().tolist()
    ['0xab', '0xcd']
    """

    def __init__(self, arrow_type: Any) -> None:
        self._type = arrow_type
        self._chunks: list[Any] = []
        self._start = 0

    def append(self, values: Sequence[Any] | npt.NDArray[Any]) -> None:
        """Add values at the end."""
        chunks = self._chunks
        chunks.append(
            values if isinstance(values, pa.Array) else pa.array(values, self._type, memory_pool=_POOL)
        )
        # Like sizes are merged, four at once: a row is copied a few times at most, and few chunks are left.
        while len(chunks) >= _MERGED and len(chunks[-_MERGED]) <= min(2 * len(chunks[-1]), _MERGED_ROWS):
            if sum(chunk.nbytes for chunk in chunks[-_MERGED:]) > _MERGED_BYTES:
                break
            chunks[-_MERGED:] = [pa.concat_arrays(chunks[-_MERGED:], _POOL)]

    def evict(self, rows: int) -> None:
        """Forget the first rows."""
        self._start += rows
        while self._chunks and len(self._chunks[0]) <= self._start:
            self._start -= len(self._chunks.pop(0))

    def truncate(self, rows: int) -> None:
        """Forget all but the first rows, which nobody has been shown."""
        self._chunks = [chunk for chunk in self._kept().slice(0, rows).chunks if len(chunk)]
        self._start = 0

    def reorder(self, start: int, order: npt.NDArray[np.int64]) -> None:
        """Put the values from `start` on into a new order, leaving snapshots as they are."""
        everything = self._kept()
        head, tail = everything.slice(0, start), everything.slice(start).take(pa.array(order))
        self._start = 0
        self._chunks = [chunk for part in (head, tail) for chunk in part.chunks if len(chunk)]

    def snapshot(self) -> pd.Series[Any]:
        """Return all values as a Series that later changes do not reach."""
        dtype: Any = TEXT_DTYPE if pa.types.is_large_string(self._type) else pd.ArrowDtype(self._type)
        return pd.Series(dtype.__from_arrow__(self._kept()), copy=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows, the same however many at once they came, without which rows have no value."""
        return sum(map(_content_bytes, self._kept().chunks))

    def _kept(self) -> Any:
        chunks = self._chunks
        if self._start:  # slicing the whole would cost something for each chunk
            chunks = [chunks[0].slice(self._start), *chunks[1:]]
        return pa.chunked_array(chunks, type=self._type)


def make_column(column: Column, place: int = 0) -> GrowableColumn:
    """Return an empty growable column for the column of the schema at this place in its table."""
    # Of different sizes, so that the columns of a table do not run out of room at the same time.
    capacity = _FIRST_CAPACITY + place * _FIRST_CAPACITY // 16
    if column.kind == "time":
        return FixedColumn("int64", column.dtype, capacity)
    if column.kind in ("integer", "number", "duration"):
        return FixedColumn(column.dtype, column.dtype, capacity)
    if column.kind == "category":
        return CategoryColumn(capacity)
    if column.kind == "texts":
        return ArrowColumn(pa.list_(pa.string()))
    if column.kind == "records":
        return ArrowColumn(pa.list_(pa.struct([(name, pa.string()) for name in column.fields])))
    return ArrowColumn(pa.large_string())


def look_up(mapping: Mapping[str, T], keys: Sequence[Any] | npt.NDArray[Any]) -> tuple[T, ...]:
    """Return what a mapping has for each key, in half the time that one by one takes.

    Examples
    --------
    >>> look_up({"a": 1, "b": 2}, ["b", "a", "b"])
    (2, 1, 2)
    """
    if len(keys) < 2:  # of one, itemgetter gives no tuple
        return tuple([mapping[key] for key in keys])
    found: tuple[T, ...] = itemgetter(*keys)(mapping)
    return found


def list_array(lists: Sequence[Sequence[Any]], fields: Sequence[str] = ()) -> Any:
    """Return lists of text, or of records with these fields, as one Arrow array.

    Building it of flat arrays takes a third of the time that Arrow takes for lists of dicts.

    Examples
    --------
    >>> list_array([["a", "b"], []]).to_pylist()
    [['a', 'b'], []]
    """
    offsets = np.zeros(len(lists) + 1, dtype=np.int32)
    np.cumsum(list(map(len, lists)), out=offsets[1:])
    flat = list(chain.from_iterable(lists))
    if not fields:
        return pa.ListArray.from_arrays(offsets, pa.array(flat, pa.string(), memory_pool=_POOL))
    arrays = [pa.array(field_reader((name,))(flat), pa.string(), memory_pool=_POOL) for name in fields]
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(arrays, names=list(fields)))


def _content_bytes(array: Any) -> int:
    """Return the bytes of an array's rows, which unlike Arrow's own count is that of its parts together."""
    if pa.types.is_list(array.type):
        return 4 * len(array) + _content_bytes(array.flatten())
    if pa.types.is_struct(array.type):
        return sum(_content_bytes(array.field(place)) for place in range(array.type.num_fields))
    if not len(array):
        return 0
    width = np.dtype("int64" if pa.types.is_large_string(array.type) else "int32")
    offsets = np.frombuffer(array.buffers()[1], width)[array.offset : array.offset + len(array) + 1]
    return width.itemsize * len(array) + int(offsets[-1] - offsets[0])


def _code_dtype(categories: int) -> str:
    # The width that pandas itself would choose; with any other it would convert, and so copy, the codes.
    return "int8" if categories < 127 else "int16" if categories < 32_767 else "int32"
