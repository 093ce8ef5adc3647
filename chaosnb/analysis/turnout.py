"""Who takes part in votes, and how votes are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import narwhals.stable.v2 as nw

from chaosnb.analysis.ballots import Group, check_groups, counted_votes, grouped_votes
from chaosnb.analysis.frames import Frame, Lazy, count, fetch, give, take
from chaosnb.analysis.intervals import wilson_bounds

__all__ = ["participation", "vote_distribution"]

_NAMES: Final = {"validator": "validator_id", "personality": "validator_personality", "block": "block_hash"}


def participation(
    votes: Frame,
    by: Literal["validator", "personality", "block"] = "validator",
    *,
    blocks: Frame | None = None,
    confidence: float = 0.95,
) -> Frame:
    """Return the share of possible votes that were cast: one by each validator on each block.

    The interval is Wilson's (see `chaosnb.analysis.intervals.wilson_interval`). Second votes do not count.

    Parameters
    ----------
    votes : frame
        The table `block_validation`. Its validators are those who could vote.
    by : {"validator", "personality", "block"}
    blocks : frame, optional
        The table `block_proposal`, whose blocks could be voted on; votes on others are left out. None: those
        with a vote.
    confidence : float
        How sure to be that the share lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        A row for each: its name under `by`, `voted` (votes cast), `possible` (votes that could be cast),
        `participation` = voted / possible, `low` and `high`; in order of `participation`, lowest first.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, the frames are of two kinds, one lacks a column, or an option is not possible.

    Notes
    -----
    Votes lost in a gap look like votes not cast, and so lower it: leave out blocks that a row of ``s.gaps``
    touches. So do the newest blocks, on which voting goes on. A validator that joined late, or never voted,
    counts as if it could have voted all along, or not at all; `agent_status` tells who was away.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("ggh"), "validator_id": list("vwv"), "validator_personality": "lawful"}
    >>> votes = pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01"), "decision": "approve"})
    >>> participation(votes)[["validator", "voted", "possible"]].to_numpy().tolist()
    [['w', 1, 2], ['v', 2, 2]]
    """
    if not isinstance(by, str):
        raise TypeError(
            f"by is a name, one of {', '.join(map(repr, _NAMES))}, not {type(by).__name__}: give blocks by "
            "theirs, as blocks=..."
        )
    if by not in _NAMES:
        raise ValueError(f"by={by!r} is not possible: choose from {', '.join(map(repr, _NAMES))}")
    rows = counted_votes(votes, "validator_personality")
    if blocks is None:
        open_blocks = rows.select("block_hash").unique()
    else:
        open_blocks = take(blocks, "block_proposal", "block_hash", beside=votes).unique()
        rows = rows.with_columns(nw.col("block_hash").cast(nw.String()))
        rows = rows.join(open_blocks, on="block_hash", how="semi")
    named = rows.with_columns(nw.col(_NAMES[by]).alias(by), voted=nw.lit(1, nw.Int64))
    cast = count(named, [by], "voted")
    if by == "block":
        cast = cast.with_columns(possible=nw.lit(_rows(rows.select("validator_id").unique()), nw.Int64))
    elif by == "validator":
        cast = cast.with_columns(possible=nw.lit(_rows(open_blocks), nw.Int64))
    else:
        pairs = named.select(by, "validator_id").unique().with_columns(members=nw.lit(1, nw.Int64))
        cast = cast.join(count(pairs, [by], "members"), on=by, how="left")
        cast = cast.with_columns(possible=nw.col("members") * _rows(open_blocks)).drop("members")
    low, high = wilson_bounds("voted", "possible", confidence)
    shares = cast.with_columns(participation=nw.col("voted") / nw.col("possible"), low=low, high=high)
    return give(shares.sort("participation", by), votes)


def vote_distribution(
    votes: Frame,
    by: Group | Sequence[Group] = (),
    *,
    every_s: float = 60,
    confidence: float = 0.95,
) -> Frame:
    """Return how votes are distributed over decisions, of all or within each group.

    The interval is Wilson's (see `chaosnb.analysis.intervals.wilson_interval`). Second votes do not count.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.
    by : {"personality", "validator", "block", "time"} or several of them
        The groups. Empty: all votes are one.
    every_s, confidence : float
        As in `approval_rate`.

    Returns
    -------
    frame
        The groups, `decision`, `votes`, `share` of the group's votes, `low` and `high`; in order of the
        groups and decisions. A decision that nobody in a group took has no row there.

    Raises
    ------
    TypeError, ValueError
        As of `approval_rate`.

    Notes
    -----
    As in `approval_rate`, a gap widens the intervals, and leaves shares unbiased unless what cut the link has
    to do with the votes.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("ggh"), "validator_id": list("vwv"), "validator_personality": "lawful"}
    >>> of |= {"timestamp": pd.Timestamp("2026-01-01"), "decision": ["approve", "reject", "approve"]}
    >>> vote_distribution(pd.DataFrame(of))[["decision", "votes"]].to_numpy().tolist()
    [['approve', 2], ['reject', 1]]
    """
    groups = check_groups(by) if isinstance(by, str) or len(by) else []
    rows = grouped_votes(votes, groups, every_s=every_s).with_columns(votes=nw.lit(1, nw.Int64))
    counted = count(rows, [*groups, "decision"], "votes")
    total = nw.col("votes").sum().over(*groups) if groups else nw.col("votes").sum()
    whole = counted.with_columns(total_=total)
    low, high = wilson_bounds("votes", "total_", confidence)
    shares = whole.with_columns(share=nw.col("votes") / nw.col("total_"), low=low, high=high).drop("total_")
    return give(shares.sort(*groups, "decision"), votes)


def _rows(lazy: Lazy) -> int:
    return int(fetch(lazy.select(rows=nw.len()))["rows"][0])
