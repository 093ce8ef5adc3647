"""The decisions' plot after each batch: running aggregates against a groupby over the table, and streamz.

Both sizes lie within the same ten minutes of event time, so that all compute the same 300 buckets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from msgspec import structs
from report import arguments, markdown, publish, verdict
from workload import VoteRows, cpu_ms, interleaved

from chaosnb.ingest.session import Batch, Session
from chaosnb.protocol.codec import encode
from chaosnb.protocol.events import Frame
from chaosnb.protocol.iso8601 import format_timestamp
from chaosnb.protocol.schema import TABLES
from chaosnb.protocol.signing import Identity
from chaosnb.tables.aggregates import Aggregates
from chaosnb.tables.table import Table

_WINDOW_S = 600
_BUCKET_S = 2
_BATCH = 250
_IN_A_ROW = 20


def recomputed(table: Table) -> pd.DataFrame:
    """Return what `Aggregates.value("decisions")` returns, from all rows of the table."""
    votes = table.snapshot()
    last = votes["timestamp"].iloc[-1].floor("s")
    votes = votes[votes["timestamp"] >= (last - pd.Timedelta(seconds=_WINDOW_S)).floor(f"{_BUCKET_S}s")]
    time = votes["timestamp"].dt.floor(f"{_BUCKET_S}s").rename("time")
    counts = votes.groupby([time, "decision"], observed=True).size().unstack(fill_value=0)
    frame = counts.reindex(columns=["approve", "reject"], fill_value=0).reset_index()
    frame["approval_rate"] = frame["approve"] / (frame["approve"] + frame["reject"])
    return frame


def streamz_update(source: VoteRows, size: int) -> Callable[[], object] | None:
    """Return what gives streamz one batch, whose groupby keeps running counts; None without streamz."""
    try:
        from streamz import Stream
        from streamz.dataframe import DataFrame
    except ImportError:
        return None
    stream = Stream()
    example = _vote_frame(VoteRows(per_second=1), 2)
    counts = DataFrame(stream, example=example).groupby(["time", "decision"]).vote.count()
    state: list[pd.DataFrame] = [example]
    counts.stream.sink(lambda value: state.__setitem__(0, value))
    for start in range(0, size, 50_000):
        stream.emit(_vote_frame(source, min(50_000, size - start)))

    def work() -> object:
        stream.emit(_vote_frame(source, _BATCH))
        return state[0]

    return work


def _vote_frame(source: VoteRows, count: int) -> pd.DataFrame:
    rows = source.next(count)
    seconds = rows.timestamp_us // 1_000_000 // _BUCKET_S * _BUCKET_S
    frame = pd.DataFrame({"time": seconds.astype("datetime64[s]")})
    frame["decision"] = [event.decision for event in rows.events]
    frame["vote"] = np.ones(count)
    return frame


def _main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    sizes = [2_000, 10_000] if options.quick else [10_000, 1_000_000]
    rounds = 2 if options.quick else options.rounds
    works: dict[str, Callable[[], object]] = {}
    arrivals: dict[str, Arrival] = {}
    for size in sizes:
        table, aggregates = Table(TABLES["block_validation"]), Aggregates()
        source = VoteRows(per_second=size / _WINDOW_S)
        for rows in source.batches(size, 500):
            table.append(rows)
            newest_us = int(rows.timestamp_us[-1])
            aggregates.update(Batch(rows={"block_validation": rows}, newest_us=newest_us))
        running = aggregates.value("decisions").drop(columns="other")
        pd.testing.assert_frame_equal(running, recomputed(table), check_dtype=False, check_names=False)
        arrival = Arrival(source)
        arrivals[f"chaosnb {size}"] = arrival
        works[f"chaosnb {size}"] = _running(aggregates, arrival)
        works[f"pandas {size}"] = _recomputing(table)
        if (streamz_work := streamz_update(VoteRows(per_second=size / _WINDOW_S), size)) is not None:
            works[f"streamz {size}"] = streamz_work

    def before(name: str) -> None:
        if name in arrivals:
            arrivals[name].decode()

    for name, work in works.items():
        before(name)
        cpu_ms(work)
    times = interleaved(works, rounds, before)
    for name in arrivals:
        in_a_row = interleaved({name: works[name]}, rounds * _IN_A_ROW, before)
        times[name.replace("chaosnb", "in a row")] = in_a_row[name]

    labels = {
        "chaosnb": "chaosnb: Aggregates.update + arrays, after another's turn",
        "in a row": "the same, many in a row",
        "streamz": "streamz: running groupby",
        "pandas": "pandas: groupby over the table",
    }
    recomputing = times[f"pandas {sizes[-1]}"]
    table_rows = []
    for name, label in labels.items():
        if f"{name} {sizes[0]}" not in times:
            table_rows.append([label, *("not installed" for _ in sizes), "", "", "", ""])
            continue
        at = [times[f"{name} {size}"] for size in sizes]
        table_rows.append(
            [
                label,
                *(f"{ms:.3f}" for ms in at),
                f"{at[-1] / at[0]:.2f}",
                verdict(at[-1] / at[0], 1.2, at_most=True) if name in ("chaosnb", "in a row") else "",
                f"{recomputing / at[-1]:.0f}",
                verdict(recomputing / at[-1], 500) if name in ("chaosnb", "in a row") else "",
            ]
        )
    columns = [
        f"{_BATCH} new votes and the plot's values, CPU ms at",
        *(f"{size:,} votes" for size in sizes),
        "largest : smallest",
        "target",
        "times cheaper than groupby",
        "target",
    ]
    about = f"Medians of {rounds} interleaved rounds; {_IN_A_ROW} times as many where it says in a row."
    text = f"{about}\n\n{markdown(columns, table_rows)}"
    publish("bench_aggregates", text, options)


class Arrival:
    """The batch that has just been decoded, as it is for a stream's aggregates."""

    def __init__(self, source: VoteRows) -> None:
        self._source = source
        self._session = Session(["blocks"], Identity.generate())
        self.batch = Batch()

    def decode(self) -> None:
        """Decode the next votes."""
        rows = self._source.next(_BATCH)
        stamps = map(format_timestamp, rows.timestamp_us.tolist())
        votes = [structs.replace(vote, timestamp=at) for vote, at in zip(rows.events, stamps, strict=True)]
        frames = [Frame(encode(vote), 0) for vote in votes]
        self.batch = self._session.feed(frames)


def _running(aggregates: Aggregates, arrival: Arrival) -> Callable[[], object]:
    def work() -> object:
        aggregates.update(arrival.batch)
        return aggregates.arrays("decisions")

    return work


def _recomputing(table: Table) -> Callable[[], object]:
    return lambda: recomputed(table)


if __name__ == "__main__":
    _main()
