"""LivePlot without a browser: what it sends, when it sends it, and that nothing of it stays behind."""

from __future__ import annotations

import gc
import gzip
import json
import threading
import weakref
from base64 import b64decode
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets import Widget

from chaosnb.notebook.ahead import send_ahead
from chaosnb.notebook.delta import pack, unpack
from chaosnb.notebook.kernel import has_kernel, warm_up
from chaosnb.notebook.live_plot import LivePlot, push_together
from chaosnb.notebook.pace import Pace
from chaosnb.notebook.plotlyjs import Offer, library
from tests.plot_page import applied, same


class Page:
    """The page's half of the protocol, as live_plot.js has it, without drawing."""

    def __init__(self) -> None:
        self.seq = -1
        self.parts: list[Any] = []
        self.kinds: list[str] = []
        self.sizes: list[int] = []
        self.library: bytes | None = None
        self.others: dict[int, Page] = {}
        self.asked: list[bool] = []

    def take(self, message: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        # What does not survive JSON cannot be sent.
        message = json.loads(json.dumps(message, allow_nan=False))
        self.sizes.append(len(json.dumps(message)) + sum(map(len, buffers)))
        if message["kind"] == "plotly":
            self.kinds.append("plotly" if buffers else "no plotly")
            self.library = buffers[0] if buffers else self.library
            return
        for frame, values in zip(message["frames"], buffers, strict=True):
            self.others.get(frame["plot"], self).draw(frame, values)

    def draw(self, frame: dict[str, Any], values: bytes) -> None:
        self.kinds.append("full" if frame["base"] < 0 else "delta")
        self.asked.append(frame.get("ask", False))
        if frame["base"] in (-1, self.seq):
            self.parts = applied(self.parts if frame["base"] >= 0 else [], frame, values)
            self.seq = frame["seq"]

    def shows(self, spec: dict[str, Any]) -> bool:
        return same(self.parts, pack(spec))


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def wired(clock: Clock | None = None, spec: dict[str, Any] | None = None) -> tuple[LivePlot, Page]:
    plot, page = LivePlot(spec, clock=clock or Clock()), Page()
    plot.layout.send = page.take
    return plot, page


def says(plot: LivePlot, **content: Any) -> None:
    """Have the page say something, by the way that a real one's messages take."""
    if "seq" in content:
        content["seqs"] = {str(plot.number): content.pop("seq")}
    tell(plot, content)


def answer(plot: LivePlot, seqs: dict[str, Any], **more: Any) -> None:
    tell(plot, {"kind": "drawn", "seqs": seqs, **more})


def tell(plot: LivePlot, content: dict[str, Any]) -> None:
    plot.layout.comm.handle_msg(
        {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
    )


def sine(start: float, length: int = 300, name: str = "sine") -> dict[str, Any]:
    x = np.arange(start, start + length)
    return {"data": [{"name": name, "x": x, "y": np.sin(x)}], "layout": {"title": {"text": "waves"}}}


def decoded(array: dict[str, str]) -> np.ndarray:
    """A typed array of plotly's."""
    return np.frombuffer(b64decode(array["bdata"]), f"<{array['dtype']}")


def open_widgets() -> set[str]:
    return set(Widget.get_manager_state()["state"])


@pytest.fixture(autouse=True)
def _close_widgets() -> Iterator[None]:
    yield
    Widget.close_all()


NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -0.0, float("nan"), float("inf")])


@st.composite
def frames(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some figures in a row: time series that move on, change at the tail, jump, grow traces or titles."""
    made = []
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, 12))
        traces = []
        for number in range(draw(st.sampled_from([1, 1, 1, 2]))):
            length = draw(st.integers(0, 8))
            x = np.arange(start, start + length, dtype=draw(st.sampled_from(["f8", "i4", "f4"])))
            # Values that depend on x alone, but for a tail that is being written to.
            y = np.where(x % 3 == 0, np.nan, x * 1.5)
            for place in range(draw(st.integers(0, length))):
                y[length - 1 - place] = draw(NUMBERS)
            extra = {"marker": {"size": draw(st.lists(NUMBERS, max_size=3).map(np.array))}}
            traces.append({"name": f"t{number}", "y": y, "x": x, "customdata": y[::2], **extra})
        title = {"text": draw(st.sampled_from(["A", "A", "A", "B"]))}
        made.append({"data": traces, "layout": {"title": title}})
    return made


@given(frames())
def test_what_is_sent_adds_up_to_the_newest_frame(made: list[dict[str, Any]]) -> None:
    """The law of the deltas: whatever the frames, the page has exactly the last one, bit for bit."""
    plot, page = wired()
    for spec in made:
        plot.push(spec)
        assert page.shows(spec)
        says(plot, kind="drawn", seq=page.seq)
    plot.close()


@given(frames(), st.data())
def test_the_newest_frame_arrives_whatever_is_acknowledged_when(
    made: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Late, missing and repeated answers, questions and pauses in between: at the end all is up to date."""
    clock = Clock()
    plot, page = wired(clock)
    for spec in made:
        plot.push(spec)
        action = data.draw(st.sampled_from(["drawn", "old", "ready", "wait", "nothing", "reload"]))
        if action == "wait":
            clock.now_s += 1.0
        elif action == "reload":
            page.seq = -1
        elif action == "ready":
            says(plot, kind="ready", plotly=False)
        elif action != "nothing":
            took = data.draw(st.sampled_from([None, 0, 50, 5000, "long", -1]))
            says(plot, kind="drawn", seq=page.seq - (action == "old"), took=took)
            clock.now_s += data.draw(st.sampled_from([0.0, 0.1]))
    if page.seq < 0:
        says(plot, kind="ready", plotly=False)
    says(plot, kind="drawn", seq=page.seq)
    assert page.shows(made[-1])
    plot.close()


def test_a_frame_that_moves_on_costs_little() -> None:
    """One more of 300 points is some hundred bytes, not thousands."""
    plot, page = wired()
    for start in range(10):
        plot.push(sine(start))
        says(plot, kind="drawn", seq=page.seq)
    assert page.kinds == ["full"] + ["delta"] * 9
    assert max(page.sizes[1:]) < 200
    assert page.sizes[0] > 4800


def test_its_script_stays_small() -> None:
    """What runs in other people's pages can be read in one sitting."""
    script = resources.files("chaosnb.notebook").joinpath("live_plot.js").read_text("utf-8")
    assert len(script.splitlines()) <= 250


def test_an_unchanged_frame_is_not_sent() -> None:
    plot, page = wired()
    plot.push(sine(0))
    says(plot, kind="drawn", seq=page.seq)
    plot.push(sine(0))
    assert page.kinds == ["full"]
    assert plot.due


def test_another_trace_title_or_name_sends_no_more_than_that() -> None:
    """A plot whose lines come and go does not cost the whole of it each time."""
    plot, page = wired()
    one, two = sine(0), sine(1)
    for spec in (one, {**two, "data": [sine(2, 5, "new")["data"][0], *two["data"]]}, {**two, "layout": {}}):
        plot.push(spec)
        says(plot, kind="drawn", seq=page.seq)
        assert page.shows(spec)
    assert page.kinds == ["full", "delta", "delta"]
    assert max(page.sizes[1:]) < 400


def test_the_next_frame_waits_for_the_last_to_be_drawn_and_is_the_newest() -> None:
    plot, page = wired()
    plot.push(sine(0))
    assert not plot.due
    plot.push(sine(1))
    plot.push(sine(2))
    assert page.kinds == ["full"]
    says(plot, kind="drawn", seq=page.seq)
    assert page.kinds == ["full", "delta"]
    assert page.shows(sine(2))
    # An answer to an older frame, come late, is not one to this.
    says(plot, kind="drawn", seq=page.seq - 1)
    plot.push(sine(3))
    assert page.shows(sine(2))


def test_a_page_that_keeps_pace_is_asked_once_a_second_and_never_gets_two_frames_at_a_time() -> None:
    """By its own word on how long a frame takes it; what is sent sooner all the same is asked for."""
    clock = Clock()
    plot, page = wired(clock)
    plot.push(sine(0))
    says(plot, kind="drawn", seq=page.seq, took=100)
    assert not plot.due
    assert plot.due_in_s == pytest.approx(0.12)
    for tick in range(1, 21):
        clock.now_s += 0.125
        assert plot.due
        plot.push(sine(tick))
        assert page.shows(sine(tick))
        assert plot.awaited == page.asked[-1]
        if page.asked[-1]:
            says(plot, kind="drawn", seq=page.seq, took=100)
    assert [place for place, asked in enumerate(page.asked) if asked] == [0, 8, 16]
    # Two at once: the second is asked for, and the third waits for the answer.
    clock.now_s += 0.125
    for tick in (30, 31, 32):
        plot.push(sine(tick))
    assert page.shows(sine(31))
    assert page.asked[-1]
    assert plot.awaited
    says(plot, kind="drawn", seq=page.seq, took=100)
    assert page.shows(sine(32))


@pytest.mark.parametrize("took", [None, 500, "long", -1])
def test_a_page_that_does_not_keep_pace_is_asked_each_time(took: object) -> None:
    """So it is where it says nothing of it, or nothing that makes sense."""
    clock = Clock()
    plot, page = wired(clock)
    for tick in range(5):
        plot.push(sine(tick))
        assert not plot.due
        says(plot, kind="drawn", seq=page.seq, took=took)
        assert plot.due
        clock.now_s += 0.1
    assert page.asked == [True] * 5


def test_a_page_that_falls_silent_is_asked_within_a_second_and_then_gets_a_frame_a_second() -> None:
    clock = Clock()
    plot, page = wired(clock)
    plot.push(sine(0))
    says(plot, kind="drawn", seq=page.seq, took=50)
    for tick in range(1, 51):
        clock.now_s += 0.125
        plot.push(sine(tick))
    assert page.asked == [True, *[False] * 7, *[True] * 6]


def test_plots_of_one_page_share_its_pace() -> None:
    """One answer is enough for all of them, so they are asked together."""
    clock, pace = Clock(), Pace()
    plots = [LivePlot(clock=clock, pace=pace) for _ in range(2)]
    pages = [Page(), Page()]
    for plot, page in zip(plots, pages, strict=True):
        plot.layout.send = page.take
        plot.push(sine(0))
    answer(plots[0], {str(plot.number): 1 for plot in plots}, took=20)
    clock.now_s += 0.9
    for plot in plots:
        plot.push(sine(1))
    assert [page.asked for page in pages] == [[True, False]] * 2


def test_a_silent_page_gets_a_frame_a_second() -> None:
    clock = Clock()
    plot, page = wired(clock)
    for tick in range(50):
        plot.push(sine(tick))
        clock.now_s += 0.1
    assert len(page.kinds) == 5
    assert page.kinds == ["full"] + ["delta"] * 4
    clock.now_s += 1.0
    assert plot.due


def test_a_forced_frame_does_not_wait() -> None:
    plot, page = wired()
    plot.push(sine(0))
    plot.push(sine(1), force=True)
    assert page.shows(sine(1))


def test_ready_is_answered_with_everything_even_if_a_frame_is_under_way() -> None:
    plot, page = wired()
    plot.push(sine(0))
    plot.push(sine(5))
    page.seq = -1
    says(plot, kind="ready", plotly=False)
    assert page.kinds == ["full", "full"]
    assert page.shows(sine(5))
    assert page.library is None


def test_one_message_answers_for_all_plots_of_the_page() -> None:
    """Whichever plot it comes by; what names no plot of this kernel does no harm."""
    plots, pages = zip(*(wired() for _ in range(3)), strict=True)
    for plot in plots:
        plot.push(sine(0))
        assert not plot.due
    seqs = {str(plot.number): page.seq for plot, page in zip(plots[:2], pages, strict=False)}
    answer(plots[2], {**seqs, "-1": 7, "no number": 1, str(plots[2].number): "1"})
    assert [plot.due for plot in plots] == [True, True, False]


def test_frames_of_several_plots_go_with_one_message_and_so_do_the_next_ones() -> None:
    """What is pushed together, or waits for one answer, is one message; what is unchanged is not sent."""
    plots, pages = zip(*(wired() for _ in range(3)), strict=True)
    for page in pages:
        page.others = {plot.number: other for plot, other in zip(plots, pages, strict=True)}
    push_together((plot, sine(start)) for start, plot in enumerate(plots))
    assert [len(page.sizes) for page in pages] == [1, 0, 0]
    assert all(page.shows(sine(start)) for start, page in enumerate(pages))
    assert not any(plot.due for plot in plots)
    # While they are drawn, two of them change.
    push_together((plot, sine(start + 5 * (start > 0))) for start, plot in enumerate(plots))
    assert [len(page.sizes) for page in pages] == [1, 0, 0]
    seqs = {str(plot.number): page.seq for plot, page in zip(plots, pages, strict=True)}
    answer(plots[2], seqs)
    assert sum(len(page.sizes) for page in pages) == 2
    assert [page.kinds for page in pages] == [["full"], ["full", "delta"], ["full", "delta"]]
    assert pages[0].shows(sine(0))
    assert pages[1].shows(sine(6))
    assert pages[2].shows(sine(7))
    plots[0].close()
    push_together([(plots[0], sine(8))], force=True)
    assert pages[0].shows(sine(0))


def test_who_waits_for_a_page_is_told_and_a_page_that_never_answers_is_not_awaited() -> None:
    clock, told = Clock(), []
    plot, page = LivePlot(clock=clock, on_drawn=lambda: told.append(plot.due)), Page()
    plot.layout.send = page.take
    plot.push(sine(0))
    assert not plot.due
    assert not plot.awaited
    says(plot, kind="drawn", seq=page.seq)
    assert told == [True]
    plot.push(sine(1))
    assert plot.awaited
    clock.now_s += 1.0
    assert not plot.awaited
    plot.push(sine(2))
    assert not plot.due
    assert not plot.awaited
    says(plot, kind="drawn", seq=page.seq)
    plot.push(sine(3))
    assert plot.awaited


def test_a_frame_that_was_lost_on_its_way_is_made_up_for() -> None:
    """A page that was cut off says again what it has drawn last; nothing else need happen."""
    clock = Clock()
    plot, page = wired(clock)
    plot.push(sine(0))
    says(plot, kind="drawn", seq=page.seq)
    seen, page.seq = page.seq, -2
    plot.push(sine(1))
    page.seq = seen
    says(plot, kind="drawn", seq=seen)
    assert page.kinds == ["full", "delta"]
    clock.now_s += 5.0
    says(plot, kind="drawn", seq=seen)
    assert page.kinds == ["full", "delta", "full"]
    assert page.shows(sine(1))
    says(plot, kind="drawn", seq=page.seq)
    says(plot, kind="drawn", seq=page.seq)
    assert len(page.kinds) == 3


def test_ready_is_answered_before_anything_was_pushed() -> None:
    plot, page = wired()
    says(plot, kind="ready", plotly=False)
    assert page.shows({"data": [], "layout": {}})


def test_the_library_goes_to_the_page_that_asks_and_nowhere_else() -> None:
    plot, page = wired()
    says(plot, kind="ready", plotly=True)
    assert page.kinds == ["plotly", "full"]
    assert page.library == library()
    source = gzip.decompress(library())
    assert b"plotly.js v" in source[:100]
    # Neither a notebook with its widgets' state nor the opening of the plot holds it.
    state = json.dumps(plot.get_state(), default=str)
    assert "plotly.js v" not in state
    assert len(state) < 20_000
    # Nor does the page's half fetch anything from elsewhere.
    assert "http" not in plot.get_state()["_esm"]


@pytest.mark.parametrize(
    "content",
    [{}, {"kind": "drawn"}, {"kind": "drawn", "seq": "1"}, {"kind": "ready", "plotly": "yes"}, {"kind": 7}],
)
def test_messages_that_no_page_of_ours_sends_do_no_harm(content: dict[str, Any]) -> None:
    plot, page = wired()
    plot.push(sine(0))
    says(plot, **content)
    assert page.library is None
    says(plot, kind="drawn", seq=page.seq)
    plot.push(sine(1))
    assert page.shows(sine(1))


def test_arrays_are_copied_when_they_are_pushed() -> None:
    plot, page = wired()
    spec = sine(0)
    plot.push(spec)
    spec["data"][0]["y"][:] = 7
    says(plot, kind="drawn", seq=page.seq)
    plot.push(spec)
    assert page.shows(spec)
    assert page.kinds == ["full", "delta"]


def test_threads_may_push_at_once() -> None:
    """Every frame the page has is one that was pushed, and the last one arrives."""
    plot, page = wired()

    def push(first: int) -> None:
        for start in range(first, first + 50):
            plot.push(sine(start))
            says(plot, kind="drawn", seq=page.seq)

    threads = [threading.Thread(target=push, args=(first,)) for first in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    plot.push(sine(9000), force=True)
    assert page.shows(sine(9000))


def test_closing_sends_nothing_more_and_leaves_a_figure() -> None:
    plot, page = wired()
    plot.push(sine(0))
    sent = len(page.kinds)
    plot.close()
    plot.close()
    plot.push(sine(1), force=True)
    plot.tell("too late")
    says_late = {"kind": "ready", "plotly": True}
    plot.receive(says_late)
    assert len(page.kinds) == sent
    assert plot.problem == ""
    assert plot.closed
    assert not plot.due
    bundle, _ = plot._repr_mimebundle_()
    assert bundle["text/plain"] == "LivePlot(1 trace, 600 numbers, closed)"
    assert plot.static()["data"][0]["y"][0] == 0


def test_a_closed_plot_is_released() -> None:
    """Neither ipywidgets, nor the comm, nor a thread keeps it or any part of it."""
    before = open_widgets()
    plots = [LivePlot(sine(0)) for _ in range(20)]
    refs = [weakref.ref(plot) for plot in plots]
    for plot in plots:
        plot.push(sine(1))
        says(plot, kind="ready", plotly=False)
        plot.close()
    assert not open_widgets() - before
    del plot, plots
    gc.collect()
    assert [ref() for ref in refs] == [None] * 20


def test_without_a_kernel_there_is_only_text() -> None:
    assert not has_kernel()
    bundle, metadata = LivePlot(sine(0))._repr_mimebundle_()
    assert bundle == {"text/plain": "LivePlot(1 trace, 600 numbers, open)"}
    assert metadata == {}


def test_a_kernel_gets_ready_for_its_first_plot_before_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert warm_up() is None
    monkeypatch.setattr("chaosnb.notebook.kernel.has_kernel", lambda: True)
    library.cache_clear()
    send_ahead.cache_clear()
    before = open_widgets()
    thread = warm_up(sleep=lambda _seconds: None)
    assert thread is not None
    thread.join(30)
    assert library.cache_info().currsize == 1
    assert not open_widgets() - before


@pytest.mark.parametrize("asks", [False, True])
def test_a_page_has_plotly_js_before_the_first_plot(monkeypatch: pytest.MonkeyPatch, asks: bool) -> None:
    """Once, whether or not the kernel was free to hear it ask; the plot that brought it is gone."""
    monkeypatch.setattr("chaosnb.notebook.live_plot.has_kernel", lambda: True)
    monkeypatch.setattr("chaosnb.notebook.live_plot.OFFER", Offer())
    clock, page, found = Clock(), Page(), []

    def noted(plot: LivePlot, *frame: Any, push: Any = LivePlot.push, **how: Any) -> None:
        plot.layout.send = page.take
        found.append(plot)
        push(plot, *frame, **how)

    def sleep(seconds: float) -> None:
        if asks and "plotly" not in page.kinds:
            says(found[0], kind="ready", plotly=True)
        clock.now_s += seconds

    monkeypatch.setattr(LivePlot, "push", noted)
    for _ in range(2):
        send_ahead(clock=clock, sleep=sleep)
    assert page.kinds.count("plotly") == 1
    assert page.library == library()
    assert found[0].closed


def test_what_came_unasked_comes_again_only_where_the_page_says_that_it_did_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A question that waited for the end of a cell is answered with whether it still holds."""
    monkeypatch.setattr("chaosnb.notebook.live_plot.has_kernel", lambda: True)
    monkeypatch.setattr("chaosnb.notebook.live_plot.OFFER", Offer())
    clock = Clock()
    plot, page = wired(clock)
    plot.push(sine(0))
    clock.now_s += 3
    plot.push(sine(1))
    assert page.kinds.count("plotly") == 1
    says(plot, kind="ready", plotly=True)
    assert page.kinds[-2:] == ["no plotly", "full"]
    says(plot, kind="ready", plotly=True, again=True)
    assert page.kinds[-2:] == ["plotly", "full"]


def test_in_a_kernel_there_is_a_view_and_a_static_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosnb.notebook.live_plot.has_kernel", lambda: True)
    plot = LivePlot(sine(0))
    bundle, _ = plot._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == plot.model_id
    figure = bundle["application/vnd.plotly.v1+json"]
    assert decoded(figure["data"][0]["x"])[:3].tolist() == [0, 1, 2]
    assert decoded(go.Figure(figure["data"]).data[0].x)[:3].tolist() == [0, 1, 2]
    assert len(json.dumps(bundle, allow_nan=False, indent=1)) < 5_000
    plot.close()
    bundle, _ = plot._repr_mimebundle_()
    assert sorted(bundle) == ["application/vnd.plotly.v1+json", "text/plain"]


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_the_figure_in_a_notebook_has_the_numbers_to_six_digits(numbers: list[float]) -> None:
    """What plotly makes of it; times keep all their digits."""
    times = np.arange(len(numbers)) + 1_767_225_600_000.0
    figure = unpack(pack({"data": [{"x": times, "y": np.array(numbers, dtype=float)}]}), compact=True)
    (trace,) = json.loads(json.dumps(figure, allow_nan=False))["data"]
    np.testing.assert_array_equal(decoded(trace["x"]), times)
    np.testing.assert_allclose(decoded(trace["y"]), numbers, rtol=1e-6)


@given(st.lists(NUMBERS, max_size=20))
def test_the_static_figure_is_json_close_to_the_numbers(numbers: list[float]) -> None:
    (trace,) = unpack(pack({"data": [{"y": np.array(numbers, dtype=float)}]}))["data"]
    json.dumps(trace, allow_nan=False)
    for number, shown in zip(numbers, trace["y"], strict=True):
        assert (shown is None) == (not np.isfinite(number))
        assert shown is None or shown == pytest.approx(number, rel=1e-5)
