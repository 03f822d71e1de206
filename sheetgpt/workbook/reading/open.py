"""Reading workbooks (.xlsx, .xlsm, .xlsb, .ods): the tabs that are asked for, by python-calamine, and nothing else.

A tab becomes one array of numbers and a dictionary of everything else. Where stages stand, the workbook's defined
names say (`names`) or a person's map (`maps`); what they mean belongs to those who ask.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.errors import DumpError
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.guard import require_safe, require_sound_cells
from sheetgpt.workbook.reading.names import name_texts, with_areas
from sheetgpt.workbook.reading.reach import FAR_OUT, require_room
from sheetgpt.workbook.references import N_TOKENS, N_WORDS

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".ods", ".xls")
NUMBER_WORDS = {"nan", "inf", "-inf"}  # what our workbooks write where a cell can't hold the number


@dataclass(frozen=True)
class Tab:
    """One sheet from its cell A1 on. A blank cell and an error such as #N/A are NaN and in none of the others.

    NaN, inf and -inf are texts in a cell: they are among the numbers and among the others.
    """

    name: str
    numbers: np.ndarray  # [rows, columns] float64
    others: Mapping[tuple[int, int], object]  # texts, dates, TRUE and FALSE by cell

    def part(self, area: Area) -> tuple[np.ndarray, dict[tuple[int, int], object]]:
        """The cells of an area, NaN beyond the filled ones: (numbers [rows, columns], the others by cell)."""
        numbers = np.full((area.rows, area.columns), np.nan)
        found = self.numbers[area.row : area.row + area.rows, area.column : area.column + area.columns]
        numbers[: found.shape[0], : found.shape[1]] = found
        others = {
            (row - area.row, column - area.column): value
            for (row, column), value in self.others.items()
            if 0 <= row - area.row < area.rows and 0 <= column - area.column < area.columns
        }
        return numbers, others


class Workbook:
    """An open workbook. Raises DumpError, in one line, for whatever can't be opened or read."""

    def __init__(self, path: Path):
        from python_calamine import CalamineWorkbook, PasswordError

        self.path = path
        if not path.is_file():
            raise DumpError("does not exist", where=path, remedy="give the path of a workbook")
        require_safe(path)
        try:
            with silent_panics():
                self._book = CalamineWorkbook.from_path(path)
        except PasswordError:
            raise self._protected() from None
        except Exception as error:  # noqa: BLE001 - whatever calamine makes of a damaged file
            if path.suffix.lower() != ".xls" and is_ole(path):
                raise self._protected() from None
            too_far = "ell limit" in str(error)
            remedy = f"{FAR_OUT}, and save it again" if too_far else "save it again as .xlsx, .xlsb or .ods"
            raise DumpError(f"can't be read as a workbook ({one_line(error)})", where=path, remedy=remedy) from None
        self.tabs: list[str] = list(self._book.sheet_names)
        self._last: Tab | None = None

    def _protected(self) -> DumpError:
        return DumpError("is protected by a password", where=self.path, remedy="save it without one")

    @cached_property
    def names(self) -> dict[str, tuple[Area, ...]]:
        """Where each defined name points to, by the name in small letters (names ignore case)."""
        texts = name_texts(self.path)
        names = with_areas(texts)
        if N_TOKENS not in names:
            return names
        counts = {name: self._count(names[name]) for name in (N_TOKENS, N_WORDS) if name in names}
        return names | with_areas(texts, counts)

    def _count(self, areas: Sequence[Area]) -> int:
        """The number in a cell, 0 where there is none."""
        number = self.part(areas)[0][0, 0]
        return 0 if np.isnan(number) else int(number)

    def tab(self, name: str) -> Tab:
        """One tab. The last one is kept, as stages that stand together are asked for together."""
        if self._last is None or self._last.name != name:
            self._last = None  # let go before reading: tabs of a large workbook take hundreds of MB
            self._last = self._read(name)
        return self._last

    def _read(self, name: str) -> Tab:
        if name not in self.tabs:
            raise DumpError(f"has no tab {name!r}; its tabs are {some(self.tabs)}", where=self.path)
        require_room(self.path, name)
        require_sound_cells(self.path, name)
        try:
            with silent_panics():
                sheet = self._book.get_sheet_by_name(name)
            if sheet.start is None:
                return Tab(name, np.empty((0, 0)), {})
            return read_tab(sheet)
        except Exception as error:  # noqa: BLE001 - as above
            what, where = f"can't be read ({one_line(error)})", f"{self.path}, tab {name!r}"
            raise DumpError(what, where=where, remedy="save it again") from None

    def part(self, areas: Sequence[Area]) -> tuple[np.ndarray, dict[tuple[int, int], object]]:
        """The cells of areas that belong side by side: (numbers [rows, columns], the others by cell)."""
        numbers: list[np.ndarray] = []
        others: dict[tuple[int, int], object] = {}
        start = 0
        for area in areas:
            part, texts = self.tab(area.tab).part(area)
            numbers.append(part)
            others |= {(row, column + start): value for (row, column), value in texts.items()}
            start += area.columns
        return (numbers[0] if len(numbers) == 1 else np.concatenate(numbers, axis=1)), others


class PanickedError(Exception):
    """calamine gave up on a damaged file."""


@contextmanager
def silent_panics() -> Iterator[None]:
    """Turn a panic of calamine into an exception, without the lines that it prints of its own inside."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # subtle: it is no Exception, and can't be imported
            raise PanickedError(str(error)) from None
        raise
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def read_tab(sheet: CalamineSheet) -> Tab:
    """A calamine sheet as one array; a row at a time, so that only the array grows."""
    assert sheet.start is not None  # it has cells
    left = sheet.start[1]  # rows come from the first one on, columns from the first filled one
    numbers = np.full((sheet.total_height + 1, left + sheet.width), np.nan)
    others: dict[tuple[int, int], object] = {}
    last = 0
    for row, values in enumerate(sheet.iter_rows()):
        if {*map(type, values)} <= {float, int}:
            numbers[row, left:] = values
        else:
            numbers[row, left:] = [numeric(value) for value in values]
            for column, value in enumerate(values, start=left):
                if type(value) not in (float, int) and value != "":
                    others[row, column] = value
        last = row + 1
    return Tab(sheet.name, numbers[:last], others)


def numeric(value: Any) -> float:
    """A cell's number; NaN where it holds none. TRUE is no number here, though Python thinks so."""
    if type(value) in (float, int):
        return float(value)
    return float(value) if is_number_word(value) else np.nan


def is_number_word(value: object) -> bool:
    return isinstance(value, str) and value.lower() in NUMBER_WORDS


def is_ole(path: Path) -> bool:
    """Is it a compound file, as encrypted workbooks are?"""
    with path.open("rb") as file:
        return file.read(4) == b"\xd0\xcf\x11\xe0"


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def some(names: Sequence[str], count: int = 8) -> str:
    """A few of many names.

    >>> some(["a", "b", "c"], 2)
    'a, b, ... (3 in all)'
    """
    shown = ", ".join(names[:count])
    return shown if len(names) <= count else f"{shown}, ... ({len(names)} in all)"
