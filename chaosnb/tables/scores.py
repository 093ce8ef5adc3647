"""The last scores of agents over time: each update is added once, and history is never read again."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from itertools import chain
from typing import Final

import numpy as np

from chaosnb.ingest.session import Batch, Rows
from chaosnb.tables.buckets import NEVER, Columns, bucket_times
from chaosnb.text import are_names

__all__ = ["LastScores"]

_SECOND_US: Final = 1_000_000
_MOST_SCORES: Final = 200_000
_MOST_AGENTS: Final = 10_000
_BETWEEN_TRIMS: Final = 10_000
# More than a hover shows.
_REASON_LENGTH: Final = 300


class _Line:
    """An agent's last score in each second, in order of time, as columns: each frame of a plot reads them."""

    __slots__ = ("first_seq", "reasons", "scores", "seconds", "seqs", "stamps_us")

    def __init__(self, first_seq: int) -> None:
        self.first_seq = first_seq
        self.seconds = array("q")
        self.stamps_us = array("q")
        self.seqs = array("q")
        self.scores = array("d")
        self.reasons: list[str] = []

    def add(self, stamp_us: int, seq: int, score: float, reason: str) -> None:
        second = stamp_us // _SECOND_US
        place = len(self.seconds)
        if place and second <= self.seconds[-1]:
            place = bisect_left(self.seconds, second)
            if self.seconds[place] == second:
                if (stamp_us, seq) >= (self.stamps_us[place], self.seqs[place]):
                    self.stamps_us[place], self.seqs[place], self.scores[place] = stamp_us, seq, score
                    self.reasons[place] = reason
                return
        self.seconds.insert(place, second)
        self.stamps_us.insert(place, stamp_us)
        self.seqs.insert(place, seq)
        self.scores.insert(place, score)
        self.reasons.insert(place, reason)

    def merge(self, other: _Line) -> None:
        self.first_seq = min(self.first_seq, other.first_seq)
        for point in zip(other.stamps_us, other.seqs, other.scores, other.reasons, strict=True):
            self.add(*point)

    def forget(self, second: int) -> None:
        """Forget what was before, but for the score held by then."""
        old = max(bisect_left(self.seconds, second) - 1, 0)
        for column in (self.seconds, self.stamps_us, self.seqs, self.scores):
            del column[:old]
        del self.reasons[:old]


class LastScores:
    """The last score of each agent in each second.

    What is held is bounded: of more than 200,000 scores, the older half is forgotten but for the last one of
    each agent before; of more than 10,000 agents, those whose last score is the oldest, and any whose name
    is longer than 1,000 characters; of a reason, all but its first 300 characters. That takes 15 MB, and at
    most 80 more where all reasons are long and differ.
    """

    def __init__(self) -> None:
        self._added = 0
        self._lines: dict[str, _Line] = {}

    def update(self, batch: Batch) -> None:
        """Add the reputation updates of a batch."""
        if rows := batch.rows.get("reputation_update"):
            self._add(rows)

    def merge(self, other: LastScores) -> None:
        """Add all that another one holds."""
        for agent_id, line in other._lines.items():
            self._lines.setdefault(agent_id, _Line(line.first_seq)).merge(line)
        self._trim()

    def value(self, start: int, width: int, stop: int = NEVER) -> Columns:
        """Return columns agent_id, time, score, reason, by agent in the order in which they came.

        A line begins with the score held when the window began.
        """
        names = sorted(self._lines, key=lambda name: (self._lines[name].first_seq, name))
        seconds_of: list[array[int]] = []
        scores_of: list[array[float]] = []
        reasons_of: list[list[str]] = []
        for name in names:
            line = self._lines[name]
            low = max(bisect_left(line.seconds, start) - 1, 0)
            high = bisect_left(line.seconds, stop + 1)
            seconds_of.append(line.seconds[low:high])
            scores_of.append(line.scores[low:high])
            reasons_of.append(line.reasons[low:high])
        owners = np.repeat(np.arange(len(names)), [len(part) for part in seconds_of])
        seconds = np.frombuffer(b"".join(seconds_of), dtype=np.int64)
        buckets = np.maximum(seconds // width * width, start)
        # Of each agent's bucket the last score.
        differs = (buckets[1:] != buckets[:-1]) | (owners[1:] != owners[:-1])
        last = np.append(np.flatnonzero(differs), len(buckets) - 1)[: len(buckets)]
        scores = np.frombuffer(b"".join(scores_of), dtype=np.float64)
        agents = np.array(names, dtype=object)[owners[last]]
        reasons = np.array([*chain.from_iterable(reasons_of)], dtype=object)
        times = bucket_times(buckets[last])
        return {"agent_id": agents, "time": times, "score": scores[last], "reason": reasons[last]}

    def _add(self, rows: Rows) -> None:
        for event, at_us, seq in zip(rows.events, rows.timestamp_us.tolist(), rows.seq.tolist(), strict=True):
            line = self._lines.get(event.agent_id)
            if line is None and not are_names(event.agent_id):
                continue
            if line is None:
                line = self._lines[event.agent_id] = _Line(seq)
            elif seq < line.first_seq:
                line.first_seq = seq
            # Nodes give the same reasons again and again: interned, each is held once.
            line.add(at_us, seq, event.new_score, sys.intern(event.reason[:_REASON_LENGTH]))
        self._added += len(rows.events)
        if self._added > _BETWEEN_TRIMS:
            self._trim()

    def _trim(self) -> None:
        self._added = 0
        if len(self._lines) > _MOST_AGENTS:
            newest = sorted(self._lines, key=lambda agent_id: self._lines[agent_id].stamps_us[-1])
            self._lines = {agent_id: self._lines[agent_id] for agent_id in newest[-_MOST_AGENTS:]}
        size = sum(len(line.seconds) for line in self._lines.values())
        if size > _MOST_SCORES:
            seconds = b"".join(line.seconds for line in self._lines.values())
            middle = int(np.median(np.frombuffer(seconds, dtype=np.int64)))
            for line in self._lines.values():
                line.forget(middle)
