"""Figures: what they show, that text from the network stays text, and that plotly accepts them."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest

import chaosnb
from chaosnb import figures
from chaosnb.figures import FIGURES, PALETTE, label, mark_gaps
from chaosnb.figures.specs import decisions, event_rate, looks_of, reputation, sentiment, tps
from chaosnb.ingest.gaps import Gap
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.ledgers import gap_frame
from chaosnb.tables.table import Table
from tests import engines

COLUMNS = {
    "tps": ["reported", "observed"],
    "decisions": ["approve", "reject", "other", "approval_rate"],
    "sentiment": ["positive", "neutral", "negative", "other", "sentiment_index"],
}
TABLE_OF = {
    "tps": "network_metrics",
    "decisions": "block_validation",
    "sentiment": "consensus_discussion",
    "reputation": "reputation_update",
}
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<b>bold</b>",
    "%{x}",
    "$x^2$",
    "&lt;b&gt;",
    "a\u202eb\u2066c",
    "a\x00\n\x1b[31mb",
    "<a href='javascript:alert(1)'>",
    "",
]


def times(count: int, start: str = "2026-01-01", step: str = "s") -> pd.DatetimeIndex:
    return pd.date_range(start, periods=count, freq=step, tz="UTC", unit="us")


def counts(name: str, rows: int) -> pd.DataFrame:
    columns = {column: np.arange(rows, dtype=float) / 10 for column in COLUMNS[name]}
    return pd.DataFrame({"time": times(rows), **columns})


def scores(*agents: tuple[str, list[float]]) -> pd.DataFrame:
    parts = [pd.DataFrame({"agent_id": agent, "time": times(len(s)), "score": s}) for agent, s in agents]
    return pd.concat(parts, ignore_index=True)


def empty(name: str) -> pd.DataFrame:
    return scores(("a", [1.0])).iloc[:0] if name == "reputation" else counts(name, 0)


def valid(spec: dict) -> go.Figure:  # type: ignore[type-arg]
    """Let plotly check every property; it raises on an unknown one."""
    return go.Figure(spec, skip_invalid=False)


@pytest.fixture(scope="module")
def stream() -> Iterator[chaosnb.Stream]:
    """A closed stream that has received some events of every kind."""
    with (
        chaosnb.Devnet(rate=400) as node,
        chaosnb.stream(["blocks", "consensus", "network", "social"], url=node.url) as s,
    ):
        s.wait(until=lambda s: all(len(s.aggregate(name)) > 2 for name in FIGURES), timeout=30)
    return s


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_draws_what_a_stream_aggregates(stream: chaosnb.Stream, name: str) -> None:
    """Plotly accepts it, times lie within the data's, and nothing says that data is missing."""
    frame = stream.aggregate(name)
    spec = FIGURES[name](frame)
    figure = valid(spec)
    first, last = (frame["time"].iloc[i].timestamp() * 1000 for i in (frame["time"].argmin(), -1))
    last = frame["time"].max().timestamp() * 1000
    width = frame["time"].diff().min().total_seconds() * 1000
    for trace in spec["data"]:
        assert len(trace["x"]) == len(trace["y"]) > 0
        assert trace["x"].dtype == trace["y"].dtype == np.float64
        assert first <= trace["x"][0] <= trace["x"][-1] <= last + (width if "stackgroup" in trace else 0)
    assert "annotations" not in spec["layout"]
    assert figure.layout.xaxis.title.text == "time (UTC)"


def of_tables(frames: Any, name: str, **more: Any) -> go.Figure:
    """The static figure of the tables that the aggregate of this name is made of."""
    if name == "tps":
        return figures.tps(frames["network_metrics"], frames["block_proposal"], **more)
    return getattr(figures, name)(frames[TABLE_OF[name]], **more)


def drawn(figure: go.Figure) -> dict[str, Any]:
    """What a figure shows, without what is told on hover and what its source is."""
    plain = figure.to_plotly_json()
    for trace in plain["data"]:
        for key in [key for key in trace if key in ("text", "hovertemplate")]:
            del trace[key]
    layout = plain["layout"]
    layout.pop("template", None)
    layout["annotations"] = [n for n in layout.get("annotations", []) if not n["text"].startswith("source: ")]
    return plain


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_tables_is_the_one_that_the_live_plot_shows(stream: chaosnb.Stream, name: str) -> None:
    """Every number, colour and label: a paper's figure equals the dashboard's."""
    live = FIGURES[name](stream.aggregate_arrays(name, window_s=None), gaps=stream.gaps)
    np.testing.assert_equal(drawn(of_tables(stream, name, gaps=stream.gaps)), drawn(go.Figure(live)))
    again = getattr(figures, name)(stream.aggregate(name, window_s=None), gaps=stream.gaps)
    np.testing.assert_equal(drawn(again), drawn(go.Figure(live)))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_empty_tables_says_that_there_is_no_data(name: str) -> None:
    """It has its axes, with their units."""
    frames = {table: Table(schema).snapshot() for table, schema in TABLES.items()}
    figure = of_tables(frames, name)
    assert [note.text for note in figure.layout.annotations] == ["no data"]
    assert figure.layout.yaxis.title.text
    assert len(figure.data) >= 1


def test_tps_without_blocks_draws_what_nodes_report(stream: chaosnb.Stream) -> None:
    """What is not known is not in the legend."""
    assert [trace.name for trace in figures.tps(stream.network_metrics).data] == ["reported by nodes"]


def test_a_figure_says_where_its_data_comes_from(stream: chaosnb.Stream) -> None:
    """Simulated data never passes for real; the text of a source is escaped like any other."""
    notes = [note.text for note in figures.decisions(stream.block_validation).layout.annotations]
    assert [note for note in notes if note.startswith("source: ") and "(simulated)" in note]
    for figure in (figures.alliances(stream.alliance_update), figures.decisions(stream.block_validation)):
        (source,) = (note for note in figure.layout.annotations if note.text.startswith("source: "))
        assert -figure.layout.margin.b < source.yshift - 9, "the figure ends above it"
    votes = stream.block_validation
    votes.attrs["source"] = "<img src=x>"
    assert "source: &lt;img src=x&gt;" in [n.text for n in figures.decisions(votes).layout.annotations]


def test_the_template_is_the_one_that_the_user_set() -> None:
    """White by default, so that it can be printed."""
    frame = counts("tps", 3)
    white = pio.templates["plotly_white"].layout.plot_bgcolor
    assert figures.tps(frame).layout.template.layout.plot_bgcolor == white == "white"
    try:
        pio.templates.default = "plotly_dark"
        assert figures.tps(frame).layout.template.layout.paper_bgcolor == "rgb(17,17,17)"
    finally:
        pio.templates.default = "plotly"


def test_a_change_of_reputation_tells_its_reason_on_hover() -> None:
    """Of the last change in a bucket; what it says is only text, and not too long for a label."""
    when = times(3, step="400ms")
    reasons = ["first", "<img src=x onerror=alert(1)> %{x} $x$ " + "word " * 200, "last"]
    updates = pd.DataFrame(
        {"timestamp": when, "agent_id": "a", "new_score": [1.0, 2.0, 3.0], "reason": reasons}
    )
    (line,) = figures.reputation(updates.iloc[:2]).data
    assert line.y.tolist() == [2.0]
    assert "%{text}" in line.hovertemplate
    (text,) = line.text
    assert text.startswith("&lt;img src=x onerror=alert(1)&gt; &#37;{x} &#36;x&#36; word")
    assert max(len(html.unescape(part)) for part in text.split("<br>")) <= 60
    assert len(html.unescape(text)) < 300
    assert figures.reputation(updates).data[0].text == ("last",)


@pytest.mark.parametrize("name", ["tps", "decisions", "block_intervals"])
def test_gaps_are_those_of_a_stream_for_every_figure(name: str) -> None:
    """Not whether to show some."""
    with pytest.raises(ValueError, match="gaps= takes the gaps of a stream"):
        getattr(figures, name)(engines.empty(TABLE_OF.get(name, "block_proposal")), gaps=True)


@pytest.mark.parametrize("name", ["tps", "decisions", "sentiment", "reputation"])
def test_a_wrong_frame_is_an_error_that_tells_the_right_one(name: str) -> None:
    """It names what is missing and which table has it; buckets that are made already cannot be chosen."""
    with pytest.raises(ValueError, match=f"the frame has no column.*s.{TABLE_OF[name]}"):
        getattr(figures, name)(pd.DataFrame({"x": [1]}))
    with pytest.raises(TypeError, match="a DataFrame is needed"):
        getattr(figures, name)(7)
    with pytest.raises(ValueError, match="has its buckets already"):
        getattr(figures, name)(empty(name), resolution_s=5)
    with pytest.raises(ValueError, match="gaps= takes the gaps of a stream"):
        getattr(figures, name)(empty(name), gaps=pd.DataFrame({"x": [1]}))


def test_decisions_have_a_band_of_confidence() -> None:
    """It is Wilson's interval, wide where votes are few, and holes in the rate are left out of it."""
    frame = counts("decisions", 3).assign(approve=[3, 0, 300], reject=[1, 0, 100])
    frame["approval_rate"] = frame["approve"] / (frame["approve"] + frame["reject"])
    low, high = (trace for trace in decisions(frame)["data"] if trace["name"] == "95 % interval")
    assert high["fill"] == "tonexty"
    assert low["x"].tolist() == high["x"].tolist() == [1_767_225_600_000.0, 1_767_225_602_000.0]
    np.testing.assert_allclose([low["y"], high["y"]], [[30.1, 70.5], [95.4, 79.0]], atol=0.06)


def test_buckets_that_are_far_apart_have_nothing_between_them() -> None:
    """The label is true whatever the buckets were, and no step lasts over a time without votes."""
    frame = counts("decisions", 3).assign(time=times(13)[[0, 2, 8]], approve=[3.0, 4.0, 5.0])
    spec = decisions(frame)
    assert spec["layout"]["yaxis"]["title"]["text"] == "votes per 2 s"
    steps = spec["data"][0]
    start = steps["x"][0]
    assert ((steps["x"] - start) / 1000).tolist() == [0, 2, 4, 8, 10]
    assert steps["y"].tolist() == [3, 4, 0, 5, 5]


def test_event_rate_and_lag_take_one_table_or_all(stream: chaosnb.Stream) -> None:
    """A line a table; the lag of all together."""
    assert [trace.name for trace in figures.event_rate(stream.block_validation).data] == ["events"]
    named = [trace.name for trace in figures.event_rate(stream.frames(), gaps=stream.gaps).data]
    assert named == [name for name in TABLES if len(stream[name])]
    every = figures.lag(stream.frames(), gaps=stream.gaps)
    assert [trace.name for trace in every.data] == ["5 % to 95 %", "5 % to 95 %", "median"]
    assert np.all(every.data[0].y <= every.data[-1].y)
    assert np.all(every.data[-1].y <= every.data[1].y)
    for figure in (figures.event_rate({}), figures.lag({})):
        assert [note.text for note in figure.layout.annotations] == ["no data"]
        assert len(figure.data) >= 1


@pytest.mark.parametrize("name", FIGURES)
def test_an_empty_frame_gives_a_figure_that_says_so(name: str) -> None:
    """It is valid, has axes without made-up numbers, and the words 'waiting for data'."""
    spec = FIGURES[name](empty(name))
    figure = valid(spec)
    assert [note.text for note in figure.layout.annotations] == ["waiting for data"]
    assert figure.layout.xaxis.showticklabels is False
    assert len(figure.data) >= 1


def test_tps_has_units_and_leaves_missing_values_out() -> None:
    """Values are drawn as they are, what is not known as a hole."""
    frame = counts("tps", 3)
    frame.loc[1, "observed"] = np.nan
    spec = tps(frame)
    np.testing.assert_array_equal(spec["data"][1]["y"], [0.0, np.nan, 0.2])
    assert spec["data"][0]["x"].tolist() == [1_767_225_600_000.0 + 1000 * i for i in range(3)]
    assert spec["layout"]["yaxis"]["title"]["text"] == "transactions per second"


def test_decisions_stack_votes_and_show_the_rate_in_percent() -> None:
    """The other votes are there only if there are any, and the axis says how long a bucket is."""
    frame = counts("decisions", 3).assign(time=times(3, step="5s"), approval_rate=[0.0, 0.5, 1.0])
    spec = decisions(frame)
    names = [trace["name"] for trace in spec["data"]]
    assert names == ["approve", "reject", "other", "95 % interval", "95 % interval", "approval rate"]
    assert spec["data"][-1]["y"].tolist() == [0.0, 50.0, 100.0]
    assert spec["layout"]["yaxis"]["title"]["text"] == "votes per 5 s"
    assert {trace.get("stackgroup") for trace in spec["data"][:3]} == {"steps"}
    assert spec["layout"]["yaxis2"]["range"][1] >= 100
    assert "other" not in [trace["name"] for trace in decisions(frame.assign(other=0))["data"]]


@pytest.mark.parametrize("figure", [decisions, sentiment])
def test_each_bucket_is_drawn_from_its_beginning_to_its_end(figure: object) -> None:
    """The last one ends a bucket's width after its beginning, a lone one after a second."""
    name = "decisions" if figure is decisions else "sentiment"
    for frame, width_ms in (
        (counts(name, 1), 1000),
        (counts(name, 3).assign(time=times(3, step="5s")), 5000),
    ):
        steps = [trace for trace in FIGURES[name](frame)["data"] if "stackgroup" in trace]
        assert {trace["line"]["shape"] for trace in steps} == {"hv"}
        for trace in steps:
            assert trace["x"][-1] - trace["x"][-2] == width_ms
            assert trace["y"][-1] == trace["y"][-2]
            assert len(trace["x"]) == len(trace["y"]) == len(frame) + 1


@pytest.mark.parametrize(
    ("observed", "mode"),
    [([1, 2, 3], "lines"), ([1, None, 3], "lines+markers"), ([None, 2, None], "lines+markers")],
)
def test_only_a_value_that_no_line_reaches_gets_a_mark(observed: list[float | None], mode: str) -> None:
    """Three hundred marks a line are what slows a browser down most."""
    frame = counts("tps", 3).assign(observed=np.array(observed, dtype=float))
    assert tps(frame)["data"][1]["mode"] == mode
    # This line goes on across holes.
    assert tps(frame.assign(reported=frame["observed"]))["data"][0]["mode"] == (
        "lines+markers" if frame["observed"].count() < 2 else "lines"
    )


def test_what_is_good_and_bad_has_the_same_colours_everywhere() -> None:
    """Approvals look like positive words, rejections like negative ones."""
    colours = {
        trace["name"]: trace["line"]["color"]
        for name, figure in (("decisions", decisions), ("sentiment", sentiment))
        for trace in figure(counts(name, 2))["data"]
        if "stackgroup" in trace
    }
    assert colours["approve"] == colours["positive"] != colours["reject"] == colours["negative"]


def test_a_line_of_the_top_movers_stays_while_no_other_moves_much_further() -> None:
    """So that lines do not come and go with each event."""
    first = reputation(scores(("a", [0, 4]), ("b", [0, 5])), top=1)
    assert [trace["name"] for trace in first["data"]] == ["b"]
    before = [trace["uid"] for trace in first["data"]]
    for other, drawn in ((6, "b"), (8, "a")):
        frame = scores(("a", [0, other]), ("b", [0, 5]))
        assert [trace["name"] for trace in reputation(frame, top=1, stay=before)["data"]] == [drawn]


def test_reputation_draws_who_moved_most() -> None:
    """The change between first and last score counts, up or down."""
    frame = scores(("a", [1.0, 9.0, 1.0]), ("b", [5.0, 2.0]), ("c", [1.0, 2.0]), ("d", [1.0]))
    assert [trace["name"] for trace in reputation(frame, top=2)["data"]] == ["b", "c"]
    assert reputation(frame, top=2)["data"][0]["y"].tolist() == [5.0, 2.0]


def test_reputation_draws_the_agents_chosen() -> None:
    """Those without data stand in the legend, and if none has any the figure says so."""
    frame = scores(("a", [1.0, 2.0]), ("b", [5.0, 2.0]))
    spec = reputation(frame, agents=["z", "a", "a"])
    assert [(trace["name"], len(trace["x"])) for trace in spec["data"]] == [("a", 2), ("z", 0)]
    assert spec["layout"]["title"]["text"] == "Reputation"
    assert reputation(frame, agents=["z"])["layout"]["annotations"][0]["text"] == "waiting for data"
    valid(spec)


def test_agents_keep_their_look_while_others_come_and_go() -> None:
    """Colour, dash and identity belong to the agent; 28 agents can be told apart."""
    frame = scores(*((f"agent-{i:02}", [0.0, float(i)]) for i in range(28)))
    every = {trace["name"]: (trace["line"], trace["uid"]) for trace in reputation(frame, top=28)["data"]}
    looks = {(line["color"], line["dash"]) for line, _ in every.values()}
    assert len(looks) == 28
    assert {color for color, _ in looks} == set(PALETTE)
    for trace in reputation(frame, agents=["agent-03", "agent-20"])["data"]:
        assert (trace["line"], trace["uid"]) == every[trace["name"]]


def test_agents_that_come_later_change_no_look() -> None:
    """Whatever their names; nor do lines drawn at once look alike where there are more agents than looks."""
    some = scores(*((f"m-{i:02}", [0.0, float(i)]) for i in range(5)))
    first = looks_of(reputation(some))
    more = pd.concat([some, scores(*((f"a-{i:02}", [0.0, 9.0 + i]) for i in range(50)))])
    assert looks_of(reputation(more, agents=[f"m-{i:02}" for i in range(5)])) == first
    # The sixth and the thirty-fourth: 28 places apart.
    pair = looks_of(reputation(more, agents=["a-00", "a-28"]))
    assert len({*pair.values()}) == 2
    late = next(uid for uid in pair if uid in looks_of(reputation(more, agents=["a-28"])))
    kept = looks_of(reputation(more, agents=["a-00", "a-28"], looks={late: ("#0072B2", "dash")}))
    assert kept[late] == ("#0072B2", "dash")


@pytest.mark.parametrize("agent", HOSTILE)
def test_a_hostile_agent_id_is_only_text(agent: str) -> None:
    """No markup, template, TeX, control or direction mark is left, and the rest can still be read."""
    (line,) = reputation(scores((agent, [1.0, 2.0])))["data"]
    shown = line["name"]
    assert not set(shown) & set("<>%$")
    assert all(sign.isprintable() for sign in shown)
    assert agent not in line["hovertemplate"] or not agent
    assert len(html.unescape(shown)) <= 28
    kept = [sign for sign in html.unescape(shown) if sign not in "\N{REPLACEMENT CHARACTER}…"]
    assert set(kept) <= set(agent)
    valid(reputation(scores((agent, [1.0, 2.0]))))


def test_a_label_keeps_both_ends_of_a_long_text() -> None:
    """Agents whose ids differ at the end only can be told apart."""
    assert label("x" * 28) == "x" * 28
    assert label("\ud800") == "\N{REPLACEMENT CHARACTER}"
    assert label("a" * 40 + "1") != label("a" * 40 + "2")


def gap(start_s: float, end_s: float | None, certainty: str = "possible", **more: object) -> Gap:
    """A gap so many seconds after the first time drawn."""
    base_us = round(times(1)[0].timestamp() * 1e6)
    end_us = None if end_s is None else base_us + round(end_s * 1e6)
    cause = "height_jump" if certainty == "certain" else "disconnected"
    return Gap(base_us + round(start_s * 1e6), end_us, cause, ("blocks",), certainty, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FIGURES)
def test_gaps_are_shaded_where_data_is_drawn(name: str) -> None:
    """Those before and after are left out, and none stretches the axis; one that lasts stands out."""
    found = [(-60, -50), (-1, 1), (2, 3), (8, 12), (5, None), (60, 70), (70, None)]
    gaps = gap_frame([gap(start_s, end_s) for start_s, end_s in found])
    frame = scores(("a", [0.5] * 10)) if name == "reputation" else counts(name, 10)
    marked = FIGURES[name](frame, gaps=gaps)
    bands = marked["layout"]["shapes"]
    start = times(1)[0].timestamp() * 1000
    seen = [(band["x0"] - start, band["x1"] - start) for band in bands]
    # What is counted in a bucket is drawn to the bucket's end.
    last = 10_000 if name in ("decisions", "sentiment") else 9000
    assert seen[:3] == [(0, 1000), (2000, 3000), (8000, last)]
    for (low, high), start_ms in zip(seen[3:], (5000, last), strict=True):
        assert low == start_ms
        assert last < high < last + 1000
    valid(marked)


def test_a_figure_is_not_changed_by_shading_it() -> None:
    """The same one can be drawn with other gaps."""
    spec = tps(counts("tps", 10))
    mark_gaps(spec, gap_frame([gap(2, 3)]))
    assert "shapes" not in spec["layout"]
    assert "annotations" not in spec["layout"]


def test_the_names_of_gaps_have_room_beside_the_title() -> None:
    """A legend above the plot takes a second row with them; one at its side needs none."""
    for draw, more in ((tps, 19), (event_rate, 0)):
        plain, marked = draw(counts("tps", 10)), draw(counts("tps", 10), gap_frame([gap(1, 4)]))
        assert marked["layout"]["margin"]["t"] - plain["layout"]["margin"]["t"] == more


def test_certain_and_possible_gaps_differ_in_more_than_colour_and_say_what_is_missing() -> None:
    """Each kind is named in the legend once; the marks tell on hover."""
    jump = gap(2, 3, "certain", heights=range(6, 20))
    gaps = gap_frame([gap(1, 4), jump, gap(5, 6), gap(6, None), gap(7, 8, "certain")])
    layout = mark_gaps(tps(counts("tps", 10)), gaps)["layout"]
    bands, marks = layout["shapes"], layout["annotations"]
    assert [band["line"]["dash"] for band in bands] == ["dot", "solid", "dot", "dot", "solid"]
    assert [band["name"] for band in bands if band["showlegend"]] == ["may be missing", "events missing"]
    assert len({mark["text"] for mark in marks}) == 2
    first, second, _, lasting, _ = (mark["hovertext"] for mark in marks)
    assert "disconnected" in first
    assert "3.0 s" in first
    assert "events of blocks may be missing" in first
    assert "blocks missing at height 6, 7, 8, 9, 10, …" in second
    assert "since" in lasting


def test_at_most_fifty_gaps_are_shaded() -> None:
    """The newest ones, so that a bad night does not make each frame heavy."""
    gaps = gap_frame([gap(second, second) for second in range(100)])
    shapes = mark_gaps(tps(counts("tps", 200)), gaps)["layout"]["shapes"]
    assert len(shapes) == 50
    assert shapes[-1]["x0"] == times(100)[-1].timestamp() * 1000


def test_without_gaps_or_data_nothing_is_shaded(stream: chaosnb.Stream) -> None:
    """The figure comes back as it is."""
    spec = tps(counts("tps", 3))
    assert mark_gaps(spec, stream.gaps) is spec
    assert mark_gaps(spec, None) is spec
    nothing = tps(counts("tps", 0))
    assert mark_gaps(nothing, gap_frame([gap(0, 1)])) is nothing
