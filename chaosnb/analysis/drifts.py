"""Whether rates of approval change over time: the CUSUM test."""

from __future__ import annotations

from typing import Any, Final, Literal

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.analysis.ballots import counted_votes
from chaosnb.analysis.columns import ranked
from chaosnb.analysis.frames import Frame, fetch, flag, give

__all__ = ["CRITICAL_95", "cusum", "drift"]

CRITICAL_95: Final = 1.3581
"""What `cusum` leaves, to either side, in 5 % of cases if nothing changes."""

Who = Literal["personality", "validator"]

_COLUMN_OF: Final = {"personality": "validator_personality", "validator": "validator_id"}
_FEWEST_BLOCKS: Final = 10
_TERMS: Final = np.arange(1, 101)


def cusum(votes: Frame, by: Who | None = "personality") -> Frame:
    """Return the cumulative sum of how far votes were from their mean rate of approval, block by block.

    With a_b approvals among n_b votes on block b, and p the rate of approval over all blocks, the deviation
    of a block is r_b = a_b − n_b p, and after block k the sum is S_k = Σ_{b ≤ k} r_b / √(Σ r_b²) [1]_. While
    the rate stays what it is, S goes to and fro about 0; it rises while votes approve more than on the
    whole, and turns where the rate changes. Blocks, not votes, are taken for independent, since votes on one
    block have much in common.

    Parameters
    ----------
    votes : frame
        The table `block_validation`; second votes do not count.
    by : {"personality", "validator"} or None
        Whose votes make a sum. None: all votes make one.

    Returns
    -------
    frame
        The name under `by`; `time` of the first of its votes on the block, in UTC; `cusum`. In order of both.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, or there is no such grouping.

    Notes
    -----
    A gap leaves blocks out, and does not bend the sum by itself.

    References
    ----------
    .. [1] W. Ploberger, W. Krämer (1992). The CUSUM test with OLS residuals. Econometrica 60 (2), 271–285.
       doi:10.2307/2951597. With the variance summed over blocks (clusters).

    Examples
    --------
    >>> of = {"block_hash": list("abcd"), "decision": ["approve"] * 2 + ["reject"] * 2, "validator_id": "v"}
    >>> votes = pd.DataFrame({**of, "timestamp": pd.date_range("2026-01-01", periods=4, freq="s")})
    >>> cusum(votes, by=None)["cusum"].tolist()
    [0.5, 1.0, 0.5, 0.0]
    """
    found = [
        pd.DataFrame({**_named(by, name), "time": blocks["t_us"], "cusum": _path(blocks)})
        for name, blocks in _by_block(votes, by)
    ]
    nothing = pd.DataFrame(
        {**_named(by, pd.Series(dtype="str")), "time": np.zeros(0, np.int64), "cusum": np.zeros(0)}
    )
    return give(pd.concat(found) if found else nothing, votes)


def drift(votes: Frame, by: Who | None = "personality") -> Frame:
    """Test whether the rate of approval changes over time, and tell when it most likely did.

    The statistic is max |S_k| of `cusum`. If nothing changes it is distributed, for many blocks, as the
    greatest distance of a Brownian bridge from 0, so that
    p = 2 Σ_{j ≥ 1} (−1)^{j−1} exp(−2 j² x²) (Kolmogorov) [1]_.

    Parameters
    ----------
    votes : frame
        The table `block_validation`; second votes do not count.
    by : {"personality", "validator"} or None
        As in `cusum`. Of many groups some have a small p by chance: for m of them compare it to 0.05 / m.

    Returns
    -------
    frame
        The name under `by`; `blocks` and `votes`; `statistic`; `p_value`; `change_at` in UTC, the first block
        after the likeliest change, whether there was one or not; rates `before` and `after` it. In order of
        `p_value`. Of fewer than ten blocks, or none in dispute, nothing is known.

    Raises
    ------
    TypeError, ValueError
        As of `cusum`.

    Notes
    -----
    A gap takes blocks away, and with them power; it makes no change. A personality's rate changes also when
    other agents of it vote, as when one is away.

    References
    ----------
    .. [1] W. Ploberger, W. Krämer (1992). The CUSUM test with OLS residuals. Econometrica 60 (2), 271–285.
       doi:10.2307/2951597.

    Examples
    --------
    >>> of = {"block_hash": range(40), "decision": ["approve"] * 20 + ["reject"] * 20, "validator_id": "v"}
    >>> votes = pd.DataFrame({**of, "timestamp": pd.date_range("2026-01-01", periods=40, freq="s")})
    >>> drift(votes, by=None)[["p_value", "before", "after"]].round(6).to_numpy().tolist()
    [[0.0, 1.0, 0.0]]
    """
    rows = [{**_named(by, name), **_change(blocks)} for name, blocks in _by_block(votes, by)]
    columns = [*_named(by, ""), *_change(pd.DataFrame({"t_us": [], "approve": [], "voted": []}))]
    found = pd.DataFrame(rows, columns=columns)
    if not rows:
        found = found.astype({name: "str" if name == by else "float64" for name in columns})
        found = found.astype({"blocks": "int64", "votes": "int64"})
    order = ["p_value", *_named(by, "")]
    return give(found.sort_values(order, kind="stable"), votes, times=["change_at"])


def _by_block(votes: Any, by: str | None) -> list[tuple[str, pd.DataFrame]]:
    if by is not None and by not in [*_COLUMN_OF]:
        raise ValueError(f"by={by!r} is not possible: choose 'personality', 'validator' or None")
    names = [] if by is None else [_COLUMN_OF[by]]
    rows = counted_votes(votes, *names)
    approves, rejects = nw.col("decision") == "approve", nw.col("decision") == "reject"
    flagged = rows.with_columns(approve=flag(approves), voted=flag(approves | rejects))
    if by != "validator":  # of whom there is one vote on a block
        flagged = flagged.group_by(*names, "block_hash").agg(
            nw.col("approve").sum(), nw.col("voted").sum(), nw.col("t_us").min()
        )
    blocks = fetch(flagged.filter(nw.col("voted") > 0))
    nobody = (np.array([""], dtype=object), np.zeros(len(blocks), np.int64))
    labels, label = nobody if by is None else ranked(blocks[names[0]])
    order = _in_order(label, blocks)
    ordered = blocks[["approve", "voted", "t_us"]].iloc[order]
    ends = np.cumsum(np.bincount(label, minlength=len(labels)))
    parts = [ordered.iloc[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [(str(name), part) for name, part in zip(labels, parts, strict=True) if len(part)]


def _in_order(label: npt.NDArray[np.int64], blocks: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return blocks in order of their labels, of time, and of their hashes."""
    times = blocks["t_us"].to_numpy(np.int64)
    if np.all(times[1:] >= times[:-1]):
        # Most often they come so, and no label has two at the same time: few numbers are sorted in one pass.
        small = label.astype(np.int16) if int(label.max(initial=0)) < 2**15 else label
        order = np.argsort(small, kind="stable")
        tied = (np.diff(times[order]) == 0) & (np.diff(label[order]) == 0)
        at = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
        some = order[at]
        order[at] = some[np.lexsort((ranked(blocks["block_hash"].iloc[some])[1], times[some], label[some]))]
        return order
    return np.lexsort((ranked(blocks["block_hash"])[1], times, label))


def _named(by: str | None, name: Any) -> dict[str, Any]:
    return {} if by is None else {by: name}


def _path(blocks: pd.DataFrame) -> npt.NDArray[np.float64]:
    approve, voted = blocks["approve"].to_numpy(np.float64), blocks["voted"].to_numpy(np.float64)
    deviation = approve - voted * (approve.sum() / voted.sum())
    scale = np.sqrt(np.sum(deviation**2))
    # Rounding leaves a little of what is nothing, where all votes are the same.
    if scale <= 1e-9 * voted.sum():
        return np.zeros(len(deviation))
    return np.asarray(np.cumsum(deviation) / scale)


def _change(blocks: pd.DataFrame) -> dict[str, Any]:
    path = _path(blocks) if len(blocks) else np.zeros(0)
    known = len(path) >= _FEWEST_BLOCKS and bool(np.any(path))
    turn = int(np.argmax(np.abs(path))) + 1 if known else 0
    statistic = float(np.abs(path).max()) if known else np.nan
    approve, voted = blocks["approve"].to_numpy(np.float64), blocks["voted"].to_numpy(np.float64)
    return {
        "blocks": len(path),
        "votes": int(voted.sum()),
        "statistic": statistic,
        "p_value": _p_value(statistic),
        "change_at": float(blocks["t_us"].iloc[turn]) if known else np.nan,
        "before": approve[:turn].sum() / voted[:turn].sum() if known else np.nan,
        "after": approve[turn:].sum() / voted[turn:].sum() if known else np.nan,
    }


def _p_value(statistic: float) -> float:
    # The series does not converge near 0, where the probability is 1 to twelve digits.
    if not statistic > 0.2:
        return statistic if np.isnan(statistic) else 1.0
    terms = np.where(_TERMS % 2, 1.0, -1.0) * np.exp(-2.0 * _TERMS**2 * statistic**2)
    return float(np.clip(2.0 * terms.sum(), 0.0, 1.0))
