"""ISO 8601 text to numbers: time stamps to microseconds since the epoch, durations to seconds.

Time stamps are parsed many at a time, since that is a tenth of the cost of one by one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "INVALID_TIMESTAMP",
    "duration_parts",
    "duration_seconds",
    "format_timestamp",
    "parse_timestamps",
    "within_calendar",
]

INVALID_TIMESTAMP: Final = -(2**63)
"""What `parse_timestamps` gives for text that is no time stamp (numpy's NaT)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST_US: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_US: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_DURATION: Final = re.compile(
    r"(?P<sign>[-+]?)P(?=[\dT])(?:(?P<years>\d+(?:[.,]\d+)?)Y)?(?:(?P<months>\d+(?:[.,]\d+)?)M)?"
    r"(?:(?P<weeks>\d+(?:[.,]\d+)?)W)?(?:(?P<days>\d+(?:[.,]\d+)?)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+(?:[.,]\d+)?)H)?(?:(?P<minutes>\d+(?:[.,]\d+)?)M)?"
    r"(?:(?P<seconds>\d+(?:[.,]\d+)?)S)?)?",
    re.ASCII,
)
_LONGEST_DURATION: Final = 200
_MONTHS: Final = {"years": 12.0, "months": 1.0}
_SECONDS: Final = {"weeks": 604_800.0, "days": 86_400.0, "hours": 3_600.0, "minutes": 60.0, "seconds": 1.0}

# `YYYY-MM-DDTHH:MM:SS.mmmZ`, as JavaScript's toISOString writes: places of the digits, and of all else.
_COMMON_LENGTH: Final = 24
# From so many on, doing them at once is quicker than one by one.
_AT_ONCE: Final = 16
_DIGITS: Final = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 22])
_MARKS: Final = np.array([4, 7, 10, 13, 16, 19, 23])
_MARK_BYTES: Final = np.frombuffer(b"--T::.Z", dtype=np.uint8)
# Where the seconds begin; of these, what is least, how far above that each digit may be, and what it counts.
_SECONDS_AT: Final = 17
_LEAST: Final = np.frombuffer(b"00.000Z", dtype=np.uint8)
_MOST_ABOVE: Final = np.array([5, 9, 0, 9, 9, 9, 0], dtype=np.uint8)
_COUNTS_US: Final = np.array([10_000_000, 1_000_000, 0, 100_000, 10_000, 1_000, 0], dtype=np.int64)


def parse_timestamps(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Turn ISO 8601 time stamps into microseconds since the epoch.

    A stamp without a zone is read as UTC. Digits below the microsecond are cut off.

    Parameters
    ----------
    texts : sequence of str, length n

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        `INVALID_TIMESTAMP` where the text is no time stamp.

    Examples
    --------
    >>> parse_timestamps(["1970-01-01T00:00:01.500Z", "1970-01-01T02:00:00+02:00", "soon"]).tolist()
    [1500000, 0, -9223372036854775808]
    """
    if len(texts) >= _AT_ONCE and set(map(len, texts)) == {_COMMON_LENGTH}:
        with suppress(ValueError):  # not ASCII, or a date that there is not
            table = np.frombuffer("".join(texts).encode("ascii"), dtype=np.uint8).reshape(-1, _COMMON_LENGTH)
            # Those that come at once are mostly of the same minute, which then need be read but once.
            if (table[:, :_SECONDS_AT] == table[0, :_SECONDS_AT]).all():
                return _parse_seconds(table)
            return _parse_common(table)
    return np.fromiter((_parse_one(text) for text in texts), dtype=np.int64, count=len(texts))


def within_calendar(epoch_us: int) -> int:
    """Return the nearest time in microseconds since the epoch that has a year from 1 to 9999.

    Examples
    --------
    >>> within_calendar(1_500_000), within_calendar(2**62)
    (1500000, 253402300799999999)
    """
    return min(max(epoch_us, _FIRST_US), _LAST_US)


def format_timestamp(epoch_us: int) -> str:
    """Write microseconds since the epoch as JavaScript's `toISOString` does, cut to milliseconds.

    Examples
    --------
    >>> format_timestamp(1_500_000)
    '1970-01-01T00:00:01.500Z'
    """
    moment = _EPOCH.replace(tzinfo=None) + timedelta(microseconds=epoch_us)
    return moment.isoformat(timespec="milliseconds") + "Z"


@lru_cache(maxsize=1_024)
def duration_seconds(text: str) -> float:
    """Return an ISO 8601 duration in seconds.

    Returns
    -------
    float
        NaN for a duration with years or months, whose length depends on the calendar, and for any other text.

    Examples
    --------
    >>> duration_seconds("P1DT2H"), duration_seconds("PT0.5S"), duration_seconds("P1M")
    (93600.0, 0.5, nan)
    """
    months, seconds = duration_parts(text)
    return seconds if months is None else math.nan


@lru_cache(maxsize=1_024)
def duration_parts(text: str) -> tuple[int | None, float]:
    """Return an ISO 8601 duration as whole months of the calendar, and seconds.

    Returns
    -------
    months : int or None
        None where the duration has no years or months.
    seconds : float
        NaN where the text is no duration, or has a part of a month, whose length nobody knows.

    Examples
    --------
    >>> duration_parts("P1Y2MT1H"), duration_parts("PT90S"), duration_parts("P1.5M"), duration_parts("soon")
    ((14, 3600.0), (None, 90.0), (None, nan), (None, nan))
    """
    match = _DURATION.fullmatch(text) if len(text) <= _LONGEST_DURATION else None
    if match is None:
        return None, math.nan
    sign = -1 if match["sign"] == "-" else 1
    sizes = _SECONDS.items()
    total = sign * sum(float((match[unit] or "0").replace(",", ".")) * size for unit, size in sizes)
    if match["years"] is None and match["months"] is None:
        return None, total
    parts = (float((match[unit] or "0").replace(",", ".")) * size for unit, size in _MONTHS.items())
    months = math.fsum(parts)
    return (sign * int(months), total) if months.is_integer() else (None, math.nan)


def _parse_seconds(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Parse common stamps of one minute, shape (n, 24)."""
    above = table[:, _SECONDS_AT:] - _LEAST
    if (above > _MOST_ABOVE).any():
        raise ValueError
    minute = np.concatenate([table[:1, :_SECONDS_AT], _LEAST[np.newaxis]], axis=1)
    return np.asarray(_parse_common(minute) + above @ _COUNTS_US)


def _parse_common(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Parse common stamps, shape (n, 24)."""
    digits = table[:, _DIGITS] - ord("0")
    # numpy reads more than this one shape, and knows a year 0.
    if (digits > 9).any() or (table[:, _MARKS] != _MARK_BYTES).any() or not digits[:, :4].any(axis=1).all():
        raise ValueError
    texts = np.ascontiguousarray(table[:, :-1]).view("S23")[:, 0]
    return texts.astype("datetime64[us]").astype(np.int64)


def _parse_one(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if "T" not in text and "t" not in text and " " not in text:
            return INVALID_TIMESTAMP
        # In UTC, the years 1 and 9999 can be left, and with them what Python and pandas can show.
        return (moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return INVALID_TIMESTAMP
