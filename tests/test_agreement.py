"""Who votes like whom: kappa by hand and at its nominal rate, and the groups that it makes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chaosnb
from chaosnb import analysis
from tests.engines import devnet, holds_to_the_rules, same_everywhere


def ballots(decisions: dict[str, str]) -> pd.DataFrame:
    """Votes by validator, a letter for each block: y approves, n rejects, o is another word, - no vote."""
    words = {"y": "approve", "n": "reject", "o": "abstain"}
    rows = [
        (f"block {number:04}", validator, words[letter])
        for validator, letters in decisions.items()
        for number, letter in enumerate(letters)
        if letter != "-"
    ]
    frame = pd.DataFrame(rows, columns=["block_hash", "validator_id", "decision"])
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(
        frame["block_hash"].str[6:].astype(int), "s"
    )
    return frame.assign(timestamp=time.astype("datetime64[us, UTC]"))


def test_kappa_is_the_textbooks() -> None:
    """Cohen's example form: 20 both yes, 5 and 10 differ, 15 both no gives 0.4 over 50 (Fleiss, 1981)."""
    first = "y" * 25 + "n" * 25
    second = "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15
    found = same_everywhere(analysis.vote_agreement, ballots({"v": first, "u": second}))
    row = found.iloc[0]
    assert row[["validator_a", "validator_b", "blocks"]].tolist() == ["u", "v", 50]
    np.testing.assert_allclose(row[["agreement", "expected", "kappa"]].astype(float), [0.7, 0.5, 0.4])
    # The error by Fleiss, Cohen and Everitt, worked out with their formula by hand.
    np.testing.assert_allclose(row["high"] - row["low"], 2 * 1.959964 * 0.12706, rtol=1e-3)


def test_second_votes_other_words_and_small_overlaps_do_not_count() -> None:
    """Only blocks on which both decided, by the first vote of each."""
    frame = ballots({"a": "yyyy-n", "b": "yynyno", "c": "----y-"})
    again = frame.assign(decision="reject", timestamp=frame["timestamp"] + pd.Timedelta(1, "h"))
    found = analysis.vote_agreement(pd.concat([frame, again], ignore_index=True), minimum_overlap=2)
    assert found[["validator_a", "validator_b", "blocks"]].to_numpy().tolist() == [["a", "b", 4]]
    assert found["agreement"].tolist() == [0.75]
    assert analysis.vote_agreement(frame, minimum_overlap=5).empty
    with pytest.raises(ValueError, match="at least 1 block"):
        analysis.vote_agreement(frame, minimum_overlap=0)


def test_two_that_always_vote_the_same_have_no_kappa() -> None:
    """Chance alone would do it; they stand last."""
    found = analysis.vote_agreement(ballots({"a": "yyyy", "b": "yyyy", "c": "yyyn"}), minimum_overlap=1)
    assert found["kappa"].isna().tolist() == [False, False, True]
    assert found["validator_b"].tolist() == ["c", "c", "b"]


def test_intervals_of_kappa_cover_at_their_nominal_rate() -> None:
    """200 pairs that copy each other in a third of 150 votes: kappa is a third."""
    random = np.random.default_rng(11)
    covered = 0
    for _ in range(20):
        decisions = {}
        for pair in range(10):
            one = random.uniform(size=150) < 0.7
            copies = random.uniform(size=150) < 1 / 3
            other = np.where(copies, one, random.uniform(size=150) < 0.7)
            for name, votes in ((f"{pair}a", one), (f"{pair}b", other)):
                decisions[name] = "".join(np.where(votes, "y", "n"))
        found = analysis.vote_agreement(ballots(decisions))
        twins = found[found["validator_a"].str[0] == found["validator_b"].str[0]]
        covered += int(((twins["low"] <= 1 / 3) & (twins["high"] >= 1 / 3)).sum())
    assert 0.91 <= covered / 200 <= 0.99


def test_those_who_vote_alike_make_a_cluster() -> None:
    """Two camps and a loner, whatever order the pairs have."""
    random = np.random.default_rng(4)
    camps = [random.uniform(size=300) < 0.5 for _ in range(3)]
    decisions = {}
    for name, camp in zip("abcdefg", [0, 0, 0, 0, 1, 1, 2], strict=True):
        flips = random.uniform(size=300) < 0.1
        decisions[name] = "".join(np.where(camps[camp] ^ flips, "y", "n"))
    pairs = analysis.vote_agreement(ballots(decisions))
    for frame in (pairs, pairs.iloc[::-1]):
        found = same_everywhere(analysis.agreement_clusters, frame)
        assert "".join(found["validator_id"]) == "abcdefg"
        assert found["cluster"].tolist() == [1, 1, 1, 1, 2, 2, 3]
        assert found["size"].tolist() == [4, 4, 4, 4, 2, 2, 1]
        assert found["within"].between(0.5, 0.8).tolist() == [True] * 6 + [False]


@pytest.mark.parametrize("resolution", [0, -1.0, float("nan"), float("inf"), "x", None])
def test_a_resolution_that_is_none_is_an_error(resolution: Any) -> None:
    """It says what is possible."""
    pairs = {"validator_a": ["u"], "validator_b": ["v"], "kappa": [0.9], "low": [0.7]}
    with pytest.raises(ValueError, match=r"resolution=.* is not possible: choose more than 0"):
        analysis.agreement_clusters(pd.DataFrame(pairs), resolution=resolution)


def test_clusters_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without networkx the error has the command."""
    monkeypatch.setitem(sys.modules, "networkx", None)
    pairs = analysis.vote_agreement(ballots({"a": "yn", "b": "yn"}), minimum_overlap=1)
    with pytest.raises(chaosnb.MissingExtraError, match=r'pip install "chaosnb\[analysis\]"'):
        analysis.agreement_clusters(pairs)


def test_agreement_on_a_devnet_is_the_same_on_every_engine() -> None:
    """Real columns; each pair of validators once, counted as a plain loop counts."""
    _, tables = devnet(seconds=90)
    votes = tables["block_validation"]
    found = same_everywhere(analysis.vote_agreement, votes, minimum_overlap=5)
    table = votes.pivot(index="block_hash", columns="validator_id", values="decision")
    for row in found.sample(20, random_state=1).itertuples():
        both = table[[row.validator_a, row.validator_b]].astype("str").dropna()
        both = both[(both != "nan").all(axis=1)]
        assert row.blocks == len(both)
        assert row.agreement == pytest.approx((both.iloc[:, 0] == both.iloc[:, 1]).mean())


def test_empty_tables_and_wrong_ones() -> None:
    """Empty ones give the columns; wrong ones an error that names the table."""
    holds_to_the_rules(analysis.vote_agreement, "block_validation")
    nothing = analysis.vote_agreement(ballots({"a": "y"}))
    assert analysis.agreement_clusters(nothing).columns.tolist() == [
        "validator_id",
        "cluster",
        "size",
        "within",
    ]
