"""One live plot of a stream, without the dashboard around it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from chaosnb.figures.specs import Look, looks_of
from chaosnb.notebook.live_plot import LivePlot
from chaosnb.notebook.source import Source, check_plots, figure_of, interval_s, rest_s, values_of
from chaosnb.notebook.writer import Writer

__all__ = ["plot"]


def plot(
    stream: Source,
    name: str,
    *,
    window_s: float | None = 600.0,
    agents: str | Iterable[str] | None = None,
    fps: float = 6.0,
) -> LivePlot:
    """Make one live plot of a stream, which moves until the stream or the plot is closed.

    Parameters
    ----------
    stream : Source
        The stream to show.
    name : str
        One of `chaosnb.figures.PLOTS`.
    window_s : float or None
        How many seconds to show, or None for all.
    agents : str or iterable of str, optional
        Whose reputation to show; without it, of those whose score moved most.
    fps : float
        How often a second to look for something new, at most 10.

    Returns
    -------
    LivePlot

    Raises
    ------
    ValueError
        If there is no such plot, or `fps` is not possible.
    """
    check_plots([name])
    pause_s = interval_s(fps)
    chosen = (agents,) if isinstance(agents, str) else tuple(agents or ())

    worn: dict[str, Look] = {}
    next_at = 0.0

    def draw() -> dict[str, Any]:
        nonlocal next_at
        begun = time.monotonic()
        frame = values_of(stream, name, window_s)
        spec = figure_of(name, frame, stream.gaps, chosen, tuple(worn), dict(worn))
        worn.clear()
        worn.update(looks_of(spec))
        next_at = time.monotonic() + rest_s(name, time.monotonic() - begun)
        return spec

    def step(live: LivePlot) -> bool:
        last = stream.closed
        try:
            if (live.due and time.monotonic() >= next_at) or last:
                live.push(draw(), force=last)
                live.tell("")
        except Exception as error:
            live.tell(f"{type(error).__name__}: {error}")
        return not last and not live.closed

    live = LivePlot(draw())
    Writer(live, step, pause_s).start()
    return live
