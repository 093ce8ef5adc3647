"""The tree that blocks make: which one builds on which, and where the chain forks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import numpy as np
import pandas as pd

from chaosnb.analysis.columns import texts, timed

__all__ = ["block_tree"]


def block_tree(blocks: pd.DataFrame) -> pd.DataFrame:
    """Return each block once, with its place in the tree.

    A block builds on another if it names it as its parent and stands higher; so a forged ring of parents is
    none.

    Parameters
    ----------
    blocks : pandas.DataFrame
        The table `block_proposal`.

    Returns
    -------
    pandas.DataFrame
        In order of height: `block_hash`, `parent_hash`, `height`, `producer_id`, `lane` (0 for the longest
        chain, else the branch beside it, 1, −1, 2, −2, …) and `parent_known` (whether the parent is among
        them).

    Raises
    ------
    ValueError
        If the frame lacks a column.

    Examples
    --------
    >>> time = pd.to_datetime(["2026-01-01"] * 4)
    >>> of = {"block_hash": ["a", "b", "c", "d"], "parent_hash": ["", "a", "a", "b"], "height": [1, 2, 2, 3]}
    >>> tree = block_tree(pd.DataFrame({"timestamp": time, **of, "producer_id": "p"}))
    >>> dict(zip(tree["block_hash"], tree["lane"]))
    {'a': 0, 'b': 0, 'c': 1, 'd': 0}
    """
    rows, _ = timed(blocks, "block_proposal", "block_hash", "parent_hash", "height", "producer_id")
    found = {name: texts(rows[name]) for name in ("block_hash", "parent_hash", "producer_id")}
    tree = pd.DataFrame({**found, "height": rows["height"].to_numpy(np.int64)})
    tree = tree.drop_duplicates("block_hash").sort_values(["height", "block_hash"]).reset_index(drop=True)
    height = dict(zip(tree["block_hash"], tree["height"].tolist(), strict=True))
    parent = {
        block: above
        for block, above in zip(tree["block_hash"], tree["parent_hash"], strict=True)
        if above in height and height[above] < height[block]
    }
    lanes = _lanes([*height], height, parent)
    return tree.assign(
        lane=[lanes[block] for block in tree["block_hash"]],
        parent_known=tree["block_hash"].isin(parent.keys()),
    )


def _lanes(ordered: list[str], height: Mapping[str, int], parent: Mapping[str, str]) -> dict[str, int]:
    reach = dict(height)
    for block in reversed(ordered):
        if block in parent:
            reach[parent[block]] = max(reach[parent[block]], reach[block])
    lanes: dict[str, int] = {}
    heir: dict[str, str] = {}
    trunk = max(ordered, key=lambda block: height[block], default=None)
    while trunk is not None:
        lanes[trunk] = 0
        above = parent.get(trunk)
        if above is not None:
            heir[above] = trunk
        trunk = above
    ends: dict[int, int] = {}
    # Of several, the branch that reaches highest goes on in its parent's lane.
    for block in sorted(ordered, key=lambda block: (height[block], -reach[block], block)):
        if block in lanes:
            continue
        above = parent.get(block)
        if above is not None and heir.setdefault(above, block) == block:
            lanes[block] = lanes[above]
            continue
        start = height[block] if above is None else height[above]
        sides = ((step + 1) // 2 * (1 if step % 2 else -1) for step in count(1))
        lanes[block] = lane = next(side for side in sides if ends.get(side, start - 1) < start)
        ends[lane] = reach[block]
    return lanes
