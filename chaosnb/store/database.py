"""DuckDB databases: one file with all tables, each column with a comment that says what it is.

It is the one format without a file for each table: a query goes over all tables of a database, and over two
databases only once one is attached to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from chaosnb.protocol.schema import TableSchema
from chaosnb.store.arrow import plain

__all__ = ["DATABASE", "read_database", "write_database"]

DATABASE: Final = "chaosnb.duckdb"
"""The file."""

# Nothing is ever fetched from the network.
_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
# Nor may what somebody else wrote read other files, as a view could.
_READING: Final = {**_CONFIG, "enable_external_access": "false"}


@contextmanager
def write_database(folder: Path) -> Iterator[Callable[[TableSchema, Iterable[Any]], None]]:
    """Give what writes a table, given in slices, into a new database."""
    import duckdb

    with duckdb.connect(str(folder / DATABASE), config=_CONFIG) as database:

        def write(schema: TableSchema, tables: Iterable[Any]) -> None:
            name = _name(schema.name)
            for number, table in enumerate(tables):
                database.register("slice_of_table", plain(table))
                how = f"INSERT INTO {name}" if number else f"CREATE TABLE {name} AS"
                database.execute(f"{how} SELECT * FROM slice_of_table")
                database.unregister("slice_of_table")
            comments = [f"TABLE {name} IS {_text(schema.description)}"]
            for column in schema.columns:
                said = column.description + (f" ({column.unit})" if column.unit else "")
                comments.append(f"COLUMN {name}.{_name(column.name)} IS {_text(said)}")
            database.execute("".join(f"COMMENT ON {comment};" for comment in comments))

        yield write


@contextmanager
def read_database(folder: Path) -> Iterator[Callable[[TableSchema], Any]]:
    """Give what reads a table of a database."""
    import duckdb

    with duckdb.connect(str(folder / DATABASE), read_only=True, config=_READING) as database:
        yield lambda schema: database.sql(
            f"SELECT * FROM {_name(schema.name)} ORDER BY rowid"
        ).to_arrow_table()


def _name(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""'))


def _text(text: str) -> str:
    return "'{}'".format(text.replace("'", "''"))
