"""How positive what each personality says is, kept up while it is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np
import pandas as pd

from chaosnb.ingest.session import Batch
from chaosnb.tables.selection import Selection
from chaosnb.text import are_names

__all__ = ["Sentiments"]

_MOST_AGENTS: Final = 10_000
_PLACES: Final = {"positive": 0, "neutral": 1, "negative": 2}
_OTHER: Final = len(_PLACES)
_FIELDS: Final = ("agent_personality", "agent_id", "sentiment")
_EVERYBODY: Final = Selection()
_KINDS: Final = {
    "personality": "str",
    **dict.fromkeys((*_PLACES, "other"), "int64"),
    "sentiment_index": "float64",
}


class Sentiments:
    """Counts of what was said by the agents that came first, 10,000 of them.

    Examples
    --------
    >>> Sentiments().value().columns.tolist()
    ['personality', 'positive', 'neutral', 'negative', 'other', 'sentiment_index']
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._seen = -1

    def begin(self, messages: pd.DataFrame) -> None:
        """Enter the rows of the table `consensus_discussion`."""
        if len(messages):
            self._enter(zip(*(messages[name].tolist() for name in _FIELDS), strict=True))
            self._seen = int(messages["seq"].max())

    def update(self, batch: Batch) -> None:
        """Enter the messages of a batch, unless the table had them already."""
        rows = batch.rows.get("consensus_discussion")
        if rows is not None and int(rows.seq[-1]) > self._seen:
            self._enter((said.agent.personality, said.agent.id, said.sentiment) for said in rows.events)

    def value(self, selection: Selection = _EVERYBODY) -> pd.DataFrame:
        """Return the counts and the index of each personality, the highest first, of these agents alone."""
        whole: dict[str, list[int]] = {}
        for (personality, who), counts in self._counts.items():
            if (not selection.agents or who in selection.agents) and (
                not selection.personalities or personality in selection.personalities
            ):
                so_far = whole.get(personality, [0] * len(counts))
                whole[personality] = [a + b for a, b in zip(so_far, counts, strict=True)]
        index = {personality: _index(*counts) for personality, counts in whole.items()}
        order = sorted(whole, key=lambda one: (2.0 if np.isnan(index[one]) else -index[one], one))
        rows = [(one, *whole[one], index[one]) for one in order]
        return pd.DataFrame(rows, columns=[*_KINDS]).astype(_KINDS)

    def _enter(self, said: Iterable[tuple[str, str, str]]) -> None:
        for (personality, who, sentiment), n in Counter(said).items():
            counts = self._counts.get((personality, who))
            if counts is None:
                # Agents without end, which a node can make up, are not kept.
                if len(self._counts) >= _MOST_AGENTS or not are_names(personality, who):
                    continue
                counts = self._counts[personality, who] = [0] * (_OTHER + 1)
            counts[_PLACES.get(sentiment, _OTHER)] += n


def _index(positive: int, neutral: int, negative: int, _other: int) -> float:
    said = positive + neutral + negative
    return (positive - negative) / said if said else np.nan
