"""Export: a folder with one file a table, and files that say what they hold and where it comes from.

All files take their places together, or none does. `chaosnb.store.package.load` reads any export back.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from chaosnb.errors import ExportError
from chaosnb.protocol.schema import TableSchema
from chaosnb.store.arrow import slices
from chaosnb.store.citation import cited
from chaosnb.store.content import SCHEMAS, Content
from chaosnb.store.description import BESIDE, DESCRIPTION, WrittenFile, describe
from chaosnb.store.formats import FORMATS, Format, require
from chaosnb.store.segments import is_recording
from chaosnb.store.staging import described, staged
from chaosnb.store.textform import defused

__all__ = ["check_folder", "export_content", "sha256_of", "told"]

_SHOWN_AFTER_S: Final = 2.0


def export_content(
    content: Content, folder: Path, *, format: str, defuse_formulas: bool = True, quiet: bool = False
) -> Path:
    """Write each table of a capture to a file in a folder, and describe them.

    Parameters
    ----------
    content : Content
    folder : Path
        Made if it does not exist; an earlier export in it is replaced.
    format : {"parquet", "feather", "csv", "jsonl", "xlsx", "duckdb"}
    defuse_formulas : bool
        Whether CSV gets a ``'`` before text that a spreadsheet would take for a formula.
    quiet : bool
        Whether to show no progress bar.

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
    how = require(format)
    check_folder(folder, how)
    is_defused = format == "csv" and defuse_formulas
    step = [str(folder)]
    try:
        _check_room(content, how)
        with staged(folder, DESCRIPTION) as part:
            with told("export", content.rows, quiet=quiet) as advance, how.writer(part) as write:
                for schema, table in content.tables():
                    step[0] = schema.name
                    write(schema, _pieces(table, schema, advance, is_defused=is_defused))
            step[0] = DESCRIPTION
            texts = describe(
                content, cited(content), _files(content, part, how), format=format, defused=is_defused
            )
            for name, text in texts.items():
                (part / name).write_text(text, encoding="utf-8", newline="\n")
            step[0] = str(folder)
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(step[0], _reason(error)) from error
    return folder


def check_folder(folder: Path, how: Format) -> None:
    """Raise unless an export in this format can be made in a folder, as far as what is there tells.

    Raises
    ------
    ValueError
        If it looks like the name of a file.
    ExportError
        If it is a recording, or holds somebody else's file of a name that an export would take.
    """
    if folder.suffix.lstrip(".") in FORMATS:
        raise ValueError(
            f"{str(folder)!r} looks like a file, but an export is a folder with a file a table: name a "
            "folder, and the format by format=. For one table there is pandas, with to_csv() and its like"
        )
    if is_recording(folder):
        raise ExportError(
            str(folder), "this folder is a recording, which is to stay as it is; choose another folder"
        )
    if described(folder / DESCRIPTION):
        return
    try:
        taken = [name for name in (*_names(how), *BESIDE) if (folder / name).exists()]
    except OSError as error:
        raise ExportError(str(folder), _reason(error)) from error
    if taken:
        raise ExportError(
            str(folder), f"there is a {taken[0]} in it that is not of an export; choose another folder"
        )


@contextmanager
def told(what: str, rows: int, *, quiet: bool) -> Iterator[Callable[[int], object]]:
    """Give what counts rows that are done with, in a bar where it takes over two seconds."""
    if quiet:
        yield lambda count: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=rows, unit=" rows", unit_scale=True, desc=what, delay=_SHOWN_AFTER_S) as bar:
        yield bar.update


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pieces(
    table: Any, schema: TableSchema, advance: Callable[[int], object], *, is_defused: bool
) -> Iterator[Any]:
    for piece in slices(table):
        yield defused(piece, schema) if is_defused else piece
        advance(piece.num_rows)


def _check_room(content: Content, how: Format) -> None:
    """Raise where a table has too many rows, before anything is written."""
    for name, frame in content.frames.items():
        if how.most_rows is not None and len(frame) > how.most_rows:
            raise ExportError(
                name,
                f"its {len(frame):,} rows are more than the {how.most_rows:,} that fit into a worksheet; "
                "choose another format, such as parquet or csv",
            )


def _names(how: Format) -> list[str]:
    """Return the files of an export's tables."""
    return sorted({how.file.format(table) for table in SCHEMAS})


def _files(content: Content, part: Path, how: Format) -> list[WrittenFile]:
    tables: dict[str, list[str]] = {}
    for name in content.frames:
        tables.setdefault(how.file.format(name), []).append(name)
    return [
        WrittenFile(file, (part / file).stat().st_size, sha256_of(part / file), tuple(names))
        for file, names in tables.items()
    ]


def _reason(error: Exception) -> str:
    # Some libraries raise errors of their own with the system's words in them.
    full = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]
    if (words := next((words for words in full if words in str(error)), None)) is not None:
        return f"{words}; make room there, or export to a folder on another disk"
    if not isinstance(error, OSError) or error.errno is None:
        return f"{type(error).__name__}: {error}"
    return f"{os.strerror(error.errno)}; export to a folder that you may write to"
