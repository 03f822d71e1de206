"""A workbook as a side: stages by defined name, by a tab's name or by a map, what the index tab says, addresses.

Opening workbooks and reading their cells belongs in `workbook.reading`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
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
from sheetgpt.workbook.places import INDEX
from sheetgpt.workbook.reading.bare import matrix_area
from sheetgpt.workbook.reading.maps import read_map
from sheetgpt.workbook.reading.open import SUFFIXES, Workbook, no_values, some
from sheetgpt.workbook.reading.pieces import Pieces, whole
from sheetgpt.workbook.reading.tab import UNSAVED
from sheetgpt.workbook.references import N_TOKENS

KEY_COLUMN, VALUE_COLUMN, SHAPE_COLUMN = 1, 2, 3  # of the index tab
SHAPE = re.compile(r"[\d,]+ x [\d,]+")
LONGEST_TAB = 31  # characters of a tab's name
# as the index has them -> as a manifest
KEYS = {"Prompt": "prompt", "Special tokens": "special", "Numbers": "dtype", "Weights folder": "weights"}
NOT_SAID = {"Prompt": "(token ids)", "Weights folder": "(in memory)"}
CHANGED = "Changed by hand"


class WorkbookSide(Side):
    """A workbook, ours or anybody's. Raises DumpError where no defined name and no tab is called like a stage."""

    def __init__(self, path: Path, map_file: Path | None = None):
        self.book, self.map_file = Workbook(path), map_file
        said = NOTHING_SAID if map_file else said_in_index(self.book)
        about = checked_manifest(said, f"{path}, tab {INDEX!r}")
        known = known_to(about, [*self.book.names, *(tab.lower() for tab in self.book.tabs)])
        named = named_places(self.book, known)
        self.lost = set() if map_file else {*known.among(listed_in_index(self.book))} - {*named}
        tabs = {} if map_file else places_on_tabs(self.book, known, {*named} | self.lost)
        mapped = read_map(map_file, self.book.tabs) if map_file else {}
        self.places = named | tabs | {name: Pieces(parts) for name, parts in mapped.items()}
        if not self.places:
            raise DumpError(
                "has no defined name and no tab that is called like a stage",
                where=path,
                remedy=f"find the stages with `sheetgpt locate RUN {path} -o MAP.csv`, then give --map MAP.csv",
            )
        names = [name for name in self.places if name not in known.unnumbered(self.places)]
        super().__init__(str(path), names, known, about, self.places)

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

    def has(self, name: str) -> bool:
        return name in self.names or name in self.lost

    def read(self, name: str) -> Held:
        if name in self.lost:
            what, remedy = f"has no cells that are named {name}, though its index lists it", "define the name again"
            raise DumpError(what, where=self.label, remedy=remedy)
        place = self.places[self.held_as(name)]
        numbers, others = place.read(self.book)
        if UNSAVED in others.values() and np.isnan(numbers).all() and {*others.values()} == {UNSAVED}:
            raise no_values(f"{self.label}, {name}")
        return Held(numbers, place.place, others, absent=place.absent, held_part=place.held_part)

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

    def place_kind(self, name: str) -> str:
        """What says where a stage stands: "defined name" or "tab"."""
        return "defined name" if name.lower() in self.book.names else "tab"

    def shape(self, name: str) -> Shape:
        return self.places[self.held_as(name)].shape

    def check(self, sizes: Sizes) -> None:
        """Raises DumpError where a range can't hold its stage: of a defined name, or of a line of the map."""
        for name in self.names:
            if not sizes.is_text(name) and (self.map_file or name in sizes.shapes):
                held = self.held_as(name)
                where = f"{self.map_file}, {held}" if self.map_file else f"{self.label}, {self.place_kind(held)} {held}"
                self.places[held] = self.places[held].within(sizes.shapes.get(name, self.shape(name)))
                require_range(sizes, name, self.shape(name), where)


def named_places(book: Workbook, known: Known) -> dict[str, Pieces]:
    """The stages and weights that a workbook has defined names for; names ignore case."""
    without_block = (step.without_block for step in known.stages.values())
    ours = {name.lower(): name for name in (*without_block, *known.stages, *known.weights)}
    return {
        ours[name]: whole(areas)
        for name, areas in book.names.items()
        if name in ours and all(area.tab in book.tabs for area in areas)
    }


def places_on_tabs(book: Workbook, known: Known, named: Collection[str]) -> dict[str, Pieces]:
    """The other stages and weights that tabs are called like, one a tab; tabs' names are short and ignore case."""
    ours = {name.lower()[:LONGEST_TAB]: name for name in (*known.stages, *known.weights) if name not in named}
    called = {ours[tab.lower()]: tab for tab in book.tabs if tab.lower() in ours}
    areas = {name: matrix_area(book.tab(tab), texts=is_text(known, name)) for name, tab in called.items()}
    return {name: whole((area,)) for name, area in areas.items() if area}


def is_text(known: Known, name: str) -> bool:
    step = known.stages.get(name)
    return step is not None and step.is_text


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


def listed_in_index(book: Workbook) -> list[str]:
    """The names that the index tab of a workbook of ours lists with their shapes."""
    if INDEX not in book.tabs:
        return []
    others = book.tab(INDEX).others
    shapes = {row: value for (row, column), value in others.items() if column == SHAPE_COLUMN}
    return [
        str(name)
        for (row, column), name in others.items()
        if column == KEY_COLUMN and SHAPE.fullmatch(str(shapes.get(row, "")))
    ]


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
