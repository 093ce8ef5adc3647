"""The plots beside the dashboard's first four: they equal the still figures, and can be chosen."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
import pytest

import chaosnb
from chaosnb import figures
from chaosnb.figures import PLOTS
from chaosnb.figures.estimates import sentiments
from chaosnb.figures.standings import approval, consensus, movers, outcomes
from chaosnb.notebook import Dashboard, LivePlot, plot
from chaosnb.notebook.source import figure_of, values_of
from chaosnb.tables.capture import Capture

ALL = ["blocks", "consensus", "network", "social"]
MORE = ("event_rate", "lag", "approval", "outcomes", "consensus", "movers", "sentiment_by")


def wait_for(happened: Callable[[], object], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "chaosnb-writer"]


def drawn(live: LivePlot) -> int:
    """How many numbers a plot shows."""
    return sum(len(trace["x"]) for trace in live.static()["data"])


@pytest.fixture
def stream() -> Iterator[chaosnb.Stream]:
    """A stream that has received enough for each plot, and goes on."""
    with chaosnb.Devnet(rate=400) as node, chaosnb.stream(ALL, url=node.url) as s:
        s.wait(until=lambda s: len(s.block_proposal) > 2 and len(s.reputation_update) > 9, timeout=30)
        yield s


@pytest.fixture(scope="module")
def ended() -> chaosnb.Stream:
    """A closed stream whose tallies were asked for while it went on."""
    with chaosnb.Devnet(seed=3, speed=None, duration=60.0) as node:
        s = chaosnb.stream(ALL, url=node.url)
        s.wait(until=lambda s: len(s.block_validation) > 50, timeout=30)
        for name in MORE:
            values_of(s, name, None)
        s.wait(until=lambda s: len(s.network_metrics) == 61, timeout=30)
        s.close()
    return s


def test_a_live_plot_is_the_still_figure_of_the_same_events(ended: chaosnb.Stream) -> None:
    """Kept up while they came, or computed from the tables: the numbers drawn are equal."""
    votes, blocks = ended.block_validation, ended.block_proposal
    still = {
        "event_rate": figures.event_rate(ended.frames()),
        "lag": figures.lag(ended.frames()),
        "approval": figures.approval_by(votes),
        "outcomes": figures.outcomes(votes),
        "consensus": figures.consensus_times(votes, blocks),
        "movers": figures.reputation_movers(ended.reputation_update),
        "sentiment_by": figures.sentiment_by(ended.consensus_discussion),
    }
    assert set(still) == set(MORE) == set(PLOTS) - set(figures.FIGURES)
    for name, figure in still.items():
        spec = figure_of(name, values_of(ended, name, None), ended.gaps, ())
        assert [trace["name"] for trace in spec["data"] if "name" in trace] == [
            trace.name for trace in figure.data if trace.name
        ]
        assert len(spec["data"]) == len(figure.data) > 0
        for live, trace in zip(spec["data"], figure.data, strict=True):
            for axis in ("x", "y"):
                wanted = np.asarray(trace[axis])
                if wanted.dtype.kind == "M":
                    wanted = wanted.astype("datetime64[us]").astype(np.int64) / 1000
                np.testing.assert_allclose(np.asarray(live[axis], float), wanted.astype(float), rtol=1e-9)
            if "hovertext" in live:  # which has the interval, too
                assert [*live["hovertext"]] == [*trace.hovertext]
        assert spec["layout"]["title"]["text"].removesuffix(", so far") == figure.layout.title.text


@pytest.mark.parametrize("name", MORE)
def test_one_plot_moves_until_its_stream_closes(stream: chaosnb.Stream, name: str) -> None:
    """It follows the stream, and its thread ends with a last draw."""
    before = set(writers())
    live = stream.plot(name)
    (thread,) = set(writers()) - before
    first = live.static()
    wait_for(lambda: live.static() != first)
    stream.close()
    thread.join(10)
    assert not thread.is_alive()
    last = plot(stream, name)
    assert live.static()["data"] == last.static()["data"]
    live.close()
    last.close()


def test_a_dashboard_shows_the_plots_asked_for(stream: chaosnb.Stream) -> None:
    """In their order, by one name or several; without any the four."""
    for wanted, shown in ((["lag", "tps", "lag"], ["lag", "tps"]), ("movers", ["movers"]), (PLOTS, [*PLOTS])):
        board = stream.dashboard(plots=wanted)
        assert list(board.plots) == shown
        wait_for(lambda board=board: all(map(drawn, board.plots.values())))
        assert board.controls.problems.value == ""
        board.close()
    board = stream.dashboard()
    assert list(board.plots) == ["tps", "decisions", "sentiment", "reputation"]
    board.close()


def test_a_plot_that_does_not_exist_is_refused(stream: chaosnb.Stream) -> None:
    """The message says what was meant, perhaps, and lists all."""
    before = set(widgets.Widget.get_manager_state()["state"])
    with pytest.raises(ValueError, match=r"'aproval' \(did you mean 'approval'\?\).*'tps'.*'movers'"):
        stream.dashboard(plots=["tps", "aproval"])
    with pytest.raises(ValueError, match=r"no plot \['tps'\] .*: choose from 'tps'"):
        stream.plot(["tps"])
    with pytest.raises(ValueError, match="no plot 5: choose from 'tps'"):
        stream.dashboard(plots=5)
    assert set(widgets.Widget.get_manager_state()["state"]) == before


def test_plots_are_chosen_by_the_controls(stream: chaosnb.Stream) -> None:
    """A new one is drawn, one that stays goes on, and one that goes leaves no widget."""
    board = Dashboard(stream, fps=10)
    control = board.controls.plots
    assert control.options == tuple(PLOTS)
    stays, goes = board.plots["tps"], weakref.ref(board.plots["decisions"])
    control.value = ("tps", "consensus")
    assert list(board.plots) == ["tps", "consensus"]
    assert board.plots["tps"] is stays
    assert not stays.closed
    wait_for(lambda: drawn(board.plots["consensus"]))

    def gone() -> bool:
        gc.collect()
        return goes() is None

    wait_for(gone)
    control.value = ()
    assert board.plots == {}
    control.value = ("decisions",)
    wait_for(lambda: drawn(board.plots["decisions"]))
    assert board.controls.problems.value == ""
    board.close()
    assert not writers()


def test_a_choice_of_agents_narrows_them_and_says_what_it_does_not(stream: chaosnb.Stream) -> None:
    """Votes and scores are theirs alone, blocks those that they made; rate and lag are of all."""
    kind = stream.block_validation["validator_personality"].iloc[0]
    board = Dashboard(stream, fps=10, plots=MORE)
    board.controls.personalities.value = (kind,)
    said = {
        **dict.fromkeys(("event_rate", "lag"), "(all)"),
        **dict.fromkeys(("outcomes", "consensus"), "(blocks of chosen agents)"),
        **dict.fromkeys(("approval", "movers", "sentiment_by"), ", so far (chosen agents)"),
    }
    for name, words in said.items():
        live = board.plots[name]
        wait_for(lambda live=live, words=words: live.static()["layout"]["title"]["text"].endswith(words))
    for name in ("approval", "sentiment_by"):
        (tick,) = board.plots[name].static()["layout"]["yaxis"]["ticktext"]
        assert tick.startswith(kind)
    board.close()


def test_the_times_of_blocks_are_those_of_the_window() -> None:
    """And of the newest blocks alone where there are many; their names, which are long, are not sent."""

    class Told:
        def tally(self, name: str, **_whose: Any) -> pd.DataFrame:
            time = pd.date_range("2026-01-01", periods=1_000, freq="s", tz="UTC")
            return pd.DataFrame({"time": time, "block_hash": "g", "height": range(1_000)})

    assert len(values_of(Told(), "consensus", 60.0)["height"]) == 61  # type: ignore[arg-type]
    everything = values_of(Told(), "consensus", None)  # type: ignore[arg-type]
    assert everything["height"].tolist() == [*range(700, 1_000)]
    assert "block_hash" not in everything


class Slow:
    """A stream whose tallies take long; the rest is that of a real one."""

    def __init__(self, stream: chaosnb.Stream) -> None:
        self._stream = stream
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def tally(self, name: str, **whose: Any) -> pd.DataFrame:
        self.asked += 1
        time.sleep(0.1)
        return self._stream.tally(name, **whose)


def test_tallies_that_take_long_are_told_seldom_and_at_the_end(stream: chaosnb.Stream) -> None:
    """A twentieth of the time goes to them; the others move on, and a new choice is told at once."""
    slow = Slow(stream)
    board = Dashboard(slow, fps=10, plots=["tps", "approval"])  # type: ignore[arg-type]
    first = board.plots["tps"].static()
    time.sleep(1.2)
    assert slow.asked == 1
    assert board.plots["tps"].static() != first
    board.controls.personalities.value = ("chaotic",)
    wait_for(lambda: "chosen" in board.plots["approval"].static()["layout"]["title"]["text"], 1.0)
    board.controls.personalities.value = ()
    stream.close()
    wait_for(lambda: not writers())
    ticks = board.plots["approval"].static()["layout"]["yaxis"]["ticktext"]
    found = stream.tally("approval").iloc[::-1]
    votes = found["approve"] + found["reject"]
    assert ticks == [f"{kind} (n = {n:,})" for kind, n in zip(found["personality"], votes, strict=True)]
    board.close()


def test_what_has_no_end_is_drawn_in_part() -> None:
    """Of groups those with most votes, or words; the share of all is still that of all."""
    count = np.arange(1, 31)
    rates = pd.DataFrame({"personality": [f"k{n:02}" for n in count], "approve": count, "reject": 0})
    spec = approval(rates.assign(approval_rate=1.0), most=12)
    assert len(spec["data"][0]["x"]) == 12
    assert [text[:3] for text in spec["layout"]["yaxis"]["ticktext"]] == [f"k{n}" for n in range(30, 18, -1)]
    assert spec["layout"]["title"]["text"] == "Approval by personality: 12 of 30"
    said = rates.rename(columns={"approve": "positive", "reject": "neutral"})
    spec = sentiments(said.assign(negative=0, sentiment_index=1.0))
    assert [text[:3] for text in spec["layout"]["yaxis"]["ticktext"]] == [f"k{n}" for n in range(19, 31)]
    assert spec["layout"]["title"]["text"] == "Sentiment by personality: 12 of 30"


def test_reasons_keep_their_colours() -> None:
    """Whoever moved most; and seven of them are told apart."""
    reasons = [f"because of {word}" for word in ("a", "b", "c", "d", "e", "f", "g")]
    every = pd.DataFrame({"agent_id": "a", "change": 1.0, "reason": reasons, "updates": 1, "moved": 0.1})

    def colours(frame: pd.DataFrame) -> dict[str, str]:
        return {t["name"]: t["marker"]["color"] for t in movers(frame)["data"][:-1]}

    assert len({*colours(every).values()}) == 7
    assert colours(every.iloc[::-1]) == colours(every)


def test_reasons_that_differ_in_the_middle_can_be_told_apart() -> None:
    """In the legend, which leaves out the middle of what is longer still."""
    reasons = ["voted against the outcome of …", "voted early before the outcome of …"]
    told = pd.DataFrame({"agent_id": "a", "change": 1.0, "reason": reasons, "updates": 1, "moved": 0.1})
    assert [trace["name"] for trace in movers(told)["data"]] == [*reasons, "all told"]
    (cut, _) = movers(told.assign(reason="why " * 20).head(1))["data"]
    assert len(cut["name"]) == 36


def test_without_rows_they_say_so() -> None:
    """As at the beginning of a stream."""
    s = Capture()
    for name, spec in (
        ("approval", approval),
        ("outcomes", outcomes),
        ("consensus", consensus),
        ("movers", movers),
        ("sentiment_by", sentiments),
    ):
        frame = s.tallies.value(name, lambda table: s.tables[table].snapshot())
        assert [note["text"] for note in spec(frame)["layout"]["annotations"]] == ["waiting for data"]
