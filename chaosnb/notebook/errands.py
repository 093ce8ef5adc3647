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
        self._threads: dict[str, threading.Thread] = {}

    def export(self) -> None:
        """Write all tables to the folder that the controls name."""
        if not self._busy("export"):
            self._controls.export.disabled = True
            self._controls.message.value = "writing …"
            self._start("export", self._export)

    def switch_topics(self) -> None:
        """Subscribe to what is checked, and unsubscribe from what is not."""
        # Whatever is switched meanwhile, the thread that runs sees to it.
        if not self._busy("topics"):
            self._start("topics", self._switch)

    def show_topics(self) -> None:
        """Check the switches of the topics subscribed to; of a closed stream they can be set no more."""
        if self._busy("topics"):
            return
        topics, closed = self._stream.topics, self._stream.closed
        for topic, box in self._controls.topics.items():
            box.disabled = closed
            if box.value != (topic in topics):
                box.value = topic in topics

    def _export(self) -> None:
        controls = self._controls
        try:
            folder = self._stream.export(controls.folder.value, format=controls.format.value, quiet=True)
            files = sum(1 for path in folder.rglob("*") if path.is_file())
            said = f"{files} file{'s' * (files != 1)} written to {folder.resolve()}"
            controls.message.value = escape(said)
        except Exception as error:
            controls.message.value = problem_html(f"not exported: {type(error).__name__}: {error}")
        controls.export.disabled = False

    def _switch(self) -> None:
        boxes = self._controls.topics
        try:
            while True:
                wanted = {topic for topic, box in boxes.items() if box.value}
                topics = set(self._stream.topics)
                if wanted == topics:
                    return
                # First what is added: a stream has one topic at least.
                for topic in sorted(wanted - topics):
                    self._stream.subscribe(topic)
                for topic in sorted(topics - wanted):
                    self._stream.unsubscribe(topic)
        except Exception as error:
            self._report("the topics could not be switched", error)
            for topic, box in boxes.items():
                box.value = topic in self._stream.topics

    def _busy(self, name: str) -> bool:
        thread = self._threads.get(name)
        # What is set from within the thread needs no other.
        return thread is not None and thread.is_alive()

    def _start(self, name: str, run: Callable[[], None]) -> None:
        self._threads[name] = threading.Thread(target=run, name=f"chaosnb-{name}", daemon=True)
        self._threads[name].start()
