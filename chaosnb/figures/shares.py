"""Figures of shares with their confidence: how each personality votes, and who takes part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from chaosnb.analysis import availability, ballots, turnout
from chaosnb.analysis.frames import to_pandas
from chaosnb.figures.standings import approval, shares
from chaosnb.figures.style import Spec, floats, still

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["approval_by", "participation", "participation_by_status", "vote_distribution"]

_POSSIBLE: Final = "votes cast of those possible (%), 95 % interval"


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
    overall = float(cast.sum() / possible.sum() * 100) if possible.sum() else None
    columns = ("participation", "voted", "possible")
    return still(_shares(names, found, columns, f"Participation by {by}", _POSSIBLE, overall), votes)


def participation_by_status(votes: Any, statuses: Any) -> go.Figure:
    """Draw on which share of blocks validators vote while active, and while not, with 95 % intervals.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.
    statuses : frame
        The table `agent_status`.

    Returns
    -------
    plotly.graph_objects.Figure
        The shares are those of `chaosnb.analysis.participation_by_status`.

    Raises
    ------
    TypeError, ValueError
        If one is no frame, lacks a column (the message says which table has it), or the two are of different
        kinds.

    Examples
    --------
    >>> import pandas as pd
    >>> votes = {"timestamp": pd.to_datetime([1, 2], unit="s"), "block_hash": list("gh"), "validator_id": "v"}
    >>> votes = pd.DataFrame({**votes, "decision": "approve"})
    >>> states = {"timestamp": pd.to_datetime([0], unit="s"), "agent_id": "v", "status": "active"}
    >>> participation_by_status(votes, pd.DataFrame(states)).data[0].x.tolist()
    [100.0]
    """
    found = to_pandas(availability.participation_by_status(votes, statuses))
    # Most chances at the top.
    found = found.iloc[::-1]
    names = [str(name) for name in found["status"]]
    columns = ("participation", "voted", "chances")
    return still(_shares(names, found, columns, "Participation by status", _POSSIBLE), votes, statuses)


def vote_distribution(votes: Any, by: Literal["personality", "validator"] | None = None) -> go.Figure:
    """Draw how votes are distributed over decisions, of all or within each group, with 95 % intervals.

    Parameters
    ----------
    votes : frame
        The table `block_validation`. A second vote of a validator on a block does not count.
    by : {"personality", "validator"}, optional
        None: all votes are one.

    Returns
    -------
    plotly.graph_objects.Figure
        The shares are those of `chaosnb.analysis.vote_distribution`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or there is no such grouping.

    Examples
    --------
    >>> import pandas as pd
    >>> votes = {"timestamp": pd.to_datetime(["2026-01-01"] * 2), "decision": ["approve", "reject"]}
    >>> votes |= {"block_hash": ["g", "h"], "validator_id": "v", "validator_personality": "lawful"}
    >>> vote_distribution(pd.DataFrame(votes)).data[0].x.tolist()
    [50.0, 50.0]
    """
    if by not in ("personality", "validator", None):
        raise ValueError(f"by={by!r} is not possible: choose 'personality', 'validator' or None")
    found = to_pandas(turnout.vote_distribution(votes, by or ())).iloc[::-1]
    decided = found["decision"].astype("str")
    names = decided if by is None else found[by].astype("str") + ": " + decided
    most = floats(found, "votes") / floats(found, "share")
    title = f"Votes by {by}" if by else "Votes by decision"
    found = found.assign(of=most.round())
    columns = ("share", "votes", "of")
    return still(_shares([*names], found, columns, title, "share of votes (%), 95 % interval"), votes)


def _shares(
    names: list[str],
    found: Any,
    columns: tuple[str, str, str],
    title: str,
    axis: str,
    overall: float | None = None,
) -> Spec:
    share, part, whole = columns
    ends = [floats(found, name) * 100 for name in (share, "low", "high")]
    parts, wholes = floats(found, part), floats(found, whole)
    told = [
        f"{middle:.1f} % ({low:.1f} % to {high:.1f} %): {int(n):,} of {int(most):,} votes"
        for middle, low, high, n, most in zip(*ends, parts, wholes, strict=True)
    ]
    return shares(names, ends, wholes, told, title, axis, overall)
