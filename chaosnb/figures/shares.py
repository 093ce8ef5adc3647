"""Figures of shares with their confidence: how each personality approves, and who takes part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from chaosnb.analysis import ballots, turnout
from chaosnb.analysis.frames import to_pandas
from chaosnb.figures.standings import approval, shares
from chaosnb.figures.style import floats, still

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["approval_by", "participation"]


def approval_by(
    votes: Any, by: Literal["personality", "validator"] = "personality", *, clustered: bool = False
) -> go.Figure:
    """Draw which share of its votes each personality approves, with 95 % confidence intervals.

    Parameters
    ----------
    votes : frame
        The table `block_validation`. A second vote of a validator on a block does not count.
    by : {"personality", "validator"}
    clustered : bool
        Whether votes on the same block may hang together; see `chaosnb.analysis.approval_rate`.

    Returns
    -------
    plotly.graph_objects.Figure
        The intervals are those of `chaosnb.analysis.approval_rate`; the line is the share of all votes.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or there is no such grouping.

    Examples
    --------
    >>> import pandas as pd
    >>> votes = {"timestamp": pd.to_datetime(["2026-01-01"] * 2), "decision": ["approve", "reject"]}
    >>> votes |= {"block_hash": ["g", "h"], "validator_id": "v", "validator_personality": "lawful"}
    >>> approval_by(pd.DataFrame(votes)).data[0].x.tolist()
    [50.0]
    """
    if by not in ("personality", "validator"):
        raise ValueError(f"by={by!r} is not possible: choose 'personality' or 'validator'")
    rates = to_pandas(ballots.approval_rate(votes, by, clustered=clustered))
    return still(approval(rates, by), votes)


def participation(
    votes: Any, by: Literal["validator", "personality"] = "validator", *, blocks: Any = None
) -> go.Figure:
    """Draw which share of the votes that they could cast validators cast, with 95 % confidence intervals.

    Parameters
    ----------
    votes, by, blocks : optional
        As in `chaosnb.analysis.participation`.

    Returns
    -------
    plotly.graph_objects.Figure
        The intervals are Wilson's; the line is the share of all votes that could be cast.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or there is no such grouping.

    Examples
    --------
    >>> import pandas as pd
    >>> votes = {"timestamp": pd.to_datetime(["2026-01-01"] * 2), "decision": ["approve", "reject"]}
    >>> votes |= {"block_hash": ["g", "h"], "validator_id": "v", "validator_personality": "lawful"}
    >>> participation(pd.DataFrame(votes)).data[0].x.tolist()
    [100.0]
    """
    if by not in ("personality", "validator"):
        raise ValueError(f"by={by!r} is not possible: choose 'validator' or 'personality'")
    found = to_pandas(turnout.participation(votes, by, blocks=blocks))
    names = [str(name) for name in found[by]]
    cast, possible = floats(found, "voted"), floats(found, "possible")
    ends = [floats(found, name) * 100 for name in ("participation", "low", "high")]
    told = [
        f"{share:.1f} % ({low:.1f} % to {high:.1f} %): {int(n):,} of {int(most):,} votes"
        for share, low, high, n, most in zip(*ends, cast, possible, strict=True)
    ]
    overall = float(cast.sum() / possible.sum() * 100) if possible.sum() else None
    title, axis = f"Participation by {by}", "votes cast of those possible (%), 95 % interval"
    return still(shares(names, ends, possible, told, title, axis, overall), votes)
