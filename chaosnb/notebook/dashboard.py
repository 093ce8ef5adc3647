"""The dashboard: a stream's state, its live plots and their controls.

Beside `chaosnb.live` on the path of the data: it asks the stream for aggregates and tallies, has
`chaosnb.figures` draw them and hands the figures to `LivePlot`. One writer thread a dashboard does this,
never the one that reads the socket.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import ipywidgets as widgets

from chaosnb.figures.specs import Look, looks_of
from chaosnb.notebook.controls import WINDOWS, Controls, release
from chaosnb.notebook.display import escape, problem_html, status_html, status_text
from chaosnb.notebook.errands import Board, Errands
from chaosnb.notebook.kernel import has_kernel
from chaosnb.notebook.leaving import when_made
from chaosnb.notebook.live_plot import LivePlot, push_together
from chaosnb.notebook.pace import Pace
from chaosnb.notebook.picture import picture_html
from chaosnb.notebook.source import Source, check_plots, figure_of, interval_s, rest_s, values_of
from chaosnb.notebook.writer import Writer
from chaosnb.tables.aggregates import AGGREGATES

__all__ = ["Dashboard", "Source"]

_STATUS_EVERY_S: Final = 1.0
_SETTLED_S: Final = 2.0
_JOIN_S: Final = 2.0
_MOST_LOOKS: Final = 1_000
# What the network reports of itself does not say whose it is.
_NARROWED: Final = {
    **{"tps": "observed: chosen agents; reported: all", "event_rate": "all", "lag": "all"},
    **dict.fromkeys(("outcomes", "consensus"), "blocks of chosen agents"),
}


class Dashboard:
    """What a stream is doing, live: its state, its plots, and controls to pause, choose and export.

    It moves until the stream closes, and its controls work after that; `close` leaves nothing behind.

    Parameters
    ----------
    stream : Board
        The stream to show, as `chaosnb.stream` returns it.
    fps : float
        How often a second to look for something new, at most 10.
    window_s : float or None
        How many seconds to show at first: 60, 300, 600 or 3600, or None for all.
    plots : str or iterable of str, optional
        The plots to show at first, some of `chaosnb.figures.PLOTS`. None: TPS, decisions, sentiment and
        reputation.

    Attributes
    ----------
    widget : ipywidgets.VBox
        The whole dashboard, to be placed in layouts of one's own.
    plots : dict of str to LivePlot
        The plots that are shown, by name.
    controls : Controls
        The widgets for what can be set.
    """

    def __init__(
        self,
        stream: Board,
        *,
        fps: float = 6.0,
        window_s: float | None = 600.0,
        plots: str | Iterable[str] | None = None,
    ) -> None:
        pause_s = interval_s(fps)
        names = AGGREGATES if plots is None else check_plots(plots)
        if window_s not in WINDOWS.values():
            choices = ", ".join(map(str, WINDOWS.values()))
            raise ValueError(f"window_s={window_s!r} is not offered: choose one of {choices}")
        self._stream = stream
        self._closed = False
        self._drawn: dict[str, tuple[Any, list[Any]]] = {}
        self._seen: tuple[Any, float] = (None, -float("inf"))
        self._gaps = stream.gaps
        self._missed = False
        self._agents: Any = ()
        self._offered: tuple[Any, ...] = ()
        self._lines: dict[str, tuple[str, ...]] = {}
        self._looks: dict[str, Look] = {}
        self._status_at = -float("inf")
        self._ended = False
        self._kept: Any = None
        self._problems = 0
        self._handle: Any = None
        self._pace = Pace()
        self._pause_s = pause_s
        next_one = _weakly(self._draw_next)
        # Before all other widgets: a page that is busy with those has them by the time of their first frame.
        self.plots = {name: LivePlot(on_drawn=partial(next_one, name), pace=self._pace) for name in names}
        self._undrawn = {*names}
        self._drawn_once = threading.Event()
        self._next_at: dict[str, float] = {}
        self.controls = Controls(
            window_s, stream.topics, names, self._changed, self._start_export, self._switch_topics
        )
        self._errands = Errands(stream, self.controls, _weakly(self.report))
        self.widget = self.controls.arrange()
        self.controls.place(self.plots.values())
        self._writer = Writer(self, Dashboard._step, pause_s)
        # ipywidgets holds all open widgets: without this they would outlive the dashboard.
        self._end = weakref.finalize(self, _end, self._writer, self.widget)
        self._end.atexit = False
        self._step()
        self._writer.start()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def paused(self) -> bool:
        """Whether the plots stand still while the stream goes on; can be set."""
        return bool(self.controls.pause.value)

    @paused.setter
    def paused(self, value: bool) -> None:
        self.controls.pause.value = value

    def show(self) -> None:
        """Display the dashboard here, too; `close` then leaves a still picture wherever it is shown."""
        from IPython import display

        self._keep()
        self._kept = self._seen[0]
        self._handle = display.display(  # type: ignore[no-untyped-call]
            self._bundle(), raw=True, display_id=getattr(self._handle, "display_id", True)
        )

    def close(self) -> None:
        """End the writer and release all widgets; the stream goes on."""
        if self._closed:
            return
        self._closed = True
        self.widget.dashboard = None
        self._writer.stop()
        self._writer.join(_JOIN_S)
        handle, self._handle = self._handle, None
        end = partial(_end, self._writer, self.widget)
        self._end.detach()
        heard = [live.heard for live in self.plots.values()]
        if handle is None:
            when_made(heard, end)
            return
        bundle = self._bundle()

        def leave() -> None:
            # First, so that the page takes the views away as a whole, and none of them piece by piece.
            handle.update(bundle, raw=True)
            end()

        when_made(heard, leave, drawn=self._drawn_once)

    def __repr__(self) -> str:
        return f"Dashboard({'closed' if self._closed else status_text(self._stream.status)})"

    def _ipython_display_(self) -> None:
        # Instead of a plain result: only what was displayed with a handle can become a still picture later.
        self.show()

    def _repr_mimebundle_(self, **_kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        self._keep()
        return self._bundle(), {}

    def _keep(self) -> None:
        # Once shown, it lives as long as its widgets do, even where no variable holds it.
        if not self._closed:
            self.widget.dashboard = self

    def _bundle(self) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        if has_kernel():
            still = {name: live.static() for name, live in self.plots.items()}
            bundle["text/html"] = picture_html(still, escape(self._origin()))
            if not self._closed:
                bundle["application/vnd.jupyter.widget-view+json"] = self.widget.get_view_spec()
        return bundle

    def _origin(self) -> str:
        # Not the state: a picture is never live.
        status = self._stream.status
        simulated = " (simulated)" if status.simulated else ""
        return f"{status.url}{simulated}: {status.events:,} events, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"

    def _step(self) -> bool:
        last = self._stream.closed
        now = time.monotonic()
        for task in (self._tell_status, self._draw_all, self._offer):
            try:
                task(now, last)
            except Exception as error:
                self.report("the dashboard could not be brought up to date", error)
        if (last or self._has_come_to_rest(now)) and not self._closed and self._handle is not None:
            # The notebook's own picture shows how it ended.
            self._kept = self._seen[0]
            self._handle.update(self._bundle(), raw=True)
        return not last and not self._closed

    def _has_come_to_rest(self, now: float) -> bool:
        # A replay at its end is not closed. What is drawn by then is kept, once.
        drawn, since = self._seen
        return self._ended and now - since > _SETTLED_S and drawn != self._kept

    def _tell_status(self, now: float, last: bool) -> None:
        if last or now - self._status_at >= _STATUS_EVERY_S:
            self._status_at = now
            status = self._stream.status
            self._ended = status.state == "ended"
            held = " &nbsp;·&nbsp; <b>plots paused</b>" if self.paused else ""
            self.controls.status.value = status_html(status) + held
            self._errands.show_topics()
            # To ask for them costs more than all else here.
            if status.gaps or len(self._gaps):
                self._gaps = self._stream.gaps
                # They may have grown at their ends.
                self._drawn.clear()

    def _offer(self, now: float, _last: bool) -> None:
        if now == self._status_at:
            known = self._stream.personalities
            agents = {*known, *map(str, set(self._agents))}
            if self._offered != (known, agents):
                self._offered = known, agents
                self.controls.offer(known.values(), agents)

    def _draw_next(self, name: str) -> None:
        self._undrawn.discard(name)
        if not self._undrawn:
            self._drawn_once.set()
        if self._missed:
            self._writer.wake()

    def _draw_all(self, now: float, last: bool) -> None:
        # Before all else: this is asked often, and the rest costs more.
        self._missed = not last and any(live.awaited for live in self.plots.values())
        soon_s = max((live.due_in_s for live in self.plots.values()), default=0.0)
        if 0 < soon_s < self._pause_s and not last:
            self._writer.hurry(soon_s)
        if self.paused or self._missed or (0 < soon_s < float("inf") and not last):
            return
        controls, stream = self.controls, self._stream
        agents, kinds = tuple(controls.agents.value), tuple(controls.personalities.value)
        choice = (controls.window_s, controls.resolution_s, agents, kinds)
        key = (stream.received, len(self._gaps), choice)
        if self._seen[0] != key:
            self._seen = key, now
        # An event may be counted a moment before it is in the aggregates: look on until things have settled.
        elif now - self._seen[1] > _SETTLED_S and not last:
            return
        ready: list[tuple[LivePlot, dict[str, Any]]] = []
        for name, live in self.plots.items():
            # With its number: one that was taken away meanwhile, and came back, has nothing yet.
            wanted = (live.number, *choice)
            if (live.due and self._is_time_for(name, now, wanted)) or last:
                begun = time.monotonic()
                try:
                    spec = self._spec(name, wanted)
                    self._next_at[name] = now + rest_s(name, time.monotonic() - begun)
                    if spec is not None:
                        ready.append((live, spec))
                except Exception as error:
                    self.report(f"the plot of {name} could not be drawn", error)
        # Together: what comes at once the browser draws at once, and answers with one message.
        push_together(ready, force=last)

    def _is_time_for(self, name: str, now: float, wanted: tuple[Any, ...]) -> bool:
        is_new = self._drawn.get(name, (None,))[0] != wanted
        # What came last is drawn, however long the rest would be.
        is_quiet = now - self._seen[1] > _SETTLED_S / 2
        return is_new or is_quiet or now >= self._next_at.get(name, now)

    def _choose_plots(self) -> None:
        """Show the plots that the controls name, in their order, and let go of the others."""
        before = self.plots
        next_one = _weakly(self._draw_next)
        names = self.controls.chosen_plots
        self._undrawn = {name for name in names if name not in before or name in self._undrawn}
        (self._drawn_once.clear if self._undrawn else self._drawn_once.set)()
        # All at once, since the writer goes through them.
        self.plots = {
            name: before.get(name) or LivePlot(on_drawn=partial(next_one, name), pace=self._pace)
            for name in names
        }
        self.controls.place(self.plots.values())
        for name in before.keys() - self.plots.keys():
            self._drawn.pop(name, None)
            when_made([before[name].heard], partial(release, before[name]))

    def _spec(self, name: str, wanted: tuple[Any, ...]) -> dict[str, Any] | None:
        """Draw a figure, unless it were the same as before."""
        _, window_s, resolution_s, agents, kinds = wanted
        # A line of reputation keeps its colour among those that are not drawn.
        only = agents if name != "reputation" or kinds else ()
        frame = values_of(
            self._stream, name, window_s, resolution_s=resolution_s, agents=only, personalities=kinds
        )
        columns = [frame[str(column)] for column in frame]
        before = self._drawn.get(name)
        if (
            before is not None
            and before[0] == wanted
            and all(old is new for old, new in zip(before[1], columns, strict=True))
        ):
            return None
        if name == "reputation":
            self._agents = frame["agent_id"]
        spec = figure_of(name, frame, self._gaps, agents, self._lines.get(name, ()), self._looks)
        if name == "reputation":
            worn = looks_of(spec)
            self._lines[name] = tuple(worn)
            # Of some thousands, which no eye tells apart, those drawn last.
            self._looks = {**(self._looks if len(self._looks) < _MOST_LOOKS else {}), **worn}
        self._drawn[name] = wanted, columns
        return narrowed(name, spec) if agents or kinds else spec

    def report(self, what: str, error: Exception) -> None:
        """Say under the plots what went wrong, and when."""
        self._problems += 1
        count = f" ({self._problems} problems so far)" if self._problems > 1 else ""
        text = f"{datetime.now(UTC):%H:%M:%S} UTC: {what}: {type(error).__name__}: {error}{count}"
        self.controls.problems.value = problem_html(text)

    def _changed(self) -> None:
        if self.controls.chosen_plots != tuple(self.plots):
            self._choose_plots()
        # A pause is said at once.
        self._status_at = -float("inf")
        self._writer.wake()

    def _start_export(self) -> None:
        self._errands.export()

    def _switch_topics(self) -> None:
        self._errands.switch_topics()


def narrowed(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Say in a figure's title that it shows chosen agents alone, or what of it does not."""
    layout = spec["layout"]
    title = layout["title"]
    text = f"{title['text']} ({_NARROWED.get(name, 'chosen agents')})"
    return {**spec, "layout": {**layout, "title": {**title, "text": text}}}


def _weakly(method: Callable[..., None]) -> Callable[..., None]:
    # What outlives the dashboard, such as an errand under way, shall not keep it.
    found = weakref.WeakMethod(method)

    def call(*arguments: Any) -> None:
        if (alive := found()) is not None:
            alive(*arguments)

    return call


def _end(writer: Writer, widget: widgets.Widget) -> None:
    writer.stop()
    release(widget)
