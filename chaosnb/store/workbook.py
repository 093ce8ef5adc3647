"""Excel workbooks: a sheet with the table, in which no text is a formula, and nothing is rounded.

A cell is a number or a date where that is the value exactly, else text. Text that is too long for a cell goes
on in the sheet ``continued``: row, column, text.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pyarrow as pa

from chaosnb.protocol.schema import Column, TableSchema
from chaosnb.store.arrow import NUMBERS, arrow_type
from chaosnb.store.textform import from_text, text_form

__all__ = ["MOST_ROWS", "read_workbook", "write_workbook"]

MOST_ROWS: Final = 2**20 - 1
"""A worksheet has no more rows, besides that with the columns' names."""

_EXACT: Final = 2**53
_DAY_US: Final = 86_400_000_000
# Day 0 is 1899-12-30. Excel takes 1900 for a leap year, so that dates before its March differ by a day.
_DAY_0_US: Final = -25_569 * _DAY_US
_FIRST_DAY: Final = 61
# A cell holds 32,767 units of UTF-16, and a character is one or two.
_PIECES: Final = re.compile("(?s).{1,16000}")
_ESCAPED: Final = re.compile("_x([0-9A-Fa-f]{4})_")
_TO_ESCAPE: Final = re.compile("_(?=x[0-9A-Fa-f]{4}_)|[\0-\x08\x0b-\x1f\ufffe\uffff]")
_TAG: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


class _Digits(float):
    """A number that is written with all its digits, where XlsxWriter asks for sixteen of seventeen."""

    def __format__(self, spec: str) -> str:
        return repr(float(self))


class _Cell(NamedTuple):
    text: str
    is_number: bool = False


def write_workbook(path: Path, schema: TableSchema, tables: Iterable[Any]) -> None:
    """Write a table, given in slices, of at most `MOST_ROWS` rows."""
    import xlsxwriter

    kind = _sheet_class()
    # Where a disk is full, an archive that is being written there complains of it once more when it goes.
    archive = io.BytesIO()
    with xlsxwriter.Workbook(archive, {**_OPTIONS, "tmpdir": str(path.parent)}) as book:
        sheet = book.add_worksheet("data", worksheet_class=kind)
        bold, date = (
            book.add_format({"bold": True}),
            book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"}),
        )
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(schema.columns):
            sheet.set_column(place, place, 24 if column.kind == "time" else 16)
            sheet.write_string(0, place, column.name, bold)
        formats = [date if column.kind == "time" else None for column in schema.columns]
        continued: list[tuple[int, str, str]] = []
        for row, values in enumerate(_values(schema, tables), 1):
            for place, value in enumerate(values):
                if isinstance(value, str):
                    first, *others = _PIECES.findall(value) or [""]
                    sheet.write_string(row, place, first)
                    continued += [(row, schema.columns[place].name, piece) for piece in others]
                elif value is not None:
                    sheet.write_number(row, place, value, formats[place])
        if continued:
            sheet = book.add_worksheet("continued", worksheet_class=kind)
            for place, name in enumerate(("row", "column", "text")):
                sheet.write_string(0, place, name, bold)
            for number, (row, name, piece) in enumerate(continued, 1):
                sheet.write_number(number, 0, row)
                sheet.write_string(number, 1, name)
                sheet.write_string(number, 2, piece)
    path.write_bytes(archive.getbuffer())


def read_workbook(path: Path, schema: TableSchema) -> Any:
    """Read what `write_workbook` wrote."""
    columns: list[list[_Cell | None]] = [[] for _ in schema.columns]
    places = {column.name: place for place, column in enumerate(schema.columns)}
    with zipfile.ZipFile(path) as archive:
        for cells in _rows(archive, "xl/worksheets/sheet1.xml"):
            for place, column in enumerate(columns):
                column.append(cells.get(place))
        if "xl/worksheets/sheet2.xml" in archive.namelist():
            for cells in _rows(archive, "xl/worksheets/sheet2.xml"):
                column, row = columns[places[cells[1].text]], int(cells[0].text) - 1
                column[row] = _Cell((column[row] or _Cell("")).text + cells[2].text)
    arrays = {c.name: _array(cells, c) for c, cells in zip(schema.columns, columns, strict=True)}
    return from_text(arrays, schema)


def _values(schema: TableSchema, tables: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Give the rows: numbers, text, and None where there is no value."""
    for table in tables:
        text = text_form(table, schema)
        columns = []
        for column in schema.columns:
            values = text[column.name].to_pylist()
            if column.kind == "time":
                at_us = table[column.name].cast(pa.int64()).to_pylist()
                values = [said and (_days(us) or said) for us, said in zip(at_us, values, strict=True)]
            elif column.kind == "integer":
                values = [value if abs(value) <= _EXACT else str(value) for value in values]
            elif column.kind in NUMBERS:
                values = [None if value is None else _Digits(value) for value in values]
            columns.append(values)
        yield from zip(*columns, strict=True)


def _days(at_us: int) -> float | None:
    """Return a time as Excel's days, if that is exact."""
    days = _Digits((at_us - _DAY_0_US) / _DAY_US)
    return days if days >= _FIRST_DAY and _microseconds(days) == at_us else None


def _microseconds(days: float) -> int:
    whole = int(days)
    # Apart, since so large a number has no microseconds to spare.
    return _DAY_0_US + whole * _DAY_US + round((days - whole) * _DAY_US)


def _sheet_class() -> Any:
    """Return a worksheet that escapes text so that it reads back.

    XlsxWriter escapes only every other one of what looks like escapes that share a line below, and puts what
    looks like XML of its own into the file as it is.
    """
    from xlsxwriter.worksheet import Worksheet

    class Sheet(Worksheet):  # type: ignore[misc, unused-ignore]
        @staticmethod
        def _escape_control_characters(data: Any) -> Any:
            if not isinstance(data, str):
                return data
            text = _TO_ESCAPE.sub(lambda match: f"_x{ord(match[0]):04X}_", data)
            is_taken_for_xml = text.startswith("<r>") and text.endswith("</r>")
            return f'<r><t xml:space="preserve">{escape(text)}</t></r>' if is_taken_for_xml else text

    return Sheet


def _rows(archive: zipfile.ZipFile, name: str) -> Iterator[dict[int, _Cell]]:
    """Give the rows of a worksheet but the first: cells by place."""
    with archive.open(name) as file:
        sheet = None
        for event, element in ElementTree.iterparse(file, ("start", "end")):
            if element.tag == f"{_TAG}sheetData":
                sheet = element
            elif event == "end" and element.tag == f"{_TAG}row" and sheet is not None:
                if element.get("r") != "1":
                    yield {_place(cell.attrib["r"]): _cell(cell) for cell in element}
                sheet.clear()


def _cell(cell: ElementTree.Element) -> _Cell:
    if cell.get("t") != "inlineStr":
        return _Cell(cell.findtext(f"{_TAG}v") or "", is_number=True)
    text = "".join(part.text or "" for part in cell.iter(f"{_TAG}t"))
    return _Cell(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), text))


def _place(name: str) -> int:
    """Return the place of a cell in its row by its name, such as ``AB12``."""
    number = 0
    for letter in name.rstrip("0123456789"):
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _array(cells: list[_Cell | None], column: Column) -> Any:
    if column.kind == "time":
        return pa.array([cell and _moment(cell) for cell in cells], arrow_type(column))
    if column.kind in NUMBERS:
        read = int if column.kind == "integer" else float
        return pa.array([None if cell is None else read(cell.text) for cell in cells], arrow_type(column))
    return pa.array([None if cell is None else cell.text for cell in cells], pa.large_string())


def _moment(cell: _Cell) -> int:
    if cell.is_number:
        return _microseconds(float(cell.text))
    moment: int = pa.scalar(cell.text).cast(pa.timestamp("us", "UTC")).value
    return moment
