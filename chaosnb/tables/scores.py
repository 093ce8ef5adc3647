"""The last scores of agents over time: each update is added once, and history is never read again."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Final

import numpy as np

from chaosnb.ingest.session import Batch, Rows
from chaosnb.tables.buckets import NEVER, Columns, bucket_times

__all__ = ["LastScores"]

_SECOND_US: Final = 1_000_000
_MOST_SCORES: Final = 200_000
_MOST_AGENTS: Final = 10_000
_BETWEEN_TRIMS: Final = 10_000


class LastScores:
    """The last score of each agent in each second.

    What is held is bounded: of more than 200,000 scores, the older half is forgotten but for the last one of
    each agent before; of more than 10,000 agents, those whose last score is the oldest. That takes 60 MB.
    """

    def __init__(self) -> None:
        self._added = 0
        self._history: dict[str, list[tuple[int, int, int, float]]] = {}  # second, timestamp_us, seq, score

    def update(self, batch: Batch) -> None:
        """Add the reputation updates of a batch."""
        if rows := batch.rows.get("reputation_update"):
            self._add(rows)

    def merge(self, other: LastScores) -> None:
        """Add all that another one holds."""
        for agent_id, points in other._history.items():
            for point in points:
                self._insert(agent_id, point)
        self._trim()

    def value(self, start: int, width: int, stop: int = NEVER) -> Columns:
        """Return columns agent_id, time, score; a line begins with the score held when the window began."""
        names = sorted(self._history)
        points: list[tuple[int, int, int, float]] = []
        counts = []
        for name in names:
            history = self._history[name]
            low, high = bisect_left(history, (start,)), bisect_left(history, (stop + 1,))
            held = history[max(low - 1, 0) : high]
            points += held
            counts.append(len(held))
        owners = np.repeat(np.arange(len(names)), counts)
        seconds = np.array([point[0] for point in points], dtype=np.int64)
        buckets = np.maximum(seconds // width * width, start)
        # Of each agent's bucket the last score.
        differs = (buckets[1:] != buckets[:-1]) | (owners[1:] != owners[:-1])
        last = np.append(np.flatnonzero(differs), len(buckets) - 1)[: len(buckets)]
        scores = np.array([point[3] for point in points], dtype=float)
        agents = np.array(names, dtype=object)[owners[last]]
        return {"agent_id": agents, "time": bucket_times(buckets[last]), "score": scores[last]}

    def _add(self, rows: Rows) -> None:
        for event, at_us, seq in zip(rows.events, rows.timestamp_us.tolist(), rows.seq.tolist(), strict=True):
            point = (at_us // _SECOND_US, at_us, seq, event.new_score)
            history = self._history.get(event.agent_id)
            if history is None or history[-1] > point:
                self._insert(event.agent_id, point)
            elif history[-1][0] == point[0]:
                history[-1] = point
            else:
                history.append(point)
        self._added += len(rows.events)
        if self._added > _BETWEEN_TRIMS:
            self._trim()

    def _insert(self, agent_id: str, point: tuple[int, int, int, float]) -> None:
        history = self._history.setdefault(agent_id, [])
        if not history or history[-1][0] < point[0]:
            history.append(point)
            return
        place = bisect_right(history, point)
        if place and history[place - 1][0] == point[0]:
            history[place - 1] = point
        elif history[place][0] != point[0]:
            insort(history, point)

    def _trim(self) -> None:
        self._added = 0
        if len(self._history) > _MOST_AGENTS:
            newest = sorted(self._history, key=lambda agent_id: self._history[agent_id][-1])[-_MOST_AGENTS:]
            self._history = {agent_id: self._history[agent_id] for agent_id in newest}
        size = sum(map(len, self._history.values()))
        if size > _MOST_SCORES:
            seconds = (point[0] for history in self._history.values() for point in history)
            middle = int(np.median(np.fromiter(seconds, dtype=np.int64, count=size)))
            for history in self._history.values():
                del history[: max(bisect_left(history, (middle,)) - 1, 0)]
