"""Foreign text made fit to be shown: what would steer a terminal or turn a line around becomes visible."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["printable"]

# Controls (with those of 8 bits), what turns or hides text, line ends of Unicode's own, lone surrogates. The
# joiners within emoji stay.
_UNSHOWABLE: Final = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_ELLIPSIS: Final = "…"


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
    return _UNSHOWABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), cut)
