"""Staging: a folder's new files are written apart, and take their places together or not at all.

A folder that is not there yet appears whole, by one renaming. In one that is there, with an earlier export
and whatever else, the new files first lie complete in a folder within it, and are then moved, each into its
place; where a process is killed amid that, the next one that looks goes on with it (`settle`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from chaosnb.store.content import SCHEMAS
from chaosnb.store.formats import FORMATS
from chaosnb.store.scratch import bring_to_disk, scratch

__all__ = ["described", "settle", "staged"]

_UNFINISHED: Final = ".unfinished-"
_FINISHED: Final = ".finished-export"


@contextmanager
def staged(folder: Path, description: str) -> Iterator[Path]:
    """Give a folder to write into, whose files become those of `folder` unless there is an error.

    Parameters
    ----------
    folder : Path
        Made if it does not exist. The files that its `description` names give way, all else stays.
    description : str
        The name of the file that says which files belong together; it takes its place last.
    """
    folder = folder.resolve()
    settle(folder, description)
    is_new = not folder.exists()
    home = folder.parent if is_new else folder
    prefix = f".{folder.name}{_UNFINISHED}" if is_new else _UNFINISHED
    with scratch(home, prefix) as part:
        yield part
        bring_to_disk(*part.iterdir(), part)
        part.rename(folder if is_new else folder / _FINISHED)
        settle(folder, description)
        bring_to_disk(home)


def settle(folder: Path, description: str) -> None:
    """Move the files of an export that was complete when its process was killed into their places."""
    finished = folder / _FINISHED
    if not finished.is_dir():
        return
    new = described(finished / description)
    # Another process may be about the same; what one does not find, the other has moved.
    for path in sorted(finished.iterdir()):
        if path.name != description:
            with suppress(FileNotFoundError):
                path.replace(folder / path.name)
    # Last comes the description: until then it is the earlier one, and says what is to go.
    with suppress(FileNotFoundError):
        if (finished / description).exists():
            for stale in described(folder / description) - new:
                (folder / stale).unlink(missing_ok=True)
            (finished / description).replace(folder / description)
        finished.rmdir()


def described(path: Path) -> set[str]:
    """Return the files that a description of ours names; none where it is of somebody else, or not there."""
    try:
        package = json.loads(path.read_text(encoding="utf-8"))
        named = {Path(resource["path"]).name for resource in package["resources"] if "chaosnb" in package}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return set()
    # Somebody else's description must not have other files removed.
    return named & {how.file.format(table) for how in FORMATS.values() for table in SCHEMAS}
