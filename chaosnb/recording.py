"""Recording alone: keeps a node's feed in a recording, without tables, as a small process of its own.

``python -m chaosnb record`` runs it. It outlives the notebooks that follow it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from typing import Final

from chaosnb.endpoint import Endpoint
from chaosnb.ingest.connection import Clock, Connection, Incident
from chaosnb.ingest.session import Session
from chaosnb.ingest.transport import choose_transport
from chaosnb.opening import open_recorder
from chaosnb.protocol.events import check_topics
from chaosnb.store.recorder import Recorder
from chaosnb.text import printable

__all__ = ["record_until"]

_UNITS: Final = ("B", "kB", "MB", "GB")


async def record_until(
    stop: asyncio.Event,
    topics: str | Iterable[str],
    folder: str | os.PathLike[str],
    *,
    url: str | None = None,
    allow_insecure: bool = False,
    max_bytes: int | None = None,
    max_age_s: float | None = None,
    report: Callable[[str], None] = print,
    every_s: float = 1.0,
) -> None:
    """Record until `stop` is set.

    Parameters
    ----------
    stop : asyncio.Event
    topics, folder, url, allow_insecure
        As `topics`, `record`, `url` and `allow_insecure` of `chaosnb.stream`.
    max_bytes, max_age_s : int, float, optional
        Beyond this size or age the oldest segments are removed. None: everything is kept.
    report : callable
        Called with a line about how it goes, every `every_s` seconds and at the end.
    every_s : float

    Raises
    ------
    ValueError, RecordingError, InsecureConnectionError, CredentialsError
    """
    wanted = check_topics(topics)
    clock = Clock()
    endpoint = Endpoint(url, None, allow_insecure=allow_insecure)
    try:
        session = Session(wanted, endpoint.identity)
        recorder = open_recorder(folder, endpoint, session, clock, max_bytes=max_bytes, max_age_s=max_age_s)
        try:
            last: list[Incident] = []

            def remember(incident: Incident) -> None:
                last[:] = [incident]

            connection = Connection(
                url=endpoint.url,
                session=session,
                connect=choose_transport(None),
                on_incident=remember,
                tap=recorder,
            )
            pump = asyncio.ensure_future(_pump(connection))
            stopped = asyncio.ensure_future(stop.wait())
            while not stopped.done() and not pump.done():
                await asyncio.wait([pump, stopped], timeout=every_s, return_when=asyncio.FIRST_COMPLETED)
                report(_line(endpoint, connection, recorder, last))
            stopped.cancel()
            if pump.done():
                await pump
            pump.cancel()
            with suppress(asyncio.CancelledError):
                await pump
        finally:
            recorder.close()
            report(f"recorded {recorder.frames_written:,} messages in {recorder.folder}{_lost(recorder)}")
    finally:
        endpoint.close()


async def _pump(connection: Connection) -> None:
    async with aclosing(connection.batches()) as batches:
        async for _ in batches:
            pass


def _line(endpoint: Endpoint, connection: Connection, recorder: Recorder, last: list[Incident]) -> str:
    line = (
        f"{endpoint.shown_url} {connection.state}: {recorder.frames_written:,} messages, "
        f"{_size(recorder.size_bytes)} in all, gaps: {len(connection.ledger.gaps):,}"
    )
    line += _lost(recorder)
    if recorder.trouble is not None:
        return f"{line}; {recorder.trouble}"
    return line if connection.state == "live" else f"{line}; {printable(last[0].detail)[:200]}"


def _lost(recorder: Recorder) -> str:
    return f"; {recorder.frames_lost:,} could not be recorded" if recorder.frames_lost else ""


def _size(size: float) -> str:
    unit = 0
    while size >= 1_000 and unit < len(_UNITS) - 1:
        size, unit = size / 1_000, unit + 1
    return f"{size:.3g} {_UNITS[unit]}"
