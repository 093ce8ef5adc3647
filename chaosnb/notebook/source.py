"""What of a stream is shown in plots, and how its aggregates and tallies become figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import pandas as pd

from chaosnb.figures import PLOTS, Columns
from chaosnb.figures.specs import Look
from chaosnb.tables.tallies import TALLIES
from chaosnb.text import did_you_mean

__all__ = ["Source", "check_plots", "figure_of", "interval_s", "rest_s", "values_of"]

_TALLY_EVERY_S: Final = 1.0
_OF_THE_TIME: Final = 0.05
_MOST_BLOCKS: Final = 300
_MOST_GROUPS: Final = 12


class Source(Protocol):
    """What of a `chaosnb.Stream` is shown here."""

    @property
    def status(self) -> Any:
        """How the stream is doing."""

    @property
    def received(self) -> int:
        """How many events were received."""

    @property
    def gaps(self) -> pd.DataFrame:
        """What was missed."""

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""

    def aggregate_arrays(
        self,
        name: str,
        window_s: float | None = 600,
        points: int = 300,
        *,
        resolution_s: float | None = None,
        agents: Iterable[str] = (),
        personalities: Iterable[str] = (),
    ) -> Columns:
        """Return the newest values of an aggregate, of these agents alone."""

    def tally(
        self, name: str, *, agents: Iterable[str] = (), personalities: Iterable[str] = ()
    ) -> pd.DataFrame:
        """Return how votes or scores stand so far, of these agents alone."""

    def export(self, folder: str, format: str = "parquet") -> Path:
        """Write all tables."""


def check_plots(plots: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of plots, each once, or raise a `ValueError` that lists the right ones.

    Examples
    --------
    >>> check_plots(["lag", "tps", "lag"])
    ('lag', 'tps')
    """
    names = (plots,) if isinstance(plots, str) or not isinstance(plots, Iterable) else tuple(plots)
    for name in names:
        if not isinstance(name, str) or name not in PLOTS:
            near = did_you_mean(str(name), PLOTS)
            raise ValueError(f"there is no plot {name!r}{near}: choose from {', '.join(map(repr, PLOTS))}")
    return tuple(dict.fromkeys(names))


def values_of(
    stream: Source,
    name: str,
    window_s: float | None,
    *,
    resolution_s: float | None = None,
    agents: tuple[str, ...] = (),
    personalities: tuple[str, ...] = (),
) -> Columns:
    """Return what a plot shows.

    Parameters
    ----------
    stream : Source
    name : str
        The plot's name.
    window_s, resolution_s : float or None
        As of `chaosnb.tables.aggregates.Aggregates.value`. A tally is of all since the beginning, but for the
        times of blocks, of which the newest 300 of the window are shown.
    agents, personalities : tuple of str
        Whose; if empty, of all.
    """
    if name not in TALLIES:
        return stream.aggregate_arrays(
            name, window_s, resolution_s=resolution_s, agents=agents, personalities=personalities
        )
    found = stream.tally(name, agents=agents, personalities=personalities)
    if name != "consensus":
        return found
    if window_s is not None and len(found):
        found = found[found["time"] >= found["time"].iloc[-1] - pd.Timedelta(seconds=window_s)]
    # Without names, which would be sent anew with each block; a block's height tells it well enough.
    return found.tail(_MOST_BLOCKS).drop(columns="block_hash")


def figure_of(
    name: str,
    frame: Columns,
    gaps: pd.DataFrame,
    agents: tuple[str, ...],
    lines: tuple[str, ...] = (),
    looks: Mapping[str, Look] | None = None,
) -> dict[str, Any]:
    """Draw a plot, with the gaps where it is over time.

    Parameters
    ----------
    name : str
        The plot's name.
    frame : mapping of str to numpy.ndarray, or pandas.DataFrame
        Its values.
    gaps : pandas.DataFrame
        The stream's gaps.
    agents : tuple of str
        Whose reputation to draw; if empty, of those whose score moved most.
    lines : tuple of str
        The `uid` of each line that was drawn before, which is kept as long as it is nearly among those.
    looks : mapping of str to Look, optional
        How lines look that were drawn before, which is kept, too.

    Returns
    -------
    dict
        A plotly figure specification.
    """
    if name in TALLIES and name != "consensus":
        spec = PLOTS[name](frame, **({"most": _MOST_GROUPS} if name == "approval" else {}))
        spec["layout"]["title"]["text"] += ", so far"
        return spec
    chosen: dict[str, Any] = {}
    if name == "reputation":
        chosen = ({"agents": agents} if agents else {"stay": lines}) | {"looks": looks}
    return PLOTS[name](frame, gaps=gaps, **chosen)


def rest_s(name: str, took_s: float) -> float:
    """Return how long a plot is to be left alone after drawing it took so long, in seconds.

    How all has stood since the beginning changes slowly, and costs more to tell the longer that is: once a
    second is enough, and a twentieth of the time.

    Examples
    --------
    >>> rest_s("tps", 0.5), rest_s("approval", 0.001), rest_s("approval", 0.5)
    (0.0, 1.0, 10.0)
    """
    return max(_TALLY_EVERY_S, took_s / _OF_THE_TIME) if name in TALLIES else 0.0


def interval_s(fps: float) -> float:
    """Return the seconds between two frames.

    Parameters
    ----------
    fps : float
        Frames a second, more than 0 and at most 10.

    Raises
    ------
    ValueError
        If that is not possible.

    Examples
    --------
    >>> interval_s(4)
    0.25
    """
    if not 0 < fps <= 10:
        raise ValueError(f"fps={fps!r} is not possible: choose more than 0, and at most 10 a second")
    return 1.0 / fps
