"""Figures of single votes: who voted how on which block, and who voted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from chaosnb.analysis import ballots
from chaosnb.analysis.ballots import valid_votes
from chaosnb.analysis.columns import require, texts
from chaosnb.analysis.frames import to_pandas
from chaosnb.figures.style import PALETTE, Spec, label, plane_layout, room_for, still, words

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["double_votes", "vote_heatmap"]

_BLUE, _GREEN, _RED, _GREY = PALETTE[0], PALETTE[2], PALETTE[5], PALETTE[6]
# In print green and red are the same grey: a cross tells them apart.
_LOOKS: Final = {"reject": (_RED, "×"), "other": (_GREY, "?"), "approve": (_GREEN, "")}
_ROW_PX: Final = 16
_TICKS: Final = 12


def vote_heatmap(
    votes: Any,
    blocks: Any = None,
    *,
    newest: int = 60,
    validators: int = 40,
) -> go.Figure:
    """Draw who voted how on which block: validators from top to bottom, blocks from left to right.

    Parameters
    ----------
    votes : frame
        The table `block_validation`. Of several votes on a block by one validator the first counts.
    blocks : frame, optional
        The table `block_proposal`, to name blocks by height. None: they are named by hash.
    newest : int
        How many blocks to draw, those whose votes came last.
    validators : int
        How many validators to draw, those with most votes; who approves most stands at the top.

    Returns
    -------
    plotly.graph_objects.Figure
        The reason of a vote shows on hover. Cells are empty where there was no vote.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True)
    >>> votes = {"timestamp": time, "block_hash": ["g", "h"], "validator_id": "v"}
    >>> figure = vote_heatmap(pd.DataFrame({**votes, "decision": ["approve", "reject"], "reason": "why not"}))
    >>> figure.data[0].z.tolist(), figure.data[0].text.tolist()
    ([[2.0, 0.0]], [['', '×']])
    """
    counted = _cells(votes)
    hashes = [*dict.fromkeys(counted["block_hash"])]
    drawn = hashes[-newest:]
    cells = counted[counted["block_hash"].isin(drawn)]
    busy = cells["validator_id"].value_counts().index[:validators]
    cells = cells[cells["validator_id"].isin(busy)]
    names = _by_approval(cells)
    column, row = (
        pd.Index(drawn).get_indexer(pd.Index(cells["block_hash"])),
        pd.Index(names).get_indexer(pd.Index(cells["validator_id"])),
    )
    kinds = cells["decision"].where(cells["decision"].isin([*_LOOKS]), "other").tolist()
    shape = (len(names), len(drawn))
    z, marks, told = np.full(shape, np.nan), np.full(shape, "", object), np.full(shape, "", object)
    z[row, column] = [[*_LOOKS].index(kind) for kind in kinds]
    marks[row, column] = [_LOOKS[kind][1] for kind in kinds]
    ticks = _block_names(drawn, blocks)
    told[row, column] = [
        _vote_text(vote, ticks[place])
        for vote, place in zip(cells.itertuples(), column.tolist(), strict=True)
    ]
    steps = [[(place + half) / 3, look[0]] for place, look in enumerate(_LOOKS.values()) for half in (0, 1)]
    cells_trace: Spec = {
        **{"type": "heatmap", "z": z, "zmin": 0, "zmax": 2, "colorscale": steps, "showscale": False},
        **{"text": marks, "texttemplate": "%{text}", "textfont": {"size": 10, "color": "white"}},
        **{"hovertext": told, "hovertemplate": "%{hovertext}<extra></extra>", "xgap": 1, "ygap": 1},
    }
    height = 130 + max(_ROW_PX * len(names), 120)
    place = "block (height)" if blocks is not None else "block (beginning of its hash)"
    of = f": newest {len(drawn):,} of {len(hashes):,} blocks" if len(drawn) < len(hashes) else ""
    layout = plane_layout(f"Votes{of}", place, "validator", empty=not len(cells), height=height)
    every = max(1, -(-len(drawn) // _TICKS))
    layout["xaxis"] |= {"tickvals": [*range(0, len(drawn), every)], "ticktext": ticks[::every]}
    layout["xaxis"] |= {"range": [-0.5, max(len(drawn), 1) - 0.5], "showgrid": False, "zeroline": False}
    layout["yaxis"] |= {"tickvals": [*range(len(names))], "ticktext": [label(name) for name in names]}
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False, "zeroline": False, "title": {"text": ""}}
    layout["margin"]["l"] = room_for(names)
    keys = [_key(name, color, mark) for name, (color, mark) in [*_LOOKS.items()][::-1] if name in kinds]
    return still({"data": [cells_trace, *keys], "layout": layout}, votes)


def double_votes(votes: Any, *, most: int = 40) -> go.Figure:
    """Draw who voted again on a block, and how often that contradicted the first vote.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.
    most : int
        How many validators to draw: those with most votes that contradict, then those with most others.

    Returns
    -------
    plotly.graph_objects.Figure
        Counts of what `chaosnb.analysis.double_votes` finds: votes that do not count elsewhere.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> import pandas as pd
    >>> votes = {"timestamp": pd.to_datetime([1, 2, 3], unit="s"), "block_hash": "h", "validator_id": "v"}
    >>> votes |= {"validator_personality": "lawful", "decision": ["reject", "approve", "reject"]}
    >>> figure = double_votes(pd.DataFrame(votes))
    >>> figure.layout.title.text, [(trace.name, trace.x.tolist()) for trace in figure.data]
    ('Double votes: 2 by 1 of 1 validators', [('contradicting the first', [1]), ('the same again', [1])])
    """
    found = to_pandas(ballots.double_votes(votes))
    voters = to_pandas(ballots.approval_rate(votes, "validator"))
    against = (found["decision"].astype("str") != found["first_decision"].astype("str")).to_numpy(bool)
    who = found["validator_id"].astype("str")
    each = pd.DataFrame({"against": against, "again": ~against}).groupby(who.to_numpy()).sum()
    drawn = each.sort_values(["against", "again"], ascending=False, kind="stable").head(most).iloc[::-1]
    names = [str(name) for name in drawn.index]
    cast = voters.set_index(voters["validator"].astype("str"))[["approve", "reject", "other"]].sum(axis=1)
    told = [
        f"{label(name)}<br>{n:,} votes that count, and {one:,} more on the same blocks"
        f"<br>of which {other:,} contradict the first"
        for name, one, other, n in zip(
            names, drawn.sum(axis=1), drawn["against"], cast.reindex(drawn.index), strict=True
        )
    ]
    data: list[Spec] = [
        {
            **{"type": "bar", "orientation": "h", "name": name, "marker": {"color": color}, "width": 0.7},
            **{"x": drawn[column].to_numpy(np.int64), "y": np.arange(len(drawn)), "hovertext": told},
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
        for name, column, color in (
            ("contradicting the first", "against", _RED),
            ("the same again", "again", _BLUE),
        )
    ]
    of = f", of whom {len(drawn):,} are drawn" if len(drawn) < len(each) else ""
    by = f" by {len(each):,} of {len(voters):,} validators{of}" if len(each) else ""
    title = f"Double votes: {len(found):,}{by}"
    height = 130 + max(_ROW_PX * len(drawn), 120)
    layout = plane_layout(title, "votes after the first", "", empty=drawn.empty, height=height)
    if len(voters) and drawn.empty:
        layout["annotations"][0]["text"] = "nobody voted twice on a block"
    layout["barmode"] = "stack"
    layout["xaxis"] |= {"rangemode": "tozero", "tickformat": ",d"}
    layout["yaxis"] |= {"tickvals": [*range(len(names))], "ticktext": [label(name) for name in names]}
    layout["yaxis"]["zeroline"] = False
    layout["margin"]["l"] = room_for(names)
    return still({"data": data, "layout": layout}, votes)


def _cells(votes: Any) -> pd.DataFrame:
    table = require(votes, "block_validation", "timestamp", "block_hash", "validator_id", "decision")
    rows = valid_votes(table)
    names = ("block_hash", "validator_id", "validator_personality", "decision", "reason")
    nothing = np.full(len(rows), "", dtype=object)
    found = {name: texts(rows[name]) if name in rows.columns else nothing for name in names}
    return pd.DataFrame(found, dtype=object)


def _by_approval(cells: pd.DataFrame) -> list[str]:
    share = (cells["decision"] == "approve").groupby(cells["validator_id"]).mean()
    return sorted(map(str, share.index), key=lambda name: (-share[name], name))


def _block_names(hashes: list[str], blocks: Any) -> list[str]:
    heights: dict[Any, Any] = {}
    if blocks is not None:
        rows = require(blocks, "block_proposal", "block_hash", "height")
        heights = dict(zip(texts(rows["block_hash"]), rows["height"].tolist(), strict=True))
    return [str(heights[one]) if one in heights else label(one[:8]) for one in hashes]


def _vote_text(vote: Any, block: str) -> str:
    kind = f" ({label(vote.validator_personality)})" if vote.validator_personality else ""
    reason = f"<br><i>{words(vote.reason)}</i>" if vote.reason else ""
    return f"{label(vote.validator_id)}{kind}<br>block {block}: {label(vote.decision)}{reason}"


def _key(name: str, color: str, mark: str) -> Spec:
    look = {"marker": {"symbol": "square", "size": 11, "color": color}, "name": f"{name} {mark}".strip()}
    return {"type": "scatter", "mode": "markers", "x": [None], "y": [None], **look}
