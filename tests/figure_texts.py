"""What a figure writes where plotly would read markup: to see that text from events is only text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go

HOSTILE = (
    "<img src=x onerror=alert(1)><a href='javascript:alert(1)'>y</a>%{x}$x^2$\N{RIGHT-TO-LEFT OVERRIDE}\x1b\0"
)
_OURS = re.compile(
    r"<br>|</?[bi]>|<extra>|</extra>|%\{(?:x|y|text|hovertext|customdata|fullData\.name)[^}]*\}"
)


def texts_of(figure: go.Figure) -> list[str]:
    """Every text in a figure that is drawn or told on hover."""
    plain = figure.to_plotly_json()
    plain["layout"].pop("template", None)
    return [text for part in (plain["data"], plain["layout"]) for text in _walk(part)]


def assert_only_text(figure: go.Figure) -> None:
    """Fail if any text in a figure could be markup, a template or TeX that is not our own."""
    found = texts_of(figure)
    assert any("img src=x" in text for text in found), "the hostile text is not shown at all"
    for text in found:
        rest = _OURS.sub("", text)
        assert not set(rest) & set("<>$"), text
        assert "%{" not in rest, text
        assert all(sign.isprintable() for sign in text), text


def _walk(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _walk(item)
    elif hasattr(value, "tolist"):
        yield from _walk(value.tolist())
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item)
