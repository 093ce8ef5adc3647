"""Throughput, block intervals and height: known cases, every engine, and the simulated network's truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chaosnb.analysis import block_intervals, height_progress, main_chain, throughput
from chaosnb.devnet.agents import Parameters
from tests.engines import devnet, holds_to_the_rules, same_everywhere

# Every block is accepted, and transactions come evenly.
CALM = Parameters(
    approval_logit={"lawful": 20.0}, fork_probability=0.0, sentiment_lean=0.0, burst_transactions=12.0
)


def test_an_analysis_of_production_holds_to_the_rules() -> None:
    """Empty tables, missing columns, and what is no frame."""
    holds_to_the_rules(throughput, "network_metrics", "block_proposal")
    holds_to_the_rules(block_intervals, "block_proposal")
    holds_to_the_rules(height_progress, "block_proposal", "network_metrics")


def test_production_is_the_same_on_every_engine() -> None:
    """From the tables of a simulated network with forks and rejected blocks."""
    _, tables = devnet(seconds=90)
    metrics, blocks = tables["network_metrics"], tables["block_proposal"]
    rates = same_everywhere(throughput, metrics, blocks, every_s=7.5)
    assert rates["observed"].notna().sum() == len(rates) - 2
    np.testing.assert_allclose(rates["difference"], rates["observed"] - rates["reported"])
    assert same_everywhere(block_intervals, blocks)["proposals"].sum() == len(blocks)
    heights = same_everywhere(height_progress, blocks, metrics, every_s=5)
    assert heights["proposed"].iloc[-1] == blocks["height"].max()
    assert heights["reported"].iloc[-1] == metrics["block_height"].iloc[-1]


def test_what_blocks_carry_is_what_the_network_reports() -> None:
    """Each transaction is on the main chain once, so both are the rate at which they come."""
    model, tables = devnet(seconds=2_000, parameters=CALM)
    blocks = main_chain(tables["block_proposal"])
    rates = throughput(tables["network_metrics"], blocks, every_s=100)
    assert rates["reported"].mean() == pytest.approx(model.truth.tps["calm"], rel=0.05)
    assert rates["observed"].mean() == pytest.approx(model.truth.tps["calm"], rel=0.05)
    assert abs(rates["difference"].mean()) < 0.05 * model.truth.tps["calm"]
    hashes = blocks["transactions"].explode().struct.field("hash").dropna()
    assert hashes.is_unique
    intervals = block_intervals(tables["block_proposal"])["interval_s"]
    assert intervals.mean() == pytest.approx(model.truth.block_interval_s, rel=0.02)


def test_an_interval_across_a_missing_height_is_unknown() -> None:
    """It would be twice as long; of two proposals at a height the first counts, and one sent twice once."""
    blocks = pd.DataFrame(
        {
            "timestamp": pd.to_datetime([9, 0, 3, 4, 4, 11], unit="s", utc=True),
            "height": [4, 1, 2, 2, 2, 5],
            "block_hash": list("dabBBe"),
        }
    )
    found = block_intervals(blocks)
    np.testing.assert_array_equal(found["interval_s"], [np.nan, 3, np.nan, 2])
    assert found["proposals"].tolist() == [1, 2, 1, 1]


def test_height_never_falls_and_grows_by_what_was_proposed() -> None:
    """Late blocks of lower heights change nothing; before the first report nothing is reported."""
    blocks = pd.DataFrame(
        {"timestamp": pd.to_datetime([0, 10, 20, 40], unit="s", utc=True), "height": [3, 5, 4, 9]}
    )
    metrics = pd.DataFrame({"timestamp": pd.to_datetime([10], unit="s", utc=True), "block_height": [4]})
    found = same_everywhere(height_progress, blocks, metrics, every_s=10)
    assert found["proposed"].tolist() == [3, 5, 5, 9]
    np.testing.assert_array_equal(found["reported"], [np.nan, 4, 4, 4])
    np.testing.assert_allclose(found["growth_per_s"], [np.nan, 0.2, 0, 0.2])


def test_a_width_that_is_not_possible_is_an_error() -> None:
    """The message names the option."""
    _, tables = devnet(seconds=1)
    for every_s in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="every_s"):
            throughput(tables["network_metrics"], tables["block_proposal"], every_s=every_s)


def test_nullable_numbers_of_pandas_give_what_numpys_give() -> None:
    """What is not known is NaN, as everywhere else."""
    time = pd.date_range("2026-01-01", periods=3, freq="10s", tz="UTC")
    blocks = pd.DataFrame({"timestamp": time, "height": pd.array([1, None, 6], dtype="Int64")})
    metrics = pd.DataFrame({"timestamp": time, "block_height": pd.array([None, 5, None], dtype="Int64")})
    found = same_everywhere(height_progress, blocks, metrics, every_s=10)
    floats = [frame.astype({frame.columns[1]: "float64"}) for frame in (blocks, metrics)]
    plain = height_progress(*floats, every_s=10)
    pd.testing.assert_frame_equal(found, plain)
