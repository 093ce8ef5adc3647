"""A plot that moves while it is looked at: specification in, deltas out, at the browser's pace.

plotly.js comes from the installed plotly package and goes to each page once, when the page asks; it is no
part of a widget's state, so no notebook holds it. The page acknowledges a frame that it has drawn, and says
how long that took. The next one is sent only then, or after a second if nothing was heard: a hidden tab costs
one small frame a second, and a slow browser never falls behind. A page that draws at once is asked once a
second, and has its frames at its own pace meanwhile; `chaosnb.notebook.pace` says why.
"""

from __future__ import annotations

import contextvars
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import resources
from typing import Any, Final

import anywidget
import plotly
import traitlets

from chaosnb.notebook.delta import Delta, Packed, diff, pack, unpack
from chaosnb.notebook.kernel import has_kernel
from chaosnb.notebook.leaving import SEEN
from chaosnb.notebook.pace import Pace
from chaosnb.notebook.plotlyjs import OFFER, library
from chaosnb.text import printable

__all__ = ["LivePlot", "Parcel", "push_together"]

Parcel = tuple[dict[str, Any], bytes]
"""A frame on its way to the page: what became of the last one, and the new values."""

_PLOTLY_MIME: Final = "application/vnd.plotly.v1+json"
_FILES: Final = resources.files("chaosnb.notebook")
# By default plotly.js offers a button that uploads the plot's data to plotly's cloud.
_NO_CLOUD: Final = {"showSendToCloud": False, "plotlyServerURL": ""}
_STATIC_CONFIG: Final = {**_NO_CLOUD, "displaylogo": False, "responsive": False, "typesetMath": False}

_NUMBERS: Final = itertools.count(1)
# One for all plots: frames of several go with one message, and for each plot in the order of their numbers.
_GATE: Final = threading.RLock()


class LivePlot(anywidget.AnyWidget):
    """A plotly figure that moves while it is shown.

    All methods may be called from any thread.

    Parameters
    ----------
    spec : mapping, optional
        What to draw first: a plotly figure specification, such as those of `chaosnb.figures`.
    clock : callable
        The monotonic time in seconds.
    timeout_s : float
        How long to wait for the page to acknowledge a frame before the next one is sent, in seconds.
    on_drawn : callable, optional
        Called, in the thread that the page talks to, when the page has drawn a frame. None: nobody is told.
    pace : Pace, optional
        How fast the page draws, for plots that stand on one page to share. None: its own.
    unheard_s : float
        How long to wait for a page's first question before plotly.js is sent unasked, in seconds.

    Examples
    --------
    >>> import numpy as np
    >>> plot = LivePlot()
    >>> plot.push({"data": [{"x": np.arange(3.0), "y": np.array([1.0, 4.0, 9.0])}], "layout": {}})
    >>> plot
    LivePlot(1 trace, 6 numbers, open)
    >>> plot.close()
    >>> plot
    LivePlot(1 trace, 6 numbers, closed)
    """

    # Strings: anywidget watches a path with a thread, and the widget is never released.
    _esm = _FILES.joinpath("live_plot.js").read_text("utf-8")
    _css = _FILES.joinpath("live_plot.css").read_text("utf-8")
    plotly_version = traitlets.Unicode(plotly.__version__).tag(sync=True)
    number = traitlets.Int().tag(sync=True)
    problem = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        spec: Mapping[str, Any] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout_s: float = 1.0,
        on_drawn: Callable[[], None] | None = None,
        pace: Pace | None = None,
        unheard_s: float = 2.0,
    ) -> None:
        self._clock, self._pace, self._on_drawn = clock, pace or Pace(), on_drawn
        self._timeout_s, self._unheard_s = timeout_s, unheard_s
        self._shut = self._under_way = self._answers = False
        self._seq, self._sent_at = 0, -float("inf")
        self._latest: Packed = pack(spec or {"data": [], "layout": {}})
        self._sent: Packed | None = None
        self._first_at: float | None = None
        self.heard = threading.Event()  # set when a page has made its model, and asks for it
        self._route: contextvars.Context | None = None
        self._handle: Any = None
        super().__init__(number=next(_NUMBERS))
        _PLOTS[str(self.number)] = self
        # By the layout, a model that is made at once: where a page takes two seconds to load a module,
        # anywidget drops whatever comes for that module's model from then on.
        self.layout.on_msg(partial(_hand_over, str(self.number)))

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._shut

    @property
    def due(self) -> bool:
        """Whether a frame pushed now would be sent now: writers need not compute one otherwise."""
        with _GATE:
            return not self._shut and self.due_in_s == 0.0

    @property
    def due_in_s(self) -> float:
        """In how many seconds the page has drawn what it has, by its pace; infinite where it is to say so."""
        with _GATE:
            if self._under_way:
                return 0.0 if self._overdue() else float("inf")
            return max(self._pace.s - (self._clock() - self._sent_at), 0.0)

    @property
    def latest(self) -> Packed:
        """The newest frame."""
        return self._latest

    @property
    def awaited(self) -> bool:
        """Whether a page that answered before is drawing a frame now, and is likely to say so soon."""
        with _GATE:
            return self._answers and self._under_way and not self._overdue()

    def push(self, spec: Mapping[str, Any], *, force: bool = False) -> None:
        """Make this the newest frame.

        It is sent at once if the page has drawn the last one, has promised to, or was silent for a second,
        and otherwise as soon as the page acknowledges; of several frames pushed meanwhile only the newest is
        sent.

        Parameters
        ----------
        spec : mapping
            A plotly figure specification; its arrays are copied.
        force : bool
            Send it without waiting: meant for the last frame.
        """
        push_together([(self, spec)], force=force)

    def stage(self, packed: Packed, *, force: bool = False) -> Parcel | None:
        """Make this the newest frame, as `push` does, and return what has to be sent for it now, if anything.

        Parameters
        ----------
        packed : Packed
            The frame, of which nothing is copied.
        force : bool
            Send it without waiting.
        """
        with _GATE:
            if self._shut:
                return None
            self._latest = packed
            return self._next_parcel(force=force)

    def carry(self, parcels: Iterable[Parcel]) -> None:
        """Send parcels of plots that are on the same page with one message.

        Parameters
        ----------
        parcels : iterable of Parcel
            What `stage` and `acknowledge` returned.
        """
        if frames := list(parcels):
            message = {"kind": "frames", "frames": [frame for frame, _ in frames]}
            self._post(message, [values for _, values in frames])

    def tell(self, problem: str) -> None:
        """Say under the plot what went wrong.

        Parameters
        ----------
        problem : str
            Any text, shown as text; empty to take it away.
        """
        if not self._shut:
            self.problem = printable(problem)

    def acknowledge(
        self, seq: int, route: contextvars.Context | None = None, took_s: float | None = None
    ) -> Parcel | None:
        """Note that the page has drawn a frame, and return what is to be sent now, if anything.

        Parameters
        ----------
        seq : int
            The frame's number; if it is an old one, and the newest is overdue, that was lost on its way.
        route : contextvars.Context, optional
            The context in which the page is answered. None: as before.
        took_s : float, optional
            How long the page took to draw it, in seconds. None: it did not say.
        """
        with _GATE:
            if self._shut:
                return None
            self._hear(route)
            self._answers = True
            if seq >= self._seq:
                self._under_way = False
                self._pace.heard(self._clock(), took_s)
                if self._on_drawn is not None:
                    self._on_drawn()
                return self._next_parcel()
            return self._frame(diff(None, self._latest), base=-1) if self._overdue() else None

    def show(self) -> None:
        """Display the plot here, too; `close` then leaves a static figure wherever it is shown."""
        from IPython import display

        shown_as = getattr(self._handle, "display_id", True)
        handle = display.display(self._bundle(), raw=True, display_id=shown_as)  # type: ignore[no-untyped-call]
        with _GATE:
            self._handle = handle

    def close(self) -> None:
        """Stop: nothing more is sent, and a plot that was shown becomes a static figure."""
        # Also called by the base class's `__del__`, perhaps on an object that was never finished.
        if not hasattr(self, "_handle") or self._shut:
            super().close()
            return
        with _GATE:
            self._shut = True
            handle, self._handle, self._route = self._handle, None, None
        layout = self.layout
        super().close()
        layout.close()
        # The base class put None there to hide the closed widget; this one can still be shown as a static
        # figure.
        self.__dict__.pop("_repr_mimebundle_", None)
        if handle is not None:
            handle.update(self._bundle(), raw=True)

    def static(self, *, compact: bool = False) -> dict[str, Any]:
        """Return the newest frame as plain JSON.

        Parameters
        ----------
        compact : bool
            Write arrays as plotly's typed arrays, in base64, instead of as lists.

        Returns
        -------
        dict
            A plotly figure specification without numpy arrays.
        """
        return unpack(self._latest, compact=compact)

    def __repr__(self) -> str:
        parts = self._latest.parts
        traces, numbers = len(parts) - 1, sum(len(array) for part in parts for array in part.arrays)
        state = "closed" if self._shut else "open"
        return f"LivePlot({traces} trace{'s' * (traces != 1)}, {numbers} numbers, {state})"

    def _ipython_display_(self) -> None:
        # Instead of a plain result: only what was displayed with a handle can become a static figure later.
        self.show()

    def _repr_mimebundle_(self, **_kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._bundle(), {}

    def _bundle(self) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        if has_kernel():
            bundle[_PLOTLY_MIME] = {**self.static(compact=True), "config": _STATIC_CONFIG}
            if not self._shut:
                bundle["application/vnd.jupyter.widget-view+json"] = self.get_view_spec()
        return bundle

    def receive(self, content: Any) -> None:
        """Do what the page asks for, or note what it says."""
        # Runs in the main thread or in one of the kernel's subshells: it only notes and sends.
        kind, seqs = content.get("kind"), content.get("seqs")
        if kind == "ready":
            self._answer(wants_library=content.get("plotly") is True, again=content.get("again") is True)
        elif kind == "drawn" and isinstance(seqs, dict):
            took = content.get("took")
            self._note(seqs, took / 1000 if isinstance(took, int | float) else None)

    def _note(self, seqs: dict[Any, Any], took_s: float | None) -> None:
        # The page answers for all its plots at once.
        route = contextvars.copy_context()
        found = [(_PLOTS.get(str(number)), seq) for number, seq in seqs.items()]
        drawn = [(plot, seq) for plot, seq in found if plot is not None and isinstance(seq, int)]
        with _GATE:
            parcels = [plot.acknowledge(seq, route, took_s) for plot, seq in drawn]
            self.carry(filter(None, parcels))

    def _answer(self, *, wants_library: bool, again: bool) -> None:
        # What was asked before it came unasked may be answered after: then the page is to ask again.
        buffers = [library()] if wants_library and (again or not OFFER.taken) else []
        with _GATE:
            if not self._shut:
                self._hear(contextvars.copy_context())
                if wants_library:
                    self._post({"kind": "plotly"}, buffers)
                self.carry([self._frame(diff(None, self._latest), base=-1)])

    def _hear(self, route: contextvars.Context | None) -> None:
        self.heard.set()
        SEEN.set()
        # ipykernel 7 has the page's answers handled where the last message came from. Sent in this context,
        # frames are acknowledged in the subshell that the page talks to, and not behind the cell that is
        # running.
        self._route = route or self._route

    def _overdue(self) -> bool:
        return self._clock() - self._sent_at >= self._timeout_s

    def _next_parcel(self, *, force: bool = False) -> Parcel | None:
        if self._under_way and not force and not self._overdue():
            return None
        if self._under_way and self._overdue():
            self._answers = False
            self._pace.lose()
        if self._under_way and self._clock() - self._sent_at > 3 * self._timeout_s:
            # Perhaps the page with that subshell is gone: let answers come by the main thread again.
            self._route = None
        self._offer_library()
        delta = diff(self._sent, self._latest)
        if not delta:
            return None
        return self._frame(delta, base=self._seq if self._sent is not None else -1)

    def _frame(self, delta: Delta, *, base: int) -> Parcel:
        self._seq += 1
        now = self._clock()
        # A whole figure takes longer than a frame, and what comes sooner than the page draws is one too many.
        asked = base < 0 or self.due_in_s > 0 or not self._pace.is_kept(now)
        self._sent, self._under_way, self._sent_at = self._latest, asked, now
        frame = {"plot": self.number, "seq": self._seq, "base": base, "ops": delta.ops}
        if asked:
            frame["ask"] = True
        if delta.order is not None:
            frame["order"] = delta.order
        if delta.patches:
            frame["patches"] = delta.patches
        return frame, delta.values

    def _post(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        if self._route is None:
            self.layout.send(message, buffers)
        else:
            # A copy, since a context can be entered only once at a time.
            self._route.copy().run(self.layout.send, message, buffers)

    def _offer_library(self) -> None:
        # While a cell runs, a page's first question may wait until its end. So that plots begin to move
        # meanwhile, the library is sent unasked, by one plot for all, if nothing was heard of any page.
        if self.heard.is_set():
            return
        self._first_at = self._first_at or self._clock()
        if self._clock() - self._first_at > self._unheard_s and has_kernel() and OFFER.take():
            self._post({"kind": "plotly"}, [library()])


def push_together(frames: Iterable[tuple[LivePlot, Mapping[str, Any]]], *, force: bool = False) -> None:
    """Make these the newest frames of plots on one page, with one message, which it answers with one.

    Parameters
    ----------
    frames : iterable of (LivePlot, mapping)
        A plotly figure specification for each plot; their arrays are copied.
    force : bool
        Send them without waiting; see `LivePlot.push`.
    """
    packed = [(plot, pack(spec, plot.latest)) for plot, spec in frames]
    with _GATE:
        staged = [(plot, plot.stage(frame, force=force)) for plot, frame in packed]
        sent = [(plot, parcel) for plot, parcel in staged if parcel is not None]
        if sent:
            sent[0][0].carry(parcel for _, parcel in sent)


def _hand_over(number: str, _layout: Any, content: Any, _buffers: Any) -> None:
    if (plot := _PLOTS.get(number)) is not None:
        plot.receive(content)


_PLOTS: Final = weakref.WeakValueDictionary[str, LivePlot]()
