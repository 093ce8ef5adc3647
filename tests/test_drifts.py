"""Changes of the rate of approval: known paths, every engine, false alarms and found changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chaosnb.analysis import cusum, drift
from chaosnb.devnet.agents import Parameters
from tests.engines import devnet, holds_to_the_rules, same_everywhere


def votes_of(*approvals: int, each: int = 10) -> pd.DataFrame:
    """So many approvals among ten votes on each block, a second apart."""
    blocks = np.repeat(np.arange(len(approvals)), each)
    approve = np.concatenate([np.arange(each) < count for count in approvals])
    return pd.DataFrame(
        {
            "timestamp": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(blocks, unit="s"),
            "block_hash": [f"b{block:03d}" for block in blocks],
            "validator_id": [f"v{n}" for n in np.tile(np.arange(each), len(approvals))],
            "validator_personality": "lawful",
            "decision": np.where(approve, "approve", "reject"),
        }
    )


def test_an_analysis_of_drift_holds_to_the_rules() -> None:
    """Empty tables, missing columns, and what is no frame; with and without groups."""
    for by in ("personality", "validator", None):
        holds_to_the_rules(cusum, "block_validation", by=by)
        holds_to_the_rules(drift, "block_validation", by=by)
    with pytest.raises(ValueError, match="by='block' is not possible"):
        drift(votes_of(1), by="block")  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["personality", "validator", None])
def test_drift_is_the_same_on_every_engine(by: str | None) -> None:
    """The path ends where it began, and its greatest distance is the statistic."""
    _, tables = devnet(seconds=60)
    path = same_everywhere(cusum, tables["block_validation"], by=by)
    found = same_everywhere(drift, tables["block_validation"], by=by)
    assert found["votes"].sum() == len(tables["block_validation"])
    groups = path.groupby(by) if by else [("", path)]
    for name, part in groups:
        assert part["cusum"].iloc[-1] == pytest.approx(0, abs=1e-9)
        row = found[found[by] == name] if by else found
        known = row["statistic"].notna().item()
        assert not known or row["statistic"].item() == pytest.approx(part["cusum"].abs().max())


def test_a_change_is_found_where_it_is() -> None:
    """With the rates before and after; the probability is Kolmogorov's."""
    found = drift(votes_of(*[9, 8] * 10, *[5, 4] * 10)).iloc[0]
    assert found["change_at"] == pd.Timestamp("2026-01-01 00:00:20", tz="UTC")
    assert (found["before"], found["after"]) == (0.85, 0.45)
    assert found["p_value"] < 1e-3
    assert (found["blocks"], found["votes"]) == (40, 400)


@pytest.mark.parametrize(("pairs", "statistic", "p"), [(10, 1.0, 0.2700), (40, 2.0, 0.0007)])
def test_the_probabilities_are_those_of_the_tables(pairs: int, statistic: float, p: float) -> None:
    """The statistic can be told by hand here; p is that of Smirnov's table (1948)."""
    found = drift(votes_of(*[3, 9] * pairs, *[1, 7] * pairs)).iloc[0]
    assert found["statistic"] == pytest.approx(statistic)
    assert found["p_value"] == pytest.approx(p, abs=5e-5)


def test_where_all_votes_are_the_same_nothing_is_known() -> None:
    """Nor of fewer than ten blocks; there is no warning."""
    for frame in (votes_of(*[10] * 20), votes_of(3, 5, 4)):
        found = drift(frame).iloc[0]
        assert np.isnan(found["p_value"])
        assert pd.isna(found["change_at"])


def test_a_network_in_which_nothing_changes_gives_few_alarms_and_a_change_is_seen() -> None:
    """Over twenty seeds: at most one personality in twenty has p < 0.05; and after a shift, most have."""
    alarms, seen = [], []
    shifted = Parameters(approval_logit=dict.fromkeys(Parameters().approval_logit, -1.0))
    for seed in range(20):
        null = devnet(seed, seconds=100, agents=18, parameters=Parameters.null())[1]["block_validation"]
        alarms += (drift(null)["p_value"] < 0.05).tolist()
        later = devnet(seed + 20, seconds=100, agents=18, parameters=shifted)[1]["block_validation"]
        both = pd.concat([null, later.assign(timestamp=later["timestamp"] + pd.Timedelta(100, unit="s"))])
        seen += (drift(both)["p_value"] < 0.05).tolist()
    assert len(alarms) == 180
    assert np.mean(alarms) <= 0.05
    assert np.mean(seen) > 0.9


@pytest.mark.parametrize("by", ["personality", None])
def test_blocks_at_the_same_moment_are_in_order_of_their_hashes(by: str | None) -> None:
    """Whatever order they came in: among others, in the middle of a path."""
    votes = votes_of(9, 1, 8, 2, each=10)
    votes["timestamp"] = votes["timestamp"].where(votes["block_hash"] != "b002", votes["timestamp"].iloc[10])
    swapped = votes.assign(block_hash=votes["block_hash"].map({"b001": "z", "b002": "a"}).fillna("h"))
    found = same_everywhere(cusum, swapped[swapped["block_hash"] != "h"], by=by)
    deviation = np.array([8 - 4.5, 1 - 4.5])
    np.testing.assert_allclose(
        found["cusum"], np.cumsum(deviation) / np.sqrt((deviation**2).sum()), atol=1e-12
    )
