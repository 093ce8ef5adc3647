"""Rows in one form, whether read from messages as the node sent them or from a stream's DataFrames.

Messages are read here by `json` alone, so that both sides do not share the client's way of reading.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from chaosnb.devnet.outgoing import Outgoing
from chaosnb.protocol.schema import TABLES

__all__ = ["EVENT_TABLES", "kept_rows", "sent_rows"]

EVENT_TABLES = [name for name in TABLES if name != "error"]
"""The tables that hold what the node's events say."""

Row = tuple[int, str]

_COMPARED = {
    name: [c for c in TABLES[name].columns if c.path and c.kind not in ("time", "duration")]
    for name in EVENT_TABLES
}


def sent_rows(messages: Iterable[Outgoing]) -> dict[str, list[Row]]:
    """Return the rows that these events must give, by table, in the same order."""
    rows: dict[str, list[Row]] = {name: [] for name in EVENT_TABLES}
    for message in messages:
        data = json.loads(message.data)["data"]
        content = [_inner(data, column.path) for column in _COMPARED[message.event_type]]
        rows[message.event_type].append((message.time_us, json.dumps(content, sort_keys=True)))
    return rows


def kept_rows(frames: Mapping[str, pd.DataFrame]) -> dict[str, list[Row]]:
    """Return the rows of these DataFrames, by table, in the same order."""
    rows: dict[str, list[Row]] = {}
    for name, frame in frames.items():
        times = frame["timestamp"].astype("int64").tolist()
        columns = [frame[column.name].tolist() for column in _COMPARED[name]]
        contents = zip(*columns, strict=True)
        rows[name] = [
            (at_us, json.dumps(content, sort_keys=True, default=_plain))
            for at_us, content in zip(times, contents, strict=True)
        ]
    return rows


def _inner(data: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        data = data[step]
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a table holds {value!r}")
