"""Whether this process's resident memory grows."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

__all__ = ["Memory"]


class Memory:
    """Resident memory over time.

    Parameters
    ----------
    warm_up_s : float
        When what is kept has filled up; the memory of that moment is the measure.
    limit : float
        What it may grow to, as a multiple.
    """

    def __init__(self, *, warm_up_s: float, limit: float) -> None:
        self._warm_up_s = warm_up_s
        self._limit = limit
        self._warm = 0
        self._after: list[int] = []

    def note(self, now_s: float) -> None:
        """Take note of what it is now."""
        resident = resident_bytes()
        if now_s <= self._warm_up_s or not self._warm:
            self._warm = max(self._warm, resident)
        else:
            self._after.append(resident)

    def wrong(self) -> list[str]:
        """Return what is wrong, if anything is."""
        # By the median of what came last: one moment may catch a snapshot.
        last = sorted(self._after[-max(1, len(self._after) // 4) :])
        if not last:
            return ["the run was too short to tell whether memory grows"]
        end = last[len(last) // 2]
        if end <= self._limit * self._warm:
            return []
        return [f"memory grew from {_mb(self._warm)} to {_mb(end)}, more than to {self._limit}-fold"]

    def __str__(self) -> str:
        return f"resident {_mb(resident_bytes())} ({_mb(self._warm)} after warming up)"


def resident_bytes() -> int:
    """Return this process's resident memory; where it cannot be told, the most that it was."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
