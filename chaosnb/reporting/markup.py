"""Frames and foreign text as HTML: nothing in them is markup."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from chaosnb.text import printable

__all__ = ["Shown", "clock", "note", "safe", "shown", "table"]

_MOST_ROWS: Final = 30
_LONGEST_CELL: Final = 160


@dataclass(frozen=True)
class Shown:
    """What a notebook shows as HTML; printed, it is the HTML's source."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def shown(frame: pd.DataFrame) -> Shown:
    """Return a frame as a report shows it: its first 30 rows, and of long texts the beginning.

    Parameters
    ----------
    frame : pandas.DataFrame

    Examples
    --------
    >>> "&lt;b&gt;" in shown(pd.DataFrame({"reason": ["<b>"]})).html
    True
    """
    return Shown(table(frame))


def table(frame: pd.DataFrame) -> str:
    """Return a frame as a table of HTML."""
    if frame.empty:
        return note("none")
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    marks = [' class="n"' if number else "" for number in numeric]
    cells = zip(frame.columns, marks, strict=True)
    head = "".join(f"<th{mark}>{safe(str(name)).replace('_', ' ')}</th>" for name, mark in cells)
    rows = []
    for values in frame.head(_MOST_ROWS).itertuples(index=False, name=None):
        row = zip(values, marks, strict=True)
        rows.append("<tr>" + "".join(f"<td{mark}>{_cell(value)}</td>" for value, mark in row) + "</tr>")
    more = len(frame) - _MOST_ROWS
    rest = note(f"and {more:,} more") if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{rest}"


def note(text: str) -> str:
    """Return text as a paragraph of small print."""
    return f'<p class="note">{safe(text)}</p>'


def safe(text: str, most: int | None = None) -> str:
    """Return text as HTML that shows it, its first `most` characters."""
    return html.escape(printable(text, most))


def clock(time: pd.Timestamp) -> str:
    """Return a time in UTC, to milliseconds."""
    # strftime knows no years before 1 or after 9999, which a node may send.
    return "–" if pd.isna(time) else time.tz_convert("UTC").tz_localize(None).isoformat(" ", "milliseconds")


def _cell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return clock(value)
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return f"{value:,.4g}"
    return safe(str(value), _LONGEST_CELL)
