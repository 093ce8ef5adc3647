"""Compares, span after span, what a stream holds with what its node handed over."""

from __future__ import annotations

import time

import numpy as np

import chaosnb
from soak.failing import SETTLED_S, Row, Truth
from soak.processes import Remote
from soak.rows import EVENT_TABLES, kept_rows

__all__ = ["Comparison"]

_SHOWN = 5


class Comparison:
    """Of one stream with one node.

    Parameters
    ----------
    stream : chaosnb.Stream
    node : Remote
        One of `soak.failing`.
    since_us : int
        The event time from which on to compare, in microseconds since the epoch.

    Attributes
    ----------
    compared, unexplained : int
        Rows that were compared, and rows that are missing, made up, doubled or out of order.
    faults : int
        How often the node failed on purpose.
    """

    def __init__(self, stream: chaosnb.Stream, node: Remote, since_us: int) -> None:
        self.compared = self.unexplained = self.faults = 0
        self._stream = stream
        self._node = node
        self._low_us = since_us

    def step(self) -> None:
        """Compare what has happened since the last step and is settled."""
        high_us = time.time_ns() // 1_000 - int(SETTLED_S * 1e6)
        if high_us <= self._low_us:
            return
        truth: Truth = self._node.ask(self._low_us, high_us)
        self.faults = truth.faults
        kept = self._kept(self._low_us, high_us)
        came = set(kept)
        self.compared += len(kept)
        self._count("doubled", len(kept) - len(came))
        self._count("missing", len(missing := truth.whole - came), missing)
        possible = truth.whole.union(*truth.doubtful)
        self._count("made up", len(unknown := came - possible), unknown)
        for rows in truth.doubtful:
            only_here = [row for row in rows if row not in truth.whole]
            here = [row in came for row in only_here]
            if False in here:
                self._count("missing amid a link", sum(here[here.index(False) :]))
        self._low_us = high_us

    def __str__(self) -> str:
        return f"{self.faults:,} faults, {self.compared:,} rows compared, {self.unexplained:,} unexplained"

    def _kept(self, low_us: int, high_us: int) -> list[Row]:
        frames = {}
        for name in EVENT_TABLES:
            frame = self._stream[name]
            times = frame["timestamp"].astype("int64").to_numpy()
            order = np.lexsort((frame["seq"].to_numpy(), times))
            self._count(f"out of order in {name}", int(np.count_nonzero(np.diff(order) != 1)))
            low, high = np.searchsorted(times, [low_us, high_us])
            frames[name] = frame.iloc[low:high]
        return [(name, *row) for name, rows in kept_rows(frames).items() for row in rows]

    def _count(self, what: str, rows: int, examples: set[Row] | None = None) -> None:
        if rows:
            self.unexplained += rows
            print(f"{rows:,} rows {what}: {sorted(examples or ())[:_SHOWN]}", flush=True)
