"""What changed between two figure specifications, as drops, keeps and tails of float64 arrays.

A specification is packed into its *structure* (JSON, with a place left for each number array) and its
*arrays*. Between two packed specifications of the same structure only the arrays' differences travel: a time
series that moves on loses some values at its head, keeps most and gains a few at its tail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["PLACE", "Delta", "Packed", "diff", "pack", "unpack"]

PLACE: Final = "__array__"
"""The key that stands, with the array's number, where an array was."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Packed:
    """A specification taken apart.

    Attributes
    ----------
    structure : dict
        All but the number arrays; JSON.
    arrays : list of numpy.ndarray
        The number arrays, float64, copied.
    anchors : list of int
        For each array the number of its trace's `x`, along which it moves; −1 where it has none.
    """

    structure: dict[str, Any]
    arrays: list[Floats]
    anchors: list[int]

    def buffer(self) -> bytes:
        """Join all arrays, one after the other, as little-endian float64."""
        return _bytes(self.arrays)


@dataclass(frozen=True, slots=True)
class Delta:
    """The way from one packed specification to the next.

    Attributes
    ----------
    ops : list of tuple of int
        For each array that changed: its number, how many values to drop at the head, how many to keep after
        that, and how many to append.
    tail : bytes
        The values to append, of all ops one after the other, as little-endian float64.
    """

    ops: list[tuple[int, int, int, int]] = field(default_factory=list)
    tail: bytes = b""


def pack(spec: Mapping[str, Any]) -> Packed:
    """Take a specification apart.

    Parameters
    ----------
    spec : mapping
        A plotly figure specification. Number arrays may be numpy arrays of any numeric type; other arrays
        become lists.

    Returns
    -------
    Packed

    Examples
    --------
    >>> import numpy as np
    >>> packed = pack({"data": [{"type": "scatter", "y": np.array([1, 2])}], "layout": {}})
    >>> packed.structure
    {'data': [{'type': 'scatter', 'y': {'__array__': 0}}], 'layout': {}}
    >>> packed.arrays
    [array([1., 2.])]
    """
    arrays: list[Floats] = []
    anchors: list[int] = []

    def walk(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "biuf":
            arrays.append(np.array(value, dtype="<f8"))
            anchors.append(-1)
            return {PLACE: len(arrays) - 1}
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        if isinstance(value, Mapping):
            return {str(key): walk(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [walk(item) for item in value]
        return value

    traces = []
    for trace in spec.get("data", []):
        first = len(arrays)
        packed = walk(trace)
        x = packed.get("x")
        if isinstance(x, dict) and PLACE in x:
            along = x[PLACE]
            for number in range(first, len(arrays)):
                if len(arrays[number]) == len(arrays[along]):
                    anchors[number] = along
        traces.append(packed)
    rest = walk({key: value for key, value in spec.items() if key != "data"})
    return Packed({"data": traces, "layout": {}, **rest}, arrays, anchors)


def unpack(packed: Packed) -> dict[str, Any]:
    """Put a specification together again, as plain JSON: arrays become lists, what is not finite ``None``.

    Parameters
    ----------
    packed : Packed

    Returns
    -------
    dict

    Examples
    --------
    >>> import numpy as np
    >>> unpack(pack({"data": [{"y": np.array([1.5, np.nan])}]}))
    {'data': [{'y': [1.5, None]}], 'layout': {}}
    """

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if PLACE in value:
                return [_short(number) for number in packed.arrays[value[PLACE]].tolist()]
            return {key: walk(item) for key, item in value.items()}
        return [walk(item) for item in value] if isinstance(value, list) else value

    whole: dict[str, Any] = walk(packed.structure)
    return whole


def diff(old: Packed, new: Packed) -> Delta | None:
    """Say how to get from one specification to the next.

    Parameters
    ----------
    old, new : Packed

    Returns
    -------
    Delta or None
        None if more than the arrays' values changed, so that the whole has to be sent.

    Examples
    --------
    >>> import numpy as np
    >>> old = pack({"data": [{"x": np.array([1, 2, 3]), "y": np.array([5, 6, 7])}]})
    >>> new = pack({"data": [{"x": np.array([2, 3, 4]), "y": np.array([6, 8, 9])}]})
    >>> diff(old, new).ops
    [(0, 1, 2, 1), (1, 1, 1, 2)]
    """
    if old.structure != new.structure or len(old.arrays) != len(new.arrays):
        return None
    ops = []
    tails = []
    for number, (before, after) in enumerate(zip(old.arrays, new.arrays, strict=True)):
        along = new.anchors[number]
        drop = 0 if along < 0 else min(_moved(old.arrays[along], new.arrays[along]), len(before))
        keep = _alike(before[drop:], after)
        if drop or keep < len(before) or keep < len(after):
            ops.append((number, drop, keep, len(after) - keep))
            tails.append(after[keep:])
    return Delta(ops, _bytes(tails))


def _moved(before: Floats, after: Floats) -> int:
    if not len(before) or not len(after):
        return 0
    found = np.flatnonzero(before == after[0])
    return int(found[0]) if len(found) else 0


def _alike(before: Floats, after: Floats) -> int:
    length = min(len(before), len(after))
    # Bits are compared, not values: NaN equals itself, and −0.0 is not 0.0.
    differs = np.flatnonzero(before[:length].view(np.int64) != after[:length].view(np.int64))
    return int(differs[0]) if len(differs) else length


def _bytes(arrays: list[Floats]) -> bytes:
    return b"".join(array.tobytes() for array in arrays)


def _short(number: float) -> float | int | None:
    if not np.isfinite(number):
        return None
    return int(number) if number.is_integer() else float(f"{number:.6g}") if abs(number) < 1e6 else number
