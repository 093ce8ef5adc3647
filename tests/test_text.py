"""Foreign text made fit to be shown: nothing that steers is left, nothing is lost, nothing else changes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.text import printable

ANY = st.text(st.characters(codec=None))


@given(ANY)
@settings(deadline=None)
def test_what_is_left_steers_nothing(text: str) -> None:
    """No control, mark of direction, line end or lone surrogate; it can be written in UTF-8."""
    shown = printable(text)
    assert not {*map(ord, shown)} & {
        *range(32),
        *range(127, 160),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    }
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert printable(shown) == shown


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
@settings(deadline=None)
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    """Letters, signs, blanks and emoji of every language."""
    assert printable(text) == text


def test_joiners_within_emoji_and_words_stay() -> None:
    """They steer nothing, and without them a family is four people."""
    for text in ("👩\N{ZERO WIDTH JOINER}👩\N{ZERO WIDTH JOINER}👧", "می\N{ZERO WIDTH NON-JOINER}خواهم"):
        assert printable(text) == text


@given(ANY, st.integers(1, 9))
@settings(deadline=None)
def test_long_text_is_cut(text: str, most: int) -> None:
    """To the characters asked for and an ellipsis, before they are escaped."""
    assert printable(text, most) == (printable(text) if len(text) <= most else printable(text[:most]) + "…")
