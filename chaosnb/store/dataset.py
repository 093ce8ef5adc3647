"""What was received, to read and to export: every table, aggregate and ledger as DataFrames."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import pandas as pd

from chaosnb.ingest.gaps import GapLedger
from chaosnb.protocol.schema import TABLES
from chaosnb.store.export import export_frames
from chaosnb.tables.capture import Capture, drift_frame, gap_frame

__all__ = ["Dataset"]


class Dataset(ABC):
    """Read access to a capture, wherever it comes from.

    Each event type is a DataFrame by attribute (``s.block_validation``) and by item
    (``s["block_validation"]``), always up to date, and free for you to change.
    """

    def __init__(self, capture: Capture, ledger: GapLedger, drift: Counter[str]) -> None:
        self._capture = capture
        self._ledger = ledger
        self._drift = drift

    @property
    @abstractmethod
    def source(self) -> str:
        """Where the data comes from; simulated data is called so."""

    @property
    @abstractmethod
    def simulated(self) -> bool:
        """Whether the data is simulated."""

    @property
    @abstractmethod
    def topics(self) -> tuple[str, ...]:
        """The topics that it covers."""

    @abstractmethod
    def _before_reading(self) -> None:
        """Raise what stands against reading."""

    @property
    def block_proposal(self) -> pd.DataFrame:
        """Blocks proposed by producers."""
        return self["block_proposal"]

    @property
    def block_validation(self) -> pd.DataFrame:
        """Votes of validators on blocks."""
        return self["block_validation"]

    @property
    def consensus_discussion(self) -> pd.DataFrame:
        """What agents say about blocks before they vote."""
        return self["consensus_discussion"]

    @property
    def alliance_update(self) -> pd.DataFrame:
        """Alliances formed or changed."""
        return self["alliance_update"]

    @property
    def agent_status(self) -> pd.DataFrame:
        """Agents that become active, inactive or go to maintenance."""
        return self["agent_status"]

    @property
    def network_metrics(self) -> pd.DataFrame:
        """The network's own figures about itself."""
        return self["network_metrics"]

    @property
    def meme_posted(self) -> pd.DataFrame:
        """Memes posted by agents."""
        return self["meme_posted"]

    @property
    def reputation_update(self) -> pd.DataFrame:
        """Changes of agents' reputation."""
        return self["reputation_update"]

    @property
    def error(self) -> pd.DataFrame:
        """Errors that the node reported."""
        return self["error"]

    def __getitem__(self, table: str) -> pd.DataFrame:
        """Return a table by name; a KeyError lists the names."""
        if table not in TABLES:
            raise KeyError(f"no table {table!r}; the tables are {', '.join(TABLES)}")
        self._before_reading()
        return self._with_source(self._capture.tables[table].snapshot())

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> None:
            if name.startswith("_"):
                raise AttributeError(name)
            raise AttributeError(f"no table or attribute {name!r}; the tables are {', '.join(TABLES)}")

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return all tables by name."""
        return {name: self[name] for name in TABLES}

    def aggregate(self, name: str, window_s: float | None = 600, points: int = 300) -> pd.DataFrame:
        """Return what a live plot shows: ``tps``, ``decisions``, ``sentiment`` or ``reputation`` over time.

        Columns, formulas and parameters are those of `chaosnb.tables.aggregates.Aggregates.value`.
        """
        return self._with_source(self._capture.aggregates.value(name, window_s=window_s, points=points))

    def aggregate_arrays(
        self, name: str, window_s: float | None = 600, points: int = 300
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of `aggregate` as numpy arrays, at a tenth of the cost; `time` is UTC."""
        return self._capture.aggregates.arrays(name, window_s=window_s, points=points)

    @property
    def gaps(self) -> pd.DataFrame:
        """Spans without a link, in which events may be missing.

        Columns start, end, duration_s, cause, topics, certainty; NaT where a gap is still open.
        """
        return self._with_source(gap_frame(list(self._ledger.gaps)))

    @property
    def rejects(self) -> pd.DataFrame:
        """The newest messages that could not be read: received_at, reason, raw.

        At most 10,000 of them and 16 MiB; `status.rejects` counts all.
        """
        return self._with_source(self._capture.rejects())

    @property
    def incidents(self) -> pd.DataFrame:
        """What the connection went through: timestamp, state, detail, code, delay_s (until the next try)."""
        return self._with_source(self._capture.incidents())

    @property
    def drift(self) -> pd.DataFrame:
        """Fields and values that the protocol does not name, and how often they came: drift, count."""
        return self._with_source(drift_frame(self._drift))

    @property
    def memory(self) -> pd.DataFrame:
        """Rows and bytes of each table."""
        return self._capture.memory()

    def export(
        self, folder: str | os.PathLike[str], format: str = "parquet", *, defuse_formulas: bool = True
    ) -> Path:
        """Write every table, the gaps, rejects and incidents into a folder, a file each.

        Parameters
        ----------
        folder : path
            Made if it does not exist; an earlier export in it is replaced, once all files are written.
        format : {"parquet", "csv", "feather", "jsonl"}
        defuse_formulas : bool
            Whether CSV gets a ``'`` before text that a spreadsheet would take for a formula (it starts with
            ``=``, ``+``, ``-``, ``@``, a tab or a line end, perhaps after blanks). False keeps every text as
            it is; the other formats always do.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        ValueError
            If the format is none of these, or the folder looks like the name of a file.
        ExportError
            If a table cannot be written.
        """
        ledgers = {
            "gaps": self.gaps,
            "rejects": self.rejects,
            "incidents": self.incidents,
            "drift": self.drift,
        }
        source = {"source": self.source, "simulated": self.simulated, "topics": self.topics}
        frames = self.frames() | ledgers
        return export_frames(
            frames, Path(folder), format=format, source=source, defuse_formulas=defuse_formulas
        )

    def _with_source(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame.attrs["source"] = self.source
        return frame
