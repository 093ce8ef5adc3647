"""Growable columns: their dtypes, and snapshots that later rows do not reach."""

import itertools
import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.protocol.schema import TABLES, Column
from chaosnb.tables.buffer import GrowableBuffer
from chaosnb.tables.columns import ArrowColumn, CategoryColumn, FixedColumn, GrowableColumn, make_column

STAMP = "datetime64[us, UTC]"
RECORDS = pa.list_(pa.struct([("hash", pa.string()), ("type", pa.string())]))

# How each kind of column is made, what may be appended to it, and what pandas then shows.
KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "integer": (lambda: FixedColumn("int64", "int64"), st.integers(-(2**63), 2**63 - 1)),
    "number": (lambda: FixedColumn("float64", "float64"), st.floats(allow_nan=False)),
    "time": (lambda: FixedColumn("int64", STAMP), st.integers(-(10**15), 10**15)),
    "category": (CategoryColumn, st.sampled_from(["a", "b", "", "\0", "🦊"]) | st.text(max_size=3)),
    "text": (lambda: ArrowColumn(pa.large_string()), st.text(max_size=5)),
    "texts": (lambda: ArrowColumn(pa.list_(pa.string())), st.lists(st.text(max_size=3), max_size=3)),
    "records": (
        lambda: ArrowColumn(RECORDS),
        st.lists(st.fixed_dictionaries({"hash": st.text(max_size=2), "type": st.just("t")}), max_size=2),
    ),
}


def shown(series: "pd.Series[Any]") -> list[Any]:
    """Return what a Series holds as plain values, with times in microseconds."""
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return series.astype("int64").tolist()
    return series.tolist()


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, list[list[Any]]]:
    """Draw a kind of column and the lists of values that are appended to it."""
    kind = draw(st.sampled_from(list(KINDS)))
    return kind, draw(st.lists(st.lists(KINDS[kind][1], max_size=6), min_size=1, max_size=8))


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_snapshots_keep_what_they_showed(history: tuple[str, list[list[Any]]], random: Any) -> None:
    """Through appends and new orders each snapshot shows the rows of its time, in the order of its time."""
    kind, appends = history
    column: GrowableColumn = KINDS[kind][0]()
    rows: list[Any] = []
    taken: list[tuple[pd.Series[Any], list[Any]]] = []
    for values in appends:
        column.append(values)
        rows += values
        if random.random() < 0.7:
            taken.append((column.snapshot(), list(rows)))
        if random.random() < 0.5 and rows:
            start = random.randrange(len(rows))
            order = np.array(random.sample(range(len(rows) - start), len(rows) - start), dtype=np.int64)
            column.reorder(start, order)
            rows[start:] = [rows[start:][place] for place in order]
    taken.append((column.snapshot(), list(rows)))
    for series, expected in taken:
        assert shown(series) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_growth_keeps_every_value(kind: str) -> None:
    """A column that outgrows its room many times over still holds all, and so do its snapshots."""
    column: GrowableColumn = KINDS[kind][0]()
    made: dict[str, Any] = {
        "integer": lambda i: i,
        "number": lambda i: i / 2,
        "time": lambda i: i,
        "category": lambda i: f"c{i % 7}",
        "text": lambda i: f"t{i}",
        "texts": lambda i: [f"t{i}"] * (i % 3),
        "records": lambda i: [{"hash": f"h{i}", "type": "t"}] * (i % 3),
    }
    rows = [made[kind](i) for i in range(5_000)]
    taken = []
    for start in range(0, len(rows), 500):
        column.append(rows[start : start + 500])
        taken.append(column.snapshot())
    for number, series in enumerate(taken, 1):
        assert shown(series) == rows[: number * 500]


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_column_has_its_dtype(kind: str) -> None:
    """A column's dtype does not depend on whether it has rows, nor does an empty append matter."""
    column: GrowableColumn = KINDS[kind][0]()
    empty = column.snapshot()
    column.append([])
    assert (len(empty), len(column.snapshot())) == (0, 0)
    column.append([{"category": "", "text": "", "texts": [], "records": []}.get(kind, 0)])
    filled = column.snapshot()
    if kind == "category":
        assert (empty.dtype.name, filled.dtype.name) == ("category", "category")
    else:
        assert empty.dtype == filled.dtype


@pytest.mark.parametrize("categories", [1, 126, 127, 128, 129, 32_766, 32_767, 32_768])
def test_codes_are_as_wide_as_pandas_makes_them(categories: int) -> None:
    """Codes have the width that pandas would choose, at and around every limit, and the right values."""
    values = [f"c{i}" for i in range(categories)]
    column = CategoryColumn()
    column.append(values)
    series = column.snapshot()
    assert series.cat.codes.dtype == pd.Series(pd.Categorical(values, categories=values)).cat.codes.dtype
    assert series.tolist() == values
    column.append(values[-1:])
    assert column.snapshot().tolist() == values + values[-1:]
    assert series.tolist() == values


@pytest.mark.parametrize("limit", [127, 128, 32_767, 32_768])
def test_snapshots_survive_wider_codes(limit: int) -> None:
    """A snapshot from before the codes grew wider shows what it did, written to or not."""
    column = CategoryColumn()
    column.append([f"c{i}" for i in range(limit - 2)])
    before, untouched = column.snapshot(), column.snapshot()
    column.append([f"d{i}" for i in range(4)])
    after = column.snapshot()
    before.iloc[0] = "c1"
    after.iloc[1] = "c0"
    assert untouched.iloc[[0, 1, -1]].tolist() == ["c0", "c1", f"c{limit - 3}"]
    assert column.snapshot().iloc[[0, 1, -1]].tolist() == ["c0", "c1", "d3"]
    assert before.iloc[[0, 1]].tolist() == ["c1", "c1"]
    assert after.iloc[[0, 1]].tolist() == ["c0", "c0"]


def test_categories_stand_in_order_of_arrival() -> None:
    """Categories are the distinct values as they first came, and a snapshot has those of its time only."""
    column = CategoryColumn()
    column.append(["b", "a", "b"])
    first = column.snapshot()
    column.append(["c", "a"])
    assert first.cat.categories.tolist() == ["b", "a"]
    assert column.snapshot().cat.categories.tolist() == ["b", "a", "c"]
    assert not column.snapshot().cat.ordered


@pytest.mark.parametrize("grow", [0, 1, 3_000])
def test_snapshots_with_other_categories_do_not_share_what_is_written(grow: int) -> None:
    """Snapshots before and after a new category stay apart, even when the column has moved on from both."""
    column = CategoryColumn()
    column.append(["a", "b"] * 5)
    before = column.snapshot()
    column.append(["c"])
    after = column.snapshot()
    column.append(["a"] * grow)
    if grow > 1:
        column.snapshot()
    before.iloc[0] = "b"
    assert (after.iloc[0], column.snapshot().iloc[0]) == ("a", "a")
    after.iloc[1] = "c"
    assert (before.iloc[1], column.snapshot().iloc[1]) == ("b", "b")


@given(st.lists(st.integers(-50, 50)), st.integers(-60, 60))
@settings(max_examples=50, deadline=None)
def test_a_place_is_found_after_equal_values(values: list[int], value: int) -> None:
    """The place of a value among sorted ones is behind all that are not greater."""
    column = FixedColumn("int64", "int64")
    column.append(sorted(values))
    column.append([-1_000])
    assert column.position_of(value, len(values)) == sum(old <= value for old in values)


def test_values_are_a_copy() -> None:
    """Values taken out of a column may be changed."""
    column = FixedColumn("int64", "int64")
    column.append([1, 2, 3])
    column.values()[:] = 0
    assert column.values().tolist() == [1, 2, 3]
    assert column.values(1).tolist() == [2, 3]


def test_many_small_appends_leave_few_arrow_chunks() -> None:
    """Text that came a row at a time lies in few pieces, so that a snapshot stays cheap to use."""
    column = ArrowColumn(pa.large_string())
    for number in range(3_000):
        column.append([f"t{number}"])
    chunked = column.snapshot().array.__arrow_array__()  # type: ignore[attr-defined]
    assert chunked.num_chunks <= 16
    assert chunked.to_pylist() == [f"t{number}" for number in range(3_000)]


@pytest.mark.parametrize(
    ("column", "values", "low", "high"),
    [
        (FixedColumn("int64", "int64"), list(range(1_000)), 8_000, 8_000),
        (FixedColumn("float64", "float64"), [0.5] * 1_000, 8_000, 8_000),
        (CategoryColumn(), ["approve", "reject"] * 500, 1_000, 1_400),
        (ArrowColumn(pa.large_string()), ["x" * 100] * 1_000, 100_000, 120_000),
        (ArrowColumn(pa.list_(pa.string())), [["x" * 10] * 3] * 1_000, 30_000, 60_000),
    ],
    ids=["integers", "floats", "categories", "text", "lists"],
)
def test_bytes_in_use_are_those_of_the_rows(
    column: GrowableColumn, values: list[Any], low: int, high: int
) -> None:
    """A column counts the bytes of its rows, not its spare room."""
    empty = column.nbytes
    column.append(values)
    assert empty == 0
    assert low <= column.nbytes <= high


@given(cuts=st.sets(st.integers(1, 199)), evicted=st.integers(0, 199), late=st.booleans())
def test_bytes_are_the_same_however_many_rows_came_at_once(cuts: set[int], evicted: int, late: bool) -> None:
    """What retention by bytes goes by does not depend on the sizes of the batches."""
    texts = [None if i % 7 == 0 else "x" * (i % 13) for i in range(200)]
    lists = [[text or "" for text in texts[i : i + i % 4]] for i in range(200)]
    records = [[{"name": text} for text in row] for row in lists]
    record_type = pa.list_(pa.struct([("name", pa.string())]))
    for arrow_type, values in (
        (pa.large_string(), texts),
        (pa.list_(pa.string()), lists),
        (record_type, records),
    ):
        whole, parts = ArrowColumn(arrow_type), ArrowColumn(arrow_type)
        whole.append(values)
        for start, stop in itertools.pairwise([0, *sorted(cuts), 200]):
            parts.append(values[start:stop])
        for column in (whole, parts):
            if late:
                column.reorder(150, np.arange(49, -1, -1))
            column.evict(evicted)
        assert whole.nbytes == parts.nbytes > 0


def test_a_rolling_window_takes_no_more_than_some_windows() -> None:
    """With old rows evicted as new ones come, an array is left before what is evicted fills it."""
    buffer, kept = GrowableBuffer("int64", 1_024), 50_000
    for start in range(0, 3_000_000, 1_000):
        buffer.append(np.arange(start, start + 1_000))
        buffer.evict(max(0, len(buffer) - kept))
        if start > 1_000_000:
            assert len(buffer.values) <= 5 * kept
    assert np.array_equal(buffer.kept(), np.arange(2_950_000, 3_000_000))


def test_categories_of_evicted_rows_are_forgotten() -> None:
    """A node that makes up a new label for each row costs no more than the rows that are kept."""
    column, kept = CategoryColumn(), 1_000
    labels = [f"label {number} {'x' * 500}" for number in range(20_000)]
    for start in range(0, 20_000, 500):
        column.append(labels[start : start + 500])
        if start % 1_500 == 0:
            frame = column.snapshot()
            shown = frame.tolist()
        column.evict(max(0, 500 if start >= kept else 0))
        assert frame.tolist() == shown
        assert column.nbytes < 5 * kept * 640
    assert column.snapshot().tolist() == labels[-kept:]
    assert len(column.snapshot().cat.categories) <= 4 * kept


def test_a_snapshot_costs_the_same_whatever_came_before() -> None:
    """A snapshot after few new rows takes no time by the rows that were there."""
    small, large = FixedColumn("int64", "int64"), FixedColumn("int64", "int64")
    small.append(np.zeros(1_000, dtype=np.int64))
    large.append(np.zeros(5_000_000, dtype=np.int64))

    def cost(column: FixedColumn) -> float:
        column.snapshot()
        start = time.perf_counter()
        for _ in range(200):
            column.append([1])
            column.snapshot()
        return time.perf_counter() - start

    small_cost = min(cost(small) for _ in range(3))
    assert min(cost(large) for _ in range(3)) < 30 * small_cost


COLUMNS = [
    pytest.param(column, id=f"{schema.name}.{column.name}")
    for schema in TABLES.values()
    for column in schema.columns
]


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_of_the_schema_can_be_made(column: Column) -> None:
    """The dtype that the schema promises is what pandas shows; lists are Arrow lists of Python values."""
    dtype = make_column(column).snapshot().dtype
    lists: dict[str, Any] = {"texts": pa.list_(pa.string())}
    if column.kind == "records":
        lists["records"] = pa.list_(pa.struct([(name, pa.string()) for name in column.fields]))
    if column.kind in lists:
        assert dtype == pd.ArrowDtype(lists[column.kind])
    else:
        assert str(dtype) == column.dtype
