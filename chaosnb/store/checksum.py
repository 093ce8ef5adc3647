"""A checksum of what tables hold, the same whatever files they are in.

It is the SHA-256 of, table by table: its name; then column by column its name, and of each 65,536 rows the
values one after the other. Names, and text, are UTF-8 after its length in bytes. Of values come first which
there are (a byte of 1 each, 0 for none), then the values themselves: integers, and times in microseconds
since the epoch, as signed integers of 64 bits; numbers as IEEE doubles; of text all lengths, then all text;
of lists all lengths, then all their items in the same way; of records each field in the same way. Lengths are
integers too, all numbers have their lowest byte first, and what is missing counts as 0 or empty.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaosnb.store.arrow import plain, slices

__all__ = ["Checksum"]


class Checksum:
    """Takes table after table.

    Examples
    --------
    >>> checksum = Checksum()
    >>> checksum.add("votes", pa.table({"decision": ["approve"]}))
    >>> checksum.hex[:12]
    '153f947d41a3'
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, name: str, table: Any) -> None:
        """Add an Arrow table."""
        self._add_text(name)
        for column in table.column_names:
            self._add_text(column)
            for part in slices(plain(table.select([column]))):
                for values in part[column].chunks:
                    self._add(values)

    @property
    def hex(self) -> str:
        """The SHA-256 so far, as 64 hex digits."""
        return self._digest.hexdigest()

    def _add_text(self, text: str) -> None:
        data = text.encode()
        self._digest.update(len(data).to_bytes(8, "little") + data)

    def _add(self, values: Any) -> None:
        self._digest.update(values.is_valid().to_numpy(zero_copy_only=False).tobytes())
        kind = values.type
        if pa.types.is_list(kind):
            self._add_numbers(pc.fill_null(pc.list_value_length(values), 0), "<i8")
            self._add(values.flatten())
        elif pa.types.is_struct(kind):
            for field in values.flatten():
                self._add(field)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            texts = pc.fill_null(values.cast(pa.large_string()), "")
            self._add_numbers(pc.binary_length(texts), "<i8")
            self._digest.update(_joined(texts))
        elif pa.types.is_floating(kind):
            self._add_numbers(pc.fill_null(values, 0.0), "<f8")
        else:
            self._add_numbers(pc.fill_null(values.cast(pa.int64()), 0), "<i8")

    def _add_numbers(self, values: Any, form: str) -> None:
        self._digest.update(np.ascontiguousarray(values.to_numpy(zero_copy_only=False), form).data)


def _joined(texts: Any) -> Any:
    """Return all text of a large_string array without a null, one after the other."""
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return b"" if data is None or not len(texts) else memoryview(data)[places[0] : places[-1]]
