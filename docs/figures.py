"""Make the picture of the README that shows static figures: ten minutes of simulated agents, at full speed.

Run it from the repository's root: ``python docs/figures.py``. It writes ``docs/figures.png``, and needs a
Chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import plotly.io as pio
from plotly.offline import get_plotlyjs

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import chaosnb  # noqa: E402
from chaosnb import figures  # noqa: E402
from chaosnb.figures.gallery import Gallery  # noqa: E402
from tests.browser.lab import open_browser  # noqa: E402

TOPICS = ["blocks", "consensus", "network", "social"]
VIEWPORT = {"width": 1340, "height": 1000}
PANEL = "<div style='width:650px;margin-bottom:6px'>{}</div>"
PAGE = (
    "<!doctype html><meta charset=utf-8><body style='display:flex;gap:16px;font-family:sans-serif'>"
    "<script>{script}</script><div>{left}</div><div>{right}</div>"
)


def main() -> None:
    """Fill a stream, draw its tables, and photograph the page."""
    with (
        chaosnb.Devnet(seed=7, rate=6, speed=None, duration=600) as node,
        chaosnb.stream(TOPICS, url=node.url) as s,
    ):
        node.wait_finished(120)
        s.wait(seconds=1)
        left = [
            figures.decisions(s.block_validation, resolution_s=10),
            figures.reputation(s.reputation_update, top=6, resolution_s=10),
            figures.block_tree(s.block_proposal, s.block_validation, newest=60),
            figures.approval_by(s.block_validation),
        ]
        right = [
            figures.vote_heatmap(s.block_validation, s.block_proposal, newest=45),
            figures.alliances(s.alliance_update),
            figures.memes(s.meme_posted, newest=6),
        ]
    picture = ROOT / "docs" / "figures.png"
    with TemporaryDirectory() as folder, open_browser() as browser:
        page_file = Path(folder, "figures.html")
        whole = PAGE.format(script=get_plotlyjs(), left=column(left), right=column(right))
        page_file.write_text(whole, encoding="utf-8")
        page = browser.new_page(viewport=VIEWPORT)
        page.goto(page_file.as_uri())
        page.wait_for_timeout(1500)
        page.screenshot(path=picture, full_page=True)
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size / 1000:.0f} kB")


def column(shown: list[Any]) -> str:
    """Return figures, one below the other."""
    parts = [
        one.html if isinstance(one, Gallery) else pio.to_html(one, full_html=False, include_plotlyjs=False)
        for one in shown
    ]
    return "".join(map(PANEL.format, parts))


if __name__ == "__main__":
    main()
