"""Who is allied with whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from chaosnb.analysis.columns import NOT_A_TIME, microseconds, ranked, texts, timed
from chaosnb.analysis.spells import expiries

__all__ = ["memberships"]


def memberships(updates: pd.DataFrame, at: str | pd.Timestamp | None = None) -> pd.DataFrame:
    """Return the members of each alliance.

    Parameters
    ----------
    updates : pandas.DataFrame
        The table `alliance_update`.
    at : str or pandas.Timestamp, optional
        A moment: alliances as they were then, without those whose duration was over. Years and months are
        counted by the calendar, where the frame has `duration`; one that nobody knows ends never. None: each
        in its last form, over or not.

    Returns
    -------
    pandas.DataFrame
        A row for each member, in order of the alliances' time: `alliance_id`, `purpose`, `agent_id`, `role`.

    Raises
    ------
    ValueError
        If the frame lacks a column, or `at` is no time.

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> row = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": ["x"], "members": members}
    >>> memberships(pd.DataFrame({**row, "purpose": ["fun"]}))["agent_id"].tolist()
    ['a', 'b']
    """
    rows, times_us = timed(updates, "alliance_update", "alliance_id", "members", "purpose")
    order = np.argsort(times_us, kind="stable")
    rows, times_us = rows.iloc[order], times_us[order]
    if at is not None:
        moment_us = int(microseconds(pd.Series([at], name="at"))[0])
        if moment_us == NOT_A_TIME:
            raise ValueError(f"at={at!r} is not a time; write one such as '2026-11-23T00:36:12Z'")
        known = times_us <= moment_us
        rows, times_us = rows[known], times_us[known]
    last = ~pd.Series(texts(rows["alliance_id"])).duplicated(keep="last").to_numpy()
    if at is not None and "duration_s" in rows.columns:
        over = times_us / 1e6 + rows["duration_s"].to_numpy(np.float64) < moment_us / 1e6
        if "duration" in rows.columns:
            over |= expiries(times_us, *ranked(rows["duration"])) < moment_us
        last &= ~over
    rows = rows[last]
    found: list[dict[str, Any]] = []
    named = zip(texts(rows["alliance_id"]), texts(rows["purpose"]), rows["members"], strict=True)
    for alliance, purpose, members in named:
        for member in members:
            of = {"alliance_id": alliance, "purpose": purpose}
            found.append({**of, "agent_id": str(member["id"]), "role": str(member["role"])})
    return pd.DataFrame(found, columns=["alliance_id", "purpose", "agent_id", "role"], dtype=object)
