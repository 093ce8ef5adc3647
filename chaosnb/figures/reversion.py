"""The figure of whether scores return to a mean: changes against distances from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from chaosnb.analysis.frames import to_pandas
from chaosnb.analysis.reputation import reputation_reversion as reversion
from chaosnb.analysis.reputation import score_deviations
from chaosnb.figures.style import PALETTE, Spec, floats, label, plane_layout, still

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["reputation_reversion"]

_BLUE, _ORANGE = PALETTE[0], PALETTE[1]
_MOST_POINTS: Final = 1500


def reputation_reversion(updates: Any, *, confidence: float = 0.95) -> go.Figure:
    """Draw how scores change, against how far they were from their agents' means: a fall if they return.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    confidence : float
        How sure to be that the slope lies within the shaded wedge, between 0 and 1.

    Returns
    -------
    plotly.graph_objects.Figure
        A dot for an update, of very many some that are evenly spread over time; and the line of the rate,
        see `chaosnb.analysis.reputation_reversion`. Without two agents of ten updates there is nothing.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or the confidence is not
        possible.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"timestamp": pd.to_datetime(range(40), unit="s"), "agent_id": ["a", "b"] * 20}
    >>> updates = pd.DataFrame({**of, "old_score": [0.4, 0.4, 0.6, 0.6] * 10})
    >>> figure = reputation_reversion(updates.assign(new_score=[0.6, 0.6, 0.4, 0.4] * 10))
    >>> figure.data[0].x[:3].round(2).tolist(), figure.data[0].y[:3].round(2).tolist()
    ([-0.1, -0.1, 0.1], [0.2, 0.2, -0.2])
    """
    found = to_pandas(reversion(updates, confidence=confidence))
    every = score_deviations(updates)
    places = np.linspace(0, max(len(every) - 1, 0), min(_MOST_POINTS, len(every))).astype(np.int64)
    drawn = every.iloc[places]
    distance = floats(drawn, "distance")
    points: Spec = {
        **{"type": "scatter", "mode": "markers", "x": distance, "y": floats(drawn, "change")},
        **{"marker": {"size": 5, "color": _BLUE, "opacity": 0.45}, "showlegend": False},
        "hovertext": [label(str(name)) for name in drawn["agent_id"]],
        "hovertemplate": "%{hovertext}: %{y:+.3f} at %{x:+.3f}<extra></extra>",
    }
    known = bool(len(found)) and bool(np.isfinite(found["rate"]).all())
    title = "Do scores return to a mean?"
    if known:
        rate, low, high = (float(found[name].iloc[0]) for name in ("rate", "low", "high"))
        title += f" {rate * 100:.1f} % of a distance with each update"
        title += f" ({low * 100:.1f} % to {high * 100:.1f} %)"
    of = f" ({len(drawn):,} of {len(every):,} updates)" if len(drawn) < len(every) else ""
    layout = plane_layout(title, f"old score − the agent's mean{of}", "change − its mean", empty=not known)
    layout["hovermode"] = "closest"
    return still(
        {"data": [points, *(_lines(distance, rate, low, high) if known else [])], "layout": layout}, updates
    )


def _lines(distance: Any, rate: float, low: float, high: float) -> list[Spec]:
    ends = np.array([distance.min(), 0.0, distance.max()])
    wedge: Spec = {
        **{"type": "scatter", "mode": "lines", "fill": "toself", "line": {"width": 0}, "hoverinfo": "skip"},
        **{"x": np.append(ends, ends[::-1]), "y": np.append(-low * ends, -high * ends[::-1])},
        **{"fillcolor": "rgba(230,159,0,.3)", "name": "interval of the rate", "showlegend": False},
    }
    line: Spec = {
        **{"type": "scatter", "mode": "lines", "x": ends, "y": -rate * ends, "name": "rate"},
        **{"line": {"color": _ORANGE, "width": 2}, "showlegend": False, "hoverinfo": "skip"},
    }
    return [wedge, line]
