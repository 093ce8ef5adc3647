"""Figures of production, participation and consensus: what they draw, of any kind of frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from chaosnb import analysis, figures
from chaosnb.analysis.drifts import CRITICAL_95
from tests.engines import ENGINES, devnet, empty, on_engine
from tests.figure_texts import HOSTILE, assert_only_text, texts_of

_, TABLES = devnet(seconds=60)
DRAWN: dict[str, tuple[str, ...]] = {
    "approval_by": ("block_validation",),
    "participation": ("block_validation",),
    "vote_distribution": ("block_validation",),
    "discussion_volume": ("consensus_discussion", "block_proposal"),
    "meme_tags": ("consensus_discussion", "meme_posted"),
    "meme_influence": ("consensus_discussion", "meme_posted"),
    "participation_by_status": ("block_validation", "agent_status"),
    "outcomes": ("block_validation",),
    "drift": ("block_validation",),
    "consensus_times": ("block_validation", "block_proposal"),
    "finality_curve": ("block_validation", "block_proposal"),
    "block_intervals": ("block_proposal",),
    "height": ("block_proposal", "network_metrics"),
    "agreement": ("block_validation",),
    "alliance_churn": ("alliance_update",),
    "alliance_cohesion": ("block_validation", "alliance_update"),
    "alliances": ("alliance_update",),
    "block_tree": ("block_proposal", "block_validation"),
    "decisions": ("block_validation",),
    "event_rate": ("meme_posted",),
    "lag": ("meme_posted",),
    "meme_effect": ("block_validation", "meme_posted", "block_proposal"),
    "meme_spread": ("consensus_discussion",),
    "reputation": ("reputation_update",),
    "reputation_breaks": ("reputation_update",),
    "reputation_inequality": ("reputation_update",),
    "reputation_movers": ("reputation_update",),
    "reputation_reversion": ("reputation_update",),
    "sentiment": ("consensus_discussion",),
    "sentiment_by": ("consensus_discussion",),
    "sentiment_lead": ("block_validation", "consensus_discussion"),
    "tps": ("network_metrics", "block_proposal"),
    "uptime": ("agent_status",),
    "vote_drivers": ("block_validation", "consensus_discussion", "meme_posted", "alliance_update"),
    "vote_heatmap": ("block_validation", "block_proposal"),
    "double_votes": ("block_validation",),
    "alliance_spells": ("alliance_update",),
    "absences": ("agent_status",),
    "reputation_summary": ("reputation_update",),
}
OPTIONS: dict[str, dict[str, Any]] = {"meme_effect": {"fresh_s": 0.35}, "vote_drivers": {"fresh_s": 0.35}}


def draw(name: str, *frames: Any, **options: Any) -> go.Figure:
    figure = getattr(figures, name)(*frames, **OPTIONS.get(name, {}), **options)
    assert isinstance(figure, go.Figure)
    return figure


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_the_same_whatever_holds_its_rows(name: str) -> None:
    """It says where pandas' rows come from; of an empty table there is a figure, which says so."""
    frames = [TABLES[table] for table in DRAWN[name]]
    drawn = draw(name, *frames)
    for engine in ("polars lazy", "duckdb"):
        other = draw(name, *[on_engine(engine, frame) for frame in frames])
        assert len(other.data) == len(drawn.data)
        for one, same in zip(drawn.data, other.data, strict=True):
            for axis in ("x", "y", *[more for more in ("z", "base") if more in one]):
                np.testing.assert_allclose(
                    np.float64(same[axis]), np.float64(one[axis]), rtol=1e-9, atol=1e-9
                )
            hovers = [np.asarray(trace.hovertext, object).tolist() for trace in (same, one)]
            assert (same.name, hovers[0]) == (one.name, hovers[1])
        assert other.layout.title.text == drawn.layout.title.text
    told = [frame.copy() for frame in frames]
    told[0].attrs["source"] = "somewhere (simulated)"
    assert "source: somewhere (simulated)" in texts_of(draw(name, *told))
    nothing = texts_of(draw(name, *[empty(table) for table in DRAWN[name]]))
    assert {"no data", "no breaks"} & {*nothing}
    with pytest.raises(ValueError, match=rf"s\.{DRAWN[name][0]}|Every table has"):
        draw(name, *[pd.DataFrame({"a": [1]}) for _ in frames])


@pytest.mark.parametrize(
    "name", ["consensus_times", "reputation_inequality", "discussion_volume", "block_intervals", "height"]
)
def test_a_clock_that_is_far_off_squeezes_no_figure(name: str) -> None:
    """One row of each table that is dated 2099 is not drawn."""
    frames = [TABLES[table].copy() for table in DRAWN[name]]
    for frame in frames:
        alone = frame.get("height", frame["seq"]).drop_duplicates(keep=False)  # of no fork
        frame.loc[alone.index[len(alone) // 2], "timestamp"] = pd.Timestamp("2099-01-01", tz="UTC")
    for given in (frames, [on_engine("duckdb", frame) for frame in frames]):
        drawn = [trace.x.max() for trace in draw(name, *given).data if len(trace.x)]
        assert max(drawn) < pd.Timestamp("2090-01-01").timestamp() * 1000


@pytest.mark.parametrize("engine", ENGINES)
def test_memes_are_shown_from_any_kind_of_frame(engine: str) -> None:
    """The same cards, with their tags."""
    posted = TABLES["meme_posted"]
    assert figures.memes(on_engine(engine, posted)).html == figures.memes(posted).html


@pytest.mark.parametrize("name", ["consensus_times", "discussion_volume"])
def test_a_block_without_a_hash_is_drawn_without_a_name(name: str) -> None:
    """Beside the others, not instead of an error."""
    frames = [TABLES[table].copy() for table in DRAWN[name]]
    for frame in frames:
        frame["block_hash"] = frame["block_hash"].where(frame["block_hash"] != frame["block_hash"].iloc[0])
    whole = draw(name, *[TABLES[table] for table in DRAWN[name]])
    assert sum(len(trace.x) for trace in draw(name, *frames).data) == sum(
        len(trace.x) for trace in whole.data
    )


@pytest.mark.parametrize("name", ["participation", "consensus_times", "drift", "discussion_volume"])
def test_text_of_events_is_only_text(name: str) -> None:
    """In ticks, legends and hovers."""
    changed = {"validator_id": HOSTILE, "validator_personality": HOSTILE, "block_hash": HOSTILE}
    frames = [
        TABLES[table].iloc[:9].assign(**{k: v for k, v in changed.items() if k in TABLES[table].columns})
        for table in DRAWN[name]
    ]
    assert_only_text(draw(name, *frames))


def test_participation_is_drawn_as_it_was_counted() -> None:
    """The lowest at the bottom, in percent, with the share of all as a line."""
    votes = TABLES["block_validation"]
    shares = analysis.participation(votes, "personality")
    figure = draw("participation", votes, by="personality")
    np.testing.assert_allclose(figure.data[0].x, shares["participation"] * 100)
    overall = shares["voted"].sum() / shares["possible"].sum() * 100
    assert f"all votes {overall:.1f} %" in texts_of(figure)
    for name in ("participation", "approval_by"):
        with pytest.raises(ValueError, match="by='block' is not possible"):
            draw(name, votes, by="block")


def test_outcomes_are_counted_by_reason() -> None:
    """Each bar says how many and which share; accepted blocks have their own colour."""
    votes = TABLES["block_validation"]
    reasons = analysis.block_outcomes(votes)["reason"].value_counts()
    figure = draw("outcomes", votes)
    bars = dict(zip(figure.layout.yaxis.ticktext, figure.data[0].x.tolist(), strict=True))
    assert bars["accepted"] == reasons[""]
    assert sum(bars.values()) == reasons.sum()
    assert figure.layout.title.text == f"Outcome of {reasons.sum()} blocks"
    beside = dict(zip(figure.data[0].x.tolist(), figure.data[0].textposition, strict=True))
    assert {2 * n < reasons.max() for n in beside} == {True, False}
    for n, place in beside.items():
        assert place == ("outside" if 2 * n < reasons.max() else "inside")


def test_no_mark_of_a_block_is_cut_by_an_axis() -> None:
    """A block proposed a moment ago stands in the corner."""
    times = draw("consensus_times", TABLES["block_validation"], TABLES["block_proposal"])
    assert len(times.data) > 1
    assert all(trace.cliponaxis is False for trace in times.data)


def test_the_drift_of_a_few_is_drawn_with_what_is_critical() -> None:
    """Smallest p first; of many groups twelve."""
    votes = TABLES["block_validation"]
    figure = draw("drift", votes, by="validator")
    assert len(figure.data) == 12
    least = analysis.drift(votes, "validator").iloc[0]
    assert figure.data[0].name == f"{least['validator']} (p = {least['p_value']:.3f})"
    assert {shape.y0 for shape in figure.layout.shapes} == {CRITICAL_95, -CRITICAL_95}
    (alone,) = draw("drift", votes, by=None).data
    assert alone.name.startswith("all votes (p = ")
    assert alone.showlegend


def test_gaps_are_shaded_and_the_median_stays() -> None:
    """Where blocks are drawn over time."""
    blocks, metrics = TABLES["block_proposal"], TABLES["network_metrics"]
    start = blocks["timestamp"].iloc[4]
    gap = {"start": start, "end": start + pd.Timedelta(5, unit="s"), "duration_s": 5.0, "cause": "stale"}
    gaps = pd.DataFrame([{**gap, "certainty": "certain", "topics": ["blocks"], "blocks_missing": 0}])
    intervals = draw("block_intervals", blocks, gaps=gaps)
    assert [shape.type for shape in intervals.layout.shapes] == ["line", "rect"]
    times = draw("consensus_times", TABLES["block_validation"], blocks, gaps=gaps)
    assert [shape.type for shape in times.layout.shapes] == ["rect"]
    assert [shape.type for shape in draw("height", blocks, metrics, gaps=gaps).layout.shapes] == ["rect"]


def test_votes_are_drawn_as_they_are_distributed() -> None:
    """The first row at the top, of all votes or by group; in percent."""
    votes = TABLES["block_validation"]
    found = analysis.vote_distribution(votes, "personality")
    figure = draw("vote_distribution", votes, by="personality")
    np.testing.assert_allclose(figure.data[0].x, found["share"][::-1] * 100)
    first = f"{found['personality'].iloc[0]}: {found['decision'].iloc[0]}"
    assert figure.layout.yaxis.ticktext[-1].startswith(first)
    assert len(draw("vote_distribution", votes).data[0].x) == votes["decision"].nunique()
    with pytest.raises(ValueError, match="by='block' is not possible"):
        draw("vote_distribution", votes, by="block")


def test_messages_are_stacked_by_block() -> None:
    """They add up to all that was said about blocks that were proposed; gaps are shaded."""
    said, blocks = TABLES["consensus_discussion"], TABLES["block_proposal"]
    found = analysis.discussion_volume(said, blocks)
    start = blocks["timestamp"].iloc[4]
    gap = {"start": start, "end": start + pd.Timedelta(5, unit="s"), "duration_s": 5.0, "cause": "stale"}
    gaps = pd.DataFrame([{**gap, "certainty": "certain", "topics": ["consensus"], "blocks_missing": 0}])
    figure = draw("discussion_volume", said, blocks, gaps=gaps)
    total = sum(np.float64(trace.y).sum() for trace in figure.data)
    assert total == found[["positive", "neutral", "negative"]].to_numpy().sum() > 0
    assert [shape.type for shape in figure.layout.shapes] == ["rect"]


def test_only_the_tags_of_most_memes_are_drawn() -> None:
    """The title says how many there are."""
    said, memes = TABLES["consensus_discussion"], TABLES["meme_posted"]
    found = analysis.meme_tags(said, memes)
    figure = draw("meme_tags", said, memes, most=2)
    np.testing.assert_allclose(figure.data[0].x, found["references_per_meme"][:2])
    assert figure.layout.title.text == f"Tags of memes: 2 of {len(found)}"
    assert (
        len(draw("meme_influence", said, memes, by="personality").data[0].x)
        == memes["creator_personality"].nunique()
    )


def test_breaks_of_reputation_tell_what_a_gap_explains() -> None:
    """Of an update lost in a gap, and of one lost in silence; none is drawn where none is."""
    updates = TABLES["reputation_update"]
    assert draw("reputation_breaks", updates).layout.title.text == "Breaks in reputation: 0"
    agent = updates["agent_id"].value_counts().index[0]
    own = updates.index[updates["agent_id"] == agent]
    lost = updates.drop(index=[own[1], own[3]])
    start = updates["timestamp"][own[1]]
    gap = {"start": start, "end": start + pd.Timedelta(1, unit="ms"), "duration_s": 0.001, "cause": "stale"}
    gaps = pd.DataFrame([{**gap, "certainty": "possible", "topics": ["social"], "blocks_missing": 0}])
    figure = draw("reputation_breaks", lost, gaps=gaps)
    assert [len(trace.x) for trace in figure.data] == [1, 1]
    assert [trace.name for trace in figure.data] == ["explained by a gap", "unexplained"]
    hostile = lost.assign(agent_id=HOSTILE + lost["agent_id"].astype("str"))
    assert_only_text(draw("reputation_breaks", hostile, gaps=gaps))
