"""The recorder: writes what a connection takes in to a journal, before anybody else sees it.

What `frames` has taken is in the hands of the operating system, so that it outlives the process, however it
ends; within about a second it is on disk, so that it outlives the machine's. A thread sees to that, and
compresses segments that are complete.
"""

from __future__ import annotations

import errno
import os
import platform
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from chaosnb.errors import RecordingError
from chaosnb.ingest.intake import Hole, Note, Simulated, TopicsSet
from chaosnb.protocol.events import Frame
from chaosnb.store.journal import (
    JournalReader,
    Opened,
    Record,
    SegmentHead,
    encode_frames,
    encode_note,
    encode_record,
    seed_of,
)
from chaosnb.store.paths import path_of
from chaosnb.store.scratch import remove_folders
from chaosnb.store.segments import (
    SEGMENT_BYTES,
    compress,
    folder_bytes,
    forget,
    lock_folder,
    said,
    segment_path,
    segments,
)

__all__ = ["Recorder"]

_SYNC_S: Final = 1.0
_RETRY_S: Final = 1.0
_WAITING_NOTES: Final = 10_000
_GONE: Final = (
    "its file was removed, and what comes is lost with it; end this recording and begin another one"
)
# macOS has no fdatasync.
_sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


class Recorder:
    """Writes a recording; a `Tap`.

    Where there is no room, or the disk fails, it says so (`news`, `trouble`), counts what is lost, and tries
    again about every second; what was lost then stands in the recording as a `Hole`.

    Parameters
    ----------
    folder : path
        Made if it does not exist. A recording that is there goes on.
    source : str
        The node's address, without anything secret.
    simulated : bool
    topics : sequence of str
    lateness_s : float
    version : str
        Of chaosnb.
    segment_bytes : int
        How large a segment becomes; less where `max_bytes` is small.
    max_bytes, max_age_s : int, float, optional
        Beyond this size or age the oldest segments are removed. None: everything is kept.
    wall_ns, monotonic : callable
        The clocks.
    write : callable
        Writes bytes to a file descriptor, as `os.write` does.

    Raises
    ------
    RecordingError
        If nothing can be written there, another process is writing there, or it is a recording of something
        else.
    RecordingDamagedError
        If the recording that is to go on is damaged.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        source: str,
        simulated: bool,
        topics: Sequence[str],
        lateness_s: float,
        version: str,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int | None = None,
        max_age_s: float | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        # It goes on there wherever a notebook's cell changes to.
        self.folder: Final = path_of("record", folder).absolute()
        self.frames_written = 0
        self.frames_lost = 0
        # What is removed are whole segments, so that some have to fit into the limit.
        self._segment_bytes = min(segment_bytes, max(2**20, (max_bytes or 8 * segment_bytes) // 8))
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._wall_ns = wall_ns
        self._monotonic = monotonic
        self._write = write
        self._write_trouble: str | None = None
        self._sync_trouble: str | None = None
        self._news: deque[str] = deque(maxlen=10)
        self._waiting: deque[Note] = deque()
        self._retry_at_s = 0.0
        self._lock = threading.Lock()
        self._dirty = self._torn = False
        self._complete: deque[Path] = deque()
        self._wake = threading.Event()
        self._file = -1
        self._opened = Opened(
            source=source,
            simulated=simulated,
            topics=tuple(topics),
            lateness_s=lateness_s,
            versions={"chaosnb": version, "python": platform.python_version()},
            at_ns=wall_ns(),
        )
        self._folder_file, made = lock_folder(self.folder)
        before = segments(self.folder)
        try:
            self._begin()
        except BaseException as error:
            self._leave_nothing(before, made)
            self._release()
            if isinstance(error, OSError):
                raise RecordingError(str(folder), f"nothing can be written there: {said(error)}") from error
            raise
        self._stopping = False
        self._thread = threading.Thread(target=self._look_after, name="chaosnb-recorder", daemon=True)
        self._thread.start()

    @property
    def first_record(self) -> int:
        """The number of the record with which this recorder began."""
        return self._first_record

    @property
    def trouble(self) -> str | None:
        """Why nothing is recorded now, or not safely; None where all is well."""
        return self._write_trouble or self._sync_trouble

    @property
    def size_bytes(self) -> int:
        """The size of the recording on disk."""
        return folder_bytes(self.folder)

    def frames(self, frames: Sequence[Frame]) -> None:
        """Write the frames of one batch; where that fails, they are counted as lost."""
        if self._file < 0:
            return
        if self._catch_up():
            try:
                self._append("f", frames[0].received_at_ns, encode_frames(frames))
            except OSError as error:
                self._fail(error)
            else:
                self.frames_written += len(frames)
                return
        self._lose(frames)

    def note(self, note: Note) -> None:
        """Write what happened between two batches; where that fails, it is written later."""
        if isinstance(note, TopicsSet):
            self._opened = msgspec.structs.replace(self._opened, topics=note.topics)
        elif isinstance(note, Simulated):
            self._opened = msgspec.structs.replace(self._opened, simulated=True)
        if self._file < 0:
            return
        if len(self._waiting) < _WAITING_NOTES or isinstance(note, TopicsSet | Simulated):
            self._waiting.append(note)
        self._catch_up()

    def news(self) -> str | None:
        """Return what there is to say of the recording, once."""
        return self._news.popleft() if self._news else None

    def close(self) -> None:
        """Write everything to disk and end; calling it again does nothing."""
        if self._file < 0:
            return
        self._catch_up(at_once=True)
        self._stopping = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        with suppress(OSError):
            _sync(self._file)
        self._release()

    # -- writing

    def _catch_up(self, *, at_once: bool = False) -> bool:
        """Write what waits; say whether nothing waits any more."""
        failed = self._write_trouble is not None
        if failed and not at_once and self._monotonic() < self._retry_at_s:
            return False
        try:
            while self._waiting:
                kind, raw = encode_note(self._waiting[0])
                self._append(kind, self._wall_ns(), raw)
                self._waiting.popleft()
        except OSError as error:
            self._fail(error)
            return False
        if failed:
            self._write_trouble = None
            self._news.append(f"the recording goes on; {self.frames_lost:,} frames in all are not in it")
        return True

    def _append(self, kind: str, at_ns: int, raw: bytes) -> None:
        if self._torn:
            self._cut()
        if self._size >= self._segment_bytes:
            self._rotate()
        self._put(kind, at_ns, raw)

    def _put(self, kind: str, at_ns: int, raw: bytes) -> None:
        data = encode_record(Record(self._number + 1, at_ns, kind, raw), self._seed)
        try:
            written = self._write(self._file, data)
            while written < len(data):
                written += self._write(self._file, data[written:])
        except OSError:
            self._cut()
            raise
        self._number += 1
        self._size += len(data)
        self._dirty = True

    def _cut(self) -> None:
        """Take away what is no whole record, before anything comes behind it; it needs no room."""
        self._torn = True
        os.ftruncate(self._file, self._size)
        self._torn = False

    def _fail(self, error: OSError) -> None:
        self._retry_at_s = self._monotonic() + _RETRY_S
        if self._write_trouble is None:
            self._write_trouble = f"nothing is recorded in {self.folder.name}: {said(error)}"
            self._news.append(f"{self._write_trouble}; the stream goes on, and recording is tried again")

    def _lose(self, frames: Sequence[Frame]) -> None:
        self.frames_lost += len(frames)
        first_ns = frames[0].received_at_ns
        count = len(frames)
        if self._waiting and isinstance(last := self._waiting[-1], Hole):
            first_ns, count = last.first_ns, count + last.frames
            self._waiting.pop()
        self._waiting.append(Hole(count, first_ns, frames[-1].received_at_ns))

    # -- segments

    def _begin(self) -> None:
        """Go on with what is there, or begin anew."""
        found = segments(self.folder)
        cut = 0
        reader = None
        while found and reader is None:
            reader = JournalReader(self.folder, first=max(found))
            kinds = {record.kind for record in reader.read()}
            if reader.offset == 0:
                # Its writer was killed while it began.
                cut += reader.torn_bytes
                found.pop(max(found)).unlink()
                reader = None
        if reader is None or reader.head is None:
            self._recording, self._number, number = uuid.uuid4().hex, 0, 1
        else:
            self._check_same(reader.head.opened, is_empty=len(found) == 1 and "f" not in kinds)
            self._recording, self._number, number = reader.head.recording, reader.number, max(found)
            cut += reader.torn_bytes
        self._seed = seed_of(self._recording)
        self._opened = msgspec.structs.replace(self._opened, cut_bytes=cut)
        path = found.get(number)
        if reader is None or path is None:
            self._start_segment(number)
        elif path.suffix == ".zst":
            self._start_segment(number + 1)
        else:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
            self._segment, self._size = number, reader.offset
            os.ftruncate(self._file, self._size)
        kind, raw = encode_note(self._opened)
        self._put(kind, self._opened.at_ns, raw)
        self._first_record = self._number
        self._complete += [path for n, path in found.items() if n != self._segment and path.suffix != ".zst"]

    def _leave_nothing(self, before: Container[int], made: Iterable[Path]) -> None:
        with suppress(OSError, RecordingError):
            for number, path in segments(self.folder).items():
                if number not in before:
                    path.unlink()
        remove_folders(made)

    def _check_same(self, other: Opened, *, is_empty: bool) -> None:
        same = other.source == self._opened.source or (other.simulated and self._opened.simulated)
        if not same:
            remedy = f"{'remove it, since no message came, or ' if is_empty else ''}choose another name"
            raise RecordingError(
                str(self.folder),
                f"this is a recording of {other.source}, not of {self._opened.source}; {remedy}",
            )

    def _start_segment(self, number: int) -> None:
        path = segment_path(self.folder, number)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        old, old_size = self._file, getattr(self, "_size", 0)
        with self._lock:
            self._file, self._size = file, 0
        try:
            head = SegmentHead(recording=self._recording, segment=number, opened=self._opened)
            self._put("m", self._wall_ns(), msgspec.json.encode(head))
        except OSError:
            with self._lock:
                self._file, self._size, self._torn = old, old_size, False
            os.close(file)
            path.unlink()
            raise
        self._segment = number
        os.fsync(self._folder_file)

    def _rotate(self) -> None:
        # Else a power cut could leave a hole between two segments.
        _sync(self._file)
        old, path = self._file, segment_path(self.folder, self._segment)
        self._start_segment(self._segment + 1)
        os.close(old)
        self._complete.append(path)
        self._wake.set()

    # -- the thread

    def _look_after(self) -> None:
        while not self._stopping:
            self._tidy()
            self._wake.wait(_SYNC_S)
            self._wake.clear()
            self._sync()
        self._tidy()

    def _sync(self) -> None:
        with self._lock:
            is_gone = os.fstat(self._file).st_nlink == 0
            if not (self._dirty or is_gone):
                return
            self._dirty = False
            # A segment may be closed meanwhile.
            file = os.dup(self._file)
        try:
            if is_gone:
                raise FileNotFoundError(errno.ENOENT, _GONE)
            _sync(file)
            self._sync_trouble = None
        except OSError as error:
            if self._sync_trouble is None:
                self._sync_trouble = f"{self.folder.name} cannot be brought to disk: {said(error)}"
                self._news.append(self._sync_trouble)
        finally:
            os.close(file)

    def _tidy(self) -> None:
        """Compress complete segments, and remove those beyond the limits."""
        while self._complete:
            path = self._complete.popleft()
            # No room for it: it stays as it is, and is tried again with the next recording.
            with suppress(OSError):
                compress(path)
        # All may be gone. The age of a file is by the system's own clock.
        with suppress(OSError, RecordingError):
            forget(self.folder, self._max_bytes, self._max_age_s, time.time())

    def _release(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
        os.close(self._folder_file)
