"""Scratch folders: where something is written until it is whole.

Each has a name of its own and is locked for as long as its process lives, so that two at once never meet,
and the next one removes what a killed one left.
"""

from __future__ import annotations

import glob
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["bring_to_disk", "make_folders", "remove_folders", "scratch"]


@contextmanager
def scratch(home: Path, prefix: str) -> Iterator[Path]:
    """Give a new folder to write into, which is removed at the end unless it was renamed.

    Parameters
    ----------
    home : Path
        Where it is; made if it does not exist.
    prefix : str
        What its name begins with; all that begin so are of the same use, and those abandoned are removed.
    """
    made = make_folders(home)
    try:
        _remove_abandoned(home, prefix)
        part, lock = _made(home, prefix)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)
            if lock is not None:
                os.close(lock)
    finally:
        remove_folders(made)


def make_folders(folder: Path) -> list[Path]:
    """Make a folder, and those that it lies in; return which of them were not there, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        remove_folders(missing)
        raise
    return missing


def remove_folders(folders: Iterable[Path]) -> None:
    """Remove those folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def bring_to_disk(*paths: Path) -> None:
    """Have what is in files, and the names that are in folders, on disk, safe from a power cut."""
    for path in paths:
        # Windows brings nothing to disk that is open for reading alone, and folders by itself.
        if not path.is_dir():
            how = os.O_RDWR
        elif sys.platform == "win32":
            continue
        else:
            how = os.O_RDONLY
        with _opened(path, how) as file:
            os.fsync(file)


def _made(home: Path, prefix: str) -> tuple[Path, int | None]:
    """Make a folder, and lock it, which tells it from one whose process was killed."""
    while True:
        part = home / f"{prefix}{secrets.token_hex(4)}"
        part.mkdir()
        if sys.platform == "win32":
            return part, None
        lock = os.open(part, os.O_RDONLY)
        # Where the file system knows no locks, nobody removes anything either.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Another process may have taken it for abandoned in between.
        if part.exists():
            return part, lock
        os.close(lock)


def _remove_abandoned(home: Path, prefix: str) -> None:
    if sys.platform == "win32":
        return
    for path in home.glob(f"{glob.escape(prefix)}*"):
        # It may be gone by now, in use, or somebody else's.
        with suppress(OSError), _opened(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _opened(path: Path, how: int = os.O_RDONLY) -> Iterator[int]:
    file = os.open(path, how)
    try:
        yield file
    finally:
        os.close(file)
