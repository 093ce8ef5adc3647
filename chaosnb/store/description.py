"""What stands beside the tables of an export: ``datapackage.json``, ``croissant.json``, ``CITATION.cff``.

The first is a Data Package (Frictionless) with each column's meaning and unit; what it has no word for stands
under ``chaosnb``, and is what `chaosnb.load` reads. The second is Croissant, for catalogues of data sets.
Nothing in them tells when or where they were written, so that the same capture gives the same files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import pandas as pd
from msgspec import Struct

from chaosnb.protocol.schema import Column, TableSchema
from chaosnb.store.arrow import LISTS, categories_of
from chaosnb.store.citation import Citation
from chaosnb.store.content import SCHEMAS, Content, versions
from chaosnb.store.formats import FORMATS

__all__ = ["BESIDE", "DESCRIPTION", "FORM", "WrittenFile", "describe"]

DESCRIPTION: Final = "datapackage.json"
_CITATION: Final = "CITATION.cff"
_CROISSANT: Final = "croissant.json"
BESIDE: Final = (_CITATION, _CROISSANT, DESCRIPTION)
"""The files beside the tables."""
"""The file that makes a folder an export."""
FORM: Final = "chaosnb-export-1"
"""What an export says of its own form."""

_NO_LICENSE: Final = "No license is stated: ask who made the capture, and who runs the node."
_FIELD_TYPES: Final = {
    "time": "datetime",
    "integer": "integer",
    "number": "number",
    "duration": "number",
    "texts": "array",
    "integers": "array",
    "records": "array",
}
_CROISSANT_TYPES: Final = {
    "time": "sc:DateTime",
    "integer": "sc:Integer",
    "number": "sc:Float",
    "duration": "sc:Float",
}
# What Croissant reads as tables; the others are files to it.
_TABULAR: Final = ("parquet", "csv", "jsonl")
_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


class WrittenFile(Struct, frozen=True):
    """A file of the export: its name, size in bytes, SHA-256 as hex digits, and the tables in it."""

    name: str
    size: int
    sha256: str
    tables: tuple[str, ...]


def describe(
    content: Content, citation: Citation, files: Sequence[WrittenFile], *, format: str, defused: bool
) -> dict[str, str]:
    """Return the text of each descriptive file by name.

    Parameters
    ----------
    content : Content
    citation : Citation
    files : sequence of WrittenFile
    format : str
    defused : bool
        Whether formulas have a ``'`` before them.
    """
    return {
        _CITATION: citation.cff,
        _CROISSANT: _text(_croissant(content, citation, files, format)),
        DESCRIPTION: _text(_package(content, citation, files, format, defused)),
    }


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _package(
    content: Content, citation: Citation, files: Sequence[WrittenFile], format: str, defused: bool
) -> dict[str, Any]:
    about = {
        "form": FORM,
        "format": format,
        "source": content.source,
        "simulated": content.simulated,
        "topics": content.topics,
        "received": content.received,
        "happened": content.happened,
        "newest_s": content.newest_s,
        "counts": msgspec.to_builtins(content.counts),
        "credits": msgspec.to_builtins(content.credits),
        "checksum": f"sha256:{content.checksum}",
        "versions": versions(),
        "formulas": "defused by a leading '" if defused else "as they are",
        "tables": {
            name: _about_table(name, content.frames[name], is_alone=len(file.tables) == 1)
            for file in files
            for name in file.tables
        },
    }
    package: dict[str, Any] = {
        "name": _name(content),
        "title": citation.title,
        "description": citation.note,
        **({"created": f"{citation.date}T00:00:00Z"} if citation.date else {}),
        "contributors": [{"title": author, "role": "author"} for author in citation.authors],
        "sources": [{"title": content.source}],
        "keywords": ["ChaosChain", *(["simulated"] if content.simulated else [])],
    }
    if citation.license is not None:
        package["licenses"] = [{"path" if "://" in citation.license else "name": citation.license}]
    package["resources"] = [_resource(file, content, format) for file in files]
    return {**package, "chaosnb": about}


def _name(content: Content) -> str:
    return f"chaosnb-{content.checksum[:12]}"


def _about_table(name: str, frame: pd.DataFrame, *, is_alone: bool) -> dict[str, Any]:
    about = {"rows": len(frame), "categories": categories_of(frame, SCHEMAS[name])}
    # A file with several tables is one resource, which has room for one schema.
    return about if is_alone else {**about, "schema": _schema(SCHEMAS[name])}


def _resource(file: WrittenFile, content: Content, format: str) -> dict[str, Any]:
    about = {
        "description": _said(file),
        "path": file.name,
        "format": format,
        "mediatype": FORMATS[format].mediatype,
        "bytes": file.size,
        "hash": f"sha256:{file.sha256}",
    }
    if len(file.tables) > 1:
        return {"name": file.name.partition(".")[0], "type": "file", **about}
    (name,) = file.tables
    rows = len(content.frames[name])
    resource = {"name": name, **about, "schema": _schema(SCHEMAS[name])}
    if format == "csv":
        resource |= {"encoding": "utf-8", "dialect": {"csv": {"delimiter": ",", "quoteChar": '"'}}}
    # Frictionless reads no table but text, nor any from an empty file.
    is_read = format == "csv" or (format == "jsonl" and rows > 0)
    return {**resource, **({"type": "table", "rows": rows} if is_read else {"type": "file"})}


def _said(file: WrittenFile) -> str:
    """Return what is in a file, and of several tables what is in which."""
    if len(file.tables) == 1:
        return SCHEMAS[file.tables[0]].description
    return " ".join(f"{name}: {SCHEMAS[name].description}" for name in file.tables)


def _schema(schema: TableSchema) -> dict[str, Any]:
    return {"fields": [_field(column) for column in schema.columns], "missingValues": [""]}


def _field(column: Column) -> dict[str, Any]:
    field = {
        "name": column.name,
        "type": _FIELD_TYPES.get(column.kind, "string"),
        "description": column.description,
    }
    return {**field, "unit": column.unit} if column.unit else field


def _croissant(
    content: Content, citation: Citation, files: Sequence[WrittenFile], format: str
) -> dict[str, Any]:
    # The agents are what made data that nobody has put a name to.
    creator = "sc:Person" if content.credits.authors else "sc:Organization"
    tables = [file for file in files if format in _TABULAR and len(content.frames[file.tables[0]])]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": _name(content),
        "description": f"{citation.title}. {citation.note}",
        "url": f"urn:sha256:{content.checksum}",
        "version": "1.0.0",
        "license": citation.license or _NO_LICENSE,
        "creator": [{"@type": creator, "name": author} for author in citation.authors],
        **({"datePublished": citation.date} if citation.date else {}),
        "citeAs": citation.bibtex,
        "keywords": ["ChaosChain", *(["simulated"] if content.simulated else [])],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file.name,
                "name": file.name,
                "description": _said(file),
                "contentUrl": file.name,
                "contentSize": f"{file.size} B",
                "encodingFormat": FORMATS[format].mediatype,
                "sha256": file.sha256,
            }
            for file in files
        ],
        "recordSet": [
            _record_set(SCHEMAS[file.tables[0]], file.name, lists_as_text=format == "csv") for file in tables
        ],
    }


def _record_set(schema: TableSchema, file: str, *, lists_as_text: bool) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": schema.name,
        "name": schema.name,
        "description": schema.description,
        "field": [
            _record_field(f"{schema.name}/{column.name}", column, file, lists_as_text=lists_as_text)
            for column in schema.columns
        ],
    }


def _record_field(id: str, column: Column, file: str, *, lists_as_text: bool) -> dict[str, Any]:
    source = {"fileObject": {"@id": file}, "extract": {"column": column.name}}
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": id,
        "name": column.name,
        "description": column.description + (f" ({column.unit})" if column.unit else ""),
    }
    if column.kind not in LISTS or lists_as_text:
        return {**field, "dataType": _CROISSANT_TYPES.get(column.kind, "sc:Text"), "source": source}
    if column.kind != "records":
        item = "sc:Integer" if column.kind == "integers" else "sc:Text"
        return {**field, "dataType": item, "repeated": True, "source": source}
    parts = [
        {
            "@type": "cr:Field",
            "@id": f"{id}/{name}",
            "name": name,
            "dataType": "sc:Text",
            "source": {**source, "transform": {"jsonPath": name}},
        }
        for name in column.fields
    ]
    return {**field, "repeated": True, "subField": parts}
