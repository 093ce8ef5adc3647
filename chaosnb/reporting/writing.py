"""`report`: a capture's main figures in one file, and before them how far its data can be trusted."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chaosnb.errors import ExportError
from chaosnb.reporting.facts import Facts
from chaosnb.reporting.notebook import notebook
from chaosnb.reporting.page import page
from chaosnb.store.dataset import Dataset
from chaosnb.store.package import Package, load
from chaosnb.store.paths import path_of

__all__ = ["report"]

_ENDINGS: Final = (".html", ".htm", ".ipynb")


def report(
    data: Dataset,
    path: str | os.PathLike[str],
    *,
    title: str = "ChaosChain report",
    fresh_s: float | None = None,
    made_at: datetime | None = None,
) -> Path:
    """Write a report on what a stream or an export holds, as an HTML page or as a notebook.

    First comes how far the data can be trusted: gaps, rejects, what came late or twice, and where scores of
    reputation do not go on. Then come the main figures, by subject. The page needs nothing else, loads
    nothing from anywhere, and can be printed. The notebook makes the same figures anew, a cell each, from an
    export that it loads and holds against its checksum. All that agents wrote is text in both.

    Parameters
    ----------
    data : Dataset
        A stream, a replay, a moment of one, or an export that `chaosnb.load` has read.
    path : path
        The file to write, such as ``"report.html"`` or ``"report.ipynb"``; one that is there is replaced.
        What is not an export yet becomes one for a notebook: ``report_capture`` beside ``report.ipynb``, in
        place of an earlier export.
    title : str
        The page's heading.
    fresh_s : float, optional
        For how many seconds a meme is fresh. None: what fresh memes do to votes is left out.
    made_at : datetime.datetime, optional
        When it was made, as the page says it. None: now.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    TypeError
        If `data` is none of these, or the title no text.
    ValueError
        If the path is a folder's, or does not end with ``.html`` or ``.ipynb``.
    ExportError
        If the file, or the export for a notebook, cannot be written.

    Examples
    --------
    >>> import chaosnb, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with chaosnb.stream(["blocks", "network"], url="devnet") as s:
    ...         s.wait(events=200, timeout=30)
    ...         page = chaosnb.report(s, folder + "/report.html").read_text(encoding="utf-8")
    >>> "How far the data can be trusted" in page
    True
    """
    if not isinstance(data, Dataset):
        raise TypeError(
            f"report() takes a stream, or what chaosnb.load gives, not {type(data).__name__}: "
            'such as chaosnb.report(s, "report.html")'
        )
    if not isinstance(title, str):
        raise TypeError(f"title is text, and not {title!r}")
    if made_at is not None and not isinstance(made_at, datetime):
        raise TypeError(f"made_at is a datetime.datetime, or None for now, and not {made_at!r}")
    target = path_of("path", path)
    if target.is_dir() or target.suffix.lower() not in _ENDINGS:
        raise ValueError(
            f"{str(path)!r} is not the name of a page; write one such as 'report.html' or 'report.ipynb'"
        )
    moment = (made_at or datetime.now(UTC)).astimezone(UTC)
    if target.suffix.lower() != ".ipynb":
        return _written(target, page(Facts.of(data, title=title, fresh_s=fresh_s, made_at=moment)))
    # A stream goes on: the notebook tells of what was exported, no more.
    capture = (
        data if isinstance(data, Package) else load(data.export(_beside(target), quiet=True), quiet=True)
    )
    facts = Facts.of(capture, title=title, fresh_s=fresh_s, made_at=moment)
    folder = Path(os.path.relpath(capture.folder, target.parent)).as_posix()
    return _written(target, notebook(facts, folder=folder, checksum=capture.checksum))


def _beside(target: Path) -> Path:
    return target.with_name(f"{target.stem}_capture")


def _written(target: Path, text: str) -> Path:
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(target)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise ExportError(target.name, error.strerror or str(error)) from error
    return target
