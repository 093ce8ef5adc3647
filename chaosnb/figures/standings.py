"""How votes and scores stand, as plotly figure *specifications*: the same ones serve static and live plots.

Their numbers come from `chaosnb.tables.tallies` while they are live, and from `chaosnb.analysis` later.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import pandas as pd

from chaosnb.analysis.columns import texts
from chaosnb.analysis.intervals import wilson_interval
from chaosnb.figures import specs
from chaosnb.figures.estimates import sentiments
from chaosnb.figures.gaps import mark_gaps
from chaosnb.figures.style import (
    PALETTE,
    Floats,
    Spec,
    floats,
    label,
    milliseconds,
    plane_layout,
    room_for,
    time_layout,
    whiskers,
    words,
)

__all__ = ["PLOTS", "approval", "consensus", "movers", "outcomes", "shares"]

_BLUE, _GREEN, _RED, _GREY = PALETTE[0], PALETTE[2], PALETTE[5], PALETTE[6]
_ROW_PX: Final = 20
_SHARE_PX: Final = 26
# Sentences begin and end alike: they differ in the middle, which shorter labels leave out.
_REASON_LENGTH: Final = 36
# Shapes differ, too, for those who cannot tell the colours, and in print.
_LOOKS: Final = {
    "accepted": (_GREEN, "circle"),
    "rejected": (_RED, "x"),
    "undecided": (_GREY, "triangle-up-open"),
}


def approval(rates: pd.DataFrame, by: str = "personality", most: int | None = None) -> Spec:
    """Draw which share of its votes each group approves, with 95 % confidence intervals.

    Parameters
    ----------
    rates : pandas.DataFrame
        Columns `approve`, `reject` and `approval_rate`, and the groups' names under `by`. Without `low` and
        `high` the intervals are Wilson's.
    by : str
        What the groups are.
    most : int, optional
        How many groups to draw, those with most votes. None: all.

    Returns
    -------
    dict
        A plotly figure specification; the line is the share of all votes.

    Examples
    --------
    >>> rates = {"personality": ["lawful"], "approve": [1], "reject": [1], "approval_rate": [0.5]}
    >>> approval(pd.DataFrame(rates))["data"][0]["x"].tolist()
    [50.0]
    """
    known = rates.dropna(subset="approval_rate").iloc[::-1]
    votes = known["approve"] + known["reject"]
    drawn = known if most is None else known.loc[votes.nlargest(most).sort_index(ascending=False).index]
    yes, voted = floats(drawn, "approve"), floats(drawn, "approve") + floats(drawn, "reject")
    low, high = wilson_interval(yes, voted)
    if "low" in drawn.columns:
        low, high = floats(drawn, "low"), floats(drawn, "high")
    ends = [floats(drawn, "approval_rate") * 100, low * 100, high * 100]
    told = [
        f"{share:.1f} % ({low:.1f} % to {high:.1f} %): {int(a):,} of {int(n):,} votes"
        for share, low, high, a, n in zip(*ends, yes, voted, strict=True)
    ]
    total = float(votes.sum())
    overall = float(known["approve"].sum()) / total * 100 if total else None
    of = f": {len(drawn):,} of {len(known):,}" if len(drawn) < len(known) else ""
    title, axis = f"Approval by {by}{of}", "votes that approve (%), 95 % interval"
    return shares([str(name) for name in drawn[by]], ends, voted, told, title, axis, overall)


def outcomes(found: pd.DataFrame) -> Spec:
    """Draw how many blocks were accepted, and why the others failed.

    Parameters
    ----------
    found : pandas.DataFrame
        A row a block, with its `reason`, as `chaosnb.analysis.block_outcomes` gives it.

    Returns
    -------
    dict
        A plotly figure specification.

    Examples
    --------
    >>> outcomes(pd.DataFrame({"reason": ["", "", "no majority"]}))["data"][0]["x"].tolist()
    [1, 2]
    """
    counts = found["reason"].value_counts().sort_index().sort_values(kind="stable")
    names = [str(name) or "accepted" for name in counts.index]
    total = len(found)
    bars: Spec = {
        **{"type": "bar", "orientation": "h", "x": counts.to_numpy(), "y": np.arange(len(names))},
        "marker": {"color": [_GREEN if name == "accepted" else _RED for name in names]},
        "text": [f"{n:,} ({n / total:.1%})".replace("%", "&#37;") for n in counts.tolist()],
        # Else plotly shrinks the text to a short bar.
        "textposition": np.where(2 * counts < counts.max(), "outside", "inside").tolist(),
        **{"textangle": 0, "hoverinfo": "skip", "showlegend": False},
    }
    height = 110 + max(34 * len(names), 120)
    title = f"Outcome of {total:,} blocks" if total else "Outcome of blocks"
    layout = plane_layout(title, "blocks", "", empty=not total, height=height)
    # The reasons are our own words, and longer than a label.
    ticks = [name.replace(", ", ",<br>") for name in names]
    layout["yaxis"] |= {"tickvals": [*range(len(names))], "ticktext": ticks, "zeroline": False}
    layout["margin"] |= {"l": room_for(names) + 10, "t": 40}
    return {"data": [bars], "layout": layout}


def consensus(found: pd.DataFrame, gaps: pd.DataFrame | None = None) -> Spec:
    """Draw how long each block took from its proposal to its decisive vote, by outcome.

    Parameters
    ----------
    found : pandas.DataFrame
        A row a block: `time`, `height`, `outcome` and `consensus_time_s`; `block_hash`, if it is there, is
        told on hover.
    gaps : pandas.DataFrame, optional
        The stream's gaps, to be shaded; see `chaosnb.figures.mark_gaps`.

    Returns
    -------
    dict
        A plotly figure specification; an undecided block stands as high as it has been watched.

    Examples
    --------
    >>> of = {"time": pd.to_datetime(["2026-01-01"]), "height": 7, "outcome": "accepted"}
    >>> consensus(pd.DataFrame({**of, "consensus_time_s": 1.5}))["data"][0]["y"].tolist()
    [1.5]
    """
    data = []
    for outcome, (color, symbol) in _LOOKS.items():
        some = found[found["outcome"] == outcome]
        if some.empty:
            continue
        block: Spec = {"customdata": floats(some, "height")}
        named = f"block %{{customdata:,.0f}}<br>{outcome}"
        if "block_hash" in some.columns:
            block["hovertext"] = [
                f"block {height:,}: {label(name)}<br>{outcome}"
                for height, name in zip(some["height"], texts(some["block_hash"]), strict=True)
            ]
            named = "%{hovertext}"
        data.append(
            {
                **{"type": "scatter", "mode": "markers", "name": outcome, **block},
                **{"x": milliseconds(some), "y": floats(some, "consensus_time_s")},
                # A block just proposed stands in the corner, where half of its mark would be cut off.
                **{"marker": {"color": color, "symbol": symbol, "size": 7}, "cliponaxis": False},
                "hovertemplate": f"{named}, %{{y:.2f}} s<extra></extra>",
            }
        )
    layout = time_layout("Time to the decisive vote", "seconds since the proposal", empty=found.empty)
    layout["hovermode"] = "closest"
    layout["yaxis"]["rangemode"] = "tozero"
    return mark_gaps({"data": data, "layout": layout}, gaps)


def movers(found: pd.DataFrame) -> Spec:
    """Draw whose reputation changed most, and for which reasons.

    Parameters
    ----------
    found : pandas.DataFrame
        As `chaosnb.analysis.reputation_movers` gives it.

    Returns
    -------
    dict
        A plotly figure specification: bars are sums over a kind of reason, dots the whole change.

    Examples
    --------
    >>> of = {"agent_id": ["a"], "change": [0.5], "reason": ["charm"], "updates": [2], "moved": [0.4]}
    >>> [trace["x"].tolist() for trace in movers(pd.DataFrame(of))["data"]]
    [[0.4], [0.5]]
    """
    agents = [*dict.fromkeys(found["agent_id"])]
    place = {agent: len(agents) - 1 - number for number, agent in enumerate(agents)}
    data: list[Spec] = []
    colors = _colors(map(str, found["reason"]))
    for reason, rows in found.groupby("reason", sort=False):
        told = [
            f"{words(str(reason))}: {moved:+.3f} in {n:,} updates"
            for moved, n in zip(rows["moved"], rows["updates"], strict=True)
        ]
        data.append(
            {
                **{"type": "bar", "orientation": "h", "name": label(str(reason), _REASON_LENGTH)},
                "hovertext": told,
                **{"x": rows["moved"].to_numpy(np.float64), "y": [place[one] for one in rows["agent_id"]]},
                **{"hovertemplate": "%{hovertext}<extra></extra>"},
                "marker": {"color": colors[str(reason)]},
            }
        )
    whole = found.drop_duplicates("agent_id")
    data.append(
        {
            **{"type": "scatter", "mode": "markers", "name": "all told", "x": whole["change"].to_numpy()},
            **{"y": [place[one] for one in whole["agent_id"]], "hovertemplate": "%{x:+.3f}<extra></extra>"},
            "marker": {
                "color": "black",
                "size": 8,
                "symbol": "diamond",
                "line": {"color": "white", "width": 1},
            },
        }
    )
    height = 150 + max(_ROW_PX * len(agents), 120)
    layout = plane_layout(
        "Whose reputation moved most", "change of score", "", empty=not agents, height=height
    )
    layout["barmode"] = "relative"
    layout["yaxis"] |= {"tickvals": [*place.values()], "ticktext": [label(one) for one in agents]}
    layout["margin"] |= {"l": 24 + 6 * min(max((len(one) for one in agents), default=8), 28), "t": 76}
    return {"data": data, "layout": layout}


def shares(
    names: Sequence[str],
    ends: Sequence[Floats],
    trials: Floats,
    told: Sequence[str],
    title: str,
    axis: str,
    overall: float | None,
) -> Spec:
    """Draw a share with its interval for each name, the last one at the top, and a line at the share of all.

    Parameters
    ----------
    names : sequence of str
    ends : sequence of numpy.ndarray
        The shares and the ends of their intervals, in percent.
    trials : numpy.ndarray
        Of how many each is.
    told : sequence of str
        What to tell on hover.
    title, axis : str
    overall : float, optional
        The share of all, in percent. None: there is none.

    Returns
    -------
    dict
        A plotly figure specification.
    """
    share, low, high = ends
    points = whiskers(share, low, high, np.arange(len(names)), told, _BLUE)
    height = 110 + max(_SHARE_PX * len(names), 120)
    layout = plane_layout(title, axis, "", empty=not len(names), height=height)
    layout["margin"] |= {"l": room_for(names) + 50, "t": 40}
    layout["xaxis"]["range"] = [-2, 102]
    ticks = [f"{label(name)} (n = {int(n):,})" for name, n in zip(names, trials, strict=True)]
    layout["yaxis"] |= {"tickvals": [*range(len(names))], "ticktext": ticks, "zeroline": False}
    layout["yaxis"]["range"] = [-0.7, max(len(names), 1) - 0.3]
    if overall is not None:
        line = {"color": _GREY, "width": 1, "dash": "dash"}
        at = {"x0": overall, "x1": overall, "yref": "paper", "y0": 0, "y1": 1}
        layout["shapes"] = [{"type": "line", **at, "line": line}]
        note = {"xref": "x", "x": overall, "yref": "paper", "y": 1, "yanchor": "bottom", "showarrow": False}
        text = {"text": f"all votes {overall:.1f} %", "font": {"size": 10}}
        layout.setdefault("annotations", []).append({**text, **note})
    return {"data": [points], "layout": layout}


def _colors(reasons: Iterable[str]) -> dict[str, str]:
    # By what a reason says, so that it keeps its colour while others come and go.
    worn: dict[str, str] = {}
    for reason in sorted({*reasons}):
        place = zlib.crc32(reason.encode("utf-8", "replace"))
        around = [PALETTE[(place + turn) % len(PALETTE)] for turn in range(len(PALETTE))]
        worn[reason] = next((color for color in around if color not in worn.values()), around[0])
    return worn


PLOTS: Final[dict[str, Callable[..., Spec]]] = {
    **specs.FIGURES,
    **{"event_rate": specs.event_rate, "lag": specs.lag},
    **{"approval": approval, "outcomes": outcomes, "consensus": consensus, "movers": movers},
    "sentiment_by": sentiments,
}
"""The specification of each live plot, by name."""
