"""Tables over time: the numbers that the live plots show, computed anew from DataFrames.

The columns, formulas and buckets are those of `chaosnb.tables.aggregates.Aggregates.value`, which keeps the
same numbers up to date while events come; a test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.buckets import SECOND_US, Floats, Integers, frame_of, grid_of, hide_edges, span, sums
from chaosnb.analysis.columns import not_lists, texts, timed
from chaosnb.analysis.presents import believed

__all__ = ["decisions", "reputation", "sentiment", "throughput"]


def throughput(
    metrics: pd.DataFrame,
    blocks: pd.DataFrame | None = None,
    *,
    window_s: float | None = None,
    resolution_s: float | None = None,
) -> pd.DataFrame:
    """Return the transactions a second that nodes report, and those in blocks.

    Parameters
    ----------
    metrics : pandas.DataFrame
        The table `network_metrics`.
    blocks : pandas.DataFrame, optional
        The table `block_proposal`. None: there is no `observed`.
    window_s : float, optional
        How many seconds before the newest row to begin. None: with the first row.
    resolution_s : float, optional
        How many seconds a bucket takes. None: a round number that makes at most about 300 of them.

    Returns
    -------
    pandas.DataFrame
        `time`, `reported` (mean) and `observed` (transactions in blocks / bucket), both 1/s. The first and
        the last bucket, watched in part only, have no `observed`.

    Examples
    --------
    >>> time = pd.date_range("2026-01-01", periods=2, freq="500ms", tz="UTC")
    >>> throughput(pd.DataFrame({"timestamp": time, "tps": [90.0, 110.0]}))["reported"].tolist()
    [100.0]
    """
    given = {"network_metrics": timed(metrics, "network_metrics", "tps")}
    if blocks is not None:
        given["block_proposal"] = timed(blocks, "block_proposal", "transactions")
    (rows, reports_us), *proposed = believed(**given)
    parts = [reports_us // SECOND_US]
    sizes = np.zeros(0)
    for made, blocks_us in proposed:
        parts.append(blocks_us // SECOND_US)
        sizes = _lengths(made["transactions"])
    start, width = span(parts, window_s, resolution_s)
    grid, inside = grid_of(parts, start, width)
    tps = np.asarray(rows["tps"], np.float64)
    reported = sums(parts[0][inside[0]], tps[inside[0]], grid, width)
    reports = sums(parts[0][inside[0]], None, grid, width)
    with np.errstate(invalid="ignore"):
        columns = {"reported": reported / reports}
    if blocks is not None:
        carried = sums(parts[1][inside[1]], sizes[inside[1]], grid, width)
        columns["observed"] = hide_edges(carried / width, grid, parts, width)
    return frame_of(grid, columns)


def decisions(
    votes: pd.DataFrame, *, window_s: float | None = None, resolution_s: float | None = None
) -> pd.DataFrame:
    """Count the votes on blocks over time.

    Parameters
    ----------
    votes : pandas.DataFrame
        The table `block_validation`.
    window_s, resolution_s : optional
        As in `throughput`.

    Returns
    -------
    pandas.DataFrame
        `time`; counts `approve`, `reject` and `other`; `approval_rate` = approve / (approve + reject).

    Examples
    --------
    >>> time = pd.to_datetime(["2026-01-01"] * 4, utc=True)
    >>> votes = pd.DataFrame({"timestamp": time, "decision": ["approve", "approve", "reject", "abstain"]})
    >>> decisions(votes).drop(columns="time").to_dict("records")
    [{'approve': 2, 'reject': 1, 'other': 1, 'approval_rate': 0.6666666666666666}]
    """
    [(rows, times_us)] = believed(block_validation=timed(votes, "block_validation", "decision"))
    labels = ("approve", "reject")
    seconds, counts = _counts(texts(rows["decision"]), times_us, labels, window_s, resolution_s)
    approve, reject = counts["approve"], counts["reject"]
    return frame_of(seconds, {**counts, "approval_rate": _ratio(approve, approve + reject)})


def sentiment(
    messages: pd.DataFrame, *, window_s: float | None = None, resolution_s: float | None = None
) -> pd.DataFrame:
    """Count what agents say about blocks over time, by its sentiment.

    Parameters
    ----------
    messages : pandas.DataFrame
        The table `consensus_discussion`.
    window_s, resolution_s : optional
        As in `throughput`.

    Returns
    -------
    pandas.DataFrame
        `time`; counts `positive`, `neutral`, `negative` and `other`; `sentiment_index` =
        (positive − negative) / (positive + neutral + negative).

    Examples
    --------
    >>> time = pd.to_datetime(["2026-01-01"] * 2, utc=True)
    >>> said = pd.DataFrame({"timestamp": time, "sentiment": ["positive", "neutral"]})
    >>> sentiment(said)["sentiment_index"].tolist()
    [0.5]
    """
    given = timed(messages, "consensus_discussion", "sentiment")
    [(rows, times_us)] = believed(consensus_discussion=given)
    labels = ("positive", "neutral", "negative")
    seconds, counts = _counts(texts(rows["sentiment"]), times_us, labels, window_s, resolution_s)
    said = counts["positive"] + counts["neutral"] + counts["negative"]
    index = _ratio(counts["positive"] - counts["negative"], said)
    return frame_of(seconds, {**counts, "sentiment_index": index})


def reputation(
    updates: pd.DataFrame, *, window_s: float | None = None, resolution_s: float | None = None
) -> pd.DataFrame:
    """Return the last score of each agent in each bucket.

    Parameters
    ----------
    updates : pandas.DataFrame
        The table `reputation_update`.
    window_s, resolution_s : optional
        As in `throughput`.

    Returns
    -------
    pandas.DataFrame
        `agent_id`, `time`, `score`, and `reason` of the change if the table has it, by agent in the order in
        which they came, and by time. An agent's line begins with the score that it had when the window began.

    Examples
    --------
    >>> time = pd.date_range("2026-01-01", periods=2, freq="500ms", tz="UTC")
    >>> updates = pd.DataFrame({"timestamp": time, "agent_id": "a", "new_score": [0.5, 0.7]})
    >>> reputation(updates)["score"].tolist()
    [0.7]
    """
    given = timed(updates, "reputation_update", "agent_id", "new_score")
    [(rows, times_us)] = believed(reputation_update=given)
    seconds = times_us // SECOND_US
    start, width = span([seconds], window_s, resolution_s)
    arrived = rows["seq"].to_numpy() if "seq" in rows.columns else np.arange(len(rows))
    agents = texts(rows["agent_id"])
    came = np.argsort(arrived, kind="stable")
    places = np.empty(len(rows), np.int64)
    places[came] = pd.factorize(agents[came])[0]
    found: dict[str, Any] = {
        "agent_id": agents,
        "place": places,
        "second": np.maximum(seconds // width * width, start),
        "score": np.asarray(rows["new_score"], np.float64),
    }
    if "reason" in rows.columns:
        found["reason"] = texts(rows["reason"])
    order = np.lexsort((arrived, times_us))
    points = pd.DataFrame(found).iloc[order].drop_duplicates(["place", "second"], keep="last")
    points = points.sort_values(["place", "second"])
    columns = {name: points[name].to_numpy() for name in found if name in ("score", "reason")}
    whole = frame_of(points["second"].to_numpy(np.int64), columns)
    whole.insert(0, "agent_id", pd.Series(points["agent_id"].to_numpy(), dtype="str"))
    if "reason" in whole.columns:
        whole["reason"] = whole["reason"].astype("str")
    return whole


def _counts(
    labels: npt.NDArray[np.object_],
    times_us: Integers,
    known: Sequence[str],
    window_s: float | None,
    resolution_s: float | None,
) -> tuple[Integers, dict[str, Integers]]:
    seconds = times_us // SECOND_US
    start, width = span([seconds], window_s, resolution_s)
    bucket = seconds // width * width
    seen = bucket >= start // width * width
    buckets, place = np.unique(bucket[seen], return_inverse=True)
    # -1 for any other label.
    codes = pd.Index(np.array(known, dtype=object)).get_indexer(pd.Index(labels[seen]))
    names = dict(zip((*known, "other"), (*range(len(known)), -1), strict=True))
    counts = {name: np.bincount(place[codes == code], minlength=len(buckets)) for name, code in names.items()}
    return buckets, {name: count.astype(np.int64) for name, count in counts.items()}


def _lengths(lists: pd.Series) -> Floats:
    if isinstance(lists.dtype, pd.ArrowDtype):
        return np.asarray(lists.list.len().fillna(0), dtype=np.float64)
    if not all(isinstance(value, list | tuple | np.ndarray) for value in lists):
        raise not_lists(str(lists.name))
    return np.array([len(value) for value in lists], dtype=np.float64)


def _ratio(part: Integers, whole: Integers) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole)
