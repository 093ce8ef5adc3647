"""The main chain, forks, stale blocks and orphans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.analysis import forks, main_chain, orphans, reputation_summary, stale_blocks
from chaosnb.devnet.agents import Parameters
from tests.engines import devnet, holds_to_the_rules, same_everywhere

letters = st.text(alphabet="abcdefg", min_size=1, max_size=1)


def chain(*rows: tuple[str, str, int]) -> pd.DataFrame:
    """Blocks as (hash, parent, height), proposed a second apart."""
    block, parent, height = zip(*rows, strict=True) if rows else ((), (), ())
    time = pd.date_range("2026-01-01", periods=len(rows), freq="s", tz="UTC")
    of = {"block_hash": pd.Series(block, dtype="str"), "parent_hash": pd.Series(parent, dtype="str")}
    return pd.DataFrame(
        {"timestamp": time, **of, "height": pd.Series(height, dtype="int64"), "producer_id": "p"}
    )


def hashes(analysis: Callable[[Any], Any], frame: pd.DataFrame) -> str:
    return "".join(analysis(frame)["block_hash"])


@pytest.mark.parametrize("analysis", [forks, main_chain, orphans, stale_blocks])
def test_an_analysis_of_blocks_holds_to_the_rules(analysis: Callable[..., Any]) -> None:
    """Empty tables, missing columns, and what is no frame; and it is the same on every engine."""
    holds_to_the_rules(analysis, "block_proposal")
    _, tables = devnet(seconds=60)
    blocks = tables["block_proposal"]
    found = same_everywhere(analysis, blocks.drop(index=blocks.index[9:12]))
    assert len(found) > 0


def test_the_longest_chain_is_the_main_one() -> None:
    """Of two at its head the first proposed; what is not on it is stale; a fork has several above it."""
    frame = chain(
        *(("a", "", 1), ("x", "a", 2), ("b", "a", 2), ("c", "b", 3), ("y", "x", 3)),
        *(("d", "c", 4), ("e", "d", 5), ("z", "d", 5)),
    )
    assert hashes(main_chain, frame) == "abcde"
    assert hashes(main_chain, frame.iloc[::-1]) == "abcde"
    assert hashes(stale_blocks, frame) == "xyz"
    found = forks(frame)
    assert found[["parent_hash", "height", "branches", "spread_s"]].to_numpy().tolist() == [
        ["a", 2, 2, 1.0],
        ["d", 5, 2, 1.0],
    ]
    assert hashes(orphans, frame) == ""


def test_the_main_chain_bridges_a_gap_and_what_stands_after_it_is_an_orphan() -> None:
    """Below the gap it goes on with the highest block, the first proposed of several."""
    frame = chain(("a", "", 1), ("b", "a", 2), ("x", "a", 2), ("e", "d", 5), ("f", "e", 6))
    assert hashes(main_chain, frame) == "abef"
    assert hashes(orphans, frame) == "e"


def test_the_main_chain_of_a_file_keeps_lists_that_are_text() -> None:
    """As plain CSV has them: to find the chain they need not be lists."""
    frame = chain(("a", "", 1), ("b", "a", 2), ("x", "a", 2)).assign(transactions=["[]", "[1]", "[2]"])
    assert same_everywhere(main_chain, frame)["transactions"].tolist() == ["[]", "[1]"]


def test_a_block_without_a_hash_or_a_height_is_on_no_chain() -> None:
    """As an outer join leaves them; and the walk down ends."""
    frame = chain(("a", "", 1), ("b", "a", 2), ("c", "b", 3), ("d", "b", 9), ("e", "", 9), ("f", "a", 4))
    frame["height"] = frame["height"].mask(frame["height"] == 9).astype("Int64")
    frame["block_hash"] = frame["block_hash"].mask(frame["block_hash"] == "f")
    assert "".join(same_everywhere(main_chain, frame)["block_hash"]) == "abc"
    assert same_everywhere(stale_blocks, frame)["block_hash"].isna().sum() == 1


def test_the_main_chain_of_a_network_is_what_it_accepted() -> None:
    """Its blocks are as many as the network's height says, but for the newest, which is open."""
    parameters = Parameters(fork_probability=0.3, quorum=0.6)
    model, tables = devnet(3, seconds=600, parameters=parameters)
    blocks = tables["block_proposal"]
    chain_ = main_chain(blocks)
    assert chain_["height"].tolist() == [*range(1, int(blocks["height"].max()) + 1)]
    assert 0 <= len(chain_) - model.state.block_height <= 1
    parents = chain_["parent_hash"].tolist()
    assert parents[1:] == chain_["block_hash"].tolist()[:-1]
    assert len(chain_) + len(stale_blocks(blocks)) == len(blocks)
    assert (forks(blocks)["spread_s"] == 0).any()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(letters, letters | st.just(""), st.integers(-2, 6)), max_size=12))
def test_whatever_blocks_claim_they_are_on_the_chain_or_stale(rows: list[tuple[str, str, int]]) -> None:
    """Forged parents, rings and repeated hashes: the chain rises, and each block is on one side once."""
    frame = chain(*rows)
    main, stale = main_chain(frame), stale_blocks(frame)
    assert main["height"].is_monotonic_increasing
    assert main["height"].is_unique
    assert sorted([*main["block_hash"], *stale["block_hash"]]) == sorted({row[0] for row in rows})
    if rows:
        firsts = {block: height for block, _, height in reversed(rows)}
        assert main["height"].max() == max(firsts.values())


def test_a_relation_of_its_own_connection_is_answered_there() -> None:
    """DuckDB joins no relations of two connections, such as those of a file and of the default one."""
    of = {"block_hash": list("abcd"), "parent_hash": ["", "a", "a", "b"], "height": [1, 2, 2, 3]}
    blocks = pd.DataFrame({**of, "timestamp": pd.Timestamp("2026-01-01"), "producer_id": "p"})
    with duckdb.connect() as connection:
        relation = connection.from_arrow(pa.Table.from_pandas(blocks, preserve_index=False))
        assert [row[0] for row in main_chain(relation).project("block_hash").fetchall()] == ["a", "b", "d"]
        assert stale_blocks(relation).project("block_hash").fetchall() == [("c",)]


@pytest.mark.parametrize("looks", [True, False])
def test_small_results_are_on_the_connection_that_was_asked(looks: bool) -> None:
    """They can be joined with its tables, and with each other; unless it may not look at variables."""
    _, tables = devnet(seconds=30)
    with duckdb.connect() as connection:
        updates = connection.from_arrow(
            pa.Table.from_pandas(tables["reputation_update"], preserve_index=False)
        )
        if not looks:
            connection.execute("set python_enable_replacements = false")
        found, again = (reputation_summary(updates).project("agent_id, updates") for _ in range(2))
        agents = tables["reputation_update"]["agent_id"].nunique()
        assert len(found.fetchall()) == agents
        if looks:
            assert len(found.join(again, "agent_id").fetchall()) == agents
            joined = updates.project("agent_id").join(found, "agent_id").fetchall()
            assert len(joined) == len(tables["reputation_update"])


def test_of_blocks_at_the_same_instant_the_one_with_the_lower_number_came_first() -> None:
    """As in every table; neither the order of rows nor that of hashes tells."""
    frame = chain(("a", "", 1), ("b", "a", 2), ("c", "a", 2), ("d", "a", 2), ("e", "a", 3), ("e", "c", 3))
    frame["timestamp"] = frame["timestamp"].iloc[0]
    frame["seq"] = [0, 3, 2, 1, 5, 4]
    # The block e was first proposed upon c.
    assert "".join(same_everywhere(main_chain, frame)["block_hash"]) == "ace"
    assert "".join(same_everywhere(stale_blocks, frame)["block_hash"]) == "db"
    found = same_everywhere(forks, frame)
    assert found[["parent_hash", "branches"]].to_numpy().tolist() == [["a", 3]]
    head = frame[:4]
    assert "".join(same_everywhere(main_chain, head)["block_hash"]) == "ad"
    assert "".join(same_everywhere(stale_blocks, head)["block_hash"]) == "cb"
    nowhere = frame.assign(parent_hash=["", "a", "a", "a", "a", "?"])
    assert "".join(same_everywhere(orphans, nowhere)["block_hash"]) == "e"
