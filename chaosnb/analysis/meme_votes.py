"""Votes after a fresh meme, against votes without one."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.amounts import amount
from chaosnb.analysis.columns import codes, ranked
from chaosnb.analysis.frames import Frame, coded, fetch, give, take
from chaosnb.analysis.intervals import wilson_interval
from chaosnb.analysis.turns import first

__all__ = ["fresh_at", "meme_effect"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def meme_effect(
    votes: Frame, memes: Frame, blocks: Frame | None = None, *, fresh_s: float, confidence: float = 0.95
) -> Frame:
    """Return how much more votes approve when a meme is fresh, by personality.

    The difference of the two shares of approval has Newcombe's interval [1]_. With the blocks it is given a
    second time with their producers held constant, as a weighted mean of the differences within each
    producer, δ = Σ w d / Σ w with w = m n / (m + n) for m votes with a fresh meme and n without (Mantel and
    Haenszel's weights [2]_). Its interval is Newcombe's, too, of the two shares with the same weights and
    their Wilson intervals; each share p = Σ w p / Σ w counts for as many votes as it has the variance of,
    (Σ w)² / Σ (w² / votes). With few votes of one kind it is wide, where one of standard errors would be
    narrow, and none where all of them approve.

    Parameters
    ----------
    votes : frame
        The table `block_validation`; a second vote of a validator on a block does not count, nor do votes
        that neither approve nor reject.
    memes : frame
        The table `meme_posted`.
    blocks : frame, optional
        The table `block_proposal`. None: nothing is held constant.
    fresh_s : float
        For how many seconds after its posting a meme is fresh.
    confidence : float
        How sure to be that the difference lies within its interval, between 0 and 1.

    Returns
    -------
    frame
        In order of `personality`: `fresh` and `stale` (numbers of votes), `fresh_rate`, `stale_rate`,
        `difference`, `low` and `high`; with `blocks` also `adjusted`, `adjusted_low` and `adjusted_high`.
        Unknown without votes of both kinds, of the adjusted ones on blocks of one producer.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, they are of different kinds, or an option is not possible.

    Notes
    -----
    A meme lost in a gap makes votes look stale that are not, which draws differences towards 0; lost votes
    make intervals wider. Votes on blocks that are not among `blocks` count in the first difference alone.
    The effect is one on shares, and votes are taken for independent: `vote_drivers` has it in log-odds, with
    the block's hidden quality, sentiment and alliances held constant.

    References
    ----------
    .. [1] R. G. Newcombe (1998). Interval estimation for the difference between independent proportions.
       Statistics in Medicine 17 (8), 873–890.
    .. [2] S. Greenland, J. M. Robins (1985). Estimation of a common effect parameter from sparse follow-up
       data. Biometrics 41 (1), 55–68. doi:10.2307/2530643. Intervals of this kind: X. Yan, X. G. Su (2010).
       Stratified Wilson and Newcombe confidence intervals for multiple binomial proportions. Statistics in
       Biopharmaceutical Research 2 (3), 329–335. doi:10.1198/sbr.2009.0049

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 1, 9, 9], unit="s"), "block_hash": list("ghij")}
    >>> of |= {"validator_id": "v", "validator_personality": "memetic"}
    >>> votes = pd.DataFrame({**of, "decision": ["approve", "approve", "approve", "reject"]})
    >>> memes = pd.DataFrame({"timestamp": pd.to_datetime([0], unit="s"), "meme_id": "m"})
    >>> meme_effect(votes, memes, fresh_s=5)[["fresh", "stale", "difference"]].to_numpy().tolist()
    [[2.0, 2.0, 0.5]]
    """
    if not amount(fresh_s) > 0:
        raise ValueError(f"fresh_s={fresh_s!r} is not possible: choose more than 0 seconds")
    names = ("timestamp", "block_hash", "validator_id", "validator_personality", "decision")
    rows = coded(take(votes, "block_validation", *names, optional=["seq"]), "block_hash")
    posted = fetch(take(memes, "meme_posted", "timestamp", beside=votes))["t_us"].to_numpy(np.int64)
    decided = (nw.col("decision") == "approve") | (nw.col("decision") == "reject")
    wanted = ("t_us", "validator_personality", "decision", *["block_hash"] * (blocks is not None))
    table = fetch(first(rows, ["block_hash", "validator_id"]).filter(decided).select(*wanted))
    fresh = fresh_at(table["t_us"].to_numpy(np.int64), posted, fresh_s)
    yes = (table["decision"] == "approve").to_numpy(bool)
    kinds, who = ranked(table["validator_personality"])
    total, approve = (_cells(who, fresh, len(kinds), 1, chosen)[:, 0] for chosen in (None, yes))
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = approve / total
    low, high = wilson_interval(approve, total, confidence)
    difference, less, more = _newcombe(rate, low, high)
    found: dict[str, Any] = {
        "personality": pd.Series(kinds, dtype="str"),
        **{"fresh": total[:, 1].astype(np.int64), "stale": total[:, 0].astype(np.int64)},
        **{"fresh_rate": rate[:, 1], "stale_rate": rate[:, 0]},
        **{"difference": difference, "low": less, "high": more},
    }
    if blocks is not None:
        columns = ("timestamp", "block_hash", "producer_id")
        proposed = take(blocks, "block_proposal", *columns, optional=["seq"], beside=votes)
        made = fetch(first(proposed, ["block_hash"]))
        makers, maker = ranked(made["producer_id"])
        # Of each block once, not of each vote: text is dear.
        block, hashes = codes(table["block_hash"])
        place = pd.Index(made["block_hash"].astype("str")).get_indexer(pd.Index(hashes).astype("str"))
        # A vote without a hash has code -1, and so is on no block.
        place = np.append(place, -1)[block]
        known = place >= 0
        cell = who[known] * max(len(makers), 1) + maker[place[known]]
        n, a = (
            _cells(cell, fresh[known], len(kinds), max(len(makers), 1), chosen)
            for chosen in (None, yes[known])
        )
        found |= _adjusted(n, a, confidence)
    return give(pd.DataFrame(found), votes)


def fresh_at(times_us: Integers, posted_us: Integers, fresh_s: float) -> npt.NDArray[np.bool_]:
    """Return whether something was posted less than `fresh_s` seconds before each moment, or at it.

    Examples
    --------
    >>> fresh_at(np.array([5, 10, 19, 20]), np.array([10]), 10e-6).tolist()
    [False, True, True, False]
    """
    posted = np.sort(posted_us)
    place = np.searchsorted(posted, times_us, side="right") - 1
    age_us = times_us - posted[np.maximum(place, 0)] if len(posted) else np.zeros(len(times_us))
    return np.asarray((place >= 0) & (age_us < fresh_s * 1e6))


def _adjusted(n: Floats, a: Floats, confidence: float) -> dict[str, Floats]:
    """Return Mantel and Haenszel's difference over strata, of arrays by group, stratum and exposure."""
    both = np.all(n > 0, axis=2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.where(both, n.prod(axis=2, keepdims=True) / n.sum(axis=2, keepdims=True), 0.0)
        total = np.where(np.any(both, axis=1), weight.sum(axis=1), np.nan)
        rate = np.where(both, weight * a / n, 0.0).sum(axis=1) / total
        votes = total**2 / np.where(both, weight**2 / n, 0.0).sum(axis=1)
    # Rounding must not make more approvals than votes.
    low, high = wilson_interval(np.minimum(rate * votes, votes), votes, confidence)
    difference, less, more = _newcombe(rate, low, high)
    return {"adjusted": difference, "adjusted_low": less, "adjusted_high": more}


def _newcombe(rate: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """Return how much greater the second share of each two is, and the ends of the interval of that."""
    difference = rate[:, 1] - rate[:, 0]
    down = np.sqrt((rate[:, 1] - low[:, 1]) ** 2 + (high[:, 0] - rate[:, 0]) ** 2)
    up = np.sqrt((high[:, 1] - rate[:, 1]) ** 2 + (rate[:, 0] - low[:, 0]) ** 2)
    return difference, difference - down, difference + up


def _cells(cell: Integers, fresh: npt.NDArray[np.bool_], groups: int, strata: int, chosen: Any) -> Floats:
    counts = np.bincount(cell * 2 + fresh, chosen, groups * strata * 2)
    return np.asarray(counts, np.float64).reshape(groups, strata, 2)
