"""Export: a folder with one file a table, and a ``datapackage.json`` that says what they hold.

A file takes its name only when it is complete. Text that a spreadsheet would take for a formula gets a
leading ``'`` in CSV, as OWASP recommends ("CSV Injection"); the other formats keep it as it is.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from chaosnb.errors import ExportError
from chaosnb.protocol.schema import TABLES

__all__ = ["FORMATS", "export_frames"]

_FORMULA_STARTS: Final = r"^\s*[=+\-@\t\r\n]"
_FIELD_TYPES: Final = {
    "time": "datetime",
    "integer": "integer",
    "number": "number",
    "duration": "number",
    "texts": "array",
    "records": "array",
}


def export_frames(
    frames: Mapping[str, pd.DataFrame], folder: Path, *, format: str, source: Mapping[str, Any]
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(str(folder), f"{error}") from error
    for name, frame in frames.items():
        _write(name, folder / f"{name}.{format}", lambda path, frame=frame: FORMATS[format](frame, path))  # type: ignore[misc]
    package = {
        "name": "chaosnb-export",
        "chaosnb": dict(source),
        "resources": [_resource(name, frame, format) for name, frame in frames.items()],
    }
    text = json.dumps(package, indent=2, ensure_ascii=False) + "\n"
    _write(
        "datapackage.json", folder / "datapackage.json", lambda path: path.write_text(text, encoding="utf-8")
    )
    for stale in earlier - _files_of(folder):
        (folder / stale).unlink(missing_ok=True)
    return folder


def _write(table: str, target: Path, write: Callable[[Path], Any]) -> None:
    unfinished = target.with_name(f".{target.name}.part")
    try:
        write(unfinished)
        unfinished.replace(target)
    except Exception as error:
        unfinished.unlink(missing_ok=True)
        raise ExportError(table, f"{type(error).__name__}: {error}") from error


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
        column = plain[name]
        if _is_list(column):
            plain[name] = column.map(lambda value: json.dumps(value, ensure_ascii=False))
        elif not pd.api.types.is_numeric_dtype(column.dtype) and not isinstance(
            column.dtype, pd.DatetimeTZDtype
        ):
            text = column.astype("str")
            plain[name] = text.where(~text.str.contains(_FORMULA_STARTS, na=False), "'" + text)
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
