"""The live plots' aggregates of some agents alone, from the rows of the tables, only while somebody asks.

The running sums of `chaosnb.tables.aggregates` do not know who acted. So this reads the rows of the window
shown, which a selection with a short one makes cheap; it sees no rows that retention has removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from msgspec import Struct

from chaosnb.tables.activity import ACTIVITY
from chaosnb.tables.aggregates import Aggregates, Span, with_ratio
from chaosnb.tables.buckets import BucketSums, Columns, bucket_times

__all__ = ["Selection", "names_of", "selected"]

_SECOND_US: Final = 1_000_000
# Of a label's counts: the table, its columns of agent, personality and label, and the labels with a count.
_COUNTED: Final = {
    "decisions": (
        "block_validation",
        ("validator_id", "validator_personality", "decision"),
        ("approve", "reject"),
    ),
    "sentiment": (
        "consensus_discussion",
        ("agent_id", "agent_personality", "sentiment"),
        ("positive", "neutral", "negative"),
    ),
}


class Selection(Struct, frozen=True):
    """Whose events count; an empty tuple chooses all.

    Attributes
    ----------
    agents : tuple of str
        Agents' ids.
    personalities : tuple of str
        Where both are given, the agents that are in both.
    """

    agents: tuple[str, ...] = ()
    personalities: tuple[str, ...] = ()

    @classmethod
    def of(cls, agents: str | Iterable[str] | None, personalities: str | Iterable[str] | None) -> Selection:
        """Choose by names, or by one name; None chooses all.

        Raises
        ------
        TypeError
            If it is neither.

        Examples
        --------
        >>> Selection.of("a", ["lawful"])
        Selection(agents=('a',), personalities=('lawful',))
        """
        return cls(names_of("agents", agents), names_of("personalities", personalities))

    def __bool__(self) -> bool:
        return bool(self.agents or self.personalities)

    def chosen(self, personalities: dict[str, str]) -> set[str] | None:
        """Return the ids of the agents, given the personality of each; None: all.

        Examples
        --------
        >>> Selection(personalities=("chaotic",)).chosen({"a": "chaotic", "b": "lawful"})
        {'a'}
        """
        if not self.personalities:
            return set(self.agents) if self.agents else None
        of_kind = {agent for agent, kind in personalities.items() if kind in self.personalities}
        return of_kind & set(self.agents) if self.agents else of_kind


def names_of(what: str, names: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the names that an argument gives, of which one may stand alone; None gives none.

    Raises
    ------
    TypeError
        If it gives no names.

    Examples
    --------
    >>> names_of("authors", "Ada Lovelace")
    ('Ada Lovelace',)
    """
    if names is None or isinstance(names, str):
        return () if names is None else (names,)
    if not isinstance(names, Iterable):
        raise TypeError(f"{what}= takes a name, or a list of names, and not {names!r}")
    return tuple(names)


def selected(
    name: str,
    selection: Selection,
    *,
    aggregates: Aggregates,
    table: Callable[[str], pd.DataFrame],
    window_s: float | None = 600,
    points: int = 300,
    resolution_s: float | None = None,
) -> Columns:
    """Return an aggregate of the agents selected, with the columns of `Aggregates.arrays`.

    Parameters
    ----------
    name : {"tps", "decisions", "sentiment", "reputation", "event_rate", "lag"}
        Of ``tps`` only `observed` is selected, by a block's producer: `reported` is the network's own. Of
        ``event_rate`` and ``lag`` nothing is.
    selection : Selection
    aggregates : Aggregates
    table : callable
        Gives a table by its name.
    window_s, points, resolution_s
        As of `Aggregates.value`.

    Raises
    ------
    ValueError
        If there is no such aggregate.
    """
    if name in _COUNTED:
        span = aggregates.span(window_s, points, resolution_s)
        return with_ratio(name, _counts(name, selection, span, table))
    columns = aggregates.arrays(name, window_s=window_s, points=points, resolution_s=resolution_s)
    agents = selection.chosen(aggregates.personalities)
    if agents is None or name in ACTIVITY:
        return columns
    if name == "reputation":
        kept = np.fromiter((agent in agents for agent in columns["agent_id"]), bool, len(columns["agent_id"]))
        return {key: values[kept] for key, values in columns.items()}
    return {**columns, "observed": _observed(columns, agents, table("block_proposal"))}


def _counts(name: str, selection: Selection, span: Span, table: Callable[[str], pd.DataFrame]) -> Columns:
    source, (agent, personality, label), labels = _COUNTED[name]
    rows = _within(table(source), span.start, span.stop)
    kept = _among(rows[agent], selection.agents) & _among(rows[personality], selection.personalities)
    sums = BucketSums(len(labels) + 1)
    if kept.any():
        places = {value: place for place, value in enumerate(labels)}
        # The last is for rows whose label is none of these.
        names = [*rows[label].cat.categories, None]
        codes = np.array([places.get(value, len(labels)) for value in names], dtype=np.int64)
        sums.count(_microseconds(rows)[kept], codes[rows[label].cat.codes.to_numpy()][kept])
    seconds, counts = sums.value(*span)
    columns = dict(zip((*labels, "other"), counts.astype(np.int64).T, strict=True))
    return {"time": bucket_times(seconds), **columns}


def _observed(columns: Columns, agents: Collection[str], blocks: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the transactions a second of these producers' blocks, where `columns` has those of all."""
    grid = columns["time"].astype(np.int64) // _SECOND_US
    if not len(grid):
        return np.zeros(0)
    # A lone bucket is not over yet, and shows nothing.
    width = int(grid[1] - grid[0]) if len(grid) > 1 else 1
    rows = _within(blocks, int(grid[0]), int(grid[-1]) + width - 1)
    rows = rows[_among(rows["producer_id"], tuple(agents), empty_is_all=False)]
    place = (_microseconds(rows) // _SECOND_US - grid[0]) // width
    held = rows["transactions"].list.len().to_numpy(dtype=np.float64)
    observed = np.bincount(place, held, len(grid)) / width
    return np.where(np.isnan(columns["observed"]), np.nan, observed)


def _within(frame: pd.DataFrame, start: int, stop: int) -> pd.DataFrame:
    at_us = _microseconds(frame)
    low, high = np.searchsorted(at_us, [start * _SECOND_US, (stop + 1) * _SECOND_US])
    return frame.iloc[low:high]


def _microseconds(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    return frame["timestamp"].to_numpy("datetime64[us]").astype(np.int64)


def _among(
    column: pd.Series[Any], chosen: tuple[str, ...], *, empty_is_all: bool = True
) -> npt.NDArray[np.bool_]:
    if not chosen and empty_is_all:
        return np.ones(len(column), dtype=bool)
    # One more, False, for rows without a value, whose code is −1.
    wanted = np.append(column.cat.categories.isin(chosen), False)
    among: npt.NDArray[np.bool_] = wanted[column.cat.codes.to_numpy()]
    return among
