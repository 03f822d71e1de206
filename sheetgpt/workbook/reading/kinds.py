"""Which reader takes the cells of a tab: ours for .xlsx and .ods, calamine for .xlsb and .xls.

calamine makes dates of numbers that are displayed so. Of an .xlsb that holds such numbers, the records are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile, is_zipfile

import numpy as np

from sheetgpt.workbook.reading import ods, xlsb, xlsx
from sheetgpt.workbook.reading.names import ODS_CONTENT, workbook_part
from sheetgpt.workbook.reading.reach import sheet_part, texts_part
from sheetgpt.workbook.reading.tab import Cells

if TYPE_CHECKING:
    from python_calamine import CalamineSheet


class DisplayedError(Exception):
    """calamine gives a date for a number, which can't be read otherwise."""


class Reader:
    """Reads tabs of one workbook. calamine: what gives a tab's sheet as calamine reads it."""

    def __init__(self, path: Path, calamine: Callable[[str], CalamineSheet]):
        self.path, self._calamine = path, calamine
        self._texts: Sequence[str] | None = None

    def cells(self, tab: str, room: tuple[int, int]) -> Cells:
        """A tab's cells. room: rows and columns up to its last one, as far as that is known."""
        if not is_zipfile(self.path):
            return by_calamine(self._calamine(tab))
        with ZipFile(self.path) as archive:
            if ODS_CONTENT in archive.namelist():
                with archive.open(ODS_CONTENT) as part:
                    return ods.read_cells(part, tab)
            if not workbook_part(archive).endswith(".bin"):
                with archive.open(sheet_part(archive, tab)) as part:
                    return xlsx.read_cells(part, room, lambda: self._shared(archive, xlsx.shared_texts))
            try:
                return by_calamine(self._calamine(tab))
            except (DisplayedError, OverflowError):
                texts = self._shared(archive, lambda part: xlsb.shared_texts(part.read()))
                cells = Cells.of(*room)
                for cell in xlsb.cells(archive.read(sheet_part(archive, tab)), texts):
                    cells.put(*cell)
                return cells

    def errors(self, tab: str) -> dict[tuple[int, int], object]:
        """The errors of an .xlsb's tab, such as #N/A: calamine gives blank cells. Others' are read already."""
        if not is_zipfile(self.path):
            return {}
        with ZipFile(self.path) as archive:
            if ODS_CONTENT in archive.namelist() or not workbook_part(archive).endswith(".bin"):
                return {}
            return dict(xlsb.errors(archive.read(sheet_part(archive, tab))))

    def _shared(self, archive: ZipFile, read: xlsx.ReadTexts) -> Sequence[str]:
        """The texts that cells share, read once."""
        if self._texts is None:
            name = texts_part(archive)
            self._texts = []
            if name is not None:
                with archive.open(name) as part:
                    self._texts = list(read(part))
        return self._texts


def by_calamine(sheet: CalamineSheet) -> Cells:
    """A row at a time, so that only the array grows. Raises DisplayedError for a date."""
    if sheet.start is None:
        return Cells()
    left = sheet.start[1]  # rows come from the first one on, columns from the first filled one
    cells = Cells.of(sheet.total_height + 1, left + sheet.width)
    for row, values in enumerate(sheet.iter_rows()):
        if {*map(type, values)} <= {float, int}:
            cells.put_row(row, range(left, left + len(values)), np.array(values, float))
            continue
        for column, value in enumerate(values, start=left):
            if isinstance(value, date | time | timedelta):
                raise DisplayedError
            cells.put(row, column, value)
    return cells
