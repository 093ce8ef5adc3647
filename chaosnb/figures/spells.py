"""Figures of spells, a row for whom and a bar from when to when: memberships of alliances, and absences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from chaosnb.analysis import availability, spells
from chaosnb.analysis.frames import to_pandas
from chaosnb.analysis.presents import seen_until
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
    still,
    words,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["absences", "alliance_spells"]

_BLUE, _ORANGE, _GREEN, _PINK, _SKY, _RED, _GREY = PALETTE
_ENDS: Final = {"open": ("goes on", _BLUE), "expired": ("expired", _ORANGE), "left": ("left", _RED)}
_AWAY: Final = {"maintenance": _ORANGE, "inactive": _RED, "other": _GREY}
_ROW_PX: Final = 18


def alliance_spells(updates: Any, *, most: int = 60, gaps: pd.DataFrame | None = None) -> go.Figure:
    """Draw from when to when each agent belonged to each alliance, and how that ended.

    Parameters
    ----------
    updates : frame
        The table `alliance_update`.
    most : int
        How many memberships to draw, a row each: those that lasted longest. A heading stands above those of
        an alliance, in order of when it began.
    gaps : pandas.DataFrame, optional
        What is missing, as `Stream.gaps` tells, to be shaded. None shades nothing.

    Returns
    -------
    plotly.graph_objects.Figure
        See `chaosnb.analysis.alliance_spells`. What goes on is drawn up to the newest update.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}], [{"id": "a", "role": "x"}]]
    >>> updates = {"timestamp": pd.to_datetime([0, 60], unit="s"), "members": members, "duration": "PT2H"}
    >>> figure = alliance_spells(pd.DataFrame({**updates, "alliance_id": "u"}))
    >>> [(trace.name, trace.x.tolist()) for trace in figure.data]
    [('goes on', [60000.0]), ('left', [60000.0])]
    """
    found = to_pandas(spells.alliance_spells(updates)).rename(columns={"start": "time"})
    # One row of a clock far ahead would squeeze all others into a point.
    found = found[milliseconds(found) <= seen_until(updates, "alliance_update") / 1000]
    who = ["alliance_id", "agent_id"]
    found = found.assign(**{name: found[name].astype("str") for name in who})
    found["begun"] = found.groupby("alliance_id")["time"].transform("min")
    each = found.groupby(["begun", *who], sort=True, as_index=False)["lasted_s"].sum()
    shown = each.loc[each["lasted_s"].nlargest(most).index.sort_values(), who]
    shown["row"] = np.arange(len(shown)) + (shown["alliance_id"] != shown["alliance_id"].shift()).cumsum()
    drawn = found.merge(shown, on=who)
    data = []
    for end, (name, color) in _ENDS.items():
        rows = drawn[drawn["ended"] == end]
        told = [
            f"{label(agent)} ({label(str(role))})<br>of {label(alliance)}"
            f"<br>{_moment(start)}, {_length(lasted_s)}, {name}"
            for alliance, agent, role, start, lasted_s in zip(
                *(rows[one] for one in (*who, "role", "time", "lasted_s")), strict=True
            )
        ]
        data += [_bars(rows, name, color, told)] * (not rows.empty)
    heads = shown[~shown["alliance_id"].duplicated()]
    places = [*heads["row"] - 1, *shown["row"]]
    names = [f"<b>{label(one)}</b>" for one in heads["alliance_id"]]
    names += [label(one) for one in shown["agent_id"]]
    of = f": {len(shown):,} of {len(each):,}, the longest" if len(shown) < len(each) else ""
    room = room_for([*heads["alliance_id"], *shown["agent_id"]])
    layout = _rows_layout(f"Memberships of alliances{of}", places, names, room)
    start_ms = milliseconds(found)
    seen = np.array([start_ms.min(), np.max(start_ms + floats(found, "lasted_s") * 1000)]) if data else None
    return still(_with_gaps(data, layout, seen, gaps), updates)


def absences(
    statuses: Any, *, most: int = 40, newest: int = 2000, gaps: pd.DataFrame | None = None
) -> go.Figure:
    """Draw from when to when each agent was inactive, in maintenance, or away in another way.

    Parameters
    ----------
    statuses : frame
        The table `agent_status`.
    most : int
        How many agents to draw, those with the least uptime, the least at the top.
    newest : int
        How many absences of theirs to draw, those that began last.
    gaps : pandas.DataFrame, optional
        What is missing, as `Stream.gaps` tells, to be shaded. None shades nothing.

    Returns
    -------
    plotly.graph_objects.Figure
        Bars are those of `chaosnb.analysis.absences`; why, and how late an agent came back, shows on hover. A
        thin line is drawn while an agent's status is known.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 25, 40], unit="s"), "agent_id": "a", "reason": "why"}
    >>> statuses = {**of, "status": ["inactive", "active", "active"], "expected_duration_s": [20.0, 0.0, 0.0]}
    >>> [(trace.name, trace.x.tolist()) for trace in absences(pd.DataFrame(statuses)).data]
    [('active', [40000.0]), ('inactive', [25000.0])]
    """
    last_ms = seen_until(statuses, "agent_status") / 1000
    found = to_pandas(availability.absences(statuses))
    found = found[milliseconds(found) <= last_ms]
    every = to_pandas(availability.agent_uptime(statuses))
    agents = every.head(most)
    names = [str(name) for name in agents["agent_id"]]
    found = found.assign(row=pd.Index(names).get_indexer(pd.Index(found["agent_id"].astype("str"))))
    of_them = found[found["row"] >= 0]
    drawn = of_them.tail(newest)
    data = [_known(agents, last_ms)] * (not agents.empty)
    kinds = drawn["status"].astype("str")
    kinds = kinds.where(kinds.isin([*_AWAY]), "other")
    for name, color in _AWAY.items():
        rows = drawn[kinds == name]
        columns = ("agent_id", "status", "time", "lasted_s", "expected_s", "over", "late_s", "reason")
        told = [_absence_text(*one) for one in zip(*(rows[column] for column in columns), strict=True)]
        data += [_bars(rows, name, color, told)] * (not rows.empty)
    of = f": newest {len(drawn):,} of {len(of_them):,}" if len(drawn) < len(of_them) else ""
    of += f": the {len(names):,} of {len(every):,} agents away most" if len(names) < len(every) else ""
    layout = _rows_layout(
        f"Absences{of}", [*range(len(names))], [label(name) for name in names], room_for(names)
    )
    seen = np.array([data[0]["base"].min(), last_ms]) if data else None
    return still(_with_gaps(data, layout, seen, gaps), statuses)


def _known(agents: pd.DataFrame, last_ms: float) -> Spec:
    spent_s = [floats(agents, f"{name}_s") for name in ("active", "inactive", "maintenance", "other")]
    known_ms = np.sum(spent_s, axis=0) * 1000
    return {
        **{"type": "bar", "orientation": "h", "name": "active", "showlegend": True, "width": 0.12},
        **{"base": last_ms - known_ms, "x": known_ms, "y": np.arange(len(agents))},
        **{"marker": {"color": _GREEN}, "hoverinfo": "skip"},
    }


def _bars(rows: pd.DataFrame, name: str, color: str, told: list[str]) -> Spec:
    return {
        **{"type": "bar", "orientation": "h", "name": name, "showlegend": True, "width": 0.7},
        **{"base": milliseconds(rows), "x": floats(rows, "lasted_s") * 1000, "y": rows["row"].to_numpy()},
        # With its edge, a spell of less than a pixel is still seen.
        "marker": {"color": color, "line": {"color": color, "width": 1}},
        **{"hovertext": told, "hovertemplate": "%{hovertext}<extra></extra>"},
    }


def _rows_layout(title: str, places: list[Any], names: list[str], room: int) -> Spec:
    height = 130 + max(_ROW_PX * len(names), 120)
    layout = plane_layout(title, "time (UTC)", "", empty=not names, height=height)
    layout |= {"barmode": "overlay", "hovermode": "closest"}
    layout["xaxis"]["type"] = "date"
    layout["yaxis"] |= {"tickvals": places, "ticktext": names, "showgrid": False, "zeroline": False}
    if names:
        layout["yaxis"]["range"] = [max(places) + 0.6, -0.6]
    layout["margin"]["l"] = room
    return layout


def _with_gaps(data: list[Spec], layout: Spec, seen: Floats | None, gaps: pd.DataFrame | None) -> Spec:
    """Shade gaps by the time seen: a bar's `x` is how long it is, and not when."""
    at = [] if seen is None else [{"x": seen}]
    return {"data": data, "layout": mark_gaps({"data": at, "layout": layout}, gaps)["layout"]}


def _absence_text(
    agent: Any,
    status: Any,
    start: Any,
    lasted_s: float,
    expected_s: float,
    over: int,
    late_s: float,
    why: Any,
) -> str:
    meant = f", meant to last {_length(expected_s)}" if np.isfinite(expected_s) else ""
    late = f", {_length(abs(late_s))} {'late' if late_s > 0 else 'early'}" if np.isfinite(late_s) else ""
    end = f"lasted {_length(lasted_s)}{late}" if over else f"goes on after {_length(lasted_s)}"
    reason = f"<br><i>{words(str(why))}</i>" if isinstance(why, str) and why else ""
    return f"{label(str(agent))}: {label(str(status))}<br>{_moment(start)}, {end}{meant}{reason}"


def _moment(time: Any) -> str:
    return f"since {time:%Y-%m-%d %H:%M:%S} UTC"


def _length(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"
