"""Retention: how much of its past a capture keeps, by rows, by age or by bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from chaosnb.tables.table import Table

__all__ = ["Retention", "parse_retention"]

_UNITS: Final = {
    "s": 1,
    "min": 60,
    "h": 3_600,
    "d": 86_400,
    "kB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
}
# Case does not matter, as no two units differ by it alone.
_BY_LETTERS: Final = {unit.lower(): unit for unit in _UNITS}
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")
_AMBIGUOUS: Final = {"m": ("min", "MB"), "k": ("kB",), "g": ("GB",)}
# Looking turns waiting rows into columns, which is dear for a few.
_ROWS_BETWEEN_LOOKS: Final = 2_000
_EXCESS: Final = 0.01


class Retention(Struct, frozen=True):
    """What is kept; None sets no limit. Until it is looked at again, a hundredth more may be there.

    For `age_s` that is a hundredth in time of arrival, and at most 2,000 rows.

    Attributes
    ----------
    rows : int or None
        Rows of each table.
    age_s : float or None
        Seconds of event time before the feed's present.
    bytes : int or None
        Bytes of all tables together.
    """

    rows: int | None = None
    age_s: float | None = None
    bytes: int | None = None

    def apply(self, tables: Iterable[Table], present_us: int) -> None:
        """Evict what is over the limits; `present_us` is the feed's present in event time."""
        tables = list(tables)
        for table in tables:
            if self.rows is not None:
                table.evict(table.rows - self.rows)
            if self.age_s is not None:
                table.evict(table.rows_before(present_us - round(self.age_s * 1_000_000)))
        if self.bytes is None:
            return
        for table in tables:  # else the bytes of what waits would depend on how many it came with
            table.flush()
        if (used := sum(table.nbytes for table in tables)) > self.bytes:
            # The same share of each table goes, so that all reach about equally far back.
            for table in tables:
                table.evict(-int(-table.rows * (1 - self.bytes / used) // 1))

    def is_due(self, rows: int, age_s: float, size: int) -> bool:
        """Say whether to apply it again, so many rows, seconds and bytes of messages after the last time."""
        if self.rows is not None:
            return rows > _EXCESS * self.rows
        if self.age_s is not None:
            return rows > _ROWS_BETWEEN_LOOKS or age_s > _EXCESS * self.age_s
        return self.bytes is not None and (rows > _ROWS_BETWEEN_LOOKS or size > _EXCESS * self.bytes)


def parse_retention(retain: str | int | None) -> Retention:
    """Read what a user says of retention.

    Parameters
    ----------
    retain : str, int or None
        An int is a number of rows for each table; text an age such as ``"90s"``, ``"10min"``, ``"1h"`` or
        ``"2d"``, or a size such as ``"512MB"`` or ``"2gb"``. None keeps everything.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> parse_retention("1.5h").age_s, parse_retention("512MB").bytes, parse_retention(1000).rows
    (5400.0, 512000000, 1000)
    """
    if retain is None:
        return Retention()
    if isinstance(retain, int) and not isinstance(retain, bool) and retain > 0:
        return Retention(rows=retain)
    match = _AMOUNT.fullmatch(retain.strip()) if isinstance(retain, str) else None
    unit = _BY_LETTERS.get(match[2].lower()) if match else None
    amount = float(match[1]) * _UNITS[unit] if match and unit else 0.0
    if unit is None or amount <= 0:
        meant = _AMBIGUOUS.get(match[2].lower(), ()) if match else ()
        near = " or ".join(repr(f"{match[1]}{other}") for other in meant) if match else ""
        asked = f" (did you mean {near}?)" if near else ""
        raise ValueError(
            f"retain={retain!r} is not understood{asked}; use a number of rows such as 1_000_000, an age "
            "such as '1h' (s, min, h, d), or a size such as '512MB' (kB, MB, GB)"
        )
    return Retention(bytes=int(amount)) if unit.endswith("B") else Retention(age_s=amount)
