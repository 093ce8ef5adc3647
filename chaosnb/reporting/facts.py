"""What a report is on: a capture as it was at one moment, so that all figures are of the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from chaosnb.reporting.markup import clock
from chaosnb.reporting.outline import NAMES
from chaosnb.reporting.quality import Quality, quality, span
from chaosnb.store.dataset import Dataset

__all__ = ["Facts"]


@dataclass(frozen=True)
class Facts:
    """What is known of a capture, and of its report.

    Attributes
    ----------
    title : str
    about : tuple of str
        Where the data comes from, its span, its topics, and when and by what the report was made.
    simulated : bool
    counted : pandas.DataFrame
        How many rows the tables have.
    trust : Quality
    named : mapping of str to frame
        The tables by their names in `NAMES`, all with rows as ``tables``, and ``gaps``.
    fresh_s : float or None
    """

    title: str
    about: tuple[str, ...]
    simulated: bool
    counted: pd.DataFrame
    trust: Quality
    named: Mapping[str, Any]
    fresh_s: float | None

    @classmethod
    def of(cls, data: Dataset, *, title: str, fresh_s: float | None, made_at: datetime) -> Facts:
        """Take a capture as it is now."""
        import chaosnb

        tables, gaps = data.frames(), data.gaps
        held = {name: table for name, table in tables.items() if len(table)}
        first, last = span(tables)
        return cls(
            title=title,
            about=(
                data.source,
                f"{clock(first)} to {clock(last)} UTC, by the events' own time" if held else "no events",
                f"topics: {', '.join(data.topics)}",
                f"made {clock(pd.Timestamp(made_at))} UTC by chaosnb {chaosnb.__version__}",
            ),
            simulated=data.simulated,
            counted=pd.DataFrame(
                [(name, len(table)) for name, table in held.items()], columns=["table", "rows"]
            ),
            trust=quality(data, tables),
            named={**{name: tables[table] for name, table in NAMES.items()}, "tables": held, "gaps": gaps},
            fresh_s=fresh_s,
        )
