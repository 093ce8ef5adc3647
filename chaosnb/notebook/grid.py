"""Several figure specifications as one, two beside each other: the still picture of a dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["grid"]

_GAP_X: Final = 0.14
_GAP_Y: Final = 0.24
_ROW_PX: Final = 330
_NAMES: Final = 0.09
# A saved figure does not know on what ground it will stand: this ink can be read on white and on black.
_CLEAR: Final = "rgba(0,0,0,0)"
_INK: Final = "#777777"
# The same for a line over steps and a band.
_OVER: Final = "#3399e0"
_LINES: Final = dict.fromkeys(("gridcolor", "linecolor", "zerolinecolor"), "rgba(128,128,128,0.35)")


def grid(specs: Mapping[str, Mapping[str, Any]], source: str = "") -> dict[str, Any]:
    """Join figure specifications into one with two columns.

    Parameters
    ----------
    specs : mapping of str to mapping
        Specifications with at most two y axes each, as `chaosnb.figures` makes them.
    source : str
        Where the data comes from, to stand above them; plotly's pseudo-HTML.

    Returns
    -------
    dict
        A plotly figure specification.

    Examples
    --------
    >>> panel = {"data": [{"y": [1]}], "layout": {"title": {"text": "A"}, "xaxis": {}, "yaxis": {}}}
    >>> whole = grid({"a": panel, "b": panel})
    >>> [(trace["xaxis"], trace["yaxis"]) for trace in whole["data"]]
    [('x', 'y'), ('x2', 'y3')]
    """
    rows = -(-len(specs) // 2)
    height = (1 - _GAP_Y * (rows - 1)) / max(rows, 1)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"height": _ROW_PX * rows, "font": {"size": 11, "color": _INK}}
    layout |= {"paper_bgcolor": _CLEAR, "plot_bgcolor": _CLEAR}
    layout["margin"] = {"l": 60, "r": 60, "t": 88, "b": 50}
    notes = layout.setdefault("annotations", [])
    corner = {"xref": "paper", "yref": "paper", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"}
    notes.append({"text": source, "showarrow": False, "yshift": 58, **corner})
    for place, spec in enumerate(specs.values()):
        left = (place % 2) * (1 + _GAP_X) / 2
        top = 1 - (place // 2) * (height + _GAP_Y)
        own = spec["layout"]
        names = own.get("legend", {})
        # A legend that is not a line above the plot needs room at its side.
        beside = bool(names) and names.get("orientation") != "h"
        right = left + (1 - _GAP_X) / 2 - _NAMES * beside
        # The first of a kind bears no number.
        x, legend = (f"{kind}{place + 1 if place else ''}" for kind in ("x", "legend"))
        y, second = f"y{2 * place + 1 if place else ''}", f"y{2 * place + 2}"
        for trace in spec["data"]:
            on_second = trace.get("yaxis") == "y2"
            axes = {"xaxis": x, "yaxis": second if on_second else y}
            look = {"line": {**trace.get("line", {}), "color": _OVER}} if on_second else {}
            data.append({**trace, **axes, **look, "legend": legend})
        layout[f"xaxis{x[1:]}"] = {**_LINES, **own.get("xaxis", {}), "domain": [left, right], "anchor": y}
        layout[f"yaxis{y[1:]}"] = {
            **_LINES,
            **own.get("yaxis", {}),
            "domain": [top - height, top],
            "anchor": x,
        }
        if "yaxis2" in own:
            layout[f"yaxis{second[1:]}"] = {**own["yaxis2"], "overlaying": y, "anchor": x}
        line = {"orientation": "h", "x": right, "xanchor": "right", "y": top, "yanchor": "bottom"}
        column = {"x": right + 0.01, "xanchor": "left", "y": top, "yanchor": "top"}
        layout[legend] = {**names, **(column if beside else line)}
        at = {"xref": "paper", "yref": "paper", "x": left, "y": top, "xanchor": "left", "yanchor": "bottom"}
        notes.append(
            {
                "text": own.get("title", {}).get("text", ""),
                "showarrow": False,
                "font": {"size": 14},
                "yshift": 24,
                **at,
            }
        )
        for note in own.get("annotations", []):
            along = x if note.get("xref") == "x" else f"{x} domain"
            notes.append({**note, "xref": along, "yref": f"{y} domain"})
        where = {"xref": x, "yref": f"{y} domain", "legend": legend}
        bands = [{**band, **where} for band in own.get("shapes", [])]
        layout["shapes"] = [*layout.get("shapes", []), *bands]
    return {"data": data, "layout": layout}
