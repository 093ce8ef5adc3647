"""How much came, and how late: tables of any kind over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from chaosnb.analysis.buckets import SECOND_US, frame_of, grid_of, hide_edges, span, sums
from chaosnb.analysis.columns import NOT_A_TIME, microseconds, timed
from chaosnb.analysis.presents import believed

__all__ = ["event_rate", "lag"]

_PARTS: Final = {"median": 0.5, "low": 0.05, "high": 0.95}


def event_rate(
    frames: Mapping[str, pd.DataFrame], *, window_s: float | None = None, resolution_s: float | None = None
) -> pd.DataFrame:
    """Return how many events a second came of each table, by event time.

    Parameters
    ----------
    frames : mapping of str to pandas.DataFrame
        Tables by name, as `Stream.frames` gives them.
    window_s, resolution_s : optional
        As in `throughput`.

    Returns
    -------
    pandas.DataFrame
        `time`, and 1/s for each table that has rows. The first and the last bucket, watched in part only,
        are NaN.

    Examples
    --------
    >>> time = pd.date_range("2026-01-01", periods=6, freq="500ms", tz="UTC")
    >>> event_rate({"meme_posted": pd.DataFrame({"timestamp": time})})["meme_posted"].tolist()
    [nan, 2.0, nan]
    """
    given = {name: timed(frame, name) for name, frame in frames.items()}
    seen = zip(given, believed(**given), strict=True)
    parts = {name: times_us // SECOND_US for name, (_, times_us) in seen}
    parts = {name: seconds for name, seconds in parts.items() if len(seconds)}
    start, width = span([*parts.values()], window_s, resolution_s)
    grid, inside = grid_of([*parts.values()], start, width)
    columns = {}
    for (name, seconds), chosen in zip(parts.items(), inside, strict=True):
        rate = sums(seconds[chosen], None, grid, width) / width
        columns[name] = hide_edges(rate, grid, [*parts.values()], width)
    return frame_of(grid, columns)


def lag(
    frames: Mapping[str, pd.DataFrame], *, window_s: float | None = None, resolution_s: float | None = None
) -> pd.DataFrame:
    """Return how long events took from their own time to their arrival.

    Parameters
    ----------
    frames : mapping of str to pandas.DataFrame
        Tables by name, as `Stream.frames` gives them; errors, which carry no time of their own, are left
        out.
    window_s, resolution_s : optional
        As in `throughput`.

    Returns
    -------
    pandas.DataFrame
        `time`; `median`, `low` and `high`, in seconds: half of the events took less than the median, and 5 %
        and 95 % less than `low` and `high`. It is the node's clock against this machine's: if they differ,
        so does the lag, which may then be negative.

    Examples
    --------
    >>> sent = pd.to_datetime(["2026-01-01"] * 3, utc=True)
    >>> came = sent + pd.to_timedelta([1, 2, 6], unit="s")
    >>> lag({"meme_posted": pd.DataFrame({"timestamp": sent, "received_at": came})})["median"].tolist()
    [2.0]
    """
    sent, came = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    given = {name: timed(frame, name, "received_at") for name, frame in frames.items() if name != "error"}
    for rows, times_us in believed(**given):
        arrivals_us = microseconds(rows["received_at"])
        known = arrivals_us != NOT_A_TIME
        sent.append(times_us[known])
        came.append(arrivals_us[known])
    sent_us = np.concatenate(sent)
    seconds = sent_us // SECOND_US
    start, width = span([seconds], window_s, resolution_s)
    bucket = seconds // width * width
    seen = bucket >= start // width * width
    taken = pd.Series((np.concatenate(came) - sent_us)[seen] / SECOND_US).groupby(bucket[seen])
    found = {name: taken.quantile(part) for name, part in _PARTS.items()}
    columns = {name: values.to_numpy() for name, values in found.items()}
    return frame_of(found["median"].index.to_numpy(np.int64), columns)
