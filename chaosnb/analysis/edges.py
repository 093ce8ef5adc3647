"""Who was allied with whom, and for how long: the graph of alliances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.frames import Frame, fetch, give, take
from chaosnb.analysis.presents import seen_until
from chaosnb.analysis.spells import standing
from chaosnb.analysis.turns import numbered
from chaosnb.errors import MissingExtraError

if TYPE_CHECKING:
    import networkx

__all__ = ["alliance_edges", "alliance_graph"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def alliance_edges(updates: Frame, *, until: str | pd.Timestamp | None = None) -> Frame:
    """Return which two agents were allied, in how many alliances, and for how long.

    Parameters
    ----------
    updates : frame
        The table `alliance_update`.
    until : str or pandas.Timestamp, optional
        As in `alliance_spells`.

    Returns
    -------
    frame
        `agent_a` and `agent_b` in order of their names, `alliances`, and `shared_s`, the seconds for which
        they were allied, summed over alliances; the longest first.

    Raises
    ------
    TypeError, ValueError
        As in `alliance_spells`.

    Notes
    -----
    Gaps do to it what they do to `alliance_spells`.

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> updates = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": "u", "members": members}
    >>> alliance_edges(pd.DataFrame({**updates, "duration": "PT1M"}), until="2026-02-01").to_numpy().tolist()
    [['a', 'b', 1, 60.0]]
    """
    rows = standing(updates)
    agents = rows["agent_id"].cat.categories
    until_us = seen_until(updates, "alliance_update", until)
    shared_s = np.maximum(np.minimum(rows["end_us"], until_us) - rows["start_us"], 0).to_numpy() / 1e6
    pairs = pd.concat([_shared(rows, shared_s, places, step) for places, step in _pairs(rows)])
    edges = pairs.groupby("pair", as_index=False).agg(
        alliances=("alliance", "nunique"), shared_s=("shared_s", "sum")
    )
    pair = edges.pop("pair").to_numpy(np.int64)
    edges.insert(0, "agent_a", agents.take(pair // max(len(agents), 1)))
    edges.insert(1, "agent_b", agents.take(pair % max(len(agents), 1)))
    kinds = {"agent_a": "str", "agent_b": "str", "alliances": "int64", "shared_s": "float64"}
    edges = edges.sort_values(["shared_s", "agent_a", "agent_b"], ascending=[False, True, True])
    return give(edges.astype(kinds), updates)


def alliance_graph(updates: Any, *, until: str | pd.Timestamp | None = None) -> networkx.Graph:
    """Return who was allied with whom as a graph of networkx, for its measures and layouts.

    Parameters
    ----------
    updates : frame
        The table `alliance_update`.
    until : str or pandas.Timestamp, optional
        As in `alliance_spells`.

    Returns
    -------
    networkx.Graph
        A node for each agent that was ever allied; the edges are those of `alliance_edges`, with `shared_s`
        as their `weight`, and `alliances`.

    Raises
    ------
    MissingExtraError
        If networkx is not installed.
    TypeError, ValueError
        As in `alliance_spells`.

    Notes
    -----
    Gaps do to it what they do to `alliance_spells`.

    Examples
    --------
    >>> members = [[{"id": "a", "role": "leader"}, {"id": "b", "role": "member"}]]
    >>> updates = {"timestamp": pd.to_datetime(["2026-01-01"]), "alliance_id": "u", "members": members}
    >>> graph = alliance_graph(pd.DataFrame({**updates, "duration": "PT1M"}), until="2026-02-01")
    >>> dict(graph["a"]["b"])
    {'weight': 60.0, 'alliances': 1}
    """
    try:
        import networkx as nx
    except ImportError:
        raise MissingExtraError("a graph of alliances", extra="analysis") from None
    graph = nx.Graph()
    graph.add_nodes_from(sorted({*standing(updates)["agent_id"]}))
    edges = fetch(
        take(
            alliance_edges(updates, until=until),
            "alliance_edges",
            "agent_a",
            "agent_b",
            "alliances",
            "shared_s",
        )
    )
    ends = zip(edges["agent_a"].tolist(), edges["agent_b"].tolist(), strict=True)
    for (a, b), weight, count in zip(
        ends, edges["shared_s"].tolist(), edges["alliances"].tolist(), strict=True
    ):
        graph.add_edge(a, b, weight=weight, alliances=count)
    return graph


def _pairs(members: pd.DataFrame) -> Iterator[tuple[Integers, int]]:
    """Give the places of members of an update of whom another one stands so many places below."""
    update = np.diff(members["version"], prepend=-1) != 0
    update |= np.diff(members["alliance_id"].cat.codes, prepend=-1) != 0
    begins = np.flatnonzero(update)
    below = np.repeat(
        np.append(begins[1:], len(members))[: len(begins)], np.diff(begins, append=len(members))
    )
    below -= np.arange(1, len(members) + 1)
    places, step = np.flatnonzero(below >= 1), 1
    while len(places) or step == 1:
        yield places, step
        step += 1
        places = places[below[places] >= step]


def _shared(members: pd.DataFrame, shared_s: Floats, places: Integers, step: int) -> pd.DataFrame:
    """Return for how long members were allied with those that stand so far below them, by alliance."""
    codes = members["agent_id"].cat.codes.to_numpy()
    a, b = codes[places], codes[places + step]
    agents, alliances = (len(members[name].cat.categories) for name in ("agent_id", "alliance_id"))
    key = np.minimum(a, b).astype(np.int64)
    key *= agents
    key += np.maximum(a, b)
    key *= alliances
    key += members["alliance_id"].cat.codes.to_numpy()[places]
    cell, keys = numbered(key, agents * agents * alliances)
    found = {"pair": keys // max(alliances, 1), "alliance": keys % max(alliances, 1)}
    return pd.DataFrame({**found, "shared_s": np.bincount(cell, shared_s[places], len(keys))})
