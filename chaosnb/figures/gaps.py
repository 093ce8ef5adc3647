"""Gaps in figures over time: the spans for which events are missing, shaded."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from chaosnb.figures.style import ESCAPES, Spec, milliseconds

__all__ = ["mark_gaps"]

_MARKED_GAPS: Final = 50
_NAMED_HEIGHTS: Final = 5
_BEYOND: Final = 0.03
_ROW_PX: Final = 19
# By certainty: fill, edge, mark and name in the legend. Greys, which no trace but "other" has.
_LOOKS: Final = {
    "certain": (
        "rgba(128, 128, 128, 0.45)",
        {"color": "#808080", "width": 2, "dash": "solid"},
        "▼",
        "events missing",
    ),
    "possible": (
        "rgba(128, 128, 128, 0.20)",
        {"color": "#808080", "width": 1, "dash": "dot"},
        "▽",
        "may be missing",
    ),
}


def mark_gaps(spec: Spec, gaps: pd.DataFrame | None) -> Spec:
    """Shade the times for which events are missing, so that a dip is not taken for the chain's doing.

    A certain gap has a solid edge and a full mark at its top, a possible one a dotted edge and an empty mark;
    the mark tells on hover what is missing and why. A gap that lasts reaches a little beyond the newest data.

    Parameters
    ----------
    spec : dict
        A specification from this module; it is not changed.
    gaps : pandas.DataFrame, optional
        The stream's gaps, as `chaosnb.Stream.gaps` gives them; None shades nothing.

    Returns
    -------
    dict
        The specification with a band for each of the last 50 gaps that lie in the time drawn.
    """
    if not isinstance(gaps, pd.DataFrame | None):
        raise ValueError("gaps= takes the gaps of a stream, as s.gaps")
    times = [trace["x"] for trace in spec["data"] if len(trace["x"])]
    if not times or gaps is None or gaps.empty:
        return spec
    first, last = min(x[0] for x in times), max(x[-1] for x in times)
    start, end = milliseconds(gaps, "start"), milliseconds(gaps, "end")
    lasting = np.isnan(end)
    seen = np.flatnonzero((lasting | (end >= first)) & (lasting | (start <= last)))[-_MARKED_GAPS:]
    # Within the time drawn, since plotly would stretch the axis to hold all of a band.
    beyond = last + _BEYOND * max(last - first, 1000.0)
    x0 = np.clip(start, first, last)
    x1 = np.where(lasting, beyond, np.minimum(end, last))
    shapes: list[Spec] = []
    marks: list[Spec] = []
    for place, gap in zip(seen.tolist(), gaps.iloc[seen].itertuples(), strict=True):
        fill, edge, mark, name = _LOOKS[str(gap.certainty)]
        shown = any(shape["name"] == name for shape in shapes)
        shapes.append(
            {
                # Above the traces: a hole of a moment would vanish behind a bar.
                **{"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "layer": "above"},
                **{"x0": float(x0[place]), "x1": float(x1[place]), "fillcolor": fill, "line": edge},
                **{"name": name, "legendgroup": name, "showlegend": not shown},
            }
        )
        marks.append(
            {
                **{"x": float(x0[place] + x1[place]) / 2, "y": 1, "xref": "x", "yref": "paper"},
                **{"yanchor": "top", "showarrow": False, "text": mark, "hovertext": _gap_text(gap)},
                "font": {"size": 9, "color": edge["color"]},
            }
        )
    if not shapes:
        return spec
    layout = {**spec["layout"], "shapes": shapes}
    layout["annotations"] = [*layout.get("annotations", []), *marks]
    if layout.get("legend", {}).get("orientation") == "h":
        # With the gaps' names it takes a second row, which would run into the title.
        layout["margin"] = {**layout["margin"], "t": layout["margin"]["t"] + _ROW_PX}
    return {**spec, "layout": layout}


def _gap_text(gap: Any) -> str:
    begin, over = _clock(gap.start), pd.isna(gap.end)
    span = f"since {begin} UTC" if over else f"{begin} to {_clock(gap.end)} UTC, {gap.duration_s:.1f} s"
    what = f"events of {', '.join(gap.topics)} {'are' if gap.certainty == 'certain' else 'may be'} missing"
    if gap.blocks_missing:
        heights = ", ".join(map(str, gap.heights_missing[:_NAMED_HEIGHTS]))
        more = ", …" if gap.blocks_missing > _NAMED_HEIGHTS else ""
        what = f"blocks missing at height {heights}{more}"
    return "<br>".join(text.translate(ESCAPES) for text in (f"{gap.cause}: {span}", what))


def _clock(time: pd.Timestamp) -> str:
    # strftime knows no years before 1 or after 9999, which a node may send.
    return f"{time.hour:02}:{time.minute:02}:{time.second:02}"
