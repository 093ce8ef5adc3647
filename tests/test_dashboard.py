"""The dashboard against a stream of known numbers, and once against the simulated node."""

from __future__ import annotations

import gc
import re
import threading
import time
import weakref
import xml.etree.ElementTree as ET
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import msgspec
import numpy as np
import pandas as pd
import pytest

import chaosnb
from chaosnb.figures import FIGURES
from chaosnb.ingest.gaps import Gap
from chaosnb.ingest.status import Status
from chaosnb.notebook.controls import WINDOWS
from chaosnb.notebook.dashboard import Dashboard
from chaosnb.notebook.leaving import SEEN
from chaosnb.notebook.live_plot import LivePlot
from chaosnb.notebook.single import plot
from chaosnb.tables.ledgers import gap_frame

HOSTILE = "<img src=x onerror=alert(1)>"
SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class FakeStream:
    """A stream that has as many seconds of data as it is told, and remembers what it was asked."""

    closed: bool = False
    ended: bool = False
    seconds: int = 5
    agents: tuple[str, ...] = ("a", "b", HOSTILE)
    asked: list[tuple[str, float | None]] = field(default_factory=list)
    exported: list[tuple[str, str]] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    folder: Path = Path("capture")
    topics: tuple[str, ...] = ("blocks", "consensus")
    chosen: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def personalities(self) -> dict[str, str]:
        return {"a": "chaotic", "b": "lawful", HOSTILE: HOSTILE}

    def subscribe(self, topics: str) -> None:
        if "subscribe" in self.failing:
            raise self.failing["subscribe"]
        self.topics += (topics,)

    def unsubscribe(self, topics: str) -> None:
        self.topics = tuple(topic for topic in self.topics if topic != topics)

    @property
    def status(self) -> Status:
        numbers = {"events": self.seconds, "events_per_s": 12.5, "lag_s": 0.25, "memory_bytes": 3_400_000}
        none = dict.fromkeys(("drift", "filtered", "duplicates", "late"), 0)
        where = {"url": f"ws://node/{HOSTILE}", "simulated": True, "topics": ("blocks",)}
        state = "closed" if self.closed else "ended" if self.ended else "live"
        known = {"state": state, "gaps": 1, "rejects": 2, "connection_id": None, "error": None}
        return Status(**known, **numbers, **none, **where)

    @property
    def received(self) -> int:
        return self.seconds

    @property
    def gaps(self) -> pd.DataFrame:
        start_us = 1_772_323_201_000_000  # 2026-03-01T00:00:01Z
        return gap_frame([Gap(start_us, start_us + 1_000_000, "disconnected", ("blocks",), "possible")])

    def aggregate_arrays(
        self, name: str, window_s: float | None = 600, points: int = 300, **how: Any
    ) -> pd.DataFrame:
        self.asked.append((name, window_s))
        self.chosen[name] = how
        if name in self.failing:
            raise self.failing[name]
        time = pd.date_range("2026-03-01", periods=self.seconds, freq="s", tz="UTC", unit="us")
        step = np.arange(self.seconds)
        if name == "reputation":
            frames = [
                pd.DataFrame({"agent_id": agent, "time": time, "score": step * 1.0})
                for agent in sorted(self.agents)
            ]
            return pd.concat(frames, ignore_index=True)
        columns = {
            "tps": {"reported": step * 1.0, "observed": step * 2.0},
            "decisions": dict.fromkeys(("approve", "reject", "other"), step) | {"approval_rate": step / 10},
            "sentiment": dict.fromkeys(("positive", "neutral", "negative", "other"), step)
            | {"sentiment_index": step / 10},
        }
        return pd.DataFrame({"time": time, **columns[name]})

    def export(self, folder: str, format: str = "parquet", *, quiet: bool = False) -> Path:
        assert quiet
        self.exported.append((folder, format))
        if "export" in self.failing:
            raise self.failing["export"]
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "block_proposal.csv").write_text("x")
        return self.folder


@pytest.fixture
def stream() -> Iterator[FakeStream]:
    made = FakeStream()
    yield made
    made.closed = True
    until(lambda: not writers())
    widgets.Widget.close_all()


def until(happened: Callable[[], Any], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def until_told_again(dashboard: Dashboard) -> None:
    """Status and switches are shown in turn: when the status came twice, so did the switches once."""
    for _ in range(2):
        dashboard.controls.status.value = ""
        until(lambda: dashboard.controls.status.value)


def points(live: LivePlot) -> int:
    return len(live.static()["data"][-1]["x"])


def pictured(bundle: dict[str, Any]) -> ET.Element:
    """The still picture in a bundle."""
    _, _, image = bundle["text/html"].partition("base64,")
    return ET.fromstring(b64decode(image.partition('"')[0]))


def titles(dashboard: Dashboard) -> dict[str, str]:
    return {name: live.static()["layout"]["title"]["text"] for name, live in dashboard.plots.items()}


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "chaosnb-writer"]


def open_widgets() -> set[str]:
    return set(widgets.Widget.get_manager_state()["state"])


def test_it_shows_four_plots_and_the_state_at_once(stream: FakeStream) -> None:
    dashboard = Dashboard(stream)
    assert list(dashboard.plots) == list(FIGURES)
    assert [points(live) for live in dashboard.plots.values()] == [5] * 4
    words = dashboard.controls.status.value
    for part in (
        "live",
        "simulated",
        "5 events",
        "12.5 events/s",
        "processing lag 0.25 s",
        "gaps 1",
        "rejects 2",
        "3.4 MB",
    ):
        assert part in words
    # The gap in the data is in sight in each plot.
    assert all(len(live.static()["layout"]["shapes"]) == 1 for live in dashboard.plots.values())
    dashboard.close()


def test_text_from_the_node_is_escaped(stream: FakeStream) -> None:
    stream.failing["tps"] = ValueError(HOSTILE)
    dashboard = Dashboard(stream)
    controls = dashboard.controls
    for part in (controls.status, controls.problems):
        assert "onerror" in part.value
        assert "<img" not in part.value
    dashboard.close()


def test_it_follows_the_stream_and_ends_with_it(stream: FakeStream) -> None:
    """After the stream's end it draws once more, and its thread is gone."""
    dashboard = Dashboard(stream, fps=10)
    stream.seconds = 9
    until(lambda: [points(live) for live in dashboard.plots.values()] == [9] * 4)
    assert len(writers()) == 1
    stream.seconds, stream.closed = 11, True
    until(lambda: not writers())
    assert [points(live) for live in dashboard.plots.values()] == [11] * 4
    assert "closed" in dashboard.controls.status.value
    # The controls work after that.
    dashboard.controls.window.value = "1 min"
    until(lambda: ("tps", 60.0) in stream.asked)
    dashboard.close()


def test_the_next_frame_is_drawn_when_the_page_has_drawn_the_last(stream: FakeStream) -> None:
    """Not only at the next turn of a slow clock."""
    dashboard = Dashboard(stream, fps=0.1)
    lives = dashboard.plots.values()

    def answer() -> None:
        for live in lives:
            live.acknowledge(1000)

    answer()
    stream.seconds, dashboard.controls.window.value = 9, "1 min"
    until(lambda: [points(live) for live in lives] == [9] * 4)
    stream.seconds, dashboard.controls.window.value = 11, "5 min"
    time.sleep(0.2)
    assert [points(live) for live in lives] == [9] * 4
    answer()
    until(lambda: [points(live) for live in lives] == [11] * 4, timeout_s=5.0)
    dashboard.close()


def test_pause_holds_the_plots_but_not_the_state(stream: FakeStream) -> None:
    dashboard = Dashboard(stream, fps=10)
    dashboard.controls.pause.value = True
    assert dashboard.paused
    until(lambda: "plots paused" in dashboard.controls.status.value, timeout_s=0.7)
    time.sleep(0.3)
    stream.seconds = 9
    until(lambda: "9 events" in dashboard.controls.status.value)
    assert [points(live) for live in dashboard.plots.values()] == [5] * 4
    dashboard.paused = False
    until(lambda: [points(live) for live in dashboard.plots.values()] == [9] * 4)
    until(lambda: "paused" not in dashboard.controls.status.value)
    dashboard.close()


def test_the_window_is_what_the_stream_is_asked_for(stream: FakeStream) -> None:
    dashboard = Dashboard(stream, window_s=300.0)
    assert {window for _, window in stream.asked} == {300.0}
    assert (
        list(dashboard.controls.window.options) == list(WINDOWS) == ["1 min", "5 min", "10 min", "1 h", "all"]
    )
    dashboard.controls.window.value = "all"
    until(lambda: {name for name, window in stream.asked if window is None} == set(FIGURES))
    dashboard.close()


def test_agents_can_be_chosen_and_the_choice_outlives_new_agents(stream: FakeStream) -> None:
    dashboard = Dashboard(stream, fps=10)
    control = dashboard.controls.agents
    assert control.options == tuple((agent, agent) for agent in sorted(stream.agents))
    assert dashboard.controls.personalities.options == ((HOSTILE,) * 2, ("chaotic",) * 2, ("lawful",) * 2)
    assert titles(dashboard)["reputation"] == "Reputation: top movers"
    control.value = ("b",)

    def drawn() -> list[str]:
        return [trace["name"] for trace in dashboard.plots["reputation"].static()["data"]]

    until(lambda: drawn() == ["b"])
    stream.agents, stream.seconds = ("a", "b", "c"), 6
    until(lambda: ("c", "c") in control.options)
    assert control.value == ("b",)
    assert drawn() == ["b"]
    control.value = ()
    until(lambda: set(drawn()) == {"a", "b", "c"})
    dashboard.close()


def test_a_choice_filters_every_plot_and_says_so(stream: FakeStream) -> None:
    """Each aggregate is asked for the chosen alone, and each title tells; 'Show all' ends it."""
    dashboard = Dashboard(stream, fps=10)
    controls = dashboard.controls
    assert all(how["agents"] == how["personalities"] == () for how in stream.chosen.values())
    assert not any("chosen" in title for title in titles(dashboard).values())
    controls.personalities.value, controls.agents.value = ("chaotic",), ("a",)
    until(lambda: all("chosen agents" in title for title in titles(dashboard).values()))
    assert "reported: all" in titles(dashboard)["tps"]
    for how in stream.chosen.values():
        assert how == {"resolution_s": None, "agents": ("a",), "personalities": ("chaotic",)}
    controls.everyone.click()
    assert (controls.personalities.value, controls.agents.value) == ((), ())
    until(lambda: not any("chosen" in title for title in titles(dashboard).values()))
    dashboard.close()


def test_the_resolution_is_what_the_stream_is_asked_for(stream: FakeStream) -> None:
    dashboard = Dashboard(stream, fps=10)
    resolution = dashboard.controls.resolution
    assert resolution.label == "automatic"
    resolution.label = "15 s"
    until(lambda: {how["resolution_s"] for how in stream.chosen.values()} == {15.0})
    dashboard.close()


def test_a_node_with_agents_without_end_does_not_flood_the_page(stream: FakeStream) -> None:
    """The choice has an end, also where names have none, and holds what is chosen already."""
    dashboard = Dashboard(stream, fps=10)
    controls = dashboard.controls
    controls.agents.value = ("b",)
    names = ["a" * 5000, *(f"agent-{number:05}" for number in range(9_000))]
    controls.offer([], names)
    assert len(controls.agents.options) == 501
    assert max(len(shown) for shown, _ in controls.agents.options) < 70
    assert controls.agents.value == ("b",)
    dashboard.close()


def test_topics_are_switched_and_shown_as_they_are(stream: FakeStream) -> None:
    dashboard = Dashboard(stream, fps=10)
    boxes = dashboard.controls.topics
    assert [topic for topic, box in boxes.items() if box.value] == ["blocks", "consensus"]
    boxes["memes"].value = True
    until(lambda: "memes" in stream.topics)
    boxes["blocks"].value = False
    until(lambda: set(stream.topics) == {"consensus", "memes"})
    # Switched elsewhere, as by `s.subscribe("social")` in a cell.
    stream.topics = ("consensus", "social")
    until(lambda: boxes["social"].value and not boxes["memes"].value)
    stream.closed = True
    until(lambda: all(box.disabled for box in boxes.values()))
    dashboard.close()


def test_a_switch_is_not_set_back_before_its_change_is_told(stream: FakeStream) -> None:
    """As where the kernel is busy between setting what the browser sent, and telling those who listen."""
    dashboard = Dashboard(stream, fps=10)
    box = dashboard.controls.topics["memes"]
    box.value = True
    until(lambda: "memes" in stream.topics)
    with box.hold_trait_notifications():
        box.value = False
        until_told_again(dashboard)
    until(lambda: "memes" not in stream.topics)
    assert not box.value
    dashboard.close()


def test_no_switch_is_lost_however_fast_they_follow_each_other(stream: FakeStream) -> None:
    """Also one that comes as the last one is done with."""
    dashboard = Dashboard(stream, fps=10)
    boxes = dashboard.controls.topics
    for turn in range(2000):
        boxes[("memes", "social", "network")[turn % 3]].value = turn % 2 == 0
    chosen = {topic for topic, box in boxes.items() if box.value}
    until(lambda: set(stream.topics) == chosen)
    until_told_again(dashboard)
    assert {topic for topic, box in boxes.items() if box.value} == set(stream.topics) == chosen
    dashboard.close()


def test_a_topic_that_cannot_be_switched_is_said_and_set_back(stream: FakeStream) -> None:
    dashboard = Dashboard(stream, fps=10)
    stream.failing["subscribe"] = RuntimeError(f"no link {HOSTILE}")
    dashboard.controls.topics["memes"].value = True
    until(lambda: "topics could not be switched" in dashboard.controls.problems.value)
    until(lambda: not dashboard.controls.topics["memes"].value)
    assert "<img" not in dashboard.controls.problems.value
    dashboard.close()


def test_nothing_is_computed_while_nothing_happens(stream: FakeStream) -> None:
    dashboard = Dashboard(stream, fps=10)
    time.sleep(2.5)
    stream.asked.clear()
    time.sleep(0.5)
    assert stream.asked == []
    stream.seconds = 6
    until(lambda: stream.asked)
    dashboard.close()


def test_export_writes_where_it_is_told_and_says_so(stream: FakeStream, tmp_path: Path) -> None:
    stream.folder = tmp_path / "out"
    dashboard = Dashboard(stream)
    controls = dashboard.controls
    assert controls.format.options == ("parquet", "feather", "csv", "jsonl", "xlsx", "duckdb")
    controls.folder.value, controls.format.value = "out", "csv"
    controls.export.click()
    until(lambda: "1 file written to" in controls.message.value)
    assert str(stream.folder) in controls.message.value
    assert stream.exported == [("out", "csv")]
    assert not controls.export.disabled
    dashboard.close()


def test_a_failed_export_is_said_and_can_be_tried_again(stream: FakeStream, tmp_path: Path) -> None:
    stream.folder = tmp_path / "out"
    stream.failing["export"] = chaosnb.errors.ExportError(HOSTILE, "disk full")
    dashboard = Dashboard(stream)
    controls = dashboard.controls
    controls.export.click()
    until(lambda: "disk full" in controls.message.value)
    assert "ExportError" in controls.message.value
    assert "<img" not in controls.message.value
    del stream.failing["export"]
    until(lambda: not controls.export.disabled)
    controls.export.click()
    until(lambda: "written" in controls.message.value)
    dashboard.close()


def test_one_plot_that_fails_does_not_stop_the_others(stream: FakeStream) -> None:
    dashboard = Dashboard(stream, fps=10)
    assert dashboard.controls.problems.value == ""
    stream.failing["sentiment"], stream.seconds = RuntimeError("no such bucket"), 8
    until(lambda: "no such bucket" in dashboard.controls.problems.value)
    until(lambda: points(dashboard.plots["reputation"]) == 8)
    assert "sentiment" in dashboard.controls.problems.value
    assert points(dashboard.plots["sentiment"]) == 5
    del stream.failing["sentiment"]
    stream.seconds = 9
    until(lambda: points(dashboard.plots["sentiment"]) == 9)
    # What went wrong stays readable.
    assert "no such bucket" in dashboard.controls.problems.value
    dashboard.close()


def test_closing_leaves_no_widget_and_no_thread(stream: FakeStream) -> None:
    before = open_widgets()
    dashboard = Dashboard(stream)
    assert len(open_widgets() - before) > 20
    dashboard.close()
    dashboard.close()
    assert not open_widgets() - before
    assert writers() == []
    assert dashboard.closed
    assert repr(dashboard) == "Dashboard(closed)"
    assert all(live.closed for live in dashboard.plots.values())


@pytest.mark.parametrize("close", [True, False])
def test_a_dashboard_that_nobody_holds_is_released(stream: FakeStream, close: bool) -> None:
    before = open_widgets()
    dashboard = Dashboard(stream)
    if close:
        dashboard.close()
    ref = weakref.ref(dashboard)
    lives = [weakref.ref(live) for live in dashboard.plots.values()]
    del dashboard

    def gone() -> bool:
        gc.collect()
        return ref() is None and not writers()

    until(gone)
    assert not open_widgets() - before
    gc.collect()
    assert [live() for live in lives] == [None] * 4


def test_a_dashboard_that_was_shown_is_kept(stream: FakeStream) -> None:
    """Though no variable holds it, as in ``display(s.dashboard())``, it goes on."""
    dashboard = Dashboard(stream, fps=10)
    bundle, _ = dashboard._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert "simulated" in bundle["text/plain"]
    live = dashboard.plots["tps"]
    del dashboard
    gc.collect()
    stream.seconds = 7
    until(lambda: points(live) == 7)


def test_in_a_kernel_there_is_a_view_and_one_still_picture(
    stream: FakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaosnb.notebook.dashboard.has_kernel", lambda: True)
    dashboard = Dashboard(stream)
    bundle, _ = dashboard._repr_mimebundle_()
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == dashboard.widget.model_id
    assert sorted(bundle) == ["application/vnd.jupyter.widget-view+json", "text/html", "text/plain"]
    words = [text.text or "" for text in pictured(bundle).iter(f"{SVG}text")]
    assert {"Transactions", "Decisions on blocks"} <= set(words)
    # Also where no widget is left, simulated data is called so, and a node's address is no markup.
    assert "simulated" in words[0]
    assert "onerror" in words[0]
    assert "onerror" not in re.sub(r'alt="[^"<>]*"', "", bundle["text/html"])
    dashboard.close()
    bundle, _ = dashboard._repr_mimebundle_()
    assert sorted(bundle) == ["text/html", "text/plain"]


def answer(dashboard: Dashboard) -> None:
    """Say that the page has drawn all plots."""
    for live in dashboard.plots.values():
        live.acknowledge(1000)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """In a kernel of which no page was heard yet: what is left in place of dashboards that were shown."""
    SEEN.clear()
    found: list[dict[str, Any]] = []

    class Handle:
        def update(self, bundle: dict[str, Any], **_how: Any) -> None:
            found.append(bundle)

    monkeypatch.setattr("IPython.display.display", lambda *_bundle, **_how: Handle())
    for module in ("dashboard", "leaving"):
        monkeypatch.setattr(f"chaosnb.notebook.{module}.has_kernel", lambda: True)
    waits = {"_UNHEARD_S": 1.5, "_UNDRAWN_S": 0.5, "_MADE_S": 0.01}
    for name, seconds in waits.items():
        monkeypatch.setattr(f"chaosnb.notebook.leaving.{name}", seconds)
    return found


def ready(*lives: LivePlot) -> None:
    """Say what a page says when it has made the models of plots."""
    content = {"data": {"method": "custom", "content": {"kind": "ready", "plotly": False}}}
    for live in lives:
        live.layout.comm.handle_msg({"content": content, "buffers": []})


@pytest.mark.parametrize("shown", [True, False])
def test_closed_without_a_page_it_is_gone_at_once(
    stream: FakeStream, left: list[dict[str, Any]], shown: bool
) -> None:
    """As where a notebook is run by a program: nothing is waited for, and no thread is left."""
    before, earlier = open_widgets(), closing()
    dashboard = Dashboard(stream, fps=10)
    if shown:
        dashboard.show()
    dashboard.close()
    assert not closing() - earlier
    assert not open_widgets() - before
    assert [sorted(bundle) for bundle in left] == [["text/html", "text/plain"]] * shown


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("page", ["draws", "loads", "is silent"])
def test_closed_before_it_is_drawn_it_lets_a_page_finish(
    stream: FakeStream, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, shown: bool, page: str
) -> None:
    """What a page still loads ends when it is loaded, or drawn if it is shown; and some time later anyway."""
    # What the page does is not waited out.
    for name in {"draws": ("_UNHEARD_S", "_UNDRAWN_S"), "loads": ("_UNHEARD_S",)}.get(page, ()):
        monkeypatch.setattr(f"chaosnb.notebook.leaving.{name}", 60.0)
    before, earlier = open_widgets(), closing()
    loaded = LivePlot()
    ready(loaded)
    loaded.close()
    dashboard = Dashboard(stream, fps=10)
    if shown:
        dashboard.show()
    lives = [*dashboard.plots.values()]
    dashboard.close()
    assert dashboard.closed
    assert not writers()
    assert left == []
    if page != "is silent":
        ready(*lives[1:])
        time.sleep(0.05)
        assert not any(live.closed for live in lives)
        ready(lives[0])
    if page == "draws":
        answer(dashboard)
    until(lambda: not closing() - earlier)
    assert not open_widgets() - before
    assert len(left) == shown
    gone = [weakref.ref(owner) for owner in (dashboard, *lives)]
    del dashboard
    lives.clear()
    gc.collect()
    assert [ref() for ref in gone] == [None] * 5


def test_a_plot_taken_from_the_list_before_it_is_drawn_ends_when_the_page_has_it(
    stream: FakeStream, left: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a dashboard closed before a plot of a later choice is drawn waits for that."""
    for name in ("_UNHEARD_S", "_UNDRAWN_S"):
        monkeypatch.setattr(f"chaosnb.notebook.leaving.{name}", 60.0)
    dashboard = Dashboard(stream, fps=10, plots=["tps"])
    dashboard.show()
    ready(dashboard.plots["tps"])
    answer(dashboard)
    dashboard.controls.plots.value = ("tps", "decisions")
    early = dashboard.plots["decisions"]
    dashboard.controls.plots.value = ("tps", "sentiment")
    assert not early.closed
    ready(early)
    until(lambda: early.closed)
    late = dashboard.plots["sentiment"]
    dashboard.close()
    ready(late)
    time.sleep(0.05)
    assert not late.closed
    answer(dashboard)
    until(lambda: late.closed)
    assert len(left) == 1


def test_a_plot_taken_away_while_it_is_computed_is_drawn_when_it_comes_back(
    stream: FakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the stream is closed, and gives the same numbers again."""
    begun, go_on = threading.Event(), threading.Event()
    find = stream.aggregate_arrays
    found: dict[str, dict[str, Any]] = {}

    def slow(name: str, *_how: Any, **_more: Any) -> dict[str, Any]:
        begun.set()
        assert go_on.wait(10)
        return found.setdefault(name, {str(column): values for column, values in find(name).items()})

    # What has gaps is drawn anew each time.
    monkeypatch.setattr(FakeStream, "gaps", gap_frame([]))
    monkeypatch.setattr(FakeStream, "status", msgspec.structs.replace(stream.status, gaps=0))
    monkeypatch.setattr(stream, "aggregate_arrays", slow)
    go_on.set()
    dashboard = Dashboard(stream, fps=10, plots=["tps", "decisions"])
    stream.closed = True
    until(lambda: not writers())
    go_on.clear()
    begun.clear()
    dashboard.controls.window.value = "1 min"
    assert begun.wait(10)
    dashboard.controls.plots.value = ("decisions",)
    go_on.set()
    until(lambda: not writers())
    dashboard.controls.plots.value = ("tps", "decisions")
    until(lambda: not writers())
    assert points(dashboard.plots["tps"]) == 5
    dashboard.close()


def closing() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "chaosnb-closing"}


@pytest.mark.parametrize("kind", ["dashboard", "plot"])
def test_shown_in_two_places_it_leaves_its_last_state_in_both(
    stream: FakeStream, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """They are one display to the notebook, so that what replaces it is seen in each."""
    asked: list[Any] = []

    class Handle:
        display_id = "the first"

        def update(self, _bundle: dict[str, Any], **_how: Any) -> None:
            asked.append("closed")

    def display(*_bundle: Any, display_id: Any, **_how: Any) -> Handle:
        asked.append(display_id)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    shown = Dashboard(stream) if kind == "dashboard" else LivePlot()
    shown.show()
    shown.show()
    shown.close()
    assert asked == [True, "the first", "closed"]


def test_the_still_copy_shows_how_a_replay_ended(stream: FakeStream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each end, though the replay is not closed, and can be sent back and end again."""
    monkeypatch.setattr("chaosnb.notebook.dashboard.has_kernel", lambda: True)
    kept: list[int] = []

    class Handle:
        def update(self, bundle: dict[str, Any], **_how: Any) -> None:
            if "application/vnd.jupyter.widget-view+json" in bundle:
                line = pictured(bundle).find(f".//{SVG}g[@transform='scale(.1)']/{SVG}path")
                assert line is not None
                # From point to point is a step.
                kept.append(1 + len(re.findall("[hl]", line.get("d", ""))))

    monkeypatch.setattr("IPython.display.display", lambda *_bundle, **_how: Handle())
    dashboard = Dashboard(stream, fps=10)
    dashboard.show()
    stream.seconds = 8
    time.sleep(0.3)
    assert kept == []
    stream.ended, stream.seconds = True, 9
    until(lambda: kept == [9])
    stream.ended, stream.seconds = False, 7
    until(lambda: points(dashboard.plots["tps"]) == 7)
    stream.ended, stream.seconds = True, 12
    until(lambda: kept == [9, 12])
    time.sleep(0.3)
    assert kept == [9, 12]
    dashboard.close()


@pytest.mark.parametrize("wrong", [{"fps": 0}, {"fps": 11}, {"window_s": 7.0}])
def test_what_is_not_offered_is_refused_with_the_choices(stream: FakeStream, wrong: dict[str, Any]) -> None:
    before = open_widgets()
    with pytest.raises(ValueError, match="choose"):
        Dashboard(stream, **wrong)
    assert not open_widgets() - before
    assert writers() == []


def test_one_plot_moves_and_ends_with_the_stream(stream: FakeStream) -> None:
    live = plot(stream, "decisions", window_s=60.0, fps=10)
    assert points(live) == 5
    stream.seconds = 8
    until(lambda: points(live) == 8)
    assert set(stream.asked) == {("decisions", 60.0)}
    stream.seconds, stream.closed = 9, True
    until(lambda: not writers())
    assert points(live) == 9
    live.close()


def test_one_plot_says_what_went_wrong_and_recovers(stream: FakeStream) -> None:
    live = plot(stream, "tps", fps=10)
    stream.failing["tps"] = RuntimeError("no such bucket")
    until(lambda: "no such bucket" in live.problem)
    del stream.failing["tps"]
    until(lambda: live.problem == "")
    live.close()
    until(lambda: not writers())


def test_agents_of_one_plot(stream: FakeStream) -> None:
    live = plot(stream, "reputation", agents=["b"])
    assert [trace["name"] for trace in live.static()["data"]] == ["b"]
    live.close()


def test_a_wrong_name_lists_the_right_ones(stream: FakeStream) -> None:
    with pytest.raises(ValueError, match=r"tps.*decisions.*sentiment.*reputation"):
        plot(stream, "price")


def test_it_shows_a_real_stream() -> None:
    """The simulated node's events come to the plots, and stay after its end."""
    topics = ["blocks", "consensus", "network", "social"]
    with chaosnb.Devnet(seed=7, rate=300) as node, chaosnb.stream(topics, url=node.url) as stream:
        dashboard = stream.dashboard()
        stream.wait(events=500, timeout=60)
        until(lambda: all(points(live) > 0 for live in dashboard.plots.values()))
        assert "simulated" in dashboard.controls.status.value
        assert dashboard.controls.problems.value == ""
    until(lambda: not writers())
    last = stream.aggregate("tps")
    assert points(dashboard.plots["tps"]) == len(last)
    dashboard.close()
