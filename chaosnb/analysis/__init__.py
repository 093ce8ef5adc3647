"""Statistics of tables: pure functions, frames in, frames out.

>>> import pandas as pd
>>> votes = {"timestamp": pd.Timestamp("2026-01-01"), "block_hash": list("ghi"), "validator_id": "v"}
>>> votes |= {"validator_personality": "lawful", "decision": ["approve", "reject", "approve"]}
>>> approval_rate(pd.DataFrame(votes), by="personality").round(2).to_dict("records")
[{'personality': 'lawful', 'approve': 2, 'reject': 1, 'other': 0, 'approval_rate': 0.67, 'low': 0.21,
  'high': 0.94}]

What `chaosnb.analysis` offers by name takes a frame of any kind that Narwhals knows (pandas, Polars, pyarrow,
DuckDB) and gives the same kind back, lazy where it was lazy. It checks the columns, and gives an empty result
with the right columns for an empty table. `chaosnb.analysis.frames` says how that is done.

A stream enters each event once, and so does one that reads what ``chaosnb merge`` made of several recordings;
but tables that were put together otherwise can have rows twice. A second vote of a validator on a block, a
second proposal of a block or post of a meme, and an update of an alliance that changes nothing do not count,
but that `double_votes` lists such votes, and `throughput` adds up the transactions of both proposals. All
else is counted by rows: messages (in `sentiment_index`, `discussion_volume` and all of memes; in
`sentiment_lead` and `vote_drivers` they weigh twice), reports in `throughput`, changes of reputation (in
numbers of updates, `volatility`, what moved and `reputation_reversion`; and `reputation_breaks` takes the
second for a break), and spells away (of `absences` the first then ends after 0 s; `agent_uptime` counts both,
and their time once).

The modules `activity`, `alliances`, `buckets`, `chain` and `timelines` are numpy and pandas instead: they
feed figures that equal live plots bit for bit, from what a stream holds in memory, in milliseconds.
"""

from typing import TYPE_CHECKING, Any

from chaosnb.analysis.agreement import agreement_clusters, vote_agreement
from chaosnb.analysis.availability import absences, agent_uptime, participation_by_status
from chaosnb.analysis.ballots import approval_rate, double_votes, valid_votes
from chaosnb.analysis.blocs import alliance_cohesion
from chaosnb.analysis.continuity import reputation_breaks
from chaosnb.analysis.discussion import discussion_volume, sentiment_index, sentiment_lead
from chaosnb.analysis.drifts import cusum, drift
from chaosnb.analysis.drivers import vote_drivers
from chaosnb.analysis.edges import alliance_edges, alliance_graph
from chaosnb.analysis.finality import consensus_time, finality_curve
from chaosnb.analysis.intervals import wilson_interval
from chaosnb.analysis.lineage import forks, main_chain, orphans, stale_blocks
from chaosnb.analysis.meme_votes import meme_effect
from chaosnb.analysis.memes import meme_influence, meme_references, meme_spread, meme_tags
from chaosnb.analysis.outcomes import block_outcomes
from chaosnb.analysis.production import block_intervals, height_progress, throughput
from chaosnb.analysis.reputation import (
    reputation_inequality,
    reputation_movers,
    reputation_reversion,
    reputation_summary,
    reputation_trajectories,
)
from chaosnb.analysis.spells import alliance_churn, alliance_spells
from chaosnb.analysis.turnout import participation, vote_distribution
from chaosnb.text import no_such_name

__all__ = [
    "absences",
    "agent_uptime",
    "agreement_clusters",
    "alliance_churn",
    "alliance_cohesion",
    "alliance_edges",
    "alliance_graph",
    "alliance_spells",
    "approval_rate",
    "block_intervals",
    "block_outcomes",
    "consensus_time",
    "cusum",
    "discussion_volume",
    "double_votes",
    "drift",
    "finality_curve",
    "forks",
    "height_progress",
    "main_chain",
    "meme_effect",
    "meme_influence",
    "meme_references",
    "meme_spread",
    "meme_tags",
    "orphans",
    "participation",
    "participation_by_status",
    "reputation_breaks",
    "reputation_inequality",
    "reputation_movers",
    "reputation_reversion",
    "reputation_summary",
    "reputation_trajectories",
    "sentiment_index",
    "sentiment_lead",
    "stale_blocks",
    "throughput",
    "valid_votes",
    "vote_agreement",
    "vote_distribution",
    "vote_drivers",
    "wilson_interval",
]

if not TYPE_CHECKING:
    # Type checkers take a module with this for one that has every name.
    def __getattr__(name: str) -> Any:
        raise AttributeError(no_such_name(__name__, name, __all__))
