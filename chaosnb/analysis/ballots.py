"""Who voted how: shares of approval with their confidence, and the last vote of each on each block."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import pandas as pd

from chaosnb.analysis.columns import texts, timed
from chaosnb.analysis.intervals import wilson_interval

__all__ = ["Group", "approval_rate", "last_votes"]

Group = Literal["personality", "validator"]

_COLUMN_OF: Final[dict[str, str]] = {"personality": "validator_personality", "validator": "validator_id"}


def approval_rate(
    votes: pd.DataFrame, by: Group = "personality", *, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the share of votes that approve, by personality or validator.

    Parameters
    ----------
    votes : pandas.DataFrame
        The table `block_validation`.
    by : {"personality", "validator"}
    confidence : float
        How sure to be that the share lies between `low` and `high`, between 0 and 1; see
        `chaosnb.analysis.intervals.wilson_interval`.

    Returns
    -------
    pandas.DataFrame
        A row for each, in order of `approval_rate`: its name under `by`, counts `approve`, `reject` and
        `other`, `approval_rate` = approve / (approve + reject), `low` and `high`; NaN where it has neither.

    Raises
    ------
    ValueError
        If there is no such grouping, or the frame lacks a column.

    Examples
    --------
    >>> votes = {"timestamp": pd.to_datetime(["2026-01-01"] * 3, utc=True), "decision": "approve"}
    >>> frame = pd.DataFrame({**votes, "validator_personality": ["greedy", "greedy", "lawful"]})
    >>> approval_rate(frame)[["personality", "approve", "low"]].round(2).to_numpy().tolist()
    [['greedy', 2, 0.34], ['lawful', 1, 0.21]]
    """
    if by not in _COLUMN_OF:
        raise ValueError(f"by={by!r} is not possible: choose {' or '.join(map(repr, _COLUMN_OF))}")
    rows, _ = timed(votes, "block_validation", _COLUMN_OF[by], "decision")
    names, place = np.unique(texts(rows[_COLUMN_OF[by]]).astype(str), return_inverse=True)
    decisions = texts(rows["decision"])
    counts = {
        name: np.bincount(place, decisions == name, len(names)).astype(np.int64)
        for name in ("approve", "reject")
    }
    voted = counts["approve"] + counts["reject"]
    other = np.bincount(place, minlength=len(names)) - voted
    low, high = wilson_interval(counts["approve"], voted, confidence)
    with np.errstate(invalid="ignore"):
        rate = counts["approve"] / voted
    found = {
        by: names.astype(object),
        **counts,
        "other": other,
        "approval_rate": rate,
        "low": low,
        "high": high,
    }
    order = np.lexsort((names, -np.nan_to_num(rate, nan=-1.0)))
    return pd.DataFrame(found).iloc[order].reset_index(drop=True)


def last_votes(votes: pd.DataFrame) -> pd.DataFrame:
    """Return the last vote of each validator on each block, in order of time.

    Parameters
    ----------
    votes : pandas.DataFrame
        The table `block_validation`.

    Returns
    -------
    pandas.DataFrame
        Text columns `block_hash`, `validator_id`, `validator_personality`, `decision` and `reason`; the last
        two but one are empty where the table lacks them.

    Examples
    --------
    >>> votes = {"timestamp": pd.to_datetime(["2026-01-01", "2026-01-02"]), "decision": ["reject", "approve"]}
    >>> last_votes(pd.DataFrame({**votes, "block_hash": "h", "validator_id": "v"}))["decision"].tolist()
    ['approve']
    """
    rows, times_us = timed(votes, "block_validation", "block_hash", "validator_id", "decision")
    names = ("block_hash", "validator_id", "validator_personality", "decision", "reason")
    nothing = np.full(len(rows), "", dtype=object)
    found = {name: texts(rows[name]) if name in rows.columns else nothing for name in names}
    order = np.argsort(times_us, kind="stable")
    last = pd.DataFrame(found, dtype=object).iloc[order]
    return last.drop_duplicates(["block_hash", "validator_id"], keep="last").reset_index(drop=True)
