"""The button that lets a dashboard fill the screen, which brings the dashboard's style sheet to the page."""

from __future__ import annotations

from importlib import resources
from typing import Final

import anywidget

__all__ = ["FullScreen"]

_FILES: Final = resources.files("chaosnb.notebook")


class FullScreen(anywidget.AnyWidget):
    """A button whose work is done by the page: the kernel is not asked, and need not be idle.

    Examples
    --------
    >>> FullScreen().close()
    """

    # Strings: anywidget watches a path with a thread, and the widget is never released.
    _esm = _FILES.joinpath("full_screen.js").read_text("utf-8")
    _css = _FILES.joinpath("dashboard.css").read_text("utf-8")
