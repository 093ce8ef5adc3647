"""Alliances over time: spells by plain and by calendar durations, churn, edges and the graph."""

from __future__ import annotations

import sys
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chaosnb
from chaosnb import analysis
from tests.engines import devnet, holds_to_the_rules, same_everywhere

ROW = tuple[str, str, str, str]


def updates(*rows: ROW) -> pd.DataFrame:
    """Updates as (time, alliance, members' letters, duration); the first member leads."""
    time, alliance, members, duration = zip(*rows, strict=True)
    named = [
        [{"id": one, "role": "member" if place else "leader"} for place, one in enumerate(some)]
        for some in members
    ]
    stamps = pd.to_datetime(list(time), utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    return pd.DataFrame(
        {
            "timestamp": stamps,
            "alliance_id": alliance,
            "members": named,
            "purpose": "fun",
            "duration": duration,
        }
    )


def spells(frame: pd.DataFrame, until: str | None = None) -> list[tuple[str, ...]]:
    """Spells as (alliance, agent, start, end, how it ended), by minute."""
    found = analysis.alliance_spells(frame, until=until)
    clock = [found[name].dt.strftime("%m-%d %H:%M").fillna("?") for name in ("start", "end")]
    return [*zip(found["alliance_id"], found["agent_id"], *clock, found["ended"], strict=True)]


def test_a_spell_lasts_until_the_agent_is_named_no_more_or_the_duration_is_over() -> None:
    """An update that names it again goes on with it; one after the end begins a new one."""
    frame = updates(
        ("2026-01-01 00:00", "u", "ab", "PT1H"),
        ("2026-01-01 00:30", "u", "a", "PT1H"),
        ("2026-01-01 02:00", "u", "ab", "PT1H"),
    )
    wanted = [
        ("u", "a", "01-01 00:00", "01-01 01:30", "expired"),
        ("u", "b", "01-01 00:00", "01-01 00:30", "left"),
        ("u", "a", "01-01 02:00", "01-01 03:00", "open"),
        ("u", "b", "01-01 02:00", "01-01 03:00", "open"),
    ]
    assert spells(frame) == spells(frame.iloc[::-1]) == wanted
    assert spells(frame, "2026-01-01T05:00Z")[-1][-1] == "expired"
    found = same_everywhere(analysis.alliance_spells, frame, until="2026-01-01T02:30:00Z")
    assert found["lasted_s"].tolist() == [5400, 1800, 1800, 1800]


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2026-01-31", "P1M", "02-28 00:00"),
        ("2024-01-31", "P1M", "02-29 00:00"),
        ("2026-12-15", "P1Y1M", "01-15 00:00"),
        ("2026-01-01", "P1M1DT1H", "02-02 01:00"),
        ("2026-01-01", "P0.5M", "?"),
        ("2026-01-01", "for ever", "?"),
        ("2026-01-01", "P9999Y", "?"),
        ("2026-01-01", "P1W", "01-08 00:00"),
        ("2026-01-02", "-P1D", "01-02 00:00"),
    ],
)
def test_a_calendar_duration_is_counted_by_the_calendar(start: str, duration: str, end: str) -> None:
    """A month ends with its last day at the latest; what nobody can know never ends."""
    assert [spell[3] for spell in spells(updates((start, "u", "a", duration)), "9000-01-01")] == [end]


def test_an_alliance_is_seen_until_it_is_dissolved() -> None:
    """The newest update counts, whether it names members or not."""
    frame = updates(("2026-01-01T00:00", "u", "ab", "P1D"), ("2026-01-01T00:10", "u", "", "P1D"))
    found = same_everywhere(analysis.alliance_spells, frame)
    assert found["ended"].tolist() == ["left", "left"]
    assert found["lasted_s"].tolist() == [600.0, 600.0]
    assert same_everywhere(analysis.alliance_churn, frame, every_s=300)["left"].tolist() == [0, 0, 2]
    assert same_everywhere(analysis.alliance_edges, frame)["shared_s"].tolist() == [600.0]


def test_a_clock_that_is_far_off_ends_no_alliance() -> None:
    """What is open stays open; without a time of arrival the newest update counts, whatever its time."""
    rows = [(f"2026-01-01T00:{minute:02}", f"u{minute}", "ab", "P1D") for minute in range(12)]
    frame = updates(*rows, ("2199-01-01T00:00", "z", "ab", "P1D"))
    arrived = frame["timestamp"].where(frame.index != 12, frame["timestamp"].iloc[11])
    told = frame.assign(received_at=arrived, seq=range(13))
    found = same_everywhere(analysis.alliance_spells, told)
    assert {*found["ended"]} == {"open"}
    assert found["lasted_s"].max() == 660.0
    assert {*analysis.alliance_spells(frame)["ended"]} == {"expired", "open"}


MOMENTS = st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2200-12-31"))
LENGTHS = st.tuples(st.integers(0, 30), st.integers(0, 40), st.integers(0, 10**11))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(MOMENTS, LENGTHS), min_size=1, max_size=6))
def test_calendar_durations_end_when_pandas_says(cases: list[tuple[datetime, tuple[int, int, int]]]) -> None:
    """Each in a table of many, whatever the day of the month, with days and seconds after the months."""
    named, ends = [], {}
    for place, (start, (months, days, micro)) in enumerate(cases):
        written = f"P{months}M{days}DT{micro // 10**6}.{micro % 10**6:06}S"
        named.append((start.isoformat(), f"u{place}", "a", written))
        begun = pd.Timestamp(start, tz="UTC")
        ends[f"u{place}"] = (
            begun + pd.DateOffset(months=months) + pd.Timedelta(days * 86400 * 10**6 + micro, "us")
        )
    found = analysis.alliance_spells(updates(*named), until="2900-01-01")
    assert dict(zip(found["alliance_id"], found["end"], strict=True)) == ends


def test_churn_counts_who_comes_and_goes() -> None:
    """Buckets without anything are there, too; a renewal is no churn."""
    frame = updates(
        ("2026-01-01 00:10", "u", "abc", "PT90M"),
        ("2026-01-01 00:50", "u", "abd", "PT90M"),
        ("2026-01-01 03:10", "v", "xy", "PT1H"),
    )
    found = same_everywhere(analysis.alliance_churn, frame, every_s=3600)
    assert found["time"].dt.hour.tolist() == [0, 1, 2, 3]
    assert found[["members", "joined", "left", "expired"]].to_numpy().tolist() == [
        [0, 4, 1, 0],
        [3, 0, 0, 0],
        [3, 0, 0, 3],
        [0, 2, 0, 0],
    ]
    np.testing.assert_allclose(found["churn"], [0.25, 0, 1, 0])
    with pytest.raises(ValueError, match="more than 0 seconds"):
        analysis.alliance_churn(frame, every_s=0)
    with pytest.raises(ValueError, match="longer every_s"):
        analysis.alliance_churn(updates(("1970-01-01", "u", "a", "P1D")), every_s=1, until="2026-01-01")


def test_edges_sum_the_time_that_two_were_allied() -> None:
    """Over alliances, and not beyond what was seen."""
    frame = updates(
        ("2026-01-01 00:00", "u", "abc", "PT1H"),
        ("2026-01-01 00:30", "u", "ab", "PT1H"),
        ("2026-01-01 01:00", "v", "ba", "PT1H"),
    )
    found = same_everywhere(analysis.alliance_edges, frame, until="2026-01-01T01:10:00Z")
    assert found.to_numpy().tolist() == [["a", "b", 2, 4800.0], ["a", "c", 1, 1800.0], ["b", "c", 1, 1800.0]]
    graph = analysis.alliance_graph(frame, until="2026-01-01T01:10:00Z")
    assert sorted(graph) == ["a", "b", "c"]
    assert graph["a"]["b"] == {"weight": 4800.0, "alliances": 2}


def test_who_is_named_twice_is_a_member_once() -> None:
    """In spells, churn and edges."""
    frame = updates(("2026-01-01", "u", "aab", "PT1H"), ("2026-01-01 00:10", "u", "aba", "PT1H"))
    assert spells(frame) == [(*("u", one, "01-01 00:00", "01-01 01:10"), "open") for one in "ab"]
    assert analysis.alliance_churn(frame)["joined"].sum() == 2
    assert analysis.alliance_edges(frame)[["alliances", "shared_s"]].to_numpy().tolist() == [[1, 600.0]]


def test_the_graph_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without networkx the error has the command."""
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(chaosnb.MissingExtraError, match=r'pip install "chaosnb\[analysis\]"'):
        analysis.alliance_graph(updates(("2026-01-01", "u", "a", "P1D")))


ROWS = st.lists(
    st.tuples(
        st.integers(0, 20).map(lambda minute: f"2026-01-01 00:{minute:02}"),
        st.sampled_from("uv"),
        st.sampled_from(["a", "ab", "bc", "abc", "ca"]),
        st.sampled_from(["PT1M", "PT5M", "P1M", "nonsense"]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: (row[0], row[1]),
)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, 25))
def test_who_belongs_at_a_moment_is_who_the_last_update_names(rows: list[ROW], minute: int) -> None:
    """Whatever the updates, spells agree with a plain look at the moment, and do not overlap."""
    lasts = {"PT1M": 1, "PT5M": 5, "P1M": 60 * 24 * 31, "nonsense": 10**9}
    at = pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(minute, "min")
    wanted = set()
    for alliance in "uv":
        before = [row for row in sorted(rows) if row[1] == alliance and int(row[0][-2:]) <= minute]
        if before and int(before[-1][0][-2:]) + lasts[before[-1][3]] > minute:
            wanted |= {(alliance, agent) for agent in before[-1][2]}
    found = analysis.alliance_spells(updates(*rows))
    stands = (found["start"] <= at) & ((found["end"] > at) | found["end"].isna())
    now = found[stands]
    assert {*zip(now["alliance_id"], now["agent_id"], strict=True)} == wanted
    assert not now.duplicated(["alliance_id", "agent_id"]).any()


def test_what_comes_and_goes_adds_up_on_a_devnet() -> None:
    """On every engine: churn ends with as many members as spells are open."""
    _, tables = devnet(seconds=900, rate=5)
    frame = tables["alliance_update"]
    found = same_everywhere(analysis.alliance_spells, frame)
    churn = same_everywhere(analysis.alliance_churn, frame, every_s=60)
    assert churn["joined"].sum() == len(found)
    assert churn[["left", "expired"]].sum().sum() == (found["ended"] != "open").sum()
    assert len(same_everywhere(analysis.alliance_edges, frame)) > 10


def test_empty_tables_and_wrong_ones() -> None:
    """Empty ones give the columns; wrong ones an error that names the table."""
    for one in (analysis.alliance_spells, analysis.alliance_churn, analysis.alliance_edges):
        holds_to_the_rules(one, "alliance_update")
    with pytest.raises(ValueError, match="until"):
        analysis.alliance_spells(updates(("2026-01-01", "u", "a", "P1D")), until="soon")
