"""The figure of the block tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from chaosnb.analysis import chain
from chaosnb.analysis.ballots import approval_rate
from chaosnb.analysis.columns import require, texts
from chaosnb.analysis.frames import to_pandas
from chaosnb.figures.style import PALETTE, Spec, label, plane_layout, still

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["block_tree"]

_BLUE, _GREEN, _RED, _GREY = PALETTE[0], PALETTE[2], PALETTE[5], PALETTE[6]
# Shapes differ, too, for those who cannot tell the colours, and in print.
_LOOKS: Final = {
    "most approve": (_GREEN, "circle"),
    "most reject": (_RED, "x"),
    "tie or no votes": (_GREY, "circle-open"),
    "block": (_BLUE, "circle"),
}
_STUB: Final = 0.7


def block_tree(blocks: Any, votes: Any = None, *, newest: int = 150) -> go.Figure:
    """Draw which block builds on which: height from left to right, forks as branches of the longest chain.

    Parameters
    ----------
    blocks : frame
        The table `block_proposal`.
    votes : frame, optional
        The table `block_validation`: blocks are coloured by what most of their validators decided. None: all
        look the same.
    newest : int
        How many blocks to draw, the highest ones.

    Returns
    -------
    plotly.graph_objects.Figure
        A dotted stub leads to a block whose parent is not in the table: it was missed, or never sent.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> import pandas as pd
    >>> of = {"block_hash": ["a", "b", "c"], "parent_hash": ["", "a", "a"], "height": [1, 2, 2]}
    >>> time = pd.to_datetime(["2026-01-01"] * 3)
    >>> block_tree(pd.DataFrame({"timestamp": time, **of, "producer_id": "p"})).layout.title.text
    'Block tree: 3 blocks, 1 fork'
    """
    rows = require(
        blocks, "block_proposal", "timestamp", "block_hash", "parent_hash", "height", "producer_id"
    )
    known = {*texts(rows["block_hash"])}
    shown = rows.sort_values("height", kind="stable").tail(newest)
    tree = chain.block_tree(shown)
    tree["cut"] = ~tree["parent_known"] & tree["parent_hash"].isin(known)
    tree["missing"] = ~tree["parent_known"] & ~tree["cut"]
    place = {
        block: (h, lane)
        for block, h, lane in zip(tree["block_hash"], tree["height"], tree["lane"], strict=True)
    }
    edges: list[tuple[tuple[float, float], tuple[float, float]]] = []
    stubs: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for block in tree.itertuples():
        here = place[str(block.block_hash)]
        if block.parent_known:
            edges.append((place[str(block.parent_hash)], here))
        elif block.missing and str(block.parent_hash):
            stubs.append(((here[0] - _STUB, here[1]), here))
    data = [_segments(edges, "builds on", {"color": _GREY, "width": 1.5})]
    if stubs:
        data.append(_segments(stubs, "parent unknown", {"color": _GREY, "width": 1.5, "dash": "dot"}))
    decided = _decided(votes) if votes is not None else pd.DataFrame(columns=["approve", "reject"])
    tree = tree.join(decided, on="block_hash").fillna({"approve": 0, "reject": 0})
    for name, chosen in _kinds(tree, votes is not None).items():
        if len(chosen):
            data.append(_blocks(chosen, name, votes is not None))
    forks = int((tree[tree["parent_known"]].groupby("parent_hash").size() > 1).sum())
    of = f"newest {len(tree):,} of {len(known):,}" if len(tree) < len(known) else f"{len(tree):,}"
    title = f"Block tree: {of} block{'s' * (len(tree) != 1)}, {forks:,} fork{'s' * (forks != 1)}"
    layout = plane_layout(title, "height (blocks)", "branch", empty=tree.empty)
    lanes = tree["lane"].to_numpy(np.int64)
    layout["yaxis"] |= {"showticklabels": False, "zeroline": False, "showgrid": False}
    if len(lanes):
        layout["yaxis"]["range"] = [min(lanes.min(), -1) - 0.7, max(lanes.max(), 1) + 0.7]
    layout["margin"]["l"] = 36
    return still({"data": data, "layout": layout}, blocks, votes)


def _decided(votes: Any) -> pd.DataFrame:
    return to_pandas(approval_rate(votes, "block")).set_index("block")[["approve", "reject"]]


def _kinds(tree: pd.DataFrame, voted: bool) -> dict[str, pd.DataFrame]:
    if not voted:
        return {"block": tree}
    more = tree["approve"] - tree["reject"]
    return {
        "most approve": tree[more > 0],
        "most reject": tree[more < 0],
        "tie or no votes": tree[more == 0],
    }


def _segments(ends: list[tuple[tuple[float, float], tuple[float, float]]], name: str, line: Spec) -> Spec:
    x = [value for a, b in ends for value in (a[0], b[0], None)]
    y = [value for a, b in ends for value in (a[1], b[1], None)]
    look = {"type": "scatter", "mode": "lines", "line": line, "hoverinfo": "skip"}
    return {**look, "name": name, "x": x, "y": y}


def _blocks(blocks: pd.DataFrame, name: str, voted: bool) -> Spec:
    color, symbol = _LOOKS[name]
    marker = {"color": color, "symbol": symbol, "size": 8, "line": {"width": 1.5 if "open" in symbol else 0}}
    told = [_block_text(block, voted) for block in blocks.itertuples()]
    return {
        **{"type": "scatter", "mode": "markers", "name": name, "marker": marker, "hovertext": told},
        **{"x": blocks["height"].to_numpy(np.float64), "y": blocks["lane"].to_numpy(np.float64)},
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _block_text(block: Any, voted: bool) -> str:
    parts = [f"block {block.height:,}: {label(block.block_hash)}", f"by {label(block.producer_id)}"]
    if voted:
        parts.append(f"{int(block.approve):,} approve, {int(block.reject):,} reject")
    if block.missing:
        parts.append(f"its parent {label(block.parent_hash)} is not in the table")
    return "<br>".join(parts)
