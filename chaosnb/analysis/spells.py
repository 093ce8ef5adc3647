"""Alliances over time: who belonged to which from when to when, who knew whom, and how much they change."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.columns import NOT_A_TIME, microseconds, texts
from chaosnb.analysis.frames import Frame, bucket_us, fetch, give, take
from chaosnb.analysis.lists import flat_records
from chaosnb.errors import MissingExtraError
from chaosnb.protocol.iso8601 import duration_parts

if TYPE_CHECKING:
    import networkx

__all__ = [
    "FOREVER_US",
    "alliance_churn",
    "alliance_edges",
    "alliance_graph",
    "alliance_spells",
    "expiries",
    "standing",
]

Integers = npt.NDArray[np.int64]

FOREVER_US: Final = np.iinfo(np.int64).max
"""When an alliance ends whose duration is not known."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def alliance_spells(updates: Frame, *, until: str | pd.Timestamp | None = None) -> Frame:
    """Return from when to when each agent belonged to each alliance.

    An update of an alliance holds until the next one of the same alliance, or until its duration is over,
    whichever comes first. A duration with years or months is counted by the calendar from the update's time
    in UTC (a month after 31 January is the end of February). One that is no ISO 8601 duration never ends.

    Parameters
    ----------
    updates : frame
        The table `alliance_update`.
    until : str or pandas.Timestamp, optional
        Up to when there was something to see. None: up to the newest update.

    Returns
    -------
    frame
        In order of `start`: `alliance_id`, `agent_id`, `role` (the last one), `start`, `end`, `ended` and
        `lasted_s`. `ended` is ``left`` where a further update names the agent no more, ``expired`` where the
        duration was over, and ``open`` where neither had come by `until`: `end` is then when it will have
        expired, unknown where nobody knows. `lasted_s` ends with `until` at the latest.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or `until` is no time.

    Notes
    -----
    An update lost in a gap leaves the one before standing: members then seem to stay longer, or to leave
    later, than they did, and an alliance formed in a gap begins with its first update after it.

    Examples
    --------
    >>> time = pd.to_datetime(["2026-01-31", "2026-02-02"])
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}], [{"id": "a", "role": "x"}]]
    >>> updates = {"timestamp": time, "alliance_id": "u", "members": members, "duration": ["P1M", "P1D"]}
    >>> found = alliance_spells(pd.DataFrame(updates), until="2026-03-01")
    >>> found.assign(end=found["end"].dt.strftime("%d %b"))[["agent_id", "end", "ended"]].to_numpy().tolist()
    [['a', '03 Feb', 'expired'], ['b', '02 Feb', 'left']]
    """
    rows = standing(updates)
    until_us = _until(rows, until)
    rows = rows.sort_values(["alliance_id", "agent_id", "start_us"], kind="stable")
    same = ["alliance_id", "agent_id"]
    before = rows.groupby(same, sort=False)[["version", "end_us"]].shift()
    goes_on = (before["version"] == rows["version"] - 1) & (before["end_us"] == rows["start_us"])
    rows["spell"] = (~goes_on).cumsum()
    spells = rows.groupby("spell", sort=False).agg(
        alliance_id=("alliance_id", "last"),
        agent_id=("agent_id", "last"),
        role=("role", "last"),
        start_us=("start_us", "first"),
        end_us=("end_us", "last"),
        next_us=("next_us", "last"),
    )
    spells = spells.sort_values(["start_us", "alliance_id", "agent_id"])
    end_us = spells["end_us"].to_numpy(np.int64)
    left = end_us == spells["next_us"].to_numpy(np.int64)
    ended = np.where(left & (end_us != FOREVER_US), "left", np.where(end_us <= until_us, "expired", "open"))
    start_us = spells["start_us"].to_numpy(np.int64)
    found = {
        **{name: spells[name].astype("str") for name in ("alliance_id", "agent_id", "role")},
        "start": _times(start_us),
        "end": _times(np.where(end_us == FOREVER_US, NOT_A_TIME, end_us)),
        "ended": pd.array(ended, dtype="str"),
        "lasted_s": np.maximum(np.minimum(end_us, until_us) - start_us, 0) / 1e6,
    }
    return give(pd.DataFrame(found), updates)


def alliance_churn(
    updates: Frame, *, every_s: float = 3600, until: str | pd.Timestamp | None = None
) -> Frame:
    """Return how many agents join and leave alliances over time.

    Parameters
    ----------
    updates : frame
        The table `alliance_update`.
    every_s : float
        How many seconds of event time a row stands for; they begin at multiples of it.
    until : str or pandas.Timestamp, optional
        As in `alliance_spells`.

    Returns
    -------
    frame
        In order of `time`, the start of the bucket in UTC, without holes: `members` (memberships that stand
        at its start), `joined`, `left` (named no more), `expired`, and `churn` = (left + expired) /
        (members + joined), unknown where nobody could leave.

    Raises
    ------
    TypeError, ValueError
        As in `alliance_spells`, or if `every_s` is not possible.

    Notes
    -----
    An update lost in a gap moves what it told to the next one, so churn after a gap is too high and in it too
    low.

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> updates = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": "u", "members": members}
    >>> found = alliance_churn(pd.DataFrame({**updates, "duration": "PT2H"}), until="2026-01-01T02:30:00Z")
    >>> found[["members", "joined", "expired", "churn"]].to_numpy().tolist()
    [[0.0, 2.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [2.0, 0.0, 2.0, 1.0]]
    """
    width_us = bucket_us(every_s)
    until_us = _until(standing(updates), until)
    spells = fetch(take(alliance_spells(updates, until=until), "alliance_spells", "start", "end", "ended"))
    start = microseconds(spells["start"]) // width_us
    over = spells["ended"].astype("str").to_numpy(object)
    end = microseconds(spells["end"]) // width_us
    first, last = (int(start.min()), until_us // width_us) if len(start) else (0, -1)
    size = last - first + 1
    if size > 1_000_000:
        raise ValueError(f"the times span {size:,} buckets of {every_s} s: choose a longer every_s")
    joined, left, expired = (
        np.bincount((buckets - first)[chosen], minlength=max(size, 0))[: max(size, 0)].astype(np.int64)
        for buckets, chosen in (
            (start, start <= last),
            (end, (over == "left") & (end <= last)),
            (end, over == "expired"),
        )
    )
    gone = left + expired
    members = np.cumsum(joined) - joined - (np.cumsum(gone) - gone)
    with np.errstate(invalid="ignore", divide="ignore"):
        churn = gone / (members + joined)
    time = (first + np.arange(max(size, 0), dtype=np.int64)) * width_us
    found = {"time": time, "members": members, "joined": joined, "left": left, "expired": expired}
    return give(pd.DataFrame({**found, "churn": churn}), updates)


def alliance_edges(updates: Frame, *, until: str | pd.Timestamp | None = None) -> Frame:
    """Return which two agents were allied, in how many alliances, and for how long.

    Parameters
    ----------
    updates : frame
        The table `alliance_update`.
    until : str or pandas.Timestamp, optional
        As in `alliance_spells`.

    Returns
    -------
    frame
        `agent_a` and `agent_b` in order of their names, `alliances`, and `shared_s`, the seconds for which
        they were allied, summed over alliances; the longest first.

    Raises
    ------
    TypeError, ValueError
        As in `alliance_spells`.

    Notes
    -----
    Gaps do to it what they do to `alliance_spells`.

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> updates = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": "u", "members": members}
    >>> alliance_edges(pd.DataFrame({**updates, "duration": "PT1M"}), until="2026-02-01").to_numpy().tolist()
    [['a', 'b', 1, 60.0]]
    """
    rows = standing(updates)
    shared = np.maximum(np.minimum(rows["end_us"], _until(rows, until)) - rows["start_us"], 0)
    rows = rows.assign(shared_s=shared / 1e6)
    rows = rows[["alliance_id", "version", "agent_id", "shared_s"]]
    other = rows.drop(columns="shared_s").rename(columns={"agent_id": "agent_b"})
    pairs = rows.rename(columns={"agent_id": "agent_a"}).merge(other, on=["alliance_id", "version"])
    pairs = pairs[pairs["agent_a"] < pairs["agent_b"]]
    edges = pairs.groupby(["agent_a", "agent_b"], as_index=False).agg(
        alliances=("alliance_id", "nunique"), shared_s=("shared_s", "sum")
    )
    kinds = {"agent_a": "str", "agent_b": "str", "alliances": "int64", "shared_s": "float64"}
    edges = edges.sort_values(["shared_s", "agent_a", "agent_b"], ascending=[False, True, True])
    return give(edges.astype(kinds), updates)


def alliance_graph(updates: Any, *, until: str | pd.Timestamp | None = None) -> networkx.Graph:
    """Return who was allied with whom as a graph of networkx, for its measures and layouts.

    Parameters
    ----------
    updates : frame
        The table `alliance_update`.
    until : str or pandas.Timestamp, optional
        As in `alliance_spells`.

    Returns
    -------
    networkx.Graph
        A node for each agent that was ever allied; the edges are those of `alliance_edges`, with `shared_s`
        as their `weight`, and `alliances`.

    Raises
    ------
    MissingExtraError
        If networkx is not installed.
    TypeError, ValueError
        As in `alliance_spells`.

    Notes
    -----
    Gaps do to it what they do to `alliance_spells`.

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> updates = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": "u", "members": members}
    >>> graph = alliance_graph(pd.DataFrame({**updates, "duration": "PT1M"}), until="2026-02-01")
    >>> dict(graph["a"]["b"])
    {'weight': 60.0, 'alliances': 1}
    """
    try:
        import networkx as nx
    except ImportError:
        raise MissingExtraError("a graph of alliances", extra="analysis") from None
    graph = nx.Graph()
    graph.add_nodes_from(sorted({*standing(updates)["agent_id"]}))
    edges = fetch(
        take(
            alliance_edges(updates, until=until),
            "alliance_edges",
            "agent_a",
            "agent_b",
            "alliances",
            "shared_s",
        )
    )
    ends = zip(edges["agent_a"].tolist(), edges["agent_b"].tolist(), strict=True)
    for (a, b), weight, count in zip(
        ends, edges["shared_s"].tolist(), edges["alliances"].tolist(), strict=True
    ):
        graph.add_edge(a, b, weight=weight, alliances=count)
    return graph


def standing(updates: Any) -> pd.DataFrame:
    """Return a row for each member of each update, with when that update holds.

    Returns
    -------
    pandas.DataFrame
        `alliance_id`, `version` (which update of that alliance), `agent_id`, `role`, `leader` (who has that
        role, else the first named), `start_us`, `end_us`, and `next_us`, when the next update came.

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> updates = {"timestamp": pd.to_datetime(["1970-01-01"]), "alliance_id": "u", "members": members}
    >>> found = standing(pd.DataFrame({**updates, "duration": "PT1M"}))
    >>> found[["agent_id", "leader", "end_us"]].to_numpy().tolist()
    [['a', 'a', 60000000], ['b', 'a', 60000000]]
    """
    names = ("timestamp", "alliance_id", "members", "duration")
    table = fetch(take(updates, "alliance_update", *names, optional=["seq"]))
    order = [name for name in ("t_us", "seq") if name in table.columns]
    table = table.sort_values(order, kind="stable").reset_index(drop=True)
    start_us = table["t_us"].to_numpy(np.int64)
    alliance = pd.Series(texts(table["alliance_id"]), dtype="str")
    ends = alliance.groupby(alliance, sort=False)
    following = pd.Series(np.arange(len(table))).groupby(alliance.to_numpy(), sort=False).shift(-1)
    known = following.notna().to_numpy()
    next_us = np.full(len(table), FOREVER_US)
    next_us[known] = start_us[following[known].to_numpy(np.int64)]
    expires_us = expiries(start_us, texts(table["duration"]))
    rows, (agent, role) = flat_records(table["members"], "id", "role")
    leads = pd.Series(agent[role == "leader"], index=rows[role == "leader"], dtype=object)
    firsts = pd.Series(agent, index=rows, dtype=object)
    leaders = pd.concat([leads, firsts]).groupby(level=0, sort=False).first()
    members = pd.DataFrame(
        {
            "alliance_id": alliance.to_numpy(object)[rows],
            "version": ends.cumcount().to_numpy(np.int64)[rows],
            "agent_id": agent,
            "role": role,
            "leader": leaders.reindex(rows).to_numpy(object),
            "start_us": start_us[rows],
            "end_us": np.minimum(next_us, expires_us)[rows],
            "next_us": next_us[rows],
        }
    )
    # Who is named twice is a member once.
    return members.drop_duplicates(["alliance_id", "version", "agent_id"]).reset_index(drop=True)


def expiries(start_us: Integers, durations: npt.NDArray[np.object_]) -> Integers:
    """Return when ISO 8601 durations are over that begin at these times, all in microseconds since 1970.

    Examples
    --------
    >>> found = expiries(np.zeros(3, np.int64), np.array(["PT1S", "P1M", "soon"], object))
    >>> (found[:2] / 1e6).tolist(), bool(found[2] == FOREVER_US)
    ([1.0, 2678400.0], True)
    """
    codes, texts = pd.factorize(durations)
    parts = [duration_parts(text) for text in texts]
    seconds = np.array([part for _, part in parts], np.float64)[codes] if len(parts) else np.zeros(0)
    fixed = (
        np.array([months is None for months, _ in parts], bool)[codes] if len(parts) else np.zeros(0, bool)
    )
    with np.errstate(invalid="ignore"):
        end = start_us / 1e6 + seconds
    never = ~(np.abs(end) < 9e12)
    expires = np.full(len(start_us), FOREVER_US)
    plain = fixed & ~never
    expires[plain] = start_us[plain] + np.round(seconds[plain] * 1e6).astype(np.int64)
    for place in np.flatnonzero(~fixed).tolist():
        months, rest = parts[codes[place]]
        expires[place] = _months_later(int(start_us[place]), months or 0, rest)
    return np.asarray(np.maximum(expires, start_us))


def _months_later(start_us: int, months: int, seconds: float) -> int:
    try:
        start = _EPOCH + start_us * _MICROSECOND
        years, month = divmod(start.year * 12 + start.month - 1 + months, 12)
        day = min(start.day, monthrange(years, month + 1)[1])
        moment = start.replace(year=years, month=month + 1, day=day) + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return int(FOREVER_US)  # a year that no calendar has
    return (moment - _EPOCH) // _MICROSECOND


def _until(rows: pd.DataFrame, until: str | pd.Timestamp | None) -> int:
    if until is None:
        return int(rows["start_us"].max()) if len(rows) else 0
    moment_us = int(microseconds(pd.Series([until], name="until"))[0])
    if moment_us == NOT_A_TIME:
        raise ValueError(f"until={until!r} is not a time; write one such as '2026-11-23T00:36:12Z'")
    return moment_us


def _times(epoch_us: Integers) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(epoch_us.view("datetime64[us]"), tz="UTC")
