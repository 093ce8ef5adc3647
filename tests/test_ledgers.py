"""Ledgers as DataFrames: their columns, and dtypes that do not depend on what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from chaosnb.ingest.gaps import Gap
from chaosnb.store.arrow import arrow_table, slices
from chaosnb.store.formats import require
from chaosnb.tables.ledgers import LEDGERS, gap_frame

START_US = 1_795_394_172_345_678
MOMENT = pd.Timestamp("2026-11-23T00:36:12.345678Z")
DTYPES = {
    "start": "datetime64[us, UTC]",
    "end": "datetime64[us, UTC]",
    "duration_s": "float64",
    "cause": "category",
    "certainty": "category",
    "topics": "list<item: string>[pyarrow]",
    "heights_missing": "list<item: int64>[pyarrow]",
    "blocks_missing": "int64",
    "detail": "str",
}
READERS: dict[str, Callable[[Path], Any]] = {
    "parquet": pd.read_parquet,
    "feather": pd.read_feather,
    "csv": pd.read_csv,
    "jsonl": lambda path: pd.read_json(path, lines=True),
}


def test_a_gap_has_a_length_and_while_it_lasts_neither_end_nor_length() -> None:
    """Times are UTC to the microsecond."""
    over = Gap(START_US, START_US + 1_500_000, "disconnected", ("blocks", "memes"), "possible")
    frame = gap_frame([over, Gap(START_US, None, "stale", (), "possible", detail="silent")])
    assert frame["start"].tolist() == [MOMENT, MOMENT]
    assert frame["end"].iloc[0] == MOMENT + pd.Timedelta("1.5s")
    assert frame["end"].isna().tolist() == [False, True]
    assert frame["duration_s"].iloc[0] == 1.5
    assert frame["duration_s"].isna().tolist() == [False, True]
    assert frame["topics"].tolist() == [["blocks", "memes"], []]
    assert frame["cause"].tolist() == ["disconnected", "stale"]
    assert frame["detail"].tolist() == ["", "silent"]


def test_columns_and_dtypes_are_the_same_with_and_without_gaps() -> None:
    """Code that works on a stream with gaps works on one without."""
    some = gap_frame([Gap(0, 1, "height_jump", ("blocks",), "certain", range(6, 8))])
    for frame in (some, gap_frame([])):
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert some["cause"].dtype == gap_frame([])["cause"].dtype
    assert some["certainty"].dtype == gap_frame([])["certainty"].dtype


def test_of_a_jump_beyond_measure_the_first_heights_are_listed() -> None:
    """A node that makes up a height costs nothing."""
    frame = gap_frame([Gap(0, 1, "height_jump", ("blocks",), "certain", range(-(2**63), 2**63 - 1))])
    assert frame["heights_missing"].iloc[0] == list(range(-(2**63), -(2**63) + 1_000))
    assert frame["blocks_missing"].iloc[0] == 2**63 - 1


def write_gaps(frame: pd.DataFrame, folder: Path, format: str) -> None:
    with require(format).writer(folder) as write:
        write(LEDGERS["gaps"], slices(arrow_table(frame, LEDGERS["gaps"])))


@pytest.mark.parametrize("format", ["parquet", "feather", "csv", "jsonl"])
def test_every_export_holds_the_gaps_with_all_their_columns(tmp_path: Path, format: str) -> None:
    """Read back, a gap is what it was: times, lists, and an end that is not there."""
    gaps = [
        Gap(START_US, START_US + 1_500_000, "height_jump", ("blocks",), "certain", range(6, 8)),
        Gap(START_US, None, "disconnected", ("blocks", "memes"), "possible"),
    ]
    for frame in (gap_frame(gaps), gap_frame([])):
        write_gaps(frame, tmp_path, format)
        back = READERS[format](tmp_path / f"gaps.{format}")
        assert len(back) == len(frame)
        if format != "jsonl" or len(frame):
            assert list(back) == list(DTYPES)
    write_gaps(gap_frame(gaps), tmp_path, format)
    first, second = READERS[format](tmp_path / f"gaps.{format}").itertuples(index=False)
    assert pd.Timestamp(first.start) == MOMENT
    assert pd.Timestamp(first.end) == MOMENT + pd.Timedelta("1.5s")
    assert pd.isna(second.end)
    assert (first.cause, second.certainty, first.blocks_missing) == ("height_jump", "possible", 2)
    lists = [first.heights_missing, second.topics, second.heights_missing]
    read = [json.loads(value) if isinstance(value, str) else list(value) for value in lists]
    assert read == [[6, 7], ["blocks", "memes"], []]
