"""What agents say about blocks: its sentiment, how much of it there is, and whether the votes follow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.ballots import count_votes
from chaosnb.analysis.choices import chosen
from chaosnb.analysis.frames import Frame, Lazy, bucket, count, fetch, flag, give, take
from chaosnb.analysis.intervals import difference_interval, quantile
from chaosnb.analysis.turns import first

__all__ = ["SaidBy", "discussion_volume", "sentiment_index", "sentiment_lead"]

SaidBy = Literal["personality", "agent", "block", "time"]
Floats = npt.NDArray[np.float64]

_COLUMN_OF: Final[dict[str, str]] = {
    "personality": "agent_personality",
    "agent": "agent_id",
    "block": "block_hash",
    "time": "t_us",
}
_SENTIMENTS: Final = ("positive", "neutral", "negative")


def sentiment_index(
    messages: Frame,
    by: SaidBy | Sequence[SaidBy] = "personality",
    *,
    every_s: float = 60,
    confidence: float = 0.95,
) -> Frame:
    """Return how positive what is said is, by personality, agent, block or time.

    The index is (positive − negative) / n with n = positive + neutral + negative, from −1 to 1. Its interval
    is that of Bonett and Price for a difference of two shares of the same n, whose formula and source are in
    `chaosnb.analysis.intervals.difference_interval`.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    by : {"personality", "agent", "block", "time"} or several of them
    every_s : float
        For ``"time"``: how many seconds of event time a row stands for; they begin at multiples of it.
    confidence : float
        How sure to be that the index lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        A row for each group that said something: its name under `by`, counts `positive`, `neutral`,
        `negative` and `other` (words that the protocol does not name, which count for nothing),
        `sentiment_index`, `low` and `high`, unknown where nothing was said that counts. By time it is in
        order of `time`, the start of the bucket in UTC, else of the index, highest first.

    Raises
    ------
    TypeError
        If it is no frame.
    ValueError
        If there is no such grouping, the frame lacks a column, or an option is not possible.

    Notes
    -----
    What was said in a gap is missing whatever its sentiment: intervals get wider, and the index stays
    unbiased. By time, a bucket that lies in a gap in part has fewer messages, and one that lies in it wholly
    has no row. The interval takes messages for independent.

    Examples
    --------
    >>> said = {"timestamp": pd.to_datetime(["2026-01-01"] * 3), "agent_personality": ["lawful"] * 3}
    >>> found = sentiment_index(pd.DataFrame({**said, "sentiment": ["positive", "positive", "neutral"]}))
    >>> found[["personality", "positive", "sentiment_index"]].round(2).to_numpy().tolist()
    [['lawful', 2, 0.67]]
    """
    groups = chosen(by, _COLUMN_OF)
    positive, negative, said = (nw.col(name) for name in ("positive", "negative", "said"))
    low, high = difference_interval(positive, negative, said, confidence)
    names = [_COLUMN_OF[group] for group in groups if group != "time"]
    rows = take(messages, "consensus_discussion", "timestamp", "sentiment", *names)
    cast = {"time": bucket(every_s)}
    keyed = _flagged(rows).with_columns(
        **{group: cast.get(group, nw.col(_COLUMN_OF[group])) for group in groups}
    )
    counted = count(keyed, groups, *_SENTIMENTS, "messages")
    known = nw.when(said > 0)
    index = known.then((positive - negative) / said)
    found = counted.with_columns(said=positive + nw.col("neutral") + negative)
    found = found.with_columns(
        other=nw.col("messages") - said,
        sentiment_index=index,
        low=known.then(low),
        high=known.then(high),
        rank_=index.fill_null(-2.0),
    )
    if "time" in groups:
        found = found.sort("time", *[group for group in groups if group != "time"])
    else:
        found = found.sort("rank_", *groups, descending=[True, *[False for _ in groups]])
    return give(found.select(*groups, *_SENTIMENTS, "other", "sentiment_index", "low", "high"), messages)


def discussion_volume(messages: Frame, blocks: Frame | None = None) -> Frame:
    """Return how much is said about each block.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    blocks : frame, optional
        The table `block_proposal`: blocks of which nothing was said get a row, too, and each its `height`.
        None: only blocks that were talked about.

    Returns
    -------
    frame
        In order of time: `time` (of the block's proposal or, without `blocks`, of the first message),
        `block_hash`, `height` with `blocks`, `messages`, `speakers` (agents that said something),
        `positive`, `neutral`, `negative`, `first_s` (from proposal to first message) with `blocks`, and
        `span_s` (from first to last message).

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or the two are of different kinds.

    Notes
    -----
    A gap makes volumes too small: leave out the blocks whose discussion lies in one. A block whose proposal
    was lost has no row where `blocks` are given.

    Examples
    --------
    >>> said = {"timestamp": pd.to_datetime([1, 3], unit="s"), "block_hash": "h", "agent_id": ["a", "b"]}
    >>> found = discussion_volume(pd.DataFrame({**said, "sentiment": "positive"}))
    >>> found[["block_hash", "messages", "speakers", "span_s"]].to_numpy().tolist()
    [['h', 2, 2, 2.0]]
    """
    rows = take(messages, "consensus_discussion", "timestamp", "block_hash", "agent_id", "sentiment")
    sums = [nw.col(name).sum() for name in (*_SENTIMENTS, "messages")]
    spoken = (
        _flagged(rows)
        .group_by("block_hash")
        .agg(
            *sums,
            nw.col("agent_id").n_unique().alias("speakers"),
            nw.col("t_us").min().alias("from_"),
            nw.col("t_us").max().alias("to_"),
        )
    )
    span_s = (nw.col("to_") - nw.col("from_")) / 1e6
    counts = ("messages", "speakers", *_SENTIMENTS)
    if blocks is None:
        found = spoken.with_columns(time="from_", span_s=span_s).sort("time", "block_hash")
        return give(found.select("time", "block_hash", *counts, "span_s"), messages)
    names = ("timestamp", "block_hash", "height")
    made = first(
        take(blocks, "block_proposal", *names, optional=["seq"], beside=messages), ["block_hash"]
    ).select("t_us", "block_hash", "height")
    found = made.join(spoken, on="block_hash", how="left").with_columns(
        *[nw.col(name).fill_null(0).cast(nw.Int64()) for name in counts],
        time="t_us",
        first_s=(nw.col("from_") - nw.col("t_us")) / 1e6,
        span_s=span_s,
    )
    columns = ("time", "block_hash", "height", *counts, "first_s", "span_s")
    return give(found.sort("time", "block_hash").select(*columns), messages)


def sentiment_lead(votes: Frame, messages: Frame, *, lags: int = 5, confidence: float = 0.95) -> Frame:
    """Return how the approval of blocks goes with what is said about blocks before and after them.

    Blocks are put in order of their first vote. At lag k stands Pearson's correlation r of the mean sentiment
    (−1 to 1) said about a block with the share of votes that approve of the k-th block after it. So sentiment
    that leads the vote shows at positive lags (and at 0, where it is about the same block and said before the
    vote), sentiment that follows it at negative ones. The interval is Fisher's, tanh(artanh r ± z / √(m − 3))
    where m is the number of pairs, made smaller for series that are correlated with themselves by Bartlett's
    formula [1]_: m = n / (1 + 2 Σ ρ(j) σ(j)), with their autocorrelations ρ and σ up to `lags`.

    Parameters
    ----------
    votes : frame
        The table `block_validation`; a second vote of a validator on a block does not count.
    messages : frame
        The table `consensus_discussion`.
    lags : int
        How many blocks to look ahead and back.
    confidence : float
        How sure to be that the correlation lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        `lag`, `blocks` (pairs), `correlation`, `low` and `high`; unknown with fewer than 4 pairs, or where
        one of the two is always the same. Without blocks there are no rows.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, the two are of different kinds, or an option is not possible.

    Notes
    -----
    Only blocks with votes and words count; where a gap cuts some out, a lag reaches over it, which weakens
    correlations at lags other than 0. A correlation is no effect: a block's quality moves both, and
    `vote_drivers` tells the two apart.

    References
    ----------
    .. [1] M. S. Bartlett (1946). On the theoretical specification and sampling properties of autocorrelated
       time-series. Supplement to the Journal of the Royal Statistical Society 8 (1), 27–41.

    Examples
    --------
    >>> hashes, yes = [f"b{n}" for n in range(8)], [1, 0, 0, 1, 1, 0, 1, 0]
    >>> of = {"timestamp": pd.date_range("2026-01-01", periods=8, tz="UTC"), "block_hash": hashes}
    >>> votes = pd.DataFrame({**of, "validator_id": "v", "decision": [["reject", "approve"][n] for n in yes]})
    >>> said = pd.DataFrame({**of, "sentiment": [["negative", "positive"][n] for n in yes]})
    >>> sentiment_lead(votes, said, lags=1)[["lag", "blocks", "correlation"]].round(2).to_numpy().tolist()
    [[-1.0, 7.0, -0.42], [0.0, 8.0, 1.0], [1.0, 7.0, -0.42]]
    """
    if isinstance(lags, bool) or not isinstance(lags, int) or not 0 <= lags <= 1_000:
        raise ValueError(f"lags={lags!r} is not possible: choose a whole number of blocks from 0 to 1000")
    z = quantile(confidence)
    times = take(votes, "block_validation", "timestamp", "block_hash")
    voted = count_votes(votes, ["block"]).filter(nw.col("voted") > 0)
    rows = take(messages, "consensus_discussion", "block_hash", "sentiment", beside=votes)
    said = count(_flagged(rows), ["block_hash"], *_SENTIMENTS).filter(
        nw.col("positive") + nw.col("neutral") + nw.col("negative") > 0
    )
    begun = times.group_by("block_hash").agg(nw.col("t_us").min())
    begun = begun.select(nw.col("block_hash").cast(nw.String()), "t_us")
    both = voted.rename({"block": "block_hash"}).join(said, on="block_hash", how="inner")
    table = fetch(both.join(begun, on="block_hash", how="inner").sort("t_us", "block_hash"))
    approval = (table["approve"] / table["voted"]).to_numpy(np.float64)
    total = table["positive"] + table["neutral"] + table["negative"]
    sentiment = ((table["positive"] - table["negative"]) / total).to_numpy(np.float64)
    found = _correlations(sentiment, approval, lags if len(table) else -1, z)
    return give(found, votes)


def _correlations(leads: Floats, follows: Floats, lags: int, z: float) -> pd.DataFrame:
    pairs = [_shifted(leads, follows, lag) for lag in range(-lags, lags + 1)]
    own = sum(
        _correlation(*_shifted(leads, leads, j)) * _correlation(*_shifted(follows, follows, j))
        for j in range(1, lags + 1)
        if len(leads) > j + 3
    )
    shrunk = 1 / max(1 + 2 * float(np.nan_to_num(own)), 1.0)
    r = np.array([_correlation(*pair) for pair in pairs], np.float64)
    n = np.array([len(one) for one, _ in pairs], np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = z / np.sqrt(np.where(n * shrunk > 3, n * shrunk - 3, np.nan))
        middle = np.arctanh(np.clip(r, -1, 1))
        low, high = np.tanh(middle - reach), np.tanh(middle + reach)
    found: dict[str, Any] = {"lag": np.arange(-lags, lags + 1, dtype=np.int64), "blocks": n, "correlation": r}
    return pd.DataFrame({**found, "low": low, "high": high})


def _shifted(leads: Floats, follows: Floats, lag: int) -> tuple[Floats, Floats]:
    n = max(len(leads) - abs(lag), 0)
    return (leads[:n], follows[len(follows) - n :]) if lag >= 0 else (leads[len(leads) - n :], follows[:n])


def _correlation(one: Floats, other: Floats) -> float:
    if len(one) < 4 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _flagged(messages: Lazy) -> Lazy:
    said = {name: flag(nw.col("sentiment") == name) for name in _SENTIMENTS}
    return messages.with_columns(**said, messages=nw.lit(1, nw.Int64))
