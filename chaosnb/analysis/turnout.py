"""Who takes part in votes, and how votes are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import narwhals.stable.v2 as nw

from chaosnb.analysis.ballots import GROUPS, Group, counted_votes, grouped_votes
from chaosnb.analysis.choices import chosen
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
        A row for each that could have voted or been voted on: its name under `by`, `voted` (votes cast),
        `possible` (votes that could be cast), `participation` = voted / possible, `low` and `high`; in order
        of `participation`, lowest first.

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
    cast = counted_votes(votes, "validator_personality")
    named = nw.col(_NAMES[by]).alias(by)
    voters = cast.select(named, "validator_id").unique()
    validators = cast.select("validator_id").unique()
    open_blocks = cast.select("block_hash").unique()
    if blocks is not None:
        open_blocks = take(blocks, "block_proposal", "block_hash", beside=votes).unique()
        cast = cast.with_columns(nw.col("block_hash").cast(nw.String()))
        cast = cast.join(open_blocks, on="block_hash", how="semi")
    # What could be cast, whether anybody did or not.
    if by == "block":
        chances, each = open_blocks.select(named), _rows(validators)
    else:
        chances, each = voters, _rows(open_blocks)
    possible = count(chances.with_columns(possible=nw.lit(each, nw.Int64)), [by], "possible")
    voted = count(cast.with_columns(named, voted=nw.lit(1, nw.Int64)), [by], "voted")
    both = possible.join(voted, on=by, how="left").with_columns(nw.col("voted").fill_null(0).cast(nw.Int64()))
    low, high = wilson_bounds("voted", "possible", confidence)
    shares = both.with_columns(participation=nw.col("voted") / nw.col("possible"), low=low, high=high)
    shown = shares.select(by, "voted", "possible", "participation", "low", "high")
    return give(shown.sort("participation", by), votes)


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
    groups = chosen(by, GROUPS, none=True)
    rows = grouped_votes(votes, groups, every_s=every_s).with_columns(votes=nw.lit(1, nw.Int64))
    counted = count(rows, [*groups, "decision"], "votes")
    total = nw.col("votes").sum().over(*groups) if groups else nw.col("votes").sum()
    whole = counted.with_columns(total_=total)
    low, high = wilson_bounds("votes", "total_", confidence)
    shares = whole.with_columns(share=nw.col("votes") / nw.col("total_"), low=low, high=high).drop("total_")
    return give(shares.sort(*groups, "decision"), votes)


def _rows(lazy: Lazy) -> int:
    return int(fetch(lazy.select(rows=nw.len()))["rows"][0])
