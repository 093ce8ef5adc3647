"""What becomes of blocks by the network's rule, and how long it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.analysis import block_outcomes, consensus_time, finality_curve, forks, main_chain, stale_blocks
from chaosnb.devnet.agents import Parameters
from chaosnb.devnet.ballots import is_accepted
from tests.engines import devnet, holds_to_the_rules, same_everywhere

# One vote: block, validator (whose first letter is its personality), decision, second.
Vote = tuple[str, str, str, int]
one_vote = st.tuples(
    st.sampled_from("gh"),
    st.sampled_from(["a1", "a2", "b1", "b2", "c1"]),
    st.sampled_from(["approve", "approve", "reject", "maybe"]),
    st.integers(0, 9),
)


def votes_of(*rows: Vote) -> pd.DataFrame:
    block, validator, decision, second = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pd.DataFrame(
        {
            "timestamp": pd.to_datetime(pd.Series(second, dtype="int64"), unit="s", utc=True),
            "block_hash": pd.Series(block, dtype="str"),
            "validator_id": pd.Series(validator, dtype="str"),
            "validator_personality": pd.Series([name[0] for name in validator], dtype="str"),
            "decision": pd.Series(decision, dtype="str"),
            "seq": np.arange(len(rows)),
        }
    )


def blocks_of(*rows: tuple[str, int]) -> pd.DataFrame:
    block, second = zip(*rows, strict=True)
    time = pd.to_datetime(pd.Series(second), unit="s", utc=True)
    return pd.DataFrame({"timestamp": time, "block_hash": block, "height": range(1, len(rows) + 1)})


BLOCKS = blocks_of(("g", 0), ("h", 0))


def test_an_analysis_of_outcomes_holds_to_the_rules() -> None:
    """Empty tables, missing columns, what is no frame, and a rule that is not possible."""
    holds_to_the_rules(block_outcomes, "block_validation")
    holds_to_the_rules(consensus_time, "block_validation", "block_proposal")
    holds_to_the_rules(finality_curve, "block_validation", "block_proposal")
    for options in ({"validators": 0}, {"quorum": 1.1}, {"quorum": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(options))):
            block_outcomes(votes_of(), **options)
        with pytest.raises(ValueError, match=next(iter(options))):
            consensus_time(votes_of(), BLOCKS, **options)
    with pytest.raises(ValueError, match="confidence"):
        finality_curve(votes_of(), BLOCKS, confidence=1.0)


def test_consensus_is_the_same_on_every_engine() -> None:
    """From the tables of a simulated network, by its own rule and by a stricter one."""
    _, tables = devnet(seconds=60)
    votes, blocks = tables["block_validation"], tables["block_proposal"]
    for options in ({}, {"validators": 40, "quorum": 0.55}):
        outcomes = same_everywhere(block_outcomes, votes, **options)
        timed = same_everywhere(consensus_time, votes, blocks, **options)
        assert {*outcomes["outcome"]} == {"accepted", "rejected"}
        assert len(timed) == len(blocks)
        curve = same_everywhere(finality_curve, votes, blocks, **options)
        assert curve["decisions"].sum() == (timed["outcome"] != "undecided").sum()


def test_a_block_fails_for_every_reason_that_holds() -> None:
    """Too few votes, no majority, a personality against it: each alone, and all of them."""
    rows = [
        *(("few", "a1", "approve", 0),),
        *(("tie", name, "approve" if name[1] == "1" else "reject", 1) for name in ("a1", "a2", "b1", "b2")),
        *(("veto", name, "reject" if name[0] == "b" else "approve", 2) for name in ("a1", "a2", "b1")),
        *(("all", "a1", "reject", 3),),
        *(("fine", name, "approve", 4) for name in ("a1", "b1")),
        *(("fine", "a1", "reject", 5), ("odd", "a1", "maybe", 6)),
    ]
    found = same_everywhere(block_outcomes, votes_of(*rows))
    assert dict(zip(found["block_hash"], found["reason"], strict=True)) == {
        "few": "too few votes",
        "tie": "no majority",
        "veto": "a personality against",
        "all": "too few votes, no majority, a personality against",
        "fine": "",
    }
    assert found["turnout"].tolist() == [0.25, 1, 0.75, 0.25, 0.5]
    assert found["personalities_against"].tolist() == [0, 0, 1, 1, 0]
    assert (found["outcome"] == "accepted").tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("seed", range(4))
def test_outcomes_are_those_of_the_network(seed: int) -> None:
    """What was built on was accepted; what was proposed alone and not built on was rejected."""
    parameters = Parameters(fork_probability=0.2, quorum=0.75)
    model, tables = devnet(seed, seconds=300, parameters=parameters)
    votes, blocks = tables["block_validation"], tables["block_proposal"]
    found = block_outcomes(votes, validators=len(model.validators), quorum=0.75)
    outcome = dict(zip(found["block_hash"], found["outcome"], strict=True))
    built_on = main_chain(blocks)["block_hash"].tolist()[:-1]
    assert {outcome[block] for block in built_on} == {"accepted"}
    newest = blocks["timestamp"].max()
    together = forks(blocks)
    rivals = {*together.loc[together["spread_s"] < 2 * model.truth.block_interval_s, "parent_hash"]}
    same_moment = blocks["timestamp"].duplicated(keep=False)
    alone = {*blocks.loc[~same_moment & (blocks["timestamp"] < newest), "block_hash"]}
    failed = [block for block in stale_blocks(blocks)["block_hash"] if block in alone]
    assert len(failed) > 10
    assert rivals
    assert {outcome[block] for block in failed} == {"rejected"}


def by_hand(rows: list[Vote], block: str, validators: int, quorum: float) -> tuple[str, float | None]:
    """The outcome, and the second of the decisive vote, from the rule that the simulated network uses."""
    ordered = sorted((vote for vote in rows if vote[0] == block), key=lambda vote: vote[3])
    firsts: dict[str, Vote] = {}
    for vote in ordered:
        firsts.setdefault(vote[1], vote)
    cast = [vote for vote in firsts.values() if vote[2] != "maybe"]
    states = []
    for stop in range(1, len(cast) + 1):
        so_far = [(vote[1][0], vote[2] == "approve") for vote in cast[:stop]]
        if stop < quorum * validators:
            states.append("undecided")
        else:
            states.append("accepted" if is_accepted(so_far, validators, quorum) else "rejected")
    if not states or states[-1] == "undecided":
        return "undecided", None
    last = len(states) - 1
    while last and states[last - 1] == states[-1]:
        last -= 1
    return states[-1], float(cast[last][3])


@settings(deadline=None, max_examples=30)
@given(st.lists(one_vote, max_size=14), st.sampled_from([0.0, 0.4, 0.5, 1.0]))
def test_the_decisive_vote_is_that_of_the_rule_taken_vote_by_vote(rows: list[Vote], quorum: float) -> None:
    """For any votes, repeated and at the same moment; and outcomes agree with those of whole blocks."""
    frame = votes_of(*rows)
    found = consensus_time(frame, BLOCKS, validators=5, quorum=quorum).set_index("block_hash")
    whole = block_outcomes(frame, validators=5, quorum=quorum).set_index("block_hash")["outcome"]
    newest = max((vote[3] for vote in rows), default=0)
    for block in "gh":
        outcome, second = by_hand(rows, block, 5, quorum)
        assert found.loc[block, "outcome"] == outcome
        assert found.loc[block, "censored"] == (second is None)
        if second is not None:
            assert found.loc[block, "consensus_time_s"] == second
            assert whole[block] == outcome
        else:
            assert found.loc[block, "consensus_time_s"] == newest
            assert whole.get(block, "rejected") == "rejected"


def test_the_curve_is_that_of_freireichs_trial() -> None:
    """The data that Kaplan–Meier curves are taught with (Blood 21, 1963), remission times under 6-MP."""
    decided = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    ends = 35
    starts = [(f"d{n}", 0) for n, _ in enumerate(decided)] + [
        (f"c{n}", ends - s) for n, s in enumerate(censored)
    ]
    rows: list[Vote] = [(f"d{n}", "a1", "approve", second) for n, second in enumerate(decided)]
    votes = votes_of(*rows, ("elsewhere", "a1", "approve", ends))
    curve = finality_curve(votes, blocks_of(*starts))
    assert curve["time_s"].tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve["at_risk"].tolist() == [21, 17, 15, 12, 11, 7, 6]
    np.testing.assert_allclose(
        1 - curve["decided"], [0.857, 0.807, 0.753, 0.690, 0.628, 0.538, 0.448], atol=6e-4
    )
    np.testing.assert_allclose(1 - curve["high"][:3], [0.620, 0.563, 0.503], atol=6e-4)
    np.testing.assert_allclose(1 - curve["low"][:3], [0.952, 0.923, 0.889], atol=6e-4)


def test_blocks_are_decided_within_the_window_of_the_network() -> None:
    """Votes fall into its last quarter; the newest blocks are censored, and nothing warns."""
    model, tables = devnet(seconds=200)
    votes, blocks = tables["block_validation"], tables["block_proposal"]
    found = consensus_time(votes, blocks, validators=len(model.validators))
    decided = found[found["censored"] == 0]["consensus_time_s"]
    window_s = model.truth.consensus_window_s
    assert decided.between(0.75 * window_s - 0.002, window_s + 0.002).all()
    newest = blocks["timestamp"].max()
    assert (found.loc[found["censored"] == 1, "time"] > newest - pd.Timedelta(window_s, unit="s")).all()
    curve = finality_curve(votes, blocks, validators=len(model.validators))
    assert curve["decided"].is_monotonic_increasing
    assert curve["decided"].iloc[-1] > 0.95


@pytest.mark.parametrize("apart_s", [1, 7200])
@pytest.mark.parametrize("ahead_s", [0, 300, 10**9])
def test_a_clock_that_is_far_off_ends_no_wait(apart_s: int, ahead_s: int) -> None:
    """A block is open until the newest row of a clock that is believed, of a slow network as well."""
    rows: list[Vote] = [(f"o{n}", "a1", "maybe", n * apart_s) for n in range(12)]
    votes = votes_of(
        *rows, ("z", "b1", "approve", 11 * apart_s + ahead_s), ("z", "b2", "reject", 11 * apart_s)
    )
    blocks = blocks_of(("g", 0), ("h", apart_s)).assign(seq=[100, 101])
    arrived = votes["timestamp"].where(votes.index != 12, votes["timestamp"].iloc[11])
    votes, blocks = votes.assign(received_at=arrived), blocks.assign(received_at=blocks["timestamp"])
    for cast in (votes, votes.iloc[::-1]):
        found = same_everywhere(consensus_time, cast, blocks, validators=9)
        open_s = 11 * apart_s + (ahead_s if ahead_s < 3600 else 0)
        assert found["consensus_time_s"].tolist() == [open_s, open_s - apart_s]
    found = consensus_time(votes.drop(columns="received_at"), blocks, validators=9)
    assert found["consensus_time_s"].iloc[0] == 11 * apart_s + ahead_s


@pytest.mark.parametrize("nothing", [None, float("nan"), pd.NA])
def test_rows_that_do_not_tell_when_they_arrived_are_believed(nothing: Any) -> None:
    """Such as those of a file whose columns of arrival are empty, or have lost some."""
    votes, blocks = votes_of(("g", "a1", "maybe", 3), ("g", "a2", "maybe", 10**9)), blocks_of(("g", 0))
    wanted = consensus_time(votes.drop(columns="seq"), blocks, validators=9)
    assert wanted["consensus_time_s"].tolist() == [10**9]
    of_none = pd.Series([nothing] * 2, dtype=object)
    for seq, arrived in (
        (of_none, pd.NaT),
        (of_none.astype("Int64"), pd.NaT),
        (pd.Series([7, nothing], dtype="Int64"), pd.NaT),
        (pd.Series([7, 8]), pd.NaT),
    ):
        arrival = {"received_at": pd.to_datetime(pd.Series([arrived] * 2), utc=True)}
        cast = votes.assign(seq=seq, **arrival)
        made = blocks.assign(seq=seq[:1], received_at=arrival["received_at"][:1])
        found = same_everywhere(consensus_time, cast, made, validators=9)
        assert found["consensus_time_s"].tolist() == [10**9]


def test_without_a_decision_the_curve_is_empty() -> None:
    """All blocks are censored then."""
    curve: Any = finality_curve(votes_of(("g", "a1", "approve", 3)), BLOCKS, validators=9)
    assert curve.empty
    assert consensus_time(votes_of(), BLOCKS)["censored"].tolist() == [1, 1]
