"""Up to which time tables tell what happened, where some clocks are wrong."""

from __future__ import annotations

from typing import Any, Final

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.columns import microseconds
from chaosnb.analysis.frames import Lazy, fetch

__all__ = ["ARRIVAL", "newest_us"]

ARRIVAL: Final = ("seq", "received_at")
"""The columns that tell when a row arrived, as `take` is asked for them."""

_HORIZON_US: Final = 3_600_000_000
_RECENT: Final = 101
_ARRIVALS: Final = 10_000


def newest_us(*tables: Lazy) -> int:
    """Return the newest time that is believed, in microseconds since 1970; 0 of tables without rows.

    What is over an hour ahead of the median of the last 101 rows that arrived, both in itself and in its
    distance to its own arrival, is from a wrong clock. Where a table lacks `ARRIVAL`, or no row tells it, all
    is believed.

    Examples
    --------
    >>> from chaosnb.analysis.frames import take
    >>> rows = {"t_us": [1, 2, 10**15], "seq": [0, 1, 2], "received_at": pd.to_datetime(["2026-01-01"] * 3)}
    >>> newest_us(take(pd.DataFrame(rows), "block_validation", "timestamp", optional=ARRIVAL))
    2
    """
    newest = _greatest(tables, "t_us")
    if newest is None:
        return 0
    if any(not {*ARRIVAL} <= {*table.collect_schema().names()} for table in tables):
        return newest
    # To sort by arrival takes long, and the last rows are among the last arrivals of all tables.
    latest = _greatest(tables, "seq")
    if latest is None:
        return newest
    recent = _where(tables, nw.col("seq") > latest - _ARRIVALS)
    recent = recent.sort_values("seq").tail(_RECENT)
    if recent.empty:
        return newest
    limit = _median(recent["t_us"].to_numpy()) + _HORIZON_US
    if newest <= limit:
        return newest
    doubted = _where(tables, nw.col("t_us") > limit)
    plausible = _ahead(doubted) <= _median(_ahead(recent)) + _HORIZON_US
    if plausible.any():
        return int(doubted["t_us"].to_numpy()[plausible].max())
    believed = _greatest([table.filter(nw.col("t_us") <= limit) for table in tables], "t_us")
    return newest if believed is None else believed


def _greatest(tables: Any, name: str) -> int | None:
    ends = [fetch(table.select(nw.col(name).max()))[name] for table in tables]
    known = [end for value in ends for end in value.dropna()]
    return int(max(known)) if known else None


def _where(tables: Any, condition: nw.Expr) -> pd.DataFrame:
    # What does not say when it arrived tells nothing of clocks.
    return pd.concat([fetch(table.select("t_us", *ARRIVAL).filter(condition)).dropna() for table in tables])


def _ahead(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    return np.asarray(rows["t_us"].to_numpy(np.int64) - microseconds(rows["received_at"]))


def _median(values: npt.NDArray[Any]) -> int:
    middle = (len(values) - 1) // 2
    return int(np.partition(values, middle)[middle])
