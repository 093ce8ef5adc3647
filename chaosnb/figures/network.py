"""The figure of alliances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.alliances import memberships
from chaosnb.figures.style import PALETTE, Spec, label, plane_layout, still, words

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["alliances", "spring_layout"]

_BLUE, _ORANGE, _GREY = PALETTE[0], PALETTE[1], PALETTE[6]
_STEPS: Final = 150
_NAMED: Final = 6
_LABELLED: Final = 40

Floats = npt.NDArray[np.float64]


def alliances(updates: Any, at: str | pd.Timestamp | None = None, *, newest: int = 25) -> go.Figure:
    """Draw who is allied with whom: agents as dots, alliances as diamonds, each joined to its members.

    Parameters
    ----------
    updates : frame
        The table `alliance_update`.
    at : str or pandas.Timestamp, optional
        A moment: alliances as they were then, without those whose duration was over. None: each in its last
        form, over or not.
    newest : int
        How many alliances to draw, those formed or changed last.

    Returns
    -------
    plotly.graph_objects.Figure
        Purposes and roles show on hover. Where things stand means nothing but that who has much in common is
        near; the same alliances always give the same picture.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column (the message says which table has it), or `at` is no time.

    Examples
    --------
    >>> import pandas as pd
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> row = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": ["x"], "members": members}
    >>> alliances(pd.DataFrame({**row, "purpose": ["fun"]})).layout.title.text
    'Alliances: 1, with 2 agents'
    """
    every = memberships(updates, at)
    ids = [*dict.fromkeys(every["alliance_id"])]
    drawn = ids[-newest:]
    links = every[every["alliance_id"].isin(drawn)]
    agents = sorted({*links["agent_id"]})
    ends = np.column_stack(
        [
            pd.Index(drawn, dtype=object).get_indexer(links["alliance_id"]),
            pd.Index(agents, dtype=object).get_indexer(links["agent_id"]) + len(drawn),
        ]
    ).reshape(-1, 2)
    at_xy = spring_layout(len(drawn) + len(agents), ends)
    pairs = np.full((len(ends), 3, 2), np.nan)
    pairs[:, 0], pairs[:, 1] = at_xy[ends[:, 0]], at_xy[ends[:, 1]]
    lines: Spec = {
        **{"type": "scatter", "mode": "lines", "x": pairs[:, :, 0].ravel(), "y": pairs[:, :, 1].ravel()},
        **{
            "line": {"color": "rgba(128, 128, 128, 0.5)", "width": 1},
            "hoverinfo": "skip",
            "showlegend": False,
        },
    }
    of_alliance, of_agent = links.groupby("alliance_id"), links.groupby("agent_id")
    about = [_alliance_text(name, of_alliance.get_group(name)) for name in drawn]
    roles = [_agent_text(name, of_agent.get_group(name)) for name in agents]
    size = [8 + 3 * min(len(of_agent.get_group(name)), 8) for name in agents]
    names = [label(name) for name in agents]
    data = [
        lines,
        _nodes(at_xy[: len(drawn)], "alliance", {"symbol": "diamond", "size": 9, "color": _ORANGE}, about),
        _nodes(at_xy[len(drawn) :], "agent", {"symbol": "circle", "size": size, "color": _BLUE}, roles),
    ]
    if len(names) <= _LABELLED:
        data[2] |= {
            "mode": "markers+text",
            "text": names,
            "textposition": "top center",
            "textfont": {"size": 9},
        }
    of = f"newest {len(drawn):,} of {len(ids):,}" if len(drawn) < len(ids) else f"{len(drawn):,}"
    title = f"Alliances: {of}, with {len(agents):,} agent{'s' * (len(agents) != 1)}"
    layout = plane_layout(title, "", "", empty=links.empty, height=460)
    for axis in (layout["xaxis"], layout["yaxis"]):
        axis |= {"visible": False, "range": [-1.15, 1.15]}
    layout["margin"]["l"] = 16
    return still({"data": data, "layout": layout}, updates)


def spring_layout(nodes: int, edges: npt.NDArray[np.integer]) -> Floats:
    """Place the nodes of a graph so that joined ones are near each other, by springs that come to rest.

    The forces are those of Fruchterman and Reingold (1991), Software: Practice and Experience 21, 1129–1164,
    from a circle as the start: the same graph always gets the same places.

    Parameters
    ----------
    nodes : int
    edges : numpy.ndarray
        Pairs of nodes, shape (m, 2).

    Returns
    -------
    numpy.ndarray
        Places, shape (nodes, 2), from −1 to 1.

    Examples
    --------
    >>> spring_layout(2, np.array([[0, 1]])).shape
    (2, 2)
    """
    # By the golden angle: neighbours in number start apart, and no two at one place.
    turn = np.arange(nodes) * np.pi * (3 - np.sqrt(5))
    at = np.column_stack([np.cos(turn), np.sin(turn)]) * np.sqrt(
        (np.arange(nodes)[:, None] + 0.5) / max(nodes, 1)
    )
    rest = 1.0 / np.sqrt(max(nodes, 1))
    for step in range(_STEPS):
        apart = at[:, None, :] - at[None, :, :]
        far = np.maximum((apart**2).sum(axis=2), 1e-6)
        push = (apart * (rest**2 / far)[:, :, None]).sum(axis=1)
        along = at[edges[:, 0]] - at[edges[:, 1]]
        pull = along * (np.sqrt((along**2).sum(axis=1)) / rest)[:, None]
        np.subtract.at(push, edges[:, 0], pull)
        np.add.at(push, edges[:, 1], pull)
        # A little towards the middle, or parts that are not joined would fly off.
        push -= at * rest
        length = np.maximum(np.sqrt((push**2).sum(axis=1)), 1e-9)
        most = 0.1 * (1 - step / _STEPS)
        at = at + push * (np.minimum(length, most) / length)[:, None]
    at = at - at.mean(axis=0) if nodes else at
    return at / max(float(np.abs(at).max(initial=0.0)), 1e-9)


def _nodes(at: Floats, name: str, marker: Spec, told: list[str]) -> Spec:
    hover = {"hovertext": told, "hovertemplate": "%{hovertext}<extra></extra>"}
    line = {"width": 1, "color": "white"}
    # Dots of different sizes would be see-through.
    marker = {**marker, "line": line, "opacity": 1}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": at[:, 0],
        "y": at[:, 1],
        "marker": marker,
        **hover,
    }


def _alliance_text(name: str, members: pd.DataFrame) -> str:
    who = [
        f"{label(agent)} ({label(role)})"
        for agent, role in zip(members["agent_id"], members["role"], strict=True)
    ]
    more = [f"and {len(who) - _NAMED} more"] if len(who) > _NAMED else []
    return "<br>".join([label(name), f"<i>{words(members['purpose'].iloc[0])}</i>", *who[:_NAMED], *more])


def _agent_text(name: str, links: pd.DataFrame) -> str:
    what = [
        f"{label(role)} of {label(alliance)}"
        for alliance, role in zip(links["alliance_id"], links["role"], strict=True)
    ]
    more = [f"and {len(what) - _NAMED} more"] if len(what) > _NAMED else []
    return "<br>".join([label(name), *what[:_NAMED], *more])
