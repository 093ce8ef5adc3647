"""Figures of estimates with their intervals: dots with whiskers, against a line where nothing would be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from chaosnb.analysis.blocs import alliance_cohesion as blocs
from chaosnb.analysis.discussion import sentiment_index
from chaosnb.analysis.discussion import sentiment_lead as leads
from chaosnb.analysis.drivers import vote_drivers as drivers
from chaosnb.analysis.frames import to_pandas
from chaosnb.analysis.intervals import difference_interval
from chaosnb.analysis.meme_votes import meme_effect as effects
from chaosnb.figures.style import PALETTE, Floats, Spec, label, plane_layout, still, whiskers

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "alliance_cohesion",
    "forest",
    "meme_effect",
    "sentiment_by",
    "sentiment_lead",
    "sentiments",
    "vote_drivers",
]

_BLUE, _ORANGE, _GREY = PALETTE[0], PALETTE[1], PALETTE[6]
_ROW_PX: Final = 26
_MOST_GROUPS: Final = 12


def sentiment_by(messages: Any, by: Literal["personality", "agent"] = "personality") -> go.Figure:
    """Draw how positive what each personality says is, with 95 % confidence intervals.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    by : {"personality", "agent"}

    Returns
    -------
    plotly.graph_objects.Figure
        See `chaosnb.analysis.sentiment_index`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or there is no such grouping.

    Examples
    --------
    >>> said = {"timestamp": pd.to_datetime(["2026-01-01"] * 2), "agent_personality": "lawful"}
    >>> sentiment_by(pd.DataFrame({**said, "sentiment": ["positive", "neutral"]})).data[0].x.tolist()
    [0.5]
    """
    return still(sentiments(to_pandas(sentiment_index(messages, by)), by, most=None), messages)


def sentiments(found: pd.DataFrame, by: str = "personality", *, most: int | None = _MOST_GROUPS) -> Spec:
    """Make the specification of `sentiment_by`, which its live plot shares, from counts.

    Parameters
    ----------
    found : pandas.DataFrame
        As `chaosnb.analysis.sentiment_index` gives it; without `low` and `high` these are worked out.
    by : str
        What the groups are.
    most : int or None
        How many groups to draw, those that said most. None: all.
    """
    known = found.dropna(subset="sentiment_index")
    known = known.assign(said=known["positive"] + known["neutral"] + known["negative"])
    drawn = known if most is None else known.loc[known["said"].nlargest(most).sort_index().index]
    if "low" not in drawn.columns:
        positive, negative, said = (_floats(drawn[name]) for name in ("positive", "negative", "said"))
        low, high = difference_interval(positive, negative, said)
        drawn = drawn.assign(low=low, high=high)
    names = [f"{label(name)} (n = {n:,})" for name, n in zip(drawn[by], drawn["said"], strict=True)]
    of = f": {len(drawn):,} of {len(known):,}" if len(drawn) < len(known) else ""
    title, axis = f"Sentiment by {by}{of}", "sentiment index (−1 to 1), 95 % interval"
    return forest(title, axis, names, drawn, "sentiment_index")


def sentiment_lead(votes: Any, messages: Any, *, lags: int = 5) -> go.Figure:
    """Draw how approval goes with what was said about blocks before and after.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.
    messages : frame
        The table `consensus_discussion`.
    lags : int
        How many blocks to look ahead and back.

    Returns
    -------
    plotly.graph_objects.Figure
        See `chaosnb.analysis.sentiment_lead`.

    Raises
    ------
    TypeError, ValueError
        If one is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> of = {"timestamp": pd.date_range("2026-01-01", periods=9), "block_hash": list("abcdefghi")}
    >>> votes = pd.DataFrame({**of, "validator_id": "v", "decision": ["approve", "reject", "approve"] * 3})
    >>> said = pd.DataFrame({**of, "sentiment": ["positive", "negative", "positive"] * 3})
    >>> sentiment_lead(votes, said, lags=1).data[0].x.tolist()
    [-1, 0, 1]
    """
    found = to_pandas(leads(votes, messages, lags=lags))
    r, low, high = (found[name].to_numpy(np.float64) for name in ("correlation", "low", "high"))
    known = found["blocks"].to_numpy(np.int64)
    told = [
        f"{s:.2f} ({a:.2f} to {b:.2f}), {n:,} pairs of blocks"
        for s, a, b, n in zip(r, low, high, known, strict=True)
    ]
    bars: Spec = {
        **{"type": "bar", "x": found["lag"].to_numpy(), "y": r, "marker": {"color": _BLUE}},
        "error_y": {"type": "data", "symmetric": False, "array": high - r, "arrayminus": r - low},
        **{"hovertext": told, "hovertemplate": "%{hovertext}<extra></extra>", "showlegend": False},
    }
    layout = plane_layout(
        "Does sentiment lead the vote?",
        "lag (blocks): what is said comes first at the right of 0",
        "correlation, 95 % interval",
        empty=not np.isfinite(r).any(),
    )
    layout["xaxis"] |= {"dtick": max(1, lags // 5), "zeroline": False}
    return still({"data": [bars], "layout": layout}, votes, messages)


def vote_drivers(
    votes: Any,
    messages: Any = None,
    memes: Any = None,
    alliances: Any = None,
    *,
    fresh_s: float | None = None,
) -> go.Figure:
    """Draw what sentiment, fresh memes and leaders do to votes, each with the others held constant.

    Parameters
    ----------
    votes, messages, memes, alliances : frame
        The tables `block_validation`, `consensus_discussion`, `meme_posted` and `alliance_update`; those that
        are None are left out.
    fresh_s : float, optional
        For how many seconds a meme is fresh; needed with `memes`.

    Returns
    -------
    plotly.graph_objects.Figure
        Odds ratios on a logarithmic axis; the share of votes that copy a leader is in the title. See
        `chaosnb.analysis.vote_drivers`.

    Raises
    ------
    TypeError, ValueError
        If one is no frame, lacks a column (the message says which table has it), or an option is not
        possible.

    Examples
    --------
    >>> votes = pd.DataFrame({"timestamp": pd.to_datetime([]), "block_hash": [], "validator_id": []})
    >>> votes = votes.assign(validator_personality=[], decision=[])
    >>> vote_drivers(votes).layout.annotations[0].text
    'no data'
    """
    found = to_pandas(drivers(votes, messages, memes, alliances, fresh_s=fresh_s))
    copied = found[(found["unit"] == "share") & found["estimate"].notna()]
    odds = found[(found["unit"] == "log-odds") & found["estimate"].notna()]
    odds = odds.assign(low=odds["odds_low"], high=odds["odds_high"])
    names = [
        f"{driver}{', ' + label(kind) if kind else ''} (n = {n:,})"
        for driver, kind, n in zip(odds["driver"], odds["personality"], odds["votes"], strict=True)
    ]
    title = "What drives votes"
    if len(copied):
        share, low, high = (float(copied[name].iloc[0]) * 100 for name in ("estimate", "low", "high"))
        title += f"; members copy {share:.0f} % of their leaders' votes ({low:.0f} % to {high:.0f} %)"
    spec = forest(title, "odds ratio of approval, 95 % interval", names, odds, "odds_ratio", nothing=1.0)
    ticks = [base * 10.0**power for power in range(-6, 7) for base in (1, 2, 5)]
    spec["layout"]["xaxis"] |= {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    return still(spec, votes)


def meme_effect(votes: Any, memes: Any, blocks: Any = None, *, fresh_s: float) -> go.Figure:
    """Draw how much more each personality approves when a meme is fresh.

    Parameters
    ----------
    votes, memes : frame
        The tables `block_validation` and `meme_posted`.
    blocks : frame, optional
        The table `block_proposal`, to draw the difference with the producer held constant, too.
    fresh_s : float
        For how many seconds a meme is fresh.

    Returns
    -------
    plotly.graph_objects.Figure
        Differences in percentage points; see `chaosnb.analysis.meme_effect`.

    Raises
    ------
    TypeError, ValueError
        If one is no frame, lacks a column (the message says which table has it), or `fresh_s` is not
        possible.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 1, 9, 9], unit="s"), "block_hash": list("ghij")}
    >>> of |= {"validator_id": "v", "validator_personality": "memetic"}
    >>> votes = pd.DataFrame({**of, "decision": ["approve", "approve", "approve", "reject"]})
    >>> memes = pd.DataFrame({"timestamp": pd.to_datetime([0], unit="s"), "meme_id": "m"})
    >>> meme_effect(votes, memes, fresh_s=5).data[0].x.tolist()
    [50.0]
    """
    found = to_pandas(effects(votes, memes, blocks, fresh_s=fresh_s)).dropna(subset="difference")
    found = found.sort_values("difference", ascending=False)
    names = [
        f"{label(kind)} (n = {n:,})"
        for kind, n in zip(found["personality"], found["fresh"] + found["stale"], strict=True)
    ]
    percent = found[["difference", "low", "high"]] * 100
    spec = forest(
        "Approval with a fresh meme, less that without",
        "difference (percentage points), 95 % interval",
        names,
        percent,
        "difference",
    )
    if blocks is not None and len(found):
        parts = ["adjusted", "adjusted_low", "adjusted_high"]
        adjusted = (found[parts] * 100).set_axis(["difference", "low", "high"], axis=1)
        spec["data"][0] |= {"name": "plain", "showlegend": True}
        points = _points(adjusted, "difference", _ORANGE, len(found), shift=-0.25)
        spec["data"].append({**points, "name": "producer held constant", "showlegend": True})
    return still(spec, votes, memes, blocks)


def alliance_cohesion(votes: Any, updates: Any, *, most: int = 25) -> go.Figure:
    """Draw how much more the members of each alliance agree with each other than with others.

    Parameters
    ----------
    votes, updates : frame
        The tables `block_validation` and `alliance_update`.
    most : int
        How many alliances to draw, those with most blocks.

    Returns
    -------
    plotly.graph_objects.Figure
        Differences in percentage points; see `chaosnb.analysis.alliance_cohesion`.

    Raises
    ------
    TypeError, ValueError
        If one is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> updates = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": "u", "members": members}
    >>> of = {"timestamp": pd.to_datetime(["2026-01-02"] * 6), "block_hash": list("ggghhh")}
    >>> said = ["approve", "approve", "reject", "reject", "reject", "approve"]
    >>> votes = pd.DataFrame({**of, "validator_id": list("abcabc"), "decision": said})
    >>> alliance_cohesion(votes, pd.DataFrame({**updates, "duration": "P1W"})).data[0].x.tolist()
    [100.0]
    """
    every = to_pandas(blocs(votes, updates))
    found = every.nlargest(most, "blocks").sort_values("lift", ascending=False)
    names = [
        f"{label(name)} (n = {n:,})" for name, n in zip(found["alliance_id"], found["blocks"], strict=True)
    ]
    of = f": {len(found):,} of {len(every):,}" if len(found) < len(every) else ""
    percent = found[["lift", "low", "high"]] * 100
    x_title = "agreement among members, less that with others (percentage points)"
    return still(forest(f"Do alliances vote as one?{of}", x_title, names, percent, "lift"), votes, updates)


def forest(
    title: str, x_title: str, names: Sequence[str], rows: pd.DataFrame, middle: str, *, nothing: float = 0.0
) -> Spec:
    """Make dots with whiskers, the first row at the top, and a line where nothing would be."""
    height = 110 + max(_ROW_PX * len(names), 120)
    layout = plane_layout(title, x_title, "", empty=not len(names), height=height)
    layout["margin"] |= {"l": 30 + 6 * min(max((len(name) for name in names), default=8), 45), "t": 40}
    layout["yaxis"] |= {"tickvals": [*range(len(names))][::-1], "ticktext": [*names], "zeroline": False}
    layout["yaxis"]["range"] = [-0.7, max(len(names), 1) - 0.3]
    line = {"color": _GREY, "width": 1, "dash": "dash"}
    layout["xaxis"]["zeroline"] = False
    layout["shapes"] = [
        {"type": "line", "x0": nothing, "x1": nothing, "yref": "paper", "y0": 0, "y1": 1, "line": line}
    ]
    return {"data": [_points(rows, middle, _BLUE, len(names))], "layout": layout}


def _points(rows: pd.DataFrame, middle: str, color: str, count: int, *, shift: float = 0.0) -> Spec:
    x, low, high = (_floats(rows[name]) for name in (middle, "low", "high"))
    told = [f"{m:.3g} ({a:.3g} to {b:.3g})" for m, a, b in zip(x, low, high, strict=True)]
    return whiskers(x, low, high, np.arange(count)[::-1] + shift, told, color)


def _floats(column: Any) -> Floats:
    return np.asarray(column, np.float64)
