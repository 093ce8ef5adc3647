"""Aggregated frames in, plotly figure *specifications* out: the same ones serve static and live plots.

A specification is a plain ``dict`` with ``data`` and ``layout``. Time is float64 milliseconds since 1970
(UTC), the form that plotly reads fastest; pass a specification to ``plotly.graph_objects.Figure`` or to
`chaosnb.notebook.LivePlot`. Nothing is computed here but which agents moved most: the numbers come from
`chaosnb.tables.aggregates`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "FIGURES",
    "PALETTE",
    "Columns",
    "decisions",
    "label",
    "mark_gaps",
    "reputation",
    "sentiment",
    "tps",
]

Spec = dict[str, Any]
Floats = NDArray[np.float64]
Columns = pd.DataFrame | Mapping[str, NDArray[Any]]
"""What holds the values by name; arrays of times are taken for UTC."""

PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
"""Okabe and Ito's colours, which colour-blind readers can tell apart, without their yellow, lost on white,
and with grey instead of their black."""

_BLUE, _ORANGE, _GREEN, _PINK, _SKY, _RED, _GREY = PALETTE
_DASHES: Final = ("solid", "dot", "dash", "dashdot")
_LABEL_LENGTH: Final = 28
_MARKED_GAPS: Final = 50
_NAMED_HEIGHTS: Final = 5
_BEYOND: Final = 0.03
_LONE_STEP_MS: Final = 1000.0
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
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "%": "&#37;", "$": "&#36;"})


def tps(frame: Columns, gaps: pd.DataFrame | None = None) -> Spec:
    """Draw the transactions per second that nodes report and that blocks hold.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of str to numpy.ndarray
        Columns `time`, `reported` and `observed`, both in transactions per second.
    gaps : pandas.DataFrame, optional
        The stream's gaps, to be shaded; see `mark_gaps`.

    Returns
    -------
    dict
        A plotly figure specification.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=2, freq="s", tz="UTC")
    >>> spec = tps(pd.DataFrame({"time": time, "reported": [90.0, 110.0], "observed": [80.0, 95.0]}))
    >>> [trace["name"] for trace in spec["data"]]
    ['reported by nodes', 'observed in blocks']
    >>> spec["layout"]["yaxis"]["title"]["text"]
    'transactions per second'
    """
    x = _milliseconds(frame)
    # Nodes report less often than there are buckets: their line joins the values across the empty ones.
    reported = _line(x, frame["reported"], "reported by nodes", _BLUE, "%{y:.1f} tx/s", connectgaps=True)
    observed = _line(x, frame["observed"], "observed in blocks", _ORANGE, "%{y:.1f} tx/s")
    layout = _layout("Transactions", "transactions per second", empty=not len(x))
    layout["yaxis"]["rangemode"] = "tozero"
    return mark_gaps({"data": [reported, observed], "layout": layout}, gaps)


def decisions(frame: Columns, gaps: pd.DataFrame | None = None) -> Spec:
    """Draw the votes on blocks, stacked, and the share that approves.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of str to numpy.ndarray
        Columns `time`, `approve`, `reject` and `other` (votes per bucket) and `approval_rate` (0 to 1).
    gaps : pandas.DataFrame, optional
        The stream's gaps, to be shaded; see `mark_gaps`.

    Returns
    -------
    dict
        A plotly figure specification; the rate has its own axis, in percent.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=2, freq="s", tz="UTC")
    >>> counts = {"approve": [3, 1], "reject": [1, 1], "other": [0, 0], "approval_rate": [0.75, 0.5]}
    >>> spec = decisions(pd.DataFrame({"time": time, **counts}))
    >>> [trace["name"] for trace in spec["data"]], spec["data"][-1]["y"].tolist()
    (['approve', 'reject', 'approval rate'], [75.0, 50.0])
    """
    bars = [("approve", _GREEN), ("reject", _RED)]
    rate = _floats(frame, "approval_rate") * 100.0
    spec = _stacked(frame, bars, "votes", "Decisions on blocks")
    line = _line(_milliseconds(frame), rate, "approval rate", _PINK, "%{y:.1f} %", yaxis="y2")
    spec["data"].append(line)
    spec["layout"]["margin"]["r"] = 56
    spec["layout"]["yaxis2"] = _second_axis("approval rate (%)", [0, 25, 50, 75, 100])
    return mark_gaps(spec, gaps)


def sentiment(frame: Columns, gaps: pd.DataFrame | None = None) -> Spec:
    """Draw what agents say about blocks, stacked by sentiment, and the sentiment index.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of str to numpy.ndarray
        Columns `time`, `positive`, `neutral`, `negative` and `other` (messages per bucket) and
        `sentiment_index` (−1 to 1).
    gaps : pandas.DataFrame, optional
        The stream's gaps, to be shaded; see `mark_gaps`.

    Returns
    -------
    dict
        A plotly figure specification; the index has its own axis.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=1, freq="s", tz="UTC")
    >>> counts = {"positive": [2], "neutral": [1], "negative": [1], "other": [1], "sentiment_index": [0.25]}
    >>> [trace["name"] for trace in sentiment(pd.DataFrame({"time": time, **counts}))["data"]]
    ['positive', 'neutral', 'negative', 'other', 'index']
    """
    bars = [("positive", _GREEN), ("neutral", _SKY), ("negative", _RED)]
    spec = _stacked(frame, bars, "messages", "Sentiment of discussions")
    index = _floats(frame, "sentiment_index")
    spec["data"].append(_line(_milliseconds(frame), index, "index", _PINK, "%{y:.2f}", yaxis="y2"))
    spec["layout"]["margin"]["r"] = 56
    spec["layout"]["yaxis2"] = _second_axis("sentiment index (−1 to 1)", [-1, -0.5, 0, 0.5, 1])
    return mark_gaps(spec, gaps)


def reputation(
    frame: Columns,
    agents: Iterable[str] | None = None,
    top: int = 8,
    *,
    gaps: pd.DataFrame | None = None,
) -> Spec:
    """Draw the reputation of the chosen agents, or of those whose score moved most.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of str to numpy.ndarray
        Columns `agent_id`, `time` and `score`, sorted by agent and then by time.
    agents : iterable of str, optional
        The agents to draw; without it, the `top` ones by change between their first and last score.
    top : int
        How many agents to draw if none are chosen.
    gaps : pandas.DataFrame, optional
        The stream's gaps, to be shaded; see `mark_gaps`.

    Returns
    -------
    dict
        A plotly figure specification with one line an agent.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.to_datetime(["2026-01-01", "2026-01-02"] * 2, utc=True)
    >>> columns = {"agent_id": ["a", "a", "<b>", "<b>"], "time": time, "score": [1.0, 1.1, 5.0, 2.0]}
    >>> [trace["name"] for trace in reputation(pd.DataFrame(columns), top=1)["data"]]
    ['&lt;b&gt;']
    """
    x, score, ids = _milliseconds(frame), _floats(frame, "score"), np.asarray(frame["agent_id"], dtype=object)
    edges = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)] if len(ids) else []
    spans = {str(ids[start]): slice(start, end) for start, end in pairwise(edges)}
    moved = {agent: abs(score[span][-1] - score[span][0]) for agent, span in spans.items()}
    movers = sorted(moved, key=lambda agent: -moved[agent])[:top]
    chosen = sorted(movers if agents is None else set(agents))
    # By the place among all agents, drawn or not: a line keeps its look while others come and go.
    known = sorted({*spans, *chosen})
    lines = []
    for agent in chosen:
        turn, place = divmod(known.index(agent), len(PALETTE))
        color, dash = PALETTE[place], _DASHES[turn % len(_DASHES)]
        own = spans.get(agent, slice(0, 0))
        line = _line(x[own], score[own], label(agent), color, "%{y:.2f}", connectgaps=True)
        # The agent's own identity, so that hiding a line in the legend survives a change of the top movers.
        lines.append({**line, "uid": f"a{zlib.crc32(agent.encode('utf-8', 'replace')):08x}"})
        lines[-1]["line"]["dash"] = dash
    drawn = any(len(line["x"]) for line in lines)
    title = "Reputation" if agents is not None else "Reputation: top movers"
    layout = _layout(title, "reputation score", empty=not drawn)
    # As many names as this would run into the title if they stood above the plot.
    layout["legend"] = {"x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"}
    layout["margin"]["t"] = 34
    # Without any trace plotly leaves the axes out.
    data = lines or [_line(x[:0], score[:0], "", _GREY, "%{y}")]
    return mark_gaps({"data": data, "layout": layout}, gaps)


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
    times = [trace["x"] for trace in spec["data"] if len(trace["x"])]
    if not times or gaps is None or gaps.empty:
        return spec
    first, last = min(x[0] for x in times), max(x[-1] for x in times)
    start, end = _milliseconds(gaps, "start"), _milliseconds(gaps, "end")
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
    layout = spec["layout"]
    notes = [*layout.get("annotations", []), *marks]
    return {**spec, "layout": {**layout, "shapes": shapes, "annotations": notes}} if shapes else spec


def label(text: str) -> str:
    """Make text from an event safe and short enough for a plotly label.

    Plotly reads a pseudo-HTML, templates and, where MathJax is loaded, TeX in labels; none of it is let
    through.

    Parameters
    ----------
    text : str
        Any text, such as an agent's id.

    Returns
    -------
    str
        At most 28 characters of it, the middle left out, with entities for what plotly would interpret.

    Examples
    --------
    >>> label("<b>%{x}</b>"), label("agent-" + "x" * 50)
    ('&lt;b&gt;&#37;{x}&lt;/b&gt;', 'agent-xxxxxxxx…xxxxxxxxxxxxx')
    """
    # Text that is not printable includes the marks that turn the direction of all that follows.
    clean = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    if len(clean) > _LABEL_LENGTH:
        half = _LABEL_LENGTH // 2
        clean = f"{clean[:half]}…{clean[-half + 1 :]}"
    return clean.translate(_ESCAPES)


def _gap_text(gap: Any) -> str:
    begin, over = _clock(gap.start), pd.isna(gap.end)
    span = f"since {begin} UTC" if over else f"{begin} to {_clock(gap.end)} UTC, {gap.duration_s:.1f} s"
    what = f"events of {', '.join(gap.topics)} {'are' if gap.certainty == 'certain' else 'may be'} missing"
    if gap.blocks_missing:
        heights = ", ".join(map(str, gap.heights_missing[:_NAMED_HEIGHTS]))
        more = ", …" if gap.blocks_missing > _NAMED_HEIGHTS else ""
        what = f"blocks missing at height {heights}{more}"
    return "<br>".join(text.translate(_ESCAPES) for text in (f"{gap.cause}: {span}", what))


def _clock(time: pd.Timestamp) -> str:
    # strftime knows no years before 1 or after 9999, which a node may send.
    return f"{time.hour:02}:{time.minute:02}:{time.second:02}"


def _stacked(frame: Columns, bars: Sequence[tuple[str, str]], what: str, title: str) -> Spec:
    x = _milliseconds(frame)
    # A column of zeros would only cost a place in the legend.
    other = [("other", _GREY)] if np.any(_floats(frame, "other") > 0) else []
    width = float(np.diff(x).min()) if len(x) > 1 else 0.0
    # A step has no width of its own: it lasts until the next one's beginning, or this end.
    edges = np.append(x, x[-1:] + (width or _LONE_STEP_MS))
    data = [_steps(edges, frame[name], name, color, what) for name, color in [*bars, *other]]
    layout = _layout(title, f"{what} per {width / 1000:g} s" if width else what, empty=not len(x))
    return {"data": data, "layout": layout}


def _steps(edges: Floats, y: Any, name: str, color: str, what: str) -> Spec:
    # Looks like bars without gaps, and costs the browser one element a series; each bar costs it one.
    heights = np.asarray(y, dtype=np.float64)
    steps = {"type": "scatter", "mode": "lines", "stackgroup": "steps", "name": name, "x": edges}
    look = {"line": {"shape": "hv", "width": 0, "color": color}, "fillcolor": color}
    hover = f"%{{y}} {what}<extra>{name}</extra>"
    return {**steps, "y": np.append(heights, heights[-1:]), **look, "hovertemplate": hover}


def _line(x: Floats, y: Any, name: str, color: str, hover: str, **more: Any) -> Spec:
    values = np.asarray(y, np.float64)
    known = np.isfinite(values)
    # A value between two holes is on no line. Marks elsewhere would cost the browser an element each.
    beside = np.concatenate([[False], known, [False]])
    alone = not more.get("connectgaps") and bool(np.any(known & ~beside[:-2] & ~beside[2:]))
    mode = "lines+markers" if alone or np.count_nonzero(known) < 2 else "lines"
    line = {"type": "scatter", "mode": mode, "name": name, "x": x, "y": values}
    look = {"line": {"color": color, "width": 2}, "marker": {"color": color, "size": 3}}
    return {**line, **look, "hovertemplate": f"{hover}<extra>%{{fullData.name}}</extra>", **more}


def _layout(title: str, y_title: str, *, empty: bool) -> Spec:
    layout: Spec = {
        "title": {"text": title, "x": 0.01, "y": 0.98, "yanchor": "top", "font": {"size": 14}},
        "xaxis": {"type": "date", "title": {"text": "time (UTC)", "standoff": 4}},
        "yaxis": {"title": {"text": y_title, "standoff": 6}},
        "legend": {
            **{"orientation": "h", "traceorder": "normal"},
            **{"x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        },
        # Fixed, not "automargin": that has plotly lay out each frame twice, and panels would not align.
        "margin": {"l": 56, "r": 16, "t": 56, "b": 52},
        "font": {"size": 11},
        "height": 300,
        "hovermode": "x unified",
        "hoverlabel": {"namelength": -1},
        "uirevision": "chaosnb",
    }
    if empty:
        middle = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
        layout["annotations"] = [{"text": "waiting for data", **middle}]
        # An axis without data shows made-up dates and numbers.
        layout["xaxis"]["showticklabels"] = layout["yaxis"]["showticklabels"] = False
    return layout


def _second_axis(title: str, ticks: list[float]) -> Spec:
    # A little more than the ticks span, so that a line along the edge is not cut in half.
    room = (ticks[-1] - ticks[0]) * 0.03
    axis = {"title": {"text": title, "standoff": 6}, "overlaying": "y", "side": "right", "showgrid": False}
    span = {"range": [ticks[0], ticks[-1] + room], "tickmode": "array", "tickvals": ticks}
    return {**axis, **span, "zeroline": False}


def _milliseconds(frame: Columns, column: str = "time") -> Floats:
    values = frame[column]
    times = values.to_numpy("datetime64[us]") if isinstance(values, pd.Series) else np.asarray(values)
    return np.where(np.isnat(times), np.nan, times.astype(np.int64) / 1000.0)


def _floats(frame: Columns, column: str) -> Floats:
    return np.asarray(frame[column], dtype=np.float64)


FIGURES: Final[dict[str, Callable[..., Spec]]] = {
    "tps": tps,
    "decisions": decisions,
    "sentiment": sentiment,
    "reputation": reputation,
}
"""The figure of each aggregate, by the aggregate's name."""
