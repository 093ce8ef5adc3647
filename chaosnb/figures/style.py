"""The look that all figures share: colours, axes, lines, and text from events made safe for labels.

Colours of text and paper are left to plotly's template, or to the page that a live plot stands in, so that a
figure is readable in light, dark and print.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "DASHES",
    "ESCAPES",
    "PALETTE",
    "Columns",
    "Floats",
    "Spec",
    "band",
    "clear",
    "floats",
    "label",
    "line",
    "milliseconds",
    "plane_layout",
    "room_for",
    "second_axis",
    "still",
    "time_layout",
    "whiskers",
    "words",
]

Spec = dict[str, Any]
Floats = NDArray[np.float64]
Columns = pd.DataFrame | Mapping[str, NDArray[Any]]
"""What holds the values by name; arrays of times are taken for UTC."""

PALETTE: Final = ("#3A7BD5", "#D68000", "#2E9E6A", "#CC79A7", "#129FC8", "#C84A10", "#757575")
"""Okabe and Ito's hues, which colour-blind readers can tell apart, each as light as it takes to stand out
from white and from a dark page by 3 to 1 or more; grey instead of their black, and none of their yellow."""

DASHES: Final = ("solid", "dot", "dash", "dashdot")
ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "%": "&#37;", "$": "&#36;"})
"""What plotly would read as its pseudo-HTML, as a template or as TeX, and the entity that stands for it."""

_KEPT: Final = 2_000
_LABEL_LENGTH: Final = 28
_WORDS_LENGTH: Final = 240
_LINE_LENGTH: Final = 60
_WAITING: Final = "waiting for data"
_MIDDLE: Final = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}


def still(spec: Spec, *frames: Any) -> go.Figure:
    """Make a static figure of a specification.

    Its template is plotly's default if you have set one (``plotly.io.templates.default``), else
    ``plotly_white``.

    Parameters
    ----------
    spec : dict
        A plotly figure specification.
    *frames : pandas.DataFrame
        What it was made of; where they say from which source they come, so does the figure.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    import plotly.graph_objects as go
    import plotly.io as pio

    figure = go.Figure(spec)
    if pio.templates.default == "plotly":
        figure.layout.template = "plotly_white"
    # What is drawn once waits for nothing.
    figure.for_each_annotation(lambda note: note.update(text="no data"), selector={"text": _WAITING})
    found = [frame.attrs.get("source") for frame in frames if isinstance(frame, pd.DataFrame)]
    if sources := [*dict.fromkeys(str(source) for source in found if source)]:
        at = {"xref": "paper", "yref": "paper", "x": 1, "y": 0, "xanchor": "right", "yanchor": "top"}
        text = f"source: {words(', '.join(sources))}"
        figure.add_annotation(text=text, showarrow=False, yshift=-39, font={"size": 9}, **at)
    return figure


@lru_cache(_KEPT)
def label(text: str, most: int = _LABEL_LENGTH) -> str:
    """Make text from an event safe and short enough for a plotly label.

    Plotly reads a pseudo-HTML, templates and, where MathJax is loaded, TeX in labels; none of it is let
    through.

    Parameters
    ----------
    text : str
        Any text, such as an agent's id.
    most : int
        How many characters to show, at least 3.

    Returns
    -------
    str
        At most so many characters of it, the middle left out, with entities for what plotly would interpret.

    Examples
    --------
    >>> label("<b>%{x}</b>"), label("agent-" + "x" * 50)
    ('&lt;b&gt;&#37;{x}&lt;/b&gt;', 'agent-xxxxxxxx…xxxxxxxxxxxxx')
    """
    shown = clear(text)
    if len(shown) > most:
        half = most // 2
        shown = f"{shown[:half]}…{shown[half + 1 - most :]}"
    return shown.translate(ESCAPES)


def words(text: str) -> str:
    """Make a sentence from an event safe for a hover label, in lines of at most 60 characters.

    Parameters
    ----------
    text : str
        Any text, such as the reason of a vote.

    Returns
    -------
    str
        At most 240 characters of it, with entities for what plotly would interpret.

    Examples
    --------
    >>> words("<b>no</b>")
    '&lt;b&gt;no&lt;/b&gt;'
    """
    shown = clear(text[: _WORDS_LENGTH + 1])
    if len(shown) > _WORDS_LENGTH:
        shown = f"{shown[:_WORDS_LENGTH]}…"
    lines = textwrap.wrap(shown, _LINE_LENGTH, break_on_hyphens=False)
    return "<br>".join(one.translate(ESCAPES) for one in lines)


def clear(text: str) -> str:
    r"""Put a replacement character for each that is not printable, such as marks that turn a line around.

    Examples
    --------
    >>> clear("a\x00b")
    'a�b'
    """
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def line(x: Floats, y: Any, name: str, color: str, hover: str, **more: Any) -> Spec:
    """Make a line over time; `hover` is plotly's template for a value."""
    values = np.asarray(y, np.float64)
    known = np.isfinite(values)
    count = np.count_nonzero(known)
    alone = bool(count < 2)
    if not alone and count < len(values) and not more.get("connectgaps"):
        # A value between two holes is on no line. Marks elsewhere would cost the browser an element each.
        beside = np.concatenate([[False], known, [False]])
        alone = bool(np.any(known & ~beside[:-2] & ~beside[2:]))
    mode = "lines+markers" if alone else "lines"
    base = {"type": "scatter", "mode": mode, "name": name, "x": x, "y": values}
    look = {"line": {"color": color, "width": 2}, "marker": {"color": color, "size": 3}}
    return {**base, **look, "hovertemplate": f"{hover}<extra>%{{fullData.name}}</extra>", **more}


def band(x: Floats, low: Any, high: Any, name: str, fill: str, unit: str, **more: Any) -> list[Spec]:
    """Make what is between two lines over time, without the lines; unknown ends are left out."""
    known = np.isfinite(low) & np.isfinite(high)
    if not known.all():
        x, low, high = x[known], np.asarray(low)[known], np.asarray(high)[known]
    edges = []
    for end, values, rest in (("from", low, {"showlegend": False}), ("to", high, {"fill": "tonexty"})):
        edge = {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": values}
        hover = f"{end} %{{y:.3~g}} {unit}<extra>{name}</extra>"
        look = {"line": {"width": 0, "color": fill}, "legendgroup": name, "hovertemplate": hover}
        edges.append({**edge, **look, **rest, **more})
    edges[1]["fillcolor"] = fill
    return edges


def time_layout(title: str, y_title: str, *, empty: bool) -> Spec:
    """Make the layout of a figure over time; an empty one says so."""
    layout = plane_layout(title, "time (UTC)", y_title, empty=empty)
    layout["xaxis"]["type"] = "date"
    layout["hovermode"] = "x unified"
    return layout


def plane_layout(title: str, x_title: str, y_title: str, *, empty: bool, height: int = 300) -> Spec:
    """Make the layout of a figure with two axes; an empty one says so."""
    # Else plotly measures every label each time, for some that do not fit.
    ticks = {"ticklabeloverflow": "allow"}
    # In pixels the same at any height; in shares of it a tall figure's legend would run into its title.
    title_y, legend_y = 1 - 6 / height, 1 + 3.84 / (height - 108)
    layout: Spec = {
        "title": {"text": title, "x": 0.01, "y": title_y, "yanchor": "top", "font": {"size": 14}},
        "xaxis": {"title": {"text": x_title, "standoff": 4}, **ticks},
        "yaxis": {"title": {"text": y_title, "standoff": 6}, **ticks},
        "legend": {
            **{"orientation": "h", "traceorder": "normal"},
            **{"x": 1, "xanchor": "right", "y": legend_y, "yanchor": "bottom"},
        },
        # Fixed, not "automargin": that has plotly lay out each frame twice, and panels would not align.
        "margin": {"l": 56, "r": 16, "t": 56, "b": 52},
        "font": {"size": 11},
        "height": height,
        "hoverlabel": {"namelength": -1},
        "uirevision": "chaosnb",
    }
    if empty:
        layout["annotations"] = [{"text": _WAITING, **_MIDDLE}]
        # An axis without data shows made-up dates and numbers.
        layout["xaxis"]["showticklabels"] = layout["yaxis"]["showticklabels"] = False
    return layout


def whiskers(x: Floats, low: Floats, high: Floats, y: NDArray[Any], told: Sequence[str], color: str) -> Spec:
    """Make dots at places in a row, each with its interval to both sides, and what to tell on hover."""
    return {
        **{"type": "scatter", "mode": "markers", "x": x, "y": y, "showlegend": False},
        **{"marker": {"size": 9, "color": color}, "hovertext": [*told]},
        "hovertemplate": "%{hovertext}<extra></extra>",
        "error_x": {
            **{"type": "data", "symmetric": False, "array": high - x, "arrayminus": x - low},
            **{"color": color, "thickness": 2, "width": 4},
        },
    }


def room_for(names: Iterable[str]) -> int:
    """Return how many pixels the labels of these names take at the left of a figure."""
    return 24 + 6 * min(max((len(name) for name in names), default=8), _LABEL_LENGTH)


def second_axis(title: str, ticks: list[float]) -> Spec:
    """Make an axis at the right with these ticks."""
    # A little more than the ticks span, so that a line along the edge is not cut in half.
    room = (ticks[-1] - ticks[0]) * 0.03
    axis: Spec = {"title": {"text": title, "standoff": 6}, "overlaying": "y", "side": "right"}
    axis |= {"showgrid": False, "ticklabeloverflow": "allow"}
    span = {"range": [ticks[0], ticks[-1] + room], "tickmode": "array", "tickvals": ticks}
    return {**axis, **span, "zeroline": False}


def milliseconds(frame: Columns, column: str = "time") -> Floats:
    """Return times as milliseconds since 1970, which plotly reads fastest; NaN for none."""
    values = frame[column]
    times = values.to_numpy("datetime64[us]") if isinstance(values, pd.Series) else np.asarray(values)
    found = times.astype(np.int64) / 1000.0
    found[np.isnat(times)] = np.nan
    return found


def floats(frame: Columns, column: str) -> Floats:
    """Return a column as float64."""
    return np.asarray(frame[column], dtype=np.float64)
