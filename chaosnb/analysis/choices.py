"""What a caller chooses by name, such as groups to count by."""

from __future__ import annotations

from collections.abc import Collection, Iterable

__all__ = ["chosen"]


def chosen(by: object, possible: Collection[str], *, none: bool = False) -> list[str]:
    """Return the names that were chosen, one or several, each once.

    Parameters
    ----------
    by : str or iterable of str
    possible : collection of str
    none : bool
        Whether it is possible to choose none.

    Raises
    ------
    ValueError
        If a name is not possible.

    Examples
    --------
    >>> chosen("time", ["block", "time"]), chosen(["time", "block", "time"], ["block", "time"])
    (['time'], ['time', 'block'])
    """
    given = [*by] if isinstance(by, Iterable) and not isinstance(by, str) else [by]
    names = [name for name in given if isinstance(name, str) and name in possible]
    if len(names) < len(given) or not (names or none):
        nothing = " or () for none" if none else ""
        raise ValueError(f"by={by!r} is not possible: choose from {', '.join(map(repr, possible))}{nothing}")
    return [*dict.fromkeys(names)]
