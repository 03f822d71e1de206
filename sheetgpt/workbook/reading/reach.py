"""How far a tab of a workbook reaches, found before it is read: calamine makes room for every cell up to the last one.

A number typed far out by mistake would take tens of gigabytes. The file tells where its last cell stands (.xlsx: the
element `dimension`; .xlsb: a record); where an .xlsx doesn't, or names a cell far out, its cells are asked.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import IO
from xml.etree import ElementTree as ET
from zipfile import ZipFile

from xlsxwriter.utility import xl_cell_to_rowcol

from sheetgpt.workbook.reading import xlsb
from sheetgpt.workbook.reading.names import workbook_part
from sheetgpt.workbook.reading.tab import MOST_CELLS, FarOutError

HEAD_BYTES = 1 << 16
STRETCH = 1 << 20
DIMENSION = re.compile(rb'<(?:\w+:)?dimension [^>]*?ref="(?:[A-Z]+\d+:)?([A-Z]+\d+)"')
FILLED_CELL = re.compile(rb'<(?:\w+:)?c r="([A-Z]+)(\d+)"[^>/]*>')
LONGEST_CELL = 200  # bytes of a cell's opening tag
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def require_room(path: Path, tab: str) -> tuple[int, int]:
    """(rows, columns) up to the tab's last cell, (0, 0) where that can't be told. Raises DumpError for too many."""
    try:
        with ZipFile(path) as archive, archive.open(sheet_part(archive, tab)) as part:
            rows, columns = reach(part)
    except Exception:  # noqa: BLE001 - it is no .xlsx or .xlsb, or damaged in any way: calamine says what is wrong
        return 0, 0
    if rows * columns > MOST_CELLS:
        raise FarOutError(rows, columns).refusal(f"{path}, tab {tab!r}")
    return rows, columns


def sheet_part(archive: ZipFile, tab: str) -> str:
    """The part of the file that holds a tab's cells. Raises KeyError where there is none."""
    book = workbook_part(archive)
    wanted = dict(sheet_relations(book, archive.read(book)))[tab]
    return next(part for key, _, part in relations(archive, book) if key == wanted)


def texts_part(archive: ZipFile) -> str | None:
    """The part that holds the texts that cells share; None where there is none."""
    found = relations(archive, workbook_part(archive))
    return next((part for _, kind, part in found if kind.endswith("/sharedStrings")), None)


def relations(archive: ZipFile, book: str) -> list[tuple[str, str, str]]:
    """(id, type, the part that it leads to) of each relation of the part that lists tabs and names."""
    place = PurePosixPath(book)
    found = ET.fromstring(archive.read(f"{place.parent}/_rels/{place.name}.rels"))  # noqa: S314 - see `names`
    targets = [(one.get("Id", ""), one.get("Type", ""), one.get("Target", "")) for one in found]
    return [
        (key, kind, target.removeprefix("/") if target.startswith("/") else str(place.parent / target))
        for key, kind, target in targets
    ]


def sheet_relations(book: str, content: bytes) -> list[tuple[str, str]]:
    """(each tab's name, the id of the relation that leads to its part)."""
    if book.endswith(".bin"):
        return xlsb.sheets(content)
    elements = ET.fromstring(content).iter()  # noqa: S314 - see `names`
    return [(one.get("name", ""), one.get(RELATION, "")) for one in elements if one.tag.endswith("}sheet")]


def reach(part: IO[bytes]) -> tuple[int, int]:
    """(rows, columns) up to a sheet's last cell."""
    head = part.read(HEAD_BYTES)
    if not head.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"<"):
        return xlsb.reach(head)
    found = DIMENSION.search(head)
    rows, columns = size_to(found[1]) if found else (0, 0)
    if 1 < rows * columns <= MOST_CELLS:  # some programs write A1, whatever they filled
        return rows, columns
    return reach_of_cells(head, part)


def reach_of_cells(text: bytes, part: IO[bytes]) -> tuple[int, int]:
    """The same by the filled cells themselves: some programs write a dimension as large as a sheet can be."""
    rows, letters = 0, b""
    while text:
        for found in FILLED_CELL.finditer(text):
            rows = max(rows, int(found[2]))
            letters = max(letters, found[1], key=lambda name: (len(name), name))
        chunk = part.read(STRETCH)
        text = text[-LONGEST_CELL:] + chunk if chunk else b""
    return size_to(letters + b"%d" % rows) if letters else (0, 0)


def size_to(last: bytes) -> tuple[int, int]:
    """(rows, columns) of the rectangle from A1 to a cell.

    >>> size_to(b"C5")
    (5, 3)
    """
    row, column = xl_cell_to_rowcol(last.decode())
    return row + 1, column + 1
