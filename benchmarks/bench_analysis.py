"""Every analysis on the tables of a long run, in pandas: wall time, and memory against that of its input.

Its input are the whole tables that it is given, as a stream has them; memory is the highest resident size
while it runs, less that before.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from analysis_tables import fresh_s, tables
from report import additions_ms, arguments, markdown, pace, publish, verdict
from workload import resident_bytes

from chaosnb import analysis

_VOTES = 10_000_000
_LONGEST_S = 5.0
_LONGEST_AGREEMENT_S = 60.0
_MOST_MEMORY = 2.0
_EVERY_S = 60

Case = tuple[Callable[..., object], tuple[str, ...], dict[str, Any]]


def cases() -> dict[str, Case]:
    """Return what is measured: the analysis, the tables that it is given, and its options, by name."""
    v, s, b, m = "block_validation", "consensus_discussion", "block_proposal", "meme_posted"
    a, t, r, n = "alliance_update", "agent_status", "reputation_update", "network_metrics"
    fresh = {"fresh_s": fresh_s()}
    every: dict[str, Any] = {"every_s": _EVERY_S}
    plain: list[tuple[Callable[..., object], str]] = [
        *((one, v) for one in (analysis.valid_votes, analysis.double_votes, analysis.vote_distribution)),
        *((one, v) for one in (analysis.block_outcomes, analysis.cusum, analysis.drift)),
        *((one, s) for one in (analysis.discussion_volume, analysis.meme_spread)),
        *((one, b) for one in (analysis.main_chain, analysis.stale_blocks, analysis.orphans)),
        *((one, b) for one in (analysis.forks, analysis.block_intervals)),
        *((one, r) for one in (analysis.reputation_summary, analysis.reputation_movers)),
        *((one, r) for one in (analysis.reputation_inequality, analysis.reputation_reversion)),
        *((one, r) for one in (analysis.reputation_trajectories, analysis.reputation_breaks)),
        *((one, a) for one in (analysis.alliance_spells, analysis.alliance_edges, analysis.alliance_churn)),
        *((one, t) for one in (analysis.absences, analysis.agent_uptime)),
        (analysis.vote_agreement, v),
    ]
    groups = ("personality", "validator", "block", "time")
    return {
        **{f"approval_rate by {by}": (analysis.approval_rate, (v,), {"by": by, **every}) for by in groups},
        "approval_rate, clustered": (analysis.approval_rate, (v,), {"clustered": True}),
        **{
            f"participation by {by}": (analysis.participation, (v,), {"by": by})
            for by in ("validator", "personality", "block")
        },
        **{one.__name__: (one, (table,), {}) for one, table in plain},
        "drift of validators": (analysis.drift, (v,), {"by": "validator"}),
        "consensus_time": (analysis.consensus_time, (v, b), {}),
        "finality_curve": (analysis.finality_curve, (v, b), {}),
        "sentiment_index": (analysis.sentiment_index, (s,), {}),
        "sentiment_index by time": (analysis.sentiment_index, (s,), {"by": "time", **every}),
        "sentiment_lead": (analysis.sentiment_lead, (v, s), {}),
        "vote_drivers": (analysis.vote_drivers, (v, s, m, a), fresh),
        "alliance_cohesion": (analysis.alliance_cohesion, (v, a), {}),
        "meme_effect": (analysis.meme_effect, (v, m, b), fresh),
        **{
            one.__name__: (one, (s, m), {})
            for one in (analysis.meme_references, analysis.meme_tags, analysis.meme_influence)
        },
        "participation_by_status": (analysis.participation_by_status, (v, t), {}),
        "throughput": (analysis.throughput, (n, b), every),
        "height_progress": (analysis.height_progress, (b, n), every),
    }


def measure(case: Case, held: dict[str, pd.DataFrame]) -> tuple[float, float, float]:
    """Return an analysis' wall seconds, and the megabytes of its input and of what it took beside it."""
    work, names, options = case
    given = [held[name] for name in names]
    size = sum(int(frame.memory_usage(deep=True).sum()) for frame in given)
    settle()
    before = resident_bytes()
    forget_peak()
    start = time.perf_counter()
    result = work(*given, **options)
    elapsed_s = time.perf_counter() - start
    peak = peak_bytes() - before
    del result
    return elapsed_s, size / 1e6, peak / 1e6


def settle() -> None:
    """Give memory that is free back to the system, so that it is taken anew where it is needed."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def forget_peak() -> None:
    """Let the system measure the highest resident size from here on, as Linux can."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the highest resident size since `forget_peak`."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def _main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--votes", type=int, default=_VOTES, help=f"about how many (default: {_VOTES:,})")
    parser.add_argument("--only", default="", help="only analyses whose name has this in it")
    options = parser.parse_args()
    if sys.platform != "linux":
        raise SystemExit("peak memory is measured as Linux tells it: run this benchmark there")
    chosen = {name: case for name, case in cases().items() if options.only in name}
    small = tables(2_000)
    for case in chosen.values():  # whatever is loaded or cached once
        measure(case, small)
    held = small if options.quick else tables(options.votes)
    rows, speeds_ms = [], []
    for name, case in chosen.items():
        speeds_ms.append(additions_ms())
        elapsed_s, input_mb, peak_mb = measure(case, held)
        most_s = _LONGEST_AGREEMENT_S if name == "vote_agreement" else _LONGEST_S
        ratio = peak_mb / input_mb
        rows.append(
            [
                f"`{name}`",
                f"{elapsed_s:.2f}",
                verdict(elapsed_s, most_s, at_most=True),
                f"{input_mb:,.0f}",
                f"{peak_mb:,.0f}",
                f"{ratio:.2f}",
                verdict(ratio, _MOST_MEMORY, at_most=True),
            ]
        )
        print(" ".join(rows[-1]), file=sys.stderr, flush=True)
    columns = ["analysis", "wall s", "target", "MB of input", "MB at most beside it", "share", "target"]
    counted = ", ".join(f"{len(held[name]):,} rows of `{name}`" for name in TABLES_SHOWN)
    publish("bench_analysis", f"{counted}. {pace(speeds_ms)}\n\n{markdown(columns, rows)}", options)


TABLES_SHOWN = ("block_validation", "consensus_discussion", "reputation_update", "block_proposal")

if __name__ == "__main__":
    _main()
