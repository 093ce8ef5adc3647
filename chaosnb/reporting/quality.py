"""How far a capture can be trusted: what comes first in a report."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from chaosnb.analysis import reputation_breaks
from chaosnb.reporting.markup import table
from chaosnb.store.dataset import Dataset

__all__ = ["Quality", "quality", "span"]


@dataclass(frozen=True)
class Quality:
    """What is known of a capture's quality; a notebook shows it as a report does.

    Attributes
    ----------
    verdict : str
        In words.
    look : {"good", "", "bad"}
    numbers : pandas.DataFrame
        How many events, gaps, rejects and the like there are.
    ledgers : dict of str to pandas.DataFrame
        What each of them is, by heading; of what there is none there is no ledger.
    """

    verdict: str
    look: str
    numbers: pd.DataFrame
    ledgers: dict[str, pd.DataFrame]

    @property
    def html(self) -> str:
        """The verdict and the numbers."""
        return f'<p class="{self.look}">{self.verdict}</p>\n{table(self.numbers)}'

    def _repr_html_(self) -> str:
        return self.html


def quality(data: Dataset, tables: dict[str, pd.DataFrame] | None = None) -> Quality:
    """Return how far what a stream or an export holds can be trusted.

    Parameters
    ----------
    data : Dataset
        A stream, a replay, a moment of one, or an export that `chaosnb.load` has read.
    tables : dict of str to pandas.DataFrame, optional
        Its tables as they were taken. None: as they are.

    Examples
    --------
    >>> import chaosnb
    >>> with chaosnb.stream("network", url="devnet") as s:
    ...     s.wait(events=5, timeout=30)
    ...     found = quality(s)
    >>> [*found.ledgers]
    []
    """
    tables = data.frames() if tables is None else tables
    gaps, counts = data.gaps, data.counts
    certain = int((gaps["certainty"] == "certain").sum())
    evicted = int(data.memory["evicted"].sum())
    breaks = reputation_breaks(tables["reputation_update"], gaps)
    unexplained = int((breaks["explained_by"] == "").sum())
    first, last = span(tables)
    whole = len(gaps) == 0 and counts.rejected == 0 and evicted == 0 and not len(breaks)
    look, verdict = "", "Nothing is known to be missing, but it is not proven that nothing is."
    if not any(map(len, tables.values())):
        verdict = "There are no events."
    elif not whole:
        look = "bad"
        verdict = (
            "Something is missing, or may be. Gaps are shaded in grey in figures over time; others do not "
            "show them. What a gap does to each number is in the notes of its function in chaosnb.analysis."
        )
    elif data.complete(first, last):
        look = "good"
        verdict = "Nothing is missing: all that the node sent between the first and the last event is here."
    numbers = {
        "events": counts.events,
        "gaps": len(gaps),
        "of which certain": certain,
        "messages that could not be read": counts.rejected,
        "events that came twice (kept once)": counts.duplicates,
        "events that came late (put in their place)": counts.late,
        "events of topics not subscribed (left out)": counts.filtered,
        "rows that were evicted": evicted,
        "scores of reputation that do not go on": len(breaks),
        "of which no gap explains": unexplained,
    }
    named = pd.DataFrame({"": [*numbers], "number": [*numbers.values()]})
    told = gaps.assign(topics=[", ".join(topics) for topics in gaps["topics"]])
    columns = ["start", "end", "duration_s", "cause", "certainty", "topics", "blocks_missing"]
    rejects = data.rejects.iloc[::-1]
    ledgers = {
        "Gaps": told[columns].sort_values("duration_s", ascending=False),
        "Messages that could not be read, newest first": rejects,
        "Scores that do not go on": breaks,
        "What the protocol does not name": data.drift.sort_values("count", ascending=False),
    }
    held = {name: frame for name, frame in ledgers.items() if len(frame)}
    return Quality(verdict, look, named, held)


def span(tables: dict[str, pd.DataFrame]) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the times of the first and the last event."""
    times = [table["timestamp"] for name, table in tables.items() if name != "error" and len(table)]
    if not times:
        return pd.Timestamp(0, tz="UTC"), pd.Timestamp(0, tz="UTC")
    return min(time.min() for time in times), max(time.max() for time in times)
