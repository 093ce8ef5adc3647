"""The ledger of gaps: every span in which events may have been missed, since the protocol has no backfill.

Pure: no clock, no I/O. It is fed with what arrives, in order of arrival, and told when the link is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from chaosnb.ingest.chain import BlockChain, Hole
from chaosnb.ingest.progress import Progress
from chaosnb.ingest.session import Batch, Rows
from chaosnb.ingest.spans import Span, cut_out, holds
from chaosnb.ingest.unread import UnreadSpans
from chaosnb.protocol.events import TOPICS, BlockProposal, events_of
from chaosnb.protocol.iso8601 import within_calendar

__all__ = ["CAUSES", "Cause", "Gap", "GapLedger"]

Cause = Literal[
    "disconnected", "stale", "server_overload", "height_jump", "unknown_parent", "evicted", "unrecorded"
]
Certainty = Literal["certain", "possible"]

CAUSES: Final[tuple[Cause, ...]] = (
    "disconnected",
    "stale",
    "server_overload",
    "height_jump",
    "unknown_parent",
    "evicted",
    "unrecorded",
)
"""Why events are missing: a lost, silent or overloaded link, a hole in the chain, retention, or a recording
that was interrupted."""

_LATENESS_S: Final = 2.0
_KEPT_LOSSES: Final = 10_000
_LOOKED_AT: Final = 100


class Gap(Struct, frozen=True):
    """A span in which events are missing.

    Attributes
    ----------
    start_us : int
        Event time, in microseconds since the epoch.
    end_us : int or None
        None while it lasts.
    cause : str
        One of `CAUSES`.
    topics : tuple of str
        Whose events are missing.
    certainty : str
        ``certain`` where hashes prove that something is missing, ``possible`` where nothing can.
    heights : range
        The heights at which a block is missing.
    detail : str
    """

    start_us: int
    end_us: int | None
    cause: Cause
    topics: tuple[str, ...]
    certainty: Certainty
    heights: range = range(0)
    detail: str = ""


class _Loss(Struct):
    """A span without a link; `by_arrival` where no event came before it."""

    start_us: int
    cause: Cause
    topics: tuple[str, ...]
    by_arrival: bool
    end_us: int | None = None
    closed_us: int | None = None  # the time of arrival, until an event tells its own
    seen_us: int | None = None
    awaited: int = _LOOKED_AT  # how many newer events are still to tell where it ends
    ahead_us: int = 0  # of the node's clock before ours, where the start is by ours
    joined: int = 1
    certain: bool = False


class GapLedger:
    """Keeps the gaps of one stream.

    **Times are event time**, the node's clock, so that a gap lies where the events lie that it concerns, in
    a plot, in an export and in a replay at any speed.

    A lost link spans from the newest event received before to the oldest newer one received after. An event
    that was under way out of order may lie outside of that, so the span is widened on both sides by as much
    disorder as the feed has shown (nothing in a feed that comes in order, at most `lateness`); stamps that
    lie far off the others' do not count. Where no event came before or after, the time of arrival stands in,
    by the node's clock as the other events have it, at the start less `lateness`.
    A span is taken to be ``possible`` however short, since the protocol cannot tell whether anything was
    sent in it; it is ``certain`` where a recording lacks what is known to have come. A replay that reaches
    back into a lost span ends it where the replay begins.

    **Blocks** are the exception: each names its parent, so that a parent that never came is a ``certain``
    hole, see `chaosnb.ingest.chain.BlockChain`; it spans from the next lower block received to the child. A
    jump over a lost link is a row of its own. A block that comes late closes its hole, which is then listed
    no more, but counted in `closed`.

    **Evicted** rows are ``certain`` too: one row a table, from the first event to what was forgotten last.

    What came and could not be read is no gap (it is among the rejects), but no span around it is `complete`.

    Memory is bounded: of more than 10,000 lost links, or holes, the oldest become one row that spans them.

    Parameters
    ----------
    lateness_s : float
        How far out of order events may come, in seconds of event time.

    Examples
    --------
    >>> ledger = GapLedger(lateness_s=0)
    >>> ledger.open("disconnected", 1_000_000, ("blocks",))
    >>> ledger.close(5_000_000)
    >>> [(gap.start_us, gap.end_us, gap.cause, gap.certainty) for gap in ledger.gaps]
    [(1000, 5000, 'disconnected', 'possible')]
    """

    def __init__(self, *, lateness_s: float = _LATENESS_S) -> None:
        self._lateness_us = round(lateness_s * 1e6)
        self._progress = Progress(lateness_us=self._lateness_us)
        self._chain = BlockChain(lateness_us=self._lateness_us)
        self._unread = UnreadSpans()
        self._first_us: int | None = None
        self._topics: tuple[str, ...] = ()
        self._since_us: dict[str, int] = {}
        self._losses: list[_Loss] = []
        self._evicted: dict[str, Gap] = {}
        self._changes = 0
        self._gaps: tuple[tuple[int, ...], list[Gap]] = ((), [])
        self._lock = threading.Lock()

    def open(self, cause: Cause, start_ns: int, topics: Sequence[str], *, certain: bool = False) -> None:
        """Note that the link is lost or silent, or that a recording was interrupted.

        A gap that is open, or that no newer event has followed yet, goes on instead.

        Parameters
        ----------
        cause : {"disconnected", "stale", "server_overload", "unrecorded"}
        start_ns : int
            When, in nanoseconds since the epoch; used only where no event has come.
        topics : sequence of str
            What is subscribed.
        certain : bool
            Whether something is known to be missing.
        """
        with self._lock:
            self._changes += 1
            if (last := self._unresolved()) is not None:
                last.closed_us = None
                last.certain = last.certain or certain
                return
            newest_us = self._progress.newest_us
            by_arrival = newest_us is None
            # Where nothing came, what was under way may have been sent before the loss.
            start_us = start_ns // 1_000 - self._lateness_us if newest_us is None else newest_us
            self._losses.append(_Loss(start_us, cause, tuple(topics), by_arrival, certain=certain))
            if len(self._losses) > _KEPT_LOSSES:
                self._losses[:2] = [_joined(*self._losses[:2])]

    def close(self, end_ns: int) -> None:
        """Note that frames come again, at a time in nanoseconds; does nothing where no gap is open."""
        with self._lock:
            last = self._unresolved()
            if last is not None and last.closed_us is None:
                last.closed_us = end_ns // 1_000
                last.end_us = last.seen_us
                self._changes += 1

    def watch(self, topics: Sequence[str]) -> None:
        """Note what was subscribed when the next batch was read."""
        with self._lock:
            self._topics = tuple(topics)
            if "blocks" not in topics:
                self._chain.pause()

    def feed(self, batch: Batch) -> None:
        """Take in what arrived; each batch once, in order of arrival."""
        with self._lock:
            if len(batch.times_us):
                self._watch(batch)
                self._resolve(batch)
            self._follow(batch)

    def evict(self, table: str, before_us: int) -> None:
        """Note that rows of a table from before this event time, or of this very time, are forgotten."""
        with self._lock:
            start_us = before_us if self._first_us is None else min(self._first_us, before_us)
            if (old := self._evicted.get(table)) is not None:
                if old.end_us is not None and old.end_us >= before_us:
                    return
                start_us = old.start_us
            topics = tuple(topic for topic, tables in TOPICS.items() if table in tables)
            subscribed = tuple(topic for topic in topics if topic in self._since_us)
            detail = f"rows of {table} that retention forgot"
            self._evicted[table] = Gap(
                start_us, before_us, "evicted", subscribed or topics, "certain", detail=detail
            )
            self._changes += 1

    @property
    def gaps(self) -> list[Gap]:
        """The gaps by start; the same list until something changes, so not to be changed by the caller."""
        with self._lock:
            key = (self._changes, self._chain.version, self._progress.disorder_us)
            if key != self._gaps[0]:
                gaps = [self._lost(loss) for loss in self._losses]
                gaps += map(_hole, self._chain.holes)
                gaps += self._evicted.values()
                self._gaps = (key, sorted(gaps, key=lambda gap: gap.start_us))
            return self._gaps[1]

    @property
    def closed(self) -> int:
        """How many holes in the chain were closed by blocks that came late."""
        with self._lock:
            return self._chain.closed

    def complete(self, start_us: int, end_us: int, topics: Sequence[str] | None = None) -> bool:
        """Return whether all events of a span were received and are kept, as far as that can be proved.

        Parameters
        ----------
        start_us, end_us : int
            Event time in microseconds since the epoch, both included.
        topics : sequence of str, optional
            Of which events; None: of all that are subscribed.

        Returns
        -------
        bool
            True if the topics were watched from before `start_us` on, the feed is `lateness` past `end_us`,
            no gap of either certainty touches the span, no block in it has a missing parent, and no message
            that may be of that time was unreadable, since nobody knows what it was.
        """
        with self._lock:
            asked = self._since_us.keys() if topics is None else set(topics)
            return bool(asked) and all(holds(self._complete(topic), start_us, end_us) for topic in asked)

    @property
    def complete_spans(self) -> dict[str, list[Span]]:
        """The spans that are `complete`, of each topic that is watched."""
        with self._lock:
            return {topic: self._complete(topic) for topic in self._since_us}

    def _complete(self, topic: str) -> list[Span]:
        newest_us, since_us = self._progress.newest_us, self._since_us.get(topic)
        if newest_us is None or since_us is None:
            return []
        disorder_us = self._progress.disorder_us
        gaps = [self._lost(loss, final=False) for loss in self._losses]
        gaps += [*map(_hole, self._chain.doubts), *self._evicted.values()]
        holes = [(gap.start_us, gap.end_us) for gap in gaps if topic in gap.topics]
        span = since_us + disorder_us, newest_us - self._lateness_us
        return cut_out(span, [*holes, *self._unread.spans(disorder_us)])

    def _follow(self, batch: Batch) -> None:
        """Follow the chain and what could not be read part by part: either's spans end with one."""
        times, arrivals = batch.times_us, batch.arrivals_ns
        proposals: list[tuple[BlockProposal, int]] = []
        if (blocks := batch.rows.get("block_proposal")) is not None:
            proposals = list(zip(blocks.events, blocks.timestamp_us.tolist(), strict=True))
        done = start = proposed = rejected = 0
        for end, last, unread, newest_us in batch.parts("block_proposal"):
            # Between the parts' newest times, since nothing tells where in the part they were.
            if unread > rejected:
                self._progress.feed(times[done:start], arrivals[done:start])
                done = start
                self._unread.note(self._progress.newest_us)
            for block, at_us in proposals[proposed:last]:
                self._chain.feed(block, at_us)
            is_due = (due_us := self._chain.due_us) is not None and newest_us >= due_us
            is_read = end > start and unread == rejected and self._unread.is_open
            if is_due or is_read:
                self._progress.feed(times[done:end], arrivals[done:end])
                done = end
            if is_due:
                self._chain.advance(self._progress.newest_us or 0)
            if is_read:
                self._unread.advance(self._progress.newest_us)
            start, proposed, rejected = end, last, unread
        self._progress.feed(times[done:], arrivals[done:])

    def _unresolved(self) -> _Loss | None:
        """Return the gap that is open, or that no newer event has followed."""
        return self._losses[-1] if self._losses and self._losses[-1].end_us is None else None

    def _watch(self, batch: Batch) -> None:
        """Note from when on each topic is watched: from its first event."""
        if self._topics == tuple(self._since_us):
            return
        first_us = int(batch.times_us[0])
        if self._first_us is None:
            self._first_us = first_us
        for topic in [topic for topic in self._since_us if topic not in self._topics]:
            del self._since_us[topic]
        before = tuple(self._since_us)
        for topic in [topic for topic in self._topics if topic not in self._since_us]:
            # Its own events alone prove that the node has taken the subscription in.
            own = events_of([topic]) - events_of(before)
            if not before or not own:
                self._since_us[topic] = first_us
            elif came := [batch.rows[table] for table in own & batch.rows.keys()]:
                self._since_us[topic] = _first_us(came)

    def _resolve(self, batch: Batch) -> None:
        """End the gap that waits for it with the oldest of the next events that are newer than its start."""
        last = self._losses[-1] if self._losses else None
        if last is None or not last.awaited:
            return
        times = batch.times_us
        # So many and no more, so that it does not depend on how they are cut into batches.
        newer = (times if last.by_arrival else times[times > last.start_us])[: last.awaited]
        if not newer.size:
            return
        if last.seen_us is None and last.by_arrival:
            last.ahead_us = int(times[0]) - int(batch.arrivals_ns[0]) // 1_000
        oldest_us = int(newer.min())
        last.seen_us = oldest_us if last.seen_us is None else min(oldest_us, last.seen_us)
        last.awaited -= len(newer)
        if last.closed_us is not None and last.end_us != last.seen_us:
            last.end_us = last.seen_us
            self._changes += 1

    def _lost(self, loss: _Loss, *, final: bool = True) -> Gap:
        """Return a lost link as a gap; where that is not `final`, time of arrival does not end it."""
        widened_us = self._progress.disorder_us
        start_us, end_us = loss.start_us, None
        if loss.end_us is not None:
            # Where no event came before it, the start is by another clock than the end.
            start_us, end_us = min(start_us + loss.ahead_us, loss.end_us), loss.end_us + widened_us
        elif final and loss.closed_us is not None:
            end_us = max(start_us, loss.closed_us + self._progress.ahead_us)
        if not loss.by_arrival:
            start_us -= widened_us
        # Widened beyond it, they could not be written as ISO 8601.
        start_us, end_us = within_calendar(start_us), end_us and within_calendar(end_us)
        detail = f"{loss.joined:,} losses of the link in one row" if loss.joined > 1 else ""
        certainty: Certainty = "certain" if loss.certain else "possible"
        return Gap(start_us, end_us, loss.cause, loss.topics, certainty, detail=detail)


def _first_us(parts: Sequence[Rows]) -> int:
    """Return the event time of what arrived first."""
    return int(min(parts, key=lambda rows: int(rows.seq[0])).timestamp_us[0])


def _joined(old: _Loss, new: _Loss) -> _Loss:
    """Return what stands for two lost links that are over."""
    topics = tuple(dict.fromkeys([*old.topics, *new.topics]))
    start_us, joined = min(old.start_us, new.start_us), old.joined + new.joined
    certain = old.certain or new.certain
    return _Loss(start_us, "disconnected", topics, old.by_arrival, new.end_us, joined=joined, certain=certain)


def _hole(hole: Hole) -> Gap:
    heights, detail = hole.heights, ""
    if hole.joined > 1:
        detail = f"{hole.joined:,} holes between heights {heights[0]:,} and {heights[-1]:,} in one row"
        heights = range(0)
    return Gap(hole.start_us, hole.end_us, hole.cause, ("blocks",), "certain", heights, detail)
