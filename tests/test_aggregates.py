"""Running aggregates: the same as recomputing them with pandas from the tables, whatever the order."""

import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.ingest.session import Batch, Rows
from chaosnb.protocol import events as ev
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.aggregates import AGGREGATES, Aggregates, LabelCounts, Throughput
from chaosnb.tables.buckets import BucketSums
from chaosnb.tables.scores import LastScores
from chaosnb.tables.table import Table
from tests.event_strategies import START_US, batch_of, events, new_session, slices

SECOND_US = 1_000_000
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600)
EPOCH = pd.Timestamp(0, tz="UTC")
SHOWN = ("network_metrics", "block_proposal", "block_validation", "consensus_discussion", "reputation_update")

near = st.integers(START_US, START_US + 20 * SECOND_US).map(lambda us: format_timestamp(us))
far = st.integers(START_US, START_US + 5_000 * SECOND_US).map(lambda us: format_timestamp(us))
small = st.floats(-1e6, 1e6, allow_nan=False)


def streams(when: st.SearchStrategy[str]) -> st.SearchStrategy[list[ev.Event]]:
    """Lists of events of the types that aggregates read, with numbers that can be summed exactly enough."""
    one = st.one_of(
        st.builds(ev.NetworkMetrics, st.just(1), small, st.just(1), st.just(1), st.just(1), when),
        st.builds(ev.ReputationUpdate, st.sampled_from("abc"), small, small, st.just(""), when),
        *(events(name, when) for name in SHOWN[1:4]),
    )
    return st.lists(one, max_size=30)


def batches(found: Sequence[ev.Event], cuts: Sequence[int] = ()) -> list[Batch]:
    """Return the events in batches of one session."""
    session = new_session()
    return [batch_of(part, session) for part in slices(found, cuts)]


def fed(parts: Sequence[Batch]) -> Aggregates:
    """Return aggregates that took these batches."""
    aggregates = Aggregates()
    for batch in parts:
        aggregates.update(batch)
    return aggregates


class Tables:
    """What pandas makes of the same batches, from the tables' rows."""

    def __init__(self, parts: Sequence[Batch]) -> None:
        tables = {name: Table(TABLES[name]) for name in SHOWN}
        for batch in parts:
            for name, rows in batch.rows.items():
                tables[name].append(rows)
        self.frames = {name: table.snapshot() for name, table in tables.items()}
        for frame in self.frames.values():
            frame["second"] = (frame["timestamp"] - EPOCH) // pd.Timedelta("1s")
        seconds = pd.concat([frame["second"] for frame in self.frames.values()])
        self.first = int(seconds.min()) if len(seconds) else 0
        self.last = next((part.newest_us // SECOND_US for part in reversed(parts) if part.newest_us), 0)

    def span(self, window_s: float | None, points: int) -> tuple[int, int]:
        """Return where the window begins and how wide its buckets are."""
        start = self.first if window_s is None else max(self.first, self.last - int(window_s))
        return start, next(width for width in WIDTHS if width >= (self.last - start) / points)

    def bucketed(self, name: str, start: int, width: int) -> pd.DataFrame:
        """Return the rows of a table from the window's first bucket on, with their buckets."""
        frame = self.frames[name].assign(bucket=lambda f: f["second"] // width * width)
        return frame[(frame["bucket"] >= start // width * width) & (frame["second"] <= self.last)]

    def counts(
        self, name: str, column: str, labels: Sequence[str], start: int, width: int
    ) -> dict[int, list[int]]:
        """Return how often each label and any other came, by bucket."""
        rows = self.bucketed(name, start, width)
        label = rows[column].astype("str").where(rows[column].isin(labels), "other")
        table = pd.crosstab(rows["bucket"], label).reindex(columns=[*labels, "other"], fill_value=0)
        return dict(zip(table.index.tolist(), table.to_numpy().tolist(), strict=True))

    def throughput(self, start: int, width: int) -> pd.DataFrame:
        """Return the reported and the observed rate by bucket, without a hole between the buckets."""
        metrics, blocks = (self.bucketed(name, start, width) for name in SHOWN[:2])
        found = [*metrics["bucket"], *blocks["bucket"]]
        grid = pd.RangeIndex(min(found), max(found) + width, width) if found else pd.RangeIndex(0)
        sizes = blocks["transactions"].map(len).astype("float64")
        frame = pd.DataFrame(
            {
                "reported": metrics.groupby("bucket")["tps"].mean().reindex(grid),
                "observed": sizes.groupby(blocks["bucket"]).sum().reindex(grid, fill_value=0) / width,
            }
        )
        # The last bucket may not be over; the first of all may not have been watched from its start.
        everything = [*self.frames["network_metrics"]["second"], *self.frames["block_proposal"]["second"]]
        if found:
            frame.loc[grid[-1], "observed"] = np.nan
            frame.loc[frame.index == min(everything) // width * width, "observed"] = np.nan
        return frame

    def scores(self, start: int, width: int) -> list[tuple[str, int, float]]:
        """Return each agent's last score by bucket, with the one it held when the window began.

        Agents stand in the order in which they came.
        """
        result = []
        every = self.frames["reputation_update"]
        came = every.groupby(every["agent_id"].astype("str"))["seq"].min()
        frame = every[every["second"] <= self.last]
        by_agent = frame.groupby(frame["agent_id"].astype("str"))
        for agent_id, rows in sorted(by_agent, key=lambda one: came[one[0]]):
            held = rows[rows["second"] < start]
            in_window = rows[rows["second"] >= start]
            bucket = (in_window["second"] // width * width).clip(lower=start)
            last = dict(zip(bucket, in_window["new_score"], strict=True))
            if len(held):
                last.setdefault(start, held["new_score"].iloc[-1])
            result += [(agent_id, second, score) for second, score in sorted(last.items())]
        return result


def seconds(frame: pd.DataFrame) -> list[int]:
    """Return a frame's times in seconds since the epoch."""
    return ((frame["time"] - EPOCH) // pd.Timedelta("1s")).tolist()


def check(aggregates: Aggregates, tables: Tables, window_s: float | None, points: int) -> None:
    """Compare every aggregate with what pandas makes of the tables."""
    start, width = tables.span(window_s, points)
    take: Callable[[str], pd.DataFrame] = lambda name: aggregates.value(  # noqa: E731
        name, window_s=window_s, points=points
    )
    tps, expected = take("tps"), tables.throughput(start, width)
    assert seconds(tps) == expected.index.tolist()
    for name in ("reported", "observed"):
        assert np.allclose(tps[name], expected[name], rtol=1e-9, atol=1e-6, equal_nan=True)
    decisions = take("decisions")
    counted = tables.counts("block_validation", "decision", ["approve", "reject"], start, width)
    assert dict(zip(seconds(decisions), decisions.iloc[:, 1:4].to_numpy().tolist(), strict=True)) == counted
    for row in decisions.to_dict("records"):
        votes = row["approve"] + row["reject"]
        assert row["approval_rate"] == row["approve"] / votes if votes else np.isnan(row["approval_rate"])
    sentiment = take("sentiment")
    labels = ["positive", "neutral", "negative"]
    counted = tables.counts("consensus_discussion", "sentiment", labels, start, width)
    assert dict(zip(seconds(sentiment), sentiment.iloc[:, 1:5].to_numpy().tolist(), strict=True)) == counted
    for row in sentiment.to_dict("records"):
        said = sum(row[label] for label in labels)
        index = (row["positive"] - row["negative"]) / said if said else np.nan
        assert row["sentiment_index"] == pytest.approx(index, nan_ok=True)
    scores = take("reputation")
    found = list(zip(scores["agent_id"], seconds(scores), scores["score"], strict=True))
    assert found == tables.scores(start, width)


windows = st.none() | st.sampled_from([0, 1, 3, 10.5, 600])


@given(streams(near), st.lists(st.integers(0, 99), max_size=4), windows, st.sampled_from([1, 3, 7, 300]))
@settings(max_examples=40, deadline=None)
def test_aggregates_are_what_pandas_makes_of_the_tables(
    found: list[ev.Event], cuts: list[int], window_s: float | None, points: int
) -> None:
    """For any events in any order and any batches, and any window and resolution."""
    parts = batches(found, cuts)
    check(fed(parts), Tables(parts), window_s, points)


@given(streams(far), windows, st.sampled_from([10, 50, 300]))
@settings(max_examples=25, deadline=None)
def test_aggregates_over_an_hour_are_what_pandas_makes_of_the_tables(
    found: list[ev.Event], window_s: float | None, points: int
) -> None:
    """The same over a span with many empty buckets."""
    parts = batches(found, [10, 20])
    check(fed(parts), Tables(parts), window_s, points)


@given(streams(near), st.lists(st.integers(0, 99), max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_the_order_of_batches_does_not_matter(found: list[ev.Event], cuts: list[int], random: Any) -> None:
    """Batches that are added in another order give the same values."""
    parts = batches(found, cuts)
    shuffled = random.sample(parts, len(parts))
    for name in AGGREGATES:
        pd.testing.assert_frame_equal(fed(parts).value(name), fed(shuffled).value(name))


MADE: dict[str, Callable[[], Any]] = {
    "tps": Throughput,
    "decisions": lambda: LabelCounts("block_validation", "decision", ("approve", "reject")),
    "reputation": LastScores,
}


@pytest.mark.parametrize("name", MADE)
@given(found=streams(near), cuts=st.lists(st.integers(0, 99), max_size=4), width=st.sampled_from([1, 5, 60]))
@settings(max_examples=25, deadline=None)
def test_merged_parts_are_the_whole(name: str, found: list[ev.Event], cuts: list[int], width: int) -> None:
    """Aggregates of parts, merged in either direction, are the aggregate of all, and stay as they were."""
    parts = batches(found, cuts)
    whole, forward, backward = (MADE[name]() for _ in range(3))
    for batch in parts:
        whole.update(batch)
    singles = [MADE[name]() for _ in parts]
    for single, batch in zip(singles, parts, strict=True):
        single.update(batch)
    before = [pd.DataFrame(single.value(0, width)) for single in singles]
    for single in singles:
        forward.merge(single)
    for single in reversed(singles):
        backward.merge(single)
    for merged in (forward, backward):
        pd.testing.assert_frame_equal(
            pd.DataFrame(merged.value(0, width)), pd.DataFrame(whole.value(0, width))
        )
    for single, frame in zip(singles, before, strict=True):
        pd.testing.assert_frame_equal(pd.DataFrame(single.value(0, width)), frame)


def vote(second: float, decision: str = "approve") -> ev.BlockValidation:
    """Return a vote so many seconds after the start."""
    stamp = format_timestamp(START_US + int(second * SECOND_US))
    return ev.BlockValidation("0x1", ev.Agent("v", "lawful"), decision, "", stamp)


def score(second: float, value: float, agent_id: str = "a") -> ev.ReputationUpdate:
    """Return a reputation update so many seconds after the start."""
    stamp = format_timestamp(START_US + int(second * SECOND_US))
    return ev.ReputationUpdate(agent_id, 0, value, f"because {value}", stamp)


def test_late_events_count_where_they_belong() -> None:
    """A vote that comes late is counted in the bucket of its own time, new or old."""
    session = new_session()
    aggregates = fed([batch_of([vote(0), vote(10)], session), batch_of([vote(20)], session)])
    aggregates.update(batch_of([vote(10, "reject"), vote(5), vote(0.2, "abstain")], session))
    frame = aggregates.value("decisions")
    assert frame[["approve", "reject", "other"]].to_numpy().tolist() == [
        [1, 0, 1],
        [1, 0, 0],
        [1, 1, 0],
        [1, 0, 0],
    ]
    assert frame["approval_rate"].tolist() == [1.0, 1.0, 0.5, 1.0]


def test_a_late_score_does_not_replace_a_later_one() -> None:
    """In a second the score with the latest time counts, and of equal times the one that came last."""
    found = [score(0.5, 1), score(0.1, 2), score(0.5, 3), score(0.4, 4), score(7, 5), score(3, 6)]
    frame = fed([batch_of(found)]).value("reputation")
    assert frame["score"].tolist() == [3, 6, 5]
    assert frame["reason"].tolist() == ["because 3", "because 6", "because 5"]


@pytest.mark.parametrize(
    ("window_s", "scores"), [(None, [1, 2, 3]), (30, [1, 2, 3]), (20, [2, 3]), (10, [2, 3]), (0, [3])]
)
def test_a_window_begins_with_the_score_held(window_s: float | None, scores: list[int]) -> None:
    """The line of an agent begins at the window's start, with the score it had by then."""
    found = [score(0, 1), score(5, 2), score(30, 3), vote(0)]
    frame = fed([batch_of(found)]).value("reputation", window_s=window_s)
    assert frame["score"].tolist() == scores
    start = pd.Timestamp(START_US, unit="us", tz="UTC").floor("1s")
    begin = start + pd.Timedelta(30 - (30 if window_s is None else window_s), "s")
    assert frame["time"].iloc[0] == begin


def test_a_window_follows_the_newest_event_of_any_type() -> None:
    """A window ends with the newest event, even one of a type that the aggregate does not read."""
    aggregates = fed([batch_of([vote(0), vote(50), score(100, 1)])])
    assert len(aggregates.value("decisions", window_s=60)) == 1
    assert len(aggregates.value("decisions", window_s=100)) == 2
    assert len(aggregates.value("decisions", window_s=40)) == 0


@pytest.mark.parametrize("points", [1, 2, 10, 100, 300, 5_000])
def test_there_are_about_as_many_points_as_asked_for(points: int) -> None:
    """Buckets become wider where there would be too many, and none is lost."""
    aggregates = fed([batch_of([vote(second) for second in range(0, 3_600, 2)])])
    frame = aggregates.value("decisions", window_s=None, points=points)
    assert len(frame) <= points + 2
    assert frame["approve"].sum() == 1_800
    assert frame["time"].is_monotonic_increasing


@pytest.mark.parametrize("together", [1, 4])
def test_numbers_too_large_for_their_sum_are_no_warning(together: int) -> None:
    """Within a second, and within a bucket; a warning would stand in the cell, and here be an error."""
    metrics = [
        ev.NetworkMetrics(1, 1e308, 1, 1, 1, format_timestamp(START_US + second * 1_000_000))
        for second in (0, 0, 1, 9)
    ]
    aggregates, session = Aggregates(), new_session()
    for place in range(0, len(metrics), together):
        aggregates.update(batch_of(metrics[place : place + together], session))
        aggregates.flush()
    reported = aggregates.value("tps", resolution_s=5)["reported"]
    assert (reported.iloc[0], reported.iloc[-1]) == (np.inf, 1e308)


def test_errors_do_not_move_the_window() -> None:
    """An error's time is that of this machine, whose clock says nothing about the network's."""
    aggregates = fed([batch_of([vote(0)])])
    aggregates.update(batch_of([ev.ErrorEvent("A", "b")], at_us=START_US + 10**12))
    assert len(aggregates.value("decisions", window_s=10)) == 1


COLUMNS = {
    "tps": {"time": "datetime64[us, UTC]", "reported": "float64", "observed": "float64"},
    "decisions": {
        "time": "datetime64[us, UTC]",
        "approve": "int64",
        "reject": "int64",
        "other": "int64",
        "approval_rate": "float64",
    },
    "sentiment": {
        "time": "datetime64[us, UTC]",
        "positive": "int64",
        "neutral": "int64",
        "negative": "int64",
        "other": "int64",
        "sentiment_index": "float64",
    },
    "reputation": {
        "agent_id": "str",
        "time": "datetime64[us, UTC]",
        "score": "float64",
        "reason": "str",
    },
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("window_s", [None, 600])
def test_columns_and_dtypes_are_the_same_with_and_without_events(name: str, window_s: float | None) -> None:
    """An aggregate has its columns and dtypes before the first event as after it."""
    stamp = format_timestamp(START_US)
    found = [
        ev.NetworkMetrics(1, 2.5, 3, 4, 5, stamp),
        vote(0),
        ev.ConsensusDiscussion("0x1", ev.Agent("a", "lawful"), "hm", "neutral", [], stamp),
        score(0, 1),
    ]
    for aggregates, rows in ((Aggregates(), 0), (fed([batch_of(found)]), 1)):
        frame = aggregates.value(name, window_s=window_s)
        assert {column: str(dtype) for column, dtype in frame.dtypes.items()} == COLUMNS[name]
        assert len(frame) == rows


def test_the_names_are_those_that_value_knows() -> None:
    """Every aggregate has a name, and there is no other."""
    assert set(AGGREGATES) == set(COLUMNS)


@pytest.mark.parametrize("name", ["", "TPS", "throughput", "block_validation"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    """A wrong name is a ValueError that lists the right ones."""
    with pytest.raises(ValueError, match="'tps', 'decisions', 'sentiment', 'reputation'") as caught:
        Aggregates().value(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", AGGREGATES)
def test_what_a_value_holds_is_the_callers(name: str) -> None:
    """Overwriting a value changes neither the aggregate nor the next value."""
    stamp = format_timestamp(START_US)
    discussion = ev.ConsensusDiscussion("0x1", ev.Agent("a", "lawful"), "hm", "neutral", [], stamp)
    metrics = ev.NetworkMetrics(1, 2.5, 3, 4, 5, stamp)
    aggregates = fed([batch_of([vote(0), vote(1), score(0, 1), metrics, discussion])])
    frame = aggregates.value(name)
    before = frame.copy(deep=True)
    for column in frame.columns[frame.dtypes != "str"]:
        frame.loc[0, column] = frame["time"].iloc[0] + pd.Timedelta("1D") if column == "time" else 99
    assert not frame.equals(before)
    pd.testing.assert_frame_equal(aggregates.value(name), before)


@pytest.mark.parametrize("name", AGGREGATES)
@pytest.mark.parametrize("window_s", [None, 600, 10**12])
def test_far_times_cost_neither_memory_nor_time(name: str, window_s: float | None) -> None:
    """An event of the year 1 and one of 9999 leave an aggregate small, quick, and in the present."""
    found: list[ev.Event] = []
    for stamp in ("2026-11-23T00:36:12.345Z", "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"):
        found += [
            ev.NetworkMetrics(1, 2.5, 3, 4, 5, stamp),
            ev.BlockValidation("0x1", ev.Agent("v", "lawful"), "approve", "", stamp),
            ev.ConsensusDiscussion("0x1", ev.Agent("a", "lawful"), "hm", "neutral", [], stamp),
            ev.ReputationUpdate("a", 0, 1, "", stamp),
        ]
    batch = batch_of(found)
    tracemalloc.start()
    start = time.process_time()
    frame = fed([batch]).value(name, window_s=window_s)
    assert time.process_time() - start < 1.0
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert 1 <= len(frame) <= 400
    assert 2018 < frame["time"].iloc[-1].year <= 2026


@given(
    st.lists(
        st.tuples(st.lists(st.integers(-30, 30), min_size=1, max_size=8), st.integers(1, 5)), max_size=6
    ),
    st.integers(-40, 40),
    st.sampled_from([1, 2, 7, 60]),
)
@settings(max_examples=40, deadline=None)
def test_bucket_sums_are_plain_sums(parts: list[tuple[list[int], int]], start: int, width: int) -> None:
    """Sums by bucket are right on both sides of the epoch, from any start, for any width."""
    sums, totals = BucketSums(2), dict[int, float]()
    for times, value in parts:
        at = np.array(times, dtype=np.int64)
        sums.add(at * SECOND_US + 999_999, {0: np.full(len(at), float(value)), 1: np.ones(len(at))})
        for second in times:
            if second // width >= start // width:
                totals[second // width * width] = totals.get(second // width * width, 0) + value
    buckets, values = sums.value(start, width)
    assert dict(zip(buckets.tolist(), values[:, 0].tolist(), strict=True)) == totals
    assert buckets.tolist() == sorted(totals)
    assert sums.first == min((second for times, _ in parts for second in times), default=None)


def test_many_buckets_in_any_order_are_all_kept() -> None:
    """More seconds than the first room, added from the last to the first, are all there."""
    sums = BucketSums(1)
    for second in range(3_000, 0, -100):
        at = np.arange(second - 100, second, dtype=np.int64)
        sums.add(at * SECOND_US, {0: np.ones(100)})
    buckets, values = sums.value(0, 1)
    assert buckets.tolist() == list(range(3_000))
    assert values.sum() == 3_000


def test_aggregates_stay_bounded_whatever_agents_are_made_up() -> None:
    """Of agents and scores beyond what is held, the oldest go; the newest are right."""
    scores, session = LastScores(), new_session()
    for start in range(0, 60_000, 1_000):
        stamp = format_timestamp(START_US + start * 1_000)
        found = [ev.ReputationUpdate(f"agent {start + i}", 0, i, "", stamp) for i in range(1_000)]
        scores.update(batch_of(found, session))
    frame = pd.DataFrame(scores.value(0, 1))
    assert 10_000 <= len(frame) <= 21_000
    assert set(frame["agent_id"]) >= {f"agent {i}" for i in range(50_000, 60_000)}
    for start in range(0, 400_000, 1_000):
        times = START_US + (np.arange(start, start + 1_000) + 100) * SECOND_US
        rows = Rows(found, times, times * 1_000, np.arange(start, start + 1_000))
        scores.update(Batch(rows={"reputation_update": rows}))
    frame = pd.DataFrame(scores.value(0, 1))
    assert 90_000 <= len(frame) <= 230_000
    assert frame["time"].max() == np.datetime64(START_US + 400_099 * SECOND_US, "us").astype("datetime64[s]")


def test_sums_of_more_seconds_than_are_held_lose_the_oldest() -> None:
    """Two million seconds leave the newest million at most."""
    sums = BucketSums(1)
    for start in range(0, 2_000_000, 50_000):
        sums.count(np.arange(start, start + 50_000) * SECOND_US, np.zeros(50_000, dtype=np.int64))
    seconds, counts = sums.value(0, 1)
    assert 700_000 < len(seconds) <= 1_100_000
    assert seconds[-1] == 1_999_999
    assert counts.sum() == len(seconds)
