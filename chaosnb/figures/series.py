"""Tables in, static plotly figures over time out, by the specifications that the live plots follow.

Each takes a table of events or the aggregate that a live plot shows, and both give the same figure. Rows of a
clock that is far ahead are left out of both; see `chaosnb.analysis.consensus_time`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from chaosnb.analysis import activity, timelines
from chaosnb.analysis.columns import require
from chaosnb.figures import specs
from chaosnb.figures.style import still

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["decisions", "event_rate", "lag", "reputation", "sentiment", "tps"]

_AGGREGATES: Final = {
    "tps": ("reported",),
    "decisions": ("approve", "reject", "other", "approval_rate"),
    "sentiment": ("positive", "neutral", "negative", "other", "sentiment_index"),
    "reputation": ("agent_id", "score"),
}


def tps(
    frame: Any,
    blocks: Any = None,
    *,
    gaps: pd.DataFrame | None = None,
    window_s: float | None = None,
    resolution_s: float | None = None,
) -> go.Figure:
    """Draw the transactions a second that nodes report and, given the blocks, those that blocks hold.

    Parameters
    ----------
    frame : frame
        The table `network_metrics`, or the aggregate ``s.aggregate("tps")``.
    blocks : frame, optional
        The table `block_proposal`. None: only what nodes report is drawn.
    gaps : pandas.DataFrame, optional
        What is missing, as `Stream.gaps` tells, to be shaded. None shades nothing.
    window_s : float, optional
        How many seconds before the newest row to begin. None: with the first row.
    resolution_s : float, optional
        How many seconds a point stands for. None: a round number that makes at most about 300 points.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it), or an option is not
        possible, or is given for an aggregate, whose buckets are made already.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=3, freq="s", tz="UTC")
    >>> figure = tps(pd.DataFrame({"timestamp": time, "tps": [90.0, 110.0, 100.0]}))
    >>> figure.data[0].name, figure.data[0].y.tolist()
    ('reported by nodes', [90.0, 110.0, 100.0])
    """
    if not _aggregated("tps", frame, window_s, resolution_s):
        metrics = require(frame, "network_metrics", "timestamp", "tps")
        columns = timelines.throughput(metrics, blocks, window_s=window_s, resolution_s=resolution_s)
        return still(specs.tps(columns, _gaps(gaps)), frame, blocks)
    return still(specs.tps(frame, _gaps(gaps)), frame)


def decisions(
    frame: Any,
    *,
    gaps: pd.DataFrame | None = None,
    window_s: float | None = None,
    resolution_s: float | None = None,
) -> go.Figure:
    """Draw the votes on blocks, stacked, and the share that approves with its 95 % confidence interval.

    Parameters
    ----------
    frame : frame
        The table `block_validation`, or the aggregate ``s.aggregate("decisions")``.
    gaps, window_s, resolution_s : optional
        As in `tps`.

    Returns
    -------
    plotly.graph_objects.Figure
        The interval is Wilson's; see `chaosnb.analysis.intervals.wilson_interval`.

    Raises
    ------
    TypeError, ValueError
        As in `tps`.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=4, freq="250ms", tz="UTC")
    >>> votes = pd.DataFrame({"timestamp": time, "decision": ["approve", "approve", "reject", "approve"]})
    >>> {trace.name: trace.y.tolist()[:1] for trace in decisions(votes).data if trace.stackgroup}
    {'approve': [3.0], 'reject': [1.0]}
    """
    return _draw("decisions", frame, timelines.decisions, gaps, window_s, resolution_s)


def sentiment(
    frame: Any,
    *,
    gaps: pd.DataFrame | None = None,
    window_s: float | None = None,
    resolution_s: float | None = None,
) -> go.Figure:
    """Draw what agents say about blocks, stacked by sentiment, and the sentiment index.

    Parameters
    ----------
    frame : frame
        The table `consensus_discussion`, or the aggregate ``s.aggregate("sentiment")``.
    gaps, window_s, resolution_s : optional
        As in `tps`.

    Returns
    -------
    plotly.graph_objects.Figure
        The index is (positive − negative) / (positive + neutral + negative).

    Raises
    ------
    TypeError, ValueError
        As in `tps`.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.to_datetime(["2026-01-01"] * 2, utc=True)
    >>> said = pd.DataFrame({"timestamp": time, "sentiment": ["positive", "neutral"]})
    >>> sentiment(said).data[-1].y.tolist()
    [0.5]
    """
    return _draw("sentiment", frame, timelines.sentiment, gaps, window_s, resolution_s)


def reputation(
    frame: Any,
    agents: str | Iterable[str] | None = None,
    top: int = 8,
    *,
    gaps: pd.DataFrame | None = None,
    window_s: float | None = None,
    resolution_s: float | None = None,
) -> go.Figure:
    """Draw the reputation of the chosen agents, or of those whose score moved most.

    Parameters
    ----------
    frame : frame
        The table `reputation_update`, or the aggregate ``s.aggregate("reputation")``. Of a table, each point
        tells on hover the reason of the last change in it.
    agents : str or iterable of str, optional
        The agents to draw. None: the `top` ones by change between their first and last score.
    top : int
        How many agents to draw if none are chosen.
    gaps, window_s, resolution_s : optional
        As in `tps`.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        As in `tps`.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.to_datetime(["2026-01-01", "2026-01-02"] * 2, utc=True)
    >>> updates = {"timestamp": time, "agent_id": ["a", "a", "b", "b"], "new_score": [1.0, 1.1, 5.0, 2.0]}
    >>> [trace.name for trace in reputation(pd.DataFrame(updates), top=1).data]
    ['b']
    """
    chosen = (agents,) if isinstance(agents, str) else agents
    more = {"agents": chosen, "top": top}
    return _draw("reputation", frame, timelines.reputation, gaps, window_s, resolution_s, **more)


def event_rate(
    frames: Any,
    *,
    gaps: pd.DataFrame | None = None,
    window_s: float | None = None,
    resolution_s: float | None = None,
) -> go.Figure:
    """Draw how many events a second there are of each table, by event time.

    Parameters
    ----------
    frames : frame or mapping of str to frame
        Any table of events, or several by name, such as all of ``s.frames()``.
    gaps, window_s, resolution_s : optional
        As in `tps`.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        As in `tps`.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=6, freq="500ms", tz="UTC")
    >>> event_rate(pd.DataFrame({"timestamp": time})).data[0].y.tolist()
    [nan, 2.0, nan]
    """
    named = _by_name(frames)
    columns = activity.event_rate(named, window_s=window_s, resolution_s=resolution_s)
    return still(specs.event_rate(columns, _gaps(gaps)), *named.values())


def lag(
    frames: Any,
    *,
    gaps: pd.DataFrame | None = None,
    window_s: float | None = None,
    resolution_s: float | None = None,
) -> go.Figure:
    """Draw how long events took from their own time to their arrival: the median, and 5 % to 95 %.

    The node's clock is held against this machine's; where they differ, the lag is off by as much.

    Parameters
    ----------
    frames : frame or mapping of str to frame
        Any table of events, or several by name, such as all of ``s.frames()``. Errors are left out.
    gaps, window_s, resolution_s : optional
        As in `tps`.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    TypeError, ValueError
        As in `tps`.

    Examples
    --------
    >>> import pandas as pd
    >>> sent = pd.to_datetime(["2026-01-01"] * 3, utc=True)
    >>> came = sent + pd.to_timedelta([1, 2, 6], unit="s")
    >>> lag(pd.DataFrame({"timestamp": sent, "received_at": came})).data[-1].y.tolist()
    [2.0]
    """
    named = _by_name(frames)
    columns = activity.lag(named, window_s=window_s, resolution_s=resolution_s)
    return still(specs.lag(columns, _gaps(gaps)), *named.values())


def _draw(
    name: str,
    frame: Any,
    count: Callable[..., pd.DataFrame],
    gaps: pd.DataFrame | None,
    window_s: float | None,
    resolution_s: float | None,
    **more: Any,
) -> go.Figure:
    columns = frame
    if not _aggregated(name, frame, window_s, resolution_s):
        columns = count(frame, window_s=window_s, resolution_s=resolution_s)
    return still(specs.FIGURES[name](columns, gaps=_gaps(gaps), **more), frame)


def _aggregated(name: str, frame: Any, window_s: float | None, resolution_s: float | None) -> bool:
    if not isinstance(frame, Mapping | pd.DataFrame) or any(
        column not in frame for column in ("time", *_AGGREGATES[name])
    ):
        return False
    if window_s is not None or resolution_s is not None:
        raise ValueError(
            f"window_s= and resolution_s= are for tables: this frame has its buckets already. Ask for others "
            f'with s.aggregate("{name}", window_s=..., points=...)'
        )
    return True


def _gaps(gaps: pd.DataFrame | None) -> pd.DataFrame | None:
    if gaps is not None:
        needed = {
            "start",
            "end",
            "duration_s",
            "cause",
            "certainty",
            "topics",
            "heights_missing",
            "blocks_missing",
        }
        if not isinstance(gaps, pd.DataFrame) or not needed <= {*gaps.columns}:
            raise ValueError("gaps= takes the gaps of a stream, as s.gaps")
    return gaps


def _by_name(frames: Any) -> Mapping[str, Any]:
    return frames if isinstance(frames, Mapping) else {"events": frames}
