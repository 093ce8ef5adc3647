"""What became of blocks: the chain that was built on, forks, stale blocks, and orphans."""

from __future__ import annotations

from typing import Any, Final

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from chaosnb.analysis.frames import Frame, Lazy, fetch, give, joinable, take
from chaosnb.analysis.turns import first

__all__ = ["forks", "main_chain", "orphans", "stale_blocks"]

_TREE: Final = ("block_hash", "parent_hash", "height")
_SHOWN: Final = ("block_hash", "parent_hash", "height", "producer_id")


def main_chain(blocks: Frame) -> Frame:
    """Return the blocks of the longest chain: from the highest block down, parent by parent.

    Of several blocks at the greatest height the one that was proposed first (by time, then by `seq` where
    there is one) stands at its head. Where a parent is not in the table the chain goes on with the highest
    block below, again the first of several; so it has one block at each of its heights, and bridges a gap.

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
    Beyond a gap, the chain may go on with a block of another branch than the one that was built on. A block
    without a hash or a height is on no chain.
    Which of the newest blocks wins is open until others build on them.

    Examples
    --------
    >>> of = {"block_hash": list("abcd"), "parent_hash": ["", "a", "a", "b"], "height": [1, 2, 2, 3]}
    >>> blocks = pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01"), "producer_id": "p"})
    >>> "".join(main_chain(blocks)["block_hash"])
    'abd'
    """
    rows = take(blocks, "block_proposal", "timestamp", *_TREE, whole=True)
    once = first(rows, ["block_hash"])
    chosen = _chosen(once, _main(once)).sort("height")
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
        height, time and `seq`. A block that was rejected is stale, too; `block_outcomes` tells it apart.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column.

    Notes
    -----
    A stale block lost in a gap is not counted; beside a gap, a block of the main chain may be taken for one.

    Examples
    --------
    >>> of = {"block_hash": list("abcd"), "parent_hash": ["", "a", "a", "b"], "height": [1, 2, 2, 3]}
    >>> blocks = pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01"), "producer_id": "p"})
    >>> stale_blocks(blocks)["block_hash"].tolist()
    ['c']
    """
    rows = _blocks(blocks)
    return _shown(rows.join(_main(rows), on="block_hash", how="anti"), blocks)


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
    rows = take(blocks, "block_proposal", "timestamp", *_SHOWN, optional=["seq"])
    return first(rows, ["block_hash"]).with_columns(nw.col("producer_id").cast(nw.String()))


def _chosen(rows: Lazy, main: Lazy) -> Lazy:
    """Return the blocks of the main chain, with all their columns."""
    if not rows.implementation.is_pandas():
        return rows.join(main, on="block_hash", how="semi")
    given: pd.DataFrame = rows.collect().to_native()
    there = pd.Index(main.collect().to_native()["block_hash"]).get_indexer(pd.Index(given["block_hash"])) >= 0
    # Column by column: to pick from lists row by row takes four times as long.
    columns = {str(name): column[there] for name, column in given.items()}
    return nw.from_native(pd.DataFrame(columns, copy=False)).lazy()


def _shown(rows: Lazy, like: Frame) -> Frame:
    return give(rows.sort(*_order(rows)).select(*_SHOWN, time="t_us"), like)


def _order(rows: Lazy) -> list[str]:
    known = rows.collect_schema().names()
    return [name for name in ("height", "t_us", "seq", "block_hash") if name in known]


def _main(rows: Lazy) -> Lazy:
    """Return the hashes of the main chain, ready to be joined with these blocks."""
    order = _order(rows)
    tree = fetch(rows.select(*dict.fromkeys([*_TREE, *order])).sort(*order))
    # What has no height is neither above nor below another, so that a walk by height would never end.
    tree = tree.dropna(subset=["block_hash", "height"])
    hashes = pd.Index(tree["block_hash"])
    height = tree["height"].tolist()
    # Where each block's parent stands among them; -1 for one that is not there.
    parent = hashes.get_indexer(pd.Index(tree["parent_hash"])).tolist()
    # The first of each height, from the greatest down.
    firsts = np.flatnonzero(~tree["height"].duplicated().to_numpy(bool)).tolist()[::-1]
    found: list[int] = []
    block = firsts[0] if firsts else -1
    place = 0
    while block >= 0:
        found.append(block)
        above = parent[block]
        # A forged parent that is no lower would lead round in a ring.
        if above >= 0 and height[above] < height[block]:
            block = above
            continue
        while place < len(firsts) and height[firsts[place]] >= height[block]:
            place += 1
        block = firsts[place] if place < len(firsts) else -1
    return joinable(tree[["block_hash"]].iloc[found], rows)
