"""What of a stream is shown in plots, and how its aggregates become figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from chaosnb.figures import FIGURES, Columns
from chaosnb.figures.specs import Look

__all__ = ["Source", "figure_of", "interval_s"]


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

    def aggregate_arrays(self, name: str, window_s: float | None = 600, points: int = 300) -> Columns:
        """Return the newest values of an aggregate."""

    def export(self, folder: str, format: str = "parquet") -> Path:
        """Write all tables."""


def figure_of(
    name: str,
    frame: Columns,
    gaps: pd.DataFrame,
    agents: tuple[str, ...],
    lines: tuple[str, ...] = (),
    looks: Mapping[str, Look] | None = None,
) -> dict[str, Any]:
    """Draw an aggregate, with the gaps.

    Parameters
    ----------
    name : str
        The aggregate's name.
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
    chosen: dict[str, Any] = {}
    if name == "reputation":
        chosen = ({"agents": agents} if agents else {"stay": lines}) | {"looks": looks}
    return FIGURES[name](frame, gaps=gaps, **chosen)


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
