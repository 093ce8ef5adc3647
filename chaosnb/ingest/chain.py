"""Block continuity: which proposals never came, by the hashes and heights of those that did.

Each proposal names its parent. A parent that was never received is a block that is missing, and the only
proof of loss that the protocol gives. Pure: no clock, no I/O; memory is bounded whatever comes.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from typing import Final, Literal

from msgspec import Struct

from chaosnb.protocol.events import BlockProposal

__all__ = ["BlockChain", "Hole"]

_KEPT_BLOCKS: Final = 20_000
_KEPT_HOLES: Final = 10_000
_LONGEST_HASH: Final = 128
_AT_ONCE_US: Final = -(2**63)


class Hole(Struct, frozen=True):
    """Blocks that are proved to be missing.

    Attributes
    ----------
    start_us, end_us : int
        Event time of the earliest block received at the next lower height, and of the child that proves it,
        in microseconds since the epoch.
    cause : str
        ``height_jump``: nothing was received at these heights; ``unknown_parent``: other blocks were.
    heights : range
        The heights with a missing block: one for each height, of which only the last one's hash is known.
    joined : int
        How many holes it stands for, more than 1 only for those too old to be listed one by one; their
        `heights` run from the lowest to the highest, and those between need not be missing.
    """

    start_us: int
    end_us: int
    cause: Literal["height_jump", "unknown_parent"]
    heights: range
    joined: int = 1


class _Missing(Struct):
    """A parent at height `high` that has not come.

    `low` is the next lower height received; None while nothing proves that it was proposed under watch.
    """

    high: int
    end_us: int
    low: int | None = None
    start_us: int = 0
    sibling: bool = False
    due_us: int | None = None


class BlockChain:
    """Follows proposals in order of arrival and tells which of their ancestors are missing.

    What was proposed before the first proposal received is not missing: a parent counts only if a block of
    a lower height has been received since watching began. That takes it that a network proposes no block
    of a lower height than one that it proposed earlier, among those that stand at the very beginning. After a
    pause, a lower block that may have been under way since before proves nothing: those that it came with
    were left out on purpose.

    A hole is declared once the feed's time is `lateness_us` past the child's, since until then the parent
    may be on its way. A parent that comes even later closes its hole, which is then no longer listed.

    Parameters
    ----------
    lateness_us : int
        How much out of order events may come, in microseconds of event time.
    blocks : int
        How many blocks to remember. Whose parent may have been forgotten proves nothing.
    holes : int
        How many holes to list one by one; older ones are joined to one.

    Examples
    --------
    >>> from chaosnb.protocol.events import BlockProposal, MemeContent, Producer
    >>> def block(name, parent, height):
    ...     return BlockProposal(name, parent, height, Producer("p", "k"), [], MemeContent("text", "gm"), "")
    >>> chain = BlockChain(lateness_us=0)
    >>> chain.feed(block("e", "d", 5), 1_000)
    >>> chain.feed(block("h", "g", 8), 4_000)
    >>> chain.advance(4_000)
    >>> chain.holes
    [Hole(start_us=1000, end_us=4000, cause='height_jump', heights=range(6, 8), joined=1)]
    """

    def __init__(self, *, lateness_us: int, blocks: int = _KEPT_BLOCKS, holes: int = _KEPT_HOLES) -> None:
        self._lateness_us = lateness_us
        self._kept_blocks, self._kept_holes = blocks, holes
        self._blocks: dict[str, int] = {}  # height by hash, in order of arrival
        self._heights: list[int] = []
        self._at: dict[int, tuple[int, int]] = {}  # of a height: how many blocks, time of the earliest
        self._lowest = 0
        self._paused = True
        self._rewatched_us: int | None = None  # from this event time on, what comes was proposed under watch
        self._forgotten: int | None = None
        self._waiting: dict[str, _Missing] = {}
        self._declared: dict[str, _Missing] = {}
        self._joined: Hole | None = None
        self._now_us: int | None = None
        self._due_us = _AT_ONCE_US
        self.version = 0
        self.closed = 0

    @property
    def due_us(self) -> int | None:
        """The feed's time at which to call `advance`; None while no parent is waited for."""
        return self._due_us if self._waiting else None

    @property
    def holes(self) -> list[Hole]:
        """The holes declared; `version` grows with each change of them."""
        joined = [] if self._joined is None else [self._joined]
        return joined + [self._hole(missing) for missing in self._declared.values()]

    @property
    def doubts(self) -> list[Hole]:
        """The holes declared, and those that may yet be closed in time."""
        waiting = [missing for missing in self._waiting.values() if self._is_proved(missing)]
        return self.holes + [self._hole(missing) for missing in waiting]

    def pause(self) -> None:
        """Note that proposals are not asked for: what comes until the next one is not missing."""
        self._paused = True
        self._rewatched_us = _AT_ONCE_US

    def feed(self, block: BlockProposal, at_us: int) -> None:
        """Take in a proposal of the event time `at_us`."""
        name, parent, height = _key(block.block_hash), _key(block.parent_hash), block.height
        if name in self._blocks:
            return
        self._waiting.pop(name, None)
        if self._declared.pop(name, None) is not None:
            self.closed += 1
            self.version += 1
        self._remember(name, height, at_us)
        if self._paused:
            self._begin(height, at_us)
        elif self._rewatched_us is None or at_us > self._rewatched_us:
            self._lowest = min(self._lowest, height)
        if parent not in self._blocks:
            self._miss(parent, height - 1, at_us)
        if self._declared and height < self._heights[-1]:
            self.version += 1  # it may be one of several that are missing in a row, or an earlier child

    def advance(self, now_us: int) -> None:
        """Declare what has not come until now, the newest event time of the feed."""
        # A node's clock that was set back does not take back what is known to be missing.
        self._now_us = now_us = now_us if self._now_us is None else max(now_us, self._now_us)
        if self._rewatched_us is not None:
            self._rewatched_us = min(self._rewatched_us, now_us + self._lateness_us)
        for missing in self._waiting.values():
            if missing.due_us is None:
                # An absurd time of the child's would keep its hole from ever being due.
                missing.end_us = min(missing.end_us, now_us)
                missing.due_us = missing.end_us + self._lateness_us
        due = [
            name
            for name, missing in self._waiting.items()
            if missing.due_us is not None and missing.due_us <= now_us
        ]
        if len(self._waiting) - len(due) > self._kept_holes:
            due = list(self._waiting)
        for name in due:
            missing = self._waiting.pop(name)
            if self._is_proved(missing):
                self._declared[name] = missing
                self.version += 1
        self._due_us = min(
            [m.due_us for m in self._waiting.values() if m.due_us is not None], default=_AT_ONCE_US
        )
        while len(self._declared) > self._kept_holes:
            self._join(self._hole(self._declared.pop(next(iter(self._declared)))))

    def _begin(self, height: int, at_us: int) -> None:
        """Watch from this height on; what was proved before remains so."""
        for missing in self._waiting.values():
            self._is_proved(missing)
        self._lowest, self._paused = height, False
        if self._rewatched_us is not None:
            self._rewatched_us = at_us + self._lateness_us

    def _miss(self, parent: str, high: int, at_us: int) -> None:
        known = self._waiting.get(parent) or self._declared.get(parent)
        if known is not None:
            known.end_us = min(known.end_us, at_us)
        elif self._forgotten is None or high > self._forgotten:
            self._waiting[parent] = _Missing(high, at_us)
            self._due_us = _AT_ONCE_US

    def _is_proved(self, missing: _Missing) -> bool:
        """Return whether a lower block came since watching began, and look anew which is the next lower."""
        if missing.low is None and self._lowest >= missing.high:
            return False
        missing.sibling = missing.sibling or missing.high in self._at
        place = bisect_left(self._heights, missing.high)
        if place > 0 and (missing.low is None or self._heights[place - 1] >= missing.low):
            missing.low = self._heights[place - 1]
            missing.start_us = self._at[missing.low][1]
        return missing.low is not None

    def _remember(self, name: str, height: int, at_us: int) -> None:
        self._blocks[name] = height
        count, earliest_us = self._at.get(height, (0, at_us))
        if not count:
            insort(self._heights, height)
        self._at[height] = (count + 1, min(earliest_us, at_us))
        if len(self._blocks) > self._kept_blocks:
            self._forget(next(iter(self._blocks)), height)

    def _forget(self, name: str, newest_height: int) -> None:
        height = self._blocks.pop(name)
        count, earliest_us = self._at[height]
        if count > 1:
            self._at[height] = (count - 1, earliest_us)
        else:
            del self._at[height]
            del self._heights[bisect_left(self._heights, height)]
        # A height above the chain's was made up: it must not keep all that follows from being checked.
        if height <= newest_height:
            self._forgotten = height if self._forgotten is None else max(self._forgotten, height)

    def _hole(self, missing: _Missing) -> Hole:
        # Late blocks may have filled a part of it since.
        self._is_proved(missing)
        start_us, after = min(missing.start_us, missing.end_us), missing.high + 1
        if missing.sibling or missing.low is None:
            return Hole(start_us, missing.end_us, "unknown_parent", range(missing.high, after))
        return Hole(start_us, missing.end_us, "height_jump", range(missing.low + 1, after))

    def _join(self, hole: Hole) -> None:
        old = self._joined
        if old is None:
            self._joined = hole
            return
        heights = range(min(old.heights.start, hole.heights.start), max(old.heights.stop, hole.heights.stop))
        start_us, end_us = min(old.start_us, hole.start_us), max(old.end_us, hole.end_us)
        self._joined = Hole(start_us, end_us, hole.cause, heights, old.joined + 1)


def _key(text: str) -> str:
    """Return a block's hash, or of one that is no hash a short form of it, so that memory stays bounded."""
    if len(text) <= _LONGEST_HASH:
        return text
    return f"long:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
