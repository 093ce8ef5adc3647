"""Alliances over time: who belonged to which from when to when, and how much they change."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.columns import NOT_A_TIME, ranked
from chaosnb.analysis.frames import Frame, bucket_us, fetch, give, take
from chaosnb.analysis.lists import flat_records
from chaosnb.analysis.presents import seen_until
from chaosnb.analysis.turns import repeated
from chaosnb.protocol.iso8601 import duration_parts

__all__ = [
    "FOREVER_US",
    "alliance_churn",
    "alliance_spells",
    "expiries",
    "standing",
]

Integers = npt.NDArray[np.int64]

FOREVER_US: Final = np.iinfo(np.int64).max
"""When an alliance ends whose duration is not known."""

_WHO: Final = ["alliance_id", "agent_id", "role"]
_ENDS: Final = ["left", "expired", "open"]
_DAY_US: Final = 86_400_000_000
_FIRST, _AFTER = np.datetime64("0001"), np.datetime64("10000")  # between them are the years of a calendar
_NO_CALENDAR: Final = 120_000
_NO_TIME_S: Final = 1e12


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
        Up to when there was something to see. None: up to the newest update, but for one of a wrong clock, as
        in `consensus_time`.

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
    until_us = seen_until(updates, "alliance_update", until)
    spells = _spells(rows, until_us).sort_values(["start_us", "alliance_id", "agent_id"])
    end_us, start_us = (spells[name].to_numpy(np.int64) for name in ("end_us", "start_us"))
    found = {
        # From the labels themselves: pandas would make a Python string for each row.
        **{name: spells[name].cat.categories.take(spells[name].cat.codes.to_numpy()) for name in _WHO},
        "start": _times(start_us),
        "end": _times(np.where(end_us == FOREVER_US, NOT_A_TIME, end_us)),
        "ended": spells["ended"].astype("str"),
        "lasted_s": np.maximum(np.minimum(end_us, until_us) - start_us, 0) / 1e6,
    }
    return give(pd.DataFrame(found, copy=False), updates)


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
    members = standing(updates)
    until_us = seen_until(updates, "alliance_update", until)
    spells = _spells(members, until_us)
    start, end = (spells[name].to_numpy(np.int64) // width_us for name in ("start_us", "end_us"))
    over = spells["ended"]
    first, last = (int(start.min()), until_us // width_us) if len(start) else (0, -1)
    size = last - first + 1
    if size > 1_000_000:
        raise ValueError(f"the times span {size:,} buckets of {every_s} s: choose a longer every_s")
    joined, left, expired = (
        np.bincount((buckets - first)[chosen], minlength=max(size, 0))[: max(size, 0)].astype(np.int64)
        for buckets, chosen in (
            (start, start <= last),
            (end, ((over == "left") & (end <= last)).to_numpy(bool)),
            (end, (over == "expired").to_numpy(bool)),
        )
    )
    gone = left + expired
    already = np.cumsum(joined) - joined - (np.cumsum(gone) - gone)
    with np.errstate(invalid="ignore", divide="ignore"):
        churn = gone / (already + joined)
    time = (first + np.arange(max(size, 0), dtype=np.int64)) * width_us
    found = {"time": time, "members": already, "joined": joined, "left": left, "expired": expired}
    return give(pd.DataFrame({**found, "churn": churn}), updates)


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
    ids, alliance = ranked(table["alliance_id"])
    turn = np.argsort(alliance, kind="stable")
    following = np.flatnonzero(np.diff(alliance[turn]) == 0)
    next_us = np.full(len(table), FOREVER_US)
    next_us[turn[following]] = start_us[turn[following + 1]]
    del turn, following
    end_us = expiries(start_us, *ranked(table["duration"]))
    np.minimum(end_us, next_us, out=end_us)
    rows, (agent, role) = flat_records(table["members"], "id", "role")
    # Who is named twice is a member once.
    once = ~repeated(
        rows.astype(np.int64) * len(agent.categories) + agent.codes, len(table) * len(agent.categories)
    )
    leader = np.full(len(table), -1, agent.codes.dtype)
    for some in (np.flatnonzero(np.diff(rows, prepend=-1)), np.flatnonzero(np.asarray(role == "leader"))):
        # Of several assignments to one place the last one stays: the first that is named.
        leader[rows[some[::-1]]] = agent.codes[some[::-1]]
    rows, agent, role = rows[once], agent[once], role[once]
    version = pd.Series(alliance).groupby(alliance, sort=False).cumcount().to_numpy(np.int32)
    labels = pd.Categorical.from_codes(alliance[rows], categories=pd.Index(ids, dtype="str"))
    return pd.DataFrame(
        {
            "alliance_id": labels,
            "version": version[rows],
            "agent_id": agent,
            "role": role,
            "leader": pd.Categorical.from_codes(leader[rows], dtype=agent.dtype),
            "start_us": start_us[rows],
            "end_us": end_us[rows],
            "left": (end_us == next_us)[rows],
        },
        copy=False,
    )


def expiries(start_us: Integers, durations: npt.NDArray[np.object_], which: Integers) -> Integers:
    """Return when ISO 8601 durations are over that begin at these times, all in microseconds since 1970.

    Parameters
    ----------
    start_us : numpy.ndarray of int
    durations : numpy.ndarray of str
    which : numpy.ndarray of int
        Which of the durations each one has.

    Examples
    --------
    >>> found = expiries(np.zeros(3, np.int64), np.array(["PT1S", "P1M", "soon"], object), np.arange(3))
    >>> (found[:2] / 1e6).tolist(), bool(found[2] == FOREVER_US)
    ([1.0, 2678400.0], True)
    """
    parts = [duration_parts(text) for text in durations]
    seconds = np.array([rest for _, rest in parts], np.float64)[which]
    by_calendar = np.array([months is not None for months, _ in parts], bool)[which]
    with np.errstate(invalid="ignore"):
        never = ~(np.abs(start_us / 1e6 + seconds) < 9e12)
    seconds[never] = 0
    seconds *= 1e6
    expires = np.round(seconds, out=seconds).astype(np.int64)
    expires += start_us
    expires[never] = FOREVER_US
    if by_calendar.any():
        # More months than any calendar has are as good as any other number of them.
        months = np.array([min(max(count or 0, -_NO_CALENDAR), _NO_CALENDAR) for count, _ in parts])
        rest = np.array([seconds for _, seconds in parts])[which[by_calendar]]
        expires[by_calendar] = _months_later(start_us[by_calendar], months[which[by_calendar]], rest)
    return np.asarray(np.maximum(expires, start_us, out=expires))


def _spells(members: pd.DataFrame, until_us: int) -> pd.DataFrame:
    """Return each spell of a membership once, with how it ended."""
    alliances, agents = (len(members[name].cat.categories) for name in _WHO[:2])
    key = members["alliance_id"].cat.codes.to_numpy().astype(np.min_scalar_type(-alliances * agents - 1))
    key *= agents
    key += members["agent_id"].cat.codes.to_numpy()
    order = np.argsort(key, kind="stable")
    # One after the other: each is as long as all memberships.
    key = key[order]
    goes_on = key[1:] == key[:-1]
    del key
    goes_on &= np.diff(members["version"].to_numpy()[order]) == 1
    starts, ends = members["start_us"].to_numpy(np.int64), members["end_us"].to_numpy(np.int64)
    goes_on &= starts[order[1:]] == ends[order[:-1]]
    first = np.flatnonzero(np.append(np.ones(len(order[:1]), bool), ~goes_on))
    last = order[np.append(first[1:], len(order))[: len(first)] - 1]
    spells: pd.DataFrame = members[_WHO].iloc[last]
    spells = spells.assign(start_us=starts[order[first]])
    end_us = ends[last]
    left = members["left"].to_numpy(bool)[last] & (end_us != FOREVER_US)
    ended = np.where(left, 0, np.where(end_us <= until_us, 1, 2)).astype(np.int8)
    spells["end_us"], spells["ended"] = end_us, pd.Categorical.from_codes(ended, categories=pd.Index(_ENDS))
    return spells


def _months_later(start_us: Integers, months: Integers, seconds: npt.NDArray[np.float64]) -> Integers:
    """Return these times so much later; a month has no day after its last one."""
    begun = start_us.view("datetime64[us]").astype("datetime64[M]")
    since_us = start_us - _since_1970(begun)
    month: Any = begun + months
    last_us = _since_1970(month + 1) - _since_1970(month) - _DAY_US
    whole = np.clip(np.floor(seconds), -_NO_TIME_S, _NO_TIME_S)
    later = _since_1970(month) + np.minimum(since_us // _DAY_US * _DAY_US, last_us) + since_us % _DAY_US
    with np.errstate(invalid="ignore"):
        later += whole.astype(np.int64) * 1_000_000 + np.rint((seconds - whole) * 1e6).astype(np.int64)
    known = np.ones(len(later), bool)
    for moment in (start_us.view("datetime64[us]"), month, later.view("datetime64[us]")):
        known &= (moment >= _FIRST) & (moment < _AFTER)
    return np.where(known, later, FOREVER_US)


def _since_1970(months: npt.NDArray[Any]) -> Integers:
    return months.astype("datetime64[us]").astype(np.int64)


def _times(epoch_us: Integers) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(epoch_us.view("datetime64[us]"), tz="UTC")
