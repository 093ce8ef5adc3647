"""Running aggregates for the live plots: each batch is added once, and history is never read again.

Every aggregate keeps sums per second of event time, so late events count where they belong, and one built
from parts (`merge`) or in another order gives the same values.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.amounts import amount
from chaosnb.ingest.session import Batch, Rows, join_rows
from chaosnb.protocol.schema import TABLES, field_reader
from chaosnb.tables.activity import ACTIVITY, batch_of_frame
from chaosnb.tables.buckets import NEVER, BucketSums, Columns, bucket_times, whole_grid
from chaosnb.tables.columns import look_up
from chaosnb.tables.scores import LastScores
from chaosnb.text import are_names, did_you_mean
from chaosnb.widths import round_width

__all__ = [
    "AGGREGATES",
    "Aggregates",
    "LabelCounts",
    "Span",
    "Throughput",
    "as_frame",
    "with_ratio",
]

_SECOND_US: Final = 1_000_000
# Few enough that they are still in the processor's cache.
_FLUSH_EVENTS: Final = 1_000
_MOST_BUCKETS: Final = 1_000
_MOST_AGENTS: Final = 10_000
# Where an agent is named with its personality.
_ACTORS: Final = {
    "block_validation": (field_reader(("validator", "id")), field_reader(("validator", "personality"))),
    "consensus_discussion": (field_reader(("agent", "id")), field_reader(("agent", "personality"))),
    "meme_posted": (field_reader(("creator", "id")), field_reader(("creator", "personality"))),
}

AGGREGATES: Final = ("tps", "decisions", "sentiment", "reputation")
"""The names of those that are kept up from the beginning."""

# The tables that each is made of.
_MADE_OF: Final = {
    "tps": {"network_metrics", "block_proposal"},
    "decisions": {"block_validation"},
    "sentiment": {"consensus_discussion"},
    "reputation": {"reputation_update"},
}


class Span(NamedTuple):
    """What is shown: seconds since the epoch, and the seconds of a bucket."""

    start: int
    width: int
    stop: int


class Throughput:
    """Transactions a second: as the network reports them, and as its proposed blocks carry them."""

    def __init__(self) -> None:
        self._sums = BucketSums(3)  # reported tps, number of reports, transactions in blocks

    def update(self, batch: Batch) -> None:
        """Add the metrics and blocks of a batch."""
        if metrics := batch.rows.get("network_metrics"):
            reported = np.array([event.tps for event in metrics.events], dtype=float)
            self._sums.add(metrics.timestamp_us, {0: reported, 1: np.ones(len(reported))})
        if blocks := batch.rows.get("block_proposal"):
            transactions = np.array([len(event.transactions) for event in blocks.events], dtype=float)
            self._sums.add(blocks.timestamp_us, {2: transactions})

    def merge(self, other: Throughput) -> None:
        """Add all that another one holds."""
        self._sums.merge(other._sums)

    def value(self, start: int, width: int, stop: int = NEVER) -> Columns:
        """Return columns time, reported, observed (both 1/s; see `Aggregates.value`)."""
        grid, on_grid = whole_grid(*self._sums.value(start, width, stop), width)
        with np.errstate(invalid="ignore"):
            reported = on_grid[:, 0] / on_grid[:, 1]
        observed = on_grid[:, 2] / width
        if len(grid):
            # A bucket that is not over yet, or was not watched from its start, would show a false drop.
            observed[-1] = np.nan
            if grid[0] == (self._sums.first or 0) // width * width:
                observed[0] = np.nan
        return {"time": bucket_times(grid), "reported": reported, "observed": observed}


class _Codes(dict[str, int]):
    """Codes of labels; any other label has the code after the last, and is not kept."""

    def __missing__(self, label: str) -> int:
        return len(self)


class LabelCounts:
    """How often each label of one field came, per second.

    Parameters
    ----------
    table : str
    field : str
        The event's field that holds the label.
    labels : sequence of str
        The labels counted by themselves; all else is ``other``.
    """

    def __init__(self, table: str, field: str, labels: Sequence[str]) -> None:
        self._table = table
        self._read = field_reader((field,))
        self._labels = tuple(labels)
        self._codes = _Codes(zip(labels, range(len(labels)), strict=True))
        self._sums = BucketSums(len(labels) + 1)

    def update(self, batch: Batch) -> None:
        """Add the events of a batch."""
        if rows := batch.rows.get(self._table):
            codes = bytes(look_up(self._codes, self._read(rows.events)))
            self._sums.count(rows.timestamp_us, np.frombuffer(codes, dtype=np.uint8))

    def merge(self, other: LabelCounts) -> None:
        """Add all that another one holds."""
        self._sums.merge(other._sums)

    def value(self, start: int, width: int, stop: int = NEVER) -> Columns:
        """Return columns time, one for each label, and other: counts per bucket that has any."""
        seconds, sums = self._sums.value(start, width, stop)
        counts = dict(zip((*self._labels, "other"), sums.astype(np.int64).T, strict=True))
        return {"time": bucket_times(seconds), **counts}


class _Aggregate(Protocol):
    def update(self, batch: Batch) -> None: ...

    def value(self, start: int, width: int, stop: int = NEVER) -> Columns: ...


class Aggregates:
    """All aggregates of a stream; safe to update in one thread and to read in others.

    Parameters
    ----------
    table : callable, optional
        Gives a table by name: ``event_rate`` and ``lag`` begin with what it holds when they are first asked
        for. None: with what comes then.

    Examples
    --------
    >>> Aggregates().value("decisions").columns.tolist()
    ['time', 'approve', 'reject', 'other', 'approval_rate']
    """

    def __init__(self, table: Callable[[str], pd.DataFrame] | None = None) -> None:
        self._table = table
        # By table the last arrival that one which began late has seen, until all have seen what comes next.
        self._seen: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()
        self._pending: dict[str, list[Rows]] = {}
        self._pending_events = 0
        self._oldest: int | None = None
        self._personalities: dict[str, str] = {}
        self._newest = (0, 0)  # the last arrival number, and the newest second by then
        self._by_name: dict[str, _Aggregate] = {
            "tps": Throughput(),
            "decisions": LabelCounts("block_validation", "decision", ("approve", "reject")),
            "sentiment": LabelCounts(
                "consensus_discussion", "sentiment", ("positive", "neutral", "negative")
            ),
            "reputation": LastScores(),
        }
        # What was last asked for, as long as nothing new came to it: plots ask far more often than that.
        self._values: dict[str, tuple[Span, Columns]] = {}

    def update(self, batch: Batch) -> None:
        """Add a batch; it is counted together with others, at the latest when somebody looks."""
        with self._lock:
            if batch.newest_us is not None and batch.rows:
                arrived = max(int(rows.seq[-1]) for rows in batch.rows.values())
                self._newest = max(self._newest, (arrived, batch.newest_us // _SECOND_US))
            for name, rows in batch.rows.items():
                self._pending.setdefault(name, []).append(rows)
                self._pending_events += len(rows.events)
            if self._pending_events >= _FLUSH_EVENTS:
                self._flush()

    def value(
        self,
        name: str,
        *,
        window_s: float | None = 600,
        points: int = 300,
        resolution_s: float | None = None,
    ) -> pd.DataFrame:
        """Return one aggregate as a small DataFrame, a row per time bucket.

        Parameters
        ----------
        name : {"tps", "decisions", "sentiment", "reputation", "event_rate", "lag"}
        window_s : float or None
            How many seconds before the newest event it begins; None: with the first. What is dated over an
            hour ahead of the feed is left out until the feed comes there.
        points : int
            At most about so many buckets; their width is a round number of seconds.
        resolution_s : float or None
            The width of a bucket in seconds instead, wider where that made over 1,000 of them.

        Returns
        -------
        pandas.DataFrame
            `time` is the bucket's start.
            tps: `reported` (mean) and `observed` (transactions in blocks / width), both 1/s.
            decisions: counts `approve`, `reject`, `other`; `approval_rate` = approve / (approve + reject).
            sentiment: counts `positive`, `neutral`, `negative`, `other`; `sentiment_index` =
            (positive - negative) / (positive + neutral + negative).
            reputation: `agent_id`, `time`, `score`, `reason` (its first 300 characters).
            event_rate, lag: as of `chaosnb.analysis.activity`; those of all events.

        Raises
        ------
        ValueError
            If there is no such aggregate, or a number is negative or none.
        """
        return as_frame(self.arrays(name, window_s=window_s, points=points, resolution_s=resolution_s))

    def arrays(
        self,
        name: str,
        *,
        window_s: float | None = 600,
        points: int = 300,
        resolution_s: float | None = None,
    ) -> Columns:
        """Return the columns of `value` as numpy arrays, at a tenth of the cost; `time` is UTC.

        They are read-only, and the same objects as before where nothing has changed.
        """
        if not isinstance(name, str) or name not in {*AGGREGATES, *ACTIVITY}:
            there = ", ".join(map(repr, (*AGGREGATES, *ACTIVITY)))
            near = did_you_mean(str(name), (*AGGREGATES, *ACTIVITY))
            raise ValueError(f"no aggregate {name!r}{near}; there are {there}")
        with self._lock:
            span = self._span(window_s, points, resolution_s)
            if name not in self._by_name:
                self._begin(name)
            known = self._values.get(name)
            if known is None or known[0] != span:
                columns = with_ratio(name, self._by_name[name].value(*span))
                for column in columns.values():
                    column.flags.writeable = False
                known = self._values[name] = span, columns
            return dict(known[1])

    def span(
        self, window_s: float | None = 600, points: int = 300, resolution_s: float | None = None
    ) -> Span:
        """Return from when to when `value` reaches, and how wide its buckets are."""
        with self._lock:
            return self._span(window_s, points, resolution_s)

    @property
    def personalities(self) -> dict[str, str]:
        """The personality of each agent as it was last seen; of 10,000 agents or a few more."""
        with self._lock:
            self._flush()
            return dict(self._personalities)

    def _span(self, window_s: float | None, points: int, resolution_s: float | None) -> Span:
        _check_numbers(window_s=window_s, points=points, resolution_s=resolution_s)
        if self._pending:
            self._flush()
        first, last = self._oldest or 0, self._newest[1]
        start = first if window_s is None else max(first, last - int(window_s))
        if resolution_s is None:
            return Span(start, round_width(last - start, points), last)
        return Span(start, max(round(resolution_s), 1, round_width(last - start, _MOST_BUCKETS)), last)

    def flush(self) -> None:
        """Count what waits, and so let go of its messages."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        joined = Batch(rows={name: join_rows(parts) for name, parts in self._pending.items()})
        self._pending, self._pending_events = {}, 0
        for rows in joined.timed:
            oldest = int(rows.timestamp_us.min()) // _SECOND_US
            self._oldest = oldest if self._oldest is None else min(self._oldest, oldest)
        for name, aggregate in self._by_name.items():
            if not _MADE_OF.get(name, joined.rows.keys()).isdisjoint(joined.rows):
                seen = self._seen.pop(name, None)
                aggregate.update(joined if seen is None else _after(joined, seen))
                self._values.pop(name, None)
        for name, (read_id, read_personality) in _ACTORS.items():
            # Agents without end, which a node can make up, are not kept.
            if len(self._personalities) < _MOST_AGENTS and (actors := joined.rows.get(name)):
                ids, personalities = read_id(actors.events), read_personality(actors.events)
                if not self._are_known(ids, personalities):  # which is quicker than to note them again
                    pairs = zip(ids, personalities, strict=True)
                    self._personalities.update(pair for pair in pairs if are_names(*pair))

    def _begin(self, name: str) -> None:
        begun = self._by_name[name] = ACTIVITY[name]()
        seen: dict[str, int] = {}
        for table in TABLES if self._table is not None else ():
            assert self._table is not None
            frame = self._table(table)
            if len(frame):
                begun.update(batch_of_frame(table, frame))
                seen[table] = int(frame["seq"].max())
        # A batch may be in the tables already, and on its way here.
        self._seen[name] = seen

    def _are_known(self, ids: list[str], personalities: list[str]) -> bool:
        with suppress(KeyError):
            return look_up(self._personalities, ids) == tuple(personalities)
        return False


def _check_numbers(**settings: float | None) -> None:
    for name, value in settings.items():
        if value is not None and not 0 <= amount(value) < math.inf:
            raise ValueError(f"{name}={value!r} is not possible: choose a number such as 600, or None")


def _after(batch: Batch, seen: dict[str, int]) -> Batch:
    """Return the rows that arrived later than these, without their events."""
    parts = {}
    for name, rows in batch.rows.items():
        new = rows.seq > seen.get(name, -1)
        parts[name] = Rows([], rows.timestamp_us[new], rows.received_at_ns[new], rows.seq[new])
    return Batch(rows=parts)


def as_frame(columns: Columns) -> pd.DataFrame:
    """Return the columns of an aggregate as a DataFrame of its own."""
    series: dict[str, Any] = dict(columns)
    series["time"] = pd.Series(columns["time"].astype(np.int64), dtype="datetime64[us, UTC]", copy=False)
    for name in columns.keys() & {"agent_id", "reason"}:
        series[name] = pd.Series(columns[name], dtype="str")
    # Copied: the columns are read-only, and others have them too.
    return pd.DataFrame(series, copy=True)


def with_ratio(name: str, columns: Columns) -> Columns:
    """Return the counts of ``decisions`` or ``sentiment`` with their ratio; any other as it is."""
    if name == "decisions":
        rate = _ratio(columns["approve"], columns["approve"] + columns["reject"])
        return {**columns, "approval_rate": rate}
    if name == "sentiment":
        said = columns["positive"] + columns["neutral"] + columns["negative"]
        return {**columns, "sentiment_index": _ratio(columns["positive"] - columns["negative"], said)}
    return columns


def _ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole)
