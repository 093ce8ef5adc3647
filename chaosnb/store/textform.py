"""Tables in text form, for files that know numbers and text only.

Times are ISO 8601 to the microsecond, categories plain text, lists JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from chaosnb.protocol.schema import Column, TableSchema
from chaosnb.store.arrow import LISTS, NUMBERS, arrow_type
from chaosnb.store.formulas import defuse, restore

__all__ = ["defused", "from_text", "restored", "text_form", "text_type"]

_ISO: Final = "%Y-%m-%dT%H:%M:%SZ"
_SPOKEN: Final = ("text", "category", "json")


def text_form(table: Any, schema: TableSchema, *, lists_as_text: bool = True) -> Any:
    """Return a table with its times as ISO 8601, categories as text, and lists as JSON, if they are to be."""
    arrays = []
    for column in schema.columns:
        values = table[column.name]
        if column.kind == "time":
            values = pc.strftime(values, format=_ISO).cast(pa.large_string())
        elif column.kind == "category":
            values = values.cast(pa.large_string())
        elif column.kind in LISTS and lists_as_text:
            texts = [msgspec.json.encode(items).decode() for items in values.to_pylist()]
            values = pa.array(texts, pa.large_string())
        arrays.append(values)
    return pa.table(arrays, [column.name for column in schema.columns])


def text_type(column: Column, *, lists_as_text: bool = True) -> Any:
    """Return the Arrow type of a column in text form."""
    is_kept = column.kind in NUMBERS or (column.kind in LISTS and not lists_as_text)
    return arrow_type(column) if is_kept else pa.large_string()


def from_text(columns: Mapping[str, Any], schema: TableSchema) -> Any:
    """Return the table of columns that are in text form, or have their types already."""
    arrays = {}
    for column in schema.columns:
        values = columns[column.name]
        if column.kind in LISTS and pa.types.is_large_string(values.type):
            values = pa.array(map(msgspec.json.decode, values.to_pylist()), arrow_type(column))
        arrays[column.name] = values.cast(arrow_type(column))
    return pa.table(arrays)


def defused(table: Any, schema: TableSchema) -> Any:
    """Return the table with a quote before text that a spreadsheet would take for a formula."""
    return _each_text(table, schema, defuse)


def restored(table: Any, schema: TableSchema) -> Any:
    """Return the table as it was before `defused`."""
    return _each_text(table, schema, restore)


def _each_text(table: Any, schema: TableSchema, change: Callable[[Any], Any]) -> Any:
    """Change what somebody said; lists begin with a bracket, and times with a digit."""
    for place, column in enumerate(schema.columns):
        if column.kind in _SPOKEN:
            values = table[column.name].cast(pa.large_string())
            table = table.set_column(place, column.name, change(values))
    return table
