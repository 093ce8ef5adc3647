"""Native frames, engine by engine: pandas made ready to be counted, and frames made of Arrow tables.

What `chaosnb.analysis.frames` does for any engine rests on this, where engines differ.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any, Final

import narwhals.stable.v2 as nw
import pandas as pd
import pyarrow as pa

from chaosnb.analysis.columns import NOT_A_TIME, listed, microseconds
from chaosnb.protocol.schema import TABLES

__all__ = [
    "LISTS",
    "NUMBERS",
    "from_arrow",
    "from_pandas",
    "given_lazily",
    "times_of",
    "with_numpy",
]

LISTS: Final = frozenset(
    column.name
    for schema in TABLES.values()
    for column in schema.columns
    if column.kind in ("texts", "records")
)
"""The columns that are made of lists, in whichever table."""

NUMBERS: Final = frozenset(
    column.name
    for schema in TABLES.values()
    for column in schema.columns
    if column.kind in ("integer", "number", "duration")
)
"""The columns that are made of numbers, in whichever table."""

_NUMBERS: Final = count(1)


def from_pandas(
    frame: pd.DataFrame, names: list[str], opened: Collection[str], timed: bool
) -> nw.LazyFrame[Any]:
    """Return these columns of a DataFrame as a lazy frame, with `t_us` if its time stamp is wanted.

    Those that are `opened` have their lists in Arrow; what lists others hold, if any, is left as it is.
    """
    columns: dict[str, Any] = {name: frame[name] for name in names}
    for name in LISTS.intersection(opened):
        columns[name] = listed(frame[name])
    if "seq" in columns:
        columns["seq"] = _numeric(columns["seq"])
    known = None
    if timed:
        columns["t_us"] = microseconds(frame["timestamp"])
        known = columns["t_us"] != NOT_A_TIME
    elif "t_us" in columns:
        known = columns["t_us"].notna().to_numpy()
    rows = pd.DataFrame(columns, index=frame.index, copy=False)
    if known is not None and not known.all():
        rows = rows[known]
    return nw.from_native(rows).lazy()


def with_numpy(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the same with numpy's numbers, which other packages take, and rows numbered from 0."""
    columns = rows.reset_index(drop=True)
    for name, column in columns.items():
        # Counts of lists come as Arrow's numbers, and nullable ones go on as such; both divide to their own.
        foreign = pd.api.types.is_extension_array_dtype(column.dtype)
        if foreign and pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind in "iuf":
            whole = column.dtype.kind != "f" and not column.hasnans
            columns[name] = column.astype("int64" if whole else "float64")
    if "seq" in columns.columns:
        columns["seq"] = _numeric(columns["seq"])
    return columns


def times_of(microseconds: pd.Series) -> pd.Series:
    """Return microseconds since 1970 as times in UTC; what is unknown stays unknown."""
    known = microseconds.notna()
    if known.all():
        return microseconds.astype("int64").astype("datetime64[us]").dt.tz_localize("UTC")
    times = microseconds.where(known, 0).astype("int64").astype("datetime64[us]").dt.tz_localize("UTC")
    return times.where(known)


def given_lazily(lazy: nw.LazyFrame[Any], like: Any, times: Collection[str]) -> Any:
    """Return a lazy frame as a native frame like another one, with these columns as times."""
    kind = nw.from_native(like).implementation
    if names := [name for name in times if name in lazy.collect_schema().names()]:
        if kind.is_duckdb():
            made = ", ".join(f'make_timestamptz(cast("{name}" as bigint)) as "{name}"' for name in names)
            relation: Any = lazy.to_native()
            return relation.project(f"* replace ({made})")
        lazy = lazy.with_columns(*[nw.col(name).cast(nw.Datetime("us", "UTC")) for name in names])
    eager = isinstance(nw.from_native(like), nw.DataFrame)
    return lazy.collect().to_native() if eager else lazy.to_native()


def from_arrow(table: pa.Table, like: Any) -> Any:
    """Return an Arrow table as a native frame like another one.

    Raises
    ------
    TypeError
        If chaosnb does not know how to make such a frame.
    """
    kind = nw.from_native(like).implementation
    if kind.is_polars():
        import polars

        made = polars.DataFrame(table)
        return made.lazy() if isinstance(like, polars.LazyFrame) else made
    if kind.is_duckdb():
        return _on_its_connection(table, like)
    raise TypeError(
        f"this statistic gives pandas, Polars, pyarrow and DuckDB frames, not {type(like).__name__}: turn "
        "the table into one of them first"
    )


def _numeric(column: pd.Series) -> pd.Series:
    """Return a column of numbers with NaN where there were objects, such as None, which have no order."""
    return pd.to_numeric(column) if column.dtype == object else column


def _on_its_connection(handed: pa.Table, like: Any) -> Any:
    """Return an Arrow table as a relation that can be joined with another one of DuckDB."""
    import duckdb

    name = f"chaosnb_{next(_NUMBERS)}"
    try:
        # DuckDB finds `handed` among the variables here, and joins no relations of two connections.
        relation: Any = like.query(name, "select * from handed")
    except duckdb.CatalogException:  # a connection that may not look at variables
        return duckdb.from_arrow(handed)
    # Two that have one name are not joined either.
    return relation.set_alias(name)
