"""What became of blocks: the chain that was built on, forks, stale blocks, and orphans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import narwhals.stable.v2 as nw

from chaosnb.analysis.frames import Frame, Lazy, fetch, first, give, take

__all__ = ["forks", "main_chain", "orphans", "stale_blocks"]

_TREE: Final = ("block_hash", "parent_hash", "height")
_SHOWN: Final = ("block_hash", "parent_hash", "height", "producer_id")


def main_chain(blocks: Frame) -> Frame:
    """Return the blocks of the longest chain: from the highest block down, parent by parent.

    Of several blocks at the greatest height the one that was proposed first stands at its head. Where a
    parent is not in the table the chain goes on with the highest block below, again the first of several;
    so it has one block at each of its heights, and bridges a gap.

    Parameters
    ----------
    blocks : frame
        The table `block_proposal`.

    Returns
    -------
    frame
        The same columns, in order of height; each block once.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column.

    Notes
    -----
    Beyond a gap, the chain may go on with a block of another branch than the one that was built on.
    Which of the newest blocks wins is open until others build on them.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("abcd"), "parent_hash": ["", "a", "a", "b"], "height": [1, 2, 2, 3]}
    >>> blocks = pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01"), "producer_id": "p"})
    >>> "".join(main_chain(blocks)["block_hash"])
    'abd'
    """
    rows = take(blocks, "block_proposal", "timestamp", *_TREE, whole=True)
    once = first(rows, ["block_hash"])
    chosen = once.filter(nw.col("block_hash").is_in(_on_main_chain(once))).sort("height")
    return give(chosen if "timestamp" not in chosen.collect_schema().names() else chosen.drop("t_us"), blocks)


def stale_blocks(blocks: Frame) -> Frame:
    """Return the blocks that are not on the main chain; see `main_chain`.

    Parameters
    ----------
    blocks : frame
        The table `block_proposal`.

    Returns
    -------
    frame
        `block_hash`, `parent_hash`, `height`, `producer_id` and `time` of the proposal in UTC, in order of
        height and time. A block that was rejected is stale, too; `block_outcomes` tells it apart.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column.

    Notes
    -----
    A stale block lost in a gap is not counted; beside a gap, a block of the main chain may be taken for one.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("abcd"), "parent_hash": ["", "a", "a", "b"], "height": [1, 2, 2, 3]}
    >>> blocks = pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01"), "producer_id": "p"})
    >>> stale_blocks(blocks)["block_hash"].tolist()
    ['c']
    """
    rows = _blocks(blocks)
    return _shown(rows.filter(~nw.col("block_hash").is_in(_on_main_chain(rows))), blocks)


def orphans(blocks: Frame) -> Frame:
    """Return the blocks whose parent is not in the table, but for those at the lowest height.

    Parameters
    ----------
    blocks : frame
        The table `block_proposal`.

    Returns
    -------
    frame
        As of `stale_blocks`.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column.

    Notes
    -----
    Most often the parent was sent and lost in a gap: ``s.gaps`` has a row for it. What is left was never
    proposed to this stream. Parents that retention has forgotten make no orphans, since then their children
    are the lowest blocks.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("ac"), "parent_hash": ["", "b"], "height": [1, 3]}
    >>> blocks = pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01"), "producer_id": "p"})
    >>> orphans(blocks)["block_hash"].tolist()
    ['c']
    """
    rows = _blocks(blocks)
    above = rows.filter(nw.col("height") > nw.col("height").min())
    known = rows.select(parent_hash="block_hash")
    return _shown(above.join(known, on="parent_hash", how="anti"), blocks)


def forks(blocks: Frame) -> Frame:
    """Return the blocks that more than one block builds on.

    Parameters
    ----------
    blocks : frame
        The table `block_proposal`.

    Returns
    -------
    frame
        `parent_hash`, `height` of the lowest block above it, `branches`, `time` of the first proposal in
        UTC, and `spread_s`, the seconds until the last one; in order of height. Blocks that compete are
        proposed together; one that is proposed in place of a rejected block makes a branch, too, but later.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column.

    Notes
    -----
    A branch lost in a gap makes a fork smaller, or hides it.

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": list("abcd"), "parent_hash": ["", "a", "a", "b"], "height": [1, 2, 2, 3]}
    >>> blocks = pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01"), "producer_id": "p"})
    >>> forks(blocks)[["parent_hash", "height", "branches"]].to_numpy().tolist()
    [['a', 2, 2]]
    """
    branches = (
        _blocks(blocks)
        .group_by("parent_hash")
        .agg(nw.col("height").min(), branches=nw.len(), time=nw.col("t_us").min(), last_=nw.col("t_us").max())
    )
    found = branches.filter(nw.col("branches") > 1)
    spread = found.with_columns(spread_s=(nw.col("last_") - nw.col("time")) / 1e6).drop("last_")
    return give(spread.sort("height", "parent_hash"), blocks)


def _blocks(blocks: Any) -> Lazy:
    rows = take(blocks, "block_proposal", "timestamp", *_SHOWN)
    return first(rows, ["block_hash"]).with_columns(nw.col("producer_id").cast(nw.String()))


def _shown(rows: Lazy, like: Frame) -> Frame:
    return give(rows.select(*_SHOWN, time="t_us").sort("height", "time", "block_hash"), like)


def _on_main_chain(rows: Lazy) -> list[str]:
    tree = fetch(rows.select(*_TREE, "t_us").sort("height", "t_us", "block_hash"))
    hashes = tree["block_hash"].tolist()
    height = dict(zip(hashes, tree["height"].tolist(), strict=True))
    parent: Mapping[str, str] = dict(zip(hashes, tree["parent_hash"].tolist(), strict=True))
    # The first of each height, from the greatest down.
    firsts = tree.drop_duplicates("height")["block_hash"].tolist()[::-1]
    found: list[str] = []
    block = firsts[0] if firsts else None
    place = 0
    while block is not None:
        found.append(block)
        above = parent[block]
        # A forged parent that is no lower would lead round in a ring.
        if above in height and height[above] < height[block]:
            block = above
            continue
        while place < len(firsts) and height[firsts[place]] >= height[block]:
            place += 1
        block = firsts[place] if place < len(firsts) else None
    return found
