"""plotly.js on its way to the page before the first plot is shown: while the stream connects.

To start it takes a browser longer than all else between a dashboard's cell and its plots.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Final

from chaosnb.notebook.live_plot import LivePlot
from chaosnb.notebook.plotlyjs import library

__all__ = ["send_ahead"]

# By then a page that can be seen listens; one that does not asks later.
_LISTENS_S: Final = 0.7
# A page that is busy makes the plot later; it shall not look for one that is gone.
_LASTS_S: Final = 30.0


@cache
def send_ahead(
    *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Have the page load plotly.js, by a plot that nobody sees; once a process.

    If the kernel is not busy, the page asks for it; else it is sent unasked, as for a plot that is shown by
    a busy cell. A page that is not listening yet asks when it has something to show.

    Parameters
    ----------
    clock : callable
        The monotonic time in seconds.
    sleep : callable
        Waits for so many seconds.
    """
    plot = LivePlot(clock=clock, unheard_s=_LISTENS_S / 2)
    plot.push({"data": [], "layout": {}})
    begun = clock()
    # What the first dashboard needs here takes a while, too.
    library()
    import_module("chaosnb.notebook.dashboard")
    sleep(max(begun + _LISTENS_S - clock(), 0.0))
    plot.push({"data": [], "layout": {}}, force=True)
    sleep(_LASTS_S)
    plot.close()
