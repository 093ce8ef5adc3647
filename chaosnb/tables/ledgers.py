"""Ledgers as DataFrames: records about the data in, frames of fixed columns and dtypes out.

`LEDGERS` declares their columns, as `chaosnb.protocol.schema.TABLES` does those of the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from chaosnb.ingest.gaps import CAUSES, Gap
from chaosnb.protocol.schema import Column, TableSchema

__all__ = ["LEDGERS", "gap_frame", "gaps_of", "span_frame", "spans_of"]

_SHOWN_HEIGHTS: Final = 1_000
_MOST_BLOCKS: Final = 2**63 - 1
_NOT_A_TIME: Final = -(2**63)
_SCHEMAS: Final = (
    TableSchema(
        "gaps",
        "Spans in which events are missing or may be, by event time.",
        (
            Column("start", "time", "from when"),
            Column("end", "time", "to when; none while it lasts"),
            Column("duration_s", "duration", "how long", unit="s"),
            Column("cause", "category", "why events are missing"),
            Column("certainty", "category", "certain where something is known to be missing, else possible"),
            Column("topics", "texts", "whose events are missing"),
            Column("heights_missing", "integers", "heights without a block, the first 1,000"),
            Column("blocks_missing", "integer", "how many heights are without a block"),
            Column("detail", "text", "more about it"),
        ),
    ),
    TableSchema(
        "complete",
        "Spans of event time of which all that was sent is there, provably; both ends are included.",
        (
            Column("topic", "category", "whose events are all there"),
            Column("start", "time", "from when"),
            Column("end", "time", "to when"),
        ),
    ),
    TableSchema(
        "rejects",
        "The newest messages that could not be read.",
        (
            Column("received_at", "time", "when it arrived here, by this machine's clock"),
            Column("reason", "text", "why it could not be read"),
            Column("raw", "text", "the message, with what cannot be printed escaped"),
        ),
    ),
    TableSchema(
        "incidents",
        "What the connection went through.",
        (
            Column("timestamp", "time", "when, by this machine's clock"),
            Column("state", "category", "the state entered, or gone on with"),
            Column("detail", "text", "what happened"),
            Column("code", "text", "close code, HTTP status or error code"),
            Column("delay_s", "duration", "until the next try", unit="s"),
        ),
    ),
    TableSchema(
        "drift",
        "Fields and values that the protocol does not name.",
        (
            Column("drift", "text", "the field or value"),
            Column("count", "integer", "how often it came"),
        ),
    ),
)

LEDGERS: Final[Mapping[str, TableSchema]] = {schema.name: schema for schema in _SCHEMAS}
"""Every ledger by name."""


def gap_frame(gaps: Sequence[Gap]) -> pd.DataFrame:
    """Return gaps as a DataFrame, whose dtypes do not depend on what is in it.

    Examples
    --------
    >>> gap = Gap(0, 1_500_000, "height_jump", ("blocks",), "certain", range(6, 8))
    >>> frame = gap_frame([gap])
    >>> frame["topics"].tolist(), frame["heights_missing"].tolist(), frame["duration_s"].tolist()
    ([['blocks']], [[6, 7]], [1.5])
    """
    start = _times([gap.start_us for gap in gaps])
    end = _times([_NOT_A_TIME if gap.end_us is None else gap.end_us for gap in gaps])
    # A forged height may leave out more blocks than a list, or an integer, can hold.
    heights = [list(gap.heights[:_SHOWN_HEIGHTS]) for gap in gaps]
    blocks = [min(gap.heights.stop - gap.heights.start, _MOST_BLOCKS) for gap in gaps]
    return pd.DataFrame(
        {
            "start": start,
            "end": end,
            "duration_s": (end - start).total_seconds().astype("float64"),
            "cause": pd.Categorical([gap.cause for gap in gaps], categories=list(CAUSES)),
            "certainty": pd.Categorical([gap.certainty for gap in gaps], categories=["certain", "possible"]),
            "topics": _lists([list(gap.topics) for gap in gaps], pa.string()),
            "heights_missing": _lists(heights, pa.int64()),
            "blocks_missing": np.array(blocks, dtype="int64"),
            "detail": pd.Series([gap.detail for gap in gaps], dtype="str"),
        }
    )


def gaps_of(frame: pd.DataFrame) -> list[Gap]:
    """Return the gaps that `gap_frame` made this of.

    Examples
    --------
    >>> gap = Gap(0, None, "stale", ("blocks",), "possible")
    >>> gaps_of(gap_frame([gap])) == [gap]
    True
    """
    columns = [
        _counts(frame["start"]),
        _counts(frame["end"]),
        *(
            list(frame[name])
            for name in ("cause", "topics", "certainty", "heights_missing", "blocks_missing")
        ),
        list(frame["detail"]),
    ]
    return [
        Gap(start, None if end == _NOT_A_TIME else end, cause, tuple(topics), certainty, heights, detail)
        for start, end, cause, topics, certainty, shown, blocks, detail in zip(*columns, strict=True)
        for heights in [range(shown[0], shown[0] + blocks) if shown else range(0)]
    ]


def span_frame(spans: Mapping[str, Sequence[tuple[int, int]]]) -> pd.DataFrame:
    """Return spans of event time by topic, in microseconds, as a DataFrame: topic, start, end.

    Examples
    --------
    >>> span_frame({"blocks": [(0, 1_000_000)]})["end"].tolist()
    [Timestamp('1970-01-01 00:00:01+0000', tz='UTC')]
    """
    rows = [(topic, *span) for topic, found in spans.items() for span in found]
    return pd.DataFrame(
        {
            "topic": pd.Categorical([topic for topic, _, _ in rows], categories=list(spans)),
            "start": _times([start for _, start, _ in rows]),
            "end": _times([end for _, _, end in rows]),
        }
    )


def spans_of(frame: pd.DataFrame) -> dict[str, list[tuple[int, int]]]:
    """Return the spans that `span_frame` made this of.

    Examples
    --------
    >>> spans = {"blocks": [(0, 1), (5, 6)], "memes": []}
    >>> spans_of(span_frame(spans)) == spans
    True
    """
    spans: dict[str, list[tuple[int, int]]] = {topic: [] for topic in frame["topic"].cat.categories}
    for topic, start, end in zip(frame["topic"], _counts(frame["start"]), _counts(frame["end"]), strict=True):
        spans[topic].append((start, end))
    return spans


def _counts(times: pd.Series) -> list[int]:
    counts: list[int] = times.to_numpy("datetime64[us]").astype("int64").tolist()
    return counts


def _times(epoch_us: list[int]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.array(epoch_us, dtype="int64").view("datetime64[us]"), tz="UTC")


def _lists(values: list[list[str]] | list[list[int]], item: pa.DataType) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, type=pa.list_(item))))
