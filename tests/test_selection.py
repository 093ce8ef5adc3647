"""Aggregates of chosen agents: the same as pandas makes of their rows, and together those of all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chaosnb
from chaosnb.tables.aggregates import AGGREGATES
from chaosnb.tables.selection import Selection

ALL = ["blocks", "consensus", "network", "social"]
WIDTH_S = 15.0


@pytest.fixture(scope="module")
def stream() -> Iterator[chaosnb.Stream]:
    """A closed stream with some minutes of event time."""
    with (
        chaosnb.Devnet(rate=40, speed=None, duration=120) as node,
        chaosnb.stream(ALL, url=node.url) as stream,
    ):
        assert node.wait_finished(60)
        stream.wait(until=lambda s: len(s.block_validation) > 500, timeout=30)
    return stream


def counts(stream: chaosnb.Stream, table: str, label: str, keep: pd.Series) -> pd.DataFrame:
    rows = stream[table][keep]
    at = rows["timestamp"].dt.floor(f"{int(WIDTH_S)}s").rename("time")
    return pd.crosstab(at, rows[label].astype("str"))


@pytest.mark.parametrize(
    ("name", "table", "who", "label"),
    [
        ("decisions", "block_validation", "validator", "decision"),
        ("sentiment", "consensus_discussion", "agent", "sentiment"),
    ],
)
def test_counts_are_those_of_the_rows_chosen(
    stream: chaosnb.Stream, name: str, table: str, who: str, label: str
) -> None:
    """By personality, by agent, and by both, in the same buckets as without a choice."""
    rows = stream[table]
    agent, kind = rows[f"{who}_id"].iloc[0], rows[f"{who}_personality"].iloc[0]
    for chosen, keep in (
        ({"personalities": kind}, rows[f"{who}_personality"] == kind),
        ({"agents": [agent]}, rows[f"{who}_id"] == agent),
        ({"agents": agent, "personalities": [kind]}, rows[f"{who}_id"] == agent),
        ({"agents": [agent], "personalities": ["nobody"]}, rows[f"{who}_id"] == "nobody"),
    ):
        got = stream.aggregate(name, None, resolution_s=WIDTH_S, **chosen).set_index("time")  # type: ignore[arg-type]
        want = counts(stream, table, label, keep)
        assert len(got) == len(want)
        for value in want.columns:
            assert got[value].tolist() == want[value].tolist()


def test_the_parts_make_the_whole(stream: chaosnb.Stream) -> None:
    """The votes of all personalities are all votes, and so with blocks and their producers."""
    kinds = set(stream.personalities.values())
    assert len(kinds) > 2
    whole = stream.aggregate("decisions", None)
    parts = [stream.aggregate("decisions", None, personalities=kind) for kind in kinds]
    assert sum(part["approve"].sum() for part in parts) == whole["approve"].sum()
    tps = stream.aggregate("tps", None)
    producers = stream.block_proposal["producer_id"].unique()
    each = [stream.aggregate("tps", None, agents=agent) for agent in producers]
    np.testing.assert_allclose(sum(part["observed"] for part in each), tps["observed"])
    # What the network says of itself is nobody's own.
    assert each[0]["reported"].equals(tps["reported"])


def test_reputation_is_that_of_the_chosen(stream: chaosnb.Stream) -> None:
    known = stream.personalities
    kind = next(iter(known.values()))
    got = stream.aggregate("reputation", None, personalities=[kind])
    own = {agent for agent, its in known.items() if its == kind}
    every = stream.aggregate("reputation", None)
    assert set(got["agent_id"]) == own & set(every["agent_id"])
    assert got.attrs["source"] == stream.source


@pytest.mark.parametrize("name", AGGREGATES)
def test_nobody_chosen_has_the_columns_of_all(stream: chaosnb.Stream, name: str) -> None:
    """Also where no row is left, and where there never was one."""
    with chaosnb.Devnet(rate=1, speed=0.001) as node, chaosnb.stream("memes", url=node.url) as empty:
        for source in (stream, empty):
            got = source.aggregate(name, agents="nobody")
            assert got.columns.tolist() == source.aggregate(name).columns.tolist()
            assert got.dtypes.tolist() == source.aggregate(name).dtypes.tolist()


def test_an_aggregate_that_does_not_exist_is_refused(stream: chaosnb.Stream) -> None:
    with pytest.raises(ValueError, match="'decisions'"):
        stream.aggregate("votes", agents="a")


@pytest.mark.parametrize(
    "wrong", [{"window_s": -5}, {"window_s": "5min"}, {"points": "x"}, {"resolution_s": float("nan")}]
)
@pytest.mark.parametrize("agents", [(), ("nobody",)])
def test_a_span_that_is_none_is_refused(
    stream: chaosnb.Stream, agents: tuple[str, ...], wrong: dict[str, Any]
) -> None:
    """Whoever is chosen; the message says what was given."""
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=re.escape(f"{name}={value!r} is not possible")):
        stream.aggregate("decisions", agents=agents, **wrong)


def test_names_are_a_list_or_one_or_none() -> None:
    """None is all, as elsewhere."""
    assert Selection.of(None, None) == Selection()
    with pytest.raises(TypeError, match="personalities= takes a name, or a list of names, and not 5"):
        Selection.of("a", 5)  # type: ignore[arg-type]


def test_a_resolution_is_coarsened_before_it_floods() -> None:
    """At most 1,000 buckets, however long the time and however fine the wish."""
    with (
        chaosnb.Devnet(rate=2, speed=None, duration=7200) as node,
        chaosnb.stream("consensus", url=node.url) as stream,
    ):
        assert node.wait_finished(60)
        stream.wait(until=lambda s: np.ptp(s.consensus_discussion["timestamp"]).seconds > 6_000, timeout=60)
    for resolution_s, least in ((1.0, 10), (60.0, 60)):
        step = stream.aggregate("sentiment", None, resolution_s=resolution_s)["time"].diff().min()
        assert step == pd.Timedelta(least, "s")


def test_a_selection_is_false_where_it_chooses_all() -> None:
    assert not Selection()
    assert Selection(agents=("a",))
    assert Selection().chosen({"a": "x"}) is None
    assert Selection(("a", "b"), ("x",)).chosen({"a": "x", "b": "y", "c": "x"}) == {"a"}
