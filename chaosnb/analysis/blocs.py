"""Alliances at the vote: whether their members vote as one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.columns import codes
from chaosnb.analysis.frames import Frame, coded, fetch, give, take
from chaosnb.analysis.intervals import quantile
from chaosnb.analysis.spells import standing
from chaosnb.analysis.turns import first, numbered

__all__ = ["alliance_cohesion", "allied_at"]

Integers = npt.NDArray[Any]
Names = npt.NDArray[np.object_]


def alliance_cohesion(
    votes: Frame, updates: Frame, *, overall: bool = False, confidence: float = 0.95
) -> Frame:
    """Return how much the members of alliances vote alike, against others on the same blocks.

    On a block, the agreement of an alliance is the share of pairs of its members that vote the same; that of
    the others is the share of pairs of a member and one who is not in it that do. Their difference, averaged
    over blocks, is the bloc's lift; its interval is the mean ± z standard errors over blocks, for blocks are
    drawn anew and pairs are not. What makes a block easy or hard to approve is the same for both, so it
    cancels out. Cohesion is Rice's index |approve − reject| / (approve + reject) of an alliance's votes [1]_,
    averaged over blocks.

    Parameters
    ----------
    votes : frame
        The table `block_validation`; a second vote of a validator on a block does not count, nor do votes
        that neither approve nor reject.
    updates : frame
        The table `alliance_update`; who is a member when is told by `alliance_spells`.
    overall : bool
        Whether to give one row for all alliances together (`alliance_id` is empty then), instead of one each.
    confidence : float
        How sure to be that the lift lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        Highest lift first: `alliance_id`, `blocks` on which at least two members and another voted,
        `cohesion`, `agreement`, `others`, `lift`, `low` and `high`, which need two blocks. An alliance that
        never voted so has no row.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or the two are of different kinds.

    Notes
    -----
    Votes lost in a gap make intervals wider. An update lost in a gap counts the wrong agents as members,
    which draws the lift towards 0. Who is alike may ally: a lift is no proof that members follow each other;
    `vote_drivers` estimates how often they copy their leader.

    References
    ----------
    .. [1] S. A. Rice (1928). Quantitative Methods in Politics. Knopf.

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> updates = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": "u", "members": members}
    >>> of = {"timestamp": pd.to_datetime(["2026-01-02"] * 6), "block_hash": list("ggghhh")}
    >>> said = ["approve", "approve", "reject", "reject", "reject", "approve"]
    >>> votes = pd.DataFrame({**of, "validator_id": list("abcabc"), "decision": said})
    >>> found = alliance_cohesion(votes, pd.DataFrame({**updates, "duration": "P1W"}))
    >>> found[["alliance_id", "blocks", "cohesion", "agreement", "others", "lift"]].to_numpy().tolist()
    [['u', 2, 1.0, 1.0, 0.0, 1.0]]
    """
    z = quantile(confidence)
    columns = ("timestamp", "block_hash", "validator_id", "decision")
    rows = coded(take(votes, "block_validation", *columns, optional=["seq"]), "block_hash")
    cast = fetch(first(rows, ["block_hash", "validator_id"]))
    decides = cast["decision"].isin(["approve", "reject"])
    used = (decides & cast["block_hash"].notna() & cast["validator_id"].notna()).to_numpy(bool)
    cast = cast if used.all() else cast[used]
    take(updates, "alliance_update", "alliance_id", beside=votes)
    members = standing(updates)
    yes = (cast["decision"] == "approve").to_numpy(np.float64)
    block, _ = codes(cast["block_hash"])
    who, agents = codes(cast["validator_id"])
    names = np.array([*map(str, agents)], dtype=object)
    vote, member = allied_at(who, names, cast["t_us"].to_numpy(np.int64), members)
    alliance, ids = pd.factorize(members["alliance_id"])
    blocks = int(block.max(initial=-1)) + 1
    cell, keys = numbered(alliance[member] * max(blocks, 1) + block[vote], len(ids) * blocks)
    within, at = keys // max(blocks, 1), keys % max(blocks, 1)
    n = np.bincount(cell, minlength=len(keys)).astype(np.float64)
    k = np.bincount(cell, yes[vote], len(keys))
    all_n, all_yes = np.bincount(block), np.bincount(block, yes)
    rest_n, rest_k = all_n[at] - n, all_yes[at] - k
    used = (n >= 2) & (rest_n >= 1)
    n, k, rest_n, rest_k = n[used], k[used], rest_n[used], rest_k[used]
    parts = pd.DataFrame(
        {
            "alliance": np.full(len(n), -1) if overall else within[used],
            "block": at[used],
            "cohesion": np.abs(2 * k - n) / n,
            "agreement": (k * (k - 1) + (n - k) * (n - k - 1)) / (n * (n - 1)),
            "others": (k * rest_k + (n - k) * (rest_n - rest_k)) / (n * rest_n),
        }
    )
    # Alliances on the same block are not independent: the block is what is drawn.
    parts = parts.groupby(["alliance", "block"], as_index=False).mean() if overall else parts
    parts["lift"] = parts["agreement"] - parts["others"]
    grouped = parts.groupby("alliance")
    found = grouped[["cohesion", "agreement", "others", "lift"]].mean().reset_index()
    drawn = grouped.size().to_numpy(np.int64)
    reach = z * grouped["lift"].std().to_numpy(np.float64) / np.sqrt(drawn)
    labels = np.array([*map(str, ids), ""], dtype=object)[found.pop("alliance").to_numpy(np.int64)]
    found.insert(0, "alliance_id", pd.Series(labels, dtype="str"))
    found.insert(1, "blocks", drawn)
    found = found.assign(low=found["lift"] - reach, high=found["lift"] + reach)
    return give(found.sort_values(["lift", "alliance_id"], ascending=[False, True]), votes)


def allied_at(
    who: Integers, names: Names, times_us: Integers, members: pd.DataFrame
) -> tuple[Integers, Integers]:
    """Return which memberships stood for agents at moments: places of the moments, and of the memberships.

    Parameters
    ----------
    who : numpy.ndarray
        Of each moment, the place of its agent in `names`.
    names : numpy.ndarray
    times_us : numpy.ndarray
        The moments, in microseconds since 1970.
    members : pandas.DataFrame
        What `chaosnb.analysis.spells.standing` gives.

    Examples
    --------
    >>> members = pd.DataFrame({"agent_id": ["a"], "start_us": [10], "end_us": [20]})
    >>> who, names = np.array([1, 0, 0, 0]), np.array(["a", "b"], object)
    >>> [places.tolist() for places in allied_at(who, names, np.array([15, 9, 10, 20]), members)]
    [[2], [0]]
    """
    # Moments come in order most often, and few numbers are sorted in one pass.
    ordered = bool(np.all(times_us[1:] >= times_us[:-1]))
    small = who.astype(np.int16) if len(names) < 2**15 else who
    order = np.argsort(small, kind="stable") if ordered else np.lexsort((times_us, who))
    edges = np.searchsorted(who[order], np.arange(len(names) + 1))
    own = members.groupby("agent_id", sort=False, observed=True).indices
    start, end = members["start_us"].to_numpy(np.int64), members["end_us"].to_numpy(np.int64)
    found: list[tuple[Integers, Integers]] = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for place, name in enumerate(names):
        rows = np.asarray(own.get(name, ()), np.int64)
        mine = order[edges[place] : edges[place + 1]]
        begin, over = (np.searchsorted(times_us[mine], part[rows]) for part in (start, end))
        counts = np.maximum(over - begin, 0)
        owner = np.repeat(np.arange(len(rows)), counts)
        step = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        found.append((mine[begin[owner] + step], rows[owner]))
    moments, owners = (np.concatenate(parts).astype(np.int64) for parts in zip(*found, strict=True))
    return moments, owners
