r"""Text that a spreadsheet would take for a formula, and the ``'`` that keeps it from doing so.

OWASP recommends it ("CSV Injection"). Where quotes stand before the formula already there is one more, so
that taking one away gives every text back as it was::

    column.str.replace(chaosnb.store.formulas.DEFUSED, r"\1", regex=True)
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow.compute as pc

__all__ = ["DEFUSED", "defuse", "restore"]

# Blanks and what cannot be seen, which a spreadsheet may skip; and the signs in their wide forms, too.
_UNSEEN: Final = "[\0-\x20\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*"
_FORMULA: Final = f"'*(?:[\t\r\n]|{_UNSEEN}[=+\\-@＝＋－＠])"
_BEFORE_FORMULA: Final = f"^({_FORMULA})"
DEFUSED: Final = f"^'({_FORMULA})"
"""What was defused: a regular expression whose first group is the text without the quote put before it."""


def defuse(texts: Any) -> Any:
    """Return an Arrow array of text with a quote before what looks like a formula.

    Examples
    --------
    >>> import pyarrow
    >>> defuse(pyarrow.array(["=1+1", "1+1", "'-x"])).to_pylist()
    ["'=1+1", '1+1', "''-x"]
    """
    return pc.replace_substring_regex(texts, _BEFORE_FORMULA, r"'\1")


def restore(texts: Any) -> Any:
    """Return the text as it was before `defuse`.

    Examples
    --------
    >>> import pyarrow
    >>> restore(pyarrow.array(["'=1+1", "1+1", "''-x"])).to_pylist()
    ['=1+1', '1+1', "'-x"]
    """
    return pc.replace_substring_regex(texts, DEFUSED, r"\1")
