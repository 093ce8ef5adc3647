"""A minute of arrivals in the height of a line: as a drawing for a page, as blocks for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["sparkline_svg", "sparkline_text"]

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_HEIGHT: Final = 16
_STEP: Final = 2


def sparkline_text(counts: Sequence[int], width: int = 20) -> str:
    """Return counts as so many blocks, each the sum of some; nothing at all is a blank.

    Examples
    --------
    >>> sparkline_text([0, 0, 1, 2, 8, 4], width=3)
    ' ▂█'
    """
    size = max(-(-len(counts) // width), 1)
    sums = [sum(counts[at : at + size]) for at in range(0, len(counts), size)]
    most = max(sums, default=0)
    return "".join(_BLOCKS[-(-count * len(_BLOCKS) // most) - 1] if count else " " for count in sums)


def sparkline_svg(counts: Sequence[int]) -> str:
    """Return counts as a small drawing in the colour of the text, with its meaning in words.

    Examples
    --------
    >>> sparkline_svg([0, 2, 1])[:36]
    "<svg role='img' width='6' height='16"
    """
    most = max(counts, default=0)
    words = f"{sum(counts):,} in the last {len(counts)} s, {most:,} a second at most"
    bars = "".join(
        f"M{at * _STEP + 1} {_HEIGHT}v-{max(round(count / most * _HEIGHT), 1)}"
        for at, count in enumerate(counts)
        if count
    )
    return (
        f"<svg role='img' width='{len(counts) * _STEP}' height='{_HEIGHT}' aria-label='{words}'>"
        f"<title>{words}</title><path d='{bars}' stroke='currentColor' stroke-width='{_STEP - 0.5}'/></svg>"
    )
