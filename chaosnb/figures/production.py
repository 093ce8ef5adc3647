"""Figures of how the chain grows: the time between blocks, and height."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from chaosnb.analysis import production
from chaosnb.analysis.frames import to_pandas
from chaosnb.analysis.presents import without_ahead
from chaosnb.figures.gaps import mark_gaps
from chaosnb.figures.style import PALETTE, Spec, floats, line, milliseconds, still, time_layout

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["block_intervals", "height"]

_BLUE, _ORANGE, _GREY = PALETTE[0], PALETTE[1], PALETTE[6]


def block_intervals(blocks: Any, *, gaps: pd.DataFrame | None = None) -> go.Figure:
    """Draw the time from each height to the next, and its median.

    Parameters
    ----------
    blocks : frame
        The table `block_proposal`.
    gaps : pandas.DataFrame, optional
        What is missing, as `Stream.gaps` tells, to be shaded. None shades nothing.

    Returns
    -------
    plotly.graph_objects.Figure
        The times are those of `chaosnb.analysis.block_intervals`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> time = pd.date_range("2026-01-01", periods=3, freq="2s")
    >>> blocks = pd.DataFrame({"timestamp": time, "height": [1, 2, 3], "block_hash": list("abc")})
    >>> block_intervals(blocks).data[0].y.tolist()
    [2.0, 2.0]
    """
    every = without_ahead(to_pandas(production.block_intervals(blocks)), block_proposal=blocks)
    found = every.dropna(subset="interval_s").sort_values("time")
    seconds = floats(found, "interval_s")
    told = [
        f"height {height:,}: {s:.2f} s after the one below"
        for height, s in zip(found["height"], seconds, strict=True)
    ]
    points: Spec = {
        **{"type": "scatter", "mode": "markers", "x": milliseconds(found), "y": seconds},
        **{"marker": {"size": 5, "color": _BLUE}, "showlegend": False, "hovertext": told},
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    layout = time_layout("Time between blocks", "seconds since the height below", empty=found.empty)
    layout["hovermode"] = "closest"
    layout["yaxis"]["rangemode"] = "tozero"
    if len(seconds):
        median = float(np.median(seconds))
        at = {"xref": "paper", "x0": 0, "x1": 1, "y0": median, "y1": median}
        layout["shapes"] = [{"type": "line", **at, "line": {"color": _GREY, "width": 1, "dash": "dash"}}]
        note = {"xref": "paper", "x": 1, "y": median, "xanchor": "right", "yanchor": "bottom"}
        layout.setdefault("annotations", []).append(
            {**note, "text": f"median {median:.2f} s", "showarrow": False, "font": {"size": 10}}
        )
    return still(_marked({"data": [points], "layout": layout}, gaps), blocks)


def height(blocks: Any, metrics: Any, *, every_s: float = 60, gaps: pd.DataFrame | None = None) -> go.Figure:
    """Draw how high the chain stands over time: by the blocks proposed, and as the network reports.

    Parameters
    ----------
    blocks : frame
        The table `block_proposal`.
    metrics : frame
        The table `network_metrics`.
    every_s : float
        How many seconds of event time a step stands for.
    gaps : pandas.DataFrame, optional
        As in `block_intervals`.

    Returns
    -------
    plotly.graph_objects.Figure
        The heights are those of `chaosnb.analysis.height_progress`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, the frames are of two kinds, or one lacks a column (the message says which table
        has it).

    Examples
    --------
    >>> time = pd.date_range("2026-01-01", periods=2, freq="min")
    >>> blocks = pd.DataFrame({"timestamp": time, "height": [1, 6]})
    >>> height(blocks, pd.DataFrame({"timestamp": time, "block_height": [0, 5]})).data[1].y.tolist()
    [0.0, 5.0]
    """
    found = to_pandas(production.height_progress(blocks, metrics, every_s=every_s))
    found = without_ahead(found, block_proposal=blocks, network_metrics=metrics)
    x = milliseconds(found)
    hover = "%{y:,.0f}"
    lines = [
        line(x, found["proposed"], "proposed", _BLUE, hover),
        line(x, found["reported"], "reported by nodes", _ORANGE, hover),
    ]
    lines[1]["line"]["dash"] = "dash"
    for one in lines:
        one["line"]["shape"] = "hv"
    layout = time_layout("Height of the chain", "height (blocks)", empty=found.empty)
    return still(_marked({"data": lines, "layout": layout}, gaps), blocks, metrics)


def _marked(spec: Spec, gaps: pd.DataFrame | None) -> Spec:
    own = spec["layout"].get("shapes", [])
    marked = mark_gaps(spec, gaps)
    shades = [shape for shape in marked["layout"].get("shapes", []) if shape not in own]
    return {**marked, "layout": {**marked["layout"], "shapes": [*own, *shades]}}
