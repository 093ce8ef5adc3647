"""Figures of agents and of estimates: what they draw is what the analysis says, and text is only text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from chaosnb import analysis, figures
from tests.engines import devnet, empty
from tests.figure_texts import HOSTILE, assert_only_text, texts_of

DRAWN: dict[str, tuple[Callable[..., go.Figure], tuple[str, ...], dict[str, Any]]] = {
    "absences": (figures.absences, ("agent_status",), {}),
    "agreement": (figures.agreement, ("block_validation",), {"minimum_overlap": 5}),
    "agreement in clusters": (
        figures.agreement,
        ("block_validation",),
        {"minimum_overlap": 5, "clusters": True},
    ),
    "alliance_churn": (figures.alliance_churn, ("alliance_update",), {}),
    "alliance_cohesion": (figures.alliance_cohesion, ("block_validation", "alliance_update"), {}),
    "alliance_spells": (figures.alliance_spells, ("alliance_update",), {}),
    "discussion_volume": (figures.discussion_volume, ("consensus_discussion", "block_proposal"), {}),
    "meme_effect": (
        figures.meme_effect,
        ("block_validation", "meme_posted", "block_proposal"),
        {"fresh_s": 0.35},
    ),
    "meme_influence": (figures.meme_influence, ("consensus_discussion", "meme_posted"), {}),
    "meme_spread": (figures.meme_spread, ("consensus_discussion",), {}),
    "meme_tags": (figures.meme_tags, ("consensus_discussion", "meme_posted"), {}),
    "participation_by_status": (
        figures.participation_by_status,
        ("block_validation", "agent_status"),
        {},
    ),
    "reputation_inequality": (figures.reputation_inequality, ("reputation_update",), {}),
    "reputation_movers": (figures.reputation_movers, ("reputation_update",), {}),
    "reputation_reversion": (figures.reputation_reversion, ("reputation_update",), {}),
    "reputation_summary": (figures.reputation_summary, ("reputation_update",), {}),
    "sentiment_by": (figures.sentiment_by, ("consensus_discussion",), {}),
    "sentiment_lead": (figures.sentiment_lead, ("block_validation", "consensus_discussion"), {}),
    "uptime": (figures.uptime, ("agent_status",), {}),
    "vote_drivers": (
        figures.vote_drivers,
        ("block_validation", "consensus_discussion", "meme_posted", "alliance_update"),
        {"fresh_s": 0.35},
    ),
}
NAMELESS = ("alliance_churn", "discussion_volume", "reputation_inequality", "sentiment_lead")
WITH_NAMES = [name for name in DRAWN if name not in NAMELESS]
NAMES = ("validator_id", "agent_id", "creator_id", "alliance_id", "reason", "status")


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """The tables of a simulated network, which say where they are from."""
    _, found = devnet(seconds=180)
    for frame in found.values():
        frame.attrs["source"] = "ws://node (simulated)"
    return found


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_draws_something_and_says_where_it_is_from(
    name: str, tables: dict[str, pd.DataFrame]
) -> None:
    """With axes that are named, or names that need no axis."""
    draw, names, options = DRAWN[name]
    figure = draw(*(tables[one] for one in names), **options)
    assert max(len(trace.x if trace.x is not None else trace.z) for trace in figure.data) > 1
    assert figure.layout.title.text
    assert any("simulated" in text for text in texts_of(figure))
    assert not any("no data" in text for text in texts_of(figure))


@pytest.mark.parametrize("name", DRAWN)
def test_without_rows_a_figure_says_so_and_a_wrong_frame_is_an_error(name: str) -> None:
    """The error names the table that has the columns."""
    draw, names, options = DRAWN[name]
    figure = draw(*(empty(one) for one in names), **options)
    assert [note.text for note in figure.layout.annotations] == ["no data"]
    with pytest.raises(ValueError, match=rf"s\.{names[0]}"):
        draw(pd.DataFrame({"unrelated": [1]}), *(empty(one) for one in names[1:]), **options)


@pytest.mark.parametrize("name", WITH_NAMES)
def test_text_of_agents_is_only_text(name: str, tables: dict[str, pd.DataFrame]) -> None:
    """Wherever a name, a reason or a meme's id is drawn."""
    draw, names, options = DRAWN[name]
    hostile = []
    for one in names:
        frame = tables[one].copy()
        for column in frame.columns:
            if column in NAMES or "personality" in column:
                frame[column] = [HOSTILE + str(text) for text in frame[column].astype("str")]
            if column in ("meme_references", "tags"):
                frame[column] = [[HOSTILE for _ in row] for row in frame[column]]
            if column == "members":
                frame[column] = [[{**m, "id": HOSTILE + m["id"]} for m in row] for row in frame[column]]
        hostile.append(frame)
    assert_only_text(draw(*hostile, **options))


def test_numbers_drawn_are_those_of_the_analysis(tables: dict[str, pd.DataFrame]) -> None:
    """Dots and whiskers of drivers, the share in the title, kappa in both halves of the map."""
    names = ("block_validation", "consensus_discussion", "meme_posted", "alliance_update")
    found = analysis.vote_drivers(*(tables[name] for name in names), fresh_s=0.35)
    figure = figures.vote_drivers(*(tables[name] for name in names), fresh_s=0.35)
    known = found[found["estimate"].notna()]
    np.testing.assert_allclose(figure.data[0].x, known["odds_ratio"][known["unit"] == "log-odds"])
    share = known.loc[known["unit"] == "share", "estimate"].iloc[0]
    assert f"copy {share * 100:.0f} %" in figure.layout.title.text
    heat = figures.agreement(tables["block_validation"], minimum_overlap=5)
    # Named at both sides.
    assert heat.layout.xaxis.ticktext == heat.layout.yaxis.ticktext
    assert len(heat.layout.xaxis.ticktext) == len(heat.data[0].z)
    assert heat.layout.xaxis.showticklabels is not False
    cells = heat.data[0].z
    np.testing.assert_array_equal(cells, cells.T)
    kappa = analysis.vote_agreement(tables["block_validation"], minimum_overlap=5)["kappa"]
    np.testing.assert_allclose(np.sort(cells[np.triu_indices(len(cells), 1)]), np.sort(kappa))
    movers = figures.reputation_movers(tables["reputation_update"], top=4)
    wanted = analysis.reputation_movers(tables["reputation_update"], top=4)
    assert sum(float(np.sum(trace.x)) for trace in movers.data[:-1]) == pytest.approx(wanted["moved"].sum())


def test_the_line_of_reversion_is_the_rate_and_lies_in_its_wedge(tables: dict[str, pd.DataFrame]) -> None:
    """Against dots whose slope within agents it is, but for what the jackknife corrects."""
    scores = tables["reputation_update"]
    found = analysis.reputation_reversion(scores).iloc[0]
    dots, wedge, line = figures.reputation_reversion(scores).data
    assert line.y[0] / line.x[0] == pytest.approx(-found["rate"])
    steepest, flattest = sorted(y / x for x, y in zip(wedge.x, wedge.y, strict=True) if x > 0)
    assert (steepest, flattest) == pytest.approx((-found["high"], -found["low"]))
    assert len(dots.x) == found["updates"]
    assert line.x[0] == dots.x.min()
    means = scores.groupby("agent_id")["old_score"].transform("mean")
    used = scores.groupby("agent_id")["old_score"].transform("size") >= 10
    np.testing.assert_allclose(np.sort(dots.x), np.sort((scores["old_score"] - means)[used]))


def test_gaps_are_shaded_where_agents_are_drawn_over_time(tables: dict[str, pd.DataFrame]) -> None:
    """In the figures of a report, which says that they are."""
    scores, allies = tables["reputation_update"], tables["alliance_update"]
    start = scores["timestamp"].iloc[4]
    gap = {"start": start, "end": start + pd.Timedelta(5, unit="s"), "duration_s": 5.0, "cause": "stale"}
    gaps = pd.DataFrame([{**gap, "certainty": "certain", "topics": ["network"], "blocks_missing": 0}])
    for figure in (
        figures.reputation_inequality(scores, every_s=10, gaps=gaps),
        figures.alliance_churn(allies, every_s=10, gaps=gaps),
        figures.alliance_spells(allies, gaps=gaps),
        figures.absences(tables["agent_status"], gaps=gaps),
    ):
        assert [shape.type for shape in figure.layout.shapes] == ["rect"]
        assert figure.layout.title.text


def test_bars_of_absences_are_those_of_the_analysis(tables: dict[str, pd.DataFrame]) -> None:
    """Each in its agent's row from when to when, along a line from the agent's first status to the end."""
    states = tables["agent_status"]
    found = analysis.absences(states).set_index("time").sort_index()
    figure = figures.absences(states, most=1000)
    known, *bars = figure.data
    rows = dict(zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True))
    assert [*rows.values()] == [*analysis.agent_uptime(states)["agent_id"]]
    assert {bar.name for bar in bars} == {*found["status"]}
    for bar in bars:
        wanted = found[found["status"] == bar.name]
        np.testing.assert_allclose(np.float64(bar.base), wanted.index.as_unit("us").astype("int64") / 1000)
        np.testing.assert_allclose(bar.x, wanted["lasted_s"] * 1000)
        assert [rows[row] for row in bar.y] == [*wanted["agent_id"]]
    first = states.groupby("agent_id")["timestamp"].min().dt.as_unit("us").astype("int64") / 1000
    begins = np.float64(known.base)
    np.testing.assert_allclose(begins, first[[*rows.values()]])
    np.testing.assert_allclose(begins + known.x, states["timestamp"].max().value / 1e6)
    some = figures.absences(states, most=3, newest=2)
    assert sum(len(bar.x) for bar in some.data[1:]) == 2
    assert some.layout.title.text.startswith("Absences: newest 2 of ")
    assert some.layout.title.text.endswith(f": the 3 of {len(rows)} agents away most")


def test_an_absence_tells_why_and_how_late_its_agent_came_back() -> None:
    """Or that it has not come back; a word that the protocol does not know is another way to be away."""
    of = {"timestamp": pd.to_datetime([0, 25, 60, 100], unit="s", utc=True), "agent_id": list("aaab")}
    told = {"reason": ["tired", "", "<b>gone</b>", ""], "expected_duration_s": [20.0, 0.0, 7200.0, 0.0]}
    states = pd.DataFrame({**of, **told, "status": ["inactive", "active", "asleep", "active"]})
    figure = figures.absences(states)
    assert {bar.name: bar.hovertext for bar in figure.data[1:]} == {
        "inactive": (
            "a: inactive<br>since 1970-01-01 00:00:00 UTC, lasted 25.0 s, 5.0 s late, meant to last 20.0 s"
            "<br><i>tired</i>",
        ),
        "other": (
            "a: asleep<br>since 1970-01-01 00:01:00 UTC, goes on after 40.0 s, meant to last 2.0 h"
            "<br><i>&lt;b&gt;gone&lt;/b&gt;</i>",
        ),
    }


def test_bars_of_memberships_are_those_of_the_analysis(tables: dict[str, pd.DataFrame]) -> None:
    """Each in a row of its member, under the heading of its alliance."""
    allies = tables["alliance_update"]
    found = analysis.alliance_spells(allies)
    figure = figures.alliance_spells(allies, most=1000)
    ticks = zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True)
    rows: dict[int, tuple[str, str]] = {}
    alliance = ""
    for row, name in sorted(ticks):
        alliance = name if name.startswith("<b>") else alliance
        rows[row] = (alliance.removeprefix("<b>").removesuffix("</b>"), name)
    assert len({*rows}) == len(figure.layout.yaxis.tickvals)
    drawn = [
        (*rows[row], round(base * 1000), round(lasted / 1000, 6))
        for bar in figure.data
        for base, lasted, row in zip(bar.base, bar.x, bar.y, strict=True)
    ]
    start_us = found["start"].dt.as_unit("us").astype("int64")
    wanted = zip(found["alliance_id"], found["agent_id"], start_us, found["lasted_s"].round(6), strict=True)
    assert sorted(drawn) == sorted(wanted)
    each = found.groupby(["alliance_id", "agent_id"])["lasted_s"].sum()
    some = figures.alliance_spells(allies, most=2)
    assert some.layout.title.text == f"Memberships of alliances: 2 of {len(each)}, the longest"
    assert sum(sum(bar.x) for bar in some.data) / 1000 == pytest.approx(each.nlargest(2).sum())


def test_a_summary_of_reputation_draws_the_most_volatile_first(tables: dict[str, pd.DataFrame]) -> None:
    """And who was updated once without a volatility."""
    updates = tables["reputation_update"]
    once = updates.iloc[[0]].assign(agent_id="once")
    both = pd.concat([updates, once], ignore_index=True)
    wanted = analysis.reputation_summary(both).sort_values("volatility", ascending=False)
    figure = figures.reputation_summary(both, most=1000)
    _, first, last, volatility = figure.data
    np.testing.assert_allclose(volatility.x, wanted["volatility"])
    for dots, column in ((first, "first_score"), (last, "last_score")):
        np.testing.assert_allclose(dots.x, wanted[column])
    assert figure.layout.yaxis.ticktext[-1] == "once"
    assert "volatility not known, 1 updates" in last.hovertext[-1]
    few = figures.reputation_summary(both, most=3)
    assert few.layout.yaxis.ticktext == figure.layout.yaxis.ticktext[:3]
    assert few.layout.title.text.endswith(f": the 3 of {len(wanted)} agents most volatile")


def test_a_row_of_a_clock_far_ahead_stretches_no_row_of_bars(tables: dict[str, pd.DataFrame]) -> None:
    """It is left out, as it is of other figures over time."""
    for draw, name in ((figures.absences, "agent_status"), (figures.alliance_spells, "alliance_update")):
        rows = tables[name]
        ahead = rows.iloc[[-1]].assign(
            timestamp=pd.Timestamp("2099-01-01", tz="UTC"), seq=rows["seq"].max() + 1
        )
        if name == "agent_status":
            ahead["status"] = "inactive"
        else:
            ahead["alliance_id"] = "of another time"
        told = [
            [(bar.name, [*bar.base], [*bar.x]) for bar in draw(frame, most=1000).data]
            for frame in (rows, pd.concat([rows, ahead], ignore_index=True))
        ]
        assert told[0] == told[1]
