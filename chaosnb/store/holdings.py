"""What a dataset reads: the capture of a stream, or the tables of an export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import pandas as pd

from chaosnb.ingest.gaps import Gap
from chaosnb.ingest.spans import Span
from chaosnb.protocol.events import TOPICS
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.aggregates import Aggregates
from chaosnb.tables.arrivals import Arrivals
from chaosnb.text import did_you_mean

__all__ = ["Holdings", "Ledger", "Rows", "instead"]


class Rows(Protocol):
    """One table."""

    def snapshot(self) -> pd.DataFrame:
        """Return it as a DataFrame, which the caller may change at will."""


class Holdings(Protocol):
    """All tables, and what is reckoned from them; a `chaosnb.tables.capture.Capture` is one."""

    @property
    def tables(self) -> Mapping[str, Rows]:
        """Every table by name."""

    @property
    def aggregates(self) -> Aggregates:
        """The live plots' sums."""

    @property
    def arrivals(self) -> Arrivals:
        """How many events came of late."""

    @property
    def events(self) -> int:
        """How many events came."""

    @property
    def rejected(self) -> int:
        """How many messages could not be read."""

    @property
    def filtered(self) -> int:
        """How many events were of topics that were not subscribed."""

    @property
    def duplicates(self) -> int:
        """How many events came again."""

    @property
    def late(self) -> int:
        """How many events came late."""

    def rejects(self) -> pd.DataFrame:
        """Return the newest messages that could not be read."""

    def incidents(self) -> pd.DataFrame:
        """Return the steps of the connection."""

    def memory(self) -> pd.DataFrame:
        """Return rows, rows evicted and bytes of each table."""


class Ledger(Protocol):
    """The gaps; a `chaosnb.ingest.gaps.GapLedger` is one."""

    @property
    def gaps(self) -> list[Gap]:
        """The gaps by start; the same list until something changes."""

    @property
    def complete_spans(self) -> dict[str, list[Span]]:
        """The spans of event time that are provably whole, of each topic that was watched."""


def instead(name: object, names: Iterable[str]) -> str:
    """Return what there is instead of what was asked for by a wrong name, for an error's end.

    Examples
    --------
    >>> instead("network", TABLES).partition(";")[0]
    " (the topic 'network' is in agent_status, network_metrics)"
    """
    if str(name) in TOPICS:
        near = f" (the topic {name!r} is in {', '.join(TOPICS[str(name)])})"
    else:
        near = did_you_mean(str(name), names)
    return f"{near}; the tables are {', '.join(TABLES)}, and frames() gives them all"
