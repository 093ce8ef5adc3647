"""Whose reputation moved most, and why, kept up while it moves: what `chaosnb.analysis` says of the table."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import pandas as pd

from chaosnb.ingest.session import Batch
from chaosnb.text import are_names, without_particulars

__all__ = ["Movers"]

_TOP: Final = 10
_REASONS: Final = 3
_MOST_AGENTS: Final = 10_000
_MOST_KINDS: Final = 100
_OTHER: Final = "…"
_FIELDS: Final = ("agent_id", "timestamp", "seq", "old_score", "new_score", "reason")
_KINDS: Final = {
    "agent_id": "str",
    "change": "float64",
    "reason": "str",
    "updates": "int64",
    "moved": "float64",
}


@dataclass(slots=True)
class _Course:
    """Where an agent's score began and stands, and what moved it."""

    first: tuple[int, int, float]
    last: tuple[int, int, float]
    reasons: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def change(self) -> float:
        return self.last[2] - self.first[2]


class Movers:
    """Scores of the agents that came first, 10,000 of them, each with its first 100 kinds of reasons.

    Examples
    --------
    >>> Movers().value().columns.tolist()
    ['agent_id', 'change', 'reason', 'updates', 'moved']
    """

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}
        self._seen = -1

    def begin(self, updates: pd.DataFrame) -> None:
        """Enter the rows of the table `reputation_update`."""
        if len(updates):
            columns = [updates[name] for name in _FIELDS]
            columns[1] = columns[1].astype("int64")
            for agent, at_us, seq, old, new, reason in zip(*(c.tolist() for c in columns), strict=True):
                self._enter(agent, at_us, seq, old, new, reason)
            self._seen = int(updates["seq"].max())

    def update(self, batch: Batch) -> None:
        """Enter the updates of a batch, unless the table had them already."""
        rows = batch.rows.get("reputation_update")
        if rows is None or int(rows.seq[-1]) <= self._seen:
            return
        for event, at_us, seq in zip(rows.events, rows.timestamp_us.tolist(), rows.seq.tolist(), strict=True):
            self._enter(event.agent_id, at_us, seq, event.old_score, event.new_score, event.reason)

    def value(self, agents: Collection[str] | None = None) -> pd.DataFrame:
        """Return the ten who moved most, with their three greatest reasons; None: of all agents."""
        chosen = self._courses.items()
        if agents is not None:
            chosen = {agent: self._courses[agent] for agent in agents if agent in self._courses}.items()
        top = heapq.nsmallest(_TOP, chosen, key=lambda one: (-abs(one[1].change), one[0]))
        found = []
        for agent, course in top:
            told = sorted(course.reasons.items(), key=lambda one: (-abs(one[1][1]), one[0]))[:_REASONS]
            found += [(agent, course.change, reason, n, moved) for reason, (n, moved) in told]
        return pd.DataFrame(found, columns=[*_KINDS]).astype(_KINDS)

    def _enter(self, agent: str, at_us: int, seq: int, old: float, new: float, reason: str) -> None:
        course = self._courses.get(agent)
        if course is None:
            # Agents without end, which a node can make up, are not kept.
            if len(self._courses) >= _MOST_AGENTS or not are_names(agent):
                return
            course = self._courses[agent] = _Course((at_us, seq, old), (at_us, seq, new))
        if (at_us, seq) < course.first[:2]:
            course.first = (at_us, seq, old)
        if (at_us, seq) > course.last[:2]:
            course.last = (at_us, seq, new)
        kind = without_particulars(reason)
        if kind not in course.reasons and len(course.reasons) >= _MOST_KINDS:
            kind = _OTHER
        updates, moved = course.reasons.get(kind, (0, 0.0))
        course.reasons[kind] = updates + 1, moved + (new - old)
