"""Who voted how: shares, last votes, and their figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chaosnb import figures
from chaosnb.analysis import approval_rate, double_votes, valid_votes, wilson_interval
from chaosnb.devnet.agents import Parameters
from tests.engines import devnet, empty, holds_to_the_rules, same_everywhere
from tests.figure_texts import HOSTILE, assert_only_text, texts_of

EMPTY = empty("block_validation")


def votes(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Votes as (block, validator, decision), a second apart; personalities are the first letters."""
    block, validator, decision = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-01-01", periods=len(rows), freq="s", tz="UTC"),
            "block_hash": block,
            "validator_id": validator,
            "validator_personality": [name[:1] for name in validator],
            "decision": decision,
            "reason": [f"reason {number}" for number in range(len(rows))],
        }
    )


@pytest.mark.parametrize("analysis", [approval_rate, double_votes, valid_votes])
def test_an_analysis_of_votes_holds_to_the_rules(analysis: Callable[..., Any]) -> None:
    """Empty tables, missing columns, and what is no frame."""
    holds_to_the_rules(analysis, "block_validation")


def test_approval_is_counted_by_personality_and_by_validator() -> None:
    """Highest first; who only abstains is last and has no rate."""
    frame = votes(
        ("1", "a1", "approve"),
        ("1", "a2", "reject"),
        ("2", "a1", "approve"),
        ("1", "b1", "approve"),
        ("1", "c1", "abstain"),
    )
    found = same_everywhere(approval_rate, frame)
    assert found["personality"].tolist() == ["b", "a", "c"]
    assert found[["approve", "reject", "other"]].to_numpy().tolist() == [[1, 0, 0], [2, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(found["approval_rate"], [1, 2 / 3, np.nan])
    assert (found["low"] <= found["approval_rate"])[:2].all()
    assert approval_rate(frame, "validator")["validator"].tolist() == ["a1", "b1", "a2", "c1"]
    assert approval_rate(frame, ["block", "personality"])["block"].tolist() == ["1", "2", "1", "1"]


def test_approval_over_time_is_counted_in_buckets_of_event_time() -> None:
    """They begin at multiples of their width, and come in order."""
    frame = votes(*(("1", f"a{n}", "reject" if n < 2 else "approve") for n in range(4)))
    found = same_everywhere(approval_rate, frame.iloc[::-1], by="time", every_s=2)
    assert found["time"].tolist() == [*pd.date_range("2026-01-01", periods=2, freq="2s", tz="UTC")]
    assert found["approval_rate"].tolist() == [0, 1]


@pytest.mark.parametrize("by", ["personality", "validator", "block", "time", ("time", "personality")])
def test_approval_is_the_same_on_every_engine(by: Any) -> None:
    """With the intervals that numpy gives for the same counts."""
    _, tables = devnet(seconds=60)
    found = same_everywhere(approval_rate, tables["block_validation"], by=by, every_s=5, confidence=0.9)
    low, high = wilson_interval(found["approve"], found["approve"] + found["reject"], 0.9)
    np.testing.assert_allclose(found["low"], low, atol=1e-12)
    np.testing.assert_allclose(found["high"], high, atol=1e-12)
    assert found["approve"].sum() == (tables["block_validation"]["decision"] == "approve").sum()


def test_votes_that_hang_together_make_a_wider_interval() -> None:
    """As if there were fewer: ten votes of one mind on each block are one; it is never narrower."""
    minds = ["approve", "reject", "approve", "approve"]
    frame = votes(*((str(block), f"a{n}", minds[block]) for block in range(4) for n in range(10)))
    found = same_everywhere(approval_rate, frame, clustered=True).iloc[0]
    # Σ(a − np)² = 100 Σ(mind − p)² = 75; m/(m − 1) = 4/3; n p (1 − p) = 7.5.
    low, high = wilson_interval(30 / (100 / 7.5), 40 / (100 / 7.5))
    assert (found["low"], found["high"]) == pytest.approx((float(low), float(high)))
    for by in ("personality", "block", "time", "validator"):
        plain, wide = (
            approval_rate(frame, by, clustered=clustered).drop(columns=["low", "high"])
            for clustered in (False, True)
        )
        pd.testing.assert_frame_equal(plain, wide)
    alone = votes(*((str(n), "a", "approve" if n % 2 else "reject") for n in range(6)))
    _, tables = devnet(seconds=60)
    for some in (alone, tables["block_validation"], votes(("1", "a", "approve"), ("1", "b", "x"))):
        plain, wide = (same_everywhere(approval_rate, some, clustered=one) for one in (False, True))
        assert (wide["low"].fillna(0) <= plain["low"].fillna(0) + 1e-12).all()
        assert (wide["high"].fillna(0) >= plain["high"].fillna(0) - 1e-12).all()


@pytest.mark.parametrize(("clustered", "effects"), [(False, False), (True, True)])
def test_intervals_cover_what_is_true_of_the_network(clustered: bool, effects: bool) -> None:
    """Over twenty seeds nine in ten at least hold the true rate of a personality.

    Without effects it is the published one; with all of them that of the probabilities of a run of ten times
    the length, which plain intervals miss more often.
    """
    own = Parameters(quality_effect=0.0, sentiment_effect=0.0, meme_effect=0.0, alliance_loyalty=0.0)
    held: list[bool] = []
    for seed in range(20):
        model, tables = devnet(seed, seconds=100, parameters=None if effects else own)
        rates = approval_rate(tables["block_validation"], clustered=clustered).set_index("personality")
        truth = model.truth.approval_probability
        if effects:
            model.step(1_000_000_000)
            truth = {name: one.expected_approvals / one.votes for name, one in model.tally.items()}
        held += [row["low"] <= truth[str(name)] <= row["high"] for name, row in rates.iterrows()]
    assert len(held) == 180
    assert np.mean(held) >= 0.9


@pytest.mark.parametrize("clustered", [False, True])
def test_without_groups_the_rate_is_that_of_all_votes(clustered: bool) -> None:
    """On every engine, as a single group of all would have it; of no votes there is none."""
    _, tables = devnet(seconds=30)
    cast = tables["block_validation"]
    found = same_everywhere(approval_rate, cast, by=(), clustered=clustered)
    wanted = approval_rate(cast.assign(validator_personality="all"), clustered=clustered)
    pd.testing.assert_frame_equal(found, wanted.drop(columns="personality"))
    assert same_everywhere(approval_rate, cast.iloc[:0], by=(), clustered=clustered).empty


@pytest.mark.parametrize("options", [{"by": "moon"}, {"by": ["moon"]}, {"every_s": 0}, {"confidence": 1}])
def test_an_option_that_is_not_possible_is_an_error(options: Any) -> None:
    """It names the option."""
    with pytest.raises(ValueError, match=next(iter(options))):
        approval_rate(votes(("1", "a", "approve")), **options)


def test_of_several_votes_on_a_block_the_first_counts() -> None:
    """By time, whatever order the rows have, as the network counts; the others are told apart."""
    frame = votes(
        ("1", "a", "reject"),
        ("1", "b", "reject"),
        ("1", "a", "approve"),
        ("2", "a", "approve"),
        ("1", "a", "x"),
    )
    for rows in (frame, frame.iloc[::-1]):
        counted = same_everywhere(valid_votes, rows)
        assert [*counted.columns] == [*frame.columns]
        assert counted[["validator_id", "decision"]].to_numpy().tolist() == [
            ["a", "reject"],
            ["b", "reject"],
            ["a", "approve"],
        ]
        double = same_everywhere(double_votes, rows)
        assert double["decision"].tolist() == ["approve", "x"]
        assert double["first_decision"].tolist() == ["reject", "reject"]
        assert double["time"].tolist() == [frame["timestamp"][2], frame["timestamp"][4]]
        assert approval_rate(rows)[["approve", "reject"]].to_numpy().tolist() == [[1, 1], [0, 1]]
    assert len(valid_votes(frame)) + len(double_votes(frame)) == len(frame)


def test_the_heat_map_has_a_cell_for_each_validator_and_block() -> None:
    """Who approves most stands at the top; marks tell rejections from approvals without colour."""
    frame = votes(
        ("1", "a", "reject"),
        ("1", "b", "approve"),
        ("2", "b", "abstain"),
        ("3", "a", "reject"),
        ("3", "b", "approve"),
    )
    cells, *keys = figures.vote_heatmap(frame).data
    np.testing.assert_array_equal(cells.z, [[2, 1, 2], [0, np.nan, 0]])
    assert cells.text.tolist() == [["", "?", ""], ["×", "", "×"]]
    assert [key.name for key in keys] == ["approve", "other ?", "reject ×"]
    assert "reason 3" in cells.hovertext[1][2]
    assert cells.hovertext[1][1] == ""


def test_the_heat_map_shows_the_newest_blocks_and_the_busiest_validators() -> None:
    """The title says what is left out; heights name blocks where they are known."""
    frame = votes(*((str(block), f"v{n}", "approve") for block in range(9) for n in range(block % 3 + 1)))
    blocks = pd.DataFrame({"block_hash": ["7", "8"], "height": [70, 80]})
    figure = figures.vote_heatmap(frame, blocks, newest=3, validators=2)
    assert figure.layout.title.text == "Votes: newest 3 of 9 blocks"
    assert figure.layout.xaxis.ticktext == ("6", "70", "80")
    assert figure.layout.yaxis.ticktext == ("v0", "v1")
    assert figure.layout.xaxis.title.text == "block (height)"


def test_approval_has_intervals_and_says_of_how_many_votes() -> None:
    """From the top down by share, in percent, with the share of all as a line."""
    frame = votes(*((n, "a", "approve") for n in "123"), ("1", "b", "reject"), ("1", "c", "abstain"))
    figure = figures.approval_by(frame)
    (points,) = figure.data
    assert points.x.tolist() == [0, 100]
    assert figure.layout.yaxis.ticktext == ("b (n = 1)", "a (n = 3)")
    np.testing.assert_allclose(points.x - points.error_x.arrayminus, [0, 43.85], atol=0.01)
    np.testing.assert_allclose(points.x + points.error_x.array, [79.35, 100], atol=0.01)
    assert "all votes 75.0 %" in texts_of(figure)
    assert "3 of 3 votes" in points.hovertext[1]


def test_double_votes_are_drawn_by_who_cast_them() -> None:
    """Who contradicted itself most at the top; the title counts those who voted once, too."""
    frame = votes(
        *((block, "a", "approve") for block in "123"),
        *(("1", "a", "reject"), ("2", "a", "approve"), ("2", "a", "reject")),
        *(("1", "b", "reject"), ("1", "b", "reject"), ("2", "c", "approve")),
    )
    figure = figures.double_votes(frame)
    assert figure.layout.title.text == "Double votes: 4 by 2 of 3 validators"
    assert figure.layout.yaxis.ticktext == ("b", "a")
    assert {trace.name: trace.x.tolist() for trace in figure.data} == {
        "contradicting the first": [0, 2],
        "the same again": [1, 1],
    }
    told = "a<br>3 votes that count, and 3 more on the same blocks<br>of which 2 contradict the first"
    assert figure.data[0].hovertext[1] == told
    one = figures.double_votes(frame, most=1)
    assert one.layout.yaxis.ticktext == ("a",)
    assert one.layout.title.text == "Double votes: 4 by 2 of 3 validators, of whom 1 are drawn"
    once = figures.double_votes(frame[:3])
    assert once.layout.title.text == "Double votes: 0"
    assert "nobody voted twice on a block" in texts_of(once)


@pytest.mark.parametrize("draw", [figures.vote_heatmap, figures.approval_by, figures.double_votes])
def test_without_votes_the_figures_say_so_and_a_wrong_frame_is_an_error(draw: object) -> None:
    """The error names the table that has the columns."""
    assert callable(draw)
    assert [note.text for note in draw(EMPTY).layout.annotations] == ["no data"]
    with pytest.raises(ValueError, match=r"s\.block_validation"):
        draw(pd.DataFrame({"timestamp": [pd.Timestamp(0)]}))


def test_text_of_voters_is_only_text() -> None:
    """In ticks and hovers."""
    frame = votes((HOSTILE, HOSTILE, HOSTILE), (HOSTILE + "2", HOSTILE, "approve")).assign(
        reason=HOSTILE, validator_personality=HOSTILE
    )
    assert_only_text(figures.vote_heatmap(frame))
    assert_only_text(figures.double_votes(pd.concat([frame, frame])))
    for by in ("personality", "validator"):
        assert_only_text(figures.approval_by(frame, by))
