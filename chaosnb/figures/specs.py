"""Aggregated columns in, plotly figure *specifications* out: the same ones serve static and live plots.

A specification is a plain ``dict`` with ``data`` and ``layout``. Time is float64 milliseconds since 1970
(UTC). Nothing is computed here but which agents moved most, and intervals from the counts drawn: the numbers
come from `chaosnb.tables.aggregates` while they are live, and from `chaosnb.analysis.timelines` later.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chaosnb.analysis.intervals import wilson_interval
from chaosnb.figures.gaps import mark_gaps
from chaosnb.figures.style import (
    DASHES,
    PALETTE,
    Columns,
    Floats,
    Spec,
    band,
    floats,
    label,
    line,
    milliseconds,
    second_axis,
    time_layout,
    words,
)
from chaosnb.protocol.schema import TABLES

__all__ = ["FIGURES", "Look", "decisions", "event_rate", "lag", "looks_of", "reputation", "sentiment", "tps"]

Look = tuple[str, str]
"""A line's colour and dash."""

_BLUE, _ORANGE, _GREEN, _, _SKY, _RED, _GREY = PALETTE
_BAND: Final = "rgba(86, 180, 233, 0.35)"
_SPREAD: Final = "rgba(58, 123, 213, 0.3)"
_LONE_STEP_MS: Final = 1000.0
_STAYING: Final = 1.5
_KEPT: Final = 2_000
# A live plot draws the same reasons again with each frame.
_told: Final = lru_cache(maxsize=4_096)(words)
_LOOKS: Final = [(color, dash) for dash in DASHES for color in PALETTE]


def tps(frame: Columns, gaps: pd.DataFrame | None = None) -> Spec:
    """Draw the transactions per second that nodes report and that blocks hold.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of str to numpy.ndarray
        Columns `time`, `reported` and, if it is known, `observed`; both in transactions per second.
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
    x = milliseconds(frame)
    # Nodes report less often than there are buckets: their line joins the values across the empty ones.
    data = [line(x, frame["reported"], "reported by nodes", _BLUE, "%{y:.1f} tx/s", connectgaps=True)]
    if "observed" in frame:
        data.append(line(x, frame["observed"], "observed in blocks", _ORANGE, "%{y:.1f} tx/s"))
    layout = time_layout("Transactions", "transactions per second", empty=not len(x))
    layout["yaxis"]["rangemode"] = "tozero"
    return mark_gaps({"data": data, "layout": layout}, gaps)


def decisions(frame: Columns, gaps: pd.DataFrame | None = None) -> Spec:
    """Draw the votes on blocks, stacked, and the share that approves with its 95 % confidence interval.

    The interval is Wilson's, of the votes in each bucket; see `chaosnb.analysis.intervals.wilson_interval`.

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
    (['approve', 'reject', '95 % interval', '95 % interval', 'approval rate'], [75.0, 50.0])
    """
    bars = [("approve", _GREEN), ("reject", _RED)]
    rate = floats(frame, "approval_rate") * 100.0
    x, approve = milliseconds(frame), floats(frame, "approve")
    spec = _stacked(x, frame, bars, "votes", "Decisions on blocks")
    low, high = wilson_interval(approve, approve + floats(frame, "reject"))
    spec["data"] += band(x, low * 100.0, high * 100.0, "95 % interval", _BAND, "%", yaxis="y2")
    spec["data"].append(line(x, rate, "approval rate", _BLUE, "%{y:.1f} %", yaxis="y2"))
    spec["layout"]["margin"]["r"] = 56
    spec["layout"]["yaxis2"] = second_axis("approval rate (%)", [0, 25, 50, 75, 100])
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
    x, index = milliseconds(frame), floats(frame, "sentiment_index")
    spec = _stacked(x, frame, bars, "messages", "Sentiment of discussions")
    spec["data"].append(line(x, index, "index", _BLUE, "%{y:.2f}", yaxis="y2"))
    spec["layout"]["margin"]["r"] = 56
    spec["layout"]["yaxis2"] = second_axis("sentiment index (−1 to 1)", [-1, -0.5, 0, 0.5, 1])
    return mark_gaps(spec, gaps)


def reputation(
    frame: Columns,
    agents: Iterable[str] | None = None,
    top: int = 8,
    *,
    gaps: pd.DataFrame | None = None,
    stay: Collection[str] = (),
    looks: Mapping[str, Look] | None = None,
) -> Spec:
    """Draw the reputation of the chosen agents, or of those whose score moved most.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of str to numpy.ndarray
        Columns `agent_id`, `time` and `score`, by agent in the order in which they came, and then by time;
        `reason`, if there is one, is told on hover.
    agents : iterable of str, optional
        The agents to draw; without it, the `top` ones by change between their first and last score.
    top : int
        How many agents to draw if none are chosen.
    gaps : pandas.DataFrame, optional
        The stream's gaps, to be shaded; see `mark_gaps`.
    stay : collection of str
        The `uid` of lines drawn before: one gives way only to an agent whose score moved half as far again,
        so that lines do not come and go with each event.
    looks : mapping of str to (str, str), optional
        The look of lines drawn before, by `uid`, as `looks_of` tells it; they keep it. None: a line's look is
        that of its agent's place among all, or the next one that is free.

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
    x, score, ids = milliseconds(frame), floats(frame, "score"), np.asarray(frame["agent_id"], dtype=object)
    edges = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), len(ids)] if len(ids) else []
    spans = {str(ids[start]): slice(start, end) for start, end in pairwise(edges)}
    moved = {
        agent: abs(score.item(span.stop - 1) - score.item(span.start))
        * (_STAYING if _uid(agent) in stay else 1.0)
        for agent, span in spans.items()
    }
    movers = sorted(moved, key=lambda agent: -moved[agent])[:top]
    chosen = sorted(movers if agents is None else set(agents))
    # By the place among all agents, drawn or not, which no later agent changes.
    places = {agent: place for place, agent in enumerate([*spans, *(a for a in chosen if a not in spans)])}
    worn = _worn({_uid(agent): places[agent] for agent in chosen}, looks or {})
    reasons = np.asarray(frame["reason"], dtype=object) if "reason" in frame else None
    lines: list[Spec] = []
    for agent in chosen:
        color, dash = worn[_uid(agent)]
        own = spans.get(agent, slice(0, 0))
        # The agent's own identity, so that hiding a line in the legend survives a change of the top movers.
        more: Spec = {"uid": _uid(agent), "connectgaps": True}
        hover = "%{y:.2f}"
        if reasons is not None:
            more["text"] = [_told(str(reason)) for reason in reasons[own]]
            hover = "%{y:.4~f}<br><i>%{text}</i>"
        lines.append(line(x[own], score[own], label(agent), color, hover, **more))
        lines[-1]["line"]["dash"] = dash
    drawn = any(len(trace["x"]) for trace in lines)
    title = "Reputation" if agents is not None else "Reputation: top movers"
    layout = time_layout(title, "reputation score", empty=not drawn)
    _name_beside(layout)
    # Without any trace plotly leaves the axes out.
    data = lines or [line(x[:0], score[:0], "", _GREY, "%{y}")]
    return mark_gaps({"data": data, "layout": layout}, gaps)


def looks_of(spec: Spec) -> dict[str, Look]:
    """Return the look of each line that has an identity of its own, by its `uid`.

    Examples
    --------
    >>> looks_of({"data": [{"uid": "a", "line": {"color": "#3A7BD5", "dash": "dot"}}, {"name": "b"}]})
    {'a': ('#3A7BD5', 'dot')}
    """
    lines = [trace for trace in spec["data"] if "uid" in trace]
    return {trace["uid"]: (trace["line"]["color"], trace["line"]["dash"]) for trace in lines}


def event_rate(frame: Columns, gaps: pd.DataFrame | None = None) -> Spec:
    """Draw how many events a second come of each kind.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of str to numpy.ndarray
        The column `time`; the others are events per second, one column a kind.
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
    >>> [trace["name"] for trace in event_rate(pd.DataFrame({"time": time, "error": [0.0, 1.0]}))["data"]]
    ['error']
    """
    x = milliseconds(frame)
    data = []
    tables = [*TABLES]
    for place, name in enumerate(name for name in map(str, frame) if name != "time"):
        # A table keeps its look when another one gets its first row.
        color, dash = _LOOKS[(tables.index(name) if name in tables else place) % len(_LOOKS)]
        data.append(line(x, frame[name], label(name), color, "%{y:.3~g}/s"))
        data[-1]["line"]["dash"] = dash
    layout = time_layout("Events", "events per second", empty=not len(x))
    layout["yaxis"]["rangemode"] = "tozero"
    _name_beside(layout)
    return mark_gaps({"data": data or [line(x, x, "", _GREY, "%{y}")], "layout": layout}, gaps)


def lag(frame: Columns, gaps: pd.DataFrame | None = None) -> Spec:
    """Draw how long events take from their own time to their arrival.

    Parameters
    ----------
    frame : pandas.DataFrame or mapping of str to numpy.ndarray
        Columns `time`; `median`, `low` and `high` (5 % and 95 %), all in seconds.
    gaps : pandas.DataFrame, optional
        The stream's gaps, to be shaded; see `mark_gaps`.

    Returns
    -------
    dict
        A plotly figure specification.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=1, freq="s", tz="UTC")
    >>> spec = lag(pd.DataFrame({"time": time, "median": [0.02], "low": [0.01], "high": [0.5]}))
    >>> [trace["name"] for trace in spec["data"]]
    ['5 % to 95 %', '5 % to 95 %', 'median']
    """
    x, low, high = milliseconds(frame), floats(frame, "low"), floats(frame, "high")
    spread = band(x, low, high, "5 % to 95 %", _SPREAD, "s")
    layout = time_layout("Delivery lag", "arrival − event time (s)", empty=not len(x))
    layout["yaxis"]["rangemode"] = "tozero"
    return mark_gaps(
        {"data": [*spread, line(x, frame["median"], "median", _BLUE, "%{y:.3~g} s")], "layout": layout}, gaps
    )


@lru_cache(_KEPT)
def _uid(agent: str) -> str:
    return f"a{zlib.crc32(agent.encode('utf-8', 'replace')):08x}"


def _worn(places: Mapping[str, int], known: Mapping[str, Look]) -> dict[str, Look]:
    """Give each line a look of its own, as long as there are enough."""
    worn: dict[str, Look] = {}
    # First those that have one already.
    for uid, place in sorted(places.items(), key=lambda one: (one[0] not in known, one[1])):
        taken = {*worn.values()}
        wished = known.get(uid)
        if wished is None or wished in taken:
            around = (_LOOKS[(place + turn) % len(_LOOKS)] for turn in range(len(_LOOKS)))
            wished = next((look for look in around if look not in taken), _LOOKS[place % len(_LOOKS)])
        worn[uid] = wished
    return worn


def _name_beside(layout: Spec) -> None:
    # As many names would run into the title if they stood above the plot.
    # Gaps have groups of their own in it, between which plotly leaves room that a ninth name needs.
    layout["legend"] = {"x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top", "tracegroupgap": 0}
    layout["margin"]["t"] = 34


def _stacked(x: Floats, frame: Columns, bars: Sequence[tuple[str, str]], what: str, title: str) -> Spec:
    # A column of zeros would only cost a place in the legend.
    other = [("other", _GREY)] if np.any(floats(frame, "other") > 0) else []
    # No event lies between, so whatever the buckets were, these are the counts per so many milliseconds.
    width = float(np.gcd.reduce((x[1:] - x[:-1]).astype(np.int64))) if len(x) > 1 else 0.0
    # A step has no width of its own: it lasts until the next one's beginning, or this end.
    ends = x + (width or _LONE_STEP_MS)
    hole = np.flatnonzero(ends[:-1] < x[1:])
    edges = np.concatenate([_filled(x, hole, ends[hole]), ends[-1:]])
    data = []
    for name, color in [*bars, *other]:
        heights = _filled(floats(frame, name), hole, 0.0)
        data.append(_steps(edges, np.concatenate([heights, heights[-1:]]), name, color, what))
    layout = time_layout(title, f"{what} per {width / 1000:g} s" if width else what, empty=not len(x))
    return {"data": data, "layout": layout}


def _filled(values: Floats, hole: NDArray[np.intp], filler: Any) -> Floats:
    # To insert nothing would take as long.
    return np.insert(values, hole + 1, filler) if len(hole) else values


def _steps(edges: Floats, heights: Floats, name: str, color: str, what: str) -> Spec:
    # Looks like bars without gaps, and costs the browser one element a series; each bar costs it one.
    steps = {
        "type": "scatter",
        "mode": "lines",
        "stackgroup": "steps",
        "name": name,
        "x": edges,
        "y": heights,
    }
    # Pale, so that a line over it stands out.
    look = {"line": {"shape": "hv", "width": 0, "color": color}, "fillcolor": _pale(color)}
    return {**steps, **look, "hovertemplate": f"%{{y}} {what}<extra>{name}</extra>"}


@cache
def _pale(color: str) -> str:
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.4)"


FIGURES: Final[dict[str, Callable[..., Spec]]] = {
    "tps": tps,
    "decisions": decisions,
    "sentiment": sentiment,
    "reputation": reputation,
}
"""The figure of each aggregate, by the aggregate's name."""
