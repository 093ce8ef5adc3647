"""The ledger of gaps: every span in which events may have been missed, since the protocol has no backfill."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Gap", "GapLedger"]


class Gap(Struct):
    """A span without a link. Times are nanoseconds since the epoch; `end_ns` is None while it lasts."""

    start_ns: int
    end_ns: int | None
    cause: str
    topics: tuple[str, ...]
    certainty: str


class GapLedger:
    """Keeps the gaps of one stream, oldest first.

    Examples
    --------
    >>> ledger = GapLedger()
    >>> ledger.open(1_000, ("blocks",))
    >>> ledger.close(5_000)
    >>> ledger.gaps
    [Gap(start_ns=1000, end_ns=5000, cause='disconnected', topics=('blocks',), certainty='possible')]
    """

    def __init__(self) -> None:
        self.gaps: list[Gap] = []

    def open(self, start_ns: int, topics: tuple[str, ...]) -> None:
        """Note that the link is down since `start_ns`; does nothing while a gap is open."""
        if not (self.gaps and self.gaps[-1].end_ns is None):
            self.gaps.append(Gap(start_ns, None, "disconnected", topics, "possible"))

    def close(self, end_ns: int) -> None:
        """Note that frames come again; does nothing where no gap is open."""
        if self.gaps and self.gaps[-1].end_ns is None:
            self.gaps[-1].end_ns = end_ns
