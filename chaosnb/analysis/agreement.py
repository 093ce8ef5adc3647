"""Who votes like whom: agreement beyond chance between validators, and the groups that it makes."""

from __future__ import annotations

from typing import Any, Final

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.amounts import amount
from chaosnb.analysis.frames import Frame, Lazy, fetch, give, take
from chaosnb.analysis.intervals import quantile
from chaosnb.analysis.turns import first
from chaosnb.errors import MissingExtraError

__all__ = ["agreement_clusters", "vote_agreement", "vote_codes"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_SLICE: Final = 20_000
_COLUMNS: Final = ("validator_a", "validator_b", "blocks", "agreement", "expected", "kappa", "low", "high")


def vote_agreement(votes: Frame, *, minimum_overlap: int = 20, confidence: float = 0.95) -> Frame:
    """Return how much each two validators agree beyond chance: Cohen's kappa of their votes.

    Over the n blocks on which both voted, with a the share of blocks on which they agree and e =
    p q + (1 − p)(1 − q) the share that chance would give two that approve p and q of them, kappa is
    (a − e) / (1 − e) [1]_: 1 for always, 0 for chance, below 0 for less than that. Its interval is
    kappa ± z s, with Fleiss, Cohen and Everitt's s for large samples [2]_, within −1 and 1.

    Parameters
    ----------
    votes : frame
        The table `block_validation`; a second vote of a validator on a block does not count, nor do votes
        that neither approve nor reject.
    minimum_overlap : int
        On how many blocks both must have voted; pairs with less are left out.
    confidence : float
        How sure to be that kappa lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        A row for each pair, highest kappa first: `validator_a` and `validator_b` in order of their names,
        `blocks`, `agreement`, `expected`, `kappa`, `low` and `high`. Kappa is unknown where chance alone
        would make them agree always, since each of them always votes the same.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or an option is not possible.

    Notes
    -----
    Votes in a gap are missing for all validators alike, so a gap makes overlaps smaller and intervals wider.
    Kappa tells that two vote alike, not why: a good block makes all approve. `alliance_cohesion` holds pairs
    against others on the same block.

    References
    ----------
    .. [1] J. Cohen (1960). A coefficient of agreement for nominal scales. Educational and Psychological
       Measurement 20 (1), 37–46. doi:10.1177/001316446002000104
    .. [2] J. L. Fleiss, J. Cohen, B. S. Everitt (1969). Large sample standard errors of kappa and weighted
       kappa. Psychological Bulletin 72 (5), 323–327. doi:10.1037/h0028106

    Examples
    --------
    >>> time = pd.date_range("2026-01-01", periods=8, tz="UTC")
    >>> of = {"timestamp": time, "block_hash": list("abcdabcd"), "validator_id": ["v"] * 4 + ["w"] * 4}
    >>> said = ["approve", "approve", "reject", "reject", "approve", "approve", "reject", "approve"]
    >>> found = vote_agreement(pd.DataFrame({**of, "decision": said}), minimum_overlap=4)
    >>> found[["validator_a", "validator_b", "agreement", "kappa"]].to_numpy().tolist()
    [['v', 'w', 0.75, 0.5]]
    """
    if not amount(minimum_overlap) >= 1:
        raise ValueError(f"minimum_overlap={minimum_overlap!r} is not possible: choose at least 1 block")
    z = quantile(confidence)
    names, block, validator, approves = vote_codes(
        first(
            take(
                votes,
                *("block_validation", "timestamp", "block_hash", "validator_id", "decision"),
                optional=["seq"],
            ),
            ["block_hash", "validator_id"],
        )
    )
    yes_yes, yes_no, no_no = _pairs(block, validator, approves, len(names))
    one, other = np.triu_indices(len(names), 1)
    a, b, c = (table[one, other] for table in (yes_yes, yes_no, no_no))
    d = yes_no.T[one, other]
    n = a + b + c + d
    enough = n >= minimum_overlap
    found = _kappa(a[enough], b[enough], d[enough], c[enough], z)
    pairs: dict[str, Any] = {
        "validator_a": names[one[enough]],
        "validator_b": names[other[enough]],
        "blocks": n[enough].astype(np.int64),
    }
    table = pd.DataFrame({**pairs, **found}, columns=[*_COLUMNS])
    table = table.astype({"validator_a": "str", "validator_b": "str"})
    order = np.lexsort((table["validator_b"], table["validator_a"], -table["kappa"].fillna(-2.0)))
    return give(table.iloc[order], votes)


def agreement_clusters(agreement: Frame, *, significant: bool = True, resolution: float = 1.0) -> Frame:
    """Return groups of validators that vote alike, by the agreement of each two.

    Validators are joined to each other with their kappa as weight, and the graph is cut into the communities
    that have the greatest modularity, by the Louvain method [1]_, as networkx does it, always from the same
    seed.

    Parameters
    ----------
    agreement : frame
        What `vote_agreement` gives.
    significant : bool
        Whether only pairs whose interval lies above 0 are joined. False: all whose kappa is above 0.
    resolution : float
        More than 1 makes smaller groups, less makes larger ones.

    Returns
    -------
    frame
        `validator_id`, `cluster` (1 for the largest), `size`, and `within`, the mean kappa with the others of
        its cluster, unknown for one that stands alone.

    Raises
    ------
    MissingExtraError
        If networkx is not installed.
    TypeError, ValueError
        If it is no frame, lacks a column, or the resolution is not possible.

    Notes
    -----
    Pairs without enough blocks in common, such as after a gap, are not joined, so that a cluster may fall
    apart.

    References
    ----------
    .. [1] V. D. Blondel, J.-L. Guillaume, R. Lambiotte, E. Lefebvre (2008). Fast unfolding of communities in
       large networks. Journal of Statistical Mechanics, P10008. doi:10.1088/1742-5468/2008/10/P10008

    Examples
    --------
    >>> pairs = {"validator_a": ["u", "u", "v"], "validator_b": ["v", "w", "w"], "kappa": [0.9, 0.0, 0.1]}
    >>> found = agreement_clusters(pd.DataFrame({**pairs, "low": [0.7, -0.2, -0.1]}))
    >>> found[["validator_id", "cluster", "within"]].to_numpy().tolist()
    [['u', 1, 0.9], ['v', 1, 0.9], ['w', 2, nan]]
    """
    if not 0 < amount(resolution) < float("inf"):
        raise ValueError(f"resolution={resolution!r} is not possible: choose more than 0, such as 1.0")
    try:
        import networkx as nx
    except ImportError:
        raise MissingExtraError("finding clusters", extra="analysis") from None
    names = ("validator_a", "validator_b", "kappa", "low")
    pairs = fetch(take(agreement, "vote_agreement", *names)).sort_values(["validator_a", "validator_b"])
    graph = nx.Graph()
    graph.add_nodes_from(sorted({*map(str, pairs["validator_a"]), *map(str, pairs["validator_b"])}))
    joined = pairs[(pairs["low"] > 0 if significant else pairs["kappa"] > 0).to_numpy(bool)]
    for a, b, kappa in zip(joined["validator_a"], joined["validator_b"], joined["kappa"], strict=True):
        graph.add_edge(str(a), str(b), weight=float(kappa))
    groups = nx.community.louvain_communities(graph, resolution=resolution, seed=0) if len(graph) else []
    groups = sorted((sorted(group) for group in groups), key=lambda group: (-len(group), group))
    cluster = {name: number for number, group in enumerate(groups, 1) for name in group}
    ends = zip(pairs["validator_a"], pairs["validator_b"], strict=True)
    same = pairs[np.array([cluster[str(a)] == cluster[str(b)] for a, b in ends], bool)]
    both = pd.concat([same[[end, "kappa"]].set_axis(["validator_id", "kappa"], axis=1) for end in names[:2]])
    within = both.groupby("validator_id", observed=True)["kappa"].mean()
    rows = [(name, cluster[name], len(group)) for group in groups for name in group]
    found = pd.DataFrame(rows, columns=["validator_id", "cluster", "size"])
    found = found.astype({"validator_id": "str", "cluster": "int64", "size": "int64"})
    found["within"] = found["validator_id"].map(within).astype("float64")
    return give(found, agreement)


def vote_codes(votes: Lazy) -> tuple[npt.NDArray[np.object_], Integers, Integers, npt.NDArray[np.bool_]]:
    """Return votes as numbers: validators' names, then of each vote its block, validator, and if it approves.

    Votes that neither approve nor reject, or that name no block or validator, are left out. Blocks are
    numbered as they come, validators by name.
    """
    decides = (nw.col("decision") == "approve") | (nw.col("decision") == "reject")
    named = ~(nw.col("block_hash").is_null() | nw.col("validator_id").is_null())
    table = fetch(votes.filter(decides, named).select("block_hash", "validator_id", "decision"))
    block = pd.factorize(table["block_hash"])[0].astype(np.int64)
    validator, found = pd.factorize(table["validator_id"])
    names = np.array([*map(str, found)], dtype=object)
    order = np.argsort(names)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    decided = (table["decision"] == "approve").to_numpy(bool)
    return names[order], block, place[validator] if len(names) else block, decided


def _pairs(
    block: Integers, validator: Integers, approves: npt.NDArray[np.bool_], validators: int
) -> tuple[Floats, Floats, Floats]:
    """Count for each two on how many blocks both approve, only the first does, and both reject."""
    yes_yes, yes_no, no_no = (np.zeros((validators, validators)) for _ in range(3))
    order = np.argsort(block, kind="stable")
    block, validator, approves = block[order], validator[order], approves[order]
    blocks = int(block[-1]) + 1 if len(block) else 0
    # A slice of blocks at a time: products of matrices, yet never a large one.
    for start in range(0, blocks, _SLICE):
        part = slice(*np.searchsorted(block, [start, start + _SLICE]))
        yes, no = (np.zeros((_SLICE, validators), np.float32) for _ in range(2))
        at = block[part] - start
        yes[at[approves[part]], validator[part][approves[part]]] = 1
        no[at[~approves[part]], validator[part][~approves[part]]] = 1
        yes_yes += yes.T @ yes
        yes_no += yes.T @ no
        no_no += no.T @ no
    return yes_yes, yes_no, no_no


def _kappa(a: Floats, b: Floats, c: Floats, d: Floats, z: float) -> dict[str, Floats]:
    """Return kappa of tables with cells a (both approve), b, c (only the first, the second) and d."""
    with np.errstate(divide="ignore", invalid="ignore"):
        n = a + b + c + d
        a, b, c, d = a / n, b / n, c / n, d / n
        p, q = a + b, a + c
        agree, chance = a + d, p * q + (1 - p) * (1 - q)
        kappa = np.where(chance < 1, (agree - chance) / (1 - chance), np.nan)
        on = a * (1 - (p + q) * (1 - kappa)) ** 2 + d * (1 - (2 - p - q) * (1 - kappa)) ** 2
        off = (1 - kappa) ** 2 * (b * (q + 1 - p) ** 2 + c * (p + 1 - q) ** 2)
        rest = (kappa - chance * (1 - kappa)) ** 2
        error = np.sqrt(np.maximum(on + off - rest, 0) / n) / (1 - chance)
    ends = {"low": np.maximum(kappa - z * error, -1), "high": np.minimum(kappa + z * error, 1)}
    return {"agreement": agree, "expected": chance, "kappa": kappa, **ends}
