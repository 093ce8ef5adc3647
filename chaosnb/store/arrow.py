"""Tables as Arrow, the form between DataFrames and files: how each kind of column is held, to and from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chaosnb.protocol.schema import Column, TableSchema
from chaosnb.tables.columns import TEXT_DTYPE

__all__ = [
    "LISTS",
    "NUMBERS",
    "SLICE_ROWS",
    "arrow_table",
    "arrow_type",
    "categories_of",
    "frame_of",
    "plain",
    "slices",
]

LISTS: Final = ("texts", "records", "integers")
"""The kinds of columns that hold lists."""
NUMBERS: Final = ("integer", "number", "duration")
"""The kinds of columns that hold numbers."""

SLICE_ROWS: Final = 2**16
"""So many rows are written at once, whatever pieces they came in: equal tables make equal files."""

_TYPES: Final[dict[str, Any]] = {
    "time": pa.timestamp("us", "UTC"),
    "integer": pa.int64(),
    "number": pa.float64(),
    "duration": pa.float64(),
    "texts": pa.list_(pa.string()),
    "integers": pa.list_(pa.int64()),
}


def arrow_type(column: Column) -> Any:
    """Return the Arrow type of a column's values.

    Examples
    --------
    >>> from chaosnb.protocol.schema import TABLES
    >>> print(arrow_type(TABLES["block_proposal"].columns[6]))
    list<item: struct<hash: string, type: string>>
    """
    if column.kind == "records":
        return pa.list_(pa.struct([(name, pa.string()) for name in column.fields]))
    return _TYPES.get(column.kind, pa.large_string())


def arrow_table(frame: pd.DataFrame, schema: TableSchema) -> Any:
    """Return a DataFrame as an Arrow table, which pandas reads back; categories are dictionaries."""
    arrays = []
    for column in schema.columns:
        series: Any = frame[column.name]
        if column.kind == "category":
            labels = pa.array(series.cat.categories, pa.large_string())
            codes = pa.array(series.cat.codes, pa.int32(), mask=series.cat.codes.to_numpy() < 0)
            arrays.append(pa.DictionaryArray.from_arrays(codes, labels))
        else:
            arrays.append(pa.chunked_array([pa.array(series, arrow_type(column), from_pandas=True)]))
    names = [column.name for column in schema.columns]
    return pa.table(arrays, names).replace_schema_metadata(_metadata(frame[names]))


def categories_of(frame: pd.DataFrame, schema: TableSchema) -> dict[str, list[str]]:
    """Return the categories of each categorical column, in order; a file in text form does not tell them."""
    return {c.name: list(frame[c.name].cat.categories) for c in schema.columns if c.kind == "category"}


def frame_of(table: Any, schema: TableSchema, categories: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return an Arrow table as a DataFrame with the dtypes of its schema.

    Columns of text may be dictionaries or plain, and have any Arrow type of text.
    """
    series = {c.name: _series(table[c.name], c, categories.get(c.name, ())) for c in schema.columns}
    return pd.DataFrame(series, copy=False)


def plain(table: Any) -> Any:
    """Return a table with text instead of dictionaries."""
    types = [(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in table.schema]
    return table.cast(pa.schema(types))


def slices(table: Any) -> Iterator[Any]:
    """Cut a table into pieces of a size that depends on nothing else; an empty one is one piece."""
    for start in range(0, max(1, table.num_rows), SLICE_ROWS):
        yield table.slice(start, SLICE_ROWS).combine_chunks()


def _series(values: Any, column: Column, categories: Sequence[str]) -> Any:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    match column.kind:
        case "time":
            counts = values.cast(_TYPES["time"]).cast(pa.int64())
            filled = pc.fill_null(counts, np.iinfo(np.int64).min).to_numpy()
            return pd.Series(pd.DatetimeIndex(filled.view("datetime64[us]"), tz="UTC"), copy=False)
        case "integer":
            return pd.Series(values.to_numpy(), dtype="int64")
        case "number" | "duration":
            return pd.Series(pc.fill_null(values, np.nan).to_numpy(), dtype="float64")
        case "category":
            labels = pa.array(categories, pa.large_string())
            codes = pc.fill_null(pc.index_in(values.cast(pa.large_string()), labels), -1).to_numpy()
            dtype = pd.CategoricalDtype(pd.Index(list(categories), dtype=TEXT_DTYPE))
            return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype))
        case "texts" | "records" | "integers":
            return pd.Series(pd.arrays.ArrowExtensionArray(values.cast(arrow_type(column))))
        case _:
            return pd.Series(TEXT_DTYPE.__from_arrow__(values.cast(pa.large_string())))


def _metadata(frame: pd.DataFrame) -> dict[bytes, bytes]:
    """Return what lets pandas read it back by itself."""
    about = json.loads(pa.Schema.from_pandas(frame.iloc[:0], preserve_index=False).metadata[b"pandas"])
    for column in about["columns"]:
        # pandas 3.1 cannot read back the name of a list dtype; without it the column comes as objects.
        if column["numpy_type"].endswith("[pyarrow]"):
            column["numpy_type"] = "object"
    return {b"pandas": json.dumps(about).encode(), b"PANDAS_ATTRS": json.dumps(frame.attrs).encode()}
