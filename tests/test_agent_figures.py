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
    "agreement": (figures.agreement, ("block_validation",), {"minimum_overlap": 5}),
    "agreement in clusters": (
        figures.agreement,
        ("block_validation",),
        {"minimum_overlap": 5, "clusters": True},
    ),
    "alliance_churn": (figures.alliance_churn, ("alliance_update",), {}),
    "alliance_cohesion": (figures.alliance_cohesion, ("block_validation", "alliance_update"), {}),
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
    ):
        assert [shape.type for shape in figure.layout.shapes] == ["rect"]
        assert figure.layout.title.text
