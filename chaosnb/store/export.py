r"""Export: a folder with one file a table, and a ``datapackage.json`` that says what they hold.

No file takes its name before all are complete. Text that a spreadsheet would take for a formula gets a
leading ``'`` in CSV, as OWASP recommends ("CSV Injection"); the other formats keep it as it is. Where quotes
stand before the formula already there is one more, so that taking one away gives every text back as it was::

    column.str.replace(chaosnb.store.export.DEFUSED, r"\1", regex=True)
"""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from chaosnb.errors import ExportError
from chaosnb.protocol.schema import TABLES

__all__ = ["DEFUSED", "FORMATS", "export_frames"]

# Blanks and what cannot be seen, which a spreadsheet may skip; and the signs in their wide forms, too.
_UNSEEN: Final = "[\0-\x20\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*"
_FORMULA: Final = f"'*(?:[\t\r\n]|{_UNSEEN}[=+\\-@＝＋－＠])"
_BEFORE_FORMULA: Final = f"^({_FORMULA})"
DEFUSED: Final = f"^'({_FORMULA})"
"""What was defused: a regular expression whose first group is the text without the quote put before it."""

# Fewer are written in less than two seconds.
_MANY_ROWS: Final = 100_000
_SHOWN_AFTER_S: Final = 1.0

_FIELD_TYPES: Final = {
    "time": "datetime",
    "integer": "integer",
    "number": "number",
    "duration": "number",
    "texts": "array",
    "records": "array",
}


def export_frames(
    frames: Mapping[str, pd.DataFrame],
    folder: Path,
    *,
    format: str,
    source: Mapping[str, Any],
    defuse_formulas: bool = True,
    quiet: bool = False,
) -> Path:
    """Write each frame to ``folder/NAME.format`` and describe them in ``folder/datapackage.json``.

    Parameters
    ----------
    frames : mapping of str to pandas.DataFrame
    folder : Path
        Made if it does not exist; an earlier export in it is replaced.
    format : {"parquet", "csv", "feather", "jsonl"}
    source : mapping
        Where the data comes from, as JSON values; stands in the description.
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
    ExportError
        If a table cannot be written.
    """
    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}; the formats are {', '.join(map(repr, FORMATS))}")
    if folder.suffix.lstrip(".") in FORMATS:
        raise ValueError(
            f"{str(folder)!r} looks like a file, but an export is a folder with a file a table: name a "
            "folder, and the format by format=. For one table use pandas: s.block_validation.to_csv(...)"
        )
    earlier = _files_of(folder)
    defused = format == "csv" and defuse_formulas
    package = {
        "name": "chaosnb-export",
        "chaosnb": {**source, **({"formulas": "defused by a leading '"} if defused else {})},
        "resources": [_resource(name, frame, format) for name, frame in frames.items()],
    }
    text = json.dumps(package, indent=2, ensure_ascii=False) + "\n"
    step = str(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Within the folder, so that the finished files need only be renamed; it goes whatever happens.
        with tempfile.TemporaryDirectory(
            prefix=".unfinished-", dir=folder, ignore_cleanup_errors=True
        ) as unfinished:
            for step, frame in _told(frames, quiet=quiet):
                FORMATS[format](_defused(frame) if defused else frame, Path(unfinished, f"{step}.{format}"))
            step = "datapackage"
            Path(unfinished, "datapackage.json").write_text(text, encoding="utf-8")
            # The description comes last: while it is the earlier one, so may some of the files be.
            for step in [*(f"{name}.{format}" for name in frames), "datapackage.json"]:
                Path(unfinished, step).replace(folder / step)
        for stale in earlier - _files_of(folder):
            (folder / stale).unlink(missing_ok=True)
    except Exception as error:
        raise ExportError(step, _reason(error)) from error
    return folder


def _told(frames: Mapping[str, pd.DataFrame], *, quiet: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    """Go through the frames, with a bar that counts their rows where these are so many that it takes long."""
    rows = sum(map(len, frames.values()))
    if quiet or rows < _MANY_ROWS:
        yield from frames.items()
        return
    from tqdm.auto import tqdm

    with tqdm(total=rows, unit=" rows", unit_scale=True, desc="export", delay=_SHOWN_AFTER_S) as bar:
        for name, frame in frames.items():
            yield name, frame
            bar.update(len(frame))


def _reason(error: Exception) -> str:
    if not isinstance(error, OSError) or error.errno is None:
        return f"{type(error).__name__}: {error}"
    words = os.strerror(error.errno)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{words}; make room there, or export to a folder on another disk"
    return f"{words}; export to a folder that you may write to"


def _files_of(folder: Path) -> set[str]:
    """Return the files of an export that lies in a folder, by its description."""
    try:
        package = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
        return {Path(resource["path"]).name for resource in package["resources"] if "chaosnb" in package}
    except (OSError, ValueError, LookupError, TypeError):
        return set()


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    pyarrow.parquet.write_table(_arrow_table(frame), path)


def _write_feather(frame: pd.DataFrame, path: Path) -> None:
    pyarrow.feather.write_feather(_arrow_table(frame), path)


def _write_jsonl(frame: pd.DataFrame, path: Path) -> None:
    _plain(frame).to_json(
        path, orient="records", lines=True, date_format="iso", date_unit="us", force_ascii=False
    )


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    plain = _plain(frame)
    for name in plain.columns:
        if _is_list(plain[name]):
            plain[name] = plain[name].map(lambda value: json.dumps(value, ensure_ascii=False))
    # Quoted in any case: a bare carriage return would end the row for some readers.
    plain.to_csv(path, index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ", quoting=csv.QUOTE_NONNUMERIC)


FORMATS: Final[dict[str, Callable[[pd.DataFrame, Path], None]]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "feather": _write_feather,
    "jsonl": _write_jsonl,
}
"""What writes each format."""


def _arrow_table(frame: pd.DataFrame) -> Any:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    about = json.loads(table.schema.metadata[b"pandas"])
    for column in about["columns"]:
        # pandas 3.1 cannot read back the name of a list dtype; without it the column comes as objects.
        if column["numpy_type"].endswith("[pyarrow]"):
            column["numpy_type"] = "object"
    return table.replace_schema_metadata(
        {b"pandas": json.dumps(about).encode(), b"PANDAS_ATTRS": json.dumps(frame.attrs).encode()}
    )


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its Arrow lists as Python lists, which text formats can write."""
    lists = {
        name: list(frame[name]) for name in frame.columns if isinstance(frame[name].dtype, pd.ArrowDtype)
    }
    return frame.assign(**{name: pd.Series(values, frame.index, object) for name, values in lists.items()})


def _defused(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with a quote before text that starts like a formula; lists start with a bracket."""
    before, texts = re.compile(_BEFORE_FORMULA), {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype):
            texts[str(name)] = column.astype("str").str.replace(before, r"'\1", regex=True)
        elif column.dtype == object:
            texts[str(name)] = column.map(lambda v: before.sub(r"'\1", v) if isinstance(v, str) else v)
    return frame.assign(**texts)


def _is_list(column: pd.Series[Any]) -> bool:
    return column.dtype == object and len(column) > 0 and isinstance(column.iloc[0], list)


def _resource(name: str, frame: pd.DataFrame, format: str) -> dict[str, Any]:
    resource: dict[str, Any] = {"name": name, "path": f"{name}.{format}", "rows": len(frame)}
    if name not in TABLES:
        return resource
    schema = TABLES[name]
    resource["description"] = schema.description
    resource["schema"] = {
        "fields": [
            {"name": c.name, "type": _FIELD_TYPES.get(c.kind, "string"), "description": c.description}
            | ({"unit": c.unit} if c.unit else {})
            for c in schema.columns
        ]
    }
    return resource
