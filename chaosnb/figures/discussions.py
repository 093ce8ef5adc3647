"""Figures of what agents say: how much about each block, and which memes they refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import pandas as pd

from chaosnb.analysis import discussion, memes
from chaosnb.analysis.columns import texts
from chaosnb.analysis.frames import to_pandas
from chaosnb.analysis.presents import without_ahead
from chaosnb.figures.estimates import forest
from chaosnb.figures.gaps import mark_gaps
from chaosnb.figures.style import PALETTE, Spec, floats, label, milliseconds, still, time_layout

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["discussion_volume", "meme_influence", "meme_tags"]

_SENTIMENTS: Final = {"positive": PALETTE[2], "neutral": PALETTE[4], "negative": PALETTE[5]}


def discussion_volume(messages: Any, blocks: Any = None, *, gaps: pd.DataFrame | None = None) -> go.Figure:
    """Draw how many messages each block got, stacked by sentiment.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    blocks : frame, optional
        The table `block_proposal`: blocks of which nothing was said are drawn, too. None: only the others.
    gaps : pandas.DataFrame, optional
        What is missing, as `Stream.gaps` tells, to be shaded. None shades nothing.

    Returns
    -------
    plotly.graph_objects.Figure
        The counts are those of `chaosnb.analysis.discussion_volume`.

    Raises
    ------
    TypeError, ValueError
        If one is no frame, lacks a column (the message says which table has it), or the two are of different
        kinds.

    Examples
    --------
    >>> said = {"timestamp": pd.to_datetime([1, 3], unit="s"), "block_hash": "h", "agent_id": ["a", "b"]}
    >>> discussion_volume(pd.DataFrame({**said, "sentiment": "positive"})).data[0].y.tolist()
    [2.0]
    """
    found = to_pandas(discussion.discussion_volume(messages, blocks))
    of = {} if blocks is None else {"block_proposal": blocks}
    found = without_ahead(found, consensus_discussion=messages, **of)
    x = milliseconds(found)
    told = [
        f"{label(name)}: {said:,} messages of {speakers:,} agents"
        for name, said, speakers in zip(
            texts(found["block_hash"]), found["messages"], found["speakers"], strict=True
        )
    ]
    bars: list[Spec] = []
    for name, color in _SENTIMENTS.items():
        counts: Spec = {"type": "bar", "name": name, "x": x, "y": floats(found, name)}
        look: Spec = {"marker": {"color": color, "line": {"width": 0}}, "hovertext": told}
        bars.append({**counts, **look, "hovertemplate": f"%{{y}} {name}<br>%{{hovertext}}<extra></extra>"})
    layout = time_layout("Discussion of blocks", "messages about a block", empty=found.empty)
    layout |= {"barmode": "stack", "hovermode": "closest"}
    return still(mark_gaps({"data": bars, "layout": layout}, gaps), messages, blocks)


def meme_tags(messages: Any, posts: Any, *, most: int = 25) -> go.Figure:
    """Draw how often memes with each tag are referred to, with 95 % confidence intervals.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    posts : frame
        The table `meme_posted`.
    most : int
        How many tags to draw, those with most memes.

    Returns
    -------
    plotly.graph_objects.Figure
        The means are those of `chaosnb.analysis.meme_tags`.

    Raises
    ------
    TypeError, ValueError
        If one is no frame, lacks a column (the message says which table has it), or the two are of different
        kinds.

    Examples
    --------
    >>> posts = {"timestamp": pd.to_datetime([0, 1], unit="s"), "meme_id": ["m", "n"], "creator_id": "a"}
    >>> memes = pd.DataFrame({**posts, "creator_personality": "greedy", "tags": [["gm"], ["gm", "fork"]]})
    >>> said = {"timestamp": pd.to_datetime([2], unit="s"), "agent_id": "b", "block_hash": "h"}
    >>> meme_tags(pd.DataFrame({**said, "meme_references": [["m"]]}), memes).data[0].x.tolist()
    [0.5, 0.0]
    """
    found = to_pandas(memes.meme_tags(messages, posts))
    return still(_ranking(found, "tag", "Tags of memes", most), messages, posts)


def meme_influence(
    messages: Any, posts: Any, by: Literal["agent", "personality"] = "agent", *, most: int = 25
) -> go.Figure:
    """Draw whose memes others refer to most, with 95 % confidence intervals.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    posts : frame
        The table `meme_posted`.
    by : {"agent", "personality"}
        Of the memes' creators.
    most : int
        How many to draw, those with most references.

    Returns
    -------
    plotly.graph_objects.Figure
        The means are those of `chaosnb.analysis.meme_influence`.

    Raises
    ------
    TypeError, ValueError
        If one is no frame, lacks a column (the message says which table has it), the two are of different
        kinds, or there is no such grouping.

    Examples
    --------
    >>> posts = {"timestamp": pd.to_datetime([0, 1], unit="s"), "meme_id": ["m", "n"], "creator_id": "a"}
    >>> memes = pd.DataFrame({**posts, "creator_personality": "greedy", "tags": [["gm"], ["gm", "fork"]]})
    >>> said = {"timestamp": pd.to_datetime([2], unit="s"), "agent_id": "b", "block_hash": "h"}
    >>> meme_influence(pd.DataFrame({**said, "meme_references": [["m"]]}), memes).data[0].x.tolist()
    [0.5]
    """
    found = to_pandas(memes.meme_influence(messages, posts, by))
    return still(_ranking(found, found.columns[0], f"Influence of memes by {by}", most), messages, posts)


def _ranking(found: pd.DataFrame, column: str, title: str, most: int) -> Spec:
    shown = found.head(most)
    of = f": {len(shown):,} of {len(found):,}" if len(shown) < len(found) else ""
    names = [f"{label(str(name))} (n = {n:,})" for name, n in zip(shown[column], shown["memes"], strict=True)]
    x_title = "references a meme, 95 % interval"
    return forest(f"{title}{of}", x_title, names, shown, "references_per_meme")
