"""Packages: exports read back, as the same tables, ledgers and aggregates that the stream had."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import pandas as pd

from chaosnb.errors import LoadError, MissingExtraError
from chaosnb.ingest.gaps import Gap
from chaosnb.ingest.session import Batch, Rows
from chaosnb.ingest.spans import Span
from chaosnb.protocol.events import EVENT_TYPES
from chaosnb.protocol.schema import TABLES, TableSchema
from chaosnb.store.arrow import LISTS, SLICE_ROWS, arrow_table, frame_of
from chaosnb.store.checksum import Checksum
from chaosnb.store.content import SCHEMAS, Counts, Credits
from chaosnb.store.dataset import Dataset
from chaosnb.store.description import DESCRIPTION, FORM
from chaosnb.store.export import sha256_of, told
from chaosnb.store.formats import FORMATS
from chaosnb.store.paths import beside, path_of
from chaosnb.store.segments import is_recording, said
from chaosnb.store.staging import settle
from chaosnb.store.textform import restored
from chaosnb.tables.aggregates import Aggregates
from chaosnb.tables.arrivals import Arrivals
from chaosnb.tables.ledgers import gaps_of, spans_of
from chaosnb.text import printable

__all__ = ["Package", "load"]


# Of all times that can be written, the last is before it.
_MOST_S: Final = 2**38


class _Table(msgspec.Struct, frozen=True):
    rows: int
    categories: dict[str, list[str]]


class _About(msgspec.Struct, frozen=True):
    """What a description says under ``chaosnb``."""

    form: str
    format: str
    source: str
    simulated: bool
    topics: tuple[str, ...]
    newest_s: Annotated[int, msgspec.Meta(ge=-_MOST_S, le=_MOST_S)]
    counts: Counts
    credits: Credits
    checksum: str
    formulas: str
    tables: dict[str, _Table]


class _Resource(msgspec.Struct, frozen=True):
    path: str
    bytes: int
    hash: str


class _Description(msgspec.Struct, frozen=True):
    resources: list[_Resource]
    chaosnb: _About


class Package(Dataset):
    """An export, to read, to plot and to export again; `load` makes it. The files are never changed.

    Attributes
    ----------
    folder : Path
    checksum : str
        SHA-256 of what the tables hold, as 64 hex digits; the same for every format.
    """

    def __init__(self, folder: Path, about: _About, frames: Mapping[str, pd.DataFrame]) -> None:
        drift = dict(zip(frames["drift"]["drift"], frames["drift"]["count"].tolist(), strict=True))
        shelf = _Shelf(frames, about)
        super().__init__(shelf, _Spans(frames), Counter(drift), about.credits)
        self.folder: Final = folder
        self.checksum: Final = about.checksum.removeprefix("sha256:")
        self._about = about

    @property
    def source(self) -> str:
        """Where the data comes from; simulated data is called so."""
        return self._about.source

    @property
    def simulated(self) -> bool:
        """Whether the data is simulated."""
        return self._about.simulated

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it covers."""
        return self._about.topics

    def __repr__(self) -> str:
        rows = sum(self._about.tables[name].rows for name in TABLES)
        return (
            f"<Package {printable(self.folder.name)} of {printable(self.source)}: {rows:,} rows, "
            f"{self._about.format}>"
        )

    def _before_reading(self) -> None:
        """Nothing stands against reading."""


def load(folder: str | os.PathLike[str], *, quiet: bool = False) -> Package:
    """Read an export back: the same tables, to every value and dtype, whatever format they are in.

    Parameters
    ----------
    folder : path
        What `chaosnb.Stream.export` was given.
    quiet : bool
        Whether to show no progress bar; what takes less than two seconds shows none anyway.

    Returns
    -------
    Package
        It has the tables, ledgers, aggregates, `complete`, `export` and `cite` of a stream.

    Raises
    ------
    LoadError
        If there is no export, or a file or table is not what was written.
    MissingExtraError
        If the format takes a package that is not installed.

    Examples
    --------
    >>> import chaosnb, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with chaosnb.stream("network", url="devnet") as s:
    ...         s.wait(events=5, timeout=30)
    ...     package = load(s.export(f"{folder}/capture", format="csv"))
    >>> package.network_metrics.equals(s.network_metrics)
    True
    """
    folder = path_of("folder", folder)
    description = _read_description(folder)
    about = description.chaosnb
    how = FORMATS[about.format]
    for resource in description.resources:
        _check(folder / Path(resource.path).name, resource)
    frames: dict[str, pd.DataFrame] = {}
    step = str(folder)
    try:
        with (
            told("load", sum(table.rows for table in about.tables.values()), quiet=quiet) as advance,
            how.reader(folder) as read,
        ):
            for name, table in about.tables.items():
                step = str(folder / how.file.format(name))
                found = read(SCHEMAS[name])
                if about.formulas.startswith("defused"):
                    found = restored(found, SCHEMAS[name])
                frames[name] = frame_of(found, SCHEMAS[name], table.categories)
                advance(len(frames[name]))
    except ImportError as error:
        raise MissingExtraError(f"format={about.format!r}", extra=how.extra or "") from error
    except Exception as error:
        raise LoadError(step, f"it cannot be read: {type(error).__name__}: {error}") from error
    _check_tables(folder, about, frames)
    return Package(folder, about, frames)


def _read_description(folder: Path) -> _Description:
    path = folder / DESCRIPTION
    try:
        # On a disk that can only be read nothing was ever interrupted.
        with suppress(PermissionError):
            settle(folder, DESCRIPTION)
        description = msgspec.json.decode(path.read_bytes(), type=_Description)
    except msgspec.MsgspecError as error:
        raise LoadError(str(path), f"this is no description of an export of chaosnb: {error}") from error
    except (OSError, ValueError) as error:
        what = f"load() takes a folder that export() made{beside(folder)}"
        if (folder.parent / DESCRIPTION).is_file():
            what = f"load() takes the folder, which is {str(folder.parent)!r}, and not a file in it"
        if is_recording(folder):
            what = "this is a recording, which chaosnb.replay() reads and `python -m chaosnb export` exports"
        raise LoadError(str(path), f"{said(error)}; {what}") from error
    about = description.chaosnb
    if about.form != FORM or about.format not in FORMATS or not about.tables.keys() <= SCHEMAS.keys():
        raise LoadError(str(folder), "it was written by a newer chaosnb; install that one to read it")
    if missing := SCHEMAS.keys() - about.tables.keys():
        raise LoadError(str(path), f"tables are missing in it: {', '.join(sorted(missing))}")
    return description


def _check(path: Path, resource: _Resource) -> None:
    try:
        size = path.stat().st_size
        same = size == resource.bytes and f"sha256:{sha256_of(path)}" == resource.hash
    except OSError as error:
        raise LoadError(str(path), f"it cannot be read: {error.strerror or error}") from error
    if not same:
        raise LoadError(
            str(path),
            f"it is not the file that was exported (its SHA-256 is another than {resource.hash[7:]}): get a "
            "whole copy, or export the data anew. pandas reads it as it is",
        )


def _check_tables(folder: Path, about: _About, frames: Mapping[str, pd.DataFrame]) -> None:
    """Raise unless the tables are those of the checksum: a changed description names no changed file."""
    checksum = Checksum()
    for name, schema in SCHEMAS.items():
        checksum.add(name, arrow_table(frames[name], schema))
    if f"sha256:{checksum.hex}" != about.checksum:
        raise LoadError(
            str(folder),
            f"its tables are not what was exported (their checksum is {checksum.hex}, and {DESCRIPTION} says "
            f"{about.checksum.removeprefix('sha256:')}): get a whole copy, or export the data anew",
        )


class _Spans:
    """The gaps and the spans without; a `chaosnb.store.holdings.Ledger`."""

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        self.gaps: list[Gap] = gaps_of(frames["gaps"])
        self.complete_spans: dict[str, list[Span]] = spans_of(frames["complete"])


class _Rows:
    """One table."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def snapshot(self) -> pd.DataFrame:
        return self._frame.copy(deep=False)


class _Shelf:
    """The tables as they were read; `chaosnb.store.holdings.Holdings`."""

    def __init__(self, frames: Mapping[str, pd.DataFrame], about: _About) -> None:
        self._frames = frames
        self._newest_us = about.newest_s * 1_000_000
        self.tables: Mapping[str, _Rows] = {name: _Rows(frames[name]) for name in TABLES}
        # Nothing comes any more.
        self.arrivals = Arrivals(lambda: 0.0)
        self.events = about.counts.events
        self.rejected = about.counts.rejected
        self.filtered = about.counts.filtered
        self.duplicates = about.counts.duplicates
        self.late = about.counts.late

    @cached_property
    def aggregates(self) -> Aggregates:
        """The sums of the rows that are there, made when they are asked for."""
        frames = self._frames
        aggregates = Aggregates(lambda name: frames[name])
        for name in EVENT_TYPES:
            frame = self._frames[name]
            for start in range(0, len(frame), SLICE_ROWS):
                rows = _rows(frame.iloc[start : start + SLICE_ROWS], TABLES[name])
                aggregates.update(Batch(rows={name: rows}, newest_us=self._newest_us))
        return aggregates

    def rejects(self) -> pd.DataFrame:
        return self._frames["rejects"].copy(deep=False)

    def incidents(self) -> pd.DataFrame:
        return self._frames["incidents"].copy(deep=False)

    def memory(self) -> pd.DataFrame:
        frames = [self._frames[name] for name in TABLES]
        return pd.DataFrame(
            {
                "rows": [len(frame) for frame in frames],
                "evicted": [0] * len(frames),
                "bytes": [int(frame.memory_usage(index=False).sum()) for frame in frames],
            },
            index=pd.Index(list(TABLES), name="table"),
            dtype="int64",
        )


def _rows(frame: pd.DataFrame, schema: TableSchema) -> Rows:
    """Return the rows of a table as the events that they were."""
    fields: dict[tuple[str, ...], Sequence[Any]] = {}
    for column in schema.columns:
        if column.kind in LISTS:
            fields[column.path] = list(frame[column.name])
        elif column.path and column.kind not in ("time", "duration"):
            fields[column.path] = frame[column.name].tolist()
    kind, events = EVENT_TYPES[schema.name], []
    for values in zip(*fields.values(), strict=True):
        event: dict[str, Any] = {"timestamp": ""}
        for path, value in zip(fields, values, strict=True):
            inner = event
            for step in path[:-1]:
                inner = inner.setdefault(step, {})
            inner[path[-1]] = value
        events.append(event)
    return Rows(
        [msgspec.convert(event, kind) for event in events],
        _microseconds(frame["timestamp"]),
        _microseconds(frame["received_at"]) * 1_000,
        frame["seq"].to_numpy(),
    )


def _microseconds(times: pd.Series[Any]) -> Any:
    return times.to_numpy("datetime64[us]").astype("int64")
