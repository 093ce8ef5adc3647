"""Paths, as the caller names them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from chaosnb.text import did_you_mean

__all__ = ["beside", "path_of"]


def path_of(name: str, path: str | os.PathLike[str]) -> Path:
    """Return a path, in which ~ is the home folder; `name` is the argument's, for the error.

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> path_of("recording", "run.chaos").name
    'run.chaos'
    """
    try:
        return Path(path).expanduser()
    except TypeError:
        raise TypeError(f"{name} is a path such as 'run.chaos', and not {path!r}") from None
    except RuntimeError:  # nobody's home
        return Path(path)


def beside(path: Path) -> str:
    """Return a question for an error's end, if what is not there may be misspelt; what is there is not.

    Examples
    --------
    >>> beside(Path("nowhere/at/all"))
    ''
    """
    with suppress(OSError, ValueError):
        names = sorted(other.name for other in path.parent.iterdir())
        return "" if path.name in names else did_you_mean(path.name, names)
    return ""
