"""What changed between two figure specifications: new structure where it differs, and tails of arrays.

A specification is packed into *parts*: first all that is not a trace, then each trace. A part is its
*structure* (JSON, with a place left for each number array) and its *arrays*. Between two packed
specifications only differences travel. A trace is recognised by its `uid`, or else its name, wherever it
stands; a time series that moves on loses some values at its head, keeps most and gains a few at its tail.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["PLACE", "Delta", "Packed", "Part", "diff", "pack", "unpack"]

PLACE: Final = "__array__"
"""The key that stands, with the array's number within its part, where an array was."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """A trace, or all that is not one.

    Attributes
    ----------
    structure : dict
        All but the number arrays; JSON.
    arrays : list of numpy.ndarray
        The number arrays, float64, copied.
    """

    structure: dict[str, Any]
    arrays: list[Floats]


@dataclass(frozen=True, slots=True)
class Packed:
    """A specification taken apart.

    Attributes
    ----------
    parts : list of Part
        First what is not a trace, then each trace.
    """

    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Delta:
    """The way from one packed specification to the next, in the order in which it is to be gone.

    Attributes
    ----------
    order : list of int or None
        For each part the number of the old part that it is made of, −1 if of none; None if all stay.
    patches : list of list
        ``[path, value]`` to set something in the structure, or ``[path]`` to take it away; of a list of texts
        ``[path, drop, keep, head, tail]``: how many to drop at its head, how many to keep after those, and
        what is new before and behind. A path begins with the part's number.
    ops : list of tuple of int
        For each array that changed: its part's number, its own, how many new values it begins with, how many
        old ones to drop, how many to keep after those, and how many new ones to append.
    values : bytes
        The new values, of all ops one after the other, as little-endian float64.
    """

    order: list[int] | None = None
    patches: list[list[Any]] = field(default_factory=list)
    ops: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    values: bytes = b""

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return self.order is not None or bool(self.patches) or bool(self.ops)


def pack(spec: Mapping[str, Any], like: Packed | None = None) -> Packed:
    """Take a specification apart.

    Parameters
    ----------
    spec : mapping
        A plotly figure specification. Number arrays may be numpy arrays of any numeric type; other arrays
        become lists.
    like : Packed, optional
        One that looks nearly the same, such as the last: its structure is taken where it is the same, which
        saves nearly all of the work.

    Returns
    -------
    Packed

    Examples
    --------
    >>> import numpy as np
    >>> packed = pack({"data": [{"type": "scatter", "y": np.array([1, 2])}], "layout": {}})
    >>> packed.parts[1]
    Part(structure={'type': 'scatter', 'y': {'__array__': 0}}, arrays=[array([1., 2.])])
    """
    rest = {"layout": {}, **{key: value for key, value in spec.items() if key != "data"}}
    parts = like.parts if like is not None else []
    specs = [rest, *spec.get("data", [])]
    copies: dict[int, Floats] = {}

    def copied(values: NDArray[Any]) -> Floats:
        # Traces share arrays, such as times: what is one stays one, and is compared once.
        known = copies.get(id(values))
        if known is None:
            known = copies[id(values)] = np.array(values, dtype="<f8")
        return known

    return Packed([_part(part, known, copied) for part, known in zip_longest(specs, parts[: len(specs)])])


def unpack(packed: Packed, *, compact: bool = False) -> dict[str, Any]:
    """Put a specification together again, as plain JSON: arrays become lists, what is not finite ``None``.

    Parameters
    ----------
    packed : Packed
    compact : bool
        Write arrays as plotly's typed arrays, ``{"dtype", "bdata"}``, in base64: a notebook's file has a line
        for each item of a list.

    Returns
    -------
    dict

    Examples
    --------
    >>> import numpy as np
    >>> unpack(pack({"data": [{"y": np.array([1.5, np.nan])}]}))
    {'data': [{'y': [1.5, None]}], 'layout': {}}
    """

    def walk(value: Any, arrays: list[Floats]) -> Any:
        if isinstance(value, dict):
            if PLACE in value:
                array = arrays[value[PLACE]]
                return _typed(array) if compact else [_short(number) for number in array.tolist()]
            return {key: walk(item, arrays) for key, item in value.items()}
        return [walk(item, arrays) for item in value] if isinstance(value, list) else value

    rest, *traces = (walk(part.structure, part.arrays) for part in packed.parts)
    return {"data": traces, **rest}


def diff(old: Packed | None, new: Packed) -> Delta:
    """Say how to get from one specification to the next.

    Parameters
    ----------
    old : Packed or None
        What is there; None for nothing.
    new : Packed

    Returns
    -------
    Delta

    Examples
    --------
    >>> import numpy as np
    >>> old = pack({"data": [{"x": np.array([1, 2, 3]), "y": np.array([5, 6, 7])}]})
    >>> new = pack({"data": [{"x": np.array([2, 3, 4]), "y": np.array([6, 8, 9])}]})
    >>> diff(old, new).ops
    [(1, 0, 0, 1, 2, 1), (1, 1, 0, 1, 1, 2)]
    """
    if old is new:
        return Delta()
    order = _order(old, new)
    patches: list[list[Any]] = []
    ops = []
    values: list[Floats] = []
    # Traces share arrays, such as times, of which each pair is compared once.
    moves: dict[tuple[int, int], tuple[int, int]] = {}
    keeps: dict[tuple[int, int, int, int], int] = {}
    for number, (source, part) in enumerate(zip(order, new.parts, strict=True)):
        before = old.parts[source] if old is not None and source >= 0 else _NOTHING
        moved = (0, 0)
        if part.structure.get("x") == _FIRST and before.structure.get("x") == _FIRST:
            x, was = part.arrays[0], before.arrays[0]
            if (pair := (id(was), id(x))) not in moves:
                moves[pair] = _moved(was, x)
            moved = moves[pair]
        _compare(before.structure, part.structure, [number], patches, moved)
        for index, after in enumerate(part.arrays):
            known = index < len(before.arrays)
            held = before.arrays[index] if known else _EMPTY
            # Not all of a trace's arrays need to go along with its x.
            head, drop = moved if len(after) == len(part.arrays[0]) and known else (0, 0)
            if (place := (id(held), drop, id(after), head)) not in keeps:
                keeps[place] = _alike(held[drop:], after[head:])
            keep = keeps[place]
            if not keep:
                head = drop = 0
            append = len(after) - head - keep
            if not known or head or drop or append or keep < len(held):
                ops.append((number, index, head, drop, keep, append))
                values += [after[:head], after[head + keep :]]
    same = old is not None and order == list(range(len(old.parts)))
    return Delta(None if same else order, patches, ops, b"".join(part.tobytes() for part in values))


_EMPTY: Final = np.empty(0, dtype="<f8")
_NOTHING: Final = Part({}, [])
_FIRST: Final = {PLACE: 0}
_FEW_DIGITS: Final = 1e6
_NEW_AT_HEAD: Final = 2


def _part(spec: Mapping[str, Any], known: Part | None, copied: Callable[[NDArray[Any]], Floats]) -> Part:
    if known is not None and (arrays := _arrays_as_in(known, spec, copied)) is not None:
        return Part(known.structure, arrays)
    arrays = []

    def walk(value: Any) -> Any:
        # The commonest kinds first.
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            return value
        if kind is float:
            return value if isfinite(value) else None
        if _is_numbers(value):
            arrays.append(copied(value))
            return {PLACE: len(arrays) - 1}
        if isinstance(value, np.ndarray | np.generic):
            return walk(value.tolist())
        if isinstance(value, Mapping):
            return {str(key): walk(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [walk(item) for item in value]
        return value

    # First what a time series moves along.
    along = {key: spec[key] for key in ("x",) if key in spec}
    return Part(walk({**along, **spec}), arrays)


def _arrays_as_in(
    known: Part, spec: Mapping[str, Any], copied: Callable[[NDArray[Any]], Floats]
) -> list[Floats] | None:
    """Return the arrays of what has the structure of a known part, and arrays at its top alone; else None."""
    structure = known.structure
    if len(spec) != len(structure):
        return None
    arrays: list[Floats] = [_EMPTY] * len(known.arrays)
    found = 0
    try:
        for key, value in spec.items():
            held = structure.get(key, _NOTHING)
            if type(value) is np.ndarray:
                if type(held) is not dict or PLACE not in held or not _is_numbers(value):
                    return None
                arrays[held[PLACE]] = copied(value)
                found += 1
            # A number is not the same as a truth, though Python takes 1 for True.
            elif held is not value and (type(held) is not type(value) or held != value):
                return None
    except ValueError:  # arrays within
        return None
    return arrays if found == len(arrays) else None


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "biuf"


def _order(old: Packed | None, new: Packed) -> list[int]:
    if old is None:
        return [-1] * len(new.parts)
    pairs = zip(old.parts, new.parts, strict=False)
    if len(old.parts) == len(new.parts) and all(a.structure is b.structure for a, b in pairs):
        return [*range(len(new.parts))]
    places = {key: number for number, key in enumerate(_keys(old), 1)}
    return [0, *(places.get(key, -1) for key in _keys(new))]


def _keys(packed: Packed) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    keys = []
    for trace in packed.parts[1:]:
        name = str(trace.structure.get("uid") or trace.structure.get("name"))
        keys.append((name, seen[name]))
        seen[name] += 1
    return keys


def _compare(
    before: Any, after: Any, path: list[Any], patches: list[list[Any]], moved: tuple[int, int] = (0, 0)
) -> None:
    if before is after or before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict) and before:
        patches.extend([[*path, key]] for key in before if key not in after)
        for key, value in after.items():
            if key in before:
                _compare(before[key], value, [*path, key], patches, moved)
            else:
                patches.append([[*path, key], value])
    elif isinstance(before, list) and isinstance(after, list) and (spliced := _spliced(before, after, moved)):
        patches.append([path, *spliced])
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, pair in enumerate(zip(before, after, strict=True)):
            _compare(*pair, [*path, place], patches)
    else:
        patches.append([path, after])


def _spliced(before: list[Any], after: list[Any], moved: tuple[int, int]) -> list[Any]:
    """Say how a list of texts, such as those of a line's points, moves along; nothing where it does not."""
    head, drop = moved
    if moved == (0, 0) and len(before) == len(after):
        return []
    keep = 0
    for old, new in zip(before[drop:], after[head:], strict=False):
        if type(old) is not str or old != new:
            break
        keep += 1
    return [drop, keep, after[:head], after[head + keep :]] if keep else []


def _moved(before: Floats, after: Floats) -> tuple[int, int]:
    """Return how many values are new and how many gone at the head of what a time series moves along.

    A line may begin with a value that is carried along to where the window begins: then the second value is
    the first that was there before.
    """
    # As is usual, and the quickest way to tell.
    if len(before) and len(after) and before.item(0) == after.item(0):
        return 0, 0
    # Bits are compared, not values: NaN equals itself.
    old, new = before.view(np.int64), after.view(np.int64)
    for head in range(min(_NEW_AT_HEAD, len(new) - 1) + 1):
        found = np.flatnonzero(old == new[head])
        if len(found):
            return head, int(found[0])
    return 0, 0


def _alike(before: Floats, after: Floats) -> int:
    length = min(len(before), len(after))
    # By bits, too.
    if not length:
        return 0
    # Bytes are compared first: most arrays, such as the times of a bucket that goes on, are the same.
    if len(before) == len(after) and before.tobytes() == after.tobytes():
        return length
    differs = before[:length].view(np.int64) != after[:length].view(np.int64)
    first = int(differs.argmax())
    return first if differs[first] else length


def _typed(array: Floats) -> dict[str, str]:
    # Single precision is to seven digits, which is enough for all but times.
    dtype = "f4" if np.all(np.abs(array[np.isfinite(array)]) < _FEW_DIGITS) else "f8"
    return {"dtype": dtype, "bdata": b64encode(array.astype(f"<{dtype}").tobytes()).decode()}


def _short(number: float) -> float | int | None:
    if not isfinite(number):
        return None
    if number.is_integer():
        return int(number)
    return float(f"{number:.6g}") if abs(number) < _FEW_DIGITS else number
