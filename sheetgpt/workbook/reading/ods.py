"""The cells of a tab of an .ods as the file has them: numbers whatever their format, errors, formulas without values.

python-calamine makes dates of numbers that are displayed so, and fails beyond Python's calendar. The file's defined
names belong in `names`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO
from xml.parsers import expat

from sheetgpt.workbook.reading.serial import serial_in
from sheetgpt.workbook.reading.tab import UNSAVED, Cells

STRETCH = 1 << 20
SKIPPED = ("annotation", "shapes", "forms")  # what hangs on cells and tabs: notes, charts
ROW, CELL, COVERED, PARAGRAPH = "table-row", "table-cell", "covered-table-cell", "p"
BETWEEN = {"s": " ", "tab": "\t", "line-break": "\n"}  # what stands for white space in texts


def read_cells(part: IO[bytes], name: str) -> Cells:
    """The cells of the tab of this name."""
    sheet = Sheet(name)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = sheet.start, sheet.end
    parser.CharacterDataHandler = sheet.characters
    while not sheet.is_read and (chunk := part.read(STRETCH)):
        parser.Parse(chunk, False)
    return sheet.cells


class Sheet:
    """One tab's XML on its way into cells."""

    def __init__(self, name: str):
        self.cells, self.name, self.is_read = Cells(), name, False
        self._inside, self._skipped = False, 0
        self._row, self._rows, self._column, self._columns = 0, 1, 0, 1
        self._filled: list[tuple[int, object]] = []  # of the row: (column, value)
        self._cell: Mapping[str, str] = {}
        self._paragraphs: list[str] = []

    def start(self, tag: str, named: Mapping[str, str]) -> None:
        name = local(tag)
        attributes = {local(key): value for key, value in named.items() if not key.startswith(CALC)}
        if name == "table" and not self._skipped:
            self._inside = attributes.get("name") == self.name and not self.is_read
        if not self._inside:
            return
        if name in SKIPPED or self._skipped:
            self._skipped += name in SKIPPED
        elif name == ROW:
            self._rows, self._column = int(attributes.get("number-rows-repeated", 1)), 0
        elif name in (CELL, COVERED):
            self._columns = int(attributes.get("number-columns-repeated", 1))
            self._cell, self._paragraphs = attributes | error_type(named), []
        elif name == PARAGRAPH:
            self._paragraphs.append("")
        elif name in BETWEEN:
            self.characters(BETWEEN[name] * int(attributes.get("c", 1)))

    def end(self, tag: str) -> None:
        name = local(tag)
        if not self._inside:
            return
        if name in SKIPPED:
            self._skipped -= 1
        elif self._skipped:
            return
        elif name in (CELL, COVERED):
            value = value_of(self._cell, "\n".join(self._paragraphs))
            if value is not None and value != "":
                self._filled += [(self._column + i, value) for i in range(self._columns)]
            self._column += self._columns
        elif name == ROW:
            for row in range(self._row, self._row + self._rows * bool(self._filled)):
                for column, value in self._filled:
                    self.cells.put(row, column, value)
            self._row, self._filled = self._row + self._rows, []
        elif name == "table":
            self._inside, self.is_read = False, True

    def characters(self, text: str) -> None:
        if self._inside and not self._skipped and self._paragraphs:
            self._paragraphs[-1] += text


CALC = "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0 "  # LibreOffice's own
ERROR = "error"


def local(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition(" ")[2]


def error_type(named: Mapping[str, str]) -> dict[str, str]:
    """LibreOffice stores an error as a text and says so in an attribute of its own."""
    return {"value-type": ERROR} if named.get(f"{CALC}value-type") == ERROR else {}


def value_of(cell: Mapping[str, str], text: str) -> object:
    """What a cell holds, by its attributes and the text that it shows."""
    kind = cell.get("value-type")
    if kind in ("float", "percentage", "currency") and "value" in cell:
        return float(cell["value"])
    if kind == "boolean":
        return cell.get("boolean-value") == "true"
    if kind in ("date", "time"):
        said = cell.get(f"{kind}-value", "")
        number = serial_in(said)
        return said if number is None else number
    if kind is None and "formula" in cell and not text:
        return UNSAVED
    return cell.get("string-value") or text
