"""Who voted how: shares of approval with their confidence, votes that count, and votes that do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import narwhals.stable.v2 as nw

from chaosnb.analysis.choices import chosen
from chaosnb.analysis.frames import Frame, Lazy, bucket, coded, count, flag, give, take
from chaosnb.analysis.intervals import wilson_bounds
from chaosnb.analysis.turns import first, repeats

__all__ = [
    "GROUPS",
    "Group",
    "approval_rate",
    "count_votes",
    "counted_votes",
    "double_votes",
    "grouped_votes",
    "valid_votes",
]

Group = Literal["personality", "validator", "block", "time"]

GROUPS: Final[dict[str, str]] = {
    "personality": "validator_personality",
    "validator": "validator_id",
    "block": "block_hash",
    "time": "t_us",
}
"""The columns by which votes are grouped."""

_ONE_EACH: Final = ("block_hash", "validator_id")
_COUNTS: Final = ("approve", "reject", "other", "voted")
_WHOLE: Final = "whole_"  # a group that all votes are in
_RATES: Final = ("approve", "reject", "other", "approval_rate", "low", "high")


def approval_rate(
    votes: Frame,
    by: Group | Sequence[Group] = "personality",
    *,
    every_s: float = 60,
    confidence: float = 0.95,
    clustered: bool = False,
) -> Frame:
    """Return the share of votes that approve, of all or by personality, validator, block or time.

    A validator's second vote on a block does not count; `double_votes` has those. The rate is
    approve / (approve + reject), its interval Wilson's (see `chaosnb.analysis.intervals.wilson_interval`).

    Parameters
    ----------
    votes : frame
        The table `block_validation`.
    by : {"personality", "validator", "block", "time"} or several of them
        The groups. Empty: all votes are one.
    every_s : float
        For ``"time"``: how many seconds of event time a row stands for; they begin at multiples of it.
    confidence : float
        How sure to be that the share lies between `low` and `high`, between 0 and 1.
    clustered : bool
        Whether the votes of a group on the same block may hang together. The interval is Wilson's of fewer
        votes then, n / max(1, d). The design effect d is the variance between blocks over that of
        independent votes, m / (m − 1) Σ (a_b − n_b p)² / (n p (1 − p)), with a_b approvals among n_b votes
        on each of m blocks [1]_. False: votes are taken for independent.

    Returns
    -------
    frame
        A row for each group that has a vote: its name under `by`, counts `approve`, `reject` and `other`,
        `approval_rate`, `low` and `high`, which are unknown where it has neither approved nor rejected.
        By time it is in order of `time`, the start of the bucket in UTC, else of `approval_rate`, highest
        first.

    Raises
    ------
    TypeError
        If it is no frame.
    ValueError
        If there is no such grouping, the frame lacks a column, or an option is not possible.

    Notes
    -----
    Votes lost in a gap are missing at random as far as the network goes, so a gap makes intervals wider and
    leaves the rate unbiased, unless what cut the link has to do with what was voted on. Where the first of
    two votes was lost, the second counts in its place.

    Validators hear the same words about a block, and follow each other. So what a long run would give lies
    outside the plain interval more often than it says; ``clustered=True`` allows for that.

    References
    ----------
    .. [1] E. L. Korn, B. I. Graubard (1998). Confidence intervals for proportions with small expected number
       of positive counts estimated from survey data. Survey Methodology 24 (2), 193–201.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("ghg"), "validator_id": list("vvw"), "decision": "approve"}
    >>> of |= {"timestamp": pd.Timestamp("2026-01-01"), "validator_personality": ["greedy"] * 2 + ["lawful"]}
    >>> approval_rate(pd.DataFrame(of))[["personality", "approve", "low"]].round(2).to_numpy().tolist()
    [['greedy', 2, 0.34], ['lawful', 1, 0.21]]
    """
    groups = chosen(by, GROUPS, none=True)
    counted_by = groups or [_WHOLE]
    if clustered:
        counted = _count_clusters(votes, counted_by, every_s)
        low, high = wilson_bounds("approve_", "voted_", confidence)
    else:
        counted = count_votes(votes, counted_by, every_s=every_s)
        low, high = wilson_bounds("approve", "voted", confidence)
    rate = nw.when(nw.col("voted") > 0).then(nw.col("approve") / nw.col("voted"))
    rated = counted.with_columns(approval_rate=rate, low=low, high=high, rank_=rate.fill_null(-1.0))
    if "time" in groups:
        rated = rated.sort("time", *[name for name in groups if name != "time"])
    else:
        rated = rated.sort("rank_", *groups, descending=[True, *[False for _ in groups]])
    return give(rated.select(*groups, *_RATES), votes)


def valid_votes(votes: Frame) -> Frame:
    """Return the votes that count: the first of each validator on each block.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.

    Returns
    -------
    frame
        The same columns, in order of time; rows without a time are left out.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column.

    Notes
    -----
    Where the first of two votes was lost in a gap, the second passes for it.

    Without a column `seq`, of votes at the same instant the first in the frame counts; DuckDB has no such
    order, and any of them may.

    Examples
    --------
    >>> import pandas as pd
    >>> votes = {"timestamp": pd.to_datetime(["2026-01-01", "2026-01-02"]), "decision": ["reject", "approve"]}
    >>> valid_votes(pd.DataFrame({**votes, "block_hash": "h", "validator_id": "v"}))["decision"].tolist()
    ['reject']
    """
    rows = first(take(votes, "block_validation", "timestamp", *_ONE_EACH, whole=True), _ONE_EACH)
    order = ["t_us", *["seq"] * ("seq" in rows.collect_schema().names())]
    ordered = rows.sort(*order)
    return give(ordered if "timestamp" not in rows.collect_schema().names() else ordered.drop("t_us"), votes)


def double_votes(votes: Frame) -> Frame:
    """Return the votes that do not count, since the validator had voted on that block before.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.

    Returns
    -------
    frame
        In order of time: `time`, `block_hash`, `validator_id`, `decision`, and what counted instead as
        `first_decision`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column.

    Notes
    -----
    A double vote of which one was lost in a gap is not found.

    Examples
    --------
    >>> import pandas as pd
    >>> votes = {"timestamp": pd.to_datetime(["2026-01-01", "2026-01-02"]), "decision": ["reject", "approve"]}
    >>> again = double_votes(pd.DataFrame({**votes, "block_hash": "h", "validator_id": "v"}))
    >>> again[["decision", "first_decision"]].to_numpy().tolist()
    [['approve', 'reject']]
    """
    rows = take(votes, "block_validation", "timestamp", *_ONE_EACH, "decision", optional=["seq"])
    text = [nw.col(name).cast(nw.String()) for name in ("validator_id", "decision")]
    again = repeats(rows, _ONE_EACH).with_columns(*text)
    counted = first(rows, _ONE_EACH).join(again.select("block_hash").unique(), on="block_hash", how="semi")
    counted = counted.with_columns(*text).select(*_ONE_EACH, first_decision="decision")
    found = again.join(counted, on=[*_ONE_EACH], how="left").sort("t_us", *_ONE_EACH)
    return give(found.select("block_hash", "validator_id", "decision", "first_decision", time="t_us"), votes)


def counted_votes(votes: Any, *names: str) -> Lazy:
    """Return these columns of the votes that count, `t_us`, and what tells the votes apart.

    In pandas, `block_hash` is a category.
    """
    rows = take(votes, "block_validation", "timestamp", *_ONE_EACH, "decision", *names, optional=["seq"])
    return first(coded(rows, "block_hash"), _ONE_EACH)


def grouped_votes(votes: Any, groups: Sequence[str], *, every_s: float = 60) -> Lazy:
    """Return the votes that count with their decision and a column for each group."""
    rows = counted_votes(votes, *[GROUPS[group] for group in groups if group not in ("time", _WHOLE)])
    made = {"time": bucket(every_s), _WHOLE: nw.lit(0, nw.Int64)}
    by = {group: made[group] if group in made else nw.col(GROUPS[group]) for group in groups}
    return rows.select("decision", "block_hash", **by)


def count_votes(votes: Any, groups: Sequence[str], *, every_s: float = 60) -> Lazy:
    """Return the counts of valid votes by group: `approve`, `reject`, `other`, and `voted`, the first two."""
    counted = count(_flagged(votes, groups, every_s), groups, *_COUNTS)
    return counted.select(*groups, *_COUNTS)


def _flagged(votes: Any, groups: Sequence[str], every_s: float) -> Lazy:
    approves, rejects = nw.col("decision") == "approve", nw.col("decision") == "reject"
    voted = approves | rejects
    flags = {
        "approve": flag(approves),
        "reject": flag(rejects),
        "other": 1 - flag(voted),
        "voted": flag(voted),
    }
    rows = grouped_votes(votes, groups, every_s=every_s)
    return rows.select(*dict.fromkeys([*groups, "block_hash"]), **flags)


def _count_clusters(votes: Any, groups: Sequence[str], every_s: float) -> Lazy:
    """Count votes, and with the design effect also how many independent ones they amount to."""
    a, n = nw.col("approve"), nw.col("voted")
    each = _flagged(votes, groups, every_s).group_by(*dict.fromkeys([*groups, "block_hash"]))
    blocks = each.agg(*[nw.col(name).sum() for name in _COUNTS])
    squares = {"aa_": a * a, "an_": a * n, "nn_": n * n, "blocks_": flag(n > 0)}
    counted = count(blocks.with_columns(**squares), groups, *_COUNTS, *squares)
    some = counted.with_columns(p_=a / nw.when(n > 0).then(n))
    p, m = nw.col("p_"), nw.col("blocks_")
    between = nw.col("aa_") - 2 * p * nw.col("an_") + p * p * nw.col("nn_")
    effect = m / nw.when(m > 1).then(m - 1) * between / nw.when((a > 0) & (a < n)).then(n * p * (1 - p))
    scale = nw.when(effect > 1).then(1 / effect).otherwise(nw.lit(1.0))
    return some.with_columns(approve_=a * scale, voted_=n * scale)
