"""What the network's rule makes of the votes on each block, and why blocks fail."""

from __future__ import annotations

from typing import Any, Final

import narwhals.stable.v2 as nw

from chaosnb.amounts import amount
from chaosnb.analysis.ballots import counted_votes
from chaosnb.analysis.frames import Frame, Lazy, fetch, flag, give

__all__ = ["REASONS", "block_outcomes", "check_rule", "count_validators"]

REASONS: Final = ("too few votes", "no majority", "a personality against")
"""Why a block fails, in the order in which `block_outcomes` names them."""


def block_outcomes(votes: Frame, *, validators: int | None = None, quorum: float = 0.5) -> Frame:
    """Return what became of each block by the rule of the network, and why it failed.

    A block is accepted if enough validators voted (approve + reject ≥ quorum × validators), more than half
    of the votes approve, and no personality that voted rejects it unanimously. A validator's second vote
    does not count.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.
    validators : int, optional
        How many validators the network has, at work or not. None: as many as have voted on any block.
    quorum : float
        Which share of them must vote, 0 to 1.

    Returns
    -------
    frame
        A row for each block with a vote, in order of its first vote: `block_hash`; `time` of its first vote
        in UTC; counts `approve` and `reject`; `turnout`, the share of validators that voted;
        `personalities_against`, how many personalities reject unanimously; `outcome`, ``accepted`` or
        ``rejected``; and `reason`, what of ``too few votes``, ``no majority`` and ``a personality against``
        failed it, parted by commas, empty if it is accepted.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or an option is not possible.

    Notes
    -----
    An outcome can turn on one vote, so on blocks that a row of ``s.gaps`` touches it is a guess: too few
    votes may have been enough, and a lost approval may have been the one of its personality. On the newest
    blocks voting goes on. Of two blocks that are accepted at the same height the network builds on one; see
    `main_chain`. A block without votes has no row.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("ggghh"), "validator_id": list("uvwuv")}
    >>> of |= {"validator_personality": list("llgll")}
    >>> of |= {"decision": ["approve", "approve", "reject", "approve", "approve"]}
    >>> outcomes = block_outcomes(pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01")}))
    >>> outcomes[["block_hash", "outcome", "reason"]].to_numpy().tolist()
    [['g', 'rejected', 'a personality against'], ['h', 'accepted', '']]
    """
    check_rule(validators, quorum)
    rows = counted_votes(votes, "validator_personality")
    approves, rejects = nw.col("decision") == "approve", nw.col("decision") == "reject"
    cast = rows.with_columns(approve=flag(approves), reject=flag(rejects)).filter(approves | rejects)
    size = count_validators(cast) if validators is None else validators
    groups = cast.group_by("block_hash", "validator_personality").agg(
        nw.col("approve").sum(), nw.col("reject").sum(), time=nw.col("t_us").min()
    )
    against = groups.with_columns(personalities_against=flag(nw.col("approve") == 0))
    blocks = against.group_by("block_hash").agg(
        *[nw.col(name).sum() for name in ("approve", "reject", "personalities_against")],
        nw.col("time").min(),
    )
    blocks = blocks.with_columns(nw.col("block_hash").cast(nw.String()))
    voted = nw.col("approve") + nw.col("reject")
    failings = (
        voted.cast(nw.Float64()) < quorum * size,
        nw.col("approve") <= nw.col("reject"),
        nw.col("personalities_against") > 0,
    )
    judged = blocks.with_columns(turnout=voted / size if size else nw.lit(0.0), reason=_reason(failings))
    outcome = nw.when(nw.col("reason") == "").then(nw.lit("accepted")).otherwise(nw.lit("rejected"))
    shown = judged.with_columns(outcome=outcome).select(
        *("block_hash", "time", "approve", "reject", "turnout", "personalities_against", "outcome", "reason")
    )
    return give(shown.sort("time", "block_hash"), votes)


def check_rule(validators: int | None, quorum: float) -> None:
    """Raise unless the network can have so many validators, and ask for such a share of them.

    Raises
    ------
    ValueError
        If not.
    """
    if validators is not None and not amount(validators) >= 1:
        raise ValueError(
            f"validators={validators!r} is not possible: choose at least 1, or None to count them"
        )
    if not 0 <= amount(quorum) <= 1:
        raise ValueError(f"quorum={quorum!r} is not possible: choose a share from 0 to 1")


def count_validators(cast: Lazy) -> int:
    """Return how many validators cast these votes."""
    return int(fetch(cast.select("validator_id").unique().select(validators=nw.len()))["validators"][0])


def _reason(failings: Any) -> nw.Expr:
    # A text for each of the eight cases, since engines join text and what is missing in different ways.
    places = range(len(REASONS))
    told: nw.Expr = nw.lit("")
    for case in range(1, 2 ** len(REASONS)):
        those = [place for place in places if case >> place & 1]
        holds = failings[those[0]]
        for place in places:
            holds = holds & (failings[place] if place in those else ~failings[place])
        told = nw.when(holds).then(nw.lit(", ".join(REASONS[place] for place in those))).otherwise(told)
    return told
