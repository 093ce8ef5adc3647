"""Memes: who refers to them, how they spread, what they are about, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chaosnb.amounts import amount
from chaosnb.analysis.columns import codes
from chaosnb.analysis.frames import Frame, bucket_us, fetch, give, take
from chaosnb.analysis.intervals import quantile
from chaosnb.analysis.lists import flat_texts
from chaosnb.analysis.turns import first

__all__ = ["meme_influence", "meme_references", "meme_spread", "meme_tags"]

Integers = npt.NDArray[Any]

_COLUMN_OF: Final = {"agent": "creator_id", "personality": "creator_personality"}
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
        row; so has one that is referred to but not among the `memes`, without a creator.

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
    said, posts = _mentions(messages, memes, blocks=True), _posts(memes)
    ids, place = said.places(posts["meme_id"])
    found = posts.reindex(range(len(ids))).assign(meme_id=ids)
    found["references"] = np.bincount(place, minlength=len(ids)).astype(np.int64)
    found["speakers"] = _distinct(place, said.agent, len(ids))
    found["blocks"] = _distinct(place, said.block, len(ids))
    after = pd.Series(said.t_us - found["t_us"].to_numpy(np.float64)[place]).dropna() / 1e6
    delays = after.groupby(place[after.index]).agg(["min", "median", "max"]).reindex(found.index)
    for name, column in (("first_s", "min"), ("median_s", "median"), ("last_s", "max")):
        found[name] = delays[column].astype("float64")
    for name in ("meme_id", "creator_id", "creator_personality"):
        found[name] = found[name].astype("str").where(found[name].notna(), "")
    keys = pa.table({"references": found["references"], "meme_id": pa.array(found["meme_id"])})
    order = pc.sort_indices(keys, sort_keys=[("references", "descending"), ("meme_id", "ascending")])
    found = found.iloc[order.to_numpy()]
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
    if top is not None and not amount(top) >= 1:
        raise ValueError(f"top={top!r} is not possible: choose at least 1 meme, or None for all")
    said = _mentions(messages)
    width_us = bucket_us(every_s)
    counts = pd.Series(np.bincount(said.meme, minlength=len(said.ids)).astype(np.int64))
    if top is not None:
        counts = counts.nlargest(top, keep="all")
    ids = said.ids.take(counts.index.to_numpy(np.int64))
    order = np.lexsort((ids.to_numpy(object), -counts.to_numpy(np.int64)))[:top]
    rank = np.full(len(said.ids), -1)
    rank[counts.index.to_numpy(np.int64)[order]] = np.arange(len(order))
    told = pd.DataFrame({"t_us": said.t_us, "meme": rank[said.meme], "agent": said.agent})
    told = told[told["meme"] >= 0].sort_values("t_us", kind="stable")
    told["new"] = ~told.duplicated(["meme", "agent"])
    told["time"] = told["t_us"] // width_us * width_us
    found = told.groupby(["meme", "time"])["new"].agg(["size", "sum"]).reset_index()
    found.columns = pd.Index(["meme_id", "time", "references", "reached"])
    so_far = found.groupby("meme_id", sort=False)[["references", "reached"]].cumsum().astype("int64")
    found["total"], found["reached"] = so_far["references"], so_far["reached"]
    found["meme_id"] = ids.take(order).take(found["meme_id"].to_numpy(np.int64))
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
    said = _mentions(messages, memes)
    table = fetch(take(memes, "meme_posted", "meme_id", "tags"))
    rows, tag, tags = flat_texts(table["tags"])
    meme, ids = pd.factorize(table["meme_id"])
    all_ids, place = said.places(pd.Series(ids).astype("str"))
    # Of one without an id, which stands at −1, nobody can have spoken.
    counts = np.append(np.bincount(place, minlength=len(all_ids)), 0).astype(np.int64)
    each = pd.DataFrame({"tag": tag, "meme": meme[rows]}).drop_duplicates()
    each["references"] = counts[each["meme"]]
    each["tag"] = pd.Categorical.from_codes(each["tag"], categories=tags)
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
    if by not in [*_COLUMN_OF]:
        raise ValueError(f"by={by!r} is not possible: choose 'agent' or 'personality'")
    column = _COLUMN_OF[by]
    said, posts = _mentions(messages, memes), _posts(memes)
    ids, place = said.places(posts["meme_id"])
    creator, creators = pd.factorize(posts["creator_id"])
    same = np.append(pd.Index(creators.astype("str")).get_indexer(said.agents), -1)[said.agent]
    made = np.append(creator, np.full(len(ids) - len(posts), -2))[place]
    # Those of nobody known are those of another one.
    others = (place < len(posts)) & ((same != made) | (same < 0))
    place, agent = place[others], said.agent[others]
    of, makers = pd.factorize(posts[column])
    each = pd.DataFrame({by: pd.Categorical.from_codes(of, categories=pd.Index(makers).astype("str"))})
    each["references"] = np.bincount(place, minlength=len(posts)).astype(np.int64)
    found = _per_meme(each, by, confidence)
    known = of[place] >= 0
    found_for = pd.Index(makers).astype("str").get_indexer(found[by])
    found["reached"] = _distinct(of[place][known], agent[known], len(makers))[found_for]
    ranked = each.sort_values("references", ascending=False)
    high = ranked["references"] >= ranked.groupby(by, observed=True).cumcount() + 1
    hits = high.groupby(ranked[by], observed=True).sum()
    found["h_index"] = found[by].map(hits).fillna(0).astype("int64")
    return give(found.sort_values(["references", by], ascending=[False, True]), messages)


def _per_meme(each: pd.DataFrame, by: str, confidence: float) -> pd.DataFrame:
    z = quantile(confidence)
    told = each.groupby(by, observed=True)["references"].agg(["size", "sum", "mean", "std"])
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


@dataclass(frozen=True)
class _Mentions:
    """References to memes, one each, as codes; −1 for a block or agent that is not named."""

    t_us: Integers
    meme: Integers
    block: Integers
    agent: Integers
    ids: pd.Index
    agents: pd.Index

    def places(self, posted: pd.Series) -> tuple[pd.Index, Integers]:
        """Return the ids of memes, those posted first, and where among them that of each reference stands."""
        row = pd.Index(posted).get_indexer(self.ids)
        unknown = row < 0
        row[unknown] = len(posted) + np.arange(int(unknown.sum()))
        return pd.Index(posted).append(self.ids[unknown]), row.astype(np.int64)[self.meme]


def _mentions(messages: Any, memes: Any = None, *, blocks: bool = False) -> _Mentions:
    rows = take(messages, "consensus_discussion", "timestamp", "block_hash", "agent_id", "meme_references")
    if memes is not None:
        take(memes, "meme_posted", "meme_id", beside=messages)
    names = ("t_us", "agent_id", "meme_references", *["block_hash"] * blocks)
    table = fetch(rows.filter(nw.col("meme_references").list.len() > 0).select(*names))
    place, meme, ids = flat_texts(table["meme_references"])
    block = codes(table["block_hash"])[0] if blocks else np.full(len(table), -1)
    agent, agents = codes(table["agent_id"])
    t_us = table["t_us"].to_numpy(np.int64)
    return _Mentions(t_us[place], meme, block[place], agent[place], ids, pd.Index(agents).astype("str"))


def _posts(memes: Any) -> pd.DataFrame:
    """Return each meme once."""
    posts = fetch(first(take(memes, "meme_posted", *_POSTS, optional=["seq"]), ["meme_id"]))
    return posts.assign(meme_id=posts["meme_id"].astype("str"))[[*_POSTS[1:], "t_us"]]


def _distinct(place: Integers, code: Integers, places: int) -> Integers:
    """Count the different codes that stand with each place; −1 is none."""
    span = int(code.max(initial=-1)) + 1
    pairs = pd.unique((place * span + code)[code >= 0])
    return np.bincount(pairs // max(span, 1), minlength=places).astype(np.int64)
