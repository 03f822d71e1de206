"""What tests of live workbooks share: stages against a run's, the prediction, areas, and cached values made wrong."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.reading.names import areas_of, name_texts
from sheetgpt.workbook.reading.open import Workbook

SPOILED = re.compile(rb"(</f>)<v>-?[0-9.e-]+</v>")


def whole_area(text: str) -> Area | None:
    """What a name stands for, with the room for more tokens."""
    found = areas_of(re.search(r"INDEX\(([^,]+)", text)[1] if "INDEX" in text else text)
    return found[0] if found else None


def whole_areas(path: Path) -> dict[str, Area]:
    """Of a workbook as written, by name."""
    return {name: area for name, text in name_texts(path) if (area := whole_area(text))}


def address_in(area: Area, row: int, column: int) -> tuple[str, str]:
    """(tab, address) of a cell in an area."""
    return area.tab, cell(area.row + row, area.column + column)


def stage(found: Workbook, name: str) -> np.ndarray:
    """A matrix stage of a workbook, by its name: the cells in use."""
    return found.part(found.names[name.lower()])[0]


def differences(path: Path, trace, stages=None) -> dict[str, object]:
    """The stages of a workbook that aren't the trace's: name -> the largest difference, or the wrong shape."""
    found, wrong = Workbook(path), {}
    for name in stages or trace:
        if trace.step(name).is_text:
            continue
        cells, matrix = stage(found, name), trace.array(name)
        if cells.shape != matrix.shape:
            wrong[name] = f"{cells.shape}, not {matrix.shape}"
        elif not np.all(np.abs(cells - matrix) <= 1e-9 * np.maximum(1, np.abs(matrix))):
            wrong[name] = float(np.max(np.abs(cells - matrix)))
    return wrong


def predicted(path: Path) -> str:
    found = Workbook(path)
    area = found.names["predicted_token"][0]
    return found.part([area])[1].get((2, 1), "")


def spoil(path: Path) -> None:
    """Every cached number of a formula becomes 77: whoever believes it is found out."""
    content = {}
    with ZipFile(path) as archive:
        for name in archive.namelist():
            content[name] = SPOILED.sub(rb"\1<v>77</v>", archive.read(name))
    with ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
