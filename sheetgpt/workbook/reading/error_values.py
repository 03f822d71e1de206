"""The error values of a tab, such as #DIV/0!, which calamine gives as blank cells: read from the file's own parts.

A tab is read for them only where someone asks what stands in its blank cells. Everything else belongs in `open`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree as ET
from zipfile import ZipFile

from xlsxwriter.utility import xl_cell_to_rowcol

from sheetgpt.workbook.reading.reach import sheet_part
from sheetgpt.workbook.reading.xlsb import records

ErrorValues = dict[tuple[int, int], str]  # (row, column) from A1 on -> as the cell shows it
STRETCH = 1 << 20
CODES = {0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
         0x2B: "#GETTING_DATA"}  # fmt: skip
ROW, CELL_ERROR, FORMULA_ERROR = 0, 3, 11  # records of an .xlsb's sheet, [MS-XLSB] 2.3.1
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
CALC_TYPE = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"


def error_values(path: Path, tab: str) -> ErrorValues:
    """The error values of one tab; none where the file is damaged or of another kind, as opening it says so better."""
    try:
        with ZipFile(path) as archive:
            if "content.xml" in archive.namelist():
                with archive.open("content.xml") as part:
                    return dict(in_ods(part, tab)) if mentions(part, b'value-type="error"') else {}
            name = sheet_part(archive, tab)
            if name.endswith(".bin"):
                return dict(in_xlsb(archive.read(name)))
            with archive.open(name) as part:
                return dict(in_xlsx(part)) if mentions(part, b't="e"', b"t='e'") else {}
    except Exception:  # noqa: BLE001 - as above
        return {}


def mentions(part: IO[bytes], *texts: bytes) -> bool:
    """Is one of these in it? It is read from its start, and stands there again."""
    end, found = b"", False
    while not found and (chunk := part.read(STRETCH)):
        found = any(text in end + chunk for text in texts)
        end = chunk[-max(map(len, texts)) :]
    part.seek(0)
    return found


def elements(part: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """("start" or "end", each element), what is done with being let go."""
    for event, element in ET.iterparse(part, ("start", "end")):  # noqa: S314 - expat refuses expanding entities
        yield event, element
        if event == "end" and local(element) in ("row", "table-row"):
            element.clear()


def local(element: Any) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def in_xlsx(part: IO[bytes]) -> Iterator[tuple[tuple[int, int], str]]:
    """subtle: rows and cells may come without their address, each then after the one before."""
    row, column = -1, -1
    for event, element in elements(part):
        kind = local(element)
        if event == "start" and kind == "row":
            row, column = int(element.get("r", row + 2)) - 1, -1
        elif event == "start" and kind == "c":
            row, column = xl_cell_to_rowcol(element.get("r")) if "r" in element.attrib else (row, column + 1)
        elif kind == "c" and element.get("t") == "e":
            yield (row, column), next((one.text or "" for one in element if local(one) == "v"), "")


def in_xlsb(part: bytes) -> Iterator[tuple[tuple[int, int], str]]:
    row = 0
    for kind, record in records(part):
        if kind == ROW:
            (row,) = struct.unpack_from("<I", record)
        elif kind in (CELL_ERROR, FORMULA_ERROR):
            (column,) = struct.unpack_from("<I", record)
            yield (row, column), CODES.get(record[8], "#UNKNOWN!")


def in_ods(part: IO[bytes], tab: str) -> Iterator[tuple[tuple[int, int], str]]:
    """subtle: a cell, or a row, may stand for many that are alike."""
    row, is_here = 0, False
    for event, element in elements(part):
        if element.tag == f"{TABLE}table":
            row, is_here = 0, event == "start" and element.get(f"{TABLE}name") == tab
        elif is_here and event == "end" and element.tag == f"{TABLE}table-row":
            rows = int(element.get(f"{TABLE}number-rows-repeated", 1))
            yield from ods_row(element, range(row, row + rows))
            row += rows


def ods_row(element: Any, rows: range) -> Iterator[tuple[tuple[int, int], str]]:
    column = 0
    for cell in element:
        count = int(cell.get(f"{TABLE}number-columns-repeated", 1))
        if cell.get(CALC_TYPE) == "error":
            text = "".join(cell.itertext())
            yield from (((row, column + i), text) for row in rows for i in range(count))
        column += count
