"""What the dashboard's controls have done by the stream: in threads, so that plots and cells go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from chaosnb.notebook.controls import Controls
from chaosnb.notebook.display import escape, problem_html
from chaosnb.notebook.source import Source

__all__ = ["Board", "Errands"]


class Board(Source, Protocol):
    """What of a `chaosnb.Stream` the dashboard shows and sets."""

    def export(self, folder: str, format: str = "parquet", *, quiet: bool = False) -> Path:
        """Write all tables."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics subscribed to."""

    @property
    def personalities(self) -> dict[str, str]:
        """The personality of each agent."""

    def subscribe(self, topics: str) -> None:
        """Add a topic."""

    def unsubscribe(self, topics: str) -> None:
        """Drop a topic."""


class Errands:
    """Exports and switches topics, one of each at a time; what comes of it is said in the controls.

    Parameters
    ----------
    stream : Board
    controls : Controls
    report : callable
        Told what could not be done, and the error.
    """

    def __init__(self, stream: Board, controls: Controls, report: Callable[[str, Exception], None]) -> None:
        self._stream = stream
        self._controls = controls
        self._report = report
        # Held while switches are read or set: half set, they would drop topics that nobody switched off.
        self._lock = threading.RLock()
        self._exporting = self._switching = self._switched = False
        self._shown = set(stream.topics)

    def export(self) -> None:
        """Write all tables to the folder that the controls name."""
        if not self._exporting:
            self._exporting = self._controls.export.disabled = True
            self._controls.message.value = "writing …"
            _start("export", self._export)

    def switch_topics(self) -> None:
        """Subscribe to what is checked, and unsubscribe from what is not."""
        with self._lock:
            self._switched = True
            if not self._switching:
                self._switching = True
                _start("topics", self._switch)

    def show_topics(self) -> None:
        """Check the switches of the topics subscribed to; of a closed stream they can be set no more."""
        with self._lock:
            for box in self._controls.topics.values():
                box.disabled = self._stream.closed
            # Else a switch would be set back whose change is not told yet.
            if not self._switching and self._shown != set(self._stream.topics):
                self._check()

    def _check(self) -> None:
        with self._lock:
            self._shown = set(self._stream.topics)
            for topic, box in self._controls.topics.items():
                box.value = topic in self._shown

    def _export(self) -> None:
        controls = self._controls
        try:
            folder = self._stream.export(controls.folder.value, format=controls.format.value, quiet=True)
            files = sum(1 for path in folder.rglob("*") if path.is_file())
            said = f"{files} file{'s' * (files != 1)} written to {folder.resolve()}"
            controls.message.value = escape(said)
        except Exception as error:
            controls.message.value = problem_html(f"not exported: {type(error).__name__}: {error}")
        self._exporting = controls.export.disabled = False

    def _switch(self) -> None:
        while True:
            with self._lock:
                if not self._switched:
                    self._switching = False
                    return
                # Whatever is switched from here on takes another round.
                self._switched = False
                before = self._shown
                self._shown = wanted = {topic for topic, box in self._controls.topics.items() if box.value}
            try:
                # First what is added: a stream has one topic at least.
                for topic in sorted(wanted - before):
                    self._stream.subscribe(topic)
                for topic in sorted(before - wanted):
                    self._stream.unsubscribe(topic)
            except Exception as error:
                self._report("the topics could not be switched", error)
                self._check()


def _start(name: str, run: Callable[[], None]) -> None:
    threading.Thread(target=run, name=f"chaosnb-{name}", daemon=True).start()
