"""How long blocks take to be decided: consensus time, and the finality curve."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chaosnb.analysis.ballots import counted_votes
from chaosnb.analysis.columns import codes, ordered
from chaosnb.analysis.frames import Frame, fetch, give, take
from chaosnb.analysis.intervals import quantile
from chaosnb.analysis.outcomes import check_rule
from chaosnb.analysis.presents import ARRIVAL, newest_us
from chaosnb.analysis.turns import first, repeated

__all__ = ["consensus_time", "finality_curve"]

Integers = npt.NDArray[Any]

_OPEN, _REJECTED, _ACCEPTED = 0, 1, 2
_STATES: Final = np.array(["undecided", "rejected", "accepted"], dtype=object)


def consensus_time(
    votes: Frame, blocks: Frame, *, validators: int | None = None, quorum: float = 0.5
) -> Frame:
    """Return how long each block took from its proposal to its decisive vote.

    The decisive vote is the first from which on the outcome by the rule (see `block_outcomes`), taken over
    the votes so far, does not change any more. While fewer votes than the quorum are there, a block is
    undecided.

    Parameters
    ----------
    votes : frame
        The table `block_validation`.
    blocks : frame
        The table `block_proposal`.
    validators, quorum : optional
        As in `block_outcomes`.

    Returns
    -------
    frame
        A row for each proposed block, in order of time: `block_hash`, `height`, `time` of the proposal in
        UTC; `outcome`, ``accepted``, ``rejected`` or ``undecided``; `consensus_time_s`, seconds until the
        decisive vote, or, where there was none, until the newest row of either table (censored), but 0 for a
        block that is newer than that; and `censored`, 1 if undecided, else 0.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, the frames are of two kinds, one lacks a column, or an option is not possible.

    Notes
    -----
    A lost vote can make a block decided later, otherwise, or not at all: leave out blocks that a row of
    ``s.gaps`` touches. A block whose proposal was lost has no row. Votes that are dated before the proposal
    decide after 0 s. On the newest blocks voting goes on. Without a column `seq`, which of two votes at the
    same instant came first is left to the engine; see `valid_votes`.

    A row of a wrong clock is not the newest: one over an hour ahead of the median of the last 101 that
    arrived, both in itself and in its distance to its own arrival. Tables without `seq` and `received_at` do
    not tell, and their newest row counts, whatever its time. A block of such a clock has a row all the same,
    undecided after 0 s; ``s.tally("consensus")`` leaves it out until the feed comes there.

    Examples
    --------
    >>> time = pd.date_range("2026-01-01", periods=3, freq="s")
    >>> blocks = pd.DataFrame({"timestamp": time[:1], "block_hash": ["g"], "height": [1]})
    >>> of = {"block_hash": "g", "validator_id": list("uvw"), "validator_personality": "lawful"}
    >>> votes = pd.DataFrame({**of, "timestamp": time, "decision": ["reject", "approve", "approve"]})
    >>> consensus_time(votes, blocks)[["outcome", "consensus_time_s"]].to_numpy().tolist()
    [['accepted', 2.0]]
    """
    return give(_timed(votes, blocks, validators, quorum), blocks)


def finality_curve(
    votes: Frame,
    blocks: Frame,
    *,
    validators: int | None = None,
    quorum: float = 0.5,
    confidence: float = 0.95,
) -> Frame:
    """Return which share of blocks is decided by what time after the proposal (Kaplan–Meier).

    With d_i blocks decided at time t_i and n_i neither decided nor censored before, the share that is still
    open is S(t) = Π_{t_i ≤ t} (1 − d_i / n_i) [1]_; the curve is 1 − S. Its interval is that of
    log(−log S), with Greenwood's variance Σ d_i / (n_i (n_i − d_i)) [2]_.

    Parameters
    ----------
    votes, blocks, validators, quorum : optional
        As in `consensus_time`, whose times these are.
    confidence : float
        How sure to be that the share lies between `low` and `high`, between 0 and 1, at any one time.

    Returns
    -------
    frame
        A row for each time at which a block was decided, in order: `time_s` after the proposal; `decided`,
        the share by then, with `low` and `high`, which are unknown where all are decided; `at_risk`, blocks
        that were open just before; and `decisions`, those decided then.

    Raises
    ------
    TypeError, ValueError
        As of `consensus_time`, or if the confidence is not possible.

    Notes
    -----
    Blocks that are never decided keep the curve below 1. Those cut off by the end of the data are censored,
    and bend nothing. Votes lost in a gap make blocks look undecided, and the curve flatter.

    References
    ----------
    .. [1] E. L. Kaplan, P. Meier (1958). Nonparametric estimation from incomplete observations. Journal of
       the American Statistical Association 53 (282), 457–481. doi:10.1080/01621459.1958.10501452
    .. [2] J. D. Kalbfleisch, R. L. Prentice (2002). The Statistical Analysis of Failure Time Data, 2nd ed.,
       section 1.4. Wiley. doi:10.1002/9781118032985

    Examples
    --------
    >>> time = pd.date_range("2026-01-01", periods=4, freq="s")
    >>> blocks = pd.DataFrame({"timestamp": time[:2], "block_hash": ["g", "h"], "height": [1, 2]})
    >>> of = {"block_hash": list("gh"), "validator_id": "v", "validator_personality": "lawful"}
    >>> votes = pd.DataFrame({**of, "timestamp": time[2:], "decision": "approve"})
    >>> finality_curve(votes, blocks)[["time_s", "decided", "at_risk"]].to_numpy().tolist()
    [[2.0, 1.0, 2.0]]
    """
    z = quantile(confidence)
    timed = _timed(votes, blocks, validators, quorum)
    seconds, decided = timed["consensus_time_s"].to_numpy(), timed["censored"].to_numpy() == 0
    return give(_kaplan_meier(seconds, decided, z), blocks)


def _timed(votes: Any, blocks: Any, validators: int | None, quorum: float) -> pd.DataFrame:
    check_rule(validators, quorum)
    rows = counted_votes(votes, "validator_personality")
    order = ["t_us", *["seq"] * ("seq" in rows.collect_schema().names())]
    names = ("block_hash", "decision", "validator_personality", "validator_id", *order)
    cast = fetch(rows.select(*names))
    wanted = ("timestamp", "block_hash", "height")
    proposed = take(blocks, "block_proposal", *wanted, optional=ARRIVAL, beside=votes)
    made = ordered(fetch(first(proposed, ["block_hash"])), "t_us", "block_hash")
    cast_at = take(votes, "block_validation", "timestamp", optional=ARRIVAL)
    present_us = newest_us(cast_at, proposed)
    kind, decisions = codes(cast["decision"])
    yes, no = (np.append(decisions == name, False)[kind] for name in ("approve", "reject"))
    decides = yes | no
    if validators is None:
        voters = cast["validator_id"]
        validators = len((voters if decides.all() else voters[decides]).unique())
    code, hashes = codes(cast["block_hash"])
    # A vote without a hash has code -1, and so is on no block.
    block = np.append(_places(hashes.astype("str"), made["block_hash"]), np.int32(-1))[code]
    sorted_in = _in_order(block, decides & (block >= 0), [cast[name].to_numpy() for name in order])
    block, yes = block[sorted_in], yes[sorted_in]
    # Those who are of no known personality are one.
    personality, personalities = codes(cast["validator_personality"])
    group = block.astype(np.int64) * (len(personalities) + 1) + personality[sorted_in] + 1
    state = _states(block, group, (len(personalities) + 1) * max(len(made), 1), yes, quorum * validators)
    final, decisive_us = _decisive(block, state, cast["t_us"].to_numpy(np.int64)[sorted_in], len(made))
    proposed_us = made["t_us"].to_numpy(np.int64)
    until_us = np.where(final == _OPEN, present_us, decisive_us)
    return pd.DataFrame(
        {
            "block_hash": made["block_hash"],
            "height": made["height"],
            "time": proposed_us,
            "outcome": pd.Series(_STATES[final], dtype="str"),
            "consensus_time_s": np.maximum(until_us - proposed_us, 0) / 1e6,
            "censored": (final == _OPEN).astype(np.int64),
        }
    )


def _places(labels: pd.Index, among: pd.Series) -> npt.NDArray[np.int32]:
    """Return the place of each label among others, −1 where it is not; Arrow finds text the fastest."""
    text = pa.large_string()
    found = pc.index_in(pa.array(labels, text), value_set=pa.array(among.astype("str"), text))
    return np.asarray(found.fill_null(-1), np.int32)


def _in_order(block: Integers, used: npt.NDArray[np.bool_], times: list[Integers]) -> Integers:
    """Return the places of votes that are used, in order of their blocks and of time."""
    ordered = all(np.all(values[1:] >= values[:-1]) for values in times)
    order = np.argsort(block, kind="stable") if ordered else np.lexsort([*times[::-1], block])
    return order if used.all() else order[used[order]]


def _states(
    block: Integers, group: Integers, groups: int, yes: npt.NDArray[np.bool_], enough: float
) -> Integers:
    """Return how each block stands after each of its votes, which are in order of block and time."""
    starts = np.flatnonzero(_changes(block))
    sizes = np.diff(starts, append=len(block))

    def so_far(values: npt.NDArray[Any]) -> Integers:
        total = np.cumsum(values, dtype=np.int32 if len(values) < 2**31 else np.int64)
        before = total[starts] - values[starts] if len(starts) else total
        return np.asarray(total - np.repeat(before, sizes))

    opens = ~repeated(group, groups)
    gives_in = np.zeros(len(block), bool)
    gives_in[yes] = ~repeated(group[yes], groups)
    # A personality stands against a block from its first vote, a rejection, to its first approval.
    against = so_far((opens & ~yes).astype(np.int8) - (gives_in & ~opens).astype(np.int8))
    place = np.arange(1, len(block) + 1, dtype=np.int32 if len(block) < 2**31 else np.int64)
    voted: Integers = place - np.repeat(starts.astype(place.dtype), sizes)
    approvals = so_far(yes.astype(np.int8))
    accepted = (2 * approvals > voted) & (against == 0)
    state = np.where(accepted, np.int8(_ACCEPTED), np.int8(_REJECTED))
    state[voted < enough] = _OPEN
    return np.asarray(state)


def _decisive(block: Integers, state: Integers, t_us: Integers, blocks: int) -> tuple[Integers, Integers]:
    """Return how each block stands in the end, and when it came to stand so."""
    final, since_us = np.full(blocks, _OPEN), np.zeros(blocks, np.int64)
    changes = _changes(block) | _changes(state)
    # Of several assignments to one place the last one stays.
    final[block[changes]], since_us[block[changes]] = state[changes], t_us[changes]
    return final, since_us


def _changes(values: Integers) -> npt.NDArray[np.bool_]:
    """Return where a value is another than the one before it; the first one is."""
    found = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def _kaplan_meier(seconds: npt.NDArray[np.float64], decided: npt.NDArray[np.bool_], z: float) -> pd.DataFrame:
    times, decisions = np.unique(seconds[decided], return_counts=True)
    at_risk = len(seconds) - np.searchsorted(np.sort(seconds), times)
    open_share = np.cumprod(1 - decisions / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(decisions / (at_risk * (at_risk - decisions)))
        log = np.log(open_share)
        reach = z * np.sqrt(variance) / log
        low, high = 1 - open_share ** np.exp(reach), 1 - open_share ** np.exp(-reach)
    unknown = open_share <= 0
    return pd.DataFrame(
        {
            "time_s": times,
            "decided": 1 - open_share,
            "low": np.where(unknown, np.nan, low),
            "high": np.where(unknown, np.nan, high),
            "at_risk": at_risk.astype(np.int64),
            "decisions": decisions.astype(np.int64),
        }
    )
