"""The files of a recording: how they are found, read, locked, compressed and forgotten."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from chaosnb.errors import RecordingError
from chaosnb.store.paths import beside
from chaosnb.store.scratch import bring_to_disk, make_folders, remove_folders, scratch

if sys.platform != "win32":
    import fcntl

__all__ = [
    "SEGMENT_BYTES",
    "SegmentBytes",
    "compress",
    "expanded_bytes",
    "folder_bytes",
    "forget",
    "is_recording",
    "lock_folder",
    "new_recording",
    "open_segment",
    "said",
    "segment_path",
    "segments",
]

_NAME: Final = re.compile(r"(\d{8})\.journal(\.zst)?")
SEGMENT_BYTES: Final = 64 * 2**20
"""How large a segment becomes before it is compressed."""
_CHUNK: Final = 2**20
_TAKEN: Final = "there is something of that name; choose another one"


class SegmentBytes(Protocol):
    """What a segment is read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; none at the end, where there may be more later."""

    def close(self) -> None:
        """Close it."""


def segments(folder: Path) -> dict[int, Path]:
    """Return the segments by number; of a segment that is there twice, the one that is not compressed.

    Raises
    ------
    RecordingError
        If there is no such folder.
    """
    found: dict[int, Path] = {}
    try:
        paths = sorted(folder.iterdir(), reverse=True)
    except FileNotFoundError:
        reason = f"there is no such recording{beside(folder)}; give the name that it was recorded as"
        raise RecordingError(str(folder), reason) from None
    except NotADirectoryError:
        raise RecordingError(str(folder), "this is a file, and a recording is a folder") from None
    except (OSError, ValueError) as error:
        raise RecordingError(str(folder), f"this recording cannot be read: {said(error)}") from error
    for path in paths:
        if (match := _NAME.fullmatch(path.name)) is not None:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def is_recording(folder: Path) -> bool:
    """Return whether a folder holds segments of a recording."""
    try:
        return bool(segments(folder))
    except RecordingError:
        return False


def segment_path(folder: Path, number: int) -> Path:
    """Return where a segment is that is not compressed.

    Examples
    --------
    >>> segment_path(Path("run.chaos"), 7).name
    '00000007.journal'
    """
    return folder / f"{number:08d}.journal"


def open_segment(path: Path, offset: int) -> SegmentBytes:
    """Return a segment's bytes from an offset on; those of a compressed one are expanded."""
    if path.suffix != ".zst":
        source = path.open("rb", buffering=0)
        source.seek(offset)
        return source
    stream: SegmentBytes = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    while offset and (skipped := stream.read(min(offset, _CHUNK))):
        offset -= len(skipped)
    return stream


def lock_folder(folder: Path) -> tuple[int, list[Path]]:
    """Make the folder, and see to it that nobody else writes there for as long as its descriptor is open.

    Returns it, and the folders that were not there, the innermost first.
    """
    try:
        made = make_folders(folder)
        others = [path.name for path in folder.iterdir()]
        if others and not segments(folder):
            raise RecordingError(
                str(folder), "this folder holds something else than a recording; choose another name"
            )
        file = os.open(folder, os.O_RDONLY)
    except (OSError, ValueError) as error:
        reason = "there is a file of that name" if isinstance(error, FileExistsError) else said(error)
        raise RecordingError(str(folder), f"nothing can be recorded there: {reason}") from error
    try:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise RecordingError(
            str(folder),
            "it is being recorded already, by another process or by a stream that is still open: close that "
            "one (s.close()), read along with chaosnb.follow(), or choose another name",
        ) from error
    except OSError as error:
        os.close(file)
        remove_folders(made)
        raise RecordingError(str(folder), f"it cannot be locked: {said(error)}") from error
    return file, made


@contextmanager
def new_recording(target: Path) -> Iterator[Path]:
    """Give a folder to write segments into, which gets its name once all is written.

    Raises
    ------
    RecordingError
        If there is something of that name, or it cannot be written.
    """
    try:
        if target.exists():
            raise RecordingError(str(target), _TAKEN)
        with scratch(target.parent, f".{target.name}.unfinished-") as part:
            yield part
            bring_to_disk(*part.iterdir(), part)
            if target.exists():
                raise RecordingError(str(target), _TAKEN)
            part.replace(target)
            bring_to_disk(target.parent)
    except OSError as error:
        raise RecordingError(str(target), f"it cannot be written: {said(error)}") from error


def compress(path: Path) -> None:
    """Replace a segment by its compressed form, once that is on disk and proved to be the same."""
    part, target = path.with_suffix(".part"), path.with_suffix(".journal.zst")
    try:
        with path.open("rb") as source, pa.CompressedOutputStream(str(part), "zstd") as compressed:
            while chunk := source.read(_CHUNK):
                compressed.write(chunk)
        with path.open("rb") as source, pa.CompressedInputStream(pa.OSFile(str(part)), "zstd") as stream:
            while chunk := source.read(_CHUNK):
                if stream.read(len(chunk)) != chunk:
                    raise OSError(f"{part} is not what was written")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.utime(part, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    path.unlink()


def forget(folder: Path, max_bytes: int | None, max_age_s: float | None, now_s: float) -> None:
    """Remove the oldest segments for as long as all are larger, or the oldest is older, than allowed."""
    found = segments(folder)
    for number in list(found)[:-1]:
        too_large = max_bytes is not None and folder_bytes(folder) > max_bytes
        too_old = max_age_s is not None and now_s - found[number].stat().st_mtime > max_age_s
        if not (too_large or too_old):
            return
        found[number].unlink()


def folder_bytes(folder: Path) -> int:
    """Return the size of a recording on disk."""
    return sum(map(_size, segments(folder).values()))


def expanded_bytes(path: Path) -> int:
    """Return how long a segment is once it is expanded, about: of a compressed one nothing tells."""
    return SEGMENT_BYTES if path.suffix == ".zst" else _size(path)


def said(error: OSError | ValueError) -> str:
    """Return what the operating system says, or Python of a name that none can be given."""
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error) or type(error).__name__


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
