"""Moments, as the caller names them."""

from __future__ import annotations

from datetime import datetime
from numbers import Number

import pandas as pd

__all__ = ["Time", "microseconds"]

Time = str | datetime | pd.Timestamp
"""What stands for a moment; without a zone it is UTC."""


def microseconds(name: str, time: Time) -> int:
    """Return the microseconds since the epoch of a moment; `name` is the argument's, for the error.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> microseconds("start", "1970-01-01T00:00:01Z")
    1000000
    """
    try:
        # Of a number, nobody can tell whether it is of seconds or of nanoseconds.
        moment = pd.NaT if isinstance(time, Number) else pd.Timestamp(time)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{name}={time!r} is not a time; write one such as '2026-11-23T00:36:12Z'"
        ) from error
    # pandas reads '10am', '1h' and 'Nov' as of the year 1.
    if pd.isna(moment) or moment.year == 1:
        raise ValueError(f"{name}={time!r} is not a time; write one such as '2026-11-23T00:36:12Z'")
    utc = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    return int(utc.as_unit("us").asm8.astype("int64"))
