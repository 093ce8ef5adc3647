"""Ledgers as DataFrames: records about the data in, frames of fixed columns and dtypes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from chaosnb.ingest.gaps import CAUSES, Gap

__all__ = ["gap_frame"]

_SHOWN_HEIGHTS: Final = 1_000
_MOST_BLOCKS: Final = 2**63 - 1
_NOT_A_TIME: Final = -(2**63)


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


def _times(epoch_us: list[int]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.array(epoch_us, dtype="int64").view("datetime64[us]"), tz="UTC")


def _lists(values: list[list[str]] | list[list[int]], item: pa.DataType) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, type=pa.list_(item))))
