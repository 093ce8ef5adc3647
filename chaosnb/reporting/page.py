"""The report as a page: HTML that needs nothing else, and can be printed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Final

from chaosnb.figures.gallery import Gallery
from chaosnb.reporting.facts import Facts
from chaosnb.reporting.markup import note, safe, table
from chaosnb.reporting.outline import TRUST, Exhibit, Note, outline

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["page"]

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
@media screen and (prefers-color-scheme: dark) {{
  :root {{ color-scheme: dark; }} body {{ color: #ddd; background: #181818; }} p.note {{ color: #aaa; }}
  h2, th, td {{ border-color: #484848; }}
  /* Figures stay as they are in print, each on a card of its own. */
  figure {{ background: #fff; border-radius: 6px; padding: 6px; }} }}
@page {{ margin: 12mm; }}
@media print {{ body {{ margin: 0; padding: 0; max-width: none; }} h2, h3 {{ break-after: avoid; }}
  .badge {{ print-color-adjust: exact; }}
  tr, table {{ break-inside: avoid; }} .modebar {{ display: none; }} }}
</style>
<script>{script}</script></head>
<body>
{body}
</body></html>
"""


def page(facts: Facts) -> str:
    """Return a report as HTML."""
    from plotly.offline import get_plotlyjs

    body = "\n".join(_body(facts))
    return _PAGE.format(title=safe(facts.title), script=get_plotlyjs(), body=body)


def _body(facts: Facts) -> Iterator[str]:
    numbers = count(1)
    badge = '<span class="badge">simulated</span> ' if facts.simulated else ""
    yield f"<h1>{safe(facts.title)}</h1>\n<p>{badge}{'<br>'.join(map(safe, facts.about))}</p>"
    yield table(facts.counted)
    trust = facts.trust
    yield f"<h2>{TRUST.heading}</h2>\n{trust.html}"
    yield from (_part(part, facts, numbers) for part in TRUST.parts)
    yield from (f"<h3>{heading}</h3>{table(frame)}" for heading, frame in trust.ledgers.items())
    for section in outline(facts.named, facts.fresh_s):
        yield f"<h2>{section.heading}</h2>"
        yield from (_part(part, facts, numbers) for part in section.parts)


def _part(part: Exhibit | Note, facts: Facts, numbers: Iterator[int]) -> str:
    if isinstance(part, Note):
        return note(part.text)
    made = part.made(facts.named)
    if part.title:
        return f"<h3>{part.title}</h3>\n{table(made)}"
    return made.html if isinstance(made, Gallery) else _figure(made, next(numbers))


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
