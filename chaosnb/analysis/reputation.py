"""Reputation: how scores move, why, how unequal they are, if they return to a mean, and what is missing."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.amounts import amount
from chaosnb.analysis.columns import codes
from chaosnb.analysis.frames import Frame, bucket_us, fetch, give, take
from chaosnb.analysis.intervals import quantile
from chaosnb.text import without_particulars

__all__ = [
    "reputation_inequality",
    "reputation_movers",
    "reputation_reversion",
    "reputation_summary",
    "reputation_trajectories",
    "score_changes",
    "score_deviations",
]

Floats = npt.NDArray[np.float64]

_SCORES: Final = ("timestamp", "agent_id", "old_score", "new_score")
_FEWEST: Final = 10


def reputation_trajectories(updates: Frame, *, every_s: float = 60) -> Frame:
    """Return the score of each agent over time.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    every_s : float
        How many seconds of event time a row stands for; they begin at multiples of it.

    Returns
    -------
    frame
        By agent and time: `agent_id`, `time` (the start of the bucket in UTC), `score` (the last one in it)
        and `updates` in it. Buckets without an update have no row: the score stays what it was.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or an option is not possible.

    Notes
    -----
    A change lost in a gap shows with the next update after it; `reputation_breaks` lists where.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 1, 2], unit="s"), "agent_id": "a", "old_score": [0.5, 0.6, 0.7]}
    >>> found = reputation_trajectories(pd.DataFrame({**of, "new_score": [0.6, 0.7, 0.4]}), every_s=2)
    >>> found[["agent_id", "score", "updates"]].to_numpy().tolist()
    [['a', 0.7, 2], ['a', 0.4, 1]]
    """
    width_us = bucket_us(every_s)
    rows = score_changes(updates)
    rows["time"] = rows["t_us"] // width_us * width_us
    found = rows.groupby(["agent_id", "time"])["new_score"].agg(["last", "size"]).reset_index()
    found.columns = pd.Index(["agent_id", "time", "score", "updates"])
    kinds = {"agent_id": "str", "time": "int64", "score": "float64", "updates": "int64"}
    return give(found.astype(kinds), updates)


def reputation_summary(updates: Frame) -> Frame:
    """Return each agent's first and last score, and how much it moved in between.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.

    Returns
    -------
    frame
        Highest last score first: `agent_id`, `updates`, `first_score` (before the first update),
        `last_score`, `change` (last − first), `lowest`, `highest`, and `volatility`, the standard deviation
        of the single changes (new − old score), which needs two updates.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column.

    Notes
    -----
    Updates lost in a gap count in `change`, since the next one starts from where they led, but not in
    `updates`, `lowest`, `highest` and `volatility`.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 1], unit="s"), "agent_id": "a", "old_score": [0.5, 0.7]}
    >>> found = reputation_summary(pd.DataFrame({**of, "new_score": [0.7, 0.6]}))
    >>> found[["agent_id", "updates", "change", "volatility"]].round(2).to_numpy().tolist()
    [['a', 2, 0.1, 0.21]]
    """
    rows = score_changes(updates)
    rows["moved"] = rows["new_score"] - rows["old_score"]
    found = (
        rows.groupby("agent_id")
        .agg(
            updates=("moved", "size"),
            first_score=("old_score", "first"),
            last_score=("new_score", "last"),
            lowest=("new_score", "min"),
            highest=("new_score", "max"),
            volatility=("moved", "std"),
        )
        .reset_index()
    )
    found.insert(4, "change", found["last_score"] - found["first_score"])
    found["lowest"] = np.minimum(found["lowest"], found["first_score"])
    found["highest"] = np.maximum(found["highest"], found["first_score"])
    found = found.sort_values(["last_score", "agent_id"], ascending=[False, True])
    return give(found.astype({"agent_id": "str", "updates": "int64"}), updates)


def reputation_movers(updates: Frame, *, top: int = 10, reasons: int = 3) -> Frame:
    """Return the agents whose score changed most, and for which reasons.

    Reasons are counted together by kind: words with a digit or a hash in them stand for one block, meme or
    agent, and become ``…``; only the first 200 characters count.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    top : int
        How many agents, those with the greatest change either way.
    reasons : int
        How many kinds of reasons for each, those that moved it most.

    Returns
    -------
    frame
        By agent, the greatest change first: `agent_id`, `change` (last score − first), `reason`, `updates`
        for it, and `moved`, the sum of their changes. These sums differ from `change` by the other reasons,
        and by what is missing.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or an option is not possible.

    Notes
    -----
    Updates lost in a gap count in `change` and for no reason.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 1], unit="s"), "agent_id": "a", "old_score": [0.5, 0.6]}
    >>> of |= {"new_score": [0.6, 0.75], "reason": ["posted meme-17", "posted meme-18"]}
    >>> reputation_movers(pd.DataFrame(of)).round(2).to_numpy().tolist()
    [['a', 0.25, 'posted …', 2, 0.25]]
    """
    if not (amount(top) >= 1 and amount(reasons) >= 1):
        raise ValueError(f"top={top!r} and reasons={reasons!r} are not possible: choose at least 1")
    rows = score_changes(updates, "reason")
    ends = rows.groupby("agent_id").agg(first=("old_score", "first"), last=("new_score", "last"))
    change = (ends["last"] - ends["first"]).rename("change")
    order = np.lexsort((change.index.to_numpy(object), -np.abs(change.to_numpy(np.float64))))
    chosen = change.iloc[order].head(top)
    rows = rows[rows["agent_id"].isin(chosen.index)]
    places, kinds = codes(rows["reason"])
    # The last one is that of what is missing.
    short = np.array([*map(without_particulars, map(str, kinds)), ""], dtype=object)
    rows = rows.assign(reason=short[places], moved=rows["new_score"] - rows["old_score"])
    told = rows.groupby(["agent_id", "reason"])["moved"]
    found = told.agg(["size", "sum"]).reset_index()
    found.columns = pd.Index(["agent_id", "reason", "updates", "moved"])
    found["change"] = found["agent_id"].map(chosen).astype("float64")
    found["place"] = found["agent_id"].map(pd.Series(np.arange(len(chosen)), index=chosen.index))
    found["size"] = -found["moved"].abs()
    found = found.sort_values(["place", "size", "reason"]).groupby("place", sort=False).head(reasons)
    columns = ["agent_id", "change", "reason", "updates", "moved"]
    return give(found[columns].astype({"agent_id": "str", "reason": "str", "updates": "int64"}), updates)


def reputation_inequality(updates: Frame, *, every_s: float = 60) -> Frame:
    """Return how unequal scores are over time: Gini's coefficient of the agents' scores.

    For n scores in order, x(1) to x(n), it is Σ (2 i − n − 1) x(i) / (n Σ x): 0 where all are equal, near 1
    where one agent has all [1]_.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    every_s : float
        How many seconds of event time a row stands for; they begin at multiples of it.

    Returns
    -------
    frame
        In order of `time`, the start of the bucket in UTC, for buckets with an update: `agents` that have had
        an update by its end, `mean` and `gini` of their last scores, unknown where a score is negative or all
        are 0, and both where their sum is beyond what a number holds.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or an option is not possible.

    Notes
    -----
    Agents come in with their first update, so the beginning is of few. A change lost in a gap shows with the
    agent's next update.

    References
    ----------
    .. [1] A. Sen (1973). On Economic Inequality. Oxford University Press.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 1], unit="s"), "agent_id": ["a", "b"], "old_score": 0.5}
    >>> found = reputation_inequality(pd.DataFrame({**of, "new_score": [0.2, 0.6]}))
    >>> found[["agents", "mean", "gini"]].round(2).to_numpy().tolist()
    [[2.0, 0.4, 0.25]]
    """
    width_us = bucket_us(every_s)
    rows = score_changes(updates)
    rows["time"] = rows["t_us"] // width_us * width_us
    agent, agents = pd.factorize(rows["agent_id"])
    scores = np.full(len(agents), np.nan)
    found: list[tuple[int, int, float, float]] = []
    times, begin = np.unique(rows["time"].to_numpy(np.int64), return_index=True)
    new = rows["new_score"].to_numpy(np.float64)
    for time, part in zip(times.tolist(), np.split(np.arange(len(rows)), begin[1:]), strict=False):
        scores[agent[part]] = new[part]
        known = np.sort(scores[~np.isnan(scores)])
        found.append((time, len(known), *_spread(known)))
    kinds = {"time": "int64", "agents": "int64", "mean": "float64", "gini": "float64"}
    return give(pd.DataFrame(found, columns=[*kinds]).astype(kinds), updates)


def reputation_reversion(updates: Frame, *, confidence: float = 0.95) -> Frame:
    """Return whether scores return to a mean, and how fast.

    The rate is the share of its distance to the agent's own mean that a score goes back with each update:
    minus the slope of the changes (new − old score) against the old score, each agent with an intercept of
    its own. Such a slope is too steep where agents have few updates; the jackknife of half panels takes that
    out [1]_: twice the estimate, less the mean of those from the agents' first and second halves. The
    standard error is robust for what the updates of an agent share.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    confidence : float
        How sure to be that the rate lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        One row: `agents` and `updates` used (of agents with at least 10), `rate`, `low`, `high`,
        `half_life` (updates until half of a distance is gone, ln ½ / ln (1 − rate)), unknown unless the rate
        lies between 0 and 1, and `mean`, where scores tend to. No row with fewer than two such agents.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or the confidence is not possible.

    Notes
    -----
    Each update tells its own old score, so one that is lost in a gap takes nothing from the others.

    References
    ----------
    .. [1] G. Dhaene, K. Jochmans (2015). Split-panel jackknife estimation of fixed-effect models. The Review
       of Economic Studies 82 (3), 991–1030. doi:10.1093/restud/rdv007

    Examples
    --------
    >>> random, rows = np.random.default_rng(1), []
    >>> for agent in "abcd":
    ...     score = 0.5
    ...     for second in range(300):
    ...         old, score = score, score + 0.2 * (0.5 - score) + random.normal(0, 0.02)
    ...         rows.append((pd.Timestamp(second, unit="s"), agent, old, score))
    >>> columns = ["timestamp", "agent_id", "old_score", "new_score"]
    >>> found = reputation_reversion(pd.DataFrame(rows, columns=columns)).iloc[0]
    >>> bool(found["low"] < 0.2 < found["high"]), float(found["mean"].round(1))
    (True, 0.5)
    """
    z = quantile(confidence)
    rows = _lasting(updates)
    columns = ["agents", "updates", "rate", "low", "high", "half_life", "mean"]
    kinds = dict(zip(columns, ["int64"] * 2 + ["float64"] * 5, strict=True))
    agents = rows["agent_id"].nunique()
    if agents < 2:
        return give(pd.DataFrame(columns=columns).astype(kinds), updates)
    place, size = rows.groupby("agent_id").cumcount(), rows.groupby("agent_id")["moved"].transform("size")
    late = (place >= size // 2).to_numpy(bool)
    slope, error = _slope(rows)
    slope = 2 * slope - (_slope(rows[late])[0] + _slope(rows[~late])[0]) / 2
    rate = -slope
    half_life = float(np.log(0.5) / np.log1p(-rate)) if 0 < rate < 1 else np.nan
    means = rows.groupby("agent_id")[["old_score", "moved"]].mean()
    mean = float((means["old_score"] + means["moved"] / rate).mean()) if rate > 0 else np.nan
    found = (agents, len(rows), rate, rate - z * error, rate + z * error, half_life, mean)
    return give(pd.DataFrame([found], columns=columns).astype(kinds), updates)


def score_changes(updates: Any, *names: str) -> pd.DataFrame:
    """Return the updates as pandas rows in order of time, with ids as text.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([1, 0], unit="s"), "agent_id": "a", "old_score": [0.5, 0.4]}
    >>> score_changes(pd.DataFrame({**of, "new_score": [0.6, 0.5]}))["old_score"].tolist()
    [0.4, 0.5]
    """
    rows = fetch(take(updates, "reputation_update", *_SCORES, *names, optional=["seq"]))
    order = [name for name in ("t_us", "seq") if name in rows.columns]
    rows = rows.sort_values(order, kind="stable").reset_index(drop=True)
    kinds: dict[str, Any] = {"agent_id": "str", "old_score": "float64", "new_score": "float64"}
    return rows.astype(kinds).fillna({"agent_id": ""})


def score_deviations(updates: Any) -> pd.DataFrame:
    """Return what `reputation_reversion` fits a line to, as pandas rows in order of time.

    Returns
    -------
    pandas.DataFrame
        For agents with at least 10 updates: `agent_id`, `distance` (old score − its mean for the agent), and
        `change` (new − old score, less its mean for the agent).

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime(range(10), unit="s"), "agent_id": "a", "old_score": [0.5, 0.7] * 5}
    >>> score_deviations(pd.DataFrame({**of, "new_score": 0.5}))["distance"].round(2).tolist()[:2]
    [-0.1, 0.1]
    """
    return _within(_lasting(updates))


def _lasting(updates: Any) -> pd.DataFrame:
    """Return the updates of agents that have enough of them."""
    rows = score_changes(updates)
    rows["moved"] = rows["new_score"] - rows["old_score"]
    size = rows.groupby("agent_id")["moved"].transform("size")
    return rows[(size >= _FEWEST).to_numpy(bool)]


def _within(rows: pd.DataFrame) -> pd.DataFrame:
    own = rows[["old_score", "moved"]]
    apart = own - own.groupby(rows["agent_id"]).transform("mean")
    return pd.DataFrame(
        {"agent_id": rows["agent_id"], "distance": apart["old_score"], "change": apart["moved"]}
    )


def _slope(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the slope of changes against old scores within agents, and its standard error."""
    apart = _within(rows)
    x, y, agents = apart["distance"], apart["change"], apart["agent_id"]
    spread = float((x**2).sum())
    if spread == 0 or not np.isfinite(spread):
        return float("nan"), float("nan")
    slope = float((x * y).sum()) / spread
    shared = (x * (y - slope * x)).groupby(agents).sum()
    few = len(shared) / (len(shared) - 1)
    return slope, float(np.sqrt(few * (shared**2).sum())) / spread


def _spread(ordered: Floats) -> tuple[float, float]:
    """Return the mean and Gini's coefficient of scores in order."""
    n, unknown = len(ordered), float("nan")
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(ordered.sum())
        weighted = float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum())
    if not n or not np.isfinite(total):
        return unknown, unknown
    known = total > 0 and ordered[0] >= 0 and np.isfinite(weighted)
    return total / n, weighted / total / n if known else unknown
