"""Figures of consensus: what became of blocks, how long it took, and whether approval drifts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from chaosnb.analysis import drifts, finality
from chaosnb.analysis.frames import to_pandas
from chaosnb.analysis.outcomes import block_outcomes
from chaosnb.analysis.presents import without_ahead
from chaosnb.figures import standings
from chaosnb.figures.gaps import mark_gaps
from chaosnb.figures.style import (
    DASHES,
    PALETTE,
    Spec,
    floats,
    label,
    line,
    milliseconds,
    plane_layout,
    still,
    time_layout,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["consensus_times", "drift", "finality_curve", "outcomes"]

_BLUE, _GREY = PALETTE[0], PALETTE[6]
_MOST_LINES: Final = 12


def outcomes(votes: Any, *, validators: int | None = None, quorum: float = 0.5) -> go.Figure:
    """Draw how many blocks were accepted, and why the others failed.

    Parameters
    ----------
    votes, validators, quorum : optional
        As in `chaosnb.analysis.block_outcomes`.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        As of `chaosnb.analysis.block_outcomes`.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("gh"), "validator_id": "v", "validator_personality": "lawful"}
    >>> votes = pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01"), "decision": "approve"})
    >>> outcomes(votes).data[0].x.tolist()
    [2]
    """
    return still(
        standings.outcomes(to_pandas(block_outcomes(votes, validators=validators, quorum=quorum))), votes
    )


def consensus_times(
    votes: Any,
    blocks: Any,
    *,
    validators: int | None = None,
    quorum: float = 0.5,
    gaps: pd.DataFrame | None = None,
) -> go.Figure:
    """Draw how long each block took from its proposal to its decisive vote, by outcome.

    Parameters
    ----------
    votes, blocks, validators, quorum : optional
        As in `chaosnb.analysis.consensus_time`.
    gaps : pandas.DataFrame, optional
        What is missing, as `Stream.gaps` tells, to be shaded. None shades nothing.

    Returns
    -------
    plotly.graph_objects.Figure
        An undecided block stands as high as it has been watched.

    Raises
    ------
    TypeError, ValueError
        As of `chaosnb.analysis.consensus_time`.

    Examples
    --------
    >>> time = pd.date_range("2026-01-01", periods=2, freq="s")
    >>> of = {"block_hash": "g", "validator_id": "v", "validator_personality": "lawful"}
    >>> votes = pd.DataFrame({**of, "timestamp": time[1:], "decision": "approve"})
    >>> blocks = pd.DataFrame({"timestamp": time[:1], "block_hash": "g", "height": 1})
    >>> consensus_times(votes, blocks).data[0].y.tolist()
    [1.0]
    """
    found = to_pandas(finality.consensus_time(votes, blocks, validators=validators, quorum=quorum))
    found = without_ahead(found, block_validation=votes, block_proposal=blocks)
    return still(mark_gaps(standings.consensus(found), gaps), votes, blocks)


def finality_curve(
    votes: Any, blocks: Any, *, validators: int | None = None, quorum: float = 0.5
) -> go.Figure:
    """Draw which share of blocks is decided by what time after the proposal, with its 95 % confidence band.

    Parameters
    ----------
    votes, blocks, validators, quorum : optional
        As in `chaosnb.analysis.finality_curve`.

    Returns
    -------
    plotly.graph_objects.Figure
        The curve is Kaplan and Meier's; the title has the time by which half of the blocks are decided.

    Raises
    ------
    TypeError, ValueError
        As of `chaosnb.analysis.finality_curve`.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=2, freq="s")
    >>> of = {"block_hash": "g", "validator_id": "v", "validator_personality": "lawful"}
    >>> votes = pd.DataFrame({**of, "timestamp": time[1:], "decision": "approve"})
    >>> blocks = pd.DataFrame({"timestamp": time[:1], "block_hash": "g", "height": 1})
    >>> finality_curve(votes, blocks).layout.title.text
    'Blocks decided: half within 1.00 s'
    """
    found = to_pandas(finality.finality_curve(votes, blocks, validators=validators, quorum=quorum))
    x = np.insert(floats(found, "time_s"), 0, 0.0)
    share = np.insert(floats(found, "decided") * 100, 0, 0.0)
    steps: Spec = {
        **{"type": "scatter", "mode": "lines", "name": "decided", "x": x, "y": share, "showlegend": False},
        **{"line": {"shape": "hv", "width": 2, "color": _BLUE}},
        "hovertemplate": "%{y:.1f} % decided within %{x:.2f} s<extra></extra>",
    }
    known = found.dropna(subset="low")
    edges = []
    for name, more in (("low", {}), ("high", {"fill": "tonexty", "fillcolor": "rgba(0, 114, 178, 0.15)"})):
        edge = {
            "type": "scatter",
            "mode": "lines",
            "x": floats(known, "time_s"),
            "y": floats(known, name) * 100,
        }
        look = {"line": {"shape": "hv", "width": 0, "color": _BLUE}, "hoverinfo": "skip", "showlegend": False}
        edges.append({**edge, **look, **more})
    half = found.loc[found["decided"] >= 0.5, "time_s"]
    title = f"Blocks decided: half within {half.iloc[0]:.2f} s" if len(half) else "Blocks decided"
    layout = plane_layout(title, "seconds since the proposal", "blocks decided (%)", empty=found.empty)
    layout["yaxis"]["range"] = [-2, 102]
    layout["xaxis"]["rangemode"] = "tozero"
    return still({"data": [*edges, steps] if len(found) else [], "layout": layout}, votes, blocks)


def drift(votes: Any, by: Literal["personality", "validator"] | None = "personality") -> go.Figure:
    """Draw how far votes were from their mean rate of approval, summed block by block (CUSUM).

    Parameters
    ----------
    votes, by : optional
        As in `chaosnb.analysis.cusum`.

    Returns
    -------
    plotly.graph_objects.Figure
        While a rate stays what it is, its line goes to and fro between the dashed ones, and leaves them in
        5 % of cases; where the rate changes it has its farthest turn. Of many groups the twelve with the
        smallest p (see `chaosnb.analysis.drift`) are drawn.

    Raises
    ------
    TypeError, ValueError
        As of `chaosnb.analysis.cusum`.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("abcd"), "decision": ["approve"] * 2 + ["reject"] * 2, "validator_id": "v"}
    >>> votes = pd.DataFrame({**of, "timestamp": pd.date_range("2026-01-01", periods=4, freq="s")})
    >>> drift(votes, by=None).data[0].y.tolist()
    [0.5, 1.0, 0.5, 0.0]
    """
    path = to_pandas(drifts.cusum(votes, by))
    tests = to_pandas(drifts.drift(votes, by))
    name = by or "name"
    path, tests = (frame if by else frame.assign(name="all votes") for frame in (path, tests))
    lines = []
    for place, test in enumerate(tests.head(_MOST_LINES).to_dict("records")):
        part = path[path[name] == test[name]]
        p = "" if np.isnan(test["p_value"]) else f" (p = {test['p_value']:.3f})"
        color = PALETTE[place % len(PALETTE)]
        one = line(milliseconds(part), part["cusum"], f"{label(test[name])}{p}", color, "%{y:.2f}")
        # A notebook's file holds each line: half the bytes show it as well.
        one["y"] = part["cusum"].to_numpy(np.float32)
        one["line"]["dash"] = DASHES[place // len(PALETTE) % len(DASHES)]
        # Else plotly leaves out the legend of a single line, and with it the p.
        one["showlegend"] = True
        lines.append(one)
    layout = time_layout("Drift of approval", "cumulative deviation (CUSUM)", empty=path.empty)
    layout["hovermode"] = "closest"
    at = {"type": "line", "xref": "paper", "x0": 0, "x1": 1}
    look = {"color": _GREY, "width": 1, "dash": "dash"}
    ends = (drifts.CRITICAL_95, -drifts.CRITICAL_95) if len(path) else ()
    layout["shapes"] = [{**at, "y0": end, "y1": end, "line": look} for end in ends]
    layout["legend"] = {"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"}
    layout["margin"] |= {"r": 190, "t": 40}
    layout["height"] = 340
    return still({"data": lines, "layout": layout}, votes)
