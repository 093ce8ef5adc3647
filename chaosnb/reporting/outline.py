"""What a report shows, in order: the same for a page as for a notebook, which shows the code too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from chaosnb import analysis, figures
from chaosnb.analysis.presents import without_ahead

__all__ = ["NAMES", "TRUST", "Exhibit", "Note", "Section", "outline"]

NAMES: Final = {
    "blocks": "block_proposal",
    "votes": "block_validation",
    "said": "consensus_discussion",
    "allies": "alliance_update",
    "states": "agent_status",
    "metrics": "network_metrics",
    "memes": "meme_posted",
    "scores": "reputation_update",
}
"""The tables by the names that a notebook has for them."""

_TICKS: Final = 300


@dataclass(frozen=True)
class Exhibit:
    """A figure, or a table where it has a title, made of frames that have names.

    Examples
    --------
    >>> Exhibit(figures.tps, ("metrics", "blocks"), gaps=True).code
    'figures.tps(metrics, blocks, gaps=gaps)'
    """

    make: Callable[..., Any]
    frames: tuple[str | None, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    gaps: bool = False
    title: str = ""

    @property
    def code(self) -> str:
        """What makes it, in Python."""
        given = [str(name) for name in self.frames]
        given += [f"{name}={value!r}" for name, value in self.options.items()]
        given += ["gaps=gaps"] * self.gaps
        room = "figures" if self.make.__module__.startswith("chaosnb.figures") else "analysis"
        return f"{room}.{self.make.__name__}({', '.join(given)})"

    def made(self, named: Mapping[str, Any]) -> Any:
        """Return it, of the frames of these names."""
        gaps = {"gaps": named["gaps"]} if self.gaps else {}
        return self.make(
            *[None if name is None else named[name] for name in self.frames], **self.options, **gaps
        )


@dataclass(frozen=True)
class Note:
    """What is said beside figures, as plain text."""

    text: str


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    heading: str
    parts: tuple[Exhibit | Note, ...]


TRUST: Final = Section(
    "How far the data can be trusted",
    (Exhibit(figures.event_rate, ("tables",), gaps=True), Exhibit(figures.lag, ("tables",), gaps=True)),
)
"""The first section, beside what `chaosnb.reporting.quality` tells."""


def outline(named: Mapping[str, Any], fresh_s: float | None) -> Iterator[Section]:
    """Yield the sections of a report, but for the first, which is on the data's quality.

    Parameters
    ----------
    named : mapping of str to frame
        The tables by their names in `NAMES`.
    fresh_s : float, optional
        For how many seconds a meme is fresh. None: what fresh memes do to votes is left out.
    """
    yield Section(
        "Blocks and transactions",
        (
            Exhibit(figures.tps, ("metrics", "blocks"), gaps=True),
            Exhibit(figures.block_tree, ("blocks", "votes")),
        ),
    )
    yield Section(
        "Votes",
        (
            Exhibit(figures.decisions, ("votes",), gaps=True),
            Exhibit(figures.approval_by, ("votes",)),
            Exhibit(figures.vote_heatmap, ("votes", "blocks")),
            Exhibit(figures.agreement, ("votes",)),
        ),
    )
    yield Section(
        "Consensus",
        (
            Exhibit(figures.outcomes, ("votes",)),
            Exhibit(figures.consensus_times, ("votes", "blocks"), gaps=True),
            Exhibit(figures.finality_curve, ("votes", "blocks")),
        ),
    )
    yield Section("What drives votes", (*_drivers(fresh_s),))
    yield Section(
        "Discussion",
        (
            Exhibit(figures.sentiment, ("said",), gaps=True),
            Exhibit(figures.sentiment_by, ("said",)),
            Exhibit(figures.sentiment_lead, ("votes", "said")),
        ),
    )
    yield Section(
        "Alliances",
        (
            Exhibit(figures.alliances, ("allies",)),
            Exhibit(figures.alliance_cohesion, ("votes", "allies")),
            Exhibit(figures.alliance_churn, ("allies",), {"every_s": _tick(named["allies"])}, gaps=True),
        ),
    )
    yield Section(
        "Memes",
        (
            Exhibit(figures.meme_spread, ("said",)),
            Exhibit(figures.memes, ("memes",), {"newest": 12}),
        ),
    )
    yield Section(
        "Reputation",
        (
            Exhibit(figures.reputation, ("scores",), gaps=True),
            Exhibit(figures.reputation_movers, ("scores",)),
            Exhibit(
                figures.reputation_inequality, ("scores",), {"every_s": _tick(named["scores"])}, gaps=True
            ),
            Exhibit(figures.reputation_reversion, ("scores",)),
            Exhibit(analysis.reputation_reversion, ("scores",), title="Return to a mean"),
        ),
    )
    yield Section(
        "Availability",
        (
            Exhibit(figures.uptime, ("states",)),
            Exhibit(figures.participation_by_status, ("votes", "states")),
        ),
    )


def _drivers(fresh_s: float | None) -> Iterator[Exhibit | Note]:
    yield Note(
        "Each effect with the others held constant, and with a hidden cause for each block, such as its "
        "quality, that moves words and votes alike."
    )
    if fresh_s is None:
        yield Exhibit(figures.vote_drivers, ("votes", "said", None, "allies"))
        yield Note("Fresh memes are left out: report(..., fresh_s=) says for how many seconds one is fresh.")
    else:
        fresh = {"fresh_s": fresh_s}
        yield Exhibit(figures.vote_drivers, ("votes", "said", "memes", "allies"), fresh)
        yield Exhibit(figures.meme_effect, ("votes", "memes", "blocks"), fresh)


def _tick(table: pd.DataFrame) -> float:
    """Return a width of buckets, in seconds, that makes at most about 300 of them."""
    times = without_ahead(table[["timestamp"]].set_axis(["time"], axis=1), table=table)["time"]
    span_s = (times.max() - times.min()).total_seconds() if len(times) else 0.0
    widths = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
    return next((width for width in widths if width * _TICKS >= span_s), span_s / _TICKS)
