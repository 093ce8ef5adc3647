"""The same rows in a frame of every kind, and what every analysis must do with each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import chaosnb
from chaosnb.devnet.agents import Parameters
from chaosnb.devnet.model import Model
from chaosnb.protocol import events as ev
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.table import Table
from tests.event_strategies import batch_of, new_session

ENGINES: dict[str, type] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "polars lazy": pl.LazyFrame,
    "pyarrow": pa.Table,
    "duckdb": duckdb.DuckDBPyRelation,
}


def empty(table: str) -> pd.DataFrame:
    """A table as a stream has it before anything came."""
    return Table(TABLES[table]).snapshot()


def tables_of(events: list[ev.Event]) -> dict[str, pd.DataFrame]:
    """The tables that a stream of these events would have."""
    tables = {name: Table(schema) for name, schema in TABLES.items()}
    for name, rows in batch_of(events, new_session()).rows.items():
        tables[name].append(rows)
    return {name: table.snapshot() for name, table in tables.items()}


def devnet(
    seed: int = 7, *, seconds: float = 60.0, parameters: Parameters | None = None, **options: Any
) -> tuple[Model, dict[str, pd.DataFrame]]:
    """A simulated network after so many seconds of event time, and its tables; no clock, no socket."""
    model = Model(seed, parameters=parameters, **options)
    return model, tables_of(model.step(int(seconds * 1e6)))


def on_engine(engine: str, frame: pd.DataFrame) -> Any:
    """The rows of a DataFrame as a frame of another kind; `engine` is a key of `ENGINES`."""
    if engine == "pandas":
        return frame
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if engine == "pyarrow":
        return table
    if engine == "duckdb":
        return duckdb.from_arrow(table)
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    return rows.lazy() if engine == "polars lazy" else rows


def as_pandas(frame: Any) -> pd.DataFrame:
    """A frame of any kind as plain pandas: text as str, what is unknown as NaN."""
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        frame = frame.to_arrow()
    if isinstance(frame, duckdb.DuckDBPyRelation):
        frame = frame.to_arrow_table()
    if isinstance(frame, pa.Table):
        frame = frame.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    plain = frame.reset_index(drop=True)
    for name, column in plain.items():
        if isinstance(column.dtype, pd.ArrowDtype) or column.dtype == object:
            plain[name] = pd.Series([_text(value) for value in column], dtype="str")
        elif isinstance(column.dtype, pd.CategoricalDtype):
            plain[name] = column.astype("str")
        elif isinstance(column.dtype, pd.DatetimeTZDtype):
            plain[name] = column.dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    return plain


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else repr(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple | np.ndarray) else value


def same_everywhere(analysis: Callable[..., Any], *frames: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """Run an analysis on every engine; fail unless all give their own kind and equal rows in equal order.

    Returns
    -------
    pandas.DataFrame
        What it gives for pandas.
    """
    told: pd.DataFrame = analysis(*frames, **options)
    wanted = as_pandas(told)
    for engine, kind in ENGINES.items():
        given = [on_engine(engine, frame) for frame in frames]
        found = analysis(*given, **options)
        assert isinstance(found, kind), f"{engine} became {type(found).__name__}"
        plain = as_pandas(found)
        assert [*plain.columns] == [*wanted.columns], engine
        for name in wanted.columns:
            one, other = wanted[name], plain[name]
            assert len(one) == len(other), f"{engine}: {len(other)} rows, not {len(one)}"
            if pd.api.types.is_numeric_dtype(one.dtype):
                np.testing.assert_allclose(
                    other.to_numpy(np.float64),
                    one.to_numpy(np.float64),
                    rtol=1e-9,
                    atol=1e-9,
                    err_msg=f"{engine}, {name}",
                )
            else:
                missing = one.isna().to_numpy()
                assert (other.isna().to_numpy() == missing).all(), f"{engine}, {name}"
                assert other[~missing].tolist() == one[~missing].tolist(), f"{engine}, {name}"
    return told


def holds_to_the_rules(analysis: Callable[..., Any], *tables: str, **options: Any) -> None:
    """Fail unless an analysis of these tables knows its columns even when they are empty, and misses them.

    An empty table gives no rows, but the columns, on every engine; a frame without columns and what is no
    frame are errors that name the table.
    """
    frames = [empty(table) for table in tables]
    nothing = same_everywhere(analysis, *frames, **options)
    assert nothing.empty
    assert len(nothing.columns) > 0
    for place, table in enumerate(tables):
        for engine in ENGINES:
            rows = [on_engine(engine, frame) for frame in frames]
            rows[place] = on_engine(engine, pd.DataFrame({"unrelated": [1]}))
            with pytest.raises(chaosnb.MissingColumnsError, match=rf"s\.{table}") as raised:
                analysis(*rows, **options)
            assert raised.value.table == table
            assert raised.value.columns
        wrong: list[Any] = [*frames]
        wrong[place] = [1, 2]
        with pytest.raises(TypeError, match=rf"s\.{table}, not list"):
            analysis(*wrong, **options)
