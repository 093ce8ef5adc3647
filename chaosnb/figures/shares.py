"""Figures of shares with their confidence: how each personality approves, and who takes part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from chaosnb.analysis import ballots, turnout
from chaosnb.analysis.frames import to_pandas
from chaosnb.figures.style import PALETTE, Floats, Spec, floats, label, plane_layout, room_for, still

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["approval_by", "participation"]

_BLUE, _GREY = PALETTE[0], PALETTE[6]
_ROW_PX: Final = 26


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
    rates = rates.dropna(subset="approval_rate").iloc[::-1]
    names = [str(name) for name in rates[by]]
    yes, voted = floats(rates, "approve"), floats(rates, "approve") + floats(rates, "reject")
    ends = [floats(rates, name) * 100 for name in ("approval_rate", "low", "high")]
    told = [
        f"{share:.1f} % ({low:.1f} % to {high:.1f} %): {int(a):,} of {int(n):,} votes"
        for share, low, high, a, n in zip(*ends, yes, voted, strict=True)
    ]
    overall = float(yes.sum() / voted.sum() * 100) if voted.sum() else None
    title, axis = f"Approval by {by}", "votes that approve (%), 95 % interval"
    return still(_shares(names, ends, voted, told, title, axis, overall), votes)


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
    shares = to_pandas(turnout.participation(votes, by, blocks=blocks))
    names = [str(name) for name in shares[by]]
    cast, possible = floats(shares, "voted"), floats(shares, "possible")
    ends = [floats(shares, name) * 100 for name in ("participation", "low", "high")]
    told = [
        f"{share:.1f} % ({low:.1f} % to {high:.1f} %): {int(n):,} of {int(most):,} votes"
        for share, low, high, n, most in zip(*ends, cast, possible, strict=True)
    ]
    overall = float(cast.sum() / possible.sum() * 100) if possible.sum() else None
    title, axis = f"Participation by {by}", "votes cast of those possible (%), 95 % interval"
    return still(_shares(names, ends, possible, told, title, axis, overall), votes)


def _shares(
    names: Sequence[str],
    ends: Sequence[Floats],
    trials: Floats,
    told: Sequence[str],
    title: str,
    axis: str,
    overall: float | None,
) -> Spec:
    share, low, high = ends
    points: Spec = {
        **{"type": "scatter", "mode": "markers", "x": share, "y": np.arange(len(names)), "showlegend": False},
        **{"marker": {"size": 9, "color": _BLUE}, "hovertext": [*told]},
        "hovertemplate": "%{hovertext}<extra></extra>",
        "error_x": {
            **{"type": "data", "symmetric": False, "array": high - share, "arrayminus": share - low},
            **{"color": _BLUE, "thickness": 2, "width": 4},
        },
    }
    height = 110 + max(_ROW_PX * len(names), 120)
    layout = plane_layout(title, axis, "", empty=not len(names), height=height)
    layout["margin"] |= {"l": room_for(names) + 50, "t": 40}
    layout["xaxis"]["range"] = [-2, 102]
    ticks = [f"{label(name)} (n = {int(n):,})" for name, n in zip(names, trials, strict=True)]
    layout["yaxis"] |= {"tickvals": [*range(len(names))], "ticktext": ticks, "zeroline": False}
    layout["yaxis"]["range"] = [-0.7, max(len(names), 1) - 0.3]
    if overall is not None:
        line = {"color": _GREY, "width": 1, "dash": "dash"}
        at = {"x0": overall, "x1": overall, "yref": "paper", "y0": 0, "y1": 1}
        layout["shapes"] = [{"type": "line", **at, "line": line}]
        note = {"x": overall, "yref": "paper", "y": 1, "yanchor": "bottom", "showarrow": False}
        text = {"text": f"all votes {overall:.1f} %", "font": {"size": 10}}
        layout.setdefault("annotations", []).append({**text, **note})
    return {"data": [points], "layout": layout}
