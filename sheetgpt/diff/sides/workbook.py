"""A workbook as a side: stages by defined name or by a map, what the index tab says, cell addresses.

Opening workbooks and reading their cells belongs in `workbook.reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from sheetgpt.diff.sides.side import NOTHING_SAID, Held, Options, Side, known_to
from sheetgpt.diff.texts import Table
from sheetgpt.dump import checked_manifest
from sheetgpt.errors import DumpError
from sheetgpt.files.paths import existing
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import Known
from sheetgpt.models.sizes import Shape, Sizes
from sheetgpt.models.step import Role
from sheetgpt.sheets.passes import tight_merges
from sheetgpt.workbook.grid import address
from sheetgpt.workbook.places import INDEX
from sheetgpt.workbook.reading.maps import Mapped, read_map
from sheetgpt.workbook.reading.open import SUFFIXES, Workbook, some
from sheetgpt.workbook.references import N_TOKENS

KEY_COLUMN, VALUE_COLUMN = 1, 2  # of the index tab
KEYS = {"Prompt": "prompt", "Numbers": "dtype", "Weights folder": "weights"}  # as the index has them -> as a manifest
NOT_SAID = {"Prompt": "(token ids)", "Weights folder": "(in memory)"}
CHANGED = "Changed by hand"


class WorkbookSide(Side):
    """A workbook, ours or anybody's."""

    def __init__(self, path: Path, map_file: Path | None = None):
        self.book, self.map_file = Workbook(path), map_file
        said = NOTHING_SAID if map_file else said_in_index(self.book)
        about = checked_manifest(said, f"{path}, tab {INDEX!r}")
        known = known_to(about, list(self.book.names))
        self.places = named_places(self.book, known) | (read_map(map_file, self.book.tabs) if map_file else {})
        if not self.places:
            raise DumpError(
                "has no defined name that is called like a stage",
                where=path,
                remedy=f"find the stages with `sheetgpt locate RUN {path} -o MAP.csv`, then give --map MAP.csv",
            )
        super().__init__(str(path), list(self.places), known, about)

    @classmethod
    def recognises(cls, text: str) -> bool:
        path = existing(text)
        return path is not None and path.suffix.lower() in SUFFIXES

    @classmethod
    def open(cls, text: str, options: Options) -> Self:
        return cls(Path(text), options.map_file)

    @property
    def is_live(self) -> bool:
        """Are its stages formulas?"""
        return N_TOKENS in self.book.names

    def read(self, name: str) -> Held:
        place = self.places[name]
        numbers, others = self.book.part(place.areas)
        if place.transposed:
            numbers, others = numbers.T, {(column, row): value for (row, column), value in others.items()}

        def where(row: int, column: int) -> str:
            return address(place.areas, *((column, row) if place.transposed else (row, column)))

        return Held(numbers, where, others)

    def table(self, name: str) -> Table:
        held = self.read(name)
        cells = held.numbers.astype(object)
        for at, value in held.others.items():
            cells[at] = value
        rows = [[None if cell != cell else cell for cell in row] for row in cells.tolist()]  # noqa: PLR0124 - NaN
        return tight_merges(rows) if self.is_live and name == self.named(Role.MERGES) else rows

    def gap(self, name: str) -> str:
        """Formulas follow words of printable ASCII only; the token ids of others are typed into a live workbook."""
        words = self.named(Role.WORDS)
        if not self.is_live or name != self.named(Role.MERGES) or words is None:
            return ""
        texts = [str(word) for word in self.table(words)[0] if word is not None]
        typed = [repr(text) for text in texts if not (text.isascii() and text.isprintable())]
        return f"passes of {some(typed, 3)} are not in {self.label}" if typed else ""

    def shape(self, name: str) -> Shape:
        return self.places[name].shape

    def check(self, sizes: Sizes) -> None:
        """Raises DumpError where a range can't hold its stage: of a defined name, or of a line of the map."""
        for name, place in self.places.items():
            if not sizes.is_text(name) and (self.map_file or name in sizes.shapes):
                where = f"{self.map_file}, {name}" if self.map_file else f"{self.label}, defined name {name}"
                require_range(sizes, name, place.shape, where)


def named_places(book: Workbook, known: Known) -> dict[str, Mapped]:
    """The stages and weights that a workbook has defined names for; names ignore case."""
    ours = {name.lower(): name for name in (*known.stages, *known.weights)}
    return {
        ours[name]: Mapped(areas)
        for name, areas in book.names.items()
        if name in ours and all(area.tab in book.tabs for area in areas)
    }


def require_range(sizes: Sizes, name: str, shape: Shape, where: str) -> None:
    if name not in sizes.shapes:
        raise DumpError(
            f"no stage is called {name!r}; stages are called as `sheetgpt run --json` lists them", where=f"{where}:"
        )
    if shape not in sizes.forms(name):
        rows, columns = sizes.shapes[name]
        what = f"{name} is {rows} x {columns} and the range has {shape[0]} x {shape[1]} cells"
        raise DumpError(what, where=f"{where}:", remedy="correct the range")


# ------------------------------------------------------------------------------------------------ the index tab


def said_in_index(book: Workbook) -> Mapping[str, Any]:
    """What the index tab of a workbook of ours says of the run, as a manifest does; {} where there is none."""
    if INDEX not in book.tabs:
        return {}
    tab = book.tab(INDEX)
    found = index_facts(tab.numbers, tab.others)
    said = {ours: found[key] for key, ours in KEYS.items() if key in found and found[key] != NOT_SAID.get(key)}
    constants = {field.name: found[field.name] for field in fields(Config) if field.name in found}
    changed = str(found[CHANGED]).split(", ") if CHANGED in found else []
    return said | {"constants": constants, "overridden": changed}


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
            found[key] = f"{found[key]}{value}"
        elif text is not None:
            found.setdefault(key, value)
    return found
