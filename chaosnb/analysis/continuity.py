"""Where reputation does not go on from where it was, and which gap explains it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from chaosnb.analysis.columns import NOT_A_TIME, microseconds
from chaosnb.analysis.frames import Frame, fetch, give, take
from chaosnb.analysis.reputation import score_changes

__all__ = ["reputation_breaks"]

_SAME: Final = 1e-9


def reputation_breaks(updates: Frame, gaps: Any = None) -> Frame:
    """Return where a score does not go on from where it was: the old score is not the agent's last new one.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    gaps : frame, optional
        What is missing, as `Stream.gaps` tells, of any kind. None: no break is explained.

    Returns
    -------
    frame
        In order of time: `time` of the update, `agent_id`, `after` (when the agent's update before came),
        `expected` (the new score then), `old_score`, `missing` (their difference), and `explained_by`, the
        causes of the gaps that the time between the two touches and that hold events of the topic
        ``social``; empty where there is none: the node itself then left out an update, or made a mistake.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or `gaps` are none.

    Notes
    -----
    Scores that differ by less than 10⁻⁹ are the same. A gap in which an agent had no update, or its updates
    cancelled each other, makes no break.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 9], unit="s"), "agent_id": "a", "old_score": [0.5, 0.75]}
    >>> found = reputation_breaks(pd.DataFrame({**of, "new_score": [0.5, 0.8]}))
    >>> found[["agent_id", "expected", "old_score", "missing", "explained_by"]].to_numpy().tolist()
    [['a', 0.5, 0.75, 0.25, '']]
    """
    spans = _spans(gaps)
    rows = score_changes(updates)
    last = rows.groupby("agent_id")[["new_score", "t_us"]].shift()
    rows["expected"], rows["after_us"] = last["new_score"], last["t_us"]
    broken = rows[((rows["old_score"] - rows["expected"]).abs() > _SAME).to_numpy(bool)]
    begin, end = broken["after_us"].to_numpy(np.int64), broken["t_us"].to_numpy(np.int64)
    causes = [
        ", ".join(dict.fromkeys(cause for start, stop, cause in spans if start <= b and stop >= a))
        for a, b in zip(begin.tolist(), end.tolist(), strict=True)
    ]
    found = {
        "time": end,
        "agent_id": broken["agent_id"].astype("str"),
        "after": pd.DatetimeIndex(begin.view("datetime64[us]"), tz="UTC"),
        "expected": broken["expected"].astype("float64"),
        "old_score": broken["old_score"],
        "missing": broken["old_score"] - broken["expected"].astype("float64"),
        "explained_by": pd.array(causes, dtype="str"),
    }
    return give(pd.DataFrame(found), updates)


def _spans(gaps: Any) -> list[tuple[int, int, str]]:
    if gaps is None:
        return []
    try:
        table = fetch(take(gaps, "gaps", "start", "end", "cause", "topics"))
    except (TypeError, ValueError) as error:
        raise ValueError("gaps= takes the gaps of a stream, as s.gaps") from error
    start, end = microseconds(table["start"]), microseconds(table["end"])
    end = np.where(end == NOT_A_TIME, np.iinfo(np.int64).max, end)
    named = zip(start.tolist(), end.tolist(), table["cause"].astype("str"), table["topics"], strict=True)
    return [(a, b, cause) for a, b, cause, topics in named if "social" in [*topics]]
