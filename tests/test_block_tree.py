"""The block tree: lanes, forks, holes, forged parents, and its figure."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb import figures
from chaosnb.analysis.chain import block_tree
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.table import Table
from tests.figure_texts import HOSTILE, assert_only_text

EMPTY = {name: Table(TABLES[name]).snapshot() for name in ("block_proposal", "block_validation")}


def chain(*rows: tuple[str, str, int]) -> pd.DataFrame:
    """Blocks as (hash, parent, height)."""
    block, parent, height = zip(*rows, strict=True) if rows else ((), (), ())
    time = pd.date_range("2026-01-01", periods=len(rows), freq="s", tz="UTC")
    of = {"block_hash": [*block], "parent_hash": [*parent], "height": pd.Series([*height], dtype="int64")}
    return pd.DataFrame({"timestamp": time, **of, "producer_id": "p"})


def lanes(frame: pd.DataFrame) -> dict[str, int]:
    tree = block_tree(frame)
    return dict(zip(tree["block_hash"], tree["lane"].tolist(), strict=True))


def test_the_longest_chain_is_the_trunk() -> None:
    """Branches stand at its sides, and a lane is used again once its branch has ended."""
    frame = chain(
        *(("a", "", 1), ("b", "a", 2), ("b2", "a", 2), ("b3", "a", 2), ("c", "b", 3), ("c2", "b2", 3)),
        *(("d", "c", 4), ("e", "d", 5), ("e2", "d", 5)),
    )
    expected = {"a": 0, "b": 0, "c": 0, "d": 0, "e": 0, "b2": 1, "c2": 1, "b3": -1, "e2": 1}
    assert lanes(frame) == expected
    assert lanes(frame.sample(frac=1, random_state=1)) == expected


def test_a_stray_block_below_does_not_take_the_trunk() -> None:
    """The trunk is what reaches highest, though it begins later."""
    frame = chain(
        ("x", "?", 1),
        ("y", "x", 9),
        ("a", "?", 5),
        *((f"a{i}", f"a{i - 1}" if i > 6 else "a", i) for i in range(6, 20)),
    )
    found = lanes(frame)
    assert {found[name] for name in found if name.startswith("a")} == {0}
    assert found["x"] == found["y"] == 1


def test_parents_that_are_missing_or_forged_are_none() -> None:
    """A ring of parents, a block that is its own parent, or one below its parent builds on nothing."""
    tree = block_tree(chain(("a", "b", 1), ("b", "a", 2), ("c", "c", 3), ("d", "c", 3), ("e", "?", 4)))
    assert dict(zip(tree["block_hash"], tree["parent_known"], strict=True)) == {
        **{"a": False, "b": True, "c": False, "d": False, "e": False}
    }


def test_a_block_without_a_hash_is_a_block() -> None:
    """It ends the walk down its chain, which once went on for ever there."""
    tree = block_tree(chain(("", "?", 1), ("a", "", 2), ("b", "", 2)))
    assert dict(zip(tree["block_hash"], tree["lane"], strict=True)) == {"": 0, "a": 0, "b": 1}


heights = st.integers(1, 6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), heights), max_size=25))
def test_no_two_blocks_stand_at_one_place_unless_they_have_the_same_height(
    drawn: list[tuple[int, int, int]],
) -> None:
    """Whatever the parents are: each block once, branches of their own lanes, and lane 0 without a fork."""
    frame = chain(*((f"h{block}", f"h{parent}", height) for block, parent, height in drawn))
    tree = block_tree(frame)
    assert sorted(tree["block_hash"]) == sorted({*frame["block_hash"]})
    assert not tree.duplicated(["height", "lane"]).any()
    if len(tree):
        assert tree.loc[tree["lane"] == 0, "height"].max() == tree["height"].max()


def test_the_figure_tells_forks_votes_and_missing_parents() -> None:
    """What most decided has a colour and a shape; a stub leads to a parent that never came."""
    frame = chain(("a", "?", 1), ("b", "a", 2), ("c", "a", 2), ("d", "b", 3))
    votes = pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-01-01", periods=3, freq="s", tz="UTC"),
            **{"block_hash": ["b", "c", "b"], "validator_id": ["v", "v", "w"]},
            "decision": ["approve", "reject", "approve"],
        }
    )
    plain, voted = figures.block_tree(frame), figures.block_tree(frame, votes)
    assert plain.layout.title.text == "Block tree: 4 blocks, 1 fork"
    assert [trace.name for trace in plain.data] == ["builds on", "parent unknown", "block"]
    by_name = {trace.name: trace for trace in voted.data}
    assert by_name["most approve"].x.tolist() == [2]
    assert by_name["most reject"].x.tolist() == [2]
    assert by_name["tie or no votes"].x.tolist() == [1, 3]
    assert len({trace.marker.symbol for trace in voted.data[2:]}) == 3
    assert "2 approve, 0 reject" in by_name["most approve"].hovertext[0]


def test_the_newest_blocks_are_drawn_and_those_cut_off_are_not_called_missing() -> None:
    """The parent of the first one drawn is in the table."""
    frame = chain(*((f"h{i}", f"h{i - 1}", i) for i in range(1, 31)))
    figure = figures.block_tree(frame, newest=10)
    assert figure.layout.title.text == "Block tree: newest 10 of 30 blocks, 0 forks"
    assert [trace.name for trace in figure.data] == ["builds on", "block"]


def test_without_blocks_the_figure_says_so_and_a_wrong_frame_is_an_error() -> None:
    """The error names the table that has the columns."""
    assert [n.text for n in figures.block_tree(*EMPTY.values()).layout.annotations] == ["no data"]
    figures.block_tree(chain(("a", "", 1)), EMPTY["block_validation"])
    with pytest.raises(ValueError, match=r"s\.block_proposal"):
        figures.block_tree(EMPTY["block_validation"])


def test_text_of_producers_is_only_text() -> None:
    """Hashes, too, are what a node sends."""
    frame = chain((HOSTILE, HOSTILE + "?", 1), (HOSTILE + "2", HOSTILE, 2)).assign(producer_id=HOSTILE)
    assert_only_text(figures.block_tree(frame))
