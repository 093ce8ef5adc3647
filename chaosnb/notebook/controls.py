"""The dashboard's widgets and their arrangement: no thread, no stream."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

import ipywidgets as widgets

from chaosnb.store.export import FORMATS

__all__ = ["WINDOWS", "Controls", "release"]

WINDOWS: Final[dict[str, float | None]] = {
    "1 min": 60.0,
    "5 min": 300.0,
    "10 min": 600.0,
    "1 h": 3600.0,
    "all": None,
}
"""The choices of how much to show, in seconds."""


class Controls:
    """What the user can set, and where the dashboard puts its words.

    Parameters
    ----------
    window_s : float or None
        The window chosen at first.
    on_change : callable
        Called when the picture has to change. A bound method is held weakly: ipywidgets holds every open
        widget, and with it what its handlers hold, for the life of the process.
    on_export : callable
        Called when the export button is pressed; held in the same way.

    Attributes
    ----------
    status, message, problems : ipywidgets.HTML
        The stream's state, the last export's result, and what went wrong; what is put in must be escaped.
    pause, window, agents, format, folder, export : ipywidgets widgets
        The controls.
    """

    def __init__(
        self, window_s: float | None, on_change: Callable[[], None], on_export: Callable[[], None]
    ) -> None:
        narrow = {"width": "auto"}
        # Labels as wide as their words; ipywidgets gives all of them the same width otherwise.
        snug = {"description_width": "initial"}
        self.status = widgets.HTML()
        self.message = widgets.HTML()
        self.problems = widgets.HTML()
        self.pause = widgets.ToggleButton(
            description="Pause", icon="pause", tooltip="Hold the plots; the stream goes on", layout=narrow
        )
        self.window = widgets.Dropdown(
            options=list(WINDOWS.items()),
            value=window_s,
            description="Window",
            layout={"width": "150px"},
            style=snug,
        )
        self.format = widgets.Dropdown(
            options=list(FORMATS), description="Export as", layout={"width": "170px"}, style=snug
        )
        self.folder = widgets.Text(
            value="capture", placeholder="folder", description="to", layout={"width": "180px"}, style=snug
        )
        self.export = widgets.Button(
            description="Export",
            icon="download",
            tooltip="Write all tables to this folder, beside the notebook",
            layout=narrow,
        )
        self.agents = widgets.SelectMultiple(
            rows=4, description="Agents", tooltip="Whose reputation to show; none chosen: the top movers"
        )
        change, press = _weakly(on_change), _weakly(on_export)
        for control in (self.pause, self.window, self.agents):
            control.observe(change, names="value")
        self.export.on_click(press)

    def arrange(self, plots: Mapping[str, widgets.DOMWidget]) -> widgets.VBox:
        """Put the controls above and below the plots.

        Parameters
        ----------
        plots : mapping of str to ipywidgets.DOMWidget

        Returns
        -------
        ipywidgets.VBox
        """
        above = [self.pause, self.window, self.format, self.folder, self.export, self.message]
        grid = {"grid_template_columns": "repeat(auto-fit, minmax(380px, 1fr))", "width": "100%"}
        hint = widgets.HTML(
            "Choose agents to see their reputation; with none chosen, the top movers are shown."
        )
        wrap = {"flex_flow": "row wrap", "align_items": "center"}
        whole = widgets.VBox(
            [
                self.status,
                widgets.HBox(above, layout=wrap),
                widgets.GridBox(list(plots.values()), layout=grid),
                widgets.HBox([self.agents, hint], layout=wrap),
                self.problems,
            ]
        )
        whole.add_class("chaosnb-dashboard")
        return whole


def release(widget: widgets.Widget) -> None:
    """Close a widget with all that it is made of, so that neither the kernel nor the page keeps any of it.

    Parameters
    ----------
    widget : ipywidgets.Widget
    """
    parts = [*getattr(widget, "children", ())]
    parts += [part for name in ("layout", "style") if (part := getattr(widget, name, None)) is not None]
    widget.close()
    for part in parts:
        release(part)


def _weakly(callback: Callable[[], None]) -> Callable[[Any], None]:
    if not hasattr(callback, "__self__"):
        return lambda _event: callback()
    method = weakref.WeakMethod(callback)

    def call(_event: Any) -> None:
        found = method()
        if found is not None:
            found()

    return call
