"""The report as a notebook: the same figures, each made by a cell from an export that stands beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from chaosnb.reporting.facts import Facts
from chaosnb.reporting.outline import NAMES, TRUST, Exhibit, Note, Section, outline
from chaosnb.text import printable

__all__ = ["notebook"]

_LANGUAGE: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook(facts: Facts, *, folder: str, checksum: str) -> str:
    """Return a report as a notebook in JSON, without outputs.

    Parameters
    ----------
    facts : Facts
    folder : str
        Where the export is, seen from the notebook.
    checksum : str
        Of the export's tables, which the notebook holds it against.
    """
    cells = [
        {**cell, "id": f"cell-{number}", "metadata": {}}
        for number, cell in enumerate(_cells(facts, folder, checksum), 1)
    ]
    whole = {"cells": cells, "metadata": _LANGUAGE, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1) + "\n"


def _cells(facts: Facts, folder: str, checksum: str) -> Iterator[dict[str, Any]]:
    simulated = ["**Simulated data.**"] * facts.simulated
    yield _words(f"# {_plain(facts.title)}", *simulated, *map(_plain, facts.about))
    yield _words("Run all cells: each number and figure is made from the export that this notebook loads.")
    short = ", ".join(NAMES)
    tables = ", ".join(f"capture.{table}" for table in NAMES.values())
    yield _code(
        "import chaosnb",
        "from chaosnb import analysis, figures",
        "from chaosnb.reporting import quality, shown",
        "",
        f"capture = chaosnb.load({folder!r})",
        f"assert capture.checksum == {checksum!r}, 'this is not the data that the report was made of'",
        f"{short} = (",
        f"    {tables}",
        ")",
        "gaps = capture.gaps",
        "tables = {name: table for name, table in capture.frames().items() if len(table)}",
    )
    yield _words(f"## {TRUST.heading}")
    yield _code("trust = quality(capture)", "trust")
    yield from map(_part, TRUST.parts)
    for heading in facts.trust.ledgers:
        yield _words(f"### {heading}")
        yield _code(f"shown(trust.ledgers[{heading!r}])")
    for section in outline(facts.named, facts.fresh_s):
        yield from _section(section)


def _section(section: Section) -> Iterator[dict[str, Any]]:
    yield _words(f"## {section.heading}")
    for part in section.parts:
        if isinstance(part, Exhibit) and part.title:
            yield _words(f"### {part.title}")
        yield _part(part)


def _part(part: Exhibit | Note) -> dict[str, Any]:
    if isinstance(part, Note):
        return _words(part.text)
    return _code(f"shown({part.code})" if part.title else part.code)


def _words(*paragraphs: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": "\n\n".join(paragraphs)}


def _code(*lines: str) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "outputs": [], "source": "\n".join(lines)}


def _plain(text: str) -> str:
    """Return foreign text as Markdown in which nothing is markup, nor a link, nor a formula."""
    return "".join(char if char.isalnum() or char == " " else f"&#{ord(char)};" for char in printable(text))
