"""Reputation: trajectories, movers and reasons, inequality, reversion, and scores that do not go on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb import analysis
from chaosnb.devnet.agents import Parameters
from chaosnb.ingest.gaps import Gap
from chaosnb.tables.ledgers import gap_frame
from tests.engines import as_pandas, devnet, holds_to_the_rules, on_engine, same_everywhere

START_US = 1_767_225_600_000_000


def updates(*rows: tuple[str, float, float, str]) -> pd.DataFrame:
    """Updates as (agent, old score, new score, reason), ten seconds apart."""
    agent, old, new, reason = zip(*rows, strict=True)
    time = pd.date_range("2026-01-01", periods=len(rows), freq="10s", tz="UTC").astype("datetime64[us, UTC]")
    columns = {"timestamp": time, "agent_id": agent, "old_score": old, "new_score": new, "reason": reason}
    return pd.DataFrame(columns)


MOVES = updates(
    ("a", 0.5, 0.6, "posted meme-0123456789ab"),
    ("b", 0.5, 0.4, "voted against the outcome of deadbeef"),
    ("a", 0.6, 0.8, "posted meme-aaaaaaaaaaaa"),
    ("b", 0.4, 0.45, "charm"),
    ("a", 0.7, 0.65, "voted with the outcome of 12345678"),
)


def test_a_summary_has_ends_extremes_and_volatility() -> None:
    """The first score is the one before the first update."""
    found = same_everywhere(analysis.reputation_summary, MOVES).set_index("agent_id")
    assert [*found.index] == ["a", "b"]
    assert found.loc["a", "updates"] == 3
    numbers = found.loc["a", ["first_score", "last_score", "change", "lowest", "highest"]].tolist()
    assert numbers == pytest.approx([0.5, 0.65, 0.15, 0.5, 0.8])
    assert found.loc["a", "volatility"] == pytest.approx(np.std([0.1, 0.2, -0.05], ddof=1))


def test_movers_tell_their_reasons_by_kind() -> None:
    """What names one block or meme does not split a reason."""
    found = same_everywhere(analysis.reputation_movers, MOVES)
    assert found[["agent_id", "reason", "updates"]].to_numpy().tolist() == [
        ["a", "posted …", 2],
        ["a", "voted with the outcome of …", 1],
        ["b", "voted against the outcome of …", 1],
        ["b", "charm", 1],
    ]
    np.testing.assert_allclose(found["moved"], [0.3, -0.05, -0.1, 0.05])
    np.testing.assert_allclose(found["change"], [0.15, 0.15, -0.05, -0.05])
    few = analysis.reputation_movers(MOVES, top=1, reasons=1)
    assert few["reason"].tolist() == ["posted …"]
    with pytest.raises(ValueError, match="at least 1"):
        analysis.reputation_movers(MOVES, top=0)


def test_trajectories_have_the_last_score_of_each_bucket() -> None:
    """Also where rows come out of order."""
    for frame in (MOVES, MOVES.iloc[::-1]):
        found = same_everywhere(analysis.reputation_trajectories, frame, every_s=30)
        assert found[["agent_id", "score", "updates"]].to_numpy().tolist() == [
            ["a", 0.8, 2],
            ["a", 0.65, 1],
            ["b", 0.4, 1],
            ["b", 0.45, 1],
        ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 100).map(lambda score: round(score, 6)), min_size=1, max_size=12))
def test_gini_is_half_the_mean_difference_over_the_mean(scores: list[float]) -> None:
    """By its other definition; it is the same for scores twice as large, and lies between 0 and 1."""
    rows = [(f"a{number}", 0.5, score, "") for number, score in enumerate(scores)]
    found = analysis.reputation_inequality(updates(*rows), every_s=86_400).iloc[-1]
    assert found["agents"] == len(scores)
    if sum(scores) == 0:
        assert np.isnan(found["gini"])
        return
    differences = np.abs(np.subtract.outer(scores, scores)).mean()
    assert found["gini"] == pytest.approx(differences / 2 / np.mean(scores), abs=1e-9)
    assert -1e-12 <= found["gini"] <= 1
    twice = [(agent, old, 2 * new, why) for agent, old, new, why in rows]
    other = analysis.reputation_inequality(updates(*twice), every_s=86_400).iloc[-1]
    assert other["gini"] == pytest.approx(found["gini"], abs=1e-9)


def test_inequality_goes_on_with_the_last_score_of_each() -> None:
    """Agents come in with their first update; a negative score has no such measure."""
    found = same_everywhere(analysis.reputation_inequality, MOVES, every_s=10)
    assert found["agents"].tolist() == [1, 2, 2, 2, 2]
    np.testing.assert_allclose(found["mean"], [0.6, 0.5, 0.6, 0.625, 0.55])
    assert found["gini"][1] == pytest.approx(0.1)
    assert np.isnan(analysis.reputation_inequality(updates(("a", 0.0, -1.0, "")))["gini"][0])


def test_scores_beyond_all_measure_leave_unknown_what_cannot_be_summed() -> None:
    """No warning, no infinite number, and no rate of 0 that nothing tells."""
    scores = [1e308, 1.7e308]
    found = [(agent, scores[n % 2], scores[1 - n % 2], "why") for n in range(12) for agent in "abc"]
    frame = updates(*found)
    unequal = analysis.reputation_inequality(frame)
    assert unequal["agents"].max() == 3
    assert unequal[["mean", "gini"]].iloc[1:].isna().all(axis=None)
    assert analysis.reputation_reversion(frame)[["rate", "low", "high"]].isna().all(axis=None)
    signs = frame.assign(new_score=frame["new_score"] * np.resize([1.0, -1.0], len(frame)))
    assert np.isfinite(analysis.reputation_summary(signs)["last_score"]).all()
    assert analysis.reputation_reversion(signs)["rate"].isna().all()


def test_scores_that_do_not_go_on_are_listed_with_the_gap_that_explains_them() -> None:
    """A gap of other topics, or at another time, explains nothing."""
    blind = analysis.reputation_breaks(MOVES)
    assert blind[["agent_id", "expected", "old_score"]].to_numpy().tolist() == [["a", 0.8, 0.7]]
    assert blind["explained_by"].tolist() == [""]
    assert (blind["time"] - blind["after"]).dt.total_seconds().tolist() == [20.0]

    def gap(start_s: int, end_s: int | None, cause: str, topic: str) -> Gap:
        end_us = None if end_s is None else START_US + end_s * 1_000_000
        return Gap(START_US + start_s * 1_000_000, end_us, cause, (topic,), "possible")  # type: ignore[arg-type]

    gaps = gap_frame(
        [
            gap(0, 19, "stale", "social"),
            gap(25, 35, "disconnected", "social"),
            gap(25, 35, "evicted", "blocks"),
            gap(39, None, "server_overload", "social"),
            gap(41, 50, "unrecorded", "social"),
        ]
    )
    told = analysis.reputation_breaks(MOVES, gaps)
    assert told["explained_by"].tolist() == ["disconnected, server_overload"]
    for engine in ("polars", "pyarrow", "duckdb"):
        same = analysis.reputation_breaks(on_engine(engine, MOVES), on_engine(engine, gaps))
        assert as_pandas(same)["explained_by"].tolist() == told["explained_by"].tolist()
    with pytest.raises(ValueError, match=r"as s\.gaps"):
        analysis.reputation_breaks(MOVES, MOVES)


def test_reversion_covers_the_devnets_rate() -> None:
    """On three seeds, and near enough to its mean; without the jackknife it would be too fast."""
    covered = 0
    for seed in range(3):
        model, tables = devnet(seed, seconds=1000)
        found = same_everywhere(analysis.reputation_reversion, tables["reputation_update"]).iloc[0]
        wanted = model.truth.parameters.reputation_reversion
        covered += int(found["low"] <= wanted <= found["high"])
        assert found["rate"] == pytest.approx(wanted, abs=0.03)
        assert found["half_life"] == pytest.approx(np.log(0.5) / np.log(0.9), rel=0.3)
        assert found["mean"] == pytest.approx(0.55, abs=0.1)
    assert covered >= 2


def test_scores_that_wander_have_no_mean() -> None:
    """With no reversion the rate is none to speak of."""
    _, tables = devnet(4, seconds=1500, parameters=Parameters(reputation_reversion=0.0))
    found = analysis.reputation_reversion(tables["reputation_update"]).iloc[0]
    assert found["rate"] < 0.06


def test_the_tables_of_a_devnet_give_the_same_on_every_engine() -> None:
    """Nothing is missing in a whole run; a hole in it shows."""
    _, tables = devnet(seconds=300)
    frame = tables["reputation_update"]
    for one in (
        analysis.reputation_summary,
        analysis.reputation_movers,
        analysis.reputation_trajectories,
        analysis.reputation_inequality,
    ):
        assert len(same_everywhere(one, frame)) > 0
    assert same_everywhere(analysis.reputation_breaks, frame).empty
    holed = pd.concat([frame.iloc[:100], frame.iloc[200:]], ignore_index=True)
    assert len(same_everywhere(analysis.reputation_breaks, holed)) > 5


def test_empty_tables_and_wrong_ones() -> None:
    """Empty ones give the columns; wrong ones an error that names the table."""
    for one in (
        analysis.reputation_summary,
        analysis.reputation_movers,
        analysis.reputation_trajectories,
        analysis.reputation_inequality,
        analysis.reputation_reversion,
        analysis.reputation_breaks,
    ):
        holds_to_the_rules(one, "reputation_update")
