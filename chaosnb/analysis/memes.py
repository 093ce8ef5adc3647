"""Memes: who refers to them, how they spread, what they are about, and whose they are."""

from __future__ import annotations

from typing import Any, Final, Literal

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from chaosnb.analysis.frames import Frame, bucket_us, fetch, first, give, take
from chaosnb.analysis.intervals import quantile
from chaosnb.analysis.lists import flat_texts

__all__ = ["meme_influence", "meme_references", "meme_spread", "meme_tags"]

_POSTS: Final = ("timestamp", "meme_id", "creator_id", "creator_personality")


def meme_references(messages: Frame, memes: Frame) -> Frame:
    """Return how often each meme is referred to, by how many, and how soon after its posting.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    memes : frame
        The table `meme_posted`.

    Returns
    -------
    frame
        Most references first: `meme_id`, `creator_id`, `creator_personality`, `posted` (when),
        `references`, `speakers` (agents that refer to it), `blocks` (in whose discussion), and, after the
        posting, `first_s`, `median_s` and `last_s` of its references. A meme that nobody refers to has a
        row; so has one that is referred to but not among the `memes`, without a creator

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or the two are of different kinds.

    Notes
    -----
    References lost in a gap are missing here, most for memes that were fresh in it; a meme that was posted in
    a gap has no creator and time.

    Examples
    --------
    >>> posts = {"timestamp": pd.to_datetime([0], unit="s"), "meme_id": "m", "creator_id": "a"}
    >>> memes = pd.DataFrame({**posts, "creator_personality": "greedy"})
    >>> said = {"timestamp": pd.to_datetime([5], unit="s"), "meme_references": [["m"]]}
    >>> found = meme_references(pd.DataFrame({**said, "agent_id": "b", "block_hash": "h"}), memes)
    >>> found[["meme_id", "creator_id", "references", "first_s"]].to_numpy().tolist()
    [['m', 'a', 1, 5.0]]
    """
    said, posts = _mentions(messages, memes), _posts(memes)
    told = said.groupby("meme_id").agg(
        references=("agent_id", "size"), speakers=("agent_id", "nunique"), blocks=("block_hash", "nunique")
    )
    found = posts.join(told, how="outer")
    after = (said["t_us"] - said["meme_id"].map(posts["t_us"])).dropna() / 1e6
    delays = after.groupby(said["meme_id"]).agg(["min", "median", "max"])
    for name, column in (("first_s", "min"), ("median_s", "median"), ("last_s", "max")):
        found[name] = delays[column].reindex(found.index).astype("float64")
    found = found.rename_axis("meme_id").reset_index()
    for name in ("references", "speakers", "blocks"):
        found[name] = found[name].fillna(0).astype("int64")
    for name in ("meme_id", "creator_id", "creator_personality"):
        found[name] = found[name].astype("str").where(found[name].notna(), "")
    found = found.sort_values(["references", "meme_id"], ascending=[False, True])
    posted = pd.to_datetime(found.pop("t_us"), unit="us", utc=True).astype("datetime64[us, UTC]")
    found.insert(3, "posted", posted)
    return give(found, messages)


def meme_spread(messages: Frame, *, every_s: float = 60, top: int | None = 10) -> Frame:
    """Return how references to memes grow over time.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    every_s : float
        How many seconds of event time a row stands for; they begin at multiples of it.
    top : int, optional
        How many memes, those with most references. None: all.

    Returns
    -------
    frame
        By meme, most references first, and time: `meme_id`, `time` (the start of the bucket in UTC),
        `references` in it, `total` up to its end, and `reached`, the agents that had referred to it by then.
        Buckets without a reference have no row.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or an option is not possible.

    Notes
    -----
    In a gap a curve is flat, and stays too low after it.

    Examples
    --------
    >>> said = {"timestamp": pd.to_datetime([0, 1, 2], unit="s"), "meme_references": [["m"], ["m"], ["m"]]}
    >>> found = meme_spread(pd.DataFrame({**said, "agent_id": ["a", "b", "a"], "block_hash": "h"}), every_s=1)
    >>> found[["references", "total", "reached"]].to_numpy().tolist()
    [[1, 1, 1], [1, 2, 2], [1, 3, 2]]
    """
    said = _mentions(messages)
    width_us = bucket_us(every_s)
    counts = said.groupby("meme_id").size()
    order = np.lexsort((counts.index.to_numpy(object), -counts.to_numpy(np.int64)))
    chosen = counts.index[order][: len(counts) if top is None else top]
    said = said[said["meme_id"].isin(chosen)].sort_values("t_us", kind="stable")
    said["new"] = ~said.duplicated(["meme_id", "agent_id"])
    said["time"] = said["t_us"] // width_us * width_us
    found = said.groupby(["meme_id", "time"])["new"].agg(["size", "sum"]).reset_index()
    found.columns = pd.Index(["meme_id", "time", "references", "reached"])
    place = pd.Series(np.arange(len(chosen)), index=chosen)
    found = found.iloc[np.lexsort((found["time"], found["meme_id"].map(place).to_numpy(np.float64)))]
    so_far = found.groupby("meme_id", sort=False)[["references", "reached"]].cumsum().astype("int64")
    found["total"], found["reached"] = so_far["references"], so_far["reached"]
    kinds = {"meme_id": "str", "time": "int64", "references": "int64"}
    return give(found.astype(kinds)[["meme_id", "time", "references", "total", "reached"]], messages)


def meme_tags(messages: Frame, memes: Frame, *, confidence: float = 0.95) -> Frame:
    """Return which tags memes have, and how often memes with each are referred to.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    memes : frame
        The table `meme_posted`.
    confidence : float
        How sure to be that the mean lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        Most memes first: `tag`, `memes`, `references` to them, `references_per_meme`, and `low` and `high`:
        the mean ± z standard errors over memes, at least 0; they need two memes.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or the two are of different kinds.

    Notes
    -----
    Gaps make counts too small. A meme posted shortly before the end has had less time to be referred to.

    Examples
    --------
    >>> posts = {"timestamp": pd.to_datetime([0, 1], unit="s"), "meme_id": ["m", "n"], "creator_id": "a"}
    >>> memes = pd.DataFrame({**posts, "creator_personality": "greedy", "tags": [["gm"], ["gm", "fork"]]})
    >>> said = {"timestamp": pd.to_datetime([2], unit="s"), "agent_id": "b", "block_hash": "h"}
    >>> meme_tags(pd.DataFrame({**said, "meme_references": [["m"]]}), memes).iloc[:, :4].to_numpy().tolist()
    [['gm', 2, 1, 0.5], ['fork', 1, 0, 0.0]]
    """
    counts = _mentions(messages, memes).groupby("meme_id").size()
    table = fetch(take(memes, "meme_posted", "meme_id", "tags"))
    rows, tags = flat_texts(table["tags"])
    ids = table["meme_id"].astype("str").to_numpy(object)[rows]
    each = pd.DataFrame({"tag": tags, "meme_id": ids}).drop_duplicates()
    each["references"] = each["meme_id"].map(counts).fillna(0).astype("int64")
    found = _per_meme(each, "tag", confidence)
    return give(found.sort_values(["memes", "tag"], ascending=[False, True]), messages)


def meme_influence(
    messages: Frame,
    memes: Frame,
    by: Literal["agent", "personality"] = "agent",
    *,
    confidence: float = 0.95,
) -> Frame:
    """Return whose memes others refer to most.

    What agents say of their own memes does not count.

    Parameters
    ----------
    messages : frame
        The table `consensus_discussion`.
    memes : frame
        The table `meme_posted`.
    by : {"agent", "personality"}
        Of the memes' creators.
    confidence : float
        How sure to be that the mean lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        Most references first: the creator under `by`, `memes`, `references` by others, `references_per_meme`
        with `low` and `high` (mean ± z standard errors over memes, at least 0; they need two memes),
        `reached` (others that refer to its memes), and `h_index`, the most memes with at least as many
        references each.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, the two are of different kinds, or there is no such grouping.

    Notes
    -----
    Gaps make counts too small for all alike, unless an agent posts at certain times. Memes that were posted
    in a gap have no creator and count for nobody.

    Examples
    --------
    >>> posts = {"timestamp": pd.to_datetime([0], unit="s"), "meme_id": "m", "creator_id": "a"}
    >>> memes = pd.DataFrame({**posts, "creator_personality": "greedy"})
    >>> said = {"timestamp": pd.to_datetime([1, 2], unit="s"), "meme_references": [["m"], ["m"]]}
    >>> found = meme_influence(pd.DataFrame({**said, "agent_id": ["a", "b"], "block_hash": "h"}), memes)
    >>> found[["agent", "memes", "references", "reached", "h_index"]].to_numpy().tolist()
    [['a', 1, 1, 1, 1]]
    """
    column = {"agent": "creator_id", "personality": "creator_personality"}.get(by)
    if column is None:
        raise ValueError(f"by={by!r} is not possible: choose 'agent' or 'personality'")
    said, posts = _mentions(messages, memes), _posts(memes)
    said = said.join(posts[["creator_id", "creator_personality"]], on="meme_id", how="inner")
    said = said[said["agent_id"] != said["creator_id"]]
    each = posts[[column]].rename(columns={column: by}).rename_axis("meme_id").reset_index()
    each["references"] = each["meme_id"].map(said.groupby("meme_id").size()).fillna(0).astype("int64")
    found = _per_meme(each, by, confidence)
    reached = said.groupby(column)["agent_id"].nunique()
    found["reached"] = found[by].map(reached).fillna(0).astype("int64")
    ranked = each.sort_values("references", ascending=False)
    high = ranked["references"] >= ranked.groupby(by).cumcount() + 1
    found["h_index"] = found[by].map(high.groupby(ranked[by]).sum()).fillna(0).astype("int64")
    return give(found.sort_values(["references", by], ascending=[False, True]), messages)


def _per_meme(each: pd.DataFrame, by: str, confidence: float) -> pd.DataFrame:
    z = quantile(confidence)
    told = each.groupby(by)["references"].agg(["size", "sum", "mean", "std"])
    reach = z * told["std"].to_numpy(np.float64) / np.sqrt(told["size"].to_numpy(np.float64))
    mean = told["mean"].to_numpy(np.float64)
    return pd.DataFrame(
        {
            by: told.index.astype("str"),
            "memes": told["size"].to_numpy(np.int64),
            "references": told["sum"].to_numpy(np.int64),
            "references_per_meme": mean,
            "low": np.maximum(mean - reach, 0.0),
            "high": mean + reach,
        }
    )


def _mentions(messages: Any, memes: Any = None) -> pd.DataFrame:
    """Return a row for each reference to a meme."""
    names = ("timestamp", "block_hash", "agent_id", "meme_references")
    rows = take(messages, "consensus_discussion", *names)
    if memes is not None:
        take(memes, "meme_posted", "meme_id", beside=messages)
    table = fetch(rows.filter(nw.col("meme_references").list.len() > 0))
    place, ids = flat_texts(table["meme_references"])
    text = {name: table[name].astype("str").to_numpy(object)[place] for name in ("block_hash", "agent_id")}
    return pd.DataFrame({"t_us": table["t_us"].to_numpy(np.int64)[place], "meme_id": ids, **text})


def _posts(memes: Any) -> pd.DataFrame:
    """Return each meme once, by its id."""
    posts = fetch(first(take(memes, "meme_posted", *_POSTS), ["meme_id"]))
    text = {name: posts[name].astype("str").to_numpy(object) for name in _POSTS[2:]}
    ids = pd.Index(posts["meme_id"].astype("str").to_numpy(object), dtype=object)
    return pd.DataFrame({**text, "t_us": posts["t_us"].to_numpy(np.int64)}, index=ids)
