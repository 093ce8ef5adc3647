"""Memes as cards of text. What they point to is not fetched: a link opens it on a click, in its own tab.

A card holds no image, script or style of the agents'; nothing reaches another host before the reader clicks,
and the link says which host that is.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from chaosnb.analysis.columns import texts, timed
from chaosnb.text import printable

__all__ = ["Gallery", "link_host", "memes"]

_CARD: Final = (
    "border:1px solid rgba(128,128,128,.5);border-radius:6px;padding:8px 10px;box-sizing:border-box;"
    "overflow-wrap:anywhere;break-inside:avoid"
)
_GRID: Final = "display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:8px;font-size:13px"
_SMALL: Final = "font-size:11px;opacity:.75"
_LONGEST: Final = 280
_SHORT: Final = 60
_TAGS: Final = 8


@dataclass(frozen=True)
class Gallery:
    """Memes as cards, newest first; what a cell shows of them is `html`.

    Attributes
    ----------
    memes : pandas.DataFrame
        The memes shown.
    total : int
        How many there are all told.
    """

    memes: pd.DataFrame
    total: int

    @property
    def html(self) -> str:
        """The cards in HTML, with everything that agents wrote escaped."""
        cards = "".join(_card(meme) for meme in self.memes.to_dict("records"))
        source = self.memes.attrs.get("source")
        of = f" · source: {_safe(str(source), _LONGEST)}" if source else ""
        count = f"{len(self.memes):,} of {self.total:,} memes{of}" if self.total else f"no memes{of}"
        return f"<div><div style='{_SMALL}'>{count}</div><div style='{_GRID}'>{cards}</div></div>"

    def __repr__(self) -> str:
        return f"<Gallery of {len(self.memes):,} of {self.total:,} memes>"

    def _repr_html_(self) -> str:
        return self.html


def memes(frame: Any, *, newest: int = 24) -> Gallery:
    """Show memes as cards of text: caption, creator, tags, and a link to what they point to.

    Parameters
    ----------
    frame : frame
        The table `meme_posted`.
    newest : int
        How many to show, the newest ones.

    Returns
    -------
    Gallery
        No image is in it: a click on a link opens it in a tab of its own. Only whole addresses of ``http``
        and ``https`` become links; others stay text.

    Raises
    ------
    TypeError, ValueError
        If it is no frame, or lacks a column (the message says which table has it).

    Examples
    --------
    >>> meme = {"creator_id": "a", "content_caption": "<b>wow</b>", "content_type": "image"}
    >>> meme |= {"timestamp": pd.to_datetime(["2026-01-01"]), "content_url": "javascript:alert(1)"}
    >>> gallery = memes(pd.DataFrame(meme))
    >>> "&lt;b&gt;wow&lt;/b&gt;" in gallery.html, "<a " in gallery.html
    (True, False)
    """
    names = ("creator_id", "content_type", "content_url", "content_caption")
    rows, times_us = timed(frame, "meme_posted", *names)
    order = np.argsort(times_us, kind="stable")[::-1][:newest]
    chosen = rows.iloc[order]
    found: dict[str, Any] = {name: texts(chosen[name]) for name in names}
    found["personality"] = (
        texts(chosen["creator_personality"]) if "creator_personality" in chosen.columns else ""
    )
    found["tags"] = [*map(list, chosen["tags"])] if "tags" in chosen.columns else [[] for _ in order]
    found["time"] = [
        str(np.datetime64(int(at_us), "us").astype("datetime64[s]")).replace("T", " ")
        for at_us in times_us[order]
    ]
    shown = pd.DataFrame(found)
    shown.attrs = dict(rows.attrs)
    return Gallery(shown, len(rows))


def link_host(url: str) -> str | None:
    """Return the host of an address that may be a link; None for any other text.

    It may if it is a whole address of http or https, of printable ASCII, without a user name, which could
    pass for a host.

    Examples
    --------
    >>> link_host("https://memes.example/1.png"), link_host("javascript:alert(1)")
    ('memes.example', None)
    >>> link_host("https://bank.example@evil.example/")
    """
    if not url.isascii() or not url.isprintable() or any(sign in url for sign in " \\<>\"'`"):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        return None
    return host


def _card(meme: dict[Any, Any]) -> str:
    caption = _safe(meme["content_caption"], _LONGEST) or "(no caption)"
    who = _safe(meme["creator_id"], _SHORT)
    kind = f" ({_safe(meme['personality'], _SHORT)})" if meme["personality"] else ""
    tags = " ".join(f"#{_safe(str(tag), _SHORT)}" for tag in meme["tags"][:_TAGS])
    tagged = f"<div style='{_SMALL}'>{tags}</div>" if tags else ""
    return (
        f"<div style='{_CARD}'><div><b>{caption}</b></div>{tagged}"
        f"<div style='{_SMALL}'>{who}{kind} · {meme['time']} UTC</div>"
        f"<div style='{_SMALL}'>{_pointer(meme['content_type'], meme['content_url'])}</div></div>"
    )


def _pointer(kind: str, url: str) -> str:
    host = link_host(url)
    if host is None:
        return f"{_safe(kind, _SHORT)}: {_safe(url, _LONGEST)}"
    safe = "target='_blank' rel='noopener noreferrer nofollow' referrerpolicy='no-referrer'"
    words = f"open {_safe(kind, _SHORT)} at {_safe(host, _SHORT)}"
    return f"<a href='{html.escape(url)}' style='color:inherit' {safe}>{words}</a>"


def _safe(text: str, most: int) -> str:
    return html.escape(printable(text, most))
