"""The first row of each group, such as a validator's vote that counts, and those that come after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.columns import codes
from chaosnb.analysis.frames import Lazy

__all__ = ["first", "numbered", "repeated", "repeats"]

_MOST_MARKS: Final = 16


def first(lazy: Lazy, by: Sequence[str]) -> Lazy:
    """Return the first row of each group: by `t_us`, then by `seq` where there is one.

    Examples
    --------
    >>> from chaosnb.analysis.frames import fetch, take
    >>> rows = pd.DataFrame({"t_us": [2, 1], "validator_id": "v", "decision": ["reject", "approve"]})
    >>> votes = take(rows, "block_validation", "timestamp", "validator_id", "decision")
    >>> fetch(first(votes, ["validator_id"]))["decision"].tolist()
    ['approve']
    """
    return _turns(lazy, by, first=True)


def repeats(lazy: Lazy, by: Sequence[str]) -> Lazy:
    """Return all but the first row of each group; see `first`.

    Examples
    --------
    >>> from chaosnb.analysis.frames import fetch, take
    >>> rows = pd.DataFrame({"t_us": [2, 1], "validator_id": "v", "decision": ["reject", "approve"]})
    >>> votes = take(rows, "block_validation", "timestamp", "validator_id", "decision")
    >>> fetch(repeats(votes, ["validator_id"]))["decision"].tolist()
    ['reject']
    """
    return _turns(lazy, by, first=False)


def repeated(key: npt.NDArray[Any], size: int) -> npt.NDArray[np.bool_]:
    """Return of each key whether there was the same before it; keys are at least 0 and less than `size`.

    Examples
    --------
    >>> repeated(np.array([3, 1, 3, 0]), 4).tolist()
    [False, False, True, False]
    """
    # A place for each key tells faster than a table of hashes, unless keys are few among many.
    if size > _MOST_MARKS * len(key):
        return pd.Series(key).duplicated().to_numpy()
    marks = np.zeros(size, bool)
    marks[key] = True
    if int(marks.sum()) == len(key):
        return np.zeros(len(key), bool)
    place = np.arange(len(key), dtype=np.int32 if len(key) < 2**31 else np.int64)
    first_at = np.empty(size, place.dtype)
    # Of several assignments to one place the last one stays.
    first_at[key[::-1]] = place[::-1]
    return np.asarray(first_at[key] != place)


def numbered(key: npt.NDArray[Any], size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return a number for each different key, and these keys; they are at least 0 and less than `size`.

    Examples
    --------
    >>> [part.tolist() for part in numbered(np.array([3, 1, 3, 0]), 4)]
    [[2, 1, 2, 0], [0, 1, 3]]
    """
    if size > _MOST_MARKS * len(key):
        number, found = pd.factorize(key, sort=True)
        return number, np.asarray(found)
    marks = np.zeros(size, bool)
    marks[key] = True
    return (np.cumsum(marks, dtype=np.int64) - 1)[key], np.flatnonzero(marks)


def _turns(lazy: Lazy, by: Sequence[str], *, first: bool) -> Lazy:
    order = [name for name in ("t_us", "seq") if name in lazy.collect_schema().names()]
    if lazy.implementation.is_pandas():
        rows: pd.DataFrame = lazy.collect().to_native()
        # A table of a stream is in order already, and to sort ten million rows takes seconds.
        ordered = rows if _in_order(rows, order) else rows.sort_values(order, kind="stable")
        again = _again(ordered, by)
        chosen = ordered if first and not again.any() else ordered[~again if first else again]
        return nw.from_native(chosen).lazy()
    turn = nw.col(order[0]).cum_count().over(*by, order_by=order)
    numbered = lazy.with_columns(turn_=turn)
    chosen_rows = nw.col("turn_") == 1 if first else nw.col("turn_") > 1
    return numbered.filter(chosen_rows).drop("turn_")


def _again(rows: pd.DataFrame, by: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return of each row whether there was one with the same labels before it."""
    key, size = np.zeros(len(rows), np.int64), 1
    for name in by:
        code, labels = codes(rows[name])
        if size * (len(labels) + 1) >= 2**62:
            key, size = pd.factorize(key)[0], len(rows)
        key *= len(labels) + 1
        key += code
        key += 1
        size *= len(labels) + 1
    return repeated(key, size)


def _in_order(rows: pd.DataFrame, order: Sequence[str]) -> bool:
    times = rows[order[0]].to_numpy()
    if len(order) == 1:
        return bool(np.all(times[1:] >= times[:-1]))
    seq = rows[order[1]].to_numpy()
    return bool(np.all((times[1:] > times[:-1]) | ((times[1:] == times[:-1]) & (seq[1:] >= seq[:-1]))))
