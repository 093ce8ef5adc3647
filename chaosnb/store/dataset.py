"""What was received, to read and to export: every table, aggregate and ledger as DataFrames."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy.typing as npt
import pandas as pd

from chaosnb.ingest.gaps import Gap
from chaosnb.ingest.spans import holds
from chaosnb.protocol.events import check_topics
from chaosnb.protocol.schema import TABLES
from chaosnb.store.citation import cited
from chaosnb.store.content import Content, Counts, Credits
from chaosnb.store.export import export_content
from chaosnb.store.holdings import Holdings, Ledger, instead
from chaosnb.store.moments import Time, microseconds
from chaosnb.store.paths import path_of
from chaosnb.tables.aggregates import as_frame
from chaosnb.tables.capture import drift_frame
from chaosnb.tables.ledgers import gap_frame, span_frame
from chaosnb.tables.selection import Selection, names_of, selected

__all__ = ["Dataset", "Time", "microseconds"]

_NOTHING_SAID: Final = Credits()


class Dataset(ABC):
    """Read access to a capture, wherever it comes from.

    Each event type is a DataFrame by attribute (``s.block_validation``) and by item
    (``s["block_validation"]``), always up to date, and free for you to change.
    """

    def __init__(
        self, capture: Holdings, ledger: Ledger, drift: Counter[str], credits: Credits = _NOTHING_SAID
    ) -> None:
        self._capture = capture
        self._ledger = ledger
        self._drift = drift
        self._credits = credits
        self._gaps: tuple[list[Gap], pd.DataFrame] | None = None

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
        if not isinstance(table, str) or table not in TABLES:
            raise KeyError(f"no table {table!r}{instead(table, TABLES)}")
        self._before_reading()
        return self._with_source(self._capture.tables[table].snapshot())

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> None:
            if name.startswith("_"):
                raise AttributeError(name)
            names = (known for known in (*TABLES, *dir(type(self))) if known[0] != "_")
            raise AttributeError(f"no table or attribute {name!r}{instead(name, names)}")

        def __iter__(self) -> None:
            raise TypeError("not iterable: frames() has tables by name, chaosnb.connect() single events")

        __aiter__ = __iter__

    def _ipython_key_completions_(self) -> list[str]:
        return list(TABLES)

    def frames(self) -> dict[str, pd.DataFrame]:
        """Return all tables by name."""
        return {name: self[name] for name in TABLES}

    def aggregate(
        self,
        name: str,
        window_s: float | None = 600,
        points: int = 300,
        *,
        resolution_s: float | None = None,
        agents: str | Iterable[str] = (),
        personalities: str | Iterable[str] = (),
    ) -> pd.DataFrame:
        """Return what a live plot shows: tps, decisions, sentiment, reputation, event_rate or lag over time.

        Columns, formulas and parameters are those of `chaosnb.tables.aggregates.Aggregates.value`. With
        `agents` or `personalities` only their votes, words, blocks and scores count; what the network reports
        of itself stays what it is, and so do ``event_rate`` and ``lag``.
        """
        columns = self.aggregate_arrays(
            name,
            window_s,
            points,
            resolution_s=resolution_s,
            agents=agents,
            personalities=personalities,
        )
        return self._with_source(as_frame(columns))

    def aggregate_arrays(
        self,
        name: str,
        window_s: float | None = 600,
        points: int = 300,
        *,
        resolution_s: float | None = None,
        agents: str | Iterable[str] = (),
        personalities: str | Iterable[str] = (),
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the columns of `aggregate` as numpy arrays, at a tenth of the cost; `time` is UTC.

        They are read-only, and the same objects as before where nothing has changed.
        """
        aggregates, tables = self._capture.aggregates, self._capture.tables
        span: dict[str, Any] = {"window_s": window_s, "points": points, "resolution_s": resolution_s}
        selection = Selection.of(agents, personalities)
        if not selection:
            return aggregates.arrays(name, **span)
        return selected(
            name, selection, aggregates=aggregates, table=lambda table: tables[table].snapshot(), **span
        )

    @property
    def received(self) -> int:
        """How many events were received; unlike `status`, it costs nothing to look at."""
        return self._capture.events

    @property
    def personalities(self) -> dict[str, str]:
        """The personality of each agent, as it was last seen."""
        return self._capture.aggregates.personalities

    def newest(self, table: str) -> list[tuple[str, str, object]]:
        """Return each column of a table that has rows: its name, dtype and newest value."""
        frame = self._capture.tables[table].snapshot()
        return [(c.name, c.dtype, frame[c.name].array[-1]) for c in TABLES[table].columns]

    @property
    def gaps(self) -> pd.DataFrame:
        """Spans in which events are missing or may be, by event time.

        Columns start, end, duration_s (NaT and NaN while a gap lasts), cause, certainty (``certain`` where
        block hashes prove it, else ``possible``), topics, heights_missing (of a hole in the chain of blocks,
        its first 1,000 heights), blocks_missing (how many heights there are, all told), detail. The causes
        are ``disconnected``, ``stale``, ``server_overload``, ``height_jump``, ``unknown_parent``,
        ``evicted`` and ``unrecorded``; `chaosnb.ingest.gaps.GapLedger` says when each is noted, and what its
        span means.
        """
        gaps = self._ledger.gaps
        if self._gaps is None or self._gaps[0] is not gaps:
            self._gaps = gaps, gap_frame(gaps)
        return self._with_source(self._gaps[1].copy(deep=False))

    def complete(self, start: Time, end: Time, topics: str | Iterable[str] | None = None) -> bool:
        """Return whether a span of event time is provably whole: all that was sent is in the tables.

        It is where the topics were subscribed before it began, the link was up all through, the feed has gone
        on by `lateness` since, no block in it names a parent that is missing, retention has forgotten nothing
        of it, and no message that may be of that time is among the `rejects`. What the node itself did not
        send, nothing can prove.

        Parameters
        ----------
        start, end : str, datetime or pandas.Timestamp
            What pandas can read as a time; without a zone it is UTC.
        topics : str or iterable of str, optional
            Of which events; None: of all that are subscribed.

        Raises
        ------
        ValueError
            If `start` is after `end`, one is no time, or a topic is none of the protocol's.

        Examples
        --------
        >>> import chaosnb
        >>> with chaosnb.stream("network", url="devnet") as s:
        ...     s.wait(events=5, timeout=30)
        ...     s.complete("2020-01-01", "2020-01-02")  # long before the stream began
        False
        """
        start_us, end_us = microseconds("start", start), microseconds("end", end)
        if start_us > end_us:
            raise ValueError(f"start={start!r} is after end={end!r}; give the earlier time first")
        spans = self._ledger.complete_spans
        asked = spans if topics is None else check_topics(topics)
        return bool(asked) and all(holds(spans.get(topic, ()), start_us, end_us) for topic in asked)

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
    def counts(self) -> Counts:
        """How much came: events, and what was rejected, filtered, came again, or late."""
        held = self._capture
        return Counts(held.events, held.rejected, held.filtered, held.duplicates, held.late)

    @property
    def arrivals(self) -> dict[str, list[int]]:
        """How many events of each table came in each of the last sixty seconds, the oldest first."""
        return {name: self._capture.arrivals.counts(name) for name in TABLES}

    @property
    def memory(self) -> pd.DataFrame:
        """Rows and bytes of each table."""
        return self._capture.memory()

    def export(
        self,
        folder: str | os.PathLike[str],
        format: str = "parquet",
        *,
        title: str | None = None,
        authors: str | Iterable[str] = (),
        license: str | None = None,
        defuse_formulas: bool = True,
        quiet: bool = False,
    ) -> Path:
        """Write every table, and the ledgers, into a folder that can be cited; `chaosnb.load` reads it back.

        Beside the tables stand ``datapackage.json`` (a Frictionless Data Package: what each column means,
        where the data comes from and when, checksums), ``croissant.json`` and ``CITATION.cff``. The ledgers
        are the tables ``gaps``, ``complete`` (which spans are), ``rejects``, ``incidents`` and ``drift``. The
        same data gives the same bytes (but for DuckDB and Excel).

        Parameters
        ----------
        folder : path
            Made if it does not exist; an earlier export in it is replaced, once all files are written.
        format : {"parquet", "feather", "csv", "jsonl", "xlsx", "duckdb"}
            A file a table, but for DuckDB one database, so that a query joins tables as they are. The last
            two take the extras ``excel`` and ``archive``.
        title : str, optional
            None: one that says where the data comes from, and when.
        authors : str or iterable of str
            Who made the capture; by default its source stands for them.
        license : str, optional
            An SPDX name such as ``"CC-BY-4.0"``, or an address. None: nothing is said.
        defuse_formulas : bool
            Whether CSV gets a ``'`` before text that a spreadsheet would take for a formula (it starts with
            ``=``, ``+``, ``-``, ``@``, a tab or a line end, perhaps after blanks). False keeps every text as
            it is; the other formats always do.
        quiet : bool
            Whether to show no progress bar; what takes less than two seconds shows none anyway.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        ValueError
            If the format is none of these, or the folder looks like the name of a file.
        MissingExtraError
            If the format takes a package that is not installed.
        ExportError
            If a table cannot be written.
        """
        content = self._content(Credits(title, names_of("authors", authors), license))
        return export_content(
            content, path_of("folder", folder), format=format, defuse_formulas=defuse_formulas, quiet=quiet
        )

    def cite(
        self,
        style: Literal["text", "bibtex"] | None = None,
        *,
        title: str | None = None,
        authors: str | Iterable[str] = (),
    ) -> None:
        """Print how to cite this data as it stands, with a checksum of all that the tables hold.

        The checksum is that of an export, in whatever format, of the same data; so cite what is closed or
        exported, since a stream goes on.

        Parameters
        ----------
        style : {"text", "bibtex"}, optional
            None: both.
        title, authors
            As of `export`.

        Raises
        ------
        ValueError
            If there is no such style.
        """
        if style not in (None, "text", "bibtex"):
            raise ValueError(
                f"no style {style!r} of a citation; there are 'text' and 'bibtex', and None is both"
            )
        citation = cited(self._content(Credits(title, names_of("authors", authors))))
        print({None: str(citation), "text": citation.text, "bibtex": citation.bibtex}[style])

    def _content(self, credits: Credits) -> Content:
        capture = self._capture
        ledgers = {
            "gaps": self.gaps,
            "complete": self._with_source(span_frame(self._ledger.complete_spans)),
            "rejects": self.rejects,
            "incidents": self.incidents,
            "drift": self.drift,
        }
        return Content(
            self.frames() | ledgers,
            source=self.source,
            simulated=self.simulated,
            topics=self.topics,
            counts=self.counts,
            newest_s=capture.aggregates.span().stop,
            credits=credits | self._credits,
        )

    def _with_source(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame.attrs["source"] = self.source
        return frame
