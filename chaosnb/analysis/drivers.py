"""What drives votes: sentiment, memes and alliances in one model, beside what nobody sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import pandas as pd

from chaosnb.amounts import amount
from chaosnb.analysis.blocs import allied_at
from chaosnb.analysis.columns import ordered, texts
from chaosnb.analysis.frames import Frame, coded, fetch, give, take
from chaosnb.analysis.intervals import quantile
from chaosnb.analysis.meme_votes import fresh_at
from chaosnb.analysis.mixed_logit import Fit, Observations, fit
from chaosnb.analysis.spells import standing
from chaosnb.analysis.turns import first

__all__ = ["vote_drivers"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_COLUMNS: Final = ("driver", "personality", "votes", "estimate", "low", "high", "unit")
_ODDS: Final = {"odds_ratio": "estimate", "odds_low": "low", "odds_high": "high"}
_FEWEST_BLOCKS: Final = 20
_FEWEST_VOTES: Final = 10
_LOG_ODDS: Final = "log-odds"


def vote_drivers(
    votes: Frame,
    messages: Frame | None = None,
    memes: Frame | None = None,
    alliances: Frame | None = None,
    *,
    fresh_s: float | None = None,
    most_votes: int = 50_000,
    confidence: float = 0.95,
) -> Frame:
    """Return what sentiment, fresh memes and alliances do to votes, each with the others held constant.

    A block has something that all who speak and vote of it see, and the tables do not hold, such as its
    quality. It moves words and votes alike, so a plain odds ratio takes its doing for that of sentiment. Here
    it is a hidden cause, one standard normal number for each block, in a model of votes and words together
    (see `chaosnb.analysis.mixed_logit.fit`):

    - log-odds of approval = own to each validator + sentiment × (mean sentiment, −1 to 1, of what had been
      said about the block before the vote) + meme of its personality (if one was posted less than `fresh_s`
      before the vote) + loading × hidden cause;
    - log-odds of positive against negative words = own to each speaker + another loading × hidden cause.

    Votes of those who follow a leader into an alliance are left out of it. For them, with ℓ the vote of the
    leader that came before (1 for approve) and p the probability that the model gives such a vote without
    any alliance, given all else that is known of the block and ℓ, y = λℓ + (1 − λ)p on average if a share λ
    of votes copies the leader's. So λ is the slope of y − p against ℓ − p, each validator with an intercept
    of its own. p is itself estimated, and its error stands on both sides, which would draw λ towards 1; so ℓ
    serves as the instrument: λ = Σ ℓ(y − p) / Σ ℓ(ℓ − p), with ℓ less its mean for each validator. The
    standard error is robust for votes that share one of the G blocks [1]_, times √(G / (G − 1)).

    Sentiment's coefficient is corrected for its bias in few blocks by the jackknife of two halves [2]_:
    twice the estimate, less the mean of those from the even and from the odd blocks.

    Parameters
    ----------
    votes : frame
        The table `block_validation`; a second vote of a validator on a block does not count, nor do votes
        that neither approve nor reject.
    messages : frame, optional
        The table `consensus_discussion`. None: sentiment is left out of the model.
    memes : frame, optional
        The table `meme_posted`. None: memes are left out of the model.
    alliances : frame, optional
        The table `alliance_update`. None: alliances are left out, and copied votes, if there are any, count
        as the voter's own.
    fresh_s : float, optional
        For how many seconds after its posting a meme is fresh; needed with `memes`.
    most_votes : int
        How many votes to take at most: of more, those on blocks evenly spread over time. More make intervals
        narrower, and take longer.
    confidence : float
        How sure to be that an estimate's truth lies between `low` and `high`, between 0 and 1.

    Returns
    -------
    frame
        `driver` (``sentiment``, ``fresh meme`` for each `personality`, ``leader``), `personality` (empty for
        all), `votes` that bear on it, `estimate`, `low`, `high` and `unit`; the same as `odds_ratio`,
        `odds_low` and `odds_high`. The unit is
        ``log-odds`` (sentiment: from neutral to wholly positive) or, of the leader, ``share``: the share of
        members' votes that copy it, which has no odds. Estimates are unknown with fewer than 20 blocks
        or 10 votes of a kind. An interval that leaves out 0 is evidence of an effect.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, lacks a column, they are of different kinds, or an option is not possible.

    Notes
    -----
    A gap makes intervals wider. What was said in a gap is missing from the mean sentiment of its block, which
    draws that effect towards 0, as does a lost meme its own: leave blocks in gaps out. The hidden cause is
    taken to push words and votes the same way, and to be the only thing that they share besides what stands
    in the model.

    References
    ----------
    .. [1] K.-Y. Liang, S. L. Zeger (1986). Longitudinal data analysis using generalized linear models.
       Biometrika 73 (1), 13–22. doi:10.1093/biomet/73.1.13
    .. [2] M. H. Quenouille (1956). Notes on bias in estimation. Biometrika 43 (3/4), 353–360.
       doi:10.1093/biomet/43.3-4.353

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> block, quality = np.repeat(np.arange(300), 8), random.normal(size=300)
    >>> of = {"block_hash": [f"b{n}" for n in block], "validator_id": [f"v{n}" for n in range(8)] * 300}
    >>> of |= {"timestamp": pd.Timestamp("2026-01-01") + pd.to_timedelta(block, "s")}
    >>> said = np.where(random.uniform(size=2400) < 1 / (1 + np.exp(-quality[block])), 1, -1)
    >>> mean = np.bincount(block, said) / 8
    >>> yes = random.uniform(size=2400) < 1 / (1 + np.exp(-mean[block] - quality[block]))
    >>> votes = {**of, "validator_personality": "lawful", "decision": np.where(yes, "approve", "reject")}
    >>> words = np.where(said > 0, "positive", "negative")
    >>> messages = pd.DataFrame({**of, "sentiment": words}).rename(columns={"validator_id": "agent_id"})
    >>> found = vote_drivers(pd.DataFrame(votes), messages.assign(agent_personality="lawful")).iloc[0]
    >>> bool(found["low"] < 1 < found["high"])
    True
    """
    z = quantile(confidence)
    if memes is not None and not amount(fresh_s) > 0:
        raise ValueError(
            f"fresh_s={fresh_s!r} is not possible with memes: say for how many seconds one is fresh"
        )
    if not amount(most_votes) >= 100:
        raise ValueError(f"most_votes={most_votes!r} is not possible: choose at least 100")
    cast, chosen = _ballots(votes, most_votes)
    cast["sentiment"], said = 0.0, None
    if messages is not None:
        said = _words(messages, votes, chosen, cast)
    cast["fresh"] = False
    if memes is not None and fresh_s is not None:
        posted = fetch(take(memes, "meme_posted", "timestamp", beside=votes))["t_us"].to_numpy(np.int64)
        cast["fresh"] = fresh_at(cast["t_us"].to_numpy(np.int64), posted, fresh_s)
    leader = np.full(len(cast), -1)
    if alliances is not None:
        take(alliances, "alliance_update", "alliance_id", beside=votes)
        leader = _leaders(cast, standing(alliances))
    kinds = sorted({*cast["personality"]}) if memes is not None else []
    model = _Model.of(cast, leader < 0, said, kinds)
    rows: list[dict[str, Any]] = []
    found = model.fit() if model is not None and model.blocks >= _FEWEST_BLOCKS else None
    if messages is not None and len(cast):
        rows.append(_sentiment(model, found, z))
    rows += _memes(model, found, cast[leader < 0], kinds, z)
    if alliances is not None and len(cast):
        rows.append(_copied(model, found, cast, leader, z))
    kept = {"driver": "str", "personality": "str", "votes": "int64", "unit": "str"}
    table = pd.DataFrame(rows, columns=[*_COLUMNS]).astype(
        kept | dict.fromkeys(("estimate", "low", "high"), "float64")
    )
    logits = (table["unit"] == _LOG_ODDS).to_numpy(bool)
    with np.errstate(over="ignore"):
        for name, column in _ODDS.items():
            table[name] = np.where(logits, np.exp(table[column]), np.nan)
    return give(table, votes)


@dataclass(frozen=True)
class _Model:
    """Votes of their own accord, and words, as observations of `mixed_logit`, and where to find what."""

    seen: Observations
    block_of: dict[str, int]
    level_of: dict[str, int]
    kinds: list[str]
    votes: int

    @property
    def blocks(self) -> int:
        return len(self.block_of)

    @classmethod
    def of(
        cls, cast: pd.DataFrame, own: npt.NDArray[np.bool_], said: pd.DataFrame | None, kinds: list[str]
    ) -> _Model | None:
        free = cast[own]
        if free.empty:
            return None
        parts = [free.assign(kind=0, level="v " + free["agent"], outcome=free["yes"])]
        if said is not None:
            clear = said[said["mood"] != 0]
            spoken = clear.assign(kind=1, level="s " + clear["agent"], outcome=clear["mood"] > 0)
            parts.append(spoken.assign(sentiment=0.0, fresh=False, personality=""))
        names = ["block", "level", "kind", "outcome", "sentiment", "fresh", "personality"]
        whole = pd.concat([part[names] for part in parts], ignore_index=True)
        group, blocks = pd.factorize(whole["block"])
        level, levels = pd.factorize(whole["level"])
        order = np.argsort(group, kind="stable")
        columns = [whole["sentiment"].to_numpy(np.float64)] * (said is not None)
        fresh, kind = whole["fresh"].to_numpy(bool), whole["personality"].to_numpy(object)
        columns += [(fresh & (kind == name)).astype(np.float64) for name in kinds]
        covariates = np.column_stack(columns) if columns else np.zeros((len(whole), 0))
        seen = Observations(
            outcome=whole["outcome"].to_numpy(np.float64)[order],
            group=group[order].astype(np.int64),
            level=level[order].astype(np.int64),
            kind=whole["kind"].to_numpy(np.int64)[order],
            covariates=covariates[order],
        )
        named = ({str(name): place for place, name in enumerate(found)} for found in (blocks, levels))
        return cls(seen, next(named), next(named), kinds, len(free))

    @property
    def first_meme(self) -> int:
        return int(self.seen.covariates.shape[1]) - len(self.kinds)

    def fit(self) -> Fit:
        """Fit the model to all blocks."""
        return fit(self.seen)

    def fit_half(self, part: int, near: Fit) -> Fit:
        """Fit the model to every other block, given a fit to all."""
        seen = self.seen
        used = seen.group % 2 == part
        return fit(
            Observations(
                seen.outcome[used],
                seen.group[used] // 2,
                seen.level[used],
                seen.kind[used],
                seen.covariates[used],
            ),
            near,
        )

    def copied(self, found: Fit, after: pd.DataFrame) -> tuple[float, float]:
        """Return the share of votes that copy the leader's, given a fit, and its standard error."""
        block = after["block"].map(self.block_of).to_numpy(np.int64)
        # Who never voted of its own accord has no intercept here: that of each is taken out below anyway.
        known = ("v " + after["agent"]).map(self.level_of)
        logits = np.where(known.notna(), found.intercepts[known.fillna(0).to_numpy(np.int64)], 0.0)
        if self.first_meme:
            logits += found.coefficients[0] * after["sentiment"].to_numpy(np.float64)
        effects = dict(zip(self.kinds, found.coefficients[self.first_meme :], strict=True))
        if effects:
            logits += np.where(after["fresh"], after["personality"].map(effects).fillna(0.0), 0.0)
        at_node = logits[:, None] + found.loadings[0] * found.nodes
        chance = (0.5 * (1 + np.tanh(0.5 * at_node)) * found.posterior[block]).sum(axis=1)
        led = after["led"].to_numpy(np.float64)
        terms = pd.DataFrame({"l": led, "x": led - chance, "y": after["yes"].to_numpy(np.float64) - chance})
        terms -= terms.groupby(after["agent"].to_numpy(object)).transform("mean")
        spread = float((terms["l"] * terms["x"]).sum())
        blocks = len(np.unique(block))
        if spread <= 0 or blocks < 2:
            return float("nan"), float("nan")
        share = float((terms["l"] * terms["y"]).sum()) / spread
        rest = np.bincount(block, terms["l"] * (terms["y"] - share * terms["x"]))
        return share, float(np.sqrt((rest**2).sum() * blocks / (blocks - 1))) / spread


def _ballots(votes: Any, most_votes: int) -> tuple[pd.DataFrame, list[str] | None]:
    """Return valid votes that decide, on all blocks or on some of them; and these blocks, None for all."""
    names = ("timestamp", "block_hash", "validator_id", "validator_personality", "decision")
    rows = coded(take(votes, "block_validation", *names, optional=["seq"]), "block_hash")
    chosen: list[str] | None = None
    counted = fetch(
        rows.group_by("block_hash")
        .agg(nw.col("t_us").min().alias("begin"), nw.len().alias("votes"))
        .with_columns(nw.col("block_hash").cast(nw.String()))
    )
    counted = ordered(counted, "begin", "block_hash")
    total = int(counted["votes"].sum())
    if total > most_votes:
        kept = max(2, int(len(counted) * most_votes / total))
        places = np.linspace(0, len(counted) - 1, kept).astype(np.int64)
        chosen = counted["block_hash"].iloc[places].dropna().astype("str").tolist()
        rows = rows.filter(nw.col("block_hash").is_in(chosen))
    cast = fetch(first(rows, ["block_hash", "validator_id"]))
    cast = cast.dropna(subset=["block_hash", "validator_id"])
    cast = cast[cast["decision"].isin(["approve", "reject"]).to_numpy(bool)]
    found = pd.DataFrame(
        {
            "t_us": cast["t_us"].to_numpy(np.int64),
            "block": cast["block_hash"].astype("str").to_numpy(object),
            "agent": cast["validator_id"].astype("str").to_numpy(object),
            "personality": texts(cast["validator_personality"]),
            "yes": (cast["decision"] == "approve").to_numpy(bool),
        }
    )
    return found.sort_values(["t_us", "block", "agent"]).reset_index(drop=True), chosen


def _words(messages: Any, votes: Any, chosen: list[str] | None, cast: pd.DataFrame) -> pd.DataFrame:
    """Return what was said about the blocks, and write into `cast` its mean before each vote."""
    names = ("timestamp", "block_hash", "agent_id", "sentiment")
    rows = take(messages, "consensus_discussion", *names, beside=votes)
    said = fetch(rows if chosen is None else rows.filter(nw.col("block_hash").is_in(chosen)))
    mood = said["sentiment"].astype("str").map({"positive": 1.0, "neutral": 0.0, "negative": -1.0})
    table = pd.DataFrame(
        {
            "t_us": said["t_us"].to_numpy(np.int64),
            "block": said["block_hash"].astype("str").to_numpy(object),
            "agent": texts(said["agent_id"]),
            "mood": mood.to_numpy(np.float64),
        }
    ).dropna(subset=["block", "mood"])
    table = table.sort_values(["t_us", "block", "agent"]).reset_index(drop=True)
    so_far = table.groupby("block", sort=False)["mood"]
    table["mean"] = so_far.cumsum() / (so_far.cumcount() + 1)
    # pandas takes an empty column of text for one of anything.
    table["block"] = table["block"].astype("str")
    moments = cast[["t_us", "block"]].astype({"block": "str"})
    before = pd.merge_asof(moments, table[["t_us", "block", "mean"]], on="t_us", by="block")
    cast["sentiment"] = before["mean"].fillna(0.0).to_numpy(np.float64)
    return table[table["block"].isin({*cast["block"]})]


def _leaders(cast: pd.DataFrame, members: pd.DataFrame) -> Integers:
    """Return for each vote the place in `members` by which it follows a leader, or -1."""
    who, names = pd.factorize(cast["agent"].to_numpy(object))
    times_us = cast["t_us"].to_numpy(np.int64)
    vote, place = allied_at(who.astype(np.int64), names, times_us, members)
    follows = (members["leader"] != members["agent_id"]).to_numpy(bool)[place]
    leader = np.full(len(cast), -1)
    leader[vote[follows]] = place[follows]
    leaders = np.append(members["leader"].to_numpy(object), "")  # the last one is that of nobody
    cast["leader"] = leaders[leader]
    return leader


def _sentiment(model: _Model | None, found: Fit | None, z: float) -> dict[str, Any]:
    row = {"driver": "sentiment", "personality": "", "votes": model.votes if model else 0, "unit": _LOG_ODDS}
    if model is None or found is None or not found.converged:
        return row
    estimate = float(found.coefficients[0])
    halves = [model.fit_half(part, found) for part in (0, 1)] if model.blocks >= 2 * _FEWEST_BLOCKS else []
    if halves and all(half.converged for half in halves):
        estimate = 2 * estimate - float(np.mean([half.coefficients[0] for half in halves]))
    reach = z * float(found.errors[0])
    return {**row, "estimate": estimate, "low": estimate - reach, "high": estimate + reach}


def _memes(
    model: _Model | None, found: Fit | None, free: pd.DataFrame, kinds: list[str], z: float
) -> list[dict[str, Any]]:
    rows = []
    for number, kind in enumerate(kinds):
        fresh = free.loc[free["personality"] == kind, "fresh"]
        row = {"driver": "fresh meme", "personality": kind, "votes": len(fresh), "unit": _LOG_ODDS}
        enough = min(int(fresh.sum()), int((~fresh).sum())) >= _FEWEST_VOTES
        if model is not None and found is not None and found.converged and enough:
            place = model.first_meme + number
            estimate, reach = float(found.coefficients[place]), z * float(found.errors[place])
            row |= {"estimate": estimate, "low": estimate - reach, "high": estimate + reach}
        rows.append(row)
    return rows


def _copied(
    model: _Model | None,
    found: Fit | None,
    cast: pd.DataFrame,
    leader: Integers,
    z: float,
) -> dict[str, Any]:
    row: dict[str, Any] = {"driver": "leader", "personality": "", "votes": 0, "unit": "share"}
    own = cast[["block", "agent", "yes", "t_us"]].set_axis(["block", "leader", "led", "led_us"], axis=1)
    after = cast[leader >= 0].merge(own, on=["block", "leader"]) if (leader >= 0).any() else cast[:0]
    if model is None or found is None or not found.converged or after.empty:
        return row
    after = after[(after["led_us"] < after["t_us"]) & after["block"].isin(model.block_of)]
    row["votes"] = len(after)
    if len(after) < _FEWEST_VOTES:
        return row
    share, error = model.copied(found, after)
    reach = z * error
    if np.isnan(share):
        return row
    return {**row, "estimate": share, "low": share - reach, "high": share + reach}
