"""What every analysis does with its frames: any kind in, the same out, columns checked."""

from __future__ import annotations

import datetime as dt
import inspect
from typing import Any

import duckdb
import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import chaosnb
from chaosnb import analysis
from chaosnb.analysis.columns import listed
from chaosnb.analysis.frames import count, fetch, flag, give, take
from chaosnb.analysis.turns import first, repeats
from tests.engines import ENGINES, as_pandas, devnet, empty, on_engine

TIMES = pd.to_datetime(["2026-01-01T00:00:00.000001Z", None, "2025-12-31T23:59:59Z"], format="ISO8601")
VOTES = pd.DataFrame({"timestamp": TIMES, "decision": pd.Categorical(["approve", None, "reject"])})
TIMES_US = [1767225600000001, 1767225599000000]
TABLE_OF = {
    "blocks": "block_proposal",
    "gaps": None,
    "memes": "meme_posted",
    "messages": "consensus_discussion",
    "metrics": "network_metrics",
    "statuses": "agent_status",
    "votes": "block_validation",
    "alliances": "alliance_update",
}


@pytest.mark.parametrize("engine", ENGINES)
def test_times_become_microseconds_and_rows_without_one_go(engine: str) -> None:
    """On every engine, whatever its own kind of time."""
    rows = fetch(take(on_engine(engine, VOTES), "block_validation", "timestamp", "decision"))
    assert sorted(rows["t_us"]) == sorted(TIMES_US)
    assert {*rows["decision"]} == {"approve", "reject"}


def test_times_are_read_in_whatever_zone_and_unit_they_stand() -> None:
    """Without a zone they are UTC; pandas' text is read, too, and a column t_us is taken as it is."""
    naive = pl.Series([dt.datetime(2026, 1, 1), dt.datetime(2025, 1, 1)])
    frames: list[Any] = [
        pd.DataFrame({"timestamp": ["2026-01-01T01:00:00+01:00", "2025-01-01"]}),
        pd.DataFrame({"timestamp": pd.to_datetime(["2026-01-01", "2025-01-01"]).astype("datetime64[s]")}),
        pl.DataFrame({"timestamp": naive}),
        pl.DataFrame({"timestamp": naive.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")}),
        duckdb.sql("select unnest([timestamp '2026-01-01', timestamp '2025-01-01']) as timestamp"),
        duckdb.sql("select unnest([1767225600000000, 1735689600000000]) as t_us"),
        pa.table({"t_us": [1767225600000000, None, 1735689600000000]}),
    ]
    for frame in frames:
        rows = fetch(take(frame, "block_validation", "timestamp"))
        assert sorted(rows["t_us"]) == [1735689600000000, 1767225600000000]


def test_what_is_no_time_is_an_error_that_says_what_to_do() -> None:
    """Text in pandas that is no time, and any text elsewhere."""
    for frame in (pd.DataFrame({"timestamp": ["soon"]}), pl.DataFrame({"timestamp": ["2026-01-01"]})):
        with pytest.raises(ValueError, match="the column timestamp is not made of times"):
            take(frame, "block_validation", "timestamp")


def test_a_missing_column_is_named_with_the_table_that_has_it() -> None:
    """The error is a ValueError, carries the names, and says what the frame seems to be."""
    with pytest.raises(ValueError, match=r"no columns decision, reason\. The table block_val.*s\.block_val"):
        take(pl.DataFrame({"a": [1]}), "block_validation", "decision", "reason")
    with pytest.raises(chaosnb.MissingColumnsError, match="looks like the table network_metrics") as raised:
        take(empty("network_metrics"), "block_validation", "timestamp", "decision")
    assert (raised.value.columns, raised.value.table) == (("decision",), "block_validation")
    with pytest.raises(TypeError, match=r"such as s\.block_validation, not dict"):
        take({"decision": []}, "block_validation", "decision")


def test_frames_of_two_kinds_are_not_mixed() -> None:
    """Neither engine could join them."""
    with pytest.raises(TypeError, match="one kind, not polars and pandas"):
        take(VOTES, "block_validation", "decision", beside=pl.DataFrame())


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_given_back_is_of_the_kind_that_was_asked_about(engine: str) -> None:
    """Whether it was made there or with numpy; whole numbers are int64, times UTC, attrs kept."""
    frame = on_engine(engine, VOTES)
    frame_attrs = getattr(frame, "attrs", {})
    frame_attrs["source"] = "ws://node (simulated)"
    lazy = take(frame, "block_validation", "timestamp").select(time="t_us", n=nw.lit(1, nw.Int8)).sort("time")
    for result in (lazy, fetch(lazy)):
        given = give(result, frame)
        assert isinstance(given, ENGINES[engine])
        assert getattr(given, "attrs", {}) == frame_attrs or engine != "pandas"
        found = nw.from_native(given).lazy().collect("pyarrow")
        assert found.schema["n"] == nw.Int64
        stamps = [value.astimezone(dt.UTC) for value in found["time"].to_list()]
        assert [round(value.timestamp() * 1e6) for value in stamps] == sorted(TIMES_US)
    VOTES.attrs.clear()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_time_that_is_unknown_stays_unknown(engine: str) -> None:
    """In whatever column it stands."""
    frame = on_engine(engine, pd.DataFrame({"end": [1e6, np.nan]}))
    given: Any = give(nw.from_native(frame).lazy(), frame, times=["end"])
    end = as_pandas(given)["end"]
    assert end.isna().tolist() == [False, True]
    assert end[0] == pd.Timestamp(1, unit="s", tz="UTC")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_first_of_a_group_is_first_by_time_and_then_by_arrival(engine: str) -> None:
    """Whatever order the rows have; without arrival numbers one of those at the same time is."""
    rows = pd.DataFrame(
        {"t_us": [2, 1, 1, 1], "seq": [0, 3, 2, 1], "validator_id": list("aaab"), "decision": list("wxyz")}
    )
    for frame in (rows, rows.iloc[::-1]):
        votes = take(
            on_engine(engine, frame),
            *("block_validation", "timestamp", "validator_id", "decision"),
            optional=["seq"],
        )
        assert sorted(fetch(first(votes, ["validator_id"]))["decision"]) == ["y", "z"]
        assert sorted(fetch(repeats(votes, ["validator_id"]))["decision"]) == ["w", "x"]
    alone = take(on_engine(engine, rows), "block_validation", "timestamp", "validator_id")
    assert len(fetch(first(alone, ["validator_id"]))) == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_sums_by_group_are_whole_numbers_and_labels_text(engine: str) -> None:
    """A label that is missing is empty text."""
    votes = take(on_engine(engine, VOTES), "block_validation", "decision")
    counted = count(votes.with_columns(n=flag(nw.col("decision") == "approve")), ["decision"], "n")
    found = fetch(counted.sort("decision"))
    assert found["decision"].tolist() == ["", "approve", "reject"]
    assert found["n"].tolist() == [0, 1, 0]
    assert found["n"].dtype == np.int64


@pytest.mark.parametrize("engine", ENGINES)
def test_lists_are_lists_on_every_engine(engine: str) -> None:
    """Also where pandas holds them as Python objects, and where there are none."""
    lists = pd.DataFrame({"tags": [["a", "b"], []]})
    for frame, wanted in ((lists, [0, 2]), (lists.iloc[1:], [0]), (lists.iloc[:0], [])):
        given = frame if engine == "pandas" else on_engine(engine, frame.assign(tags=listed(frame["tags"])))
        rows = fetch(take(given, "meme_posted", "tags").select(n=nw.col("tags").list.len()))
        assert sorted(rows["n"]) == wanted
    with pytest.raises(ValueError, match=r"tags is not made of lists.*json\.loads"):
        take(pd.DataFrame({"tags": ["['a']"]}), "meme_posted", "tags")


@pytest.mark.parametrize("engine", ENGINES)
def test_text_is_not_taken_for_numbers(engine: str) -> None:
    """Heights of text would be put in order as '10' before '9', and nobody would notice."""
    heights = pd.DataFrame({"timestamp": pd.Timestamp("2026-01-01"), "height": ["9", "10"]})
    with pytest.raises(ValueError, match=r"height is not made of numbers but of text.*pd\.to_numeric"):
        take(on_engine(engine, heights), "block_proposal", "timestamp", "height")
    numbers = on_engine(engine, heights.assign(height=pd.to_numeric(heights["height"])))
    assert sorted(fetch(take(numbers, "block_proposal", "height"))["height"]) == [9, 10]
    for nothing in ([], [None]):
        unknown = pd.DataFrame({"height": pd.Series(nothing, dtype="object")})
        assert len(fetch(take(unknown, "block_proposal", "height"))) == len(nothing)


def test_results_of_empty_tables_have_the_dtypes_of_others() -> None:
    """So that they can be put together: of each analysis that takes tables of a stream."""
    _, tables = devnet(seconds=40)
    for name in {*analysis.__all__} - {"agreement_clusters", "alliance_graph", "wilson_interval"}:
        analyse, given, nothing = getattr(analysis, name), {}, {}
        asked = inspect.signature(analyse).parameters
        for parameter in asked:
            updates = "alliance_update" if name.startswith("alliance") else "reputation_update"
            if table := {**TABLE_OF, "updates": updates}.get(parameter):
                given[parameter], nothing[parameter] = tables[table], empty(table)
        options = {"fresh_s": 10.0} if "fresh_s" in asked else {}
        some, none = analyse(**given, **options), analyse(**nothing, **options)
        # Columns that are handed on have the categories that they had.
        kinds, wanted = ([str(kind) for kind in found.dtypes] for found in (none, some))
        assert kinds == wanted, name
