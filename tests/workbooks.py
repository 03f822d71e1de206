"""What tests of workbooks share: cells changed in a file, and a minimal .xlsb written by its published record layout.

No free program writes .xlsb, so the tests make their own: numbers, texts and defined names, a few records each, after
[MS-XLSB] 2.1.7 (parts), 2.2.1 (cells), 2.3 (records).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import openpyxl

from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.open import Workbook

RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
ERROR_CODES = {"#DIV/0!": 0x07, "#VALUE!": 0x0F, "#REF!": 0x17, "#NAME?": 0x1D, "#NUM!": 0x24, "#N/A": 0x2A}
EXCEL = "application/vnd.ms-excel"


def set_cell(path: Path, address: str, value) -> None:
    """Change one cell (`tab!C5`) of an .xlsx with openpyxl, as a script of a user would."""
    set_cells(path, {address: value})


def set_cells(path: Path, values: Mapping[str, object]) -> None:
    book = openpyxl.load_workbook(path)
    for address, value in values.items():
        tab, _, cell = address.rpartition("!")
        book[tab.strip("'")][cell] = value
    book.save(path)


def areas_of(path: Path) -> dict[str, tuple[Area, ...]]:
    return Workbook(path).names


def contents(path: Path) -> dict[str, list[list]]:
    """Every tab's cells as calamine reads them, from A1 on."""
    import python_calamine

    book = python_calamine.CalamineWorkbook.from_path(path)
    return {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}


# ------------------------------------------------------------------------------------------------ xlsb


def record(kind: int, content: bytes = b"") -> bytes:
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, length = b"", len(content)
    while True:
        size += bytes([length & 0x7F | (0x80 if length >> 7 else 0)])
        length >>= 7
        if not length:
            return head + size + content


def wide(text: str) -> bytes:
    data = text.encode("utf-16-le")
    return struct.pack("<I", len(data) // 2) + data


def sheet_part(rows: list[list]) -> bytes:
    last = max(0, len(rows) - 1), max([len(row) - 1 for row in rows], default=0)
    size = record(148, struct.pack("<IIII", 0, last[0], 0, last[1]))  # BrtWsDim
    out = [record(129), size, record(145)]  # BrtBeginSheet, BrtBeginSheetData
    for number, row in enumerate(rows):
        out.append(record(0, struct.pack("<IIHHBI", number, 0, 300, 0, 0, 0)))  # BrtRowHdr
        for column, value in enumerate(row):
            head = struct.pack("<II", column, 0)
            if isinstance(value, bool):
                out.append(record(4, head + bytes([value])))  # BrtCellBool
            elif value in ERROR_CODES:
                out.append(record(3, head + bytes([ERROR_CODES[value]])))  # BrtCellError
            elif isinstance(value, int | float):
                out.append(record(5, head + struct.pack("<d", value)))  # BrtCellReal
            elif isinstance(value, str) and value:
                out.append(record(6, head + wide(value)))  # BrtCellSt
    return b"".join([*out, record(146), record(130)])


def workbook_part(tabs: list[str], names: Mapping[str, tuple[Area, ...]]) -> bytes:
    sheets = [
        record(156, struct.pack("<II", 0, number) + wide(f"rId{number}") + wide(tab))  # BrtBundleSh
        for number, tab in enumerate(tabs, start=1)
    ]
    extern = b"".join(struct.pack("<Iii", 0, number, number) for number in range(len(tabs)))
    defined = [record(39, struct.pack("<IBI", 0, 0, 0xFFFFFFFF) + wide(n) + formula(a, tabs)) for n, a in names.items()]
    links = [record(353), record(357), record(362, struct.pack("<I", len(tabs)) + extern), record(354)]
    return b"".join([record(131), record(143), *sheets, record(144), *links, *defined, record(132)])


def formula(areas: tuple[Area, ...], tabs: list[str]) -> bytes:
    """A defined name's formula: area after area, a union token after each but the first, and no extra data."""
    tokens = b""
    for number, area in enumerate(areas):
        last = area.row + area.rows - 1, area.column + area.columns - 1
        place = struct.pack("<HIIHH", tabs.index(area.tab), area.row, last[0], area.column, last[1])
        tokens += bytes([0x3B]) + place + (bytes([0x10]) if number else b"")
    return struct.pack("<I", len(tokens)) + tokens + struct.pack("<I", 0)


def write_xlsb(path: Path, tabs: Mapping[str, list[list]], names: Mapping[str, tuple[Area, ...]]) -> Path:
    """A workbook of these cells with these defined names."""
    order = list(tabs)
    parts = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.bin" ContentType="{EXCEL}.worksheet"/>'
        for n in range(1, len(order) + 1)
    )
    relations = "".join(
        f'<Relationship Id="rId{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.bin"/>'
        for n in range(1, len(order) + 1)
    )
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'{head}<Types xmlns="{TYPES}"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.bin" ContentType="{EXCEL}.sheet.binary.macroEnabled.main"/>'
            f"{parts}</Types>",
        )
        archive.writestr(
            "_rels/.rels",
            f'{head}<Relationships xmlns="{RELATIONS}"><Relationship Id="rId1" Type="{OFFICE}/officeDocument" '
            'Target="xl/workbook.bin"/></Relationships>',
        )
        archive.writestr(
            "xl/_rels/workbook.bin.rels", f'{head}<Relationships xmlns="{RELATIONS}">{relations}</Relationships>'
        )
        archive.writestr("xl/workbook.bin", workbook_part(order, names))
        for number, tab in enumerate(order, start=1):
            archive.writestr(f"xl/worksheets/sheet{number}.bin", sheet_part(tabs[tab]))
    return path


class InMemory(Workbook):
    """A workbook that was never a file: its tabs as they would be read."""

    def __init__(self, tabs):
        self.path, self.tabs, self._held = Path("in memory"), list(tabs), tabs

    def tab(self, name):
        return self._held[name]
