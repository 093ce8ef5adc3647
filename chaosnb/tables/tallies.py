"""What `chaosnb.analysis` says of votes, words and scores, kept up while they come: approval, movers, ….

Nothing is kept before somebody asks; from then on each vote is entered once, and only blocks with new votes
are judged again. A vote that comes late, or twice, goes where it belongs: parts may overlap.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from chaosnb.ingest.session import Batch
from chaosnb.tables.movers import Movers
from chaosnb.tables.selection import Selection
from chaosnb.tables.sentiments import Sentiments
from chaosnb.text import are_names, did_you_mean

__all__ = ["TALLIES", "Tallies"]

TALLIES: Final = ("approval", "outcomes", "consensus", "movers", "sentiment_by")
"""The names that `Tallies.value` knows."""

_EVERYBODY: Final = Selection()
_QUORUM: Final = 0.5
_MOST_BLOCKS: Final = 50_000
# Each takes some 200 bytes.
_MOST_VOTES: Final = 2_000_000
_MOST_AGENTS: Final = 10_000
_CAST: Final = ("approve", "reject")
_REASONS: Final = ("too few votes", "no majority", "a personality against")
_BLOCK_FIELDS: Final = ("block_hash", "height", "producer_id", "timestamp", "seq")
_VOTE_FIELDS: Final = ("block_hash", "validator_id", "validator_personality", "decision", "timestamp", "seq")


class _Vote(NamedTuple):
    t_us: int
    seq: int
    personality: str
    decision: str


class _Made(NamedTuple):
    t_us: int
    seq: int
    height: int
    producer: str


class _Verdict(NamedTuple):
    first_us: int
    approve: int
    reject: int
    against: int
    reason: str
    outcome: str
    since_us: int


@dataclass(slots=True)
class _Ballot:
    votes: dict[str, _Vote] = field(default_factory=dict)
    verdict: _Verdict | None = None


class Tallies:
    """Votes by personality and block, scores and words; safe to update in one thread and to read in others.

    The newest 50,000 blocks and two million votes are kept; votes on older ones stay counted. Those of agents
    beyond the first 10,000, which a node can make up without end, are not, nor is what has names longer than
    1,000 characters.

    Examples
    --------
    >>> Tallies().value("approval", lambda table: pd.DataFrame()).columns.tolist()
    ['personality', 'approve', 'reject', 'other', 'approval_rate']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._beginning = threading.Lock()  # of which what updates knows nothing
        self._kept = False
        self._ballots: dict[str, _Ballot] = {}
        self._blocks: dict[str, _Made] = {}
        self._counts: dict[tuple[str, str], Counter[str]] = {}
        self._voters: Counter[str] = Counter()
        self._votes = 0
        self._judged_for = 0
        self._newest_us = 0
        self._feed_us: int | None = None  # the newest event time that is believed
        self._movers: Movers | None = None
        self._sentiments: Sentiments | None = None

    def update(self, batch: Batch) -> None:
        """Enter what a batch has of that which anybody has asked for yet."""
        if batch.newest_us is not None:
            self._feed_us = batch.newest_us
        if self._movers is not None:
            with self._lock:
                self._movers.update(batch)
        if self._sentiments is not None:
            with self._lock:
                self._sentiments.update(batch)
        if not self._kept:
            return
        with self._lock:
            if rows := batch.rows.get("block_validation"):
                for event, t_us, seq in zip(
                    rows.events, rows.timestamp_us.tolist(), rows.seq.tolist(), strict=True
                ):
                    who = event.validator
                    self._vote(event.block_hash, who.id, who.personality, event.decision, t_us, seq)
            if rows := batch.rows.get("block_proposal"):
                for event, t_us, seq in zip(
                    rows.events, rows.timestamp_us.tolist(), rows.seq.tolist(), strict=True
                ):
                    made = _Made(t_us, seq, event.height, event.producer.id)
                    self._propose(event.block_hash, made)

    def value(
        self,
        name: str,
        table: Callable[[str], pd.DataFrame],
        selection: Selection = _EVERYBODY,
        known: Mapping[str, str] | None = None,
    ) -> pd.DataFrame:
        """Return one tally; it equals what `chaosnb.analysis` makes of the same rows, if clocks are right.

        A function of tables has each block, and takes for their newest time the one believed by the rows of
        votes and blocks alone, which also tell when they arrived. So `consensus` can differ from it in
        blocks dated ahead, and in how long undecided ones wait; nothing else depends on what time it is.

        Parameters
        ----------
        name : {"approval", "outcomes", "consensus", "movers", "sentiment_by"}
        table : callable
            Gives a table by name, to begin with what had come before.
        selection : Selection
            Whose votes, blocks, scores and words to tell of; an outcome is always by everybody's votes.
        known : mapping of str to str, optional
            The personality of each agent, for a selection by personality.

        Returns
        -------
        pandas.DataFrame
            approval: as `chaosnb.analysis.approval_rate` by personality, without the interval.
            outcomes: as `chaosnb.analysis.block_outcomes`.
            consensus: as `chaosnb.analysis.consensus_time`, but without the blocks that are dated after the
            newest event time of the feed that is believed (`Batch.newest_us`: no more than an hour ahead of
            the median of the last 101 events, of whatever type); they come once the feed has come there.
            movers: as `chaosnb.analysis.reputation_movers`.
            sentiment_by: as `chaosnb.analysis.sentiment_index` by personality, without the interval.

        Raises
        ------
        ValueError
            If there is no such tally.
        """
        if name not in TALLIES:
            near = did_you_mean(str(name), TALLIES)
            raise ValueError(f"no tally {name!r}{near}; there are {', '.join(map(repr, TALLIES))}")
        chosen = selection.chosen(dict(known or {}))
        if name == "movers":
            return self._moved(table, chosen)
        if name == "sentiment_by":
            return self._said(table, selection)
        with self._beginning:
            if not self._kept:
                # First, so that no batch falls between: what both have is entered once.
                self._kept = True
                self._begin(table("block_validation"), table("block_proposal"))
        with self._lock:
            if name == "approval":
                return self._approval(selection)
            return self._outcomes(chosen) if name == "outcomes" else self._consensus(chosen)

    def _moved(self, table: Callable[[str], pd.DataFrame], chosen: set[str] | None) -> pd.DataFrame:
        with self._lock:
            if self._movers is None:
                self._movers = Movers()
                self._movers.begin(table("reputation_update"))
            return self._movers.value(chosen)

    def _said(self, table: Callable[[str], pd.DataFrame], selection: Selection) -> pd.DataFrame:
        with self._lock:
            if self._sentiments is None:
                self._sentiments = Sentiments()
                self._sentiments.begin(table("consensus_discussion"))
            return self._sentiments.value(selection)

    def _begin(self, votes: pd.DataFrame, blocks: pd.DataFrame) -> None:
        with self._lock:
            if len(votes):
                for block, who, kind, decision, t_us, seq in _columns(votes, _VOTE_FIELDS):
                    self._vote(block, who, kind, decision, t_us, seq)
            if len(blocks):
                for block, height, producer, t_us, seq in _columns(blocks, _BLOCK_FIELDS):
                    self._propose(block, _Made(t_us, seq, height, producer))

    def _vote(self, block: str, who: str, personality: str, decision: str, t_us: int, seq: int) -> None:
        self._newest_us = max(self._newest_us, t_us)
        if not are_names(block, who, personality):
            return
        if len(self._counts) >= _MOST_AGENTS and (personality, who) not in self._counts:
            return
        ballot = self._ballots.get(block)
        if ballot is None:
            ballot = self._ballots[block] = _Ballot()
        # Few words are said over and over: each is kept once.
        who, personality, decision = intern(who), intern(personality), intern(_kind(decision))
        vote, earlier = _Vote(t_us, seq, personality, decision), ballot.votes.get(who)
        # A validator's second vote on a block does not count, whichever of the two came here first.
        if earlier is not None and earlier[:2] <= vote[:2]:
            return
        if earlier is not None:
            self._count(who, earlier, -1)
        self._votes += earlier is None
        ballot.votes[who] = vote
        ballot.verdict = None
        self._count(who, vote, 1)
        while len(self._ballots) > _MOST_BLOCKS or (self._votes > _MOST_VOTES and len(self._ballots) > 1):
            self._votes -= len(self._ballots.pop(next(iter(self._ballots))).votes)

    def _count(self, who: str, vote: _Vote, step: int) -> None:
        counts = self._counts.setdefault((vote.personality, who), Counter())
        counts[vote.decision] += step
        if vote.decision in _CAST:
            self._voters[who] += step
            if not self._voters[who]:
                del self._voters[who]

    def _propose(self, block: str, made: _Made) -> None:
        self._newest_us = max(self._newest_us, made.t_us)
        if not are_names(block, made.producer):
            return
        known = self._blocks.get(block)
        if known is None or made[:2] < known[:2]:
            self._blocks[block] = made
            if len(self._blocks) > _MOST_BLOCKS:
                del self._blocks[next(iter(self._blocks))]

    def _approval(self, selection: Selection) -> pd.DataFrame:
        whole: dict[str, Counter[str]] = {}
        for (personality, who), counts in self._counts.items():
            if not selection.agents or who in selection.agents:
                whole.setdefault(personality, Counter()).update(counts)
        rows = []
        for personality, counts in whole.items():
            if selection.personalities and personality not in selection.personalities:
                continue
            approve, reject, other = counts["approve"], counts["reject"], counts["other"]
            if approve or reject or other:
                rate = approve / (approve + reject) if approve + reject else np.nan
                rows.append((personality, approve, reject, other, rate))
        rows.sort(key=lambda row: (-1.0 if np.isnan(row[4]) else row[4], row[0]))
        rows.sort(key=lambda row: -1.0 if np.isnan(row[4]) else row[4], reverse=True)
        kinds = {"personality": "str", "approve": "int64", "reject": "int64", "other": "int64"}
        return _frame(rows, kinds | {"approval_rate": "float64"})

    def _outcomes(self, producers: set[str] | None) -> pd.DataFrame:
        size = len(self._voters)
        rows = []
        for block, ballot in self._ballots.items():
            if producers is not None and (
                block not in self._blocks or self._blocks[block].producer not in producers
            ):
                continue
            verdict = self._verdict(ballot)
            if voted := verdict.approve + verdict.reject:
                outcome = "rejected" if verdict.reason else "accepted"
                shown = (
                    verdict.approve,
                    verdict.reject,
                    voted / size,
                    verdict.against,
                    outcome,
                    verdict.reason,
                )
                rows.append((block, verdict.first_us, *shown))
        rows.sort(key=lambda row: (row[1], row[0]))
        kinds = {"block_hash": "str", "time": "time", "approve": "int64", "reject": "int64"}
        kinds |= {"turnout": "float64", "personalities_against": "int64", "outcome": "str", "reason": "str"}
        return _frame(rows, kinds)

    def _consensus(self, producers: set[str] | None) -> pd.DataFrame:
        rows = []
        nothing = _Ballot()
        feed_us = self._newest_us if self._feed_us is None else self._feed_us
        now_us = min(self._newest_us, feed_us)
        for block, (t_us, _, height, producer) in self._blocks.items():
            if t_us > feed_us or (producers is not None and producer not in producers):
                continue
            verdict = self._verdict(self._ballots.get(block, nothing))
            open_ = verdict.outcome == "undecided"
            until_us = now_us if open_ else verdict.since_us
            rows.append((block, height, t_us, verdict.outcome, max(until_us - t_us, 0) / 1e6, int(open_)))
        rows.sort(key=lambda row: (row[2], row[0]))
        kinds = {"block_hash": "str", "height": "int64", "time": "time", "outcome": "str"}
        return _frame(rows, kinds | {"consensus_time_s": "float64", "censored": "int64"})

    def _verdict(self, ballot: _Ballot) -> _Verdict:
        size = len(self._voters)
        if size != self._judged_for:
            # A new validator makes the quorum larger for every block.
            self._judged_for = size
            for other in self._ballots.values():
                other.verdict = None
        if ballot.verdict is None:
            ballot.verdict = _judge(ballot.votes.values(), _QUORUM * size)
        return ballot.verdict


def _kind(decision: str) -> str:
    return decision if decision in _CAST else "other"


def _judge(votes: Iterable[_Vote], enough: float) -> _Verdict:
    """Take the network's rule over the votes in order of time; see `chaosnb.analysis.consensus_time`."""
    approve = reject = since_us = 0
    outcome, voted, approving = "undecided", set(), set()
    cast = sorted(vote for vote in votes if vote.decision in _CAST)
    for vote in cast:
        voted.add(vote.personality)
        if vote.decision == "approve":
            approve += 1
            approving.add(vote.personality)
        else:
            reject += 1
        if approve + reject < enough:
            now = "undecided"
        else:
            now = "accepted" if approve > reject and approving == voted else "rejected"
        if now != outcome:
            outcome, since_us = now, vote.t_us
    failed = (approve + reject < enough, approve <= reject, approving != voted)
    reason = ", ".join(what for what, holds in zip(_REASONS, failed, strict=True) if holds)
    first_us = cast[0].t_us if cast else 0
    return _Verdict(first_us, approve, reject, len(voted - approving), reason, outcome, since_us)


def _columns(frame: pd.DataFrame, names: Iterable[str]) -> Iterable[tuple[Any, ...]]:
    columns = []
    for name in names:
        column = frame[name]
        times = column.astype("int64") if name == "timestamp" else column
        columns.append(times.tolist())
    return zip(*columns, strict=True)


def _frame(rows: list[Any], kinds: dict[str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*kinds])
    plain = frame.astype({name: "int64" if kind == "time" else kind for name, kind in kinds.items()})
    if "time" in plain.columns:
        plain["time"] = plain["time"].astype("datetime64[us]").dt.tz_localize("UTC")
    return plain
