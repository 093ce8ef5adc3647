"""Which agents were at work when, and whether those that were not voted."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.blocs import allied_at
from chaosnb.analysis.columns import codes, ranked
from chaosnb.analysis.frames import Frame, coded, fetch, give, take
from chaosnb.analysis.intervals import wilson_interval
from chaosnb.analysis.presents import seen_until
from chaosnb.analysis.spells import FOREVER_US
from chaosnb.analysis.turns import first

__all__ = ["absences", "agent_uptime", "participation_by_status"]

Integers = npt.NDArray[np.int64]

_KNOWN: Final = ("active", "inactive", "maintenance")


def agent_uptime(statuses: Frame, *, until: str | pd.Timestamp | None = None) -> Frame:
    """Return for how long each agent was active, inactive and in maintenance.

    A status lasts until the agent's next one. What an agent did before its first status is not known and does
    not count.

    Parameters
    ----------
    statuses : frame
        The table `agent_status`.
    until : str or pandas.Timestamp, optional
        Up to when its last status lasts. None: up to the newest row of any agent, but for one of a wrong
        clock, as in `consensus_time`.

    Returns
    -------
    frame
        Least uptime first: `agent_id`, `active_s`, `inactive_s`, `maintenance_s`, `other_s` (of words that
        the protocol does not name), `uptime` = active / all of these, unknown where they are 0, `absences`
        (spells that are not active), `longest_s` of them, and the last `status`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or `until` is no time.

    Notes
    -----
    A status lost in a gap leaves the one before standing, so times next to a gap may count for the wrong one.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 60, 80], unit="s"), "agent_id": "a"}
    >>> statuses = pd.DataFrame({**of, "status": ["active", "maintenance", "active"]})
    >>> found = agent_uptime(statuses, until="1970-01-01T00:01:40Z")
    >>> found[["agent_id", "active_s", "maintenance_s", "uptime", "absences"]].to_numpy().tolist()
    [['a', 80.0, 20.0, 0.8, 1]]
    """
    rows, _ = _spells(statuses, until)
    agents, kinds = rows["agent_id"].cat.categories, rows["status"].cat.categories
    agent, status = (rows[name].cat.codes.to_numpy(np.int64) for name in ("agent_id", "status"))
    lasts_s = rows["lasts_s"].to_numpy(np.float64)
    known = pd.Index(_KNOWN).get_indexer(kinds)
    cell = agent * (len(_KNOWN) + 1) + np.where(known < 0, len(_KNOWN), known)[status]
    # Of no rows numpy sums whole numbers.
    spent = np.bincount(cell, lasts_s, len(agents) * (len(_KNOWN) + 1)).astype(np.float64)
    spent = spent.reshape(-1, len(_KNOWN) + 1)
    total = spent.sum(axis=1)
    away = np.asarray(kinds != "active", bool)[status]
    longest = np.zeros(len(agents))
    np.maximum.at(longest, agent[away], lasts_s[away])
    last = np.flatnonzero(np.diff(agent, append=-1))  # rows are in order of agents and time
    found: dict[str, Any] = {
        "agent_id": agents,
        **{f"{name}_s": spent[:, place] for place, name in enumerate((*_KNOWN, "other"))},
        "uptime": np.divide(spent[:, 0], total, out=np.full(len(agents), np.nan), where=total > 0),
        "absences": np.bincount(agent[away], minlength=len(agents)).astype(np.int64),
        "longest_s": longest,
        "status": kinds.take(status[last]),
    }
    return give(pd.DataFrame(found).sort_values(["uptime", "agent_id"]), statuses)


def absences(statuses: Frame, *, until: str | pd.Timestamp | None = None) -> Frame:
    """Return each spell in which an agent was not active, with how long it was meant to last.

    Parameters
    ----------
    statuses : frame
        The table `agent_status`.
    until : str or pandas.Timestamp, optional
        As in `agent_uptime`.

    Returns
    -------
    frame
        In order of `time`, its start in UTC: `agent_id`, `status`, `reason`, `expected_s` (unknown where the
        duration has no length in seconds), `lasted_s` (up to `until` at most), `over` (1 if it has ended,
        else 0), and `late_s` = lasted − expected, unknown where it is not over.

    Raises
    ------
    TypeError, ValueError
        As in `agent_uptime`.

    Notes
    -----
    The return of an agent that was lost in a gap makes its absence last until its next status.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 25], unit="s"), "agent_id": "a", "reason": "why"}
    >>> statuses = {**of, "status": ["inactive", "active"], "expected_duration_s": [20.0, 0.0]}
    >>> absences(pd.DataFrame(statuses)).iloc[:, 1:].to_numpy().tolist()
    [['a', 'inactive', 'why', 20.0, 25.0, 1, 5.0]]
    """
    rows, told = _spells(statuses, until, "reason", "expected_duration_s")
    away = np.flatnonzero(rows["status"] != "active")
    agents, times = rows["agent_id"].cat.codes.to_numpy(), rows["t_us"].to_numpy()
    by_time = np.lexsort([agents[away], times[away]])
    rows = rows.drop(columns="end_us").iloc[away[by_time]]
    place = rows.index.to_numpy()
    expected = told["expected_duration_s"].iloc[place].astype("float64")
    over = rows["over"].to_numpy(bool)
    found = {
        "time": rows["t_us"],
        # From the labels themselves: pandas would make a Python string for each row.
        **{
            name: rows[name].cat.categories.take(rows[name].cat.codes.to_numpy())
            for name in ("agent_id", "status")
        },
        "reason": _labels_at(told["reason"], place),
        "expected_s": expected,
        "lasted_s": rows["lasts_s"],
        "over": over.astype(np.int64),
        "late_s": (rows["lasts_s"] - expected).where(over),
    }
    return give(pd.DataFrame(found, copy=False), statuses)


def participation_by_status(votes: Frame, statuses: Frame, *, confidence: float = 0.95) -> Frame:
    """Return on how many blocks validators voted while active, away, or in a status that nobody knows.

    Each validator that ever votes could have voted on each block. Which status counts is that at the block's
    first vote. Shares have Wilson's interval, and differences from the active ones Newcombe's [1]_.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.
    statuses : frame
        The table `agent_status`.
    confidence : float
        How sure to be that a share lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        Most chances first: `status` (``unknown`` before a validator's first one), `chances` (blocks times
        validators), `voted`, `participation`, `low`, `high`, and `difference` from ``active`` with
        `difference_low` and `difference_high`, unknown where nobody was active.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, the two are of different kinds, or the confidence is not possible.

    Notes
    -----
    Votes lost in a gap count as not cast: leave the blocks in gaps out. A status lost in one leaves the one
    before standing, which draws differences towards 0.

    References
    ----------
    .. [1] R. G. Newcombe (1998). Interval estimation for the difference between independent proportions.
       Statistics in Medicine 17 (8), 873–890.

    Examples
    --------
    >>> of = {"timestamp": pd.to_datetime([0, 10, 20], unit="s"), "block_hash": list("ghi")}
    >>> votes = pd.DataFrame({**of, "validator_id": ["a", "b", "a"]})
    >>> away = {"timestamp": pd.to_datetime([5, 15], unit="s"), "agent_id": "a"}
    >>> statuses = pd.DataFrame({**away, "status": ["inactive", "active"]})
    >>> found = participation_by_status(votes, statuses)
    >>> found[["status", "chances", "voted"]].to_numpy().tolist()
    [['unknown', 4, 2], ['active', 1, 1], ['inactive', 1, 0]]
    """
    columns = ("timestamp", "block_hash", "validator_id")
    given = coded(take(votes, "block_validation", *columns, optional=["seq"]), "block_hash")
    cast = fetch(first(given, ["block_hash", "validator_id"]))
    take(statuses, "agent_status", "agent_id", beside=votes)
    rows, _ = _spells(statuses, None)
    named = (cast["block_hash"].notna() & cast["validator_id"].notna()).to_numpy(bool)
    cast = cast if named.all() else cast[named]
    # Categories may have labels that no vote has: each block and validator is to count that has one.
    block, _ = pd.factorize(codes(cast["block_hash"])[0])
    begun = cast["t_us"].groupby(block).min().to_numpy(np.int64)
    times = np.sort(begun)
    names, who = ranked(cast["validator_id"])
    rows = rows[rows["agent_id"].isin(names)]
    status, kinds = pd.factorize(rows["status"])
    within = np.searchsorted(times, rows["end_us"]) - np.searchsorted(times, rows["t_us"])
    spells = rows[["agent_id"]].assign(start_us=rows["t_us"], end_us=rows["end_us"])
    vote, spell = allied_at(who, names, begun[block], spells.reset_index(drop=True))
    # The last kind is that of nobody: before a validator's first status.
    kind = np.full(len(cast), len(kinds))
    kind[vote] = status[spell]
    trials = np.bincount(status, within, len(kinds) + 1).astype(np.int64)
    trials[-1] = len(names) * len(times) - trials.sum()
    hits = np.bincount(kind, minlength=len(kinds) + 1)
    labels = np.array([*map(str, kinds), "unknown"], dtype=object)[trials > 0]
    hits, trials = hits[trials > 0].astype(np.int64), trials[trials > 0]
    low, high = wilson_interval(hits, trials, confidence)
    share = hits / trials
    base = np.flatnonzero(labels == "active")
    p, down, up = (part[base[0]] if len(base) else np.nan for part in (share, low, high))
    found: dict[str, Any] = {
        "status": pd.Series(labels, dtype="str"),
        **{"chances": trials, "voted": hits, "participation": share, "low": low, "high": high},
        "difference": share - p,
        "difference_low": share - p - np.sqrt((share - low) ** 2 + (up - p) ** 2),
        "difference_high": share - p + np.sqrt((high - share) ** 2 + (p - down) ** 2),
    }
    table = pd.DataFrame(found)
    active = (table["status"] == "active").to_numpy(bool)
    table.loc[active, ["difference_low", "difference_high"]] = 0.0
    return give(table.sort_values(["chances", "status"], ascending=[False, True]), votes)


def _labels_at(column: pd.Series, place: Integers) -> Any:
    """Return the text of these rows, by its labels: to take of a column itself, Arrow joins all its parts."""
    code, labels = codes(column)
    known: Any = pd.Index(labels, dtype="str")
    return known.insert(len(known), None).take(code[place])


def _spells(
    statuses: Any, until: str | pd.Timestamp | None, *names: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return each status with when it ends, and these columns, whose places its index tells.

    There are `t_us`, `end_us`, `lasts_s`, and whether it is `over`. Agents and statuses are categories in
    order of their names, all of them used; rows are in order of agents and of time.
    """
    wanted = ("timestamp", "agent_id", "status", *names)
    table = fetch(take(statuses, "agent_status", *wanted, optional=["seq"]))
    times = [table[name].to_numpy() for name in ("seq", "t_us") if name in table.columns]
    named = {name: _few(table[name]) for name in ("agent_id", "status")}
    order = np.lexsort([*times, named["agent_id"].codes])
    agents, start = named["agent_id"].codes[order], table["t_us"].to_numpy(np.int64)[order]
    last = seen_until(statuses, "agent_status", until)
    end = np.append(start[1:], FOREVER_US)[: len(start)]
    end[:-1][agents[1:] != agents[:-1]] = FOREVER_US
    lasts_s = np.minimum(end, last)
    lasts_s -= start
    found: dict[str, Any] = {
        **{name: labels[order] for name, labels in named.items()},
        "t_us": start,
        "end_us": end,
        "over": end <= last,
        "lasts_s": np.maximum(lasts_s, 0, out=lasts_s) / 1e6,
    }
    return pd.DataFrame(found, index=order, copy=False), table[[*names]]


def _few(column: pd.Series) -> pd.Categorical:
    """Return text as categories in order of their names, all of them used."""
    labels, place = ranked(column)
    narrow = place.astype(np.min_scalar_type(-len(labels) - 1))
    return pd.Categorical.from_codes(narrow, categories=pd.Index(labels, dtype="str"))
