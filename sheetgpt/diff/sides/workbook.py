"""A workbook as a side of a comparison: stages by defined name or by a map, what the index tab says, cell addresses.

The cells are `read`'s business, comparing is `diff`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from sheetgpt.diff.sides.side import STAGE_NAME, Matrix, Source
from sheetgpt.errors import DumpError
from sheetgpt.models.config import Config
from sheetgpt.models.sizes import TEXT_STAGES, Setting, require_shape
from sheetgpt.workbook.places import INDEX, tight_merges
from sheetgpt.workbook.reading.book import SUFFIXES, Mapped, Workbook, address, read_map, some
from sheetgpt.workbook.references import N_TOKENS

__all__ = ["SUFFIXES", "WorkbookSource"]

KEY_COLUMN, VALUE_COLUMN = 1, 2  # of the index tab
KEYS = {"Prompt": "prompt", "Numbers": "dtype", "Weights folder": "weights"}  # as the index has them -> as a manifest
NOT_TOLD = {"Prompt": "(token ids)", "Weights folder": "(in memory)"}
CHANGED = "Changed by hand"
CONSTANTS = tuple(Config.__dataclass_fields__)


class WorkbookSource(Source):
    """A workbook, ours or anybody's."""

    def __init__(self, path: Path, map_file: Path | None = None):
        self.label, self.book, self.map_file = str(path), Workbook(path), map_file
        self.places: dict[str, Mapped] = {
            name: Mapped(areas)
            for name, areas in self.book.names.items()
            if STAGE_NAME.fullmatch(name) and all(area.tab in self.book.tabs for area in areas)
        }
        if map_file:
            self.places |= read_map(map_file, self.book.tabs)
        if not self.places:
            raise DumpError(
                f"{path} has no defined name that is called like a stage: "
                f"find the stages with `sheetgpt locate RUN {path} -o MAP.csv`, then give --map MAP.csv"
            )
        self.names = list(self.places)

    @cached_property
    def about(self) -> Mapping:
        """What the index tab of a workbook of ours says of the run; {} for a workbook that has none."""
        if INDEX not in self.book.tabs or self.map_file:
            return {}
        tab = self.book.tab(INDEX)
        found = index_facts(tab.numbers, tab.others)
        constants = {name: found[name] for name in CONSTANTS if name in found}
        about = {
            ours: found[key] for key, ours in KEYS.items() if found.get(key, NOT_TOLD.get(key)) != NOT_TOLD.get(key)
        }
        changed = str(found[CHANGED]).split(", ") if CHANGED in found else []
        return about | {"constants": constants, "overridden": changed}

    @property
    def is_live(self) -> bool:
        """Are its stages formulas?"""
        return N_TOKENS in self.book.names

    def read(self, name):
        place = self.places[name]
        numbers, others = self.book.part(place.areas)
        if place.transposed:
            numbers, others = numbers.T, {(column, row): value for (row, column), value in others.items()}

        def where(row: int, column: int) -> str:
            return address(place.areas, *((column, row) if place.transposed else (row, column)))

        return Matrix(numbers, where, others)

    def table(self, name):
        matrix = self.read(name)
        cells = matrix.numbers.astype(object)
        for at, value in matrix.others.items():
            cells[at] = value
        rows = [[None if cell != cell else cell for cell in row] for row in cells.tolist()]  # noqa: PLR0124 - NaN
        return tight_merges(rows) if name == "prompt_to_tokens" and N_TOKENS in self.book.names else rows

    def lacks_in(self, name):
        """Formulas follow words of printable ASCII only; the token ids of others are typed into a live workbook."""
        if name != "prompt_to_tokens" or not self.is_live:
            return ""
        words = [str(word) for word in self.table("separated_into_words")[0] if word is not None]
        typed = [word for word in words if not (word.isascii() and word.isprintable())]
        return f"passes of {some([repr(word) for word in typed], 3)} are not in {self.label}" if typed else ""

    def shape(self, name):
        return self.places[name].shape

    def check(self, setting: Setting) -> None:
        """Raises DumpError where a range can't hold its stage. A defined name is told as such, a map by its file."""
        for name, place in self.places.items():
            if name not in TEXT_STAGES and (self.map_file or name in setting.shapes):
                where = f"{self.map_file}, {name}" if self.map_file else f"{self.label}, defined name {name}"
                require_shape(setting, name, place.shape, where)


def index_facts(numbers: np.ndarray, others: Mapping[tuple[int, int], object]) -> dict[str, object]:
    """The index tab's keys and values; a long text stands in several cells under each other."""
    found: dict[str, object] = {}
    key = None
    for row in range(len(numbers)):
        text = others.get((row, KEY_COLUMN))
        if isinstance(text, str):
            key = text
        value = others.get((row, VALUE_COLUMN))
        if value is None and numbers.shape[1] > VALUE_COLUMN and numbers[row, VALUE_COLUMN] % 1 == 0:
            value = int(numbers[row, VALUE_COLUMN])
        if key is None or value is None:
            key = None
        elif text is None and isinstance(found.get(key), str):
            found[key] += str(value)
        elif text is not None:
            found.setdefault(key, value)
    return found
