"""What an analysis needs of a frame: its columns by name; and of pandas' columns, times as integers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from chaosnb.errors import MissingColumnsError
from chaosnb.protocol.schema import TABLES

__all__ = [
    "NOT_A_TIME",
    "check_columns",
    "codes",
    "kind_needed",
    "list_type",
    "listed",
    "microseconds",
    "not_lists",
    "not_numbers",
    "ordered",
    "ranked",
    "require",
    "texts",
    "timed",
]

NOT_A_TIME: Final = np.iinfo(np.int64).min
"""What stands among microseconds where a time is missing."""


def require(frame: Any, table: str, *names: str) -> pd.DataFrame:
    """Return a frame in pandas if it has these columns of a table; else say which it lacks, and who has them.

    Raises
    ------
    TypeError
        If it is no frame of any kind that Narwhals knows.
    MissingColumnsError
        If it lacks a column.

    Examples
    --------
    >>> require(pd.DataFrame({"tps": [1.0]}), "network_metrics", "tps")["tps"].tolist()
    [1.0]
    """
    if isinstance(frame, pd.DataFrame):
        check_columns([*frame.columns], table, *names)
        return frame
    try:
        known = nw.from_native(frame).lazy()
    except TypeError:
        raise kind_needed(frame, table) from None
    check_columns(known.collect_schema().names(), table, *names)
    whole = known.collect("pyarrow").to_native()
    # What pandas once wrote of its own lists into the metadata it cannot read back.
    found: pd.DataFrame = whole.to_pandas(types_mapper=list_type, ignore_metadata=True)
    return found


def list_type(kind: pa.DataType) -> pd.ArrowDtype | None:
    """Return the pandas type that an Arrow column of lists is to have; None for any other column."""
    return pd.ArrowDtype(kind) if pa.types.is_nested(kind) else None


def kind_needed(frame: Any, table: str) -> TypeError:
    """Return the error for what is no frame."""
    such = f"s.{table}" if table in TABLES else "s.block_validation"
    return TypeError(f"a DataFrame is needed, such as {such}, not {type(frame).__name__}")


def check_columns(present: Collection[str], table: str, *names: str) -> None:
    """Raise unless all these columns of a table are present; say which are not, and who has them.

    Raises
    ------
    MissingColumnsError
        If one is missing.

    Examples
    --------
    >>> check_columns(["tps"], "block_validation", "decision")
    Traceback (most recent call last):
    chaosnb.errors.MissingColumnsError: the frame has no column decision. The table block_validation has it,
    as s.block_validation
    """
    missing = tuple(name for name in names if name not in present)
    if not missing:
        return
    looks = [
        name
        for name, schema in TABLES.items()
        if name != table and {column.name for column in schema.columns} <= {*present}
    ]
    raise MissingColumnsError(missing, table if table in TABLES else None, next(iter(looks), None))


def timed(frame: Any, table: str, *names: str) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Return the rows of a frame that have a time, and these times in microseconds since 1970 (UTC)."""
    rows = require(frame, table, "timestamp", *names)
    times = microseconds(rows["timestamp"])
    known = times != NOT_A_TIME
    return (rows, times) if known.all() else (rows[known], times[known])


def microseconds(times: pd.Series) -> npt.NDArray[np.int64]:
    """Return times in microseconds since 1970; text is read as ISO 8601, and without a zone it is UTC.

    Raises
    ------
    ValueError
        If a text is no time.

    Examples
    --------
    >>> microseconds(pd.Series(["1970-01-01T00:00:01Z", "1970-01-01 01:00+01:00"])).tolist()
    [1000000, 0]
    """
    if not isinstance(times.dtype, pd.DatetimeTZDtype) and times.dtype.kind != "M":
        try:
            times = pd.to_datetime(times, utc=True, format="ISO8601")
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"the column {times.name} is not made of times: read it with pd.to_datetime(..., utc=True)"
            ) from error
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        times = times.dt.tz_convert("UTC")
    return times.to_numpy("datetime64[us]").astype(np.int64)


def texts(column: pd.Series) -> npt.NDArray[np.object_]:
    """Return a column of text as Python strings; what is missing is empty text.

    Examples
    --------
    >>> [texts(pd.Series(["a", None], dtype=kind)).tolist() for kind in ("category", "str", "object")]
    [['a', ''], ['a', ''], ['a', '']]
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        # Few names for many rows; the code of what is missing is -1, the last one.
        names = np.array([*map(str, column.cat.categories), ""], dtype=object)
        return np.asarray(names[column.cat.codes.to_numpy()], dtype=object)
    known = column.astype("object").where(column.notna(), "")
    if not isinstance(column.dtype, pd.StringDtype):
        known = known.map(str)
    return known.to_numpy(dtype=object)


def codes(column: pd.Series) -> tuple[npt.NDArray[Any], pd.Index]:
    """Return a number for each label of a column, −1 where it is missing, and the labels that they stand for.

    Examples
    --------
    >>> place, labels = codes(pd.Series(["reject", None, "reject"]))
    >>> place.tolist(), labels.tolist()
    ([0, -1, 0], ['reject'])
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(), column.cat.categories
    place, labels = pd.factorize(column)
    return place, pd.Index(labels)


def ordered(rows: pd.DataFrame, number: str, text: str) -> pd.DataFrame:
    """Return rows in order of a column of whole numbers, then of one of text, and numbered anew.

    Examples
    --------
    >>> rows = pd.DataFrame({"t_us": [2, 1, 1], "block_hash": ["g", "i", "h"]})
    >>> ordered(rows, "t_us", "block_hash")["block_hash"].tolist()
    ['h', 'i', 'g']
    """
    numbers = rows[number].to_numpy(np.int64)
    order = np.argsort(numbers, kind="stable")
    same = np.diff(numbers[order]) == 0
    # Text takes long to sort: only rows with the same number need it.
    tied = np.zeros(len(rows), bool)
    tied[1:] |= same
    tied[:-1] |= same
    few = rows.iloc[order[tied]].reset_index(drop=True)
    order[tied] = order[tied][few.sort_values([number, text], na_position="first").index]
    return rows.iloc[order].reset_index(drop=True)


def ranked(column: pd.Series) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Return a column's labels in order, and the place of each row's label among them; missing is empty text.

    Examples
    --------
    >>> labels, place = ranked(pd.Series(["reject", None, "approve"]))
    >>> labels.tolist(), place.tolist()
    (['', 'approve', 'reject'], [2, 0, 1])
    """
    code, labels = codes(column)
    used = np.zeros(len(labels) + 1, bool)
    used[code] = True  # the last one is that of what is missing
    names = [*map(str, labels[used[:-1]]), *[""] * int(used[-1])]
    found, order = np.unique(np.array(names, dtype=object), return_inverse=True)
    place = np.zeros(len(used), np.int64)
    place[used] = order
    return found, place[code]


def listed(column: pd.Series) -> pd.Series:
    """Return a column of lists as an Arrow column, whatever holds them.

    Raises
    ------
    ValueError
        If it is not made of lists.

    Examples
    --------
    >>> listed(pd.Series([["a"], []])).list.len().tolist()
    [1, 0]
    """
    if isinstance(column.dtype, pd.ArrowDtype) and pa.types.is_list(column.dtype.pyarrow_dtype):
        return column
    values = column.tolist()
    if not all(value is None or isinstance(value, list | tuple | np.ndarray) for value in values):
        raise not_lists(str(column.name))
    lists = pa.array([None if value is None else [*value] for value in values])
    lists = lists.cast(pa.list_(pa.string())) if pa.types.is_null(lists.type) else lists
    return pd.Series(pd.arrays.ArrowExtensionArray(lists), index=column.index, name=column.name)


def not_lists(name: str) -> ValueError:
    """Return the error for a column that should be made of lists."""
    return ValueError(f"the column {name} is not made of lists: text from a file can be read with json.loads")


def not_numbers(name: str) -> ValueError:
    """Return the error for a column of text that should be made of numbers."""
    return ValueError(
        f"the column {name} is not made of numbers but of text, of which '10' comes before '9': read it as "
        "numbers first, in pandas with pd.to_numeric"
    )
