"""1,000 new rows and a snapshot of `block_validation`, by size, against pyarrow and pandas; append pauses.

The tables are filled through `Table.append` in batches of 500 rows, with a snapshot after every 200th; every
append is timed on the way to the largest size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from report import arguments, markdown, publish, verdict
from workload import VoteRows, interleaved, resident_bytes

from chaosnb.ingest.session import Rows
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.table import Table

_SCHEMA = TABLES["block_validation"]
_GETTERS = {column.name: attrgetter(".".join(column.path)) for column in _SCHEMA.columns if column.path}
_BATCH = 500
_NEW = 1_000
_SNAPSHOT_EVERY = 200


def fill(source: VoteRows, rows: int) -> tuple[Table, np.ndarray]:
    """Return a table with so many rows, and the wall and CPU milliseconds that each append took."""
    table = Table(_SCHEMA)
    taken = []
    for number, batch in enumerate(source.batches(rows, _BATCH)):
        cpu, wall = time.process_time_ns(), time.perf_counter_ns()
        table.append(batch)
        taken.append((time.perf_counter_ns() - wall, time.process_time_ns() - cpu))
        if number % _SNAPSHOT_EVERY == 0:
            table.snapshot()
    return table, np.array(taken) / 1e6


def columns_of(rows: Rows) -> dict[str, Any]:
    """Return rows as columns of plain values, for the peers."""
    columns = {
        name: list(map(get, rows.events)) for name, get in _GETTERS.items() if name not in ("timestamp",)
    }
    return {
        "timestamp": rows.timestamp_us.astype("datetime64[us]"),
        **columns,
        "received_at": (rows.received_at_ns // 1_000).astype("datetime64[us]"),
        "seq": rows.seq,
    }


def chaosnb_refresh(source: VoteRows, table: Table) -> Callable[[], object]:
    """Return what appends new rows to a table and takes a snapshot."""

    def work() -> object:
        table.append(batches.pop())
        return table.snapshot()

    batches = [source.next(_NEW) for _ in range(64)][::-1]
    return work


def pyarrow_refresh(source: VoteRows, frame: pd.DataFrame) -> Callable[[], object]:
    """Return what adds a chunk to a pyarrow table and makes it a DataFrame."""
    state = [pa.Table.from_pandas(frame, preserve_index=False)]
    schema = state[0].schema
    batches = [source.next(_NEW) for _ in range(64)]

    def work() -> object:
        new = pa.table(columns_of(batches.pop()), schema=schema)
        state[0] = pa.concat_tables([state[0], new])
        return state[0].to_pandas()

    return work


def pandas_refresh(source: VoteRows, frame: pd.DataFrame) -> Callable[[], object]:
    """Return what joins new rows to a DataFrame with `pd.concat`."""
    state = [frame.copy()]
    batches = [source.next(_NEW) for _ in range(64)]
    dtypes = frame.dtypes

    def work() -> object:
        new = pd.DataFrame(columns_of(batches.pop()))
        for name in ("timestamp", "received_at"):
            new[name] = new[name].dt.tz_localize("UTC")
        state[0] = pd.concat([state[0], new.astype(dtypes)], ignore_index=True)
        return state[0]

    return work


def _main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    sizes = [2_000, 5_000, 20_000] if options.quick else [10_000, 1_000_000, 10_000_000]
    rounds = 2 if options.quick else options.rounds
    source = VoteRows()
    fill(source, 2_000)  # whatever is loaded or cached once
    before = resident_bytes()
    largest, pauses = fill(source, sizes[-1])
    resident, counted = resident_bytes() - before, largest.nbytes
    others = [fill(source, size)[0] for size in sizes[:-1]]
    frames = [table.snapshot() for table in (*others, largest)]

    works = {
        f"chaosnb {size}": chaosnb_refresh(source, table)
        for size, table in zip(sizes, [*others, largest], strict=True)
    }
    works |= {
        f"{name} {size}": make(source, frame)
        for name, make in (("pyarrow", pyarrow_refresh), ("pandas", pandas_refresh))
        for size, frame in zip(sizes, frames, strict=True)
    }
    for work in works.values():
        work()
    times = interleaved(works, rounds)

    peers = {
        "chaosnb": "chaosnb: append + snapshot",
        "pyarrow": "pyarrow: concat_tables + to_pandas",
        "pandas": "pandas: pd.concat",
    }
    rows = []
    for name, label in peers.items():
        at = [times[f"{name} {size}"] for size in sizes]
        rows.append(
            [
                label,
                *(f"{ms:.2f}" for ms in at),
                f"{at[-1] / at[0]:.2f}",
                verdict(at[-1] / at[0], 1.2, at_most=True) if name == "chaosnb" else "",
                f"{at[-1] / times[f'chaosnb {sizes[-1]}']:.0f}",
                verdict(at[-1] / times[f"chaosnb {sizes[-1]}"], 20) if name == "pyarrow" else "",
            ]
        )
    columns = [
        f"{_NEW:,} new rows and a DataFrame, CPU ms at",
        *(f"{size:,}" for size in sizes),
        "largest : smallest",
        "target",
        "times chaosnb",
        "target",
    ]
    wall, cpu = pauses.T
    growth = [
        ["longest append, wall ms", f"{wall.max():.1f}", verdict(wall.max(), 15, at_most=True)],
        ["99.99th percentile, wall ms", f"{np.percentile(wall, 99.99):.1f}", ""],
        ["median, wall ms", f"{np.median(wall):.2f}", ""],
        ["longest append, CPU ms", f"{cpu.max():.1f}", ""],
        ["appends over 15 ms", f"{(wall > 15).sum()} of {len(wall):,}", ""],
        ["bytes a row, as counted", f"{counted / sizes[-1]:.0f}", ""],
        ["bytes a row, resident", f"{resident / sizes[-1]:.0f}", ""],
    ]
    text = (
        f"Medians of {rounds} interleaved rounds.\n\n{markdown(columns, rows)}\n\n"
        f"{markdown([f'growing to {sizes[-1]:,} rows in batches of {_BATCH}', 'value', 'target'], growth)}"
    )
    publish("bench_snapshots", text, options)


if __name__ == "__main__":
    _main()
