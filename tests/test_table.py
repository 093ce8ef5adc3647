"""Tables: rows in any order and any pieces, and snapshots that nobody's writing can reach."""

import itertools
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from chaosnb.ingest.session import Rows
from chaosnb.protocol import events as ev
from chaosnb.protocol.iso8601 import duration_seconds, format_timestamp, parse_timestamps
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.table import Table
from tests.event_strategies import NAMES, START_US, batch_of, events, new_session, slices, unlike

COLUMN_KINDS = {
    "block_proposal": "text text integer category category list category text",
    "block_validation": "text category category category text",
    "consensus_discussion": "text category category text category list",
    "alliance_update": "text list text text number",
    "agent_status": "category category text text number",
    "network_metrics": "integer number integer integer integer",
    "meme_posted": "text category category category text text list",
    "reputation_update": "category number number text",
    "error": "category text text",
}


def table_of(name: str, found: Sequence[ev.Event]) -> Table:
    """Return a table to which these events came all at once."""
    table = Table(TABLES[name])
    for rows in batch_of(found).rows.values():
        table.append(rows)
    return table


def content(frame: pd.DataFrame) -> str:
    """Return all that can be seen of a frame, as text that shares nothing with it."""
    seen = (frame.to_dict("list"), frame.index.tolist(), frame.index.name, frame.columns.name, frame.attrs)
    return repr((*seen, list(map(str, frame.dtypes))))


def kind_of(dtype: Any) -> str:
    """Name what a column holds, by its pandas dtype."""
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, pd.ArrowDtype):
        return "list"
    names = {"datetime64[us, UTC]": "time", "int64": "integer", "float64": "number", "str": "text"}
    return names[str(dtype)]


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_table_has_its_columns_and_dtypes(name: str) -> None:
    """A table without rows is a DataFrame with every column in order, of its own dtype."""
    frame = Table(TABLES[name]).snapshot()
    assert len(frame) == 0
    assert list(frame.columns) == [column.name for column in TABLES[name].columns]
    kinds = ["time", *COLUMN_KINDS[name].split(), "time", "integer"]
    assert [kind_of(dtype) for dtype in frame.dtypes] == kinds


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_rows_hold_what_the_events_say(name: str, data: st.DataObject) -> None:
    """Each cell is the event's value, as a Python value of the column's kind; lists are Python lists."""
    found = data.draw(st.lists(events(name), min_size=1, max_size=5).map(unlike))
    batch = batch_of(found)
    table = Table(TABLES[name])
    table.append(batch.rows[name])
    frame = table.snapshot()
    assert [kind_of(dtype) for dtype in frame.dtypes] == [
        "time",
        *COLUMN_KINDS[name].split(),
        "time",
        "integer",
    ]
    assert sorted(frame["seq"]) == list(range(1, len(found) + 1))
    for row in frame.to_dict("records"):
        event = found[row["seq"] - 1]
        assert row["received_at"] == pd.Timestamp(START_US + row["seq"] - 1, unit="us", tz="UTC")
        if name == "error":
            assert row["timestamp"] == row["received_at"]
        else:
            assert row["timestamp"] == pd.Timestamp(event.timestamp)
        for column in TABLES[name].columns[1:-2]:
            value = event
            for step in column.path:
                value = getattr(value, step)
            cell = row[column.name]
            if column.kind == "duration":
                assert cell == pytest.approx(duration_seconds(value), nan_ok=True)
            elif column.kind == "records":
                assert cell == [
                    {field: getattr(item, field) for field in column.fields}
                    for item in value  # type: ignore[attr-defined]
                ]
            elif column.kind == "json":
                assert json.loads(cell) == value
            elif column.kind == "texts":
                assert cell == list(value)  # type: ignore[arg-type]
            else:
                assert cell == value
                assert type(cell) is type(value)


def test_details_are_json() -> None:
    """An error's details stand in the table as compact JSON, whatever they are."""
    found = [ev.ErrorEvent("A", "b", details) for details in (None, {"a": [1, "ü"]}, 2**70, "x")]
    details = table_of("error", found).snapshot()["details"].tolist()
    assert details == ["null", '{"a":[1,"ü"]}', str(2**70), '"x"']


def reputation(at_us: int, score: float = 0.5, agent_id: str = "a") -> ev.ReputationUpdate:
    """Return a reputation update of this time."""
    return ev.ReputationUpdate(agent_id, 0.0, score, "because", format_timestamp(at_us))


def sorted_by_pandas(found: Sequence[ev.ReputationUpdate]) -> pd.DataFrame:
    """Return the table that these events should give, built by pandas alone."""
    frame = pd.DataFrame(
        {
            "timestamp": pd.to_datetime([event.timestamp for event in found], utc=True),
            "agent_id": [event.agent_id for event in found],
            "new_score": [event.new_score for event in found],
            "seq": range(1, len(found) + 1),
        }
    )
    return frame.sort_values("timestamp", kind="stable", ignore_index=True)


def same(frame: pd.DataFrame, expected: pd.DataFrame) -> bool:
    """Say whether a snapshot has the expected rows in the expected order."""
    return all(
        frame[name].tolist() == expected[name].tolist() for name in expected.columns
    ) and frame.index.equals(pd.RangeIndex(len(expected)))


orders = st.lists(
    st.builds(
        reputation,
        st.integers(0, 12).map(lambda second: START_US + second * 1_000_000),
        st.floats(-1, 1),
        st.sampled_from("abc"),
    ),
    min_size=1,
    max_size=40,
).map(unlike)


@given(orders, st.lists(st.integers(0, 1_000), max_size=6), st.lists(st.booleans(), min_size=8, max_size=8))
@settings(max_examples=60, deadline=None)
def test_rows_are_in_order_however_they_come(
    found: list[ev.ReputationUpdate], cuts: list[int], looks: list[bool]
) -> None:
    """In any order and any pieces, looked at or not between, rows end up sorted by time, ties by arrival."""
    table, session = Table(TABLES["reputation_update"]), new_session()
    kept: list[tuple[pd.DataFrame, str]] = []
    arrived: list[ev.ReputationUpdate] = []
    for part, look in zip(slices(found, cuts), looks, strict=False):
        if part:
            table.append(batch_of(part, session).rows["reputation_update"])
            arrived += part
        if look:
            frame = table.snapshot()
            assert same(frame, sorted_by_pandas(arrived)) or not arrived
            kept.append((frame, content(frame)))
    assert table.rows == len(found)
    assert same(table.snapshot(), sorted_by_pandas(found))
    assert all(content(frame) == before for frame, before in kept)


def test_far_times_are_put_in_their_place() -> None:
    """A row of the year 1, and one of 9999, sort to the ends and stay there."""
    stamps = ["2026-11-23T00:36:12.345Z", "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z"]
    found = [
        ev.ReputationUpdate("a", 0, number, "", stamp) for number, stamp in enumerate((*stamps, stamps[0]))
    ]
    frame = table_of("reputation_update", found).snapshot()
    assert frame["seq"].tolist() == [3, 1, 4, 2]
    assert frame["timestamp"].dt.year.tolist() == [1, 2026, 2026, 9999]
    assert "9999-12-31" in repr(frame)


def test_nothing_is_lost_at_the_limits_of_a_buffer() -> None:
    """Thousands of rows, every hundredth of them late, come out complete and in order."""
    found = [reputation(START_US + (i - 900 * (i % 100 == 99)) * 1_000, i) for i in range(5_000)]
    table, session = Table(TABLES["reputation_update"]), new_session()
    for start in range(0, 5_000, 97):
        table.append(batch_of(found[start : start + 97], session).rows["reputation_update"])
        if start % 5 == 0:
            table.snapshot()
    assert same(table.snapshot(), sorted_by_pandas(found))


def test_memory_is_that_of_the_rows() -> None:
    """The bytes of a table grow with its rows and are near what they must hold."""
    table = Table(TABLES["reputation_update"])
    assert table.nbytes == 0
    table.append(batch_of([reputation(START_US, i) for i in range(1_000)]).rows["reputation_update"])
    least = 1_000 * (3 * 8 + 2 * 8 + 1 + len("because"))
    assert least <= table.nbytes <= 1.5 * least
    table.append(batch_of([reputation(START_US, i) for i in range(3_000)]).rows["reputation_update"])
    assert 4 * least <= table.nbytes <= 6 * least
    table.evict(2_000)
    assert 2 * least <= table.nbytes <= 3 * least


def test_snapshots_can_be_taken_while_rows_come() -> None:
    """Looked at from another thread, a table is always sorted, complete, and never shorter than before."""
    table, session = Table(TABLES["reputation_update"]), new_session()
    parts = [
        batch_of([reputation(START_US + (i * 10 + (j * 7) % 10) * 1_000, j) for j in range(10)], session)
        for i in range(150)
    ]

    def write() -> None:
        for part in parts:
            table.append(part.rows["reputation_update"])

    writer = threading.Thread(target=write)
    writer.start()
    lengths = []
    while writer.is_alive():
        frame = table.snapshot()
        lengths.append(len(frame))
        assert frame["timestamp"].is_monotonic_increasing
        assert frame["seq"].nunique() == len(frame)
        assert len(frame) % 10 == 0
    writer.join()
    assert lengths == sorted(lengths)
    assert len(table.snapshot()) == 1_500


# -- writing to snapshots


def status(number: int, agent_id: str | None = None, late_us: int = 0) -> ev.AgentStatus:
    """Return one of a series of status events."""
    return ev.AgentStatus(
        agent_id or f"agent-{number % 3}",
        ("active", "inactive", "maintenance")[number % 3],
        f"reason {number}",
        "P1M" if number % 2 else "PT5M",
        format_timestamp(START_US + number * 1_000_000 - late_us),
    )


def plain(found: list[ev.AgentStatus]) -> list[ev.AgentStatus]:
    """More rows of the same kind."""
    return [status(number) for number in range(len(found), len(found) + 3)]


def new_category(found: list[ev.AgentStatus]) -> list[ev.AgentStatus]:
    """A row with a category that was not there."""
    return [status(len(found), "newcomer")]


def late_row(found: list[ev.AgentStatus]) -> list[ev.AgentStatus]:
    """A row that belongs before those that were shown."""
    return [status(len(found), late_us=4_500_000)]


def growth(found: list[ev.AgentStatus]) -> list[ev.AgentStatus]:
    """More rows than the first buffer holds, and more categories than its codes can tell apart."""
    return [status(number, f"agent-{number % 200}") for number in range(len(found), len(found) + 1_100)]


STAGES = [plain, new_category, late_row, growth]
Way = Callable[[pd.DataFrame], Any]
FRAME_WAYS: dict[str, Way] = {}
PART_WAYS: dict[str, Way] = {}
REFUSED_WAYS: dict[str, Way] = {}


def into(ways: dict[str, Way]) -> Callable[[Way], Way]:
    """Add a function to the ways of writing."""

    def add(way: Way) -> Way:
        ways[way.__name__] = way
        return way

    return add


def setter(target: str, key: Any, value: Any) -> Way:
    """Return a way that sets an item of the frame, or of one of its indexers."""

    def way(frame: pd.DataFrame) -> None:
        indexer = getattr(frame, target) if target else frame
        indexer[key(frame) if callable(key) else key] = value(frame) if callable(value) else value

    return way


def call(method: str, *args: Any, **options: Any) -> Way:
    """Return a way that calls a method of the frame."""
    return lambda frame: getattr(frame, method)(*args, **options)


def place(name: str) -> Callable[[pd.DataFrame], tuple[int, int]]:
    """Return what gives the position of the first cell of a column."""
    return lambda frame: (0, frame.columns.get_loc(name))


LONG_AGO = pd.Timestamp(0, tz="UTC")
FRAME_WAYS |= {
    "loc scalar": setter("loc", (0, "seq"), -1),
    "iloc scalar": setter("iloc", place("seq"), -1),
    "at": setter("at", (0, "seq"), -1),
    "iat": setter("iat", place("seq"), -1),
    "loc mask": setter("loc", lambda f: (f["seq"] > 1, "expected_duration_s"), -1.0),
    "loc slice": setter("loc", (slice(0, 2), "reason"), "changed"),
    "loc list of columns": setter("loc", ([0, 2], ["seq", "expected_duration_s"]), 7),
    "loc whole column": setter("loc", (slice(None), "seq"), 0),
    "iloc whole column": setter("iloc", (slice(None), -1), 0),
    "iloc slice": setter("iloc", (slice(0, 2), -1), [-1, -2]),
    "loc text": setter("loc", (0, "reason"), "changed"),
    "loc time": setter("loc", (0, "timestamp"), LONG_AGO),
    "iloc time": setter("iloc", place("timestamp"), LONG_AGO),
    "loc whole time column": setter("loc", (slice(None), "received_at"), LONG_AGO),
    "loc category": setter("loc", (0, "status"), "inactive"),
    "iat category": setter("iat", place("status"), "inactive"),
    "loc category mask": setter("loc", lambda f: (f["status"] == "active", "status"), "maintenance"),
    "loc not a number": setter("loc", (0, "expected_duration_s"), np.nan),
    "loc missing category": setter("loc", (0, "status"), None),
    "assign column": setter("", "seq", 0),
    "assign columns": setter("", ["seq", "expected_duration_s"], 0),
    "assign new column": setter("", "new", 1),
    "assign by mask": setter("", lambda f: f["seq"] > 1, np.nan),
    "assign renamed categories": setter(
        "", "status", lambda f: f["status"].cat.rename_categories({"active": "ACTIVE"})
    ),
    "enlarge": setter("loc", 9_999_999, lambda f: f.iloc[0].tolist()),
    "isetitem": call("isetitem", 0, 1),
    "insert": call("insert", 0, "new", 1),
    "pop": call("pop", "seq"),
    "drop column": call("drop", columns="seq", inplace=True),
    "drop row": call("drop", index=0, inplace=True),
    "rename": call("rename", columns={"seq": "n"}, inplace=True),
    "rename_axis": call("rename_axis", "n", inplace=True),
    "sort_values": call("sort_values", "seq", ascending=False, inplace=True),
    "sort_index": call("sort_index", ascending=False, inplace=True),
    "fillna": call("fillna", {"expected_duration_s": 0.0}, inplace=True),
    "replace": call("replace", {"reason": {"reason 1": "changed"}}, inplace=True),
    "replace number": call("replace", {"seq": {1: -1}}, inplace=True),
    "eval": call("eval", "seq = seq + 1", inplace=True),
    "query": call("query", "seq > 1", inplace=True),
    "update": call("update", pd.DataFrame({"expected_duration_s": [-5.0]})),
    "dropna": call("dropna", inplace=True),
    "drop_duplicates": call("drop_duplicates", "status", inplace=True),
    "set_index": call("set_index", "seq", inplace=True),
    "reset_index": call("reset_index", inplace=True),
    "ffill": call("ffill", inplace=True),
    "where": call("where", pd.DataFrame(False, index=range(3), columns=["seq"]), inplace=True),
}


@into(FRAME_WAYS)
def column_iadd(frame: pd.DataFrame) -> None:
    """Operate in place on a column."""
    frame["seq"] += 1
    frame["expected_duration_s"] *= 2
    frame["timestamp"] -= pd.Timedelta("1h")


@into(FRAME_WAYS)
def delete_column(frame: pd.DataFrame) -> None:
    """Delete a column."""
    del frame["seq"]


@into(FRAME_WAYS)
def iloc_isub(frame: pd.DataFrame) -> None:
    """Operate in place on a position."""
    frame.iloc[0:2, frame.columns.get_loc("seq")] -= 5


@into(FRAME_WAYS)
def set_axes(frame: pd.DataFrame) -> None:
    """Put other labels on both axes."""
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    frame.columns = pd.Index(range(frame.shape[1]))


@into(FRAME_WAYS)
def name_axes(frame: pd.DataFrame) -> None:
    """Name the axes as they are."""
    frame.index.name = "row"
    frame.columns.name = "column"


@into(FRAME_WAYS)
def set_attrs(frame: pd.DataFrame) -> None:
    """Attach something to the frame."""
    frame.attrs["note"] = ["mine"]


@into(FRAME_WAYS)
def columns_in_a_loop(frame: pd.DataFrame) -> None:
    """Overwrite the first cell of every column with its last."""
    for number in range(frame.shape[1]):
        frame.iat[0, number] = frame.iat[len(frame) - 1, number]


FRAME_WAYS["text values"] = lambda frame: frame["reason"].values.__setitem__(0, "changed")


def written(part: Callable[[pd.DataFrame], Any], write: Callable[[Any], Any]) -> Way:
    """Return a way that takes a part out of the frame, writes to it, and returns it."""

    def way(frame: pd.DataFrame) -> Any:
        taken = part(frame)
        before = taken.copy(deep=True)
        write(taken)
        assert not before.equals(taken), "the way of writing changed nothing"

    return way


def assign(target: str, key: Any, value: Any) -> Callable[[Any], None]:
    """Return what sets an item of a part."""

    def write(taken: Any) -> None:
        (getattr(taken, target) if target else taken)[key(taken) if callable(key) else key] = value

    return write


def inplace(method: str, *args: Any, **options: Any) -> Callable[[Any], None]:
    """Return what calls a method of a part that works in place."""
    return lambda taken: getattr(taken, method)(*args, **options, inplace=True)


def column(name: str) -> Callable[[pd.DataFrame], Any]:
    """Return what takes out a column."""
    return lambda frame: frame[name]


def iadd(taken: Any) -> None:
    """Add in place."""
    taken += 1


PART_WAYS |= {
    "series loc": written(column("seq"), assign("loc", 0, -1)),
    "series iloc": written(column("seq"), assign("iloc", 0, -1)),
    "series at": written(column("seq"), assign("at", 0, -1)),
    "series iat": written(column("seq"), assign("iat", 0, -1)),
    "series item": written(column("seq"), assign("", 0, -1)),
    "series mask": written(column("seq"), assign("", lambda s: s > 1, 0)),
    "series all": written(column("seq"), assign("", slice(None), 0)),
    "series iadd": written(column("seq"), iadd),
    "series clip": written(column("seq"), inplace("clip", upper=1)),
    "series mask in place": written(column("seq"), inplace("mask", lambda s: s > 1, -1)),
    "series where": written(column("seq"), inplace("where", lambda s: s > 1, -1)),
    "series replace": written(column("seq"), inplace("replace", 1, -1)),
    "series fillna": written(column("expected_duration_s"), inplace("fillna", 0.0)),
    "series ffill": written(column("expected_duration_s"), inplace("ffill")),
    "series interpolate": written(column("expected_duration_s"), inplace("interpolate")),
    "series dropna": written(column("expected_duration_s"), inplace("dropna")),
    "series update": written(column("seq"), lambda s: s.update(pd.Series([-9]))),
    "series sort_values": written(column("seq"), inplace("sort_values", ascending=False)),
    "series drop": written(column("seq"), inplace("drop", 0)),
    "series pop": written(column("seq"), lambda s: s.pop(0)),
    "time iloc": written(column("timestamp"), assign("iloc", 0, LONG_AGO)),
    "time all": written(column("received_at"), assign("", slice(None), LONG_AGO)),
    "text iloc": written(column("reason"), assign("iloc", 0, "changed")),
    "text replace": written(column("reason"), inplace("replace", "reason 0", "changed")),
    "category iloc": written(column("status"), assign("iloc", 0, "inactive")),
    "category mask": written(column("status"), assign("", lambda s: s == "active", "inactive")),
    "category missing": written(column("status"), assign("iloc", 0, None)),
    "category added": written(
        lambda f: f["status"].cat.add_categories(["new"]), assign("", slice(None), "new")
    ),
    "category reordered": written(
        lambda f: f["status"].cat.reorder_categories(["maintenance", "inactive", "active"]),
        assign("iloc", 0, "inactive"),
    ),
    "category ordered": written(lambda f: f["status"].cat.as_ordered(), assign("iloc", 0, "inactive")),
    "category codes": written(lambda f: f["status"].cat.codes, assign("", slice(None), 0)),
    "head": written(lambda f: f.head(2), assign("iloc", (0, -1), -1)),
    "rows": written(lambda f: f.iloc[0:2], assign("iloc", (0, -1), -1)),
    "columns": written(lambda f: f[["seq"]], assign("iloc", (0, 0), -1)),
    "loc columns": written(lambda f: f.loc[:, ["seq", "reason"]], assign("loc", (0, "seq"), -1)),
    "reversed": written(lambda f: f.iloc[::-1], assign("iloc", (0, -1), -1)),
    "row": written(lambda f: f.iloc[0], assign("", "seq", -1)),
    "shallow copy": written(lambda f: f.copy(deep=False), assign("loc", (0, "seq"), -1)),
    "deep copy": written(lambda f: f.copy(), assign("loc", (0, "seq"), -1)),
    "wrapped": written(lambda f: pd.DataFrame(f), assign("loc", (0, "seq"), -1)),
    "rewrapped series": written(lambda f: pd.Series(f["seq"]), assign("", 0, -1)),
    "renamed": written(lambda f: f.rename(columns={"seq": "n"}), assign("loc", (0, "n"), -1)),
    "reset": written(lambda f: f.reset_index(drop=True), assign("loc", (0, "seq"), -1)),
    "assigned": written(lambda f: f.assign(new=1), assign("loc", (0, "seq"), -1)),
    "reindexed": written(lambda f: f.reindex(columns=["seq", "status"]), assign("loc", (0, "seq"), -1)),
    "converted": written(lambda f: f.astype({"seq": "int64"}), assign("loc", (0, "seq"), -1)),
    "inferred": written(lambda f: f.infer_objects(), assign("loc", (0, "seq"), -1)),
    "concatenated": written(lambda f: pd.concat([f], axis=1), assign("loc", (0, "seq"), -1)),
    "zone dropped": written(
        lambda f: f["timestamp"].dt.tz_localize(None), assign("iloc", 0, pd.Timestamp(0))
    ),
    "zone converted": written(
        lambda f: f["timestamp"].dt.tz_convert("Asia/Tokyo"), assign("iloc", 0, LONG_AGO)
    ),
    "time as integer": written(lambda f: f["timestamp"].astype("int64"), assign("", slice(None), 0)),
    "item of the column dict": written(lambda f: dict(f.items())["seq"], assign("", 0, -1)),
    "group": written(
        lambda f: next(iter(f.groupby("status", observed=True)))[1], assign("iloc", (0, -1), -1)
    ),
}


def array(make: Callable[[pd.DataFrame], Any], value: Any) -> Way:
    """Return a way that writes to an array made from the frame."""

    def way(frame: pd.DataFrame) -> None:
        make(frame)[0] = value

    return way


REFUSED_WAYS |= {
    "values": array(lambda f: f["seq"].values, -1),
    "float values": array(lambda f: f["expected_duration_s"].values, -1.0),
    "time values": array(lambda f: f["timestamp"].values, 0),
    "to_numpy": array(lambda f: f["seq"].to_numpy(), -1),
    "asarray": array(lambda f: np.asarray(f["seq"]), -1),
    "frame to_numpy": array(lambda f: f[["seq"]].to_numpy(), -1),
    "out": lambda f: np.add(1, 1, out=f["seq"].to_numpy()),
    "sort": lambda f: f["seq"].to_numpy()[::-1].sort(),
    "codes": array(lambda f: f["status"].array.codes, 1),
    "codes to_numpy": array(lambda f: f["status"].cat.codes.to_numpy(), 1),
}
ARRAY_WAYS: dict[str, Way] = {
    "text to_numpy": array(lambda f: f["reason"].to_numpy(), "changed"),
    "text asarray": array(lambda f: np.asarray(f["reason"]), "changed"),
    "category to_numpy": array(lambda f: f["status"].to_numpy(), "inactive"),
    "category asarray": array(lambda f: np.asarray(f["status"]), "inactive"),
    "time objects": array(lambda f: f["timestamp"].to_numpy(), LONG_AGO),
    "all values": array(lambda f: f.values, None),
    "all asarray": array(lambda f: np.asarray(f), None),
    "records": array(lambda f: f.to_records(), None),
    "numbers": array(lambda f: f[["seq", "expected_duration_s"]].to_numpy(), -1.0),
    "a copy": array(lambda f: f["seq"].to_numpy(copy=True), -1),
}


class Seen:
    """What a snapshot showed at some time, kept in memory of its own."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.copy = frame.copy(deep=True)
        self.rest = repr((list(frame.columns), frame.index.name, frame.columns.name, frame.attrs))

    def still_in(self, frame: pd.DataFrame) -> bool:
        """Say whether a frame shows the same."""
        rest = repr((list(frame.columns), frame.index.name, frame.columns.name, frame.attrs))
        return self.rest == rest and self.copy.equals(frame)


class Scene:
    """A table and snapshots of it from before and after a stage, with what each of them shows."""

    def __init__(self, stage: Callable[[list[ev.AgentStatus]], list[ev.AgentStatus]]) -> None:
        self.table, self.session, self.found = Table(TABLES["agent_status"]), new_session(), []  # type: ignore[var-annotated]
        self.append([status(number) for number in range(5)])
        self.frames = {"older": self.table.snapshot(), "older twin": self.table.snapshot()}
        self.append(stage(self.found))
        self.frames |= {"newer": self.table.snapshot(), "newer twin": self.table.snapshot()}
        self.append(plain(self.found))
        self.frames["newest"] = self.table.snapshot()
        self.seen = {name: Seen(frame) for name, frame in self.frames.items()}

    def append(self, found: list[ev.AgentStatus]) -> None:
        """Let events come."""
        self.found += found
        batch = batch_of(found, self.session, START_US + len(self.found))
        self.table.append(batch.rows["agent_status"])

    def check(self, *written: str) -> None:
        """See that nothing changed but these snapshots, and that the table shows what came."""
        for name, frame in self.frames.items():
            if name in written:
                assert not self.seen[name].still_in(frame), "the way of writing changed nothing"
            else:
                assert self.seen[name].still_in(frame), f"snapshot {name!r} has changed"
        now = self.table.snapshot()
        in_order = sorted(enumerate(self.found, 1), key=lambda pair: pair[1].timestamp)
        for name in ("agent_id", "status", "reason", "expected_duration"):
            assert now[name].tolist() == [getattr(event, name) for _, event in in_order]
        assert now["seq"].tolist() == [seq for seq, _ in in_order]
        stamps = [event.timestamp for _, event in in_order]
        assert now["timestamp"].astype("int64").tolist() == parse_timestamps(stamps).tolist()
        lengths = [300.0 if event.expected_duration == "PT5M" else np.nan for _, event in in_order]
        assert np.array_equal(now["expected_duration_s"], lengths, equal_nan=True)

    def go_on(self) -> None:
        """Let further events come, among them a new category."""
        self.append([status(len(self.found)), status(len(self.found) + 1, f"newcomer {len(self.found)}")])


TARGETS = ["older", "newer", "newest"]
# pandas 3.1 announces that some of these ways will go; until then users write so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Series.values returning:DeprecationWarning"),
]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
@pytest.mark.parametrize("way", FRAME_WAYS)
def test_no_write_to_a_snapshot_goes_further(way: str, stage: Any) -> None:
    """A snapshot that is written to changes, while the table and every other snapshot stay as they are."""
    scene = Scene(stage)
    for number, target in enumerate(TARGETS, 1):
        FRAME_WAYS[way](scene.frames[target])
        scene.check(*TARGETS[:number])
        scene.go_on()
    scene.check(*TARGETS)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
@pytest.mark.parametrize("way", PART_WAYS)
def test_no_write_to_a_part_of_a_snapshot_goes_further(way: str, stage: Any) -> None:
    """What is taken out of a snapshot can be written to, and not even that snapshot changes."""
    scene = Scene(stage)
    for target in TARGETS:
        PART_WAYS[way](scene.frames[target])
    scene.check()
    scene.go_on()
    scene.check()


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_arrays_of_numbers_are_read_only(stage: Any) -> None:
    """The arrays under a snapshot refuse to be written to."""
    scene = Scene(stage)
    for target, way in itertools.product(TARGETS, REFUSED_WAYS.values()):
        with pytest.raises(ValueError, match="read-only"):
            way(scene.frames[target])
    scene.check()
    scene.go_on()
    scene.check()


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_other_arrays_are_copies(stage: Any) -> None:
    """Arrays of text, categories and mixed values may be written to, or refuse; neither reaches the table."""
    scene = Scene(stage)
    for target, way in itertools.product(TARGETS, ARRAY_WAYS.values()):
        with suppress(ValueError, TypeError):
            way(scene.frames[target])
    scene.check()
    scene.go_on()
    scene.check()


@pytest.mark.parametrize("categories", [126, 127, 128, 32_766, 32_767, 32_768])
def test_snapshots_of_many_categories_are_safe_to_write_to(categories: int) -> None:
    """Around every limit of the codes' width, no write to a snapshot reaches another or the table."""
    stamp = format_timestamp(START_US)
    found = [ev.ReputationUpdate(f"agent-{i}", 0, 1, "", stamp) for i in range(categories)]
    table, session = Table(TABLES["reputation_update"]), new_session()

    def append(part: list[ev.ReputationUpdate]) -> pd.DataFrame:
        table.append(batch_of(part, session).rows["reputation_update"])
        return table.snapshot()

    frames = [append(found)]
    frames += [append([ev.ReputationUpdate(f"new-{i}", 0, 1, "", stamp)]) for i in range(3)]
    frames.append(table.snapshot())
    expected = [frame["agent_id"].tolist() for frame in frames]
    for changed in range(len(frames)):
        frames[changed].loc[0, "agent_id"] = "agent-1"
        frames[changed].iloc[-1, frames[changed].columns.get_loc("agent_id")] = "agent-2"
        expected[changed][0], expected[changed][-1] = "agent-1", "agent-2"
        for frame, values in zip(frames, expected, strict=True):
            assert frame["agent_id"].tolist() == values
    whole = [f"agent-{i}" for i in range(categories)] + [f"new-{i}" for i in range(3)]
    assert table.snapshot()["agent_id"].tolist() == whole


def test_lists_in_a_snapshot_are_its_own() -> None:
    """Lists come out as fresh Python lists: changing or replacing one changes no snapshot but its own."""
    block = ev.BlockProposal(
        "0x1",
        "0x0",
        1,
        ev.Producer("p", "k"),
        [ev.Transaction("0xa", "transfer")],
        ev.MemeContent("text", "x"),
        format_timestamp(START_US),
    )
    table = table_of("block_proposal", [block, structs.replace(block, height=2)])
    frame, twin = table.snapshot(), table.snapshot()
    before = content(twin)
    cell = frame.at[0, "transactions"]
    assert cell == [{"hash": "0xa", "type": "transfer"}]
    assert (type(cell), type(cell[0])) == (list, dict)
    cell[0]["hash"] = "changed"
    cell.append({"hash": "0xb", "type": "more"})
    assert content(frame) == before
    frame.at[0, "transactions"] = pd.NA
    frame["transactions"].tolist()[1].clear()
    assert frame["transactions"].tolist() == [pd.NA, [{"hash": "0xa", "type": "transfer"}]]
    assert content(twin) == content(table.snapshot()) == before


def test_changing_what_came_in_does_not_change_the_table() -> None:
    """Rows belong to whoever made them: changing them after they were shown changes nothing."""
    rows: Rows = batch_of([reputation(START_US), reputation(START_US + 1_000)]).rows["reputation_update"]
    table = Table(TABLES["reputation_update"])
    table.append(rows)
    before = content(table.snapshot())
    rows.timestamp_us[:] = 0
    rows.seq[0] = 99
    rows.events.clear()
    assert content(table.snapshot()) == before


def test_rows_that_cannot_be_put_into_one_column_are_in_none() -> None:
    """If a column fails, as for want of memory, the rows wait on, and come once and whole the next time."""
    table, session = Table(TABLES["reputation_update"]), new_session()
    table.append(batch_of([reputation(START_US, 1)], session).rows["reputation_update"])
    assert len(table.snapshot()) == 1
    rows = batch_of([reputation(START_US + 1_000, 2), reputation(START_US + 2_000, 3)], session).rows
    good = rows["reputation_update"].events[1]
    rows["reputation_update"].events[1] = structs.replace(good, reason=5)
    table.append(rows["reputation_update"])
    for _ in range(2):
        with pytest.raises(pa.ArrowException):
            table.snapshot()
    rows["reputation_update"].events[1] = good
    frame = table.snapshot()
    assert frame["new_score"].tolist() == [1, 2, 3]
    assert frame["reason"].tolist() == ["because"] * 3
