"""Figures of where series that should go on from where they were do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from chaosnb.analysis import continuity
from chaosnb.analysis.frames import to_pandas
from chaosnb.figures.gaps import mark_gaps
from chaosnb.figures.style import PALETTE, Spec, floats, label, milliseconds, still, time_layout

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["reputation_breaks"]

_LOOKS: Final = {
    "explained by a gap": {"color": PALETTE[6], "symbol": "circle-open", "size": 8},
    "unexplained": {"color": PALETTE[5], "symbol": "x", "size": 8},
}


def reputation_breaks(updates: Any, gaps: pd.DataFrame | None = None) -> go.Figure:
    """Draw where scores do not go on from where they were, and which of these breaks gaps explain.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    gaps : pandas.DataFrame, optional
        What is missing, as `Stream.gaps` tells; it is shaded, too. None: no break is explained.

    Returns
    -------
    plotly.graph_objects.Figure
        By how much a score differs from the agent's last one, as `chaosnb.analysis.reputation_breaks` finds.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or `gaps` are none.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 9], unit="s"), "agent_id": "a", "old_score": [0.5, 0.75]}
    >>> reputation_breaks(pd.DataFrame({**of, "new_score": [0.5, 0.8]})).data[1].y.tolist()
    [0.25]
    """
    found = to_pandas(continuity.reputation_breaks(updates, gaps))
    is_explained = found["explained_by"].astype("str") != ""
    points: list[Spec] = []
    for (name, marker), rows in zip(_LOOKS.items(), (found[is_explained], found[~is_explained]), strict=True):
        told = [
            f"{label(str(agent))}: {old:.3f} instead of {expected:.3f}"
            for agent, old, expected in zip(
                rows["agent_id"], rows["old_score"], rows["expected"], strict=True
            )
        ]
        at: Spec = {"x": milliseconds(rows), "y": floats(rows, "missing"), "hovertext": told}
        look: Spec = {"type": "scatter", "mode": "markers", "name": name, "marker": marker}
        # Else plotly names neither where there is only one.
        look["showlegend"] = True
        points.append({**look, **at, "hovertemplate": "%{hovertext}<extra></extra>"})
    layout = time_layout(
        f"Breaks in reputation: {len(found):,}", "old score − last new score", empty=found.empty
    )
    if found.empty:
        layout["annotations"][0]["text"] = "no breaks"
    layout["hovermode"] = "closest"
    return still(mark_gaps({"data": points, "layout": layout}, gaps), updates)
