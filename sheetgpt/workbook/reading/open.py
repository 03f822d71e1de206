"""Reading workbooks (.xlsx, .xlsm, .xlsb, .ods): the tabs that are asked for and nothing else.

python-calamine opens them and says what is wrong with one; who reads the cells, `kinds` knows. Where stages stand, the
workbook's defined names say (`names`) or a person's map (`maps`); what they mean belongs to those who ask.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from sheetgpt.errors import DamagedError, DumpError
from sheetgpt.workbook.grid import Area
from sheetgpt.workbook.reading.guard import require_safe, require_sound_cells
from sheetgpt.workbook.reading.kinds import DisplayedError, Reader
from sheetgpt.workbook.reading.names import name_texts, with_areas
from sheetgpt.workbook.reading.reach import require_room
from sheetgpt.workbook.reading.tab import FAR_OUT, UNSAVED, FarOutError, Tab
from sheetgpt.workbook.references import N_TOKENS, N_WORDS

__all__ = ["Tab", "Workbook"]

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".ods", ".xls")


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
        self._reader = Reader(path, self._book.get_sheet_by_name)
        self._last: Tab | None = None
        self._left_out: dict[str, Mapping[tuple[int, int], object]] = {}

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
        """The number in a cell, 0 where there is none. Raises DumpError where its formula has no value."""
        numbers, others = self.part(areas)
        if UNSAVED in others.values():
            raise no_values(self.path)
        number = numbers[0, 0]
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
        room = require_room(self.path, name)
        require_sound_cells(self.path, name)
        try:
            with silent_panics():
                return self._reader.cells(name, room).tab(name)
        except FarOutError as error:
            raise error.refusal(f"{self.path}, tab {name!r}") from None
        except DisplayedError:
            what, where = "holds numbers that are displayed as dates", f"{self.path}, tab {name!r}"
            raise DumpError(what, where=where, remedy="save it as .xlsx, or format them as numbers") from None
        except Exception as error:  # noqa: BLE001 - as above
            what, where = f"can't be read ({one_line(error)})", f"{self.path}, tab {name!r}"
            raise DamagedError(what, where=where, remedy="save it again") from None

    def part(self, areas: Sequence[Area]) -> tuple[np.ndarray, dict[tuple[int, int], object]]:
        """The cells of areas that belong side by side: (numbers [rows, columns], the others by cell)."""
        numbers: list[np.ndarray] = []
        others: dict[tuple[int, int], object] = {}
        start = 0
        for area in areas:
            part, texts = self.tab(area.tab).part(area)
            if np.isnan(part).sum() > len(texts):
                texts |= self._errors(area)
            numbers.append(part)
            others |= {(row, column + start): value for (row, column), value in texts.items()}
            start += area.columns
        return (numbers[0] if len(numbers) == 1 else np.concatenate(numbers, axis=1)), others

    def _errors(self, area: Area) -> dict[tuple[int, int], object]:
        """The cells of an area that hold an error which reading the tab has left out."""
        if area.tab not in self._left_out:
            self._left_out[area.tab] = self._reader.errors(area.tab)
        return Tab(area.tab, np.empty((0, 0)), self._left_out[area.tab]).part(area)[1]


def no_values(where: object) -> DumpError:
    """A script wrote formulas, or saved a workbook with some, and no spreadsheet program has computed them yet."""
    return DumpError(
        "has formulas without saved values", where=where, remedy="open and save it in a spreadsheet program"
    )


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
