"""The figure of how much each agent's reputation moved, and between which ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chaosnb.analysis import reputation
from chaosnb.analysis.frames import to_pandas
from chaosnb.figures.style import PALETTE, Spec, floats, label, plane_layout, room_for, still

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["reputation_summary"]

_BLUE, _ORANGE, _GREY = PALETTE[0], PALETTE[1], PALETTE[6]
_ROW_PX: Final = 18
_SPLIT: Final = (0.66, 0.72)


def reputation_summary(updates: Any, *, most: int = 40) -> go.Figure:
    """Draw between which scores each agent moved, from where to where, and how volatile its score is.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    most : int
        How many agents to draw, the most volatile ones, the most at the top.

    Returns
    -------
    plotly.graph_objects.Figure
        See `chaosnb.analysis.reputation_summary`. At the left lines from the lowest to the highest score with
        the first and the last one, at the right the volatility, which needs two updates.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"timestamp": pd.to_datetime([0, 1], unit="s"), "agent_id": "a", "old_score": [0.5, 0.7]}
    >>> figure = reputation_summary(pd.DataFrame({**of, "new_score": [0.7, 0.6]}))
    >>> [(trace.name, trace.x.round(2).tolist()) for trace in figure.data]
    [('lowest to highest', [0.5, 0.7, nan]), ('first', [0.5]), ('last', [0.6]), ('volatility', [0.21])]
    """
    every = to_pandas(reputation.reputation_summary(updates))
    found = every.sort_values("volatility", ascending=False, kind="stable").head(most)
    names = [str(name) for name in found["agent_id"]]
    columns = ("first_score", "last_score", "change", "lowest", "highest", "volatility")
    first, last, change, lowest, highest, volatility = (floats(found, name) for name in columns)
    told = [
        f"{label(name)}: {a:.3f} to {b:.3f} ({moved:+.3f})<br>between {low:.3f} and {high:.3f}"
        f"<br>{_volatility_text(spread)}, {count:,} updates"
        for name, a, b, moved, low, high, spread, count in zip(
            names, first, last, change, lowest, highest, volatility, found["updates"], strict=True
        )
    ]
    rows = np.arange(len(found))
    none = np.full(len(found), np.nan)
    span = {"x": np.stack([lowest, highest, none], 1).ravel(), "y": np.repeat(rows, 3)}
    text: Spec = {"hovertext": told, "hovertemplate": "%{hovertext}<extra></extra>"}
    dots: Spec = {"type": "scatter", "mode": "markers", "y": rows, **text}
    look: Spec = {"mode": "lines", "line": {"color": _GREY, "width": 2}, "hoverinfo": "skip"}
    hollow = {"symbol": "circle-open", "size": 8, "color": _ORANGE, "line": {"width": 2}}
    data: list[Spec] = [
        {"type": "scatter", "name": "lowest to highest", **span, **look},
        {**dots, "name": "first", "x": first, "marker": hollow},
        {**dots, "name": "last", "x": last, "marker": {"size": 8, "color": _BLUE}},
        {
            **{"type": "bar", "orientation": "h", "name": "volatility", "x": volatility, "y": rows, **text},
            **{"xaxis": "x2", "marker": {"color": _BLUE}, "width": 0.6, "showlegend": False},
        },
    ]
    of = f": the {len(found):,} of {len(every):,} agents most volatile" if len(found) < len(every) else ""
    height = 130 + max(_ROW_PX * len(found), 120)
    layout = plane_layout(f"Reputation and its volatility{of}", "score", "", empty=found.empty, height=height)
    layout["xaxis2"] = {**layout["xaxis"], "title": {"text": "volatility", "standoff": 4}}
    layout["xaxis2"] |= {"domain": [_SPLIT[1], 1], "rangemode": "tozero", "nticks": 4}
    layout["xaxis"] |= {"domain": [0, _SPLIT[0]], "zeroline": False}
    layout["yaxis"] |= {"tickvals": rows, "ticktext": [label(name) for name in names], "zeroline": False}
    if len(found):
        layout["yaxis"]["range"] = [len(found) - 0.4, -0.6]
    layout["margin"]["l"] = room_for(names)
    layout["hovermode"] = "closest"
    return still({"data": data, "layout": layout}, updates)


def _volatility_text(spread: float) -> str:
    return f"volatility {spread:.3f}" if np.isfinite(spread) else "volatility not known"
