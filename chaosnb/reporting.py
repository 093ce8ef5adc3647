"""The report: a capture's main figures on one HTML page, and before them how far its data can be trusted."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from chaosnb import figures
from chaosnb.analysis.availability import participation_by_status
from chaosnb.analysis.continuity import reputation_breaks
from chaosnb.analysis.reputation import reputation_reversion
from chaosnb.errors import ExportError
from chaosnb.protocol.schema import TABLES
from chaosnb.store.dataset import Dataset
from chaosnb.text import printable

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["report"]

_MOST_ROWS: Final = 30
_LONGEST_CELL: Final = 160
_TICK_S: Final = 300
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; \
style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #111; background: #fff; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; margin: 0; }} h2 {{ font-size: 1.2rem; margin: 2.2rem 0 .4rem;
  border-bottom: 1px solid #ccc; }} h3 {{ font-size: 1rem; margin: 1rem 0 .2rem; }}
table {{ border-collapse: collapse; font-size: 13px; margin: .4rem 0 1rem; }}
th, td {{ border-bottom: 1px solid #ddd; padding: .15rem .7rem .15rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
p.note {{ color: #444; font-size: 13px; margin: .2rem 0 .6rem; }}
.badge {{ background: #E69F00; color: #000; border-radius: 3px; padding: 0 6px; font-weight: bold; }}
.bad {{ border-left: 4px solid #D55E00; padding-left: .7rem; }}
.good {{ border-left: 4px solid #009E73; padding-left: .7rem; }}
figure {{ margin: 0 0 1rem; break-inside: avoid; }}
@media print {{ body {{ margin: 0; max-width: none; }} h2 {{ break-after: avoid; }}
  tr, table {{ break-inside: avoid; }} .modebar {{ display: none; }} }}
</style>
<script>{script}</script></head>
<body>
{body}
</body></html>
"""


def report(
    data: Dataset,
    path: str | os.PathLike[str],
    *,
    title: str = "ChaosChain report",
    fresh_s: float | None = None,
    made_at: datetime | None = None,
) -> Path:
    """Write a report on what a stream or an export holds: one HTML page that needs nothing else.

    First comes how far the data can be trusted: gaps, rejects, what came late or twice, and where scores of
    reputation do not go on. Then come the main figures, by subject. The page loads nothing from anywhere; all
    that agents wrote is text in it; it can be printed.

    Parameters
    ----------
    data : Dataset
        A stream, a replay, a moment of one, or an export that `chaosnb.load` has read.
    path : path
        The file to write, such as ``"report.html"``; one that is there is replaced.
    title : str
        The page's heading.
    fresh_s : float, optional
        For how many seconds a meme is fresh. None: what fresh memes do to votes is left out.
    made_at : datetime.datetime, optional
        When it was made, as the page says it. None: now.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    TypeError
        If `data` is none of these.
    ValueError
        If the path is a folder's.
    ExportError
        If the file cannot be written.

    Examples
    --------
    >>> import chaosnb, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with chaosnb.stream(["blocks", "network"], url="devnet") as s:
    ...         s.wait(events=200, timeout=30)
    ...         page = chaosnb.report(s, folder + "/report.html").read_text(encoding="utf-8")
    >>> "How far the data can be trusted" in page
    True
    """
    if not isinstance(data, Dataset):
        raise TypeError(
            f"report() takes a stream, or what chaosnb.load gives, not {type(data).__name__}: "
            'such as chaosnb.report(s, "report.html")'
        )
    target = Path(path).expanduser()
    if target.is_dir() or not target.suffix:
        raise ValueError(f"{str(path)!r} is not the name of a page; write one such as 'report.html'")
    moment = (made_at or datetime.now(UTC)).astimezone(UTC)
    # Taken once, so that all figures are of the same rows while a stream goes on.
    tables, gaps = data.frames(), data.gaps
    body = "\n".join([_head(data, title, tables, moment), *_sections(data, tables, gaps, fresh_s)])
    from plotly.offline import get_plotlyjs

    page = _PAGE.format(title=_safe(title), script=get_plotlyjs(), body=body)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(target)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise ExportError(target.name, error.strerror or str(error)) from error
    return target


def _head(data: Dataset, title: str, tables: dict[str, pd.DataFrame], moment: datetime) -> str:
    import chaosnb

    badge = '<span class="badge">simulated</span> ' if data.simulated else ""
    first, last = _span(tables)
    rows = [(name, len(table)) for name, table in tables.items() if len(table)]
    counted = pd.DataFrame(rows, columns=["table", "rows"])
    span = f"{_clock(first)} to {_clock(last)} UTC, by the events' own time" if rows else "no events"
    return (
        f"<h1>{_safe(title)}</h1>\n<p>{badge}{_safe(data.source)}<br>{span}<br>"
        f"topics: {_safe(', '.join(data.topics))}<br>made {_clock(pd.Timestamp(moment))} UTC by chaosnb "
        f"{_safe(chaosnb.__version__)}</p>\n{_table(counted)}"
    )


def _sections(
    data: Dataset, tables: dict[str, pd.DataFrame], gaps: pd.DataFrame, fresh_s: float | None
) -> Iterator[str]:
    blocks, votes, said, allies, states, metrics, memes, scores = (
        tables[name] for name in TABLES if name != "error"
    )
    number = iter(range(1, 1000))

    def draw(make: Callable[..., go.Figure], *frames: Any, **options: Any) -> str:
        return _figure(make(*frames, **options), next(number))

    yield _quality(data, tables, gaps, draw)
    yield "<h2>Blocks and transactions</h2>"
    yield draw(figures.tps, metrics, blocks, gaps=gaps)
    yield draw(figures.block_tree, blocks, votes)
    yield "<h2>Votes</h2>"
    yield draw(figures.decisions, votes, gaps=gaps)
    yield draw(figures.approval_by, votes)
    yield draw(figures.vote_heatmap, votes, blocks)
    yield draw(figures.agreement, votes)
    yield "<h2>What drives votes</h2>"
    yield _note(
        "Each effect with the others held constant, and with a hidden cause for each block, such as its "
        "quality, that moves words and votes alike."
    )
    if fresh_s is None:
        yield draw(figures.vote_drivers, votes, said, None, allies)
        yield _note("Fresh memes are left out: report(..., fresh_s=) says for how many seconds one is fresh.")
    else:
        yield draw(figures.vote_drivers, votes, said, memes, allies, fresh_s=fresh_s)
        yield draw(figures.meme_effect, votes, memes, blocks, fresh_s=fresh_s)
    yield "<h2>Discussion</h2>"
    yield draw(figures.sentiment, said, gaps=gaps)
    yield draw(figures.sentiment_by, said)
    yield draw(figures.sentiment_lead, votes, said)
    yield "<h2>Alliances</h2>"
    yield draw(figures.alliances, allies)
    yield draw(figures.alliance_cohesion, votes, allies)
    yield draw(figures.alliance_churn, allies, every_s=_tick(allies))
    yield "<h2>Memes</h2>"
    yield draw(figures.meme_spread, said)
    yield figures.memes(memes, newest=12).html
    yield "<h2>Reputation</h2>"
    yield draw(figures.reputation, scores, gaps=gaps)
    yield draw(figures.reputation_movers, scores)
    yield draw(figures.reputation_inequality, scores, every_s=_tick(scores))
    yield "<h3>Return to a mean</h3>"
    yield _table(reputation_reversion(scores))
    yield "<h2>Availability</h2>"
    yield draw(figures.uptime, states)
    yield "<h3>Participation by status</h3>"
    yield _table(participation_by_status(votes, states))


def _quality(
    data: Dataset, tables: dict[str, pd.DataFrame], gaps: pd.DataFrame, draw: Callable[..., str]
) -> str:
    counts = data.counts
    certain = int((gaps["certainty"] == "certain").sum())
    evicted = int(data.memory["evicted"].sum())
    breaks = reputation_breaks(tables["reputation_update"], gaps)
    unexplained = int((breaks["explained_by"] == "").sum())
    first, last = _span(tables)
    whole = len(gaps) == 0 and counts.rejected == 0 and evicted == 0 and not len(breaks)
    look, verdict = "", "Nothing is known to be missing, but it is not proven that nothing is."
    if not any(map(len, tables.values())):
        verdict = "There are no events."
    elif not whole:
        look = "bad"
        verdict = (
            "Something is missing, or may be. Gaps are shaded in grey in figures over time; others do not "
            "show them. What a gap does to each number is in the notes of its function in chaosnb.analysis."
        )
    elif data.complete(first, last):
        look = "good"
        verdict = "Nothing is missing: all that the node sent between the first and the last event is here."
    figures_of = {
        "events": counts.events,
        "gaps": len(gaps),
        "of which certain": certain,
        "messages that could not be read": counts.rejected,
        "events that came twice (kept once)": counts.duplicates,
        "events that came late (put in their place)": counts.late,
        "events of topics not subscribed (left out)": counts.filtered,
        "rows that were evicted": evicted,
        "scores of reputation that do not go on": len(breaks),
        "of which no gap explains": unexplained,
    }
    named = pd.DataFrame({"": [*figures_of], "number": [*figures_of.values()]})
    parts = [
        "<h2>How far the data can be trusted</h2>",
        f'<p class="{look}">{verdict}</p>',
        _table(named),
        draw(figures.event_rate, {k: v for k, v in tables.items() if len(v)}, gaps=gaps),
        draw(figures.lag, {k: v for k, v in tables.items() if len(v)}, gaps=gaps),
    ]
    shown = gaps.assign(topics=[", ".join(topics) for topics in gaps["topics"]])
    columns = ["start", "end", "duration_s", "cause", "certainty", "topics", "blocks_missing"]
    rejects = data.rejects.iloc[::-1]
    ledgers = {
        "Gaps": shown[columns].sort_values("duration_s", ascending=False),
        "Messages that could not be read, newest first": rejects,
        "Scores that do not go on": breaks,
        "What the protocol does not name": data.drift.sort_values("count", ascending=False),
    }
    parts += [f"<h3>{name}</h3>{_table(frame)}" for name, frame in ledgers.items() if len(frame)]
    return "\n".join(parts)


def _figure(figure: go.Figure, number: int) -> str:
    import plotly.io as pio

    inside = pio.to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        div_id=f"figure-{number}",
        config={"displaylogo": False, "responsive": True},
    )
    return f"<figure>{inside}</figure>"


def _table(frame: pd.DataFrame) -> str:
    if frame.empty:
        return _note("none")
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    marks = [' class="n"' if number else "" for number in numeric]
    cells = zip(frame.columns, marks, strict=True)
    head = "".join(f"<th{mark}>{_safe(str(name)).replace('_', ' ')}</th>" for name, mark in cells)
    rows = []
    for values in frame.head(_MOST_ROWS).itertuples(index=False, name=None):
        row = zip(values, marks, strict=True)
        rows.append("<tr>" + "".join(f"<td{mark}>{_cell(value)}</td>" for value, mark in row) + "</tr>")
    more = len(frame) - _MOST_ROWS
    rest = _note(f"and {more:,} more") if more > 0 else ""
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>{rest}"


def _cell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return _clock(value)
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return f"{value:,.4g}"
    return _safe(str(value), _LONGEST_CELL)


def _note(text: str) -> str:
    return f'<p class="note">{_safe(text)}</p>'


def _safe(text: str, most: int | None = None) -> str:
    return html.escape(printable(text, most))


def _clock(time: pd.Timestamp) -> str:
    # strftime knows no years before 1 or after 9999, which a node may send.
    return "–" if pd.isna(time) else time.tz_convert("UTC").tz_localize(None).isoformat(" ", "milliseconds")


def _span(tables: dict[str, pd.DataFrame]) -> tuple[pd.Timestamp, pd.Timestamp]:
    times = [table["timestamp"] for name, table in tables.items() if name != "error" and len(table)]
    if not times:
        return pd.Timestamp(0, tz="UTC"), pd.Timestamp(0, tz="UTC")
    return min(time.min() for time in times), max(time.max() for time in times)


def _tick(table: pd.DataFrame) -> float:
    """Return a width of buckets, in seconds, that makes at most about 300 of them."""
    span_s = (table["timestamp"].max() - table["timestamp"].min()).total_seconds() if len(table) else 0.0
    widths = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
    return next((width for width in widths if width * _TICK_S >= span_s), span_s / _TICK_S)
