"""The tables of a long run of the simulated network: a short one again and again, each with new hashes."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from workload import RATE, SEED, messages

from chaosnb.devnet.model import Model
from chaosnb.ingest.session import Session
from chaosnb.protocol.events import TOPICS, Frame
from chaosnb.protocol.schema import TABLES
from chaosnb.protocol.signing import Identity
from chaosnb.tables.table import Table

_VOTES_A_MESSAGE = 0.46
_LONGEST_RUN = 250_000
_MARK = 6
"""How many characters of a hash tell the runs apart."""


def fresh_s() -> float:
    """Return for how many seconds a meme is fresh in these tables."""
    return Model(SEED, rate=RATE).truth.meme_freshness_s


def tables(votes: int) -> dict[str, pd.DataFrame]:
    """Return the tables that a stream would have after about so many votes, with its dtypes."""
    count = min(int(votes / _VOTES_A_MESSAGE) + 1, _LONGEST_RUN)
    once = _tables_once(count)
    turns = max(1, round(votes / max(1, len(once["block_validation"]))))
    span_us = max(_span_us(table) for table in once.values()) + 1
    height = int(once["block_proposal"]["height"].max())
    return {name: _again(table, turns, span_us, height) for name, table in once.items()}


def _tables_once(count: int) -> dict[str, pd.DataFrame]:
    session = Session([*TOPICS], Identity.generate())
    found = {name: Table(schema) for name, schema in TABLES.items()}
    batch = session.feed([Frame(message, 0) for message in messages(count)])
    for name, rows in batch.rows.items():
        found[name].append(rows)
    return {name: table.snapshot() for name, table in found.items()}


def _span_us(table: pd.DataFrame) -> int:
    times = table["timestamp"].astype("int64")
    return int(times.max() - times.min()) if len(times) else 0


def _again(table: pd.DataFrame, turns: int, span_us: int, height: int) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name, column in table.items():
        columns[str(name)] = _column_again(str(name), column, turns, span_us, height)
    return pd.DataFrame(columns, copy=False)


def _column_again(name: str, column: pd.Series, turns: int, span_us: int, height: int) -> Any:
    parts = [column] * turns
    if name in ("timestamp", "received_at"):
        parts = [column + pd.Timedelta(span_us * turn, "us") for turn in range(turns)]
    elif name in ("height", "block_height"):
        parts = [column + height * turn for turn in range(turns)]
    elif name == "seq":
        parts = [column + len(column) * turn for turn in range(turns)]
    elif name in ("block_hash", "parent_hash", "meme_id"):
        text = pa.array(column)
        marked = pa.chunked_array([_marked(text, turn) for turn in range(turns)])
        return pd.Series(marked.combine_chunks(), dtype="str")
    elif name == "meme_references":
        lists = pa.array(column)
        whole = [_marked_lists(lists, turn) for turn in range(turns)]
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array(whole).combine_chunks()))
    return pd.concat(parts, ignore_index=True)


def _marked(text: Any, turn: int) -> Any:
    rest = pc.utf8_slice_codeunits(text, _MARK)
    return pc.binary_join_element_wise(
        pa.scalar(f"{turn:0{_MARK}x}", text.type), rest, pa.scalar("", text.type)
    )


def _marked_lists(lists: Any, turn: int) -> Any:
    whole = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    return type(whole).from_arrays(whole.offsets, _marked(whole.values, turn))
