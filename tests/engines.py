"""Programs that recalculate a workbook, each as a function: the file in, its cells out as that program computes them.

A program that is missing is a skip here and a failure in CI, as everywhere (`conftest.program`).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from conftest import program, require
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.open import Workbook

Cells = Callable[[Area], list[list]]  # an area -> its numbers and texts


def of_file(path: Path) -> Cells:
    """The cells as a program has saved them."""
    book = Workbook(path)

    def cells(area: Area) -> list[list]:
        numbers, others = book.part([area])
        return [[others.get((i, j), number) for j, number in enumerate(row)] for i, row in enumerate(numbers.tolist())]

    return cells


def each(area: Area, value: Callable[[int, int], object]) -> list[list]:
    """Cell by cell; programs count from 1."""
    rows = range(area.row + 1, area.row + area.rows + 1)
    return [[value(row, area.column + 1 + j) for j in range(area.columns)] for row in rows]


def gnumeric(path: Path) -> Cells:
    ssconvert = program("ssconvert", "apt-get install gnumeric")
    made = path.with_name(f"{path.stem}.gnumeric.xlsx")
    subprocess.run([ssconvert, "--recalc", str(path), str(made)], check=True, capture_output=True, timeout=300)
    return of_file(made)


def ironcalc(path: Path) -> Cells:
    model = require("ironcalc", "test").load_from_xlsx(str(path))
    model.evaluate()
    tabs = [one["name"] for one in model.get_worksheets_properties()]
    return lambda area: each(area, lambda row, column: model.get_cell_value(tabs.index(area.tab), row, column))


def formualizer(path: Path) -> Cells:
    book = require("formualizer", "test").load_workbook(str(path))
    book.evaluate_all()
    return lambda area: each(area, lambda row, column: book.get_value(area.tab, row, column))


CACHED = re.compile(rb"</f><v[^>]*>[^<]*</v>")


def with_typed(path: Path, copy: Path, typed: Mapping[tuple[str, str], float | str | None]) -> Path:
    """A copy in which no formula has a value, so that whatever a program shows it has computed; with cells typed over.

    typed: (tab, address) -> a number, a text, or None for an empty cell. The address is in the file.
    """
    with ZipFile(path) as source, ZipFile(copy, "w", ZIP_DEFLATED, compresslevel=1) as target:
        files = dict(zip(Workbook(path).tabs, map("xl/worksheets/sheet{}.xml".format, range(1, 1000)), strict=False))
        for name in source.namelist():
            text = source.read(name)
            if name in files.values():
                text = CACHED.sub(b"</f>", text)
                for (tab, address), value in typed.items():
                    text = with_cell(text, address, value) if files[tab] == name else text
            target.writestr(name, text)
    return copy


def with_cell(sheet: bytes, address: str, value: float | str | None) -> bytes:
    """A sheet with one cell changed; where there is no such cell, none stands at the left of it in its row."""
    content, kind = "" if value is None else f"<v>{value!r}</v>", ""
    if isinstance(value, str):
        kind, content = ' t="inlineStr"', f'<is><t xml:space="preserve">{escape(value)}</t></is>'
    old = re.search(rf'<c r="{address}"( s="\d+")?[^>]*?(?:/>|>.*?</c>)'.encode(), sheet)
    if old is None:
        number = int(address.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        sheet = with_row(sheet, number)
        start = end = re.search(rf'<row r="{number}"[^>]*>'.encode(), sheet).end()
    else:
        start, end = old.span()
    look = (old[1] or b"").decode() if old else ""
    return sheet[:start] + f'<c r="{address}"{look}{kind}>{content}</c>'.encode() + sheet[end:]


def with_row(sheet: bytes, number: int) -> bytes:
    """A sheet in which there is such a row; an empty one, where there was none."""
    following = [one for one in re.finditer(rb'<row r="(\d+)"', sheet) if int(one[1]) >= number]
    if following and int(following[0][1]) == number:
        return sheet
    at = following[0].start() if following else sheet.index(b"</sheetData>")
    return sheet[:at] + f'<row r="{number}"></row>'.encode() + sheet[at:]


RECALCULATING = {"gnumeric": gnumeric, "ironcalc": ironcalc, "formualizer": formualizer}


def numbers(cells: list[list]) -> np.ndarray:
    """A matrix of floats; NaN where something else stands."""
    return np.array([[one if type(one) in (int, float) else np.nan for one in row] for row in cells], float)


def text_of(cells: Cells, area: Area) -> str:
    """What a cell shows; programs hold an empty text in ways of their own."""
    [[found]] = cells(area)
    return found if isinstance(found, str) else ""
