"""The file formats of an export: each writes a table to a file, and reads it back."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from chaosnb.errors import MissingExtraError
from chaosnb.protocol.schema import TableSchema
from chaosnb.store.arrow import SLICE_ROWS
from chaosnb.store.database import DATABASE, read_database, write_database
from chaosnb.store.textform import from_text, text_form, text_type
from chaosnb.store.workbook import MOST_ROWS, read_workbook, write_workbook

__all__ = ["FORMATS", "Format", "Read", "Write", "require"]

# Of CSV, a whole row must fit: no message is longer.
_LONGEST_ROW: Final = 2**30


Write = Callable[[TableSchema, Iterable[Any]], None]
"""Writes a table with a schema, given in slices, of which there is one at least."""
Read = Callable[[TableSchema], Any]
"""Reads a table with a schema, as what `chaosnb.store.arrow.frame_of` takes."""


class Format(NamedTuple):
    """How tables are written and read.

    Attributes
    ----------
    file : str
        The name of a table's file; ``{}`` is the table's.
    mediatype : str
    writer, reader : callable
        Take the folder, and give what writes or reads its tables, within a ``with``.
    extra, package : str or None
        The extra of chaosnb that it takes, and the package that this brings.
    most_rows : int or None
        How many rows it can hold; None: any number.
    """

    file: str
    mediatype: str
    writer: Callable[[Path], AbstractContextManager[Write]]
    reader: Callable[[Path], AbstractContextManager[Read]]
    extra: str | None = None
    package: str | None = None
    most_rows: int | None = None


def require(name: str) -> Format:
    """Return a format by name, if all that it takes is installed.

    Raises
    ------
    ValueError
        If there is no such format.
    MissingExtraError
        If it takes an extra that is not installed.

    Examples
    --------
    >>> require("csv").file.format("gaps")
    'gaps.csv'
    """
    if not isinstance(name, str) or name not in FORMATS:
        raise ValueError(f"unknown format {name!r}; the formats are {', '.join(map(repr, FORMATS))}")
    found = FORMATS[name]
    if found.extra is not None and found.package is not None:
        try:
            importlib.import_module(found.package)
        except ImportError as error:
            raise MissingExtraError(f"format={name!r}", extra=found.extra) from error
    return found


def _write_parquet(path: Path, schema: TableSchema, tables: Iterable[Any]) -> None:
    with _Opener(lambda schema: pyarrow.parquet.ParquetWriter(path, schema, compression="zstd")) as writer:
        for table in tables:
            writer.write(table)


def _read_parquet(path: Path, schema: TableSchema) -> Any:
    return pyarrow.parquet.read_table(path)


def _write_feather(path: Path, schema: TableSchema, tables: Iterable[Any]) -> None:
    options = pyarrow.ipc.IpcWriteOptions(compression="lz4")
    with _Opener(lambda schema: pyarrow.ipc.new_file(str(path), schema, options=options)) as writer:
        for table in tables:
            writer.write(table)


def _read_feather(path: Path, schema: TableSchema) -> Any:
    # Whole in memory: what is mapped would vanish with the file.
    with pa.OSFile(str(path)) as file, pyarrow.ipc.open_file(file) as reader:
        return reader.read_all()


def _write_csv(path: Path, schema: TableSchema, tables: Iterable[Any]) -> None:
    with _Opener(lambda schema: pyarrow.csv.CSVWriter(path, schema)) as writer:
        for table in tables:
            writer.write(text_form(table, schema))


def _read_csv(path: Path, schema: TableSchema) -> Any:
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(block_size=min(path.stat().st_size + 1, _LONGEST_ROW)),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={column.name: text_type(column) for column in schema.columns},
            null_values=[""],
            strings_can_be_null=True,
            # "" is a text, and nothing at all is none.
            quoted_strings_can_be_null=False,
        ),
    )
    return from_text(table, schema)


def _write_jsonl(path: Path, schema: TableSchema, tables: Iterable[Any]) -> None:
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for table in tables:
            file.write(encoder.encode_lines(text_form(table, schema, lists_as_text=False).to_pylist()))


def _read_jsonl(path: Path, schema: TableSchema) -> Any:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    form = pa.schema([(c.name, text_type(c, lists_as_text=False)) for c in schema.columns])
    parts = [form.empty_table()]
    with path.open("rb") as file:
        while rows := [decode(line) for line in islice(file, SLICE_ROWS)]:
            parts.append(pa.Table.from_pylist(rows, schema=form))
    return from_text(pa.concat_tables(parts), schema)


class _Opener:
    """Opens a writer of Arrow's with the schema of the first table, and closes it."""

    def __init__(self, open: Callable[[Any], Any]) -> None:
        self._open = open
        self._writer: Any = None

    def write(self, table: Any) -> None:
        if self._writer is None:
            self._writer = self._open(table.schema)
        self._writer.write_table(table)

    def __enter__(self) -> _Opener:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()


def _by_file(
    file: str,
    mediatype: str,
    write: Callable[[Path, TableSchema, Iterable[Any]], None],
    read: Callable[[Path, TableSchema], Any],
    **more: Any,
) -> Format:
    """Return a format with a file for each table."""

    @contextmanager
    def writer(folder: Path) -> Iterator[Write]:
        yield lambda schema, tables: write(folder / file.format(schema.name), schema, tables)

    @contextmanager
    def reader(folder: Path) -> Iterator[Read]:
        yield lambda schema: read(folder / file.format(schema.name), schema)

    return Format(file, mediatype, writer, reader, **more)


FORMATS: Final = {
    "parquet": _by_file("{}.parquet", "application/x-parquet", _write_parquet, _read_parquet),
    "feather": _by_file("{}.feather", "application/vnd.apache.arrow.file", _write_feather, _read_feather),
    "csv": _by_file("{}.csv", "text/csv", _write_csv, _read_csv),
    "jsonl": _by_file("{}.jsonl", "application/jsonlines", _write_jsonl, _read_jsonl),
    "xlsx": _by_file(
        "{}.xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        write_workbook,
        read_workbook,
        extra="excel",
        package="xlsxwriter",
        most_rows=MOST_ROWS,
    ),
    "duckdb": Format(
        DATABASE, "application/vnd.duckdb", write_database, read_database, extra="archive", package="duckdb"
    ),
}
"""The formats by name."""
