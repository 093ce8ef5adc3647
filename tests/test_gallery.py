"""The gallery of memes: cards of text that reach nobody before a click."""

from __future__ import annotations

from html.parser import HTMLParser

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb import figures
from chaosnb.figures.gallery import link_host
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.table import Table
from tests.figure_texts import HOSTILE

EMPTY = Table(TABLES["meme_posted"]).snapshot()


class Page(HTMLParser):
    """The elements and attributes of markup, and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def posted(*rows: tuple[str, str]) -> pd.DataFrame:
    """Memes as (caption, address), a second apart."""
    caption, url = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-01-01", periods=len(rows), freq="s", tz="UTC"),
            "creator_id": "agent-1",
            "creator_personality": "memetic",
            "content_type": "image",
            "content_url": url,
            "content_caption": caption,
            "tags": [["wagmi", "drama"] for _ in rows],
        }
    )


def test_cards_are_text_with_a_link_that_names_its_host() -> None:
    """Newest first; nothing is loaded, and the link tells the other side nothing about the reader."""
    gallery = figures.memes(posted(("one", "https://memes.example/1.png"), ("two", "ftp://x/y")), newest=2)
    page = Page(gallery.html)
    assert page.text.index("two") < page.text.index("one")
    assert {tag for tag, _ in page.elements} == {"div", "b", "a"}
    (link,) = (attributes for tag, attributes in page.elements if tag == "a")
    assert link["href"] == "https://memes.example/1.png"
    assert link["target"] == "_blank"
    assert {"noopener", "noreferrer"} <= set((link["rel"] or "").split())
    assert link["referrerpolicy"] == "no-referrer"
    assert "open image at memes.example" in page.text
    assert "image: ftp://x/y" in page.text
    assert "#wagmi #drama" in page.text
    assert "agent-1 (memetic) · 2026-01-01 00:00:01 UTC" in page.text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)//https://memes.example/",
        "data:text/html,<script>alert(1)</script>",
        "//memes.example/1.png",
        "https:/memes.example",
        "https://",
        "https://user@memes.example/",
        "https://memes.example@evil.example/",
        "https://memes.example\\@evil.example/",
        "https://m\u0435mes.example/",
        "https://memes.example/' onmouseover='alert(1)",
        "java\nscript:alert(1)",
        " https://memes.example/",
        "https://[::1",
        "https://memes.example:port/",
        "file:///etc/passwd",
        "vbscript:x",
        "",
    ],
)
def test_what_is_no_whole_web_address_stays_text(url: str) -> None:
    """No link, and the address can be read."""
    assert link_host(url) is None
    page = Page(figures.memes(posted(("x", url))).html)
    assert "a" not in [tag for tag, _ in page.elements]


@settings(deadline=None)
@given(st.one_of(st.text(), st.text().map(lambda rest: f"https://memes.example/{rest}")), st.text())
def test_no_text_becomes_markup(url: str, caption: str) -> None:
    """Only our own elements and attributes, whatever stands in caption and address."""
    page = Page(figures.memes(posted((caption, url))).html)
    assert {tag for tag, _ in page.elements} <= {"div", "b", "a"}
    for _, attributes in page.elements:
        assert {*attributes} <= {"style", "href", "target", "rel", "referrerpolicy"}
        assert (attributes.get("href") or "https://").startswith(("https://", "http://"))


def test_hostile_text_in_every_field_is_shown_and_does_nothing() -> None:
    """Nothing that turns lines around or hides is left."""
    frame = posted((HOSTILE, HOSTILE)).assign(
        creator_id=HOSTILE, creator_personality=HOSTILE, content_type=HOSTILE
    )
    frame.at[0, "tags"] = [HOSTILE] * 20
    frame.attrs["source"] = HOSTILE
    markup = figures.memes(frame).html
    assert {tag for tag, _ in Page(markup).elements} == {"div", "b"}
    assert markup.isprintable()
    assert "onerror=alert(1)" in Page(markup).text


def test_a_gallery_says_how_many_there_are_and_from_where() -> None:
    """Simulated memes are called so; without any it says so, and a wrong frame is an error."""
    frame = posted(*((str(number), "") for number in range(30)))
    frame.attrs["source"] = "devnet (simulated)"
    gallery = figures.memes(frame, newest=5)
    assert repr(gallery) == "<Gallery of 5 of 30 memes>"
    assert "5 of 30 memes · source: devnet (simulated)" in Page(gallery.html).text
    assert "no memes" in Page(figures.memes(EMPTY).html).text
    with pytest.raises(ValueError, match=r"s\.meme_posted"):
        figures.memes(frame.drop(columns="content_url"))
