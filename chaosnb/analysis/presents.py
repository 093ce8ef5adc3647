"""Up to which time tables tell what happened, where some clocks are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.columns import NOT_A_TIME, microseconds
from chaosnb.analysis.frames import Lazy, fetch, take

__all__ = ["ARRIVAL", "believed", "newest_us", "seen_until", "without_ahead"]

Timed = tuple[pd.DataFrame, npt.NDArray[np.int64]]
"""A table and its times in microseconds since 1970."""

ARRIVAL: Final = ("seq", "received_at")
"""The columns that tell when a row arrived, as `take` is asked for them."""

_HORIZON_US: Final = 3_600_000_000
_RECENT: Final = 101
_ARRIVALS: Final = 10_000


def seen_until(rows: Any, table: str, until: str | pd.Timestamp | None = None) -> int:
    """Return up to when there was something to see, in microseconds since 1970.

    Parameters
    ----------
    rows : frame
        A table, of which the newest row counts, whatever it says.
    table : str
        Which one it is.
    until : str or pandas.Timestamp, optional
        What the caller says. None: the newest time of these rows that is believed, as `newest_us` tells.

    Raises
    ------
    ValueError
        If `until` is no time.

    Examples
    --------
    >>> rows = pd.DataFrame({"timestamp": pd.to_datetime([1, 2], unit="s")})
    >>> seen_until(rows, "agent_status"), seen_until(rows, "agent_status", "1970-01-01T00:00:05Z")
    (2000000, 5000000)
    """
    if until is None:
        return _newest({table: rows})
    moment_us = int(microseconds(pd.Series([until], name="until"))[0])
    if moment_us == NOT_A_TIME:
        raise ValueError(f"until={until!r} is not a time; write one such as '2026-11-23T00:36:12Z'")
    return moment_us


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


def believed(**tables: Timed) -> list[Timed]:
    """Return tables without the rows that are newer than the newest time that is believed; see `newest_us`.

    So does a live plot leave out what is dated far ahead, or one such row would squeeze all others into a
    point.

    Parameters
    ----------
    **tables : tuple of pandas.DataFrame and numpy.ndarray
        Tables by name, as `chaosnb.analysis.columns.timed` gives them.

    Examples
    --------
    >>> rows = pd.DataFrame({"seq": [0, 1, 2], "received_at": pd.to_datetime(["2026-01-01"] * 3)})
    >>> [(rows, times_us)] = believed(block_validation=(rows, np.array([1, 2, 10**16])))
    >>> times_us.tolist()
    [1, 2]
    """
    known = {
        name: pd.DataFrame(
            {"t_us": times_us, **{one: rows[one].array for one in ARRIVAL if one in rows.columns}}, copy=False
        )
        for name, (rows, times_us) in tables.items()
    }
    newest = _newest(known)
    found = []
    for rows, times_us in tables.values():
        kept = times_us <= newest
        found.append((rows, times_us) if kept.all() else (rows[kept], times_us[kept]))
    return found


def without_ahead(found: pd.DataFrame, **tables: Any) -> pd.DataFrame:
    """Return what was found of tables without rows whose `time` is after the newest that is believed.

    Parameters
    ----------
    found : pandas.DataFrame
    **tables : frame
        The tables by name, of any kind.

    Examples
    --------
    >>> votes = {"timestamp": pd.to_datetime([0, 1, 4 * 10**9], unit="s", utc=True), "seq": [0, 1, 2]}
    >>> votes = pd.DataFrame(votes | {"received_at": pd.to_datetime([0, 1, 1], unit="s", utc=True)})
    >>> without_ahead(votes.rename(columns={"timestamp": "time"}), block_validation=votes)["seq"].tolist()
    [0, 1]
    """
    newest = _newest(tables)
    kept = microseconds(found["time"]) <= newest
    return found if kept.all() else found[kept].reset_index(drop=True)


def _newest(tables: Mapping[str, Any]) -> int:
    return newest_us(*[take(frame, name, "timestamp", optional=ARRIVAL) for name, frame in tables.items()])


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
