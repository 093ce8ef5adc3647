"""Foreign text made fit to be shown: what would steer a terminal or turn a line around becomes visible."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

__all__ = ["are_names", "did_you_mean", "no_such_name", "printable", "without_particulars"]

# Controls (with those of 8 bits), what turns or hides text, line ends of Unicode's own, lone surrogates. The
# joiners within emoji stay.
_UNSHOWABLE: Final = (
    *(range(0x20), range(0x7F, 0xA0), [0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F], range(0x2028, 0x202F)),
    *(range(0x2060, 0x2070), [0xFEFF], range(0xFFF9, 0xFFFC), range(0xD800, 0xE000), range(0xE0000, 0xE0080)),
)
_ESCAPES: Final = {
    code: chr(code).encode("unicode_escape").decode() for codes in _UNSHOWABLE for code in codes
}
_ELLIPSIS: Final = "…"
_LONGEST_NAME: Final = 64
_LONGEST_NAMES: Final = 1_000
# What names one block, meme or agent.
_PARTICULAR: Final = re.compile(r"\d|\b[0-9a-f]{6,}\b")
_LONGEST_REASON: Final = 200


def printable(text: str, most: int | None = None) -> str:
    r"""Return text with every character that cannot be seen written as its escape.

    Parameters
    ----------
    text : str
        Any text, such as what a server gives as its reason.
    most : int, optional
        How many characters of the text to keep. None: all.

    Examples
    --------
    >>> print(printable("\x1b[31mred\N{RIGHT-TO-LEFT OVERRIDE}"))
    \x1b[31mred\u202e
    >>> printable("words without end", most=5)
    'words…'
    """
    cut = text if most is None or len(text) <= most else text[:most] + _ELLIPSIS
    # Nearly all texts are printable, and to see that takes a thirtieth of the time.
    return cut if cut.isprintable() else cut.translate(_ESCAPES)


def are_names(*texts: str) -> bool:
    """Return whether texts are together short enough to be names, of which thousands can be kept.

    Ids and hashes are a hundred characters; a hostile node can send a million.

    Examples
    --------
    >>> are_names("agent-01", "lawful"), are_names("x" * 2_000)
    (True, False)
    """
    return sum(map(len, texts)) <= _LONGEST_NAMES


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return a question for the end of an error's first half, or nothing where no name is near.

    Parameters
    ----------
    word : str
        What was written.
    names : iterable of str
        What could have been meant.

    Examples
    --------
    >>> did_you_mean("Bloks", ["blocks", "social"]), did_you_mean("weather", ["blocks"])
    (" (did you mean 'blocks'?)", '')
    """
    near = get_close_matches(word.lower()[:_LONGEST_NAME], list(names), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def no_such_name(module: str, name: str, names: Iterable[str]) -> str:
    """Return what to say of a name that a module has not: which one is near, and which there are.

    Parameters
    ----------
    module : str
    name : str
        What was asked for.
    names : iterable of str
        What the module has.

    Examples
    --------
    >>> no_such_name("chaosnb.analysis", "foks", ["drift", "forks"])
    "chaosnb.analysis has no 'foks' (did you mean 'forks'?); it has drift, forks"
    """
    known = list(names)
    return f"{module} has no {name!r}{did_you_mean(name, known)}; it has {', '.join(known)}"


def without_particulars(reason: str) -> str:
    """Return the kind of a reason, so that those of one kind can be counted together.

    Words with a digit or a hash in them stand for one block, meme or agent, and become ``…``; only the first
    200 characters count.

    Parameters
    ----------
    reason : str
        As a node gave it.

    Examples
    --------
    >>> without_particulars("posted meme-17")
    'posted …'
    """
    return " ".join("…" if _PARTICULAR.search(word) else word for word in reason[:_LONGEST_REASON].split())
