"""How a stream shows itself in a cell and in a terminal. Whatever comes from the node is escaped.

Nothing here makes a link or fetches anything: an address within foreign text stays text.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

from chaosnb.notebook.sparkline import sparkline_svg, sparkline_text
from chaosnb.text import printable

if TYPE_CHECKING:
    from chaosnb.ingest.status import Status
    from chaosnb.live import Stream

__all__ = [
    "STATE_COLOURS",
    "escape",
    "problem_html",
    "size_text",
    "status_html",
    "status_text",
    "stream_html",
    "stream_text",
]

# From the palette of Okabe and Ito, which colour-blind readers can tell apart.
STATE_COLOURS: Final = {
    "connecting": "#E69F00",
    "authenticating": "#E69F00",
    "live": "#009E73",
    "stale": "#E69F00",
    "reconnecting": "#D55E00",
    "failed": "#D55E00",
    "closed": "#7f7f7f",
}
_SKEW_SHOWN_S: Final = 1.0
_SHOWN_SIGNS: Final = 40
_BADGE: Final = (
    "<span style='background:#E69F00;color:black;border-radius:3px;padding:0 6px;font-weight:bold'>"
    "simulated</span>"
)


def stream_text(stream: Stream) -> str:
    """Return the stream as plain text: its state, then each table that has rows, and its last minute."""
    arrivals = stream.arrivals
    lines = [
        f"  {name:<22}{rows:>12,} rows  {size_text(size):>9}  {sparkline_text(arrivals[name])}".rstrip()
        for name, rows, _, size in stream.memory.itertuples()
        if rows
    ]
    return "\n".join([f"chaosnb stream: {status_text(stream.status)}", *lines])


def stream_html(stream: Stream) -> str:
    """Return the stream as HTML: a line with its state, then a table of its tables.

    Each table opens to its columns, with their dtypes and newest values.
    """
    arrivals = stream.arrivals
    rows = "".join(
        f"<tr><td style='text-align:left'>{_preview(stream, str(name), count)}</td>"
        f"<td>{count:,}</td><td>{size_text(size)}</td><td>{sparkline_svg(arrivals[str(name)])}</td></tr>"
        for name, count, _, size in stream.memory.itertuples()
    )
    return (
        f"<div>{status_html(stream.status)}</div>"
        "<table><thead><tr><th style='text-align:left'>table</th><th>rows</th><th>memory</th>"
        f"<th>last minute</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _preview(stream: Stream, name: str, rows: int) -> str:
    if not rows:
        return f"<code>{name}</code>"
    # Not by the name: that would raise, once, why a stream has failed.
    newest = stream.newest(name)
    columns = "".join(
        f"<tr><td>{escape(column)}</td><td>{escape(dtype)}</td><td>{escape(_cut(value))}</td></tr>"
        for column, dtype, value in newest
    )
    return (
        f"<details><summary><code>{name}</code></summary>"
        f"<table><tr><th>column</th><th>dtype</th><th>newest</th></tr>{columns}</table></details>"
    )


def _cut(value: object) -> str:
    # Cut twice: escapes take more room than what they stand for.
    text = printable(str(value), _SHOWN_SIGNS)
    return text if len(text) <= _SHOWN_SIGNS + 1 else f"{text[:_SHOWN_SIGNS]}…"


def status_text(status: Status) -> str:
    """Return the status in one line of plain text."""
    source = f"{status.url} (simulated)" if status.simulated else status.url
    line = printable(", ".join([status.state, source, " ".join(status.topics), *_figures(status)]))
    return line if status.error is None else f"{line}\n{printable(status.error)}"


def status_html(status: Status) -> str:
    """Return the status in one line of HTML."""
    colour = STATE_COLOURS.get(status.state, "#7f7f7f")
    # The word stands beside the dot for those who cannot tell its colour.
    head = f"<span style='color:{colour}'>●</span> <b>{escape(status.state)}</b>"
    source = f"{_BADGE} {escape(status.url)}" if status.simulated else escape(status.url)
    parts = [head, source, *map(escape, _figures(status))]
    if status.error is not None:
        parts.append(problem_html(status.error))
    return " &nbsp;·&nbsp; ".join(parts)


def escape(text: str) -> str:
    r"""Return any text as HTML that shows it, and does nothing else.

    Examples
    --------
    >>> escape("<b>\N{RIGHT-TO-LEFT OVERRIDE}</b>")
    '&lt;b&gt;\\u202e&lt;/b&gt;'
    """
    return html.escape(printable(text))


def problem_html(text: str) -> str:
    """Return words about a problem in HTML, behind a mark in the colour of failure."""
    # The words keep the page's ink: that colour is too pale for small letters on white.
    return f"<span style='color:{STATE_COLOURS['failed']}'>⚠</span> {escape(text)}"


def _figures(status: Status) -> list[str]:
    certain = f" ({status.certain_gaps:,} certain)" if status.certain_gaps else ""
    lag = [] if status.lag_s is None else [f"processing lag {status.lag_s:.2f} s"]
    # Less is in the time that events take on their way.
    ahead = status.skew_s is not None and abs(status.skew_s) >= _SKEW_SHOWN_S
    skew = [f"node's clock {status.skew_s:+.1f} s"] if ahead else []
    further = {"late": status.late, "duplicates": status.duplicates, "evicted": status.evicted}
    return [
        f"{status.events:,} events",
        f"{status.events_per_s:,.1f} events/s",
        *lag,
        *skew,
        f"gaps {status.gaps:,}{certain}",
        f"rejects {status.rejects:,}",
        *[f"{name} {count:,}" for name, count in further.items() if count],
        f"memory {size_text(status.memory_bytes)}",
        *([] if status.recording is None else [f"recording to {status.recording}"]),
    ]


def size_text(size: float) -> str:
    """Return a number of bytes for people.

    Examples
    --------
    >>> size_text(1_500_000)
    '1.5 MB'
    """
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"
