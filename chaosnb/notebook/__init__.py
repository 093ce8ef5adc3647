"""What is shown in a notebook: live plots, the dashboard, and waiting while they move.

Beside `chaosnb.live` on the path of the data. Widgets and plotly are loaded only when one of these names is
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaosnb.notebook.dashboard import Dashboard
    from chaosnb.notebook.live_plot import LivePlot
    from chaosnb.notebook.single import plot

__all__ = ["Dashboard", "LivePlot", "plot"]

_HOMES = {"Dashboard": "dashboard", "LivePlot": "live_plot", "plot": "single"}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"chaosnb.notebook.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
