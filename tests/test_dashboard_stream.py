"""The dashboard on a real stream from the simulated node: what it draws, its controls, and its end.

What it does with known numbers is in `test_dashboard`.
"""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import chaosnb
from chaosnb.figures import FIGURES
from chaosnb.notebook import Dashboard, LivePlot, plot

ALL = ["blocks", "consensus", "network", "social"]
FPS = 10.0


def wait_for(happened: Callable[[], object], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "chaosnb-writer"]


def newest(live: LivePlot) -> float:
    """The newest time that a plot shows, in milliseconds; 0 if it shows none."""
    return max((trace["x"][-1] for trace in live.static()["data"] if trace["x"]), default=0.0)


@pytest.fixture(scope="module")
def node() -> Iterator[chaosnb.Devnet]:
    """A quick simulated node."""
    with chaosnb.Devnet(rate=400) as node:
        yield node


@pytest.fixture
def stream(node: chaosnb.Devnet) -> Iterator[chaosnb.Stream]:
    """A stream that has received enough for each plot."""
    with chaosnb.stream(ALL, url=node.url) as stream:
        stream.wait(until=lambda s: all(len(s.aggregate(name)) for name in FIGURES), timeout=30)
        yield stream


@pytest.fixture
def board(stream: chaosnb.Stream) -> Iterator[Dashboard]:
    """A dashboard of the stream."""
    board = Dashboard(stream, fps=FPS)
    yield board
    board.close()


class Broken:
    """A stream of which some parts do not work; the rest is that of a real one."""

    def __init__(self, stream: chaosnb.Stream, **faults: str) -> None:
        self._stream = stream
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def aggregate_arrays(self, name: str, *args: Any, **how: Any) -> dict[str, Any]:
        if name in self._faults:
            raise RuntimeError(self._faults[name])
        return self._stream.aggregate_arrays(name, *args, **how)

    def export(self, folder: str, format: str = "parquet", *, quiet: bool = False) -> Path:
        raise OSError(self._faults["export"])


def test_it_draws_all_four_from_the_start_and_goes_on(stream: chaosnb.Stream, board: Dashboard) -> None:
    """Before anything is displayed the plots have data, and they follow the stream."""
    assert list(board.plots) == ["tps", "decisions", "sentiment", "reputation"]
    first = {name: newest(live) for name, live in board.plots.items()}
    assert all(first.values())
    wait_for(lambda: all(newest(live) > first[name] for name, live in board.plots.items()))
    assert "live" in repr(board)
    assert "(simulated)" in repr(board)
    assert board.controls.problems.value == ""


def test_pause_holds_the_plots_while_data_goes_on(stream: chaosnb.Stream, board: Dashboard) -> None:
    """The state above the plots goes on; when it ends, the plots catch up."""
    board.paused = True
    assert board.controls.pause.value is True
    time.sleep(0.02)
    stream.wait(events=5, timeout=30)
    held = {name: live.static() for name, live in board.plots.items()}
    words = board.controls.status.value
    stream.wait(events=100, timeout=30)
    wait_for(lambda: board.controls.status.value != words)
    assert {name: live.static() for name, live in board.plots.items()} == held
    board.paused = False
    wait_for(lambda: newest(board.plots["decisions"]) > newest_of(held["decisions"]))


def newest_of(spec: dict[str, Any]) -> float:
    return max(trace["x"][-1] for trace in spec["data"])


def test_the_window_says_how_much_is_shown() -> None:
    """A smaller one shows less of a day's data, and 'all' shows everything."""
    with (
        chaosnb.Devnet(rate=2, speed=None, duration=7200) as node,
        chaosnb.stream(ALL, url=node.url) as stream,
    ):
        assert node.wait_finished(60)
        board = Dashboard(stream, fps=FPS)

        def span_s() -> float:
            data = board.plots["tps"].static()["data"]
            return (max(t["x"][-1] for t in data) - min(t["x"][0] for t in data)) / 1000

        for choice, least, most in (("1 min", 30, 61), ("1 h", 3300, 3700), ("all", 6600, 7300)):
            board.controls.window.value = choice
            wait_for(lambda least=least, most=most: least <= span_s() <= most)
        board.close()


def test_chosen_agents_are_drawn_instead_of_the_movers(stream: chaosnb.Stream, board: Dashboard) -> None:
    """The choice offers those that have a reputation, and stays while new ones are offered."""
    wait_for(lambda: len(board.controls.agents.options) >= 2)
    chosen = tuple(agent for _, agent in board.controls.agents.options[:2])
    board.controls.agents.value = chosen
    live = board.plots["reputation"]
    wait_for(lambda: tuple(trace["name"] for trace in live.static()["data"]) == chosen)
    stream.wait(events=200, timeout=30)
    assert board.controls.agents.value == chosen
    board.controls.agents.value = ()
    wait_for(lambda: "movers" in live.static()["layout"]["title"]["text"])


def test_a_personality_alone_is_shown_in_all_plots(stream: chaosnb.Stream, board: Dashboard) -> None:
    """Votes, words, blocks and scores of its agents, and of no others."""
    kind, others = "chaotic", "lawful"
    wait_for(lambda: kind in dict(board.controls.personalities.options))
    board.controls.personalities.value = (kind,)
    live = board.plots["decisions"]
    wait_for(lambda: "chosen agents" in live.static()["layout"]["title"]["text"])
    stream.close()
    wait_for(lambda: not writers())
    votes = stream.block_validation.query("validator_personality == @kind")["decision"].value_counts()
    shown = {trace["name"]: trace["y"] for trace in live.static()["data"]}
    # Steps end with their last value.
    assert sum(shown["approve"][:-1]) == votes["approve"] > 0
    own = {agent for agent, its in stream.personalities.items() if its == kind}
    drawn = {trace["name"] for trace in board.plots["reputation"].static()["data"]}
    assert drawn <= own
    assert others in stream.personalities.values()


def test_topics_are_switched_on_the_stream(stream: chaosnb.Stream, board: Dashboard) -> None:
    """What is checked is subscribed to, without a new stream."""
    board.controls.topics["memes"].value = True
    wait_for(lambda: "memes" in stream.topics)
    board.controls.topics["network"].value = False
    wait_for(lambda: "network" not in stream.topics)
    seen = len(stream.network_metrics)
    stream.wait(events=50, timeout=30)
    assert len(stream.network_metrics) == seen
    assert board.controls.problems.value == ""


def test_export_writes_files_and_says_where(
    tmp_path: Path, board: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative folder is one beside the notebook; the button can be pressed again."""
    monkeypatch.chdir(tmp_path)
    board.controls.folder.value = "a&b"
    board.controls.format.value = "csv"
    board.controls.export.click()
    wait_for(lambda: "written" in board.controls.message.value)
    assert (tmp_path / "a&b" / "block_validation.csv").stat().st_size > 0
    files = sum(path.is_file() for path in (tmp_path / "a&b").rglob("*"))
    assert board.controls.message.value == f"{files} files written to {tmp_path}/a&amp;b"
    wait_for(lambda: not board.controls.export.disabled)


def test_an_export_that_fails_says_why_and_is_escaped(stream: chaosnb.Stream) -> None:
    """The words may come from the node or the file system, and are no markup."""
    board = Dashboard(Broken(stream, export="<img src=x onerror=alert(1)>"), fps=FPS)
    board.controls.export.click()
    wait_for(lambda: "not exported" in board.controls.message.value)
    assert "OSError: &lt;img src=x onerror=alert(1)&gt;" in board.controls.message.value
    assert "<img" not in board.controls.message.value
    wait_for(lambda: not board.controls.export.disabled)
    board.close()


def test_it_ends_with_its_stream_after_a_last_draw(stream: chaosnb.Stream, board: Dashboard) -> None:
    """The plots show all that was received, the state says 'closed', and the writer's thread is gone."""
    threads = writers()
    stream.close()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert "<b>closed</b>" in board.controls.status.value
    votes = stream.aggregate("decisions")
    shown = {trace["name"]: trace["y"] for trace in board.plots["decisions"].static()["data"]}
    # Its last step is drawn from its beginning to its end.
    assert sum(shown["approve"][:-1]) == votes["approve"].sum() > 0
    board.controls.window.value = "1 min"
    wait_for(lambda: newest(board.plots["tps"]) > 0)
    assert not board.closed


def test_a_closed_dashboard_is_released(stream: chaosnb.Stream) -> None:
    """Nothing keeps it, its plots, or its controls in memory."""
    board = Dashboard(stream, fps=FPS)
    parts = [board, board.widget, board.controls, board.controls.agents, *board.plots.values()]
    left = [weakref.ref(part) for part in parts]
    del parts
    board.close()
    del board
    gc.collect()
    assert [ref() for ref in left] == [None] * len(left)


@pytest.mark.parametrize("fps", [0, -1, 10.1, float("nan")])
def test_an_impossible_pace_is_refused(stream: chaosnb.Stream, fps: float) -> None:
    """The message says what is possible."""
    with pytest.raises(ValueError, match="more than 0, and at most 10 a second"):
        Dashboard(stream, fps=fps)
    with pytest.raises(ValueError, match="more than 0, and at most 10 a second"):
        plot(stream, "tps", fps=fps)


def test_a_plot_that_does_not_exist_is_refused(stream: chaosnb.Stream) -> None:
    """The message lists the names, as they are to be written."""
    with pytest.raises(ValueError, match=r"'nope'.* 'tps', 'decisions', 'sentiment', 'reputation'"):
        stream.plot("nope")


@pytest.mark.parametrize("name", FIGURES)
def test_one_plot_moves_until_its_stream_closes(stream: chaosnb.Stream, name: str) -> None:
    """It follows the stream, and its thread ends with a last draw."""
    before = set(writers())
    live = plot(stream, name, fps=FPS)
    (thread,) = set(writers()) - before
    first = newest(live)
    wait_for(lambda: newest(live) > first)
    stream.close()
    thread.join(10)
    assert not thread.is_alive()
    assert newest(live) == newest_of(FIGURES[name](stream.aggregate(name)))
    assert not live.closed
    live.close()


def test_a_live_point_of_reputation_tells_the_reason_as_a_still_one_does(stream: chaosnb.Stream) -> None:
    """Frame after frame only new reasons are sent; all of them are those of the table."""
    live = plot(stream, "reputation", fps=FPS)
    first = newest(live)
    wait_for(lambda: newest(live) > first)
    stream.close()
    wait_for(lambda: not writers())
    drawn = {trace["name"]: trace for trace in live.static()["data"]}
    still = chaosnb.figures.reputation(stream.reputation_update, agents=list(drawn), window_s=600)
    for trace in still.data:
        assert drawn[trace.name]["text"] == list(trace.text)
        assert drawn[trace.name]["hovertemplate"] == trace.hovertemplate
    assert len({text for trace in drawn.values() for text in trace["text"]}) > 1
    live.close()


def test_one_plot_shows_the_agents_asked_for(stream: chaosnb.Stream) -> None:
    """As the dashboard's choice does."""
    agent = stream.aggregate("reputation")["agent_id"].iloc[0]
    for agents in ([agent], agent):
        live = plot(stream, "reputation", agents=agents)
        assert [trace["name"] for trace in live.static()["data"]] == [agent]
        live.close()


def test_one_plot_dropped_is_released_when_closed(stream: chaosnb.Stream) -> None:
    """Its thread ends, and nothing keeps it."""
    before = set(writers())
    live = plot(stream, "tps", fps=FPS)
    (thread,) = set(writers()) - before
    left = weakref.ref(live)
    live.close()
    thread.join(10)
    assert not thread.is_alive()
    del live
    gc.collect()
    assert left() is None
