"""The axes of a still picture: from numbers to pixels, and where the ticks stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Axis", "axis_of", "clock", "number_ticks", "time_ticks"]

Floats = NDArray[np.float64]

_SECOND_MS, _MINUTE_MS, _HOUR_MS, _DAY_MS = 1_000.0, 60_000.0, 3_600_000.0, 86_400_000.0
_STEPS_MS: Final = (
    *(count * _SECOND_MS for count in (1, 2, 5, 10, 15, 30)),
    *(count * _MINUTE_MS for count in (1, 2, 5, 10, 15, 30)),
    *(count * _HOUR_MS for count in (1, 2, 3, 6, 12)),
    *(count * _DAY_MS for count in (1, 2, 7, 14, 30, 90, 365, 3650, 36500)),
)
_TICKS: Final = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """Numbers from `low` to `high` along pixels from `start` to `end`.

    Examples
    --------
    >>> Axis(0.0, 10.0, 100.0, 200.0)([0, 5, 99]).tolist()
    [100.0, 150.0, 200.0]
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, values: Any) -> Floats:
        """Return the pixels of numbers."""
        # What is beyond an axis, however far, is drawn at its end.
        with np.errstate(over="ignore"):
            share = (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)
        return np.asarray(self.start + np.clip(share, 0, 1) * (self.end - self.start))


def axis_of(
    values: list[Floats], look: Mapping[str, Any], start: float, end: float, *, tight: bool = False
) -> Axis:
    """Return the axis that holds these values, or has the range that plotly's description of it says.

    Examples
    --------
    >>> axis_of([np.array([1.0, 3.0])], {"rangemode": "tozero"}, 0.0, 10.0).low
    0.0
    """
    if "range" in look:
        low, high = map(float, look["range"])
        return Axis(low, high, start, end)
    every = np.concatenate([*values, np.zeros(0)])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    if low == high:
        # So much that a difference is left, whatever the number.
        room = max(abs(low) / 1e9, 500.0) if tight else max(abs(low) / 10, 1.0)
        low, high = low - room, high + room
    if "ticktext" in look:
        return Axis(low - 0.6, high + 0.6, start, end)
    room = 0.0 if tight else (high - low) * 0.05
    from_zero = look.get("rangemode") == "tozero" or (len(every) and every.min() >= 0 and low - room < 0)
    return Axis(min(0.0, low) if from_zero else low - room, high + room, start, end)


def number_ticks(axis: Axis) -> list[float]:
    """Return round numbers along an axis.

    Examples
    --------
    >>> number_ticks(Axis(0.0, 9.0, 0.0, 1.0))
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    span = axis.high - axis.low
    rough = span / (_TICKS - 1)
    if not np.isfinite(rough) or rough <= 0:
        return []
    unit = 10.0 ** np.floor(np.log10(rough))
    step = next((unit * count for count in (1, 2, 5) if unit * count >= rough), unit * 10)
    first = np.ceil(axis.low / step)
    return [
        float(step * (first + count)) for count in range(2 * _TICKS) if step * (first + count) <= axis.high
    ]


def time_ticks(axis: Axis) -> list[float]:
    """Return round times along an axis, in milliseconds since 1970.

    Examples
    --------
    >>> time_ticks(Axis(500.0, 4500.0, 0.0, 1.0))
    [1000.0, 2000.0, 3000.0, 4000.0]
    """
    span = axis.high - axis.low
    step = next((step for step in _STEPS_MS if span / step <= _TICKS), None)
    if step is None:
        return []
    first = np.ceil(axis.low / step)
    return [
        float(step * (first + count)) for count in range(_TICKS + 1) if step * (first + count) <= axis.high
    ]


def clock(time_ms: float, span_ms: float) -> tuple[str, str]:
    """Return the day and the time of day to write at a tick of an axis that spans so much.

    Examples
    --------
    >>> clock(61_000.0, 60_000.0), clock(61_000.0, 3_600_000.0)
    (('1970-01-01', '00:01:01'), ('1970-01-01', '00:01'))
    """
    day, _, hour = str(np.datetime64(int(time_ms), "ms")).partition("T")
    if span_ms > _TICKS * _DAY_MS:
        return "", day
    return day, hour[: 5 if span_ms > _TICKS * _MINUTE_MS / 2 else 8]
