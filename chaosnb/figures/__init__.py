"""Figures of tables, as `plotly.graph_objects.Figure`; a paper's figure equals the dashboard's.

>>> import chaosnb
>>> with chaosnb.stream(["blocks"], url="devnet") as s:
...     s.wait(until=lambda s: len(s.block_validation) > 20, timeout=30)
...     figure = chaosnb.figures.decisions(s.block_validation, gaps=s.gaps)
>>> figure.layout.title.text
'Decisions on blocks'

They can be changed like any plotly figure: ``figure.update_layout(template="plotly_dark", height=500)``.
`chaosnb.figures.specs` holds the specifications that the live plots share with them.
"""

from typing import TYPE_CHECKING, Any

from chaosnb.figures.agents import (
    agreement,
    alliance_churn,
    meme_spread,
    reputation_inequality,
    reputation_movers,
    uptime,
)
from chaosnb.figures.ballots import double_votes, vote_heatmap
from chaosnb.figures.consensus import consensus_times, drift, finality_curve, outcomes
from chaosnb.figures.continuity import reputation_breaks
from chaosnb.figures.discussions import discussion_volume, meme_influence, meme_tags
from chaosnb.figures.estimates import (
    alliance_cohesion,
    meme_effect,
    sentiment_by,
    sentiment_lead,
    vote_drivers,
)
from chaosnb.figures.gallery import memes
from chaosnb.figures.gaps import mark_gaps
from chaosnb.figures.network import alliances
from chaosnb.figures.production import block_intervals, height
from chaosnb.figures.reversion import reputation_reversion
from chaosnb.figures.series import decisions, event_rate, lag, reputation, sentiment, tps
from chaosnb.figures.shares import approval_by, participation, participation_by_status, vote_distribution
from chaosnb.figures.specs import FIGURES
from chaosnb.figures.spells import absences, alliance_spells
from chaosnb.figures.standings import PLOTS
from chaosnb.figures.style import PALETTE, Columns, label
from chaosnb.figures.tree import block_tree
from chaosnb.figures.volatility import reputation_summary
from chaosnb.text import no_such_name

__all__ = [
    "FIGURES",
    "PALETTE",
    "PLOTS",
    "Columns",
    "absences",
    "agreement",
    "alliance_churn",
    "alliance_cohesion",
    "alliance_spells",
    "alliances",
    "approval_by",
    "block_intervals",
    "block_tree",
    "consensus_times",
    "decisions",
    "discussion_volume",
    "double_votes",
    "drift",
    "event_rate",
    "finality_curve",
    "height",
    "label",
    "lag",
    "mark_gaps",
    "meme_effect",
    "meme_influence",
    "meme_spread",
    "meme_tags",
    "memes",
    "outcomes",
    "participation",
    "participation_by_status",
    "reputation",
    "reputation_breaks",
    "reputation_inequality",
    "reputation_movers",
    "reputation_reversion",
    "reputation_summary",
    "sentiment",
    "sentiment_by",
    "sentiment_lead",
    "tps",
    "uptime",
    "vote_distribution",
    "vote_drivers",
    "vote_heatmap",
]

if not TYPE_CHECKING:
    # Type checkers take a module with this for one that has every name.
    def __getattr__(name: str) -> Any:
        raise AttributeError(no_such_name(__name__, name, __all__))
