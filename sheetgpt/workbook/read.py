"""Reading workbooks (.xlsx, .xlsm, .xlsb, .ods): the tabs that are asked for, by python-calamine, and nothing else.

A tab becomes one array of numbers and a dictionary of everything else. Where stages stand is told by the workbook's
defined names (`names`) or by a person's map (`read_map`); what they mean is `sources`' business.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sheetgpt.errors import DumpError
from sheetgpt.files.atomic import replacing
from sheetgpt.files.text import separator_of
from sheetgpt.workbook.extent import FAR_OUT, require_room
from sheetgpt.workbook.layout import MAX_COLUMNS, MAX_ROWS, Area, cell
from sheetgpt.workbook.names import defined_names, live_areas, live_names, parse_range
from sheetgpt.workbook.references import N_TOKENS, N_WORDS

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".ods", ".xls")
MAP_COLUMNS = ("stage", "sheet", "range", "transposed")
YES, NO = ("yes", "true", "1", "x", "y"), ("no", "false", "0", "", "n")
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


@dataclass(frozen=True)
class Mapped:
    """Where a person's map says that a stage stands."""

    areas: tuple[Area, ...]
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """As a stage, side by side where there are several areas."""
        rows, columns = self.areas[0].rows, sum(area.columns for area in self.areas)
        return (columns, rows) if self.transposed else (rows, columns)


class Workbook:
    """An open workbook. Raises DumpError, in one line, for whatever can't be opened or read."""

    def __init__(self, path: Path):
        from python_calamine import CalamineWorkbook, PasswordError

        self.path = path
        if not path.is_file():
            raise DumpError(f"{path} does not exist: give the path of a workbook")
        try:
            with silent_panics():
                self._book = CalamineWorkbook.from_path(path)
        except PasswordError:
            raise self._protected() from None
        except Exception as error:  # noqa: BLE001 - whatever calamine makes of a damaged file
            if path.suffix.lower() != ".xls" and is_ole(path):
                raise self._protected() from None
            cure = (
                f"{FAR_OUT}, and save it again"
                if "ell limit" in str(error)
                else "save it again as .xlsx, .xlsb or .ods"
            )
            raise DumpError(f"{path} can't be read as a workbook ({one_line(error)}): {cure}") from None
        self.tabs: list[str] = list(self._book.sheet_names)
        self._last: Tab | None = None

    def _protected(self) -> DumpError:
        return DumpError(f"{self.path} is protected by a password: save it without one")

    @cached_property
    def names(self) -> dict[str, tuple[Area, ...]]:
        """Where each defined name points to, by the name in small letters (names ignore case)."""
        names = defined_names(self.path)
        live = live_names(self.path) if N_TOKENS in names else {}
        if live:
            counts = {name: self.part(names[name])[0][0, 0] for name in (N_TOKENS, N_WORDS) if name in names}
            constants = {name: 0 if np.isnan(count) else int(count) for name, count in counts.items()}
            names |= {name: areas for name, text in live.items() if (areas := live_areas(text, constants))}
        return names

    def tab(self, name: str) -> Tab:
        """One tab. The last one is kept, as stages that stand together are asked for together."""
        if self._last is None or self._last.name != name:
            self._last = None  # let go before reading: tabs of a large workbook take hundreds of MB
            self._last = self._read(name)
        return self._last

    def _read(self, name: str) -> Tab:
        if name not in self.tabs:
            raise DumpError(f"{self.path} has no tab {name!r}; its tabs are {some(self.tabs)}")
        require_room(self.path, name)
        try:
            with silent_panics():
                sheet = self._book.get_sheet_by_name(name)
            if sheet.start is None:
                return Tab(name, np.empty((0, 0)), {})
            return read_tab(sheet)
        except Exception as error:  # noqa: BLE001 - as above
            raise DumpError(f"{self.path}, tab {name!r} can't be read ({one_line(error)}): save it again") from None

    def part(self, areas: Sequence[Area]) -> tuple[np.ndarray, dict[tuple[int, int], object]]:
        """The cells of areas that belong side by side: (numbers [rows, columns], the others by cell)."""
        numbers, others, start = [], {}, 0
        for area in areas:
            part, texts = self.tab(area.tab).part(area)
            numbers.append(part)
            others |= {(row, column + start): value for (row, column), value in texts.items()}
            start += area.columns
        return (numbers[0] if len(numbers) == 1 else np.concatenate(numbers, axis=1)), others


class PanickedError(Exception):
    """calamine gave up on a damaged file."""


@contextmanager
def silent_panics():
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


def read_tab(sheet) -> Tab:
    """A calamine sheet as one array; a row at a time, so that only the array grows."""
    left = sheet.start[1]  # rows come from the first one on, columns from the first filled one
    numbers = np.full((sheet.total_height + 1, left + sheet.width), np.nan)
    others = {}
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


def numeric(value) -> float:
    """A cell's number; NaN where it holds none. TRUE is no number here, though Python thinks so."""
    if type(value) in (float, int):
        return value
    return float(value) if is_number_word(value) else np.nan


def is_number_word(value) -> bool:
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


# ------------------------------------------------------------------------------------------------ maps


def read_map(path: Path, tabs: Sequence[str]) -> dict[str, Mapped]:
    """A map file: stage -> where it stands. Raises DumpError naming the row. Columns beyond the four are left alone."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DumpError(f"{path} can't be read as a map ({one_line(error)}): `sheetgpt locate` writes one") from None
    separator = separator_of(text.partition("\n")[0])
    reader = csv.DictReader(text.splitlines(), delimiter=separator)
    lacking = [name for name in MAP_COLUMNS[:3] if name not in (reader.fieldnames or [])]
    if lacking:
        raise DumpError(f"{path} has no column {lacking[0]!r}: a map begins with {','.join(MAP_COLUMNS)}")
    found: dict[str, Mapped] = {}
    for number, row in enumerate(reader, start=2):
        stage, where = (row["stage"] or "").strip(), f"{path}, row {number}"
        if not stage and not any(row.values()):
            continue
        if stage in found:
            raise DumpError(f"{where}: {stage} stands there twice: remove one")
        found[stage] = map_row(row, where, tabs)
    return found


def map_row(row: Mapping[str, str | None], where: str, tabs: Sequence[str]) -> Mapped:
    sheet, area = row["sheet"] or "", parse_range((row["range"] or "").strip(), row["sheet"] or "")
    if sheet not in tabs:
        raise DumpError(f"{where}: the workbook has no tab {sheet!r}; its tabs are {some(tabs)}")
    if area is None or area.row + area.rows > MAX_ROWS or area.column + area.columns > MAX_COLUMNS:
        raise DumpError(f"{where}: {row['range']!r} is no range such as C5:BN12")
    answer = (row.get("transposed") or "").strip().lower()
    if answer not in YES + NO:
        raise DumpError(f"{where}: transposed is yes or no, not {row['transposed']!r}")
    return Mapped((area,), answer in YES)


def write_map(path: Path, rows: Sequence[Sequence]) -> None:
    """Write a map file: rows of (stage, sheet, range, transposed, whatever else stands in `columns`)."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def address(areas: Sequence[Area], row: int, column: int) -> str:
    """A cell of areas that belong side by side, with its tab, as a person finds it.

    >>> address([Area("block_0", 4, 2, 8, 64)], 1, 0), address([Area("my tab", 0, 0, 1, 1)], 0, 0)
    ('block_0!C6', "'my tab'!A1")
    """
    for area in areas:
        if column < area.columns:
            return f"{quoted(area.tab)}!{cell(area.row + row, area.column + column)}"
        column -= area.columns
    raise DumpError(f"column {column} lies beyond the stage's areas")


def quoted(tab: str) -> str:
    """A tab's name as addresses have it.

    >>> quoted("block_0"), quoted("Mike's tab")
    ('block_0', "'Mike''s tab'")
    """
    return tab if tab.isidentifier() else "'" + tab.replace("'", "''") + "'"
