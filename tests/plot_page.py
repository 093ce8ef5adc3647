"""What live_plot.js does with the frames of a live plot, without drawing them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chaosnb.notebook.delta import Delta, Packed

__all__ = ["applied", "same", "sent"]

Parts = list[tuple[dict[str, Any], list[NDArray[np.float64]]]]


def sent(delta: Delta) -> dict[str, Any]:
    """Return a delta as the page gets it, without the buffer."""
    message: dict[str, Any] = json.loads(
        json.dumps({"order": delta.order, "patches": delta.patches, "ops": delta.ops}, allow_nan=False)
    )
    return message


def applied(parts: Parts, message: dict[str, Any], buffer: bytes) -> Parts:
    """Return the parts after a frame: as `apply` in live_plot.js."""
    order = message.get("order")
    places = range(len(parts)) if order is None else order
    made = [[*(parts[place] if place >= 0 else ({}, []))] for place in places]
    # The page may change what it has in place; here old frames are still to be compared.
    made = [[json.loads(json.dumps(spec)), [*arrays]] for spec, arrays in made]
    for (number, *path), *value in message.get("patches") or []:
        owner: Any = made[number]
        key: Any = 0
        for step in path:
            owner, key = owner[key], step
        if len(value) > 1:
            drop, keep, head, tail = value
            kept = owner[key][drop : drop + keep]
            assert len(kept) == keep
            owner[key] = [*head, *kept, *tail]
        elif value:
            (owner[key],) = value
        else:
            del owner[key]
    values = np.frombuffer(buffer, "<f8")
    at = 0
    for number, place, head, drop, keep, append in message["ops"]:
        arrays = made[number][1]
        arrays.extend([np.empty(0)] * (place + 1 - len(arrays)))
        kept = arrays[place][drop : drop + keep]
        assert len(kept) == keep
        first, last = values[at : at + head], values[at + head : at + head + append]
        arrays[place] = np.concatenate([first, kept, last])
        at += head + append
    assert at == len(values)
    return [(spec, arrays) for spec, arrays in made]


def same(parts: Parts, packed: Packed) -> bool:
    """Tell whether the page has what was packed, bit for bit."""
    if [spec for spec, _ in parts] != [part.structure for part in packed.parts]:
        return False
    # The page may remember arrays that nothing refers to any more.
    return all(
        [array.tobytes() for array in arrays[: len(part.arrays)]]
        == [array.tobytes() for array in part.arrays]
        for (_, arrays), part in zip(parts, packed.parts, strict=True)
    )
