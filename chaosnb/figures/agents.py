"""Figures of agents: who votes like whom, whose memes spread, whose reputation moved, and who was at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from chaosnb.analysis.agreement import agreement_clusters, vote_agreement
from chaosnb.analysis.availability import agent_uptime
from chaosnb.analysis.frames import to_pandas
from chaosnb.analysis.memes import meme_spread as spread
from chaosnb.analysis.presents import without_ahead
from chaosnb.analysis.reputation import reputation_inequality as inequality
from chaosnb.analysis.reputation import reputation_movers as movers
from chaosnb.analysis.spells import alliance_churn as churn
from chaosnb.figures import standings
from chaosnb.figures.gaps import mark_gaps
from chaosnb.figures.style import (
    DASHES,
    PALETTE,
    Spec,
    label,
    line,
    milliseconds,
    plane_layout,
    room_for,
    still,
    time_layout,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = [
    "agreement",
    "alliance_churn",
    "meme_spread",
    "reputation_inequality",
    "reputation_movers",
    "uptime",
]

_BLUE, _ORANGE, _GREEN, _PINK, _SKY, _RED, _GREY = PALETTE
_ROW_PX: Final = 20
# From orange through white to blue, which colour-blind readers can tell apart.
_SCALE: Final = [[0, _ORANGE], [0.5, "#FFFFFF"], [1, _BLUE]]


def agreement(
    votes: Any, *, minimum_overlap: int = 20, validators: int = 60, clusters: bool = False
) -> go.Figure:
    """Draw how much each two validators agree beyond chance.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.
    minimum_overlap : int
        On how many blocks both must have voted.
    validators : int
        How many to draw, those with most votes in common with others.
    clusters : bool
        Whether those who vote alike stand together, in the groups that `agreement_clusters` finds; needs
        networkx. False: by name.

    Returns
    -------
    plotly.graph_objects.Figure
        Cohen's kappa; see `chaosnb.analysis.vote_agreement`.

    Raises
    ------
    MissingExtraError
        If networkx is needed and not installed.
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime(["2026-01-01"] * 4), "block_hash": list("ghgh")}
    >>> votes = pd.DataFrame({**of, "validator_id": list("vvww"), "decision": ["approve", "reject"] * 2})
    >>> agreement(votes, minimum_overlap=2).data[0].z.tolist()
    [[nan, 1.0], [1.0, nan]]
    """
    pairs = to_pandas(vote_agreement(votes, minimum_overlap=minimum_overlap))
    ends = pd.concat(
        [
            pairs[["validator_a", "blocks"]],
            pairs[["validator_b", "blocks"]].set_axis(["validator_a", "blocks"], axis=1),
        ]
    )
    common = ends.groupby("validator_a")["blocks"].sum()
    drawn = {*common.nlargest(validators).index}
    names = sorted(drawn)
    if clusters:
        names = [name for name in agreement_clusters(pairs)["validator_id"] if name in drawn]
    shown = pairs[pairs["validator_a"].isin(drawn) & pairs["validator_b"].isin(drawn)]
    index = pd.Index(names, dtype=object)
    a, b = (index.get_indexer(pd.Index(shown[end], dtype=object)) for end in ("validator_a", "validator_b"))
    shape = (len(names), len(names))
    z, told = np.full(shape, np.nan), np.full(shape, "", dtype=object)
    columns = ("validator_a", "validator_b", "kappa", "low", "high", "agreement", "blocks")
    texts = [
        f"{label(one)} and {label(other)}<br>kappa {kappa:.2f} ({low:.2f} to {high:.2f})"
        f"<br>agree on {agree * 100:.0f} &#37; of {n:,} blocks"
        for one, other, kappa, low, high, agree, n in zip(*(shown[name] for name in columns), strict=True)
    ]
    for one, other in ((a, b), (b, a)):
        z[one, other], told[one, other] = shown["kappa"], texts
    cells: Spec = {
        **{"type": "heatmap", "z": z, "zmin": -1, "zmax": 1, "colorscale": _SCALE, "xgap": 1, "ygap": 1},
        **{"hovertext": told, "hovertemplate": "%{hovertext}<extra></extra>", "hoverongaps": False},
        "colorbar": {"title": {"text": "kappa"}, "thickness": 12},
    }
    of = f": {len(names):,} of {len(common):,} validators" if len(names) < len(common) else ""
    room = room_for(names)
    height = 120 + room + max(16 * len(names), 120)
    layout = plane_layout(f"Who votes like whom{of}", "", "", empty=not names, height=height)
    ticks = {"tickvals": [*range(len(names))], "ticktext": [label(name) for name in names]}
    plain: Spec = {"showgrid": False, "zeroline": False}
    # At the top, where upright names do not lie over what stands below.
    layout["xaxis"] |= {**ticks, **plain, "side": "top", "tickangle": -90}
    layout["yaxis"] |= {**ticks, **plain, "autorange": "reversed"}
    layout["margin"] |= {"l": room, "t": 40 + room, "b": 60}
    layout["title"] |= {"yref": "container", "y": 1 - 12 / height}
    return still({"data": [cells], "layout": layout}, votes)


def meme_spread(messages: Any, *, every_s: float = 1, top: int = 8) -> go.Figure:
    """Draw how often the memes referred to most were referred to, from the first time on.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    every_s : float
        How many seconds of event time a point stands for.
    top : int
        How many memes.

    Returns
    -------
    plotly.graph_objects.Figure
        See `chaosnb.analysis.meme_spread`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or an option is not possible.

    Examples
    --------
    >>> said = {"timestamp": pd.to_datetime([0, 10], unit="s"), "meme_references": [["m"], ["m"]]}
    >>> meme_spread(pd.DataFrame({**said, "agent_id": "a", "block_hash": "h"})).data[0].y.tolist()
    [1.0, 2.0]
    """
    found = to_pandas(spread(messages, every_s=every_s, top=top))
    data = []
    for place, (name, rows) in enumerate(found.groupby("meme_id", sort=False)):
        shape = {"color": PALETTE[place % 7], "width": 2, "shape": "hv", "dash": DASHES[place // 7 % 4]}
        since_s = (milliseconds(rows) - milliseconds(rows)[0]) / 1000
        trace = line(since_s, rows["total"], label(str(name)), "", "%{y:,.0f} references after %{x:,.0f} s")
        data.append({**trace, "line": shape, "marker": {"color": shape["color"], "size": 3}})
    title = "How memes spread: those with most references"
    layout = plane_layout(title, "since its first reference (s)", "references so far", empty=not data)
    layout["legend"] |= {"orientation": "v", "x": 1.01, "xanchor": "left", "y": 1, "yanchor": "top"}
    layout["margin"]["r"] = 190
    return still({"data": data, "layout": layout}, messages)


def reputation_inequality(
    updates: Any, *, every_s: float = 60, gaps: pd.DataFrame | None = None
) -> go.Figure:
    """Draw how unequal the agents' reputation is over time.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    every_s : float
        How many seconds of event time a point stands for.
    gaps : pandas.DataFrame, optional
        What is missing, as `Stream.gaps` tells, to be shaded. None shades nothing.

    Returns
    -------
    plotly.graph_objects.Figure
        Gini's coefficient; see `chaosnb.analysis.reputation_inequality`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or an option is not possible.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 1], unit="s"), "agent_id": ["a", "b"], "old_score": 0.5}
    >>> reputation_inequality(pd.DataFrame({**of, "new_score": [0.2, 0.6]})).data[0].y.round(2).tolist()
    [0.25]
    """
    found = without_ahead(to_pandas(inequality(updates, every_s=every_s)), reputation_update=updates)
    data = [line(milliseconds(found), found["gini"], "Gini", _BLUE, "%{y:.3f}")]
    layout = time_layout("Inequality of reputation", "Gini's coefficient", empty=found.empty)
    layout["yaxis"]["rangemode"] = "tozero"
    return still(mark_gaps({"data": data, "layout": layout}, gaps), updates)


def reputation_movers(updates: Any, *, top: int = 10, reasons: int = 3) -> go.Figure:
    """Draw whose reputation changed most, and for which reasons.

    Parameters
    ----------
    updates : frame
        The table `reputation_update`.
    top : int
        How many agents.
    reasons : int
        How many reasons for each.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars are sums over a kind of reason, dots the whole change; see `chaosnb.analysis.reputation_movers`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or an option is not possible.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0], unit="s"), "agent_id": "a", "old_score": [0.5]}
    >>> reputation_movers(pd.DataFrame({**of, "new_score": [0.75], "reason": "charm"})).data[0].x.tolist()
    [0.25]
    """
    return still(standings.movers(to_pandas(movers(updates, top=top, reasons=reasons))), updates)


def alliance_churn(updates: Any, *, every_s: float = 60, gaps: pd.DataFrame | None = None) -> go.Figure:
    """Draw how many memberships of alliances stand, and how many begin and end, over time.

    Parameters
    ----------
    updates : frame
        The table `alliance_update`.
    every_s : float
        How many seconds of event time a bar stands for.
    gaps : pandas.DataFrame, optional
        What is missing, as `Stream.gaps` tells, to be shaded. None shades nothing.

    Returns
    -------
    plotly.graph_objects.Figure
        See `chaosnb.analysis.alliance_churn`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or an option is not possible.

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> updates = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": "u", "members": members}
    >>> [trace.name for trace in alliance_churn(pd.DataFrame({**updates, "duration": "PT2H"})).data]
    ['joined', 'left', 'expired', 'members']
    """
    found = to_pandas(churn(updates, every_s=every_s))
    x = milliseconds(found)
    data: list[Spec] = [
        {
            **{"type": "bar", "name": name, "x": x, "y": sign * found[name].to_numpy(np.float64)},
            **{"marker": {"color": color}, "customdata": found[name].to_numpy()},
            "hovertemplate": f"%{{customdata:,}} {name}<extra></extra>",
        }
        for name, color, sign in (("joined", _GREEN, 1), ("left", _RED, -1), ("expired", _ORANGE, -1))
    ]
    data.append(line(x, found["members"], "members", _BLUE, "%{y:,.0f} members"))
    layout = time_layout("Alliances: memberships", "memberships", empty=found.empty)
    layout["barmode"] = "relative"
    return still(mark_gaps({"data": data, "layout": layout}, gaps), updates)


def uptime(statuses: Any, *, most: int = 40) -> go.Figure:
    """Draw for which share of the time each agent was active, inactive and in maintenance.

    Parameters
    ----------
    statuses : frame
        The table `agent_status`.
    most : int
        How many agents, those with the least uptime.

    Returns
    -------
    plotly.graph_objects.Figure
        See `chaosnb.analysis.agent_uptime`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 60, 80], unit="s"), "agent_id": "a"}
    >>> figure = uptime(pd.DataFrame({**of, "status": ["active", "maintenance", "active"]}))
    >>> {trace.name: trace.x.tolist() for trace in figure.data}
    {'active': [75.0], 'maintenance': [25.0], 'inactive': [0.0]}
    """
    every = to_pandas(agent_uptime(statuses)).dropna(subset="uptime")
    found = every.head(most).iloc[::-1]
    looks = {"active": _GREEN, "maintenance": _ORANGE, "inactive": _RED, "other": _GREY}
    total = found[[f"{name}_s" for name in looks]].sum(axis=1)
    present = {name: color for name, color in looks.items() if name != "other" or found["other_s"].any()}
    data: list[Spec] = [
        {
            **{"type": "bar", "orientation": "h", "name": name, "y": np.arange(len(found))},
            **{"x": (found[f"{name}_s"] / total * 100).to_numpy(np.float64), "marker": {"color": color}},
            **{"customdata": found[f"{name}_s"].to_numpy(np.float64)},
            "hovertemplate": f"{name}: %{{x:.1f}} % (%{{customdata:,.0f}} s)<extra></extra>",
        }
        for name, color in present.items()
    ]
    of = f": the {len(found):,} of {len(every):,} agents away most" if len(found) < len(every) else ""
    height = 130 + max(_ROW_PX * len(found), 120)
    layout = plane_layout(f"Uptime{of}", "share of known time (%)", "", empty=found.empty, height=height)
    names = [str(name) for name in found["agent_id"]]
    layout["barmode"] = "stack"
    layout["yaxis"] |= {"tickvals": [*range(len(names))], "ticktext": [label(name) for name in names]}
    layout["margin"]["l"] = 24 + 6 * min(max((len(name) for name in names), default=8), 28)
    return still({"data": data, "layout": layout}, statuses)
