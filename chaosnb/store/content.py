"""What an export holds, besides the files: all tables and ledgers of a capture, and where they come from."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.schema import TABLES, TableSchema
from chaosnb.store.arrow import arrow_table
from chaosnb.store.checksum import Checksum
from chaosnb.tables.ledgers import LEDGERS

__all__ = ["SCHEMAS", "Content", "Counts", "Credits", "versions"]

_SPDX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
SCHEMAS: Final[Mapping[str, TableSchema]] = {**TABLES, **LEDGERS}
"""The tables and ledgers of an export, by name."""


class Counts(msgspec.Struct, frozen=True):
    """How much came, of which the tables hold what was kept.

    Attributes
    ----------
    events, rejected, filtered, duplicates, late
        As of `chaosnb.Status`.
    """

    events: int = 0
    rejected: int = 0
    filtered: int = 0
    duplicates: int = 0
    late: int = 0


class Credits(msgspec.Struct, frozen=True):
    """What only who made a capture can say of it.

    Attributes
    ----------
    title : str or None
        None: one that says where the data comes from, and when.
    authors : tuple of str
        Empty: where the data comes from stands for them.
    license : str or None
        Its SPDX name, or an address. None: nothing is said.
    """

    title: str | None = None
    authors: tuple[str, ...] = ()
    license: str | None = None

    def __post_init__(self) -> None:
        for name in ("title", "license"):
            if not isinstance(value := getattr(self, name), str | None):
                raise TypeError(f"{name} is text, or None, and not {value!r}")
        if self.license and not ("://" in self.license or _SPDX.fullmatch(self.license)):
            raise ValueError(
                f"license={self.license!r} is neither an SPDX name such as 'CC-BY-4.0' (spdx.org/licenses) "
                "nor an address such as 'https://example.org/terms'"
            )
        if wrong := [author for author in self.authors if not isinstance(author, str)]:
            raise TypeError(f"authors are names, such as ['Ada Lovelace'], and {wrong[0]!r} is none")

    def __or__(self, other: Credits) -> Credits:
        return Credits(
            self.title or other.title, self.authors or other.authors, self.license or other.license
        )


class Content:
    """A capture as it stands at one moment.

    Parameters
    ----------
    frames : mapping of str to pandas.DataFrame
        Every table and ledger by name.
    source : str
        Where it comes from; simulated data is called so.
    simulated : bool
    topics : sequence of str
        What is subscribed.
    counts : Counts
    newest_s : int
        Up to which second of event time, since the epoch, the aggregates reach.
    credits : Credits
    """

    def __init__(
        self,
        frames: Mapping[str, pd.DataFrame],
        *,
        source: str,
        simulated: bool,
        topics: tuple[str, ...],
        counts: Counts,
        newest_s: int,
        credits: Credits,
    ) -> None:
        self.frames: Final = dict(frames)
        self.source: Final = source
        self.simulated: Final = simulated
        self.topics: Final = topics
        self.counts: Final = counts
        self.newest_s: Final = newest_s
        self.credits: Final = credits

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return sum(map(len, self.frames.values()))

    def tables(self) -> Iterator[tuple[TableSchema, Any]]:
        """Give each table with its schema, as an Arrow table."""
        for name, frame in self.frames.items():
            yield SCHEMAS[name], arrow_table(frame, SCHEMAS[name])

    @cached_property
    def received(self) -> tuple[str, str] | None:
        """When the first and the last event arrived, as ISO 8601; None where there is none."""
        return self._span("received_at", TABLES)

    @cached_property
    def happened(self) -> tuple[str, str] | None:
        """The first and the last event time; None where there is no event."""
        return self._span("timestamp", TABLES)

    @cached_property
    def date(self) -> str | None:
        """The day of the last arrival, or of the last incident where nothing came; None without either."""
        span = self.received or self._span("timestamp", ["incidents"])
        return None if span is None else span[1][:10]

    @cached_property
    def checksum(self) -> str:
        """The `Checksum` of all tables, as 64 hex digits."""
        checksum = Checksum()
        for schema, table in self.tables():
            checksum.add(schema.name, table)
        return checksum.hex

    def _span(self, column: str, names: Iterable[str]) -> tuple[str, str] | None:
        found = [self.frames[name][column] for name in names if len(self.frames[name])]
        if not found:
            return None
        edges = np.array([edge for times in found for edge in _edges(times)])
        return format_timestamp(int(edges.min())), format_timestamp(int(edges.max()))


def versions() -> dict[str, str]:
    """Return the versions of what writes an export."""
    from chaosnb import __version__

    return {
        "chaosnb": __version__,
        "python": platform.python_version(),
        "pandas": pd.__version__,
        "pyarrow": pa.__version__,
    }


def _edges(times: pd.Series[Any]) -> tuple[int, int]:
    at_us = times.to_numpy("datetime64[us]").astype("int64")
    return int(at_us.min()), int(at_us.max())
