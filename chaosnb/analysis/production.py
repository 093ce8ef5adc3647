"""How much the chain gets done: transactions a second, the time between blocks, and how it grows."""

from __future__ import annotations

from typing import Final

import narwhals.stable.v2 as nw

from chaosnb.analysis.frames import Frame, bucket, count, flag, give, take
from chaosnb.analysis.turns import first

__all__ = ["block_intervals", "height_progress", "throughput"]

_HEIGHTS: Final = ("proposed", "reported")
_LOWEST: Final = -(2**62)


def throughput(metrics: Frame, blocks: Frame, *, every_s: float = 60) -> Frame:
    """Return the transactions a second that the network reports, those seen in blocks, and the difference.

    `reported` is the mean of `tps` over the reports in a bucket; `observed` is the number of transactions in
    its blocks / its width; `difference` = observed − reported.

    Parameters
    ----------
    metrics : frame
        The table `network_metrics`.
    blocks : frame
        The table `block_proposal`. All proposals count, so that transactions in two branches of a fork, or
        proposed again after a rejection, count twice; ``main_chain(blocks)`` counts each once.
    every_s : float
        How many seconds of event time a row stands for; they begin at multiples of it.

    Returns
    -------
    frame
        `time` (the bucket's start in UTC), `reported`, `observed` and `difference`, all in 1/s, in order of
        time. Buckets with neither a report nor a block are left out. The first and the last bucket, watched
        in part only, have no `observed`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, the frames are of two kinds, one lacks a column, or an option is not possible.

    Notes
    -----
    A block lost in a gap lowers `observed`, and so the difference, in its bucket: leave out buckets that a
    row of ``s.gaps`` touches. A lost report makes `reported` a mean of fewer.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=3, freq="10s")
    >>> metrics = pd.DataFrame({"timestamp": time, "tps": 1.5})
    >>> blocks = pd.DataFrame({"timestamp": time, "transactions": [[{"hash": "a"}] * 20] * 3})
    >>> throughput(metrics, blocks, every_s=10)[["reported", "observed"]].to_numpy().tolist()
    [[1.5, nan], [1.5, 2.0], [1.5, nan]]
    """
    reports = take(metrics, "network_metrics", "timestamp", "tps").select(
        time=bucket(every_s),
        tps=nw.col("tps").cast(nw.Float64()).fill_null(0.0),
        reports=flag(~nw.col("tps").is_null()),
    )
    made = take(blocks, "block_proposal", "timestamp", "transactions", beside=metrics).select(
        time=bucket(every_s), carried=nw.col("transactions").list.len().cast(nw.Int64()).fill_null(0)
    )
    none, nothing = nw.lit(0, nw.Int64), nw.lit(0.0, nw.Float64)
    both = nw.concat(
        [
            reports.select("time", "tps", "reports", carried=none),
            made.select("time", "carried", tps=nothing, reports=none).select(
                "time", "tps", "reports", "carried"
            ),
        ]
    )
    summed = count(both, ["time"], "tps", "reports", "carried")
    time = nw.col("time")
    whole = (time > time.min()) & (time < time.max())
    rates = summed.with_columns(
        reported=nw.when(nw.col("reports") > 0).then(nw.col("tps") / nw.col("reports")),
        observed=nw.when(whole).then(nw.col("carried") / every_s),
    )
    rates = rates.with_columns(difference=nw.col("observed") - nw.col("reported"))
    return give(rates.select("time", "reported", "observed", "difference").sort("time"), metrics)


def block_intervals(blocks: Frame) -> Frame:
    """Return the time from each height to the next: from its first proposal to the first one above it.

    Parameters
    ----------
    blocks : frame
        The table `block_proposal`. Of a fork the block that came first counts; ``main_chain(blocks)`` takes
        the one that was built on.

    Returns
    -------
    frame
        `height`, `time` of its first proposal, `proposals` at that height, and `interval_s` in seconds since
        the height below, in order of height. The interval is unknown where the height below is not there.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column.

    Notes
    -----
    A height lost in a gap leaves two intervals unknown instead of one twice as long. Where only the first of
    several proposals was lost, the interval is too long by the time between them.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.to_datetime(["2026-01-01 00:00:00", "2026-01-01 00:00:03", "2026-01-01 00:00:09"])
    >>> blocks = pd.DataFrame({"timestamp": time, "height": [1, 2, 4], "block_hash": list("abd")})
    >>> block_intervals(blocks)["interval_s"].tolist()
    [nan, 3.0, nan]
    """
    names = ("timestamp", "height", "block_hash")
    rows = first(take(blocks, "block_proposal", *names, optional=["seq"]), ["block_hash"])
    heights = rows.group_by("height").agg(time=nw.col("t_us").min(), proposals=nw.len())
    below = heights.select(
        below_=nw.col("height").shift(1).over(order_by="height"),
        since_=nw.col("time").shift(1).over(order_by="height"),
        height="height",
        time="time",
        proposals="proposals",
    )
    elapsed_s = (nw.col("time") - nw.col("since_")) / 1e6
    timed = below.with_columns(interval_s=nw.when(nw.col("below_") == nw.col("height") - 1).then(elapsed_s))
    return give(timed.select("height", "time", "proposals", "interval_s").sort("height"), blocks)


def height_progress(blocks: Frame, metrics: Frame, *, every_s: float = 60) -> Frame:
    """Return how high the chain stands over time, by its blocks and by what the network reports.

    Parameters
    ----------
    blocks : frame
        The table `block_proposal`.
    metrics : frame
        The table `network_metrics`.
    every_s : float
        As in `throughput`.

    Returns
    -------
    frame
        `time` (the bucket's start in UTC); `proposed`, the greatest height proposed so far; `reported`, the
        greatest `block_height` reported so far; and `growth_per_s`, by how much `proposed` rose since the row
        before / the time between them, in 1/s. Buckets with neither are left out; what is not known yet is
        null.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, the frames are of two kinds, one lacks a column, or an option is not possible.

    Notes
    -----
    Heights are absolute, so a gap delays the line but does not lower it afterwards: the rise over the gap
    comes with the first block after it. A forged height far above the chain stays the greatest; ``s.gaps``
    has a row for it.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.date_range("2026-01-01", periods=2, freq="10s")
    >>> blocks = pd.DataFrame({"timestamp": time, "height": [1, 6]})
    >>> metrics = pd.DataFrame({"timestamp": time, "block_height": [0, 5]})
    >>> height_progress(blocks, metrics, every_s=10)["growth_per_s"].tolist()
    [nan, 0.5]
    """
    made = take(blocks, "block_proposal", "timestamp", "height").select(
        time=bucket(every_s), proposed="height"
    )
    told = take(metrics, "network_metrics", "timestamp", "block_height", beside=blocks).select(
        time=bucket(every_s), reported="block_height"
    )
    times = nw.concat([made.select("time"), told.select("time")]).unique()
    highest = [
        made.group_by("time").agg(nw.col("proposed").max()),
        told.group_by("time").agg(nw.col("reported").max()),
    ]
    found = times.join(highest[0], on="time", how="left").join(highest[1], on="time", how="left")
    # Engines differ in what a running maximum does where nothing is known.
    filled = found.with_columns(*[nw.col(name).fill_null(_LOWEST).cast(nw.Int64()) for name in _HEIGHTS])
    so_far = filled.with_columns(*[nw.col(name).cum_max().over(order_by="time") for name in _HEIGHTS])
    so_far = so_far.with_columns(
        *[nw.when(nw.col(name) > _LOWEST).then(nw.col(name)).alias(name) for name in _HEIGHTS]
    )
    rise = (nw.col("proposed") - nw.col("proposed").shift(1)).over(order_by="time")
    passed_s = (nw.col("time") - nw.col("time").shift(1)).over(order_by="time") / 1e6
    return give(so_far.with_columns(growth_per_s=rise / passed_s).sort("time"), blocks)
