"""The dashboard's widgets and their arrangement: no thread, no stream."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

import ipywidgets as widgets

from chaosnb.figures import PLOTS
from chaosnb.notebook.full_screen import FullScreen
from chaosnb.protocol.events import TOPICS
from chaosnb.store.formats import FORMATS
from chaosnb.text import printable

__all__ = ["RESOLUTIONS", "WINDOWS", "Controls", "release"]

WINDOWS: Final[dict[str, float | None]] = {
    "1 min": 60.0,
    "5 min": 300.0,
    "10 min": 600.0,
    "1 h": 3600.0,
    "all": None,
}
"""The choices of how much to show, in seconds."""

RESOLUTIONS: Final[dict[str, float | None]] = {
    "automatic": None,
    "1 s": 1.0,
    "5 s": 5.0,
    "15 s": 15.0,
    "1 min": 60.0,
    "5 min": 300.0,
}
"""The choices of how long a time each bar or point sums up, in seconds."""

_OFFERED: Final = 500
_LONGEST: Final = 60
_HINT: Final = (
    "Choose personalities, agents or both, and every plot shows theirs alone; Ctrl, or ⌘ on a Mac, "
    "adds to a choice and takes from it."
)


class Controls:
    """What the user can set, and where the dashboard puts its words.

    Parameters
    ----------
    window_s : float or None
        The window chosen at first.
    topics : iterable of str
        The topics subscribed to at first.
    plots : iterable of str
        The plots shown at first.
    on_change : callable
        Called when the picture has to change. A bound method is held weakly: ipywidgets holds every open
        widget, and with it what its handlers hold, for the life of the process.
    on_export, on_topics : callable
        Called when the export button is pressed or a topic switched; held in the same way.

    Attributes
    ----------
    status, message, problems : ipywidgets.HTML
        The stream's state, the last export's result, and what went wrong; what is put in must be escaped.
    pause, window, resolution, plots, personalities, agents, everyone : ipywidgets widgets
    format, folder, export : ipywidgets widgets
        The controls.
    topics : dict of str to ipywidgets.Checkbox
        The switch of each topic.
    """

    def __init__(
        self,
        window_s: float | None,
        topics: Iterable[str],
        plots: Iterable[str],
        on_change: Callable[[], None],
        on_export: Callable[[], None],
        on_topics: Callable[[], None],
    ) -> None:
        narrow = {"width": "auto"}
        self.status, self.message, self.problems = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.pause = widgets.ToggleButton(
            description="Pause", icon="pause", tooltip="Hold the plots; the stream goes on", layout=narrow
        )
        # Labels are the values: one of None, once chosen, would leave the list blank.
        self.window = _dropdown("Window", WINDOWS, "150px", list(WINDOWS.values()).index(window_s))
        self.resolution = _dropdown("Resolution", RESOLUTIONS, "180px")
        self.format = _dropdown("Export as", FORMATS, "170px")
        self.folder = widgets.Text(
            value="capture",
            placeholder="folder",
            description="to",
            layout={"width": "180px"},
            style={"description_width": "initial"},
        )
        self.export = widgets.Button(
            description="Export",
            icon="download",
            tooltip="Write all tables to this folder, beside the notebook",
            layout=narrow,
        )
        checked = set(topics)
        self.topics = {
            topic: widgets.Checkbox(
                value=topic in checked,
                description=topic,
                indent=False,
                layout=narrow,
                tooltip=f"Receive events of {topic}; switched off, they are left out from then on",
            )
            for topic in TOPICS
        }
        self.plots = _choice("Plots", "Which plots to show; Ctrl or ⌘ adds to a choice, and takes from it")
        self.plots.options = tuple(PLOTS)
        self.plots.value = tuple(plots)
        self._panels = widgets.Box()
        self._panels.add_class("chaosnb-plots")
        self.personalities = _choice("Personalities", "Whose events to show; none chosen: all")
        self.agents = _choice("Agents", "Whose events to show; none chosen: all, and the top movers")
        self.everyone = widgets.Button(
            description="Show all", tooltip="Choose no personality and no agent", layout=narrow
        )
        change, press, switch = _weakly(on_change), _weakly(on_export), _weakly(on_topics)
        for control in (
            *(self.pause, self.window, self.resolution, self.plots),
            *(self.personalities, self.agents),
        ):
            control.observe(change, names="value")
        for box in self.topics.values():
            box.observe(switch, names="value")
        self.export.on_click(press)
        chosen = (weakref.ref(self.personalities), weakref.ref(self.agents))
        self.everyone.on_click(lambda _button: _clear(chosen))

    @property
    def window_s(self) -> float | None:
        """How many seconds are shown; None: all."""
        return WINDOWS[self.window.value]

    @property
    def resolution_s(self) -> float | None:
        """How many seconds each bar or point sums up; None: chosen by the window."""
        return RESOLUTIONS[self.resolution.value]

    @property
    def chosen_plots(self) -> tuple[str, ...]:
        """The plots to show, in their order."""
        return tuple(self.plots.value)

    def offer(self, personalities: Iterable[str], agents: Iterable[str]) -> None:
        """Offer these to choose from; what is chosen stays chosen.

        Parameters
        ----------
        personalities, agents : iterable of str
            Of more than 500 the first ones are offered, so that a node cannot flood the page.
        """
        for control, names in ((self.personalities, personalities), (self.agents, agents)):
            chosen = tuple(control.value)
            offered = sorted({*sorted(set(names))[:_OFFERED], *chosen})
            options = tuple((printable(name, _LONGEST), name) for name in offered)
            if options != tuple(control.options):
                control.options = options
                # New options clear the choice.
                control.value = chosen

    def place(self, plots: Iterable[widgets.DOMWidget]) -> None:
        """Show these plots between the controls.

        Parameters
        ----------
        plots : iterable of ipywidgets.DOMWidget
        """
        self._panels.children = tuple(plots)

    def arrange(self) -> widgets.VBox:
        """Put the controls above and below the plots.

        Returns
        -------
        ipywidgets.VBox
        """
        view = [self.pause, self.window, self.resolution, FullScreen()]
        files = [self.format, self.folder, self.export, self.message]
        topics = [widgets.HTML("Topics"), *self.topics.values()]
        filters = [self.plots, self.personalities, self.agents, self.everyone, widgets.HTML(_HINT)]
        above = [_row(view), _row(topics)]
        whole = widgets.VBox([self.status, *above, self._panels, _row(filters), _row(files), self.problems])
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


def _dropdown(name: str, options: Iterable[Any], width: str, index: int = 0) -> widgets.Dropdown:
    # Labels as wide as their words; ipywidgets gives all of them the same width otherwise.
    snug = {"description_width": "initial"}
    return widgets.Dropdown(
        options=list(options), index=index, description=name, layout={"width": width}, style=snug
    )


def _choice(name: str, tip: str) -> widgets.SelectMultiple:
    snug = {"description_width": "initial"}
    return widgets.SelectMultiple(
        rows=4, description=name, tooltip=tip, layout={"width": "250px"}, style=snug
    )


def _row(parts: list[widgets.Widget]) -> widgets.HBox:
    row = widgets.HBox(parts)
    row.add_class("chaosnb-row")
    row.add_class("chaosnb-controls")
    return row


def _clear(choices: Iterable[Callable[[], widgets.SelectMultiple | None]]) -> None:
    for choice in choices:
        control = choice()
        if control is not None:
            control.value = ()


def _weakly(callback: Callable[[], None]) -> Callable[[Any], None]:
    if not hasattr(callback, "__self__"):
        return lambda _event: callback()
    method = weakref.WeakMethod(callback)

    def call(_event: Any) -> None:
        found = method()
        if found is not None:
            found()

    return call
