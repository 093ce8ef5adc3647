"""Tables over time: the same numbers as the running aggregates give for the same events."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.analysis import activity, timelines
from chaosnb.devnet.model import Model
from chaosnb.protocol import events as ev
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.aggregates import Aggregates
from chaosnb.tables.table import Table
from tests.event_strategies import START_US, batch_of, events, new_session

SECOND_US = 1_000_000
small = st.floats(-1e6, 1e6, allow_nan=False)
KINDS = ("network_metrics", "block_proposal", "block_validation", "consensus_discussion", "reputation_update")


def lists_of(*names: str) -> st.SearchStrategy[list[ev.Event]]:
    """Lists of events of these types within seconds, or within an hour: the feed follows no further."""

    def within(span_s: int) -> st.SearchStrategy[list[ev.Event]]:
        when = st.integers(START_US, START_US + span_s * SECOND_US).map(format_timestamp)
        own = {
            "network_metrics": st.builds(
                ev.NetworkMetrics, st.just(1), small, st.just(1), st.just(1), st.just(1), when
            ),
            "reputation_update": st.builds(
                ev.ReputationUpdate, st.sampled_from("abc"), small, small, st.text(max_size=3), when
            ),
        }
        return st.lists(st.one_of(own[n] if n in own else events(n, when) for n in names), max_size=25)

    return st.sampled_from([20, 3_000]).flatmap(within)


def both(found: list[ev.Event]) -> tuple[Aggregates, dict[str, pd.DataFrame]]:
    """The same events as running aggregates and as tables."""
    aggregates = Aggregates()
    tables = {name: Table(TABLES[name]) for name in KINDS}
    batch = batch_of(found, new_session())
    aggregates.update(batch)
    for name, rows in batch.rows.items():
        tables[name].append(rows)
    return aggregates, {name: table.snapshot() for name, table in tables.items()}


def check(aggregates: Aggregates, name: str, window_s: float | None, frame: pd.DataFrame) -> None:
    """Hold a frame to the aggregate of that name."""
    live = aggregates.value(name, window_s=window_s)
    pd.testing.assert_frame_equal(frame[live.columns], live, check_dtype=name != "tps", rtol=1e-9, atol=1e-6)


windows = st.sampled_from([None, 5, 600])


@settings(deadline=None, max_examples=40)
@given(lists_of("network_metrics", "block_proposal"), windows)
def test_throughput_is_that_of_the_live_plot(found: list[ev.Event], window_s: float | None) -> None:
    """Means of reports, transactions in blocks, and holes at the edges."""
    aggregates, frames = both(found)
    metrics, blocks = frames["network_metrics"], frames["block_proposal"]
    check(aggregates, "tps", window_s, timelines.throughput(metrics, blocks, window_s=window_s))


@settings(deadline=None, max_examples=40)
@given(lists_of("block_validation"), windows)
def test_decisions_are_those_of_the_live_plot(found: list[ev.Event], window_s: float | None) -> None:
    """Counts and rate, with any other vote under other."""
    aggregates, frames = both(found)
    frame = timelines.decisions(frames["block_validation"], window_s=window_s)
    check(aggregates, "decisions", window_s, frame)


@settings(deadline=None, max_examples=40)
@given(lists_of("consensus_discussion"), windows)
def test_sentiment_is_that_of_the_live_plot(found: list[ev.Event], window_s: float | None) -> None:
    """Counts and index."""
    aggregates, frames = both(found)
    frame = timelines.sentiment(frames["consensus_discussion"], window_s=window_s)
    check(aggregates, "sentiment", window_s, frame)


@settings(deadline=None, max_examples=40)
@given(lists_of("reputation_update"), windows)
def test_reputation_is_that_of_the_live_plot(found: list[ev.Event], window_s: float | None) -> None:
    """The last score of each agent in each bucket, whatever order the rows have."""
    aggregates, frames = both(found)
    updates = frames["reputation_update"]
    check(aggregates, "reputation", window_s, timelines.reputation(updates, window_s=window_s))
    turned = timelines.reputation(updates.iloc[::-1], window_s=window_s)
    pd.testing.assert_frame_equal(turned, timelines.reputation(updates, window_s=window_s))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_clock_that_is_far_off_moves_no_figure(share: float) -> None:
    """Nor does one such row of each table, wherever it comes, squeeze the others into a point."""
    found = [event for event in Model(7).step(40_000_000) if ev.TYPE_NAMES[type(event)] in KINDS]
    place = int(len(found) * share)
    each = {type(event): event for event in found[:place]}
    wrong = [msgspec.structs.replace(event, timestamp="2099-01-01T00:00:00Z") for event in each.values()]
    aggregates, frames = both([*found[:place], *wrong, *found[place:]])
    _, right = both(found)
    assert len(frames["block_validation"]) == len(right["block_validation"]) + 1

    def drawn(of: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        metrics, blocks = of["network_metrics"], of["block_proposal"]
        return {
            "tps": timelines.throughput(metrics, blocks),
            "decisions": timelines.decisions(of["block_validation"]),
            "sentiment": timelines.sentiment(of["consensus_discussion"]),
            "reputation": timelines.reputation(of["reputation_update"]),
            "event_rate": activity.event_rate(of),
            "lag": activity.lag(of),
        }

    wanted = drawn(right)
    for name, frame in drawn(frames).items():
        if name != "lag":  # which differs by a microsecond for each event before
            pd.testing.assert_frame_equal(frame, wanted[name])
        assert len(frame) == len(wanted[name])
    for name in ("tps", "decisions", "sentiment"):
        check(aggregates, name, None, wanted[name])


def votes(*seconds: float) -> pd.DataFrame:
    """Votes to approve, so many seconds after midnight."""
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta([*seconds], unit="s")
    return pd.DataFrame({"timestamp": time, "decision": "approve"})


def test_buckets_and_window_can_be_chosen() -> None:
    """As wide as told, and from as long before the end as told."""
    frame = timelines.decisions(votes(0, 9, 10, 11, 31), resolution_s=10)
    assert frame["approve"].tolist() == [2, 2, 1]
    assert frame["time"].dt.second.tolist() == [0, 10, 30]
    assert timelines.decisions(votes(0, 9, 10, 11, 31), resolution_s=10, window_s=21)["approve"].tolist() == [
        2,
        1,
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"resolution_s": 0},
        {"resolution_s": 1.5},
        {"resolution_s": float("nan")},
        {"window_s": 0},
        {"window_s": -1},
    ],
)
def test_options_that_are_not_possible_are_refused(options: dict[str, float]) -> None:
    """The error names the option."""
    with pytest.raises(ValueError, match=f"{next(iter(options))}=.* is not possible"):
        timelines.decisions(votes(0), **options)  # type: ignore[arg-type]


def test_times_may_be_text_or_without_zone_and_rows_without_time_are_left_out() -> None:
    """As they come from a CSV file, they mean the same moments."""
    known = votes(0, 1, 2)
    naive = known.assign(timestamp=known["timestamp"].dt.tz_localize(None))
    text = known.assign(timestamp=known["timestamp"].astype("str"))
    holed = pd.concat(
        [known, known.assign(timestamp=pd.Series(pd.NaT, known.index, known["timestamp"].dtype))]
    )
    for frame in (naive, text, holed):
        pd.testing.assert_frame_equal(timelines.decisions(frame), timelines.decisions(known))
    with pytest.raises(ValueError, match="timestamp is not made of times"):
        timelines.decisions(known.assign(timestamp="soon"))


def test_a_wrong_frame_is_told_from_the_right_one() -> None:
    """The error says what is missing, what the frame looks like, and where to find it."""
    metrics = Table(TABLES["network_metrics"]).snapshot()
    with pytest.raises(
        ValueError, match="no column decision; it looks like the table network_metrics"
    ) as told:
        timelines.decisions(metrics)
    assert "s.block_validation" in str(told.value)
    with pytest.raises(TypeError, match=r"such as s\.network_metrics, not str"):
        timelines.throughput("s.network_metrics")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no column received_at\. Every table has it"):
        activity.lag({"votes": votes(0)})


def test_lists_of_transactions_may_be_plain() -> None:
    """Python's own lists count as Arrow's do; text does not pass for a list."""
    time = votes(0, 1, 2, 3)["timestamp"]
    metrics = pd.DataFrame({"timestamp": time, "tps": 1.0})
    blocks = pd.DataFrame({"timestamp": time, "transactions": [[{}], [{}, {}], [], [{}]]})
    np.testing.assert_array_equal(timelines.throughput(metrics, blocks)["observed"], [np.nan, 2, 0, np.nan])
    with pytest.raises(ValueError, match="transactions is not made of lists"):
        timelines.throughput(metrics, blocks.assign(transactions="[]"))


def test_event_rates_are_zero_where_a_table_had_none() -> None:
    """All tables share the buckets; what has no rows at all has no column."""
    frame = activity.event_rate({"a": votes(0, 1, 1.5, 3), "b": votes(2, 2), "c": votes()})
    np.testing.assert_array_equal(frame["a"], [np.nan, 2, 0, np.nan])
    np.testing.assert_array_equal(frame["b"], [np.nan, 0, 2, np.nan])
    assert "c" not in frame


def test_a_grid_of_centuries_is_refused_and_not_made() -> None:
    """One row of the year 9999 with buckets of a second would fill the memory."""
    times = pd.Series(["2026-01-01T00:00:00Z", "9999-01-01T00:00:00Z"])
    frame = pd.DataFrame({"timestamp": times})
    with pytest.raises(ValueError, match="choose a longer resolution_s"):
        activity.event_rate({"a": frame}, resolution_s=1)
    assert len(activity.event_rate({"a": frame})) <= 303


def test_lag_is_from_event_time_to_arrival() -> None:
    """Median and the middle nine tenths; errors and rows that never arrived are left out."""
    sent = votes(*[0.0] * 101)
    came = sent["timestamp"] + pd.to_timedelta(np.arange(101), unit="ms")
    frame = sent.assign(received_at=came)
    frame.loc[0, "received_at"] = pd.NaT
    found = activity.lag({"meme_posted": frame, "error": sent.assign(received_at=sent["timestamp"])})
    assert found[["median", "low", "high"]].round(5).iloc[0].tolist() == [0.0505, 0.00595, 0.09505]
    assert activity.lag({"meme_posted": frame.iloc[:0]}).empty
