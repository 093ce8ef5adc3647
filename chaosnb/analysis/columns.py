"""What an analysis needs of a DataFrame: its columns by name, and times as integers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.protocol.schema import TABLES

__all__ = ["NOT_A_TIME", "microseconds", "require", "texts", "timed"]

NOT_A_TIME: Final = np.iinfo(np.int64).min
"""What stands among microseconds where a time is missing."""


def require(frame: Any, table: str, *names: str) -> pd.DataFrame:
    """Return the frame if it has these columns of a table; else say which it lacks, and who has them.

    Raises
    ------
    TypeError
        If it is no DataFrame.
    ValueError
        If it lacks a column.

    Examples
    --------
    >>> require(pd.DataFrame({"tps": [1.0]}), "block_validation", "decision")
    Traceback (most recent call last):
    ValueError: the frame has no column decision. The table block_validation has it, as s.block_validation
    """
    if not isinstance(frame, pd.DataFrame):
        such = f"s.{table}" if table in TABLES else "s.block_validation"
        raise TypeError(f"a DataFrame is needed, such as {such}, not {type(frame).__name__}")
    missing = [name for name in names if name not in frame.columns]
    if not missing:
        return frame
    looks = [
        name
        for name, schema in TABLES.items()
        if name != table and {column.name for column in schema.columns} <= {*frame.columns}
    ]
    seems = f"; it looks like the table {looks[0]}" if looks else ""
    kind, it = ("column", "it") if len(missing) == 1 else ("columns", "them")
    where = f"The table {table} has {it}, as s.{table}" if table in TABLES else f"Every table has {it}"
    raise ValueError(f"the frame has no {kind} {', '.join(missing)}{seems}. {where}")


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
